"""The command line, and the made-up records it serves."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from sandbox import Sandbox
from sandbox.data import (
    sample_companies,
    sample_contacts,
    sample_followings,
    sample_sandbox,
    sample_subscribers,
    shop_domain,
)
from tests.sandbox import sandbox_client
from tests.sandbox.sandbox_client import Client, Clock

pytestmark = pytest.mark.filterwarnings("error")
clock = sandbox_client.clock

ROOT = Path(__file__).resolve().parents[2]
PRINT_SETTINGS = """
import json, os, sys
names = [name for name in os.environ if name.endswith(("_BASE_URL", "_TOKEN"))]
print(json.dumps([sys.argv[1:], sorted(names), os.environ["HUBSPOT_BASE_URL"]]))
sys.exit(7)
"""
WAIT_FOR_CTRL_C = """
import signal, sys
def stop(*_):
    print("stopped by hand", flush=True)
    sys.exit(130)
signal.signal(signal.SIGINT, stop)
print("ready", flush=True)
signal.pause()
"""


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts `python -m sandbox` with arguments; nothing of it outlives the test."""
    # Where pytest runs in the background Ctrl-C is ignored, and children would inherit that.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, **more: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "sandbox", *arguments],
            cwd=str(ROOT),
            env={**os.environ, "HUBSPOT_BASE_URL": "http://192.0.2.1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        with process:
            process.kill()
    signal.signal(signal.SIGINT, previous)


def test_a_script_runs_with_the_settings(start: Start, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(PRINT_SETTINGS)
    process = start("--companies", "3", str(script), "--dry-run", "--companies", "9")
    out, err = process.communicate(timeout=30)
    arguments, names, url = json.loads(out)
    assert arguments == ["--dry-run", "--companies", "9"]
    assert {"PREDICTLEADS_API_TOKEN", "MAILERLITE_BASE_URL", "HUBSPOT_ACCESS_TOKEN"} <= set(names)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/hubspot", url)
    assert process.returncode == 7
    assert err.count("\n") == 1
    assert "made-up" in err


def test_a_missing_script_is_one_line_and_exit_2(start: Start) -> None:
    process = start("nowhere.py", "--dry-run")
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err.count("\n")) == (2, "", 1)
    assert "nowhere.py" in err


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is not a signal to a group there")
def test_ctrl_c_reaches_the_script(start: Start, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(WAIT_FOR_CTRL_C)
    process = start(str(script), start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "stopped by hand\n")
    assert "Traceback" not in err


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is not a signal to a group there")
def test_serving_prints_the_settings_until_ctrl_c(start: Start) -> None:
    process = start()
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in Sandbox().settings]
    assert all(re.fullmatch(r"[A-Z_]+=\S+\n", line) for line in lines)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err


def test_sample_records_are_the_same_every_time() -> None:
    assert sample_companies(20, 30) == sample_companies(20, 30)
    assert sample_companies(20, 30) != sample_companies(20, 30, seed=8)
    assert sample_contacts(50) == sample_contacts(50)
    assert sample_followings(20, 10, 2) == sample_followings(20, 10, 2)
    assert sample_subscribers(20) == sample_subscribers(20)


def test_sample_records_are_messy_and_reserved() -> None:
    companies = sample_companies(200, 200)
    domains: list[str] = [c["domain"] for c in companies if c["domain"]]
    for sign in ("://", "www.", " ", ":443", "@", "?", "n/a", "192.0.2.", "ü", "SAMPLE", "WWW."):
        assert any(sign in domain for domain in domains), sign
    assert any(domain.endswith(".") for domain in domains)
    named = [d for d in domains if d not in ("n/a", "192.0.2.10")]
    assert all(".example" in domain.lower() for domain in named)
    assert {None, ""} < {c["domain"] for c in companies}
    contacts = sample_contacts(200)
    assert {None} < {contact["email"] for contact in contacts}
    assert len({contact["email"] for contact in contacts}) < 200 - 5
    ids = [company["id"] for company in companies]
    assert ids == sorted(set(ids))
    assert len(str(ids[0])) == 3
    assert len(str(ids[-1])) == 11


def test_the_sample_sandbox_has_sensible_proportions(clock: Clock) -> None:
    with sample_sandbox(clock=clock) as sandbox:
        client = Client(sandbox, clock)
        filters = [
            ("ecommerce_platform", "IN", ["shopify", "magento_2"]),
            ("alexa", "LT", "1000000"),
        ]
        assert client.search(*filters).json()["total"] == 60
        client.session.close()
        followings = sandbox.predictleads.followings
        assert len(followings) == 40
        assert sum(domain.startswith("former-") for domain in followings) == 5
        moved = {own: domain for domain, own in followings.items() if own not in (None, domain)}
        assert moved == sandbox.predictleads.redirects
        assert list(moved) == [shop_domain(2)]
        assert None in followings.values()
