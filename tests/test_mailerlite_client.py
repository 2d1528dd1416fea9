"""The MailerLite client against scripted answers."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Iterator

import pytest
import requests

import mailerlite_client
from core.errors import BadAnswer, CallRejected, ServiceError
from core.settings import SettingsReader
from mailerlite_api.shapes import SUBSCRIBER_STATUSES, Subscriber, import_key
from mailerlite_client import GROUPS, PERSON, VALUES, MailerLiteClient, Refused, mailerlite_settings
from sandbox import Fault, MailerLite, Request, Sandbox
from tests.helpers import FakeClock, connected, edited

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
    mailerlite = MailerLite(people, groups={"7": "Shops", "8": "Others"})
    with Sandbox(mailerlite=mailerlite, clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox: Sandbox, clock: FakeClock) -> Iterator[MailerLiteClient]:
    yield from connected(MailerLiteClient, mailerlite_settings, sandbox, clock)


# Subscribers


@pytest.mark.parametrize("page_size", [1, 2, 100])
def test_the_subscribers_of_every_status(
    sandbox: Sandbox, client: MailerLiteClient, page_size: int
) -> None:
    """Each page asks for the same status and size."""
    sandbox.mailerlite.max_limit = page_size
    found = list(client.subscribers(["name", "city"], with_groups=True))
    assert {person.email: person.status for person in found} == {
        f"p{n}@mail.example": SUBSCRIBER_STATUSES[n % 5] for n in range(30)
    }
    assert len(found) == 30
    assert found[0].fields == {"name": "0", "city": None}
    assert found[0].groups == frozenset()
    queries = [each.query for each in sandbox.requests if each.query["limit"] != "0"]
    assert {(each["limit"], each["include"]) for each in queries} == {("1000", "groups")}
    pages = -(-6 // page_size)
    asked = [(each["filter[status]"], "cursor" in each) for each in queries]
    assert asked == [(status, n > 0) for status in SUBSCRIBER_STATUSES for n in range(pages)]
    for request in sandbox.requests:
        assert request.headers["Content-Type"] == "application/json"
        assert request.headers["Accept"] == "application/json"


@pytest.mark.parametrize(
    ("most", "strict", "sizes"),
    [
        (1_000, True, ["1000"] * 5),
        (100, False, ["1000"] * 10),  # a shorter page than asked for is not the end
        (100, True, ["1000"] + ["100"] * 10),
    ],
)
def test_a_page_is_as_large_as_mailerlite_takes_it(
    sandbox: Sandbox, client: MailerLiteClient, most: int, strict: bool, sizes: list[str]
) -> None:
    sandbox.mailerlite.max_limit, sandbox.mailerlite.strict_limit = most, strict
    for n in range(600):
        sandbox.mailerlite.add(f"q{n}@mail.example", status=SUBSCRIBER_STATUSES[n % 5])
    assert len(client.subscribers([], with_groups=False)) == 630
    asked = [each.query["limit"] for each in sandbox.requests if each.query["limit"] != "0"]
    assert asked == sizes


def test_a_page_that_is_refused_in_every_size(sandbox: Sandbox, client: MailerLiteClient) -> None:
    sandbox.faults = [Fault("status", path="^/subscribers$", nth=FIRST_PAGE, times=9, status=422)]
    with pytest.raises(CallRejected):
        client.subscribers([], with_groups=False)
    assert len(sandbox.requests) == FIRST_PAGE + 1


FIRST_PAGE = 6  # before it come the sizes of the five lists


def test_who_comes_or_goes_meanwhile_is_no_gap(sandbox: Sandbox, client: MailerLiteClient) -> None:
    def change(request: Request) -> None:
        if request.query.get("filter[status]") == "junk" and request.query["limit"] != "0":
            sandbox.on_request = None
            sandbox.mailerlite.add(JO)
            sandbox.mailerlite.add("al@mail.example")
            sandbox.mailerlite.delete("p0@mail.example")

    sandbox.on_request = change
    assert len(client.subscribers([], with_groups=False)) == 30


def test_values_groups_and_addresses(sandbox: Sandbox, client: MailerLiteClient) -> None:
    sandbox.mailerlite.fields.append({"id": "1", "name": "V", "key": "value", "type": "number"})
    sandbox.mailerlite.subscribers.clear()
    person = sandbox.mailerlite.add(JO, fields={"value": 12.5}, groups=["7"])
    person["email"] = " JO@mail.example"
    (found,) = client.subscribers(["value", "name"], with_groups=True)
    values = {"value": "12.5", "name": None}
    assert found == Subscriber(person["id"], JO, "active", values, frozenset({"7"}))


@pytest.mark.parametrize(
    "more",
    [
        {"data": None},
        {"data": ["jo"]},
        {"data": [{"email": JO, "status": "active", "fields": {}}]},
        {"data": [{"id": "1", "status": "active", "fields": {}}]},
        {"data": [{"id": "1", "email": None, "status": "active", "fields": {}}]},
        {"data": [{"id": "1", "email": JO, "fields": {}}]},
        {"data": [{"id": "1", "email": JO, "status": "new", "fields": {}}]},
        {"data": [{"id": "1", "email": JO, "status": "active", "fields": ["name"]}]},
        {"data": [{"id": "1", "email": JO, "status": "active"}]},
        {"meta": {}},
        {"meta": None},
        {"meta": {"next_cursor": ["x"]}},
        {"meta": {"next_cursor": 5}},
    ],
)
def test_a_malformed_page(sandbox: Sandbox, client: MailerLiteClient, more: Any) -> None:
    edit = edited(**more)
    sandbox.faults = [Fault("edit", path="^/subscribers$", nth=FIRST_PAGE, edit=edit)]
    with pytest.raises(BadAnswer, match="unconfirmed subscribers: the answer cannot be used"):
        list(client.subscribers(["name"], with_groups=False))


def test_the_number_of_active_subscribers(sandbox: Sandbox, client: MailerLiteClient) -> None:
    assert client.count_subscribers(["active"]) == 6
    sandbox.faults = [Fault("body", body={"total": None})]
    with pytest.raises(BadAnswer, match="total is no number"):
        client.count_subscribers(["active"])


@pytest.mark.no_cover
def test_another_app_keeps_its_half_of_the_allowance(
    sandbox: Sandbox, client: MailerLiteClient, clock: FakeClock
) -> None:
    """It calls once a second."""
    url = f"{sandbox.settings['MAILERLITE_BASE_URL']}/subscribers?limit=0"
    headers = {"Authorization": f"Bearer {sandbox.mailerlite.token}"}
    statuses: list[int] = []
    next_at = clock.now
    while len(statuses) < 360:
        client.count_subscribers(["active"])
        while next_at <= clock.now:
            statuses.append(requests.get(url, headers=headers, timeout=9).status_code)
            next_at += 1
    assert statuses.count(429) <= 0.02 * len(statuses)
    assert client.http.usage.calls > 150
    assert client.http.usage.retries <= 2


# Fields and groups


def test_all_pages_of_fields_and_groups(
    client: MailerLiteClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailerlite_client, "SAFE_PAGE_SIZE", 3)
    assert client.fields()["z_i_p"] == "text"
    assert len(client.fields()) == 8
    assert client.groups() == {"7": "Shops", "8": "Others"}


def test_a_list_that_ignores_page_numbers(sandbox: Sandbox, client: MailerLiteClient) -> None:
    body = {"data": [{"id": 5, "name": "Shops"}]}
    sandbox.faults = [Fault("body", path="^/groups$", body=body)]
    assert client.groups() == {"5": "Shops"}
    sandbox.faults = [Fault("body", path="^/groups$", body={"data": [{"name": "Shops"}]})]
    with pytest.raises(BadAnswer, match=r"list of groups: .* id is missing"):
        client.groups()


def test_a_field_is_made_under_its_key(sandbox: Sandbox, client: MailerLiteClient) -> None:
    client.create_field("lifetime_value", "number")
    assert client.fields()["lifetime_value"] == "number"
    with pytest.raises(BadAnswer, match="the key of the new field is 'last_2', not 'Last 2'"):
        client.create_field("Last 2", "text")
    before = len(sandbox.requests)
    sandbox.faults = [Fault("reset_after", path="^/fields$")]
    with pytest.raises(ServiceError) as error:  # and not made twice
        client.create_field("another", "number")
    assert error.value.outcome_unknown
    assert len(sandbox.requests) == before + 1


# Writing


def test_a_write_says_nothing_of_a_status(sandbox: Sandbox, client: MailerLiteClient) -> None:
    first = client.upsert("create", JO, {"name": "Jo"}, ["7"])
    second = client.upsert("update", JO, {}, ["8"])
    third = client.upsert("update", JO, {"city": "X"}, [])
    assert (first.status, first.is_new) == ("active", True)
    assert (second.status, second.is_new) == (third.status, third.is_new) == ("active", False)
    assert [request.json() for request in sandbox.writes] == [
        {"email": JO, "fields": {"name": "Jo"}, "groups": ["7"]},
        {"email": JO, "groups": ["8"]},
        {"email": JO, "fields": {"city": "X"}},
    ]
    person = sandbox.mailerlite.subscribers[JO]
    assert (person["fields"], person["groups"]) == ({"name": "Jo", "city": "X"}, ["7", "8"])


def test_who_has_left_is_told_from_refusals(sandbox: Sandbox, client: MailerLiteClient) -> None:
    for number in (2, 3, 4):
        with pytest.raises(Refused) as left:
            client.upsert("update", f"p{number}@mail.example", {"name": "New"}, [])
        assert left.value.kind == SUBSCRIBER_STATUSES[number]
    with pytest.raises(Refused) as error:
        client.upsert("create", "jo@mail", {}, [])
    assert error.value.kind == PERSON
    assert "422 The email must be a valid" in str(error.value)


@pytest.mark.parametrize(
    ("errors", "reasons"),
    [
        ({"groups.1": ["Gone."]}, {"8": "Gone."}),
        ({"groups.2": ["Not sent."]}, {}),
        ({"groups.1": ["Gone."], "email": ["Not valid."]}, {}),
        ({"fields.city": ["Too long."]}, {"city": "Too long."}),
        ({"fields.city": "Too long."}, {"city": "Too long."}),
        ({"fields.city": ["A."], "fields.name": ["B.", "C."]}, {"city": "A.", "name": "B."}),
        ({"fields.city": ["A."], "email": ["Not valid."]}, {}),
        ({"fields.phone": ["Not sent."]}, {}),
        ({"fields": ["Not an object."]}, {}),
        ([], {}),
        (None, {}),
    ],
)
def test_values_and_groups_that_are_refused(
    sandbox: Sandbox, client: MailerLiteClient, errors: Any, reasons: Any
) -> None:
    body = {"message": "The given data was invalid.", "errors": errors}
    sandbox.faults = [Fault("status", status=422, body=body)]
    with pytest.raises(Refused) as error:
        client.upsert("create", JO, {"city": "X", "name": "Jo"}, ["7", "8"])
    kind = GROUPS if "8" in reasons else VALUES if reasons else PERSON
    assert (error.value.kind, error.value.reasons) == (kind, reasons)


def test_only_unsubscribing_sends_a_status(sandbox: Sandbox, client: MailerLiteClient) -> None:
    client.unsubscribe("unsubscribe", "p1@mail.example")
    assert sandbox.mailerlite.subscribers["p1@mail.example"]["status"] == "unsubscribed"
    body = {"data": {"email": "p6@mail.example", "status": "active"}}
    sandbox.faults = [Fault("body", body=body)]
    with pytest.raises(BadAnswer, match="the subscriber is still active"):
        client.unsubscribe("unsubscribe", "p6@mail.example")


@pytest.mark.parametrize("body", ["<html>", "[]", {}, {"data": []}, {"data": {"status": "new"}}])
def test_a_write_that_tells_nothing(sandbox: Sandbox, client: MailerLiteClient, body: Any) -> None:
    sandbox.faults = [Fault("body", path="^/subscribers$", body=body)]
    with pytest.raises(BadAnswer) as error:
        client.upsert("create", JO, {}, [])
    assert error.value.outcome_unknown
    assert len(sandbox.requests) == 1


# People looked up again


def test_people_by_id_and_address_in_one_call(sandbox: Sandbox, client: MailerLiteClient) -> None:
    first = sandbox.mailerlite.subscribers["p1@mail.example"]
    whom = [first["id"], "p2@mail.example", JO, "a+b/c@mail.example"]
    sandbox.mailerlite.add("a+b/c@mail.example", groups=["7"])
    found = client.look_up(whom, ["name"], with_groups=True)
    assert [each and (each.email, each.status, each.fields) for each in map(found.get, whom)] == [
        ("p1@mail.example", "active", {"name": "1"}),
        ("p2@mail.example", "unsubscribed", {"name": "2"}),
        None,
        ("a+b/c@mail.example", "active", {"name": None}),
    ]
    (request,) = sandbox.requests
    assert request.path == "/batch"
    third = found["a+b/c@mail.example"]
    assert third is not None
    assert third.groups == frozenset({"7"})


NO_ROUTE = {"message": f"The route api/subscribers/{JO} could not be found."}


def answers(*responses: Any) -> Callable[[Any], Any]:
    return lambda payload: {**payload, "responses": list(responses)}


def body_of(**more: Any) -> dict[str, Any]:
    person = {"id": "1", "email": JO, "status": "active", "fields": {}, **more}
    return {"code": 200, "body": {"data": person}}


@pytest.mark.parametrize(
    ("response", "is_there"),
    [
        (body_of(), True),
        (body_of(email="JO@mail.example "), True),
        (body_of(deleted_at="2026-11-01 00:00:00"), False),
        ({"code": 404, "body": None}, False),
        *(({"code": code, "body": {}}, None) for code in (401, 429, 500)),
    ],
)
def test_whether_someone_is_there(
    sandbox: Sandbox, client: MailerLiteClient, response: Any, is_there: bool | None
) -> None:
    """None: nothing is said of it."""
    sandbox.faults = [Fault("edit", edit=answers(response))]
    found = client.look_up([JO], [], with_groups=False)
    assert {email: person is not None for email, person in found.items()} == (
        {} if is_there is None else {JO: is_there}
    )


@pytest.mark.parametrize(
    "responses",
    [
        [],
        [body_of(), body_of()],
        [None],
        [{}],
        [{"code": 200, "body": None}],
        [{"code": 200, "body": {"data": []}}],
        [body_of(email="al@mail.example")],
        [body_of(status="new")],
        [{"code": 404, "body": NO_ROUTE}],
    ],
)
def test_a_malformed_answer_about_people(
    sandbox: Sandbox, client: MailerLiteClient, responses: list[Any]
) -> None:
    sandbox.faults = [Fault("edit", edit=answers(*responses))]
    with pytest.raises(BadAnswer, match="subscribers one by one: the answer cannot be used"):
        client.look_up([JO], [], with_groups=False)


def test_who_left_a_group_and_who_did_not(sandbox: Sandbox, client: MailerLiteClient) -> None:
    """Gone is gone, whoever took them out."""
    refused = {"code": 422, "body": {"message": "Not now."}}
    lost = {"code": 404, "body": {"message": "The route api/x could not be found."}}
    responses = [{"code": 204, "body": None}, {"code": 404, "body": None}, refused, None, lost]
    sandbox.faults = [Fault("edit", edit=answers(*responses))]
    left = client.leave_groups([(str(n), "7") for n in range(5)])
    said = [None, None, "(422 Not now.)", "(no reason given)"]
    said.append("(404 The route api/x could not be found.)")
    assert [each and str(each).partition("rejected. ")[2] for each in left] == said
    with pytest.raises(BadAnswer, match="the responses do not match the requests") as error:
        client.leave_groups([("1", "7")])
    assert error.value.outcome_unknown


def test_a_dry_run_looks_nobody_up(sandbox: Sandbox, clock: FakeClock) -> None:
    """The same request could write: nobody needs it before a write."""
    settings = SettingsReader(sandbox.settings, "test").load(mailerlite_settings)
    client = MailerLiteClient(settings, clock, dry_run=True)
    with contextlib.closing(client.http), pytest.raises(RuntimeError, match="would write"):
        client.look_up([JO], [], with_groups=False)
    assert sandbox.requests == []


def test_an_import_without_an_address_for_its_progress() -> None:
    with pytest.raises(ValueError, match="no address for the import's progress"):
        import_key({"import_progress_url": "https://app.mailerlite.example/"})
