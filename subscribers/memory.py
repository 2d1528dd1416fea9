"""Whom MailerLite has had as subscribers, and what came of writing them, from run to run.

Every address that was ever seen in one of MailerLite's lists, or written, is remembered. MailerLite
lists nobody who was deleted there, and a write brings a deleted person back without a word: so who
is known, and now in no list, was deleted by someone. An address is noted after MailerLite has
confirmed the write; noted before, it would look like a deleted person if the write never took
place. A run that is killed in between leaves at most the calls under way unnoted, and the next one
sees these people in the lists. A refusal is kept until MailerLite accepts the value, or another
is sent.

The file holds no addresses and no values, but a keyed hash (HMAC-SHA256) of each; the key is
random, made with the file, and kept in it. So nobody can read the addresses off the file, or
compare it with another one. Whoever has the file can still find out whether an address that he
knows is in it. Of a refusal it keeps what MailerLite said, without the address and the values sent;
should MailerLite put these into other words, they stand there.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import date, timedelta
from pathlib import Path
from typing import Callable, Iterable, Mapping, NamedTuple

from core import addresses, errors
from mailerlite_api.shapes import Value
from state import history, store
from subscribers.decide import KnownPerson, Refusal

# Of `known`: `is_gone`: was in no list when the lists were read last; `is_written`: by us;
# `contact_id`: the contact that had the address then; `is_opted_out`: by us, in HubSpot.
# Of `kept`: what MailerLite made of a value that was `sent`; `there` is null until it is listed,
# for the answer to the write may show what was sent, or nothing.
# Of `refused`: `field` is "" for a person. `begun`: the day on which lists were noted first.
_SQL = """
CREATE TABLE secret (key BLOB NOT NULL);
INSERT INTO secret VALUES (x'NEW_KEY');
CREATE TABLE begun (day TEXT);
CREATE TABLE known (hash BLOB PRIMARY KEY, is_gone INTEGER NOT NULL DEFAULT 0,
    is_written INTEGER NOT NULL DEFAULT 0, contact_id INTEGER,
    is_opted_out INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE kept (hash BLOB, field TEXT, sent BLOB, there BLOB, PRIMARY KEY (hash, field))
    WITHOUT ROWID;
CREATE TABLE joined (hash BLOB, group_id TEXT, is_reported INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (hash, group_id)) WITHOUT ROWID;
CREATE TABLE refused (hash BLOB, field TEXT, sent BLOB, reason TEXT, since TEXT, asked TEXT,
    PRIMARY KEY (hash, field)) WITHOUT ROWID;
"""
_SQL += history.SQL
_MAKE_LISTED = "CREATE TEMP TABLE listed (hash BLOB PRIMARY KEY, contact_id INTEGER)"
# A contact that is known stays the person's contact until the person is written again: should it
# change its address, what it objects to still counts for this one.
_NOTE_LISTED = (
    "INSERT OR IGNORE INTO known (hash) SELECT hash FROM listed",
    "UPDATE known SET is_gone = 0 WHERE is_gone AND hash IN (SELECT hash FROM listed)",
    "UPDATE known SET is_gone = 1 WHERE NOT is_gone AND hash NOT IN (SELECT hash FROM listed)",
    "UPDATE known SET contact_id = (SELECT contact_id FROM listed WHERE hash = known.hash)"
    " WHERE contact_id IS NULL AND hash IN (SELECT hash FROM listed)",
)
_REMEDY = (
    "Restore it from a backup. Delete it only if people you deleted in MailerLite may be added"
    " again."
)


class Lists(NamedTuple):
    """How many people are known that were not deleted, and how many of them are in no list now."""

    known: int
    missing: int


class PersonStore(store.Store):
    """The file at `path`; addresses come in any spelling. Everything raises AppError when the file
    cannot be used.

    A missing file is made by `make_file` alone, so that a run that is refused leaves none; until
    then all is in main memory. What MailerLite rejected is retried `ask_again_days` after the last
    try.
    """

    def __init__(self, path: Path, dry_run: bool, today: date, ask_again_days: int) -> None:
        self.path = path
        self._today, self._ask_again_days = today, ask_again_days
        self._schema = _SQL.replace("NEW_KEY", secrets.token_hex(32))
        super().__init__(path, self._schema, _REMEDY, dry_run or not path.exists())
        try:
            keys = [key for (key,) in self.rows("SELECT key FROM secret")]
            if len(keys) != 1:
                raise errors.AppError(f"{path} is not the run history of this script. {_REMEDY}")
            self._key: bytes = keys[0]
            # A run that was killed before it noted anything leaves an empty one.
            self.is_new = not self.rows("SELECT 1 FROM known UNION SELECT 1 FROM begun LIMIT 1")
        except errors.AppError:
            self.close()
            raise

    def make_file(self) -> bool:
        """Before anything is noted that is to last. Whether it was missing: then what was noted so
        far is lost."""
        if self.path.exists():
            return False
        self.close()
        super().__init__(self.path, self._schema, _REMEDY, dry_run=False)
        return True

    def __enter__(self) -> PersonStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What is known

    def lookup(self, email: str) -> KnownPerson:
        sql = "SELECT is_written, contact_id, is_opted_out FROM known WHERE hash = ?"
        for is_written, contact_id, is_opted_out in self.rows(sql, self.hash_of(email)):
            return KnownPerson(True, bool(is_written), contact_id, bool(is_opted_out))
        return KnownPerson(False)

    def knows_others(self, contact_ids: Iterable[int], emails: Iterable[str]) -> bool:
        """Whether one of the contacts had an address that is none of these."""
        sql = "SELECT hash FROM known WHERE contact_id = ?"
        theirs = {found for id in contact_ids for (found,) in self.rows(sql, id)}
        return bool(theirs - {self.hash_of(email) for email in emails})

    def is_kept_as(self, email: str, key: str, value: Value, there: str) -> bool:
        """Whether MailerLite made `there` of this value, as the lists show since it was written."""
        sql = "SELECT sent, there FROM kept WHERE hash = ? AND field = ?"
        sent, form = self.hash_of(email, key, value), self.hash_of(email, key, there)
        return self.rows(sql, self.hash_of(email), key) in ([(sent, form)], [(sent, None)])

    def previous_refusal(
        self, email: str, key: str = "", value: Value | None = None
    ) -> Refusal | None:
        """That of the value or, without a key, of the person."""
        sql = "SELECT reason, since, asked FROM refused WHERE hash = ? AND field = ? AND sent = ?"
        sent = self.hash_of(email, key, value)
        for reason, since, asked in self.rows(sql, self.hash_of(email), key, sent):
            again_on = self._again_on(date.fromisoformat(asked))
            # A clock that was wrong makes nobody wait longer: hence the first comparison.
            is_waiting = asked <= self._today.isoformat() < again_on
            return Refusal(reason, since, again_on, is_waiting)
        return None

    def joined(self, email: str) -> Mapping[str, bool]:
        """The groups that the person was put into -> whether it was reported that they left it."""
        sql = "SELECT group_id, is_reported FROM joined WHERE hash = ?"
        return {group: bool(reported) for group, reported in self.rows(sql, self.hash_of(email))}

    def compare_lists(self, emails: Iterable[str]) -> Lists:
        """What it shows when these are all whom MailerLite lists now."""
        self._list((email, None) for email in emails)
        ((known, missing),) = self.rows(
            "SELECT count(*), total(hash NOT IN (SELECT hash FROM listed)) FROM known"
            " WHERE NOT is_gone"
        )
        return Lists(known, int(missing))

    # What a run finds and does

    def note_lists(self, people: Iterable[tuple[str, int | None]]) -> None:
        """Whom MailerLite lists now, all of them, each with the id of the contact, if any."""
        self._list(people)
        for sql in _NOTE_LISTED:
            self.write(sql, [()])
        day = [(self._today.isoformat(),)]
        self.write("INSERT INTO begun SELECT ? WHERE NOT EXISTS (SELECT 1 FROM begun)", day)

    def note_written(
        self,
        email: str,
        contact_id: int | None,
        groups: Iterable[str] = (),
        values: Mapping[str, Value] = {},
    ) -> None:
        """`groups`: joined by it; `values`: accepted, by key."""
        person = self.hash_of(email)
        self.write(
            "INSERT INTO known (hash, is_written, contact_id) VALUES (?, 1, ?) ON CONFLICT (hash)"
            " DO UPDATE SET is_written = 1, is_gone = 0, contact_id = excluded.contact_id",
            [(person, contact_id)],
        )
        joined = [(person, group) for group in groups]
        self.write("INSERT OR REPLACE INTO joined (hash, group_id) VALUES (?, ?)", joined)
        sent = [(person, key, self.hash_of(email, key, each)) for key, each in values.items()]
        self.write("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, NULL)", sent)
        accepted = [(person, key) for key in ("", *values)]
        self.write("DELETE FROM refused WHERE hash = ? AND field = ?", accepted)

    def note_forms(self, emails: Iterable[str], form_of: Callable[[str, str], str]) -> None:
        """What MailerLite lists of the values written since the lists were noted last. `form_of`:
        by address and key."""
        pending: dict[bytes, list[str]] = {}
        for person, key in self.rows("SELECT hash, field FROM kept WHERE there IS NULL"):
            pending.setdefault(person, []).append(key)
        forms = (
            (self.hash_of(email, key, form_of(email, key)), person, key)
            for email in (emails if pending else ())
            for person in [self.hash_of(email)]
            for key in pending.get(person, ())
        )
        self.write("UPDATE kept SET there = ? WHERE hash = ? AND field = ?", forms)
        self.write("DELETE FROM kept WHERE there = sent", [()])

    def note_left(self, email: str, group: str) -> None:
        """The person left the group by us."""
        rows = [(self.hash_of(email), group)]
        self.write("DELETE FROM joined WHERE hash = ? AND group_id = ?", rows)

    def note_refused(
        self, email: str, reason: str, key: str = "", value: Value | None = None
    ) -> Refusal:
        before, today = self.previous_refusal(email, key, value), self._today.isoformat()
        since = before.since if before else today
        person, sent = self.hash_of(email), self.hash_of(email, key, value)
        row = (person, key, sent, addresses.masked(reason), since, today)
        self.write("INSERT OR REPLACE INTO refused VALUES (?, ?, ?, ?, ?, ?)", [row])
        return Refusal(addresses.masked(reason), since, self._again_on(self._today))

    def note_opted_out(self, email: str, is_opted_out: bool = True) -> None:
        """By us, in HubSpot."""
        row = (is_opted_out, self.hash_of(email))
        self.write("UPDATE known SET is_opted_out = ? WHERE hash = ?", [row])

    def note_opt_outs(self, contacts: Iterable[tuple[str, bool]]) -> None:
        """The addresses of contacts, each with whether it is opted out now. Who is not has opted in
        since: should they opt out again, it is not by us."""
        by_us = {person for (person,) in self.rows("SELECT hash FROM known WHERE is_opted_out")}
        opted_out: dict[bytes, bool] = {}
        for email, is_opted_out in contacts if by_us else ():
            person = self.hash_of(email)
            opted_out[person] = opted_out.get(person, False) or is_opted_out
        back = [(person,) for person in by_us if opted_out.get(person) is False]
        self.write("UPDATE known SET is_opted_out = 0 WHERE hash = ?", back)

    def note_reported(self, removed: Iterable[tuple[str, str]]) -> None:
        """It was reported that these people were removed from these groups."""
        rows = [(self.hash_of(email), group) for email, group in removed]
        self.write("UPDATE joined SET is_reported = 1 WHERE hash = ? AND group_id = ?", rows)

    def forget(self, email: str) -> None:
        """Leave no trace of the person."""
        person = [(self.hash_of(email),)]
        for table in ("known", "kept", "joined", "refused"):
            self.write(f"DELETE FROM {table} WHERE hash = ?", person)  # noqa: S608
        self.write("DELETE FROM change WHERE who = ?", person)

    def _list(self, people: Iterable[tuple[str, int | None]]) -> None:
        self.rows("DROP TABLE IF EXISTS temp.listed")
        self.rows(_MAKE_LISTED)
        rows = ((self.hash_of(email), contact_id) for email, contact_id in people)
        self.write("INSERT OR REPLACE INTO listed VALUES (?, ?)", rows)

    def _again_on(self, asked: date) -> str:
        return (asked + timedelta(days=self._ask_again_days)).isoformat()

    def hash_of(self, email: str, *what: object) -> bytes:
        """What stands for the address and, if anything is said of it, for that too."""
        text = "\n".join(map(str, (addresses.canonical(email), *what)))
        return hmac.new(self._key, text.encode(), hashlib.sha256).digest()
