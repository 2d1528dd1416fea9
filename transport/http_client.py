"""The one way out: session, pace, retries and the dry-run gate that every service shares."""

from __future__ import annotations

import functools
import http.client
import logging
import re
import socket
import ssl
import threading
import traceback
import zlib
from dataclasses import asdict, dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Callable, Iterator, Mapping, NoReturn
from urllib.parse import unquote

import requests
import tenacity
from requests.adapters import HTTPAdapter
from urllib3 import exceptions as urllib3_errors

from core import VERSION, errors, log, settings, words
from core.clock import Clock
from transport import response, threads, throttle
from transport.response import JsonObject, Response, Service, TryAgain

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 30.0  # without a byte
ANSWER_TIMEOUT_S = 120.0  # from the request to the last byte: some answers dribble in for ever
MAX_BODY_BYTES = 8 * 1024 * 1024  # unpacked; a full page of any service here is under 1 MB
MAX_ATTEMPTS, BRIEF_ATTEMPTS = 6, 2
MAX_REFUSALS = 30  # of one call (429): the pace adapts meanwhile, so they are no failures
BACKOFF = tenacity.wait_random_exponential(multiplier=1, max=30, min=0.5)
LONG_WAIT_S = 5.0  # from here on a wait is told to everyone, not only with -v
POOL_SIZE = 32  # connections kept open to one service
# How Python tells a proxy's answer.
_TUNNEL = re.compile(r"Tunnel connection failed: ([0-9]{3}[^')]{0,60})")
NOTHING = settings.Secret("")
MIN_SCRUBBED = 8  # characters; anything shorter is no secret and could stand in any text


@dataclass
class Usage:
    """Calls sent to one service, how many of them were repeats, and the seconds that calls waited
    because it refused or failed (the pace itself is not counted)."""

    calls: int = 0
    retries: int = 0
    waited_s: float = 0.0

    def as_report(self) -> dict[str, float]:
        return {**asdict(self), "waited_s": round(self.waited_s, 1)}


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
        auth_headers: Mapping[str, settings.Secret],
        calls_per_second: float,
        *,
        clock: Clock,
        dry_run: bool,
        hidden: settings.Secret = NOTHING,
    ) -> None:
        self.service = service
        self.usage = Usage()
        self.base_url = base_url
        # A path that the paths of calls follow, and perhaps a query; no message shows any of it.
        self._hidden = hidden
        self._clock = clock
        self._dry_run = dry_run
        self._throttle = throttle.Throttle(calls_per_second, clock, service.quota_period_s)
        self._session = _session(auth_headers)
        self._session.headers.update(service.headers)
        # http leads to this machine itself: no proxy has to see the keys.
        self._session.trust_env = not base_url.startswith("http:")
        keys = [key.reveal().split()[-1] for key in auth_headers.values()]
        parts = re.split("[/?&=]", f"{hidden.reveal()}/{unquote(hidden.reveal())}")
        self._our_keys = _any_of([*keys, *parts])
        self._down: errors.ServiceDown | None = None
        self._counting = threading.Lock()

    def read(self, method: str, path: str, call: str, **content: Any) -> JsonObject:
        """Like `request`, for an answer that must be a JSON object: one that is not, or that says
        {"status": "error"}, is repeated."""
        return self.request(method, path, call, is_read=True, **content).data or {}

    def request(
        self,
        method: str,
        path: str,
        call: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: object = None,
        repeatable: bool = True,
        optional: bool = False,
        is_read: bool = False,
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
        content = {"params": params, "json": body}
        attempt = functools.partial(self._attempt, method, path, call, is_read, **content)
        try:
            return self._repeat(attempt, call, repeatable)
        except errors.ServiceDown as error:
            if not optional:
                self._down = self._down or error
            raise

    def bad_answer(self, call: str, what: str, after_write: bool = False) -> NoReturn:
        """Raise BadAnswer: `what` says why an answer that came cannot be used."""
        text = (
            f"{self.service.name}, {call}: the answer cannot be used: {what}. Run it again later."
        )
        raise errors.BadAnswer(text, outcome_unknown=after_write)

    def list_changed(self, call: str, what: str) -> NoReturn:
        """Raise ListChanged: `what` shows that a list has changed while its pages were read."""
        text = f"{self.service.name}, {call}: the list changed while it was read ({what})."
        raise errors.ListChanged(text)

    def give_up(self, text: str) -> NoReturn:
        """Let no more calls be made after one that wrote, and raise ServiceDown with the text."""
        self._down = self._down or errors.ServiceDown(text, outcome_unknown=True)
        raise self._down

    def reopen(self) -> None:
        """Let calls be made again: a service that refuses to change anything may still be read."""
        self._down = None

    def has_room(self) -> bool:
        """Whether a call could start at once: the calls under way do not use up the set rate."""
        return self._throttle.has_room()

    def close(self) -> None:
        """No more calls: a thread that still wants to make one gets NotSent."""
        self._down = self._down or errors.ServiceDown(f"{self.service.name}: the run is over.")
        self._session.close()

    def _repeat(self, attempt: Callable[[], Response], call: str, repeatable: bool) -> Response:
        unknown: list[TryAgain] = []  # attempts that may have been carried out

        def can_help(error: BaseException) -> bool:
            if isinstance(error, TryAgain) and error.outcome_unknown:
                unknown.append(error)
            return isinstance(error, TryAgain) and (repeatable or not error.outcome_unknown)

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(can_help),
            stop=self._was_last,
            wait=_wait_s,
            before_sleep=functools.partial(self._note_wait, call),
            sleep=self._clock.sleep,
            reraise=True,
        )
        try:
            return retrying(attempt)._replace(is_repeat=bool(unknown))
        except TryAgain as error:
            problem, tries = error, retrying.statistics["attempt_number"]
        except (errors.Interrupted, errors.NotSent):  # before the attempt that was to come
            if not unknown:
                raise
            problem, tries = unknown[-1], retrying.statistics["attempt_number"] - 1
        except (errors.CallRejected, errors.ServiceError) as refusal:  # of the last attempt alone
            refusal.outcome_unknown |= bool(unknown)
            raise
        raise errors.ServiceError(
            f"{self.service.name}, {call}: {problem.reason}, after"
            f" {words.count(tries, 'try', 'tries')}. Run it again later."
            f"{response.in_brackets(problem.said)}",
            outcome_unknown=bool(unknown),
        )

    def _was_last(self, state: tenacity.RetryCallState) -> bool:
        most = MAX_REFUSALS if _problem(state).rate_limited else MAX_ATTEMPTS
        return state.attempt_number >= (BRIEF_ATTEMPTS if self.service.is_brief else most)

    def _note_wait(self, call: str, state: tenacity.RetryCallState) -> None:
        problem, wait_s = _problem(state), state.upcoming_sleep
        if problem.rate_limited:
            self._throttle.slow_down(wait_s)
        with self._counting:
            self.usage.retries += 1
            self.usage.waited_s += wait_s
        level = logging.INFO if wait_s >= LONG_WAIT_S else logging.DEBUG
        log.log(level, "%s, %s: %s; next try in %.1f s", self.service.name, call, problem, wait_s)

    def _attempt(
        self, method: str, path: str, call: str, is_read: bool, **content: Any
    ) -> Response:
        self._require_up()  # nobody waits in line for nothing
        self._throttle.wait()
        self._require_up()
        with self._counting:
            self.usage.calls += 1
        sending = threads.start(lambda: self._send(method, path, **content))
        # The thread of a late answer is left alone: nothing else ends a read that goes on for ever.
        timeout_s = response.BRIEF_S if self.service.is_brief else ANSWER_TIMEOUT_S
        if not threads.wait_for_any([sending], timeout_s):
            raise TryAgain("no complete answer in time", outcome_unknown=True)
        answer = sending.result()
        log.debug("%s, %s: %s %s -> %d", self.service.name, call, method, path, answer.status)
        quota = response.quota_of(answer)
        if quota:
            self._throttle.update_from_quota(*quota)
        problem = response.problem_of(answer, self.service, call, self._clock.utcnow())
        if not problem and is_read:
            problem = response.problem_of_read(answer, self.service)
        if problem:
            raise problem
        self._throttle.speed_up()
        return answer

    def _require_up(self) -> None:
        if self._down:
            raise errors.NotSent(str(self._down))

    def _send(self, method: str, path: str, **content: Any) -> Response:
        """Exactly one call on the wire."""
        before, mark, query = self._hidden.reveal().partition("?")
        try:
            with self._session.request(
                method,
                f"{self.base_url}{before}{path}{mark}{query}",
                timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
                allow_redirects=False,  # requests would take X-Api-Key along to the other host
                stream=True,
                **content,
            ) as answer:
                body = self._read_body(answer)
        except (OSError, urllib3_errors.HTTPError, zlib.error) as error:
            raise self._problem_of(error) from None  # its text may hold a proxy's password
        text = response.clean(self._our_keys.sub("***", body.decode("utf-8-sig", "replace")))
        return Response(answer.status_code, text, response.json_object(text), answer.headers)

    def _read_body(self, answer: requests.Response) -> bytearray:
        """Unpacked here, once: some versions of urllib3 unpack again and again, without a bound."""
        name = self.service.name
        coding = answer.headers.get("Content-Encoding", "identity").strip().lower()
        if coding not in ("identity", "gzip", "deflate"):
            raise errors.BadAnswer(f"{name} packed an answer as nobody asked: {coding[:50]!r}.")
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32) if coding != "identity" else None
        body = bytearray()
        while chunk := answer.raw.read(65_536, decode_content=False):
            body += unpacker.decompress(chunk, MAX_BODY_BYTES + 1) if unpacker else chunk
            if len(body) > MAX_BODY_BYTES:
                raise errors.BadAnswer(f"{name} sent more than {MAX_BODY_BYTES:,} bytes at once.")
        if body and unpacker and not unpacker.eof:
            raise zlib.error("cut short")
        return body

    def _problem_of(self, error: Exception) -> Exception:
        """What an error of requests or urllib3 means: they wrap the reason several times."""
        name, url, reasons = self.service.name, self.base_url, list(_reasons(error))

        def is_any(*kinds: type) -> bool:
            return any(isinstance(reason, kinds) for reason in reasons)

        if is_any(ssl.SSLCertVerificationError):
            return errors.ServiceDown(
                f"{name}: its TLS certificate cannot be verified. Behind a company proxy, set"
                " REQUESTS_CA_BUNDLE to the file with the proxy's certificate."
            )
        if is_any(urllib3_errors.ProxyError):
            return self._proxy_problem(" ".join(map(str, reasons)))
        if any(map(_is_of_handshake, reasons)):
            return TryAgain(f"cannot connect securely (TLS) to {url}", said=str(reasons[-1]))
        if not is_any(requests.RequestException, urllib3_errors.HTTPError, zlib.error):
            return errors.ServiceDown(f"{name}: {error}. Check REQUESTS_CA_BUNDLE.")
        if isinstance(error, ValueError):  # of requests: an impossible address or proxy
            return errors.ServiceDown(
                f"{name}: {url}, or the proxy in the environment, is not a valid address."
            )
        if is_any(socket.gaierror, urllib3_errors.NameResolutionError):
            return TryAgain(
                f"the name in {url} cannot be resolved: check the address, and whether this"
                " machine has a network"
            )
        if is_any(urllib3_errors.NewConnectionError, urllib3_errors.ConnectTimeoutError):
            return TryAgain(f"cannot connect to {url}")
        if is_any(urllib3_errors.TimeoutError, socket.timeout):
            return TryAgain("no complete answer in time", outcome_unknown=True)
        return TryAgain("the connection broke before the answer was complete", outcome_unknown=True)

    def _proxy_problem(self, text: str) -> Exception:
        """Of a call that never got past the proxy. `text`: all that is known of it."""
        found = requests.utils.select_proxy(
            self.base_url, requests.utils.get_environ_proxies(self.base_url)
        )
        address = (found or "").rpartition("//")[2]
        proxy = f"the proxy {address.rpartition('@')[2]}"  # without its password
        refused = _TUNNEL.search(text)
        if not refused:
            return TryAgain(f"cannot connect to {proxy}: check HTTPS_PROXY")
        what = f"{proxy} refuses the connection"
        if refused[1].startswith(("403", "407")):
            remedy = f"Check HTTPS_PROXY, and what the proxy allows. ({refused[1]})"
            return errors.ServiceDown(f"{self.service.name}: {what}. {remedy}")
        return TryAgain(what, said=refused[1])


def _problem(state: tenacity.RetryCallState) -> TryAgain:
    """Why the attempt that has just ended is to be repeated."""
    problem = state.outcome.exception() if state.outcome else None
    assert isinstance(problem, TryAgain)
    return problem


def _wait_s(state: tenacity.RetryCallState) -> float:
    return max(BACKOFF(state), _problem(state).wait_s)


def _reasons(error: BaseException) -> Iterator[BaseException]:
    """The error and whatever it wraps."""
    yield error
    for wrapped in (getattr(error, "reason", None), error.__cause__, *error.args):
        if isinstance(wrapped, BaseException):
            yield from _reasons(wrapped)


def _is_of_handshake(error: BaseException) -> bool:
    """Whether TLS failed before a request could be sent. The error's text does not tell: it may be
    the same after one."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_code.co_name == "do_handshake" for frame, _ in frames)


def _any_of(secrets: list[str]) -> re.Pattern[str]:
    """Finds a secret also where JSON writes some of its characters as escapes."""
    spelled = (
        "".join(rf"(?:\\?{re.escape(char)}|\\u(?i:{ord(char):04x}))" for char in secret)
        for secret in secrets
        if len(secret) >= MIN_SCRUBBED
    )
    return re.compile("|".join(spelled) or "(?!)")


class _Answer(http.client.HTTPResponse):
    """Passes over 103 Early Hints and the like, which `http.client` takes for the answer itself."""

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]
        while 100 <= status < 200:
            http.client.parse_headers(self.fp)
            version, status, reason = super()._read_status()  # type: ignore[misc]
        return version, status, reason


# For every connection of this process: those of urllib3, direct or through a proxy, inherit it.
http.client.HTTPConnection.response_class = _Answer


def _session(auth_headers: Mapping[str, settings.Secret]) -> requests.Session:
    def authenticate(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update({name: key.reveal() for name, key in auth_headers.items()})
        return request

    session = requests.Session()
    # As `auth`, and not among the headers: else requests would prefer what ~/.netrc says.
    session.auth = authenticate
    agent = f"crm-sync/{VERSION} {requests.utils.default_user_agent()}"
    headers = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": agent}
    session.headers.update(headers)
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=POOL_SIZE))
    return session
