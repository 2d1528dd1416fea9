"""How a run ends: the word in its report, and the exit code of its script."""

from __future__ import annotations

import enum


class Outcome(enum.Enum):
    """The exit codes are the same for all scripts; docs/operations.md explains each."""

    IN_SYNC = ("in_sync", 0)
    SYNCED = ("synced", 0)
    PLANNED = ("planned", 0)
    FAILED = ("failed", 1)
    WRONG_SETTINGS = ("failed", 2)
    REFUSED = ("refused", 3)
    PARTIAL = ("partial", 4)
    ANOTHER_RUN = ("failed", 5)
    INTERRUPTED = ("interrupted", 130)

    def __init__(self, word: str, exit_code: int) -> None:
        self.word = word
        self.exit_code = exit_code
