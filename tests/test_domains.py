from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.addresses import display_domain, display_domains, normalise_domain, shared_host

SAME_SHOP = [
    "shop.example",
    "Shop.EXAMPLE",
    "  shop.example\t\n",
    "\u200bshop.example\ufeff",
    "www.shop.example",
    "WWW.www.shop.example",
    "https://shop.example",
    "HTTP://user:secret@www.shop.example:8443/path/?q=1#top",
    "//shop.example/path",
    "https://info@shop.example",
    "shop.example:80",
    "shop.example/",
    "shop.example?utm_source=x",
    "shop.example#top",
    "shop.example.",
    "shop。example",
]
NO_DOMAIN = [
    None,
    "",
    "   ",
    "n/a",
    "N.A.",
    "-",
    "localhost",
    "info@shop.example",
    "info@shop.example:80/path",
    "mailto:info@shop.example",
    "192.168.0.1",
    "http://192.168.0.1/shop",
    "http://[2001:db8::1]/",
    "1.2",
    "shop..example",
    ".shop.example",
    "-shop.example",
    "shop-.example",
    "shop_1.example",
    "my shop.example",
    "shop.example, other.example",
    "shop.example\x1b[31m",
    "☕.example",
    "\ud800.example",
    "x" * 64 + ".example",
    "xy." * 84 + "example",
    "ü" * 60 + ".example",
]


@pytest.mark.parametrize("text", SAME_SHOP)
def test_spellings_of_one_domain(text: str) -> None:
    assert normalise_domain(text) == "shop.example"


@pytest.mark.parametrize("text", NO_DOMAIN)
def test_what_is_no_domain(text: str) -> None:
    assert normalise_domain(text) is None


def test_www_stays_where_it_is_the_name() -> None:
    assert normalise_domain("www.example") == "www.example"


def test_international_names_become_punycode() -> None:
    assert normalise_domain("https://www.MÜNZE.example/") == "xn--mnze-0ra.example"
    assert normalise_domain("xn--mnze-0ra.example") == "xn--mnze-0ra.example"
    assert display_domain("xn--mnze-0ra.example") == "münze.example"


def test_punycode_that_stands_for_nothing_is_shown_as_it_is() -> None:
    assert display_domain("xn--0.example") == "xn--0.example"
    assert display_domain("shop.example") == "shop.example"


@pytest.mark.no_cover
@given(st.text(max_size=60) | st.from_regex(r"(https?://)?(www\.)*[a-zü]+\.[a-z]{2,5}[/:.?]*"))
def test_a_normalised_domain_stays_as_it_is(text: str) -> None:
    domain = normalise_domain(text)
    if domain is not None:
        assert normalise_domain(domain) == domain
        assert domain.isascii()
        assert domain == domain.lower()
        assert normalise_domain(f"https://www.{domain}./") == domain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("It is now www.xn--mnze-0ra.example.", "It is now www.münze.example."),
        ("xn--mnze-0ra.example, xn--0.example", "münze.example, xn--0.example"),
        ("'xn--mnze-0ra.xn--p1ai'", "'münze.рф'"),
        ("To: /srv/xn--mnze-0ra.example/run.html", "To: /srv/xn--mnze-0ra.example/run.html"),
        ("a.xn--mnze-0ra", "a.xn--mnze-0ra"),
    ],
)
def test_domains_within_a_text(text: str, shown: str) -> None:
    assert display_domains(text) == shown


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("https://www.linkedin.com/company/x", "linkedin.com"),
        ("DE.LinkedIn.com/company/x/", "linkedin.com"),
        ("m.facebook.com//x", "facebook.com"),
        ("https://www.linkedin.com/?trk=x", None),
        ("linkedin.com/", None),
        ("notlinkedin.com/company/x", None),
        ("admin.shopify.com/store/x", "admin.shopify.com"),
        ("admin.shopify.com", "admin.shopify.com"),
        ("Gmail.com", "gmail.com"),
        ("co.uk", "co.uk"),
        ("www.myshopify.com", "myshopify.com"),
        ("acme.myshopify.com/admin", None),
        ("shop.co.uk/a", None),
        ("shop.example", None),
        ("info@gmail.com", None),
        ("", None),
        (None, None),
    ],
)
def test_hosts_that_many_companies_share(text: str | None, host: str | None) -> None:
    assert shared_host(text) == host
