"""One run at a time: a lock of the operating system, which a crash frees."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from pathlib import Path
from typing import IO, Iterator

from core.clock import Clock
from core.errors import AnotherRunActive, AppError
from core.log import log
from core.words import local_time
from state.files import account_file

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


POLL_S = 0.25


@contextlib.contextmanager
def run_lock(job: str, account: str, clock: Clock, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the lock of one job on one account. Raises AnotherRunActive, which says who holds it,
    if that does not end within `wait_s` seconds, and AppError when there can be no lock."""
    path = account_file(job, account, ".lock")
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(open(path, "a+b", buffering=0))
            _take_in_time(file, clock, wait_s)
            file.truncate(0)
            since = local_time(clock.utcnow())
            words = f"process {os.getpid()} on {socket.gethostname()}, since {since}"
            file.write(words.encode())
        except OSError as error:
            raise _unusable(path, error) from None
        yield
        with contextlib.suppress(OSError):
            file.truncate(0)


def holder(job: str, account: str) -> str | None:
    """Who holds the lock now; None when nobody does. Raises AppError."""
    path = account_file(job, account, ".lock", make=False)
    try:
        with open(path, "r+b", buffering=0) as file:
            return None if _take(file) else _read_holder(file)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from None


def _unusable(path: Path, error: OSError) -> AppError:
    return AppError(
        f"{path} cannot be used as a lock: {error.strerror}. Let XDG_STATE_HOME name a folder on"
        " another disk, or make room there."
    )


def _read_holder(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(200).decode("utf-8", "replace").strip() or "unknown"


def _take_in_time(file: IO[bytes], clock: Clock, wait_s: float) -> None:
    end = clock.monotonic() + wait_s
    is_told = False
    while not _take(file):
        active = _read_holder(file)
        if clock.monotonic() >= end:
            raise AnotherRunActive(f"Another run is active: {active}. Wait until it has ended.")
        if not is_told:
            log.info("Another run is active: %s. Waiting up to %d s for it.", active, wait_s)
            is_told = True
        clock.sleep(POLL_S)


def _take(file: IO[bytes]) -> bool:
    try:
        if sys.platform == "win32":
            file.seek(1 << 20)  # beyond the text, which the other run must be able to read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise
    return True
