"""The cuts of a registration by hand: the reference, and over it the series as it would lie."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from console.dashboard.screen.lines import volume_outlines
from console.dashboard.screen.model import PlaneScreen
from console.dashboard.screen.planes import PlaneGeometry, bounds_mm, plane_geometries
from console.snapshot import ImagedSeries, Snapshot
from quantify.model import Array, EchoSeries, FloatArray, Grid, Role, Volume
from quantify.rigid import Plane, image_moved, image_turned, seen_on, share_covered
from quantify.rigid_search import centre_of, itk_image
from quantify.signal_at_zero import signal_at_zero

_MARGIN_MM = 30.0
_SQUARE_MM = 20.0
Part = tuple[slice, slice, slice]
_WHOLE: Part = (slice(None), slice(None), slice(None))
_SPARSE: Part = (slice(None, None, 2), slice(None, None, 2), slice(None, None, 2))
"""Enough of an image to know what is black and what is white."""
_ECHOES = 3
"""Later ones hold more noise than signal in holmium."""
_MOST_POINTS = 4000
"""Of the liver, that tell how much of it the series covers."""


class Laid(StrEnum):
    """How the series is laid over the reference."""

    MIX = "mix"
    FLICKER = "flicker"
    CHECKERS = "checkers"
    COLOURS = "colours"


LAID_WORDS = {
    Laid.MIX: "Mix",
    Laid.FLICKER: "Flicker (R)",
    Laid.CHECKERS: "Checkers",
    Laid.COLOURS: "Colours",
}
LAID_TOOLTIPS = {
    Laid.MIX: "Both at once; the slider says how much of each.",
    Laid.FLICKER: "Reference and series take turns, twice a second.",
    Laid.CHECKERS: "Squares of 2 cm from one and the other: edges must go on across them.",
    Laid.COLOURS: "Grey where both agree, magenta where only the reference is bright, green where only the series is.",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """Two images and where the liver is: all that the cuts need, prepared once for a series.

    Each image is shown by its own levels, from black to white, since receiver gains differ.
    """

    grid: Grid
    reference: EchoSeries
    levels: tuple[float, float]
    """Of the reference: what is black and what is white."""
    series_grid: Grid
    series: Any
    """As `quantify.rigid.seen_on` wants it."""
    centre_mm: FloatArray
    """What the angles turn about: the middle of the liver, or of all tissue where there is no contour."""
    points_mm: FloatArray
    """(3, n) of it."""
    middle: tuple[int, int, int]
    """The voxel of that middle."""
    focus_mm: tuple[tuple[float, float, float, float], ...]
    """Of every cut: what is worth showing."""
    liver: tuple[Volume, ...]
    label: str
    identity: str

    @property
    def geometries(self) -> tuple[PlaneGeometry, ...]:
        """Axial, coronal, sagittal."""
        return plane_geometries(self.grid)

    def covered(self, matrix: FloatArray) -> float:
        """Share of the liver that the series covers by a transform."""
        return share_covered(self.series_grid, self.points_mm, matrix)


def stage_of(snapshot: Snapshot, series: ImagedSeries) -> Stage | None:
    """Prepare the images of a series and of the reference; None while there is no reference."""
    reference = next((i for i in snapshot.imaged if i.key is None), None)
    if reference is None:
        return None
    grid = reference.fitted.series.grid
    liver = tuple(v for v in snapshot.volumes if v.role is Role.LIVER and v.grid.shape == grid.shape)
    liver = tuple(v for v in liver if (v.occupancy > 0).any())
    region = np.asarray(liver[0].occupancy > 0 if liver else reference.fitted.usable)
    if not region.any():
        region = np.ones(grid.shape, dtype=bool)
    index = np.argwhere(region)
    some = index[:: max(1, len(index) // _MOST_POINTS)].T
    centre = centre_of(region, grid)
    own = _at_zero(series.fitted.series)
    slices, rows, columns = (round(float(v)) for v in index.mean(axis=0))
    return Stage(
        grid=grid,
        reference=reference.fitted.series,
        levels=_levels(_at_zero(reference.fitted.series, _SPARSE)),
        series_grid=series.fitted.series.grid,
        series=itk_image(_grey(own, _levels(own[_SPARSE])), series.fitted.series.grid),
        centre_mm=centre,
        points_mm=grid.affine_lps_mm[:3, :3] @ some + grid.affine_lps_mm[:3, 3:],
        middle=(slices, rows, columns),
        focus_mm=tuple(bounds_mm(region, geometry, margin_mm=_MARGIN_MM) for geometry in plane_geometries(grid)),
        liver=liver,
        label=series.label,
        identity=f"ID {snapshot.patient_id}" if snapshot.patient_id else "ID not known",
    )


def _at_zero(series: EchoSeries, part: Part = _WHOLE) -> Array:
    """The signal of a part of a series at the echo time 0, from its own first echoes.

    That of the fit may hold some of the reference's, brought over by the registration in force: it would speak for it.
    """
    return signal_at_zero(series.signal[(slice(_ECHOES), *part)], series.echo_times_s[:_ECHOES])


def _levels(values: Array) -> tuple[float, float]:
    found = values[np.isfinite(values)]
    low, high = (float(v) for v in np.percentile(found, (2.0, 99.5))) if found.size else (0.0, 1.0)
    return low, max(high, low + 1e-6)


def _grey(values: Array, levels: tuple[float, float]) -> Array:
    """0…1 from black to white, float32; black where there is no value."""
    low, high = levels
    grey: Array = np.nan_to_num((values - np.float32(low)) * np.float32(1.0 / (high - low)), nan=0.0)
    return np.clip(grey, 0.0, 1.0)


# -- cuts ----------------------------------------------------------------------------------------------------------


def cut_frame(stage: Stage, number: int, index: int, caption: str) -> PlaneScreen:
    """What stands on a cut besides its pixels: letters, title, the border of the reference's liver, caption."""
    geometry = stage.geometries[number]
    count = stage.grid.shape[geometry.normal_axis]
    return PlaneScreen(
        geometry=geometry,
        title=f"{geometry.name} {index + 1}/{count}",
        grey=None,
        grey_levels=(0.0, 1.0),
        dose=None,
        unevaluable=None,
        lower_bound=None,
        isodoses=(),
        outlines=volume_outlines(stage.liver, geometry, index, {}, None),
        focus_mm=stage.focus_mm[number],
        caption=caption if geometry.name == "axial" else "",
        identity=stage.identity if geometry.name == "axial" else "",
    )


def cut_pixels(
    stage: Stage, number: int, index: int, matrix: FloatArray, laid: Laid, *, mix: float, series_now: bool
) -> NDArray[np.uint8]:
    """The pixels of a cut, (row, column, BGRA), display row 0 on top.

    Parameters
    ----------
    matrix
        4×4 from the reference to the series, LPS mm.
    mix
        Share of the series in the mix, 0…1.
    series_now
        Whether the flicker shows the series now.
    """
    geometry = stage.geometries[number]
    below = _reference_cut(stage, geometry, index)
    # Where the series does not reach it is black.
    over = np.nan_to_num(seen_on(stage.series, plane_of(geometry, stage.grid, index), matrix), nan=0.0)
    made = np.full((*below.shape, 4), 255, dtype=np.uint8)
    if laid is Laid.COLOURS:
        made[..., 0] = made[..., 2] = np.round(255 * below)
        made[..., 1] = np.round(255 * over)
        return made
    if laid is Laid.MIX:
        grey = (1.0 - mix) * below + mix * over
    elif laid is Laid.FLICKER:
        grey = over if series_now else below
    else:
        grey = np.where(_checkers(geometry), over, below)
    made[..., :3] = np.round(255 * np.clip(grey, 0.0, 1.0))[..., None]
    return made


def caption_of(stage: Stage, laid: Laid, *, series_now: bool) -> str:
    """What the axial cut says of itself."""
    if laid is Laid.FLICKER:
        return stage.label if series_now else "REFERENCE"
    if laid is Laid.COLOURS:
        return f"magenta: reference · green: {stage.label}"
    return f"reference and {stage.label}"


def _reference_cut(stage: Stage, geometry: PlaneGeometry, index: int) -> Array:
    signal = stage.reference.signal[:_ECHOES]
    echoes = np.stack([geometry.cut(echo, index) for echo in signal])
    return _grey(signal_at_zero(echoes, stage.reference.echo_times_s[:_ECHOES]), stage.levels)


def plane_of(geometry: PlaneGeometry, grid: Grid, index: int) -> Plane:
    """Where the pixels of a cut lie, as displayed."""
    affine = grid.affine_lps_mm
    across, down = (
        affine[:3, axis] * (-1.0 if flipped else 1.0)
        for axis, flipped in (
            (geometry.right_axis, geometry.right_flipped),
            (geometry.down_axis, geometry.down_flipped),
        )
    )
    first = np.zeros(4)
    first[3], first[geometry.normal_axis] = 1.0, index
    first[geometry.right_axis] = geometry.size[0] - 1 if geometry.right_flipped else 0
    first[geometry.down_axis] = geometry.size[1] - 1 if geometry.down_flipped else 0
    return Plane(origin_mm=(affine @ first)[:3], across_mm=across, down_mm=down, size=geometry.size)


def _checkers(geometry: PlaneGeometry) -> NDArray[np.bool_]:
    columns = (np.arange(geometry.size[0]) * geometry.spacing_mm[0] // _SQUARE_MM).astype(int)
    rows = (np.arange(geometry.size[1]) * geometry.spacing_mm[1] // _SQUARE_MM).astype(int)
    odd: NDArray[np.bool_] = (rows[:, None] + columns[None, :]) % 2 == 1
    return odd


# -- moving what is seen -------------------------------------------------------------------------------------------


def dragged(stage: Stage, number: int, matrix: FloatArray, right_mm: float, down_mm: float) -> FloatArray:
    """The transform after the series was moved over a cut, to the right and down as displayed."""
    to_right, to_bottom = _directions(stage, number)
    return image_moved(matrix, right_mm * to_right + down_mm * to_bottom)


def turned(stage: Stage, number: int, matrix: FloatArray, clockwise_deg: float) -> FloatArray:
    """The transform after the series was turned in a cut, clockwise as displayed, about the middle of the liver."""
    to_right, to_bottom = _directions(stage, number)
    return image_turned(matrix, np.cross(to_right, to_bottom), clockwise_deg, stage.centre_mm)


def centre_in(stage: Stage, number: int) -> tuple[float, float]:
    """Where the middle of the liver lies on a cut: mm from the left, mm from the top."""
    return stage.geometries[number].place_mm(stage.middle)


def _directions(stage: Stage, number: int) -> tuple[FloatArray, FloatArray]:
    """Right and down of a cut as displayed, unit vectors, LPS."""
    plane = plane_of(stage.geometries[number], stage.grid, 0)
    return plane.across_mm / np.linalg.norm(plane.across_mm), plane.down_mm / np.linalg.norm(plane.down_mm)
