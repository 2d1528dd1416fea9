from __future__ import annotations

from pathlib import Path

import pytest

from basics.errors import AppError
from contact.recent import REMEMBERED_S, Recent
from tests.helpers import FakeClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recent.json"


def test_what_was_asked_is_known_to_the_next_run(path: Path, clock: FakeClock) -> None:
    assert Recent(path, clock).get("shop.example") is None
    Recent(path, clock).note("shop.example", None)
    Recent(path, clock).note("other.example", 7)
    asked = Recent(path, clock).get("shop.example")
    assert asked is not None
    assert asked.company_id is None
    Recent(path, clock).note("shop.example", 12)
    asked, other = (Recent(path, clock).get(f"{name}.example") for name in ("shop", "other"))
    assert asked is not None
    assert other is not None
    assert (asked.company_id, other.company_id) == (12, 7)
    assert [each.name for each in path.parent.glob("*recent*")] == ["recent.json"]


def test_what_was_not_carried_out_is_forgotten(path: Path, clock: FakeClock) -> None:
    recent = Recent(path, clock)
    recent.note("shop.example", None)
    recent.note("other.example", 7)
    recent.forget("shop.example")
    assert recent.get("shop.example") is None
    assert recent.get("other.example") is not None


def test_what_the_search_must_show_by_now_is_left_out(path: Path, clock: FakeClock) -> None:
    recent = Recent(path, clock)
    recent.note("shop.example", 12)
    clock.now += REMEMBERED_S - 1
    assert recent.get("shop.example") is not None
    clock.now += 1
    assert recent.get("shop.example") is None
    recent.note("other.example", 7)
    assert "shop.example" not in path.read_text()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", '{"shop.example": 7}', '{"shop.example": [1]}', '{"a": ["x", "y"]}'],
)
def test_a_file_that_makes_no_sense_is_no_file(path: Path, clock: FakeClock, text: str) -> None:
    path.write_text(text)
    recent = Recent(path, clock)
    assert recent.get("shop.example") is None
    recent.note("shop.example", 12)
    assert recent.get("shop.example") is not None


def test_a_file_that_cannot_be_written_is_said(path: Path, clock: FakeClock) -> None:
    path.mkdir()
    with pytest.raises(AppError, match=r"Cannot write .*recent\.json: "):
        Recent(path, clock).note("shop.example", None)
    assert list(path.parent.glob(".recent*")) == []
