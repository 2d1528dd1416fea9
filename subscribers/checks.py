"""What must be in place in HubSpot and MailerLite before contacts are compared."""

from __future__ import annotations

import contextlib
import difflib
from typing import Iterator, Mapping, NamedTuple, Sequence

from cli.checks import collect_findings
from core.conditions import Condition, Property
from core.errors import CallRejected, Forbidden, ServiceError
from core.words import alternatives, count, listing
from hubspot_api.shapes import COMPANIES, CONTACTS, Account, RecordList
from hubspot_client import HubSpotClient
from mailerlite_client import MailerLiteClient
from report.model import Finding
from subscribers.consent import OPT_OUT, consent_properties, subscriptions_of
from subscribers.mirror import Mirror, placeholder
from subscribers.settings import Settings
from subscribers.values import OF_COMPANY, Field, field_type
from transport import threads


class Services(NamedTuple):
    hubspot: HubSpotClient
    mailerlite: MailerLiteClient


class Preflight(NamedTuple):
    """`findings` concern the services, `mapping` what the settings say of them. `fields`: where
    values go; `missing`: those of them to create; `groups`: id -> name of the groups to join;
    `consent`: property -> why nobody who has it is written; `contact_list`, `conditions`:
    which contacts are meant alone; `mirror`: the groups that they are to be in alone; `account`:
    HubSpot's, if it is told; `accounts`: what tells a person which accounts these are;
    `all_groups`: as `groups`, those of MailerLite that it tells."""

    findings: list[Finding]
    mapping: list[Finding]
    fields: list[Field]
    missing: list[Field]
    groups: dict[str, str]
    consent: dict[str, str]
    contact_list: RecordList | None
    conditions: list[tuple[Condition, Property]]
    mirror: Mirror
    account: Account | None
    accounts: str
    all_groups: dict[str, str]

    @property
    def group_names(self) -> dict[str, str]:
        """By id, of all groups that a plan may name."""
        return {**self.groups, **self.mirror.names}


class _HubSpot(NamedTuple):
    findings: list[Finding]
    properties: dict[str, Property]
    of_companies: dict[str, Property]
    contact_list: RecordList | None
    on_list: list[Finding]
    account: Account | None


class _MailerLite(NamedTuple):
    """`types`: key -> type of every field; `groups`: id -> name of every group."""

    findings: list[Finding]
    types: dict[str, str]
    groups: dict[str, str]


def check_services(
    settings: Settings, services: Services, create_fields: bool, create_groups: bool
) -> Preflight:
    """Both services are asked side by side. Raises nothing that a service may answer."""
    hubspot, mailerlite = threads.side_by_side(
        lambda: _read_hubspot(settings, services.hubspot),
        lambda: _read_mailerlite(settings, services.mailerlite),
    )
    result = Preflight(
        [*hubspot.findings, *mailerlite.findings],
        [*hubspot.on_list],
        fields=[],
        missing=[],
        groups={},
        consent={},
        contact_list=hubspot.contact_list,
        conditions=[],
        mirror=Mirror(),
        account=hubspot.account,
        accounts=_accounts(hubspot, mailerlite),
        all_groups=mailerlite.groups,
    )
    if hubspot.properties:
        _add_consent(result, settings, hubspot.properties)
        for wanted in settings.conditions:
            _add_condition(result, wanted, hubspot.properties)
    for name, key in settings.fields if hubspot.properties and mailerlite.types else ():
        _add_field(result, settings, (name, key), hubspot, mailerlite, create_fields)
    for group in settings.groups if mailerlite.types else ():
        _add_group(result, group, mailerlite.groups)
    if not (hubspot.properties and mailerlite.types):
        return result
    return result._replace(mirror=_mirror(result, settings, hubspot, mailerlite, create_groups))


def check_reading(services: Services) -> Iterator[Finding]:
    """Whether people may be read at all, which a run finds out by itself."""
    hubspot, mailerlite = services

    def read_contacts() -> Finding:
        next(hubspot.contacts(["email"]), None)
        return Finding(True, "HubSpot's contacts can be read.")

    def count_subscribers() -> Finding:
        active = count(mailerlite.count_subscribers(["active"]), "active subscriber")
        return Finding(True, f"MailerLite's subscribers can be read: {active}.")

    yield from collect_findings(read_contacts)
    yield from collect_findings(count_subscribers)


def _read_hubspot(settings: Settings, hubspot: HubSpotClient) -> _HubSpot:
    properties: dict[str, Property] = {}
    of_companies: dict[str, Property] = {}

    def read() -> Finding:
        properties.update(hubspot.properties(CONTACTS))
        if OPT_OUT not in properties:
            return Finding(
                False,
                f"HubSpot shows no contact property {OPT_OUT}, so nobody can tell who has opted"
                " out: see whether the key may read the properties of contacts.",
            )
        number = count(len(properties), "property", "properties")
        return Finding(True, f"HubSpot can be used: its contacts have {number}.")

    def read_companies() -> Finding:
        of_companies.update(hubspot.properties(COMPANIES))
        hubspot.records(COMPANIES, ["name"], [1])
        number = count(len(of_companies), "property", "properties")
        return Finding(True, f"HubSpot's companies can be read: they have {number}.")

    needs_companies = any(name.startswith(OF_COMPANY) for name, _ in settings.fields)
    findings = collect_findings(read, *([read_companies] if needs_companies else []))
    account = hubspot.account_if_told()
    if account:
        findings.insert(0, Finding(True, f"HubSpot knows the key: {account}."))
    if not (settings.list and properties):
        return _HubSpot(findings, properties, of_companies, None, [], account)
    found: list[RecordList] = []
    on_list: list[Finding] = []

    def read_list() -> Finding:
        try:
            on_list.append(_look_for_list(settings.list, hubspot, found))
        except (CallRejected, Forbidden) as error:
            on_list.append(Finding(False, str(error)))
        return on_list[0]

    looked = collect_findings(read_list)
    findings += [] if on_list else looked  # it is HubSpot that fails, and not the setting
    contact_list = found[0] if found else None
    return _HubSpot(findings, properties, of_companies, contact_list, on_list, account)


def _look_for_list(wanted: str, hubspot: HubSpotClient, found: list[RecordList]) -> Finding:
    """The list goes to `found` if it is one of contacts."""
    named = hubspot.list_called(wanted, CONTACTS)
    other = named or hubspot.list_called(wanted, COMPANIES)
    if other is None:
        text = "fix HUBSPOT_LIST or --list (digits alone are an id). See HubSpot > CRM > Segments."
        return Finding(False, f"HubSpot has no list of contacts {wanted}: {text}")
    if other.object_type != CONTACTS.id:
        text = f"HubSpot's list {other.name} is not one of contacts: fix HUBSPOT_LIST or --list."
        return Finding(False, text)
    found.append(other)
    return Finding(
        True, f"Only the contacts of HubSpot's list {other.name} ({other.id}) are meant."
    )


def _read_mailerlite(settings: Settings, mailerlite: MailerLiteClient) -> _MailerLite:
    types: dict[str, str] = {}
    groups: dict[str, str] = {}

    def read() -> Finding:
        fields = mailerlite.fields()
        needs_groups = settings.groups or settings.mirror_group or settings.group_by
        with contextlib.suppress(*(() if needs_groups else (CallRejected, ServiceError))):
            groups.update(mailerlite.groups())
        types.update(fields)  # last: without the groups nothing is called missing
        return Finding(
            True,
            "MailerLite knows the key. Its API does not tell the account's name; the account has"
            f" {count(len(types), 'field')} and {_in_words(groups)}.",
        )

    return _MailerLite(collect_findings(read), types, groups)


def _accounts(hubspot: _HubSpot, mailerlite: _MailerLite) -> str:
    """Of MailerLite's, groups are what people know it by: no call tells its name."""
    in_hubspot = f"HubSpot is {hubspot.account}. " if hubspot.account else ""
    return f"{in_hubspot}MailerLite has {_in_words(mailerlite.groups)}."


def _in_words(groups: Mapping[str, str]) -> str:
    if not groups:
        return "no groups"
    return f"the group{'s' if len(groups) > 1 else ''} {listing(list(groups.values()), 5)}"


def _add_consent(result: Preflight, settings: Settings, properties: dict[str, Property]) -> None:
    """An opt-out from any kind of mail counts, unless the settings say which kinds do."""
    kinds = subscriptions_of(properties.values())
    counting = [kind for kind in kinds if any(map(kind.is_called, settings.subscriptions))]
    result.consent.update(
        consent_properties(properties, counting if settings.subscriptions else kinds)
    )
    there = ", ".join(f"{kind.name} ({kind.id})" for kind in kinds) or "none"
    for wanted in settings.subscriptions:
        called = [kind for kind in kinds if kind.is_called(wanted)]
        if len(called) == 1:
            text = f"Who has opted out of {called[0].name} in HubSpot is left out."
        elif called:
            ids = " or ".join(kind.id for kind in called)
            text = (
                f"HubSpot has several kinds of mail {wanted}: let HUBSPOT_SUBSCRIPTIONS say {ids}."
            )
        else:
            text = (
                f"HubSpot knows no opt-out from a kind of mail {wanted}: fix HUBSPOT_SUBSCRIPTIONS."
                f" There is: {there}."
            )
        result.mapping.append(Finding(len(called) == 1, text))
    if not settings.subscriptions:
        text = "Who has opted out of any kind of mail (subscription type) in HubSpot is left out."
        result.mapping.append(Finding(True, f"{text} Kinds besides all mail: {there}."))


def _add_condition(result: Preflight, wanted: Condition, properties: dict[str, Property]) -> None:
    name, known = wanted.property, properties.get(wanted.property)
    if known is None:
        close = difflib.get_close_matches(name, properties, cutoff=0.0)
        text = f"HubSpot has no contact property {name}: fix CONTACT_FILTER. It has, for one,"
        result.mapping.append(Finding(False, f"{text} {alternatives(close)}."))
        return
    wrong = wanted.mistake(known)
    if wrong:
        text = f"HubSpot's {name} has no value {wrong}. Fix CONTACT_FILTER."
        result.mapping.append(Finding(False, text))
    else:
        result.conditions.append((wanted, known))
        result.mapping.append(Finding(True, f"CONTACT_FILTER looks at HubSpot's {name}."))


def _add_field(
    result: Preflight,
    settings: Settings,
    pair: tuple[str, str],
    hubspot: _HubSpot,
    mailerlite: _MailerLite,
    create_fields: bool,
) -> None:
    name, key = pair
    is_of_company = name.startswith(OF_COMPANY)
    own = name[len(OF_COMPANY) :] if is_of_company else name
    there = hubspot.of_companies if is_of_company else hubspot.properties
    if not there:  # why they could not be read is a finding
        return
    definition = there.get(own)
    if definition is None:
        text = (
            f"HubSpot has no {'company' if is_of_company else 'contact'} property {own}: fix"
            " MAILERLITE_FIELDS, or create the property in HubSpot > Settings > Properties."
        )
        result.mapping.append(Finding(False, text))
        return
    field = _field(definition._replace(name=name), key, mailerlite.types, settings.labels)
    result.fields.append(field)
    text = f"HubSpot's {name} ({definition.type}) goes to MailerLite's {key} ({field.type})"
    if key in mailerlite.types:
        result.mapping.append(Finding(True, f"{text}."))
    elif create_fields and key != key.lower():
        text = f"MailerLite makes no key {key}: write {key.lower()} in MAILERLITE_FIELDS."
        result.mapping.append(Finding(False, text))
    elif create_fields:
        result.missing.append(field)
        result.mapping.append(Finding(True, f"{text}, which is to be created."))
    else:
        text = (
            f"MailerLite has no field {key}: fix MAILERLITE_FIELDS, or create the field with"
            " --create-fields."
        )
        result.mapping.append(Finding(False, text))


def _field(definition: Property, key: str, types: dict[str, str], labels: bool) -> Field:
    kind = types.get(key) or field_type(definition.type)
    if not labels or definition.type != "enumeration":
        return Field(definition.name, key, kind)
    return Field(definition.name, key, kind, definition.options, definition.is_multiple)


def _add_group(result: Preflight, wanted: str, groups: dict[str, str]) -> None:
    ids = [id for id, name in groups.items() if wanted in (id, name)]
    if len(ids) == 1:
        result.groups[ids[0]] = groups[ids[0]]
        text = f"MailerLite has the group {groups[ids[0]]}."
    elif ids:
        text = f"MailerLite has several groups {wanted}: let MAILERLITE_GROUPS say which by its id."
    else:
        text = f"MailerLite has no group {wanted}: create it there, or fix MAILERLITE_GROUPS."
    result.mapping.append(Finding(len(ids) == 1, text))


def _mirror(
    result: Preflight,
    settings: Settings,
    hubspot: _HubSpot,
    mailerlite: _MailerLite,
    create_groups: bool,
) -> Mirror:
    names: dict[str, str] = {}

    def id_of(wanted: str, ids: Sequence[str], setting: str, may_be_made: bool) -> str:
        """The group's, or a placeholder; "" with a finding that says what is wrong."""
        alike = [each for each in mailerlite.groups.values() if each.lower() == wanted.lower()]
        mine = f"The group {wanted} is to hold the people who are meant, and nobody else"
        id = ids[0] if ids else placeholder(wanted)
        if len(ids) > 1:
            text = f"MailerLite has several groups {wanted}: rename all but one, or give the id."
        elif ids and ids[0] in result.groups:
            text = f"{mine}: take it out of MAILERLITE_GROUPS, or give {setting} one of its own."
        elif id == everyone:
            text = f"The group {wanted} is MIRROR_GROUP already: set GROUP_PREFIX to another name."
        elif not ids and alike:
            text = f"MailerLite has the group {alike[0]}, but none {wanted}: spell both alike."
        elif not ids and not may_be_made:
            how = (
                " (digits alone are an id)" if create_groups else ", or make it by --create-groups"
            )
            text = f"MailerLite has no group {wanted}: fix {setting}{how}."
        else:
            names[id] = mailerlite.groups.get(id, wanted)
            to_make = "" if ids else ", and is to be created"
            result.mapping.append(Finding(True, f"{mine}{to_make}."))
            return id
        result.mapping.append(Finding(False, text))
        return ""

    everyone, wanted = "", settings.mirror_group
    if wanted:
        ids = [id for id, name in mailerlite.groups.items() if wanted in (id, name)]
        may_be_made = create_groups and not wanted.isdecimal()
        everyone = id_of(wanted, ids, "MIRROR_GROUP", may_be_made)
    by = hubspot.properties.get(settings.group_by)
    if settings.group_by and (by is None or by.type != "enumeration"):
        what = "is no property of contacts with fixed values (an enumeration)"
        result.mapping.append(Finding(False, f"{settings.group_by} {what}: fix GROUP_BY."))
        by = None
    elif by is not None and not by.options:
        what = "has values that HubSpot does not name, so they can have no groups"
        result.mapping.append(Finding(False, f"{settings.group_by} {what}: fix GROUP_BY."))
    by_value: dict[str, str] = {}
    for value, label in by.options.items() if by else ():
        name = f"{settings.group_prefix} {label}".strip()
        ids = [id for id, each in mailerlite.groups.items() if each == name]
        by_value[value] = id_of(name, ids, "GROUP_BY", create_groups)
    return Mirror(everyone, by, by_value, names)
