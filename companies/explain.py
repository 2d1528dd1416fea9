"""Why a company is followed, or is not: what HubSpot has, what the destination lists, what the next
run would do with it and why. The plan comes from the functions that decide in a run."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Collection,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
)

from basics.domains import normalise_domain
from companies.evidence import Evidence, names_of
from companies.plan import Criteria, Listed, Plan, Wanted

if TYPE_CHECKING:
    from companies.memory import Waiting
    from hubspot_api.shapes import Company


class Next(NamedTuple):
    """What the next run would do. `action`: the key of a change, "skip" or "nothing"; `reason`: a
    sentence without its full stop."""

    action: str
    reason: str


class InHubSpot(NamedTuple):
    """A company that names the domain. `how`: as its domain, as an additional one, or in a field
    that is no domain; `mismatch`: why it does not match, or None."""

    company: Company
    how: str
    mismatch: Optional[str]


def related(domains: Collection[str], rows: Listed, names: Mapping[str, str]) -> Listed:
    """The listed rows that may be a company of these domains, by any of their names. `names`:
    domain -> the other domain that its company is known to be listed under."""
    wanted = {*domains, *(names[domain] for domain in domains if domain in names)}
    return {
        listed: others
        for listed, others in rows.items()
        if not wanted.isdisjoint(map(normalise_domain, (listed, *others)))
    }


def names_in(rows: Listed) -> Set[str]:
    found = (normalise_domain(name) for row in rows.items() for name in (row[0], *row[1]))
    return {name for name in found if name}


def in_hubspot(domain: str, evidence: Evidence, criteria: Criteria) -> List[InHubSpot]:
    return [
        InHubSpot(company, _how(domain, company), criteria.mismatch(company))
        for company in evidence.naming([domain])
    ]


def _how(domain: str, company: Company) -> str:
    own = normalise_domain(company.domain)
    if own == domain:
        return "has this domain"
    if own is None and domain in names_of(company._replace(additional_domains=None)):
        return f"names it in its domain field, {company.domain!r}, which is no usable domain"
    return f"has it as an additional domain, beside {own or company.domain or 'none'}"


def next_of(
    domain: str,
    plan: Plan,
    wanted: Wanted,
    waiting: Mapping[str, Waiting],
    found: Sequence[InHubSpot],
    keys: Tuple[str, str],
    destination: str,
) -> Next:
    """`plan`: for the companies that have to do with the domain; `keys`: of adding and removing."""
    adding, removing = keys
    own = wanted.domain_of(domain) or domain
    if domain in waiting:
        return Next("nothing", f"{waiting[domain].reason}, and it is not asked for again yet")
    if own in {entry.domain for entry in plan.add}:
        return Next(adding, f"it matches, and {destination} does not list it")
    for removal in plan.remove:
        if removal.domain == domain:
            return Next(removing, removal.reason)
    for protected in plan.protected:
        if protected.domain == domain:
            return Next("nothing", protected.reason)
    if own in plan.unchanged:
        return Next("nothing", f"it matches, and {destination} lists it")
    if wanted.unusable_field(domain) is not None:
        return Next("skip", "its domain field in HubSpot is no usable domain")
    reasons = [each.mismatch for each in found if each.mismatch]
    return Next("nothing", reasons[0] if reasons else "no company in HubSpot has this domain")
