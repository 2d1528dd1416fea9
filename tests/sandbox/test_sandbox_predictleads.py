"""The sandbox's PredictLeads keeps PredictLeads' rules."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from sandbox import PredictLeads
from sandbox.faults import HTML_PAGE
from sandbox.predictleads import OddAnswer
from tests.sandbox import sandbox_client
from tests.sandbox.sandbox_client import Client, Serve

pytestmark = pytest.mark.filterwarnings("error")
clock, serve = sandbox_client.clock, sandbox_client.serve


NAMES = {"new.example": "old.example", "blog.old.example": "old.example"}  # of one company
OLD_AND_NEW = {"old.example": None, "new.example": None}
VERSION = {"schema_version": "3.5"}


def followed(count: int) -> dict[str, Any]:
    return {f"shop-{n}.example": None for n in range(count)}


def change(client: Client, verb: str, domain: str, identifier: str | None = None) -> int:
    params = {"custom_company_identifier": identifier}
    return client.predictleads("POST", f"/companies/{domain}/{verb}", params=params).status_code


def page(client: Client, number: int = 1, limit: int = 1000) -> Any:
    params = {"page": number, "limit": limit}
    return client.predictleads("GET", "/followings", params=params).json()


def listed(client: Client, number: int = 1, limit: int = 1000) -> list[str]:
    return [row["domain"] for row in page(client, number, limit)["data"]]


def look_up(client: Client, domain: str) -> Any:
    return client.predictleads("GET", f"/companies/{domain}").json()


def test_both_headers_are_required(serve: Serve) -> None:
    client = serve()
    complete = client.headers["PREDICTLEADS"]
    for headers in ({}, {"X-Api-Key": complete["X-Api-Key"]}, {**complete, "X-Api-Token": "x"}):
        answer = client.predictleads("GET", "/api_subscription", headers=headers)
        assert answer.status_code == 401
        assert answer.json() == {
            "error": {"type": "unauthorized", "message": "Authentication failed."}
        }
    in_query = {"api_key": complete["X-Api-Key"], "api_token": complete["X-Api-Token"]}
    for headers in ({}, complete):
        answer = client.predictleads("GET", "/followings", params=in_query, headers=headers)
        assert answer.status_code == 401


def test_the_subscription_shows_the_quota_for_free(serve: Serve) -> None:
    client = serve(predictleads=PredictLeads(credits_quota=5, credits_used=5, page_cost=1))
    attributes = client.predictleads("GET", "/api_subscription").json()["data"][0]["attributes"]
    assert attributes == {"status": "active", "monthly_credits_quota": 5, "monthly_credits_used": 5}


def test_followings_come_in_pages(serve: Serve) -> None:
    client = serve(predictleads=PredictLeads(followed(130)))
    assert len(client.predictleads("GET", "/followings", params={"page": 1}).json()["data"]) == 100
    client.sandbox.predictleads.max_limit = 50
    default = client.predictleads("GET", "/followings").json()
    assert (len(default["data"]), default["meta"]) == (50, VERSION)
    assert default["data"][0]["domain"] == "shop-0.example"
    last = page(client, 3)
    assert (len(last["data"]), last["meta"]) == (30, {"count": 130, **VERSION})
    assert last["data"][0] == {"domain": "shop-100.example"}
    client.sandbox.predictleads.with_count = False
    assert page(client, 4, 50) == {"data": [], "meta": VERSION}


def test_follow_keeps_the_identifier_and_is_repeatable(serve: Serve) -> None:
    client = serve(predictleads=PredictLeads({"old.example": None}, credits_quota=0))
    path = "/companies/new.example/follow"
    for params in ({"custom_company_identifier": "mine"}, {}):
        answer = client.predictleads("POST", path, params=params)
        assert (answer.status_code, answer.json()["success"]["type"]) == (200, "follow_successful")
    followings = client.sandbox.predictleads.followings
    assert followings == {"old.example": None, "new.example": "mine"}
    assert len(client.sandbox.writes) == 2
    assert client.predictleads("GET", path).status_code == 404


@pytest.mark.parametrize(
    "domain",
    [
        *("www.x.example", "X.example", "https%3A%2F%2Fx.example", "x.example.", "x.example%3A443"),
        *("x", "m%C3%BCnz.example", "192.0.2.1", "unknown.example", "%20x.example", "a@x.example"),
    ],
)
def test_anything_else_is_not_known(serve: Serve, domain: str) -> None:
    client = serve(predictleads=PredictLeads(unknown={"unknown.example"}))
    for verb in ("follow", "unfollow"):
        answer = client.predictleads("POST", f"/companies/{domain}/{verb}")
        assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found")
    assert not client.sandbox.predictleads.followings
    assert not client.sandbox.writes


@pytest.mark.parametrize(
    ("cost", "method", "path", "wrote"),
    [
        ("page_cost", "GET", "/followings", 0),
        ("look_up_cost", "GET", "/companies/shop-0.example", 0),
        ("unfollow_cost", "POST", "/companies/shop-0.example/unfollow", 1),
    ],
)
def test_what_costs_credits_until_none_is_left(
    serve: Serve, cost: str, method: str, path: str, wrote: int
) -> None:
    account = PredictLeads(followed(2), credits_quota=1)
    setattr(account, cost, 1)
    client = serve(predictleads=account)
    answers = [client.predictleads(method, path.replace("0", str(n))) for n in range(2)]
    assert [answer.status_code for answer in answers] == [200, 402]
    assert answers[1].json()["error"]["type"] == "payment_required"
    assert (account.credits_used, len(account.followings)) == (1, 2 - wrote)
    assert len(client.sandbox.writes) == wrote


@pytest.mark.parametrize("status", [200, 404, 422])
def test_what_is_unknown_or_not_followed(serve: Serve, status: int) -> None:
    service = PredictLeads(unfollow_missing=status, unknown={"x.example"}, unknown_status=status)
    client = serve(predictleads=service)
    calls = [("unfollow", "never.example"), ("follow", "x.example"), ("unfollow", "x.example")]
    assert [change(client, *call) for call in calls] == [status] * 3
    assert (service.credits_used, service.followed) == (0, set())


@pytest.mark.parametrize("retry_after", [None, "3"])
def test_too_many_requests(serve: Serve, retry_after: Any) -> None:
    client = serve(predictleads=PredictLeads(requests_per_second=2, retry_after=retry_after))
    answers = [client.predictleads("GET", "/followings") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers.get("Retry-After") == retry_after
    client.clock.now += 1
    assert client.predictleads("GET", "/followings").status_code == 200


# One company, several names


def test_every_name_leads_to_one_company(serve: Serve) -> None:
    redirected = serve(predictleads=PredictLeads(redirects={"old.example": "new.example"}))
    change(redirected, "follow", "old.example", "old.example")
    assert redirected.sandbox.predictleads.followings == {"new.example": "old.example"}
    names = {"older.example": "new.example", **NAMES}
    client = serve(predictleads=PredictLeads(aliases=names))
    service = client.sandbox.predictleads
    assert {service.entity(name) for name in names} == {"old.example"}
    assert service.entity("other.example") == "other.example"
    change(client, "follow", "older.example")
    assert (listed(client), service.followed) == (["older.example"], {"old.example"})
    assert service.rows("blog.old.example") == ["older.example"]
    change(client, "unfollow", "blog.old.example")
    assert (listed(client), service.followed) == ([], set())


@pytest.mark.parametrize(
    ("again", "identifier", "rows"),
    [
        ("keep", "replace", [("old.example", "new"), ("last.example", None)]),
        ("keep", "keep", [("old.example", "old"), ("last.example", None)]),
        ("keep", "drop", [("old.example", None), ("last.example", None)]),
        ("rename", "replace", [("new.example", "new"), ("last.example", None)]),
        ("rename", "keep", [("new.example", "old"), ("last.example", None)]),
        ("rename", "drop", [("new.example", None), ("last.example", None)]),
        ("add", "keep", [("old.example", "old"), ("last.example", None), ("new.example", "new")]),
    ],
)
@pytest.mark.parametrize(
    "names",
    [
        {"aliases": {"new.example": "old.example"}},
        {"redirects": {"old.example": "new.example"}},  # which the row does not have yet
    ],
)
def test_following_by_another_name(
    serve: Serve, names: dict[str, Any], again: Any, identifier: Any, rows: list[Any]
) -> None:
    before = {"old.example": "old", "last.example": None}
    service = PredictLeads(before, follow_again=again, identifier_again=identifier, **names)
    client = serve(predictleads=service)
    assert change(client, "follow", "new.example", "new") == 200
    assert list(service.followings.items()) == rows


@pytest.mark.parametrize(
    ("by_alias", "every_row", "name", "left"),
    [
        (True, True, "new.example", []),
        (True, True, "blog.old.example", []),
        (True, False, "new.example", ["old.example"]),
        (True, False, "old.example", ["new.example"]),
        (True, False, "blog.old.example", ["new.example"]),
        (False, True, "new.example", ["old.example"]),
        (False, False, "blog.old.example", ["old.example", "new.example"]),
    ],
)
def test_unfollowing_one_of_two_rows(
    serve: Serve, by_alias: bool, every_row: bool, name: str, left: list[str]
) -> None:
    service = PredictLeads(
        dict(OLD_AND_NEW),
        aliases=NAMES,
        unfollow_by_alias=by_alias,
        unfollow_all=every_row,
        unfollow_missing=404,
    )
    client = serve(predictleads=service)
    is_unchanged = len(left) == 2
    assert change(client, "unfollow", name) == (404 if is_unchanged else 200)
    assert (listed(client), service.credits_used) == (left, 0 if is_unchanged else 1)


# Odd answers


def test_odd_answers_for_a_verb_or_a_company(serve: Serve) -> None:
    odd = {
        "follow x.example": OddAnswer(500),
        "x.example": OddAnswer(503),
        "follow": OddAnswer(403),
    }
    client = serve(predictleads=PredictLeads(odd_answers=odd))
    statuses = [
        change(client, verb, name)
        for name in ("x.example", "y.example")
        for verb in ("follow", "unfollow")
    ]
    assert statuses == [500, 503, 403, 200]
    assert client.predictleads("GET", "/companies/x.example").status_code == 503
    html = OddAnswer(200, HTML_PAGE, headers=(("Content-Type", "text/html"),))
    client.sandbox.predictleads.odd_answers = {"look_up": html}
    answer = client.predictleads("GET", "/companies/x.example")
    assert answer.headers["Content-Type"] == "text/html"


# Looking a company up


@pytest.mark.parametrize(
    ("shows", "rows", "domain", "redirect"),
    [
        ("redirects_to_domain", {}, "new.example", "old.example"),
        ("redirects_to_domain", {"new.example": None}, "new.example", None),
        ("domain", {}, "old.example", None),
        ("domain", {"new.example": None}, "new.example", None),
        ("entity", {"new.example": None}, "old.example", None),
        ("asked", {"old.example": None}, "new.example", None),
    ],
)
def test_where_a_look_up_names_the_row(
    serve: Serve, shows: Any, rows: dict[str, Any], domain: str, redirect: str | None
) -> None:
    client = serve(predictleads=PredictLeads(rows, aliases=NAMES, look_up_shows=shows))
    answer = look_up(client, "new.example")
    assert answer["data"][0]["attributes"]["domain"] == domain
    assert answer["meta"]["redirects_to_domain"] == redirect
    assert answer["data"][0]["id"] == look_up(client, "old.example")["data"][0]["id"]


def test_looking_up_what_is_not_known(serve: Serve) -> None:
    client = serve(predictleads=PredictLeads(unknown={"x.example"}))
    assert look_up(client, "x.example")["error"]["type"] == "not_found"
    client.sandbox.predictleads.look_up_unknown = 200
    assert look_up(client, "x.example")["data"] == []


# What the list shows


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({}, [{"custom_company_identifier": "mine"}, {}]),
        (
            {"null_identifiers": True},
            [{"custom_company_identifier": "mine"}, {"custom_company_identifier": None}],
        ),
        ({"with_identifiers": False}, [{}, {}]),
        (
            {"with_identifiers": False, "null_identifiers": True},
            [{"custom_company_identifier": None}] * 2,
        ),
    ],
)
def test_identifiers_in_the_list(serve: Serve, options: dict[str, Any], shown: list[Any]) -> None:
    rows = {"a.example": "mine", "b.example": None}
    client = serve(predictleads=PredictLeads(rows, **options))
    data = page(client)["data"]
    assert [{**row, "domain": ""} for row in data] == [{"domain": "", **own} for own in shown]


@pytest.mark.parametrize("hidden", ["old.example", "new.example"])
def test_followed_and_never_listed(serve: Serve, hidden: str) -> None:
    service = PredictLeads({"a.example": None}, aliases=NAMES, unlisted={hidden})
    client = serve(predictleads=service)
    change(client, "follow", "new.example")
    assert listed(client) == ["a.example"]
    assert page(client)["meta"]["count"] == 1
    assert service.followed == {"a.example", "old.example"}
    service.unlisted.clear()
    assert listed(client) == ["a.example", "new.example"]


BOTH, NEITHER = ["a.example", "b.example"], ["a.example"]


@pytest.mark.parametrize(
    ("lagging", "seen"),
    [
        (("follow", "unfollow"), [NEITHER, NEITHER, BOTH, BOTH, BOTH, NEITHER]),
        (("follow",), [NEITHER, NEITHER, BOTH, NEITHER, NEITHER, NEITHER]),
        (("unfollow",), [BOTH, BOTH, BOTH, BOTH, BOTH, NEITHER]),
    ],
)
@pytest.mark.parametrize("lag", ["reads", "seconds"])
def test_the_list_lags(
    serve: Serve, lag: str, lagging: tuple[str, ...], seen: list[list[str]]
) -> None:
    service = PredictLeads({"a.example": None}, lagging=lagging)
    service.lag_reads, service.lag_s = (2, 0.0) if lag == "reads" else (0, 3.0)
    client = serve(predictleads=service)
    read = []
    for verb in ("follow", "unfollow"):
        change(client, verb, "b.example")
        for _ in range(3):
            assert listed(client, 2, 5) == []  # only the first page is a read
            client.clock.now += 1
            read.append(listed(client))
    assert read == seen


def test_a_change_shows_as_late_as_it_is_told(serve: Serve) -> None:
    """What is taken back before it is listed never shows; without a lag even a read under way shows
    a change."""
    client = serve(predictleads=PredictLeads({"a.example": None}, lag_reads=1))
    for verb in ("follow", "unfollow"):
        change(client, verb, "b.example")
    assert [listed(client) for _ in range(3)] == [NEITHER] * 3
    client.sandbox.predictleads.lag_reads = 0
    assert listed(client, 1, 1) == NEITHER
    change(client, "follow", "new.example")
    assert listed(client, 2, 1) == ["new.example"]


def test_a_new_name_and_a_new_identifier_lag_too(serve: Serve) -> None:
    service = PredictLeads({"old.example": "old"}, aliases=NAMES, lag_reads=1)
    client = serve(predictleads=service)
    service.follow_again = "rename"
    change(client, "follow", "new.example", "new")
    shown = [page(client)["data"] for _ in range(2)]
    assert shown == [
        [{"domain": "old.example", "custom_company_identifier": "old"}],
        [{"domain": "new.example", "custom_company_identifier": "new"}],
    ]


def test_rows_spelled_otherwise_or_listed_twice(serve: Serve) -> None:
    service = PredictLeads(followed(2), listed_twice={"shop-0.example"})
    service.spelling = {"shop-0.example": "WWW.Shop-0.example"}
    client = serve(predictleads=service)
    twice = "WWW.Shop-0.example"
    assert listed(client) == [twice, "shop-1.example", twice]
    assert page(client)["meta"]["count"] == 3
    change(client, "unfollow", "shop-0.example")
    assert listed(client) == ["shop-1.example"]


def test_an_order_of_its_own_for_every_request(serve: Serve) -> None:
    client = serve(predictleads=PredictLeads(followed(20), shuffle=random.Random(7)))
    orders = [listed(client) for _ in range(5)]
    assert len({tuple(order) for order in orders}) == 5
    assert {frozenset(order) for order in orders} == {frozenset(followed(20))}


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ({}, [5, 5, 5, 5]),
        ({"count_off": -1}, [4, 4, 4, 4]),
        ({"count_of": "page"}, [2, 2, 1, 0]),
        ({"count_missing": {1, 3}}, [None, 5, None, 5]),
        ({"with_count": False}, [None, None, None, None]),
    ],
)
def test_counts(serve: Serve, options: dict[str, Any], counts: list[Any]) -> None:
    client = serve(predictleads=PredictLeads(followed(5), **options))
    assert [page(client, n, 2)["meta"].get("count") for n in range(1, 5)] == counts


@pytest.mark.parametrize(
    ("options", "pages"),
    [
        ({}, [[0, 1], [2, 3], [4], []]),
        ({"paging": "first"}, [[0, 1]] * 4),
        ({"paging": "all"}, [[0, 1, 2, 3, 4]] * 4),
        ({"repeats": {2: 1}}, [[0, 1], [0, 1], [4], []]),
        ({"repeats": {1: 1, 4: 1}}, [[0, 1], [2, 3], [4], [4]]),
    ],
)
def test_pages(serve: Serve, options: dict[str, Any], pages: list[list[int]]) -> None:
    client = serve(predictleads=PredictLeads(followed(5), **copy.deepcopy(options)))
    names = [[f"shop-{n}.example" for n in numbers] for numbers in pages]
    assert [listed(client, number, 2) for number in range(1, 5)] == names
    if "repeats" in options:
        assert listed(client, 2, 2) == ["shop-2.example", "shop-3.example"]


@pytest.mark.parametrize("status", [200, 400, 404])
def test_a_page_past_the_end(serve: Serve, status: int) -> None:
    client = serve(predictleads=PredictLeads(past_the_end=status))
    statuses = [
        client.predictleads("GET", "/followings", params={"page": n}).status_code for n in (1, 2)
    ]
    assert statuses == [200, status]
