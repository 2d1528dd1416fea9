"""What must be in place before anything is compared: each finding names its remedy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable, Iterable

from cli.run import Run
from core.errors import AppError, CallRejected, Forbidden, NotSent
from report.model import Finding
from state import files, lock


def collect_findings(*checks: Callable[[], Finding]) -> list[Finding]:
    """What the checks of one service find; an error of the service is a finding too.

    After a missing right the next check is made, so that all missing rights are found together;
    after any other failure the rest would only find the same.
    """
    found: list[Finding] = []
    for check in checks:
        try:
            found.append(check())
        except (CallRejected, Forbidden) as error:
            found.append(Finding(False, str(error)))
        except NotSent:  # what keeps it from being sent has been found before
            return found
        except AppError as error:
            return [*found, Finding(False, str(error))]
    return found


def require_ok(findings: Iterable[Finding], kind: type[AppError] = AppError) -> None:
    """Raises an error of that kind with the remedies of all findings that are not OK."""
    problems = [finding.text for finding in findings if not finding.ok]
    if problems:
        raise kind("\n".join(problems))


def check_machine(run: Run, account: str, try_state: Callable[[Path], None]) -> list[Finding]:
    """The folder, the file of earlier runs and the lock of the job on this account, and where
    reports go; looking leaves nothing behind.

    `try_state` opens such a file and closes it; it raises AppError when it cannot be used.
    """
    named_by = "--state" if getattr(run.args, "state", None) else "XDG_STATE_HOME"

    def folder() -> Finding:
        path = files.state_folder()
        there = next(each for each in (path, *path.parents) if os.path.exists(each))
        _require_writable(there, "XDG_STATE_HOME")
        return Finding(True, f"What runs leave for later ones goes to {path}.")

    def state() -> Finding:
        path = run.state_path(account)
        if named_by == "--state":
            _require_writable(path.parent, named_by)
        if not os.path.exists(path):
            return Finding(True, f"There is no memory of earlier runs yet: the first makes {path}.")
        if not os.access(path, os.W_OK):
            raise AppError(f"Cannot write {path}: let {named_by} name another place.")
        try_state(path)
        return Finding(True, f"The memory of earlier runs can be used: {path}.")

    def other_run() -> Finding:
        active = lock.holder(run.report.job, account)
        text = f"Another run is active: {active}." if active else "No other run is active."
        return Finding(True, text)

    found = [each for check in (folder, state, other_run) for each in collect_findings(check)]
    return found + [Finding(True, f"The report goes to {path}.") for path in run.args.report]


def _require_writable(folder: Path, named_by: str) -> None:
    """Raises AppError if nothing can be written into it: the disk may be full, or read-only."""
    try:
        files.try_writing(folder)
    except OSError as error:
        remedy = f"Let {named_by} name another place."
        raise files.unusable(f"the folder {folder}", error, remedy) from None
