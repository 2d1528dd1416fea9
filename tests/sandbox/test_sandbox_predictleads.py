"""The sandbox's PredictLeads keeps PredictLeads' rules."""

from __future__ import annotations

from typing import Any, Dict

import pytest

from sandbox import PredictLeads
from tests.sandbox import sandbox_client
from tests.sandbox.sandbox_client import Serve

pytestmark = pytest.mark.filterwarnings("error")
clock, serve = sandbox_client.clock, sandbox_client.serve


def followed(count: int) -> Dict[str, Any]:
    return {f"shop-{n}.example": None for n in range(count)}


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
    assert attributes == {
        "status": "active",
        "monthly_credits_quota": 5,
        "monthly_credits_used": 5,
    }


def test_followings_come_in_pages(serve: Serve) -> None:
    client = serve(predictleads=PredictLeads(followed(130), max_limit=50))
    default = client.predictleads("GET", "/followings").json()
    assert (len(default["data"]), default["meta"]) == (50, {})
    assert default["data"][0]["domain"] == "shop-0.example"
    last = client.predictleads("GET", "/followings", params={"page": 3, "limit": 1000}).json()
    assert (len(last["data"]), last["meta"]) == (30, {"count": 130})
    assert last["data"][0] == {"domain": "shop-100.example", "custom_company_identifier": None}
    client.sandbox.predictleads.with_count = False
    beyond = client.predictleads("GET", "/followings", params={"page": 4, "limit": 50}).json()
    assert beyond == {"data": [], "meta": {}}


def test_the_default_limit_is_a_hundred(serve: Serve) -> None:
    client = serve(predictleads=PredictLeads(followed(130)))
    assert len(client.predictleads("GET", "/followings", params={"page": 1}).json()["data"]) == 100


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
    "domain", ["x.example", "x%2Eexample", "xn--mnz-hoa.example", "a-b.co.test"]
)
def test_a_bare_domain_is_followed(serve: Serve, domain: str) -> None:
    client = serve()
    assert client.predictleads("POST", f"/companies/{domain}/follow").status_code == 200


@pytest.mark.parametrize(
    "domain",
    [
        "www.x.example",
        "X.example",
        "https%3A%2F%2Fx.example",
        "x.example.",
        "x.example%3A443",
        "x",
        "m%C3%BCnz.example",
        "192.0.2.1",
        "unknown.example",
        "%20x.example",
        "a@x.example",
    ],
)
def test_anything_else_is_not_known(serve: Serve, domain: str) -> None:
    client = serve(predictleads=PredictLeads(unknown={"unknown.example"}))
    for verb in ("follow", "unfollow"):
        answer = client.predictleads("POST", f"/companies/{domain}/{verb}")
        assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found")
    assert not client.sandbox.predictleads.followings
    assert not client.sandbox.writes


def test_a_redirected_company_is_listed_under_its_new_domain(serve: Serve) -> None:
    client = serve(predictleads=PredictLeads(redirects={"old.example": "new.example"}))
    params = {"custom_company_identifier": "old.example"}
    client.predictleads("POST", "/companies/old.example/follow", params=params)
    assert client.sandbox.predictleads.followings == {"new.example": "old.example"}
    client.predictleads("POST", "/companies/new.example/unfollow")
    assert client.sandbox.predictleads.followings == {}


def test_unfollowing_costs_a_credit_until_none_is_left(serve: Serve) -> None:
    client = serve(predictleads=PredictLeads(followed(3), credits_quota=2))
    statuses = [
        client.predictleads("POST", f"/companies/shop-{n}.example/unfollow").status_code
        for n in range(3)
    ]
    assert statuses == [200, 200, 402]
    assert client.sandbox.predictleads.followings == {"shop-2.example": None}
    assert client.sandbox.predictleads.credits_used == 2
    assert len(client.sandbox.writes) == 2


def test_pages_can_cost_credits(serve: Serve) -> None:
    client = serve(predictleads=PredictLeads(followed(1), credits_quota=1, page_cost=1))
    answers = [client.predictleads("GET", "/followings") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 402]
    assert answers[1].json()["error"]["type"] == "payment_required"


@pytest.mark.parametrize("status", [200, 404, 422])
def test_unfollowing_what_is_not_followed(serve: Serve, status: int) -> None:
    client = serve(predictleads=PredictLeads(unfollow_missing=status))
    answer = client.predictleads("POST", "/companies/never.example/unfollow")
    assert answer.status_code == status
    assert client.sandbox.predictleads.credits_used == 0


@pytest.mark.parametrize("retry_after", [None, "3"])
def test_too_many_requests(serve: Serve, retry_after: Any) -> None:
    client = serve(predictleads=PredictLeads(requests_per_second=2, retry_after=retry_after))
    answers = [client.predictleads("GET", "/followings") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers.get("Retry-After") == retry_after
    client.clock.now += 1
    assert client.predictleads("GET", "/followings").status_code == 200


def test_the_list_moves_while_it_is_read(serve: Serve) -> None:
    client = serve(predictleads=PredictLeads(followed(4)))
    params = {"page": "1", "limit": "2"}
    first = client.predictleads("GET", "/followings", params=params).json()
    del client.sandbox.predictleads.followings["shop-0.example"]
    second = client.predictleads("GET", "/followings", params={**params, "page": "2"}).json()
    read = [row["domain"] for row in first["data"] + second["data"]]
    assert read == ["shop-0.example", "shop-1.example", "shop-3.example"]
