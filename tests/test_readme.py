"""The README tells everything that a user can type, set or see."""

from __future__ import annotations

import ast
import importlib
import re
from typing import Iterator

import pytest

from basics.outcome import Outcome
from basics.settings import SettingsReader
from tests.helpers import ROOT
from tests.layers import product_files, scripts

README = (ROOT / "README.md").read_text(encoding="utf-8")
READS = {name for name in vars(SettingsReader) if not name.startswith("_")} - {"load"}


def settings() -> Iterator[str]:
    """The first argument of every call of a `reader` that reads a setting."""
    for path in product_files():
        code = (ROOT / path).read_text(encoding="utf-8") if path.suffix == ".py" else ""
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                reader, name = getattr(node.func.value, "id", ""), node.args[0]
                if reader == "reader" and node.func.attr in READS:
                    assert isinstance(name, ast.Constant), ast.dump(node)
                    yield str(name.value)


@pytest.mark.parametrize("script", scripts())
def test_every_flag(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        importlib.import_module(script).main(["--help"])
    flags = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    assert len(flags) > 10
    assert {flag for flag in flags if f"`{flag}" not in README} == set()


def test_every_setting() -> None:
    names = set(settings())
    assert {"HUBSPOT_ACCESS_TOKEN", "KEEP_FOLLOWING", "FIRSTNAME", "MAX_NEW"} <= names
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert {name for name in names if f"`{name}`" not in README} == set()
    assert set(re.findall(r"^#?([A-Z][A-Z0-9_]*)=", example, re.MULTILINE)) == names


def test_every_exit_code() -> None:
    codes = {outcome.exit_code for outcome in Outcome}
    assert {code for code in codes if f"\n| {code} | " not in README} == set()


def test_every_outcome() -> None:
    assert {outcome.word for outcome in Outcome if f"`{outcome.word}`" not in README} == set()


def test_every_module_has_its_line() -> None:
    modules = {path.name for path in ROOT.glob("*.py")}
    assert {name for name in modules if f"`{name}`" not in README} == set()
