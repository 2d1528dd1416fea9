"""The changes of a run as its history knows them: who it was as a hash, and nobody's values."""

from __future__ import annotations

from cli.changes import DONE
from core.conditions import without_value
from core.emails import masked
from core.words import count
from state.history import History
from subscribers.memory import Memory
from subscribers.plan import Decision
from subscribers.sections import LEAVE, VERBS, Results


class ChangeLog:
    """Any thread may note a change."""

    def __init__(self, memory: Memory, history: History) -> None:
        self._memory, self._history = memory, history
        self._noted: set[tuple[str, bytes]] = set()

    def note(self, now: Decision, leaves: bool = False) -> None:
        """Before it is made, so that a run that is killed has left it. Who leaves several groups,
        or is written singly after an import, is noted once. Raises AppError."""
        action = LEAVE if leaves else now.action.value
        who = self._memory.person(now.address)
        if (action, who) in self._noted:
            return
        self._noted.add((action, who))
        reason = (now.why_leaves if leaves else now.reason) or _what(now)
        self._history.note_change(
            action, who, None, now.hubspot_id, masked(without_value(reason)) or None
        )

    def judge(self, results: Results) -> None:
        """What came of them. Who was to leave several groups, and has not left one, has not left.
        Raises AppError."""
        people = [(decision.address, made.status) for decision, made in results.people]
        leave = [(each.person.address, made.status) for each, made in results.leave]
        leave.sort(key=lambda each: each[1] != DONE)
        for action in VERBS:
            made = leave if action == LEAVE else people
            came = ((self._memory.person(who), status) for who, status in made)
            self._history.set_statuses(action, came)


def _what(now: Decision) -> str:
    """The keys of the fields that are written, and how many groups are joined: the name of a group
    may be a value."""
    joins = [f"joins {count(len(now.groups), 'group')}"] if now.groups else []
    return ", ".join([*now.fields, *joins])
