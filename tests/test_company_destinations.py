"""What every destination of companies has, whatever its script says: each script that is found, and
a destination made up here, pass the same tests. Nothing here knows a stand-in: what a destination
lists is what its own runs tell, and its methods are made to fail."""

from __future__ import annotations

import difflib
import importlib
import re
from pathlib import Path
from typing import Any, Callable, ClassVar, Sequence

import pytest

import companies.sync
from companies.destination import Action, Current, Destination
from companies.matching import Change
from core.clock import Clock
from core.errors import CallRejected
from core.settings import SettingsReader
from report.model import Finding
from sandbox import HubSpot, Sandbox
from state.lock import run_lock
from tests.helpers import FAST, MATCH, ROOT, Ended, FakeClock, let_dry_runs_write
from tests.layers import scripts
from transport.http_client import HttpClient
from transport.response import Service
from transport.service_client import ServiceSettings

OWNED = {"MAX_FOLLOW", "MAX_UNFOLLOW", "KEEP_FOLLOWING"}  # PredictLeads' own: it was the first
WEEK_S = 7 * 86_400.0


class Shelf(Destination):
    """A list in memory, of companies that keep their domains."""

    name, job, title = "Shelf", "shelf", "Companies on the shelf"
    description, verb, listed = "Keep a shelf.", "holds", "shelved"
    adding = Action("store", "stored", "storing", "MAX_SHELF_STORE")
    removing = Action("drop", "dropped", "dropping", "MAX_SHELF_DROP")
    keep_setting = "KEEP_ON_SHELF"
    rows: ClassVar[list[str]] = []

    def __init__(self, settings: ServiceSettings, clock: Clock, dry_run: bool) -> None:
        service = Service("Shelf", lambda _response: "")
        self.http = HttpClient(service, *settings, clock=clock, dry_run=dry_run)

    @staticmethod
    def settings(reader: SettingsReader) -> ServiceSettings:
        key = reader.secret("HUBSPOT_ACCESS_TOKEN", "any key will do")
        return ServiceSettings("https://shelf.example", {"Key": key}, 9.0)

    def check(self) -> Finding:
        return Finding(True, "The shelf is there.")

    def fetch_current(self, on_rows: Callable[[int], None]) -> Current:
        on_rows(len(self.rows))
        return Current(dict.fromkeys(self.rows, ()))

    def add(self, company: Change) -> None:
        self.rows.append(company.domain)

    def remove(self, domain: str) -> None:
        self.rows.remove(domain)


def destination_of(script: str) -> type[Destination] | None:
    """That of a script, if it is one of companies."""
    found = vars(importlib.import_module(script)).values()
    own = (each for each in found if isinstance(each, type) and Destination in each.__mro__[1:])
    return next(own, None)


DESTINATIONS: list[type[Destination]] = [
    Shelf,
    *(found for script in scripts() if (found := destination_of(script))),
]


class World:
    """HubSpot and the destination, whose every call that changes something is written down."""

    def __init__(
        self, destination: type[Destination], clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.destination, self.clock = destination, clock
        self.sandbox = Sandbox(HubSpot([], searches_per_second=None), clock=clock)
        self.writes: list[tuple[str, str]] = []
        self.fail: Callable[[str, str], None] = lambda _action, _domain: None
        add, remove = destination.add, destination.remove

        def watched_add(destination: Any, company: Change) -> None:
            self._note("add", company.domain)
            add(destination, company)

        def watched_remove(destination: Any, domain: str) -> None:
            self._note("remove", domain)
            remove(destination, domain)

        monkeypatch.setattr(destination, "add", watched_add)
        monkeypatch.setattr(destination, "remove", watched_remove)
        monkeypatch.setattr("cli.changes.WRITERS", 1)

    def _note(self, action: str, domain: str) -> None:
        self.writes.append((action, domain))
        self.fail(action, domain)

    def main(self, argv: Sequence[str], clock: Clock) -> int:
        return companies.sync.main(self.destination, argv, clock)

    def run(self, *flags: str, **settings: str) -> Ended:
        return self.clock.run(self.main, self.sandbox, *flags, **{**FAST, **settings})

    def matches(self, *numbers: int) -> None:
        """These shops match in HubSpot, and no others."""
        for key in list(self.sandbox.hubspot.table("companies")):
            self.sandbox.hubspot.archive("companies", key)
        for n in numbers:
            domain = f"shop-{n}.example"
            self.sandbox.hubspot.add("companies", {"name": "A shop", "domain": domain, **MATCH})

    def lists(self, *numbers: int) -> None:
        """The destination lists these shops, since an earlier run."""
        self.matches(*numbers)
        self.run("--allow-empty", self.flag("max", "removing"), "100%")
        self.writes.clear()

    def flag(self, kind: str, action: str) -> str:
        return f"--{kind}-{getattr(self.destination, action).key}"

    def rows(self, ended: Ended, action: str) -> dict[str, str]:
        key = getattr(self.destination, action).key
        return {row["domain"]: row["status"] for row in ended.report[key]}


@pytest.fixture(params=DESTINATIONS, ids=[each.name for each in DESTINATIONS])
def world(request: pytest.FixtureRequest, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Any:
    Shelf.rows.clear()
    made = World(request.param, clock, monkeypatch)
    with made.sandbox:
        yield made


ADD_1, REMOVE_3 = ("add", "shop-1.example"), ("remove", "shop-3.example")


def test_every_script_of_companies_is_found() -> None:
    assert {"Shelf", "PredictLeads"} <= {each.name for each in DESTINATIONS}


def test_a_run_adds_first_and_the_second_writes_nothing(world: World) -> None:
    world.lists(2, 3)
    world.matches(1, 2)
    ended = world.run()
    assert (ended.code, ended.report["outcome"]) == (0, "synced")
    assert world.writes == [ADD_1, REMOVE_3]
    assert ended.out.endswith(" exactly the 2 matching companies.\n")
    again = world.run("-q")
    assert (again.code, again.text, len(world.writes)) == (0, "", 2)


def test_a_dry_run_writes_nothing_and_leaves_no_trace(world: World) -> None:
    world.matches(1)
    ended = world.run("--dry-run")
    assert (ended.code, world.rows(ended, "adding")) == (0, {"shop-1.example": "planned"})
    assert world.run("--check").out.endswith("Ready.\n")
    assert (world.writes, list(Path.home().iterdir())) == ([], [])


def test_a_dry_run_cannot_write_whatever_the_script_does(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.matches(1)
    refused = let_dry_runs_write(monkeypatch)
    assert world.run("--dry-run").code == 0
    assert sorted(refused) == sorted(["HubSpot", world.destination.name])


def test_removals_are_limited(world: World) -> None:
    world.lists(*range(10))
    world.matches(0, 1)
    setting, flag = world.destination.removing.limit_setting, world.flag("max", "removing")
    ended = world.run()
    assert (ended.code, ended.report["refusals"][0]["allow_with"]) == (3, f"{flag} 8")
    assert world.run(flag, "7", **{setting: "9"}).code == 3
    assert world.run(**{setting: "7"}).code == 3
    assert world.writes == []
    assert world.run(**{setting: "8"}).code == 0
    assert len(world.writes) == 8


def test_additions_are_limited(world: World) -> None:
    world.matches(1, 2, 3)
    setting, flag = world.destination.adding.limit_setting, world.flag("max", "adding")
    for refused in (world.run(flag, "2"), world.run(**{setting: "2"})):
        assert (refused.code, refused.report["refusals"][0]["allow_with"]) == (3, f"{flag} 3")
    assert world.writes == []
    assert world.run(flag, "3", **{setting: "2"}).code == 0


@pytest.mark.no_cover
def test_an_empty_hubspot_is_refused(world: World) -> None:
    assert world.run().code == 0  # as long as nothing is listed
    world.lists(*range(9))
    world.matches()
    flag = world.flag("max", "removing")
    ended = world.run()
    flags = [each["allow_with"] for each in ended.report["refusals"]]
    assert (ended.code, flags) == (3, [f"{flag} 9", "--allow-empty"])
    assert world.run("--allow-empty").code == world.run(flag, "9").code == 3
    assert world.writes == []
    assert world.run("--allow-empty", flag, "9").code == 0
    assert len(world.writes) == 9
    assert world.run().out.endswith("Nothing to do: no company in HubSpot matches.\n")


def test_what_is_kept_on_purpose(world: World) -> None:
    world.lists(1, 2, 3, 4)
    world.matches(1)
    kept = {world.destination.keep_setting: "shop-2.example"}
    ended = world.run("--keep", "shop-3.example", **kept)
    assert world.writes == [("remove", "shop-4.example")]
    assert ended.out.endswith("the 1 matching company, and 2 more that were kept on purpose.\n")
    world.matches(5)
    only = world.run(world.flag("no", "removing"))
    assert world.writes[1:] == [("add", "shop-5.example")]
    assert ended.code == only.code == 0
    assert only.out.endswith("the 1 matching company, and 3 more that were kept on purpose.\n")


def test_one_run_at_a_time(world: World) -> None:
    world.matches(1)
    reader = SettingsReader(world.sandbox.settings, "a.py")
    account = reader.load(world.destination.settings).account
    with run_lock(world.destination.job, account, world.clock):
        assert world.run().code == 5
        assert world.run("--dry-run").code == 0
    assert world.writes == []
    assert world.run().code == 0


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_kill_and_the_next_run(world: World, nth: int) -> None:
    world.lists(3, 4)
    world.matches(1, 2)

    def kill(_action: str, _domain: str) -> None:
        if len(world.writes) == nth:
            raise KeyboardInterrupt

    world.fail = kill
    with pytest.raises(KeyboardInterrupt):
        world.run()
    told = world.run("--history", "1").out
    assert f"broken off: {nth} sent, not confirmed" in told or f"up to {nth} change" in told
    assert world.run().code == 0
    assert world.run("-q").text == ""
    assert world.run().report["counts"]["keep"] == 2


def test_the_history_tells_what_was_done(world: World) -> None:
    world.lists(2)
    world.matches(1)
    world.run()
    changes = world.run("--history", "1").report["changes"]
    adding, removing = world.destination.adding, world.destination.removing
    assert [(row["who"], row["action"], row["status"]) for row in changes] == [
        ("shop-1.example", adding.key, "done"),
        ("shop-2.example", removing.key, "done"),
    ]
    assert f"done: 1 {adding.done}, 1 {removing.done}\n" in world.run("--history", "1").out


def test_explain_says_what_the_next_run_does(world: World) -> None:
    world.lists(2, 3)
    world.matches(1, 2)
    flags = [text for n in range(1, 5) for text in ("--explain", f"shop-{n}.example")]
    told = {row["domain"]: row["next"] for row in world.run(*flags).report["explain"]}
    assert world.writes == []
    ended = world.run()
    done = dict.fromkeys(world.rows(ended, "adding"), world.destination.adding.key)
    done.update(dict.fromkeys(world.rows(ended, "removing"), world.destination.removing.key))
    assert {row: coming for row, coming in told.items() if coming != "nothing"} == done


def refuse(_action: str, domain: str) -> None:
    raise CallRejected(f"A service, {domain}: 422", 422)


def test_a_refused_addition_is_told_once_and_asked_for_again_later(world: World) -> None:
    world.matches(1)
    world.fail = refuse
    first = world.run("-q")
    assert (first.code, first.err) == (4, "")  # the list has said it
    assert "shop-1.example  A service" in first.out
    quiet = world.run("-q", MAX_FOLLOW="0")
    assert (quiet.code, quiet.text, world.writes) == (0, "", [ADD_1])
    assert [row["domain"] for row in quiet.report["waiting"]] == ["shop-1.example"]
    world.clock.now += WEEK_S
    again = world.run("-q", **{world.destination.adding.limit_setting: "0"})
    assert (again.code, again.report["outcome"], world.writes) == (0, "in_sync", [ADD_1] * 2)
    assert "shop-1.example  A service" in again.out
    assert world.run("-q").text == ""


def test_a_refused_removal_is_told_once_and_tried_by_every_run(world: World) -> None:
    world.lists(1, 3)
    world.matches(1)
    world.fail = refuse
    assert world.run("-q").code == 4
    quiet = world.run("-q")
    assert (quiet.code, quiet.text, world.writes) == (0, "", [REMOVE_3] * 2)
    world.clock.now += WEEK_S
    assert "shop-3.example  A service" in world.run("-q").out
    world.fail = lambda _action, _domain: None
    assert world.run("-q").report["outcome"] == "synced"


def test_no_two_scripts_share_a_run_history() -> None:
    jobs = [each.job for each in DESTINATIONS]
    assert len({*jobs, "subscribers", "contact"}) == len(jobs) + 2


@pytest.mark.parametrize("destination", DESTINATIONS)
def test_words_of_a_destination_are_no_keys_of_the_report(destination: type[Destination]) -> None:
    """They name sections, counts and flags: another meaning would overwrite the first."""
    own = [destination.listed, destination.adding.key, destination.removing.key]
    assert len(set(own)) == 3
    assert all(re.fullmatch("[a-z]+", each) for each in own)
    taken = "keep kept skip skipped matching wanted waiting shared done failed plan counts error"
    assert not {*own} & {
        *taken.split(),
        "mode",
        "settings",
        "summary",
        "history",
        "runs",
        "changes",
    }


@pytest.mark.parametrize("destination", DESTINATIONS)
def test_settings_carry_the_name_of_the_service(destination: type[Destination]) -> None:
    """And none is a slip away from that of another script."""
    own = {
        destination.adding.limit_setting,
        destination.removing.limit_setting,
        destination.keep_setting,
    }
    assert all(name in OWNED or destination.name.upper() in name for name in own)
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    others = {*re.findall(r"^#?([A-Z][A-Z0-9_]*)=", example, re.MULTILINE)} - own
    for name in own:
        assert difflib.get_close_matches(name, others, cutoff=0.9) == []
