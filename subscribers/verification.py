"""The mirrored groups, read again after the writes: their lists decide what these came to."""

from __future__ import annotations

from typing import AbstractSet, Any, Iterable, Mapping, Sequence

from cli.command import Run
from core import addresses, errors, words
from mailerlite_client import MailerLiteClient
from report.model import DONE, FAILED, Result
from subscribers import rules, writing
from subscribers.decide import NOT_WRITTEN, Action
from subscribers.plan import Change, Membership, Plan, by_email

LOOK_AGAIN_AFTER_S = (1.0, 3.0, 6.0)  # while the lists do not show what was accepted
NOT_LEFT = "MailerLite still lists the person in the group"
NOT_JOINED = "MailerLite does not list the person in the group"

Members = Mapping[Membership, bool]  # each with whether they can get mail


def verify_groups(run: Run, plan: Plan, writer: writing.Writer) -> str:
    """Corrects the results of the plan's changes as the lists show them; a sentence on the groups,
    if there are any."""
    mirror = writer.rules.mirror
    if not mirror.ids:
        return ""
    try:
        there = _read_members(run, plan, mirror, writer.services.mailerlite)
    except errors.AppError as error:
        return f"The result was not checked: {error}"
    for change in plan.changes:
        _correct(change, there, writer)
    decided = {each.decision.person.email: each.decision for each in plan.changes}  # the last ones
    belong = {each for each in plan.mirrored if each.email not in decided}
    belong |= {Membership(email, id) for email in decided for id in decided[email].groups.mirrored}
    refused = {addresses.canonical(each.email) for each in plan.waiting if not each.field}
    checked = compare(belong, there, refused.union(run.args.keep_in_group))
    run.report.checked_after = checked
    names = sorted(mirror.names[id] for id in mirror.ids)
    return f"Checked: {describe(checked, belong, names)}"


def compare(
    belong: AbstractSet[Membership], there: Members, left: AbstractSet[str]
) -> dict[str, Any]:
    """The groups as MailerLite lists them, against who belongs there. `left`: addresses that are
    neither missing nor unwanted. `listed`: how many people they have who can get mail."""
    can_get_mail = {each for each, can in there.items() if can}

    def emails(members: Iterable[Membership]) -> list[str]:
        return sorted({each.email for each in members} - left)

    listed = len({each.email for each in can_get_mail})
    missing, unwanted = emails(belong - there.keys()), emails(can_get_mail - belong)
    return {"listed": listed, "missing": missing, "unwanted": unwanted}


def describe(
    checked: Mapping[str, Any], belong: AbstractSet[Membership], names: Sequence[str]
) -> str:
    missing, unwanted = checked["missing"], checked["unwanted"]
    place = f"the group {names[0]}" if len(names) == 1 else f"{len(names)} groups"
    number = len({each.email for each in belong})
    here = "exactly" if not (missing or unwanted) else f"{number - len(missing):,} of"
    who = words.count(number, "person who belongs", "people who belong")
    text = f"{place} {'has' if len(names) == 1 else 'have'} {here} the {who} there."
    if not belong:
        text = f"nobody belongs in {place}{'' if unwanted else ', and nobody is there'}."
    if missing:
        text += f" Missing: {words.listing(missing)}."
    if unwanted:
        text += f" Members who do not belong there: {words.listing(unwanted)}."
    return text


def _read_members(
    run: Run, plan: Plan, mirror: rules.Mirror, mailerlite: MailerLiteClient
) -> Members:
    """Until they show what was accepted, or for some ten seconds. Raises CallRejected,
    ServiceError."""
    done = [each for each in plan.changes if each.status == DONE]
    for wait_s in (0.0, *LOOK_AGAIN_AFTER_S):
        if wait_s:
            run.clock.sleep(wait_s)
        there = {
            Membership(email, group): person.status not in NOT_WRITTEN
            for group in sorted(mirror.ids)
            for email, person in by_email(mailerlite.members(group)).items()
        }
        if all(_is_shown(each, there, mirror) for each in done):
            break
    return there


def _joins(change: Change, mirror: rules.Mirror) -> set[Membership]:
    """Of mirrored groups."""
    if change.action not in (Action.CREATE, Action.UPDATE):
        return set()
    decision = change.decision
    groups = mirror.ids.intersection(decision.groups.join)
    return {Membership(decision.person.email, group) for group in groups}


def _is_shown(change: Change, there: Members, mirror: rules.Mirror) -> bool:
    if change.action is Action.LEAVE:
        return change.membership not in there
    return _joins(change, mirror) <= there.keys()


def _correct(change: Change, there: Members, writer: writing.Writer) -> None:
    """Also what was done although the answer was lost, or said that it failed."""
    mirror, sent, leaves = writer.rules.mirror, change.decision, change.action is Action.LEAVE
    is_shown = _is_shown(change, there, mirror)
    if change.status == DONE and not is_shown:
        change.result = Result(FAILED, NOT_LEFT if leaves else NOT_JOINED, True)
    elif change.status == FAILED and is_shown:
        if leaves:
            writer.store.note_left(*change.membership)
        elif change.result.maybe_applied and _joins(change, mirror):
            writer.note_written(sent)
        else:
            return
        change.result = Result(DONE, maybe_applied=True)
