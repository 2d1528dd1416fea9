"""Made-up records, deterministic and messy on purpose: what years of typing leave in a CRM.

Every domain ends in .example (https://www.rfc-editor.org/rfc/rfc6761), the one address is of
https://www.rfc-editor.org/rfc/rfc5737.
"""

from __future__ import annotations

import random
from typing import Any

from .hubspot import HubSpot
from .mailerlite import MailerLite
from .predictleads import PredictLeads
from .server import Sandbox

SPELLINGS = (
    "{}",
    "{}",
    "{}",
    "www.{}",
    "https://{}/",
    "{}",
    "http://www.{}/de/shop?ref=1#top",
    "  {} ",
    "{}.",
    "{}:443",
    "{}",
    "https://user:word@{}/",
    "WWW.{}",
)
UNUSABLE = ("n/a", "", None, "owner@{}", "192.0.2.10")
UNUSABLE_EVERY, TWIN_EVERY, UMLAUT_EVERY = 15, 20, 17
REASONS_TO_SKIP = (
    {"hs_email_optout": "true"},
    {"hs_email_hard_bounce_reason_enum": "UNKNOWN_USER"},
    {"hs_email_quarantined": "true"},
    {"hs_email_bad_address": "true"},
)
CITIES = ("Springfield", "Musterstadt", "Anytown")


def shop_domain(number: int) -> str:
    """The domain of a made-up shop, in ASCII."""
    if number % TWIN_EVERY == TWIN_EVERY - 1:
        return shop_domain(number - 1)  # two companies, one domain
    name = shop_name(number).lower().replace(" ", "-")
    return f"{name}.example".encode("idna").decode()


def shop_name(number: int) -> str:
    if number % TWIN_EVERY == TWIN_EVERY - 1:
        return f"{shop_name(number - 1)} Outlet"
    return f"{'Münz und Mütze' if number % UMLAUT_EVERY == 5 else 'Sample Shop'} {number:05d}"


def is_usable(number: int) -> bool:
    """Whether the company's domain property holds the domain, however it is spelled."""
    return number % UNUSABLE_EVERY != UNUSABLE_EVERY - 1


def _typed_domain(number: int) -> str | None:
    domain = shop_domain(number)
    if not is_usable(number):
        pattern = UNUSABLE[number // UNUSABLE_EVERY % len(UNUSABLE)]
        return pattern if pattern is None else pattern.format(domain)
    typed = SPELLINGS[number % len(SPELLINGS)].format(domain.encode().decode("idna"))
    return typed.upper() if number % 9 == 4 else typed


def _criteria(number: int, matches: bool, rng: random.Random) -> dict[str, str | None]:
    platform = rng.choice(("shopify", "magento_2"))
    good, poor = str(rng.randrange(1, 1_000_000)), str(rng.randrange(1_000_000, 9_000_000))
    if matches:
        return {"ecommerce_platform": platform, "alexa": "999999" if number % 50 == 1 else good}
    kinds: list[dict[str, str | None]] = [
        {"ecommerce_platform": "woocommerce", "alexa": good},
        {"ecommerce_platform": platform, "alexa": poor},
        {"ecommerce_platform": platform, "alexa": None},
        {"ecommerce_platform": None, "alexa": good},
        {"ecommerce_platform": platform, "alexa": "1000000"},
    ]
    return kinds[number % len(kinds)]


def sample_companies(matching: int, others: int, seed: int = 7) -> list[dict[str, Any]]:
    """Companies with ids that grow from three digits to eleven, those that match mixed in.

    The first `matching` shop numbers match (shopify or magento_2, alexa below a million).
    """
    rng = random.Random(seed)
    numbers = list(range(matching + others))
    rng.shuffle(numbers)
    companies: list[dict[str, Any]] = []
    key = 900
    for place, number in enumerate(numbers):
        key += rng.randrange(1, 9) + (20_000_000_000 if place == len(numbers) // 2 else 0)
        known = {"id": key, "name": shop_name(number), "domain": _typed_domain(number)}
        companies.append({**known, **_criteria(number, number < matching, rng)})
    return companies


def sample_followings(matching: int, still: int, gone: int) -> dict[str, str | None]:
    """Followed domains: `still` of companies that match, `gone` of companies that do not.

    Most carry the CRM's domain as identifier, some were followed by hand and carry none, and
    the third is listed under another domain since its shop changed its name.
    """
    shops = [n for n in range(matching) if is_usable(n) and n % TWIN_EVERY != TWIN_EVERY - 1]
    followings: dict[str, str | None] = {}
    for place, number in enumerate(shops[:still]):
        domain = shop_domain(number)
        if place == 2:
            followings[renamed(domain)] = domain
        else:
            followings[domain] = None if place % 7 == 6 else domain
    for number in range(matching, matching + gone):
        followings[f"former-shop-{number:05d}.example"] = f"former-shop-{number:05d}.example"
    return followings


def renamed(domain: str) -> str:
    """The domain that a shop moved to."""
    return f"renamed-{domain}"


def _typed_email(number: int) -> str | None:
    if number % 23 == 22:
        return None
    if number % 23 == 11:
        return f"test.person.{number:05d}@mail"  # no top-level domain
    person = number - 1 if number % 29 == 28 else number  # the same address twice
    email = f"test.person.{person:05d}@mail.example"
    return {3: email.upper(), 8: f" {email} "}.get(number % 11, email)


def sample_contacts(n: int, seed: int = 7) -> list[dict[str, Any]]:
    """Contacts: some opted out, bounced, quarantined, there twice, or with no usable address."""
    rng = random.Random(seed)
    contacts: list[dict[str, Any]] = []
    for number in range(n):
        contact: dict[str, Any] = {
            "id": 501 + 3 * number,
            "email": _typed_email(number),
            "firstname": "Test",
            "lastname": f"Person {number:05d}",
            "city": f" {CITIES[number % len(CITIES)]}" if number % 4 == 1 else None,
            "lifetime_value": f"{rng.randrange(0, 200_000) / 100:.2f}" if number % 5 else None,
            "last_order": f"2026-{rng.randrange(1, 10):02d}-{rng.randrange(1, 29):02d}",
        }
        if number % 12 == 7:
            contact.update(REASONS_TO_SKIP[number // 12 % len(REASONS_TO_SKIP)])
        contacts.append(contact)
    return contacts


def sample_subscribers(n: int, strangers: int = 5) -> list[dict[str, Any]]:
    """Subscribers: the first `n` sample contacts, a few unsubscribed, and people HubSpot lacks."""
    statuses = {4: "unsubscribed", 9: "bounced", 13: "unconfirmed"}
    people: list[dict[str, Any]] = []
    for number in range(n):
        email = f"test.person.{number:05d}@mail.example"
        fields = {"name": "Test", "last_name": f"Person {number:05d}"}
        people.append({"email": email, "status": statuses.get(number % 15, "active")})
        people[-1]["fields"] = fields
    return people + [{"email": f"stranger.{n:05d}@mail.example"} for n in range(strangers)]


def sample_sandbox(size: int = 60, **options: Any) -> Sandbox:
    """A sandbox with `size` matching companies, two thirds of them followed.

    Besides: three times as many other companies, as many contacts as matching companies, half
    of them subscribers. `options` are those of Sandbox.
    """
    gone = size // 12
    followings = sample_followings(size, size * 2 // 3 - gone, gone)
    companies = sample_companies(size, size * 3) + _former(size, gone)
    moves = {own: domain for domain, own in followings.items() if own and own != domain}
    return Sandbox(
        HubSpot(companies, sample_contacts(size)),
        PredictLeads(followings, redirects=moves, credits_used=120),
        MailerLite(sample_subscribers(size // 2)),
        **options,
    )


def _former(size: int, gone: int) -> list[dict[str, Any]]:
    """The companies of the followed domains that do not match any more."""
    rng = random.Random(size)
    return [
        {
            "id": 30_000_000 + number,
            "name": f"Former Shop {number:05d}",
            "domain": f"former-shop-{number:05d}.example",
            **_criteria(number, False, rng),
        }
        for number in range(size, size + gone)
    ]
