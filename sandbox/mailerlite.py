"""MailerLite: subscribers, fields and groups.

Sources: https://developers.mailerlite.com/docs/subscribers.html
https://developers.mailerlite.com/docs/fields.html
https://developers.mailerlite.com/docs/groups.html
"""

from __future__ import annotations

import base64
import itertools
import math
import re
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple

from .core import Answer, Headers, Refusal, Request, Service, Window

Subscriber = Dict[str, Any]  # id, email, status, fields {key: value}, groups [ids]

STATUSES = ("active", "unsubscribed", "unconfirmed", "bounced", "junk")
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
FIRST_ID = 31_897_397_363_737_859  # above 2**53: only exact as a string
JOINED = "2026-01-05 09:00:00"  # UTC


class MailerLite(Service):
    """One MailerLite account; every attribute may be changed while it serves (see `lock`).

    subscribers   e-mail in lower case -> id, email, status, fields, groups; given as dicts, all
                  but "email" optional
    deleted       the same, of deleted people: an upsert revives them without a word
    fields        list of {id, name, key, type}
    groups        id -> name
    double_opt_in the setting "double opt-in for API": a new subscriber is unconfirmed
    max_limit     a page holds no more than this; asking for more is a 422 with `strict_limit`
    """

    name = "mailerlite"
    prefix = "/mailerlite/api"

    def __init__(
        self,
        subscribers: Iterable[Mapping[str, Any]] = (),
        *,
        deleted: Iterable[Mapping[str, Any]] = (),
        fields: Iterable[Mapping[str, str]] = (),
        groups: Optional[Mapping[str, str]] = None,
        token: str = "made-up-token-of-the-sandbox",
        double_opt_in: bool = False,
        requests_per_minute: Optional[int] = 120,
        max_limit: int = 100,
        strict_limit: bool = False,
    ) -> None:
        super().__init__()
        self._ids = itertools.count(FIRST_ID)
        self._window = Window(60)
        self.token, self.double_opt_in = token, double_opt_in
        self.requests_per_minute = requests_per_minute
        self.max_limit, self.strict_limit = max_limit, strict_limit
        self.groups: Dict[str, str] = dict(groups or {})
        self.fields: List[Dict[str, str]] = [
            self._field(name, key, "text") for key, name in DEFAULT_FIELDS.items()
        ]
        self.fields += [self._field(f.get("name", f["key"]), f["key"], f["type"]) for f in fields]
        self.subscribers: Dict[str, Subscriber] = {}
        self.deleted: Dict[str, Subscriber] = {}
        for person in deleted:
            self.delete(self.add(**person)["email"])
        for person in subscribers:
            self.add(**person)

    def _field(self, name: str, key: str, kind: str) -> Dict[str, str]:
        return {"id": str(next(self._ids)), "name": name, "key": key, "type": kind}

    def add(self, email: str, **more: Any) -> Subscriber:
        """Put a subscriber in as if the owner of the account had."""
        email = email.strip().lower()
        with self.lock:
            self.subscribers[email] = {**self._blank(email), **more}
            return self.subscribers[email]

    def delete(self, email: str) -> None:
        """Delete a subscriber as the owner of the account would; MailerLite remembers."""
        with self.lock:
            self.deleted[email] = self.subscribers.pop(email)

    def _blank(self, email: str) -> Subscriber:
        key = str(next(self._ids))
        return {"id": key, "email": email, "status": "active", "fields": {}, "groups": []}

    def routes(self) -> List[Tuple[str, str, Callable[..., Answer]]]:
        return [
            ("GET", "/subscribers", self._list),
            ("POST", "/subscribers", self._upsert),
            ("GET", "/fields", self._list_fields),
            ("POST", "/fields", self._create_field),
            ("GET", "/groups", self._list_groups),
            ("POST", "/groups", self._create_group),
        ]

    def admit(self, request: Request) -> Headers:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            raise self.error(401, "Unauthenticated.")
        now, limit = self.clock(), self.requests_per_minute
        taken = self._window.take(limit, now)
        if limit is None:
            return ()
        left = max(0, limit - self._window.used(now))
        headers = (("X-RateLimit-Limit", str(limit)), ("X-RateLimit-Remaining", str(left)))
        if not taken:
            retry = ("Retry-After", str(math.ceil(self._window.wait(now))))
            raise Refusal(429, {"message": "Too Many Attempts."}, (*headers, retry))
        return headers

    def error(self, status: int, message: str, **more: Any) -> Refusal:
        return Refusal(status, {"message": message, **more})

    def _invalid(self, field: str, message: str, **more: Any) -> Refusal:
        return self.error(422, INVALID, errors={field: [message]}, **more)

    # Reading.

    def _list(self, request: Request) -> Answer:
        status = request.query.get("filter[status]", "active")
        if status not in STATUSES:
            raise self._invalid("filter.status", "The selected filter.status is invalid.")
        people = [each for each in self.subscribers.values() if each["status"] == status]
        if request.query.get("limit") == "0":
            return Answer(200, {"total": len(people)})
        limit, after = self._limit(request), _position(request.query.get("cursor", ""))
        people = sorted((p for p in people if int(p["id"]) > after), key=lambda p: int(p["id"]))
        with_groups = "groups" in request.query.get("include", "")
        data = [self._shown(each, with_groups) for each in people[:limit]]
        return Answer(200, {"data": data, **_links(request, people, limit)})

    def _limit(self, request: Request) -> int:
        limit = self.whole(request, "limit", 25)
        if self.strict_limit and limit > self.max_limit:
            raise self._invalid("limit", f"The limit must not be greater than {self.max_limit}.")
        return min(limit, self.max_limit)

    def _shown(self, person: Subscriber, with_groups: bool) -> Dict[str, Any]:
        """A subscriber as answered: every account field, null when empty."""
        values = {each["key"]: person["fields"].get(each["key"]) for each in self.fields}
        groups = [{"id": key, "name": self.groups.get(key, "")} for key in person["groups"]]
        shown = {name: person[name] for name in ("id", "email", "status")}
        shown.update(subscribed_at=JOINED, created_at=JOINED, updated_at=JOINED, fields=values)
        return {**shown, "groups": groups} if with_groups else shown

    # Writing.

    def _upsert(self, request: Request) -> Answer:
        body = self._checked(self.body(request))
        email = body["email"].lower()
        revived = self.deleted.pop(email, None)
        if revived is not None:
            self.subscribers[email] = {**revived, "status": "active"}
        created = email not in self.subscribers
        person = self.subscribers.get(email) or self._blank(email)
        person["status"] = self._status(person, created, body)
        self._fill(person, body)
        self.subscribers[email] = person
        payload = {"data": self._shown(person, True)}
        return Answer(201 if created else 200, payload, wrote=True)

    def _checked(self, body: Dict[str, Any]) -> Dict[str, Any]:
        if not EMAIL.fullmatch(str(body.get("email"))):
            raise self._invalid("email", "The email must be a valid email address.")
        if not isinstance(body.get("fields", {}), dict):
            raise self._invalid("fields", "The fields must be an array.")
        if body.get("status", "active") not in STATUSES:
            raise self._invalid("status", "The selected status is invalid.")
        for place, group in enumerate(body.get("groups", [])):
            if str(group) not in self.groups:
                name = f"groups.{place}"
                raise self._invalid(name, f"The selected {name} is invalid.")
        return body

    def _status(self, person: Subscriber, created: bool, body: Mapping[str, Any]) -> str:
        """The status after an upsert, or a 422: who has unsubscribed stays so."""
        wanted = body.get("status")
        if wanted == "unsubscribed":
            return "unsubscribed"
        if person["status"] == "unsubscribed":
            if wanted == "active" and body.get("resubscribe"):
                return "active"
            text = "This subscriber is unsubscribed and cannot be imported"
            raise self._invalid("email", text, subscriber=person["id"])
        return "unconfirmed" if created and self.double_opt_in else str(person["status"])

    def _fill(self, person: Subscriber, body: Mapping[str, Any]) -> None:
        """Known fields only, an empty value clears; groups are added, never removed."""
        known = {each["key"] for each in self.fields}
        given = {key: value for key, value in body.get("fields", {}).items() if key in known}
        merged = {**person["fields"], **given}
        person["fields"] = {key: v for key, v in merged.items() if v not in (None, "")}
        new = [str(group) for group in body.get("groups", [])]
        person["groups"] = list(dict.fromkeys([*person["groups"], *new]))

    # Fields and groups.

    def _list_fields(self, request: Request) -> Answer:
        return self._numbered(request, list(self.fields))

    def _create_field(self, request: Request) -> Answer:
        body = self.body(request)
        name, kind = str(body.get("name") or ""), body.get("type")
        key = re.sub("[^a-z0-9]", "_", name.lower())
        if not name or key in {each["key"] for each in self.fields}:
            raise self._invalid("name", "The name is missing or has already been taken.")
        if kind not in ("text", "number", "date"):
            raise self._invalid("type", "The selected type is invalid.")
        field = self._field(name, key, str(kind))
        self.fields.append(field)
        return Answer(201, {"data": field}, wrote=True)

    def _list_groups(self, request: Request) -> Answer:
        part = request.query.get("filter[name]", "").lower()  # full or partial name
        groups = [{"id": key, "name": name} for key, name in self.groups.items()]
        return self._numbered(request, [g for g in groups if part in g["name"].lower()])

    def _create_group(self, request: Request) -> Answer:
        name = self.body(request).get("name")
        if not name or not isinstance(name, str):
            raise self._invalid("name", "The name field is required.")
        key = str(next(self._ids))
        self.groups[key] = name
        return Answer(201, {"data": {"id": key, "name": name}}, wrote=True)

    def _numbered(self, request: Request, entries: List[Dict[str, str]]) -> Answer:
        page, limit = self.whole(request, "page", 1), self._limit(request)
        start = (page - 1) * limit
        last = max(1, math.ceil(len(entries) / limit))
        meta = {"current_page": page, "last_page": last, "per_page": limit, "total": len(entries)}
        return Answer(200, {"data": entries[start : start + limit], "links": {}, "meta": meta})


def _cursor(key: str) -> str:
    return base64.urlsafe_b64encode(f'{{"id":{key},"next":true}}'.encode()).decode()


def _position(cursor: str) -> int:
    """The id in a cursor; 0, the start, for none or a broken one."""
    try:
        text = base64.urlsafe_b64decode(cursor).decode()
    except ValueError:
        return 0
    found = re.search('"id":([0-9]+)', text)
    return int(found.group(1)) if found else 0


def _links(request: Request, people: List[Subscriber], limit: int) -> Dict[str, Any]:
    """Links and meta of a page; `links.next` has neither the limit nor the filter."""
    base = f"http://{request.headers.get('Host')}{MailerLite.prefix}/subscribers"
    cursor = _cursor(people[limit - 1]["id"]) if len(people) > limit else None
    following = f"{base}?cursor={cursor}" if cursor else None
    links = {"first": None, "last": None, "prev": None, "next": following}
    meta = {"path": base, "per_page": limit, "next_cursor": cursor, "prev_cursor": None}
    return {"links": links, "meta": meta}
