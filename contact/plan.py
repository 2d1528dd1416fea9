"""Who is to be in HubSpot, and how what it holds is judged: no input or output here."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Iterable, NamedTuple, Sequence

from core.domains import named_domains, normalise_domain
from core.emails import MAX_LOCAL

if TYPE_CHECKING:  # a decision needs no client to be loaded
    from hubspot_api.shapes import Company

# Reserved for examples (RFC 2606). HubSpot takes no address that ends in .example or .test, because
# these are not in use: https://legacydocs.hubspot.com/docs/faq/how-does-hubspot-validate-email-addresses
MADE_UP_DOMAIN = "example.com"

# Nobody's names, and they look like it.
FIRST_NAME, LAST_NAME = "Test", "Person"
COMPANY_NAME = "Coding Challenge Company GmbH"
COMPANY_DOMAIN = "coding-challenge-company.com"


class NewContact(NamedTuple):
    """One person and the company to associate them with; only the names of the person may be
    empty. `email` is in lower case, `company_domain` is bare."""

    email: str
    first_name: str
    last_name: str
    company_name: str
    company_domain: str

    @property
    def person(self) -> str:
        return one_line(f"{self.first_name} {self.last_name}") or "(no name)"


def parse_company_domain(text: str) -> str:
    """The bare domain; raises ValueError with the words that follow "must be"."""
    domain = normalise_domain(text)
    if domain is None:
        raise ValueError("a domain such as shop.example")
    return domain


def parse_company_name(text: str) -> str:
    """On one line; raises ValueError like `parse_company_domain`."""
    name = one_line(text)
    if not name:
        raise ValueError("a name")
    return name


def one_line(text: str) -> str:
    return " ".join(text.split())


def made_up(first_name: str, last_name: str) -> NewContact:
    """The person and the company of a call that names neither; `first_name` and `last_name` from
    the settings count if they are set."""
    first, last = one_line(first_name) or FIRST_NAME, one_line(last_name) or LAST_NAME
    return NewContact(made_up_email(first, last), first, last, COMPANY_NAME, COMPANY_DOMAIN)


def made_up_email(first_name: str, last_name: str) -> str:
    """An address that reaches nobody, always the same for the same names.

    >>> made_up_email("Zoë", "Groß Müller")
    'zoe.gross-muller@example.com'
    """
    words = filter(None, (_ascii_word(first_name), _ascii_word(last_name)))
    local = ".".join(words)[:MAX_LOCAL].strip(".-")
    return f"{local or 'someone'}@{MADE_UP_DOMAIN}"


def _ascii_word(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    return "-".join(re.findall("[a-z0-9]+", plain))


def with_domain(companies: Iterable[Company], domain: str) -> list[Company]:
    """Those that have this bare domain in whatever spelling, each once: first those whose own it
    is, then those that have it besides another one; the lowest id first."""
    by_id = {each.id: each for each in companies if domain in _domains(each)}
    return sorted(
        by_id.values(), key=lambda each: (normalise_domain(each.domain) != domain, each.id)
    )


def _domains(company: Company) -> frozenset[str]:
    return named_domains(company.domain) | named_domains(company.additional_domains)


def warning_of_others(others: Sequence[str], contact_is_new: bool) -> str:
    """What to say when the contact has `others`, companies that this run neither made nor found.

    No API tells the setting, but a contact that was made a moment ago has them from nobody else:
    https://knowledge.hubspot.com/articles/kcs_article/contacts/automatically-create-and-associate-companies-with-contacts
    """
    setting = 'HubSpot\'s setting "Create and associate companies with contacts" is on'
    reason = setting if contact_is_new else f"unless that was done on purpose, {setting}"
    return (
        f"The contact is also associated with {' and '.join(others)}: {reason}. See HubSpot >"
        " Settings > Data Management > Objects > Companies. Nothing has been changed about it."
    )
