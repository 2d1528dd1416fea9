"""The MailerLite client, and the contacts of the HubSpot client, against scripted answers."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, List

import pytest

import hubspot_client
import mailerlite_client
from basics.errors import BadAnswer, CallRejected, ServiceError
from basics.secret import Secret
from hubspot_client import HubSpotClient, HubSpotSettings
from mailerlite_client import (
    SUBSCRIBER_STATUSES,
    MailerLiteClient,
    MailerLiteSettings,
    Unsubscribed,
    Written,
)
from sandbox import Fault, HubSpot, MailerLite, Request, Sandbox
from tests.helpers import FakeClock

JO = "jo@mail.example"


@pytest.fixture
def sandbox(clock: FakeClock) -> Iterator[Sandbox]:
    people = [
        {
            "email": f"p{n}@mail.example",
            "status": SUBSCRIBER_STATUSES[n % 5],
            "fields": {"name": str(n)},
        }
        for n in range(30)
    ]
    contacts = [{"id": 10 + n, "email": f"p{n}@mail.example"} for n in range(10)]
    mailerlite = MailerLite(people, groups={"7": "Shops", "8": "Others"})
    with Sandbox(HubSpot(contacts=contacts), mailerlite=mailerlite, clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox: Sandbox, clock: FakeClock) -> Iterator[MailerLiteClient]:
    settings = MailerLiteSettings(
        Secret(sandbox.mailerlite.token), sandbox.settings["MAILERLITE_BASE_URL"], 120
    )
    client = MailerLiteClient(settings, clock, dry_run=False)
    yield client
    client.http.close()


@pytest.fixture
def hubspot(sandbox: Sandbox, clock: FakeClock) -> Iterator[HubSpotClient]:
    settings = HubSpotSettings(
        Secret(sandbox.hubspot.token), sandbox.settings["HUBSPOT_BASE_URL"], 5
    )
    client = HubSpotClient(settings, clock, dry_run=False)
    yield client
    client.http.close()


def edited(**more: Any) -> Callable[[Dict[str, Any]], Dict[str, Any]]:
    return lambda payload: {**payload, **more}


# Subscribers


@pytest.mark.parametrize("page_size", [1, 4, 100])
def test_the_subscribers_of_every_status(
    sandbox: Sandbox, client: MailerLiteClient, page_size: int
) -> None:
    sandbox.mailerlite.max_limit = page_size
    found = list(client.subscribers(["name", "city"], with_groups=False))
    assert {person.email: person.status for person in found} == {
        f"p{n}@mail.example": SUBSCRIBER_STATUSES[n % 5] for n in range(30)
    }
    assert len(found) == 30
    assert found[0].fields == {"name": "0", "city": None}
    assert found[0].groups == frozenset()


def test_each_page_asks_for_the_same_status_and_size(
    sandbox: Sandbox, client: MailerLiteClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailerlite_client, "PAGE_SIZE", 2)
    list(client.subscribers([], with_groups=True))
    queries = [request.query for request in sandbox.requests]
    assert {query["limit"] for query in queries} == {"2"}
    assert {query["include"] for query in queries} == {"groups"}
    asked = [query["filter[status]"] for query in queries]
    assert asked == [status for status in SUBSCRIBER_STATUSES for _ in range(3)]
    assert [("cursor" in query) for query in queries] == [False, True, True] * 5


def test_a_short_page_is_not_the_end_and_an_empty_one_is(
    sandbox: Sandbox, client: MailerLiteClient
) -> None:
    sandbox.mailerlite.max_limit = 4

    def half(payload: Dict[str, Any]) -> Dict[str, Any]:
        return {**payload, "data": payload["data"][:2]}

    sandbox.faults = [Fault("edit", path="^/subscribers$", nth=1, edit=half)]
    assert len(list(client.subscribers([], with_groups=False))) == 28
    sandbox.faults = [Fault("edit", path="^/subscribers$", nth=1, edit=edited(data=[]))]
    assert len(list(client.subscribers([], with_groups=False))) == 24


def test_values_groups_and_addresses_in_one_form(
    sandbox: Sandbox, client: MailerLiteClient
) -> None:
    sandbox.mailerlite.fields.append({"id": "1", "name": "V", "key": "value", "type": "number"})
    sandbox.mailerlite.subscribers.clear()
    person = sandbox.mailerlite.add(JO, fields={"value": 12.5}, groups=["7"])
    person["email"] = " JO@mail.example"
    (found,) = client.subscribers(["value", "name"], with_groups=True)
    assert found == (JO, "active", {"value": "12.5", "name": None}, frozenset({"7"}))


@pytest.mark.parametrize(
    "more",
    [
        {"data": None},
        {"data": ["jo"]},
        {"data": [{"status": "active", "fields": {}}]},
        {"data": [{"email": None, "status": "active", "fields": {}}]},
        {"data": [{"email": JO, "fields": {}}]},
        {"data": [{"email": JO, "status": "new", "fields": {}}]},
        {"data": [{"email": JO, "status": "active", "fields": ["name"]}]},
        {"data": [{"email": JO, "status": "active"}]},
        {"meta": {}},
        {"meta": None},
        {"meta": {"next_cursor": ["x"]}},
        {"meta": {"next_cursor": 5}},
    ],
)
def test_a_malformed_page(sandbox: Sandbox, client: MailerLiteClient, more: Any) -> None:
    sandbox.faults = [Fault("edit", path="^/subscribers$", nth=1, edit=edited(**more))]
    with pytest.raises(BadAnswer, match="unconfirmed subscribers: the answer cannot be used"):
        list(client.subscribers(["name"], with_groups=False))


def test_a_cursor_that_comes_twice(sandbox: Sandbox, client: MailerLiteClient) -> None:
    sandbox.faults = [
        Fault("edit", path="^/subscribers$", edit=edited(meta={"next_cursor": "again"}))
    ]
    with pytest.raises(BadAnswer, match="its cursor comes twice"):
        list(client.subscribers([], with_groups=False))
    assert len(sandbox.requests) == 2


def test_the_number_of_active_subscribers(sandbox: Sandbox, client: MailerLiteClient) -> None:
    assert client.count_active() == 6
    sandbox.faults = [Fault("body", body={"total": None})]
    with pytest.raises(BadAnswer, match="total is missing"):
        client.count_active()


# Fields and groups


def test_all_pages_of_fields_and_groups(
    client: MailerLiteClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailerlite_client, "PAGE_SIZE", 3)
    assert client.fields()["z_i_p"] == "text"
    assert len(client.fields()) == 8
    assert client.groups() == {"7": "Shops", "8": "Others"}


def test_a_list_that_ignores_the_page_number_ends(
    sandbox: Sandbox, client: MailerLiteClient
) -> None:
    body = {"data": [{"id": 5, "name": "Shops"}]}
    sandbox.faults = [Fault("body", path="^/groups$", body=body)]
    assert client.groups() == {"5": "Shops"}
    sandbox.faults = [Fault("body", path="^/groups$", body={"data": [{"name": "Shops"}]})]
    with pytest.raises(BadAnswer, match=r"list of groups: .* something without id"):
        client.groups()


def test_a_field_is_made_under_its_key(sandbox: Sandbox, client: MailerLiteClient) -> None:
    client.create_field("lifetime_value", "number")
    assert client.fields()["lifetime_value"] == "number"
    with pytest.raises(BadAnswer, match="the key of the new field is 'last_2', not 'Last 2'"):
        client.create_field("Last 2", "text")


def test_a_field_is_not_made_twice(sandbox: Sandbox, client: MailerLiteClient) -> None:
    sandbox.faults = [Fault("reset_after", path="^/fields$")]
    with pytest.raises(ServiceError) as error:
        client.create_field("lifetime_value", "number")
    assert error.value.answer_lost
    assert len(sandbox.requests) == 1


# Writing


def test_a_write_never_says_anything_of_a_status(
    sandbox: Sandbox, client: MailerLiteClient
) -> None:
    assert client.upsert("create", JO, {"name": "Jo"}, ["7"]) == Written("active", True)
    assert client.upsert("update", JO, {}, ["8"]) == Written("active", False)
    assert client.upsert("update", JO, {"city": "X"}, []) == Written("active", False)
    assert [request.json() for request in sandbox.writes] == [
        {"email": JO, "fields": {"name": "Jo"}, "groups": ["7"]},
        {"email": JO, "groups": ["8"]},
        {"email": JO, "fields": {"city": "X"}},
    ]
    person = sandbox.mailerlite.subscribers[JO]
    assert (person["fields"], person["groups"]) == ({"name": "Jo", "city": "X"}, ["7", "8"])


def test_who_has_unsubscribed_is_told_from_other_refusals(
    sandbox: Sandbox, client: MailerLiteClient
) -> None:
    with pytest.raises(Unsubscribed):
        client.upsert("update", "p2@mail.example", {"name": "New"}, [])
    with pytest.raises(CallRejected) as error:
        client.upsert("create", "jo@mail", {}, [])
    assert not isinstance(error.value, Unsubscribed)
    assert "422 The email must be a valid" in str(error.value)


def test_only_unsubscribing_sends_a_status(sandbox: Sandbox, client: MailerLiteClient) -> None:
    client.unsubscribe("unsubscribe", "p1@mail.example")
    assert sandbox.mailerlite.subscribers["p1@mail.example"]["status"] == "unsubscribed"
    body = {"data": {"email": "p6@mail.example", "status": "active"}}
    sandbox.faults = [Fault("body", body=body)]
    with pytest.raises(BadAnswer, match="the subscriber is active all the same"):
        client.unsubscribe("unsubscribe", "p6@mail.example")


@pytest.mark.parametrize("body", ["<html>", "[]", {}, {"data": []}, {"data": {"status": "new"}}])
def test_a_write_with_an_answer_that_says_nothing_may_have_been_carried_out(
    sandbox: Sandbox, client: MailerLiteClient, body: Any
) -> None:
    sandbox.faults = [Fault("body", path="^/subscribers$", body=body)]
    with pytest.raises(BadAnswer) as error:
        client.upsert("create", JO, {}, [])
    assert error.value.answer_lost
    assert len(sandbox.requests) == 1


# Contacts in HubSpot


@pytest.mark.parametrize("page_size", [1, 3, 10, 100])
def test_every_contact_once(
    hubspot: HubSpotClient, page_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubspot_client, "CONTACTS_PAGE_SIZE", page_size)
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
    monkeypatch.setattr(hubspot_client, "CONTACTS_PAGE_SIZE", 2)

    def change(request: Request) -> None:
        if request.query.get("after"):
            sandbox.hubspot.contacts.pop(10, None)
            sandbox.hubspot.contacts[9] = {"email": "early@mail.example"}

    sandbox.on_request = change
    ids = [contact.id for contact in hubspot.contacts(["email"])]
    assert ids == [*range(10, 20)]


def twice(payload: Dict[str, Any]) -> Dict[str, Any]:
    return {**payload, "results": payload["results"] * 2}


def test_a_contact_that_comes_twice_counts_once(sandbox: Sandbox, hubspot: HubSpotClient) -> None:
    sandbox.faults = [Fault("edit", path="/contacts$", edit=twice)]
    again: List[int] = [contact.id for contact in hubspot.contacts(["email"])]
    assert sorted(set(again)) == [*range(10, 20)]
    assert len(again) == 10


@pytest.mark.parametrize(
    "more",
    [
        {"results": None},
        {"results": [{"properties": {}}]},
        {"results": [{"id": "1_0", "properties": {}}]},
        {"results": [{"id": 10, "properties": {}}]},
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


def test_a_cursor_of_contacts_that_comes_twice(sandbox: Sandbox, hubspot: HubSpotClient) -> None:
    paging = {"next": {"after": "11"}}
    sandbox.faults = [Fault("edit", path="/contacts$", edit=edited(paging=paging))]
    with pytest.raises(BadAnswer, match="its cursor 11 comes twice"):
        list(hubspot.contacts(["email"]))
    assert len(sandbox.requests) == 2


@pytest.mark.parametrize("paging", [None, {}, {"next": None}])
def test_the_end_of_the_contacts(sandbox: Sandbox, hubspot: HubSpotClient, paging: Any) -> None:
    sandbox.faults = [Fault("edit", path="/contacts$", edit=edited(paging=paging))]
    assert len(list(hubspot.contacts(["email"]))) == 10
