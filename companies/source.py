"""HubSpot's companies: what must be in place, which match, and a look at those that may go."""

from __future__ import annotations

import contextlib
from typing import Callable, Mapping, Sequence

from cli.job import collect_findings
from companies.matching import Criteria, HubSpotLookup, Matching
from core import log
from core.clock import Clock
from core.conditions import Property
from core.errors import CallRejected
from core.words import alternatives, companies
from hubspot_api import search
from hubspot_api.shapes import COMPANIES, Account
from hubspot_client import HubSpotClient
from report.model import Finding
from transport.paging import retry_if_changed

INDEX_LAG_S = 30.0  # HubSpot's search finds a record no later than this after a change


class CompanySource:
    """Everything raises ServiceError but `check`, which raises nothing that HubSpot may answer."""

    def __init__(self, hubspot: HubSpotClient, criteria: Criteria, clock: Clock) -> None:
        self._hubspot, self.criteria, self._clock = hubspot, criteria, clock
        self._platform: Property | None = None  # once it is read
        self._waited_for: set[str] = set()  # domains whose record is gone
        self.account: Account | None = None  # once `check` has asked, if HubSpot tells

    def check(self) -> list[Finding]:
        """Whether HubSpot has the properties that the criteria are about; call it first."""

        def alexa() -> Finding:
            return _judge_property(self._hubspot.property(COMPANIES, "alexa"), "alexa", "number")

        findings = collect_findings(
            lambda: _judge_property(self.read_platform(), "ecommerce_platform", "enumeration"),
            alexa,
        )
        platform = self._platform
        if platform and platform.type == "enumeration":
            findings += [_judge_option(name, platform.options) for name in self.criteria.platforms]
        self.account = self._hubspot.account_if_told()
        if self.account:
            findings.insert(0, Finding(True, f"HubSpot accepts the key: {self.account}."))
        return findings

    def read_platform(self) -> Property | None:
        """The property with its labels, for the words about a company."""
        self._platform = self._hubspot.property(COMPANIES, "ecommerce_platform")
        if self._platform:
            self.criteria = self.criteria._replace(labels=self._platform.options)
        return self._platform

    def check_search(self) -> list[Finding]:
        """Whether companies may be read at all, which a run finds out by itself."""

        def search_companies() -> Finding:
            total = self._hubspot.count(
                COMPANIES, search.matching(*self.criteria[:2], multiple=False)
            )
            return Finding(True, f"HubSpot companies can be read: {companies(total)} found.")

        return collect_findings(search_companies)

    def read(self, on_total: Callable[[int], None], on_company: Callable[[], None]) -> Matching:
        """All companies that match; when they change during the read, it begins again."""
        is_multiple = bool(self._platform and self._platform.is_multiple)
        group = search.matching(*self.criteria[:2], multiple=is_multiple)

        def read_once() -> Matching:
            matching, number = Matching(self.criteria), 0
            totals: list[int] = []
            for company in self._hubspot.companies(group, totals.append):
                on_total(totals[-1])
                number += 1
                matching.add(company)
                on_company()
            matching.missing = max(min(totals) - number, 0)
            return matching

        return retry_if_changed(read_once)

    def describe(self, matching: Matching) -> str:
        labels = alternatives([self.criteria.shown(name) for name in self.criteria.platforms])
        below, skipped = f"{self.criteria.alexa_below:,}", len(matching.skipped)
        found = f"{companies(matching.total)} on {labels} with an Alexa rank under {below}"
        if skipped:
            found += f"; {skipped:,} will be skipped"
        if shared := len(matching.shared):
            share = "shares" if shared == 1 else "share"
            found += f"; {shared:,} {share} a domain with another company"
        return found + "."

    def look_up(
        self, domains: Sequence[str], records: Mapping[str, int], wait: bool = True
    ) -> HubSpotLookup:
        """What HubSpot holds now of these domains, whether it matches or not.

        `records`: domain -> the id of the company that it stood for in an earlier run; these are
        read by id besides, because that has no lag. A merge gives a company a new id, so one that
        is gone is looked for again once no search lags behind any more, unless `wait` is False.
        """
        found = self._hubspot.companies_by_id(sorted(set(records.values())))
        found += self._hubspot.find_companies(search.naming(domains))
        gone = HubSpotLookup(found, records).unexplained()
        if gone:
            if wait and not self._waited_for.issuperset(gone):
                log.info("HubSpot: the record of %s is gone. Looking again in 30 s.", min(gone))
                self._clock.sleep(INDEX_LAG_S)
                self._waited_for.update(gone)
            found += self._hubspot.find_companies(search.naming(sorted(gone)))
            with contextlib.suppress(CallRejected):  # an account without the property has no merges
                merged = search.merged_from(sorted(gone.values()))
                found += self._hubspot.find_companies(merged)
        return HubSpotLookup(found, records)

    def record_url(self) -> str | None:
        self.account = self.account or self._hubspot.account_if_told()
        return self.account and self.account.link(COMPANIES, "")


def _judge_property(definition: Property | None, name: str, needed_type: str) -> Finding:
    where = "in HubSpot > Settings > Properties."
    if definition is None:
        missing = f"HubSpot has no company property {name}: create it, with the type {needed_type},"
        return Finding(False, f"{missing} {where}")
    if definition.type != needed_type:
        wrong = f"The company property {name} in HubSpot is of type {definition.type}, and with"
        finds = f"anything but {needed_type} HubSpot finds the wrong records: make a new property"
        return Finding(False, f"{wrong} {finds} {where}")
    return Finding(True, f"HubSpot has the company property {name} ({needed_type}).")


def _judge_option(name: str, options: dict[str, str]) -> Finding:
    if name in options:
        return Finding(True, f"HubSpot knows the platform {name} ({options[name]}).")
    known = f"HubSpot has no platform {name}; it has {', '.join(sorted(options)) or 'none'}."
    remedy = "Fix ECOMMERCE_PLATFORMS: it takes the internal names, as they are written there."
    return Finding(False, f"{known} {remedy}")
