"""Whom MailerLite has had as subscribers, remembered from run to run.

MailerLite lists nobody who was deleted there, and a write brings a deleted person back without a
word. So every address that was ever seen in one of its lists, or written, is remembered: known,
and now in no list, means that someone deleted the person.

The file holds no addresses, but a keyed hash (HMAC-SHA256) of each; the key is random, made with
the file, and kept in it. So nobody can read the addresses off the file, or compare it with another
one. Whoever has the file can still find out whether an address that he knows is in it.

An address is remembered after MailerLite has confirmed the write. A run that is killed in between
may leave one for each call under way that is not remembered, and that is so on purpose: an address
remembered before its write would, if the write never took place, look like a deleted person, and
would never be written. The next run sees in the lists whom MailerLite has; only someone who was
deleted before that would be written once more.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Iterable, Tuple

from basics.errors import AppError
from run.store import Store

_VERSIONS = (
    """
    CREATE TABLE secret (key BLOB NOT NULL);
    CREATE TABLE known (hash BLOB PRIMARY KEY) WITHOUT ROWID;
    INSERT INTO secret VALUES (new_key());
    """,
)
_REMEDY = (
    "Bring it back from a backup. Delete it only if people who were deleted in MailerLite may be"
    " written again."
)


class Memory:
    """The file at `path`, see Store. Everything raises AppError when it cannot be used."""

    def __init__(self, path: Path, dry_run: bool) -> None:
        self._store = Store(path, _VERSIONS, _REMEDY, dry_run)
        self.is_new = self._store.is_new
        try:
            keys = self._store.rows("SELECT key FROM secret")
            if len(keys) != 1:
                raise AppError(f"{path} is not the memory of earlier runs. {_REMEDY}")
        except AppError:
            self.close()
            raise
        self._key: bytes = keys[0][0]

    def knows(self, email: str) -> bool:
        return bool(self._store.rows("SELECT 1 FROM known WHERE hash = ?", *self._row(email)))

    def remember(self, emails: Iterable[str]) -> None:
        self._store.write("INSERT OR IGNORE INTO known VALUES (?)", map(self._row, emails))

    def close(self) -> None:
        self._store.close()

    def _row(self, email: str) -> Tuple[bytes]:
        return (hmac.new(self._key, email.encode(), hashlib.sha256).digest(),)
