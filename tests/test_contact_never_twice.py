"""The worst that the contact job can do is a second company: lost answers, kills, damage, crowds.

Over real sockets; what counts is what HubSpot holds in the end.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Callable, Sequence

import pytest

import create_contact
from contact.records import LOOK_AGAIN_AFTER_S, Memory
from sandbox import Fault, HubSpot, Request, Sandbox
from state.files import account_file
from state.lock import run_lock
from tests.helpers import ROOT, Ended, FakeClock, RunMain, stop_at

pytestmark = pytest.mark.no_cover  # other tests reach the same lines

ANN = ("--email", "ann.lee@mail.example", "--first-name", "Ann", "--last-name", "Lee")
SHOP = ("--company-name", "Sample Shop", "--company-domain", "shop.example")
WORDS = (*ANN, *SHOP)
LAG_S = 60.0  # the longest that is allowed for
CREATE_COMPANY, CREATE_CONTACT = "objects/companies$", "objects/contacts$"
ASSOCIATE, ASSOCIATED = "/default/company/", "/associations/company$"
MAY = "It may have been created; run it again in a minute."


def make(clock: FakeClock, *companies: dict[str, Any], **options: Any) -> Sandbox:
    return Sandbox(HubSpot(companies, **options), clock=clock)


def sent(sandbox: Sandbox) -> int:
    """How often the creation of a company was sent."""
    requests = sandbox.requests
    return sum(each.path.endswith("/companies") and each.method == "POST" for each in requests)


def domains(sandbox: Sandbox) -> list[str | None]:
    return [record.get("domain") for record in sandbox.hubspot.companies.values()]


def is_complete(sandbox: Sandbox) -> bool:
    hubspot = sandbox.hubspot
    return (
        domains(sandbox) == ["shop.example"]
        and len(hubspot.contacts) == 1
        and set(hubspot.companies) <= set(hubspot.associations.get(min(hubspot.contacts), ()))
    )


def account(sandbox: Sandbox) -> str:
    settings = sandbox.settings
    return f"{settings['HUBSPOT_BASE_URL']} {settings['HUBSPOT_ACCESS_TOKEN']}"


def memory_file(sandbox: Sandbox) -> Path:
    return account_file("contact", account(sandbox), ".sqlite3")


class Jumping(FakeClock):
    """The clock on the wall is another one than the clock that waits."""

    def __init__(self, before: FakeClock, jump: timedelta) -> None:
        super().__init__()
        self.now, self.jump = before.now, jump

    def utcnow(self) -> datetime:
        return super().utcnow() + self.jump


def run_later(run_main: RunMain, sandbox: Sandbox, clock: FakeClock) -> Ended:
    sandbox.hubspot.clock = sandbox.clock = clock
    return run_main(create_contact.main, sandbox, *WORDS, clock=clock)


# Every spelling

SPELLINGS = [
    "https://shop.example",
    "HTTP://www.Shop.example/",
    "shop.example/",
    "shop.example.",
    "shop.example:443",
    "https://shop.example:8443/de?x=1",
    "www.shop.example/de/start",
    "  shop.example\n",
    "www.www.shop.example",
    "//shop.example",
    "other.example, shop.example",
    "info@shop.example",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_company_is_found_in_every_spelling(
    run_main: RunMain, clock: FakeClock, spelling: str
) -> None:
    with make(clock, {"id": 7, "name": "Old Shop", "domain": spelling}) as sandbox:
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert domains(sandbox) == [spelling]
        assert set(sandbox.hubspot.associations) == set(sandbox.hubspot.contacts)
    assert outcome.code == 0
    assert "Company found: Old Shop, shop.example, id 7," in outcome.out


@pytest.mark.parametrize(
    "additional", ["shop.example", "a.example; shop.example;b.example", "https://www.shop.example/"]
)
def test_a_company_is_found_among_the_additional_domains(
    run_main: RunMain, clock: FakeClock, additional: str
) -> None:
    company = {"id": 7, "domain": "brand.example", "hs_additional_domains": additional}
    with make(clock, company) as sandbox:
        assert run_main(create_contact.main, sandbox, *WORDS).code == 0
        assert domains(sandbox) == ["brand.example"]
        assert [list(each) for each in sandbox.hubspot.associations.values()] == [[7]]


def test_a_company_that_was_merged_is_found(run_main: RunMain, clock: FakeClock) -> None:
    with make(clock, {"id": 7, "domain": "brand.example"}) as sandbox:
        run_main(create_contact.main, sandbox, *WORDS)
        (made,) = set(sandbox.hubspot.companies) - {7}
        merged = sandbox.hubspot.merge("companies", 7, made)
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert set(sandbox.hubspot.companies) == {merged}
    assert outcome.report["outcome"] == "in_sync"


def test_an_international_domain(run_main: RunMain, clock: FakeClock) -> None:
    with make(clock, {"id": 7, "domain": "https://www.Münze.example/"}) as sandbox:
        flags = (*ANN, *SHOP[:2], "--company-domain", "xn--mnze-0ra.example")
        assert run_main(create_contact.main, sandbox, *flags).code == 0
        assert set(sandbox.hubspot.companies) == {7}


def test_a_companys_own_domain_comes_before_an_additional_one(
    run_main: RunMain, clock: FakeClock
) -> None:
    companies = (
        {"id": 3, "domain": "brand.example", "hs_additional_domains": "shop.example"},
        {"id": 7, "domain": "http://shop.example"},
        {"id": 9, "domain": "shop.example"},
        {"id": 2, "domain": "my-shop.example"},
        {"id": 1, "domain": "shop.example.test"},
    )
    with make(clock, *companies) as sandbox:
        outcome = run_main(create_contact.main, sandbox, *WORDS)
    assert outcome.report["steps"][0]["id"] == 7
    assert outcome.report["warnings"] == [
        "HubSpot has more companies with the domain shop.example: 9, 3."
    ]


# Lost answers

LOST: dict[str, dict[str, Any]] = {
    "reset after the work": {"kind": "reset_after"},
    "answer cut short": {"kind": "truncate"},
    "answer that is no JSON": {"kind": "body", "body": "<html></html>"},
    "503 after the work": {"kind": "status_after", "status": 503},
    "503 after the work, wait long": {
        "kind": "status_after",
        "status": 503,
        "headers": {"Retry-After": "300"},
    },
    "502 after the work": {"kind": "status_after", "status": 502},
    "504 after the work": {"kind": "status_after", "status": 504},
    "408 after the work": {"kind": "status_after", "status": 408},
}
NOT_DONE: dict[str, dict[str, Any]] = {
    "reset before the work": {"kind": "reset_before"},
    "503 before the work": {"kind": "status", "status": 503},
}


@pytest.mark.parametrize("details", LOST.values(), ids=LOST.keys())
@pytest.mark.parametrize("lag_s", [0.0, 30.0, LAG_S])
def test_after_a_lost_answer_nothing_is_sent_again(
    run_main: RunMain, clock: FakeClock, details: dict[str, Any], lag_s: float
) -> None:
    with make(clock, index_lag_s=lag_s) as sandbox:
        sandbox.faults = [Fault(path=CREATE_COMPANY, **details)]
        first = run_main(create_contact.main, sandbox, *WORDS)
        assert sent(sandbox) == 1
        later = run_main(create_contact.main, sandbox, *WORDS)
        assert sent(sandbox) == 1
        assert is_complete(sandbox)
    may_ask = "headers" not in details  # else HubSpot wants to be left alone
    assert (first.code, later.code) == (0 if may_ask else 1, 0)
    assert "Nothing has been changed" not in first.text


def test_a_lag_that_is_longer_than_ever(run_main: RunMain, clock: FakeClock) -> None:
    with make(clock, index_lag_s=2 * LAG_S) as sandbox:
        sandbox.faults = [Fault("status_after", path=CREATE_COMPANY, status=503)]
        codes = [run_main(create_contact.main, sandbox, *WORDS).code for _ in range(2)]
        assert (codes, sent(sandbox)) == ([1, 0], 1)
        assert is_complete(sandbox)


@pytest.mark.parametrize("details", NOT_DONE.values(), ids=NOT_DONE.keys())
def test_what_was_never_carried_out_is_left_to_the_next_run(
    run_main: RunMain, clock: FakeClock, details: dict[str, Any]
) -> None:
    with make(clock, index_lag_s=LAG_S) as sandbox:
        sandbox.faults = [Fault(path=CREATE_COMPANY, times=1, **details)]
        first = run_main(create_contact.main, sandbox, *WORDS)
        assert (sent(sandbox), domains(sandbox), sandbox.writes) == (1, [], [])
        later = run_main(create_contact.main, sandbox, *WORDS)
        assert sent(sandbox) == 2
        assert is_complete(sandbox)
    assert (first.code, first.report["outcome"], later.code) == (1, "failed", 0)
    assert MAY in first.err
    assert MAY in first.report["error"]
    assert "Not done: the next run looks first whether the company was created." in first.out
    assert "Nothing has been changed" not in first.text
    assert "an earlier run asked for the company, but the search does not show it" in later.err


@pytest.mark.parametrize("kind", ["hang", "hang_after"])
def test_no_answer_at_all(run_main: RunMain, clock: FakeClock, impatient: None, kind: str) -> None:
    with make(clock, index_lag_s=LAG_S) as sandbox:
        sandbox.faults = [Fault(kind, path=CREATE_COMPANY, times=1)]
        first = run_main(create_contact.main, sandbox, *WORDS)
        assert sent(sandbox) == 1
        assert run_main(create_contact.main, sandbox, *WORDS).code == 0
        assert is_complete(sandbox)
    assert first.code == (1 if kind == "hang" else 0)


def test_the_wait_of_one_run_covers_the_lag(run_main: RunMain, clock: FakeClock) -> None:
    assert sum(LOOK_AGAIN_AFTER_S) > LAG_S


def test_a_run_that_fails_while_it_looks(run_main: RunMain, clock: FakeClock) -> None:
    """The answer is lost, then the search fails: the next run looks for the whole time again."""
    with make(clock, index_lag_s=LAG_S) as sandbox:
        sandbox.faults = [
            Fault("reset_after", path=CREATE_COMPANY),
            Fault("status", path="companies/search", nth=4, times=20, status=401),
        ]
        first = run_main(create_contact.main, sandbox, *WORDS)
        sandbox.faults = []
        later = run_main(create_contact.main, sandbox, *WORDS)
        assert sent(sandbox) == 1
        assert is_complete(sandbox)
    assert (first.code, first.report["steps"], later.code) == (1, [], 0)
    assert "401" in first.report["error"]
    assert "Not done: the next run looks first whether the company was created." in first.out
    assert "Nothing has been changed" not in first.text


def test_ctrl_c_while_it_looks(run_main: RunMain, clock: FakeClock) -> None:
    with make(clock, index_lag_s=LAG_S) as sandbox:
        sandbox.faults = [Fault("reset_after", path=CREATE_COMPANY)]
        sandbox.on_request = stop_at(clock, lambda _call: bool(sandbox.writes))
        first = run_main(create_contact.main, sandbox, *WORDS)
        sandbox.on_request, sandbox.faults = None, []
        later = run_later(run_main, sandbox, Jumping(clock, timedelta()))
        assert (sent(sandbox), later.code) == (1, 0)
        assert is_complete(sandbox)
    assert (first.code, first.report["outcome"]) == (130, "interrupted")
    assert "Nothing has been changed" not in first.text


def test_a_refusal_leaves_nothing_to_wait_for(run_main: RunMain, clock: FakeClock) -> None:
    with make(clock) as sandbox:
        for status in (400, 403, 409):
            sandbox.faults = [Fault("status", path=CREATE_COMPANY, status=status)]
            outcome = run_main(create_contact.main, sandbox, *WORDS)
            assert (outcome.code, sandbox.writes) == (1, [])
            assert "Nothing has been changed." in outcome.err
        sandbox.faults = []
        assert run_main(create_contact.main, sandbox, *WORDS).code == 0
        assert is_complete(sandbox)
    assert max(clock.slept) < 3


@pytest.mark.parametrize("status", [302, 401, 429])
def test_a_call_that_went_nowhere_is_no_change(
    run_main: RunMain, clock: FakeClock, status: int
) -> None:
    """Nobody has said that there is no company, so the next run looks for it all the same."""
    with make(clock, index_lag_s=LAG_S) as sandbox:
        sandbox.faults = [Fault("status", path=CREATE_COMPANY, status=status)]
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert (outcome.code, sandbox.writes) == (1, [])
        assert outcome.err.endswith("Nothing has been changed.\n")
        sandbox.faults = []
        later = run_main(create_contact.main, sandbox, *WORDS)
        assert (later.code, is_complete(sandbox)) == (0, True)
    assert "looking for the company" in later.err


@pytest.mark.parametrize("nth", range(1, 5))
@pytest.mark.parametrize("path", [CREATE_COMPANY, CREATE_CONTACT, ASSOCIATE])
def test_503s_after_the_work_on_every_write(
    run_main: RunMain, clock: FakeClock, path: str, nth: int
) -> None:
    """`nth` of them in a row on the same call, over as many runs as it takes."""
    with make(clock, index_lag_s=LAG_S) as sandbox:
        sandbox.faults = [Fault("status_after", path=path, times=nth, status=503)]
        codes = [run_main(create_contact.main, sandbox, *WORDS).code for _ in range(2)]
        assert is_complete(sandbox)
        assert sent(sandbox) == 1
    assert codes == [0, 0]


KINDS = [*LOST.values(), *NOT_DONE.values(), {"kind": "status", "status": 429}]
CALLS = ["account-info", "companies/search", "contacts/search", CREATE_COMPANY, CREATE_CONTACT]
CALLS += [ASSOCIATE, ASSOCIATED, "batch/read", ""]


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens(run_main: RunMain, clock: FakeClock, seed: int) -> None:
    """Four runs, each with a few faults anywhere, clocks that jump in between; then a sound one."""
    chance = random.Random(seed)
    with make(clock, index_lag_s=chance.choice([0, 5, 30, LAG_S])) as sandbox:
        for faults in (3, 2, 1, 1, 0):
            sandbox.faults = [
                Fault(path=chance.choice(CALLS), nth=chance.randint(1, 3), **chance.choice(KINDS))
                for _ in range(faults)
            ]
            clock = Jumping(clock, timedelta(days=chance.randint(-9, 9)))
            outcome = run_later(run_main, sandbox, clock)
            assert len(sandbox.hubspot.companies) <= 1
            assert len(sandbox.hubspot.contacts) <= 1
            assert outcome.code in (0, 1, 4)
            assert "a mistake in the program" not in outcome.err
        assert (outcome.code, is_complete(sandbox)) == (0, True)


# The memory


@pytest.mark.parametrize("hours", [-24 * 400, -1, 1, 24 * 400])
@pytest.mark.parametrize("is_lost", [True, False])
def test_a_clock_that_jumps(run_main: RunMain, clock: FakeClock, hours: int, is_lost: bool) -> None:
    with make(clock, index_lag_s=LAG_S) as sandbox:
        if is_lost:  # and the search says 401, so that the run ends at once
            sandbox.faults = [
                Fault("reset_after", path=CREATE_COMPANY),
                Fault("status", path="companies/search", nth=4, times=20, status=401),
            ]
        run_main(create_contact.main, sandbox, *WORDS)
        sandbox.faults = []
        later = Jumping(clock, timedelta(hours=hours))
        assert run_later(run_main, sandbox, later).code == 0
        assert sent(sandbox) == 1
        assert is_complete(sandbox)


def zeros(content: bytes) -> bytes:
    return bytes(len(content))


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def text(content: bytes) -> bytes:
    return b"{}"


def no_index(content: bytes) -> bytes:
    return content[:8192] + bytes(4096)


def another_domain(content: bytes) -> bytes:
    return content.replace(b"shop.example", b"shap.example", 1)


@pytest.mark.parametrize("damage", [zeros, half, text, no_index, another_domain])
def test_a_damaged_memory_is_an_error_and_no_second_company(
    run_main: RunMain, clock: FakeClock, damage: Callable[[bytes], bytes]
) -> None:
    with make(clock, index_lag_s=LAG_S) as sandbox:
        run_main(create_contact.main, sandbox, *WORDS)
        path = memory_file(sandbox)
        path.write_bytes(damage(path.read_bytes()))
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert (outcome.code, len(sandbox.writes)) == (1, 3)
        assert "Wait two minutes, so that HubSpot's search shows what was created" in outcome.err
        clock.now += 120  # as it says
        path.unlink()
        assert run_main(create_contact.main, sandbox, *WORDS).report["outcome"] == "in_sync"
        assert is_complete(sandbox)


def test_a_wrong_id_in_the_memory(run_main: RunMain, clock: FakeClock) -> None:
    with make(clock, {"id": 7, "domain": "other.example"}, index_lag_s=LAG_S) as sandbox:
        run_main(create_contact.main, sandbox, *WORDS)
        sandbox.hubspot.associations.clear()
        for wrong in (7, 30_000_000_999):
            with contextlib.closing(Memory(memory_file(sandbox))) as memory:
                memory.note("shop.example", wrong)
            run_main(create_contact.main, sandbox, *WORDS)
            assert sorted(map(str, domains(sandbox))) == ["other.example", "shop.example"]


def test_nothing_is_sent_when_it_cannot_be_remembered(run_main: RunMain, clock: FakeClock) -> None:
    with make(clock) as sandbox:
        memory_file(sandbox).mkdir()
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert sandbox.writes == []
    assert outcome.code == 1
    assert "the memory of earlier runs" in outcome.err


# Processes of their own

QUICK = """
import sys, create_contact
from core.clock import Clock

class Quick(Clock):  # so that nobody waits
    def monotonic(self): return super().monotonic() * 50
    def sleep(self, seconds): super().sleep(seconds / 50)

sys.exit(create_contact.main(sys.argv[1:], Quick()))
"""


def start(sandbox: Sandbox, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, **sandbox.settings, "NO_PROXY": "127.0.0.1"}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", QUICK, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("is_done", [False, True])
@pytest.mark.parametrize("path", [CREATE_COMPANY, CREATE_CONTACT, ASSOCIATE])
def test_a_run_that_is_killed_over_a_write(
    run_main: RunMain, clock: FakeClock, path: str, is_done: bool
) -> None:
    """Right before HubSpot does the work, and right after it: no answer ever comes."""
    killed: list[subprocess.Popen[str]] = []
    with make(clock, index_lag_s=LAG_S, searches_per_second=None) as sandbox:

        def kill(answer: Any) -> Any:
            killed[0].kill()
            return answer

        work = Fault("edit", path=path, edit=kill)
        nothing = Fault("hang", path=path)

        def kill_before(request: Request) -> None:
            if re.search(path, request.path):
                killed[0].kill()

        sandbox.faults = [work if is_done else nothing]
        sandbox.on_request = None if is_done else kill_before
        killed.append(start(sandbox, *WORDS))
        killed[0].communicate()
        assert killed[0].returncode == -signal.SIGKILL
        sandbox.faults, sandbox.on_request = [], None
        assert run_main(create_contact.main, sandbox, *WORDS).code == 0
        assert is_complete(sandbox)


def test_five_at_once(clock: FakeClock) -> None:
    """Calls from a form: five addresses, one company, and HubSpot's search shows nothing yet."""
    with make(clock, index_lag_s=LAG_S, searches_per_second=None) as sandbox:
        addresses = [f"p{number}@mail.example" for number in range(5)]
        flags = (*SHOP, "--wait", "6000")
        runs = [start(sandbox, "--email", address, *flags) for address in addresses]
        texts = [run.communicate() for run in runs]
        assert [run.returncode for run in runs] == [0] * 5, texts
        assert domains(sandbox) == ["shop.example"]
        contacts = sandbox.hubspot.contacts.values()
        assert sorted(str(each.get("email")) for each in contacts) == addresses
        assert len(sandbox.hubspot.associations) == 5


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
def test_it_waits_for_another_run(run_main: RunMain, clock: FakeClock, after_s: float) -> None:
    with make(clock) as sandbox:
        held = contextlib.ExitStack()
        held.enter_context(run_lock("contact", account(sandbox), clock))
        waiting = Releasing(after_s, held.close)
        outcome = run_main(create_contact.main, sandbox, *WORDS, clock=waiting)
        assert is_complete(sandbox)
    assert outcome.code == 0
    assert outcome.err.count("Another run is active: process ") == 1
    assert "Waiting up to 60 s for it." in outcome.err


@pytest.mark.parametrize(
    ("flags", "seconds"), [((), 60), (("--wait", "7"), 7), (("--wait", "0"), 0)]
)
def test_it_waits_no_longer_than_it_may(
    run_main: RunMain, clock: FakeClock, flags: Sequence[str], seconds: int
) -> None:
    with make(clock) as sandbox, run_lock("contact", account(sandbox), clock):
        outcome = run_main(create_contact.main, sandbox, *WORDS, *flags)
        assert sandbox.requests == []
    assert outcome.code == 5
    assert seconds <= sum(clock.slept) <= seconds + 1
    assert ("Waiting up to" in outcome.err) is bool(seconds)


@pytest.mark.parametrize("seconds", ["-1", "1.5", "soon", ""])
def test_a_wait_is_a_number_of_seconds(
    run_main: RunMain, capsys: pytest.CaptureFixture[str], seconds: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        run_main(create_contact.main, None, *WORDS, f"--wait={seconds}")
    assert stop.value.code == 2
    assert "argument --wait: must be a whole number" in capsys.readouterr().err


# HubSpot's own association


def add_late(clock: FakeClock, sandbox: Sandbox, late_s: float) -> Callable[[Request], None]:
    """HubSpot's setting at work: a company of its own for a contact that is `late_s` old."""
    made_at: list[float] = []

    def look(request: Request) -> None:
        hubspot = sandbox.hubspot
        if hubspot.contacts and not made_at:
            made_at.append(clock.now)
        if made_at and clock.now >= made_at[0] + late_s and len(hubspot.companies) == 1:
            extra = hubspot.add("companies", {"domain": "mail.example"})
            hubspot.link(min(hubspot.contacts), extra)

    return look


@pytest.mark.parametrize("late_s", [0.0, 0.5, 1.5])
def test_an_association_that_comes_late_is_told(
    run_main: RunMain, clock: FakeClock, late_s: float
) -> None:
    with make(clock) as sandbox:
        sandbox.on_request = add_late(clock, sandbox, late_s)
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        times = [request.at for request in sandbox.requests]
    assert outcome.code == 0
    (warning,) = outcome.report["warnings"]
    assert "also associated with (no name) (mail.example, id " in warning
    assert min(later - sooner for sooner, later in zip(times, times[1:])) >= 0.2


def test_nobody_waits_for_the_associations_of_a_contact_that_was_there(
    run_main: RunMain, clock: FakeClock
) -> None:
    with make(clock, {"id": 7, "domain": "shop.example"}) as sandbox:
        sandbox.hubspot.contacts[8] = {"email": "ann.lee@mail.example"}
        assert run_main(create_contact.main, sandbox, *WORDS).report["outcome"] == "synced"
    assert max(clock.slept) < 1


# Who is meant


@pytest.mark.parametrize(
    ("flags", "missing"),
    [
        (ANN[:2], "--company-name and --company-domain"),
        (ANN, "--company-name and --company-domain"),
        ((*ANN, *SHOP[:2]), "--company-domain"),
        ((*ANN, *SHOP[2:]), "--company-name"),
        (SHOP, "--email"),
        (ANN[2:4], "--email and --company-name and --company-domain"),
        (("--last-name", ""), "--email and --company-name and --company-domain"),
    ],
)
@pytest.mark.parametrize("mode", ["", "--dry-run", "--check"])
def test_nobody_is_made_up_beside_what_is_given(
    run_main: RunMain, clock: FakeClock, flags: Sequence[str], missing: str, mode: str
) -> None:
    with make(clock) as sandbox:
        outcome = run_main(create_contact.main, sandbox, *flags, *filter(None, [mode]))
        assert sandbox.requests == []
    assert (outcome.code, outcome.report["outcome"]) == (2, "failed")
    assert f"Give {missing} as well." in outcome.err
    assert outcome.err.endswith("Nothing has been changed.\n")


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, {}),
        ({"FIRSTNAME": "Zoë"}, {"firstname": "Zoë"}),
        ({"FIRSTNAME": "Zoë", "LASTNAME": " Groß "}, {"firstname": "Zoë", "lastname": "Groß"}),
    ],
)
def test_the_names_of_a_given_person_are_never_made_up(
    run_main: RunMain, clock: FakeClock, settings: dict[str, str], names: dict[str, str]
) -> None:
    with make(clock) as sandbox:
        assert run_main(create_contact.main, sandbox, *ANN[:2], *SHOP, **settings).code == 0
        (contact,) = sandbox.hubspot.contacts.values()
        assert dict(contact) == {"email": "ann.lee@mail.example", **names}


@pytest.mark.parametrize(
    ("settings", "email"),
    [
        ({}, "test.person@example.com"),
        ({"FIRSTNAME": "Zoë", "LASTNAME": "Groß"}, "zoe.gross@example.com"),
    ],
)
def test_without_any_flag_all_is_made_up(
    run_main: RunMain, clock: FakeClock, settings: dict[str, str], email: str
) -> None:
    with make(clock) as sandbox:
        assert run_main(create_contact.main, sandbox, "-v", "--wait", "1", **settings).code == 0
        (contact,) = sandbox.hubspot.contacts.values()
        assert contact["email"] == email
        assert domains(sandbox) == ["coding-challenge-company.com"]


def test_report_and_page_name_person_and_company(
    run_main: RunMain, clock: FakeClock, tmp_path: Path
) -> None:
    page = tmp_path / "contact.html"
    with make(clock) as sandbox:
        outcome = run_main(create_contact.main, sandbox, *WORDS, "--report", str(page))
    steps = {step["step"]: step["name"] for step in outcome.report["steps"]}
    assert steps["company"] == "Sample Shop, shop.example"
    assert steps["contact"] == "Ann Lee, ann.lee@mail.example"
    shown = page.read_text(encoding="utf-8")
    assert "Sample Shop, shop.example" in shown
    assert "Ann Lee, ann.lee@mail.example" in shown
