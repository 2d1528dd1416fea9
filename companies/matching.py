"""Which companies of HubSpot match: the rule, and what came of it by domain. Decisions only."""

from __future__ import annotations

import math
from typing import NamedTuple, Sequence

from core.domains import named_domains, normalise_domain
from hubspot_api.shapes import Company


class Criteria(NamedTuple):
    """A company matches with one of the platforms (HubSpot's internal values, upper and lower case
    differ) and an Alexa rank under `alexa_below`."""

    platforms: tuple[str, ...]
    alexa_below: int

    def mismatch(self, company: Company) -> str | None:
        """Why a company does not match, as words that follow "because"; None when it does."""
        reasons = [self._platform_mismatch(company.platform), self._alexa_mismatch(company.alexa)]
        return " and ".join(filter(None, reasons)) or None

    def _platform_mismatch(self, platform: str | None) -> str | None:
        if not platform:
            return "it has no e-commerce platform"
        if set(self.platforms).isdisjoint(platform.split(";")):  # a;b: a company with several
            return f"its platform is now {platform}"
        return None

    def _alexa_mismatch(self, alexa: str | None) -> str | None:
        if not alexa:
            return "it has no Alexa rank"
        try:
            rank = float(alexa)
        except ValueError:
            rank = math.nan
        if not math.isfinite(rank):
            return f"its Alexa rank is not a number: {alexa}"
        return f"its Alexa rank is now {rank:,.0f}" if rank >= self.alexa_below else None


class Change(NamedTuple):
    """A company to add or to remove, and what came of it.

    `company`, `hubspot_id`: name and id, if HubSpot has one for the domain; `reason`: of a removal,
    words that follow "because"; `moved_to`: the domain that this company, which matches, has now;
    `error`: why it did not come to what was planned.
    """

    domain: str
    company: str | None
    hubspot_id: int | None
    reason: str | None = None
    moved_to: str | None = None
    status: str = "planned"
    error: str | None = None


class Skipped(NamedTuple):
    """Something that cannot be compared; `hubspot_id` is None for what a destination lists."""

    hubspot_id: int | None
    company: str | None
    reason: str

    @property
    def key(self) -> str:
        return f"skipped {self.hubspot_id or self.reason}"


class Matching:
    """The companies that a destination should list, by domain, gathered in any order.

    `companies`: domain -> what would add it; `shared`: those that another one with the same domain
    stands for; `total`: how many match; `missing`: how many more HubSpot counts than it shows.
    """

    def __init__(self, criteria: Criteria) -> None:
        self.criteria = criteria
        self.total = 0
        self.missing = 0
        self.companies: dict[str, Change] = {}
        self.shared: list[Change] = []
        self.skipped: list[Skipped] = []
        self._additional: dict[str, tuple[str, ...]] = {}  # additional domain -> matching domains
        self._unusable: dict[str, str] = {}  # domain -> the text that names it and is none

    def add(self, company: Company) -> None:
        """Count a company in if its values, which are newer than the search index, match."""
        if self.criteria.mismatch(company):
            return
        self.total += 1
        domain = normalise_domain(company.domain)
        if domain is None:
            self.skipped.append(Skipped(company.id, company.name, _no_domain(company.domain)))
            for name in named_domains(company.domain):
                self._unusable[name] = company.domain or ""
            return
        entry = Change(domain, company.name, company.id)
        known = self.companies.setdefault(domain, entry)
        if known is not entry:  # of several with one domain, the oldest stands for all
            pair = (known, entry)
            oldest, other = sorted(pair, key=lambda each: each.hubspot_id or 0)
            self.companies[domain] = oldest
            self.shared.append(other)
        if company.additional_domains:
            for name in named_domains(company.additional_domains):
                self._additional[name] = (*self._additional.get(name, ()), domain)

    def domains_of(self, name: str) -> Sequence[str]:
        """The matching domains that a listed name stands for: itself, or those of the companies
        that have it as an additional one."""
        return (name,) if name in self.companies else self._additional.get(name, ())

    def all_domains(self) -> set[str]:
        """Of all companies, the additional ones as well."""
        return {*self.companies, *self._additional}

    def unusable_field(self, name: str) -> str | None:
        """What a matching company has in its domain field that is no domain, but names this one."""
        return self._unusable.get(name)


def _no_domain(text: str | None) -> str:
    if not text or not text.strip():
        return "the company has no domain in HubSpot"
    return f"its domain in HubSpot, {text!r}, is not a usable domain"
