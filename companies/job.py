"""What all steps of a run for one destination share: its flags and settings, both sides, what is
remembered, and a plan. Every destination has all of it."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Callable, Collection, NamedTuple, Sequence

from cli import command, job
from companies.aliases import Aliases
from companies.destination import Action, Destination
from companies.matching import HubSpotLookup, Matching
from companies.plan import Diff, Doubt, Keep, Plan, Rows, compare, make_plan, names_of
from companies.source import CompanySource
from companies.state import Answers, CompanyState
from core import addresses, limits, log, settings, words
from core.conditions import Condition, parse_conditions
from hubspot_client import hubspot_settings
from state.history import History
from transport.service_client import ServiceSettings


class Options(NamedTuple):
    """`max_add`, `max_remove`, `keep`: flags and settings together; `ask_again_days`: how long what
    a destination has answered is not asked for again."""

    hubspot: ServiceSettings
    destination: ServiceSettings
    conditions: tuple[Condition, ...]
    in_list: str
    max_add: limits.Limit | None
    max_remove: limits.Limit
    keep: Keep
    allow_empty: bool
    ask_again_days: int
    keep_history_days: int


def add_flags(flags: command.Flags, destination: type[Destination]) -> None:
    adding, removing, add = destination.adding, destination.removing, flags.how_much.add_argument

    def add_limit(
        action: Action, dest: str, metavar: str, parse: Callable[[str], limits.Limit], default: str
    ) -> None:
        most = f"refuse to {action.key} more (default: {action.limit_setting} or {default})"
        kind = command.flag_type(parse)
        add(f"--max-{action.key}", dest=dest, metavar=metavar, type=kind, help=most)

    add_limit(removing, "max_remove", "N|P%", limits.parse_limit, "20%%")
    add_limit(adding, "max_add", "N", limits.parse_number_limit, "no limit")
    add("--allow-empty", action="store_true", help="go on even if no company in HubSpot matches")
    add = flags.which.add_argument
    only = f"{adding.key} only, never {removing.key}"
    add(f"--no-{removing.key}", dest="keep_all", action="store_true", help=only)
    add(
        "--keep",
        metavar="DOMAIN",
        type=command.flag_type(addresses.parse_domains),
        action="append",
        default=[],
        help=f"never {removing.key} this company (repeatable)",
    )
    only = "only companies of this HubSpot list (default: COMPANY_LIST or any)"
    add("--list", metavar="NAME|ID", type=str.strip, default="", help=only)
    state = "file of the run history (default: one for each API key)"
    flags.output.add_argument("--state", metavar="PATH", type=Path, help=state)
    flags.add_questions(
        "DOMAIN", addresses.parse_domain, f"why a company is {destination.listed} or not"
    )


def read_options(
    destination: type[Destination], args: Namespace, reader: settings.SettingsReader
) -> Options:
    in_list = reader.get("COMPANY_LIST", "", lambda text: args.list or text)
    reader.used["COMPANY_LIST"] = in_list
    max_add = reader.optional(destination.adding.limit_setting, limits.parse_number_limit)
    max_remove = reader.get(destination.removing.limit_setting, "20%", limits.parse_limit)
    return Options(
        hubspot=hubspot_settings(reader),
        destination=destination.settings(reader),
        conditions=_read_rule(reader, in_list),
        in_list=in_list,
        max_add=args.max_add or max_add,
        max_remove=args.max_remove or max_remove,
        keep=Keep(
            reader.get(destination.keep_setting, "", addresses.parse_domains).union(*args.keep),
            f"kept on purpose (--keep or {destination.keep_setting})",
            f"kept on purpose (--no-{destination.removing.key})" if args.keep_all else None,
        ),
        allow_empty=args.allow_empty,
        ask_again_days=reader.get("ASK_AGAIN_DAYS", "7", limits.parse_number),
        keep_history_days=reader.get("KEEP_HISTORY_DAYS", "400", limits.parse_number),
    )


def _read_rule(reader: settings.SettingsReader, in_list: str) -> tuple[Condition, ...]:
    """Which companies match, beside the list. Two settings are the knobs of the rule that holds
    without another, and without a list."""
    rule = reader.get("COMPANY_FILTER", "", parse_conditions)
    if rule or in_list:
        other = "COMPANY_FILTER" if rule else "COMPANY_LIST (--list)"
        reader.refuse("ECOMMERCE_PLATFORMS", other)
        reader.refuse("ALEXA_BELOW", other)
        return rule
    platforms = reader.get("ECOMMERCE_PLATFORMS", "shopify,magento_2", settings.parse_names)
    below = reader.get("ALEXA_BELOW", "1000000", settings.parse_positive)
    of_platform = Condition("ecommerce_platform", "=", platforms)
    return of_platform, Condition("alexa", "<", (str(below),))


class CompanyJob:
    """`aliases`: None where companies keep their domains."""

    def __init__(
        self,
        run: command.Run,
        options: Options,
        source: CompanySource,
        destination: Destination,
        state: CompanyState,
        history: History,
    ) -> None:
        self.run, self.options, self.source, self.destination = run, options, source, destination
        self.state, self.history = state, history
        self.answers = Answers(state, options.ask_again_days, run.clock)
        aliases_of = destination.aliases_of
        self.aliases = Aliases(aliases_of, self.answers) if aliases_of else None

    def compare(self, matching: Matching, rows: Rows) -> Diff:
        lists = f"{self.destination.name} {self.destination.verb}"
        return compare(matching, rows, self.answers.aliases(), lists)

    def look_up(self, rows: Rows, matching: Matching) -> HubSpotLookup:
        """What HubSpot holds now of companies that are listed and do not match, and who is in the
        list that companies must be in."""
        domains = names_of(rows)
        if domains and not self.run.wrote:  # else it has been said
            number, doing = words.companies(len(domains)), self.destination.removing.doing
            them = "it" if len(domains) == 1 else "them"
            log.info("HubSpot: double-checking %s before %s %s.", number, doing, them)
        lookup = self.source.look_up(domains, self.state.records(domains))
        matching.criteria = self.source.criteria
        return lookup

    def plan(
        self,
        matching: Matching,
        diff: Diff,
        lookup: HubSpotLookup | None = None,
        unlisted: Sequence[str] | None = None,
    ) -> Plan:
        """`lookup`: what HubSpot has, if that is known already; `unlisted`: the domains that were
        refused lately and are not listed, if the difference is not that of all companies."""
        keep, extra = self.options.keep, diff.extra
        rows = {row: names for row, names in extra.items() if not keep.reason((row, *names))}
        not_now = self.answers.waiting()
        waiting = diff.lacks(not_now) if unlisted is None else unlisted
        expected = {*diff.unchanged, *diff.missing} - not_now.keys()
        unexplained = self.aliases.unexplained(waiting) if self.aliases else {}
        suspects = {not_now[each].suspect for each in waiting}
        doubt = Doubt(self.destination.name, expected, unexplained, suspects)
        lookup = lookup or self.look_up(rows, matching)
        return make_plan(matching, diff, lookup, not_now, doubt, keep)

    def judge(self, plan: Plan, refused_before: Collection[str]) -> list[limits.Refusal]:
        """Why the plan is not carried out. `refused_before`: domains that were rejected before do
        not count as added: else they would block all others."""
        options, destination = self.options, self.destination
        adding, removing = destination.adding.key, destination.removing.key

        def over_limit(key: str, most: limits.Limit | None, number: int, whole: int = 0) -> None:
            change, flag = f"{key} {{}}", f"--max-{key}"
            over.extend(limits.over_limit(most, change, words.companies, flag, number, whole))

        over: list[limits.Refusal] = []
        over_limit(removing, options.max_remove, len(plan.remove), plan.listed)
        if plan.listed and not plan.matching and not options.allow_empty:
            listed = f"{plan.listed:,} {words.are(plan.listed)} {destination.listed}"
            reason = f"No company in HubSpot matches, but {listed}."
            over.append(limits.Refusal(reason, "--allow-empty"))
        adds = sum(change.domain not in refused_before for change in plan.add)
        over_limit(adding, options.max_add, adds)
        changes = [f"{adding} {each.domain}" for each in plan.add]
        changes += [f"{removing} {each.domain}" for each in plan.remove]
        return job.judge_plan(self.run, dict(zip(changes, changes)), over, self.history)
