"""The subscriber job is killed over each of its writes, or a call fails: the next run converges."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any, Callable, NamedTuple, Sequence

import pytest

from sandbox import Fault, Request, Sandbox
from sandbox.hubspot import definition
from subscribers import importing, writing
from subscribers.memory import PersonStore
from tests.fault_matrix import FAULTS
from tests.helpers import START, FakeClock
from tests.people import (
    AL,
    BO,
    JO,
    NEWSLETTER,
    Row,
    contact,
    fields,
    make,
    reasons,
    run,
    statuses,
    subscriber,
)

pytestmark = pytest.mark.no_cover  # other tests reach the same lines

DI = "di@mail.example"  # was deleted in MailerLite after an earlier run
GROUPS = {"7": "Shops", "8": "Lead"}
TIERS = {"contacts": {"tier": definition("enumeration", options=["lead", "customer"])}}
OPT_OUT = "/communication-preferences/v3/unsubscribe"
READS = ("/search", "/batch/read")


class World(NamedTuple):
    """`groups`: email -> names of the groups that the person is to be in."""

    flags: Sequence[str]
    settings: dict[str, str]
    contacts: Sequence[Row]
    people: Sequence[Row]
    groups: dict[str, set[str]]
    import_s: float = 0.0


def member(email: str, *groups: str) -> Row:
    return {**subscriber(email, "New"), "groups": list(groups)}


def of_import(import_s: float) -> World:
    """Two imports, each with a look or two at how far it is; the longer one outlives the run."""
    contacts = [*map(contact, (JO, AL, BO))]
    groups = {email: {"Shops"} for email in (JO, AL, BO)}
    return World(["--import"], {"MAILERLITE_GROUPS": "Shops"}, contacts, [], groups, import_s)


MIRROR = World(
    ["--mirror-group", "Shops"],
    {},
    [contact(JO), contact(AL)],
    [member(AL), member(BO, "7"), member("cy@mail.example", "7", "8")],
    {JO: {"Shops"}, AL: {"Shops"}, BO: set(), "cy@mail.example": {"Lead"}},
)
BY_VALUE = World(
    ["--create-groups"],
    {"GROUP_BY": "tier"},
    [contact(JO, tier="customer"), contact(AL, tier="customer"), contact(BO, tier="lead")],
    [member(AL, "8")],
    {JO: {"Customer"}, AL: {"Customer"}, BO: {"Lead"}},
)
WORLDS = {
    "import": of_import(5.0),
    "import that goes on": of_import(300.0),
    "mirrored group": MIRROR,
    "group by": BY_VALUE,
    "group by, with an import": BY_VALUE._replace(flags=["--create-groups", "--import"]),
}


def is_write(request: Request) -> bool:
    """Or a look at the progress of an import."""
    if request.method != "POST" or request.path.endswith(READS):
        return request.path.startswith("/subscribers/import/")
    return request.path != "/batch" or request.json()["requests"][0]["method"] != "GET"


class FaultOf(Fault):
    """Of one kind of call."""

    def __init__(self, is_hit: Callable[[Request], bool], **details: Any) -> None:
        super().__init__(**details)
        self._is_hit = is_hit

    def hits(self, request: Request) -> bool:
        return self._is_hit(request) and super().hits(request)


def kill_at(sandbox: Sandbox, number: int, state: Path) -> Callable[[], bool]:
    """Let the run be gone at its write of this number, which arrives: nothing is answered or sent
    any more, and of the memory only what it held then is left. Returns whether it came to that,
    for the end of the run."""
    seen, copy = itertools.count(1), state.with_suffix(".then")

    def die(request: Request) -> None:
        def is_last(each: Request) -> bool:
            return each is request

        if is_write(request) and next(seen) == number:
            # First, or something could still arrive that the copy knows nothing of.
            sandbox.faults = [FaultOf(is_last, kind="reset_after"), Fault("reset_before")]
            with contextlib.closing(sqlite3.connect(state)) as file, contextlib.closing(
                sqlite3.connect(copy)
            ) as then:
                file.backup(then)

    def was_killed() -> bool:
        sandbox.on_request, sandbox.faults = None, []
        if copy.exists():
            copy.replace(state)
        return next(seen) > number

    sandbox.on_request = die
    return was_killed


def remember(state: Path, people: Sequence[Row]) -> None:
    """As an earlier run left it, with somebody who is gone since."""
    state.unlink(missing_ok=True)
    with PersonStore(state, False, START.date(), 7) as memory:
        memory.make_file()
        memory.note_lists([(email, None) for email in (DI, *(each["email"] for each in people))])


def groups_of(sandbox: Sandbox) -> dict[str, set[str]]:
    names, people = sandbox.mailerlite.groups, sandbox.mailerlite.subscribers
    return {email: {names[id] for id in each["groups"]} for email, each in people.items()}


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "IMPORT_SIZE", 2)
    monkeypatch.setattr(importing, "POLLS", 2)
    monkeypatch.setattr(writing, "BATCH_SIZE", 1)


@pytest.mark.parametrize("name", WORLDS)
def test_killed_over_any_write(clock: FakeClock, tmp_path: Path, name: str) -> None:
    world, state = WORLDS[name], tmp_path / "people.sqlite3"
    flags = [*world.flags, "--state", str(state), "--max-leave", "5"]
    contacts = [*world.contacts, contact(DI)]
    for number in itertools.count(1):
        remember(state, world.people)
        options: dict[str, Any] = {
            "groups": GROUPS,
            "deleted": [{"email": DI}],
            "import_s": world.import_s,
        }
        with make(contacts, world.people, clock, {"properties": TIERS}, **options) as sandbox:
            was_killed = kill_at(sandbox, number, state)
            run(clock, sandbox, *flags, **world.settings)
            if not was_killed():
                break
            ended = run(clock, sandbox, *flags, **world.settings)
            assert ended.code == 0, ended.text
            clock.now += 600
            assert groups_of(sandbox) == world.groups
            assert set(statuses(sandbox).values()) == {"active"}
            assert max(Counter(sandbox.mailerlite.groups.values()).values()) == 1
    assert number > 3


def test_killed_over_an_opt_out_nobody_is_opted_out_twice(clock: FakeClock, tmp_path: Path) -> None:
    """Nor is anybody unsubscribed who subscribes again before the next run."""
    state = tmp_path / "people.sqlite3"
    flags = ["--opt-out-unsubscribed", "--unsubscribe-opted-out", "--state", str(state)]
    settings = {"HUBSPOT_SUBSCRIPTIONS": "Newsletter"}
    contacts = [*map(contact, (JO, AL, BO, DI))]
    people = [subscriber(JO, "New", "unsubscribed"), subscriber(AL, "New", "junk")]
    for number in itertools.count(1):
        remember(state, people)
        with make(contacts, people, clock, deleted=[{"email": DI}]) as sandbox:
            was_killed = kill_at(sandbox, number, state)
            run(clock, sandbox, *flags, **settings)
            if not was_killed():
                break
            back = opted_out(sandbox)
            for email in back:
                sandbox.mailerlite.subscribers[email]["status"] = "active"
            ended = run(clock, sandbox, *flags, **settings)
            assert ended.code == 0, ended.text
            assert sorted(opted_out(sandbox)) == [AL, JO]
            assert {sandbox.hubspot.consent(each, NEWSLETTER) for each in (JO, AL)} == {
                "UNSUBSCRIBED"
            }
            active = {email for email, status in statuses(sandbox).items() if status == "active"}
            assert active == {BO, *back}
            assert {email for email, why in reasons(ended).items() if "again" in why} == {*back}
    assert number > 3


def opted_out(sandbox: Sandbox) -> list[str]:
    return [each.json()["emailAddress"] for each in sandbox.writes if each.path == OPT_OUT]


# Failures

KINDS = ("500 always", "401", "reset after the work, always", "results and data null")
CALLS: dict[str, Callable[[Request], bool]] = {
    "list": lambda request: "/lists/object-type-id/" in request.path,
    "list by id": lambda request: request.path == "/crm/v3/lists/1",
    "members of the list": lambda request: request.path.endswith("/memberships"),
    "contacts by id": lambda request: request.path.endswith("/contacts/batch/read"),
    "look at subscribers": lambda request: request.path == "/batch" and not is_write(request),
    "leave a group": lambda request: request.path == "/batch" and is_write(request),
    "import": lambda request: request.path.endswith("/import-subscribers"),
    "progress of an import": lambda request: request.path.startswith("/subscribers/import/"),
    "update": lambda request: request.path == "/subscribers" and is_write(request),
    "group": lambda request: request.path.endswith("/7/subscribers"),
    "opt-out": lambda request: request.path == OPT_OUT,
}


@pytest.mark.parametrize("call", CALLS)
def test_whatever_fails_the_next_run_converges(clock: FakeClock, tmp_path: Path, call: str) -> None:
    """Jo comes by import, Al is updated and joins, Bo leaves, and Cy is opted out in HubSpot."""
    state, cy = tmp_path / "people.sqlite3", "cy@mail.example"
    flags = ["--list", "Customers", "--mirror-group", "Shops", "--import", "--state", str(state)]
    flags += ["--opt-out-unsubscribed"]
    contacts = [*map(contact, (JO, AL, BO, cy, DI))]
    people = [subscriber(AL), member(BO, "7"), subscriber(cy, "New", "unsubscribed")]
    for kind in KINDS:
        remember(state, people)
        options: dict[str, Any] = {"groups": GROUPS, "deleted": [{"email": DI}]}
        with make(contacts, people, clock, **options) as sandbox:
            sandbox.hubspot.add_list("Customers", "contacts", 101, 102, 105)
            sandbox.faults = [FaultOf(CALLS[call], **FAULTS[kind])]
            broken = run(clock, sandbox, *flags, HUBSPOT_SUBSCRIPTIONS="Newsletter")
            assert sandbox.faults[0].seen
            assert broken.report["outcome"] in ("failed", "wrong_settings", "partial", "synced")
            assert "Traceback" not in broken.err
            sandbox.faults = []
            ended = run(clock, sandbox, *flags, HUBSPOT_SUBSCRIPTIONS="Newsletter")
            assert ended.code == 0, ended.text
            assert groups_of(sandbox) == {JO: {"Shops"}, AL: {"Shops"}, BO: set(), cy: set()}
            assert fields(sandbox, AL) == {"name": "New"}
            assert sandbox.hubspot.consent(cy, NEWSLETTER) == "UNSUBSCRIBED"
            expected = {JO: "active", AL: "active", BO: "active", cy: "unsubscribed"}
            assert statuses(sandbox) == expected
