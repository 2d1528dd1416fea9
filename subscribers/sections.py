"""A plan for subscribers, and what came of it: rows of the report, and lines on the screen."""

from __future__ import annotations

from collections import Counter
from typing import Any, Iterator, Mapping, Sequence

from cli.screen import Screen
from core.words import count
from report.model import DONE, FAILED, SKIPPED, Kind, Row, Section
from subscribers.decide import STILL_SUBSCRIBED, SUBSCRIBED_AGAIN, Action, Decision
from subscribers.plan import Change, Creation, Plan, Waiting, people

SHOWN = 50  # lines of each list on the screen; the report has all
VERBS = {  # the key of a change -> what is said of it once it is done
    Action.CREATE.value: "created",
    Action.UPDATE.value: "updated",
    Action.UNSUBSCRIBE.value: "unsubscribed",
    Action.OPT_OUT.value: "opted out in HubSpot",
    Action.LEAVE.value: "removed from a group",
}
STILL = "Opted out in HubSpot, and still subscribed in MailerLite"
AGAIN = "Opted out in HubSpot by an earlier run, and subscribed in MailerLite again"
NO_CONTACT = "Subscribed, and no contact in HubSpot any more"
TAKEN_OUT = "Taken out of a group in MailerLite, and left out"
REFUSED = "Refused by MailerLite, and not asked again yet"
_FIELD, _GROUP = ("key", "type", "status", "error"), ("name", "status", "error")
_CHANGE = ("email", "fields", "groups", "reason", "status", "error")
_LEAVE = ("email", "group", "reason", "status", "error")
_WAIT = ("email", "field", "reason", "since", "asked_again_on")
_REASON = ("email", "reason")
_SECTIONS = (  # key, kind, columns; title before the writes, and after them if that is another one
    ("create_fields", Kind.STEP, _FIELD, "Fields to create", "Fields created"),
    ("create_groups", Kind.STEP, _GROUP, "Groups to create", "Groups created"),
    ("create", Kind.ADD, _CHANGE, "To create", "Created"),
    ("update", Kind.CHANGE, _CHANGE, "To update", "Updated"),
    ("unsubscribe", Kind.REMOVE, _CHANGE, "To unsubscribe", "Unsubscribed"),
    ("opt_out", Kind.REMOVE, _CHANGE, "To opt out in HubSpot", "Opted out in HubSpot"),
    ("leave", Kind.REMOVE, _LEAVE, "To remove from a group", "Removed from a group"),
    ("to_decide", Kind.DECIDE, _REASON, STILL, ""),
    ("subscribed_again", Kind.DECIDE, _REASON, AGAIN, ""),
    ("leavers", Kind.DECIDE, _REASON, NO_CONTACT, ""),
    ("taken_out", Kind.STEP, ("email", "groups"), TAKEN_OUT, ""),
    ("waiting", Kind.WAIT, _WAIT, REFUSED, ""),
    ("skipped", Kind.SKIP, _REASON, "Skipped", ""),
)
_HINTS = {
    "to_decide": "Unsubscribe them in MailerLite, or let a run with --unsubscribe-opted-out do it."
    " Whoever wants mail after all opts in again in HubSpot.",
    "subscribed_again": "Earlier runs opted them out in HubSpot, since they had left MailerLite."
    " Whoever wants mail after all opts in again in HubSpot; unsubscribe the others in MailerLite.",
    "leavers": "Unsubscribe or delete in MailerLite who should get no more mail.",
    "skipped": "Who has opted out or unsubscribed stays out. A wrong address is fixed in the"
    " contact's record in HubSpot.",
}


_TITLES = {  # on the screen, of the changes of a plan
    Action.CREATE: ("Create {}", Kind.ADD),
    Action.UPDATE: ("Update {}", Kind.CHANGE),
    Action.UNSUBSCRIBE: ("Unsubscribe {}", Kind.REMOVE),
    Action.OPT_OUT: ("Opt out {} in HubSpot", Kind.REMOVE),
    Action.LEAVE: ("Remove {} from a group", Kind.REMOVE),
}


def sections(plan: Plan, groups: Mapping[str, str], is_applied: bool = False) -> list[Section]:
    """`groups`: id -> name. Who was left out right before the write, or by it, is a skipped person
    and no failure."""
    rows: dict[str, list[Row]] = {key: [] for key, *_ in _SECTIONS}
    for creation in plan.creations:
        rows["create_fields" if creation.type else "create_groups"].append(_creation_row(creation))
    for decision in plan.left_alone:
        row = _reason_row(decision, decision.reason)
        rows["leavers" if decision.action is Action.ORPHAN else "skipped"].append(row)
        for key, ending in (
            ("to_decide", STILL_SUBSCRIBED),
            ("subscribed_again", SUBSCRIBED_AGAIN),
        ):
            rows[key] += [row] if decision.reason.endswith(ending) else []
    for change in plan.changes:
        if change.status != SKIPPED:
            rows[change.action.value].append(_change_row(change, groups))
        elif change.action is not Action.LEAVE:
            rows["skipped"].append(_reason_row(change.decision, change.result.error or ""))
    for decision in plan.removed_by_hand:
        names = [groups[each] for each in decision.groups.removed_by_hand]
        row = _reason_row(decision, "somebody took them out")
        rows["taken_out"].append({**row, "groups": names})
    rows["waiting"] = [_waiting_row(each) for each in sorted(plan.waiting)]
    return [
        Section(
            key, (is_applied and after) or title, kind, columns, rows[key], hint=_HINTS.get(key, "")
        )
        for key, kind, columns, title, after in _SECTIONS
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
    `news`: those of the rows that wait for a person that are to be told."""

    def say(title: str, kind: Kind, lines: Sequence[tuple[str, str]]) -> None:
        screen.say_list(title, kind, lines, SHOWN)

    rows = {each.key: each.rows for each in sections}
    fields = [(row["key"], row["type"]) for row in rows["create_fields"]]
    say(f"Create {count(len(fields), 'field')}", Kind.ADD, fields)
    made = [(row["name"], "") for row in rows["create_groups"]]
    say(f"Create {count(len(made), 'group')}", Kind.ADD, made)
    for action, (title, kind) in _TITLES.items():
        lines = [(each.address, _describe_change(each, groups)) for each in plan.of(action)]
        number = plan.leaving if action is Action.LEAVE else len(lines)
        say(title.format(people(number)), kind, lines)
    for key, title in (
        ("to_decide", "For you to decide (see --unsubscribe-opted-out)"),
        ("subscribed_again", "For you to decide, since they came back by themselves"),
        ("leavers", "Subscribed, and no contact any more"),
    ):
        told = [(row["email"], row["reason"]) for row in rows[key] if row in news]
        say(title, Kind.DECIDE, told)
    out = [(row["email"], ", ".join(row["groups"])) for row in rows["taken_out"]]
    say(TAKEN_OUT, Kind.KEEP, out)
    reasons = Counter(row["reason"] for row in rows["skipped"]).most_common()
    skipped = [(f"{number:,}", reason) for reason, number in reasons]
    say(f"Skip {count(len(rows['skipped']), 'contact')}", Kind.STEP, skipped)
    for line in _describe_rest(plan):
        screen.say(line)


def say_results(
    screen: Screen,
    sections: Sequence[Section],
    refused: Sequence[Waiting],
    not_new: Sequence[tuple[str, str]],
) -> None:
    """What is news besides the changes themselves."""
    rows = [row for section in sections for row in section.rows if "email" in row]
    failed = [(row["email"], row["error"]) for row in rows if row.get("status") == FAILED]
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
    created = f"{len(plan.of(Action.CREATE)):,} would be created"
    made = [
        count(number, what) for number, what in ((fields, "field"), (groups, "group")) if number
    ]
    told = _describe_numbers(plan.changes, created, bool(plan.leaving))
    return ", ".join([*told, *(f"{what} created" for what in made)])


def describe_results(plan: Plan, is_mirrored: bool, skipped: int) -> str:
    """What was done: words that follow "Done:"."""
    done = [each for each in plan.changes if each.status == DONE]
    created = f"{people(sum(each.action is Action.CREATE for each in done))} created"
    told = _describe_numbers(done, created, is_mirrored)
    return f"{', '.join(told)}, {plan.unchanged:,} left as they were, {skipped:,} skipped."


def _describe_numbers(changes: Sequence[Change], created: str, is_mirrored: bool) -> list[str]:
    numbers = Counter(each.action for each in changes)
    opted_out = numbers[Action.OPT_OUT]
    left = len({each.membership.email for each in changes if each.action is Action.LEAVE})
    return [
        created,
        f"{numbers[Action.UPDATE]:,} updated",
        f"{numbers[Action.UNSUBSCRIBE]:,} unsubscribed",
        *([f"{opted_out:,} opted out in HubSpot"] if opted_out else []),
        *([f"{left:,} removed from a group"] if is_mirrored else []),
    ]


def describe_orphans(plan: Plan) -> str:
    number = plan.orphans
    are = "is" if number == 1 else "are"
    no_contact = "HubSpot has no contact with their address any more"
    return f"{people(number)} {are} subscribed, and {no_contact}."


def _describe_rest(plan: Plan) -> Iterator[str]:
    are = "is" if plan.unchanged == 1 else "are"
    yield f"{plan.unchanged:,} {are} in MailerLite as in HubSpot already."
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
    what = {"key": creation.name, "type": creation.type}
    return {**(what if creation.type else {"name": creation.name}), **creation.result.as_row()}


def _change_row(change: Change, groups: Mapping[str, str]) -> Row:
    decision, of_groups = change.decision, change.decision.groups
    if change.action is Action.LEAVE:
        row = _reason_row(decision, decision.why_leaves)
        return {**row, "group": groups[change.group], **change.result.as_row()}
    by_hand = f"somebody took them out of {', '.join(groups[each] for each in of_groups.rejoin)}"
    reason = decision.reason or (by_hand if of_groups.rejoin else "")
    return {
        "email": decision.address,
        "hubspot_id": decision.hubspot_id,
        "fields": list(decision.values.to_send),
        "groups": [groups[each] for each in of_groups.join],
        **({"reason": reason} if reason else {}),
        **change.result.as_row(),
    }


def _reason_row(decision: Decision, reason: str) -> Row:
    email = decision.address or None
    return {"email": email, "hubspot_id": decision.hubspot_id, "reason": reason}


def _waiting_row(waiting: Waiting) -> Row:
    return {
        "email": waiting.email,
        "hubspot_id": waiting.hubspot_id,
        "reason": waiting.refused.reason,
        "field": waiting.field,
        "since": waiting.refused.since,
        "asked_again_on": waiting.refused.again_on,
    }
