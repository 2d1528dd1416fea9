"""The one table of the benchmark, in Markdown."""

from __future__ import annotations

from typing import Iterable, Iterator, NamedTuple

HEAD = ("scenario", "requests", "limit", "measured", "ratio", "429s", "peak memory")


class Row(NamedTuple):
    """One measurement.

    `requests`: what the time is for, in words; `limit_s`: what it may take at best, or at most
    where no service sets it; `misses`: the targets that it misses, in words; `note`: what the
    table has no column for.
    """

    scenario: str
    requests: str
    limit_s: float
    measured_s: float
    refused: int | None = None
    peak_mb: float | None = None
    misses: tuple[str, ...] = ()
    note: str = ""


def markdown(rows: Iterable[Row]) -> Iterator[str]:
    yield _line(HEAD)
    yield _line(("---", "---", "---:", "---:", "---:", "---:", "---:"))
    yield from map(line_of, rows)


def line_of(row: Row) -> str:
    return _line(
        (
            row.scenario,
            row.requests,
            f"{row.limit_s:.2f} s",
            f"{row.measured_s:.2f} s",
            f"{row.measured_s / row.limit_s:.2f}",
            "" if row.refused is None else f"{row.refused:,}",
            "" if row.peak_mb is None else f"{row.peak_mb:.0f} MB",
        )
    )


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
