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
from core.words import count, date, listing, local_time, printable
from report.model import NOT_REACHED, Kind, Report, Row, Section, describe_outcome

SHOWN = 50  # rows of a table; the others are folded
SHOWN_LINES = 4  # of a cell; the others are folded
MOST_LINES = 200
SHOWN_CAUSES = 5
NARROW = 16  # characters: such a column fits its longest text, the others share the rest
PLAIN = ("action", "at", "name", "how", "reason")  # within a row: what these are, their text says
IN_BAR = (Kind.REMOVE, Kind.ADD, Kind.CHANGE, Kind.KEEP, Kind.SKIP)


def render(report: Report, exit_code: int) -> str:
    """The page; everything that came from outside is escaped by the template engine."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(shown=shown, words=_words, local=_local_time, names=_names)
    template = environment.from_string(
        Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    )
    in_order = sorted(report.sections, key=lambda section: list(Kind).index(section.kind))
    recent = [report.recent] if report.recent else []
    sections = [section for section in (*in_order, *recent) if section.rows]
    question = report.question
    return template.render(
        report=report,
        exit_code=exit_code,
        outcome=question[:1].lower() + question[1:] or describe_outcome(report.outcome.word),
        sentences=_sentences(report),
        causes=list(_causes(report)),
        parts=list(_parts(report, sections)),
        tables=[_table(report, section) for section in sections],
        python=platform.python_version(),
        shown_rows=SHOWN,
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
            if row["error"] != report.error:
                names_by_error.setdefault(row["error"], []).append(_text(row, section.columns[0]))
    for error, names in list(names_by_error.items())[:SHOWN_CAUSES]:
        who = listing(names, 3)
        yield error if who in error else f"{who}: {error}"
    if len(names_by_error) > SHOWN_CAUSES:
        more = count(len(names_by_error) - SHOWN_CAUSES, "more error")
        yield f"{more}: see the tables below."


def _parts(report: Report, sections: Sequence[Section]) -> Iterator[dict[str, Any]]:
    """What the links at the top lead to, `anchor`, each with its `label` and `number`. `share`: of
    the bar, if it is about companies or people."""
    for section in sections:
        share = len(section.rows) - len(section.open_rows()) if section.kind in IN_BAR else 0
        style = section.kind.name.lower()
        yield _part(section.title, _number(section), style, share, section.key)
    statuses = Counter(
        row.get("status", "failed") for section in sections for row in section.open_rows()
    )
    for status, found in statuses.items():
        yield _part(_words(status).capitalize(), f"{found:,}", "open", found, "wrong")
    if report.unchanged is not None:
        yield _part("Unchanged", f"{report.unchanged:,}", "keep", report.unchanged, "")


def _part(label: str, number: str, style: str, share: int, anchor: str) -> dict[str, Any]:
    return {"label": label, "number": number, "style": style, "share": share, "anchor": anchor}


# Tables


def _table(report: Report, section: Section) -> dict[str, Any]:
    """A section as it is shown: what went wrong comes first, and columns that tell nothing are left
    out. Each cell of `rows` is a list of lines, with the address that each leads to."""
    rows = sorted(section.rows, key=_is_settled)
    names = [name for name in section.columns if _tells(rows, name)] or section.columns[:1]
    linked = section.linked if section.linked in names else names[0]
    cells = [[list(_lines(report, row, name, name == linked)) for name in names] for row in rows]
    widths = [
        _width([name, *(text for row in cells for text, _ in row[column])])
        for column, name in enumerate(names)
    ]
    number = _number(section)
    return {
        "section": section,
        "number": number,
        "columns": list(zip(names, widths)),
        "rows": cells,
    }


def _number(section: Section) -> str:
    """Of the rows, and of those that came to what was planned if others did not."""
    total, is_open = len(section.rows), len(section.open_rows())
    return f"{total - is_open:,} of {total:,}" if is_open else f"{total:,}"


def _tells(rows: Sequence[Row], name: str) -> bool:
    """That all is planned or done, the heading says."""
    texts = {_text(row, name) for row in rows}
    return texts != {""} and not (name == "status" and texts in ({"planned"}, {"done"}))


def _is_settled(row: Row) -> bool:
    return not row.get("error") or row.get("status") == NOT_REACHED


def _width(texts: Sequence[str]) -> int | None:
    """In characters; None where the column shares what is left."""
    longest = max(map(len, texts))
    return longest + 2 if longest <= NARROW else None


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
        hidden = ("link", "hubspot_id") if link else ()
        told = [(key, _text(each, key)) for key in each if key not in hidden]
        yield ", ".join(t if key in PLAIN else f"{_words(key)} {t}" for key, t in told if t), link
    if len(value) > MOST_LINES:
        yield f"and {len(value) - MOST_LINES:,} more", None


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    if name == "error" and row.get("status") == NOT_REACHED:
        return ""  # it has no error of its own: it repeats what stopped the run
    if name == "at" and isinstance(value, float):
        return local_time(datetime.fromtimestamp(value, timezone.utc))
    if name == "counts" and isinstance(value, Mapping):
        return ", ".join(f"{number:,} {words}" for words, number in value.items())
    form = FORMS.get(name, str)
    return form(shown(value))


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
        return date(datetime.strptime(text, "%Y-%m-%d"))
    return text


FORMS = {
    "domain": display_domain,
    "who": display_domain,
    "name": display_domain,
    "action": _words,
    "next": _words,
    "status": _words,
    "outcome": describe_outcome,
    "since": _day,
    "asked_again_on": _day,
}


def _local_time(timestamp: str) -> str:
    """A report's timestamp."""
    moment = datetime.strptime(timestamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    return local_time(moment)
