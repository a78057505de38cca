"""The methods text: every setting that differs shows in it, and every number carries its unit."""

from __future__ import annotations

import re
from typing import Any

import pytest

from config.base import Table
from config.settings import QuantificationSettings
from quantify.methods import (
    activity_sentence,
    dose_sentence,
    fat_sentence,
    fit_sentence,
    gradient_sentence,
    holmium_sentence,
    methods_text,
    partial_volume_sentence,
    reference_sentence,
    registration_sentence,
    reliability_sentence,
    s0_sentence,
    statistics_sentence,
    trend_sentence,
    uncertainty_sentence,
)

CHOICES = {
    "dose_model": "kernel",
    "fit": "arlo",
    "s0": "free",
    "fat_model": "six_peak",
    "reference_mode": "liver_mean",
}


def whole_text(settings: QuantificationSettings) -> str:
    """All steps of a treatment in which everything happened, so that every setting has its say."""
    return methods_text(
        [
            fit_sentence(settings, n_echoes=10, sigma=4.2, echo_times_s=(1.2e-3, 12e-3)),
            s0_sentence(settings),
            fat_sentence(settings, field_strength_t=3.0),
            gradient_sentence(settings),
            reliability_sentence(settings),
            registration_sentence(settings.registration, given_by_operator=1),
            reference_sentence(settings.reference_mode, new_baselines=1),
            holmium_sentence(
                relaxivity_per_s_per_mg_ml=218.0,
                field_strength_t=3.0,
                calibration_holmium_fraction=0.195,
                holmium_fractions=(0.195, 0.19),
                temperature_c=37.0,
            ),
            activity_sentence(settings, n_injections=8, n_vials=2, n_residuals=1, n_assumed_loss=4),
            dose_sentence(settings),
            partial_volume_sentence(settings),
            statistics_sentence(settings.statistics),
            uncertainty_sentence(settings.uncertainty, repositioned=True),
            trend_sentence(settings.trend),
        ]
    )


# Settings that only matter beside another one are tried where they matter.
BASE = QuantificationSettings().model_copy(
    update={
        "s0": "blended",
        "statistics": QuantificationSettings().statistics.model_copy(update={"bed": True}),
    }
)


def changed(value: Any, name: str) -> Any:
    if name in CHOICES:
        return CHOICES[name]
    if name == "deformable":
        return "demons"
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return (*value, 333.0)
    return value + 1 if isinstance(value, int) else value * 1.5


def each_setting() -> list[tuple[str, str]]:
    found = []
    for name, value in BASE:
        if isinstance(value, Table):
            found += [(name, inner) for inner, _ in value]
        else:
            found.append(("", name))
    return found


def unit_of(table: str, name: str) -> str:
    owner = getattr(BASE, table) if table else BASE
    return (type(owner).model_fields[name].json_schema_extra or {}).get("unit", "")


def with_change(table: str, name: str) -> QuantificationSettings:
    if not table:
        return BASE.model_copy(update={name: changed(getattr(BASE, name), name)})
    inner = getattr(BASE, table)
    return BASE.model_copy(update={table: inner.model_copy(update={name: changed(getattr(inner, name), name)})})


@pytest.mark.parametrize(("table", "name"), each_setting(), ids=lambda part: part or "quantification")
def test_every_setting_that_differs_changes_the_text(table, name):
    assert whole_text(with_change(table, name)) != whole_text(BASE)


@pytest.mark.parametrize(
    ("table", "name"),
    [setting for setting in each_setting() if unit_of(*setting)],
    ids=lambda part: part or "quantification",
)
def test_every_setting_with_a_unit_shows_its_value_with_it(table, name):
    settings = with_change(table, name)
    owner, unit = getattr(settings, table) if table else settings, unit_of(table, name)
    value = getattr(owner, name)
    shown = f"{value[-1] if isinstance(value, tuple) else value:g}"
    # "8.6 ± 4 %" and "90 and 150 Gy": the unit stands behind the last number of a group.
    pattern = rf"(?<![\d.]){re.escape(shown)}( ± [\d.]+)? {re.escape(unit)}(?![A-Za-z])"
    assert re.search(pattern, whole_text(settings)), f"{shown} {unit}"


def test_references_are_named_by_author_and_year():
    text = whole_text(BASE.model_copy(update={"fit": "arlo", "fat_model": "six_peak"}))
    for reference in (
        *("Pei 2015", "Feng 2013", "Hamilton 2011", "Roosen 2023", "Mattes 2003", "EMERITUS-1", "ICRP 107"),
        *("Rousset 1998", "Erlandsson 2012", "Gear 2018", "Cremonesi 2008", "Burnham & Anderson 2002"),
    ):
        assert reference in text


def test_the_text_has_no_unfilled_or_machine_words():
    text = whole_text(BASE)
    for word in ("{", "}", "None", "nan", "six_peak", "log_linear", "volume_mean", "  ", ".."):
        assert word not in text


def test_steps_that_did_not_run_are_not_told():
    assert methods_text(["First.", "", "  ", "Second."]) == "First. Second."
    assert methods_text(["Same.", "Same."]) == "Same."
    assert methods_text([]) == ""


def test_a_step_that_is_no_sentence_is_refused():
    with pytest.raises(ValueError, match="full stop"):
        methods_text(["R2* was fitted"])


def test_a_blended_s0_is_told_as_free_after_gadolinium():
    assert "free parameter of every fit: gadolinium" in s0_sentence(BASE, gadolinium=True)
    assert "4 %" in s0_sentence(BASE)


def test_the_relaxivity_is_told_for_each_batch_of_another_holmium_content():
    same = holmium_sentence(
        relaxivity_per_s_per_mg_ml=218.0,
        field_strength_t=3.0,
        calibration_holmium_fraction=0.195,
        holmium_fractions=(0.195,),
    )
    assert same.endswith("218 s⁻¹ per mg/mL of microspheres at 3 T with a holmium content of 19.5 %.")
    other = holmium_sentence(
        relaxivity_per_s_per_mg_ml=195.0,
        field_strength_t=3.0,
        calibration_holmium_fraction=0.195,
        holmium_fractions=(0.2, 0.19, 0.2),
    )
    assert other.endswith(
        "scaled with the batch's own content to 190 s⁻¹ per mg/mL at 19 % and 200 s⁻¹ per mg/mL at 20 %."
    )


def test_what_happened_to_the_injections_is_told():
    plain = activity_sentence(BASE, n_injections=1)
    assert "1 injection," in plain
    assert "assumed" not in plain
    full = activity_sentence(
        BASE, n_injections=8, n_vials=2, n_residuals=3, n_assumed_loss=1, n_aborted=2, n_outside_mri=1, n_not_imaged=1
    )
    for words in (
        *("8 injections", "2 vials", "3 measured residuals", "1 injection without a measured residual"),
        *("8.6 ± 4 %", "2 injections were aborted.", "1 injection took place outside the MRI.", "has not been imaged"),
    ):
        assert words in full


def test_a_measured_scatter_replaces_the_working_value():
    assert "2 s⁻¹ (working value" in uncertainty_sentence(BASE.uncertainty)
    measured = uncertainty_sentence(BASE.uncertainty, repeat_per_s=1.234)
    assert "1.2 s⁻¹ (measured" in measured
    refused = BASE.uncertainty.model_copy(update={"repeat_from_pair": False})
    assert "working value" in uncertainty_sentence(refused, repeat_per_s=1.234)


def test_the_samples_that_ran_are_told():
    assert "500 seeded samples" in uncertainty_sentence(BASE.uncertainty, n_samples=500)


def test_what_ran_is_told_over_what_was_set():
    """A deformation that was set but did not run is not told, and the other way round."""
    demons = BASE.registration.model_copy(update={"deformable": "demons"})
    assert "demons" in registration_sentence(demons)
    assert "deformation" not in registration_sentence(demons, deformable=False)
    assert "2 fractions was given" not in registration_sentence(demons)
    assert "2 fractions" in registration_sentence(demons, given_by_operator=2)


def test_a_uniform_baseline_admits_its_error():
    assert "systematic error" not in reference_sentence("voxelwise")
    for mode in ("volume_mean", "liver_mean"):
        assert "systematic error" in reference_sentence(mode)
    assert "2 times after re-positioning" in reference_sentence("voxelwise", new_baselines=2)
    assert "re-positioning" not in reference_sentence("voxelwise")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fit_sentence(BASE, n_echoes=0), "n_echoes is 0"),
        (lambda: fat_sentence(BASE, field_strength_t=float("nan")), "field_strength_t is nan"),
        (lambda: reference_sentence("none"), "mode is 'none'"),
        (lambda: reference_sentence("voxelwise", new_baselines=-1), "new_baselines is -1"),
        (lambda: activity_sentence(BASE, n_injections=-1), "n_injections is -1"),
        (lambda: uncertainty_sentence(BASE.uncertainty, n_samples=0), "n_samples is 0"),
        (
            lambda: holmium_sentence(
                relaxivity_per_s_per_mg_ml=218.0,
                field_strength_t=3.0,
                calibration_holmium_fraction=0.0,
                holmium_fractions=(),
            ),
            "holmium_fraction is 0",
        ),
    ],
)
def test_facts_that_cannot_be_are_refused_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()
