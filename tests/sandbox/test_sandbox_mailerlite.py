"""The sandbox's MailerLite keeps MailerLite's rules."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox import MailerLite
from tests.sandbox import sandbox_client
from tests.sandbox.sandbox_client import Client, Serve

pytestmark = pytest.mark.filterwarnings("error")
clock, serve = sandbox_client.clock, sandbox_client.serve

ONE = "one@mail.example"


def people(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"email": f"p{n}@mail.example", **more} for n in range(count)]


def listed(client: Client, path: str = "/subscribers", **params: Any) -> Any:
    given = {name.replace("status", "filter[status]"): value for name, value in params.items()}
    return client.mailerlite("GET", path, params=given).json()


def emails(page: Any) -> list[str]:
    return [row["email"] for row in page["data"]]


def person_id(client: Client, email: str) -> str:
    return str(client.sandbox.mailerlite.subscribers[email]["id"])


def batch(client: Client, *calls: Any) -> Any:
    """Each call is (method, path) or (method, path, body)."""
    named = [dict(zip(("method", "path", "body"), call)) for call in calls]
    return client.mailerlite("POST", "/batch", json={"requests": named})


def imported(client: Client, rows: list[Any]) -> str:
    """The path at which the progress of a new import into group 5 is asked."""
    answer = client.mailerlite("POST", "/groups/5/import-subscribers", json={"subscribers": rows})
    return f"/subscribers/import/{answer.json()['import_progress_url'].rpartition('/')[2]}"


def report_of(client: Client, path: str) -> Any:
    return client.mailerlite("GET", path).json()["data"]


def test_a_wrong_token_is_a_401(serve: Serve) -> None:
    answer = serve().mailerlite("GET", "/subscribers", headers={"Authorization": "Bearer x"})
    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthenticated."})


def test_the_unfiltered_list_is_only_the_active(serve: Serve) -> None:
    mailerlite = MailerLite([*people(1), {"email": ONE, "status": "unsubscribed"}])
    client = serve(mailerlite=mailerlite)
    assert [row["email"] for row in listed(client)["data"]] == ["p0@mail.example"]
    assert [row["email"] for row in listed(client, status="unsubscribed")["data"]] == [ONE]
    assert listed(client, limit=0) == {"total": 1}
    assert listed(client, limit=0, status="unsubscribed") == {"total": 1}
    mailerlite.delete(ONE)
    assert listed(client, limit=0, status="unsubscribed") == {"total": 0}
    wrong = client.mailerlite("GET", "/subscribers", params={"filter[status]": "all"})
    assert wrong.status_code == 422


def test_pages_hold_25_and_100_at_most(serve: Serve) -> None:
    client = serve(mailerlite=MailerLite(people(25)))
    page = listed(client)
    assert (len(page["data"]), page["meta"]["next_cursor"]) == (25, None)
    client = serve(mailerlite=MailerLite(people(130)))
    assert len(listed(client)["data"]) == 25
    assert len(listed(client, limit=1000)["data"]) == 100
    client.sandbox.mailerlite.strict_limit = True
    assert "errors" in listed(client, limit=101)
    assert len(listed(client, limit=100)["data"]) == 100
    client.sandbox.mailerlite.max_limit = 10
    assert len(listed(client)["data"]) == 10


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


@pytest.mark.parametrize("status", ["unsubscribed", "bounced", "junk"])
def test_who_has_left_stays_so(serve: Serve, status: str) -> None:
    client = serve(mailerlite=MailerLite([{"email": ONE, "status": status}]))
    person = client.sandbox.mailerlite.subscribers[ONE]
    for more in ({}, {"status": "active"}, {"resubscribe": True}):
        answer = client.upsert(email=ONE, fields={"name": "New"}, **more)
        assert answer.status_code == 422
    errors = {"email": [f"This subscriber is {status} and cannot be imported"]}
    message = "The given data was invalid."
    assert answer.json() == {"message": message, "errors": errors, "subscriber": person["id"]}
    assert (person["fields"], client.sandbox.writes) == ({}, [])
    client.upsert(email=ONE, status="active", resubscribe=True)
    assert person["status"] == ("active" if status == "unsubscribed" else status)
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


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "NOT-TAKEN@mail.example"}, "email"),
        ({"email": "a b@mail.example"}, "email"),
        ({}, "email"),
        ({"email": ONE, "groups": ["404"]}, "groups.0"),
        ({"email": ONE, "fields": ["name"]}, "fields"),
        ({"email": ONE, "status": "gone"}, "status"),
    ],
)
def test_invalid_data_is_a_422(serve: Serve, body: Any, field: str) -> None:
    client = serve(mailerlite=MailerLite(not_taken=["not-taken@mail.example"]))
    answer = client.upsert(**body)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, [field])
    assert client.sandbox.mailerlite.subscribers == {}


def test_fields_are_created_with_a_key(serve: Serve) -> None:
    client = serve()
    made = client.mailerlite("POST", "/fields", json={"name": "Lifetime value", "type": "number"})
    assert made.status_code == 201
    assert made.json()["data"]["key"] == "lifetime_value"
    assert made.json()["data"]["used_in_automations"] is False
    again = client.mailerlite("POST", "/fields", json={"name": "lifetime Value", "type": "text"})
    assert (again.status_code, len(client.sandbox.writes)) == (422, 1)
    page = client.mailerlite("GET", "/fields", params={"limit": 5, "page": 2}).json()
    assert [each["key"] for each in page["data"]] == ["phone", "state", "z_i_p", "lifetime_value"]
    person = client.upsert(email=ONE, fields={"lifetime_value": 3}).json()["data"]
    assert person["fields"]["lifetime_value"] == "3"


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


# What a subscriber is answered with, and found by


def test_a_subscriber_carries_what_the_documentation_shows(serve: Serve) -> None:
    person = {"email": ONE, "fields": {"phone": 12.5}, "groups": ["5"]}
    client = serve(mailerlite=MailerLite([person], groups={"5": "Shops"}))
    (row,) = listed(client, include="groups")["data"]
    assert row.pop("groups") == [{"id": "5", "name": "Shops"}]
    alone = client.mailerlite("GET", f"/subscribers/{row['id']}").json()["data"]
    assert (alone.pop("groups")[0]["active_count"], alone) == (0, row)
    (row,) = listed(client)["data"]
    assert int(row["id"]) > 2**53
    assert row.pop("id") == person_id(client, ONE)
    fields = dict.fromkeys(("name", "last_name", "company", "country", "city", "state", "z_i_p"))
    times = dict.fromkeys(("subscribed_at", "created_at", "updated_at"), "2026-01-05 09:00:00")
    assert row == {
        "email": ONE,
        "status": "active",
        "source": "api",
        **dict.fromkeys(("sent", "opens_count", "clicks_count", "open_rate", "click_rate"), 0),
        **dict.fromkeys(("ip_address", "unsubscribed_at", "opted_in_at", "optin_ip", "location")),
        **times,
        "fields": {**fields, "phone": "12.5"},
    }


def test_the_newest_come_first(serve: Serve) -> None:
    client = serve(mailerlite=MailerLite(people(2), deleted=[{"email": "old@mail.example"}]))
    client.upsert(email=ONE)
    client.sandbox.mailerlite.add("two@mail.example")
    client.upsert(email="old@mail.example")
    newest = ["two@mail.example", ONE, "p0@mail.example", "p1@mail.example", "old@mail.example"]
    assert emails(listed(client)) == newest
    client.sandbox.mailerlite.add(ONE)
    newest[:2] = [ONE, "two@mail.example"]
    broken = listed(client, cursor="broken")
    assert (emails(broken), broken["meta"]["prev_cursor"]) == (newest, None)


def test_pages_follow_what_happens_meanwhile(serve: Serve) -> None:
    client = serve(mailerlite=MailerLite(people(6)))
    mailerlite = client.sandbox.mailerlite
    first = listed(client, limit=2)
    mailerlite.delete("p1@mail.example")
    mailerlite.delete("p3@mail.example")
    mailerlite.subscribers["p4@mail.example"]["status"] = "junk"
    mailerlite.add(ONE)
    rest = listed(client, limit=2, cursor=first["meta"]["next_cursor"])
    assert emails(rest) == ["p2@mail.example", "p5@mail.example"]
    assert rest["meta"]["next_cursor"] is None


def test_the_sandbox_names_what_it_does_not_support(serve: Serve) -> None:
    client = serve(mailerlite=MailerLite(groups={"5": "A"}))
    for path, name in (
        ("/subscribers?filter[email]=x", "filter[email]"),
        ("/subscribers?include=fields", "include"),
        ("/groups/5/subscribers?page=2", "page"),
        ("/groups?sort=total", "total"),
        ("/fields?cursor=x", "cursor"),
        ("/segments", "The sandbox does not serve GET api/segments."),
        ("/subscriber/1", "The route api/subscriber/1 could not be found."),
    ):
        answer = client.mailerlite("GET", path)
        assert answer.status_code in (400, 422, 501 if "segments" in path else 404)
        assert name in answer.text


# Writing one subscriber


def test_an_update_replaces_the_groups(serve: Serve) -> None:
    person = {"email": ONE, "fields": {"name": "T", "city": "X"}, "groups": ["5"]}
    client = serve(mailerlite=MailerLite([person], groups={"5": "A", "6": "B"}))
    path = f"/subscribers/{person_id(client, ONE)}"
    body = {"fields": {"city": "Y"}, "groups": ["6"], "status": "unsubscribed"}
    changed = client.mailerlite("PUT", path, json=body).json()["data"]
    assert changed["status"] == "unsubscribed"
    assert changed["unsubscribed_at"] == "2026-01-05 09:00:00"
    kept = client.sandbox.mailerlite.subscribers[ONE]
    assert (kept["fields"], kept["groups"]) == ({"name": "T", "city": "Y"}, ["6"])
    assert client.mailerlite("PUT", path, json={"status": "active"}).status_code == 422
    assert client.mailerlite("PUT", path, json={"groups": None}).status_code == 422
    assert client.mailerlite("PUT", "/subscribers/1", json={}).status_code == 404


@pytest.mark.parametrize("call", [("DELETE", ""), ("POST", "/forget")])
def test_deleted_people_vanish_until_an_upsert_revives_them(serve: Serve, call: Any) -> None:
    client = serve(mailerlite=MailerLite([{"email": ONE, "groups": ["5"]}], groups={"5": "A"}))
    key = person_id(client, ONE)
    gone = client.mailerlite(call[0], f"/subscribers/{key}{call[1]}")
    is_empty = call[1] == ""
    assert (gone.status_code, gone.content == b"") == (204 if is_empty else 200, is_empty)
    if not is_empty:
        assert gone.json()["data"]["deleted_at"] == "2026-01-05 09:00:00"
        assert gone.json()["data"]["forget_at"] == "2026-02-04 09:00:00"
        assert "forgotten within 30 days" in gone.json()["message"]
    for path in ("/subscribers", "/groups/5/subscribers"):
        assert listed(client, path)["data"] == []
    assert client.mailerlite(call[0], f"/subscribers/{key}{call[1]}").status_code == 404
    again = client.upsert(email=ONE)
    assert (again.status_code, again.json()["data"]["id"]) == (200, key)
    assert again.json()["data"]["status"] == "active"


@pytest.mark.parametrize("status", [402, 403, 422])
def test_a_full_plan_refuses_new_people_only(serve: Serve, status: int) -> None:
    client = serve(mailerlite=MailerLite(people(1), plan_full=status))
    refused = client.upsert(email=ONE)
    assert (refused.status_code, list(refused.json())) == (status, ["message"])
    assert client.upsert(email="p0@mail.example").status_code == 200
    client.sandbox.mailerlite.plan_full = None
    assert client.upsert(email=ONE).status_code == 201


# Groups


def test_members_are_listed_in_pages_of_1000_at_most(serve: Serve) -> None:
    account = MailerLite([*people(1200, groups=["5"]), {"email": ONE}], groups={"5": "A"})
    client = serve(mailerlite=account)
    path = "/groups/5/subscribers"
    assert len(listed(client, path)["data"]) == 50
    page = listed(client, path, limit=2000)
    assert (len(page["data"]), page["meta"]["per_page"]) == (1000, 1000)
    assert page["links"]["next"].endswith(f"{path}?cursor={page['meta']['next_cursor']}")
    rest = listed(client, path, limit=1000, cursor=page["meta"]["next_cursor"])
    assert emails(rest) == [f"p{n}@mail.example" for n in range(1000, 1200)]
    account.strict_limit = True
    assert "errors" in listed(client, path, limit=1001)
    assert len(listed(client, path)["data"]) == 50
    assert client.mailerlite("GET", "/groups/6/subscribers").status_code == 404


def test_who_unsubscribed_joins_or_does_not(serve: Serve) -> None:
    person = {"email": ONE, "status": "unsubscribed"}
    client = serve(mailerlite=MailerLite([person], groups={"5": "A"}, join_unsubscribed=False))
    path = f"/subscribers/{person_id(client, ONE)}/groups/5"
    assert client.mailerlite("POST", path).status_code == 422
    assert client.sandbox.mailerlite.subscribers[ONE]["groups"] == []
    client.sandbox.mailerlite.join_unsubscribed = True
    assert client.mailerlite("POST", path).status_code == 200
    assert client.sandbox.mailerlite.subscribers[ONE]["groups"] == ["5"]
    assert client.sandbox.mailerlite.subscribers[ONE]["status"] == "unsubscribed"


def test_groups_list_and_count_their_members_by_status(serve: Serve) -> None:
    junk = {"email": ONE, "status": "junk", "groups": ["5", "6"]}
    both: list[Any] = [*people(2, groups=["5"]), junk]
    client = serve(mailerlite=MailerLite(both, groups={"5": "A", "6": "B"}))
    assert emails(listed(client, "/groups/5/subscribers", status="junk")) == [ONE]
    assert len(listed(client, "/groups/5/subscribers")["data"]) == 2
    rows = client.mailerlite("GET", "/groups").json()["data"]
    assert [(row["active_count"], row["junk_count"]) for row in rows] == [(2, 1), (0, 1)]
    assert client.mailerlite("DELETE", "/groups/5").status_code == 204
    assert client.sandbox.mailerlite.subscribers[ONE]["groups"] == ["6"]


def test_numbered_pages_tell_where_they_are(serve: Serve) -> None:
    client = serve(mailerlite=MailerLite(groups={str(n): f"Group {n}" for n in range(5)}))
    page = client.mailerlite("GET", "/groups", params={"limit": 2, "page": 3}).json()
    meta, url = page["meta"], page["meta"]["path"]
    assert (meta["from"], meta["to"], meta["total"], meta["last_page"]) == (5, 5, 5, 3)
    assert [each["active"] for each in meta["links"]] == [False, False, False, True, False]
    links = {"first": f"{url}?page=1", "last": f"{url}?page=3", "prev": f"{url}?page=2"}
    assert page["links"] == {**links, "next": None}
    beyond = client.mailerlite("GET", "/groups", params={"page": 9}).json()
    assert (beyond["data"], beyond["meta"]["from"], beyond["meta"]["to"]) == ([], None, None)


# Batches


def test_a_batch_answers_each_in_order_as_one_request(serve: Serve) -> None:
    client = serve(mailerlite=MailerLite(people(1, groups=["5"]), groups={"5": "A"}))
    path = f"api/subscribers/{person_id(client, 'p0@mail.example')}/groups/5"
    answer = batch(
        client,
        ("DELETE", path),
        ("delete", path),
        ("POST", "api/subscribers", {"email": "nobody"}),
        ("GET", "api/groups?filter[name]=A"),
        ("GET", "api/group"),
    )
    assert answer.headers["X-RateLimit-Remaining"] == "119"
    result = answer.json()
    assert (result["total"], result["successful"], result["failed"]) == (5, 2, 3)
    assert [each["code"] for each in result["responses"]] == [204, 404, 422, 200, 404]
    bodies = [each["body"] for each in result["responses"]]
    assert (bodies[0], list(bodies[2]["errors"])) == (None, ["email"])
    assert (bodies[3]["data"][0]["name"], "api/group" in bodies[4]["message"]) == ("A", True)
    assert batch(client, *[("GET", "api/subscribers/x@mail.example")] * 50).json()["failed"] == 50
    assert [request.path for request in client.sandbox.writes] == ["/batch"]


@pytest.mark.parametrize(
    ("calls", "field"),
    [
        ([], "requests"),
        ([("GET", "api/fields")] * 51, "requests"),
        ([("GET", "api/fields"), ("HEAD", "api/fields")], "requests.1.method"),
        ([("GET", "/fields")], "requests.0.path"),
        ([("POST", "api/batch", {"requests": []})], "requests.0.path"),
        ([()], "requests.0.method"),
    ],
)
def test_a_batch_that_cannot_be_taken(serve: Serve, calls: Any, field: str) -> None:
    answer = batch(serve(), *calls)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, [field])


def test_a_batch_of_nothing_but_upserts_is_an_import(serve: Serve) -> None:
    client = serve(mailerlite=MailerLite(groups={"5": "A"}))
    upserts = [("POST", "api/subscribers", {"email": f"p{n}@mail.example"}) for n in range(2)]
    for _ in range(5):
        assert batch(client, *upserts).status_code == 200
        client.clock.now += 1
    refused = batch(client, *upserts)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "55")
    assert refused.json() == {"message": "You're being rate limited on import creation."}
    assert refused.headers["X-RateLimit-Remaining"] == "114"
    assert batch(client, *upserts, ("GET", "api/fields")).status_code == 200
    rows = {"subscribers": [{"email": ONE}]}
    assert client.mailerlite("POST", "/groups/5/import-subscribers", json=rows).status_code == 429
    client.clock.now += 55
    assert batch(client, *upserts).status_code == 200


# Imports


def test_what_an_import_does_with_whom(serve: Serve) -> None:
    known: list[Any] = [
        {"email": "same@mail.example", "fields": {"name": "T"}},
        {"email": "other@mail.example", "fields": {"name": "Old"}},
        {"email": "left@mail.example", "status": "unsubscribed"},
        {"email": "bounced@mail.example", "status": "bounced"},
    ]
    account = MailerLite(known, groups={"5": "A"}, import_s=0, import_loses=["lost@mail.example"])
    client = serve(mailerlite=account)
    names = ["same", "other", "left", "bounced", "lost", "new", "new"]
    rows: list[Any] = [{"email": f"{n}@mail.example", "fields": {"name": "T"}} for n in names]
    rows += [*({"email": f"nobody {n}"} for n in range(6)), 5]
    report = report_of(client, imported(client, rows))
    counters = ("total", "processed", "imported", "updated", "errored")
    assert [report[name] for name in counters] == [14, 14, 1, 1, 3]
    named = ("invalid", "changed", "unchanged", "unsubscribed", "duplicate", "mistyped")
    assert [report[f"{name}_count"] for name in named] == [7, 1, 1, 1, 1, 0]
    assert len(report["invalid"]) == 5  # at most
    assert report["unsubscribed"] == [{"email": "left@mail.example"}]
    members = emails(listed(client, "/groups/5/subscribers"))
    assert sorted(members) == ["new@mail.example", "other@mail.example", "same@mail.example"]
    assert {each["fields"].get("name") for each in account.subscribers.values()} == {"T", None}


@pytest.mark.parametrize("does_so", [True, False])
def test_what_an_import_may_do_or_not(serve: Serve, does_so: bool) -> None:
    """It may revive the deleted, and ask new people to confirm."""
    account = MailerLite(deleted=[{"email": ONE}], groups={"5": "A"}, import_s=0)
    account.import_revives, account.import_double_opt_in = does_so, does_so
    client = serve(mailerlite=account)
    report = report_of(client, imported(client, [{"email": ONE}, {"email": "new@mail.example"}]))
    assert (report["imported"], report["errored"]) == ((2, 0) if does_so else (1, 1))
    assert (ONE in account.subscribers, ONE in account.deleted) == (does_so, not does_so)
    new = account.subscribers["new@mail.example"]
    assert new["status"] == ("unconfirmed" if does_so else "active")


def test_imports_that_cannot_be_taken(serve: Serve) -> None:
    client = serve(mailerlite=MailerLite(groups={"5": "A"}))
    for path, rows, status in (("5", [], 422), ("5", "x", 422), ("6", [{"email": ONE}], 404)):
        path, body = f"/groups/{path}/import-subscribers", {"subscribers": rows}
        assert client.mailerlite("POST", path, json=body).status_code == status
    assert client.mailerlite("GET", "/subscribers/import/1").status_code == 404
