"""An abdomen as a formula of position: liver, lung, vessels, spine; moved, breathed, bent and filled with holmium."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
from scipy.spatial.transform import Rotation

from quantify.model import EchoSeries, Grid

TIMES_S = (0.0012, 0.0024, 0.0036)
SHAPE, SPACING_MM = (44, 80, 112), (4.0, 3.0, 3.0)
RELAXIVITY = 218.0

# S0, R2* in s⁻¹ and signal of a T1-weighted image.
FAT, MUSCLE, LIVER, VESSEL = (150.0, 45.0, 160.0), (72.0, 38.0, 50.0), (100.0, 35.0, 95.0), (118.0, 28.0, 35.0)
LUNG, SPINE, KIDNEY, LESION = (5.0, 400.0, 3.0), (120.0, 90.0, 75.0), (130.0, 26.0, 60.0), (112.0, 25.0, 52.0)

Field = Callable[[np.ndarray], np.ndarray]


def make_grid(shape=SHAPE, spacing=SPACING_MM, offset=(0.0, 0.0, 0.0), uid="1.2", turn_deg=(0, 0, 0)) -> Grid:
    rotation = Rotation.from_euler("xyz", turn_deg, degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = rotation[:, ::-1] * np.array(spacing)
    affine[:3, 3] = np.array(offset) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape=shape, affine_lps_mm=affine, frame_of_reference_uid=uid)


def positions(grid: Grid) -> np.ndarray:
    """(n, 3) LPS mm of every voxel."""
    index = np.indices(grid.shape).reshape(3, -1)
    return (grid.affine_lps_mm[:3, :3] @ index + grid.affine_lps_mm[:3, 3:]).T


def in_liver(points: np.ndarray) -> np.ndarray:
    x, y, z = points.T
    main = ((x + 40) / 82) ** 2 + (y / 65) ** 2 + ((z + 4) / 52) ** 2 < 1
    lobe = ((x - 38) / 60) ** 2 + ((y + 25) / 35) ** 2 + ((z + 5) / 32) ** 2 < 1
    return main | lobe


def tissue(points: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """(3, n) S0, R2*, T1-weighted signal; `inner` is where the breathing organs at `points` were in the reference."""
    x, y, _ = points.T
    result = np.zeros((3, len(points)))
    rim = (x / 165) ** 2 + (y / 115) ** 2

    def fill(where: np.ndarray, values: tuple[float, float, float]) -> None:
        result[:, where] = np.array(values)[:, None]

    fill(rim < 1, FAT)
    fill(rim < 0.85, MUSCLE)
    a, b, c = inner.T
    cavity = (x / 145) ** 2 + (y / 92) ** 2 < 1
    dome = 54.0 - 40 * ((a + 40) / 90) ** 2 - 40 * (b / 80) ** 2
    fill(cavity & (np.sin(a / 13 + np.sin(b / 17)) + np.cos(b / 11 + c / 23) > 0.2), FAT)
    fill(cavity & (c > dome), LUNG)
    liver = in_liver(inner)
    fill(liver, LIVER)
    fill(liver & (((a + 45 - 0.3 * c) / 7) ** 2 + ((b - 5) / 7) ** 2 < 1), VESSEL)
    fill(liver & (((b + 10 + 0.2 * a) / 5) ** 2 + ((c - 0.25 * a) / 5) ** 2 < 1), VESSEL)
    fill(liver & (((a + 80) / 18) ** 2 + ((b + 12) / 16) ** 2 + ((c + 10) / 17) ** 2 < 1), LESION)
    fill(~liver & (((a + 70) / 26) ** 2 + ((b - 62) / 22) ** 2 + ((c + 60) / 40) ** 2 < 1), KIDNEY)
    fill(((x - 5) / 18) ** 2 + ((y - 75) / 18) ** 2 < 1, SPINE)
    return result


def holmium_mg_ml(inner: np.ndarray, peak: float) -> np.ndarray:
    """Mottled uptake of the right half, most of it in the lesion's rim."""
    a, b, c = inner.T
    mottle = 0.25 + 0.1 * np.sin(a / 9) * np.cos(b / 11 + c / 13)
    lesion = ((a + 80) / 18) ** 2 + ((b + 12) / 16) ** 2 + ((c + 10) / 17) ** 2
    return np.where(in_liver(inner) & (a < -20), peak * np.where(lesion < 1, 0.5 + 0.5 * lesion, mottle), 0.0)


def rigid(translation=(0, 0, 0), rotation_deg=(0, 0, 0)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", rotation_deg, degrees=True).as_matrix()
    matrix[:3, 3] = translation
    return matrix


def scan(
    *,
    pose: np.ndarray | None = None,
    breath_mm=(0.0, 0.0, 0.0),
    bend: Field | None = None,
    holmium: float = 0.0,
    gain: float = 1.0,
    snr: float = 40.0,
    seed: int = 1,
    grid: Grid | None = None,
    t1: bool = False,
) -> EchoSeries:
    """A series of the body: `bend` is u of p → p + u(p) inside, `breath_mm` moves liver and lung, then `pose` all."""
    grid = grid or make_grid()
    points = positions(grid)
    if pose is not None:
        back = np.linalg.inv(pose)
        points = points @ back[:3, :3].T + back[:3, 3]
    inner = points - np.array(breath_mm)
    if bend is not None:
        at = inner
        for _ in range(12):
            inner = at - bend(inner)
    s0, r2star, t1_signal = tissue(points, inner)
    times = (0.0012,) if t1 else TIMES_S
    r2star = r2star + RELAXIVITY * holmium_mg_ml(inner, holmium)
    clean = gain * (t1_signal[None] if t1 else s0 * np.exp(-np.array(times)[:, None] * r2star))
    rng = np.random.default_rng(seed)
    sigma = gain * 100.0 / snr
    noisy = np.abs(clean + sigma * (rng.standard_normal(clean.shape) + 1j * rng.standard_normal(clean.shape)))
    return EchoSeries(
        signal=noisy.reshape(-1, *grid.shape).astype(np.float32),
        echo_times_s=times,
        grid=grid,
        acquired_at=datetime(2026, 3, 4, tzinfo=UTC),
        series_instance_uid=str(seed),
        field_strength_t=3.0,
    )


def liver_mask(grid: Grid | None = None) -> np.ndarray:
    grid = grid or make_grid()
    return in_liver(positions(grid)).reshape(grid.shape)


def target_error_mm(found, truth: Callable[[np.ndarray], np.ndarray], grid: Grid | None = None) -> np.ndarray:
    """Distance of where a registration sends points of the liver from where they went; `truth` maps (n, 3)."""
    grid = grid or make_grid()
    at = np.flatnonzero(liver_mask(grid).ravel())[::97]
    points = positions(grid)[at]
    moved = points
    if found.displacement_mm is not None:
        moved = points + np.asarray(found.displacement_mm).reshape(3, -1).T[at]
    matrix = np.array(found.reference_to_series_lps_mm)
    return np.linalg.norm(moved @ matrix[:3, :3].T + matrix[:3, 3] - truth(points), axis=1)


def mapped(matrix: np.ndarray, shift=(0.0, 0.0, 0.0)) -> Callable[[np.ndarray], np.ndarray]:
    return lambda points: (points + np.array(shift)) @ matrix[:3, :3].T + matrix[:3, 3]
