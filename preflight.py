"""What must be in place before anything is compared: each finding names its remedy."""

from __future__ import annotations

from typing import Callable, Iterable, List, NamedTuple, Optional, Type

from errors import AppError, Forbidden, NotSent
from http_client import HttpClient
from hubspot_client import Property


class Finding(NamedTuple):
    """One line of `--check`: what was found and, unless `ok`, what to do about it."""

    ok: bool
    text: str


def look(http: HttpClient, check: Callable[[], Finding]) -> List[Finding]:
    """What `check` finds; an error of the service is a finding too.

    A missing right does not keep the next check from being made, so that all missing rights are
    found together.
    """
    try:
        return [check()]
    except NotSent:  # the failure has been found before
        return []
    except Forbidden as error:
        http.failure = None
        return [Finding(False, str(error))]
    except AppError as error:
        return [Finding(False, str(error))]


def demand_all_ok(findings: Iterable[Finding], kind: Type[AppError] = AppError) -> None:
    """Raises an error of that kind with the remedies of all findings that are not OK."""
    problems = [finding.text for finding in findings if not finding.ok]
    if problems:
        raise kind("\n".join(problems))


def judge_property(
    definition: Optional[Property], object_type: str, name: str, wanted_type: str
) -> Finding:
    if definition is None:
        return Finding(
            False,
            f"HubSpot has no {object_type} property {name}: create it, with the type"
            f" {wanted_type}, in HubSpot > Settings > Properties.",
        )
    if definition.type != wanted_type:
        return Finding(
            False,
            f"The {object_type} property {name} in HubSpot is of type {definition.type}, and with"
            f" anything but {wanted_type} HubSpot finds the wrong records: make a new property in"
            " HubSpot > Settings > Properties.",
        )
    return Finding(True, f"HubSpot has the {object_type} property {name} ({wanted_type}).")
