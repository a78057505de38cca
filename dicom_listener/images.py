"""What decoding makes of a DICOM instance, whichever vendor wrote it. Units are converted here and only here."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from quantify.model import EchoSeries, freeze


class ImageKind(StrEnum):
    """What the pixels of an image are."""

    MAGNITUDE = "magnitude"
    PHASE = "phase"
    REAL = "real"
    IMAGINARY = "imaginary"
    DERIVED = "derived"


class Sequence(StrEnum):
    """What formed the echoes: T2* needs a gradient echo."""

    GRADIENT_ECHO = "gradient_echo"
    SPIN_ECHO = "spin_echo"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class PatientIdentity:
    """What an instance says of its patient."""

    id: str = ""
    issuer: str = ""
    name: str = ""
    birth_date: date | None = None
    sex: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class MrImage:
    """One 2-D image (a classic instance, or one frame of an enhanced one).

    ``signal`` is float32 (row, column), after rescale and Philips scaling. Positions and directions are LPS;
    ``position_mm`` is the centre of the first voxel; ``row_direction`` points along increasing column index
    (DICOM's first three values of ImageOrientationPatient), ``column_direction`` along increasing row index.
    ``pixel_spacing_mm`` is (between rows, between columns).
    """

    signal: NDArray[np.float32]
    kind: ImageKind
    echo_time_s: float | None
    position_mm: tuple[float, float, float]
    row_direction: tuple[float, float, float]
    column_direction: tuple[float, float, float]
    pixel_spacing_mm: tuple[float, float]
    frame_of_reference_uid: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    frame_number: int | None
    series_number: int | None
    acquisition_number: int | None
    acquired_at: datetime | None
    protocol: str
    description: str
    sequence: Sequence
    field_strength_t: float | None
    declared_images: int | None = None
    """Number of images of the series or acquisition that the header declares, where it does."""
    declared_echoes: int | None = None
    declared_slices: int | None = None
    """Number of slices of the series, where the header declares it (Philips)."""
    processing: str = ""
    """The scanner's filters that ImageType names (ND, NORM, DIS2D, …), sorted: a scanner may send a series twice, with
    and without, and the echoes of one are not echoes of the other."""
    display_slope: float | None = None
    """RescaleSlope of a Philips magnitude without its scale slope: the signal is known up to a factor of display."""

    def __post_init__(self) -> None:
        freeze(self, "signal")


@dataclass(frozen=True, kw_only=True, eq=False)
class Contour:
    """One closed planar polygon; ``points_mm`` is (n, 3) LPS float64."""

    points_mm: NDArray[np.float64]
    referenced_sop_instance_uid: str = ""

    def __post_init__(self) -> None:
        freeze(self, "points_mm")


@dataclass(frozen=True, kw_only=True, eq=False)
class RegionMask:
    """A region as the share of every voxel of its own grid, cropped to the voxels that it touches.

    ``values`` are float32 (slice, row, column), 0…1; ``affine_lps_mm`` maps the index (slice, row, column, 1) to the
    voxel's centre, LPS mm. Outside the array the region is empty.
    """

    values: NDArray[np.float32]
    affine_lps_mm: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or self.affine_lps_mm.shape != (4, 4):
            raise ValueError(
                f"RegionMask has values of shape {self.values.shape} and an affine of {self.affine_lps_mm.shape}; "
                "expected (slice, row, column) and (4, 4)."
            )
        freeze(self, "values", "affine_lps_mm")


@dataclass(frozen=True, kw_only=True)
class Structure:
    """A named region of interest: its contours, or its share of the voxels of a grid."""

    name: str
    number: int
    contours: tuple[Contour, ...] = ()
    mask: RegionMask | None = None


@dataclass(frozen=True, kw_only=True)
class StructureSet:
    """The regions of one object (RT Structure Set, Segmentation, label map) and the series they were drawn on.

    ``unusable`` are regions that the object names but that cannot be used: (name, why). ``remark`` is what a reader
    of its volumes must know, in sentences. An object that states no frame of reference has an empty one.
    """

    label: str
    sop_instance_uid: str
    frame_of_reference_uid: str
    referenced_series_uids: tuple[str, ...]
    structures: tuple[Structure, ...]
    unusable: tuple[tuple[str, str], ...] = ()
    remark: str = ""
    object_sha256: str = ""
    """Of the stored object, hex; empty until it is stored."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its usable structures."""
        return tuple(structure.name for structure in self.structures)


@dataclass(frozen=True, kw_only=True)
class DecodedInstance:
    """What one stored instance holds. Never an exception: an instance that cannot be used says why in `reason`."""

    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    series_instance_uid: str = ""
    patient: PatientIdentity = field(default_factory=PatientIdentity)
    images: tuple[MrImage, ...] = ()
    structure_set: StructureSet | None = None
    reason: str = ""
    """Empty when everything could be used; else a sentence: what was ignored or could not be decoded, and why."""


class SeriesStatus(StrEnum):
    """Where the assembly of a series stands."""

    ARRIVING = "arriving"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, kw_only=True)
class SeriesState:
    """One acquisition as assembled so far: what has come, what is missing, and why it is believed complete.

    ``key`` is a stable identifier of the group (deterministic from its content, not from the order of arrival).
    ``series_instance_uids`` are all UIDs whose instances belong to it, the first echo's first. ``reason`` is the
    sentence shown: why it is complete, or what is missing. ``holmium_refusal`` is None for a usable multi-echo
    gradient-echo series, else the sentence that says why it cannot serve as reference or fraction.
    ``revision`` counts from 1 and grows when a complete series gains an instance.
    ``last_seq`` is the event that last added to it.
    """

    key: str
    series_instance_uids: tuple[str, ...]
    description: str
    protocol: str
    status: SeriesStatus
    reason: str
    echo_times_s: tuple[float, ...]
    n_slices: int
    received: int
    expected: int
    left_out: int
    acquired_at: datetime | None
    frame_of_reference_uid: str
    field_strength_t: float | None
    sequence: Sequence
    holmium_refusal: str | None
    revision: int
    last_seq: int


@dataclass(frozen=True, kw_only=True)
class AssembledSeries:
    """A series state with its voxels: `series` is None until the series is complete (one echo suffices for anatomy)."""

    state: SeriesState
    series: EchoSeries | None
