"""Groups of MailerLite that hold exactly the people in scope."""

from __future__ import annotations

from typing import Any, Optional, Sequence, Tuple

import pytest

from sandbox import Fault, Request, Sandbox
from sandbox.hubspot import definition
from sandbox.hubspot_properties import opt_out_name
from subscribers.plan import Membership
from subscribers.verification import compare, describe
from tests.helpers import Ended, FakeClock
from tests.people import (
    AL,
    BO,
    JO,
    NEWSLETTER,
    Row,
    before_looks,
    contact,
    fields,
    make,
    run,
    run_first,
    statuses,
    subscriber,
)

MIRROR = ["--mirror-group", "Shops"]
LIST = ["--list", "Customers"]
STAGES = {
    "contacts": {
        "lifecyclestage": {
            **definition("enumeration", options=["customer", "lead"]),
            "label": "Lifecycle Stage",
        },
        "owner": definition("enumeration"),
    }
}
GROUPS = {"7": "Shops", "8": "Others"}
NEWS = {"HUBSPOT_SUBSCRIPTIONS": "Newsletter"}


def member(email: str, *groups: str, **more: Any) -> Row:
    return {**subscriber(email, "New", **more), "groups": list(groups or ["7"])}


def shops(clock: FakeClock, contacts: Sequence[Row], people: Sequence[Row] = ()) -> Sandbox:
    return make(contacts, people, clock, {"properties": STAGES}, groups=GROUPS)


def members(sandbox: Sandbox, group: str = "7") -> set[str]:
    people = sandbox.mailerlite.subscribers.items()
    return {email for email, each in people if group in each["groups"]}


def why(ended: Ended) -> dict[str, str]:
    return {row["email"]: row["reason"] for row in ended.report["leave"]}


def batches(sandbox: Sandbox) -> list[Request]:
    found = [each for each in sandbox.requests if each.path == "/batch"]
    return [each for each in found if each.json()["requests"][0]["method"] == "DELETE"]


def test_the_group_holds_who_is_meant_and_may_get_mail(clock: FakeClock) -> None:
    contacts = [
        contact(JO),
        contact(AL, hs_email_optout="true"),
        contact(BO),
        contact("in@mail.example"),
        contact("bad@mail.example", hs_email_bad_address="true"),
        contact("left@mail.example"),
    ]
    people = [
        member(AL),
        member(BO),
        subscriber("in@mail.example", "New"),
        member("bad@mail.example"),
        member("left@mail.example", status="unsubscribed"),
        member("stranger@mail.example"),
        member("bounced@mail.example", status="bounced"),
        member("other@mail.example", "8"),
    ]
    with shops(clock, contacts, people) as sandbox:
        sandbox.hubspot.add_list("Customers", "contacts", 101, 102, 104, 105, 106)
        dry = run_first(clock, sandbox, *MIRROR, *LIST, "--dry-run")
        assert sandbox.writes == []
        outcome = run_first(clock, sandbox, *MIRROR, *LIST)
        left_alone = {"left@mail.example", "bounced@mail.example"}
        assert members(sandbox) == {JO, "in@mail.example", *left_alone}
        assert members(sandbox, "8") == {"other@mail.example"}
        assert statuses(sandbox)["stranger@mail.example"] == "active"
        written = len(sandbox.writes)
        again = run(clock, sandbox, *MIRROR, *LIST)
        assert len(sandbox.writes) == written
    assert why(outcome) == {
        AL: "opted out in HubSpot",
        BO: "not in the list Customers",
        "bad@mail.example": "bad address according to HubSpot",
        "stranger@mail.example": "no contact in HubSpot has this address",
    }
    assert {row["status"] for row in outcome.report["leave"]} == {"done"}
    assert {row["group"] for row in outcome.report["leave"]} == {"Shops"}
    assert why(dry) == why(outcome)
    would = "would create 1 person, update 1 and remove 4 from a group"
    assert dry.out.endswith(f"\nDry run: {would}. Nothing was changed.\n")
    assert (outcome.code, again.report["outcome"]) == (0, "in_sync")
    assert outcome.report["checked_after"] == {"listed": 2, "missing": [], "unwanted": []}
    assert f"  - {BO}        Shops: not in the list Customers\n" in outcome.out
    assert "updated 1, unsubscribed 0, removed 4 from a group, left 0" in outcome.out
    words = "Checked: the group Shops has exactly the 2 people who belong there.\n"
    assert words in outcome.out


def test_who_is_not_meant_any_more_leaves(clock: FakeClock) -> None:
    people = [contact(JO), contact(AL), contact(BO), contact("di@mail.example")]
    contacts = [{**each, "lifecyclestage": "customer"} for each in people]
    conditions = {"CONTACT_FILTER": "lifecyclestage=customer"}
    with shops(clock, contacts) as sandbox:
        sandbox.hubspot.add_list("Customers", "contacts", 101, 102, 103, 104)
        assert run(clock, sandbox, *MIRROR, *LIST, **conditions).code == 0
        assert members(sandbox) == {JO, AL, BO, "di@mail.example"}
        sandbox.hubspot.lists[1].members.discard(101)
        sandbox.hubspot.edit("contacts", 102, lifecyclestage="lead")
        sandbox.hubspot.archive("contacts", 103)
        outcome = run(clock, sandbox, *MIRROR, *LIST, **conditions)
        assert members(sandbox) == {"di@mail.example"}
        assert set(statuses(sandbox).values()) == {"active"}
        sandbox.hubspot.lists[1].members.add(101)
        back = run(clock, sandbox, *MIRROR, *LIST, **conditions)
        assert members(sandbox) == {JO, "di@mail.example"}
    assert why(outcome) == {
        JO: "not in the list Customers",
        AL: "its Lifecycle Stage is Lead, and only Customer matches",
        BO: "no contact in HubSpot has this address",
    }
    assert f"  ~ {JO}  joins Shops\n" in back.out


def test_what_is_changed_by_hand_is_undone_and_told(clock: FakeClock) -> None:
    with shops(clock, [contact(JO)], [subscriber(AL)]) as sandbox:
        assert run_first(clock, sandbox, *MIRROR).code == 0
        sandbox.mailerlite.subscribers[JO]["groups"] = []
        sandbox.mailerlite.subscribers[AL]["groups"] = ["7"]
        outcome = run(clock, sandbox, *MIRROR)
        assert members(sandbox) == {JO}
    assert f"  ~ {JO}  joins Shops (removed by hand from Shops)\n" in outcome.out
    assert outcome.report["update"][0]["reason"] == "removed by hand from Shops"
    assert why(outcome) == {AL: "no contact in HubSpot has this address"}


def test_who_has_left_under_an_earlier_address_leaves(clock: FakeClock) -> None:
    with shops(clock, [contact(JO), contact(AL)]) as sandbox:
        assert run(clock, sandbox, *MIRROR).code == 0
        sandbox.mailerlite.subscribers[JO]["status"] = "unsubscribed"
        sandbox.hubspot.edit("contacts", 101, email=BO)
        sandbox.mailerlite.add(**member(BO))
        outcome = run(clock, sandbox, *MIRROR)
        assert members(sandbox) == {JO, AL}
        assert run(clock, sandbox, *MIRROR).report["outcome"] == "in_sync"
    assert why(outcome) == {BO: "unsubscribed in MailerLite under another address"}


def test_who_is_to_stay_in_the_group(clock: FakeClock) -> None:
    with shops(clock, [contact(JO)], [member(AL), member(BO)]) as sandbox:
        flags = ["--keep-in-group", AL.upper(), *MIRROR]
        outcome = run_first(clock, sandbox, *flags)
        assert members(sandbox) == {JO, AL}
        assert run(clock, sandbox, *flags).report["outcome"] == "in_sync"
    assert outcome.report["checked_after"] == {"listed": 2, "missing": [], "unwanted": []}


def test_who_is_unsubscribed_does_not_leave_besides(clock: FakeClock) -> None:
    with shops(clock, [contact(JO, hs_email_optout="true")], [member(JO)]) as sandbox:
        flags = [*MIRROR, "--unsubscribe-opted-out", "--allow-empty"]
        assert run_first(clock, sandbox, *flags, "--dry-run").report["leave"] == []
        outcome = run_first(clock, sandbox, *flags)
        assert statuses(sandbox) == {JO: "unsubscribed"}
        assert members(sandbox) == {JO}
    assert (outcome.code, outcome.report["leave"]) == (0, [])


# Limits


@pytest.mark.parametrize(
    ("number", "flags", "settings", "code"),
    [
        (5, [], {}, 0),
        (6, [], {}, 3),
        (6, ["--max-leave", "6"], {}, 0),
        (6, [], {"MAX_LEAVE": "60%"}, 0),
        (5, ["--max-leave", "4"], {}, 3),
    ],
)
def test_how_many_may_leave(
    clock: FakeClock, number: int, flags: list[str], settings: dict[str, str], code: int
) -> None:
    there = [f"p{n}@mail.example" for n in range(10)]
    contacts = [contact(each) for each in there[number:]]
    with shops(clock, contacts, [*map(member, there)]) as sandbox:
        outcome = run_first(clock, sandbox, *MIRROR, *flags, **settings)
        assert len(members(sandbox)) == (10 if code else 10 - number)
    assert outcome.code == code
    if code:
        assert "from a mirrored group. The limit is" in outcome.out
        assert outcome.out.endswith(f" --approve {outcome.report['plan']}\n")


@pytest.mark.parametrize(("number", "code"), [(6, 3), (5, 0)])
def test_who_leaves_several_groups_is_one_person(clock: FakeClock, number: int, code: int) -> None:
    """Of twenty, of whom each is in the group of all and in that of a stage."""
    there = [f"p{n:02d}@mail.example" for n in range(20)]
    contacts = [contact(each, lifecyclestage="lead") for each in there[number:]]
    people = [member(each, "7", "9") for each in there]
    groups = {**GROUPS, "9": "Lead", "10": "Customer"}
    with make(contacts, people, clock, {"properties": STAGES}, groups=groups) as sandbox:
        flags = [*MIRROR, "--max-leave", "25%"]
        dry = run_first(clock, sandbox, *flags, "--dry-run", GROUP_BY="lifecyclestage")
        outcome = run_first(clock, sandbox, *flags, GROUP_BY="lifecyclestage")
        assert len(members(sandbox)) == (20 if code else 15)
    assert (dry.code, outcome.code) == (code, code)
    assert f"Remove {number} people from a group:\n" in outcome.out
    if code:
        assert "remove 6 of 20 people (30.0%) from a mirrored group" in outcome.out
        assert outcome.out.endswith(f" --approve {outcome.report['plan']}\n")
    else:
        assert "would remove 5 people from a group" in dry.out
        assert "unsubscribed 0, removed 5 from a group" in outcome.out


def test_an_empty_selection_is_refused(clock: FakeClock) -> None:
    with shops(clock, [contact(JO)], [member(JO)]) as sandbox:
        sandbox.hubspot.add_list("Customers", "contacts")
        outcome = run_first(clock, sandbox, *MIRROR, *LIST)
        assert members(sandbox) == {JO}
        allowed = run_first(clock, sandbox, *MIRROR, *LIST, "--allow-empty")
        assert members(sandbox) == set()
        assert run(clock, sandbox, *MIRROR, *LIST).report["outcome"] == "in_sync"
    assert (outcome.code, allowed.code) == (3, 0)
    assert "Nobody qualifies for a mirrored group, but 1 person is in one." in outcome.out
    assert f" --approve {outcome.report['plan']}\n" in outcome.out
    words = "Checked: nobody belongs in the group Shops, and nobody is there.\n"
    assert words in allowed.out


# The group itself


def test_a_missing_group_is_created(clock: FakeClock) -> None:
    with shops(clock, [contact(JO)], [subscriber(AL)]) as sandbox:
        settings = {"MIRROR_GROUP": "Customers"}
        refused = run_first(clock, sandbox, **settings)
        dry = run_first(clock, sandbox, "--create-groups", "--dry-run", **settings)
        assert sandbox.writes == []
        outcome = run_first(clock, sandbox, "--create-groups", **settings)
        (made,) = (id for id, name in sandbox.mailerlite.groups.items() if name == "Customers")
        assert members(sandbox, made) == {JO}
        again = run(clock, sandbox, "--create-groups", **settings)
    assert refused.code == 2
    assert (
        "MailerLite has no group Customers. Fix MIRROR_GROUP, or create the group with"
        in refused.err
    )
    assert "Create 1 group:\n  + Customers" in dry.out
    assert f"  + {JO}  name, joins Customers\n" in dry.out
    assert "Dry run: would create 1 person and create 1 group." in dry.out
    assert outcome.report["create_groups"] == [
        {"name": "Customers", "status": "done", "error": None}
    ]
    assert outcome.report["create"][0]["groups"] == ["Customers"]
    assert (outcome.code, again.report["outcome"]) == (0, "in_sync")


@pytest.mark.parametrize("kind", ["status", "body", "reset_after"])
def test_a_group_that_could_not_be_created(clock: FakeClock, kind: str) -> None:
    flags = ["--mirror-group", "Customers", "--create-groups"]
    details: dict[str, dict[str, Any]] = {"status": {"status": 422}, "body": {"body": {}}}
    more = details.get(kind, {})
    with shops(clock, [contact(JO)]) as sandbox:
        sandbox.faults = [Fault(kind, method="POST", path="^/groups$", times=1, **more)]
        outcome = run(clock, sandbox, *flags)
        assert statuses(sandbox) == {}
        assert run(clock, sandbox, *flags).code == 0
        assert list(sandbox.mailerlite.groups.values()).count("Customers") == 1
    assert outcome.code in (1, 4)
    assert "MailerLite, create the group Customers" in outcome.err


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"MIRROR_GROUP": "404"}, "MailerLite has no group 404. Fix MIRROR_GROUP (digits alone"),
        ({"MIRROR_GROUP": "shops"}, "MailerLite has no group shops, but a group Shops. Use"),
        ({"MIRROR_GROUP": "Twice"}, "MailerLite has several groups called Twice. Rename all"),
        (
            {"MIRROR_GROUP": "Shops", "MAILERLITE_GROUPS": "7"},
            "The group Shops is in both MAILERLITE_GROUPS and MIRROR_GROUP. Remove it from",
        ),
        (
            {"MIRROR_GROUP": "Lead", "GROUP_BY": "lifecyclestage"},
            "The group Lead is already used by MIRROR_GROUP. Set GROUP_PREFIX to another word.",
        ),
        ({"GROUP_BY": "city"}, "city is not a contact property with a fixed list of values"),
        ({"GROUP_BY": "owner"}, "owner has no list of values in HubSpot"),
        ({"GROUP_BY": "nothing"}, "nothing is not a contact property with a fixed list of values"),
    ],
)
def test_what_cannot_be_a_mirror(clock: FakeClock, settings: dict[str, str], words: str) -> None:
    with shops(clock, [contact(JO)]) as sandbox:
        sandbox.mailerlite.groups.update({"9": "Twice", "10": "Twice"})
        outcome = run(clock, sandbox, "--create-groups", **settings)
        assert sandbox.writes == []
    assert outcome.code == 2
    assert words in outcome.err


# One group for each value


def test_groups_that_cannot_be_read_are_not_called_missing(clock: FakeClock) -> None:
    with shops(clock, [contact(JO)]) as sandbox:
        sandbox.faults = [Fault("status", path="^/groups$", status=403)]
        checked = run(clock, sandbox, "--check", *MIRROR, MAILERLITE_GROUPS="8")
    assert "FIX  MailerLite, list of groups: not allowed" in checked.out
    assert checked.out.count("FIX ") == 1


def test_who_changes_the_stage_changes_the_group(clock: FakeClock) -> None:
    settings = {"GROUP_BY": "lifecyclestage", "GROUP_PREFIX": "Stage"}
    contacts = [
        contact(JO, lifecyclestage="lead"),
        contact(AL, lifecyclestage="customer"),
        contact(BO),
    ]
    with shops(clock, contacts) as sandbox:
        assert run(clock, sandbox, **settings).code == 2
        first = run(clock, sandbox, "--create-groups", **settings)
        ids = {name: id for id, name in sandbox.mailerlite.groups.items()}
        customers, leads = ids["Stage Customer"], ids["Stage Lead"]
        assert (members(sandbox, customers), members(sandbox, leads)) == ({AL}, {JO})
        sandbox.hubspot.edit("contacts", 101, lifecyclestage="customer")
        sandbox.hubspot.edit("contacts", 102, lifecyclestage=None)
        second = run(clock, sandbox, **settings)
        assert (members(sandbox, customers), members(sandbox, leads)) == ({JO}, set())
        assert run(clock, sandbox, **settings).report["outcome"] == "in_sync"
    assert "Checked: 2 groups have exactly the 2 people who belong there" in first.out
    assert why(second) == {
        JO: "its Lifecycle Stage is now Customer",
        AL: "it has no Lifecycle Stage",
    }


# What may go wrong


def test_leaving_takes_one_request_for_fifty(clock: FakeClock) -> None:
    there = [f"p{n:03d}@mail.example" for n in range(120)]
    with shops(clock, [contact(JO)], [*map(member, there)]) as sandbox:
        outcome = run_first(clock, sandbox, *MIRROR, "--max-leave", "120")
        assert members(sandbox) == {JO}
        sizes = [len(each.json()["requests"]) for each in batches(sandbox)]
    assert outcome.code == 0
    assert sizes == [50, 50, 20]


def test_who_is_meant_after_all_stays(clock: FakeClock) -> None:
    contacts = [contact(JO), contact(AL, lifecyclestage="lead"), contact(BO)]
    with shops(clock, contacts, [member(AL), member(BO)]) as sandbox:
        edit = {"lifecyclestage": "customer"}
        before_looks(sandbox, lambda: sandbox.hubspot.edit("contacts", 102, **edit))
        outcome = run_first(clock, sandbox, *MIRROR, CONTACT_FILTER="lifecyclestage!=lead")
        assert members(sandbox) == {JO, AL, BO}
    assert (outcome.code, outcome.report["leave"]) == (0, [])
    assert outcome.report["checked_after"] == {"listed": 3, "missing": [], "unwanted": []}


def test_of_a_service_that_is_down_nobody_is_removed_any_more(clock: FakeClock) -> None:
    """And the report does not say otherwise."""
    out = [f"p{n}@mail.example" for n in range(3)]
    contacts = [contact(JO), *(contact(each, hs_email_optout="true") for each in out)]
    with shops(clock, contacts, [member(AL), *map(subscriber, out)]) as sandbox:
        sandbox.faults = [Fault("status", path="^/subscribers$", method="POST", status=500)]
        outcome = run_first(clock, sandbox, *MIRROR, "--unsubscribe-opted-out")
        assert batches(sandbox) == []
        assert members(sandbox) == {AL}
    assert [row["status"] for row in outcome.report["leave"]] == ["not_reached"]


def refuse_one(payload: Row) -> Row:
    """A batch whose first deletion failed."""
    if payload["responses"][0]["code"] != 204:
        return payload
    first = {"code": 500, "body": {"message": "Server Error"}}
    return {**payload, "responses": [first, *payload["responses"][1:]]}


def test_each_answer_of_a_batch_is_judged(clock: FakeClock) -> None:
    def put_back(request: Request) -> None:
        if request.path == "/groups/7/subscribers":
            sandbox.mailerlite.subscribers[AL]["groups"] = ["7"]

    with shops(clock, [contact(JO)], [member(AL), member(BO)]) as sandbox:
        sandbox.faults = [Fault("edit", path="^/batch$", edit=refuse_one)]
        sandbox.on_request = put_back
        outcome = run_first(clock, sandbox, *MIRROR)
        sandbox.faults, sandbox.on_request = [], None
        assert run(clock, sandbox, *MIRROR).code == 0
        assert members(sandbox) == {JO}
    assert outcome.code == 4
    failed = [row for row in outcome.report["leave"] if row["status"] == "failed"]
    assert [row["error"] for row in failed] == [
        "MailerLite, leave a group: rejected. (500 Server Error)"
    ]


LOST = Fault("reset_after", path="^/batch$", nth=2, times=6)  # the first one looks people up


@pytest.mark.parametrize("fault", [Fault("edit", path="^/batch$", edit=refuse_one), LOST])
def test_who_left_whatever_the_answer_says_has_left(clock: FakeClock, fault: Fault) -> None:
    with shops(clock, [contact(JO), contact(AL)]) as sandbox:
        assert run(clock, sandbox, *MIRROR).code == 0
        sandbox.hubspot.archive("contacts", 102)
        sandbox.faults = [fault]
        outcome = run(clock, sandbox, *MIRROR)
        sandbox.faults = []
        assert members(sandbox) == {JO}
        sandbox.hubspot.add("contacts", contact(AL))
        again = run(clock, sandbox, *MIRROR)
    assert outcome.code == 0, outcome.text
    assert [(row["email"], row["status"]) for row in outcome.report["leave"]] == [(AL, "done")]
    assert "removed 1 from a group" in outcome.out
    assert f"  ~ {AL}  joins Shops\n" in again.out


def test_who_joined_by_a_lost_call_has_joined(clock: FakeClock) -> None:
    with shops(clock, [contact(JO), contact(AL)], [subscriber(AL)]) as sandbox:
        sandbox.faults = [Fault("reset_after", method="POST", path="^/subscribers$")]
        outcome = run_first(clock, sandbox, *MIRROR)
        sandbox.faults = []
        assert members(sandbox) == {JO, AL}
        sandbox.hubspot.archive("contacts", 101)
        later = run(clock, sandbox, *MIRROR)
    assert outcome.code == 0, outcome.text
    rows = [*outcome.report["create"], *outcome.report["update"]]
    assert [(row["email"], row["status"]) for row in rows] == [(JO, "done"), (AL, "done")]
    assert [row["email"] for row in later.report["leavers"]] == [JO]


def test_who_is_to_leave_and_of_whom_mailerlite_says_nothing(clock: FakeClock) -> None:
    def lose_one(payload: Row) -> Row:
        lost = {"code": 500, "body": {"message": "Server Error"}}
        return {**payload, "responses": [lost, *payload["responses"][1:]]}

    with shops(clock, [contact(JO)], [member(JO), member(AL), member(BO)]) as sandbox:
        sandbox.faults = [Fault("edit", path="^/batch$", times=1, edit=lose_one)]
        outcome = run_first(clock, sandbox, *MIRROR)
        assert members(sandbox) == {JO, AL}
        sandbox.faults = []
        assert run(clock, sandbox, *MIRROR).code == 0
        assert members(sandbox) == {JO}
    lost, left = outcome.report["leave"]
    assert (outcome.code, lost["status"], left["status"]) == (4, "failed", "done")
    words = "MailerLite did not return this person's status, so nothing was written"
    assert lost["error"] == words
    assert words in outcome.err


def test_the_list_decides(clock: FakeClock) -> None:
    """MailerLite says that somebody left and somebody joined, and its list says otherwise."""

    def undo(request: Request) -> None:
        if request.path == "/groups/7/subscribers":
            for email, groups in ((AL, ["7"]), (JO, [])):
                sandbox.mailerlite.subscribers[email]["groups"] = groups

    with shops(clock, [contact(JO)], [member(AL)]) as sandbox:
        sandbox.on_request = undo
        outcome = run_first(clock, sandbox, *MIRROR)
        sandbox.on_request = None
        assert run(clock, sandbox, *MIRROR).code == 0
        assert members(sandbox) == {JO}
    assert outcome.code == 4
    assert outcome.report["checked_after"] == {"listed": 1, "missing": [JO], "unwanted": [AL]}
    (left,), (joined,) = outcome.report["leave"], outcome.report["create"]
    assert left["error"] == "MailerLite still lists the person in the group"
    assert joined["error"] == "MailerLite does not list the person in the group"
    words = "the group Shops has 0 of the 1 person who belongs there. Missing: jo@mail.example."
    assert f"{words} Members who do not belong there: al@mail.example.\n" in outcome.out


def test_a_list_that_lags_is_looked_at_again(clock: FakeClock) -> None:
    with shops(clock, [contact(JO)]) as sandbox:
        empty: dict[str, Any] = {"edit": lambda page: {**page, "data": []}}
        sandbox.faults = [Fault("edit", path="^/groups/7/subscribers$", times=5, **empty)]
        outcome = run(clock, sandbox, *MIRROR)
    assert outcome.code == 0
    assert outcome.report["checked_after"] == {"listed": 1, "missing": [], "unwanted": []}


def test_a_list_that_cannot_be_read_afterwards(clock: FakeClock) -> None:
    with shops(clock, [contact(JO)]) as sandbox:
        sandbox.faults = [Fault("status", path="^/groups/7/subscribers$", status=403)]
        outcome = run(clock, sandbox, *MIRROR)
        assert members(sandbox) == {JO}
    assert outcome.code == 4
    assert "The result was not checked: MailerLite, " in outcome.out
    assert "checked_after" not in outcome.report


# Pure decisions


def test_lists_against_who_belongs_there() -> None:
    wanted = {Membership(JO, "7"), Membership(AL, "7"), Membership("wait@mail.example", "7")}
    there = {Membership(JO, "7"): False, Membership(BO, "7"): True, Membership("x", "7"): True}
    found = compare(wanted, there, {"wait@mail.example", "x"})
    assert found == {"listed": 2, "missing": [AL], "unwanted": [BO]}
    assert describe(found, wanted, ["Shops", "Others"]) == (
        "2 groups have 2 of the 3 people who belong there. Missing: al@mail.example. Members"
        " who do not belong there: bo@mail.example."
    )
    twice = {Membership(JO, "7"), Membership(JO, "8")}
    found = compare(twice, dict.fromkeys(twice, True), set())
    assert found["listed"] == 1
    assert describe(found, twice, ["Shops", "Others"]) == (
        "2 groups have exactly the 1 person who belongs there."
    )


# Many people


Kind = Tuple[Row, Optional[Row], Optional[bool]]


def kinds(email: str) -> list[Kind]:
    """What HubSpot has, what MailerLite has, and whether the person is in the group afterwards;
    None: as before."""
    customer, lead = {"lifecyclestage": "customer"}, {"lifecyclestage": "lead"}
    out, new = {"hs_email_optout": "true"}, contact(email, **customer)
    return [
        (new, None, True),
        (new, subscriber(email, "Old"), True),
        (new, member(email), True),
        (new, member(email, "8"), True),
        (new, member(email, status="unconfirmed"), True),
        (new, member(email, status="unsubscribed"), None),
        (new, subscriber(email, status="bounced"), None),
        (contact(email, **lead), None, False),
        (contact(email, **lead), member(email), False),
        (contact(email, **lead), member(email, "7", "8"), False),
        (contact(email, **lead), subscriber(email), False),
        (contact(email, **customer, **out), member(email), False),
        (contact(email, **lead, **out), member(email), False),
        (contact(email, **customer, **out), None, False),
    ]


@pytest.mark.no_cover
@pytest.mark.parametrize(("number", "in_list"), [(1_000, 0.2), (200, 1.0)])
def test_contacts_of_all_kinds(clock: FakeClock, number: int, in_list: float) -> None:
    """In and out of a list: exactly the right group, values and opt-outs after one run, and nothing
    to do afterwards."""
    contacts: list[Row] = []
    people: list[Row] = []
    after: set[str] = set()
    names: dict[str, str] = {}
    listed: list[int] = []
    left: set[str] = set()
    for n in range(number):
        email = f"person.{n:05d}@mail.example"
        here, there, is_in = kinds(email)[n % len(kinds(""))]
        contacts.append({"id": 1_000 + n, **here})
        people += [there] if there else []
        is_listed = n // len(kinds("")) % 10 < 10 * in_list
        listed += [1_000 + n] if is_listed else []
        was_in = there is not None and "7" in there.get("groups", ())
        if (is_in and is_listed) or (is_in is None and was_in):
            after.add(email)
        names.update({email: there["fields"]["name"]} if there else {})
        names.update({email: "New"} if is_in and is_listed else {})
        left.update({email} if there and there["status"] == "unsubscribed" else ())
    with shops(clock, contacts, people) as sandbox:
        sandbox.hubspot.add_list("Customers", "contacts", *listed)
        flags = [*MIRROR, *LIST, "--opt-out-unsubscribed"]
        flags += ["--max-leave", "5000", "--max-new", "5000"]
        conditions = {"CONTACT_FILTER": "lifecyclestage=customer", **NEWS}
        outcome = run_first(clock, sandbox, *flags, **conditions)
        assert members(sandbox) == after
        assert {email: fields(sandbox, email)["name"] for email in statuses(sandbox)} == names
        contacts_after, opt_out = sandbox.hubspot.contacts.values(), opt_out_name(NEWSLETTER)
        assert {each["email"] for each in contacts_after if each.get(opt_out) == "true"} == left
        written = len(sandbox.writes)
        again = run(clock, sandbox, *flags, **conditions)
        assert len(sandbox.writes) == written
    assert (outcome.code, again.report["outcome"]) == (0, "in_sync")
    checked = outcome.report["checked_after"]
    assert (checked["missing"], checked["unwanted"]) == ([], [])
