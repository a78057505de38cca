"""What assembly is made of: images placed along the normal of their geometry, in parts (one series in one stack)."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from dicom_listener.images import ImageKind, MrImage, Sequence
from dicom_listener.phase import PhaseScale

SAME_START_S = 5.0
"""Echoes of one acquisition pass a slice within one excitation; scanners date them up to a repetition time apart
(0.6 s in a Siemens XA30 file). Two acquisitions of one slab are a breath-hold apart, at least 10 s."""
ECHO_TIME_TOLERANCE_S = 2e-5
"""20 µs: headers round echo times to 1–10 µs; echoes of a multi-echo series are 0.5 ms apart or more."""
POSITION_TOLERANCE_MM = 0.1
"""Headers round positions to 1e-3 mm or finer; slices are 0.5 mm apart or more."""
_DIRECTION_TOLERANCE = 1e-3
_SPACING_TOLERANCE_MM = 1e-3
_IN_PLANE_TOLERANCE_MM = 0.25
_WEIGHTS = (1.0, 1.3, 1.7, 2.1, 2.5, 2.9)
"""Any positive numbers do: they make one number of the six of two directions."""
_PHASE_TWINS = 16
"""Phase images kept of one place: two that differ are enough for none to be used, and 16 series of one are not seen."""


@dataclass(slots=True, eq=False)
class Placed:
    """One magnitude image with its place along the stack's normal. `signal` later becomes a view of the volume."""

    signal: NDArray[np.float32]
    echo_time_s: float
    along_mm: float
    position_mm: tuple[float, float, float]
    acquired_at: datetime | None
    identity: tuple[str, int]
    seq: int
    sequence: Sequence
    field_strength_t: float | None
    declared_images: int
    declared_echoes: int
    declared_slices: int
    processing: str
    display_slope: float | None
    _fingerprint: int | None = None

    def equals(self, other: Placed) -> bool:
        """Whether both have the same pixels; a place with thousands of different images must not cost their squares."""
        return self._print() == other._print() and np.array_equal(self.signal, other.signal)

    def _print(self) -> int:
        if self._fingerprint is None:
            self._fingerprint = hash(self.signal.tobytes())
        return self._fingerprint


@dataclass(slots=True, frozen=True, kw_only=True)
class LeftOut:
    """What is remembered of an image that is no magnitude, without its pixels."""

    kind: ImageKind
    echo_time_s: float
    along_mm: float
    acquired_at: datetime | None
    seq: int
    sequence: Sequence
    field_strength_t: float | None


@dataclass(slots=True, eq=False)
class PlacedPhase:
    """One phase image with its place along the stack's normal.

    ``values`` are as decoded as long as ``scale`` is None; afterwards a view of the volume in radians, and ``scale``
    is what led there. ``lowest`` and ``highest`` are always those of the values as decoded.
    """

    values: NDArray[np.float32]
    echo_time_s: float
    along_mm: float
    identity: tuple[str, int]
    lowest: float
    highest: float
    scale: PhaseScale | None = None

    def radians(self, scale: PhaseScale) -> NDArray[np.float32]:
        """Return the phase by the series' scale, radians."""
        return scale.radians(self.values) if self.scale is None else self.values

    def equals(self, other: PlacedPhase) -> bool:
        """Whether an image that has just come has the same pixels."""
        sent = other.values if self.scale is None else other.radians(self.scale)
        return np.array_equal(self.values, sent)


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """What all slices of a stack share: matrix, directions, spacing, and where the first voxel lies in the plane."""

    matrix: tuple[int, int]
    row_direction: tuple[float, float, float]
    column_direction: tuple[float, float, float]
    pixel_spacing_mm: tuple[float, float]
    in_plane_mm: tuple[float, float]

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector along increasing slice index."""
        normal = np.cross(self.row_direction, self.column_direction)
        unit: NDArray[np.float64] = normal / np.linalg.norm(normal)
        return unit

    def matches(self, other: Geometry) -> bool:
        """Whether both describe one stack, within what headers round."""
        return (
            self.matrix == other.matrix
            and _near(self.row_direction, other.row_direction, _DIRECTION_TOLERANCE)
            and _near(self.column_direction, other.column_direction, _DIRECTION_TOLERANCE)
            and _near(self.pixel_spacing_mm, other.pixel_spacing_mm, _SPACING_TOLERANCE_MM)
            and _near(self.in_plane_mm, other.in_plane_mm, _IN_PLANE_TOLERANCE_MM)
        )

    @property
    def bucket(self) -> tuple[int, int, int]:
        """Three whole numbers of which none differs by more than 1 between geometries that match."""
        along_row, along_column = (math.floor(offset / _IN_PLANE_TOLERANCE_MM) for offset in self.in_plane_mm)
        direction = np.dot(self.row_direction + self.column_direction, _WEIGHTS)
        return along_row, along_column, math.floor(direction / (_DIRECTION_TOLERANCE * sum(_WEIGHTS)))

    @property
    def label(self) -> str:
        """Short text that tells the stacks of one series apart, the same in every run."""
        rounded = [round(x, 2) + 0.0 for x in self.row_direction + self.column_direction]
        rounded += [float(n) for n in self.matrix] + [round(x) + 0.0 for x in self.in_plane_mm]
        return hashlib.sha256(repr(rounded).encode()).hexdigest()[:6]


@dataclass(eq=False)
class Part:
    """The images of one series in one stack."""

    series_instance_uid: str
    description: str
    placed: list[Placed] = field(default_factory=list)
    left_out: dict[tuple[str, int], LeftOut] = field(default_factory=dict)
    """Images that are no magnitude (phase, real, imaginary, derived), by instance and frame: sent again, one counts
    once."""
    phases: list[PlacedPhase] = field(default_factory=list)
    open_associations: set[str] = field(default_factory=set)
    quiet: bool = False
    late: int = 0
    """How often a complete series gained an instance: revision − 1."""
    version: int = 0
    _cells: dict[tuple[int, int], list[Placed]] = field(default_factory=dict, repr=False)
    _phase_cells: dict[tuple[int, int], list[PlacedPhase]] = field(default_factory=dict, repr=False)
    _slice_times: dict[int, float] = field(default_factory=dict, repr=False)
    _echoes: set[int] = field(default_factory=set, repr=False)
    _processing: set[str] = field(default_factory=set, repr=False)
    _end: float = -np.inf
    start: float = np.inf
    """Earliest acquisition time, POSIX s; infinite where none is stated."""

    def insert(self, image: Placed) -> bool:
        """Take an image in; False if an identical one is there already (same echo time, position and pixels)."""
        twins = self._cells.setdefault(_cell(image.echo_time_s, image.along_mm), [])
        if any(twin.equals(image) for twin in twins):
            return False
        twins.append(image)
        self.placed.append(image)
        self._echoes.add(round(image.echo_time_s / ECHO_TIME_TOLERANCE_S))
        self._processing.add(image.processing)
        self.note_time(image.along_mm, image.acquired_at)
        self.version += 1
        return True

    def leave_out(self, image: MrImage, seq: int, normal: NDArray[np.float64]) -> bool:
        """Count an image that is no magnitude; False if it is there already."""
        identity = (image.sop_instance_uid, image.frame_number or 0)
        if identity in self.left_out:
            return False
        along_mm = float(np.dot(image.position_mm, normal))
        self.left_out[identity] = LeftOut(
            kind=image.kind,
            echo_time_s=image.echo_time_s or 0.0,
            along_mm=along_mm,
            acquired_at=image.acquired_at,
            seq=seq,
            sequence=image.sequence,
            field_strength_t=image.field_strength_t,
        )
        self.note_time(along_mm, image.acquired_at)
        self.version += 1
        return True

    def keep_phase(self, image: PlacedPhase) -> None:
        """Keep a phase image for the acquisition that it may belong to; an identical one is kept once."""
        twins = self._phase_cells.setdefault(_cell(image.echo_time_s, image.along_mm), [])
        if len(twins) < _PHASE_TWINS and not any(twin.equals(image) for twin in twins):
            twins.append(image)
            self.phases.append(image)

    def note_time(self, along_mm: float, acquired_at: datetime | None) -> None:
        """Remember when a slice was acquired, magnitude or not."""
        if acquired_at is None:
            return
        index, stamp = round(along_mm / POSITION_TOLERANCE_MM), acquired_at.timestamp()
        self._slice_times[index] = min(stamp, self._slice_times.get(index, stamp))
        self.start, self._end = min(self.start, stamp), max(self._end, stamp)

    @property
    def sort_key(self) -> tuple[float, str]:
        """By start, then UID: the order in which parts look for company."""
        return self.start, self.series_instance_uid

    @property
    def end(self) -> float:
        """Latest acquisition time, POSIX s; minus infinity where none is stated."""
        return self._end

    @property
    def echo_labels(self) -> set[int]:
        """Its echo times in units of their tolerance."""
        return self._echoes

    @property
    def echoes(self) -> set[int]:
        """Its echo times in units of their tolerance, each with its neighbours: a label of an equal one is in it."""
        return {echo + step for echo in self._echoes for step in (-1, 0, 1)}

    @property
    def echo_key(self) -> tuple[float, str]:
        """By first echo time, then UID: the order in which the parts of one acquisition are named."""
        return min((image.echo_time_s for image in self.placed), default=np.inf), self.series_instance_uid

    def shares_echo(self, other: Part) -> bool:
        """Whether both have an image of the same echo time."""
        return not self.echoes.isdisjoint(other._echoes)

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is to come by the sender's account: associations closed, or silence."""
        return self.quiet or not self.open_associations

    def processed_as(self, other: Part) -> bool:
        """Whether both were filtered alike."""
        return self._processing == other._processing

    def shares_slice_and_start(self, other: Part) -> bool:
        """Whether some slice was acquired in both, within `SAME_START_S`."""
        if self.start > other._end + SAME_START_S or other.start > self._end + SAME_START_S:
            return False
        for index, stamp in self._slice_times.items():
            for step in (0, -1, 1):
                theirs = other._slice_times.get(index + step)
                if theirs is not None and abs(theirs - stamp) <= SAME_START_S:
                    return True
        return False


def geometry_of(image: MrImage) -> Geometry:
    """Return the geometry of an image's stack."""
    position, row, column = (np.asarray(v) for v in (image.position_mm, image.row_direction, image.column_direction))
    rows, columns = image.signal.shape
    return Geometry(
        matrix=(rows, columns),
        row_direction=image.row_direction,
        column_direction=image.column_direction,
        pixel_spacing_mm=image.pixel_spacing_mm,
        in_plane_mm=(float(position @ row), float(position @ column)),
    )


def place(image: MrImage, seq: int, normal: NDArray[np.float64]) -> Placed | None:
    """Return a magnitude image with its place along the normal; None for what is left out."""
    if image.kind is not ImageKind.MAGNITUDE:
        return None
    return Placed(
        signal=image.signal,
        echo_time_s=image.echo_time_s or 0.0,
        along_mm=float(np.dot(image.position_mm, normal)),
        position_mm=image.position_mm,
        acquired_at=image.acquired_at,
        identity=(image.sop_instance_uid, image.frame_number or 0),
        seq=seq,
        sequence=image.sequence,
        field_strength_t=image.field_strength_t,
        declared_images=image.declared_images or 0,
        declared_echoes=image.declared_echoes or 0,
        declared_slices=image.declared_slices or 0,
        processing=image.processing,
        display_slope=image.display_slope,
    )


def place_phase(image: MrImage, normal: NDArray[np.float64]) -> PlacedPhase | None:
    """Return a phase image with its place along the normal; None for other kinds, and where no echo time is stated."""
    if image.kind is not ImageKind.PHASE or not image.echo_time_s:
        return None
    return PlacedPhase(
        values=image.signal,
        echo_time_s=image.echo_time_s,
        along_mm=float(np.dot(image.position_mm, normal)),
        identity=(image.sop_instance_uid, image.frame_number or 0),
        lowest=float(image.signal.min()),
        highest=float(image.signal.max()),
    )


def _cell(echo_time_s: float, along_mm: float) -> tuple[int, int]:
    """Return what images of one echo and slice share in one series."""
    return round(echo_time_s * 1e6), round(along_mm * 100)


def _near(values: tuple[float, ...], others: tuple[float, ...], tolerance: float) -> bool:
    # A loop, not all(...): it is asked for every geometry that there is, and mostly ends at the first number.
    for a, b in zip(values, others, strict=True):  # noqa: SIM110
        if abs(a - b) > tolerance:
            return False
    return True
