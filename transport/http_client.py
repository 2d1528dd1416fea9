"""The one way out: session, throttle, retries and the dry-run gate that every service shares."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any, Callable, Iterator, Mapping, NoReturn

from core.clock import Clock
from core.errors import (
    BadAnswer,
    CallRejected,
    Interrupted,
    ListChanged,
    NotSent,
    ServiceDown,
    ServiceError,
)
from core.log import log
from core.settings import Secret
from core.words import count
from transport.response import TryAgain, excerpt, json_object, problem_of
from transport.service import JsonObject, Response, Service
from transport.throttle import Throttle

if TYPE_CHECKING:  # imported where they are used: `--help` must not wait for them
    import requests
    from tenacity import RetryCallState

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 30.0  # without a byte
MAX_BODY_BYTES = 32 * 1024 * 1024  # a full page of any service here is under 1 MB
MAX_ATTEMPTS = 6
MAX_REFUSALS = 30  # of one call (429): the pace adapts meanwhile, so they are no failures
MAX_BACKOFF_S = 30.0
LONG_WAIT_S = 5.0  # from here on a wait is told to everyone, not only with -v
POOL_SIZE = 32  # connections kept open to one service
MIN_SCRUBBED = 8  # characters; anything shorter is no secret and could stand in any text


class Usage:
    """What was asked of one service: calls sent, how many of them were repeats, and the seconds
    that calls waited because it refused or failed (the throttle's own pace is not counted)."""

    def __init__(self) -> None:
        self.calls = 0
        self.retries = 0
        self.waited_s = 0.0

    def as_report(self) -> dict[str, float]:
        return {
            "calls": self.calls,
            "retries": self.retries,
            "waited_s": round(self.waited_s, 1),
        }


class HttpClient:
    """JSON calls to one service, from any number of threads.

    With `dry_run` whatever is not known to be a read raises RuntimeError instead of being sent,
    whoever asks for it. Once a call has shown that the service is down, every later one raises
    NotSent.
    """

    def __init__(
        self,
        service: Service,
        base_url: str,
        auth_headers: Mapping[str, Secret],
        calls_per_second: float,
        *,
        clock: Clock,
        dry_run: bool,
    ) -> None:
        self.service = service
        self.usage = Usage()
        self._base_url = base_url
        self._secrets = [secret.reveal().split()[-1] for secret in auth_headers.values()]
        self._clock = clock
        self._dry_run = dry_run
        self._throttle = Throttle(calls_per_second, clock, service.rate_limit)
        self._session = _session(auth_headers)
        if base_url.startswith("http:"):  # this machine itself: no proxy has to see the keys
            self._session.trust_env = False
        self._down: ServiceDown | None = None
        self._lock = threading.Lock()

    def read(self, method: str, path: str, call: str, **content: Any) -> JsonObject:
        """Like `request`, for an answer that must be a JSON object; raises BadAnswer if not."""
        response = self.request(method, path, call, **content)
        if response.data is None:
            self.bad_answer(call, f"no JSON object, but {excerpt(response.text)!r}")
        return response.data

    def request(
        self,
        method: str,
        path: str,
        call: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: JsonObject | None = None,
        repeatable: bool = True,
        optional: bool = False,
    ) -> Response:
        """Make one call, named `call` in messages, and repeat it while that can help.

        With `repeatable=False` a call that may have been carried out is not sent a second time.
        The failure of an `optional` one does not keep later calls from being made.

        Raises CallRejected when this one call is refused, ServiceError when it failed to the end,
        ServiceDown when no other call would do better (`outcome_unknown` of these: it may have been
        carried out), Interrupted or NotSent when it was never made.
        """
        if self._dry_run and not self.service.only_reads(method, path):
            raise RuntimeError(f"{method} {path} ({call}) would write, and this is a dry run")

        def attempt() -> Response:
            return self._attempt(method, path, call, params, body)

        try:
            return self._repeat(attempt, call, repeatable)
        except ServiceDown as error:
            if not optional:
                self._down = self._down or error
            raise

    def bad_answer(self, call: str, what: str, after_write: bool = False) -> NoReturn:
        """Raise BadAnswer: `what` says why an answer that came cannot be used."""
        raise BadAnswer(self._unusable(call, what), outcome_unknown=after_write)

    def list_changed(self, call: str, what: str) -> NoReturn:
        """Raise ListChanged: `what` shows that a list has changed while its pages were read."""
        raise ListChanged(self._unusable(call, f"{what}; run it again"))

    def _unusable(self, call: str, what: str) -> str:
        return f"{self.service.name}, {call}: the answer cannot be used: {what}."

    def give_up(self, text: str) -> NoReturn:
        """Let no more calls be made after one that wrote, and raise ServiceDown with the text."""
        self._down = self._down or ServiceDown(text, outcome_unknown=True)
        raise self._down

    def reopen(self) -> None:
        """Let calls be made again: a service that refuses to change anything may still be read."""
        self._down = None

    def has_room(self) -> bool:
        """Whether a call could start at once: the calls under way do not use up the set rate."""
        return self._throttle.has_room()

    def close(self) -> None:
        """No more calls: a thread that still wants to make one gets NotSent."""
        self._down = self._down or ServiceDown(f"{self.service.name}: the run is over.")
        self._session.close()

    def _repeat(self, attempt: Callable[[], Response], call: str, repeatable: bool) -> Response:
        import tenacity

        lost: TryAgain | None = None  # the last attempt that may have been carried out

        def can_help(error: BaseException) -> bool:
            nonlocal lost
            if not isinstance(error, TryAgain):
                return False
            lost = error if error.outcome_unknown else lost
            return repeatable or not error.outcome_unknown

        backoff = tenacity.wait_random_exponential(multiplier=1, max=MAX_BACKOFF_S, min=0.5)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(can_help),
            stop=lambda state: state.attempt_number >= _attempts(state),
            wait=lambda state: max(backoff(state), _problem(state).wait_s),
            before_sleep=lambda state: self._before_wait(state, call),
            sleep=self._clock.sleep,
            reraise=True,
        )
        try:
            return retrying(attempt)._replace(is_repeat=lost is not None)
        except TryAgain as problem:
            last, tries = problem, retrying.statistics["attempt_number"]
        except (Interrupted, NotSent):  # before the attempt that was to come
            if lost is None:
                raise
            last, tries = lost, retrying.statistics["attempt_number"] - 1
        except (CallRejected, ServiceError) as refusal:  # of the last attempt alone
            refusal.outcome_unknown |= lost is not None
            raise
        raise ServiceError(
            f"{self.service.name}, {call}: {last}, after {count(tries, 'try', 'tries')}."
            " Run it again later.",
            outcome_unknown=lost is not None,
        )

    def _before_wait(self, state: RetryCallState, call: str) -> None:
        problem = _problem(state)
        wait_s = state.next_action.sleep if state.next_action else 0.0
        if problem.rate_limited:
            self._throttle.refused(wait_s)
        with self._lock:
            self.usage.retries += 1
            self.usage.waited_s += wait_s
        level = logging.INFO if wait_s >= LONG_WAIT_S else logging.DEBUG
        log.log(level, "%s, %s: %s; next try in %.1f s", self.service.name, call, problem, wait_s)

    def _attempt(
        self,
        method: str,
        path: str,
        call: str,
        params: Mapping[str, Any] | None,
        body: JsonObject | None,
    ) -> Response:
        self._not_when_down()  # nobody waits in line for nothing
        self._throttle.wait()
        self._not_when_down()
        with self._lock:
            self.usage.calls += 1
        response = self._send(method, path, params, body)
        log.debug("%s, %s: %s %s -> %d", self.service.name, call, method, path, response.status)
        if response.room:
            self._throttle.update_from_headers(response.room)
        problem = problem_of(response, self.service, call, self._clock.utcnow())
        if problem:
            raise problem
        self._throttle.went_well()
        return response

    def _not_when_down(self) -> None:
        if self._down:
            raise NotSent(str(self._down))

    def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        body: JsonObject | None,
    ) -> Response:
        """Exactly one call on the wire."""
        import urllib3

        try:
            with self._session.request(
                method,
                self._base_url + path,
                params=params,
                json=body,
                timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
                allow_redirects=False,  # requests would take X-Api-Key along to the other host
                stream=True,
            ) as response:
                text = self._read_body(response)
        except (OSError, urllib3.exceptions.HTTPError) as error:  # requests' errors are OSErrors
            raise self._connection_problem(error) from None  # its text may hold a proxy's password
        headers = response.headers
        retry_after, date = headers.get("Retry-After"), headers.get("Date")
        allowance = self.service.rate_limit
        room = allowance.room(headers) if allowance else None
        return Response(response.status_code, text, json_object(text), retry_after, date, room)

    def _read_body(self, response: requests.Response) -> str:
        """The body, bounded in size, and without our own keys should they come back."""
        body = bytearray()
        while chunk := response.raw.read1(65536, decode_content=True):
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                name = self.service.name
                raise BadAnswer(f"{name} sent more than {MAX_BODY_BYTES:,} bytes at once.")
        return self._scrub(body.decode("utf-8-sig", "replace"))

    def _scrub(self, text: str) -> str:
        data = json_object(text) if "\\" in text else None
        if data is not None:  # JSON can write any character as an escape
            text = json.dumps(data, ensure_ascii=False)
        for secret in self._secrets:
            if len(secret) >= MIN_SCRUBBED:
                text = text.replace(secret, "***")
        return text

    def _connection_problem(self, error: Exception) -> Exception:
        """What an error of requests or urllib3 means: they wrap the reason several times."""
        import requests
        import urllib3.exceptions as errors

        name = self.service.name
        reasons = list(_reasons(error))

        def is_any(*kinds: type) -> bool:
            return any(isinstance(reason, kinds) for reason in reasons)

        if is_any(ssl.SSLCertVerificationError):
            return ServiceDown(
                f"{name}: its TLS certificate cannot be verified. Behind a company proxy,"
                " let REQUESTS_CA_BUNDLE name the file with the proxy's certificate."
            )
        if not isinstance(error, (requests.RequestException, errors.HTTPError)):
            return ServiceDown(f"{name}: {error}. Check REQUESTS_CA_BUNDLE.")
        if isinstance(error, ValueError):  # requests: an impossible address or proxy
            return ServiceDown(
                f"{name}: {self._base_url} or the proxy in the environment is no usable address."
            )
        if is_any(socket.gaierror, errors.NameResolutionError):
            return TryAgain(
                f"the name in {self._base_url} cannot be resolved: check the address, and whether"
                " this machine has a network"
            )
        if is_any(errors.NewConnectionError, errors.ConnectTimeoutError):
            return TryAgain(f"cannot connect to {self._base_url}")
        if is_any(errors.TimeoutError, socket.timeout):
            return TryAgain("no answer, or not all of it, in time", outcome_unknown=True)
        return TryAgain("the connection broke before the answer was complete", outcome_unknown=True)


def _problem(state: RetryCallState) -> TryAgain:
    """Why the attempt that has just ended is to be repeated."""
    problem = state.outcome.exception() if state.outcome else None
    assert isinstance(problem, TryAgain)
    return problem


def _attempts(state: RetryCallState) -> int:
    return MAX_REFUSALS if _problem(state).rate_limited else MAX_ATTEMPTS


def _reasons(error: BaseException | None) -> Iterator[BaseException]:
    """The error and whatever it wraps."""
    if error is not None:
        yield error
        wrapped = (getattr(error, "reason", None), error.__cause__, *error.args)
        for each in wrapped:
            if isinstance(each, BaseException):
                yield from _reasons(each)


def _session(auth_headers: Mapping[str, Secret]) -> requests.Session:
    from http.cookiejar import DefaultCookiePolicy

    import requests

    from transport.connection import BoundedAdapter

    def authenticate(request: requests.PreparedRequest) -> requests.PreparedRequest:
        for name, secret in auth_headers.items():
            request.headers[name] = secret.reveal()
        return request

    session = requests.Session()
    # As `auth`, and not among the headers: else requests would prefer what ~/.netrc says.
    session.auth = authenticate
    session.headers["Accept"] = "application/json"
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.mount("https://", BoundedAdapter(pool_maxsize=POOL_SIZE))
    session.mount("http://", BoundedAdapter(pool_maxsize=POOL_SIZE))
    return session
