"""A small SQLite file in which runs leave what later runs must know."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import threading
from pathlib import Path
from typing import Any, Iterable, Iterator, Protocol, Sequence, Tuple

from core.errors import AppError

Row = Tuple[Any, ...]


class Rows(Protocol):
    """A Store, or what stands for one."""

    def rows(self, sql: str, *values: object) -> list[Row]: ...

    def write(self, sql: str, rows: Iterable[Row]) -> None: ...


class Store:
    """The file at `path`; a missing one is made (`is_new`), readable by its owner alone. Without a
    path all is forgotten in the end.

    `versions`: SQL that leads from each version of the file to the next, the first one from
    nothing. A file of an earlier release is brought up to the last. In a dry run all of it happens
    in main memory, on a copy. Any thread may use it. Everything raises AppError with the `remedy`
    when the file cannot be used.
    """

    def __init__(
        self, path: Path | None, versions: Sequence[str], remedy: str, dry_run: bool
    ) -> None:
        self._path = path
        self._remedy = remedy
        self._lock = threading.Lock()
        with self._errors():
            self.is_new = path is None or not path.exists()
            if path and self.is_new and not dry_run:
                _make(path, versions)
            self._file = _copy(path) if dry_run or path is None else _open(path)
        try:
            with self._errors():
                _bring_up(self._file, versions, may_be_empty=self.is_new)
        except AppError:
            self.close()
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

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, UnicodeError) as error:  # the last: a damaged schema
            raise AppError(
                f"Cannot use {self._path}, the memory of earlier runs: {error}. {self._remedy}"
            ) from None


def _make(path: Path, versions: Sequence[str]) -> None:
    """The whole file or nothing, and never readable by others."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    os.close(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
    with contextlib.closing(_open(draft)) as file:
        # With a write-ahead log the file stays sound whatever happens.
        file.execute("PRAGMA journal_mode = WAL")
        _bring_up(file, versions, may_be_empty=True)
    os.replace(draft, path)


def _open(path: Path) -> sqlite3.Connection:
    # mode=rw also for a copy: mode=ro cannot read what a killed run has left half-done.
    place = f"{path.resolve().as_uri()}?mode=rw"
    file = sqlite3.connect(place, uri=True, check_same_thread=False)
    # A commit need not wait for the disk: a power failure may cost the last few, a kill costs none.
    with _closed_on_error(file):
        file.execute("PRAGMA synchronous = NORMAL")
    return file


def _copy(path: Path | None) -> sqlite3.Connection:
    copy = sqlite3.connect(":memory:", check_same_thread=False)
    if path and path.exists():
        with _closed_on_error(copy), contextlib.closing(_open(path)) as file:
            file.backup(copy)
    return copy


@contextlib.contextmanager
def _closed_on_error(file: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        file.close()
        raise


def _bring_up(file: sqlite3.Connection, versions: Sequence[str], may_be_empty: bool) -> None:
    """Files of the first release have no version number. In SQL, `new_key()` is a random key."""
    file.create_function("new_key", 0, lambda: secrets.token_bytes(32))
    ((version,),) = file.execute("PRAGMA user_version")
    if not version and file.execute("SELECT 1 FROM sqlite_master").fetchone():
        version = 1
    if not (version or may_be_empty):
        raise sqlite3.DatabaseError("the file is empty")
    with file:
        for number, sql in enumerate(versions[version:], version + 1):
            for statement in filter(str.strip, sql.split(";")):
                file.execute(statement)
            file.execute(f"PRAGMA user_version = {number}")
