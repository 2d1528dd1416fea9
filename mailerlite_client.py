"""MailerLite: its subscribers, fields and groups as small values, and how to write a subscriber.

The API is described at https://developers.mailerlite.com/docs/subscribers.html, /fields.html and
/groups.html.
"""

from __future__ import annotations

import itertools
import re
from typing import (
    Any,
    Dict,
    FrozenSet,
    Iterator,
    Mapping,
    NamedTuple,
    NoReturn,
    Optional,
    Sequence,
    Set,
    Union,
)

from basics.errors import CallRejected
from basics.secret import Secret
from basics.settings import SettingsReader
from transport.clock import Clock
from transport.http_client import HttpClient
from transport.service import JsonObject, Service

PAGE_SIZE = 100  # no document names the maximum of subscribers; this is accepted
FIELD_TYPES = ("text", "number", "date")

# Each status has a list of its own, and the list without a filter is not all of them. In this
# order, whoever confirms, unsubscribes or bounces during the read moves on to a list that is still
# to be read, and so is seen.
SUBSCRIBER_STATUSES = ("unconfirmed", "active", "unsubscribed", "bounced", "junk")

WHERE_KEY = "an API token from MailerLite > Integrations > API"
REMEDIES = {
    401: "Check MAILERLITE_API_KEY: MailerLite does not know this token. A token dies when"
    " it is deleted, and with the user who made it: make a new one in MailerLite > Integrations >"
    " API.",
    402: "The MailerLite plan does not allow this: see MailerLite > Account settings > Plans.",
    403: "The MailerLite plan or the owner of the token does not have this right.",
}


def _says(body: JsonObject) -> Iterator[str]:
    """{"errors": {"email": ["This ..."]}}"""
    errors = body.get("errors")
    for messages in errors.values() if isinstance(errors, dict) else ():
        yield from map(str, messages if isinstance(messages, list) else ())


SERVICE = Service("MailerLite", lambda response: REMEDIES.get(response.status, ""), says=_says)

_UNSUBSCRIBED = re.compile(r"\bunsubscribed\b", re.IGNORECASE)

Value = Union[str, int, float]


class MailerLiteSettings(NamedTuple):
    key: Secret
    base_url: str
    requests_per_minute: float


def mailerlite_settings(reader: SettingsReader) -> MailerLiteSettings:
    return MailerLiteSettings(
        reader.secret("MAILERLITE_API_KEY", WHERE_KEY),
        reader.url("MAILERLITE_BASE_URL", "https://connect.mailerlite.com/api"),
        reader.rate("MAILERLITE_REQUESTS_PER_MINUTE", "120"),
    )


class Subscriber(NamedTuple):
    """`email` is trimmed and in lower case; `fields`: key -> value as text, None where empty;
    `groups`: ids, and none unless they were asked for."""

    email: str
    status: str
    fields: Mapping[str, Optional[str]]
    groups: FrozenSet[str]


class Written(NamedTuple):
    """What a write came to. `is_new`: MailerLite did not know the address, not even as deleted."""

    status: str
    is_new: bool


class Unsubscribed(CallRejected):
    """The person has unsubscribed in MailerLite, and nothing was written."""


class MailerLiteClient:
    def __init__(self, settings: MailerLiteSettings, clock: Clock, dry_run: bool) -> None:
        self.http = HttpClient(
            SERVICE,
            settings.base_url,
            {"Authorization": Secret(f"Bearer {settings.key.reveal()}")},
            settings.requests_per_minute / 60,
            clock=clock,
            dry_run=dry_run,
        )

    def count_active(self) -> int:
        """How many subscribers are active: the cheapest call. Raises ServiceError."""
        call = "number of subscribers"
        params = {"limit": 0, "filter[status]": "active"}
        total = self.http.read("GET", "/subscribers", call, params=params).get("total")
        if not isinstance(total, int):
            self.http.bad_answer(call, "total is missing")
        return total

    def subscribers(self, keys: Sequence[str], with_groups: bool) -> Iterator[Subscriber]:
        """The subscribers of every status, with the fields `keys`.

        Someone whose status changes during the read may come twice. Raises ServiceError, and
        BadAnswer when a cursor comes twice.
        """
        for status in SUBSCRIBER_STATUSES:
            yield from self._subscribers(status, keys, with_groups)

    def fields(self) -> Dict[str, str]:
        """Key -> type, one of FIELD_TYPES, of every field. Raises ServiceError."""
        rows = self._numbered("/fields", "key")
        return {key: str(row.get("type")) for key, row in rows.items()}

    def groups(self) -> Dict[str, str]:
        """Id -> name of every group. Raises ServiceError."""
        rows = self._numbered("/groups", "id")
        return {id: str(row.get("name")) for id, row in rows.items()}

    def create_field(self, key: str, kind: str) -> None:
        """Make a field. MailerLite derives the key from the name, so the key is the name.

        Raises CallRejected, ServiceError. Not repeated when the answer is lost, because the second
        call would be refused: the next run finds the field.
        """
        call = f"create the field {key}"
        body = {"name": key, "type": kind}
        response = self.http.request("POST", "/fields", call, body=body, repeatable=False)
        field = (response.data or {}).get("data")
        made = field.get("key") if isinstance(field, dict) else None
        if made != key:  # or else values would be sent to a key that MailerLite ignores
            self._bad_write(call, f"the key of the new field is {made!r}, not {key!r}")

    def upsert(
        self, call: str, email: str, fields: Mapping[str, Value], groups: Sequence[str]
    ) -> Written:
        """Create or update a subscriber: fields that are left out stay, groups are only added.

        Never with `status` or `resubscribe`: whether someone gets mail is not for us to change.
        A deleted person comes back by this call, without a word: that is for the caller to avoid.
        Raises Unsubscribed, CallRejected, ServiceError.
        """
        body: JsonObject = {"email": email}
        if fields:
            body["fields"] = dict(fields)
        if groups:
            body["groups"] = list(groups)
        try:
            return self._write(call, body)
        except CallRejected as error:
            if error.status == 422 and _UNSUBSCRIBED.search(error.detail):
                raise Unsubscribed(str(error), error.status, error.detail) from None
            raise

    def unsubscribe(self, call: str, email: str) -> None:
        """Unsubscribe someone: the one call with a status, which only ever takes mail away.

        Raises CallRejected, ServiceError.
        """
        written = self._write(call, {"email": email, "status": "unsubscribed"})
        if written.status != "unsubscribed":
            self._bad_write(call, f"the subscriber is {written.status} all the same")

    def _write(self, call: str, body: JsonObject) -> Written:
        response = self.http.request("POST", "/subscribers", call, body=body)
        person = (response.data or {}).get("data")
        status = person.get("status") if isinstance(person, dict) else None
        if status not in SUBSCRIBER_STATUSES:
            self._bad_write(call, "it does not say which status the subscriber has now")
        return Written(str(status), response.status == 201)

    def _bad_write(self, call: str, what: str) -> NoReturn:
        self.http.bad_answer(call, what, after_write=True)

    def _subscribers(
        self, status: str, keys: Sequence[str], with_groups: bool
    ) -> Iterator[Subscriber]:
        call = f"{status} subscribers"
        params: Dict[str, Any] = {"filter[status]": status, "limit": PAGE_SIZE}
        if with_groups:
            params["include"] = "groups"
        cursors: Set[str] = set()
        while True:  # `links.next` lacks the limit and the filter, so it is not used
            data = self.http.read("GET", "/subscribers", call, params=params)
            try:
                page = [_subscriber(row, keys, with_groups) for row in data["data"]]
                cursor = _text_or_none(data["meta"]["next_cursor"])
            except (KeyError, TypeError, AttributeError):
                self.http.bad_answer(call, "a subscriber or meta.next_cursor is not as documented")
            yield from page
            if cursor is None or not page:  # a short page is not the end
                return
            if cursor in cursors:
                self.http.bad_answer(call, "its cursor comes twice, so the list has no end")
            cursors.add(cursor)
            params["cursor"] = cursor

    def _numbered(self, path: str, id_name: str) -> Dict[str, Dict[str, Any]]:
        """Id -> row of a list that goes by page number, up to a page without a new row."""
        call = f"list of {path[1:]}"
        rows: Dict[str, Dict[str, Any]] = {}
        for number in itertools.count(1):
            params = {"limit": PAGE_SIZE, "page": number}
            data = self.http.read("GET", path, call, params=params)
            try:
                page = {str(row[id_name]): row for row in data["data"]}
            except (KeyError, TypeError):
                self.http.bad_answer(call, f"it holds something without {id_name}")
            if rows.keys() >= page.keys():
                break
            rows.update(page)
        return rows


def _subscriber(row: Any, keys: Sequence[str], with_groups: bool) -> Subscriber:
    email, status, fields = row["email"], row["status"], row["fields"] or {}
    if not isinstance(email, str) or status not in SUBSCRIBER_STATUSES:
        raise TypeError("a subscriber needs an address and a status")
    groups = frozenset(str(group["id"]) for group in row["groups"]) if with_groups else frozenset()
    values = {key: _text(fields.get(key)) for key in keys}
    return Subscriber(email.strip().lower(), status, values, groups)


def _text_or_none(value: Any) -> Optional[str]:
    if value is not None and not isinstance(value, str):
        raise TypeError("a cursor is text")
    return value


def _text(value: Any) -> Optional[str]:
    return None if value is None else str(value)
