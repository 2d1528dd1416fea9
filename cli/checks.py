"""What must be in place before anything is compared: each finding names its remedy."""

from __future__ import annotations

from typing import Callable, Iterable

from core.errors import AppError, CallRejected, Forbidden, NotSent
from report.model import Finding


def look(*checks: Callable[[], Finding]) -> list[Finding]:
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
