"""The texts that a record holds: what they mean, and many of them in little memory."""

from __future__ import annotations

import functools
import json
import math
import re
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Iterator, Mapping, Optional, Sequence

_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ].*)?")
_MILLISECONDS = re.compile(r"-?[0-9]{1,15}")
_DAY_MS = 86_400_000


def split_values(text: str | None, is_multiple: bool) -> list[str]:
    """The values of a property, of which one with several has `a;b`; none where it is unset."""
    found = (text or "").split(";") if is_multiple else [text or ""]
    return [each.strip() for each in found if each.strip()]


def as_number(text: str) -> int | float | None:
    """12.5 for `12.50`, 1000 for `1e3`; None if it is no number."""
    try:
        number = Decimal(text)
        as_float = float(number)
    except (InvalidOperation, ValueError):
        return None
    if not math.isfinite(as_float):
        return None
    return int(number) if number == int(number) else as_float


def as_day(text: str) -> str | None:
    """The ISO day in UTC. HubSpot writes a day as such, as a moment, or as milliseconds since 1970
    at midnight UTC: https://developers.hubspot.com/docs/api/crm/properties"""
    found = _DAY.fullmatch(text)
    try:
        if found:
            return date.fromisoformat(found[1]).isoformat()
        if _MILLISECONDS.fullmatch(text) and int(text) % _DAY_MS == 0:
            return (date(1970, 1, 1) + timedelta(days=int(text) // _DAY_MS)).isoformat()
    except (ValueError, OverflowError):
        pass
    return None


class Packed(Mapping[str, Optional[str]]):
    """Like a dictionary of texts, in one string. `names`: one tuple for all records of a kind.

    An hourly run for 200,000 people needs 260 MB so; with tuples it would need 340, with
    dictionaries 400, for texts that are mostly looked at once.
    """

    __slots__ = ("_json", "_names")

    def __init__(self, names: tuple[str, ...], texts: Sequence[str | None]) -> None:
        self._names = names
        self._json = json.dumps(texts, ensure_ascii=False, separators=(",", ":"))

    def __getitem__(self, name: str) -> str | None:
        if name not in self._names:
            raise KeyError(name)
        return _unpacked(self._json)[self._names.index(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return repr(dict(self))


@functools.lru_cache(maxsize=64)
def _unpacked(text: str) -> list[str | None]:
    """Kept for a while: what is looked at of a record is looked at in one go."""
    texts: list[str | None] = json.loads(text)
    return texts
