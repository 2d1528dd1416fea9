"""A word in a chat when something happened, and a sign of life for every run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import create_contact
import sync
from cli.notify import LONGEST_TEXT
from core.settings import PYTHON, SettingsReader
from predictleads_client import predictleads_settings
from sandbox import Fault, HubSpot, PredictLeads, Sandbox
from sandbox.hooks import CHECK, SECRET
from state.lock import run_lock
from tests import people
from tests.helpers import MATCH, Ended, FakeClock, make
from transport import response

DAY_S = 86_400
SIGNED = "sig=s%2F4711-signature&thread=7&thread=8"


def hooked(sandbox: Sandbox) -> dict[str, str]:
    address = sandbox.address(sandbox.hooks)
    return {
        "NOTIFY_URL": f"{address}/services/{SECRET}?{SIGNED}",
        "HEARTBEAT_URL": f"{address}/{CHECK}?{SIGNED}",
    }


def run(clock: FakeClock, sandbox: Sandbox, *flags: str, **settings: str) -> Ended:
    ended = clock.run(sync.main, sandbox, *flags, **{**hooked(sandbox), **settings})
    shown = f"{ended.out}{ended.err}{ended.report}{''.join(sandbox.hooks.notices)}"
    for secret in (SECRET, CHECK, "4711-signature"):
        assert secret not in shown
    return ended


def test_what_has_changed_is_said_and_every_run_reported(clock: FakeClock) -> None:
    with make([1, 2], [2, 3], clock) as sandbox:
        assert run(clock, sandbox).code == 0
        (text,) = sandbox.hooks.notices
        assert "+ shop-1.example: Shop 1\n- shop-3.example: no company in HubSpot" in text
        assert text.endswith("report.json")
        assert run(clock, sandbox).code == 0
        assert sandbox.hooks.notices == [text]  # nothing to do: nothing to say
        assert sandbox.hooks.beats == ["/start", ""] * 2
        called = [request for request in sandbox.requests if request.service == "hooks"]
        signed = {"sig": "s/4711-signature", "thread": "7,8"}
        assert [request.query for request in called] == [signed] * 5


def test_the_same_failure_is_said_once_and_then_daily(clock: FakeClock) -> None:
    with make([1], [1], clock) as sandbox:
        said = []
        for wait_s, fault in ((0, 401), (3600, 401), (3600, 400), (DAY_S, 400), (60, 0), (60, 400)):
            clock.now += wait_s
            body = {"message": "No.", "correlationId": f"id-{clock.now}"}  # another each time
            failing = Fault("status", "hubspot", status=fault, body=body)
            sandbox.faults = [failing] if fault else []
            assert run(clock, sandbox).code == (1 if fault else 0)
            said.append(len(sandbox.hooks.notices))
        assert said == [1, 1, 2, 3, 3, 4]
        assert sandbox.hooks.beats[:2] == ["/start", "/fail 1"]


def test_a_refusal_names_its_limit_once(clock: FakeClock) -> None:
    with make([1], [1, *range(10, 30)], clock) as sandbox:
        refused, again = run(clock, sandbox), run(clock, sandbox)
        assert (refused.code, again.code) == (3, 3)
        (text,) = sandbox.hooks.notices
        assert f"run it again with: {PYTHON} sync.py" in text
        assert f" --approve {refused.report['plan']}\n" in text
        assert len([line for line in text.splitlines() if line.startswith("-")]) == 10
        assert "and 10 more" in text
        assert sandbox.hooks.beats == ["/start", "/fail 3"] * 2
        clock.now += DAY_S
        run(clock, sandbox, "-q")
        (_, text) = sandbox.hooks.notices
        assert text.count("The limit is 20%.") == text.count("--approve") == 1


def test_wrong_settings_are_reported_too(clock: FakeClock) -> None:
    with make([1], [1], clock) as sandbox:
        assert run(clock, sandbox, ALEXA_BELOW="few").code == 2
        assert sandbox.hooks.beats == ["/start", "/fail 2"]
        assert "ALEXA_BELOW" in sandbox.hooks.notices[0]


def test_a_user_without_a_home_folder(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", no_home)
    with make([1], [1], clock) as sandbox:
        assert run(clock, sandbox).code == 1
        assert sandbox.hooks.beats == ["/start", "/fail 1"]
        assert "This user has no home folder" in sandbox.hooks.notices[0]


def test_a_run_beside_another_one_is_reported_too(clock: FakeClock) -> None:
    with make([1], [1], clock) as sandbox:
        account = SettingsReader(sandbox.settings, "").load(predictleads_settings).account
        with run_lock("companies", account, clock):
            assert run(clock, sandbox).code == 5
        assert sandbox.hooks.beats == ["/start", "/fail 5"]


@pytest.mark.parametrize("flag", ["--dry-run", "--check", "--history", "--explain=shop-1.example"])
def test_a_run_that_changes_nothing_calls_nobody(clock: FakeClock, flag: str) -> None:
    with make([1], [2], clock) as sandbox:
        ended = run(clock, sandbox, flag)
        assert not [request for request in sandbox.requests if request.service == "hooks"]
    if flag == "--check":
        assert "Notices are sent to 127.0.0.1 (NOTIFY_URL)." in ended.out


@pytest.mark.parametrize(
    "url", ["http://chat.example/secret", "chat.example/secret", "https://", "https://a b/secret"]
)
@pytest.mark.parametrize("setting", ["NOTIFY_URL", "HEARTBEAT_URL"])
def test_an_address_that_is_none(clock: FakeClock, setting: str, url: str) -> None:
    with make([1], [1], clock) as sandbox:
        ended = run(clock, sandbox, **{setting: url})
        assert ended.code == 2
        assert f"{setting} must be an address that begins with https://" in ended.err
        assert "secret" not in ended.err


@pytest.mark.parametrize("path", [f"/services/{SECRET}", f"{CHECK}$"])
@pytest.mark.parametrize(
    ("kind", "details", "calls"),
    [
        ("status", {"status": 500}, 2),
        ("status", {"status": 404, "body": {}}, 1),
        ("status", {"status": 429, "headers": {"Retry-After": "60"}}, 1),
        ("redirect", {"location": "https://other.example"}, 1),
        ("reset_before", {}, 2),
        ("hang", {}, 2),
        ("drip_head", {}, 2),
    ],
)
def test_what_fails_is_one_warning(
    clock: FakeClock,
    path: str,
    kind: str,
    details: dict[str, Any],
    calls: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if kind in ("hang", "drip_head"):
        monkeypatch.setattr(response, "BRIEF_S", 0.3)
    if "body" in details:  # it says which address it does not know
        said = f"{path} s/4711-signature {SIGNED}"
        details = {**details, "body": {"message": said}}
    with make([1], [2], clock) as sandbox:
        sandbox.faults = [fault := Fault(kind, "hooks", path=path, **details)]
        ended = run(clock, sandbox)
    assert (ended.code, fault.seen) == (0, calls)
    assert ended.err.count("The run itself is not affected.") == 1


def test_nobody_listens(clock: FakeClock) -> None:
    with make([1], [2], clock) as sandbox:
        gone = "http://127.0.0.1:1/secret"
        ended = run(clock, sandbox, NOTIFY_URL=gone, HEARTBEAT_URL=gone)
    assert ended.code == 0
    assert "secret" not in ended.err


def test_a_name_addresses_nobody_and_the_text_has_an_end(clock: FakeClock) -> None:
    name = "<!channel> @all https://evil.example WWW.evil.example [x](y)\r\nForged\u2028 "
    shops = [{**MATCH, "domain": f"shop-{n}.example", "name": name * 9} for n in range(9)]
    with Sandbox(HubSpot(shops), PredictLeads(), clock=clock) as sandbox:
        assert run(clock, sandbox).code == 0
        (text,) = sandbox.hooks.notices
    assert not {*"<>@["} & {*text}
    assert "://" not in text
    assert "www." not in text.lower()
    assert len(text.splitlines()) == 9
    assert len(text) == LONGEST_TEXT


@pytest.mark.parametrize("flags", [(), ("-q",)])
def test_what_needs_attention_is_said_once_a_week(clock: FakeClock, flags: tuple[str, ...]) -> None:
    with make([1], [1], clock) as sandbox:
        sandbox.hubspot.companies[999] = {**MATCH, "domain": "n/a", "name": "Odd"}
        said = []
        for wait_s in (0, 60, 7 * DAY_S):
            clock.now += wait_s
            assert run(clock, sandbox, *flags).code == 0
            said.append(len(sandbox.hooks.notices))
    assert said == [1, 1, 2]
    assert "needs your attention" in sandbox.hooks.notices[0]


def test_people_are_counted_not_named(clock: FakeClock) -> None:
    contacts = [people.contact(f"p{n}@mail.example") for n in range(3)]
    with people.make(contacts, [], clock) as sandbox:
        flags = ["--mirror-group", "Shops", "--create-groups"]
        ended = people.run_first(clock, sandbox, *flags, **hooked(sandbox))
        assert ended.code == 0
        (text,) = sandbox.hooks.notices
    assert "mail.example" not in text
    assert "Groups created: 1" in text
    assert "Created: 3" in text


def test_a_single_contact_is_no_news(clock: FakeClock) -> None:
    with make([], [], clock) as sandbox:
        assert clock.run(create_contact.main, sandbox, **hooked(sandbox)).code == 0
        assert not [request for request in sandbox.requests if request.service == "hooks"]
