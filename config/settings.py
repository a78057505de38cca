"""The settings of a site: node, quantification, alarms, display; defaults under a site's own TOML file."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import ValidationError, field_validator

from config.base import DEFAULTS, Table, canonical_sha256, merged, read_toml, settings_in
from config.errors import ConfigurationError, faults_of
from config.overrides import with_overrides
from config.quantification import QuantificationSettings
from config.quantification_tables import (
    RegistrationSettings,
    StatisticsSettings,
    TrendSettings,
    UncertaintySettings,
)
from config.times import zone_named

__all__ = [
    "AlarmSettings",
    "DisplaySettings",
    "QuantificationSettings",
    "RegistrationSettings",
    "Settings",
    "SiteSettings",
    "StatisticsSettings",
    "TrendSettings",
    "UncertaintySettings",
    "load_settings",
    "settings_from_mapping",
    "settings_sha256",
]

_site = settings_in("site")
_alarm = settings_in("alarms")
_display = settings_in("display")
_AE_TITLE = r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$"
_AE_SOURCE = "DICOM PS3.5, value representation AE"
_TLS_SOURCE = "DICOM PS3.15 B.12: BCP 195"
_OURS = "working value of this project"
_STATIC_DEPHASING = "static dephasing, 19.1–19.9 % holmium; proportional to field and holmium content"


class SiteSettings(Table):
    """[site]: this node and the limits of its listener; never from a plan."""

    ae_title: str = _site(
        "ae_title",
        "This node's AE title.",
        source=_AE_SOURCE,
        pattern=_AE_TITLE,
        form="an AE title in quotes: 1 to 16 ASCII characters, no backslash",
    )
    host: str = _site("host", "Address that the listener binds to; 0.0.0.0 is all.", source=_OURS, min_length=1)
    port: int = _site(
        "port", "TCP port of the listener; 0 takes any free one.", source="11112: IANA, dicom", ge=0, le=65535
    )
    time_zone: str = _site("time_zone", "IANA zone of times without an offset.", source="IANA time zone database")
    maximum_pdu_bytes: int = _site(
        "maximum_pdu_bytes", "Largest PDU taken; 0 is unlimited.", unit="B", source=_OURS, ge=0, le=16_777_216
    )
    maximum_associations: int = _site("maximum_associations", "Associations at once.", source=_OURS, ge=1, le=100)
    require_called_ae_title: bool = _site(
        "require_called_ae_title", "Refuse associations that call another AE title.", source=_OURS
    )
    calling_ae_titles: tuple[str, ...] = _site(
        "calling_ae_titles", "AE titles that may send; empty: all.", source=_OURS
    )
    calling_addresses: tuple[str, ...] = _site(
        "calling_addresses", "Addresses that may send; empty: all.", source=_OURS
    )
    compressed_transfer_syntaxes: bool = _site(
        "compressed_transfer_syntaxes", "Accept compressed transfer syntaxes.", source=_OURS
    )
    series_quiet_s: float = _site(
        "series_quiet_s", "A series with nothing new for this long is quiet.", unit="s", source=_OURS, gt=0, le=3600
    )
    network_timeout_s: float = _site(
        "network_timeout_s", "An association idle for longer is ended.", unit="s", source=_OURS, gt=0, le=86400
    )
    minimum_free_disk_mb: float = _site(
        "minimum_free_disk_MB", "Below this free space nothing more is accepted.", unit="MB", source=_OURS, ge=0
    )
    maximum_dataset_mb: int = _site(
        "maximum_dataset_MB",
        "A data set larger than this is refused (0xA700).",
        unit="MB",
        source="600 frames of 256 × 256 have 80 MB",
        ge=1,
        le=500,
    )
    tls: bool = _site(
        "tls", "Take associations over TLS 1.2 or 1.3 only, with certificates on both sides.", source=_TLS_SOURCE
    )
    tls_certificate: str = _site(
        "tls_certificate", "PEM file: this node's certificate, with its chain.", source=_TLS_SOURCE
    )
    tls_key: str = _site("tls_key", "PEM file: the private key of that certificate, not encrypted.", source=_TLS_SOURCE)
    tls_authorities: str = _site(
        "tls_authorities", "PEM file: the authorities that peers' certificates must come from.", source=_TLS_SOURCE
    )

    @field_validator("calling_addresses")
    @classmethod
    def _addresses_can_match(cls, listed: tuple[str, ...]) -> tuple[str, ...]:
        for entry in listed:
            try:
                ip_network(entry, strict=False)
            except ValueError:
                raise ValueError(
                    f"{entry!r} is no address or network, so nobody could send; expected such as '10.1.20.31' or "
                    "'10.1.0.0/16'"
                ) from None
        return listed

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        zone_named(name)
        return name


class AlarmSettings(Table):
    """[alarms]: when the console speaks up."""

    recovery_band_pct: float = _alarm(
        "recovery_band_pct",
        "Recovery further from 100 % than this, and than 2u, is an alarm.",
        unit="%",
        source="EMERITUS-1: +5.8 % (−2.9 … +12.0)",
        gt=0,
        le=100,
    )
    clock_offset_s: float = _alarm(
        "clock_offset_s", "Scanner clock further off than this is an alarm.", unit="s", source=_OURS, gt=0, le=86400
    )
    incomplete_after_s: float = _alarm(
        "incomplete_after_s",
        "A series still incomplete this long after it fell quiet is an alarm.",
        unit="s",
        source=_OURS,
        ge=0,
        le=3600,
    )
    relaxivity_band_1_5t: tuple[float, float] = _alarm(
        "relaxivity_band_1_5T",
        "Calibrated relaxivity expected at 1.5 T.",
        unit="s⁻¹ per mg/mL",
        source=_STATIC_DEPHASING,
    )
    relaxivity_band_3t: tuple[float, float] = _alarm(
        "relaxivity_band_3T",
        "Calibrated relaxivity expected at 3 T.",
        unit="s⁻¹ per mg/mL",
        source=_STATIC_DEPHASING,
    )

    @field_validator("relaxivity_band_1_5t", "relaxivity_band_3t")
    @classmethod
    def _band_ascends(cls, band: tuple[float, float]) -> tuple[float, float]:
        if not 0 < band[0] < band[1]:
            raise ValueError(f"[{band[0]:g}, {band[1]:g}] is no band; expected two positive numbers, the lower first.")
        return band


class DisplaySettings(Table):
    """[display]: how doses are drawn."""

    dose_maximum_gy: float = _display(
        "dose_maximum_Gy", "Dose at the upper end of the colours.", unit="Gy", source=_OURS, gt=0, le=10000
    )
    increment_maximum_gy: float = _display(
        "increment_maximum_Gy", "Increment at the end of its colours.", unit="Gy", source=_OURS, gt=0, le=10000
    )
    uncertainty_maximum_gy: float = _display(
        "uncertainty_maximum_Gy",
        "Standard uncertainty at the end of its colours.",
        unit="Gy",
        source=_OURS,
        gt=0,
        le=10000,
    )
    isodose_levels_gy: tuple[float, ...] = _display(
        "isodose_levels_Gy", "Doses at which lines are drawn.", unit="Gy", source=_OURS
    )
    colour_map: Literal["inferno", "cividis", "viridis"] = _display(
        "colour_map", "Perceptually uniform colours of the dose.", source="safe for colour-vision deficiency"
    )
    stale_after_s: float = _display(
        "stale_after_s", "A map older than this is marked STALE.", unit="s", source=_OURS, gt=0, le=86400
    )
    screen_height_mm: float = _display(
        "screen_height_mm",
        "Height of the screen's picture, which sets the size of the large numbers; 0: as the screen itself says.",
        unit="mm",
        source="20 arc minutes at 3 m: ISO 9241-303",
        ge=0,
        le=5000,
    )

    @field_validator("isodose_levels_gy")
    @classmethod
    def _levels_ascend(cls, levels: tuple[float, ...]) -> tuple[float, ...]:
        if any(level <= 0 for level in levels) or list(levels) != sorted(set(levels)):
            raise ValueError(f"{list(levels)} must be positive doses in ascending order, each once.")
        return levels


class Settings(Table):
    """All settings, by group."""

    site: SiteSettings = SiteSettings()
    quantification: QuantificationSettings = QuantificationSettings()
    alarms: AlarmSettings = AlarmSettings()
    display: DisplaySettings = DisplaySettings()


def load_settings(site_toml: Path | None = None, overrides: Mapping[str, object] = MappingProxyType({})) -> Settings:
    """Return the defaults, with a site's file over them, with `overrides` over both.

    Parameters
    ----------
    site_toml
        A TOML file with any of the keys of ``defaults.toml``; None for the defaults.
    overrides
        TOML path to value, e.g. ``{"site.port": 0, "quantification.trend.threshold_pct": 5}``; the
        ``quantification.`` may be left out.

    Raises
    ------
    ConfigurationError
        With all faults at once.
    """
    mapping = read_toml(site_toml) if site_toml is not None else {}
    return settings_from_mapping(mapping, overrides=overrides, source=str(site_toml or "settings"))


def settings_from_mapping(
    mapping: Mapping[str, Any],
    *,
    overrides: Mapping[str, object] = MappingProxyType({}),
    source: str = "settings",
) -> Settings:
    """Return the settings of a mapping with file keys, such as `Settings.to_mapping`; as `load_settings`."""
    changed, faults = with_overrides(mapping, overrides, Settings)
    try:
        settings = Settings.model_validate(merged(DEFAULTS, changed), by_alias=True, by_name=False)
    except ValidationError as error:
        raise ConfigurationError([*faults, *faults_of(error, Settings)], source=source) from None
    if faults:
        raise ConfigurationError(faults, source=source)
    return settings


def settings_sha256(quantification: QuantificationSettings) -> str:
    """Return the SHA-256 (hex) of the canonical JSON of what a dose depends on."""
    return canonical_sha256(quantification.to_mapping())
