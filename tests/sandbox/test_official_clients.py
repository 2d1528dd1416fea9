"""The vendors' own clients work with the sandbox: their schemas find nothing missing in it."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox import HubSpot
from sandbox.hubspot import definition
from tests.sandbox import sandbox_client
from tests.sandbox.sandbox_client import Client, Serve

pytestmark = pytest.mark.filterwarnings("error")
clock, serve = sandbox_client.clock, sandbox_client.serve

KEY = {**definition("string"), "hasUniqueValue": True}
COMPANIES = [
    {"id": 7, "name": "Sample Shop", "domain": "shop.example", "key": "a"},
    {"id": 8, "name": "Other", "domain": "other.example", "key": "b", "createdate": "2026-03-01"},
]
CONTACTS = [
    {"id": 1, "email": "ann@mail.example", "firstname": "Ann", "lastname": "Lee"},
    {"id": 2, "email": "ben@mail.example"},
]


@pytest.fixture
def hubspot() -> HubSpot:
    records = [dict(each) for each in COMPANIES], [dict(each) for each in CONTACTS]
    types = {71: "Marketing Information"}
    return HubSpot(*records, properties={"companies": {"key": KEY}}, subscriptions=types)


@pytest.fixture
def crm(serve: Serve, hubspot: HubSpot) -> Any:
    """HubSpot's client, pointed at the sandbox; it misses what its schema requires of an answer."""
    official = pytest.importorskip("hubspot")
    served: Client = serve(hubspot=hubspot)
    url = served.sandbox.settings["HUBSPOT_BASE_URL"]
    strict = {"client_side_validation": True}
    return official.HubSpot(access_token=hubspot.token, host=url, base_url=url, **strict)


def ids(answer: Any) -> list[str]:
    return [each.id for each in answer.results]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"sorts": ["-createdate"]}, ["8", "7"]),
        ({"query": "shop", "limit": 1}, ["7"]),
        ({"filter": ("domain", "CONTAINS_TOKEN", "shop.example")}, ["7"]),
    ],
)
def test_search(crm: Any, query: dict[str, Any], found: list[str]) -> None:
    models = pytest.importorskip("hubspot.crm.companies")
    asked = {"properties": ["name"], **query}
    if "filter" in asked:
        name, operator, value = asked.pop("filter")
        wanted = models.Filter(property_name=name, operator=operator, value=value)
        asked["filter_groups"] = [models.FilterGroup(filters=[wanted])]
    request = models.PublicObjectSearchRequest(**asked)
    answer = crm.crm.companies.search_api.do_search(request)
    assert (ids(answer), answer.total) == (found, len(found))


def test_records_are_read(crm: Any, hubspot: HubSpot) -> None:
    contacts = crm.crm.contacts.basic_api
    by_id = contacts.get_by_id("1", properties=["email", "phone"])
    assert (by_id.properties["email"], by_id.properties["phone"]) == ("ann@mail.example", None)
    by_email = contacts.get_by_id("Ben@Mail.Example", id_property="email")
    assert by_email.id == "2"
    assert crm.crm.companies.basic_api.get_by_id("b", id_property="key").id == "8"
    assert crm.crm.objects.basic_api.get_by_id("0-2", "8", properties=["name"]).id == "8"
    assert [each.id for each in crm.crm.contacts.get_all()] == ["1", "2"]
    hubspot.archive("contacts", 2)
    archived = contacts.get_page(archived=True).results[0]
    assert (archived.id, archived.archived, archived.archived_at.year) == ("2", True, 2026)


def test_what_is_not_there_is_the_clients_own_error(crm: Any) -> None:
    failure = pytest.importorskip("hubspot.crm.companies.exceptions").ApiException
    with pytest.raises(failure) as missing:
        crm.crm.companies.basic_api.get_by_id("99")
    assert missing.value.status == 404
    with pytest.raises(failure) as unserved:
        crm.crm.companies.basic_api.archive("7")
    assert "DELETE /crm/v3/objects/companies/7" in unserved.value.body


@pytest.mark.parametrize(
    ("by", "asked", "found"),
    [(None, ["8", "7"], ["7", "8"]), (None, ["8", "9", "10"], ["8"]), ("key", ["b", "c"], ["8"])],
)
def test_batch_read(crm: Any, by: Any, asked: list[str], found: list[str]) -> None:
    models = pytest.importorskip("hubspot.crm.companies")
    request = models.BatchReadInputSimplePublicObjectId(
        id_property=by,
        inputs=[models.SimplePublicObjectId(id=each) for each in asked],
        properties=["name"],
        properties_with_history=[],
    )
    answer = crm.crm.companies.batch_api.read(request)
    assert (ids(answer), answer.status) == (found, "COMPLETE")
    assert answer.started_at <= answer.completed_at
    missing = sorted(set(asked) - {"7", "8", "a", "b"})
    if missing:
        assert answer.errors[0].context == {"ids": missing}


def test_records_are_created_and_updated(crm: Any, hubspot: HubSpot) -> None:
    models = pytest.importorskip("hubspot.crm.contacts")
    kind = models.AssociationSpec(association_category="HUBSPOT_DEFINED", association_type_id=279)
    link = models.PublicAssociationsForObject(to=models.PublicObjectId(id="7"), types=[kind])
    new = models.SimplePublicObjectInputForCreate(
        properties={"email": "Cay@Mail.Example"}, associations=[link]
    )
    made = crm.crm.contacts.basic_api.create(new)
    assert hubspot.contacts[int(made.id)] == {"email": "cay@mail.example"}
    assert hubspot.associations == {int(made.id): {7: [279, 1]}}
    change = models.SimplePublicObjectInput(properties={"firstname": "Cay"})
    again = models.SimplePublicObjectInput(properties={"email": "CAY@mail.example"})
    assert crm.crm.contacts.basic_api.update(made.id, again).id == made.id
    updated = crm.crm.contacts.basic_api.update("cay@mail.example", change, id_property="email")
    assert (updated.id, updated.properties["firstname"]) == (made.id, "Cay")
    assert hubspot.contacts[int(made.id)]["firstname"] == "Cay"


def test_a_company_is_created_with_its_contacts(crm: Any, hubspot: HubSpot) -> None:
    links = [{"to": {"id": 2}, "types": [{"associationTypeId": 280}]}]
    body = {"properties": {"name": "New"}, "associations": links}
    made = crm.crm.companies.basic_api.create(body)
    assert hubspot.associations == {2: {int(made.id): [279, 1]}}


def test_associations_from_either_side(crm: Any, hubspot: HubSpot) -> None:
    hubspot.labels = {21: "Decision maker"}
    api = crm.crm.associations.v4.basic_api
    made = api.create_default("contact", "1", "company", "7")
    assert {each.association_spec.association_type_id for each in made.results} == {279, 1}
    back = api.create_default("0-2", "8", "CONTACTS", "1")
    assert {each.association_spec.association_type_id for each in back.results} == {280}
    label = [{"associationCategory": "USER_DEFINED", "associationTypeId": 21}]
    assert api.create("contacts", "1", "companies", "8", label).labels == ["Decision maker"]
    assert hubspot.associations == {1: {7: [279, 1], 8: [279, 21]}}
    there = api.get_page("contacts", "1", "companies").results
    assert types(there) == {"7": {279: None, 1: "Primary"}, "8": {279: None, 21: "Decision maker"}}
    back = api.get_page("0-2", "8", "0-1").results
    assert types(back) == {"1": {280: None, 22: "Decision maker"}}
    primary = api.get_page("company", "7", "contact").results
    assert types(primary) == {"1": {280: None, 2: "Contact with Primary Company"}}
    first = api.get_page("contacts", "1", "companies", limit=1)
    assert list(types(first.results)) == ["7"]
    rest = api.get_page("contacts", "1", "companies", limit=1, after=first.paging.next.after)
    assert (list(types(rest.results)), rest.paging) == (["8"], None)
    known = crm.crm.associations.v4.schema.definitions_api.get_all("companies", "contacts")
    assert [each.type_id for each in known.results] == [280, 2, 22]


def types(rows: list[Any]) -> dict[str, dict[int, Any]]:
    return {
        str(row.to_object_id): {each.type_id: each.label for each in row.association_types}
        for row in rows
    }


def test_associations_of_many(crm: Any, hubspot: HubSpot) -> None:
    hubspot.link(1, 7)
    hubspot.link(2, 7)
    api = crm.crm.associations.v4.batch_api
    answer = api.get_page("companies", "contacts", {"inputs": [{"id": "7"}, {"id": "8"}]})
    found = {row._from.id: [to.to_object_id for to in row.to] for row in answer.results}
    assert found == {"7": ["1", "2"]}


def test_a_list_names_each_type_of_an_association(crm: Any, hubspot: HubSpot) -> None:
    hubspot.link(1, 7)
    hubspot.link(1, 8)
    ann, ben = crm.crm.contacts.basic_api.get_page(associations=["companies"]).results
    assert [(each.id, each.type) for each in ann.associations["companies"].results] == [
        ("7", "contact_to_company"),
        ("7", "contact_to_company_unlabeled"),
        ("8", "contact_to_company_unlabeled"),
    ]
    assert ben.associations is None
    shop = crm.crm.companies.basic_api.get_by_id("7", associations=["contacts"])
    kinds = {each.type for each in shop.associations["contacts"].results}
    assert kinds == {"company_to_contact", "company_to_contact_unlabeled"}
    hubspot.associations_limit = 1
    ann = crm.crm.contacts.basic_api.get_by_id("1", associations=["company"])
    assert {each.id for each in ann.associations["companies"].results} == {"7"}
    after = ann.associations["companies"].paging.next.after
    path = f"/crm/v3/objects/contacts/1/associations/companies?after={after}"
    rest = crm.api_request({"path": path}).json()["results"]
    assert rest == [{"id": "8", "type": "contact_to_company_unlabeled"}]


def test_properties_and_account(crm: Any) -> None:
    listed = crm.crm.properties.core_api.get_all("companies").results
    platform = next(each for each in listed if each.name == "ecommerce_platform")
    assert platform == crm.crm.properties.core_api.get_by_name("0-2", "ecommerce_platform")
    assert {option.value for option in platform.options} > {"shopify", "magento_2"}
    assert crm.crm.properties.core_api.get_all("companies", archived=True).results == []
    account = crm.api_request({"path": "/account-info/v3/details"}).json()
    required = {"accountType", "additionalCurrencies", "companyCurrency", "dataHostingLocation"}
    required |= {"portalId", "timeZone", "uiDomain", "utcOffset", "utcOffsetMilliseconds"}
    assert required <= set(account)


def test_lists(crm: Any, hubspot: HubSpot) -> None:
    key = hubspot.add_list("Shops", "companies", 8, 7)
    assert crm.crm.lists.lists_api.get_by_name("shops", "0-2").list.list_id == str(key)
    assert crm.crm.lists.lists_api.get_by_id(str(key)).list.name == "Shops"
    first = crm.crm.lists.memberships_api.get_page(str(key), limit=1)
    assert [each.record_id for each in first.results] == ["7"]
    rest = crm.crm.lists.memberships_api.get_page(str(key), after=first.paging.next.after)
    assert [each.record_id for each in rest.results] == ["8"]


def test_consent(crm: Any, hubspot: HubSpot) -> None:
    api, email = crm.communication_preferences.status_api, "ann@mail.example"
    kinds = crm.communication_preferences.definition_api.get_page().subscription_definitions
    assert [each.name for each in kinds] == ["Marketing Information"]
    body = {"emailAddress": email, "subscriptionId": "71"}
    assert api.subscribe(body).status == "SUBSCRIBED"
    assert api.unsubscribe(body).status == "NOT_SUBSCRIBED"
    statuses = api.get_email_status(email).subscription_statuses
    assert [each.status for each in statuses] == ["NOT_SUBSCRIBED"]
    assert hubspot.contacts[1]["hs_email_optout_71"] == "true"
