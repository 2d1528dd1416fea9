"""HubSpot's companies as a source: what must be in place, what matches, and the second look."""

from __future__ import annotations

import contextlib
from typing import Callable, Mapping, Sequence

from cli.checks import collect_findings
from companies.evidence import Evidence, merged_into
from companies.plan import Criteria, Wanted
from core.clock import Clock
from core.conditions import Property
from core.errors import CallRejected
from core.log import log
from core.settings import SettingsReader, parse_names, parse_positive
from core.words import alternatives, companies
from hubspot_api import search
from hubspot_api.shapes import COMPANIES, Account, Company
from hubspot_client import HubSpotClient
from report.model import Finding
from transport.paging import retry_if_changed

INDEX_LAG_S = 30.0  # HubSpot's search finds a record no later than this after a change


def criteria_settings(reader: SettingsReader) -> Criteria:
    return Criteria(
        reader.get("ECOMMERCE_PLATFORMS", "shopify,magento_2", parse_names),
        reader.get("ALEXA_BELOW", "1000000", parse_positive),
    )


class CompanySource:
    """Everything raises ServiceError but `check`, which raises nothing that HubSpot may answer."""

    def __init__(self, hubspot: HubSpotClient, criteria: Criteria, clock: Clock) -> None:
        self._hubspot, self.criteria, self._clock = hubspot, criteria, clock
        self._platform: Property | None = None
        self.account: Account | None = None  # once `check` has asked, if HubSpot tells

    def check(self) -> list[Finding]:
        """Whether HubSpot has the properties that the criteria are about; call it first."""
        definitions: dict[str, Property | None] = {}

        def check(name: str, wanted_type: str) -> Finding:
            definitions[name] = self._hubspot.property(COMPANIES, name)
            return _judge_property(definitions[name], name, wanted_type)

        findings = collect_findings(
            lambda: check("ecommerce_platform", "enumeration"), lambda: check("alexa", "number")
        )
        self._platform = definitions.get("ecommerce_platform")
        if self._platform and self._platform.type == "enumeration":
            options = self._platform.options
            findings += [_check_option(name, options) for name in self.criteria.platforms]
        self.account = self._hubspot.account_if_told()
        if self.account:
            findings.insert(0, Finding(True, f"HubSpot knows the key: {self.account}."))
        return findings

    def check_search(self) -> list[Finding]:
        """Whether companies may be read at all, which a run finds out by itself."""

        def search_companies() -> Finding:
            group = search.matching(*self.criteria, multiple=False)
            total = self._hubspot.count(COMPANIES, group)
            return Finding(True, f"HubSpot can be searched: {companies(total)} found.")

        return collect_findings(search_companies)

    def read(self, on_total: Callable[[int], None], on_company: Callable[[], None]) -> Wanted:
        """All companies that match; when they change during the read, it begins anew."""
        return retry_if_changed(lambda: self._read_once(on_total, on_company))

    def _read_once(self, on_total: Callable[[int], None], on_company: Callable[[], None]) -> Wanted:
        wanted = Wanted(self.criteria)
        multiple = self._platform is not None and self._platform.is_multiple
        totals: list[int] = []

        def note_total(total: int) -> None:
            totals.append(total)
            on_total(total)

        read = 0
        group = search.matching(*self.criteria, multiple)
        for company in self._hubspot.companies(group, note_total):
            read += 1
            wanted.add(company)
            on_company()
        wanted.missing = max(min(totals) - read, 0)
        return wanted

    def in_words(self, wanted: Wanted) -> str:
        options = self._platform.options if self._platform else {}
        labels = [options.get(name, name) for name in self.criteria.platforms]
        found = (
            f"{companies(wanted.matching)} on {alternatives(labels)} with an Alexa rank under"
            f" {self.criteria.alexa_below:,}"
        )
        skipped = len(wanted.skipped)
        shared = len(wanted.shared)
        if skipped:
            found += f"; {skipped:,} {'has' if skipped == 1 else 'have'} no usable domain"
        if shared:
            found += f"; {shared:,} {'shares' if shared == 1 else 'share'} the domain of another"
        if wanted.missing:
            found += f"; HubSpot counts {wanted.missing:,} more, which it does not show"
        return found + "."

    def evidence(self, domains: Sequence[str], records: Mapping[str, int]) -> Evidence:
        """What HubSpot holds now of these domains, whether it matches or not.

        `records`: domain -> the id of the company that it once came from; records are read by id
        besides, because what is found by id has no lag.
        """
        ids = sorted(set(records.values()))
        found = self._hubspot.companies_by_id(ids)
        gone = set(ids).difference(company.id for company in found)
        found += self._hubspot.find_companies(search.naming(domains))
        return Evidence([*found, *self._heirs(gone)], records)

    def _heirs(self, gone: set[int]) -> list[Company]:
        """The companies that these have been merged into. Those that no search finds, and that were
        not deleted, are waited for."""
        found: list[Company] = []
        with contextlib.suppress(CallRejected):  # an account without the property has no merges
            found = self._merged_from(gone)
            left = sorted(gone.difference(*map(merged_into, found)))
            deleted = self._hubspot.companies_by_id(left, deleted=True)
            if len(deleted) < len(left):
                log.info("HubSpot: a company is gone and was not deleted: waiting for its search.")
                self._clock.sleep(INDEX_LAG_S)
                found = self._merged_from(gone)
        return found

    def _merged_from(self, gone: set[int]) -> list[Company]:
        return self._hubspot.find_companies(search.merged_from(sorted(gone)))

    def record_url(self) -> str | None:
        self.account = self.account or self._hubspot.account_if_told()
        return self.account and self.account.link(COMPANIES, "")


def _judge_property(definition: Property | None, name: str, wanted_type: str) -> Finding:
    if definition is None:
        return Finding(
            False,
            f"HubSpot has no company property {name}: create it, with the type {wanted_type}, in"
            " HubSpot > Settings > Properties.",
        )
    if definition.type != wanted_type:
        return Finding(
            False,
            f"The company property {name} in HubSpot is of type {definition.type}, and with"
            f" anything but {wanted_type} HubSpot finds the wrong records: make a new property in"
            " HubSpot > Settings > Properties.",
        )
    return Finding(True, f"HubSpot has the company property {name} ({wanted_type}).")


def _check_option(name: str, options: dict[str, str]) -> Finding:
    if name in options:
        return Finding(True, f"HubSpot knows the platform {name} ({options[name]}).")
    return Finding(
        False,
        f"HubSpot has no platform {name}; it has {', '.join(sorted(options)) or 'none'}."
        " Fix ECOMMERCE_PLATFORMS: it takes the internal names, as they are written there.",
    )
