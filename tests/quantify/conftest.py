"""Small synthetic series on a grid, with known R2*, gain and noise."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest

from quantify.model import EchoSeries, Grid

TEN_ECHOES_S = tuple(float(t) for t in np.arange(1, 11) * 1.2e-3)
SOME_TIME = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)


def make_grid(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float] = (4.0, 3.0, 3.0)) -> Grid:
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = *spacing_mm, 1.0
    return Grid(shape=shape, affine_lps_mm=affine, frame_of_reference_uid="1.2.3")


def make_series(
    r2star: np.ndarray,
    *,
    s0: float | np.ndarray = 100.0,
    sigma: float = 0.0,
    seed: int = 0,
    echo_times_s: tuple[float, ...] = TEN_ECHOES_S,
    uid: str = "1.2.3.4",
    grid: Grid | None = None,
) -> EchoSeries:
    """Magnitude series of an R2* array (slice, row, column) with Rice noise of one channel's σ."""
    times = np.array(echo_times_s)[:, None, None, None]
    clean = s0 * np.exp(-np.asarray(r2star)[None] * times)
    rng = np.random.default_rng(seed)
    noise = sigma * (rng.standard_normal(clean.shape) + 1j * rng.standard_normal(clean.shape))
    return EchoSeries(
        signal=np.abs(clean + noise).astype(np.float32),
        echo_times_s=echo_times_s,
        grid=grid or make_grid(r2star.shape),
        acquired_at=SOME_TIME,
        series_instance_uid=uid,
        field_strength_t=3.0,
    )


@pytest.fixture
def series() -> Callable[..., EchoSeries]:
    return make_series


@pytest.fixture
def grid() -> Callable[..., Grid]:
    return make_grid
