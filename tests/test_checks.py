"""What `--check` finds of the services and of this machine; looking leaves nothing behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Callable

import pytest

from cli import command
from cli.job import check_machine, collect_findings, require_ok
from core.errors import (
    AppError,
    CallRejected,
    Forbidden,
    NotSent,
    ServiceDown,
    ServiceError,
    SettingsError,
)
from core.words import format_moment
from report.model import Finding
from state import files
from state.files import account_file
from state.history import SQL
from state.lock import run_lock
from state.store import Store
from tests.helpers import START, FakeClock

FINE = Finding(True, "fine")


def fine() -> Finding:
    return FINE


def failing(error: AppError) -> Callable[[], Finding]:
    def check() -> Finding:
        raise error

    return check


@pytest.mark.parametrize(
    ("error", "texts"),
    [
        (Forbidden("no right"), ["fine", "no right", "fine"]),
        (CallRejected("refused", 404, ""), ["fine", "refused", "fine"]),
        (ServiceError("no answer"), ["fine", "no answer"]),
        (ServiceDown("401"), ["fine", "401"]),
        (NotSent("401, as found before"), ["fine"]),
    ],
)
def test_how_far_it_looks(error: AppError, texts: list[str]) -> None:
    found = collect_findings(fine, failing(error), fine)
    assert [each.text for each in found] == texts
    assert [each for each in found if each.ok] == [FINE] * texts.count("fine")


@pytest.mark.parametrize("kind", [AppError, SettingsError])
def test_all_remedies_are_named_together(kind: type[AppError]) -> None:
    require_ok([FINE], kind)
    with pytest.raises(kind, match=r"^fix this\nfix that$") as error:
        require_ok([Finding(False, "fix this"), FINE, Finding(False, "fix that")], kind)
    assert type(error.value) is kind


# This machine


def look(
    clock: FakeClock, state: Path | None = None, report: Path | None = None
) -> dict[str, bool]:
    """Each finding, and whether it is OK."""
    args = command.Flags("A script.").parse_args(["--check"])
    args.report, args.state = [report] if report else [], state
    run = command.Run("test", "A test", args, clock)
    findings = check_machine(
        run, "an account", lambda path: Store(path, SQL, "Delete it.", dry_run=True)
    )
    return {text: is_ok for is_ok, text in findings}


def test_who_may_write_into_the_state_folder(clock: FakeClock) -> None:
    with run_lock("test", "an account", clock):
        folder = files.state_folder()
    owner = folder.owner()
    (told,) = [text for text in look(clock) if text.startswith("The run history is kept")]
    assert told.endswith(f"kept in {folder} (owner {owner}, mode 0700).")
    for mode in (0o770, 0o707):
        folder.chmod(mode)
        words = f"Others may write into {folder} (owner {owner}, mode {mode:04o})."
        assert not look(clock)[f"{words} Run: chmod go-w {folder}"]
        with pytest.raises(AppError, match="Others may write"), run_lock("test", "it", clock):
            pass


def test_a_file_that_is_named(clock: FakeClock, tmp_path: Path) -> None:
    path = tmp_path / "named"
    assert look(clock, path)[f"No run history yet; the first run creates {path}."]
    Store(path, SQL, "", dry_run=False).close()
    assert look(clock, path)[f"The run history can be used: {path}."]
    lost = tmp_path / "missing" / "file"
    assert not look(clock, lost)[
        f"Cannot use the folder {lost.parent}: No such file or directory."
        " Point --state to a file that can be written."
    ]


def test_a_folder_that_cannot_be_made(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    remedy = "Set XDG_STATE_HOME to a folder that can be written."
    words = f"Cannot use the folder /dev/null: Not a directory. {remedy}"
    assert not look(clock)[words]


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (errno.ENOSPC, "the disk is full. Free some space."),
        (errno.EROFS, "Read-only file system. {}"),
    ],
)
def test_where_nothing_can_be_written(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, problem: int, words: str
) -> None:
    def fail(**_: object) -> None:
        raise OSError(problem, os.strerror(problem))

    monkeypatch.setattr("tempfile.TemporaryFile", fail)
    found = look(clock, tmp_path / "named")
    home = words.format("Set XDG_STATE_HOME to a folder that can be written.")
    named = words.format("Point --state to a file that can be written.")
    assert not found[f"Cannot use the folder {Path.home()}: {home}"]
    assert not found[f"Cannot use the folder {tmp_path}: {named}"]


def test_a_file_that_may_not_be_written(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "named"
    path.write_text("sound")
    monkeypatch.setattr("os.access", lambda _path, _mode: False)
    assert not look(clock, path)[
        f"Cannot write {path}. Point --state to a file that can be written."
    ]


def test_another_run_is_named_and_not_disturbed(clock: FakeClock) -> None:
    with run_lock("test", "an account", clock):
        (told,) = [text for text in look(clock) if "run is active" in text]
        assert told.startswith("Another run is active: process ")
        assert told.endswith(f"since {format_moment(START)}.")
        assert look(clock)[told]
    assert look(clock)["No other run is active."]
    with run_lock("test", "an account", clock):
        pass


def test_a_lock_that_cannot_be_used(clock: FakeClock) -> None:
    path = account_file("test", "an account", ".lock")
    path.mkdir(parents=True)
    assert not look(clock)[
        f"Cannot use {path} as a lock: Is a directory."
        " Set XDG_STATE_HOME to a folder that can be written."
    ]
