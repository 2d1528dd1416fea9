from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from contact.memory import Asked, Memory
from core.errors import AppError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "contact.sqlite3"


def note(path: Path, domain: str, company_id: int | None) -> None:
    memory = Memory(path)
    memory.note(domain, company_id)
    memory.close()


def asked(path: Path, domain: str) -> Asked | None:
    memory = Memory(path)
    try:
        return memory.asked(domain)
    finally:
        memory.close()


def test_what_was_asked_is_known_to_the_next_run(path: Path) -> None:
    assert asked(path, "shop.example") is None
    note(path, "shop.example", None)
    note(path, "other.example", 7)
    assert asked(path, "shop.example") == Asked(None)
    note(path, "shop.example", 30_000_000_001)
    assert asked(path, "shop.example") == Asked(30_000_000_001)
    assert asked(path, "other.example") == Asked(7)


def test_what_was_refused_is_forgotten(path: Path) -> None:
    memory = Memory(path)
    memory.note("shop.example", None)
    memory.note("other.example", 7)
    memory.forget("shop.example")
    assert memory.asked("shop.example") is None
    assert memory.asked("other.example") == Asked(7)
    memory.close()


def test_a_note_is_in_the_file_itself_at_once(path: Path, tmp_path: Path) -> None:
    """What a kill leaves beside the file may get lost: the note stands in the file."""
    memory = Memory(path)
    memory.note("shop.example", None)
    copy = tmp_path / "copy.sqlite3"
    shutil.copy(path, copy)
    memory.close()
    assert asked(copy, "shop.example") == Asked(None)


@pytest.mark.parametrize("value", [0x01, 0xFF])
def test_no_damage_makes_it_say_that_nothing_was_asked(path: Path, value: int) -> None:
    note(path, "shop.example", None)
    sound = path.read_bytes()
    errors = 0
    for place, byte in enumerate(sound):
        if byte:
            damaged = bytearray(sound)
            damaged[place] ^= value
            path.write_bytes(damaged)
            try:
                assert asked(path, "shop.example") is not None, place
            except AppError:
                errors += 1
    assert errors > 100


@pytest.mark.parametrize("length", [0, 1, 100, 4095, 4096, 8192, 12_000])
def test_a_file_that_is_cut_off_is_an_error(path: Path, length: int) -> None:
    note(path, "shop.example", None)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(AppError, match=r"Wait two minutes, so that HubSpot's search shows"):
        Memory(path)


def test_no_file_can_be_there(path: Path) -> None:
    path.mkdir()
    with pytest.raises(AppError, match=r"Cannot use .*contact\.sqlite3"):
        Memory(path)
