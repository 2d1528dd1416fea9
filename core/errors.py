"""How a run ends, and what can go wrong, named after what the caller does about it.

AppError                    one line for the user, never a traceback
├── SettingsError           fix the settings or the arguments
├── AnotherRunActive        wait for the other run
├── Interrupted             stop now, keep what is done
├── CallRejected            this one call was refused: note it, go on with the next
│   └── NotFound            the service does not know what the call is about: no failure
└── ServiceError            this call failed, and the next one may fail as well
    ├── Forbidden           a right is missing: other calls may be allowed
    ├── BadAnswer           its answer makes no sense: trust nothing of it
    │   └── ListChanged     what it lists has changed while it was read: read it again
    └── ServiceDown         the service cannot be used now: make no more calls to it
        ├── PaymentRequired credits or plan are used up: wait, or buy more
        └── NotSent         the call was never made, because the service was down before
"""

from __future__ import annotations

import enum
from typing import Sequence


class Outcome(enum.Enum):
    """`word`: in the report and in the run history; `told`: to people. The exit codes are the same
    for all scripts; docs/operations.md explains each."""

    IN_SYNC = ("in_sync", 0, "nothing to do")
    SYNCED = ("synced", 0, "done")
    PLANNED = ("planned", 0, "dry run")
    FAILED = ("failed", 1, "failed")
    WRONG_SETTINGS = ("failed", 2, "failed")
    REFUSED = ("refused", 3, "stopped as a precaution")
    PARTIAL = ("partial", 4, "done in part")
    ANOTHER_RUN = ("failed", 5, "failed")
    CHANGES_PENDING = ("planned", 6, "dry run")
    INTERRUPTED = ("interrupted", 130, "stopped early")

    def __init__(self, word: str, exit_code: int, told: str) -> None:
        self.word, self.exit_code, self.told = word, exit_code, told


def describe_outcome(word: str) -> str:
    return {each.word: each.told for each in Outcome}.get(word, word)


class AppError(Exception):
    """Expected: its text is one line that says what happened and what to do next.

    `outcome`: how a run ends that this error has ended before anything was written.
    """

    outcome = Outcome.FAILED


class SettingsError(AppError):
    """`problems`: each thing to fix, a sentence each."""

    outcome = Outcome.WRONG_SETTINGS

    def __init__(self, text: str, problems: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.problems = problems or [text]


class AnotherRunActive(AppError):
    outcome = Outcome.ANOTHER_RUN


class Interrupted(AppError):
    outcome = Outcome.INTERRUPTED


class CallRejected(AppError):
    """A 4xx that concerns one record alone, or words that come to the same.

    `status` is for the client of the service alone, which knows what it means there. `detail` is
    what the service says of it: `type: message`, or the start of the body; `body` is the whole of
    it. `outcome_unknown`: nothing says whether the call was carried out.
    """

    def __init__(
        self,
        text: str,
        status: int = 0,
        detail: str = "",
        body: str = "",
        outcome_unknown: bool = False,
    ) -> None:
        super().__init__(text)
        self.status, self.detail, self.body = status, detail, body
        self.outcome_unknown = outcome_unknown


class NotFound(CallRejected):
    """Raised by the client of a service, for calls that such an answer makes no failure."""


class ServiceError(AppError):
    """`outcome_unknown`: the call was sent and nothing says whether it was carried out."""

    def __init__(self, text: str, outcome_unknown: bool = False) -> None:
        super().__init__(text)
        self.outcome_unknown = outcome_unknown


class Forbidden(ServiceError): ...


class BadAnswer(ServiceError): ...


class ListChanged(BadAnswer): ...


class ServiceDown(ServiceError): ...


class PaymentRequired(ServiceDown): ...


class NotSent(ServiceDown): ...
