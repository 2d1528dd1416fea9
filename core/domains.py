"""How a domain is compared: the same few steps for every service."""

from __future__ import annotations

import re

import idna

MAX_LENGTH = 253  # characters, without the trailing dot: RFC 1035

# A host name that needs no work: lower-case labels of letters, digits and inner hyphens (63
# characters at most, RFC 1035), no `www.` before it, and a top-level domain that is not a number.
_BARE = re.compile(
    r"(?!www\.[^.]+\.)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+"
    r"(?:[a-z]{2,63}|xn--[a-z0-9-]{0,58}[a-z0-9])"
)
# What stands where the host stands: an e-mail address has an `@` there, so it has no host.
_ADDRESS = re.compile(
    r"(?:(?:[a-z][a-z0-9+.-]*:)?//(?:[^/?#]*@)?)?(?P<host>[^/?#@]*?)(?::\d*)?(?:[/?#].*)?",
    re.IGNORECASE | re.DOTALL,
)
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad"  # what copying from web pages leaves behind
_BETWEEN = re.compile(r"[\s,;|@/?#:()<>\[\]\"']+")  # what parts the domains that a text may name
# A domain with punycode, and not a part of a path.
_PUNYCODE = re.compile(r"(?<![\w./\\-])(?:[a-z0-9-]+\.)*xn--[a-z0-9-]+(?:\.[a-z0-9-]+)+")


def normalise_domain(text: str | None) -> str | None:
    """The bare, lower-case, punycode host of a domain or address; None when there is none.

    >>> normalise_domain(" HTTPS://user@WWW.Shop.Example.:443/path?q=1 ")
    'shop.example'
    >>> normalise_domain("info@shop.example") is None  # an e-mail address, not a company's site
    True
    """
    if text and len(text) <= MAX_LENGTH and _BARE.fullmatch(text):
        return text
    found = _ADDRESS.fullmatch((text or "").strip().strip(_INVISIBLE).strip())
    host = to_ascii(found["host"].strip().rstrip(".").lower()) if found else ""
    while host.startswith("www.") and "." in host[4:]:
        host = host[4:]
    return host if _BARE.fullmatch(host) else None


def to_ascii(host: str) -> str:
    """In punycode as browsers make it (UTS 46); empty if it cannot be a host name."""
    if len(host) > MAX_LENGTH:
        return ""
    try:
        return host if host.isascii() else idna.encode(host, uts46=True).decode().rstrip(".")
    except UnicodeError:
        return ""


def named_domains(text: str | None) -> frozenset[str]:
    """Every bare domain that a text may mean, however it is written; the form is not always one
    that `normalise_domain` takes.

    >>> sorted(named_domains("shop.example, info@www.shop.test; https:brand.example/de"))
    ['brand.example', 'shop.example', 'shop.test']
    """
    found: set[str | None] = set()
    for host in _BETWEEN.split(text or ""):
        if "." in host and len(host) <= MAX_LENGTH:
            # As browsers take it and, should they not, as punycode label by label.
            labels = host.strip(".").lower().split(".")
            raw = [
                each if each.isascii() else f"xn--{each.encode('punycode').decode()}"
                for each in labels
            ]
            found |= {normalise_domain(host), normalise_domain(".".join(raw))}
    return frozenset(filter(None, found))


def parse_domains(text: str) -> frozenset[str]:
    """Domains with commas or blanks between them, normalised; raises ValueError with the words
    that follow "must be"."""
    domains = frozenset(normalise_domain(part) or "" for part in re.split(r"[\s,;]+", text) if part)
    if "" in domains:
        raise ValueError("domains such as shop.example, with commas between them")
    return domains


def parse_domain(text: str) -> str:
    """One domain, like `parse_domains`."""
    domain = normalise_domain(text)
    if domain is None:
        raise ValueError("a domain such as shop.example")
    return domain


def display_domain(domain: str) -> str:
    """The domain as people write it: punycode turned back where that is possible."""
    try:
        return idna.decode(domain) if "xn--" in domain else domain
    except UnicodeError:
        return domain


def display_domains(text: str) -> str:
    """The text with each of its domains as people write it."""
    return _PUNYCODE.sub(lambda found: display_domain(found[0]), text)
