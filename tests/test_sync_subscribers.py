"""The subscriber job from end to end: a script, real sockets, and what MailerLite then holds."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

import pytest

import hubspot_client
import sync_subscribers
from cli import changes as apply
from core.errors import AppError
from sandbox import Fault, Request, Sandbox
from subscribers.memory import PersonStore
from tests.helpers import FAST, ROOT, SHUNNED, START, FakeClock, start, stop_at
from tests.people import AL, BO, JO, Row, contact, make, run, run_first, subscriber

State = Dict[str, Tuple[str, Dict[str, Any]]]
SCRIPT = "sync_subscribers.py"
CUSTOM = {
    "MAILERLITE_FIELDS": "firstname:name, city:city, lifetime_value:value, last_order:ordered"
}
SHOPS = {"groups": {"7": "Shops"}}
FIELDS = [{"key": "value", "type": "number"}, {"key": "ordered", "type": "date"}]


def state(sandbox: Sandbox) -> State:
    people = sandbox.mailerlite.subscribers
    return {email: (each["status"], each["fields"]) for email, each in people.items()}


def written(sandbox: Sandbox) -> list[Any]:
    return [request.json() for request in sandbox.requests if is_write(request)]


def is_write(request: Request) -> bool:
    return request.method == "POST" and request.path in ("/subscribers", "/fields")


def test_it_creates_updates_and_says_so(clock: FakeClock) -> None:
    contacts = [contact(JO), contact(AL, city="Anytown"), contact(BO, "Old")]
    people = [subscriber(AL, "New", city="Elsewhere", phone="1"), subscriber(BO)]
    with make(contacts, people, clock) as sandbox:
        outcome = run_first(clock, sandbox)
        assert state(sandbox) == {
            AL: ("active", {"name": "New", "city": "Anytown", "phone": "1"}),
            BO: ("active", {"name": "Old"}),
            JO: ("active", {"name": "New"}),
        }
        assert written(
            sandbox
        ) == [  # one after the other: people are updated before any is created
            {"email": AL, "fields": {"city": "Anytown"}},
            {"email": JO, "fields": {"name": "New"}},
        ]
    assert (outcome.code, outcome.report["outcome"]) == (0, "synced")
    assert outcome.report["job"] == "subscribers"
    assert outcome.report["create"] == [
        {
            "email": JO,
            "hubspot_id": 101,
            "fields": ["name"],
            "groups": [],
            "status": "done",
            "error": None,
        }
    ]
    assert outcome.report["update"][0]["fields"] == ["city"]
    assert outcome.out.splitlines() == [
        "Create 1 person:",
        f"  + {JO}  name",
        "",
        "Update 1 person:",
        f"  ~ {AL}  city",
        "",
        "1 person is already up to date.",
        "Done: created 1 person, updated 1, unsubscribed 0, left 1 unchanged, skipped 0.",
    ]
    assert "HubSpot: 3 contacts.\n" in outcome.err
    assert "MailerLite: 2 subscribers (2 active).\n" in outcome.err


# People of all kinds: the contact, the subscriber before, and the subscriber after.

Kind = Tuple[Optional[Row], Optional[Row], Optional[Row]]
OLD, NEW = {"name": "Old"}, {"name": "New"}


def kinds(email: str, n: int) -> list[Kind]:
    untouched = [subscriber(email, status=s) for s in ("unsubscribed", "bounced", "junk")]
    objections = (
        {"hs_email_optout": "true"},
        {"hs_email_bad_address": "true"},
        {"hs_email_quarantined": "true"},
        {"hs_email_hard_bounce_reason_enum": "MAILBOX_FULL"},
    )
    values = {"lifetime_value": f"{n}.50", "last_order": "2026-03-01"}
    held: Row = {"name": "New", "value": n + 0.5, "ordered": "2026-03-01 00:00:00"}
    active = subscriber(email)
    return [
        (contact(email), None, {"status": "active", "fields": NEW}),
        (contact(f" {email.upper()} "), None, {"status": "active", "fields": NEW}),
        (contact(email), active, {"status": "active", "fields": NEW}),
        (contact(email, None), active, active),
        (contact(email, "Old"), active, active),
        (contact(email, **values), subscriber(email, **held), subscriber(email, **held)),
        (
            contact(email, **values),
            None,
            {"status": "active", "fields": {**held, "ordered": "2026-03-01"}},
        ),
        (
            contact(email, last_order="1772323200000", lifetime_value="much"),
            active,
            {"status": "active", "fields": {"name": "New", "ordered": "2026-03-01"}},
        ),
        (
            contact(email),
            subscriber(email, status="unconfirmed"),
            {"status": "unconfirmed", "fields": NEW},
        ),
        (contact(f"no {email}"), None, None),
        (contact(None), active, active),
        (None, active, active),
        *((contact(email), each, each) for each in untouched),
        *((contact(email, **objection), None, None) for objection in objections),
        *((contact(email, **objection), active, active) for objection in objections),
    ]  # fmt: skip


def everyone(number: int) -> tuple[list[Row], list[Row], State]:
    contacts, people, after = [], [], {}
    for n in range(number):
        email = f"person.{n:05d}@mail.example"
        here, before, then = kinds(email, n)[n % len(kinds(email, n))]
        if here:
            contacts.append({"id": 1000 + n, **here})
        if before:
            people.append(before)
        if then:
            after[email] = (then["status"], then["fields"])
    return contacts, people, after


@pytest.mark.no_cover
def test_1000_contacts_of_all_kinds(
    clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In pages of a fifth of the real ones."""
    monkeypatch.setattr(hubspot_client, "LIST_PAGE_SIZE", 20)
    contacts, people, after = everyone(1_000)
    twins = [
        contact("Person.00000@mail.example", "Older", lastmodifieddate="2025-01-01T00:00:00Z"),
        contact("person.00002@mail.example", "Older", lastmodifieddate="2025-01-01T00:00:00Z"),
    ]
    gone = [f"gone.{n}@mail.example" for n in range(100)]
    path = tmp_path / "people.sqlite3"
    with open_memory(path) as memory:
        memory.note_lists((email, None) for email in gone)
    contacts += [*twins, *map(contact, gone)]
    deleted = [subscriber(email) for email in gone]
    with make(contacts, people, clock, fields=FIELDS, deleted=deleted) as sandbox:
        sandbox.mailerlite.max_limit = 20
        flags = ["--state", str(path), "--first-run", "--max-deleted", "100"]
        first = run(clock, sandbox, *flags, **CUSTOM)
        assert first.code == 0, first.err
        assert state(sandbox) == after
        assert set(sandbox.mailerlite.deleted) == set(gone)
        written = len(sandbox.writes)
        assert written == first.report["counts"]["done"]
        second = run(clock, sandbox, "--state", str(path), **CUSTOM)
        assert len(sandbox.writes) == written
    assert (second.code, second.report["outcome"]) == (0, "in_sync")
    counts = first.report["counts"]
    accounted = sum(counts[name] for name in ("create", "update", "unchanged", "skipped"))
    assert accounted == counts["contacts"] == len(contacts)
    share = len(range(7, 1_000, len(kinds("", 0))))
    assert counts["skipped_by_reason"]["deleted in MailerLite"] == 100
    assert counts["skipped_by_reason"]["another contact with this address was updated later"] == 2
    assert set(counts["skipped_by_reason"]) == {
        "another contact with this address was updated later",
        "bad address according to HubSpot",
        "bounced according to HubSpot",
        "bounced in MailerLite",
        "deleted in MailerLite",
        "invalid e-mail address",
        "marked as spam in MailerLite",
        "no e-mail address",
        "opted out in HubSpot",
        "opted out in HubSpot, but still subscribed in MailerLite",
        "quarantined by HubSpot",
        "unsubscribed in MailerLite",
    }
    assert counts["unusable_values"] == {"value": share}
    assert f"{share} values do not fit the field value and are not sent." in first.out
    equal = counts["update"] + counts["create"] + counts["unchanged"]
    assert f"Nothing to do: {equal:,} people are up to date." in second.out


@pytest.mark.no_cover
def test_the_pace_is_that_of_the_account(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        apply, "WRITERS", 1
    )  # with more, this clock moves while calls are under way
    with make([contact(f"p{n}@mail.example") for n in range(300)], [], clock) as sandbox:
        assert run(clock, sandbox).code == 0
        times = [r.at for r in sandbox.requests if r.service == "mailerlite"]
        assert 429 not in {r.status for r in sandbox.requests}
    assert 160 <= times[-1] - times[0] < 185
    assert max(sum(at <= t < at + 60 for t in times) for at in times) <= 120


# Fields and groups


def test_missing_fields_are_created_with_the_type_of_the_property(clock: FakeClock) -> None:
    person = contact(JO, lifetime_value="12.50", last_order="2026-03-01", nickname="J")
    mapping = {"MAILERLITE_FIELDS": CUSTOM["MAILERLITE_FIELDS"] + ",nickname:nick,createdate:since"}
    with make([person], [], clock) as sandbox:
        planned = run(clock, sandbox, "--create-fields", "--dry-run", **mapping)
        assert sandbox.writes == []
        outcome = run(clock, sandbox, "--create-fields", **mapping)
        types = {field["key"]: field["type"] for field in sandbox.mailerlite.fields[8:]}
        assert types == {"value": "number", "ordered": "date", "nick": "text", "since": "date"}
        assert state(sandbox)[JO][1] == {
            "name": "New",
            "value": 12.5,
            "ordered": "2026-03-01",
            "nick": "J",
            "since": "2026-01-05",
        }
        assert run(clock, sandbox, **mapping).report["outcome"] == "in_sync"
    assert planned.code == outcome.code == 0
    assert "Create 4 fields:\n  + value    number\n" in planned.out
    assert {row["status"] for row in outcome.report["create_fields"]} == {"done"}


def test_a_missing_field_is_created_even_if_nobody_has_a_value(clock: FakeClock) -> None:
    with make([contact(JO)], [subscriber(JO, "New")], clock, fields=FIELDS[:1]) as sandbox:
        outcome = run_first(clock, sandbox, "--create-fields", **CUSTOM)
        assert sandbox.mailerlite.fields[-1]["key"] == "ordered"
    assert (outcome.code, outcome.report["outcome"]) == (0, "synced")


def test_no_value_is_sent_when_a_field_could_not_be_created(clock: FakeClock) -> None:
    with make([contact(JO)], [], clock, fields=FIELDS[:1]) as sandbox:
        sandbox.faults = [Fault("status", method="POST", path="^/fields$", status=422)]
        outcome = run(clock, sandbox, "--create-fields", **CUSTOM)
        assert sandbox.writes == []
        sandbox.faults = [Fault("status", method="POST", path="^/fields$", nth=2, status=422)]
        mapping = {"MAILERLITE_FIELDS": CUSTOM["MAILERLITE_FIELDS"] + ",phone:mobile"}
        in_part = run(clock, sandbox, "--create-fields", **mapping)
        assert state(sandbox) == {}
        told = run(clock, sandbox, "--history")
    assert (outcome.code, in_part.code) == (1, 4)
    assert "MailerLite, create the field ordered: rejected. (422" in outcome.err
    assert "done in part: MailerLite, create the field" in told.out
    assert outcome.err.endswith("Nothing was changed.\n")


def test_everyone_joins_the_groups(clock: FakeClock) -> None:
    groups = {"7": "Shops", "8": "Buyers", "9": "Others"}
    people = [{**subscriber(AL), "groups": ["8", "7"]}, {**subscriber(BO), "groups": ["9", "7"]}]
    contacts = [contact(JO), contact(AL, "Old"), contact(BO, "Old")]
    wanted = {"MAILERLITE_GROUPS": "Shops, 8"}
    with make(contacts, people, clock, groups=groups) as sandbox:
        outcome = run_first(clock, sandbox, **wanted)
        found = {email: p["groups"] for email, p in sandbox.mailerlite.subscribers.items()}
        assert found == {JO: ["7", "8"], AL: ["8", "7"], BO: ["9", "7", "8"]}
        assert {"email": BO, "groups": ["8"]} in written(sandbox)
        assert run_first(clock, sandbox, **wanted).report["outcome"] == "in_sync"
    assert f"+ {JO}  name, joins Shops, joins Buyers" in outcome.out
    assert outcome.report["update"][0]["groups"] == ["Buyers"]


def test_created_fields_and_joined_groups_in_each_report(clock: FakeClock, tmp_path: Path) -> None:
    paths = [tmp_path / "run.csv", tmp_path / "run.html"]
    reports = [word for path in paths for word in ("--report", str(path))]
    mapping = {"MAILERLITE_FIELDS": "firstname:name,nickname:nick", "MAILERLITE_GROUPS": "Shops"}
    with make(
        [contact(JO, nickname="J"), contact(AL)], [subscriber(AL, "New")], clock, **SHOPS
    ) as sandbox:
        flags = ["--first-run", "--create-fields", *reports]
        outcome = run(clock, sandbox, *flags, **mapping)
    assert outcome.code == 0
    (field,) = outcome.report["create_fields"]
    assert field == {"key": "nick", "type": "text", "status": "done", "error": None}
    assert outcome.report["update"][0]["groups"] == ["Shops"]
    table, page = (path.read_text(encoding="utf-8-sig") for path in paths)
    rows = {row["action"]: row for row in csv.DictReader(io.StringIO(table))}
    assert (rows["create_fields"]["key"], rows["create_fields"]["type"]) == ("nick", "text")
    assert (rows["update"]["email"], rows["update"]["groups"]) == (AL, "Shops")
    assert "</span>Fields created <b>1</b></h2>" in page
    assert '<td data-label="Key">nick</td><td data-label="Type">text</td>' in page
    assert f'>{AL}</a></td><td data-label="Groups">Shops</td>' in page


def test_fill_only(clock: FakeClock) -> None:
    with make([contact(JO, city="Anytown")], [subscriber(JO)], clock) as sandbox:
        assert run_first(clock, sandbox, "--fill-only").code == 0
        assert state(sandbox)[JO][1] == {"name": "Old", "city": "Anytown"}


# Consent


def test_opted_out_and_still_subscribed(clock: FakeClock, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    contacts = [
        contact(JO, hs_email_optout="true"),
        contact(AL, hs_email_optout="true"),
        contact(BO, hs_email_bad_address="true"),
    ]
    people = [subscriber(JO), subscriber(AL, status="unconfirmed"), subscriber(BO)]
    with make(contacts, people, clock) as sandbox:
        outcome = run_first(clock, sandbox, "--report", str(page))
        assert sandbox.writes == []
        assert outcome.report["outcome"] == "in_sync"
        decide = page.read_text(encoding="utf-8").split("<h2>Needs your attention</h2>")[1]
        assert decide.index(JO) < decide.index('id="skipped"')
        assert "Needs your attention (see --unsubscribe-opted-out):" in outcome.out
        words = "opted out in HubSpot, but still subscribed in MailerLite"
        assert f"  ? {JO}  {words}\n" in outcome.out
        assert [row["email"] for row in outcome.report["to_decide"]] == [AL, JO]
        done = run_first(clock, sandbox, "--unsubscribe-opted-out")
        statuses = {email: status for email, (status, _) in state(sandbox).items()}
        assert statuses == {JO: "unsubscribed", AL: "unsubscribed", BO: "active"}
        assert {"email": AL, "status": "unsubscribed"} in written(sandbox)
        again = run_first(clock, sandbox, "--unsubscribe-opted-out")
        assert len(sandbox.writes) == 2
    assert [row["status"] for row in done.report["unsubscribe"]] == ["done", "done"]
    assert "updated 0, unsubscribed 2" in done.out
    assert again.report["counts"]["skipped_by_reason"]["opted out in HubSpot"] == 2


def test_nothing_else_ever_says_anything_of_a_status(clock: FakeClock) -> None:
    contacts, people, _ = everyone(200)
    with make(contacts, people, clock, fields=FIELDS) as sandbox:
        run_first(clock, sandbox, "--fill-only", **CUSTOM)
        run_first(clock, sandbox, "--create-fields", **CUSTOM)
        assert sandbox.writes
        assert {key for body in written(sandbox) for key in body} <= {"email", "fields", "groups"}
        assert {request.method for request in sandbox.requests} == {"GET", "POST"}


def test_who_changes_lists_during_the_read_is_not_written(clock: FakeClock) -> None:
    with make([contact(JO)], [subscriber(JO)], clock) as sandbox:

        def unsubscribe(request: Request) -> None:
            if request.query.get("filter[status]") == "unsubscribed":
                sandbox.mailerlite.subscribers[JO]["status"] = "unsubscribed"

        sandbox.on_request = unsubscribe
        outcome = run(clock, sandbox)
        assert [r for r in sandbox.requests if r.method == "POST"] == []
    assert outcome.report["skipped"][0]["reason"] == "unsubscribed in MailerLite"


def test_double_opt_in_is_left_to_mailerlite(clock: FakeClock) -> None:
    with make([contact(JO)], [], clock, double_opt_in=True) as sandbox:
        assert run(clock, sandbox).code == 0
        assert state(sandbox) == {JO: ("unconfirmed", NEW)}
        assert run(clock, sandbox).report["outcome"] == "in_sync"


# The deleted


def test_the_deleted_stay_deleted_until_they_are_restored(clock: FakeClock) -> None:
    """Both whom the script wrote and whom it only saw in a list."""
    with make([contact(JO), contact(AL)], [subscriber(AL, "New")], clock) as sandbox:
        assert run_first(clock, sandbox).code == 0
        sandbox.mailerlite.delete(JO)
        sandbox.mailerlite.delete(AL)
        for flags in ([], ["--dry-run"], []):
            outcome = run(clock, sandbox, *flags)
            assert outcome.report["outcome"] == "in_sync"
            reasons = [row["reason"] for row in outcome.report["skipped"]]
            assert reasons == ["deleted in MailerLite"] * 2
            assert state(sandbox) == {}
        assert run(clock, sandbox, "--restore", f" {JO.upper()}").code == 0
        assert state(sandbox) == {JO: ("active", NEW)}
        sandbox.mailerlite.delete(JO)
        assert run(clock, sandbox).report["outcome"] == "in_sync"


def test_restoring_someone_who_is_no_contact_is_said(clock: FakeClock) -> None:
    with make([contact(JO)], [], clock) as sandbox:
        outcome = run(clock, sandbox, "--restore", AL, "--restore", JO)
    assert f"--restore {AL}: nobody will be created with this address." in outcome.err
    assert f"--restore {JO}" not in outcome.err


def test_a_deletion_before_the_first_run_is_told_afterwards(clock: FakeClock) -> None:
    with make([contact(JO), contact(AL)], [], clock, deleted=[subscriber(JO)]) as sandbox:
        outcome = run(clock, sandbox)
    assert "Created again, although they had been deleted in MailerLite:\n" in outcome.out
    assert f"  ! {JO}  now active\n" in outcome.out
    assert f"! {AL}" not in outcome.out


@pytest.mark.parametrize("kind", ["reset_after", "status_after"])
def test_who_was_created_by_a_lost_call_is_not_called_deleted(clock: FakeClock, kind: str) -> None:
    """The repeat finds a subscriber, as it would find one who was deleted."""
    with make([contact(JO)], [], clock) as sandbox:
        sandbox.faults = [Fault(kind, method="POST", path="/subscribers$", times=1)]
        outcome = run(clock, sandbox)
        assert state(sandbox) == {JO: ("active", NEW)}
    assert outcome.code == 0
    assert "deleted there" not in outcome.text


def test_who_was_not_written_is_not_taken_for_deleted(clock: FakeClock) -> None:
    with make([contact(JO), contact(AL)], [], clock) as sandbox:
        sandbox.faults = [Fault("status", method="POST", path="/subscribers$", status=422)]
        assert run(clock, sandbox, ASK_AGAIN_DAYS="0").code == 4
        sandbox.faults = [Fault("status", method="POST", path="/subscribers$", status=401)]
        assert run(clock, sandbox).code == 1
        sandbox.faults = [Fault("status", method="POST", path="/subscribers$", status=500)]
        assert run(clock, sandbox).code == 4
        sandbox.faults = []
        assert run(clock, sandbox).code == 0
        assert set(state(sandbox)) == {JO, AL}


def test_the_memory_is_one_for_each_key(clock: FakeClock, tmp_path: Path) -> None:
    folder = tmp_path / "home" / ".local" / "state" / "crm-sync"
    with make([contact(JO)], [], clock) as sandbox:
        dry = run(clock, sandbox, "--dry-run")
        assert list(folder.glob("*.sqlite3")) == []
        first = run(clock, sandbox)
        (path,) = folder.glob("subscribers-*.sqlite3")
        assert path.stat().st_mode & 0o777 == 0o600
        before = path.read_bytes()
        sandbox.mailerlite.delete(JO)
        second = run(clock, sandbox, "--dry-run")
        assert path.read_bytes() == before
        sandbox.mailerlite.token = "another-made-up-token"
        third = run(clock, sandbox, "--dry-run", "--state", str(path))
        sandbox.mailerlite.add(AL)
        fourth = run(clock, sandbox, "--dry-run")
    assert first.code == dry.code == 0
    assert "No run history found in " in fourth.out
    for outcome in (second, third):
        assert "There is no memory" not in outcome.out
        assert outcome.report["skipped"][0]["reason"] == "deleted in MailerLite"
    assert fourth.report["create"][0]["email"] == JO


def test_a_memory_that_cannot_be_used_is_no_fresh_start(clock: FakeClock, tmp_path: Path) -> None:
    path = tmp_path / "people.sqlite3"
    path.write_bytes(b"not a database" * 999)
    with make([contact(JO)], [], clock) as sandbox:
        for flags in ([], ["--dry-run"]):
            outcome = run(clock, sandbox, "--state", str(path), *flags)
            assert outcome.code == 1
            assert "file is not a database. Restore it from a backup." in outcome.err
            assert "Traceback" not in outcome.err
        assert sandbox.writes == []


def test_a_memory_that_fails_stops_it(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    note_written = PersonStore.note_written
    calls: list[Any] = []

    def full(memory: PersonStore, *args: Any) -> None:
        calls.append(args)
        if len(calls) == 3:
            raise AppError("Cannot use people.sqlite3, the run history: disk full.")
        note_written(memory, *args)

    monkeypatch.setattr(PersonStore, "note_written", full)
    with make([contact(f"p{n}@mail.example") for n in range(200)], [], clock) as sandbox:
        outcome = run(clock, sandbox)
        assert len(sandbox.writes) < 50
    assert (outcome.code, outcome.report["outcome"]) == (4, "partial")
    assert "the run history: disk full" in outcome.err


# Limits


@pytest.mark.parametrize("settings", [{}, {"MAX_NEW": "1"}])
def test_too_many_new_people_are_refused(clock: FakeClock, settings: Mapping[str, str]) -> None:
    flags = [] if settings else ["--max-new", "1"]
    contacts = [contact(JO), contact(AL), contact(BO)]
    with make(contacts, [subscriber(BO)], clock) as sandbox:
        for more in ([], ["--dry-run"]):
            outcome = run_first(clock, sandbox, *flags, *more, **settings)
            assert (outcome.code, outcome.report["outcome"]) == (3, "refused")
            assert outcome.report["refusals"] == [
                {
                    "reason": "This run would create 2 people in MailerLite. The limit is 1.",
                    "allow_with": "--max-new 2",
                }
            ]
            assert outcome.out.endswith(f" --approve {outcome.report['plan']}\n")
            assert sandbox.writes == []
        assert run_first(clock, sandbox, "--max-new", "2", **settings).code == 0
        assert len(sandbox.writes) == 3


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        *(("--max-new", "x"), ("--max-new", "-1"), ("--restore", "jo")),
        *(("--list", ""), ("--mirror-group", " ")),
    ],
)
def test_wrong_flags(flag: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        sync_subscribers.main([flag, value])
    assert stop.value.code == 2
    assert f"argument {flag}: must be" in capsys.readouterr().err


# What is said


def test_addresses_are_in_the_plan_and_the_report_but_not_in_the_log(clock: FakeClock) -> None:
    contacts = [contact(JO), contact(AL), contact(BO)]
    with make(contacts, [subscriber(AL)], clock) as sandbox:
        sandbox.faults = [Fault("status", method="POST", path="/subscribers$", nth=2, status=422)]
        outcome = run_first(clock, sandbox, "-v")
    assert "MailerLite, create a subscriber: POST /subscribers -> 201" in outcome.err
    assert "MailerLite, active subscribers: GET /subscribers -> 200" in outcome.err
    assert "mail.example" not in outcome.err
    assert outcome.out.count("mail.example") == 4
    assert "Failed:\n  ! " in outcome.out
    # One refusal does not stop the others.
    assert (outcome.code, outcome.report["outcome"]) == (4, "partial")
    rows = [*outcome.report["create"], *outcome.report["update"]]
    assert sorted(row["status"] for row in rows) == ["done", "done", "failed"]
    assert "Done in part: created 1 person, updated 1" in outcome.out
    assert "1 change failed. Later runs will retry it." in outcome.out


# Reads are complete, or nothing is written


@pytest.mark.no_cover
@pytest.mark.parametrize("page", range(1, 21))
@pytest.mark.parametrize(
    ("service", "path"), [("hubspot", "/objects/contacts$"), ("mailerlite", "/subscribers$")]
)
def test_a_read_that_fails_at_any_page_writes_nothing(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, service: str, path: str, page: int
) -> None:
    monkeypatch.setattr(hubspot_client, "LIST_PAGE_SIZE", 2)
    contacts = [contact(f"p{n}@mail.example") for n in range(20)]
    with make(contacts, [subscriber(f"p{n}@mail.example") for n in range(9)], clock) as sandbox:
        sandbox.mailerlite.max_limit = 2
        sandbox.faults = [Fault("html", service, "GET", path, nth=page, times=99)]
        outcome = run_first(clock, sandbox)
        if sandbox.faults[0].seen >= page:
            assert (outcome.code, sandbox.writes) == (1, [])
            assert "the answer cannot be used" in outcome.err
            assert outcome.err.endswith("Nothing was changed.\n")
        else:
            assert outcome.code == 0
        assert (sandbox.faults[0].seen >= page) == (page <= (10 if service == "hubspot" else 19))


# Stopping


def test_a_signal_during_the_writes_lets_those_under_way_finish(clock: FakeClock) -> None:
    with make([contact(f"p{n}@mail.example") for n in range(100)], [], clock) as sandbox:
        sandbox.on_request = stop_at(clock, is_write, nth=5)
        outcome = run(clock, sandbox)
        statuses = [row["status"] for row in outcome.report["create"]]
        assert statuses.count("done") == len(sandbox.writes)
        assert 5 <= statuses.count("done") < 50
    assert (outcome.code, outcome.report["outcome"]) == (130, "interrupted")


def run_through(sandbox: Sandbox, *arguments: str) -> str:
    process = start(SCRIPT, sandbox, *arguments)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


def seven_to_write() -> Sandbox:
    contacts = [contact(f"p{n}@mail.example") for n in range(6)]
    contacts.append(contact(JO, hs_email_optout="true"))
    people = [subscriber(f"p{n}@mail.example") for n in range(3)]
    people.append(subscriber(JO))
    return make(contacts, people, time.monotonic, requests_per_minute=None)


@pytest.mark.no_cover
@pytest.mark.parametrize("number", [1, 4, 7])
def test_killed_after_any_write_the_next_run_converges(clock: FakeClock, number: int) -> None:
    with seven_to_write() as sandbox:
        writes: list[Request] = []

        def kill(request: Request) -> None:
            if is_write(request):
                writes.append(request)
                if len(writes) == number:
                    process.kill()

        sandbox.on_request = kill
        process = start(SCRIPT, sandbox, "--unsubscribe-opted-out", "--first-run")
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        sandbox.on_request = None
        second = run(clock, sandbox, "--unsubscribe-opted-out", **FAST)
        assert second.code == 0
        assert state(sandbox) == {
            **{f"p{n}@mail.example": ("active", NEW) for n in range(6)},
            JO: ("unsubscribed", OLD),
        }
        third = run(clock, sandbox, "--unsubscribe-opted-out", **FAST)
        assert third.report["outcome"] == "in_sync"


def test_who_was_written_before_a_kill_and_then_deleted_stays_deleted(tmp_path: Path) -> None:
    path = tmp_path / "people.sqlite3"
    emails = [f"p{n}@mail.example" for n in range(6)]
    with make([*map(contact, emails)], [], time.monotonic, requests_per_minute=None) as sandbox:
        sandbox.faults = [Fault("hang", method="POST", path="^/subscribers$", nth=3, times=9)]
        process = start(SCRIPT, sandbox, "--state", str(path))
        for _ in range(500):
            written = list(sandbox.mailerlite.subscribers)
            if len(written) == 2 and all(known(path, written)):
                break
            time.sleep(0.02)
        process.kill()
        process.communicate()
        sandbox.faults = []
        assert len(written) == 2
        sandbox.mailerlite.delete(written[0])
        run_through(sandbox, "--state", str(path))
        assert set(sandbox.mailerlite.deleted) == {written[0]}
        assert set(state(sandbox)) == {*emails} - {written[0]}


def known(path: Path, emails: list[str]) -> list[bool]:
    with open_memory(path, dry_run=True) as memory:
        return [memory.lookup(email).is_known for email in emails]


def open_memory(path: Path, dry_run: bool = False) -> PersonStore:
    memory = PersonStore(path, dry_run, START.date(), ask_again_days=7)
    if not dry_run:
        memory.make_file()
    return memory


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with seven_to_write() as sandbox:
        sandbox.faults = [Fault("hang", method="POST", path="^/subscribers$", nth=1)]
        first = start(SCRIPT, sandbox, "--first-run")
        while not sandbox.faults[0].seen and first.poll() is None:
            time.sleep(0.02)
        second = start(SCRIPT, sandbox)
        _, err = second.communicate(timeout=60)
        assert second.returncode == 5
        assert f"Another run is active: process {first.pid} on " in err
        assert "\nDry run: would create 3 people and update 1." in run_through(sandbox, "--dry-run")
        first.kill()
        first.communicate()
        run_through(sandbox)


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("sync.py", ("Follow 19 companies:", "Unfollow 5 companies:", "Skip 4 companies:")),
        ("create_contact.py", ("Company would be created: ", "Dry run: would create ")),
    ],
)
def test_the_demo_runs_against_the_sandbox(script: str, words: Sequence[str]) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "sandbox", script, "--dry-run"],
        cwd=str(ROOT),
        env={**os.environ, **FAST},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert [each for each in words if each not in process.stdout] == []
    assert not SHUNNED.findall(process.stdout + process.stderr)


def test_an_unchanged_refusal_is_mailed_in_full_once(clock: FakeClock, tmp_path: Path) -> None:
    with make([contact(JO)], [], clock) as sandbox:
        assert run_first(clock, sandbox).code == 0
        sandbox.hubspot.contacts[900] = contact(AL)
        first, again = (run(clock, sandbox, "-q", "--max-new", "0") for _ in range(2))
        assert (first.code, again.code) == (3, 3)
        assert AL in first.out
        assert AL not in again.out
        sandbox.hubspot.contacts[901] = contact(BO)
        assert BO in run(clock, sandbox, "-q", "--max-new", "0").out
