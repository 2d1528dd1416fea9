"""What several test modules share: a clock that nobody waits for, and sandboxes of companies."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple, TypeVar

import pytest

from cli.command import Run
from core.clock import Clock
from core.settings import SettingsReader
from sandbox import HubSpot, PredictLeads, Request, Sandbox
from transport.http_client import HttpClient
from transport.service_client import ServiceClient, ServiceSettings

C = TypeVar("C", bound=ServiceClient)

ROOT = Path(__file__).parent.parent
START = datetime(2026, 11, 21, 8, 0, tzinfo=timezone.utc)
PATIENCE_S = 20.0  # for what must happen soon; no test waits so long unless it fails

FAST = {
    "HUBSPOT_REQUESTS_PER_SECOND": "1000",
    "PREDICTLEADS_REQUESTS_PER_SECOND": "1000",
    "MAILERLITE_REQUESTS_PER_MINUTE": "60000",
}
MATCH = {"ecommerce_platform": "shopify", "alexa": "1"}
# What only this project would say, or nobody.
SHUNNED = re.compile(
    r"\b(told|tells?|taken|meant|wanted|anew|as it should|second look|memory|kind of mail"
    r"|complained|singly|leavers|held back|asked again|for you to decide|newly followed"
    r"|no longer followed|left as they were|not as planned)\b",
    re.IGNORECASE,
)
HOSTILE = "\x1b]0;pwned\x07=cmd|'/c calc'!A1\r\nDone: all well"


class Ended(NamedTuple):
    """A run of a script's `main`: exit code, what it showed, and its report."""

    code: int
    out: str
    err: str
    report: dict[str, Any]

    @property
    def text(self) -> str:
        return self.out + self.err


RunMain = Callable[..., Ended]


class FakeClock(Clock):
    """Time passes only when somebody sleeps. Services of the sandbox count by it as well.

    `run`: see conftest, of the fixture alone."""

    run: RunMain

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        return self.now

    __call__ = monotonic

    def utcnow(self) -> datetime:
        return START + timedelta(seconds=self.now - 1000.0)

    def sleep(self, seconds: float) -> None:
        self.check()
        with self._lock:
            self.now += seconds
            self.slept.append(seconds)
        self.check()


def connected(
    client: type[C],
    settings: Callable[[SettingsReader], ServiceSettings],
    sandbox: Sandbox,
    clock: Clock,
) -> Iterator[C]:
    """A client of one service of the sandbox, for a fixture."""
    found = client(SettingsReader(sandbox.settings, "test").load(settings), clock, dry_run=False)
    yield found
    found.http.close()


def edited(**more: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What a Fault of the kind "edit" makes of an answer."""
    return lambda payload: {**payload, **more}


def make(
    wanted: list[int], followed: list[int], clock: Callable[[], float], **companies: Any
) -> Sandbox:
    """HubSpot has the shops `wanted`, which match; PredictLeads follows the shops `followed`."""
    shops = [{"name": f"Shop {n}", "domain": f"shop-{n}.example", **MATCH} for n in wanted]
    followings: dict[str, str | None] = {f"shop-{n}.example": None for n in followed}
    predictleads = PredictLeads(followings, credits_quota=10_000, requests_per_second=None)
    return Sandbox(HubSpot(shops, **companies), predictleads, clock=clock)


def real_time(wanted: list[int], followed: list[int]) -> Sandbox:
    """For scripts in processes of their own."""
    return make(wanted, followed, time.monotonic, searches_per_second=None)


QUICK = """
import importlib, sys
from core.clock import Clock

class Quick(Clock):  # so that nobody waits
    def monotonic(self): return super().monotonic() * 50
    def sleep(self, seconds): super().sleep(seconds / 50)

sys.exit(importlib.import_module(sys.argv.pop(1)[:-3]).main(sys.argv[1:], Quick()))
"""


def start(
    script: str, sandbox: Sandbox, *arguments: str, is_quick: bool = False
) -> subprocess.Popen[str]:
    """A script in a process of its own. If it is quick, it hardly waits."""
    how = ["-c", QUICK, script] if is_quick else [str(ROOT / script)]
    return subprocess.Popen(
        [sys.executable, "-W", "error", *how, *arguments],
        cwd=ROOT if is_quick else None,
        env={**os.environ, **sandbox.settings, **FAST},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stop_at(
    clock: Clock, is_it: Callable[[Request], bool], nth: int = 1
) -> Callable[[Request], None]:
    """A signal during the nth such call; no call goes on before the run has heard it."""
    seen: list[Request] = []
    turn = threading.Lock()

    def on_request(request: Request) -> None:
        with turn:
            seen.extend([request] if is_it(request) else [])
            if len(seen) == nth and not clock.is_stopped():
                os.kill(os.getpid(), signal.SIGTERM)  # Ctrl-C may be ignored, as by nohup
                give_up_at = time.monotonic() + PATIENCE_S
                while not clock.is_stopped() and time.monotonic() < give_up_at:
                    time.sleep(0.001)

    return on_request


@contextlib.contextmanager
def no_thread_outlives(patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Fails if a thread that was started within it is still alive after it; threads that are about
    to end, or to begin, are waited for."""
    before = set(threading.enumerate())
    yield
    give_up_at = time.monotonic() + patience_s
    while (left := set(threading.enumerate()) - before) and time.monotonic() < give_up_at:
        time.sleep(0.001)
    assert not left, f"{left} outlives the test"


def let_dry_runs_write(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each client of a run tries a write at its beginning. Returns whose clients have refused it,
    to be read after the run."""
    using, refused = Run.using, []

    def write_and_use(run: Run, account: str, *clients: HttpClient, **options: Any) -> Any:
        for client in clients:
            with pytest.raises(RuntimeError, match="would write, and this is a dry run"):
                client.request("POST", "/anything", "a write")
            refused.append(client.service.name)
        return using(run, account, *clients, **options)

    monkeypatch.setattr(Run, "using", write_and_use)
    return refused
