"""Why? What `sync.py` tells of single companies and of earlier runs."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any, Callable

import pytest

import sync
import sync_subscribers
from companies.apply import Application
from sandbox import HubSpot, MailerLite, PredictLeads, Request, Sandbox
from sandbox.predictleads import OddAnswer
from tests.helpers import FAST, MATCH, PATIENCE_S, Ended, FakeClock, real_time, start

DAY_S = 86_400


def world(clock: FakeClock, companies: list[dict[str, Any]], *followed: str) -> Sandbox:
    predictleads = PredictLeads(dict.fromkeys(followed), requests_per_second=None)
    return Sandbox(HubSpot(companies), predictleads, clock=clock)


def shop(domain: str | None, **values: Any) -> dict[str, Any]:
    return {"name": "A shop", "domain": domain, **MATCH, **values}


ANSWERS: dict[str, Any] = {
    "to follow": ([shop("a.example")], [], "follow", "it matches and is not followed yet"),
    "followed": ([shop("a.example")], ["a.example"], "nothing", "matches and is already followed"),
    "it would be unfollowed": (
        [shop("a.example", alexa="1000000")],
        ["a.example"],
        "unfollow",
        "its Alexa rank is 1,000,000, and only values under 1,000,000 match",
    ),
    "nobody knows it": ([], [], "nothing", "no company in HubSpot has this domain"),
    "followed, and nobody knows it": ([], ["a.example"], "unfollow", "no company in HubSpot"),
    "an additional domain": (
        [shop("b.example", hs_additional_domains="x.example; a.example")],
        ["b.example"],
        "nothing",
        "it matches and is already followed",
    ),
    "no domain": ([shop("info@a.example")], [], "skip", "in HubSpot is not a domain"),
    "no domain, followed": ([shop("info@a.example")], ["a.example"], "nothing", "HubSpot is 'info"),
    "it does not match": (
        [shop("a.example", ecommerce_platform="wix", alexa=None)],
        [],
        "nothing",
        "its E-commerce platform is wix, and only Shopify or Magento 2 match; it has no Alexa rank",
    ),
}


@pytest.mark.parametrize(
    ("companies", "followed", "coming", "reason"), ANSWERS.values(), ids=ANSWERS.keys()
)
def test_each_answer(
    clock: FakeClock, companies: list[dict[str, Any]], followed: list[str], coming: str, reason: str
) -> None:
    with world(clock, companies, *followed) as sandbox:
        outcome = clock.run(sync.main, sandbox, "--explain", "https://www.A.example/de")
        assert sandbox.writes == []
    assert outcome.code == 0
    (told,) = outcome.report["explain"]
    assert (told["domain"], told["next"]) == ("a.example", coming)
    assert reason in told["reason"]
    assert reason in outcome.out
    assert list(Path.home().iterdir()) == []


def test_what_is_told_of_a_company(clock: FakeClock) -> None:
    with world(clock, [shop("a.example"), shop("c.example")], "b.example") as sandbox:
        clock.run(sync.main, sandbox)
        sandbox.hubspot.companies[101]["ecommerce_platform"] = "woocommerce"
        clock.now += 11 * DAY_S
        clock.run(sync.main, sandbox)
        outcome = clock.run(sync.main, sandbox, "--explain", "a.example", "--explain", "b.example")
    reason = "its E-commerce platform is WooCommerce, and only Shopify or Magento 2 match"
    facts = {"ecommerce_platform": "woocommerce", "alexa": "1"}
    assert outcome.report["explain"][0]["hubspot"][0]["facts"] == facts
    assert outcome.out.splitlines()[:10] == [
        "a.example",
        f"  Next run: nothing will change. Reason: {reason}.",
        "  HubSpot: A shop, id 101, https://app.hubspot.com/contacts/12345/record/0-2/101 has this"
        f" domain; E-commerce platform WooCommerce, Alexa rank 1. It does not match: {reason}.",
        "  PredictLeads: it is not followed.",
        f"  Earlier runs: followed on 21 Nov 2026; unfollowed on 2 Dec 2026: {reason}.",
        "",
        "b.example",
        "  Next run: nothing will change. Reason: no company in HubSpot has this domain.",
        "  HubSpot has no company with this domain.",
        "  PredictLeads: it is not followed.",
    ]


def test_what_is_remembered_of_a_company(clock: FakeClock) -> None:
    companies = [shop("new.example"), shop("nobody-knows.example")]
    with world(clock, companies, "old.example") as sandbox:
        service = sandbox.predictleads
        service.redirects["new.example"], service.with_identifiers = "old.example", False
        service.unknown.add("nobody-knows.example")
        clock.run(sync.main, sandbox)
        clock.now += DAY_S
        flags = [text for each in companies for text in ("--explain", each["domain"])]
        outcome = clock.run(sync.main, sandbox, *flags)
    assert "  PredictLeads: it is followed as old.example.\n" in outcome.out
    new, unknown = (row["remembered"] for row in outcome.report["explain"])
    assert new == "PredictLeads listed it as old.example on 21 Nov 2026."
    assert unknown.startswith(
        "It has been waiting since 21 Nov 2026: PredictLeads, follow nobody-knows"
    )
    assert f"  {new}\n" in outcome.out
    assert f"  {unknown}\n" in outcome.out


def test_a_word_that_is_no_domain(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        sync.main(["--explain", "nothing"])
    assert ended.value.code == 2
    assert "must be a domain such as shop.example" in capsys.readouterr().err


@pytest.mark.parametrize("main", [sync.main, sync_subscribers.main])
def test_one_run_answers_one_question(
    clock: FakeClock, main: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    who = "jo@a.example" if main is sync_subscribers.main else "a.example"
    with pytest.raises(SystemExit) as ended:
        main(["--explain", who, "--history"])
    assert ended.value.code == 2
    assert "argument --history: not allowed with argument --explain" in capsys.readouterr().err
    with Sandbox(HubSpot([]), PredictLeads({}), MailerLite([]), clock=clock) as sandbox:
        for question in (["--explain", who], ["--history"]):
            assert clock.run(main, sandbox, "--check", *question).report["findings"]


CASES = [
    ("shop-7.example", None),
    ("shop-7.example", "shop-7.example"),
    ("wix.example", "wix.example"),
    ("wix.example", "other.example"),
    ("deleted.example", None),
    ("deleted.example", "deleted.example"),
    ("merged.example", "merged.example"),
    ("nobody-knows.example", "nobody-knows.example"),
    ("xn--mnze-0ra.example", "xn--mnze-0ra.example"),
]


@pytest.mark.no_cover
def test_it_needs_few_calls(clock: FakeClock) -> None:
    """Of companies that an earlier run knew as matching."""
    companies = [shop(f"shop-{n}.example") for n in range(1_400)]
    names = ("wix", "deleted", "merged", "münze")
    calls: dict[Any, int] = {}
    with world(clock, [*companies, *(shop(f"{name}.example") for name in names)]) as sandbox:
        clock.run(sync.main, sandbox)
        hubspot, followings = sandbox.hubspot, sandbox.predictleads.followings
        ids = {each["domain"]: key for key, each in hubspot.table("companies").items()}
        hubspot.edit("companies", ids["wix.example"], ecommerce_platform="wix")
        hubspot.archive("companies", ids["deleted.example"])
        hubspot.merge("companies", ids["shop-1.example"], ids["merged.example"])
        clock.now += 60
        for domain, row in CASES:
            followings.pop(domain, None)
            if row:
                followings[row] = domain
            before = len(sandbox.requests)
            assert clock.run(sync.main, sandbox, "--explain", domain).code == 0
            asked = [each for each in sandbox.requests[before:] if each.service == "hubspot"]
            calls[domain, row] = len(asked)
    assert {case: number for case, number in calls.items() if number > 6} == {}


def test_a_row_that_the_next_run_holds_back(clock: FakeClock) -> None:
    with world(clock, [shop("new.example")], "old.example") as sandbox:
        sandbox.predictleads.unlisted.add("new.example")
        sandbox.predictleads.odd_answers["look_up"] = OddAnswer(404)
        clock.run(sync.main, sandbox)
        outcome = clock.run(sync.main, sandbox, "--explain", "old.example")
        assert clock.run(sync.main, sandbox).report["unfollow"] == []
    (told,) = outcome.report["explain"]
    assert told["next"] == "nothing"
    assert told["reason"].startswith("it may be new.example, which PredictLeads accepted")


def test_rows_while_another_company_was_refused(clock: FakeClock) -> None:
    """What is told of each is what the run does."""
    rows = {"wix.example", "strange.example"}
    companies = [shop("new.example"), shop("wix.example", ecommerce_platform="wix")]
    with world(clock, companies, "z.example") as sandbox:
        service = sandbox.predictleads
        service.unknown.add("new.example")
        clock.run(sync.main, sandbox)
        service.followings.update(dict.fromkeys(rows))
        flags = [text for row in sorted(rows) for text in ("--explain", row)]
        told = clock.run(sync.main, sandbox, *flags).report["explain"]
        clock.run(sync.main, sandbox, "--max-unfollow", "100%")
        stayed = set(service.followings)
    assert "wix.example" not in stayed
    assert {row["domain"] for row in told if row["next"] == "nothing"} == rows & stayed


def test_a_domain_that_is_a_name_of_another(clock: FakeClock) -> None:
    """An identifier, and additional domains of a company that waits and of one without its own."""
    companies = [
        shop("new.example", ecommerce_platform="wix"),
        shop("unknown.example", hs_additional_domains="second.example"),
        shop("no domain", hs_additional_domains="third.example"),
    ]
    with world(clock, companies) as sandbox:
        sandbox.predictleads.unknown.add("unknown.example")
        clock.run(sync.main, sandbox)
        sandbox.predictleads.followings["old.example"] = "new.example"
        names = ("new.example", "second.example", "third.example")
        flags = [text for name in names for text in ("--explain", name)]
        told = clock.run(sync.main, sandbox, *flags).report["explain"]
        done = clock.run(sync.main, sandbox, "--max-unfollow", "100%").report["unfollow"]
    assert [row["next"] for row in told] == ["unfollow", "nothing", "skip"]
    assert [(row["domain"], row["reason"]) for row in done] == [("old.example", told[0]["reason"])]
    assert "it will be retried on 28 Nov 2026" in told[1]["reason"]
    assert "in HubSpot is not a domain" in told[2]["reason"]


def random_company(rng: random.Random, number: int) -> dict[str, Any]:
    domain = rng.choice([f"shop-{number}.example", f"https://www.shop-{number}.example/x", None])
    return {
        "name": f"Shop {number}",
        "domain": rng.choice([domain, f"shop-{number}.example", f"shop-{number - 1}.example"]),
        "ecommerce_platform": rng.choice(["shopify", "shopify", "magento_2", "wix", None]),
        "alexa": rng.choice(["1", "999999", "1000000", None]),
        "hs_additional_domains": rng.choice([None, f"other-{number}.example"]),
    }


@pytest.mark.no_cover
def test_explain_and_run_never_disagree(clock: FakeClock) -> None:
    rng = random.Random(7)
    companies = [random_company(rng, number) for number in range(400)]
    names = [f"shop-{n}.example" for n in range(450)] + [f"other-{n}.example" for n in range(50)]
    with world(clock, companies, *rng.sample(names, 150)) as sandbox:
        sandbox.hubspot.searches_per_second = None
        flags = [text for name in names for text in ("--explain", name)]
        told = clock.run(sync.main, sandbox, *flags, HUBSPOT_REQUESTS_PER_SECOND="1000")
        done = clock.run(sync.main, sandbox, "--max-unfollow", "100%")
    coming = {row["domain"]: row["next"] for row in told.report["explain"]}
    follows = {row["domain"] for row in done.report["follow"]}
    unfollows = {row["domain"] for row in done.report["unfollow"]}
    own = set(names)
    assert {name for name in names if coming[name] == "follow"} >= follows & own
    assert {name for name in names if coming[name] == "unfollow"} == unfollows & own
    others = {name for name in names if coming[name] == "follow"} - follows
    assert all(name.startswith("other-") for name in others)  # told with the company's own domain


# Earlier runs


def history_lines(outcome: Ended) -> list[str]:
    """Without the time of a run."""
    return [line.split("  ", 1)[1] for line in outcome.out.splitlines()]


def test_history(clock: FakeClock) -> None:
    companies = [shop("a.example"), shop("b.example", name="B shop", alexa="5000000")]
    with world(clock, companies, "b.example") as sandbox:
        clock.run(sync.main, sandbox)
        for _ in range(3):
            clock.now += 3600
            clock.run(sync.main, sandbox)
        sandbox.hubspot.companies.clear()
        clock.run(sync.main, sandbox)
        outcome = clock.run(sync.main, sandbox, "--history")
        one = clock.run(sync.main, sandbox, "--history", "1")
    assert history_lines(outcome) == [
        "stopped as a precaution: No company in HubSpot matches, but 1 is followed.",
        "3 runs with nothing to do, 21 Nov 2026, 09:00 UTC to 21 Nov 2026, 11:00 UTC",
        "done: 1 followed, 1 unfollowed",
    ]
    assert [row["outcome"] for row in outcome.report["runs"]] == ["refused", "synced"]
    columns = ("who", "company", "hubspot_id", "action", "status")
    assert [tuple(map(row.get, columns)) for row in outcome.report["changes"]] == [
        ("a.example", "A shop", 101, "follow", "done"),
        ("b.example", "B shop", 102, "unfollow", "done"),
    ]
    assert len(one.out.splitlines()) == 1


@pytest.mark.usefixtures("_in_berlin")
def test_times_are_those_of_the_reader(clock: FakeClock) -> None:
    clock.now += 10 * DAY_S + 16 * 3600
    with world(clock, [shop("a.example")]) as sandbox:
        clock.run(sync.main, sandbox)
        outcome = clock.run(sync.main, sandbox, "--history")
        told = clock.run(sync.main, sandbox, "--explain", "a.example")
    assert outcome.out == "2 Dec 2026, 01:00 CET  done: 1 followed\n"
    assert outcome.report["runs"][0]["at"] == "2 Dec 2026, 01:00 CET"
    assert "followed on 2 Dec 2026." in told.out


def test_runs_that_changed_nothing_are_counted(clock: FakeClock) -> None:
    with world(clock, [shop("a.example"), shop("b.example")]) as sandbox:
        clock.run(sync.main, sandbox)
        sandbox.hubspot.companies[102]["domain"] = "c.example"
        sandbox.predictleads.unknown.add("c.example")
        clock.run(sync.main, sandbox, "--keep", "b.example")
        clock.run(sync.main, sandbox, "--keep", "b.example")
        outcome = clock.run(sync.main, sandbox, "--history")
    assert history_lines(outcome) == [
        "2 runs with nothing to do, 21 Nov 2026, 08:00 UTC",
        "done: 2 followed",
    ]


def test_a_run_that_fails_at_the_start_is_in_the_history(clock: FakeClock) -> None:
    with world(clock, [shop("a.example")]) as sandbox:
        clock.run(sync.main, sandbox)
        sandbox.predictleads.status = "disabled"
        del sandbox.hubspot.properties["companies"]["alexa"]
        failed = clock.run(sync.main, sandbox)
        clock.run(sync.main, sandbox, "--dry-run")
        outcome = clock.run(sync.main, sandbox, "--history")
    assert failed.code == 2
    assert history_lines(outcome) == [
        "failed: HubSpot has no company property alexa. The closest names are name, createdate,"
        " hs_additional_domains. Set or fix COMPANY_FILTER; without it, ECOMMERCE_PLATFORMS and"
        " ALEXA_BELOW make the rule. The PredictLeads subscription is disabled. See PredictLeads >"
        " Subscription Plans.",
        "done: 1 followed",
    ]
    assert "\n" not in outcome.report["runs"][0]["error"]


def test_what_a_broken_off_run_did(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with world(clock, [shop("a.example")], "b.example") as sandbox:
        with monkeypatch.context() as patch:
            patch.setattr(Application, "_judge", killed)
            with pytest.raises(KeyboardInterrupt):
                clock.run(sync.main, sandbox)
        outcome = clock.run(sync.main, sandbox, "--history")
        told = clock.run(sync.main, sandbox, "--explain", "a.example")
    assert history_lines(outcome) == ["broken off: up to 2 changes may have been made"]
    assert "perhaps followed (no answer came) on 21 Nov 2026." in told.out
    assert [row["who"] for row in outcome.report["changes"]] == ["a.example", "b.example"]


def test_a_damaged_memory_stops_no_question(clock: FakeClock, tmp_path: Path) -> None:
    path = tmp_path / "memory.sqlite3"
    path.write_bytes(b"no database" * 999)
    with world(clock, [shop("a.example")]) as sandbox:
        outcome = clock.run(sync.main, sandbox, "--explain", "a.example", "--state", str(path))
    assert (outcome.code, outcome.report["explain"][0]["next"]) == (0, "follow")
    assert "Cannot use" in outcome.err


@pytest.mark.usefixtures("_in_berlin")
def test_a_run_is_running_until_it_is_killed(clock: FakeClock) -> None:
    """In a process of its own, which hangs in its third follow."""
    reached, go_on = threading.Event(), threading.Event()
    seen: list[Request] = []

    def hang(request: Request) -> None:
        if request.path.endswith("/follow"):
            seen.append(request)
            if len(seen) >= 3:
                reached.set()
                go_on.wait(PATIENCE_S)

    with real_time([1, 2, 3, 4], []) as sandbox:
        sandbox.on_request = hang
        process = start("sync.py", sandbox)
        try:
            assert reached.wait(PATIENCE_S)
            running = clock.run(sync.main, sandbox, "--history", **FAST)
            dry = clock.run(sync.main, sandbox, "--dry-run", "--report", "page.html", **FAST)
        finally:
            process.kill()
            go_on.set()
        process.communicate()
        killed = clock.run(sync.main, sandbox, "--history", **FAST)
    assert dry.code == 0
    began, words = running.out.splitlines()[0].split("  ")
    assert began.endswith(f"{words[14:19]} CET")
    assert words[:14] + words[19:] in {
        f"running since : up to {number} changes so far" for number in (3, 4)
    }
    assert [row["outcome"] for row in running.report["runs"]] == ["running"]
    assert killed.out.splitlines()[0].split("  ")[1] in {
        f"broken off: up to {number} changes may have been made" for number in (3, 4)
    }
