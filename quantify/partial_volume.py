"""Partial volume: which share of a voxel's signal comes from which volume, and a volume's own dose from that.

A voxel at the edge of a tumour shows a mixture: R2* is that of the signals in it, so a voxel half in lung, which
gives no signal, is not diluted at all, while one half in healthy liver shows the mean of both. Averaged as it stands,
such an edge costs a 40 mL tumour with 3 mm voxels about a tenth of its mean. With the share fⱼ of every tissue known
from the contours and S₀, the edge voxel is solved for its own part, D_own = (D − Σ_{j≠own} fⱼ·Dⱼ)/f_own: the
region-based voxelwise correction of emission tomography (Rousset 1998; Erlandsson 2012), with signal instead of
volume as the weight. Maps stay as measured; only statistics of volumes are corrected, and the amount is reported
beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from quantify.model import Array, FloatArray, Grid, ParametricMap, Role, Volume
from quantify.volumes import bounding_box

_PURE = 0.98
_MOSTLY_OWN = 0.2
"""Voxels that owe a volume less of their signal than this are left to its other voxels: noise grows with 1/f."""
_PRESENT = 0.005
"""A share that matters."""
_NEIGHBOURHOOD_MM = 10.0
_RIM_MM = 5.0
"""Full widths of the neighbourhoods in which a tissue's pure voxels, and its parts of mixed voxels, are averaged."""
_LEAST_DIFFERENCE_PER_S = 0.5
_LEAST_OWN = 0.05
_SMOOTHING_MM = 3.0
"""Full width over which the own dose is smoothed before its gradient is taken."""
_ALIGNED = 0.1
"""Axes of two grids correspond while they do not lean into each other by more than this."""
_MINIMUM_PURE_VOXELS = 20

Shares = Mapping[str, Array]
"""Share of every voxel's signal by volume name; float32, 0…1; the rest is tissue outside all of them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Mixture:
    """What a volume's voxels hold besides the volume: ``own`` is its share, ``foreign`` the others' part of the map."""

    own: Array
    foreign: Array

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Where the volume's own part can be solved for."""
        return self.solvable(self.own)

    @staticmethod
    def solvable(own: Array) -> NDArray[np.bool_]:
        """Whether a volume's part can be solved for where it has these shares."""
        return np.asarray(own >= _MOSTLY_OWN)


def signal_shares(
    *,
    s0: Array,
    r2star_per_s: Array,
    echo_times_s: Sequence[float],
    usable: NDArray[np.bool_],
    volumes: Mapping[str, Array],
    grid: Grid,
) -> dict[str, Array]:
    """Share of each of several disjoint volumes in each voxel's fitted R2*, on the series' own grid.

    Parameters
    ----------
    s0
        Fitted S₀ (slice, row, column), arbitrary unit; NaN where there is no signal (the shares are then 0).
    r2star_per_s, echo_times_s
        The fit's R2* and its echo times: they turn shares of S₀ into shares of R2*.
    usable
        Where the fit can be trusted.
    volumes
        Occupancy 0…1 of disjoint volumes (tumours, healthy liver) on the same grid.

    Notes
    -----
    A volume's own S₀ is a quadratic field through its pure voxels (coil sensitivity is smooth); a small volume takes
    the field of all volumes together, scaled to its median.
    """
    together = np.clip(sum(volumes.values(), np.zeros(s0.shape, dtype=np.float32)), 0.0, 1.0)
    shares = {name: np.zeros(s0.shape, dtype=np.float32) for name in volumes}
    if not (together > 0).any():
        return shares
    # No volume has a share of what lies outside of all of them.
    box = _box(together > 0, grid)
    start = tuple(edge.start for edge in box)
    whole = grid.shape
    s0, together = s0[box], together[box]
    volumes = {name: occupancy[box] for name, occupancy in volumes.items()}
    trusted = usable[box] & np.isfinite(s0) & (s0 > 0)
    field = _smooth_field(s0, trusted & (together >= _PURE), together > 0, start, whole)
    signals: dict[str, Array] = {}
    for name, occupancy in volumes.items():
        pure = trusted & (occupancy >= _PURE)
        scale = float(np.median(s0[pure] / field[pure])) if pure.sum() >= _MINIMUM_PURE_VOXELS else 1.0
        signals[name] = occupancy * field * np.float32(scale)
    inside = sum(signals.values(), np.zeros(s0.shape, dtype=np.float32))
    # What the volumes do not explain is the signal of other tissue, where there is room for it.
    rest = np.where(together < _PURE, np.clip(np.nan_to_num(s0) - inside, 0.0, None), 0.0)
    total = inside + rest
    with np.errstate(invalid="ignore", divide="ignore"):
        of_s0 = {
            name: np.where((total > 0) & np.isfinite(s0), signal / total, 0.0).astype(np.float32)
            for name, signal in signals.items()
        }
    weighted = _shares_of_decay(
        of_s0,
        pure={name: trusted & (occupancy >= _PURE) for name, occupancy in volumes.items()},
        elsewhere=trusted & (together <= 0),
        r2star_per_s=r2star_per_s[box],
        usable=trusted,
        times=np.asarray(echo_times_s, dtype=np.float64),
        grid=grid,
    )
    for name, share in weighted.items():
        shares[name][box] = share
    return shares


def _shares_of_decay(
    of_s0: Mapping[str, Array],
    *,
    pure: Mapping[str, NDArray[np.bool_]],
    elsewhere: NDArray[np.bool_],
    r2star_per_s: Array,
    usable: NDArray[np.bool_],
    times: FloatArray,
    grid: Grid,
) -> dict[str, Array]:
    """Turn shares of S₀ into shares of the fitted R2*; the tissue outside all volumes is one more part.

    A part's own R2* is that of its pure voxels nearby; then, since a rim is not the core, that of its parts of the
    mixed voxels as solved with the first shares.
    """
    outside = 1.0 - sum(of_s0.values(), np.zeros(usable.shape, dtype=np.float32))
    parts = [*of_s0.values(), outside]
    several = sum(((part > _PRESENT).astype(np.uint8) for part in parts), np.zeros(usable.shape, dtype=np.uint8)) > 1
    mixed = np.flatnonzero(several & usable)
    if mixed.size == 0:
        return dict(of_s0)
    share = np.array([part.ravel()[mixed] for part in parts], dtype=np.float64)
    measured = r2star_per_s.ravel()[mixed].astype(np.float64)
    known = [*pure.values(), elsewhere]
    own = np.array(
        [_mean_nearby(r2star_per_s, k.astype(np.float32), grid, _NEIGHBOURHOOD_MM).ravel()[mixed] for k in known],
        dtype=np.float64,
    )
    weight = _weighted_by_leverage(share, own, measured, times)
    rims = own.copy()
    for n, part in enumerate(of_s0.values()):
        enough = weight[n] >= _MOSTLY_OWN
        if not enough.any():
            continue
        others = (weight * own).sum(axis=0) - weight[n] * own[n]
        values, confidence = r2star_per_s.copy(), (known[n] & ~several).astype(np.float32)
        values.ravel()[mixed] = (measured - others) / np.maximum(weight[n], _MOSTLY_OWN)
        confidence.ravel()[mixed] = np.where(enough, weight[n] ** 2, 0.0)
        near = _box(part > _PRESENT, grid)
        nearby = own[n].copy()
        field = np.zeros(usable.shape, dtype=np.float32)
        field[near] = _mean_nearby(values[near], confidence[near], grid, _RIM_MM)
        here = part.ravel()[mixed] > _PRESENT
        nearby[here] = field.ravel()[mixed][here]
        rims[n] = nearby
    weight = _weighted_by_leverage(share, rims, measured, times)
    result = {}
    for n, (name, part) in enumerate(of_s0.items()):
        result[name] = part.copy()
        result[name].ravel()[mixed] = weight[n]
    return result


def _weighted_by_leverage(share: FloatArray, own: FloatArray, fitted: FloatArray, times: FloatArray) -> FloatArray:
    """Shares of S₀ times h(Rⱼ)/(R − Rⱼ), normalised: (part, voxel). Both factors are positive for any R and Rⱼ."""
    basis = np.exp(-fitted * times[:, None])
    power = basis * basis
    centred = basis * (times[:, None] - (power * times[:, None]).sum(axis=0) / power.sum(axis=0))
    weight = np.empty_like(share)
    for n, rate in enumerate(own):
        difference = rate - fitted
        difference = np.where(np.abs(difference) < _LEAST_DIFFERENCE_PER_S, _LEAST_DIFFERENCE_PER_S, difference)
        decay = np.exp(-(fitted + difference) * times[:, None])
        weight[n] = share[n] * -(decay * centred).sum(axis=0) / difference
    total: FloatArray = weight / weight.sum(axis=0)
    return total


def _mean_nearby(values: Array, confidence: Array, grid: Grid, width_mm: float) -> Array:
    """Mean weighted by `confidence` in a Gaussian neighbourhood; the overall mean where none is near, 0 without any."""
    trust = np.where(np.isfinite(values), confidence, np.float32(0))
    if not trust.any():
        return np.zeros(values.shape, dtype=np.float32)
    known = np.nan_to_num(values)
    width = [width_mm / 2.355 / spacing for spacing in grid.spacing_mm]
    weight = ndimage.gaussian_filter(trust, width, mode="constant")
    total = ndimage.gaussian_filter(known * trust, width, mode="constant")
    overall = np.average(known, weights=trust)
    mean: Array = np.where(weight > 1e-4, total / np.maximum(weight, 1e-4), overall).astype(np.float32)
    return mean


def _smooth_field(
    s0: Array,
    pure: NDArray[np.bool_],
    where: NDArray[np.bool_],
    start: tuple[int, ...],
    whole: tuple[int, int, int],
) -> Array:
    """Quadratic polynomial of position through ln S₀ of the pure voxels, evaluated in `where`; 0 elsewhere.

    The arrays are a box that begins at `start` in a grid of the shape `whole`.
    """
    result = np.zeros(s0.shape, dtype=np.float32)
    chosen = np.flatnonzero(pure)
    if chosen.size < _MINIMUM_PURE_VOXELS:
        result[where] = float(np.median(s0[pure])) if chosen.size else 1.0
        return result
    chosen = chosen[:: max(1, chosen.size // 5000)]
    basis = _quadratic(chosen, s0.shape, start, whole)
    coefficients, *_ = np.linalg.lstsq(basis, np.log(s0.ravel()[chosen].astype(np.float64)), rcond=None)
    inside = np.flatnonzero(where)
    result.ravel()[inside] = np.exp(_quadratic(inside, s0.shape, start, whole) @ coefficients)
    return result


def _quadratic(
    flat: NDArray[np.intp], shape: tuple[int, ...], start: tuple[int, ...], whole: tuple[int, int, int]
) -> FloatArray:
    """The ten monomials up to degree two of normalised index coordinates, (n, 10)."""
    s, r, c = (
        (index + first - size / 2.0) / size
        for index, first, size in zip(np.unravel_index(flat, shape), start, whole, strict=True)
    )
    return np.stack([np.ones_like(s), s, r, c, s * s, r * r, c * c, s * r, s * c, r * c], axis=1)


def mixture(
    volume: Volume,
    dose: ParametricMap,
    shares: Shares,
    roles: Mapping[str, Role],
    *,
    baseline: Array | None = None,
    imaged_grid: Grid | None = None,
) -> Mixture | None:
    """What the voxels of a volume hold besides it; None where a correction is not possible.

    Parameters
    ----------
    volume
        Tumour, liver, or a healthy part.
    dose
        The measured map; its values inside the other volumes say what they add to a voxel.
    shares
        On the map's grid: of every tumour, and of the healthy liver.
    roles
        Role of every name in `shares`.
    baseline
        R2* of the reference that was subtracted, in the map's unit. An edge voxel's baseline is a mixture too, in other
        shares than the fraction's; with it a tumour's own part is held against the tumour's own baseline.
    imaged_grid
        Where the series' own voxels lay in the space of the map, if it was interpolated from them.
    """
    if not shares:
        return None
    if volume.role == Role.LIVER:
        own_names = list(shares)
    elif volume.role == Role.TUMOUR:
        own_names = [volume.name]
    else:
        own_names = [name for name in shares if roles[name] == Role.HEALTHY_LIVER]
    if not own_names or any(name not in shares for name in own_names):
        return None
    own, foreign = np.zeros(dose.grid.shape, dtype=np.float32), np.zeros(dose.grid.shape, dtype=np.float32)
    box = _box(volume.occupancy > 0, dose.grid)
    for name in own_names:
        own[box] += shares[name][box]
    for name, share in shares.items():
        if name not in own_names and (share[box] > 0).any():
            foreign[box] += share[box] * _mean_of_pure(dose.values[box], share[box], dose.grid)
    if baseline is not None and volume.role == Role.TUMOUR:
        foreign[box] += _baseline_of_mixture(baseline[box], {n: s[box] for n, s in shares.items()}, own[box], dose.grid)
    if imaged_grid is not None and volume.role == Role.TUMOUR:
        spread = _interpolation_spread(volume, imaged_grid)
        foreign[box] += own[box] * _drawn_inwards(dose.values[box] - foreign[box], own[box], spread, dose.grid)
    if int((own.ravel()[volume.inside] >= _MOSTLY_OWN).sum()) < _MINIMUM_PURE_VOXELS:
        return None
    return Mixture(own=own, foreign=foreign)


def unmixed(values: ParametricMap, shares: Shares, volumes: Sequence[Volume]) -> Array:
    """A map whose edge voxels hold what their parts really hold: Σ occupancyⱼ · own valueⱼ instead of Σ shareⱼ · own.

    Where a voxel owes a volume too little to be solved for it, the volume's mean nearby stands in. What no volume
    explains counts as measured. Voxels of the volumes only; as measured elsewhere, and everywhere without shares.
    """
    result: Array = values.values.copy()
    occupancies = {v.name: v.occupancy for v in volumes if v.name in shares}
    if not occupancies:
        return result
    together = np.clip(sum(occupancies.values(), np.zeros(result.shape, dtype=np.float32)), 0.0, 1.0)
    explained = sum((shares[name] for name in occupancies), np.zeros(result.shape, dtype=np.float32))
    box = _box(together > 0, values.grid)
    measured = values.values[box]
    nearby = {name: _mean_of_pure(measured, shares[name][box], values.grid) for name in occupancies}
    total = (1.0 - together[box]) * np.where(explained[box] < _PURE, measured, np.float32(0))
    mixed = sum((shares[name][box] * nearby[name] for name in occupancies), np.zeros(measured.shape, dtype=np.float32))
    for name, occupancy in occupancies.items():
        own = shares[name][box]
        foreign = mixed - own * nearby[name]
        solved = np.where(own >= _MOSTLY_OWN, (measured - foreign) / np.maximum(own, _MOSTLY_OWN), nearby[name])
        total += occupancy[box] * solved
    pure = np.max([np.minimum(shares[n][box], occupancy[box]) for n, occupancy in occupancies.items()], axis=0)
    several = (together[box] > 0) & (pure < _PURE)
    result[box] = np.where(several & np.isfinite(measured), total, measured)
    return result


def _baseline_of_mixture(baseline_gy: Array, shares: Shares, own: Array, grid: Grid) -> Array:
    """Σ fⱼ·Bⱼ − B in the mixed voxels that the volumes explain: what their baseline lacks of the mixture's."""
    explained = sum(shares.values(), np.zeros(own.shape, dtype=np.float32))
    mixed = np.zeros(own.shape, dtype=np.float32)
    for share in shares.values():
        if (share > _PRESENT).any():
            mixed += share * _mean_of_pure(baseline_gy, share, grid)
    applies = (explained > _PURE) & (own < _PURE) & np.isfinite(baseline_gy)
    return np.where(applies, mixed - baseline_gy, np.float32(0))


def _interpolation_spread(volume: Volume, imaged_grid: Grid) -> FloatArray:
    """Variance (3,) [voxels²] of the places from which trilinear interpolation takes its values, at the volume.

    t·(1 − t) along each axis for a point that lies t of the way from one voxel to the next; none on the voxels.
    """
    grid = volume.grid
    matrix = imaged_grid.index_from_lps @ grid.affine_lps_mm
    scale = np.abs(np.diag(matrix)[:3])
    if np.abs(matrix[:3, :3] - np.diag(np.diag(matrix)[:3])).max() > _ALIGNED * scale.min():
        return np.zeros(3)  # axes that do not correspond
    # At a voxel, not between voxels: with equal spacing t is the same at all of them.
    box = bounding_box(volume.occupancy > 0)
    centre = np.rint(ndimage.center_of_mass(volume.occupancy[box])) + [edge.start for edge in box]
    place = (matrix @ (*centre, 1.0))[:3]
    part = place - np.floor(place)
    spread: FloatArray = part * (1.0 - part) / scale**2
    return spread


def _drawn_inwards(own_part: Array, own: Array, spread: FloatArray, grid: Grid) -> Array:
    """What interpolation adds to the own dose of edge voxels: they take it from where the volume's share is larger.

    The mean of D·f over neighbours, divided by that of f, is D at the centroid of the shares, Var·∇ln f away from the
    voxel: ΔD = Σ_axis Var·∂ln f·∂D. 0 where the voxel is the volume's alone or not at all.
    """
    present = np.isfinite(own_part) & (own > _LEAST_OWN)
    weight = np.where(present, own, np.float32(0))
    width = [_SMOOTHING_MM / 2.355 / spacing for spacing in grid.spacing_mm]
    total = ndimage.gaussian_filter(np.where(present, own_part, np.float32(0)) * weight, width)
    power = ndimage.gaussian_filter(weight * weight, width)
    level = np.where(power > _LEAST_OWN**2, total / np.maximum(power, _LEAST_OWN**2), np.float32(0))
    share = np.log(np.maximum(own, _LEAST_OWN))
    change = np.zeros(own.shape, dtype=np.float32)
    for axis in range(3):
        change += np.float32(spread[axis]) * np.gradient(share, axis=axis) * np.gradient(level, axis=axis)
    return np.where((own >= _MOSTLY_OWN) & (own < _PURE) & (power > 1e-2), change, np.float32(0))


def _mean_of_pure(values: Array, share: Array, grid: Grid) -> Array:
    """The mean over another volume's pure voxels near each voxel."""
    return _mean_nearby(values, (share >= 0.95).astype(np.float32), grid, _NEIGHBOURHOOD_MM)


def _box(inside: NDArray[np.bool_], grid: Grid) -> tuple[slice, slice, slice]:
    """Bounding box with room for the neighbourhood."""
    slices = []
    for axis in range(3):
        occupied = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
        margin = int(np.ceil(1.5 * _NEIGHBOURHOOD_MM / grid.spacing_mm[axis]))
        slices.append(
            slice(max(0, int(occupied[0]) - margin), min(grid.shape[axis], int(occupied[-1]) + margin + 1))
            if occupied.size
            else slice(0, 0)
        )
    return slices[0], slices[1], slices[2]
