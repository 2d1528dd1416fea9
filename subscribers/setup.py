"""What must be in place in HubSpot and MailerLite, and the rules that follow from the settings."""

from __future__ import annotations

import contextlib
import difflib
from argparse import Namespace
from typing import Iterator, Mapping, Sequence

from cli.job import collect_findings, require_ok
from core.conditions import Condition, Property
from core.errors import AppError, CallRejected, Forbidden, ServiceError, SettingsError
from core.log import log
from core.words import alternatives, count, listing
from hubspot_api.shapes import COMPANIES, CONTACTS, Account, ObjectType, RecordList
from report.model import Finding
from subscribers.consent import (
    CONFIRMATION,
    OPT_OUT,
    OptOut,
    consent_properties,
    subscriptions_of,
)
from subscribers.plan import Creation
from subscribers.reading import Services
from subscribers.rules import Mirror, Rules, Scope, placeholder
from subscribers.settings import Settings
from subscribers.values import OF_COMPANY, Field, field_type
from transport import threads


class Setup:
    """Both services as they are set up, read side by side, and judged against the settings.

    `of_services` and `of_settings`: what is right and what is not; `rules` hold if all of it is
    right; `creations`: what MailerLite lacks and is to be made; `group_names`: by id, of every
    group, also of those that are still to be made; `contact_list`: whose members alone are meant;
    `account`: HubSpot's, if it tells.
    """

    def __init__(self, settings: Settings, args: Namespace, services: Services) -> None:
        self._settings, self._args, self._services = settings, args, services
        self.of_settings: list[Finding] = []
        self.creations: list[Creation] = []
        self.contact_list: RecordList | None = None
        self.account: Account | None = None
        self._properties: dict[str, Property] = {}
        self._company_properties: dict[str, Property] = {}
        self._types: dict[str, str] = {}  # of MailerLite's fields, by key
        self._groups: dict[str, str] = {}  # id -> name
        of_hubspot, of_mailerlite = threads.side_by_side(self._read_hubspot, self._read_mailerlite)
        self.of_services = [*of_hubspot, *of_mailerlite]
        self.rules = self._judge()
        self.group_names = {**self._groups, **self.rules.mirror.names}
        self.creations += [Creation(name) for name in self.rules.mirror.to_make]

    def rules_in_force(self) -> Rules:
        """With the members of the list, if there is one. Raises AppError, or SettingsError if the
        settings are at fault, with all that is to be fixed."""
        require_ok(self.of_services)
        require_ok(self.of_settings, SettingsError)
        found = self.contact_list
        if not found:
            return self.rules
        members = self._services.hubspot.members(found)
        log.info("HubSpot: the list %s has %s.", found.name, count(len(members), "member"))
        scope = self.rules.scope._replace(list_name=found.name, members=members)
        return self.rules._replace(scope=scope)

    def record_url(self, of: ObjectType) -> str | None:
        """What a record's id follows to make its address, if HubSpot tells."""
        return self.account and self.account.link(of, "")

    def describe_accounts(self) -> str:
        """Of MailerLite's, groups are what people know it by: no call tells its name."""
        in_hubspot = f"HubSpot is {self.account}. " if self.account else ""
        return f"{in_hubspot}MailerLite has {_describe_groups(self._groups)}."

    # What the services have

    def _read_hubspot(self) -> list[Finding]:
        hubspot = self._services.hubspot

        def read() -> Finding:
            properties = hubspot.properties(CONTACTS)
            if OPT_OUT not in properties:
                return Finding(
                    False,
                    f"HubSpot shows no contact property {OPT_OUT}, so nobody can tell who has opted"
                    " out: see whether the key may read the properties of contacts.",
                )
            self._properties = properties
            number = count(len(properties), "property", "properties")
            return Finding(True, f"HubSpot can be used: its contacts have {number}.")

        def read_companies() -> Finding:
            self._company_properties = hubspot.properties(COMPANIES)
            hubspot.records(COMPANIES, ["name"], [1])
            number = count(len(self._company_properties), "property", "properties")
            return Finding(True, f"HubSpot's companies can be read: they have {number}.")

        needs_companies = any(name.startswith(OF_COMPANY) for name, _ in self._settings.fields)
        findings = collect_findings(read, *([read_companies] if needs_companies else []))
        self.account = hubspot.account_if_told()
        if self.account:
            findings.insert(0, Finding(True, f"HubSpot knows the key: {self.account}."))
        if self._settings.list and self._properties:
            try:
                self.of_settings.append(self._find_list(self._settings.list))
            except (CallRejected, Forbidden) as error:
                self._say(False, str(error))
            except AppError as error:  # it is HubSpot that fails, and not the setting
                findings.append(Finding(False, str(error)))
        return findings

    def _find_list(self, wanted: str) -> Finding:
        hubspot = self._services.hubspot
        found = hubspot.list_called(wanted, CONTACTS) or hubspot.list_called(wanted, COMPANIES)
        if found is None:
            text = f"HubSpot has no list of contacts {wanted}: fix HUBSPOT_LIST or --list (digits"
            return Finding(False, f"{text} alone are an id). See HubSpot > CRM > Segments.")
        if found.object_type != CONTACTS.id:
            text = f"HubSpot's list {found.name} is not one of contacts: fix HUBSPOT_LIST or"
            return Finding(False, f"{text} --list.")
        self.contact_list = found
        text = f"Only the contacts of HubSpot's list {found.name} ({found.id}) are meant."
        return Finding(True, text)

    def _read_mailerlite(self) -> list[Finding]:
        settings, mailerlite = self._settings, self._services.mailerlite

        def read() -> Finding:
            types = mailerlite.fields()
            needs_groups = settings.groups or settings.mirror_group or settings.group_by
            # Without a setting that names groups, they only help to tell one account from another.
            with contextlib.suppress(*(() if needs_groups else (CallRejected, ServiceError))):
                self._groups = mailerlite.groups()
            self._types = types  # last: without the groups nothing is called missing
            return Finding(
                True,
                "MailerLite knows the key. Its API does not tell the account's name; the account"
                f" has {count(len(types), 'field')} and {_describe_groups(self._groups)}.",
            )

        return collect_findings(read)

    # What the settings make of it

    def _judge(self) -> Rules:
        """What could not be read is a finding already, and nothing is said of it."""
        args, is_read = self._args, bool(self._properties and self._types)
        consent = self._judge_consent() if self._properties else {}
        conditions = list(self._judge_conditions()) if self._properties else []
        fields = list(self._judge_fields()) if is_read else []
        groups = tuple(self._judge_groups()) if self._types else ()
        mirror = self._judge_mirror(groups) if is_read else Mirror()
        opt_out = self._judge_opt_out(consent) if consent else None
        if args.by_import:
            self._judge_import(groups, mirror)
        return Rules(
            fields,
            consent,
            groups,
            Scope(conditions=conditions),
            mirror,
            args.fill_only,
            args.unsubscribe_opted_out,
            frozenset(args.restore),
            frozenset(args.keep_in_group),
            opt_out,
            args.opt_out_unsubscribed,
        )

    def _say(self, ok: bool, text: str) -> None:
        self.of_settings.append(Finding(ok, text))

    def _judge_consent(self) -> dict[str, str]:
        """An opt-out from any kind of mail counts, unless the settings say which kinds do."""
        wanted, kinds = self._settings.subscriptions, subscriptions_of(self._properties.values())
        there = ", ".join(f"{kind.name} ({kind.id})" for kind in kinds) or "none"
        for name in wanted:
            called = [kind for kind in kinds if kind.is_called(name)]
            text = f"HubSpot knows no opt-out from a kind of mail {name}: fix"
            text += f" HUBSPOT_SUBSCRIPTIONS. There is: {there}."
            if len(called) == 1:
                text = f"Who has opted out of {called[0].name} in HubSpot is left out."
            elif called:
                ids = " or ".join(kind.id for kind in called)
                text = f"HubSpot has several kinds of mail {name}: let HUBSPOT_SUBSCRIPTIONS say"
                text += f" {ids}."
            self._say(len(called) == 1, text)
        if not wanted:
            text = "Who has opted out of any kind of mail (subscription type) in HubSpot is left"
            self._say(True, f"{text} out. Kinds besides all mail: {there}.")
        if CONFIRMATION in self._properties:
            text = "Who has not confirmed the subscription in HubSpot's double opt-in is left out."
            self._say(True, text)
        counting = [kind for kind in kinds if not wanted or any(map(kind.is_called, wanted))]
        return consent_properties(self._properties, counting)

    def _judge_conditions(self) -> Iterator[tuple[Condition, Property]]:
        for condition in self._settings.conditions:
            name, known = condition.property, self._properties.get(condition.property)
            mistake = condition.mistake(known) if known else None
            if known is None:
                close = alternatives(difflib.get_close_matches(name, self._properties, cutoff=0.0))
                text = f"HubSpot has no contact property {name}: fix CONTACT_FILTER. It has, for"
                self._say(False, f"{text} one, {close}.")
            elif mistake:
                self._say(False, f"HubSpot's {name} has no value {mistake}. Fix CONTACT_FILTER.")
            else:
                self._say(True, f"CONTACT_FILTER looks at HubSpot's {name}.")
                yield condition, known

    def _judge_fields(self) -> Iterator[Field]:
        for name, key in self._settings.fields:
            of, own, there = "contact", name, self._properties
            if name.startswith(OF_COMPANY):
                of, own, there = "company", name[len(OF_COMPANY) :], self._company_properties
            known = there.get(own)
            if known is None and there:
                text = f"HubSpot has no {of} property {own}: fix MAILERLITE_FIELDS, or create the"
                self._say(False, f"{text} property in HubSpot > Settings > Properties.")
            if known is None:
                continue
            field = Field(name, key, self._types.get(key) or field_type(known.type))
            if self._settings.labels and known.type == "enumeration":
                field = field._replace(labels=known.options, is_multiple=known.is_multiple)
            yield field
            text = f"HubSpot's {name} ({known.type}) goes to MailerLite's {key} ({field.type})"
            if key in self._types:
                self._say(True, f"{text}.")
            elif not self._args.create_fields:
                text = f"MailerLite has no field {key}: fix MAILERLITE_FIELDS, or create the field"
                self._say(False, f"{text} with --create-fields.")
            elif key != key.lower():
                text = f"MailerLite makes no key {key}: write {key.lower()} in MAILERLITE_FIELDS."
                self._say(False, text)
            else:
                self.creations.append(Creation(key, field.type))
                self._say(True, f"{text}, which is to be created.")

    def _judge_groups(self) -> Iterator[str]:
        """The ids of those that everybody joins."""
        for wanted in self._settings.groups:
            ids = self._ids_of(wanted)
            if len(ids) == 1:
                self._say(True, f"MailerLite has the group {self._groups[ids[0]]}.")
                yield ids[0]
            elif ids:
                text = f"MailerLite has several groups {wanted}: let MAILERLITE_GROUPS say which by"
                self._say(False, f"{text} its id.")
            else:
                text = f"MailerLite has no group {wanted}: create it there, or fix"
                self._say(False, f"{text} MAILERLITE_GROUPS.")

    def _ids_of(self, wanted: str) -> list[str]:
        """Of the groups with this name or id."""
        return [id for id, name in self._groups.items() if wanted in (id, name)]

    def _judge_mirror(self, joined: Sequence[str]) -> Mirror:
        """`joined`: the groups that everybody joins."""
        settings, may_be_made = self._settings, bool(self._args.create_groups)
        everyone, wanted, taken = "", settings.mirror_group, dict.fromkeys(joined, "joined")
        names: dict[str, str] = {}
        if wanted:
            may_be_named = may_be_made and not wanted.isdecimal()
            ids = self._ids_of(wanted)
            everyone = self._judge_mirrored(wanted, ids, "MIRROR_GROUP", may_be_named, taken)
            names, taken[everyone] = {everyone: self._groups.get(everyone, wanted)}, "mirrored"
        by = self._properties.get(settings.group_by)
        what = "is no property of contacts with fixed values (an enumeration)"
        if by and by.type == "enumeration":
            what = "has values that HubSpot does not name, so they can have no groups"
        if settings.group_by and not (by and by.type == "enumeration" and by.options):
            self._say(False, f"{settings.group_by} {what}: fix GROUP_BY.")
            by = None
        by_value: dict[str, str] = {}
        for value, label in by.options.items() if by else ():
            name = f"{settings.group_prefix} {label}".strip()
            ids = [id for id, each in self._groups.items() if each == name]
            by_value[value] = self._judge_mirrored(name, ids, "GROUP_BY", may_be_made, taken)
            names[by_value[value]] = name
        return Mirror(everyone, by, by_value, names)

    def _judge_mirrored(
        self,
        name: str,
        ids: Sequence[str],
        setting: str,
        may_be_made: bool,
        taken: Mapping[str, str],
    ) -> str:
        """The id of the group, or its placeholder; "" if it cannot be used. `taken`: the ids of
        groups that are "joined" by everybody, or "mirrored" already."""
        id = ids[0] if ids else placeholder(name)
        alike = [each for each in self._groups.values() if each.lower() == name.lower()]
        text = f"The group {name} is to hold the people who are meant, and nobody else"
        if len(ids) > 1:
            text = f"MailerLite has several groups {name}: rename all but one, or give the id."
        elif taken.get(id) == "joined":
            text += f": take it out of MAILERLITE_GROUPS, or give {setting} one of its own."
        elif id in taken:
            text = f"The group {name} is MIRROR_GROUP already: set GROUP_PREFIX to another name."
        elif not ids and alike:
            text = f"MailerLite has the group {alike[0]}, but none {name}: spell both alike."
        elif not ids and not may_be_made:
            made = self._args.create_groups
            how = " (digits alone are an id)" if made else ", or make it by --create-groups"
            text = f"MailerLite has no group {name}: fix {setting}{how}."
        else:
            self._say(True, f"{text}{'' if ids else ', and is to be created'}.")
            return id
        self._say(False, text)
        return ""

    def _judge_opt_out(self, consent: Mapping[str, str]) -> OptOut | None:
        """From which kind of mail: None unless it is clear which one is meant."""
        kinds = [name for name in consent if name.startswith(f"{OPT_OUT}_")]
        opt_out: OptOut | None = None
        text = (
            "--opt-out-unsubscribed needs to know the one kind of mail to opt out of: let"
            " HUBSPOT_SUBSCRIPTIONS name it, and no other."
        )
        if len(self._settings.subscriptions) == len(kinds) == 1:
            opt_out = OptOut(kinds[0][len(OPT_OUT) + 1 :], self._settings.legal_basis)
            text = (
                f"Who has unsubscribed or complained in MailerLite becomes {consent[kinds[0]]}."
                " Whether the key may write that, only a run can show: it needs"
                " communication_preferences.write."
            )
        if self._args.opt_out_unsubscribed:
            self._say(opt_out is not None, text)
        return opt_out

    def _judge_import(self, groups: Sequence[str], mirror: Mirror) -> None:
        """An import knows one group, and who arrives must be in no other."""
        everyone = [mirror.names[mirror.everyone]] if mirror.everyone else []
        for_all = [*(self._groups[id] for id in groups), *everyone]
        if mirror.by and not for_all:
            self._say(True, "New people are imported into the groups of GROUP_BY.")
        elif len(for_all) == 1 and not mirror.by:
            self._say(True, f"New people are imported into the group {for_all[0]}.")
        else:
            text = "--import needs one group to import each person into: let MAILERLITE_GROUPS name"
            self._say(False, f"{text} it, and no other, or MIRROR_GROUP alone, or GROUP_BY alone.")


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


def _describe_groups(groups: Mapping[str, str]) -> str:
    if not groups:
        return "no groups"
    return f"the group{'s' if len(groups) > 1 else ''} {listing(list(groups.values()), 5)}"
