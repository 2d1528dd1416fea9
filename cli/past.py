"""What earlier runs did, in words: `--history`, and the recent runs on the page."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone
from typing import Callable, Mapping, Sequence

from cli.changes import DONE
from cli.run import Run
from core.clock import DAY_S
from core.emails import masked
from core.errors import AppError, Outcome
from core.words import count, listing, local_time
from report.model import Kind, PastChange, PastRun, Section
from state.history import BROKEN_OFF, SENT, ChangeEntry, History, RunEntry

RECENT_DAYS, RECENT_RUNS = 30, 10  # on the page
NOT_CONFIRMED, UNKNOWN = "sent, not confirmed", "nobody knows whether it arrived"
IN_WORDS = {
    "synced": "done",
    "partial": "done in part",
    "refused": "refused for safety",
    "failed": "failed",
    "interrupted": "interrupted",
    BROKEN_OFF: BROKEN_OFF,
}


def recorded(
    run: Run,
    history: History,
    keep_days: int,
    verbs: Mapping[str, str],
    work: Callable[[], Outcome],
) -> Outcome:
    """The outcome of the work, which is noted as one run, unless it leaves no trace. Before it, so
    that the page of a run that fails has them too, the report gets the recent ones."""
    if not run.dry_run:
        history.begin(keep_days)
    if run.wants_links:
        run.report.history = _recent(history, run.clock.time(), verbs)
    if run.dry_run:
        return work()
    try:
        outcome = work()
    except AppError as error:
        cause = masked(str(error)).replace("\n", " ")
        history.end(run.ended(error.outcome), cause, _numbers(run), None)
        raise
    history.end(run.ended(outcome), run.report.error, _numbers(run), run.report.total)
    return outcome


def _numbers(run: Run) -> dict[str, int]:
    """The counts, without those by reason: a reason may tell a value."""
    return {key: found for key, found in run.report.counts.items() if isinstance(found, int)}


def say_history(run: Run, history: History, most: int, verbs: Mapping[str, str]) -> Outcome:
    """The last runs that changed something, failed or were refused, the newest first; the others
    are counted between them. `verbs`: action -> what is said of it, such as "followed"."""
    shown: list[RunEntry] = []
    quiet = 0
    for entry in history.runs():
        if len(shown) == most:
            break
        if _changed_nothing(entry):
            quiet += 1
            continue
        _say_quiet(run, quiet)
        quiet = 0
        shown.append(entry)
        changes = history.changes_in(entry.id)
        run.say(f"{moment(entry.began_at)}  {_in_words(entry, changes, verbs)}")
    _say_quiet(run, quiet)
    if not shown:
        run.summarise("No run is known that changed something, failed or was refused.")
    return run.answer("What earlier runs did", _sections(shown, history))


def _changed_nothing(entry: RunEntry) -> bool:
    """It found nothing to do, or nothing of what it tried came to be."""
    is_done = entry.outcome == Outcome.SYNCED.word
    return entry.outcome == Outcome.IN_SYNC.word or (is_done and not entry.counts.get(DONE))


def _say_quiet(run: Run, runs: int) -> None:
    if runs:
        run.say(f"  {count(runs, 'run')} with nothing to do")


def _in_words(entry: RunEntry, changes: Sequence[ChangeEntry], verbs: Mapping[str, str]) -> str:
    told = [f"{number:,} {words}" for words, number in _counts(changes, verbs).items()]
    outcome = IN_WORDS.get(entry.outcome, entry.outcome)
    return ": ".join(filter(None, [outcome, listing(told) or entry.error]))


def _counts(changes: Sequence[ChangeEntry], verbs: Mapping[str, str]) -> dict[str, int]:
    """What was changed, in words, and what may have been."""
    done = [verbs.get(each.action, each.action) for each in changes if each.status == DONE]
    sent = [NOT_CONFIRMED for each in changes if each.status == SENT]
    return dict(Counter([*done, *sent]))


def deed(change: ChangeEntry, verbs: Mapping[str, str]) -> str:
    """What was done, with what came of it if that is something else."""
    came = UNKNOWN if change.status == SENT else change.status.replace("_", " ")
    verb = verbs.get(change.action, change.action)
    return verb if change.status == DONE else f"{verb} ({came})"


def _sections(shown: Sequence[RunEntry], history: History) -> list[Section]:
    runs = [
        {
            "at": moment(entry.began_at),
            "outcome": entry.outcome,
            "error": entry.error,
            "counts": dict(entry.counts),
        }
        for entry in shown
    ]
    changes = [change_row(each) for entry in shown for each in history.changes_in(entry.id)]
    columns = ("at", "action", "who", "company", "reason", "status")
    return [
        Section("runs", "Runs", Kind.STEP, ("at", "outcome", "error"), runs),
        Section("changes", "Changes", Kind.STEP, columns, changes),
    ]


def change_row(change: ChangeEntry) -> dict[str, object]:
    who = change.who.hex() if isinstance(change.who, bytes) else change.who
    return {
        "at": moment(change.at),
        "action": change.action,
        "who": who,
        "company": change.name,
        "hubspot_id": change.hubspot_id,
        "reason": change.reason,
        "status": change.status,
    }


def _recent(history: History, now: float, verbs: Mapping[str, str]) -> list[PastRun]:
    """For the page: the last runs that changed something, or may have."""
    found: list[PastRun] = []
    for entry in history.runs():
        if len(found) == RECENT_RUNS or entry.began_at < now - RECENT_DAYS * DAY_S:
            break
        changes = [each for each in history.changes_in(entry.id) if each.status in (DONE, SENT)]
        if changes:
            rows = [_page_change(each, verbs) for each in changes]
            words = IN_WORDS.get(entry.outcome, entry.outcome)
            counts = _counts(changes, verbs)
            found.append(PastRun(entry.began_at, words, counts, rows, entry.total))
    return found


def _page_change(change: ChangeEntry, verbs: Mapping[str, str]) -> PastChange:
    """Who is known by hash alone goes by the id of the record."""
    record = f"id {change.hubspot_id}" if change.hubspot_id else ""
    name = record if isinstance(change.who, bytes) else change.who
    return PastChange(deed(change, verbs), name, change.reason or "", change.hubspot_id)


def moment(timestamp: float) -> str:
    """Local date and time, as people write them."""
    return local_time(datetime.fromtimestamp(timestamp, timezone.utc))


def date(timestamp: float) -> str:
    """Local date, as people write it."""
    return moment(timestamp).split(",")[0]
