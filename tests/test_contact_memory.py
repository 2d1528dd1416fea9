from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pytest

from contact.records import UNKNOWN, Memory
from core.errors import AppError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "contact.sqlite3"


def note(path: Path, domain: str, company_id: int) -> None:
    with contextlib.closing(Memory(path)) as memory:
        memory.note(domain, company_id)


def asked(path: Path, domain: str) -> int | None:
    with contextlib.closing(Memory(path)) as memory:
        return memory.asked(domain)


def test_what_was_asked_is_known_to_the_next_run_until_it_is_refused(path: Path) -> None:
    assert asked(path, "shop.example") is None
    note(path, "shop.example", UNKNOWN)
    note(path, "other.example", 7)
    assert asked(path, "shop.example") == UNKNOWN
    note(path, "shop.example", 30_000_000_001)
    assert asked(path, "shop.example") == 30_000_000_001
    with contextlib.closing(Memory(path)) as memory:
        memory.forget("shop.example")
    assert (asked(path, "shop.example"), asked(path, "other.example")) == (None, 7)


def test_a_note_is_in_the_file_itself_at_once(path: Path, tmp_path: Path) -> None:
    """What a kill leaves beside the file may get lost: the note stands in the file."""
    with contextlib.closing(Memory(path)) as memory:
        memory.note("shop.example", UNKNOWN)
        copy = tmp_path / "copy.sqlite3"
        shutil.copy(path, copy)
    assert asked(copy, "shop.example") == UNKNOWN


@pytest.mark.parametrize("value", [0x01, 0xFF])
def test_no_damage_makes_it_say_that_nothing_was_asked(path: Path, value: int) -> None:
    note(path, "shop.example", UNKNOWN)
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
    note(path, "shop.example", UNKNOWN)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(AppError, match=r"Wait two minutes, so that HubSpot's search shows"):
        Memory(path)
