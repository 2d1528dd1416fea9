"""A running import of subscribers: how far it is, and the report on it.

Source: https://developers.mailerlite.com/docs/subscribers.html (Get single import)
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Iterator

SAMPLED = (
    "invalid",
    "mistyped",
    "changed",
    "unchanged",
    "unsubscribed",
    "role_based",
    "suspicious_format",
    "duplicate",
)
SAMPLES = 5  # people named for each outcome, however many there are
FINISHED = "2026-01-05T09:00:00.000000Z"


class Import:
    """People arrive evenly from `started` on, by the sandbox's clock.

    An outcome is "imported", "errored", or one of SAMPLED.
    """

    def __init__(self, key: str, group: str, rows: list[Any], started: float) -> None:
        self.key, self.group, self.rows, self.started = key, group, rows, started
        self.processed = 0
        self.emails: set[str] = set()
        self.outcomes: dict[str, int] = Counter()
        self.samples: dict[str, list[dict[str, str]]] = {name: [] for name in SAMPLED}

    @property
    def done(self) -> bool:
        return self.processed == len(self.rows)

    def due(self, now: float, duration_s: float) -> Iterator[Any]:
        """The rows whose time has come since the last call."""
        passed = now - self.started
        share = passed / duration_s if passed < duration_s else 1.0
        while self.processed < int(len(self.rows) * share):
            self.processed += 1
            yield self.rows[self.processed - 1]

    def note(self, outcome: str, email: str) -> None:
        self.outcomes[outcome] += 1
        if outcome in SAMPLED and len(self.samples[outcome]) < SAMPLES:
            self.samples[outcome].append({"email": email})

    def report(self) -> dict[str, Any]:
        """As answered; who was unchanged counts as errored, too."""
        count, finished = self.outcomes, FINISHED if self.done else None
        report: dict[str, Any] = {"id": self.key, "account_id": "1", "total": len(self.rows)}
        report.update(processed=self.processed, imported=count["imported"])
        report.update(updated=count["changed"], errored=count["errored"] + count["unchanged"])
        report.update(percent=100 * self.processed // len(self.rows), done=self.done)
        for name in SAMPLED:
            report.update({name: self.samples[name], f"{name}_count": count[name]})
        report.update(banned_import_emails_count=0, updated_at=FINISHED, undone_at=None)
        return {**report, "stopped_at": None, "undo_started_at": None, "finished_at": finished}
