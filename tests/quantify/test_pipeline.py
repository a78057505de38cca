"""From holmium maps to results: published numbers, linearity, failed fractions, positions, limits of what is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from config.quantification import QuantificationSettings
from quantify.findings import FractionStatus, Injection, TrendStatus, VolumeStatus
from quantify.isotope import holmium_166
from quantify.model import ParametricMap, Reason, Role, Volume
from quantify.pipeline import ImagedFraction, Outlook, Physics, evaluate_treatment, prepare_volumes

from .conftest import SOME_TIME, make_grid

SHAPE = (12, 24, 24)
GRID = make_grid(SHAPE)
RELAXIVITY = 218.0
SETTINGS = QuantificationSettings()


def physics(**changes: float) -> Physics:
    settings = SETTINGS.model_copy(update=changes)
    return Physics(isotope=holmium_166(), relaxivity_per_s_per_mg_ml=RELAXIVITY, settings=settings)


def box(name: str, role: Role, part: tuple[slice, slice, slice]) -> Volume:
    occupancy = np.zeros(SHAPE, dtype=np.float32)
    occupancy[part] = 1.0
    return Volume(
        name=name,
        role=role,
        occupancy=occupancy,
        grid=GRID,
        contour_volume_ml=float(occupancy.sum()) * GRID.voxel_volume_ml,
    )


TUMOUR_PART = (slice(4, 8), slice(6, 12), slice(6, 12))
LIVER_PART = (slice(1, 11), slice(2, 22), slice(2, 22))
LIVER = box("Liver", Role.LIVER, LIVER_PART)
TUMOUR = box("Tumour 1", Role.TUMOUR, TUMOUR_PART)
HEALTHY = replace(
    LIVER,
    name="Healthy liver",
    role=Role.HEALTHY_LIVER,
    occupancy=LIVER.occupancy - TUMOUR.occupancy,
    contour_volume_ml=LIVER.contour_volume_ml - TUMOUR.contour_volume_ml,
)
VOLUMES = prepare_volumes((TUMOUR, LIVER, HEALTHY), SETTINGS)


def holmium(liver: float, tumour: float | None = None) -> np.ndarray:
    values = np.zeros(SHAPE, dtype=np.float32)
    values[LIVER_PART] = liver
    values[TUMOUR_PART] = liver if tumour is None else tumour
    return values


def parametric(values: np.ndarray, reason: np.ndarray | None = None, quantity: str = "holmium microspheres"):
    codes = np.zeros(SHAPE, dtype=np.uint8) if reason is None else reason
    return ParametricMap(values=values.astype(np.float32), reason=codes, grid=GRID, quantity=quantity, unit="mg/mL")


def injection(fraction: int, activity: float | None = 1000.0, position: str = "RHA", specific: float = 12.0, **more):
    return Injection(
        position=position,
        fraction=fraction,
        activity_mbq=activity,
        time=SOME_TIME + timedelta(minutes=14 * fraction),
        specific_activity_mbq_per_mg=specific,
        **more,
    )


def imaged(given: Injection, values: np.ndarray, reason: np.ndarray | None = None) -> ImagedFraction:
    return ImagedFraction(
        injection=given,
        r2star=parametric(40 + RELAXIVITY * values, reason, "R2*"),
        holmium=parametric(values, reason),
        series_instance_uid=f"1.2.{given.fraction}",
        acquired_at=SOME_TIME,
    )


def failed(given: Injection, error: str = "registration failed") -> ImagedFraction:
    return ImagedFraction(injection=given, r2star=None, holmium=None, error=error)


def evaluate(fractions, volumes=VOLUMES, feeds=None, known=(), **changes):
    return evaluate_treatment(
        fractions, volumes=volumes, physics=physics(**changes), outlook=Outlook(feeds=feeds or {}), known=known
    )


def results(fractions, **more):
    return [e.result for e in evaluate(fractions, **more)]


def test_a_third_of_a_milligram_per_millilitre_is_sixty_gray():
    (result,) = results([imaged(injection(1), holmium(0.334))])
    for name in ("Liver", "Healthy liver", "Tumour 1"):
        assert result.volumes[name].dose_mean_gy == pytest.approx(60.0, abs=0.05)
        assert result.volumes[name].status == VolumeStatus.OK
        assert result.volumes[name].evaluable_fraction == pytest.approx(1.0)
        assert result.volumes[name].delta_r2star_mean_per_s == pytest.approx(72.8, abs=0.05)
    assert result.volumes["Tumour 1"].d70_gy == pytest.approx(60.0, abs=0.05)
    assert result.volumes["Tumour 1"].cv == pytest.approx(0.0, abs=1e-5)


def test_recovery_is_measured_over_injected():
    mass_mg = 0.334 * LIVER.volume_ml
    (result,) = results([imaged(injection(1, activity=12.0 * mass_mg / 1.05), holmium(0.334))])
    assert result.measured_mbq == pytest.approx(12.0 * mass_mg, rel=1e-4)
    assert result.recovery_ratio == pytest.approx(1.05, rel=1e-4)
    assert 0.05 < result.recovery_u < 0.3
    assert result.cumulative_injected_mbq == result.injected_mbq


def test_tumour_to_normal_is_the_ratio_of_concentrations():
    (result,) = results([imaged(injection(1), holmium(0.2, 0.64))])
    assert result.volumes["Tumour 1"].tnr == pytest.approx(3.2, rel=1e-4)
    assert result.volumes["Liver"].tnr is None
    assert result.volumes["Healthy liver"].tnr is None


def test_healthy_liver_times_volume_plus_tumour_is_the_liver():
    (result,) = results([imaged(injection(1), holmium(0.2, 0.64))])
    by = result.volumes
    assert by["Healthy liver"].activity_mbq + by["Tumour 1"].activity_mbq == pytest.approx(by["Liver"].activity_mbq)
    assert by["Healthy liver"].dose_mean_gy < by["Liver"].dose_mean_gy < by["Tumour 1"].dose_mean_gy


@pytest.mark.parametrize("factor", [0.5, 2.0, 3.7])
def test_dose_is_linear_in_specific_activity_and_in_mass(factor):
    (one,) = results([imaged(injection(1, specific=6.0), holmium(0.3, 0.9))])
    (richer,) = results([imaged(injection(1, specific=6.0 * factor), holmium(0.3, 0.9))])
    (more,) = results([imaged(injection(1, specific=6.0), holmium(0.3, 0.9) * np.float32(factor))])
    for name, own in one.volumes.items():
        assert richer.volumes[name].dose_mean_gy == pytest.approx(factor * own.dose_mean_gy, rel=1e-5)
        assert more.volumes[name].dose_mean_gy == pytest.approx(factor * own.dose_mean_gy, rel=1e-5)


def test_dose_does_not_depend_on_the_stated_activity():
    """MRI sees mass: what is written on the vial changes the recovery, not the dose."""
    (little,) = results([imaged(injection(1, activity=500.0), holmium(0.3))])
    (much,) = results([imaged(injection(1, activity=1500.0), holmium(0.3))])
    for key in ("dose_mean_gy", "dose_mean_u_gy", "d70_gy", "activity_mbq", "gain_gy", "budget"):
        assert getattr(little.volumes["Liver"], key) == getattr(much.volumes["Liver"], key)
    assert little.recovery_ratio == pytest.approx(3 * much.recovery_ratio)


def test_each_increment_of_mass_carries_its_own_specific_activity():
    first, second = imaged(injection(1, specific=12.0), holmium(0.1)), imaged(injection(2, specific=6.0), holmium(0.3))
    after = results([first, second])[-1]
    assert after.volumes["Liver"].dose_mean_gy == pytest.approx((0.1 * 12 + 0.2 * 6) * 15.87 / 1.06, rel=1e-4)


def test_an_increment_across_a_failed_fraction_takes_the_mean_specific_activity_of_both():
    second, third = injection(2, activity=300.0, specific=10.0), injection(3, activity=600.0, specific=5.0)
    start = imaged(injection(1, activity=300.0, specific=12.0), holmium(0.1))
    r1, r2, r3 = results([start, failed(second), imaged(third, holmium(0.4))])
    assert (r2.status, r2.error, r2.maps) == (FractionStatus.FAILED, "registration failed", None)
    assert r2.volumes == {}
    assert r2.recovery_ratio is None
    assert r2.measured_mbq is None
    spanned = 900.0 / (300 / 10 + 600 / 5)
    assert r3.volumes["Liver"].dose_mean_gy == pytest.approx((0.1 * 12 + 0.3 * spanned) * 15.87 / 1.06, rel=1e-4)
    assert r3.cumulative_injected_mbq == 1200.0
    assert r1.status == r3.status == FractionStatus.OK


def test_an_unknown_activity_withholds_the_recovery_from_there_on_and_keeps_the_dose():
    unknown = injection(
        2, activity=None, aborted=True, provisional_reason="aborted; the delivered activity is not known"
    )
    r1, r2, r3 = results(
        [imaged(injection(1), holmium(0.1)), imaged(unknown, holmium(0.2)), imaged(injection(3), holmium(0.3))]
    )
    assert r1.recovery_ratio is not None
    for result in (r2, r3):
        assert result.cumulative_injected_mbq is None
        assert result.recovery_ratio is None
        assert result.measured_mbq is not None
        assert result.volumes["Liver"].dose_mean_gy is not None
    assert r2.status == FractionStatus.PROVISIONAL
    assert r2.provisional_reasons == ("aborted; the delivered activity is not known",)
    assert r2.trend["Liver"].status == TrendStatus.NOT_EVALUABLE


def test_without_a_liver_there_is_no_recovery_and_without_volumes_there_are_maps():
    (result,) = results([imaged(injection(1), holmium(0.3))], volumes=prepare_volumes((TUMOUR,), SETTINGS))
    assert result.recovery_ratio is None
    assert result.volumes["Tumour 1"].tnr is None
    (bare,) = results([imaged(injection(1), holmium(0.3))], volumes=())
    assert bare.status == FractionStatus.OK
    assert bare.volumes == {}
    assert bare.maps.dose.values[LIVER_PART] == pytest.approx(0.3 * 12 * 15.87 / 1.06, rel=1e-4)


@pytest.mark.parametrize(("share", "told"), [(0.6, True), (0.4, False)])
def test_a_mean_is_withheld_below_the_minimum_evaluable_fraction(share, told):
    values, reason = holmium(0.3), np.zeros(SHAPE, dtype=np.uint8)
    lost = np.zeros(SHAPE, dtype=bool)
    lost[TUMOUR_PART][:, :, : round(6 * (1 - share))] = True
    values[lost], reason[lost] = np.nan, Reason.AIR_INTERFACE
    own = results([imaged(injection(1), values, reason)])[0].volumes["Tumour 1"]
    kept = float((TUMOUR.occupancy[~lost]).sum() / TUMOUR.occupancy.sum())
    assert own.evaluable_fraction == pytest.approx(kept)
    if told:
        assert own.status == VolumeStatus.OK
        assert own.dose_mean_gy is not None
    else:
        assert own.status == VolumeStatus.NOT_EVALUABLE
        assert own.message == f"{100 * kept:.0f} % of the volume is evaluable; at least 50 % is needed"
        assert (own.dose_mean_gy, own.dose_mean_u_gy, own.d70_gy, own.cv, own.tnr, own.activity_mbq) == (None,) * 6


def test_voxels_at_the_noise_floor_stay_in_the_mean_and_mark_it():
    values, reason = holmium(0.3, 1.0), np.zeros(SHAPE, dtype=np.uint8)
    reason[5, 8, 8] = Reason.LOWER_BOUND
    values[5, 8, 8] = 3.0
    own = results([imaged(injection(1), values, reason)])[0].volumes["Tumour 1"]
    assert own.status == VolumeStatus.LOWER_BOUND
    assert own.dose_mean_gy == pytest.approx((143 * 1.0 + 3.0) / 144 * 12 * 15.87 / 1.06, rel=1e-4)
    assert "at the noise floor" in own.message


def test_spread_and_ratios_are_withheld_while_the_mean_is_uncertain():
    (low,) = results([imaged(injection(1), holmium(0.02, 0.06))])
    own = low.volumes["Healthy liver"]
    assert own.dose_mean_gy == pytest.approx(0.02 * 179.7, rel=1e-3)
    assert own.dose_mean_u_gy > 0.3 * own.dose_mean_gy
    assert (own.d90_gy, own.d70_gy, own.d50_gy, own.cv, own.dose_sd_gy) == (None,) * 5
    assert low.volumes["Tumour 1"].tnr is None, "a ratio needs a denominator that is known"


def test_negative_means_are_told_and_have_no_ratios():
    (result,) = results([imaged(injection(1), holmium(-0.01))])
    assert result.volumes["Liver"].dose_mean_gy == pytest.approx(-1.797, rel=1e-3)
    assert result.volumes["Liver"].cv is None
    assert result.volumes["Tumour 1"].tnr is None


def test_doses_of_two_positions_add_and_the_trend_counts_each_positions_own_activity():
    course = [
        imaged(injection(1, 200.0, "RHA"), holmium(0.1)),
        imaged(injection(2, 600.0, "RHA"), holmium(0.2)),
        imaged(injection(1, 100.0, "LHA"), holmium(0.25)),
        imaged(injection(2, 300.0, "LHA"), holmium(0.3)),
    ]
    after = results(course)
    assert [r.position_injected_mbq for r in after] == [200.0, 800.0, 100.0, 400.0]
    assert [r.cumulative_injected_mbq for r in after] == [200.0, 800.0, 900.0, 1200.0]
    doses = [r.volumes["Liver"].dose_mean_gy for r in after]
    assert doses == pytest.approx([0.1 * 179.66, 0.2 * 179.66, 0.25 * 179.66, 0.3 * 179.66], rel=1e-3)
    assert [r.trend["Liver"].status for r in after] == [TrendStatus.TOO_FEW_POINTS] * 4


CUMULATIVE = (0.1, 0.4, 0.7, 1.0)


def course(last: float, position: str = "RHA", before: float = 0.0) -> list[ImagedFraction]:
    """Four fractions of 10, 30, 30, 30 %; the tumour's last cumulative concentration is `last` of the linear one."""
    levels = [*CUMULATIVE[:3], CUMULATIVE[2] + (CUMULATIVE[3] - CUMULATIVE[2]) * last]
    return [
        imaged(
            injection(k + 1, 4000.0 * (c - (CUMULATIVE[k - 1] if k else 0.0)), position),
            holmium(0.3 * c, before + 0.8 * level),
        )
        for k, (c, level) in enumerate(zip(CUMULATIVE, levels, strict=True))
    ]


def test_linear_uptake_is_not_flagged_and_saturation_is():
    linear, saturated = results(course(1.0))[-1], results(course(0.5))[-1]
    assert linear.trend["Tumour 1"].status == TrendStatus.TESTED
    assert linear.trend["Tumour 1"].deviation_pct == pytest.approx(0.0, abs=0.01)
    assert linear.trend["Tumour 1"].flagged is False
    assert saturated.trend["Tumour 1"].deviation_pct == pytest.approx(-15.0, abs=0.01)
    assert saturated.trend["Tumour 1"].flagged is True
    assert saturated.trend["Tumour 1"].direction == "below"
    assert saturated.trend["Healthy liver"].flagged is False


@pytest.mark.parametrize(
    ("last", "at_the_floor", "status"),
    [
        (0.5, {4}, TrendStatus.NOT_TESTABLE),
        (1.0, {4}, TrendStatus.NOT_TESTABLE),
        (1.9, {4}, TrendStatus.TESTED),
        (0.5, {2}, TrendStatus.NOT_TESTABLE),
        (0.5, set(), TrendStatus.TESTED),
    ],
    ids=["below its line", "on its line", "above its line", "a line through one", "none"],
)
def test_a_lower_bound_is_told_from_its_line_only_where_it_lies_above(last, at_the_floor, status):
    """A dose of at least D may lie anywhere above D; a line through one may lie too low."""
    fractions = []
    for fraction in course(last):
        reason = np.array(fraction.holmium.reason)
        if fraction.injection.fraction in at_the_floor:
            reason[5, 8, 8] = Reason.LOWER_BOUND
        fractions.append(replace(fraction, holmium=replace(fraction.holmium, reason=reason)))
    point = results(fractions)[-1].trend["Tumour 1"]
    assert point.status == status
    if status == TrendStatus.NOT_TESTABLE:
        assert (point.flagged, point.deviation_pct, point.significant) == (None, None, None)
        assert "lower bound" in point.message


def test_of_a_lower_bound_nothing_is_projected_and_recovery_is_said_to_be_one():
    fractions = course(1.0)[:2]
    reason = np.array(fractions[1].holmium.reason)
    reason[5, 8, 8] = Reason.LOWER_BOUND
    bounded = replace(fractions[1], holmium=replace(fractions[1].holmium, reason=reason))
    physics = Physics(isotope=holmium_166(), relaxivity_per_s_per_mg_ml=RELAXIVITY, settings=SETTINGS)
    outlook = Outlook(next_mbq={("RHA", 2): 1200.0}, limits_gy={"Tumour 1": 500.0})
    plain, marked = (
        evaluate_treatment([fractions[0], last], volumes=VOLUMES, physics=physics, outlook=outlook)[-1].result
        for last in (fractions[1], bounded)
    )
    assert plain.projection["Tumour 1"].dose_gy is not None
    assert plain.activity_left["Tumour 1"].mbq is not None
    assert (marked.projection["Tumour 1"].dose_gy, marked.activity_left["Tumour 1"].mbq) == (None, None)
    assert "lower bound" in marked.projection["Tumour 1"].message
    assert any("recovery" in note for note in marked.notes) == (marked.volumes["Liver"].status == "lower_bound")
    assert not any("recovery" in note for note in plain.notes)


def test_a_later_position_is_judged_by_what_it_adds():
    """With dose from before, half of the last increment lost is 15 % of this position's uptake, not of the total."""
    before = imaged(injection(1, 500.0, "LHA"), holmium(0.0, 0.6))
    last = results([before, *course(0.5, before=0.6)])[-1]
    assert last.trend["Tumour 1"].deviation_pct == pytest.approx(-15.0, abs=0.01)


def test_a_tumour_that_the_position_does_not_feed_is_not_tested():
    last = results(course(0.5), feeds={"RHA": ("Tumour 2",)})[-1]
    assert last.trend["Tumour 1"].status == TrendStatus.NOT_TESTABLE
    assert last.trend["Healthy liver"].status == TrendStatus.TESTED, "the list concerns tumours"


def test_common_terms_cancel_in_the_trend():
    certain = {"relaxivity_pct": 0.0, "specific_activity_pct": 0.0, "reference_per_s": 0.0}
    vague = {"relaxivity_pct": 20.0, "specific_activity_pct": 20.0, "reference_per_s": 10.0}
    intervals, totals = [], []
    for terms in (certain, vague):
        settings = SETTINGS.model_copy(update={"uncertainty": SETTINGS.uncertainty.model_copy(update=terms)})
        given = Physics(isotope=holmium_166(), relaxivity_per_s_per_mg_ml=RELAXIVITY, settings=settings)
        last = evaluate_treatment(course(1.0), volumes=VOLUMES, physics=given)[-1].result
        intervals.append(last.trend["Tumour 1"].prediction_interval_gy)
        totals.append(last.volumes["Tumour 1"].dose_mean_u_gy)
    assert intervals[0] == intervals[1]
    assert totals[1] > 3 * totals[0]


def test_one_per_second_is_eight_tenths_of_a_gray():
    zero = dict.fromkeys(("relaxivity_pct", "specific_activity_pct", "density_pct", "energy_pct"), 0.0)
    zero |= {"repeat_per_s": 0.0, "repeat_pct": 0.0, "contour_tumour_pct": 0.0, "contour_liver_pct": 0.0}
    terms = SETTINGS.uncertainty.model_copy(update={**zero, "reference_per_s": 1.0})
    everywhere = np.full(SHAPE, 0.334, dtype=np.float32)  # so that moving a contour changes nothing
    (result,) = results([imaged(injection(1), everywhere)], uncertainty=terms)
    assert result.volumes["Liver"].dose_mean_u_gy == pytest.approx(0.824, abs=0.001)


def test_taking_over_what_is_known_changes_no_bit():
    fractions = course(0.5)
    fresh = evaluate(fractions)
    grown: tuple = ()
    for n in range(1, 5):
        grown = evaluate(fractions[:n], known=grown)
    assert [e.result for e in grown] == [e.result for e in fresh]
    for a, b in zip(grown, fresh, strict=True):
        assert (a.result.maps.dose.values == b.result.maps.dose.values).all()
    again = evaluate(fractions, known=fresh)
    assert all(a.result.maps is b.result.maps for a, b in zip(again, fresh, strict=True)), "nothing is computed twice"


def test_a_revised_injection_is_computed_anew_with_all_after_it():
    fractions = course(1.0)
    known = evaluate(fractions)
    revised = [*fractions]
    revised[1] = replace(revised[1], injection=replace(revised[1].injection, specific_activity_mbq_per_mg=24.0))
    assert [e.result for e in evaluate(revised, known=known)] == [e.result for e in evaluate(revised)]
    assert evaluate(revised, known=known)[-1].result != known[-1].result


def test_no_number_of_a_result_is_nan():
    values, reason = holmium(0.3, 1.0), np.zeros(SHAPE, dtype=np.uint8)
    values[TUMOUR_PART], reason[TUMOUR_PART] = np.nan, Reason.NO_SIGNAL
    (result,) = results([imaged(injection(1), values, reason)])
    for own in result.volumes.values():
        numbers = [v for v in vars(own).values() if isinstance(v, float)]
        assert np.isfinite(numbers).all()
