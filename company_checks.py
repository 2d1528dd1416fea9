"""What must be in place in HubSpot and PredictLeads before companies are compared."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional

import background
from hubspot_client import HubSpotClient, Property
from predictleads_client import PredictLeadsClient
from preflight import Finding, judge_property, look
from settings import CompanySettings
from words import companies


class Services(NamedTuple):
    hubspot: HubSpotClient
    predictleads: PredictLeadsClient


class Preflight(NamedTuple):
    """`platform`: the definition of ecommerce_platform, where there is one."""

    findings: List[Finding]
    platform: Optional[Property]


def check_services(settings: CompanySettings, services: Services) -> Preflight:
    """Both services are asked side by side. Raises nothing that a service may answer."""
    hubspot, predictleads = services
    (findings, platform), subscription = background.side_by_side(
        lambda: _check_properties(settings, hubspot),
        lambda: look(predictleads.http, lambda: _check_subscription(predictleads)),
    )
    return Preflight([*findings, *subscription], platform)


def check_search(settings: CompanySettings, hubspot: HubSpotClient) -> List[Finding]:
    """Whether companies may be read at all, which a run finds out by itself."""

    def search() -> Finding:
        total = hubspot.count_companies(settings.platforms, settings.alexa_below)
        return Finding(True, f"HubSpot can be searched: {companies(total)} found.")

    return look(hubspot.http, search)


def _check_properties(settings: CompanySettings, hubspot: HubSpotClient) -> Preflight:
    found: Dict[str, Optional[Property]] = {}

    def check(name: str, wanted_type: str) -> Finding:
        found[name] = hubspot.property("companies", name)
        return judge_property(found[name], "company", name, wanted_type)

    findings = [
        *look(hubspot.http, lambda: check("ecommerce_platform", "enumeration")),
        *look(hubspot.http, lambda: check("alexa", "number")),
    ]
    platform = found.get("ecommerce_platform")
    if platform and platform.type == "enumeration":
        findings += [_check_option(name, platform) for name in settings.platforms]
    return Preflight(findings, platform)


def _check_option(name: str, platform: Property) -> Finding:
    if name in platform.options:
        return Finding(True, f"HubSpot knows the platform {name} ({platform.options[name]}).")
    return Finding(
        False,
        f"HubSpot has no platform {name}; it has {', '.join(sorted(platform.options)) or 'none'}."
        " Mend ECOMMERCE_PLATFORMS: it takes the internal names, as they are written there.",
    )


def _check_subscription(predictleads: PredictLeadsClient) -> Finding:
    subscription = predictleads.subscription()
    if subscription.status != "active":
        return Finding(
            False,
            f"The PredictLeads subscription is {subscription.status}: see PredictLeads >"
            " Subscription Plans.",
        )
    used, quota = subscription.credits_used, subscription.credits_quota
    known = isinstance(used, int) and isinstance(quota, int)
    credits = f", {used:,} of {quota:,} credits used this month" if known else ""
    return Finding(True, f"The PredictLeads subscription is active{credits}.")
