"""What the HTTP client must know of a service: a value that the service's own client declares."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, Mapping, NamedTuple, Pattern

JsonObject = Dict[str, Any]


class Response(NamedTuple):
    """`data`: the JSON object of the body, None when the body holds none.
    `retry_after`: the header as it came; `date`: when the service sent it, by its own clock;
    `room`: how much of the allowance is left, if the service says so; `is_repeat`: an earlier
    attempt may have been carried out."""

    status: int
    text: str
    data: JsonObject | None
    retry_after: str | None = None
    date: str | None = None
    room: Quota | None = None
    is_repeat: bool = False


class Quota(NamedTuple):
    """Of `limit` calls in a period `remaining` are left, to all apps of the account."""

    limit: int
    remaining: int


class RateLimit(NamedTuple):
    """What all apps of an account share: calls in `period_s` seconds, of which `for_others`, a
    share, is left to them. The headers tell a Quota."""

    period_s: float
    for_others: float
    limit_header: str = "X-RateLimit-Limit"
    remaining_header: str = "X-RateLimit-Remaining"

    def room(self, headers: Mapping[str, str]) -> Quota | None:
        values = (headers.get(self.limit_header), headers.get(self.remaining_header))
        numbers = [int(each) for each in values if each and each.isascii() and each.isdigit()]
        return Quota(*numbers) if len(numbers) == 2 and numbers[0] else None


@dataclass(frozen=True)
class Service:
    """`remedy`: what the user can do about a refusal, as a sentence or "".

    `read_only_posts`: the paths of the POST calls that only read. `retry_statuses`: after which,
    besides those of HTTP, the same call may succeed. `error_details`: what only this service puts
    into the body of an error, in words, the most important first. `min_wait_s`: seconds that it
    wants before the next try when it sends no Retry-After. `daily_limit`: how a 429 reads after
    which there is nothing more before tomorrow. `rate_limit`: if its answers tell how much is
    left."""

    name: str
    remedy: Callable[[Response], str]
    read_only_posts: Pattern[str] | None = None
    retry_statuses: frozenset[int] = frozenset()
    error_details: Callable[[JsonObject], Iterator[str]] = lambda _body: iter(())
    min_wait_s: Callable[[Response], float] = lambda _response: 0.0
    daily_limit: Pattern[str] = re.compile("daily limit", re.IGNORECASE)
    rate_limit: RateLimit | None = None

    def only_reads(self, method: str, path: str) -> bool:
        if method == "POST" and self.read_only_posts:
            return bool(self.read_only_posts.fullmatch(path))
        return method == "GET"
