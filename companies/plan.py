"""Which companies a destination lacks and which it should lose, and whether that is safe.

Decisions only, for any destination that lists companies by domain, alone or with identifiers.
"""

from __future__ import annotations

import math
from typing import (
    TYPE_CHECKING,
    AbstractSet,
    Collection,
    Dict,
    Mapping,
    NamedTuple,
    Sequence,
    Tuple,
)

from companies.evidence import Evidence
from core.domains import named_domains, normalise_domain
from core.limits import Refusal
from core.words import companies

if TYPE_CHECKING:  # a decision needs no client to be loaded
    from hubspot_api.shapes import Company

# What a destination lists: the domain as it is listed -> the other names of the same company: the
# identifiers that it is listed with, and names that were found out. (A million fit in 120 MB.)
Listed = Dict[str, Tuple[str, ...]]


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
        if rank >= self.alexa_below:
            return f"its Alexa rank is now {rank:,.0f}"
        return None


class WantedCompany(NamedTuple):
    """The HubSpot company that a domain stands for."""

    domain: str
    company: str | None
    hubspot_id: int


class Skipped(NamedTuple):
    """Something that cannot be compared; `hubspot_id` is None for what the destination lists."""

    hubspot_id: int | None
    company: str | None
    reason: str

    @property
    def key(self) -> str:
        return f"skipped {self.hubspot_id or self.reason}"


class Wanted:
    """The companies that the destination should have, by domain, gathered in any order.

    Of several companies with one domain, the one with the lowest id stands for it, and the others
    are `shared`. `missing`: how many more HubSpot says there are.
    """

    def __init__(self, criteria: Criteria) -> None:
        self.criteria = criteria
        self.matching = 0
        self.missing = 0
        self.companies: dict[str, WantedCompany] = {}
        self.shared: list[WantedCompany] = []
        self.skipped: list[Skipped] = []
        self._additional: dict[str, tuple[str, ...]] = {}  # additional domain -> wanted domains
        self._unusable: dict[str, str] = {}  # domain -> the text that names it and is none

    def add(self, company: Company) -> None:
        """Count a company in if its values, which are newer than the search index, match."""
        if self.criteria.mismatch(company):
            return
        self.matching += 1
        domain = normalise_domain(company.domain)
        if domain is None:
            self.skipped.append(Skipped(company.id, company.name, _no_domain(company.domain)))
            for name in named_domains(company.domain):
                self._unusable[name] = company.domain or ""
            return
        entry = WantedCompany(domain, company.name, company.id)
        known = self.companies.setdefault(domain, entry)
        if known is not entry:
            first, other = sorted((known, entry), key=lambda each: each.hubspot_id)
            self.companies[domain] = first
            self.shared.append(other)
        if company.additional_domains:
            for name in named_domains(company.additional_domains):
                self._additional[name] = (*self._additional.get(name, ()), domain)

    def domains_of(self, name: str) -> Sequence[str]:
        """The wanted domains that a listed name stands for: itself, or those of the companies that
        have it as an additional one."""
        return (name,) if name in self.companies else self._additional.get(name, ())

    def all_domains(self) -> set[str]:
        """Of all companies, the additional ones as well."""
        return {*self.companies, *self._additional}

    def unusable_field(self, name: str) -> str | None:
        """What a matching company has in its domain field that is no domain, but names this one."""
        return self._unusable.get(name)


class Protected(NamedTuple):
    """Listed, not among the wanted, and left all the same."""

    domain: str
    reason: str


class Difference(NamedTuple):
    """Wanted domains against listed ones.

    `missing` and `unchanged`: wanted domains; `renamed`: listed domain -> the wanted one that it
    stands for; `surplus`: listed domain -> its other names; `listed`: how many companies are listed
    in all.
    """

    missing: list[str]
    unchanged: list[str]
    renamed: dict[str, str]
    surplus: Listed
    listed: int
    skipped: list[Skipped]
    protected: Sequence[Protected] = ()


class Removal(NamedTuple):
    """`reason`: words that follow "because"; company and id where HubSpot has one for the domain.
    `moved_to`: the domain that this company, which matches, has now."""

    domain: str
    company: str | None
    hubspot_id: int | None
    reason: str
    moved_to: str | None = None


class Plan(NamedTuple):
    """Everything in order of domain; `listed` and `wanted`: how many companies are listed now and
    how many should be."""

    add: tuple[WantedCompany, ...]
    remove: tuple[Removal, ...]
    unchanged: tuple[str, ...]
    protected: tuple[Protected, ...]
    skipped: tuple[Skipped, ...]
    listed: int
    wanted: int


class Doubt(NamedTuple):
    """What nobody can tell about the list of a destination.

    `expected`: wanted domains that it lists or will list; `unlisted`: those that it has accepted
    and does not list, so that each may be a row of another name, but for the rows `others`;
    `destination`: in words.
    """

    expected: AbstractSet[str]
    unlisted: Sequence[str]
    destination: str
    others: AbstractSet[str] = frozenset()

    def about(self, removal: Removal) -> str | None:
        """Why a row is not to be removed, though it is not wanted."""
        if removal.moved_to and removal.moved_to not in self.expected:
            return f"{removal.reason}, which {self.destination} does not list yet"
        is_other = removal.hubspot_id is not None or removal.domain in self.others
        if self.unlisted and not is_other:
            return (
                f"it may be {self.unlisted[0]}, which {self.destination} has accepted and does not"
                " list"
            )
        return None


def compare(wanted: Wanted, rows: Listed, lists: str) -> Difference:
    """A row is a wanted company when one of its names is a domain of the company: one that
    redirects elsewhere may be listed under the other domain. `lists`: what the destination does
    with its rows, such as "PredictLeads follows".

    Empties `rows`, so that a million of them are not held twice.
    """
    present: set[str] = set()  # wanted domains
    renamed: dict[str, str] = {}
    surplus: Listed = {}
    skipped: list[Skipped] = []
    while rows:
        listed, others = rows.popitem()
        domain = normalise_domain(listed)
        if domain in wanted.companies and not others:
            present.add(domain)
            continue
        names = tuple(filter(None, map(normalise_domain, others)))
        own_names = filter(None, (domain, *names))
        stands_for = [own for name in own_names for own in wanted.domains_of(name)]
        present.update(stands_for)
        if domain in wanted.companies:
            continue
        if stands_for:
            renamed[domain or listed] = stands_for[0]
        elif domain:
            surplus[domain] = surplus.get(domain, ()) + names
        else:
            skipped.append(Skipped(None, None, f"{lists} {listed!r}, which is no domain"))
    rows.clear()  # gives the table back, too
    for domain in renamed.keys() & surplus.keys():
        del surplus[domain]
    return Difference(
        missing=sorted(domain for domain in wanted.companies if domain not in present),
        unchanged=sorted(present),
        renamed=renamed,
        surplus=surplus,
        listed=len(present) + len(surplus) + len(skipped),
        skipped=sorted(skipped),
    )


def found_under(difference: Difference, names: Mapping[str, str], wanted: Wanted) -> Difference:
    """The difference, once it is known under which other domain a company is listed.

    `names`: domain -> listed domain, also of companies that are not wanted any more, so that the
    reason for removing such a row can be found.
    """
    if not names:
        return difference
    present, renamed = set(difference.unchanged), dict(difference.renamed)
    surplus = dict(difference.surplus)
    for domain, listed in names.items():
        if listed in surplus and domain not in wanted.companies:
            surplus[listed] += (domain,)
        elif listed in surplus:
            del surplus[listed]
            renamed[listed] = domain
    names = {domain: names[domain] for domain in wanted.companies.keys() & names.keys()}
    while found := {
        domain
        for domain in names.keys() - present
        if names[domain] in renamed or names[domain] in present
    }:
        present |= found  # one may be known by the name of another
    return difference._replace(
        missing=[domain for domain in difference.missing if domain not in present],
        unchanged=sorted(present),
        renamed=renamed,
        surplus=surplus,
    )


def protect(
    difference: Difference, keep: AbstractSet[str], keep_reason: str, all_reason: str | None
) -> Difference:
    """The difference without the surplus that is left on purpose, which goes to `protected`.

    `keep`: domains that are never removed, for `keep_reason`; `all_reason`: why nothing is.
    """
    surplus: Listed = {}
    protected: list[Protected] = []
    for domain, names in difference.surplus.items():
        is_kept = domain in keep or not keep.isdisjoint(names)
        reason = keep_reason if is_kept else all_reason
        if reason:
            protected.append(Protected(domain, reason))
        else:
            surplus[domain] = names
    return difference._replace(surplus=surplus, protected=protected)


def names_to_confirm(surplus: Listed) -> list[str]:
    """The domains whose companies `judge` wants as evidence."""
    return sorted({name for domain, others in surplus.items() for name in (domain, *others)})


def judge(
    domain: str, others: Sequence[str], wanted: Wanted, evidence: Evidence
) -> Removal | Protected:
    """Whether a row of the surplus may be removed, going by what HubSpot holds now.

    It stays when a company that names it matches after all, because the search index, or an edit
    during the read, hid it. `others`: its other names.
    """
    names = (domain, *others)
    for name in names:
        text = wanted.unusable_field(name)
        if text is not None:
            return Protected(domain, f"a matching company in HubSpot names it as {text!r}")
    found = evidence.naming(names)
    mismatches = [wanted.criteria.mismatch(company) for company in found]
    if None in mismatches:
        return Protected(domain, "a company in HubSpot with this domain matches after all")
    if found:
        return Removal(domain, found[0].name, found[0].id, mismatches[0] or "")
    return _judge_remembered(domain, names, wanted.criteria, evidence)


def _judge_remembered(
    domain: str, names: Sequence[str], criteria: Criteria, evidence: Evidence
) -> Removal:
    """No company names the domain now; the one that did is known by its id, if at all."""
    if not evidence.had_record(names):
        return Removal(domain, None, None, "no company in HubSpot has this domain")
    company, is_heir = evidence.record(names)
    if company is None:
        return Removal(domain, None, None, "it was deleted in HubSpot")
    moved_to = normalise_domain(company.domain)
    mismatch = criteria.mismatch(company)
    reason = mismatch or f"its domain in HubSpot is now {moved_to or 'empty'}"
    if is_heir:
        reason = f"it was merged into {company.name or '(no name)'} in HubSpot"
    return Removal(domain, company.name, company.id, reason, None if mismatch else moved_to)


def make_plan(
    wanted: Wanted,
    difference: Difference,
    evidence: Evidence,
    waiting: Collection[str],
    unlisted: Sequence[str],
    destination: str,
) -> Plan:
    """The plan, with the reason for each removal.

    `waiting`: wanted domains that are not asked for in this run; `unlisted`: as in Doubt, of these.
    """
    add = [domain for domain in difference.missing if domain not in waiting]
    doubt = Doubt({*difference.unchanged, *add}, unlisted, destination)
    remove: list[Removal] = []
    protected = list(difference.protected)
    for domain in sorted(difference.surplus):
        entry = judge(domain, difference.surplus[domain], wanted, evidence)
        if isinstance(entry, Protected):
            protected.append(entry)
        elif reason := doubt.about(entry):
            protected.append(Protected(domain, reason))
        else:
            remove.append(entry)
    return Plan(
        add=tuple(wanted.companies[domain] for domain in add),
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


def held_back(
    remove: Sequence[Removal],
    now: Difference,
    wanted: Wanted,
    evidence: Evidence,
    doubt: Doubt,
) -> dict[str, str]:
    """Removals that must not be made any more -> why, after the additions were made.

    `now`: the list as it is now, compared; `evidence`: what HubSpot holds now.
    """
    reasons: dict[str, str | None] = {}
    for domain in (removal.domain for removal in remove):
        if domain in now.renamed:
            reasons[domain] = f"{doubt.destination} lists {now.renamed[domain]} under this name"
        elif domain in now.surplus:
            entry = judge(domain, now.surplus[domain], wanted, evidence)
            kept = entry.reason if isinstance(entry, Protected) else doubt.about(entry)
            reasons[domain] = kept
    return {domain: reason for domain, reason in reasons.items() if reason}


def nothing_wanted(plan: Plan, verb: str) -> Refusal:
    """`verb`: what is true of the companies that are listed, such as "followed"."""
    are = "is" if plan.listed == 1 else "are"
    return Refusal(
        f"HubSpot has no matching company, while {companies(plan.listed)} {are} {verb}.",
        "--allow-empty",
    )


def _no_domain(text: str | None) -> str:
    if not text or not text.strip():
        return "the company has no domain in HubSpot"
    return f"its domain in HubSpot, {text!r}, is not a usable domain"
