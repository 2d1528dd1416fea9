"""What people see: lines on stdout, the log on stderr, and colours where a terminal shows them."""

from __future__ import annotations

import logging
import os
import sys
from logging.handlers import MemoryHandler
from typing import Sequence, TextIO

from cli.progress import above_bars
from core.domains import display_domains
from core.log import log
from core.words import clip, printable
from report.model import Kind

COLOURS = {"green": "\x1b[32m", "red": "\x1b[31m", "yellow": "\x1b[33m"}
NAME_WIDTH, WORDS_WIDTH = 70, 200  # characters of a line in a list


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

    def say(self, line: str = "", colour: str = "") -> None:
        if self._quiet:
            self._others.append((line, colour))
        else:
            _print(line, colour)

    def say_result(self, line: str, colour: str = "") -> None:
        """What a mail begins with."""
        if self._quiet:
            self._results.append((line, colour))
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

    def say_all(self, first: str = "") -> None:
        """What has waited, if anything has, after the line `first`."""
        gap = [("", "")] if self._results and self._others else []
        begin = [(first, "yellow")] if first and gap else []
        for line, colour in (*begin, *self._results, *gap, *self._others):
            _print(line, colour)
        self._results, self._others = [], []


class _LogHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes above the progress bars, and nothing that a terminal would obey."""

    def emit(self, record: logging.LogRecord) -> None:
        with above_bars():
            super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(printable, super().format(record).split("\n")))


def set_up_output(verbose: bool, quiet: bool) -> None:
    logging.raiseExceptions = False  # a log that nobody takes is no reason to stop the work
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # an old terminal's character set
    handler: logging.Handler = _LogHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%Y-%m-%d %H:%M:%S"))
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


def _print(line: str, colour: str = "") -> None:
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
