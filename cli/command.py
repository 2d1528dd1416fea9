"""What every script does around its work: arguments, signals, log, report, exit code."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Callable, Iterator, Sequence, TypeVar

from cli import notify, screen
from core import VERSION, errors, limits, log, words
from core.clock import Clock
from core.settings import PYTHON, SettingsReader, parse_positive, read_env_file
from report import model, render
from state import files, lock
from transport.http_client import HttpClient

MAX_RUN_MINUTES = "720"  # a first load of 50,000 people one by one takes seven hours
HISTORY_RUNS = 20
STOPPING = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows lacks the last
EXIT_CODES = (
    "Exit codes: 0 done, 1 failed, 2 wrong settings, 3 stopped as a precaution, 4 done in part,"
    " 5 another run is active, 6 changes pending, 130 interrupted."
)

T = TypeVar("T")


class Run:
    """One run of a script: its work fills `report` as it learns, and returns the outcome.

    `dry_run`: it changes nothing, and leaves nothing behind. `wrote`: whether a service may have
    been changed; only the main thread sets it.
    """

    def __init__(self, job: str, title: str, args: argparse.Namespace, clock: Clock) -> None:
        self.args, self.clock = args, clock
        self.dry_run = bool(args.dry_run or args.check or args.explain or args.history)
        self.wrote = False
        self.hooks: notify.Hooks | None = None
        self.outcome_unknown = False  # of a write: nobody can say whether anything was changed
        self.calls_must_finish = True
        self.settings_from = "the environment alone"
        self.screen = screen.Screen(args.quiet, "see the report" if args.report else "see --report")
        self.say = self.screen.say
        mode = "dry-run" if self.dry_run else "apply"
        flags = [each for each in args.given if each not in ("--dry-run", "--exit-code")]
        self.command = " ".join(map(shlex.quote, (PYTHON, os.path.basename(sys.argv[0]), *flags)))
        self.report = model.Report(job, title, mode, clock.utcnow(), VERSION)

    def settings(self, build: Callable[[SettingsReader], T], with_hooks: bool = True) -> T:
        """Raises SettingsError that names all that is missing or wrong."""
        env_file = read_env_file(self.args.env_file)
        reader = SettingsReader(os.environ, os.path.basename(sys.argv[0]), env_file)

        def build_all(reader: SettingsReader) -> T:
            if with_hooks:
                self.hooks = notify.Hooks(reader, self.clock)
            self.clock.limit(reader.get("MAX_RUN_MINUTES", MAX_RUN_MINUTES, limits.parse_number))
            return build(reader)

        self.settings_from = str(env_file.path or self.settings_from)
        log.debug("Settings come from %s.", self.settings_from)
        try:
            settings = reader.load(build_all)
        finally:
            if self.hooks and not self.dry_run:
                self.hooks.start()
        self.report.settings = reader.used
        return settings

    @contextlib.contextmanager
    def using(self, account: str, *clients: HttpClient, wait_s: float = 0.0) -> Iterator[None]:
        """Hold the lock of the job on this account, unless the run changes nothing; in the end
        close the clients, and let the report say what was asked of the services."""
        with contextlib.ExitStack() as stack:
            if not self.dry_run:
                stack.enter_context(lock.run_lock(self.report.job, account, self.clock, wait_s))
            for client in clients:
                service, url = client.service, client.base_url
                if url != service.base_url and url.startswith("https:"):  # it gets the keys
                    self.say(f"Calls to {service.name} go to {url}.")
            try:
                yield
            finally:
                for client in clients:
                    client.close()
                    self.report.requests[client.service.name] = client.usage.as_report()

    def state_path(self, account: str) -> Path:
        """The file in which runs of the job on this account leave what later ones must know."""
        return self.args.state or files.account_file(self.report.job, account, ".sqlite3")

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
        self.say(line, colour, is_result=True)

    def ended(self, outcome: errors.Outcome) -> errors.Outcome:
        """How the run ends, once its work has come to `outcome`."""
        if self.clock.is_stopped():
            return errors.Outcome.INTERRUPTED
        return (
            errors.Outcome.PARTIAL if outcome is errors.Outcome.FAILED and self.wrote else outcome
        )

    def refuse(self, refusals: Sequence[limits.Refusal], is_known: bool = False) -> errors.Outcome:
        """Say why nothing is changed, and what would allow it; return the outcome. With --quiet one
        line will do if it `is_known`: an earlier run has said the same."""
        self.report.refusals = refusals
        plan = self.report.plan
        flags = (f"--approve {plan}" if plan and e.by_plan else e.allow_with for e in refusals)
        command = " ".join(dict.fromkeys(flags))
        self.report.command = f"{self.command} {command}"
        if is_known and self.args.quiet and not self.dry_run:
            self.screen.forget()
            reasons = " ".join(refusal.reason for refusal in refusals)
            self.summarise(f"Stopped as a precaution, as before. Nothing was changed: {reasons}")
            return errors.Outcome.REFUSED
        self.summarise("Stopped as a precaution. Nothing was changed:")
        for refusal in refusals:
            self.say(f"  {refusal.reason}", "red", is_result=True)
        self.say(f"If this is right, run it again with: {command}", is_result=True)
        return errors.Outcome.REFUSED

    def end_dry_run(self, plan: str) -> errors.Outcome:
        """`plan`: what would happen, as words that follow "Dry run:"."""
        if self.report.plan:
            is_approved = self.args.approve == self.report.plan
            self.say(f"Plan {self.report.plan}{' would be accepted' if is_approved else ''}.")
        self.summarise(f"Dry run: {plan}. Nothing was changed.")
        return errors.Outcome.CHANGES_PENDING if self.args.exit_code else errors.Outcome.PLANNED

    def show_findings(self, findings: Sequence[model.Finding]) -> errors.Outcome:
        """Print what `--check` found, a line each, with a verdict, and return the outcome."""
        self.report.findings = findings
        for finding in findings:
            sign, colour = ("OK ", "green") if finding.ok else ("FIX", "red")
            self.say(f"{sign}  {finding.text}", colour)
        if to_fix := sum(not finding.ok for finding in findings):
            self.summarise(f"{words.count(to_fix, 'thing')} to fix.", "red")
            return errors.Outcome.FAILED
        self.summarise("Ready.", "green")
        return errors.Outcome.PLANNED

    def explain(self, lines: Sequence[str], records: Sequence[model.Row]) -> None:
        """Say what is known of one company or person, with the records in HubSpot: first who it is,
        then what the next run does."""
        for line in [*lines, ""]:
            self.say(line)
        named = [(row.get("name") or f"id {row['id']}", row["link"]) for row in records]
        for _, link in named:  # the page has it below
            lines = [line.replace(f", {link}", "") for line in lines]
        self.report.cards.append(model.Card(lines[0], lines[1:], named))

    def answer(self, question: str, sections: Sequence[model.Section]) -> errors.Outcome:
        """Report what was told, as the answer to `question`; return the outcome."""
        self.report.question, self.report.sections = question, sections
        return errors.Outcome.PLANNED


class Flags(argparse.ArgumentParser):
    """Those that every script has; a job adds its own to their groups."""

    def __init__(self, description: str) -> None:
        super().__init__(
            description=description,
            epilog=f"Settings come from the environment, then from .env (see .env.example)."
            f" {EXIT_CODES}",
            formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=30),
        )
        # Not every script has these flags.
        self.set_defaults(explain=[], history=None, state=None, approve=None, given=())
        self.to_do, self.how_much, self.which, self.output = map(
            self.add_argument_group, ("what to do", "how much", "who or which", "output and files")
        )
        self.add_argument("--version", action="version", version=VERSION)
        add = self.to_do.add_argument
        add("--dry-run", action="store_true", help="show what would change, and change nothing")
        pending = "with --dry-run: exit code 6 if anything would change"
        add("--exit-code", action="store_true", help=pending)
        add("--check", action="store_true", help="check keys, rights and settings, then stop")
        add = self.output.add_argument
        report = "write a .html, .csv or .json file (repeatable)"
        add("--report", metavar="PATH", type=_report_path, action="append", default=[], help=report)
        add("--env-file", metavar="PATH", help="settings file (default: .env)")
        add = self.output.add_mutually_exclusive_group().add_argument
        add("-v", "--verbose", action="store_true", help="also log every request and every wait")
        quiet = "print only changes, failures and what newly needs attention"
        add("-q", "--quiet", action="store_true", help=quiet)

    def add_questions(self, metavar: str, parse: Callable[[str], str], what: str) -> None:
        """The flags that ask what earlier runs did, and why."""
        approve = "carry out the plan with this id, past the limits, and no other"
        self.how_much.add_argument("--approve", metavar="ID", help=approve)
        add = self.to_do.add_mutually_exclusive_group().add_argument
        why = f"explain {what} (repeatable)"
        add("--explain", metavar=metavar, type=flag_type(parse), action="append", help=why)
        kind, last = flag_type(parse_positive), f"show the last N runs (default: {HISTORY_RUNS})"
        add("--history", metavar="N", type=kind, nargs="?", const=HISTORY_RUNS, help=last)


def flag_type(parse: Callable[[str], T]) -> Callable[[str], T]:
    """`parse` for a flag: it raises ValueError with the words that follow "must be"."""

    def parse_flag(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"must be {error}, not {text!r}") from None

    return parse_flag


def _report_path(text: str) -> Path:
    path = Path(os.path.abspath(text))  # a symbolic link is replaced, whatever it leads to
    if path.suffix.lower() not in ("", *render.ENDINGS):
        raise argparse.ArgumentTypeError(f"{text}: its name must end in .html, .csv or .json")
    is_file = os.path.isfile(path) or not os.path.exists(path)
    if is_file and os.path.isdir(path.parent) and os.access(path.parent, os.W_OK):
        return path
    words = "give a file in a folder that exists and can be written"
    raise argparse.ArgumentTypeError(f"{text}: {words}")


def main(
    job: str,
    title: str,
    arguments: Flags,
    work: Callable[[Run], errors.Outcome],
    argv: Sequence[str] | None,
    clock: Clock | None,
) -> int:
    """Run `work`, turn whatever happens into words, report and exit code, and return the code.

    `job` names it in the report, `title` on the page.
    """
    args = arguments.parse_args(argv)
    args.given = sys.argv[1:] if argv is None else argv
    if args.exit_code and not args.dry_run:
        arguments.error("--exit-code needs --dry-run")
    screen.set_up_output(args.verbose, args.quiet)
    run = Run(job, title, args, clock or Clock())
    with _signals_stop(run):
        run.report.outcome = _outcome_of(run, work)
        exit_code = _write_reports(run)
        moment = words.format_moment(run.report.started_at)
        if run.report.outcome is not errors.Outcome.IN_SYNC:
            run.screen.say_all(moment)
        elif run.screen.has_news:
            run.screen.say_all(moment, "Something needs your attention, see below.")
        if run.hooks and not run.dry_run:
            reports = ", ".join(map(str, args.report))
            run.hooks.end(run.report, exit_code, run.screen.has_news, reports)
    screen.flush_output()
    return exit_code


def _outcome_of(run: Run, work: Callable[[Run], errors.Outcome]) -> errors.Outcome:
    """The one place that turns an error into words and an outcome."""
    try:
        with run.finishing_calls(False):  # but the work itself finishes its writes
            outcome = work(run)
    except errors.AppError as error:
        if run.args.check and isinstance(error, errors.SettingsError):
            run.show_findings([model.Finding(False, problem) for problem in error.problems])
            return error.outcome
        log.error("%s", error)
        run.report.error = str(error)
        outcome = error.outcome
        if not (run.wrote or run.outcome_unknown):
            log.error("Nothing was changed.")
    except Exception:
        log.exception(
            "This is a bug. Please report it with the lines below."
            " They may contain names and addresses."
        )
        run.report.error = "a bug in this program; the log has the details"
        outcome = errors.Outcome.FAILED
    return run.ended(outcome)


def _write_reports(run: Run) -> int:
    exit_code = run.report.outcome.exit_code
    run.report.finished_at = run.clock.utcnow()
    for path in run.args.report:
        try:
            render.write_report(path, run.report, exit_code)
        except OSError as error:
            log.error("Cannot write the report %s: %s", path, error.strerror)
            exit_code = exit_code or run.ended(errors.Outcome.FAILED).exit_code
        else:
            if not run.args.check:  # it ends with its verdict
                run.say(f"Report: {path}")
    return exit_code


@contextlib.contextmanager
def _signals_stop(run: Run) -> Iterator[None]:
    """First Ctrl-C, SIGTERM or SIGHUP (the terminal was closed): no new calls; those that write
    finish. Second: the end, at once. A signal that whoever started us ignores stays ignored."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        if run.clock.is_stopped():
            os._exit(errors.Outcome.INTERRUPTED.exit_code)
        run.clock.stop()
        log.warning(
            "Stopping after the calls in progress. Press Ctrl-C again to quit now, without a"
            " report."
        )
        if not run.calls_must_finish:
            raise errors.Interrupted("Stopped on request.")

    numbers = [getattr(signal, name) for name in STOPPING if hasattr(signal, name)]
    heard = [each for each in numbers if signal.getsignal(each) is not signal.SIG_IGN]
    before = [(number, signal.signal(number, stop)) for number in heard]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
