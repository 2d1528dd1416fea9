"""The sandbox's MailerLite keeps MailerLite's rules."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest

from sandbox import MailerLite
from tests.sandbox import sandbox_client
from tests.sandbox.sandbox_client import Client, Serve

pytestmark = pytest.mark.filterwarnings("error")
clock, serve = sandbox_client.clock, sandbox_client.serve

ONE = "one@mail.example"


def people(count: int, **more: Any) -> List[Dict[str, Any]]:
    return [{"email": f"p{n}@mail.example", **more} for n in range(count)]


def listed(client: Client, **params: Any) -> Any:
    given = {name.replace("status", "filter[status]"): value for name, value in params.items()}
    return client.mailerlite("GET", "/subscribers", params=given).json()


def test_a_wrong_token_is_a_401(serve: Serve) -> None:
    answer = serve().mailerlite("GET", "/subscribers", headers={"Authorization": "Bearer x"})
    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthenticated."})


def test_pages_follow_a_cursor_to_the_end(serve: Serve) -> None:
    client = serve(mailerlite=MailerLite(people(5, status="bounced")))
    read: List[str] = []
    params: Dict[str, str] = {"limit": "2", "status": "bounced"}
    while True:
        page = listed(client, **params)
        read += [row["email"] for row in page["data"]]
        cursor = page["meta"]["next_cursor"]
        if cursor is None:
            assert page["links"]["next"] is None
            break
        assert page["links"]["next"].endswith(f"/mailerlite/api/subscribers?cursor={cursor}")
        params["cursor"] = cursor
    assert read == [each["email"] for each in people(5)]


def test_the_unfiltered_list_is_only_the_active(serve: Serve) -> None:
    mailerlite = MailerLite([*people(1), {"email": ONE, "status": "unsubscribed"}])
    client = serve(mailerlite=mailerlite)
    assert [row["email"] for row in listed(client)["data"]] == ["p0@mail.example"]
    assert [row["email"] for row in listed(client, status="unsubscribed")["data"]] == [ONE]
    assert listed(client, limit=0) == {"total": 1}
    wrong = client.mailerlite("GET", "/subscribers", params={"filter[status]": "all"})
    assert wrong.status_code == 422


def test_pages_hold_25_and_100_at_most(serve: Serve) -> None:
    client = serve(mailerlite=MailerLite(people(130)))
    assert len(listed(client)["data"]) == 25
    assert len(listed(client, limit=1000)["data"]) == 100
    client.sandbox.mailerlite.strict_limit = True
    assert "errors" in listed(client, limit=101)
    assert len(listed(client, limit=100)["data"]) == 100


def test_the_last_full_page_has_no_cursor(serve: Serve) -> None:
    page = listed(serve(mailerlite=MailerLite(people(25))))
    assert (len(page["data"]), page["meta"]["next_cursor"]) == (25, None)


def test_a_subscriber_has_every_field_and_groups_on_request(serve: Serve) -> None:
    person = {"email": ONE, "fields": {"name": "Test"}, "groups": ["5"]}
    client = serve(mailerlite=MailerLite([person], groups={"5": "Shops"}))
    row = listed(client)["data"][0]
    assert int(row["id"]) > 2**53
    assert row["fields"]["name"] == "Test"
    assert row["fields"]["z_i_p"] is None
    assert len(row["fields"]) == 8
    assert "groups" not in row
    assert listed(client, include="groups")["data"][0]["groups"] == [{"id": "5", "name": "Shops"}]


def test_an_upsert_creates_then_updates(serve: Serve) -> None:
    client = serve(mailerlite=MailerLite(groups={"5": "A", "6": "B"}))
    made = client.upsert(email="One@Mail.Example", fields={"name": "T", "city": "X"}, groups=["5"])
    fields = {"city": "", "country": "Y", "nonsense": "1"}
    changed = client.upsert(email=ONE, fields=fields, groups=["6"])
    assert (made.status_code, changed.status_code) == (201, 200)
    assert made.json()["data"]["id"] == changed.json()["data"]["id"]
    person = client.sandbox.mailerlite.subscribers[ONE]
    assert person["fields"] == {"name": "T", "country": "Y"}
    assert person["groups"] == ["5", "6"]
    assert len(client.sandbox.writes) == 2


def test_who_unsubscribed_stays_so(serve: Serve) -> None:
    client = serve(mailerlite=MailerLite([{"email": ONE, "status": "unsubscribed"}]))
    person = client.sandbox.mailerlite.subscribers[ONE]
    for more in ({}, {"status": "active"}, {"resubscribe": True}):
        answer = client.upsert(email=ONE, fields={"name": "New"}, **more)
        assert answer.status_code == 422
    text = "This subscriber is unsubscribed and cannot be imported"
    assert answer.json() == {
        "message": "The given data was invalid.",
        "errors": {"email": [text]},
        "subscriber": person["id"],
    }
    assert (person["fields"], client.sandbox.writes) == ({}, [])
    client.upsert(email=ONE, status="active", resubscribe=True)
    assert person["status"] == "active"
    client.upsert(email=ONE, status="unsubscribed")
    assert person["status"] == "unsubscribed"


def test_an_upsert_revives_the_deleted(serve: Serve) -> None:
    client = serve(mailerlite=MailerLite([{"email": ONE, "status": "unsubscribed"}]))
    mailerlite = client.sandbox.mailerlite
    key = mailerlite.subscribers[ONE]["id"]
    mailerlite.delete(ONE)
    assert listed(client, status="unsubscribed")["data"] == []
    answer = client.upsert(email=ONE)
    assert (answer.status_code, answer.json()["data"]["id"]) == (200, key)
    assert mailerlite.subscribers[ONE]["status"] == "active"
    assert not mailerlite.deleted
    remembered = serve(mailerlite=MailerLite(deleted=[{"email": ONE}]))
    assert listed(remembered)["data"] == []
    assert remembered.upsert(email=ONE).status_code == 200


def test_double_opt_in_leaves_new_ones_unconfirmed(serve: Serve) -> None:
    client = serve(mailerlite=MailerLite(people(1), double_opt_in=True))
    assert client.upsert(email=ONE).json()["data"]["status"] == "unconfirmed"
    assert client.upsert(email=ONE).json()["data"]["status"] == "unconfirmed"
    assert client.upsert(email="p0@mail.example").json()["data"]["status"] == "active"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "a b@mail.example"}, "email"),
        ({}, "email"),
        ({"email": ONE, "groups": ["404"]}, "groups.0"),
        ({"email": ONE, "fields": ["name"]}, "fields"),
        ({"email": ONE, "status": "gone"}, "status"),
    ],
)
def test_invalid_data_is_a_422(serve: Serve, body: Any, field: str) -> None:
    client = serve()
    answer = client.upsert(**body)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, [field])
    assert client.sandbox.mailerlite.subscribers == {}


def test_fields_are_created_with_a_key(serve: Serve) -> None:
    client = serve()
    made = client.mailerlite("POST", "/fields", json={"name": "Lifetime value", "type": "number"})
    assert made.status_code == 201
    assert made.json()["data"]["key"] == "lifetime_value"
    again = client.mailerlite("POST", "/fields", json={"name": "lifetime Value", "type": "text"})
    assert (again.status_code, len(client.sandbox.writes)) == (422, 1)
    page = client.mailerlite("GET", "/fields", params={"limit": 5, "page": 2}).json()
    assert [each["key"] for each in page["data"]] == ["phone", "state", "z_i_p", "lifetime_value"]
    person = client.upsert(email=ONE, fields={"lifetime_value": 3}).json()["data"]
    assert person["fields"]["lifetime_value"] == "3"


def test_groups_are_found_by_part_of_the_name(serve: Serve) -> None:
    client = serve(mailerlite=MailerLite(groups={"5": "All shops"}))
    made = client.mailerlite("POST", "/groups", json={"name": "Some shops"}).json()["data"]
    found = client.mailerlite("GET", "/groups", params={"filter[name]": "some"}).json()["data"]
    assert found == [made]
    everything = client.mailerlite("GET", "/groups").json()
    assert (len(everything["data"]), everything["meta"]["last_page"]) == (2, 1)
    assert [write.path for write in client.sandbox.writes] == ["/groups"]


def test_120_requests_a_minute(serve: Serve) -> None:
    client = serve()
    for left in range(119, -1, -1):
        answer = client.mailerlite("GET", "/fields")
        assert answer.headers["X-RateLimit-Remaining"] == str(left)
        client.clock.now += 0.1
    refused = client.mailerlite("GET", "/fields")
    assert (refused.status_code, refused.json()) == (429, {"message": "Too Many Attempts."})
    assert (refused.headers["X-RateLimit-Limit"], refused.headers["Retry-After"]) == ("120", "48")
    client.clock.now += 48
    assert client.mailerlite("GET", "/fields").status_code == 200
