"""A report as a file: JSON for programs, CSV for spreadsheets, and for people a page without
scripts or requests to anywhere."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import platform
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

import jinja2

from core import addresses, errors
from core.words import count, format_date, format_moment, listing, local, printable
from report.model import DONE, NOT_REACHED, Kind, Report, Row, Section
from state.files import write_whole

SCHEMA_VERSION = 1
PAGE_ENDINGS = (".html", ".htm")
ENDINGS = (".json", ".csv", *PAGE_ENDINGS)  # of a report's name; it may have none as well
LAST_COLUMNS = ("status", "reason", "error")  # of the CSV: the others come before them
BYTE_ORDER_MARK = "\ufeff"  # by which Excel knows that a CSV is UTF-8
# A cell that begins so is a formula to a spreadsheet, and could do anything there; tabs and line
# breaks, which are as bad, come as their escapes: https://owasp.org/www-community/attacks/CSV_Injection
FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # noqa: RUF001

SHOWN_ROWS, SHOWN_TO_DECIDE = 50, 5  # of a table; the others are folded
SHOWN_LINES, MOST_LINES = 4, 200  # of a cell: shown, and folded in all
SHOWN_CAUSES = 5
NARROW = 16  # characters: such a column fits its longest text, the others share the rest
IN_BAR = (Kind.REMOVE, Kind.ADD, Kind.CHANGE, Kind.KEEP, Kind.SKIP)


def write_report(path: Path, report: Report, exit_code: int) -> None:
    """Write the whole file or nothing, in the form that its ending names, else JSON; a reader
    never meets half a report. Raises OSError."""
    ending = path.suffix.lower()
    if ending == ".csv":
        write_whole(path, BYTE_ORDER_MARK + _csv(report))
    elif ending in PAGE_ENDINGS:
        write_whole(path, page(report, exit_code))
    else:
        write_whole(path, json.dumps(_json(report, exit_code), indent=2) + "\n")


def _json(report: Report, exit_code: int) -> dict[str, Any]:
    """The keys are in docs/companies.md, under "The report"."""

    def moment(at: datetime | None) -> str | None:
        return f"{at:%Y-%m-%dT%H:%M:%SZ}" if at else None

    data: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "job": report.job,
        "mode": report.mode,
        "outcome": report.outcome.word,
        "exit_code": exit_code,
        "error": report.error,
        "started_at": moment(report.started_at),
        "finished_at": moment(report.finished_at),
        "summary": report.summary,
        "counts": report.counts,
        "refusals": [
            {"reason": each.reason, "allow_with": each.allow_with} for each in report.refusals
        ],
        "settings": dict(report.settings),
        "requests": {name.lower(): usage for name, usage in report.requests.items()},
    }
    if report.findings is not None:
        data["findings"] = [finding._asdict() for finding in report.findings]
    if report.warnings is not None:
        data["warnings"] = report.warnings
    for key in ("accounts", "plan", "checked_after", "record_url"):
        if value := getattr(report, key):
            data[key] = value
    recent = [report.recent] if report.recent and report.recent.rows else []
    data.update((section.key, list(section.rows)) for section in (*report.sections, *recent))
    return data


def _csv(report: Report) -> str:
    """One line for each row of each section. `action` is the section's: a row's own is its
    `change`."""
    rows = []
    for section in report.sections:
        for row in section.rows:
            own = {"change" if name == "action" else name: row[name] for name in row}
            link = report.link(row)
            own.update({"link": link} if link else {})
            cells = {name: _cell(value) for name, value in own.items()}
            rows.append({"action": section.key, "status": section.key, **cells})
    names = dict.fromkeys(name for row in rows for name in row)
    columns = [name for name in names if name not in ("action", *LAST_COLUMNS)]
    columns += [name for name in LAST_COLUMNS if name in names or name != "error"]
    text = io.StringIO()
    writer = csv.DictWriter(text, ["action", *columns], restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _cell(value: Any) -> str:
    text = shown(value)
    return f"'{text}" if text.lstrip().startswith(FORMULA_STARTS) else text


def page(report: Report, exit_code: int) -> str:
    """Everything that came from outside is escaped by the template engine."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(words=_words, moment=format_moment, names=_names)
    environment.filters["shown"] = lambda value: addresses.display_domains(shown(value))
    source = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    sections = sorted(report.sections, key=lambda each: _place(report, each))
    sections = [each for each in (*sections, report.recent) if each and each.rows]
    sections = [] if report.cards else sections
    parts, question = list(_parts(report, sections)), report.question
    return environment.from_string(source).render(
        report=report,
        exit_code=exit_code,
        outcome=question[:1].lower() + question[1:] or report.outcome.told,
        sentences=_sentences(report),
        causes=list(_causes(report)),
        parts=parts,
        bar=[part for part in parts if part[3]],
        tables=[_table(report, section) for section in sections],
        python=platform.python_version(),
        shown_rows=SHOWN_ROWS,
        shown_to_decide=SHOWN_TO_DECIDE,
        shown_lines=SHOWN_LINES,
        most_lines=MOST_LINES,
    )


def _place(report: Report, section: Section) -> tuple[bool, bool, int]:
    """What is over a limit comes first, then the other changes, then what people must look at."""
    flag = "--max-" + section.key.replace("create", "new").replace("_", "-")
    is_over = any(each.allow_with.startswith(flag) for each in report.refusals)
    is_change = any("status" in row for row in section.rows)
    return not is_over, not is_change, list(Kind).index(section.kind)


# What came of the run


def _sentences(report: Report) -> list[str]:
    """The outcome in words, the first sentence alone would do."""
    if report.summary:
        return [f"{line[:-1]}." if line.endswith(":") else line for line in report.summary]
    if report.question:
        return [f"{report.question}."]
    told = f"{report.outcome.told.capitalize()}."
    if report.outcome is errors.Outcome.INTERRUPTED:  # how far it came
        rows = [row for each in report.sections for row in each.rows if "status" in row]
        done = sum(row["status"] == DONE for row in rows)
        return [f"{told} {done:,} of {count(len(rows), 'change')} made."]
    untouched = report.error and report.outcome is not errors.Outcome.PARTIAL
    return [f"{told} Nothing was changed." if untouched else told]


def _causes(report: Report) -> Iterator[str]:
    """Why the run failed, and why some of its changes are not done: each cause once. That somebody
    stopped it is none."""
    was_stopped = report.outcome is errors.Outcome.INTERRUPTED
    if report.error and not was_stopped:
        yield report.error.replace("\n", " ")
    names_by_error: dict[str, list[str]] = {}
    for section in report.sections:
        for row in section.open_rows():
            if was_stopped and row.get("status") == NOT_REACHED:
                continue
            names_by_error.setdefault(row["error"], []).append(_text(row, section.columns[0]))
    names_by_error.pop(report.error or "", None)
    for error, names in list(names_by_error.items())[:SHOWN_CAUSES]:
        who, error = listing(names, 3), addresses.display_domains(error)
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

    def tells(name: str) -> bool:
        texts = {_text(row, name) for row in section.rows}
        # That all is planned or done, the heading says.
        return texts != {""} and not (name == "status" and texts in ({"planned"}, {"done"}))

    def is_wrong(row: Row) -> bool:
        return bool(row.get("error")) and row.get("status") != NOT_REACHED

    names = list(filter(tells, section.columns)) or section.columns[:1]
    linked = section.linked if section.linked in names else names[0]
    rows = [
        [list(_lines(report, row, name, name == linked)) for name in names]
        for row in sorted(section.rows, key=lambda row: not is_wrong(row))
    ]
    columns = []
    for name, cells in zip(names, zip(*rows)):
        longest = max([len(name), *(len(text) for cell in cells for text, _ in cell)])
        columns.append((name, longest + 2 if longest <= NARROW else None))
    return {"section": section, "columns": columns, "rows": rows}


def _lines(
    report: Report, row: Row, name: str, is_linked: bool
) -> Iterator[tuple[str, str | None]]:
    """Rows within the row are a line each, which leads to their own record."""
    value = row.get(name)
    if not (isinstance(value, list) and all(isinstance(each, Mapping) for each in value)):
        yield _text(row, name), report.link(row) if is_linked else None
        return
    for each in value[:MOST_LINES]:
        texts = (_text(each, key) for key in each if key not in ("link", "hubspot_id"))
        yield ", ".join(filter(None, texts)), report.link(each)
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
    """held_back -> held back"""
    return "not attempted" if name == NOT_REACHED else name.replace("_", " ")


def _names(names: Sequence[str]) -> str:
    return listing([addresses.display_domain(name) for name in names], 50) or "none"


def _day(text: str) -> str:
    """2026-11-21 -> 21 Nov 2026"""
    with contextlib.suppress(ValueError):
        return format_date(datetime.strptime(text, "%Y-%m-%d"))
    return text


FORMS = {
    **dict.fromkeys(("domain", "name", "who", "reason", "error"), addresses.display_domains),
    **dict.fromkeys(("action", "next", "status"), _words),
    **dict.fromkeys(("since", "asked_again_on"), _day),
    "outcome": errors.describe_outcome,
}
