"""The company job from end to end: a script, real sockets, and what the services hold then."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Callable, Dict, Optional

import pytest

import sync
from core.settings import PYTHON
from sandbox import Fault, HubSpot, PredictLeads, Sandbox, search
from tests.helpers import FakeClock
from transport import paging

Company = Dict[str, Optional[str]]
SEARCH = r"/companies/search$"
Spoil = Callable[[Sandbox], object]


def company(number: int, platform: str | None = "shopify", alexa: str | None = "5000") -> Company:
    name, domain = f"Shop {number}", f"shop-{number}.example"
    return {"name": name, "domain": domain, "ecommerce_platform": platform, "alexa": alexa}


def shops(*numbers: int) -> list[Company]:
    return [company(number) for number in numbers]


def followed(*numbers: int) -> dict[str, str | None]:
    return {f"shop-{number}.example": f"shop-{number}.example" for number in numbers}


def make(clock: FakeClock, companies: list[Company], followings: dict[str, str | None]) -> Sandbox:
    predictleads = PredictLeads(followings, credits_quota=10_000)
    return Sandbox(HubSpot(companies), predictleads, clock=clock)


def test_it_follows_what_is_missing_and_unfollows_what_no_longer_matches(clock: FakeClock) -> None:
    companies = [*shops(1, 2), company(3, alexa="1250000")]
    with make(clock, companies, followed(2, 3)) as sandbox:
        outcome = clock.run(sync.main, sandbox)
        assert sandbox.predictleads.followings == followed(2, 1)
    assert outcome.code == 0
    assert outcome.report["outcome"] == "synced"
    assert outcome.report["follow"] == [
        {
            "domain": "shop-1.example",
            "company": "Shop 1",
            "hubspot_id": 101,
            "status": "done",
            "error": None,
        }
    ]
    assert (
        outcome.report["unfollow"][0]["reason"]
        == "its Alexa rank is 1,250,000, and only values under 1,000,000 match"
    )
    assert "+ shop-1.example  Shop 1" in outcome.out
    reason = "its Alexa rank is 1,250,000, and only values under 1,000,000 match"
    assert f"- shop-3.example  Shop 3: {reason}" in outcome.out
    assert outcome.out.endswith(
        "Done: followed 1 company, unfollowed 1, left 1 unchanged, skipped 0.\n"
        "Checked: PredictLeads now follows exactly the 2 matching companies.\n"
    )
    assert (
        "HubSpot: 2 companies match (E-commerce platform is Shopify or Magento 2, Alexa rank is"
        " under 1,000,000)." in outcome.err
    )


@pytest.mark.no_cover
def test_2500_match_2030_are_followed(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits and pages are a tenth of the real ones, so that this stands for 25,000."""
    monkeypatch.setattr(search, "MAX_REACH", 1_000)
    monkeypatch.setattr(paging, "SPLIT_FROM_ROWS", 200)
    matching = [company(n, "magento_2" if n % 3 else "shopify") for n in range(2_500)]
    others = [company(2_500 + n, "woocommerce") for n in range(20)]
    others += [company(2_600 + n, alexa=str(1_000_000 + n)) for n in range(20)]
    others += [company(2_700 + n, alexa=None) for n in range(20)]
    no_longer = [*range(2_500, 2_510), *range(2_600, 2_610), *range(2_700, 2_710)]
    followings = followed(*range(2_000), *no_longer)
    with make(clock, [*matching, *others], followings) as sandbox:
        sandbox.hubspot.page_limit, sandbox.predictleads.max_limit = 20, 100
        sandbox.predictleads.requests_per_second = None  # the pace is the benchmark's matter
        first = clock.run(sync.main, sandbox)
        assert not first.code, first.err
        assert set(sandbox.predictleads.followings) == set(followed(*range(2_500)))
        assert len(sandbox.writes) == 500 + 30
        second = clock.run(sync.main, sandbox)
        assert len(sandbox.writes) == 500 + 30
    assert (first.code, second.code) == (0, 0)
    assert "and 450 more (see the report)" in first.out
    assert second.out.endswith("Nothing to do: all 2,500 matching companies are followed.\n")
    assert second.report["outcome"] == "in_sync"
    assert second.report["follow"] == second.report["unfollow"] == []


def test_every_spelling_of_a_domain_is_one_company(clock: FakeClock) -> None:
    companies = [
        {**company(1), "domain": "HTTPS://www.Shop-1.example/de?x=1"},
        {**company(2), "domain": "shop-1.example."},
        {**company(3), "domain": "münze.example"},
        {**company(4), "domain": "info@shop-4.example"},
        {**company(5), "domain": None},
    ]
    with make(clock, companies, {"WWW.shop-1.example": None}) as sandbox:
        outcome = clock.run(sync.main, sandbox)
        assert list(sandbox.predictleads.followings) == [
            "WWW.shop-1.example",
            "xn--mnze-0ra.example",
        ]
    assert [entry["hubspot_id"] for entry in outcome.report["skipped"]] == [104, 105]
    assert outcome.report["skipped"][0] == {
        "hubspot_id": 104,
        "company": "Shop 4",
        "reason": "'info@shop-4.example' in HubSpot is not a domain",
    }
    assert "; 2 will be skipped; 1 shares a domain with another company" in outcome.err


def test_several_platforms_of_one_company(clock: FakeClock) -> None:
    hubspot = HubSpot([company(1, "shopify;woocommerce"), company(2, "woocommerce")])
    hubspot.multi_select_in_matches = False
    hubspot.properties["companies"]["ecommerce_platform"]["fieldType"] = "checkbox"
    with Sandbox(hubspot, PredictLeads({}), clock=clock) as sandbox:
        assert clock.run(sync.main, sandbox).code == 0
        assert list(sandbox.predictleads.followings) == ["shop-1.example"]


def test_a_stale_index_follows_nothing_that_does_not_match(clock: FakeClock) -> None:
    with make(clock, [company(1, "woocommerce"), company(2)], {}) as sandbox:
        sandbox.hubspot.stale = {101: {"ecommerce_platform": "shopify", "alexa": "1"}}
        assert clock.run(sync.main, sandbox).code == 0
        assert list(sandbox.predictleads.followings) == ["shop-2.example"]


def reversed_ids(page: dict[str, Any]) -> dict[str, Any]:
    return {**page, "results": page["results"][::-1]}


def larger_total(page: dict[str, Any]) -> dict[str, Any]:
    return {**page, "total": page["total"] + 100} if "total" in page else page


MALFORMED = {
    "ids not in order": (Fault("edit", "hubspot", path=SEARCH, edit=reversed_ids), "not in order"),
    "total too high": (Fault("edit", "hubspot", path=SEARCH, edit=larger_total), "counts 110"),
    "html": (Fault("html", "hubspot", path=SEARCH), "the answer cannot be used"),
    "an error with 200": (
        Fault(
            "status",
            "hubspot",
            path=SEARCH,
            status=200,
            body={"status": "error", "message": "internal error", "correlationId": "id-7"},
        ),
        "correlation id id-7 for HubSpot's support: internal error)",
    ),
}


@pytest.mark.parametrize(("fault", "words"), MALFORMED.values(), ids=MALFORMED.keys())
def test_an_answer_that_makes_no_sense(clock: FakeClock, fault: Fault, words: str) -> None:
    with make(clock, shops(*range(10)), followed(20)) as sandbox:
        sandbox.faults = [fault]
        outcome = clock.run(sync.main, sandbox)
        assert sandbox.writes == []
    assert (outcome.code, outcome.report["outcome"]) == (1, "failed")
    assert words in outcome.err
    assert "HubSpot, company search" in outcome.err
    assert "Traceback" not in outcome.text
    assert outcome.err.endswith("Nothing was changed.\n")


def test_missing_settings_are_named_together(clock: FakeClock) -> None:
    outcome = clock.run(sync.main, None, PREDICTLEADS_API_KEY="op://team/predictleads/key")
    assert (outcome.code, outcome.report["outcome"]) == (2, "failed")
    assert "HUBSPOT_ACCESS_TOKEN is missing" in outcome.err
    assert "PREDICTLEADS_API_TOKEN is missing" in outcome.err
    assert f"op run --env-file=.env -- {PYTHON} sync.py" in outcome.err


def token(sandbox: Sandbox) -> None:
    sandbox.hubspot.token = "pat-another-token"


def key(sandbox: Sandbox) -> None:
    sandbox.predictleads.api_key = "another-key"


def inactive(sandbox: Sandbox) -> None:
    sandbox.predictleads.status = "disabled_due_to_error"


def scope(name: str) -> Spoil:
    return lambda sandbox: sandbox.hubspot.scopes.discard(f"crm.{name}.companies.read")


def rank(**edit: str) -> Spoil:
    return lambda sandbox: sandbox.hubspot.properties["companies"]["alexa"].update(edit)


def without_rank(sandbox: Sandbox) -> None:
    del sandbox.hubspot.properties["companies"]["alexa"]


def without_option(sandbox: Sandbox) -> None:
    sandbox.hubspot.properties["companies"]["ecommerce_platform"]["options"].pop(1)


NOT_IN_PLACE = [
    (token, "HubSpot, list of company properties: the key was rejected. Check HUBSPOT_ACCESS"),
    (key, "Check PREDICTLEADS_API_KEY and PREDICTLEADS_API_TOKEN"),
    (scope("schemas"), "Add the scope crm.schemas.companies.read"),
    (scope("objects"), "Add the scope crm.objects.companies.read"),
    (inactive, "The PredictLeads subscription is disabled due to error. See PredictLeads"),
]
RANK_AS_TEXT = "HubSpot's alexa is of type string, and < works only for numbers and dates. Set"
WITHOUT_OPTION = (
    "HubSpot's ecommerce_platform has no value magento_2. Its values are shopify, woocommerce,"
    " shopware. Set or fix COMPANY_FILTER; without it, ECOMMERCE_PLATFORMS and ALEXA_BELOW make the"
    " rule."
)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (without_rank, "HubSpot has no company property alexa. The closest names are "),
        (rank(type="string"), RANK_AS_TEXT),
        (without_option, WITHOUT_OPTION),
    ],
)
@pytest.mark.parametrize("flags", [["--check"], ["--quiet"], ["--explain", "shop-1.example"]])
def test_a_rule_that_does_not_fit_the_account(
    clock: FakeClock, spoil: Spoil, words: str, flags: list[str]
) -> None:
    with make(clock, shops(1), followed(2)) as sandbox:
        spoil(sandbox)
        outcome = clock.run(sync.main, sandbox, *flags)
        assert sandbox.writes == []
    assert outcome.code == (1 if flags == ["--check"] else 2)
    assert words in outcome.text


@pytest.mark.parametrize(("spoil", "words"), NOT_IN_PLACE)
@pytest.mark.parametrize("flag", ["--check", "--quiet"])
def test_what_is_not_in_place_is_named_with_its_remedy(
    clock: FakeClock, spoil: Spoil, words: str, flag: str
) -> None:
    with make(clock, shops(1), followed(2)) as sandbox:
        settings = sandbox.settings
        spoil(sandbox)
        outcome = clock.run(sync.main, sandbox, flag, **settings)
        assert sandbox.writes == []
    assert outcome.code == 1
    assert words in outcome.text
    assert "Traceback" not in outcome.text


def test_check_counts_settings_that_are_missing(clock: FakeClock) -> None:
    with make(clock, shops(1), {}) as sandbox:
        wrong = {**sandbox.settings, "HUBSPOT_ACCESS_TOKEN": "", "MAX_FOLLOW": "few"}
        checked = clock.run(sync.main, sandbox, "--check", **wrong)
    assert (checked.code, checked.err, checked.report["error"]) == (2, "", None)
    first, second, verdict = checked.out.splitlines()
    assert first == "FIX  MAX_FOLLOW must be a whole number, not 'few'"
    assert second.startswith("FIX  HUBSPOT_ACCESS_TOKEN is missing: a service key")
    assert verdict == "2 things to fix."


def test_check_lists_what_is_in_place(clock: FakeClock, tmp_path: Path) -> None:
    state = Path.home() / ".local" / "state" / "crm-sync"
    with make(clock, shops(1), followed(2)) as sandbox:
        outcome = clock.run(sync.main, sandbox, "--check")
        assert sandbox.writes == []
    assert outcome.code == 0
    assert re.sub(r"-[0-9a-f]{16}", "-HASH", outcome.out).splitlines() == [
        "OK   HubSpot accepts the key: account 12345 on app.hubspot.com.",
        "OK   HubSpot's companies have 11 properties.",
        "OK   The rule: E-commerce platform is Shopify or Magento 2, Alexa rank is under"
        " 1,000,000.",
        "OK   The PredictLeads subscription is active, with 0 of 10,000 credits used this month.",
        "OK   HubSpot's companies can be read: 1 company found.",
        "OK   PredictLeads may bill followed companies by the month; --max-follow limits how many a"
        " run follows.",
        "OK   Settings come from the environment alone.",
        f"OK   The run history is kept in {state}.",
        f"OK   No run history yet; the first run creates {state / 'companies-HASH.sqlite3'}.",
        "OK   No other run is active.",
        f"OK   Reports are written to {tmp_path / 'report.json'}.",
        "Ready.",
    ]


def test_check_ends_with_the_number_of_things_to_fix(clock: FakeClock) -> None:
    with make(clock, shops(1), {}) as sandbox:
        scope("schemas")(sandbox)
        inactive(sandbox)
        outcome = clock.run(sync.main, sandbox, "--check")
        assert outcome.out.endswith("\n2 things to fix.\n")
        assert outcome.out.count("FIX  ") == 2
        quiet = clock.run(sync.main, sandbox, "--check", "-q")
    assert (outcome.code, quiet.code) == (1, 1)
    assert quiet.out[24:].startswith("2 things to fix.\n\nOK   HubSpot accepts the key")


def test_check_uses_the_memory_of_earlier_runs(clock: FakeClock) -> None:
    with make(clock, shops(1), {}) as sandbox:
        clock.run(sync.main, sandbox)
        assert "OK   The run history can be used: " in check(clock, sandbox)
        (path,) = Path.home().rglob("*.sqlite3")
        path.write_bytes(b"no database")
        assert f"FIX  Cannot use {path}, the run history" in check(clock, sandbox)
        path.unlink()
        clock.run(sync.main, sandbox)
        sandbox.predictleads.api_key = "another"
        assert "is the run history of another account" in check(
            clock, sandbox, "--state", str(path)
        )


def check(clock: FakeClock, sandbox: Sandbox, *flags: str) -> str:
    outcome = clock.run(sync.main, sandbox, "--check", *flags)
    assert outcome.err == ""
    return outcome.out


@pytest.mark.parametrize("flags", [[], ["--dry-run"]])
def test_a_plan_names_the_accounts(clock: FakeClock, flags: list[str]) -> None:
    with make(clock, shops(1), {}) as sandbox:
        assert (
            "HubSpot is account 12345 on app.hubspot.com. The PredictLeads subscription is active,"
            " with 0 of 10,000 credits used this month.\n"
        ) in clock.run(sync.main, sandbox, *flags).err


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_run_does_not_need_the_name_of_the_account(clock: FakeClock, status: int) -> None:
    with make(clock, shops(1), {}) as sandbox:
        sandbox.faults = [Fault("status", "hubspot", path="account-info", status=status)]
        outcome = clock.run(sync.main, sandbox)
        assert outcome.code == 0
        assert " The PredictLeads subscription is active" in outcome.err
        assert "HubSpot is account" not in outcome.err
        assert clock.run(sync.main, sandbox, "--check").out.endswith("Ready.\n")


def test_a_quiet_run_tells_the_result_first_and_the_report_last(
    clock: FakeClock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with make(clock, shops(1), {}) as sandbox:
        assert clock.run(sync.main, sandbox, "-q").out.splitlines() == [
            "21 Nov 2026, 08:00 UTC  Done: followed 1 company, unfollowed 0, left 0 unchanged,"
            " skipped 0.",
            "Checked: PredictLeads now follows exactly the 1 matching company.",
            "",
            "Follow 1 company:",
            "  + shop-1.example  Shop 1",
            "",
            "PredictLeads may bill followed companies by the month; --max-follow limits how many a"
            " run follows.",
        ]
        page, table = tmp_path / "run.html", tmp_path / "run.csv"
        reports = ["--report", str(page), "--report", str(table)]
        assert sync.main(reports, clock) == 0
        assert capsys.readouterr().out.endswith(f"\nReport: {page}\nReport: {table}\n")
        assert sync.main([*reports, "-q"], clock) == 0
        assert capsys.readouterr().out == ""


def keep(domain: str) -> list[str]:
    return ["--keep", domain]


def test_what_is_as_it_should_be_in_words(clock: FakeClock) -> None:
    with make(clock, shops(1, 2), followed(1, 2, 3, 4)) as sandbox:
        dry = clock.run(sync.main, sandbox, *keep("shop-3.example"), "--dry-run")
    assert dry.out.splitlines() == [
        "Unfollow 1 company:",
        "  - shop-4.example  no company in HubSpot has this domain",
        "",
        "1 company no longer matches but is kept:",
        "  = shop-3.example  kept on purpose (--keep or KEEP_FOLLOWING)",
        "",
        "2 companies are already followed.",
        "Unfollowing 1 company will use about 1 credit (10,000 of 10,000 left this month).",
        f"Plan {dry.report['plan']}.",
        "Dry run: would unfollow 1 company. Nothing was changed.",
    ]


def test_international_domains_as_people_write_them(clock: FakeClock) -> None:
    moved = {**company(2), "domain": "münze.example"}
    with make(
        clock, [company(1), moved], {"shop-2.example": None, "mütze.example": None}
    ) as sandbox:
        outcome = clock.run(sync.main, sandbox)
        assert "xn--mnze-0ra.example" in sandbox.predictleads.followings
    assert "  + münze.example   Shop 2\n" in outcome.out
    assert "  - mütze.example   no company in HubSpot has this domain\n" in outcome.out
    assert "xn--" not in outcome.out
    assert outcome.report["follow"][1]["domain"] == "xn--mnze-0ra.example"


def test_an_error_names_the_domain_as_people_write_it(clock: FakeClock) -> None:
    with make(clock, [{**company(1), "domain": "münze.example"}], {}) as sandbox:
        sandbox.faults = [Fault("status", path="/follow$", status=422)]
        outcome = clock.run(sync.main, sandbox, "--report", "page.html")
    for text in (outcome.out, outcome.err, Path("page.html").read_text(encoding="utf-8")):
        assert "xn--" not in text
        assert "follow münze.example: " in text


def test_companies_with_the_domain_of_another_are_listed_in_the_report(clock: FakeClock) -> None:
    """The oldest stands for all, whatever they are called."""
    twin = {**company(1), "name": "A twin", "domain": "https://www.shop-1.example/"}
    companies = [company(1), twin, company(3), {**twin, "name": None}]
    with make(clock, companies, followed(1, 3)) as sandbox:
        report = clock.run(sync.main, sandbox, "-q").report
    names = ("hubspot_id", "company", "domain", "shown_by", "counted_as")
    assert report["shared"] == [
        dict(zip(names, (each, name, "shop-1.example", 101, "Shop 1")))
        for each, name in ((102, "A twin"), (104, None))
    ]
    assert report["counts"]["shared"] == 2
    assert report["skipped"] == []


# What waits for a person

DAY_S = 86_400


def test_a_quiet_run_tells_once_what_waits_and_once_a_week(clock: FakeClock) -> None:
    broken = {**company(2), "domain": "n/a"}
    with make(clock, [company(1), broken], followed(1)) as sandbox:

        def told() -> str:
            outcome = clock.run(sync.main, sandbox, "-q")
            assert (outcome.code, outcome.report["outcome"]) == (0, "in_sync")
            assert outcome.err == ""
            return outcome.out

        first = told()
        assert first.splitlines() == [
            "21 Nov 2026, 08:00 UTC  Something needs your attention, see below.",
            "Nothing to do: the 1 matching company is followed.",
            "",
            "Skip 1 company:",
            "  ! Shop 2, id 102  'n/a' in HubSpot is not a domain",
            "",
            "1 company is already followed.",
        ]
        assert told() == ""
        for _ in range(6):
            clock.now += DAY_S
            assert told() == ""
        clock.now += DAY_S
        assert told()[24:] == first[24:]
        assert told() == ""
        sandbox.hubspot.companies[102]["domain"] = "shop-1.example"
        assert told() == ""
        sandbox.hubspot.companies[102]["domain"] = "n/a"
        assert told()[24:] == first[24:]


def test_what_a_dry_run_shows_is_still_mailed(clock: FakeClock) -> None:
    with make(clock, [{**company(2), "domain": None}], {}) as sandbox:
        for flags in (["--dry-run"], ["-q", "--dry-run"], ["-q"]):
            assert "Skip 1 company:" in clock.run(sync.main, sandbox, *flags).out
        assert clock.run(sync.main, sandbox, "-q").out == ""
        assert "Skip 1 company:" in clock.run(sync.main, sandbox).out


def test_a_quiet_run_that_changes_something_repeats_nothing_that_waits(clock: FakeClock) -> None:
    with make(clock, [company(1), {**company(2), "domain": None}], {}) as sandbox:
        assert "Skip 1 company:" in clock.run(sync.main, sandbox, "-q").out
        sandbox.predictleads.followings["shop-9.example"] = None
        out = clock.run(sync.main, sandbox, "-q").out
    assert "Unfollow 1 company:" in out
    assert ", skipped 1." in out
    assert "Skip" not in out


NOW_TAKEN = "Done: followed 1 company, unfollowed 1,"
STILL = "Done in part: followed 0 companies, unfollowed 0,"


@pytest.mark.parametrize(
    ("status", "code", "words"), [(None, 0, NOW_TAKEN), (500, 4, STILL)], ids=["taken", "500"]
)
def test_what_comes_of_changes_that_were_refused_before_is_told(
    clock: FakeClock, status: int | None, code: int, words: str
) -> None:
    with make(clock, [*shops(1, 2), company(3, "wix")], followed(1, 3)) as sandbox:
        path = "/(follow|unfollow)$"
        sandbox.faults = [Fault("status", path=path, status=422)]
        assert clock.run(sync.main, sandbox, "-q").code == 4
        sandbox.faults = [Fault("status", path=path, status=status)] if status else []
        clock.now += 7 * DAY_S
        outcome = clock.run(sync.main, sandbox, "-q")
        assert set(sandbox.predictleads.followings) == set(followed(1, 3 if status else 2))
    assert (outcome.code, outcome.report["outcome"]) == (code, "partial" if code else "synced")
    assert words in outcome.out
    for key, domain in (("follow", "shop-2.example"), ("unfollow", "shop-3.example")):
        assert f"{key} {domain}: it could not answer" in outcome.out or not status


def test_verbose_names_every_request(clock: FakeClock) -> None:
    with make(clock, shops(1), {}) as sandbox:
        err = clock.run(sync.main, sandbox, "-v").err
    assert "HubSpot, company search: POST /crm/v3/objects/companies/search -> 200" in err
    assert (
        "PredictLeads, follow shop-1.example: POST /companies/shop-1.example/follow -> 200" in err
    )


def test_a_run_with_nothing_to_do_costs_reads_alone(clock: FakeClock) -> None:
    with make(clock, shops(*range(1000)), followed(*range(1000))) as sandbox:
        outcome = clock.run(sync.main, sandbox)
        searches = [r for r in sandbox.requests if r.path.endswith("/search")]
        assert len([each for each in searches if each.status == 200]) <= 5 + 2
        assert (
            outcome.report["requests"]["predictleads"]["calls"] == 3
        )  # the list ends with an empty page
        assert outcome.report["requests"]["hubspot"]["calls"] == 2 + len(searches)
