"""How MailerLite's lists go on: by cursor for subscribers, by page number for the others.

Cursors and links have the form of https://laravel.com/docs/pagination, which MailerLite's answers
show.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any, NamedTuple

NEWEST = 2**63  # above every id


class Cursor(NamedTuple):
    """A place in a list that begins with the newest: on from the id `at`, or back from it."""

    at: int = NEWEST
    onward: bool = True

    def __str__(self) -> str:
        text = json.dumps({"id": self.at, "_pointsToNextItems": self.onward})
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> Cursor:
        """The start of the list for a broken cursor, as for none."""
        try:
            found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            return cls(int(found["id"]), bool(found["_pointsToNextItems"]))
        except (ValueError, KeyError, TypeError):
            return cls()


def links(url: str, ids: list[int], limit: int, cursor: Cursor, more: bool) -> dict[str, Any]:
    """Links and meta of the page with `ids`; the links have neither the limit nor the filter.

    `more`: the list goes on in the cursor's direction.
    """
    following = previous = None
    if ids and (more or not cursor.onward):
        following = str(Cursor(ids[-1]))
    if ids and (more if not cursor.onward else cursor.at != NEWEST):
        previous = str(Cursor(ids[0], onward=False))
    urls = {
        "first": None,
        "last": None,
        "prev": previous and f"{url}?cursor={previous}",
        "next": following and f"{url}?cursor={following}",
    }
    meta = {"path": url, "per_page": limit, "next_cursor": following, "prev_cursor": previous}
    return {"links": urls, "meta": meta}


def numbered_links(url: str, page: int, limit: int, total: int) -> dict[str, Any]:
    """Links and meta of a page of a list with `total` rows."""
    last, start = max(1, math.ceil(total / limit)), (page - 1) * limit
    urls = {number: f"{url}?page={number}" for number in range(1, last + 1)}
    previous, following = urls.get(page - 1), urls.get(page + 1)
    labels = [("&laquo; Previous", previous), *((str(n), urls[n]) for n in urls)]
    labels.append(("Next &raquo;", following))
    meta = {
        "current_page": page,
        "from": start + 1 if start < total else None,
        "last_page": last,
        "links": [{"url": u, "label": name, "active": name == str(page)} for name, u in labels],
        "path": url,
        "per_page": limit,
        "to": min(total, start + limit) if start < total else None,
        "total": total,
    }
    ends = {"first": urls[1], "last": urls[last], "prev": previous, "next": following}
    return {"links": ends, "meta": meta}
