"""The report of a run as a value: JSON, CSV and page are rendered from it, once, at the end."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Mapping, NamedTuple, Sequence

from core import errors, limits

Row = Mapping[str, Any]

# The status of a change; a job may have more of its own.
PLANNED, DONE, SKIPPED = "planned", "done", "skipped"
FAILED, NOT_REACHED = "failed", "not_reached"


class Kind(enum.Enum):
    """What the rows of a section are to the other service, in the order of the page: its sign and
    colour on the screen. No two are the same, else one would be the other under a second name."""

    REMOVE = ("-", "red")
    ADD = ("+", "green")
    CHANGE = ("~", "")
    DECIDE = ("?", "yellow")
    SKIP = ("!", "yellow")
    WAIT = ("…", "")
    KEEP = ("=", "")
    STEP = ("", "")

    def __init__(self, sign: str, colour: str) -> None:
        self.sign = sign
        self.colour = colour


class Result(NamedTuple):
    """What came of one change. `status`: one of the above, or one of the job's own; `error`
    says why it is not done. `maybe_applied`: nothing says that the service was left as it was.
    `cause`: why it failed: a ServiceError may concern the changes after it as well."""

    status: str = PLANNED
    error: str | None = None
    maybe_applied: bool = False
    cause: errors.AppError | None = None

    def as_row(self) -> Row:
        """What it adds to the change's row in the report."""
        return {"status": self.status, "error": self.error}


class Finding(NamedTuple):
    """One line of `--check`: what was found and, unless `ok`, what to do about it."""

    ok: bool
    text: str


class Section(NamedTuple):
    """One list of the report. `key` names it in JSON and CSV, `title` on the page.

    `rows` hold plain values by name; a row with a `status` is a change, and with an `error` it did
    not come to what was planned. `columns`: the names that people see, the first one says whom the
    row is about. `linked`: the column that leads to the record in HubSpot. `hint`: what to do about
    these rows.
    """

    key: str
    title: str
    kind: Kind
    columns: tuple[str, ...]
    rows: Sequence[Row]
    linked: str = ""
    hint: str = ""

    def open_rows(self) -> list[Row]:
        """The changes that did not come to what was planned."""
        return [row for row in self.rows if row.get("error")]

    @property
    def number(self) -> str:
        """Of the rows, and of those that came to what was planned if others did not."""
        total, is_open = len(self.rows), len(self.open_rows())
        return f"{total - is_open:,} of {total:,}" if is_open else f"{total:,}"


class Card(NamedTuple):
    """One company, person or past run as the page shows it: its name, sentences of which the first
    says most, and texts with the record that each leads to, if any."""

    title: str
    lines: Sequence[str] = ()
    records: Sequence[tuple[str, str | None]] = ()


@dataclass
class Report:
    """`title`: what the job is about. `accounts`: whose they are, in sentences. `question`: what
    was asked, as a sentence without its full stop, of a run that does nothing else but answer.

    `cards`: the answer, in place of the tables. `command`: the one that allows what was refused.
    `unchanged`: how many are as they should be, if that is known. `recent`: earlier runs.
    `record_url`: what a record's id follows to make its address. `checked_after`: the list of the
    other service after the last write: `listed` (a number), `missing` and `unwanted` (names).
    `version`: of the program; `plan`: the id of what is to be changed.
    """

    job: str
    title: str
    mode: str
    started_at: datetime
    version: str = ""
    outcome: errors.Outcome = errors.Outcome.FAILED
    error: str | None = None
    finished_at: datetime | None = None
    summary: list[str] = field(default_factory=list)
    counts: dict[str, Any] = field(default_factory=dict)
    refusals: Sequence[limits.Refusal] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    requests: dict[str, Mapping[str, float]] = field(default_factory=dict)
    sections: Sequence[Section] = ()
    unchanged: int | None = None
    findings: Sequence[Finding] | None = None
    warnings: list[str] | None = None
    record_url: str | None = None
    checked_after: Mapping[str, Any] | None = None
    recent: Section | None = None
    accounts: str = ""
    question: str = ""
    command: str = ""
    cards: list[Card] = field(default_factory=list)
    plan: str = ""

    def link(self, row: Row) -> str | None:
        """The address of the row's record in HubSpot, if it is known."""
        if self.record_url and row.get("hubspot_id"):
            return f"{self.record_url}{row['hubspot_id']}"
        return row.get("link")
