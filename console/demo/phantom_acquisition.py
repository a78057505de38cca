"""How a scanner sees the phantom: slab, pose of the patient, decay averaged inside each voxel, coil, Rice noise."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from console.demo.phantom import CENTRE_MM, Region, body
from console.demo.phantom_disturbance import SeriesState, fatty
from console.demo.phantom_treatment import RELAXIVITY_PER_S_PER_MG_ML, Treatment
from console.demo.shapes import Floats, Triple
from quantify.model import Array, Grid

LIVER_S0 = 1000.0
"""S0 of healthy liver in the phantom's arbitrary unit (at receiver gain 1 in the centre of the coil)."""


def default_echo_times_s() -> tuple[float, ...]:
    """Ten echoes, 1.2 to 12 ms."""
    return tuple(round(0.0012 * echo, 6) for echo in range(1, 11))


@dataclass(frozen=True, kw_only=True)
class AcquisitionOptions:
    """A multi-echo gradient-echo protocol.

    ``shape`` is (slices, rows, columns); ``spacing_mm`` between slices, rows, columns. ``tilt_deg`` turns the slab
    about x, y, z. ``snr`` is S0 of healthy liver over the noise's σ per channel. ``subsamples`` points per axis
    and voxel are averaged. ``coil_shading`` is the relative loss of sensitivity 200 mm from the centre.
    """

    shape: tuple[int, int, int] = (40, 96, 128)
    spacing_mm: tuple[float, float, float] = (4.0, 3.0, 3.0)
    echo_times_s: tuple[float, ...] = field(default_factory=default_echo_times_s)
    field_strength_t: float = 3.0
    tilt_deg: Triple = (0.0, 0.0, 0.0)
    snr: float = 50.0
    subsamples: int = 2
    coil_shading: float = 0.15

    def __post_init__(self) -> None:
        if self.field_strength_t not in RELAXIVITY_PER_S_PER_MG_ML:
            fields = ", ".join(f"{value:g} T" for value in RELAXIVITY_PER_S_PER_MG_ML)
            raise ValueError(
                f"AcquisitionOptions.field_strength_t is {self.field_strength_t}; the phantom has {fields}."
            )
        if self.subsamples < 1 or not self.snr > 0:
            raise ValueError(
                f"AcquisitionOptions: subsamples {self.subsamples} and snr {self.snr} must be at least 1 and positive."
            )

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise in each of the two channels, phantom units at gain 1."""
        return LIVER_S0 / self.snr

    @property
    def relaxivity_per_s_per_mg_ml(self) -> float:
        """r2* at this field strength."""
        return RELAXIVITY_PER_S_PER_MG_ML[self.field_strength_t]


SMALL = AcquisitionOptions(shape=(32, 72, 104), spacing_mm=(5.0, 3.75, 3.75))
"""A coarser protocol that is generated and quantified in a fraction of the time: for tests."""


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Where the patient lies: rigid motion of the phantom about its centre, in scanner coordinates.

    A phantom point p is found at R(p − centre) + centre + translation.
    """

    translation_mm: Triple = (0.0, 0.0, 0.0)
    rotation_deg: Triple = (0.0, 0.0, 0.0)

    def to_phantom(self, scanner_points_mm: Floats) -> Floats:
        """Take points of the scanner (3, …) to the phantom's own coordinates."""
        moved = scanner_points_mm.reshape(3, -1)
        offset = np.add(CENTRE_MM, self.translation_mm).astype(moved.dtype)[:, None]
        centre = np.asarray(CENTRE_MM, dtype=moved.dtype)[:, None]
        inverse = _rotation(self.rotation_deg).T.astype(moved.dtype)
        return np.asarray(inverse @ (moved - offset) + centre).reshape(scanner_points_mm.shape)


def slab(
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    *,
    tilt_deg: Triple = (0.0, 0.0, 0.0),
    centre_mm: Triple = CENTRE_MM,
    frame_of_reference_uid: str = "",
) -> Grid:
    """Return the grid of a slab centred on `centre_mm`: transverse, then turned by `tilt_deg` about x, y, z."""
    directions = _rotation(tilt_deg) @ np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    affine = np.eye(4)
    affine[:3, :3] = directions * np.asarray(spacing_mm)
    affine[:3, 3] = np.asarray(centre_mm) - affine[:3, :3] @ ((np.asarray(shape) - 1) / 2.0)
    return Grid(shape=shape, affine_lps_mm=affine, frame_of_reference_uid=frame_of_reference_uid)


def noiseless_signal(
    treatment: Treatment,
    n_injections: int,
    grid: Grid,
    options: AcquisitionOptions,
    pose: Pose | None = None,
    state: SeriesState | None = None,
) -> Array:
    """Return S(TE) averaged over each voxel: (echo, slice, row, column), float32, phantom units.

    S = coil · mean over sub-points of S0·exp(−(R2*₀ + r2*·c)·TE): the average that makes a voxel on an edge
    decay other than mono-exponentially, as in a real image. Air is 0.

    Parameters
    ----------
    treatment
        The phantom and what has been injected into it.
    n_injections
        How many injections the patient has had when the series is acquired.
    grid
        Where the voxels lie, in scanner coordinates.
    options
        Echo times, field strength, sub-samples, coil.
    pose
        Where the patient lies; None is the reference pose.
    state
        Fat, drift, gain field and breath-hold; None is the undisturbed phantom. Fat makes the signal complex: its
        modulus is taken after averaging.
    """
    pose, state = pose or Pose(), state or SeriesState()
    signal = np.zeros((len(options.echo_times_s), *grid.shape), dtype=np.float32)
    for index in range(grid.shape[0]):
        centres, offsets = _slice_points(grid, index, options.subsamples)
        inside = body(pose.to_phantom(centres)) < max(grid.spacing_mm)
        points = pose.to_phantom((centres[:, inside][:, :, None] + offsets[:, None, :]).reshape(3, -1))
        points = state.before_breath_hold(points)
        regions = treatment.phantom.regions(points)
        s0, r2star, _ = treatment.phantom.tissue(points, regions)
        if n_injections:
            r2star = r2star + options.relaxivity_per_s_per_mg_ml * treatment.holmium(points, regions, n_injections)
        if state.drift_per_s:
            r2star = r2star + np.float32(state.drift_per_s)
        shading = coil_sensitivity(centres[:, inside], options.coil_shading)
        if any(state.gain_field):
            shading = shading * state.sensitivity(centres[:, inside])
        for echo, echo_time_s in enumerate(options.echo_times_s):
            decayed = s0 * np.exp(np.float32(-echo_time_s) * r2star)
            mean = decayed.reshape(-1, offsets.shape[1]).mean(axis=1)
            if state.fat_fraction:
                modulation = state.fat_modulation(echo_time_s, options.field_strength_t)
                parts = fatty(decayed, modulation, regions == Region.HEALTHY)
                mean = np.hypot(*(part.reshape(-1, offsets.shape[1]).mean(axis=1) for part in parts))
            signal[echo, index][inside.reshape(grid.shape[1:])] = mean * shading
    return signal


def anatomy_signal(treatment: Treatment, grid: Grid) -> Array:
    """Return the T1-weighted anatomy (slice, row, column) in the reference pose, 2 × 2 × 1 sub-points a voxel."""
    signal = np.zeros(grid.shape, dtype=np.float32)
    for index in range(grid.shape[0]):
        centres, offsets = _slice_points(grid, index, 2, through_plane=1)
        inside = body(centres) < max(grid.spacing_mm)
        points = (centres[:, inside][:, :, None] + offsets[:, None, :]).reshape(3, -1)
        values = treatment.phantom.tissue(points, treatment.phantom.regions(points))[2]
        signal[index][inside.reshape(grid.shape[1:])] = values.reshape(-1, offsets.shape[1]).mean(axis=1)
    return signal


def complex_noise(shape: tuple[int, int], sigma: float, seed: int, *address: int) -> NDArray[np.complex64]:
    """Return circular Gaussian noise, σ per channel, for one image: a function of its seed and address only.

    So no image depends on the order in which a series is written.
    """
    rng = np.random.default_rng([seed, 7, *address])
    pair = rng.standard_normal((2, *shape), dtype=np.float32)
    noise: NDArray[np.complex64] = np.float32(sigma) * (pair[0] + np.complex64(1j) * pair[1])
    return noise


def coil_sensitivity(points_mm: Floats, shading: float) -> Floats:
    """Receiver sensitivity: 1 at the centre, smooth, fixed to the scanner (it does not move with the patient)."""
    x, y, z = (points_mm[i] / 200.0 for i in range(3))
    return np.asarray(1.0 - shading * (x * x + y * y + 0.5 * z * z) + 0.3 * shading * (x - y))


def region_of_voxels(treatment: Treatment, grid: Grid, pose: Pose | None = None) -> NDArray[np.uint8]:
    """`Region` at every voxel's centre, (slice, row, column)."""
    result = np.full(grid.shape, Region.OUTSIDE, dtype=np.uint8)
    for index in range(grid.shape[0]):
        centres, _ = _slice_points(grid, index, 1)
        points = (pose or Pose()).to_phantom(centres)
        result[index] = treatment.phantom.regions(points).reshape(grid.shape[1:])
    return result


def _slice_points(
    grid: Grid, index: int, subsamples: int, *, through_plane: int | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return voxel centres (3, rows·columns) of one slice and the offsets (3, n) of the sub-points in a voxel."""
    rows, columns = np.meshgrid(np.arange(grid.shape[1]), np.arange(grid.shape[2]), indexing="ij")
    voxel = np.array([np.full(rows.size, index), rows.ravel(), columns.ravel()], dtype=np.float64)
    affine = grid.affine_lps_mm
    centres = affine[:3, :3] @ voxel + affine[:3, 3:]
    counts = (through_plane or subsamples, subsamples, subsamples)
    steps = [(np.arange(n) + 0.5) / n - 0.5 for n in counts]
    offsets = affine[:3, :3] @ np.array(list(itertools.product(*steps))).T
    return centres.astype(np.float32), offsets.astype(np.float32)


def _rotation(angles_deg: Triple) -> NDArray[np.float64]:
    """Rotation about the fixed axes x, then y, then z."""
    matrix: NDArray[np.float64] = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()
    return matrix
