"""The page of a run, in a real browser: a phone's width and a desk's."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Iterator, List, Sequence

import pytest

import sync
from basics.limits import Refusal
from basics.outcome import Outcome
from run import page
from run.checks import Finding
from run.report import Kind, Report, Row, Section
from sandbox import Fault, HubSpot, PredictLeads, Sandbox
from tests.helpers import HOSTILE, MATCH, FakeClock, RunMain

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
WIDTHS = {"phone": 390, "desk": 1280}


@pytest.fixture
def run_page(run_main: RunMain, clock: FakeClock, tmp_path: Path) -> Path:
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
        run_main(sync.main, sandbox, "--keep", "f.example", "--report", str(path))
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


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS.keys())
def test_the_page_in_a_browser(browser: Any, run_page: Path, width: int) -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(run_page.as_uri())
    text = browser.find_element("css selector", "body").text
    assert browser.title == "Companies followed in PredictLeads: partial"
    assert "1 company newly followed, 1 no longer followed" in text
    assert "<script>document.title='pwned'</script>" in text
    assert "\\x1b]0;pwned\\x07=cmd" in text
    assert "its platform is now wix" in text
    assert "422 invalid: Not this one" in text
    assert "kept on purpose (--keep or KEEP_FOLLOWING)" in text
    assert "its domain in HubSpot, 'info@d.example', is not a usable domain" in text
    assert "Company domain name" in text
    link = browser.find_element("link text", "Shop C")
    assert link.get_attribute("href") == "https://app.hubspot.com/contacts/12345/record/0-2/103"
    for row in browser.find_elements("css selector", "tbody tr"):
        assert row.is_displayed()
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_the_page_needs_nothing_from_outside_and_runs_nothing(run_page: Path) -> None:
    text = run_page.read_text(encoding="utf-8")
    for outside in ("<script", "<link", "<img", "<iframe", "@import", "url(", "src="):
        assert outside not in text
    for secret in ("pat-made-up-token", "made-up-key", "made-up-token"):
        assert secret not in text


def report(**changes: Any) -> Report:
    return Report("companies", "Companies", "apply", "then", finished_at="now", **changes)


def test_a_failed_run_says_so_in_one_sentence() -> None:
    failed = report(error="HubSpot, search: 401.")
    assert "HubSpot, search: 401.<br>Nothing has been changed." in page.render(failed, 1)
    for outcome in (Outcome.PARTIAL, Outcome.INTERRUPTED):
        text = page.render(replace(failed, outcome=outcome), outcome.exit_code)
        assert "HubSpot, search: 401." in text
        assert "Nothing has been changed" not in text


def test_a_refusal_findings_and_warnings_are_shown() -> None:
    text = page.render(
        report(
            refusals=[Refusal("Too many.", "--max-unfollow 9")],
            findings=[Finding(False, "Add the scope."), Finding(True, "The key is known.")],
            warnings=["Another company"],
        ),
        3,
    )
    assert "Too many. To allow this one plan: <code>--max-unfollow 9</code>" in text
    assert "To fix: Add the scope." in text
    assert "OK: The key is known." in text
    assert "<li>Another company</li>" in text


def part(key: str, kind: Kind, statuses: Sequence[str], title: str = "") -> Section:
    rows = [{"domain": f"{n}.example", "status": status} for n, status in enumerate(statuses)]
    return Section(key, title or key.capitalize(), kind, ("domain", "status"), rows)


def test_the_picture_tells_plans_from_deeds() -> None:
    kept = Section("kept", "Kept all the same", Kind.KEEP, ("domain",), [{"domain": "k.example"}])
    planned = [part("follow", Kind.ADD, ["planned"], "To follow"), kept]
    text = page.render(report(unchanged=2, sections=planned), 0)
    assert "Kept <b>3</b>" in text
    assert "To follow <b>1</b>" in text
    made = [
        part("followed", Kind.ADD, ["done", "failed", "not_reached"]),
        part("unfollowed", Kind.REMOVE, []),
        part("steps", Kind.STEP, ["done"]),
    ]
    text = page.render(report(sections=made), 4)
    assert "Followed <b>1</b>" in text
    assert "Unfollowed <b>0</b>" in text
    assert "Steps <b>" not in text
    assert "Kept <b>" not in text


def test_lists_are_shown_as_words() -> None:
    row = {"email": "a@b.example", "fields": ["name", "city"], "status": "not_reached"}
    section = Section("update", "Updated", Kind.CHANGE, ("email", "fields"), [row])
    assert "<td>name, city</td>" in page.render(report(sections=[section]), 4)


def test_a_column_without_content_is_left_out() -> None:
    rows: List[Row] = [{"email": "a@b.example", "groups": [], "error": None}]
    section = Section("update", "Updated", Kind.CHANGE, ("email", "groups", "error"), rows)
    text = page.render(report(sections=[section]), 0)
    assert "<th>email</th></tr>" in text


def test_where_a_row_leads_to() -> None:
    rows: List[Row] = [
        {"company": "A", "hubspot_id": 7},
        {"company": "B", "link": "https://x.example/8"},
    ]
    section = Section("follow", "Followed", Kind.ADD, ("company",), rows)
    text = page.render(report(sections=[section], record_url="https://hub.example/"), 0)
    assert '<a href="https://hub.example/7">A</a>' in text
    assert '<a href="https://x.example/8">B</a>' in text
    assert "<a href" not in page.render(report(sections=[section._replace(rows=rows[:1])]), 0)
