"""What waits for a person: a job that runs every hour reports it once, and then once a week."""

from __future__ import annotations

from typing import AbstractSet, Iterable

from core.clock import Clock
from state.store import Store

# A part of the schema of a job. `what` is a key of the job's own: where it names a person, a hash.
SQL = "CREATE TABLE notified (what TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;"
AGAIN_AFTER_S = 167 * 3600.0  # an hour less than a week: a daily run keeps to its day


class Notifications:
    """Raises what the store raises."""

    def __init__(self, store: Store, clock: Clock, again_after_s: float = AGAIN_AFTER_S) -> None:
        self._store = store
        self._clock = clock
        self._again_after_s = again_after_s

    def due(self, waiting: AbstractSet[str]) -> set[str]:
        """Those of what waits that were not reported within that time; a time to come is none."""
        now = self._clock.time()
        sql = "SELECT what FROM notified WHERE at > ? AND at <= ?"
        return {*waiting} - {
            what for (what,) in self._store.rows(sql, now - self._again_after_s, now)
        }

    def mark_notified(self, reported: Iterable[str], waiting: AbstractSet[str]) -> None:
        """What is reported now. What does not wait any more is news should it wait again."""
        now = self._clock.time()
        known = self._store.rows("SELECT what FROM notified")
        settled = [row for row in known if row[0] not in waiting]
        self._store.write("DELETE FROM notified WHERE what = ?", settled)
        rows = [(what, now) for what in reported]
        self._store.write("INSERT OR REPLACE INTO notified VALUES (?, ?)", rows)
