"""Why a person is written, or skipped: what HubSpot says, what MailerLite has, and what the next
run would do and why. The decision comes from the function that decides in a run."""

from __future__ import annotations

from typing import Any, Iterable, Iterator, Mapping, Sequence

from cli.command import Run
from core import errors, words
from hubspot_api.shapes import COMPANIES, CONTACTS, Contact
from report.history import Next, change_row, describe_next, describe_past
from report.model import Kind, Row, Section
from state.history import ChangeEntry, History
from subscribers import decide, memory, plan, reading, sections
from subscribers.decide import Action, Decision, KnownPerson, Person
from subscribers.rules import Rules, objections
from subscribers.setup import Setup

WHO = "this person"


def explain(
    run: Run, services: reading.Services, setup: Setup, store: memory.PersonStore, history: History
) -> errors.Outcome:
    """Each of the addresses of `--explain`; what the next run would do, limits aside."""
    emails, rules = run.args.explain, setup.rules_in_force()
    contacts = reading.ContactReader(services.hubspot, rules).called(emails, store)
    there = reading.subscribers_called(emails, contacts, services.mailerlite, rules, store)
    people = {each.email: each for each in plan.find_people(contacts, there, store)}
    rows: list[Row] = []
    for email in emails:
        person, known = people.get(email, Person(email)), store.lookup(email)
        changes = history.changes_of(store.hash_of(email))
        decision = decide.decide(person, store, rules)
        row = {
            **_next_row(decision, setup.group_names),
            "hubspot": _contact_rows(person, decide.by_change(contacts), known, rules, setup),
            "remembered": _describe_known(known, person.subscriber is not None),
            "history": [change_row(change) for change in changes],
        }
        run.explain([*_describe(row, rules, setup, changes)], row["hubspot"])
        rows.append(row)
    columns = ("email", "next", "reason", "fields", "hubspot", "destination", "history")
    section = Section("explain", "Explained", Kind.STEP, columns, rows)
    return run.answer("What happens to these people, and why", [section])


def next_of(decision: Decision, groups: Mapping[str, str]) -> Next:
    """Limits aside."""
    action, reason, refused = decision.action, decision.reason, decision.refused
    if action is Action.CREATE:
        reason = "they are in HubSpot but not in MailerLite"
    elif action is Action.UPDATE:
        joins = f"they belong in {words.listing(_names(decision.groups.join, groups))}"
        reason = "their values in HubSpot are different" if decision.values.to_send else joins
    elif decision.groups.leave:
        action, reason = Action.LEAVE, decision.why_leaves
    elif refused:
        reason = f"MailerLite rejected them ({refused.reason})"
        reason += f"; they will be retried on {refused.describe_day()}"
        action = Action.SKIP
    elif action is Action.ORPHAN:
        action = Action.NOTHING
    return Next(action.value, reason or "MailerLite is up to date")


def _next_row(decision: Decision, groups: Mapping[str, str]) -> dict[str, Any]:
    coming, subscriber = next_of(decision, groups), decision.person.subscriber
    there = dict(subscriber.fields) if subscriber else {}
    # Who waits after a refusal would be written, but is not.
    sent = {} if decision.action is Action.WAIT else decision.values.to_send
    destination = [
        {"status": each.status, "fields": there, "groups": _names(each.groups, groups)}
        for each in filter(None, [subscriber])
    ]
    return {
        "email": decision.person.email,
        "next": coming.action,
        "reason": coming.reason,
        "fields": [{"field": key, "old": there.get(key), "new": sent[key]} for key in sent],
        "details": list(_details(decision, groups)),
        "destination": destination,
    }


def _contact_rows(
    person: Person, contacts: Sequence[Contact], known: KnownPerson, rules: Rules, setup: Setup
) -> list[Row]:
    """Of the contacts those that name the address, or did."""
    ids, url = [each.id for each in person.contacts], setup.record_url(CONTACTS)
    naming = [
        each
        for each in contacts
        if each.id in (*ids, known.contact_id) or person.email in decide.other_addresses(each)
    ]
    return [
        {
            "id": each.id,
            "link": f"{url}{each.id}" if url else None,
            "how": _how(each, ids, known),
            "objections": [rules.consent[one] for one in objections([each], rules.consent)],
            "reason": rules.scope.out_of_scope([each]),
            "company_id": decide.company_id(each) if rules.company_properties else None,
        }
        for each in naming
    ]


def _how(contact: Contact, ids: Sequence[int], known: KnownPerson) -> str:
    now = contact.values["email"] or "none"
    if contact.id in ids[:-1]:
        return f"has this address; {decide.OLDER}"
    if contact.id in ids:
        because = ", because it was updated last" if len(ids) > 1 else ""
        return f"has this address and is the one used{because}"
    if contact.id == known.contact_id:
        return f"had this address before and now has {now}; its opt-outs still count"
    return f"has this address besides its own, {now}; its opt-outs count for both"


def _details(decision: Decision, groups: Mapping[str, str]) -> Iterator[str]:
    """Groups, and values that are not sent."""
    values, of_groups = decision.values, decision.groups
    for joined in of_groups.join if decision.action is not Action.WAIT else ():
        again = " again, after somebody removed them from it" if joined in of_groups.rejoin else ""
        yield f"joins {groups[joined]}{again}"
    for left in of_groups.leave:
        yield f"leaves {groups[left]}: {decision.why_leaves}"
    for left in of_groups.removed_by_hand:
        yield f"is not added to {groups[left]} again, because somebody removed them from it"
    for key in values.unusable:
        yield f"{key}: not sent, because the value in HubSpot does not fit the field"
    for key in values.other_form:
        yield f"{key}: not sent, because MailerLite stores it in another form"
    for key, refused in values.refused.items():
        yield f"{key}: rejected by MailerLite, will be retried on {refused.describe_day()}"


def _describe(
    row: Row, rules: Rules, setup: Setup, changes: Sequence[ChangeEntry]
) -> Iterator[str]:
    """Plain sentences."""
    yield row["email"]
    yield describe_next(Next(row["next"], row["reason"]), sections.VERBS, WHO)
    for each in row["fields"]:
        yield f"    {each['field']}: {each['old'] or '(empty)'} -> {each['new']}"
    for line in row["details"]:
        yield f"    {line}"
    if not row["hubspot"]:
        yield "  HubSpot has no contact with this address."
    for each in row["hubspot"]:
        yield f"  HubSpot: {' '.join(_describe_contact(each, rules, setup))}"
    if not row["destination"]:
        yield "  MailerLite does not have this person."
    for there in row["destination"]:
        values = [f"{key} {value}" for key, value in there["fields"].items() if value]
        shown = words.listing(values) or "no values"
        yield (
            f"  MailerLite has this person: {there['status']}, with {shown},"
            f" in {words.listing(there['groups']) or 'no group'}."
        )
    yield f"  {row['remembered']}"
    yield describe_past(changes, sections.VERBS, WHO)


def _describe_contact(row: Row, rules: Rules, setup: Setup) -> Iterator[str]:
    record = f"{row['id']}, {row['link']}" if row["link"] else str(row["id"])
    yield f"contact {record} {row['how']}."
    objections = ", ".join(row["objections"])
    yield f"No mail allowed: {objections}." if objections else "No opt-outs."
    if row["reason"]:
        yield f"Out of scope: {row['reason']}."
    elif scope := rules.scope.describe():
        yield f"In scope: {scope}."
    company, url = row["company_id"], setup.record_url(COMPANIES)
    if company:
        yield f"Its company is {company}{f', {url}{company}' if url else ''}."


def _describe_known(known: KnownPerson, is_there: bool) -> str:
    if not known.is_known:
        return "No earlier run has seen this person in MailerLite."
    written = "created or updated" if known.is_written else "seen"
    opted_out = " and opted them out in HubSpot" if known.is_opted_out else ""
    gone = "" if is_there else " Somebody has deleted them in MailerLite since."
    return f"Earlier runs have {written} this person in MailerLite{opted_out}.{gone}"


def _names(ids: Iterable[str], groups: Mapping[str, str]) -> list[str]:
    return sorted(groups.get(each, each) for each in ids)
