"""The report of a run as one page for people: no scripts, no requests to anywhere."""

from __future__ import annotations

import contextlib
import platform
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

from core.domains import display_domain
from core.errors import Outcome
from core.words import count, date, listing, local_time, printable
from report.model import CheckedAfter, Kind, PastRun, Report, Row, Section

SHOWN = 50  # rows of a table; the others are folded
SHOWN_CAUSES = 5
SHOWN_PAST = 200  # changes of an earlier run
NARROW = 16  # characters: such a column fits its longest text, the others share the rest
PLAIN = ("at", "name", "how", "reason")  # within a row: what these are, their text says
IN_BAR = (Kind.REMOVE, Kind.ADD, Kind.CHANGE, Kind.KEEP, Kind.SKIP)
NOT_REACHED = "not_reached"  # the status of a change that was never tried
OUTCOMES = {
    "in_sync": "nothing to do",
    "synced": "done",
    "planned": "dry run",
    "refused": "refused for safety",
    "partial": "done in part",
    "interrupted": "stopped",
}


class Column(NamedTuple):
    """`width`: in characters; None where it shares what is left."""

    name: str
    width: int | None


class Line(NamedTuple):
    text: str
    link: str | None = None


class Table(NamedTuple):
    """`number`: of the rows, and of those that came to what was planned if others did not. `rows`:
    each column has lines."""

    section: Section
    number: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Sequence[Line]]]


class Part(NamedTuple):
    """Of the picture. `share`: in the bar, if it is in it; `anchor`: where it leads to."""

    label: str
    number: str
    style: str
    share: int = 0
    anchor: str | None = None


class Chart(NamedTuple):
    """A number over time, as paths of an SVG of 100 by 100."""

    line: str
    dots: str
    lowest: int
    highest: int
    words: str
    begin: str
    end: str


def render(report: Report, exit_code: int) -> str:
    """The page; everything that came from outside is escaped by the template engine."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(shown=shown, words=_words, local=_local_time)
    template = environment.from_string(
        Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    )
    in_order = sorted(report.sections, key=lambda section: list(Kind).index(section.kind))
    tables = [_table(report, section) for section in in_order if section.rows]
    return template.render(
        report=report,
        exit_code=exit_code,
        outcome=_title(report),
        sentences=_sentences(report),
        causes=list(_causes(report)),
        parts=list(_parts(report, tables)),
        decisions=[table for table in tables if table.section.kind is Kind.DECIDE],
        tables=[table for table in tables if table.section.kind is not Kind.DECIDE],
        history=[_past(report, past) for past in _newest_first(report.history)],
        chart=_chart(report),
        checked=report.checked_after and _checked(report.checked_after),
        python=platform.python_version(),
        shown_rows=SHOWN,
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
    return [_outcome(report.outcome.word).capitalize() + ending]


def _title(report: Report) -> str:
    question = report.question
    return question[0].lower() + question[1:] if question else _outcome(report.outcome.word)


def _outcome(word: str) -> str:
    return OUTCOMES.get(word, word)


def _causes(report: Report) -> Iterator[str]:
    """Why the run failed, and why some of its changes are not done: each cause once."""
    if report.error:
        yield report.error.replace("\n", " ")
    found: dict[str, list[str]] = {report.error or "": []}
    for section in report.sections:
        for row in _open(section):
            found.setdefault(row["error"], []).append(_text(row, section.columns[0]))
    for error, names in list(found.items())[1 : SHOWN_CAUSES + 1]:
        who = listing(names, 3)
        yield error if who in error else f"{who}: {error}"
    if len(found) > SHOWN_CAUSES + 1:
        yield f"{count(len(found) - SHOWN_CAUSES - 1, 'more error')}: see the tables below."


def _open(section: Section) -> list[Row]:
    """The changes that did not come to what was planned."""
    return [row for row in section.rows if row.get("error")]


def _parts(report: Report, tables: Sequence[Table]) -> Iterator[Part]:
    """All sections, and how many of all companies or people each of them is about."""
    for section, number, _, _ in tables:
        share = len(section.rows) - len(_open(section)) if section.kind in IN_BAR else 0
        yield Part(section.title, number, section.kind.name.lower(), share, section.key)
    for status, found in Counter(
        row.get("status", "failed") for table in tables for row in _open(table.section)
    ).items():
        yield Part(_words(status).capitalize(), f"{found:,}", "open", found, "wrong")
    if report.unchanged is not None:
        yield Part("Unchanged", f"{report.unchanged:,}", "keep", report.unchanged)


def _checked(after: CheckedAfter) -> str:
    missing, unwanted = (
        listing([display_domain(name) for name in names], 50) or "none"
        for names in (after.missing, after.unwanted)
    )
    return f"{after.listed:,} listed; missing: {missing}; listed and not wanted: {unwanted}"


# Tables


def _table(report: Report, section: Section) -> Table:
    """What went wrong comes first. Columns that tell nothing are left out."""
    rows = sorted(section.rows, key=_is_settled)
    names = [name for name in section.columns if _tells(rows, name)] or section.columns[:1]
    linked = section.linked if section.linked in names else names[0]
    cells = [
        [_lines(row, name, report.link(row) if name == linked else None) for name in names]
        for row in rows
    ]
    columns = [
        Column(name, _width([name, *(line.text for row in cells for line in row[n])]))
        for n, name in enumerate(names)
    ]
    total, is_open = len(rows), len(_open(section))
    number = f"{total - is_open:,} of {total:,}" if is_open else f"{total:,}"
    return Table(section, number, columns, cells)


def _tells(rows: Sequence[Row], name: str) -> bool:
    """That all is planned or done, the heading says."""
    texts = {_text(row, name) for row in rows}
    return texts != {""} and not (name == "status" and texts in ({"planned"}, {"done"}))


def _is_settled(row: Row) -> bool:
    return not row.get("error") or row.get("status") == NOT_REACHED


def _width(texts: Sequence[str]) -> int | None:
    longest = max(map(len, texts))
    return longest + 2 if longest <= NARROW else None


def _lines(row: Row, name: str, link: str | None) -> list[Line]:
    """Rows within the row are a line each, which leads to their own record."""
    value = row.get(name)
    if not (isinstance(value, list) and all(isinstance(each, Mapping) for each in value)):
        return [Line(_text(row, name), link)]
    return [Line(", ".join(_told(each)), each.get("link")) for each in value]


def _told(row: Row) -> Iterator[str]:
    for name in row:
        text = "" if name == "link" else _text(row, name)
        if text:
            yield text if name in PLAIN else f"{_words(name)} {text}"


def _text(row: Row, name: str) -> str:
    """What was not reached has no error of its own: it repeats what stopped the run."""
    if name == "error" and row.get("status") == NOT_REACHED:
        return ""
    text = shown(row.get(name))
    form = FORMS.get(name)
    return form(text) if form else text


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


def _day(text: str) -> str:
    """2026-11-21 -> 21 Nov 2026"""
    with contextlib.suppress(ValueError):
        return date(datetime.strptime(text, "%Y-%m-%d"))
    return text


FORMS = {
    "domain": display_domain,
    "who": display_domain,
    "action": _words,
    "next": _words,
    "status": _words,
    "outcome": _outcome,
    "since": _day,
    "asked_again_on": _day,
}


# Time


def _local_time(timestamp: str) -> str:
    """A report's timestamp."""
    moment = datetime.strptime(timestamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    return local_time(moment)


def _here(at: float) -> datetime:
    return datetime.fromtimestamp(at, timezone.utc).astimezone()


# Earlier runs


def _newest_first(history: Sequence[PastRun]) -> list[PastRun]:
    return sorted(history, key=lambda past: past.at, reverse=True)


def _past(report: Report, past: PastRun) -> Table:
    """An earlier run as a table of its changes."""
    counts = ", ".join(f"{number:,} {words}" for words, number in past.counts.items() if number)
    rows = [
        {**change._asdict(), "name": display_domain(change.name)}
        for change in past.changes[:SHOWN_PAST]
    ]
    if len(past.changes) > SHOWN_PAST:
        rows.append({"name": f"and {len(past.changes) - SHOWN_PAST:,} more"})
    title = f"{local_time(_here(past.at))}: {_outcome(past.outcome)}"
    columns = ("name", "action", "reason")
    return _table(report, Section("", title, Kind.STEP, columns, rows))._replace(number=counts)


def _chart(report: Report) -> Chart | None:
    points = sorted((past.at, past.total) for past in report.history if past.total is not None)
    if len(points) < 2:
        return None
    (begin, first), (end, last) = points[0], points[-1]
    low, *_, high = sorted(total for _, total in points)
    wide, tall = (end - begin) or 1, (high - low) or 1
    spots = [
        f"{100 * (at - begin) / wide:.1f},{100 * (high - total) / tall:.1f}" for at, total in points
    ]
    days = date(_here(begin)), date(_here(end))
    words = f"{report.total_name}: {first:,} on {days[0]}, {last:,} on {days[1]}"
    return Chart(
        "M" + "L".join(spots), "".join(f"M{spot}h0" for spot in spots), low, high, words, *days
    )
