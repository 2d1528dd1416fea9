"""Flags and settings of a destination of companies: how much one run may change, and what it must
leave. Every destination has them all."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import AbstractSet, Callable, NamedTuple

from cli import command
from companies.destination import Destination
from companies.matching import Criteria
from companies.plan import Kept, Plan, Rows
from core.domains import parse_domain, parse_domains
from core.limits import Limit, Refusal, over_limit, parse_limit, parse_number, parse_number_limit
from core.settings import SettingsReader, parse_names, parse_positive
from core.words import companies
from hubspot_client import hubspot_settings
from transport.service_client import ServiceSettings


class Settings(NamedTuple):
    """`destination`: its own; `max_add`, `max_remove`, `keep`: what flags may change;
    `ask_again_days`: how long what a destination has answered is not asked for again."""

    hubspot: ServiceSettings
    destination: ServiceSettings
    criteria: Criteria
    max_add: Limit | None
    max_remove: Limit
    keep: frozenset[str]
    ask_again_days: int
    keep_history_days: int


def settings(destination: type[Destination]) -> Callable[[SettingsReader], Settings]:
    def read(reader: SettingsReader) -> Settings:
        return Settings(
            hubspot_settings(reader),
            destination.settings(reader),
            Criteria(
                reader.get("ECOMMERCE_PLATFORMS", "shopify,magento_2", parse_names),
                reader.get("ALEXA_BELOW", "1000000", parse_positive),
            ),
            reader.optional(destination.adding.limit_setting, parse_number_limit),
            reader.get(destination.removing.limit_setting, "20%", parse_limit),
            reader.get(destination.keep_setting, "", parse_domains),
            reader.get("ASK_AGAIN_DAYS", "7", parse_number),
            reader.get("KEEP_HISTORY_DAYS", "400", parse_number),
        )

    return read


def arguments(destination: type[Destination]) -> ArgumentParser:
    parser = command.parser(destination.description)
    adding, removing = destination.adding, destination.removing
    to_add, to_remove = adding.title.lower(), removing.title.lower()
    add = parser.add_argument
    add(
        f"--max-{removing.key}",
        dest="max_remove",
        metavar="N|P%",
        type=command.flag_type(parse_limit),
        help=f"refuse to {to_remove} more than this (default: {removing.limit_setting} or 20%%)",
    )
    add(
        f"--max-{adding.key}",
        dest="max_add",
        metavar="N",
        type=command.flag_type(parse_number_limit),
        help=f"refuse to {to_add} more than this (default: {adding.limit_setting} or no limit)",
    )
    no_remove = f"only {to_add}, {to_remove} nothing"
    add(f"--no-{removing.key}", dest="no_remove", action="store_true", help=no_remove)
    add(
        "--keep",
        metavar="DOMAIN",
        type=command.flag_type(parse_domains),
        action="append",
        default=[],
        help=f"never {to_remove} this company; may be given more than once",
    )
    allow_empty = "go on even when no company in HubSpot matches"
    add("--allow-empty", action="store_true", help=allow_empty)
    state = "file that remembers other names, refusals and runs (default: one for each API key)"
    add("--state", metavar="PATH", type=Path, help=state)
    why = f"why a company is {destination.listed}, or is not"
    command.add_questions(parser, "DOMAIN", parse_domain, why)
    return parser


def keep_on_purpose(
    extra: Rows, args: Namespace, chosen: Settings, destination: Destination
) -> list[Kept]:
    """The rows of no matching company that a person wants to be left."""
    keep = chosen.keep.union(*args.keep)
    by_name = f"kept on purpose (--keep or {destination.keep_setting})"
    by_flag = f"kept on purpose (--no-{destination.removing.key})" if args.no_remove else ""
    kept: list[Kept] = []
    for domain, others in extra.items():
        is_named = domain in keep or not keep.isdisjoint(others)
        if is_named or by_flag:
            kept.append(Kept(domain, by_name if is_named else by_flag, on_purpose=True))
    return kept


def refusals(
    plan: Plan,
    args: Namespace,
    chosen: Settings,
    destination: Destination,
    refused_before: AbstractSet[str],
) -> list[Refusal]:
    """Why the plan is not carried out. `refused_before`: domains that were not taken before do not
    count as added: else they would block all others."""
    adding, removing = destination.adding, destination.removing
    adds = sum(change.domain not in refused_before for change in plan.add)
    removes = len(plan.remove)
    max_remove, max_add = args.max_remove or chosen.max_remove, args.max_add or chosen.max_add
    found = over_limit(
        max_remove,
        companies(removes),
        removing.would,
        f"--max-{removing.key}",
        removes,
        plan.listed,
    )
    if plan.listed and not plan.matching and not args.allow_empty:
        are = "is" if plan.listed == 1 else "are"
        number = companies(plan.listed)
        reason = f"HubSpot has no matching company, while {number} {are} {destination.listed}."
        found.append(Refusal(reason, "--allow-empty"))
    found += over_limit(max_add, companies(adds), adding.would, f"--max-{adding.key}", adds)
    return found
