"""What people see: in a terminal, in a pipe, and under cron."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

import sync
from sandbox import Sandbox
from tests.helpers import FAST, ROOT, FakeClock, RunMain, make, real_time
from tests.layers import product_files


def in_a_terminal(sandbox: Sandbox, **environment: str) -> str:
    """All that sync.py writes to a terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "sync.py")],
        env={**os.environ, **sandbox.settings, **FAST, "TERM": "xterm", **environment},
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # Linux ends a terminal without a writer so
        while chunk := os.read(ours, 65536):
            shown += chunk
    os.close(ours)
    assert process.wait() == 0
    return shown.decode()


def test_colours_and_bars_in_a_terminal() -> None:
    with real_time([1], [2]) as sandbox:
        shown = in_a_terminal(sandbox)
    assert "\x1b[32m  + shop-1.example  Shop 1\x1b[0m" in shown
    assert "\x1b[31m  - shop-2.example  no company in HubSpot has this domain\x1b[0m" in shown
    assert "HubSpot: " in shown
    assert "done/s" in shown


def test_no_colours_for_those_who_want_none() -> None:
    with real_time([1], [2]) as sandbox:
        assert "\x1b[3" not in in_a_terminal(sandbox, NO_COLOR="1")
    with real_time([1], [2]) as sandbox:
        assert "\x1b[3" not in in_a_terminal(sandbox, TERM="dumb")


def test_no_colours_and_no_bars_in_a_pipe(run_main: RunMain, clock: FakeClock) -> None:
    with make([1], [2], clock) as sandbox:
        outcome = run_main(sync.main, sandbox)
    assert "\x1b" not in outcome.text
    assert "done/s" not in outcome.err


def test_unfollows_are_shown_up_to_200(run_main: RunMain, clock: FakeClock) -> None:
    with make([1], [*range(250)], clock) as sandbox:
        out = run_main(sync.main, sandbox, "--max-unfollow", "249", "--dry-run").out
    assert out.count("no company in HubSpot has this domain") == 200
    assert "and 49 more (see --report)" in out


@pytest.mark.parametrize("folder", ["/", "."])
def test_cron_starts_it_from_anywhere_with_next_to_no_environment(
    tmp_path: Path, folder: str
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for path in product_files():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, project / path)
    with real_time([1], []) as sandbox:
        settings = {**sandbox.settings, **FAST}
        lines = [f"{name}={value}\n" for name, value in settings.items()]
        (project / ".env").write_text("".join(lines))
        (project / ".env").chmod(0o600)
        command = [sys.executable, str(project / "sync.py"), "-q"]
        environment = {"HOME": str(tmp_path)}
        first = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        second = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
    assert (first.returncode, first.stderr) == (0, "")
    assert "Done: 1 company newly followed" in first.stdout
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
