"""Never do harm: limits, hostile text, interruptions, kills, and one run at a time."""

from __future__ import annotations

import csv
import io
import re
import signal
import threading
from pathlib import Path
from typing import Any, Callable

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


# Limits


@pytest.mark.parametrize("flags", [[], ["--dry-run"], ["-q"]])
def test_too_many_unfollows_are_refused_with_the_flag_that_would_allow_them(
    clock: FakeClock, flags: list[str]
) -> None:
    with make([*range(22)], [*range(30)], clock) as sandbox:
        outcome = clock.run(sync.main, sandbox, *flags)
        assert sandbox.writes == []
        assert (outcome.code, outcome.report["outcome"]) == (3, "refused")
        assert len(outcome.report["unfollow"]) == 8
        assert outcome.report["refusals"][0]["allow_with"] == "--max-unfollow 8"
        assert "- shop-29.example  no company in HubSpot has this domain" in outcome.out
        assert "This run would unfollow 8 of 30 companies (26.7%)" in outcome.out
        assert f" --approve {outcome.report['plan']}\n" in outcome.out
        assert clock.run(sync.main, sandbox, "--max-unfollow", "8").code == 0
        assert numbers(sandbox) == [*range(22)]


def test_an_empty_hubspot_is_refused_and_each_limit_is_lifted_by_its_own_flag(
    clock: FakeClock,
) -> None:
    with make([], [*range(9)], clock) as sandbox:
        outcome = clock.run(sync.main, sandbox)
        assert outcome.code == 3
        assert f" --approve {outcome.report['plan']}\n" in outcome.out
        flags = [each["allow_with"] for each in outcome.report["refusals"]]
        assert flags == ["--max-unfollow 9", "--allow-empty"]
        assert clock.run(sync.main, sandbox, "--allow-empty").code == 3
        assert clock.run(sync.main, sandbox, "--max-unfollow", "9").code == 3
        assert sandbox.writes == []
        assert clock.run(sync.main, sandbox, "--max-unfollow=9", "--allow-empty").code == 0
        assert numbers(sandbox) == []


def test_where_nothing_is_followed_an_empty_hubspot_is_no_reason_to_refuse(
    clock: FakeClock,
) -> None:
    with make([], [], clock) as sandbox:
        outcome = clock.run(sync.main, sandbox)
    assert (outcome.code, outcome.report["outcome"]) == (0, "in_sync")


def test_settings_limit_as_flags_do(clock: FakeClock) -> None:
    with make([1, 2, 3], [4], clock) as sandbox:
        outcome = clock.run(sync.main, sandbox, MAX_FOLLOW="2", MAX_UNFOLLOW="0")
        assert outcome.code == 3
        assert "follow 3 companies. The limit is 2." in outcome.out
        assert f" --approve {outcome.report['plan']}\n" in outcome.out
        allowed = [each["allow_with"] for each in outcome.report["refusals"]]
        assert allowed == ["--max-unfollow 1", "--max-follow 3"]
        flags = ("--max-follow", "3", "--max-unfollow", "1")
        assert clock.run(sync.main, sandbox, *flags, MAX_FOLLOW="2").code == 0


def test_kept_on_purpose(clock: FakeClock) -> None:
    with make([1], [2, 3, 4], clock) as sandbox:
        outcome = clock.run(
            sync.main,
            sandbox,
            "--keep",
            "https://www.shop-2.example/",
            KEEP_FOLLOWING="shop-3.example",
        )
        assert numbers(sandbox) == [1, 2, 3]
        assert "= shop-2.example  kept on purpose" in outcome.out
        assert [entry["domain"] for entry in outcome.report["kept"]] == [
            "shop-2.example",
            "shop-3.example",
        ]


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


def test_look_ups_fit_into_3000_bytes(clock: FakeClock) -> None:
    with make([*range(100)], [*range(80, 140)], clock) as sandbox:
        assert clock.run(sync.main, sandbox, "--max-unfollow", "40").code == 0
        look_ups = [r for r in sandbox.requests if b'"domain", "operator"' in r.body]
        assert max(len(request.body) for request in look_ups) < 3_000
        assert len(look_ups) < 3 * 40  # for each of the companies to unfollow, in two looks
        assert numbers(sandbox) == [*range(100)]


# Reads are complete, or nothing is written


@pytest.mark.parametrize("page", range(1, 9))
@pytest.mark.parametrize("path", ["/search$", "^/followings$"])
def test_a_read_that_fails_at_any_page_writes_nothing(
    clock: FakeClock, path: str, page: int
) -> None:
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


def add(sandbox: Sandbox, name: str) -> Callable[[Request], None]:
    def change(request: Request) -> None:
        if request.query.get("page") == "2":
            sandbox.predictleads.followings[name] = None
            sandbox.on_request = None

    return change


def test_a_list_that_moves_while_it_is_read_is_read_again(clock: FakeClock) -> None:
    with make([1, 2, 3, 4], [1, 2, 3], clock) as sandbox:
        sandbox.predictleads.max_limit = 2
        sandbox.on_request = add(sandbox, "shop-4.example")
        assert clock.run(sync.main, sandbox).report["outcome"] == "in_sync"


def test_a_row_that_slips_to_an_earlier_page_is_not_missed(clock: FakeClock) -> None:
    with make([2, 3], [1, 2, 3], clock) as sandbox:
        sandbox.predictleads.max_limit = 2

        def unfollow_the_first(request: Request) -> None:
            if request.query.get("page") == "2":
                sandbox.predictleads.followings.pop("shop-1.example", None)

        sandbox.on_request = unfollow_the_first
        assert clock.run(sync.main, sandbox).report["outcome"] == "in_sync"


def doubled(payload: Any) -> Any:
    return {**payload, "data": payload["data"] * 2, "meta": {"count": 4}}


def test_a_list_that_holds_rows_twice_each_time(clock: FakeClock) -> None:
    with make([1, 2], [1, 2], clock) as sandbox:
        sandbox.faults = [Fault("edit", path="^/followings$", edit=doubled)]
        assert clock.run(sync.main, sandbox).report["outcome"] == "in_sync"


@pytest.mark.parametrize("with_count", [True, False])
def test_the_same_page_again_and_again_is_the_end_of_the_list(
    clock: FakeClock, with_count: bool
) -> None:
    meta = {"count": 500} if with_count else {}
    body = {"data": [{"domain": "a.example"}], "meta": meta}
    with make([1], [], clock) as sandbox:
        sandbox.faults = [Fault("body", path="^/followings$", body=body)]
        outcome = clock.run(sync.main, sandbox, "--dry-run")
        assert len([each for each in sandbox.requests if each.path == "/followings"]) <= 6
    assert (outcome.code, outcome.report["counts"]["followed"]) == (0, 1)
    warning = "PredictLeads says there are 500 companies, but its list shows 1."
    assert (warning in outcome.out) is with_count


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


# Kill, a second signal, and a second run: in processes of their own


@pytest.mark.parametrize("number", range(1, 9))
def test_killed_after_any_write_the_next_run_converges(clock: FakeClock, number: int) -> None:
    with real_time([*range(4)], [*range(10, 14)]) as sandbox:
        writes: list[Request] = []

        def kill(request: Request) -> None:
            if request.path.endswith("follow"):
                writes.append(request)
                if len(writes) == number + 1:
                    process.kill()

        sandbox.on_request = kill
        process = start(SCRIPT, sandbox)
        process.communicate()
        sandbox.on_request = None
        assert clock.run(sync.main, sandbox, "--max-unfollow", "100%", **FAST).code == 0
        assert numbers(sandbox) == [*range(4)]


@pytest.mark.no_cover
@pytest.mark.parametrize("is_lost", [False, True])
@pytest.mark.parametrize("number", range(1, 6))
def test_killed_while_companies_have_two_names_the_next_run_converges(
    clock: FakeClock, number: int, is_lost: bool
) -> None:
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
        process = start(SCRIPT, sandbox, "--max-unfollow", "100%")
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


def test_a_second_run_says_who_is_active_and_a_dry_run_needs_no_lock() -> None:
    with real_time([1], []) as sandbox:
        sandbox.faults = [Fault("hang", path="/follow$", nth=1)]
        is_writing = threading.Event()

        def watch(request: Request) -> None:
            if request.path.endswith("/follow"):
                is_writing.set()

        sandbox.on_request = watch
        first = start(SCRIPT, sandbox)
        assert is_writing.wait(20)
        second = start(SCRIPT, sandbox)
        _, err = second.communicate()
        assert second.returncode == 5
        assert f"Another run is active: process {first.pid} on " in err
        dry = start(SCRIPT, sandbox, "--dry-run")
        dry.communicate()
        assert dry.returncode == 0
        first.kill()
        first.communicate()
        third = start(SCRIPT, sandbox)
        third.communicate()
        assert third.returncode == 0
        assert numbers(sandbox) == [1]
