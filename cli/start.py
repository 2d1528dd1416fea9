"""Imported first by every script: what ends it before its run begins is said in one line."""

from __future__ import annotations

import importlib.util
import os
import sys
from types import TracebackType

from core.errors import Outcome  # light, as all that is imported here must be

# Of requirements.txt.
PACKAGES = ("dotenv", "idna", "jinja2", "publicsuffixlist", "requests", "tenacity", "tqdm")


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Ctrl-C while modules are loaded is no mistake, and nobody wants to see where it came."""
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write("Stopped before anything was done.\n")
        sys.stderr.flush()
        os._exit(Outcome.INTERRUPTED.exit_code)
    sys.__excepthook__(kind, error, trace)


sys.excepthook = _report
if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
    sys.exit(
        f"This Python ({sys.executable}) does not have {', '.join(missing)}. Start the script with"
        " the project's own Python, in .venv, or run:"
        f' "{sys.executable}" -m pip install -r requirements.txt'
    )
