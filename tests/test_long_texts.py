"""Foreign text of any length is searched in a time that grows with its length alone."""

from __future__ import annotations

import time
from typing import Callable

import pytest

from core.addresses import (
    addresses_in,
    canonical,
    display_domains,
    masked,
    named_domains,
    normalise_domain,
    normalise_email,
    shared_host,
)
from core.conditions import Condition, Property
from core.values import as_day, as_number
from core.words import clip
from transport.response import clean

LENGTH = 100_000  # characters
BOUND_S = 2.0  # of processor time: a hundred times what it takes, and far less than squares do
PARTS = [
    *("a", "1", ".", "@", " ", "-", ":", "/", "\x1b", "ü", "\\"),
    *("a.", "a@", "a@a.", "xn--a.", "a b,", "\\ud83d"),
]
TEXTS = [part * (LENGTH // len(part)) for part in PARTS] + [
    "".join(map(chr, range(0x4E00, 0x4E00 + 20_000))) + ".com",
    "https://" + "@" * LENGTH,
    "xn--" * (LENGTH // 4),
]


def holds(text: str) -> bool:
    known = Property("country", "date", "checkbox", {})
    return Condition("country", "=", ("2026-11-21",)).holds(text, known)


SEARCHES: list[Callable[[str], object]] = [
    *(normalise_domain, named_domains, display_domains, shared_host),
    *(normalise_email, canonical, masked, addresses_in),
    *(as_number, as_day, holds),
    lambda text: clip(text, 80),
    clean,
]


@pytest.mark.no_cover
@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("ending", ["", "!"])
def test_a_long_text_takes_linear_time(search: Callable[[str], object], ending: str) -> None:
    for text in TEXTS:
        began_at = time.process_time()
        search(text + ending)
        assert time.process_time() - began_at < BOUND_S, text[:20]
