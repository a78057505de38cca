"""The nouns of what is found: injections, registrations, statistics, trends, results and alarms.

One frozen class each, with units in the names. Unknown is None, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from quantify.model import ParametricMap, Role
from quantify.saturation import Saturation


class FractionStatus(StrEnum):
    """Whether a fraction's result can be used (design §8)."""

    OK = "ok"
    PROVISIONAL = "provisional"
    FAILED = "failed"


class RegistrationStatus(StrEnum):
    """How the registration of a fraction to the reference ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    NOT_NEEDED = "not_needed"


class VolumeStatus(StrEnum):
    """What a volume's mean dose is worth."""

    OK = "ok"
    LOWER_BOUND = "lower_bound"
    NOT_EVALUABLE = "not_evaluable"


class TrendStatus(StrEnum):
    """What the trend says of one fraction and volume."""

    TOO_FEW_POINTS = "too_few_points"
    FIT = "fit"
    TESTED = "tested"
    NOT_TESTABLE = "not_testable"
    NOT_EVALUABLE = "not_evaluable"


class Priority(StrEnum):
    """Alarm priorities of hazards.md."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, kw_only=True)
class Injection:
    """One fraction given at one injection position.

    ``activity_mbq`` is net at ``time`` (end of the injection); None while it has not happened.
    ``specific_activity_mbq_per_mg`` is that of the microspheres at ``time``.
    """

    position: str
    fraction: int
    planned_mbq: float | None = None
    activity_mbq: float | None = None
    activity_u_mbq: float | None = None
    time: datetime | None = None
    specific_activity_mbq_per_mg: float | None = None
    holmium_fraction: float | None = None
    provisional_reason: str | None = None
    aborted: bool = False
    outside_mri: bool = False

    @property
    def key(self) -> tuple[str, int]:
        """(position, fraction): what identifies an injection and its result."""
        return self.position, self.fraction

    @property
    def label(self) -> str:
        """As the screen names it, e.g. ``RHA F2``."""
        return f"{self.position} F{self.fraction}"


@dataclass(frozen=True, kw_only=True)
class Registration:
    """Rigid transform that takes a point of the reference to the fraction's series, and how it was judged.

    ``reference_to_series_lps_mm`` is 4×4 on LPS mm; translation is that of the registered region's centre.
    """

    status: RegistrationStatus
    translation_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    similarity: float | None = None
    reference_to_series_lps_mm: tuple[tuple[float, ...], ...] = (
        (1.0, 0.0, 0.0, 0.0),
        (0.0, 1.0, 0.0, 0.0),
        (0.0, 0.0, 1.0, 0.0),
        (0.0, 0.0, 0.0, 1.0),
    )
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class VolumeStatistics:
    """Cumulative absorbed dose in one volume after one fraction. Unknown is None, never 0."""

    name: str
    role: Role
    status: VolumeStatus
    volume_ml: float
    evaluable_fraction: float
    message: str = ""
    dose_mean_gy: float | None = None
    dose_mean_u_gy: float | None = None
    dose_sd_gy: float | None = None
    cv: float | None = None
    d90_gy: float | None = None
    d70_gy: float | None = None
    d50_gy: float | None = None
    tnr: float | None = None
    activity_mbq: float | None = None
    delta_r2star_mean_per_s: float | None = None
    partial_volume_gy: float | None = None
    """How much the correction for partial volume added to the mean; None where it was not applied."""
    u_repeat_gy: float | None = None
    """The part of the uncertainty that is independent between series (k = 1): what a trend may use."""


@dataclass(frozen=True, kw_only=True)
class TrendPoint:
    """One volume's mean dose after one fraction, held against the line of the position's first points."""

    volume: str
    status: TrendStatus
    message: str = ""
    expected_gy: float | None = None
    deviation_pct: float | None = None
    deviation_gy: float | None = None
    flagged: bool | None = None
    direction: str | None = None
    prediction_interval_gy: tuple[float, float] | None = None
    significant: bool | None = None
    slope_gy_per_mbq: float | None = None
    intercept_gy: float | None = None
    """The line in the plot's coordinates: dose = intercept + slope · activity injected at that position."""
    expected_gain_gy: float | None = None
    """Expected dose less the position's baseline: what ``deviation_pct`` is relative to."""
    gain_gy: float | None = None
    """Dose gained since the position's baseline."""
    saturation: Saturation | None = None
    """Which curve the points up to here follow; None while there are too few."""


@dataclass(frozen=True, kw_only=True)
class FractionMaps:
    """The maps of one fraction, all on the reference grid."""

    r2star: ParametricMap
    holmium: ParametricMap
    activity: ParametricMap
    dose: ParametricMap


@dataclass(frozen=True, kw_only=True)
class FractionResult:
    """Everything known after one fraction; a failure is a result with an error, not an exception.

    Doses, ``measured_mbq`` and ``recovery_ratio`` are cumulative over all fractions and positions so far.
    """

    position: str
    fraction: int
    status: FractionStatus
    error: str | None = None
    provisional_reasons: tuple[str, ...] = ()
    injected_mbq: float | None = None
    position_injected_mbq: float | None = None
    """Cumulative activity injected at this position: the trend's x."""
    cumulative_injected_mbq: float | None = None
    measured_mbq: float | None = None
    measured_u_mbq: float | None = None
    recovery_ratio: float | None = None
    recovery_u: float | None = None
    series_instance_uid: str | None = None
    acquired_at: datetime | None = None
    registration: Registration | None = None
    volumes: dict[str, VolumeStatistics] = field(default_factory=dict)
    trend: dict[str, TrendPoint] = field(default_factory=dict)
    maps: FractionMaps | None = field(default=None, repr=False, compare=False)

    @property
    def key(self) -> tuple[str, int]:
        """(position, fraction)."""
        return self.position, self.fraction

    @property
    def label(self) -> str:
        """As the screen names it, e.g. ``RHA F2``."""
        return f"{self.position} F{self.fraction}"


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """A finding that somebody has to see. ``id`` is stable: the same finding has the same id in every run."""

    id: str
    priority: Priority
    kind: str
    text: str
    raised_at: datetime
    position: str | None = None
    fraction: int | None = None
    volume: str | None = None
