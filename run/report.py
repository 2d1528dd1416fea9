"""The report of a run as a value: JSON, CSV and page are rendered from it, once, at the end."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from basics.limits import Refusal
from basics.outcome import Outcome
from run.checks import Finding

Row = Mapping[str, Any]


class Kind(enum.Enum):
    """What the rows of a section are to the other service: its sign and colour on the screen."""

    ADD = ("+", "green")
    CHANGE = ("~", "")
    REMOVE = ("-", "red")
    KEEP = ("=", "")
    SKIP = ("!", "yellow")
    WAIT = ("", "")
    STEP = ("", "")

    def __init__(self, sign: str, colour: str) -> None:
        self.sign = sign
        self.colour = colour


class Section(NamedTuple):
    """One list of the report. `key` names it in JSON and CSV, `title` on the page.

    `rows` hold plain values by name; a row with a `status` is a change. `columns`: the names that
    people see, the first one says whom the row is about. `linked`: the column that leads to the
    record in HubSpot. `hint`: what to do about these rows.
    """

    key: str
    title: str
    kind: Kind
    columns: Tuple[str, ...]
    rows: Sequence[Row]
    linked: str = ""
    hint: str = ""


class CheckedAfter(NamedTuple):
    """The list of the other service after the last write: how many rows it has, who is missing from
    it, and who is in it and should not be."""

    listed: int
    missing: Sequence[str]
    unwanted: Sequence[str]


@dataclass
class Report:
    """`title`: what the job is about. `unchanged`: how many are as they should be, if that is
    known. `record_url`: what a record's id follows to make its address."""

    job: str
    title: str
    mode: str
    started_at: str
    outcome: Outcome = Outcome.FAILED
    error: Optional[str] = None
    finished_at: Optional[str] = None
    summary: List[str] = field(default_factory=list)
    counts: Dict[str, Any] = field(default_factory=dict)
    refusals: Sequence[Refusal] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    requests: Dict[str, Mapping[str, float]] = field(default_factory=dict)
    sections: Sequence[Section] = ()
    unchanged: Optional[int] = None
    findings: Optional[Sequence[Finding]] = None
    warnings: Optional[List[str]] = None
    record_url: Optional[str] = None
    checked_after: Optional[CheckedAfter] = None
