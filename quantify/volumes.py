"""Volumes derived from other volumes: the healthy part of the liver or of a territory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from quantify.model import Role, Volume

HEALTHY_LIVER = "Healthy liver"


def healthy_part(whole: Volume, tumours: Sequence[Volume], *, name: str = HEALTHY_LIVER) -> Volume:
    """`whole` minus the tumours, by occupancy: a voxel that is half tumour is half healthy.

    Raises
    ------
    ValueError
        If a tumour lies on another grid.
    """
    occupancy = whole.occupancy.astype(np.float32, copy=True)
    for tumour in tumours:
        if not tumour.grid.same_as(whole.grid):
            raise ValueError(f"healthy_part: {tumour.name!r} and {whole.name!r} lie on different grids.")
        occupancy -= tumour.occupancy
    np.clip(occupancy, 0.0, 1.0, out=occupancy)
    removed = whole.volume_ml - float(occupancy.sum(dtype=np.float64)) * whole.grid.voxel_volume_ml
    return Volume(
        name=name,
        role=Role.HEALTHY_LIVER,
        occupancy=occupancy,
        grid=whole.grid,
        contour_volume_ml=max(0.0, whole.contour_volume_ml - removed),
    )


def overlap_ml(first: Volume, second: Volume) -> float:
    """Volume that two volumes share at least, mL: where their occupancies add up to more than one voxel."""
    shared = np.clip(first.occupancy + second.occupancy - 1.0, 0.0, None).sum(dtype=np.float64)
    return float(shared) * first.grid.voxel_volume_ml
