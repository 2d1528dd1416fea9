"""One grammar of e-mail addresses, for what users type and for what the services hold."""

from __future__ import annotations

from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basics.emails import MAX_ADDRESS, MAX_LOCAL, normalise_email, parse_email

LONG = ".".join(["d" * 61] * 3) + ".example"  # a domain of 193 characters
LONGEST = "l" * (MAX_ADDRESS - len(LONG) - 1)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("jo@mail.example", "jo@mail.example"),
        (" First.Last@Mail.EXAMPLE\n", "first.last@mail.example"),
        ("jo.o'neil+news@a.b.mail.example", "jo.o'neil+news@a.b.mail.example"),
        ("jö@mail.example", "jö@mail.example"),
        ("jö@MÜNZE.example", "jö@münze.example"),
        ("jo@www.mail.example", "jo@www.mail.example"),
        (f"{'l' * MAX_LOCAL}@mail.example", f"{'l' * MAX_LOCAL}@mail.example"),
        (f"{LONGEST}@{LONG}", f"{LONGEST}@{LONG}"),
    ],
)
def test_an_address(text: str, address: str) -> None:
    assert normalise_email(text) == parse_email(text) == address


NO_ADDRESS = [
    "",
    "   ",
    "n/a",
    "mail.example",
    "@mail.example",
    "jo@",
    "jo@home@mail.example",
    "jo o@mail.example",
    "jo@ mail.example",
    "jo@mail .example",
    "jo@mail.example,al@mail.example",
    "jo@mail.example; al",
    "jo\x00@mail.example",
    "jo\x1b[31m@mail.example",
    "jo\u200b@mail.example",
    "jo@mail.example\u200b",
    "jo@mail\u200b.example",
    "jo@mail\u202e.example",
    ".jo@mail.example",
    "jo.@mail.example",
    "j..o@mail.example",
    '"j o"@mail.example',
    "Jo <jo@mail.example>",
    "<jo@mail.example>",
    "mailto:jo@mail.example",
    "jo@mail",
    "jo@mail.example.",
    "jo@mail..example",
    "jo@-mail.example",
    "jo@192.0.2.1",
    "jo@[192.0.2.1]",
    "jo@https://mail.example",
    "jo@mail.example/path",
    "jo@mail.example:25",
    "jo@mail.example?x=1",
    f"{'l' * (MAX_LOCAL + 1)}@mail.example",
    f"{LONGEST}l@{LONG}",
    "\ud800@mail.example",
]


@pytest.mark.parametrize("text", NO_ADDRESS)
def test_no_address(text: str) -> None:
    assert normalise_email(text) is None
    with pytest.raises(ValueError, match=r"^one e-mail address such as first\.last@shop\.example$"):
        parse_email(text)


def test_no_text_is_no_address() -> None:
    assert normalise_email(None) is None


@given(st.text())
def test_an_address_is_printable_and_stays_as_it_is(text: str) -> None:
    address: Optional[str] = normalise_email(f"{text}@mail.example")
    if address is not None:
        assert address.isprintable()
        assert " " not in address
        assert normalise_email(address) == parse_email(f" {address}\n") == address
        assert normalise_email(f" {address.upper().lower()} ") is not None
