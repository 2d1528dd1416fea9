"""Settings: read from the environment, then from a `.env` file, checked all at once."""

from __future__ import annotations

import ipaddress
import math
import os
import re
from pathlib import Path
from typing import Callable, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Tuple, TypeVar
from urllib.parse import urlsplit

from domains import normalise_domain
from errors import SettingsError
from limits import Limit, parse_limit, parse_number
from secret import Secret

T = TypeVar("T")

CONTACT_CALLS_PER_SECOND = 5.0  # 200 ms or more between two calls, whatever is set

_KEY = re.compile(r"[!-~]+")  # visible ASCII, as every HTTP header value must be

_WHERE_HUBSPOT_KEY = (
    "a service key (or private app token) that begins with pat-, from HubSpot > Settings >"
    " Account Management > Keys"
)
_WHERE_KEY = "the authentication key in PredictLeads > Subscription Plans"
_WHERE_MAILERLITE_KEY = "an API token from MailerLite > Integrations > API"
_WHERE_SECOND_KEY = "the authentication token in PredictLeads > Subscription Plans"


# The fields that every MailerLite account has: https://developers.mailerlite.com/docs/fields.html
_DEFAULT_FIELDS = (
    "firstname:name,lastname:last_name,company:company,phone:phone,city:city,state:state,"
    "zip:z_i_p,country:country"
)
_FIELD_PAIR = re.compile(r"([a-z][a-z0-9_]*)\s*:\s*([A-Za-z0-9_]+)")


class HubSpotSettings(NamedTuple):
    token: Secret
    base_url: str
    requests_per_second: float


class PredictLeadsSettings(NamedTuple):
    key: Secret
    token: Secret
    base_url: str
    requests_per_second: float


class CompanySettings(NamedTuple):
    """What `sync.py` needs. `alexa_below`: an Alexa rank; the matching ranks are lower."""

    hubspot: HubSpotSettings
    predictleads: PredictLeadsSettings
    platforms: Tuple[str, ...]
    alexa_below: int
    max_unfollow: Limit
    max_follow: Optional[int]
    keep_following: FrozenSet[str]


def company_settings(reader: SettingsReader) -> CompanySettings:
    return CompanySettings(
        _hubspot(reader),
        PredictLeadsSettings(
            reader.secret("PREDICTLEADS_API_KEY", _WHERE_KEY),
            reader.secret("PREDICTLEADS_API_TOKEN", _WHERE_SECOND_KEY),
            reader.url("PREDICTLEADS_BASE_URL", "https://predictleads.com/api/v3"),
            reader.get("PREDICTLEADS_REQUESTS_PER_SECOND", "10", _rate),
        ),
        reader.get("ECOMMERCE_PLATFORMS", "shopify,magento_2", _names),
        reader.get("ALEXA_BELOW", "1000000", _rank),
        reader.get("MAX_UNFOLLOW", "20%", parse_limit),
        reader.get("MAX_FOLLOW", "", lambda text: parse_number(text) if text else None),
        reader.get("KEEP_FOLLOWING", "", parse_domains),
    )


class MailerLiteSettings(NamedTuple):
    key: Secret
    base_url: str
    requests_per_minute: float


class SubscriberSettings(NamedTuple):
    """What `sync_subscribers.py` needs. `fields`: pairs of a HubSpot property and the key of the
    MailerLite field it goes to; `groups`: names or ids."""

    hubspot: HubSpotSettings
    mailerlite: MailerLiteSettings
    fields: Tuple[Tuple[str, str], ...]
    groups: Tuple[str, ...]
    max_new: Optional[int]


def subscriber_settings(reader: SettingsReader) -> SubscriberSettings:
    return SubscriberSettings(
        _hubspot(reader),
        MailerLiteSettings(
            reader.secret("MAILERLITE_API_KEY", _WHERE_MAILERLITE_KEY),
            reader.url("MAILERLITE_BASE_URL", "https://connect.mailerlite.com/api"),
            reader.get("MAILERLITE_REQUESTS_PER_MINUTE", "120", _rate),
        ),
        reader.get("MAILERLITE_FIELDS", _DEFAULT_FIELDS, _field_pairs),
        reader.get("MAILERLITE_GROUPS", "", lambda text: _names(text) if text else ()),
        reader.get("MAX_NEW", "", lambda text: parse_number(text) if text else None),
    )


def _hubspot(reader: SettingsReader) -> HubSpotSettings:
    return HubSpotSettings(
        reader.secret("HUBSPOT_ACCESS_TOKEN", _WHERE_HUBSPOT_KEY),
        reader.url("HUBSPOT_BASE_URL", "https://api.hubapi.com"),
        reader.get("HUBSPOT_REQUESTS_PER_SECOND", "5", _rate),
    )


class ContactSettings(NamedTuple):
    """What `create_contact.py` needs. The names are a person's, for whom no flag gives any."""

    hubspot: HubSpotSettings
    first_name: str
    last_name: str


def contact_settings(reader: SettingsReader) -> ContactSettings:
    hubspot = _hubspot(reader)
    pace = min(hubspot.requests_per_second, CONTACT_CALLS_PER_SECOND)
    return ContactSettings(
        hubspot._replace(requests_per_second=pace),
        reader.get("FIRSTNAME", "Test", str),  # nobody's name, and it looks like it
        reader.get("LASTNAME", "Person", str),
    )


class SettingsReader:
    """Collects what is wrong while settings are read, so that it can be said all together."""

    def __init__(self, values: Mapping[str, str], script: str) -> None:
        self._values = values
        self._script = script
        self._problems: List[str] = []
        self.used: Dict[str, str] = {}  # what was not secret, as it was written

    def load(self, build: Callable[[SettingsReader], T]) -> T:
        """Raises SettingsError that names every setting that is missing or wrong."""
        settings = build(self)
        if self._problems:
            raise SettingsError(
                "\n  - ".join(["These settings need mending:", *self._problems])
                + "\nSet them in the environment or in .env (start with: cp .env.example .env)."
            )
        return settings

    def get(self, name: str, default: str, parse: Callable[[str], T]) -> T:
        """`parse` raises ValueError with the words that follow "must be"."""
        text = self.used[name] = self._value(name) or default
        try:
            return parse(text)
        except ValueError as error:
            self._problems.append(f"{name} must be {error}, not {text!r}")
            return parse(default)

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

    def _value(self, name: str) -> str:
        return self._values.get(name, "").strip()


def setting_values(env_file: Optional[str], environ: Mapping[str, str]) -> Dict[str, str]:
    """The environment over the `.env` file; an empty variable counts as not set.

    Without `env_file`, `.env` is looked for in the current folder, then beside the scripts, so that
    cron finds it from anywhere. Raises SettingsError when the file cannot be read.
    """
    path = env_file_path(env_file)
    values = _read_env_file(path) if path else {}
    values.update({name: value for name, value in environ.items() if value.strip()})
    return values


def env_file_path(env_file: Optional[str]) -> Optional[Path]:
    if env_file is not None:
        return Path(env_file)
    places = (Path.cwd() / ".env", Path(__file__).resolve().parent / ".env")
    return next((place for place in places if place.is_file()), None)


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
        usable = parts.hostname and not (parts.username or parts.query or parts.fragment)
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


def _rank(text: str) -> int:
    rank = parse_number(text)
    if rank == 0:
        raise ValueError("a whole number above 0")
    return rank


def parse_domains(text: str) -> FrozenSet[str]:
    """Domains with commas or blanks between them, normalised."""
    domains = [normalise_domain(part) for part in re.split(r"[\s,;]+", text) if part]
    if None in domains:
        raise ValueError("domains such as shop.example, with commas between them")
    return frozenset(domain for domain in domains if domain)


def _names(text: str) -> Tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise ValueError("one or more names with commas between them")
    return names


def _field_pairs(text: str) -> Tuple[Tuple[str, str], ...]:
    pairs = [_FIELD_PAIR.fullmatch(name) for name in _names(text)]
    keys = {pair[2] for pair in pairs if pair}
    if len(keys) < len(pairs):
        raise ValueError(
            "pairs such as firstname:name, a HubSpot property and a MailerLite key of its own, with"
            " commas between them"
        )
    return tuple((pair[1], pair[2]) for pair in pairs if pair)
