"""One run of a script: its arguments, its time, and what it has to tell."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path
from typing import Callable, Iterator, Sequence, TypeVar

from cli.screen import Screen
from core.clock import Clock
from core.errors import Outcome
from core.limits import Refusal, parse_number
from core.log import log
from core.settings import SettingsReader, read_env_file
from core.words import count
from report.model import Finding, Report, Section
from report.render import has_links
from state.files import account_file
from state.lock import run_lock
from transport.http_client import HttpClient

MAX_RUN_MINUTES = "720"  # a first load of 50,000 people one by one takes seven hours

T = TypeVar("T")


class Run:
    """The work of a script fills `report` as it learns, and returns the outcome.

    `dry_run`: it changes nothing, and leaves nothing behind. `wrote`: whether a service may have
    been changed; only the main thread sets it.
    """

    def __init__(self, job: str, title: str, args: argparse.Namespace, clock: Clock) -> None:
        self.args, self.clock = args, clock
        asks = getattr(args, "explain", None) or getattr(args, "history", None)
        self.dry_run = bool(args.dry_run or args.check or asks)
        self.wrote = False
        self.calls_must_finish = True
        self.screen = Screen(args.quiet, "see the report" if args.report else "see --report")
        self.say = self.screen.say
        mode = "dry-run" if self.dry_run else "apply"
        self.report = Report(job, title, mode, clock.timestamp())
        self.wants_links = any(map(has_links, args.report))

    def settings(self, build: Callable[[SettingsReader], T]) -> T:
        """Raises SettingsError that names all that is missing or wrong."""
        env_file = read_env_file(self.args.env_file)
        reader = SettingsReader(os.environ, os.path.basename(sys.argv[0]), env_file)

        def build_all(reader: SettingsReader) -> T:
            self.clock.limit(reader.get("MAX_RUN_MINUTES", MAX_RUN_MINUTES, parse_number))
            return build(reader)

        settings = reader.load(build_all)
        self.report.settings = reader.used
        return settings

    @contextlib.contextmanager
    def using(self, account: str, *clients: HttpClient, wait_s: float = 0.0) -> Iterator[None]:
        """Hold the lock of the job on this account, unless the run changes nothing; in the end
        close the clients, and let the report say what was asked of the services."""
        with contextlib.ExitStack() as stack:
            if not self.dry_run:
                stack.enter_context(run_lock(self.report.job, account, self.clock, wait_s))
            try:
                yield
            finally:
                for client in clients:
                    client.close()
                    self.report.requests[client.service.name.lower()] = client.usage.as_report()

    def state_path(self, account: str) -> Path:
        """The file in which runs of the job on this account leave what later ones must know."""
        named: Path | None = getattr(self.args, "state", None)
        return named or account_file(self.report.job, account, ".sqlite3")

    @contextlib.contextmanager
    def finishing_calls(self, must_finish: bool = True) -> Iterator[None]:
        """Within it, a signal lets the calls under way finish, or gives them up."""
        before, self.calls_must_finish = self.calls_must_finish, must_finish
        try:
            yield
        finally:
            self.calls_must_finish = before

    def name_accounts(self, sentences: str) -> None:
        """Before anything is planned: in which accounts."""
        self.report.accounts = sentences
        log.info("%s", sentences)

    def summarise(self, line: str, colour: str = "") -> None:
        """Say what came of the run: these lines can be forwarded as they are."""
        self.report.summary.append(line)
        self.screen.say_result(line, colour)

    def ended(self, outcome: Outcome) -> Outcome:
        """How the run ends, once its work has come to `outcome`."""
        if self.clock.is_stopped():
            return Outcome.INTERRUPTED
        return Outcome.PARTIAL if outcome is Outcome.FAILED and self.wrote else outcome

    def refuse(self, refusals: Sequence[Refusal]) -> Outcome:
        """Say why nothing is changed, and what would allow it; return the outcome."""
        self.report.refusals = refusals
        self.summarise("Refused for safety, nothing has been changed:")
        for refusal in refusals:
            self.screen.say_result(f"  {refusal.reason}", "red")
        flags = " ".join(refusal.allow_with for refusal in refusals)
        self.screen.say_result(f"If this is what you want, run it once more with: {flags}")
        return Outcome.REFUSED

    def end_dry_run(self, plan: str) -> Outcome:
        """`plan`: what would happen, as words that follow "Dry run:"."""
        self.summarise(f"Dry run: {plan}.")
        return Outcome.PLANNED

    def answer(self, question: str, sections: Sequence[Section]) -> Outcome:
        """Report what was told, as the answer to `question`; return the outcome."""
        self.report.question, self.report.sections = question, sections
        return Outcome.PLANNED

    def show_findings(self, findings: Sequence[Finding]) -> Outcome:
        """Print what `--check` found, a line each, with a verdict, and return the outcome."""
        self.report.findings = findings
        for finding in findings:
            sign, colour = ("OK ", "green") if finding.ok else ("FIX", "red")
            self.say(f"{sign}  {finding.text}", colour)
        if to_fix := sum(not finding.ok for finding in findings):
            self.summarise(f"{count(to_fix, 'thing')} to fix.", "red")
            return Outcome.FAILED
        self.summarise("Ready.", "green")
        return Outcome.PLANNED
