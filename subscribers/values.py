"""HubSpot's values in the form that a MailerLite field accepts: pure conversions."""

from __future__ import annotations

from typing import Mapping, NamedTuple

from core.values import as_day, as_number, split_values
from mailerlite_api.shapes import Value

OF_COMPANY = "company."  # so begins the name of a property of the contact's company
_TYPES = {"number": "number", "date": "date", "datetime": "date"}  # HubSpot's -> MailerLite's


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


def labelled(text: str, field: Field) -> str:
    """The labels of an enumeration's values, with commas between them; other text as it is."""
    if not (field.labels or field.is_multiple):
        return text
    values = split_values(text, field.is_multiple)
    return ", ".join(field.labels.get(value, value) for value in values)


def usable(text: str, kind: str) -> Value | None:
    """The value in the form that a MailerLite field of this type accepts, in which two values are
    the same if they mean the same; None if it does not fit.

    >>> usable("12.50", "number"), usable("2026-03-01T00:00:00Z", "date"), usable("n/a", "date")
    (12.5, '2026-03-01', None)
    """
    if kind == "number":
        return as_number(text)
    if kind == "date":
        return as_day(text)
    return text


def comparable(text: str | None, kind: str) -> str:
    """What MailerLite holds in a form in which the same is equal, also if it is no such value."""
    text = trimmed(text)
    value = usable(text, kind) if text else None
    return text if value is None else str(value)
