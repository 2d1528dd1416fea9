"""What runs of the subscriber job remember of each other, and how much one of them may do."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Callable, Optional

import pytest

import sync_subscribers
from sandbox import Fault
from subscribers.memory import PersonStore
from tests.helpers import START, FakeClock
from tests.people import (
    AL,
    BO,
    JO,
    before_looks,
    before_writes,
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

DAY_S = timedelta(days=1).total_seconds()


def many(number: int) -> list[str]:
    return [f"p{n:03d}@mail.example" for n in range(number)]


def states(tmp_path: Path) -> list[Path]:
    return list(tmp_path.rglob("*.sqlite3"))


def test_who_is_deleted_after_the_plan_and_restored_is_created_once(clock: FakeClock) -> None:
    with make([contact(JO)], [subscriber(JO)], clock) as sandbox:
        before_looks(sandbox, lambda: sandbox.mailerlite.delete(JO))
        outcome = run_first(clock, sandbox, "--restore", JO)
        assert statuses(sandbox) == {JO: "active"}
    assert emails(outcome.report["create"]) == [JO]
    assert reasons(outcome) == {}


# A lost memory


@pytest.mark.no_cover
@pytest.mark.parametrize("how", ["key", "home", "file", "link"])
def test_a_lost_memory_brings_nobody_back(
    clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    path = tmp_path / "people.sqlite3"
    with make([contact(JO), contact(AL)], [], clock) as sandbox:
        assert run(clock, sandbox, "--state", str(path)).code == 0
        sandbox.mailerlite.delete(JO)
        flags = ["--state", str(path)] if how in ("file", "link") else []
        if how == "key":
            sandbox.mailerlite.token = "another-made-up-token"
        elif how == "home":
            monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
        else:
            path.unlink()
        if how == "link":
            path.symlink_to(tmp_path / "nowhere")
        there = set(tmp_path.rglob("*.sqlite3"))
        for _ in range(2):  # or the next run of cron would do what this one did not
            outcome = run(clock, sandbox, *flags)
            assert (outcome.code, outcome.report["outcome"]) == (3, "refused")
            assert set(tmp_path.rglob("*.sqlite3")) == there
        dry = run(clock, sandbox, *flags, "--dry-run")
        assert statuses(sandbox) == {AL: "active"}
        assert set(tmp_path.rglob("*.sqlite3")) == there
        allowed = run(clock, sandbox, *flags, "--first-run")
        assert statuses(sandbox) == {JO: "active", AL: "active"}
        assert run(clock, sandbox, *flags).report["outcome"] == "in_sync"
    assert "check the list of people to create, then use --first-run" in outcome.out
    assert "run it again with: --first-run\n" in outcome.out
    assert emails(outcome.report["create"]) == emails(dry.report["create"]) == [JO]
    assert dry.code == allowed.code == 0
    assert "check the list of people to create, then use --first-run." in dry.out
    assert f"  ! {JO}  now active\n" in allowed.out


def test_a_memory_that_a_killed_run_left_empty_is_none(clock: FakeClock, tmp_path: Path) -> None:
    path = tmp_path / "people.sqlite3"
    with PersonStore(path, False, START.date(), 7) as memory:
        memory.make_file()
    with make([], [subscriber(AL)], clock) as sandbox:
        assert run(clock, sandbox, "--state", str(path)).code == 3
        needed, needless = (run_first(clock, sandbox, "--state", str(path)) for _ in range(2))
        told = run(clock, sandbox, "--state", str(path), "--history")
    assert (needed.code, needless.code) == (0, 0)
    assert "--first-run is no longer needed" not in needed.err
    assert "--first-run is no longer needed" in needless.err
    assert [row["outcome"] for row in told.report["runs"]] == ["refused"]
    assert told.out.splitlines()[0].startswith("  2 runs with nothing to do, ")


def test_without_subscribers_there_is_nothing_to_bring_back(clock: FakeClock) -> None:
    with make([contact(JO)], [], clock) as sandbox:
        assert run(clock, sandbox).code == 0
        sandbox.mailerlite.add(AL)
        assert run(clock, sandbox).report["outcome"] == "in_sync"


def test_the_memory_of_another_account(clock: FakeClock) -> None:
    ours, theirs = many(20), [f"other.{each}" for each in many(20)]
    with make([], [*map(subscriber, ours)], clock) as sandbox:
        assert run_first(clock, sandbox, "--state", "people.sqlite3").code == 0
    with make([contact(JO)], [*map(subscriber, theirs)], clock) as sandbox:
        outcome = run(clock, sandbox, "--state", "people.sqlite3")
        assert run(clock, sandbox, "--state", "people.sqlite3").code == 3
        assert sandbox.writes == []
        allowed = run_first(clock, sandbox, "--state", "people.sqlite3", "--max-deleted", "20")
    assert outcome.code == 3
    assert "20 of the 20 people in people.sqlite3 are in none of MailerLite's lists" in outcome.out
    assert "run it again with: --first-run --max-deleted 20\n" in outcome.out
    assert allowed.code == 0


@pytest.mark.parametrize(
    ("known", "gone", "is_foreign"), [(12, 6, False), (12, 7, True), (5, 5, False), (6, 6, True)]
)
def test_how_many_must_be_missing_to_look_like_another_account(
    clock: FakeClock, known: int, gone: int, is_foreign: bool
) -> None:
    """More than half of them, and more than five."""
    people = many(known)
    with make([], [*map(subscriber, people)], clock) as sandbox:
        assert run_first(clock, sandbox).code == 0
        for each in people[:gone]:
            sandbox.mailerlite.delete(each)
        outcome = run(clock, sandbox, "--max-deleted", "100%")
    assert outcome.code == (3 if is_foreign else 0)
    assert ("this file seems to belong to another account" in outcome.out) is is_foreign


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("gone", "flags", "code"),
    [
        (5, [], 0),
        (20, [], 0),
        (21, [], 3),
        (21, ["--max-deleted", "21"], 0),
        (21, ["--max-deleted", "21%"], 0),
        (5, ["--max-deleted", "4"], 3),
    ],
)
def test_many_new_deletions_look_like_a_shortened_list(
    clock: FakeClock, gone: int, flags: list[str], code: int
) -> None:
    people = many(100)
    with make([*map(contact, people)], [subscriber(p, "New") for p in people], clock) as sandbox:
        assert run_first(clock, sandbox).code == 0
        for each in people[:gone]:
            sandbox.mailerlite.delete(each)
        outcome = run(clock, sandbox, *flags)
        assert outcome.code == code
        assert sandbox.writes == []
        if code == 0:  # they are known by now, and count no more
            assert run(clock, sandbox, "--max-deleted", "0").code == 0
    if code == 3:
        assert f"treat {gone} of 100 people ({gone}.0%) as deleted" in outcome.out
        assert f"run it again with: --max-deleted {gone}\n" in outcome.out


def test_the_limits_can_be_set(clock: FakeClock) -> None:
    people = many(10)
    with make([*map(contact, people)], [*map(subscriber, people)], clock) as sandbox:
        run_first(clock, sandbox)
        sandbox.mailerlite.delete(people[0])
        assert run(clock, sandbox, MAX_DELETED="0").code == 3
        sandbox.hubspot.edit("contacts", 102, hs_email_optout="true")
        flags = ["--unsubscribe-opted-out"]
        assert run(clock, sandbox, *flags, MAX_DELETED="1", MAX_UNSUBSCRIBE="0").code == 3
        assert run(clock, sandbox, *flags, MAX_UNSUBSCRIBE="1").code == 0


# Caps


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("objectors", "flags", "code"),
    [(5, [], 0), (20, [], 0), (21, [], 3), (21, ["--max-unsubscribe", "21"], 0)],
)
def test_not_all_are_unsubscribed_at_once(
    clock: FakeClock, objectors: int, flags: list[str], code: int
) -> None:
    """Of 100 active subscribers; those who are none any more do not count."""
    people = many(110)
    contacts = [
        contact(each, "Old", hs_email_optout="true" if n < objectors else None)
        for n, each in enumerate(people)
    ]
    there = [
        subscriber(each, status="active" if n < 100 else "bounced") for n, each in enumerate(people)
    ]
    with make(contacts, there, clock) as sandbox:
        outcome = run_first(clock, sandbox, "--unsubscribe-opted-out", *flags)
        left = list(statuses(sandbox).values()).count("unsubscribed")
    assert (outcome.code, left) == (code, 0 if code else objectors)
    if code == 3:
        assert "unsubscribe 21 of 100 people (21.0%) in MailerLite" in outcome.out
        assert f" --approve {outcome.report['plan']}\n" in outcome.out


@pytest.mark.no_cover
def test_500_people_are_created_and_no_more(clock: FakeClock) -> None:
    with make([*map(contact, many(501))], [], clock) as sandbox:
        outcome = run(clock, sandbox)
        assert (outcome.code, sandbox.writes) == (3, [])
        assert run(clock, sandbox, "--dry-run", MAX_NEW="501").code == 0
    assert f" --approve {outcome.report['plan']}\n" in outcome.out


# Leavers, and people who change their address


def test_who_has_no_contact_any_more_is_told(clock: FakeClock, tmp_path: Path) -> None:
    """Only people whom a run has written: the others are not HubSpot's."""
    page = tmp_path / "run.html"
    with make([contact(JO), contact(AL)], [subscriber(BO)], clock) as sandbox:
        assert run_first(clock, sandbox).report["leavers"] == []
        sandbox.hubspot.archive("contacts", 101)
        sandbox.hubspot.edit("contacts", 102, email="al@new.example")
        outcome = run(clock, sandbox, "--report", str(page))
        again = run(clock, sandbox)
        sandbox.mailerlite.subscribers[AL]["status"] = "unsubscribed"
        sandbox.mailerlite.delete(JO)
        assert run(clock, sandbox).report["leavers"] == []
    assert outcome.report["leavers"] == again.report["leavers"]
    assert [(row["email"], row["reason"]) for row in outcome.report["leavers"]] == [
        (AL, "the contact now has another address in HubSpot"),
        (JO, "no contact in HubSpot has this address"),
    ]
    words = "2 people are subscribed, but no longer in HubSpot."
    assert words in outcome.out
    assert words in page.read_text()
    assert words in again.report["summary"]


def test_an_opt_out_counts_for_the_earlier_address_too(clock: FakeClock) -> None:
    new = "jo@new.example"
    with make([contact(JO), contact(AL)], [], clock) as sandbox:
        run(clock, sandbox)
        sandbox.hubspot.edit("contacts", 101, email=new, hs_email_optout="true")
        told = run(clock, sandbox)
        assert statuses(sandbox) == {JO: "active", AL: "active"}
        assert run(clock, sandbox, "--unsubscribe-opted-out").code == 0
        assert statuses(sandbox) == {JO: "unsubscribed", AL: "active"}
    assert reasons(told) == {
        JO: "opted out in HubSpot, but still subscribed in MailerLite",
        new: "opted out in HubSpot",
    }
    assert told.report["leavers"] == []


@pytest.mark.no_cover
@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("status", ["unsubscribed", "junk"])
def test_who_left_under_an_earlier_address(clock: FakeClock, status: str, is_known: bool) -> None:
    """Also if they leave after the plan, right before the write."""

    def leave() -> None:
        sandbox.mailerlite.subscribers[JO]["status"] = status

    with make([contact(JO), contact(AL)], [], clock) as sandbox:
        run(clock, sandbox)
        for key, email in ((101, "jo@new.example"), (102, "al@new.example")):
            sandbox.hubspot.edit("contacts", key, email=email)
        leave() if is_known else before_looks(sandbox, leave)
        for _ in range(2):
            outcome = run(clock, sandbox)
            assert statuses(sandbox) == {JO: status, AL: "active", "al@new.example": "active"}
    assert reasons(outcome) == {
        "jo@new.example": "unsubscribed in MailerLite under another address"
    }


@pytest.mark.parametrize("flags", [[], ["--list", "Customers"]])
def test_an_earlier_address_outlives_a_merge(clock: FakeClock, flags: list[str]) -> None:
    new = "jo@new.example"
    with make([contact(JO), contact(None)], [], clock) as sandbox:
        run(clock, sandbox)
        sandbox.hubspot.edit("contacts", 101, email=new)
        merged = sandbox.hubspot.merge("contacts", 101, 102)
        sandbox.hubspot.add_list("Customers", "contacts", merged)
        sandbox.mailerlite.subscribers[JO]["status"] = "unsubscribed"
        left = run(clock, sandbox, *flags)
        explained = run(clock, sandbox, *flags, "--explain", new).report["explain"][0]
        assert statuses(sandbox) == {JO: "unsubscribed"}
        sandbox.mailerlite.subscribers[JO]["status"] = "active"
        sandbox.hubspot.edit("contacts", merged, hs_email_optout="true")
        run(clock, sandbox, *flags, "--unsubscribe-opted-out")
        assert statuses(sandbox) == {JO: "unsubscribed"}
    assert reasons(left) == {new: "unsubscribed in MailerLite under another address"}
    assert explained["reason"] == "unsubscribed in MailerLite under another address"


def test_an_address_that_was_taken_over(clock: FakeClock) -> None:
    """What its first holder objects to still counts, run after run."""
    with make([contact(JO), contact(None)], [], clock) as sandbox:
        run(clock, sandbox)
        sandbox.hubspot.edit("contacts", 101, email=None, hs_email_optout="true")
        sandbox.hubspot.edit("contacts", 102, email=JO)
        for _ in range(3):
            outcome = run(clock, sandbox)
            assert len(sandbox.writes) == 1
            assert reasons(outcome)[JO].startswith("opted out in HubSpot, but still")


# Values that MailerLite keeps in another form

Keep = Callable[[str], Optional[str]]
KEEPS: dict[str, tuple[str, str, Keep]] = {
    "cut to ten": ("text", "a rather long value", lambda text: text[:10]),
    "cut, and trimmed": ("text", "something and more", lambda text: text[:10].strip()),
    "cut to one": ("text", "value", lambda text: text[:1]),
    "blanks in a row": ("text", "two  blanks", lambda text: " ".join(text.split())),
    "lower case": ("text", "Shop", str.lower),
    "upper case": ("text", "Shop", str.upper),
    "title case": ("text", "the shop", str.title),
    "entities": (
        "text",
        "Jo & Co <shop>",
        lambda text: text.replace("&", "&amp;").replace("<", "&lt;"),
    ),
    "quotes": ("text", "O'Neil", lambda text: text.replace("'", "&#039;")),
    "no tags": ("text", "a <b>shop</b>", lambda text: text.replace("<b>", "").replace("</b>", "")),
    "composed": ("text", "Mu\u0308nze", lambda text: "M\u00fcnze"),
    "ascii": ("text", "M\u00fcnze", lambda text: "Muenze"),
    "question marks": ("text", "\u2728 shop", lambda text: "? shop"),
    "no line breaks": ("text", "one\ntwo", lambda text: text.replace("\n", " ")),
    "other line breaks": ("text", "one\ntwo", lambda text: text.replace("\n", "\r\n")),
    "a dot at the end": ("text", "shop.", lambda text: text.rstrip(".")),
    "digits alone": ("text", "+49 30 1234", lambda text: "49301234"),
    "a country code": ("text", "Germany", lambda text: "DE"),
    "nothing": ("text", "n/a", lambda text: None),
    "in quotes": ("text", "shop", lambda text: f'"{text}"'),
    "rounded": ("number", "12.345", lambda text: "12.35"),
    "whole": ("number", "12.9", lambda text: "12"),
    "clamped": ("number", "99999999999", lambda text: "2147483647"),
    "with commas": ("number", "1000", lambda text: "1,000.00"),
    "with a comma": ("number", "12.5", lambda text: "12,5"),
    "in powers": ("number", "123456789012", lambda text: "1.2345678901E+11"),
    "day first": ("date", "2026-03-01", lambda text: "01/03/2026"),
    "in words": ("date", "2026-03-01", lambda text: "March 1, 2026"),
    "a day before": ("date", "2026-03-01", lambda text: "2026-02-28 23:00:00"),
    "a day later": ("date", "2026-03-01", lambda text: "2026-03-02"),
    "no date": ("date", "2026-03-01", lambda text: "0000-00-00"),
}


@pytest.mark.no_cover
@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize("answered", ["as kept", "as sent", "not at all"])
def test_another_form_is_sent_once(clock: FakeClock, is_there: bool, answered: str) -> None:
    """One person with a field for each form; whatever the answers show, the lists decide."""

    def answer(payload: Any) -> Any:
        fields = {**payload["data"]["fields"], **sandbox.writes[-1].json().get("fields", {})}
        return {"data": {**payload["data"], "fields": fields if answered == "as sent" else None}}

    kinds, values, keeps = zip(*KEEPS.values())
    held = [f"held_{n}" for n in range(len(KEEPS))]
    pairs = ",".join(f"value_{n}:{key}" for n, key in enumerate(held))
    mapping = {"MAILERLITE_FIELDS": f"firstname:name,{pairs}"}
    types = [{"key": key, "type": kind} for key, kind in zip(held, kinds)]
    people = [subscriber(JO, "New")] if is_there else []
    jo = contact(JO, **{f"value_{n}": value for n, value in enumerate(values)})
    with make([jo], people, clock, fields=types, keep=dict(zip(held, keeps))) as sandbox:
        if answered != "as kept":
            sandbox.faults = [Fault("edit", method="POST", path="^/subscribers$", edit=answer)]
        assert run_first(clock, sandbox, **mapping).code == 0
        second = run(clock, sandbox, **mapping)
        assert len(sandbox.writes) == 1
        sandbox.hubspot.edit("contacts", 101, firstname="Newer")
        run(clock, sandbox, **mapping)
        assert [*people_written(sandbox)][1:] == [{"email": JO, "fields": {"name": "Newer"}}]
        sandbox.mailerlite.subscribers[JO]["fields"].update(dict.fromkeys(held, "7"))
        assert run(clock, sandbox, **mapping).report["update"][0]["fields"] == held
        assert run(clock, sandbox, **mapping).report["outcome"] == "in_sync"
        sandbox.mailerlite.keep = {}
        others = [{"text": "other", "number": "8", "date": "2026-04-01"}[kind] for kind in kinds]
        sandbox.hubspot.edit(
            "contacts", 101, **{f"value_{n}": each for n, each in enumerate(others)}
        )
        run(clock, sandbox, **mapping)
        assert [str(fields(sandbox, JO)[key]) for key in held] == others
    assert second.report["outcome"] == "in_sync"
    assert second.report["counts"]["kept_in_another_form"] == dict.fromkeys(held, 1)
    for key in held:
        assert (
            f"MailerLite stores the field {key} of 1 person in another form than HubSpot.\n"
            in second.out
        )


# Refusals


def test_an_address_that_mailerlite_does_not_take_is_news_once(clock: FakeClock) -> None:
    with make([contact(JO), contact(AL)], [], clock, not_taken=[JO]) as sandbox:
        first = run(clock, sandbox)
        assert statuses(sandbox) == {AL: "active"}
        asked = len(sandbox.requests)
        second = run(clock, sandbox, "--max-new", "0")
        assert not [r for r in sandbox.requests[asked:] if r.method == "POST"]
        assert run(clock, sandbox, "-q").text == ""
        clock.now += 7 * DAY_S
        third = run(clock, sandbox)
        assert [body["email"] for body in people_written(sandbox)].count(JO) == 2
        clock.now += 6 * DAY_S
        fourth = run(clock, sandbox)
        sandbox.mailerlite.not_taken.clear()
        clock.now += DAY_S
        assert run(clock, sandbox).report["waiting"] == []
        assert statuses(sandbox)[JO] == "active"
        assert run(clock, sandbox).report["outcome"] == "in_sync"
    assert (first.code, second.code, third.code, fourth.code) == (4, 0, 0, 0)
    assert second.report["outcome"] == fourth.report["outcome"] == "in_sync"
    assert second.report["waiting"] == [
        {
            "email": JO,
            "hubspot_id": 101,
            "reason": "The email must be a valid email address: The given data was invalid",
            "field": "",
            "since": "2026-11-21",
            "asked_again_on": "2026-11-28",
        }
    ]
    assert fourth.report["waiting"][0]["since"] == "2026-11-21"
    assert fourth.report["waiting"][0]["asked_again_on"] == "2026-12-05"
    assert "MailerLite rejected 1 person; they will be retried on 28 Nov 2026.\n" in first.out
    words = "1 person is waiting, because MailerLite rejected them or a value. They will be retried"
    assert f"{words} on 28 Nov 2026.\n" in second.out
    assert reasons(third)[JO].startswith("MailerLite still rejects this person: The email")


def test_a_refused_person_is_asked_again_as_often_as_is_wanted(clock: FakeClock) -> None:
    with make([contact(JO)], [], clock, not_taken=[JO]) as sandbox:
        for tries in (1, 2, 3):
            run(clock, sandbox, ASK_AGAIN_DAYS="0")
            assert len([*people_written(sandbox)]) == tries
        clock.now -= 30 * DAY_S  # the clock was wrong before
        run(clock, sandbox)
        assert len([*people_written(sandbox)]) == 4


def refuse(_: str) -> str:
    raise ValueError("The fields.city must not be jo@mail.example.")


def test_a_refused_value_does_not_keep_the_person_out(clock: FakeClock) -> None:
    contacts = [contact(JO, city="Anytown"), contact(AL, city="Anytown"), contact(BO, city="X")]
    people = [subscriber(AL), subscriber(BO, "New")]
    with make(contacts, people, clock, keep={"city": refuse}) as sandbox:
        first = run_first(clock, sandbox)
        assert statuses(sandbox) == {JO: "active", AL: "active", BO: "active"}
        assert fields(sandbox, JO) == fields(sandbox, AL) == fields(sandbox, BO) == {"name": "New"}
        tried = len([*people_written(sandbox)])
        second = run(clock, sandbox)
        assert len([*people_written(sandbox)]) == tried == 5
        clock.now += 7 * DAY_S
        third = run(clock, sandbox)
        assert len([*people_written(sandbox)]) == 8
        sandbox.mailerlite.keep = {}
        assert run(clock, sandbox).report["outcome"] == "in_sync"
        sandbox.hubspot.edit("contacts", 101, city="Elsewhere")  # another value is tried at once
        run(clock, sandbox)
        assert fields(sandbox, JO)["city"] == "Elsewhere"
        clock.now += 7 * DAY_S
        run(clock, sandbox)
        assert fields(sandbox, AL)["city"] == "Anytown"
        assert run(clock, sandbox).report["waiting"] == []
    assert (first.code, second.code) == (0, 0)
    assert "Values that MailerLite rejected:\n" in first.out
    assert "Values that MailerLite rejected:\n" not in second.out + third.out
    assert (third.code, len(reasons(third))) == (0, 3)
    assert emails(first.report["waiting"]) == emails(second.report["waiting"])
    assert {row["field"] for row in second.report["waiting"]} == {"city"}
    for row in first.report["waiting"] + second.report["waiting"]:
        assert row["reason"] == "The fields.city must not be ***@\u2026."
    assert list(reasons(first)) == [BO]


def refuse_as(text: str) -> Keep:
    def keep(value: str) -> str:
        raise ValueError(text.format(value))

    return keep


@pytest.mark.parametrize(
    ("city", "keep", "reasons"),
    [
        ("Anytown", str.upper, []),
        (
            "Anytown",
            refuse_as(f"{{}} is no city, {JO}, at mail.example."),
            ["\u2026 is no city, ***@\u2026, at \u2026."],
        ),
        (f"Ann of Anytown, {AL}", refuse_as("{} is no city."), ["\u2026 is no city."]),
    ],
)
def test_a_value_stands_in_no_file(
    clock: FakeClock, tmp_path: Path, city: str, keep: Keep, reasons: list[str]
) -> None:
    """Also if MailerLite keeps it in another form or refuses it, and if it holds another one."""
    with make([contact(JO, "Ann", city=city)], [], clock, keep={"city": keep}) as sandbox:
        outcome = run(clock, sandbox)
    assert [row["reason"] for row in outcome.report["waiting"]] == reasons
    (path,) = states(tmp_path)
    content = path.read_bytes().lower()
    assert b"anytown" not in content
    assert b"mail.example" not in content


@pytest.mark.no_cover
@pytest.mark.parametrize(("refused", "others"), [(10, 0), (35, 5), (99, 0)])
def test_who_is_refused_keeps_nobody_else_out(clock: FakeClock, refused: int, others: int) -> None:
    shut = [f"info@a{n:03d}.example" for n in range(refused)]
    taken = [f"jo@b{n}.example" for n in range(others)]
    with make([*map(contact, shut + taken)], [], clock, not_taken=shut) as sandbox:
        first = run(clock, sandbox)
        assert statuses(sandbox) == dict.fromkeys(taken, "active")
        tried = len([*people_written(sandbox)])
        again = run(clock, sandbox)
        assert run(clock, sandbox, "-q").text == ""
        assert len([*people_written(sandbox)]) == tried
        clock.now += 7 * DAY_S
        later = run(clock, sandbox)
        assert {each["email"] for each in [*people_written(sandbox)][tried:]} == {*shut}
        tried = len([*people_written(sandbox)])
        assert run(clock, sandbox, "-q").text == ""
        assert len([*people_written(sandbox)]) == tried
    assert (first.code, again.code, again.report["outcome"]) == (4, 0, "in_sync")
    assert later.code == 0
    assert emails(first.report["waiting"]) == emails(again.report["waiting"]) == shut
    assert again.report["summary"] == [
        f"Nothing to do for now: {others} people are up to date, {refused} people are waiting."
    ]


@pytest.mark.no_cover
def test_where_all_are_refused_nobody_waits_and_the_way_out_is_named(clock: FakeClock) -> None:
    people = many(200)
    with make([*map(contact, people)], [], clock, not_taken=people) as sandbox:
        outcome = run(clock, sandbox)
        assert 100 <= len([*people_written(sandbox)]) < 150
        sandbox.mailerlite.not_taken.clear()
        assert run(clock, sandbox).code == 0
        assert set(statuses(sandbox)) == set(people)
    assert (outcome.code, outcome.report["waiting"]) == (1, [])
    assert "Nothing was changed." in outcome.err
    assert "exclude them with CONTACT_FILTER or --list" in outcome.err


OF_1000 = "The plan has room for 1,000 people: this is number {}."


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("code", "number", "words"),
    [
        (422, 3, OF_1000),
        (422, 3, "You have reached your limit of {} subscribers."),
        (422, 100, OF_1000),
        (402, 3, OF_1000),
        (403, 3, OF_1000),
    ],
)
def test_a_full_plan_is_no_ones_fault(clock: FakeClock, code: int, number: int, words: str) -> None:
    """Its words differ from person to person, in numbers."""
    people = many(number)
    with make([*map(contact, people)], [], clock, not_taken=[people[1]]) as sandbox:
        call: dict[str, Any] = {"path": "^/subscribers$", "method": "POST", "status": code}
        sandbox.faults = [
            Fault("status", nth=n, body={"message": words.format(1_000 + n)}, **call)
            for n in range(1, 100)
        ]
        outcome = run(clock, sandbox)
        assert len([*people_written(sandbox)]) < 40
        sandbox.faults = []
        assert emails(run(clock, sandbox).report["waiting"]) == people[1:2]
    assert outcome.code == (4 if (code, number) == (422, 3) else 1)
    assert outcome.report["waiting"] == []
    assert words.partition("{")[0] in outcome.err


def test_who_is_refused_for_other_reasons_than_the_plan_waits(clock: FakeClock) -> None:
    people = many(20)
    with make([*map(contact, people)], [], clock, not_taken=people[:4], plan_full=422) as sandbox:
        first = run(clock, sandbox)
        tried = {each["email"] for each in people_written(sandbox)}
        sandbox.mailerlite.plan_full = None
        again = run(clock, sandbox)
        assert set(statuses(sandbox)) == set(people[4:])
    assert first.code == 1
    assert "MailerLite rejected 10 people in a row for the same reason." in first.err
    assert emails(first.report["waiting"]) == sorted(tried.intersection(people[:4]))
    assert emails(again.report["waiting"]) == people[:4]


def test_a_group_that_is_refused_is_no_ones_fault(clock: FakeClock) -> None:
    groups = {"groups": {"7": "Shops", "8": "Others"}}
    with make([contact(JO), contact(AL)], [], clock, **groups) as sandbox:
        before_writes(sandbox, lambda: sandbox.mailerlite.groups.pop("8"))
        outcome = run(clock, sandbox, MAILERLITE_GROUPS="Shops,Others")
        assert run(clock, sandbox, MAILERLITE_GROUPS="Shops").code == 0
        assert set(statuses(sandbox)) == {JO, AL}
    assert (outcome.code, outcome.report["waiting"]) == (1, [])
    assert "MailerLite rejects the group Others. Check the settings that name it." in outcome.err


def test_another_refusal_is_asked_again_by_the_next_run(clock: FakeClock) -> None:
    with make([contact(JO), contact(AL)], [], clock) as sandbox:
        sandbox.faults = [Fault("status", path="^/subscribers$", method="POST", nth=1, status=404)]
        assert run(clock, sandbox).code == 4
        assert run(clock, sandbox).code == 0
        assert len(statuses(sandbox)) == 2


# Groups


def test_who_was_taken_out_of_a_group_stays_out(clock: FakeClock) -> None:
    groups = {"7": "Shops", "8": "Buyers"}
    wanted = {"MAILERLITE_GROUPS": "Shops,Buyers"}
    with make([contact(JO), contact(AL)], [subscriber(AL)], clock, groups=groups) as sandbox:
        run_first(clock, sandbox, **wanted)
        for email in (JO, AL):
            sandbox.mailerlite.subscribers[email]["groups"] = ["8"]
        dry = run(clock, sandbox, "--dry-run", **wanted)
        told = run(clock, sandbox, "-q", **wanted)
        silent = run(clock, sandbox, "-q", **wanted)
        sandbox.hubspot.edit("contacts", 101, firstname="Newer")
        run(clock, sandbox, **wanted)
        assert sandbox.mailerlite.subscribers[JO]["groups"] == ["8"]
        assert fields(sandbox, JO) == {"name": "Newer"}
    assert emails(dry.report["taken_out"]) == emails(told.report["taken_out"]) == [AL, JO]
    assert told.report["taken_out"][0]["groups"] == ["Shops"]
    assert f"Removed from a group by hand; will not be added again:\n  = {AL}  Shops\n" in told.out
    assert (told.code, told.report["outcome"]) == (0, "in_sync")
    assert (silent.out, silent.report["taken_out"]) == ("", [])


def test_who_was_never_in_a_group_joins_it(clock: FakeClock) -> None:
    with make([contact(JO)], [], clock, groups={"7": "Shops"}) as sandbox:
        run(clock, sandbox)
        run(clock, sandbox, MAILERLITE_GROUPS="Shops")
        assert sandbox.mailerlite.subscribers[JO]["groups"] == ["7"]


# One form for addresses and values


@pytest.mark.no_cover
@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("typed", ["jo@m\u00fcnze.example", "Jo@xn--mnze-0ra.Example"])
def test_international_addresses_have_one_form(clock: FakeClock, typed: str, kept: bool) -> None:
    with make([contact(typed), contact(AL)], [], clock, punycode=kept) as sandbox:
        assert run(clock, sandbox).code == 0
        assert run(clock, sandbox).report["outcome"] == "in_sync"
        sandbox.hubspot.edit("contacts", 101, firstname="Newer")
        assert run(clock, sandbox).report["counts"]["update"] == 1
        assert len(statuses(sandbox)) == 2
        (email,) = {*statuses(sandbox)} - {AL}
        sandbox.mailerlite.delete(email)
        assert list(reasons(run(clock, sandbox)).values()) == ["deleted in MailerLite"]
        assert run(clock, sandbox, "--restore", "jo@M\u00dcNZE.example").code == 0
        assert len(statuses(sandbox)) == 2


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("is_taken", [False, True])
def test_values_of_international_addresses(clock: FakeClock, kept: bool, is_taken: bool) -> None:
    """Also those that MailerLite keeps in another form, or refuses."""

    def keep(text: str) -> str:
        if not is_taken:
            raise ValueError("The name is too long.")
        return text.upper()

    people = [contact("jo@m\u00fcnze.example", lastname="Lee")]
    with make(people, [], clock, punycode=kept, keep={"name": keep}) as sandbox:
        run(clock, sandbox)
        writes = len(sandbox.writes)
        assert run(clock, sandbox).report["outcome"] == "in_sync"
        assert len(sandbox.writes) == writes


COLOURS = {
    "type": "enumeration",
    "fieldType": "checkbox",
    "options": [{"value": "r", "label": "Red"}, {"value": "g", "label": "Green, light"}],
}
SIZE = {**COLOURS, "fieldType": "select", "options": [{"value": "xl", "label": "Very large"}]}
PROPERTIES = {"properties": {"contacts": {"colours": COLOURS, "size": SIZE}}}
TO_FIELDS = {"MAILERLITE_FIELDS": "colours:city,size:state"}


@pytest.mark.parametrize(
    ("colours", "size", "settings", "held"),
    [
        ("r;g", "xl", {}, {"city": "Red, Green, light", "state": "Very large"}),
        ("r; gone ;", "gone", {}, {"city": "Red, gone", "state": "gone"}),
        ("r;g", "xl", {"MAILERLITE_VALUES": "internal"}, {"city": "r;g", "state": "xl"}),
        (
            "r;g",
            "xl",
            {"MAILERLITE_VALUES": "labels"},
            {"city": "Red, Green, light", "state": "Very large"},
        ),
    ],
)
def test_enumerations_are_sent_as_their_labels(
    clock: FakeClock, colours: str, size: str, settings: dict[str, str], held: dict[str, str]
) -> None:
    people = [contact(JO, colours=colours, size=size)]
    with make(people, [], clock, hubspot=PROPERTIES) as sandbox:
        assert run(clock, sandbox, **TO_FIELDS, **settings).code == 0
        assert fields(sandbox, JO) == held
        assert run(clock, sandbox, **TO_FIELDS, **settings).report["outcome"] == "in_sync"


# What is not to be shown


@pytest.mark.parametrize(
    "name",
    [
        "MAILERLITE_GROUPS",
        "HUBSPOT_SUBSCRIPTIONS",
        "MAILERLITE_FIELDS",
        "MAX_NEW",
        "MAILERLITE_BASE_URL",
    ],
)
@pytest.mark.parametrize(
    "key", ["ours", "other", "pat-eu1-0a1b2c3d-0000-4e5f", "eyJ0eXAiOiJKV1Qi.eyJhdWQiOiI0Iiw.c2ln"]
)
def test_a_key_in_a_wrong_setting(clock: FakeClock, tmp_path: Path, name: str, key: str) -> None:
    """Ours, that of another service, or one that only looks like one."""
    page = tmp_path / "run.html"
    with make([contact(JO)], [], clock) as sandbox:
        other = "a-very-secret-key"
        key = {"ours": sandbox.mailerlite.token, "other": other}.get(key, key)
        settings = {**sandbox.settings, "PREDICTLEADS_API_KEY": other, name: f" {key}"}
        flags = ["-v", "--report", str(page)]
        outcome = clock.run(sync_subscribers.main, None, *flags, **settings)
        assert sandbox.requests == []
    assert outcome.code == 2
    assert f"{name} contains an API key. Put it into its own setting." in outcome.err
    assert key not in outcome.text + page.read_text() + str(outcome.report)


def test_addresses_in_the_errors_of_a_service_are_masked_in_the_log(clock: FakeClock) -> None:
    body = {"message": f"The address {JO} is not allowed."}
    with make([contact(JO), contact(AL)], [], clock) as sandbox:
        sandbox.faults = [
            Fault("status", path="^/subscribers$", method="POST", status=422, body=body)
        ]
        outcome = run(clock, sandbox, "-v")
    assert "The address ***@mail.example is not allowed" in outcome.err
    assert JO not in outcome.err
