"""Flags and settings of a destination of companies: how much one run may change, and what it must
leave. Every destination has them all."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Callable, Collection, NamedTuple

from cli import command
from companies.destination import Destination
from companies.matching import Criteria
from companies.plan import Keep, Kept, Plan, Rows
from core.domains import parse_domain, parse_domains
from core.limits import Limit, Refusal, over_limit, parse_limit, parse_number, parse_number_limit
from core.settings import SettingsReader, parse_names, parse_positive
from core.words import companies
from hubspot_client import hubspot_settings
from transport.service_client import ServiceSettings


class Options(NamedTuple):
    """`max_add`, `max_remove`, `keep`: flags and settings together; `ask_again_days`: how long what
    a destination has answered is not asked for again."""

    hubspot: ServiceSettings
    destination: ServiceSettings
    criteria: Criteria
    max_add: Limit | None
    max_remove: Limit
    keep: frozenset[str]
    keep_all: bool
    allow_empty: bool
    ask_again_days: int
    keep_history_days: int


def add_flags(parser: ArgumentParser, destination: type[Destination]) -> None:
    add, adding, removing = parser.add_argument, destination.adding, destination.removing
    to_add, to_remove = adding.title.lower(), removing.title.lower()

    def add_limit(
        flag: str, dest: str, metavar: str, parse: Callable[[str], Limit], what: str
    ) -> None:
        add(flag, dest=dest, metavar=metavar, type=command.flag_type(parse), help=what)

    most = f"refuse to {to_remove} more than this (default: {removing.limit_setting} or 20%%)"
    add_limit(f"--max-{removing.key}", "max_remove", "N|P%", parse_limit, most)
    most = f"refuse to {to_add} more than this (default: {adding.limit_setting} or no limit)"
    add_limit(f"--max-{adding.key}", "max_add", "N", parse_number_limit, most)
    only = f"only {to_add}, {to_remove} nothing"
    add(f"--no-{removing.key}", dest="keep_all", action="store_true", help=only)
    add(
        "--keep",
        metavar="DOMAIN",
        type=command.flag_type(parse_domains),
        action="append",
        default=[],
        help=f"never {to_remove} this company; may be given more than once",
    )
    empty = "go on even when no company in HubSpot matches"
    add("--allow-empty", action="store_true", help=empty)
    state = "file that remembers other names, refusals and runs (default: one for each API key)"
    add("--state", metavar="PATH", type=Path, help=state)
    why = f"why a company is {destination.listed}, or is not"
    command.add_questions(parser, "DOMAIN", parse_domain, why)


def read_options(
    destination: type[Destination], args: Namespace
) -> Callable[[SettingsReader], Options]:
    def read(reader: SettingsReader) -> Options:
        platforms = reader.get("ECOMMERCE_PLATFORMS", "shopify,magento_2", parse_names)
        alexa_below = reader.get("ALEXA_BELOW", "1000000", parse_positive)
        max_add = reader.optional(destination.adding.limit_setting, parse_number_limit)
        max_remove = reader.get(destination.removing.limit_setting, "20%", parse_limit)
        return Options(
            hubspot=hubspot_settings(reader),
            destination=destination.settings(reader),
            criteria=Criteria(platforms, alexa_below),
            max_add=args.max_add or max_add,
            max_remove=args.max_remove or max_remove,
            keep=reader.get(destination.keep_setting, "", parse_domains).union(*args.keep),
            keep_all=args.keep_all,
            allow_empty=args.allow_empty,
            ask_again_days=reader.get("ASK_AGAIN_DAYS", "7", parse_number),
            keep_history_days=reader.get("KEEP_HISTORY_DAYS", "400", parse_number),
        )

    return read


def keep_on_purpose(
    extra: Rows, keep: Keep, options: Options, destination: Destination
) -> list[Kept]:
    """The rows of no matching company that a person wants to be left, as far as their own names
    tell: HubSpot is asked for the others."""
    by_flag = f"kept on purpose (--no-{destination.removing.key})"
    named = {domain for domain, others in extra.items() if keep.names({domain, *others})}
    kept = extra if options.keep_all else named
    reasons = ((each, keep.reason if each in named else by_flag) for each in kept)
    return [Kept(each, reason, on_purpose=True) for each, reason in reasons]


def refusals(
    plan: Plan, options: Options, destination: Destination, refused_before: Collection[str]
) -> list[Refusal]:
    """Why the plan is not carried out. `refused_before`: domains that were not taken before do not
    count as added: else they would block all others."""
    adding, removing, removes = destination.adding, destination.removing, len(plan.remove)
    adds = sum(change.domain not in refused_before for change in plan.add)
    flag, number = f"--max-{removing.key}", companies(removes)
    found = over_limit(options.max_remove, number, removing.would, flag, removes, plan.listed)
    if plan.listed and not plan.matching and not options.allow_empty:
        are = "is" if plan.listed == 1 else "are"
        number = companies(plan.listed)
        reason = f"HubSpot has no matching company, while {number} {are} {destination.listed}."
        found.append(Refusal(reason, "--allow-empty"))
    flag, number = f"--max-{adding.key}", companies(adds)
    return found + over_limit(options.max_add, number, adding.would, flag, adds)
