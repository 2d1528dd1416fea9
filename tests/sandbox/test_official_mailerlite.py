"""MailerLite's own Python client works with the sandbox: https://github.com/mailerlite/mailerlite-python."""

from __future__ import annotations

from typing import Any, Iterator

import pytest
import requests

from sandbox import MailerLite, Sandbox

mailerlite = pytest.importorskip("mailerlite")

ONE = "one@mail.example"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    people = [{"email": f"p{n}@mail.example"} for n in range(5)]
    account = MailerLite(people, groups={"7": "Shops", "8": "Others"}, max_limit=1000)
    with Sandbox(mailerlite=account) as started:
        yield started


@pytest.fixture
def client(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    made = mailerlite.Client({"api_key": sandbox.mailerlite.token, "timeout": 5})
    made.api_client.HOST = sandbox.settings["MAILERLITE_BASE_URL"].replace("/api", "/")
    return made


def number(row: Any) -> int:
    """The client takes ids as numbers only."""
    return int(row["id"])


def test_subscribers_are_listed_to_the_end(client: Any) -> None:
    assert client.subscribers.count() == {"total": 5}
    emails: list[str] = []
    page = client.subscribers.list(limit=2, filter={"status": "active"})
    while True:
        emails += [row["email"] for row in page["data"]]
        cursor = page["meta"]["next_cursor"]
        if cursor is None:
            break
        page = client.subscribers.list(limit=2, filter={"status": "active"}, cursor=cursor)
    assert emails == [f"p{n}@mail.example" for n in range(5)]
    back = client.subscribers.list(limit=2, cursor=page["meta"]["prev_cursor"])
    assert [row["email"] for row in back["data"]] == emails[2:4]


def test_a_subscriber_from_creation_to_deletion(client: Any, sandbox: Sandbox) -> None:
    fields = {"name": "Test", "phone": 12}
    made = client.subscribers.create(ONE, fields=fields, groups=["7"], ip_address="192.0.2.1")
    person = made["data"]
    assert (person["fields"]["phone"], person["ip_address"]) == ("12", "192.0.2.1")
    changed = client.subscribers.update(ONE, fields={"name": "Other"})["data"]
    assert (changed["id"], changed["fields"]["name"]) == (person["id"], "Other")
    assert client.subscribers.get(ONE) == client.subscribers.get(number(person))
    assert client.subscribers.delete(number(person))
    assert client.subscribers.forget(number(client.subscribers.get("p0@mail.example")["data"]))
    assert set(sandbox.mailerlite.deleted) == {ONE, "p0@mail.example"}
    with pytest.raises(requests.HTTPError, match="404"):
        client.subscribers.get(ONE)


def test_fields(client: Any) -> None:
    made = client.fields.create("Last order", "date")["data"]
    assert (made["key"], made["type"], made["is_default"]) == ("last_order", "date", False)
    assert client.fields.update(number(made), "Order")["data"]["name"] == "Order"
    names = [row["name"] for row in client.fields.list(limit=3, page=2, sort="-name")["data"]]
    assert names == ["Order", "Name", "Last name"]
    assert client.fields.delete(number(made))
    assert client.fields.list(filter={"keyword": "ord"})["data"] == []


def test_groups(client: Any) -> None:
    made = client.groups.create("Test")["data"]
    assert client.groups.update(number(made), "Tests")["data"]["name"] == "Tests"
    found = client.groups.list(limit=10, page=1, sort="name", filter={"name": "s"})
    assert [row["name"] for row in found["data"]] == ["Others", "Shops", "Tests"]
    assert client.groups.delete(number(made))
    with pytest.raises(requests.HTTPError, match="404"):
        client.groups.delete(number(made))


def test_members_of_a_group(client: Any) -> None:
    person = number(client.subscribers.get("p3@mail.example")["data"])
    assert client.subscribers.assign_subscriber_to_group(person, 7)["data"]["name"] == "Shops"
    members = client.groups.get_group_subscribers(7, limit=5, filter={"status": "active"})
    assert [row["email"] for row in members["data"]] == ["p3@mail.example"]
    assert client.subscribers.unassign_subscriber_from_group(person, 7)
    assert client.groups.get_group_subscribers(7)["data"] == []
    with pytest.raises(requests.HTTPError, match="404"):
        client.subscribers.unassign_subscriber_from_group(person, 7)


def test_a_batch(client: Any) -> None:
    asked = [
        {"method": "GET", "path": f"api/subscribers/{ONE}"},
        {"method": "POST", "path": "api/subscribers", "body": {"email": ONE}},
        {"method": "GET", "path": "api/subscribers?limit=0"},
    ]
    answer = client.batches.request(asked)
    assert (answer["total"], answer["successful"], answer["failed"]) == (3, 2, 1)
    assert [each["code"] for each in answer["responses"]] == [404, 201, 200]
    assert answer["responses"][2]["body"] == {"total": 6}


def test_the_report_on_an_import(client: Any, sandbox: Sandbox) -> None:
    sandbox.mailerlite.import_s = 0
    body = {"subscribers": [{"email": ONE}]}
    started = client.api_client.request("POST", "api/groups/7/import-subscribers", body=body)
    url = started.json()["import_progress_url"]
    report = client.subscribers.get_import(int(url.rpartition("/")[2]))["data"]
    assert (report["done"], report["imported"], report["invalid"]) == (True, 1, [])


def test_what_the_sandbox_lacks_is_named(client: Any) -> None:
    for call, name in (
        (client.campaigns.list, "GET api/campaigns"),
        (client.timezones.list, "GET api/timezones"),
        (lambda: client.groups.list(list=1), "parameter list"),
        (lambda: client.groups.list(sort="open_rate"), "open_rate"),
    ):
        with pytest.raises(requests.HTTPError) as caught:
            call()
        assert name in caught.value.response.text
