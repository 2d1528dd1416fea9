"""What must be in place before people are compared: each finding names its remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Mapping, Sequence

import pytest

import sync_subscribers
from core.settings import PYTHON
from sandbox import Fault, Sandbox
from sandbox.hubspot import definition
from state.files import account_file
from tests.helpers import FakeClock
from tests.people import AL, JO, contact, make, run, run_first, subscriber

Spoil = Callable[[Sandbox], object]
PROPERTIES = {
    "contacts": {
        "lifecyclestage": {**definition("enumeration", options=["customer", "lead"])},
        "hs_marketable_status": definition("bool"),
    }
}
GROUPS = {"7": "Shops", "8": "Twice", "9": "Twice"}
ONE_KIND = (
    "--opt-out-unsubscribed needs exactly one subscription type. Name it in HUBSPOT_SUBSCRIPTIONS."
)
WRONG: list[tuple[Sequence[str], Mapping[str, str], str]] = [
    (
        [],
        {"MAILERLITE_FIELDS": "firstname:name,last_order:ordered"},
        "MailerLite has no field ordered. Fix MAILERLITE_FIELDS, or create the field with"
        " --create-fields.",
    ),
    (
        ["--create-fields"],
        {"MAILERLITE_FIELDS": "city:Home_Town"},
        "MailerLite cannot create a field Home_Town with capital letters. Write home_town",
    ),
    (
        [],
        {"MAILERLITE_GROUPS": "Shops,Nobody"},
        "MailerLite has no group Nobody. Fix MAILERLITE_GROUPS, or create the group in MailerLite.",
    ),
    (
        [],
        {"MAILERLITE_GROUPS": "404"},
        "MailerLite has no group 404. Fix MAILERLITE_GROUPS (digits alone are an id).",
    ),
    (
        [],
        {"MAILERLITE_GROUPS": "Twice"},
        "MailerLite has several groups called Twice. Rename all but one, or use the id.",
    ),
    ([], {"MAILERLITE_GROUPS": "shops"}, "MailerLite has no group shops, but a group Shops. Use"),
    (
        [],
        {"HUBSPOT_SUBSCRIPTIONS": "Newsletter, Offers"},
        "HubSpot has no subscription type called Offers. Fix HUBSPOT_SUBSCRIPTIONS. HubSpot has:"
        " Newsletter (11), Marketing Information (12).\n",
    ),
    (["--opt-out-unsubscribed"], {}, ONE_KIND),
    (["--opt-out-unsubscribed"], {"HUBSPOT_SUBSCRIPTIONS": "Newsletter, 12"}, ONE_KIND),
    (["--list", "Nobody"], {}, "HubSpot has no list of contacts called Nobody. Fix HUBSPOT_LIST"),
    (["--list", "77"], {}, "HubSpot has no list of contacts called 77. Fix HUBSPOT_LIST"),
    (["--list", "Stores"], {}, "HubSpot's list Stores is not a list of contacts. Fix HUBSPOT_LIST"),
    ([], {"HUBSPOT_LIST": "1"}, "HubSpot's list Stores is not a list of contacts. Fix"),
    (
        [],
        {"CONTACT_FILTER": "lifecycle_stage=lead"},
        "HubSpot has no contact property lifecycle_stage. Did you mean lifecyclestage",
    ),
    (
        [],
        {"CONTACT_FILTER": "lifecyclestage=Lead"},
        "HubSpot's lifecyclestage has no value Lead. Its values are customer, lead. Fix",
    ),
    (
        [],
        {"CONTACT_FILTER": "hs_marketable_status=yes"},
        "HubSpot's hs_marketable_status has no value yes. Its values are true, false.",
    ),
]


@pytest.mark.parametrize(("flags", "settings", "words"), WRONG)
def test_a_setting_that_does_not_fit_the_account(
    clock: FakeClock, flags: Sequence[str], settings: Mapping[str, str], words: str
) -> None:
    hubspot = {"properties": PROPERTIES}
    with make([contact(JO)], [], clock, hubspot, groups=GROUPS) as sandbox:
        sandbox.hubspot.add_list("Stores", "companies")
        outcome = run(clock, sandbox, *flags, **settings)
        checked = run(clock, sandbox, "--check", *flags, **settings)
        assert sandbox.writes == []
    assert (outcome.code, checked.code) == (2, 1)
    assert words in outcome.err
    assert f"FIX  {words}" in checked.out


def test_wrong_settings_are_named_together(clock: FakeClock) -> None:
    outcome = clock.run(
        sync_subscribers.main,
        None,
        MAILERLITE_API_KEY="op://team/mailerlite/key",
        MAILERLITE_FIELDS="firstname:name,lastname:name",
        CONTACT_FILTER="lifecyclestage",
        MAX_NEW="many",
        MAILERLITE_REQUESTS_PER_MINUTE="0",
        MAILERLITE_VALUES="names",
    )
    assert (outcome.code, outcome.report["outcome"]) == (2, "failed")
    assert "HUBSPOT_ACCESS_TOKEN is missing" in outcome.err
    assert f"op run --env-file=.env -- {PYTHON} sync_subscribers.py" in outcome.err
    assert "MAILERLITE_FIELDS must be pairs such as firstname:name" in outcome.err
    assert "CONTACT_FILTER must be conditions such as lifecyclestage=customer" in outcome.err
    assert "MAX_NEW must be a whole number, not 'many'" in outcome.err
    assert "MAILERLITE_REQUESTS_PER_MINUTE must be a number above 0" in outcome.err
    assert "MAILERLITE_VALUES must be labels or internal, not 'names'" in outcome.err


@pytest.mark.parametrize(
    "fields", ["firstname", "firstname:", ":name", "a:b:c", "../x:name", "a:b c"]
)
def test_a_mapping_that_is_none(clock: FakeClock, fields: str) -> None:
    outcome = clock.run(sync_subscribers.main, None, MAILERLITE_FIELDS=fields)
    assert f"not {fields!r}" in outcome.err


def token(sandbox: Sandbox) -> None:
    sandbox.hubspot.token = "pat-another-token"


def key(sandbox: Sandbox) -> None:
    sandbox.mailerlite.token = "another-key"


def scope(name: str) -> Spoil:
    return lambda sandbox: sandbox.hubspot.scopes.discard(f"crm.{name}.contacts.read")


def without(name: str) -> Spoil:
    return lambda sandbox: sandbox.hubspot.properties["contacts"].pop(name)


NOT_IN_PLACE = [
    (token, 1, "HubSpot, list of contact properties: the key was rejected. Check HUBSPOT_ACCESS"),
    (key, 1, "the key was rejected. Check MAILERLITE_API_KEY. A token stops"),
    (scope("schemas"), 1, "Add the scope crm.schemas.contacts.read"),
    (scope("objects"), 1, "Add the scope crm.objects.contacts.read"),
    (without("city"), 2, "HubSpot has no contact property city. Fix MAILERLITE_FIELDS"),
    (without("hs_email_optout"), 1, "HubSpot does not show the contact property hs_email_optout"),
]


@pytest.mark.parametrize(("spoil", "code", "words"), NOT_IN_PLACE)
@pytest.mark.parametrize("flag", ["--check", "--quiet"])
def test_what_is_not_in_place_is_named_with_its_remedy(
    clock: FakeClock, spoil: Spoil, code: int, words: str, flag: str
) -> None:
    with make([contact(JO)], [], clock) as sandbox:
        settings = sandbox.settings
        spoil(sandbox)
        outcome = run(clock, sandbox, flag, **settings)
        assert sandbox.writes == []
    assert outcome.code == (1 if flag == "--check" else code)
    assert outcome.text.count(words) == 1
    assert "Traceback" not in outcome.text


def test_check_lists_what_is_in_place(clock: FakeClock, tmp_path: Path) -> None:
    settings = {"MAILERLITE_FIELDS": "firstname:name,city:town", "MAILERLITE_GROUPS": "Shops"}
    with make([contact(JO)], [subscriber(AL)], clock, groups={"7": "Shops"}) as sandbox:
        outcome = run(clock, sandbox, "--check", "--create-fields", **settings)
        assert sandbox.writes == []
        url, key = (sandbox.settings[f"MAILERLITE_{name}"] for name in ("BASE_URL", "API_KEY"))
    memory = account_file("subscribers", f"{url} {key}", ".sqlite3")
    folder = memory.parent
    assert outcome.code == 0
    assert outcome.out.splitlines() == [
        "OK   HubSpot accepts the key: account 12345 on app.hubspot.com.",
        "OK   HubSpot can be used: its contacts have 25 properties.",
        "OK   MailerLite accepts the token. The account has 8 fields and the group Shops (its API"
        " does not show the account's name).",
        "OK   People who opted out of any subscription type in HubSpot are skipped."
        " Subscription types: Newsletter (11), Marketing Information (12).",
        "OK   People who have not confirmed HubSpot's double opt-in are skipped.",
        "OK   HubSpot's firstname (string) goes to MailerLite's name (text).",
        "OK   HubSpot's city (string) goes to MailerLite's town (text), which will be created.",
        "OK   Everyone in scope joins the group Shops.",
        "OK   HubSpot's contacts can be read.",
        "OK   MailerLite's subscribers can be read: 1 active subscriber.",
        "OK   Use --first-run for the first real run.",
        "OK   Settings come from the environment alone.",
        f"OK   The run history is kept in {folder}.",
        f"OK   No run history yet; the first run creates {memory}.",
        "OK   No other run is active.",
        f"OK   Reports are written to {tmp_path / 'report.json'}.",
        "Ready.",
    ]
    assert not list(tmp_path.rglob("*.sqlite3"))


def test_check_looks_at_the_memory_too(clock: FakeClock, tmp_path: Path) -> None:
    path = tmp_path / "named.sqlite3"
    with make([contact(JO)], [], clock) as sandbox:
        run_first(clock, sandbox, "--state", str(path))
        sound = run(clock, sandbox, "--check", "--state", str(path))
        path.write_text("damaged")
        damaged = run(clock, sandbox, "--check", "--state", str(path))
    assert f"OK   The run history can be used: {path}.\n" in sound.out
    assert "--first-run" not in sound.out
    assert (sound.code, damaged.code) == (0, 1)
    assert "\nFIX  " in damaged.out
    assert damaged.out.endswith("\n1 thing to fix.\n")


def test_a_run_names_the_accounts(clock: FakeClock) -> None:
    groups = {str(number): f"Group {number}" for number in range(1, 8)}
    with make([contact(JO)], [], clock, groups=groups) as sandbox:
        outcome = run(clock, sandbox, "--dry-run")
        sandbox.faults = [
            Fault("status", path="/groups$", status=403),
            Fault("status", path="/account-info/", status=403),
        ]
        untold = run(clock, sandbox, "--dry-run")
    words = (
        "HubSpot is account 12345 on app.hubspot.com. MailerLite has the groups Group 1, Group 2"
    )
    assert f"  {words}, Group 3, Group 4, Group 5 and 2 more.\n" in outcome.err
    assert (untold.code, "  MailerLite has no groups.\n" in untold.err) == (0, True)
    assert untold.report["accounts"] == "MailerLite has no groups."


def test_two_values_with_one_label_have_one_group(clock: FakeClock) -> None:
    tier = {"contacts": {"tier": {**definition("enumeration", options=["gold", "Gold"])}}}
    with make(
        [contact(JO, tier="gold"), contact(AL, tier="Gold")], [], clock, {"properties": tier}
    ) as sandbox:
        outcome = run(clock, sandbox, "--create-groups", GROUP_BY="tier")
        assert list(sandbox.mailerlite.groups.values()) == ["Gold"]
    assert (outcome.code, [row["groups"] for row in outcome.report["create"]]) == (
        0,
        [["Gold"]] * 2,
    )
