"""Never do harm: hostile text, half read lists, interruptions and kills."""

from __future__ import annotations

import csv
import io
import re
import signal
from pathlib import Path

import pytest

import sync
from core.errors import CallRejected
from core.settings import SettingsReader
from predictleads_client import PredictLeadsClient, predictleads_settings
from sandbox import Fault, Request, Sandbox
from tests.helpers import FAST, HOSTILE, MATCH, FakeClock, make, real_time, start, stop_at

pytestmark = pytest.mark.no_cover  # other tests reach the same lines

SCRIPT = "sync.py"


def numbers(sandbox: Sandbox) -> list[int]:
    return sorted(int(name.split(".")[0][5:]) for name in sandbox.predictleads.followings)


def test_no_unfollow_asks_for_no_second_look(clock: FakeClock) -> None:
    with make([1], [2], clock) as sandbox:
        assert clock.run(sync.main, sandbox, "--no-unfollow").code == 0
        assert numbers(sandbox) == [1, 2]
        assert not [r for r in sandbox.requests if b"shop-2.example" in r.body]


@pytest.mark.parametrize(
    "flags", [["--max-unfollow", "x"], ["--keep", "n/a"], ["--max-follow", "-1"]]
)
def test_wrong_flags(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        sync.main(flags)
    assert stop.value.code == 2
    assert f"argument {flags[0]}: must be" in capsys.readouterr().err


# Every unfollow is confirmed


def test_a_company_that_the_index_hides_is_not_unfollowed(clock: FakeClock) -> None:
    """The first read misses shop 2, because the index still has its old values."""
    with make([1, 2], [1, 2], clock) as sandbox:
        sandbox.hubspot.stale = {102: {"domain": "shop-2.example", "alexa": "5000000"}}
        outcome = clock.run(sync.main, sandbox)
        assert sandbox.writes == []
    assert outcome.report["outcome"] == "in_sync"
    assert (
        "= shop-2.example  a company in HubSpot with this domain matches after all" in outcome.out
    )


def test_many_companies_that_share_a_domain(clock: FakeClock) -> None:
    """The one that matches is the last of 450, so that it comes on the third page."""
    with make([1], [1, 2], clock) as sandbox:
        twins: dict[int, dict[str, str | None]] = {
            1000 + n: {"domain": "www.shop-2.example", "alexa": "2000000"} for n in range(450)
        }
        sandbox.hubspot.companies.update(twins)
        sandbox.hubspot.companies[1449] = {"domain": "shop-2.example", **MATCH}
        sandbox.hubspot.stale = {1449: {"domain": "shop-2.example"}}
        assert clock.run(sync.main, sandbox).report["outcome"] == "in_sync"
        assert numbers(sandbox) == [1, 2]


# Reads are complete, or nothing is written


@pytest.mark.parametrize("page", range(1, 9))
@pytest.mark.parametrize("path", ["/search$", "^/followings$"])
def test_a_read_that_fails_at_a_page_writes_nothing(clock: FakeClock, path: str, page: int) -> None:
    with make([*range(12)], [*range(6, 18)], clock) as sandbox:
        sandbox.hubspot.page_limit, sandbox.predictleads.max_limit = 3, 2
        sandbox.faults = [Fault("html", path=path, nth=page, times=99)]  # the repeats, too
        outcome = clock.run(sync.main, sandbox, "--max-unfollow", "100%")
        if sandbox.faults[0].seen < page:
            assert outcome.code == 0
            return
        asked = [each for each in sandbox.requests if re.search(path, each.path)]
        earlier = sandbox.requests[: sandbox.requests.index(asked[page - 1])]
        assert "the answer cannot be used" in outcome.text
        if any(each.path.endswith("follow") for each in earlier):  # the list is read after writes
            assert outcome.code == 4
        else:
            assert (outcome.code, sandbox.writes) == (1, [])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/search$", '{"total": 1, "results": [{"id": "1_0", "properties": {}}]}'),
        ("/search$", '{"total": 1, "results": [{"id": "10"}]}'),
        ("/search$", '{"total": 1, "results": [{"id": "10", "properties": {"name": 5}}]}'),
        ("/search$", '{"total": "1", "results": []}'),
        ("^/followings$", '{"data": [{"custom_company_identifier": "a.example"}]}'),
        ("^/followings$", '{"data": [{"domain": ""}]}'),
        ("^/followings$", '{"data": ["a.example"]}'),
        ("^/followings$", '{"data": {}}'),
        ("/api_subscription$", '{"data": []}'),
        ("/properties/", '{"options": 5}'),
    ],
)
def test_a_malformed_row_writes_nothing(clock: FakeClock, path: str, body: str) -> None:
    with make([1], [], clock) as sandbox:
        sandbox.faults = [Fault("body", path=path, body=body)]
        outcome = clock.run(sync.main, sandbox)
        assert (outcome.code, sandbox.writes) == (1, [])
    assert "the answer cannot be used" in outcome.err
    assert "Traceback" not in outcome.err


# "Already so"


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/follow$", {"type": "already_followed", "message": "Company is already followed"}),
        ("/unfollow$", {"type": "not_found", "message": "Following not found"}),
        ("/unfollow$", {"type": "not_followed", "message": "You do not follow this company"}),
    ],
)
def test_already_so_is_a_success(clock: FakeClock, path: str, error: dict[str, str]) -> None:
    with make([1], [2], clock) as sandbox:

        def somebody_else_was_first(request: Request) -> None:
            if request.path.endswith("/follow"):
                sandbox.predictleads.followings["shop-1.example"] = None
            elif request.path.endswith("/unfollow"):
                sandbox.predictleads.followings.pop("shop-2.example", None)

        sandbox.on_request = somebody_else_was_first
        sandbox.faults = [Fault("status", path=path, status=422, body={"error": error})]
        outcome = clock.run(sync.main, sandbox)
        assert numbers(sandbox) == [1]
    assert (outcome.code, outcome.report["outcome"]) == (0, "synced")
    assert outcome.report["follow"][0]["status"] == "done"
    assert outcome.report["unfollow"][0]["status"] == "done"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/unfollow$", "Could not unfollow this company"),
        ("/follow$", "You have already reached the number of companies of your plan"),
        ("/follow$", "No company for already-followed.example"),
    ],
)
def test_a_refusal_is_not_taken_for_already_so(clock: FakeClock, path: str, message: str) -> None:
    with make([], [2], clock) as sandbox:
        sandbox.hubspot.companies[9] = {"domain": "already-followed.example", **MATCH}
        sandbox.faults = [Fault("status", path=path, status=422, body={"message": message})]
        outcome = clock.run(sync.main, sandbox)
    assert (outcome.code, outcome.report["outcome"]) == (4, "partial")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("\ufeff<html>login</html>", "the answer cannot be used: a web page"),
        ('{"error": {"type": "no"}}', "rejected: "),
    ],
)
def test_a_200_that_is_no_yes(clock: FakeClock, body: str, words: str) -> None:
    with make([1], [], clock) as sandbox:
        sandbox.faults = [Fault("status", path="/follow$", status=200, body=body)]
        outcome = clock.run(sync.main, sandbox)
        assert sandbox.writes == []
    assert outcome.code == 4
    assert f"follow shop-1.example: {words}" in outcome.err


# Text from outside


def test_hostile_text_is_shown_as_text(clock: FakeClock, tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    with make([1], [2], clock) as sandbox:
        sandbox.hubspot.companies[101]["name"] = HOSTILE
        sandbox.hubspot.companies[102] = {
            "name": "=1+1",
            "domain": "shop-2.example",
            "ecommerce_platform": "wix\x1b[31m",
            "alexa": "1",
        }
        sandbox.hubspot.companies[103] = {"name": "@x", "domain": "../../etc", **MATCH}
        outcome = clock.run(sync.main, sandbox, "--report", str(path), "-v")
    assert outcome.code == 0
    assert "\x1b" not in outcome.text
    assert "\r" not in outcome.text
    assert "\\x1b]0;pwned\\x07=cmd" in outcome.out
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    assert [(row["action"], row["status"]) for row in rows] == [
        ("follow", "done"),
        ("unfollow", "done"),
        ("skipped", "skipped"),
    ]
    assert rows[1]["company"] == "'=1+1"
    assert (
        rows[1]["reason"]
        == "its E-commerce platform is wix\\x1b[31m, and only Shopify or Magento 2 match"
    )
    for row in rows:
        assert not any(cell.startswith(tuple("=+-@\t\r")) for cell in row.values())


def test_a_domain_is_percent_encoded_in_a_path(clock: FakeClock) -> None:
    with make([], [], clock) as sandbox:
        reader = SettingsReader(sandbox.settings, "sync.py")
        client = PredictLeadsClient(reader.load(predictleads_settings), clock, False)
        with pytest.raises(CallRejected):
            client.follow("../a?b=c#d")
        assert sandbox.requests[0].path == "/companies/..%2Fa%3Fb%3Dc%23d/follow"
        client.http.close()


def test_an_identifier_from_outside_never_leaves_its_place_in_the_path(clock: FakeClock) -> None:
    with make([1], [], clock) as sandbox:
        sandbox.predictleads.followings = {"a.example/unfollow?x=": None, "../b.example": None}
        outcome = clock.run(sync.main, sandbox, "--allow-empty", "--max-unfollow", "9")
        paths = [request.path for request in sandbox.requests if "unfollow" in request.path]
    assert paths == ["/companies/a.example/unfollow"]
    assert outcome.report["skipped"][0]["reason"].startswith("PredictLeads follows '../b.example'")


def test_env_file_that_others_can_read(clock: FakeClock, tmp_path: Path) -> None:
    path = tmp_path / "settings"
    path.touch()
    path.chmod(0o644)
    with make([1], [], clock) as sandbox:
        outcome = clock.run(sync.main, sandbox, "--env-file", str(path))
    assert f"Run: chmod 600 {path}" in outcome.err


# Stopping, in this process


def test_a_signal_during_the_reads_ends_the_run(clock: FakeClock) -> None:
    with make([1], [2], clock) as sandbox:
        sandbox.on_request = stop_at(clock, lambda call: call.path.endswith("/search"))
        outcome = clock.run(sync.main, sandbox)
        assert sandbox.writes == []
    assert (outcome.code, outcome.report["outcome"]) == (130, "interrupted")
    assert "Stopping after the calls in progress. Press Ctrl-C again" in outcome.err


def test_a_signal_during_the_writes_lets_those_under_way_finish(clock: FakeClock) -> None:
    with make([*range(300)], [999], clock) as sandbox:
        sandbox.on_request = stop_at(clock, lambda call: call.path.endswith("/follow"), nth=5)
        outcome = clock.run(sync.main, sandbox)
        statuses = [row["status"] for row in outcome.report["follow"]]
        assert statuses.count("sent") == len(sandbox.writes)  # the list is not read any more
        assert 5 <= statuses.count("sent") < 100
        assert set(statuses) == {"sent", "not_reached"}
        assert outcome.report["unfollow"][0]["status"] == "not_reached"
    assert (outcome.code, outcome.report["outcome"]) == (130, "interrupted")
    assert "Done in part, but not confirmed: " in outcome.out


def test_a_run_that_takes_too_long_ends_as_if_stopped(clock: FakeClock) -> None:
    with make([*range(700)], [999], clock) as sandbox:
        outcome = clock.run(sync.main, sandbox, MAX_RUN_MINUTES="1")
        rows = outcome.report["follow"]
        assert len(sandbox.writes) in range(400, 700)
        assert {row["error"] for row in rows} == {
            None,
            "the run took longer than MAX_RUN_MINUTES allows",
        }
        assert (outcome.code, outcome.report["outcome"]) == (130, "interrupted")


# Kills and a second signal: in processes of their own


@pytest.mark.parametrize("is_lost", [False, True])
@pytest.mark.parametrize("number", range(1, 6))
def test_killed_among_companies_of_two_names(clock: FakeClock, number: int, is_lost: bool) -> None:
    """The list hands no identifiers back, and two of the followed companies were rebranded."""
    with real_time([1, 2, 3], [10, 11]) as sandbox:
        service = sandbox.predictleads
        service.redirects = {"shop-1.example": "old-1.example", "shop-2.example": "old-2.example"}
        service.followings.update({"old-1.example": None, "old-2.example": None})
        service.with_identifiers = False
        writes: list[Request] = []

        def kill(request: Request) -> None:
            writes.extend([request] if request.path.endswith("follow") else [])
            if len(writes) == number + 1:
                process.kill()

        sandbox.on_request = kill
        process = start(SCRIPT, sandbox, "--max-unfollow", "100%", is_quick=True)
        process.communicate()
        sandbox.on_request = None
        for path in Path.home().rglob("*.sqlite3*") if is_lost else ():
            path.unlink()
        assert clock.run(sync.main, sandbox, "--max-unfollow", "100%", **FAST).code == 0
        assert set(service.followings) == {"old-1.example", "old-2.example", "shop-3.example"}
        assert not [each for each in sandbox.writes if each.path.startswith("/companies/old-")]


def test_a_second_signal_ends_at_once_even_while_a_call_hangs() -> None:
    with real_time([1], []) as sandbox:
        sandbox.faults = [Fault("hang", path="/follow$")]

        def interrupt(request: Request) -> None:
            if request.path.endswith("/follow"):
                process.send_signal(signal.SIGTERM)  # Ctrl-C may be ignored, as by nohup

        sandbox.on_request = interrupt
        process = start(SCRIPT, sandbox)
        assert process.stderr is not None
        for line in process.stderr:
            if "Stopping" in line:
                process.send_signal(signal.SIGTERM)
                break
        process.communicate(timeout=20)
        assert process.returncode == 130
