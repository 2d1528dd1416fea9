"""The README tells everything that a user can type, set or see."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

import create_contact
import sync
import sync_subscribers
from basics.errors import Exit

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SETTING = re.compile(r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"')


@pytest.mark.parametrize("script", [sync, sync_subscribers, create_contact])
def test_every_flag(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        script.main(["--help"])
    flags = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    assert len(flags) > 10
    assert {flag for flag in flags if f"`{flag}" not in README} == set()


def test_every_setting() -> None:
    settings = set(SETTING.findall((ROOT / "settings.py").read_text(encoding="utf-8")))
    assert {"HUBSPOT_ACCESS_TOKEN", "KEEP_FOLLOWING"} <= settings
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert {name for name in settings if f"`{name}`" not in README} == set()
    assert {name for name in settings if f"{name}=" not in example} == set()


def test_every_exit_code() -> None:
    assert [code for code in Exit if f"\n| {int(code)} | " not in README] == []


def test_every_module_has_its_line() -> None:
    modules = {path.name for path in ROOT.glob("*.py")}
    assert {name for name in modules if f"`{name}`" not in README} == set()
