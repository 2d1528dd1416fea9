"""Read a list that may change while its pages are read."""

from __future__ import annotations

import logging
from typing import Callable, TypeVar

from basics.errors import Moved

MAX_READS = 3  # of the whole list: what still moves then is not to be trusted

T = TypeVar("T")
log = logging.getLogger("crm_sync")


def read_settled(read: Callable[[], T]) -> T:
    """What `read` returns; it begins anew whenever it raises Moved, and the last one is raised."""
    for _ in range(MAX_READS - 1):
        try:
            return read()
        except Moved as error:
            log.info("%s Reading it again.", error)
    return read()
