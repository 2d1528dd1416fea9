"""The files that runs leave: whole or not at all, and what is said of a disk that is full."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
from pathlib import Path

import pytest

from core import log
from core.errors import AppError
from state import files, lock
from state.store import Store
from tests.fault_matrix import JOBS
from tests.helpers import FakeClock
from tests.layers import scripts

SCHEMA = "CREATE TABLE fact (text TEXT);"
REMEDY = "Delete it."
FULL = "the disk is full. Free some space."


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder / "file.sqlite3"


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_fills_up(path: Path) -> None:
    with contextlib.closing(Store(path, SCHEMA, REMEDY, dry_run=False)) as store:
        store.rows("PRAGMA max_page_count = 3")
        with pytest.raises(AppError) as error:
            store.write("INSERT INTO fact VALUES (?)", [("x" * 50_000,)])
        store.write("INSERT INTO fact VALUES (?)", [("x",)])
    assert str(error.value) == f"Cannot use {path}, the run history: {FULL}"


def test_whatever_sqlite_calls_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(b"")
    for problem, words in ((errno.ENOSPC, FULL), (errno.EROFS, "Read-only file system. Set XDG_")):

        def fail(folder: Path, problem: int = problem) -> None:
            raise OSError(problem, os.strerror(problem))

        monkeypatch.setattr(files, "try_writing", fail)
        with pytest.raises(AppError) as error:
            Store(path, SCHEMA, REMEDY, dry_run=False)
        assert words in str(error.value)
        assert "elete" not in str(error.value)


def test_a_file_that_cannot_be_made_leaves_nothing(path: Path) -> None:
    with pytest.raises(AppError):
        Store(path, f"{SCHEMA} nonsense;", REMEDY, dry_run=False)
    (path.parent / "report").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        files.write_whole(path.parent / "report", "text")
    assert [each.name for each in path.parent.iterdir()] == ["report"]


def test_what_is_left_is_for_its_owner_and_gone_when_deleted(clock: FakeClock, path: Path) -> None:
    with contextlib.closing(Store(path, SCHEMA, REMEDY, dry_run=False)) as store:
        store.write("INSERT INTO fact VALUES (?)", [("a-person@shop.example",)])
        store.write("DELETE FROM fact WHERE text LIKE ?", [("%",)])
        assert store.rows("PRAGMA secure_delete") == [(1,)]
    with lock.run_lock("job", "account", clock):
        left = [path, *files.state_folder().iterdir()]
    assert [each.stat().st_mode & 0o777 for each in left] == [0o600, 0o600]
    assert b"a-person" not in path.read_bytes()


def test_who_may_read_a_file_that_is_replaced(path: Path) -> None:
    for mode in (0o600, 0o644):
        files.write_whole(path, "text")
        assert path.stat().st_mode & 0o777 == mode
        path.chmod(0o644)


@pytest.mark.parametrize("script", scripts())
def test_a_full_disk_is_told_alike_by_every_script(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    main = importlib.import_module(script).main
    monkeypatch.setattr(Path, "mkdir", full)
    job = next((each for each in JOBS.values() if each.main is main), JOBS["companies"])
    with job.make(clock) as sandbox:
        outcome = clock.run(main, sandbox)
        monkeypatch.setattr("tempfile.TemporaryFile", full)
        checked = clock.run(main, sandbox, "--check")
        assert sandbox.writes == []
    assert outcome.code == 1
    assert f".lock as a lock: {FULL}\n" in outcome.err
    assert f"FIX  Cannot use the folder {Path.home()}: {FULL}\n" in checked.out
    assert "elete" not in outcome.text


def test_what_may_fail_is_one_warning_and_begins_anew(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "handlers", [caplog.handler])
    monkeypatch.setattr(log, "propagate", False)
    path.write_bytes(b"no database")
    with contextlib.closing(Store(path, SCHEMA, REMEDY, False, may_fail=True)) as store:
        store.write("INSERT INTO fact VALUES (?)", [("x",)])
        assert store.rows("SELECT text FROM fact") == [("x",)]
    (message,) = caplog.messages
    assert f"file is not a database. It is now {path}.damaged, and a new one has begun." in message
    assert Path(f"{path}.damaged").read_bytes() == b"no database"
    with contextlib.closing(Store(path, SCHEMA, REMEDY, False, may_fail=True)) as store:
        assert store.rows("SELECT text FROM fact") == [("x",)]
    monkeypatch.setattr(os, "replace", full)  # if it cannot be moved, it stays
    path.write_bytes(b"no database")
    with contextlib.closing(Store(path, SCHEMA, REMEDY, False, may_fail=True)) as store:
        assert store.rows("SELECT text FROM fact") == []
    assert caplog.messages[1].endswith("Delete it. The run goes on without it.")
    assert path.read_bytes() == b"no database"
