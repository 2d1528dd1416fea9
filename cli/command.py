"""What every script does around its work: arguments, signals, log, report, exit code."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
from pathlib import Path
from types import FrameType
from typing import Callable, Iterator, Sequence, TypeVar

from cli.run import Run
from cli.screen import flush_output, set_up_output
from core import VERSION
from core.clock import Clock
from core.errors import AppError, Interrupted, Outcome
from core.log import log
from core.settings import parse_positive
from report.render import ENDINGS, write_report

HISTORY_RUNS = 20
STOPPING = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows lacks the last
EXIT_CODES = (
    "Exit codes: 0 done, 1 failed, 2 wrong settings, 3 refused for safety, 4 done in part,"
    " 5 another run is active, 130 interrupted."
)

T = TypeVar("T")


def parser(description: str) -> argparse.ArgumentParser:
    """The flags that every script has."""
    settings = "Settings come from the environment, then from .env; see .env.example."
    arguments = argparse.ArgumentParser(description=description, epilog=f"{settings} {EXIT_CODES}")
    add = arguments.add_argument
    add("--dry-run", action="store_true", help="show what would be done, change nothing")
    add("--check", action="store_true", help="check keys, rights and settings, then stop")
    report = (
        "write what was done to a file: a page if its name ends in .html, CSV if it ends in .csv,"
        " else JSON; may be given more than once"
    )
    add("--report", metavar="PATH", type=_report_path, action="append", default=[], help=report)
    add("--env-file", metavar="PATH", help="settings file to use in place of .env")
    add("--version", action="version", version=VERSION)
    add = arguments.add_mutually_exclusive_group().add_argument
    add("-v", "--verbose", action="store_true", help="also log every request and every wait")
    quiet = "print only when something changed, failed or newly waits for you"
    add("-q", "--quiet", action="store_true", help=quiet)
    return arguments


def add_questions(
    arguments: argparse.ArgumentParser, metavar: str, parse: Callable[[str], str], what: str
) -> None:
    """The flags that ask what earlier runs did, and why."""
    questions = arguments.add_mutually_exclusive_group()
    questions.add_argument(
        "--explain",
        metavar=metavar,
        type=flag_type(parse),
        action="append",
        default=[],
        help=f"tell {what}, and what the next run would do; may be given more than once",
    )
    questions.add_argument(
        "--history",
        metavar="N",
        type=flag_type(parse_positive),
        nargs="?",
        const=HISTORY_RUNS,
        help=f"tell what the last runs did (default: {HISTORY_RUNS} of them)",
    )


def flag_type(parse: Callable[[str], T]) -> Callable[[str], T]:
    """`parse` for a flag: it raises ValueError with the words that follow "must be"."""

    def parse_flag(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"must be {error}, not {text!r}") from None

    return parse_flag


def _report_path(text: str) -> Path:
    path = Path(os.path.realpath(text))
    if path.suffix.lower() not in ("", *ENDINGS):
        raise argparse.ArgumentTypeError(f"{text}: its name must end in .html, .csv or .json")
    is_file = os.path.isfile(path) or not os.path.exists(path)
    if is_file and os.path.isdir(path.parent) and os.access(path.parent, os.W_OK):
        return path
    words = "give a file in a folder that exists and can be written"
    raise argparse.ArgumentTypeError(f"{text}: {words}")


def main(
    job: str,
    title: str,
    arguments: argparse.ArgumentParser,
    work: Callable[[Run], Outcome],
    argv: Sequence[str] | None,
    clock: Clock | None,
) -> int:
    """Run `work`, turn whatever happens into words, report and exit code, and return the code.

    `job` names it in the report, `title` on the page.
    """
    args = arguments.parse_args(argv)
    set_up_output(args.verbose, args.quiet)
    run = Run(job, title, args, clock or Clock())
    run.report.version = VERSION
    with _signals_stop(run):
        run.report.outcome = _outcome_of(run, work)
        exit_code = _write_reports(run)
        if run.report.outcome is not Outcome.IN_SYNC:
            run.screen.say_all()
        elif run.screen.has_news:
            run.screen.say_all("Something waits for you, see below.")
    flush_output()
    return exit_code


def _outcome_of(run: Run, work: Callable[[Run], Outcome]) -> Outcome:
    """The one place that turns an error into words and an outcome."""
    try:
        with run.finishing_calls(False):  # but the work itself finishes its writes
            outcome = work(run)
    except AppError as error:
        log.error("%s", error)
        run.report.error = str(error)
        outcome = error.outcome
        if not run.wrote:
            log.error("Nothing has been changed.")
    except Exception:
        log.exception("This is a mistake in the program; please report it with these lines")
        run.report.error = "a mistake in the program; the log has the details"
        outcome = Outcome.FAILED
    return run.ended(outcome)


def _write_reports(run: Run) -> int:
    exit_code = run.report.outcome.exit_code
    run.report.finished_at = run.clock.timestamp()
    for path in run.args.report:
        try:
            write_report(path, run.report, exit_code)
        except OSError as error:
            log.error("Cannot write the report %s: %s", path, error.strerror)
            exit_code = exit_code or run.ended(Outcome.FAILED).exit_code
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
            os._exit(Outcome.INTERRUPTED.exit_code)
        run.clock.stop()
        log.warning("Stopping. Once more ends at once, without a report.")
        if not run.calls_must_finish:
            raise Interrupted("Stopped on request.")

    numbers = [getattr(signal, name) for name in STOPPING if hasattr(signal, name)]
    heard = [each for each in numbers if signal.getsignal(each) is not signal.SIG_IGN]
    before = [(number, signal.signal(number, stop)) for number in heard]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
