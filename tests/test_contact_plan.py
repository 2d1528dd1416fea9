from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact.plan import NewContact, Plan, Step, made_up_email, make_plan, with_domain
from core.addresses import parse_email
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


def company(
    company_id: int, domain: str | None, additional: str | None = None, name: str | None = None
) -> Company:
    return Company(company_id, name, domain, additional)


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


PERSON = NewContact("a@b.example", "Bo", " Lee", "Shop", "shop.example")


def test_what_is_left_to_do() -> None:
    steps = (
        Step("company", "planned", "Shop, shop.example"),
        Step("contact", "planned", "Bo Lee, a@b.example"),
    )
    assert make_plan(PERSON, [], None, []) == Plan(*steps, [], [], [])
    companies = [company(7, "shop.example"), company(9, "shop.example")]
    ann = Contact(8, {"firstname": "Ann", "lastname": None})
    steps = (
        Step("company", "found", "(no name), shop.example", 7),
        Step("contact", "found", "Ann, a@b.example", 8),
    )
    twins = "HubSpot has other companies with the domain shop.example: 9."
    assert make_plan(PERSON, companies, ann, [7]) == Plan(*steps, [9], [7], [twins])


@pytest.mark.parametrize(
    ("name", "warns"),
    [("Shop", False), (" sHOP\n", False), (None, False), (" ", False), ("Shop Ltd", True)],
)
def test_a_company_of_another_name_may_be_another_company(name: str | None, warns: bool) -> None:
    found = make_plan(PERSON, [company(7, "shop.example", None, name)], None, [])
    words = (
        "The company with the domain shop.example is called Shop Ltd in HubSpot, not Shop. If it is"
        " another company, correct --company-domain."
    )
    assert found.warnings == [words] * warns
