"""What earlier runs did, as words and as rows: for `--history`, `--explain` and the page."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Mapping, NamedTuple, Sequence

from core.clock import DAY_S
from core.errors import Outcome, describe_outcome
from core.words import count, format_date, format_moment, listing, local
from report.model import DONE, FAILED, NOT_REACHED, Card, Kind, Row, Section
from state.history import BROKEN_OFF, RUNNING, SENT, ChangeEntry, History, RunEntry

RECENT_DAYS, RECENT_RUNS = 30, 10  # on the page
NOT_CONFIRMED = "sent, not confirmed"

Verbs = Mapping[str, str]  # the key of a change -> what is said of it once made, such as "followed"


class Next(NamedTuple):
    """What the next run would do. `action`: the key of a change, "skip" or "nothing"; `reason`: a
    sentence without its full stop."""

    action: str
    reason: str


def describe_next(coming: Next, verbs: Verbs, who: str = "it") -> str:
    """The line of `--explain` on the next run."""
    what = f"{who} will be {verbs.get(coming.action, 'skipped')}"
    what = "nothing will change" if coming.action == "nothing" else what
    return f"  Next run: {what}. Reason: {coming.reason.rstrip('.')}."


def describe_past(changes: Sequence[ChangeEntry], verbs: Verbs, who: str = "it") -> str:
    """The line of `--explain` on earlier runs."""
    made = [
        f"{describe_change(each, verbs)} on {format_date(local(each.at))}"
        + (f": {each.reason}" if each.reason else "")
        for each in changes
    ]
    return f"  Earlier runs: {'; '.join(made)}." if made else f"  No earlier run changed {who}."


def describe_change(change: ChangeEntry, verbs: Verbs) -> str:
    """What was done, or what came of it instead."""
    verb, came = verbs.get(change.action, change.action), change.status.replace("_", " ")
    known = {
        DONE: verb,
        SENT: f"perhaps {verb} (no answer came)",
        NOT_REACHED: f"not {verb} (the run stopped before)",
    }
    return known.get(change.status, f"not {verb} ({came})")


def describe_runs(
    history: History, most: int, verbs: Verbs
) -> tuple[list[str], list[Section], list[Card]]:
    """What `--history` prints, reports and shows on the page: the last runs that changed something,
    failed or were refused, the newest first; those between them are one line."""
    lines: list[str] = []
    rows: list[Row] = []
    changes: list[Row] = []
    cards: list[Card] = []
    for is_quiet, runs in itertools.groupby(history.runs(), _changed_nothing):
        if len(rows) == most:
            break
        if is_quiet:
            moments = [format_moment(local(each.began_at)) for each in runs]
            when = " to ".join(dict.fromkeys((moments[-1], moments[0])))
            lines.append(f"  {count(len(moments), 'run')} with nothing to do, {when}")
            cards.append(Card(lines[-1]))
            continue
        for each in itertools.islice(runs, most - len(rows)):
            at = format_moment(local(each.began_at))
            lines.append(f"{at}  {_describe_run(each, verbs)}")
            counts = dict(each.counts)
            rows.append({"at": at, "outcome": each.outcome, "error": each.error, "counts": counts})
            made = []
            for one in each.changes:
                text = filter(None, (_name(one), describe_change(one, verbs), one.reason))
                is_known = each.record_url and one.hubspot_id
                link = f"{each.record_url}{one.hubspot_id}" if is_known else None
                made.append((": ".join(text), link))
                changes.append({**change_row(one), "link": link})
            cards.append(Card(lines[-1], [each.error or ""], made))
    columns = ("at", "action", "who", "company", "reason", "status")
    sections = [
        Section("runs", "Runs", Kind.STEP, ("at", "outcome", "error"), rows),
        Section("changes", "Changes", Kind.STEP, columns, changes),
    ]
    return lines, sections, cards


def _changed_nothing(run: RunEntry) -> bool:
    """It found nothing to do, or nothing of what it tried came to be."""
    is_done = run.outcome == Outcome.SYNCED.word
    return run.outcome == Outcome.IN_SYNC.word or (is_done and not run.counts.get(DONE))


def _describe_run(run: RunEntry, verbs: Verbs) -> str:
    outcome, counts = describe_outcome(run.outcome), _count(run.changes, verbs)
    sent = counts.pop(NOT_CONFIRMED, 0)
    made = [f"{number:,} {words}" for words, number in counts.items()]
    if run.outcome == RUNNING:
        outcome = f"running since {local(run.began_at):%H:%M}"
    if sent:
        unsure = {
            RUNNING: f"up to {count(sent, 'change')} so far",
            BROKEN_OFF: f"up to {count(sent, 'change')} may have been made",
        }
        made.append(unsure.get(run.outcome, f"{sent:,} {NOT_CONFIRMED}"))
    return ": ".join(filter(None, [outcome, listing(made) or run.error]))


def _count(changes: Sequence[ChangeEntry], verbs: Verbs) -> dict[str, int]:
    """How many changes were made, in words, how many failed, and how many may have been made."""
    made = Counter(verbs.get(each.action, each.action) for each in changes if each.status == DONE)
    came = Counter(each.status for each in changes)
    others = {FAILED: came[FAILED], NOT_CONFIRMED: came[SENT]}
    return {**made, **{words: number for words, number in others.items() if number}}


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
    """The last runs that changed something, or may have, so that an hour in which nothing happened
    does not hide them."""
    rows: list[Row] = []
    for run in history.runs():
        if len(rows) == RECENT_RUNS or run.began_at < now - RECENT_DAYS * DAY_S:
            break
        changes = [
            {
                "name": _name(each),
                "action": describe_change(each, verbs),
                "reason": each.reason or "",
                "hubspot_id": each.hubspot_id,
            }
            for each in run.changes
            if each.status in (DONE, SENT)
        ]
        row = {"at": run.began_at, "outcome": run.outcome, "counts": _count(run.changes, verbs)}
        rows += [{**row, "changes": changes}] if changes else []
    hint = "The last runs that changed something."
    columns = ("at", "outcome", "counts", "changes")
    return Section("history", "Recent runs", Kind.STEP, columns, rows, hint=hint)


def _name(change: ChangeEntry) -> str:
    """Who is known by hash alone goes by the id of the record, if there is one."""
    if isinstance(change.who, str):
        return change.who
    return f"HubSpot contact {change.hubspot_id}" if change.hubspot_id else ""
