"""What the reader of the screen has chosen to look at, and what he can ask for. Nothing here touches the treatment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from console.snapshot import Snapshot
from quantify.model import Grid


class Layer(StrEnum):
    """What can lie over the anatomy."""

    WASH = "wash"
    ISODOSE = "isodose"
    VOLUMES = "volumes"


@dataclass(frozen=True, kw_only=True)
class ViewState:
    """The chosen voxel (slice, row, column; None: the first tumour's middle), fraction (None: latest), layers."""

    voxel: tuple[int, int, int] | None = None
    selected: tuple[str, int] | None = None
    wash: bool = True
    isodose: bool = True
    volumes: bool = True
    grey_window: tuple[float, float] | None = None
    """(level, width) of the anatomy, its own unit; None: from the image."""


@dataclass(frozen=True, kw_only=True)
class PlaceCrosshair:
    """Cut the planes through this voxel."""

    voxel: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class SelectFraction:
    """Show the result of the n-th injection (from 1), or the latest (0)."""

    number: int


@dataclass(frozen=True, kw_only=True)
class ToggleLayer:
    """Lay a layer over the anatomy, or take it off."""

    layer: Layer


@dataclass(frozen=True, kw_only=True)
class AcknowledgeAlarms:
    """Somebody has seen these alarms. It clears none."""

    alarm_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TakeSnapshot:
    """Keep the screen as it is now."""


Action = PlaceCrosshair | SelectFraction | ToggleLayer | AcknowledgeAlarms | TakeSnapshot


def change_view(view: ViewState, action: Action, snapshot: Snapshot) -> ViewState:
    """Return the view after an action; one that asks for what is not there changes nothing."""
    if isinstance(action, PlaceCrosshair):
        grid = reference_grid(snapshot)
        return view if grid is None else replace(view, voxel=inside(action.voxel, grid))
    if isinstance(action, SelectFraction):
        return _select(view, action.number, snapshot)
    if isinstance(action, ToggleLayer):
        return _toggle(view, action.layer)
    return view


def reference_grid(snapshot: Snapshot) -> Grid | None:
    """The grid that every map lies on; None before there is anything to show."""
    if snapshot.reference is not None:
        return snapshot.reference.grid
    if snapshot.anatomy is not None:
        return snapshot.anatomy.grid
    return next((result.maps.dose.grid for result in snapshot.results if result.maps is not None), None)


def inside(voxel: tuple[int, int, int], grid: Grid) -> tuple[int, int, int]:
    """The nearest voxel of the grid."""
    s, r, c = (min(max(i, 0), n - 1) for i, n in zip(voxel, grid.shape, strict=True))
    return s, r, c


def _toggle(view: ViewState, layer: Layer) -> ViewState:
    if layer is Layer.WASH:
        return replace(view, wash=not view.wash)
    if layer is Layer.ISODOSE:
        return replace(view, isodose=not view.isodose)
    return replace(view, volumes=not view.volumes)


def _select(view: ViewState, number: int, snapshot: Snapshot) -> ViewState:
    if number == 0:
        return replace(view, selected=None)
    if number > len(snapshot.injections):
        return view
    key = snapshot.injections[number - 1].key
    if all(result.key != key for result in snapshot.results):
        return view
    return replace(view, selected=key)
