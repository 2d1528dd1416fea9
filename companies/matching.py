"""Which companies of HubSpot match, and which names they have. Decisions only."""

from __future__ import annotations

from typing import AbstractSet, Iterable, Mapping, NamedTuple, Sequence

from core.addresses import named_domains, normalise_domain, shared_host
from core.conditions import Condition, Property
from hubspot_api.shapes import Company


class Criteria(NamedTuple):
    """A company matches for which all conditions hold, each with the definition of its property,
    and that is in the list, if there is one. `members`: the ids of all that are, once read."""

    conditions: Sequence[tuple[Condition, Property]] = ()
    list_name: str = ""
    members: AbstractSet[int] = frozenset()

    def mismatch(self, company: Company) -> str | None:
        """Why a company does not match, as words that follow "because"; None when it does."""
        reasons = [each.mismatch(company.values[each.property], of) for each, of in self.conditions]
        if not self._has_member(company):
            reasons.insert(0, f"it is not in the list {self.list_name} in HubSpot")
        return "; ".join(filter(None, reasons)) or None

    def _has_member(self, company: Company) -> bool:
        return not self.list_name or company.id in self.members

    def is_unreadable(self, company: Company) -> bool:
        """Whether nobody can tell if it matches: only values that cannot be read speak against."""
        return self._has_member(company) and all(
            each.holds(text, of) or each.is_unreadable(text, of)
            for each, of in self.conditions
            for text in [company.values[each.property]]
        )

    def describe(self) -> str:
        in_list = [f"in the list {self.list_name}"] if self.list_name else []
        rule = (f"{of.label} is {each.describe(of)}" for each, of in self.conditions)
        return ", ".join([*in_list, *rule])


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
    stands for; `additional`: additional domain -> the companies that have it; `unusable`: domain ->
    the text of a domain field that names it and is none; `total`: how many match; `missing`: how
    many more HubSpot counts than it shows.
    """

    def __init__(self, criteria: Criteria) -> None:
        self.criteria = criteria
        self.total = 0
        self.missing = 0
        self.companies: dict[str, Change] = {}
        self.shared: list[Change] = []
        self.skipped: list[Skipped] = []
        self.additional: dict[str, tuple[str, ...]] = {}
        self.unusable: dict[str, str] = {}

    def add(self, company: Company) -> None:
        """Count a company in if its values, which are newer than the search index, match."""
        mismatch = self.criteria.mismatch(company)
        if mismatch and self.criteria.is_unreadable(company):
            self.skipped.append(Skipped(company.id, company.name, mismatch))
        if mismatch:
            return
        self.total += 1
        domain = normalise_domain(company.domain)
        if domain is None or shared_host(company.domain):
            self.skipped.append(Skipped(company.id, company.name, _no_domain(company.domain)))
            for name in named_domains(company.domain):
                self.unusable[name] = company.domain or ""
            return
        entry = Change(domain, company.name, company.id)
        known = self.companies.setdefault(domain, entry)
        if known is not entry:  # of several with one domain, the oldest stands for all
            pair = (known, entry)
            oldest, other = sorted(pair, key=lambda each: each.hubspot_id or 0)
            self.companies[domain] = oldest
            self.shared.append(other)
        if company.additional_domains:
            for text in company.additional_domains.split(";"):
                for name in () if shared_host(text) else named_domains(text):
                    self.additional[name] = (*self.additional.get(name, ()), domain)

    def domains_of(self, name: str) -> Sequence[str]:
        """The matching domains that a listed name stands for: itself, or those of the companies
        that have it as an additional one."""
        return (name,) if name in self.companies else self.additional.get(name, ())


def _no_domain(text: str | None) -> str:
    if not text or not text.strip():
        return "the company has no domain in HubSpot"
    if len(named_domains(text)) > 1:
        return f"{text!r} in HubSpot names several domains"
    if host := shared_host(text):
        return f"{host} is shared by many companies"
    return f"{text!r} in HubSpot is not a domain"


class HubSpotLookup:
    """`records`: domain -> the id of the company that it stood for in an earlier run."""

    def __init__(self, companies: Iterable[Company], records: Mapping[str, int]) -> None:
        self._records = records
        self.by_id = {company.id: company for company in companies}
        self._naming: dict[str, list[Company]] = {}
        for company in sorted(self.by_id.values()):
            for name in domains_of(company):
                self._naming.setdefault(name, []).append(company)
        self._merged_into = {
            merged: company for company in self.by_id.values() for merged in _merged_ids(company)
        }

    def naming(self, names: Sequence[str]) -> list[Company]:
        """The companies that name one of these domains: as their own before others, then by id."""
        found = {each.id: each for name in names for each in self._naming.get(name, ())}
        return sorted(
            found.values(), key=lambda each: (normalise_domain(each.domain) not in names, each.id)
        )

    def all_names(self, names: Sequence[str]) -> set[str]:
        """Every domain of the companies that name one of these, or stood for one in an earlier
        run."""
        company = self.remembered(names)[1]
        found = [*self.naming(names), *([company] if company else ())]
        return {domain for each in found for domain in domains_of(each)}

    def remembered(self, names: Sequence[str]) -> tuple[bool, Company | None, bool]:
        """Whether one of the names stood for a company; that company, if it is not gone; and
        whether it was merged into this one."""
        ids = [self._records[name] for name in names if name in self._records]
        for found, is_merged in ((self.by_id, False), (self._merged_into, True)):
            if there := [found[company_id] for company_id in ids if company_id in found]:
                return True, there[0], is_merged
        return bool(ids), None, False

    def unexplained(self) -> dict[str, int]:
        """Those of the records that are gone, while no company names the domain."""
        return {
            domain: company_id
            for domain, company_id in self._records.items()
            if company_id not in self.by_id
            and company_id not in self._merged_into
            and domain not in self._naming
        }


def domains_of(company: Company) -> frozenset[str]:
    """Every domain that a company has, or seems to have."""
    domain = normalise_domain(company.domain)
    own = frozenset([domain]) if domain else named_domains(company.domain)
    return own | named_domains(company.additional_domains)


def _merged_ids(company: Company) -> list[int]:
    """The ids of the companies that this one was made of."""
    ids = (company.merged_ids or "").split(";")
    return [int(number) for each in ids if (number := each.strip()).isdecimal()]
