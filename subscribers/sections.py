"""A plan for subscribers, and what came of it: rows of the report, and lines on the screen."""

from __future__ import annotations

from collections import Counter
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

from cli.screen import Screen
from core.words import count
from report.model import DONE, FAILED, SKIPPED, Kind, Row, Section
from subscribers.decide import STILL_SUBSCRIBED, SUBSCRIBED_AGAIN, Action, Decision
from subscribers.plan import Change, Creation, Plan, Waiting, people

SHOWN = 50  # lines of each list on the screen; the report has all
# Action -> what is said of it once it is done, and what stands after "would"
VERBS = {
    Action.CREATE.value: "created",
    Action.UPDATE.value: "updated",
    Action.UNSUBSCRIBE.value: "unsubscribed",
    Action.OPT_OUT.value: "opted out in HubSpot",
    Action.LEAVE.value: "removed from a group",
}
DECIDE = ("to_decide", "subscribed_again", "leavers")  # sections that wait for a person
_CHANGE = ("email", "fields", "groups", "reason", "status", "error")
_PERSON = ("email", "reason")


class _Spec(NamedTuple):
    """A section. `title`: before the writes, and after them if that is another one; `said`: the
    title on the screen, of a number of things, if their rows are listed there."""

    key: str
    kind: Kind
    columns: tuple[str, ...]
    title: str
    title_after: str = ""
    hint: str = ""


_SECTIONS = (
    _Spec(
        "create_fields",
        Kind.STEP,
        ("key", "type", "status", "error"),
        "Fields to create",
        "Fields created",
    ),
    _Spec(
        "create_groups",
        Kind.STEP,
        ("name", "status", "error"),
        "Groups to create",
        "Groups created",
    ),
    _Spec("create", Kind.ADD, _CHANGE, "To create", "Created"),
    _Spec("update", Kind.CHANGE, _CHANGE, "To update", "Updated"),
    _Spec("unsubscribe", Kind.REMOVE, _CHANGE, "To unsubscribe", "Unsubscribed"),
    _Spec("opt_out", Kind.REMOVE, _CHANGE, "To opt out in HubSpot", "Opted out in HubSpot"),
    _Spec(
        "leave",
        Kind.REMOVE,
        ("email", "group", "reason", "status", "error"),
        "To remove from a group",
        "Removed from a group",
    ),
    _Spec(
        "to_decide",
        Kind.DECIDE,
        _PERSON,
        "Opted out in HubSpot, and still subscribed in MailerLite",
        hint="Unsubscribe them in MailerLite, or let a run with --unsubscribe-opted-out do it."
        " Whoever wants mail after all opts in again in HubSpot.",
    ),
    _Spec(
        "subscribed_again",
        Kind.DECIDE,
        _PERSON,
        "Opted out in HubSpot by an earlier run, and subscribed in MailerLite again",
        hint="Earlier runs opted them out in HubSpot, since they had left MailerLite. Whoever wants"
        " mail after all opts in again in HubSpot; unsubscribe the others in MailerLite.",
    ),
    _Spec(
        "leavers",
        Kind.DECIDE,
        _PERSON,
        "Subscribed, and no contact in HubSpot any more",
        hint="Unsubscribe or delete in MailerLite who should get no more mail.",
    ),
    _Spec(
        "taken_out",
        Kind.STEP,
        ("email", "groups"),
        "Taken out of a group in MailerLite, and left out",
    ),
    _Spec(
        "waiting",
        Kind.WAIT,
        ("email", "field", "reason", "since", "asked_again_on"),
        "Refused by MailerLite, and not asked again yet",
    ),
    _Spec(
        "skipped",
        Kind.SKIP,
        _PERSON,
        "Skipped",
        hint="Who has opted out or unsubscribed stays out. A wrong address is fixed in the"
        " contact's record in HubSpot.",
    ),
)


def sections(plan: Plan, groups: Mapping[str, str], is_applied: bool = False) -> list[Section]:
    """`groups`: id -> name. Who was left out right before the write, or by it, is a skipped person
    and no failure."""
    made = [each for each in plan.changes if each.result.status != SKIPPED]
    left_out = [each for each in plan.changes if each.result.status == SKIPPED]
    skipped = [_person_row(each, each.reason) for each in plan.skipped]
    skipped += [
        _person_row(each.decision, each.result.error or "")
        for each in left_out
        if each.action is not Action.LEAVE
    ]
    rows: dict[str, list[Row]] = {
        "create_fields": [_creation_row(each) for each in plan.creations if each.type],
        "create_groups": [_creation_row(each) for each in plan.creations if not each.type],
        "to_decide": _left_alone(plan.skipped, STILL_SUBSCRIBED),
        "subscribed_again": _left_alone(plan.skipped, SUBSCRIBED_AGAIN),
        "leavers": _left_alone(plan.orphans, ""),
        "taken_out": [_removed_row(each, groups) for each in plan.removed_by_hand],
        "waiting": [_waiting_row(each) for each in sorted(plan.waiting)],
        "skipped": skipped,
        **{action: [] for action in VERBS},
    }
    for each in made:
        rows[each.action.value].append(_change_row(each, groups))
    return [
        Section(
            spec.key,
            spec.title_after if is_applied and spec.title_after else spec.title,
            spec.kind,
            spec.columns,
            rows[spec.key],
            hint=spec.hint,
        )
        for spec in _SECTIONS
    ]


def counts(sections: Sequence[Section]) -> dict[str, Any]:
    rows = {each.key: each.rows for each in sections if not each.key.startswith("create_")}
    reasons = Counter(row["reason"] for row in rows["skipped"])
    return {
        **{key: len(found) for key, found in rows.items()},
        "skipped_by_reason": dict(reasons.most_common()),
    }


def say_plan(
    screen: Screen,
    plan: Plan,
    sections: Sequence[Section],
    groups: Mapping[str, str],
    news: Sequence[Row],
) -> None:
    """The whole plan in words; whom it leaves alone as numbers, since the report lists them.
    `news`: those of the rows of DECIDE that are to be told."""
    rows = {each.key: each.rows for each in sections}
    fields = [(row["key"], row["type"]) for row in rows["create_fields"]]
    screen.say_list(f"Create {count(len(fields), 'field')}", Kind.ADD, fields, SHOWN)
    made = [(row["name"], "") for row in rows["create_groups"]]
    screen.say_list(f"Create {count(len(made), 'group')}", Kind.ADD, made, SHOWN)
    for action, title, kind in (
        (Action.CREATE, "Create {}", Kind.ADD),
        (Action.UPDATE, "Update {}", Kind.CHANGE),
        (Action.UNSUBSCRIBE, "Unsubscribe {}", Kind.REMOVE),
        (Action.OPT_OUT, "Opt out {} in HubSpot", Kind.REMOVE),
        (Action.LEAVE, "Remove {} from a group", Kind.REMOVE),
    ):
        changes = plan.of(action)
        number = plan.leaving if action is Action.LEAVE else len(changes)
        lines = [(each.address, _describe_change(each, groups)) for each in changes]
        screen.say_list(title.format(people(number)), kind, lines, SHOWN)
    for key, title in zip(
        DECIDE,
        (
            "For you to decide (see --unsubscribe-opted-out)",
            "For you to decide, since they came back by themselves",
            "Subscribed, and no contact any more",
        ),
    ):
        lines = [(row["email"], row["reason"]) for row in rows[key] if row in news]
        screen.say_list(title, Kind.DECIDE, lines, SHOWN)
    out = [(row["email"], ", ".join(row["groups"])) for row in rows["taken_out"]]
    screen.say_list("Taken out of a group in MailerLite, and left out", Kind.KEEP, out, SHOWN)
    reasons = Counter(row["reason"] for row in rows["skipped"]).most_common()
    skipped = [(f"{number:,}", reason) for reason, number in reasons]
    number = len(rows["skipped"])
    screen.say_list(f"Skip {count(number, 'contact')}", Kind.STEP, skipped, SHOWN)
    are = "is" if plan.unchanged == 1 else "are"
    screen.say(f"{plan.unchanged:,} {are} in MailerLite as in HubSpot already.")
    for line in _describe_values(plan):
        screen.say(line)


def say_results(
    screen: Screen,
    sections: Sequence[Section],
    refused: Sequence[Waiting],
    not_new: Sequence[tuple[str, str]],
) -> None:
    """What is news besides the changes themselves."""
    failed = [
        (row["email"], row["error"])
        for section in sections
        for row in section.rows
        if row.get("status") == FAILED and "email" in row
    ]
    screen.say_list("Failed", Kind.SKIP, failed, SHOWN)
    values = [
        (each.email, f"{each.field}: {each.refused.reason}") for each in refused if each.field
    ]
    screen.say_list("Values that MailerLite does not take", Kind.SKIP, values, SHOWN)
    title = "Not new to MailerLite, and in none of its lists: deleted there once"
    screen.say_list(title, Kind.SKIP, sorted(not_new), SHOWN)


def describe_dry_run(plan: Plan) -> str:
    """What it would do: words that follow "Dry run:"."""
    fields = sum(bool(each.type) for each in plan.creations)
    groups = len(plan.creations) - fields
    numbers = {
        f"{len(plan.of(Action.CREATE)):,} would be created": True,
        f"{len(plan.of(Action.UPDATE)):,} updated": True,
        f"{len(plan.of(Action.UNSUBSCRIBE)):,} unsubscribed": True,
        f"{len(plan.of(Action.OPT_OUT)):,} opted out in HubSpot": plan.of(Action.OPT_OUT),
        f"{plan.leaving:,} removed from a group": plan.leaving,
        f"{count(fields, 'field')} created": fields,
        f"{count(groups, 'group')} created": groups,
    }
    return ", ".join(words for words, is_told in numbers.items() if is_told)


def describe_results(plan: Plan, is_mirrored: bool, skipped: int) -> str:
    """What was done: words that follow "Done:"."""

    def done(action: Action) -> list[Change]:
        return [each for each in plan.of(action) if each.result.status == DONE]

    opted_out = len(done(Action.OPT_OUT))
    left = len({each.membership.email for each in done(Action.LEAVE)})
    return (
        f"{people(len(done(Action.CREATE)))} created, {len(done(Action.UPDATE)):,} updated,"
        f" {len(done(Action.UNSUBSCRIBE)):,} unsubscribed,"
        + (f" {opted_out:,} opted out in HubSpot," if opted_out else "")
        + (f" {left:,} removed from a group," if is_mirrored else "")
        + f" {plan.unchanged:,} left as they were, {skipped:,} skipped."
    )


def describe_orphans(plan: Plan) -> str:
    number = len(plan.orphans)
    are = "is" if number == 1 else "are"
    no_contact = "HubSpot has no contact with their address any more"
    return f"{people(number)} {are} subscribed, and {no_contact}."


def _describe_values(plan: Plan) -> Iterator[str]:
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
            f" {soonest.describe_day()} on."
        )


def _describe_change(change: Change, groups: Mapping[str, str]) -> str:
    decision = change.decision
    if change.action is Action.LEAVE:
        return f"{groups[change.group]}: {decision.why_leaves}"
    again = dict.fromkeys(decision.groups.rejoin, " again (taken out by hand)")
    joins = [f"joins {groups[each]}{again.get(each, '')}" for each in decision.groups.join]
    return decision.reason or ", ".join([*decision.values.to_send, *joins]) or "no values"


# Rows


def _creation_row(creation: Creation) -> Row:
    is_field = bool(creation.type)
    what = {"key": creation.name, "type": creation.type} if is_field else {"name": creation.name}
    return {**what, **creation.result.as_row()}


def _change_row(change: Change, groups: Mapping[str, str]) -> Row:
    decision = change.decision
    if change.action is Action.LEAVE:
        row = _person_row(decision, decision.why_leaves)
        return {**row, "group": groups[change.group], **change.result.as_row()}
    joins = decision.groups
    by_hand = f"somebody took them out of {', '.join(groups[each] for each in joins.rejoin)}"
    reason = decision.reason or (by_hand if joins.rejoin else "")
    return {
        "email": decision.address,
        "hubspot_id": decision.hubspot_id,
        "fields": list(decision.values.to_send),
        "groups": [groups[each] for each in joins.join],
        **({"reason": reason} if reason else {}),
        **change.result.as_row(),
    }


def _person_row(decision: Decision, reason: str) -> Row:
    email = decision.address or None
    return {"email": email, "hubspot_id": decision.hubspot_id, "reason": reason}


def _left_alone(decisions: Sequence[Decision], ending: str) -> list[Row]:
    return [_person_row(each, each.reason) for each in decisions if each.reason.endswith(ending)]


def _removed_row(decision: Decision, groups: Mapping[str, str]) -> Row:
    names = [groups[each] for each in decision.groups.removed_by_hand]
    return {**_person_row(decision, "somebody took them out"), "groups": names}


def _waiting_row(waiting: Waiting) -> Row:
    refused = waiting.refused
    return {
        "email": waiting.email,
        "hubspot_id": waiting.hubspot_id,
        "reason": refused.reason,
        "field": waiting.field,
        "since": refused.since,
        "asked_again_on": refused.again_on,
    }
