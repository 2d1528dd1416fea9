"""A plan for subscribers, and what came of it: sections of the report, and lines on the screen."""

from __future__ import annotations

from collections import Counter
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from basics.words import count
from run.apply import FAILED, SKIPPED, Result, rows_of
from run.report import Kind, Row, Section
from run.screen import Screen
from subscribers.plan import OPTED_OUT, STILL_SUBSCRIBED, Field, Plan, Write, people

SHOWN = 50  # lines of each list on the screen; the report has all
HINT = (
    "Who has opted out or unsubscribed stays out. A wrong address is fixed in the contact's record"
    " in HubSpot."
)


class Results(NamedTuple):
    """What came of the changes, each in the order of the plan; None where none was tried."""

    create_fields: Sequence[Result]
    unsubscribe: Optional[Sequence[Result]] = None
    update: Optional[Sequence[Result]] = None
    create: Optional[Sequence[Result]] = None


def sections(
    plan: Plan,
    missing: Sequence[Field],
    groups: Mapping[str, str],
    results: Optional[Results] = None,
) -> List[Section]:
    """`missing`: the fields to create; `groups`: id -> name. Who turned out, by the write, to have
    unsubscribed is a skipped person and no failure."""
    made = results is not None
    fields = rows_of(
        [{"key": field.key, "type": field.type} for field in missing],
        results and results.create_fields,
    )
    create = rows_of(_entries(plan.create, groups), results and results.create)
    update = rows_of(_entries(plan.update, groups), results and results.update)
    unsubscribe = rows_of(_entries(plan.unsubscribe, groups), results and results.unsubscribe)
    skipped = [entry._asdict() for entry in plan.skipped]
    skipped += [_skipped(row) for row in (*create, *update) if row["status"] == SKIPPED]
    columns = ("email", "fields", "groups", "status", "error")
    return [
        Section(
            "create_fields",
            "Fields created" if made else "Fields to create",
            Kind.STEP,
            ("key", "type", "status", "error"),
            fields,
        ),
        Section("create", "Created" if made else "To create", Kind.ADD, columns, _kept(create)),
        Section("update", "Updated" if made else "To update", Kind.CHANGE, columns, _kept(update)),
        Section(
            "unsubscribe",
            "Unsubscribed" if made else "To unsubscribe",
            Kind.REMOVE,
            columns,
            unsubscribe,
        ),
        Section("skipped", "Skipped", Kind.SKIP, ("email", "reason"), skipped, hint=HINT),
    ]


def counts(sections: Sequence[Section]) -> Dict[str, Any]:
    rows = {section.key: section.rows for section in sections if section.key != "create_fields"}
    reasons = Counter(row["reason"] for row in rows["skipped"])
    return {
        **{key: len(found) for key, found in rows.items()},
        "skipped_by_reason": dict(reasons.most_common()),
    }


def say_plan(
    screen: Screen, plan: Plan, missing: Sequence[Field], groups: Mapping[str, str]
) -> None:
    """The whole plan in words; whom it leaves alone as numbers, since the report lists them."""

    def say(title: str, kind: Kind, entries: Sequence[Write]) -> None:
        lines = [(entry.email, _in_words(entry, groups)) for entry in entries]
        screen.say_list(f"{title} {people(len(entries))}", kind, lines, SHOWN)

    fields = [(field.key, field.type) for field in missing]
    screen.say_list(f"Create {count(len(fields), 'field')}", Kind.ADD, fields, SHOWN)
    say("Create", Kind.ADD, plan.create)
    say("Update", Kind.CHANGE, plan.update)
    opted_out = [(entry.email, OPTED_OUT) for entry in plan.unsubscribe]
    screen.say_list(f"Unsubscribe {people(len(opted_out))}", Kind.REMOVE, opted_out, SHOWN)
    still = [
        (entry.email or "", STILL_SUBSCRIBED)
        for entry in plan.skipped
        if entry.reason == STILL_SUBSCRIBED
    ]
    decide = "For you to decide (see --unsubscribe-opted-out)"
    screen.say_list(decide, Kind.SKIP, still, SHOWN)
    reasons = Counter(entry.reason for entry in plan.skipped).most_common()
    skipped = [(f"{number:,}", reason) for reason, number in reasons]
    screen.say_list(f"Skip {count(len(plan.skipped), 'contact')}", Kind.STEP, skipped, SHOWN)
    screen.say(f"Leave {people(plan.unchanged)} as they are.")
    for key, number in plan.unusable.items():
        values = count(number, "value is", "values are")
        screen.say(f"{values} not sent, because the field {key} cannot hold such a value.")


def say_failures(screen: Screen, sections: Sequence[Section]) -> None:
    failed = [
        (row["email"], row["error"])
        for section in sections
        for row in section.rows
        if row.get("status") == FAILED and "email" in row
    ]
    screen.say_list("Failed", Kind.SKIP, failed, SHOWN)


def _entries(entries: Sequence[Write], groups: Mapping[str, str]) -> List[Row]:
    return [
        {
            "email": entry.email,
            "hubspot_id": entry.hubspot_id,
            "fields": list(entry.fields),
            "groups": [groups[group] for group in entry.groups],
        }
        for entry in entries
    ]


def _kept(rows: Sequence[Row]) -> List[Row]:
    return [row for row in rows if row["status"] != SKIPPED]


def _skipped(row: Row) -> Dict[str, Any]:
    return {"email": row["email"], "hubspot_id": row["hubspot_id"], "reason": row["error"]}


def _in_words(entry: Write, groups: Mapping[str, str]) -> str:
    joins = [f"joins {groups[group]}" for group in entry.groups]
    return ", ".join([*entry.fields, *joins]) or "no values"
