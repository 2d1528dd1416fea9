"""What the HTTP client must know of a service, and what a response means: pure, without a call."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from http import client as http
from types import MappingProxyType
from typing import Any, Callable, Dict, Iterator, Mapping, NamedTuple, Pattern

from core import addresses, errors, words

WAIT_BUDGET_S = 120.0  # a service that asks for a longer wait ends the run instead
BRIEF_S = 5.0  # for each try of a brief call, and for the wait before its repeat
LONGEST_WAIT_S = 7 * 86_400.0  # what a Retry-After is cut to, so that it stays a date
MAX_VALUES = 500_000  # and escapes in an answer: each may take 200 bytes; a page has some 10,000
EXCERPT = 300  # characters of a foreign text that a message may carry
SEARCHED = 2_000  # characters of it that are searched for addresses: it may be a whole page

_RETRY_STATUSES = frozenset({408, 425, 429})  # and every 5xx
_COUNT = re.compile("[0-9]{1,9}")
# In JSON: both halves of a character beyond U+FFFF, one half alone, or anything else.
_ESCAPE = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F]..)|.)", re.DOTALL)
# What people read of a status that is no matter of one call alone.
REFUSED = {
    401: (errors.ServiceDown, "the key was rejected"),
    402: (errors.PaymentRequired, "not paid for"),
    403: (errors.Forbidden, "not allowed"),
}

JsonObject = Dict[str, Any]


class Response(NamedTuple):
    """`data`: the JSON object of the body, None when the body holds none. `is_repeat`: an earlier
    attempt of the same call may have been carried out."""

    status: int
    text: str
    data: JsonObject | None
    headers: Mapping[str, str] = {}
    is_repeat: bool = False


@dataclass(frozen=True)
class Service:
    """`remedy`: what the user can do about a refusal, as a sentence or "". `base_url`: its own.

    `read_only_posts`: the paths of the POST calls that only read. `retry_statuses`: after which,
    besides those of HTTP, the same call may succeed. `error_details`: what only this service puts
    into the body of an error, in words, the most important first. `min_wait_s`: seconds that it
    wants before the next try when it sends no Retry-After. `daily_limit`: how a 429 reads after
    which there is nothing more before tomorrow. `quota_period_s`: of how many seconds, if its
    answers tell how many calls all apps of the account have left (X-RateLimit-Remaining).
    `headers`: that it wants on every call, besides those of all services. `is_brief`: nothing
    depends on its calls, so they get a few seconds and one repeat."""

    name: str
    remedy: Callable[[Response], str]
    base_url: str = ""
    read_only_posts: Pattern[str] | None = None
    retry_statuses: frozenset[int] = frozenset()
    error_details: Callable[[JsonObject], Iterator[str]] = lambda _body: iter(())
    min_wait_s: Callable[[Response], float] = lambda _response: 0.0
    daily_limit: Pattern[str] = re.compile("daily limit", re.IGNORECASE)
    quota_period_s: float | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    is_brief: bool = False

    def only_reads(self, method: str, path: str) -> bool:
        if method == "POST" and self.read_only_posts:
            return bool(self.read_only_posts.fullmatch(path))
        return method == "GET"


@dataclass(eq=False)
class TryAgain(Exception):
    """The call may succeed in `wait_s` seconds or more; `outcome_unknown`: it may have been carried
    out; `rate_limited`: the service refused because it is asked too often; `said`: its words."""

    reason: str
    wait_s: float = 0.0
    outcome_unknown: bool = False
    rate_limited: bool = False
    said: str = ""

    def __str__(self) -> str:
        return self.reason + in_brackets(self.said)


def in_brackets(said: str) -> str:
    """The words of a service, after what people need to know."""
    return f" ({said})" if said else ""


def clean(text: str) -> str:
    """JSON with U+FFFD for half of an emoji, which no file and no database takes."""
    if text.count("\\") > MAX_VALUES:
        return text
    return _ESCAPE.sub(lambda found: r"\ufffd" if found[1] else found[0], text)


def json_object(text: str) -> JsonObject | None:
    """None where it is none, or would take too much memory."""
    if sum(map(text.count, ",[{\\")) > MAX_VALUES:
        return None
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):  # nested as deep as no service answers
        return None
    return data if isinstance(data, dict) else None


def problem_of(response: Response, service: Service, call: str, now: datetime) -> Exception | None:
    """None for a 2xx; else what to raise: TryAgain, ServiceDown, Forbidden or CallRejected.

    `call` names the call in the text.
    """
    status, where = response.status, f"{service.name}, {call}"
    if 200 <= status < 300:
        return None
    detail = _detail(response, service)
    said = f"{status} {detail or http.responses.get(status, '')}".strip()
    if status in _RETRY_STATUSES | service.retry_statuses or status >= 500:
        return _retry(response, service, said, where, now)
    remedy = service.remedy(response)
    if 300 <= status < 400:
        return errors.ServiceDown(
            f"{where}: the service sends the call elsewhere, and the keys must not go there."
            f" Check the base URL. ({said})"
        )
    kind, what = REFUSED.get(status, (errors.CallRejected, "rejected"))
    text = " ".join(filter(None, (f"{where}: {what}.", remedy, f"({said})")))
    if status in REFUSED:
        return kind(text)
    return errors.CallRejected(text, status, detail, response.text)


def problem_of_read(response: Response, service: Service) -> TryAgain | None:
    """Why a 2xx is no answer to a read: something failed in the middle of it, and may not again."""
    if response.data is None:
        found = excerpt(response.text)
        return TryAgain("the answer cannot be used", said=f"no JSON object, but {found!r}")
    if response.data.get("status") == "error":
        said = f"{response.status} {_detail(response, service)}"
        return TryAgain("it could not answer", said=said)
    return None


def seconds_to_wait(response: Response, now: datetime) -> float:
    """Retry-After in seconds, given as a number or as an HTTP date (RFC 9110, 10.2.3); 0 if it is
    missing, past or unreadable. A date is measured against the header Date, because the clock of
    this machine may be wrong."""
    retry_after = response.headers.get("Retry-After", "")
    try:
        seconds = float(retry_after.replace("_", "?"))  # float() would take 1_0
    except ValueError:
        moment = _moment(retry_after)
        sent_at = _moment(response.headers.get("Date", "")) or now
        seconds = (moment - sent_at).total_seconds() if moment else 0.0
    return 0.0 if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_WAIT_S)


def quota_of(response: Response) -> tuple[int, int] | None:
    """How many calls a period has, and how many of them are left, if the service says so."""
    names = ("X-RateLimit-Limit", "X-RateLimit-Remaining")
    limit, left = (_COUNT.fullmatch(response.headers.get(name, "")) for name in names)
    return (int(limit[0]), int(left[0])) if limit and left and int(limit[0]) else None


def excerpt(text: str) -> str:
    """One line of a foreign text, cut to a bearable length; addresses in it are masked."""
    line = addresses.masked(" ".join(text[:SEARCHED].split()))
    return line if len(line) <= EXCERPT else line[: EXCERPT - 1] + "…"


def _retry(response: Response, service: Service, said: str, where: str, now: datetime) -> Exception:
    wait_s = seconds_to_wait(response, now)
    # What failed, or a gateway that gave up waiting, says nothing of the work before it.
    outcome_unknown = response.status == 408 or response.status >= 500
    # Only a 429 means that the day is used up: a 5xx that mentions its limit may pass.
    if response.status == 429 and service.daily_limit.search(response.text):
        back_at = _back_at(now, wait_s) if wait_s else "midnight in the account's time zone"
        remedy = f"Run it again after {back_at}."
        return errors.ServiceDown(f"{where}: the daily limit is used up. {remedy} ({said})")
    if wait_s > (BRIEF_S if service.is_brief else WAIT_BUDGET_S):
        return errors.ServiceDown(
            f"{where}: it asks for a wait of {wait_s:,.0f} s."
            f" Run it again after {_back_at(now, wait_s)}. ({said})",
            outcome_unknown,
        )
    is_limit, wait_s = response.status == 429, max(wait_s, service.min_wait_s(response))
    reason = "too many calls" if is_limit else "it could not answer"
    return TryAgain(reason, wait_s, outcome_unknown, is_limit, said)


def _moment(http_date: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(http_date)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _back_at(now: datetime, wait_s: float) -> str:
    """Rounded up to the minute."""
    return words.format_moment(now + timedelta(seconds=wait_s + 59))


def _detail(response: Response, service: Service) -> str:
    """What the service says of the error; may be ""."""
    if response.data is None:
        return excerpt(response.text)
    parts = (*service.error_details(response.data), *_said(response.data))
    words = (part.strip().rstrip(".") for part in parts)
    return excerpt(": ".join(dict.fromkeys(words)))  # services repeat themselves


def _said(data: JsonObject) -> Iterator[str]:
    """The shape that most services share: `type` and `message`, at the top or within `error`."""
    error = data.get("error")
    for source in (error if isinstance(error, dict) else {}, data):
        for key in ("type", "message"):
            if isinstance(source.get(key), str):
                yield source[key]
    if isinstance(error, str):
        yield error
