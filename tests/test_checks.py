"""What `--check` finds of one service, and how far it looks."""

from __future__ import annotations

from typing import Callable

import pytest

from cli.checks import collect_findings, require_ok
from core.errors import (
    AppError,
    CallRejected,
    Forbidden,
    NotSent,
    ServiceDown,
    ServiceError,
    SettingsError,
)
from report.model import Finding

FINE = Finding(True, "fine")


def fine() -> Finding:
    return FINE


def failing(error: AppError) -> Callable[[], Finding]:
    def check() -> Finding:
        raise error

    return check


@pytest.mark.parametrize(
    ("error", "texts"),
    [
        (Forbidden("no right"), ["fine", "no right", "fine"]),
        (CallRejected("refused", 404, ""), ["fine", "refused", "fine"]),
        (ServiceError("no answer"), ["fine", "no answer"]),
        (ServiceDown("401"), ["fine", "401"]),
        (NotSent("401, as found before"), ["fine"]),
    ],
)
def test_how_far_it_looks(error: AppError, texts: list[str]) -> None:
    found = collect_findings(fine, failing(error), fine)
    assert [each.text for each in found] == texts
    assert [each for each in found if each.ok] == [FINE] * texts.count("fine")


@pytest.mark.parametrize("kind", [AppError, SettingsError])
def test_all_remedies_are_named_together(kind: type[AppError]) -> None:
    require_ok([FINE], kind)
    with pytest.raises(kind, match=r"^fix this\nfix that$") as error:
        require_ok([Finding(False, "fix this"), FINE, Finding(False, "fix that")], kind)
    assert type(error.value) is kind
