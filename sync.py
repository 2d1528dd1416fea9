#!/usr/bin/env python3
"""Let PredictLeads follow the companies that HubSpot says it should follow.

A run reads what matches in HubSpot and what PredictLeads follows, follows what is missing, and
unfollows what no longer matches: companies/sync.py tells it step by step, for every destination.
"""

from __future__ import annotations

import cli.start  # noqa: F401 - first: it is for what may happen while the others load

# isort: split

import sys
from typing import Callable, Sequence

import companies.sync
from companies.destination import Action, Current, Destination
from companies.matching import Change
from companies.plan import Plan
from core import words
from core.clock import Clock
from core.settings import SettingsReader
from predictleads_client import PredictLeadsClient, Subscription, predictleads_settings
from report.model import Finding
from transport.service_client import ServiceSettings

UNFOLLOW_CREDITS = 1  # for each company; to follow is free
QUESTION_CREDITS = 1  # for the name under which a company is listed


class PredictLeads(Destination):
    name = "PredictLeads"
    job = "companies"
    title = "Companies followed in PredictLeads"
    description = (
        "Follow in PredictLeads the companies that match in HubSpot, stop following the others."
    )
    verb, listed = "follows", "followed"
    adding = Action(
        key="follow",
        to_do="To follow",
        done="Followed",
        title="Follow",
        would="be newly followed",
        was="followed",
        limit_setting="MAX_FOLLOW",
    )
    removing = Action(
        key="unfollow",
        to_do="To unfollow",
        done="Unfollowed",
        title="Stop following",
        would="no longer be followed",
        was="no longer followed",
        limit_setting="MAX_UNFOLLOW",
    )
    keep_setting = "KEEP_FOLLOWING"

    def __init__(self, settings: ServiceSettings, clock: Clock, dry_run: bool) -> None:
        self._client = PredictLeadsClient(settings, clock, dry_run)
        self.http = self._client.http
        self._subscription: Subscription | None = None  # once it is checked

    @staticmethod
    def settings(reader: SettingsReader) -> ServiceSettings:
        return predictleads_settings(reader)

    def check(self) -> Finding:
        self._subscription = self._client.subscription()
        status, quota, used = self._subscription
        if status != "active":
            where = "see PredictLeads > Subscription Plans"
            return Finding(False, f"The PredictLeads subscription is {status}: {where}.")
        known = quota is not None and used is not None
        credits = f", {used:,} of {quota:,} credits used this month" if known else ""
        return Finding(True, f"The PredictLeads subscription is active{credits}.")

    def check_removals(self) -> Finding:
        if self._subscription and self._subscription.credits_left == 0:
            remedy = "wait for the next month or buy more in PredictLeads > Subscription Plans"
            text = "No credits are left this month, and companies wait to be unfollowed"
            return Finding(False, f"{text}: {remedy}.")
        return Finding(True, "Companies wait to be unfollowed by the next run.")

    def fetch_current(self, on_rows: Callable[[int], None]) -> Current:
        return Current(*self._client.followings(on_rows))

    def add(self, company: Change) -> None:
        self._client.follow(company.domain)

    def remove(self, domain: str) -> None:
        self._client.unfollow(domain)

    def aliases_of(self, domain: str) -> Sequence[str]:
        """A company may be listed under another domain, as after a rebranding."""
        return self._client.aliases_of(domain)

    def cost(self, plan: Plan, questions: int) -> tuple[Sequence[str], Sequence[str]]:
        if not plan.remove or self._subscription is None:
            return (), ()
        cost, left = UNFOLLOW_CREDITS * len(plan.remove), self._subscription.credits_left
        number, credits = words.companies(len(plan.remove)), words.count(cost, "credit")
        price = f"Unfollowing {number} will use about {credits}"
        if left is None:
            return [f"{price}."], ()
        price += f" ({left:,} of {self._subscription.credits_quota:,} left this month)."
        need, most = "are" if cost > 1 else "is", cost + QUESTION_CREDITS * questions
        if cost > left:
            return [price], [f"Not enough credits: about {cost:,} {need} needed, {left:,} left."]
        if most > left:
            others = "if PredictLeads lists companies under other names than HubSpot"
            return [price], [f"Perhaps not enough credits: up to {most:,} are needed, {others}."]
        return [price], ()


def main(argv: Sequence[str] | None = None, clock: Clock | None = None) -> int:
    return companies.sync.main(PredictLeads, argv, clock)


if __name__ == "__main__":
    sys.exit(main())
