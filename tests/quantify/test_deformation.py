"""The liver's change of shape is followed, and holmium is not taken for one."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from config.settings import RegistrationSettings
from quantify.deformation import deformation
from quantify.findings import Registration, RegistrationStatus
from quantify.registration import register
from quantify.signal_at_zero import signal_at_zero

sys.path.insert(0, str(Path(__file__).parent))

import abdomen

LIVER = abdomen.liver_mask()
RIGID, DEFORMABLE = RegistrationSettings(), RegistrationSettings(deformable="demons")


def bend(points):
    """A smooth field of up to 6 mm."""
    x, y, z = points.T
    return np.stack(
        [3 * np.sin(z / 40 + y / 60), 2.5 * np.cos(x / 50), 5 * np.sin(x / 45 + 0.5) * np.cos(y / 70)], axis=1
    )


def bent(points):
    return points + bend(points)


@pytest.fixture(scope="module")
def reference():
    return abdomen.scan()


def identity(displacement=None):
    return Registration(status=RegistrationStatus.OK, displacement_mm=displacement)


def test_a_bent_liver_with_holmium_is_followed(reference):
    moving = abdomen.scan(bend=bend, holmium=3.0, gain=1.3, seed=7)
    common = {"reference": reference, "moving": moving, "region": LIVER}
    rigid = register(**common, settings=RIGID)
    deformed = register(**common, settings=DEFORMABLE)
    before, after = (abdomen.target_error_mm(found, bent) for found in (rigid, deformed))
    assert rigid.displacement_mm is None
    assert deformed.status is RegistrationStatus.OK
    assert after.mean() < 0.6 * before.mean()
    assert np.percentile(after, 95) < 0.7 * np.percentile(before, 95)
    assert deformed.edge_median_mm < rigid.edge_median_mm


def test_holmium_alone_bends_nothing(reference):
    moving = abdomen.scan(holmium=3.0, gain=1.3, seed=8)
    u = deformation(reference=reference, moving=moving, region=LIVER, matrix_lps_mm=np.eye(4))
    assert abdomen.target_error_mm(identity(u), lambda points: points).mean() < 0.5


def test_the_field_is_float32_bounded_to_the_liver_and_the_same_in_every_run(reference):
    moving = abdomen.scan(bend=bend, seed=9)
    first, second = (
        deformation(reference=reference, moving=moving, region=LIVER, matrix_lps_mm=np.eye(4)) for _ in "12"
    )
    assert first.dtype == np.float32
    assert first.shape == (3, *LIVER.shape)
    assert (first == second).all()
    points = abdomen.positions(reference.grid)
    far = (np.abs(points[:, 0]) > 150).reshape(LIVER.shape)
    assert far.any()
    assert (first[:, far] == 0).all()


def test_what_has_no_common_signal_is_not_deformed(reference):
    far = abdomen.scan(grid=abdomen.make_grid(offset=(0, 0, 900.0)), seed=3)
    assert deformation(reference=reference, moving=far, region=LIVER, matrix_lps_mm=np.eye(4)) is None


def test_a_displacement_neither_shows_nor_counts_in_a_comparison_and_cannot_be_written():
    u = np.ones((3, 2, 2, 2), dtype=np.float32)
    with_field = identity(u)
    assert with_field == identity()
    assert "displacement" not in repr(with_field)
    with pytest.raises(ValueError, match="read-only"):
        with_field.displacement_mm[0] = 0.0


def test_the_signal_at_zero_does_not_depend_on_the_decay():
    times = (0.0012, 0.0024, 0.0036)
    decay = np.array([0.0, 30.0, 200.0, 700.0])
    signal = (100.0 * np.exp(-np.array(times)[:, None] * decay)).astype(np.float32)
    assert signal_at_zero(signal, times) == pytest.approx(np.full(4, 100.0), rel=1e-3)


def test_the_signal_at_zero_of_one_echo_of_nought_and_of_nan():
    one = np.array([[1.0, 2.0]], dtype=np.float32)
    assert (signal_at_zero(one, (0.001,)) == one[0]).all()
    assert (signal_at_zero(np.zeros((3, 2), np.float32), (0.001, 0.002, 0.003)) < 1e-3).all()
    missing = np.array([[np.nan, 1.0], [1.0, 1.0]], dtype=np.float32)
    assert np.isnan(signal_at_zero(missing, (0.001, 0.002))).tolist() == [True, False]
