"""Imported first by every script: what ends it before its run begins is told in one line."""

from __future__ import annotations

import importlib.util
import os
import sys
from types import TracebackType
from typing import Iterator

from core.errors import Outcome  # which is light, as all that is imported here must be

PACKAGES = ("dotenv", "idna", "jinja2", "requests", "tenacity", "tqdm")  # of requirements.txt


def missing_packages() -> Iterator[str]:
    return (name for name in PACKAGES if importlib.util.find_spec(name) is None)


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Ctrl-C while modules are loaded is no mistake, and nobody wants to see where it came."""
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write("Stopped before anything was done.\n")
        sys.stderr.flush()
        os._exit(Outcome.INTERRUPTED.exit_code)
    sys.__excepthook__(kind, error, trace)


sys.excepthook = _tell
