"""Settings: read from the environment, then from a `.env` file, checked all at once."""

from __future__ import annotations

import ipaddress
import math
import os
import re
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional, Tuple, TypeVar
from urllib.parse import urlsplit

from basics.errors import SettingsError
from basics.limits import parse_number
from basics.secret import Secret

T = TypeVar("T")

SCRIPTS = Path(__file__).resolve().parent.parent  # the folder that users start the scripts from

_KEY = re.compile(r"[!-~]+")  # visible ASCII, as every HTTP header value must be
_SECRET_NAMES = ("_KEY", "_TOKEN")  # so ends the name of a setting that holds a key
_SHORTEST_SECRET = 8  # characters
# A key of HubSpot, and the form in which MailerLite and many others write one (RFC 7519).
_LOOKS_LIKE_KEY = re.compile(r"\bpat-[a-z0-9]+-[a-z0-9-]{8,}|\beyJ[\w-]{8,}\.[\w-]{8,}")


class SettingsReader:
    """Collects what is wrong while settings are read, so that it can be said all together."""

    def __init__(self, values: Mapping[str, str], script: str) -> None:
        self._values = values
        self._script = script
        self._secrets = [
            text for name, text in values.items() if name.endswith(_SECRET_NAMES) and text.strip()
        ]
        self._problems: List[str] = []
        self.used: Dict[str, str] = {}  # what was not secret, as it was written

    def load(self, build: Callable[[SettingsReader], T]) -> T:
        """Raises SettingsError that names every setting that is missing or wrong."""
        settings = build(self)
        if self._problems:
            raise SettingsError(
                "\n  - ".join(["These settings need fixing:", *self._problems])
                + "\nSet them in the environment or in .env (start with: cp .env.example .env)."
            )
        return settings

    def get(self, name: str, default: str, parse: Callable[[str], T]) -> T:
        """`parse` raises ValueError with the words that follow "must be". A key that was pasted
        into a setting of another kind is never shown."""
        text = self._value(name) or default
        if self._holds_key(text):
            self._problems.append(f"{name} holds a key, which belongs into a setting of its own")
            return parse(default)
        self.used[name] = text
        try:
            return parse(text)
        except ValueError as error:
            shown = "what it is" if "@" in text else repr(text)  # it may hold a password
            self._problems.append(f"{name} must be {error}, not {shown}")
            return parse(default)

    def optional(self, name: str, parse: Callable[[str], T]) -> Optional[T]:
        """Like `get`, for a setting without a default."""
        return self.get(name, "", lambda text: parse(text) if text else None)

    def secret(self, name: str, origin: str) -> Secret:
        text = self._value(name)
        if not text:
            self._problems.append(f"{name} is missing: {origin}")
        elif text.startswith("op://"):
            self._problems.append(
                f"{name} is still a 1Password reference; let 1Password fill it in:"
                f" op run --env-file=.env -- python {self._script}"
            )
        elif not _KEY.fullmatch(text):
            self._problems.append(
                f"{name} has characters that no key has (a blank, a quotation mark?): copy {origin}"
            )
        return Secret(text)

    def url(self, name: str, default: str) -> str:
        return self.get(name, default, _base_url)

    def rate(self, name: str, default: str) -> float:
        return self.get(name, default, _rate)

    def _holds_key(self, text: str) -> bool:
        secrets = (secret.strip() for secret in self._secrets)
        is_ours = any(len(each) >= _SHORTEST_SECRET and each in text for each in secrets)
        return is_ours or bool(_LOOKS_LIKE_KEY.search(text))

    def _value(self, name: str) -> str:
        return self._values.get(name, "").strip()


def setting_values(env_file: Optional[str], environ: Mapping[str, str]) -> Dict[str, str]:
    """The environment over the `.env` file; an empty variable counts as not set.

    Without `env_file`, `.env` is looked for beside the scripts, so that cron finds it from anywhere
    and no other project's file gets in between, then in the current folder. Raises SettingsError
    when the file cannot be read.
    """
    path = env_file_path(env_file)
    values = _read_env_file(path) if path else {}
    values.update({name: value for name, value in environ.items() if value.strip()})
    return values


def env_file_path(env_file: Optional[str]) -> Optional[Path]:
    if env_file is not None:
        return Path(env_file)
    return next((path for path in (SCRIPTS / ".env", Path(".env")) if path.is_file()), None)


def readable_by_others(path: Path) -> bool:
    return os.name == "posix" and bool(path.stat().st_mode & 0o044)


def _read_env_file(path: Path) -> Dict[str, str]:
    import dotenv

    try:
        with open(path, encoding="utf-8-sig") as stream:  # Windows editors begin with a mark
            values = dotenv.dotenv_values(stream=stream, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f"Cannot read the settings file {path}: {reason}.") from None
    return {name: value for name, value in values.items() if value is not None}


def _base_url(text: str) -> str:
    wanted = "an address that begins with https:// (http:// only for this machine itself)"
    try:
        parts = urlsplit(text)
        usable = parts.hostname and not ("@" in parts.netloc or parts.query or parts.fragment)
        safe = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname))
        parts.port  # noqa: B018 - raises ValueError when it is no port
    except ValueError:
        raise ValueError(wanted) from None
    if not (usable and safe):
        raise ValueError(wanted)
    return text.rstrip("/")


def _is_loopback(host: Optional[str]) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _rate(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError("a number above 0")
    return number


def parse_positive(text: str) -> int:
    """A whole number above 0; raises ValueError with the words that follow "must be"."""
    number = parse_number(text)
    if number == 0:
        raise ValueError("a whole number above 0")
    return number


def parse_names(text: str) -> Tuple[str, ...]:
    """Names with commas between them, each once; raises ValueError like `parse_positive`."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise ValueError("one or more names with commas between them")
    return names
