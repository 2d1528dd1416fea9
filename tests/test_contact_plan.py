from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact.plan import NewContact, made_up_email, make_plan
from core.addresses import parse_email
from hubspot_api.shapes import Company


@pytest.mark.parametrize(
    ("first", "last", "address"),
    [
        ("Test", "Person", "test.person@example.com"),
        ("Anna Lena", "de la Cruz", "anna-lena.de-la-cruz@example.com"),
        ("Zoë", "Groß", "zoe.gross@example.com"),
        ("", "Person", "person@example.com"),
        ("", "", "someone@example.com"),
        ("李", "", "someone@example.com"),
        ("x" * 63, "y", f"{'x' * 63}@example.com"),
    ],
)
def test_a_made_up_address(first: str, last: str, address: str) -> None:
    assert made_up_email(first, last) == address


@given(st.text(), st.text())
def test_a_made_up_address_is_one(first: str, last: str) -> None:
    address = made_up_email(first, last)
    assert parse_email(address) == address
    assert address.isascii()


PERSON = NewContact("a@b.example", "Bo", " Lee", "Shop", "shop.example")


@pytest.mark.parametrize(
    ("name", "warns"),
    [("Shop", False), (" sHOP\n", False), (None, False), (" ", False), ("Shop Ltd", True)],
)
def test_a_company_of_another_name_may_be_another_company(name: str | None, warns: bool) -> None:
    found = make_plan(PERSON, [Company(7, name, "shop.example")], None, [])
    words = (
        "The company with the domain shop.example is called Shop Ltd in HubSpot, not Shop. If it is"
        " another company, correct --company-domain."
    )
    assert found.warnings == [words] * warns
