"""The anatomy finds the reference across contrasts and frames of reference, and contours follow."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from config.settings import RegistrationSettings
from quantify.anatomy import move_contours, register_anatomy
from quantify.findings import RegistrationStatus
from quantify.occupancy import occupancy

sys.path.insert(0, str(Path(__file__).parent))

import abdomen

LIVER = abdomen.liver_mask()
SETTINGS = RegistrationSettings()


@pytest.fixture(scope="module")
def reference():
    return abdomen.scan()


def anatomy_at(pose, uid, offset=(0, 0, 0), turn=(0, 0, 0)):
    grid = abdomen.make_grid((44, 88, 124), (3.5, 2.7, 2.7), offset, uid, turn)
    return abdomen.scan(pose=pose, t1=True, grid=grid, gain=3.0, seed=8)


@pytest.mark.parametrize(
    ("uid", "offset", "turn", "translation", "rotation"),
    [
        ("1.2", (0, 0, 0), (0, 0, 0), (6, -5, 8), (3, 2, -4)),
        ("9", (300, -120, 500), (0, 0, 0), (300, -120, 500), (4, -5, 6)),
        ("9", (20, 10, -30), (10, 0, 0), (25, 0, -20), (0, 0, -9)),
    ],
    ids=["one frame", "frames half a metre apart", "oblique, frames apart"],
)
def test_a_known_motion_between_contrasts_is_found(reference, uid, offset, turn, translation, rotation):
    pose = abdomen.rigid(translation, rotation)
    found = register_anatomy(
        anatomy=anatomy_at(pose, uid, offset, turn), reference=reference, settings=SETTINGS, region=LIVER
    )
    assert found.status is RegistrationStatus.OK
    assert abdomen.target_error_mm(found, abdomen.mapped(pose)).max() < 1.5
    assert ("another frame of reference" in found.message) == (uid == "9")


def test_without_a_region_all_tissue_is_matched(reference):
    pose = abdomen.rigid((-8, 5, 6), (0, 3, 0))
    found = register_anatomy(anatomy=anatomy_at(pose, "9"), reference=reference, settings=SETTINGS)
    assert found.status is RegistrationStatus.OK
    assert abdomen.target_error_mm(found, abdomen.mapped(pose)).max() < 1.5


def test_an_anatomy_in_place_is_not_moved(reference):
    found = register_anatomy(anatomy=anatomy_at(None, "1.2"), reference=reference, settings=SETTINGS, region=LIVER)
    assert found.status is RegistrationStatus.NOT_NEEDED
    assert found.translation_mm == (0.0, 0.0, 0.0)


def test_an_anatomy_of_something_else_fails(reference):
    anatomy = anatomy_at(None, "9")
    noise = np.random.default_rng(2).rayleigh(40.0, anatomy.signal.shape).astype(np.float32)
    found = register_anatomy(
        anatomy=replace(anatomy, signal=noise), reference=reference, settings=SETTINGS, region=LIVER
    )
    assert found.status is RegistrationStatus.FAILED
    assert "similarity" in found.message


def test_an_anatomy_without_signal_or_a_foreign_region_is_told(reference):
    anatomy = anatomy_at(None, "9")
    empty = replace(anatomy, signal=np.zeros_like(anatomy.signal))
    found = register_anatomy(anatomy=empty, reference=reference, settings=SETTINGS, region=LIVER)
    assert found.status is RegistrationStatus.FAILED
    assert "no signal" in found.message
    with pytest.raises(ValueError, match="region has shape"):
        register_anatomy(anatomy=anatomy, reference=reference, settings=SETTINGS, region=LIVER[1:])


def square(z):
    return np.array([(-9.0, -9.0, z), (9.0, -9.0, z), (9.0, 9.0, z), (-9.0, 9.0, z)])


def test_contours_go_and_come_back():
    matrix = abdomen.rigid((10, -20, 5), (10, 20, 30))
    contours = (square(0.0), square(4.0))
    there = move_contours(contours, matrix)
    back = move_contours(there, np.linalg.inv(matrix))
    assert np.abs(there[0] - contours[0]).max() > 5.0
    for first, second in zip(contours, back, strict=True):
        assert second == pytest.approx(first, abs=1e-9)


def test_moved_contours_keep_their_volume_on_planes_oblique_to_the_grid():
    moved = move_contours([square(z) for z in (-8.0, -4.0, 0.0, 4.0, 8.0)], abdomen.rigid((5, 3, -4), (8, -12, 20)))
    filled, volume_ml = occupancy(moved, grid := abdomen.make_grid())
    assert volume_ml == pytest.approx(18 * 18 * 20 / 1000, rel=1e-3)
    assert filled.sum(dtype=float) * grid.voxel_volume_ml == pytest.approx(volume_ml, rel=0.02)


@pytest.mark.parametrize(
    ("contours", "matrix", "words"),
    [
        ([square(0.0)], np.eye(3), "4×4"),
        ([square(0.0)], np.full((4, 4), np.nan), "4×4"),
        ([square(0.0), np.zeros((4, 2))], np.eye(4), "Contour 2"),
    ],
    ids=["3×3", "nan", "2-D"],
)
def test_unusable_contours_or_matrices_are_refused(contours, matrix, words):
    with pytest.raises(ValueError, match=words):
        move_contours(contours, matrix)
