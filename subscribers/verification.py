"""The mirrored groups, read again after the writes: their lists decide what these came to."""

from __future__ import annotations

from typing import AbstractSet, Iterable, Mapping, NamedTuple

from cli.command import Run
from core.emails import canonical
from core.errors import AppError
from core.words import count, listing
from mailerlite_client import MailerLiteClient
from report.model import DONE, FAILED, Result
from subscribers.decide import NOT_WRITTEN, Action
from subscribers.plan import Change, Membership, Plan, by_email
from subscribers.rules import Mirror
from subscribers.writing import Writer

LOOK_AGAIN_AFTER_S = (1.0, 3.0, 6.0)  # while the lists do not show what was accepted
NOT_LEFT = "MailerLite's list still has the person in the group"
NOT_JOINED = "MailerLite's list does not have the person in the group"

Members = Mapping[Membership, bool]  # each with whether they can get mail


class Checked(NamedTuple):
    """The groups as MailerLite lists them, against who belongs there. `listed`: how many people
    they have who can get mail; the others are canonical addresses."""

    listed: int
    missing: list[str]
    unwanted: list[str]


def verify_groups(run: Run, plan: Plan, writer: Writer) -> str:
    """Corrects the results of the plan's changes as the lists show them; what is to be said of the
    groups, if there are any."""
    mirror = writer.rules.mirror
    if not mirror.ids:
        return ""
    try:
        there = _read_members(run, plan, mirror, writer.services.mailerlite)
    except AppError as error:
        return f"Not checked afterwards: {error}"
    for change in plan.changes:
        _correct(change, there.keys(), writer)
    decided = writer.mirrored  # of those who were decided upon anew
    belong = {each for each in plan.mirrored if each.email not in decided}
    belong |= {Membership(email, group) for email, groups in decided.items() for group in groups}
    refused = {canonical(each.email) for each in plan.waiting if not each.field}
    checked = compare(belong, there, refused.union(run.args.keep_in_group))
    run.report.checked_after = checked._asdict()
    names = [mirror.names[id] for id in sorted(mirror.ids)]
    return f"Checked afterwards: {describe(checked, belong, names)}"


def compare(belong: AbstractSet[Membership], there: Members, left: AbstractSet[str]) -> Checked:
    """`left`: addresses that are neither missing nor unwanted."""
    can_get_mail = {each for each, can in there.items() if can}

    def emails(members: Iterable[Membership]) -> list[str]:
        return sorted({each.email for each in members} - left)

    listed = len({each.email for each in can_get_mail})
    return Checked(listed, emails(belong - there.keys()), emails(can_get_mail - belong))


def describe(checked: Checked, belong: AbstractSet[Membership], groups: Iterable[str]) -> str:
    names = sorted(groups)
    is_one = len(names) == 1
    place = f"the group {names[0]}" if is_one else f"{len(names)} groups"
    people = len({each.email for each in belong})
    here = f"{people - len(checked.missing):,} of" if checked.missing else "all"
    who = count(people, "person who belongs", "people who belong")
    text = f"{place} {'has' if is_one else 'have'} {here} {who} there"
    nobody_else = " and nobody else"
    if not belong:
        text, nobody_else = f"nobody belongs into {place}", ", and nobody is there"
    if not (checked.missing or checked.unwanted):
        text += nobody_else
    if checked.missing:
        text += f". Missing: {listing(checked.missing)}"
    if checked.unwanted:
        text += f". There and not wanted: {listing(checked.unwanted)}"
    return f"{text}."


def _read_members(run: Run, plan: Plan, mirror: Mirror, mailerlite: MailerLiteClient) -> Members:
    """Until they show what was accepted, or for some ten seconds. Raises CallRejected,
    ServiceError."""
    done = [each for each in plan.changes if each.status == DONE]
    left = {each.membership for each in done if each.action is Action.LEAVE}
    joined = {membership for each in done for membership in _joins(each, mirror)}
    for wait_s in (0.0, *LOOK_AGAIN_AFTER_S):
        if wait_s:
            run.clock.sleep(wait_s)
        there = {
            Membership(email, group): person.status not in NOT_WRITTEN
            for group in sorted(mirror.ids)
            for email, person in by_email(mailerlite.members(group)).items()
        }
        if joined <= there.keys() and left.isdisjoint(there):
            break
    return there


def _joins(change: Change, mirror: Mirror) -> set[Membership]:
    """Of mirrored groups."""
    if change.action not in (Action.CREATE, Action.UPDATE):
        return set()
    decision = change.decision
    groups = mirror.ids.intersection(decision.groups.join)
    return {Membership(decision.person.email, group) for group in groups}


def _correct(change: Change, there: AbstractSet[Membership], writer: Writer) -> None:
    """Also what was done although the answer was lost, or said that it failed."""
    status, decision, done = change.status, change.decision, Result(DONE, maybe_applied=True)
    if change.action is Action.LEAVE:
        if status == DONE and change.membership in there:
            change.result = Result(FAILED, NOT_LEFT, True)
        elif status == FAILED and change.membership not in there:
            change.result = done
            writer.store.note_left(*change.membership)
        return
    joins = _joins(change, writer.rules.mirror)
    if status == DONE and not joins <= there:
        change.result = Result(FAILED, NOT_JOINED, True)
    elif status == FAILED and change.result.maybe_applied and joins and joins <= there:
        change.result = done
        writer.note_written(decision)
