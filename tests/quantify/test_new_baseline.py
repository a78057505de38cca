"""A new baseline after re-positioning: only what comes on top is new. Batches of different holmium content."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from quantify.findings import TrendStatus
from quantify.model import Reason
from quantify.partial_volume import unmixed
from quantify.pipeline import ImagedFraction, Outlook, evaluate_treatment

from .test_pipeline import (
    GRID,
    LIVER,
    LIVER_PART,
    SHAPE,
    TUMOUR,
    TUMOUR_PART,
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
    return replace(fraction, baseline=None if baseline is None else parametric(baseline), baseline_name="B")


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


def moved(values: np.ndarray, position: str, number: int, baseline=None, name: str = "B", reason=None):
    fraction = imaged(injection(number, position=position), values, reason)
    return fraction if baseline is None else replace(fraction, baseline=baseline, baseline_name=name)


def evaluated(fractions):
    return [e.result for e in evaluate_treatment(fractions, volumes=VOLUMES, physics=physics())]


def test_a_position_that_is_visited_again_has_a_baseline_for_each_visit():
    fractions = [
        moved(holmium(0.1), "RHA", 1),
        moved(holmium(0.2), "LHA", 1),
        moved(holmium(0.35), "RHA", 2, parametric(holmium(0.25)), "second visit"),
    ]
    assert liver_doses(fractions) == pytest.approx([m * PER_MG_ML for m in (0.1, 0.2, 0.3)], rel=1e-5)


def test_what_was_never_seen_before_the_baseline_is_not_taken_for_nothing():
    first, reason = holmium(0.4), np.zeros(SHAPE, dtype=np.uint8)
    half = (slice(None), slice(0, 10))
    first[half], reason[half] = np.nan, Reason.OUTSIDE
    last = evaluated([moved(first, "RHA", 1, reason=reason), moved(holmium(0.6), "LHA", 1, parametric(holmium(0.4)))])[
        -1
    ]
    assert np.isnan(last.maps.dose.values[6, 4, 10])
    assert last.maps.dose.reason[6, 4, 10] == Reason.OUTSIDE
    assert last.volumes["Liver"].dose_mean_gy == pytest.approx(0.6 * PER_MG_ML, rel=1e-5)
    assert last.volumes["Liver"].evaluable_fraction == pytest.approx(0.6)


def test_a_baseline_that_hides_an_injection_which_was_never_imaged_is_not_used():
    lost = ImagedFraction(injection=injection(2), r2star=None, holmium=None, error="no series")
    results = evaluated(
        [
            moved(holmium(0.1), "RHA", 1),
            lost,
            moved(holmium(0.4), "LHA", 1, parametric(holmium(0.3))),
            moved(holmium(0.5), "LHA", 2, parametric(holmium(0.3))),
        ]
    )
    assert [r.volumes["Liver"].dose_mean_gy for r in results[2:]] == pytest.approx([0.4 * PER_MG_ML, 0.5 * PER_MG_ML])
    assert "RHA F2" in results[2].provisional_reasons[0]
    assert results[3].provisional_reasons != ()


def test_a_baseline_at_the_noise_floor_is_not_subtracted():
    """The image counts as it is: a lower bound taken off it would leave an upper bound of the gain."""
    baseline, reason = holmium(0.4), np.zeros(SHAPE, dtype=np.uint8)
    baseline[6, 10, 10], reason[6, 10, 10] = 0.9, Reason.LOWER_BOUND
    image = holmium(0.6)
    image[6, 10, 10] = 1.2
    last = evaluated([moved(holmium(0.4), "RHA", 1), moved(image, "LHA", 1, parametric(baseline, reason))])[-1]
    assert last.maps.dose.reason[6, 10, 10] == Reason.EVALUABLE
    assert last.maps.dose.values[6, 10, 10] == pytest.approx(1.2 * PER_MG_ML, rel=1e-5)


def test_a_lower_bound_of_what_lay_there_stays_one():
    before, reason = holmium(0.4), np.zeros(SHAPE, dtype=np.uint8)
    before[6, 10, 10], reason[6, 10, 10] = 0.9, Reason.LOWER_BOUND
    fractions = [moved(before, "RHA", 1, reason=reason), moved(holmium(0.6), "LHA", 1, parametric(holmium(0.4)))]
    last = evaluated(fractions)[-1]
    assert last.maps.dose.reason[6, 10, 10] == Reason.LOWER_BOUND
    assert last.maps.dose.values[6, 10, 10] == pytest.approx(1.1 * PER_MG_ML, rel=1e-5)


def test_the_gain_is_not_told_of_a_volume_that_the_image_before_could_not_evaluate():
    hidden, reason = holmium(0.6), np.zeros(SHAPE, dtype=np.uint8)
    hidden[TUMOUR_PART], reason[TUMOUR_PART] = np.nan, Reason.POOR_FIT
    first, second, third = evaluated(
        [moved(holmium(0.3), "RHA", 1), moved(hidden, "RHA", 2, reason=reason), moved(holmium(0.9), "RHA", 3)]
    )
    assert first.volumes["Tumour 1"].gain_gy == pytest.approx(0.3 * PER_MG_ML, rel=1e-4)
    assert second.volumes["Tumour 1"].dose_mean_gy is None
    assert third.volumes["Tumour 1"].gain_gy is None
    assert third.volumes["Healthy liver"].gain_gy == pytest.approx(0.3 * PER_MG_ML, rel=1e-3)


def test_re_positioning_without_a_baseline_widens_what_was_gained_across_it():
    def gain_u(new_frame: str) -> float:
        first, second = moved(holmium(0.3), "RHA", 1), replace(moved(holmium(0.6), "LHA", 1), new_frame=new_frame)
        return evaluated([first, second])[-1].volumes["Liver"].intervals["gain_gy"].u

    terms = physics().settings.uncertainty
    extra = np.sqrt(terms.repositioned_per_s**2 - terms.reference_per_s**2) * physics().gy_per_s(12.0)
    assert gain_u("B") == pytest.approx(np.hypot(gain_u(""), extra), rel=0.03)


def test_a_projection_does_not_outlive_its_plan():
    fractions = [moved(holmium(0.1), "RHA", 1)]
    with_plan = Outlook(next_mbq={("RHA", 1): 2000.0}, limits_gy={"Liver": 60.0})
    known = evaluate_treatment(fractions, volumes=VOLUMES, physics=physics(), outlook=with_plan)
    assert known[0].result.projection != {}
    anew = evaluate_treatment(fractions, volumes=VOLUMES, physics=physics(), known=known)
    assert (anew[0].result.projection, anew[0].result.activity_left) == ({}, {})


def test_a_position_visited_again_is_not_held_against_its_old_line():
    """What the other position gave in between would be taken for this one's."""
    linear = [moved(holmium(0.1 * (n + 1)), "RHA" if n < 3 or n == 6 else "LHA", n + 1) for n in range(7)]
    point = evaluated(linear)[-1].trend["Healthy liver"]
    assert (point.status, point.flagged) == (TrendStatus.NOT_TESTABLE, None)
    assert "another position" in point.message


def test_doses_are_not_scaled_to_what_was_injected_by_a_recovery_that_is_not_known():
    tiny = replace(imaged(injection(1, activity=100000.0), holmium(0.005)))
    (result,) = evaluated([tiny])
    assert result.recovery_ratio is not None
    assert result.volumes["Liver"].dose_normalised_gy is None
