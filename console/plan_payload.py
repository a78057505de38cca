"""What a treatment file holds of its plan. Light on purpose: the listener starts without anything that computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.base import canonical_sha256
from config.plan import plan_from_mapping
from config.settings import Settings, settings_from_mapping


def plan_payload(plan: Mapping[str, Any], site: Settings, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What ``plan_loaded`` and ``plan_revised`` carry.

    Parameters
    ----------
    plan
        With the file's keys.
    site
        Its time zone is that of times without an offset.
    settings
        Those that the treatment was begun with, as recorded; None: the site's.

    Raises
    ------
    config.errors.ConfigurationError
        If the plan has faults: all of them, a line each.
    """
    checked = plan_from_mapping(plan, site_time_zone=site.site.time_zone)
    own = {"quantification": site.quantification.to_mapping(), "alarms": site.alarms.to_mapping()}
    in_force = dict(settings) if settings else own
    # What does not go together with the recorded settings could not be read back.
    checked.quantification_settings(settings_from_mapping(in_force).quantification)
    mapping = checked.to_mapping()
    return {
        "plan": mapping,
        "sha256": canonical_sha256(mapping),
        "settings": in_force,
        "time_zone": site.site.time_zone,
    }
