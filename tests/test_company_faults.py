"""What the fields and lists of real accounts hold beside clean values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import sync
from core.addresses import named_domains, normalise_domain
from sandbox import Fault
from sandbox.core import Window
from tests.helpers import FAST, FakeClock, make


@pytest.mark.parametrize("mark", "\u200e\u200f\u061c\u202a\u202e\u2066\u2069\ufffc\u200b")
def test_invisible_marks_are_no_part_of_a_domain(mark: str) -> None:
    for text in (f"{mark}acme.example", f"acme{mark}.example", f"https://acme.example{mark}/"):
        assert normalise_domain(text) == "acme.example"
        assert named_domains(f"{text}; b.example") == {"acme.example", "b.example"}


@pytest.mark.parametrize(
    "text",
    [
        "https://a.example/ https://b.example/",
        "a.example/, b.example/",
        "a.example / b.example",
        "a.example\uff0cb.example",
        "a.example\u3001b.example/",
        "https://a.example/\uff1bb.example",
        "a.example/|b.example",
    ],
)
def test_several_domains_are_skipped_and_protected(clock: FakeClock, text: str) -> None:
    assert normalise_domain(text) is None
    with make([1], [1], clock) as sandbox:
        company = {**sandbox.hubspot.companies[101], "domain": text}
        sandbox.hubspot.companies[102] = company
        sandbox.predictleads.followings.update({"a.example": None, "b.example": None})
        outcome = clock.run(sync.main, sandbox, **FAST)
        assert {"a.example", "b.example"} < sandbox.predictleads.followings.keys()
    assert "names several domains" in outcome.report["skipped"][0]["reason"]


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("https://www.linkedin.com/company/x", "linkedin.com"),
        ("admin.shopify.com/store/x", "admin.shopify.com"),
        ("myshopify.com", "myshopify.com"),
        ("gmail.com", "gmail.com"),
    ],
)
def test_a_shared_host_is_skipped_and_protected(clock: FakeClock, text: str, host: str) -> None:
    """It does not stand for a company that has it as an additional domain, either."""
    with make([1, 2], [1], clock) as sandbox:
        sandbox.hubspot.companies[102]["hs_additional_domains"] = text
        for key in (103, 104):
            sandbox.hubspot.companies[key] = {**sandbox.hubspot.companies[101], "domain": text}
        assert clock.run(sync.main, sandbox, **FAST).report["counts"]["skipped"] == 2
        assert set(sandbox.predictleads.followings) == {"shop-1.example", "shop-2.example"}
        sandbox.predictleads.followings[host] = None
        outcome = clock.run(sync.main, sandbox, **FAST)
        explained = clock.run(sync.main, sandbox, "--explain", host).report["explain"][0]
        assert host in sandbox.predictleads.followings
    reason = f"{host} is shared by many companies"
    assert [row["reason"] for row in outcome.report["skipped"]] == [reason] * 2
    assert outcome.report["shared"] == []
    assert explained["next"] == "nothing"


def test_a_path_with_commas_and_blanks_is_no_second_domain() -> None:
    for text in ("shop.example/a,b.html", "https://shop.example/my page", "shop.example/?q=a b"):
        assert normalise_domain(text) == "shop.example"


def test_a_rank_that_cannot_be_read(clock: FakeClock) -> None:
    outcome, followed = run_with_answer(clock, {"alexa": "about 7"})
    assert followed == {"shop-1.example"}
    assert outcome.report["unfollow"] == []
    reason = "its Alexa rank is not a number: about 7"
    assert [row["reason"] for row in outcome.report["skipped"]] == [reason]
    assert outcome.report["kept"] == [{"domain": "shop-1.example", "reason": reason}]


@pytest.mark.parametrize("name", ["domain", "alexa", "ecommerce_platform"])
def test_a_property_that_was_asked_for_and_is_in_no_row(clock: FakeClock, name: str) -> None:
    outcome, followed = run_with_answer(clock, {name: ...})
    assert (outcome.code, followed) == (1, {"shop-1.example"})
    assert f"HubSpot did not send {name}" in outcome.err


def run_with_answer(clock: FakeClock, values: dict[str, Any]) -> tuple[Any, set[str]]:
    """HubSpot gives the followed company these values; `...`: the answers lack the property."""

    def edit(answer: Any) -> Any:
        for row in answer["results"]:
            changed = {**row["properties"], **values}
            row["properties"] = {name: each for name, each in changed.items() if each is not ...}
        return answer

    with make([1], [1], clock) as sandbox:
        sandbox.faults = [Fault("edit", path="/companies/search$", edit=edit)]
        outcome = clock.run(sync.main, sandbox, "--allow-empty", "--max-unfollow", "9", **FAST)
        return outcome, set(sandbox.predictleads.followings)


def test_a_row_without_a_domain_is_told(clock: FakeClock) -> None:
    rows = [{"domain": None}, {"domain": "shop-1.example"}]
    with make([1, 2], [1], clock) as sandbox:
        body = {"data": rows, "meta": {"count": 2}}
        sandbox.faults = [Fault("body", path="^/followings$", body=body, times=1)]
        outcome = clock.run(sync.main, sandbox, "--dry-run", **FAST)
    assert outcome.code == 0
    reason = "PredictLeads follows a company without a domain"
    assert [row["reason"] for row in outcome.report["skipped"]] == [reason]
    with make([1, 2], [1], clock) as sandbox:
        sandbox.predictleads.followings["localhost"] = None
        out = clock.run(sync.main, sandbox, **FAST).out
    assert out.endswith("Checked: PredictLeads now follows all 2 matching companies.\n")


def test_a_page_as_identifier_stands_for_nobody(clock: FakeClock) -> None:
    with make([1], [1], clock) as sandbox:
        page = "https://shop-1.example/contacts/1"
        sandbox.predictleads.followings["gone.example"] = page
        outcome = clock.run(sync.main, sandbox, "--max-unfollow", "1", **FAST)
        assert set(sandbox.predictleads.followings) == {"shop-1.example"}
    assert outcome.code == 0


def test_an_identifier_against_the_own_domain(clock: FakeClock) -> None:
    with make([1, 2], [1], clock) as sandbox:
        sandbox.predictleads.followings["shop-1.example"] = "shop-2.example"
        assert clock.run(sync.main, sandbox, **FAST).code == 0
        assert set(sandbox.predictleads.followings) == {"shop-1.example", "shop-2.example"}


@pytest.mark.parametrize("known_by", ["identifier", "additional domain", "run history"])
def test_keep_protects_a_company_under_each_of_its_names(clock: FakeClock, known_by: str) -> None:
    with make([1, 2], [], clock) as sandbox:
        company, followings = sandbox.hubspot.companies[101], sandbox.predictleads.followings
        company["domain"] = "old.example"
        clock.run(sync.main, sandbox, **FAST)
        company.update(domain="new.example", ecommerce_platform="wix")
        if known_by == "additional domain":
            company["hs_additional_domains"] = "old.example"
            run_history().unlink()
        elif known_by == "identifier":
            followings["old.example"] = "new.example"
            sandbox.hubspot.archive("companies", 101)
            run_history().unlink()
        clock.now += 60
        keep = ("--max-unfollow", "100%", "--keep", "new.example")
        outcome = clock.run(sync.main, sandbox, *keep, **FAST)
        explained = clock.run(sync.main, sandbox, *keep, "--explain", "old.example")
        assert "old.example" in followings
        assert clock.run(sync.main, sandbox, *keep[:2], **FAST).report["counts"]["done"] == 1
    reason = "kept on purpose (--keep or KEEP_FOLLOWING)"
    assert outcome.report["kept"] == [{"domain": "old.example", "reason": reason}]
    assert explained.report["explain"][0]["reason"] == reason


def run_history() -> Path:
    """The run history of the one account."""
    return next(Path.home().rglob("*.sqlite3"))


def test_predictleads_at_20_calls_a_minute(clock: FakeClock) -> None:
    """It does not say how long to wait."""
    with make([*range(60)], [], clock) as sandbox:
        service = sandbox.predictleads
        service._window, service.requests_per_second = Window(60), 20
        outcome = clock.run(sync.main, sandbox)
        assert len(service.followings) == 60
    assert (outcome.code, outcome.report["outcome"]) == (0, "synced")
