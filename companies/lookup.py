"""What HubSpot holds now of companies that may be removed elsewhere, by the domains they name."""

from __future__ import annotations

from typing import Iterable, Mapping, Sequence

from core.domains import named_domains, normalise_domain
from hubspot_api.shapes import Company


class HubSpotLookup:
    """`records`: domain -> the id of the company that it stood for in an earlier run."""

    def __init__(self, companies: Iterable[Company], records: Mapping[str, int]) -> None:
        self._records = records
        self._by_id = {company.id: company for company in companies}
        self._naming: dict[str, list[Company]] = {}
        for company in sorted(self._by_id.values()):
            for name in domains_of(company):
                self._naming.setdefault(name, []).append(company)
        self._merged_into = {
            merged: company for company in self._by_id.values() for merged in _merged_ids(company)
        }

    def companies(self) -> list[Company]:
        return list(self._by_id.values())

    def naming(self, names: Sequence[str]) -> list[Company]:
        """The companies that name one of these domains: as their own before others, then by id."""
        found = {each.id: each for name in names for each in self._naming.get(name, ())}
        if len(found) < 2:
            return list(found.values())
        return sorted(
            found.values(), key=lambda each: (normalise_domain(each.domain) not in names, each.id)
        )

    def is_remembered(self, names: Sequence[str]) -> bool:
        return any(name in self._records for name in names)

    def remembered(self, names: Sequence[str]) -> tuple[Company | None, bool]:
        """The company that one of the names stood for; or the one that it was merged into, and
        True. None when it is gone."""
        ids = [self._records[name] for name in names if name in self._records]
        for found, is_merged in ((self._by_id, False), (self._merged_into, True)):
            for company_id in ids:
                if company_id in found:
                    return found[company_id], is_merged
        return None, False

    def unexplained(self) -> dict[str, int]:
        """Those of the records that are gone, while no company names the domain."""
        return {
            domain: company_id
            for domain, company_id in self._records.items()
            if company_id not in self._by_id
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
