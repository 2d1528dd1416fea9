"""A plan for subscribers, and what came of it: sections of the report, and lines on the screen."""

from __future__ import annotations

from collections import Counter
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

from cli.changes import DONE, FAILED, SKIPPED, Result, rows_of
from cli.screen import Screen
from core.words import count
from report.model import Kind, Row, Section
from subscribers.plan import (
    NO_CONTACT,
    OTHER_ADDRESS,
    STILL_SUBSCRIBED,
    SUBSCRIBED_AGAIN,
    Action,
    Decision,
    Leave,
    Plan,
    Waiting,
    people,
)
from subscribers.values import Field

SHOWN = 50  # lines of each list on the screen; the report has all
SKIP_HINT = (
    "Who has opted out or unsubscribed stays out. A wrong address is fixed in the contact's record"
    " in HubSpot."
)
DECIDE_HINT = (
    "Unsubscribe them in MailerLite, or let a run with --unsubscribe-opted-out do it. Whoever wants"
    " mail after all opts in again in HubSpot."
)
AGAIN_HINT = (
    "Earlier runs opted them out in HubSpot, since they had left MailerLite. Whoever wants mail"
    " after all opts in again in HubSpot; unsubscribe the others in MailerLite."
)
LEAVER_HINT = "Unsubscribe or delete in MailerLite who should get no more mail."


LEAVE = "leave"  # beside the actions, each with what is said once it is done
VERBS = {
    Action.CREATE.value: "created",
    Action.UPDATE.value: "updated",
    Action.UNSUBSCRIBE.value: "unsubscribed",
    Action.OPT_OUT.value: "opted out in HubSpot",
    LEAVE: "removed from a group",
}


class Results(NamedTuple):
    """What came of the changes. `people`: each with what was really decided about the person right
    before the write; `refused`: people and values that MailerLite was not known to refuse;
    `leave`: of mirrored groups."""

    create_fields: Sequence[Result]
    people: Sequence[tuple[Decision, Result]] = ()
    refused: Sequence[Waiting] = ()
    create_groups: Sequence[Result] = ()
    leave: Sequence[tuple[Leave, Result]] = ()

    def done(self, action: Action) -> int:
        return sum(each.action is action and made.status == DONE for each, made in self.people)

    @property
    def no_longer_active(self) -> int:
        return sum(
            each.action is Action.UNSUBSCRIBE and each.was == "active" and made.status == DONE
            for each, made in self.people
        )


def sections(
    plan: Plan,
    missing: Sequence[Field],
    groups: Mapping[str, str],
    results: Results | None = None,
    groups_to_make: Sequence[str] = (),
) -> list[Section]:
    """`missing`: the fields to create; `groups`: id -> name; `groups_to_make`: names. Who was
    left out right before the write, or by it, is a skipped person and no failure."""
    fields = rows_of(
        [{"key": field.key, "type": field.type} for field in missing],
        results and results.create_fields,
    )
    changes = list(_changes(plan, groups, results))
    skipped = [(each.email, each.hubspot_id, each.reason) for each in plan.skipped]
    skipped += [
        (row["email"], row["hubspot_id"], row["error"])
        for _, row in changes
        if row["status"] == SKIPPED
    ]
    waiting = sorted([*plan.waiting, *(results.refused if results else ())])
    return [
        Section(
            "create_fields",
            "Fields created" if results else "Fields to create",
            Kind.STEP,
            ("key", "type", "status", "error"),
            fields,
        ),
        Section(
            "create_groups",
            "Groups created" if results else "Groups to create",
            Kind.STEP,
            ("name", "status", "error"),
            rows_of([{"name": name} for name in groups_to_make], results and results.create_groups),
        ),
        _section(Action.CREATE, Kind.ADD, "Created" if results else "To create", changes),
        _section(Action.UPDATE, Kind.CHANGE, "Updated" if results else "To update", changes),
        _section(
            Action.UNSUBSCRIBE,
            Kind.REMOVE,
            "Unsubscribed" if results else "To unsubscribe",
            changes,
        ),
        _section(
            Action.OPT_OUT,
            Kind.REMOVE,
            "Opted out in HubSpot" if results else "To opt out in HubSpot",
            changes,
        ),
        Section(
            LEAVE,
            "Removed from a group" if results else "To remove from a group",
            Kind.REMOVE,
            ("email", "group", "reason", "status", "error"),
            _leaves(plan, groups, results),
        ),
        Section(
            "to_decide",
            "Opted out in HubSpot, and still subscribed in MailerLite",
            Kind.DECIDE,
            ("email", "reason"),
            _left_alone(_skipped_as(plan, STILL_SUBSCRIBED)),
            hint=DECIDE_HINT,
        ),
        Section(
            "subscribed_again",
            "Opted out in HubSpot by an earlier run, and subscribed in MailerLite again",
            Kind.DECIDE,
            ("email", "reason"),
            _left_alone(_skipped_as(plan, SUBSCRIBED_AGAIN)),
            hint=AGAIN_HINT,
        ),
        Section(
            "leavers",
            "Subscribed, and no contact in HubSpot any more",
            Kind.DECIDE,
            ("email", "reason"),
            _left_alone(plan.leavers),
            hint=LEAVER_HINT,
        ),
        Section(
            "taken_out",
            "Taken out of a group in MailerLite, and left out",
            Kind.STEP,
            ("email", "groups"),
            [_taken_out(each, groups) for each in plan.taken_out],
        ),
        Section(
            "waiting",
            "Refused by MailerLite, and not asked again yet",
            Kind.WAIT,
            ("email", "field", "reason", "since", "asked_again_on"),
            [_waiting(each) for each in waiting],
        ),
        Section(
            "skipped",
            "Skipped",
            Kind.SKIP,
            ("email", "reason"),
            [_short(*each) for each in skipped],
            hint=SKIP_HINT,
        ),
    ]


def counts(sections: Sequence[Section]) -> dict[str, Any]:
    rows = {each.key: each.rows for each in sections if not each.key.startswith("create_")}
    reasons = Counter(row["reason"] for row in rows["skipped"])
    return {
        **{key: len(found) for key, found in rows.items()},
        "skipped_by_reason": dict(reasons.most_common()),
    }


def to_decide(plan: Plan) -> list[Decision]:
    """What waits for a person."""
    again = _skipped_as(plan, SUBSCRIBED_AGAIN)
    return [*_skipped_as(plan, STILL_SUBSCRIBED), *again, *plan.leavers]


def say_plan(
    screen: Screen,
    plan: Plan,
    told: Sequence[Decision],
    missing: Sequence[Field],
    groups: Mapping[str, str],
    groups_to_make: Sequence[str] = (),
) -> None:
    """The whole plan in words; whom it leaves alone as numbers, since the report lists them.
    `told`: those of `to_decide` that are to be told."""

    def say(title: str, kind: Kind, entries: Sequence[Decision]) -> None:
        lines = [(each.address, _in_words(each, groups)) for each in entries]
        screen.say_list(title.format(people(len(entries))), kind, lines, SHOWN)

    fields = [(field.key, field.type) for field in missing]
    screen.say_list(f"Create {count(len(fields), 'field')}", Kind.ADD, fields, SHOWN)
    made = [(name, "") for name in groups_to_make]
    screen.say_list(f"Create {count(len(made), 'group')}", Kind.ADD, made, SHOWN)
    say("Create {}", Kind.ADD, plan.create)
    say("Update {}", Kind.CHANGE, plan.update)
    say("Unsubscribe {}", Kind.REMOVE, plan.unsubscribe)
    say("Opt out {} in HubSpot", Kind.REMOVE, plan.opt_out)
    leaves = [
        (each.person.address, f"{groups[each.group]}: {each.person.why_leaves}")
        for each in plan.leave
    ]
    screen.say_list(f"Remove {people(plan.leaving)} from a group", Kind.REMOVE, leaves, SHOWN)
    for title, endings in (
        ("For you to decide (see --unsubscribe-opted-out)", (STILL_SUBSCRIBED,)),
        ("For you to decide, since they came back by themselves", (SUBSCRIBED_AGAIN,)),
        ("Subscribed, and no contact any more", (NO_CONTACT, OTHER_ADDRESS)),
    ):
        lines = [(each.address, each.reason) for each in told if each.reason.endswith(endings)]
        screen.say_list(title, Kind.DECIDE, lines, SHOWN)
    out = [(each.address, ", ".join(_names(each.taken_out, groups))) for each in plan.taken_out]
    screen.say_list("Taken out of a group in MailerLite, and left out", Kind.KEEP, out, SHOWN)
    reasons = Counter(entry.reason for entry in plan.skipped).most_common()
    skipped = [(f"{number:,}", reason) for reason, number in reasons]
    screen.say_list(f"Skip {count(len(plan.skipped), 'contact')}", Kind.STEP, skipped, SHOWN)
    are = "is" if plan.unchanged == 1 else "are"
    screen.say(f"{plan.unchanged:,} {are} in MailerLite as in HubSpot already.")
    for line in _on_values(plan):
        screen.say(line)


def say_results(screen: Screen, results: Results, sections: Sequence[Section]) -> None:
    """What is news besides the changes themselves."""
    failed = [
        (row["email"], row["error"])
        for section in sections
        for row in section.rows
        if row.get("status") == FAILED and "email" in row
    ]
    screen.say_list("Failed", Kind.SKIP, failed, SHOWN)
    refused = [
        (each.email, f"{each.field}: {each.refused.reason}")
        for each in results.refused
        if each.field
    ]
    screen.say_list("Values that MailerLite does not take", Kind.SKIP, refused, SHOWN)


def would_in_words(plan: Plan, missing: Sequence[Field], groups_to_make: Sequence[str]) -> str:
    """What a dry run would do: words that follow "Dry run:"."""
    numbers = {
        f"{len(plan.create):,} would be created": True,
        f"{len(plan.update):,} updated": True,
        f"{len(plan.unsubscribe):,} unsubscribed": True,
        f"{len(plan.opt_out):,} opted out in HubSpot": plan.opt_out,
        f"{plan.leaving:,} removed from a group": plan.leave,
        f"{count(len(missing), 'field')} created": missing,
        f"{count(len(groups_to_make), 'group')} created": groups_to_make,
    }
    return ", ".join(words for words, is_told in numbers.items() if is_told)


def opt_outs_in_words(results: Results) -> str:
    number = results.done(Action.OPT_OUT)
    return f" {number:,} opted out in HubSpot," if number else ""


def leavers_in_words(plan: Plan) -> str:
    number = len(plan.leavers)
    are = "is" if number == 1 else "are"
    no_contact = "HubSpot has no contact with their address any more"
    return f"{people(number)} {are} subscribed, and {no_contact}."


def _skipped_as(plan: Plan, ending: str) -> list[Decision]:
    return [each for each in plan.skipped if each.reason.endswith(ending)]


def _on_values(plan: Plan) -> Iterator[str]:
    for key, number in plan.unusable.items():
        values = count(number, "value is", "values are")
        yield f"{values} not sent, because the field {key} cannot hold such a value."
    for key, number in plan.other_form.items():
        yield f"For {people(number)} MailerLite keeps the field {key} in another form than HubSpot."
    if plan.waiting:
        number = len({each.email for each in plan.waiting})
        soonest = min(plan.waiting, key=lambda each: each.refused.again_on).refused
        yield (
            f"Not tried for {people(number)}: what MailerLite refused before, asked again from"
            f" {soonest.again_in_words} on."
        )


def _changes(
    plan: Plan, groups: Mapping[str, str], results: Results | None
) -> Iterator[tuple[Action, Row]]:
    if results is None:
        made: list[Decision] = [*plan.create, *plan.update, *plan.unsubscribe, *plan.opt_out]
        outcomes = None
    else:
        made = [decision for decision, _ in results.people]
        outcomes = [result for _, result in results.people]
    rows = rows_of([_entry(each, groups) for each in made], outcomes)
    return ((each.action, row) for each, row in zip(made, rows))


def _section(
    action: Action, kind: Kind, title: str, changes: Sequence[tuple[Action, Row]]
) -> Section:
    rows = [row for of, row in changes if of is action and row["status"] != SKIPPED]
    columns = ("email", "fields", "groups", "reason", "status", "error")
    return Section(action.value, title, kind, columns, rows)


def _entry(entry: Decision, groups: Mapping[str, str]) -> Row:
    row = {
        "email": entry.email,
        "hubspot_id": entry.hubspot_id,
        "fields": list(entry.fields),
        "groups": _names(entry.groups, groups),
    }
    by_hand = f"somebody took them out of {', '.join(_names(entry.rejoins, groups))}"
    reason = entry.reason or (by_hand if entry.rejoins else "")
    return {**row, "reason": reason} if reason else row


def _leaves(plan: Plan, groups: Mapping[str, str], results: Results | None) -> list[Row]:
    """Without those who turned out to belong there, or were not found any more."""
    made = [each for each, _ in results.leave] if results else plan.leave
    entries = [
        {
            **_short(each.person.email, each.person.hubspot_id, each.person.why_leaves),
            "group": groups[each.group],
        }
        for each in made
    ]
    rows = rows_of(entries, [result for _, result in results.leave] if results else None)
    return [row for row in rows if row["status"] != SKIPPED]


def _left_alone(entries: Sequence[Decision]) -> list[Row]:
    return [_short(each.email, each.hubspot_id, each.reason) for each in entries]


def _short(email: str | None, hubspot_id: int | None, reason: str) -> Row:
    return {"email": email, "hubspot_id": hubspot_id, "reason": reason}


def _taken_out(entry: Decision, groups: Mapping[str, str]) -> Row:
    row = _short(entry.email, entry.hubspot_id, "somebody took them out")
    return {**row, "groups": _names(entry.taken_out, groups)}


def _waiting(each: Waiting) -> Row:
    row = _short(each.email, each.hubspot_id, each.refused.reason)
    dates = {"since": each.refused.since, "asked_again_on": each.refused.again_on}
    return {**row, "field": each.field, **dates}


def _names(ids: Sequence[str], groups: Mapping[str, str]) -> list[str]:
    return [groups[each] for each in ids]


def _in_words(entry: Decision, groups: Mapping[str, str]) -> str:
    if entry.reason:
        return entry.reason
    joins = [
        f"joins {groups[each]}{' again (taken out by hand)' if each in entry.rejoins else ''}"
        for each in entry.groups
    ]
    return ", ".join([*entry.fields, *joins]) or "no values"
