"""`--approve ID` carries out one plan past the limits, and no other."""

from __future__ import annotations

import re

import pytest

import sync
from sandbox import Sandbox
from tests import people
from tests.helpers import MATCH, FakeClock, make

MANY = [1, *range(10, 20)]  # of which only the first matches


def plan_of(clock: FakeClock, sandbox: Sandbox, *flags: str) -> str:
    ended = clock.run(sync.main, sandbox, *flags)
    plan = str(ended.report["plan"])
    assert re.fullmatch("[0-9a-f]{4}-[0-9a-f]{4}", plan)
    assert plan in ended.out
    return plan


def test_a_refused_plan_is_carried_out_when_it_is_approved(clock: FakeClock) -> None:
    with make([1], MANY, clock) as sandbox:
        plan = plan_of(clock, sandbox)
        assert plan == plan_of(clock, sandbox, "--dry-run")
        dry = clock.run(sync.main, sandbox, "--dry-run", "--approve", plan)
        assert (dry.code, f"Plan {plan} would be accepted." in dry.out) == (0, True)
        assert sandbox.writes == []
        assert clock.run(sync.main, sandbox, "--approve", plan).code == 0
        assert [*sandbox.predictleads.followings] == ["shop-1.example"]
        again = clock.run(sync.main, sandbox, "--approve", plan)  # nothing is left to do
        assert (again.code, again.report["outcome"]) == (0, "in_sync")


def test_it_lifts_the_guard_of_an_empty_hubspot(clock: FakeClock) -> None:
    keep = ["--keep", "shop-1.example"]
    with make([], MANY, clock) as sandbox:
        approve = [*keep, "--approve", plan_of(clock, sandbox, *keep)]
        # The second time nothing is left to do.
        assert [clock.run(sync.main, sandbox, *approve).code for _ in range(2)] == [0, 0]
        assert [*sandbox.predictleads.followings] == ["shop-1.example"]
        refused = clock.run(sync.main, sandbox, *keep)
    assert refused.code == 3
    assert refused.out.endswith("If this is right, run it again with: --allow-empty\n")


def test_a_plan_that_has_changed_since_is_refused_with_what_is_different(clock: FakeClock) -> None:
    with make([1], MANY, clock) as sandbox:
        plan = plan_of(clock, sandbox)
        sandbox.hubspot.companies[900] = {**MATCH, "domain": "shop-10.example"}
        sandbox.hubspot.companies[901] = {**MATCH, "domain": "new.example"}
        ended = clock.run(sync.main, sandbox, "--approve", plan)
        assert (ended.code, sandbox.writes) == (3, [])
        assert f"The plan is not {plan} any more" in ended.out
        assert "New: follow new.example. No longer planned: unfollow shop-10.example." in ended.out
        assert clock.run(sync.main, sandbox, "--approve", ended.report["plan"]).code == 0
        assert sorted(sandbox.predictleads.followings) == [
            "new.example",
            "shop-1.example",
            "shop-10.example",
        ]


def test_an_id_of_a_dry_run_can_only_be_compared_as_a_whole(clock: FakeClock) -> None:
    with make([1, 2], MANY, clock) as sandbox:
        plan = plan_of(clock, sandbox, "--dry-run", "--max-unfollow", "100%")
        del sandbox.predictleads.followings["shop-10.example"]
        ended = clock.run(sync.main, sandbox, "--approve", plan)
        assert (ended.code, sandbox.writes) == (3, [])
        assert f"The plan is not {plan} any more, it is {ended.report['plan']} now.\n" in ended.out


def test_people(clock: FakeClock) -> None:
    with people.make([people.contact(people.JO)], [], clock) as sandbox:
        refused = people.run_first(clock, sandbox, "--max-new", "0")
        plan = refused.report["plan"]
        assert (refused.code, f"--approve {plan}" in refused.out) == (3, True)
        (jo,) = sandbox.hubspot.contacts.values()
        jo["firstname"] = "Other"  # another value is another plan
        other = people.run_first(clock, sandbox, "--max-new", "0", "--approve", plan)
        assert (other.code, sandbox.writes) == (3, [])
        assert other.report["plan"] != plan
        jo["firstname"] = "New"
        done = people.run_first(clock, sandbox, "--max-new", "0", "--approve", plan)
        assert (done.code, list(people.statuses(sandbox))) == (0, [people.JO])


def test_a_missing_run_history_is_not_approved_by_a_plan(clock: FakeClock) -> None:
    with people.make([people.contact(people.JO)], [people.subscriber(people.AL)], clock) as sandbox:
        plan = people.run(clock, sandbox, "--dry-run").report["plan"]
        ended = people.run(clock, sandbox, "--approve", plan)
        assert (ended.code, sandbox.writes) == (3, [])
        assert "--first-run" in ended.out


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_an_id_that_never_was(clock: FakeClock, more: tuple[str, ...]) -> None:
    with make([1], [], clock) as sandbox:
        ended = clock.run(sync.main, sandbox, "--approve", "nonsense", *more)
        assert (ended.code, sandbox.writes) == (3, [])
