"""A plan for subscribers, and what came of it: rows of the report, and lines of the screen that are
made of these rows."""

from __future__ import annotations

from collections import Counter
from typing import Iterator, Mapping, Sequence

from cli.screen import Screen
from core.words import alternatives, are, count
from report.model import DONE, FAILED, SKIPPED, Kind, Report, Row, Section
from subscribers.decide import STILL_SUBSCRIBED, SUBSCRIBED_AGAIN, Action, Decision
from subscribers.plan import Change, Plan, Waiting, people

SHOWN = 50  # lines of each list on the screen; the report has all
_DONE = {  # the key of a change -> what a run did, with {} for whom
    Action.CREATE.value: "created {}",
    Action.UPDATE.value: "updated {}",
    Action.UNSUBSCRIBE.value: "unsubscribed {}",
    Action.OPT_OUT.value: "opted out {} in HubSpot",
    Action.LEAVE.value: "removed {} from a group",
}
VERBS = {key: done.replace(" {}", "") for key, done in _DONE.items()}
_ALWAYS = ("create", "update", "unsubscribe")  # are in the result even if there were none
_FIELD, _GROUP = ("key", "type", "status", "error"), ("name", "status", "error")
_CHANGE = ("email", "fields", "groups", "reason", "status", "error")
_LEAVE = ("email", "group", "reason", "status", "error")
_WAIT = ("email", "field", "reason", "since", "asked_again_on")
_REASON = ("email", "reason")
STILL = "Opted out in HubSpot but still subscribed in MailerLite"
AGAIN = "Opted out in HubSpot by an earlier run, but subscribed in MailerLite again"
ORPHANS = "Subscribed, but no longer a contact in HubSpot"
BY_HAND = "Removed from a group by hand; will not be added again"
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
    ("leavers", Kind.DECIDE, _REASON, ORPHANS, ""),
    ("taken_out", Kind.STEP, ("email", "groups"), BY_HAND, ""),
    ("waiting", Kind.WAIT, _WAIT, "Rejected by MailerLite, to be retried later", ""),
    ("skipped", Kind.SKIP, _REASON, "Skipped", ""),
)
_ON_SCREEN = {  # key -> sign and title before the writes, with the number in place of {}
    "create_fields": (Kind.ADD, "Create {}"),
    "create_groups": (Kind.ADD, "Create {}"),
    "create": (Kind.ADD, "Create {}"),
    "update": (Kind.CHANGE, "Update {}"),
    "unsubscribe": (Kind.REMOVE, "Unsubscribe {}"),
    "opt_out": (Kind.REMOVE, "Opt out {} in HubSpot"),
    "leave": (Kind.REMOVE, "Remove {} from a group"),
    "to_decide": (Kind.DECIDE, "Needs your attention (see --unsubscribe-opted-out)"),
    "subscribed_again": (Kind.DECIDE, "Needs your attention, because they subscribed again"),
    "leavers": (Kind.DECIDE, ORPHANS),
    "taken_out": (Kind.KEEP, BY_HAND),
}
_HINTS = {
    "to_decide": "Unsubscribe them in MailerLite, or run again with --unsubscribe-opted-out. People"
    " who want mail after all can opt in again in HubSpot.",
    "subscribed_again": "An earlier run opted them out in HubSpot after they had left MailerLite."
    " People who want mail after all can opt in again in HubSpot. Unsubscribe the others in"
    " MailerLite.",
    "leavers": "Unsubscribe or delete them in MailerLite if they should get no more mail.",
    "skipped": "People who opted out or unsubscribed are never added. Fix a wrong address in the"
    " contact's record in HubSpot.",
}


def fill(report: Report, plan: Plan, groups: Mapping[str, str], is_over: bool = False) -> None:
    """Sections and counts. `groups`: id -> name; `is_over`: the changes have been made."""
    rows = _rows(plan, groups)
    report.sections = [
        Section(
            key, (is_over and after) or title, kind, columns, rows[key], hint=_HINTS.get(key, "")
        )
        for key, kind, columns, title, after in _SECTIONS
    ]
    report.unchanged = plan.unchanged
    report.counts.update({key: len(rows[key]) for key in rows if not key.startswith("create_")})
    report.counts.update(
        skipped_by_reason=dict(_by_reason(rows["skipped"])),
        unchanged=plan.unchanged,
        unusable_values=dict(plan.unusable),
        kept_in_another_form=dict(plan.other_form),
    )


def _rows(plan: Plan, groups: Mapping[str, str]) -> dict[str, list[Row]]:
    """By the key of their section. Who was left out right before the write, or by it, is a skipped
    person and no failure."""
    rows: dict[str, list[Row]] = {key: [] for key, *_ in _SECTIONS}
    for creation in plan.creations:
        what = {"key": creation.name, "type": creation.type}
        what = what if creation.type else {"name": creation.name}
        key = "create_fields" if creation.type else "create_groups"
        rows[key].append({**what, **creation.result.as_row()})
    for decision in plan.left_alone:
        row = _row(decision, decision.reason)
        rows["leavers" if decision.action is Action.ORPHAN else "skipped"].append(row)
        if decision.reason.endswith(STILL_SUBSCRIBED):
            rows["to_decide"].append(row)
        if decision.reason.endswith(SUBSCRIBED_AGAIN):
            rows["subscribed_again"].append(row)
    for change in plan.changes:
        if change.status != SKIPPED:
            rows[change.action.value].append(_change_row(change, groups))
        elif change.action is not Action.LEAVE:
            rows["skipped"].append(_row(change.decision, change.result.error or ""))
    for decision in plan.removed_by_hand:
        names = [groups[each] for each in decision.groups.removed_by_hand]
        rows["taken_out"].append({**_row(decision, "removed by hand"), "groups": names})
    for each in sorted(plan.waiting):
        refused = {"since": each.refused.since, "asked_again_on": each.refused.again_on}
        of = {"email": each.email, "hubspot_id": each.hubspot_id, "field": each.field}
        rows["waiting"].append({**of, "reason": each.refused.reason, **refused})
    return rows


def _row(decision: Decision, reason: str) -> Row:
    email = decision.address or None
    return {"email": email, "hubspot_id": decision.hubspot_id, "reason": reason}


def _change_row(change: Change, groups: Mapping[str, str]) -> Row:
    decision, of_groups = change.decision, change.decision.groups
    if change.action is Action.LEAVE:
        row = _row(decision, decision.why_leaves)
        return {**row, "group": groups[change.group], **change.result.as_row()}
    by_hand = f"removed by hand from {', '.join(groups[each] for each in of_groups.rejoin)}"
    reason = decision.reason or (by_hand if of_groups.rejoin else "")
    return {
        "email": decision.address,
        "hubspot_id": decision.hubspot_id,
        "fields": list(decision.values.to_send),
        "groups": [groups[each] for each in of_groups.join],
        **({"reason": reason} if reason else {}),
        **change.result.as_row(),
    }


def _by_reason(rows: Sequence[Row]) -> list[tuple[str, int]]:
    return Counter(row["reason"] for row in rows).most_common()


def say_plan(screen: Screen, plan: Plan, sections: Sequence[Section], news: Sequence[Row]) -> None:
    """The whole plan in words; people who are skipped as numbers, since the report lists them.
    `news`: the rows that need attention and are due to be shown."""
    for section in sections:
        if section.key not in _ON_SCREEN:
            continue
        kind, title = _ON_SCREEN[section.key]
        rows = [row for row in section.rows if kind is not Kind.DECIDE or row in news]
        lines = [(row[section.columns[0]], _describe(row)) for row in rows]
        number = len({who for who, _ in lines})  # somebody may leave several groups
        nouns = {"key": count(number, "field"), "name": count(number, "group")}
        title = title.format(nouns.get(section.columns[0], people(number)))
        screen.say_list(title, kind, lines, SHOWN)
    skipped = sections[-1].rows
    lines = [(f"{number:,}", reason) for reason, number in _by_reason(skipped)]
    screen.say_list(f"Skip {count(len(skipped), 'contact')}", Kind.STEP, lines, SHOWN)
    for line in _describe_rest(plan):
        screen.say(line)


def _describe(row: Row) -> str:
    """What the screen says of a row, beside whom it is about."""
    reason = row.get("reason") or ""
    if "group" in row:
        return f"{row['group']}: {reason}"
    if "fields" in row:
        what = ", ".join([*row["fields"], *(f"joins {name}" for name in row["groups"])])
        return f"{what} ({reason})" if what and reason else what or reason or "no values"
    return ", ".join(row["groups"]) if "groups" in row else row.get("type") or reason


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
    screen.say_list("Values that MailerLite rejected", Kind.SKIP, values, SHOWN)
    title = "Created again, although they had been deleted in MailerLite"
    screen.say_list(title, Kind.SKIP, sorted(not_new), SHOWN)


def describe_numbers(plan: Plan, is_over: bool) -> str:
    """What the run would do or, `is_over`, did, and to how many people."""
    changes = [each for each in plan.changes if each.status == DONE or not is_over]
    whom = {(each.action.value, each.decision.person.email) for each in changes}
    numbers = Counter(action for action, _ in whom)  # somebody may leave several groups
    keys = [key for key in _DONE if numbers[key] or (is_over and key in _ALWAYS)]
    counted = [people(numbers[key]) if key is keys[0] else f"{numbers[key]:,}" for key in keys]
    if is_over:
        return ", ".join(_DONE[key].format(number) for key, number in zip(keys, counted))
    titles = [_ON_SCREEN[key][1].format(number) for key, number in zip(keys, counted)]
    made = Counter("field" if each.type else "group" for each in plan.creations)
    titles += [f"Create {count(made[what], what)}" for what in sorted(made)]
    return f"would {alternatives([each[0].lower() + each[1:] for each in titles], 'and')}"


def _describe_rest(plan: Plan) -> Iterator[str]:
    if plan.unchanged:
        yield f"{count(plan.unchanged, 'person is', 'people are')} already up to date."
    for key, number in plan.unusable.items():
        values = count(number, "value does", "values do")
        yield f"{values} not fit the field {key} and {are(number)} not sent."
    for key, number in plan.other_form.items():
        yield f"MailerLite stores the field {key} of {people(number)} in another form than HubSpot."
    if plan.waiting:
        number = len({each.email for each in plan.waiting})
        soonest = min(plan.waiting, key=lambda each: each.refused.again_on).refused
        yield (
            f"{count(number, 'person is', 'people are')} waiting, because MailerLite rejected them"
            f" or a value. They will be retried on {soonest.describe_day()}."
        )
