"""Hosts of many companies: an address there does not show whose site it is."""

from __future__ import annotations

import functools
import re

from publicsuffixlist import PublicSuffixList

from core.domains import normalise_domain

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
_PATH = re.compile(r"[^/:]/+[^/?#\s]")


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
    if _PATH.search(text):
        return next((each for each in _WITH_PAGES if f".{domain}".endswith(f".{each}")), None)
    return None


@functools.lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    """Read when it is needed: that takes 50 ms."""
    return PublicSuffixList()
