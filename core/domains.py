"""How a domain is compared: the same few steps for every service."""

from __future__ import annotations

import re
import unicodedata

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
_BETWEEN = re.compile(
    r"[\s,;|@/?#:()<>\[\]\"'\uff0c\u3001\uff1b]+"
)  # what parts the domains that a text may name
# What parts two addresses in one field, where a comma may also belong to a path.
_SEVERAL = re.compile(r"[\s|\uff0c\u3001\uff1b]+|[,;](?=\s|https?:)|(?<=/)[,;]")
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
    text = without_marks(text or "").strip()
    parts = _SEVERAL.split(text)
    if len(parts) > 1 and len(set(filter(None, map(normalise_domain, parts)))) > 1:
        return None  # nobody can tell which of them is meant
    found = _ADDRESS.fullmatch(text)
    host = to_ascii(found["host"].strip().rstrip(".").lower()) if found else ""
    while host.startswith("www.") and "." in host[4:]:
        host = host[4:]
    return host if _BARE.fullmatch(host) else None


def without_marks(text: str) -> str:
    """Without the invisible characters that copying leaves behind (Unicode's category Cf, such as
    direction marks), and what stands for a picture."""
    if text.isascii():
        return text
    return "".join(char for char in text if unicodedata.category(char) != "Cf" and char != "\ufffc")


def parse_bare_domain(text: str) -> str | None:
    """Like `normalise_domain`, of a text that is a domain alone: a path says that it is the address
    of a page, which may be on anybody's site."""
    return None if re.search("[/?#:]", text) else normalise_domain(text)


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
    for host in _BETWEEN.split(without_marks(text or "")):
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
