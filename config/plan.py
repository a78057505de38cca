"""The plan of a treatment, as a physicist writes it in TOML (design: the plan a physicist writes).

Every key is read and checked; all faults are told at once (`config.errors.ConfigurationError`). Times are aware.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, ValidationInfo, field_validator

from config.base import Table, canonical_sha256, merged, read_toml
from config.errors import ConfigurationError, faults_of, quote
from config.overrides import with_overrides
from config.plan_checks import cross_faults
from config.plan_warnings import plan_warnings
from config.settings import AlarmSettings, QuantificationSettings
from config.times import aware_time, zone_named

SCHEMA = 1
"""The newest plan that this version reads."""


def load_plan(path: Path, *, site_time_zone: str, overrides: Mapping[str, object] | None = None) -> TreatmentPlan:
    """Read a plan from a TOML file.

    Parameters
    ----------
    path
        The file.
    site_time_zone
        IANA zone of local times if the plan names none.
    overrides
        TOML path to value, laid over the file before it is checked: ``calibration.field_T``,
        ``injections[0].activity_MBq``; ``quantification.`` may be left out (``trend.threshold_pct``).

    Raises
    ------
    ConfigurationError
        With all faults at once.
    """
    return _plan(read_toml(path), site_time_zone, overrides, source=str(path))


def plan_from_mapping(
    mapping: Mapping[str, Any], *, site_time_zone: str, overrides: Mapping[str, object] | None = None
) -> TreatmentPlan:
    """Read a plan from a mapping with the file's keys, such as `TreatmentPlan.to_mapping`; as `load_plan`."""
    return _plan(mapping, site_time_zone, overrides, source="plan")


def _plan(
    mapping: Mapping[str, Any], site_time_zone: str, overrides: Mapping[str, object] | None, *, source: str
) -> TreatmentPlan:
    schema = mapping.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        newer = f"schema is {schema}: newer than this version of Holmia, which reads schema {SCHEMA}; update Holmia."
        raise ConfigurationError([newer], source=source)
    try:
        zone = zone_named(site_time_zone)
    except ValueError as error:
        raise ConfigurationError([f"The site's time_zone: {error}"], source=source) from None
    content, faults = with_overrides(mapping, overrides, TreatmentPlan)
    content.setdefault("time_zone", site_time_zone)
    # If the plan's zone is none, the model says so; the site's stands in, so that the other faults can be told too.
    with suppress(TypeError, ValueError):
        zone = zone_named(content["time_zone"])
    plan = None
    try:
        plan = TreatmentPlan.model_validate(content, by_alias=True, by_name=False, context={"zone": zone})
    except ValidationError as error:
        faults += faults_of(error, TreatmentPlan)
    faults += _quantification_faults(content.get("quantification", {}))
    faults += cross_faults(content, zone)
    if faults or plan is None:
        raise ConfigurationError(faults, source=source)
    return plan


def _quantification_faults(overrides: object) -> list[str]:
    if not isinstance(overrides, dict):
        return []  # already a fault of the plan's own table
    try:
        QuantificationSettings.model_validate(overrides, by_alias=True, by_name=False)
    except ValidationError as error:
        return faults_of(error, QuantificationSettings, prefix=("quantification",))
    return []


def _aware(value: object, info: ValidationInfo) -> object:
    zone = (info.context or {}).get("zone")
    if zone is not None:
        return aware_time(value, zone)
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError(f"{value.isoformat()} has no offset; expected an aware datetime.")
    return value


def _birth_date(value: object) -> object:
    # JSON and DICOM have texts for a date; TOML has its own type.
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{quote(value)} is not a date; expected such as 1961-05-23.") from None
    return value


def _position(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,16}", value):
        raise ValueError(f"{quote(value)} is not a position's name; expected 1 to 16 of A–Z, a–z, 0–9, _ and -.")
    return value


Time = Annotated[datetime, BeforeValidator(_aware)]
BirthDate = Annotated[date, BeforeValidator(_birth_date)]
Position = Annotated[str, AfterValidator(_position)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
# What 166Ho radioembolization handles: a value in GBq, kBq or Bq falls outside. EMERITUS-1 injected 4 to 9 GBq in all,
# in fractions from 10 %; a scout is 250 MBq.
Activity = Annotated[float, Field(ge=10, le=20000)]


def _unit(unit: str, description: str = "", form: str = "") -> dict[str, Any]:
    return {"json_schema_extra": {"unit": unit, **({"form": form} if form else {})}, "description": description}


_NAME: dict[str, Any] = {"form": "a text in quotes, 1 to 64 characters"}


class PatientPlan(Table):
    """[patient]: whom the instances must be of; `issuer` and `birth_date` are matched where given."""

    id: Name = Field(description="Patient ID, as in the images.", json_schema_extra=_NAME)
    issuer: str | None = Field(default=None, description="Issuer of the patient ID.")
    birth_date: BirthDate | None = Field(default=None, description="Birth date.")
    name: str | None = Field(default=None, description="Patient's name, for display.")


class Microspheres(Table):
    """[microspheres]: a batch; `specific_activity_mbq_per_mg` is per mg of microspheres at `reference_time`."""

    holmium_fraction: float = Field(gt=0, lt=1, **_unit("", "Mass of holmium per mass of microspheres."))
    specific_activity_mbq_per_mg: float = Field(ge=0.1, le=100, **_unit("MBq/mg", "At reference_time."))
    reference_time: Time = Field(description="When the specific activity holds.")


class CalibrationPlan(Table):
    """[calibration]: the site's phantom calibration; `holmium_fraction` is that of the calibration's batch."""

    relaxivity_per_s_per_mg_ml: float = Field(ge=5, le=5000, **_unit("s⁻¹ per mg/mL", "r2* per mg of microspheres/mL."))
    field_t: float = Field(gt=0.1, lt=15, **_unit("T", "Another field strength is refused."))
    holmium_fraction: float = Field(gt=0, lt=1, **_unit("", "r2* scales with the batch's own content."))
    temperature_c: float | None = Field(default=None, ge=0, le=60, **_unit("°C", "Of the phantom."))


class StructuresPlan(Table):
    """[structures]: names as in the RTSTRUCT or SEG."""

    liver: Name | None = Field(default=None, description="The whole liver.", json_schema_extra=_NAME)
    tumours: tuple[Name, ...] = Field(default=(), strict=False, description="The tumours.")


class PositionPlan(Table):
    """[positions.X]: the structure that X supplies, and the volumes that it feeds (None: all)."""

    territory: Name | None = Field(default=None, description="A structure.", json_schema_extra=_NAME)
    volumes: tuple[Name, ...] | None = Field(default=None, strict=False, min_length=1, description="Volumes fed.")


class LimitPlan(Table):
    """[[limits]]: a dose that a volume's mean must not exceed, with where it comes from."""

    volume: Name = Field(description="A structure or a healthy part.", json_schema_extra=_NAME)
    dose_gy: float = Field(ge=1, le=1000, **_unit("Gy", "Mean absorbed dose."))
    isotope: str | None = None
    device: str | None = None
    population: str | None = None
    method: str | None = None
    source: str | None = None


class InjectionPlan(Table):
    """[[injections]]: one fraction at one position; without `time` and activity while it has not happened.

    ``activity_mbq`` is net and final at `time` (end of the injection); else it is drawn from `vials`.
    """

    position: Position = Field(description="Injection position.")
    fraction: int = Field(ge=1, le=99, description="1, 2, 3 … at each position.")
    planned_mbq: Activity | None = Field(default=None, **_unit("MBq", form="a number from 10 to 20000 MBq"))
    activity_mbq: Activity | None = Field(default=None, **_unit("MBq", form="a number from 10 to 20000 MBq"))
    time: Time | None = Field(default=None, description="End of the injection.")
    vials: tuple[Name, ...] | None = Field(default=None, strict=False, min_length=1, description="Names of vials.")
    outside_mri: bool = Field(default=False, description="No series follows it.")
    microspheres: Microspheres | None = Field(default=None, description="Its own batch.")

    @property
    def key(self) -> tuple[str, int]:
        """(position, fraction)."""
        return self.position, self.fraction

    @property
    def label(self) -> str:
        """As the screen names it, e.g. ``RHA F2``."""
        return f"{self.position} F{self.fraction}"


class VialPlan(Table):
    """[[vials]]: what was assayed before the injection. Mixed specific activity = ΣA/Σm."""

    name: Name = Field(json_schema_extra=_NAME)
    activity_mbq: Activity = Field(**_unit("MBq", "At assay_time.", form="a number from 10 to 20000 MBq"))
    mass_mg: float | None = Field(
        default=None, ge=1, le=5000, **_unit("mg", "Of microspheres; without it, from the batch's specific activity.")
    )
    assay_time: Time
    microspheres: Microspheres | None = Field(default=None, description="Its own batch.")


class ResidualPlan(Table):
    """[[residuals]]: waste measured once for the injections (position, fraction) that it is left of."""

    activity_mbq: float = Field(ge=0, le=20000, **_unit("MBq", "At assay_time."))
    assay_time: Time
    injections: tuple[Annotated[tuple[Position, int], Field(strict=False)], ...] = Field(
        strict=False, min_length=1, json_schema_extra={"form": 'a list such as [["RHA", 1], ["RHA", 2]]'}
    )


class TreatmentPlan(Table):
    """A plan whose every key has been checked. Made by `load_plan` and `plan_from_mapping`."""

    schema_version: Literal[1] = Field(alias="schema", description="Version of the plan's keys.")
    time_zone: str = Field(description="IANA zone of times without an offset, DICOM's included.")
    patient: PatientPlan
    microspheres: Microspheres
    calibration: CalibrationPlan
    quantification: dict[str, Any] = Field(default_factory=dict, description="Overrides, with the settings' keys.")
    structures: StructuresPlan | None = None
    positions: dict[Position, PositionPlan] = Field(default_factory=dict)
    limits: tuple[LimitPlan, ...] = Field(default=(), strict=False)
    injections: tuple[InjectionPlan, ...] = Field(strict=False, min_length=1, description="In order.")
    vials: tuple[VialPlan, ...] = Field(default=(), strict=False)
    residuals: tuple[ResidualPlan, ...] = Field(default=(), strict=False)

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        zone_named(name)
        return name

    @field_validator("quantification")
    @classmethod
    def _same_numbers_same_mapping(cls, overrides: dict[str, Any]) -> dict[str, Any]:
        try:
            checked = QuantificationSettings.model_validate(overrides, by_alias=True, by_name=False)
        except ValidationError:
            return overrides  # its faults are told with their own paths by `_plan`
        return checked.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def to_mapping(self) -> dict[str, Any]:
        """Return the plan with the file's keys, of JSON types, times in ISO 8601 with offset, nothing that is absent.

        Equal plans give equal mappings, and `plan_from_mapping` gives an equal plan back.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of the canonical JSON of `to_mapping`."""
        return canonical_sha256(self.to_mapping())

    def quantification_settings(self, base: QuantificationSettings) -> QuantificationSettings:
        """Return the site's settings with the plan's overrides over them.

        Raises
        ------
        ConfigurationError
            If an override does not go with the site's value of another setting.
        """
        try:
            both = merged(base.to_mapping(), self.quantification)
            return QuantificationSettings.model_validate(both, by_alias=True, by_name=False)
        except ValidationError as error:
            faults = faults_of(error, QuantificationSettings, prefix=("quantification",))
            raise ConfigurationError(faults, source="plan with the site's settings") from None

    def warnings(
        self, alarms: AlarmSettings | None = None, quantification: QuantificationSettings | None = None
    ) -> tuple[str, ...]:
        """Return what is allowed but worth a second look, a sentence each (`config.plan_warnings`).

        Parameters
        ----------
        alarms, quantification
            The site's; None for the shipped defaults.
        """
        settings = self.quantification_settings(quantification or QuantificationSettings())
        return plan_warnings(self, alarms or AlarmSettings(), settings.half_life_h)
