"""The HTTP layer against a real socket: what it sends, refuses to send, and makes of faults."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import tracemalloc
import zlib
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from core import VERSION
from core.errors import CallRejected, Interrupted, NotSent, ServiceDown, ServiceError
from core.settings import Secret
from sandbox import Fault, PredictLeads, Sandbox
from tests.helpers import FakeClock
from transport import http_client
from transport.http_client import MAX_ATTEMPTS, HttpClient
from transport.response import Service
from transport.throttle import HEADROOM, SLOWED

Connect = Callable[..., HttpClient]
SERVICE = Service(
    "PredictLeads", lambda _response: "", read_only_posts=re.compile(r"/crm/.+/(search|batch/read)")
)


@pytest.fixture
def sandbox(clock: FakeClock) -> Iterator[Sandbox]:
    with Sandbox(predictleads=PredictLeads({"a.example": None}), clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
def connect(sandbox: Sandbox, clock: FakeClock) -> Iterator[Connect]:
    with contextlib.ExitStack() as stack:

        def make(dry_run: bool = False, url: str = "") -> HttpClient:
            settings = sandbox.settings
            keys = {
                "X-Api-Key": Secret(settings["PREDICTLEADS_API_KEY"]),
                "X-Api-Token": Secret(settings["PREDICTLEADS_API_TOKEN"]),
            }
            url = url or settings["PREDICTLEADS_BASE_URL"]
            client = HttpClient(SERVICE, url, keys, 10, clock=clock, dry_run=dry_run)
            stack.callback(client.close)
            return client

        yield make


FOLLOW = ("POST", "/companies/b.example/follow", "follow b.example")
LIST = ("GET", "/followings", "followings")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/companies/a.example/follow"),
        ("POST", "/crm/v3/objects/companies"),
        ("POST", "/crm/v3/objects/companies/batch/create"),
        ("POST", "/companies/search/follow"),
        ("POST", "/crm/v3/objects/companies/search/x"),
        ("POST", "/v3/crm/v3/objects/companies/search"),
        ("PUT", "/crm/v3/objects/companies/search"),
        ("PATCH", "/x"),
        ("DELETE", "/x"),
    ],
)
def test_a_dry_run_sends_no_write_whoever_asks(
    connect: Connect, sandbox: Sandbox, method: str, path: str
) -> None:
    with pytest.raises(RuntimeError, match="would write, and this is a dry run"):
        connect(dry_run=True).request(method, path, "a write")
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/followings"),
        ("POST", "/crm/v3/objects/companies/search"),
        ("POST", "/crm/objects/2026-03/contacts/batch/read"),
    ],
)
def test_a_dry_run_reads(connect: Connect, sandbox: Sandbox, method: str, path: str) -> None:
    with contextlib.suppress(CallRejected):
        connect(dry_run=True).request(method, path, "a read")
    assert len(sandbox.requests) == 1


def test_keys_travel_in_headers_only_and_netrc_does_not_replace_them(
    connect: Connect, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else")
    monkeypatch.setenv("NETRC", str(netrc))
    connect().read(*LIST, params={"page": 1})
    (request,) = sandbox.requests
    assert request.headers["X-Api-Key"] == sandbox.predictleads.api_key
    assert request.headers["Authorization"] is None
    assert request.query == {"page": "1"}


def test_no_cookies_are_kept(connect: Connect, sandbox: Sandbox) -> None:
    cookie = {"Set-Cookie": "session=1"}
    sandbox.faults = [Fault("status", times=1, status=200, body="{}", headers=cookie)]
    client = connect()
    client.read(*LIST)
    client.read(*LIST)
    assert sandbox.requests[1].headers["Cookie"] is None


def test_a_proxy_from_the_environment_is_used(
    connect: Connect, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{sandbox.port}")
    proxies = connect(url="https://shop.example")._session.merge_environment_settings(
        "https://shop.example", {}, None, None, None
    )["proxies"]
    assert proxies["https"] == f"http://127.0.0.1:{sandbox.port}"


@contextlib.contextmanager
def server(*answers: bytes, tls: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[bytes]]]:
    """Its port, and what it hears: one connection for each answer. With `tls` it understands what
    it hears, and answers in the plain all the same."""
    heard: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        for answer in answers:
            with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
                connection = stack.enter_context(listener.accept()[0])
                if tls:
                    connection = stack.enter_context(tls.wrap_socket(connection, True))
                heard.append(connection.recv(65_536))
                os.write(connection.fileno(), answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=[listener])
        thread.start()
        try:
            yield listener.getsockname()[1], heard
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize(
    ("status", "tries", "kind", "words"),
    [
        ("407 Proxy Authentication Required", 1, ServiceDown, "refuses the connection. Check"),
        ("403 Forbidden", 1, ServiceDown, "refuses the connection. Check"),
        ("502 Bad Gateway", MAX_ATTEMPTS, ServiceError, "refuses the connection, after 6 tries"),
    ],
)
def test_a_proxy_that_refuses_the_tunnel_is_named_and_no_write_counts_as_sent(
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    status: str,
    tries: int,
    kind: type[ServiceError],
    words: str,
) -> None:
    with server(*[f"HTTP/1.1 {status}\r\n\r\n".encode()] * tries) as (port, heard):
        monkeypatch.setenv("https_proxy", f"http://user:secret@127.0.0.1:{port}")
        with pytest.raises(kind) as caught:
            connect(url="https://shop.example").request(*FOLLOW)
    assert f"the proxy 127.0.0.1:{port} {words}" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert not caught.value.outcome_unknown
    assert len(heard) == tries
    assert not any(b"X-Api-Key" in each for each in heard)


@pytest.mark.parametrize("proxy", ["http://user:secret@127.0.0.1:1", "http://nowhere.invalid:80"])
def test_a_proxy_that_is_not_there_is_named(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("https_proxy", proxy)
    place = proxy.split("//")[1].split("@")[-1]
    with pytest.raises(ServiceError, match=f"cannot connect to the proxy {place}: check") as caught:
        connect(url="https://shop.example").request(*FOLLOW)
    assert not caught.value.outcome_unknown


PLAIN = b"HTTP/1.1 400 Bad Request\r\n\r\n"


def test_every_call_says_who_calls(connect: Connect, sandbox: Sandbox) -> None:
    connect().read(*LIST)
    (request,) = sandbox.requests
    assert request.headers["User-Agent"].startswith(f"crm-sync/{VERSION} python-requests/")


def test_no_proxy_sees_the_keys_on_the_way_to_this_machine_itself(
    connect: Connect, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert "data" in connect().read(*LIST)
    assert len(sandbox.requests) == 1


def test_a_fault_is_retried(connect: Connect, sandbox: Sandbox, clock: FakeClock) -> None:
    sandbox.faults = [Fault("status", times=2, status=503, headers={"Retry-After": "9"})]
    client = connect()
    client.request(*FOLLOW)
    assert client.usage.as_report() == {"calls": 3, "retries": 2, "waited_s": 18.0}
    assert [seconds for seconds in clock.slept if seconds >= 1] == [9.0, 9.0]
    assert len(sandbox.writes) == 1


@pytest.mark.parametrize(
    ("faults", "repeatable", "kind", "words", "outcome_unknown", "sent"),
    [
        ([Fault("status", status=500)], True, ServiceError, "after 6 tries.*500", True, 6),
        ([Fault("redirect")], True, ServiceDown, "the keys must not go there", False, 1),
        ([Fault("reset_after")], False, ServiceError, "after 1 try", True, 1),
        (
            [Fault("reset_after", times=1), Fault("status", status=422)],
            True,
            CallRejected,
            "422",
            True,
            2,
        ),
        (
            [Fault("reset_after", times=1), Fault("status", status=402)],
            True,
            ServiceDown,
            "402",
            True,
            2,
        ),
        ([Fault("status", times=1, status=429)], False, None, "", False, 2),
    ],
)
def test_how_often_a_write_is_tried_and_what_is_known_of_it_then(
    connect: Connect,
    sandbox: Sandbox,
    faults: list[Fault],
    repeatable: bool,
    kind: type[ServiceError] | None,
    words: str,
    outcome_unknown: bool,
    sent: int,
) -> None:
    sandbox.faults = faults
    client = connect()
    if kind is None:
        client.request(*FOLLOW, repeatable=repeatable)
    else:
        with pytest.raises(kind, match=words) as error:
            client.request(*FOLLOW, repeatable=repeatable)
        assert error.value.outcome_unknown is outcome_unknown
    assert len(sandbox.requests) == sent
    assert len(sandbox.writes) <= 1


def test_waits_grow(connect: Connect, sandbox: Sandbox, clock: FakeClock) -> None:
    sandbox.faults = [Fault("status", status=500)]
    with pytest.raises(ServiceError):
        connect().request(*FOLLOW)
    waits = [seconds for seconds in clock.slept if seconds >= 0.5]
    assert all(0.5 <= wait <= 2**number for number, wait in enumerate(waits))


def test_one_429_slows_every_thread(connect: Connect, sandbox: Sandbox, clock: FakeClock) -> None:
    sandbox.faults = [Fault("status", times=1, status=429, headers={"Retry-After": "30"})]
    client = connect()
    client.request(*FOLLOW)
    client.request(*FOLLOW)
    first, second, third = sandbox.requests
    assert second.at - first.at >= 30
    assert third.at - second.at == pytest.approx(0.1 * HEADROOM * SLOWED, rel=0.01)


def test_nothing_is_sent_once_down(connect: Connect, sandbox: Sandbox, clock: FakeClock) -> None:
    sandbox.faults = [Fault("status", times=1, status=401)]
    client = connect()
    with pytest.raises(ServiceDown):
        client.read(*LIST)
    now = clock.now
    with pytest.raises(NotSent, match="401"):
        client.read(*LIST)
    assert len(sandbox.requests) == 1
    assert clock.now == now  # and nobody waits in line for that


def test_nothing_is_sent_after_giving_up_or_the_end(connect: Connect, sandbox: Sandbox) -> None:
    given_up, closed = connect(), connect()
    with pytest.raises(ServiceDown, match="Someone came back") as error:
        given_up.give_up("Someone came back.")
    assert error.value.outcome_unknown
    closed.close()
    for client, words in ((given_up, "Someone came back"), (closed, "the run is over")):
        with pytest.raises(NotSent, match=words):
            client.read(*LIST)
    assert sandbox.requests == []


def test_whoever_waits_in_line_when_the_service_goes_down_sends_nothing(
    connect: Connect, sandbox: Sandbox, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect()
    client.read(*LIST)

    def fail_meanwhile(seconds: float) -> None:
        clock.now += seconds
        with contextlib.suppress(ServiceDown):
            client.give_up("credits used up")

    monkeypatch.setattr(clock, "sleep", fail_meanwhile)
    with pytest.raises(NotSent, match="credits used up"):
        client.read(*LIST)
    assert len(sandbox.requests) == 1


def test_a_stop_before_and_in_retries(connect: Connect, sandbox: Sandbox, clock: FakeClock) -> None:
    client = connect()
    sandbox.on_request = lambda _request: clock.stop()
    sandbox.faults = [Fault("reset_after")]
    with pytest.raises(ServiceError, match="after 1 try") as error:
        client.request(*FOLLOW)
    assert error.value.outcome_unknown
    with pytest.raises(Interrupted):
        connect().request(*FOLLOW)
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("fault", [Fault("drip", pause_s=0.05), Fault("drip_head", pause_s=0.05)])
def test_an_answer_that_dribbles_in_is_given_up(
    connect: Connect, sandbox: Sandbox, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "ANSWER_TIMEOUT_S", 0.05)
    sandbox.faults = [fault]
    with pytest.raises(ServiceError, match="no complete answer in time, after 6 tries"):
        connect().request(*FOLLOW)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "cannot be used, after 6 tries. Run it again later. .no JSON object, but ''"),
        ("null", "after 6 tries.*no JSON object, but 'null'"),
        ('{"data": [', "after 6 tries.*no JSON object, but '{\"data\": \\['"),
        (
            '{"status": "error", "message": "internal error", "correlationId": "id-7"}',
            "after 6 tries.*200 internal error",
        ),
    ],
)
def test_a_broken_answer_to_a_read_is_repeated(
    connect: Connect, sandbox: Sandbox, body: str, words: str
) -> None:
    sandbox.faults = [Fault("body", body=body, times=5)]
    assert "data" in connect().read(*LIST)
    sandbox.faults = [Fault("body", body=body)]
    with pytest.raises(ServiceError, match=words):
        connect().read(*LIST)


def packed(body: bytes, coding: str = "gzip", **more: Any) -> Fault:
    return Fault("status", status=200, body=body, headers={"Content-Encoding": coding}, **more)


BOMB = gzip.compress(gzip.compress(b"[" * 50_000_000))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("status", status=200, body=b"{" + b" " * 9_000_000 + b"}"), "more than 8,388,608"),
        (packed(zlib.compress(b" " * 50_000_000), "deflate"), "more than 8,388,608 bytes"),
        (packed(BOMB, "gzip, gzip"), "packed an answer as nobody asked: 'gzip, gzip'"),
        (packed(BOMB), "no JSON object"),
        (packed(b"{}", "br"), "as nobody asked: 'br'"),
        (Fault("status", status=200, body=b'{"a":' * 400_000), "no JSON object"),
        (Fault("status", status=200, body=b"[" * 400_000), "no JSON object"),
    ],
)
def test_an_answer_that_would_take_all_memory(
    connect: Connect, sandbox: Sandbox, fault: Fault, words: str
) -> None:
    sandbox.faults = [fault]
    with pytest.raises(ServiceError, match=words):
        connect().read(*LIST)


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "body", [b" " * 200_000_000, b"[" + b"[]," * 2_700_000 + b"0]"], ids=["bomb", "lists"]
)
def test_no_answer_takes_much_memory(connect: Connect, sandbox: Sandbox, body: bytes) -> None:
    sandbox.faults = [packed(gzip.compress(body, 1))]
    client = connect()
    tracemalloc.start()
    with pytest.raises(ServiceError):
        client.read(*LIST)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6


def test_what_is_packed_as_asked_is_unpacked(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.faults = [packed(gzip.compress(b'{"a": 1}'), times=1)]
    client = connect()
    assert client.read(*LIST) == {"a": 1}
    assert sandbox.requests[0].headers["Accept-Encoding"] == "gzip"
    sandbox.faults = [packed(zlib.compress(b'{"a": 2}'), "Deflate", times=1)]
    assert client.read(*LIST) == {"a": 2}


@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(b"{}" * 99, mtime=0)[:-9]])
def test_garbled_compression_is_repeated(connect: Connect, sandbox: Sandbox, body: bytes) -> None:
    sandbox.faults = [packed(body, times=1)]
    assert "data" in connect().read(*LIST)
    assert len(sandbox.requests) == 2


@pytest.mark.parametrize("body", ['{"error": {"message": "unknown key KEY"}}', "unknown key KEY"])
@pytest.mark.parametrize("spelled", ["{}", "\\{}", "\\u{:04x}", "\\u{:04X}"])
def test_our_own_keys_are_not_passed_on_even_when_they_are_escaped(
    connect: Connect, sandbox: Sandbox, body: str, spelled: str
) -> None:
    key, tail = sandbox.predictleads.api_token[:-4], sandbox.predictleads.api_token[-4:]
    shown = "".join(spelled.format(ord(c) if "u" in spelled else c) for c in tail)
    sandbox.faults = [Fault("status", status=400, body=body.replace("KEY", key + shown))]
    with pytest.raises(CallRejected, match=r"unknown key \*\*\*") as error:
        connect().read(*LIST)
    assert key not in error.value.body


def test_a_missing_certificate_file(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(ServiceError, match="Check REQUESTS_CA_BUNDLE"):
        connect(url="https://127.0.0.1:1").read(*LIST)


@pytest.mark.parametrize(
    ("url", "proxy", "words"),
    [
        ("http://127.0.0.1:1", "", "cannot connect to http://127.0.0.1:1, after 6 tries"),
        ("https://shop.example", "nonsense://", "is not a valid address"),
        ("https://127.0.0.1:1", "", "cannot connect"),
    ],
)
def test_where_nobody_listens(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, url: str, proxy: str, words: str
) -> None:
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(ServiceError, match=words):
        connect(url=url).read(*LIST)


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """Of a server whose certificate nobody has signed; it lies in the test's folder."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl on this machine to make a certificate with")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout key.pem"
        " -out certificate.pem -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run(command.split(), cwd=str(tmp_path), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    return context


def test_tls_is_always_checked(connect: Connect, tls: ssl.SSLContext) -> None:
    words = r"TLS certificate cannot be verified.*_CA_BUNDLE"
    with server(b"", tls=tls) as (port, heard), pytest.raises(ServiceDown, match=words):
        connect(url=f"https://127.0.0.1:{port}").read(*LIST)
    assert heard == []


@pytest.mark.parametrize("answer", [PLAIN, b""])
def test_a_handshake_that_fails_sends_nothing(connect: Connect, answer: bytes) -> None:
    words = pytest.raises(ServiceError, match="cannot connect securely")
    with server(*[answer] * MAX_ATTEMPTS) as (port, heard), words as caught:
        connect(url=f"https://127.0.0.1:{port}").request(*FOLLOW, repeatable=False)
    assert len(heard) == MAX_ATTEMPTS
    assert not caught.value.outcome_unknown


def test_tls_that_breaks_after_the_request_leaves_the_outcome_unknown(
    connect: Connect, tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is that of a handshake: a plain text where TLS is due."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    words = pytest.raises(ServiceError, match="the connection broke")
    with server(*[PLAIN] * MAX_ATTEMPTS, tls=tls) as (port, heard), words as caught:
        connect(url=f"https://127.0.0.1:{port}").request(*FOLLOW, repeatable=False)
    assert [each.split(b" ")[0] for each in heard] == [b"POST"]
    assert caught.value.outcome_unknown
