"""How much one run may change, and what it must know before: the flags, and what they refuse."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Callable, Mapping, NamedTuple

from cli import command
from core.limits import FEW, Limit, Refusal, over_limit, parse_limit, parse_number_limit
from core.settings import SettingsReader
from subscribers.decide import Action
from subscribers.memory import Lists
from subscribers.plan import Plan, people


class Cap(NamedTuple):
    """How many people one run may change in one way. `refuses` stands in the help after "refuse
    to", `verb` in a refusal after "would"."""

    flag: str
    setting: str
    default: str
    refuses: str
    verb: str

    @property
    def parse(self) -> Callable[[str], Limit]:
        return parse_limit if "%" in self.default else parse_number_limit


CAPS = (
    Cap(
        "--max-leave",
        "MAX_LEAVE",
        "20%",
        "let more people than this, or than this share of its members, leave a mirrored group",
        "leave a mirrored group",
    ),
    Cap(
        "--max-deleted",
        "MAX_DELETED",
        "20%",
        "go on when more people than this, or than this share of those known, are in no list of"
        " MailerLite any more",
        "from now on count as deleted, because they are in no list of MailerLite any more",
    ),
    Cap(
        "--max-unsubscribe",
        "MAX_UNSUBSCRIBE",
        "20%",
        "unsubscribe more people than this, or than this share of the active subscribers",
        "be unsubscribed in MailerLite, which cannot be undone",
    ),
    Cap(
        "--max-opt-out",
        "MAX_OPT_OUT",
        "20%",
        "opt out more people than this, or than this share of the contacts with an address",
        "be opted out in HubSpot, which only they can undo",
    ),
    # MailerLite bills by the number of subscribers.
    Cap("--max-new", "MAX_NEW", "500", "create more people than this", "be created in MailerLite"),
)


def add_flags(arguments: ArgumentParser) -> None:
    add = arguments.add_argument
    for cap in CAPS:
        text = f"refuse to {cap.refuses} (default: {cap.setting} or {cap.default})"
        add(
            cap.flag,
            dest=cap.setting,
            metavar="N|P%" if "%" in cap.default else "N",
            type=command.flag_type(cap.parse),
            help=text.replace("%", "%%"),
        )
    add("--allow-empty", action="store_true", help="go on even when nobody is meant")
    text = "go on without a memory of earlier runs; for the very first run alone"
    add("--first-run", action="store_true", help=text)


def read_settings(reader: SettingsReader) -> dict[str, Limit]:
    """Setting -> limit."""
    return {cap.setting: reader.get(cap.setting, cap.default, cap.parse) for cap in CAPS}


def missing_state(path: Path) -> Refusal:
    """Without a memory a deleted person looks like a new one, and would be brought back."""
    return Refusal(
        f"There is no memory of earlier runs in {path}, so people who were deleted in"
        " MailerLite look like new ones, and would be brought back. If there were earlier runs"
        " (with another API key, user or machine), name their file with --state. If not, go"
        " through the people to create: is anybody among them who was deleted in MailerLite?",
        "--first-run",
    )


def refusals(
    plan: Plan, lists: Lists, args: Namespace, limits: Mapping[str, Limit], path: Path
) -> list[Refusal]:
    """`limits`: by setting, unless a flag says otherwise; `path`: of the memory."""
    found: list[Refusal] = []
    missing = lists.missing
    if missing > FEW and 2 * missing > lists.known and not args.first_run:
        text = (
            f"Of the {people(lists.known)} whom {path} knows {missing:,} are in no list of"
            " MailerLite: it seems to belong to another account. Name the right file with --state."
        )
        found.append(Refusal(text, "--first-run"))
    if plan.members and not plan.mirrored and not args.allow_empty:
        are = "is" if plan.members == 1 else "are"
        members = f"while {people(plan.members)} {are} in one"
        found.append(Refusal(f"Nobody belongs into a mirrored group, {members}.", "--allow-empty"))
    counted = {  # how many, and of how many, where a limit may be a share
        "MAX_LEAVE": (plan.leaving, plan.members),
        "MAX_DELETED": (missing, lists.known),
        "MAX_UNSUBSCRIBE": (len(plan.of(Action.UNSUBSCRIBE)), plan.active),
        "MAX_OPT_OUT": (len(plan.of(Action.OPT_OUT)), plan.with_address),
        "MAX_NEW": (len(plan.of(Action.CREATE)), 0),
    }
    for cap in CAPS:
        number, whole = counted[cap.setting]
        limit = getattr(args, cap.setting) or limits[cap.setting]
        found += over_limit(limit, people(number), cap.verb, cap.flag, number, whole)
    return found
