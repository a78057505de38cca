"""The images of the screen: cuts, wash, isodose lines, outlines, what lies under the crosshair. No dose is computed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from console.dashboard import formatting
from console.dashboard.planes import PlaneGeometry, bounds_mm, contour_lines, direction_letters, plane_geometries
from console.dashboard.screen_model import DoseLegend, Isodose, Lines, Outline, PlaneScreen
from console.dashboard.view import ViewState, inside, reference_grid
from console.snapshot import Anatomy, Snapshot
from quantify.findings import FractionResult
from quantify.model import Array, EchoSeries, Grid, ParametricMap, Reason, Role, Volume

# Enough around the liver to know where one is in the body.
_FOCUS_MARGIN_MM = 30.0
_BODY_MARGIN_MM = 8.0
# Reasons that are worth hatching: outside the body there is never a signal.
_HATCHED = (Reason.AIR_INTERFACE, Reason.POOR_FIT, Reason.OUTSIDE)


def build_planes(
    snapshot: Snapshot, view: ViewState, result: FractionResult | None, legend: DoseLegend, indices: dict[str, int]
) -> tuple[PlaneScreen, ...]:
    """Axial, coronal and sagittal cuts through the chosen voxel; none while there is no image.

    Parameters
    ----------
    result
        The fraction whose dose is laid over the anatomy; None, or one without maps: anatomy alone.
    indices
        Name of a volume to its number in the plot.
    """
    grid, background = reference_grid(snapshot), snapshot.anatomy or snapshot.reference
    if grid is None or background is None:
        return ()
    voxel = chosen_voxel(snapshot, view)
    volumes = tuple(v for v in snapshot.volumes if v.grid.shape == grid.shape)
    dose = result.maps.dose if result is not None and result.maps is not None else None
    focus = next((v for role in (Role.LIVER, Role.HEALTHY_LIVER) for v in volumes if v.role is role), None)
    scene = _Scene(
        grid=grid,
        background=background,
        dose=dose,
        volumes=volumes if view.volumes else (),
        focus=focus,
        indices=tuple(indices.items()),
        levels_gy=legend.levels_gy if view.isodose else (),
        wash=view.wash,
        grey_window=view.grey_window,
    )
    return tuple(_plane(scene, geometry, voxel[geometry.normal_axis]) for geometry in plane_geometries(grid))


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """All that a cut depends on, apart from where it lies."""

    grid: Grid
    background: Anatomy | EchoSeries
    dose: ParametricMap | None
    volumes: tuple[Volume, ...]
    focus: Volume | None
    indices: tuple[tuple[str, int], ...]
    levels_gy: tuple[float, ...]
    wash: bool
    grey_window: tuple[float, float] | None


@lru_cache(maxsize=96)
def _plane(scene: _Scene, geometry: PlaneGeometry, index: int) -> PlaneScreen:
    dose = scene.dose
    return PlaneScreen(
        geometry=geometry,
        title=_title(geometry, scene.grid, index),
        grey=_cut_float(_values(scene.background), geometry, index),
        grey_levels=_grey_levels(scene.background, scene.grey_window),
        dose=_cut_float(dose.values, geometry, index) if dose is not None and scene.wash else None,
        unevaluable=_unevaluable(dose, geometry, index) if dose is not None and scene.wash else None,
        lower_bound=None,
        isodoses=_isodoses(dose, geometry, index, scene.levels_gy) if dose is not None else (),
        outlines=_outlines(scene.volumes, geometry, index, dict(scene.indices)),
        focus_mm=_focus(scene.background, scene.focus, geometry),
    )


def chosen_voxel(snapshot: Snapshot, view: ViewState) -> tuple[int, int, int]:
    """The voxel that the planes cut through: the reader's, else the middle of the first tumour, else of the grid."""
    grid = reference_grid(snapshot)
    if grid is None:
        return 0, 0, 0
    if view.voxel is not None:
        return inside(view.voxel, grid)
    tumour = next((v for v in snapshot.volumes if v.role is Role.TUMOUR and v.grid.shape == grid.shape), None)
    if tumour is not None:
        return inside(_middle(tumour), grid)
    return grid.shape[0] // 2, grid.shape[1] // 2, grid.shape[2] // 2


def probe_words(snapshot: Snapshot, view: ViewState, result: FractionResult | None) -> str:
    """What lies under the crosshair: place in the patient (mm), dose with its uncertainty, or why there is none."""
    grid = reference_grid(snapshot)
    if grid is None:
        return ""
    voxel = chosen_voxel(snapshot, view)
    point = grid.affine_lps_mm[:3] @ np.array([*voxel, 1.0])
    letters = (("L", "R"), ("P", "A"), ("H", "F"))
    place = " ".join(f"{pair[int(value < 0)]} {abs(value):.0f}" for pair, value in zip(letters, point, strict=True))
    return f"{place} mm: {_dose_words(result, voxel)}"


def _dose_words(result: FractionResult | None, voxel: tuple[int, int, int]) -> str:
    if result is None or result.maps is None:
        return "no dose map"
    dose = result.maps.dose
    reason = Reason(int(dose.reason[voxel]))
    value = float(dose.values[voxel])
    error = float(dose.standard_error[voxel]) if dose.standard_error is not None else None
    if reason is Reason.LOWER_BOUND:
        return formatting.lower_bound(value, error, "Gy")
    if reason is not Reason.EVALUABLE:
        return f"not evaluable ({reason.sentence})"
    words = formatting.with_uncertainty(value, error, "Gy")
    return f"{words} (uncertainty unknown)" if words == formatting.NOT_KNOWN else words


def _title(geometry: PlaneGeometry, grid: Grid, index: int) -> str:
    axis = geometry.normal_axis
    count = grid.shape[axis]
    oblique = f"oblique {geometry.oblique_deg:.0f}° " if geometry.oblique_deg else ""
    direction = direction_letters(grid.affine_lps_mm[:3, axis])
    return f"{oblique}{geometry.name} {index + 1}/{count} → {direction}"


def _values(background: Anatomy | EchoSeries) -> Array:
    return background.values if isinstance(background, Anatomy) else background.signal[0]


def _cut_float(values: Array, geometry: PlaneGeometry, index: int) -> Array:
    plane = geometry.cut(values, index)
    return np.ascontiguousarray(plane, dtype=np.float32)


@lru_cache(maxsize=4)
def _image_levels(background: Anatomy | EchoSeries) -> tuple[float, float]:
    sample = _values(background)[::2, ::2, ::2]
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(sample, (2.0, 99.5)))
    return low, max(high, low + 1e-6)


def _grey_levels(background: Anatomy | EchoSeries, window: tuple[float, float] | None) -> tuple[float, float]:
    if window is None:
        return _image_levels(background)
    level, width = window
    return level - width / 2, level + width / 2


@lru_cache(maxsize=8)
def _middle(volume: Volume) -> tuple[int, int, int]:
    inside_it = np.argwhere(volume.occupancy >= 0.5)
    if not len(inside_it):
        return volume.grid.shape[0] // 2, volume.grid.shape[1] // 2, volume.grid.shape[2] // 2
    s, r, c = (int(v) for v in np.median(inside_it, axis=0))
    return s, r, c


@lru_cache(maxsize=16)
def _focus(
    background: Anatomy | EchoSeries, liver: Volume | None, geometry: PlaneGeometry
) -> tuple[float, float, float, float]:
    if liver is not None:
        return bounds_mm(liver.occupancy > 0, geometry, margin_mm=_FOCUS_MARGIN_MM)
    low, high = _image_levels(background)
    return bounds_mm(_values(background) > low + 0.1 * (high - low), geometry, margin_mm=_BODY_MARGIN_MM)


def _unevaluable(dose: ParametricMap, geometry: PlaneGeometry, index: int) -> NDArray[np.bool_]:
    return np.isin(geometry.cut(dose.reason, index), _HATCHED)


def _with_label(x: NDArray[np.float64], y: NDArray[np.float64], connect: NDArray[np.bool_]) -> Lines:
    """Lines, and the places for their name: the outermost points of the longest of them."""
    if not len(x):
        return Lines(x_mm=x, y_mm=y, connect=connect, label_places=())
    ends = np.flatnonzero(~connect) + 1
    starts = np.concatenate(([0], ends[:-1]))
    longest = int(np.argmax(ends - starts))
    part = slice(starts[longest], ends[longest])
    outermost = (np.argmax(x[part]), np.argmin(x[part]), np.argmin(y[part]), np.argmax(y[part]))
    places = tuple((float(x[part][at]), float(y[part][at])) for at in outermost)
    return Lines(x_mm=x, y_mm=y, connect=connect, label_places=places)


def _isodoses(
    dose: ParametricMap, geometry: PlaneGeometry, index: int, levels_gy: tuple[float, ...]
) -> tuple[Isodose, ...]:
    plane = _cut_float(dose.values, geometry, index)
    lines = contour_lines(plane, levels_gy, geometry.spacing_mm)
    return tuple(
        Isodose(level_gy=level, lines=_with_label(*parts)) for level, parts in zip(levels_gy, lines, strict=True)
    )


def _outlines(
    volumes: tuple[Volume, ...], geometry: PlaneGeometry, index: int, indices: dict[str, int]
) -> tuple[Outline, ...]:
    # The healthy liver is the liver without its tumours: its border is drawn already.
    whole = any(v.role is Role.LIVER for v in volumes)
    drawn = [v for v in volumes if not (whole and v.role is Role.HEALTHY_LIVER)]
    found = []
    for volume in drawn:
        lines = _border(volume, geometry, index)
        if len(lines.x_mm):
            series = indices.get(volume.name) if volume.role is Role.TUMOUR else None
            found.append(Outline(name=volume.name, lines=lines, series=series))
    return tuple(found)


@lru_cache(maxsize=128)
def _border(volume: Volume, geometry: PlaneGeometry, index: int) -> Lines:
    plane = _cut_float(volume.occupancy, geometry, index)
    if not plane.any():
        return _with_label(np.empty(0), np.empty(0), np.empty(0, dtype=bool))
    (parts,) = contour_lines(plane, (0.5,), geometry.spacing_mm)
    return _with_label(*parts)
