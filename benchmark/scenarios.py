"""What is measured, and what must come out."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, List, Mapping, NamedTuple, Tuple

from benchmark.measuring import (
    CALLS_PER_SECOND,
    LATENCY_S,
    MAILERLITE_PER_MINUTE,
    OTHERS_SHARE,
    ROOT,
    SEARCHES_PER_SECOND,
    Finished,
    OtherApp,
    Seen,
    Services,
    Spec,
    clean_environment,
    run,
    run_module,
)
from benchmark.subscribers import first_load, hourly, naive_people, people_shared
from benchmark.table import Row

PAGE_SIZE = 200  # companies; HubSpot's maximum
FOLLOWINGS_PAGE_SIZE = 1_000  # PredictLeads' maximum
MEMBERS_PAGE_SIZE, BATCH_SIZE = 250, 100  # of a list; HubSpot's maxima
OTHER_CALLS = 5  # to HubSpot for a list: properties, account, and the list itself
OTHER_READS = 3  # two properties and the subscription
CAP = 10_000  # results: HubSpot's maximum for one search, however it is paged

# The targets.
RATIO = 1.12  # of the time that the limits allow at best
LIST_RATIO = 1.25  # of the same, for a list: its pages of ids come one after another
SHARED_RATIO = 1.35  # while another app takes half of the allowance
REFUSED = 0.05  # of the calls, while another app takes half of the allowance
PLANNING_S = 5.0
PLANNING_MB = 600.0
HELP_S = 0.25

SLOW_LATENCY_S = 0.8
JITTERY = (0.03, 1.0)  # seconds, and the share of them by which answers come sooner or later
HELP_RUNS = 5
MILLION = 1_000_000

NAIVE = {
    "requests": "(a) a loop of `requests`",
    "official": "(b) `hubspot-api-client`",
}

MORE_SEARCHES = "more searches than pages and one for each chain"

Checks = List[Tuple[bool, str]]


class SyncRun(NamedTuple):
    finished: Finished
    report: dict[str, Any]
    seen: Seen


class Size:
    """How large the scenarios are: as they should be, or a tenth, to see that they work.

    A small one is mostly beginning and end, so its times say nothing and are not judged.
    """

    def __init__(self, quick: bool) -> None:
        self.quick = quick

    def of(self, number: int) -> int:
        return number // 10 if self.quick else number


def read(size: Size) -> list[Row]:
    return [_read(size, "read {:,} companies", Spec(size.of(20_000), size.of(20_000)))]


def read_slow(size: Size) -> list[Row]:
    spec = Spec(size.of(20_000), size.of(20_000), SLOW_LATENCY_S)
    return [_read(size, f"read {{:,}}, answers after {SLOW_LATENCY_S * 1000:.0f} ms", spec)]


def read_jittery(size: Size) -> list[Row]:
    spec = Spec(size.of(20_000), size.of(20_000), *JITTERY)
    return [_read(size, "read {:,}, answers after 0 to 60 ms", spec)]


def read_shared(size: Size) -> list[Row]:
    spec = Spec(size.of(20_000), size.of(20_000))
    return [_read(size, "read {:,}, half of the allowance taken", spec, shared=True)]


def read_list(size: Size) -> list[Row]:
    """The limit is the pace of all calls that a list needs, however they are made."""
    number = size.of(200_000)
    spec = Spec(number, number, by_list=True)
    result = _sync_once(spec, shared=False)
    pages, batches = math.ceil(number / MEMBERS_PAGE_SIZE), math.ceil(number / BATCH_SIZE)
    calls, seconds = result.report["requests"]["hubspot"]["calls"], result.finished.seconds
    limit_s = (pages + batches) / SEARCHES_PER_SECOND
    checks: Checks = [
        *_ends_right(result, "in_sync", spec),
        (calls <= pages + batches + OTHER_CALLS, f"{calls} calls"),
        (
            size.quick or seconds <= LIST_RATIO * limit_s,
            f"takes more than {LIST_RATIO * limit_s:.1f} s",
        ),
    ]
    row = Row(
        f"read a list of {number:,} companies",
        f"{calls:,} calls: {pages:,} pages of ids, {batches:,} batch reads",
        limit_s,
        seconds,
        result.seen.refused,
        result.finished.peak_mb,
        _misses(checks),
    )
    return [row]


def follow(size: Size) -> list[Row]:
    return [_follow(size, "follow {:,} companies", Spec(size.of(2_000), 0))]


def follow_shared(size: Size) -> list[Row]:
    spec = Spec(size.of(1_000), 0)
    return [_follow(size, "follow {:,}, half of the allowance taken", spec, shared=True)]


def nothing_to_do(size: Size) -> list[Row]:
    """Both reads, and no call that depends on the number of companies."""
    spec = Spec(size.of(2_000), size.of(2_000))
    result = _sync_once(spec, shared=False)
    seen, pages = result.seen, math.ceil(spec.matching / PAGE_SIZE)
    lists = math.ceil(spec.followed / FOLLOWINGS_PAGE_SIZE) + 1  # an empty page ends the list
    checks: Checks = [
        *_ends_right(result, "in_sync", spec),
        (seen.searches <= pages + seen.chains, MORE_SEARCHES),
        (seen.calls - seen.searches <= OTHER_READS + lists, "more calls than reading needs"),
    ]
    row = Row(
        f"nothing to do, {spec.matching:,} companies",
        f"{seen.calls} calls in all: {seen.searches} searches, {seen.writes} writes",
        pages / SEARCHES_PER_SECOND,
        seen.search_s,
        seen.refused,
        result.finished.peak_mb,
        _misses(checks),
        _whole_run(result),
    )
    return [row]


def plan(size: Size) -> list[Row]:
    """The pure part. The time is the processor's, so that other work does not count."""
    half, million = size.of(MILLION // 2), size.of(MILLION)
    cases = {
        "kept": ("all of them followed", (0, 0, million, 0)),
        "new": ("none of them followed, others kept", (million, 0, 0, million)),
        "half": ("half to follow, half to unfollow", (half, half, half, 0)),
    }
    return [_plan(size, case, words, counts) for case, (words, counts) in cases.items()]


def help_text(_: Size) -> list[Row]:
    command = (sys.executable, str(ROOT / "sync.py"), "--help")
    runs = [run(command, clean_environment(), ROOT) for _ in range(HELP_RUNS)]
    best = min(runs, key=lambda each: each.seconds)
    checks: Checks = [
        (not any(each.code for each in runs), "--help fails"),
        (best.seconds < HELP_S, f"--help takes {best.seconds:.2f} s"),
    ]
    scenario = f"`sync.py --help`, best of {HELP_RUNS}"
    peak_mb = best.peak_mb
    return [Row(scenario, "none", HELP_S, best.seconds, None, peak_mb, _misses(checks))]


def comparison(size: Size) -> list[Row]:
    """What people write today, on the same services as ours."""
    return [*_compare_reading(size), *_compare_following(size), *_compare_above_the_cap()]


SCENARIOS: dict[str, Callable[[Size], list[Row]]] = {
    "read": read,
    "read-slow": read_slow,
    "read-jittery": read_jittery,
    "read-shared": read_shared,
    "read-list": read_list,
    "follow": follow,
    "follow-shared": follow_shared,
    "nothing-to-do": nothing_to_do,
    "plan": plan,
    "help": help_text,
    "comparison": comparison,
    "first-load": lambda size: first_load(size.of(50_000)),
    "hourly": lambda size: hourly([size.of(number) for number in (5_000, 50_000, 200_000)]),
    "people-shared": lambda size: people_shared(size.of(1_000)),
    "naive-people": lambda size: naive_people(size.of(1_000)),
}


# Reading and following.


def _read(size: Size, scenario: str, spec: Spec, shared: bool = False) -> Row:
    result = _sync_once(spec, shared)
    seen, pages = result.seen, math.ceil(spec.matching / PAGE_SIZE)
    limit_s = pages / (SEARCHES_PER_SECOND * (OTHERS_SHARE if shared else 1))
    answered = seen.searches - seen.searches_refused
    checks: Checks = [
        *_ends_right(result, "in_sync", spec),
        (answered <= pages + seen.chains, MORE_SEARCHES),
        _is_accepted(size, seen, shared),
    ]
    if shared:
        allowed_s = SHARED_RATIO * limit_s
        is_met = size.quick or seen.search_s <= allowed_s
        checks.append((is_met, f"takes more than {allowed_s:.1f} s"))
    else:
        checks.append(_is_fast_enough(size, seen, spec, pages))
    return Row(
        scenario.format(spec.matching),
        f"{seen.searches} searches: {pages} pages, {seen.chains} chains",
        limit_s,
        seen.search_s,
        seen.refused,
        result.finished.peak_mb,
        _misses(checks),
        _whole_run(result),
    )


def _follow(size: Size, scenario: str, spec: Spec, shared: bool = False) -> Row:
    result = _sync_once(spec, shared)
    seen = result.seen
    limit_s = spec.matching / (CALLS_PER_SECOND * (OTHERS_SHARE if shared else 1))
    checks: Checks = [*_ends_right(result, "synced", spec), _is_accepted(size, seen, shared)]
    if not shared:
        is_met = size.quick or seen.follow_s <= RATIO * limit_s
        checks.append((is_met, f"takes more than {RATIO * limit_s:.1f} s"))
    return Row(
        scenario.format(spec.matching),
        f"{seen.follows:,} follows",
        limit_s,
        seen.follow_s,
        seen.refused,
        result.finished.peak_mb,
        _misses(checks),
        _whole_run(result),
    )


def _sync_once(spec: Spec, shared: bool) -> SyncRun:
    with contextlib.ExitStack() as stack:
        services = stack.enter_context(Services(spec))
        if shared:
            stack.enter_context(OtherApp(services.settings))
        return _sync(services)


def _sync(services: Services) -> SyncRun:
    """One run of `sync.py`, with the settings that lead to the services and no others."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "settings").touch()
        arguments = ("--report", "run.json", "--env-file", "settings")
        environment = {
            **clean_environment(),
            **services.settings,
            "HOME": name,
            "XDG_STATE_HOME": name,
        }
        finished = run((sys.executable, str(ROOT / "sync.py"), *arguments), environment, folder)
        if finished.code:
            print(finished.err, file=sys.stderr)
        report = json.loads((folder / "run.json").read_text())
    return SyncRun(finished, report, services.seen())


def _ends_right(result: SyncRun, outcome: str, spec: Spec) -> Checks:
    counts, changes = result.report["counts"], spec.matching - spec.followed
    return [
        (result.report["outcome"] == outcome, f"ends as {result.report['outcome']}"),
        (counts.get("matching") == spec.matching, "not every company is read"),
        (result.seen.is_right, "what is followed in the end is not what should be"),
        (result.seen.writes == changes, f"{result.seen.writes} writes for {changes} changes"),
    ]


def _is_accepted(size: Size, seen: Seen, shared: bool) -> tuple[bool, str]:
    accepted = REFUSED * seen.calls if shared else 0
    is_judged = not (shared and size.quick)  # a few refusals are a large share of few calls
    return not is_judged or seen.refused <= accepted, f"{seen.refused} calls refused"


def _is_fast_enough(size: Size, seen: Seen, spec: Spec, pages: int) -> tuple[bool, str]:
    """The ratio is for the usual latency: where answers are slower, reading begins and ends slower
    in any case, and has to be faster than two chains, which cannot overlap more than two answers.
    """
    allowed_s = RATIO * pages / SEARCHES_PER_SECOND
    if spec.latency_s > LATENCY_S:
        allowed_s = pages / 2 * spec.latency_s
    return size.quick or seen.search_s <= allowed_s, f"takes more than {allowed_s:.1f} s"


def _whole_run(result: SyncRun) -> str:
    seen, report = result.seen, result.report
    waited_s = sum(used["waited_s"] for used in report["requests"].values())
    note = f"the whole run took {result.finished.seconds:.1f} s and {seen.calls:,} calls"
    if seen.refused:
        note += f", {seen.refused / seen.calls:.1%} of them refused, {waited_s:.0f} s waited for it"
    if seen.others_calls:
        note += f"; the other app made {seen.others_calls:,}, {seen.others_refused:,} refused"
    return note


# Planning.


def _plan(size: Size, case: str, words: str, expected: tuple[int, int, int, int]) -> Row:
    count = size.of(MILLION)
    finished = run_module("planning", case, str(count))
    said = json.loads(finished.out)
    seconds = said["planning_s"]
    counts = tuple(said[name] for name in ("follow", "unfollow", "keep", "kept"))
    checks: Checks = [
        (counts == expected, f"plans {counts}, not {expected}"),
        (seconds < PLANNING_S, f"planning takes {seconds:.1f} s"),
        (finished.peak_mb < PLANNING_MB, f"planning needs {finished.peak_mb:.0f} MB"),
    ]
    return Row(
        f"plan {count:,} companies and followings, {words}",
        "none",
        PLANNING_S,
        seconds,
        None,
        finished.peak_mb,
        _misses(checks),
        f"judging the companies as they come took another {said['judging_s']:.1f} s",
    )


# Comparison.


def _compare_reading(size: Size) -> list[Row]:
    matching = size.of(5_000)
    limit_s = math.ceil(matching / PAGE_SIZE) / SEARCHES_PER_SECOND
    rows: list[Row] = []
    with Services(Spec(matching, matching)) as services:
        result = _sync(services)
        rows.append(_compared(f"read {matching:,}: `sync.py`", result.finished, result.seen))
        for way, name in NAIVE.items():
            finished = run_module("naive", way, **services.settings)
            rows.append(_compared(f"read {matching:,}: {name}", finished, services.seen()))
    return [row._replace(limit_s=limit_s) for row in rows]


def _compared(scenario: str, finished: Finished, seen: Seen) -> Row:
    requests = f"{seen.searches} searches"
    return Row(scenario, requests, 0.0, seen.search_s, seen.refused, finished.peak_mb)


def _compare_following(size: Size) -> list[Row]:
    matching = size.of(200)
    rows: list[Row] = []
    with Services(Spec(matching, 0)) as services:
        result = _sync(services)
        rows.append(_compared_follow("`sync.py`", result.finished, result.seen))
        finished = run_module("naive", "requests", "follow", **services.settings)
        rows.append(_compared_follow(NAIVE["requests"], finished, services.seen()))
    return rows


def _compared_follow(name: str, finished: Finished, seen: Seen) -> Row:
    return Row(
        f"follow {seen.follows:,}: {name}",
        f"{seen.follows} follows",
        seen.writes / CALLS_PER_SECOND,
        seen.follow_s,
        seen.refused,
        finished.peak_mb,
        _misses([(seen.is_right, "what is followed in the end is not what should be")]),
    )


def _compare_above_the_cap() -> list[Row]:
    """Never smaller: the cap is not, either."""
    matching = CAP + CAP // 5
    limit_s = matching / PAGE_SIZE / SEARCHES_PER_SECOND
    rows: list[Row] = []
    with Services(Spec(matching, matching)) as services:
        result = _sync(services)
        row = _compared(f"read {matching:,}: `sync.py`", result.finished, result.seen)
        count = result.report["counts"].get("matching", 0)
        checks = [(count == matching, "not every company is read")]
        rows.append(row._replace(misses=_misses(checks), note=f"{count:,} companies came"))
        for way, name in NAIVE.items():
            finished = run_module("naive", way, **services.settings)
            row = _compared(f"read {matching:,}: {name}", finished, services.seen())
            rows.append(row._replace(note=_how_it_ended(json.loads(finished.out))))
    return [row._replace(limit_s=limit_s) for row in rows]


def _how_it_ended(said: Mapping[str, Any]) -> str:
    end = f'"{said["problem"]}"' if said["problem"] else "the end"
    return f"{said['companies']:,} companies came, then {end}"


def _misses(checks: Checks) -> tuple[str, ...]:
    return tuple(words for is_met, words in checks if not is_met)


def settings_in_words() -> str:
    return (
        f"Answers after {LATENCY_S * 1000:.0f} ms, give or take 20 %, unless a row says otherwise;"
        f" HubSpot at {SEARCHES_PER_SECOND} searches a second, PredictLeads at {CALLS_PER_SECOND}"
        f" calls a second, MailerLite at {MAILERLITE_PER_MINUTE} calls a minute."
    )
