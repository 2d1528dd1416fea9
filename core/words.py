"""How the scripts speak: counts, lists, dates, and foreign text made safe to show."""

from __future__ import annotations

import unicodedata
from datetime import date, datetime, timezone
from typing import Sequence


def printable(text: str) -> str:
    """The text with everything that does not show replaced by its escape. What control and format
    characters (terminal escapes, line breaks, text direction) do to a terminal, a log or a page is
    the sender's choice, not ours."""
    if text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable() or unicodedata.category(char) == "Zs"  # a blank of any width
        else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def clip(text: str, width: int) -> str:
    """The printable text, cut to `width` characters."""
    text = printable(text[: width + 1])
    return text if len(text) <= width else text[: width - 1] + "…"


def count(number: int, singular: str, plural: str = "") -> str:
    """`1 company`, `1,200 companies`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def companies(number: int) -> str:
    return count(number, "company", "companies")


def are(number: int) -> str:
    return "is" if number == 1 else "are"


def alternatives(names: Sequence[str], link: str = "or") -> str:
    """`Shopify, Magento 2 or Wix`."""
    return f" {link} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def listing(names: Sequence[str], most: int = 10) -> str:
    """`a.example, b.example and 1 more`."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown


def local(timestamp: float) -> datetime:
    """A moment in seconds since 1970, in the zone of this machine."""
    return datetime.fromtimestamp(timestamp, timezone.utc).astimezone()


def format_moment(moment: datetime) -> str:
    """`21 Nov 2026, 09:04 CET`, in the zone of this machine."""
    here = moment.astimezone()
    return f"{format_date(here)}, {here:%H:%M %Z}"


def format_date(day: date) -> str:
    """`1 Nov 2026`."""
    return f"{day.day} {day:%b %Y}"


def iso_day(timestamp: float) -> str:
    """`2026-11-01`, the day in UTC of a moment in seconds since 1970, for programs."""
    return f"{datetime.fromtimestamp(timestamp, timezone.utc):%Y-%m-%d}"
