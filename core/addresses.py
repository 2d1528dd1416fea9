"""How domains and e-mail addresses are read, compared and shown: alike for what users type and what
the services hold."""

from __future__ import annotations

import functools
import re
import unicodedata

import idna
from publicsuffixlist import PublicSuffixList

MAX_DOMAIN = 253  # characters, without the trailing dot: RFC 1035

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
# What parts the domains that a text may name.
_BETWEEN = re.compile(r"[\s,;|@/?#:()<>\[\]\"'\uff0c\u3001\uff1b]+")
# What parts two addresses in one field, where a comma may also belong to a path.
_SEVERAL = re.compile(r"[\s|\uff0c\u3001\uff1b]+|[,;](?=\s|https?:)|(?<=/)[,;]")
# A domain with punycode, and not a part of a path.
_PUNYCODE = re.compile(r"(?<![\w./\\-])(?:[a-z0-9-]+\.)*xn--[a-z0-9-]+(?:\.[a-z0-9-]+)+")

MAX_LOCAL, MAX_EMAIL = 64, 254  # characters: RFC 5321, 4.5.3.1

_ATOM = r"[^\s@<>()\[\]:;,\\\".]+"  # without the signs that only a quoted name may have
_EMAIL = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@([^\s@/?#:]*[^\s@/?#:.])")
# What no address holds: signs from the list above, and what a field of several is parted by.
_BETWEEN_EMAILS = re.compile(r"[\s<>()\[\]:;,\\\"|\uff0c\u3001\uff1b]+")
# The local part of an address in a text. It is looked for from its first sign on alone: a search
# that began at each sign anew would take for ever over a long text without an "@".
_LOCAL = r"\s@\"'`<>()\[\]{},;:="
_NAME_IN_TEXT = re.compile(rf"(?<![^{_LOCAL}])[^{_LOCAL}]+@(?=[^\s@]+\.)")

# Where no company has its site: the largest of the free mail services that HubSpot lists on
# https://knowledge.hubspot.com/forms/what-domains-are-blocked-when-using-the-forms-email-domains-to-block-feature
# and the back offices of shop systems.
_FOR_ALL = {
    *("gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "hotmail.co.uk", "hotmail.de"),
    *("hotmail.fr", "live.com", "msn.com", "yahoo.com", "yahoo.co.uk", "yahoo.de", "yahoo.fr"),
    *("ymail.com", "aol.com", "icloud.com", "me.com", "mac.com", "gmx.com", "gmx.de", "gmx.net"),
    *("web.de", "t-online.de", "freenet.de", "mail.com", "mail.ru", "yandex.com", "yandex.ru"),
    *("proton.me", "protonmail.com", "qq.com", "163.com", "126.com", "laposte.net", "libero.it"),
    *("admin.shopify.com", "manage.wix.com", "my.ecwid.com"),
}
# Where many companies have a page: the networks that HubSpot can publish to, see
# https://knowledge.hubspot.com/social/connect-your-social-media-accounts-to-hubspot,
# those like them, and marketplaces. Without a path it may be the site of the network itself.
_WITH_PAGES = (
    *("facebook.com", "fb.com", "instagram.com", "linkedin.com", "pinterest.com", "tiktok.com"),
    *("twitter.com", "x.com", "xing.com", "youtube.com", "linktr.ee", "amazon.com", "ebay.com"),
    *("etsy.com", "google.com"),
)
_PAGE_PATH = re.compile(r"[^/:]/+[^/?#\s]")


def normalise_domain(text: str | None) -> str | None:
    """The bare, lower-case, punycode host of a domain or address; None when there is none.

    >>> normalise_domain(" HTTPS://user@WWW.Shop.Example.:443/path?q=1 ")
    'shop.example'
    >>> normalise_domain("info@shop.example") is None  # an e-mail address, not a company's site
    True
    """
    if text and len(text) <= MAX_DOMAIN and _BARE.fullmatch(text):
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
    if len(host) > MAX_DOMAIN:
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
        if "." in host and len(host) <= MAX_DOMAIN:
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


def normalise_email(text: str | None) -> str | None:
    """The address as the services compare it, trimmed and in lower case; None when it is none.

    >>> normalise_email(" First.Last@Shop.Example ")
    'first.last@shop.example'
    >>> normalise_email("Jo <jo@shop.example>") is None
    True
    """
    address = (text or "").strip().lower()
    found = _EMAIL.fullmatch(address) if len(address) <= MAX_EMAIL else None
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
    words = _BETWEEN_EMAILS.split(without_marks(text).lower())
    found = filter(None, (_EMAIL.match(word.strip("'")) for word in words))
    return [canonical(each) for each in filter(None, (normalise_email(m[0]) for m in found))]


def spellings(address: str) -> tuple[str, ...]:
    """The canonical address and, when its domain is in punycode, the one that people write."""
    name, _, domain = address.rpartition("@")
    return tuple(dict.fromkeys((address, f"{name}@{display_domain(domain)}")))


def masked(text: str) -> str:
    """Foreign text with `***@shop.example` for jo@shop.example."""
    return _NAME_IN_TEXT.sub("***@", text)


def shared_host(text: str | None) -> str | None:
    """The host of a domain or address if it is that of many companies: a public suffix, where
    everybody may have a domain (https://publicsuffix.org), or one of the lists above.

    >>> shared_host("https://de.linkedin.com/company/shop"), shared_host("linkedin.com")
    ('linkedin.com', None)
    >>> shared_host("myshopify.com"), shared_host("shop.myshopify.com")
    ('myshopify.com', None)
    """
    domain = normalise_domain(text)
    if not text or not domain:
        return None
    if domain in _FOR_ALL or _suffixes().is_public(domain):
        return domain
    if _PAGE_PATH.search(text):
        return next((each for each in _WITH_PAGES if f".{domain}".endswith(f".{each}")), None)
    return None


@functools.lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    """Read when it is needed: that takes 50 ms."""
    return PublicSuffixList()
