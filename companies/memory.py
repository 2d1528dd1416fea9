"""What a destination of companies is remembered for, from run to run. Nothing in it is secret.

It explains and saves calls: which HubSpot company a domain came from, under which other name a
company is listed, and which companies the destination did not take. With a lost, old or foreign
file every run still ends right; it only knows less.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from pathlib import Path
from typing import (
    AbstractSet,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    NamedTuple,
)

from companies.plan import WantedCompany
from core.clock import DAY_S, Clock
from core.errors import AppError
from core.log import log
from state import history, notifications
from state.store import Row, Store

_SCHEMA = """
    CREATE TABLE account (hash TEXT NOT NULL);
    CREATE TABLE record (domain TEXT PRIMARY KEY, hubspot_id INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE other_name (
        domain TEXT PRIMARY KEY, listed TEXT NOT NULL, asked_at REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE refusal (
        action TEXT, domain TEXT, company TEXT, status TEXT NOT NULL, reason TEXT NOT NULL,
        since REAL NOT NULL, asked_at REAL NOT NULL, PRIMARY KEY (action, domain)
    ) WITHOUT ROWID;
"""
_SCHEMA += notifications.SQL + history.SQL
_REMEDY = "Delete the file, or bring it back from a backup."


class Waiting(NamedTuple):
    """A change that the destination did not take, and when it may be asked for again.

    `action`: the key of the change; `status`: what came of it; `since`, `asked_at`: seconds since
    1970.
    """

    action: str
    domain: str
    company: str | None
    status: str
    reason: str
    since: float
    asked_at: float

    @property
    def key(self) -> str:
        return f"{self.action} {self.domain}"


def open_memory(path: Path, account: str, dry_run: bool = True) -> Store:
    """`account` may hold keys: only its hash is kept. Raises AppError when the file cannot be used,
    or is that of another account."""
    store = Store(path, _SCHEMA, _REMEDY, dry_run)
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


class CompanyMemory:
    """The file at `path`, which is that of the account.

    Nothing raises: when the file cannot be used, one warning is logged, and no more is remembered.
    """

    def __init__(self, path: Path, account: str, clock: Clock, dry_run: bool) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._stores = [_forgetful()]  # the last one is used; any thread may be at work on another
        with self._usable():
            self._stores.append(open_memory(path, account, dry_run))

    def records(self, domains: Iterable[str]) -> dict[str, int]:
        """Domain -> the id of the HubSpot company that it last stood for."""
        sql = "SELECT domain, hubspot_id FROM record WHERE domain = ?"
        found: dict[str, int] = {}
        with self._usable() as store:
            for domain in domains:
                found.update(store.rows(sql, domain))
        return found

    def remember_records(self, companies: Iterable[WantedCompany]) -> None:
        sql = (
            "INSERT INTO record VALUES (?, ?) ON CONFLICT (domain) DO UPDATE"
            " SET hubspot_id = excluded.hubspot_id WHERE hubspot_id <> excluded.hubspot_id"
        )
        self.write(sql, ((company.domain, company.hubspot_id) for company in companies))

    def other_names(self) -> dict[str, str]:
        """Wanted domain -> the domain under which the destination lists the company."""
        found: dict[str, str] = {}
        with self._usable() as store:
            found.update(store.rows("SELECT domain, listed FROM other_name"))
        return found

    def other_name(self, domain: str) -> tuple[str, float] | None:
        """That of one company, and when the destination told it, in seconds since 1970."""
        sql = "SELECT listed, asked_at FROM other_name WHERE domain = ?"
        with self._usable() as store:
            return next(iter(store.rows(sql, domain)), None)
        return None

    def stale_names(self, days: int) -> list[str]:
        """The wanted domains whose other name was asked for so long ago, or in the future."""
        now = self._clock.time()
        sql = "SELECT domain FROM other_name WHERE asked_at NOT BETWEEN ? AND ?"
        with self._usable() as store:
            return [domain for (domain,) in store.rows(sql, now - days * DAY_S, now)]
        return []

    def forget_names(self, domains: Iterable[str]) -> None:
        self.write("DELETE FROM other_name WHERE domain = ?", [(domain,) for domain in domains])

    def remember_names(self, names: Mapping[str, str]) -> None:
        rows = [(domain, listed, self._clock.time()) for domain, listed in names.items()]
        self.write("INSERT OR REPLACE INTO other_name VALUES (?, ?, ?)", rows)

    def waiting(self, action: str, days: int) -> dict[str, Waiting]:
        """What was asked for less than so many days ago, and is not to be asked for yet."""
        earliest = self._clock.time() - days * DAY_S
        return {
            each.domain: each
            for each in self._refused(action)
            if earliest < each.asked_at <= self._clock.time()
        }

    def refused(self, action: str) -> set[str]:
        """The domains of what was not taken when it was asked for last, however long ago."""
        return {each.domain for each in self._refused(action)}

    def noted(self, action: str, days: int) -> tuple[list[str], list[str]]:
        """The domains that were first noted so many days ago or later, and those before."""
        earliest = self._clock.time() - days * DAY_S
        lately = {
            each.domain: earliest < each.since <= self._clock.time()
            for each in self._refused(action)
        }
        return [each for each in lately if lately[each]], [
            each for each in lately if not lately[each]
        ]

    def note(self, action: str, refused: Iterable[tuple[str, str | None, str, str]]) -> None:
        """Domain, company, status and reason of what was not taken just now."""
        now = self._clock.time()
        self.write(
            "INSERT INTO refusal VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (action, domain)"
            " DO UPDATE SET company = excluded.company, status = excluded.status,"
            " reason = excluded.reason, asked_at = excluded.asked_at",
            [(action, *each, now, now) for each in refused],
        )

    def forget(self, action: str, is_settled: Callable[[str], bool]) -> None:
        """Those of the domains that have been taken, or are not to be asked for any more."""
        settled = [each.domain for each in self._refused(action) if is_settled(each.domain)]
        sql = "DELETE FROM refusal WHERE action = ? AND domain = ?"
        self.write(sql, [(action, domain) for domain in settled])

    def due(self, waiting: AbstractSet[str]) -> set[str]:
        """Those of the keys of what waits for a person that are to be told now."""
        with self._usable() as store:
            return notifications.Notifications(store, self._clock).due(waiting)
        return set(waiting)

    def note_told(self, now: AbstractSet[str], waiting: AbstractSet[str]) -> None:
        with self._usable() as store:
            notifications.Notifications(store, self._clock).mark_notified(now, waiting)

    def rows(self, sql: str, *values: object) -> list[Row]:
        """As of a Store; none when the file cannot be used."""
        with self._usable() as store:
            return store.rows(sql, *values)
        return []

    def write(self, sql: str, rows: Iterable[Row]) -> None:
        """As of a Store."""
        with self._usable() as store:
            store.write(sql, rows)

    def close(self) -> None:
        for store in self._stores:
            store.close()

    def _refused(self, action: str) -> list[Waiting]:
        sql = "SELECT * FROM refusal WHERE action = ? ORDER BY domain"
        return [Waiting(*row) for row in self.rows(sql, action)]

    @contextlib.contextmanager
    def _usable(self) -> Iterator[Store]:
        """The file or, once that could not be used, main memory."""
        store = self._stores[-1]
        try:
            yield store
        except AppError as error:
            with self._lock:
                if store is self._stores[-1]:  # else another thread has told it
                    log.warning("%s The run goes on without it.", error)
                    self._stores.append(_forgetful())


def _forgetful() -> Store:
    return Store(None, _SCHEMA, _REMEDY, dry_run=False)
