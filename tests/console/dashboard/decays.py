"""Series as fitted for the probe's tests: known R2* in every voxel, the fraction's patient lying elsewhere."""

from __future__ import annotations

import numpy as np
from treatments import START, axial_grid

from console.snapshot import ImagedSeries
from quantify.holmium import FittedSeries
from quantify.model import EchoSeries, Grid
from quantify.r2star import DecayFit

TIMES_S = tuple(0.0012 * (k + 1) for k in range(10))
S0 = 900.0
SIGMA = 12.0
ERROR_PER_S = 3.1
SHIFT_MM = (6.0, 0.0, 4.0)
"""Where a point of the reference lies in the fraction's series: two columns and one slice on."""


def fitted(r2star_per_s: float, *, slope_per_s: float = 0.0, grid: Grid | None = None) -> FittedSeries:
    """A series whose R2* rises by `slope_per_s` from column to column, with its exact fit."""
    grid = grid or axial_grid()
    columns = np.broadcast_to(np.arange(grid.shape[2], dtype=np.float32), grid.shape)
    rate = (r2star_per_s + slope_per_s * columns).astype(np.float32)
    times = np.array(TIMES_S, dtype=np.float32)[:, None, None, None]
    flat = np.full(grid.shape, S0, dtype=np.float32)
    series = EchoSeries(
        signal=flat * np.exp(-rate * times),
        echo_times_s=TIMES_S,
        grid=grid,
        acquired_at=START,
        series_instance_uid="1.2.9",
        field_strength_t=3.0,
    )
    fit = DecayFit(
        r2star_per_s=rate,
        s0=flat,
        standard_error_per_s=np.full(grid.shape, ERROR_PER_S, dtype=np.float32),
        residual=0.012 * flat,
        sigma=SIGMA,
    )
    every = np.ones(grid.shape, dtype=bool)
    return FittedSeries(series=series, fit=fit, usable=every, poor=~every)


def imaged(key: tuple[str, int] | None, made: FittedSeries, shift_mm: tuple[float, ...] = (0, 0, 0)) -> ImagedSeries:
    """The series as the snapshot holds it."""
    move = np.eye(4)
    move[:3, 3] = shift_mm
    return ImagedSeries(
        key=key,
        label="reference" if key is None else f"{key[0]} F{key[1]}",
        fitted=made,
        reference_to_series_lps_mm=tuple(tuple(float(v) for v in row) for row in move),
        registered=made.fit.s0,
    )
