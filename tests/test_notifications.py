"""What waits for a person is reported once, and then once a week."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import pytest

from state.history import SQL, Notifications
from state.store import Store
from tests.helpers import FakeClock
from tests.people import AL, BO, JO, contact, emails, make, run, run_first, subscriber

DAY_S = 86_400.0


@pytest.fixture
def memory(clock: FakeClock) -> Iterator[Notifications]:
    store = Store(Path.home() / "file", SQL, "", dry_run=False)
    yield Notifications(store, clock)
    store.close()


def test_a_daily_run_keeps_to_its_day(memory: Notifications, clock: FakeClock) -> None:
    memory.mark_notified({"a"}, {"a"})
    clock.now += 7 * DAY_S - 60
    assert memory.due({"a"}) == {"a"}


def test_a_clock_that_was_ahead_swallows_nothing(memory: Notifications, clock: FakeClock) -> None:
    clock.now += 1000 * DAY_S
    memory.mark_notified({"a"}, {"a"})
    clock.now -= 1000 * DAY_S
    assert memory.due({"a"}) == {"a"}


OUT = {"hs_email_optout": "true"}
STILL = "opted out in HubSpot, but still subscribed in MailerLite"


def test_who_waits_for_a_decision_is_told_once_a_week(clock: FakeClock) -> None:
    contacts = [contact(JO, "Old", **OUT), contact(AL), contact(BO, "Old")]
    with make(contacts, [subscriber(JO), subscriber(BO)], clock) as sandbox:
        run(clock, sandbox, "-q", "--dry-run")
        refused = run(clock, sandbox, "-q")
        first = run_first(clock, sandbox, "-q")
        silent = run(clock, sandbox, "-q")
        loud = run(clock, sandbox)
        sandbox.hubspot.edit("contacts", 103, **OUT)
        sandbox.hubspot.archive("contacts", 102)
        clock.now += 3 * DAY_S
        second = run(clock, sandbox, "-q")
        clock.now += 4 * DAY_S
        again = run(clock, sandbox, "-q")
        clock.now += 3 * DAY_S
        others = run(clock, sandbox, "-q")
        quiet = run(clock, sandbox, "-q")
        clock.now += 7 * DAY_S
        run(clock, sandbox, "-q", "--unsubscribe-opted-out")
        sandbox.mailerlite.subscribers[JO]["status"] = "active"
        third = run(clock, sandbox, "-q")
        content = next(Path.home().rglob("*.sqlite3")).read_bytes()
    for told_in in (refused, first, loud, again, third):
        assert f"  ? {JO}  {STILL}\n" in told_in.out
    assert (silent.text, quiet.text) == ("", "")
    for told_in in (second, others):
        assert f"  ? {BO}  {STILL}\n" in told_in.out
        assert f"  ? {AL}  no contact in HubSpot has this address\n" in told_in.out
        assert JO not in told_in.out
    assert BO not in again.out
    assert emails(second.report["skipped"]) == [BO, JO]
    assert b"mail.example" not in content
