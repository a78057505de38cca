"""The methods text: every step that ran contributes its sentences with its settings, so that the report says what ran.

Each function here is one step: pure, from settings and the facts of the treatment, with the reference to the method's
source (author year). `methods_text` strings them together in the order given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from config.settings import (
    QuantificationSettings,
    RegistrationSettings,
    StatisticsSettings,
    TrendSettings,
    UncertaintySettings,
)
from quantify.isotope import HOLMIUM_166

ReferenceMode = Literal["voxelwise", "volume_mean", "liver_mean"]


def methods_text(steps: Sequence[str]) -> str:
    """Join the sentences of the steps that ran into one paragraph; empty and repeated ones are left out.

    Raises
    ------
    ValueError
        If a step does not end as a sentence: it was cut, or is none.
    """
    said = list(dict.fromkeys(step.strip() for step in steps if step.strip()))
    for step in said:
        if not step.endswith("."):
            raise ValueError(f"methods_text: the step {step!r} does not end with a full stop; expected sentences.")
    return " ".join(said)


def fit_sentence(
    settings: QuantificationSettings,
    *,
    n_echoes: int,
    sigma: float | None = None,
    echo_times_s: Sequence[float] | None = None,
) -> str:
    """How R2* was fitted, of which echoes; `sigma` is the noise of one channel in the units of the signal."""
    _at_least("n_echoes", n_echoes, 1)
    echoes = f"{n_echoes} echoes"
    if echo_times_s is not None:
        echoes += f" from {1000 * min(echo_times_s):g} to {1000 * max(echo_times_s):g} ms"
    method = {
        "nonlinear": "nonlinear least squares (S0 eliminated)",
        "log_linear": "weighted log-linear least squares",
        "arlo": "ARLO (Pei 2015)",
    }[settings.fit]
    noise = "" if sigma is None else f" (σ = {sigma:.3g} in units of the signal)"
    return (
        f"R2* was fitted to {echoes} by {method}, after the Rician noise floor{noise} had been taken off the signal as "
        "√(S² − σ²); an offset was not fitted (Feng 2013). Echoes of a fraction and the reference count as the same "
        f"within {settings.echo_time_tolerance_ms:g} ms; a series of other echo times was used by the echoes that both "
        f"have, if at least {settings.minimum_common_echoes}."
    )


def s0_sentence(settings: QuantificationSettings, *, gadolinium: bool = False) -> str:
    """Whether S0 was free or blended with the reference's; after gadolinium it never is."""
    if settings.s0 == "blended" and not gadolinium:
        return (
            "S0 of a fraction was blended, by variance, with that of the reference through a smooth field of receiver "
            f"gain, taken as known to {settings.uncertainty.s0_gain_pct:g} %."
        )
    because = ": gadolinium had been given" if gadolinium and settings.s0 == "blended" else ""
    return f"S0 was a free parameter of every fit{because}."


def fat_sentence(settings: QuantificationSettings, *, field_strength_t: float) -> str:
    """Whether the beating of fat was modelled."""
    _positive("field_strength_t", field_strength_t)
    if settings.fat_model == "six_peak":
        return (
            f"Fat was modelled by the six peaks of liver fat (Hamilton 2011) at {field_strength_t:g} T, its share "
            "taken from the reference."
        )
    return "Fat was not modelled; what the reference shares of its beating is removed with the reference."


def gradient_sentence(settings: QuantificationSettings) -> str:
    """Whether dephasing by a macroscopic field gradient was corrected; nothing is said where it was not asked for."""
    if not settings.field_gradient_correction:
        return ""
    return (
        "Dephasing by a macroscopic field gradient, estimated from the phase images, was taken off the decay as the "
        "sinc of a rectangular voxel, where phase images were received (Fernández-Seara and Wehrli 2000)."
    )


def reliability_sentence(settings: QuantificationSettings) -> str:
    """Which voxels and volumes were not evaluated."""
    return (
        "Voxels were not evaluated where the reference's first echo had a signal to noise ratio below "
        f"{settings.minimum_reference_snr:g}, where R2* in the reference was above "
        f"{settings.air_interface_r2star_per_s:g} s⁻¹ (next to air), where the root-mean-square residual was above "
        f"{settings.poor_fit_residual_fraction:g} of S0, or where S0 differed from the reference's by a factor of more "
        f"than {1 + settings.moved_s0_change_pct / 100:g} ({settings.moved_s0_change_pct:g} %: other tissue). Voxels "
        f"whose second echo was below {settings.noise_floor_sigma:g} σ kept the smallest value that explains them, and "
        f"a mean with {settings.lower_bound_pct:g} % of its volume or more of them is a lower bound (≥). A volume has "
        f"a mean only if at least {settings.minimum_evaluable_fraction:g} of it could be evaluated."
    )


def reference_sentence(mode: ReferenceMode, *, new_baselines: int = 0, repeat_measured: bool = False) -> str:
    """What was subtracted as R2* before treatment; `new_baselines` were taken after re-positioning."""
    _at_least("new_baselines", new_baselines, 0)
    what = {
        "voxelwise": "each voxel's own R2* before treatment, as the fraction's fit would see it, was subtracted",
        "volume_mean": "the mean R2* of its volume before treatment was subtracted from each voxel",
        "liver_mean": "the mean R2* of the liver before treatment was subtracted from each voxel",
    }
    if mode not in what:
        raise ValueError(f"reference_sentence: mode is {mode!r}; expected one of {list(what)}.")
    sentence = what[mode][0].upper() + what[mode][1:]
    if mode != "voxelwise":
        sentence += ", which leaves a systematic error where the liver is not uniform"
    sentence += " (Roosen 2023); negative differences were kept."
    if new_baselines:
        times = "once" if new_baselines == 1 else f"{new_baselines} times"
        sentence += (
            f" A new baseline was taken {times} after re-positioning, with holmium already present; the dose is the "
            "last before it plus what was gained since."
        )
    if repeat_measured:
        sentence += " The scatter between series was measured from a repeated reference."
    return sentence


def registration_sentence(
    settings: RegistrationSettings, *, deformable: bool | None = None, given_by_operator: int = 0
) -> str:
    """How fractions were registered and when that was refused; `deformable` None: as the setting says."""
    _at_least("given_by_operator", given_by_operator, 0)
    bent = settings.deformable != "off" if deformable is None else deformable
    sentence = (
        "Every fraction was registered rigidly to the reference by mutual information of the first echoes (Mattes "
        f"2003) around the liver with a margin of {settings.margin_mm:g} mm"
    )
    if bent:
        kind = settings.deformable.replace("_", "-") if settings.deformable != "off" else "deformable"
        sentence += f", followed by a {kind} deformation field"
    sentence += (
        f". A shift over {settings.maximum_translation_mm:g} mm, a rotation over {settings.maximum_rotation_deg:g} ° "
        f"or a similarity below {settings.minimum_similarity:g} was a failure, never replaced by no motion; a "
        f"similarity below {settings.warning_similarity:g}, or liver edges apart by more than "
        f"{settings.edge_median_mm:g} mm (median) or {settings.edge_95_mm:g} mm (95th percentile), was marked."
    )
    if given_by_operator:
        sentence += f" The transform of {_count(given_by_operator, 'fraction')} was given by the operator."
    return sentence


def holmium_sentence(
    *,
    relaxivity_per_s_per_mg_ml: float,
    field_strength_t: float,
    calibration_holmium_fraction: float,
    holmium_fractions: Sequence[float],
    temperature_c: float | None = None,
) -> str:
    """The calibration and what it became for the batches used (proportional to holmium content)."""
    _positive("relaxivity_per_s_per_mg_ml", relaxivity_per_s_per_mg_ml)
    _positive("field_strength_t", field_strength_t)
    for fraction in (calibration_holmium_fraction, *holmium_fractions):
        _positive("holmium_fraction", fraction)
    at = f"{field_strength_t:g} T" + ("" if temperature_c is None else f" and {temperature_c:g} °C")
    sentence = (
        "Microsphere concentration is the change of R2* over a relaxivity, calibrated by the site as "
        f"{relaxivity_per_s_per_mg_ml:g} s⁻¹ per mg/mL of microspheres at {at} with a holmium content of "
        f"{100 * calibration_holmium_fraction:g} %"
    )
    others = sorted({f for f in holmium_fractions if not math.isclose(f, calibration_holmium_fraction)})
    if others:
        scaled = _list(
            [
                f"{relaxivity_per_s_per_mg_ml * f / calibration_holmium_fraction:.4g} s⁻¹ per mg/mL at {100 * f:g} %"
                for f in others
            ]
        )
        sentence += f" and scaled with the batch's own content to {scaled}"
    return sentence + "."


def activity_sentence(
    settings: QuantificationSettings,
    *,
    n_injections: int,
    n_vials: int = 0,
    n_residuals: int = 0,
    n_assumed_loss: int = 0,
    n_aborted: int = 0,
    n_outside_mri: int = 0,
    n_not_imaged: int = 0,
) -> str:
    """Where the activities come from; `n_assumed_loss` injections still lack a measured residual."""
    counts = {
        "n_injections": n_injections,
        "n_vials": n_vials,
        "n_residuals": n_residuals,
        "n_assumed_loss": n_assumed_loss,
        "n_aborted": n_aborted,
        "n_outside_mri": n_outside_mri,
        "n_not_imaged": n_not_imaged,
    }
    for name, value in counts.items():
        _at_least(name, value, 0)
    sentence = (
        f"Activities are net at the end of each of {_count(n_injections, 'injection')}, decayed with a half-life of "
        f"{settings.half_life_h:g} h (ICRP 107)"
    )
    if n_vials:
        sentence += f"; they were drawn from {_count(n_vials, 'vial')}"
        if n_residuals:
            sentence += f" less {_count(n_residuals, 'measured residual')}, decayed before they were subtracted"
    sentence += "."
    if n_assumed_loss:
        sentence += (
            f" For {_count(n_assumed_loss, 'injection')} without a measured residual a loss of "
            f"{settings.vial_loss_pct:g} ± {settings.vial_loss_u_pct:g} % was assumed (EMERITUS-1): provisional."
        )
    if n_aborted:
        sentence += f" {_count(n_aborted, 'injection')} {'was' if n_aborted == 1 else 'were'} aborted."
    if n_outside_mri:
        sentence += f" {_count(n_outside_mri, 'injection')} took place outside the MRI."
    if n_not_imaged:
        has = "has" if n_not_imaged == 1 else "have"
        sentence += f" {_count(n_not_imaged, 'injection')} {has} not been imaged: doses leave their activity out."
    return sentence + (
        " MRI sees mass: each fraction's increment of microsphere mass counts with the specific activity at its own "
        "injection."
    )


def dose_sentence(settings: QuantificationSettings) -> str:
    """Dose model, energy and density, which belong to one formula."""
    model = {
        "local": "local deposition in the voxel that holds the activity",
        "kernel": "a voxel kernel from the electron spectrum and a scaled point kernel (energy is conserved)",
    }[settings.dose_model]
    energy = settings.absorbed_energy_mj_per_mbq
    convention = (
        "the field's convention, EMERITUS-1, 2.2 % above the electrons of ICRP 107"
        if math.isclose(energy, 15.87)
        else "not the 15.87 mJ/MBq of the field's convention, EMERITUS-1"
    )
    return (
        f"Absorbed dose of {HOLMIUM_166} until complete decay was computed by {model}, with "
        f"{energy:g} mJ/MBq ({convention}) and a density of {settings.tissue_density_g_per_ml:g} g/mL."
    )


def partial_volume_sentence(settings: QuantificationSettings) -> str:
    """Whether means were corrected for partial volume."""
    if settings.partial_volume_correction:
        return (
            "Statistics of volumes were corrected for partial volume by solving each edge voxel for the volume's own "
            "share of its signal (Rousset 1998; Erlandsson 2012); maps are as measured."
        )
    return "Statistics of volumes were not corrected for partial volume."


def statistics_sentence(settings: StatisticsSettings) -> str:
    """What is told of volumes, and with which thresholds."""
    received = f" V_x at {_list([f'{x:g}' for x in settings.v_x_gy])} Gy," if settings.v_x_gy else ""
    sentence = (
        f"Means are weighted by occupancy; the spread, D90, D70, D50,{received} and coverage (at least "
        f"{settings.coverage_gy:g} Gy, with the largest cold part) are freed from voxel noise. Lesions of less than "
        f"{settings.small_lesion_diameter_mm:g} mm or {settings.small_lesion_volume_ml:g} mL are marked. The "
        f"scintigraphic contour holds voxels over {settings.scintigraphic_threshold_pct:g} % of the liver's maximum at "
        f"a resolution of {settings.scintigraphic_resolution_mm:g} mm; "
        f"activity is also told in the liver expanded by {settings.liver_expansion_mm:g} mm, with the liver's own mass."
    )
    if settings.bed:
        sentence += (
            " The biologically effective dose of means takes α/β of "
            f"{settings.alpha_beta_tumour_gy:g} Gy (tumour) and {settings.alpha_beta_liver_gy:g} Gy (liver) and repair "
            f"half-times of {settings.repair_half_time_tumour_h:g} h (tumour) and "
            f"{settings.repair_half_time_liver_h:g} h (liver) (Cremonesi 2008)."
        )
    return sentence


def uncertainty_sentence(
    settings: UncertaintySettings,
    *,
    n_samples: int | None = None,
    repeat_per_s: float | None = None,
    repositioned: bool = False,
) -> str:
    """The terms of the uncertainty; `repeat_per_s` is the scatter measured from a pair, where that was used."""
    samples = settings.monte_carlo_samples if n_samples is None else n_samples
    _at_least("n_samples", samples, 1)
    if settings.repeat_from_pair and repeat_per_s is not None:
        scatter = f"{repeat_per_s:.2g} s⁻¹ (measured from a repeated reference)"
    elif settings.repeat_from_pair:
        scatter = f"{settings.repeat_per_s:g} s⁻¹ (working value for want of a repeated reference)"
    else:
        scatter = f"{settings.repeat_per_s:g} s⁻¹ (working value, kept also beside a repeated reference)"
    sentence = (
        "Uncertainties are standard uncertainties (k = 1) after EANM 2018 (Gear 2018), without a time–activity term: "
        f"relaxivity {settings.relaxivity_pct:g} %, specific activity {settings.specific_activity_pct:g} %, absorbed "
        f"energy {settings.energy_pct:g} % and density {settings.density_pct:g} %, common to all volumes and "
        f"fractions; reference {settings.reference_per_s:g} s⁻¹, common to all fractions; between series {scatter} or "
        f"{settings.repeat_pct:g} % of the change of R2*, whichever is larger; assay {settings.assay_pct:g} %; "
        f"contours by {settings.contour_liver_pct:g} % (liver) and {settings.contour_tumour_pct:g} % (tumour) of their "
        f"volume. Derived quantities take theirs from {samples} seeded samples of the correlated terms. Percentiles "
        f"and the spread are withheld above {settings.d_x_maximum_u_pct:g} %."
    )
    if repositioned:
        sentence += (
            " After re-positioning without a new baseline the reference counts with "
            f"{settings.repositioned_per_s:g} s⁻¹."
        )
    return sentence


def trend_sentence(settings: TrendSettings) -> str:
    """The 10 % rule as it was set, and what projection and saturation add."""
    way = "through the position's baseline" if settings.through_origin else "with intercept"
    return (
        f"Uptake was held against a least-squares line {way} through the first {settings.fit_points} measured points "
        "of each injection position; a later point was flagged when it deviated by "
        f"{settings.threshold_pct:g} % or more of the dose expected to be gained since the position's baseline "
        f"(EMERITUS-1). Gains expected to be below {settings.minimum_expected_gy:g} Gy, or twice their uncertainty, "
        "were not tested. Prediction intervals (95 %) come from the scatter between series and the activities' own "
        f"uncertainty. From {settings.saturation_points} points on, D∞(1 − exp(−A/A₀)) was held against the line by "
        "AICc (Burnham & Anderson 2002). The next dose and the activity left until a limit continue the line (in "
        "proportion to the activity before there is one); the activity left is that of the upper 95 % bound."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _list(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"methods text: {name} is {value}; expected a positive number.")


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"methods text: {name} is {value}; expected at least {least}.")
