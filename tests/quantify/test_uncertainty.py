"""Uncertainty of a mean dose: each term alone, and what each is shared with (physics §4)."""

from __future__ import annotations

import numpy as np
import pytest

from config.settings import QuantificationSettings, UncertaintySettings
from quantify.budget import budget
from quantify.monte_carlo import MeasuredDose
from quantify.uncertainty import common_relative, repeat_per_s, s0_per_s

ZERO = {
    "relaxivity_pct": 0.0,
    "reference_per_s": 0.0,
    "specific_activity_pct": 0.0,
    "density_pct": 0.0,
    "energy_pct": 0.0,
    "repeat_per_s": 0.0,
    "repeat_pct": 0.0,
}
GY_PER_S = 0.8242
"""SA/r2*·E/ρ at 12 MBq/mg, 218 s⁻¹/(mg/mL), 15.87 mJ/MBq and 1.06 g/mL (physics §2: 0.82 Gy)."""


def only(**terms: float) -> UncertaintySettings:
    return UncertaintySettings().model_copy(update={**ZERO, **terms})


def measured(
    settings: UncertaintySettings,
    *,
    delta_r2star_per_s: float = 72.8,
    reference_per_s: float | None = None,
    repeat: float | None = None,
    s0_weight_mean: float = 0.0,
    **changes: float,
) -> MeasuredDose:
    given = {"mean_gy": 60.0, "contour_gy": 0.0, "noise_gy": 0.0, **changes}
    return MeasuredDose(
        volume="Liver",
        series_gy_per_s=(GY_PER_S,),
        repeat_per_s=(repeat_per_s(delta_r2star_per_s, settings, absolute_per_s=repeat),),
        reference_per_s=(settings.reference_per_s if reference_per_s is None else reference_per_s,),
        s0_per_s=(s0_per_s(s0_weight_mean=s0_weight_mean, te1_s=1.2e-3, settings=settings),),
        **given,
    )


def total(settings: UncertaintySettings, **changes: float) -> float:
    return float(np.sqrt(sum(term.u_gy**2 for term in budget(measured(settings, **changes), settings))))


@pytest.mark.parametrize("term", ["relaxivity_pct", "specific_activity_pct", "density_pct", "energy_pct"])
def test_a_common_term_alone_is_that_percentage_of_the_dose(term):
    assert total(only(**{term: 5.0})) == pytest.approx(3.0)
    assert total(only(**{term: 5.0}), mean_gy=-60.0) == pytest.approx(3.0), "an uncertainty has no sign"


def test_the_reference_term_alone_is_an_offset_whatever_the_dose():
    assert total(only(reference_per_s=3.0)) == pytest.approx(3.0 * GY_PER_S)
    assert total(only(reference_per_s=3.0), mean_gy=5.0) == pytest.approx(2.47, abs=0.01)


def test_the_repeat_term_is_the_larger_of_absolute_and_relative():
    settings = only(repeat_per_s=2.0, repeat_pct=3.0)
    assert repeat_per_s(10.0, settings) == 2.0
    assert repeat_per_s(200.0, settings) == pytest.approx(6.0)
    assert repeat_per_s(-200.0, settings) == pytest.approx(6.0)
    assert total(settings) == pytest.approx(0.03 * 72.8 * GY_PER_S)


@pytest.mark.parametrize("term", ["contour_gy", "noise_gy"])
def test_contour_and_noise_enter_as_they_are(term):
    assert total(only(), **{term: 1.7}) == pytest.approx(1.7)


def test_terms_add_in_quadrature():
    settings = only(relaxivity_pct=5.0, reference_per_s=3.0)
    assert total(settings, contour_gy=1.0) == pytest.approx(np.sqrt(3.0**2 + (3 * GY_PER_S) ** 2 + 1.0))
    assert common_relative(only(relaxivity_pct=3.0, density_pct=4.0)) == pytest.approx(0.05)


def test_no_term_no_uncertainty():
    assert total(only()) == 0.0


def test_only_repeat_and_noise_are_independent_between_series():
    many = only(relaxivity_pct=50.0, reference_per_s=30.0, specific_activity_pct=50.0)
    assert total(many, contour_gy=9.0) > 40.0
    assert measured(many, contour_gy=9.0).independent_gy == 0.0, "what all series share cannot scatter between them"
    noisy = measured(only(repeat_per_s=2.0), delta_r2star_per_s=0.0, noise_gy=0.4)
    assert noisy.independent_gy == pytest.approx(np.hypot(2 * GY_PER_S, 0.4))


def test_the_shipped_values_are_those_of_the_literature_page():
    terms = QuantificationSettings().uncertainty
    assert (terms.relaxivity_pct, terms.reference_per_s, terms.specific_activity_pct, terms.density_pct) == (5, 3, 5, 2)
    assert (terms.repeat_per_s, terms.repeat_pct, terms.contour_liver_pct, terms.contour_tumour_pct) == (2, 3, 4.5, 6.2)


def test_a_repositioned_reference_is_less_certain():
    settings = only(reference_per_s=3.0)
    assert total(settings, reference_per_s=5.0) == pytest.approx(5.0 * GY_PER_S)
    assert total(settings, reference_per_s=None) == pytest.approx(3.0 * GY_PER_S)


def test_a_measured_scatter_replaces_the_working_value_but_not_the_relative_one():
    settings = only(repeat_per_s=2.0, repeat_pct=3.0)
    assert repeat_per_s(10.0, settings, absolute_per_s=0.7) == 0.7
    assert repeat_per_s(200.0, settings, absolute_per_s=0.7) == pytest.approx(6.0)
    assert total(settings, delta_r2star_per_s=10.0, repeat=4.0) == pytest.approx(4.0 * GY_PER_S)
    assert total(settings, delta_r2star_per_s=10.0, repeat=0.0) == pytest.approx(0.3 * GY_PER_S)


def test_a_blended_s0_biases_r2star_by_its_share():
    """docs/physics.md §2: an S0 error of ε biases R2* by up to ln(1 + ε)/TE₁."""
    settings = only(s0_gain_pct=4.0)
    assert s0_per_s(s0_weight_mean=1.0, te1_s=1.2e-3, settings=settings) == pytest.approx(np.log(1.04) / 1.2e-3)
    assert s0_per_s(s0_weight_mean=0.0, te1_s=None, settings=settings) == 0.0
    half = total(settings, s0_weight_mean=0.5)
    assert half == pytest.approx(0.5 * np.log(1.04) / 1.2e-3 * GY_PER_S)
    assert total(settings, s0_weight_mean=0.25) == pytest.approx(half / 2)


def test_a_gain_field_is_estimated_anew_for_every_series():
    settings = only(s0_gain_pct=4.0)
    own = measured(settings, s0_weight_mean=0.5)
    assert own.independent_gy == pytest.approx(total(settings, s0_weight_mean=0.5))
    assert own.independent_gy > 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mean_gy": float("nan")}, "not finite"),
        ({"noise_gy": -0.1}, "below 0"),
        ({"reference_per_s": -1.0}, "below 0"),
        ({"repeat": float("nan")}, "not finite"),
        ({"s0_weight_mean": 1.2}, "s0_weight_mean is 1.2; expected a share from 0 to 1"),
    ],
)
def test_bad_input_is_refused_by_name(change, said):
    with pytest.raises(ValueError, match=said):
        total(only(), **change)


@pytest.mark.parametrize("te1_s", [None, 0.0])
def test_a_blended_s0_needs_the_first_echo_time(te1_s):
    with pytest.raises(ValueError, match="a blended S0 needs the first echo time"):
        s0_per_s(s0_weight_mean=0.5, te1_s=te1_s, settings=only())
