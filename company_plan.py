"""Which companies to follow and to stop following, and whether that is safe: decisions only."""

from __future__ import annotations

import math
from typing import (
    AbstractSet,
    Dict,
    FrozenSet,
    Iterable,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
    Union,
)

from domains import normalise_domain
from hubspot_client import Company
from limits import Limit, Refusal
from predictleads_client import Followings
from words import companies


class Criteria(NamedTuple):
    """A company matches with one of the platforms (HubSpot's internal values, upper and lower case
    differ) and an Alexa rank under `alexa_below`."""

    platforms: FrozenSet[str]
    alexa_below: int

    def mismatch(self, company: Company) -> Optional[str]:
        """Why a company does not match, as words that follow "because"; None when it does."""
        reasons = [self._platform_mismatch(company.platform), self._alexa_mismatch(company.alexa)]
        return " and ".join(filter(None, reasons)) or None

    def _platform_mismatch(self, platform: Optional[str]) -> Optional[str]:
        if not platform:
            return "it has no e-commerce platform"
        if self.platforms.isdisjoint(platform.split(";")):  # a;b: a company with several
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


class Follow(NamedTuple):
    """The HubSpot company that a domain stands for."""

    domain: str
    company: Optional[str]
    hubspot_id: int


class Skipped(NamedTuple):
    """Something that cannot be compared; `hubspot_id` is None for what PredictLeads lists."""

    hubspot_id: Optional[int]
    company: Optional[str]
    reason: str


class Wanted:
    """The companies that should be followed, by domain, gathered in any order.

    Of several companies with one domain, the one with the lowest id stands for it.
    """

    def __init__(self, criteria: Criteria) -> None:
        self.criteria = criteria
        self.matching = 0
        self.companies: Dict[str, Follow] = {}
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
            self.companies[domain] = Follow(domain, company.name, company.id)


class Kept(NamedTuple):
    """Followed, not among the wanted, and kept all the same."""

    domain: str
    reason: str


class Difference(NamedTuple):
    """Wanted domains against followed ones.

    `missing` and `keep`: wanted domains; `surplus`: followed domain -> the identifiers, other than
    itself, that it is followed under; `followed`: how many companies are followed in all.
    """

    missing: List[str]
    surplus: Dict[str, Tuple[str, ...]]
    keep: List[str]
    followed: int
    skipped: List[Skipped]
    kept: Sequence[Kept] = ()


class Unfollow(NamedTuple):
    """`reason`: words that follow "because"; company and id where HubSpot knows the domain."""

    domain: str
    company: Optional[str]
    hubspot_id: Optional[int]
    reason: str


class Plan(NamedTuple):
    """Everything in order of domain; `followed` and `wanted`: how many companies are followed now
    and how many should be."""

    follow: Tuple[Follow, ...]
    unfollow: Tuple[Unfollow, ...]
    keep: Tuple[str, ...]
    kept: Tuple[Kept, ...]
    skipped: Tuple[Skipped, ...]
    followed: int
    wanted: int


def compare(wanted: Wanted, followings: Followings) -> Difference:
    """A following is a wanted company when its domain or its identifier is the company's domain:
    PredictLeads lists a company that redirects elsewhere under the other domain.

    Empties `followings`, so that a million of them are not held twice.
    """
    present: Set[str] = set()  # wanted domains
    renamed: Set[str] = set()  # domains that stand in the list for a wanted one
    surplus: Dict[str, Tuple[str, ...]] = {}
    skipped: List[Skipped] = []
    while followings:
        listed, others = followings.popitem()
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
            reason = f"PredictLeads follows {listed!r}, which is no domain"
            skipped.append(Skipped(None, None, reason))
    followings.clear()  # gives the table back, too
    for domain in renamed & surplus.keys():
        del surplus[domain]
    return Difference(
        missing=sorted(domain for domain in wanted.companies if domain not in present),
        surplus=surplus,
        keep=sorted(present),
        followed=len(present) + len(surplus) + len(skipped),
        skipped=sorted(skipped),
    )


def spare(difference: Difference, keep: AbstractSet[str], no_unfollow: bool) -> Difference:
    """The difference without the surplus that is kept on purpose, which goes to `kept`."""
    surplus: Dict[str, Tuple[str, ...]] = {}
    kept: List[Kept] = []
    for domain, identifiers in difference.surplus.items():
        if domain in keep or not keep.isdisjoint(identifiers):
            kept.append(Kept(domain, "kept on purpose (--keep or KEEP_FOLLOWING)"))
        elif no_unfollow:
            kept.append(Kept(domain, "kept on purpose (--no-unfollow)"))
        else:
            surplus[domain] = identifiers
    return difference._replace(surplus=surplus, kept=kept)


def make_plan(wanted: Wanted, difference: Difference, evidence: Iterable[Company]) -> Plan:
    """The plan, with the reason for each unfollow.

    `evidence`: what HubSpot holds now of companies with a surplus domain or identifier. A surplus
    following stays when one of them matches after all, because the search index, or an edit
    during the read, hid it.
    """
    none: Dict[int, Company] = {}
    known: Dict[str, Dict[int, Company]] = {}
    for company in evidence:
        domain = normalise_domain(company.domain) or ""
        known.setdefault(domain, {})[company.id] = company
    unfollow: List[Unfollow] = []
    kept = list(difference.kept)
    for domain in sorted(difference.surplus):
        names = (domain, *difference.surplus[domain])
        found = {id: company for name in names for id, company in known.get(name, none).items()}
        entry = _judge(domain, [found[id] for id in sorted(found)], wanted.criteria)
        if isinstance(entry, Kept):
            kept.append(entry)
        else:
            unfollow.append(entry)
    return Plan(
        follow=tuple(wanted.companies[domain] for domain in difference.missing),
        unfollow=tuple(unfollow),
        keep=tuple(difference.keep),
        kept=tuple(sorted(kept, key=lambda entry: entry.domain)),
        skipped=(
            *sorted(wanted.skipped, key=lambda entry: entry.hubspot_id or 0),
            *difference.skipped,
        ),
        followed=difference.followed,
        wanted=len(wanted.companies),
    )


def refusals(
    plan: Plan, max_unfollow: Limit, max_follow: Optional[int], allow_empty: bool
) -> List[Refusal]:
    """Every limit that the plan violates."""
    follows, unfollows = len(plan.follow), len(plan.unfollow)
    found: List[Refusal] = []
    if not max_unfollow.allows(unfollows, plan.followed):
        share = f"{100 * unfollows / plan.followed:.1f} %"
        found.append(
            Refusal(
                f"{companies(unfollows)} of {plan.followed:,} ({share}) would no longer be"
                f" followed, and the limit is {max_unfollow}.",
                f"--max-unfollow {unfollows}",
            )
        )
    if plan.followed and not plan.wanted and not allow_empty:
        found.append(
            Refusal(
                f"HubSpot has no matching company, while {companies(plan.followed)}"
                f" {'is' if plan.followed == 1 else 'are'} followed.",
                "--allow-empty",
            )
        )
    if max_follow is not None and follows > max_follow:
        found.append(
            Refusal(
                f"{companies(follows)} would be newly followed, and the limit is {max_follow:,}.",
                f"--max-follow {follows}",
            )
        )
    return found


def _judge(domain: str, companies: Sequence[Company], criteria: Criteria) -> Union[Unfollow, Kept]:
    """`companies`: those that HubSpot has for the domain, the oldest first."""
    if not companies:
        return Unfollow(domain, None, None, "no company in HubSpot has this domain")
    mismatches = [criteria.mismatch(company) for company in companies]
    if None in mismatches:
        return Kept(domain, "a company in HubSpot with this domain matches after all")
    return Unfollow(domain, companies[0].name, companies[0].id, mismatches[0] or "")


def domains_to_confirm(difference: Difference) -> List[str]:
    """The domains whose companies `make_plan` wants as evidence."""
    identifiers = {name for names in difference.surplus.values() for name in names}
    return sorted([*difference.surplus, *identifiers.difference(difference.surplus)])


def _no_domain(text: Optional[str]) -> str:
    if not text or not text.strip():
        return "the company has no domain in HubSpot"
    return f"its domain in HubSpot, {text!r}, is not a usable domain"
