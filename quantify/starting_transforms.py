"""Where a search for a rigid transform starts: correlation at every translation of a coarse lattice, several turns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.spatial.transform import Rotation

from quantify.model import Array, EchoSeries, FloatArray, Grid

LATTICE_MM = 8.0
"""Spacing at which all translations are tried; a descent captures what lies between them."""
_TURN_DEG = 8.0
"""Turn about each axis from which starts are tried: 10° is captured from there and from none."""
_KEPT_STARTS = 3
"""Starts kept of each of the two features: one that leads to the right place was always among them in the phantom."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Lattice:
    """Values on a cubic lattice along the patient's axes: (x, y, z), first point at ``origin_mm``; 0 outside."""

    values: FloatArray
    valid: FloatArray
    origin_mm: FloatArray


def starting_transforms(
    reference: EchoSeries,
    moving: EchoSeries,
    rim: NDArray[np.bool_],
    centre_mm: FloatArray,
    reach_mm: float,
    start_mm: FloatArray,
) -> list[FloatArray]:
    """Transforms at the highest correlations over all translations, of each feature the best few."""
    fixed = _on_lattice(reference.signal[0], reference.grid)
    other = _on_lattice(moving.signal[0], moving.grid)
    inside = _on_lattice(rim.astype(np.float32), reference.grid, smooth=False)
    starts: list[FloatArray] = []
    for feature in (_signal, _edges):
        found: list[tuple[float, FloatArray]] = []
        for turn in _turns():
            best = _best_translation(feature(fixed), feature(other), inside, turn, centre_mm, reach_mm, start_mm)
            if best is not None:
                found.append(best)
        found.sort(key=lambda pair: -pair[0])
        starts += [matrix for _, matrix in found[:_KEPT_STARTS]]
    return starts


def _turns() -> list[FloatArray]:
    """No turn, and one to both sides about each axis."""
    vectors = [np.zeros(3), *(sign * axis for axis in np.eye(3) for sign in (-1.0, 1.0))]
    return [np.asarray(Rotation.from_rotvec(_TURN_DEG * v, degrees=True).as_matrix()) for v in vectors]


def _on_lattice(values: Array, grid: Grid, *, smooth: bool = True) -> _Lattice:
    """Values smoothed to the lattice's spacing and read on it."""
    blurred = values
    if smooth:
        sigma = [0.4 * LATTICE_MM / spacing for spacing in grid.spacing_mm]
        blurred = ndimage.gaussian_filter(np.nan_to_num(values), sigma, truncate=2.5)
    corners = np.array([(s, r, c) for s in (0, 1) for r in (0, 1) for c in (0, 1)]) * (np.array(grid.shape) - 1)
    places = corners @ grid.affine_lps_mm[:3, :3].T + grid.affine_lps_mm[:3, 3]
    low = places.min(axis=0)
    shape = np.maximum(np.ceil((places.max(axis=0) - low) / LATTICE_MM).astype(int) + 1, 3)
    sampled, valid = _read(blurred, np.ones(grid.shape, np.float32), grid.index_from_lps, _points(low, tuple(shape)))
    return _Lattice(values=sampled, valid=valid, origin_mm=low)


def _points(origin_mm: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """(3, x, y, z) LPS mm of a lattice's points."""
    return np.asarray(origin_mm[:, None, None, None] + LATTICE_MM * np.indices(shape))


def _read(values: Array, valid: Array, index_from_lps: FloatArray, at: FloatArray) -> tuple[FloatArray, FloatArray]:
    index = np.tensordot(index_from_lps[:3, :3], at, axes=1) + index_from_lps[:3, 3][:, None, None, None]
    # Half a voxel beyond the outermost centres still belongs to the image: one slice alone has a thickness.
    shape = np.array(values.shape)[:, None, None, None]
    within = ((index >= -0.5) & (index <= shape - 0.5)).all(axis=0)
    read = (
        ndimage.map_coordinates(array, index, order=1, mode="nearest", prefilter=False) for array in (values, valid)
    )
    first, second = (np.where(within, array, 0.0).astype(np.float64) for array in read)
    return first, second


def _signal(lattice: _Lattice) -> _Lattice:
    return lattice


def _edges(lattice: _Lattice) -> _Lattice:
    """Size of the gradient: an edge is an edge with holmium beside it too."""
    size = np.sqrt(sum(np.square(np.gradient(lattice.values, axis=axis)) for axis in range(3)))
    return _Lattice(values=size, valid=lattice.valid, origin_mm=lattice.origin_mm)


def _best_translation(
    fixed: _Lattice,
    moving: _Lattice,
    inside: _Lattice,
    turn: FloatArray,
    centre_mm: FloatArray,
    reach_mm: float,
    start_mm: FloatArray,
) -> tuple[float, FloatArray] | None:
    """Highest correlation of the turned region with the series, and its transform; None without enough overlap."""
    occupied = np.argwhere(inside.values > 0.5)
    if len(occupied) == 0:
        return None
    half = np.abs(occupied * LATTICE_MM + fixed.origin_mm - centre_mm).max(axis=0) * 1.15 + LATTICE_MM
    low = centre_mm - half
    shape = tuple(int(n) for n in np.ceil(2 * half / LATTICE_MM) + 1)
    # The lattice point y of the turned template shows the reference at turn⁻¹(y − c) + c.
    at = np.tensordot(turn.T, _points(low - centre_mm, shape), axes=1) + centre_mm[:, None, None, None]
    lattice = np.eye(4)
    lattice[:3, :3] /= LATTICE_MM
    lattice[:3, 3] = -fixed.origin_mm / LATTICE_MM
    values, weight = _read(fixed.values, inside.values, lattice, at)  # type: ignore[arg-type]
    weight = (weight > 0.5).astype(np.float64)
    size = tuple(fft.next_fast_len(a + b - 1, real=True) for a, b in zip(shape, moving.values.shape, strict=True))
    scores = _correlate(values, weight, moving, size)
    # Template point (low + k·p) falls on moving lattice point j: translation = origin + (j − k)·p − low.
    offsets = np.meshgrid(*(fft.fftfreq(n, 1 / n) for n in size), indexing="ij")
    step = [LATTICE_MM * offset + o - a for offset, o, a in zip(offsets, moving.origin_mm, low, strict=True)]
    distance = np.sqrt(sum((axis - s) ** 2 for axis, s in zip(step, start_mm, strict=True)))
    scores = np.where(distance <= reach_mm + LATTICE_MM, scores, -np.inf)
    best = np.unravel_index(int(scores.argmax()), scores.shape)
    if not np.isfinite(scores[best]):
        return None
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = centre_mm - turn @ centre_mm + np.array([axis[best] for axis in step])
    return float(scores[best]), matrix


def _correlate(values: FloatArray, weight: FloatArray, moving: _Lattice, size: tuple[int, ...]) -> FloatArray:
    """Correlation over the part of the template that the series covers, at every (cyclic) offset; −∞ under half."""

    def transformed(array: FloatArray) -> NDArray[np.complex128]:
        return np.asarray(fft.rfftn(array, size))

    template, own, squared = (np.conj(transformed(a)) for a in (weight, weight * values, weight * values**2))
    valid = transformed(moving.valid)
    other, other_squared = transformed(moving.values), transformed(moving.values**2)

    def correlation(first: NDArray[np.complex128], second: NDArray[np.complex128]) -> FloatArray:
        return np.asarray(fft.irfftn(first * second, size))

    count = correlation(template, valid)
    enough = count >= 0.5 * weight.sum()
    n = np.where(enough, count, 1.0)
    f, m = correlation(own, valid) / n, correlation(template, other) / n
    covariance = correlation(own, other) / n - f * m
    spread = (correlation(squared, valid) / n - f**2) * (correlation(template, other_squared) / n - m**2)
    floor = 1e-9 * max(float(np.where(enough, spread, 0.0).max()), 1e-30)
    return np.where(enough & (spread > floor), covariance / np.sqrt(np.maximum(spread, floor)), -np.inf)
