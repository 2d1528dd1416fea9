#!/usr/bin/env python3
"""Follow the matching HubSpot companies in PredictLeads, and unfollow all others.

A run reads what matches in HubSpot and what PredictLeads follows, follows what is missing, and
unfollows what no longer matches: companies/sync.py has the steps, for every destination.
"""

from __future__ import annotations

import cli.start  # noqa: F401 - first: it is for what may happen while the others load

# isort: split

import sys
from typing import Callable, Sequence

import companies.sync
from companies import destination, matching
from companies.plan import Plan
from core import words
from core.clock import Clock
from core.settings import SettingsReader
from predictleads_client import (
    BUY_CREDITS,
    PLANS,
    PredictLeadsClient,
    Subscription,
    predictleads_settings,
)
from report.model import Finding
from transport.service_client import ServiceSettings

UNFOLLOW_CREDITS = 1  # for each company; to follow is free
QUESTION_CREDITS = 1  # for the name under which a company is listed


class PredictLeads(destination.Destination):
    name = "PredictLeads"
    job = "companies"
    title = "Companies followed in PredictLeads"
    description = "Follow the matching HubSpot companies in PredictLeads, and unfollow all others."
    verb, listed = "follows", "followed"
    adding = destination.Action("follow", "followed", "following", limit_setting="MAX_FOLLOW")
    removing = destination.Action(
        "unfollow", "unfollowed", "unfollowing", limit_setting="MAX_UNFOLLOW"
    )
    keep_setting = "KEEP_FOLLOWING"
    price = (
        "PredictLeads may bill followed companies by the month;"
        " --max-follow limits how many a run follows."
    )

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
            status = status.replace("_", " ")
            return Finding(False, f"The PredictLeads subscription is {status}. See {PLANS}.")
        known = quota is not None and used is not None
        credits = f", with {used:,} of {quota:,} credits used this month" if known else ""
        return Finding(True, f"The PredictLeads subscription is active{credits}.")

    def check_removals(self) -> Finding:
        if self._subscription and self._subscription.credits_left == 0:
            text = "No credits are left this month to unfollow the companies that are waiting."
            return Finding(False, f"{text} {BUY_CREDITS}")
        return Finding(True, "The next run will unfollow the companies that are waiting.")

    def fetch_current(self, on_rows: Callable[[int], None]) -> destination.Current:
        return destination.Current(*self._client.followings(on_rows))

    def add(self, company: matching.Change) -> None:
        self._client.follow(company.domain)

    def remove(self, domain: str) -> None:
        self._client.unfollow(domain)

    def aliases_of(self, domain: str) -> Sequence[str]:
        """A company may be listed under another domain, as after a rebranding."""
        return self._client.aliases_of(domain)

    def cost(self, plan: Plan, questions: int) -> tuple[str, str]:
        if not plan.remove or self._subscription is None:
            return "", ""
        needed, left = UNFOLLOW_CREDITS * len(plan.remove), self._subscription.credits_left
        number, credits = words.companies(len(plan.remove)), words.count(needed, "credit")
        cost = f"Unfollowing {number} will use about {credits}"
        if left is None:
            return f"{cost}.", ""
        most, warning = needed + QUESTION_CREDITS * questions, ""
        if needed > left:
            warning = f"Not enough credits: about {needed:,} {words.are(needed)} needed"
        elif most > left:
            why = "if PredictLeads lists companies under other domains"
            warning = f"Perhaps not enough credits: up to {most:,} are needed {why}"
        warning = warning and f"{warning}, {left:,} {words.are(left)} left this month."
        return (
            f"{cost} ({left:,} of {self._subscription.credits_quota:,} left this month).",
            warning,
        )


def main(argv: Sequence[str] | None = None, clock: Clock | None = None) -> int:
    return companies.sync.main(PredictLeads, argv, clock)


if __name__ == "__main__":
    sys.exit(main())
