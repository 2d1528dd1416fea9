"""Every fault at every call of the company job: exit code and writes, as a table.

`make faults` prints the table; the README shows it, and a test compares the two.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional
from unittest import mock

import sync
from sandbox import Fault, HubSpot, PredictLeads, Sandbox
from tests.conftest import FakeClock
from transport import http_client

CALLS = {
    "property": ("hubspot", "/properties/"),
    "search": ("hubspot", "/search$"),
    "followings": ("predictleads", "^/followings$"),
    "follow": ("predictleads", "/follow$"),
    "unfollow": ("predictleads", "/unfollow$"),
}
DAILY = {"message": "You have reached your daily limit.", "policyName": "DAILY"}
SECONDLY = {"message": "You have reached your secondly limit.", "category": "RATE_LIMITS"}
# What a service that repeats our keys in its errors says in place of the word ECHO.
ECHO = {
    "hubspot": "not you, pat-made-up-token-of-the-sandbox",
    "predictleads": "not you, made-up-key-of-the-sandbox, made-up-token-of-the-sandbox",
}


def status(code: int, times: Any = None, body: Any = None, **headers: str) -> Dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"kind": "status", "status": code, "times": times, "body": body, "headers": named}


FAULTS: Dict[str, Dict[str, Any]] = {
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


class Cell(NamedTuple):
    """What one run with one fault came to; `followed` is what PredictLeads follows then."""

    exit_code: int
    writes: int
    followed: List[str]
    out: str
    err: str
    report: Dict[str, Any]

    def __str__(self) -> str:
        return f"{self.exit_code}, {self.writes} written"


def make_sandbox(clock: FakeClock) -> Sandbox:
    """Shops 1 to 3 match, 3 to 5 are followed: two to follow, two to unfollow."""
    match = {"ecommerce_platform": "shopify", "alexa": "1"}
    companies = [{"name": f"Shop {n}", "domain": f"shop-{n}.example", **match} for n in (1, 2, 3)]
    followings: Dict[str, Optional[str]] = {
        f"shop-{n}.example": f"shop-{n}.example" for n in (3, 4, 5)
    }
    return Sandbox(HubSpot(companies), PredictLeads(followings), clock=clock)


def run_cell(fault: str, call: str) -> Cell:
    service, path = CALLS[call]
    details = {
        name: json.loads(json.dumps(value).replace("ECHO", ECHO[service]))
        for name, value in FAULTS[fault].items()
    }
    clock = FakeClock()
    with make_sandbox(clock) as sandbox, tempfile.TemporaryDirectory() as folder:
        sandbox.faults = [Fault(service=service, path=path, **details)]
        report = Path(folder) / "report.json"
        out, err = io.StringIO(), io.StringIO()
        environment = {**sandbox.settings, "HOME": folder}
        with mock.patch.dict(os.environ, environment, clear=True), mock.patch.object(
            http_client, "READ_TIMEOUT_S", 0.2
        ), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = sync.main(["-v", "--report", str(report)], clock)
        writes = {(request.method, request.path) for request in sandbox.writes}
        followed = sorted(sandbox.predictleads.followings)
        text = report.read_text()
    return Cell(code, len(writes), followed, out.getvalue(), err.getvalue(), json.loads(text))


def table() -> str:
    lines = [
        "| fault | " + " | ".join(CALLS) + " |",
        "|---" * (len(CALLS) + 1) + "|",
    ]
    for fault in FAULTS:
        cells = (str(run_cell(fault, call)) for call in CALLS)
        lines.append(f"| {fault} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
