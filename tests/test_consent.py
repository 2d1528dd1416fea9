"""Nobody gets mail against their will: whatever they said, wherever, and whenever they said it."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from sandbox import Fault, Sandbox
from tests.helpers import FakeClock
from tests.people import (
    AL,
    BO,
    JO,
    NEWSLETTER,
    OFFERS,
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

FROM_NEWSLETTER = {f"hs_email_optout_{NEWSLETTER}": "true"}
FROM_OFFERS = {f"hs_email_optout_{OFFERS}": "true"}


# Opt-outs by subscription type


def test_an_opt_out_from_any_subscription_type_is_an_objection(clock: FakeClock) -> None:
    contacts = [contact(JO, **FROM_OFFERS), contact(AL, **FROM_NEWSLETTER), contact(BO)]
    with make(contacts, [subscriber(AL)], clock) as sandbox:
        outcome = run_first(clock, sandbox)
        assert statuses(sandbox) == {AL: "active", BO: "active"}
        assert fields(sandbox, AL) == {"name": "Old"}
        stopped = run(clock, sandbox, "--unsubscribe-opted-out")
        assert statuses(sandbox) == {AL: "unsubscribed", BO: "active"}
    assert reasons(outcome) == {
        JO: "opted out of Marketing Information in HubSpot",
        AL: "opted out of Newsletter in HubSpot, but still subscribed in MailerLite",
    }
    assert "Needs your attention (see --unsubscribe-opted-out):" in outcome.out
    (row,) = stopped.report["unsubscribe"]
    assert (row["email"], row["reason"]) == (AL, "opted out of Newsletter in HubSpot")


LABEL = "Opted out of email: Newsletter"


@pytest.mark.parametrize(
    ("label", "named"),
    [
        *((LABEL, each) for each in ("11", "newsletter", " Newsletter ,", LABEL)),
        ("Newsletter", "newsletter"),
    ],
)
def test_only_the_kinds_that_are_named_count(clock: FakeClock, label: str, named: str) -> None:
    contacts = [
        contact(JO, **FROM_OFFERS),
        contact(AL, **FROM_NEWSLETTER),
        contact(BO, hs_email_optout="true"),
    ]
    with make(contacts, [], clock) as sandbox:
        sandbox.hubspot.properties["contacts"]["hs_email_optout_11"]["label"] = label
        outcome = run(clock, sandbox, HUBSPOT_SUBSCRIPTIONS=named)
        assert statuses(sandbox) == {JO: "active"}
    assert reasons(outcome) == {
        AL: "opted out of Newsletter in HubSpot",
        BO: "opted out in HubSpot",
    }


def test_two_subscription_types_with_one_name(clock: FakeClock) -> None:
    with make([contact(JO)], [], clock) as sandbox:
        sandbox.hubspot.properties["contacts"]["hs_email_optout_12"]["label"] = LABEL
        outcome = run(clock, sandbox, HUBSPOT_SUBSCRIPTIONS="Newsletter")
    assert outcome.code == 2
    assert "Use the id in HUBSPOT_SUBSCRIPTIONS: 11 or 12." in outcome.err


def test_check_lists_the_subscription_types(clock: FakeClock) -> None:
    with make([], [], clock) as sandbox:
        every = run(clock, sandbox, "--check")
        one = run(clock, sandbox, "--check", HUBSPOT_SUBSCRIPTIONS="12")
    assert (
        "OK   People who opted out of any subscription type in HubSpot are skipped."
        " Subscription types: Newsletter (11), Marketing Information (12).\n"
    ) in every.out
    assert "OK   People who opted out of Marketing Information in HubSpot are skipped.\n" in one.out


def without(name: str) -> Callable[[Any], Any]:
    def edit(payload: Any) -> Any:
        for each in payload["results"]:
            each["properties"].pop(name, None)
        return payload

    return edit


@pytest.mark.parametrize("path", ["/objects/contacts$", "/contacts/batch/read$"])
@pytest.mark.parametrize(
    "name",
    [
        *("hs_email_optout", "hs_email_optout_12", "hs_email_bad_address"),
        *("hs_emailconfirmationstatus", "email"),
    ],
)
def test_an_answer_that_lacks_a_consent_property(clock: FakeClock, path: str, name: str) -> None:
    with make([contact(JO), contact(AL)], [subscriber(AL)], clock) as sandbox:
        sandbox.faults = [Fault("edit", "hubspot", path=path, edit=without(name))]
        outcome = run_first(clock, sandbox)
        assert list(people_written(sandbox)) == []
    assert outcome.code == (4 if "batch" in path else 1)
    assert name in outcome.err


def test_an_account_that_lacks_the_other_properties(clock: FakeClock) -> None:
    with make([contact(JO)], [], clock) as sandbox:
        for name in ("_bad_address", "_quarantined", "_hard_bounce_reason_enum"):
            del sandbox.hubspot.properties["contacts"][f"hs_email{name}"]
        del sandbox.hubspot.properties["contacts"]["hs_emailconfirmationstatus"]
        assert "double opt-in" not in run(clock, sandbox, "--check").out
        assert run(clock, sandbox).code == 0


def test_who_has_not_confirmed_in_hubspot_is_not_written(clock: FakeClock) -> None:
    contacts = [
        contact(JO, hs_emailconfirmationstatus="Confirmation Email Sent"),
        contact(AL, hs_emailconfirmationstatus="Confirmation Pending"),
        contact(BO, hs_emailconfirmationstatus="Confirmed"),
    ]
    with make(contacts, [subscriber(AL)], clock) as sandbox:
        check = run(clock, sandbox, "--check")
        outcome = run_first(clock, sandbox, "--unsubscribe-opted-out")
        assert statuses(sandbox) == {AL: "active", BO: "active"}
        assert fields(sandbox, AL) == {"name": "Old"}
    why = "has not confirmed the subscription in HubSpot"
    assert reasons(outcome) == {JO: why, AL: why}
    line = "OK   People who have not confirmed HubSpot's double opt-in are skipped.\n"
    assert line in check.out


# Addresses beside a contact's own


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "typed",
    [
        f"{JO}\u200b",
        f"{JO}.",
        f"mailto:{JO}?subject=Hi",
        f"Jo <{JO}>",
        f"{JO};{AL}",
        f"{AL}\u3001{JO}",
    ],
)
def test_an_opt_out_counts_for_each_address_in_an_unclean_one(clock: FakeClock, typed: str) -> None:
    contacts = [contact(typed, hs_email_optout="true"), contact(JO)]
    with make(contacts, [subscriber(JO), subscriber(BO)], clock) as sandbox:
        explained = run(clock, sandbox, "--explain", JO).report["explain"][0]
        shown = run_first(clock, sandbox)
        assert statuses(sandbox) == {JO: "active", BO: "active"}
        run(clock, sandbox, "--unsubscribe-opted-out")
        assert statuses(sandbox) == {JO: "unsubscribed", BO: "active"}
    still = "opted out in HubSpot, but still subscribed in MailerLite"
    assert reasons(shown) == {typed: "invalid e-mail address", JO: still}
    assert explained["reason"] == still


@pytest.mark.parametrize("is_merged", [False, True])
def test_who_has_left_under_an_additional_address(clock: FakeClock, is_merged: bool) -> None:
    one = contact(BO, hs_additional_emails=None if is_merged else f"x@mail.example; {JO}")
    with make([one, contact(JO), contact(AL)][: 3 if is_merged else 1], [], clock) as sandbox:
        sandbox.mailerlite.add(JO, status="unsubscribed")
        if is_merged:
            before_looks(sandbox, lambda: sandbox.hubspot.merge("contacts", 101, 102))
            run_first(clock, sandbox)
        outcome = run_first(clock, sandbox)
        assert BO not in statuses(sandbox)
    assert reasons(outcome) == {BO: "unsubscribed in MailerLite under another address"}


def test_an_opt_out_counts_for_additional_addresses(clock: FakeClock) -> None:
    with make([contact(JO), contact(BO)], [], clock) as sandbox:
        run(clock, sandbox)
        merged = sandbox.hubspot.merge("contacts", 102, 101)
        quiet = run(clock, sandbox)
        sandbox.hubspot.edit("contacts", merged, hs_email_optout="true")
        shown = run(clock, sandbox)
        assert statuses(sandbox) == {JO: "active", BO: "active"}
        run(clock, sandbox, "--unsubscribe-opted-out")
        assert statuses(sandbox) == {JO: "unsubscribed", BO: "unsubscribed"}
    assert quiet.report["leavers"] == shown.report["leavers"] == []
    still = "opted out in HubSpot, but still subscribed in MailerLite"
    assert reasons(shown) == {JO: still, BO: still}


@pytest.mark.parametrize("also", [{}, {"hs_additional_emails": BO}])
def test_who_is_unsubscribed_by_a_run_has_left_for_it(clock: FakeClock, also: Any) -> None:
    """Under the other address of a contact too, in the same run."""
    contacts = [contact(JO, hs_additional_emails=AL), contact(AL, hs_email_optout="true", **also)]
    people = [{**subscriber(each), "groups": ["7"]} for each in (JO, AL, *also.values())]
    with make(contacts, people, clock, groups={"7": "Shops"}) as sandbox:
        flags = ["--unsubscribe-opted-out", "--mirror-group", "Shops", "--max-leave", "9"]
        outcome = run_first(clock, sandbox, *flags, "--allow-empty")
        assert statuses(sandbox) == {
            JO: "active",
            **dict.fromkeys((AL, *also.values()), "unsubscribed"),
        }
        assert sandbox.mailerlite.subscribers[JO]["groups"] == []
        assert run(clock, sandbox, *flags).report["outcome"] == "in_sync"
    assert reasons(outcome) == {JO: "unsubscribed in MailerLite under another address"}
    assert emails(outcome.report["leave"]) == [JO]


def test_an_address_that_becomes_an_additional_one_after_the_plan(clock: FakeClock) -> None:
    with make([contact(BO)], [subscriber(JO, status="unsubscribed")], clock) as sandbox:
        added = {"hs_additional_emails": JO}
        before_looks(sandbox, lambda: sandbox.hubspot.edit("contacts", 101, **added))
        outcome = run_first(clock, sandbox)
        assert statuses(sandbox) == {JO: "unsubscribed"}
    assert reasons(outcome) == {BO: "unsubscribed in MailerLite under another address"}


# The lists are complete, or nothing is written


def many(number: int) -> list[str]:
    return [f"p{n:03d}@mail.example" for n in range(number)]


def emptied(payload: Any) -> Any:
    return {**payload, "data": []}


def cut_off(payload: Any) -> Any:
    return {**payload, "data": [], "meta": {**payload["meta"], "next_cursor": None}}


@pytest.mark.parametrize(("edit", "came"), [(emptied, 150), (cut_off, 100)])
@pytest.mark.parametrize("times", [1, 999])
def test_a_page_that_is_missing_makes_nobody_new(
    clock: FakeClock, edit: Callable[[Any], Any], came: int, times: int
) -> None:
    people = many(250)
    with make(
        [*map(contact, people)], [subscriber(each, "New") for each in people], clock
    ) as sandbox:
        sandbox.faults = [
            Fault(
                "edit",
                "mailerlite",
                "GET",
                "^/subscribers$",
                nth=8,
                times=times,
                edit=only_lists(edit),
            )
        ]
        outcome = run_first(clock, sandbox)
        assert list(people_written(sandbox)) == []
    if times == 1:
        assert (outcome.code, outcome.report["outcome"]) == (0, "in_sync")
        said = f"MailerLite counts 250 people, but returned {came}). Reading it again."
        assert said in outcome.err
    else:
        assert outcome.code == 1
        assert "Nothing was changed." in outcome.err


def only_lists(edit: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda payload: edit(payload) if payload.get("data") else payload


# Fresh before each write


def opt_out(sandbox: Sandbox, name: str = "hs_email_optout") -> None:
    sandbox.hubspot.edit("contacts", 101, **{name: "true"})


def set_status(sandbox: Sandbox, status: str) -> None:
    if JO not in sandbox.mailerlite.subscribers:
        sandbox.mailerlite.add(JO)
    sandbox.mailerlite.subscribers[JO]["status"] = status


CHANGES: dict[str, tuple[Callable[[Sandbox], object], str]] = {
    "opts out": (opt_out, "opted out in HubSpot"),
    "opts out of one kind": (
        lambda sandbox: opt_out(sandbox, "hs_email_optout_11"),
        "opted out of Newsletter in HubSpot",
    ),
    "bounces in HubSpot": (
        lambda sandbox: opt_out(sandbox, "hs_email_bad_address"),
        "bad address according to HubSpot",
    ),
    "unsubscribes": (
        lambda sandbox: set_status(sandbox, "unsubscribed"),
        "unsubscribed in MailerLite",
    ),
    "bounces": (lambda sandbox: set_status(sandbox, "bounced"), "bounced in MailerLite"),
    "complains": (lambda sandbox: set_status(sandbox, "junk"), "marked as spam in MailerLite"),
    "vanishes from HubSpot": (
        lambda sandbox: sandbox.hubspot.archive("contacts", 101),
        "no contact in HubSpot has this address",
    ),
    "is merged": (
        lambda sandbox: sandbox.hubspot.merge("contacts", 103, 101),
        "no contact in HubSpot has this address",
    ),
    "moves": (
        lambda sandbox: sandbox.hubspot.edit("contacts", 101, email="jo@new.example"),
        "the contact now has another address in HubSpot",
    ),
}


@pytest.mark.no_cover
@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_what_happens_after_the_plan_counts(clock: FakeClock, change: str, is_there: bool) -> None:
    happen, reason = CHANGES[change]
    people = [subscriber(JO)] if is_there else []
    with make([contact(JO), contact(AL), contact(None)], people, clock) as sandbox:
        before_looks(sandbox, lambda: happen(sandbox))
        outcome = run_first(clock, sandbox)
        assert JO not in [body["email"] for body in people_written(sandbox)]
        assert statuses(sandbox)[AL] == "active"
    still = ", but still subscribed in MailerLite"
    assert reasons(outcome)[JO].replace(still, "") == reason
    assert (outcome.code, outcome.report["outcome"]) == (0, "synced")
    assert emails(outcome.report["create"] + outcome.report["update"]) == [AL]


def test_nobody_who_was_deleted_after_the_plan_comes_back(clock: FakeClock) -> None:
    people = many(9)
    with make([*map(contact, people)], [*map(subscriber, people)], clock) as sandbox:
        before_looks(sandbox, lambda: [*map(sandbox.mailerlite.delete, people)])
        outcome = run_first(clock, sandbox)
        assert statuses(sandbox) == {}
        assert run(clock, sandbox, "--max-deleted", "9", "--first-run").code == 0
        assert statuses(sandbox) == {}
    assert set(reasons(outcome).values()) == {"deleted in MailerLite"}
    assert outcome.code == 0


def test_people_are_looked_at_right_before_their_round(clock: FakeClock) -> None:
    """120 people: three looks, each after the writes before it, at most 50 people in each."""
    people = many(120)
    with make([*map(contact, people)], [], clock) as sandbox:
        assert run(clock, sandbox).code == 0
        looks = [each for each in sandbox.requests if each.path == "/batch"]
        assert [len(each.json()["requests"]) for each in looks] == [50, 50, 20]
        assert {call["method"] for each in looks for call in each.json()["requests"]} == {"GET"}
        places = [sandbox.requests.index(each) for each in looks]
        writes = [
            n
            for n, each in enumerate(sandbox.requests)
            if each.path == "/subscribers" and each.method == "POST"
        ]
        before = [sum(write < place for write in writes) for place in places]
        assert before[0] == 0
        assert before[1] in range(30, 51)
        assert before[2] in range(80, 101)


def test_a_person_of_whom_nothing_is_said_is_left_for_the_next_run(clock: FakeClock) -> None:
    def lose_one(payload: Any) -> Any:
        payload["responses"][0] = {"code": 500, "body": {"message": "Server Error"}}
        return payload

    with make([contact(AL), contact(JO)], [], clock) as sandbox:
        sandbox.faults = [Fault("edit", path="/batch$", times=1, edit=lose_one)]
        outcome = run(clock, sandbox)
        assert statuses(sandbox) == {JO: "active"}
        assert outcome.code == 4
        assert run(clock, sandbox).code == 0
        assert statuses(sandbox) == {AL: "active", JO: "active"}
    assert "MailerLite did not return this person's status" in outcome.err


def test_an_unknown_address_of_the_api_says_nothing_of_people(clock: FakeClock) -> None:
    said = {"message": f"The route api/subscribers/{JO} could not be found."}
    batch = {"responses": [{"code": 404, "body": said}]}
    with make([contact(JO)], [], clock) as sandbox:
        sandbox.faults = [
            Fault("body", path="/batch$", body=batch),
            Fault("status", path=f"/subscribers/{JO}$", status=404, body=said),
        ]
        explained = run(clock, sandbox, "--explain", JO)
        outcome = run(clock, sandbox)
        assert statuses(sandbox) == {}
    for each in (explained, outcome):
        assert "The route ***@mail.example could not be found" in each.err
    assert (explained.code, outcome.code) == (1, 4)


def swap(payload: Any) -> Any:
    payload["responses"].reverse()
    return payload


def drop(payload: Any) -> Any:
    payload["responses"].pop()
    return payload


@pytest.mark.parametrize("edit", [swap, drop])
def test_answers_that_do_not_fit(clock: FakeClock, edit: Callable[[Any], Any]) -> None:
    people = [subscriber(JO), subscriber(AL, status="unconfirmed")]
    with make([contact(JO), contact(AL)], people, clock) as sandbox:
        sandbox.faults = [Fault("edit", path="/batch$", edit=edit)]
        outcome = run_first(clock, sandbox)
        assert list(people_written(sandbox)) == []
    assert outcome.code == 4
    assert "MailerLite, subscribers one by one: the answer cannot be used" in outcome.err


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize("status", ["unsubscribed", "bounced", "junk"])
def test_who_leaves_in_the_last_second(clock: FakeClock, status: str, is_there: bool) -> None:
    people = [subscriber(JO)] if is_there else []
    with make([contact(JO), contact(AL)], people, clock) as sandbox:
        before_writes(sandbox, lambda: set_status(sandbox, status))
        outcome = run_first(clock, sandbox)
        assert statuses(sandbox) == {JO: status, AL: "active"}
        assert fields(sandbox, JO) == ({"name": "Old"} if is_there else {})
    assert (outcome.code, outcome.report["outcome"]) == (0, "synced")
    assert list(reasons(outcome)) == [JO]
    assert (emails(outcome.report["create"]), outcome.report["update"]) == ([AL], [])
    assert outcome.report["counts"]["skipped_by_reason"] == {reasons(outcome)[JO]: 1}
    assert "created 1 person, updated 0, unsubscribed 0, left 0 unchanged, skipped 1" in (
        outcome.out
    )


@pytest.mark.parametrize("moment", [before_looks, before_writes])
def test_who_confirms_meanwhile_is_no_alarm(clock: FakeClock, moment: Callable[..., None]) -> None:
    people = [subscriber(each, status="unconfirmed") for each in (JO, AL, BO)]
    with make([contact(JO), contact(AL), contact(BO)], people, clock) as sandbox:
        moment(sandbox, lambda: set_status(sandbox, "active"))
        outcome = run_first(clock, sandbox)
        assert statuses(sandbox) == {JO: "active", AL: "unconfirmed", BO: "unconfirmed"}
    assert (outcome.code, outcome.report["counts"]["done"]) == (0, 3)


def test_writes_that_confirm_everybody_stop_the_run(clock: FakeClock) -> None:
    people = [subscriber(each, status="unconfirmed") for each in many(100)]

    def confirm(payload: Any) -> Any:
        return {**payload, "data": {**payload["data"], "status": "active"}}

    with make([*map(contact, many(100))], people, clock) as sandbox:
        sandbox.faults = [Fault("edit", method="POST", path="/subscribers$", edit=confirm)]
        outcome = run_first(clock, sandbox)
        assert 3 <= len(sandbox.writes) < 30
    assert (outcome.code, outcome.report["outcome"]) == (4, "partial")
    assert "Updates made 3 unconfirmed people in a row active" in outcome.err


def test_who_opts_in_again_is_not_unsubscribed(clock: FakeClock) -> None:
    with make([contact(JO, hs_email_optout="true")], [subscriber(JO)], clock) as sandbox:
        before_looks(
            sandbox, lambda: sandbox.hubspot.edit("contacts", 101, hs_email_optout="false")
        )
        outcome = run_first(clock, sandbox, "--unsubscribe-opted-out")
        assert statuses(sandbox) == {JO: "active"}
        assert list(people_written(sandbox)) == []
    assert outcome.code == 0
    assert outcome.report["unsubscribe"] == []
