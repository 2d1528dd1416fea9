"""HubSpot's values in the form that a MailerLite field takes: pure conversions."""

from __future__ import annotations

import math
import re
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Mapping, NamedTuple

if TYPE_CHECKING:
    from mailerlite_client import Value

_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ].*)?")
_MILLISECONDS = re.compile(r"-?[0-9]{1,15}")
_DAY_MS = 86_400_000
_TYPES = {"number": "number", "date": "date", "datetime": "date"}  # HubSpot's -> MailerLite's


OF_COMPANY = "company."  # so begins the name of a property of the contact's company


class Field(NamedTuple):
    """A HubSpot property and the MailerLite field it goes to; `type`: text, number or date.

    `labels`: internal value -> label, where labels are sent; `is_multiple`: values come as `a;b`.
    """

    property: str
    key: str
    type: str
    labels: Mapping[str, str] = {}
    is_multiple: bool = False


def trimmed(text: str | None) -> str:
    return (text or "").strip()


def field_type(property_type: str) -> str:
    """The type of the MailerLite field that suits a property of HubSpot."""
    return _TYPES.get(property_type, "text")


def parts(text: str | None, is_multiple: bool) -> list[str]:
    """The values of a property, none where it is unset."""
    found = (text or "").split(";") if is_multiple else [text or ""]
    return [part.strip() for part in found if part.strip()]


def in_words(text: str, field: Field) -> str:
    """The labels of an enumeration's values, with commas between them; other text as it is."""
    if not (field.labels or field.is_multiple):
        return text
    values = parts(text, field.is_multiple)
    return ", ".join(field.labels.get(value, value) for value in values)


def usable(text: str, kind: str) -> Value | None:
    """The value in the form that a MailerLite field of this type takes, in which two values are
    the same if they mean the same; None if it does not fit.

    >>> usable("12.50", "number"), usable("2026-03-01T00:00:00Z", "date"), usable("n/a", "date")
    (12.5, '2026-03-01', None)
    """
    if kind == "number":
        return _number(text)
    if kind == "date":
        return _day(text)
    return text


def as_kept(text: str | None, kind: str) -> str:
    """What MailerLite holds in a form in which the same is equal, also if it is no such value."""
    text = trimmed(text)
    value = usable(text, kind) if text else None
    return text if value is None else str(value)


def _number(text: str) -> Value | None:
    try:
        number = Decimal(text)
        as_float = float(number)
    except (InvalidOperation, ValueError):
        return None
    if not math.isfinite(as_float):
        return None
    return int(number) if number == int(number) else as_float


def _day(text: str) -> str | None:
    """HubSpot writes a day as such, as a moment, or as milliseconds since 1970 at midnight UTC:
    https://developers.hubspot.com/docs/api/crm/properties"""
    found = _DAY.fullmatch(text)
    try:
        if found:
            return date.fromisoformat(found[1]).isoformat()
        if _MILLISECONDS.fullmatch(text) and int(text) % _DAY_MS == 0:
            return (date(1970, 1, 1) + timedelta(days=int(text) // _DAY_MS)).isoformat()
    except (ValueError, OverflowError):
        pass
    return None
