"""The worst that the contact job can do is a second company: lost answers, kills, damage, crowds.

Over real sockets; what counts is what HubSpot holds in the end.
"""

from __future__ import annotations

import contextlib
import random
import re
import signal
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Callable, Sequence

import pytest

from contact.records import LOOK_AGAIN_AFTER_S, UNKNOWN, Memory
from core.errors import AppError
from sandbox import Fault, Request, Sandbox
from state.files import account_file
from state.lock import run_lock
from tests import contacts
from tests.contacts import (
    ASSOCIATE,
    ASSOCIATED,
    COMPLETE,
    CREATE_COMPANY,
    CREATE_CONTACT,
    SHOP,
    WORDS,
    WRITES,
    Job,
    Record,
    account,
    sent,
    state,
)
from tests.helpers import FakeClock, start, stop_at

pytestmark = pytest.mark.no_cover  # other tests reach the same lines
job = contacts.job

LAG_S = 60.0  # the longest that is allowed for
MAY = "It may have been created. Run it again in a minute."
LOOKS_FIRST = "Not done: the next run first checks whether the company was created."


def memory_file(sandbox: Sandbox) -> Path:
    return account_file("contact", account(sandbox), ".sqlite3")


class Jumping(FakeClock):
    """The clock on the wall is another one than the clock that waits."""

    def __init__(self, before: FakeClock, jump: timedelta) -> None:
        super().__init__()
        self.now, self.jump = before.now, jump

    def utcnow(self) -> datetime:
        return super().utcnow() + self.jump


def later(job: Job, sandbox: Sandbox, jump: timedelta) -> Job:
    """The same job after a while."""
    clock = Jumping(job.clock, jump)
    sandbox.hubspot.clock = sandbox.clock = clock
    return job._replace(clock=clock)


# Lost answers

LOST: dict[str, Record] = {
    "reset after the work": {"kind": "reset_after"},
    "no answer after the work": {"kind": "hang_after"},
    "answer cut short": {"kind": "truncate"},
    "answer that is no JSON": {"kind": "body", "body": "<html></html>"},
    **{f"{n} after the work": {"kind": "status_after", "status": n} for n in (408, 502, 503, 504)},
}
NOT_DONE: dict[str, Record] = {
    "reset before the work": {"kind": "reset_before"},
    "no answer before the work": {"kind": "hang"},
    **{f"{n} before the work": {"kind": "status", "status": n} for n in (500, 502, 503, 524)},
}


@pytest.mark.parametrize("lag_s", [0.0, 30.0, LAG_S])
@pytest.mark.parametrize("path", WRITES)
@pytest.mark.parametrize("fault", [*LOST, *NOT_DONE])
def test_a_lost_answer_makes_no_second_record(
    job: Job, request: pytest.FixtureRequest, fault: str, path: str, lag_s: float
) -> None:
    """A company that was never created is never shown: so the next run creates it."""
    details = {**LOST, **NOT_DONE}[fault]
    hangs = details["kind"].startswith("hang")
    if hangs:
        request.getfixturevalue("impatient")
    with job.make(index_lag_s=lag_s) as sandbox:
        sandbox.faults = [Fault(path=path, times=1, **details)]
        first = outcome = job.run(sandbox)
        assert sent(sandbox) == 1
        times = [each.at for each in sandbox.requests]
        assert hangs or min(after - before for before, after in zip(times, times[1:])) >= 0.2
        if path == CREATE_COMPANY and fault in NOT_DONE:
            assert (first.code, first.report["outcome"], sandbox.writes) == (1, "failed", [])
            assert MAY in first.err
            assert MAY in first.report["error"]
            assert LOOKS_FIRST in first.out
            outcome = job.run(sandbox)
            assert "an earlier run may have created the company; the search does not" in outcome.err
        assert state(sandbox) == COMPLETE
        assert job.run(sandbox).report["outcome"] == "in_sync"
        assert state(sandbox) == COMPLETE
    assert (outcome.code, outcome.report["outcome"]) == (0, "synced")
    statuses = [step["status"] for step in outcome.report["steps"]]
    assert statuses == ["created", "created", "associated"]
    assert "Traceback" not in first.text
    assert "Nothing was changed" not in first.text


@pytest.mark.parametrize(
    ("lag_s", "wait"), [(2 * LAG_S, {}), (30.0, {"headers": {"Retry-After": "300"}})]
)
def test_a_lag_or_a_wait_longer_than_ever(job: Job, lag_s: float, wait: dict[str, Any]) -> None:
    with job.make(index_lag_s=lag_s) as sandbox:
        sandbox.faults = [Fault("status_after", path=CREATE_COMPANY, status=503, **wait)]
        first, second = job.run(sandbox), job.run(sandbox)
        assert (first.code, second.code) == (1, 0)
        assert "Nothing was changed" not in first.text
        assert (sent(sandbox), state(sandbox)) == (1, COMPLETE)


def test_a_company_is_looked_for_before_the_next_run_creates_it(job: Job) -> None:
    looks = list(LOOK_AGAIN_AFTER_S)
    assert sum(looks) > LAG_S
    with job.make() as sandbox:
        sandbox.faults = [Fault("reset_before", path=CREATE_COMPANY)]
        for run in (1, 2, 3):
            outcome = job.run(sandbox)
            assert (sent(sandbox), outcome.code) == (run, 1)
        assert [wait for wait in job.clock.slept if wait > 1] == looks + 2 * (looks + looks)
    assert "HubSpot's answer was lost" in outcome.err


def test_a_500_after_the_company_was_made_makes_no_second_one(job: Job) -> None:
    with job.make() as sandbox:

        def make_it_first(request: Request) -> None:
            if re.search(CREATE_COMPANY, request.path) and not sandbox.hubspot.companies:
                sandbox.hubspot.companies[7] = dict(request.json()["properties"])

        sandbox.on_request = make_it_first
        sandbox.faults = [Fault("status", path=CREATE_COMPANY, status=500)]
        outcome = job.run(sandbox)
        assert state(sandbox) == COMPLETE
    assert outcome.code == 0


@pytest.mark.parametrize(
    "fault",
    [
        *({"kind": "reset_after", "path": path} for path in (CREATE_CONTACT, ASSOCIATE)),
        *(
            {"kind": "status_after", "status": 503, "path": path, "times": times}
            for path in WRITES
            for times in range(2, 5)
        ),
    ],
)
def test_answers_that_are_lost_again_and_again(job: Job, fault: dict[str, Any]) -> None:
    with job.make(index_lag_s=LAG_S) as sandbox:
        sandbox.faults = [Fault(**fault)]
        assert job.run(sandbox).code == (0 if "times" in fault else 4)
        sandbox.faults = sandbox.faults if "times" in fault else []
        assert job.run(sandbox).code == 0
        assert (sent(sandbox), state(sandbox)) == (1, COMPLETE)


def test_a_company_that_was_created_and_removed_a_moment_ago_is_created_again(job: Job) -> None:
    with job.make() as sandbox:
        job.run(sandbox)
        sandbox.hubspot.companies.clear()
        sandbox.hubspot.associations.clear()
        outcome = job.run(sandbox)
        assert state(sandbox) == COMPLETE
    statuses = [step["status"] for step in outcome.report["steps"]]
    assert statuses == ["created", "found", "associated"]


def fail_while_it_looks() -> list[Fault]:
    """The answer is lost, then the search fails, so that the run ends at once."""
    search = Fault("status", path="companies/search", nth=2, times=20, status=401)
    return [Fault("reset_after", path=CREATE_COMPANY), search]


@pytest.mark.parametrize("stopped", [False, True])
def test_a_run_that_fails_or_is_stopped_while_it_looks(job: Job, stopped: bool) -> None:
    """The next run looks for the whole time again."""
    with job.make(index_lag_s=LAG_S) as sandbox:
        sandbox.faults = fail_while_it_looks()
        if stopped:
            del sandbox.faults[1:]
            sandbox.on_request = stop_at(job.clock, lambda _call: bool(sandbox.writes))
        first = job.run(sandbox)
        sandbox.on_request, sandbox.faults = None, []
        assert later(job, sandbox, timedelta()).run(sandbox).code == 0
        assert (sent(sandbox), state(sandbox)) == (1, COMPLETE)
    outcome = (130, "interrupted") if stopped else (1, "failed")
    assert (first.code, first.report["outcome"]) == outcome
    assert first.report["steps"] == []
    assert stopped or "401" in first.report["error"]
    assert LOOKS_FIRST in first.out
    assert "Nothing was changed" not in first.text


@pytest.mark.parametrize(
    ("status", "looks"),
    [(400, False), (403, False), (409, False), (302, True), (401, True), (429, True)],
)
def test_a_company_that_was_not_created_is_no_change(job: Job, status: int, looks: bool) -> None:
    """Where nobody has said that there is none, the next run looks for it all the same."""
    with job.make(index_lag_s=LAG_S) as sandbox:
        sandbox.faults = [Fault("status", path=CREATE_COMPANY, status=status)]
        outcome = job.run(sandbox)
        assert (outcome.code, sandbox.writes) == (1, [])
        assert outcome.err.endswith("Nothing was changed.\n")
        sandbox.faults = []
        second = job.run(sandbox)
        assert (second.code, state(sandbox)) == (0, COMPLETE)
    assert ("searching for the company" in second.err) is looks


KINDS = [each for each in (*LOST.values(), *NOT_DONE.values()) if "hang" not in each["kind"]]
KINDS.append({"kind": "status", "status": 429})
CALLS = ["account-info", "companies/search", "contacts/search", *WRITES]
CALLS += [ASSOCIATED, "batch/read", ""]


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens(job: Job, seed: int) -> None:
    """Four runs, each with a few faults anywhere, clocks that jump in between; then a sound one."""
    chance = random.Random(seed)
    with job.make(index_lag_s=chance.choice([0, 5, 30, LAG_S])) as sandbox:
        for faults in (3, 2, 1, 1, 0):
            sandbox.faults = [
                Fault(path=chance.choice(CALLS), nth=chance.randint(1, 3), **chance.choice(KINDS))
                for _ in range(faults)
            ]
            job = later(job, sandbox, timedelta(days=chance.randint(-9, 9)))
            outcome = job.run(sandbox)
            assert len(sandbox.hubspot.companies) <= 1
            assert len(sandbox.hubspot.contacts) <= 1
            assert outcome.code in (0, 1, 4)
            assert "a mistake in the program" not in outcome.err
        assert (outcome.code, state(sandbox)) == (0, COMPLETE)


# The memory


@pytest.mark.parametrize("hours", [-24 * 400, -1, 1, 24 * 400])
@pytest.mark.parametrize("is_lost", [True, False])
def test_a_clock_that_jumps(job: Job, hours: int, is_lost: bool) -> None:
    with job.make(index_lag_s=LAG_S) as sandbox:
        sandbox.faults = fail_while_it_looks() if is_lost else []
        job.run(sandbox)
        sandbox.faults = []
        assert later(job, sandbox, timedelta(hours=hours)).run(sandbox).code == 0
        assert (sent(sandbox), state(sandbox)) == (1, COMPLETE)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "zeros": lambda content: bytes(len(content)),
    "nothing": lambda content: b"",
    "a byte": lambda content: content[:1],
    "half": lambda content: content[: len(content) // 2],
    "text": lambda content: b"{}",
    "no index": lambda content: content[:8192] + bytes(4096),
    "another domain": lambda content: content.replace(b"shop.example", b"shap.example", 1),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_memory_is_an_error(job: Job, damage: Callable[[bytes], bytes]) -> None:
    with job.make(index_lag_s=LAG_S) as sandbox:
        job.run(sandbox)
        path = memory_file(sandbox)
        path.write_bytes(damage(path.read_bytes()))
        outcome = job.run(sandbox)
        assert (outcome.code, len(sandbox.writes)) == (1, 3)
        assert "Wait two minutes, so that HubSpot's search shows what was created" in outcome.err
        job.clock.now += 120  # as it says
        path.unlink()
        assert job.run(sandbox).report["outcome"] == "in_sync"
        assert state(sandbox) == COMPLETE


@pytest.mark.parametrize("value", [0x01, 0xFF])
def test_no_damage_makes_it_say_that_nothing_was_asked(tmp_path: Path, value: int) -> None:
    path, errors = tmp_path / "contact.sqlite3", 0
    with contextlib.closing(Memory(path)) as memory:
        memory.note("shop.example", UNKNOWN)
    sound = path.read_bytes()
    for place in (place for place, byte in enumerate(sound) if byte):
        damaged = bytearray(sound)
        damaged[place] ^= value
        path.write_bytes(damaged)
        try:
            with contextlib.closing(Memory(path)) as memory:
                assert memory.asked("shop.example") is not None, place
        except AppError:
            errors += 1
    assert errors > 100


def test_a_wrong_id_in_the_memory(job: Job) -> None:
    with job.make(({"id": 7, "domain": "other.example"},), index_lag_s=LAG_S) as sandbox:
        job.run(sandbox)
        sandbox.hubspot.associations.clear()
        for wrong in (7, 30_000_000_999):
            with contextlib.closing(Memory(memory_file(sandbox))) as memory:
                memory.note("shop.example", wrong)
            job.run(sandbox)
            assert state(sandbox)[0] == ["other.example", "shop.example"]


def test_nothing_is_sent_when_it_cannot_be_remembered(job: Job) -> None:
    with job.make() as sandbox:
        memory_file(sandbox).mkdir(parents=True)
        outcome = job.run(sandbox)
        assert sandbox.writes == []
    assert outcome.code == 1
    assert "the run history" in outcome.err


# Processes of their own


@pytest.mark.parametrize("is_done", [False, True])
@pytest.mark.parametrize("path", WRITES)
def test_a_run_that_is_killed_over_a_write(job: Job, path: str, is_done: bool) -> None:
    """Right before HubSpot does the work, and right after it: no answer ever comes."""
    killed: list[subprocess.Popen[str]] = []
    with job.make(index_lag_s=LAG_S, searches_per_second=None) as sandbox:

        def kill(answer: Any) -> Any:
            killed[0].kill()
            return answer

        def kill_before(request: Request) -> None:
            if re.search(path, request.path):
                killed[0].kill()

        sandbox.faults = [
            Fault("edit", path=path, edit=kill) if is_done else Fault("hang", path=path)
        ]
        sandbox.on_request = None if is_done else kill_before
        killed.append(start("create_contact.py", sandbox, *WORDS, is_quick=True))
        killed[0].communicate()
        assert killed[0].returncode == -signal.SIGKILL
        sandbox.faults, sandbox.on_request = [], None
        assert job.run(sandbox).code == 0
        assert state(sandbox) == COMPLETE


def test_five_at_once(job: Job) -> None:
    """Calls from a form: five addresses, one company, and HubSpot's search shows nothing yet."""
    with job.make(index_lag_s=LAG_S, searches_per_second=None) as sandbox:
        addresses = [f"p{number}@mail.example" for number in range(5)]
        flags = (*SHOP, "--wait", "6000")
        runs = [
            start("create_contact.py", sandbox, "--email", each, *flags, is_quick=True)
            for each in addresses
        ]
        texts = [run.communicate() for run in runs]
        assert [run.returncode for run in runs] == [0] * 5, texts
        domains, emails, pairs = state(sandbox)
        assert (domains, sorted(emails), len(pairs)) == (["shop.example"], addresses, 5)


# One at a time


class Releasing(FakeClock):
    """Lets something happen when it has been slept for so long."""

    def __init__(self, after_s: float, then: Callable[[], None]) -> None:
        super().__init__()
        self._at, self._then = self.now + after_s, then

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self.now >= self._at:
            self._at = float("inf")
            self._then()


@pytest.mark.parametrize("after_s", [0.5, 59.0])
def test_it_waits_for_another_run(job: Job, after_s: float) -> None:
    with job.make() as sandbox:
        held = contextlib.ExitStack()
        held.enter_context(run_lock("contact", account(sandbox), job.clock))
        outcome = job.run(sandbox, clock=Releasing(after_s, held.close))
        assert state(sandbox) == COMPLETE
    assert outcome.code == 0
    assert outcome.err.count("Another run is active: process ") == 1
    assert "Waiting up to 60 s for it." in outcome.err


@pytest.mark.parametrize(
    ("flags", "seconds"), [((), 60), (("--wait", "7"), 7), (("--wait", "0"), 0)]
)
def test_it_waits_no_longer_than_it_may(job: Job, flags: Sequence[str], seconds: int) -> None:
    with job.make() as sandbox, run_lock("contact", account(sandbox), job.clock):
        outcome = job.run(sandbox, *flags)
        assert (outcome.code, sandbox.requests) == (5, [])
        assert seconds <= sum(job.clock.slept) <= seconds + 1
        assert job.run(sandbox, "--dry-run").code == 0
    assert ("Waiting up to" in outcome.err) is bool(seconds)
