"""The services of one measurement of `sync_subscribers.py`, in a process of their own.

Like `services.py`, but HubSpot has people, MailerLite has some of them, and time goes faster.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import Any, NamedTuple

from benchmark.measuring import LATENCY_JITTER, LATENCY_S, OTHER_APP, PeopleSeen
from sandbox import HubSpot, MailerLite, Sandbox

GROUPS = {"7": "Shops"}
LEFT_EVERY = 20  # one in twenty subscribers has unsubscribed


class PeopleSpec(NamedTuple):
    """How many contacts there are, and how many of them are subscribed already; `speed`: how many
    times as fast as usual time goes."""

    contacts: int
    subscribed: int
    speed: float


def email_of(number: int) -> str:
    return f"test.person.{number:06d}@mail.example"


def values_of(number: int) -> dict[str, str]:
    return {"name": f"Test{number % 997}", "last_name": f"Person{number}", "city": "Anytown"}


def contact(number: int) -> dict[str, Any]:
    values = values_of(number)
    return {
        "id": 1_000 + number,
        "email": email_of(number),
        "firstname": values["name"],
        "lastname": values["last_name"],
        "city": values["city"],
    }


def subscriber(number: int) -> dict[str, Any]:
    status = "unsubscribed" if number % LEFT_EVERY == 0 else "active"
    row = {"email": email_of(number), "status": status, "fields": values_of(number)}
    return {**row, "groups": list(GROUPS)}


def play(spec: PeopleSpec) -> Sandbox:
    return Sandbox(
        HubSpot(contacts=map(contact, range(spec.contacts))),
        mailerlite=MailerLite(
            map(subscriber, range(spec.subscribed)), groups=GROUPS, max_limit=1_000
        ),
        latency_s=LATENCY_S / spec.speed,
        latency_jitter=LATENCY_JITTER,
        clock=lambda: time.monotonic() * spec.speed,
    )


def change(sandbox: Sandbox, number: int) -> None:
    """So many changes in HubSpot: half of them new people, half of them new values."""
    hubspot = sandbox.hubspot
    first = len(hubspot.contacts)
    for new in range(first, first + number // 2):
        hubspot.add("contacts", contact(new))
    active = [each for each in range(number) if each % LEFT_EVERY]
    for known in active[: number - number // 2]:
        hubspot.edit("contacts", 1_000 + known, city="Elsewhere")


def is_right(sandbox: Sandbox) -> bool:
    """Whether MailerLite has what HubSpot has, of all who have not unsubscribed."""
    there = sandbox.mailerlite.subscribers
    people = ((there.get(str(each["email"])), each) for each in sandbox.hubspot.contacts.values())
    return all(
        person and (person["status"] != "active" or person["fields"]["city"] == each["city"])
        for person, each in people
    )


def seen(sandbox: Sandbox) -> PeopleSeen:
    calls = [each for each in sandbox.requests if each.service == "mailerlite"]
    ours = [each for each in calls if each.headers.get("User-Agent") != OTHER_APP]
    others = [each for each in calls if each.headers.get("User-Agent") == OTHER_APP]
    return PeopleSeen(
        len(ours),
        sum(each.status == 429 for each in ours),
        len(sandbox.requests) - len(calls),
        len(sandbox.writes),
        is_right(sandbox),
        len(others),
        sum(each.status == 429 for each in others),
    )


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started this
    with play(PeopleSpec(*json.loads(sys.argv[1]))) as sandbox:
        print(json.dumps(sandbox.settings), flush=True)
        for line in sys.stdin:
            observed = seen(sandbox)
            change(sandbox, int(line))
            sandbox.writes, sandbox.requests = [], []
            print(json.dumps(observed), flush=True)


if __name__ == "__main__":
    main()
