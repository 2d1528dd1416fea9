"""One run at a time: a lock of the operating system, which a crash frees."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from typing import IO, Iterator

from core import errors, log, words
from core.clock import DAY_S, Clock
from state import files

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

POLL_S = 0.25


@contextlib.contextmanager
def run_lock(job: str, account: str, clock: Clock, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the lock of one job on one account. Raises AnotherRunActive if the other run does not
    end within `wait_s` seconds, and AppError when it has not ended for a day, or when there can be
    no lock."""
    path = files.account_file(job, account, ".lock")
    since = words.format_moment(clock.utcnow())

    def private(name: str, flags: int) -> int:
        return os.open(name, flags, 0o600)

    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.require_private(path.parent)
            file = stack.enter_context(open(path, "a+b", buffering=0, opener=private))
            _wait_for(file, clock, wait_s)
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}, since {since}".encode())
        except OSError as error:
            raise files.unusable(f"{path} as a lock", error) from None
        yield
        with contextlib.suppress(OSError):
            file.truncate(0)


def holder(job: str, account: str) -> str | None:
    """Who holds the lock now, this run perhaps; None when nobody does. Raises AppError."""
    path = files.account_file(job, account, ".lock")
    try:
        with open(path, "rb", buffering=0) as file:
            return None if _take(file, shared=True) else _read_holder(file)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise files.unusable(f"{path} as a lock", error) from None


def _wait_for(file: IO[bytes], clock: Clock, wait_s: float) -> None:
    end = clock.monotonic() + wait_s
    is_said = False
    while not _take(file):
        active = _read_holder(file)
        if clock.time() - os.fstat(file.fileno()).st_mtime > DAY_S:
            # A schedule takes AnotherRunActive for no failure; that must not go on for ever.
            raise errors.AppError(
                f"Another run has been active for more than a day: {active}. If it hangs, stop it."
            )
        if clock.monotonic() >= end:
            raise errors.AnotherRunActive(
                f"Another run is active: {active}. Wait until it has ended."
            )
        if not is_said:
            log.info("Another run is active: %s. Waiting up to %d s for it.", active, wait_s)
            is_said = True
        clock.sleep(POLL_S)


def _read_holder(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(1000).decode("utf-8", "replace").strip() or "unknown"


def _take(file: IO[bytes], shared: bool = False) -> bool:
    try:
        if sys.platform == "win32":
            file.seek(1 << 20)  # beyond the text, which the other run must be able to read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise
    return True
