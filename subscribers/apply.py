"""Write the people of a plan, each kind of change in turn, and say what came of each."""

from __future__ import annotations

from typing import Callable, Sequence

from cli.changes import Changes, Result
from subscribers.importing import Importer
from subscribers.plan import Decision, Leave, Plan
from subscribers.rounds import Writer


def write_people(
    changes: Changes, plan: Plan, writer: Writer, importer: Importer | None
) -> tuple[list[tuple[Leave, Result]], list[tuple[Decision, Result]]]:
    """Who left a group, and the others with what was really decided about them; each with what came
    of it."""

    def write(
        label: str, entries: Sequence[Decision], write_one: Callable[[Decision], None]
    ) -> list[tuple[Decision, Result]]:
        results = changes.apply(label, writer.in_rounds(entries), write_one)
        return list(zip(entries, results))

    made = write("Unsubscribe", plan.unsubscribe, writer.unsubscribe)
    left = changes.apply("Remove from a group", writer.in_batches(plan.leave), writer.leave)
    made += write("Update", plan.update, writer.write)
    imported = importer.bring(changes, plan.create) if importer else {}
    singly = [each for each in plan.create if each.address not in imported]
    create = importer.write if importer else writer.write
    created = dict(imported)
    for each, result in write("Create", singly, create):
        created[each.address] = importer.judge(each.address, result) if importer else result
    made += [(each, created[each.address]) for each in plan.create]
    made = [(writer.as_written.get(each.address, each), result) for each, result in made]
    writer.end()
    return list(zip(plan.leave, left)), made
