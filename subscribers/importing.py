"""New people by MailerLite's import, a thousand in one call.

An import answers for nobody in particular: its report has numbers, and a few people as samples. So
who arrived is read from the group afterwards, and who did not is written singly, with an answer. It
may bring deleted people back, so nobody goes by it whom an earlier run knew.
"""

from __future__ import annotations

import contextlib
from typing import Mapping, NamedTuple, Sequence

from cli.changes import DONE, FAILED, NOT_REACHED, Result, Skip
from cli.progress import Progress
from core.clock import Clock
from core.errors import CallRejected, Interrupted, ServiceDown, ServiceError
from core.log import log
from core.words import listing
from mailerlite_api.shapes import Written
from mailerlite_client import MailerLiteClient
from subscribers.decide import Action, Decision
from subscribers.memory import PersonStore
from subscribers.plan import Change, by_email, people
from subscribers.writing import Current, NothingToDo, Writer, batches

IMPORT_SIZE = 1_000  # people: no document names the maximum, and this is in use
TURN_S = 12.0  # MailerLite takes five imports a minute
FIRST_POLL_S, LONGEST_POLL_S = 2.0, 30.0
POLLS = 40  # then the group shows how far it came
NOT_SEEN = "it was sent by import, and nobody saw it arrive: the next run will tell"


class Part(NamedTuple):
    """New people for one import; `group`: its id, also while it is still to be made."""

    group: str
    changes: Sequence[Change]


def by_group(planned: Sequence[Change]) -> dict[str, list[Change]]:
    """Group -> the new people who are to be in it and in no other: an import can bring them."""
    found: dict[str, list[Change]] = {}
    for each in planned:
        if len(each.decision.groups.join) == 1:
            found.setdefault(each.decision.groups.join[0], []).append(each)
    return found


def describe(planned: Sequence[Change], names: Mapping[str, str]) -> str:
    """What the plan says of it; "" if it would bring nobody."""
    into = by_group(planned)
    if not into:
        return ""
    groups = f"group{'' if len(into) == 1 else 's'} {listing([names[each] for each in into])}"
    return (
        f"New people come by import into the {groups}: {people(sum(map(len, into.values())))}, up"
        f" to {IMPORT_SIZE:,} in one call, which is worth it from some hundred on. MailerLite asks"
        " nobody who is imported to confirm, even if double opt-in is on."
    )


class Importer:
    """Creates the new people of a plan: by imports, one after the other, and the rest singly."""

    def __init__(
        self, writer: Writer, mailerlite: MailerLiteClient, store: PersonStore, clock: Clock
    ) -> None:
        self._writer, self._mailerlite, self._store = writer, mailerlite, store
        self._clock = clock
        self._sent: dict[str, Decision] = {}  # by canonical address
        self._keys: list[str] = []  # of the imports under way
        self._next_at = clock.monotonic()

    def create(self, planned: Sequence[Change]) -> None:
        parts = [
            Part(group, chosen[start : start + IMPORT_SIZE])
            for group, chosen in by_group(planned).items()
            for start in range(0, len(chosen), IMPORT_SIZE)
        ]
        results: list[Result] = []
        with Progress("Import", "done", self._clock, len(parts)) as progress:
            for part in parts:  # one at a time: the look at its people is to be fresh
                results += self._writer.in_mailerlite.apply("Import", [part], self._start, progress)
        with contextlib.suppress(CallRejected, ServiceError, Interrupted):  # the group shows it
            self._await_all()
        arrived = self._arrived()
        for part, result in zip(parts, results):
            for change in part.changes:
                if change.decision.person.email in arrived:
                    change.result = Result(DONE, maybe_applied=True)
                elif result.status in (FAILED, NOT_REACHED):
                    change.result = result
        rest = [each for each in planned if each.result.status not in (DONE, FAILED, NOT_REACHED)]
        self._writer.write_each("Create", rest, self._write_singly)
        for change in rest:  # a single write that is not reached says nothing of the import
            if change.result.status == NOT_REACHED and change.decision.person.email in self._sent:
                change.result = Result(FAILED, NOT_SEEN, maybe_applied=True)

    def _start(self, part: Part) -> None:
        """An import that fails is no reason not to write its people singly."""
        try:
            self._start_import(part)
        except ServiceDown:
            raise
        except (CallRejected, ServiceError) as error:
            log.warning("%s", error)
            if not error.outcome_unknown:  # or else the group shows what came of it
                raise Skip(str(error)) from None

    def _start_import(self, part: Part) -> None:
        (group,) = self._writer.rules.mirror.real([part.group])
        chosen = self._still_new(part.changes, group)
        if not chosen:
            return
        self._clock.sleep(max(self._next_at - self._clock.monotonic(), 0.0))
        self._sent.update(chosen)  # before the call: its answer may be lost
        rows = [(now.address, now.values.to_send) for now in chosen.values()]
        try:
            self._keys.append(self._mailerlite.start_import(group, rows))
        except (CallRejected, ServiceError) as error:
            for email in () if error.outcome_unknown else chosen:
                del self._sent[email]
            raise
        finally:
            self._next_at = self._clock.monotonic() + TURN_S

    def _still_new(self, changes: Sequence[Change], group: str) -> dict[str, Decision]:
        """Whoever is not, or belongs elsewhere by now, is left to the single write."""
        found: dict[str, Decision] = {}
        for batch in batches(changes):
            current = self._writer.fetch_current(batch)
            for change in batch:
                try:
                    now = self._writer.decide_again(change, current)
                except (Skip, CallRejected):
                    continue
                is_new = not self._store.lookup(now.address).is_known
                if now.action is Action.CREATE and now.groups.join == (group,) and is_new:
                    self._writer.note_change(change)
                    found[now.person.email] = now
        return found

    def _await_all(self) -> None:
        pending, wait_s = self._keys, FIRST_POLL_S
        for _ in range(POLLS if pending else 0):
            self._clock.sleep(wait_s)
            pending = [key for key in pending if not self._mailerlite.import_is_done(key)]
            if not pending:
                return
            wait_s = min(2 * wait_s, LONGEST_POLL_S)

    def _arrived(self) -> set[str]:
        """The canonical addresses of those that were sent and are in their group now."""
        groups = {now.groups.join[0] for now in self._sent.values()}
        keys, arrived = self._writer.rules.keys, set()
        try:
            there = {group: by_email(self._mailerlite.members(group, keys)) for group in groups}
        except (CallRejected, ServiceError, Interrupted) as error:
            log.error("%s", error)  # each is looked at before the single write
            return set()
        for email, now in self._sent.items():
            person = there[now.groups.join[0]].get(email)
            if person:
                arrived.add(email)
                self._writer.note_written(now, Written(person.status, True, person.fields))
        return arrived

    def _write_singly(self, change: Change, current: Current) -> None:
        """Who is found as they should be came by the import, a little late."""
        try:
            self._writer.upsert(change, current)
        except NothingToDo:
            sent = self._sent.get(change.decision.person.email)
            if sent is None:
                raise
            change.decision = sent
            self._writer.note_written(sent, Written("active", True, {}))
