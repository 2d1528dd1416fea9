"""A MailerLite account: its records, and what a write makes of them."""

from __future__ import annotations

import contextlib
import itertools
import re
from bisect import insort
from typing import Any, Callable, Dict, Iterable, Mapping, Optional

from .core import Refusal, Service, Window
from .mailerlite_import import Import

Subscriber = Dict[str, Any]  # id, email, status, fields {key: value}, groups [ids]
Keep = Callable[[str], Optional[str]]

STATUSES = ("active", "unsubscribed", "unconfirmed", "bounced", "junk")
CLOSED = ("unsubscribed", "bounced", "junk")  # no write brings these back
DEFAULT_FIELDS = {
    "name": "Name",
    "last_name": "Last name",
    "company": "Company",
    "country": "Country",
    "city": "City",
    "phone": "Phone",
    "state": "State",
    "z_i_p": "Zip",
}
EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
INVALID = "The given data was invalid."
NOT_AN_EMAIL = "The email must be a valid email address."
FIRST_ID = 31_897_397_363_737_859  # above 2**53: only exact as a string
JOINED = "2026-01-05 09:00:00"  # UTC

# What a subscriber is answered with besides its id, email, status and fields.
HISTORY: dict[str, Any] = {
    "source": "api",
    "sent": 0,
    "opens_count": 0,
    "clicks_count": 0,
    "open_rate": 0,
    "click_rate": 0,
    "ip_address": None,
    "subscribed_at": JOINED,
    "unsubscribed_at": None,
    "created_at": JOINED,
    "updated_at": JOINED,
    "opted_in_at": None,
    "optin_ip": None,
    "location": None,
}
WRITABLE = ("subscribed_at", "unsubscribed_at", "ip_address", "opted_in_at", "optin_ip")


class Account(Service):
    """One MailerLite account; every attribute may be changed while it serves (see `lock`).

    subscribers   e-mail in lower case -> id, email, status, fields, groups; given as dicts in the
                  order of the lists, which begin with the newest; all but "email" optional.
                  Put people in by `add`, edit them in place
    deleted       the same, of deleted people: an upsert revives them without a word
    fields        list of {id, name, key, type}
    groups        id -> name
    double_opt_in the setting "double opt-in for API": a new subscriber is unconfirmed
    keep          field key -> what MailerLite makes of a value written to it, as text (None:
                  nothing); a ValueError refuses the value, with its words
    punycode      international domains are kept, and answered, in punycode
    not_taken     addresses that MailerLite does not take
    plan_full     the status (422, 402, 403) that refuses every new subscriber; None: there is room
    join_unsubscribed  False: who is not subscribed any more cannot be put into a group
    max_limit     a page of subscribers, fields or groups holds no more than this, one of a
                  group's subscribers no more than `max_group_limit`; asking for more is a 422
                  with `strict_limit`
    import_s      seconds that an import takes, and what it does: `import_revives` deleted people,
                  `import_double_opt_in`; the addresses `import_loses` do not arrive
    """

    def __init__(
        self,
        subscribers: Iterable[Mapping[str, Any]] = (),
        *,
        deleted: Iterable[Mapping[str, Any]] = (),
        fields: Iterable[Mapping[str, str]] = (),
        groups: Mapping[str, str] | None = None,
        token: str = "made-up-token-of-the-sandbox",
        double_opt_in: bool = False,
        requests_per_minute: int | None = 120,
        imports_per_minute: int | None = 5,
        max_limit: int = 100,
        max_group_limit: int = 1000,
        strict_limit: bool = False,
        keep: Mapping[str, Keep] | None = None,
        punycode: bool = False,
        not_taken: Iterable[str] = (),
        plan_full: int | None = None,
        join_unsubscribed: bool = True,
        import_s: float = 5.0,
        import_revives: bool = True,
        import_double_opt_in: bool = False,
        import_loses: Iterable[str] = (),
    ) -> None:
        super().__init__()
        self._ids = itertools.count(FIRST_ID)
        self._window, self._import_window = Window(60), Window(60)
        self.token, self.double_opt_in = token, double_opt_in
        self.requests_per_minute, self.imports_per_minute = requests_per_minute, imports_per_minute
        self.max_limit, self.max_group_limit = max_limit, max_group_limit
        self.strict_limit, self.punycode = strict_limit, punycode
        self.keep: dict[str, Keep] = dict(keep or {})
        self.not_taken: set[str] = set(not_taken)
        self.plan_full, self.join_unsubscribed = plan_full, join_unsubscribed
        self.import_s, self.import_revives = import_s, import_revives
        self.import_double_opt_in = import_double_opt_in
        self.import_loses: set[str] = set(import_loses)
        self._imports: dict[str, Import] = {}
        self.groups: dict[str, str] = dict(groups or {})
        self.fields: list[dict[str, str]] = [
            self._field(name, key, "text") for key, name in DEFAULT_FIELDS.items()
        ]
        self.fields += [self._field(f.get("name", f["key"]), f["key"], f["type"]) for f in fields]
        self.subscribers: dict[str, Subscriber] = {}
        self.deleted: dict[str, Subscriber] = {}
        self._order: list[int] = []  # every id there ever was, ascending
        self._keys: dict[int, str] = {}  # id -> key in `subscribers`, while it is there
        for person in deleted:
            self.delete(self.add(**person)["email"])
        for person in reversed(list(subscribers)):
            self.add(**person)

    def _field(self, name: str, key: str, kind: str) -> dict[str, str]:
        return {"id": str(next(self._ids)), "name": name, "key": key, "type": kind}

    def add(self, email: str, **more: Any) -> Subscriber:
        """Put a subscriber in as if the owner of the account had."""
        email = self._key(email)
        with self.lock:
            return self._insert({**self._blank(email), **more})

    def delete(self, email: str) -> None:
        """Delete a subscriber as the owner of the account would; MailerLite remembers."""
        email = self._key(email)
        with self.lock:
            self.deleted[email] = self.subscribers.pop(email)

    def _blank(self, email: str) -> Subscriber:
        key = str(next(self._ids))
        return {"id": key, "email": email, "status": "active", "fields": {}, "groups": []}

    def _insert(self, person: Subscriber) -> Subscriber:
        number = int(person["id"])
        if number not in self._keys:
            insort(self._order, number)
        self._keys[number] = person["email"]
        self.deleted.pop(person["email"], None)
        self.subscribers[person["email"]] = person
        return person

    def _key(self, email: str) -> str:
        email = email.strip().lower()
        local, _, domain = email.rpartition("@")
        with contextlib.suppress(UnicodeError):  # a label that is too long stays as it is
            return f"{local}@{domain.encode('idna').decode()}" if self.punycode else email
        return email

    def _numbered_person(self, number: int) -> Subscriber | None:
        person = self.subscribers.get(self._keys.get(number, ""))
        return person if person and person["id"] == str(number) else None

    def error(self, status: int, message: str, **more: Any) -> Refusal:
        return Refusal(status, {"message": message, **more})

    def _invalid(self, field: str, message: str, **more: Any) -> Refusal:
        return self.error(422, INVALID, errors={field: [message]}, **more)

    def _missing(self, model: str, key: str) -> Refusal:
        return self.error(404, f"No query results for model [App\\Models\\{model}] {key}")

    def _known_person(self, key: str) -> Subscriber:
        person = self._numbered_person(int(key)) if key.isdecimal() else None
        if person is None:
            raise self._missing("Subscriber\\Subscriber", key)
        return person

    def _known_group(self, group: str) -> None:
        if group not in self.groups:
            raise self._missing("Group\\Group", group)

    def _known_field(self, key: str) -> dict[str, str]:
        for field in self.fields:
            if field["id"] == key:
                return field
        raise self._missing("Field", key)

    def _shown(self, person: Subscriber) -> dict[str, Any]:
        """A subscriber as answered: every account field, as text or null; the groups in full, with
        their counters."""
        return {**self._listed(person), "groups": [*map(self._shown_group, person["groups"])]}

    def _listed(self, person: Subscriber, with_groups: bool = False) -> dict[str, Any]:
        """One of a list: without its groups, or with their names."""
        shown = {name: person[name] for name in ("id", "email", "status")}
        shown.update((name, person.get(name, value)) for name, value in HISTORY.items())
        values = person["fields"]
        shown["fields"] = {each["key"]: text(values.get(each["key"])) for each in self.fields}
        if with_groups:
            names = self.groups
            shown["groups"] = [{"id": key, "name": names.get(key, "")} for key in person["groups"]]
        return shown

    def _shown_group(
        self, key: str, count: Mapping[tuple[str, str], int] | None = None
    ) -> dict[str, Any]:
        """Without `count` nobody is counted: MailerLite's counters, too, lag behind a join."""
        rate = {"float": 0, "string": "0%"}
        shown: dict[str, Any] = {"id": key, "name": self.groups.get(key, ""), "sent_count": 0}
        shown.update(opens_count=0, open_rate=rate, clicks_count=0, click_rate=rate)
        shown.update((f"{each}_count", (count or {}).get((key, each), 0)) for each in STATUSES)
        return {**shown, "created_at": JOINED}

    def _put(self, email: str, body: Mapping[str, Any], double_opt_in: bool) -> Subscriber:
        """Create, update or revive; raises Refusal before anything is changed."""
        person = self.subscribers.get(email)
        if email in self.not_taken:
            raise self._invalid("email", NOT_AN_EMAIL)
        if person is None and email not in self.deleted and self.plan_full:
            raise self.error(self.plan_full, "The plan has no room for another subscriber.")
        status, values = self._status(person, email, body, double_opt_in), self._kept(body)
        person = person or self._insert(self.deleted.get(email) or self._blank(email))
        groups = [*person["groups"], *(str(group) for group in body.get("groups", []))]
        self._change(person, status, values, groups, body)
        return person

    def _checked(self, body: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(body.get("fields", {}), dict):
            raise self._invalid("fields", "The fields must be an array.")
        if body.get("status", "active") not in STATUSES:
            raise self._invalid("status", "The selected status is invalid.")
        if not isinstance(body.get("groups", []), list):
            raise self._invalid("groups", "The groups must be an array.")
        for place, group in enumerate(body.get("groups", [])):
            if str(group) not in self.groups:
                name = f"groups.{place}"
                raise self._invalid(name, f"The selected {name} is invalid.")
        return body

    def _status(
        self,
        person: Subscriber | None,
        email: str,
        body: Mapping[str, Any],
        double_opt_in: bool,
    ) -> str:
        """The status after a write, or a 422: who has left stays so."""
        wanted = body.get("status")
        if wanted == "unsubscribed" or (person is None and email in self.deleted):
            return wanted or "active"
        if person is None:
            return "unconfirmed" if double_opt_in else wanted or "active"
        status = str(person["status"])
        if status == "unsubscribed" and wanted == "active" and body.get("resubscribe"):
            return "active"
        if status in CLOSED:
            message = f"This subscriber is {status} and cannot be imported"
            raise self._invalid("email", message, subscriber=person["id"])
        return status

    def _kept(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """What is made of the values sent for known fields; the others go without a word."""
        values = body.get("fields", {})
        sent = {f["key"]: values[f["key"]] for f in self.fields if f["key"] in values}
        for key in (key for key in sent if key in self.keep):
            value = text(sent[key])
            try:
                sent[key] = None if value is None else self.keep[key](value)
            except ValueError as error:
                raise self._invalid(f"fields.{key}", str(error)) from None
        return sent

    def _change(
        self,
        person: Subscriber,
        status: str,
        values: Mapping[str, Any],
        groups: list[str],
        body: Mapping[str, Any],
    ) -> None:
        """An empty value clears, a value left out stays."""
        merged = {**person["fields"], **values}
        person["fields"] = {key: v for key, v in merged.items() if v not in (None, "")}
        person["groups"] = list(dict.fromkeys(groups))
        left = JOINED if status == "unsubscribed" else None
        person.update(status=status, unsubscribed_at=left)
        person.update((name, body[name]) for name in WRITABLE if name in body)


def text(value: Any) -> str | None:
    return None if value in (None, "") else str(value)
