"""Arrows between modules run one way, and what is found out about modules is found out rightly."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import layers

# A product in small: each file imports what it may.
ALLOWED = {
    "core/words.py": "import re",
    "transport/http_client.py": "from core import words",
    "cli/command.py": "from transport import http_client\nfrom core.words import x",
    "hubspot_api/shapes.py": "from transport.http_client import x",
    "hubspot_client.py": "from hubspot_api.shapes import x",
    "other_client.py": "import core.words",
    "companies/plan.py": "from hubspot_api import shapes\nfrom cli import command",
    "contact/plan.py": "from other_client import x",
    "sync.py": "from companies import plan\nfrom contact.plan import x\nimport cli.command",
    "sandbox/server.py": "import socket",
    "tests/test_sync.py": "import sync\nfrom sandbox import server",
}


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        if path.parent != root:
            (path.parent / "__init__.py").touch()


def test_the_product_keeps_to_its_layers() -> None:
    assert layers.violations() == []


def test_what_is_allowed(tmp_path: Path) -> None:
    write(tmp_path, ALLOWED)
    assert layers.violations(tmp_path) == []
    assert layers.scripts(tmp_path) == ["sync"]


@pytest.mark.parametrize(
    ("file", "line", "found"),
    [
        ("core/new.py", "from transport import http_client", "transport.http_client"),
        ("state/new.py", "import transport.http_client", "transport.http_client"),
        ("report/new.py", "from cli import command", "cli.command"),
        ("transport/new.py", "import cli.command", "cli.command"),
        ("transport/new.py", "import hubspot_client", "hubspot_client"),
        ("cli/new.py", "from hubspot_api import shapes", "hubspot_api.shapes"),
        ("cli/new.py", "import other_client", "other_client"),
        ("cli/new.py", "from companies.plan import x", "companies.plan"),
        ("hubspot_api/new.py", "import other_client", "other_client"),
        ("other_client.py", "from cli import command", "cli.command"),
        ("companies/new.py", "from contact import plan", "contact.plan"),
        ("companies/new.py", "from contact.plan import x", "contact.plan"),
        ("new_job/plan.py", "from companies.plan import x", "companies.plan"),
        ("companies/new.py", "import sync", "sync"),
        ("new.py", "from sync import main", "sync"),
        ("new.py", "from sandbox import server", "sandbox"),
        ("new.py", "import sandbox.server", "sandbox.server"),
        ("companies/new.py", "def work():\n    from contact import plan", "contact.plan"),
        ("companies/new.py", "from .plan import x\nfrom ..contact import x", "contact"),
    ],
)
def test_what_is_against_the_layers(tmp_path: Path, file: str, line: str, found: str) -> None:
    write(tmp_path, {**ALLOWED, file: line})
    name = file[:-3].replace("/", ".")
    assert layers.violations(tmp_path) == [f"{name} imports {found}"]


def test_a_circle(tmp_path: Path) -> None:
    write(tmp_path, {**ALLOWED, "cli/a.py": "from cli import b", "cli/b.py": "import cli.a"})
    assert layers.violations(tmp_path) == [f"cli.{each} is part of a circle" for each in "ab"]


def test_what_is_pure(tmp_path: Path) -> None:
    files = {
        "core/pure.py": "import re\nfrom email.utils import parsedate",
        "core/also.py": "from core import pure",
        "core/empty.py": "",
    }
    write(tmp_path, files)
    assert layers.pure_modules(tmp_path) == ["core.also", "core.pure"]


@pytest.mark.parametrize(
    "text",
    [
        "import socket",
        "import os.path",
        "from urllib import request",
        "def work():\n    import requests",
        "from core import reading",
        "if typing.TYPE_CHECKING:\n    import socket",
        "import re\nprint(1)",
    ],
)
def test_what_is_not_pure(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"core/a.py": text, "core/reading.py": "import re\nopen('x')"})
    assert layers.pure_modules(tmp_path) == []


def test_the_decisions_are_pure() -> None:
    plans = {name for name in layers.read_tree() if name.endswith((".plan", ".decide"))}
    assert len(plans) >= 4
    assert plans <= set(layers.pure_modules())


def test_every_script_is_found() -> None:
    assert {"sync", "sync_subscribers", "create_contact"} <= set(layers.scripts())
