"""Rigid registration finds known shifts, and never hides a failure behind the identity."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from config.settings import RegistrationSettings
from quantify import registration as registration_module
from quantify.findings import RegistrationStatus
from quantify.model import EchoSeries, Grid
from quantify.registration import given_registration, register
from quantify.registration_gates import judge
from quantify.rigid_search import centre_of, search

sys.path.insert(0, str(Path(__file__).parent))

import abdomen

TIMES = (0.0012, 0.0024, 0.0036)


def body(points_mm: np.ndarray) -> np.ndarray:
    """First-echo signal of an asymmetric body as a function of position (n, 3): liver, dome, vessels, spine."""
    x, y, z = points_mm.T
    liver = ((x + 40) / 85) ** 2 + (y / 65) ** 2 + (z / 60) ** 2 < 1
    lobe = ((x - 40) / 60) ** 2 + ((y + 25) / 35) ** 2 + ((z + 5) / 35) ** 2 < 1
    spine = ((x - 5) / 18) ** 2 + ((y - 75) / 18) ** 2 < 1
    vessel = ((x + 45 - 0.3 * z) / 6) ** 2 + ((y - 5) / 6) ** 2 < 1
    rim = (x / 165) ** 2 + (y / 115) ** 2
    signal = np.where(rim < 1, np.where(rim > 0.85, 150.0, 70.0), 0.0)
    signal = np.where(liver | lobe, 100.0, signal)
    signal = np.where((liver | lobe) & vessel, 55.0, signal)
    return np.where(spine, 120.0, signal)


def sampled(matrix: np.ndarray, seed: int, gain: float = 1.0) -> tuple[EchoSeries, np.ndarray]:
    """The body moved by `matrix` (LPS to LPS), on a fixed grid; also the liver mask of the unmoved one."""
    shape, spacing = (32, 80, 112), (4.0, 3.0, 3.0)
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = *spacing, 1.0
    affine[:3, 3] = -np.array([spacing[2] * 111, spacing[1] * 79, spacing[0] * 31]) / 2
    grid = Grid(shape=shape, affine_lps_mm=affine, frame_of_reference_uid="1.2")
    index = np.indices(shape).reshape(3, -1)
    points = (affine[:3, :3] @ index + affine[:3, 3:]).T
    back = np.linalg.inv(matrix)
    clean = gain * body(points @ back[:3, :3].T + back[:3, 3])
    rng = np.random.default_rng(seed)
    signal = np.abs(clean + 2 * (rng.standard_normal((3, clean.size)) + 1j * rng.standard_normal((3, clean.size))))
    from datetime import UTC, datetime

    series = EchoSeries(
        signal=signal.reshape(3, *shape).astype(np.float32),
        echo_times_s=TIMES,
        grid=grid,
        acquired_at=datetime(2026, 3, 4, tzinfo=UTC),
        series_instance_uid=str(seed),
        field_strength_t=3.0,
    )
    x, y, z = points.T
    liver = ((x + 40) / 85) ** 2 + (y / 65) ** 2 + (z / 60) ** 2 < 1
    return series, liver.reshape(shape)


def rigid(translation, rotation_deg=(0, 0, 0)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", rotation_deg, degrees=True).as_matrix()
    matrix[:3, 3] = translation
    return matrix


def target_error_mm(registration, truth, region, grid) -> float:
    points = np.argwhere(region)[::97]
    homogeneous = np.c_[points, np.ones(len(points))] @ grid.affine_lps_mm.T
    found = np.array(registration.reference_to_series_lps_mm)
    return float(np.linalg.norm((homogeneous @ (found - truth).T)[:, :3], axis=1).mean())


@pytest.mark.parametrize(
    ("translation", "rotation"),
    [((0, 0, 0), (0, 0, 0)), ((2, -1, 3), (0, 0, 0)), ((-4, 3, 5), (1, -2, 3)), ((0.4, 0.7, -1.1), (0, 0, 1))],
    ids=["none", "shift", "shift and turn", "less than a voxel"],
)
def test_known_motion_is_found_within_a_millimetre(translation, rotation):
    reference, liver = sampled(np.eye(4), 1)
    truth = rigid(translation, rotation)
    moving, _ = sampled(truth, 2, gain=1.7)
    found = register(reference=reference, moving=moving, region=liver, settings=RegistrationSettings())
    assert found.status == (RegistrationStatus.OK if any(translation) else RegistrationStatus.NOT_NEEDED)
    assert target_error_mm(found, truth, liver, reference.grid) < 1.05  # worst of known shifts to 5 mm and 3°
    assert found.similarity > 0.9


def test_the_same_input_gives_the_same_bits():
    reference, liver = sampled(np.eye(4), 1)
    moving, _ = sampled(rigid((2, -1, 3)), 2)
    both = [register(reference=reference, moving=moving, region=liver, settings=RegistrationSettings()) for _ in "12"]
    assert both[0] == both[1]


def test_a_series_of_something_else_fails_with_its_reason():
    reference, liver = sampled(np.eye(4), 1)
    moving, _ = sampled(np.eye(4), 2)
    noise = np.random.default_rng(3).rayleigh(40.0, moving.signal.shape).astype(np.float32)
    other = EchoSeries(
        signal=noise,
        echo_times_s=TIMES,
        grid=moving.grid,
        acquired_at=moving.acquired_at,
        series_instance_uid="9",
        field_strength_t=3.0,
    )
    found = register(reference=reference, moving=other, region=liver, settings=RegistrationSettings())
    assert found.status == RegistrationStatus.FAILED
    assert found.message


def test_motion_beyond_the_gate_fails():
    reference, liver = sampled(np.eye(4), 1)
    moving, _ = sampled(rigid((6, 0, 0)), 2)
    gate = RegistrationSettings(maximum_translation_mm=2.0)
    found = register(reference=reference, moving=moving, region=liver, settings=gate)
    assert found.status == RegistrationStatus.FAILED
    assert "beyond the limit of 2 mm" in found.message


def test_a_series_elsewhere_fails_instead_of_raising():
    reference, liver = sampled(np.eye(4), 1)
    affine = np.array(reference.grid.affine_lps_mm)
    affine[2, 3] += 1000.0
    far = EchoSeries(
        signal=reference.signal,
        echo_times_s=TIMES,
        grid=Grid(shape=reference.grid.shape, affine_lps_mm=affine, frame_of_reference_uid="1.2"),
        acquired_at=reference.acquired_at,
        series_instance_uid="9",
        field_strength_t=3.0,
    )
    found = register(reference=reference, moving=far, region=liver, settings=RegistrationSettings())
    assert found.status == RegistrationStatus.FAILED


def test_the_reference_itself_needs_no_registration():
    reference, liver = sampled(np.eye(4), 1)
    found = register(reference=reference, moving=reference, region=liver, settings=RegistrationSettings())
    assert found.status == RegistrationStatus.NOT_NEEDED


def test_what_gains_nothing_is_not_moved():
    """A uniform object in a slab has no structure along the slices: the optimiser's drift there is not motion."""
    reference, liver = sampled(np.eye(4), 1)
    flat = np.broadcast_to(reference.signal[:, 16:17], reference.signal.shape).copy()
    noise = np.random.default_rng(5).normal(0, 1, flat.shape).astype(np.float32)

    def series(signal):
        return EchoSeries(
            signal=signal,
            echo_times_s=TIMES,
            grid=reference.grid,
            acquired_at=reference.acquired_at,
            series_instance_uid="9",
            field_strength_t=3.0,
        )

    found = register(reference=series(flat), moving=series(flat + noise), region=liver, settings=RegistrationSettings())
    assert found.status == RegistrationStatus.NOT_NEEDED
    assert found.translation_mm == (0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def still():
    return abdomen.scan()


LIVER = abdomen.liver_mask()
SETTINGS = RegistrationSettings()
LARGE = [
    pytest.param((0, 0, -30), (0, 0, 0), (0, 0, 0), 0.0, id="30 mm down"),
    pytest.param((0, 0, 0), (0, -10, 0), (0, 0, 0), 3.0, id="10° with holmium"),
    pytest.param((18, -14, 20), (6, -5, 6), (0, 0, 0), 3.0, id="30 mm and 10° with holmium"),
    pytest.param((0, 0, 0), (0, 0, 0), (0, 0, -15), 3.0, id="liver alone 15 mm down with holmium"),
    pytest.param((20, 0, 0), (0, 8, 0), (0, 0, 15), 0.0, id="liver 15 mm up in a moved body"),
]


@pytest.mark.parametrize(("translation", "rotation", "breath", "holmium"), LARGE)
def test_large_motion_is_found_within_two_millimetres(still, translation, rotation, breath, holmium):
    pose = abdomen.rigid(translation, rotation)
    moving = abdomen.scan(pose=pose, breath_mm=breath, holmium=holmium, gain=1.3, seed=5)
    found = register(reference=still, moving=moving, region=LIVER, settings=SETTINGS)
    assert found.status is RegistrationStatus.OK
    assert abdomen.target_error_mm(found, abdomen.mapped(pose, breath)).max() < 2.0
    assert found.edge_median_mm < 1.0
    assert found.edge_95_mm < 3.0


@pytest.mark.parametrize(("translation", "rotation", "breath", "holmium"), LARGE)
def test_the_search_needs_no_start(still, translation, rotation, breath, holmium):
    """Without the descent from nearby: what captures large motion must do so by itself."""
    pose = abdomen.rigid(translation, rotation)
    moving = abdomen.scan(pose=pose, breath_mm=breath, holmium=holmium, gain=0.8, seed=6)
    centre = centre_of(LIVER, still.grid)
    found = search(reference=still, moving=moving, region=LIVER, centre_mm=centre, reach_mm=50.0)
    judged = judge(found[0], centre, 1.0, SETTINGS)
    assert abdomen.target_error_mm(judged, abdomen.mapped(pose, breath)).max() < 2.0


def test_the_search_gives_the_same_bits(still):
    moving = abdomen.scan(pose=abdomen.rigid((9, -8, 12), (4, 0, 3)), seed=7)
    centre = centre_of(LIVER, still.grid)
    both = [search(reference=still, moving=moving, region=LIVER, centre_mm=centre, reach_mm=50.0) for _ in "12"]
    assert all((a == b).all() for a, b in zip(*both, strict=True))


def at_a_wrong_optimum(reference, moving, region, settings):
    wrong = abdomen.rigid((0, 0, 12))
    return judge(wrong, centre_of(region, reference.grid), 0.9, settings)


def test_a_wrong_optimum_with_a_good_similarity_is_left_for_the_right_one(still, monkeypatch):
    pose = abdomen.rigid((0, 4, -3))
    moving = abdomen.scan(pose=pose, seed=8)
    monkeypatch.setattr(registration_module, "_from_nearby", at_a_wrong_optimum)
    found = register(reference=still, moving=moving, region=LIVER, settings=SETTINGS)
    assert found.status is RegistrationStatus.OK
    assert abdomen.target_error_mm(found, abdomen.mapped(pose)).max() < 2.0


def test_a_wrong_optimum_fails_by_its_edges_and_is_not_replaced_by_the_identity(still, monkeypatch):
    moving = abdomen.scan(pose=abdomen.rigid((0, 4, -3)), seed=8)
    monkeypatch.setattr(registration_module, "_from_nearby", at_a_wrong_optimum)
    monkeypatch.setattr(registration_module, "search", lambda **_: [])
    found = register(reference=still, moving=moving, region=LIVER, settings=SETTINGS)
    assert found.status is RegistrationStatus.FAILED
    assert "the liver's edge lies" in found.message
    assert "twice the limit of 2 mm" in found.message
    assert found.reference_to_series_lps_mm[2][3] == 12.0


def test_edges_within_twice_their_limit_are_marked_with_their_numbers(still):
    """A residual of 4 mm along the body's axis: the similarity does not see it, the edges do."""
    moving = abdomen.scan(pose=abdomen.rigid((0, 0, 4)), seed=9)
    found = given_registration(
        np.eye(4), reference=still, moving=moving, region=LIVER, settings=SETTINGS, by="Dr A. Example"
    )
    assert found.similarity > SETTINGS.warning_similarity
    assert found.status is RegistrationStatus.WARNING
    assert f"{found.edge_median_mm:.1f} mm (median)" in found.message
    assert 2.0 < found.edge_median_mm < 4.0


def test_a_sideways_residual_is_marked_though_its_median_is_small(still):
    moving = abdomen.scan(pose=abdomen.rigid((4, 0, 0)), seed=9)
    found = given_registration(np.eye(4), reference=still, moving=moving, region=LIVER, settings=SETTINGS, by="A")
    assert found.edge_median_mm < SETTINGS.edge_median_mm
    assert found.status is RegistrationStatus.WARNING
    assert "mm off as a whole" in found.message


def test_a_given_transform_is_taken_as_it_is(still):
    pose = abdomen.rigid((11, -6, 8), (3, -2, 4))
    moving = abdomen.scan(pose=pose, seed=10)
    found = given_registration(pose, reference=still, moving=moving, region=LIVER, settings=SETTINGS, by="A. Example")
    assert found.status is RegistrationStatus.OK
    assert found.given_by == "A. Example"
    assert np.array(found.reference_to_series_lps_mm) == pytest.approx(pose, abs=1e-12)
    assert found.edge_median_mm < 1.0
    assert found.similarity > 0.9


def test_a_given_transform_that_would_be_refused_is_marked_not_refused(still):
    moving = abdomen.scan(seed=11)
    wrong = abdomen.rigid((0, 0, 60))
    found = given_registration(wrong, reference=still, moving=moving, region=LIVER, settings=SETTINGS, by="B")
    assert found.status is RegistrationStatus.WARNING
    assert "given by B, accepted although" in found.message
    assert found.reference_to_series_lps_mm[2][3] == 60.0


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.diag([1.1, 1.0, 1.0, 1.0]), "not rigid"),
        (np.diag([-1.0, 1.0, 1.0, 1.0]), "mirrors"),
        (np.eye(3), "4×4"),
        (np.full((4, 4), np.nan), "finite"),
        (np.eye(4) + np.eye(4, k=-3), "0, 0, 0, 1"),
    ],
    ids=["scaled", "mirrored", "3×3", "nan", "projective"],
)
def test_what_is_no_rigid_transform_is_refused(still, matrix, words):
    with pytest.raises(ValueError, match=words):
        given_registration(matrix, reference=still, moving=still, region=LIVER, settings=SETTINGS, by="A")


def test_a_given_transform_needs_a_giver_and_a_region(still):
    common = {"reference": still, "moving": still, "settings": SETTINGS}
    with pytest.raises(ValueError, match="by is empty"):
        given_registration(np.eye(4), region=LIVER, by=" ", **common)
    with pytest.raises(ValueError, match="region is empty"):
        given_registration(np.eye(4), region=np.zeros_like(LIVER), by="A", **common)
    with pytest.raises(ValueError, match="region has shape"):
        given_registration(np.eye(4), region=LIVER[1:], by="A", **common)


def test_an_empty_region_fails_with_its_sentence(still):
    found = register(reference=still, moving=replace(still), region=np.zeros_like(LIVER), settings=SETTINGS)
    assert found.status is RegistrationStatus.FAILED
    assert "too few voxels" in found.message
