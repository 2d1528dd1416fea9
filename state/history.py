"""What runs did, kept in the file of the job: which runs there were, every change they made, and
what they reported."""

from __future__ import annotations

import json
from typing import AbstractSet, Iterable, Iterator, Mapping, NamedTuple, Sequence, Union

from core.clock import DAY_S, Clock
from core.errors import Outcome
from state.store import Store

SENT = "sent"  # the status of a change until it is known what came of it
RUNNING = "running"  # the outcome of a run that has not ended and still holds the lock
BROKEN_OFF = "broken off"  # of one that ended without a word: it was killed
AGAIN_AFTER_S = 167 * 3600.0  # an hour less than a week: a daily run keeps to its day

# A part of the schema of a job. `who` is a domain, or the hash of an address; `holder`: what the
# lock said of the run; `outcome`: none until the run has ended; `what`: a key of the job's own, a
# hash where it names a person; `planned`: the plan that was refused last; `record_url`: as in the
# report.
SQL = """
CREATE TABLE run (
    id INTEGER PRIMARY KEY, holder TEXT NOT NULL, began_at REAL NOT NULL, outcome TEXT, error TEXT,
    counts TEXT NOT NULL DEFAULT '{}', record_url TEXT
);
CREATE TABLE change (
    run INTEGER NOT NULL, at REAL NOT NULL, action TEXT NOT NULL, who NOT NULL, name TEXT,
    hubspot_id INTEGER, reason TEXT, status TEXT NOT NULL
);
CREATE INDEX change_who ON change (who);
CREATE INDEX change_run ON change (run);
CREATE TABLE planned (what NOT NULL, plan TEXT NOT NULL);
CREATE TABLE notified (what TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
"""

Who = Union[str, bytes]


class ChangeEntry(NamedTuple):
    """`at`: seconds since 1970; `status`: as in the report of that run."""

    at: float
    action: str
    who: Who
    name: str | None
    hubspot_id: int | None
    reason: str | None
    status: str


class RunEntry(NamedTuple):
    """`began_at`: seconds since 1970; `outcome`: its word in the report, RUNNING or BROKEN_OFF;
    `changes`: in order of time."""

    began_at: float
    outcome: str
    error: str | None
    counts: Mapping[str, int]
    record_url: str | None
    changes: Sequence[ChangeEntry]


class History:
    """`holder`: who holds the lock of the job, which is this run or, where it does not write,
    another one. Any thread may note a change. Raises what the store raises."""

    def __init__(self, store: Store, clock: Clock, holder: str | None) -> None:
        self._store, self._clock, self._holder = store, clock, holder
        self._run: int | None = None

    def begin_run(self, keep_days: int) -> None:
        """From here on changes can be noted. Runs older than `keep_days` are forgotten."""
        now = self._clock.time()
        oldest = [(now - keep_days * DAY_S,)]
        self._store.write("DELETE FROM change WHERE at < ?", oldest)
        self._store.write("DELETE FROM run WHERE began_at < ?", oldest)
        sql = "INSERT INTO run (holder, began_at) VALUES (?, ?)"
        self._store.write(sql, [(self._holder, now)])
        self._run = next((id for (id,) in self._store.rows("SELECT max(id) FROM run")), None)

    def note_change(
        self, action: str, who: Who, name: str | None, hubspot_id: int | None, reason: str | None
    ) -> None:
        """Before it is made, so that a run that is killed has left it."""
        row = (self._run, self._clock.time(), action, who, name, hubspot_id, reason, SENT)
        self._store.write("INSERT INTO change VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [row])

    def set_statuses(self, action: str, statuses: Iterable[tuple[Who, str]]) -> None:
        """What came of the changes, as it is known in the end."""
        sql = "UPDATE change SET status = ? WHERE run = ? AND action = ? AND who = ?"
        self._store.write(sql, [(status, self._run, action, who) for who, status in statuses])

    def end_run(
        self,
        outcome: Outcome,
        error: str | None,
        counts: Mapping[str, int],
        record_url: str | None = None,
    ) -> None:
        sql = "UPDATE run SET outcome = ?, error = ?, counts = ?, record_url = ? WHERE id = ?"
        row = (outcome.word, error, json.dumps(dict(counts)), record_url, self._run)
        self._store.write(sql, [row])

    def note_plan(self, plan: str, changes: Iterable[Who]) -> None:
        """The one that was refused last; of a person, a hash."""
        self._store.write("DELETE FROM planned", [()])
        rows = [(what, plan) for what in changes]
        self._store.write("INSERT INTO planned VALUES (?, ?)", rows)

    def planned(self, plan: str) -> set[Who]:
        """The changes of a plan that was refused; none if it is not the last one."""
        sql = "SELECT what FROM planned WHERE plan = ?"
        return {what for (what,) in self._store.rows(sql, plan)}

    def runs(self) -> Iterator[RunEntry]:
        """All that are kept, the newest first, without this one."""
        sql = "SELECT * FROM run WHERE id IS NOT ? ORDER BY id DESC"
        for id, holder, began_at, outcome, error, counts, url in self._store.rows(sql, self._run):
            word = outcome or (RUNNING if holder == self._holder else BROKEN_OFF)
            changes = self._changes("run", id)
            yield RunEntry(began_at, word, error, json.loads(counts), url, changes)

    def changes_of(self, who: Who) -> list[ChangeEntry]:
        """In order of time."""
        return self._changes("who", who)

    def _changes(self, column: str, value: object) -> list[ChangeEntry]:
        sql = f"SELECT * FROM change WHERE {column} = ? ORDER BY at, rowid"  # noqa: S608
        return [ChangeEntry(*row[1:]) for row in self._store.rows(sql, value)]


class Notifications:
    """What waits for a person: a job that runs every hour reports it once, and then once a week.
    Raises what the store raises."""

    def __init__(self, store: Store, clock: Clock, again_after_s: float = AGAIN_AFTER_S) -> None:
        self._store, self._clock, self._again_after_s = store, clock, again_after_s

    def due(self, waiting: AbstractSet[str]) -> set[str]:
        """Those of what waits that were not reported within that time; a time to come is none."""
        now = self._clock.time()
        sql = "SELECT what FROM notified WHERE at > ? AND at <= ?"
        known = self._store.rows(sql, now - self._again_after_s, now)
        return {*waiting} - {what for (what,) in known}

    def mark_notified(self, reported: Iterable[str], waiting: AbstractSet[str]) -> None:
        """What is reported now. What does not wait any more is news should it wait again."""
        now = self._clock.time()
        known = self._store.rows("SELECT what FROM notified")
        settled = [row for row in known if row[0] not in waiting]
        self._store.write("DELETE FROM notified WHERE what = ?", settled)
        rows = [(what, now) for what in reported]
        self._store.write("INSERT OR REPLACE INTO notified VALUES (?, ?)", rows)
