"""The contact job from end to end: the script, real sockets, and what HubSpot holds afterwards."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from pathlib import Path
from typing import Any, Sequence

import pytest

from hubspot_client import KEYS_PAGE
from sandbox import Fault, Sandbox
from tests import contacts
from tests.contacts import (
    A_COMPANY,
    A_CONTACT,
    ANN,
    ASSOCIATE,
    ASSOCIATED,
    COMPLETE,
    CREATE_COMPANY,
    CREATE_CONTACT,
    FIRST_ID,
    SHOP,
    WORDS,
    WRITES,
    Job,
    Record,
    state,
)
from tests.helpers import Ended, FakeClock, stop_at

job = contacts.job

LINK = "https://app.hubspot.com/contacts/12345/record"
SETTING = 'HubSpot\'s setting "Create and associate companies with contacts" is on'


def gaps(sandbox: Sandbox) -> list[float]:
    times = [request.at for request in sandbox.requests]
    return [later - earlier for earlier, later in zip(times, times[1:])]


def statuses(outcome: Ended) -> list[str]:
    return [step["status"] for step in outcome.report["steps"]]


# Created, found, finished


def test_a_fresh_account(job: Job) -> None:
    person = {"email": "ann.lee@mail.example", "firstname": "Ann", "lastname": "Lee"}
    with job.make() as sandbox:
        outcome = job.run(sandbox)
        assert state(sandbox) == COMPLETE
        assert sandbox.hubspot.companies == {
            FIRST_ID: {"name": "Sample Shop", "domain": "shop.example"}
        }
        assert sandbox.hubspot.contacts == {FIRST_ID + 1: person}
        associations = f"/crm/v4/objects/contact/{FIRST_ID + 1}/associations"
        assert [f"{request.method} {request.path}" for request in sandbox.requests] == [
            "GET /account-info/v3/details",
            "POST /crm/v3/objects/contacts/search",
            "POST /crm/v3/objects/companies/search",
            "POST /crm/v3/objects/companies",
            "POST /crm/v3/objects/contacts",
            f"PUT {associations}/default/company/{FIRST_ID}",
            f"GET {associations}/company",
        ]
    company_link, contact_link = f"{LINK}/0-2/{FIRST_ID}", f"{LINK}/0-1/{FIRST_ID + 1}"
    linked = f"the contact with the company {FIRST_ID}"
    assert outcome.out.splitlines() == [
        f"Company created: Sample Shop, shop.example, id {FIRST_ID}, {company_link}",
        f"Contact created: Ann Lee, ann.lee@mail.example, id {FIRST_ID + 1}, {contact_link}",
        f"Association created: {linked}, {contact_link}",
        "Done: the contact is associated with the company in HubSpot.",
    ]
    assert outcome.err.endswith("  HubSpot is account 12345 on app.hubspot.com.\n")
    report = outcome.report
    assert (outcome.code, report["outcome"], report["exit_code"]) == (0, "synced", 0)
    assert (report["job"], report["mode"], report["error"]) == ("contact", "apply", None)
    assert report["counts"] == {"found": 0, "created": 2, "associated": 1, "planned": 0}
    names = ("step", "status", "name", "id", "link")
    assert [tuple(map(step.get, names)) for step in report["steps"]] == [
        ("company", "created", "Sample Shop, shop.example", FIRST_ID, company_link),
        ("contact", "created", "Ann Lee, ann.lee@mail.example", FIRST_ID + 1, contact_link),
        ("association", "associated", linked, FIRST_ID + 1, contact_link),
    ]
    assert report["warnings"] == []
    assert report["summary"] == ["Done: the contact is associated with the company in HubSpot."]
    assert report["requests"]["hubspot"] == {"calls": 7, "retries": 0, "waited_s": 0.0}


@pytest.mark.parametrize(("lag_s", "later_s"), [(0.0, 0), (20.0, 0), (20.0, 600)])
def test_a_second_run_creates_nothing(job: Job, lag_s: float, later_s: int) -> None:
    """Even while HubSpot's search does not show yet what the first one has created."""
    with job.make(index_lag_s=lag_s) as sandbox:
        assert job.run(sandbox).code == 0
        writes = len(sandbox.writes)
        job.clock.now += later_s
        dry = job.run(sandbox, "--dry-run")
        outcome = job.run(sandbox)
        assert state(sandbox) == COMPLETE
        assert len(sandbox.writes) == writes
        assert job.run(sandbox, "-q").text == ""
    assert (outcome.code, outcome.report["outcome"]) == (0, "in_sync")
    assert statuses(dry)[0] == "found"
    assert statuses(outcome) == ["found", "found", "found"]
    assert f"id {FIRST_ID}, {LINK}/0-2/{FIRST_ID}\n" in outcome.out
    assert f"id {FIRST_ID + 1}, {LINK}/0-1/{FIRST_ID + 1}\n" in outcome.out
    assert outcome.out.endswith("Nothing to do: company, contact and association already exist.\n")
    assert "searching for the company" not in outcome.err


ALSO = "old@b.example; Ann.Lee@mail.example"
BOTH: dict[str, Any] = {"companies": (A_COMPANY,), "contacts": (A_CONTACT,)}
ALL = {**BOTH, "associated": (7,)}
HALVES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "none": ({}, ["created", "created", "associated"]),
    "company": ({"companies": (A_COMPANY,)}, ["found", "created", "associated"]),
    "contact": ({"contacts": (A_CONTACT,)}, ["created", "found", "associated"]),
    "contact under an additional address": (
        {"contacts": ({**A_CONTACT, "email": "a@b.example", "hs_additional_emails": ALSO},)},
        ["created", "found", "associated"],
    ),
    "both": (BOTH, ["found", "found", "associated"]),
    "all": (ALL, ["found", "found", "found"]),
}


@pytest.mark.parametrize("to_object_id_as_text", [False, True])
@pytest.mark.parametrize(("given", "wanted"), HALVES.values(), ids=HALVES.keys())
def test_what_is_there_is_found_and_the_rest_is_created(
    job: Job, given: dict[str, Any], wanted: list[str], to_object_id_as_text: bool
) -> None:
    with job.make(**given) as sandbox:
        sandbox.hubspot.to_object_id_as_text = to_object_id_as_text
        dry = job.run(sandbox, "--dry-run")
        assert sandbox.writes == []
        assert {request.method for request in sandbox.requests} == {"GET", "POST"}
        assert list(Path(os.environ["HOME"]).iterdir()) == []
        outcome = job.run(sandbox)
        domains, emails, pairs = state(sandbox)
        assert (domains, len(emails), pairs) == (["shop.example"], 1, [[0, 0]])
        if "companies" in given:
            assert sandbox.hubspot.companies[7] == {"name": "Old Shop", "domain": "shop.example"}
            assert f"Company found: Old Shop, shop.example, id 7, {LINK}/0-2/7\n" in outcome.out
        if "contacts" in given:
            assert sandbox.hubspot.contacts[8]["lastname"] == "Old"
            assert f"Contact found: Ann Old, ann.lee@mail.example, id 8, {LINK}" in outcome.out
    is_there = set(wanted) == {"found"}
    assert (outcome.code, statuses(outcome)) == (0, wanted)
    assert outcome.report["outcome"] == ("in_sync" if is_there else "synced")
    assert statuses(dry) == [each if each == "found" else "planned" for each in wanted]
    assert (dry.code, dry.report["mode"]) == (0, "dry-run")
    assert dry.report["outcome"] == ("in_sync" if is_there else "planned")


def test_what_a_dry_run_says(job: Job) -> None:
    with job.make() as sandbox:
        outcome = job.run(sandbox, "--dry-run")
    assert outcome.out.splitlines() == [
        "Company would be created: Sample Shop, shop.example",
        "Contact would be created: Ann Lee, ann.lee@mail.example",
        "Association would be created: the contact with the company",
        "Dry run: would create the company, the contact and the association. Nothing was changed.",
    ]
    names = ("step", "status", "name", "id", "link")
    values = ("company", "planned", "Sample Shop, shop.example", None, None)
    assert outcome.report["steps"][0] == dict(zip(names, values))


STAYS = {
    CREATE_COMPANY: None,
    CREATE_CONTACT: f"company {FIRST_ID} was created and stays.",
    ASSOCIATE: f"company {FIRST_ID} and contact {FIRST_ID + 1} were created and stay.",
}


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize(("path", "stays"), STAYS.items())
@pytest.mark.parametrize("lag_s", [0.0, 20.0])
def test_a_run_that_broke_half_way_is_finished_by_the_next(
    job: Job, path: str, stays: str | None, status: int, lag_s: float
) -> None:
    """A 400 is a refusal, which says no to the same words for ever; a new key helps with a 401."""
    with job.make(index_lag_s=lag_s) as sandbox:
        sandbox.faults = [Fault("status", path=path, status=status, times=1)]
        broken = job.run(sandbox)
        assert broken.code == (4 if stays else 1)
        assert statuses(broken) == ["created"] * WRITES.index(path)
        words = "run it again to finish."
        if status == 400:
            words = (
                f"{stays} HubSpot would reject the same values again: correct them, or delete in"
            )
            words += " HubSpot what was created."
        assert broken.report["summary"] == ([f"Done in part: {words}"] if stays else [])
        assert ("Nothing was changed." in broken.err) is (not stays)
        assert broken.report["outcome"] == ("partial" if stays else "failed")
        assert str(status) in broken.report["error"]
        later = job.run(sandbox)
        assert (later.code, state(sandbox)) == (0, COMPLETE)
    assert status == 401 or "searching for the company" not in later.err  # it was never created


@pytest.mark.parametrize("domain", ["https://www.Shop.example/de?x=1", "shop.example"])
def test_a_company_that_the_search_hides_is_found_with_the_contact(job: Job, domain: str) -> None:
    with job.make(({**A_COMPANY, "domain": domain},), (A_CONTACT,), (7,)) as sandbox:
        sandbox.hubspot.stale = {7: None}
        outcome = job.run(sandbox)
        assert sandbox.writes == []
    assert outcome.report["outcome"] == "in_sync"
    assert "Company found: Old Shop, shop.example, id 7," in outcome.out


def test_the_contacts_other_companies_are_not_taken_for_the_wanted_one(job: Job) -> None:
    other = {"id": 9, "name": "Another Shop", "domain": "another.example"}
    with job.make((other,), (A_CONTACT,), (9,)) as sandbox:
        outcome = job.run(sandbox)
        assert set(sandbox.hubspot.associations[8]) == {9, FIRST_ID}
    assert statuses(outcome) == ["created", "found", "associated"]
    assert (outcome.code, len(outcome.report["warnings"])) == (0, 1)
    assert "also associated with Another Shop (another.example, id 9, " in outcome.err
    assert f"If nobody did that on purpose: {SETTING}" in outcome.err


SPELLINGS = [
    *("https://shop.example", "HTTP://www.Shop.example/", "shop.example/", "shop.example."),
    *("shop.example:443", "https://shop.example:8443/de?x=1", "www.shop.example/de/start"),
    *("  shop.example\n", "www.www.shop.example", "//shop.example", "other.example, shop.example"),
    "info@shop.example",
]
ADDITIONAL = ["shop.example", "a.example; shop.example;b.example", "https://www.shop.example/"]
MUENZE = "xn--mnze-0ra.example"


@pytest.mark.parametrize(
    ("domain", "additional", "asked"),
    [
        *((spelling, None, "shop.example") for spelling in SPELLINGS),
        *(("brand.example", spelling, "shop.example") for spelling in ADDITIONAL),
        ("https://www.Münze.example/", None, MUENZE),
    ],
)
def test_a_company_is_found_in_every_spelling(
    job: Job, domain: str, additional: str | None, asked: str
) -> None:
    company = {**A_COMPANY, "domain": domain, "hs_additional_domains": additional}
    with job.make((company,)) as sandbox:
        outcome = job.run(sandbox, "--company-domain", asked)
        assert set(sandbox.hubspot.companies) == {7}
        assert [list(each) for each in sandbox.hubspot.associations.values()] == [[7]]
    assert outcome.code == 0
    if asked != MUENZE:
        assert f"Company found: Old Shop, {asked}, id 7," in outcome.out


def test_of_several_companies_the_lowest_id_is_taken_its_own_domain_first(job: Job) -> None:
    own = {12: "shop.example", 7: "WWW.shop.example", 9: "shop.example", 3: "x.example"}
    own.update({2: "my-shop.example", 1: "shop.example.test"})
    companies: list[Record] = [{"id": key, "domain": domain} for key, domain in own.items()]
    companies.append({"id": 4, "domain": "b.example", "hs_additional_domains": "shop.example"})
    with job.make(companies, (A_CONTACT,), (12,)) as sandbox:
        outcome = job.run(sandbox)
        assert set(sandbox.hubspot.associations[8]) == {7, 12}
    assert "Company found: (no name), shop.example, id 7," in outcome.out
    warning = "HubSpot has other companies with the domain shop.example: 9, 12, 4."
    assert outcome.report["warnings"] == [warning]
    assert warning in outcome.err


def test_a_company_that_was_merged_is_found(job: Job) -> None:
    with job.make(({"id": 7, "domain": "brand.example"},)) as sandbox:
        job.run(sandbox)
        (made,) = set(sandbox.hubspot.companies) - {7}
        merged = sandbox.hubspot.merge("companies", 7, made)
        outcome = job.run(sandbox)
        assert set(sandbox.hubspot.companies) == {merged}
    assert outcome.report["outcome"] == "in_sync"


def test_a_company_that_has_moved_to_another_domain_is_not_taken(job: Job) -> None:
    """The index still has the domain that it had; 200 of them fill the first page."""
    moved = [{"id": key, "domain": "new.example"} for key in range(100, 300)]
    with job.make([*moved, {**A_COMPANY, "id": 500}]) as sandbox:
        sandbox.hubspot.stale = {key: {"domain": "shop.example"} for key in range(100, 300)}
        outcome = job.run(sandbox)
    assert outcome.report["steps"][0]["id"] == 500


# Who is meant

ZOE = {"FIRSTNAME": "Zoë", "LASTNAME": "  Groß "}
GIVEN = (*ANN[:2], *SHOP)
SAMPLE = {"name": "Coding Challenge Company GmbH", "domain": "coding-challenge-company.com"}


@pytest.mark.parametrize(
    ("flags", "settings", "contact"),
    [
        ((), {}, ("test.person@example.com", "Test", "Person")),
        (("-v", "--wait", "1"), ZOE, ("zoe.gross@example.com", "Zoë", "Groß")),
        ((), {"FIRSTNAME": "Zoë"}, ("zoe.person@example.com", "Zoë", "Person")),
        (GIVEN, ZOE, (ANN[1], "Zoë", "Groß")),
        (GIVEN, {"FIRSTNAME": "Zoë"}, (ANN[1], "Zoë", None)),
        (GIVEN, {}, (ANN[1], None, None)),
        ((*GIVEN, "--last-name", ""), ZOE, (ANN[1], "Zoë", None)),
        ((*GIVEN, "--first-name", " Bo \n Anna"), ZOE, (ANN[1], "Bo Anna", "Groß")),
    ],
)
def test_names_from_settings_and_from_flags_and_those_that_are_made_up(
    job: Job, flags: Sequence[str], settings: dict[str, str], contact: tuple[str | None, ...]
) -> None:
    """A person who is given has no name that is made up; one who is made up is announced."""
    is_sample = "--email" not in flags
    with job.make() as sandbox:
        outcome = job.run(sandbox, words=flags, **settings)
        (person,) = sandbox.hubspot.contacts.values()
        assert tuple(map(person.get, ("email", "firstname", "lastname"))) == contact
        (company,) = sandbox.hubspot.companies.values()
    assert outcome.code == 0
    assert company == (SAMPLE if is_sample else {"name": SHOP[1], "domain": SHOP[3]})
    assert is_sample is outcome.out.startswith(
        f"No person was given. This run uses the sample person {contact[0]}, in the"
        " account that HUBSPOT_ACCESS_TOKEN belongs to.\n"
    )


@pytest.mark.parametrize(
    "flags",
    [
        ("--email", "ann.lee"),
        ("--email", ""),
        ("--email", "a b@mail.example"),
        ("--company-domain", "n/a"),
        ("--company-domain", "info@shop.example"),
        *(("--company-domain", host) for host in ("gmail.com", "co.uk", "facebook.com/shop")),
        ("--company-domain", ""),
        *(("--wait", seconds) for seconds in ("-1", "1.5", "soon", "")),
    ],
)
def test_words_that_cannot_be_right_send_nothing(
    job: Job, capsys: pytest.CaptureFixture[str], flags: tuple[str, str]
) -> None:
    with job.make() as sandbox:
        with pytest.raises(SystemExit) as stop:
            job.run(sandbox, "=".join(flags))
        assert sandbox.requests == []
    assert stop.value.code == 2
    assert f"argument {flags[0]}: must be " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "missing"),
    [
        (ANN[:2], "--company-name and --company-domain"),
        (ANN, "--company-name and --company-domain"),
        ((*ANN, *SHOP[:2]), "--company-domain"),
        ((*ANN, *SHOP[2:]), "--company-name"),
        ((*WORDS, "--company-name", " "), "--company-name"),
        (SHOP, "--email"),
        (ANN[2:4], "--email and --company-name and --company-domain"),
        (("--last-name", ""), "--email and --company-name and --company-domain"),
    ],
)
@pytest.mark.parametrize("mode", [[], ["--dry-run"], ["--check"]])
def test_nobody_is_made_up_beside_what_is_given(
    job: Job, flags: Sequence[str], missing: str, mode: list[str]
) -> None:
    with job.make() as sandbox:
        outcome = job.run(sandbox, *mode, words=flags)
        assert sandbox.requests == []
    assert (outcome.code, outcome.report["outcome"]) == (2, "failed")
    assert f"Also give {missing}." in outcome.text
    text = outcome.out if "--check" in mode else outcome.err
    assert text.endswith(("Nothing was changed.\n", "1 thing to fix.\n"))


# HubSpot knows the record all the same

COMPANY_FOUND = f"Company found: shop.example, id 7, {LINK}/0-2/7\n"
CONTACT_FOUND = f"Contact found: ann.lee@mail.example, id 8, {LINK}/0-1/8\n"


@pytest.mark.parametrize(
    ("path", "status", "message", "line"),
    [
        (CREATE_CONTACT, 409, "Contact already exists. Existing ID: 8", CONTACT_FOUND),
        (CREATE_CONTACT, 400, f"Cannot set {'x' * 300}. 8 already has that value.", CONTACT_FOUND),
        (CREATE_COMPANY, 409, "Company already exists. Existing ID: 7", COMPANY_FOUND),
    ],
)
def test_what_the_search_hides_is_found_by_its_conflict(
    job: Job, path: str, status: int, message: str, line: str
) -> None:
    with job.make(**BOTH) as sandbox:
        hidden = "stale" if path == CREATE_COMPANY else "stale_contacts"
        setattr(sandbox.hubspot, hidden, {7: None, 8: None})
        sandbox.faults = [Fault("status", path=path, status=status, body={"message": message})]
        outcome = job.run(sandbox)
        assert state(sandbox) == (["shop.example"], ["Ann.Lee@mail.example"], [[0, 0]])
    assert statuses(outcome) == ["found", "found", "associated"]
    assert line in outcome.out
    assert (outcome.code, outcome.report["outcome"]) == (0, "synced")


def test_a_conflict_is_no_change(job: Job) -> None:
    with job.make(**BOTH) as sandbox:
        sandbox.hubspot.stale_contacts = {8: None}
        sandbox.faults = [Fault("status", path=ASSOCIATE, status=400)]
        outcome = job.run(sandbox)
        assert sandbox.writes == []
    assert outcome.code == 1
    assert outcome.err.endswith("Nothing was changed.\n")


def test_a_contact_that_has_another_address_by_now_is_not_taken(job: Job) -> None:
    with job.make((A_COMPANY,), ({**A_CONTACT, "email": "new@mail.example"},)) as sandbox:
        sandbox.hubspot.stale_contacts = {8: {"email": "ann.lee@mail.example"}}
        outcome = job.run(sandbox)
        assert set(sandbox.hubspot.associations) == {FIRST_ID}
    assert statuses(outcome) == ["found", "created", "associated"]


INVALID = {"isValid": False, "message": "Email address is invalid", "error": "INVALID_EMAIL"}


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (409, "Contact already exists"),
        (400, "Existing ID: 8"),
        (422, "8 already has that value"),
        (400, f"Property values were not valid: {json.dumps([INVALID])}"),
    ],
)
@pytest.mark.parametrize("companies", [(A_COMPANY,), ()])
def test_a_person_whom_hubspot_refuses_is_refused_again(
    job: Job, companies: Sequence[Record], status: int, message: str
) -> None:
    """The company that was created for the person is named; the next run finds it."""
    with job.make(companies) as sandbox:
        sandbox.faults = [
            Fault("status", path=CREATE_CONTACT, status=status, body={"message": message})
        ]
        outcomes = [job.run(sandbox), job.run(sandbox)]
        assert len(sandbox.writes) == 1 - len(companies)
    if not companies:
        first = outcomes.pop(0)
        assert (first.code, first.report["outcome"]) == (4, "partial")
        assert f"Done in part: company {FIRST_ID} was created and stays." in first.out
        assert "goes on" not in first.text
    for outcome in outcomes:
        assert f"HubSpot, create the contact: rejected. ({status} {message}" in outcome.err
        assert (outcome.code, statuses(outcome)) == (1, ["found"])
        assert outcome.err.endswith("Nothing was changed.\n")


# HubSpot makes companies by itself


@pytest.mark.parametrize(("status", "known"), [(200, "mail.example, "), (404, "")])
def test_a_company_that_hubspot_adds_is_named(job: Job, status: int, known: str) -> None:
    with job.make(auto_associate=True) as sandbox:
        if status == 404:
            sandbox.faults = [Fault("status", path="companies/batch/read", status=status)]
        outcome = job.run(sandbox)
        domains = [record["domain"] for record in sandbox.hubspot.companies.values()]
        assert domains == ["shop.example", "mail.example"]
        extra = FIRST_ID + 2
        assert set(sandbox.hubspot.associations[FIRST_ID + 1]) == {FIRST_ID, extra}
        again = job.run(sandbox, "-q")
        assert len(sandbox.writes) == 3
    warning = (
        f"The contact is also associated with (no name) ({known}id {extra},"
        f" {LINK}/0-2/{extra}). {SETTING} (HubSpot > Settings > Data Management > Objects >"
        " Companies). This run did not change that."
    )
    assert (outcome.code, outcome.report["outcome"]) == (0, "synced")
    assert outcome.report["warnings"] == [warning]
    assert warning in outcome.err
    assert (again.code, again.report["outcome"], again.out) == (0, "in_sync", "")
    assert f"If nobody did that on purpose: {SETTING}" in again.err


@pytest.mark.parametrize("late_s", [0.5, 1.5])
def test_an_association_that_comes_late_is_told(job: Job, late_s: float) -> None:
    """HubSpot's setting at work: a company of its own for a contact that is `late_s` old."""
    made_at: list[float] = []

    def add_late(_request: object) -> None:
        hubspot = sandbox.hubspot
        if hubspot.contacts and not made_at:
            made_at.append(job.clock.now)
        if made_at and job.clock.now >= made_at[0] + late_s and len(hubspot.companies) == 1:
            extra = hubspot.add("companies", {"domain": "mail.example"})
            hubspot.link(min(hubspot.contacts), extra)

    with job.make() as sandbox:
        sandbox.on_request = add_late
        outcome = job.run(sandbox)
        assert min(gaps(sandbox)) >= 0.2
    assert outcome.code == 0
    (warning,) = outcome.report["warnings"]
    assert "also associated with (no name) (mail.example, id " in warning


def test_nobody_waits_for_the_associations_of_a_contact_that_was_there(job: Job) -> None:
    with job.make(**BOTH) as sandbox:
        assert job.run(sandbox).report["outcome"] == "synced"
    assert max(job.clock.slept) < 1


def test_the_company_comes_first_so_that_hubspot_adds_none_of_the_same_domain(job: Job) -> None:
    with job.make(auto_associate=True) as sandbox:
        outcome = job.run(sandbox, "--email", "ann.lee@shop.example")
        assert state(sandbox) == (["shop.example"], ["ann.lee@shop.example"], [[0, 0]])
    assert outcome.report["warnings"] == []
    assert statuses(outcome) == ["created", "created", "associated"]


def test_an_association_that_hubspot_does_not_list_is_not_taken_for_done(job: Job) -> None:
    with job.make(**BOTH) as sandbox:
        sandbox.faults = [Fault("edit", path=ASSOCIATED, edit=lambda _: {"results": []})]
        outcome = job.run(sandbox)
    assert (outcome.code, outcome.report["outcome"]) == (4, "partial")
    assert "but does not show it. Run it again." in outcome.err


# Rights


@pytest.mark.parametrize("says_which", [True, False])
@pytest.mark.parametrize(
    ("scope", "path", "code"),
    [
        ("companies.write", CREATE_COMPANY, 1),
        ("contacts.write", CREATE_CONTACT, 4),
        ("companies.read", "companies/search", 1),
        ("contacts.read", "contacts/search", 1),
    ],
)
def test_a_missing_scope_is_named_and_the_next_run_goes_on(
    job: Job, scope: str, path: str, code: int, says_which: bool
) -> None:
    scope = f"crm.objects.{scope}"
    with job.make(index_lag_s=20.0) as sandbox:
        if says_which:
            sandbox.hubspot.scopes.discard(scope)
        else:
            sandbox.faults = [Fault("status", path=path, status=403)]
        outcome = job.run(sandbox)
        assert len(sandbox.writes) == (code == 4)
        sandbox.faults = []
        sandbox.hubspot.scopes.add(scope)
        assert job.run(sandbox).code == 0
        assert state(sandbox) == COMPLETE
    assert outcome.code == code
    assert outcome.err.count(f"the scope {scope}") == says_which
    assert (f" to the key in {KEYS_PAGE}." in outcome.err) is says_which
    assert "403" in outcome.err
    assert outcome.report["error"] in outcome.err


def test_a_wrong_key(job: Job) -> None:
    with job.make() as sandbox:
        outcome = job.run(sandbox, HUBSPOT_ACCESS_TOKEN="pat-of-nobody")
        assert sandbox.writes == []
    assert outcome.code == 1
    assert "Check HUBSPOT_ACCESS_TOKEN" in outcome.err
    assert "pat-of-nobody" not in outcome.text + str(outcome.report)


@pytest.mark.parametrize("status", [403, 404])
def test_without_the_account_there_are_no_links(job: Job, status: int) -> None:
    with job.make() as sandbox:
        sandbox.faults = [Fault("status", path="account-info", status=status)]
        outcome = job.run(sandbox)
        assert state(sandbox) == COMPLETE
    assert f"Company created: Sample Shop, shop.example, id {FIRST_ID}\n" in outcome.out
    assert {step["link"] for step in outcome.report["steps"]} == {None}


# Pace


@pytest.mark.parametrize("found", [False, True])
def test_a_429_on_every_call_in_turn(job: Job, tmp_path: Path, found: bool) -> None:
    for nth in range(1, 20):
        clock = FakeClock()
        memory = {"XDG_STATE_HOME": str(tmp_path / str(nth))}  # a port may come back
        with job._replace(clock=clock).make(**ALL if found else {}) as sandbox:
            sandbox.faults = [Fault("status", status=429, nth=nth)]
            outcome = job.run(sandbox, clock=clock, **memory)
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
@pytest.mark.parametrize("broken", [0, 1])
def test_the_pace_is_five_a_second_at_most(
    job: Job, setting: str | None, seconds: float, broken: int
) -> None:
    """A connection that breaks does not slow it."""
    settings = {"HUBSPOT_REQUESTS_PER_SECOND": setting} if setting else {}
    with job.make() as sandbox:
        sandbox.faults = [Fault("reset_before", path="contacts/search", times=broken)]
        assert job.run(sandbox, **settings).code == 0
        assert len(sandbox.requests) == 7 + broken
        assert min(gaps(sandbox)) >= seconds
        *pace, last = gaps(sandbox)  # before the last one it waits for HubSpot's own associations
        assert max(pace[2 * broken :]) < seconds * 1.1
        assert 2.0 <= last < 2.2 + seconds


def test_a_run_that_waited_for_another_one_keeps_the_pace(job: Job) -> None:
    with job.make() as sandbox:
        for _ in range(2):  # on this clock the second begins at the moment of the last call
            assert job.run(sandbox).code == 0
        assert min(gaps(sandbox)) >= 0.2


# Around the work


def test_check_lists_what_is_in_place(job: Job, tmp_path: Path) -> None:
    folder = Path.home() / ".local" / "state" / "crm-sync"
    with job.make() as sandbox:
        outcome = job.run(sandbox, "--check")
        assert sandbox.writes == []
        assert len(sandbox.requests) == 3
    assert re.sub(r"-[0-9a-f]{16}", "-HASH", outcome.out).splitlines() == [
        "OK   HubSpot accepts the key: account 12345 on app.hubspot.com.",
        "OK   HubSpot lets the key read companies.",
        "OK   HubSpot lets the key read contacts. Only a real run can show whether it may write:"
        " that needs crm.objects.companies.write and crm.objects.contacts.write.",
        "OK   Settings come from the environment alone.",
        f"OK   The run history is kept in {folder}.",
        f"OK   No run history yet; the first run creates {folder / 'contact-HASH.sqlite3'}.",
        "OK   No other run is active.",
        f"OK   Reports are written to {tmp_path / 'report.json'}.",
        "Ready.",
    ]
    assert outcome.code == 0


def test_check_finds_all_missing_rights_together(job: Job) -> None:
    with job.make() as sandbox:
        sandbox.hubspot.scopes.clear()
        outcome = job.run(sandbox, "--check", words=())
    assert outcome.code == 1
    assert [line[:3] for line in outcome.out.splitlines()][:4] == ["No ", "OK ", "FIX", "FIX"]
    assert "crm.objects.companies.read" in outcome.out
    assert "crm.objects.contacts.read" in outcome.out


def test_the_log_of_the_requests_has_no_address(job: Job) -> None:
    with job.make() as sandbox:
        err = job.run(sandbox, "-v").err
        paths = [request.path for request in sandbox.requests]
    assert "HubSpot, create the contact: POST /crm/v3/objects/contacts -> 201" in err
    assert "mail.example" not in err
    assert not [path for path in paths if "@" in path or "%40" in path]


def test_a_name_cannot_play_with_the_terminal(job: Job) -> None:
    company = {**A_COMPANY, "name": f"\x1b[31mShop\n{'x' * 100}"}
    contact = {**A_CONTACT, "firstname": "\x1b]0;title\x07"}
    with job.make((company,), (contact,)) as sandbox:
        outcome = job.run(sandbox)
    assert "\x1b" not in outcome.text
    assert re.search(r"found: \\x1b\[31mShop x{1,60}…, shop\.example, id 7,", outcome.out)


@pytest.mark.parametrize("path", ["details$", "companies/search$", "contacts/search$"])
def test_a_stop_before_the_first_write(job: Job, path: str) -> None:
    with job.make() as sandbox:
        sandbox.on_request = stop_at(job.clock, lambda call: bool(re.search(path, call.path)))
        outcome = job.run(sandbox)
        assert sandbox.writes == []
    assert (outcome.code, outcome.report["outcome"]) == (130, "interrupted")
    assert outcome.err.endswith("Nothing was changed.\n")


@pytest.mark.parametrize("path", WRITES)
@pytest.mark.parametrize("lag_s", [0.0, 20.0])
def test_a_stop_lets_the_write_under_way_finish(job: Job, path: str, lag_s: float) -> None:
    with job.make(index_lag_s=lag_s) as sandbox:
        sandbox.on_request = stop_at(job.clock, lambda call: bool(re.search(path, call.path)))
        outcome = job.run(sandbox)
        assert len(sandbox.writes) == WRITES.index(path) + 1
        assert (outcome.code, outcome.report["outcome"]) == (130, "interrupted")
        assert len(statuses(outcome)) == min(len(sandbox.writes), 2)
        assert "Done in part: run it again to finish." in outcome.out
        assert "Nothing was changed" not in outcome.err
        sandbox.on_request = None
        later = FakeClock()
        later.now = job.clock.now
        assert job.run(sandbox, clock=later).code == 0
        assert state(sandbox) == COMPLETE


def test_reports_as_a_table_and_as_a_page(job: Job, tmp_path: Path) -> None:
    table, page = tmp_path / "contact.csv", tmp_path / "contact.html"
    with job.make((A_COMPANY,), auto_associate=True) as sandbox:
        outcome = job.run(sandbox, "-q", "--report", str(table), "--report", str(page))
    assert "Contact created: Ann Lee" in outcome.out
    rows = list(csv.DictReader(table.read_text(encoding="utf-8-sig").splitlines()))
    assert [(row["step"], row["status"], row["id"]) for row in rows] == [
        ("company", "found", "7"),
        ("contact", "created", str(FIRST_ID)),
        ("association", "associated", str(FIRST_ID)),
    ]
    assert rows[0]["link"] == f"{LINK}/0-2/7"
    text = page.read_text(encoding="utf-8")
    called = (
        "The company with the domain shop.example is called Old Shop in HubSpot, not Sample Shop"
    )
    assert called in outcome.err
    assert called in outcome.report["warnings"][0]
    for words in (
        f'href="{LINK}/0-2/7"',
        f'href="{LINK}/0-1/{FIRST_ID}"',
        "Old Shop, shop.example",
        "Ann Lee, ann.lee@mail.example",
        called,
        "Create and associate companies with contacts",
        "Done: the contact is associated with the company in HubSpot.",
    ):
        assert words in text


# The answers that a run reads


def test_companies_of_a_contact_come_in_pages_and_in_batches(job: Job) -> None:
    others: list[Record] = [{"id": key, "domain": "x.example"} for key in range(100, 350)]
    pages = [list(range(100, 200)), list(range(200, 350)), [7]]

    def page(number: int) -> Any:
        rows = [{"toObjectId": key} for key in pages[number]]
        following = {"next": {"after": str(number + 1)}} if number < 2 else None
        return lambda _: {"results": rows, "paging": following}

    with job.make([*others, A_COMPANY], (A_CONTACT,)) as sandbox:
        sandbox.hubspot.stale = {7: None}
        sandbox.faults = [Fault("edit", path=ASSOCIATED, nth=n + 1, edit=page(n)) for n in range(3)]
        outcome = job.run(sandbox)
        read = [each for each in sandbox.requests if each.path.endswith("/associations/company")]
        assert [each.query for each in read] == [{}, {"after": "1"}, {"after": "2"}]
        batches = [each.json() for each in sandbox.requests if each.path.endswith("batch/read")]
        assert sorted(len(each["inputs"]) for each in batches[:3]) == [51, 100, 100]
    assert (outcome.code, outcome.report["outcome"]) == (0, "in_sync")


NONSENSE: dict[str, tuple[str, Any, str]] = {
    "no id": (ASSOCIATED, {"results": [{}]}, "toObjectId is missing"),
    "an id that is none": (ASSOCIATED, {"results": [{"toObjectId": "x"}]}, "the id of a record"),
    "contacts without results": ("contacts/search", {"results": None}, "results is not a list"),
    "companies without results": ("companies/batch/read", {}, "results is missing"),
}


@pytest.mark.parametrize(("path", "answer", "words"), NONSENSE.values(), ids=NONSENSE.keys())
def test_an_answer_that_makes_no_sense(job: Job, path: str, answer: Any, words: str) -> None:
    with job.make(**ALL) as sandbox:
        sandbox.hubspot.stale = {7: None}
        sandbox.faults = [Fault("edit", path=path, edit=lambda _: answer)]
        outcome = job.run(sandbox)
        assert sandbox.writes == []
    assert outcome.code == 1
    assert words in outcome.err
    assert "Traceback" not in outcome.text


def test_a_person_from_standard_input(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("ann.lee@mail.example\nAnn\nLee\n"))
    words = ("--email", "-", "--first-name", "-", "--last-name", "-", *SHOP)
    with job.make() as sandbox:
        outcome = job.run(sandbox, words=words)
    assert outcome.code == 0
    assert "Contact created: Ann Lee, ann.lee@mail.example, " in outcome.out
