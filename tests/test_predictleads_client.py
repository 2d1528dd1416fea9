"""The PredictLeads client against scripted answers."""

from __future__ import annotations

from typing import Any, Iterator

import pytest

from core.errors import CallRejected, NotFound, ServiceError
from predictleads_client import PredictLeadsClient, predictleads_settings
from sandbox import Fault, PredictLeads, Sandbox
from tests.helpers import FakeClock, connected

ERROR = {"error": {"type": "not_found", "message": "Nothing is here."}}


@pytest.fixture
def sandbox(clock: FakeClock) -> Iterator[Sandbox]:
    with Sandbox(predictleads=PredictLeads({"shop.example": None}), clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox: Sandbox, clock: FakeClock) -> Iterator[PredictLeadsClient]:
    yield from connected(PredictLeadsClient, predictleads_settings, sandbox, clock)


@pytest.mark.parametrize(
    ("nth", "body", "rows"),
    [
        (1, ERROR, {}),  # of an empty list no page need be there
        (1, "<html>", None),
        (2, "<html>", {"shop.example": ()}),
    ],
)
def test_a_page_that_is_not_there(
    sandbox: Sandbox, client: PredictLeadsClient, nth: int, body: Any, rows: Any
) -> None:
    sandbox.faults = [Fault("status", path="/followings$", nth=nth, status=404, body=body)]
    if rows is None:
        with pytest.raises(CallRejected):
            client.followings(print)
    else:
        assert client.followings(print).rows == rows


@pytest.mark.parametrize(
    ("status", "message", "error", "is_unknown"),
    [
        (422, "This company is already followed.", None, None),
        (409, "Already_followed", None, None),
        (422, "already-followed.example is no company", CallRejected, False),
        (409, "A conflict", CallRejected, True),  # perhaps it is followed, under another name
        (404, "No such company", NotFound, False),
        (403, "The plan has no place", ServiceError, False),
    ],
)
def test_how_a_follow_is_refused(
    sandbox: Sandbox,
    client: PredictLeadsClient,
    status: int,
    message: str,
    error: Any,
    is_unknown: bool,
) -> None:
    sandbox.faults = [Fault("status", path="/follow$", status=status, body={"message": message})]
    if error is None:
        client.follow("already-followed.example")
        return
    with pytest.raises(error) as refusal:
        client.follow("already-followed.example")
    assert type(refusal.value) is not CallRejected or error is CallRejected
    assert refusal.value.outcome_unknown is is_unknown


@pytest.mark.parametrize(
    ("body", "aliases"),
    [
        (
            {
                "data": [{"id": "7", "attributes": {"domain": "old.example"}}],
                "meta": {"redirects_to_domain": "new.example"},
            },
            ("new.example", "old.example", "7"),
        ),
        ({"data": {"id": "7", "attributes": {"domain": "a.example"}}}, ("a.example", "7")),
        ({"data": [], "meta": None}, ()),
        ({"data": [{"id": 7, "attributes": None}]}, ()),
    ],
)
def test_the_names_of_a_company(
    sandbox: Sandbox, client: PredictLeadsClient, body: Any, aliases: tuple[str, ...]
) -> None:
    sandbox.faults = [Fault("body", body=body)]
    assert client.aliases_of("a.example") == aliases
    sandbox.faults = [Fault("status", status=404, body=ERROR)]
    assert client.aliases_of("a.example") == ()
