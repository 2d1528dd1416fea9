"""Why a person is written, or left alone: what HubSpot says, what MailerLite has, and what the next
run would do and why. The decision comes from the function that decides in a run."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Any,
    Iterable,
    Iterator,
    Mapping,
    NamedTuple,
    Sequence,
)

from core.emails import canonical
from core.words import listing
from hubspot_api.shapes import addresses
from report.history import Next, change_row, describe_next, describe_past
from report.model import Kind, Section
from subscribers.consent import objections
from subscribers.plan import (
    NEVER_A_CONTACT,
    NO_CONTACT,
    OLDER,
    Action,
    Decision,
    Person,
    Rules,
    Trace,
    company_id,
)
from subscribers.sections import LEAVE, VERBS

if TYPE_CHECKING:
    from hubspot_api.shapes import Contact
    from mailerlite_api.shapes import Subscriber
    from state.history import ChangeEntry

WOULD = {
    Action.CREATE.value: "be created",
    Action.UPDATE.value: "be updated",
    Action.UNSUBSCRIBE.value: "be unsubscribed",
    Action.OPT_OUT.value: "be opted out in HubSpot",
    LEAVE: "be removed from a group",
}
WHO = "this person"
ALL_THERE = "MailerLite has what HubSpot has"
COUNTS = "has this address, and counts"


class InHubSpot(NamedTuple):
    """A contact that names the address. `objections`: to mail; `not_meant`: why it is not, else
    `meant` says by what it is chosen, if not all are; `company_id`: whose values are used."""

    contact_id: int
    how: str
    objections: Sequence[str]
    not_meant: str | None
    meant: str
    company_id: int | None


class Places(NamedTuple):
    """`groups`: id -> name; `contact`, `company`: what an id follows to make the address of the
    record, None where HubSpot does not tell."""

    groups: Mapping[str, str]
    contact: str | None
    company: str | None


class Explained(NamedTuple):
    email: str
    decision: Decision
    found: Sequence[InHubSpot]
    subscriber: Subscriber | None
    trace: Trace
    history: Sequence[ChangeEntry]
    places: Places

    @property
    def next(self) -> Next:
        return next_of(self.decision, self.places.groups)


def in_hubspot(
    person: Person, contacts: Sequence[Contact], trace: Trace, rules: Rules
) -> list[InHubSpot]:
    """Of the contacts those that name the address, or did."""
    ids = {each.id for each in person.contacts}
    return [
        InHubSpot(
            contact.id,
            _how(contact, person, trace),
            [each.reason for each in objections([contact], rules.consent)],
            rules.selection.why_not([contact]),
            rules.selection.in_words(),
            company_id(contact) if rules.of_company else None,
        )
        for contact in contacts
        if contact.id in ids
        or contact.id == trace.contact_id
        or person.email in map(canonical, addresses(contact))
    ]


def _how(contact: Contact, person: Person, trace: Trace) -> str:
    ids = [each.id for each in person.contacts]
    now = contact.values["email"] or "none"
    if contact.id in ids[:-1]:
        return f"has this address; {OLDER}"
    if contact.id in ids:
        return COUNTS + (", because it was changed last" if len(ids) > 1 else "")
    if contact.id == trace.contact_id:
        return f"had this address, and has {now} now; what it objects to still counts"
    return f"has it beside {now}, under which it counts"


def next_of(decision: Decision, groups: Mapping[str, str]) -> Next:
    """Limits aside."""
    action, reason = decision.action, decision.reason
    if action is Action.CREATE:
        return Next(action.value, "HubSpot has this person, and MailerLite does not")
    if action is Action.UPDATE:
        joins = f"they belong into {listing(_names(decision.groups, groups))}"
        return Next(action.value, "HubSpot has other values" if decision.fields else joins)
    if action in (Action.UNSUBSCRIBE, Action.OPT_OUT):
        return Next(action.value, reason)
    if decision.leaves:
        return Next(LEAVE, decision.why_leaves)
    if action is Action.WAIT:
        refused = decision.refused[""]
        words = f"MailerLite has refused them ({refused.reason})"
        return Next("skip", f"{words}, and is asked again from {refused.again_in_words} on")
    if action is Action.SKIP:
        return Next("skip", reason)
    is_stranger = reason == NO_CONTACT and decision.was is None
    return Next("nothing", NEVER_A_CONTACT if is_stranger else reason or ALL_THERE)


def in_words(explained: Explained) -> Iterator[str]:
    """Plain sentences."""
    places, subscriber = explained.places, explained.subscriber
    yield explained.email
    if not explained.found:
        yield "  HubSpot has no contact with this address."
    for each in explained.found:
        yield f"  HubSpot: {' '.join(_contact(each, places))}"
    there = _there(subscriber, places.groups) if subscriber else "does not have this person"
    yield f"  MailerLite {there}."
    yield f"  {_remembered(explained.trace, subscriber is not None)}"
    yield describe_next(explained.next, WOULD, WHO)
    for row in _fields(explained):
        yield f"    {row['field']}: {row['old'] or '(empty)'} -> {row['new']}"
    for line in _details(explained.decision, places.groups):
        yield f"    {line}"
    yield describe_past(explained.history, VERBS, WHO)


def _contact(each: InHubSpot, places: Places) -> Iterator[str]:
    yield f"contact {_record(each.contact_id, places.contact)} {each.how}."
    yield f"It says: {', '.join(each.objections)}." if each.objections else "It objects to no mail."
    if each.not_meant:
        yield f"It is not meant: {each.not_meant}."
    elif each.meant:
        yield f"It is meant: {each.meant}."
    if each.company_id:
        yield f"The values of company {_record(each.company_id, places.company)} are used."


def _record(record_id: int, url: str | None) -> str:
    return f"{record_id}, {url}{record_id}" if url else str(record_id)


def _there(subscriber: Subscriber, groups: Mapping[str, str]) -> str:
    values = [f"{key} {value}" for key, value in subscriber.fields.items() if value]
    return (
        f"has this person: {subscriber.status}, with {listing(values) or 'no values'}, in"
        f" {listing(_names(subscriber.groups, groups)) or 'no group'}"
    )


def _remembered(trace: Trace, is_there: bool) -> str:
    if not trace.is_known:
        return "No earlier run has seen this person in MailerLite."
    written = "written this person to" if trace.is_written else "seen this person in"
    opted_out = ", opted them out in HubSpot" if trace.is_opted_out else ""
    gone = "" if is_there else ", and somebody has deleted them there since"
    return f"Earlier runs have {written} MailerLite{opted_out}{gone}."


def _details(decision: Decision, groups: Mapping[str, str]) -> Iterator[str]:
    """Groups, and values that are not sent."""
    for joined in decision.groups if _writes(decision) else ():
        again = ", from which somebody took them out" if joined in decision.rejoins else ""
        yield f"joins {groups[joined]}{again}"
    for left in decision.leaves:
        yield f"leaves {groups[left]}: {decision.why_leaves}"
    for left in decision.taken_out:
        yield f"stays out of {groups[left]}, because somebody took them out of it"
    for key in decision.unusable:
        yield f"{key}: not sent, because the field cannot hold what HubSpot has"
    for key in decision.other_form:
        yield f"{key}: not sent, because MailerLite keeps it in another form"
    for key, refused in decision.refused.items():
        if key:
            yield f"{key}: not sent before {refused.again_in_words}, because MailerLite refused it"


def _fields(explained: Explained) -> list[dict[str, Any]]:
    there = explained.subscriber.fields if explained.subscriber else {}
    written = explained.decision.fields.items() if _writes(explained.decision) else ()
    return [{"field": key, "old": there.get(key), "new": value} for key, value in written]


def _writes(decision: Decision) -> bool:
    """Who waits after a refusal would be written, and is not."""
    return decision.action is not Action.WAIT


def _names(ids: Iterable[str], groups: Mapping[str, str]) -> list[str]:
    return sorted(groups.get(each, each) for each in ids)


def section(explained: Sequence[Explained]) -> Section:
    columns = ("email", "next", "reason", "fields", "hubspot", "destination", "history")
    rows = [_row(each) for each in explained]
    return Section("explain", "Explained", Kind.STEP, columns, rows)


def _row(each: Explained) -> dict[str, Any]:
    places, subscriber = each.places, each.subscriber
    return {
        "email": each.email,
        "next": each.next.action,
        "reason": each.next.reason,
        "fields": _fields(each),
        "details": list(_details(each.decision, places.groups)),
        "hubspot": [
            {
                "id": found.contact_id,
                "link": f"{places.contact}{found.contact_id}" if places.contact else None,
                "how": found.how,
                "objections": list(found.objections),
                "reason": found.not_meant,
                "company_id": found.company_id,
            }
            for found in each.found
        ],
        "destination": [
            {
                "status": subscriber.status,
                "fields": dict(subscriber.fields),
                "groups": _names(subscriber.groups, places.groups),
            }
        ]
        if subscriber
        else [],
        "remembered": _remembered(each.trace, subscriber is not None),
        "history": [change_row(change) for change in each.history],
    }
