"""What `create_contact.py` needs to know."""

from __future__ import annotations

from typing import NamedTuple

from core.settings import SettingsReader
from hubspot_api.service import HubSpotSettings, hubspot_settings

CALLS_PER_SECOND = 5.0  # 200 ms or more between two calls, whatever is set


class Settings(NamedTuple):
    """The names are a person's, for whom no flag gives any; they may be empty."""

    hubspot: HubSpotSettings
    first_name: str
    last_name: str


def settings(reader: SettingsReader) -> Settings:
    hubspot = hubspot_settings(reader)
    pace = min(hubspot.requests_per_second, CALLS_PER_SECOND)
    return Settings(
        hubspot._replace(requests_per_second=pace),
        reader.get("FIRSTNAME", "", str),
        reader.get("LASTNAME", "", str),
    )
