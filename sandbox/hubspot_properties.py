"""The properties of HubSpot's companies and contacts, and what fits into them.

Source: https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide
"""

from __future__ import annotations

import re
from typing import Any, Dict, Iterable

from .search import Definition

Definitions = Dict[str, Dict[str, Definition]]

FIELD_TYPES = {
    "string": "text",
    "number": "number",
    "date": "date",
    "datetime": "date",
    "enumeration": "select",
    "bool": "booleancheckbox",
}
PROPERTIES = {
    "companies": {
        "hs_object_id": "number",
        "createdate": "datetime",
        "hs_lastmodifieddate": "datetime",
        "hs_merged_object_ids": "string",
        "name": "string",
        "domain": "string",
        "hs_additional_domains": "string",
        "website": "string",
        "phone": "string",
        "ecommerce_platform": "enumeration",
        "alexa": "number",
    },
    "contacts": {
        "hs_object_id": "number",
        "createdate": "datetime",
        "lastmodifieddate": "datetime",
        "hs_merged_object_ids": "string",
        "associatedcompanyid": "number",
        "email": "string",
        "hs_additional_emails": "string",
        "firstname": "string",
        "lastname": "string",
        "company": "string",
        "phone": "string",
        "city": "string",
        "state": "string",
        "zip": "string",
        "country": "string",
        "lifetime_value": "number",
        "last_order": "date",
        "hs_email_optout": "bool",
        "hs_email_bad_address": "bool",
        "hs_email_quarantined": "bool",
        "hs_email_hard_bounce_reason_enum": "enumeration",
        "hs_emailconfirmationstatus": "enumeration",
        "hs_legal_basis": "enumeration",
    },
}
OPTIONS = {
    "ecommerce_platform": ("shopify", "magento_2", "woocommerce", "shopware"),
    "hs_email_hard_bounce_reason_enum": ("OTHER", "UNKNOWN_USER", "MAILBOX_FULL", "SPAM"),
    "hs_emailconfirmationstatus": ("Confirmation Pending", "Confirmation Email Sent", "Confirmed"),
    "hs_legal_basis": ("Freely given consent from contact", "Not applicable"),
}
LABELS = {"ecommerce_platform": "E-commerce platform", "alexa": "Alexa rank"}
FIELDS = {"hs_legal_basis": "checkbox"}  # where it is not the usual one of the type
UNIQUE = ("hs_object_id", "email")
READ_ONLY = {
    "hs_object_id",
    "createdate",
    "lastmodifieddate",
    "hs_lastmodifieddate",
    "hs_merged_object_ids",
    "hs_email_optout",
    "hs_emailconfirmationstatus",
}
SEARCHED = {  # by `query`
    "companies": ("name", "domain", "website", "phone"),
    "contacts": ("firstname", "lastname", "email", "phone", "company", "hs_additional_emails"),
}


def definition(kind: str, field: str | None = None, options: Iterable[str] = ()) -> Definition:
    """A property as the properties endpoint describes it (`described` adds the rest)."""
    labels = {
        value: value.replace("_", " ").title().replace("commerce", "Commerce") for value in options
    }
    choices = [{"label": label, "value": value} for value, label in labels.items()]
    return {"type": kind, "fieldType": field or FIELD_TYPES[kind], "options": choices}


def opt_out_name(subscription: int) -> str:
    """The contact property that says who wants no mail of this kind."""
    return f"hs_email_optout_{subscription}"


def opt_out(subscription: str) -> Definition:
    return {**definition("bool"), "label": f"Opted out of email: {subscription}"}


def default_definitions() -> Definitions:
    return {
        kind: {
            name: definition(of, FIELDS.get(name), OPTIONS.get(name, ()))
            for name, of in names.items()
        }
        for kind, names in PROPERTIES.items()
    }


def described(kind: str, name: str, known: Definition) -> dict[str, Any]:
    """All that HubSpot's schema requires of a property."""
    defaults = {
        "name": name,
        "label": LABELS.get(name, name),
        "description": "",
        "groupName": "companyinformation" if kind == "companies" else "contactinformation",
        "archived": False,
        "hidden": False,
        "hasUniqueValue": is_unique(name, known),
        "hubspotDefined": name in PROPERTIES[kind],
    }
    shown = [
        {"hidden": False, "displayOrder": place, **option}
        for place, option in enumerate(known.get("options", ()))
    ]
    return {**defaults, **known, "options": shown}


def is_unique(name: str, known: Definition) -> bool:
    """Whether `idProperty` may name it; other properties say so with "hasUniqueValue"."""
    return name in UNIQUE or bool(known.get("hasUniqueValue"))


def flaw(name: str, value: str, known: Definition | None) -> tuple[str, str] | None:
    """HubSpot's code and message for a value that it does not accept."""
    if known is None:
        return "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist'
    if name in READ_ONLY:
        return "READ_ONLY_VALUE", f'"{name}" is a read only property; its value cannot be set.'
    options = [option["value"] for option in known.get("options", ())]
    given = value.split(";") if known["fieldType"] == "checkbox" else [value]
    if known["type"] == "enumeration" and value and not set(given) <= set(options):
        return "INVALID_OPTION", f"{value} was not one of the allowed options: {options}"
    if known["type"] == "number" and not re.fullmatch(r"(-?\d+(\.\d+)?)?", value):
        return "INVALID_NUMBER", f"{value} was not a valid number."
    if name == "email" and not re.fullmatch(r"\s*[^@\s]+@[^@\s]+\.[^@\s]+\s*", value):
        return "INVALID_EMAIL", f"Email address {value} is invalid"
    return None
