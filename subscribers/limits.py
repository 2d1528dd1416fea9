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

Number = Callable[[Plan, Lists], int]


class Cap(NamedTuple):
    """How many people one run may change in one way. `counted`: the people, `whole`: those of whom
    a limit may be a share; `refuses` stands in the help after "refuse to", `verb` in a refusal
    after "would"."""

    flag: str
    setting: str
    default: str
    counted: Number
    whole: Number | None
    refuses: str
    verb: str

    @property
    def parse(self) -> Callable[[str], Limit]:
        return parse_limit if self.whole else parse_number_limit


CAPS = (
    Cap(
        "--max-leave",
        "MAX_LEAVE",
        "20%",
        lambda plan, _: plan.leaving,
        lambda plan, _: plan.members,
        "let more people than this, or than this share of its members, leave a mirrored group",
        "leave a mirrored group",
    ),
    Cap(
        "--max-deleted",
        "MAX_DELETED",
        "20%",
        lambda _, lists: lists.missing,
        lambda _, lists: lists.known,
        "go on when more people than this, or than this share of those known, are in no list of"
        " MailerLite any more",
        "from now on count as deleted, because they are in no list of MailerLite any more",
    ),
    Cap(
        "--max-unsubscribe",
        "MAX_UNSUBSCRIBE",
        "20%",
        lambda plan, _: len(plan.of(Action.UNSUBSCRIBE)),
        lambda plan, _: plan.active,
        "unsubscribe more people than this, or than this share of the active subscribers",
        "be unsubscribed in MailerLite, which cannot be undone",
    ),
    Cap(
        "--max-opt-out",
        "MAX_OPT_OUT",
        "20%",
        lambda plan, _: len(plan.of(Action.OPT_OUT)),
        lambda plan, _: plan.with_address,
        "opt out more people than this, or than this share of the contacts with an address",
        "be opted out in HubSpot, which only they can undo",
    ),
    Cap(  # MailerLite bills by the number of subscribers
        "--max-new",
        "MAX_NEW",
        "500",
        lambda plan, _: len(plan.of(Action.CREATE)),
        None,
        "create more people than this",
        "be created in MailerLite",
    ),
)


def add_flags(arguments: ArgumentParser) -> None:
    for cap in CAPS:
        default = f"{cap.setting} or {cap.default}".replace("%", "%%")
        arguments.add_argument(
            cap.flag,
            dest=cap.setting,
            metavar="N|P%" if cap.whole else "N",
            type=command.flag_type(cap.parse),
            help=f"refuse to {cap.refuses} (default: {default})",
        )
    arguments.add_argument(
        "--allow-empty", action="store_true", help="go on even when nobody is meant"
    )
    arguments.add_argument(
        "--first-run",
        action="store_true",
        help="go on without a memory of earlier runs; for the very first run alone",
    )


def read_settings(reader: SettingsReader) -> dict[str, Limit]:
    """Setting -> limit."""
    return {cap.setting: reader.get(cap.setting, cap.default, cap.parse) for cap in CAPS}


def missing_state(args: Namespace, subscribers: int, is_new: bool, path: Path) -> list[Refusal]:
    """Without a memory a deleted person looks like a new one, and would be brought back."""
    if not is_new or not subscribers or args.first_run:
        return []
    return [
        Refusal(
            f"There is no memory of earlier runs in {path}, so people who were deleted in"
            " MailerLite look like new ones, and would be brought back. If there were earlier runs"
            " (with another API key, user or machine), name their file with --state. If not, go"
            " through the people to create: is anybody among them who was deleted in MailerLite?",
            "--first-run",
        )
    ]


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
    for cap in CAPS:
        number, whole = cap.counted(plan, lists), cap.whole(plan, lists) if cap.whole else 0
        limit = getattr(args, cap.setting) or limits[cap.setting]
        found += over_limit(limit, people(number), cap.verb, cap.flag, number, whole)
    return found
