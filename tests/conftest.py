"""What every test stands on: a clean environment, and a clock that nobody waits for."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Callable, Iterator

import pytest

from core import settings
from core.clock import Clock
from sandbox import Sandbox
from tests.helpers import Ended, FakeClock, no_thread_outlives
from transport import http_client


@pytest.fixture(autouse=True)
def _no_thread_outlives_a_test() -> Iterator[None]:
    with no_thread_outlives():
        yield


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting, key or proxy of the developer's reaches a test, not even by the file beside the
    scripts; no state of a test stays."""
    for name in list(os.environ):
        if not name.startswith(("PATH", "PYTHON", "LANG", "LC_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(settings, "SCRIPTS", tmp_path / "scripts")
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that hangs is given up soon."""
    monkeypatch.setattr(http_client, "READ_TIMEOUT_S", 0.2)


@pytest.fixture
def _in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


Main = Callable[..., int]


@pytest.fixture
def clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> FakeClock:
    """Its `run` runs a script's `main` in this process, against a sandbox, and returns all that it
    showed but the line that leads to the report."""
    clock = FakeClock()

    def run(
        main: Main, sandbox: Sandbox | None, *arguments: str, clock: Clock = clock, **settings: str
    ) -> Ended:
        for name, value in {**(sandbox.settings if sandbox else {}), **settings}.items():
            monkeypatch.setenv(name, value)
        path = tmp_path / "report.json"
        monkeypatch.setattr(sys, "argv", [main.__module__ + ".py"])
        capsys.readouterr()
        code = main([*arguments, "--report", str(path)], clock)
        shown = capsys.readouterr()
        out = shown.out.replace(f"Report: {path}\n", "")
        return Ended(code, out, shown.err, json.loads(path.read_text()))

    clock.run = run
    return clock
