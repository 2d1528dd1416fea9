"""A company that a destination lists under another name than HubSpot's. Five rules:

1. A row stands for a company by its domain, its identifier, an additional domain in HubSpot or a
   remembered alias (`plan.compare`).
2. Additions come first. What was accepted and is not listed a few seconds later is asked for once,
   and so is, where rows are to be removed, what was refused. The alias is remembered.
3. While something of it stays unexplained, a row is removed only if HubSpot knows it as a company
   that does not match (`plan.Doubt`), and this for a few days at most.
4. If a company that was listed is missing after the removals, it is added again, and the row that
   took it along is remembered.
5. The list that was read last decides what is reported (`apply.py`).

A destination without `aliases_of` passes through none of this.
"""

from __future__ import annotations

from typing import AbstractSet, Callable, Collection, Iterable, Sequence

from companies import plan, state
from core import addresses, errors, log, words

MOST_QUESTIONS = 20  # in a run, of each kind: a question has its price


class Aliases:
    """`aliases_of`: as of a destination."""

    def __init__(self, aliases_of: Callable[[str], Sequence[str]], answers: state.Answers) -> None:
        self._aliases_of, self._answers = aliases_of, answers
        self._told: dict[str, Sequence[str]] = {}  # in this run, also nothing

    def renew(self, matching: Collection[str]) -> None:
        """Ask again for what was told long ago: companies that were one may be two by now."""
        aliases, known = self._answers.aliases(), self._answers.by_domain
        old = [
            domain
            for domain in sorted(aliases.keys() & set(matching))
            if known[domain].status == plan.LISTED
            and not self._answers.is_recent(known[domain].asked_at)
        ]
        names: Sequence[str] | None = ()
        for domain in old[:MOST_QUESTIONS]:
            names = None if names is None else self._names(domain)
            if names and aliases[domain] not in names:
                self._answers.forget(domain)
            else:  # if it cannot be asked for, what is known will do
                self._answers.note_name(domain, aliases[domain])

    def ask(self, now: plan.Diff, accepted: AbstractSet[str], refused: AbstractSet[str]) -> bool:
        """Ask for the missing ones of these, each once; whether an alias was told that is listed
        already."""
        missing = (*now.lacks(accepted), *now.lacks(refused - accepted))
        domains = [domain for domain in missing if domain not in self._told]
        number = min(len(domains), MOST_QUESTIONS - len(self._told))
        if number > 0:
            log.info("Looking up the other domains of %s.", words.companies(number))
        can_ask, is_listed = True, False
        for domain in domains:
            names = self._names(domain) if can_ask and len(self._told) < MOST_QUESTIONS else None
            can_ask = names is not None  # after a failure no more is asked
            listed = [name for name in names or () if name in now.extra or name in now.aliased]
            is_listed = is_listed or bool(listed)
            told = "" if names is None else [*listed, *names, domain][0]
            self._answers.note_name(domain, told)
            self._told[domain] = names or ()
        return is_listed

    def unexplained(self, missing: Iterable[str], accepted: Collection[str] = ()) -> dict[str, str]:
        """The missing domains that any row may be, and what the destination has done: accepted in
        this run (`accepted`) or not too long ago; or refused, while the question failed."""
        found: dict[str, str] = {}
        for domain in missing:
            answer = self._answers.by_domain.get(domain)
            status = answer.status if answer else plan.LISTED
            if answer and status != plan.LISTED and not self._answers.is_recent(answer.since):
                continue
            if domain in accepted or status == plan.UNLISTED:
                found[domain] = "accepted but does not list"
            elif answer and answer.listed_as == "":
                found[domain] = "rejected"
        return found

    def suspect(self, now: plan.Diff, accepted: AbstractSet[str], rows: Collection[str]) -> None:
        """Extra rows that were not among these `rows` have come with what was accepted. If that is
        missing they may be it, or somebody else's: nobody removes them while that is open."""
        missing = [each for each in now.lacks(accepted) if self._told.get(each)]
        for domain, row in zip(missing, sorted(now.extra.keys() - rows)):
            self._answers.note_name(domain, f"?{row}")

    def recognise(self, now: plan.Diff, accepted: AbstractSet[str], before: plan.Diff) -> bool:
        """Whether the list shows what was added again, after it had been lost, under another name:
        by a row that is back, or by the loss of another company that it showed `before`. Of
        several, nobody can tell which is which."""
        missing, back = now.lacks(accepted), now.extra.keys() - before.extra.keys()
        is_back = len(missing) == len(back) == 1
        if is_back:
            self._answers.note_name(*missing, *back)
        # The row that is back may be that of the other company, under a new name.
        lost, listed = now.lacks(set(before.unchanged)), accepted - set(() if is_back else missing)
        is_other = len(lost) == len(listed) == 1
        if is_other:
            self._answers.note_name(*lost, *listed)
        return is_back or is_other

    def _names(self, domain: str) -> list[str] | None:
        """The domains that the destination tells; None when the question fails."""
        try:
            return [
                name for name in map(addresses.normalise_domain, self._aliases_of(domain)) if name
            ]
        except errors.ServiceError as error:
            log.info("%s The other domains of %s are not known.", error, domain)
            return None
