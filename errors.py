"""What can go wrong, named after what the caller does about it, and the exit code of each.

AppError                    one line for the user, never a traceback
├── SettingsError           mend the settings or the arguments
├── AnotherRunActive        wait for the other run
├── Interrupted             stop now, keep what is done
├── CallRejected            this one call was refused: note it, go on with the next
└── ServiceError            the service cannot be used now: make no more calls to it
    ├── Forbidden           a right is missing: other calls may be allowed
    ├── BadAnswer           its answer makes no sense: trust nothing of it
    └── NotSent             the call was never made, because the service had failed before
"""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """The exit codes of all scripts; the README explains each."""

    OK = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    PARTIAL = 4
    ANOTHER_RUN = 5
    INTERRUPTED = 130


class AppError(Exception):
    """Expected: its text is one line that says what happened and what to do next."""

    exit_code = Exit.FAILED


class SettingsError(AppError):
    exit_code = Exit.USAGE


class AnotherRunActive(AppError):
    exit_code = Exit.ANOTHER_RUN


class Interrupted(AppError):
    exit_code = Exit.INTERRUPTED


class CallRejected(AppError):
    """A 4xx that concerns one record alone.

    `detail` is what the service says of it: `type: message`, or the start of the body; `body` is
    the whole of it.
    """

    def __init__(self, text: str, status: int, detail: str, body: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.detail = detail
        self.body = body


class ServiceError(AppError):
    """`answer_lost`: the call was sent and nothing says whether it was carried out."""

    def __init__(self, text: str, answer_lost: bool = False) -> None:
        super().__init__(text)
        self.answer_lost = answer_lost


class Forbidden(ServiceError):
    pass


class BadAnswer(ServiceError):
    pass


class NotSent(ServiceError):
    pass
