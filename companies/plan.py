"""Which companies a destination lacks and which it should lose, and whether that is safe.

Decisions only, for any destination that lists companies by domain, alone or with identifiers.
"""

from __future__ import annotations

import math
from typing import (
    TYPE_CHECKING,
    AbstractSet,
    Dict,
    Iterable,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
    Union,
)

from basics.domains import normalise_domain
from basics.limits import Refusal
from basics.words import companies

if TYPE_CHECKING:  # a decision needs no client to be loaded
    from hubspot.shapes import Company


class Criteria(NamedTuple):
    """A company matches with one of the platforms (HubSpot's internal values, upper and lower case
    differ) and an Alexa rank under `alexa_below`."""

    platforms: Tuple[str, ...]
    alexa_below: int

    def mismatch(self, company: Company) -> Optional[str]:
        """Why a company does not match, as words that follow "because"; None when it does."""
        reasons = [self._platform_mismatch(company.platform), self._alexa_mismatch(company.alexa)]
        return " and ".join(filter(None, reasons)) or None

    def _platform_mismatch(self, platform: Optional[str]) -> Optional[str]:
        if not platform:
            return "it has no e-commerce platform"
        if set(self.platforms).isdisjoint(platform.split(";")):  # a;b: a company with several
            return f"its platform is now {platform}"
        return None

    def _alexa_mismatch(self, alexa: Optional[str]) -> Optional[str]:
        if not alexa:
            return "it has no Alexa rank"
        try:
            rank = float(alexa)
        except ValueError:
            rank = math.nan
        if not math.isfinite(rank):
            return f"its Alexa rank is not a number: {alexa}"
        if rank >= self.alexa_below:
            return f"its Alexa rank is now {rank:,.0f}"
        return None


class WantedCompany(NamedTuple):
    """The HubSpot company that a domain stands for."""

    domain: str
    company: Optional[str]
    hubspot_id: int


class Skipped(NamedTuple):
    """Something that cannot be compared; `hubspot_id` is None for what the destination lists."""

    hubspot_id: Optional[int]
    company: Optional[str]
    reason: str


# What a destination lists: the domain as it is listed -> the identifiers that it is listed with,
# without the domain itself. A company that redirects elsewhere may be listed under the other
# domain; its identifier is what was sent along when it was added. (A million fit in 120 MB.)
Listed = Dict[str, Tuple[str, ...]]


class Wanted:
    """The companies that the destination should have, by domain, gathered in any order.

    Of several companies with one domain, the one with the lowest id stands for it.
    """

    def __init__(self, criteria: Criteria) -> None:
        self.criteria = criteria
        self.matching = 0
        self.companies: Dict[str, WantedCompany] = {}
        self.skipped: List[Skipped] = []

    def add(self, company: Company) -> None:
        """Count a company in if its values, which are newer than the search index, match."""
        if self.criteria.mismatch(company):
            return
        self.matching += 1
        domain = normalise_domain(company.domain)
        if domain is None:
            self.skipped.append(Skipped(company.id, company.name, _no_domain(company.domain)))
        elif domain not in self.companies or company.id < self.companies[domain].hubspot_id:
            self.companies[domain] = WantedCompany(domain, company.name, company.id)


class Protected(NamedTuple):
    """Listed, not among the wanted, and left all the same."""

    domain: str
    reason: str


class Difference(NamedTuple):
    """Wanted domains against listed ones.

    `missing` and `unchanged`: wanted domains; `surplus`: listed domain -> the identifiers, other
    than itself, that it is listed with; `listed`: how many companies are listed in all.
    """

    missing: List[str]
    surplus: Listed
    unchanged: List[str]
    listed: int
    skipped: List[Skipped]
    protected: Sequence[Protected] = ()


class Removal(NamedTuple):
    """`reason`: words that follow "because"; company and id where HubSpot knows the domain."""

    domain: str
    company: Optional[str]
    hubspot_id: Optional[int]
    reason: str


class Plan(NamedTuple):
    """Everything in order of domain; `listed` and `wanted`: how many companies are listed now and
    how many should be."""

    add: Tuple[WantedCompany, ...]
    remove: Tuple[Removal, ...]
    unchanged: Tuple[str, ...]
    protected: Tuple[Protected, ...]
    skipped: Tuple[Skipped, ...]
    listed: int
    wanted: int


def compare(wanted: Wanted, rows: Listed, lists: str) -> Difference:
    """A row is a wanted company when its domain or its identifier is the company's domain: one that
    redirects elsewhere may be listed under the other domain. `lists`: what the destination does
    with its rows, such as "PredictLeads follows".

    Empties `rows`, so that a million of them are not held twice.
    """
    present: Set[str] = set()  # wanted domains
    renamed: Set[str] = set()  # domains that stand in the list for a wanted one
    surplus: Listed = {}
    skipped: List[Skipped] = []
    while rows:
        listed, others = rows.popitem()
        domain = normalise_domain(listed)
        identifiers = tuple(filter(None, map(normalise_domain, others))) if others else ()
        by_identifier = [name for name in identifiers if name in wanted.companies]
        present.update(by_identifier)
        if domain in wanted.companies:
            present.add(domain)
        elif by_identifier:
            renamed.add(domain or listed)
        elif domain:
            surplus[domain] = surplus.get(domain, ()) + identifiers
        else:
            reason = f"{lists} {listed!r}, which is no domain"
            skipped.append(Skipped(None, None, reason))
    rows.clear()  # gives the table back, too
    for domain in renamed & surplus.keys():
        del surplus[domain]
    return Difference(
        missing=sorted(domain for domain in wanted.companies if domain not in present),
        surplus=surplus,
        unchanged=sorted(present),
        listed=len(present) + len(surplus) + len(skipped),
        skipped=sorted(skipped),
    )


def protect(
    difference: Difference, keep: AbstractSet[str], keep_reason: str, all_reason: Optional[str]
) -> Difference:
    """The difference without the surplus that is left on purpose, which goes to `protected`.

    `keep`: domains that are never removed, for `keep_reason`; `all_reason`: why nothing is.
    """
    surplus: Listed = {}
    protected: List[Protected] = []
    for domain, identifiers in difference.surplus.items():
        is_kept = domain in keep or not keep.isdisjoint(identifiers)
        reason = keep_reason if is_kept else all_reason
        if reason:
            protected.append(Protected(domain, reason))
        else:
            surplus[domain] = identifiers
    return difference._replace(surplus=surplus, protected=protected)


def make_plan(wanted: Wanted, difference: Difference, evidence: Iterable[Company]) -> Plan:
    """The plan, with the reason for each removal.

    `evidence`: what HubSpot holds now of companies with a surplus domain or identifier. A surplus
    row stays when one of them matches after all, because the search index, or an edit during the
    read, hid it.
    """
    none: Dict[int, Company] = {}
    known: Dict[str, Dict[int, Company]] = {}
    for company in evidence:
        domain = normalise_domain(company.domain) or ""
        known.setdefault(domain, {})[company.id] = company
    remove: List[Removal] = []
    protected = list(difference.protected)
    for domain in sorted(difference.surplus):
        names = (domain, *difference.surplus[domain])
        found = {id: company for name in names for id, company in known.get(name, none).items()}
        entry = _judge(domain, [found[id] for id in sorted(found)], wanted.criteria)
        if isinstance(entry, Protected):
            protected.append(entry)
        else:
            remove.append(entry)
    return Plan(
        add=tuple(wanted.companies[domain] for domain in difference.missing),
        remove=tuple(remove),
        unchanged=tuple(difference.unchanged),
        protected=tuple(sorted(protected, key=lambda entry: entry.domain)),
        skipped=(
            *sorted(wanted.skipped, key=lambda entry: entry.hubspot_id or 0),
            *difference.skipped,
        ),
        listed=difference.listed,
        wanted=len(wanted.companies),
    )


def nothing_wanted(plan: Plan, verb: str) -> Refusal:
    """`verb`: what is true of the companies that are listed, such as "followed"."""
    are = "is" if plan.listed == 1 else "are"
    return Refusal(
        f"HubSpot has no matching company, while {companies(plan.listed)} {are} {verb}.",
        "--allow-empty",
    )


def _judge(
    domain: str, companies: Sequence[Company], criteria: Criteria
) -> Union[Removal, Protected]:
    """`companies`: those that HubSpot has for the domain, the oldest first."""
    if not companies:
        return Removal(domain, None, None, "no company in HubSpot has this domain")
    mismatches = [criteria.mismatch(company) for company in companies]
    if None in mismatches:
        return Protected(domain, "a company in HubSpot with this domain matches after all")
    return Removal(domain, companies[0].name, companies[0].id, mismatches[0] or "")


def domains_to_confirm(difference: Difference) -> List[str]:
    """The domains whose companies `make_plan` wants as evidence."""
    identifiers = {name for names in difference.surplus.values() for name in names}
    return sorted([*difference.surplus, *identifiers.difference(difference.surplus)])


def _no_domain(text: Optional[str]) -> str:
    if not text or not text.strip():
        return "the company has no domain in HubSpot"
    return f"its domain in HubSpot, {text!r}, is not a usable domain"
