"""The manuals, README and docs together, tell everything that a user can type, set or see, and show
what is really printed."""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import io
import re
import sys
from pathlib import Path
from typing import Any, Iterator

import pytest

import sandbox.__main__
from core.errors import Outcome
from core.settings import SettingsReader
from sandbox.data import sample_sandbox
from subscribers import options
from tests.helpers import ROOT, FakeClock
from tests.layers import product_files, scripts

FILES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/*.md"))]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in FILES}
GUIDE = "docs/adding-a-destination.md"  # its names are those of an example
MANUALS = "\n".join(text for name, text in TEXTS.items() if name != GUIDE)
WORDS_OF_README = 1500
NOTE = "These are made-up records on this machine, not your account.\n"
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d{4}"
RUNS = [
    *((script, flags) for script in scripts() for flags in ([], ["--check"])),
    ("sync", ["--report", "run.html"]),
    ("sync", ["--explain", "former-shop-00060.example"]),
    ("sync", ["--history"]),
    ("sync_subscribers", ["--first-run"]),
    ("sync_subscribers", ["--explain", "test.person.00001@mail.example"]),
    ("sync_subscribers", ["--history"]),
]
READS = {name for name in vars(SettingsReader) if not name.startswith("_")} - {"load"}


def settings() -> Iterator[str]:
    """The first argument of every call of a `reader` that reads a setting, and those of tables."""
    yield from (cap.setting for cap in options.CAPS)
    for path in product_files():
        code = (ROOT / path).read_text(encoding="utf-8") if path.suffix == ".py" else ""
        yield from re.findall(r'_setting ?= ?"([A-Z_]+)"', code)
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                reader, name = getattr(node.func.value, "id", ""), node.args[0]
                if isinstance(name, ast.Attribute) and name.attr.endswith("setting"):
                    continue  # it stands in a table, or is named by a destination
                if reader == "reader" and node.func.attr in READS:
                    assert isinstance(name, ast.Constant), ast.dump(node)
                    yield str(name.value)


@pytest.mark.parametrize("script", scripts())
def test_every_flag(
    script: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        importlib.import_module(script).main(["--help"])
    shown = capsys.readouterr().out
    groups = shown[shown.index("what to do:") : shown.index("Settings come from")]
    lines = [line for line in groups.splitlines() if line.startswith("  ")]
    assert [line for line in lines if not re.match("  (-|[^ ]*--email)", line)] == []  # one each
    flags = set(re.findall(r"--[a-z][a-z-]+", groups)) | {"--version"}
    assert len(flags) > 10
    assert {flag for flag in flags if not re.search(rf"`{flag}[` ]", MANUALS)} == set()


def test_every_setting() -> None:
    names = set(settings())
    assert {"HUBSPOT_ACCESS_TOKEN", "KEEP_FOLLOWING", "FIRSTNAME", "MAX_NEW"} <= names
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert {name for name in names if f"`{name}`" not in MANUALS} == set()
    assert set(re.findall(r"^#?([A-Z][A-Z0-9_]*)=", example, re.MULTILINE)) == names


def test_every_exit_code() -> None:
    codes = {outcome.exit_code for outcome in Outcome}
    assert {code for code in codes if f"\n| {code} | " not in MANUALS} == set()


def test_every_outcome() -> None:
    assert {outcome.word for outcome in Outcome if f"`{outcome.word}`" not in MANUALS} == set()


def test_every_module_has_its_line() -> None:
    modules = {path.name for path in ROOT.glob("*.py")}
    assert {name for name in modules if f"`{name}`" not in MANUALS} == set()


def keys(report: Any) -> Iterator[str]:
    """Its own, and those of its rows and counts; not the names of settings and reasons."""
    for key, value in report.items():
        yield key
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict) and key not in ("settings", "requests"):
                yield from each
    for usage in report["requests"].values():
        yield from usage


def test_every_key_of_the_reports(clock: FakeClock) -> None:
    with sample_sandbox(clock=clock) as services:
        reports = [
            clock.run(importlib.import_module(script).main, services, *arguments).report
            for script, arguments in RUNS
        ]
    found = {key for report in reports for key in keys(report)}
    assert {
        "schema_version",
        "shared",
        "steps",
        "waited_s",
        "skipped_by_reason",
        "checked_after",
    } <= found
    assert {key for key in found if not re.search(rf"`{key}(\[\])?`", MANUALS)} == set()


def test_the_readme_is_short() -> None:
    assert len(TEXTS["README.md"].split()) < WORDS_OF_README


def anchors(text: str) -> set[str]:
    """Those that a page makes of its headings."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", TEXTS)
def test_every_link_leads_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[name]):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        found = ((ROOT / name).parent / path).resolve() if path else ROOT / name
        assert found.exists(), target
        assert not anchor or anchor in anchors(found.read_text(encoding="utf-8")), target


def test_every_manual_is_linked_from_the_readme() -> None:
    docs = {name for name in TEXTS if name.startswith("docs/")}
    linked = set(re.findall(r"\]\((docs/[^)#]+)", TEXTS["README.md"]))
    assert docs - linked <= {GUIDE}
    assert "](adding-a-destination.md)" in TEXTS["docs/design.md"]


def samples() -> Iterator[tuple[str, str, str]]:
    """Manual, command and what it shows, of each block that is marked as such."""
    for name, text in TEXTS.items():
        for command, shown in re.findall(
            r"^```console\n\$ (.+)\n((?:.*\n)*?)```$", text, re.MULTILINE
        ):
            yield name, command, shown


def test_there_are_samples() -> None:
    assert {"README.md", "docs/subscribers.md", "docs/contact.md"} == {
        name for name, *_ in samples()
    }


def recipe(target: str) -> str:
    """The command that make prints and runs."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (command,) = re.findall(rf"^{target}:.*\n\t(.+)$", makefile, re.MULTILINE)
    return str(command).replace("$(BIN)", ".venv/bin")


def output(
    script: str, arguments: list[str], clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> str:
    """What `python -m sandbox` shows of a script, in one stream as a terminal has it; here no time
    passes."""
    assert NOTE.strip() in inspect.getsource(sandbox.__main__)
    screen = io.StringIO()
    screen.write(NOTE)
    monkeypatch.setattr(sys, "argv", [script])
    with sample_sandbox(clock=clock) as services:
        for name, value in services.settings.items():
            monkeypatch.setenv(name, value)
        with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(screen):
            code = importlib.import_module(Path(script).stem).main(arguments, clock)
    assert code == 0
    return screen.getvalue()


def masked(text: str) -> str:
    return re.sub(TIME, "TIME", text)


@pytest.mark.parametrize(("command", "shown"), [each[1:] for each in samples()])
def test_what_a_manual_shows_is_printed(
    command: str, shown: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times may differ, and three dots stand for anything."""
    target = re.fullmatch("make (.+)", command)
    if target:
        command, shown = shown.split("\n", 1)
        assert command == recipe(target[1])
    words = command.split()
    assert words[:3] == [".venv/bin/python", "-m", "sandbox"]
    printed = output(words[3], words[4:], clock, monkeypatch)
    pattern = re.escape(masked(shown)).replace(r"\.\.\.", ".*")
    assert re.fullmatch(pattern, masked(printed), re.DOTALL), printed
