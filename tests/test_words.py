from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.words import alternatives, clip, companies, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Käse & Co. 日本", "Käse & Co. 日本"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("two\nlines\ttab", "two\\nlines\\ttab"),
        ("\u202egnihtyna", "\\u202egnihtyna"),
        ("\ud800", "\\ud800"),
        ("a\u2028b", "a\\u2028b"),
    ],
)
def test_nothing_that_a_terminal_would_obey(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_printable_is_printable(text: str) -> None:
    assert all(char.isprintable() or char.isspace() for char in printable(text))
    assert "\n" not in printable(text)


def test_clip() -> None:
    assert clip("short", 5) == "short"
    assert clip("longer", 5) == "long…"


def test_counts_and_lists() -> None:
    assert companies(1) == "1 company"
    assert companies(12345) == "12,345 companies"
    assert alternatives(["Shopify"]) == "Shopify"
    assert alternatives(["Shopify", "Magento 2"]) == "Shopify or Magento 2"
    assert alternatives(["Shopify", "Magento 2", "Wix"]) == "Shopify, Magento 2 or Wix"
