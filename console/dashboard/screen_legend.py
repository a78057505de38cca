"""The tables of doses: one for each quantity that the wash can show, with fixed levels in Gy."""

from __future__ import annotations

from config.settings import DisplaySettings
from console.dashboard.screen_model import DoseLegend
from console.dashboard.view import ViewState


def build_legend(display: DisplaySettings, view: ViewState) -> DoseLegend:
    """The legend of the quantity that the view shows."""
    levels = tuple(sorted(float(level) for level in display.isodose_levels_gy))
    return DoseLegend(
        maximum_gy=float(display.dose_maximum_gy),
        threshold_gy=levels[0] / 2.0 if levels else float(display.dose_maximum_gy) / 20.0,
        levels_gy=levels,
        colour_map=str(display.colour_map),
    )
