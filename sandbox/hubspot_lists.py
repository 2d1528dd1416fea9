"""HubSpot's lists, also called segments: by name, by id, and who is in them.

Source: https://developers.hubspot.com/docs/guides/api/crm/lists/overview
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from .core import Answer, Request, Route
from .hubspot_account import CREATED, TYPE_IDS, Account

MAX_PAGE, DEFAULT_PAGE = 250, 100


@dataclass
class RecordList:
    """A list of "companies" or "contacts"; `members` are ids.

    `processing_status` is "PROCESSING" while HubSpot still fills it; `processing_type` is "MANUAL",
    "SNAPSHOT" or "DYNAMIC".
    """

    name: str
    kind: str
    members: set[int] = field(default_factory=set)
    processing_type: str = "MANUAL"
    processing_status: str = "COMPLETE"


class Lists(Account):
    members_as_ids = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.lists: dict[int, RecordList] = {}

    def routes(self) -> list[Route]:
        return [
            *super().routes(),
            ("GET", "/crm/v3/lists/object-type-id/{type}/name/{name}", self._list_by_name),
            ("GET", "/crm/v3/lists/{id}", self._list_by_id),
            ("GET", "/crm/v3/lists/{id}/memberships", self._memberships),
        ]

    def add_list(self, name: str, kind: str, *members: int, **more: str) -> int:
        """The new list's id; `more` as in RecordList."""
        key = next(key for key in itertools.count(1) if key not in self.lists)
        self.lists[key] = RecordList(name, kind, set(members), **more)
        return key

    def merge(self, kind: str, winner: int, loser: int) -> int:
        with self.lock:
            key = super().merge(kind, winner, loser)
            for each in self.lists.values():
                if each.kind == kind and not each.members.isdisjoint((winner, loser)):
                    each.members.add(key)
            return key

    def _list_by_name(self, _: Request, type_id: str, name: str) -> Answer:
        self.need("crm.lists.read")
        for key, each in self.lists.items():
            if TYPE_IDS[each.kind] == type_id and each.name.lower() == name.lower():
                return self._fetched(key)
        raise self.error(404, f"List does not exist with name {name} and object type {type_id}.")

    def _list_by_id(self, _: Request, text: str) -> Answer:
        self.need("crm.lists.read")
        return self._fetched(self._list_id(text))

    def _list_id(self, text: str) -> int:
        if not text.isdecimal() or int(text) not in self.lists:
            raise self.error(404, f"List does not exist with ID {text}.")
        return int(text)

    def _fetched(self, key: int) -> Answer:
        found = self.lists[key]
        shown = {
            "listId": str(key),
            "listVersion": 1,
            "name": found.name,
            "objectTypeId": TYPE_IDS[found.kind],
            "processingType": found.processing_type,
            "processingStatus": found.processing_status,
            "size": len(self._members(found)),
            "createdAt": CREATED,
        }
        return Answer(200, {"list": shown})

    def _members(self, found: RecordList) -> list[int]:
        return sorted(found.members.intersection(self.table(found.kind)))

    def _memberships(self, request: Request, text: str) -> Answer:
        self.need("crm.lists.read")
        members = self._members(self.lists[self._list_id(text)])
        limit = self.whole(request, "limit", DEFAULT_PAGE)
        after = self.whole(request, "after", 0, 0)
        if limit > MAX_PAGE:
            raise self.error(400, f"The limit {limit} exceeds the maximum of {MAX_PAGE}.")
        rest = [key for key in members if key > after]
        rows: list[Any] = [str(key) for key in rest[:limit]]
        if not self.members_as_ids:
            rows = [{"recordId": row, "membershipTimestamp": CREATED} for row in rows]
        body: dict[str, Any] = {"results": rows, "total": len(members)}
        if len(rest) > limit:
            body["paging"] = {"next": {"after": str(rest[limit - 1])}}
        return Answer(200, body)
