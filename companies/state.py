"""What runs leave for later ones: which HubSpot company a domain stood for, what the destination
answered, what was reported, and the run history. Nothing in it is secret.

It explains and saves calls: with a lost, old or foreign file every run still ends right, and only
knows less.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Collection, Iterable

from companies import matching, plan
from core.clock import DAY_S, Clock
from core.errors import AppError
from state import history
from state.store import Store

SCHEMA = f"""
CREATE TABLE record (domain TEXT PRIMARY KEY, hubspot_id INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE answer (
    domain TEXT PRIMARY KEY, listed_as TEXT, status TEXT NOT NULL, reason TEXT NOT NULL,
    since REAL NOT NULL, asked_at REAL NOT NULL
) WITHOUT ROWID;
{history.SQL}
PRAGMA user_version = """
_REMEDY = "Delete the file, or restore it from a backup."


class CompanyState(Store):
    """The file at `path`, which is that of the account; unless it `may_fail`, raises AppError when
    it cannot be used. `account` may hold keys: only a few digits of its hash are kept, as SQLite's
    user version."""

    def __init__(
        self, path: Path, account: str, clock: Clock, dry_run: bool, may_fail: bool = True
    ) -> None:
        number = int(hashlib.sha256(account.encode()).hexdigest()[:7], 16)
        super().__init__(path, f"{SCHEMA}{number};", _REMEDY, dry_run, may_fail)
        self.notifications = history.Notifications(self, clock)
        if self.rows("PRAGMA user_version") != [(number,)]:
            self.close()
            self.give_up(AppError(f"{path} is the run history of another account. {_REMEDY}"))

    def records(self, domains: Iterable[str]) -> dict[str, int]:
        """Domain -> the id of the HubSpot company that it last stood for."""
        sql = "SELECT domain, hubspot_id FROM record WHERE domain = ?"
        return dict(row for domain in domains for row in self.rows(sql, domain))

    def remember_records(self, companies: Iterable[matching.Change]) -> None:
        sql = (
            "INSERT INTO record VALUES (?, ?) ON CONFLICT (domain) DO UPDATE"
            " SET hubspot_id = excluded.hubspot_id WHERE hubspot_id <> excluded.hubspot_id"
        )
        self.write(sql, ((each.domain, each.hubspot_id) for each in companies))

    def has_waiting_removals(self) -> bool:
        """Whether the last run could not remove what it should."""
        sql = (
            "SELECT 1 FROM notified WHERE what LIKE 'waiting %'"
            " AND what NOT IN (SELECT 'waiting ' || domain FROM answer)"
        )
        return bool(self.rows(sql))

    def has_waited(self, domain: str) -> bool:
        """Whether an earlier run has told that it waits for a person, and it has waited since."""
        key = plan.waiting_key(domain)
        return bool(self.rows("SELECT 1 FROM notified WHERE what = ?", key))


class Answers:
    """What the destination answered, by matching domain, so that no run asks for the same again and
    again: not while an answer is younger than `ask_again_days`."""

    def __init__(self, store: Store, ask_again_days: int, clock: Clock) -> None:
        self._store, self._clock, self._days_s = store, clock, ask_again_days * DAY_S
        rows = (plan.Answer(*row) for row in store.rows("SELECT * FROM answer"))
        self.by_domain = {answer.domain: answer for answer in rows}

    def is_recent(self, moment: float) -> bool:
        """A moment to come is not: the clock was wrong then, or is now."""
        now = self._clock.time()
        return now - self._days_s < moment <= now

    def asked_again_at(self, answer: plan.Answer) -> float:
        return answer.asked_at + self._days_s

    def aliases(self) -> dict[str, str]:
        """Domain -> the other one under which the destination lists the company."""
        return {each.domain: each.alias for each in self.by_domain.values() if each.alias}

    def refused(self) -> dict[str, plan.Answer]:
        """What was not taken when it was asked for last, however long ago."""
        return {each.domain: each for each in self.by_domain.values() if each.status != plan.LISTED}

    def waiting(self) -> dict[str, plan.Answer]:
        """What of it is not to be asked for yet."""
        refused = self.refused().items()
        return {domain: each for domain, each in refused if self.is_recent(each.asked_at)}

    def note_refusal(self, domain: str, status: str, reason: str) -> None:
        known, now = self.by_domain.get(domain), self._clock.time()
        since = known.since if known and known.status != plan.LISTED else now
        self._save(plan.Answer(domain, known and known.listed_as, status, reason, since, now))

    def begin_again(self, domains: Iterable[str]) -> None:
        """What was refused long ago counts as refused now."""
        now = self._clock.time()
        for domain in self.refused().keys() & set(domains):
            self._save(self.by_domain[domain]._replace(since=now, asked_at=now))

    def note_name(self, domain: str, listed_as: str) -> None:
        known, now = self.by_domain.get(domain), self._clock.time()
        if known and known.status != plan.LISTED:
            self._save(known._replace(listed_as=listed_as))
        else:
            self._save(plan.Answer(domain, listed_as, plan.LISTED, "", now, now))

    def settle(self, listed: Collection[str], matching: Collection[str]) -> None:
        """What is listed now, or does not match any more, waits no longer. Its other name is kept,
        also because it explains a row that no company names any more."""
        listed, matching, now = set(listed), set(matching), self._clock.time()
        for answer in list(self.by_domain.values()):
            waits = answer.domain in matching and answer.domain not in listed
            if not answer.alias and (answer.status == plan.LISTED or not waits):
                self.forget(answer.domain)
            elif answer.status != plan.LISTED and not waits:
                self._save(answer._replace(status=plan.LISTED, reason="", asked_at=now))

    def forget(self, domain: str) -> None:
        del self.by_domain[domain]
        self._store.write("DELETE FROM answer WHERE domain = ?", [(domain,)])

    def _save(self, answer: plan.Answer) -> None:
        self.by_domain[answer.domain] = answer
        self._store.write("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?, ?)", [answer])
