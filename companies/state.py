"""What runs leave for later ones: which HubSpot company a domain stood for, what the destination
answered, what was reported, and the run history. Nothing in it is secret.

It explains and saves calls: with a lost, old or foreign file every run still ends right, and only
knows less.
"""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Callable, Iterable, TypeVar

from companies.answers import Answer, Answers
from companies.matching import Change
from core.clock import Clock
from core.errors import AppError
from core.log import log
from state import history, notifications
from state.store import Row, Store

SCHEMA = f"""
CREATE TABLE account (hash TEXT NOT NULL);
CREATE TABLE record (domain TEXT PRIMARY KEY, hubspot_id INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE answer (
    domain TEXT PRIMARY KEY, listed_as TEXT, status TEXT NOT NULL, reason TEXT NOT NULL,
    since REAL NOT NULL, asked_at REAL NOT NULL
) WITHOUT ROWID;
{notifications.SQL}
{history.SQL}
"""
_REMEDY = "The run goes on without it. Delete the file, or bring it back from a backup."

T = TypeVar("T")


def open_store(path: Path, account: str, dry_run: bool = True) -> Store:
    """`account` may hold keys: only its hash is kept. Raises AppError when the file cannot be used,
    or is that of another account."""
    store = Store(path, SCHEMA, _REMEDY, dry_run)
    account_hash = hashlib.sha256(account.encode()).hexdigest()
    try:
        hashes = store.rows("SELECT hash FROM account")
        if not hashes:
            store.write("INSERT INTO account VALUES (?)", [(account_hash,)])
        elif hashes != [(account_hash,)]:
            raise AppError(f"{path} is the memory of another account. {_REMEDY}")
    except AppError:
        store.close()
        raise
    return store


class CompanyState:
    """The file at `path`, which is that of the account. Nothing raises: when the file cannot be
    used, one warning is logged, and main memory stands for it to the end of the run."""

    def __init__(self, path: Path, account: str, clock: Clock, dry_run: bool) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._stores = [Store(None, SCHEMA, "", dry_run=False)]  # the last one is used
        try:
            self._stores.append(open_store(path, account, dry_run))
        except AppError as error:
            log.warning("%s", error)
        self.notifications = notifications.Notifications(self, clock)

    def records(self, domains: Iterable[str]) -> dict[str, int]:
        """Domain -> the id of the HubSpot company that it last stood for."""
        sql = "SELECT domain, hubspot_id FROM record WHERE domain = ?"
        return dict(row for domain in domains for row in self.rows(sql, domain))

    def remember_records(self, companies: Iterable[Change]) -> None:
        sql = (
            "INSERT INTO record VALUES (?, ?) ON CONFLICT (domain) DO UPDATE"
            " SET hubspot_id = excluded.hubspot_id WHERE hubspot_id <> excluded.hubspot_id"
        )
        self.write(sql, ((each.domain, each.hubspot_id) for each in companies))

    def answers(self, ask_again_days: int) -> Answers:
        rows = self.rows("SELECT * FROM answer")
        return Answers((Answer(*row) for row in rows), ask_again_days, self._clock)

    def save_answers(self, answers: Answers) -> None:
        changed = {domain: answers.get(domain) for domain in answers.changed}
        gone = [(domain,) for domain, answer in changed.items() if answer is None]
        self.write("DELETE FROM answer WHERE domain = ?", gone)
        sql = "INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?, ?)"
        self.write(sql, filter(None, changed.values()))

    def was_reported(self, key: str) -> bool:
        """Of something that waits for a person, and has not stopped to wait since."""
        return bool(self.rows("SELECT 1 FROM notified WHERE what = ?", key))

    def rows(self, sql: str, *values: object) -> list[Row]:
        return self._use(lambda store: store.rows(sql, *values))

    def write(self, sql: str, rows: Iterable[Row]) -> None:
        self._use(lambda store: store.write(sql, rows))

    def close(self) -> None:
        for store in self._stores:
            store.close()

    def _use(self, work: Callable[[Store], T]) -> T:
        store = self._stores[-1]
        try:
            return work(store)
        except AppError as error:
            with self._lock:
                if self._stores[-1] is store:  # else another thread has said it
                    log.warning("%s", error)
                    self._stores.reverse()  # any thread may still be at work on the file
            return work(self._stores[-1])
