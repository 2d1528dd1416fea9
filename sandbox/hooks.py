"""Stand-ins of a chat that takes notices and of a monitor that takes signs of life.

https://healthchecks.io/docs/http_api/
"""

from __future__ import annotations

from .core import Answer, Headers, Refusal, Request, Route, Service

SECRET = "T0-notice-secret-4711"
CHECK = "5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278"


class Hooks(Service):
    """`notices`: the texts that came. `beats`: what was called of the monitor, "" at a good end,
    "/start", or "/fail 4" with what came in the body."""

    name = "hooks"
    prefix = "/hooks"

    def __init__(self) -> None:
        super().__init__()
        self.notices: list[str] = []
        self.beats: list[str] = []

    def credentials(self) -> dict[str, str]:
        return {}

    def routes(self) -> list[Route]:
        return [
            ("POST", f"/services/{SECRET}", self._notice),
            ("GET|POST", f"/{CHECK}(|/start|/fail)", self._beat),
        ]

    def admit(self, _request: Request) -> Headers:
        return ()

    def error(self, status: int, message: str) -> Refusal:
        return Refusal(status, message.encode())

    def _notice(self, request: Request) -> Answer:
        body = self.body(request)
        if [*body] != ["text"] or not isinstance(body["text"], str):
            raise self.error(400, "invalid_payload")
        self.notices.append(body["text"])
        return Answer(200, b"ok")

    def _beat(self, request: Request, signal: str) -> Answer:
        self.beats.append(f"{signal} {request.body.decode()}".strip())
        return Answer(200, b"OK")
