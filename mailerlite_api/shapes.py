"""MailerLite's subscribers as small values, made from its JSON."""

from __future__ import annotations

import functools
import re
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from core.addresses import canonical
from core.values import Packed

# Each status has a list of its own, and the list without a filter is not all of them. In this
# order, whoever confirms, unsubscribes or bounces during the read moves on to a list that is still
# to be read, and so is seen.
SUBSCRIBER_STATUSES = ("unconfirmed", "active", "unsubscribed", "bounced", "junk")

_IMPORT = re.compile(r"/subscribers/import/([A-Za-z0-9_-]+)$")

Value = Union[str, int, float]


class Subscriber(NamedTuple):
    """`email` is trimmed and in lower case; `fields`: key -> value as text, None where empty;
    `groups`: ids, and none unless they were asked for."""

    id: str
    email: str
    status: str
    fields: Mapping[str, str | None]
    groups: frozenset[str] = frozenset()


Page = Tuple[List[Subscriber], Optional[str]]  # with the cursor of the next one


class Written(NamedTuple):
    """What a write came to. `is_new`: nothing shows that MailerLite had known the address, even as
    deleted."""

    status: str
    is_new: bool


# Shapes, as `transport.service_client` describes them: with the fields `keys`, perhaps with groups.


def page(keys: tuple[str, ...], with_groups: bool, data: Any) -> Page:
    cursor = data["meta"]["next_cursor"]
    if cursor is not None and not isinstance(cursor, str):
        raise ValueError("meta.next_cursor is not text")
    return [_subscriber(keys, with_groups, row) for row in data["data"]], cursor


def subscriber(keys: Sequence[str], with_groups: bool, whom: str, data: Any) -> Subscriber | None:
    """The one that was asked for by id or address; None for someone who is shown as deleted."""
    row = data["data"]
    person = _subscriber(tuple(keys), with_groups, row)
    if canonical(whom) not in (person.id, canonical(person.email)):
        raise ValueError("it describes somebody else")
    return None if row.get("deleted_at") else person


def written(is_new: bool, data: Any) -> Written:
    return Written(_status(data["data"]), is_new)


def new_id(data: Any) -> str:
    return str(data["data"]["id"])


def import_key(data: Any) -> str:
    """By which its progress can be asked for."""
    found = _IMPORT.search(data["import_progress_url"])
    if not found:
        raise ValueError("it has no address for the import's progress")
    return found[1]


def responses(number: int, data: Any) -> list[Any]:
    """One for each request of a batch, in their order."""
    found = data["responses"]
    if not isinstance(found, list) or len(found) != number:
        raise ValueError("the responses do not match the requests")
    return found


def _subscriber(keys: tuple[str, ...], with_groups: bool, row: Any) -> Subscriber:
    email, fields = row["email"].strip().lower(), row["fields"] or {}
    values = Packed(keys, [_text(fields.get(key)) for key in keys])
    groups = tuple(str(group["id"]) for group in row["groups"]) if with_groups else ()
    return Subscriber(str(row["id"]), email, _status(row), values, _shared(groups))


@functools.lru_cache(maxsize=10_000)
def _shared(groups: tuple[str, ...]) -> frozenset[str]:
    """One set for all who are in the same groups: even an empty one takes 200 bytes."""
    return frozenset(groups)


def _status(row: Any) -> str:
    if row["status"] not in SUBSCRIBER_STATUSES:
        raise ValueError("a subscriber has an unknown status")
    return SUBSCRIBER_STATUSES[SUBSCRIBER_STATUSES.index(row["status"])]  # one text for all


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
