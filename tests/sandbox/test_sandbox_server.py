"""The server records what comes in, plays faults, and stops at once."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from datetime import datetime, timezone
from typing import Any

import pytest
import requests

from sandbox import Fault, PredictLeads, Sandbox
from tests.sandbox import sandbox_client
from tests.sandbox.sandbox_client import Client, Clock, Serve

pytestmark = pytest.mark.filterwarnings("error")
clock, serve = sandbox_client.clock, sandbox_client.serve

FOLLOW = "/companies/x.example/follow"


def faulty(serve: Serve, *faults: Fault) -> Client:
    client = serve()
    client.sandbox.faults += faults
    return client


def follow(client: Client, **more: Any) -> requests.Response:
    return client.predictleads("POST", FOLLOW, **more)


def error_of_a_follow(client: Client) -> BaseException:
    """What a bare connection sees; requests would wrap it."""
    connection = http.client.HTTPConnection("127.0.0.1", client.sandbox.port, timeout=5)
    path = f"/predictleads/api/v3{FOLLOW}"
    try:
        connection.request("POST", path, headers=client.headers["PREDICTLEADS"])
        connection.getresponse().read()
    except (OSError, http.client.HTTPException) as error:
        return error
    finally:
        connection.close()
    raise AssertionError("it was answered in full")


def is_followed(client: Client) -> bool:
    return "x.example" in client.sandbox.predictleads.followings


def test_a_path_of_no_service_is_a_404(serve: Serve) -> None:
    client = serve()
    url = f"http://127.0.0.1:{client.sandbox.port}/predictleads/api/v2/followings"
    assert client.session.get(url, timeout=5).status_code == 404
    assert client.sandbox.requests[0].service == ""


def test_a_kept_connection_and_one_send(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    client = serve()
    sends: list[bytes] = []
    send = socket.socket.sendall

    def recorded(self: socket.socket, data: bytes, *flags: int) -> None:
        if data.startswith(b"HTTP/1.1"):
            no_delay = self.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            sends.append(data if no_delay else b"")
        send(self, data, *flags)

    monkeypatch.setattr(socket.socket, "sendall", recorded)
    raw = socket.create_connection(("127.0.0.1", client.sandbox.port), timeout=5)
    with raw:
        for _ in range(2):
            raw.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
            assert raw.recv(65536).startswith(b"HTTP/1.1 404 ")
    assert [data.endswith(b"}") for data in sends] == [True, True]


def test_status_answers_in_place_of_the_service(serve: Serve) -> None:
    body, headers = {"why": "x"}, {"Retry-After": "2"}
    client = faulty(serve, Fault("status", status=477, body=body, headers=headers))
    answer = follow(client)
    assert (answer.status_code, answer.json(), answer.headers["Retry-After"]) == (477, body, "2")
    assert not is_followed(client)
    assert client.sandbox.writes == []
    for raw in ("plain", b"plain"):
        client.sandbox.faults[:] = [Fault("status", body=raw)]
        assert (follow(client).status_code, follow(client).text) == (500, "plain")


def test_redirect_and_html(serve: Serve) -> None:
    client = faulty(serve, Fault("redirect", location="http://127.0.0.1/", times=1), Fault("html"))
    moved, page = follow(client), follow(client)
    assert (moved.status_code, moved.headers["Location"]) == (302, "http://127.0.0.1/")
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html")
    assert page.text.startswith("<!DOCTYPE html>")
    assert not is_followed(client)


@pytest.mark.parametrize(("kind", "done"), [("reset_before", False), ("reset_after", True)])
def test_reset(serve: Serve, kind: str, done: bool) -> None:
    client = faulty(serve, Fault(kind))
    assert type(error_of_a_follow(client)) is ConnectionResetError  # not merely closed
    assert (is_followed(client), len(client.sandbox.writes)) == (done, done)
    assert client.sandbox.requests[0].status is None


@pytest.mark.parametrize(("kind", "done"), [("hang", False), ("hang_after", True)])
def test_hang(serve: Serve, kind: str, done: bool) -> None:
    client = faulty(serve, Fault(kind))
    with pytest.raises(requests.ReadTimeout):
        follow(client, timeout=0.05)
    assert is_followed(client) == done
    client.sandbox.faults[:] = [Fault(kind, seconds=0.01)]
    assert isinstance(error_of_a_follow(client), http.client.RemoteDisconnected)


def test_truncate(serve: Serve) -> None:
    client = faulty(serve, Fault("truncate"))
    error = error_of_a_follow(client)
    assert isinstance(error, http.client.IncompleteRead)
    assert len(error.partial) > 0
    assert error.expected is not None
    assert abs(len(error.partial) - error.expected) <= 1
    assert is_followed(client)


def test_body_and_edit(serve: Serve) -> None:
    def shorten(payload: dict[str, Any]) -> dict[str, Any]:
        del payload["success"]["message"]
        return payload

    client = faulty(serve, Fault("body", body="[1", times=1), Fault("edit", edit=shorten))
    assert (follow(client).text, is_followed(client)) == ("[1", True)
    assert follow(client).json() == {"success": {"type": "follow_successful"}}


class Stopping(threading.Event):
    """Nobody waits; set after so many waits."""

    def __init__(self, after: float = float("inf")) -> None:
        super().__init__()
        self.after = after
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        return len(self.waits) > self.after


def test_drip(serve: Serve) -> None:
    client = faulty(serve, Fault("drip", pause_s=3))
    client.sandbox.stopping = stopping = Stopping()
    assert [3] * len(follow(client).content) == stopping.waits


def raw_follow(client: Client) -> socket.socket:
    """A bare connection that has sent a follow and read nothing yet."""
    connection = socket.create_connection(("127.0.0.1", client.sandbox.port), timeout=5)
    keys = [f"{name}: {value}" for name, value in client.headers["PREDICTLEADS"].items()]
    lines = [f"POST /predictleads/api/v3{FOLLOW} HTTP/1.1", "Host: x", *keys]
    connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
    return connection


def received(connection: socket.socket) -> bytes:
    with connection:
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_header_can_drip_for_ever(serve: Serve) -> None:
    client = faulty(serve, Fault("drip_head", pause_s=3))
    client.sandbox.stopping = stopping = Stopping(300)
    connection = raw_follow(client)
    head, _, padding = received(connection).rpartition(b" ")
    assert (head, padding) == (b"HTTP/1.1 200 OK\r\nX-Padding:", b"x" * 300)
    assert set(stopping.waits) == {3}
    assert is_followed(client)
    assert client.sandbox.requests[0].status is None


def test_stop_ends_a_header_that_drips(serve: Serve) -> None:
    client = faulty(serve, Fault("drip_head", pause_s=60))
    connection = raw_follow(client)
    connection.recv(1)
    client.sandbox.stop()
    assert received(connection).endswith(b"X-Padding: ")


def test_early_hints_come_ahead_of_the_answer(serve: Serve) -> None:
    client = faulty(serve, Fault("early_hints"))
    first, second, body = received(raw_follow(client)).split(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 103 Early Hints\r\n")
    assert second.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"follow_successful" in body
    assert client.sandbox.requests[0].status == 200


def test_status_after_answers_when_the_work_is_done(serve: Serve) -> None:
    client = faulty(serve, Fault("status_after", status=503, body="busy", headers={"X-A": "1"}))
    answer = follow(client)
    assert (answer.status_code, answer.text, answer.headers["X-A"]) == (503, "busy", "1")
    assert is_followed(client)
    assert len(client.sandbox.writes) == 1


def test_the_date_of_an_answer_is_settable(serve: Serve) -> None:
    client = serve()
    assert "Date" not in follow(client).headers
    client.sandbox.date = lambda: datetime(2026, 11, 21, 8, 0, 1, tzinfo=timezone.utc)
    assert follow(client).headers["Date"] == "Sat, 21 Nov 2026 08:00:01 GMT"


def statuses(client: Client, count: int) -> list[int]:
    return [follow(client).status_code for _ in range(count)]


def test_nth_and_times_choose_among_matching_requests(serve: Serve) -> None:
    only: dict[str, Any] = {"service": "predictleads", "method": "POST", "path": "/follow$"}
    client = faulty(serve, Fault("status", nth=2, **only))
    assert client.predictleads("GET", "/followings").status_code == 200
    assert client.mailerlite("POST", "/follow").status_code == 404
    assert client.predictleads("POST", "/follow/x").status_code == 404
    assert statuses(client, 3) == [200, 500, 200]
    client.sandbox.faults[:] = [Fault("status", times=2, **only)]
    assert statuses(client, 3) == [500, 500, 200]
    client.sandbox.faults[:] = [Fault("status", nth=2, times=2, **only)]
    assert statuses(client, 4) == [200, 500, 500, 200]
    faults = [Fault("status", status=502, nth=1), Fault("status", status=503, nth=2)]
    client.sandbox.faults[:] = faults  # the first that hits wins, and all of them count
    assert statuses(client, 3) == [502, 503, 200]


@pytest.mark.parametrize("details", [{"kind": "nonsense"}, {"kind": "html", "staus": 1}])
def test_a_misspelled_fault_is_refused(details: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="fault"):
        Fault(**details)


def test_latency_comes_after_the_limit(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    client = serve(latency_s=0.2, latency_jitter=0.5, predictleads=PredictLeads())
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        client.clock.now += 100
        assert is_followed(client)

    monkeypatch.setattr(time, "sleep", sleep)
    assert statuses(client, 12) == [200] * 12
    assert all(0.1 <= seconds <= 0.3 for seconds in slept)
    assert len(set(slept)) == 12


def test_a_bug_is_shown_and_that_of_a_service_answered(
    clock: Clock, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Any:
        raise LookupError("a bug")

    with Sandbox(clock=clock) as sandbox:
        monkeypatch.setattr(sandbox.predictleads, "admit", fail)
        answer = requests.get(sandbox.settings["PREDICTLEADS_BASE_URL"] + "/x", timeout=5)
        assert (answer.status_code, "LookupError('a bug')" in answer.text) == (500, True)
        assert "LookupError: a bug" in capfd.readouterr().err
        sandbox.on_request = fail
        with pytest.raises(requests.ConnectionError):
            requests.get(sandbox.settings["HUBSPOT_BASE_URL"], timeout=5)
    assert "LookupError: a bug" in capfd.readouterr().err


def test_a_length_that_is_no_number_is_answered(serve: Serve) -> None:
    with socket.create_connection(("127.0.0.1", serve().sandbox.port), timeout=5) as raw:
        raw.sendall(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n")
        assert raw.recv(65536).startswith(b"HTTP/1.1 404 ")


def test_stop_releases_a_client_that_waits(serve: Serve) -> None:
    client = faulty(serve, Fault("hang"))
    client.sandbox.on_request = lambda _: threading.Thread(target=client.sandbox.stop).start()
    with pytest.raises(requests.ConnectionError):
        follow(client)


def test_it_can_be_started_again_on_the_same_port(clock: Clock) -> None:
    sandbox = Sandbox(clock=clock)
    with sandbox:
        before = sandbox.settings
    with pytest.raises(requests.ConnectionError):
        requests.get(before["HUBSPOT_BASE_URL"], timeout=5)
    with sandbox:
        assert sandbox.settings == before
        assert requests.get(before["HUBSPOT_BASE_URL"] + "/x", timeout=5).status_code == 401


def test_limits_are_the_real_ones_unless_told_otherwise() -> None:
    sandbox = Sandbox()
    hubspot, predictleads, mailerlite = sandbox.hubspot, sandbox.predictleads, sandbox.mailerlite
    assert (hubspot.searches_per_second, hubspot.requests_per_ten_seconds) == (5, 190)
    assert (hubspot.page_limit, hubspot.auto_associate, hubspot.index_lag_s) == (None, False, 0)
    assert (predictleads.max_limit, predictleads.requests_per_second) == (1000, 10)
    assert (predictleads.page_cost, predictleads.unfollow_cost) == (0, 1)
    assert (mailerlite.requests_per_minute, mailerlite.max_limit) == (120, 100)
    assert not mailerlite.double_opt_in
