"""New people by MailerLite's import, a thousand in one call.

An import answers for nobody in particular: its report has numbers, and a few people as samples. So
who arrived is read from the group afterwards, and who did not is written singly, with an answer. It
may bring deleted people back, so nobody goes by it whom an earlier run knew.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import Dict, Iterator, Mapping, Optional, Sequence, Tuple

from basics.emails import canonical
from basics.errors import CallRejected, Interrupted, ServiceError
from mailerlite_client import MailerLiteClient, Written
from run.apply import DONE, Changes, NotWanted, Result
from run.checks import Finding
from subscribers.memory import Memory
from subscribers.mirror import Mirror
from subscribers.plan import Decision, by_email, people
from subscribers.rounds import AS_IT_SHOULD, Writer
from transport.clock import Clock

IMPORT_SIZE = 1_000  # people: no document names the maximum, and this is in use
TURN_S = 12.0  # MailerLite takes five imports a minute
FIRST_POLL_S, LONGEST_POLL_S = 2.0, 30.0
POLLS = 40  # then the group shows how far it came

log = logging.getLogger("crm_sync")


def check(groups: Mapping[str, str], mirror: Mirror) -> Finding:
    """`groups`: id -> name of all that people may join. An import knows one, and who arrives must
    be in no other."""
    if len(groups) == 1 and not mirror.by:
        return Finding(True, f"New people are imported into the group {_name(groups)}.")
    return Finding(
        False,
        "--import needs one group to import into: let MAILERLITE_GROUPS name it, and no other,"
        " or MIRROR_GROUP alone.",
    )


def in_words(number: int, groups: Mapping[str, str]) -> str:
    return (
        f"New people come by import into the group {_name(groups)}: {people(number)}, up to"
        f" {IMPORT_SIZE:,} in one call, which is worth it from some hundred on. MailerLite asks"
        " nobody who is imported to confirm, even if double opt-in is on."
    )


def _name(groups: Mapping[str, str]) -> str:
    return next(iter(groups.values()))


class Importer:
    """`group`: its id, also while it is still to be made."""

    def __init__(
        self, mailerlite: MailerLiteClient, writer: Writer, memory: Memory, group: str, clock: Clock
    ) -> None:
        self._mailerlite, self._writer, self._memory = mailerlite, writer, memory
        self._group, self._clock = group, clock
        self._sent: Dict[str, Decision] = {}  # by the address in the plan
        self._turn = threading.Lock()  # held from the look on, so that it is fresh
        self._next_at = clock.monotonic()

    def bring(self, changes: Changes, planned: Sequence[Decision]) -> Dict[str, Result]:
        """Address -> what came of it, without those who are still to be written singly."""
        parts = [planned[n : n + IMPORT_SIZE] for n in range(0, len(planned), IMPORT_SIZE)]
        results = changes.apply("Import", parts, self._send)
        arrived = self._arrived()
        found: Dict[str, Result] = {}
        for part, result in zip(parts, results):
            for each in part:
                if each.address in arrived:
                    found[each.address] = Result(DONE, may_be_done=True)
                elif result.status != DONE:
                    found[each.address] = result
        return found

    def write(self, planned: Decision) -> None:
        """Write singly somebody who was not in the group yet: who is found as they should be came
        by the import, a little late."""
        try:
            self._writer.write(planned)
        except NotWanted as reason:
            sent = self._sent.get(planned.address)
            if sent is None or str(reason) != AS_IT_SHOULD:
                raise
            self._writer.note(planned.address, sent, Written("active", True, {}))

    def _send(self, part: Sequence[Decision]) -> None:
        with self._turn:
            key = self._start(part)
        with contextlib.suppress(CallRejected, ServiceError, Interrupted):  # the group shows it
            if key:
                self._await(key)

    def _start(self, part: Sequence[Decision]) -> Optional[str]:
        """The key of the import, if anybody is still to be imported."""
        self._clock.sleep(max(self._next_at - self._clock.monotonic(), 0.0))
        chosen = dict(self._still_new(part))
        if not chosen:
            return None
        self._next_at = self._clock.monotonic() + TURN_S
        self._sent.update(chosen)  # before the call: its answer may be lost
        rows = [(now.address, now.fields) for now in chosen.values()]
        return self._mailerlite.start_import(self._writer.mirror.real(self._group), rows)

    def _still_new(self, part: Sequence[Decision]) -> Iterator[Tuple[str, Decision]]:
        """Whoever is not is left to the single write, which says why."""
        for planned in self._writer.in_rounds(part):
            try:
                now = self._writer.to_create(planned)
            except (NotWanted, CallRejected):
                continue
            if not self._memory.recall(now.address).is_known:
                yield planned.address, now

    def _await(self, key: str) -> None:
        wait_s = FIRST_POLL_S
        for _ in range(POLLS):
            self._clock.sleep(wait_s)
            if self._mailerlite.import_is_done(key):
                return
            wait_s = min(2 * wait_s, LONGEST_POLL_S)

    def _arrived(self) -> Dict[str, Decision]:
        try:
            group = self._writer.mirror.real(self._group)
            members = self._mailerlite.members(group, self._writer.keys)
        except (
            CallRejected,
            ServiceError,
            Interrupted,
        ) as error:  # each is looked at before the single write
            log.error("%s", error)
            return {}
        there = by_email(members)
        arrived = {
            address: now for address, now in self._sent.items() if canonical(now.address) in there
        }
        for address, now in arrived.items():
            person = there[canonical(now.address)]
            self._writer.note(address, now, Written(person.status, True, person.fields))
        return arrived
