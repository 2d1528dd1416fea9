"""People for tests of the subscriber job: contacts, subscribers, and what became of them."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, Sequence

import sync_subscribers
from sandbox import HubSpot, MailerLite, Request, Sandbox
from tests.helpers import Ended, FakeClock

Row = Dict[str, Any]
JO, AL, BO = "jo@mail.example", "al@mail.example", "bo@mail.example"
NEWSLETTER, OFFERS = 11, 12  # subscription types
KINDS = {NEWSLETTER: "Newsletter", OFFERS: "Marketing Information"}


def contact(email: str | None, firstname: str | None = "New", **more: Any) -> Row:
    return {"email": email, "firstname": firstname, **more}


def subscriber(email: str, name: str = "Old", status: str = "active", **fields: Any) -> Row:
    return {"email": email, "status": status, "fields": {"name": name, **fields}}


def make(
    contacts: Sequence[Row],
    people: Sequence[Row],
    clock: Callable[[], float],
    hubspot: dict[str, Any] | None = None,
    **mailerlite: Any,
) -> Sandbox:
    crm = HubSpot(contacts=contacts, subscriptions=KINDS, **(hubspot or {}))
    return Sandbox(crm, mailerlite=MailerLite(people, **mailerlite), clock=clock)


def run(clock: FakeClock, sandbox: Sandbox, *flags: str, **settings: str) -> Ended:
    return clock.run(sync_subscribers.main, sandbox, *flags, **settings)


def run_first(clock: FakeClock, sandbox: Sandbox, *flags: str, **settings: str) -> Ended:
    return run(clock, sandbox, "--first-run", *flags, **settings)


def statuses(sandbox: Sandbox) -> dict[str, str]:
    return {email: each["status"] for email, each in sandbox.mailerlite.subscribers.items()}


def fields(sandbox: Sandbox, email: str) -> Row:
    return dict(sandbox.mailerlite.subscribers[email]["fields"])


def reasons(ended: Ended) -> dict[str, str]:
    return {row["email"]: row["reason"] for row in ended.report["skipped"]}


def emails(rows: Sequence[Row]) -> list[str]:
    return [row["email"] for row in rows]


def people_written(sandbox: Sandbox) -> Iterator[Row]:
    """The bodies of all requests that wrote a subscriber."""
    for request in sandbox.requests:
        if is_write(request):
            yield request.json()


def is_write(request: Request) -> bool:
    return request.method == "POST" and request.path == "/subscribers"


def before_looks(sandbox: Sandbox, change: Callable[[], object]) -> None:
    """Let something happen after the lists were read, before anybody is looked at again."""
    _once(sandbox, lambda request: request.path.endswith("/contacts/batch/read"), change)


def before_writes(sandbox: Sandbox, change: Callable[[], object]) -> None:
    """Let something happen between the last look at a person and the write."""
    _once(sandbox, is_write, change)


def _once(
    sandbox: Sandbox, is_due: Callable[[Request], bool], change: Callable[[], object]
) -> None:
    def on_request(request: Request) -> None:
        if is_due(request):
            sandbox.on_request = None
            change()

    sandbox.on_request = on_request
