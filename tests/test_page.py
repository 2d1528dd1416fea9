"""The page of a run, in a real browser: a phone's width and a desk's."""

from __future__ import annotations

import base64
import re
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Iterator

import pytest

import sync
from core.errors import Outcome
from core.limits import Refusal
from report.model import Finding, Kind, Report, Row, Section
from report.render import page
from sandbox import Fault, HubSpot, PredictLeads, Sandbox
from tests.helpers import HOSTILE, MATCH, START, FakeClock

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
WIDTHS = {"phone": 390, "desk": 1280}


@pytest.fixture
def run_page(clock: FakeClock, tmp_path: Path) -> Path:
    """The page of a run that followed, unfollowed, kept, skipped and failed."""
    companies = [
        {"name": "<script>document.title='pwned'</script>", "domain": "a.example", **MATCH},
        {"name": HOSTILE, "domain": "b.example", **MATCH},
        {"name": "Shop C", "domain": "c.example", "ecommerce_platform": "wix", "alexa": "1"},
        {"name": "Shop D", "domain": "info@d.example", **MATCH},
        {"name": "Shop E", "domain": "e.example", **MATCH},
    ]
    followings = {"c.example": None, "e.example": None, "f.example": None}
    error = {"error": {"type": "invalid", "message": "Not this one."}}
    path = tmp_path / "run.html"
    with Sandbox(HubSpot(companies), PredictLeads(dict(followings)), clock=clock) as sandbox:
        sandbox.faults = [Fault("status", path="/b.example/follow$", status=422, body=error)]
        clock.run(sync.main, sandbox, "--keep", "f.example", "--report", str(path))
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM or not DRIVER:
        pytest.skip("no Chromium with its driver on this machine")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"):
        options.add_argument(flag)
    service = webdriver.ChromeService(executable_path=DRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


def show(browser: Any, path: Path, width: int, scheme: str = "light") -> str:
    """The text that is on the page; the page must not be wider than the screen."""
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(path.as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    return str(browser.find_element("css selector", "body").text)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS.keys())
@pytest.mark.no_cover
def test_the_page_in_a_browser(browser: Any, run_page: Path, width: int, scheme: str) -> None:
    text = show(browser, run_page, width, scheme)
    assert browser.title == "Companies followed in PredictLeads: done in part"
    assert "followed 1 company, unfollowed 1," in text
    assert "<script>document.title='pwned'</script>" in text
    assert "\\x1b]0;pwned\\x07=cmd" in text
    assert "its E-commerce platform is wix, and only Shopify or Magento 2 match" in text
    assert "422 invalid: Not this one" in text
    assert "kept on purpose (--keep or KEEP_FOLLOWING)" in text
    assert "'info@d.example' in HubSpot is not a domain" in text
    assert "Company domain name" in text
    assert "KEEP_FOLLOWING" not in text.replace("--keep or KEEP_FOLLOWING", "")  # folded
    link = browser.find_element("link text", "Shop C")
    assert link.get_attribute("href") == "https://app.hubspot.com/contacts/12345/record/0-2/103"
    for row in browser.find_elements("css selector", "body > table tbody tr"):
        assert row.is_displayed()
    back = browser.find_element("css selector", "body").value_of_css_property("background-color")
    assert ("255, 255, 255" in back) == (scheme == "light")


def test_what_predictleads_does_not_take_needs_attention(clock: FakeClock, tmp_path: Path) -> None:
    path = tmp_path / "run.html"
    shops = [{"name": "Shop A", "domain": "a.example", **MATCH}]
    with Sandbox(HubSpot(shops), PredictLeads({}, unknown={"a.example"}), clock=clock) as sandbox:
        for _ in range(2):
            clock.run(sync.main, sandbox, "--report", str(path))
    decide = path.read_text(encoding="utf-8").split("<h2>Needs your attention</h2>")[1]
    assert "Waiting" in decide
    assert "Sample" not in decide


def test_a_company_to_fix_is_for_a_person_to_decide(run_page: Path) -> None:
    decide = run_page.read_text(encoding="utf-8").split("<h2>Needs your attention</h2>")[1]
    assert "info@d.example" in decide
    assert '<h2 id="unfollow">' not in decide


@pytest.mark.parametrize("path", ["/properties/", "/search$"])
def test_a_failed_run_shows_the_recent_ones(clock: FakeClock, tmp_path: Path, path: str) -> None:
    page = tmp_path / "run.html"
    shops = [{"name": "Shop A", "domain": "a.example", **MATCH}]
    with Sandbox(HubSpot(shops), PredictLeads({}), clock=clock) as sandbox:
        clock.run(sync.main, sandbox)
        sandbox.hubspot.companies[101]["domain"] = "b.example"
        clock.run(sync.main, sandbox, "--max-unfollow", "1")
        sandbox.faults = [Fault("status", path=path, status=401)]
        assert clock.run(sync.main, sandbox, "--report", str(page)).code == 1
    recent = page.read_text(encoding="utf-8").split('<h2 id="history">')[1]
    assert "1 followed, 1 unfollowed" in recent


def test_the_page_of_a_check_begins_with_its_verdict(clock: FakeClock, tmp_path: Path) -> None:
    path = tmp_path / "run.html"
    with Sandbox(HubSpot([]), PredictLeads({}, status="disabled"), clock=clock) as sandbox:
        clock.run(sync.main, sandbox, "--check", "--report", str(path))
    text = path.read_text(encoding="utf-8")
    assert '<p class="lead">1 thing to fix.</p>' in text
    assert "dry run" not in text.lower().split("<body>")[1]
    assert '<b class="fix">✗</b> The PredictLeads subscription is disabled' in text
    assert text.index("✗") < text.index('<b class="ok">✓</b>')
    assert "<nav" not in text  # there is nothing to go to


def test_the_page_needs_nothing_from_outside_and_runs_nothing(run_page: Path) -> None:
    text = run_page.read_text(encoding="utf-8")
    for outside in ("<script", "<link", "<img", "<iframe", "@import", "url(", "src="):
        assert outside not in text
    for secret in ("pat-made-up-token", "made-up-key", "made-up-token"):
        assert secret not in text


def report(mode: str = "apply", **changes: Any) -> Report:
    return Report("companies", "Companies", mode, START, **changes)


def shop(number: int, status: str = "done", error: str | None = None) -> Row:
    name = f"shop-{number}.example"
    return {"domain": name, "company": f"Shop {number}", "status": status, "error": error}


def part(key: str, kind: Kind, *rows: Row, title: str = "") -> Section:
    columns = ("domain", "company", "reason", "status", "error")
    return Section(key, title or key.capitalize(), kind, columns, rows, linked="company")


def test_the_accounts_are_named() -> None:
    assert "<br>HubSpot is account 1." in page(report(accounts="HubSpot is account 1."), 0)


# Why it came out as it did


def test_a_failed_run_says_why_at_the_top() -> None:
    failed = report(error="HubSpot, search:\n401.")
    text = page(failed, 1)
    assert ">Failed. Nothing was changed.</p>" in text
    assert "<h2>What failed</h2><ul>\n<li>HubSpot, search: 401.</li>" in text
    assert text.index("search: 401.") < text.index('id="details"')
    text = page(replace(failed, outcome=Outcome.PARTIAL), 4)
    assert "HubSpot, search: 401." in text
    assert "Nothing was changed" not in text


def test_a_stop_is_no_error_and_says_how_far_it_came() -> None:
    words = "Stopped on request."
    rows = [shop(1), *(shop(n, "not_reached", words) for n in (2, 3))]
    stopped = report(outcome=Outcome.INTERRUPTED, error=words)
    text = page(replace(stopped, sections=[part("follow", Kind.ADD, *rows)]), 130)
    assert '<div class="card warning" id="outcome">' in text
    assert '<p class="lead">Stopped early. 1 of 3 changes made.</p>' in text
    assert "What failed" not in text


def test_each_cause_of_what_is_not_done_is_told_once() -> None:
    rows = [shop(n, "not_reached", "PredictLeads, follow shop-1.example: 503") for n in range(2, 8)]
    rows += [shop(1, "failed", "PredictLeads, follow shop-1.example: 503"), shop(8)]
    rows += [shop(n, "failed", f"refused because of {n}") for n in range(10, 16)]
    text = page(report(sections=[part("follow", Kind.ADD, *rows)]), 4)
    top, table = text.split("<nav")
    assert top.count("follow shop-1.example: 503") == 1
    assert "shop-2.example, shop-3.example, shop-4.example and 4 more: PredictLeads" in top
    assert "<li>shop-10.example: refused because of 10</li>" in top
    assert "<li>2 more errors: see the tables below.</li>" in top
    assert table.count("follow shop-1.example: 503") == 1
    down = report(sections=[part("follow", Kind.ADD, *rows[:7])], error=rows[0]["error"])
    assert page(down, 4).split("<nav")[0].count("shop-1.example: 503") == 1
    assert table.index("Shop 15<") < table.index("Shop 8<") < text.index("Shop 2<")


def test_a_refusal_findings_and_warnings_are_shown() -> None:
    text = page(
        report(
            outcome=Outcome.REFUSED,
            summary=["Stopped as a precaution. Nothing was changed:"],
            refusals=[Refusal("Too many.", "--max-follow 9")],
            command=".venv/bin/python sync.py --keep 'a b' --approve 7f3a-19c2",
            plan="7f3a-19c2",
            sections=[part("unfollow", Kind.REMOVE, shop(1)), part("follow", Kind.ADD, shop(2))],
            findings=[Finding(False, "Add the scope."), Finding(True, "The key is known.")],
            warnings=["Another company"],
        ),
        3,
    )
    assert ">Stopped as a precaution. Nothing was changed.</p>" in text
    assert "<p>Too many.</p>" in text
    assert "<code>.venv/bin/python sync.py --keep &#39;a b&#39; --approve 7f3a-19c2</code>" in text
    assert " · plan 7f3a-19c2" in text
    assert text.index('<h2 id="follow">') < text.index('<h2 id="unfollow">')  # it is over the limit
    assert "✗</b> Add the scope." in text
    assert "✓</b> The key is known." in text
    assert "<li>Another company</li>" in text
    assert text.index("Another company") < text.index('id="details"')


def test_the_picture_tells_plans_from_deeds() -> None:
    kept = Section("kept", "Kept all the same", Kind.KEEP, ("domain",), [{"domain": "k.example"}])
    planned = part("follow", Kind.ADD, shop(1, "planned"), title="To follow")
    text = page(report(unchanged=2, sections=[planned, kept]), 0)
    assert 'aria-label="To follow 1, Kept all the same 1, Unchanged 2"' in text
    assert ">planned<" not in text
    made = [
        part("followed", Kind.ADD, shop(1), shop(2, "failed", "no"), shop(3, "not_reached", "no")),
        part("unfollowed", Kind.REMOVE, shop(4, "held_back", "wanted")),
        part("steps", Kind.STEP, shop(5)),
    ]
    text = page(report(sections=made), 4)
    assert 'aria-label="Followed 1 of 3, Held back 1, Failed 1, Not attempted 1"' in text
    assert '<a href="#unfollowed">Unfollowed</a> <b>0 of 1</b>' in text
    assert '<span class="dot add"></span>Followed <b>1 of 3</b></h2>' in text
    assert ">not attempted</td>" in text
    assert "role=" not in page(report(sections=made[2:]), 0)


# Sections


def test_what_changed_comes_first_then_what_needs_attention() -> None:
    sections = [part(kind.name, kind, shop(1)) for kind in reversed(Kind)]
    text = page(report(sections=sections, warnings=["Careful"]), 0)
    assert re.findall(r"<h[23][^>]*>(?:<span.*?</span>)?([A-Za-z ]+?) ?<", text) == [
        *("Warnings", "Remove", "Add", "Change", "Needs your attention", "Decide"),
        *("Skip", "Wait", "Keep", "Step"),
    ]
    assert text.index(">Step <") < text.index("<summary>Settings and technical details")


def test_what_is_on_the_page_is_written_for_people() -> None:
    row = {
        "domain": "xn--mnze-0ra.example",
        "names": ["a", "b"],
        "since": "2026-11-03",
        "error": "",
    }
    later = {"domain": "x.example", "asked_again_on": "tomorrow"}
    columns = ("domain", "names", "since", "asked_again_on", "error")
    section = Section("waiting", "Waiting", Kind.WAIT, columns, [row, later])
    text = page(report(sections=[section]), 0)
    assert ">münze.example</td>" in text
    assert ">a, b</td>" in text
    assert ">3 Nov 2026</td>" in text
    assert ">tomorrow</td>" in text
    assert ">Asked again on</th></tr>" in text  # no column without content
    text = page(report(sections=[section._replace(rows=[{"error": "asleep"}, {}])]), 4)
    assert "<b>1 of 2</b>" in text
    assert page(report(sections=[section._replace(rows=[{}])]), 0)


def test_where_a_row_leads_to() -> None:
    rows: list[Row] = [
        {"company": "A", "hubspot_id": 7},
        {"company": "B", "link": "https://x.example/8"},
    ]
    section = Section("follow", "Followed", Kind.ADD, ("company",), rows)
    text = page(report(sections=[section], record_url="https://hub.example/"), 0)
    assert '<a href="https://hub.example/7">A</a>' in text
    assert '<a href="https://x.example/8">B</a>' in text
    without = page(report(sections=[section._replace(rows=rows[:1])]), 0)
    assert '<a href="http' not in without


def test_rows_within_a_row_are_lines_that_lead_to_their_records() -> None:
    changes = [{"name": "xn--mnze-0ra.example", "action": "followed", "hubspot_id": 7}]
    row = {"outcome": "synced", "changes": [*changes, {"name": "b.example", "hubspot_id": None}]}
    section = Section("history", "Recent runs", Kind.STEP, tuple(row), [row])
    text = page(report(sections=[section], record_url="https://x.example/"), 0)
    assert '<a href="https://x.example/7">münze.example, followed</a><br>b.example</td>' in text
    assert ">done</td>" in text


def test_what_needs_attention_is_five_rows_and_the_rest_folded() -> None:
    text = page(report(sections=[part("waiting", Kind.DECIDE, *map(shop, range(9)))]), 0)
    assert text.index(">Shop 4<") < text.index("<summary>Show 4 more") < text.index(">Shop 5<")


def test_the_page_of_a_question_is_a_card_for_each_answer(clock: FakeClock, tmp_path: Path) -> None:
    path = tmp_path / "run.html"
    shops = [{"name": "Shop A", "domain": "a.example", **MATCH}]
    with Sandbox(HubSpot(shops), PredictLeads({}), clock=clock) as sandbox:
        for _ in range(3):
            clock.run(sync.main, sandbox)
        clock.run(sync.main, sandbox, "--history", "--report", str(path))
        history = path.read_text(encoding="utf-8")
        clock.run(sync.main, sandbox, "--explain", "a.example", "--report", str(path))
    text = path.read_text(encoding="utf-8")
    assert "dry run" not in (history + text).lower()
    run = '<details class="card"><summary><b>21 Nov 2026, 08:00 UTC  done: 1 followed</b></summary>'
    assert run in history
    assert 'record/0-2/101">a.example: followed</a></p>' in history
    assert "2 runs with nothing to do, 21 Nov 2026, 08:00 UTC</p>" in history
    assert ": what happens to these companies, and why</title>" in text
    assert '<p class="lead">What happens to these companies, and why.</p>' in text
    assert '<details class="card" open><summary><b>a.example</b></summary>' in text
    assert '<p class="lead">Next run: nothing will change. Reason: it matches' in text
    assert "<p>HubSpot: Shop A, id 101 has this domain" in text
    assert 'record/0-2/101">Shop A</a></p>' in text
    assert "<table>" not in text.split('<details id="details">')[0]


def test_the_list_after_the_last_write_in_words() -> None:
    missing = ["xn--mnze-0ra.example", "b.example"]
    after = {"listed": 1047, "missing": missing, "unwanted": []}
    text = page(report(checked_after=after), 4)
    words = "1,047 listed; missing: münze.example, b.example; still listed but not matching: none"
    assert f"<td>{words}</td>" in text


@pytest.mark.usefixtures("_in_berlin")
def test_times_are_those_of_the_reader() -> None:
    text = page(report(finished_at=START + timedelta(hours=15), version="1.2.3"), 0)
    assert '<p class="soft">21 Nov 2026, 09:00 CET, took 15 h 0 min </p>' in text
    assert "<td>Ended</td><td>22 Nov 2026, 00:00 CET</td>" in text
    assert "<td>program 1.2.3, Python 3" in text
    text = page(replace(report(mode="dry-run"), started_at=START - timedelta(days=143)), 0)
    assert ">1 Jul 2026, 10:00 CEST · dry run, nothing was changed</p>" in text


# Earlier runs


def past(day: float, followed: int) -> Row:
    changes: list[Row] = [
        {"name": f"shop-{n}.example", "action": "followed"} for n in range(followed)
    ]
    changes[0] = {**changes[0], "hubspot_id": 7, "reason": "its platform is now wix"}
    counts = {"followed": followed, "no longer followed": 1}
    at = 1_795_000_000.0 + day * 86_400
    return {"at": at, "outcome": "partial", "counts": counts, "changes": changes, "total": None}


def recent(*rows: Row) -> Section:
    columns = ("at", "outcome", "counts", "changes")
    return Section("history", "Recent runs", Kind.STEP, columns, rows)


@pytest.mark.usefixtures("_in_berlin")
def test_earlier_runs_are_one_section_that_comes_last() -> None:
    kept = part("kept", Kind.WAIT, shop(1))
    earlier = recent(past(1, 301), past(0, 1))
    found = report(sections=[kept], recent=earlier, record_url="https://hub.example/")
    text = page(found, 0).split('id="kept"')[1].split('<h2 id="history">')[1]
    newer, older = text.split("<tr>")[2:4]
    assert ">19 Nov 2026, 12:06 CET</td>" in newer
    assert ">done in part</td>" in newer
    assert ">301 followed, 1 no longer followed</td>" in newer
    assert newer.count("<br>") + newer.count("<details>") == 200
    assert "<summary>Show 197 more</summary>shop-4.example, followed<br>" in newer
    assert "<br>and 101 more</details>" in newer
    line = "shop-0.example, followed, its platform is now wix"
    assert f'<a href="https://hub.example/7">{line}</a></td>' in older
    assert '<a href="#history">Recent runs</a> <b>2</b>' in page(found, 0)
    assert "Recent runs" not in page(report(recent=recent()), 0)


# Long pages


@pytest.fixture(scope="module")
def long_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """5,000 companies, some of which failed, with names that are long, and earlier runs."""
    rows = [shop(n) for n in range(4_990)]
    rows += [shop(n, "not_reached", "stopped") for n in range(4_990, 5_000)]
    rows[77] = {**rows[77], "domain": f"{'long' * 15}.{'name' * 15}.example"}
    rows[78] = {**rows[78], "status": "failed", "error": "PredictLeads: 422 is its answer"}
    sections = [part("follow", Kind.ADD, *rows), part("skipped", Kind.SKIP, *rows[:60])]
    earlier = recent(*(past(day, 150) for day in range(10)))
    path = tmp_path_factory.mktemp("long") / "run.html"
    path.write_text(page(report(sections=sections, recent=earlier), 4), encoding="utf-8")
    return path


@pytest.mark.no_cover
def test_a_long_page_stays_usable(browser: Any, long_page: Path) -> None:
    for width in (*WIDTHS.values(), 820):
        assert_usable(browser, long_page, width)


def assert_usable(browser: Any, long_page: Path, width: int) -> None:
    text = show(browser, long_page, width)
    assert browser.execute_script("return document.documentElement.scrollHeight") < 12_000
    assert "Show 4,950 more" in text
    assert "Show 10 more" in text
    assert "Shop 4999" not in text
    assert text.count("PredictLeads: 422 is its answer") == 2  # at the top, and first of its table
    browser.find_element("css selector", "#follow ~ details summary").click()
    last = browser.find_element("xpath", "//td[.='Shop 4999']")
    assert last.is_displayed()
    broken = """
        const short = [...document.querySelectorAll("th, td")].filter(cell =>
            cell.checkVisibility() && cell.firstChild && cell.innerText.length < 14);
        return short.filter(cell => {
            const range = document.createRange();
            range.selectNodeContents(cell);
            return new Set([...range.getClientRects()].map(line => line.top)).size > 1;
        }).map(cell => cell.innerText);
    """
    assert browser.execute_script(broken) == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.no_cover
def test_a_long_page_prints_as_a_handful(browser: Any, long_page: Path) -> None:
    show(browser, long_page, 1280)
    paper = {"paperWidth": 8.27, "paperHeight": 11.69}  # A4 in inches
    printed = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", paper)["data"])
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 5
