"""The distance between edges: small where the liver lies on itself, the shift where it does not."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quantify.liver_edge import liver_edge_distance

sys.path.insert(0, str(Path(__file__).parent))

import abdomen

LIVER = abdomen.liver_mask()


@pytest.fixture(scope="module")
def reference():
    return abdomen.scan(snr=30)


def distance(reference, moving, matrix=None, **more):
    matrix = np.eye(4) if matrix is None else matrix
    return liver_edge_distance(
        reference=reference, moving=moving, region=LIVER, reference_to_series_lps_mm=matrix, **more
    )


@pytest.mark.parametrize("holmium", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("snr", [15, 30])
def test_noise_gain_and_holmium_are_no_distance(reference, snr, holmium):
    edges = distance(reference, abdomen.scan(snr=snr, holmium=holmium, gain=1.6, seed=2))
    assert edges.median_mm < 1.0
    assert edges.percentile_95_mm < 3.0
    assert np.linalg.norm(edges.shift_mm) < 0.5
    assert edges.n_points > 300


def test_where_the_transform_lies_between_voxels_its_blur_is_no_distance(reference):
    pose = abdomen.rigid((1.5, 1.5, 2.0), (2, -1, 3))
    edges = distance(reference, abdomen.scan(pose=pose, snr=30, seed=3), pose)
    assert edges.median_mm < 1.0
    assert edges.percentile_95_mm < 3.0


@pytest.mark.parametrize("shift", [(4, 0, 0), (0, 4, 0), (0, 0, 4), (-3, 2, -2)])
@pytest.mark.parametrize("holmium", [0.0, 3.0])
def test_a_residual_shift_is_seen(reference, shift, holmium):
    edges = distance(reference, abdomen.scan(pose=abdomen.rigid(shift), snr=30, holmium=holmium, seed=3))
    assert edges.shift_mm == pytest.approx(shift, abs=0.5)
    assert edges.percentile_95_mm > 3.0
    assert edges.median_mm > 1.0


def test_the_distance_is_along_the_normal(reference):
    """Shifted along z, the dome and the underside move by the whole shift, the sides not at all."""
    four, eight = (distance(reference, abdomen.scan(pose=abdomen.rigid((0, 0, z)), snr=30, seed=3)) for z in (4.0, 8.0))
    assert four.percentile_95_mm == pytest.approx(4.0, abs=0.7)
    assert eight.percentile_95_mm == pytest.approx(8.0, abs=0.9)
    assert eight.median_mm == pytest.approx(2 * four.median_mm, rel=0.15)


def test_a_liver_that_breathed_alone_is_seen_and_corrected(reference):
    moving = abdomen.scan(breath_mm=(0, 0, -15), snr=30, seed=4)
    assert distance(reference, moving).median_mm > 5.0
    assert distance(reference, moving, abdomen.rigid((0, 0, -15))).median_mm < 1.0


def test_a_displacement_is_taken_into_account(reference):
    moving = abdomen.scan(pose=abdomen.rigid((0, 0, 5)), snr=30, seed=4)
    u = np.zeros((3, *LIVER.shape), dtype=np.float32)
    u[2] = 5.0
    assert distance(reference, moving, displacement_mm=u).median_mm < 1.0


def test_without_edges_there_is_no_distance(reference):
    noise = np.random.default_rng(1).rayleigh(20.0, reference.signal.shape).astype(np.float32)
    assert distance(reference, replace(reference, signal=noise)) is None
    flat = replace(reference, signal=np.full_like(reference.signal, 100.0))
    assert distance(flat, flat) is None
    assert distance(reference, replace(reference, signal=np.zeros_like(reference.signal))) is None


def test_without_overlap_or_region_there_is_no_distance(reference):
    assert distance(reference, reference, abdomen.rigid((0, 0, 1000))) is None
    nothing = np.zeros_like(LIVER)
    assert (
        liver_edge_distance(reference=reference, moving=reference, region=nothing, reference_to_series_lps_mm=np.eye(4))
        is None
    )


def test_one_echo_is_enough(reference):
    def first(series):
        return replace(series, signal=series.signal[:1], echo_times_s=series.echo_times_s[:1])

    edges = distance(first(reference), first(abdomen.scan(snr=30, seed=2)))
    assert edges.median_mm < 1.0


def test_the_same_input_gives_the_same_bits(reference):
    moving = abdomen.scan(snr=30, seed=5)
    assert distance(reference, moving) == distance(reference, moving)


def test_a_region_of_another_grid_is_refused(reference):
    with pytest.raises(ValueError, match="region has shape"):
        liver_edge_distance(
            reference=reference, moving=reference, region=LIVER[1:], reference_to_series_lps_mm=np.eye(4)
        )
