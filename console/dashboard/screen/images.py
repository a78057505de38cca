"""The images of the screen: anatomy, wash, lines and what each cut says of itself. No dose is computed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from console.dashboard.screen.captions import flicker_of, position_in_question, quantity_caption
from console.dashboard.screen.lines import isodose_lines, volume_outlines
from console.dashboard.screen.model import DoseLegend, Isodose, PlaneScreen
from console.dashboard.screen.planes import PlaneGeometry, bounds_mm, direction_letters, plane_geometries
from console.dashboard.screen.view import Quantity, ViewState, inside, reference_grid
from console.snapshot import Anatomy, ImagedSeries, Snapshot
from quantify.findings import FractionMaps, FractionResult
from quantify.model import Array, EchoSeries, Grid, ParametricMap, Reason, Role, Volume

# Enough around the liver to know where one is in the body.
_FOCUS_MARGIN_MM = 30.0
_BODY_MARGIN_MM = 8.0
# Reasons that are hatched wherever they are; where there is no signal, only inside a volume: air has none either.
_HATCHED = np.isin(np.arange(256), (Reason.AIR_INTERFACE, Reason.POOR_FIT, Reason.OUTSIDE, Reason.MOVED))

Background = Anatomy | EchoSeries | ImagedSeries


def build_planes(
    snapshot: Snapshot, view: ViewState, result: FractionResult | None, legend: DoseLegend, indices: dict[str, int]
) -> tuple[PlaneScreen, ...]:
    """Axial, coronal and sagittal cuts through the chosen voxel; none while there is no image.

    In the comparison: the axial cut of the fraction and that of the imaged fraction before it. In the flicker: the
    reference or the registered fraction as anatomy, without dose.

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
    before = imaged_before(snapshot, result)
    scene = _Scene(
        grid=grid,
        background=background,
        grey_levels=_grey_levels(background, view),
        overlay=_overlay_of(result, view.quantity, first=before is None),
        volumes=volumes,
        outlined=view.volumes,
        fed=_fed(snapshot, result),
        focus=next((v for role in (Role.LIVER, Role.HEALTHY_LIVER) for v in volumes if v.role is role), None),
        indices=tuple(indices.items()),
        levels_gy=legend.levels_gy if view.isodose else (),
        wash=view.wash,
        caption=quantity_caption(snapshot, view, result, before),
        identity=f"ID {snapshot.patient_id}" if snapshot.patient_id else "ID not known",
    )
    geometries = plane_geometries(grid)
    if view.flicker is not None:
        flicker = flicker_of(snapshot, view, grid)
        if flicker.shown is None or flicker.reference is None:
            scene = replace(scene, caption=" · ".join(filter(None, (flicker.caption, scene.caption))))
        else:
            # The same grey for the same signal in both, or the eye would see a change that is none.
            levels = _grey_levels(flicker.reference, view)
            scene = replace(
                scene,
                background=flicker.shown,
                grey_levels=levels,
                overlay=None,
                outlined=True,
                caption=flicker.caption,
            )
    elif view.compare:
        second = imaged_before(snapshot, before)
        earlier = replace(
            scene,
            overlay=_overlay_of(before, view.quantity, first=second is None),
            caption=quantity_caption(snapshot, view, before, second, beside=result),
        )
        axial = geometries[0]
        return tuple(_plane(each, axial, voxel[axial.normal_axis]) for each in (scene, earlier))
    return tuple(_plane(scene, geometry, voxel[geometry.normal_axis]) for geometry in geometries)


def imaged_before(snapshot: Snapshot, result: FractionResult | None) -> FractionResult | None:
    """The last result with maps before this one; None before the first, or without one."""
    found = None
    for other in snapshot.results:
        if result is None or other.key == result.key:
            return found if result is not None else None
        if other.maps is not None:
            found = other
    return None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Overlay:
    """A map as laid over the anatomy; its lower bounds have no standard uncertainty, so there none is shown."""

    map: ParametricMap
    values: Array
    bounds_known: bool


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """All that a cut depends on, apart from where it lies."""

    grid: Grid
    background: Background
    grey_levels: tuple[float, float]
    overlay: _Overlay | None
    volumes: tuple[Volume, ...]
    outlined: bool
    fed: frozenset[str] | None
    focus: Volume | None
    indices: tuple[tuple[str, int], ...]
    levels_gy: tuple[float, ...]
    wash: bool
    caption: str
    identity: str


# Enough for both images of a flicker and a few steps back; more would keep the maps of treatments long closed.
@lru_cache(maxsize=48)
def _plane(scene: _Scene, geometry: PlaneGeometry, index: int) -> PlaneScreen:
    overlay = scene.overlay
    marked = overlay is not None and (scene.wash or bool(scene.levels_gy))
    shown = scene.volumes if scene.outlined else ()
    return PlaneScreen(
        geometry=geometry,
        title=_title(geometry, scene.grid, index),
        grey=_cut_float(_values(scene.background), geometry, index),
        grey_levels=scene.grey_levels,
        dose=_known(overlay, geometry, index) if overlay is not None and scene.wash else None,
        unevaluable=_unevaluable(overlay.map, scene.volumes, geometry, index) if overlay and marked else None,
        lower_bound=geometry.cut(overlay.map.reason, index) == Reason.LOWER_BOUND if overlay and marked else None,
        isodoses=_isodoses(overlay, geometry, index, scene.levels_gy) if overlay is not None else (),
        outlines=volume_outlines(shown, geometry, index, dict(scene.indices), scene.fed),
        focus_mm=_focus(scene.background, scene.focus, geometry),
        caption=scene.caption,
        identity=scene.identity if geometry.name == "axial" else "",
    )


@lru_cache(maxsize=48)
def _isodoses(
    overlay: _Overlay, geometry: PlaneGeometry, index: int, levels_gy: tuple[float, ...]
) -> tuple[Isodose, ...]:
    return isodose_lines(_known(overlay, geometry, index), geometry, levels_gy) if levels_gy else ()


@lru_cache(maxsize=12)
def _known(overlay: _Overlay, geometry: PlaneGeometry, index: int) -> Array:
    """The values of one cut, NaN where there is none."""
    plane = _cut_float(overlay.values, geometry, index)
    reason = geometry.cut(overlay.map.reason, index)
    unknown = reason != Reason.EVALUABLE
    if overlay.bounds_known:
        unknown &= reason != Reason.LOWER_BOUND
    plane[unknown] = np.nan
    plane.flags.writeable = False
    return plane


def _overlay_of(result: FractionResult | None, quantity: Quantity, *, first: bool) -> _Overlay | None:
    return None if result is None or result.maps is None else _overlay(result.maps, quantity, first)


@lru_cache(maxsize=16)
def _overlay(maps: FractionMaps, quantity: Quantity, first: bool) -> _Overlay | None:
    """The same object for the same map: the cuts are told apart by it."""
    if quantity is Quantity.UNCERTAINTY:
        error = maps.dose.standard_error
        return None if error is None else _Overlay(map=maps.dose, values=error, bounds_known=False)
    # The first image has no increment: what it shows was gained since nothing.
    shown = maps.increment if quantity is Quantity.INCREMENT and not first else maps.dose
    return None if shown is None else _Overlay(map=shown, values=shown.values, bounds_known=True)


def _fed(snapshot: Snapshot, result: FractionResult | None) -> frozenset[str] | None:
    """The volumes that the position in question feeds; None: all of them."""
    position = position_in_question(snapshot, result)
    if snapshot.plan is None or position is None or position not in snapshot.plan.positions:
        return None
    own = snapshot.plan.positions[position]
    return None if own.volumes is None else frozenset(filter(None, (*own.volumes, own.territory)))


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


def _title(geometry: PlaneGeometry, grid: Grid, index: int) -> str:
    axis = geometry.normal_axis
    count = grid.shape[axis]
    oblique = f"oblique {geometry.oblique_deg:.0f}° " if geometry.oblique_deg else ""
    direction = direction_letters(grid.affine_lps_mm[:3, axis])
    return f"{oblique}{geometry.name} {index + 1}/{count} → {direction}"


def _values(background: Background) -> Array:
    match background:
        case Anatomy():
            return background.values
        case ImagedSeries():
            return background.registered
        case EchoSeries():
            first_echo: Array = background.signal[0]
            return first_echo


def _cut_float(values: Array, geometry: PlaneGeometry, index: int) -> Array:
    plane: Array = np.array(geometry.cut(values, index), dtype=np.float32)
    return plane


@lru_cache(maxsize=4)
def _image_levels(background: Background) -> tuple[float, float]:
    sample = _values(background)[::2, ::2, ::2]
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(sample, (2.0, 99.5)))
    return low, max(high, low + 1e-6)


def _grey_levels(background: Background, view: ViewState) -> tuple[float, float]:
    if view.grey_window is None:
        return _image_levels(background)
    level, width = view.grey_window
    return level - width / 2, level + width / 2


@lru_cache(maxsize=8)
def _middle(volume: Volume) -> tuple[int, int, int]:
    inside_it = np.argwhere(volume.occupancy >= 0.5)
    if not len(inside_it):
        return volume.grid.shape[0] // 2, volume.grid.shape[1] // 2, volume.grid.shape[2] // 2
    s, r, c = (int(v) for v in np.median(inside_it, axis=0))
    return s, r, c


def _focus(background: Background, liver: Volume | None, geometry: PlaneGeometry) -> tuple[float, float, float, float]:
    return _volume_focus(liver, geometry) if liver is not None else _body_focus(background, geometry)


@lru_cache(maxsize=6)
def _volume_focus(liver: Volume, geometry: PlaneGeometry) -> tuple[float, float, float, float]:
    return bounds_mm(liver.occupancy > 0, geometry, margin_mm=_FOCUS_MARGIN_MM)


@lru_cache(maxsize=12)
def _body_focus(background: Background, geometry: PlaneGeometry) -> tuple[float, float, float, float]:
    low, high = _image_levels(background)
    return bounds_mm(_values(background) > low + 0.1 * (high - low), geometry, margin_mm=_BODY_MARGIN_MM)


def _unevaluable(
    dose: ParametricMap, volumes: tuple[Volume, ...], geometry: PlaneGeometry, index: int
) -> NDArray[np.bool_]:
    reason = geometry.cut(dose.reason, index)
    hatched: NDArray[np.bool_] = _HATCHED[reason]
    if volumes:
        hatched |= (reason == Reason.NO_SIGNAL) & geometry.cut(_inside(volumes), index)
    return hatched


@lru_cache(maxsize=2)
def _inside(volumes: tuple[Volume, ...]) -> NDArray[np.bool_]:
    """The voxels of any volume: once for all cuts."""
    found = volumes[0].occupancy >= 0.5
    for volume in volumes[1:]:
        found |= volume.occupancy >= 0.5
    return found
