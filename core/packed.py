"""Texts by name in little memory: most of many thousands of records are only compared."""

from __future__ import annotations

from typing import Dict, Iterator, Mapping, Optional, Sequence

_BETWEEN, _NONE = "\x1f", "\x1e"


class Names(Dict[str, int]):
    """What the texts of all records of a kind are called -> their place."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__((name, place) for place, name in enumerate(names))


class Packed(Mapping[str, Optional[str]]):
    """Like a dictionary, with the texts in one string.

    >>> dict(Packed(Names(["city", "state"]), ["Anytown", None]))
    {'city': 'Anytown', 'state': None}
    """

    __slots__ = ("_names", "_texts")

    def __init__(self, names: Names, texts: Sequence[str | None]) -> None:
        self._names = names
        self._texts: str | tuple[str | None, ...] = tuple(texts)
        joined = _BETWEEN.join(_NONE if text is None else text for text in texts)
        if _split(joined) == self._texts:  # or else a text holds the signs between them
            self._texts = joined

    def __getitem__(self, name: str) -> str | None:
        texts = self._texts
        return (_split(texts) if isinstance(texts, str) else texts)[self._names[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return repr(dict(self))


def _split(joined: str) -> tuple[str | None, ...]:
    return tuple(None if text == _NONE else text for text in joined.split(_BETWEEN))
