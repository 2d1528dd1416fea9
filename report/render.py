"""A report as a file: JSON for programs, CSV for spreadsheets, HTML for people."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from report import page
from report.model import Report, Row
from state.files import write_whole

SCHEMA_VERSION = 1
ENDINGS = (".json", ".csv", ".html", ".htm")  # of a report's name; it may have none as well
LAST_COLUMNS = ("status", "reason", "error")  # of the CSV: the others come before them
BYTE_ORDER_MARK = "\ufeff"  # by which Excel knows that a CSV is UTF-8
# A cell that begins so is a formula to a spreadsheet, and could do anything there:
# https://owasp.org/www-community/attacks/CSV_Injection
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001


def write_report(path: Path, report: Report, exit_code: int) -> None:
    """Write the whole file or nothing, in the form that its ending names, else JSON; a reader
    never meets half a report. Raises OSError."""
    ending = path.suffix.lower()
    if ending == ".csv":
        write_whole(path, BYTE_ORDER_MARK + _csv(report))
    elif ending in (".html", ".htm"):
        write_whole(path, page.render(report, exit_code))
    else:
        write_whole(path, json.dumps(as_json(report, exit_code), indent=2) + "\n")


def has_links(path: Path) -> bool:
    """Whether such a report leads to the records in HubSpot."""
    return path.suffix.lower() in (".csv", ".html", ".htm")


def as_json(report: Report, exit_code: int) -> dict[str, Any]:
    """The keys are in docs/companies.md, under "The report"."""
    data: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "job": report.job,
        "mode": report.mode,
        "outcome": report.outcome.word,
        "exit_code": exit_code,
        "error": report.error,
        "started_at": report.started_at,
        "finished_at": report.finished_at,
        "summary": report.summary,
        "counts": report.counts,
        "refusals": [refusal._asdict() for refusal in report.refusals],
        "settings": dict(report.settings),
        "requests": report.requests,
    }
    if report.accounts:
        data["accounts"] = report.accounts
    if report.findings is not None:
        data["findings"] = [finding._asdict() for finding in report.findings]
    if report.warnings is not None:
        data["warnings"] = report.warnings
    if report.checked_after is not None:
        data["checked_after"] = report.checked_after._asdict()
    if report.record_url:
        data["record_url"] = report.record_url
    if report.history:
        data["history"] = [past._asdict() for past in report.history]
    return {**data, **{section.key: list(section.rows) for section in report.sections}}


def _csv(report: Report) -> str:
    """One line for each row of each section."""
    rows = [
        (section.key, _line(row, report.link(row)))
        for section in report.sections
        for row in section.rows
    ]
    names = dict.fromkeys(name for _, row in rows for name in row)
    columns = [name for name in names if name not in LAST_COLUMNS]
    columns += [name for name in LAST_COLUMNS if name in names or name != "error"]
    text = io.StringIO()
    writer = csv.DictWriter(text, ["action", *columns], restval="")
    writer.writeheader()
    for key, row in rows:
        cells = {name: _cell(value) for name, value in row.items()}
        writer.writerow({"action": key, "status": key, **cells})
    return text.getvalue()


def _line(row: Row, link: str | None) -> Row:
    """`action` is the section's: a row's own is its `change`."""
    own = {"change" if name == "action" else name: value for name, value in row.items()}
    return {**own, "link": link} if link else own


def _cell(value: Any) -> str:
    text = page.shown(value)
    return f"'{text}" if text.lstrip().startswith(FORMULA_STARTS) else text
