"""The nouns of what is found: injections, registrations, statistics, trends, results and alarms.

One frozen class each, with units in the names. Unknown is None, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from quantify.model import Array, ParametricMap, Role, freeze
from quantify.saturation import Saturation

if TYPE_CHECKING:
    from quantify.budget import BudgetTerm
    from quantify.cold import ColdSubVolume
    from quantify.dvh import Dvh
    from quantify.monte_carlo import Spread
    from quantify.projection import ActivityLeft, Projection


class FractionStatus(StrEnum):
    """Whether a fraction's result can be used (README.md, "What a result holds")."""

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
    """Alarm priorities, in the order in which they have to be seen."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, kw_only=True)
class Injection:
    """One fraction given at one injection position.

    ``activity_mbq`` is net at ``time`` (end of the injection); None while it has not happened.
    ``specific_activity_mbq_per_mg`` is that of the microspheres at ``time``. ``started_at`` without ``time``: it is
    under way.
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
    started_at: datetime | None = None

    @property
    def under_way(self) -> bool:
        """Whether it was started and has not ended."""
        return self.started_at is not None and self.time is None

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
    """Transform that takes a point of the reference to the fraction's series, and how it was judged.

    ``reference_to_series_lps_mm`` is 4×4 on LPS mm, M; ``displacement_mm`` is u, float32 (3, slice, row, column) on the
    reference grid, LPS mm, or None for a rigid registration: x_series = M · (x + u(x)). Translation is that of the
    registered region's centre. ``edge_median_mm`` and ``edge_95_mm`` are distances between the region's edges after
    the registration (`quantify.liver_edge`); None where they cannot be measured.
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
    edge_median_mm: float | None = None
    edge_95_mm: float | None = None
    given_by: str | None = None
    """Who gave the transform; None where it was found."""
    displacement_mm: Array | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        freeze(self, "displacement_mm")

    @property
    def shift_mm(self) -> float:
        """How far the registered region's centre had moved."""
        return math.hypot(*self.translation_mm)

    @property
    def turn_deg(self) -> float:
        """How far it had turned: the length of the three angles, which for small ones is the angle about their axis."""
        return math.hypot(*self.rotation_deg)


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
    warning: str = ""
    """Why the mean deserves less trust than its uncertainty says: a small lesion."""
    reasons: Mapping[str, float] = field(default_factory=dict)
    """Share of the volume on the grid that could not be evaluated, or is a lower bound, by reason."""
    v_x: tuple[tuple[float, float], ...] = ()
    """(dose [Gy], share 0…1 of the volume that receives at least so much)."""
    coverage: float | None = None
    """Share of a tumour that receives at least ``statistics.coverage_gy``."""
    cold: ColdSubVolume | None = None
    """The largest connected part of a tumour below that dose; None if there is none, or it was not sought."""
    bed_gy: float | None = None
    """Mean biologically effective dose; None unless it is asked for."""
    gain_gy: float | None = None
    """What the mean gained since the last image."""
    dose_normalised_gy: float | None = None
    """The mean scaled so that the liver holds what was injected: beside the absolute dose, never instead of it."""
    activity_expanded_mbq: float | None = None
    """Activity in the liver expanded by ``statistics.liver_expansion_mm``."""
    dvh: Dvh | None = field(default=None, repr=False, compare=False)
    intervals: Mapping[str, Spread] = field(default_factory=dict, repr=False)
    """Standard uncertainty and 95 % interval of the quantities above, by their names here."""
    budget: tuple[BudgetTerm, ...] = field(default=(), repr=False)
    """What contributes to the uncertainty of the mean."""
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
class Scintigraphic:
    """The part of the liver over a share of the map's maximum, as nuclear medicine draws it."""

    threshold_pct: float
    volume_ml: float
    dose_mean_gy: float | None


@dataclass(frozen=True, kw_only=True)
class FractionMaps:
    """The maps of one fraction, all on the reference grid."""

    r2star: ParametricMap
    holmium: ParametricMap
    activity: ParametricMap
    dose: ParametricMap
    increment: ParametricMap | None = None
    """Dose gained since the last image; None for the first."""


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
    injected_u_mbq: float | None = None
    """Standard uncertainty of this fraction's own activity, beside that of all assays."""
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
    projection: dict[str, Projection] = field(default_factory=dict)
    """By volume: the dose that the position's next planned fraction would give."""
    activity_left: dict[str, ActivityLeft] = field(default_factory=dict)
    """By volume with a limit: what this position can still take."""
    scintigraphic: Scintigraphic | None = None
    recovery_interval: tuple[float, float] | None = None
    """95 % interval of the recovery ratio."""
    notes: tuple[str, ...] = ()
    """Sentences that a number of this fraction cannot be defended without."""
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
