"""What runs did, kept in the account's file: which runs there were, and every change they made."""

from __future__ import annotations

import json
from typing import Iterable, Mapping, NamedTuple, Union

from core.clock import DAY_S, Clock
from core.errors import Outcome
from state.store import Rows

SENT = "sent"  # the status of a change until it is known what came of it
BROKEN_OFF = "broken off"  # a run that ended without a word: it was killed

# One version of the file of a job; see Store. `who` is a domain, or the hash of an address.
SQL = """
CREATE TABLE run (
    id INTEGER PRIMARY KEY, began_at REAL NOT NULL, outcome TEXT NOT NULL, error TEXT,
    counts TEXT NOT NULL, total INTEGER
);
CREATE TABLE change (
    run INTEGER NOT NULL, at REAL NOT NULL, action TEXT NOT NULL, who NOT NULL, name TEXT,
    hubspot_id INTEGER, reason TEXT, status TEXT NOT NULL
);
CREATE INDEX change_who ON change (who);
CREATE INDEX change_run ON change (run);
"""

Who = Union[str, bytes]


class ChangeEntry(NamedTuple):
    """`at`: seconds since 1970; `status`: as in the report of that run."""

    run: int
    at: float
    action: str
    who: Who
    name: str | None
    hubspot_id: int | None
    reason: str | None
    status: str


class RunEntry(NamedTuple):
    """`began_at`: seconds since 1970; `outcome`: its word in the report, or BROKEN_OFF; `total`:
    how many were followed, or subscribed, in the end."""

    id: int
    began_at: float
    outcome: str
    error: str | None
    counts: Mapping[str, int]
    total: int | None


class History:
    """Any thread may note a change. Raises what the store raises."""

    def __init__(self, store: Rows, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._run: int | None = None

    def begin(self, keep_days: int) -> None:
        """From here on changes can be noted. Runs older than `keep_days` are forgotten."""
        oldest = self._clock.time() - keep_days * DAY_S
        for sql in (
            "DELETE FROM change WHERE run IN (SELECT id FROM run WHERE began_at < ?)",
            "DELETE FROM run WHERE began_at < ?",
        ):
            self._store.write(sql, [(oldest,)])
        self._store.write(
            "INSERT INTO run (began_at, outcome, counts) VALUES (?, ?, '{}')",
            [(self._clock.time(), BROKEN_OFF)],
        )
        self._run = next((row[0] for row in self._store.rows("SELECT max(id) FROM run")), None)

    def note(
        self,
        action: str,
        who: Who,
        name: str | None,
        hubspot_id: int | None,
        reason: str | None,
        status: str,
    ) -> None:
        """A change, as soon as it is made, so that a run that is killed has left it."""
        row = (self._run, self._clock.time(), action, who, name, hubspot_id, reason, status)
        self._store.write("INSERT INTO change VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [row])

    def judge(self, action: str, statuses: Iterable[tuple[Who, str]]) -> None:
        """What came of the changes, as it is known in the end."""
        sql = "UPDATE change SET status = ? WHERE run = ? AND action = ? AND who = ?"
        rows = [(status, self._run, action, who) for who, status in statuses]
        self._store.write(sql, rows)

    def end(
        self,
        outcome: Outcome,
        error: str | None,
        counts: Mapping[str, int],
        total: int | None,
    ) -> None:
        sql = "UPDATE run SET outcome = ?, error = ?, counts = ?, total = ? WHERE id = ?"
        row = (outcome.word, error, json.dumps(dict(counts)), total, self._run)
        self._store.write(sql, [row])

    def runs(self) -> list[RunEntry]:
        """All that are kept, the newest first, without the one that is under way."""
        sql = "SELECT * FROM run WHERE id IS NOT ? ORDER BY id DESC"
        return [
            RunEntry(run_id, began_at, outcome, error, json.loads(counts), total)
            for run_id, began_at, outcome, error, counts, total in self._store.rows(sql, self._run)
        ]

    def changes_of(self, who: Who) -> list[ChangeEntry]:
        """In order of time."""
        rows = self._store.rows("SELECT * FROM change WHERE who = ? ORDER BY at, rowid", who)
        return [ChangeEntry(*row) for row in rows]

    def changes_in(self, run: int) -> list[ChangeEntry]:
        rows = self._store.rows("SELECT * FROM change WHERE run = ? ORDER BY at, rowid", run)
        return [ChangeEntry(*row) for row in rows]
