"""MailerLite: its subscribers, fields and groups, and how to write a subscriber.

The API is described at https://developers.mailerlite.com/docs/subscribers.html, /fields.html,
/groups.html and /batching.html.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Callable, Iterable, Iterator, Mapping, Sequence
from urllib.parse import quote

from core.errors import CallRejected
from core.settings import Secret, SettingsReader, parse_base_url, parse_rate
from mailerlite_api import shapes
from transport import paging, service_client
from transport.response import JsonObject, Service, excerpt, json_object

PAGE_SIZE = 1_000  # the maximum of a group's members; of all subscribers no document names it
SAFE_PAGE_SIZE = 100  # is accepted everywhere
BATCH_SIZE = 50  # requests in one; together they count as one of the account's allowance

WHERE_KEY = "an API token from MailerLite > Integrations > API"
REMEDIES = {
    401: "Check MAILERLITE_API_KEY. A token stops working when it, or the user who made it, is"
    " deleted. Create a new one in MailerLite > Integrations > API.",
    402: "Your MailerLite plan does not allow this. See MailerLite > Account settings > Plans.",
    403: "Your MailerLite plan, or the user who made the token, lacks the right to do this.",
}


def _error_details(body: JsonObject) -> Iterator[str]:
    """{"errors": {"email": ["This ..."]}}"""
    errors = body.get("errors")
    for messages in errors.values() if isinstance(errors, dict) else ():
        yield from map(str, messages if isinstance(messages, list) else ())


SERVICE = Service(
    "MailerLite",
    lambda response: REMEDIES.get(response.status, ""),
    base_url="https://connect.mailerlite.com/api",
    error_details=_error_details,
    # https://developers.mailerlite.com/docs/#rate-limits
    quota_period_s=60.0,
    headers={"Content-Type": "application/json"},  # on reads too, says the documentation
)

_LEFT = re.compile(r"\b(unsubscribed|bounced|junk)\b", re.IGNORECASE)
_NO_ROUTE = re.compile(r"\broute\b.* could not be found", re.IGNORECASE)
PERSON, VALUES, GROUPS = "person", "values", "groups"  # what was refused


def mailerlite_settings(reader: SettingsReader) -> service_client.ServiceSettings:
    key = reader.secret("MAILERLITE_API_KEY", WHERE_KEY)
    return service_client.ServiceSettings(
        reader.get("MAILERLITE_BASE_URL", SERVICE.base_url, parse_base_url),
        {"Authorization": Secret(f"Bearer {key.reveal()}")},
        reader.get("MAILERLITE_REQUESTS_PER_MINUTE", "120", parse_rate) / 60,
    )


class Refused(CallRejected):
    """MailerLite rejected a subscriber, and nothing was written.

    `kind`: VALUES or GROUPS, some of those sent, whose `reasons` stand by key or id; PERSON,
    whatever is sent of them; or the status as which the person has left MailerLite, such as
    "unsubscribed".
    """

    def __init__(self, error: CallRejected, kind: str, reasons: Mapping[str, str] = {}) -> None:
        super().__init__(str(error), error.status, error.detail, error.body)
        self.kind, self.reasons = kind, reasons


class MailerLiteClient(service_client.ServiceClient):
    service = SERVICE
    _page_size = PAGE_SIZE

    def count_subscribers(self, statuses: Sequence[str] = shapes.SUBSCRIBER_STATUSES) -> int:
        """How many there are: the cheapest call, one for each status."""
        found = 0
        for status in statuses:
            call, params = f"number of {status} subscribers", {"limit": 0, "filter[status]": status}
            found += self._read(call, service_client.total, "GET", "/subscribers", params=params)
        return found

    def subscribers(
        self,
        keys: Sequence[str],
        with_groups: bool,
        on_read: Callable[[int], None] = lambda _: None,
    ) -> list[shapes.Subscriber]:
        """The subscribers of every status, with the fields `keys`; `on_read` hears how many came.

        Someone whose status changes during the read may come twice. Raises ListChanged when fewer
        people came, again and again, than MailerLite says there are.
        """

        def read() -> list[shapes.Subscriber]:
            # Whoever moves to another list during the read is in one that is still to be read, so
            # what was read is compared with the size of all lists together, before and after.
            before = self.count_subscribers()
            found: list[shapes.Subscriber] = []
            for page in self._pages("/subscribers", keys, with_groups):
                found += page
                on_read(len(page))
            there_are = min(before, self.count_subscribers())
            came = len({person.id for person in found})
            if came < there_are:
                what = f"MailerLite counts {there_are:,} people, but returned {came:,}"
                self.http.list_changed("subscribers", what)
            return found

        return paging.retry_if_changed(read)

    def members(self, group: str) -> list[shapes.Subscriber]:
        """The subscribers of every status in a group, without their fields."""
        pages = self._pages(f"/groups/{group}/subscribers", [], with_groups=False)
        return [person for page in pages for person in page]

    def look_up(
        self, whom: Sequence[str], keys: Sequence[str], with_groups: bool
    ) -> dict[str, shapes.Subscriber | None]:
        """These people as they are now, given by id or address, in one request: BATCH_SIZE of them
        at most. None where MailerLite has no such subscriber; who is missing is somebody whose
        status it did not return."""

        def people(data: Any) -> dict[str, shapes.Subscriber | None]:
            found: dict[str, shapes.Subscriber | None] = {}
            for each, answer in zip(whom, shapes.responses(len(whom), data)):
                if answer["code"] == 200:
                    found[each] = shapes.subscriber(keys, with_groups, each, answer["body"])
                elif _is_missing(answer["code"], answer["body"]):
                    found[each] = None
                elif answer["code"] == 404:
                    raise ValueError(excerpt(answer["body"]["message"]))
            return found

        body = _batch("GET", map(_path, whom))
        return self._read("subscribers one by one", people, "POST", "/batch", body=body)

    def subscriber(self, email: str, keys: Sequence[str]) -> shapes.Subscriber | None:
        """As `look_up`, groups included; a dry run may ask this alone, since a batch can write."""
        shape = partial(shapes.subscriber, keys, True, email)
        try:
            return self._read("one subscriber", shape, "GET", _path(email))
        except CallRejected as error:
            if _is_missing(error.status, json_object(error.body)):
                return None
            raise

    def fields(self) -> dict[str, str]:
        """Key -> type (text, number or date) of every field."""
        return self._pairs("/fields", "key", "type")

    def groups(self) -> dict[str, str]:
        """Id -> name of every group."""
        return self._pairs("/groups", "id", "name")

    # Writes. Those that make something are not repeated when the answer is lost, because the second
    # call would be refused, or make a second one: the next run finds what was made.

    def create_field(self, key: str, kind: str) -> None:
        """MailerLite derives the key from the name, so the key is the name."""

        def check(data: Any) -> None:
            made = data["data"]["key"]
            if made != key:  # or else values would be sent to a key that MailerLite ignores
                raise ValueError(f"the key of the new field is {made!r}, not {key!r}")

        body = {"name": key, "type": kind}
        self._write(f"create the field {key}", check, "/fields", body=body, repeatable=False)

    def create_group(self, name: str) -> str:
        """The id of a new group."""
        call, body = f"create the group {name}", {"name": name}
        return self._write(call, shapes.new_id, "/groups", body=body, repeatable=False)

    def start_import(
        self, group: str, people: Sequence[tuple[str, Mapping[str, shapes.Value]]]
    ) -> str:
        """Import addresses, each with its fields, into a group; returns the key of the import.

        It brings deleted people back, and asks nobody to confirm: that is for the caller to avoid.
        """
        call, path = "import subscribers", f"/groups/{group}/import-subscribers"
        body = {"subscribers": [{"email": email, "fields": {**values}} for email, values in people]}
        return self._write(call, shapes.import_key, path, body=body, repeatable=False)

    def import_is_done(self, key: str) -> bool:
        call, path = "progress of an import", f"/subscribers/import/{key}"
        return self._read(call, lambda data: data["data"]["done"] is True, "GET", path)

    def leave_groups(self, members: Sequence[tuple[str, str]]) -> list[CallRejected | None]:
        """Take people out of groups, pairs of ids, in one request: BATCH_SIZE of them at most. What
        keeps each of them in, if anything does. Nobody is unsubscribed by this, and again does no
        harm."""

        def refusals(data: Any) -> list[CallRejected | None]:
            return [_refusal_to_leave(each) for each in shapes.responses(len(members), data)]

        body = _batch("DELETE", (f"{_path(person)}/groups/{group}" for person, group in members))
        return self._write("leave a group", refusals, "/batch", body=body)

    def upsert(
        self, call: str, email: str, fields: Mapping[str, shapes.Value], groups: Sequence[str]
    ) -> shapes.Written:
        """Create or update a subscriber: fields that are left out stay, groups are only added.

        Never with `status` or `resubscribe`: whether someone gets mail is not for us to change.
        A deleted person comes back by this call, without a word: that is for the caller to avoid.
        Raises Refused.
        """
        body = {"email": email, "fields": {**fields}, "groups": [*groups]}
        try:
            return self._write_subscriber(call, {name: part for name, part in body.items() if part})
        except CallRejected as error:
            raise _refusal(error, fields, groups) from None

    def unsubscribe(self, call: str, email: str) -> None:
        """Unsubscribe someone: the one call with a status, which only ever stops mail."""
        written = self._write_subscriber(call, {"email": email, "status": "unsubscribed"})
        if written.status != "unsubscribed":
            what = f"the subscriber is still {written.status}"
            self.http.bad_answer(call, what, after_write=True)

    def _write_subscriber(self, call: str, body: JsonObject) -> shapes.Written:
        response = self.http.request("POST", "/subscribers", call, body=body)
        is_new = response.status == 201 or response.is_repeat  # a repeat finds what was made before
        return self._parse(call, partial(shapes.written, is_new), response.data, after_write=True)

    def _pages(
        self, path: str, keys: Sequence[str], with_groups: bool
    ) -> Iterator[list[shapes.Subscriber]]:
        shape = partial(shapes.page, tuple(keys), with_groups)
        for status in shapes.SUBSCRIBER_STATUSES:
            params = {"filter[status]": status, **({"include": "groups"} if with_groups else {})}
            fetch = partial(self._page, f"{status} subscribers", shape, path, params)
            yield from paging.read_by_cursor(self.http, f"{status} subscribers", fetch)

    def _page(
        self,
        call: str,
        shape: service_client.Shape[shapes.Page],
        path: str,
        params: Mapping[str, str],
        cursor: str | None,
    ) -> shapes.Page:
        """As large a page as MailerLite accepts. `links.next` lacks the limit and the filter."""
        asked = {**params, "cursor": cursor, "limit": self._page_size}
        try:
            return self._read(call, shape, "GET", path, params=asked)
        except CallRejected as error:
            if error.status not in (400, 422) or self._page_size == SAFE_PAGE_SIZE:
                raise
        self._page_size = SAFE_PAGE_SIZE
        return self._page(call, shape, path, params, cursor)

    def _pairs(self, path: str, key: str, value: str) -> dict[str, str]:
        """One value by another of all rows of a list that goes by page number."""
        call = f"list of {path[1:]}"

        def page(data: Any) -> paging.Page:
            return paging.Page([(str(row[key]), str(row[value])) for row in data["data"]], None)

        def fetch(number: int) -> paging.Page:
            params = {"limit": SAFE_PAGE_SIZE, "page": number}
            return self._read(call, page, "GET", path, params=params)

        return dict(paging.read_numbered(self.http, call, fetch)[0])


def _path(whom: str) -> str:
    return f"/subscribers/{quote(whom, safe='@')}"


def _batch(method: str, paths: Iterable[str]) -> JsonObject:
    """https://developers.mailerlite.com/docs/batching.html"""
    return {"requests": [{"method": method, "path": f"api{path}"} for path in paths]}


def _is_missing(status: int, body: Any) -> bool:
    """Whether there is no such person or membership. MailerLite also answers 404 for an address of
    its API that it does not know, which says nothing of either."""
    message = str(body.get("message")) if isinstance(body, dict) else ""
    return status == 404 and not _NO_ROUTE.search(message)


def _refusal_to_leave(answer: Any) -> CallRejected | None:
    """None also when the person, the membership or the group is gone."""
    code, body = (answer.get("code"), answer.get("body")) if isinstance(answer, dict) else (None, 0)
    if isinstance(code, int) and (code < 300 or _is_missing(code, body)):
        return None
    detail = str(body.get("message")) if isinstance(body, dict) else "no reason given"
    said = f"{code or ''} {detail}".strip()
    return CallRejected(f"MailerLite, leave a group: rejected. ({said})", code or 0, detail)


def _refusal(
    error: CallRejected, fields: Mapping[str, shapes.Value], groups: Sequence[str]
) -> CallRejected:
    """The same refusal, as what it says of the person, or of the values or groups sent."""
    if error.status != 422:
        return error
    errors = (json_object(error.body) or {}).get("errors")
    errors = errors if isinstance(errors, dict) else {}
    sent = {
        VALUES: {f"fields.{key}": key for key in fields},
        GROUPS: {f"groups.{place}": group for place, group in enumerate(groups)},
    }
    for kind, names in sent.items():
        if errors and errors.keys() <= names.keys():
            reasons = {
                names[name]: str(texts[0] if texts and isinstance(texts, list) else texts)
                for name, texts in errors.items()
            }
            return Refused(error, kind, reasons)
    left = _LEFT.search(error.detail)
    return Refused(error, left[1].lower() if left else PERSON)
