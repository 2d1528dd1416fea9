from __future__ import annotations

import ast
import re
from typing import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.words import alternatives, clip, companies, printable
from tests.helpers import ROOT, SHUNNED
from tests.layers import product_files


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


def printed() -> Iterator[tuple[str, str]]:
    """Every text of the product that is more than one word and no docstring, and the manuals, which
    show what a run prints; but for the names of a report's keys, and a table of measurements."""
    manuals = {ROOT / ".env.example", *ROOT.glob("*.md"), *ROOT.glob("docs/*.md")}
    for path in manuals - {ROOT / "docs" / "performance.md"}:
        yield path.name, re.sub("`[^`\n]*`", "", path.read_text(encoding="utf-8"))
    for path in map(ROOT.joinpath, product_files()):
        if path.suffix == ".py":
            tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            nodes = {node: getattr(node, "value", None) for node in tree}
            docstrings = {value for node, value in nodes.items() if isinstance(node, ast.Expr)}
            for node, value in nodes.items():
                if isinstance(value, str) and " " in value and node not in docstrings:
                    yield path.name, value


def test_no_word_of_our_own_is_printed() -> None:
    texts = [(name, text) for name, text in printed() if SHUNNED.search(text)]
    assert [(name, SHUNNED.findall(text)) for name, text in texts] == []
