"""The contact job from end to end: the script, real sockets, and what HubSpot holds afterwards."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

import create_contact
from contact.records import LOOK_AGAIN_AFTER_S
from core.settings import SettingsReader
from hubspot_api.service import KEYS_PAGE, hubspot_settings
from hubspot_client import HubSpotClient
from sandbox import Fault, HubSpot, Request, Sandbox
from state.lock import run_lock
from tests.helpers import ROOT, Ended, FakeClock, RunMain, stop_at

ANN = ("--email", "ann.lee@mail.example", "--first-name", "Ann", "--last-name", "Lee")
SHOP = ("--company-name", "Sample Shop", "--company-domain", "shop.example")
WORDS = (*ANN, *SHOP)
LINK = "https://app.hubspot.com/contacts/12345/record"
FIRST_ID = 30_000_000_001  # of what the sandbox creates
CREATE_COMPANY, CREATE_CONTACT = "objects/companies$", "objects/contacts$"
ASSOCIATE, ASSOCIATED = "/default/company/", "/associations/company$"
SETTING = '"Create and associate companies with contacts"'

A_COMPANY: dict[str, Any] = {"id": 7, "name": "Old Shop", "domain": "shop.example"}
A_CONTACT: dict[str, Any] = {
    "id": 8,
    "email": "Ann.Lee@mail.example",
    "firstname": "Ann",
    "lastname": "Old",
}


def make(
    clock: FakeClock,
    companies: tuple[dict[str, Any], ...] = (),
    contacts: tuple[dict[str, Any], ...] = (),
    associated: tuple[int, ...] = (),
    **options: Any,
) -> Sandbox:
    """`associated`: the ids of the first contact's companies."""
    hubspot = HubSpot(companies, contacts, **options)
    if associated:
        hubspot.associations = {min(hubspot.contacts): {key: [279] for key in associated}}
    return Sandbox(hubspot, clock=clock)


def state(sandbox: Sandbox) -> tuple[list[Any], list[Any], list[list[int]]]:
    """The domains of all companies, the addresses of all contacts, and who is with whom, each by
    place in these lists."""
    hubspot = sandbox.hubspot
    company_ids, contact_ids = list(hubspot.companies), list(hubspot.contacts)
    return (
        [record.get("domain") for record in hubspot.companies.values()],
        [record.get("email") for record in hubspot.contacts.values()],
        [
            [contact_ids.index(contact), company_ids.index(company)]
            for contact, links in hubspot.associations.items()
            for company in links
        ],
    )


COMPLETE = (["shop.example"], ["ann.lee@mail.example"], [[0, 0]])


def calls(sandbox: Sandbox) -> list[str]:
    return [f"{request.method} {request.path}" for request in sandbox.requests]


def gaps(sandbox: Sandbox) -> list[float]:
    times = [request.at for request in sandbox.requests]
    return [later - earlier for earlier, later in zip(times, times[1:])]


def statuses(outcome: Ended) -> list[str]:
    return [step["status"] for step in outcome.report["steps"]]


# Created, found, finished


def test_a_fresh_account(run_main: RunMain, clock: FakeClock) -> None:
    with make(clock) as sandbox:
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert state(sandbox) == COMPLETE
        assert sandbox.hubspot.companies[FIRST_ID] == {
            "name": "Sample Shop",
            "domain": "shop.example",
        }
        assert sandbox.hubspot.contacts[FIRST_ID + 1] == {
            "email": "ann.lee@mail.example",
            "firstname": "Ann",
            "lastname": "Lee",
        }
        associations = f"/crm/v4/objects/contact/{FIRST_ID + 1}/associations"
        assert calls(sandbox) == [
            "GET /account-info/v3/details",
            "POST /crm/v3/objects/contacts/search",
            "POST /crm/v3/objects/companies/search",
            "POST /crm/v3/objects/companies",
            "POST /crm/v3/objects/contacts",
            f"PUT {associations}/default/company/{FIRST_ID}",
            f"GET {associations}/company",
        ]
    company_link, contact_link = f"{LINK}/0-2/{FIRST_ID}", f"{LINK}/0-1/{FIRST_ID + 1}"
    assert outcome.out.splitlines() == [
        f"Company created: Sample Shop, shop.example, id {FIRST_ID}, {company_link}",
        f"Contact created: Ann Lee, ann.lee@mail.example, id {FIRST_ID + 1}, {contact_link}",
        f"Association made: the contact with the company {FIRST_ID}, {contact_link}",
        "Done: HubSpot lists the company with the contact.",
    ]
    assert outcome.err.endswith("  HubSpot is account 12345 on app.hubspot.com.\n")
    report = outcome.report
    assert (outcome.code, report["outcome"], report["exit_code"]) == (0, "synced", 0)
    assert (report["job"], report["mode"], report["error"]) == ("contact", "apply", None)
    assert report["counts"] == {"found": 0, "created": 2, "associated": 1, "planned": 0}
    steps = [
        ("company", "created", "Sample Shop, shop.example", FIRST_ID, company_link),
        ("contact", "created", "Ann Lee, ann.lee@mail.example", FIRST_ID + 1, contact_link),
        (
            "association",
            "associated",
            f"the contact with the company {FIRST_ID}",
            FIRST_ID + 1,
            contact_link,
        ),
    ]
    names = ("step", "status", "name", "id", "link")
    assert report["steps"] == [dict(zip(names, step)) for step in steps]
    assert report["warnings"] == []
    assert report["summary"] == ["Done: HubSpot lists the company with the contact."]
    assert report["requests"]["hubspot"] == {"calls": 7, "retries": 0, "waited_s": 0.0}


@pytest.mark.parametrize("lag_s", [0.0, 20.0])
def test_a_second_run_at_once_creates_nothing(
    run_main: RunMain, clock: FakeClock, lag_s: float
) -> None:
    """Even while HubSpot's search does not show yet what the first one has created."""
    with make(clock, index_lag_s=lag_s) as sandbox:
        assert run_main(create_contact.main, sandbox, *WORDS).code == 0
        writes = len(sandbox.writes)
        dry = run_main(create_contact.main, sandbox, *WORDS, "--dry-run")
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert state(sandbox) == COMPLETE
        assert len(sandbox.writes) == writes
    assert (outcome.code, outcome.report["outcome"]) == (0, "in_sync")
    assert statuses(dry)[0] == "found"
    assert statuses(outcome) == ["found", "found", "found"]
    assert f"id {FIRST_ID}, {LINK}/0-2/{FIRST_ID}\n" in outcome.out
    assert f"id {FIRST_ID + 1}, {LINK}/0-1/{FIRST_ID + 1}\n" in outcome.out
    assert outcome.out.endswith("Nothing to do: all of it was there.\n")
    assert "looking for the company" not in outcome.err


def test_a_second_run_later_creates_nothing(run_main: RunMain, clock: FakeClock) -> None:
    with make(clock, index_lag_s=20.0) as sandbox:
        run_main(create_contact.main, sandbox, *WORDS)
        clock.now += 600
        assert run_main(create_contact.main, sandbox, *WORDS).report["outcome"] == "in_sync"
        assert state(sandbox) == COMPLETE


HALVES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "company": ({"companies": (A_COMPANY,)}, ["found", "created", "associated"]),
    "contact": ({"contacts": (A_CONTACT,)}, ["created", "found", "associated"]),
    "both": (
        {"companies": (A_COMPANY,), "contacts": (A_CONTACT,)},
        ["found", "found", "associated"],
    ),
    "all": (
        {"companies": (A_COMPANY,), "contacts": (A_CONTACT,), "associated": (7,)},
        ["found", "found", "found"],
    ),
}


@pytest.mark.parametrize(("given", "wanted"), HALVES.values(), ids=HALVES.keys())
def test_what_is_there_is_found_and_the_rest_is_created(
    run_main: RunMain, clock: FakeClock, given: dict[str, Any], wanted: list[str]
) -> None:
    with make(clock, **given) as sandbox:
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        domains, emails, pairs = state(sandbox)
        assert (domains, len(emails), pairs) == (["shop.example"], 1, [[0, 0]])
        if "companies" in given:
            assert sandbox.hubspot.companies[7] == {"name": "Old Shop", "domain": "shop.example"}
            assert f"Company found: Old Shop, shop.example, id 7, {LINK}/0-2/7\n" in outcome.out
        if "contacts" in given:
            assert sandbox.hubspot.contacts[8]["lastname"] == "Old"
            assert f"Contact found: Ann Old, ann.lee@mail.example, id 8, {LINK}" in outcome.out
    assert (outcome.code, statuses(outcome)) == (0, wanted)
    assert outcome.report["outcome"] == ("synced" if set(wanted) > {"found"} else "in_sync")


@pytest.mark.parametrize(
    ("path", "code", "done"),
    [(CREATE_COMPANY, 1, []), (CREATE_CONTACT, 4, ["created"]), (ASSOCIATE, 4, ["created"] * 2)],
)
@pytest.mark.parametrize("lag_s", [0.0, 20.0])
def test_a_run_that_broke_half_way_is_finished_by_the_next(
    run_main: RunMain, clock: FakeClock, path: str, code: int, done: list[str], lag_s: float
) -> None:
    with make(clock, index_lag_s=lag_s) as sandbox:
        sandbox.faults = [Fault("status", path=path, status=400, times=1)]
        broken = run_main(create_contact.main, sandbox, *WORDS)
        assert broken.code == code
        assert statuses(broken) == done
        assert ("Nothing has been changed." in broken.err) is (code == 1)
        assert ("Done in part: the next run goes on from here." in broken.out) is (code == 4)
        assert broken.report["outcome"] == ("partial" if code == 4 else "failed")
        assert "400" in broken.report["error"]
        later = run_main(create_contact.main, sandbox, *WORDS)
        assert (later.code, state(sandbox)) == (0, COMPLETE)
    assert "looking for the company" not in later.err  # for it was never created


@pytest.mark.parametrize("domain", ["https://www.Shop.example/de?x=1", "shop.example"])
def test_a_company_that_the_search_hides_is_found_with_the_contact(
    run_main: RunMain, clock: FakeClock, domain: str
) -> None:
    company = {**A_COMPANY, "domain": domain}
    with make(clock, (company,), (A_CONTACT,), (7,)) as sandbox:
        sandbox.hubspot.stale = {7: None}
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert sandbox.writes == []
    assert outcome.report["outcome"] == "in_sync"
    assert "Company found: Old Shop, shop.example, id 7," in outcome.out


def test_the_contacts_other_companies_are_not_taken_for_the_wanted_one(
    run_main: RunMain, clock: FakeClock
) -> None:
    other = {"id": 9, "name": "Another Shop", "domain": "another.example"}
    with make(clock, (other,), (A_CONTACT,), (9,)) as sandbox:
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert set(sandbox.hubspot.associations[8]) == {9, FIRST_ID}
    assert statuses(outcome) == ["created", "found", "associated"]
    assert (outcome.code, len(outcome.report["warnings"])) == (0, 1)
    assert "also associated with Another Shop (another.example, id 9, " in outcome.err
    assert f"unless that was done on purpose, HubSpot's setting {SETTING} is on" in outcome.err


def test_of_several_companies_the_lowest_id_is_taken(run_main: RunMain, clock: FakeClock) -> None:
    domains = {12: "shop.example", 7: "WWW.shop.example", 9: "shop.example", 3: "x.example"}
    companies = tuple({"id": key, "domain": domain} for key, domain in domains.items())
    with make(clock, companies, (A_CONTACT,), (12,)) as sandbox:
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert set(sandbox.hubspot.associations[8]) == {7, 12}
    assert "Company found: (no name), shop.example, id 7," in outcome.out
    warning = "HubSpot has more companies with the domain shop.example: 9, 12."
    assert outcome.report["warnings"] == [warning]
    assert warning in outcome.err


def test_a_company_that_has_moved_to_another_domain_is_not_taken(
    run_main: RunMain, clock: FakeClock
) -> None:
    """The index still has the domain that it had; 200 of them fill the first page."""
    moved = tuple({"id": key, "domain": "new.example"} for key in range(100, 300))
    with make(clock, (*moved, {**A_COMPANY, "id": 500})) as sandbox:
        sandbox.hubspot.stale = {key: {"domain": "shop.example"} for key in range(100, 300)}
        outcome = run_main(create_contact.main, sandbox, *WORDS)
    assert outcome.report["steps"][0]["id"] == 500


# What a contact is called


def test_what_is_not_given_is_made_up(run_main: RunMain, clock: FakeClock) -> None:
    with make(clock) as sandbox:
        outcome = run_main(create_contact.main, sandbox)
        company = {
            "name": "Coding Challenge Company GmbH",
            "domain": "coding-challenge-company.com",
        }
        assert list(sandbox.hubspot.companies.values()) == [company]
        contact = {"email": "test.person@example.com", "firstname": "Test", "lastname": "Person"}
        assert list(sandbox.hubspot.contacts.values()) == [contact]
    assert outcome.code == 0


def test_names_from_settings_and_from_flags(run_main: RunMain, clock: FakeClock) -> None:
    settings = {"FIRSTNAME": "Zoë", "LASTNAME": "  Groß "}
    flags = [
        ("--email", "a@mail.example"),
        ("--email", "b@mail.example", "--first-name", " Bo \n Anna"),
        ("--email", "c@mail.example", "--last-name", ""),
    ]
    with make(clock) as sandbox:
        run_main(create_contact.main, sandbox, **settings)
        for given in flags:
            run_main(create_contact.main, sandbox, *given, *SHOP, **settings)
        assert list(sandbox.hubspot.contacts.values()) == [
            {"email": "zoe.gross@example.com", "firstname": "Zoë", "lastname": "Groß"},
            {"email": "a@mail.example", "firstname": "Zoë", "lastname": "Groß"},
            {"email": "b@mail.example", "firstname": "Bo Anna", "lastname": "Groß"},
            {"email": "c@mail.example", "firstname": "Zoë"},
        ]
        assert state(sandbox)[0] == ["coding-challenge-company.com", "shop.example"]


@pytest.mark.parametrize(
    "flags",
    [
        ("--email", "ann.lee"),
        ("--email", ""),
        ("--email", "a b@mail.example"),
        ("--company-domain", "n/a"),
        ("--company-domain", "info@shop.example"),
        ("--company-domain", ""),
        ("--company-name", " "),
    ],
)
def test_words_that_cannot_be_right_send_nothing(
    run_main: RunMain,
    clock: FakeClock,
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, str],
) -> None:
    with make(clock) as sandbox:
        with pytest.raises(SystemExit) as stop:
            run_main(create_contact.main, sandbox, *flags)
        assert sandbox.requests == []
    assert stop.value.code == 2
    assert f"argument {flags[0]}: must be " in capsys.readouterr().err


# HubSpot knows the contact all the same


@pytest.mark.parametrize("as_400", [False, True])
def test_a_contact_that_the_search_hides_is_found_by_its_conflict(
    run_main: RunMain, clock: FakeClock, as_400: bool
) -> None:
    with make(clock, (A_COMPANY,), (A_CONTACT,), conflict_as_400=as_400) as sandbox:
        sandbox.hubspot.stale_contacts = {8: None}
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert set(sandbox.hubspot.contacts) == {8}
        assert set(sandbox.hubspot.associations[8]) == {7}
    assert statuses(outcome) == ["found", "found", "associated"]
    assert f"Contact found: ann.lee@mail.example, id 8, {LINK}/0-1/8\n" in outcome.out
    assert (outcome.code, outcome.report["outcome"]) == (0, "synced")


def test_a_conflict_is_no_change(run_main: RunMain, clock: FakeClock) -> None:
    with make(clock, (A_COMPANY,), (A_CONTACT,)) as sandbox:
        sandbox.hubspot.stale_contacts = {8: None}
        sandbox.faults = [Fault("status", path=ASSOCIATE, status=400)]
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert sandbox.writes == []
    assert outcome.code == 1
    assert outcome.err.endswith("Nothing has been changed.\n")


def test_a_contact_that_has_another_address_by_now_is_not_taken(
    run_main: RunMain, clock: FakeClock
) -> None:
    with make(clock, (A_COMPANY,), ({**A_CONTACT, "email": "new@mail.example"},)) as sandbox:
        sandbox.hubspot.stale_contacts = {8: {"email": "ann.lee@mail.example"}}
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert set(sandbox.hubspot.associations) == {FIRST_ID}
    assert statuses(outcome) == ["found", "created", "associated"]


def test_the_id_of_a_conflict_may_stand_at_the_end_of_a_long_message(
    run_main: RunMain, clock: FakeClock
) -> None:
    message = f"Cannot set {{portalId=12345, {'x' * 300}}} on 4711. 8 already has that value."
    with make(clock, (A_COMPANY,), (A_CONTACT,)) as sandbox:
        sandbox.hubspot.stale_contacts = {8: None}
        body = {"status": "error", "message": message, "category": "VALIDATION_ERROR"}
        sandbox.faults = [Fault("status", path=CREATE_CONTACT, status=400, body=body)]
        assert run_main(create_contact.main, sandbox, *WORDS).code == 0
        assert set(sandbox.hubspot.associations[8]) == {7}


def test_a_company_that_hubspot_says_exists_is_found(run_main: RunMain, clock: FakeClock) -> None:
    with make(clock, (A_COMPANY,)) as sandbox:
        sandbox.hubspot.stale = {7: None}
        body = {"message": "Company already exists. Existing ID: 7"}
        sandbox.faults = [Fault("status", path=CREATE_COMPANY, status=409, body=body)]
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert state(sandbox) == COMPLETE
    assert f"Company found: shop.example, id 7, {LINK}/0-2/7\n" in outcome.out


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (409, "Contact already exists"),
        (400, "Existing ID: 8"),
        (422, "8 already has that value"),
    ],
)
def test_a_refusal_without_an_id_is_a_refusal(
    run_main: RunMain, clock: FakeClock, status: int, message: str
) -> None:
    with make(clock, (A_COMPANY,)) as sandbox:
        body = {"message": message}
        sandbox.faults = [Fault("status", path=CREATE_CONTACT, status=status, body=body)]
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert sandbox.writes == []
    assert outcome.code == 1
    assert f"HubSpot, create the contact: {status} {message}" in outcome.err


def test_an_address_that_hubspot_does_not_take(run_main: RunMain, clock: FakeClock) -> None:
    with make(clock, (A_COMPANY,)) as sandbox:
        error = {"isValid": False, "message": "Email address is invalid", "error": "INVALID_EMAIL"}
        body = {"message": f"Property values were not valid: {json.dumps([error])}"}
        sandbox.faults = [Fault("status", path=CREATE_CONTACT, status=400, body=body)]
        outcome = run_main(create_contact.main, sandbox, *WORDS)
    assert outcome.code == 1
    assert "INVALID_EMAIL" in outcome.err
    assert outcome.err.endswith("Nothing has been changed.\n")


# Lost answers

WRITES = (CREATE_COMPANY, CREATE_CONTACT, ASSOCIATE)
LOST: dict[str, dict[str, Any]] = {
    "reset after the work": {"kind": "reset_after"},
    "no answer after the work": {"kind": "hang_after"},
    "answer cut short": {"kind": "truncate"},
    "answer that is no JSON": {"kind": "html_after"},
    "reset before the work": {"kind": "reset_before"},
    "no answer before the work": {"kind": "hang"},
    "500": {"kind": "status", "status": 500},
    "502": {"kind": "status", "status": 502},
    "524": {"kind": "status", "status": 524},
}


BEFORE = ("reset_before", "hang", "status")  # no company will ever be shown: nothing is sent again


def lost(path: str, kind: str, **details: Any) -> Fault:
    if kind == "html_after":
        return Fault("body", path=path, body="<html></html>", **details)
    return Fault(kind, path=path, **details)


@pytest.mark.no_cover
@pytest.mark.parametrize("lag_s", [0.0, 30.0])
@pytest.mark.parametrize("path", WRITES)
@pytest.mark.parametrize("details", LOST.values(), ids=LOST.keys())
def test_a_lost_answer_makes_no_second_record(
    run_main: RunMain,
    clock: FakeClock,
    request: pytest.FixtureRequest,
    details: dict[str, Any],
    path: str,
    lag_s: float,
) -> None:
    hangs = details["kind"].startswith("hang")
    if hangs:
        request.getfixturevalue("impatient")
    with make(clock, index_lag_s=lag_s) as sandbox:
        sandbox.faults = [lost(path, times=1, **details)]
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert hangs or min(gaps(sandbox)) >= 0.2
        if path == CREATE_COMPANY and details["kind"] in BEFORE:
            assert (outcome.code, outcome.report["outcome"], sandbox.writes) == (1, "failed", [])
            outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert state(sandbox) == COMPLETE
        assert run_main(create_contact.main, sandbox, *WORDS).report["outcome"] == "in_sync"
        assert state(sandbox) == COMPLETE
    assert (outcome.code, outcome.report["outcome"]) == (0, "synced")
    assert statuses(outcome) == ["created", "created", "associated"]
    assert "Traceback" not in outcome.text


def test_a_company_is_looked_for_before_the_next_run_creates_it(
    run_main: RunMain, clock: FakeClock
) -> None:
    looks = list(LOOK_AGAIN_AFTER_S)
    with make(clock) as sandbox:
        sandbox.faults = [Fault("reset_before", path=CREATE_COMPANY)]
        for run in (1, 2, 3):
            outcome = run_main(create_contact.main, sandbox, *WORDS)
            sent = [request for request in sandbox.requests if request.path.endswith("/companies")]
            assert len(sent) == run
            assert (outcome.code, outcome.report["outcome"]) == (1, "failed")
        assert [wait for wait in clock.slept if wait > 1] == looks + 2 * (looks + looks)
    assert "HubSpot's answer is lost" in outcome.err


def test_whom_the_repeat_finds_under_another_address_was_there_before(
    run_main: RunMain, clock: FakeClock
) -> None:
    """No search by address shows such a contact, and no lost call has made it."""
    ann = {**A_CONTACT, "email": "ann@shop.example", "hs_additional_emails": WORDS[1]}
    with make(clock, (A_COMPANY,), (ann,), (7,)) as sandbox:
        sandbox.faults = [Fault("status", path=CREATE_CONTACT, status=500, times=1)]
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert sandbox.writes == []
    assert statuses(outcome) == ["found", "found", "found"]
    assert (outcome.code, outcome.report["outcome"]) == (0, "in_sync")


def test_a_500_after_the_company_was_made_makes_no_second_one(
    run_main: RunMain, clock: FakeClock
) -> None:
    with make(clock) as sandbox:

        def make_it_first(request: Request) -> None:
            if re.search(CREATE_COMPANY, request.path) and not sandbox.hubspot.companies:
                sandbox.hubspot.companies[7] = dict(request.json()["properties"])

        sandbox.on_request = make_it_first
        sandbox.faults = [Fault("status", path=CREATE_COMPANY, status=500)]
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert state(sandbox) == COMPLETE
    assert outcome.code == 0


@pytest.mark.parametrize("path", [CREATE_CONTACT, ASSOCIATE])
def test_other_answers_that_are_always_lost_leave_the_rest_to_the_next_run(
    run_main: RunMain, clock: FakeClock, path: str
) -> None:
    with make(clock) as sandbox:
        sandbox.faults = [Fault("reset_after", path=path)]
        assert run_main(create_contact.main, sandbox, *WORDS).code == 4
        sandbox.faults = []
        assert run_main(create_contact.main, sandbox, *WORDS).code == 0
        assert state(sandbox) == COMPLETE


def test_a_company_that_was_created_and_removed_a_moment_ago_is_created_again(
    run_main: RunMain, clock: FakeClock
) -> None:
    with make(clock) as sandbox:
        run_main(create_contact.main, sandbox, *WORDS)
        sandbox.hubspot.companies.clear()
        sandbox.hubspot.associations.clear()
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert state(sandbox) == COMPLETE
    assert statuses(outcome) == ["created", "found", "associated"]


def test_a_company_just_created_that_cannot_be_read_by_id_is_waited_for(
    run_main: RunMain, clock: FakeClock
) -> None:
    with make(clock, index_lag_s=20.0) as sandbox:
        run_main(create_contact.main, sandbox, *WORDS)
        sandbox.faults = [Fault("status", path="companies/batch/read", status=404)]
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert state(sandbox) == COMPLETE
    assert outcome.report["outcome"] == "in_sync"


# HubSpot makes companies by itself


def test_a_company_that_hubspot_adds_is_named(run_main: RunMain, clock: FakeClock) -> None:
    with make(clock, auto_associate=True) as sandbox:
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        domains = [record["domain"] for record in sandbox.hubspot.companies.values()]
        assert domains == ["shop.example", "mail.example"]
        assert len(sandbox.writes) == 3
        extra = FIRST_ID + 2
        assert set(sandbox.hubspot.associations[FIRST_ID + 1]) == {FIRST_ID, extra}
        again = run_main(create_contact.main, sandbox, *WORDS, "-q")
        assert len(sandbox.writes) == 3
    warning = (
        f"The contact is also associated with (no name) (mail.example, id {extra},"
        f" {LINK}/0-2/{extra}): HubSpot's setting {SETTING} is on. See HubSpot > Settings >"
        " Data Management > Objects > Companies. Nothing has been changed about it."
    )
    assert (outcome.code, outcome.report["outcome"]) == (0, "synced")
    assert outcome.report["warnings"] == [warning]
    assert warning in outcome.err
    assert (again.code, again.report["outcome"], again.out) == (0, "in_sync", "")
    assert f"unless that was done on purpose, HubSpot's setting {SETTING} is on" in again.err


def test_the_company_comes_first_so_that_hubspot_adds_none_of_the_same_domain(
    run_main: RunMain, clock: FakeClock
) -> None:
    with make(clock, auto_associate=True) as sandbox:
        outcome = run_main(create_contact.main, sandbox, *SHOP, "--email", "ann.lee@shop.example")
        assert state(sandbox) == (["shop.example"], ["ann.lee@shop.example"], [[0, 0]])
    assert outcome.report["warnings"] == []
    assert statuses(outcome) == ["created", "created", "associated"]


def test_a_company_of_which_nothing_can_be_read_is_named_by_its_id(
    run_main: RunMain, clock: FakeClock
) -> None:
    with make(clock, auto_associate=True) as sandbox:
        sandbox.faults = [Fault("status", path="companies/batch/read", status=404)]
        outcome = run_main(create_contact.main, sandbox, *WORDS)
    assert outcome.code == 0
    assert f"associated with (no name) (id {FIRST_ID + 2}, {LINK}/0-2/" in outcome.err


def test_an_association_that_hubspot_does_not_list_is_not_taken_for_done(
    run_main: RunMain, clock: FakeClock
) -> None:
    with make(clock, (A_COMPANY,), (A_CONTACT,)) as sandbox:
        sandbox.faults = [Fault("edit", path=ASSOCIATED, edit=lambda _: {"results": []})]
        outcome = run_main(create_contact.main, sandbox, *WORDS)
    assert (outcome.code, outcome.report["outcome"]) == (4, "partial")
    assert "but does not list it. Run it again." in outcome.err


# Rights


@pytest.mark.parametrize("says_which", [True, False])
@pytest.mark.parametrize(
    ("scope", "path", "code"),
    [
        ("crm.objects.companies.write", CREATE_COMPANY, 1),
        ("crm.objects.contacts.write", CREATE_CONTACT, 4),
    ],
)
def test_a_missing_write_scope_is_named_and_the_next_run_goes_on(
    run_main: RunMain, clock: FakeClock, scope: str, path: str, code: int, says_which: bool
) -> None:
    with make(clock, index_lag_s=20.0) as sandbox:
        if says_which:
            sandbox.hubspot.scopes.discard(scope)
        else:
            sandbox.faults = [Fault("status", path=path, status=403)]
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert len(sandbox.writes) == (code == 4)
        sandbox.faults = []
        sandbox.hubspot.scopes.add(scope)
        assert run_main(create_contact.main, sandbox, *WORDS).code == 0
        assert state(sandbox) == COMPLETE
    assert outcome.code == code
    assert outcome.err.count(f"the scope {scope}") == says_which
    assert (f"Add the scope to the key in {KEYS_PAGE}." in outcome.err) is says_which
    assert "403" in outcome.err
    assert outcome.report["error"] in outcome.err


@pytest.mark.parametrize("says_which", [True, False])
@pytest.mark.parametrize("kind", ["companies", "contacts"])
def test_a_missing_read_scope_changes_nothing(
    run_main: RunMain, clock: FakeClock, kind: str, says_which: bool
) -> None:
    with make(clock) as sandbox:
        if says_which:
            sandbox.hubspot.scopes.discard(f"crm.objects.{kind}.read")
        else:
            sandbox.faults = [Fault("status", path=f"{kind}/search", status=403)]
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert sandbox.writes == []
    assert outcome.code == 1
    assert (f"the scope crm.objects.{kind}.read" in outcome.err) is says_which
    assert "403" in outcome.err


def test_a_wrong_key(run_main: RunMain, clock: FakeClock) -> None:
    with make(clock) as sandbox:
        outcome = run_main(create_contact.main, sandbox, HUBSPOT_ACCESS_TOKEN="pat-of-nobody")
        assert len(sandbox.requests) == 1
    assert outcome.code == 1
    assert "Check HUBSPOT_ACCESS_TOKEN" in outcome.err
    assert "pat-of-nobody" not in outcome.text + str(outcome.report)


@pytest.mark.parametrize("status", [403, 404])
def test_without_the_account_there_are_no_links(
    run_main: RunMain, clock: FakeClock, status: int
) -> None:
    with make(clock) as sandbox:
        sandbox.faults = [Fault("status", path="account-info", status=status)]
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert state(sandbox) == COMPLETE
    assert outcome.code == 0
    assert f"Company created: Sample Shop, shop.example, id {FIRST_ID}\n" in outcome.out
    assert "So there are no links to the records." in outcome.err
    assert {step["link"] for step in outcome.report["steps"]} == {None}


# Pace


@pytest.mark.parametrize("found", [False, True])
def test_a_429_on_every_call_in_turn(run_main: RunMain, tmp_path: Path, found: bool) -> None:
    given: dict[str, Any] = HALVES["all"][0] if found else {}
    for nth in range(1, 20):
        clock = FakeClock()
        memory = {"XDG_STATE_HOME": str(tmp_path / str(nth))}  # a port may come back
        with make(clock, **given) as sandbox:
            sandbox.faults = [Fault("status", status=429, nth=nth)]
            outcome = run_main(create_contact.main, sandbox, *WORDS, clock=clock, **memory)
            domains, emails, pairs = state(sandbox)
            assert (domains, len(emails), pairs) == (["shop.example"], 1, [[0, 0]])
            assert min(gaps(sandbox)) >= 0.2
        assert (outcome.code, outcome.report["outcome"]) == (0, "in_sync" if found else "synced")
        if not outcome.report["requests"]["hubspot"]["retries"]:
            break
        assert sandbox.requests[nth].at - sandbox.requests[nth - 1].at >= 1.0
    assert nth == (5 if found else 8)  # one more than there are calls: none was missed


@pytest.mark.parametrize(
    ("setting", "seconds"), [("5", 0.2), ("1000", 0.2), ("0.5", 2.0), (None, 0.2)]
)
def test_the_pace_is_five_a_second_at_most(
    run_main: RunMain, clock: FakeClock, setting: str | None, seconds: float
) -> None:
    settings = {"HUBSPOT_REQUESTS_PER_SECOND": setting} if setting else {}
    with make(clock) as sandbox:
        assert run_main(create_contact.main, sandbox, *WORDS, **settings).code == 0
        assert len(sandbox.requests) == 7
        assert min(gaps(sandbox)) >= seconds
        *pace, last = gaps(sandbox)  # before the last one it waits for HubSpot's own associations
        assert max(pace) < seconds * 1.1
        assert 2.0 <= last < 2.2 + seconds


def test_a_broken_connection_does_not_slow_the_pace(run_main: RunMain, clock: FakeClock) -> None:
    with make(clock) as sandbox:
        sandbox.faults = [Fault("reset_before", path="contacts/search", times=1)]
        assert run_main(create_contact.main, sandbox, *WORDS).code == 0
        assert len(sandbox.requests) == 8
        assert max(gaps(sandbox)[2:6]) < 0.2 * 1.1


# Without changing anything


def test_a_dry_run_says_what_would_be_created(run_main: RunMain, clock: FakeClock) -> None:
    with make(clock) as sandbox:
        outcome = run_main(create_contact.main, sandbox, *WORDS, "--dry-run")
        assert sandbox.writes == []
        assert {request.method for request in sandbox.requests} == {"GET", "POST"}
    assert outcome.out.splitlines() == [
        "Company would be created: Sample Shop, shop.example",
        "Contact would be created: Ann Lee, ann.lee@mail.example",
        "Association would be created: the contact with the company",
        "Dry run: company, contact, association would be created.",
    ]
    assert (outcome.code, outcome.report["outcome"], outcome.report["mode"]) == (
        0,
        "planned",
        "dry-run",
    )
    assert outcome.report["steps"][0] == {
        "step": "company",
        "status": "planned",
        "name": "Sample Shop, shop.example",
        "id": None,
        "link": None,
    }
    assert list(Path(os.environ["HOME"]).iterdir()) == []


@pytest.mark.parametrize(
    ("half", "wanted"),
    [
        ("company", ["found", "planned", "planned"]),
        ("contact", ["planned", "found", "planned"]),
        ("both", ["found", "found", "planned"]),
        ("all", ["found", "found", "found"]),
    ],
)
def test_a_dry_run_finds_what_is_there(
    run_main: RunMain, clock: FakeClock, half: str, wanted: list[str]
) -> None:
    with make(clock, **HALVES[half][0]) as sandbox:
        outcome = run_main(create_contact.main, sandbox, *WORDS, "--dry-run")
        assert sandbox.writes == []
    assert statuses(outcome) == wanted
    assert outcome.report["outcome"] == ("planned" if "planned" in wanted else "in_sync")
    assert outcome.code == 0


def test_check_lists_what_is_in_place(run_main: RunMain, clock: FakeClock, tmp_path: Path) -> None:
    state = Path.home() / ".local" / "state" / "crm-sync"
    with make(clock) as sandbox:
        outcome = run_main(create_contact.main, sandbox, *WORDS, "--check")
        assert sandbox.writes == []
        assert len(sandbox.requests) == 3
    assert re.sub(r"-[0-9a-f]{16}", "-HASH", outcome.out).splitlines() == [
        "OK   HubSpot knows the key: account 12345 on app.hubspot.com.",
        "OK   HubSpot lets the key read companies.",
        "OK   HubSpot lets the key read contacts. Whether it may write, only a run can show: it"
        " needs crm.objects.companies.write and crm.objects.contacts.write.",
        f"OK   What runs leave for later ones goes to {state}.",
        "OK   There is no memory of earlier runs yet: the first makes"
        f" {state / 'contact-HASH.sqlite3'}.",
        "OK   No other run is active.",
        f"OK   The report goes to {tmp_path / 'report.json'}.",
        "Ready.",
    ]
    assert outcome.code == 0


def test_check_finds_all_missing_rights_together(run_main: RunMain, clock: FakeClock) -> None:
    with make(clock) as sandbox:
        sandbox.hubspot.scopes.clear()
        outcome = run_main(create_contact.main, sandbox, "--check")
    assert outcome.code == 1
    lines = [line[:3] for line in outcome.out.splitlines()]
    assert lines[:3] == ["OK ", "FIX", "FIX"]
    assert "crm.objects.companies.read" in outcome.out
    assert "crm.objects.contacts.read" in outcome.out


def test_missing_settings(run_main: RunMain) -> None:
    outcome = run_main(create_contact.main, None)
    assert outcome.code == 2
    assert "HUBSPOT_ACCESS_TOKEN is missing" in outcome.err
    assert "PREDICTLEADS" not in outcome.err


# Around the work


def test_quiet_says_nothing_when_nothing_changes(run_main: RunMain, clock: FakeClock) -> None:
    with make(clock) as sandbox:
        assert (
            "Contact created: Ann Lee" in run_main(create_contact.main, sandbox, *WORDS, "-q").out
        )
        assert run_main(create_contact.main, sandbox, *WORDS, "-q").text == ""


def test_the_log_of_the_requests_has_no_address(run_main: RunMain, clock: FakeClock) -> None:
    with make(clock) as sandbox:
        err = run_main(create_contact.main, sandbox, *WORDS, "-v").err
        paths = [request.path for request in sandbox.requests]
    assert "HubSpot, create the contact: POST /crm/v3/objects/contacts -> 201" in err
    assert "mail.example" not in err
    assert not [path for path in paths if "@" in path or "%40" in path]


def test_a_name_cannot_play_with_the_terminal(run_main: RunMain, clock: FakeClock) -> None:
    company = {**A_COMPANY, "name": f"\x1b[31mShop\n{'x' * 100}"}
    contact = {**A_CONTACT, "firstname": "\x1b]0;title\x07"}
    with make(clock, (company,), (contact,)) as sandbox:
        outcome = run_main(create_contact.main, sandbox, *WORDS)
    assert "\x1b" not in outcome.text
    assert re.search(r"found: \\x1b\[31mShop x{1,60}…, shop\.example, id 7,", outcome.out)


@pytest.mark.parametrize("path", ["details$", "companies/search$", "contacts/search$"])
def test_a_stop_before_the_first_write(run_main: RunMain, clock: FakeClock, path: str) -> None:
    with make(clock) as sandbox:
        sandbox.on_request = stop_at(clock, lambda call: bool(re.search(path, call.path)))
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert sandbox.writes == []
    assert (outcome.code, outcome.report["outcome"]) == (130, "interrupted")
    assert outcome.err.endswith("Nothing has been changed.\n")


@pytest.mark.parametrize("path", WRITES)
@pytest.mark.parametrize("lag_s", [0.0, 20.0])
def test_a_stop_lets_the_write_under_way_finish_and_the_next_run_goes_on(
    run_main: RunMain, clock: FakeClock, path: str, lag_s: float
) -> None:
    with make(clock, index_lag_s=lag_s) as sandbox:
        sandbox.on_request = stop_at(clock, lambda call: bool(re.search(path, call.path)))
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert len(sandbox.writes) == WRITES.index(path) + 1
        assert (outcome.code, outcome.report["outcome"]) == (130, "interrupted")
        assert len(statuses(outcome)) == min(len(sandbox.writes), 2)
        assert "Done in part: the next run goes on from here." in outcome.out
        assert "Nothing has been changed" not in outcome.err
        sandbox.on_request = None
        later = FakeClock()
        later.now = clock.now
        assert run_main(create_contact.main, sandbox, *WORDS, clock=later).code == 0
        assert state(sandbox) == COMPLETE


def test_one_run_at_a_time(run_main: RunMain, clock: FakeClock) -> None:
    with make(clock) as sandbox:
        settings = sandbox.settings
        account = f"{settings['HUBSPOT_BASE_URL']} {settings['HUBSPOT_ACCESS_TOKEN']}"
        with run_lock("contact", account, clock):
            outcome = run_main(create_contact.main, sandbox, *WORDS)
            assert (outcome.code, sandbox.requests) == (5, [])
            assert run_main(create_contact.main, sandbox, *WORDS, "--dry-run").code == 0


def test_the_csv_report(run_main: RunMain, clock: FakeClock, tmp_path: Path) -> None:
    path = tmp_path / "contact.csv"
    with make(clock) as sandbox:
        run_main(create_contact.main, sandbox, *WORDS, "--report", str(path))
    rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
    assert [(row["step"], row["status"], row["id"]) for row in rows] == [
        ("company", "created", str(FIRST_ID)),
        ("contact", "created", str(FIRST_ID + 1)),
        ("association", "associated", str(FIRST_ID + 1)),
    ]
    assert rows[0]["link"] == f"{LINK}/0-2/{FIRST_ID}"


def test_the_report_as_a_page(run_main: RunMain, clock: FakeClock, tmp_path: Path) -> None:
    path = tmp_path / "contact.html"
    with make(clock, auto_associate=True) as sandbox:
        run_main(create_contact.main, sandbox, *WORDS, "--report", str(path))
    text = path.read_text(encoding="utf-8")
    assert f'href="{LINK}/0-2/{FIRST_ID}"' in text
    assert f'href="{LINK}/0-1/{FIRST_ID + 1}"' in text
    assert "Create and associate companies with contacts" in text
    assert "Done: HubSpot lists the company with the contact." in text


@pytest.mark.no_cover
def test_the_command_of_the_sandbox() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "sandbox", "create_contact.py", *WORDS],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (0, 2), done.stderr
    assert "Company created: Sample Shop" in done.stdout
    assert done.stdout.endswith("Done: HubSpot lists the company with the contact.\n")


# The answers that a run reads


def client(sandbox: Sandbox, clock: FakeClock) -> HubSpotClient:
    settings = SettingsReader(sandbox.settings, "test").load(hubspot_settings)
    return HubSpotClient(settings, clock, dry_run=False)


def test_companies_of_a_contact_come_in_pages(clock: FakeClock) -> None:
    def page(number: int) -> Callable[[Any], Any]:
        following = {"next": {"after": str(number + 1)}} if number < 3 else None
        return lambda _: {"results": [{"toObjectId": number}], "paging": following}

    with make(clock, contacts=(A_CONTACT,)) as sandbox:
        sandbox.faults = [Fault("edit", path=ASSOCIATED, nth=n, edit=page(n)) for n in (1, 2, 3)]
        assert client(sandbox, clock).companies_of_contact(8) == [1, 2, 3]
        assert [request.query for request in sandbox.requests] == [
            {},
            {"after": "2"},
            {"after": "3"},
        ]


def test_more_companies_than_fit_into_one_batch(clock: FakeClock) -> None:
    companies = tuple({"id": key, "domain": "shop.example"} for key in range(1, 251))
    with make(clock, companies) as sandbox:
        found = client(sandbox, clock).companies_by_id([*range(1, 251), 999])
        assert {company.id for company in found} == set(range(1, 251))
        assert [len(request.json()["inputs"]) for request in sandbox.requests] == [100, 100, 51]


NONSENSE: dict[str, tuple[str, Any, str]] = {
    "no results": (ASSOCIATED, {}, "results is missing"),
    "no id": (ASSOCIATED, {"results": [{}]}, "toObjectId is missing"),
    "an id that is none": (ASSOCIATED, {"results": [{"toObjectId": "x"}]}, "the id of a record"),
    "a cursor that is none": (
        ASSOCIATED,
        {"results": [], "paging": {"next": {"after": 1}}},
        "the cursor to the next page is no text",
    ),
    "one cursor for ever": (
        ASSOCIATED,
        {"results": [], "paging": {"next": {"after": "1"}}},
        "its cursor 1 comes twice",
    ),
    "contacts without results": ("contacts/search", {"results": None}, "results is no list"),
    "contacts without an id": ("contacts/search", {"results": [{}]}, "id is missing"),
    "companies without results": ("companies/batch/read", {}, "results is missing"),
}


@pytest.mark.parametrize(("path", "answer", "words"), NONSENSE.values(), ids=NONSENSE.keys())
def test_an_answer_that_makes_no_sense_changes_nothing(
    run_main: RunMain, clock: FakeClock, path: str, answer: Any, words: str
) -> None:
    with make(clock, (A_COMPANY,), (A_CONTACT,), (7,)) as sandbox:
        sandbox.hubspot.stale = {7: None}
        sandbox.faults = [Fault("edit", path=path, edit=lambda _: answer)]
        outcome = run_main(create_contact.main, sandbox, *WORDS)
        assert sandbox.writes == []
    assert outcome.code == 1
    assert words in outcome.err
    assert "Traceback" not in outcome.text
