"""The sandbox's HubSpot keeps HubSpot's rules."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from sandbox import HubSpot
from sandbox.hubspot import definition
from tests.sandbox import sandbox_client
from tests.sandbox.sandbox_client import Client, Serve

pytestmark = pytest.mark.filterwarnings("error")
clock, serve = sandbox_client.clock, sandbox_client.serve

SHOPS = [
    {"id": 9, "name": "A", "ecommerce_platform": "shopify", "alexa": "999999"},
    {"id": 10, "name": "B", "ecommerce_platform": "magento_2", "alexa": "1000000"},
    {"id": 11, "name": "C", "ecommerce_platform": "magento_2", "alexa": None},
    {"id": 100, "name": "D", "ecommerce_platform": "shopify;magento_2", "alexa": "20"},
    {"id": 101, "name": "E Shop", "alexa": "1e2", "domain": "WWW.E.Test"},
]

LINKS = "/crm/v4/objects/contact/1/associations"
CONSENT = "/communication-preferences"
KINDS_OF_MAIL = {71: "Marketing Information", 72: "One to One"}


def shops(**options: Any) -> HubSpot:
    return HubSpot([dict(shop) for shop in SHOPS], searches_per_second=None, **options)


def numbered(count: int, **options: Any) -> HubSpot:
    companies = [{"id": n, "name": f"Shop {n}"} for n in range(1, count + 1)]
    return HubSpot(companies, searches_per_second=None, **options)


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (("alexa", "LT", "1000000"), [9, 100, 101]),
        (("alexa", "LTE", "1000000"), [9, 10, 100, 101]),
        (("alexa", "GT", "20"), [9, 10, 101]),
        (("alexa", "GTE", "20"), [9, 10, 100, 101]),
        (("alexa", "EQ", "100.0"), [101]),
        (("alexa", "NEQ", "20"), [9, 10, 101]),
        (("alexa", "BETWEEN", "20", "100"), [100, 101]),
        (("alexa", "IN", ["20", "100"]), [100, 101]),
        (("alexa", "HAS_PROPERTY"), [9, 10, 100, 101]),
        (("alexa", "NOT_HAS_PROPERTY"), [11]),
        (("ecommerce_platform", "IN", ["shopify"]), [9]),
        (("ecommerce_platform", "IN", ["Shopify"]), []),
        (("ecommerce_platform", "NOT_IN", ["shopify"]), [10, 11, 100]),
        (("ecommerce_platform", "EQ", "magento_2"), [10, 11]),
        (("name", "IN", ["a", "b"]), [9, 10]),
        (("name", "IN", ["A"]), []),
        (("name", "EQ", "a"), [9]),
        (("name", "CONTAINS_TOKEN", "sh*"), [101]),
        (("domain", "CONTAINS_TOKEN", "www.e.test"), [101]),
        (("name", "NOT_CONTAINS_TOKEN", "shop"), [9, 10, 11, 100]),
        (("domain", "NOT_CONTAINS_TOKEN", "test"), []),
        (("hs_object_id", "GT", "10"), [11, 100, 101]),
        (("hs_object_id", "GTE", "10"), [10, 11, 100, 101]),
        (("hs_object_id", "LT", "100"), [9, 10, 11]),
        (("hs_object_id", "LTE", "100"), [9, 10, 11, 100]),
        (("hs_object_id", "EQ", "100"), [100]),
        (("hs_object_id", "BETWEEN", "10", "100"), [10, 11, 100]),
        (("hs_object_id", "IN", ["9", "101"]), [9, 101]),
    ],
)
def test_a_filter_finds_what_hubspot_would_find(serve: Serve, wanted: Any, ids: list[int]) -> None:
    assert serve(hubspot=shops()).found(wanted) == ids


@pytest.mark.parametrize(("matches", "ids"), [(True, [9, 100]), (False, [9])])
def test_in_on_a_multi_select_is_switchable(serve: Serve, matches: bool, ids: list[int]) -> None:
    several = {"ecommerce_platform": definition("enumeration", "checkbox")}
    hubspot = shops(multi_select_in_matches=matches, properties={"companies": several})
    client = serve(hubspot=hubspot)
    assert client.found(("ecommerce_platform", "IN", ["shopify"])) == ids
    hubspot.multi_select_in_matches = not matches
    assert client.found(("ecommerce_platform", "IN", ["shopify"])) != ids


TEXT = {"companies": {"alexa": definition("string")}}
ORDERS = [{"id": 1, "last_order": "2026-02-01"}, {"id": 2, "last_order": "2026-01-01"}]


@pytest.mark.parametrize(
    ("hubspot", "kind", "wanted", "ids"),
    [
        (shops(properties=TEXT), "companies", ("alexa", "LT", "1000000"), []),
        (shops(properties=TEXT), "companies", ("alexa", "LT", "2"), [10, 101]),
        (HubSpot(contacts=ORDERS), "contacts", ("last_order", "GT", "1769000000000"), [1]),
        (HubSpot(contacts=ORDERS), "contacts", ("createdate", "LT", "2026-01-06"), [1, 2]),
        (HubSpot([{"id": 1, "alexa": "many"}]), "companies", ("alexa", "LT", "1000000"), []),
        (HubSpot([{"id": 1, "odd": "Yes"}, {"id": 2}]), "companies", ("odd", "EQ", "yes"), [1]),
    ],
)
def test_a_value_compares_by_the_type_of_its_property(
    serve: Serve, hubspot: HubSpot, kind: str, wanted: Any, ids: list[int]
) -> None:
    """Text unless it is told; what does not fit the type matches nothing."""
    assert serve(hubspot=hubspot).found(wanted, kind=kind) == ids


def test_groups_are_alternatives(serve: Serve) -> None:
    groups = [[("name", "EQ", "a")], [("alexa", "EQ", "20")]]
    body = [
        {"filters": [{"propertyName": p, "operator": o, "value": v} for p, o, v in group]}
        for group in groups
    ]
    assert serve(hubspot=shops()).found(filterGroups=body) == [9, 100]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("shop.com", [1, 2, 3, 4]),
        ("SHOP.COM", [1, 2, 3, 4]),
        ("shop", [1, 2, 3, 4, 5, 6]),
        ("shop*", [1, 2, 3, 4, 5, 6, 7]),
        ("*@shop.com", [1, 2, 3, 4]),
        ("info@shop.com", [3]),
        ("shop.com.de", [1]),
        ("hop.com", []),
        ("com.shop", [2]),
        ("*shop.com", [1, 2, 3, 4, 8]),
        ("[shop", [1, 2, 3, 4, 5, 6]),
        ("-", []),
    ],
)
def test_a_token_is_letters_and_digits(serve: Serve, pattern: str, found: list[int]) -> None:
    values = ["https://shop.com/de", "a.de; shop.com, shop.de", "info@shop.com", "my-shop.com"]
    values += ["shop.company", "shop", "shops.com", "myshop.com", "unrelated"]
    companies = [{"id": n, "hs_additional_domains": text} for n, text in enumerate(values, 1)]
    client = serve(hubspot=HubSpot(companies))
    assert client.found(("hs_additional_domains", "CONTAINS_TOKEN", pattern)) == found


def test_in_can_be_limited_to_a_number_of_values(serve: Serve) -> None:
    client = serve(hubspot=shops())
    wanted = ("alexa", "IN", [str(number) for number in range(101)])
    assert client.found(wanted) == [100, 101]
    client.sandbox.hubspot.max_in_values = 100
    assert client.search(wanted).status_code == 400
    assert client.search(("alexa", "IN", ["1"] * 100)).status_code == 200


@pytest.mark.parametrize(
    ("sort", "ids"),
    [
        ("alexa", [100, 101, 9, 10, 11]),
        ("-alexa", [10, 9, 101, 100, 11]),
        ({"propertyName": "alexa"}, [100, 101, 9, 10, 11]),
        ('{"propertyName": "alexa", "direction": "DESCENDING"}', [10, 9, 101, 100, 11]),
        ({"propertyName": "hs_object_id", "direction": "DESCENDING"}, [101, 100, 11, 10, 9]),
    ],
)
def test_a_sort_has_several_forms(serve: Serve, sort: Any, ids: list[int]) -> None:
    assert serve(hubspot=shops()).found(sorts=[sort]) == ids


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"limit": 201}, "exceeds the maximum: 200"),
        ({"limit": 200, "after": "9801"}, "10000"),
        ({"filterGroups": [{"filters": []}] * 6}, "filter groups"),
        ({"filterGroups": [{"filters": ["x"] * 7}]}, "more than 6"),
        ({"filterGroups": [{"filters": ["x"] * 5}] * 4}, "18"),
        ({"sorts": [{"propertyName": "name"}] * 2}, "one sort"),
        ({"sorts": [{"propertyName": "nonsense"}]}, "nonsense"),
        ({"query": "x" * 3000}, "3000"),
        ({"nonsense": "shop"}, "nonsense"),
        ({"sorts": ["-nonsense"]}, "nonsense"),
        ({"sorts": [{"propertyName": "name", "direction": "UP"}]}, "UP"),
        ({"sorts": ["{"]}, "JSON"),
        ({"sorts": [7]}, "sorts is malformed"),
        ({"sorts": "name"}, "sorts is malformed"),
        ({"properties": "name"}, "properties is malformed"),
        ({"filterGroups": ["x"]}, "filterGroups is malformed"),
        ({"filterGroups": [{"filters": ["x"]}]}, "must be an object"),
        ({"padding": "x" * 3000}, "3000"),
        ({"limit": "many"}, "whole number"),
    ],
)
def test_a_search_that_breaks_a_limit_is_a_400(serve: Serve, body: Any, words: str) -> None:
    answer = serve(hubspot=shops()).search(**body)
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")
    assert words in answer.json()["message"]


@pytest.mark.parametrize(
    "wanted",
    [
        *(("nonsense", "EQ", "1"), ("name", "LIKE", "1"), ("alexa", "LT", 1000000)),
        *(("alexa", "LT", "many"), ("alexa", "LT"), ("alexa", "BETWEEN", "1")),
        *(("ecommerce_platform", "IN", "shopify"), ("hs_object_id", "GT", "x")),
    ],
)
def test_a_malformed_filter_is_a_400(serve: Serve, wanted: Any) -> None:
    assert serve(hubspot=shops()).search(wanted).status_code == 400


def test_limits_that_are_just_kept(serve: Serve) -> None:
    client = serve(hubspot=numbered(10_001))
    answer = client.search(limit=200, after="9800").json()
    assert (answer["total"], len(answer["results"])) == (10_001, 200)
    assert answer["paging"] == {"next": {"after": "10000"}}
    assert len(client.search().json()["results"]) == 10
    sized = '{"limit": 1}'.ljust(3000)
    answered = client.hubspot("POST", "/crm/v3/objects/companies/search", data=sized)
    assert answered.status_code == 200
    named = {"propertyName": "name", "operator": "HAS_PROPERTY"}
    groups = [{"filters": [named] * size} for size in (6, 6, 4, 1, 1)]
    assert client.search(filterGroups=groups).json()["total"] == 10_001


def test_the_last_page_names_no_next_one(serve: Serve) -> None:
    client = serve(hubspot=numbered(10))
    assert "paging" not in client.search().json()
    assert client.search(limit=9).json()["paging"] == {"next": {"after": "9"}}
    listed = client.hubspot("GET", "/crm/v3/objects/companies").json()
    assert (len(listed["results"]), "paging" in listed) == (10, False)
    client.sandbox.hubspot.companies[11] = {}
    listed = client.hubspot("GET", "/crm/v3/objects/companies").json()
    assert (len(listed["results"]), listed["paging"]["next"]["after"]) == (10, "11")
    assert client.hubspot("GET", "/crm/v3/objects/companies?limit=101").status_code == 400


def test_a_stale_index_matches_old_values_and_answers_live_ones(serve: Serve) -> None:
    client = serve(hubspot=shops())
    hubspot = client.sandbox.hubspot
    hubspot.companies[9]["alexa"] = "5000000"
    hubspot.stale[9] = {"alexa": "7"}
    hubspot.stale[100] = None
    rows = client.search(("alexa", "LT", "1000000"), properties=["alexa"]).json()["results"]
    assert [(row["id"], row["properties"]["alexa"]) for row in rows] == [
        ("9", "5000000"),
        ("101", "1e2"),
    ]
    hubspot.stale.clear()
    assert client.found(("alexa", "LT", "1000000")) == [100, 101]


def test_an_edit_in_place_is_found_at_once(serve: Serve) -> None:
    client = serve(hubspot=shops())
    assert client.found(("alexa", "LT", "50")) == [100]
    companies = client.sandbox.hubspot.companies
    snapshot = copy.deepcopy(companies)
    assert (type(snapshot), type(snapshot[9])) == (dict, dict)
    companies[200] = {"alexa": "1"}
    assert client.found(("alexa", "LT", "50")) == [100, 200]
    companies.setdefault(200, {})
    companies.setdefault(300, {"alexa": "3"})
    assert client.found(("alexa", "LT", "50")) == [100, 200, 300]
    del companies[300]
    companies[200].update(alexa="60")
    companies[100].pop("alexa")
    assert client.found(("alexa", "LT", "50")) == []
    del companies[9]
    client.sandbox.hubspot.companies = {5: {"alexa": "2"}}
    assert client.found(("alexa", "LT", "50")) == [5]


def test_five_searches_a_second_are_shared_with_other_apps(serve: Serve) -> None:
    client = serve(hubspot=HubSpot())
    client.sandbox.hubspot.use_allowance(3)
    statuses = [client.search().status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    answer = client.search()
    assert answer.json()["message"] == "You have reached your secondly limit."
    assert answer.json()["category"] == "RATE_LIMITS"
    assert "Retry-After" not in answer.headers
    client.clock.now += 0.99
    assert client.search().status_code == 429
    client.clock.now += 0.01
    assert [client.search().status_code for _ in range(6)] == [200] * 5 + [429]


def test_other_calls_have_a_limit_for_ten_seconds_and_one_for_the_day(serve: Serve) -> None:
    client = serve(hubspot=HubSpot(requests_per_ten_seconds=1, requests_per_day=3))
    path = "/account-info/v3/details"
    assert client.hubspot("GET", path).status_code == 200
    assert client.hubspot("GET", path).json()["policyName"] == "TEN_SECONDLY_ROLLING"
    client.clock.now += 10
    assert client.hubspot("GET", path).status_code == 200
    daily = client.hubspot("GET", path).json()
    assert daily["policyName"] == "DAILY"
    assert daily["message"] == "You have reached your daily limit."
    client.clock.now += 86_400
    assert client.hubspot("GET", path).status_code == 200


def test_the_account_names_itself_to_who_has_the_token(serve: Serve) -> None:
    client, path = serve(hubspot=HubSpot(portal_id=77)), "/account-info/v3/details"
    account = client.hubspot("GET", path).json()
    assert (account["portalId"], account["uiDomain"]) == (77, "app.hubspot.com")
    answer = client.hubspot("GET", path, headers={"Authorization": "Bearer x"})
    assert (answer.status_code, answer.json()["category"]) == (401, "INVALID_AUTHENTICATION")
    assert answer.json()["correlationId"]
    assert answer.headers["Content-Type"] == "application/json;charset=utf-8"


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/crm/v3/objects/companies/search", "crm.objects.companies.read"),
        ("GET", "/crm/v3/properties/companies/alexa", "crm.schemas.companies.read"),
        ("GET", "/crm/v3/objects/contacts", "crm.objects.contacts.read"),
        ("POST", "/crm/v3/objects/contacts/batch/read", "crm.objects.contacts.read"),
        ("POST", "/crm/v3/objects/contacts", "crm.objects.contacts.write"),
        ("POST", "/crm/v3/objects/companies", "crm.objects.companies.write"),
        ("PUT", f"{LINKS}/default/company/2", "crm.objects.contacts.write"),
        ("GET", f"{LINKS}/company", "crm.objects.contacts.read"),
        ("GET", "/crm/v4/objects/0-2/1/associations/0-1", "crm.objects.companies.read"),
        ("PATCH", "/crm/v3/objects/companies/1", "crm.objects.companies.write"),
        ("GET", "/crm/v3/properties/contacts", "crm.schemas.contacts.read"),
        ("GET", "/crm/v3/lists/object-type-id/0-1/name/x", "crm.lists.read"),
        ("GET", "/crm/v3/lists/1/memberships", "crm.lists.read"),
    ],
)
def test_a_missing_scope_is_named(serve: Serve, method: str, path: str, scope: str) -> None:
    client = serve()
    client.sandbox.hubspot.scopes.discard(scope)
    answer = client.hubspot(method, path, json={})
    assert (answer.status_code, answer.json()["category"]) == (403, "MISSING_SCOPES")
    assert answer.json()["errors"][0]["context"]["requiredGranularScopes"] == [scope]


CONTACTS = "POST /crm/v3/objects/contacts"
MALFORMED = {
    f"{CONTACTS}/search": ["[", '{"filterGroups": {}, "sorts": 7}'],
    f"{CONTACTS}/batch/read": ['{"inputs": ["1"]}', '{"inputs": [{}], "idProperty": ["x"]}'],
    CONTACTS: [
        *('{"properties": []}', '{"properties": {}, "surplus": 1}'),
        *(
            f'{{"properties": {{}}, "associations": [{each}]}}'
            for each in ('"2"', '{"to": 2}', '{"to": 2, "types": []}')
        ),
    ],
    "PATCH /crm/v3/objects/contacts/1": ['{"properties": {"nonsense": "1"}}'],
    f"PUT {LINKS}/company/2": ["", '[{"associationTypeId": 280}]'],
    "POST /crm/v4/associations/contact/company/batch/read": ['{"inputs": "1"}'],
    f"POST {CONSENT}/v3/unsubscribe": ['{"emailAddress": 1}'],
    f"POST {CONSENT}/v4/statuses/a@x.test": ['{"channel": "SMS"}'],
}


@pytest.mark.parametrize(
    ("call", "body"), [(call, body) for call, bodies in MALFORMED.items() for body in bodies]
)
def test_a_malformed_body_is_a_400(serve: Serve, call: str, body: str) -> None:
    client = serve(hubspot=HubSpot([{"id": 2}], [{"id": 1}], subscriptions=KINDS_OF_MAIL))
    answer = client.hubspot(*call.split(), data=body)
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")
    assert client.sandbox.writes == []


@pytest.mark.parametrize(
    ("method", "path", "word"),
    [
        ("GET", "/crm/v3/properties/contacts/groups", "groups of properties"),
        ("POST", "/crm/v3/objects/companies/search", "associations.contact"),
        ("DELETE", "/crm/v3/objects/contacts/1", "DELETE /crm/v3/objects/contacts/1"),
        ("GET", "/crm/v3/objects/deals", "/crm/v3/objects/deals"),
        ("GET", "/crm/v3/objects/contacts?propertiesWithHistory=email", "propertiesWithHistory"),
        ("GET", "/crm/v3/objects/contacts/1?associations=deals", "deals"),
        ("GET", "/crm/v4/objects/contacts/1/associations/contacts", "contacts with contacts"),
    ],
)
def test_what_is_not_served_says_so(serve: Serve, method: str, path: str, word: str) -> None:
    filters = [{"propertyName": "associations.contact", "operator": "EQ", "value": "1"}]
    client = serve(hubspot=HubSpot(contacts=[{"id": 1}]))
    answer = client.hubspot(method, path, json={"filters": filters})
    assert (answer.status_code, answer.json()["category"]) == (501, "NOT_IMPLEMENTED")
    assert word in answer.json()["message"]


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "v4/statuses/a@x.test?channel=EMAIL", "read"),
        ("POST", "v4/statuses/a@x.test", "write"),
        ("POST", "v3/unsubscribe", "write"),
    ],
)
def test_either_scope_of_consent_will_do(serve: Serve, method: str, path: str, scope: str) -> None:
    client = serve()
    client.sandbox.hubspot.scopes.discard(f"communication_preferences.{scope}")
    answer = client.hubspot(method, f"/communication-preferences/{path}", json={})
    assert answer.json()["errors"][0]["context"]["requiredGranularScopes"] == [
        f"communication_preferences.{scope}",
        "communication_preferences.read_write",
    ]
    client.sandbox.hubspot.scopes.add("communication_preferences.read_write")
    assert client.hubspot(method, f"/communication-preferences/{path}").status_code != 403


def create(serve_client: Any, kind: str, **properties: str) -> Any:
    return serve_client.hubspot("POST", f"/crm/v3/objects/{kind}", json={"properties": properties})


def test_a_contact_is_created_once_for_an_address(serve: Serve) -> None:
    client = serve(hubspot=HubSpot(contacts=[{"id": 7, "email": " Old@Mail.Example"}]))
    made = create(client, "contacts", email="New@Mail.Example", firstname="Test")
    assert made.status_code == 201
    assert made.json()["properties"]["email"] == "new@mail.example"
    assert int(made.json()["id"]) in client.sandbox.hubspot.contacts
    taken = create(client, "contacts", email="old@mail.example")
    assert taken.status_code == 409
    assert taken.json()["message"] == "Contact already exists. Existing ID: 7"
    client.sandbox.hubspot.conflict_as_400 = True
    raced = create(client, "contacts", email="old@mail.example")
    assert raced.status_code == 400
    assert raced.json()["message"].endswith(" 7 already has that value.")
    assert [write.path for write in client.sandbox.writes] == ["/crm/v3/objects/contacts"]


def test_a_company_can_be_created_twice(serve: Serve) -> None:
    client = serve()
    ids = {create(client, "companies", domain="twice.example").json()["id"] for _ in range(2)}
    assert {str(key) for key in client.sandbox.hubspot.companies} == ids
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"nonsense": "1"}, "PROPERTY_DOESNT_EXIST"),
        ({"email": "nobody"}, "INVALID_EMAIL"),
        ({"lifetime_value": "much"}, "INVALID_NUMBER"),
        ({"hs_email_hard_bounce_reason_enum": "no"}, "INVALID_OPTION"),
    ],
)
def test_a_value_that_does_not_fit_is_a_400(serve: Serve, properties: Any, code: str) -> None:
    client = serve()
    answer = create(client, "contacts", **properties)
    assert answer.status_code == 400
    assert code in answer.json()["message"]
    assert not client.sandbox.hubspot.contacts


def test_an_edit_and_a_new_record_are_found_when_the_index_has_caught_up(serve: Serve) -> None:
    client = serve(hubspot=shops(index_lag_s=20))
    hubspot = client.sandbox.hubspot
    hubspot.edit("companies", 9, alexa="5")
    client.clock.now += 19.5
    hubspot.edit("companies", 9, alexa="6")
    client.clock.now += 19.5
    row = client.search(("alexa", "EQ", "999999"), properties=["alexa"]).json()["results"][0]
    assert (row["id"], row["properties"]["alexa"]) == ("9", "6")
    client.clock.now += 0.5
    assert client.found(("alexa", "EQ", "6")) == [9]
    assert client.found(("alexa", "EQ", "999999")) == []
    create(client, "companies", name="New")
    client.clock.now += 19.9
    assert client.found(("name", "EQ", "new")) == []
    client.clock.now += 0.1
    assert len(client.found(("name", "EQ", "new"))) == 1


def read(client: Client, kind: str, *ids: str, **more: Any) -> Any:
    body = {"inputs": [{"id": key} for key in ids], **more}
    return client.hubspot("POST", f"/crm/v3/objects/{kind}/batch/read", json=body)


def test_a_merge_makes_a_new_company(serve: Serve) -> None:
    won = {"id": 2, "domain": "won.test", "name": "Won", "hs_additional_domains": "more.test"}
    lost = {"id": 3, "domain": "lost.test", "alexa": "7"}
    lost["hs_additional_domains"] = "won.test;x.test"
    hubspot = HubSpot([won, lost, {"id": 4, "domain": "third.test"}], [{"id": 1}, {"id": 5}])
    client = serve(hubspot=hubspot)
    hubspot.link(1, 4)
    hubspot.link(1, 2)
    hubspot.link(5, 3)
    new = hubspot.merge("companies", 2, 3)
    assert hubspot.companies[new] == {
        "domain": "won.test",
        "name": "Won",
        "alexa": "7",
        "hs_additional_domains": "more.test; lost.test; x.test",
        "hs_merged_object_ids": "2;3",
    }
    assert hubspot.associations == {1: {4: [279, 1], new: [279]}, 5: {new: [279, 1]}}
    assert client.found(("hs_additional_domains", "CONTAINS_TOKEN", "lost.test")) == [new]
    answer = read(client, "companies", "2", "3", "4")
    assert answer.status_code == 207
    assert [row["id"] for row in answer.json()["results"]] == ["4"]
    assert answer.json()["errors"][0]["context"] == {"ids": ["2", "3"]}
    hubspot.resolve_merged_ids = True
    newest = hubspot.merge("companies", 4, new)
    assert [row["id"] for row in read(client, "companies", "2").json()["results"]] == [str(newest)]
    assert client.hubspot("GET", "/crm/v3/objects/companies/3").json()["id"] == str(newest)
    assert hubspot.companies[newest]["hs_merged_object_ids"] == f"2;3;4;{new}"
    assert hubspot.associations == {1: {newest: [279, 1]}, 5: {newest: [279, 1]}}


def test_an_archived_record_is_gone_with_its_associations() -> None:
    hubspot = HubSpot([{"id": 2}, {"id": 3}], [{"id": 1}])
    hubspot.link(1, 2)
    hubspot.link(1, 3)
    hubspot.archive("companies", 2)
    assert hubspot.associations == {1: {3: [279]}}
    hubspot.archive("contacts", 1)
    assert hubspot.associations == {}


def test_a_merge_makes_a_new_contact(serve: Serve) -> None:
    contacts = [{"id": 1, "email": "a@x.test"}, {"id": 2, "email": ""}]
    hubspot = HubSpot([{"id": 7}, {"id": 8}], contacts)
    serve(hubspot=hubspot)
    hubspot.link(1, 7)
    hubspot.link(2, 8)
    hubspot.link(2, 7)
    new = hubspot.merge("contacts", 2, 1)
    assert hubspot.contacts[new] == {"email": "a@x.test", "hs_merged_object_ids": "1;2"}
    assert hubspot.associations == {new: {7: [279], 8: [279, 1]}}


def people(count: int) -> HubSpot:
    return HubSpot(contacts=[{"id": n} for n in range(1, count + 1)])


@pytest.mark.parametrize("members_as_ids", [False, True])
def test_members_come_by_id_and_up_to_250_at_a_time(serve: Serve, members_as_ids: bool) -> None:
    hubspot = people(260)
    hubspot.members_as_ids = members_as_ids
    path = f"/crm/v3/lists/{hubspot.add_list('All', 'contacts', *range(260, 0, -1))}/memberships"
    hubspot.archive("contacts", 7)
    client = serve(hubspot=hubspot)
    first = client.hubspot("GET", path).json()
    assert (len(first["results"]), first["total"]) == (100, 259)
    page = client.hubspot("GET", f"{path}?limit=250").json()
    rest = client.hubspot("GET", f"{path}?limit=250&after={page['paging']['next']['after']}").json()
    rows = page["results"] + rest["results"]
    read = rows if members_as_ids else [row["recordId"] for row in rows]
    assert read == [str(n) for n in range(1, 261) if n != 7]
    assert "paging" not in rest
    assert "paging" not in client.hubspot("GET", f"{path}?limit=9&after=251").json()
    assert client.hubspot("GET", f"{path}?limit=251").status_code == 400


def test_a_merged_contact_stays_in_its_lists(serve: Serve) -> None:
    hubspot = people(3)
    client = serve(hubspot=hubspot)
    keys = [hubspot.add_list("A", "contacts", 1, 3), hubspot.add_list("B", "contacts", 3)]
    new = hubspot.merge("contacts", 2, 1)
    paths = [f"/crm/v3/lists/{key}/memberships" for key in keys]
    rows = [client.hubspot("GET", path).json()["results"] for path in paths]
    assert [[row["recordId"] for row in page] for page in rows] == [["3", str(new)], ["3"]]


ANN = "ann@mail.example"


def mailing(serve: Serve) -> Client:
    contacts = [{"id": 1, "email": ANN}, {"id": 2, "email": "b@mail.example"}]
    contacts[1]["hs_email_optout_72"] = "true"
    return serve(hubspot=HubSpot(contacts=contacts, subscriptions=KINDS_OF_MAIL))


def statuses(client: Client, email: str) -> list[str]:
    path = f"/communication-preferences/v4/statuses/{email}?channel=EMAIL"
    rows = client.hubspot("GET", path).json()["results"]
    assert [row["subscriptionId"] for row in rows] == [71, 72]
    return [row["status"] for row in rows]


def test_every_subscription_type_has_an_opt_out_property(serve: Serve) -> None:
    client = mailing(serve)
    known = client.hubspot("GET", "/crm/v3/properties/contacts").json()["results"]
    labels = {each["name"]: each["label"] for each in known}
    assert labels["hs_email_optout_71"] == "Opted out of email: Marketing Information"
    assert labels["hs_email_optout_72"] == "Opted out of email: One to One"
    assert labels["email"] == "email"
    assert client.found(("hs_email_optout_72", "EQ", "true"), kind="contacts") == [2]
    assert statuses(client, "b@mail.example") == ["NOT_SPECIFIED", "UNSUBSCRIBED"]
    client.sandbox.hubspot.edit("contacts", 1, hs_email_optout="true")
    assert statuses(client, ANN) == ["UNSUBSCRIBED", "UNSUBSCRIBED"]


@pytest.mark.parametrize("version", [3, 4])
def test_an_opt_out_stands_with_the_contact(serve: Serve, version: int) -> None:
    client = mailing(serve)
    body: dict[str, Any]
    if version == 3:
        path = f"{CONSENT}/v3/unsubscribe"
        body = {"emailAddress": ANN.upper(), "subscriptionId": "71"}
    else:
        path = f"{CONSENT}/v4/statuses/{ANN}"
        body = {"subscriptionId": 71, "statusState": "UNSUBSCRIBED", "channel": "EMAIL"}
    for _ in range(2):
        assert client.hubspot("POST", path, json=body).status_code == 200
    assert client.sandbox.hubspot.contacts[1]["hs_email_optout_71"] == "true"
    assert statuses(client, ANN) == ["UNSUBSCRIBED", "NOT_SPECIFIED"]
    assert len(client.sandbox.writes) == 2
    assert client.hubspot("POST", path, json={**body, "subscriptionId": 73}).status_code == 400


def test_subscribing_again_is_for_version_4(serve: Serve) -> None:
    client = mailing(serve)
    client.sandbox.hubspot.set_consent(ANN, 71, "UNSUBSCRIBED")
    body = {"emailAddress": ANN, "subscriptionId": "71"}
    assert client.hubspot("POST", f"{CONSENT}/v3/subscribe", json=body).status_code == 400
    body = {"subscriptionId": "71", "statusState": "SUBSCRIBED", "channel": "EMAIL"}
    path = f"{CONSENT}/v4/statuses/{ANN}"
    assert client.hubspot("POST", path, json=body).status_code == 200
    assert statuses(client, ANN) == ["SUBSCRIBED", "NOT_SPECIFIED"]
    assert client.sandbox.hubspot.contacts[1]["hs_email_optout_71"] == "false"


@pytest.mark.parametrize("email", [ANN, "x@mail.example"])
def test_all_mail_can_be_stopped_but_not_by_a_patch(serve: Serve, email: str) -> None:
    """Also by somebody who is no contact."""
    client = mailing(serve)
    path = f"/communication-preferences/v4/statuses/{email}/unsubscribe-all"
    assert client.hubspot("POST", path).status_code == 400
    assert client.hubspot("POST", f"{path}?channel=EMAIL").status_code == 200
    assert statuses(client, email) == ["UNSUBSCRIBED"] * 2
    optouts = [each.get("hs_email_optout") for each in client.sandbox.hubspot.contacts.values()]
    assert optouts == ["true" if email == ANN else None, None]
    body = {"properties": {"hs_email_optout": "false"}}
    patched = client.hubspot("PATCH", "/crm/v3/objects/contacts/1", json=body)
    assert (patched.status_code, "READ_ONLY_VALUE" in patched.text) == (400, True)
