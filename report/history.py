"""What earlier runs did, as words and as rows: for `--history`, `--explain` and the page."""

from __future__ import annotations

from collections import Counter
from typing import Mapping, NamedTuple, Sequence

from core.clock import DAY_S
from core.errors import Outcome
from core.words import count, format_date, format_moment, listing, local
from report.model import DONE, Kind, Row, Section, describe_outcome
from state.history import BROKEN_OFF, RUNNING, SENT, ChangeEntry, History, RunEntry

RECENT_DAYS, RECENT_RUNS = 30, 10  # on the page
NOT_CONFIRMED, UNKNOWN = "sent, not confirmed", "nobody knows whether it arrived"

Verbs = Mapping[str, str]  # the key of a change -> what is said of it once made, such as "followed"


def changed_nothing(entry: RunEntry) -> bool:
    """It found nothing to do, or nothing of what it tried came to be."""
    is_done = entry.outcome == Outcome.SYNCED.word
    return entry.outcome == Outcome.IN_SYNC.word or (is_done and not entry.counts.get(DONE))


def describe_run(entry: RunEntry, changes: Sequence[ChangeEntry], verbs: Verbs) -> str:
    outcome, counts = describe_outcome(entry.outcome), _count(changes, verbs)
    sent = counts.pop(NOT_CONFIRMED, 0)
    made = [f"{number:,} {words}" for words, number in counts.items()]
    if entry.outcome == RUNNING:
        outcome = f"running since {local(entry.began_at):%H:%M}"
    if sent:
        unsure = {
            RUNNING: f"up to {count(sent, 'change')} so far",
            BROKEN_OFF: f"up to {count(sent, 'change')} may have been made",
        }
        made.append(unsure.get(entry.outcome, f"{sent:,} {NOT_CONFIRMED}"))
    return ": ".join(filter(None, [outcome, listing(made) or entry.error]))


def describe_change(change: ChangeEntry, verbs: Verbs) -> str:
    """What was done, with what came of it if that is something else."""
    verb = verbs.get(change.action, change.action)
    came = UNKNOWN if change.status == SENT else change.status.replace("_", " ")
    return verb if change.status == DONE else f"{verb} ({came})"


class Next(NamedTuple):
    """What the next run would do. `action`: the key of a change, "skip" or "nothing"; `reason`: a
    sentence without its full stop."""

    action: str
    reason: str


def describe_next(coming: Next, would: Verbs, who: str = "it") -> str:
    """The line of `--explain` on the next run. `would`: the key of a change -> what stands after
    "it would"."""
    what = {"skip": "left out", "nothing": "nothing changes"}.get(coming.action)
    what = what or f"{who} would {would[coming.action]}"
    return f"  Next run: {what}, because {coming.reason.rstrip('.')}."


def describe_past(changes: Sequence[ChangeEntry], verbs: Verbs, who: str = "it") -> str:
    """The line of `--explain` on earlier runs."""
    made = [
        f"{describe_change(each, verbs)} on {format_date(local(each.at))}"
        + (f": {each.reason}" if each.reason else "")
        for each in changes
    ]
    return f"  Earlier runs: {', '.join(made)}." if made else f"  No earlier run has changed {who}."


def sections(runs: Sequence[RunEntry], history: History) -> list[Section]:
    """What `--history` reports."""
    rows = [
        {
            "at": format_moment(local(each.began_at)),
            "outcome": each.outcome,
            "error": each.error,
            "counts": dict(each.counts),
        }
        for each in runs
    ]
    changes = [change_row(change) for each in runs for change in history.changes_in(each.id)]
    columns = ("at", "action", "who", "company", "reason", "status")
    return [
        Section("runs", "Runs", Kind.STEP, ("at", "outcome", "error"), rows),
        Section("changes", "Changes", Kind.STEP, columns, changes),
    ]


def change_row(change: ChangeEntry) -> dict[str, object]:
    return {
        "at": format_moment(local(change.at)),
        "action": change.action,
        "who": change.who.hex() if isinstance(change.who, bytes) else change.who,
        "company": change.name,
        "hubspot_id": change.hubspot_id,
        "reason": change.reason,
        "status": change.status,
    }


def recent_runs(history: History, now: float, verbs: Verbs) -> Section:
    """For the page: the last runs that changed something, or may have, so that an hour in which
    nothing happened does not hide them."""
    rows: list[Row] = []
    for entry in history.runs():
        if len(rows) == RECENT_RUNS or entry.began_at < now - RECENT_DAYS * DAY_S:
            break
        changes = [each for each in history.changes_in(entry.id) if each.status in (DONE, SENT)]
        if changes:
            rows.append(
                {
                    "at": entry.began_at,
                    "outcome": entry.outcome,
                    "counts": _count(changes, verbs),
                    "changes": [_recent_change(each, verbs) for each in changes],
                }
            )
    hint = "The last runs that changed something."
    columns = ("at", "outcome", "counts", "changes")
    return Section("history", "Recent runs", Kind.STEP, columns, rows, hint=hint)


def _recent_change(change: ChangeEntry, verbs: Verbs) -> dict[str, object]:
    """Who is known by hash alone goes by the id of the record."""
    record = f"id {change.hubspot_id}" if change.hubspot_id else ""
    return {
        "name": record if isinstance(change.who, bytes) else change.who,
        "action": describe_change(change, verbs),
        "reason": change.reason or "",
        "hubspot_id": change.hubspot_id,
    }


def _count(changes: Sequence[ChangeEntry], verbs: Verbs) -> dict[str, int]:
    """What was changed, in words, and what may have been."""
    done = [verbs.get(each.action, each.action) for each in changes if each.status == DONE]
    return dict(Counter([*done, *(NOT_CONFIRMED for each in changes if each.status == SENT)]))
