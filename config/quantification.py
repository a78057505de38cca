"""The settings that a dose depends on. Their hash goes into every result."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from config.base import Table, settings_in

_registration = settings_in("quantification.registration")
_trend = settings_in("quantification.trend")
_uncertainty = settings_in("quantification.uncertainty")
_setting = settings_in("quantification")

_EMERITUS = "EMERITUS-1"
_EANM_2018 = "EANM 2018 (Gear et al.), working value"
_CONTOUR = "inter-operator variation, HCC MRI-contour cohort"
_OURS = "working value of this project"


class RegistrationSettings(Table):
    """[quantification.registration]: how a fraction is moved onto the reference, and when that is refused."""

    margin_mm: float = _registration(
        "margin_mm", "Margin around the liver in which images are compared.", unit="mm", source=_OURS, ge=0, le=100
    )
    maximum_translation_mm: float = _registration(
        "maximum_translation_mm", "A larger shift is a failed registration.", unit="mm", source=_OURS, gt=0, le=200
    )
    maximum_rotation_deg: float = _registration(
        "maximum_rotation_deg", "A larger rotation is a failed registration.", unit="°", source=_OURS, gt=0, le=90
    )
    minimum_similarity: float = _registration(
        "minimum_similarity", "Below this similarity the registration has failed.", source=_OURS, ge=0, le=1
    )
    warning_similarity: float = _registration(
        "warning_similarity", "Below this similarity the registration is marked.", source=_OURS, ge=0, le=1
    )

    @model_validator(mode="after")
    def _failure_below_warning(self) -> RegistrationSettings:
        # A plan overrides only some keys; the pair is judged where both are known (merged with the site's).
        both = {"minimum_similarity", "warning_similarity"} <= self.model_fields_set
        if both and self.minimum_similarity > self.warning_similarity:
            raise ValueError(
                f"minimum_similarity is {self.minimum_similarity:g}, above warning_similarity "
                f"{self.warning_similarity:g}; a registration must be marked before it is refused."
            )
        return self


class TrendSettings(Table):
    """[quantification.trend]: the line of mean dose against injected activity."""

    fit_points: int = _trend(
        "fit_points", "Number of first points that the line is fitted through.", source=_EMERITUS, ge=2, le=20
    )
    through_origin: bool = _trend(
        "through_origin", "Force the line through no dose at no activity.", source="EMERITUS-1: with intercept"
    )
    threshold_pct: float = _trend(
        "threshold_pct",
        "A later point is flagged if it deviates from the line by this much or more.",
        unit="%",
        source=_EMERITUS,
        gt=0,
        le=100,
    )
    minimum_expected_gy: float = _trend(
        "minimum_expected_Gy",
        "Below this expected gain of dose a volume is not tested.",
        unit="Gy",
        source="derived: a tumour at 0 ± 1 Gy would be flagged 97 % of the time",
        ge=0,
        le=100,
    )


class UncertaintySettings(Table):
    """[quantification.uncertainty]: standard uncertainties (k = 1) of what enters a dose."""

    relaxivity_pct: float = _uncertainty(
        "relaxivity_pct", "Of the calibrated relaxivity; common to all.", unit="%", source=_EANM_2018, ge=0, le=100
    )
    reference_per_s: float = _uncertainty(
        "reference_per_s",
        "Common offset of R2* from the reference.",
        unit="s⁻¹",
        source=_EANM_2018,
        ge=0,
        le=100,
    )
    specific_activity_pct: float = _uncertainty(
        "specific_activity_pct", "Of the batch's specific activity.", unit="%", source=_EANM_2018, ge=0, le=100
    )
    assay_pct: float = _uncertainty(
        "assay_pct", "Of an activity measured in the dose calibrator.", unit="%", source=_EANM_2018, ge=0, le=100
    )
    density_pct: float = _uncertainty(
        "density_pct", "Of the tissue's density.", unit="%", source=_EANM_2018, ge=0, le=100
    )
    energy_pct: float = _uncertainty(
        "energy_pct",
        "Of the absorbed energy per activity.",
        unit="%",
        source="2.2 % between 15.87 and ICRP 107 electrons, as half width of a rectangle: 2.2 / √3",
        ge=0,
        le=100,
    )
    repeat_per_s: float = _uncertainty(
        "repeat_per_s",
        "Of R2* between series (shim, breath-hold, registration).",
        unit="s⁻¹",
        source=_EANM_2018,
        ge=0,
        le=100,
    )
    repeat_pct: float = _uncertainty(
        "repeat_pct",
        "Of ΔR2* between series, if larger than repeat_per_s.",
        unit="%",
        source=_EANM_2018,
        ge=0,
        le=100,
    )
    contour_liver_pct: float = _uncertainty(
        "contour_liver_pct", "Of a liver contour's volume.", unit="%", source=_CONTOUR, ge=0, le=100
    )
    contour_tumour_pct: float = _uncertainty(
        "contour_tumour_pct", "Of a tumour contour's volume.", unit="%", source=_CONTOUR, ge=0, le=100
    )
    d_x_maximum_u_pct: float = _uncertainty(
        "d_x_maximum_u_pct",
        "D90, D70, D50 and CV are withheld above this uncertainty.",
        unit="%",
        source=_OURS,
        gt=0,
        le=1000,
    )


class QuantificationSettings(Table):
    """[quantification]: what turns signal into dose."""

    tissue_density_g_per_ml: float = _setting(
        "tissue_density_g_per_mL",
        "Mass of tissue per volume. Belongs to one formula with absorbed_energy_mJ_per_MBq.",
        unit="g/mL",
        source="166Ho papers, EMERITUS-1",
        ge=0.2,
        le=2.5,
    )
    absorbed_energy_mj_per_mbq: float = _setting(
        "absorbed_energy_mJ_per_MBq",
        "Energy absorbed until complete decay, per activity.",
        unit="mJ/MBq",
        source="EMERITUS-1, eq. 1: the field's convention; ICRP 107 electrons give 15.53",
        ge=1,
        le=100,
    )
    half_life_h: float = _setting(
        "half_life_h", "Half-life of holmium-166.", unit="h", source="ICRP 107", ge=1, le=1000
    )
    dose_model: Literal["local"] = _setting(
        "dose_model", "Where the energy goes: absorbed in the voxel it is emitted in.", source=_EMERITUS
    )
    fit: Literal["nonlinear", "log_linear"] = _setting(
        "fit", "Least squares on the signal, or on its logarithm.", source="measured: all echoes, nonlinear"
    )
    reference_mode: Literal["voxelwise"] = _setting(
        "reference_mode", "What is subtracted as R2* before treatment.", source="Roosen 2023, Med Phys"
    )
    minimum_reference_snr: float = _setting(
        "minimum_reference_snr",
        "Voxels with less signal to noise in the reference's first echo are not evaluated.",
        source=_OURS,
        ge=0,
        le=1000,
    )
    noise_floor_sigma: float = _setting(
        "noise_floor_sigma",
        "Signal below this many standard deviations of the noise is at the noise floor.",
        source="Rician floor; physics of the fit",
        ge=0,
        le=100,
    )
    air_interface_r2star_per_s: float = _setting(
        "air_interface_r2star_per_s",
        "Voxels that decay faster in the reference lie next to air and are not evaluated.",
        unit="s⁻¹",
        source=_OURS,
        gt=0,
        le=10000,
    )
    poor_fit_residual_fraction: float = _setting(
        "poor_fit_residual_fraction",
        "Voxels whose RMS residual is a larger share of S0 are not evaluated.",
        source=_OURS,
        gt=0,
        le=1,
    )
    minimum_evaluable_fraction: float = _setting(
        "minimum_evaluable_fraction",
        "A volume with a smaller evaluable share has no mean dose.",
        source=_OURS,
        ge=0,
        le=1,
    )
    partial_volume_correction: bool = _setting(
        "partial_volume_correction",
        "Solve the edge voxels of a volume for the volume's own dose; the amount is reported beside the mean.",
        source="region-based voxelwise correction: Rousset 1998, Erlandsson 2012",
    )
    echo_time_tolerance_ms: float = _setting(
        "echo_time_tolerance_ms",
        "Echo times of fraction and reference are the same within this.",
        unit="ms",
        source=_OURS,
        ge=0,
        le=5,
    )
    vial_loss_pct: float = _setting(
        "vial_loss_pct",
        "Assumed to stay in vial, tubing and catheter until residuals are measured.",
        unit="%",
        source=_EMERITUS,
        ge=0,
        le=100,
    )
    vial_loss_u_pct: float = _setting(
        "vial_loss_u_pct", "Standard uncertainty of that loss.", unit="%", source=_EMERITUS, ge=0, le=100
    )
    registration: RegistrationSettings = RegistrationSettings()
    trend: TrendSettings = TrendSettings()
    uncertainty: UncertaintySettings = UncertaintySettings()
