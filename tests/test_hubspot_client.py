"""The HubSpot client against scripted answers."""

from __future__ import annotations

from typing import Any, Iterator

import pytest

import hubspot_client
from core.errors import BadAnswer, CallRejected, ListChanged
from hubspot_api import search
from hubspot_api.shapes import COMPANIES, CONTACTS
from hubspot_client import HubSpotClient, hubspot_settings
from sandbox import Fault, HubSpot, Request, Sandbox
from sandbox.hubspot_properties import opt_out_name
from tests.helpers import FakeClock, connected, edited


@pytest.fixture
def sandbox(clock: FakeClock) -> Iterator[Sandbox]:
    contacts = [{"id": 10 + n, "email": f"p{n}@mail.example"} for n in range(10)]
    shop = {"domain": "shop.example", "ecommerce_platform": "shopify", "alexa": "5"}
    companies = [{"id": 20 + n, **shop} for n in range(3)]
    with Sandbox(HubSpot(companies, contacts), clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
def hubspot(sandbox: Sandbox, clock: FakeClock) -> Iterator[HubSpotClient]:
    yield from connected(HubSpotClient, hubspot_settings, sandbox, clock)


@pytest.mark.parametrize(("total", "is_accepted"), [(3, True), (8, True), (9, False)])
def test_all_that_match_may_lack_a_few_that_edits_explain(
    sandbox: Sandbox, hubspot: HubSpotClient, total: int, is_accepted: bool
) -> None:
    sandbox.faults = [Fault("edit", path="/search$", edit=edited(total=total))]
    totals: list[int] = []
    found = hubspot.companies(search.EVERYTHING, [], totals.append)
    if is_accepted:
        assert sorted(company.id for company in found) == [20, 21, 22]
    else:
        with pytest.raises(ListChanged, match="HubSpot counts 9 companies, but returned 3"):
            list(found)
    assert set(totals) == {total}


def test_odd_rows_of_a_search(sandbox: Sandbox, hubspot: HubSpotClient) -> None:
    """An archived company is none; an id may be a number; one that comes twice counts once."""

    def edit(payload: dict[str, Any]) -> dict[str, Any]:
        rows = [{**row, "id": int(row["id"])} for row in payload["results"]]
        archived = [{**row, "archived": row["id"] == 20} for row in rows]
        return {**payload, "results": [*archived, *archived[-1:]]}

    sandbox.faults = [Fault("edit", path="/search$", edit=edit)]
    found = hubspot.companies(search.EVERYTHING, [], lambda _total: None)
    assert sorted(company.id for company in found) == [21, 22]


def test_what_a_search_has_to_find_lacks_nothing(sandbox: Sandbox, hubspot: HubSpotClient) -> None:
    """Nothing is removed, and nothing made, because a company did not come."""
    queries = list(search.naming(["shop.example"]))
    assert [company.id for company in hubspot.find_companies(queries)] == [20, 21, 22]
    assert len(sandbox.requests) == len(queries)
    sandbox.faults = [Fault("edit", path="/search$", edit=edited(total=4))]
    with pytest.raises(ListChanged, match="HubSpot counts 4 companies, but returned 3"):
        hubspot.find(COMPANIES, ["name"], queries)


def test_an_account_without_a_number_is_not_told(sandbox: Sandbox, hubspot: HubSpotClient) -> None:
    sandbox.faults = [Fault("edit", path="/details$", edit=edited(portalId="12345"))]
    assert hubspot.account_if_told() is None


@pytest.mark.parametrize("number", [1, 10, 250])
def test_contacts_by_id(sandbox: Sandbox, hubspot: HubSpotClient, number: int) -> None:
    found = hubspot.records(
        CONTACTS, ["email", "phone"], [*range(15, 15 + number)], needed=["email"]
    )
    assert [each.id for each in found] == [*range(15, min(20, 15 + number))]
    assert found[0].values == {"email": "p5@mail.example", "phone": None}
    assert len(sandbox.requests) == -(-number // 100)


def test_properties_of_contacts(sandbox: Sandbox, hubspot: HubSpotClient) -> None:
    found = hubspot.properties(CONTACTS)
    assert found["hs_email_bad_address"].type == "bool"
    assert found["hs_email_bad_address"].label == "hs_email_bad_address"
    sandbox.faults = [Fault("body", body={"results": [{"name": "email"}]})]
    with pytest.raises(BadAnswer, match="list of contact properties"):
        hubspot.properties(CONTACTS)


@pytest.mark.parametrize("page_size", [1, 3, 10, 100])
def test_every_contact_once(
    hubspot: HubSpotClient, page_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubspot_client, "LIST_PAGE_SIZE", page_size)
    contacts = list(hubspot.contacts(["email", "phone", "no_such_property"]))
    assert [contact.id for contact in contacts] == [*range(10, 20)]
    values = {"email": "p9@mail.example", "phone": None, "no_such_property": None}
    assert contacts[9].values == values


def test_only_the_properties_needed(sandbox: Sandbox, hubspot: HubSpotClient) -> None:
    list(hubspot.contacts(["email", "city"]))
    assert sandbox.requests[0].query == {"limit": "100", "properties": "email,city"}


def test_contacts_that_come_or_go_during_the_read(
    sandbox: Sandbox, hubspot: HubSpotClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubspot_client, "LIST_PAGE_SIZE", 2)

    def change(request: Request) -> None:
        if request.query.get("after"):
            sandbox.hubspot.contacts.pop(10, None)
            sandbox.hubspot.contacts[9] = {"email": "early@mail.example"}

    sandbox.on_request = change
    ids = [contact.id for contact in hubspot.contacts(["email"])]
    assert ids == [*range(10, 20)]


def twice(payload: dict[str, Any]) -> dict[str, Any]:
    return {**payload, "results": payload["results"] * 2}


def test_a_contact_that_comes_twice_counts_once(sandbox: Sandbox, hubspot: HubSpotClient) -> None:
    sandbox.faults = [Fault("edit", path="/contacts$", edit=twice)]
    again: list[int] = [contact.id for contact in hubspot.contacts(["email"])]
    assert sorted(set(again)) == [*range(10, 20)]
    assert len(again) == 10


@pytest.mark.parametrize(
    "more",
    [
        {"results": None},
        {"results": [{"properties": {}}]},
        {"results": [{"id": "1_0", "properties": {}}]},
        {"results": [{"id": True, "properties": {}}]},
        {"results": [{"id": "10"}]},
        {"results": [{"id": "10", "properties": {"email": 5}}]},
        {"paging": {"next": {}}},
        {"paging": {"next": {"after": ""}}},
        {"paging": {"next": {"after": 5}}},
        {"paging": "next"},
    ],
)
def test_a_malformed_page_of_contacts(sandbox: Sandbox, hubspot: HubSpotClient, more: Any) -> None:
    sandbox.faults = [Fault("edit", path="/contacts$", edit=edited(**more))]
    with pytest.raises(BadAnswer, match="HubSpot, contacts: the answer cannot be used"):
        list(hubspot.contacts(["email"]))


@pytest.mark.parametrize("paging", [None, {}, {"next": None}])
def test_the_end_of_the_contacts(sandbox: Sandbox, hubspot: HubSpotClient, paging: Any) -> None:
    sandbox.faults = [Fault("edit", path="/contacts$", edit=edited(paging=paging))]
    assert len(list(hubspot.contacts(["email"]))) == 10


@pytest.mark.parametrize(
    ("body", "is_told"), [({"category": "OBJECT_NOT_FOUND"}, True), ("<html>", False)]
)
def test_a_list_is_gone_only_where_hubspot_says_so(
    sandbox: Sandbox, hubspot: HubSpotClient, body: Any, is_told: bool
) -> None:
    sandbox.faults = [Fault("status", status=404, body=body)]
    if is_told:
        assert hubspot.list_called("Customers", CONTACTS) is None
    else:
        with pytest.raises(CallRejected, match="Check HUBSPOT_BASE_URL"):
            hubspot.list_called("Customers", CONTACTS)


@pytest.mark.parametrize("number", [3, 400])
def test_contacts_of_many_properties(sandbox: Sandbox, hubspot: HubSpotClient, number: int) -> None:
    names = [opt_out_name(1_000_000 + n) for n in range(number)]
    known = sandbox.hubspot.properties["contacts"]
    known.update(dict.fromkeys(names, known["hs_email_optout"]))
    for n in range(240):
        sandbox.hubspot.add("contacts", {"email": f"q{n}@mail.example", names[-1]: "true"})
    found = [*hubspot.contacts(["email", *names], names)]
    assert [each.id for each in found] == sorted(sandbox.hubspot.contacts)
    assert sum(each.values[names[-1]] == "true" for each in found) == 240


def test_an_address_that_is_too_long_all_the_same(
    sandbox: Sandbox, hubspot: HubSpotClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubspot_client, "MAX_LINE", 100_000)
    with pytest.raises(CallRejected, match="Name fewer properties in MAILERLITE_FIELDS"):
        [*hubspot.contacts(["email" * 2_000])]
