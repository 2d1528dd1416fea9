"""The list decides: whatever PredictLeads and HubSpot answer, one run comes out right and says the
truth, and the next one has nothing to do."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from pathlib import Path
from typing import Any, Callable, Mapping, Optional

import pytest

import sync
from core.words import count
from sandbox import Fault, HubSpot, PredictLeads, Request, Sandbox
from sandbox.predictleads import OddAnswer
from tests.helpers import MATCH, Ended, FakeClock

pytestmark = pytest.mark.no_cover  # other tests reach the same lines

OLD, NEW = "old.example", "new.example"
SEARCH = "/companies/search$"
DAY_S = 86_400
SHOWS = ("redirects_to_domain", "domain", "entity", "asked")

Rows = Mapping[str, Optional[str]]


def shop(domain: str | None, **values: str | None) -> dict[str, str | None]:
    return {"name": "A shop", "domain": domain, **MATCH, **values}


def gone(domain: str) -> dict[str, str | None]:
    """A company that does not match any more."""
    return shop(domain, ecommerce_platform="wix")


def make(
    clock: FakeClock, companies: list[dict[str, str | None]], rows: Rows, **switches: Any
) -> Sandbox:
    """`switches`: attributes of the sandbox's PredictLeads."""
    predictleads = PredictLeads(dict(rows), credits_quota=10_000, requests_per_second=None)
    for name, value in switches.items():
        assert hasattr(predictleads, name)
        setattr(predictleads, name, value)
    return Sandbox(HubSpot(companies), predictleads, clock=clock)


def asked(requests: list[Request]) -> list[str]:
    """What was asked of PredictLeads about single companies."""
    return [f"{each.method} {each.path}" for each in requests if "/companies/" in each.path[:11]]


def run_once(clock: FakeClock, sandbox: Sandbox, *flags: str, **settings: str) -> Ended:
    """The first of two runs; the second one writes, asks and says nothing."""
    first = clock.run(sync.main, sandbox, "--max-unfollow", "100%", *flags, **settings)
    assert "Traceback" not in first.text
    before = len(sandbox.requests)
    again = clock.run(sync.main, sandbox, "-q", *flags, **settings)
    assert (again.code, again.text, asked(sandbox.requests[before:])) == (0, "", [])
    return first


def statuses(outcome: Ended, key: str) -> dict[str, str]:
    return {row["domain"]: row["status"] for row in outcome.report[key]}


def all_listed(number: int) -> str:
    matching = count(number, "matching company", "matching companies")
    return f"Checked: PredictLeads now follows exactly the {matching}.\n"


# 1. One company, two names

ONE_COMPANY: list[dict[str, Any]] = [
    {"redirects": {OLD: NEW}},
    {"redirects": {NEW: OLD}},
    {"aliases": {OLD: NEW}, "unfollow_all": False},
]


FOLLOW_AGAIN = ("keep", "rename", "add")
# No identifier, its own one, and one that is not handed back.
ROWS = ((None, True), (OLD, True), (OLD, False))


@pytest.mark.parametrize("names", range(len(ONE_COMPANY)))
@pytest.mark.parametrize("again", range(len(FOLLOW_AGAIN)))
@pytest.mark.parametrize("shows", range(len(SHOWS)))
def test_a_rebranded_shop(clock: FakeClock, names: int, again: int, shows: int) -> None:
    """Every row meets every two of the other switches."""
    row, with_identifiers = ROWS[(names + again + shows) % len(ROWS)]
    switches = {"with_identifiers": with_identifiers, "follow_again": FOLLOW_AGAIN[again]}
    switches.update({"look_up_shows": SHOWS[shows], **ONE_COMPANY[names]})
    with make(clock, [shop(NEW)], {OLD: row}, **switches) as sandbox:
        outcome = run_once(clock, sandbox)
        assert sandbox.predictleads.followed == {sandbox.predictleads.entity(NEW)}
        unfollows = [each for each in sandbox.writes if each.path.endswith("/unfollow")]
        assert not unfollows or FOLLOW_AGAIN[again] == "add"  # which makes a second row
    is_listed = outcome.out.endswith(all_listed(1))
    assert (outcome.code, outcome.report["checked_after"]["missing"]) == (0, [NEW][is_listed:])
    if SHOWS[shows] in ("entity", "asked") and not with_identifiers:  # which tell nothing
        assert is_listed or statuses(outcome, "unfollow") == {OLD: "held_back"}
    else:
        assert is_listed


@pytest.mark.parametrize("status", [404, 422])
@pytest.mark.parametrize("rows", [{}, {"other.example": None}])
def test_of_the_refused_only_some_are_asked_for(clock: FakeClock, rows: Rows, status: int) -> None:
    domains = [f"shop-{n:02}.example" for n in range(30)]
    switches = {"unknown": set(domains), "unknown_status": status}
    with make(clock, list(map(shop, domains)), rows, **switches) as sandbox:
        outcome = run_once(clock, sandbox)
        assert ("Looking up the other domains of 20 companies." in outcome.err) is bool(rows)
        look_ups = [each for each in asked(sandbox.requests) if each.startswith("GET ")]
        assert look_ups == [f"GET /companies/{domain}" for domain in domains[: 20 * len(rows)]]
        assert sandbox.predictleads.followings == rows  # which may be one of the other ten
        clock.now += 7 * DAY_S
        clock.run(sync.main, sandbox)
        assert sandbox.predictleads.followings == {}


@pytest.mark.parametrize("earlier", [[], ["--no-unfollow"]])
@pytest.mark.parametrize("shows", SHOWS[:3])
def test_a_shop_under_its_main_name(clock: FakeClock, shows: str, earlier: list[str]) -> None:
    """Following the other name is answered with 404, as if nobody knew it: by this run, or by one
    that unfollowed nothing."""
    no = {"follow new.example": OddAnswer(404)}
    switches = {"redirects": {NEW: OLD}, "odd_answers": no, "look_up_shows": shows}
    with make(clock, [shop(NEW)], {OLD: None, "other.example": None}, **switches) as sandbox:
        if earlier:
            clock.run(sync.main, sandbox, *earlier)
        outcome = run_once(clock, sandbox)
        assert set(sandbox.predictleads.followings) == {OLD}
    assert (outcome.code, outcome.out.endswith(all_listed(1))) == (0, True)


@pytest.mark.parametrize("status", [404, 422])
def test_a_refused_company_is_not_called_accepted_later(clock: FakeClock, status: int) -> None:
    """PredictLeads knows it by its own name, and does not tell of the rows."""
    odd = {f"follow {NEW}": OddAnswer(status)}
    odd.update({f"look_up {row}": OddAnswer(404) for row in ("y.example", "z.example")})
    with make(
        clock, [shop(NEW), shop("a.example")], {"z.example": None}, odd_answers=odd
    ) as sandbox:
        first = clock.run(sync.main, sandbox, "--max-unfollow", "100%")
        sandbox.predictleads.followings["y.example"] = None
        second = clock.run(sync.main, sandbox, "--max-unfollow", "100%")
        assert set(sandbox.predictleads.followings) == {"a.example"}
    assert statuses(first, "unfollow") == {"z.example": "done"}
    assert statuses(second, "unfollow") == {"y.example": "done"}


@pytest.mark.parametrize("shows", SHOWS)
def test_a_shop_that_is_rebranded_between_two_runs(clock: FakeClock, shows: str) -> None:
    """The first run has followed it by its old domain, under which it stays listed."""
    names = {"aliases": {OLD: NEW}, "look_up_shows": shows, "identifier_again": "keep"}
    with make(clock, [shop(OLD)], {}, **names) as sandbox:
        clock.run(sync.main, sandbox)
        (key,) = sandbox.hubspot.table("companies")
        sandbox.hubspot.edit("companies", key, domain=NEW)
        outcome = run_once(clock, sandbox)
        assert sandbox.predictleads.followings == {OLD: OLD}
    is_told = shows in ("redirects_to_domain", "domain")
    assert (outcome.code, outcome.out.endswith(all_listed(1))) == (0, is_told)
    assert statuses(outcome, "unfollow") == {OLD: "held_back"}


def test_a_rebranded_shop_is_followed_again_while_another_is_in_doubt(clock: FakeClock) -> None:
    """HubSpot knows its row as another company, which does not match."""
    switches: dict[str, Any] = {"aliases": {OLD: NEW}, "look_up_shows": "entity"}
    switches.update({"unknown": {"odd.example"}, "unknown_status": 200, "with_identifiers": False})
    companies, rows = [shop(NEW), gone(OLD), shop("odd.example")], {OLD: None, "z.example": None}
    with make(clock, companies, rows, **switches) as sandbox:
        outcome = run_once(clock, sandbox, "--max-unfollow", "100%")
        assert set(sandbox.predictleads.followings) == {NEW, "z.example"}
    assert statuses(outcome, "unfollow") == {OLD: "done", "z.example": "held_back"}
    assert outcome.report["checked_after"]["missing"] == ["odd.example"]


@pytest.mark.parametrize("with_identifiers", [True, False])
@pytest.mark.parametrize("names", ["subdomain", "two as one", "20 of 100"])
def test_companies_with_two_names(clock: FakeClock, names: str, with_identifiers: bool) -> None:
    pairs = {
        "subdomain": {"shop.brand.example": "brand.example"},
        "two as one": {"one.example": "two.example"},
        "20 of 100": {f"new-{n}.example": f"old-{n}.example" for n in range(20)},
    }[names]
    others = [f"shop-{n}.example" for n in range(80)]
    wanted = [*pairs, *others, *(["two.example"] if names == "two as one" else [])]
    rows = dict.fromkeys([*pairs.values(), *others])
    switches: dict[str, Any] = {"redirects": pairs, "with_identifiers": with_identifiers}
    with make(clock, [shop(each) for each in wanted], rows, **switches) as sandbox:
        outcome = run_once(clock, sandbox)
        assert sandbox.predictleads.followed == {*pairs.values(), *others}
        assert not [each for each in sandbox.writes if each.path.endswith("/unfollow")]
    assert (outcome.code, outcome.out.endswith(all_listed(len(wanted)))) == (0, True)


@pytest.mark.parametrize("shows", SHOWS)
def test_the_last_row_of_a_company_is_followed_again(clock: FakeClock, shows: str) -> None:
    """Two rows of one company, of which one is wanted: an unfollow of the other takes both."""
    names = {"aliases": {OLD: NEW}, "look_up_shows": shows, "with_identifiers": False}
    with make(clock, [shop(NEW), gone(OLD)], {OLD: None, NEW: None}, **names) as sandbox:
        outcome = run_once(clock, sandbox)
        assert sandbox.predictleads.followings == {NEW: NEW}
    assert (outcome.code, statuses(outcome, "unfollow")) == (0, {OLD: "done"})


@pytest.mark.parametrize(("status", "came"), [(200, "followed"), (403, "not followed (failed)")])
def test_the_history_of_following_again(clock: FakeClock, status: int, came: str) -> None:
    with make(clock, [shop(NEW), gone(OLD)], {NEW: NEW, OLD: OLD}, aliases={OLD: NEW}) as sandbox:
        sandbox.predictleads.odd_answers[f"follow {NEW}"] = OddAnswer(status, done=status == 200)
        clock.run(sync.main, sandbox, "--max-unfollow", "100%")
        told = clock.run(sync.main, sandbox, "--explain", NEW)
    assert f"  Earlier runs: {came} on 21 Nov 2026.\n" in told.out


def test_a_company_that_cannot_be_followed_again_is_no_success(clock: FakeClock) -> None:
    names = {"aliases": {OLD: NEW}, "look_up_shows": "asked", "with_identifiers": False}
    with make(clock, [shop(NEW), gone(OLD)], {OLD: None, NEW: None}, **names) as sandbox:
        sandbox.faults = [Fault("status", path=f"{NEW}/follow$", status=403)]
        outcome = clock.run(sync.main, sandbox, "--max-unfollow", "100%")
        sandbox.faults = []
        assert clock.run(sync.main, sandbox).code == 0
        assert sandbox.predictleads.followings == {NEW: NEW}
    assert (outcome.code, outcome.report["checked_after"]["missing"]) == (4, [NEW])
    assert "Done in part" in outcome.out
    assert f"{NEW}  PredictLeads, follow {NEW}: not allowed" in outcome.out
    assert f"Missing: {NEW}." in outcome.out


def test_a_company_that_was_never_listed_is_not_lost(clock: FakeClock) -> None:
    """It is followed again after the unfollow, in case that took it along."""
    with make(clock, [shop(NEW), gone(OLD)], {OLD: OLD}, unlisted={NEW}) as sandbox:
        sandbox.faults = [Fault("status", path=f"{NEW}/follow$", nth=2, status=422)]
        outcome = clock.run(sync.main, sandbox, "--max-unfollow", "100%")
        assert sandbox.faults[0].seen >= 2
    assert (outcome.code, statuses(outcome, "follow")) == (0, {NEW: "unlisted"})
    assert statuses(outcome, "unfollow") == {OLD: "done"}


@pytest.mark.parametrize("lag", [{"lag_reads": 3}, {"lag_s": 29.0}])
def test_a_name_told_before_the_list_shows_it(clock: FakeClock, lag: dict[str, Any]) -> None:
    """The list is late with a row of another name, and its identifier is not handed back."""
    switches = {"redirects": {NEW: OLD}, "with_identifiers": False, **lag}
    with make(clock, [shop(NEW)], {"z.example": None}, **switches) as sandbox:
        outcome = run_once(clock, sandbox)
        assert sandbox.predictleads.followed == {OLD}
    assert (outcome.code, outcome.out.endswith(all_listed(1))) == (0, True)


def test_a_name_is_remembered_even_when_the_list_shows_it_only_later(clock: FakeClock) -> None:
    switches = {"redirects": {NEW: OLD}, "with_identifiers": False, "lag_s": 60.0}
    with make(clock, [shop(NEW), shop("a.example")], {"a.example": None}, **switches) as sandbox:
        outcome = clock.run(sync.main, sandbox)
        assert statuses(outcome, "follow") == {NEW: "unlisted"}
        assert (outcome.code, outcome.report["checked_after"]["missing"]) == (0, [NEW])
        clock.now += 60
        assert clock.run(sync.main, sandbox).report["outcome"] == "in_sync"
        assert sandbox.predictleads.followed == {OLD, "a.example"}


# The question after a name brings none


NO_ANSWER = {
    "404": OddAnswer(404),
    "empty": OddAnswer(200, {"data": [], "meta": {}}),
    "no credits": OddAnswer(402),
    "no right": OddAnswer(403),
    "fault": OddAnswer(500),
    "no JSON": OddAnswer(200, b"<html>"),
}


@pytest.mark.parametrize("answer", NO_ANSWER.values(), ids=NO_ANSWER.keys())
def test_what_nobody_knows_is_held_back(clock: FakeClock, answer: OddAnswer) -> None:
    switches: dict[str, Any] = {
        "aliases": {OLD: NEW},
        "with_identifiers": False,
        "odd_answers": {"look_up": answer},
    }
    companies = [shop(NEW), gone("wix.example")]
    with make(clock, companies, {OLD: None, "wix.example": None}, **switches) as sandbox:
        outcome = run_once(clock, sandbox)
        assert set(sandbox.predictleads.followings) == {OLD}
        assert statuses(outcome, "follow") == {NEW: "unlisted"}
        assert statuses(outcome, "unfollow") == {OLD: "held_back", "wix.example": "done"}
        assert outcome.code == 0
        assert f"it may be {NEW}, which PredictLeads accepted" in outcome.out
        waiting = clock.run(sync.main, sandbox).report["waiting"]
        assert [(row["domain"], row["asked_again_on"]) for row in waiting] == [(NEW, "2026-11-28")]
        clock.now += 7 * DAY_S
        clock.run(sync.main, sandbox, "--max-unfollow", "100%")
        assert sandbox.predictleads.followed == {NEW}  # and not the row: it was unfollowed, at last
        assert set(sandbox.predictleads.followings) == {NEW}


def test_a_conflict_may_say_that_the_company_is_followed_already(clock: FakeClock) -> None:
    """Under which name, nobody tells."""
    odd = {"follow new.example": OddAnswer(409), "look_up": OddAnswer(402)}
    with make(clock, [shop(NEW)], {OLD: None}, aliases={OLD: NEW}, odd_answers=odd) as sandbox:
        outcome = run_once(clock, sandbox)
        assert set(sandbox.predictleads.followings) == {OLD}
    assert statuses(outcome, "unfollow") == {OLD: "held_back"}
    assert (outcome.code, statuses(outcome, "follow")) == (4, {NEW: "failed"})


def test_a_follow_that_was_not_paid_for_says_nothing_about_the_company(clock: FakeClock) -> None:
    """It may be listed under the name of any row, until it is asked for again."""
    names = {"aliases": {OLD: NEW}, "look_up_shows": "asked", "with_identifiers": False}
    with make(clock, [shop(NEW)], {OLD: None}, **names) as sandbox:
        sandbox.faults = [Fault("status", path="/follow$", status=402, times=1)]
        for wait_s in (0, 60, 7 * DAY_S, 60):
            clock.now += wait_s
            outcome = clock.run(sync.main, sandbox, "--max-unfollow", "100%")
            assert sandbox.predictleads.followed == {NEW}
        assert outcome.code == 0


def test_what_is_taken_along_and_not_followed_again_is_tried_by_the_next_run(
    clock: FakeClock,
) -> None:
    """Once listed, it is not refused for days."""
    names = {"aliases": {OLD: NEW}, "follow_again": "add", "unfollow_all": True}
    switches = {**names, "look_up_shows": "asked", "with_identifiers": False}
    with make(clock, [shop(NEW)], {OLD: None}, **switches) as sandbox:
        sandbox.faults = [Fault("status", path="/follow$", status=403, nth=2, times=1)]
        outcome = clock.run(sync.main, sandbox, "--max-unfollow", "100%")
        assert (outcome.code, outcome.report["checked_after"]["missing"]) == (4, [NEW])
        outcome = clock.run(sync.main, sandbox)
        assert outcome.out.endswith(all_listed(1))


@pytest.mark.parametrize("days", ["0", "1"])
def test_doubt_ends_when_its_days_are_over(clock: FakeClock, days: str) -> None:
    switches = {"unlisted": {NEW}, "look_up_unknown": 404, "unknown": {NEW}, "unknown_status": 200}
    with make(clock, [shop(NEW)], {"z.example": None}, **switches) as sandbox:
        flags = ("--max-unfollow", "100%")
        clock.run(sync.main, sandbox, *flags, ASK_AGAIN_DAYS=days)
        assert set(sandbox.predictleads.followings) == {"z.example"}
        clock.now += int(days) * DAY_S + 1
        clock.run(sync.main, sandbox, *flags, ASK_AGAIN_DAYS=days)
        assert set(sandbox.predictleads.followings) == set()


@pytest.mark.parametrize("others", [[], ["nobody-knows.example"]])
@pytest.mark.parametrize("shows", SHOWS)
def test_the_row_that_a_follow_made_stays(clock: FakeClock, shows: str, others: list[str]) -> None:
    """HubSpot has a company of that name, which does not match. Where nothing is told of it, the
    row is left alone for a while."""
    missing = sorted([NEW, *others]) if shows == "asked" else others
    names = {"redirects": {NEW: OLD}, "look_up_shows": shows, "with_identifiers": False}
    unknown = {"unknown": set(others), "unknown_status": 200}
    companies = [gone(OLD), *map(shop, [NEW, *others])]
    with make(clock, companies, {"z.example": None}, **names, **unknown) as sandbox:
        outcome = run_once(clock, sandbox)
        assert outcome.report["checked_after"]["missing"] == missing
        assert OLD in sandbox.predictleads.followed


@pytest.mark.parametrize("lag_reads", [0, 2])
def test_two_companies_that_a_follow_lists_in_turn(clock: FakeClock, lag_reads: int) -> None:
    """PredictLeads knows them as one, and gives its row the name that is followed last."""
    names = {"aliases": {NEW: OLD}, "follow_again": "rename", "with_identifiers": False}
    names.update({"look_up_shows": "asked", "lag_reads": lag_reads})
    with make(clock, [shop(NEW), shop(OLD)], {OLD: None}, **names) as sandbox:
        assert run_once(clock, sandbox).out.endswith(all_listed(2))


def test_a_company_that_takes_the_row_of_another_when_it_is_followed_again(
    clock: FakeClock,
) -> None:
    """Its own row goes with the removals; then it takes that of the other, under its old name."""
    names: dict[str, Any] = {"redirects": {NEW: OLD}, "aliases": {"also.example": OLD}}
    names.update({"look_up_shows": "asked", "with_identifiers": False, "follow_again": "rename"})
    names.update({"unfollow_by_alias": False, "unfollow_all": False})
    rows = dict.fromkeys([OLD, "also.example"])
    with make(clock, [shop(NEW), shop("also.example")], rows, **names) as sandbox:
        assert statuses(run_once(clock, sandbox), "unfollow") == {OLD: "held_back"}
        clock.now += 8 * DAY_S
        assert run_once(clock, sandbox).out.endswith(all_listed(2))


def test_a_row_of_which_nothing_is_told_is_not_asked_for_on_every_run(clock: FakeClock) -> None:
    """Of the company that is accepted and not listed the service does tell a name: its own."""
    odd = {"look_up z.example": OddAnswer(404)}
    with make(clock, [shop(NEW)], {"z.example": None}, unlisted={NEW}, odd_answers=odd) as sandbox:
        outcome = run_once(clock, sandbox)
        assert statuses(outcome, "unfollow") == {"z.example": "held_back"}
        clock.now += 7 * DAY_S
        clock.run(sync.main, sandbox, "--max-unfollow", "100%")
        assert set(sandbox.predictleads.followings) == {NEW}


def test_a_reason_is_the_same_as_that_of_the_line_above(clock: FakeClock) -> None:
    companies = [shop(f"{each}.example") for each in "abcd"]
    unlisted = {"a.example", "b.example", "d.example"}
    with make(clock, companies, {}, unlisted=unlisted, unknown={"c.example"}) as sandbox:
        lines = run_once(clock, sandbox).out.split("had problems:\n")[1].splitlines()[:4]
    accepted = "PredictLeads accepted it but does not list it yet"
    assert [line[15:] for line in (lines[0], lines[1], lines[3])] == [
        accepted,
        "the same",
        accepted,
    ]


# 2 to 6. Which companies stay, and why


def test_a_second_look_that_promises_more_than_it_shows_unfollows_nothing(clock: FakeClock) -> None:
    domains = [f"shop-{n}.example" for n in range(9)]
    with make(clock, [shop(each) for each in domains], dict.fromkeys(domains)) as sandbox:
        sandbox.hubspot.stale = {key: gone(domains[key - 101]) for key in range(101, 106)}
        is_second_look: list[bool] = []

        def note(request: Request) -> None:
            if b"CONTAINS_TOKEN" in request.body:
                is_second_look.append(True)

        def empty(page: Any) -> Any:
            return {**page, "total": 5, "results": []} if is_second_look else page

        sandbox.on_request = note
        sandbox.faults = [Fault("edit", path=SEARCH, edit=empty)]
        outcome = clock.run(sync.main, sandbox, "--max-unfollow", "100%")
        assert sandbox.writes == []
    assert (outcome.code, "HubSpot counts 5 companies, but returned 0" in outcome.err) == (1, True)


SPELLED = (
    *("https://shop.example/de", "shop.example/", "shop.example.", " shop.example"),
    *("shop.example:443", "//shop.example", "www.www.shop.example", "HTTPS://WWW.Shop.Example/?a"),
)


@pytest.mark.parametrize("text", SPELLED)
def test_the_second_look_finds_a_domain_however_written(clock: FakeClock, text: str) -> None:
    with make(clock, [shop(text), shop("a.example")], {"shop.example": None}) as sandbox:
        sandbox.hubspot.stale = {101: shop(text, alexa="5000000")}
        outcome = run_once(clock, sandbox)
        assert "shop.example" in sandbox.predictleads.followings
        assert outcome.report["kept"][0]["reason"] == (
            "a company in HubSpot with this domain matches after all"
        )
        sandbox.hubspot.stale = {}
        sandbox.hubspot.edit("companies", 101, ecommerce_platform="wix")
        outcome = clock.run(sync.main, sandbox, "--max-unfollow", "100%")
        assert (
            outcome.report["unfollow"][0]["reason"]
            == "its E-commerce platform is wix, and only Shopify or Magento 2 match"
        )
        assert set(sandbox.predictleads.followings) == {"a.example"}


UNUSABLE = {
    "shop.example, shop.test": "shop.test",
    "info@shop.example": "shop.example",
    "https:shop.example": "shop.example",
    "i❤.ws": "xn--i-7iq.ws",
}


@pytest.mark.parametrize(("text", "row"), UNUSABLE.items())
def test_an_unusable_field_keeps_its_company(clock: FakeClock, text: str, row: str) -> None:
    with make(clock, [shop(text), shop("a.example")], {row: None}) as sandbox:
        outcome = run_once(clock, sandbox)
        assert set(sandbox.predictleads.followings) == {row, "a.example"}
    assert outcome.report["skipped"][0]["hubspot_id"] == 101
    reason = f"the domain of a matching company in HubSpot is {text!r}"
    assert outcome.report["kept"] == [{"domain": row, "reason": reason}]


def test_hubspot_is_asked_again_after_the_follows(clock: FakeClock) -> None:
    with make(clock, [shop(NEW), gone("late.example")], {"late.example": None}) as sandbox:

        def match_again(request: Request) -> None:
            if request.path.endswith("/follow"):
                sandbox.hubspot.edit("companies", 102, **MATCH)

        sandbox.on_request = match_again
        outcome = run_once(clock, sandbox)
        assert set(sandbox.predictleads.followings) == {NEW, "late.example"}
    assert statuses(outcome, "unfollow") == {"late.example": "held_back"}
    assert outcome.code == 0


def test_a_row_that_has_gone_is_not_unfollowed_by_its_old_name(clock: FakeClock) -> None:
    """PredictLeads would take it for the wanted company."""
    names = {"aliases": {OLD: NEW}, "follow_again": "rename"}
    with make(clock, [shop(NEW)], {OLD: None}, **names) as sandbox:
        outcome = run_once(clock, sandbox)
        assert asked(sandbox.requests) == [f"POST /companies/{NEW}/follow"]
    assert statuses(outcome, "unfollow") == {OLD: "no_longer_listed"}
    assert "Done: followed 1 company, unfollowed 0," in outcome.out


@pytest.mark.parametrize("text", ["b.example", "x.test; WWW.b.example/", "https://b.example"])
def test_a_company_that_is_followed_under_an_additional_domain(clock: FakeClock, text: str) -> None:
    companies = [shop("a.example", hs_additional_domains=text)]
    with make(clock, companies, {"b.example": None}) as sandbox:
        assert run_once(clock, sandbox).report["outcome"] == "in_sync"
        assert sandbox.writes == []


def test_companies_that_share_the_additional_domain_that_is_followed(clock: FakeClock) -> None:
    companies = [shop(f"{name}.example", hs_additional_domains="x.test") for name in "ab"]
    with make(clock, companies, {"x.test": None}) as sandbox:
        outcome = run_once(clock, sandbox)
        assert sandbox.predictleads.followings == {"x.test": None}
    assert outcome.report["outcome"] == "in_sync"


def moved(hubspot: HubSpot) -> None:
    hubspot.edit("companies", 101, domain=NEW)


def deleted(hubspot: HubSpot) -> None:
    hubspot.archive("companies", 101)


def merged(hubspot: HubSpot) -> None:
    hubspot.companies[102]["name"] = "The heir"
    new = hubspot.merge("companies", 102, 101)
    hubspot.edit("companies", new, hs_additional_domains="")


WHY = [
    (moved, f"its domain in HubSpot is now {NEW}"),
    (deleted, "it was deleted in HubSpot"),
    (merged, "it was merged into The heir in HubSpot"),
]


@pytest.mark.parametrize(("change", "reason"), WHY)
def test_the_reason_is_that_of_the_record(
    clock: FakeClock, change: Callable[[HubSpot], None], reason: str
) -> None:
    rows = {"was.example": None, "heir.example": None}
    with make(clock, [shop("was.example"), shop("heir.example")], rows) as sandbox:
        sandbox.hubspot.index_lag_s = 30.0
        clock.run(sync.main, sandbox)
        change(sandbox.hubspot)
        clock.now += 31
        outcome = run_once(clock, sandbox)
        assert "was.example" not in sandbox.predictleads.followings
    assert outcome.report["unfollow"][0]["reason"] == reason


def test_a_merge_that_no_search_finds_yet_is_no_deletion(clock: FakeClock) -> None:
    rows = {"a.example": None, "b.example": None, "c.example": None}
    with make(clock, [shop(domain) for domain in rows], rows) as sandbox:
        run_once(clock, sandbox)
        sandbox.hubspot.index_lag_s = 30.0
        sandbox.hubspot.merge("companies", 101, 102)
        outcome = run_once(clock, sandbox)
        assert (outcome.report["outcome"], sandbox.writes) == ("in_sync", [])
        assert [row["domain"] for row in outcome.report["kept"]] == ["a.example", "b.example"]


# 7 to 9. What PredictLeads answers, and what it does

SAYS_NO = [{"success": False}, {"status": "error"}, {"success": {"type": "follow_failed"}}]


@pytest.mark.parametrize("is_done", [True, False])
@pytest.mark.parametrize("body", SAYS_NO)
def test_a_2xx_that_says_no(clock: FakeClock, body: dict[str, Any], is_done: bool) -> None:
    odd = {"follow": OddAnswer(200, body, is_done)}
    with make(
        clock, [shop(NEW), shop("a.example")], {"a.example": None}, odd_answers=odd
    ) as sandbox:
        outcome = run_once(clock, sandbox)
        assert (NEW in sandbox.predictleads.followings) is is_done
    assert statuses(outcome, "follow") == {NEW: "done" if is_done else "failed"}
    assert outcome.code == (0 if is_done else 4)
    missing = [] if is_done else [NEW]
    assert outcome.report["checked_after"] == {
        "listed": 1 + is_done,
        "missing": missing,
        "unwanted": [],
    }


@pytest.mark.parametrize("is_followed", [True, False])
def test_accepted_and_never_listed(clock: FakeClock, is_followed: bool) -> None:
    odd = (
        {}
        if is_followed
        else {"follow": OddAnswer(200, {"success": {"type": "follow_successful"}})}
    )
    switches = {"unlisted": {NEW}, "odd_answers": odd}
    with make(clock, [shop(NEW)], {"z.example": None}, **switches) as sandbox:
        outcome = run_once(clock, sandbox)
        accepted = {NEW} if is_followed else set()
        assert sandbox.predictleads.followed == {*accepted, "z.example"}
        assert outcome.code == 0
        assert statuses(outcome, "follow") == {NEW: "unlisted"}
        assert statuses(outcome, "unfollow") == {"z.example": "held_back"}
        assert "Done: followed 0 companies, unfollowed 0," in outcome.out
        assert outcome.out.endswith(
            f"now follows 0 of 1 matching company. Missing: {NEW}."
            " Still followed but no longer matching: z.example.\n"
        )
        clock.now += 7 * DAY_S
        assert statuses(clock.run(sync.main, sandbox), "unfollow") == {"z.example": "done"}
        assert sandbox.predictleads.followed == accepted
        again = clock.run(sync.main, sandbox)
        assert again.out.endswith(
            "Nothing to do for now: 0 of 1 matching company is followed, 1 is waiting.\n"
        )
        sandbox.predictleads.unlisted = set()
        sandbox.predictleads.followings = {NEW: None}
        assert clock.run(sync.main, sandbox).report["waiting"] == []


LOST = [OddAnswer(500, done=True), OddAnswer(503, done=True), OddAnswer(404, done=True)]


@pytest.mark.parametrize("answer", LOST, ids=["500", "503", "404"])
@pytest.mark.parametrize("verb", ["follow", "unfollow"])
def test_what_was_done_counts(clock: FakeClock, verb: str, answer: OddAnswer) -> None:
    with make(clock, [shop(NEW)], {"z.example": None}, odd_answers={verb: answer}) as sandbox:
        outcome = run_once(clock, sandbox)
        assert set(sandbox.predictleads.followings) == {NEW}
    assert (outcome.code, outcome.report["outcome"]) == (0, "synced")
    assert "Nothing was changed" not in outcome.err
    assert outcome.out.endswith(all_listed(1))


def test_a_check_that_fails_is_told(clock: FakeClock) -> None:
    with make(clock, [shop(NEW)], {}) as sandbox:
        sandbox.faults = [Fault("status", path="^/followings$", nth=2, times=99)]
        outcome = clock.run(sync.main, sandbox)
        assert set(sandbox.predictleads.followings) == {NEW}
        told = clock.run(sync.main, sandbox, "--history")
    assert (outcome.code, outcome.report["outcome"]) == (4, "partial")
    assert statuses(outcome, "follow") == {NEW: "sent"}
    assert "The result was not checked: PredictLeads, list of followings" in outcome.out
    assert "done in part: 1 sent, not confirmed\n" in told.out


def test_no_doubt_is_left_once_the_list_shows_the_company(clock: FakeClock) -> None:
    """The first run could not tell whether its follow was carried out, nor under which name."""
    odd = {"look_up": OddAnswer(404)}
    with make(clock, [shop(NEW)], {"z.example": None}, odd_answers=odd) as sandbox:
        sandbox.faults = [Fault("status", path=f"{NEW}/follow$")]
        assert statuses(clock.run(sync.main, sandbox), "unfollow") == {"z.example": "held_back"}
        sandbox.faults = []
        run_once(clock, sandbox)
        assert sandbox.predictleads.followings == {NEW: NEW}


def test_the_list_is_checked_even_when_the_credits_end(clock: FakeClock) -> None:
    switches: dict[str, Any] = {"unlisted": {OLD}, "credits_quota": 1}
    companies = [shop(NEW), shop(OLD), gone("z.example")]
    with make(clock, companies, {"z.example": None}, **switches) as sandbox:
        outcome = clock.run(sync.main, sandbox)
    assert statuses(outcome, "follow") == {NEW: "done", OLD: "unlisted"}
    assert (outcome.code, statuses(outcome, "unfollow")) == (4, {"z.example": "failed"})
    checked = {"listed": 2, "missing": [OLD], "unwanted": ["z.example"]}
    assert outcome.report["checked_after"] == checked


def test_without_credits_the_rest_waits_and_is_told_once(clock: FakeClock) -> None:
    rows = {f"z-{n}.example": None for n in range(7)}
    flags = ("-q", "--max-unfollow", "100%")
    with make(clock, [shop(NEW)], rows, credits_quota=0) as sandbox:
        outcome = clock.run(sync.main, sandbox, *flags)
        assert (outcome.code, NEW in sandbox.predictleads.followings) == (4, True)
        assert outcome.text.count("This month's credits are used up") == 1
        assert "Not enough credits: about 7 are needed, 0 are left this month." in outcome.out
        assert outcome.report["checked_after"]["unwanted"] == [*rows]
        again = clock.run(sync.main, sandbox, *flags)
        assert (again.code, again.text) == (0, "")
        assert "FIX  No credits are left this month" in clock.run(sync.main, sandbox, "--check").out
        clock.now += 8 * DAY_S
        assert "This month's credits are used up" in clock.run(sync.main, sandbox, *flags).out
        sandbox.predictleads.credits_quota = 100
        assert (
            "The next run will unfollow the companies that are waiting."
            in clock.run(sync.main, sandbox, "--check").out
        )
        assert clock.run(sync.main, sandbox, *flags).report["counts"]["done"] == 7
        assert "unfollowed" not in clock.run(sync.main, sandbox, "--check").out


def test_a_refused_plan_that_stays_the_same_is_told_in_full_once(clock: FakeClock) -> None:
    rows = {f"z-{n}.example": None for n in range(7)}
    with make(clock, [shop(NEW)], rows) as sandbox:
        first = clock.run(sync.main, sandbox, "-q")
        again = clock.run(sync.main, sandbox, "-q")
        sandbox.predictleads.followings["more.example"] = None
        changed = clock.run(sync.main, sandbox, "-q")
        assert (sandbox.writes, first.code, again.code, changed.code) == ([], 3, 3, 3)
    assert "z-0.example" in first.out
    assert again.text.strip() == (
        "21 Nov 2026, 08:00 UTC  Stopped as a precaution, as before. Nothing was changed: This run"
        " would unfollow 7 of 7 companies (100.0%). The limit is 20%."
    )
    assert "more.example" in changed.out


def test_unknown_companies_are_news_once_and_count_against_no_limit(clock: FakeClock) -> None:
    strange = [f"strange-{n:02}.example" for n in range(15)]
    companies = [shop(each) for each in ["a.example", *strange]]
    with make(clock, companies, {"a.example": None}, unknown=set(strange)) as sandbox:
        outcome = run_once(clock, sandbox)
        assert set(statuses(outcome, "follow").values()) == {"unknown"}
        assert (outcome.code, outcome.report["checked_after"]["missing"]) == (0, strange)
        sandbox.hubspot.add("companies", shop(NEW))
        outcome = clock.run(sync.main, sandbox, "--max-follow", "10")
        assert (outcome.code, NEW in sandbox.predictleads.followings) == (0, True)
        line = "15 companies are waiting and will be retried on 28 Nov 2026:"
        assert line in outcome.out
        assert outcome.report["waiting"][0]["reason"].endswith("(404 not_found: Company not found)")
        again = clock.run(sync.main, sandbox, "--max-follow", "10", ASK_AGAIN_DAYS="0")
        assert (again.code, set(statuses(again, "follow").values())) == (0, {"unknown"})
        sandbox.predictleads.unknown = set()
        assert clock.run(sync.main, sandbox, ASK_AGAIN_DAYS="0").code == 0
        assert sandbox.predictleads.followed == {"a.example", NEW, *strange}


# 10 and 11. Lists and counts

LISTS: dict[str, dict[str, Any]] = {
    "no order, no count, small pages": {"shuffle": 1, "with_count": False, "max_limit": 4},
    "no order, a count, small pages": {"shuffle": 2, "max_limit": 4},
    "a count off by one": {"count_off": 1},
    "a count off by one, small pages": {"count_off": -1, "max_limit": 3},
    "the count of the page": {"count_of": "page", "max_limit": 5},
    "404 past the end": {"past_the_end": 404, "max_limit": 5},
    "400 past the end": {"past_the_end": 400, "with_count": False},
    "every page the first": {"paging": "first"},
    "every page the whole list": {"paging": "all", "with_count": False},
    "a page that comes twice": {"repeats": {2: 1}, "max_limit": 5, "with_count": False},
    "rows twice": {"listed_twice": {"shop-3.example", "z-1.example"}},
    "spelled otherwise": {"spelling": {"shop-1.example": "WWW.Shop-1.example."}},
    "nulls": {"null_identifiers": True, "with_identifiers": False},
}


@pytest.mark.parametrize("switches", LISTS.values(), ids=LISTS.keys())
def test_the_list_is_read_whole(clock: FakeClock, switches: dict[str, Any]) -> None:
    wanted = [f"shop-{n}.example" for n in range(14)]
    rows = dict.fromkeys([*wanted[:9], "z-1.example", "z-2.example"])
    if "shuffle" in switches:
        switches = {**switches, "shuffle": random.Random(switches["shuffle"])}
    with make(clock, [shop(each) for each in wanted], rows, **switches) as sandbox:
        outcome = run_once(clock, sandbox)
        assert sandbox.predictleads.followed == set(wanted)
    assert (outcome.code, outcome.out.endswith(all_listed(14))) == (0, True)
    told = [line for line in outcome.report["summary"] if "says there are" in line]
    assert bool(told) is bool({"count_off", "count_of"} & set(switches))


def test_companies_that_hubspot_counts_and_does_not_show(clock: FakeClock) -> None:
    def count_more(page: Any) -> Any:
        return {**page, "total": page["total"] + 5}

    with make(clock, [shop("a.example")], {"a.example": None}) as sandbox:
        sandbox.faults = [Fault("edit", path=SEARCH, edit=count_more)]
        outcome = run_once(clock, sandbox)
    assert outcome.code == 0
    assert outcome.report["summary"][0].startswith(
        "HubSpot counts 5 companies more than it returned"
    )


# What it costs


@pytest.mark.parametrize("left", [4, 3, 2, 1, -500])
def test_the_plan_says_what_it_costs(clock: FakeClock, left: int) -> None:
    switches = {"credits_used": 10_000 - left}
    rows = {"y.example": None, "z.example": None}
    with make(clock, [shop("a.example")], rows, **switches) as sandbox:
        outcome = clock.run(sync.main, sandbox, "--dry-run")
    words = "Unfollowing 2 companies will use about 2 credits"
    assert f"{words} ({max(left, 0)} of 10,000 left this month)." in outcome.out
    enough = f"Not enough credits: about 2 are needed, {max(left, 0)} "
    assert (enough in outcome.out) is (left < 2)
    assert ("Perhaps not enough credits: up to 3 are needed if" in outcome.out) is (left == 2)


def test_nothing_is_asked_for_unfollows_that_are_not_made(clock: FakeClock) -> None:
    """Once several follows in a row have failed, no further change is sent."""
    shops, rows = [shop(f"shop-{n}.example") for n in range(3)], {"z.example": None}
    with make(clock, [*shops, shop("a.example")], {**rows, "a.example": None}) as sandbox:
        sandbox.faults = [Fault("status", path="/follow$", status=403)]
        outcome = clock.run(sync.main, sandbox, "--max-unfollow", "100%")
        assert not [each for each in asked(sandbox.requests) if each.startswith("GET ")]
    assert (outcome.code, statuses(outcome, "unfollow")) == (1, {"z.example": "not_reached"})


def test_no_kept_row_is_asked_about(clock: FakeClock) -> None:
    """Though any row may be the company that is accepted and not listed."""
    with make(clock, [shop(NEW)], {"kept.example": None}, unlisted={NEW}) as sandbox:
        run_once(clock, sandbox, "--keep", "kept.example")
        assert "GET /companies/kept.example" not in asked(sandbox.requests)


def test_a_run_that_writes_reads_the_list_at_most_twice_more(clock: FakeClock) -> None:
    with make(clock, [shop(NEW)], {"z.example": None}) as sandbox:
        run_once(clock, sandbox)
        reads = [each for each in sandbox.requests if each.query.get("page") == "1"]
        assert len(reads) == 3 + 1  # the last is that of the second run


# The memory only explains and saves calls

BROKEN = {"lost": None, "no file of ours": b"something else", "empty": b""}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("with_identifiers", [True, False])
def test_every_run_ends_right_without_its_memory(
    clock: FakeClock, tmp_path: Path, content: bytes | None, with_identifiers: bool
) -> None:
    path = tmp_path / "memory.sqlite3"
    switches = {"redirects": {NEW: OLD}, "with_identifiers": with_identifiers}
    with make(clock, [shop(NEW)], {OLD: None, "z.example": None}, **switches) as sandbox:
        for _ in range(2):
            if content is not None:
                path.write_bytes(content)
            flags = ("--state", str(path), "--max-unfollow", "100%")
            assert clock.run(sync.main, sandbox, *flags).code == 0
            assert set(sandbox.predictleads.followings) == {OLD}
            for each in tmp_path.glob("memory.sqlite3*"):
                each.unlink()


def test_a_memory_that_breaks_is_told_once(clock: FakeClock, tmp_path: Path) -> None:
    path = tmp_path / "memory.sqlite3"
    domains = {f"shop-{n}.example" for n in range(60)}
    follows: list[Request] = []

    def damage(request: Request) -> None:
        follows.extend([request] if request.path.endswith("/follow") else [])
        if len(follows) == 1:
            with contextlib.closing(sqlite3.connect(path)) as file:
                file.execute("DROP TABLE IF EXISTS change")

    with make(clock, list(map(shop, domains)), {"z.example": None}) as sandbox:
        sandbox.on_request = damage
        outcome = clock.run(sync.main, sandbox, "--max-unfollow", "100%", "--state", str(path))
        assert sandbox.predictleads.followings.keys() == domains
        sandbox.on_request = None
        assert clock.run(sync.main, sandbox, "-q", "--state", str(path)).text == ""
    assert (outcome.code, outcome.err.count("Cannot use")) == (0, 1)
    assert "no such table: change. It is now" in outcome.err


def test_the_memory_of_another_account_is_not_used(clock: FakeClock, tmp_path: Path) -> None:
    path = str(tmp_path / "memory.sqlite3")
    with make(clock, [shop(NEW)], {}) as sandbox:
        assert clock.run(sync.main, sandbox, "--state", path).code == 0
        sandbox.predictleads.api_key = "key-of-another-account"
        outcome = clock.run(sync.main, sandbox, "--state", path)
    assert (outcome.code, "is the run history of another account" in outcome.err) == (0, True)


def test_a_name_that_is_not_true_any_more_is_found_out(clock: FakeClock) -> None:
    """The companies were one, and then PredictLeads told them apart."""
    switches: dict[str, Any] = {"redirects": {NEW: OLD}, "with_identifiers": False}
    with make(clock, [shop(NEW), shop(OLD)], {}, **switches) as sandbox:
        run_once(clock, sandbox)
        assert set(sandbox.predictleads.followings) == {OLD}
        sandbox.predictleads.redirects = {}
        clock.now += 8 * DAY_S
        run_once(clock, sandbox)
        assert set(sandbox.predictleads.followings) == {OLD, NEW}


def test_names_that_cannot_be_asked_for_again_will_do(clock: FakeClock) -> None:
    """a.example is kept under its own name, and not listed: there is no other one to ask for."""
    names = {"b.example": "c.example", "d.example": "e.example"}
    companies, rows = [shop(each) for each in ("a.example", *names)], dict.fromkeys(names.values())
    switches = {"redirects": names, "with_identifiers": False}
    with make(clock, companies, rows, unlisted={"a.example"}, **switches) as sandbox:
        run_once(clock, sandbox)
        clock.now += 8 * DAY_S
        sandbox.predictleads.odd_answers = {"look_up": OddAnswer(403)}
        before = len(sandbox.requests)
        outcome = run_once(clock, sandbox)
        looked_up = [each for each in asked(sandbox.requests[before:]) if each.startswith("GET")]
        assert looked_up == ["GET /companies/b.example", "GET /companies/a.example"]
        assert sandbox.predictleads.followed == {"a.example", *rows}
    assert statuses(outcome, "follow") == {"a.example": "unlisted"}
