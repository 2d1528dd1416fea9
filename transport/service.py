"""What the HTTP client must know of a service: a value that the service's own client declares."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Callable, Dict, Iterator, Mapping, NamedTuple, Pattern

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
