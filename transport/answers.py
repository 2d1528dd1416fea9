"""Turn what a service has answered into values."""

from __future__ import annotations

from typing import Any, Callable, TypeVar

from transport.http_client import HttpClient

R = TypeVar("R")


def parse(
    http: HttpClient, call: str, data: Any, shape: Callable[[Any], R], after_write: bool = False
) -> R:
    """What `shape` makes of the data of an answer.

    `shape` may take for granted that the data is as documented: what it raises when it is not
    becomes a BadAnswer here. The text of a ValueError says what is wrong.
    """
    try:
        return shape(data)
    except KeyError as error:
        what = f"{error.args[0]} is missing"
    except ValueError as error:
        what = str(error)
    except (TypeError, AttributeError, IndexError):
        what = "it is not as documented" if data is not None else "it is no JSON object"
    http.bad_answer(call, what, after_write)


def read(
    http: HttpClient, call: str, shape: Callable[[Any], R], method: str, path: str, **content: Any
) -> R:
    """What `shape` makes of the JSON object that a read answers. Raises like `HttpClient.read`."""
    return parse(http, call, http.read(method, path, call, **content), shape)
