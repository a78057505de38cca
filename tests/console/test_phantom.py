"""The phantom's truth: holmium adds up, doses follow the formula, the images are what physics says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rice

from console.demo.phantom import LIVER_BOX_MM, Phantom, Region, Territory, body
from console.demo.phantom_acquisition import (
    SMALL,
    AcquisitionOptions,
    Pose,
    anatomy_signal,
    complex_noise,
    noiseless_signal,
    region_of_voxels,
    slab,
)
from console.demo.phantom_series import Acquired
from console.demo.phantom_treatment import HALF_LIFE_H, Treatment, truth_document


@pytest.fixture(scope="module")
def treatment() -> Treatment:
    return Treatment(phantom=Phantom(seed=1), integration_step_mm=1.5)


@pytest.fixture(scope="module")
def one_position() -> Treatment:
    return Treatment(phantom=Phantom(seed=2), positions=("PHA",), saturating_tumour=None, integration_step_mm=1.5)


def liver_points(step_mm: float, offset_mm: float = 0.0) -> np.ndarray:
    axes = [np.arange(low + offset_mm, high, step_mm) for low, high in LIVER_BOX_MM]
    return np.array(np.meshgrid(*axes, indexing="ij")).reshape(3, -1)


@pytest.mark.parametrize("seed", range(1, 6))
def test_the_liver_has_a_liver_s_volume_and_its_tumours_lie_apart_inside_it(seed):
    phantom = Phantom(seed=seed)
    points = liver_points(2.5)
    liver = phantom.liver(points)
    assert 1200 <= np.count_nonzero(liver < 0) * 2.5**3 / 1000 <= 1850
    sides = {tumour.side for tumour in phantom.tumours}
    assert sides == {Territory.RIGHT, Territory.LEFT}
    surroundings = []
    for tumour in phantom.tumours:
        assert 20 <= tumour.volume_ml <= 80
        grown = tumour.implicit(points) < 3.0
        assert liver[grown].max() < 0, f"{tumour.name} comes within 3 mm of the liver's surface"
        territory = phantom.territory(points[:, grown], tumour.side)
        assert territory.max() < 0, f"{tumour.name} reaches the other half"
        surroundings.append(grown)
    assert np.sum(surroundings, axis=0).max() == 1, "two tumours touch"


def test_the_liver_lies_within_its_box_and_within_the_body():
    phantom = Phantom(seed=3)
    points = np.array(np.meshgrid(*[np.arange(-210.0, 211.0, 6.0)] * 3, indexing="ij")).reshape(3, -1)
    inside = points[:, phantom.liver(points) < 0]
    for axis, (low, high) in enumerate(LIVER_BOX_MM):
        assert low < inside[axis].min() - 6
        assert high > inside[axis].max() + 6
    assert body(inside).max() < -20


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_liver_is_not_its_own_mirror_image(axis):
    phantom = Phantom(seed=1)
    points = liver_points(4.0)
    inside = phantom.liver(points) < 0
    middle = points[axis][inside].mean()
    mirrored = points.copy()
    mirrored[axis] = 2 * middle - mirrored[axis]
    overlap = np.count_nonzero(inside & (phantom.liver(mirrored) < 0)) / np.count_nonzero(inside)
    assert overlap < 0.95


def test_holmium_in_the_liver_integrates_to_the_injected_mass(treatment):
    # A grid that shares no point with the one that the phantom is normalised on.
    step = 1.7
    points = liver_points(step, 0.31)
    regions = treatment.phantom.regions(points)
    for n in (1, 4, 8):
        mass = float(treatment.holmium(points, regions, n).sum()) * step**3 / 1000
        assert mass == pytest.approx(sum(i.mass_mg for i in treatment.injections[:n]), rel=1e-3)


def test_liver_mean_dose_is_all_energy_over_all_mass(treatment):
    truth = treatment.truth(7)
    liver = truth.volumes["Liver"]
    expected = 15.87e-3 * truth.cumulative_injected_mbq / (liver.volume_ml * 1.06e-3)
    assert liver.mean_dose_gy == pytest.approx(expected, rel=1e-6)
    assert liver.mean_dose_gy == pytest.approx(60, rel=0.05)


def test_doses_are_those_of_a_second_integration(treatment):
    # The same numbers from points drawn at random inside one tumour, from the published formula.
    tumour = treatment.phantom.tumours[1]
    rng = np.random.default_rng(5)
    unit = rng.uniform(-1, 1, (3, 400_000))
    unit = unit[:, (unit**2).sum(axis=0) < 1]
    points = np.array(tumour.centre_mm)[:, None] + np.array(tumour.half_axes_mm)[:, None] * unit
    regions = treatment.phantom.regions(points)
    assert np.all(regions == Region.FIRST_TUMOUR + 1)
    dose = np.zeros(points.shape[1])
    for k, injection in enumerate(treatment.injections):
        added = treatment.holmium(points, regions, k + 1) - treatment.holmium(points, regions, k)
        dose += 15.87 * added * injection.specific_activity_mbq_per_mg / 1.06
    truth = treatment.truth(7).volumes["Tumour 2"]
    assert truth.mean_dose_gy == pytest.approx(dose.mean(), rel=5e-3)
    assert truth.d70_gy == pytest.approx(np.percentile(dose, 30), rel=1e-2)
    assert truth.d90_gy == pytest.approx(np.percentile(dose, 10), rel=1e-2)
    assert truth.volume_ml == pytest.approx(tumour.volume_ml, rel=5e-3)


def test_a_linear_tumour_s_dose_is_proportional_to_the_injected_activity(one_position):
    injected = np.cumsum([i.activity_mbq for i in one_position.injections])
    for name in ("Tumour 1", "Tumour 2", "Healthy liver"):
        doses = [one_position.truth(k).volumes[name].mean_dose_gy for k in range(4)]
        assert doses / injected == pytest.approx(np.full(4, doses[0] / injected[0]), rel=1e-9)


def test_the_saturating_tumour_alone_falls_below_its_line_in_the_last_fraction(treatment):
    def last_share(name: str) -> float:
        doses = [treatment.truth(k).volumes[name].mean_dose_gy for k in range(4)]
        activities = [i.activity_mbq for i in treatment.injections[:4]]
        return (doses[3] - doses[2]) / (doses[2] / sum(activities[:3]) * activities[3])

    assert last_share("Tumour 1") == pytest.approx(0.45, rel=1e-9)
    assert last_share("Tumour 3") == pytest.approx(1.0, rel=1e-9)
    assert last_share("Healthy liver RHA") > 1.0


def test_a_tumour_takes_nothing_from_the_other_position(treatment):
    after_first, after_both = treatment.truth(3).volumes, treatment.truth(7).volumes
    assert after_first["Tumour 2"].mean_dose_gy == 0
    assert after_both["Tumour 1"].mean_dose_gy == after_first["Tumour 1"].mean_dose_gy
    assert treatment.fed_tumours("RHA") == ("Tumour 1", "Tumour 3")
    assert treatment.fed_tumours("LHA") == ("Tumour 2",)


def test_tumour_to_liver_ratios_are_those_of_treated_patients(one_position):
    for tumour in one_position.phantom.tumours:
        assert 2.0 <= one_position.truth(3).volumes[tumour.name].tnr <= 4.2


def test_specific_activity_decays_with_the_half_life(treatment):
    first, last = treatment.injections[0], treatment.injections[-1]
    hours = (last.time - first.time).total_seconds() / 3600
    ratio = last.specific_activity_mbq_per_mg / first.specific_activity_mbq_per_mg
    assert ratio == pytest.approx(2 ** (-hours / HALF_LIFE_H))
    assert all(b.time > a.acquired_at for a, b in zip(treatment.injections, treatment.injections[1:], strict=False))


def test_signal_decays_with_relaxivity_times_concentration(one_position):
    # One voxel in healthy tissue at its centre only: the decay is exactly mono-exponential.
    options = AcquisitionOptions(subsamples=1, coil_shading=0.0)
    grid = slab((1, 1, 1), (4.0, 3.0, 3.0), centre_mm=(-60.0, 10.0, 30.0))
    point = np.array([[-60.0], [10.0], [30.0]])
    regions = one_position.phantom.regions(point)
    s0, r2star, _ = one_position.phantom.tissue(point, regions)[:, 0]
    for n in (0, 4):
        total = r2star + 218.0 * one_position.holmium(point, regions, n)[0]
        signal = noiseless_signal(one_position, n, grid, options)[:, 0, 0, 0]
        assert signal == pytest.approx(s0 * np.exp(-total * np.array(options.echo_times_s)), rel=1e-4)


def test_signal_average_converges_with_the_number_of_sub_points(treatment):
    grid = slab((3, 30, 40), (4.0, 3.0, 3.0), centre_mm=(-88.0, 20.0, 14.0))
    series = {n: noiseless_signal(treatment, 4, grid, AcquisitionOptions(subsamples=n)) for n in (1, 2, 4, 8)}
    errors = [float(np.sqrt(np.mean((series[n] - series[8]) ** 2))) for n in (1, 2, 4)]
    assert errors[1] < 0.7 * errors[0]
    assert errors[2] < 0.7 * errors[1]


def test_noise_follows_the_rice_distribution_with_the_stated_sigma():
    for amplitude, sigma in ((0.0, 20.0), (25.0, 20.0), (120.0, 20.0)):
        noise = np.concatenate([complex_noise((100, 100), sigma, 3, 1, echo, 5).ravel() for echo in range(20)])
        magnitude = np.abs(amplitude + noise)
        expected = rice(amplitude / sigma, scale=sigma)
        assert magnitude.mean() == pytest.approx(expected.mean(), rel=0.01)
        assert magnitude.std() == pytest.approx(expected.std(), rel=0.01)


def test_noise_depends_on_the_seed_and_the_image_but_not_on_the_order():
    first = complex_noise((8, 8), 1.0, 1, 2, 3, 4)
    complex_noise((8, 8), 1.0, 1, 2, 3, 5)
    assert np.array_equal(first, complex_noise((8, 8), 1.0, 1, 2, 3, 4))
    assert not np.array_equal(first, complex_noise((8, 8), 1.0, 2, 2, 3, 4))
    assert not np.array_equal(first, complex_noise((8, 8), 1.0, 1, 2, 4, 4))


def test_gain_scales_signal_and_noise_alike():
    grid = slab((1, 4, 4), (4.0, 3.0, 3.0))
    signal = np.full((1, 1, 4, 4), 100.0, dtype=np.float32)
    common = {"signal": signal, "echo_times_s": (0.001,), "grid": grid, "sigma": 5.0, "seed": 1, "series_index": 2}
    plain, louder = Acquired(gain=1.0, **common), Acquired(gain=1.5, **common)
    assert louder.magnitude(0, 0) == pytest.approx(1.5 * plain.magnitude(0, 0), rel=1e-5)


def test_shifting_the_patient_shifts_the_image(treatment):
    options = AcquisitionOptions(shape=(12, 40, 60), subsamples=1, coil_shading=0.0)
    grid = slab(options.shape, options.spacing_mm)
    still = noiseless_signal(treatment, 4, grid, options)
    # One voxel towards the head, two to the left, one to the front.
    moved = noiseless_signal(treatment, 4, grid, options, Pose(translation_mm=(6.0, -3.0, 4.0)))
    difference = np.abs(moved[:, 1:, :-1, 2:] - still[:, :-1, 1:, :-2])
    # In single precision a point on a surface may fall to its other side.
    assert np.mean(difference > 0.05) < 1e-3


def test_two_orientations_sample_the_same_phantom_at_the_same_points(treatment):
    options = AcquisitionOptions(subsamples=1, coil_shading=0.1)
    transverse = slab((7, 7, 7), (5.0, 5.0, 5.0), centre_mm=(-88.0, 20.0, 14.0))
    sagittal = slab((7, 7, 7), (5.0, 5.0, 5.0), centre_mm=(-88.0, 20.0, 14.0), tilt_deg=(0.0, 90.0, 0.0))
    first = noiseless_signal(treatment, 4, transverse, options)
    second = noiseless_signal(treatment, 4, sagittal, options)
    index = np.array(np.meshgrid(*[range(7)] * 3, indexing="ij")).reshape(3, -1)
    points = transverse.affine_lps_mm @ np.vstack([index, np.ones(index.shape[1])])
    other = np.rint(sagittal.index_from_lps @ points)[:3].astype(int)
    assert other.min() == 0
    assert other.max() == 6
    assert not np.array_equal(other, index)
    assert second[:, other[0], other[1], other[2]] == pytest.approx(first[:, index[0], index[1], index[2]], rel=1e-4)


def test_a_tilted_slab_keeps_its_spacing_and_centre():
    grid = slab((10, 20, 30), (4.0, 3.0, 2.0), tilt_deg=(20.0, -15.0, 10.0), centre_mm=(1.0, 2.0, 3.0))
    assert grid.spacing_mm == pytest.approx((4.0, 3.0, 2.0))
    assert (grid.affine_lps_mm @ [4.5, 9.5, 14.5, 1.0])[:3] == pytest.approx([1.0, 2.0, 3.0])
    assert np.linalg.det(grid.affine_lps_mm[:3, :3]) < 0, (
        "(slice, row, column) to LPS: a transverse slab reverses hands"
    )


def test_pose_is_undone_by_its_inverse():
    pose = Pose(translation_mm=(3.0, -2.0, 5.0), rotation_deg=(2.0, -1.0, 3.0))
    points = np.random.default_rng(1).uniform(-100, 100, (3, 50))
    back = pose.to_phantom(points)
    assert np.linalg.norm(back[:, :1] - back[:, 1:], axis=0) == pytest.approx(
        np.linalg.norm(points[:, :1] - points[:, 1:], axis=0)
    )
    assert not np.allclose(back, points)


def test_lung_and_air_give_no_signal(treatment):
    grid = slab((1, 96, 128), (4.0, 3.0, 3.0), centre_mm=(0.0, 14.0, 66.0))
    signal = noiseless_signal(treatment, 0, grid, AcquisitionOptions())
    assert signal[:, 0, 0, 0].max() == 0
    column = round(64 - 110 / 3)  # 110 mm to the right, under the ribs, above the dome
    assert 0 < signal[0, 0, 46, column] < 20
    assert signal[0, 0, 46, 2] == 0


def test_the_anatomy_shows_tumours_darker_than_liver(treatment):
    grid = slab((3, 90, 128), (3.0, 3.0, 3.0), centre_mm=(0.0, 14.0, 14.0))
    signal, regions = anatomy_signal(treatment, grid), region_of_voxels(treatment, grid)
    healthy, tumour = signal[regions == Region.HEALTHY].mean(), signal[regions == Region.FIRST_TUMOUR].mean()
    assert tumour < 0.8 * healthy


def test_truth_document_holds_every_injection(treatment):
    document = truth_document(treatment)
    assert [(f["position"], f["fraction"]) for f in document["fractions"]] == [
        (position, number) for position in ("RHA", "LHA") for number in (1, 2, 3, 4)
    ]
    assert document["saturating_tumour"] == "Tumour 1"
    assert document["fractions"][-1]["volumes"]["Healthy liver LHA"]["role"] == "healthy_liver"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positions": ("A", "A")}, "one or two different names"),
        ({"positions": ()}, "one or two different names"),
        ({"fractions": 5}, "1 to 4"),
        ({"saturating_tumour": 3}, "0 to 2"),
    ],
)
def test_a_treatment_that_cannot_be_is_refused_with_the_field_and_what_was_expected(change, message):
    with pytest.raises(ValueError, match=message):
        Treatment(phantom=Phantom(), **change)


def test_a_protocol_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"field_strength_t is 7\.0; .* 3 T, 1\.5 T"):
        AcquisitionOptions(field_strength_t=7.0)
    with pytest.raises(ValueError, match="snr 0"):
        AcquisitionOptions(snr=0)
    with pytest.raises(ValueError, match="2 or 3 tumours"):
        Phantom(n_tumours=1)
    assert SMALL.relaxivity_per_s_per_mg_ml == 218.0
