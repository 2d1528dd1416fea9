"""The memory of whom MailerLite had: what it keeps, what it does not give away, how it fails."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from core.errors import AppError
from subscribers.memory import Lists, PersonStore
from tests.helpers import ROOT, START

JO, AL = "jo@mail.example", "al@mail.example"


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


def known(path: Path, *emails: str) -> list[bool]:
    with open_memory(path, dry_run=True) as memory:
        return [memory.lookup(email).is_known for email in emails]


def test_it_knows_whom_it_was_told(path: Path) -> None:
    remember(path, JO)
    remember(path, JO, "bo@mail.example")
    assert known(path, JO, AL, "bo@mail.example") == [True, False, True]


def test_only_the_first_time_it_is_new(path: Path) -> None:
    """And until whom MailerLite lists is noted, if only that it lists nobody."""
    for is_new in (True, True, False):
        with open_memory(path) as memory:
            assert memory.is_new is is_new
            if path.with_name("seen").exists():
                memory.note_lists([])
            path.with_name("seen").touch()


def test_the_file_is_private_and_holds_no_address(path: Path) -> None:
    remember(path, JO)
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"mail.example" not in path.read_bytes()
    assert [each.name for each in path.parent.iterdir() if each.is_file()] == [path.name]


def test_two_files_have_nothing_in_common(path: Path, tmp_path: Path) -> None:
    hashes = []
    for each in (path, tmp_path / "other.sqlite3"):
        remember(each, JO)
        with contextlib.closing(sqlite3.connect(str(each))) as file:
            hashes += file.execute("SELECT hash FROM known").fetchall()
    assert len(set(hashes)) == 2


def test_a_dry_run_writes_no_file(path: Path) -> None:
    assert known(path, JO) == [False]
    assert not path.exists()
    remember(path, JO)
    before = path.read_bytes()
    with open_memory(path, dry_run=True) as memory:
        assert memory.lookup(JO).is_known
        memory.note_lists([(AL, None)])
    assert path.read_bytes() == before


def test_a_person_is_counted_once_however_the_address_is_spelt(path: Path) -> None:
    people = ["jo@m\u00fcnze.example", "al@xn--mnze-0ra.example", JO]
    with open_memory(path) as memory:
        memory.note_lists((email, None) for email in people)
        assert memory.compare_lists([]) == Lists(known=3, missing=3)
        assert memory.compare_lists(["jo@xn--mnze-0ra.example", JO]) == Lists(known=3, missing=1)


def test_who_is_gone_is_no_news_twice_and_may_come_back(path: Path) -> None:
    with open_memory(path) as memory:
        memory.note_lists([(JO, None), (AL, None)])
        memory.note_lists([(AL, None)])
        assert memory.compare_lists([AL]) == Lists(known=1, missing=0)
        assert memory.lookup(JO).is_known
        memory.note_lists([(JO, None), (AL, None)])
        assert memory.compare_lists([AL]) == Lists(known=2, missing=1)


def test_a_refusal_is_forgotten_when_it_was_taken(path: Path) -> None:
    with open_memory(path) as memory:
        memory.note_refused(JO, "no")
        memory.note_refused(JO, "no", "city", "X")
        memory.note_refused(JO, "no", "name", "Y")
        assert memory.previous_refusal(JO, "city", "Z") is None
        memory.note_written(JO, 1, values={"city": "X"})
        assert memory.previous_refusal(JO) is memory.previous_refusal(JO, "city", "X") is None
        assert memory.previous_refusal(JO, "name", "Y") is not None


@pytest.mark.parametrize("content", [b"", b"no database, but long enough to look like one" * 99])
@pytest.mark.parametrize("dry_run", [True, False])
def test_a_file_that_is_no_memory_is_an_error(path: Path, content: bytes, dry_run: bool) -> None:
    path.write_bytes(content)
    with pytest.raises(AppError) as error:
        open_memory(path, dry_run)
    assert f"Cannot use {path}, the run history: " in str(error.value)
    assert "\n" not in str(error.value)
    assert path.read_bytes() == content


def test_a_damaged_file_is_an_error(path: Path) -> None:
    remember(path, *(f"{n}@mail.example" for n in range(2000)))
    content = path.read_bytes()
    path.write_bytes(content[:8192] + b"\xff" * (len(content) - 8192))
    with pytest.raises(AppError, match="malformed"):
        known(path, *(f"{n}@mail.example" for n in range(2000)))


def test_a_file_without_a_key_is_an_error(path: Path) -> None:
    remember(path, JO)
    with contextlib.closing(sqlite3.connect(str(path))) as file, file:
        file.execute("DELETE FROM secret")
    with pytest.raises(AppError, match="is not the run history"):
        open_memory(path)


@pytest.mark.parametrize("place", ["missing/people.sqlite3", "."])
def test_a_place_where_no_file_can_be(tmp_path: Path, place: str) -> None:
    with pytest.raises(AppError, match="run history"):
        open_memory(tmp_path / place)


def test_many_threads_remember(path: Path) -> None:
    def note(memory: PersonStore, n: int) -> None:
        memory.note_written(f"{n}@mail.example", n)

    with open_memory(path) as memory:
        threads = [threading.Thread(target=note, args=(memory, n)) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(memory.lookup(f"{n}@mail.example").is_known for n in range(20))


REMEMBER_AND_DIE = """
import os, sys
from datetime import date
from pathlib import Path
from subscribers.memory import PersonStore
memory = PersonStore(Path(sys.argv[1]), False, date.today(), 7)
memory.make_file()
for email in sys.argv[2:]:
    memory.note_written(email, 1)
os.kill(os.getpid(), 9)
"""


def test_what_is_remembered_survives_a_kill(path: Path) -> None:
    subprocess.run([sys.executable, "-c", REMEMBER_AND_DIE, str(path), JO, AL], cwd=str(ROOT))
    assert known(path, JO, AL) == [True, True]
    remember(path, "bo@mail.example")
    assert known(path, JO, AL, "bo@mail.example") == [True, True, True]


def test_a_kill_while_the_file_is_made_leaves_a_fresh_start(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("state.files.os.replace", killed)
        with pytest.raises(KeyboardInterrupt):
            open_memory(path)
    assert not path.exists()
    remember(path, JO)
    assert known(path, JO) == [True]


def test_what_mailerlite_keeps_as_it_was_sent_is_not_remembered(path: Path) -> None:
    with open_memory(path) as memory:
        memory.make_file()
        memory.note_written(JO, 1, values={"city": "Wien", "phone": "1 23"})
        memory.note_forms([JO], lambda _, key: {"city": "Wien", "phone": "123"}[key])
        assert memory.rows("SELECT field FROM kept") == [("phone",)]
        assert memory.is_kept_as(JO, "phone", "1 23", "123")
