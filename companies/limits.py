"""The rules and flags of a destination of companies: how much one run may change, what it must
leave, and what they refuse or protect. Every destination has them all."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import AbstractSet, NamedTuple

from cli import command
from companies.plan import Difference, Plan, nothing_wanted, protect
from core.domains import parse_domain, parse_domains
from core.limits import Limit, Refusal, over_limit, parse_limit, parse_number_limit
from core.words import companies


class Change(NamedTuple):
    """One kind of change to a destination, in its words: the key in the report, the headings on the
    page for what is planned and for what was done, what stands before "19 companies", and what
    stands after "19 companies would"."""

    key: str
    to_do: str
    done: str
    title: str
    would: str


class Rules(NamedTuple):
    """`listed`: what is true of the companies that are listed, in one word, such as "followed";
    `max_add`, `max_remove`: what the settings allow; `keep`: the domains that the setting
    `keep_setting` holds, which are never removed; `ask_again_days`: how long a company that the
    destination did not take is left alone."""

    adding: Change
    removing: Change
    listed: str
    max_add: Limit | None
    max_remove: Limit
    keep: frozenset[str]
    keep_setting: str
    ask_again_days: int


def add_flags(arguments: ArgumentParser, adding: Change, removing: Change, listed: str) -> None:
    """All that such a script has beside the common flags. `--max-follow` and so on are named after
    the keys of the changes, as are the settings MAX_FOLLOW and so on, which the script reads.
    `listed`: as in Rules."""
    add, to_add, to_remove = arguments.add_argument, adding.title.lower(), removing.title.lower()
    add(
        f"--max-{removing.key}",
        dest="max_remove",
        metavar="N|P%",
        type=command.flag_type(parse_limit),
        help=f"refuse to {to_remove} more than this (default: MAX_{removing.key.upper()} or 20%%)",
    )
    add(
        f"--max-{adding.key}",
        dest="max_add",
        metavar="N",
        type=command.flag_type(parse_number_limit),
        help=f"refuse to {to_add} more than this (default: MAX_{adding.key.upper()} or no limit)",
    )
    add(
        f"--no-{removing.key}",
        dest="no_remove",
        action="store_true",
        help=f"only {to_add}, {to_remove} nothing",
    )
    add(
        "--keep",
        metavar="DOMAIN",
        type=command.flag_type(parse_domains),
        action="append",
        default=[],
        help=f"never {to_remove} this company; may be given more than once",
    )
    add(
        "--allow-empty",
        action="store_true",
        help="go on even when no company in HubSpot matches",
    )
    add(
        "--state",
        metavar="PATH",
        type=Path,
        help="file that remembers other names, refusals and runs (default: one for each API key)",
    )
    why = f"why a company is {listed}, or is not"
    command.add_questions(arguments, "DOMAIN", parse_domain, why)


def leave(difference: Difference, args: Namespace, rules: Rules) -> Difference:
    """The difference without what is not to be removed."""
    return protect(
        difference,
        rules.keep.union(*args.keep),
        f"kept on purpose (--keep or {rules.keep_setting})",
        f"kept on purpose (--no-{rules.removing.key})" if args.no_remove else None,
    )


def refusals(plan: Plan, args: Namespace, rules: Rules, again: AbstractSet[str]) -> list[Refusal]:
    """Why the plan is not applied. `again`: domains that were not taken before, and do not count as
    added: else they would block all others."""
    adds = sum(entry.domain not in again for entry in plan.add)
    removes = len(plan.remove)
    max_remove, max_add = args.max_remove or rules.max_remove, args.max_add or rules.max_add
    removing, adding = rules.removing, rules.adding
    remove_flag, add_flag = f"--max-{removing.key}", f"--max-{adding.key}"
    empty = plan.listed and not plan.wanted and not args.allow_empty
    return [
        *over_limit(
            max_remove, companies(removes), removing.would, remove_flag, removes, plan.listed
        ),
        *([nothing_wanted(plan, rules.listed)] if empty else []),
        *over_limit(max_add, companies(adds), adding.would, add_flag, adds),
    ]
