"""The report of a run as one page for people: no scripts, no requests to anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from words import printable

TITLES = {
    "companies": "Companies followed in PredictLeads",
    "subscribers": "Subscribers in MailerLite",
    "contact": "A contact in HubSpot",
}
# Key of a list in the report -> heading, and the columns after name and company.
TABLES = {
    "follow": ("Follow", ("status", "error")),
    "unfollow": ("Stop following", ("reason", "status", "error")),
    "create": ("Create", ("fields", "status", "error")),
    "update": ("Update", ("fields", "status", "error")),
    "unsubscribe": ("Unsubscribe", ("reason", "status", "error")),
    "steps": ("Steps", ("status", "id")),
    "kept": ("Kept all the same", ("reason",)),
    "skipped": ("Skipped", ("reason",)),
}
NAMES = ("domain", "email", "step", "company")
HINTS = {
    "companies": "To mend a company, open it in HubSpot and write its shop's address, such as"
    " shop.example, into “Company domain name”.",
    "subscribers": "Who has opted out or unsubscribed stays out. A wrong address is mended in the"
    " contact's record in HubSpot.",
}
# Label in the picture -> its colour, and the numbers of `counts` that it adds up.
PARTS = {
    "Kept": ("stay", ("keep", "kept", "unchanged")),
    "Followed": ("plus", ("follow",)),
    "Unfollowed": ("minus", ("unfollow",)),
    "Created": ("plus", ("create",)),
    "Updated": ("stay", ("update",)),
    "Unsubscribed": ("minus", ("unsubscribe",)),
    "Skipped": ("skip", ("skipped",)),
}


class Part(NamedTuple):
    label: str
    kind: str
    number: int


class Table(NamedTuple):
    key: str
    title: str
    hint: Optional[str]
    columns: Sequence[str]
    linked: str
    rows: Sequence[Mapping[str, Any]]


def render(report: Mapping[str, Any]) -> str:
    """The page; everything that came from outside is escaped by the template engine."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, undefined=jinja2.ChainableUndefined
    )
    environment.filters.update(shown=_shown, words=_words)
    template = environment.from_string(
        Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    )
    return template.render(
        report=report,
        title=TITLES.get(report["job"], report["job"]),
        sentences=_sentences(report),
        picture=list(_picture(report["counts"])),
        tables=list(_tables(report)),
    )


def _sentences(report: Mapping[str, Any]) -> List[str]:
    """The outcome in words."""
    said = list(report.get("summary", ()))
    if report["error"]:
        said += printable(report["error"].replace("\n", " ")), _consequence(report)
    return said or [_words(report["outcome"])]


def _consequence(report: Mapping[str, Any]) -> str:
    return "" if report["exit_code"] == 4 else "Nothing has been changed."


def _picture(counts: Mapping[str, int]) -> Iterator[Part]:
    for label, (kind, names) in PARTS.items():
        if any(name in counts for name in names):
            yield Part(label, kind, sum(counts.get(name, 0) for name in names))


def _tables(report: Mapping[str, Any]) -> Iterator[Table]:
    for key, (title, more) in TABLES.items():
        rows = [_with_link(row, report.get("record_url")) for row in report.get(key, ())]
        if rows:
            names = [name for name in NAMES if any(row.get(name) for row in rows)]
            columns = [*names, *(name for name in more if any(row.get(name) for row in rows))]
            hint = HINTS.get(report["job"]) if key == "skipped" else None
            linked = "company" if "company" in columns else columns[0]
            yield Table(key, title, hint, columns, linked, rows)


def _with_link(row: Mapping[str, Any], record_url: Optional[str]) -> Dict[str, Any]:
    """The row, linked to its record in HubSpot if that is known."""
    if record_url and row.get("hubspot_id"):
        return {**row, "link": f"{record_url}{row['hubspot_id']}"}
    return dict(row)


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_shown, value))
    return "" if value is None else printable(str(value))


def _words(name: str) -> str:
    """not_reached -> not reached"""
    return name.replace("_", " ")
