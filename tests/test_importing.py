"""New people by import: who arrives, who does not, and what keeps somebody from going by it."""

from __future__ import annotations

import re
from typing import Any

import pytest

import sync_subscribers
from sandbox import Fault, Request, Sandbox
from sandbox.hubspot import definition
from subscribers import importing
from tests.helpers import FakeClock
from tests.people import (
    AL,
    BO,
    JO,
    before_looks,
    contact,
    emails,
    fields,
    make,
    people_written,
    reasons,
    run,
    run_first,
    statuses,
    subscriber,
)

FLAG = "--import"
GROUPS = {"groups": {"7": "Shops", "8": "Others"}}
SHOPS = {"MAILERLITE_GROUPS": "Shops", "MAX_NEW": "5000"}
TIERS = {"contacts": {"tier": definition("enumeration", "checkbox", ["a", "b"])}}
PATH = "/groups/7/import-subscribers$"


def many(number: int) -> list[str]:
    return [f"p{n:04d}@mail.example" for n in range(number)]


def imports(sandbox: Sandbox) -> list[list[dict[str, Any]]]:
    return [
        each.json()["subscribers"]
        for each in sandbox.requests
        if each.path.endswith("/import-subscribers")
    ]


def is_import(request: Request) -> bool:
    return request.path.endswith("/import-subscribers")


@pytest.mark.no_cover
def test_everybody_arrives(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a tenth of the people in one call this stands for 2,100."""
    monkeypatch.setattr(importing, "IMPORT_SIZE", 100)
    people = many(210)
    with make([*map(contact, people)], [], clock, **GROUPS) as sandbox:
        dry = run(clock, sandbox, FLAG, "--dry-run", **SHOPS)
        assert (statuses(sandbox), imports(sandbox), sandbox.writes) == ({}, [], [])
        before = len(sandbox.requests)
        outcome = run(clock, sandbox, FLAG, **SHOPS)
        assert outcome.code == 0, outcome.err
        assert sorted(map(len, imports(sandbox))) == [10, 100, 100]
        assert list(people_written(sandbox)) == []
        assert statuses(sandbox) == dict.fromkeys(people, "active")
        assert {tuple(each["groups"]) for each in sandbox.mailerlite.subscribers.values()} == {
            ("7",)
        }
        assert fields(sandbox, people[5]) == {"name": "New"}
        times = [each.at for each in sandbox.requests if is_import(each)]
        assert min(later - sooner for sooner, later in zip(times, times[1:])) >= 12
        calls = sum(each.service == "mailerlite" for each in sandbox.requests[before:])
        assert calls < 45
        writes = len(sandbox.writes)
        again = run(clock, sandbox, FLAG, **SHOPS)
        assert len(sandbox.writes) == writes
    assert again.report["outcome"] == "in_sync"
    assert {row["status"] for row in outcome.report["create"]} == {"done"}
    assert emails(outcome.report["create"]) == people
    assert "Done: created 210 people" in outcome.out
    for told in (dry, outcome):
        assert "MailerLite will import 210 people into the group Shops" in told.out
    assert "does not ask imported people to confirm" in outcome.out


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"MAILERLITE_GROUPS": "Shops, Others"},
        {"MAILERLITE_GROUPS": "Shops", "MIRROR_GROUP": "Others"},
        {"MIRROR_GROUP": "Shops", "GROUP_BY": "tier"},
    ],
)
def test_it_needs_one_group(clock: FakeClock, settings: dict[str, str]) -> None:
    with make([contact(JO)], [], clock, {"properties": TIERS}, **GROUPS) as sandbox:
        outcome = run(clock, sandbox, FLAG, "--create-groups", **settings)
        assert statuses(sandbox) == {}
    assert outcome.code == 2
    assert "--import needs exactly one group for each person." in outcome.err


def test_the_group_may_be_a_mirrored_one(clock: FakeClock) -> None:
    contacts = [contact(JO), contact(AL), contact(BO, hs_email_optout="true")]
    flags = [FLAG, "--list", "Customers", "--mirror-group", "News"]
    with make(contacts, [], clock, **GROUPS) as sandbox:
        sandbox.hubspot.add_list("Customers", "contacts", 101, 103)
        outcome = run(clock, sandbox, *flags, "--create-groups")
        assert outcome.code == 0, outcome.err
        assert [row["email"] for rows in imports(sandbox) for row in rows] == [JO]
        assert list(people_written(sandbox)) == []
        assert statuses(sandbox) == {JO: "active"}
        writes = len(sandbox.writes)
        again = run(clock, sandbox, *flags)
        assert len(sandbox.writes) == writes
    assert again.report["outcome"] == "in_sync"
    assert [(row["email"], row["status"]) for row in outcome.report["create"]] == [(JO, "done")]
    assert outcome.report["checked_after"] == {"listed": 1, "missing": [], "unwanted": []}
    assert "MailerLite will import 1 person into the group News" in outcome.out


def test_each_value_has_an_import_of_its_own(clock: FakeClock) -> None:
    """Who belongs in no group, in several, or in another one by now, is written one by one."""
    contacts = [
        contact(JO, tier="a"),
        contact(AL, tier="b"),
        contact(BO, tier="a"),
        contact("both@mail.example", tier="a;b"),
        contact("none@mail.example"),
    ]
    flags = [FLAG, "--create-groups"]
    with make(contacts, [], clock, {"properties": TIERS}) as sandbox:
        before_looks(sandbox, lambda: sandbox.hubspot.edit("contacts", 103, tier="b"))
        outcome = run(clock, sandbox, *flags, GROUP_BY="tier")
        assert outcome.code == 0, outcome.err
        assert sorted(row["email"] for rows in imports(sandbox) for row in rows) == [AL, JO]
        names, people = sandbox.mailerlite.groups, sandbox.mailerlite.subscribers
        found = {email: {names[id] for id in each["groups"]} for email, each in people.items()}
        both = {"both@mail.example": {"A", "B"}, "none@mail.example": set()}
        assert found == {JO: {"A"}, AL: {"B"}, BO: {"B"}, **both}
        assert run(clock, sandbox, *flags, GROUP_BY="tier").report["outcome"] == "in_sync"
    assert {row["status"] for row in outcome.report["create"]} == {"done"}
    assert "will import 3 people into the groups B, A, up to 1,000 in one call" in outcome.out


def test_who_does_not_arrive_is_written_alone(clock: FakeClock) -> None:
    with make([contact(JO), contact(AL), contact(BO)], [], clock, **GROUPS) as sandbox:
        sandbox.mailerlite.import_loses = {JO, AL}
        sandbox.mailerlite.not_taken = {AL}
        outcome = run(clock, sandbox, FLAG, **SHOPS)
        assert statuses(sandbox) == {JO: "active", BO: "active"}
        assert sorted(each["email"] for each in people_written(sandbox)) == [AL, JO]
    status = {row["email"]: row["status"] for row in outcome.report["create"]}
    assert status == {AL: "failed", BO: "done", JO: "done"}
    assert "must be a valid email address" in str(outcome.report["create"])


def test_nobody_who_was_deleted_is_revived(clock: FakeClock) -> None:
    with make([contact(JO), contact(AL)], [], clock, **GROUPS) as sandbox:
        assert run(clock, sandbox, FLAG, **SHOPS).code == 0
        sandbox.mailerlite.delete(JO)
        sandbox.hubspot.add("contacts", contact(BO))
        outcome = run(clock, sandbox, FLAG, **SHOPS)
        assert statuses(sandbox) == {AL: "active", BO: "active"}
        assert reasons(outcome)[JO] == "deleted in MailerLite"
        restored = run(clock, sandbox, FLAG, "--restore", JO, **SHOPS)
        assert [row["email"] for rows in imports(sandbox)[1:] for row in rows] == [BO]
        assert statuses(sandbox)[JO] == "active"
    assert restored.code == 0
    assert "will import" not in restored.out


def test_who_is_not_to_be_written_any_more_is_left_out_of_the_import(clock: FakeClock) -> None:
    moved = "moved@mail.example"

    def change() -> None:
        sandbox.hubspot.edit("contacts", 101, hs_email_optout="true")
        sandbox.mailerlite.add(AL, status="unsubscribed")
        sandbox.hubspot.edit("contacts", 104, city="Elsewhere")

    contacts = [contact(each, city="Anytown") for each in (JO, AL, BO, moved)]
    with make(contacts, [], clock, **GROUPS) as sandbox:
        before_looks(sandbox, change)
        outcome = run(clock, sandbox, FLAG, CONTACT_FILTER="city=Anytown", **SHOPS)
        assert [row["email"] for rows in imports(sandbox) for row in rows] == [BO]
        assert statuses(sandbox) == {AL: "unsubscribed", BO: "active"}
    assert reasons(outcome) == {
        JO: "opted out in HubSpot",
        AL: "unsubscribed in MailerLite",
        moved: "its city is Elsewhere, and only Anytown matches",
    }


def test_double_opt_in_of_the_import_is_left_so(clock: FakeClock) -> None:
    """And known people are updated as ever."""
    options: dict[str, Any] = {**GROUPS, "import_double_opt_in": True}
    with make([contact(JO), contact(AL)], [subscriber(AL)], clock, **options) as sandbox:
        assert run_first(clock, sandbox, FLAG, **SHOPS).code == 0
        assert [row["email"] for rows in imports(sandbox) for row in rows] == [JO]
        assert fields(sandbox, AL) == {"name": "New"}
        assert statuses(sandbox) == {JO: "unconfirmed", AL: "active"}
        assert run(clock, sandbox, FLAG, **SHOPS).report["outcome"] == "in_sync"


@pytest.mark.parametrize("status", [403, 413, 422, 500])
def test_who_is_in_an_import_that_is_refused_is_written_alone(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Several refusals in a row are none of the service."""
    monkeypatch.setattr(importing, "IMPORT_SIZE", 2)
    people = many(9)
    with make([*map(contact, people)], [], clock, **GROUPS) as sandbox:
        sandbox.faults = [Fault("status", path=PATH, status=status, body={"message": "No."})]
        sandbox.mailerlite.not_taken = {people[3]}
        outcome = run(clock, sandbox, FLAG, **SHOPS)
        assert statuses(sandbox) == dict.fromkeys([*people[:3], *people[4:]], "active")
    assert re.search(rf"import subscribers: .*\({status} ", outcome.err)
    failed = [row["email"] for row in outcome.report["create"] if row["status"] != "done"]
    assert failed == [people[3]]


@pytest.mark.parametrize("path", ["/import-subscribers", "/subscribers/import/", "/batch"])
def test_a_stop_at_any_call(clock: FakeClock, path: str) -> None:
    people = many(60)
    sent, not_sent = ("failed", importing.NOT_SEEN), ("not_reached", "stopped on request")

    def stop(request: Request) -> None:
        if path in request.path:
            sandbox.on_request = None
            clock.stop()

    with make([*map(contact, people)], [], clock, **GROUPS) as sandbox:
        sandbox.on_request = stop
        outcome = run(clock, sandbox, FLAG, **SHOPS)
        assert outcome.report["outcome"] == "interrupted"
        told = {(row["status"], row["error"]) for row in outcome.report["create"]}
        assert told == {sent if any(map(is_import, sandbox.requests)) else not_sent}
        later = FakeClock()
        later.now = clock.now + 60
        sandbox.mailerlite.clock = sandbox.hubspot.clock = later
        flags = [FLAG, "--first-run"]
        assert clock.run(sync_subscribers.main, sandbox, *flags, clock=later, **SHOPS).code == 0
        assert statuses(sandbox) == dict.fromkeys(people, "active")


def test_an_import_that_never_ends(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "POLLS", 3)
    with make([contact(JO)], [], clock, import_s=1e9, **GROUPS) as sandbox:
        assert run(clock, sandbox, FLAG, **SHOPS).code == 0
        assert statuses(sandbox) == {JO: "active"}
        assert [each["email"] for each in people_written(sandbox)] == [JO]


def test_who_arrives_late_was_created(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the group was read, and before the look that precedes a single write."""

    def arrive(request: Request) -> None:
        if request.path.endswith("/batch") and any(map(is_import, sandbox.requests)):
            clock.now += 1000

    monkeypatch.setattr(importing, "POLLS", 0)
    with make([contact(JO), contact(AL)], [], clock, import_s=500.0, **GROUPS) as sandbox:
        sandbox.on_request = arrive
        outcome = run(clock, sandbox, FLAG, **SHOPS)
        assert statuses(sandbox) == {JO: "active", AL: "active"}
        assert list(people_written(sandbox)) == []
        sandbox.hubspot.edit("contacts", 101, email=None)
        later = run(clock, sandbox, FLAG, **SHOPS)
    assert {row["email"]: row["status"] for row in outcome.report["create"]} == {
        JO: "done",
        AL: "done",
    }
    assert "Done: created 2 people" in outcome.out
    assert emails(later.report["leavers"]) == [JO]
