"""What a destination of companies lacks and lists too many of, and what is to be changed. Decisions
only, for any destination that lists companies by domain, alone or with identifiers."""

from __future__ import annotations

from typing import Collection, Dict, Iterable, Mapping, NamedTuple, Sequence, Tuple

from companies.matching import Change, HubSpotLookup, Matching, Skipped
from core.addresses import normalise_domain, parse_bare_domain, shared_host

# What came of adding a company, beside the statuses that every change may have: the destination
# does not know it; it accepted it, and does not list it.
UNKNOWN, UNLISTED = "unknown", "unlisted"
LISTED = "listed"  # an answer that is kept for the other name alone

# A list: domain as the destination writes it -> the other domains by which it names the company.
Rows = Dict[str, Tuple[str, ...]]


class Answer(NamedTuple):
    """The last answer about one matching domain.

    `listed_as`: the domain under which the destination says that it lists the company, its own one
    if it tells no other; "" when the question failed, None when it was never asked. After "?" a row
    that may be it: it has come when the company was added, as somebody else's may have. `status`:
    LISTED, or what came of adding it, for the `reason`; `since`, `asked_at`: seconds since 1970.
    """

    domain: str
    listed_as: str | None
    status: str
    reason: str
    since: float
    asked_at: float

    @property
    def alias(self) -> str | None:
        listed_as = self.listed_as or ""
        return None if listed_as.startswith("?") or listed_as == self.domain else self.listed_as

    @property
    def suspect(self) -> str:
        """The row that may be it, or ""."""
        return (self.listed_as or "").partition("?")[2]


def waiting_key(domain: str) -> str:
    """Under which it is noted that something waits for a person."""
    return f"waiting {domain}"


class Kept(NamedTuple):
    """Listed, not matching, and left all the same. `on_purpose`: because a person wants it so."""

    domain: str
    reason: str
    on_purpose: bool = False


class Keep(NamedTuple):
    """What a person wants to stay listed: the companies of some `domains`, under whatever name, for
    the reason `by_name`; and all of them, if there is a reason `by_flag`."""

    domains: frozenset[str] = frozenset()
    by_name: str = ""
    by_flag: str | None = None

    def reason(self, names: Iterable[str]) -> str | None:
        return self.by_flag if self.domains.isdisjoint(names) else self.by_name


class Diff(NamedTuple):
    """Matching domains against listed ones.

    `missing` and `unchanged`: matching domains, in order; `aliased`: listed domain -> the matching
    one that it stands for; `extra`: rows that stand for none, with their other names; `listed`: how
    many companies are listed in all, in so many `rows`.
    """

    missing: list[str]
    unchanged: list[str]
    aliased: dict[str, str]
    extra: Rows
    listed: int
    skipped: list[Skipped]
    rows: int

    def lacks(self, domains: Collection[str]) -> list[str]:
        return [domain for domain in self.missing if domain in domains]


class Plan(NamedTuple):
    """Everything in order of domain; `waiting`: what was refused lately, and is not asked for;
    `listed`, `matching`: how many companies are listed now, and should be."""

    add: tuple[Change, ...]
    remove: tuple[Change, ...]
    unchanged: tuple[str, ...]
    kept: tuple[Kept, ...]
    skipped: tuple[Skipped, ...]
    waiting: tuple[Answer, ...]
    listed: int
    matching: int


class Doubt(NamedTuple):
    """What nobody can tell about a list. `expected`: matching domains that it shows or will show;
    `unexplained`: those that it does not show, so that any row may be one of them, and whether the
    destination has accepted or refused them; `suspects`: rows that are likely to be one."""

    destination: str
    expected: Collection[str]
    unexplained: Mapping[str, str] = {}
    suspects: Collection[str] = ()

    def about(self, removal: Change) -> str | None:
        """Why a row is not to be removed, though no matching company is known by its names."""
        if removal.moved_to and removal.moved_to not in self.expected:
            return f"{removal.reason}, which {self.destination} does not list yet"
        is_other = removal.hubspot_id is not None and removal.domain not in self.suspects
        if self.unexplained and not is_other:
            domain, done = next(iter(self.unexplained.items()))
            return f"it may be {domain}, which {self.destination} {done}"
        return None


def compare(matching: Matching, rows: Rows, aliases: Mapping[str, str], lists: str) -> Diff:
    """A row stands for a company by its domain, by an identifier, by an additional domain in
    HubSpot, or by an alias (domain -> listed domain). `lists`: what the destination does with its
    rows, such as "PredictLeads follows". Empties `rows`: a million of them are not held twice."""
    number = len(rows)
    present: set[str] = set()
    aliased: dict[str, str] = {}
    extra: Rows = {}
    skipped: list[Skipped] = []
    known_as: dict[str, tuple[str, ...]] = {}
    for own, other in aliases.items():
        known_as[other] = (*known_as.get(other, ()), own)
    while rows:
        listed, others = rows.popitem()
        domain = normalise_domain(listed)
        if domain != listed and shared_host(listed):
            domain = None  # the page of one company, on a host of many
        if domain in matching.companies and not others:
            present.add(domain)
            continue
        known = known_as.get(domain or listed, ())
        ids = tuple(filter(None, map(parse_bare_domain, others))) if others else ()
        # The row's own domain is the service's word, an identifier is only what somebody wrote.
        stands_for = [*(matching.domains_of(domain) if domain else ())]
        stands_for = stands_for or [own for name in ids for own in matching.domains_of(name)]
        stands_for += [own for own in known if own in matching.companies]
        present.update(stands_for)
        if stands_for and domain not in matching.companies:
            aliased[domain or listed] = stands_for[0]
        elif domain and not stands_for:  # the alias of one that matches no more explains the row
            extra[domain] = extra.get(domain, ()) + ids + known
        elif not stands_for:
            what = f"{listed!r}, which is not a domain" if listed else "a company without a domain"
            skipped.append(Skipped(None, None, f"{lists} {what}"))
    rows.clear()  # gives the table back, too
    # One company may be known by the name of another, which is listed under a third.
    unseen = {own for own in aliases if own in matching.companies} - present
    while found := {own for own in unseen - present if aliases[own] in present}:
        present |= found
    for domain in aliased.keys() & extra.keys():
        del extra[domain]
    missing = sorted(domain for domain in matching.companies if domain not in present)
    listed_in_all = len(present) + len(extra) + len(skipped)
    return Diff(missing, sorted(present), aliased, extra, listed_in_all, sorted(skipped), number)


def names_of(rows: Rows) -> list[str]:
    """Every domain by which a row may be known in HubSpot."""
    return sorted({name for domain, others in rows.items() for name in (domain, *others)})


def judge(names: Sequence[str], matching: Matching, lookup: HubSpotLookup) -> Change | str:
    """The removal of a row of no matching company, going by what HubSpot holds now, or why it
    stays. `names`: its domain, then its other names.

    It stays when a company that names it matches after all, because the search index, or an edit
    during the read, hid it.
    """
    domain = names[0]
    for text in (matching.unusable[name] for name in names if name in matching.unusable):
        return f"the domain of a matching company in HubSpot is {text!r}"
    found = lookup.naming(names)
    mismatches = [matching.criteria.mismatch(company) for company in found]
    if None in mismatches:
        return "a company in HubSpot with this domain matches after all"
    for each, mismatch in zip(found, mismatches):
        if mismatch and matching.criteria.is_unreadable(each):
            return mismatch
    if found:
        return Change(domain, found[0].name, found[0].id, mismatches[0])
    # No company names the domain now; one that did may be known by its id.
    was_there, company, is_merged = lookup.remembered(names)
    if company is None:
        gone = "it was deleted in HubSpot" if was_there else "no company in HubSpot has this domain"
        return Change(domain, None, None, gone)
    moved_to = normalise_domain(company.domain)
    mismatch = matching.criteria.mismatch(company)
    reason = mismatch or f"its domain in HubSpot is now {moved_to or 'empty'}"
    if is_merged:
        reason = f"it was merged into {company.name or '(no name)'} in HubSpot"
    return Change(domain, company.name, company.id, reason, None if mismatch else moved_to)


def judge_rows(
    rows: Rows, matching: Matching, lookup: HubSpotLookup, doubt: Doubt, keep: Keep
) -> tuple[list[Change], list[Kept]]:
    """Of rows of no matching company: those to remove, and those that stay, in order of domain."""
    remove: list[Change] = []
    kept: list[Kept] = []
    for domain in sorted(rows):
        names = (domain, *rows[domain])
        # There may be a million rows, and mostly no company is to be kept by its name.
        on_purpose = keep.reason(lookup.all_names(names).union(names) if keep.domains else names)
        verdict = on_purpose or judge(names, matching, lookup)
        if isinstance(verdict, Change):
            verdict = doubt.about(verdict) or verdict
        if isinstance(verdict, Change):
            remove.append(verdict)
        else:
            kept.append(Kept(domain, verdict, bool(on_purpose)))
    return remove, kept


def make_plan(
    matching: Matching,
    diff: Diff,
    lookup: HubSpotLookup,
    waiting: Mapping[str, Answer],
    doubt: Doubt,
    keep: Keep,
) -> Plan:
    """`waiting`: what was refused lately."""
    remove, kept = judge_rows(diff.extra, matching, lookup, doubt, keep)
    add = [domain for domain in diff.missing if domain not in waiting]
    return Plan(
        add=tuple(matching.companies[domain] for domain in add),
        remove=tuple(remove),
        unchanged=tuple(diff.unchanged),
        kept=tuple(kept),
        skipped=(*sorted(matching.skipped, key=lambda each: each.hubspot_id or 0), *diff.skipped),
        waiting=tuple(waiting[domain] for domain in diff.missing if domain in waiting),
        listed=diff.listed,
        matching=len(matching.companies),
    )
