"""The mirrored groups, read again after the writes: their lists tell what these came to."""

from __future__ import annotations

from typing import AbstractSet, NamedTuple

from cli.changes import DONE, FAILED, Result
from cli.run import Run
from core.clock import Clock
from core.emails import canonical
from core.errors import AppError
from subscribers.mirror import (
    NOT_JOINED,
    NOT_LEFT,
    Comparison,
    Membership,
    Mirror,
    checked_in_words,
    compare,
    wanted_now,
)
from subscribers.plan import Decision, Leave, Plan
from subscribers.rounds import Writer
from subscribers.sections import Results

LOOK_AGAIN_AFTER_S = (1.0, 3.0, 6.0)  # while the lists do not show what was accepted


class _Afterwards(NamedTuple):
    """`results`: without what was accepted and is not to be seen; `wanted`: who belongs where."""

    results: Results
    found: Comparison
    wanted: AbstractSet[Membership]


def check_groups(run: Run, plan: Plan, writer: Writer, results: Results) -> tuple[Results, str]:
    """The results as the lists of the mirrored groups show them, and what is to be said of these,
    if there are any."""
    if not writer.mirror.ids:
        return results, ""
    keep = frozenset(run.args.keep_in_group)
    try:
        after = _look_at_groups(plan, writer, results, keep, run.clock)
    except AppError as error:
        return results, f"Not checked afterwards: {error}"
    found = after.found
    missing, unwanted = (sorted({m.email for m in each}) for each in found[1:])
    run.report.checked_after = {
        "listed": found.listed,
        "missing": missing,
        "unwanted": unwanted,
    }
    names = (writer.mirror.names[id] for id in writer.mirror.ids)
    return after.results, f"Checked afterwards: {checked_in_words(found, after.wanted, names)}"


def _look_at_groups(
    plan: Plan,
    writer: Writer,
    results: Results,
    keep: AbstractSet[str],
    clock: Clock,
) -> _Afterwards:
    """`keep`: who may be in a group or not. Raises CallRejected, ServiceError."""
    mirror = writer.mirror
    planned = (each._replace(group=mirror.real(each.group)) for each in plan.mirrored)
    wanted = wanted_now(planned, writer.mirrored)
    left = {each.membership for each, made in results.leave if made.status == DONE}
    joined = {
        each
        for decision, made in results.people
        if made.status == DONE
        for each in _memberships(decision, mirror)
    }
    for wait_s in (0.0, *LOOK_AGAIN_AFTER_S):
        if wait_s:
            clock.sleep(wait_s)
        there = writer.members()
        if joined <= there.keys() and left.isdisjoint(there):
            break
    refused = {canonical(each.email) for each in plan.waiting if not each.field}
    found = compare(wanted, there, keep | refused)
    return _Afterwards(_seen(results, writer, there.keys()), found, wanted)


def _memberships(decision: Decision, mirror: Mirror) -> list[Membership]:
    email = canonical(decision.address)
    groups = map(mirror.real, decision.groups)
    return [Membership(email, group) for group in groups if group in mirror.ids]


def _seen(results: Results, writer: Writer, there: AbstractSet[Membership]) -> Results:
    """Also what was done although the answer was lost, or said that it failed."""
    people: list[tuple[Decision, Result]] = []
    for decision, made in results.people:
        wanted = set(_memberships(decision, writer.mirror))
        if made.status == DONE and not there >= wanted:
            made = Result(FAILED, NOT_JOINED, True)
        elif made.status == FAILED and made.maybe_applied and wanted and there >= wanted:
            made = Result(DONE, maybe_applied=True)
            writer.note_joined(decision)
        people.append((decision, made))
    leave: list[tuple[Leave, Result]] = []
    for each, made in results.leave:
        if made.status == DONE and each.membership in there:
            made = Result(FAILED, NOT_LEFT, True)
        elif made.status == FAILED and each.membership not in there:
            made = Result(DONE, maybe_applied=True)
            writer.note_left(each)
        leave.append((each, made))
    return results._replace(people=people, leave=leave)
