"""Files of the project: written whole or not at all, and the folder where runs leave them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Iterator

from core.errors import AppError

FULL = (errno.ENOSPC, errno.EDQUOT)
OTHER_PLACE = "Set XDG_STATE_HOME to a folder that can be written."
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_PROBE_BYTES = 65_536  # more than SQLite needs at once, so that a disk that is nearly full is found


def write_whole(path: Path, text: str) -> None:
    """Replace the file, or leave everything as it is and raise OSError."""
    with draft_of(path) as draft:
        draft.write_bytes(text.encode("utf-8", "backslashreplace"))


@contextlib.contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """A file that takes the place of the one at `path` in the end, or is gone if anything failed.
    It is readable by its owner alone, or has the mode of the file before it; a symbolic link is
    replaced itself."""
    handle, name = tempfile.mkstemp(prefix=".crm-sync-", dir=path.parent)
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        if path.is_file() and not path.is_symlink():
            draft.chmod(stat.S_IMODE(path.stat().st_mode))
        os.replace(draft, path)
    except BaseException:
        for each in draft.parent.glob(f"{draft.name}*"):  # SQLite may have left some beside it
            with contextlib.suppress(OSError):
                each.unlink()
        raise


def try_writing(folder: Path) -> None:
    """Write a little into a folder and remove it; raises OSError: it is full, read-only, ..."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(_PROBE_BYTES))


def unusable(what: str, error: Exception, remedy: str = OTHER_PLACE) -> AppError:
    """Why a file or a folder cannot be used, in one line; a full disk has its own remedy."""
    if getattr(error, "errno", None) in FULL or "disk is full" in str(error):
        return AppError(f"Cannot use {what}: the disk is full. Free some space.")
    return AppError(f"Cannot use {what}: {getattr(error, 'strerror', None) or error}. {remedy}")


def require_private(folder: Path) -> None:
    """Raises AppError when others may write into it: what lies there decides what a run does."""
    if os.name == "posix" and folder.stat().st_mode & OTHERS_WRITE:
        owner_and_mode = describe_access(folder)
        raise AppError(
            f"Others may write into {folder} ({owner_and_mode}). Run: chmod go-w {folder}"
        )


def describe_access(folder: Path) -> str:
    """`owner jo, mode 0700`."""
    try:
        owner = folder.owner()
    except (KeyError, NotImplementedError):  # a user without a name; Windows
        owner = str(folder.stat().st_uid)
    return f"owner {owner}, mode {stat.S_IMODE(folder.stat().st_mode):04o}"


def state_folder() -> Path:
    """Where runs leave what later runs must know; the lock makes it. Raises AppError."""
    try:
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    except RuntimeError:  # no HOME, and the system knows none
        raise AppError(f"This user has no home folder. {OTHER_PLACE}") from None
    return Path(base) / "crm-sync"


def account_file(job: str, account: str, ending: str) -> Path:
    """The file of one job on one account. `account` may hold keys: only its hash is in the name."""
    digest = hashlib.sha256(account.encode()).hexdigest()[:16]
    return state_folder() / f"{job}-{digest}{ending}"
