"""What people see: in a terminal, in a pipe, and under cron."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

import sync
from sandbox import Sandbox
from tests.helpers import FAST, ROOT, FakeClock, make, real_time
from tests.layers import product_files

README = (ROOT / "README.md").read_text(encoding="utf-8")


def in_a_terminal(sandbox: Sandbox, *arguments: str, **environment: str) -> str:
    """All that sync.py writes to a terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "sync.py"), *arguments],
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
    process.wait()
    return shown.decode()


def test_colours_and_bars_in_a_terminal() -> None:
    with real_time([1], [2]) as sandbox:
        shown = in_a_terminal(sandbox)
    assert "\x1b[32m  + shop-1.example  Shop 1\x1b[0m" in shown
    assert "\x1b[31m  - shop-2.example  no company in HubSpot has this domain\x1b[0m" in shown
    assert "HubSpot: " in shown
    assert "done/s" in shown


def test_the_verdict_in_colours() -> None:
    with real_time([1], []) as sandbox:
        assert "\x1b[32mReady.\x1b[0m" in in_a_terminal(sandbox, "--check")
        sandbox.predictleads.status = "disabled"
        shown = in_a_terminal(sandbox, "--check")
    assert "\x1b[32mOK   HubSpot's companies have 11 properties.\x1b[0m" in shown
    assert "\x1b[31mFIX  The PredictLeads subscription is disabled" in shown
    assert "\x1b[31m1 thing to fix.\x1b[0m" in shown


def test_no_colours_for_those_who_want_none() -> None:
    with real_time([1], [2]) as sandbox:
        assert "\x1b[3" not in in_a_terminal(sandbox, NO_COLOR="1")
    with real_time([1], [2]) as sandbox:
        assert "\x1b[3" not in in_a_terminal(sandbox, TERM="dumb")


def test_no_colours_and_no_bars_in_a_pipe(clock: FakeClock) -> None:
    with make([1], [2], clock) as sandbox:
        outcome = clock.run(sync.main, sandbox)
    assert "\x1b" not in outcome.text
    assert "done/s" not in outcome.err


@pytest.mark.no_cover
def test_unfollows_are_shown_up_to_200(
    clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--max-unfollow", "100%", "--dry-run"]
    with make([], [*range(203)], clock) as sandbox:
        out = clock.run(sync.main, sandbox, *flags, "--allow-empty").out
        assert out.count("no company in HubSpot has this domain") == 200
        assert "and 3 more (see the report)" in out
        assert sync.main([*flags, "--allow-empty"], clock) == 0
    out = capsys.readouterr().out
    assert "and 3 more (see --report)" in out
    assert "Report: " not in out


def copy_of_the_project(folder: Path) -> Path:
    project = folder / "project"
    for path in (*product_files(), Path(".env.example")):
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, project / path)
    return project


@pytest.mark.parametrize("folder", ["/", "."])
def test_cron_starts_it_from_anywhere_with_no_environment(tmp_path: Path, folder: str) -> None:
    project = copy_of_the_project(tmp_path)
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
    assert "Done: followed 1 company" in first.stdout
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)


def test_the_command_for_1password_works_as_the_manual_has_it(tmp_path: Path) -> None:
    """`op` is a stand-in: it fills in the references of the file that it is given."""
    (command,) = set(re.findall(r"op run --env-file[^`\n]* \S+\.py", README))
    project = copy_of_the_project(tmp_path)
    executable(project / ".venv" / "bin" / "python", f'exec "{sys.executable}" "$@"')
    fill_in = 'test "$1" = run && test "$2" = --env-file=.env && test "$3" = --'
    with real_time([1], []) as sandbox:
        keys = [f"{name}={value}" for name, value in sandbox.settings.items()]
        references = [
            f"{each.split('=')[0]}=op://team/crm/{number}" for number, each in enumerate(keys)
        ]
        (project / ".env").write_text("\n".join(references))
        (project / ".env").chmod(0o600)
        executable(
            tmp_path / "bin" / "op", f'{fill_in} && shift 3 && exec env {" ".join(keys)} "$@"'
        )
        path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
        ended = subprocess.run(
            command,
            shell=True,
            cwd=project,
            env={"PATH": path, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (ended.returncode, "Done: followed 1 company" in ended.stdout) == (0, True)
