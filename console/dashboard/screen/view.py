"""What the reader of the screen has chosen to look at, and what he can ask for. Nothing here touches the treatment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from console.operations import Operation
from console.snapshot import Snapshot
from quantify.model import Grid


class Layer(StrEnum):
    """What can lie over the anatomy."""

    WASH = "wash"
    ISODOSE = "isodose"
    VOLUMES = "volumes"


class Quantity(StrEnum):
    """What the wash and its lines show; one at a time, each with its own legend."""

    DOSE = "dose"
    UNCERTAINTY = "uncertainty"
    INCREMENT = "increment"


class Details(StrEnum):
    """What stands beside the trend."""

    DVH = "dvh"
    VOLUMES = "volumes"


class Tool(StrEnum):
    """The dialogs in which somebody types or draws."""

    SETUP = "setup"
    INJECTIONS = "injections"
    SERIES = "series"
    REGISTRATION = "registration"
    VOLUMES = "volumes"
    DRAWING = "drawing"
    CONNECTION = "connection"
    TUNING = "tuning"
    COMPARISON = "comparison"
    VERIFICATION = "verification"


class Flicker(StrEnum):
    """Which of the two images the registration flicker shows now."""

    REFERENCE = "reference"
    FRACTION = "fraction"


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
    quantity: Quantity = Quantity.DOSE
    compare: bool = False
    """The axial cut of the imaged fraction before stands beside that of the shown one."""
    flicker: Flicker | None = None
    """Reference and registered fraction take turns as anatomy; None: off."""
    probe: bool = False
    """The echoes under the cursor are plotted."""
    hovered: tuple[int, int, int] | None = None
    """The voxel under the cursor; None: no cursor over an image."""
    details: Details = Details.DVH


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
class ShowQuantity:
    """Show this quantity, or the dose again if it is shown already."""

    quantity: Quantity


@dataclass(frozen=True, kw_only=True)
class ToggleCompare:
    """Put the imaged fraction before beside the shown one, or take it away."""


@dataclass(frozen=True, kw_only=True)
class ToggleFlicker:
    """Let reference and registered fraction take turns, or stop it."""


@dataclass(frozen=True, kw_only=True)
class Flip:
    """The other image of the flicker."""


@dataclass(frozen=True, kw_only=True)
class ToggleProbe:
    """Plot the echoes under the cursor, or not."""


@dataclass(frozen=True, kw_only=True)
class Hover:
    """The cursor is over this voxel; None: over none."""

    voxel: tuple[int, int, int] | None


@dataclass(frozen=True, kw_only=True)
class ShowDetails:
    """What is to stand beside the trend; None: the other one."""

    details: Details | None = None


@dataclass(frozen=True, kw_only=True)
class StepView:
    """Back to the view before (−1), or forth again (+1); nothing of the treatment changes."""

    by: int


@dataclass(frozen=True, kw_only=True)
class DismissNews:
    """The news has been read."""


@dataclass(frozen=True, kw_only=True)
class AcknowledgeAlarms:
    """Somebody has seen these alarms. It clears none."""

    alarm_ids: tuple[str, ...]
    name: str


@dataclass(frozen=True, kw_only=True)
class TakeSnapshot:
    """Keep the screen as it is now."""


@dataclass(frozen=True, kw_only=True)
class TogglePause:
    """Halt a replay, or let it go on."""


@dataclass(frozen=True, kw_only=True)
class SetSpeed:
    """Let a replay go so many times faster than it happened."""

    speed: float


@dataclass(frozen=True, kw_only=True)
class JumpToPlace:
    """Let a replay go to a place of its timeline, 0 (the first event) … 1 (the last)."""

    place: float


@dataclass(frozen=True, kw_only=True)
class StepTick:
    """Let a replay go to the tick before (−1), or to the next one (+1)."""

    by: int


@dataclass(frozen=True, kw_only=True)
class LeaveWhatIf:
    """Replay with the recorded settings again."""


@dataclass(frozen=True, kw_only=True)
class OpenTool:
    """Open a dialog, or bring it to the front."""

    tool: Tool


@dataclass(frozen=True, kw_only=True)
class Operate:
    """Somebody says something of the treatment."""

    operation: Operation


@dataclass(frozen=True, kw_only=True)
class UndoOperation:
    """Take back, by a later word, what was said last."""


OfTheView = (
    PlaceCrosshair | SelectFraction | ToggleLayer | ShowQuantity | ToggleCompare | ToggleFlicker | Flip | ToggleProbe
    | Hover | ShowDetails
)  # fmt: skip
OfTheReplay = TogglePause | SetSpeed | JumpToPlace | StepTick | LeaveWhatIf
OfTheTreatment = AcknowledgeAlarms | TakeSnapshot | OpenTool | Operate | UndoOperation | OfTheReplay
Action = OfTheView | OfTheTreatment | StepView | DismissNews


def change_view(view: ViewState, action: OfTheView, snapshot: Snapshot) -> ViewState:
    """Return the view after an action; one that asks for what is not there changes nothing."""
    grid = reference_grid(snapshot)
    match action:
        case PlaceCrosshair(voxel=voxel):
            return view if grid is None else replace(view, voxel=inside(voxel, grid))
        case Hover(voxel=voxel):
            return replace(view, hovered=None if grid is None or voxel is None else inside(voxel, grid))
        case SelectFraction(number=number):
            return _select(view, number, snapshot)
        case ToggleLayer(layer=layer):
            return _toggle(view, layer)
        case ShowQuantity(quantity=quantity):
            return replace(view, quantity=Quantity.DOSE if view.quantity is quantity else quantity)
        case ToggleCompare():
            return replace(view, compare=not view.compare, flicker=None)
        case ToggleFlicker():
            return replace(view, compare=False, flicker=Flicker.REFERENCE if view.flicker is None else None)
        case Flip():
            other = {Flicker.REFERENCE: Flicker.FRACTION, Flicker.FRACTION: Flicker.REFERENCE, None: None}
            return replace(view, flicker=other[view.flicker])
        case ToggleProbe():
            return replace(view, probe=not view.probe)
        case ShowDetails(details=details):
            other_details = Details.VOLUMES if view.details is Details.DVH else Details.DVH
            return replace(view, details=other_details if details is None else details)


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
