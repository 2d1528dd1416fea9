"""Which companies HubSpot was asked to create a moment ago, for the runs that follow at once.

HubSpot's search shows a new company only after up to half a minute, and nothing else finds one by
its domain. A run that came earlier, or after a crash, would make a second company.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Dict, NamedTuple, Optional

from basics.errors import AppError
from run.files import write_whole
from transport.clock import Clock

REMEMBERED_S = 300.0  # ten times what the search needs; after it the search knows better


class Asked(NamedTuple):
    """`at`: seconds since 1970. `company_id` is None while nobody knows whether it was created."""

    at: float
    company_id: Optional[int]


class Recent:
    """Kept in a file by domain. Only one run at a time may use it: hold the job's lock."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def get(self, domain: str) -> Optional[Asked]:
        return self._read().get(domain)

    def note(self, domain: str, company_id: Optional[int]) -> None:
        """Raises AppError when it cannot be written, so that nothing is sent without it."""
        self._write({**self._read(), domain: Asked(self._now(), company_id)})

    def forget(self, domain: str) -> None:
        self._write({name: asked for name, asked in self._read().items() if name != domain})

    def _now(self) -> float:
        return self._clock.utcnow().timestamp()

    def _read(self) -> Dict[str, Asked]:
        """What is still worth knowing; nothing when the file is missing or makes no sense."""
        try:
            rows = json.loads(self._path.read_text(encoding="utf-8"))
            everything = {domain: _asked(*entry) for domain, entry in rows.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}
        oldest = self._now() - REMEMBERED_S
        return {domain: asked for domain, asked in everything.items() if asked.at > oldest}

    def _write(self, entries: Dict[str, Asked]) -> None:
        try:
            write_whole(self._path, json.dumps(entries))
        except OSError as error:
            raise AppError(f"Cannot write {self._path}: {error.strerror}.") from None


def _asked(at: float, company_id: Optional[int]) -> Asked:
    return Asked(float(at), None if company_id is None else int(company_id))
