"""Who leaves MailerLite opts out in HubSpot: of one subscription type, and never the other way."""

from __future__ import annotations

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
    contact,
    emails,
    make,
    reasons,
    run,
    run_first,
    statuses,
    subscriber,
)

FLAG = "--opt-out-unsubscribed"
NEWS = {"HUBSPOT_SUBSCRIPTIONS": "Newsletter"}
WRITE = "/communication-preferences/v3/unsubscribe"
OPTED_OUT, SUBSCRIBED, UNKNOWN = "UNSUBSCRIBED", "SUBSCRIBED", "NOT_SPECIFIED"


def left(email: str, status: str = "unsubscribed") -> dict[str, object]:
    return subscriber(email, "New", status)


def consent(sandbox: Sandbox, *addresses: str) -> list[str]:
    return [sandbox.hubspot.consent(each, NEWSLETTER) for each in addresses]


def opt_out_calls(sandbox: Sandbox) -> list[dict[str, str]]:
    return [each.json() for each in sandbox.requests if each.path == WRITE]


@pytest.mark.parametrize(
    ("status", "after"),
    [("unsubscribed", OPTED_OUT), ("junk", OPTED_OUT), ("bounced", UNKNOWN), ("active", UNKNOWN)],
)
def test_who_has_objected_in_mailerlite(clock: FakeClock, status: str, after: str) -> None:
    with make([contact(JO)], [left(JO, status)], clock) as sandbox:
        outcome = run_first(clock, sandbox, FLAG, **NEWS)
        assert outcome.code == 0
        assert consent(sandbox, JO) == [after]
        assert sandbox.hubspot.consent(JO, OFFERS) == UNKNOWN
        calls = len(opt_out_calls(sandbox))
        assert run(clock, sandbox, FLAG, **NEWS).report["outcome"] == "in_sync"
        assert len(opt_out_calls(sandbox)) == calls == (after == OPTED_OUT)
        assert statuses(sandbox) == {JO: status}


def test_what_is_told(clock: FakeClock) -> None:
    with make([contact(JO), contact(AL)], [left(JO), left(AL, "junk")], clock) as sandbox:
        outcome = run_first(clock, sandbox, FLAG, **NEWS)
    row = {"email": JO, "hubspot_id": 101, "fields": [], "groups": []}
    end = {"reason": "unsubscribed in MailerLite", "status": "done", "error": None}
    assert outcome.report["opt_out"][1] == {**row, **end}
    assert outcome.report["counts"]["opt_out"] == 2
    assert outcome.report["skipped"] == []
    assert "Opt out 2 people in HubSpot:\n" in outcome.out
    assert f"  - {AL}  marked as spam in MailerLite\n" in outcome.out
    assert "Done: created 0 people, updated 0, unsubscribed 0, opted out 2 in HubSpot," in (
        outcome.out
    )


def test_without_the_flag_nothing_goes_back(clock: FakeClock) -> None:
    with make([contact(JO)], [left(JO)], clock) as sandbox:
        assert run_first(clock, sandbox, **NEWS).report["outcome"] == "in_sync"
        dry = run(clock, sandbox, FLAG, "--dry-run", **NEWS)
        assert emails(dry.report["opt_out"]) == [JO]
        assert consent(sandbox, JO) == [UNKNOWN]
        assert opt_out_calls(sandbox) == []


def test_no_call_for_who_is_opted_out_already(clock: FakeClock) -> None:
    of_news = {f"hs_email_optout_{NEWSLETTER}": "true"}
    contacts = [contact(JO, **of_news), contact(AL, hs_email_optout="true"), contact(None)]
    with make(contacts, [left(JO), left(AL), left(BO)], clock) as sandbox:
        outcome = run_first(clock, sandbox, FLAG, **NEWS)
        assert opt_out_calls(sandbox) == []
    assert outcome.report["outcome"] == "in_sync"
    assert reasons(outcome)[JO] == "opted out of Newsletter in HubSpot"


def test_whoever_has_left_is_opted_out_in_the_list_or_not(clock: FakeClock) -> None:
    addresses = [JO, AL, BO, *(f"p{n:03d}@mail.example" for n in range(200))]
    with make([*map(contact, addresses)], [left(JO), left(AL)], clock) as sandbox:
        sandbox.hubspot.add_list("Customers", "contacts", 102, 103)
        flags = [FLAG, "--list", "Customers"]
        outcome = run_first(clock, sandbox, *flags, **NEWS)
        assert outcome.code == 0, outcome.err
        assert consent(sandbox, JO, AL, BO) == [OPTED_OUT, OPTED_OUT, UNKNOWN]
        assert statuses(sandbox) == {JO: "unsubscribed", AL: "unsubscribed", BO: "active"}
        assert run(clock, sandbox, *flags, **NEWS).report["outcome"] == "in_sync"
    assert emails(outcome.report["opt_out"]) == [AL, JO]


def test_who_has_opted_out_and_subscribes_again_leaves_the_mirrored_group(clock: FakeClock) -> None:
    people = [{**left(JO), "groups": ["7"]}, {**subscriber(AL, "New"), "groups": ["7"]}]
    with make([contact(JO), contact(AL)], people, clock, groups={"7": "Shops"}) as sandbox:
        flags = [FLAG, "--mirror-group", "Shops"]
        assert run_first(clock, sandbox, *flags, **NEWS).code == 0
        assert sandbox.mailerlite.subscribers[JO]["groups"] == ["7"]  # no mail goes to them anyway
        sandbox.mailerlite.subscribers[JO]["status"] = "active"
        outcome = run(clock, sandbox, *flags, "--unsubscribe-opted-out", **NEWS)
        assert outcome.code == 0, outcome.err
        groups = {key: each["groups"] for key, each in sandbox.mailerlite.subscribers.items()}
        assert groups == {JO: [], AL: ["7"]}
        assert statuses(sandbox) == {JO: "active", AL: "active"}
        assert run(clock, sandbox, *flags, **NEWS).report["outcome"] == "in_sync"


def test_a_bad_address_is_opted_out_all_the_same(clock: FakeClock) -> None:
    contacts = [contact(JO, hs_email_bad_address="true")]
    with make(contacts, [left(JO)], clock) as sandbox:
        assert run_first(clock, sandbox, FLAG, **NEWS).code == 0
        assert consent(sandbox, JO) == [OPTED_OUT]


def test_the_check_says_what_would_become_of_them(clock: FakeClock) -> None:
    with make([contact(JO)], [left(JO)], clock) as sandbox:
        check = run(clock, sandbox, FLAG, "--check", **NEWS)
    assert check.code == 0
    assert "will be opted out of Newsletter in HubSpot." in check.text
    assert "Only a real run can show whether the key may write that" in check.text


@pytest.mark.parametrize(
    ("number", "flags", "code"),
    [(5, [], 0), (6, [], 3), (6, ["--max-opt-out", "6"], 0), (5, ["--max-opt-out", "4"], 3)],
)
def test_the_limit(clock: FakeClock, number: int, flags: list[str], code: int) -> None:
    """Of twenty-five contacts with an address."""
    addresses = [f"p{n:02d}@mail.example" for n in range(25)]
    people = [left(each) for each in addresses[:number]]
    people += [subscriber(each, "New") for each in addresses[number:]]
    with make([*map(contact, addresses), contact(None)], people, clock) as sandbox:
        outcome = run_first(clock, sandbox, FLAG, *flags, **NEWS)
        assert outcome.code == code
        assert consent(sandbox, *addresses).count(OPTED_OUT) == (0 if code else number)
    if code and not flags:
        assert "opt out 6 of 25 people (24.0%) in HubSpot" in outcome.text
        assert f" --approve {outcome.report['plan']}\n" in outcome.out


def test_an_account_that_wants_a_legal_basis(clock: FakeClock) -> None:
    basis = "LEGITIMATE_INTEREST_OTHER"
    with make([contact(JO)], [left(JO)], clock) as sandbox:
        sandbox.hubspot.privacy_settings = True
        refused = run_first(clock, sandbox, FLAG, **NEWS)
        assert consent(sandbox, JO) == [UNKNOWN]
        wrong = run(clock, sandbox, FLAG, **NEWS, HUBSPOT_LEGAL_BASIS="WHY_NOT")
        done = run(clock, sandbox, FLAG, **NEWS, HUBSPOT_LEGAL_BASIS=basis)
        assert consent(sandbox, JO) == [OPTED_OUT]
        assert opt_out_calls(sandbox)[-1] == {
            "emailAddress": JO,
            "subscriptionId": str(NEWSLETTER),
            "legalBasis": basis,
            "legalBasisExplanation": "unsubscribed in MailerLite",
        }
    assert refused.code != 0
    assert "Set HUBSPOT_LEGAL_BASIS." in refused.text
    assert (wrong.code, done.code) == (2, 0)
    assert "HUBSPOT_LEGAL_BASIS must be one of CONSENT_WITH_NOTICE," in wrong.err


@pytest.mark.parametrize("words", ["legalBasis is required.", "A lawful basis is required."])
def test_a_legal_basis_that_is_asked_for_in_other_words(clock: FakeClock, words: str) -> None:
    with make([contact(JO)], [left(JO)], clock) as sandbox:
        sandbox.faults = [Fault("status", path=WRITE, status=400, body={"message": words})]
        outcome = run_first(clock, sandbox, FLAG, **NEWS)
    assert f"(400 {words[:-1]}) Set HUBSPOT_LEGAL_BASIS." in outcome.text


def test_a_missing_scope_is_named_and_stops_no_other_write(clock: FakeClock) -> None:
    people = [f"p{n}@mail.example" for n in range(5)]
    with make([contact(BO), *map(contact, people)], [*map(left, people)], clock) as sandbox:
        body = {
            "status": "error",
            "message": "This app hasn't been granted all required scopes",
            "category": "MISSING_SCOPES",
            "errors": [
                {"context": {"requiredGranularScopes": ["communication_preferences.write"]}}
            ],
        }
        sandbox.faults = [Fault("status", path=WRITE, status=403, body=body)]
        outcome = run_first(clock, sandbox, FLAG, **NEWS)
        assert statuses(sandbox)[BO] == "active"
    assert outcome.report["outcome"] == "partial"
    assert "Add the scope communication_preferences.write" in outcome.err


@pytest.mark.parametrize(
    ("fault", "is_done"), [("reset_after", True), ("status_after", True), ("reset_before", False)]
)
def test_a_lost_answer_is_read_back(clock: FakeClock, fault: str, is_done: bool) -> None:
    with make([contact(JO)], [left(JO)], clock) as sandbox:
        sandbox.faults = [Fault(fault, path=WRITE, nth=1)]
        outcome = run_first(clock, sandbox, FLAG, **NEWS)
        assert len(opt_out_calls(sandbox)) == 1
        assert consent(sandbox, JO) == [OPTED_OUT if is_done else UNKNOWN]
        assert (outcome.code == 0) is is_done
        assert run(clock, sandbox, FLAG, **NEWS).code == 0  # the next run converges
        assert consent(sandbox, JO) == [OPTED_OUT]


def test_an_answer_that_shows_no_opt_out(clock: FakeClock) -> None:
    with make([contact(JO)], [left(JO)], clock) as sandbox:
        sandbox.faults = [
            Fault("body", path=WRITE, body={"status": "SUBSCRIBED"}),
            Fault("status", path="/contacts/batch/read", nth=2, status=400),
        ]
        outcome = run_first(clock, sandbox, FLAG, **NEWS)
    assert outcome.code != 0
    assert "it does not confirm the opt-out" in outcome.err


def test_who_comes_back_before_the_write_is_left_alone(clock: FakeClock) -> None:
    with make([contact(JO)], [left(JO)], clock) as sandbox:
        before_looks(sandbox, lambda: sandbox.mailerlite.subscribers[JO].update(status="active"))
        run_first(clock, sandbox, FLAG, **NEWS)
        assert consent(sandbox, JO) == [UNKNOWN]


def test_who_subscribes_again_is_for_a_person_to_decide(clock: FakeClock) -> None:
    with make([contact(JO), contact(AL)], [left(JO), subscriber(AL, "New")], clock) as sandbox:
        assert run_first(clock, sandbox, FLAG, **NEWS).code == 0
        sandbox.mailerlite.subscribers[JO]["status"] = "active"
        sandbox.hubspot.set_consent(AL, NEWSLETTER, OPTED_OUT)  # by themselves
        outcome = run(clock, sandbox, FLAG, "--unsubscribe-opted-out", **NEWS)
        assert statuses(sandbox) == {JO: "active", AL: "unsubscribed"}
        assert consent(sandbox, JO) == [OPTED_OUT]
    why = "opted out of Newsletter in HubSpot after leaving MailerLite, but subscribed there again"
    assert reasons(outcome)[JO] == why
    assert "Needs your attention, because they subscribed again:" in outcome.out
    assert "--unsubscribe-opted-out" not in outcome.out
    assert emails(outcome.report["subscribed_again"]) == [JO]
    assert outcome.report["to_decide"] == []
    assert f"  ? {JO}  {why}\n" in outcome.out


def test_who_opts_out_after_we_could_not_is_unsubscribed(clock: FakeClock) -> None:
    with make([contact(JO)], [left(JO)], clock) as sandbox:
        sandbox.faults = [Fault("status", path=WRITE, status=400, body={"message": "No."})]
        assert run_first(clock, sandbox, FLAG, **NEWS).code == 4
        sandbox.mailerlite.subscribers[JO]["status"] = "active"
        sandbox.hubspot.set_consent(JO, NEWSLETTER, OPTED_OUT)  # by themselves
        assert run(clock, sandbox, "--unsubscribe-opted-out", **NEWS).code == 0
        assert statuses(sandbox) == {JO: "unsubscribed"}


@pytest.mark.parametrize("kind", [NEWSLETTER, None])
def test_who_opts_in_and_out_again_is_unsubscribed(clock: FakeClock, kind: int | None) -> None:
    with make([contact(JO)], [left(JO)], clock) as sandbox:
        assert run_first(clock, sandbox, FLAG, **NEWS).code == 0
        sandbox.hubspot.set_consent(JO, NEWSLETTER, SUBSCRIBED)
        sandbox.mailerlite.subscribers[JO]["status"] = "active"
        assert run(clock, sandbox, **NEWS).report["outcome"] == "in_sync"
        if kind:
            sandbox.hubspot.set_consent(JO, kind, OPTED_OUT)
        else:
            sandbox.hubspot.edit("contacts", 101, hs_email_optout="true")
        assert run(clock, sandbox, "--unsubscribe-opted-out", **NEWS).code == 0
        assert statuses(sandbox) == {JO: "unsubscribed"}


def test_who_opts_out_of_all_mail_besides_is_unsubscribed(clock: FakeClock) -> None:
    with make([contact(JO)], [left(JO)], clock) as sandbox:
        assert run_first(clock, sandbox, FLAG, **NEWS).code == 0
        sandbox.mailerlite.subscribers[JO]["status"] = "active"
        sandbox.hubspot.edit("contacts", 101, hs_email_optout="true")
        assert run(clock, sandbox, "--unsubscribe-opted-out", **NEWS).code == 0
        assert statuses(sandbox) == {JO: "unsubscribed"}


def test_nobody_is_ever_subscribed_in_hubspot(clock: FakeClock) -> None:
    with make([contact(JO), contact(AL)], [left(JO), subscriber(AL)], clock) as sandbox:
        run_first(clock, sandbox, FLAG, "--unsubscribe-opted-out", **NEWS)
        paths = {each.path for each in sandbox.requests if each.method == "POST"}
    assert {path for path in paths if "communication" in path} == {WRITE}
