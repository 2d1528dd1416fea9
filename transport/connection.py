"""One HTTP connection as `requests` uses it, with an end to every answer.

`requests` limits the wait for the next byte only, so a header or body that dribbles in would keep a
run, and its lock, for ever; and `http.client` takes `103 Early Hints` for the answer itself.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from http import HTTPStatus
from typing import Any

import urllib3.connection
import urllib3.connectionpool
from requests.adapters import HTTPAdapter

ANSWER_TIMEOUT_S = 120.0  # from the request to the last byte of the body


class BoundedAdapter(HTTPAdapter):
    """Mount it on a session; a late answer then raises what a read timeout raises."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)  # type: ignore[no-untyped-call,unused-ignore]
        _bound(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(  # type: ignore[no-untyped-call,unused-ignore]
            *args, **kwargs
        )
        _bound(manager)
        return manager


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(_BoundedReader(sock))

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]
        while HTTPStatus.CONTINUE <= status < HTTPStatus.OK:  # the answer is still to come
            http.client.parse_headers(self.fp)
            version, status, reason = super()._read_status()  # type: ignore[misc]
        return version, status, reason


class _BoundedReader(io.RawIOBase):
    """The bytes of a socket, each of them within its timeout and all of them within the limit."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._file = sock.makefile("rb", buffering=0)
        self._until = time.monotonic() + ANSWER_TIMEOUT_S

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left_s = self._until - time.monotonic()
        if left_s <= 0:
            raise socket.timeout("the answer takes too long to arrive")
        between_bytes_s = self._socket.gettimeout()
        self._socket.settimeout(min(between_bytes_s or left_s, left_s))
        try:
            return self._file.readinto(buffer) or 0
        finally:
            self._socket.settimeout(between_bytes_s)

    def close(self) -> None:
        self._file.close()
        super().close()


class _HTTPConnection(urllib3.connection.HTTPConnection):
    response_class = _Answer


class _HTTPSConnection(urllib3.connection.HTTPSConnection):
    response_class = _Answer


class _HTTPPool(urllib3.connectionpool.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.connectionpool.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


def _bound(manager: Any) -> None:
    manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
