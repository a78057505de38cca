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

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from quantify.model import Array, FloatArray, Grid, ParametricMap, Role, Volume

_PURE = 0.98
_MOSTLY_OWN = 0.3
"""Voxels that owe a volume less of their signal than this are left to its other voxels: noise grows with 1/f."""
_NEIGHBOURHOOD_MM = 10.0
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
        return np.asarray(self.own >= _MOSTLY_OWN)


def signal_shares(
    *, s0: Array, usable: NDArray[np.bool_], volumes: Mapping[str, Array], grid: Grid
) -> dict[str, Array]:
    """Share of each voxel's signal that comes from each of several disjoint volumes, on the series' own grid.

    Parameters
    ----------
    s0
        Fitted S₀ (slice, row, column), arbitrary unit; NaN where there is no signal (the shares are then 0).
    usable
        Where S₀ can be trusted.
    volumes
        Occupancy 0…1 of disjoint volumes (tumours, healthy liver) on the same grid.

    Notes
    -----
    A volume's own S₀ is a quadratic field through its pure voxels (coil sensitivity is smooth); a small volume takes
    the field of all volumes together, scaled to its median.
    """
    together = np.clip(sum(volumes.values(), np.zeros(s0.shape, dtype=np.float32)), 0.0, 1.0)
    trusted = usable & np.isfinite(s0) & (s0 > 0)
    field = _smooth_field(s0, trusted & (together >= _PURE), together > 0, grid)
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
        return {
            name: np.where((total > 0) & np.isfinite(s0), signal / total, 0.0).astype(np.float32)
            for name, signal in signals.items()
        }


def _smooth_field(s0: Array, pure: NDArray[np.bool_], where: NDArray[np.bool_], grid: Grid) -> Array:
    """Quadratic polynomial of position through ln S₀ of the pure voxels, evaluated in `where`; 0 elsewhere."""
    result = np.zeros(s0.shape, dtype=np.float32)
    chosen = np.flatnonzero(pure)
    if chosen.size < _MINIMUM_PURE_VOXELS:
        result[where] = float(np.median(s0[pure])) if chosen.size else 1.0
        return result
    chosen = chosen[:: max(1, chosen.size // 5000)]
    basis = _quadratic(chosen, grid)
    coefficients, *_ = np.linalg.lstsq(basis, np.log(s0.ravel()[chosen].astype(np.float64)), rcond=None)
    inside = np.flatnonzero(where)
    result.ravel()[inside] = np.exp(_quadratic(inside, grid) @ coefficients)
    return result


def _quadratic(flat: NDArray[np.intp], grid: Grid) -> FloatArray:
    """The ten monomials up to degree two of normalised index coordinates, (n, 10)."""
    s, r, c = (
        (index - size / 2.0) / size for index, size in zip(np.unravel_index(flat, grid.shape), grid.shape, strict=True)
    )
    return np.stack([np.ones_like(s), s, r, c, s * s, r * r, c * c, s * r, s * c, r * c], axis=1)


def mixture(volume: Volume, dose: ParametricMap, shares: Shares, roles: Mapping[str, Role]) -> Mixture | None:
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
    own = sum((shares[name] for name in own_names), np.zeros(dose.grid.shape, dtype=np.float32))
    foreign = np.zeros(dose.grid.shape, dtype=np.float32)
    box = _box(volume.occupancy > 0, dose.grid)
    for name, share in shares.items():
        if name not in own_names and (share[box] > 0).any():
            foreign[box] += share[box] * _local_mean(dose, share, box)
    if int((own[volume.occupancy > 0] >= _MOSTLY_OWN).sum()) < _MINIMUM_PURE_VOXELS:
        return None
    return Mixture(own=own, foreign=foreign)


def _local_mean(dose: ParametricMap, share: Array, box: tuple[slice, slice, slice]) -> Array:
    """The map's mean over the pure voxels of another volume near each voxel (Gaussian neighbourhood)."""
    values = dose.values[box]
    pure = (share[box] >= 0.95) & np.isfinite(values)
    if not pure.any():
        return np.zeros(values.shape, dtype=np.float32)
    width = [_NEIGHBOURHOOD_MM / 2.355 / spacing for spacing in dose.grid.spacing_mm]
    weight = ndimage.gaussian_filter(pure.astype(np.float32), width, mode="constant")
    total = ndimage.gaussian_filter(np.where(pure, values, 0.0).astype(np.float32), width, mode="constant")
    mean: Array = np.where(weight > 1e-4, total / np.maximum(weight, 1e-4), values[pure].mean()).astype(np.float32)
    return mean


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
