"""What every script does around its work."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

from cli import command, screen
from cli.command import Run
from cli.screen import Progress
from core.clock import Clock
from core.errors import AnotherRunActive, AppError, NotSent, Outcome
from state.files import account_file, state_folder
from state.lock import run_lock
from tests.helpers import FakeClock
from transport.http_client import HttpClient
from transport.response import Service


def script(work: Callable[[Run], Outcome]) -> Callable[..., int]:
    def main(argv: list[str] | None = None, clock: Clock | None = None) -> int:
        return command.main("test", "A test", command.Flags("A script."), work, argv, clock)

    return main


def test_a_mistake_in_the_program_shows_a_traceback(clock: FakeClock) -> None:
    def work(_run: Run) -> Outcome:
        raise ZeroDivisionError("oops")

    outcome = clock.run(script(work), None)
    assert (outcome.code, outcome.report["outcome"]) == (1, "failed")
    assert "ZeroDivisionError: oops" in outcome.err
    assert "Please report it" in outcome.err


def test_a_quiet_run_begins_with_its_result(monkeypatch: pytest.MonkeyPatch) -> None:
    log = logging.getLogger("crm_sync")

    def work(run: Run) -> Outcome:
        log.warning("One of them failed.")
        run.say("Change 2 companies:")
        run.summarise("Done in part.")
        return Outcome.PARTIAL

    def fail(run: Run) -> Outcome:
        run.say("Change 2 companies:")
        log.warning("It is slow.")
        raise AppError("It is down.")

    assert "One of them failed.\nChange" in in_one_stream(monkeypatch, work)
    assert in_one_stream(monkeypatch, work, "-q") == (
        "TIME  Done in part.\n\nChange 2 companies:\nTIME  One of them failed.\n"
    )
    assert in_one_stream(monkeypatch, fail, "-q") == (
        "TIME  It is down.\nTIME  Nothing was changed.\n"
        "TIME  Change 2 companies:\nTIME  It is slow.\n"
    )


def test_a_quiet_run_without_changes_begins_with_news(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(run: Run) -> Outcome:
        run.screen.has_news = True
        run.say("For you to decide: one")
        run.summarise("Nothing to do: all is well.")
        return Outcome.IN_SYNC

    told = "For you to decide: one\nNothing to do: all is well.\n"
    assert in_one_stream(monkeypatch, work) == told
    assert in_one_stream(monkeypatch, work, "-q") == (
        "TIME  Something needs your attention, see below.\nNothing to do: all is well.\n\n"
        "For you to decide: one\n"
    )


def in_one_stream(
    monkeypatch: pytest.MonkeyPatch, work: Callable[[Run], Outcome], *flags: str
) -> str:
    """All that a run prints, as cron mails it."""
    with io.StringIO() as mail:
        monkeypatch.setattr(sys, "stdout", mail)
        monkeypatch.setattr(sys, "stderr", mail)
        script(work)([*flags])
        time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d{4}|\d+ \w+ \d{4}, \d\d:\d\d \w+"
        return re.sub(time, "TIME", mail.getvalue())


@pytest.mark.parametrize("must_finish", [True, False])
def test_a_signal_ends_reads_and_lets_writes_finish(clock: FakeClock, must_finish: bool) -> None:
    went_on: list[bool] = []

    def work(run: Run) -> Outcome:
        with run.finishing_calls(must_finish):
            signal.raise_signal(signal.SIGTERM)
            went_on.append(True)
        return Outcome.SYNCED

    assert clock.run(script(work), None).code == 130
    assert bool(went_on) == must_finish


def test_a_signal_that_is_ignored_stays_ignored(clock: FakeClock) -> None:
    def work(_run: Run) -> Outcome:
        signal.raise_signal(signal.SIGHUP)
        return Outcome.SYNCED

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does it
    try:
        assert clock.run(script(work), None).code == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_report_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "report.json"

    def full(_source: Any, _target: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    code = script(lambda _run: Outcome.SYNCED)(["--report", str(path)])
    assert code == 1
    assert "Cannot write the report" in capsys.readouterr().err
    assert list(tmp_path.glob("report*")) == list(tmp_path.glob(".report*")) == []


def test_a_symbolic_link_is_replaced_and_not_what_it_leads_to(tmp_path: Path) -> None:
    other, link = tmp_path / "other", tmp_path / "report.json"
    other.write_text("mine")
    link.symlink_to(other)
    assert script(lambda _run: Outcome.SYNCED)(["--report", str(link)]) == 0
    assert other.read_text() == "mine"
    assert not link.is_symlink()
    assert json.loads(link.read_text())["outcome"] == "synced"
    assert link.stat().st_mode & 0o777 == 0o600


NOT_A_FILE = "give a file in a folder that exists and can be written"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        *((path, NOT_A_FILE) for path in ("missing/report.json", ".", "/dev/null")),
        ("run.pdf", "run.pdf: its name must end in .html, .csv or .json"),
        ("run.json", f"run.json: {NOT_A_FILE}"),
    ],
)
def test_a_report_must_be_a_file_that_can_be_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], path: str, words: str
) -> None:
    if path == "run.json":
        monkeypatch.setattr("os.access", lambda _path, _mode: False)
    with pytest.raises(SystemExit) as stop:
        script(lambda _run: Outcome.SYNCED)(["--report", path])
    assert stop.value.code == 2
    assert words in capsys.readouterr().err


def test_a_reader_of_the_beginning_does_not_stop_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="ascii") as closed_pipe:
        monkeypatch.setattr(sys, "stdout", closed_pipe)

        def work(run: Run) -> Outcome:
            run.say("Käse")
            run.say("more")
            return Outcome.SYNCED

        assert script(work)([]) == 0


# The lock


def test_no_state_folder_can_be_made(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    with pytest.raises(AppError, match="Set XDG_STATE_HOME to a folder"), run_lock("x", "y", clock):
        pass


def test_one_run_at_a_time_for_each_account(clock: FakeClock) -> None:
    with run_lock("companies", "account 1", clock):
        with pytest.raises(
            AnotherRunActive, match=f"process {os.getpid()} on .*, since 21 Nov 2026, "
        ), run_lock("companies", "account 1", clock):
            pass
        a_day_ago = clock.time() - 86_401
        os.utime(account_file("companies", "account 1", ".lock"), times=(a_day_ago, a_day_ago))
        with pytest.raises(AppError, match="for more than a day: process"), run_lock(
            "companies", "account 1", clock
        ):
            pass
        with run_lock("companies", "account 2", clock):
            pass
        with run_lock("subscribers", "account 1", clock):
            pass
    with run_lock("companies", "account 1", clock):
        pass
    assert not [path for path in state_folder().iterdir() if "account" in path.read_text()]


# Progress


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


@pytest.fixture
def log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> pytest.LogCaptureFixture:
    logger = logging.getLogger("crm_sync")
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "level", logging.INFO)
    return caplog


def test_under_cron_a_line_now_and_then(log: pytest.LogCaptureFixture, clock: FakeClock) -> None:
    with Progress("HubSpot", "companies", clock) as bar:
        for number in range(90):
            clock.now += 1
            if number == 40:
                bar.expect(2000)
            bar.advance(10)
    assert lines(log) == [
        "HubSpot: 300 companies so far",
        "HubSpot: 600 of 2,000 companies so far",
        "HubSpot: 900 of 2,000 companies so far",
    ]


def test_in_a_terminal_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], clock: FakeClock
) -> None:
    monkeypatch.setattr(screen, "wants_bars", lambda: True)

    def work(run: Run) -> Outcome:
        with Progress("HubSpot", "companies", run.clock) as bar:
            bar.expect(20)
            bar.advance(10)
            logging.getLogger("crm_sync").info("A line above the bar")
        return Outcome.SYNCED

    assert script(work)([], clock) == 0
    err = capsys.readouterr().err
    assert "HubSpot:" in err
    assert "0/20 [" in err.replace("?", "20") or "10/20" in err
    assert "A line above the bar" in err


def test_real_time_moves_and_can_be_stopped() -> None:
    clock = Clock()
    assert clock.monotonic() <= clock.monotonic()
    clock.sleep(0)
    clock.stop()
    with pytest.raises(AppError):
        clock.sleep(60)


def test_using_closes_the_services_whatever_happens(clock: FakeClock) -> None:
    run = Run("test", "A test", command.Flags("A script.").parse_args([]), clock)
    service = Service("Service", lambda _response: "")
    client = HttpClient(service, "http://x.test", {}, 1, clock=clock, dry_run=True)
    with pytest.raises(KeyError), run.using("an account", client):
        raise KeyError
    with pytest.raises(NotSent, match="the run is over"):
        client.read("GET", "/", "a call")
    assert run.report.requests == {"Service": {"calls": 0, "retries": 0, "waited_s": 0.0}}
