"""HubSpot's records, properties and account as small values, and how its JSON becomes these."""

from __future__ import annotations

from typing import Any, Iterable, Mapping, NamedTuple, Sequence

from core.conditions import Property
from core.values import Packed
from transport.service import JsonObject

# Object types as they stand in the address of a record's page.
CONTACTS = "0-1"
COMPANIES = "0-2"

COMPANY_PROPERTIES = (
    "name",
    "domain",
    "ecommerce_platform",
    "alexa",
    "hs_additional_domains",
    "hs_merged_object_ids",
)


ADDITIONAL = "hs_additional_emails"  # of a contact, several with ";" between them


class Company(NamedTuple):
    """A HubSpot company with its properties as HubSpot holds them; None where one is unset.

    `additional_domains`, `merged_ids`: several with `;` between them. A merge gives the company a
    new id, and the domains of the other one as additional ones.
    """

    id: int
    name: str | None
    domain: str | None
    platform: str | None
    alexa: str | None
    additional_domains: str | None = None
    merged_ids: str | None = None


class Contact(NamedTuple):
    """A HubSpot contact. `values`: the properties asked for, None where one is unset."""

    id: int
    values: Mapping[str, str | None]


class Created(NamedTuple):
    """The record that a create call leads to; `existed`: HubSpot had it before."""

    id: int
    existed: bool


class RecordList(NamedTuple):
    """A list of records, also called a segment. `object_type`: such as CONTACTS."""

    id: str
    name: str
    object_type: str
    is_processing: bool


class Account(NamedTuple):
    portal_id: int
    ui_domain: str

    def __str__(self) -> str:
        return f"account {self.portal_id} on {self.ui_domain}"

    def link(self, object_type: str, record_id: object) -> str:
        """The page of a record, for COMPANIES or CONTACTS."""
        return (
            f"https://{self.ui_domain}/contacts/{self.portal_id}/record/{object_type}/{record_id}"
        )


# Raised by the functions below for JSON of another shape than HubSpot documents.
WRONG_SHAPE = (KeyError, TypeError, AttributeError, ValueError)


def property_of(name: str, data: JsonObject) -> Property:
    options = data.get("options") or []
    return Property(
        name,
        str(data["type"]),
        str(data.get("fieldType", "")),
        {str(each["value"]): str(each.get("label") or each["value"]) for each in options},
        str(data.get("label") or name),
    )


def list_of(data: JsonObject) -> RecordList:
    found = data["list"]
    status = str(found.get("processingStatus"))
    name, object_type = str(found["name"]), str(found["objectTypeId"])
    return RecordList(str(found["listId"]), name, object_type, status == "PROCESSING")


def member_of(result: Any) -> int:
    """An id alone or an object with one: HubSpot has answered both."""
    return record_id(result["recordId"] if isinstance(result, dict) else result)


def company_of(result: Any) -> Company:
    return Company(record_id(result["id"]), *_values(result, COMPANY_PROPERTIES))


def contact_of(result: Any, names: tuple[str, ...], needed: Sequence[str] = ()) -> Contact:
    """`needed`: the names without which the answer says nothing of the contact."""
    for name in needed:
        result["properties"][name]  # raises KeyError
    return Contact(record_id(result["id"]), Packed(names, _values(result, names)))


def _values(result: Any, names: Iterable[str]) -> list[str | None]:
    values = [result["properties"].get(name) for name in names]
    if not all(value is None or isinstance(value, str) for value in values):
        raise ValueError("HubSpot writes every value as text")
    return values


def addresses(contact: Contact) -> list[str]:
    """All that a contact has which was read with the ADDITIONAL ones."""
    texts = filter(None, (contact.values["email"], contact.values[ADDITIONAL]))
    return [each.strip().lower() for text in texts for each in text.split(";")]


def record_id(value: Any) -> int:
    """HubSpot's ids are numbers written as text; raises ValueError for anything else."""
    if not isinstance(value, str) or not value.isascii() or not value.isdigit():
        raise ValueError(value)
    return int(value)


def next_cursor(data: JsonObject) -> str | None:
    """None at the end, where `paging.next` is missing."""
    following = (data.get("paging") or {}).get("next")
    if following is None:
        return None
    if not isinstance(following["after"], str) or not following["after"]:
        raise ValueError("a cursor is text")
    return str(following["after"])
