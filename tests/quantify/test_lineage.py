"""What a cumulative dose hangs on: the weights follow from the sum that they stand for."""

from __future__ import annotations

import pytest

from quantify.lineage import Lineage


def grown(steps) -> Lineage:
    lineage = Lineage()
    for gy_per_s, baseline in steps:
        lineage = lineage.after(gy_per_s=gy_per_s, baseline=baseline)
    return lineage


def test_with_one_reference_the_last_series_carries_nearly_all():
    lineage = grown([(0.82, None), (0.81, None), (0.80, None)])
    assert lineage.series_gy_per_s == pytest.approx((0.01, 0.01, 0.80))
    assert lineage.reference_gy_per_s == pytest.approx((0.82,))


def test_an_offset_in_everything_is_no_dose():
    """Series and references shifted together: the weights of both sum to the same."""
    lineage = grown([(0.8, None), (0.7, None), (0.6, "LHA"), (0.5, "LHA"), (0.4, None)])
    assert sum(lineage.series_gy_per_s) == pytest.approx(sum(lineage.reference_gy_per_s))


def test_a_new_baseline_is_subtracted_from_its_own_position_only():
    lineage = grown([(0.8, None), (0.7, None), (0.6, "LHA"), (0.5, "LHA")])
    # D = .8(R1−R0) + .7(R2−R1) + .6(R3−Rb) + .5(R4−R3)
    assert lineage.references == ("", "LHA")
    assert lineage.series_gy_per_s == pytest.approx((0.1, 0.7, 0.1, 0.5))
    assert lineage.reference_gy_per_s == pytest.approx((0.8, 0.6))


def test_coming_back_to_the_original_reference():
    # D = 1(R1−R0) + 1(R2−Rb) + 1((R3−R0) − (R1−R0 + R2−Rb)) = R3 − R0
    lineage = grown([(1.0, None), (1.0, "LHA"), (1.0, None)])
    assert lineage.series_gy_per_s == pytest.approx((0.0, 0.0, 1.0))
    assert lineage.reference_gy_per_s == pytest.approx((1.0, 0.0))


def test_a_frame_of_reference_without_a_baseline_errs_by_itself():
    """What was gained across the re-positioning hangs on the new frame's offset, what was gained within it does not."""
    lineage = Lineage().after(gy_per_s=1.0, baseline=None).after(gy_per_s=1.0, baseline=None, frame="B")
    again = lineage.after(gy_per_s=1.0, baseline=None, frame="B")
    assert lineage.references == ("", "frame B")
    assert lineage.reference_gy_per_s == pytest.approx((1.0, 1.0))
    assert again.reference_gy_per_s == pytest.approx((1.0, 1.0)), "once, however many series follow"
