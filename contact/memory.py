"""Which companies HubSpot was asked to create, for the runs that come after.

HubSpot's search shows a new company only after a while, and nothing else finds one by its domain.
A run that came earlier, or after a crash, would make a second company. No times are kept, since
clocks jump: what was asked for stays, and whoever does not find it looks long enough for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from core.errors import AppError
from state.store import Store

_VERSIONS = ("CREATE TABLE asked (domain TEXT NOT NULL PRIMARY KEY, company_id INTEGER);",)
_REMEDY = (
    "Wait two minutes, so that HubSpot's search shows what was created a moment ago, then remove"
    " the file and run it again."
)


class Asked(NamedTuple):
    """`company_id` is None while nobody knows whether the company was created."""

    company_id: int | None


class Memory:
    """The file at `path`, see Store. Only one run at a time may use it: hold the job's lock.
    Everything raises AppError when it cannot be used."""

    def __init__(self, path: Path) -> None:
        self._store = Store(path, _VERSIONS, _REMEDY, dry_run=False)
        try:
            # It compares the table with its index: a domain that was damaged would not be found.
            if self._store.rows("PRAGMA integrity_check") != [("ok",)]:
                raise AppError(f"Cannot use {path}: it is damaged. {_REMEDY}")
        except AppError:
            self.close()
            raise

    def asked(self, domain: str) -> Asked | None:
        """None if HubSpot was never asked for a company of this bare domain, or has refused."""
        rows = self._store.rows("SELECT company_id FROM asked WHERE domain = ?", domain)
        return Asked(*rows[0]) if rows else None

    def note(self, domain: str, company_id: int | None) -> None:
        """On the disk and in this one file, whatever happens next."""
        self._store.write("INSERT OR REPLACE INTO asked VALUES (?, ?)", [(domain, company_id)])
        self._store.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def forget(self, domain: str) -> None:
        self._store.write("DELETE FROM asked WHERE domain = ?", [(domain,)])

    def close(self) -> None:
        self._store.close()
