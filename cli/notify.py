"""A word in a chat when something happened, and a sign of life to a monitor for every run.

Chats (Slack, Teams, Mattermost, Google Chat) take `{"text": …}`; monitors are called as
https://healthchecks.io/docs/http_api/ describes.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import Iterator
from urllib.parse import urlsplit

from core import addresses, log, settings
from core.clock import DAY_S, Clock
from core.errors import AppError, Outcome
from report.model import DONE, Finding, Report
from state import files, history
from state.store import Store
from transport import http_client, response

LONGEST_TEXT = 3_000  # characters
SHOWN_CHANGES = 10
# A name from HubSpot may neither address a chat (`@all`, `<!channel>`) nor be a link or a line.
_HARMLESS = str.maketrans({"<": "(", ">": ")", "&": "+", "@": " at ", "[": "(", "]": ")"})
_LINK = re.compile(":(?=//)|www(?=[.])", re.IGNORECASE)


class Hook:
    """One address to call. All of it is secret, but for its host: whoever knows it can post."""

    def __init__(self, setting: str, url: settings.Secret, clock: Clock) -> None:
        address = urlsplit(url.reveal())
        self.url, self.host = url, address.hostname or ""
        path = address.path.rstrip("/")
        self._http = http_client.HttpClient(
            response.Service(
                f"{setting} ({self.host})", lambda _: f"Check {setting}.", is_brief=True
            ),
            f"{address.scheme}://{address.netloc}",
            {},
            calls_per_second=1.0,
            clock=clock,
            dry_run=False,
            hidden=settings.Secret(f"{path}?{address.query}" if address.query else path),
        )

    def call(self, method: str, path: str = "", body: object = None) -> None:
        """What fails is a warning: it says nothing about what the run has done."""
        try:
            self._http.request(method, path, "a call", body=body)
        except AppError as error:
            log.warning("%s The run itself is not affected.", error)


class Hooks:
    """What a run calls besides the services; nothing without the settings."""

    def __init__(self, reader: settings.SettingsReader, clock: Clock) -> None:
        self._clock = clock.restarted()  # a run that was stopped is told as well
        notify, heartbeat = reader.address("NOTIFY_URL"), reader.address("HEARTBEAT_URL")
        self._notify = Hook("NOTIFY_URL", notify, self._clock) if notify else None
        self._heartbeat = Hook("HEARTBEAT_URL", heartbeat, self._clock) if heartbeat else None

    def findings(self) -> Iterator[Finding]:
        """For `--check`, which calls neither."""
        if self._notify:
            yield Finding(True, f"Notices are sent to {self._notify.host} (NOTIFY_URL).")
        if self._heartbeat:
            yield Finding(True, f"Each run is reported to {self._heartbeat.host} (HEARTBEAT_URL).")

    def start(self) -> None:
        if self._heartbeat:
            self._heartbeat.call("GET", "/start")

    def end(self, report: Report, exit_code: int, has_news: bool, reports: str) -> None:
        """`has_news`: something newly needs attention; `reports`: where they lie."""
        if self._heartbeat and exit_code:
            self._heartbeat.call("POST", "/fail", exit_code)
        elif self._heartbeat:
            self._heartbeat.call("GET")
        if self._notify and self._is_news(self._notify.url, report, has_news):
            self._notify.call("POST", body={"text": describe(report, has_news, reports)})

    def _is_news(self, url: settings.Secret, report: Report, has_news: bool) -> bool:
        """The same failure or refusal is sent once, then once a day."""
        rows = [row for section in report.sections for row in section.rows]
        is_new = has_news or any(row.get("status") == DONE for row in rows)
        is_new = is_new or report.outcome is Outcome.SYNCED
        texts = [report.error, *(each.reason for each in report.refusals)]
        texts += sorted({row["error"] for row in rows if row.get("error")})
        # Moments and ids, as that of a call, are others each time.
        said = re.sub(r"\S*\d\S*", "", " ".join(filter(None, texts)))
        text = f"{report.outcome.word} {report.plan} {said}"
        failure = hashlib.sha256(text.encode()).hexdigest()  # it may name somebody
        waiting = set() if report.outcome in (Outcome.IN_SYNC, Outcome.SYNCED) else {failure}
        try:
            path = files.account_file(f"{report.job}-notices", url.reveal(), ".sqlite3")
            store = Store(path, history.SQL, "Delete it.", dry_run=False, may_fail=True)
            notifications = history.Notifications(store, self._clock, DAY_S)
            due = waiting if is_new else notifications.due(waiting)
            notifications.mark_notified(due, waiting)
            store.close()
        except AppError as error:
            log.warning("%s", error)
            due = waiting
        return is_new or bool(due)


def describe(report: Report, has_news: bool, reports: str) -> str:
    """What came of the run, with up to ten changes; of people no more than their number."""
    attention = ["Something needs your attention, see the report."] if has_news else []
    lines = [f"{report.title}: {report.outcome.told}.", *attention, *report.summary]
    said = "\n".join(lines)
    reasons = [report.error, *(each.reason for each in report.refusals)]
    lines += [each for each in reasons if each and each not in said]
    if report.command:
        lines.append(f"If this is right, run it again with: {report.command}")
    changes: list[str] = []
    others: Counter[str] = Counter()
    rows = ((section, row) for section in report.sections for row in section.rows)
    for section, row in (each for each in rows if "status" in each[1]):
        why = row.get("error") or row.get("reason")
        if "domain" in row:
            name = f"{section.kind.sign} {row['domain']}"
            words = ": ".join(filter(None, (name, row.get("company"), why)))
            changes.append(" ".join(words.split()))
        else:
            others[f"{section.title}: {why}" if why else section.title] += 1
    changes += [f"{title}: {number:,}" for title, number in others.most_common()]
    lines += changes[:SHOWN_CHANGES]
    if len(changes) > SHOWN_CHANGES:
        lines.append(f"and {len(changes) - SHOWN_CHANGES:,} more")
    text = addresses.masked(addresses.display_domains("\n".join(lines)))
    text = _LINK.sub(r"\g<0> ", text).translate(_HARMLESS)
    text = text[: LONGEST_TEXT - len(reports) - 1]
    return f"{text}\n{reports}"[:LONGEST_TEXT] if reports else text
