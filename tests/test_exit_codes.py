"""`--dry-run --exit-code`: is anything left to change?"""

from __future__ import annotations

import pytest

import create_contact
import sync
from tests import people
from tests.helpers import FakeClock, make


@pytest.mark.parametrize(
    ("matching", "followed", "code"),
    [([1], [1], 0), ([1, 2], [1], 6), ([1], [1, 2], 6), ([1], [1, *range(10, 30)], 3)],
    ids=["in step", "to follow", "to unfollow", "over the limit"],
)
def test_companies(matching: list[int], followed: list[int], code: int, clock: FakeClock) -> None:
    with make(matching, followed, clock) as sandbox:
        sandbox.hubspot.companies[999] = {}  # skipped ones are nothing to do
        outcome = clock.run(sync.main, sandbox, "--dry-run", "--exit-code")
        assert (outcome.code, outcome.report["exit_code"]) == (code, code)
        if code == 6:
            assert outcome.report["outcome"] == "planned"
            assert clock.run(sync.main, sandbox).code == 0
            assert clock.run(sync.main, sandbox, "--dry-run", "--exit-code").code == 0


def test_people(clock: FakeClock) -> None:
    with people.make([people.contact(people.JO), people.contact("?")], [], clock) as sandbox:
        assert people.run_first(clock, sandbox, "--dry-run", "--exit-code").code == 6
        assert people.run_first(clock, sandbox).code == 0
        assert people.run(clock, sandbox, "--dry-run", "--exit-code").code == 0


def test_one_contact(clock: FakeClock) -> None:
    with make([], [], clock) as sandbox:
        assert clock.run(create_contact.main, sandbox, "--dry-run", "--exit-code").code == 6


def test_it_is_about_dry_runs(clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> None:
    with make([1], [], clock) as sandbox, pytest.raises(SystemExit) as ended:
        clock.run(sync.main, sandbox, "--exit-code")
    assert ended.value.code == 2
    assert "--exit-code needs --dry-run" in capsys.readouterr().err
