"""Contacts and companies in HubSpot: found, or created exactly once.

Two things stand in the way of that. HubSpot's search shows a new record only after a while, and a
call whose answer is lost may have been carried out.
"""

from __future__ import annotations

import contextlib
from typing import Iterator

from cli.run import Run
from contact.memory import Memory
from contact.plan import NewContact, with_domain
from core.errors import CallRejected, Forbidden, ServiceError
from core.log import log
from hubspot_api import search
from hubspot_api.shapes import CONTACTS, Company, Contact, Created
from hubspot_client import HubSpotClient

# 78 s in all. The search is known to lag by up to half a minute; twice that is allowed for.
LOOK_AGAIN_AFTER_S = (2, 4, 6, 10, 16, 20, 20)
OWN_ASSOCIATIONS_S = 2.0  # after it, the ones that HubSpot makes by itself are there


class Records:
    """`memory` is None in a dry run, which leaves no files behind.

    `in_doubt`: the company may have been created, and nobody knows.
    """

    def __init__(self, run: Run, hubspot: HubSpotClient, memory: Memory | None) -> None:
        self.in_doubt = False
        self._run = run
        self._hubspot = hubspot
        self._memory = memory

    def companies(self, domain: str, contact: Contact | None) -> list[Company]:
        """Companies with this domain, the best one first, also those that are too new for the
        search: the contact has them, or an earlier run has asked for them.

        Raises CallRejected, ServiceError.
        """
        return self._listed(domain) or self._linked(domain, contact) or self._asked_before(domain)

    def create_company(self, name: str, domain: str) -> Created:
        """The call is sent once: after a lost answer the search has to show the company.

        Raises CallRejected, ServiceError.
        """
        assert self._memory is not None
        self._memory.note(domain, None)
        try:
            with self._run.finishing_calls():
                created = self._hubspot.create_company(name, domain)
                self._run.wrote |= not created.existed
        except (CallRejected, Forbidden):  # only these say that there is no company now
            self._memory.forget(domain)
            raise
        except ServiceError as error:
            if not error.outcome_unknown:
                raise
            log.debug("%s", error)
            created = self._after_lost_answer(domain)
        self._memory.note(domain, created.id)
        return created

    def create_contact(self, wanted: NewContact) -> Created:
        """Its address is unique in HubSpot, so a call whose answer is lost is simply repeated.

        Raises CallRejected, ServiceError.
        """

        def create(repeatable: bool) -> Created:
            return self._hubspot.create_contact(
                wanted.email, wanted.first_name, wanted.last_name, repeatable=repeatable
            )

        try:
            with self._writing():
                created = create(repeatable=False)
                self._run.wrote |= not created.existed
        except ServiceError as error:
            if not error.outcome_unknown:
                raise
            log.debug("%s", error)
            with self._writing():
                created = create(repeatable=True)
            if created.existed and self._is_own(created.id, wanted.email):
                created = created._replace(existed=False)  # it was made by the call before
        return created

    def associate(self, contact: Created, company_id: int) -> list[int]:
        """The ids of all companies that the contact has then. Raises CallRejected, ServiceError."""
        with self._writing():
            self._hubspot.associate(contact.id, company_id)
            self._run.wrote = True
        if not contact.existed:
            self._run.clock.sleep(OWN_ASSOCIATIONS_S)
        linked = self._hubspot.companies_of_contact(contact.id)
        if company_id not in linked:
            raise ServiceError(
                f"HubSpot has accepted the association of contact {contact.id} with company"
                f" {company_id}, but does not list it. Run it again."
            )
        return linked

    def _is_own(self, contact_id: int, email: str) -> bool:
        """Whether it is the contact's own address, and not one that it has besides."""
        contacts = self._hubspot.records(CONTACTS, ["email"], [contact_id])
        return any((each.values["email"] or "").lower() == email for each in contacts)

    def _listed(self, domain: str) -> list[Company]:
        return with_domain(self._hubspot.find_companies(search.naming([domain])), domain)

    def _linked(self, domain: str, contact: Contact | None) -> list[Company]:
        ids = self._hubspot.companies_of_contact(contact.id) if contact else []
        return with_domain(self._hubspot.companies_by_id(ids), domain)

    def _asked_before(self, domain: str) -> list[Company]:
        """The company that an earlier run has created, or may have created."""
        asked = self._memory.asked(domain) if self._memory else None
        if asked is None:
            return []
        companies: list[Company] = []
        if asked.company_id is not None:
            with contextlib.suppress(CallRejected):
                companies = with_domain(self._hubspot.companies_by_id([asked.company_id]), domain)
        if companies:
            return companies
        log.info("HubSpot: an earlier run asked for the company, but the search does not show it.")
        return self._look_again(domain)

    def _after_lost_answer(self, domain: str) -> Created:
        """The company that the lost answer was about. Raises ServiceError when it is not shown."""
        log.info("HubSpot's answer is lost: the company may have been created, or not.")
        self.in_doubt = True
        companies = self._look_again(domain)
        if not companies:
            raise ServiceError(
                "HubSpot, create the company: the answer is lost, and no search shows the company"
                " yet. It may have been created; run it again in a minute."
            )
        self.in_doubt, self._run.wrote = False, True
        return Created(companies[0].id, existed=False)

    def _look_again(self, domain: str) -> list[Company]:
        """The companies with the domain, as soon as the search shows any."""
        for wait_s in LOOK_AGAIN_AFTER_S:
            log.info("HubSpot: looking for the company in %d s.", wait_s)
            self._run.clock.sleep(wait_s)
            companies = self._listed(domain)
            if companies:
                return companies
        return []

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Within it, a signal lets the call finish, and a lost answer counts as written."""
        with self._run.finishing_calls():
            try:
                yield
            except ServiceError as error:
                self._run.wrote |= error.outcome_unknown
                raise
