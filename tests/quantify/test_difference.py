"""B − A: nothing from nothing, bounds stay bounds, and what is not known stays unknown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantify.difference import (
    d70_difference,
    difference,
    largest_changes,
    map_difference,
    mean_difference,
    recovery_difference,
)
from quantify.findings import FractionResult, FractionStatus, VolumeStatistics, VolumeStatus
from quantify.model import Grid, ParametricMap, Reason, Role
from quantify.monte_carlo import Spread

DOSES = st.floats(min_value=-1e4, max_value=1e4)
US = st.floats(min_value=0, max_value=1e3)
GRID = Grid(shape=(4, 5, 6), affine_lps_mm=np.diag([4.0, 3.0, 3.0, 1.0]))


def volume(mean: float | None = 80.0, *, status=VolumeStatus.OK, role=Role.TUMOUR, u: float = 8.0) -> VolumeStatistics:
    d70 = None if mean is None else 0.8 * mean
    return VolumeStatistics(
        name="Tumour 1",
        role=role,
        status=status,
        volume_ml=20.0,
        evaluable_fraction=1.0,
        dose_mean_gy=mean,
        dose_mean_u_gy=u,
        d70_gy=d70,
        intervals={} if d70 is None else {"d70_gy": Spread(value=d70, u=u, low_95=d70 - 2 * u, high_95=d70 + 2 * u)},
    )


def result(*volumes: VolumeStatistics, fraction: int = 1, recovery: float | None = 1.02) -> FractionResult:
    return FractionResult(
        position="RHA",
        fraction=fraction,
        status=FractionStatus.OK,
        volumes={own.name: own for own in volumes},
        recovery_ratio=recovery,
        recovery_u=0.08,
    )


def dose_map(seed: int, shift: float = 0.0) -> ParametricMap:
    rng = np.random.default_rng(seed)
    reason = rng.choice([r.value for r in Reason], GRID.shape).astype(np.uint8)
    values = (rng.normal(60.0, 20.0, GRID.shape) + shift).astype(np.float32)
    values[(reason != Reason.EVALUABLE) & (reason != Reason.LOWER_BOUND)] = np.nan
    return ParametricMap(values=values, reason=reason, grid=GRID, quantity="absorbed dose", unit="Gy")


@given(a=DOSES, b=DOSES, u_a=US, u_b=US)
def test_a_difference_is_antisymmetric_and_its_uncertainty_lies_between_its_bounds(a, b, u_a, u_b):
    forth, back = difference(a, b, u_a, u_b), difference(b, a, u_b, u_a)
    assert forth.change == pytest.approx(-back.change)
    assert forth.u_shared == back.u_shared
    assert forth.u_shared <= forth.u_separate * (1 + 1e-12)


@given(a=DOSES, u=US)
def test_what_is_the_same_in_both_differs_by_nothing(a, u):
    same = difference(a, a, u, u)
    assert (same.change, same.u_shared) == (0.0, 0.0)
    assert same.change_pct in (0.0, None)


@given(a=DOSES, b=DOSES)
def test_the_percentage_never_has_another_sign_than_the_difference(a, b):
    for own in (difference(a, b), difference(-a, b)):
        assert own.change_pct is None or own.change_pct * own.change >= 0.0


@pytest.mark.parametrize(("a", "b"), [(None, 1.0), (1.0, None), (float("nan"), 1.0), (None, None)])
def test_what_is_not_known_has_no_difference_and_says_where(a, b):
    told = difference(a, b)
    assert told.change is None
    assert "not known in" in told.why


@pytest.mark.parametrize("status", [VolumeStatus.LOWER_BOUND, VolumeStatus.NOT_EVALUABLE])
@pytest.mark.parametrize("of", [mean_difference, d70_difference])
def test_the_difference_of_a_bound_is_never_told_as_if_it_were_measured(of, status):
    measured, other = volume(), volume(90.0, status=status)
    assert of(measured, volume(90.0)).change == pytest.approx(10.0 if of is mean_difference else 8.0)
    for a, b in ((measured, other), (other, measured), (other, other), (measured, None)):
        told = of(a, b)
        assert told.change is None
        assert told.why


def test_recovery_behind_a_lower_bound_has_no_difference():
    liver = volume(role=Role.LIVER)
    bound = replace(liver, status=VolumeStatus.LOWER_BOUND)
    assert recovery_difference(result(liver), result(liver, recovery=1.07)).change == pytest.approx(0.05)
    assert recovery_difference(result(liver), result(bound)).change is None


def test_the_largest_change_of_a_volume_is_over_all_fractions_and_skips_what_has_none():
    before = [result(volume(m), fraction=n) for n, m in enumerate((10.0, 50.0, 90.0), start=1)]
    after = [result(volume(m, status=s), fraction=n) for n, (m, s) in enumerate(
        ((11.0, VolumeStatus.OK), (46.0, VolumeStatus.OK), (200.0, VolumeStatus.LOWER_BOUND)), start=1)]  # fmt: skip
    label, change = largest_changes(before, after)["Tumour 1"]
    assert (label, change.change) == ("RHA F2", pytest.approx(-4.0))
    label, change = largest_changes(before, after[2:])["Tumour 1"]
    assert change.change is None
    assert change.why


def test_a_map_less_itself_is_zero_where_it_has_values_and_nothing_elsewhere():
    own = dose_map(3)
    same = map_difference(own, own)
    known = own.reason == Reason.EVALUABLE
    assert (same.values[known] == 0).all()
    assert np.isnan(same.values[~known]).all()
    assert (same.reason == own.reason).all()


def test_a_voxel_without_a_value_in_either_map_has_no_difference_and_the_worse_reason():
    a, b = dose_map(4), dose_map(5, shift=7.0)
    told = map_difference(a, b)
    both = (a.reason == Reason.EVALUABLE) & (b.reason == Reason.EVALUABLE)
    assert both.any()
    assert np.array_equal(told.values[both], (b.values - a.values)[both])
    assert np.isnan(told.values[~both]).all()
    bound = (a.reason == Reason.LOWER_BOUND) & np.isin(b.reason, (Reason.EVALUABLE, Reason.LOWER_BOUND))
    assert (told.reason[bound] == Reason.LOWER_BOUND).all()
    worse = (a.reason == Reason.LOWER_BOUND) & ~np.isin(b.reason, (Reason.EVALUABLE, Reason.LOWER_BOUND))
    assert worse.any()
    assert (told.reason[worse] == b.reason[worse]).all()


def test_maps_of_different_grids_or_units_are_refused():
    a = dose_map(6)
    elsewhere = Grid(shape=GRID.shape, affine_lps_mm=np.diag([4.0, 3.0, 3.5, 1.0]))
    with pytest.raises(ValueError, match="grid"):
        map_difference(a, replace(a, grid=elsewhere))
    with pytest.raises(ValueError, match="unit"):
        map_difference(a, replace(a, unit="MBq/mL"))
