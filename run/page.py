"""The report of a run as one page for people: no scripts, no requests to anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from basics.words import printable
from run.report import Kind, Report, Section

STYLES = {  # of a part of the picture
    Kind.ADD: "plus",
    Kind.CHANGE: "edit",
    Kind.REMOVE: "minus",
    Kind.KEEP: "stay",
    Kind.SKIP: "skip",
}


class Part(NamedTuple):
    label: str
    style: str
    number: int


class Table(NamedTuple):
    """`columns`: those of the section in which any row has something."""

    section: Section
    columns: Sequence[str]
    linked: str


def render(report: Report, exit_code: int) -> str:
    """The page; everything that came from outside is escaped by the template engine."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, undefined=jinja2.ChainableUndefined
    )
    environment.filters.update(shown=_shown, words=_words)
    template = environment.from_string(
        Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    )
    return template.render(
        report=report,
        exit_code=exit_code,
        sentences=_sentences(report),
        picture=list(_picture(report)),
        tables=[_table(section) for section in report.sections if section.rows],
        link=lambda row: _link(row, report.record_url),
    )


def _sentences(report: Report) -> List[str]:
    """The outcome in words."""
    said = list(report.summary)
    if report.error:
        said.append(printable(report.error.replace("\n", " ")))
        if report.outcome.exit_code not in (4, 130):
            said.append("Nothing has been changed.")
    return said or [_words(report.outcome.word)]


def _picture(report: Report) -> Iterator[Part]:
    """How many are as they should be or kept, how many were changed, how many were skipped."""
    if report.unchanged is not None:
        kept = (len(each.rows) for each in report.sections if each.kind is Kind.KEEP)
        yield Part("Kept", "stay", report.unchanged + sum(kept))
    for section in report.sections:
        if section.kind in (Kind.ADD, Kind.CHANGE, Kind.REMOVE, Kind.SKIP):
            yield Part(section.title, STYLES[section.kind], _number(section))


def _number(section: Section) -> int:
    """The changes that were made; all rows where none was tried."""
    statuses = [row.get("status", "planned") for row in section.rows]
    return len(statuses) if set(statuses) <= {"planned"} else statuses.count("done")


def _table(section: Section) -> Table:
    columns = [name for name in section.columns if any(row.get(name) for row in section.rows)]
    return Table(section, columns, section.linked if section.linked in columns else columns[0])


def _link(row: Mapping[str, Any], record_url: Optional[str]) -> Optional[str]:
    """The row's record in HubSpot, if its address is known."""
    if record_url and row.get("hubspot_id"):
        return f"{record_url}{row['hubspot_id']}"
    return row.get("link")


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_shown, value))
    return "" if value is None else printable(str(value))


def _words(name: str) -> str:
    """not_reached -> not reached"""
    return name.replace("_", " ")
