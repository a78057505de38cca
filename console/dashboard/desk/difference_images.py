"""The difference map B − A on three cuts: its fixed colours in Gy, and what stands on the cuts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from console.dashboard.screen import formatting
from console.dashboard.screen.images import build_planes, chosen_voxel
from console.dashboard.screen.model import DoseLegend, PlaneScreen
from console.dashboard.screen.probe import map_words
from console.dashboard.screen.remembered import by_identity
from console.dashboard.screen.trend import series_indices
from console.dashboard.screen.view import ViewState
from console.snapshot import Snapshot
from quantify.difference import map_difference
from quantify.findings import FractionMaps, FractionResult
from quantify.model import ParametricMap, Reason

RANGES_GY = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
"""Ends of the colours that can be chosen: fixed, so that a colour means the same before and after a change."""
USUAL_RANGE_GY = 10.0
_LEVELS = (0.2, 0.5, 1.0)
_DIVERGING = "CET-CBD1"
"""As the increment: blue over white to yellow."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DifferenceImages:
    """The cuts, or why there are none."""

    planes: tuple[PlaneScreen, ...] = ()
    voxel: tuple[int, int, int] = (0, 0, 0)
    crosshairs_mm: tuple[tuple[float, float], ...] = ()
    legend: DoseLegend
    message: str = ""
    probe: str = ""
    """A, B and their difference under the crosshair."""


@lru_cache(maxsize=8)
def difference_legend(maximum_gy: float) -> DoseLegend:
    """Symmetric about 0, levels in Gy."""
    above = tuple(maximum_gy * share for share in _LEVELS)
    return DoseLegend(
        maximum_gy=maximum_gy,
        minimum_gy=-maximum_gy,
        threshold_gy=above[0] / 4.0,
        levels_gy=(*(-level for level in reversed(above)), *above),
        colour_map=_DIVERGING,
        title="Δ Gy",
        words="difference",
        tooltip="Absorbed dose of the draft (B) less that of the active settings (A), Gy.\n"
        "Hatched where one of them cannot be evaluated, dotted where one is only a lower bound.",
    )


def difference_images(
    a: Snapshot,
    b: Snapshot | None,
    key: tuple[str, int] | None,
    *,
    voxel: tuple[int, int, int] | None,
    maximum_gy: float,
    old: bool,
) -> DifferenceImages:
    """Axial, coronal and sagittal cuts of B − A after one fraction, through a voxel (None: the first tumour).

    Parameters
    ----------
    old
        Whether B is of an earlier draft: the cuts say so.
    """
    legend = difference_legend(maximum_gy)
    own, its = result_of(a, key), result_of(b, key)
    if own is None:
        return DifferenceImages(legend=legend, message="no fraction has a result yet")
    if b is None:
        return DifferenceImages(legend=legend, message="no draft to compare with yet")
    if own.maps is None or its is None or its.maps is None:
        missing = "A has no dose map" if own.maps is None else "the dose map of B is not here yet"
        return DifferenceImages(legend=legend, message=f"after {own.label}: {missing}")
    if not own.maps.dose.grid.same_as(its.maps.dose.grid):
        return DifferenceImages(legend=legend, message=f"after {own.label}: A and B lie on different grids")
    maps = _difference(own.maps, its.maps)
    view = ViewState(voxel=voxel, selected=own.key)
    planes = build_planes(a, view, replace(own, maps=maps), legend, series_indices(a))
    caption = f"B − A after {own.label}" + (" · B IS OLD" if old else "")
    at = chosen_voxel(a, view)
    words = (_change_words(maps.dose, at), map_words(own.maps.dose, at), map_words(its.maps.dose, at))
    return DifferenceImages(
        planes=tuple(_captioned(plane, caption) for plane in planes),
        voxel=at,
        crosshairs_mm=tuple(plane.geometry.place_mm(at) for plane in planes),
        legend=legend,
        message="" if planes else "no image to lay the difference over",
        probe="✛ B − A {}   ·   A {}   ·   B {}".format(*words),
    )


def result_of(snapshot: Snapshot | None, key: tuple[str, int] | None) -> FractionResult | None:
    """The result of a fraction; without a key the latest."""
    if snapshot is None or not snapshot.results:
        return None
    return next((r for r in snapshot.results if r.key == key), snapshot.results[-1] if key is None else None)


def _change_words(change: ParametricMap, voxel: tuple[int, int, int]) -> str:
    reason = Reason(int(change.reason[voxel]))
    if reason is Reason.EVALUABLE:
        return f"{formatting.signed(float(change.values[voxel]), 1)} {change.unit}"
    return "not told (a lower bound)" if reason is Reason.LOWER_BOUND else f"not evaluable ({reason.sentence})"


@by_identity(kept=1)
def _difference(a: FractionMaps, b: FractionMaps) -> FractionMaps:
    """The same object for the same maps: the cuts are told apart by it."""
    made = map_difference(a.dose, b.dose)
    return FractionMaps(r2star=made, holmium=made, activity=made, dose=made)


@lru_cache(maxsize=12)
def _captioned(plane: PlaneScreen, caption: str) -> PlaneScreen:
    return replace(plane, caption=caption)
