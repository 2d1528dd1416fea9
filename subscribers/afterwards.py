"""The mirrored groups, read again after the writes: their lists tell what these came to."""

from __future__ import annotations

from typing import AbstractSet, List, NamedTuple, Tuple

from basics.emails import canonical
from run.apply import DONE, FAILED, Result
from subscribers.mirror import (
    NOT_JOINED,
    NOT_LEFT,
    Comparison,
    Membership,
    Mirror,
    compare,
    wanted_now,
)
from subscribers.plan import Decision, Plan
from subscribers.rounds import Writer
from subscribers.sections import Results
from transport.clock import Clock

LOOK_AGAIN_AFTER_S = (1.0, 3.0, 6.0)  # while the lists do not show what was accepted


class Afterwards(NamedTuple):
    """`results`: without what was accepted and is not to be seen; `wanted`: how many belong into
    the groups."""

    results: Results
    found: Comparison
    wanted: int


def look_at_groups(
    plan: Plan,
    writer: Writer,
    results: Results,
    keep: AbstractSet[str],
    clock: Clock,
) -> Afterwards:
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
    return Afterwards(_seen(results, mirror, there.keys()), found, len(wanted))


def _memberships(decision: Decision, mirror: Mirror) -> List[Membership]:
    email = canonical(decision.address)
    return [Membership(email, group) for group in decision.groups if group in mirror.ids]


def _seen(results: Results, mirror: Mirror, there: AbstractSet[Membership]) -> Results:
    people: List[Tuple[Decision, Result]] = []
    for decision, made in results.people:
        is_seen = there >= set(_memberships(decision, mirror)) or made.status != DONE
        people.append((decision, made if is_seen else Result(FAILED, NOT_JOINED, True)))
    leave = [
        (each, Result(FAILED, NOT_LEFT, True))
        if made.status == DONE and each.membership in there
        else (each, made)
        for each, made in results.leave
    ]
    return results._replace(people=people, leave=leave)
