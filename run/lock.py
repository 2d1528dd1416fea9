"""One run at a time: a lock of the operating system, which a crash frees."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from typing import IO, Iterator

from basics.errors import AnotherRunActive, AppError
from run.files import account_file
from transport.clock import Clock

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


@contextlib.contextmanager
def run_lock(job: str, account: str, clock: Clock) -> Iterator[None]:
    """Hold the lock of one job on one account. Raises AnotherRunActive, which says who holds it,
    and AppError when there can be no lock."""
    path = account_file(job, account, ".lock")
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(open(path, "a+b", buffering=0))
            if not _take(file):
                file.seek(0)
                holder = file.read(200).decode("utf-8", "replace").strip() or "unknown"
                raise AnotherRunActive(f"Another run is active: {holder}. Wait until it has ended.")
            file.truncate(0)
            holder = f"process {os.getpid()} on {socket.gethostname()}, since {clock.timestamp()}"
            file.write(holder.encode())
        except OSError as error:
            raise AppError(
                f"{path} cannot be used as a lock: {error.strerror}. Let XDG_STATE_HOME name a"
                " folder on another disk, or make room there."
            ) from None
        yield
        with contextlib.suppress(OSError):
            file.truncate(0)


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
