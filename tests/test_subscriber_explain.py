"""Why? What `sync_subscribers.py` tells of single people is what the next run then does."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import sync_subscribers
from core.addresses import canonical
from sandbox import Fault, Sandbox
from sandbox.hubspot import definition
from subscribers.decide import OLDER
from tests.helpers import Ended, FakeClock
from tests.people import AL, BO, JO, Row, contact, make, run, run_first, subscriber

LINK = "https://app.hubspot.com/contacts/12345/record/0-1/"
GROUPS = {"7": "Shops", "8": "News"}
COUNTRY = {"contacts": {"country": {**definition("enumeration", options=["de", "fr"])}}}
MIRROR = ["--mirror-group", "Shops"]
OUT = {"hs_email_optout": "true"}


def world(clock: FakeClock, contacts: Sequence[Row], people: Sequence[Row] = ()) -> Sandbox:
    return make(contacts, people, clock, {"properties": COUNTRY}, groups=GROUPS)


def explain(
    clock: FakeClock, sandbox: Sandbox, *emails: str, flags: Sequence[str] = (), **more: str
) -> Ended:
    asked = [text for email in emails for text in ("--explain", email)]
    return run(clock, sandbox, *asked, *flags, **more)


class Case(NamedTuple):
    contacts: list[Row]
    people: list[Row]
    next: str
    reason: str
    flags: Sequence[str] = ()
    settings: Mapping[str, str] = {}


ANSWERS: dict[str, Case] = {
    "new": Case([contact(JO)], [], "create", "they are in HubSpot but not in MailerLite"),
    "differs": Case(
        [contact(JO)], [subscriber(JO)], "update", "their values in HubSpot are different"
    ),
    "joins": Case([contact(JO, None)], [subscriber(JO)], "update", "they belong in Shops", MIRROR),
    "the same": Case([contact(JO, "Old")], [subscriber(JO)], "nothing", "MailerLite is up to date"),
    "nobody": Case([], [], "nothing", "no contact in HubSpot has this address"),
    "no contact": Case([], [subscriber(JO)], "nothing", "has this address"),
    "opted out": Case([contact(JO, **OUT)], [], "skip", "opted out in HubSpot"),
    "to decide": Case(
        [contact(JO, **OUT)], [subscriber(JO)], "skip", "but still subscribed in MailerLite"
    ),
    "to unsubscribe": Case(
        [contact(JO, **OUT)],
        [subscriber(JO)],
        "unsubscribe",
        "opted out in HubSpot",
        ["--unsubscribe-opted-out"],
    ),
    "to opt out": Case(
        [contact(JO)],
        [subscriber(JO, status="junk")],
        "opt_out",
        "marked as spam in MailerLite",
        ["--opt-out-unsubscribed"],
        {"HUBSPOT_SUBSCRIPTIONS": "Newsletter"},
    ),
    "left": Case(
        [contact(JO)], [subscriber(JO, status="unsubscribed")], "skip", "unsubscribed in MailerLite"
    ),
    "not meant": Case(
        [contact(JO, country="fr")],
        [],
        "nothing",
        "its country is Fr, and only De matches",
        settings={"CONTACT_FILTER": "country=de"},
    ),
    "leaves": Case(
        [contact(JO, country="fr")],
        [{**subscriber(JO), "groups": ["7"]}],
        "leave",
        "its country is Fr, and only De matches",
        MIRROR,
        {"CONTACT_FILTER": "country=de"},
    ),
}


@pytest.mark.parametrize("case", ANSWERS.values(), ids=ANSWERS.keys())
def test_each_answer(clock: FakeClock, case: Case) -> None:
    with world(clock, case.contacts, case.people) as sandbox:
        outcome = explain(clock, sandbox, " Jo@Mail.example", flags=case.flags, **case.settings)
        assert sandbox.writes == []
    (told,) = outcome.report["explain"]
    assert (outcome.code, told["email"], told["next"]) == (0, JO, case.next)
    assert case.reason in told["reason"]
    assert case.reason in outcome.out
    assert list(Path.home().iterdir()) == []


def test_all_that_is_told_of_a_person(clock: FakeClock) -> None:
    contacts = [contact(JO, "Old"), contact(AL)]
    with world(clock, contacts, [subscriber(JO)]) as sandbox:
        run_first(clock, sandbox, "--mirror-group", "Shops")
        sandbox.hubspot.edit("contacts", 101, firstname="Newer", country="fr")
        sandbox.mailerlite.delete(AL)
        sandbox.mailerlite.subscribers[JO]["groups"] = ["8"]
        clock.now += 86_400
        outcome = explain(clock, sandbox, JO, AL, flags=MIRROR)
    assert outcome.out.splitlines() == [
        JO,
        "  Next run: this person will be updated. Reason: their values in HubSpot are different.",
        "    name: Old -> Newer",
        "    country: (empty) -> Fr",
        "    joins Shops again, after somebody removed them from it",
        f"  HubSpot: contact 101, {LINK}101 has this address and is the one used. No opt-outs.",
        "  MailerLite has this person: active, with name Old, in News.",
        "  Earlier runs have created or updated this person in MailerLite.",
        "  Earlier runs: updated on 21 Nov 2026: joins 1 group.",
        "",
        AL,
        "  Next run: this person will be skipped. Reason: deleted in MailerLite.",
        f"  HubSpot: contact 102, {LINK}102 has this address and is the one used. No opt-outs.",
        "  MailerLite does not have this person.",
        "  Earlier runs have created or updated this person in MailerLite. Somebody has deleted"
        " them in MailerLite since.",
        "  Earlier runs: created on 21 Nov 2026: name, joins 1 group.",
        "",
    ]
    first, second = outcome.report["explain"]
    assert first["fields"] == [
        {"field": "name", "old": "Old", "new": "Newer"},
        {"field": "country", "old": None, "new": "Fr"},
    ]
    assert first["destination"][0]["groups"] == ["News"]
    assert [row["action"] for row in first["history"]] == ["update"]
    assert second["destination"] == []


def test_which_contact_counts(clock: FakeClock) -> None:
    """Nobody is written under an additional address, but what its contact objects to counts, also
    what one objects to that had the address."""
    contacts = [
        contact(JO, "Older", lastmodifieddate="2026-01-01T00:00:00Z", **OUT),
        contact(JO, "Newer", lastmodifieddate="2026-02-01T00:00:00Z"),
        contact(BO, "Other", hs_additional_emails=f"x@mail.example; {JO}", **OUT),
        contact("a.jo@mail.example", "Stranger", hs_additional_emails=f"a.{JO}"),
        contact(AL),
    ]
    with world(clock, contacts) as sandbox:
        run(clock, sandbox)
        sandbox.hubspot.edit("contacts", 105, email="al@new.example", hs_email_optout="true")
        outcome = explain(clock, sandbox, JO, AL)
        new = explain(clock, sandbox, "al@new.example").report["explain"][0]
    jo, al = outcome.report["explain"]
    also = f"has this address besides its own, {BO}; its opt-outs count for both"
    assert [(row["id"], row["how"], row["objections"]) for row in jo["hubspot"]] == [
        (
            101,
            "has this address; another contact with this address was updated later",
            ["opted out in HubSpot"],
        ),
        (103, also, ["opted out in HubSpot"]),
        (102, "has this address and is the one used, because it was updated last", []),
    ]
    assert (jo["next"], jo["reason"]) == ("skip", "opted out in HubSpot")
    (before,) = al["hubspot"]
    had = "had this address before and now has al@new.example; its opt-outs still count"
    assert (before["id"], before["how"]) == (105, had)
    assert al["reason"] == "opted out in HubSpot, but still subscribed in MailerLite"
    assert new["reason"] == "opted out in HubSpot"


def test_who_left_under_an_earlier_address(clock: FakeClock) -> None:
    with world(clock, [contact(JO), contact(BO)]) as sandbox:
        run(clock, sandbox)
        sandbox.mailerlite.subscribers[JO]["status"] = "unsubscribed"
        sandbox.hubspot.edit("contacts", 101, email=AL)
        outcome = explain(clock, sandbox, AL, BO)
    al, bo = outcome.report["explain"]
    assert (al["next"], al["reason"]) == (
        "skip",
        "unsubscribed in MailerLite under another address",
    )
    assert bo["next"] == "nothing"


def test_values_that_are_not_sent(clock: FakeClock) -> None:
    def keep(value: str) -> str | None:
        if value == "Nowhere":
            raise ValueError("no such place")
        return value[:5]

    fields = {"MAILERLITE_FIELDS": "firstname:name,city:city,company:size"}
    contacts = [contact(JO, "Johannes", city="Nowhere", company="many"), contact(AL, "New")]
    size = [{"key": "size", "type": "number"}]
    keeps = {"name": keep, "city": keep}
    account: dict[str, Any] = {"groups": GROUPS, "fields": size, "keep": keeps, "not_taken": [AL]}
    with make(contacts, [], clock, **account) as sandbox:
        fields["MAILERLITE_GROUPS"] = "News"
        run(clock, sandbox, **fields)
        outcome = explain(clock, sandbox, JO, AL, **fields)
    jo, al = outcome.report["explain"]
    assert (jo["next"], al["next"]) == ("nothing", "skip")
    assert jo["details"] == [
        "size: not sent, because the value in HubSpot does not fit the field",
        "name: not sent, because MailerLite stores it in another form",
        "city: rejected by MailerLite, will be retried on 28 Nov 2026",
    ]
    assert (al["fields"], al["details"]) == ([], [])
    assert al["reason"].endswith("; they will be retried on 28 Nov 2026")


def test_who_was_taken_out_of_a_group(clock: FakeClock) -> None:
    with world(clock, [contact(JO)]) as sandbox:
        run(clock, sandbox, MAILERLITE_GROUPS="News")
        sandbox.mailerlite.subscribers[JO]["groups"] = []
        outcome = explain(clock, sandbox, JO, MAILERLITE_GROUPS="News")
    assert "    is not added to News again, because somebody removed them from it\n" in outcome.out


def test_the_company_is_told(clock: FakeClock) -> None:
    companies = [{"name": "Shop", "domain": "shop.example"}]
    hubspot = {"companies": companies}
    with make([contact(JO), contact(AL)], [], clock, hubspot) as sandbox:
        (company,) = sandbox.hubspot.companies
        sandbox.hubspot.link(101, company)
        fields = {"MAILERLITE_FIELDS": "company.domain:company"}
        outcome = explain(clock, sandbox, JO, AL, **fields)
    jo, al = outcome.report["explain"]
    place = "https://app.hubspot.com/contacts/12345/record/0-2/"
    assert f" Its company is {company}, {place}{company}.\n" in outcome.out
    assert (jo["hubspot"][0]["company_id"], al["hubspot"][0]["company_id"]) == (company, None)
    assert jo["fields"] == [{"field": "company", "old": None, "new": "shop.example"}]


def test_in_the_list_or_not(clock: FakeClock) -> None:
    with world(clock, [contact(JO), contact(AL), contact(BO, country="de")]) as sandbox:
        sandbox.hubspot.add_list("Customers", "contacts", 102, 103)
        listed = explain(clock, sandbox, JO, AL, flags=["--list", "Customers"])
        meant = explain(clock, sandbox, BO, HUBSPOT_LIST="1", CONTACT_FILTER="country=de")
    assert " Out of scope: not in the list Customers.\n" in listed.out
    assert " In scope: in the list Customers.\n" in listed.out
    assert [row["next"] for row in listed.report["explain"]] == ["nothing", "create"]
    assert " In scope: in the list Customers and matching CONTACT_FILTER.\n" in meant.out


def test_a_word_that_is_no_address(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        sync_subscribers.main(["--explain", "shop.example"])
    assert ended.value.code == 2
    assert "must be an e-mail address, not 'shop.example'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "fault",
    [Fault("status", path="^/subscribers/", status=500), Fault("truncate", path="/search$")],
)
def test_a_service_that_fails(clock: FakeClock, fault: Fault) -> None:
    with world(clock, [contact(JO)]) as sandbox:
        sandbox.faults = [fault]
        assert explain(clock, sandbox, JO).code == 1


def test_one_person_is_not_looked_for_among_all(clock: FakeClock) -> None:
    everyone = [f"p{n}@mail.example" for n in range(500)]
    with world(clock, [*map(contact, everyone)], [*map(subscriber, everyone)]) as sandbox:
        explain(clock, sandbox, "p77@mail.example")
        paths = [each.path for each in sandbox.requests]
    assert paths.count("/crm/v3/objects/contacts") == paths.count("/subscribers") == 0
    assert len(paths) <= 9


# Explain and run


class Story(NamedTuple):
    """What a person is before the first run, and what becomes of the person after it."""

    status: str | None
    name: str
    contact: dict[str, str | None]
    is_contact: bool
    groups: tuple[str, ...]
    is_listed: bool
    domain: str
    change: str


CHANGES = (
    *("nothing", "name", "country", "address", "gone from HubSpot", "deleted", "second contact"),
    *("unsubscribed", "junk", "bounced", "active", "opted out", "bad address", "out of groups"),
    *("into groups", "new subscriber", "into the list", "old address back"),
)
ANOTHER_ADDRESS = ("address", "new subscriber", "old address back")
STORIES = st.builds(
    Story,
    st.sampled_from([None, "active", "active", "unconfirmed", "unsubscribed", "bounced", "junk"]),
    st.sampled_from(["Old", "New"]),
    st.fixed_dictionaries(
        {
            "hs_email_optout": st.sampled_from([None, None, None, "true"]),
            "hs_email_bad_address": st.sampled_from([None, None, None, "true"]),
            "country": st.sampled_from([None, "de", "fr"]),
        }
    ),
    st.sampled_from([True, True, True, False]),
    st.sampled_from([(), ("7",), ("7", "8")]),
    st.booleans(),
    st.sampled_from(["mail.example", "mail.example", "m\u00fcnze.example"]),
    st.sampled_from(CHANGES),
)
FLAGS = st.tuples(
    st.sampled_from([(), ("--unsubscribe-opted-out",)]),
    st.sampled_from([(), ("--opt-out-unsubscribed",)]),
    st.sampled_from([(), ("--mirror-group", "Shops")]),
    st.sampled_from([(), ("--list", "Customers")]),
    st.sampled_from([(), ("--fill-only",)]),
)
SETTINGS = st.tuples(
    st.sampled_from([{}, {"MAILERLITE_GROUPS": "News"}]),
    st.sampled_from([{}, {"CONTACT_FILTER": "country!=fr"}]),
)
NO_LIMITS = [
    *("--first-run", "--allow-empty", "--max-new", "999", "--max-unsubscribe", "100%"),
    *("--max-deleted", "100%", "--max-leave", "100%", "--max-opt-out", "100%"),
]


def people_of(stories: Sequence[Story], clock: FakeClock) -> Sandbox:
    contacts = [
        contact(f"p{n}@{each.domain}", each.name, id=n + 1, **each.contact)
        for n, each in enumerate(stories)
        if each.is_contact
    ]
    people = [
        {**subscriber(f"p{n}@{each.domain}", status=each.status), "groups": [*each.groups]}
        for n, each in enumerate(stories)
        if each.status
    ]
    sandbox = world(clock, contacts, people)
    listed = (n + 1 for n, each in enumerate(stories) if each.is_listed)
    sandbox.hubspot.add_list("Customers", "contacts", *listed)
    sandbox.hubspot.searches_per_second = sandbox.mailerlite.requests_per_minute = None
    return sandbox


def go_on(sandbox: Sandbox, stories: Sequence[Story]) -> Iterator[str]:
    """Let everybody's change happen; yields all addresses."""
    for n, (email, change) in enumerate(
        (f"p{n}@{s.domain}", s.change) for n, s in enumerate(stories)
    ):
        hubspot, there = sandbox.hubspot, sandbox.mailerlite.subscribers
        edits = {
            "name": {"firstname": "Newest"},
            "country": {"country": "fr"},
            "address": {"email": f"new.{email}"},
            "opted out": {"hs_email_optout": "true"},
            "bad address": {"hs_email_bad_address": "true"},
        }
        if change in edits and n + 1 in hubspot.contacts:
            hubspot.edit("contacts", n + 1, **edits[change])
        elif change == "gone from HubSpot" and n + 1 in hubspot.contacts:
            hubspot.archive("contacts", n + 1)
        elif change == "second contact":
            hubspot.add("contacts", {"email": email, "firstname": "Second", "country": "de"})
        elif change == "old address back":
            hubspot.add("contacts", {"email": f"new.{email}", "hs_additional_emails": email})
        elif change == "new subscriber":
            sandbox.mailerlite.add(f"new.{email}")
        elif change == "into the list":
            hubspot.lists[1].members.add(n + 1)
        elif email in there and change == "deleted":
            sandbox.mailerlite.delete(email)
        elif email in there and change in ("unsubscribed", "junk", "bounced", "active"):
            there[email]["status"] = change
        elif email in there and change in ("out of groups", "into groups"):
            there[email]["groups"] = ["7", "8"] if change == "into groups" else []
        yield from (email, *([f"new.{email}"] if change in ANOTHER_ADDRESS else []))


def done_to(report: dict[str, Any], email: str) -> str:
    """What a run did to a person, as `next` says it."""

    def is_in(key: str) -> bool:
        rows = (row for row in report[key] if row.get("reason") != OLDER)
        return any(canonical(row["email"]) == email for row in rows)

    refused = any(canonical(row["email"]) == email for row in report["waiting"] if not row["field"])
    changes = [key for key in ("create", "update", "unsubscribe", "opt_out", "leave") if is_in(key)]
    return [*changes, *(["skip"] if refused or is_in("skipped") else []), "nothing"][0]


NUMBERS = itertools.count()


@pytest.mark.no_cover
@settings(
    max_examples=14,
    deadline=None,
    phases=[Phase.generate],  # a world of 36 people takes too long to be made smaller
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(STORIES, min_size=36, max_size=36), FLAGS, SETTINGS)
def test_explain_and_run_never_disagree(
    clock: FakeClock,
    stories: list[Story],
    flags: Sequence[Sequence[str]],
    chosen: Sequence[dict[str, str]],
) -> None:
    wanted = {key: value for each in chosen for key, value in each.items()}
    state = ["--state", f"people-{next(NUMBERS)}.sqlite3"]
    told_flags = [*state, *NO_LIMITS, *itertools.chain.from_iterable(flags)]
    every = {
        "MAILERLITE_GROUPS": "",
        "CONTACT_FILTER": "",
        "HUBSPOT_SUBSCRIPTIONS": "Newsletter",
        "HUBSPOT_REQUESTS_PER_SECOND": "1000",
        "MAILERLITE_REQUESTS_PER_MINUTE": "60000",
        **wanted,
    }
    with people_of(stories, clock) as sandbox:
        run(clock, sandbox, *told_flags, **every)
        emails = [canonical(each) for each in go_on(sandbox, stories)]
        told = explain(clock, sandbox, *emails, flags=told_flags, **every)
        done = run(clock, sandbox, *told_flags, **every)
        after = {canonical(key): each for key, each in sandbox.mailerlite.subscribers.items()}
    assert (told.code, done.code) == (0, 0)
    rows = told.report["explain"]
    assert {row["email"]: row["next"] for row in rows} == {
        email: done_to(done.report, email) for email in emails
    }
    for row in rows:
        assert not row["fields"] or row["next"] in ("create", "update")
        for field in row["fields"]:
            assert after[row["email"]]["fields"][field["field"]] == field["new"]
    skipped = {(canonical(row["email"]), row["reason"]) for row in done.report["skipped"]}
    assert {(row["email"], row["reason"]) for row in rows if row["next"] == "skip"} <= skipped
