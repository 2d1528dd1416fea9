"""HubSpot's companies: what must be in place, which match, and a look at those that may go."""

from __future__ import annotations

import contextlib
from typing import Callable, Iterator, Mapping, Sequence

from cli.job import collect_findings
from companies.matching import Criteria, HubSpotLookup, Matching
from core import errors, log, words
from core.clock import Clock
from core.conditions import Condition
from hubspot_api import search, shapes
from hubspot_client import HubSpotClient
from report.model import Finding
from transport.paging import retry_if_changed

FIX_RULE = (
    "Set or fix COMPANY_FILTER; without it, ECOMMERCE_PLATFORMS and ALEXA_BELOW make the rule."
)
READ_AT_ONCE = 2_000  # companies of a list
INDEX_LAG_S = 30.0  # HubSpot's search finds a record no later than this after a change


class CompanySource:
    """Everything raises ServiceError but `check`, which raises nothing that HubSpot may answer."""

    def __init__(
        self, hubspot: HubSpotClient, conditions: Sequence[Condition], in_list: str, clock: Clock
    ) -> None:
        self._hubspot, self._conditions, self._clock = hubspot, conditions, clock
        self._in_list = in_list  # name or id; "" if companies need not be in one
        self._list: shapes.RecordList | None = None
        self._names = tuple(dict.fromkeys(each.property for each in conditions))
        self._waited_for: set[str] = set()  # domains whose record is gone
        self.criteria = Criteria()  # once `read_rule` knows the properties
        self.of_rule: list[Finding] = []  # likewise
        self.account: shapes.Account | None = None  # once `check` has asked, if HubSpot tells

    def check(self) -> list[Finding]:
        """Whether HubSpot has the properties that the rule is about; call it first."""
        findings = collect_findings(self.read_rule) + self.of_rule
        self.account = self._hubspot.account_if_told()
        if self.account:
            findings.insert(0, Finding(True, f"HubSpot accepts the key: {self.account}."))
        return findings

    def read_rule(self) -> Finding:
        """Judge the rule by the properties that companies have."""
        properties = self._hubspot.properties(shapes.COMPANIES)
        mistakes = (each.mistake(properties, "company") for each in self._conditions)
        self.of_rule = [Finding(False, f"{each} {FIX_RULE}") for each in mistakes if each]
        try:
            if self._in_list:
                self._list = self._hubspot.require_list(
                    self._in_list, shapes.COMPANIES, "COMPANY_LIST"
                )
        except (errors.CallRejected, errors.Forbidden, errors.SettingsError) as error:
            self.of_rule.append(Finding(False, str(error)))
        if not self.of_rule:
            known = [(each, properties[each.property]) for each in self._conditions]
            self.criteria = Criteria(known, self._list.name if self._list else "")
            self.of_rule = [Finding(True, f"The rule: {self.criteria.describe()}.")]
        number = words.count(len(properties), "property", "properties")
        return Finding(True, f"HubSpot's companies have {number}.")

    def check_search(self) -> Finding:
        """Whether companies may be read at all, which a run finds out by itself."""
        total = self._hubspot.count(shapes.COMPANIES, self._query())
        return Finding(True, f"HubSpot's companies can be read: {words.companies(total)} found.")

    def _query(self) -> search.Group:
        return search.matching(self.criteria.conditions)

    def read(self, on_total: Callable[[int], None], on_company: Callable[[], None]) -> Matching:
        """All companies that match; when they change during the read, it begins again."""

        def read_once() -> Matching:
            self._read_members()
            matching, number = Matching(self.criteria), 0
            totals: list[int] = []
            for company in self._read_companies(totals.append):
                on_total(totals[-1])
                number += 1
                matching.add(company)
                on_company()
            matching.missing = max(min(totals) - number, 0)
            return matching

        return retry_if_changed(read_once)

    def _read_companies(self, on_total: Callable[[int], None]) -> Iterator[shapes.Company]:
        if not self._list:
            yield from self._hubspot.companies(self._query(), self._names, on_total)
            return
        ids = sorted(self.criteria.members)
        on_total(len(ids))
        for start in range(0, len(ids), READ_AT_ONCE):
            part = ids[start : start + READ_AT_ONCE]
            yield from self._hubspot.companies_by_id(part, self._names)

    def _read_members(self) -> None:
        """Raises ListChanged when the list is gone, or HubSpot is still filling it."""
        if self._list:
            self.criteria = self.criteria._replace(members=self._hubspot.members(self._list))

    def describe(self, matching: Matching) -> str:
        skipped, match = len(matching.skipped), "matches" if matching.total == 1 else "match"
        found = f"{words.companies(matching.total)} {match} ({self.criteria.describe()})"
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
        hubspot, names = self._hubspot, self._names
        if domains and (wait or not self.criteria.members):
            self._read_members()
        found = hubspot.companies_by_id(sorted(set(records.values())), names)
        found += hubspot.find_companies(search.naming(domains, names), names)
        gone = HubSpotLookup(found, records).unexplained()
        if gone:
            if wait and not self._waited_for.issuperset(gone):
                log.info("HubSpot: the record of %s is gone. Looking again in 30 s.", min(gone))
                self._clock.sleep(INDEX_LAG_S)
                self._waited_for.update(gone)
            found += hubspot.find_companies(search.naming(sorted(gone), names), names)
            with contextlib.suppress(errors.CallRejected):  # without the property: no merges
                merged = search.merged_from(sorted(gone.values()), names)
                found += hubspot.find_companies(merged, names)
        return HubSpotLookup(found, records)

    def record_url(self) -> str | None:
        self.account = self.account or self._hubspot.account_if_told()
        return self.account and self.account.link(shapes.COMPANIES, "")
