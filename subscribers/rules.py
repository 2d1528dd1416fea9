"""What a decision about a person goes by: who is in scope, consent, fields and groups."""

from __future__ import annotations

from typing import AbstractSet, Mapping, NamedTuple, Sequence

from core.conditions import Condition, Property
from core.values import split_values
from hubspot_api.shapes import ADDITIONAL_EMAILS, Contact
from subscribers.consent import OptOut
from subscribers.values import OF_COMPANY, Field

COMPANY_ID = "associatedcompanyid"  # of the primary company, if there is one
# And those of consent, and those of the fields.
PLAN_PROPERTIES = ("email", ADDITIONAL_EMAILS, "lastmodifieddate")


class Scope(NamedTuple):
    """Which contacts are in scope, though the rules of consent come first. `members`: ids of
    those in the list, None without a list; `conditions`: all of which must hold, each with the
    definition of its property."""

    list_name: str = ""
    members: AbstractSet[int] | None = None
    conditions: Sequence[tuple[Condition, Property]] = ()

    def out_of_scope(self, contacts: Sequence[Contact]) -> str | None:
        """Why a person is out of scope who has these contacts, the one changed last at the end;
        None when any of them is in scope, or there is none."""
        reasons = [self._out_of_scope(each) for each in contacts]
        return reasons[-1] if reasons and all(reasons) else None

    def _out_of_scope(self, contact: Contact) -> str | None:
        if self.members is not None and contact.id not in self.members:
            return f"not in the list {self.list_name}"
        for condition, known in self.conditions:
            if mismatch := condition.mismatch(contact.values[known.name], known):
                return mismatch
        return None

    def in_scope(self, contact: Contact) -> bool:
        return self._out_of_scope(contact) is None

    def describe(self) -> str:
        """Who is in scope; "" for everybody."""
        in_list = [f"in the list {self.list_name}"] if self.members is not None else []
        return " and ".join([*in_list, *(["matching CONTACT_FILTER"] if self.conditions else [])])


class Mirror(NamedTuple):
    """Groups of MailerLite that hold exactly the people who are in scope and may get mail.

    `groups`: their ids, by the value of the property `by` that they are for; the group of all these
    people is that of "". `names`: by id. A group that is still to be made has its `placeholder` as
    id.
    """

    groups: Mapping[str, str] = {}
    by: Property | None = None
    names: Mapping[str, str] = {}

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(self.groups.values())

    def groups_of(self, contact: Contact) -> tuple[str, ...]:
        """Where somebody who is in scope and may get mail belongs."""
        values = split_values(contact.values[self.by.name], self.by.is_multiple) if self.by else ()
        found = (self.groups[value] for value in ("", *values) if value in self.groups)
        return tuple(dict.fromkeys(found))

    def with_made(self, made: Mapping[str, str]) -> Mirror:
        """With groups that were to be made: placeholder -> id."""
        groups = {value: made.get(id, id) for value, id in self.groups.items()}
        return Mirror(groups, self.by, {made.get(id, id): self.names[id] for id in self.names})


def placeholder(name: str) -> str:
    return f"new: {name}"


class Rules(NamedTuple):
    """`consent`: property -> the reason not to write; `groups`: ids that everyone joins; `restore`:
    deleted people, as canonical addresses, to create again; `keep_in_group`: who leaves no
    mirrored group, as canonical addresses; `opt_out`: of what people are opted out in HubSpot who
    have left MailerLite, if that is clear; `opt_out_unsubscribed`: whether they are."""

    fields: Sequence[Field] = ()
    consent: Mapping[str, str] = {}
    groups: Sequence[str] = ()
    scope: Scope = Scope()
    mirror: Mirror = Mirror()
    fill_only: bool = False
    unsubscribe_opted_out: bool = False
    restore: AbstractSet[str] = frozenset()
    keep_in_group: AbstractSet[str] = frozenset()
    opt_out: OptOut | None = None
    opt_out_unsubscribed: bool = False

    @property
    def properties(self) -> tuple[str, ...]:
        """All that a decision looks at in a contact itself."""
        names = (field.property for field in self.fields)
        fields = (COMPANY_ID if name.startswith(OF_COMPANY) else name for name in names)
        return tuple(dict.fromkeys((*PLAN_PROPERTIES, *self.needed, *fields)))

    @property
    def company_properties(self) -> tuple[str, ...]:
        """All that it looks at in the contact's company."""
        names = (field.property for field in self.fields if field.property.startswith(OF_COMPANY))
        return tuple(dict.fromkeys(name[len(OF_COMPANY) :] for name in names))

    @property
    def needed(self) -> tuple[str, ...]:
        """Without these an answer says nothing of a contact."""
        scope = (condition.property for condition, _ in self.scope.conditions)
        mirror = (self.mirror.by.name,) if self.mirror.by else ()
        return ("email", *self.consent, *scope, *mirror)

    @property
    def with_groups(self) -> bool:
        """Whether a decision looks at the groups of a subscriber."""
        return bool(self.groups or self.mirror.ids)

    @property
    def keys(self) -> list[str]:
        return [field.key for field in self.fields]
