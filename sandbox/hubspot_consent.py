"""Who wants which mail: HubSpot's subscription types and the statuses of addresses.

Sources: https://developers.hubspot.com/docs/api-reference/legacy/communication-preferences/v3/guide
https://developers.hubspot.com/docs/api-reference/latest/communication-preferences/guide
"""

from __future__ import annotations

from typing import Any, Mapping

from .core import Answer, Request, Route
from .hubspot_account import CREATED, TOOK, Account
from .hubspot_properties import opt_out_name

V3, V4 = "/communication-preferences/v3", "/communication-preferences/v4"
SCOPE = "communication_preferences"
SUBSCRIBED, UNSUBSCRIBED, UNKNOWN = "SUBSCRIBED", "UNSUBSCRIBED", "NOT_SPECIFIED"
LEGAL_BASES = (
    "CONSENT_WITH_NOTICE",
    "LEGITIMATE_INTEREST_CLIENT",
    "LEGITIMATE_INTEREST_OTHER",
    "LEGITIMATE_INTEREST_PQL",
    "NON_GDPR",
    "PERFORMANCE_OF_CONTRACT",
    "PROCESS_AND_STORE",
)


class Consent(Account):
    """An opt-out of a contact stands in its `hs_email_optout_<id>`, anything else in `statuses`."""

    privacy_settings = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.statuses: dict[tuple[str, int], str] = {}  # (address, subscription)

    def routes(self) -> list[Route]:
        return [
            *super().routes(),
            ("GET", V3 + "/definitions", self._definitions),
            ("GET", V3 + "/status/email/{email}", self._status_v3),
            ("POST", V3 + "/subscribe", self._subscribe),
            ("POST", V3 + "/unsubscribe", self._unsubscribe),
            ("GET", V4 + "/definitions", self._definitions_v4),
            ("GET", V4 + "/statuses/{email}", self._read_statuses),
            ("POST", V4 + "/statuses/{email}", self._write_status),
            ("POST", V4 + "/statuses/{email}/unsubscribe-all", self._unsubscribe_all),
        ]

    def consent(self, email: str, subscription: int) -> str:
        """SUBSCRIBED, UNSUBSCRIBED or NOT_SPECIFIED."""
        contact = self._contact(email)
        record = self.contacts[contact] if contact is not None else {}
        names = ("hs_email_optout", opt_out_name(subscription))
        if any(record.get(name) == "true" for name in names):
            return UNSUBSCRIBED
        return self.statuses.get((email.lower(), subscription), UNKNOWN)

    def set_consent(self, email: str, subscription: int, status: str) -> None:
        """What an address says about one subscription type; its contact shows an opt-out."""
        with self.lock:
            self.statuses[email.lower(), subscription] = status
            contact, name = self._contact(email), opt_out_name(subscription)
            if contact is not None:
                self.edit("contacts", contact, **{name: str(status == UNSUBSCRIBED).lower()})

    def _contact(self, email: str) -> int | None:
        return self.lookup("contacts", email, "email")

    def _may(self, what: str) -> None:
        self.need(f"{SCOPE}.{what}", f"{SCOPE}.read_write")

    def _subscription(self, given: Any) -> int:
        text = str(given)
        if not text.isdecimal() or int(text) not in self.subscriptions:
            raise self.error(400, f"There is no subscription type {text!r}.")
        return int(text)

    def _check_basis(self, body: Mapping[str, Any]) -> None:
        basis, explanation = body.get("legalBasis"), body.get("legalBasisExplanation")
        if self.privacy_settings and not (basis and explanation):
            message = "legalBasis and legalBasisExplanation are required in this account."
            raise self.error(400, message)
        if basis is not None and basis not in LEGAL_BASES:
            raise self.error(400, f"There is no legal basis {basis!r}.")

    # Version 3 knows subscribed and not subscribed.

    def _defined(self) -> list[dict[str, Any]]:
        self._may("read")
        rest = {"description": "", "isActive": True, "isDefault": False, "isInternal": False}
        times = {"createdAt": CREATED, "updatedAt": CREATED, "communicationMethod": "Email"}
        kinds = self.subscriptions.items()
        return [{"id": str(key), "name": name, **rest, **times} for key, name in kinds]

    def _definitions(self, _: Request) -> Answer:
        return Answer(200, {"subscriptionDefinitions": self._defined()})

    def _status_v3(self, _: Request, email: str) -> Answer:
        self._may("read")
        statuses = [self._shown_v3(email, each) for each in self.subscriptions]
        return Answer(200, {"recipient": email, "subscriptionStatuses": statuses})

    def _shown_v3(self, email: str, subscription: int) -> dict[str, Any]:
        is_in = self.consent(email, subscription) == SUBSCRIBED
        return {
            "id": str(subscription),
            "name": self.subscriptions[subscription],
            "description": "",
            "status": SUBSCRIBED if is_in else "NOT_SUBSCRIBED",
            "sourceOfStatus": "SUBSCRIPTION_STATUS",
        }

    def _subscribe(self, request: Request) -> Answer:
        return self._write_v3(request, SUBSCRIBED)

    def _unsubscribe(self, request: Request) -> Answer:
        return self._write_v3(request, UNSUBSCRIBED)

    def _write_v3(self, request: Request, status: str) -> Answer:
        self._may("write")
        body = self.body(request)
        self._check_basis(body)
        email, subscription = self._email(body), self._subscription(body.get("subscriptionId"))
        if status == SUBSCRIBED and self.consent(email, subscription) == UNSUBSCRIBED:
            raise self.error(400, "Version 3 does not subscribe who has unsubscribed.")
        self.set_consent(email, subscription, status)
        basis = {name: body[name] for name in body if name.startswith("legalBasis")}
        return Answer(200, {**self._shown_v3(email, subscription), **basis}, wrote=True)

    def _email(self, body: Mapping[str, Any]) -> str:
        email = str(body.get("emailAddress", ""))
        if "@" not in email:
            raise self.error(400, f"emailAddress is no address: {email!r}")
        return email

    # Version 4 knows a third status, and calls an address a subscriber id.

    def _definitions_v4(self, _: Request) -> Answer:
        return Answer(200, {**TOOK, "results": self._defined()})

    def _channel(self, given: Any) -> None:
        if given != "EMAIL":
            raise self.error(400, f"channel must be EMAIL, got {given!r}.")

    def _read_statuses(self, request: Request, email: str) -> Answer:
        self._may("read")
        self._channel(request.query.get("channel"))
        return self._all_statuses(email)

    def _all_statuses(self, email: str, wrote: bool = False) -> Answer:
        results = [self._shown_v4(email, each) for each in self.subscriptions]
        return Answer(200, {**TOOK, "results": results}, wrote=wrote)

    def _shown_v4(self, email: str, subscription: int) -> dict[str, Any]:
        return {
            "subscriberIdString": email,
            "subscriptionId": subscription,
            "subscriptionName": self.subscriptions[subscription],
            "channel": "EMAIL",
            "status": self.consent(email, subscription),
            "source": "The sandbox",
            "timestamp": CREATED,
        }

    def _write_status(self, request: Request, email: str) -> Answer:
        self._may("write")
        body = self.body(request)
        self._channel(body.get("channel"))
        status, subscription = (
            body.get("statusState"),
            self._subscription(body.get("subscriptionId")),
        )
        if status not in (SUBSCRIBED, UNSUBSCRIBED, UNKNOWN):
            raise self.error(400, f"There is no statusState {status!r}.")
        self._check_basis(body)
        self.set_consent(email, subscription, status)
        return Answer(200, {**TOOK, "results": [self._shown_v4(email, subscription)]}, wrote=True)

    def _unsubscribe_all(self, request: Request, email: str) -> Answer:
        self._may("write")
        self._channel(request.query.get("channel"))
        for subscription in self.subscriptions:
            self.set_consent(email, subscription, UNSUBSCRIBED)
        contact = self._contact(email)
        if contact is not None:
            self.edit("contacts", contact, hs_email_optout="true")
        return self._all_statuses(email, wrote=True)
