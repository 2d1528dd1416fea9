"""A small SQLite file in which runs leave what later runs must know."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from pathlib import Path
from typing import Any, Iterable, Iterator, Tuple

from core import errors, log
from state import files

Row = Tuple[Any, ...]


class Store:
    """The file at `path`; a missing one is made by the SQL of `schema`, for its owner alone. In a
    dry run all of it happens in main memory, on a copy. Any thread may use it.

    Everything raises AppError when the file cannot be used, with the `remedy` if it is the file's
    own fault. With `may_fail`, for what only saves work, that is one warning: a damaged file is
    moved aside and begun anew; for any other main memory stands from then on.
    """

    def __init__(
        self, path: Path, schema: str, remedy: str, dry_run: bool, may_fail: bool = False
    ) -> None:
        self._path, self._schema, self._remedy, self._may_fail = path, schema, remedy, may_fail
        self._may_begin_anew = may_fail and not dry_run  # once
        self._lock = threading.Lock()
        self._file = sqlite3.connect(":memory:", check_same_thread=False)
        try:
            with self._using():
                self._open(dry_run)
        except BaseException:
            self._file.close()
            raise

    def rows(self, sql: str, *values: object) -> list[Row]:
        with self._using() as file:
            return file.execute(sql, values).fetchall()
        return []

    def write(self, sql: str, rows: Iterable[Row]) -> None:
        """Run `sql` for each of the rows, all or none."""
        with self._using() as file, file:
            file.executemany(sql, rows)

    def close(self) -> None:
        with self._lock:  # SQLite would crash under a thread that is at work
            self._file.close()

    def give_up(self, error: errors.AppError) -> None:
        """The file is not to be used."""
        if not self._may_fail:
            raise error from None
        log.warning("%s The run goes on without it.", error)
        self._file.close()
        self._file = sqlite3.connect(":memory:", check_same_thread=False)
        self._file.executescript(self._schema)

    def _open(self, dry_run: bool) -> None:
        is_new = not self._path.exists()
        if dry_run and is_new:
            self._file.executescript(self._schema)
        elif dry_run:
            with contextlib.closing(_connect(self._path)) as file:
                file.backup(self._file)
        else:
            if is_new:
                _create(self._path, self._schema)
            self._file.close()
            self._file = _connect(self._path)
            # A commit need not wait for the disk: a power failure may cost the last few changes, a
            # kill costs none.
            self._file.execute("PRAGMA synchronous = NORMAL")
            self._file.execute("PRAGMA secure_delete = ON")  # what is forgotten is not left in it
        if not self._file.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise sqlite3.DatabaseError("the file is empty")

    @contextlib.contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._file
            except (sqlite3.Error, OSError, UnicodeError) as error:  # the last: a damaged schema
                cause, remedy = error, self._remedy
                try:  # SQLite's own words for a full or read-only disk are many, and name neither
                    files.try_writing(self._path.parent)
                except OSError as found:
                    cause, remedy = found, files.OTHER_PLACE
                what = f"{self._path}, the run history"
                if self._may_begin_anew and _is_damage(cause):
                    self._may_begin_anew = False
                    with contextlib.suppress(OSError, sqlite3.Error):
                        remedy = f"It is now {self._move_aside()}, and a new one has begun."
                        self._open(dry_run=False)
                        log.warning("%s", files.unusable(what, cause, remedy))
                        return
                self.give_up(files.unusable(what, cause, remedy))

    def _move_aside(self) -> str:
        """Where the file is then. What belongs to it goes along: SQLite would take it for a part of
        the new one."""
        self._file.close()
        for ending in ("-wal", "-shm", ""):
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{self._path}{ending}", f"{self._path}.damaged{ending}")
        return f"{self._path}.damaged"


def _is_damage(error: Exception) -> bool:
    """Of the file itself, so that no later run could use it: SQLite's class for that is not one of
    those that it derives from it, but for what a missing table or a garbled text comes to."""
    is_odd = isinstance(error, UnicodeError) or "no such" in str(error) or "decode" in str(error)
    return is_odd or type(error) is sqlite3.DatabaseError


def _create(path: Path, schema: str) -> None:
    """The whole file or nothing."""
    with files.draft_of(path) as draft, contextlib.closing(_connect(draft)) as file:
        file.executescript(schema)
        # With a write-ahead log the file stays sound whatever happens. Not before the schema: that
        # must stand in the file itself when it takes its place.
        file.execute("PRAGMA journal_mode = WAL")


def _connect(path: Path) -> sqlite3.Connection:
    # mode=rw also for a copy: mode=ro cannot read what a killed run has left half-done.
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, check_same_thread=False)
