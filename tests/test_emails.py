"""How addresses are compared, and hidden."""

from __future__ import annotations

import pytest

from core.addresses import addresses_in, canonical, masked, spellings

PUNYCODE, UNICODE = "jo@xn--mnze-0ra.example", "jo@m\u00fcnze.example"


@pytest.mark.parametrize(
    ("address", "form"),
    [
        ("jo@mail.example", "jo@mail.example"),
        (UNICODE, PUNYCODE),
        (PUNYCODE, PUNYCODE),
        ("j\u00f6@mail.example", "j\u00f6@mail.example"),
        ("jo\u0308@mail.example", "j\u00f6@mail.example"),
        ("jo@mu\u0308nze.example", PUNYCODE),
        ("jo@\u2603\ufe0f-.example", "jo@\u2603\ufe0f-.example"),
    ],
)
def test_the_form_in_which_addresses_are_compared(address: str, form: str) -> None:
    assert canonical(address) == form
    assert canonical(form) == form


def test_both_spellings_of_a_domain() -> None:
    assert spellings(PUNYCODE) == (PUNYCODE, UNICODE)
    assert spellings("jo@mail.example") == ("jo@mail.example",)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (" Jo@mail.example\u200b", ["jo@mail.example"]),
        ("o'brien@mail.example.;'al@mail.example'", ["o'brien@mail.example", "al@mail.example"]),
        ("Jo <mailto:jo@mail.example?subject=Hi>", ["jo@mail.example"]),
        (f"{UNICODE}\uff0cal@mail.example", [PUNYCODE, "al@mail.example"]),
        ("jo@mail.example / al@mail.example|no", ["jo@mail.example", "al@mail.example"]),
        ("jo at mail.example, @mail.example, jo@", []),
    ],
)
def test_every_address_in_a_text(text: str, found: list[str]) -> None:
    assert addresses_in(text) == found


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("jo@mail.example", "***@mail.example"),
        ('{"email":"jo.o+a@mail.example"}', '{"email":"***@mail.example"}'),
        ("<jo@mail.example>, al@mail.example;", "<***@mail.example>, ***@mail.example;"),
        (f"no {UNICODE}!", "no ***@m\u00fcnze.example!"),
        ("at 5 @ noon, a@b", "at 5 @ noon, a@b"),
    ],
)
def test_addresses_in_foreign_text(text: str, shown: str) -> None:
    assert masked(text) == shown
