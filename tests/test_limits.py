"""How much one run may change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.limits import Limit, Refusal, over_limit, parse_limit, parse_number, parse_number_limit


def refusals(limit: Limit | None, changes: int, whole: int = 0) -> list[Refusal]:
    return over_limit(limit, "move {}", lambda n: f"{n:,} things", "--max-gone", changes, whole)


@pytest.mark.parametrize(
    ("limit", "changes", "whole", "refused"),
    [
        ("20%", 5, 6, False),
        ("20%", 6, 30, False),
        ("20%", 6, 29, True),
        ("0%", 5, 100, False),
        ("0%", 6, 100, True),
        ("100%", 40, 41, False),
        ("100%", 41, 41, False),
        ("5", 5, 6, False),
        ("5", 6, 1000, True),
        ("0", 1, 1000, True),
        ("0", 0, 0, False),
    ],
)
def test_what_is_over_the_limit(limit: str, changes: int, whole: int, refused: bool) -> None:
    found = refusals(parse_limit(limit), changes, whole)
    assert bool(found) == refused
    if refused:
        assert found[0].allow_with == f"--max-gone {changes}"
        assert not refusals(parse_limit(str(changes)), changes, whole)


def test_a_refusal_in_words() -> None:
    assert refusals(Limit(20, is_percent=True), 8, 8) == [
        Refusal("This run would move 8 of 8 things (100.0%). The limit is 20%.", "--max-gone 8")
    ]
    assert refusals(Limit(1_000), 1_001) == [
        Refusal("This run would move 1,001 things. The limit is 1,000.", "--max-gone 1001")
    ]


def test_without_a_limit_nothing_is_refused() -> None:
    assert refusals(None, 10**9) == []


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300), st.integers(0, 100))
def test_more_changes_never_pass_a_limit(whole: int, fewer: int, more: int, number: int) -> None:
    fewer, more = sorted((min(fewer, whole), min(more, whole)))
    for limit in (Limit(number), Limit(number, is_percent=True)):
        assert limit.allows(fewer, whole) or not limit.allows(more, whole)


@pytest.mark.parametrize("text", ["", "-1", "20 per cent", "101%", "1.5%", "٣"])
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(ValueError, match="a number such as 412 or a share such as 20%"):
        parse_limit(text)


def test_what_is_no_number() -> None:
    assert parse_number(" 7 ") == 7
    assert parse_number_limit("7") == Limit(7)
    for parse in (parse_number, parse_number_limit):
        with pytest.raises(ValueError, match="a whole number"):
            parse("seven")
