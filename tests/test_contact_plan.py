from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact.plan import NewContact, Plan, Step, made_up_email, make_plan, with_domain
from core.emails import parse_email
from hubspot_api.shapes import Company, Contact


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


def company(company_id: int, domain: str | None, additional: str | None = None) -> Company:
    return Company(company_id, None, domain, None, None, additional)


def test_companies_of_a_domain_however_it_is_spelled_its_own_first() -> None:
    companies = [
        company(12, "https://WWW.shop.example/"),
        company(9, "shop.example"),
        company(5, "other.example"),
        company(7, None),
        company(9, "shop.example"),
        company(4, "my-shop.example", "shop.example.test"),
        company(1, "brand.example", "a.example; WWW.shop.example"),
        company(2, "brand.example, shop.example"),
        company(3, None, "shop.example"),
    ]
    assert [each.id for each in with_domain(companies, "shop.example")] == [9, 12, 1, 2, 3]


ANN = {"firstname": "Ann", "lastname": None}


@pytest.mark.parametrize(
    ("names", "companies", "contact", "plan"),
    [
        (
            ("Bo", " Lee"),
            [],
            None,
            (("planned", "Shop, shop.example", None), ("planned", "Bo Lee, a@b.example", None), []),
        ),
        (
            ("", ""),
            [company(7, "shop.example"), company(9, "shop.example")],
            Contact(8, ANN),
            (("found", "(no name), shop.example", 7), ("found", "Ann, a@b.example", 8), [9]),
        ),
    ],
)
def test_what_is_left_to_do(
    names: tuple[str, str], companies: list[Company], contact: Contact | None, plan: tuple[Any, ...]
) -> None:
    wanted = NewContact("a@b.example", *names, "Shop", "shop.example")
    of_company, of_contact, twins = plan
    steps = Step("company", *of_company), Step("contact", *of_contact)
    assert make_plan(wanted, companies, contact, [7]) == Plan(*steps, twins, [7])
