"""What must be in place in HubSpot and MailerLite before contacts are compared."""

from __future__ import annotations

from functools import partial
from typing import Dict, Iterator, List, NamedTuple, Optional

from basics.words import count
from hubspot_client import HubSpotClient, Property
from mailerlite_client import MailerLiteClient
from run.checks import Finding, look
from subscribers.plan import Field
from subscribers.settings import Settings
from transport import threads

_TYPES = {"number": "number", "date": "date", "datetime": "date"}  # HubSpot's -> MailerLite's


class Services(NamedTuple):
    hubspot: HubSpotClient
    mailerlite: MailerLiteClient


class Preflight(NamedTuple):
    """`findings` concern the services, `mapping` what the settings say of them. `fields`: where
    values go; `missing`: those of them to create; `groups`: id -> name of the groups to join."""

    findings: List[Finding]
    mapping: List[Finding]
    fields: List[Field]
    missing: List[Field]
    groups: Dict[str, str]


class _Properties(NamedTuple):
    error: List[Finding]
    definitions: Dict[str, Optional[Property]]


class _MailerLite(NamedTuple):
    """`types`: key -> type of every field; `groups`: id -> name of every group."""

    findings: List[Finding]
    types: Dict[str, str]
    groups: Dict[str, str]


def check_services(settings: Settings, services: Services, create_fields: bool) -> Preflight:
    """Both services are asked side by side. Raises nothing that a service may answer."""
    properties, mailerlite = threads.side_by_side(
        lambda: _read_properties(settings, services.hubspot),
        lambda: _read_mailerlite(settings, services.mailerlite),
    )
    result = Preflight([*properties.error, *mailerlite.findings], [], [], [], {})
    for name, key in settings.fields:
        if name in properties.definitions and mailerlite.types:
            _add_field(result, name, key, properties, mailerlite, create_fields)
    for wanted in settings.groups if mailerlite.types else ():
        _add_group(result, wanted, mailerlite.groups)
    return result


def check_reading(services: Services) -> Iterator[Finding]:
    """Whether people may be read at all, which a run finds out by itself."""
    hubspot, mailerlite = services

    def read_contacts() -> Finding:
        next(hubspot.contacts(["email"]), None)
        return Finding(True, "HubSpot's contacts can be read.")

    def count_subscribers() -> Finding:
        active = count(mailerlite.count_active(), "active subscriber")
        return Finding(True, f"MailerLite's subscribers can be read: {active}.")

    yield from look(read_contacts)
    yield from look(count_subscribers)


def _read_properties(settings: Settings, hubspot: HubSpotClient) -> _Properties:
    """The definition of each mapped property, up to the first error, which the others share."""
    found: Dict[str, Optional[Property]] = {}

    def read(name: str) -> Finding:
        found[name] = hubspot.property("contacts", name)
        return Finding(True, name)

    for name in dict.fromkeys(name for name, _ in settings.fields):
        looked = look(partial(read, name))
        if name not in found:
            return _Properties(looked, found)
    return _Properties([], found)


def _read_mailerlite(settings: Settings, mailerlite: MailerLiteClient) -> _MailerLite:
    types: Dict[str, str] = {}
    groups: Dict[str, str] = {}

    def read() -> Finding:
        if settings.groups:
            groups.update(mailerlite.groups())
        types.update(mailerlite.fields())
        return Finding(True, f"MailerLite can be used: it has {count(len(types), 'field')}.")

    return _MailerLite(look(read), types, groups)


def _add_field(
    result: Preflight,
    name: str,
    key: str,
    properties: _Properties,
    mailerlite: _MailerLite,
    create_fields: bool,
) -> None:
    definition = properties.definitions[name]
    if definition is None:
        text = (
            f"HubSpot has no contact property {name}: fix MAILERLITE_FIELDS, or create the"
            " property in HubSpot > Settings > Properties."
        )
        result.mapping.append(Finding(False, text))
        return
    kind = mailerlite.types.get(key) or _TYPES.get(definition.type, "text")
    field = Field(name, key, kind)
    result.fields.append(field)
    text = f"HubSpot's {name} ({definition.type}) goes to MailerLite's {key} ({kind})"
    if key in mailerlite.types:
        result.mapping.append(Finding(True, f"{text}."))
    elif create_fields:
        result.missing.append(field)
        result.mapping.append(Finding(True, f"{text}, which is to be created."))
    else:
        text = (
            f"MailerLite has no field {key}: fix MAILERLITE_FIELDS, or create the field with"
            " --create-fields."
        )
        result.mapping.append(Finding(False, text))


def _add_group(result: Preflight, wanted: str, groups: Dict[str, str]) -> None:
    ids = [id for id, name in groups.items() if wanted in (id, name)]
    if len(ids) == 1:
        result.groups[ids[0]] = groups[ids[0]]
        text = f"MailerLite has the group {groups[ids[0]]}."
    elif ids:
        text = f"MailerLite has several groups {wanted}: let MAILERLITE_GROUPS say which by its id."
    else:
        text = f"MailerLite has no group {wanted}: create it there, or fix MAILERLITE_GROUPS."
    result.mapping.append(Finding(len(ids) == 1, text))
