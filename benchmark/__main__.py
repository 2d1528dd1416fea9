"""`python -m benchmark`: run the scenarios, print the table, say which targets are missed."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from typing import Sequence

from benchmark.scenarios import SCENARIOS, Size, settings_in_words
from benchmark.table import Row, line_of, markdown


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmark",
        description="Measure sync.py and sync_subscribers.py against the limits of the services and"
        " against what people write today, on a sandbox of its own. Exits with 1 when a target is"
        " missed.",
    )
    parser.add_argument("--only", choices=SCENARIOS, help="run one scenario")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a tenth of the size, to see that it works; times are not judged",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    rows: list[Row] = []
    for name in [args.only] if args.only else SCENARIOS:
        print(f"{name} ...", file=sys.stderr)
        for row in SCENARIOS[name](Size(args.quick)):
            print(f"  {line_of(row)}", file=sys.stderr)
            rows.append(row)
    show(rows)
    misses = [f"{row.scenario}: {miss}" for row in rows for miss in row.misses]
    for miss in misses:
        print(f"Missed: {miss}", file=sys.stderr)
    return 1 if misses else 0


def show(rows: Sequence[Row]) -> None:
    for line in markdown(rows):
        print(line)
    print()
    for row in rows:
        if row.note:
            print(f"- {row.scenario}: {row.note}")
    print()
    print(
        f"{settings_in_words()} {platform.python_implementation()} {platform.python_version()},"
        f" {platform.system()}, {os.cpu_count()} processors. The limit is what the services allow"
        " (where another app takes half: what it leaves), or the target where no service is asked."
        " Planning is processor time. Peak memory is that of the measured process (ru_maxrss)."
    )


if __name__ == "__main__":
    sys.exit(main())
