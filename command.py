"""What every script does around its work: arguments, settings, log, lock, signals, report, exit."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Callable, Iterator, List, Optional, Sequence, Tuple, TypeVar

from clock import Clock
from errors import AppError, Exit, Interrupted
from http_client import HttpClient
from limits import Refusal
from preflight import Finding
from report import Report, is_page, write_report
from settings import SettingsReader, env_file_path, readable_by_others, setting_values
from words import printable

VERSION = "1.0.0"

# The exit code of every outcome; errors bring their own, see errors.py.
EXITS = {
    "in_sync": Exit.OK,
    "synced": Exit.OK,
    "planned": Exit.OK,
    "refused": Exit.REFUSED,
    "partial": Exit.PARTIAL,
    "failed": Exit.FAILED,
    "interrupted": Exit.INTERRUPTED,
}

COLOURS = {"green": "\x1b[32m", "red": "\x1b[31m", "yellow": "\x1b[33m"}

T = TypeVar("T")
log = logging.getLogger("crm_sync")


class Run:
    """One run of a script: its work fills `report` as it learns, and returns the outcome."""

    def __init__(self, job: str, args: argparse.Namespace, clock: Clock) -> None:
        self.args = args
        self.clock = clock
        self.dry_run: bool = args.dry_run or args.check
        self.wrote = False  # whether a service may have been changed
        self.calls_must_finish = False
        self._unsaid: List[Tuple[str, str]] = []
        self.report: Report = {
            "schema_version": 1,
            "job": job,
            "mode": "dry-run" if self.dry_run else "apply",
            "outcome": "failed",
            "exit_code": int(Exit.FAILED),
            "error": None,
            "started_at": clock.timestamp(),
            "finished_at": None,
            "summary": [],
            "counts": {},
            "refusals": [],
            "requests": {},
        }

    def settings(self, build: Callable[[SettingsReader], T]) -> T:
        """Raises SettingsError that names all that is missing or wrong."""
        path = env_file_path(self.args.env_file)
        if path and path.exists() and readable_by_others(path):
            log.warning("Other users of this machine can read %s. Run: chmod 600 %s", path, path)
        values = setting_values(self.args.env_file, os.environ)
        reader = SettingsReader(values, os.path.basename(sys.argv[0]))
        settings = reader.load(build)
        self.report["settings"] = reader.used
        return settings

    @property
    def wants_page(self) -> bool:
        return any(is_page(path) for path in self.args.report)

    def say(self, line: str = "", colour: str = "") -> None:
        """A line for people on stdout. With --quiet it waits until there is something to tell."""
        if self.args.quiet:
            self._unsaid.append((line, colour))
        else:
            _print(line, colour)

    def summarise(self, line: str) -> None:
        """Say what came of the run: these lines can be forwarded as they are."""
        self.report["summary"].append(line)
        self.say(line)

    def say_all(self) -> None:
        while self._unsaid:
            _print(*self._unsaid.pop(0))

    @contextlib.contextmanager
    def using(self, *services: HttpClient) -> Iterator[None]:
        """Close the services in the end, and let the report say what was asked of them."""
        try:
            yield
        finally:
            for service in services:
                service.close()
                self.report["requests"][service.service.lower()] = service.usage.as_report()

    @contextlib.contextmanager
    def finishing_calls(self) -> Iterator[None]:
        """Within it, a signal lets the calls under way finish; elsewhere they are given up."""
        self.calls_must_finish = True
        try:
            yield
        finally:
            self.calls_must_finish = False

    def refuse(self, refusals: Sequence[Refusal]) -> str:
        """Say why nothing is changed, and what would allow it; return the outcome."""
        self.report["refusals"] = [refusal._asdict() for refusal in refusals]
        self.summarise("Refused for safety, nothing has been changed:")
        for refusal in refusals:
            self.say(f"  {refusal.reason}", "red")
        flags = " ".join(refusal.allow_with for refusal in refusals)
        self.say(f"If this is what you want, run it once more with: {flags}")
        return "refused"

    def show_findings(self, findings: Sequence[Finding]) -> str:
        """Print what `--check` found, a line each, and return the outcome."""
        for finding in findings:
            self.say(f"{'OK ' if finding.ok else 'FIX'}  {finding.text}")
        self.report["findings"] = [finding._asdict() for finding in findings]
        return "planned" if all(finding.ok for finding in findings) else "failed"


def parser(description: str) -> argparse.ArgumentParser:
    """The flags that every script has."""
    arguments = argparse.ArgumentParser(
        description=description,
        epilog="Settings come from the environment, then from .env; see .env.example. Exit codes:"
        " 0 done, 1 failed, 2 wrong settings, 3 refused for safety, 4 done in part, 5 another run"
        " is active, 130 interrupted.",
    )
    add = arguments.add_argument
    add("--dry-run", action="store_true", help="show what would be done, change nothing")
    add("--check", action="store_true", help="check keys, rights and settings, then stop")
    add(
        "--report",
        metavar="PATH",
        type=_report_path,
        action="append",
        default=[],
        help="write what was done to a file: a page if its name ends in .html, CSV if it ends in"
        " .csv, else JSON; may be given more than once",
    )
    add("--env-file", metavar="PATH", help="settings file to use in place of .env")
    loudness = arguments.add_mutually_exclusive_group()
    loudness.add_argument(
        "-v", "--verbose", action="store_true", help="also log every request and every wait"
    )
    loudness.add_argument(
        "-q", "--quiet", action="store_true", help="print only when something changed or failed"
    )
    add("--version", action="version", version=VERSION)
    return arguments


def flag_type(parse: Callable[[str], T]) -> Callable[[str], T]:
    """`parse` for a flag: it raises ValueError with the words that follow "must be"."""

    def parse_flag(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"must be {error}, not {text!r}") from None

    return parse_flag


def main(
    job: str,
    arguments: argparse.ArgumentParser,
    work: Callable[[Run], str],
    argv: Optional[Sequence[str]],
    clock: Optional[Clock],
) -> int:
    """Run `work`, turn whatever happens into words, report and exit code, and return the code."""
    args = arguments.parse_args(argv)
    _set_up_output(args)
    run = Run(job, args, clock or Clock())
    with _signals_stop(run):
        exit_code = _carry_out(run, work)
        run.calls_must_finish = True  # a signal must not spoil the report
        if run.report["outcome"] != "in_sync":
            run.say_all()
        return _write_reports(run, exit_code)


def _carry_out(run: Run, work: Callable[[Run], str]) -> int:
    try:
        outcome, exit_code = work(run), None
    except AppError as error:
        log.error("%s", error)
        if not run.wrote:
            log.error("Nothing has been changed.")
        run.report["error"] = str(error)
        outcome, exit_code = "failed", error.exit_code
    except Exception:
        log.exception("This is a mistake in the program; please report it with these lines")
        run.report["error"] = "a mistake in the program; the log has the details"
        outcome, exit_code = "failed", Exit.FAILED
    if run.clock.is_stopped():
        outcome, exit_code = "interrupted", None
    elif outcome == "failed" and run.wrote:
        exit_code = Exit.PARTIAL
    run.report["outcome"] = outcome
    return int(EXITS[outcome] if exit_code is None else exit_code)


def _write_reports(run: Run, exit_code: int) -> int:
    for path in run.args.report:
        run.report.update(exit_code=exit_code, finished_at=run.clock.timestamp())
        try:
            write_report(path, run.report)
        except OSError as error:
            log.error("Cannot write the report %s: %s", path, error.strerror)
            exit_code = exit_code or int(Exit.PARTIAL if run.wrote else Exit.FAILED)
    return exit_code


def _report_path(text: str) -> Path:
    path = Path(text).resolve()
    if not path.parent.is_dir() or (path.exists() and not path.is_file()):
        raise argparse.ArgumentTypeError(f"{text}: give a file in a folder that exists")
    return path


@contextlib.contextmanager
def _signals_stop(run: Run) -> Iterator[None]:
    """First Ctrl-C or SIGTERM: no new calls; those that write finish. Second: the end, at once."""

    def stop(_number: int, _frame: Optional[FrameType]) -> None:
        if run.clock.is_stopped():
            os._exit(Exit.INTERRUPTED)
        run.clock.stop()
        log.warning("Stopping. Once more ends at once, without a report.")
        if not run.calls_must_finish:
            raise Interrupted("Stopped on request.")

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, stop) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before):
            signal.signal(number, handler)


class _LogHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes above the progress bars, and nothing that a terminal would obey."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm = sys.modules.get("tqdm")
        with tqdm.tqdm.external_write_mode(sys.stderr) if tqdm else contextlib.nullcontext():
            super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(printable, super().format(record).split("\n")))


def _set_up_output(args: argparse.Namespace) -> None:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # an old terminal's character set
    handler = _LogHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%Y-%m-%d %H:%M:%S"))
    log.handlers[:] = [handler]
    log.propagate = False
    level = logging.DEBUG if args.verbose else logging.WARNING if args.quiet else logging.INFO
    log.setLevel(level)


def _print(line: str, colour: str = "") -> None:
    text = printable(line)
    if colour and _wants_colour():
        text = f"{COLOURS[colour]}{text}\x1b[0m"
    try:
        print(text, flush=True)
    except BrokenPipeError:  # `| head` has seen enough; the work goes on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _wants_colour() -> bool:
    """https://no-color.org"""
    return (
        sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )
