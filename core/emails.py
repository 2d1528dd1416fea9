"""What an e-mail address is: one grammar for what users type and what the services hold."""

from __future__ import annotations

import re
import unicodedata

from core.domains import display_domain, normalise_domain, to_ascii, without_marks

MAX_LOCAL, MAX_ADDRESS = 64, 254  # characters: RFC 5321, 4.5.3.1

_ATOM = r"[^\s@<>()\[\]:;,\\\".]+"  # without the signs that only a quoted name may have
_ADDRESS = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@([^\s@/?#:]*[^\s@/?#:.])")
# What no address holds: signs from the list above, and what a field of several is parted by.
_BETWEEN = re.compile(r"[\s<>()\[\]:;,\\\"|\uff0c\u3001\uff1b]+")
# The name of an address in a text. It is looked for from its first sign on alone: a search that
# began at each sign anew would take for ever over a long text without an "@".
_NAME = r"\s@\"'`<>()\[\]{},;:="
_NAME_IN_TEXT = re.compile(rf"(?<![^{_NAME}])[^{_NAME}]+@(?=[^\s@]+\.)")


def normalise_email(text: str | None) -> str | None:
    """The address as the services compare it, trimmed and in lower case; None when it is none.

    >>> normalise_email(" First.Last@Shop.Example ")
    'first.last@shop.example'
    >>> normalise_email("Jo <jo@shop.example>") is None
    True
    """
    address = (text or "").strip().lower()
    found = _ADDRESS.fullmatch(address) if len(address) <= MAX_ADDRESS else None
    if not found or len(found[1]) > MAX_LOCAL or not address.isprintable():
        return None
    return address if normalise_domain(found[2]) else None


def parse_email(text: str) -> str:
    """Like `normalise_email`; raises ValueError with the words that follow "must be"."""
    address = normalise_email(without_marks(text))
    if address is None:
        raise ValueError("one e-mail address such as first.last@shop.example")
    return address


def canonical(address: str) -> str:
    """The form in which two addresses are compared: jo@münze.example with its domain in punycode,
    as some services keep it."""
    if address.isascii():
        return address
    name, _, domain = unicodedata.normalize("NFC", without_marks(address)).rpartition("@")
    return f"{name}@{to_ascii(domain.lower()) or domain}"


def addresses_in(text: str) -> list[str]:
    """Every address in a text, in canonical form, whatever stands around it.

    >>> addresses_in("Jo <jo@shop.example>; mailto:al@shop.example.")
    ['jo@shop.example', 'al@shop.example']
    """
    words = _BETWEEN.split(without_marks(text).lower())
    found = filter(None, (_ADDRESS.match(word.strip("'")) for word in words))
    return [canonical(each) for each in filter(None, (normalise_email(m[0]) for m in found))]


def spellings(address: str) -> tuple[str, ...]:
    """The canonical address and, when its domain is in punycode, the one that people write."""
    name, _, domain = address.rpartition("@")
    return tuple(dict.fromkeys((address, f"{name}@{display_domain(domain)}")))


def masked(text: str) -> str:
    """Foreign text with `***@shop.example` for jo@shop.example."""
    return _NAME_IN_TEXT.sub("***@", text)
