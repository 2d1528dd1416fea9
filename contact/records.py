"""Contacts and companies in HubSpot: found, or created exactly once.

Two things stand in the way of that. HubSpot's search shows a new record only after a while, and a
call whose answer is lost may have been carried out.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Callable, Sequence

from cli.command import Run
from contact.plan import NewContact, Plan, make_plan, with_domain
from core import log
from core.errors import CallRejected, Forbidden, ServiceError
from hubspot_api import search, shapes
from hubspot_client import HubSpotClient
from state.store import Store

# 78 s in all. The search is known to lag by up to half a minute; twice that is allowed for.
LOOK_AGAIN_AFTER_S = (2, 4, 6, 10, 16, 20, 20)
OWN_ASSOCIATIONS_S = 2.0  # after it, the ones that HubSpot makes by itself are there

UNKNOWN = 0  # in place of the id, while nobody knows whether the company was created

_SCHEMA = "CREATE TABLE asked (domain TEXT NOT NULL PRIMARY KEY, company_id INTEGER NOT NULL);"
_REMEDY = (
    "Wait two minutes, so that HubSpot's search shows what was created a moment ago, then remove"
    " the file and run it again."
)


class Memory(Store):
    """Which companies HubSpot was asked to create, for the runs that come after: nothing but the
    search finds one by its domain, and a run that comes too early would make a second one. No
    times are kept, since clocks jump: whoever does not find what was asked for looks long enough.

    Only one run at a time may use it: hold the job's lock."""

    def __init__(self, path: Path, dry_run: bool = False) -> None:
        super().__init__(path, _SCHEMA, _REMEDY, dry_run)

    def _open(self, dry_run: bool) -> None:
        super()._open(dry_run)
        # It compares the table with its index: a domain that was damaged would not be found.
        if self._file.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            raise sqlite3.DatabaseError("the file is damaged")

    def asked(self, domain: str) -> int | None:
        """The id of the company that was created for this bare domain, or UNKNOWN. None if HubSpot
        was never asked for one, or has refused."""
        rows = self.rows("SELECT company_id FROM asked WHERE domain = ?", domain)
        return int(rows[0][0]) if rows else None

    def note(self, domain: str, company_id: int) -> None:
        """On the disk and in this one file, whatever happens next."""
        self.write("INSERT OR REPLACE INTO asked VALUES (?, ?)", [(domain, company_id)])
        self.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def forget(self, domain: str) -> None:
        self.write("DELETE FROM asked WHERE domain = ?", [(domain,)])


class Records:
    """Everything raises CallRejected, ServiceError."""

    def __init__(self, run: Run, hubspot: HubSpotClient, memory: Memory) -> None:
        self.hubspot, self._run, self._memory = hubspot, run, memory

    def plan(self, wanted: NewContact) -> Plan:
        """Also a company that is too new for the search is found: the contact has it, or an earlier
        run has asked for it."""
        domain, contact = wanted.company_domain, self.hubspot.contact_with_email(wanted.email)
        companies = self._search(domain)
        linked = self.hubspot.companies_of_contact(contact.id) if contact else []
        if linked and not companies:
            companies = with_domain(self.hubspot.companies_by_id(linked), domain)
        return make_plan(wanted, companies or self._asked_before(domain), contact, linked)

    def create_company(self, wanted: NewContact) -> shapes.Created:
        """The call is sent once: after a lost answer the search has to show the company."""
        name, domain = wanted.company_name, wanted.company_domain
        self._memory.note(domain, UNKNOWN)
        try:
            created = self._send(lambda: self.hubspot.create_company(name, domain))
        except (CallRejected, Forbidden):  # only these say that there is no company now
            self._memory.forget(domain)
            raise
        if created is None:
            log.info("HubSpot's answer was lost. Checking whether the company was created.")
            self._run.outcome_unknown = True
            companies = self._search_again(domain)
            if not companies:
                raise ServiceError(
                    "HubSpot's answer was lost, and its search does not show the company yet. It"
                    " may have been created. Run it again in a minute."
                )
            self._run.wrote = True
            created = shapes.Created(companies[0].id, existed=False)
        self._memory.note(domain, created.id)
        return created

    def create_contact(self, wanted: NewContact) -> shapes.Created:
        """Its address is unique in HubSpot, so a call whose answer is lost is simply repeated."""
        names = (wanted.email, wanted.first_name, wanted.last_name)
        created = self._send(lambda: self.hubspot.create_contact(*names, repeatable=False))
        if created is None:
            self._run.wrote = True
            with self._run.finishing_calls():
                created = self.hubspot.create_contact(*names, repeatable=True)
            created = created._replace(existed=False)  # nobody had it when the plan was made
        return created

    def associate(self, contact_id: int, company_id: int, contact_is_new: bool) -> Sequence[int]:
        """The ids of all companies that the contact has then."""
        try:
            with self._run.finishing_calls():
                self.hubspot.associate(contact_id, company_id)
        except ServiceError as error:
            self._run.wrote |= error.outcome_unknown
            raise
        self._run.wrote = True
        if contact_is_new:
            self._run.clock.sleep(OWN_ASSOCIATIONS_S)
        linked = self.hubspot.companies_of_contact(contact_id)
        if company_id not in linked:
            raise ServiceError(
                f"HubSpot accepted the association of contact {contact_id} with company"
                f" {company_id}, but does not show it. Run it again."
            )
        return linked

    def _send(self, create: Callable[[], shapes.Created]) -> shapes.Created | None:
        """What the call leads to, which a signal lets finish; None when its answer is lost."""
        try:
            with self._run.finishing_calls():
                created = create()
        except ServiceError as error:
            if not error.outcome_unknown:
                raise
            log.debug("%s", error)
            return None
        self._run.wrote |= not created.existed
        return created

    def _search(self, domain: str) -> list[shapes.Company]:
        return with_domain(self.hubspot.find_companies(search.naming([domain])), domain)

    def _asked_before(self, domain: str) -> list[shapes.Company]:
        """The company that an earlier run has created, or may have created."""
        asked = self._memory.asked(domain)
        if asked is None:
            return []
        there = [] if asked == UNKNOWN else self.hubspot.companies_by_id([asked])
        if companies := with_domain(there, domain):
            return companies
        log.info(
            "HubSpot: an earlier run may have created the company; the search does not show it yet."
        )
        return self._search_again(domain)

    def _search_again(self, domain: str) -> list[shapes.Company]:
        """The companies with the domain, as soon as the search shows any."""
        for wait_s in LOOK_AGAIN_AFTER_S:
            log.info("HubSpot: searching for the company again in %d s.", wait_s)
            self._run.clock.sleep(wait_s)
            companies = self._search(domain)
            if companies:
                return companies
        return []
