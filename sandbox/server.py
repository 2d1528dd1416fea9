"""The HTTP server on loopback: records requests, plays faults, asks the services."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import socket
import struct
import sys
import threading
import time
from datetime import datetime
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Iterable
from urllib.parse import parse_qs

from .core import Answer, Clock, Request, Service
from .faults import BEFORE, Fault
from .hooks import Hooks
from .hubspot import HubSpot
from .mailerlite import MailerLite
from .predictleads import PredictLeads

HOST = "127.0.0.1"
PHRASES = {status.value: status.phrase for status in HTTPStatus}
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preconnect\r\n\r\n"
MAX_TARGET = 8_000  # characters of path and query, as of many servers
TOO_LONG = Answer(414, b"<html><h1>414 Request-URI Too Large</h1></html>")
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 seconds: close() sends a TCP reset


class Sandbox:
    """All services on one loopback port; a context manager.

    `latency_s` seconds (give or take the fraction `latency_jitter`) pass between carrying a
    request out and answering. `clock` runs every rate limit and index lag. After the first
    start the port stays the same, so that a stop and a start look like an outage. `date` gives the
    `Date` header of the answers (a time in UTC); without it there is none.
    """

    def __init__(
        self,
        hubspot: HubSpot | None = None,
        predictleads: PredictLeads | None = None,
        mailerlite: MailerLite | None = None,
        latency_s: float = 0.0,
        clock: Clock = time.monotonic,
        port: int = 0,
        latency_jitter: float = 0.0,
    ) -> None:
        self.hubspot = hubspot or HubSpot()
        self.predictleads = predictleads or PredictLeads()
        self.mailerlite = mailerlite or MailerLite()
        self.hooks = Hooks()
        self.latency_s, self.latency_jitter = latency_s, latency_jitter
        self.clock, self.port = clock, port
        self.requests: list[Request] = []
        self.writes: list[Request] = []
        self.faults: list[Fault] = []
        self.on_request: Callable[[Request], None] | None = None
        self.date: Callable[[], datetime] | None = None
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._random = random.Random(0)
        self._server: _Server | None = None
        self.services = [each for each in vars(self).values() if isinstance(each, Service)]
        for service in self.services:
            service.clock = clock

    @property
    def settings(self) -> dict[str, str]:
        """The environment that points the project's scripts at this sandbox."""
        found: dict[str, str] = {}
        for service in self.services:
            if credentials := service.credentials():
                found.update(credentials)
                found[f"{service.name.upper()}_BASE_URL"] = self.address(service)
        return found

    def address(self, service: Service) -> str:
        return f"http://{HOST}:{self.port}{service.prefix}"

    def start(self) -> Sandbox:
        """Listen, in a thread of its own."""
        self.stopping.clear()
        self._server = _Server(self)
        self.port = self._server.server_address[1]
        serve = self._server.serve_forever
        threading.Thread(target=serve, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop listening and cut every connection, also those that hang."""
        self.stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.cut()
            self._server = None

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def arrive(self, request: Request) -> Fault | None:
        """Record the request; the fault that hits it, if any."""
        with self._lock:
            request.at = self.clock()
            self.requests.append(request)
        if self.on_request is not None:
            self.on_request(request)
        with self._lock:
            # Every fault counts the request, the first that hits is played.
            hits = [fault for fault in list(self.faults) if fault.hits(request)]
        return hits[0] if hits else None

    def carry_out(self, request: Request) -> Answer:
        """Let the service answer, then let the latency pass."""
        answer = Answer(404, {"message": "No service has this base address."})
        for service in self.services:
            if service.name == request.service:
                answer = self._ask(service, request)
        if self.latency_s:
            time.sleep(self.latency_s * (1 + self.latency_jitter * self._random.uniform(-1, 1)))
        return answer

    def _ask(self, service: Service, request: Request) -> Answer:
        with service.lock:
            answer = service.answer(request)
            if answer.wrote:
                self.writes.append(request)
        return answer

    def locate(self, path: str) -> tuple[str, str]:
        """Service name and path without its prefix; an empty name for a foreign path."""
        for service in self.services:
            if path.startswith(service.prefix + "/"):
                return service.name, path[len(service.prefix) :]
        return "", path


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__((HOST, sandbox.port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def cut(self) -> None:
        """Wake every handler that still waits for its client."""
        with self._open_lock:
            for connection in self._open:
                _quietly(connection.shutdown, socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that goes away is part of the game; anything else is a bug to be seen.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # with one send per answer: no wait for a delayed ACK
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Silence: `Sandbox.requests` is the log."""

    def serve(self) -> None:
        sandbox, request = self.server.sandbox, self._read()
        fault = sandbox.arrive(request)
        if fault is None:
            is_too_long = len(self.path) > MAX_TARGET
            return self._send(request, TOO_LONG if is_too_long else sandbox.carry_out(request))
        answer = fault.canned()
        if answer is None and fault.kind not in BEFORE:
            answer = fault.reply(sandbox.carry_out(request))
        if answer is not None and fault.kind not in ("reset_after", "hang_after", "drip_head"):
            return self._send(request, answer, fault)
        self.close_connection = True
        if fault.kind == "drip_head":
            return self._drip(b"HTTP/1.1 200 OK\r\nX-Padding: ", itertools.repeat(b"x"), fault)
        if fault.kind.startswith("reset"):
            return self._reset()
        return self._hang(fault.details.get("seconds"))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve  # noqa: N815 (http.server calls them by these names)

    def _read(self) -> Request:
        path, _, text = self.path.partition("?")
        service, path = self.server.sandbox.locate(path)
        values = parse_qs(text, keep_blank_values=True)
        query = {name: ",".join(given) for name, given in values.items()}
        length = self.headers.get("Content-Length", "")
        body = self.rfile.read(int(length) if length.isdecimal() else 0)
        return Request(service, self.command, path, query, self.headers, body, None, 0.0)

    def _send(self, request: Request, answer: Answer, fault: Fault | None = None) -> None:
        payload, kept = answer.payload, fault.kept if fault else 1.0
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        head = self._head(answer, len(body))
        body = body[: int(len(body) * kept)]
        request.status = answer.status
        self.close_connection = self.close_connection or kept < 1
        if fault and fault.kind == "drip":
            return self._drip(head, (body[n : n + 1] for n in range(len(body))), fault)
        ahead = EARLY_HINTS if fault and fault.kind == "early_hints" else b""
        self.connection.sendall(ahead + head + body)

    def _head(self, answer: Answer, length: int) -> bytes:
        headers = {"Content-Type": "application/json;charset=utf-8"}
        if self.server.sandbox.date is not None:
            headers["Date"] = format_datetime(self.server.sandbox.date(), usegmt=True)
        headers.update(answer.headers)
        headers["Content-Length"] = str(length)
        lines = [f"HTTP/1.1 {answer.status} {PHRASES.get(answer.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _drip(self, head: bytes, rest: Iterable[bytes], fault: Fault) -> None:
        self.connection.sendall(head)
        for byte in rest:
            if self.server.sandbox.stopping.wait(fault.details["pause_s"]):
                return
            self.connection.sendall(byte)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.connection.close()

    def _hang(self, seconds: float | None) -> None:
        # Looking for the next byte ends when the client leaves or `Sandbox.stop` cuts the line.
        self.connection.settimeout(seconds)
        _quietly(self.connection.recv, 1, socket.MSG_PEEK)


def _quietly(call: Callable[..., Any], *args: Any) -> None:
    with contextlib.suppress(OSError):
        call(*args)
