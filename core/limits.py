"""How much one run may change: pure rules, checked before the first write."""

from __future__ import annotations

import re
from typing import Callable, NamedTuple

FEW = 5  # removals: so few are no mass harm, whatever share of the whole they are


class Limit(NamedTuple):
    """A number of companies or people or, `is_percent`, a share of all of them."""

    number: int
    is_percent: bool = False

    def __str__(self) -> str:
        return f"{self.number:,}{'%' if self.is_percent else ''}"

    def allows(self, changes: int, whole: int) -> bool:
        """A share is compared in whole numbers, and exactly at the limit is allowed."""
        if self.is_percent:
            return changes <= FEW or changes * 100 <= self.number * whole
        return changes <= self.number


class Refusal(NamedTuple):
    """A violated limit: `reason` in words, `allow_with` the flag that would allow this one plan;
    `by_plan`: whether `--approve` would allow it too."""

    reason: str
    allow_with: str
    by_plan: bool = True


def over_limit(
    limit: Limit | None,
    change: str,
    counted: Callable[[int], str],
    flag: str,
    changes: int,
    whole: int = 0,
    by_plan: bool = True,
) -> list[Refusal]:
    """A refusal if the plan has more changes than allowed; without a limit there is none.

    `change`: what follows "would", with {} for the number, which `counted` puts into words;
    `flag`: by which the limit is set; `whole`: what a share is of, if there is one.
    """
    if limit is None or limit.allows(changes, whole):
        return []
    number = counted(changes)
    if whole:
        number = f"{changes:,} of {counted(whole)} ({changes / whole:.1%})"
    text = f"This run would {change.format(number)}. The limit is {limit}."
    return [Refusal(text, f"{flag} {changes}", by_plan)]


def parse_limit(text: str) -> Limit:
    """`412` or `20%`; raises ValueError with the words that follow "must be"."""
    found = re.fullmatch(r"([0-9]{1,15})\s*(%?)", text.strip())
    if not found or (found[2] and int(found[1]) > 100):
        raise ValueError("a number such as 412 or a share such as 20%")
    return Limit(int(found[1]), bool(found[2]))


def parse_number_limit(text: str) -> Limit:
    """Like `parse_limit`, for a plain number."""
    return Limit(parse_number(text))


def parse_number(text: str) -> int:
    """A whole number; raises ValueError like `parse_limit`."""
    if not re.fullmatch(r"[0-9]{1,15}", text.strip()):
        raise ValueError("a whole number")
    return int(text)
