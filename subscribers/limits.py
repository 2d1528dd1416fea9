"""How much one run may change, and what it must know before: the flags, and what they refuse."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from cli import command
from core.limits import FEW, Refusal, over_limit, parse_limit, parse_number_limit
from subscribers.memory import Lists
from subscribers.plan import Plan, people
from subscribers.settings import Settings


def add_flags(arguments: ArgumentParser) -> None:
    add = arguments.add_argument
    add(
        "--max-new",
        metavar="N",
        type=command.flag_type(parse_number_limit),
        help="refuse to create more people than this (default: MAX_NEW or 500)",
    )
    add(
        "--max-unsubscribe",
        metavar="N|P%",
        type=command.flag_type(parse_limit),
        help="refuse to unsubscribe more people than this, or than this share of the active"
        " subscribers (default: MAX_UNSUBSCRIBE or 20%%)",
    )
    add(
        "--max-deleted",
        metavar="N|P%",
        type=command.flag_type(parse_limit),
        help="refuse to go on when more people than this, or than this share of those known, are"
        " in no list of MailerLite any more (default: MAX_DELETED or 20%%)",
    )
    add(
        "--max-leave",
        metavar="N|P%",
        type=command.flag_type(parse_limit),
        help="refuse to let more people than this, or than this share of its members, leave a"
        " mirrored group (default: MAX_LEAVE or 20%%)",
    )
    add(
        "--max-opt-out",
        metavar="N|P%",
        type=command.flag_type(parse_limit),
        help="refuse to opt out more people than this, or than this share of the contacts with an"
        " address (default: MAX_OPT_OUT or 20%%)",
    )
    add("--allow-empty", action="store_true", help="go on even when nobody is meant")
    add(
        "--first-run",
        action="store_true",
        help="go on without a memory of earlier runs; for the very first run alone",
    )


def begins_anew(args: Namespace, subscribers: int, is_new: bool, path: Path) -> list[Refusal]:
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
    plan: Plan, lists: Lists, args: Namespace, settings: Settings, path: Path
) -> list[Refusal]:
    """MailerLite bills by the number of subscribers, so their growth is limited as well. `path`: of
    the memory."""
    new, unsubscribed, opted_out = len(plan.create), len(plan.unsubscribe), len(plan.opt_out)
    missing = lists.missing
    is_foreign = missing > FEW and 2 * missing > lists.known and not args.first_run
    foreign = Refusal(
        f"Of the {people(lists.known)} whom {path} knows {missing:,} are in no list of MailerLite:"
        " it seems to belong to another account. Name the right file with --state.",
        "--first-run",
    )
    is_empty = plan.members and not plan.mirrored and not args.allow_empty
    are = "is" if plan.members == 1 else "are"
    empty = Refusal(
        f"Nobody belongs into a mirrored group, while {people(plan.members)} {are} in one.",
        "--allow-empty",
    )
    return [
        *([foreign] if is_foreign else []),
        *([empty] if is_empty else []),
        *over_limit(
            args.max_leave or settings.max_leave,
            people(plan.leaving),
            "leave a mirrored group",
            "--max-leave",
            plan.leaving,
            plan.members,
        ),
        *over_limit(
            args.max_deleted or settings.max_deleted,
            people(missing),
            "from now on count as deleted, because they are in no list of MailerLite any more",
            "--max-deleted",
            missing,
            lists.known,
        ),
        *over_limit(
            args.max_unsubscribe or settings.max_unsubscribe,
            people(unsubscribed),
            "be unsubscribed in MailerLite, which cannot be undone",
            "--max-unsubscribe",
            unsubscribed,
            plan.active,
        ),
        *over_limit(
            args.max_opt_out or settings.max_opt_out,
            people(opted_out),
            "be opted out in HubSpot, which only they can undo",
            "--max-opt-out",
            opted_out,
            plan.with_address,
        ),
        *over_limit(
            args.max_new or settings.max_new,
            people(new),
            "be created in MailerLite",
            "--max-new",
            new,
        ),
    ]
