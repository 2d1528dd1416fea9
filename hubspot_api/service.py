"""How HubSpot refuses: its settings, statuses, waits and error bodies.

https://developers.hubspot.com/docs/api-reference/error-handling
https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
"""

from __future__ import annotations

import re
from typing import Iterator

from core.settings import Secret, SettingsReader, parse_base_url, parse_rate
from transport.service import JsonObject, Response, Service
from transport.service_client import ServiceSettings

KEYS_PAGE = "HubSpot > Development > Keys > Service keys"
WHERE_KEY = (
    f"a service key (or private app token) that begins with pat-, from {KEYS_PAGE}, see"
    " https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/"
    "account-service-keys"
)
SCOPE_LISTS = ("requiredGranularScopes", "requiredScopes", "missingScopes")  # any one suffices


def hubspot_settings(reader: SettingsReader) -> ServiceSettings:
    token = reader.secret("HUBSPOT_ACCESS_TOKEN", WHERE_KEY)
    return ServiceSettings(
        reader.get("HUBSPOT_BASE_URL", "https://api.hubapi.com", parse_base_url),
        {"Authorization": Secret(f"Bearer {token.reveal()}")},
        reader.get("HUBSPOT_REQUESTS_PER_SECOND", "5", parse_rate),
    )


def _remedy(response: Response) -> str:
    if response.status == 401:
        return (
            "Check HUBSPOT_ACCESS_TOKEN: HubSpot does not know this key, or it has been replaced."
        )
    if response.status == 403 and any(_missing_scopes(response.data or {})):
        return f"Add the scope to the key in {KEYS_PAGE}."
    if response.status == 404 and not is_not_found(response.data):
        return "HubSpot has nothing at this address: check HUBSPOT_BASE_URL."
    return ""


def is_not_found(body: JsonObject | None) -> bool:
    """Whether the body of a 404 says that there is no such record or property, which a proxy or a
    wrong address would not say."""
    body = body or {}
    return body.get("category") == "OBJECT_NOT_FOUND" or "not exist" in str(body.get("message"))


def _error_details(body: JsonObject) -> Iterator[str]:
    for scopes in _missing_scopes(body):  # first: HubSpot's own sentence about them is long
        yield f"the token lacks the scope {scopes}"
    if isinstance(body.get("correctHublet"), str):
        yield f"the account is in HubSpot's region {body['correctHublet']}"
    if isinstance(body.get("correlationId"), str):
        yield f"correlation id {body['correlationId']} for HubSpot's support"


def _missing_scopes(body: JsonObject) -> Iterator[str]:
    """They stand at the top or in one of the errors, there or in its context."""
    errors = body.get("errors")
    places = [body, *(errors if isinstance(errors, list) else ())]
    places += [place.get("context") for place in places if isinstance(place, dict)]
    for place in places:
        for name in SCOPE_LISTS if isinstance(place, dict) else ():
            scopes = place.get(name)
            if isinstance(scopes, list) and scopes:
                yield " or ".join(map(str, scopes))


def _min_wait_s(response: Response) -> float:
    if response.status == 423:
        return 2.0
    if response.status == 429:
        return 10.0 if "TEN_SECONDLY" in response.text else 1.0
    return 0.0


SERVICE = Service(
    "HubSpot",
    _remedy,
    # https://developers.hubspot.com/docs/api-reference/search/guide
    read_only_posts=re.compile(r"/crm/.+/(search|batch/read)"),
    retry_statuses=frozenset({423, 477, 488}),  # locked, moving elsewhere, in another region
    error_details=_error_details,
    min_wait_s=_min_wait_s,
    daily_limit=re.compile("DAILY|daily limit"),
)
