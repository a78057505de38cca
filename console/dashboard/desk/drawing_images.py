"""The cuts that a volume is drawn on: anatomy with or without the holmium or dose map, and the lines of the drawing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from config.settings import DisplaySettings
from console.dashboard.screen.images import build_planes
from console.dashboard.screen.legend import build_legend
from console.dashboard.screen.model import DoseLegend, Lines, PlaneScreen
from console.dashboard.screen.planes import PlaneGeometry, contour_lines, plane_geometries
from console.dashboard.screen.room_time import room_clock
from console.dashboard.screen.trend import series_indices
from console.dashboard.screen.view import ViewState, inside
from console.snapshot import Anatomy, Snapshot
from quantify.drawing import Lattice, Patch
from quantify.findings import FractionMaps, FractionResult
from quantify.model import Array, EchoSeries, Grid, ParametricMap

_HOLMIUM_LEVELS = (0.5, 1.0, 2.0, 3.0, 5.0)
"""mg/mL of microspheres: at 5 MBq/mg, 2 mg/mL is some 150 Gy."""


class Source(StrEnum):
    """The image that is drawn on; a threshold is a level of it."""

    ANATOMY = "anatomy"
    HOLMIUM = "holmium map"
    DOSE = "dose map"


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceImage:
    """The values of a source on the reference grid, their unit, and up to where levels of it are sought."""

    values: Array
    grid: Grid
    unit: str
    highest: float


def latest_imaged(snapshot: Snapshot) -> FractionResult | None:
    """The last fraction that has maps."""
    return next((result for result in reversed(snapshot.results) if result.maps is not None), None)


def sources(snapshot: Snapshot) -> tuple[Source, ...]:
    """What there is to draw on."""
    found = (Source.ANATOMY,) if snapshot.anatomy is not None or snapshot.reference is not None else ()
    return found if not found or latest_imaged(snapshot) is None else (*found, Source.HOLMIUM, Source.DOSE)


def source_image(snapshot: Snapshot, source: Source) -> SourceImage | None:
    """The image of a source; None where there is none."""
    if source is Source.ANATOMY:
        background = snapshot.anatomy or snapshot.reference
        return None if background is None else _source_image(background)
    result = latest_imaged(snapshot)
    if result is None or result.maps is None:
        return None
    return _source_image(result.maps.holmium if source is Source.HOLMIUM else result.maps.dose)


@lru_cache(maxsize=3)
def _source_image(image: Anatomy | EchoSeries | ParametricMap) -> SourceImage:
    values = image.signal[0] if isinstance(image, EchoSeries) else image.values
    sample = values[np.isfinite(values)]
    # Of a map a few voxels at the noise floor hold any value; of an image a vessel does.
    highest = float(np.percentile(sample, 99.9)) if sample.size else 1.0
    unit = image.unit if isinstance(image, ParametricMap) else "a.u."
    return SourceImage(values=values, grid=image.grid, unit=unit, highest=max(highest, 1e-3))


def drawing_legend(source: Source, display: DisplaySettings) -> DoseLegend:
    """The colours of a source: the dose's own, or those of the holmium, whose levels are mg/mL."""
    if source is not Source.HOLMIUM:
        return build_legend(display, ViewState())
    return DoseLegend(
        maximum_gy=_HOLMIUM_LEVELS[-1],
        threshold_gy=_HOLMIUM_LEVELS[0] / 2.0,
        levels_gy=_HOLMIUM_LEVELS,
        colour_map="plasma",
        title="mg/mL",
        words="holmium microspheres",
        tooltip="Mass of microspheres per volume, mg/mL, after the fraction named in the image.",
    )


def drawing_planes(
    snapshot: Snapshot,
    source: Source,
    voxel: tuple[int, int, int],
    grey_window: tuple[float, float] | None,
    legend: DoseLegend,
    *,
    earlier: bool = False,
) -> tuple[PlaneScreen, ...]:
    """Axial, coronal and sagittal through a voxel of the reference, with the outlines of the volumes that there are.

    Parameters
    ----------
    earlier
        The drawing lies on a reference that is not the present one: every cut says so.
    """
    result = latest_imaged(snapshot) if source is not Source.ANATOMY else None
    view = ViewState(voxel=voxel, isodose=False, grey_window=grey_window)
    shown = _with_holmium(result) if source is Source.HOLMIUM and result is not None else result
    cuts = build_planes(snapshot, view, shown, legend, series_indices(snapshot))
    words = ["EARLIER REFERENCE"] if earlier else []
    if result is not None:
        at = f" · {room_clock(snapshot, result.acquired_at)}" if result.acquired_at is not None else ""
        words.append(f"{'HOLMIUM mg/mL' if source is Source.HOLMIUM else 'DOSE Gy'} · after {result.label}{at}")
    return tuple(_captioned(cut, " · ".join(words) if n == 0 else "") for n, cut in enumerate(cuts))


@lru_cache(maxsize=24)
def _captioned(plane: PlaneScreen, caption: str) -> PlaneScreen:
    """The same object for the same cut: it is painted once."""
    return replace(plane, caption=caption)


def _with_holmium(result: FractionResult) -> FractionResult:
    return result if result.maps is None else replace(result, maps=_holmium_first(result.maps))


@lru_cache(maxsize=2)
def _holmium_first(maps: FractionMaps) -> FractionMaps:
    """The maps with the holmium where the dose is looked for; the same object for the same maps."""
    return replace(maps, dose=maps.holmium, increment=None)


def drawn_lines(mask: NDArray[np.bool_], lattice: Lattice, plane: PlaneGeometry, voxel: tuple[int, int, int]) -> Lines:
    """The border of what is drawn where a plane of the reference cuts it, closed, in the plane's millimetres."""
    own = lattice_geometry(lattice, plane)
    layers = lattice.layers(own.normal_axis, voxel[own.normal_axis])
    cut = np.asarray(own.cut(mask, (layers.start + layers.stop) // 2), dtype=bool)
    return _closed_lines(cut, own, (0, 0))


def patch_lines(patch: Patch, lattice: Lattice, plane: PlaneGeometry, voxel: tuple[int, int, int]) -> Lines:
    """As `drawn_lines`, of a patch that is not drawn yet."""
    own = lattice_geometry(lattice, plane)
    layers = lattice.layers(own.normal_axis, voxel[own.normal_axis])
    layer, side = (layers.start + layers.stop) // 2, patch.box[own.normal_axis]
    if not side.start <= layer < side.stop or not patch.count:
        return _NO_LINES
    # Where the patch begins on the display: a flipped axis counts from the other end.
    right, down = patch.box[own.right_axis], patch.box[own.down_axis]
    corner = (
        own.size[0] - right.stop if own.right_flipped else right.start,
        own.size[1] - down.stop if own.down_flipped else down.start,
    )
    return _closed_lines(np.asarray(own.cut(patch.inside, layer - side.start), dtype=bool), own, corner)


def lattice_geometry(lattice: Lattice, plane: PlaneGeometry) -> PlaneGeometry:
    """How the lattice is cut along a plane of its reference: places in mm are the same in both."""
    return next(own for own in plane_geometries(lattice.grid) if own.name == plane.name)


_NONE = np.empty(0)
_NO_LINES = Lines(x_mm=_NONE, y_mm=_NONE, connect=np.empty(0, dtype=bool), label_places=())


def _closed_lines(cut: NDArray[np.bool_], geometry: PlaneGeometry, corner: tuple[int, int]) -> Lines:
    rows, columns = np.flatnonzero(cut.any(axis=1)), np.flatnonzero(cut.any(axis=0))
    if not len(rows):
        return _NO_LINES
    top, left = int(rows[0]), int(columns[0])
    # An empty rim closes what reaches the edge of the image.
    part = np.pad(cut[top : int(rows[-1]) + 1, left : int(columns[-1]) + 1], 1).astype(np.float32)
    (x, y, connect) = contour_lines(part, (0.5,), geometry.spacing_mm)[0]
    across = (left + corner[0] - 1) * geometry.spacing_mm[0]
    down = (top + corner[1] - 1) * geometry.spacing_mm[1]
    return Lines(x_mm=x + across, y_mm=y + down, connect=connect, label_places=())


# -- places ----------------------------------------------------------------------------------------------------------


def voxel_of(grid: Grid, place_mm: tuple[float, float, float]) -> tuple[int, int, int]:
    """The voxel of a place (LPS mm), kept inside the grid."""
    slice_, row, column = np.rint(grid.index_from_lps[:3] @ [*place_mm, 1.0]).astype(int)
    return inside((int(slice_), int(row), int(column)), grid)


def place_of(grid: Grid, index: tuple[float, float, float]) -> tuple[float, float, float]:
    """The place (LPS mm) of an index (slice, row, column) that need not be whole."""
    x, y, z = (grid.affine_lps_mm[:3] @ [*index, 1.0]).tolist()
    return x, y, z


def on_plane_mm(grid: Grid, plane: PlaneGeometry, place_mm: tuple[float, float, float]) -> tuple[float, float]:
    """Where a place (LPS mm) lies on the display of a plane: mm from the left, mm from the top."""
    index = (grid.index_from_lps[:3] @ [*place_mm, 1.0]).tolist()
    column, row = index[plane.right_axis], index[plane.down_axis]
    column = plane.size[0] - 1 - column if plane.right_flipped else column
    row = plane.size[1] - 1 - row if plane.down_flipped else row
    return (column + 0.5) * plane.spacing_mm[0], (row + 0.5) * plane.spacing_mm[1]


def from_plane(
    grid: Grid, plane: PlaneGeometry, x_mm: float, y_mm: float, voxel: tuple[int, int, int]
) -> tuple[float, float, float]:
    """The place (LPS mm) under a point of the display, in the plane that cuts through `voxel`; kept inside the grid."""
    column = min(max(x_mm / plane.spacing_mm[0] - 0.5, -0.5), plane.size[0] - 0.5)
    row = min(max(y_mm / plane.spacing_mm[1] - 0.5, -0.5), plane.size[1] - 0.5)
    index = [float(at) for at in voxel]
    index[plane.right_axis] = plane.size[0] - 1 - column if plane.right_flipped else column
    index[plane.down_axis] = plane.size[1] - 1 - row if plane.down_flipped else row
    return place_of(grid, (index[0], index[1], index[2]))


def place_words(place_mm: tuple[float, float, float]) -> str:
    """``L 34 P 12 H 5 mm``."""
    told = zip(("LR", "PA", "HF"), place_mm, strict=True)
    return " ".join(f"{pair[int(round(value) < 0)]} {abs(round(value))}" for pair, value in told) + " mm"
