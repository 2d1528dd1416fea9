"""A report as JSON, CSV and page: whatever a job hands over is in all three."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, Dict, List

import pytest

from basics.outcome import Outcome
from run.rendering import write_report
from run.report import Kind, Report, Section

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
    return Report("greetings", "Guests", "apply", "then", sections=sections, **changes)


def written(folder: Path, name: str, what: Report, exit_code: int = 0) -> str:
    write_report(folder / name, what, exit_code)
    return (folder / name).read_text(encoding="utf-8")


def cells(folder: Path, *sections: Section) -> List[Dict[str, str]]:
    return list(csv.DictReader(written(folder, "run.csv", report(*sections)).splitlines()))


def test_a_made_up_section_is_in_the_json(tmp_path: Path) -> None:
    data = json.loads(written(tmp_path, "run.json", report(MADE_UP, outcome=Outcome.PARTIAL), 4))
    assert data["greeted"] == list(MADE_UP.rows)
    assert (data["job"], data["outcome"], data["exit_code"]) == ("greetings", "partial", 4)


def test_a_made_up_section_is_in_the_csv(tmp_path: Path) -> None:
    assert written(tmp_path, "run.csv", report(MADE_UP)).splitlines() == [
        "action,guest,words,status,reason,error",
        'greeted,Jo,"hello, welcome",done,,',
        "greeted,'=Al,,failed,,asleep",
    ]


@pytest.mark.parametrize("kind", Kind)
def test_a_made_up_section_is_on_the_page(tmp_path: Path, kind: Kind) -> None:
    text = written(tmp_path, "run.html", report(MADE_UP._replace(kind=kind)))
    assert '<h2 id="greeted">Greeted at the door (2)</h2>' in text
    assert "Greet the others tomorrow." in text
    assert "<th>guest</th><th>words</th>" in text
    assert "<td>Jo</td><td>hello, welcome</td>" in text
    assert "<td>=Al</td>" in text


def test_a_section_without_rows_is_in_the_json_alone(tmp_path: Path) -> None:
    empty = MADE_UP._replace(rows=[])
    assert json.loads(written(tmp_path, "run.json", report(empty)))["greeted"] == []
    assert written(tmp_path, "run.csv", report(empty)) == "action,status,reason\n"
    assert "Greeted at the door (0)" not in written(tmp_path, "run.html", report(empty))


def test_rows_without_a_status_have_the_key_of_their_section_for_it(tmp_path: Path) -> None:
    kept = Section("kept", "Kept", Kind.KEEP, ("domain",), [{"domain": "a.example"}])
    rows = cells(tmp_path, kept, MADE_UP)
    assert [(row["action"], row["status"], row["domain"]) for row in rows] == [
        ("kept", "kept", "a.example"),
        ("greeted", "done", ""),
        ("greeted", "failed", ""),
    ]


@pytest.mark.parametrize("name", ["run.html", "RUN.HTM"])
def test_the_ending_names_the_form(tmp_path: Path, name: str) -> None:
    assert written(tmp_path, name, report()).startswith("<!doctype html>")
    assert json.loads(written(tmp_path, "run.txt", report()))["schema_version"] == 1
