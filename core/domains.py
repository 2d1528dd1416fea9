"""How a domain is compared: the same few steps for every service."""

from __future__ import annotations

import re

# A host name that needs no work: lower-case labels of letters, digits and inner hyphens (63
# characters at most, RFC 1035), no `www.` before it, and a top-level domain that is not a number.
_BARE = re.compile(
    r"(?!www\.[^.]+\.)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+"
    r"(?:[a-z]{2,63}|xn--[a-z0-9-]{0,58}[a-z0-9])"
)
_SCHEME = re.compile(r"^(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
# A domain with punycode, and not a part of a path.
_PUNYCODE = re.compile(r"(?<![\w./\\-])(?:[a-z0-9-]+\.)*xn--[a-z0-9-]+(?:\.[a-z0-9-]+)+")
_PORT = re.compile(r":\d*$")
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad"  # what copying from web pages leaves behind
_MAX_LENGTH = 253  # RFC 1035, without the trailing dot


def normalise_domain(text: str | None) -> str | None:
    """The bare, lower-case, punycode host of a domain or address; None when there is none.

    >>> normalise_domain(" HTTPS://user@WWW.Shop.Example.:443/path?q=1 ")
    'shop.example'
    >>> normalise_domain("info@shop.example") is None  # an e-mail address, not a company's site
    True
    """
    if not text:
        return None
    if _BARE.fullmatch(text) and len(text) <= _MAX_LENGTH:
        return text
    host = _to_ascii(_host(text))
    while host.startswith("www.") and "." in host[4:]:
        host = host[4:]
    return host if _BARE.fullmatch(host) and len(host) <= _MAX_LENGTH else None


def named_domains(text: str | None) -> frozenset[str]:
    """Every bare domain that a text may mean, however it is written; the form is not always one
    that `normalise_domain` takes.

    >>> sorted(named_domains("shop.example, info@www.shop.test; https:brand.example/de"))
    ['brand.example', 'shop.example', 'shop.test']
    """
    hosts = re.findall(r"[^\s,;|@/?#:()<>\[\]\"']+\.[^\s,;|@/?#:()<>\[\]\"']+", text or "")
    return frozenset(name for host in hosts for name in _names(host) if name)


def _names(host: str) -> tuple[str | None, str | None]:
    """The host as browsers take it and, if they do not, as punycode label by label."""
    labels = host.strip(".").lower().split(".")
    raw = [each if each.isascii() else f"xn--{each.encode('punycode').decode()}" for each in labels]
    return normalise_domain(host), normalise_domain(".".join(raw))


def parse_domains(text: str) -> frozenset[str]:
    """Domains with commas or blanks between them, normalised; raises ValueError with the words
    that follow "must be"."""
    domains = [normalise_domain(part) for part in re.split(r"[\s,;]+", text) if part]
    if None in domains:
        raise ValueError("domains such as shop.example, with commas between them")
    return frozenset(domain for domain in domains if domain)


def parse_domain(text: str) -> str:
    """One domain, like `parse_domains`."""
    domain = normalise_domain(text)
    if domain is None:
        raise ValueError("a domain such as shop.example")
    return domain


def display_domain(domain: str) -> str:
    """The domain as people write it: punycode turned back where that is possible."""
    if "xn--" not in domain:
        return domain
    import idna

    try:
        return idna.decode(domain)
    except UnicodeError:
        return domain


def display_domains(text: str) -> str:
    """The text with each of its domains as people write it.

    >>> display_domains("its domain in HubSpot is now xn--mnze-0ra.example.")
    'its domain in HubSpot is now münze.example.'
    """
    return _PUNYCODE.sub(lambda found: display_domain(found[0]), text) if "xn--" in text else text


def _host(text: str) -> str:
    """What stands where the host stands; an e-mail address keeps its `@` and so is no host."""
    text = text.strip().strip(_INVISIBLE).strip()
    scheme = _SCHEME.match(text)
    host = re.split(r"[/?#]", text[scheme.end() :] if scheme else text, maxsplit=1)[0]
    if scheme:
        host = host.rsplit("@", 1)[-1]
    return _PORT.sub("", host.strip()).rstrip(".").lower()


def _to_ascii(host: str) -> str:
    """Punycode as browsers make it (UTS 46); what cannot be a host name comes back empty."""
    if host.isascii():
        return host
    import idna  # only where needed: its tables take time to load

    try:
        return idna.encode(host, uts46=True).decode("ascii").rstrip(".")
    except UnicodeError:
        return ""
