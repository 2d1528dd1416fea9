"""Flags and settings of `sync_subscribers.py`, and how much one run may change."""

from __future__ import annotations

import re
from argparse import Namespace
from pathlib import Path
from typing import Callable, NamedTuple

from cli import command
from core import addresses, limits, settings, words
from core.conditions import parse_conditions
from hubspot_client import hubspot_settings
from mailerlite_client import mailerlite_settings
from subscribers import decide, memory, rules
from subscribers.plan import Plan, people

# The fields that every MailerLite account has: https://developers.mailerlite.com/docs/fields.html
DEFAULT_FIELDS = (
    "firstname:name,lastname:last_name,company:company,phone:phone,city:city,state:state,"
    "zip:z_i_p,country:country"
)
_FIELD_PAIR = re.compile(r"((?:company\.)?[a-z][a-z0-9_]*)\s*:\s*([A-Za-z0-9_]+)")

_NAMES = {
    "--list": "only contacts of this HubSpot list (default: HUBSPOT_LIST or all)",
    "--mirror-group": "this group holds just the people in scope (default: MIRROR_GROUP)",
}
_PEOPLE = {
    "--keep-in-group": "never remove this person from a mirrored group (repeatable)",
    "--restore": "create this deleted person again (repeatable)",
}
_SWITCHES = {
    "--create-groups": "create mirrored groups that do not exist yet",
    "--fill-only": "never replace a value that MailerLite already has",
    "--create-fields": "create fields of MAILERLITE_FIELDS that do not exist yet",
    "--import": "create new people by MailerLite's import, without confirmation",
    "--unsubscribe-opted-out": "unsubscribe people who opted out in HubSpot",
    "--opt-out-unsubscribed": "opt out people who unsubscribed in MailerLite",
}
_ALLOWED = {
    "--allow-empty": "go on even if nobody is in scope",
    "--first-run": "go on without a run history; for the very first run only",
}


class Cap(NamedTuple):
    """How many people one run may change in one way. `most` stands in the help after "refuse if
    more", `verb` in a refusal after "would", with {} for the number; `counted`: how many, and of
    how many if it may be a share."""

    flag: str
    setting: str
    most: str
    verb: str
    counted: Callable[[Plan, memory.Lists], tuple[int, int]]
    default: str = "20%"

    @property
    def parse(self) -> Callable[[str], limits.Limit]:
        return limits.parse_limit if "%" in self.default else limits.parse_number_limit


CAPS = (
    Cap(
        "--max-leave",
        "MAX_LEAVE",
        "leave a mirrored group",
        "remove {} from a mirrored group",
        lambda plan, _lists: (plan.leaving, plan.members),
    ),
    Cap(
        "--max-deleted",
        "MAX_DELETED",
        "are missing in MailerLite",
        "treat {} as deleted, because they are in none of MailerLite's lists",
        lambda _plan, lists: (lists.missing, lists.known),
    ),
    Cap(
        "--max-unsubscribe",
        "MAX_UNSUBSCRIBE",
        "are unsubscribed",
        "unsubscribe {} in MailerLite, which cannot be undone",
        lambda plan, _lists: (len(plan.of(decide.Action.UNSUBSCRIBE)), plan.active),
    ),
    Cap(
        "--max-opt-out",
        "MAX_OPT_OUT",
        "are opted out",
        "opt out {} in HubSpot, which only they can undo",
        lambda plan, _lists: (len(plan.of(decide.Action.OPT_OUT)), plan.with_address),
    ),
    Cap(
        "--max-new",
        "MAX_NEW",
        "are created",
        "create {} in MailerLite",
        lambda plan, _lists: (len(plan.of(decide.Action.CREATE)), 0),
        "500",  # MailerLite bills by the number of subscribers
    ),
)


class Options:
    """A flag goes before the setting that it stands for. `flags`: those that no setting stands for.

    `fields`: pairs of a HubSpot property and the key of the MailerLite field that it goes to; a
    property of the contact's company begins with "company."; `groups` and `subscriptions`
    (none: all): names or ids; `labels`: whether an enumeration's labels are sent, and not its
    internal values; `list`, `mirror_group`: name or id, "" for none; `group_by`: the property whose
    values have a mirrored group each; `caps`: by the name of their setting."""

    def __init__(self, reader: settings.SettingsReader, flags: Namespace) -> None:
        caps = {cap.setting: reader.get(cap.setting, cap.default, cap.parse) for cap in CAPS}
        by_flag = {name: limit for name in caps if (limit := getattr(flags, name))}
        self.flags = flags
        self.hubspot = hubspot_settings(reader)
        self.mailerlite = mailerlite_settings(reader)
        self.fields = reader.get("MAILERLITE_FIELDS", DEFAULT_FIELDS, _parse_fields)
        self.groups = reader.optional("MAILERLITE_GROUPS", settings.parse_names) or ()
        self.subscriptions = reader.optional("HUBSPOT_SUBSCRIPTIONS", settings.parse_names) or ()
        self.labels = reader.get("MAILERLITE_VALUES", "labels", _parse_labels)
        self.list: str = reader.get("HUBSPOT_LIST", "", lambda text: flags.list or text)
        self.conditions = reader.get("CONTACT_FILTER", "", parse_conditions)
        self.mirror_group: str = reader.get(
            "MIRROR_GROUP", "", lambda text: flags.mirror_group or text
        )
        self.group_by = reader.get("GROUP_BY", "", str)
        self.group_prefix = reader.get("GROUP_PREFIX", "", str)
        self.caps = {**caps, **by_flag}
        self.ask_again_days = reader.get("ASK_AGAIN_DAYS", "7", limits.parse_number)
        self.legal_basis = reader.optional("HUBSPOT_LEGAL_BASIS", rules.parse_legal_basis)
        self.keep_history_days = reader.get("KEEP_HISTORY_DAYS", "400", limits.parse_number)


def add_flags(flags: command.Flags) -> None:
    add, kind = flags.how_much.add_argument, command.flag_type(_parse_email)
    for cap in CAPS:
        text = f"refuse if more {cap.most} (default: {cap.setting}, {cap.default})"
        add(
            cap.flag,
            dest=cap.setting,
            metavar="N|P%" if "%" in cap.default else "N",
            type=command.flag_type(cap.parse),
            help=text.replace("%", "%%"),
        )
    for flag, text in _ALLOWED.items():
        add(flag, action="store_true", help=text)
    add = flags.which.add_argument
    for flag, text in _NAMES.items():
        add(flag, metavar="NAME|ID", type=command.flag_type(_parse_name), help=text)
    for flag, text in _PEOPLE.items():
        add(flag, metavar="EMAIL", type=kind, action="append", default=[], help=text)
    add = flags.to_do.add_argument
    for flag, text in _SWITCHES.items():
        dest = "by_import" if flag == "--import" else None  # the word is Python's own
        add(flag, dest=dest, action="store_true", help=text)
    text = "remove this person from the run history, then stop"
    add("--forget", metavar="EMAIL", type=kind, help=text)
    text = "file of the run history (default: one for each API key)"
    flags.output.add_argument("--state", metavar="PATH", type=Path, help=text)
    flags.add_questions("EMAIL", _parse_email, "what happens to a person, and why")


def missing_state(path: Path) -> limits.Refusal:
    """Without a run history a deleted person looks like a new one, and would be created again."""
    return limits.Refusal(
        f"No run history found in {path}. People you deleted in MailerLite would be added again. If"
        " you ran this before, point --state to the old file. If not, check the list of people to"
        " create, then use --first-run.",
        "--first-run",
        by_plan=False,
    )


def refusals(plan: Plan, lists: memory.Lists, options: Options, path: Path) -> list[limits.Refusal]:
    """Why the plan is not carried out. `path`: of the run history."""
    found: list[limits.Refusal] = []
    missing, flags = lists.missing, options.flags
    if missing > limits.FEW and 2 * missing > lists.known and not flags.first_run:
        text = (
            f"{missing:,} of the {people(lists.known)} in {path} are in none of MailerLite's lists,"
            " so this file seems to belong to another account. Point --state to the right file."
        )
        found.append(limits.Refusal(text, "--first-run", by_plan=False))
    if plan.members and not plan.mirrored and not flags.allow_empty:
        members = f"{people(plan.members)} {words.are(plan.members)}"
        text = f"Nobody qualifies for a mirrored group, but {members} in one."
        found.append(limits.Refusal(text, "--allow-empty"))
    for cap in CAPS:
        number, whole = cap.counted(plan, lists)
        limit = options.caps[cap.setting]
        # Nobody is changed by being found deleted, so a plan says nothing of it.
        by_plan = cap.setting != "MAX_DELETED"
        found += limits.over_limit(limit, cap.verb, people, cap.flag, number, whole, by_plan)
    return found


def _parse_name(text: str) -> str:
    if not text.strip():  # a variable of a script that is empty does not mean everybody
        raise ValueError("a name or an id")
    return text.strip()


def _parse_email(text: str) -> str:
    email = addresses.normalise_email(text)
    if email is None:
        raise ValueError("an e-mail address")
    return addresses.canonical(email)


def _parse_labels(text: str) -> bool:
    if text not in ("labels", "internal"):
        raise ValueError("labels or internal")
    return text == "labels"


def _parse_fields(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [_FIELD_PAIR.fullmatch(name) for name in settings.parse_names(text)]
    keys = {pair[2] for pair in pairs if pair}
    if len(keys) < len(pairs):
        raise ValueError(
            "pairs such as firstname:name, a HubSpot property and a MailerLite field, separated by"
            " commas, each field once"
        )
    return tuple((pair[1], pair[2]) for pair in pairs if pair)
