"""A report as JSON, CSV and page: whatever a job hands over is in all three."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from cli import command
from core.errors import Outcome
from report.model import Kind, Report, Row, Section
from report.render import ENDINGS, write_report
from tests.helpers import START

MADE_UP = Section(
    "greeted",
    "Greeted at the door",
    Kind.CHANGE,
    ("guest", "words"),
    [
        {"guest": "Jo", "words": ["hello", "welcome"], "status": "done", "error": None},
        {"guest": "=Al", "words": [], "status": "failed", "error": "asleep"},
    ],
    hint="Greet the others tomorrow.",
)


def report(*sections: Section, **changes: Any) -> Report:
    return Report("greetings", "Guests", "apply", START, sections=sections, **changes)


def written(folder: Path, name: str, what: Report, exit_code: int = 0) -> str:
    write_report(folder / name, what, exit_code)
    return (folder / name).read_text(encoding="utf-8")


def cells(folder: Path, *sections: Section) -> list[dict[str, str]]:
    return list(csv.DictReader(csv_lines(folder, report(*sections))))


def csv_lines(folder: Path, what: Report) -> list[str]:
    write_report(folder / "run.csv", what, 0)
    return (folder / "run.csv").read_text(encoding="utf-8-sig").splitlines()


def test_a_made_up_section_is_in_the_json_and_in_the_csv(tmp_path: Path) -> None:
    data = json.loads(written(tmp_path, "run.json", report(MADE_UP, outcome=Outcome.PARTIAL), 4))
    assert data["greeted"] == list(MADE_UP.rows)
    assert (data["job"], data["outcome"], data["exit_code"]) == ("greetings", "partial", 4)
    assert (data["started_at"], data["finished_at"]) == ("2026-11-21T08:00:00Z", None)
    assert csv_lines(tmp_path, report(MADE_UP)) == [
        "action,guest,words,status,reason,error",
        'greeted,Jo,"hello, welcome",done,,',
        "greeted,'=Al,,failed,,asleep",
    ]


def test_values_within_values_are_shown_to_people(tmp_path: Path) -> None:
    words = [{"word": "hello", "said_by": "Al", "to": None}, {"word": "bye", "said_by": ["Jo"]}]
    section = MADE_UP._replace(rows=[{"guest": "Jo", "words": words}])
    told = ["word hello, said by Al", "word bye, said by Jo"]
    assert cells(tmp_path, section)[0]["words"] == "; ".join(told)


@pytest.mark.parametrize("kind", Kind)
def test_a_made_up_section_is_on_the_page(tmp_path: Path, kind: Kind) -> None:
    text = written(tmp_path, "run.html", report(MADE_UP._replace(kind=kind)))
    assert re.search(
        '<h[23] id="greeted"><span class="dot .*"></span>Greeted at the door <b>1 of 2</b></h[23]>',
        text,
    )
    assert "Greet the others tomorrow." in text
    assert "<th>Guest</th><th>Words</th>" in text
    assert '<td data-label="Guest">Jo</td><td data-label="Words">hello, welcome</td>' in text
    assert ">=Al</td>" in text


def test_a_section_without_rows_is_in_the_json_alone(tmp_path: Path) -> None:
    empty = MADE_UP._replace(rows=[])
    assert json.loads(written(tmp_path, "run.json", report(empty)))["greeted"] == []
    assert csv_lines(tmp_path, report(empty)) == ["action,status,reason"]
    assert "Greeted at the door" not in written(tmp_path, "run.html", report(empty))


def test_rows_without_a_status_have_the_key_of_their_section_for_it(tmp_path: Path) -> None:
    kept = Section("kept", "Kept", Kind.KEEP, ("domain",), [{"domain": "a.example"}])
    rows = cells(tmp_path, kept, MADE_UP)
    assert [(row["action"], row["status"], row["domain"]) for row in rows] == [
        ("kept", "kept", "a.example"),
        ("greeted", "done", ""),
        ("greeted", "failed", ""),
    ]


def test_each_column_of_the_csv_is_there_once(tmp_path: Path) -> None:
    rows = [{"action": "follow", "guest": "Jo", "status": "done"}]
    past = Section("changes", "Changes", Kind.STEP, ("action", "guest"), rows)
    assert csv_lines(tmp_path, report(past)) == [
        "action,change,guest,status,reason",
        "changes,follow,Jo,done,",
    ]


@pytest.mark.parametrize("name", ["run.html", "RUN.HTM"])
def test_the_ending_names_the_form(tmp_path: Path, name: str) -> None:
    assert written(tmp_path, name, report()).startswith("<!doctype html>")
    assert json.loads(written(tmp_path, "run", report()))["schema_version"] == 1


def test_a_csv_opens_in_excel_with_accents_and_leads_to_the_records(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"domain": "xn--mnze-0ra.example", "company": "Münze", "hubspot_id": 7},
        {"company": "B"},
    ]
    section = Section("kept", "Kept", Kind.KEEP, ("domain",), rows)
    first, second = cells(tmp_path, section)
    assert (tmp_path / "run.csv").read_bytes().startswith(b"\xef\xbb\xbfaction,")
    assert (first["company"], first["domain"]) == ("Münze", "xn--mnze-0ra.example")
    assert "link" not in first
    known = report(section, record_url="https://hub.example/")
    first, second = csv.DictReader(csv_lines(tmp_path, known))
    assert (first["link"], second["link"]) == ("https://hub.example/7", "")


def test_earlier_runs_are_for_people_and_in_the_json_if_there_are_any(tmp_path: Path) -> None:
    rows = [{"at": 1.5, "changes": [{"name": "a.example", "action": "followed"}]}]
    recent = Section("history", "Recent runs", Kind.STEP, ("at",), rows)
    data = json.loads(written(tmp_path, "run.json", report(recent=recent)))
    assert data["history"] == rows
    assert csv_lines(tmp_path, report(recent=recent)) == ["action,status,reason"]
    nothing = report(recent=recent._replace(rows=[]))
    for each in (report(), nothing):
        assert "history" not in json.loads(written(tmp_path, "run.json", each))


# How a spreadsheet may take the beginning of a cell for a formula, or for the end of the cell.
STARTS = ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", " =", "\u3000="]  # noqa: RUF001


@pytest.mark.parametrize("start", STARTS, ids=ascii)
def test_no_cell_is_a_formula(tmp_path: Path, start: str) -> None:
    rows = [{"company": f"{start}cmd|' /c calc'!A1", "names": [f"{start}1", "b"]}]
    section = Section("kept", "Kept", Kind.KEEP, ("company",), rows)
    write_report(tmp_path / "run.csv", report(section), 0)
    with open(tmp_path / "run.csv", encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    for cell, end in ((row["company"], "cmd|' /c calc'!A1"), (row["names"], "1, b")):
        assert cell.endswith(end)
        assert not cell.strip().startswith(tuple(STARTS))


@pytest.mark.parametrize("ending", ["", *ENDINGS])
def test_a_report_of_a_known_ending_is_taken(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"run{ending}"
    args = command.Flags("A script.").parse_args(["--report", str(path)])
    assert args.report == [path.resolve()]
