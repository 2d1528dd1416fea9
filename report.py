"""The report of a run as a file."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any, Dict

Report = Dict[str, Any]  # its keys are in the README, under "The report"


def write_report(path: Path, report: Report) -> None:
    """Write the whole file or nothing: a reader never meets half a report. Raises OSError."""
    _write_whole(path, json.dumps(report, indent=2) + "\n")


def _write_whole(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
