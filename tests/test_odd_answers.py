"""As the services really answer: odd refusals, slow and early headers, clocks, paces, endings."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import create_contact
import sync
import sync_subscribers
from sandbox import Fault, HubSpot, Request, Sandbox
from sandbox.data import sample_sandbox
from state.files import account_file
from tests.helpers import ROOT, START, FakeClock, let_dry_runs_write, make, real_time
from tests.helpers import start as start_script

SCOPE_PLACES = (
    "errors[].context.requiredGranularScopes",
    "errors[].context.requiredScopes",
    "context.requiredGranularScopes",
    "missingScopes",
    "errors[].missingScopes",
)

# What HubSpot refuses


@pytest.mark.parametrize("place", SCOPE_PLACES)
def test_a_missing_scope_is_named_wherever_it_stands(clock: FakeClock, place: str) -> None:
    with make([1], [], clock) as sandbox:
        sandbox.hubspot.scopes_named_in = place
        sandbox.hubspot.scopes.discard("crm.schemas.companies.read")
        out = clock.run(sync.main, sandbox, "--check").out
    assert "Add the scope crm.schemas.companies.read to the key in HubSpot > " in out


def test_a_banned_address_is_not_told_as_a_missing_scope(clock: FakeClock) -> None:
    body = {"category": "BANNED", "message": "Your IP address is blocked"}
    with make([1], [], clock) as sandbox:
        sandbox.faults = [Fault("status", "hubspot", status=403, body=body)]
        err = clock.run(sync.main, sandbox).err
    assert "not allowed. (403 Your IP address is blocked)" in err
    assert "scope" not in err


def test_a_wrong_address_is_not_told_as_a_missing_property(clock: FakeClock) -> None:
    with make([1], [], clock) as sandbox:
        wrong = sandbox.settings["HUBSPOT_BASE_URL"] + "/elsewhere"
        outcome = clock.run(sync.main, sandbox, HUBSPOT_BASE_URL=wrong)
    assert outcome.code == 1
    assert "HubSpot has nothing at this address. Check HUBSPOT_BASE_URL." in outcome.err
    assert "create it" not in outcome.err


HUBLET = {"message": "Hub 12345 is unknown to this Hublet", "correctHublet": "eu1"}


def test_unknown_to_this_hublet_passes(clock: FakeClock) -> None:
    with make([1], [], clock) as sandbox:
        sandbox.faults = [Fault("status", "hubspot", times=2, status=488, body=HUBLET)]
        assert clock.run(sync.main, sandbox).code == 0


def test_unknown_to_this_hublet_for_good_names_the_region(clock: FakeClock) -> None:
    with make([1], [], clock) as sandbox:
        sandbox.faults = [Fault("status", "hubspot", status=488, body=HUBLET)]
        outcome = clock.run(sync.main, sandbox)
    assert outcome.code == 1
    assert "488 the account is in HubSpot's region eu1" in outcome.err


# One record among many


def test_half_of_an_emoji_in_a_name_costs_no_run_history(clock: FakeClock) -> None:
    with make([1], [], clock) as sandbox:
        sandbox.hubspot.companies[next(iter(sandbox.hubspot.companies))]["name"] = "Shop \ud83d"
        ended = clock.run(sync.main, sandbox)
        told = clock.run(sync.main, sandbox, "--explain", "shop-1.example")
    assert ended.code == 0
    assert "run history" not in ended.err
    assert ended.report["follow"][0]["company"] == "Shop \ufffd"
    assert "followed on 21 Nov 2026" in told.out


@pytest.mark.no_cover
@pytest.mark.parametrize("status", [400, 403, 404, 409, 422, 500, 503, 524])
def test_one_company_that_fails_stops_no_other(clock: FakeClock, status: int) -> None:
    with make([1, 2, 3, 4, 5], [6], clock) as sandbox:
        sandbox.faults = [Fault("status", path="/shop-3.example/follow$", status=status)]
        outcome = clock.run(sync.main, sandbox)
        followed = set(sandbox.predictleads.followings)
    assert {f"shop-{n}.example" for n in (1, 2, 4, 5)} <= followed
    failed = {404: "unknown"}.get(status, "failed")
    statuses = {row["domain"]: row["status"] for row in outcome.report["follow"]}
    assert statuses["shop-3.example"] == failed
    assert list(statuses.values()).count("done") == 4
    assert outcome.code == (0 if status == 404 else 4)


@pytest.mark.parametrize("status", [403, 500, 503])
def test_three_failures_in_a_row_are_the_service(
    clock: FakeClock, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.changes.WRITERS", 1)
    with make([*range(10)], [], clock) as sandbox:
        sandbox.faults = [Fault("status", path="/follow$", status=status)]
        outcome = clock.run(sync.main, sandbox)
        asked = {r.path for r in sandbox.requests if r.path.endswith("/follow")}
    assert len(asked) == 3
    assert [row["status"] for row in outcome.report["follow"]].count("not_reached") == 7
    assert outcome.code == (1 if status == 403 else 4)


@pytest.mark.no_cover
@pytest.mark.parametrize("status", [400, 403, 404, 409, 500, 503])
def test_one_person_who_fails_stops_no_other(clock: FakeClock, status: int) -> None:
    people = [{"email": f"p{n}@mail.example"} for n in range(5)]

    def third(request: Request) -> None:
        sandbox.faults = [refusal] if b"p3@mail.example" in request.body else []

    with Sandbox(HubSpot(contacts=people), clock=clock) as sandbox:
        refusal = Fault("status", "mailerlite", "POST", "^/subscribers$", status=status)
        sandbox.on_request = third
        outcome = clock.run(sync_subscribers.main, sandbox)
        there = set(sandbox.mailerlite.subscribers)
    assert there == {f"p{n}@mail.example" for n in (0, 1, 2, 4)}
    assert outcome.code == 4


def more_than_there_are(payload: dict[str, Any]) -> dict[str, Any]:
    return {**payload, "total": payload.get("total", 0) + 50}


def test_a_read_that_contradicts_itself_is_read_again(clock: FakeClock) -> None:
    with make([1, 2, 3], [], clock) as sandbox:
        sandbox.faults = [Fault("edit", path="/search$", edit=more_than_there_are)]
        beginnings: list[Request] = []

        def end_with_the_first_read(request: Request) -> None:
            begins = b'"hs_object_id", "operator"' not in request.body
            beginnings.extend([request] if request.path.endswith("/search") and begins else [])
            if len(beginnings) > 1:
                sandbox.faults.clear()

        sandbox.on_request = end_with_the_first_read
        outcome = clock.run(sync.main, sandbox)
        assert len(sandbox.predictleads.followings) == 3
    assert outcome.code == 0
    assert "Reading it again." in outcome.err


# The network


def test_early_hints_are_passed_over(clock: FakeClock) -> None:
    with make([1], [2], clock) as sandbox:
        sandbox.faults = [Fault("early_hints")]
        assert clock.run(sync.main, sandbox).code == 0
        assert set(sandbox.predictleads.followings) == {"shop-1.example"}


def test_a_name_that_cannot_be_resolved(clock: FakeClock) -> None:
    with make([1], [2], clock) as sandbox:
        url = "https://no-such-host.invalid/api"
        outcome = clock.run(sync.main, sandbox, PREDICTLEADS_BASE_URL=url)
    assert outcome.code == 1
    assert f"the name in {url} cannot be resolved" in outcome.err
    assert "Nothing was changed." in outcome.err


@pytest.mark.parametrize("wrong_by_s", [-7200, 7200])
def test_a_wrong_local_clock_changes_no_wait(clock: FakeClock, wrong_by_s: int) -> None:
    moment = START + timedelta(seconds=wrong_by_s)
    until = (moment + timedelta(seconds=20)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    with make([1], [], clock) as sandbox:
        sandbox.date = lambda: moment
        headers = {"Retry-After": until}
        fault = Fault("status", path="/api_subscription", times=1, status=503, headers=headers)
        sandbox.faults = [fault]
        assert clock.run(sync.main, sandbox).code == 0
    assert max(clock.slept) == 20


@pytest.mark.parametrize(
    ("main", "services"),
    [
        (sync.main, ["HubSpot", "PredictLeads"]),
        (sync_subscribers.main, ["HubSpot", "MailerLite"]),
        (create_contact.main, ["HubSpot"]),
    ],
)
def test_no_client_of_a_dry_run_can_write(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, main: Any, services: list[str]
) -> None:
    with sample_sandbox(12, clock=clock) as sandbox:
        refused = let_dry_runs_write(monkeypatch)
        assert clock.run(main, sandbox, "--dry-run").code == 0
    assert sorted(refused) == services


# How a run ends


def test_a_closed_terminal_ends_a_run_with_its_report(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with real_time([1, 2, 3], []) as sandbox:
        reached = threading.Event()
        sandbox.on_request = lambda request: reached.set() if "/search" in request.path else None
        sandbox.latency_s = 0.2
        before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a child inherits what nohup ignores
        process = start_script("sync.py", sandbox, "--report", str(path))
        signal.signal(signal.SIGHUP, before)
        assert reached.wait(20)
        process.send_signal(signal.SIGHUP)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert '"outcome": "interrupted"' in path.read_text()
    assert "Traceback" not in err


def test_ctrl_c_while_modules_load_is_one_line() -> None:
    code = "import cli.start; raise KeyboardInterrupt"  # as the interpreter raises it
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (process.returncode, process.stdout) == (130, "")
    assert process.stderr == "Stopped before anything was done.\n"


def test_missing_packages_are_one_line_with_the_remedy() -> None:
    command = [sys.executable, "-S", "sync.py", "--help"]  # without what pip has installed
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stdout) == (1, "")
    (line,) = process.stderr.splitlines()
    assert " dotenv, idna, jinja2, publicsuffixlist, requests, tenacity, tqdm. Start" in line
    assert "-m pip install -r requirements.txt" in line


def test_a_lock_path_that_is_a_folder_is_one_line(clock: FakeClock) -> None:
    with make([1], [], clock) as sandbox:
        settings = sandbox.settings
        key, url = settings["PREDICTLEADS_API_KEY"], settings["PREDICTLEADS_BASE_URL"]
        account_file("companies", f"{url} {key}", ".lock").mkdir(parents=True)
        outcome = clock.run(sync.main, sandbox)
    assert outcome.code == 1
    assert ".lock as a lock: Is a directory. Set XDG_STATE_HOME to" in outcome.err
    assert "Traceback" not in outcome.err
