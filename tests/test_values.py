"""Texts that are held in little memory are the same texts."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from core.values import Packed

TEXTS = st.lists(
    st.none() | st.text() | st.sampled_from(["", "null", 'a","b', "\ud800"]), max_size=5
)


@given(TEXTS)
def test_it_is_like_a_dictionary(texts: list[str | None]) -> None:
    keys = [f"p{n}" for n in range(len(texts))]
    packed = Packed(tuple(keys), texts)
    assert packed == dict(zip(keys, texts))
    assert repr(packed) == repr(dict(zip(keys, texts)))
    assert [packed[key] for key in keys] == texts
    assert len(packed) == len(texts)
    assert "another" not in packed


def test_it_is_small() -> None:
    names = [f"p{n}" for n in range(16)]
    packed = Packed(tuple(names), ["some text"] * 16)
    assert not hasattr(packed, "__dict__")
    assert sys.getsizeof(packed) < 100
