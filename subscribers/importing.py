"""New people by MailerLite's import, a thousand in one call.

An import answers for nobody in particular: its report has numbers, and a few people as samples. So
who arrived is read from the group afterwards, and who did not is written singly, with an answer. It
may bring deleted people back, so nobody goes by it whom an earlier run knew.
"""

from __future__ import annotations

import contextlib
import threading
from typing import (
    AbstractSet,
    Iterator,
    Mapping,
    NamedTuple,
    Sequence,
)

from cli.changes import DONE, FAILED, NOT_REACHED, Changes, Result, Skip
from core.clock import Clock
from core.emails import canonical
from core.errors import CallRejected, Interrupted, ServiceDown, ServiceError
from core.log import log
from core.words import listing
from mailerlite_api.shapes import Subscriber, Written
from mailerlite_client import MailerLiteClient
from report.model import Finding
from subscribers.memory import Memory
from subscribers.mirror import Mirror
from subscribers.plan import Decision, by_email, people
from subscribers.rounds import NothingToDo, Writer

IMPORT_SIZE = 1_000  # people: no document names the maximum, and this is in use
TURN_S = 12.0  # MailerLite takes five imports a minute
FIRST_POLL_S, LONGEST_POLL_S = 2.0, 30.0
POLLS = 40  # then the group shows how far it came
NOT_SEEN = "it was sent by import, and nobody saw it arrive: the next run will tell"


def check(groups: Mapping[str, str], mirror: Mirror) -> Finding:
    """`groups`: id -> name of those that everybody joins, without the mirrored ones. An import
    knows one group, and who arrives must be in no other."""
    for_all = [*groups.values(), *([mirror.names[mirror.everyone]] if mirror.everyone else ())]
    if mirror.by and not for_all:
        return Finding(True, "New people are imported into the groups of GROUP_BY.")
    if len(for_all) == 1 and not mirror.by:
        return Finding(True, f"New people are imported into the group {for_all[0]}.")
    return Finding(
        False,
        "--import needs one group to import each person into: let MAILERLITE_GROUPS name it, and no"
        " other, or MIRROR_GROUP alone, or GROUP_BY alone.",
    )


def by_group(planned: Sequence[Decision]) -> dict[str, list[Decision]]:
    """Group -> the new people who are to be in it and in no other: an import can bring them."""
    found: dict[str, list[Decision]] = {}
    for each in planned:
        if len(each.groups) == 1:
            found.setdefault(each.groups[0], []).append(each)
    return found


def in_words(planned: Sequence[Decision], names: Mapping[str, str]) -> str:
    into = by_group(planned)
    groups = f"group{'' if len(into) == 1 else 's'} {listing([names[each] for each in into])}"
    return (
        f"New people come by import into the {groups}: {people(sum(map(len, into.values())))}, up"
        f" to {IMPORT_SIZE:,} in one call, which is worth it from some hundred on. MailerLite asks"
        " nobody who is imported to confirm, even if double opt-in is on."
    )


class Part(NamedTuple):
    """New people for one import; `group`: its id, also while it is still to be made."""

    group: str
    people: Sequence[Decision]


class Importer:
    def __init__(
        self, mailerlite: MailerLiteClient, writer: Writer, memory: Memory, clock: Clock
    ) -> None:
        self._mailerlite, self._writer, self._memory = mailerlite, writer, memory
        self._clock = clock
        self._sent: dict[str, Decision] = {}  # by the address in the plan
        self._turn = threading.Lock()  # held from the look on, so that it is fresh
        self._next_at = clock.monotonic()

    def bring(self, changes: Changes, planned: Sequence[Decision]) -> dict[str, Result]:
        """Address -> what came of it, without those who are still to be written singly."""
        parts = [
            Part(group, chosen[n : n + IMPORT_SIZE])
            for group, chosen in by_group(planned).items()
            for n in range(0, len(chosen), IMPORT_SIZE)
        ]
        results = changes.apply("Import", parts, self._send)
        arrived = self._arrived()
        found: dict[str, Result] = {}
        for part, result in zip(parts, results):
            for each in part.people:
                if each.address in arrived:
                    found[each.address] = Result(DONE, maybe_applied=True)
                elif result.status in (FAILED, NOT_REACHED):
                    found[each.address] = result
        return found

    def write(self, planned: Decision) -> None:
        """Write singly somebody who was not in the group yet: who is found as they should be came
        by the import, a little late."""
        try:
            self._writer.write(planned)
        except NothingToDo:
            sent = self._sent.get(planned.address)
            if sent is None:
                raise
            self._writer.note(planned.address, sent, Written("active", True, {}))

    def judge(self, address: str, result: Result) -> Result:
        """A single write that was not reached says nothing of the import before it."""
        if result.status == NOT_REACHED and address in self._sent:
            return Result(FAILED, NOT_SEEN, maybe_applied=True)
        return result

    def _send(self, part: Part) -> None:
        """An import that fails is no reason not to write its people singly."""
        try:
            with self._turn:
                key = self._start(part)
        except ServiceDown:
            raise
        except (CallRejected, ServiceError) as error:
            log.warning("%s", error)
            if error.outcome_unknown:  # the group shows what came of it
                return
            raise Skip(str(error)) from None
        with contextlib.suppress(CallRejected, ServiceError, Interrupted):  # the group shows it
            if key:
                self._await(key)

    def _start(self, part: Part) -> str | None:
        """The key of the import, if anybody is still to be imported."""
        group = self._writer.mirror.real(part.group)
        chosen = dict(self._still_new(part.people, group))
        if not chosen:
            return None
        self._clock.sleep(max(self._next_at - self._clock.monotonic(), 0.0))
        self._sent.update(chosen)  # before the call: its answer may be lost
        for now in chosen.values():
            self._writer.changes.note(now)
        rows = [(now.address, now.fields) for now in chosen.values()]
        try:
            return self._mailerlite.start_import(group, rows)
        except (CallRejected, ServiceError) as error:
            for address in () if error.outcome_unknown else chosen:
                del self._sent[address]
            raise
        finally:
            self._next_at = self._clock.monotonic() + TURN_S

    def _still_new(self, planned: Sequence[Decision], group: str) -> Iterator[tuple[str, Decision]]:
        """Whoever is not, or belongs elsewhere by now, is left to the single write."""
        for each in self._writer.in_rounds(planned):
            try:
                now = self._writer.to_create(each)
            except (Skip, CallRejected):
                continue
            if now.groups == (group,) and not self._memory.recall(now.address).is_known:
                yield each.address, now

    def _await(self, key: str) -> None:
        wait_s = FIRST_POLL_S
        for _ in range(POLLS):
            self._clock.sleep(wait_s)
            if self._mailerlite.import_is_done(key):
                return
            wait_s = min(2 * wait_s, LONGEST_POLL_S)

    def _arrived(self) -> AbstractSet[str]:
        """Those of whom were sent, by the address in the plan."""
        groups = {now.groups[0] for now in self._sent.values()}
        try:
            there = {group: self._members(group) for group in groups}
        except (CallRejected, ServiceError, Interrupted) as error:
            log.error("%s", error)  # each is looked at before the single write
            return set()
        arrived: set[str] = set()
        for address, now in self._sent.items():
            person = there[now.groups[0]].get(canonical(now.address))
            if person:
                arrived.add(address)
                self._writer.note(address, now, Written(person.status, True, person.fields))
        return arrived

    def _members(self, group: str) -> Mapping[str, Subscriber]:
        return by_email(self._mailerlite.members(group, self._writer.keys))
