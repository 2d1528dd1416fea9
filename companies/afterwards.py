"""The list of a destination, read again after writes: it alone tells what they came to."""

from __future__ import annotations

import logging
from typing import AbstractSet, Callable, Dict, List, Mapping, NamedTuple, Sequence, Set

from basics.domains import normalise_domain
from basics.errors import ServiceError
from companies.plan import Difference, Listed, Wanted, compare, found_under
from transport.clock import Clock

LOOK_AGAIN_AFTER_S = (1.0, 3.0, 6.0)  # while the list does not show what was accepted

log = logging.getLogger("crm_sync")


class Destination(NamedTuple):
    """What a destination of companies can do, each by a bare domain.

    `lists`: what it does with its rows, such as "PredictLeads follows". `listed`: the whole list.
    `listed_under`: the domains under which it may list the company of a domain, at a cost; a
    destination that never renames returns none.
    """

    name: str
    lists: str
    add: Callable[[str], None]
    remove: Callable[[str], None]
    listed: Callable[[], Listed]
    listed_under: Callable[[str], Sequence[str]]


class ListNow(NamedTuple):
    """`rows`: how many the list has."""

    difference: Difference
    rows: int

    def lacks(self, domains: AbstractSet[str]) -> List[str]:
        return sorted(domains & set(self.difference.missing))


class Afterwards:
    """`names`: wanted domain -> the other domain under which it is listed; `found`: those that were
    found out by asking."""

    def __init__(
        self, destination: Destination, wanted: Wanted, names: Mapping[str, str], clock: Clock
    ) -> None:
        self._destination = destination
        self._wanted = wanted
        self._clock = clock
        self.asked: Set[str] = set()  # about the names of these
        self.doubtful: Set[str] = set()  # those of them for which no answer tells
        self._names = names
        self.found: Dict[str, str] = {}

    def look(self, present: AbstractSet[str], gone: AbstractSet[str] = frozenset()) -> ListNow:
        """The list, as soon as it shows all wanted domains of `present` and no row of `gone`; else
        as it is after a while. Raises ServiceError, CallRejected."""
        now = self._find(self._list(), present)
        for wait_s in LOOK_AGAIN_AFTER_S:
            if not now.lacks(present) and gone.isdisjoint(now.difference.surplus):
                break
            self._clock.sleep(wait_s)
            now = self._list()
        return now

    def _find(self, now: ListNow, present: AbstractSet[str]) -> ListNow:
        """Ask, once for each, under which other names the missing companies stand in the list."""
        missing = [domain for domain in now.lacks(present) if domain not in self.asked]
        listed = now.difference.listed_names() if missing else set()
        self.doubtful.update(missing)
        for domain in missing:
            self.asked.add(domain)
            try:
                others = list(map(normalise_domain, self._destination.listed_under(domain)))
            except ServiceError as error:
                log.info("%s So nobody can tell how %s is listed.", error, domain)
                break
            name = next((other for other in others if other in listed), None)
            if name:
                self.found[domain] = name
            if name or domain in others:  # it is kept under its own name, and not listed yet
                self.doubtful.discard(domain)
        return self._with_names(now)

    def _list(self) -> ListNow:
        rows = self._destination.listed()
        number = len(rows)
        difference = compare(self._wanted, rows, self._destination.lists)
        return self._with_names(ListNow(difference, number))

    def _with_names(self, now: ListNow) -> ListNow:
        names = {**self._names, **self.found}
        return now._replace(difference=found_under(now.difference, names, self._wanted))
