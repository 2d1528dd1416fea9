"""The report of a run as one page for people: no scripts, no requests to anywhere."""

from __future__ import annotations

import contextlib
import platform
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

import jinja2

from core.domains import display_domain
from core.errors import Outcome
from core.words import count, format_date, format_moment, listing, local, printable
from report.model import NOT_REACHED, Kind, Report, Row, Section, describe_outcome

SHOWN_ROWS = 50  # of a table; the others are folded
SHOWN_LINES, MOST_LINES = 4, 200  # of a cell: shown, and folded in all
SHOWN_CAUSES = 5
NARROW = 16  # characters: such a column fits its longest text, the others share the rest
PLAIN = ("action", "at", "name", "how", "reason")  # within a row: what these are, their text says
IN_BAR = (Kind.REMOVE, Kind.ADD, Kind.CHANGE, Kind.KEEP, Kind.SKIP)


def render(report: Report, exit_code: int) -> str:
    """The page; everything that came from outside is escaped by the template engine."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(shown=shown, words=_words, local=_local_time, names=_names)
    source = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    sections = sorted(report.sections, key=lambda section: list(Kind).index(section.kind))
    sections = [each for each in (*sections, report.recent) if each and each.rows]
    parts, question = list(_parts(report, sections)), report.question
    return environment.from_string(source).render(
        report=report,
        exit_code=exit_code,
        outcome=question[:1].lower() + question[1:] or describe_outcome(report.outcome.word),
        sentences=_sentences(report),
        causes=list(_causes(report)),
        parts=parts,
        bar=[part for part in parts if part[3]],
        tables=[_table(report, section) for section in sections],
        python=platform.python_version(),
        shown_rows=SHOWN_ROWS,
        shown_lines=SHOWN_LINES,
    )


# What came of the run


def _sentences(report: Report) -> list[str]:
    """The outcome in words, the first sentence alone would do."""
    if report.summary:
        return [f"{line[:-1]}." if line.endswith(":") else line for line in report.summary]
    if report.question:
        return [f"{report.question}."]
    untouched = report.error and report.outcome not in (Outcome.PARTIAL, Outcome.INTERRUPTED)
    ending = ", nothing has been changed." if untouched else "."
    return [describe_outcome(report.outcome.word).capitalize() + ending]


def _causes(report: Report) -> Iterator[str]:
    """Why the run failed, and why some of its changes are not done: each cause once."""
    if report.error:
        yield report.error.replace("\n", " ")
    names_by_error: dict[str, list[str]] = {}
    for section in report.sections:
        for row in section.open_rows():
            names_by_error.setdefault(row["error"], []).append(_text(row, section.columns[0]))
    names_by_error.pop(report.error or "", None)
    for error, names in list(names_by_error.items())[:SHOWN_CAUSES]:
        who = listing(names, 3)
        yield error if who in error else f"{who}: {error}"
    if len(names_by_error) > SHOWN_CAUSES:
        more = count(len(names_by_error) - SHOWN_CAUSES, "more error")
        yield f"{more}: see the tables below."


def _parts(
    report: Report, sections: Sequence[Section]
) -> Iterator[tuple[str, str, str, int, str | None]]:
    """What the links at the top lead to: label, number, style, share of the bar (0 for what is not
    about companies or people) and anchor."""
    statuses: Counter[str] = Counter()
    for section in sections:
        statuses.update(row.get("status", "failed") for row in section.open_rows())
        share = len(section.rows) - len(section.open_rows()) if section.kind in IN_BAR else 0
        style = section.kind.name.lower()
        yield section.title, section.number, style, share, section.key
    for status, found in statuses.items():
        yield _words(status).capitalize(), f"{found:,}", "open", found, "wrong"
    if report.unchanged is not None:
        yield "Unchanged", f"{report.unchanged:,}", "keep", report.unchanged, None


# Tables


def _table(report: Report, section: Section) -> dict[str, Any]:
    """A section as it is shown: what went wrong comes first, and columns that tell nothing are left
    out. A column is a name and a width in characters, or None where it shares what is left; a cell
    is a list of lines, each a text and where it leads to."""
    rows = sorted(section.rows, key=lambda row: not _is_wrong(row))
    names = [name for name in section.columns if _tells(rows, name)] or section.columns[:1]
    linked = section.linked if section.linked in names else names[0]
    cells = [[list(_lines(report, row, name, name == linked)) for name in names] for row in rows]
    columns = []
    for index, name in enumerate(names):
        longest = max(
            len(text) for text in (name, *(line[0] for row in cells for line in row[index]))
        )
        columns.append((name, longest + 2 if longest <= NARROW else None))
    return {"section": section, "columns": columns, "rows": cells}


def _is_wrong(row: Row) -> bool:
    return bool(row.get("error")) and row.get("status") != NOT_REACHED


def _tells(rows: Sequence[Row], name: str) -> bool:
    """That all is planned or done, the heading says."""
    texts = {_text(row, name) for row in rows}
    return texts != {""} and not (name == "status" and texts in ({"planned"}, {"done"}))


def _lines(
    report: Report, row: Row, name: str, is_linked: bool
) -> Iterator[tuple[str, str | None]]:
    """Rows within the row are a line each, which leads to their own record."""
    value = row.get(name)
    if not (isinstance(value, list) and all(isinstance(each, Mapping) for each in value)):
        yield _text(row, name), report.link(row) if is_linked else None
        return
    for each in value[:MOST_LINES]:
        link = report.link(each)
        told = [(key, _text(each, key)) for key in each]
        told = [
            pair for pair in told if pair[1] and not (link and pair[0] in ("link", "hubspot_id"))
        ]
        yield (
            ", ".join(text if key in PLAIN else f"{_words(key)} {text}" for key, text in told),
            link,
        )
    if len(value) > MOST_LINES:
        yield f"and {len(value) - MOST_LINES:,} more", None


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    if name == "error" and row.get("status") == NOT_REACHED:
        return ""  # it has no error of its own: it repeats what stopped the run
    if name == "at" and isinstance(value, float):
        return format_moment(local(value))
    if name == "counts":
        return ", ".join(f"{number:,} {words}" for words, number in (value or {}).items())
    return FORMS.get(name, str)(shown(value))


def shown(value: Any) -> str:
    """
    >>> shown([{"id": 7, "how": "has it"}, {"id": 8, "how": None}])
    'id 7, how has it; id 8'
    """
    if isinstance(value, (list, tuple)):
        gap = "; " if any(isinstance(each, Mapping) for each in value) else ", "
        return gap.join(map(shown, value))
    if isinstance(value, Mapping):
        filled = ((_words(key), shown(each)) for key, each in value.items())
        return ", ".join(f"{key} {text}" for key, text in filled if text)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else printable(str(value))


def _words(name: str) -> str:
    """not_reached -> not reached"""
    return name.replace("_", " ")


def _names(names: Sequence[str]) -> str:
    return listing([display_domain(name) for name in names], 50) or "none"


def _day(text: str) -> str:
    """2026-11-21 -> 21 Nov 2026"""
    with contextlib.suppress(ValueError):
        return format_date(datetime.strptime(text, "%Y-%m-%d"))
    return text


def _local_time(timestamp: str) -> str:
    """A report's timestamp."""
    moment = datetime.strptime(timestamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    return format_moment(moment)


FORMS = {
    **dict.fromkeys(("domain", "name", "who"), display_domain),
    **dict.fromkeys(("action", "next", "status"), _words),
    **dict.fromkeys(("since", "asked_again_on"), _day),
    "outcome": describe_outcome,
}
