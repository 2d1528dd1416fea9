"""What `sync_subscribers.py` needs to know."""

from __future__ import annotations

import re
from typing import Mapping, NamedTuple

from core.conditions import Condition, parse_conditions
from core.limits import Limit, parse_number
from core.settings import SettingsReader, parse_names
from hubspot_client import hubspot_settings
from mailerlite_client import mailerlite_settings
from subscribers import limits
from subscribers.consent import parse_legal_basis
from transport.service_client import ServiceSettings

# The fields that every MailerLite account has: https://developers.mailerlite.com/docs/fields.html
DEFAULT_FIELDS = (
    "firstname:name,lastname:last_name,company:company,phone:phone,city:city,state:state,"
    "zip:z_i_p,country:country"
)
_FIELD_PAIR = re.compile(r"((?:company\.)?[a-z][a-z0-9_]*)\s*:\s*([A-Za-z0-9_]+)")


class Settings(NamedTuple):
    """`fields`: pairs of a HubSpot property and the key of the MailerLite field that it goes to; a
    property of the contact's company begins with "company.";
    `groups` and `subscriptions` (kinds of mail, none: all): names or ids; `labels`: whether an
    enumeration's labels are sent, and not its internal values; `list`, `mirror_group`: name or
    id, "" for none; `group_by`: the property whose values have a mirrored group each; `limits`: by
    the name of their setting."""

    hubspot: ServiceSettings
    mailerlite: ServiceSettings
    fields: tuple[tuple[str, str], ...]
    groups: tuple[str, ...]
    subscriptions: tuple[str, ...]
    labels: bool
    list: str
    conditions: tuple[Condition, ...]
    mirror_group: str
    group_by: str
    group_prefix: str
    limits: Mapping[str, Limit]
    ask_again_days: int
    legal_basis: str | None
    keep_history_days: int


def settings(reader: SettingsReader) -> Settings:
    return Settings(
        hubspot_settings(reader),
        mailerlite_settings(reader),
        reader.get("MAILERLITE_FIELDS", DEFAULT_FIELDS, _field_pairs),
        reader.optional("MAILERLITE_GROUPS", parse_names) or (),
        reader.optional("HUBSPOT_SUBSCRIPTIONS", parse_names) or (),
        reader.get("MAILERLITE_VALUES", "labels", _wants_labels),
        reader.get("HUBSPOT_LIST", "", str),
        reader.get("CONTACT_FILTER", "", parse_conditions),
        reader.get("MIRROR_GROUP", "", str),
        reader.get("GROUP_BY", "", str),
        reader.get("GROUP_PREFIX", "", str),
        limits.read_settings(reader),
        reader.get("ASK_AGAIN_DAYS", "7", parse_number),
        reader.optional("HUBSPOT_LEGAL_BASIS", parse_legal_basis),
        reader.get("KEEP_HISTORY_DAYS", "400", parse_number),
    )


def _wants_labels(text: str) -> bool:
    if text not in ("labels", "internal"):
        raise ValueError("labels or internal")
    return text == "labels"


def _field_pairs(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [_FIELD_PAIR.fullmatch(name) for name in parse_names(text)]
    keys = {pair[2] for pair in pairs if pair}
    if len(keys) < len(pairs):
        raise ValueError(
            "pairs such as firstname:name, a HubSpot property and a MailerLite key of its own, with"
            " commas between them"
        )
    return tuple((pair[1], pair[2]) for pair in pairs if pair)
