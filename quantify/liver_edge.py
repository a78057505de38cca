"""How far the liver's edge in a registered series lies from that in the reference, measured along the edge's normal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from quantify.model import Array, EchoSeries, FloatArray, Grid
from quantify.signal_at_zero import signal_at_zero

_STEP_MM = 1.5
_REACH = 8
"""Steps in half a profile (12 mm), and the largest distance that is looked for."""
_POINTS = 600
_ECHOES = 3
"""Echoes that the signal at the echo time 0 is taken from: later ones hold more noise than signal in holmium."""
_BESIDE_MM = 3.0
"""A profile is the mean of five, this far apart along the edge: a voxel's noise is not an edge."""
_LEAST_CONTRAST = 0.2
"""Least change of signal across the edge over the signal of the region: six standard deviations at SNR 30."""
_LEAST_CORRELATION = 0.85
"""Less, and the profile of the series shows another edge, or the same one changed by holmium: no distance."""
_AMBIGUOUS = 0.9
"""A profile that matches itself so well elsewhere says nothing of where it lies."""
_FEWEST_POINTS = 50


@dataclass(frozen=True, kw_only=True)
class EdgeDistance:
    """Distances between the edges of two images of a liver, mm, over ``n_points`` of its surface.

    ``shift_mm`` (x, y, z) is the translation that would take most of it away: least squares of n·t = d.
    """

    median_mm: float
    percentile_95_mm: float
    n_points: int
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)


def liver_edge_distance(
    *,
    reference: EchoSeries,
    moving: EchoSeries,
    region: NDArray[np.bool_],
    reference_to_series_lps_mm: FloatArray | tuple[tuple[float, ...], ...],
    displacement_mm: Array | None = None,
) -> EdgeDistance | None:
    """Measure how far the edge of a region lies from where the registration says it is.

    At points of the region's surface both images are read along the normal; the distance is the shift between the
    two profiles of ±12 mm at which their normalised correlation is largest, to a fraction of a millimetre by a
    parabola. It does not depend on gain or offset. Points without contrast, with a profile that repeats itself, or
    with no match in the series are left out. The images are those at the echo time 0, extrapolated from the first
    three echoes: in the phantom 5 mg/mL beside the edge move the 95th percentile of the first echoes by 4 mm, and
    that of these by 1 mm.

    Parameters
    ----------
    reference, moving
        The two series; their first three echoes are used, or the first alone where there is no other.
    region
        Boolean on the reference grid; its surface is where the edge is looked for.
    reference_to_series_lps_mm
        4×4 of the registration.
    displacement_mm
        (3, slice, row, column) on the reference grid, added to a reference point before the matrix; None: rigid.

    Returns
    -------
    EdgeDistance or None
        Median and 95th percentile of the absolute distances; None where fewer than 50 points, or less than a fifth
        of those with contrast, can be measured.

    Raises
    ------
    ValueError
        If the region is not on the reference grid.
    """
    if region.shape != reference.grid.shape:
        raise ValueError(f"region has shape {region.shape}; expected that of the reference, {reference.grid.shape}.")
    surface = _surface(region, reference.grid)
    if surface is None:
        return None
    points, normals = surface
    steps: FloatArray = np.arange(-_REACH, _REACH + 1).astype(np.float64) * _STEP_MM
    wide: FloatArray = np.arange(-2 * _REACH, 2 * _REACH + 1).astype(np.float64) * _STEP_MM
    matrix = np.asarray(reference_to_series_lps_mm, dtype=np.float64)
    own = _profiles(reference, points, normals, wide)
    other = _profiles(moving, points, normals, wide, matrix, displacement_mm, reference.grid)
    template = own[:, _REACH:-_REACH]
    typical = float(np.nanmedian(reference.signal[0][region]))
    near = template[:, abs(steps) <= steps[-1] / 2]
    with np.errstate(invalid="ignore"):
        usable = np.isfinite(template).all(axis=1) & (np.ptp(near, axis=1) >= _LEAST_CONTRAST * typical)
        # A profile whose own repetition lies within reach would be found there as well.
        itself = _correlations(template, own)
        usable &= ~(np.where(abs(steps) >= steps[-1] / 2, itself, -1.0) > _AMBIGUOUS).any(axis=1)
        matches = _correlations(template, other)
    best = np.nan_to_num(matches, nan=-1.0).max(axis=1)
    found = usable & (best >= _LEAST_CORRELATION)
    n_points = int(found.sum())
    if n_points < max(_FEWEST_POINTS, int(usable.sum()) / 5):
        return None
    distances = _peaks(np.nan_to_num(matches[found], nan=-1.0), steps)
    median, high = np.percentile(np.abs(distances), [50, 95])
    shift = _translation(normals[found], distances)
    return EdgeDistance(
        median_mm=float(median),
        percentile_95_mm=float(high),
        n_points=n_points,
        shift_mm=(float(shift[0]), float(shift[1]), float(shift[2])),
    )


def _surface(region: NDArray[np.bool_], grid: Grid) -> tuple[FloatArray, FloatArray] | None:
    """Points on the region's surface and outward normals, both (n, 3) LPS; None without a region."""
    if not region.any():
        return None
    low = [int(np.flatnonzero(region.any(axis=axes))[0]) for axes in ((1, 2), (0, 2), (0, 1))]
    high = [int(np.flatnonzero(region.any(axis=axes))[-1]) + 1 for axes in ((1, 2), (0, 2), (0, 1))]
    inner = region[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    pad = [int(np.ceil(12.0 / spacing)) for spacing in grid.spacing_mm]
    inside = np.pad(inner, [(n, n) for n in pad])
    smooth = ndimage.gaussian_filter(
        inside.astype(np.float32), [4.0 / spacing for spacing in grid.spacing_mm], truncate=3.0
    )
    edge = inside & ~ndimage.binary_erosion(inside)
    index = np.argwhere(edge)
    index = index[np.linspace(0, len(index) - 1, min(_POINTS, len(index))).astype(np.intp)]
    by_index = np.stack(
        [(smooth[tuple((index + step).T)] - smooth[tuple((index - step).T)]) / 2 for step in np.eye(3, dtype=np.intp)]
    )
    # Chain rule: the gradient in mm is the gradient by index times the inverse of the affine's steps.
    gradient = np.linalg.inv(grid.affine_lps_mm[:3, :3]).T @ by_index
    size = np.linalg.norm(gradient, axis=0)
    level = smooth[tuple(index.T)]
    kept = size > 0.01
    if not kept.any():
        return None
    normals = -(gradient / np.maximum(size, 1e-9)).T
    at = index - np.array(pad) + np.array(low)
    points = at @ grid.affine_lps_mm[:3, :3].T + grid.affine_lps_mm[:3, 3]
    # Onto the level of one half, where the surface runs between voxels; never farther than a slice.
    out = np.clip((level - 0.5) / np.maximum(size, 1e-9), -4.0, 4.0)
    return (points + out[:, None] * normals)[kept], normals[kept]


def _profiles(
    series: EchoSeries,
    points: FloatArray,
    normals: FloatArray,
    steps: FloatArray,
    matrix: FloatArray | None = None,
    displacement_mm: Array | None = None,
    displacement_grid: Grid | None = None,
) -> Array:
    """Signal at the echo time 0 along the normals, (point, step), mean of five; NaN outside the series."""
    helper = np.eye(3)[np.abs(normals).argmin(axis=1)]
    first = np.cross(normals, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(normals, first)
    echoes = series.signal[:_ECHOES]
    total = np.zeros((len(echoes), len(points), len(steps)), dtype=np.float32)
    along = steps[None, :, None] * normals[:, None, :]
    for beside in (0 * first, first, -first, second, -second):
        at = (points + _BESIDE_MM * beside)[:, None, :] + along
        if displacement_mm is not None and displacement_grid is not None:
            index = at @ displacement_grid.index_from_lps[:3, :3].T + displacement_grid.index_from_lps[:3, 3]
            index = np.moveaxis(index, -1, 0)
            moved = [ndimage.map_coordinates(u, index, order=1, mode="nearest") for u in displacement_mm]
            at = at + np.stack(moved, axis=-1)
        if matrix is not None:
            at = at @ matrix[:3, :3].T + matrix[:3, 3]
        index = at @ series.grid.index_from_lps[:3, :3].T + series.grid.index_from_lps[:3, 3]
        places = np.ascontiguousarray(np.moveaxis(index, -1, 0))
        for echo, signal in enumerate(echoes):
            total[echo] += ndimage.map_coordinates(
                signal, places, order=1, mode="constant", cval=np.nan, prefilter=False
            )
    return signal_at_zero(total / np.float32(5), series.echo_times_s[:_ECHOES])


def _correlations(template: Array, wide: Array) -> Array:
    """Normalised correlation of each row of `template` with all parts of that row of `wide`: (point, shift)."""
    n = template.shape[1]
    parts = np.lib.stride_tricks.sliding_window_view(wide, n, axis=1)
    centred = template - template.mean(axis=1, keepdims=True)
    mean = parts.mean(axis=2)
    spread = np.sqrt(np.maximum((parts * parts).mean(axis=2) - mean * mean, 0.0))
    product = np.einsum("pn,psn->ps", centred, parts) / n
    scale = centred.std(axis=1, keepdims=True) * spread
    result: Array = np.where(scale > 0, product / np.where(scale > 0, scale, 1.0), np.float32(np.nan))
    return result


def _peaks(matches: Array, steps: FloatArray) -> FloatArray:
    """Place of each row's maximum, between the steps by a parabola."""
    at = matches.argmax(axis=1)
    rows = np.arange(len(matches))
    inner = (at > 0) & (at < len(steps) - 1)
    before, after = matches[rows, np.maximum(at - 1, 0)], matches[rows, np.minimum(at + 1, len(steps) - 1)]
    bow = before - 2 * matches[rows, at] + after
    part = np.where(inner & (bow < 0), 0.5 * (before - after) / np.where(bow < 0, bow, -1.0), 0.0)
    peaks: FloatArray = steps[at] + _STEP_MM * np.clip(part, -0.5, 0.5)
    return peaks


def _translation(normals: FloatArray, distances: FloatArray) -> FloatArray:
    """Translation t that best explains n·t = d; points far from it (other organs' edges) are left out."""
    kept = np.ones(len(distances), dtype=bool)
    shift: FloatArray = np.zeros(3)
    for _ in range(3):
        # A ridge of a few points keeps a direction in which no edge looks at nought.
        design = normals[kept]
        shift = np.asarray(np.linalg.solve(design.T @ design + np.eye(3), design.T @ distances[kept]))
        away = np.abs(distances - normals @ shift)
        kept = away <= max(1.5, 2.5 * float(np.median(away)))
    return shift
