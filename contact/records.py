"""Contacts and companies in HubSpot: found, or created exactly once.

Two things stand in the way of that. HubSpot's search shows a new record only after up to half a
minute, and a call whose answer is lost may have been carried out.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Callable, Iterator, List, Optional

from basics.errors import AppError, CallRejected, ServiceError
from contact.plan import NewContact, with_domain
from contact.recent import Recent
from hubspot_client import Company, Contact, Created, HubSpotClient
from run.context import Run

LOOK_AGAIN_AFTER_S = (2, 4, 6, 10, 16)  # 38 s in all, more than the search lags behind
MAX_CREATES = 3  # calls that create the same company, each after a long look for the one before

log = logging.getLogger("crm_sync")


class Records:
    """`recent` is None in a dry run, which leaves no files behind."""

    def __init__(self, run: Run, hubspot: HubSpotClient, recent: Optional[Recent]) -> None:
        self._run = run
        self._hubspot = hubspot
        self._recent = recent

    def unlisted_companies(self, domain: str, contact: Optional[Contact]) -> List[Company]:
        """Companies with this domain that the search does not show, the lowest id first.

        They are too new for it, or their domain is written in another way. Raises CallRejected,
        ServiceError.
        """
        linked = self._hubspot.companies_of_contact(contact.id) if contact else []
        companies = with_domain(self._hubspot.companies_by_id(linked), domain)
        return companies or self._just_created(domain)

    def create_company(self, name: str, domain: str) -> Created:
        """While nobody knows whether a call was carried out, no second one is sent.

        Raises CallRejected, ServiceError.
        """
        assert self._recent is not None
        for _ in range(MAX_CREATES):
            self._recent.note(domain, None)
            try:
                created = self._unless_lost(lambda: self._hubspot.create_company(name, domain))
            except AppError:  # it was refused, or never sent
                self._recent.forget(domain)
                raise
            if created is None and (companies := self._look_again(domain)):
                created = Created(companies[0].id, existed=False)
            if created:
                self._recent.note(domain, created.id)
                return created
        raise ServiceError(
            f"HubSpot, create the company: {MAX_CREATES} times the answer was lost, and no search"
            " shows the company. Look for it in HubSpot, then run it again."
        )

    def create_contact(self, wanted: NewContact) -> Created:
        """Its address is unique in HubSpot, so a call whose answer is lost is simply repeated.

        Raises CallRejected, ServiceError.
        """

        def create(repeatable: bool) -> Created:
            return self._hubspot.create_contact(
                wanted.email, wanted.first_name, wanted.last_name, repeatable=repeatable
            )

        created = self._unless_lost(lambda: create(repeatable=False))
        if created:
            return created
        with self._writing():
            return create(repeatable=True)._replace(existed=False)  # since the call before made it

    def associate(self, contact_id: int, company_id: int) -> List[int]:
        """The ids of all companies that the contact has then. Raises CallRejected, ServiceError."""
        with self._writing():
            self._hubspot.associate(contact_id, company_id)
            self._run.wrote = True
        linked = self._hubspot.companies_of_contact(contact_id)
        if company_id not in linked:
            raise ServiceError(
                f"HubSpot has accepted the association of contact {contact_id} with company"
                f" {company_id}, but does not list it. Run it again."
            )
        return linked

    def _just_created(self, domain: str) -> List[Company]:
        """The company that an earlier run has created, or may have created, a moment ago."""
        asked = self._recent.get(domain) if self._recent else None
        if asked is None:
            return []
        if asked.company_id is not None:
            with contextlib.suppress(CallRejected):
                return with_domain(self._hubspot.companies_by_id([asked.company_id]), domain)
        log.info("HubSpot: an earlier run may have created the company a moment ago.")
        return self._look_again(domain)

    def _look_again(self, domain: str) -> List[Company]:
        """The companies with the domain, as soon as the search shows any."""
        for wait_s in LOOK_AGAIN_AFTER_S:
            log.info("HubSpot: looking for the company in %d s.", wait_s)
            self._run.clock.sleep(wait_s)
            companies = self._hubspot.oldest_with_domain(domain)
            if companies:
                return companies
        return []

    def _unless_lost(self, create: Callable[[], Created]) -> Optional[Created]:
        """What `create` returns; None if nobody knows whether it was carried out."""
        try:
            with self._writing():
                created = create()
                self._run.wrote |= not created.existed
        except ServiceError as error:
            if not error.answer_lost:
                raise
            log.info("HubSpot's answer is lost: what was to be created may be there, or not.")
            log.debug("%s", error)
            return None
        return created

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Within it, a signal lets the call finish, and a lost answer counts as written."""
        with self._run.finishing_calls():
            try:
                yield
            except ServiceError as error:
                self._run.wrote |= error.answer_lost
                raise
