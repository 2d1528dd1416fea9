"""What must be in place in HubSpot and MailerLite, and the rules that follow from the settings."""

from __future__ import annotations

import contextlib
from typing import Iterator, Mapping, Sequence

from cli.job import collect_findings, require_ok
from core import conditions, errors, log, words
from hubspot_api.shapes import COMPANIES, CONTACTS, Account, ObjectType, RecordList
from report.model import Finding
from subscribers import plan, reading, rules
from subscribers.options import Options
from transport import threads


class Setup:
    """Both services as they are set up, read side by side, and judged against the settings.

    `creations`: what MailerLite lacks and is to be made; `group_names`: by id, of every group, also
    of those that are still to be made; `account`: HubSpot's, if it tells.
    """

    def __init__(self, options: Options, services: reading.Services) -> None:
        self._options, self._services = options, services
        self._of_settings: list[Finding] = []
        self._properties: Mapping[str, conditions.Property] = {}
        self._company_properties: Mapping[str, conditions.Property] = {}
        self._list: RecordList | None = None  # whose members alone are in scope
        self._types: dict[str, str] = {}  # of MailerLite's fields, by key
        self._groups: dict[str, str] = {}  # id -> name
        self._roles: dict[str, str] = {}  # id of a group -> the setting that uses it
        self.account: Account | None = None
        self.creations: list[plan.Creation] = []
        of_hubspot, of_mailerlite = threads.side_by_side(self._read_hubspot, self._read_mailerlite)
        self._of_services = [*of_hubspot, *of_mailerlite]
        self._rules = self._judge()
        self.group_names = {**self._groups, **self._rules.mirror.names}

    def findings(self) -> list[Finding]:
        """For `--check`: also whether people may be read, which a run finds out by itself."""
        hubspot, mailerlite = self._services

        def read_contacts() -> Finding:
            next(hubspot.contacts(["email"]), None)
            return Finding(True, "HubSpot's contacts can be read.")

        def count_subscribers() -> Finding:
            active = words.count(mailerlite.count_subscribers(["active"]), "active subscriber")
            return Finding(True, f"MailerLite's subscribers can be read: {active}.")

        reading = collect_findings(read_contacts) + collect_findings(count_subscribers)
        return [*self._of_services, *self._of_settings, *reading]

    def rules_in_force(self) -> rules.Rules:
        """With the members of the list, if there is one. Raises AppError, or SettingsError if the
        settings are at fault, with all that is to be fixed."""
        require_ok(self._of_services)
        require_ok(self._of_settings, errors.SettingsError)
        if not self._list:
            return self._rules
        members = self._services.hubspot.members(self._list)
        log.info(
            "HubSpot: the list %s has %s.", self._list.name, words.count(len(members), "member")
        )
        scope = self._rules.scope._replace(list_name=self._list.name, members=members)
        return self._rules._replace(scope=scope)

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

        def read_contacts() -> Finding:
            properties = hubspot.properties(CONTACTS)
            if rules.OPT_OUT not in properties:
                text = (
                    f"HubSpot does not show the contact property {rules.OPT_OUT}, so opt-outs are"
                )
                text += " unknown. Check that the key may read the properties of contacts."
                return Finding(False, text)
            self._properties = properties
            number = words.count(len(properties), "property", "properties")
            return Finding(True, f"HubSpot can be used: its contacts have {number}.")

        def read_companies() -> Finding:
            self._company_properties = hubspot.properties(COMPANIES)
            hubspot.records(COMPANIES, ["name"], [1])
            number = words.count(len(self._company_properties), "property", "properties")
            return Finding(True, f"HubSpot's companies can be read: they have {number}.")

        needs_companies = any(name.startswith(rules.OF_COMPANY) for name, _ in self._options.fields)
        reads = [read_contacts, read_companies] if needs_companies else [read_contacts]
        findings = collect_findings(*reads)
        self.account = hubspot.account_if_told()
        if self.account:
            findings.insert(0, Finding(True, f"HubSpot accepts the key: {self.account}."))
        if self._options.list and self._properties:
            try:
                self._list = hubspot.require_list(self._options.list, CONTACTS, "HUBSPOT_LIST")
            except (errors.CallRejected, errors.Forbidden, errors.SettingsError) as error:
                self._fix(str(error))
            except errors.AppError as error:  # it is HubSpot that fails, and not the setting
                findings.append(Finding(False, str(error)))
        if self._list:
            name = f"{self._list.name} ({self._list.id})"
            self._fine(f"Only contacts of HubSpot's list {name} are in scope.")
        return findings

    def _read_mailerlite(self) -> list[Finding]:
        options, mailerlite = self._options, self._services.mailerlite

        def read() -> Finding:
            types = mailerlite.fields()
            needs_groups = options.groups or options.mirror_group or options.group_by
            # Without a setting that names groups, they only help to tell one account from another.
            with contextlib.suppress(
                *(() if needs_groups else (errors.CallRejected, errors.ServiceError))
            ):
                self._groups = mailerlite.groups()
            self._types = types  # last: without the groups nothing is called missing
            there = f"{words.count(len(types), 'field')} and {_describe_groups(self._groups)}"
            text = f"MailerLite accepts the token. The account has {there}"
            return Finding(True, f"{text} (its API does not show the account's name).")

        return collect_findings(read)

    # What the settings make of it

    def _fine(self, text: str) -> None:
        self._of_settings.append(Finding(True, text))

    def _fix(self, text: str) -> None:
        self._of_settings.append(Finding(False, text))

    def _judge(self) -> rules.Rules:
        """What could not be read is a finding already, and nothing is said of it."""
        options, flags = self._options, self._options.flags
        is_read = bool(self._properties and self._types)
        consent = self._judge_consent() if self._properties else {}
        conditions = list(self._judge_conditions()) if self._properties else []
        fields = list(self._judge_fields()) if is_read else []
        joined = options.groups if self._types else ()
        groups = [self._judge_group(each, "MAILERLITE_GROUPS") for each in joined]
        mirror = self._judge_mirror() if is_read else rules.Mirror()
        opt_out = self._judge_opt_out(consent) if consent else None
        if flags.by_import:
            self._judge_import(groups, mirror)
        return rules.Rules(
            fields,
            consent,
            groups,
            rules.Scope(conditions=conditions),
            mirror,
            flags.fill_only,
            flags.unsubscribe_opted_out,
            frozenset(flags.restore),
            frozenset(flags.keep_in_group),
            opt_out,
            flags.opt_out_unsubscribed,
        )

    def _judge_consent(self) -> dict[str, str]:
        """An opt-out of any subscription type counts, unless the settings say which types do."""
        named, types = (
            self._options.subscriptions,
            rules.subscriptions_of(self._properties.values()),
        )
        there = ", ".join(f"{each.name} ({each.id})" for each in types) or "none"
        for name in named:
            called = [each for each in types if each.is_called(name)]
            if len(called) == 1:
                self._fine(f"People who opted out of {called[0].name} in HubSpot are skipped.")
            elif called:
                ids = words.alternatives([each.id for each in called])
                text = f"HubSpot has several subscription types called {name}. Use the id"
                self._fix(f"{text} in HUBSPOT_SUBSCRIPTIONS: {ids}.")
            else:
                text = f"HubSpot has no subscription type called {name}. Fix"
                self._fix(f"{text} HUBSPOT_SUBSCRIPTIONS. HubSpot has: {there}.")
        if not named:
            text = "People who opted out of any subscription type in HubSpot are skipped."
            self._fine(f"{text} Subscription types: {there}.")
        if rules.CONFIRMATION in self._properties:
            self._fine("People who have not confirmed HubSpot's double opt-in are skipped.")
        counting = [each for each in types if not named or any(map(each.is_called, named))]
        return rules.consent_properties(self._properties, counting)

    def _judge_conditions(self) -> Iterator[tuple[conditions.Condition, conditions.Property]]:
        for condition in self._options.conditions:
            if mistake := condition.mistake(self._properties, "contact"):
                self._fix(f"{mistake} Fix CONTACT_FILTER.")
            else:
                self._fine(f"CONTACT_FILTER checks HubSpot's {condition.property}.")
                yield condition, self._properties[condition.property]

    def _judge_fields(self) -> Iterator[rules.Field]:
        for name, key in self._options.fields:
            of, own, there = "contact", name, self._properties
            if name.startswith(rules.OF_COMPANY):
                of, own, there = "company", name[len(rules.OF_COMPANY) :], self._company_properties
            known = there.get(own)
            if known is None and there:
                text = f"HubSpot has no {of} property {own}. Fix MAILERLITE_FIELDS, or create the"
                self._fix(f"{text} property in HubSpot > Settings > Properties.")
            if known is None:
                continue
            field = rules.Field(name, key, self._types.get(key) or rules.field_type(known.type))
            if self._options.labels and known.type == "enumeration":
                field = field._replace(labels=known.options, is_multiple=known.is_multiple)
            yield field
            text = f"HubSpot's {name} ({known.type}) goes to MailerLite's {key} ({field.type})"
            if key in self._types:
                self._fine(f"{text}.")
            elif not self._options.flags.create_fields:
                text = f"MailerLite has no field {key}. Fix MAILERLITE_FIELDS, or create the field"
                self._fix(f"{text} with --create-fields.")
            elif key != key.lower():
                right = f"Write {key.lower()} in MAILERLITE_FIELDS"
                self._fix(f"MailerLite cannot create a field {key} with capital letters. {right}.")
            else:
                self.creations.append(plan.Creation(key, field.type))
                self._fine(f"{text}, which will be created.")

    def _judge_group(self, named: str, setting: str) -> str:
        """The id of the group with this name or, if it is not made for a value, this id; its
        placeholder if it is to be made; "" if it cannot be used."""
        joins, is_of_value = setting == "MAILERLITE_GROUPS", setting == "GROUP_BY"
        names = self._groups.items()
        ids = [id for id, name in names if named == name or (named == id and not is_of_value)]
        alike = [name for _, name in names if name.lower() == named.lower()]
        can_be_made = is_of_value or not named.isdecimal()
        is_made = not joins and self._options.flags.create_groups and can_be_made
        id = ids[0] if ids else rules.placeholder(named)
        used_by = self._roles.setdefault(id, setting)
        if len(ids) > 1:
            self._fix(
                f"MailerLite has several groups called {named}. Rename all but one, or use the id."
            )
        elif used_by != setting and used_by == "MAILERLITE_GROUPS":
            text = f"The group {named} is in both {used_by} and {setting}. Remove it from"
            self._fix(f"{text} {used_by}, or use another group for {setting}.")
        elif used_by != setting:
            text = f"The group {named} is already used by {used_by}."
            self._fix(f"{text} Set GROUP_PREFIX to another word.")
        elif not ids and alike:
            text = f"MailerLite has no group {named}, but a group {alike[0]}."
            self._fix(f"{text} Use the same spelling.")
        elif not (ids or is_made):
            how = f", or create the group {'in MailerLite' if joins else 'with --create-groups'}"
            how = how if can_be_made else " (digits alone are an id)"
            self._fix(f"MailerLite has no group {named}. Fix {setting}{how}.")
        else:
            text = f"Everyone in scope joins the group {self._groups.get(id)}"
            if not joins:
                text = f"The group {named} will hold exactly the people in scope"
                text += " with this value" if is_of_value else ""
            self._fine(f"{text}{'' if ids else ', and will be created'}.")
            # Two values may have one label.
            if not ids and plan.Creation(named) not in self.creations:
                self.creations.append(plan.Creation(named))
            return id
        return ""

    def _judge_mirror(self) -> rules.Mirror:
        options = self._options
        named = {"": options.mirror_group} if options.mirror_group else {}
        by = self._properties.get(options.group_by)
        if options.group_by and not (by and by.type == "enumeration" and by.options):
            what = "is not a contact property with a fixed list of values"
            if by and by.type == "enumeration":
                what = "has no list of values in HubSpot, so they cannot have groups"
            self._fix(f"{options.group_by} {what}. Fix GROUP_BY.")
            by = None
        for value, label in by.options.items() if by else ():
            named[value] = f"{options.group_prefix} {label}".strip()
        groups = {
            value: self._judge_group(name, "GROUP_BY" if value else "MIRROR_GROUP")
            for value, name in named.items()
        }
        names = {id: self._groups.get(id, named[value]) for value, id in groups.items()}
        return rules.Mirror(groups, by, names)

    def _judge_opt_out(self, consent: Mapping[str, str]) -> rules.OptOut | None:
        """Of which subscription type: None unless the settings name one."""
        types = [name for name in consent if name.startswith(f"{rules.OPT_OUT}_")]
        is_clear = len(self._options.subscriptions) == len(types) == 1
        if self._options.flags.opt_out_unsubscribed and is_clear:
            text = "People who unsubscribed in MailerLite or marked mail as spam will be"
            text += f" {consent[types[0]]}. Only a real run can show whether the key may write that"
            self._fine(f"{text} (scope communication_preferences.write).")
        elif self._options.flags.opt_out_unsubscribed:
            text = "--opt-out-unsubscribed needs exactly one subscription type."
            self._fix(f"{text} Name it in HUBSPOT_SUBSCRIPTIONS.")
        id = types[0][len(rules.OPT_OUT) + 1 :] if is_clear else ""
        return rules.OptOut(id, self._options.legal_basis) if is_clear else None

    def _judge_import(self, groups: Sequence[str], mirror: rules.Mirror) -> None:
        """An import knows one group, and who arrives must be in no other."""
        for_all = [*groups, *(id for value, id in mirror.groups.items() if not value)]
        if mirror.by and not for_all:
            self._fine("New people will be imported into the groups of GROUP_BY.")
        elif len(for_all) == 1 and not mirror.by:
            name = mirror.names.get(for_all[0]) or self._groups.get(for_all[0])
            self._fine(f"New people will be imported into the group {name}.")
        else:
            text = "--import needs exactly one group for each person. Name one group in"
            self._fix(f"{text} MAILERLITE_GROUPS or MIRROR_GROUP, or set GROUP_BY alone.")


def _describe_groups(groups: Mapping[str, str]) -> str:
    if not groups:
        return "no groups"
    return f"the group{'s' if len(groups) > 1 else ''} {words.listing(list(groups.values()), 5)}"
