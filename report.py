"""The report of a run as a file: JSON for programs, CSV for spreadsheets, HTML for people."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
from pathlib import Path
from typing import Any, Dict, Iterator

import page
from words import printable

Report = Dict[str, Any]  # its keys are in the README, under "The report"

LISTS = ("follow", "unfollow", "create", "update", "unsubscribe", "steps", "kept", "skipped")
COLUMNS = (
    "action",
    "step",
    "domain",
    "email",
    "company",
    "hubspot_id",
    "id",
    "link",
    "fields",
    "status",
    "reason",
    "error",
)
# A cell that begins so is a formula to a spreadsheet, and could do anything there:
# https://owasp.org/www-community/attacks/CSV_Injection
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001


def write_report(path: Path, report: Report) -> None:
    """Write the whole file or nothing, in the form that its ending names, else JSON; a reader
    never meets half a report. Raises OSError."""
    if path.suffix.lower() == ".csv":
        write_whole(path, _csv(report))
    elif is_page(path):
        write_whole(path, page.render(report))
    else:
        write_whole(path, json.dumps(report, indent=2) + "\n")


def is_page(path: Path) -> bool:
    return path.suffix.lower() in (".html", ".htm")


def _csv(report: Report) -> str:
    """One line for each company or person that was changed, kept on purpose or skipped."""
    text = io.StringIO()
    rows = list(_rows(report))
    used = {name for row in rows for name in row}
    columns = [name for name in COLUMNS if name in used or name in ("action", "status", "reason")]
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _rows(report: Report) -> Iterator[Dict[str, Any]]:
    for action in LISTS:
        for entry in report.get(action, ()):
            yield {"action": action, "status": action, **entry}


def _cell(value: Any) -> str:
    if isinstance(value, (list, tuple, dict)):
        value = ", ".join(map(str, value))
    text = "" if value is None else printable(str(value))
    return f"'{text}" if text.lstrip().startswith(FORMULA_STARTS) else text


def write_whole(path: Path, text: str) -> None:
    """Replace the file, or leave everything as it is and raise OSError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(text.encode())
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
