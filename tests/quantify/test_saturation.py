"""Straight or saturating: D∞·(1 − exp(−A/A₀)) against the line by AICc (physics §5)."""

from __future__ import annotations

import numpy as np
import pytest

from quantify.saturation import saturation

X = np.linspace(10.0, 100.0, 6)


def found(gains, *, x=X, u=1.0, **more):
    return saturation(injected_mbq=x, gain_gy=gains, u_gy=np.full(len(x), u), **more)


def preferences(truth, *, u, n=200, seed=0, **more):
    rng = np.random.default_rng(seed)
    answers = [found(truth + u * rng.standard_normal(len(truth)), u=u, **more).preferred for _ in range(n)]
    return {name: answers.count(name) / n for name in ("line", "saturating", "undecided")}


@pytest.mark.parametrize(("d_infinity", "a_0"), [(80.0, 40.0), (200.0, 150.0), (50.0, 10.0)])
def test_the_curves_parameters_are_recovered_without_noise(d_infinity, a_0):
    answer = found(d_infinity * (1 - np.exp(-X / a_0)))
    assert answer.preferred == "saturating"
    assert answer.d_infinity_gy == pytest.approx(d_infinity, rel=1e-4)
    assert answer.a_0_mbq == pytest.approx(a_0, rel=1e-4)
    assert answer.delta_aicc > 2


@pytest.mark.parametrize("u", [0.5, 2.0])
def test_a_straight_uptake_is_mostly_told_as_a_line_and_rarely_as_saturating(u):
    rates = preferences(1.0 * X, u=u)
    assert rates["line"] > 0.5
    assert rates["saturating"] < 0.12


@pytest.mark.parametrize(("a_0", "least"), [(30.0, 0.97), (100.0, 0.75)], ids=["strong", "mild"])
def test_saturation_is_found(a_0, least):
    truth = 100 * (1 - np.exp(-X / a_0))
    assert preferences(truth, u=2.0)["saturating"] >= least


def test_the_stated_uncertainty_of_the_plateau_agrees_with_its_scatter():
    rng = np.random.default_rng(3)
    truth = 100 * (1 - np.exp(-X / 40))
    answers = [found(truth + rng.standard_normal(X.size)) for _ in range(300)]
    scatter = np.std([a.d_infinity_gy for a in answers])
    stated = np.median([a.d_infinity_u_gy for a in answers])
    assert stated == pytest.approx(scatter, rel=0.25)
    assert np.std([a.a_0_mbq for a in answers]) == pytest.approx(np.median([a.a_0_u_mbq for a in answers]), rel=0.25)


def test_aicc_is_the_published_formula():
    """AICc = n·ln(χ²/n) + 2k + 2k(k+1)/(n − k − 1); both curves have k = 3, so ΔAICc = n·ln(χ²_line/χ²_curve)."""
    rng = np.random.default_rng(11)
    gains = 100 * (1 - np.exp(-X / 60)) + 2 * rng.standard_normal(X.size)
    answer = found(gains, u=2.0)
    line = np.polynomial.polynomial.polyfit(X, gains, 1)
    curve = answer.d_infinity_gy * (1 - np.exp(-X / answer.a_0_mbq))
    line_chi2 = ((gains - line[0] - line[1] * X) ** 2).sum()
    assert answer.delta_aicc == pytest.approx(6 * np.log(line_chi2 / ((gains - curve) ** 2).sum()), rel=1e-6)


@pytest.mark.parametrize(
    "gains",
    [1.0 * X, X**2 / 100, np.zeros(6), -1.0 * X, np.full(6, 0.0) + 1e-12 * X],
    ids=["straight", "bent upwards", "no uptake", "falling", "next to nothing"],
)
def test_without_a_bend_the_line_is_told_and_no_plateau(gains):
    answer = found(gains)
    assert answer.preferred == "line"
    assert (answer.d_infinity_gy, answer.a_0_mbq) == (None, None)
    assert np.isfinite(answer.delta_aicc)


def test_full_from_the_first_point_on_is_saturated():
    rng = np.random.default_rng(2)
    answer = found(40 + 0.5 * rng.standard_normal(6), u=0.5)
    assert answer.d_infinity_gy == pytest.approx(40, abs=1)
    assert answer.preferred == "undecided", "a level line explains it as well"


def test_under_six_points_nothing_is_told():
    assert found(100 * (1 - np.exp(-X[:5] / 30)), x=X[:5]) is None
    assert found(np.zeros(0), x=np.zeros(0)) is None


def test_two_activities_make_no_curve():
    x = np.array([10.0, 10, 10, 50, 50, 50])
    assert found(1.0 * x, x=x) is None


def test_the_number_of_points_is_a_setting():
    assert found(1.0 * X, minimum_points=7) is None
    with pytest.raises(ValueError, match="minimum_points is 5"):
        found(1.0 * X, minimum_points=5)


def test_the_unit_of_dose_does_not_matter():
    rng = np.random.default_rng(4)
    gains = 50 * (1 - np.exp(-X / 70)) + rng.standard_normal(6)
    one, hundred = found(gains, u=1.0), found(100 * gains, u=100.0)
    assert hundred.delta_aicc == pytest.approx(one.delta_aicc, abs=1e-6)
    assert hundred.d_infinity_gy == pytest.approx(100 * one.d_infinity_gy, rel=1e-6)


def test_a_baselines_scatter_is_shared_by_all_gains():
    """A baseline measured 4 Gy too low lifts every gain alike: stated as such, it is no early rise."""
    gains = 1.0 * X + 4.0
    blind, aware = found(gains, u=0.5), found(gains, u=0.5, u_baseline_gy=4.0)
    assert blind.a_0_mbq is not None
    assert aware.a_0_mbq is None


def test_an_uncertain_activity_widens_the_plateau():
    gains = 100 * (1 - np.exp(-X / 60))
    sharp, wide = found(gains), found(gains, variance_mbq2=np.cumsum(np.full(6, 4.0)))
    assert wide.d_infinity_u_gy > sharp.d_infinity_u_gy


def test_missing_uncertainties_count_all_points_alike():
    gains = 100 * (1 - np.exp(-X / 60)) + np.array([0.5, -0.5, 0.5, -0.5, 0.5, -0.5])
    assert found(gains, u=0.0).a_0_mbq == pytest.approx(found(gains, u=1.0).a_0_mbq, rel=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gain_gy": [1.0, 2, float("nan"), 4, 5, 6]}, "gain_gy is"),
        ({"gain_gy": [1.0, 2]}, "shape"),
        ({"u_gy": [-1.0] * 6}, "u_gy is"),
        ({"injected_mbq": [-1.0, 2, 3, 4, 5, 6]}, "injected_mbq is"),
        ({"u_baseline_gy": float("nan")}, "u_baseline_gy is nan"),
    ],
)
def test_bad_input_is_refused_by_name(change, words):
    good = {"injected_mbq": X, "gain_gy": X, "u_gy": np.ones(6)}
    with pytest.raises(ValueError, match=words):
        saturation(**(good | change))
