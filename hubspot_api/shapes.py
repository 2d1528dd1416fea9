"""HubSpot's records, properties, lists and account as small values, made from its JSON."""

from __future__ import annotations

from typing import Any, Callable, Mapping, NamedTuple, Sequence, TypeVar

from core.conditions import Property
from core.values import Packed

MERGED_IDS = "hs_merged_object_ids"  # of the records that became this one, with ";" between them
COMPANY_PROPERTIES = ("name", "domain", "hs_additional_domains", MERGED_IDS)
PERSON_PROPERTIES = ("email", "firstname", "lastname")
ADDITIONAL_EMAILS = "hs_additional_emails"  # of a contact, several with ";" between them

R = TypeVar("R")


class ObjectType(NamedTuple):
    """`id`: how lists and the addresses of records' pages call it."""

    id: str
    plural: str
    singular: str


CONTACTS = ObjectType("0-1", "contacts", "contact")
COMPANIES = ObjectType("0-2", "companies", "company")


class Record(NamedTuple):
    """`values`: the properties asked for, None where one is unset."""

    id: int
    values: Mapping[str, str | None]
    is_archived: bool = False


Contact = Record


class Company(NamedTuple):
    """A company with its COMPANY_PROPERTIES as HubSpot holds them; None where one is unset.

    `additional_domains`, `merged_ids`: several with `;` between them. A merge gives the company a
    new id, and the domains of the other one as additional ones. `values`: of all properties that
    were asked for.
    """

    id: int
    name: str | None
    domain: str | None
    additional_domains: str | None = None
    merged_ids: str | None = None
    values: Mapping[str, str | None] = {}


class Created(NamedTuple):
    """The record that a create call leads to; `existed`: HubSpot had it before."""

    id: int
    existed: bool


class RecordList(NamedTuple):
    """A list of records, also called a segment. `object_type`: the id of an ObjectType."""

    id: str
    name: str
    object_type: str
    is_processing: bool


class Account(NamedTuple):
    portal_id: int
    ui_domain: str

    def __str__(self) -> str:
        return f"account {self.portal_id} on {self.ui_domain}"

    def link(self, of: ObjectType, record_id: object) -> str:
        """The page of a record."""
        return f"https://{self.ui_domain}/contacts/{self.portal_id}/record/{of.id}/{record_id}"


def company(record: Record) -> Company:
    """The company that was read with its COMPANY_PROPERTIES, and maybe others."""
    name, domain, additional, merged = (record.values[each] for each in COMPANY_PROPERTIES)
    return Company(record.id, name, domain, additional, merged, record.values)


# Shapes, as `transport.service_client` describes them; those of what an answer lists take the shape
# of one entry first.


def results(shape: Callable[[Any], R], data: Any) -> list[R]:
    if not isinstance(data["results"], list):
        raise ValueError("results is not a list")
    return [shape(each) for each in data["results"]]


def page(shape: Callable[[Any], R], data: Any) -> tuple[list[R], str | None]:
    """With the cursor of the next page; None at the end, where `paging.next` is missing."""
    following = (data.get("paging") or {}).get("next")
    if following is None:
        return results(shape, data), None
    if not isinstance(following["after"], str) or not following["after"]:
        raise ValueError("the cursor to the next page is not text")
    return results(shape, data), following["after"]


def record(names: tuple[str, ...], needed: Sequence[str], result: Any) -> Record:
    """`needed`: the names without which an answer says nothing: HubSpot writes null for a property
    that is unset."""
    id, properties = id_at("id", result), result["properties"]
    values = [properties.get(name) for name in names]
    if not all(value is None or isinstance(value, str) for value in values):
        raise ValueError("the value of a property is not text")
    for name in needed:
        properties[name]
    return Record(id, Packed(names, values), result.get("archived") is True)


def account(data: Any) -> Account:
    portal_id, ui_domain = data["portalId"], data["uiDomain"]
    if not isinstance(portal_id, int) or not isinstance(ui_domain, str):
        raise TypeError
    return Account(portal_id, ui_domain)


def definition(data: Any) -> Property:
    name, options = str(data["name"]), data.get("options") or []
    return Property(
        name,
        str(data["type"]),
        str(data.get("fieldType", "")),
        {str(each["value"]): str(each.get("label") or each["value"]) for each in options},
        str(data.get("label") or name),
    )


def record_list(data: Any) -> RecordList:
    found = data["list"]
    is_processing = str(found.get("processingStatus")) == "PROCESSING"
    name, object_type = str(found["name"]), str(found["objectTypeId"])
    return RecordList(str(found["listId"]), name, object_type, is_processing)


def id_at(name: str, row: Any) -> int:
    """The id of a record, as a number or in a text: HubSpot has written both. The members of a list
    have been ids alone."""
    value = row[name] if isinstance(row, dict) else row
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or not value.isascii() or not value.isdigit():
        raise ValueError("the id of a record is not a number")
    return int(value)
