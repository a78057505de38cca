"""Partial volume: whose R2* a mixed voxel shows, and that solving for a volume's own part finds its dose."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from quantify.model import Array, Grid, ParametricMap, Role, Volume
from quantify.partial_volume import mixture, signal_shares
from quantify.r2star import fit_r2star
from quantify.resampling import sampler
from quantify.statistics import distribution

from .conftest import TEN_ECHOES_S, make_grid, make_series

FINE = 4
"""Sub-voxels along each axis."""
SHAPE = (14, 22, 22)
GRID = make_grid(SHAPE, (4.0, 3.0, 3.0))
ROLES = {"Tumour 1": Role.TUMOUR, "Healthy liver": Role.HEALTHY_LIVER}


def fine_positions_mm() -> np.ndarray:
    axes = [(np.arange(n * FINE) + 0.5) / FINE * step for n, step in zip(SHAPE, GRID.spacing_mm, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def averaged(values: np.ndarray) -> np.ndarray:
    s, r, c = SHAPE
    return values.reshape(s, FINE, r, FINE, c, FINE).mean(axis=(1, 3, 5))


POSITION = fine_positions_mm()
CENTRE = np.array([29.0, 34.0, 31.0])
DISTANCE = np.sqrt(((POSITION - CENTRE[:, None, None, None]) ** 2).sum(axis=0))
TUMOUR = DISTANCE < 16.0
LIVER = POSITION[2] < 58.0
"""The last columns are outside the liver."""


class Scene:
    """A spherical tumour in liver, imaged with every voxel averaged before it decays: signals add, R2* does not."""

    def __init__(
        self,
        *,
        tumour_per_s: np.ndarray | float,
        liver_per_s: float = 100.0,
        tumour_s0: float = 1000.0,
        outside_s0: float = 900.0,
        sigma: float = 0.0,
    ) -> None:
        rate = np.where(TUMOUR, tumour_per_s, np.where(LIVER, liver_per_s, 40.0))
        s0 = np.where(TUMOUR, tumour_s0, np.where(LIVER, 1000.0, outside_s0))
        signal = np.stack([averaged(s0 * np.exp(-rate * te)) for te in TEN_ECHOES_S])
        rng = np.random.default_rng(1)
        noise = sigma * (rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape))
        series = make_series(np.zeros(SHAPE), grid=GRID)
        series = type(series)(**{**vars(series), "signal": np.abs(signal + noise).astype(np.float32)})
        self.fit = fit_r2star(series, sigma=sigma)
        self.true_mean = float(rate[TUMOUR].mean())
        self.occupancy = {
            "Tumour 1": averaged(TUMOUR.astype(float)).astype(np.float32),
            "Healthy liver": averaged((LIVER & ~TUMOUR).astype(float)).astype(np.float32),
        }

    def shares(self) -> dict[str, Array]:
        return signal_shares(
            s0=self.fit.s0,
            r2star_per_s=self.fit.r2star_per_s,
            echo_times_s=TEN_ECHOES_S,
            usable=np.isfinite(self.fit.r2star_per_s),
            volumes=self.occupancy,
            grid=GRID,
        )

    def map(self) -> ParametricMap:
        """R2* itself serves as the map: shares are what it is linear in."""
        return ParametricMap(
            values=self.fit.r2star_per_s,
            reason=np.zeros(SHAPE, dtype=np.uint8),
            grid=GRID,
            quantity="R2*",
            unit="1/s",
            standard_error=self.fit.standard_error_per_s,
        )

    def volume(self, name: str = "Tumour 1") -> Volume:
        occupancy = self.occupancy[name]
        return Volume(
            name=name,
            role=ROLES[name],
            occupancy=occupancy,
            grid=GRID,
            contour_volume_ml=float(occupancy.sum()) * GRID.voxel_volume_ml,
        )

    def means(self) -> tuple[float, float]:
        """Mean of the tumour as it stands and corrected."""
        mixed = mixture(self.volume(), self.map(), self.shares(), ROLES)
        plain, corrected = distribution(self.map(), self.volume()), distribution(self.map(), self.volume(), mixed)
        return plain.mean, corrected.mean


def test_shares_are_fractions_and_pure_voxels_belong_to_their_volume():
    scene = Scene(tumour_per_s=250.0)
    shares = scene.shares()
    total = sum(shares.values())
    assert min(float(s.min()) for s in shares.values()) >= 0
    assert float(total.max()) <= 1 + 1e-5
    for name, share in shares.items():
        assert share[scene.occupancy[name] >= 1.0] == pytest.approx(1.0, abs=0.01)
        assert (share[scene.occupancy[name] == 0] == 0).all()


def test_the_shares_make_the_fitted_r2star_a_weighted_mean():
    """R = Σ wⱼRⱼ in the voxels of two uniform tissues: the law that the correction rests on."""
    scene = Scene(tumour_per_s=250.0)
    shares = scene.shares()
    mixed = (scene.occupancy["Tumour 1"] > 0.02) & (scene.occupancy["Healthy liver"] > 0.02)
    mixed &= scene.occupancy["Tumour 1"] + scene.occupancy["Healthy liver"] > 0.999
    assert mixed.sum() > 100
    predicted = 250.0 * shares["Tumour 1"] + 100.0 * shares["Healthy liver"]
    assert scene.fit.r2star_per_s[mixed] == pytest.approx(predicted[mixed], abs=3.0)


def test_shares_of_s0_alone_would_not():
    """What decays faster counts less: half a voxel of 400 s⁻¹ beside 50 s⁻¹ does not read 225 s⁻¹."""
    scene = Scene(tumour_per_s=400.0, liver_per_s=50.0)
    half = (np.abs(scene.occupancy["Tumour 1"] - 0.5) < 0.05) & (scene.occupancy["Healthy liver"] > 0.4)
    assert half.sum() > 5
    assert float(scene.fit.r2star_per_s[half].mean()) < 180.0
    assert float(scene.shares()["Tumour 1"][half].mean()) < 0.4


@pytest.mark.parametrize("tumour", [120.0, 180.0, 300.0])
@pytest.mark.parametrize("tumour_s0", [700.0, 1000.0, 1300.0])
def test_the_corrected_mean_of_a_uniform_tumour_is_its_own(tumour, tumour_s0):
    plain, corrected = Scene(tumour_per_s=tumour, tumour_s0=tumour_s0).means()
    assert corrected == pytest.approx(tumour, abs=0.012 * (tumour - 100.0) + 0.2)
    assert abs(corrected - tumour) < abs(plain - tumour) / 4


def test_noise_leaves_the_corrected_mean_unbiased():
    _, corrected = Scene(tumour_per_s=250.0, sigma=20.0).means()
    assert corrected == pytest.approx(250.0, abs=3.0)


@pytest.mark.parametrize("slope", [-0.7, 0.7])
def test_a_rim_that_differs_from_the_core_is_not_taken_for_it(slope):
    """Hot and cold rims: the mean stays within 1.5 %."""
    rho_squared = (DISTANCE / 16.0) ** 2
    scene = Scene(tumour_per_s=25.0 + 160.0 * (1.0 + slope * (rho_squared - 0.6)))
    plain, corrected = scene.means()
    assert corrected == pytest.approx(scene.true_mean, rel=0.015)
    assert abs(corrected - scene.true_mean) < abs(plain - scene.true_mean)


def test_a_tissue_without_signal_does_not_dilute():
    """Lung beside the liver gives no signal: edge voxels show the liver alone and need no correction."""
    scene = Scene(tumour_per_s=100.0, outside_s0=1e-3)
    edge = (scene.occupancy["Healthy liver"] > 0.1) & (scene.occupancy["Healthy liver"] < 0.9)
    edge &= scene.occupancy["Tumour 1"] == 0
    assert edge.sum() > 50
    assert scene.shares()["Healthy liver"][edge] == pytest.approx(1.0, abs=0.02)


def test_the_liver_owns_what_any_of_its_parts_owns():
    scene = Scene(tumour_per_s=250.0)
    whole = scene.occupancy["Tumour 1"] + scene.occupancy["Healthy liver"]
    liver = Volume(
        name="Liver", role=Role.LIVER, occupancy=whole, grid=GRID, contour_volume_ml=float(whole.sum()) * 0.036
    )
    shares = scene.shares()
    mixed = mixture(liver, scene.map(), shares, ROLES)
    assert mixed.own == pytest.approx(sum(shares.values()))
    assert (mixed.foreign == 0).all()


def test_another_baseline_in_the_tumour_is_its_own():
    """No uptake: ΔR2* is 0 in truth, though an edge's baseline was mixed in other shares than the image shows."""
    after = Scene(tumour_per_s=25.0, liver_per_s=35.0)
    baseline = after.fit.r2star_per_s
    smeared = ndimage.gaussian_filter(after.fit.r2star_per_s, 0.6)  # as interpolation smears a fraction
    shares = {name: ndimage.gaussian_filter(share, 0.6) for name, share in after.shares().items()}
    change = ParametricMap(
        values=smeared - baseline, reason=np.zeros(SHAPE, dtype=np.uint8), grid=GRID, quantity="ΔR2*", unit="1/s"
    )

    def mean(**baselines: Array) -> float:
        return distribution(change, after.volume(), mixture(after.volume(), change, shares, ROLES, **baselines)).mean

    assert abs(mean(baseline=baseline)) < 0.15
    assert abs(mean(baseline=baseline)) < abs(mean()) / 3


def test_no_correction_without_shares_or_for_a_volume_that_they_do_not_know():
    scene = Scene(tumour_per_s=250.0)
    assert mixture(scene.volume(), scene.map(), {}, ROLES) is None
    liver_only = {"Healthy liver": scene.shares()["Healthy liver"]}
    assert mixture(scene.volume(), scene.map(), liver_only, ROLES) is None


def test_a_volume_of_a_few_voxels_is_left_as_it_is():
    scene = Scene(tumour_per_s=250.0)
    tiny = np.zeros(SHAPE, dtype=np.float32)
    tiny[7, 11, 10:12] = 1.0
    own = {"Tumour 1": tiny, "Healthy liver": scene.shares()["Healthy liver"]}
    volume = Volume(name="Tumour 1", role=Role.TUMOUR, occupancy=tiny, grid=GRID, contour_volume_ml=0.072)
    assert mixture(volume, scene.map(), own, ROLES) is None


def test_voxels_without_signal_have_no_shares():
    scene = Scene(tumour_per_s=250.0)
    s0 = scene.fit.s0.copy()
    s0[5:7] = np.nan
    shares = signal_shares(
        s0=s0,
        r2star_per_s=np.where(np.isnan(s0), np.nan, scene.fit.r2star_per_s).astype(np.float32),
        echo_times_s=TEN_ECHOES_S,
        usable=np.isfinite(s0),
        volumes=scene.occupancy,
        grid=GRID,
    )
    assert all((share[5:7] == 0).all() for share in shares.values())
    assert all(np.isfinite(share).all() for share in shares.values())


def test_nothing_contoured_is_nothing_shared():
    scene = Scene(tumour_per_s=250.0)
    scene.occupancy = {"Tumour 1": np.zeros(SHAPE, dtype=np.float32)}
    assert (scene.shares()["Tumour 1"] == 0).all()


@pytest.mark.parametrize("slope", [-0.7, 0.0, 0.7])
@pytest.mark.parametrize("offset_mm", [(2.0, 1.5, 1.5), (0.5, 1.0, 0.4), (0.0, 0.0, 0.0)])
def test_interpolation_between_the_series_own_voxels_is_undone(slope, offset_mm):
    """Between voxels an edge takes its value from further inside; a rim would read like the tissue within it."""
    rho_squared = (DISTANCE / 16.0) ** 2
    scene = Scene(tumour_per_s=25.0 + 160.0 * (1.0 + slope * (rho_squared - 0.6)))
    affine = np.array(GRID.affine_lps_mm)
    affine[:3, 3] += (offset_mm[2], offset_mm[1], offset_mm[0])
    target = Grid(shape=SHAPE, affine_lps_mm=affine, frame_of_reference_uid=GRID.frame_of_reference_uid)
    sample = sampler(source=GRID, target=target)
    # The tumour as the target's voxels see it: the fine grid shifted by whole sub-voxels is near enough.
    occupancy = np.nan_to_num(sample.sample(scene.occupancy["Tumour 1"]))
    image = ParametricMap(
        values=np.nan_to_num(sample.sample(scene.fit.r2star_per_s)),
        reason=np.zeros(SHAPE, dtype=np.uint8),
        grid=target,
        quantity="R2*",
        unit="1/s",
    )
    shares = {name: np.nan_to_num(sample.sample(share)) for name, share in scene.shares().items()}
    volume = Volume(
        name="Tumour 1",
        role=Role.TUMOUR,
        occupancy=occupancy,
        grid=target,
        contour_volume_ml=float(occupancy.sum()) * 0.036,
    )
    native = distribution(scene.map(), scene.volume(), mixture(scene.volume(), scene.map(), scene.shares(), ROLES))

    def d70(**more: Grid) -> float:
        return distribution(image, volume, mixture(volume, image, shares, ROLES, **more)).dose_received_by(70)

    wanted = native.dose_received_by(70)
    assert d70(imaged_grid=GRID) == pytest.approx(wanted, rel=0.03)
    assert abs(d70(imaged_grid=GRID) - wanted) <= abs(d70() - wanted) + 0.5
