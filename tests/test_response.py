from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest

from core.errors import CallRejected, Forbidden, PaymentRequired, ServiceDown
from hubspot_client import SERVICE as HUBSPOT
from mailerlite_client import SERVICE as MAILERLITE
from transport.response import (
    EXCERPT,
    LONGEST_WAIT_S,
    Response,
    Service,
    TryAgain,
    clean,
    json_object,
    problem_of,
    quota_of,
    seconds_to_wait,
)

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=timezone.utc)


ANY = Service("Service", lambda response: "Check the key." if response.status == 401 else "")


def problem(
    status: int, body: Any = "", retry_after: str = "", service: Service = HUBSPOT
) -> Exception | None:
    text = body if isinstance(body, str) else json.dumps(body)
    response = Response(status, text, json_object(text), {"Retry-After": retry_after})
    return problem_of(response, service, "search", NOW)


def waits(**headers: str) -> float:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return seconds_to_wait(Response(429, "", None, named), NOW)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", 0),
        ("7", 7),
        ("1.5", 1.5),
        ("-3", 0),
        ("soon", 0),
        ("nan", 0),
        ("inf", LONGEST_WAIT_S),
        ("99999999999999999999", LONGEST_WAIT_S),
        ("Sat, 21 Nov 2026 08:01:00 GMT", 60),
        ("Sat, 21 Nov 2026 08:01:00 -0000", 60),
        ("Sat, 21 Nov 2026 09:01:00 +0100", 60),
        ("Sat, 21 Nov 2020 08:01:00 GMT", 0),
        ("Sat, 99 Nov 2026 08:01:00 GMT", 0),
    ],
)
def test_retry_after_in_every_form(header: str, seconds: float) -> None:
    assert waits(Retry_After=header) == seconds
    assert waits() == 0


@pytest.mark.parametrize("sent", ["Sat, 21 Nov 2026 07:00:00 GMT", "Sun, 22 Nov 2026 08:00:00 GMT"])
def test_a_wrong_clock_on_this_machine_does_not_matter(sent: str) -> None:
    later = sent.replace(":00 GMT", ":20 GMT")
    assert waits(Retry_After=later, Date=sent) == 20
    assert waits(Retry_After="7", Date=sent) == 7
    assert waits(Retry_After="Sat, 21 Nov 2026 08:01:00 GMT", Date="nonsense") == 60


@pytest.mark.parametrize(
    ("limit", "remaining", "quota"),
    [
        ("120", "7", (120, 7)),
        ("120", "0", (120, 0)),
        ("0", "0", None),
        ("120", "", None),
        ("120", "-1", None),
        ("120", "9" * 5_000, None),
        ("12.5", "\u00b2", None),
    ],
)
def test_what_is_left_of_a_quota(limit: str, remaining: str, quota: tuple[int, int] | None) -> None:
    headers = {"X-RateLimit-Limit": limit, "X-RateLimit-Remaining": remaining}
    assert quota_of(Response(200, "", None, headers)) == quota
    assert quota_of(Response(200, "", None)) is None


@pytest.mark.parametrize(
    ("statuses", "kind", "outcome_unknown"),
    [
        ((200, 204), None, False),
        ((302, 401), ServiceDown, False),
        ((402,), PaymentRequired, False),
        ((403,), Forbidden, False),
        ((400, 404, 409, 423, 477), CallRejected, False),
        ((425, 429), TryAgain, False),
        ((408, 500, 502, 503, 521, 524), TryAgain, True),  # it may have done the work
    ],
)
def test_what_a_status_asks_of_the_caller(
    statuses: tuple[int, ...], kind: type[Exception] | None, outcome_unknown: bool
) -> None:
    for status in statuses:
        found: Any = problem(status, service=ANY)
        assert type(found) is kind if kind else found is None
        assert not found or found.outcome_unknown is outcome_unknown


TEN_SECONDLY = {"policyName": "TEN_SECONDLY_ROLLING"}


@pytest.mark.parametrize(
    ("status", "body", "retry_after", "wait_s"),
    [
        (477, {}, "", 0),
        (488, {}, "", 0),
        (500, {}, "", 0),
        (423, {}, "", 2),
        (429, {"message": "You have reached your secondly limit."}, "", 1),
        (429, TEN_SECONDLY, "", 10),
        (429, TEN_SECONDLY, "20", 20),
    ],
)
def test_hubspot_is_asked_again_after_the_wait_that_it_wants(
    status: int, body: dict[str, str], retry_after: str, wait_s: float
) -> None:
    found = problem(status, body, retry_after)
    assert isinstance(found, TryAgain)
    assert (found.wait_s, found.rate_limited) == (wait_s, status == 429)


def test_the_daily_limit_is_not_waited_for() -> None:
    daily = {"policyName": "DAILY", "message": "You have reached your daily limit."}
    assert "Run it again after midnight in the account's time zone." in str(problem(429, daily))
    assert "Run it again after 21 Nov 2026, " in str(problem(429, daily, "600"))


@pytest.mark.parametrize("service", [HUBSPOT, MAILERLITE, ANY])
@pytest.mark.parametrize("status", [500, 503])
def test_a_failure_that_mentions_the_daily_limit_is_repeated(status: int, service: Service) -> None:
    daily = {"policyName": "DAILY", "message": "You have reached your daily limit."}
    assert isinstance(problem(status, daily, service=service), TryAgain)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"message": "Not so.", "correlationId": "abc"}, "id abc for HubSpot's support: Not so"),
        ({"message": "Changed.", "correctHublet": "eu1"}, "is in HubSpot's region eu1: Changed"),
        ({"error": {"type": "bad", "message": "No."}}, "bad: No"),
        ({"error": "Just text"}, "Just text"),
        ({"errors": [None, {"context": None}, {"context": {}}]}, "400"),
        ("<html>\n<b>Down</b></html>", "400 <html> <b>Down</b></html>)"),
        ("", "(400 Bad Request)"),
        ("x" * 1000, "x" * (EXCERPT - 1) + "…"),
        ({"message": "jo@mail.example is no address"}, "***@mail.example is no address"),
    ],
)
def test_what_the_service_says_is_passed_on(body: Any, said: str) -> None:
    assert said in str(problem(400, body))


def test_what_mailerlite_says_of_each_field() -> None:
    body = {"message": "No.", "errors": {"email": ["Bad address."], "x": None}}
    assert "(422 Bad address: No)" in str(problem(422, body, service=MAILERLITE))
    assert "422 No" in str(problem(422, {"message": "No.", "errors": ["x"]}, service=MAILERLITE))


def test_remedies() -> None:
    assert (
        str(problem(401, service=ANY))
        == "Service, search: the key was rejected. Check the key. (401 Unauthorized)"
    )
    assert str(problem(402, service=ANY)) == "Service, search: not paid for. (402 Payment Required)"
    assert str(problem(403)) == "HubSpot, search: not allowed. (403 Forbidden)"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"x\ud83d", "x\ufffd"),
        (r"\ud83d\ude00 \ude00\ud83d\ude00", "\U0001f600 \ufffd\U0001f600"),
        (r"\\ud83d \\\ud83d\u00fc\/", "\\ud83d \\\ufffd\xfc/"),
    ],
)
def test_half_of_a_character_is_replaced(text: str, found: str) -> None:
    assert json_object(clean(f'{{"a": "{text}"}}')) == {"a": found}


@pytest.mark.parametrize(
    "text", ["", "null", "[1]", "{", "[" * 100_000, f'{{"a": [{"[]," * 300_000}0]}}']
)
def test_what_is_no_json_object(text: str) -> None:
    assert json_object(text) is None
