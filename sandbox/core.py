"""What the services share: requests, answers, rolling rate limits and routing."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
import traceback
from collections import deque
from dataclasses import dataclass
from email.message import Message
from typing import Any, Callable, ClassVar, Dict, NamedTuple, Tuple, TypeVar

K = TypeVar("K")
V = TypeVar("V")

Clock = Callable[[], float]
Headers = Tuple[Tuple[str, str], ...]


@dataclass
class Request:
    """One request as it arrived.

    `path` is without the service's base prefix and still percent-encoded, the values of a
    repeated query key are joined by commas, `headers` ignores the case of a name, `at` is the
    sandbox's clock, and `status` stays None when no answer was sent.
    """

    service: str
    method: str
    path: str
    query: dict[str, str]
    headers: Message
    body: bytes
    status: int | None
    at: float

    def json(self) -> Any:
        """The decoded body; ValueError when it is not JSON."""
        return json.loads(self.body.decode())


class Answer(NamedTuple):
    """A service's answer; `payload` is sent as JSON, bytes as they are.

    `wrote` says that a write call was accepted and carried out, even one that changed nothing.
    """

    status: int
    payload: Any = None
    headers: Headers = ()
    wrote: bool = False


Route = Tuple[str, str, Callable[..., Answer]]


class Refusal(Exception):
    """Leaves a handler early with an error answer."""

    def __init__(self, status: int, payload: Any, headers: Headers = ()) -> None:
        super().__init__(status, payload)
        self.answer = Answer(status, payload, headers)


class Window:
    """Counts calls in a rolling period of seconds; refused calls do not count."""

    def __init__(self, period: float) -> None:
        self.period = period
        self._times: deque[float] = deque()

    def used(self, now: float) -> int:
        """How many calls were counted in the period that ends now."""
        while self._times and self._times[0] <= now - self.period:
            self._times.popleft()
        return len(self._times)

    def take(self, limit: int | None, now: float) -> bool:
        """Count one call, or answer False when `limit` calls were made; None is no limit."""
        room = limit is None or self.used(now) < limit
        self.add(1 if room else 0, now)
        return room

    def add(self, calls: int, now: float) -> None:
        """Count calls without asking whether there is room."""
        self.used(now)
        self._times.extend([now] * calls)

    def wait(self, now: float) -> float:
        """Seconds until the oldest counted call leaves the period."""
        return self._times[0] + self.period - now if self.used(now) else 0.0


def _reported(name: str) -> Any:
    def method(self: Any, *args: Any) -> Any:
        result = getattr(dict, name)(self, *args)
        self._changed()
        return result

    return method


class Watched(Dict[K, V]):
    """A dictionary that reports every change, also in the dictionaries within it.

    Tests edit the services' records in place; this is how a cached search result notices.
    """

    def __init__(self, changed: Callable[[], None], items: Any = ()) -> None:
        super().__init__()
        self._changed = changed
        self.update(items)

    def __setitem__(self, key: K, value: Any) -> None:
        super().__setitem__(
            key, Watched(self._changed, value) if isinstance(value, dict) else value
        )
        self._changed()

    def update(self, *args: Any, **more: Any) -> None:
        for key, value in dict(*args, **more).items():
            self[key] = value

    def setdefault(self, key: K, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def __reduce__(self) -> Any:
        return dict, (dict(self),)  # a copy is an ordinary dictionary

    __delitem__ = _reported("__delitem__")
    pop = _reported("pop")
    popitem = _reported("popitem")
    clear = _reported("clear")


class Service:
    """One service: checks a request, carries it out on its records, and answers.

    Hold `lock` while reading or changing the records from another thread.
    """

    name: ClassVar[str]
    prefix: ClassVar[str]  # of the path, up to what the vendor's base address ends with

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.clock: Clock = time.monotonic

    def credentials(self) -> dict[str, str]:
        """The settings by which the project's scripts log in."""
        raise NotImplementedError

    def routes(self) -> list[Route]:
        """Method, path pattern, handler; the groups of the pattern are passed to the handler."""
        return []

    def admit(self, request: Request) -> Headers:
        """Raise Refusal for bad credentials or a used-up allowance; headers for the answer."""
        raise NotImplementedError

    def error(self, status: int, message: str) -> Refusal:
        """An error in the service's own shape."""
        raise NotImplementedError

    def answer(self, request: Request) -> Answer:
        """Carry the request out, one at a time."""
        headers: Headers = ()
        with self.lock:
            try:
                headers = self.admit(request)
                answer = self._route(request)
            except Refusal as refusal:
                answer = refusal.answer
            except Exception as bug:
                # Without an answer a bug of the sandbox would look like a fault of the network.
                traceback.print_exc(file=sys.stderr)
                answer = self.error(500, f"A bug of the sandbox: {bug!r}").answer
        return answer._replace(headers=answer.headers + headers)

    def _route(self, request: Request) -> Answer:
        for method, pattern, handler in self.routes():
            found = re.fullmatch(pattern, request.path)
            if found and request.method in method.split("|"):
                return handler(request, *found.groups())
        raise self.error(404, "Nothing is served at this method and path.")

    def decoded(self, request: Request) -> Any:
        """The request's JSON, None when it is none."""
        try:
            return request.json()
        except ValueError:
            return None

    def body(self, request: Request) -> dict[str, Any]:
        """The request's JSON object, or a 400."""
        body = self.decoded(request)
        if not isinstance(body, dict):
            raise self.error(400, "The body must be a JSON object.")
        return body

    def entries(self, given: Any, name: str) -> list[dict[str, Any]]:
        """A list of objects, or a 400."""
        if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
            raise self.error(400, f"{name} must be a list of objects.")
        return given

    def whole(self, request: Request, name: str, default: int, lowest: int = 1) -> int:
        """A whole number from the query, or a 400."""
        text = request.query.get(name, str(default))
        if not re.fullmatch("[0-9]{1,18}", text) or int(text) < lowest:
            raise self.error(400, f"{name} must be a whole number from {lowest}, got {text!r}.")
        return int(text)
