"""Values of the contact's primary company in fields of MailerLite."""

from __future__ import annotations

from typing import Any

import pytest

import hubspot_client
from sandbox import Fault, Sandbox
from tests.helpers import FakeClock
from tests.people import AL, BO, JO, Row, contact, fields, make, run, run_first, subscriber

MAPPING = {
    "MAILERLITE_FIELDS": "firstname:name, company.ecommerce_platform:platform,"
    " company.alexa:rank, company.domain:website"
}
SHOP = {"ecommerce_platform": "magento_2", "alexa": "12.0", "domain": "shop.example"}
FIELDS = [
    {"key": "platform", "type": "text"},
    {"key": "rank", "type": "number"},
    {"key": "website", "type": "text"},
]


def shops(clock: FakeClock, *contacts: Row, people: list[Row], **more: Any) -> Sandbox:
    return make(contacts, people, clock, {"companies": [{"id": 7, **SHOP}]}, **more)


@pytest.mark.parametrize("in_list", [False, True])
def test_values_of_the_primary_company(
    clock: FakeClock, in_list: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubspot_client, "BATCH_SIZE", 1)
    there = [subscriber(AL, "New", platform="Wix"), subscriber(BO, "New", website="old.example")]
    contacts = [contact(JO), contact(AL), contact(BO)]
    with shops(clock, *contacts, people=there, fields=FIELDS) as sandbox:
        sandbox.hubspot.companies[8] = {"domain": "other.example"}
        for person, company in ((101, 8), (101, 7), (102, 7)):
            sandbox.hubspot.link(person, company, 1)
        sandbox.hubspot.add_list("All", "contacts", 101, 102, 103)
        flags = ["--list", "All"] if in_list else []
        outcome = run_first(clock, sandbox, *flags, **MAPPING)
        of_shop = {"platform": "Magento 2", "rank": 12, "website": "shop.example"}
        assert fields(sandbox, JO) == {"name": "New", **of_shop}
        assert fields(sandbox, AL) == {"name": "New", **of_shop}
        assert fields(sandbox, BO) == {"name": "New", "website": "old.example"}
        again = run(clock, sandbox, *flags, **MAPPING)
        sandbox.hubspot.edit("companies", 7, domain="new.example")
        assert run(clock, sandbox, *flags, **MAPPING).report["counts"]["update"] == 2
        assert fields(sandbox, AL)["website"] == "new.example"
    assert (outcome.code, again.report["outcome"]) == (0, "in_sync")


@pytest.mark.parametrize("how", ["archive", "merge", "odd"])
def test_a_company_that_is_gone_leaves_the_field_alone(clock: FakeClock, how: str) -> None:
    person = contact(JO, associatedcompanyid="x" if how == "odd" else "7")
    with shops(clock, person, people=[subscriber(JO, website="old.example")]) as sandbox:
        if how == "merge":
            sandbox.hubspot.companies[8] = {"domain": "other.example"}
            sandbox.hubspot.merge("companies", 8, 7)
        elif how == "archive":
            sandbox.hubspot.archive("companies", 7)
        outcome = run_first(clock, sandbox, "--create-fields", **MAPPING)
        assert fields(sandbox, JO) == {"name": "New", "website": "old.example"}
    assert outcome.code == 0


def test_create_fields_knows_the_types(clock: FakeClock) -> None:
    with shops(clock, contact(JO), people=[]) as sandbox:
        assert run(clock, sandbox, "--create-fields", **MAPPING).code == 0
        types = {field["key"]: field["type"] for field in sandbox.mailerlite.fields[8:]}
    assert types == {"platform": "text", "rank": "number", "website": "text"}


def test_a_company_property_that_is_not_there(clock: FakeClock) -> None:
    with shops(clock, contact(JO), people=[]) as sandbox:
        mapping = {"MAILERLITE_FIELDS": "company.size:size"}
        outcome = run(clock, sandbox, **mapping)
        checked = run(clock, sandbox, "--check", **MAPPING)
    assert outcome.code == 2
    assert "HubSpot has no company property size. Fix MAILERLITE_FIELDS" in outcome.err
    assert "OK   HubSpot's companies can be read" in checked.out


@pytest.mark.parametrize("scope", ["crm.schemas.companies.read", "crm.objects.companies.read"])
def test_a_missing_scope_is_named(clock: FakeClock, scope: str) -> None:
    with shops(clock, contact(JO), people=[], fields=FIELDS) as sandbox:
        sandbox.hubspot.scopes.remove(scope)
        plain = run(clock, sandbox, "--dry-run")
        outcome = run(clock, sandbox, **MAPPING)
        checked = run(clock, sandbox, "--check", **MAPPING)
        assert sandbox.writes == []
    assert outcome.code != 0
    assert f"Add the scope {scope}" in outcome.err
    assert checked.out.count("FIX ") == 1
    assert "\n1 thing to fix.\n" in checked.out
    assert plain.code == 0


def test_an_odd_answer_ends_the_run(clock: FakeClock) -> None:
    answer: dict[str, Any] = {"results": [{"id": "x", "properties": {}}]}
    with shops(clock, contact(JO), people=[], fields=FIELDS) as sandbox:
        sandbox.faults = [Fault("body", path="/companies/batch/read$", body=answer)]
        outcome = run(clock, sandbox, **MAPPING)
        assert sandbox.writes == []
    assert outcome.code == 1
    assert "companies by id: the answer cannot be used" in outcome.err
