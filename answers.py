"""What an answer means for the caller: pure reading of status, headers and body."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import AbstractSet, Any, Dict, Iterator, Mapping, NamedTuple, Optional

from errors import CallRejected, Forbidden, ServiceError

JsonObject = Dict[str, Any]

WAIT_BUDGET_S = 120.0  # a service that asks for a longer wait ends the run instead
LONGEST_WAIT_S = 7 * 86_400.0  # what a Retry-After is cut to, so that it stays a date
EXCERPT = 300  # characters of a foreign text that a message may carry

# https://developers.hubspot.com/docs/api-reference/error-handling (423 locked, 477 migrating)
_TRY_AGAIN = frozenset({408, 423, 425, 429, 477})  # and every 5xx
_MAY_BE_DONE = frozenset({408, 502, 504, 520, 524})  # a gateway gave up waiting, not the service
_WHOLE_SERVICE = frozenset({401, 402, 403})


class Answer(NamedTuple):
    """`data`: the JSON object of the body, None when the body holds none.
    `retry_after`: the header as it came."""

    status: int
    text: str
    data: Optional[JsonObject]
    retry_after: Optional[str] = None


class TryAgain(Exception):
    """The call may succeed in `wait_s` seconds or more; `answer_lost`: it may have been carried
    out; `too_much`: the service refused because it is asked too often."""

    def __init__(
        self,
        reason: str,
        wait_s: float = 0.0,
        answer_lost: bool = False,
        too_much: bool = False,
    ) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
        self.answer_lost = answer_lost
        self.too_much = too_much


def json_object(text: str) -> Optional[JsonObject]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def problem_of(
    answer: Answer,
    where: str,
    remedies: Mapping[int, str],
    now: datetime,
    unclear: AbstractSet[int] = frozenset(),
) -> Optional[Exception]:
    """None for a 2xx; else what to raise: TryAgain, ServiceError or CallRejected.

    `where` names service and call in the text, `remedies` says what the user can do about a 401,
    402 or 403. After a status in `unclear` the call may have been carried out, as after that of a
    gateway.
    """
    status = answer.status
    if 200 <= status < 300:
        return None
    said = f"{status} {_detail(answer)}".strip()
    if status in _TRY_AGAIN or status >= 500:
        may_be_done = status in _MAY_BE_DONE or status in unclear
        return _try_again(answer, said, where, now, may_be_done)
    if status in _WHOLE_SERVICE:
        kind = Forbidden if status == 403 else ServiceError
        return kind(f"{where}: {said}. {remedies.get(status, '')}".strip())
    if 300 <= status < 400:
        return ServiceError(
            f"{where}: {status}, a redirect. It is not followed, because it would take the keys"
            " to another place. Check the base URL."
        )
    return CallRejected(f"{where}: {said}.", status, _detail(answer), answer.text)


def seconds_to_wait(retry_after: Optional[str], now: datetime) -> float:
    """Retry-After in seconds, given as a number or as an HTTP date (RFC 9110, 10.2.3); 0 if it is
    missing, past or unreadable."""
    if not retry_after:
        return 0.0
    try:
        seconds = float(retry_after.replace("_", "?"))  # float() would take 1_0
    except ValueError:
        seconds = _seconds_until(retry_after, now)
    return 0.0 if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_WAIT_S)


def _seconds_until(http_date: str, now: datetime) -> float:
    try:
        moment = parsedate_to_datetime(http_date)
    except (TypeError, ValueError, IndexError, OverflowError):
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return (moment - now).total_seconds()


def _try_again(
    answer: Answer, said: str, where: str, now: datetime, may_be_done: bool
) -> Exception:
    wait_s = seconds_to_wait(answer.retry_after, now)
    if answer.status == 429 and ("DAILY" in answer.text or "daily limit" in answer.text):
        back_at = _clock_time(now, wait_s) if wait_s else "midnight in the account's time zone"
        return ServiceError(f"{where}: {said}. Nothing more today: run it again after {back_at}.")
    if wait_s > WAIT_BUDGET_S:
        return ServiceError(
            f"{where}: {said}, and a wait of {wait_s:,.0f} s is asked for."
            f" Run it again after {_clock_time(now, wait_s)}."
        )
    return TryAgain(
        said,
        wait_s=max(wait_s, _shortest_wait(answer)),
        answer_lost=may_be_done,
        too_much=answer.status == 429,
    )


def _shortest_wait(answer: Answer) -> float:
    """Seconds that HubSpot wants even when it sends no Retry-After:
    https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines"""
    if answer.status == 423:
        return 2.0
    if answer.status == 429:
        return 10.0 if "TEN_SECONDLY" in answer.text else 1.0
    return 0.0


def _clock_time(now: datetime, wait_s: float) -> str:
    """Local time, rounded up to the minute."""
    return (now + timedelta(seconds=wait_s + 59)).astimezone().strftime("%Y-%m-%d %H:%M")


def _detail(answer: Answer) -> str:
    """What the service says of the error, in the shape of whichever service it is; may be ""."""
    if answer.data is None:
        return f"({excerpt(answer.text)})" if answer.text.strip() else ""
    parts = list(_said(answer.data))
    return excerpt(": ".join(dict.fromkeys(parts)))  # HubSpot and others repeat themselves


def _said(data: JsonObject) -> Iterator[str]:
    error, errors = data.get("error"), data.get("errors")
    yield from _scopes(errors)  # first: HubSpot's sentence about them is long
    for source in (error if isinstance(error, dict) else {}, data):
        for key in ("type", "message"):
            if isinstance(source.get(key), str):
                yield source[key].strip().rstrip(".")
    if isinstance(error, str):
        yield error
    if isinstance(errors, dict):
        yield from _field_errors(errors)
    if isinstance(data.get("correlationId"), str):
        yield f"correlation id {data['correlationId']} for HubSpot's support"


def _field_errors(errors: JsonObject) -> Iterator[str]:
    """MailerLite: {"email": ["This ..."]}."""
    for messages in errors.values():
        yield from map(str, messages if isinstance(messages, list) else ())


def _scopes(errors: object) -> Iterator[str]:
    """HubSpot: errors[].context.requiredGranularScopes, of which any one suffices."""
    for error in errors if isinstance(errors, list) else []:
        context = error.get("context") if isinstance(error, dict) else None
        scopes = context.get("requiredGranularScopes") if isinstance(context, dict) else None
        if isinstance(scopes, list) and scopes:
            yield "the token lacks the scope " + " or ".join(map(str, scopes))


def excerpt(text: str) -> str:
    """One line of a foreign text, cut to a bearable length."""
    line = " ".join(text.split())
    return line if len(line) <= EXCERPT else line[: EXCERPT - 1] + "…"
