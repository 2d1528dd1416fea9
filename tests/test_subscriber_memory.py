"""The memory of whom MailerLite had: what it keeps, what it does not give away, how it fails."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Callable

import pytest

from core.errors import AppError
from subscribers.memory import PersonStore
from tests.helpers import START

JO = "jo@mail.example"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.sqlite3"


def open_memory(path: Path, dry_run: bool = False) -> PersonStore:
    memory = PersonStore(path, dry_run, START.date(), ask_again_days=7)
    if not dry_run:
        memory.make_file()
    return memory


def remember(path: Path, *emails: str) -> None:
    with open_memory(path) as memory:
        for email in emails:
            memory.note_written(email, 1)


def test_two_files_have_nothing_in_common(path: Path, tmp_path: Path) -> None:
    hashes = []
    for each in (path, tmp_path / "other.sqlite3"):
        remember(each, JO)
        with contextlib.closing(sqlite3.connect(str(each))) as file:
            hashes += file.execute("SELECT hash FROM known").fetchall()
    assert len(set(hashes)) == 2


def without_key(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(str(path))) as file, file:
        file.execute("DELETE FROM secret")


def overwritten(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:8192] + b"\xff" * (len(content) - 8192))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_bytes(b""), "Cannot use .*, the run history: "),
        (lambda path: path.write_bytes(b"no database" * 999), "file is not a database"),
        (without_key, "is not the run history"),
        (overwritten, "Cannot use .*malformed"),
    ],
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_a_damaged_file_is_an_error(
    path: Path, spoil: Callable[[Path], object], words: str, dry_run: bool
) -> None:
    emails = [f"{n}@mail.example" for n in range(2000)]
    remember(path, *emails)
    spoil(path)
    content = path.read_bytes()
    with pytest.raises(AppError, match=words) as error, open_memory(path, dry_run) as memory:
        [memory.lookup(email) for email in emails]
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert path.read_bytes() == content


@pytest.mark.parametrize("place", ["missing/people.sqlite3", "."])
def test_a_place_where_no_file_can_be(tmp_path: Path, place: str) -> None:
    with pytest.raises(AppError, match="run history"):
        open_memory(tmp_path / place)


def test_a_kill_while_the_file_is_made(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("state.files.os.replace", killed)
        with pytest.raises(KeyboardInterrupt):
            open_memory(path)
    assert not path.exists()
    remember(path, JO)
    with open_memory(path, dry_run=True) as memory:
        assert memory.lookup(JO).is_known
