"""Whom MailerLite has had as subscribers, and what came of writing them, from run to run.

MailerLite lists nobody who was deleted there, and a write brings a deleted person back without a
word. So every address that was ever seen in one of its lists, or written, is remembered: known,
and now in no list, means that someone deleted the person.

The file holds no addresses and no values, but a keyed hash (HMAC-SHA256) of each; the key is
random, made with the file, and kept in it. So nobody can read the addresses off the file, or
compare it with another one. Whoever has the file can still find out whether an address that he
knows is in it. Of a refusal it keeps what MailerLite said, without the address and the values sent;
should MailerLite put these into other words, they stand there.

An address is remembered after MailerLite has confirmed the write. A run that is killed in between
may leave one for each call under way that is not remembered, and that is so on purpose: an address
remembered before its write would, if the write never took place, look like a deleted person, and
would never be written. The next run sees in the lists whom MailerLite has; only someone who was
deleted before that would be written once more.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Iterable, Mapping, NamedTuple

from core.emails import canonical, masked, spellings
from core.errors import AppError
from state import history, notifications
from state.store import Row, Store
from subscribers.plan import Decision, Refused, Trace

if TYPE_CHECKING:
    from mailerlite_api.shapes import Value

# Of `known`: `is_gone`: was in no list when the lists were read last; `is_written`: by us;
# `contact_id`: the contact that had the address then; `is_opted_out`: by us, in HubSpot.
# Of `refused`: `field` is "" for a person.
_SCHEMA = """
    CREATE TABLE secret (key BLOB NOT NULL);
    INSERT INTO secret VALUES (x'NEW_KEY');
    CREATE TABLE known (hash BLOB PRIMARY KEY, is_gone INTEGER NOT NULL DEFAULT 0,
        is_written INTEGER NOT NULL DEFAULT 0, contact_id INTEGER,
        is_opted_out INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
    CREATE TABLE begun (day TEXT);
    CREATE TABLE kept (hash BLOB, field TEXT, sent BLOB, there BLOB, PRIMARY KEY (hash, field))
        WITHOUT ROWID;
    CREATE TABLE joined (hash BLOB, group_id TEXT, is_told INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (hash, group_id)) WITHOUT ROWID;
    CREATE TABLE refused (hash BLOB, field TEXT, sent BLOB, reason TEXT, since TEXT, asked TEXT,
        PRIMARY KEY (hash, field)) WITHOUT ROWID;
"""
_SCHEMA += notifications.SQL + history.SQL
_MAKE_LISTED = (
    "CREATE TEMP TABLE listed (hash BLOB PRIMARY KEY, contact_id INTEGER, is_canonical INTEGER)"
)
_NOTE_LISTED = (
    "INSERT OR IGNORE INTO known (hash) SELECT hash FROM listed",
    "DELETE FROM known WHERE hash IN (SELECT hash FROM listed WHERE NOT is_canonical)",
    "UPDATE known SET is_gone = 0 WHERE is_gone AND hash IN (SELECT hash FROM listed)",
    "UPDATE known SET is_gone = 1 WHERE NOT is_gone AND hash NOT IN (SELECT hash FROM listed)",
    "UPDATE known SET contact_id = (SELECT contact_id FROM listed WHERE hash = known.hash)"
    " WHERE contact_id IS NULL AND hash IN (SELECT hash FROM listed)",
)
_REMEDY = (
    "Bring it back from a backup. Delete it only if people who were deleted in MailerLite may be"
    " written again."
)


class Lists(NamedTuple):
    """How many people the memory knows that were not deleted, and how many of them are in no list
    now."""

    known: int
    missing: int


class Memory:
    """The file at `path`, see Store. Everything raises AppError when it cannot be used.

    What MailerLite refused is tried again `ask_again_days` after it was asked last.
    """

    def __init__(self, path: Path, dry_run: bool, today: date, ask_again_days: int) -> None:
        self.path = path
        self._today, self._ask_again_days = today, ask_again_days
        self._open(dry_run)

    def _open(self, dry_run: bool) -> None:
        key = secrets.token_hex(32)
        self._store = Store(self.path, _SCHEMA.replace("NEW_KEY", key), _REMEDY, dry_run)
        try:
            keys = self._store.rows("SELECT key FROM secret")
            if len(keys) != 1:
                raise AppError(f"{self.path} is not the memory of earlier runs. {_REMEDY}")
            # A run that was killed before it noted anything leaves an empty one.
            sql = "SELECT 1 FROM known UNION SELECT 1 FROM begun LIMIT 1"
            self.is_new = not self._store.rows(sql)
        except AppError:
            self.close()
            raise
        self._key: bytes = keys[0][0]

    def keep(self) -> None:
        """From now on it is the file that is written, and no copy of it. A new one gets the key of
        the copy, so that the hashes stay the same."""
        key = self._key
        self.close()
        self._open(dry_run=False)
        if self.is_new:
            self.write("UPDATE secret SET key = ?", [(key,)])
            self._key = key

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._store.close()

    def rows(self, sql: str, *values: object) -> list[Row]:
        """As of a Store."""
        return self._store.rows(sql, *values)

    def write(self, sql: str, rows: Iterable[Row]) -> None:
        """As of a Store."""
        self._store.write(sql, rows)

    # What is known

    def recall(self, email: str) -> Trace:
        """Files of the first release know an address only as MailerLite or HubSpot wrote it."""
        sql = "SELECT is_written, contact_id, is_opted_out FROM known WHERE hash = ?"
        for each in spellings(canonical(email)):
            for is_written, contact_id, is_opted_out in self._store.rows(sql, self._hash(each)):
                return Trace(True, bool(is_written), contact_id, bool(is_opted_out))
        return Trace(False)

    def knows_others(self, contact_ids: Iterable[int], emails: Iterable[str]) -> bool:
        """Whether one of the contacts had an address that is none of these canonical ones."""
        sql = "SELECT hash FROM known WHERE contact_id = ?"
        theirs = {found for id in contact_ids for (found,) in self.rows(sql, id)}
        return bool(theirs - {self._hash(form) for each in emails for form in spellings(each)})

    def is_kept(self, email: str, key: str, value: Value, there: str) -> bool:
        sql = "SELECT sent, there FROM kept WHERE hash = ? AND field = ?"
        pair = (self._value(email, key, value), self._value(email, key, there))
        return self._store.rows(sql, self.person(email), key) == [pair]

    def refusal(self, email: str, key: str = "", value: Value | None = None) -> Refused | None:
        found = self.any_refusal(email, key, value)
        return found if found and found.is_waiting(self._today.isoformat()) else None

    def any_refusal(self, email: str, key: str = "", value: Value | None = None) -> Refused | None:
        """Also one that is to be tried again."""
        sql = "SELECT reason, since, asked FROM refused WHERE hash = ? AND field = ? AND sent = ?"
        sent = self._value(email, key, value)
        for reason, since, asked in self._store.rows(sql, self.person(email), key, sent):
            return Refused(reason, since, asked, self._again_on(date.fromisoformat(asked)))
        return None

    def joined(self, email: str) -> Mapping[str, bool]:
        sql = "SELECT group_id, is_told FROM joined WHERE hash = ?"
        rows = self._store.rows(sql, self.person(email))
        return {group_id: bool(is_told) for group_id, is_told in rows}

    def compare(self, emails: Iterable[str]) -> Lists:
        """What it shows when these are all whom MailerLite lists now."""
        self._list((email, None) for email in emails)
        ((known, missing),) = self._store.rows(
            "SELECT count(*), total(hash NOT IN (SELECT hash FROM listed)) FROM known"
            " WHERE NOT is_gone"
        )
        return Lists(known, int(missing))

    # What a run finds and does

    def note_lists(self, people: Iterable[tuple[str, int | None]]) -> None:
        """Whom MailerLite lists now, all of them, each with the id of the contact, if any.

        A contact that is known stays the person's contact until the person is written again: should
        it change its address, what it objects to still counts for this one.
        """
        self._list(people)
        day = [(self._today.isoformat(),)]
        for sql in _NOTE_LISTED:
            self._store.write(sql, [()])
        self._store.write("INSERT INTO begun SELECT ? WHERE NOT EXISTS (SELECT 1 FROM begun)", day)

    def note_written(self, written: Decision, kept: Mapping[str, tuple[Value, str]]) -> None:
        """`kept`: key -> what was sent and what MailerLite made of it, for what is not the same."""
        email, person = written.address, self.person(written.address)
        self._store.write(
            "INSERT INTO known (hash, is_written, contact_id) VALUES (?, 1, ?) ON CONFLICT (hash)"
            " DO UPDATE SET is_written = 1, is_gone = 0, contact_id = excluded.contact_id",
            [(person, written.hubspot_id)],
        )
        joined = [(person, group) for group in written.groups]
        self._store.write("INSERT OR REPLACE INTO joined (hash, group_id) VALUES (?, ?)", joined)
        forms = [
            (person, key, self._value(email, key, sent), self._value(email, key, there))
            for key, (sent, there) in kept.items()
        ]
        self._store.write("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)", forms)
        taken = [(person, key) for key in ("", *written.fields)]
        self._store.write("DELETE FROM refused WHERE hash = ? AND field = ?", taken)

    def note_left(self, email: str, group: str) -> None:
        """The person left the group by us."""
        rows = [(self.person(email), group)]
        self._store.write("DELETE FROM joined WHERE hash = ? AND group_id = ?", rows)

    def note_refused(
        self, email: str, reason: str, key: str = "", value: Value | None = None
    ) -> Refused:
        before, today = self.any_refusal(email, key, value), self._today
        since = before.since if before else today.isoformat()
        person, sent = self.person(email), self._value(email, key, value)
        row = (person, key, sent, masked(reason), since, today.isoformat())
        self._store.write("INSERT OR REPLACE INTO refused VALUES (?, ?, ?, ?, ?, ?)", [row])
        return Refused(masked(reason), since, today.isoformat(), self._again_on(today))

    def note_opted_out(self, email: str) -> None:
        """To be called before it is done: who knows whether there is time after it."""
        sql = "UPDATE known SET is_opted_out = 1 WHERE hash = ?"
        self._store.write(sql, [(self.person(email),)])

    def note_not_opted_out(self, email: str) -> None:
        self._forget_opt_outs([self.person(email)])

    def note_opt_outs(self, contacts: Iterable[tuple[str, bool]]) -> None:
        """The addresses of contacts, each with whether it is opted out now. Who is not has opted in
        since: should they opt out again, it is not by us."""
        sql = "SELECT hash FROM known WHERE is_opted_out"
        by_us = {person for (person,) in self._store.rows(sql)}
        seen: dict[bytes, bool] = {}
        for email, is_opted_out in contacts if by_us else ():
            person = self.person(email)
            seen[person] = seen.get(person, False) or is_opted_out
        self._forget_opt_outs(each for each in by_us if seen.get(each) is False)

    def _forget_opt_outs(self, people: Iterable[bytes]) -> None:
        sql = "UPDATE known SET is_opted_out = 0 WHERE hash = ?"
        self._store.write(sql, [(person,) for person in people])

    def note_told(self, people: Iterable[Decision]) -> None:
        """It was told that these people were taken out of groups."""
        rows = [(self.person(each.address), group) for each in people for group in each.taken_out]
        sql = "UPDATE joined SET is_told = 1 WHERE hash = ? AND group_id = ?"
        self._store.write(sql, rows)

    def _list(self, people: Iterable[tuple[str, int | None]]) -> None:
        self._store.rows("DROP TABLE IF EXISTS temp.listed")
        self._store.rows(_MAKE_LISTED)
        rows = (
            (self._hash(each), contact_id, each == canonical(email))
            for email, contact_id in people
            for each in spellings(canonical(email))
        )
        self._store.write("INSERT OR REPLACE INTO listed VALUES (?, ?, ?)", rows)

    def _again_on(self, asked: date) -> str:
        return (asked + timedelta(days=self._ask_again_days)).isoformat()

    def person(self, email: str, *what: str) -> bytes:
        """What stands for the address and, if anything is said of it, for that too."""
        return self._hash(canonical(email), *what)

    def _value(self, email: str, key: str, value: object) -> bytes:
        """Of what the field `key` of a person holds."""
        return self._hash(canonical(email), key, value)

    def _hash(self, *parts: object) -> bytes:
        text = "\n".join(map(str, parts))
        return hmac.new(self._key, text.encode(), hashlib.sha256).digest()
