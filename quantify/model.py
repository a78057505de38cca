"""The nouns of the quantification: one frozen class each, with units in the names.

Arrays are made read-only on construction. Axes are always ``(slice, row, column)``, with a leading echo axis
where a signal has one. Positions are DICOM patient coordinates (LPS) in millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
FloatArray = NDArray[np.float64]


class Reason(IntEnum):
    """Why a voxel has no value of its own (0: it has one). Stored as ``uint8`` beside every map."""

    EVALUABLE = 0
    NO_SIGNAL = 1
    """No usable signal in the reference: air, vessel void, outside the body."""
    AIR_INTERFACE = 2
    """Next to lung or bowel: the reference itself decays too fast to subtract from."""
    POOR_FIT = 3
    """The signal does not follow a mono-exponential decay."""
    OUTSIDE = 4
    """Outside the field of view of the fraction's series once registered."""
    LOWER_BOUND = 5
    """Driven to the noise floor: the value kept is the smallest that explains it, shown as '≥'."""
    MOVED = 6
    """Other tissue than in the reference lies here after registration: their difference is not holmium."""

    @property
    def sentence(self) -> str:
        """The reason in the words of the screen."""
        return _REASON_WORDS[self]


_REASON_WORDS = {
    Reason.EVALUABLE: "evaluable",
    Reason.NO_SIGNAL: "no signal in the reference",
    Reason.AIR_INTERFACE: "air interface",
    Reason.POOR_FIT: "poor fit",
    Reason.OUTSIDE: "outside the field of view",
    Reason.LOWER_BOUND: "at the noise floor: lower bound",
    Reason.MOVED: "moved: other tissue than in the reference",
}


class Role(StrEnum):
    """What a volume of interest is to the treatment."""

    LIVER = "liver"
    HEALTHY_LIVER = "healthy_liver"
    TUMOUR = "tumour"
    TERRITORY = "territory"


def read_only(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return a view of `array` that cannot be written through."""
    view = array.view()
    view.flags.writeable = False
    return view


def freeze(instance: object, *names: str) -> None:
    """Make the named array attributes of a frozen dataclass read-only; None stays None."""
    for name in names:
        value = getattr(instance, name)
        if value is not None:
            object.__setattr__(instance, name, read_only(np.asarray(value)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """Where the voxels of an array lie in the patient.

    Parameters
    ----------
    shape
        ``(slices, rows, columns)``.
    affine_lps_mm
        4×4; maps the homogeneous voxel index ``(slice, row, column, 1)`` to the voxel's centre, LPS mm.
    frame_of_reference_uid
        DICOM frame of reference of the coordinates.

    Raises
    ------
    ValueError
        If the shape is empty or the affine is not a finite, invertible 4×4.
    """

    shape: tuple[int, int, int]
    affine_lps_mm: FloatArray
    frame_of_reference_uid: str = ""

    def __post_init__(self) -> None:
        affine = np.array(self.affine_lps_mm, dtype=np.float64)
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ValueError(f"Grid.shape is {self.shape}; expected three positive numbers (slices, rows, columns).")
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise ValueError("Grid.affine_lps_mm must be a finite, invertible 4×4 matrix.")
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "affine_lps_mm", affine)
        freeze(self, "affine_lps_mm")

    @cached_property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along slice, row and column index, mm."""
        s, r, c = np.linalg.norm(self.affine_lps_mm[:3, :3], axis=0)
        return float(s), float(r), float(c)

    @cached_property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel, mL."""
        return float(abs(np.linalg.det(self.affine_lps_mm[:3, :3]))) / 1000.0

    @cached_property
    def index_from_lps(self) -> FloatArray:
        """4×4; LPS mm to (slice, row, column) index."""
        return np.asarray(np.linalg.inv(self.affine_lps_mm), dtype=np.float64)

    def same_as(self, other: Grid, *, tolerance_mm: float = 0.01) -> bool:
        """Whether both grids place every voxel at the same point, within `tolerance_mm`."""
        if self.shape != other.shape or self.frame_of_reference_uid != other.frame_of_reference_uid:
            return False
        corners = np.array(
            [(s, r, c, 1.0) for s in (0, self.shape[0]) for r in (0, self.shape[1]) for c in (0, self.shape[2])]
        )
        difference = corners @ (self.affine_lps_mm - other.affine_lps_mm).T
        return bool(np.abs(difference).max() <= tolerance_mm)


@dataclass(frozen=True, kw_only=True, eq=False)
class EchoSeries:
    """A complete multi-echo magnitude series.

    ``signal`` has shape (echo, slice, row, column), arbitrary unit, float32; ``echo_times_s`` are ascending.
    ``phase_rad`` has the shape of ``signal``, float32, radians, wrapped; None unless every echo and slice has one.
    """

    signal: Array
    echo_times_s: tuple[float, ...]
    grid: Grid
    acquired_at: datetime
    series_instance_uid: str
    field_strength_t: float
    description: str = ""
    phase_rad: Array | None = None

    def __post_init__(self) -> None:
        if self.signal.ndim != 4 or self.signal.shape[1:] != self.grid.shape:
            raise ValueError(f"EchoSeries.signal has shape {self.signal.shape}; expected (echo, {self.grid.shape}).")
        if len(self.echo_times_s) != self.signal.shape[0]:
            raise ValueError(
                f"EchoSeries.echo_times_s has {len(self.echo_times_s)} values for {self.signal.shape[0]} echoes."
            )
        if self.phase_rad is not None and self.phase_rad.shape != self.signal.shape:
            raise ValueError(
                f"EchoSeries.phase_rad has shape {self.phase_rad.shape}; expected that of signal, {self.signal.shape}."
            )
        freeze(self, "signal", "phase_rad")


@dataclass(frozen=True, kw_only=True, eq=False)
class ParametricMap:
    """A quantity in every voxel of a grid: NaN with a reason where it cannot be evaluated.

    ``values`` and ``standard_error`` are float32 (slice, row, column) in ``unit``; ``reason`` is uint8 of
    `Reason`. Lower bounds keep a finite value and the reason `Reason.LOWER_BOUND`.
    """

    values: Array
    reason: NDArray[np.uint8]
    grid: Grid
    quantity: str
    unit: str
    standard_error: Array | None = None

    def __post_init__(self) -> None:
        for name in ("values", "reason", "standard_error"):
            array = getattr(self, name)
            if array is not None and array.shape != self.grid.shape:
                raise ValueError(f"ParametricMap.{name} has shape {array.shape}; expected {self.grid.shape}.")
        freeze(self, "values", "reason", "standard_error")


@dataclass(frozen=True, kw_only=True, eq=False)
class Volume:
    """A volume of interest as occupancy 0…1 of every voxel of a grid (float32).

    ``contour_volume_ml`` is the volume that its contours enclose, whether the grid covers it or not.
    """

    name: str
    role: Role
    occupancy: Array
    grid: Grid
    contour_volume_ml: float

    def __post_init__(self) -> None:
        if self.occupancy.shape != self.grid.shape:
            raise ValueError(f"Volume.occupancy has shape {self.occupancy.shape}; expected {self.grid.shape}.")
        freeze(self, "occupancy")

    @cached_property
    def volume_ml(self) -> float:
        """Volume on the grid, mL."""
        return float(self.occupancy.sum(dtype=np.float64)) * self.grid.voxel_volume_ml

    @cached_property
    def inside(self) -> NDArray[np.intp]:
        """Flat indices of the voxels with an occupancy above 0."""
        return np.flatnonzero(self.occupancy > 0)

    @property
    def fraction_outside_grid(self) -> float:
        """Share of the contoured volume that the grid does not cover, 0…1."""
        if self.contour_volume_ml <= 0:
            return 0.0
        return max(0.0, 1.0 - self.volume_ml / self.contour_volume_ml)
