"""Lists on the screen: a line for each entry, and not more than one cares to read."""

from __future__ import annotations

from typing import Sequence, Tuple

from command import Run
from words import clip


def show_list(
    run: Run, title: str, mark: str, lines: Sequence[Tuple[str, str]], shown: int
) -> None:
    """Lines of a name and what is said of it; `shown` of them, the report has all."""
    if not lines:
        return
    run.say(f"{title}:")
    rows = [(clip(left, 70), clip(right, 200)) for left, right in lines[:shown]]
    width = max(len(left) for left, _ in rows)
    for left, right in rows:
        run.say(f"  {mark} {left:<{width}}  {right}")
    if len(lines) > shown:
        run.say(f"  and {len(lines) - shown:,} more (see --report)")
    run.say()
