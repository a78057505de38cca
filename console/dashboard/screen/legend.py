"""The tables of doses: one for each quantity that the wash can show, with fixed levels in Gy."""

from __future__ import annotations

from config.settings import DisplaySettings
from console.dashboard.screen import formatting
from console.dashboard.screen.model import DoseLegend
from console.dashboard.screen.view import Quantity, ViewState

# Shares of the maximum at which lines are drawn: 2, 5, 10, 15 and 20 Gy of 20; ±10, 20, 30 and 50 Gy of 50.
_UNCERTAINTY_LEVELS = (0.1, 0.25, 0.5, 0.75, 1.0)
_INCREMENT_LEVELS = (0.2, 0.4, 0.6, 1.0)
_DIVERGING = "CET-CBD1"
"""Blue over white to yellow: told apart with any colour-vision deficiency (Kovesi 2015, arXiv:1509.03700)."""


def build_legend(display: DisplaySettings, view: ViewState) -> DoseLegend:
    """The legend of the quantity that the view shows: fixed levels in Gy, the colours of no other quantity."""
    match view.quantity:
        case Quantity.UNCERTAINTY:
            return _uncertainty(display)
        case Quantity.INCREMENT:
            return _increment(display)
        case _:
            return _dose(display)


def level_words(legend: DoseLegend, level_gy: float) -> str:
    """A level as written beside its line: an increment always with its sign."""
    if legend.minimum_gy >= 0:
        return f"{level_gy:g}"
    return formatting.signed(level_gy, 0 if level_gy == round(level_gy) else 1)


def _dose(display: DisplaySettings) -> DoseLegend:
    levels = tuple(sorted(float(level) for level in display.isodose_levels_gy))
    return DoseLegend(
        maximum_gy=float(display.dose_maximum_gy),
        threshold_gy=levels[0] / 2.0 if levels else float(display.dose_maximum_gy) / 20.0,
        levels_gy=levels,
        colour_map=str(display.colour_map),
        words="absorbed dose",
        tooltip="Absorbed dose, Gy, of all fractions up to the one named above the images.\n"
        "Levels: settings display.dose_maximum_Gy and display.isodose_levels_Gy.",
    )


def _uncertainty(display: DisplaySettings) -> DoseLegend:
    maximum = float(display.uncertainty_maximum_gy)
    return DoseLegend(
        maximum_gy=maximum,
        threshold_gy=maximum * _UNCERTAINTY_LEVELS[0] / 2.0,
        levels_gy=tuple(maximum * share for share in _UNCERTAINTY_LEVELS),
        colour_map="viridis" if display.colour_map == "cividis" else "cividis",
        title="± Gy",
        words="standard uncertainty",
        tooltip="Standard uncertainty (k = 1) of the absorbed dose of each voxel alone, Gy: what all voxels share is "
        "not in it.\nA lower bound has none. Levels: setting display.uncertainty_maximum_Gy.",
    )


def _increment(display: DisplaySettings) -> DoseLegend:
    maximum = float(display.increment_maximum_gy)
    above = tuple(maximum * share for share in _INCREMENT_LEVELS)
    return DoseLegend(
        maximum_gy=maximum,
        minimum_gy=-maximum,
        threshold_gy=above[0] / 2.0,
        levels_gy=(*(-level for level in reversed(above)), *above),
        colour_map=_DIVERGING,
        title="Δ Gy",
        words="increment",
        tooltip="Absorbed dose gained since the image before, Gy; below 0 only by noise and registration.\n"
        "Levels: setting display.increment_maximum_Gy.",
    )
