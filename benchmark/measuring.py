"""The processes of the benchmark, and what is measured of each.

Everything that takes part runs in a process of its own: the services, the other app, and whoever is
measured. So time, interpreter lock and memory of each are its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Sequence

ROOT = Path(__file__).resolve().parent.parent
LATENCY_S = 0.25
LATENCY_JITTER = 0.2  # give or take this fraction
SEARCHES_PER_SECOND = 5  # HubSpot's limit for an account
CALLS_PER_SECOND = 10  # PredictLeads
MAILERLITE_PER_MINUTE = 120
OTHERS_SHARE = 0.5  # of both allowances, where another app is at work
OTHER_APP = "another-app"  # its User-Agent, by which its calls are told from those measured
LONGEST_S = 1800.0  # what hangs longer is ended
PASSED_ON = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT")  # no key, setting or proxy of the developer's


class Spec(NamedTuple):
    """Which account to play: companies that match (a quarter as many others are among them), how
    many of them are followed, and whether `COMPANY_LIST` holds those that match."""

    matching: int
    followed: int
    latency_s: float = LATENCY_S
    latency_jitter: float = LATENCY_JITTER
    by_list: bool = False


class Seen(NamedTuple):
    """What the services saw since they were asked last, without the other app's calls.

    Seconds are from the first arrival to the last answer. `chains`: from how many ids searches
    began that no page before had ended with. `is_right`: followed are the companies that match,
    each of them and no other.
    """

    calls: int
    refused: int
    searches: int
    searches_refused: int
    search_s: float
    chains: int
    follows: int
    follow_s: float
    writes: int
    is_right: bool
    others_calls: int
    others_refused: int


class PeopleSeen(NamedTuple):
    """Likewise, of the services that have people. `calls`, `refused`: of MailerLite; `is_right`:
    MailerLite has what HubSpot has."""

    calls: int
    refused: int
    hubspot_calls: int
    writes: int
    is_right: bool
    others_calls: int
    others_refused: int


class Finished(NamedTuple):
    """A process that has ended; `peak_mb`: the most memory it held, in millions of bytes."""

    code: int
    seconds: float
    peak_mb: float
    out: str
    err: str


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Finished:
    """Run a command to its end in the folder, and measure it."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        started_at = time.perf_counter()
        child = subprocess.Popen(  # noqa: S603 - the command is the benchmark's own
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
        watchdog = threading.Timer(LONGEST_S, child.kill)
        watchdog.start()
        try:
            # The system's own count of this one child. It begins with the memory of whoever
            # started it, which is why this process imports so little.
            _, status, usage = os.wait4(child.pid, 0)
        finally:
            watchdog.cancel()
        seconds = time.perf_counter() - started_at
        child.returncode = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1
        unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
        out.seek(0)
        err.seek(0)
        peak_mb = usage.ru_maxrss * unit / 1e6
        return Finished(child.returncode, seconds, peak_mb, out.read(), err.read())


def run_module(name: str, *arguments: str, **environment: str) -> Finished:
    """Run a module of this package, which must end well."""
    command = (sys.executable, "-m", f"benchmark.{name}", *arguments)
    finished = run(command, {**clean_environment(), **environment}, ROOT)
    if finished.code:
        raise RuntimeError(f"{' '.join(command[2:])} failed:\n{finished.err}")
    return finished


def clean_environment() -> dict[str, str]:
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}


class _Companion:
    """A module of this package that works beside what is measured, until its input ends."""

    def __init__(self, module: str, *arguments: str, **environment: str) -> None:
        self._child = subprocess.Popen(  # noqa: S603 - the command is the benchmark's own
            (sys.executable, "-m", f"benchmark.{module}", *arguments),
            cwd=ROOT,
            env={**clean_environment(), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            universal_newlines=True,
        )

    def hear(self) -> Any:
        """The next line that it says, which is JSON."""
        assert self._child.stdout
        line = self._child.stdout.readline()
        if not line:
            raise RuntimeError("a process of the benchmark ended before its time")
        return json.loads(line)

    def ask(self, what: str = "") -> Any:
        assert self._child.stdin
        self._child.stdin.write(f"{what}\n")
        self._child.stdin.flush()
        return self.hear()

    def __exit__(self, *_: object) -> None:
        self._child.communicate()


class Services(_Companion):
    """The stand-ins of HubSpot and PredictLeads, with the records of the spec.

    `settings` is the environment that leads to them.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__("services", json.dumps(spec))

    def __enter__(self) -> Services:
        self.settings: dict[str, str] = self.hear()
        return self

    def seen(self) -> Seen:
        """What they saw since the last question; what is followed is as at the beginning again."""
        return Seen(**self.ask())


class PeopleServices(_Companion):
    """The stand-ins of HubSpot and MailerLite; `spec`: a PeopleSpec; `folder`: for what runs leave
    for later ones."""

    def __init__(self, spec: tuple[Any, ...]) -> None:
        super().__init__("people", json.dumps(spec))

    def __enter__(self) -> PeopleServices:
        self.settings: dict[str, str] = self.hear()
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()
        super().__exit__()

    def seen(self, changes: int = 0) -> PeopleSeen:
        """What they saw since the last question; then HubSpot changes so often."""
        return PeopleSeen(*self.ask(str(changes)))


class OtherApp(_Companion):
    """Another app of the same accounts, which takes its share of their allowances."""

    def __init__(
        self, settings: Mapping[str, str], module: str = "other_app", *arguments: str
    ) -> None:
        super().__init__(module, *arguments, **settings)

    def __enter__(self) -> OtherApp:
        self.hear()  # its first calls are made
        return self
