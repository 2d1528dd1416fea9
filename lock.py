"""One run at a time: a lock of the operating system, which a crash frees."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import socket
import sys
from pathlib import Path
from typing import IO, Iterator

from clock import Clock
from errors import AnotherRunActive, AppError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


def state_folder() -> Path:
    """Where runs leave what later runs must know; made when missing. Raises AppError."""
    remedy = "Let XDG_STATE_HOME name a folder that can be written."
    try:
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        folder = Path(base) / "crm-sync"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except RuntimeError:  # no HOME, and the system knows none
        raise AppError(f"This user has no home folder. {remedy}") from None
    except OSError as error:
        raise AppError(f"Cannot make the folder {folder}: {error.strerror}. {remedy}") from None
    if not os.access(folder, os.W_OK):
        raise AppError(f"Cannot write into the folder {folder}. {remedy}")
    return folder


def account_file(job: str, account: str, ending: str) -> Path:
    """The file of one job on one account. `account` may hold keys: only its hash is in the name."""
    digest = hashlib.sha256(account.encode()).hexdigest()[:16]
    return state_folder() / f"{job}-{digest}{ending}"


@contextlib.contextmanager
def only_run(job: str, account: str, clock: Clock) -> Iterator[None]:
    """Hold the lock of one job on one account. Raises AnotherRunActive, which says who holds it."""
    with open(account_file(job, account, ".lock"), "a+", encoding="utf-8") as file:
        if not _take(file):
            file.seek(0)
            holder = file.read(200).strip() or "unknown"
            raise AnotherRunActive(f"Another run is active: {holder}. Wait until it has ended.")
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}, since {clock.timestamp()}")
        file.flush()
        yield
        file.truncate(0)


def _take(file: IO[str]) -> bool:
    try:
        if sys.platform == "win32":
            file.seek(1 << 20)  # beyond the text, which the other run must be able to read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise AppError(
            f"{file.name} cannot be locked: {error.strerror}. Let XDG_STATE_HOME name a folder on"
            " another disk."
        ) from None
    return True
