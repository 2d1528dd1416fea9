"""A small SQLite file in which runs leave what later runs must know."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path
from typing import Any, Iterable, Iterator, Protocol, Tuple

from state import files

Row = Tuple[Any, ...]


class Rows(Protocol):
    """A Store, or what stands for one."""

    def rows(self, sql: str, *values: object) -> list[Row]: ...

    def write(self, sql: str, rows: Iterable[Row]) -> None: ...


class Store:
    """The file at `path`. A missing one is made by the SQL of `schema`, for its owner alone.
    Without a path all is forgotten in the end.

    In a dry run all of it happens in main memory, on a copy. Any thread may use it. Everything
    raises AppError when the file cannot be used, with the `remedy` if it is the file's own fault.
    """

    def __init__(self, path: Path | None, schema: str, remedy: str, dry_run: bool) -> None:
        self._path, self._remedy = path, remedy
        self._lock = threading.Lock()
        self._file = sqlite3.connect(":memory:", check_same_thread=False)
        try:
            with self._errors():
                self._open(schema, dry_run)
        except BaseException:
            self._file.close()
            raise

    def rows(self, sql: str, *values: object) -> list[Row]:
        with self._errors(), self._lock:
            return self._file.execute(sql, values).fetchall()

    def write(self, sql: str, rows: Iterable[Row]) -> None:
        """Run `sql` for each of the rows, all or none."""
        with self._errors(), self._lock, self._file:
            self._file.executemany(sql, rows)

    def close(self) -> None:
        with self._lock:  # SQLite would crash under a thread that is at work
            self._file.close()

    def _open(self, schema: str, dry_run: bool) -> None:
        path, is_new = self._path, self._path is None or not self._path.exists()
        if path is None or (dry_run and is_new):
            self._file.executescript(schema)
        elif dry_run:
            with contextlib.closing(_connect(path)) as file:
                file.backup(self._file)
        else:
            if is_new:
                _create(path, schema)
            self._file.close()
            self._file = _connect(path)
            # A commit need not wait for the disk: a power failure may cost the last few changes, a
            # kill costs none.
            self._file.execute("PRAGMA synchronous = NORMAL")
        if not self._file.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise sqlite3.DatabaseError("the file is empty")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, UnicodeError) as error:  # the last: a damaged schema
            cause, remedy = error, self._remedy
            if self._path:
                try:  # SQLite's own words for a full or read-only disk are many, and name neither
                    files.try_writing(self._path.parent)
                except OSError as found:
                    cause, remedy = found, files.OTHER_PLACE
            what = f"{self._path}, the memory of earlier runs"
            raise files.unusable(what, cause, remedy) from None


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
