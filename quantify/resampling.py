"""Trilinear resampling between grids; accounts for invalid voxels and for the noise that interpolation averages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from quantify.model import Array, FloatArray, Grid


@dataclass(frozen=True, kw_only=True, eq=False)
class Sampler:
    """The weights of a source's voxels in chosen voxels of a target.

    ``matrix`` is sparse, (chosen voxels, source voxels), eight weights a row; ``target`` are the chosen voxels' flat
    indices in a target of ``shape``. A row sums to 1 inside the source and to less at its border.
    """

    target: NDArray[np.intp]
    matrix: sparse.csr_array
    shape: tuple[int, int, int]

    def sample(self, values: Array, *, say: Array | None = None) -> Array:
        """Interpolate `values`; NaN where less than half of the weight lies on finite source voxels.

        `say` (source shape, 0…1) is how much each voxel's value counts beside its nearness; all alike when None.
        """
        flat, finite = _without_nan(values)
        total = self.matrix @ finite
        if say is None:
            return self._placed(self.matrix @ flat, total)
        counted = finite * _without_nan(say)[0]
        weighted = self.matrix @ counted
        mean = np.divide(self.matrix @ (flat * counted), weighted, out=np.zeros_like(weighted), where=weighted > 0)
        return self._placed(mean * total, np.where(weighted > 0, total, np.float32(0)))

    def sample_standard_errors(self, *standard_errors: Array) -> list[Array]:
        """Standard errors of interpolated values: √Σ(w·SE)²/Σw each, for noise independent between voxels."""
        squared = sparse.csr_array(
            (self.matrix.data**2, self.matrix.indices, self.matrix.indptr), shape=self.matrix.shape
        )
        found = []
        for standard_error in standard_errors:
            flat, finite = _without_nan(standard_error)
            found.append(self._placed(np.sqrt(squared @ (flat * flat)), self.matrix @ finite))
        return found

    def sample_standard_error(self, standard_error: Array) -> Array:
        """Standard error of one interpolated value."""
        return self.sample_standard_errors(standard_error)[0]

    def reaching(self, where: NDArray[np.bool_]) -> Sampler:
        """The same for the target voxels alone that take something from the source's voxels `where`."""
        rows = np.flatnonzero(self.matrix @ where.ravel().astype(np.float32))
        return Sampler(target=self.target[rows], matrix=self.matrix[rows], shape=self.shape)

    def coverage(self) -> Array:
        """Share of every target voxel's weight that lies inside the source; 0 where it was not asked for."""
        result = np.zeros(int(np.prod(self.shape)), dtype=np.float32)
        result[self.target] = self.matrix.sum(axis=1)
        return result.reshape(self.shape)

    def _placed(self, sums: Array, total: Array) -> Array:
        result = np.full(int(np.prod(self.shape)), np.nan, dtype=np.float32)
        enough = total >= 0.5
        result[self.target[enough]] = sums[enough] / total[enough]
        return result.reshape(self.shape)


def _without_nan(values: Array) -> tuple[Array, Array]:
    flat = np.asarray(values, dtype=np.float32).ravel()
    finite = np.isfinite(flat)
    return np.where(finite, flat, np.float32(0)), finite.astype(np.float32)


def _displacement(displacement_mm: Array, target: Grid, chosen: NDArray[np.intp]) -> FloatArray:
    """(3, chosen voxels) of a displacement field, checked."""
    if displacement_mm.shape != (3, *target.shape):
        raise ValueError(f"displacement_mm has shape {displacement_mm.shape}; expected (3, {target.shape}).")
    taken = np.asarray(displacement_mm.reshape(3, -1)[:, chosen], dtype=np.float64)
    if not np.isfinite(taken).all():
        raise ValueError("displacement_mm holds values that are not finite numbers; expected millimetres everywhere.")
    return taken


def sampler(
    *,
    source: Grid,
    target: Grid,
    target_to_source_lps_mm: FloatArray | None = None,
    where: NDArray[np.bool_] | None = None,
    displacement_mm: Array | None = None,
) -> Sampler:
    """Prepare to sample arrays on `source` at the voxels of `target`.

    Parameters
    ----------
    source, target
        The two grids; their frames of reference are the caller's business.
    target_to_source_lps_mm
        4×4 rigid transform of target points into the source's space; identity when None.
    where
        Boolean (target shape): voxels to compute; all when None. The others become NaN.
    displacement_mm
        (3, *target shape), LPS mm: added to a target point x before the transform, x_source = M · (x + u(x)).

    Raises
    ------
    ValueError
        If the displacement has another shape or is not finite where it is used.
    """
    chosen = np.arange(int(np.prod(target.shape))) if where is None else np.flatnonzero(where)
    index = np.stack(np.unravel_index(chosen, target.shape))
    transform = np.eye(4) if target_to_source_lps_mm is None else np.asarray(target_to_source_lps_mm, dtype=np.float64)
    matrix = source.index_from_lps @ transform @ target.affine_lps_mm
    by_displacement = None if displacement_mm is None else _displacement(displacement_mm, target, chosen)
    per_mm = (source.index_from_lps @ transform)[:3, :3]
    columns: list[list[NDArray[np.int32]]] = []
    weights: list[list[Array]] = []
    strides = (source.shape[1] * source.shape[2], source.shape[2], 1)
    for axis in range(3):
        position = matrix[axis, :3] @ index + matrix[axis, 3]
        if by_displacement is not None:
            position = position + per_mm[axis] @ by_displacement
        # A voxel that lies on a voxel to a ten-thousandth is that voxel: identical grids copy, bit for bit.
        nearest = np.rint(position)
        position = np.where(np.abs(position - nearest) < 1e-4, nearest, position)
        lower = np.floor(position).astype(np.int32)
        part = (position - lower).astype(np.float32)
        columns.append([])
        weights.append([])
        for upper in (0, 1):
            at = lower + upper
            inside = (at >= 0) & (at < source.shape[axis])
            columns[axis].append(np.where(inside, at, 0) * np.int32(strides[axis]))
            weights[axis].append(np.where(inside, part if upper else 1 - part, np.float32(0)))
    neighbours = np.empty((chosen.size, 8), dtype=np.int32)
    shares = np.empty((chosen.size, 8), dtype=np.float32)
    for corner in range(8):
        a, b, c = corner >> 2, (corner >> 1) & 1, corner & 1
        neighbours[:, corner] = columns[0][a] + columns[1][b] + columns[2][c]
        shares[:, corner] = weights[0][a] * weights[1][b] * weights[2][c]
    rows = np.arange(chosen.size + 1, dtype=np.int32) * 8
    size = (chosen.size, int(np.prod(source.shape)))
    return Sampler(
        target=chosen,
        matrix=sparse.csr_array((shares.ravel(), neighbours.ravel(), rows), shape=size),
        shape=target.shape,
    )
