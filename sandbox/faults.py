"""Faults to inject: what can go wrong between a client and a service."""

from __future__ import annotations

import json
import re
from typing import Any

from .core import Answer, Request

HTML_PAGE = b"<!DOCTYPE html><html><body><h1>Down for maintenance</h1></body></html>"

# Kind -> the details it takes. The docstring of Fault says what each does.
KINDS = {
    "status": {"status", "body", "headers"},
    "redirect": {"status", "location"},
    "html": {"status"},
    "reset_before": set(),
    "hang": {"seconds"},
    "reset_after": set(),
    "hang_after": {"seconds"},
    "truncate": set(),
    "body": {"body"},
    "edit": {"edit"},
    "drip": {"pause_s"},
    "drip_head": {"pause_s"},
    "early_hints": set(),
    "status_after": {"status", "body", "headers"},
}

BEFORE = ("reset_before", "hang")  # with the canned ones: the service never hears of it


class Fault:
    """Hits requests of one kind; put it in `Sandbox.faults`, where the first that hits wins.

    Kinds that keep the request from being carried out:
      status        answers `status` (500) with `body` (dict, str or bytes) and `headers`
      redirect      answers `status` (302) with `location`
      html          answers `status` (200) with an HTML page in place of JSON
      reset_before  resets the connection
      hang          answers nothing for `seconds`, or until the client or the sandbox goes away
    Kinds after it was carried out:
      reset_after   resets the connection in place of the answer
      hang_after    like hang
      truncate      announces the full length, sends half of the body, and closes
      body          answers 200 with the raw `body`
      edit          answers what `edit(payload)` makes of the JSON answer
      drip          sends the body byte by byte, `pause_s` (0.02) seconds apart
      drip_head     sends a header byte by byte that ends when the client or the sandbox goes away
      early_hints   sends a `103 Early Hints` ahead of the answer
      status_after  like status: what a proxy in front says when the service took too long
    `path` is a regular expression searched in the path (base prefix and query left out).
    `nth` counts matching requests from 1: only that one is hit. `times` is how many are hit,
    from the first (or from the nth) on.
    """

    def __init__(
        self,
        kind: str,
        service: str | None = None,
        method: str | None = None,
        path: str | None = None,
        nth: int | None = None,
        times: int | None = None,
        **details: Any,
    ) -> None:
        if kind not in KINDS or not KINDS[kind].issuperset(details):
            raise ValueError(f"unknown kind of fault, or a detail it does not take: {kind}")
        self.kind, self.service, self.method, self.path = kind, service, method, path
        self.first = nth or 1
        self.last = self.first + times - 1 if times is not None else nth
        self.details = {"pause_s": 0.02, **details} if kind.startswith("drip") else details
        self.kept = 0.5 if kind == "truncate" else 1.0  # of the body
        self.seen = 0

    def hits(self, request: Request) -> bool:
        """Count the request when it matches, and say whether it is one to be hit."""
        if self.service not in (None, request.service) or self.method not in (None, request.method):
            return False
        if self.path is not None and not re.search(self.path, request.path):
            return False
        self.seen += 1
        return self.first <= self.seen and (self.last is None or self.seen <= self.last)

    def canned(self) -> Answer | None:
        """The answer given without asking the service, or None for every other kind."""
        take = self.details.get
        if self.kind == "redirect":
            return Answer(take("status", 302), b"", (("Location", str(take("location", "/"))),))
        if self.kind == "html":
            return Answer(take("status", 200), HTML_PAGE, (("Content-Type", "text/html"),))
        return self._status() if self.kind == "status" else None

    def _status(self) -> Answer:
        take = self.details.get
        headers = tuple(take("headers", {}).items())
        return Answer(take("status", 500), _raw(take("body")), headers)

    def reply(self, answer: Answer) -> Answer:
        """What is sent in place of the service's own answer."""
        if self.kind == "body":
            return answer._replace(status=200, payload=_raw(self.details.get("body")))
        if self.kind == "status_after":
            return self._status()
        if self.kind == "edit":
            payload = json.loads(json.dumps(answer.payload))
            return answer._replace(payload=self.details["edit"](payload))
        return answer


def _raw(body: Any) -> bytes:
    if isinstance(body, str):
        return body.encode()
    return body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
