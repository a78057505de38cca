"""A new baseline after re-positioning: only what comes on top is new. Batches of different holmium content."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from quantify.model import Reason
from quantify.partial_volume import unmixed
from quantify.pipeline import evaluate_treatment

from .test_pipeline import (
    GRID,
    LIVER,
    LIVER_PART,
    SHAPE,
    TUMOUR,
    VOLUMES,
    holmium,
    imaged,
    injection,
    parametric,
    physics,
)

PER_MG_ML = 12.0 * 15.87 / 1.06


def liver_doses(fractions, **changes) -> list[float]:
    evaluated = evaluate_treatment(fractions, volumes=VOLUMES, physics=replace(physics(), **changes))
    return [e.result.volumes["Liver"].dose_mean_gy for e in evaluated]


def at_second_position(values: np.ndarray, number: int, baseline: np.ndarray | None):
    fraction = imaged(injection(number, position="LHA"), values)
    return replace(fraction, baseline=None if baseline is None else parametric(baseline))


def test_an_offset_that_the_baseline_shares_is_not_dose():
    """After re-positioning everything reads 0.05 mg/mL higher; the new baseline takes that off, all over."""
    shift, baseline = 0.05, parametric(holmium(0.1 + 0.05))
    fractions = [
        imaged(injection(1), holmium(0.1)),
        replace(imaged(injection(1, position="LHA"), holmium(0.2 + shift)), baseline=baseline),
        replace(imaged(injection(2, position="LHA"), holmium(0.35 + shift)), baseline=baseline),
    ]
    assert liver_doses(fractions) == pytest.approx([m * PER_MG_ML for m in (0.1, 0.2, 0.35)], rel=1e-5)


def test_without_a_new_baseline_the_offset_is_taken_for_dose():
    fractions = [imaged(injection(1), holmium(0.1)), at_second_position(holmium(0.25), 1, None)]
    assert liver_doses(fractions)[-1] == pytest.approx(0.25 * PER_MG_ML, rel=1e-5)


def test_a_voxel_that_the_baseline_cannot_tell_has_its_reason():
    baseline = holmium(0.1)
    reason = np.zeros(SHAPE, dtype=np.uint8)
    corner = (LIVER_PART[0].start, LIVER_PART[1].start, LIVER_PART[2].start)
    baseline[corner], reason[corner] = np.nan, Reason.POOR_FIT
    fractions = [
        imaged(injection(1), holmium(0.1)),
        replace(
            imaged(injection(1, position="LHA"), holmium(0.3)),
            baseline=parametric(baseline, reason),
        ),
    ]
    evaluated = evaluate_treatment(fractions, volumes=VOLUMES, physics=physics())
    maps = evaluated[-1].result.maps
    assert maps.dose.reason[corner] == Reason.POOR_FIT
    assert np.isnan(maps.dose.values[corner])
    assert evaluated[-1].result.volumes["Liver"].evaluable_fraction < 1


def test_a_second_baseline_map_is_another_treatment():
    """Results that were taken over are not kept when the baseline behind them has changed."""
    start = imaged(injection(1), holmium(0.1))
    image = imaged(injection(1, position="LHA"), holmium(0.3))
    first = [start, replace(image, baseline=parametric(holmium(0.1)))]
    second = [start, replace(image, baseline=parametric(holmium(0.2)))]
    known = evaluate_treatment(first, volumes=VOLUMES, physics=physics())
    anew = evaluate_treatment(second, volumes=VOLUMES, physics=physics(), known=known)
    assert anew[-1].result.volumes["Liver"].dose_mean_gy == pytest.approx(0.2 * PER_MG_ML, rel=1e-5)


def test_spheres_with_half_the_holmium_count_twice():
    """ΔR2* counts holmium: the same change is twice the mass of spheres that carry half of it."""
    rich, poor = injection(1, holmium_fraction=0.195), injection(1, holmium_fraction=0.0975)
    (usual,) = liver_doses([imaged(rich, holmium(0.2))], holmium_fraction=0.195)
    (double,) = liver_doses([imaged(poor, holmium(0.2))], holmium_fraction=0.195)
    assert double == pytest.approx(2 * usual, rel=1e-6)


def test_unmixing_an_edge_keeps_what_each_part_holds():
    """A tumour at 3 and liver at 1: voxels half and half are measured at 2; unmixed they still hold 2 (half of each),
    while a voxel half in lung, measured at 3 because lung gives no signal, holds 1.5."""
    tumour = np.zeros(SHAPE, dtype=np.float32)
    tumour[3:9, 6:14, 6:14] = 1.0
    edge = (slice(3, 9), slice(6, 14), 14)
    lung = (slice(3, 9), slice(6, 14), 5)
    tumour[edge] = tumour[lung] = 0.5
    healthy = np.where(tumour > 0, 0, 1).astype(np.float32)
    healthy[edge], healthy[lung] = 0.5, 0.0
    shares = {"T": tumour.copy(), "H": healthy.copy()}
    shares["T"][lung] = 1.0
    measured = shares["T"] * 3 + shares["H"] * 1
    volumes = [
        replace(TUMOUR, name="T", occupancy=tumour),
        replace(LIVER, name="H", occupancy=healthy),
    ]
    result = unmixed(parametric(measured), shares, volumes)
    np.testing.assert_allclose(result[edge], 2.0, atol=1e-4)
    np.testing.assert_allclose(result[4:8, 8:12, 8:12], 3.0, atol=1e-6)
    np.testing.assert_allclose(result[lung], 1.5, atol=1e-4)
    assert GRID.shape == result.shape
