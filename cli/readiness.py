"""What a run needs on this machine, as `--check` finds it; looking leaves nothing behind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable

from cli.checks import look
from cli.run import Run
from core.errors import AppError
from report.model import Finding
from state.files import account_file, state_folder
from state.lock import holder


def check_here(run: Run, account: str, open_memory: Callable[[Path], None]) -> list[Finding]:
    """The folder, the memory and the lock of the job on this account, and where reports go.

    `open_memory` opens a memory of earlier runs and closes it; it raises AppError when that cannot
    be used.
    """
    named: Path | None = getattr(run.args, "state", None)

    def memory() -> Finding:
        path = named or account_file(run.report.job, account, ".sqlite3", make=False)
        if named:
            _demand(path.parent.is_dir(), path.parent, "--state")
        if not os.path.exists(path):
            return Finding(True, f"There is no memory of earlier runs yet: the first makes {path}.")
        _demand(True, path, "--state" if named else "XDG_STATE_HOME")
        open_memory(path)
        return Finding(True, f"The memory of earlier runs can be used: {path}.")

    def lock() -> Finding:
        active = holder(run.report.job, account)
        text = f"Another run is active: {active}." if active else "No other run is active."
        return Finding(True, text)

    found = [each for check in (_folder, memory, lock) for each in look(check)]
    return found + [Finding(True, f"The report goes to {path}.") for path in run.args.report]


def _folder() -> Finding:
    folder = state_folder(make=False)
    there = next(each for each in (folder, *folder.parents) if os.path.exists(each))
    _demand(there.is_dir(), there, "XDG_STATE_HOME")
    return Finding(True, f"What runs leave for later ones goes to {folder}.")


def _demand(is_right: bool, place: Path, named_by: str) -> None:
    """Raises AppError if it is not the right kind of place, or cannot be written."""
    if not (is_right and os.access(place, os.W_OK)):
        raise AppError(f"Cannot write into {place}: let {named_by} name another place.")
