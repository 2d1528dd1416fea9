"""A plan has an id, made of its changes alone: `--approve` carries out this plan, and no other."""

from __future__ import annotations

import hashlib
from typing import Mapping, Sequence

from cli.command import Run
from core import limits, words
from state.history import History, Who

# A change in words, further lines of which are not shown -> as the run history keeps it: the same
# words or, of a person, a hash.
Changes = Mapping[str, Who]


def judge(
    run: Run, changes: Changes, refusals: Sequence[limits.Refusal], history: History
) -> list[limits.Refusal]:
    """What keeps the plan from being carried out. The plan that `--approve` names goes past all
    limits; any other is refused, with what is different."""
    digest = hashlib.sha256("\n".join(sorted(changes)).encode()).hexdigest()
    plan, approved = f"{digest[:4]}-{digest[4:8]}", run.args.approve
    run.report.plan = plan if changes else ""
    found = [each for each in refusals if not (approved and each.by_plan)]
    if approved not in (None, plan) and changes:
        difference = _describe_difference(changes, history.planned(approved))
        text = f"The plan is not {approved} any more, it is {plan} now.{difference}"
        found.append(limits.Refusal(text, f"--approve {plan}"))
    if found and not run.dry_run:
        history.note_plan(plan, changes.values())
    return found


def _describe_difference(changes: Changes, before: set[Who]) -> str:
    """Nothing where the other plan is unknown: a dry run leaves nothing behind."""
    if not before:
        return ""
    new = [text.split("\n")[0] for text, who in changes.items() if who not in before]
    gone = before.difference(changes.values())
    names = sorted(each for each in gone if isinstance(each, str))
    names += [words.count(len(gone), "change")] if gone and not names else []
    parts = [("New", new), ("No longer planned", names)]
    return "".join(f" {title}: {words.listing(texts)}." for title, texts in parts if texts)
