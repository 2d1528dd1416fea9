"""A key or token that cannot be printed by accident."""

from __future__ import annotations


class Secret:
    """Prints as `***` everywhere; only `reveal()`, called where a header is made, gives it away."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__
