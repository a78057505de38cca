"""The methods text of a treatment: what ran on it, with which settings (`quantify.methods`)."""

from __future__ import annotations

from collections.abc import Sequence

from config.plan import TreatmentPlan
from console.basis import Basis
from quantify import methods
from quantify.findings import Injection
from quantify.pipeline import ImagedFraction

_ASSUMED = "is assumed"
"""How the ledger says that a residual was not measured."""


def treatment_methods(basis: Basis, fractions: Sequence[ImagedFraction], given: Sequence[Injection]) -> str:
    """One paragraph; every step that ran contributes its sentence.

    Parameters
    ----------
    fractions
        As evaluated, failed ones included.
    given
        All injections that have happened.
    """
    plan, settings = basis.plan, basis.settings
    fit = basis.reference.fitted
    baselines = {f.injection.position for f in fractions if f.baseline is not None}
    corrected = any(f.shares for f in fractions)
    by_hand = [f for f in fractions if f.registration is not None and f.registration.given_by is not None]
    return methods.methods_text(
        [
            methods.fit_sentence(
                settings,
                n_echoes=len(fit.series.echo_times_s),
                sigma=fit.fit.sigma,
                echo_times_s=fit.series.echo_times_s,
            ),
            methods.s0_sentence(settings, gadolinium=any(f.contrast for f in fractions)),
            methods.fat_sentence(settings, field_strength_t=fit.series.field_strength_t or plan.calibration.field_t),
            methods.gradient_sentence(settings),
            methods.reliability_sentence(settings),
            methods.reference_sentence(
                settings.reference_mode,
                new_baselines=len(baselines),
                repeat_measured=basis.repeat is not None,
            ),
            methods.registration_sentence(settings.registration, given_by_operator=len(by_hand)),
            methods.holmium_sentence(
                relaxivity_per_s_per_mg_ml=plan.calibration.relaxivity_per_s_per_mg_ml,
                field_strength_t=plan.calibration.field_t,
                calibration_holmium_fraction=plan.calibration.holmium_fraction,
                holmium_fractions=_holmium_fractions(plan, given),
                temperature_c=plan.calibration.temperature_c,
            ),
            methods.activity_sentence(
                settings,
                n_injections=len(given),
                n_vials=len(plan.vials),
                n_residuals=len(plan.residuals),
                n_assumed_loss=sum(_ASSUMED in (i.provisional_reason or "") for i in given),
                n_aborted=sum(i.aborted for i in given),
                n_outside_mri=sum(i.outside_mri for i in given),
                n_not_imaged=len(given) - _last_imaged(fractions),
            )
            if given
            else "",
            methods.dose_sentence(settings),
            methods.partial_volume_sentence(
                settings if corrected else settings.model_copy(update={"partial_volume_correction": False})
            ),
            methods.statistics_sentence(settings.statistics),
            methods.uncertainty_sentence(
                settings.uncertainty,
                repeat_per_s=None if basis.repeat is None else basis.repeat.u_per_s,
                repositioned=any(f.new_frame for f in fractions),
            ),
            methods.trend_sentence(settings.trend),
        ]
    )


def _last_imaged(fractions: Sequence[ImagedFraction]) -> int:
    """How many injections had been given when the last image was taken."""
    imaged = [number for number, fraction in enumerate(fractions, start=1) if fraction.holmium is not None]
    return imaged[-1] if imaged else 0


def _holmium_fractions(plan: TreatmentPlan, given: Sequence[Injection]) -> tuple[float, ...]:
    found = {plan.microspheres.holmium_fraction}
    found.update(i.holmium_fraction for i in given if i.holmium_fraction is not None)
    return tuple(sorted(found))
