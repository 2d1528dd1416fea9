"""The page of a run, in a real browser: a phone's width and a desk's."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest

import sync
from run import page
from sandbox import HubSpot, PredictLeads, Sandbox
from tests.conftest import FakeClock
from tests.test_safety import HOSTILE, MATCH, RunMain

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
    predictleads = PredictLeads(dict(followings), unknown={"b.example"})
    path = tmp_path / "run.html"
    with Sandbox(HubSpot(companies), predictleads, clock=clock) as sandbox:
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
    assert "404 not_found: Company not found" in text
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


def skeleton(**changes: Any) -> Dict[str, Any]:
    return {
        "job": "companies",
        "mode": "apply",
        "outcome": "failed",
        "exit_code": 1,
        "error": "HubSpot, search: 401.",
        "started_at": "then",
        "finished_at": "now",
        "counts": {},
        "refusals": [],
        "requests": {},
        **changes,
    }


def test_a_failed_run_says_so_in_one_sentence() -> None:
    text = page.render(skeleton())
    assert "HubSpot, search: 401.<br>Nothing has been changed." in text
    assert "Nothing has been changed" not in page.render(skeleton(exit_code=4))


def test_a_refusal_and_findings_are_shown() -> None:
    refusal = {"reason": "Too many.", "allow_with": "--max-unfollow 9"}
    finding = {"ok": False, "text": "Add the scope."}
    text = page.render(skeleton(error=None, refusals=[refusal], findings=[finding]))
    assert "Too many. To allow this one plan: <code>--max-unfollow 9</code>" in text
    assert "To mend: Add the scope." in text


def test_the_picture_tells_plans_from_deeds() -> None:
    rows = [{"domain": "a.example", "status": "planned"}]
    counts = {"keep": 2, "kept": 1, "follow": 1, "unfollow": 0, "skipped": 0}
    text = page.render(skeleton(counts=counts, follow=rows, unfollow=[]))
    assert "Kept <b>3</b>" in text
    assert "To follow <b>1</b>" in text
    rows += [{"domain": "b.example", "status": "done"}]
    text = page.render(skeleton(counts={**counts, "follow": 2}, follow=rows, unfollow=[]))
    assert "Followed <b>1</b>" in text
    assert "Unfollowed <b>0</b>" in text


def test_lists_are_shown_as_words() -> None:
    row = {"email": "a@b.example", "fields": ["name", "city"], "status": "not_reached"}
    text = page.render(skeleton(job="subscribers", update=[row]))
    assert "<td>name, city</td>" in text


@pytest.mark.parametrize("name", ["run.html", "RUN.HTM"])
def test_the_ending_names_the_form(tmp_path: Path, name: str) -> None:
    report.write_report(tmp_path / name, skeleton())
    assert (tmp_path / name).read_text().startswith("<!doctype html>")
