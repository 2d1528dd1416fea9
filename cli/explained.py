"""Why? What every script says of a company or a person: what the next run would do, what earlier
runs did."""

from __future__ import annotations

from typing import Mapping, NamedTuple, Sequence

from cli.past import date, deed
from state.history import ChangeEntry


class Next(NamedTuple):
    """What the next run would do. `action`: the key of a change, "skip" or "nothing"; `reason`: a
    sentence without its full stop."""

    action: str
    reason: str


def next_in_words(coming: Next, would: Mapping[str, str], who: str = "it") -> str:
    """`would`: the key of a change -> what stands after "it would"."""
    what = {"skip": "left out", "nothing": "nothing changes"}.get(coming.action)
    told = what or f"{who} would {would[coming.action]}"
    return f"  Next run: {told}, because {coming.reason.rstrip('.')}."


def past_in_words(changes: Sequence[ChangeEntry], verbs: Mapping[str, str], who: str = "it") -> str:
    """`verbs`: the key of a change -> what is said of it once it was made."""
    told = [_past(change, verbs) for change in changes]
    return f"  Earlier runs: {', '.join(told)}." if told else f"  No earlier run has changed {who}."


def _past(change: ChangeEntry, verbs: Mapping[str, str]) -> str:
    reason = f": {change.reason}" if change.reason else ""
    return f"{deed(change, verbs)} on {date(change.at)}{reason}"
