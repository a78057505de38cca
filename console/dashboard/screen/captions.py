"""What a cut says of itself where it is not simply the current dose: no increment may be read as a total dose."""

from __future__ import annotations

from dataclasses import dataclass

from console.dashboard.screen.room_time import room_clock
from console.dashboard.screen.view import Flicker, Quantity, ViewState
from console.snapshot import ImagedSeries, Snapshot
from quantify.findings import FractionResult, RegistrationStatus
from quantify.model import Grid


def quantity_caption(
    snapshot: Snapshot,
    view: ViewState,
    result: FractionResult | None,
    before: FractionResult | None,
    *,
    beside: FractionResult | None = None,
) -> str:
    """The caption of a cut; empty for the dose after the fraction that the badge names.

    Parameters
    ----------
    before
        The imaged fraction before `result`.
    beside
        In the comparison, the later fraction that this earlier one stands beside.
    """
    if result is None and beside is not None:
        return f"nothing imaged before {beside.label}: anatomy alone"
    words = _words(snapshot, view, result, before)
    if result is None:
        position = position_in_question(snapshot, None)
        return words or (f"no dose yet · injection position {position}" if position else "")
    return f"◂ EARLIER: {words}" if beside is not None else words


def position_in_question(snapshot: Snapshot, result: FractionResult | None) -> str | None:
    """The injection position of the shown fraction; before the first, the one that comes next."""
    if result is not None:
        return result.position
    if snapshot.awaited is not None:
        return snapshot.awaited[0]
    return next((i.position for i in snapshot.injections if i.time is None), None)


def _words(snapshot: Snapshot, view: ViewState, result: FractionResult | None, before: FractionResult | None) -> str:
    maps = result.maps if result is not None else None
    after = ""
    if result is not None:
        time = f" · {room_clock(snapshot, result.acquired_at)}" if result.acquired_at is not None else ""
        after = f"after {result.label}{time}" + ("" if maps is not None else ": no dose map")
    if view.quantity is Quantity.UNCERTAINTY:
        if maps is None or maps.dose.standard_error is None:
            return "STANDARD UNCERTAINTY k = 1: not known"
        return f"STANDARD UNCERTAINTY k = 1 · {after}"
    if view.quantity is Quantity.INCREMENT:
        return _increment_words(result, before)
    return after if view.compare else ""


def _increment_words(result: FractionResult | None, before: FractionResult | None) -> str:
    if result is None or result.maps is None:
        return "INCREMENT: no dose map"
    if before is None:
        return f"INCREMENT {result.label}: first image, the dose itself"
    same = result.position == before.position
    since = f"F{before.fraction}" if same else before.label
    return f"INCREMENT {result.label} − {since}" + ("" if result.maps.increment is not None else ": not known")


@dataclass(frozen=True, kw_only=True)
class FlickerScene:
    """The image that the flicker shows now, the reference whose grey levels both have, and its caption."""

    caption: str
    shown: ImagedSeries | None = None
    reference: ImagedSeries | None = None


def flicker_of(snapshot: Snapshot, view: ViewState, grid: Grid) -> FlickerScene:
    """What the registration flicker shows of the chosen fraction, or why there is nothing to flicker."""
    fitting = {series.key: series for series in snapshot.imaged if series.registered.shape == grid.shape}
    reference = fitting.get(None)
    if reference is None:
        return FlickerScene(caption="NO FLICKER: the reference is not fitted yet")
    result = next((r for r in snapshot.results if r.key == view.selected), None)
    result = result or (snapshot.results[-1] if snapshot.results else None)
    if result is None:
        return FlickerScene(caption="NO FLICKER: no fraction has been imaged yet")
    fraction = fitting.get(result.key)
    if fraction is None:
        return FlickerScene(caption=f"NO FLICKER: {result.label} has no registered series")
    if view.flicker is Flicker.REFERENCE:
        return FlickerScene(caption="REFERENCE", shown=reference, reference=reference)
    return FlickerScene(caption=_registered_words(result), shown=fraction, reference=reference)


def _registered_words(result: FractionResult) -> str:
    registration = result.registration
    if registration is None or registration.status is RegistrationStatus.NOT_NEEDED:
        return f"{result.label} as acquired: registration not needed"
    if registration.status is RegistrationStatus.FAILED:
        return f"✕ {result.label}: REGISTRATION FAILED"
    sign = "! " if registration.status is RegistrationStatus.WARNING else ""
    return f"{sign}{result.label} registered: {registration.shift_mm:.1f} mm"
