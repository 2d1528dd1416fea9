"""Random lives of people in both services: nobody who objected before a run is written by it."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from pathlib import Path
from typing import Any, Callable
from unittest import mock

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

import sync_subscribers
from core.addresses import canonical
from sandbox import HubSpot, MailerLite, Request, Sandbox
from tests.helpers import FAST, FakeClock
from tests.people import KINDS, is_write

PEOPLE = [f"p{n}@mail.example" for n in range(4)] + ["p4@m\u00fcnze.example"]
OBJECTIONS = [
    "hs_email_optout",
    *(f"hs_email_optout_{kind}" for kind in KINDS),
    "hs_email_bad_address",
    "hs_email_quarantined",
    "hs_emailconfirmationstatus",
]
LEFT = ("unsubscribed", "bounced", "junk")
GROUPS = {"7": "Shops"}
MIRROR = ["--mirror-group", "Shops", "--max-leave", "99", "--allow-empty"]
places = st.integers(0, 99)


class Lives(RuleBasedStateMachine):
    """Contacts and subscribers come, go and change; runs happen, and while they run, more does."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = contextlib.ExitStack()
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        self.report = Path(folder) / "report.json"
        self.clock = FakeClock()
        self.said = ""
        self.sandbox = self.stack.enter_context(
            Sandbox(
                HubSpot(subscriptions=KINDS), mailerlite=MailerLite(groups=GROUPS), clock=self.clock
            )
        )
        environment = {**self.sandbox.settings, **FAST, "HOME": folder, "PATH": os.environ["PATH"]}
        self.stack.enter_context(mock.patch.dict(os.environ, environment, clear=True))

    def teardown(self) -> None:
        self.stack.close()

    # What people do

    @rule(email=st.sampled_from(PEOPLE), name=st.sampled_from(["A", "B"]))
    def becomes_a_contact(self, email: str, name: str) -> None:
        self.sandbox.hubspot.add("contacts", {"email": email, "firstname": name})

    @rule(email=st.sampled_from(PEOPLE), status=st.sampled_from(("active", "unconfirmed")))
    def signs_up(self, email: str, status: str) -> None:
        if email not in self.sandbox.mailerlite.subscribers:
            self.sandbox.mailerlite.add(email, status=status)

    @rule(place=places, name=st.sampled_from(OBJECTIONS))
    def objects_in_hubspot(self, place: int, name: str) -> None:
        key = pick(list(self.sandbox.hubspot.contacts), place)
        if key is not None:
            self.sandbox.hubspot.edit("contacts", key, **{name: "true"})

    @rule(place=places, status=st.sampled_from(LEFT))
    def leaves_mailerlite(self, place: int, status: str) -> None:
        email = pick(list(self.sandbox.mailerlite.subscribers), place)
        if email is not None:
            self.sandbox.mailerlite.subscribers[email]["status"] = status

    @rule(place=places)
    def is_deleted_in_mailerlite(self, place: int) -> None:
        email = pick(list(self.sandbox.mailerlite.subscribers), place)
        if email is not None:
            self.sandbox.mailerlite.delete(email)

    @rule(place=places, name=st.sampled_from(["A", "B"]))
    def is_renamed(self, place: int, name: str) -> None:
        key = pick(list(self.sandbox.hubspot.contacts), place)
        if key is not None:
            self.sandbox.hubspot.edit("contacts", key, firstname=name)

    @rule(place=places, email=st.sampled_from([*PEOPLE, None]))
    def changes_address(self, place: int, email: str | None) -> None:
        key = pick(list(self.sandbox.hubspot.contacts), place)
        if key is not None:
            self.sandbox.hubspot.edit("contacts", key, email=email)

    @rule(place=places, email=st.sampled_from([*PEOPLE, None]))
    def has_an_additional_address(self, place: int, email: str | None) -> None:
        key = pick(list(self.sandbox.hubspot.contacts), place)
        if key is not None:
            self.sandbox.hubspot.edit("contacts", key, hs_additional_emails=email)

    @rule(place=places)
    def vanishes_from_hubspot(self, place: int) -> None:
        key = pick(list(self.sandbox.hubspot.contacts), place)
        if key is not None:
            self.sandbox.hubspot.archive("contacts", key)

    # What the job does

    @rule(
        flags=st.sampled_from(
            [[], ["--unsubscribe-opted-out"], ["--fill-only"], MIRROR, [*MIRROR, "--import"]]
        ),
        meanwhile=st.sampled_from([None, "object", "leave", "delete"]),
        place=places,
    )
    def runs(self, flags: list[str], meanwhile: str | None, place: int) -> None:
        """With what somebody does right before the round of people is looked at."""
        objectors = self.objectors()
        deleted = self.deleted()
        acts: dict[str, Callable[[], object]] = {
            "object": lambda: self.objects_in_hubspot(place, "hs_email_optout"),
            "leave": lambda: self.leaves_mailerlite(place, "unsubscribed"),
            "delete": lambda: self.is_deleted_in_mailerlite(place),
        }
        due = [acts[meanwhile]] if meanwhile else []
        written: list[dict[str, Any]] = []

        def on_request(request: Request) -> None:
            nonlocal objectors, deleted
            if due and request.path.endswith("/contacts/batch/read"):
                due.pop()()
                objectors, deleted = objectors | self.objectors(), deleted | self.deleted()
            if is_write(request):
                written.append(request.json())
            if request.path.endswith("/import-subscribers"):
                written.extend(request.json()["subscribers"])

        self.sandbox.on_request = on_request
        first = [] if self.has_memory() else ["--first-run"]
        known = deleted if self.has_memory() else set()
        code = self.run("--max-deleted", "99", *first, *flags)
        self.sandbox.on_request = None
        mailed = {canonical(body["email"]) for body in written if "status" not in body}
        assert code == 0, self.said
        assert mailed & objectors == set()
        assert mailed & known == set()
        assert {body.get("status") for body in written} <= {None, "unsubscribed"}

    @precondition(lambda self: self.has_memory())
    @rule()
    def runs_again_and_writes_nothing(self) -> None:
        self.run("--max-deleted", "99")
        before = len(self.sandbox.writes)
        assert self.run("--max-deleted", "99") == 0, self.said
        assert len(self.sandbox.writes) == before

    def run(self, *flags: str) -> int:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = sync_subscribers.main([*flags, "--report", str(self.report)], self.clock)
        self.said = out.getvalue()
        return code

    # What is true

    def has_memory(self) -> bool:
        return any(Path(os.environ["HOME"]).rglob("*.sqlite3"))

    def objectors(self) -> set[str]:
        """The addresses of whoever has objected, in either service."""
        people = self.sandbox.mailerlite.subscribers.items()
        left = {
            canonical(email): each["status"] for email, each in people if each["status"] in LEFT
        }
        out = {*left}
        for each in self.sandbox.hubspot.contacts.values():
            theirs = filter(None, (each.get("email"), each.get("hs_additional_emails")))
            emails = {canonical(email) for email in theirs}
            if any(each.get(name) == "true" for name in OBJECTIONS):
                out |= emails
            if each.get("email") and any(left.get(e) in ("unsubscribed", "junk") for e in emails):
                out.add(canonical(str(each["email"])))
        return out

    def deleted(self) -> set[str]:
        return {canonical(email) for email in self.sandbox.mailerlite.deleted}


def pick(things: list[Any], place: int) -> Any:
    return things[place % len(things)] if things else None


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=12,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
