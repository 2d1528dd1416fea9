"""A report as a file: JSON for programs, CSV for spreadsheets, HTML for people."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from report import page
from report.model import Report
from state.files import write_whole

SCHEMA_VERSION = 1
PAGE_ENDINGS = (".html", ".htm")
ENDINGS = (".json", ".csv", *PAGE_ENDINGS)  # of a report's name; it may have none as well
LAST_COLUMNS = ("status", "reason", "error")  # of the CSV: the others come before them
BYTE_ORDER_MARK = "\ufeff"  # by which Excel knows that a CSV is UTF-8
# A cell that begins so is a formula to a spreadsheet, and could do anything there; tabs and line
# breaks, which are as bad, come as their escapes: https://owasp.org/www-community/attacks/CSV_Injection
FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # noqa: RUF001


def write_report(path: Path, report: Report, exit_code: int) -> None:
    """Write the whole file or nothing, in the form that its ending names, else JSON; a reader
    never meets half a report. Raises OSError."""
    ending = path.suffix.lower()
    if ending == ".csv":
        write_whole(path, BYTE_ORDER_MARK + _csv(report))
    elif ending in PAGE_ENDINGS:
        write_whole(path, page.render(report, exit_code))
    else:
        write_whole(path, json.dumps(_json(report, exit_code), indent=2) + "\n")


def has_links(path: Path) -> bool:
    """Whether such a report leads to the records in HubSpot."""
    return path.suffix.lower() in (".csv", *PAGE_ENDINGS)


def _json(report: Report, exit_code: int) -> dict[str, Any]:
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
    if report.findings is not None:
        data["findings"] = [finding._asdict() for finding in report.findings]
    if report.warnings is not None:
        data["warnings"] = report.warnings
    for key in ("accounts", "checked_after", "record_url"):
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
    text = page.shown(value)
    return f"'{text}" if text.lstrip().startswith(FORMULA_STARTS) else text
