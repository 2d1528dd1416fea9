"""New people by MailerLite's import, a thousand in one call.

An import answers for nobody in particular: its report has numbers, and a few people as samples. So
who arrived is read from the group afterwards, and who did not is written one by one, with an
answer. It may bring deleted people back, so nobody is imported whom an earlier run knew.
"""

from __future__ import annotations

import contextlib
from typing import Mapping, Sequence

from cli.changes import Changes, Skip
from cli.screen import Progress
from core import errors, log, words
from report.model import DONE, FAILED, NOT_REACHED, Result
from subscribers import decide, plan, writing

IMPORT_SIZE = 1_000  # people: no document names the maximum, and this is in use
TURN_S = 12.0  # MailerLite accepts five imports a minute
FIRST_POLL_S, LONGEST_POLL_S = 2.0, 30.0
POLLS = 40  # then the groups show how far the imports came
NOT_SEEN = "imported, but not in the group yet; the next run will check again"


def by_group(planned: Sequence[plan.Change]) -> dict[str, list[plan.Change]]:
    """Group -> the new people who are to be in it and in no other: an import can bring them."""
    found: dict[str, list[plan.Change]] = {}
    for each in planned:
        if len(each.decision.groups.join) == 1:
            found.setdefault(each.decision.groups.join[0], []).append(each)
    return found


def describe(planned: Sequence[plan.Change], names: Mapping[str, str]) -> str:
    into = by_group(planned)
    groups = f"group{'' if len(into) == 1 else 's'} {words.listing([names[each] for each in into])}"
    return (
        f"MailerLite will import {plan.people(sum(map(len, into.values())))} into the {groups},"
        f" up to {IMPORT_SIZE:,} in one call. It does not ask imported people to confirm, even if"
        " double opt-in is on."
    )


class Importer:
    """Creates the new people of a plan: by imports in turn, and the rest one by one."""

    def __init__(self, writer: writing.Writer) -> None:
        self._writer, self._clock = writer, writer.run.clock
        self._mailerlite = writer.services.mailerlite
        self._sent: dict[str, decide.Decision] = {}  # by canonical address
        self._keys: list[str] = []  # of the imports under way
        self._next_at = self._clock.monotonic()

    def create(self, planned: Sequence[plan.Change]) -> None:
        parts = [
            (group, chosen[start : start + IMPORT_SIZE])
            for group, chosen in by_group(planned).items()
            for start in range(0, len(chosen), IMPORT_SIZE)
        ]
        # Of their own: that imports are refused is no reason not to write the people one by one.
        imports = Changes(self._writer.run)
        with Progress("Import", "done", self._clock, len(parts)) as progress:
            for part in parts:  # one at a time: the look at its people is to be fresh
                imports.apply("Import", [part], self._import, progress)
        # What fails here the groups show.
        with contextlib.suppress(errors.CallRejected, errors.ServiceError, errors.Interrupted):
            self._await_imports()
        arrived = self._arrived()
        for each in planned:
            if each.decision.person.email in arrived:
                each.result = Result(DONE, maybe_applied=True)
        rest = [each for each in planned if each.status != DONE]
        self._writer.upsert("Create", rest)
        for each in rest:
            sent = self._sent.get(each.decision.person.email)
            if sent and each.result.error == writing.NOTHING_TO_DO:  # imported a little late
                each.result = Result(DONE, maybe_applied=True)
                self._writer.note_written(sent)
            elif sent and each.status == NOT_REACHED:  # which says nothing of the import
                each.result = Result(FAILED, NOT_SEEN, maybe_applied=True)

    def _import(self, part: tuple[str, Sequence[plan.Change]]) -> None:
        group, changes = part
        chosen = self._still_new(group, changes)
        if not chosen:
            return
        self._clock.sleep(max(self._next_at - self._clock.monotonic(), 0.0))
        self._sent.update(chosen)  # before the call: its answer may be lost
        rows = [(now.address, now.values.to_send) for now in chosen.values()]
        try:
            self._keys.append(self._mailerlite.start_import(group, rows))
        except (errors.CallRejected, errors.ServiceError) as error:
            if not error.outcome_unknown:  # or else the group shows what came of it
                self._sent = {e: now for e, now in self._sent.items() if e not in chosen}
            raise
        finally:
            self._next_at = self._clock.monotonic() + TURN_S

    def _still_new(self, group: str, changes: Sequence[plan.Change]) -> dict[str, decide.Decision]:
        """Whoever is not, or belongs elsewhere by now, is left to the single write."""
        found: dict[str, decide.Decision] = {}
        for batch in writing.batches(changes):
            current = self._writer.fetch_current(batch)
            for change in batch:
                try:
                    now = self._writer.decide_again(change, current)
                except (Skip, errors.CallRejected):
                    continue
                is_new = not self._writer.store.lookup(now.address).is_known
                if now.action is decide.Action.CREATE and now.groups.join == (group,) and is_new:
                    found[now.person.email] = now
        return found

    def _await_imports(self) -> None:
        wait_s = FIRST_POLL_S
        for _ in range(POLLS):
            if not self._keys:
                return
            self._clock.sleep(wait_s)
            self._keys = [key for key in self._keys if not self._mailerlite.import_is_done(key)]
            wait_s = min(2 * wait_s, LONGEST_POLL_S)

    def _arrived(self) -> set[str]:
        """The canonical addresses of those that were sent and are in their group now."""
        groups = {now.groups.join[0] for now in self._sent.values()}
        try:
            there = {group: plan.by_email(self._mailerlite.members(group)) for group in groups}
        except (errors.CallRejected, errors.ServiceError, errors.Interrupted) as error:
            log.error("%s", error)  # each is looked at before the single write
            return set()
        arrived: set[str] = set()
        for email, now in self._sent.items():
            if email in there[now.groups.join[0]]:
                arrived.add(email)
                self._writer.note_written(now)
        return arrived
