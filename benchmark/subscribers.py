"""What is measured of `sync_subscribers.py`: calls, and the time that they take at the real limits.

Where that is long the services, and the waits of the run, go faster by a factor that the row names;
what is measured is then given in the time that it stands for.
"""

from __future__ import annotations

import contextlib
import sys
import time
from typing import NamedTuple, Sequence

from benchmark.measuring import (
    MAILERLITE_PER_MINUTE,
    ROOT,
    Finished,
    OtherApp,
    PeopleSeen,
    PeopleServices,
    clean_environment,
    run,
    run_module,
)
from benchmark.people import PeopleSpec
from benchmark.table import Row

HUBSPOT_PER_SECOND = 5  # what HUBSPOT_REQUESTS_PER_SECOND is without a setting
OUR_SHARE = 0.9  # of MailerLite's allowance; the rest is left to others
CHANGES = 50
IMPORT = ("--import",)

# The targets.
TIMES_FASTER = 20  # by import than one by one
HOURLY_CALLS = 330  # of MailerLite, for 200,000 people and fewer
HOURLY_MB = 300.0
OTHERS_REFUSED = 0.02  # of the calls of the other app


class PeopleRun(NamedTuple):
    """`seconds`: at the real limits."""

    finished: Finished
    seen: PeopleSeen
    seconds: float


def first_load(number: int) -> list[Row]:
    """Singly takes hours: only the calls are counted, and their time follows from our pace."""
    imported = _once(PeopleSpec(number, 0, 1), *IMPORT)
    single = _once(PeopleSpec(number, 0, 60))
    single = single._replace(seconds=single.seen.calls * 60 / (MAILERLITE_PER_MINUTE * OUR_SHARE))
    faster = single.seconds / imported.seconds
    misses = () if faster >= TIMES_FASTER else (f"only {faster:.1f} times as fast as one by one",)
    row = _row(f"first load of {number:,} by import", imported, misses)
    return [
        row._replace(note=f"{faster:.1f} times as fast as one by one"),
        _row(f"first load of {number:,} one by one, its time computed from the calls", single),
    ]


def hourly(numbers: Sequence[int]) -> list[Row]:
    return [_hourly(number) for number in numbers]


def _hourly(number: int) -> Row:
    spec = PeopleSpec(number, number, 1)
    with PeopleServices(spec) as services:
        _sync(services, spec, "--first-run")
        services.seen(CHANGES)
        time.sleep(60 / spec.speed)  # until MailerLite has forgotten the first run
        result = _sync(services, spec)
    misses = [f"{result.seen.calls} calls"] if result.seen.calls > HOURLY_CALLS else []
    misses += ["takes too much memory"] if result.finished.peak_mb > HOURLY_MB else []
    scenario = f"hourly run, {number:,} people, {CHANGES} changes"
    return _row(scenario, result, misses)


def people_shared(number: int) -> list[Row]:
    spec = PeopleSpec(number, 0, 20)
    with contextlib.ExitStack() as stack:
        services = stack.enter_context(PeopleServices(spec))
        arguments = (services.settings, "at_speed", str(spec.speed), "other")
        stack.enter_context(OtherApp(*arguments))
        result = _sync(services, spec, "--first-run")
    seen = result.seen
    share = seen.others_refused / seen.others_calls
    misses = [f"{share:.1%} of the other app's calls refused"] if share > OTHERS_REFUSED else []
    note = f"the other app made {seen.others_calls:,} calls, {share:.1%} of them refused"
    scenario = f"create {number:,} people, half of the allowance taken, at 20 times the speed"
    row = _row(scenario, result, misses)
    return [row._replace(note=note, limit_s=2 * row.limit_s)]


def naive_people(number: int) -> list[Row]:
    spec = PeopleSpec(number, 0, 60)
    with PeopleServices(spec) as services:
        arguments = (str(spec.speed), "naive", str(number))
        finished = run_module("at_speed", *arguments, **services.settings)
        result = PeopleRun(finished, services.seen(), finished.seconds * spec.speed)
    scenario = f"a GET and a POST for each of {number:,} contacts, at 60 times the speed"
    return [_row(scenario, result)]


def _once(spec: PeopleSpec, *flags: str) -> PeopleRun:
    with PeopleServices(spec) as services:
        return _sync(services, spec, "--first-run", *flags)


def _sync(services: PeopleServices, spec: PeopleSpec, *flags: str) -> PeopleRun:
    folder = services.folder
    (folder / "settings").touch(0o600)
    command = (sys.executable, "-m", "benchmark.at_speed", str(spec.speed), "sync", *flags)
    limits = ("--max-new", str(spec.contacts), "--env-file", str(folder / "settings"))
    environment = {
        **clean_environment(),
        **services.settings,
        "MAILERLITE_GROUPS": "Shops",
        "HOME": str(folder),
        "XDG_STATE_HOME": str(folder),
    }
    finished = run((*command, *limits), environment, ROOT)
    if finished.code:
        print(finished.err, file=sys.stderr)
    return PeopleRun(finished, services.seen(), finished.seconds * spec.speed)


def _row(scenario: str, result: PeopleRun, misses: Sequence[str] = ()) -> Row:
    """The limit is that of the service which takes longer over the calls."""
    seen = result.seen
    limits_s = (seen.calls * 60 / MAILERLITE_PER_MINUTE, seen.hubspot_calls / HUBSPOT_PER_SECOND)
    of_an_hour = seen.calls / (60 * MAILERLITE_PER_MINUTE)
    wrong = () if seen.is_right and not result.finished.code else ("ends wrong",)
    return Row(
        scenario,
        f"{seen.calls:,} of MailerLite ({of_an_hour:.1%} of what it allows in an hour),"
        f" {seen.hubspot_calls:,} of HubSpot",
        max(limits_s),
        result.seconds,
        seen.refused,
        result.finished.peak_mb,
        (*wrong, *misses),
    )
