"""A sandbox on a clock that tests move, and a client that says no more than it has to."""

from __future__ import annotations

from typing import Any, Callable, Iterator

import pytest
import requests

from sandbox import Sandbox


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Client:
    """Calls a started sandbox with the right credentials."""

    def __init__(self, sandbox: Sandbox, clock: Clock) -> None:
        self.sandbox, self.clock = sandbox, clock
        self.session = requests.Session()
        self.session.trust_env = False
        given = sandbox.settings
        self.headers: dict[str, dict[str, str]] = {
            "HUBSPOT": {"Authorization": f"Bearer {given['HUBSPOT_ACCESS_TOKEN']}"},
            "PREDICTLEADS": {
                "X-Api-Key": given["PREDICTLEADS_API_KEY"],
                "X-Api-Token": given["PREDICTLEADS_API_TOKEN"],
            },
            "MAILERLITE": {"Authorization": f"Bearer {given['MAILERLITE_API_KEY']}"},
        }

    def _call(self, service: str, method: str, path: str, **more: Any) -> requests.Response:
        url = self.sandbox.settings[f"{service}_BASE_URL"] + path
        options = {"headers": self.headers[service], "timeout": 5, "allow_redirects": False}
        return self.session.request(method, url, **{**options, **more})

    def hubspot(self, method: str, path: str, **more: Any) -> requests.Response:
        return self._call("HUBSPOT", method, path, **more)

    def predictleads(self, method: str, path: str, **more: Any) -> requests.Response:
        return self._call("PREDICTLEADS", method, path, **more)

    def mailerlite(self, method: str, path: str, **more: Any) -> requests.Response:
        return self._call("MAILERLITE", method, path, **more)

    def search(self, *filters: Any, kind: str = "companies", **body: Any) -> requests.Response:
        """One filter group; a filter is (property, operator, value or list of values)."""
        group = [_filter(*each) for each in filters]
        query = {"filterGroups": [{"filters": group}], **body}
        return self.hubspot("POST", f"/crm/v3/objects/{kind}/search", json=query)

    def found(self, *filters: Any, **body: Any) -> list[int]:
        """Ids that a search answers."""
        return [int(row["id"]) for row in self.search(*filters, **body).json()["results"]]

    def upsert(self, **body: Any) -> requests.Response:
        return self.mailerlite("POST", "/subscribers", json=body)


def _filter(name: str, operator: str, value: Any = None, high: Any = None) -> dict[str, Any]:
    entry = {"propertyName": name, "operator": operator}
    entry.update({"values" if isinstance(value, list) else "value": value} if value else {})
    entry.update({"highValue": high} if high else {})
    return entry


Serve = Callable[..., Client]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def serve(clock: Clock, capfd: pytest.CaptureFixture[str]) -> Iterator[Serve]:
    """Starts sandboxes; stops them at the end, and fails when a handler had a bug."""
    clients: list[Client] = []

    def start(**options: Any) -> Client:
        clients.append(Client(Sandbox(clock=clock, **options).start(), clock))
        return clients[-1]

    yield start
    for client in clients:
        client.session.close()
        client.sandbox.stop()
    assert "Traceback" not in capfd.readouterr().err
