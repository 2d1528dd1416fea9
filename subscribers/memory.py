"""Whom MailerLite has had as subscribers, remembered from run to run.

MailerLite lists nobody who was deleted there, and a write brings a deleted person back without a
word. So every address that was ever seen in one of its lists, or written, is remembered: known,
and now in no list, means that someone deleted the person.

The file is an SQLite database that its owner alone can read. It holds no addresses, but a keyed
hash (HMAC-SHA256) of each; the key is random, made with the file, and kept in it. So nobody can
read the addresses off the file, or compare it with another one. Whoever has the file can still
find out whether an address that he knows is in it.

An address is remembered after MailerLite has confirmed the write. A run that is killed in between
may leave one for each call under way that is not remembered, and that is so on purpose: an address
remembered before its write would, if the write never took place, look like a deleted person, and
would never be written. The next run sees in the lists whom MailerLite has; only someone who was
deleted before that would be written once more.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import sqlite3
import threading
from pathlib import Path
from typing import Iterable, Iterator, Tuple

from basics.errors import AppError

# With a write-ahead log and `synchronous = NORMAL` the file stays sound whatever happens, and a
# commit need not wait for the disk: a power failure may cost the last few, a kill costs none.
_TABLES = """
PRAGMA journal_mode = WAL;
CREATE TABLE secret (key BLOB NOT NULL);
CREATE TABLE known (hash BLOB PRIMARY KEY) WITHOUT ROWID;
"""


class Memory:
    """The file at `path`; a missing one is made (`is_new`), in a dry run in main memory alone.

    Any thread may use it. Everything raises AppError when the file cannot be used.
    """

    def __init__(self, path: Path, dry_run: bool) -> None:
        self._path = path
        self._lock = threading.Lock()
        with self._errors():
            self.is_new = not path.exists()
            if self.is_new and not dry_run:
                _make(path)
            # mode=rw also in a dry run: mode=ro cannot read what a killed run has left half-done.
            place = ":memory:" if self.is_new and dry_run else f"{path.resolve().as_uri()}?mode=rw"
            self._file = sqlite3.connect(place, uri=True, check_same_thread=False)
        try:
            with self._errors():
                if place == ":memory:":
                    _fill(self._file)
                self._file.execute("PRAGMA synchronous = NORMAL")
                self._file.execute(f"PRAGMA query_only = {dry_run:d}")
                ((self._key,),) = self._file.execute("SELECT key FROM secret")
        except AppError:
            self.close()
            raise

    def knows(self, email: str) -> bool:
        with self._errors(), self._lock:
            rows = self._file.execute("SELECT 1 FROM known WHERE hash = ?", self._row(email))
            return rows.fetchone() is not None

    def remember(self, emails: Iterable[str]) -> None:
        rows = list(map(self._row, emails))
        with self._errors(), self._lock, self._file:
            self._file.executemany("INSERT OR IGNORE INTO known VALUES (?)", rows)

    def close(self) -> None:
        self._file.close()

    def _row(self, email: str) -> Tuple[bytes]:
        return (hmac.new(self._key, email.encode(), hashlib.sha256).digest(),)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError) as error:  # ValueError: not exactly one key
            raise AppError(
                f"Cannot use {self._path}, the memory of earlier runs: {error}. Bring it back from"
                " a backup. Delete it only if people who were deleted in MailerLite may be written"
                " again."
            ) from None


def _make(path: Path) -> None:
    """The whole file or nothing, and never readable by others."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    os.close(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
    with contextlib.closing(sqlite3.connect(str(draft))) as file:
        _fill(file)
    os.replace(draft, path)


def _fill(file: sqlite3.Connection) -> None:
    with file:
        file.executescript(_TABLES)
        file.execute("INSERT INTO secret VALUES (?)", (secrets.token_bytes(32),))
