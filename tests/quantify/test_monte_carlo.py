"""Sampled uncertainties: they agree with first order where it holds, keep what is correlated, and cover the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from config.settings import UncertaintySettings
from quantify import monte_carlo
from quantify.budget import budget
from quantify.lineage import Lineage
from quantify.monte_carlo import MeasuredDose, sample_terms, spread
from quantify.uncertainty import repeat_per_s

GY_PER_S = 0.8242
SETTINGS = UncertaintySettings()
VOLUMES = ("Tumour 1", "Tumour 2", "Healthy liver", "Liver")
NOTHING = SETTINGS.model_copy(
    update={name: 0.0 for name in ("relaxivity_pct", "specific_activity_pct", "energy_pct", "density_pct", "assay_pct")}
)


def series_weights(increments_gy_per_s) -> tuple[float, ...]:
    """Weights of the series of one reference whose gains are worth so much."""
    lineage = Lineage()
    for gy_per_s in increments_gy_per_s:
        lineage = lineage.after(gy_per_s=float(gy_per_s), baseline=None)
    return lineage.series_gy_per_s


def measured(mean: float = 60.0, *, volume: str = "Tumour 1", series: int = 1, **own) -> MeasuredDose:
    """A dose after so many images of equal specific activity."""
    given = {
        "volume": volume,
        "mean_gy": mean,
        "series_gy_per_s": series_weights([GY_PER_S] * series),
        "repeat_per_s": (repeat_per_s(mean / GY_PER_S, SETTINGS),) * series,
        "reference_per_s": (SETTINGS.reference_per_s,),
    }
    return MeasuredDose(**{**given, **own})


def terms(settings: UncertaintySettings = SETTINGS, *, n_series: int = 4, **own):
    return sample_terms(settings, n_series=n_series, volumes=VOLUMES, **own)


def u(samples: np.ndarray) -> float:
    return float(samples.std(ddof=1))


def test_the_same_seed_gives_the_same_samples_and_later_series_leave_them():
    few, again, many = terms(n_series=2), terms(n_series=2), terms(n_series=5, n_references=2)
    one = measured(series=2, contour_gy=1.0, noise_gy=0.5)
    first, second, third = (monte_carlo.mean_gy(t, one) for t in (few, again, many))
    assert np.array_equal(first, second)
    assert np.array_equal(first, third), "a fraction's uncertainty does not change when the next one is imaged"
    assert not np.array_equal(first, monte_carlo.mean_gy(terms(n_series=2, seed=1), one))


@pytest.mark.parametrize("mean", [0.0, 5.0, 60.0, 150.0])
@pytest.mark.parametrize("samples", [100, 2000])
def test_a_means_uncertainty_is_the_first_order_one(mean, samples):
    settings = SETTINGS.model_copy(update={"monte_carlo_samples": samples})
    one = measured(mean, contour_gy=1.5, noise_gy=0.4, s0_per_s=(0.2 * np.log(1.04) / 1.2e-3,))
    first_order = float(np.sqrt(sum(term.u_gy**2 for term in budget(one, settings))))
    found = spread(mean, monte_carlo.mean_gy(terms(settings, n_series=1), one))
    assert found is not None
    tolerance = 0.03 if samples == 2000 else 0.2
    assert found.u == pytest.approx(first_order, rel=tolerance)
    assert found.high_95 - found.low_95 == pytest.approx(3.92 * first_order, rel=2 * tolerance)


def test_doses_shift_and_scale_together_and_spreads_only_scale():
    drawn, one = terms(), measured(60.0)
    d70 = monte_carlo.dose_gy(drawn, one, 40.0)
    np.testing.assert_allclose(monte_carlo.mean_gy(drawn, one) - d70, 20.0 * drawn.scale)
    assert u(monte_carlo.sd_gy(drawn, 12.0)) == pytest.approx(
        12.0 * np.sqrt(5**2 + 5**2 + 1.3**2 + 2**2) / 100, rel=0.03
    )
    offset_only = terms(NOTHING)
    assert u(monte_carlo.sd_gy(offset_only, 12.0)) == 0.0
    ratio = monte_carlo.cv(drawn, one, 12.0)
    np.testing.assert_allclose(ratio, 12.0 * drawn.scale / monte_carlo.mean_gy(drawn, one))


def test_the_common_scale_cancels_in_tumour_to_normal():
    drawn = terms()
    tumour, normal = measured(120.0), measured(40.0, volume="Healthy liver")
    silent = {"repeat_per_s": (0.0,), "reference_per_s": (0.0,)}
    without = monte_carlo.tumour_to_normal(drawn, replace(tumour, **silent), replace(normal, **silent))
    np.testing.assert_allclose(without, 3.0)
    found = spread(3.0, monte_carlo.tumour_to_normal(drawn, tumour, normal))
    assert found is not None
    offsets = [np.hypot(SETTINGS.reference_per_s, one.repeat_per_s[0]) * GY_PER_S for one in (tumour, normal)]
    assert found.u == pytest.approx(3.0 * np.hypot(offsets[0] / 120, offsets[1] / 40), rel=0.06)


def test_a_ratio_over_nought_has_no_spread_and_is_never_nan():
    drawn = terms()
    ratio = monte_carlo.tumour_to_normal(drawn, measured(100.0), measured(1.0, volume="Healthy liver"))
    assert not np.isnan(ratio).any()
    assert spread(100.0, ratio) is None
    assert spread(None, ratio) is None
    assert spread(float("nan"), drawn.scale) is None
    some = np.concatenate((np.random.default_rng(1).standard_normal(1990), np.full(10, np.inf)))
    rare = spread(0.0, some)
    assert rare is not None
    assert rare.u == pytest.approx(1.0, rel=0.05)


def test_the_reference_cancels_in_a_gain_and_the_scatter_does_not():
    drawn = terms(NOTHING)
    earlier, later = measured(20.0, series=1), measured(50.0, series=2)
    gain = monte_carlo.gain_gy(drawn, later, earlier)
    assert u(gain) == pytest.approx(GY_PER_S * np.hypot(earlier.repeat_per_s[0], later.repeat_per_s[1]), rel=0.03)
    assert gain.mean() == pytest.approx(30.0)
    np.testing.assert_array_equal(monte_carlo.gain_gy(drawn, earlier, None), monte_carlo.mean_gy(drawn, earlier))


def test_earlier_series_enter_with_the_decay_between_injections():
    """D = Σ g_k·(R_k − R_{k−1}): after one hour series 1 keeps 2.6 % of its weight."""
    weights = series_weights([1.0, 0.9745, 0.95])
    assert weights == pytest.approx((0.0255, 0.0245, 0.95))
    assert sum(weights) == pytest.approx(1.0), "an offset of the reference counts at the first injection"
    drawn = terms(NOTHING)
    one = measured(60.0, series_gy_per_s=weights, repeat_per_s=(2.0, 2.0, 2.0), reference_per_s=(0.0,))
    assert u(monte_carlo.mean_gy(drawn, one)) == pytest.approx(2.0 * np.sqrt(np.square(weights).sum()), rel=1e-6)


def test_two_references_are_independent():
    drawn = terms(NOTHING, n_references=2)
    one = measured(60.0, repeat_per_s=(0.0,), reference_per_s=(3.0, 5.0), reference_gy_per_s=(0.5, 0.4))
    assert u(monte_carlo.mean_gy(drawn, one)) == pytest.approx(np.hypot(1.5, 2.0), rel=0.06)


def test_energy_and_density_do_not_enter_an_activity():
    only = NOTHING.model_copy(update={"energy_pct": 20.0, "density_pct": 20.0})
    silent = {"repeat_per_s": (0.0,), "reference_per_s": (0.0,)}
    activity = monte_carlo.activity_mbq(terms(only), measured(60.0, **silent), mbq_per_gy=10.0)
    np.testing.assert_allclose(activity, 600.0)
    # A contour grown by 4.5 % whose mean falls by as much holds the same activity.
    grown = measured(60.0, contour_gy=-0.045 * 60, **silent)
    assert u(monte_carlo.activity_mbq(terms(NOTHING), grown, mbq_per_gy=1.0, contour_volume_relative=0.045)) < 0.3


def test_recovery_carries_the_assay():
    only = NOTHING.model_copy(update={"assay_pct": 5.0})
    drawn, silent = terms(only), {"repeat_per_s": (0.0,), "reference_per_s": (0.0,)}
    injected = monte_carlo.injected_mbq(drawn, 1000.0, 40.0)
    assert u(injected) == pytest.approx(np.hypot(50.0, 40.0), rel=0.03)
    one = measured(60.0, **silent)
    ratio = monte_carlo.recovery(monte_carlo.activity_mbq(drawn, one, mbq_per_gy=1050 / 60), injected)
    assert u(ratio) / 1.05 == pytest.approx(np.hypot(0.05, 0.04), rel=0.05)


def test_v_x_is_read_at_the_shifted_dose():
    drawn, one = terms(), measured(50.0)
    dose, fraction = np.linspace(0.0, 100.0, 201), np.linspace(1.0, 0.0, 201)
    found = monte_carlo.volume_receiving(drawn, one, 60.0, dvh_dose_gy=dose, dvh_fraction=fraction)
    expected = np.clip(1 - (60.0 / drawn.scale - (monte_carlo.mean_gy(drawn, one) / drawn.scale - 50.0)) / 100, 0, 1)
    np.testing.assert_allclose(found, expected)
    sure = monte_carlo.volume_receiving(drawn, one, 1000.0, dvh_dose_gy=dose, dvh_fraction=fraction)
    assert spread(0.0, sure) == monte_carlo.Spread(value=0.0, u=0.0, low_95=0.0, high_95=0.0)


def test_bed_is_quadratic_in_dose():
    drawn, one = terms(), measured(60.0)
    mean = monte_carlo.mean_gy(drawn, one)
    bed = monte_carlo.bed_gy(drawn, one, effect_per_gy=0.005, standard_deviation_gy=20.0)
    np.testing.assert_allclose(bed, mean + 0.005 * (mean**2 + (20.0 * drawn.scale) ** 2))


def test_the_budget_adds_up_and_says_what_is_shared():
    one = measured(100.0, series=3, series_gy_per_s=series_weights([0.82, 0.80, 0.78]), contour_gy=-2.0, noise_gy=0.3)
    table = {term.name: term for term in budget(one, SETTINGS)}
    assert sum(term.share_of_variance_pct for term in table.values()) == pytest.approx(100.0)
    assert table["relaxivity"].u_gy == pytest.approx(5.0)
    assert table["relaxivity"].correlated_with == "all volumes and fractions"
    assert table["offset of the reference"].u_gy == pytest.approx(3 * 0.82)
    assert table["scatter between series"].u_gy == pytest.approx(0.78 * one.repeat_per_s[2])
    assert 0 < table["scatter of earlier series"].u_gy < 0.2
    assert "S0 from the reference" not in table
    sampled = u(monte_carlo.mean_gy(terms(), one))
    assert np.sqrt(sum(term.u_gy**2 for term in table.values())) == pytest.approx(sampled, rel=0.03)
    silent = measured(0.0, repeat_per_s=(0.0,), reference_per_s=(0.0,))
    assert all(term.share_of_variance_pct == 0.0 for term in budget(silent, SETTINGS))


@pytest.mark.parametrize("final_gy", [8.0, 90.0], ids=["near nought", "therapeutic"])
def test_the_95_percent_interval_covers_the_truth(final_gy):
    """400 treatments of four fractions, drawn from the stated distributions by another road: R2*, not doses."""
    rng = np.random.default_rng(42)
    drawn = terms()
    inside, volumes, n = 0, VOLUMES[:2], 400
    energy_over_density = 15.87 / 1.06
    specific = 12.0 * 2.0 ** (-np.arange(4) / 26.8)
    for _ in range(n):
        relaxivity = 218.0 * rng.normal(1.0, 0.05)
        scale = rng.normal(1.0, 0.05) * rng.normal(1.0, 0.013) / rng.normal(1.0, 0.02)
        for volume in volumes:
            mass = np.cumsum([0.1, 0.3, 0.3, 0.3]) * final_gy / energy_over_density / specific.mean()
            truth = scale * energy_over_density * np.sum(np.diff(mass, prepend=0.0) * specific)
            change = relaxivity * mass
            repeat = np.array([repeat_per_s(float(c), SETTINGS) for c in change])
            seen = change - rng.normal(0.0, 3.0) + rng.normal(0.0, 1.0, 4) * repeat
            gain = np.diff(seen, prepend=0.0) / 218.0 * specific
            estimate = float(energy_over_density * gain.sum()) + rng.normal(0.0, 1.0) + rng.normal(0.0, 0.2)
            one = MeasuredDose(
                volume=volume,
                mean_gy=estimate,
                series_gy_per_s=series_weights(energy_over_density / 218.0 * specific),
                repeat_per_s=tuple(repeat_per_s(float(c), SETTINGS) for c in seen),
                reference_per_s=(3.0,),
                contour_gy=1.0,
                noise_gy=0.2,
            )
            found = spread(estimate, monte_carlo.mean_gy(drawn, one))
            assert found is not None
            inside += found.low_95 <= truth <= found.high_95
    assert 0.93 <= inside / (n * len(volumes)) <= 0.97


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mean_gy": float("nan")}, "not finite or a spread below 0"),
        ({"noise_gy": -1.0}, "not finite or a spread below 0"),
        ({"repeat_per_s": (2.0, 2.0)}, "repeat_per_s has 2 values for 1 series"),
        ({"series_gy_per_s": (), "repeat_per_s": ()}, "at least one"),
        ({"s0_per_s": (1.0, 2.0)}, "s0_per_s has 2 values; expected 1"),
        ({"reference_per_s": (1.0, 2.0)}, "reference_per_s has 2 values; expected 1"),
    ],
)
def test_a_dose_that_says_too_little_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        measured(**({"mean": change.pop("mean_gy")} if "mean_gy" in change else {}), **change)


def test_terms_for_nothing_or_for_others_are_refused():
    with pytest.raises(ValueError, match="0 series"):
        terms(n_series=0)
    with pytest.raises(ValueError, match="expected different names"):
        sample_terms(SETTINGS, n_series=1, volumes=("A", "A"))
    with pytest.raises(ValueError, match="not for volume 'Spleen'"):
        monte_carlo.mean_gy(terms(), measured(volume="Spleen"))
    with pytest.raises(ValueError, match="has 3 series and 1 references; terms were drawn for 2 and 1"):
        monte_carlo.mean_gy(terms(n_series=2), measured(series=3))
