"""The contact job for tests: one person and one company, and what HubSpot holds of them."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Sequence

import pytest

import create_contact
from sandbox import HubSpot, Sandbox
from tests.helpers import Ended, FakeClock, RunMain

Record = Dict[str, Any]

ANN = ("--email", "ann.lee@mail.example", "--first-name", "Ann", "--last-name", "Lee")
SHOP = ("--company-name", "Sample Shop", "--company-domain", "shop.example")
WORDS = (*ANN, *SHOP)
A_COMPANY: Record = {"id": 7, "name": "Old Shop", "domain": "shop.example"}
A_CONTACT: Record = {
    "id": 8,
    "email": "Ann.Lee@mail.example",
    "firstname": "Ann",
    "lastname": "Old",
}
FIRST_ID = 30_000_000_001  # of what the sandbox creates

CREATE_COMPANY, CREATE_CONTACT = "objects/companies$", "objects/contacts$"
ASSOCIATE, ASSOCIATED = "/default/company/", "/associations/company$"
WRITES = (CREATE_COMPANY, CREATE_CONTACT, ASSOCIATE)


class Job(NamedTuple):
    run_main: RunMain
    clock: FakeClock

    def make(
        self,
        companies: Sequence[Record] = (),
        contacts: Sequence[Record] = (),
        associated: Sequence[int] = (),
        **options: Any,
    ) -> Sandbox:
        """`associated`: the ids of the first contact's companies."""
        hubspot = HubSpot(companies, contacts, **options)
        if associated:
            hubspot.associations = {min(hubspot.contacts): {key: [279] for key in associated}}
        return Sandbox(hubspot, clock=self.clock)

    def run(
        self,
        sandbox: Sandbox | None,
        *more: str,
        words: Sequence[str] = WORDS,
        clock: Any = None,
        **settings: Any,
    ) -> Ended:
        clock = clock or self.clock
        return self.run_main(create_contact.main, sandbox, *words, *more, clock=clock, **settings)


@pytest.fixture
def job(clock: FakeClock) -> Job:
    return Job(clock.run, clock)


def state(sandbox: Sandbox) -> tuple[list[Any], list[Any], list[list[int]]]:
    """The domains of all companies, the addresses of all contacts, and who is with whom, each by
    place in these lists."""
    hubspot = sandbox.hubspot
    company_ids, contact_ids = list(hubspot.companies), list(hubspot.contacts)
    return (
        [record.get("domain") for record in hubspot.companies.values()],
        [record.get("email") for record in hubspot.contacts.values()],
        [
            [contact_ids.index(contact), company_ids.index(company)]
            for contact, links in hubspot.associations.items()
            for company in links
        ],
    )


COMPLETE = (["shop.example"], ["ann.lee@mail.example"], [[0, 0]])


def sent(sandbox: Sandbox) -> int:
    """How often the creation of a company was sent."""
    requests = sandbox.requests
    return sum(each.path.endswith("/companies") and each.method == "POST" for each in requests)


def account(sandbox: Sandbox) -> str:
    settings = sandbox.settings
    return f"{settings['HUBSPOT_BASE_URL']} {settings['HUBSPOT_ACCESS_TOKEN']}"
