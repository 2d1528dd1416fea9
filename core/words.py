"""How the scripts speak: counts, lists, and foreign text made safe to show."""

from __future__ import annotations

import unicodedata
from datetime import date, datetime, timezone
from typing import Sequence

# Control and format characters (terminal escapes, line breaks, text direction), lone surrogates
# and line separators: what they do to a terminal, a log or a page is the sender's choice, not ours.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def printable(text: str) -> str:
    r"""The text with everything that does not show replaced by its escape.

    >>> printable("Shop\x1b[31m")
    'Shop\\x1b[31m'
    """
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode("ascii")
        if unicodedata.category(char) in _UNPRINTABLE
        else char
        for char in text
    )


def clip(text: str, width: int) -> str:
    """The printable text, cut to `width` characters.

    >>> clip("A very long name", 8)
    'A very …'
    """
    text = printable(text)
    return text if len(text) <= width else text[: width - 1] + "…"


def count(number: int, singular: str, plural: str = "") -> str:
    """
    >>> count(1, "company", "companies"), count(1200, "page")
    ('1 company', '1,200 pages')
    """
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def companies(number: int) -> str:
    return count(number, "company", "companies")


def alternatives(names: Sequence[str]) -> str:
    """
    >>> alternatives(["Shopify", "Magento 2", "Wix"])
    'Shopify, Magento 2 or Wix'
    """
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def local(timestamp: float) -> datetime:
    """A moment in seconds since 1970, in the zone of this machine."""
    return datetime.fromtimestamp(timestamp, timezone.utc).astimezone()


def format_moment(moment: datetime) -> str:
    """In the zone of this machine: 21 Nov 2026, 09:04 CET."""
    here = moment.astimezone()
    return f"{format_date(here)}, {here:%H:%M %Z}"


def format_date(day: date) -> str:
    """
    >>> format_date(date(2026, 11, 1))
    '1 Nov 2026'
    """
    return f"{day.day} {day:%b %Y}"


def iso_day(timestamp: float) -> str:
    """The day in UTC of a moment in seconds since 1970, for programs.

    >>> iso_day(0)
    '1970-01-01'
    """
    return f"{datetime.fromtimestamp(timestamp, timezone.utc):%Y-%m-%d}"


def listing(names: Sequence[str], most: int = 10) -> str:
    """
    >>> listing(["a.example", "b.example", "c.example"], most=2)
    'a.example, b.example and 1 more'
    """
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown
