"""Lists on the screen: a line for each entry, and not more than one cares to read."""

from __future__ import annotations

from typing import Sequence, Tuple

from command import Run
from words import clip

COLOURS = {"+": "green", "-": "red", "!": "yellow"}


def show_list(
    run: Run, title: str, mark: str, lines: Sequence[Tuple[str, str]], shown: int
) -> None:
    """Lines of a name and what is said of it; `shown` of them, the report has all."""
    if not lines:
        return
    run.say(f"{title}:")
    rows = [(clip(name, 70), clip(words, 200)) for name, words in lines[:shown]]
    width = max(len(name) for name, _ in rows)
    for name, words in rows:
        run.say(f"  {mark} {name:<{width}}  {words}", COLOURS.get(mark, ""))
    if len(lines) > shown:
        run.say(f"  and {len(lines) - shown:,} more (see --report)")
    run.say()
