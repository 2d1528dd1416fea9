"""Who is to be in HubSpot, and what is left to do for that: pure rules."""

from __future__ import annotations

import re
import unicodedata
from typing import Iterable, NamedTuple, Sequence

from core.addresses import MAX_LOCAL, named_domains, normalise_domain
from core.words import clip
from hubspot_api.shapes import Company, Contact

# Reserved for examples (RFC 2606). HubSpot takes no address that ends in .example or .test, because
# these are not in use: https://legacydocs.hubspot.com/docs/faq/how-does-hubspot-validate-email-addresses
MADE_UP_DOMAIN = "example.com"

# Nobody's names, and they look like it.
FIRST_NAME, LAST_NAME = "Test", "Person"
COMPANY_NAME = "Coding Challenge Company GmbH"
COMPANY_DOMAIN = "coding-challenge-company.com"

NAME_WIDTH = 70  # characters of a name from HubSpot that are shown


class NewContact(NamedTuple):
    """One person and the company to associate them with; only the names of the person may be
    empty. `email` is in lower case, `company_domain` is bare."""

    email: str
    first_name: str
    last_name: str
    company_name: str
    company_domain: str


class Step(NamedTuple):
    """`step`: company, contact or association; `status`: found, planned, created or associated;
    `name`: of what it is about; `id`: of its record, with an association that of the contact."""

    step: str
    status: str
    name: str
    id: int | None = None


class Plan(NamedTuple):
    """What is found or planned. The company comes first: else HubSpot might make one by itself for
    the new contact. `twins`: the ids of more companies with the domain; `linked`: those of all
    companies that the contact has; `warnings`: why the company may be the wrong one."""

    company: Step
    contact: Step
    twins: Sequence[int]
    linked: Sequence[int]
    warnings: Sequence[str]


def make_plan(
    wanted: NewContact,
    companies: Sequence[Company],
    contact: Contact | None,
    linked: Sequence[int],
) -> Plan:
    """`companies`: those with the domain, the best one first."""
    domain, warnings = wanted.company_domain, []
    company_step = Step("company", "planned", f"{wanted.company_name}, {domain}")
    twins = [each.id for each in companies[1:]]
    if companies:
        name = one_line(companies[0].name or "")
        company_step = Step("company", "found", f"{shown(name)}, {domain}", companies[0].id)
        if name and name.casefold() != wanted.company_name.casefold():
            warnings.append(
                f"The company with the domain {domain} is called {shown(name)} in HubSpot, not"
                f" {wanted.company_name}. If it is another company, correct --company-domain."
            )
    if twins:
        ids = ", ".join(map(str, twins))
        warnings.append(f"HubSpot has other companies with the domain {domain}: {ids}.")
    person = one_line(f"{wanted.first_name} {wanted.last_name}") or "(no name)"
    contact_step = Step("contact", "planned", f"{person}, {wanted.email}")
    if contact:
        names = filter(None, (contact.values["firstname"], contact.values["lastname"]))
        name = f"{shown(' '.join(names))}, {wanted.email}"
        contact_step = Step("contact", "found", name, contact.id)
    return Plan(company_step, contact_step, twins, linked, warnings)


def made_up_email(first_name: str, last_name: str) -> str:
    """An address that reaches nobody, always the same for the same names."""

    def ascii_word(name: str) -> str:
        plain = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
        return "-".join(re.findall("[a-z0-9]+", plain))

    words = filter(None, map(ascii_word, (first_name, last_name)))
    local = ".".join(words)[:MAX_LOCAL].strip(".-")
    return f"{local or 'someone'}@{MADE_UP_DOMAIN}"


def with_domain(companies: Iterable[Company], domain: str) -> list[Company]:
    """Those that have this bare domain in whatever spelling, each once: first those whose own it
    is, then those that have it besides another one; the lowest id first."""

    def has_it(company: Company) -> bool:
        return domain in named_domains(company.domain) | named_domains(company.additional_domains)

    found = {each.id: each for each in companies if has_it(each)}.values()
    return sorted(found, key=lambda each: (normalise_domain(each.domain) != domain, each.id))


def shown(name: str | None) -> str:
    """A name from HubSpot, fit for a line."""
    return clip(one_line(name or "") or "(no name)", NAME_WIDTH)


def one_line(text: str) -> str:
    return " ".join(text.split())
