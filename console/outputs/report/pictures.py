"""Absorbed dose over the anatomy: axial, coronal and sagittal through the middle of a volume."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import AbstractPathEffect, withStroke
from numpy.typing import NDArray

from console.outputs.report.look import (
    ON_BLACK,
    TEXT_WIDTH_MM,
    DoseLook,
    dose_look,
    drawing,
    look_of,
    plain_text,
)
from console.outputs.report.words import Document, plotted
from console.snapshot import Snapshot
from quantify.findings import FractionResult
from quantify.model import Array, Reason, Volume
from quantify.planes import PlaneGeometry, bounds_mm, contour_lines, plane_geometries

_TALLEST_MM, _LOWEST_MM = 66.0, 50.0
_LEGEND_MM, _GAP_MM, _TITLE_MM = 24.0, 2.5, 5.0
_MARGIN_MM = 30.0
_SHORTEST_MM = 25.0
"""Shorter isodose lines are noise about a level; as on the screen."""
_SCALE_MM = 50.0
_HATCHED = np.isin(np.arange(256), (Reason.AIR_INTERFACE, Reason.POOR_FIT, Reason.OUTSIDE, Reason.MOVED))
_LABEL_MM = 5.0
"""How far from its line the dose of a level stands."""
_LETTERS: dict[str, Any] = {"color": "white", "fontsize": 8, "fontweight": "bold"}
_EDGE: list[AbstractPathEffect] = [withStroke(linewidth=0.9, foreground="black")]
"""White letters have to be read on white fat too."""


def can_be_drawn(snapshot: Snapshot, result: FractionResult | None) -> bool:
    """Whether there are an anatomy and a dose map."""
    return result is not None and result.maps is not None and _background(snapshot) is not None


def dose_picture(
    snapshot: Snapshot, document: Document, result: FractionResult, voxel: tuple[int, int, int]
) -> tuple[bytes, float]:
    """Three cuts through a voxel (slice, row, column) of the reference grid, with the key of the colours.

    Returns the PNG and its height on paper, mm.
    """
    maps, background = result.maps, _background(snapshot)
    if maps is None or background is None:
        raise ValueError("dose_picture: there is no dose map, or no anatomy under it.")
    grid = maps.dose.grid
    geometries = plane_geometries(grid)
    volumes = tuple(v for v in snapshot.volumes if v.grid.shape == grid.shape)
    liver = next((v for role in ("liver", "healthy_liver") for v in volumes if v.role == role), None)
    low, high = _grey_levels(background)
    seen = liver.occupancy > 0 if liver is not None else background > low + 0.1 * (high - low)
    parts = [bounds_mm(seen, geometry, margin_mm=_MARGIN_MM) for geometry in geometries]
    room = TEXT_WIDTH_MM - _LEGEND_MM - 2 * _GAP_MM
    tallest = max(part[3] for part in parts)
    scale = min(room / sum(part[2] for part in parts), (_TALLEST_MM - _TITLE_MM) / tallest)
    height = max(_LOWEST_MM, _TITLE_MM + scale * tallest)
    look, left = dose_look(document), 0.0
    with drawing(height) as (figure, buffer):
        for geometry, part in zip(geometries, parts, strict=True):
            box = (
                left / TEXT_WIDTH_MM,
                1 - (_TITLE_MM + part[3] * scale) / height,
                part[2] * scale / TEXT_WIDTH_MM,
                part[3] * scale / height,
            )
            axes = figure.add_axes(box)
            at = voxel[geometry.normal_axis]
            oblique = "oblique " if geometry.oblique_deg else ""
            axes.set_title(
                f"{oblique}{geometry.name} · {at + 1} of {grid.shape[geometry.normal_axis]}", fontsize=7, pad=3
            )
            _anatomy(axes, geometry, geometry.cut(background, at), low, high)
            _dose(axes, geometry, result, volumes, at, look, part)
            _outlines(axes, geometry, volumes, at, plotted(document))
            _marks(axes, geometry, part, voxel)
            left += part[2] * scale + _GAP_MM
        _key(figure, look, height)
    return buffer.getvalue(), height


def _background(snapshot: Snapshot) -> Array | None:
    if snapshot.anatomy is not None:
        return snapshot.anatomy.values
    return None if snapshot.reference is None else snapshot.reference.signal[0]


def _grey_levels(values: Array) -> tuple[float, float]:
    sample = values[::2, ::2, ::2]
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(sample, (2.0, 99.5)))
    return low, max(high, low + 1e-6)


def _anatomy(axes: Axes, geometry: PlaneGeometry, cut: NDArray[Any], low: float, high: float) -> None:
    width, height = geometry.size_mm
    grey = np.nan_to_num(cut.astype(np.float64), nan=low)
    axes.imshow(
        grey, cmap="gray", vmin=low, vmax=high, extent=(0, width, height, 0), interpolation="bilinear", aspect="auto"
    )


def _dose(
    axes: Axes,
    geometry: PlaneGeometry,
    result: FractionResult,
    volumes: tuple[Volume, ...],
    at: int,
    look: DoseLook,
    part: tuple[float, float, float, float],
) -> None:
    if result.maps is None:
        return
    width, height = geometry.size_mm
    dose, reason = geometry.cut(result.maps.dose.values, at), geometry.cut(result.maps.dose.reason, at)
    known = np.isin(reason, (Reason.EVALUABLE, Reason.LOWER_BOUND))
    values = np.where(known, dose, np.nan).astype(np.float32)
    extent = (0, width, height, 0)
    axes.imshow(look.wash(values), extent=extent, interpolation="nearest", aspect="auto")
    lines = contour_lines(values, look.levels_gy, geometry.spacing_mm)
    for level, (x, y, connect) in zip(look.levels_gy, lines, strict=True):
        _isodose(axes, look, level, x, y, connect, part)
    inside = np.zeros(values.shape, dtype=bool)
    for volume in volumes:
        inside |= np.asarray(geometry.cut(volume.occupancy, at), dtype=np.float32) >= 0.5
    hatched = _HATCHED[reason] | ((reason == Reason.NO_SIGNAL) & inside)
    for mask, hatch in ((hatched, "/////"), (reason == Reason.LOWER_BOUND, "....")):
        _pattern(axes, mask, extent, hatch)


def _pattern(axes: Axes, mask: NDArray[np.bool_], extent: tuple[float, float, float, float], hatch: str) -> None:
    """Hatch voxels whole, up to their edges: half a voxel of a small spot would not be seen."""
    if not mask.any():
        return
    fine = np.kron(mask, np.ones((4, 4), dtype=bool)).astype(np.float64)
    drawn = axes.contourf(fine, levels=[0.5, 1.5], colors="none", hatches=[hatch], extent=extent, origin="upper")
    drawn.set_edgecolor("#ffffff")
    drawn.set_linewidth(0.0)


def _isodose(
    axes: Axes,
    look: DoseLook,
    level: float,
    x: NDArray[Any],
    y: NDArray[Any],
    connect: NDArray[np.bool_],
    seen: tuple[float, float, float, float],
) -> None:
    """The line of a level, with its dose where it reaches farthest: each level in another direction than the next."""
    left, top, width, height = seen
    angle = 0.9 + 2.4 * look.levels_gy.index(level)
    colour, dashes = look.line(level)
    longest, label = 0.0, None
    for part in np.split(np.arange(len(x)), np.flatnonzero(~connect) + 1):
        length = float(np.hypot(np.diff(x[part]), np.diff(y[part])).sum())
        if length < _SHORTEST_MM:
            continue
        axes.plot(x[part], y[part], color=colour, linewidth=1.0, linestyle=(0, dashes) if dashes else "-")
        if length > longest:
            inner = part[(x[part] > left + 5) & (x[part] < left + width - 5)]
            inner = inner[(y[inner] > top + 5) & (y[inner] < top + height - 5)]
            if inner.size:
                outermost = inner[int(np.argmax(np.cos(angle) * x[inner] + np.sin(angle) * y[inner]))]
                longest, label = length, (float(x[outermost]), float(y[outermost]))
    if label is not None:
        at = (label[0] + _LABEL_MM * np.cos(angle), label[1] + _LABEL_MM * np.sin(angle))
        words = axes.text(*at, f"{level:g}", color="white", fontsize=5.6, ha="center", va="center", clip_on=True)
        words.set_path_effects(_EDGE)


def _outlines(
    axes: Axes, geometry: PlaneGeometry, volumes: tuple[Volume, ...], at: int, indices: dict[str, int]
) -> None:
    whole = any(v.role == "liver" for v in volumes)
    for volume in volumes:
        if whole and volume.role == "healthy_liver":
            continue
        plane = np.ascontiguousarray(geometry.cut(volume.occupancy, at), dtype=np.float32)
        x, y, connect = contour_lines(plane, (0.5,), geometry.spacing_mm)[0]
        tumour = volume.role == "tumour"
        colour = look_of(indices[volume.name], ON_BLACK)[0] if tumour and volume.name in indices else "#cfd6dc"
        for part in np.split(np.arange(len(x)), np.flatnonzero(~connect) + 1):
            axes.plot(x[part], y[part], color=colour, linewidth=1.3 if tumour else 0.7)


def _marks(
    axes: Axes,
    geometry: PlaneGeometry,
    part: tuple[float, float, float, float],
    voxel: tuple[int, int, int],
) -> None:
    """Letters of the directions, a scale, short marks where the other two planes cut, no axes."""
    left, top, width, height = part
    axes.set_xlim(left, left + width)
    axes.set_ylim(top + height, top)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_facecolor("black")
    x, y = geometry.place_mm(voxel)
    for at, line in (((x, x), (top, top + 0.05 * height)), ((x, x), (top + 0.95 * height, top + height))):
        axes.plot(at, line, color="#ffffff", linewidth=0.6)
    for at, line in (((left, left + 0.05 * width), (y, y)), ((left + 0.95 * width, left + width), (y, y))):
        axes.plot(at, line, color="#ffffff", linewidth=0.6)
    sides = [(0.02, 0.44, "left", "center"), (0.98, 0.44, "right", "center")]
    places = [*sides, (0.44, 0.98, "center", "top"), (0.44, 0.02, "center", "bottom")]
    for letters, (at_x, at_y, across, up) in zip(geometry.letters, places, strict=True):
        words = axes.text(at_x, at_y, letters, transform=axes.transAxes, ha=across, va=up, **_LETTERS)
        words.set_path_effects(_EDGE)
    start, low = left + 0.04 * width, top + 0.955 * height
    axes.plot((start, start + _SCALE_MM), (low, low), color="white", linewidth=1.6, solid_capstyle="butt")
    words = axes.text(start, low - 0.02 * height, f"{_SCALE_MM:g} mm", color="white", fontsize=5.5, va="bottom")
    words.set_path_effects(_EDGE)


def _key(figure: Figure, look: DoseLook, height: float) -> None:
    """The bar with its levels and strokes, and what hatching and dots mean."""
    left, width = (TEXT_WIDTH_MM - _LEGEND_MM + 2) / TEXT_WIDTH_MM, 4 / TEXT_WIDTH_MM
    axes = figure.add_axes((left, 13 / height, width, (height - 22) / height))
    ramp = np.linspace(0.0, look.maximum_gy, 256)[::-1, None]
    colours = look.wash(ramp)
    colours[colours[..., 3] > 0, 3] = 1.0
    colours[colours[..., 3] == 0] = (0.0, 0.0, 0.0, 1.0)
    axes.imshow(colours, extent=(0, 1, 0, look.maximum_gy), aspect="auto")
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.set_yticks([level for level in look.levels_gy if level <= look.maximum_gy])
    axes.set_yticklabels([f"{level:g}" for level in look.levels_gy if level <= look.maximum_gy], fontsize=7)
    axes.tick_params(length=2, pad=2)
    axes.set_title("absorbed\ndose (Gy)", fontsize=6.5, loc="left", pad=3)
    for level in look.levels_gy:
        if level <= look.maximum_gy:
            colour, dashes = look.line(level)
            axes.plot((0, 1), (level, level), color=colour, linewidth=1.0, linestyle=(0, dashes) if dashes else "-")
    for number, (hatch, words) in enumerate((("/////", "not evaluable"), ("....", "≥ lower bound"))):
        patch = figure.add_axes((left, (6.5 - 5.5 * number) / height, width, 4 / height))
        patch.set_xticks([])
        patch.set_yticks([])
        patch.set_facecolor("#4a4a4a")
        filled = patch.contourf(np.ones((2, 2)), levels=[0.5, 1.5], colors="none", hatches=[hatch])
        filled.set_edgecolor("#ffffff")
        patch.text(1.25, 0.5, plain_text(words), transform=patch.transAxes, fontsize=5.2, va="center")
