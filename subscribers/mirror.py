"""Groups of MailerLite that hold exactly the people who are meant: pure decisions."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    AbstractSet,
    Iterable,
    Mapping,
    NamedTuple,
)

from core.conditions import describe_value
from core.values import split_values
from core.words import count, listing

if TYPE_CHECKING:
    from core.conditions import Property
    from hubspot_api.shapes import Contact

NOT_LEFT = "MailerLite's list still has the person in the group"
NOT_JOINED = "MailerLite's list does not have the person in the group"


class Mirror(NamedTuple):
    """`everyone`: id of the group of all who are meant, "" for none; `by`: the property whose
    values have a group each, `by_value`: value -> id of it; `names`: id -> name. A group that is
    still to be made has its `placeholder` as id; `made`: that -> id of those made since."""

    everyone: str = ""
    by: Property | None = None
    by_value: Mapping[str, str] = {}
    names: Mapping[str, str] = {}
    made: Mapping[str, str] = {}

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(filter(None, (self.everyone, *self.by_value.values())))

    @property
    def properties(self) -> list[str]:
        return [self.by.name] if self.by else []

    @property
    def to_make(self) -> list[str]:
        """Names."""
        return [self.names[id] for id in sorted(self.ids) if id == placeholder(self.names[id])]

    def groups_of(self, contact: Contact) -> tuple[str, ...]:
        """Where somebody who is meant and may get mail belongs."""
        values = split_values(contact.values[self.by.name], self.by.is_multiple) if self.by else ()
        by_value = (self.by_value.get(value, "") for value in values)
        return tuple(dict.fromkeys(filter(None, (self.everyone, *by_value))))

    def why_changed(self, contact: Contact) -> str:
        """Why somebody who is meant belongs to another group now."""
        return describe_value(contact.values[self.by.name], self.by) if self.by else ""

    def with_made(self, name: str, id: str) -> Mirror:
        """With a group that was to be made."""
        made = {placeholder(name): id}
        return self._replace(
            everyone=made.get(self.everyone, self.everyone),
            by_value={value: made.get(each, each) for value, each in self.by_value.items()},
            names={**self.names, id: name},
            made={**self.made, **made},
        )

    def real(self, group: str) -> str:
        return self.made.get(group, group)


class Membership(NamedTuple):
    """That a person, by canonical address, is in a group, by id."""

    email: str
    group: str


class Comparison(NamedTuple):
    """The groups as MailerLite lists them, against who belongs there. `listed`: how many people
    they have who can get mail; somebody may be in several."""

    listed: int
    missing: frozenset[Membership]
    unwanted: frozenset[Membership]


def number_of(members: Iterable[Membership]) -> int:
    """How many people they are: somebody may be in several groups."""
    return len({each.email for each in members})


def placeholder(name: str) -> str:
    return f"new: {name}"


def compare(
    wanted: AbstractSet[Membership],
    there: Mapping[Membership, bool],
    left_alone: AbstractSet[str],
) -> Comparison:
    """`there`: all members, each with whether they can get mail; `left_alone`: addresses that are
    neither missing nor unwanted."""
    can_get_mail = {each for each, can in there.items() if can}
    missing = (each for each in wanted - there.keys() if each.email not in left_alone)
    unwanted = (each for each in can_get_mail - wanted if each.email not in left_alone)
    return Comparison(number_of(can_get_mail), frozenset(missing), frozenset(unwanted))


def wanted_now(
    planned: Iterable[Membership], decided: Mapping[str, Iterable[str]]
) -> AbstractSet[Membership]:
    """Who belongs where, after some were decided upon anew: address -> ids of groups."""
    kept = {each for each in planned if each.email not in decided}
    return kept | {Membership(email, group) for email, ids in decided.items() for group in ids}


def checked_in_words(
    found: Comparison, wanted: AbstractSet[Membership], names: Iterable[str]
) -> str:
    groups = sorted(names)
    is_one = len(groups) == 1
    place = f"the group {groups[0]}" if is_one else f"{len(groups)} groups"
    people = number_of(wanted)
    here = f"{people - number_of(found.missing):,} of" if found.missing else "all"
    belong = count(people, "person who belongs", "people who belong")
    text = f"{place} {'has' if is_one else 'have'} {here} {belong} there"
    nobody_else = " and nobody else"
    if not wanted:
        text, nobody_else = f"nobody belongs into {place}", ", and nobody is there"
    rest = [text if found.unwanted or found.missing else text + nobody_else]
    rest += [f"Missing: {_emails(found.missing)}"] if found.missing else []
    rest += [f"There and not wanted: {_emails(found.unwanted)}"] if found.unwanted else []
    return f"{'. '.join(rest)}."


def _emails(members: Iterable[Membership]) -> str:
    return listing(sorted({each.email for each in members}))
