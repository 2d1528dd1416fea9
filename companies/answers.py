"""What a destination answered when it was asked for a company, remembered so that no run asks for
the same again and again."""

from __future__ import annotations

from typing import Iterable, Iterator, NamedTuple

from core.clock import DAY_S, Clock

# What came of adding a company, beside the statuses that every change may have: the destination
# does not know it; it accepted it, and does not list it.
UNKNOWN, UNLISTED = "unknown", "unlisted"
LISTED = "listed"  # an answer that is kept for the other name alone


def waiting_key(domain: str) -> str:
    """Under which it is noted that something waits for a person."""
    return f"waiting {domain}"


class Answer(NamedTuple):
    """The last answer about one matching domain.

    `listed_as`: the domain under which the destination says that it lists the company, its own one
    if it tells no other; "" when the question failed, None when it was never asked. `status`:
    LISTED, or what came of adding it, for the `reason`; `since`, `asked_at`: seconds since 1970.
    """

    domain: str
    listed_as: str | None
    status: str
    reason: str
    since: float
    asked_at: float

    @property
    def alias(self) -> str | None:
        return self.listed_as if self.listed_as != self.domain else None


class Answers:
    """`ask_again_days`: an answer that is younger is not asked for again."""

    def __init__(self, answers: Iterable[Answer], ask_again_days: int, clock: Clock) -> None:
        self._by_domain = {answer.domain: answer for answer in answers}
        self._days_s, self._clock = ask_again_days * DAY_S, clock
        self.changed: set[str] = set()  # domains whose answer is another now, or gone

    def get(self, domain: str) -> Answer | None:
        return self._by_domain.get(domain)

    def __iter__(self) -> Iterator[Answer]:
        return iter(list(self._by_domain.values()))

    def is_recent(self, moment: float) -> bool:
        """A moment to come is not: the clock was wrong then, or is now."""
        now = self._clock.time()
        return now - self._days_s < moment <= now

    def asked_again_at(self, answer: Answer) -> float:
        return answer.asked_at + self._days_s

    def aliases(self) -> dict[str, str]:
        """Domain -> the other one under which the destination lists the company."""
        return {each.domain: each.alias for each in self if each.alias}

    def refused(self) -> set[str]:
        """The domains that were not taken when they were asked for last, however long ago."""
        return {each.domain for each in self if each.status != LISTED}

    def waiting(self) -> dict[str, Answer]:
        """Those of them that are not to be asked for yet."""
        return {
            each.domain: each
            for each in self
            if each.status != LISTED and self.is_recent(each.asked_at)
        }

    def note_refusal(self, domain: str, status: str, reason: str) -> None:
        known, now = self.get(domain), self._clock.time()
        since = known.since if known and known.status != LISTED else now
        listed_as = known.listed_as if known else None
        self._set(Answer(domain, listed_as, status, reason, since, now))

    def note_name(self, domain: str, listed_as: str) -> None:
        known, now = self.get(domain), self._clock.time()
        if known and known.status != LISTED:
            self._set(known._replace(listed_as=listed_as))
        else:
            self._set(Answer(domain, listed_as, LISTED, "", now, now))

    def settle(self, listed: Iterable[str], matching: Iterable[str]) -> None:
        """What is listed now, or does not match any more, waits no longer. Its other name is kept,
        also because it explains a row that no company names any more."""
        listed, matching = set(listed), set(matching)
        for answer in self:
            is_open = answer.domain in matching and answer.domain not in listed
            if answer.status == LISTED or not is_open:
                if not answer.alias:
                    self.forget(answer.domain)
                elif answer.status != LISTED:
                    now = self._clock.time()
                    self._set(answer._replace(status=LISTED, reason="", asked_at=now))

    def forget(self, domain: str) -> None:
        del self._by_domain[domain]
        self.changed.add(domain)

    def _set(self, answer: Answer) -> None:
        self._by_domain[answer.domain] = answer
        self.changed.add(answer.domain)
