"""What people see: lines on stdout, the log and how far it has come on stderr."""

from __future__ import annotations

import logging
import os
import sys
import threading
from logging.handlers import MemoryHandler
from typing import Iterable, Sequence, TextIO, TypeVar

from tqdm import tqdm

from core import log
from core.addresses import display_domains
from core.clock import Clock
from core.words import clip, printable
from report.model import Kind

COLOURS = {"green": "\x1b[32m", "red": "\x1b[31m", "yellow": "\x1b[33m"}
NAME_WIDTH, WORDS_WIDTH = 70, 200  # characters of a line in a list
PROGRESS_EVERY_S = 30.0  # where no bar is shown

tqdm.monitor_interval = 0  # else it starts a thread of its own
tqdm.set_lock(threading.RLock())  # else it makes one for several processes

T = TypeVar("T")


class Screen:
    """Lines for people on stdout. With `quiet` they wait for the end, as cron mails them: the
    results first; and nothing is printed unless something was done or is `news`.

    `more`: where to find what a list does not show.
    """

    def __init__(self, quiet: bool, more: str = "") -> None:
        self._quiet, self._more = quiet, more
        self._results: list[tuple[str, str]] = []
        self._others: list[tuple[str, str]] = []
        self.has_news = False

    def say(self, line: str = "", colour: str = "", is_result: bool = False) -> None:
        if self._quiet:
            (self._results if is_result else self._others).append((line, colour))
        else:
            _print(line, colour)

    def say_list(
        self, title: str, kind: Kind, lines: Sequence[tuple[str, str]], shown: int
    ) -> None:
        """Lines of a name and what is said of it; `shown` of them, the report has all."""
        if not lines:
            return
        self.say(f"{title}:")
        rows = [
            (clip(display_domains(name), NAME_WIDTH), clip(display_domains(words), WORDS_WIDTH))
            for name, words in lines[:shown]
        ]
        width = max(len(name) for name, _ in rows)
        for name, words in rows:
            self.say(f"  {kind.sign or ' '} {name:<{width}}  {words}", kind.colour)
        if len(lines) > shown:
            self.say(f"  and {len(lines) - shown:,} more ({self._more})")
        self.say()

    def forget(self) -> None:
        """What has waited."""
        self._results, self._others = [], []

    def say_all(self, moment: str, first: str = "") -> None:
        """What has waited, if anything has, after the line `first`, and with the moment before all:
        a mail is read elsewhere."""
        begin = [(first, "yellow")] if first and self._others else []
        gap = [("", "")] if self._results and self._others else []
        before = f"{moment}  "
        for line, colour in (*begin, *self._results, *gap, *self._others):
            _print(before + line, colour)
            before = ""


class Progress:
    """How far a long read or write has come: a bar in a terminal, elsewhere a log line now and
    then. Use it as a context; any thread may `advance`, up to `total` if that is known."""

    def __init__(self, label: str, unit: str, clock: Clock, total: int | None = None) -> None:
        self._label, self._unit, self._clock = label, unit, clock
        hide = not wants_bars()
        self._bar = tqdm(None, label, total, leave=False, unit=f" {unit}", disable=hide)
        self._done = 0
        self._line_at = clock.monotonic() + PROGRESS_EVERY_S
        self._lock = threading.Lock()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def expect(self, total: int) -> None:
        self._bar.total = total

    def count(self, items: Iterable[T]) -> list[T]:
        """All items, each of them counted as it comes."""
        found: list[T] = []
        for item in items:
            found.append(item)
            self.advance()
        return found

    def advance(self, steps: int = 1) -> None:
        with self._lock:
            self._done += steps
            self._bar.update(steps)
            now = self._clock.monotonic()
            if self._bar.disable and now >= self._line_at:
                self._line_at = now + PROGRESS_EVERY_S
                of_all = f" of {self._bar.total:,}" if self._bar.total else ""
                log.info("%s: %s%s %s so far", self._label, f"{self._done:,}", of_all, self._unit)


def wants_bars() -> bool:
    return sys.stderr.isatty() and log.isEnabledFor(logging.INFO)


class _LogHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes above the progress bars, and nothing that a terminal would obey."""

    def emit(self, record: logging.LogRecord) -> None:
        with tqdm.external_write_mode(sys.stderr):
            super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(printable, display_domains(super().format(record)).split("\n")))


def set_up_output(verbose: bool, quiet: bool) -> None:
    logging.raiseExceptions = False  # a log that nobody takes is no reason to stop the work
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # an old terminal's character set
    handler: logging.Handler = _LogHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%Y-%m-%d %H:%M:%S%z"))
    log.handlers[:] = [handler]
    if quiet:  # what ends no run waits for `flush_output`: a mail does not begin with it
        waiting = MemoryHandler(1_000_000, flushLevel=logging.CRITICAL, target=handler)
        waiting.addFilter(lambda record: record.levelno < logging.ERROR)
        handler.setLevel(logging.ERROR)
        log.handlers.append(waiting)
    log.propagate = False
    log.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)


def flush_output() -> None:
    """What has waited of the log. Python would end with exit code 120 if it could not write the
    rest."""
    for handler in log.handlers:
        if isinstance(handler, MemoryHandler):
            handler.flush()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _silence(stream)


def _print(line: str, colour: str) -> None:
    text = printable(display_domains(line))
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"  # https://no-color.org
    if colour and sys.stdout.isatty() and not plain:
        text = f"{COLOURS[colour]}{text}\x1b[0m"
    try:
        print(text, flush=True)
    except OSError:  # `| head` has seen enough, or the disk is full; the work goes on
        _silence(sys.stdout)


def _silence(stream: TextIO) -> None:
    with _nowhere() as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")
