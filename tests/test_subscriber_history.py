"""What `sync_subscribers.py` tells of earlier runs: who it was is known by hash alone."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import date
from pathlib import Path

import pytest

from sandbox import Fault, Sandbox
from sandbox.hubspot import definition
from state import history
from subscribers import verification
from subscribers.memory import PersonStore
from tests.helpers import START, Ended, FakeClock
from tests.people import (
    AL,
    BO,
    JO,
    before_looks,
    contact,
    make,
    run,
    run_first,
    statuses,
    subscriber,
)

DAY_S = 86_400
SHOPS = {"groups": {"7": "Shops"}}
COUNTRY = {"contacts": {"country": {**definition("enumeration", options=["de", "fr"])}}}
BACK = ["--opt-out-unsubscribed", "--max-opt-out", "9"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.sqlite3"


def told_lines(outcome: Ended) -> list[str]:
    """Without the time of a run."""
    return [line.split("  ", 1)[1] for line in outcome.out.splitlines()]


def changes(outcome: Ended) -> list[tuple[str, str, str]]:
    rows = outcome.report["changes"]
    return [(row["action"], row["reason"] or "", row["status"]) for row in rows]


def noted(path: Path, clock: FakeClock, email: str) -> list[tuple[str, str]]:
    with PersonStore(path, True, START.date(), 7) as memory:
        found = history.History(memory, clock, None).changes_of(memory.hash_of(email))
    return [(each.action, each.status) for each in found]


def everything_at_once(clock: FakeClock) -> Sandbox:
    """For each kind of change somebody, once there was a run."""
    contacts = [contact(JO), contact(AL), contact(BO), contact("cy@mail.example", country="de")]
    hubspot = {"properties": COUNTRY}
    return make(contacts, [], clock, hubspot, **SHOPS)


def change_everybody(sandbox: Sandbox) -> None:
    hubspot = sandbox.hubspot
    hubspot.edit("contacts", 101, firstname="Johanna-Secret")
    hubspot.edit("contacts", 102, hs_email_optout="true")
    hubspot.edit("contacts", 104, country="fr")
    hubspot.add("contacts", {"email": "new@mail.example", "firstname": "Newest-Secret"})
    sandbox.mailerlite.subscribers[BO]["status"] = "unsubscribed"


SETTINGS = {
    "MIRROR_GROUP": "Shops",
    "CONTACT_FILTER": "country!=fr",
    "HUBSPOT_SUBSCRIPTIONS": "Newsletter",
}


def test_every_change_is_in_the_history(clock: FakeClock, tmp_path: Path, path: Path) -> None:
    page, flags = tmp_path / "run.html", ["--state", str(path), "--unsubscribe-opted-out", *BACK]
    with everything_at_once(clock) as sandbox:
        first = run(clock, sandbox, *flags, **SETTINGS)
        clock.now += 3600
        run(clock, sandbox, *flags, **SETTINGS)
        change_everybody(sandbox)
        second = run(clock, sandbox, *flags, **SETTINGS)
        outcome = run(clock, sandbox, *flags[:2], "--history")
        clock.now += DAY_S
        run(clock, sandbox, *flags, "--report", str(page), **SETTINGS)
        content = path.read_bytes()
    assert (first.code, second.code, outcome.code) == (0, 0, 0)
    assert told_lines(outcome) == [
        "done: 1 opted out in HubSpot, 1 unsubscribed, 1 removed from a group, 1 updated,"
        " 1 created",
        "1 run with nothing to do, 21 Nov 2026, 09:00 UTC",
        "done: 4 created",
    ]
    assert sorted(changes(outcome)[:5]) == [
        ("create", "name, joins 1 group", "done"),
        ("leave", "its country has changed", "done"),
        ("opt_out", "unsubscribed in MailerLite", "done"),
        ("unsubscribe", "opted out in HubSpot", "done"),
        ("update", "name", "done"),
    ]
    assert [row["outcome"] for row in outcome.report["runs"]] == ["synced", "synced"]
    link = "https://app.hubspot.com/contacts/12345/record/0-1/"
    rows = outcome.report["changes"]
    assert [row["link"] for row in rows] == [f"{link}{row['hubspot_id']}" for row in rows]
    assert b"mail.example" not in content
    assert b"Secret" not in content
    with contextlib.closing(sqlite3.connect(path)) as file:
        texts = "".join(file.iterdump())  # writes hashes in hexadecimal: two letters may be in any
    assert " fr" not in texts
    assert "by_reason" not in texts
    assert "Fr" not in texts
    assert (
        '/record/0-1/101">HubSpot contact 101, ' in page.read_text().split('<h2 id="history">')[1]
    )


def test_what_was_not_done_is_not_told_as_done(clock: FakeClock, path: Path) -> None:
    with make([contact(JO), contact(AL)], [], clock, not_taken=[JO]) as sandbox:
        run(clock, sandbox, "--state", str(path))
        outcome = run(clock, sandbox, "--state", str(path), "--history")
    assert "done in part: 1 created, 1 failed" in outcome.out
    assert noted(path, clock, JO) == [("create", "failed")]
    assert noted(path, clock, AL) == [("create", "done")]


@pytest.mark.parametrize("stays_in", ["7", "8"])
def test_the_lists_of_the_groups_decide(clock: FakeClock, path: Path, stays_in: str) -> None:
    """Who has not left one of several groups has not left."""
    groups = {"7": "Shops", "8": "De", "9": "Fr"}
    people = [{**subscriber(AL), "groups": ["7", "8"]}]
    with make([], people, clock, {"properties": COUNTRY}, groups=groups) as sandbox:

        def put_back(request: object) -> None:
            there = sandbox.mailerlite.subscribers[AL]["groups"]
            there += [stays_in] if stays_in not in there else []

        sandbox.on_request = put_back
        flags = ["--state", str(path), "--mirror-group", "Shops", "--allow-empty"]
        run_first(clock, sandbox, *flags, GROUP_BY="country")
        assert sandbox.mailerlite.subscribers[AL]["groups"] == [stays_in]
    assert noted(path, clock, AL) == [("leave", "failed")]


def test_who_is_written_alone_after_an_import_is_noted_once(clock: FakeClock, path: Path) -> None:
    with make([contact(JO), contact(AL)], [], clock, import_loses=[JO], **SHOPS) as sandbox:
        flags = ["--state", str(path), "--import", "--mirror-group", "Shops"]
        run(clock, sandbox, *flags)
        assert len(statuses(sandbox)) == 2
    assert noted(path, clock, JO) == noted(path, clock, AL) == [("create", "done")]


def test_the_counts_in_the_file_tell_no_reasons(clock: FakeClock, path: Path) -> None:
    """Who is not meant any more right before the write is skipped for the value that says so."""
    contacts = [contact(JO, country="de")]
    with make(contacts, [], clock, {"properties": COUNTRY}) as sandbox:
        before_looks(sandbox, lambda: sandbox.hubspot.edit("contacts", 101, country="fr"))
        first = run(clock, sandbox, "--state", str(path), CONTACT_FILTER="country=de")
        outcome = run(clock, sandbox, "--state", str(path), "--history")
    assert first.report["counts"]["skipped_by_reason"] == {
        "its country is Fr, and only De matches": 1
    }
    assert "is Fr" not in str(outcome.report)


def test_a_refused_run_and_a_failed_one(clock: FakeClock, path: Path) -> None:
    with make([contact(JO)], [], clock) as sandbox:
        run(clock, sandbox, "--state", str(path))
        sandbox.hubspot.add("contacts", {"email": AL})
        run(clock, sandbox, "--state", str(path), "--max-new", "0")
        body = {"message": f"Nobody may see {BO}."}
        sandbox.faults = [Fault("status", path="^/subscribers$", status=403, body=body)]
        run(clock, sandbox, "--state", str(path))
        sandbox.faults = []
        outcome = run(clock, sandbox, "--state", str(path), "--history", "2")
    failed, refused = told_lines(outcome)
    limit = "This run would create 1 person in MailerLite. The limit is 0."
    assert refused == f"stopped as a precaution: {limit}"
    assert failed.startswith("failed: MailerLite")
    assert "Nobody may see ***@mail.example" in failed


@pytest.mark.parametrize("fails", ["^/fields$", "^/subscribers$"])
def test_a_failed_run_keeps_the_recent_ones_on_the_page(
    clock: FakeClock, path: Path, tmp_path: Path, fails: str
) -> None:
    page = tmp_path / "run.html"
    with make([contact(JO)], [], clock) as sandbox:
        run(clock, sandbox, "--state", str(path))
        sandbox.hubspot.add("contacts", {"email": AL})
        run(clock, sandbox, "--state", str(path))
        sandbox.faults = [Fault("status", path=fails, status=401)]
        assert run(clock, sandbox, "--state", str(path), "--report", str(page)).code == 1
    recent = page.read_text(encoding="utf-8").split('<h2 id="history">')[1]
    assert recent.count(">1 created<") == 2


def test_a_run_that_fails_at_the_start(clock: FakeClock, path: Path) -> None:
    """It is noted, but makes no file."""
    down = [Fault("status", path="^/fields$", status=401)]
    with make([contact(JO)], [], clock) as sandbox:
        sandbox.faults = down
        assert run(clock, sandbox, "--state", str(path)).code == 1
        assert not path.exists()
        sandbox.faults = []
        run(clock, sandbox, "--state", str(path))
        sandbox.faults = down
        assert run(clock, sandbox, "--state", str(path)).code == 1
        run(clock, sandbox, "--state", str(path), "--dry-run")
        sandbox.faults = []
        lists = run(clock, sandbox, "--state", str(path), "--list", f"Of {BO}")
        outcome = run(clock, sandbox, "--state", str(path), "--history")
        content = path.read_bytes()
    no_list, failed, done = told_lines(outcome)
    assert (lists.code, f"Of {BO}" in lists.err) == (2, True)
    assert "Of ***@mail.example" in no_list
    assert failed.startswith("failed: MailerLite")
    assert done == "done: 1 created"
    assert BO.encode() not in content


def test_a_dry_run_and_a_question_leave_no_trace(clock: FakeClock, path: Path) -> None:
    with make([contact(JO)], [], clock) as sandbox:
        none = run(clock, sandbox, "--state", str(path), "--history")
        run(clock, sandbox, "--state", str(path), "--dry-run")
        assert not path.exists()
        run(clock, sandbox, "--state", str(path))
        before = path.read_bytes()
        for question in (["--dry-run"], ["--history"], ["--explain", JO]):
            run(clock, sandbox, "--state", str(path), *question)
        assert path.read_bytes() == before
    assert "The run history has no run that changed anything." in none.out


def test_runs_are_kept_for_a_while(clock: FakeClock, path: Path) -> None:
    with make([contact(JO)], [], clock) as sandbox:
        run(clock, sandbox, "--state", str(path))
        clock.now += 11 * DAY_S
        run(clock, sandbox, "--state", str(path), KEEP_HISTORY_DAYS="10")
    assert noted(path, clock, JO) == []


@pytest.mark.parametrize("flags", [[], ["--import", "--mirror-group", "Shops"]])
def test_what_a_killed_run_did_is_known(
    clock: FakeClock, path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str]
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with make([contact(JO), contact(AL)], [], clock, **SHOPS) as sandbox:
        with monkeypatch.context() as patch:
            patch.setattr(verification, "verify_groups", killed)
            with pytest.raises(KeyboardInterrupt):
                run(clock, sandbox, "--state", str(path), *flags)
        assert len(statuses(sandbox)) == 2
        outcome = run(clock, sandbox, "--state", str(path), "--history")
    assert told_lines(outcome) == ["broken off: up to 2 changes may have been made"]
    assert [row["action"] for row in outcome.report["changes"]] == ["create", "create"]
    assert noted(path, clock, JO) == [("create", "sent")]


def test_what_cannot_be_noted_is_not_done(clock: FakeClock, path: Path) -> None:
    with make([contact(JO)], [], clock) as sandbox:
        run(clock, sandbox, "--state", str(path))
        sandbox.hubspot.add("contacts", {"email": AL})
        with contextlib.closing(sqlite3.connect(str(path))) as file, file:
            file.execute("DROP TABLE change")
        outcome = run(clock, sandbox, "--state", str(path))
        assert statuses(sandbox) == {JO: "active"}
    assert (outcome.code, "no such table: change" in outcome.err) == (1, True)


def test_a_person_who_is_forgotten_leaves_no_trace(clock: FakeClock, path: Path) -> None:
    flags = ("--state", str(path))
    with make([contact(JO), contact(AL)], [], clock) as sandbox:
        assert run_first(clock, sandbox, *flags).code == 0
        with PersonStore(path, True, date(2026, 12, 1), 7) as store:
            theirs, others = store.hash_of(JO), store.hash_of(AL)
        dry = run(clock, sandbox, *flags, "--forget", JO.upper(), "--dry-run")
        assert "would remove jo@mail.example" in dry.out
        assert theirs in all_bytes(path)
        asked = len(sandbox.requests)
        outcome = run(clock, sandbox, *flags, "--forget", JO.upper())
        assert (outcome.code, len(sandbox.requests)) == (0, asked)
        assert "Removed jo@mail.example from the run history." in outcome.out
        assert "will add the person again" in outcome.err
        assert theirs not in all_bytes(path)
        assert others in all_bytes(path)
        again = run(clock, sandbox, *flags, "--forget", JO)
        assert "does not have jo@mail.example" in again.out
        del sandbox.mailerlite.subscribers[JO], sandbox.mailerlite.subscribers[AL]
        assert run(clock, sandbox, *flags, "--max-deleted", "100%").code == 0
        assert [*sandbox.mailerlite.subscribers] == [JO]


def all_bytes(path: Path) -> bytes:
    return b"".join(each.read_bytes() for each in path.parent.glob(f"{path.name}*"))
