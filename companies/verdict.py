"""What came of the changes, judged by a list that was read after the last of them."""

from __future__ import annotations

from typing import Mapping, Sequence

from cli.changes import DONE, FAILED, NOT_REACHED, Result
from companies.plan import Difference, Removal, WantedCompany
from core.errors import Forbidden, NotFound, ServiceError

UNKNOWN, UNLISTED, HELD_BACK = "unknown", "unlisted", "held_back"


def perhaps_added(entries: Sequence[WantedCompany], results: Sequence[Result]) -> set[str]:
    """The domains that may be listed now, if under another name. A refusal is no proof of the
    contrary, unless the destination does not know the company."""
    return {
        entry.domain
        for entry, result in zip(entries, results)
        if result.status != NOT_REACHED and not isinstance(result.cause, NotFound)
    }


def not_added(entries: Sequence[WantedCompany], results: Sequence[Result]) -> set[str]:
    """The domains that the destination says it has not taken."""
    return {entry.domain for entry, result in zip(entries, results) if not result.maybe_applied}


def in_order(entries: Sequence[Removal], results: Mapping[str, Result]) -> list[Result]:
    """The results by domain in the order of the entries; a row that has gone needs none."""
    return [results.get(entry.domain, Result(DONE)) for entry in entries]


def of_additions(
    entries: Sequence[WantedCompany],
    results: Sequence[Result],
    now: Difference,
    destination: str,
) -> list[Result]:
    present = set(now.unchanged)
    return [
        Result(DONE) if entry.domain in present else _not_added(result, destination)
        for entry, result in zip(entries, results)
    ]


def _not_added(result: Result, destination: str) -> Result:
    if result.status == DONE:
        error = f"{destination} has accepted it, and does not list it"
        return result._replace(status=UNLISTED, error=error)
    return result._replace(status=UNKNOWN) if isinstance(result.cause, NotFound) else result


def of_removals(
    entries: Sequence[Removal], results: Mapping[str, Result], now: Difference, destination: str
) -> list[Result]:
    verdicts: list[Result] = []
    for entry, result in zip(entries, in_order(entries, results)):
        if entry.domain in now.renamed:
            reason = f"{destination} lists {now.renamed[entry.domain]} under this name"
            result = Result(HELD_BACK, reason)
        elif entry.domain not in now.surplus:
            result = Result(DONE)
        elif result.status == DONE:
            error = f"{destination} has accepted it, and still lists the company"
            result = Result(FAILED, error)
        verdicts.append(result)
    return verdicts


def is_refusal(result: Result) -> bool:
    """Whether it is the destination's answer to this one change, so that asking again on the next
    run would only bring the same."""
    if result.status in (UNKNOWN, UNLISTED):
        return True
    is_fault = isinstance(result.cause, ServiceError) and not isinstance(result.cause, Forbidden)
    return result.status == FAILED and not is_fault


def refused(
    entries: Sequence[WantedCompany | Removal], results: Sequence[Result]
) -> list[tuple[str, str | None, str, str]]:
    """Domain, company, status and reason of what the destination did not take."""
    return [
        (entry.domain, entry.company, result.status, result.error or "")
        for entry, result in zip(entries, results)
        if is_refusal(result)
    ]


def statuses(
    entries: Sequence[WantedCompany | Removal], results: Sequence[Result]
) -> list[tuple[str, str]]:
    """The status of each domain."""
    return [(entry.domain, result.status) for entry, result in zip(entries, results)]
