"""What an e-mail address is: one grammar for what users type and what the services hold."""

from __future__ import annotations

import re
import unicodedata

from core.domains import display_domain, normalise_domain

MAX_LOCAL, MAX_ADDRESS = 64, 254  # characters: RFC 5321, 4.5.3.1

_ATOM = r"[^\s@<>()\[\]:;,\\\".]+"  # without the signs that only a quoted name may have
_ADDRESS = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@([^\s@/?#:]*[^\s@/?#:.])")


def normalise_email(text: str | None) -> str | None:
    """The address as the services compare it, trimmed and in lower case; None when it is none.

    >>> normalise_email(" First.Last@Shop.Example ")
    'first.last@shop.example'
    >>> normalise_email("Jo <jo@shop.example>") is None
    True
    """
    address = (text or "").strip().lower()
    found = _ADDRESS.fullmatch(address)
    if not found or len(found[1]) > MAX_LOCAL or len(address) > MAX_ADDRESS:
        return None
    return address if address.isprintable() and normalise_domain(found[2]) else None


def parse_email(text: str) -> str:
    """Like `normalise_email`; raises ValueError with the words that follow "must be"."""
    address = normalise_email(text)
    if address is None:
        raise ValueError("one e-mail address such as first.last@shop.example")
    return address


def canonical(address: str) -> str:
    """The form in which two addresses are compared: its domain in punycode, as some services keep
    it.

    >>> canonical("jo@m\u00fcnze.example")
    'jo@xn--mnze-0ra.example'
    """
    if address.isascii():
        return address
    import idna  # only where needed: its tables take time to load

    name, _, domain = unicodedata.normalize("NFC", address).rpartition("@")
    try:
        return f"{name}@{idna.encode(domain, uts46=True).decode('ascii')}"
    except UnicodeError:
        return f"{name}@{domain}"


def spellings(address: str) -> tuple[str, ...]:
    """The canonical address and, when its domain is in punycode, the one that people write."""
    name, _, domain = address.rpartition("@")
    return tuple(dict.fromkeys((address, f"{name}@{display_domain(domain)}")))


_IN_TEXT = re.compile(r"[^\s@\"'`<>()\[\]{},;:=]+@(?=[^\s@]+\.)")


def masked(text: str) -> str:
    """Foreign text without the names of the addresses in it.

    >>> masked("jo@shop.example is no address")
    '***@shop.example is no address'
    """
    return _IN_TEXT.sub("***@", text)
