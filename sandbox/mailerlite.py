"""MailerLite: subscribers, fields, groups, batches and imports.

Sources: https://developers.mailerlite.com/docs/subscribers.html
https://developers.mailerlite.com/docs/fields.html
https://developers.mailerlite.com/docs/groups.html
https://developers.mailerlite.com/docs/batching.html
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import re
from bisect import bisect_left, bisect_right
from collections import Counter
from typing import Any, Callable, Mapping
from urllib.parse import parse_qs, unquote

from .core import Answer, Headers, Refusal, Request, Window
from .mailerlite_account import (
    CLOSED,
    DEFAULT_FIELDS,
    EMAIL,
    JOINED,
    NOT_AN_EMAIL,
    STATUSES,
    Account,
    Subscriber,
)
from .mailerlite_import import Import
from .mailerlite_pages import Cursor, links, numbered_links

FIELD_TYPES = ("text", "number", "date")
FORGOTTEN = "2026-02-04 09:00:00"  # 30 days after JOINED
BATCH_SIZE = 50
UNSERVED = "/(automations|campaigns|forms|segments|timezones|webhooks|subscribers/.*/activity-log)"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class MailerLite(Account):
    """The API of a MailerLite account; its records and switches are those of `Account`."""

    name = "mailerlite"
    prefix = "/mailerlite/api"

    def credentials(self) -> dict[str, str]:
        return {"MAILERLITE_API_KEY": self.token}

    def routes(self) -> list[tuple[str, str, Callable[..., Answer]]]:
        one, group, field = "/subscribers/([^/]+)", "/groups/([^/]+)", "/fields/([^/]+)"
        return [
            ("GET", "/subscribers", self._list),
            ("POST", "/subscribers", self._upsert),
            ("GET", one, self._get),
            ("PUT", one, self._update),
            ("DELETE", one, self._delete),
            ("POST", f"{one}/forget", self._forget),
            ("POST", one + group, self._join),
            ("DELETE", one + group, self._leave),
            ("GET", "/subscribers/import/([^/]+)", self._get_import),
            ("GET", "/fields", self._list_fields),
            ("POST", "/fields", self._create_field),
            ("PUT", field, self._rename_field),
            ("DELETE", field, self._delete_field),
            ("GET", "/groups", self._list_groups),
            ("POST", "/groups", self._create_group),
            ("PUT", group, self._rename_group),
            ("DELETE", group, self._delete_group),
            ("GET", f"{group}/subscribers", self._list_members),
            ("POST", f"{group}/import-subscribers", self._import),
            ("POST", "/batch", self._batch),
            *((method, ".*", self._unserved) for method in METHODS),
        ]

    def admit(self, request: Request) -> Headers:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            raise self.error(401, "Unauthenticated.")
        now, limit = self.clock(), self.requests_per_minute
        self._go_on_importing(now)
        taken = self._window.take(limit, now)
        if limit is None:
            return ()
        left = max(0, limit - self._window.used(now))
        headers = (("X-RateLimit-Limit", str(limit)), ("X-RateLimit-Remaining", str(left)))
        if not taken:
            raise _too_many(self._window, now, "Too Many Attempts.", headers)
        return headers

    def _unserved(self, request: Request) -> Answer:
        if re.match(UNSERVED, request.path):
            raise self.error(501, f"The sandbox does not serve {request.method} api{request.path}.")
        raise self.error(404, f"The route api{request.path} could not be found.")

    def _only(self, request: Request, *names: str) -> None:
        for name in sorted(set(request.query).difference(names)):
            raise self.error(400, f"The sandbox does not support the parameter {name}.")

    # Reading subscribers.

    def _list(self, request: Request) -> Answer:
        self._only(request, "filter[status]", "limit", "cursor", "include")
        status = self._wanted_status(request)
        if request.query.get("limit") == "0":
            statuses = [each["status"] for each in self.subscribers.values()]
            return Answer(200, {"total": statuses.count(status)})
        if request.query.get("include", "groups") != "groups":
            raise self._invalid("include", "The selected include is invalid.")
        limit = self._limit(request, 25, self.max_limit)
        return self._page(request, limit, lambda person: person["status"] == status)

    def _list_members(self, request: Request, group: str) -> Answer:
        self._only(request, "filter[status]", "limit", "cursor")
        self._known_group(group)
        status = self._wanted_status(request)
        limit = self._limit(request, 50, self.max_group_limit)
        return self._page(
            request, limit, lambda one: one["status"] == status and group in one["groups"]
        )

    def _wanted_status(self, request: Request) -> str:
        status = request.query.get("filter[status]", "active")
        if status not in STATUSES:
            raise self._invalid("filter.status", "The selected filter.status is invalid.")
        return status

    def _limit(self, request: Request, default: int, most: int) -> int:
        limit = self.whole(request, "limit", min(default, most))
        if self.strict_limit and limit > most:
            raise self._invalid("limit", f"The limit must not be greater than {most}.")
        return min(limit, most)

    def _page(self, request: Request, limit: int, wanted: Callable[[Subscriber], bool]) -> Answer:
        """Newest first; walks from the cursor, so that a whole list costs one walk."""
        cursor, order = Cursor.read(request.query.get("cursor", "")), self._order
        if cursor.onward:
            places = range(bisect_left(order, cursor.at) - 1, -1, -1)
        else:
            places = range(bisect_right(order, cursor.at), len(order))
        everyone = (self._numbered_person(order[place]) for place in places)
        found = (person for person in everyone if person and wanted(person))
        people = list(itertools.islice(found, limit + 1))
        more, people = len(people) > limit, people[:limit][:: 1 if cursor.onward else -1]
        with_groups = "include" in request.query
        data = [self._listed(each, with_groups) for each in people]
        ids = [int(each["id"]) for each in people]
        return Answer(200, {"data": data, **links(_url(request), ids, limit, cursor, more)})

    def _get(self, _: Request, key: str) -> Answer:
        """By id or by address."""
        person = self.subscribers.get(self._key(unquote(key)))
        return Answer(200, {"data": self._shown(person or self._known_person(key))})

    # Writing subscribers.

    def _upsert(self, request: Request) -> Answer:
        body = self._checked(self.body(request))
        if not EMAIL.fullmatch(str(body.get("email"))):
            raise self._invalid("email", NOT_AN_EMAIL)
        email = self._key(body["email"])
        created = email not in self.subscribers and email not in self.deleted
        person = self._put(email, body, self.double_opt_in)
        return Answer(201 if created else 200, {"data": self._shown(person)}, wrote=True)

    def _update(self, request: Request, key: str) -> Answer:
        """Unlike an upsert, this replaces the groups."""
        person, body = self._known_person(key), self._checked(self.body(request))
        status, values = person["status"], self._kept(body)
        if "status" in body:
            status = self._status(person, person["email"], body, False)
        groups = body["groups"] if "groups" in body else person["groups"]
        self._change(person, status, values, [str(group) for group in groups], body)
        return Answer(200, {"data": self._shown(person)}, wrote=True)

    def _delete(self, _: Request, key: str) -> Answer:
        self.delete(self._keys[int(self._known_person(key)["id"])])
        return Answer(204, b"", wrote=True)

    def _forget(self, _: Request, key: str) -> Answer:
        """Deleted now; the 30 days until nothing can be revived do not pass in the sandbox."""
        person = self._known_person(key)
        self.delete(self._keys[int(person["id"])])
        shown = {**self._shown(person), "deleted_at": JOINED, "forget_at": FORGOTTEN}
        message = "Subscriber data will be completely deleted and forgotten within 30 days."
        return Answer(200, {"data": shown, "message": message}, wrote=True)

    # Groups.

    def _join(self, _: Request, key: str, group: str) -> Answer:
        person = self._known_person(key)
        self._known_group(group)
        if person["status"] in CLOSED and not self.join_unsubscribed:
            raise self._invalid("subscriber", f"This subscriber is {person['status']}.")
        person["groups"] = list(dict.fromkeys([*person["groups"], group]))
        return Answer(200, {"data": self._shown_group(group)}, wrote=True)

    def _leave(self, _: Request, key: str, group: str) -> Answer:
        person = self._known_person(key)
        if group not in person["groups"]:
            raise self._missing("Group\\Group", group)
        person["groups"] = [each for each in person["groups"] if each != group]
        return Answer(204, b"", wrote=True)

    def _list_groups(self, request: Request) -> Answer:
        part = request.query.get("filter[name]", "").lower()  # full or partial name
        people = self.subscribers.values()
        count = Counter((group, each["status"]) for each in people for group in each["groups"])
        found = [key for key, name in self.groups.items() if part in name.lower()]
        rows = [self._shown_group(key, count) for key in found]
        return self._numbered(request, rows, ("name", "created_at"), "filter[name]")

    def _group_name(self, request: Request) -> str:
        name = self.body(request).get("name")
        if not name or not isinstance(name, str) or len(name) > 255:
            raise self._invalid("name", "The name field is required, of at most 255 characters.")
        return str(name)

    def _create_group(self, request: Request) -> Answer:
        name, key = self._group_name(request), str(next(self._ids))
        self.groups[key] = name
        return Answer(201, {"data": self._shown_group(key)}, wrote=True)

    def _rename_group(self, request: Request, key: str) -> Answer:
        self._known_group(key)
        self.groups[key] = self._group_name(request)
        return Answer(200, {"data": self._shown_group(key)}, wrote=True)

    def _delete_group(self, _: Request, key: str) -> Answer:
        self._known_group(key)
        del self.groups[key]
        for person in self.subscribers.values():
            person["groups"] = [each for each in person["groups"] if each != key]
        return Answer(204, b"", wrote=True)

    # Fields.

    def _list_fields(self, request: Request) -> Answer:
        part = request.query.get("filter[keyword]", "").lower()
        kind = request.query.get("filter[type]")
        found = [f for f in self.fields if part in f["name"].lower() and kind in (None, f["type"])]
        rows = [_shown_field(each) for each in found]
        return self._numbered(request, rows, ("name", "type"), "filter[keyword]", "filter[type]")

    def _create_field(self, request: Request) -> Answer:
        body = self.body(request)
        name, kind = str(body.get("name") or ""), body.get("type")
        key = re.sub("[^a-z0-9]", "_", name.lower())
        if not name or key in {each["key"] for each in self.fields}:
            raise self._invalid("name", "The name is missing or has already been taken.")
        if kind not in FIELD_TYPES:
            raise self._invalid("type", "The selected type is invalid.")
        field = self._field(name, key, str(kind))
        self.fields.append(field)
        return Answer(201, {"data": _shown_field(field)}, wrote=True)

    def _rename_field(self, request: Request, key: str) -> Answer:
        field = self._known_field(key)
        field["name"] = self._group_name(request)
        return Answer(200, {"data": _shown_field(field)}, wrote=True)

    def _delete_field(self, _: Request, key: str) -> Answer:
        self.fields.remove(self._known_field(key))
        return Answer(204, b"", wrote=True)

    def _numbered(
        self, request: Request, rows: list[dict[str, Any]], sorts: tuple[str, ...], *filters: str
    ) -> Answer:
        """A page of a list that goes by page number."""
        self._only(request, "page", "limit", "sort", *filters)
        page, limit = self.whole(request, "page", 1), self._limit(request, 100, self.max_limit)
        order = request.query.get("sort", "")
        if order and order.lstrip("-") not in sorts:
            raise self._invalid("sort", f"The sandbox does not sort by {order}.")
        if order:
            rows = sorted(rows, key=lambda row: str(row[order.lstrip("-")]))
            rows = rows[:: -1 if order.startswith("-") else 1]
        data = rows[(page - 1) * limit : page * limit]
        return Answer(200, {"data": data, **numbered_links(_url(request), page, limit, len(rows))})

    # Many at once.

    def _batch(self, request: Request) -> Answer:
        """One request of the allowance; some may fail."""
        calls = self.body(request).get("requests")
        if not isinstance(calls, list) or not 1 <= len(calls) <= BATCH_SIZE:
            raise self._invalid("requests", f"Between 1 and {BATCH_SIZE} requests are needed.")
        parts = [self._part(request, place, call) for place, call in enumerate(calls)]
        if {(part.method, part.path) for part in parts} == {("POST", "/subscribers")}:
            self._count_import()
        answers = [self._answer_part(part) for part in parts]
        good = [answer for answer in answers if answer.status < 400]
        payload = {"total": len(answers), "successful": len(good)}
        payload["failed"] = len(answers) - len(good)
        rows = [{"code": each.status, "body": each.payload or None} for each in answers]
        wrote = any(answer.wrote for answer in answers)
        return Answer(200, {**payload, "responses": rows}, wrote=wrote)

    def _part(self, request: Request, place: int, call: Any) -> Request:
        call = call if isinstance(call, dict) else {}
        method, path = str(call.get("method")).upper(), str(call.get("path"))
        if method not in METHODS:
            raise self._invalid(f"requests.{place}.method", "The selected method is invalid.")
        if not path.startswith("api/") or path.startswith("api/batch"):
            raise self._invalid(f"requests.{place}.path", "The path must start with api/.")
        path, _, text = path[len("api") :].partition("?")
        query = {name: ",".join(values) for name, values in parse_qs(text).items()}
        body = json.dumps(call.get("body")).encode()
        return dataclasses.replace(request, method=method, path=path, query=query, body=body)

    def _answer_part(self, part: Request) -> Answer:
        try:
            return self._route(part)
        except Refusal as refusal:
            return refusal.answer

    def _count_import(self) -> None:
        now = self.clock()
        if not self._import_window.take(self.imports_per_minute, now):
            message = "You're being rate limited on import creation."
            raise _too_many(self._import_window, now, message)

    def _import(self, request: Request, group: str) -> Answer:
        self._known_group(group)
        rows = self.body(request).get("subscribers")
        if not isinstance(rows, list) or not rows:
            raise self._invalid("subscribers", "The subscribers field is required.")
        self._count_import()
        key = str(next(self._ids))
        self._imports[key] = Import(key, group, rows, self.clock())
        url = _url(request, f"/subscribers/import/{key}")
        return Answer(200, {"import_progress_url": url}, wrote=True)

    def _get_import(self, _: Request, key: str) -> Answer:
        if key not in self._imports:
            raise self._missing("Import", key)
        return Answer(200, {"data": self._imports[key].report()})

    def _go_on_importing(self, now: float) -> None:
        for each in self._imports.values():
            for row in each.due(now, self.import_s):
                row = row if isinstance(row, dict) else {}
                each.note(self._import_row(each, row), str(row.get("email")))

    def _import_row(self, job: Import, row: dict[str, Any]) -> str:
        """Carry out one row of an import; its outcome."""
        if not EMAIL.fullmatch(str(row.get("email"))):
            return "invalid"
        email = self._key(row["email"])
        if email in job.emails:
            return "duplicate"
        job.emails.add(email)
        before = dict(self.subscribers.get(email, {}))
        if email in self.import_loses or (email in self.deleted and not self.import_revives):
            return "errored"
        try:
            body = self._checked({"fields": row.get("fields", {}), "groups": [job.group]})
            person = self._put(email, body, self.import_double_opt_in)
        except Refusal:
            return "unsubscribed" if before.get("status") == "unsubscribed" else "errored"
        if not before:
            return "imported"
        return "unchanged" if before["fields"] == person["fields"] else "changed"


def _shown_field(field: Mapping[str, str]) -> dict[str, Any]:
    is_default = field["key"] in DEFAULT_FIELDS
    return {**field, "is_default": is_default, "used_in_automations": False}


def _too_many(window: Window, now: float, message: str, headers: Headers = ()) -> Refusal:
    retry = ("Retry-After", str(math.ceil(window.wait(now))))
    return Refusal(429, {"message": message}, (*headers, retry))


def _url(request: Request, path: str | None = None) -> str:
    return f"http://{request.headers.get('Host')}{MailerLite.prefix}{path or request.path}"
