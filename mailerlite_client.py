"""MailerLite: its subscribers, fields and groups as small values, and how to write a subscriber.

The API is described at https://developers.mailerlite.com/docs/subscribers.html, /fields.html,
/groups.html and /batching.html.
"""

from __future__ import annotations

import functools
import itertools
import re
from typing import (
    Any,
    Callable,
    Iterator,
    Mapping,
    NamedTuple,
    NoReturn,
    Sequence,
    Union,
)
from urllib.parse import quote

from core.clock import Clock
from core.emails import canonical
from core.errors import CallRejected
from core.settings import Secret, SettingsReader
from core.values import Packed
from transport.http_client import HttpClient
from transport.paging import read_by_cursor, retry_if_changed
from transport.response import json_object
from transport.service import JsonObject, RateLimit, Service

# The maximum of the members of a group; of all subscribers no document names it, and what is given
# is taken.
PAGE_SIZE = 1_000
SAFE_PAGE_SIZE = 100  # is accepted everywhere
BATCH_SIZE = 50  # requests in one; together they count as one of the account's allowance
FIELD_TYPES = ("text", "number", "date")

# Each status has a list of its own, and the list without a filter is not all of them. In this
# order, whoever confirms, unsubscribes or bounces during the read moves on to a list that is still
# to be read, and so is seen.
SUBSCRIBER_STATUSES = ("unconfirmed", "active", "unsubscribed", "bounced", "junk")
_STATUSES = {status: status for status in SUBSCRIBER_STATUSES}  # one text for all who have it

WHERE_KEY = "an API token from MailerLite > Integrations > API"
REMEDIES = {
    401: "Check MAILERLITE_API_KEY: MailerLite does not know this token. A token dies when"
    " it is deleted, and with the user who made it: make a new one in MailerLite > Integrations >"
    " API.",
    402: "The MailerLite plan does not allow this: see MailerLite > Account settings > Plans.",
    403: "The MailerLite plan or the owner of the token does not have this right.",
}


def _error_details(body: JsonObject) -> Iterator[str]:
    """{"errors": {"email": ["This ..."]}}"""
    errors = body.get("errors")
    for messages in errors.values() if isinstance(errors, dict) else ():
        yield from map(str, messages if isinstance(messages, list) else ())


SERVICE = Service(
    "MailerLite",
    lambda response: REMEDIES.get(response.status, ""),
    error_details=_error_details,
    # https://developers.mailerlite.com/docs/#rate-limits
    rate_limit=RateLimit(period_s=60.0, for_others=0.1),
)

_NOT_SUBSCRIBED = re.compile(r"\b(unsubscribed|bounced|junk)\b", re.IGNORECASE)
_IMPORT = re.compile(r"/subscribers/import/([A-Za-z0-9_-]+)$")
_FIELD = "fields."  # so begins the name of a refused value
PERSON, VALUES = "person", "values"  # what was refused

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

    id: str
    email: str
    status: str
    fields: Mapping[str, str | None]
    groups: frozenset[str] = frozenset()


class Written(NamedTuple):
    """What a write came to. `is_new`: nothing shows that MailerLite had known the address, even as
    deleted; `fields`: what it made of the values sent, if it says so."""

    status: str
    is_new: bool
    fields: Mapping[str, str | None]


class Refused(CallRejected):
    """MailerLite did not take a subscriber, and nothing was written.

    `kind`: VALUES, some values sent, whose `reasons` stand by key; PERSON, whatever is sent of
    them; or the status as which the person has left MailerLite, such as "unsubscribed".
    """

    def __init__(self, error: CallRejected, kind: str, reasons: Mapping[str, str]) -> None:
        super().__init__(str(error), error.status, error.detail, error.body)
        self.kind, self.reasons = kind, reasons


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
        self._page_size = PAGE_SIZE

    def count_active(self) -> int:
        """How many subscribers are active: the cheapest call. Raises ServiceError."""
        return self._count("active")

    def count_subscribers(self) -> int:
        """How many there are, of every status. Raises ServiceError."""
        return sum(map(self._count, SUBSCRIBER_STATUSES))

    def subscribers(
        self,
        keys: Sequence[str],
        with_groups: bool,
        on_read: Callable[[int], None] = lambda _: None,
    ) -> list[Subscriber]:
        """The subscribers of every status, with the fields `keys`; `on_read` is told how many
        came.

        Someone whose status changes during the read may come twice. Raises ServiceError, BadAnswer
        when a cursor comes twice, and ListChanged when fewer people came, again and again, than
        MailerLite says there are.
        """
        return retry_if_changed(lambda: self._everyone(keys, with_groups, on_read))

    def look_up(
        self, whom: Sequence[str], keys: Sequence[str], with_groups: bool
    ) -> dict[str, Subscriber | None]:
        """How it is now with these people, given by id or address, in one request: BATCH_SIZE of
        them at most. None where MailerLite has no such subscriber; who is missing is somebody of
        whom it does not say. Raises CallRejected, ServiceError."""
        call = "subscribers one by one"
        paths = (f"api/subscribers/{quote(each, safe='@')}" for each in whom)
        body = {"requests": [{"method": "GET", "path": path} for path in paths]}
        answers = self.http.read("POST", "/batch", call, body=body).get("responses")
        if not isinstance(answers, list) or len(answers) != len(whom):
            self.http.bad_answer(call, "there is not one response for each request")
        found: dict[str, Subscriber | None] = {}
        for each, answer in zip(whom, answers):
            try:
                if answer["code"] == 404:
                    found[each] = None
                elif answer["code"] == 200:
                    found[each] = _looked_up(each, answer["body"]["data"], tuple(keys), with_groups)
            except (KeyError, TypeError, AttributeError):
                self.http.bad_answer(call, "a subscriber is not as documented")
        return found

    def subscriber(self, email: str, keys: Sequence[str]) -> Subscriber | None:
        """How it is now with one person, groups included; None when MailerLite has no such
        subscriber. Raises CallRejected, ServiceError."""
        call = "one subscriber"
        try:
            data = self.http.read("GET", f"/subscribers/{quote(email, safe='@')}", call)
            return _looked_up(email, data["data"], tuple(keys), with_groups=True)
        except CallRejected as error:
            if error.status == 404:
                return None
            raise
        except (KeyError, TypeError, AttributeError):
            self.http.bad_answer(call, "it is not as documented")

    def fields(self) -> dict[str, str]:
        """Key -> type, one of FIELD_TYPES, of every field. Raises ServiceError."""
        rows = self._numbered("/fields", "key")
        return {key: str(row.get("type")) for key, row in rows.items()}

    def groups(self) -> dict[str, str]:
        """Id -> name of every group. Raises ServiceError."""
        rows = self._numbered("/groups", "id")
        return {id: str(row.get("name")) for id, row in rows.items()}

    def members(self, group: str, keys: Sequence[str]) -> list[Subscriber]:
        """The subscribers of every status in a group. Raises CallRejected, ServiceError, BadAnswer
        as `subscribers`."""
        names, path = tuple(keys), f"/groups/{group}/subscribers"
        return [
            person
            for status in SUBSCRIBER_STATUSES
            for page in self._pages(status, names, with_groups=False, path=path)
            for person in page
        ]

    def start_import(self, group: str, people: Sequence[tuple[str, Mapping[str, Value]]]) -> str:
        """Import addresses, each with its fields, into a group; returns the key of the import.

        It brings deleted people back, and asks nobody to confirm: that is for the caller to avoid.
        Not repeated when the answer is lost: the group shows who arrived. Raises CallRejected,
        ServiceError.
        """
        call, path = "import subscribers", f"/groups/{group}/import-subscribers"
        rows = [{"email": email, "fields": dict(fields)} for email, fields in people]
        body: JsonObject = {"subscribers": rows}
        response = self.http.request("POST", path, call, body=body, repeatable=False)
        url = (response.data or {}).get("import_progress_url")
        found = _IMPORT.search(str(url))
        if not found:
            self._bad_write(call, "it does not say where the progress is shown")
        return found[1]

    def import_is_done(self, key: str) -> bool:
        """Raises CallRejected, ServiceError."""
        call = "progress of an import"
        report = self.http.read("GET", f"/subscribers/import/{key}", call).get("data")
        if not isinstance(report, dict) or not isinstance(report.get("done"), bool):
            self.http.bad_answer(call, "done is missing")
        return bool(report["done"])

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

    def create_group(self, name: str) -> str:
        """The id of a new group. Raises CallRejected, ServiceError. Not repeated when the answer is
        lost, because MailerLite makes a second group of the same name: the next run finds it."""
        call = f"create the group {name}"
        response = self.http.request("POST", "/groups", call, body={"name": name}, repeatable=False)
        group = (response.data or {}).get("data")
        made = group.get("id") if isinstance(group, dict) else None
        if not made:
            self._bad_write(call, "the id of the new group is missing")
        return str(made)

    def leave_groups(self, members: Sequence[tuple[str, str]]) -> list[CallRejected | None]:
        """Take people out of groups, pairs of ids, in one request: BATCH_SIZE of them at most. What
        keeps each of them in, if anything does. Nobody is unsubscribed by this, and again does no
        harm. Raises CallRejected, ServiceError."""
        call = "leave a group"
        paths = (f"api/subscribers/{person}/groups/{group}" for person, group in members)
        body = {"requests": [{"method": "DELETE", "path": path} for path in paths]}
        response = self.http.request("POST", "/batch", call, body=body)
        answers = (response.data or {}).get("responses")
        if not isinstance(answers, list) or len(answers) != len(members):
            self._bad_write(call, "there is not one response for each request")
        return [_not_left(call, answer) for answer in answers]

    def upsert(
        self, call: str, email: str, fields: Mapping[str, Value], groups: Sequence[str]
    ) -> Written:
        """Create or update a subscriber: fields that are left out stay, groups are only added.

        Never with `status` or `resubscribe`: whether someone gets mail is not for us to change.
        A deleted person comes back by this call, without a word: that is for the caller to avoid.
        Raises Refused, CallRejected, ServiceError.
        """
        body: JsonObject = {"email": email}
        if fields:
            body["fields"] = dict(fields)
        if groups:
            body["groups"] = list(groups)
        try:
            return self._write(call, body)
        except CallRejected as error:
            raise _refusal(error, fields) from None

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
        person = person if isinstance(person, dict) else {}
        status, fields = person.get("status"), person.get("fields")
        if status not in SUBSCRIBER_STATUSES:
            self._bad_write(call, "it does not say which status the subscriber has now")
        kept = fields.items() if isinstance(fields, dict) else ()
        is_new = response.status == 201 or response.is_repeat  # a repeat finds what was made before
        return Written(str(status), is_new, {key: _text(v) for key, v in kept})

    def _bad_write(self, call: str, what: str) -> NoReturn:
        self.http.bad_answer(call, what, after_write=True)

    def _everyone(
        self, keys: Sequence[str], with_groups: bool, on_read: Callable[[int], None]
    ) -> list[Subscriber]:
        """Whoever moves to another list during the read is in one that is still to be read, so what
        was read is compared with the size of all lists together, before and after."""
        before = self.count_subscribers()
        found: list[Subscriber] = []
        names = tuple(keys)
        for status in SUBSCRIBER_STATUSES:
            for page in self._pages(status, names, with_groups):
                found += page
                on_read(len(page))
        total = min(before, self.count_subscribers())
        came = len({person.id for person in found})
        if came < total:
            self.http.list_changed("subscribers", f"it has {total:,} people, but {came:,} came")
        return found

    def _count(self, status: str) -> int:
        call = f"number of {status} subscribers"
        params = {"limit": 0, "filter[status]": status}
        total = self.http.read("GET", "/subscribers", call, params=params).get("total")
        if not isinstance(total, int):
            self.http.bad_answer(call, "total is missing")
        return total

    def _pages(
        self, status: str, keys: tuple[str, ...], with_groups: bool, path: str = "/subscribers"
    ) -> Iterator[list[Subscriber]]:
        """Up to the page without a cursor: a short page, or an empty one, is not the end."""
        call = f"{status} subscribers"
        params: dict[str, Any] = {"filter[status]": status}
        if with_groups:
            params["include"] = "groups"

        def fetch(cursor: str | None) -> tuple[list[Subscriber], str | None]:
            # `links.next` lacks the limit and the filter, so it is not used.
            data = self._page(path, call, {**params, "cursor": cursor})
            try:
                page = [_subscriber(row, keys, with_groups) for row in data["data"]]
                return page, _text_or_none(data["meta"]["next_cursor"])
            except (KeyError, TypeError, AttributeError):
                self.http.bad_answer(call, "a subscriber or meta.next_cursor is not as documented")

        return read_by_cursor(self.http, call, fetch)

    def _page(self, path: str, call: str, params: Mapping[str, Any]) -> JsonObject:
        """As large as MailerLite takes it."""
        size = self._page_size
        try:
            return self.http.read("GET", path, call, params={**params, "limit": size})
        except CallRejected as error:
            if error.status not in (400, 422) or size == SAFE_PAGE_SIZE:
                raise
        self._page_size = SAFE_PAGE_SIZE
        return self._page(path, call, params)

    def _numbered(self, path: str, id_name: str) -> dict[str, dict[str, Any]]:
        """Id -> row of a list that goes by page number, up to a page without a new row."""
        call = f"list of {path[1:]}"
        rows: dict[str, dict[str, Any]] = {}
        for number in itertools.count(1):
            params = {"limit": SAFE_PAGE_SIZE, "page": number}
            data = self.http.read("GET", path, call, params=params)
            try:
                page = {str(row[id_name]): row for row in data["data"]}
            except (KeyError, TypeError):
                self.http.bad_answer(call, f"it holds something without {id_name}")
            if rows.keys() >= page.keys():
                break
            rows.update(page)
        return rows


def _subscriber(row: Any, keys: tuple[str, ...], with_groups: bool) -> Subscriber:
    email, status, fields = row["email"], _STATUSES[row["status"]], row["fields"] or {}
    if not isinstance(email, str):
        raise TypeError("an address is text")
    groups = (str(group["id"]) for group in row["groups"]) if with_groups else ()
    values = Packed(keys, [_text(fields.get(key)) for key in keys])
    shared = _shared(frozenset(groups))
    return Subscriber(str(row["id"]), email.strip().lower(), status, values, shared)


@functools.lru_cache(maxsize=10_000)
def _shared(groups: frozenset[str]) -> frozenset[str]:
    """One set for all who are in the same groups: even an empty one takes 200 bytes."""
    return groups


def _looked_up(whom: str, row: Any, keys: tuple[str, ...], with_groups: bool) -> Subscriber | None:
    """None for someone who is shown as deleted."""
    person = _subscriber(row, keys, with_groups)
    if canonical(whom) not in (person.id, canonical(person.email)):
        raise TypeError("it is somebody else")
    return None if row.get("deleted_at") else person


def _not_left(call: str, answer: Any) -> CallRejected | None:
    """None also when the person, the membership or the group is gone."""
    answer = answer if isinstance(answer, dict) else {}
    code, body = answer.get("code"), answer.get("body")
    if isinstance(code, int) and (code < 300 or code == 404):
        return None
    detail = str(body.get("message")) if isinstance(body, dict) else "no reason is given"
    return CallRejected(f"MailerLite, {call}: {code} {detail}", code or 0, detail)


def _refusal(error: CallRejected, fields: Mapping[str, Value]) -> CallRejected:
    """The same refusal, as what it says of the person or of the values sent."""
    if error.status != 422:
        return error
    body = json_object(error.body) or {}
    errors = body["errors"] if isinstance(body.get("errors"), dict) else {}
    of_values = [name for name in errors if name.startswith(_FIELD)]
    reasons = {name[len(_FIELD) :]: _first(errors[name]) for name in of_values}
    if reasons and reasons.keys() <= set(fields) and len(reasons) == len(errors):
        return Refused(error, VALUES, reasons)
    left = _NOT_SUBSCRIBED.search(error.detail)
    return Refused(error, left[1].lower() if left else PERSON, {})


def _first(messages: Any) -> str:
    return str(messages[0]) if isinstance(messages, list) and messages else str(messages)


def _text_or_none(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError("a cursor is text")
    return value


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
