"""What a service must be able to do so that its companies can be kept in step with HubSpot's."""

from __future__ import annotations

from typing import Callable, ClassVar, NamedTuple, Protocol, Sequence

from companies import matching, plan
from core.clock import Clock
from core.settings import SettingsReader
from report.model import Finding
from transport import http_client, service_client


class Action(NamedTuple):
    """One kind of change: the forms of its verb, such as "follow", "followed" and "following", and
    the setting of how many there may be. `key` also names its section in the report and its flags,
    such as --max-follow."""

    key: str
    done: str
    doing: str
    limit_setting: str


class Current(NamedTuple):
    """A list as it is now. `claimed`: how many rows there are by the word of the service, where
    that is another number."""

    rows: plan.Rows
    claimed: int | None = None


class Destination(Protocol):
    """One account of a service that lists companies; each service has a class of its own.

    `name`: of the service; `job`: names the run in reports, its lock and its file; `title`: of the
    page; `verb`: what the service does with its rows, such as "follows"; `listed`: what is true of
    these, such as "followed"; `price`: a sentence on what it costs to list a company. Settings are
    named after the service, so that none is mistaken for that of another. `http`: the client's.

    The methods raise ServiceError; `add` and `remove` raise CallRejected as well, and are called by
    many threads.
    """

    name: ClassVar[str]
    job: ClassVar[str]
    title: ClassVar[str]
    description: ClassVar[str]
    verb: ClassVar[str]
    listed: ClassVar[str]
    adding: ClassVar[Action]
    removing: ClassVar[Action]
    keep_setting: ClassVar[str]
    price: ClassVar[str] = ""

    http: http_client.HttpClient

    # Only where a company may be listed under another domain than it was added by: the domains
    # under which the service may list the company of a domain, at a cost; see aliases.py.
    aliases_of: Callable[[str], Sequence[str]] | None = None
    # For `--check`, after `check`: whether what earlier runs could not remove can be removed now.
    check_removals: Callable[[], Finding] | None = None
    # What a plan costs if up to so many aliases are asked for, and a warning; "" for none.
    cost: Callable[[plan.Plan, int], tuple[str, str]] | None = None

    def __init__(
        self, settings: service_client.ServiceSettings, clock: Clock, dry_run: bool
    ) -> None: ...

    @staticmethod
    def settings(reader: SettingsReader) -> service_client.ServiceSettings: ...

    def check(self) -> Finding:
        """Whether the account can be used; every run begins with it."""

    def fetch_current(self, on_rows: Callable[[int], None]) -> Current:
        """The whole list, in a new dictionary each time; `on_rows` hears how many rows have come.
        What a removal needs besides the domain is noted here, anew with every list."""

    def add(self, company: matching.Change) -> None:
        """What is added already is fine. Raises NotFound where the service does not know the
        company, which is no failure."""

    def remove(self, domain: str) -> None:
        """A row, by its bare domain; what is not listed is fine."""
