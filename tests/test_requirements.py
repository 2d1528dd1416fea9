"""requirements.lock holds what requirements.txt asks for."""

from __future__ import annotations

import re

from packaging.requirements import Requirement

from tests.helpers import ROOT

NEWEST = {"python_version": "3.13"}


def test_the_lock_fits_the_requirements() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock, re.MULTILINE))
    wanted = [
        Requirement(line)
        for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    newest = [each for each in wanted if not each.marker or each.marker.evaluate(NEWEST)]
    assert len(newest) > 8
    for each in newest:
        assert each.specifier.contains(pinned[each.name]), each
    assert "index-url" not in lock
    assert lock.count("\n    --hash=sha256:") > len(pinned)
