"""The list of a destination, read again after writes: it alone tells what they came to."""

from __future__ import annotations

from typing import (
    AbstractSet,
    Callable,
    Iterable,
    Mapping,
    NamedTuple,
    Sequence,
)

from companies.plan import Difference, Listed, Wanted, WantedCompany, compare, found_under
from core.clock import Clock
from core.domains import normalise_domain
from core.errors import ServiceError
from core.log import log

LOOK_AGAIN_AFTER_S = (1.0, 3.0, 6.0, 20.0)  # while the list does not show what was accepted


class Destination(NamedTuple):
    """What a destination of companies can do.

    `lists`: what it does with its rows, such as "PredictLeads follows". `add`: raises NotFound
    where it does not know the company, which is no failure. `remove`: by the bare domain of a row.
    `listed`: the whole list. `listed_under`: the domains under which it may list the company of a
    domain, at a cost, and after them its ids, if it has some; nothing when nobody can tell. Leave
    it out where companies keep their domains."""

    name: str
    lists: str
    add: Callable[[WantedCompany], None]
    remove: Callable[[str], None]
    listed: Callable[[], Listed]
    listed_under: Callable[[str], Sequence[str]] = lambda domain: (domain,)


class ListNow(NamedTuple):
    """`rows`: how many the list has."""

    difference: Difference
    rows: int

    def lacks(self, domains: AbstractSet[str]) -> list[str]:
        return sorted(domains & set(self.difference.missing))


class Afterwards:
    """`names`: wanted domain -> the domain under which the destination keeps the company, as far as
    it has told. `nameless`: the wanted domains that it was asked for in vain lately; `given_up`:
    those for which this has gone on for too long."""

    def __init__(
        self,
        destination: Destination,
        wanted: Wanted,
        names: Mapping[str, str],
        nameless: Iterable[str],
        given_up: Iterable[str],
        clock: Clock,
    ) -> None:
        self._destination = destination
        self._wanted = wanted
        self._clock = clock
        # Domain -> the names that were told when asked.
        self._told: dict[str, Sequence[str]] = dict.fromkeys(nameless, ())
        self._given_up = frozenset(given_up)
        self._tells = True
        self.refused: set[str] = set()  # domains that the destination did not take, now or lately
        self._names = dict(names)
        self.found: dict[str, str] = {}  # the names that are new

    def look(self, present: AbstractSet[str], gone: AbstractSet[str] = frozenset()) -> ListNow:
        """The list, as soon as it shows all wanted domains of `present` and no row of `gone`; else
        as it is after a while. Raises ServiceError, CallRejected."""
        now = self._list()
        now = self.locate(now, now.lacks(present - self.refused))
        for wait_s in LOOK_AGAIN_AFTER_S:
            if not now.lacks(present) and gone.isdisjoint(now.difference.surplus):
                break
            self._clock.sleep(wait_s)
            now = self._list()
        return now

    def nameless(self, now: ListNow) -> list[str]:
        """The wanted domains that were taken, and asked for in vain: any row may be one of them."""
        missing = set(now.difference.missing) - self.refused - self._given_up
        return sorted(domain for domain in missing if self._told.get(domain) == ())

    def misplaced(self, now: ListNow) -> list[str]:
        """The wanted domains that are not listed, not even under the name that was told."""
        return [domain for domain in now.difference.missing if domain in self._names]

    def locate(self, now: ListNow, domains: Iterable[str]) -> ListNow:
        """The list, once the destination was asked for those of the domains that it was not."""
        for domain in domains:
            if domain not in self._told:
                for name in self._ask(domain)[:1]:
                    self._note(domain, name)
        return self._with_names(now)

    def recognise(self, now: ListNow, rows: Sequence[str]) -> tuple[ListNow, set[str]]:
        """The list, once the destination has told which of the rows are misplaced companies; and
        the rows that are others. If it does not tell of each row, what is misplaced is nameless."""
        if rows:
            now = self.locate(now, self.misplaced(now))  # an earlier run may have asked long ago
        misplaced = self.misplaced(now)
        if not (rows and misplaced):
            return now, set()
        known = {domain: {domain, *self._told[domain]} for domain in misplaced}
        others: set[str] = set()
        for row in rows:
            told = self._ask(row)
            found = [domain for domain in known if not known[domain].isdisjoint(told)]
            for domain in found:
                self._note(domain, row)
            if told and not found:
                others.add(row)
        now = self._with_names(now)
        if not all(map(self._ask, rows)):
            self._told.update(dict.fromkeys(self.misplaced(now), ()))
        return now, others

    def forget(self, domains: Iterable[str]) -> None:
        """Ask anew, because the rows of these have gone."""
        for domain in domains:
            self._told.pop(domain, None)

    def _ask(self, domain: str) -> Sequence[str]:
        """The names under which the destination keeps a company, the surest first, once asked for;
        none when it does not tell. After a fault no more is asked."""
        if domain not in self._told:
            self._told[domain] = self._names_told(domain) if self._tells else ()
        return self._told[domain]

    def _names_told(self, domain: str) -> Sequence[str]:
        try:
            told = self._destination.listed_under(domain)
            return tuple(normalise_domain(name) or name for name in told)
        except ServiceError as error:
            log.info("%s So nobody can tell how %s is listed.", error, domain)
            self._tells = False
            return ()

    def _note(self, domain: str, name: str) -> None:
        self._names[domain] = self.found[domain] = name

    def _list(self) -> ListNow:
        rows = self._destination.listed()
        number = len(rows)
        difference = compare(self._wanted, rows, self._destination.lists)
        return self._with_names(ListNow(difference, number))

    def _with_names(self, now: ListNow) -> ListNow:
        return now._replace(difference=found_under(now.difference, self._names, self._wanted))
