from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact.plan import (
    NewContact,
    made_up,
    made_up_email,
    parse_company_domain,
    parse_company_name,
    warning_of_others,
    with_domain,
)
from core.emails import parse_email
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


def test_company_domain_and_name() -> None:
    assert parse_company_domain(" HTTPS://www.Shop.example/de ") == "shop.example"
    assert parse_company_name(" Sample \n Shop ") == "Sample Shop"
    with pytest.raises(ValueError, match=r"^a domain such as shop\.example$"):
        parse_company_domain("info@shop.example")
    with pytest.raises(ValueError, match=r"^a name$"):
        parse_company_name(" \n")


@pytest.mark.parametrize(
    ("first", "last", "person"),
    [("Ann", "Lee", "Ann Lee"), ("", "Lee", "Lee"), ("", "", "(no name)")],
)
def test_how_a_person_is_called(first: str, last: str, person: str) -> None:
    assert NewContact("a@shop.example", first, last, "Shop", "shop.example").person == person


def company(company_id: int, domain: str | None, additional: str | None = None) -> Company:
    return Company(company_id, None, domain, None, None, additional)


def test_companies_of_a_domain_however_it_is_spelled() -> None:
    companies = [
        company(12, "https://WWW.shop.example/"),
        company(9, "shop.example"),
        company(5, "other.example"),
        company(7, None),
        company(9, "shop.example"),
        company(4, "my-shop.example", "shop.example.test"),
    ]
    ids: list[int] = [each.id for each in with_domain(companies, "shop.example")]
    assert ids == [9, 12]


def test_a_companys_own_domain_counts_more_than_an_additional_one() -> None:
    companies = [
        company(1, "brand.example", "a.example; WWW.shop.example"),
        company(2, "brand.example, shop.example"),
        company(3, None, "shop.example"),
        company(9, "shop.example"),
    ]
    assert [each.id for each in with_domain(companies, "shop.example")] == [9, 1, 2, 3]


@pytest.mark.parametrize(
    ("first", "last", "person"),
    [
        ("", "", ("test.person@example.com", "Test Person")),
        ("Zoë", " ", ("zoe.person@example.com", "Zoë Person")),
        ("Zoë", " Groß ", ("zoe.gross@example.com", "Zoë Groß")),
    ],
)
def test_who_is_made_up(first: str, last: str, person: tuple[str, str]) -> None:
    contact = made_up(first, last)
    assert (contact.email, contact.person) == person
    assert contact.company_domain == "coding-challenge-company.com"


def test_the_setting_is_certain_only_with_a_new_contact() -> None:
    sure = warning_of_others(["A (id 1)", "B (id 2)"], contact_is_new=True)
    likely = warning_of_others(["A (id 1)"], contact_is_new=False)
    assert "associated with A (id 1) and B (id 2): HubSpot's setting" in sure
    assert "associated with A (id 1): unless that was done on purpose, HubSpot's setting" in likely
    for text in (sure, likely):
        assert '"Create and associate companies with contacts" is on' in text
        assert "HubSpot > Settings > Data Management > Objects > Companies" in text
