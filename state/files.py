"""Files of the project: written whole or not at all, and the folder where runs leave them."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from core.errors import AppError


def write_whole(path: Path, text: str) -> None:
    """Replace the file, or leave everything as it is and raise OSError."""
    draft = path.with_name(f".crm-sync-{os.getpid()}")
    try:
        draft.write_bytes(text.encode("utf-8", "backslashreplace"))
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise


def state_folder(make: bool = True) -> Path:
    """Where runs leave what later runs must know. With `make` it is made when missing, and can be
    written into. Raises AppError."""
    remedy = "Let XDG_STATE_HOME name a folder that can be written."
    try:
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        folder = Path(base) / "crm-sync"
        if make:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except RuntimeError:  # no HOME, and the system knows none
        raise AppError(f"This user has no home folder. {remedy}") from None
    except OSError as error:
        raise AppError(f"Cannot make the folder {folder}: {error.strerror}. {remedy}") from None
    if make and not os.access(folder, os.W_OK):
        raise AppError(f"Cannot write into the folder {folder}. {remedy}")
    return folder


def account_file(job: str, account: str, ending: str, make: bool = True) -> Path:
    """The file of one job on one account. `account` may hold keys: only its hash is in the name.
    `make`: as for `state_folder`."""
    digest = hashlib.sha256(account.encode()).hexdigest()[:16]
    return state_folder(make) / f"{job}-{digest}{ending}"
