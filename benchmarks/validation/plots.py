"""Draws the pictures of the document. The only module that needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt

from benchmarks.validation.section import Curve, Panel, Picture

_COLOURS = ("#1b6ca8", "#d1495b", "#2a9d6f", "#e09f3e", "#7b5ea7", "#5c6770", "#00a6a6", "#8c564b")


def draw(picture: Picture, path: Path) -> None:
    """Write one picture as PNG."""
    count = len(picture.panels)
    figure, axes = plt.subplots(1, count, figsize=(4.3 * count if count > 1 else 6.2, 3.5), dpi=110, squeeze=False)
    for axis, panel in zip(axes[0], picture.panels, strict=True):
        _draw_panel(axis, panel)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the version and date in the file the same figures give the same bytes.
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


def _draw_panel(axis: Any, panel: Panel) -> None:
    if panel.band is not None:
        axis.axhspan(*panel.band, color="#2a9d6f", alpha=0.12, lw=0)
    for number, curve in enumerate(panel.curves):
        _draw_curve(axis, curve, number)
    axis.set_title(panel.title, fontsize=9.5)
    axis.set_xlabel(panel.x_label, fontsize=8.5)
    axis.set_ylabel(panel.y_label, fontsize=8.5)
    axis.tick_params(labelsize=8)
    if panel.log_x:
        axis.set_xscale("log")
    if panel.log_y:
        axis.set_yscale("log")
    if panel.y_limits is not None:
        axis.set_ylim(*panel.y_limits)
    if panel.x_ticks:
        axis.minorticks_off()
        axis.set_xticks([place for place, _ in panel.x_ticks], [text for _, text in panel.x_ticks])
    axis.grid(alpha=0.25, lw=0.6)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    if any(curve.label for curve in panel.curves):
        axis.legend(fontsize=7.5, frameon=False)


def _draw_curve(axis: Any, curve: Curve, number: int) -> None:
    place = number if curve.colour is None else curve.colour
    colour = "#9aa3ab" if place < 0 else _COLOURS[place % len(_COLOURS)]
    dash = "--" if curve.dashed else "-"
    if curve.style == "points":
        axis.plot(curve.x, curve.y, ".", ms=5, alpha=0.6, color=colour, label=curve.label or None, mew=0)
    elif curve.style == "dots":
        axis.errorbar(
            curve.x, curve.y, yerr=curve.error, fmt="o", ms=5, capsize=3, color=colour, label=curve.label or None
        )
    elif curve.error is not None:
        axis.errorbar(
            curve.x,
            curve.y,
            yerr=curve.error,
            fmt=f"o{dash}",
            ms=3.5,
            lw=1.3,
            capsize=2,
            color=colour,
            label=curve.label or None,
        )
    else:
        axis.plot(curve.x, curve.y, dash, lw=1.4, color=colour, label=curve.label or None)
