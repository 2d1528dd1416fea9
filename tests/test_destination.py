"""What every destination of companies shares, with one that no service stands behind."""

from __future__ import annotations

from typing import Sequence

import pytest

from cli import command
from cli.run import Run
from companies import limits
from companies.afterwards import Afterwards, Destination
from companies.apply import Application, Applied
from companies.evidence import Evidence
from companies.limits import Change, Rules
from companies.plan import (
    Criteria,
    Difference,
    Listed,
    Plan,
    Wanted,
    WantedCompany,
    compare,
    make_plan,
)
from companies.sections import tell_result
from core.errors import Outcome, ServiceError
from core.limits import Limit
from hubspot_api.shapes import Company
from tests.helpers import FakeClock

STORE = Change("store", "To store", "Stored", "Store", "be stored")
DROP = Change("drop", "To drop", "Dropped", "Let go of", "be dropped")
NO_CHANGE = Rules(STORE, DROP, "on the shelf", Limit(0), Limit(0), frozenset(), "KEEP", 7)


def make_wanted(*numbers: int) -> Wanted:
    wanted = Wanted(Criteria(("shopify",), 1_000_000))
    for n in numbers:
        wanted.add(Company(n, f"Shop {n}", f"shop-{n}.example", "shopify", "1", None, None))
    return wanted


def make_run(clock: FakeClock, *argv: str) -> Run:
    arguments = command.parser("A test.")
    limits.add_flags(arguments, STORE, DROP, "on the shelf")
    return Run("test", "A test", arguments.parse_args([*argv, "--quiet"]), clock)


class Shelf:
    """What it shows: the names that it holds, but for the hidden ones."""

    def __init__(self, *names: str) -> None:
        self.names: list[str] = list(names)
        self.hidden: Sequence[str] = ()

    def put(self, entry: WantedCompany) -> None:
        self.names.append(entry.domain)

    def listed(self) -> Listed:
        return {name: () for name in self.names if name not in self.hidden}

    def destination(self) -> Destination:
        return Destination("Shelf", "Shelf holds", self.put, self.names.remove, self.listed)


def differ(wanted: Wanted, shelf: Shelf) -> Difference:
    return compare(wanted, shelf.listed(), "Shelf holds")


def plan_for(wanted: Wanted, shelf: Shelf) -> Plan:
    return make_plan(wanted, differ(wanted, shelf), look_up({}), [], [], "Shelf")


def look_up(_surplus: Listed) -> Evidence:
    """HubSpot has none of them."""
    return Evidence([], {})


def apply(run: Run, wanted: Wanted, plan: Plan, destination: Destination) -> Applied:
    afterwards = Afterwards(destination, wanted, {}, [], [], run.clock)
    application = Application(run, destination, wanted, look_up, afterwards)
    return application.apply(plan, STORE.title, DROP.title)


def test_a_destination_in_memory(clock: FakeClock) -> None:
    run, wanted, shelf = make_run(clock), make_wanted(1, 2), Shelf("shop-2.example", "x.example")
    plan = plan_for(wanted, shelf)
    applied = apply(run, wanted, plan, shelf.destination())
    assert shelf.names == ["shop-2.example", "shop-1.example"]
    assert tell_result(run, plan, applied, "Shelf", "on the shelf", set()) is Outcome.SYNCED
    assert run.report.summary == [
        "Checked afterwards: Shelf lists all 2 wanted companies and none that is not wanted."
    ]


def test_what_is_left_is_named(clock: FakeClock) -> None:
    run, wanted, shelf = make_run(clock), make_wanted(1), Shelf("x.example")
    plan, shelf.hidden = plan_for(wanted, shelf), ["shop-1.example"]
    keeping = shelf.destination()._replace(remove=lambda _domain: None)
    applied = apply(run, wanted, plan, keeping)
    assert tell_result(run, plan, applied, "Shelf", "on the shelf", set()) is Outcome.PARTIAL
    assert run.report.summary[-1] == (
        "Checked afterwards: Shelf lists 0 of 1 wanted company. Missing: shop-1.example."
        " On the shelf and not wanted: x.example."
    )


def test_what_is_kept_is_not_unwanted(clock: FakeClock) -> None:
    run, wanted, shelf = make_run(clock, "--no-drop"), make_wanted(1), Shelf("x.example")
    difference = limits.leave(differ(wanted, shelf), run.args, NO_CHANGE)
    plan = make_plan(wanted, difference, look_up({}), [], [], "Shelf")
    applied = apply(run, wanted, plan, shelf.destination())
    assert tell_result(run, plan, applied, "Shelf", "on the shelf", set()) is Outcome.SYNCED
    assert run.report.checked_after == {"listed": 2, "missing": [], "unwanted": []}


def test_a_list_that_cannot_be_read_in_the_end(clock: FakeClock) -> None:
    def fail() -> Listed:
        raise ServiceError("Shelf, list: it fell down.")

    run, wanted, shelf = make_run(clock), make_wanted(1), Shelf()
    plan = plan_for(wanted, shelf)
    applied = apply(run, wanted, plan, shelf.destination()._replace(listed=fail))
    assert tell_result(run, plan, applied, "Shelf", "on the shelf", set()) is Outcome.PARTIAL
    assert run.report.summary == ["Not checked afterwards: Shelf, list: it fell down."]


def test_where_names_stay_a_late_list_holds_nothing_back(clock: FakeClock) -> None:
    wanted, shelf = make_wanted(1), Shelf("x.example")
    plan, shelf.hidden = plan_for(wanted, shelf), ["shop-1.example"]
    applied = apply(make_run(clock), wanted, plan, shelf.destination())
    assert [result.status for result in applied.removed] == ["done"]


def test_where_nobody_can_tell_a_name_it_holds_back(clock: FakeClock) -> None:
    wanted, shelf = make_wanted(1), Shelf("x.example")
    plan, shelf.hidden = plan_for(wanted, shelf), ["shop-1.example"]
    silent = shelf.destination()._replace(listed_under=lambda _domain: ())
    applied = apply(make_run(clock), wanted, plan, silent)
    assert [result.status for result in applied.removed] == ["held_back"]
    assert "x.example" in shelf.names


@pytest.mark.parametrize(
    ("argv", "flags"),
    [
        ([], ["--max-drop 1", "--max-store 2"]),
        (["--max-drop", "1"], ["--max-store 2"]),
        (["--max-store", "2"], ["--max-drop 1"]),
        (["--max-drop", "100%", "--max-store", "5"], []),
    ],
)
def test_a_flag_wins_over_the_setting(
    clock: FakeClock, argv: Sequence[str], flags: Sequence[str]
) -> None:
    plan = plan_for(make_wanted(1, 2), Shelf("x.example"))
    args = make_run(clock, *argv).args
    found = limits.refusals(plan, args, NO_CHANGE, set())
    assert [refusal.allow_with for refusal in found] == flags


def test_nothing_wanted(clock: FakeClock) -> None:
    plan = plan_for(make_wanted(), Shelf("x.example"))
    for argv, reasons in (
        ([], ["HubSpot has no matching company, while 1 company is on the shelf."]),
        (["--allow-empty"], []),
    ):
        args = make_run(clock, *argv).args
        rules = NO_CHANGE._replace(max_add=None, max_remove=Limit(9))
        found = limits.refusals(plan, args, rules, set())
        assert [refusal.reason for refusal in found] == reasons


def test_what_is_left_on_purpose(clock: FakeClock) -> None:
    wanted, rows = make_wanted(), ("x.example", "y.example", "z.example")
    by_name, by_flag = "kept on purpose (--keep or KEEP)", "kept on purpose (--no-drop)"
    for argv, reasons in (
        ([], [None, None, by_name]),
        (["--keep", "x.example"], [by_name, None, by_name]),
        (["--no-drop"], [by_flag, by_flag, by_name]),
    ):
        difference = differ(wanted, Shelf(*rows))
        rules = NO_CHANGE._replace(keep=frozenset(["z.example"]))
        left = limits.leave(difference, make_run(clock, *argv).args, rules)
        protected = {entry.domain: entry.reason for entry in left.protected}
        assert [protected.get(row) for row in rows] == reasons
        assert set(left.surplus) == set(rows) - set(protected)
