"""What every test stands on: a clock that nobody waits for, and a clean environment."""

from __future__ import annotations

import json
import os
import sys
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

import pytest

from sandbox import Sandbox
from transport import http_client
from transport.clock import Clock

START = datetime(2026, 11, 21, 8, 0, tzinfo=timezone.utc)


class FakeClock(Clock):
    """Time passes only when somebody sleeps. Services of the sandbox count by it as well."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.slept: List[float] = []
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


class Outcome(NamedTuple):
    code: int
    out: str
    err: str
    report: Dict[str, Any]

    @property
    def text(self) -> str:
        return self.out + self.err


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting, key or proxy of the developer's reaches a test, no state of a test stays."""
    for name in list(os.environ):
        if not name.startswith(("PATH", "PYTHON", "LANG", "LC_")):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that hangs is given up soon."""
    monkeypatch.setattr(http_client, "READ_TIMEOUT_S", 0.2)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


Main = Callable[..., int]


@pytest.fixture
def run_main(
    clock: FakeClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Outcome]:
    """Run a script's `main` in this process, against a sandbox, and return all that it showed."""

    def run(
        main: Main,
        sandbox: Optional[Sandbox],
        *arguments: str,
        clock: Clock = clock,
        **settings: str,
    ) -> Outcome:
        for name, value in {**(sandbox.settings if sandbox else {}), **settings}.items():
            monkeypatch.setenv(name, value)
        path = tmp_path / "report.json"
        monkeypatch.setattr(sys, "argv", [main.__module__ + ".py"])
        capsys.readouterr()
        code = main([*arguments, "--report", str(path)], clock)
        shown = capsys.readouterr()
        return Outcome(code, shown.out, shown.err, json.loads(path.read_text()))

    return run
