"""The one way out: session, throttle, retries and the dry-run gate that every service shares."""

from __future__ import annotations

import logging
import re
import threading
from typing import (
    TYPE_CHECKING,
    AbstractSet,
    Any,
    Callable,
    Dict,
    List,
    Mapping,
    NoReturn,
    Optional,
)

from answers import Answer, JsonObject, TryAgain, excerpt, json_object, problem_of
from clock import Clock
from errors import BadAnswer, Interrupted, NotSent, ServiceError
from secret import Secret
from throttle import Throttle

if TYPE_CHECKING:  # imported where they are used: `--help` must not wait for them
    import requests
    from tenacity import RetryCallState

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 30.0  # without a byte
ANSWER_TIMEOUT_S = 120.0  # for a whole body
MAX_BODY_BYTES = 32 * 1024 * 1024  # a full page of any service here is under 1 MB
MAX_ATTEMPTS = 6
MAX_BACKOFF_S = 30.0
LONG_WAIT_S = 5.0  # from here on a wait is told to everyone, not only with -v
POOL_SIZE = 32  # connections kept open to one service
MIN_SCRUBBED = 8  # characters; anything shorter is no secret and could stand in any text

# POST calls that only read: https://developers.hubspot.com/docs/api-reference/search/guide
_READING_POST = re.compile(r"/crm/.+/(search|batch/read)")

log = logging.getLogger("crm_sync")


class Usage:
    """What was asked of one service: calls sent, how many of them were repeats, and the seconds
    that calls waited because it refused or failed (the throttle's own pace is not counted)."""

    def __init__(self) -> None:
        self.calls = 0
        self.retries = 0
        self.waited_s = 0.0

    def as_report(self) -> Dict[str, float]:
        return {
            "calls": self.calls,
            "retries": self.retries,
            "waited_s": round(self.waited_s, 1),
        }


class HttpClient:
    """JSON calls to one service, from any number of threads.

    `remedies` says what the user can do about a 401, 402 or 403. After a status in `unclear` a
    write may have been carried out. With `dry_run` whatever is not known to be a read raises
    RuntimeError instead of being sent, whoever asks for it. Once a call has failed for the whole
    service, `failure` says so and every later call raises NotSent.
    """

    def __init__(
        self,
        service: str,
        base_url: str,
        auth_headers: Mapping[str, Secret],
        calls_per_second: float,
        *,
        clock: Clock,
        dry_run: bool,
        remedies: Mapping[int, str],
        unclear: AbstractSet[int] = frozenset(),
    ) -> None:
        self.service = service
        self.usage = Usage()
        self._base_url = base_url
        self._secrets = [secret.reveal().split()[-1] for secret in auth_headers.values()]
        self._clock = clock
        self._dry_run = dry_run
        self._remedies = remedies
        self._unclear = unclear
        self._throttle = Throttle(calls_per_second, clock)
        self._session = _session(auth_headers)
        self.failure: Optional[ServiceError] = None
        self._lock = threading.Lock()

    def read(self, method: str, path: str, call: str, **content: Any) -> JsonObject:
        """Like `request`, for an answer that must be a JSON object; raises BadAnswer if not."""
        answer = self.request(method, path, call, **content)
        if answer.data is None:
            self.bad_answer(call, f"no JSON object, but {excerpt(answer.text)!r}")
        return answer.data

    def request(
        self,
        method: str,
        path: str,
        call: str,
        *,
        params: Optional[Mapping[str, Any]] = None,
        body: Optional[JsonObject] = None,
        repeatable: bool = True,
    ) -> Answer:
        """Make one call, named `call` in messages, and repeat it while that can help.

        With `repeatable=False` a call that may have been carried out is not sent a second time.

        Raises CallRejected when this one call is refused, ServiceError when the service is of no
        more use to this run (`answer_lost`: the call may have been carried out), Interrupted or
        NotSent when the call was never made.
        """
        if self._dry_run and not _is_read(method, path):
            raise RuntimeError(f"{method} {path} ({call}) would write, and this is a dry run")

        def attempt() -> Answer:
            return self._attempt(method, path, call, params, body)

        try:
            return self._repeat(attempt, call, repeatable)
        except ServiceError as error:
            self.failure = self.failure or error
            raise

    def bad_answer(self, call: str, what: str, after_write: bool = False) -> NoReturn:
        """Raise BadAnswer: `what` says why an answer that came cannot be used."""
        text = f"{self.service}, {call}: the answer cannot be used: {what}."
        self.give_up(BadAnswer(text, answer_lost=after_write))

    def give_up(self, error: ServiceError) -> NoReturn:
        """Raise the error, and let no more calls be made."""
        self.failure = self.failure or error
        raise error

    def has_room(self) -> bool:
        """Whether a call could start at once: the calls under way do not use up the set rate."""
        return self._throttle.has_room()

    def close(self) -> None:
        """No more calls: a thread that still wants to make one gets NotSent."""
        self.failure = self.failure or ServiceError(f"{self.service}: the run is over.")
        self._session.close()

    def _repeat(self, attempt: Callable[[], Answer], call: str, repeatable: bool) -> Answer:
        import tenacity

        problems: List[TryAgain] = []

        def noted_attempt() -> Answer:
            try:
                return attempt()
            except TryAgain as problem:
                problems.append(problem)
                raise

        def can_help(error: BaseException) -> bool:
            return isinstance(error, TryAgain) and (repeatable or not error.answer_lost)

        backoff = tenacity.wait_random_exponential(multiplier=1, max=MAX_BACKOFF_S, min=0.5)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(can_help),
            stop=tenacity.stop_after_attempt(MAX_ATTEMPTS),
            wait=lambda state: max(backoff(state), problems[-1].wait_s),
            before_sleep=lambda state: self._before_wait(state, call, problems[-1]),
            sleep=self._clock.sleep,
            reraise=True,
        )
        try:
            return retrying(noted_attempt)
        except (TryAgain, Interrupted, NotSent):
            if not problems:  # the call was never made
                raise
        tries = "1 try" if len(problems) == 1 else f"{len(problems)} tries"
        raise ServiceError(
            f"{self.service}, {call}: {problems[-1]}, after {tries}. Run it again later.",
            answer_lost=any(problem.answer_lost for problem in problems),
        )

    def _before_wait(self, state: RetryCallState, call: str, problem: TryAgain) -> None:
        wait_s = state.next_action.sleep if state.next_action else 0.0
        if problem.too_much:
            self._throttle.refused(wait_s)
        with self._lock:
            self.usage.retries += 1
            self.usage.waited_s += wait_s
        level = logging.INFO if wait_s >= LONG_WAIT_S else logging.DEBUG
        log.log(level, "%s, %s: %s; next try in %.1f s", self.service, call, problem, wait_s)

    def _attempt(
        self,
        method: str,
        path: str,
        call: str,
        params: Optional[Mapping[str, Any]],
        body: Optional[JsonObject],
    ) -> Answer:
        self._not_after_a_failure()  # nobody waits in line for nothing
        self._throttle.wait()
        self._not_after_a_failure()
        with self._lock:
            self.usage.calls += 1
        answer = self._send(method, path, params, body)
        log.debug("%s, %s: %s %s -> %d", self.service, call, method, path, answer.status)
        where = f"{self.service}, {call}"
        now = self._clock.utcnow()
        problem = problem_of(answer, where, self._remedies, now, self._unclear)
        if problem:
            raise problem
        self._throttle.went_well()
        return answer

    def _not_after_a_failure(self) -> None:
        if self.failure:
            raise NotSent(str(self.failure))

    def _send(
        self,
        method: str,
        path: str,
        params: Optional[Mapping[str, Any]],
        body: Optional[JsonObject],
    ) -> Answer:
        """Exactly one call on the wire."""
        import requests
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
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise self._connection_problem(error) from None  # its text may hold a proxy's password
        retry_after = response.headers.get("Retry-After")
        return Answer(response.status_code, text, json_object(text), retry_after)

    def _read_body(self, response: requests.Response) -> str:
        """The body, bounded in size and time, and without our own keys should they come back."""
        body, started_at = bytearray(), self._clock.monotonic()
        while chunk := response.raw.read1(65536, decode_content=True):
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise BadAnswer(f"{self.service} sent more than {MAX_BODY_BYTES:,} bytes at once.")
            if self._clock.monotonic() - started_at > ANSWER_TIMEOUT_S:
                raise TryAgain("the answer takes too long to arrive", answer_lost=True)
        text = body.decode("utf-8", "replace")
        for secret in self._secrets:
            if len(secret) >= MIN_SCRUBBED:
                text = text.replace(secret, "***")
        return text

    def _connection_problem(self, error: Exception) -> Exception:
        """What an error of requests or urllib3 means; their classes mix the reasons."""
        import requests

        text = repr(error)
        if "CERTIFICATE_VERIFY_FAILED" in text:
            return ServiceError(
                f"{self.service}: its TLS certificate cannot be verified. Behind a company proxy,"
                " let REQUESTS_CA_BUNDLE name the file with the proxy's certificate."
            )
        if isinstance(error, ValueError):  # requests: an impossible address or proxy
            return ServiceError(
                f"{self.service}: {self._base_url} or the proxy in the environment is no usable"
                " address."
            )
        if isinstance(error, requests.ConnectTimeout) or "NewConnectionError" in text:
            return TryAgain(f"cannot connect to {self._base_url}")
        if "Timeout" in text:
            return TryAgain(f"no answer within {READ_TIMEOUT_S:.0f} s", answer_lost=True)
        return TryAgain("the connection broke before the answer was complete", answer_lost=True)


def _is_read(method: str, path: str) -> bool:
    return method == "GET" or (method == "POST" and bool(_READING_POST.fullmatch(path)))


def _session(auth_headers: Mapping[str, Secret]) -> requests.Session:
    from http.cookiejar import DefaultCookiePolicy

    import requests
    from requests.adapters import HTTPAdapter

    def authenticate(request: requests.PreparedRequest) -> requests.PreparedRequest:
        for name, secret in auth_headers.items():
            request.headers[name] = secret.reveal()
        return request

    session = requests.Session()
    # As `auth`, and not among the headers: else requests would prefer what ~/.netrc says.
    session.auth = authenticate
    session.headers["Accept"] = "application/json"
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.mount("https://", HTTPAdapter(pool_maxsize=POOL_SIZE))
    session.mount("http://", HTTPAdapter(pool_maxsize=POOL_SIZE))
    return session
