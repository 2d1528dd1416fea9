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
# Parts of the picture: colour, and label where changes were made and where they were only planned.
CHANGES = {
    "follow": ("plus", "Followed", "To follow"),
    "unfollow": ("minus", "Unfollowed", "To unfollow"),
    "create": ("plus", "Created", "To create"),
    "update": ("edit", "Updated", "To update"),
    "unsubscribe": ("minus", "Unsubscribed", "To unsubscribe"),
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
        picture=list(_picture(report)),
        tables=list(_tables(report)),
    )


def _sentences(report: Mapping[str, Any]) -> List[str]:
    """The outcome in words."""
    said = list(report.get("summary", ()))
    if report["error"]:
        said += printable(report["error"].replace("\n", " ")), _consequence(report)
    return said or [_words(report["outcome"])]


def _consequence(report: Mapping[str, Any]) -> str:
    return "" if report["exit_code"] in (4, 130) else "Nothing has been changed."


def _picture(report: Mapping[str, Any]) -> Iterator[Part]:
    counts = report["counts"]
    if "keep" in counts or "unchanged" in counts:
        kept = (counts.get(name, 0) for name in ("keep", "kept", "unchanged"))
        yield Part("Kept", "stay", sum(kept))
    statuses = {key: [row["status"] for row in report.get(key, ())] for key in CHANGES}
    is_made = any("done" in group for group in statuses.values())
    for key, (kind, made, planned) in CHANGES.items():
        if key in counts:
            number = statuses[key].count("done") if is_made else len(statuses[key])
            yield Part(made if is_made else planned, kind, number)
    if "skipped" in counts:
        yield Part("Skipped", "skip", counts["skipped"])


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
