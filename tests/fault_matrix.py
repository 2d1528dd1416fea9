"""Faults at every call of the jobs: what each run came to, and a table of those of `sync.py`.

`make faults` prints the table; docs/design.md shows it, and a test compares the two. Each cell
is run once, however often it is asked for.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Mapping, NamedTuple, Sequence
from unittest import mock

import sync
import sync_subscribers
from sandbox import Fault, HubSpot, MailerLite, Sandbox
from tests.helpers import SHUNNED, FakeClock, make
from transport import http_client

DAILY = {"message": "You have reached your daily limit.", "policyName": "DAILY"}
SECONDLY = {"message": "You have reached your secondly limit.", "category": "RATE_LIMITS"}


def status(code: int, times: Any = None, body: Any = None, **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"kind": "status", "status": code, "times": times, "body": body, "headers": named}


# ECHO stands for our keys: some services repeat in an error what they were sent.
FAULTS: dict[str, dict[str, Any]] = {
    "500 once": status(500, 1),
    "503, Retry-After: 7, once": status(503, 1, Retry_After="7"),
    "429 of the second, once": status(429, 1, SECONDLY),
    "429, Retry-After as a date, once": status(429, 1, Retry_After="Sat, 21 Nov 2026 08:00:20 GMT"),
    "423 locked, once": status(423, 1),
    "524, work may be done, once": status(524, 1),
    "reset before the work, once": {"kind": "reset_before", "times": 1},
    "reset after the work, once": {"kind": "reset_after", "times": 1},
    "answer cut short, once": {"kind": "truncate", "times": 1},
    "no answer before the work, once": {"kind": "hang", "times": 1},
    "no answer after the work, once": {"kind": "hang_after", "times": 1},
    "500 always": status(500),
    "429 always": status(429),
    "reset after the work, always": {"kind": "reset_after"},
    "429, Retry-After: 3600": status(429, Retry_After="3600"),
    "503, Retry-After next year": status(503, Retry_After="Thu, 31 Dec 2099 23:59:59 GMT"),
    "429, Retry-After unreadable, once": status(429, 1, Retry_After="soon"),
    "daily limit": status(429, body=DAILY),
    "400": status(400, body={"error": {"type": "bad_request", "message": "ECHO"}}),
    "401": status(401, body={"message": "ECHO"}),
    "402 credits used up": status(402),
    "403": status(403),
    "404": status(404, body="ECHO"),
    "422": status(422),
    "redirect": {"kind": "redirect", "status": 302, "location": "http://127.0.0.1:9/elsewhere"},
    "HTML with 200": {"kind": "html"},
    "broken JSON with 200": {"kind": "body", "body": '{"results": [{"id": "10'},
    "results and data null": {
        "kind": "body",
        "body": '{"total": 1, "results": null, "data": null}',
    },
}


# One of each kind that the HTTP layer tells apart; what it makes of the others is the same for all.
KINDS_OF_FAULTS = (
    "429 of the second, once",
    "reset after the work, once",
    "500 always",
    "401",
    "403",
    "404",
    "HTML with 200",
    "results and data null",
)


class Call(NamedTuple):
    service: str
    method: str
    path: str


class Job(NamedTuple):
    """`state`: what the destination holds."""

    main: Callable[[list[str], FakeClock], int]
    calls: Mapping[str, Call]
    faults: Sequence[str]
    make: Callable[[FakeClock], Sandbox]
    state: Callable[[Sandbox], Any]
    settings: Mapping[str, str] = {}
    flags: Sequence[str] = ()


def make_companies(clock: FakeClock) -> Sandbox:
    """Shops 1 to 3 match, 3 to 5 are followed: two to follow, two to unfollow."""
    return make([1, 2, 3], [3, 4, 5], clock)


def make_people(clock: FakeClock) -> Sandbox:
    """Jo is to be created, Al to be updated, and Bo has unsubscribed."""
    emails = [f"{name}@mail.example" for name in ("jo", "al", "bo")]
    contacts = [{"email": email, "firstname": "New"} for email in emails]
    people = [
        {"email": email, "status": status, "fields": {"name": "Old"}}
        for email, status in zip(emails[1:], ("active", "unsubscribed"))
    ]
    mailerlite = MailerLite(people, groups={"7": "Shops"})
    return Sandbox(HubSpot(contacts=contacts), mailerlite=mailerlite, clock=clock)


def people_of(sandbox: Sandbox) -> dict[str, Any]:
    people = sandbox.mailerlite.subscribers.values()
    return {
        each["email"].split("@")[0]: (each["status"], each["fields"]["name"]) for each in people
    }


COMPANIES = Job(
    sync.main,
    {
        "properties": Call("hubspot", "GET", "/properties/"),
        "search": Call("hubspot", "POST", "/search$"),
        "followings": Call("predictleads", "GET", "^/followings$"),
        "follow": Call("predictleads", "POST", "/follow$"),
        "unfollow": Call("predictleads", "POST", "/unfollow$"),
    },
    tuple(FAULTS),
    make_companies,
    lambda sandbox: sorted(sandbox.predictleads.followings),
)
SUBSCRIBERS = Job(
    sync_subscribers.main,
    {
        "properties": Call("hubspot", "GET", "/properties/"),
        "contacts": Call("hubspot", "GET", "/contacts$"),
        "fields": Call("mailerlite", "GET", "^/fields$"),
        "groups": Call("mailerlite", "GET", "^/groups$"),
        "subscribers": Call("mailerlite", "GET", "^/subscribers$"),
        "a subscriber": Call("mailerlite", "POST", "^/subscribers$"),
    },
    KINDS_OF_FAULTS,
    make_people,
    people_of,
    {"MAILERLITE_GROUPS": "7"},
    ("--first-run",),
)
JOBS = {"companies": COMPANIES, "subscribers": SUBSCRIBERS}


class Cell(NamedTuple):
    """What one run with one fault came to, and what the destination holds then."""

    exit_code: int
    writes: int
    state: Any
    out: str
    err: str
    report: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.exit_code}, {self.writes} written"


def keys(sandbox: Sandbox, service: str = "") -> list[str]:
    """Our keys for one service, or for all: no message may show any."""
    return [
        value
        for name, value in sandbox.settings.items()
        if name.startswith(service.upper()) and not name.endswith("_URL")
    ]


@functools.lru_cache(maxsize=None)
def run_cell(job_name: str, fault: str, call_name: str) -> Cell:
    job, clock = JOBS[job_name], FakeClock()
    call = job.calls[call_name]
    with job.make(clock) as sandbox, tempfile.TemporaryDirectory() as folder:
        echo = ", ".join(["not you", *keys(sandbox, call.service)])
        details = {
            name: json.loads(json.dumps(value).replace("ECHO", echo))
            for name, value in FAULTS[fault].items()
        }
        sandbox.faults = [
            Fault(service=call.service, method=call.method, path=call.path, **details)
        ]
        report = Path(folder) / "report.json"
        out, err = io.StringIO(), io.StringIO()
        environment = {**sandbox.settings, **job.settings, "HOME": folder}
        with mock.patch.dict(os.environ, environment, clear=True), mock.patch.object(
            http_client, "READ_TIMEOUT_S", 0.2
        ), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = job.main(["-v", *job.flags, "--report", str(report)], clock)
        # A call that is repeated, because its first answer was lost, writes the same once more.
        writes = {(request.method, request.path, request.body) for request in sandbox.writes}
        state, text = job.state(sandbox), report.read_text()
    assert not SHUNNED.findall(out.getvalue() + err.getvalue())
    return Cell(code, len(writes), state, out.getvalue(), err.getvalue(), json.loads(text))


def table() -> str:
    lines = [
        "| fault | " + " | ".join(COMPANIES.calls) + " |",
        "|---" * (len(COMPANIES.calls) + 1) + "|",
    ]
    for fault in COMPANIES.faults:
        cells = (str(run_cell("companies", fault, call)) for call in COMPANIES.calls)
        lines.append(f"| {fault} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
