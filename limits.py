"""How much one run may change: pure rules, checked before the first write."""

from __future__ import annotations

import re
from typing import NamedTuple

FEW = 5  # removals: so few are no mass harm, whatever share of the whole they are


class Limit(NamedTuple):
    """A number of companies or, `is_percent`, a share of those that are followed."""

    number: int
    is_percent: bool = False

    def __str__(self) -> str:
        return f"{self.number:,}{' %' if self.is_percent else ''}"

    def allows(self, changes: int, whole: int) -> bool:
        """A share is compared in whole numbers, and exactly at the limit is allowed."""
        if self.is_percent:
            return changes <= FEW or changes * 100 <= self.number * whole
        return changes <= self.number


class Refusal(NamedTuple):
    """A violated limit: `reason` in words, `allow_with` the flag that would allow this one plan."""

    reason: str
    allow_with: str


def parse_limit(text: str) -> Limit:
    """`412` or `20%`; raises ValueError with the words that follow "must be"."""
    found = re.fullmatch(r"([0-9]{1,15})\s*(%?)", text.strip())
    if not found or (found[2] and int(found[1]) > 100):
        raise ValueError("a number such as 412 or a share such as 20%")
    return Limit(int(found[1]), bool(found[2]))


def parse_number(text: str) -> int:
    """Like `parse_limit`, for a plain number."""
    if not re.fullmatch(r"[0-9]{1,15}", text.strip()):
        raise ValueError("a whole number")
    return int(text)
