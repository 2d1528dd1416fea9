"""Settings: read from the environment, then from a `.env` file, checked all at once."""

from __future__ import annotations

import difflib
import math
import os
import re
import stat
from pathlib import Path
from typing import AbstractSet, Callable, Iterator, Mapping, NamedTuple, TypeVar

import dotenv

from core import errors, limits, log

T = TypeVar("T")

SCRIPTS = Path(__file__).resolve().parent.parent  # the folder that users start the scripts from
PYTHON = r".venv\Scripts\python" if os.name == "nt" else ".venv/bin/python"  # the project's own

_EXAMPLE = SCRIPTS / ".env.example"  # it names every setting of every script
_EXAMPLE_NAME = re.compile(r"^#?([A-Z][A-Z0-9_]*)=", re.MULTILINE)
_CLOSE = 0.85  # difflib's ratio of a slip; keys of services with similar names are under it
_CLOSE_IN_FAMILY = 0.77  # of names that begin with the same word

_BASE_URL = re.compile(
    r"(?:https://(?:[^\s/?#@:\[\]]+|\[[0-9A-Fa-f:.]+\])"
    r"|http://(?:localhost|127\.[0-9.]+|\[::1\]))(?::[0-9]{1,5})?(?:/[^\s?#]*)?"
)
_ADDRESS = "an address that begins with https:// (http:// only for this machine itself)"
# Visible ASCII, as every HTTP header value must be; without the quotation marks of an env file that
# was read as it is.
_KEY = re.compile(r"[!#-&(-~]+")
_SECRET_NAMES = ("_KEY", "_TOKEN")  # so ends the name of a setting that holds a key
_SHORTEST_SECRET = 8  # characters
# A key of HubSpot, and the form in which MailerLite and many others write one (RFC 7519).
_LOOKS_LIKE_KEY = re.compile(r"\bpat-[a-z0-9]+-[a-z0-9-]{8,}|\beyJ[\w-]{8,}\.[\w-]{8,}")


class Secret:
    """A key or token: prints as `***`; only `reveal()`, where a header is made, gives it away."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "***"


class EnvFile(NamedTuple):
    """A settings file and what it sets; no path: there is none."""

    path: Path | None
    values: Mapping[str, str]


NO_FILE = EnvFile(None, {})


class SettingsReader:
    """Collects what is wrong while settings are read, so that it can be said all together. The
    environment wins over the file; an empty variable counts as not set."""

    def __init__(self, environ: Mapping[str, str], script: str, file: EnvFile = NO_FILE) -> None:
        in_environment = {name: text for name, text in environ.items() if text.strip()}
        self._values = {**file.values, **in_environment}
        self._script, self._file = script, file
        self._asked: set[str] = set()
        self._problems: list[str] = []
        self.used: dict[str, str] = {}  # what was not secret, as it was written

    def load(self, build: Callable[[SettingsReader], T]) -> T:
        """Raises SettingsError that names every setting that is missing, wrong or misspelt."""
        settings = build(self)
        self._problems += [
            f"Unknown setting {name}. Did you mean {meant}?"
            for name, meant in _misspelt(self._file.values, self._asked)
        ]
        if self._problems:
            place = self._file.path or ".env (start with: cp .env.example .env)"
            raise errors.SettingsError(
                "\n  - ".join(["Please fix these settings:", *self._problems])
                + f"\nSettings are read from the environment and from {place}.",
                self._problems,
            )
        return settings

    def get(self, name: str, default: str, parse: Callable[[str], T]) -> T:
        """`parse` raises ValueError with the words that follow "must be". A key that was pasted
        into a setting of another kind is never shown."""
        text = self._value(name) or default
        if self._holds_key(text):
            self._problems.append(f"{name} contains an API key. Put it into its own setting.")
            return parse(default)
        self.used[name] = text
        try:
            return parse(text)
        except ValueError as error:
            shown = "" if "@" in text else f", not {text!r}"  # it may hold a password
            self._problems.append(f"{name} must be {error}{shown}")
            return parse(default)

    def optional(self, name: str, parse: Callable[[str], T]) -> T | None:
        """Like `get`, for a setting without a default."""
        return self.get(name, "", lambda text: parse(text) if text else None)

    def secret(self, name: str, origin: str) -> Secret:
        text = self._value(name)
        if not text:
            self._problems.append(f"{name} is missing: {origin}")
        elif text.startswith("op://"):
            self._problems.append(
                f"{name} is still a 1Password reference. Let 1Password fill it in:"
                f" op run --env-file=.env -- {PYTHON} {self._script}"
            )
        elif not _KEY.fullmatch(text):
            self._problems.append(
                f"{name} has characters that no key has, such as a blank or a quotation mark:"
                f" copy {origin}"
            )
        return Secret(text)

    def address(self, name: str) -> Secret | None:
        """One that is called as it is, and never shown: a part of it may be a key."""
        text = self._value(name)
        if text and not _BASE_URL.fullmatch(text.partition("?")[0]):
            self._problems.append(f"{name} must be {_ADDRESS}")
            return None
        return Secret(text) if text else None

    def refuse(self, name: str, other: str) -> None:
        """For a setting that has no meaning beside another one."""
        if self._value(name):
            self._problems.append(f"{name} and {other} are both set: remove one of them")

    def _holds_key(self, text: str) -> bool:
        keys = (key.strip() for name, key in self._values.items() if name.endswith(_SECRET_NAMES))
        is_ours = any(len(key) >= _SHORTEST_SECRET and key in text for key in keys)
        return is_ours or bool(_LOOKS_LIKE_KEY.search(text))

    def _value(self, name: str) -> str:
        self._asked.add(name)
        return self._values.get(name, "").strip()


def read_env_file(path: str | None) -> EnvFile:
    """Without `path`, `.env` beside the scripts: cron finds it from anywhere, and no other folder's
    can send the keys elsewhere. Raises SettingsError when the file cannot be read, or others may
    write it."""
    found = SCRIPTS / ".env" if path is None else Path(path)
    if path is None and not found.is_file():
        return NO_FILE
    try:
        with open(found, encoding="utf-8-sig") as stream:  # Windows editors begin with a mark
            status = os.fstat(stream.fileno())
            values = dotenv.dotenv_values(stream=stream, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        if isinstance(error, PermissionError):
            reason = "it must belong to the user who runs this"
        raise errors.SettingsError(f"Cannot read the settings file {found}: {reason}.") from None
    if os.name == "posix" and stat.S_ISREG(status.st_mode):  # and no pipe that is filled for us
        remedy = f" Run: chmod 600 {found}" if status.st_uid == os.geteuid() else ""
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise errors.SettingsError(f"Other users of this machine may write {found}.{remedy}")
        if status.st_mode & (stat.S_IRGRP | stat.S_IROTH):
            log.warning("Other users of this machine can read %s.%s", found, remedy)
    return EnvFile(found, {name: text for name, text in values.items() if text is not None})


def _misspelt(names: Mapping[str, str], asked: AbstractSet[str]) -> Iterator[tuple[str, str]]:
    """Names that look like a setting of any script and are none, each with the one that is meant.

    Those of other programs, which may stand in the same file, are none of our business.
    """
    example = _EXAMPLE.read_text(encoding="utf-8") if _EXAMPLE.is_file() else ""
    known = sorted({*asked, *_EXAMPLE_NAME.findall(example)})
    for name in [each for each in names if each not in known]:
        text = name.upper()
        first = text.split("_")[0]
        family = [each for each in known if each.startswith(f"{first}_")]
        # What begins with a service's name is meant for it; each service has a base URL.
        cutoff = 0 if f"{first}_BASE_URL" in known else _CLOSE_IN_FAMILY
        close = difflib.get_close_matches(text, family, cutoff=cutoff)
        for meant in (close or difflib.get_close_matches(text, known, cutoff=_CLOSE))[:1]:
            yield name, meant


def parse_base_url(text: str) -> str:
    """Of a service; raises ValueError with the words that follow "must be", like all of these."""
    if not _BASE_URL.fullmatch(text):
        raise ValueError(_ADDRESS)
    return text.rstrip("/")


def parse_rate(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise ValueError("a number above 0")
    return number


def parse_positive(text: str) -> int:
    """A whole number above 0."""
    number = limits.parse_number(text)
    if number == 0:
        raise ValueError("a whole number above 0")
    return number


def parse_names(text: str) -> tuple[str, ...]:
    """Names with commas between them, each once."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise ValueError("one or more names with commas between them")
    return names
