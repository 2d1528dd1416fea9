"""What HubSpot holds of companies that may be removed elsewhere, by the domains that they name."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Iterable,
    Mapping,
    Sequence,
)

from core.domains import named_domains, normalise_domain

if TYPE_CHECKING:
    from hubspot_api.shapes import Company


class Evidence:
    """`records`: domain -> the id of the company that it once came from."""

    def __init__(self, companies: Iterable[Company], records: Mapping[str, int]) -> None:
        self._records = records
        self._by_id = {company.id: company for company in companies}
        self._naming: dict[str, list[Company]] = {}
        for company in sorted(self._by_id.values()):
            for name in names_of(company):
                self._naming.setdefault(name, []).append(company)
        self._heirs = {
            merged: company for company in self._by_id.values() for merged in merged_into(company)
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

    def had_record(self, names: Sequence[str]) -> bool:
        return any(name in self._records for name in names)

    def record(self, names: Sequence[str]) -> tuple[Company | None, bool]:
        """The company that one of the names came from, or the one that this was merged into (True);
        None when it is gone."""
        ids = [self._records[name] for name in names if name in self._records]
        for company_id in ids:
            if company_id in self._by_id:
                return self._by_id[company_id], False
        for company_id in ids:
            if company_id in self._heirs:
                return self._heirs[company_id], True
        return None, False


def names_of(company: Company) -> frozenset[str]:
    """Every domain that a company has, or seems to have."""
    domain = normalise_domain(company.domain)
    own = frozenset([domain]) if domain else named_domains(company.domain)
    return own | named_domains(company.additional_domains)


def merged_into(company: Company) -> list[int]:
    """The ids of the companies that this one was made of."""
    ids = (company.merged_ids or "").split(";")
    return [int(number) for each in ids if (number := each.strip()).isdecimal()]
