"""What the clients of all services share: their settings, and answers that become values."""

from __future__ import annotations

from typing import Any, Callable, ClassVar, Mapping, NamedTuple, TypeVar

from core.clock import Clock
from core.settings import Secret
from transport import http_client, response

R = TypeVar("R")
Shape = Callable[[Any], R]


class ServiceSettings(NamedTuple):
    """`keys`: header -> its value, first the one that an account is known by."""

    base_url: str
    keys: Mapping[str, Secret]
    calls_per_second: float

    @property
    def account(self) -> str:
        """What tells the files of one account from those of another."""
        key = next(iter(self.keys.values())).reveal()
        return f"{self.base_url} {key.split()[-1]}"


class ServiceClient:
    """Every call raises CallRejected when the service refuses it, ServiceError when it fails, and
    BadAnswer when its answer makes no sense.

    A `shape` makes a value from the JSON of an answer, and may take for granted that it is as
    documented: a KeyError, TypeError or the like becomes BadAnswer, and the text of a ValueError
    says what is wrong.
    """

    service: ClassVar[response.Service]

    def __init__(self, settings: ServiceSettings, clock: Clock, dry_run: bool) -> None:
        self._clock = clock
        self.http = http_client.HttpClient(self.service, *settings, clock=clock, dry_run=dry_run)

    def _read(self, call: str, shape: Shape[R], method: str, path: str, **content: Any) -> R:
        return self._parse(call, shape, self.http.read(method, path, call, **content))

    def _write(self, call: str, shape: Shape[R], path: str, **content: Any) -> R:
        data = self.http.request("POST", path, call, **content).data
        return self._parse(call, shape, data, after_write=True)

    def _parse(self, call: str, shape: Shape[R], data: Any, after_write: bool = False) -> R:
        try:
            return shape(data)
        except KeyError as error:
            what = f"{error.args[0]} is missing"
        except ValueError as error:
            what = str(error)
        except (TypeError, AttributeError, IndexError):
            what = "it is not as documented" if data is not None else "it is no JSON object"
        self.http.bad_answer(call, what, after_write)


def total(data: Any) -> int:
    """The shape of an answer that says how many there are."""
    if not isinstance(data["total"], int):
        raise ValueError("total is no number")
    return int(data["total"])
