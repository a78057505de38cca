"""The tables inside [quantification]: registration, statistics, trend, uncertainty."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from config.base import Table, settings_in

_registration = settings_in("quantification.registration")
_statistics = settings_in("quantification.statistics")
_trend = settings_in("quantification.trend")
_uncertainty = settings_in("quantification.uncertainty")

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
    edge_median_mm: float = _registration(
        "edge_median_mm",
        "Median distance of the liver's edge to that of the reference; beyond it the registration is marked, beyond "
        "twice it has failed.",
        unit="mm",
        source=_OURS,
        gt=0,
        le=50,
    )
    edge_95_mm: float = _registration(
        "edge_95_mm",
        "95th percentile of that distance; beyond it the registration is marked.",
        unit="mm",
        source=_OURS,
        gt=0,
        le=50,
    )
    deformable: Literal["off", "demons"] = _registration(
        "deformable",
        "Follow the liver's change of shape after the rigid registration: off, or a diffeomorphic demons field.",
        source="off: a rigid motion is the one that can be judged by eye",
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
    saturation_points: int = _trend(
        "saturation_points",
        "From so many points on, a saturating uptake is held against the line by AICc.",
        source="derived: AICc is undefined at four points",
        ge=6,
        le=20,
    )
    minimum_expected_gy: float = _trend(
        "minimum_expected_Gy",
        "Below this expected gain of dose a volume is not tested.",
        unit="Gy",
        source="derived: a tumour at 0 ± 1 Gy would be flagged 97 % of the time",
        ge=0,
        le=100,
    )


class StatisticsSettings(Table):
    """[quantification.statistics]: what is told of a volume beside its mean dose."""

    v_x_gy: tuple[Annotated[float, Field(ge=0, le=1000)], ...] = _statistics(
        "v_x_Gy",
        "Doses whose V_x, the share of a volume that receives at least so much, is told.",
        unit="Gy",
        source=_OURS,
        strict=False,
        max_length=12,
    )
    coverage_gy: float = _statistics(
        "coverage_Gy",
        "A tumour is covered where it receives at least this dose; the largest part that is not is told too.",
        unit="Gy",
        source="tumour > 90 Gy, CRC, 166Ho, EANM 2022",
        gt=0,
        le=1000,
    )
    small_lesion_diameter_mm: float = _statistics(
        "small_lesion_diameter_mm",
        "A lesion whose smallest diameter is less is marked: partial volume dominates it.",
        unit="mm",
        source="partial volume and spill-over below 1 cm",
        ge=0,
        le=100,
    )
    small_lesion_volume_ml: float = _statistics(
        "small_lesion_volume_mL",
        "A lesion of less volume is marked.",
        unit="mL",
        source="partial volume and spill-over below 5 cm³",
        ge=0,
        le=100,
    )
    scintigraphic_threshold_pct: float = _statistics(
        "scintigraphic_threshold_pct",
        "The scintigraphic contour holds the voxels of the liver above this share of its maximum.",
        unit="%",
        source="HCC MRI-contour cohort: 10 % of the maximum within the liver",
        gt=0,
        lt=100,
    )
    scintigraphic_resolution_mm: float = _statistics(
        "scintigraphic_resolution_mm",
        "The activity is smoothed to this full width first, as a PET or SPECT shows it; 0: not at all.",
        unit="mm",
        source=_OURS + ": the maximum of an MRI map is one voxel's noise",
        ge=0,
        le=50,
    )
    liver_expansion_mm: float = _statistics(
        "liver_expansion_mm",
        "The liver is expanded by this for the activity that motion and blur carried outside; mass is the liver's own.",
        unit="mm",
        source="90Y PET cohorts: activity from the liver expanded by 10 mm, mass from the liver",
        ge=0,
        le=50,
    )
    bed: bool = _statistics(
        "bed", "Tell the biologically effective dose of the means.", source="off: no consensus for 166Ho"
    )
    alpha_beta_tumour_gy: float = _statistics(
        "alpha_beta_tumour_Gy", "α/β of tumour.", unit="Gy", source="Cremonesi 2008", gt=0, le=100
    )
    alpha_beta_liver_gy: float = _statistics(
        "alpha_beta_liver_Gy", "α/β of healthy liver.", unit="Gy", source="Cremonesi 2008", gt=0, le=100
    )
    repair_half_time_tumour_h: float = _statistics(
        "repair_half_time_tumour_h",
        "Half-time of sublethal repair in tumour.",
        unit="h",
        source="Cremonesi 2008",
        gt=0,
        le=100,
    )
    repair_half_time_liver_h: float = _statistics(
        "repair_half_time_liver_h",
        "Half-time of sublethal repair in healthy liver.",
        unit="h",
        source="Cremonesi 2008",
        gt=0,
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
    repositioned_per_s: float = _uncertainty(
        "repositioned_per_s",
        "Common offset of R2* from the reference after the patient was re-positioned without a new baseline.",
        unit="s⁻¹",
        source=_OURS,
        ge=0,
        le=100,
    )
    repeat_from_pair: bool = _uncertainty(
        "repeat_from_pair",
        "Take the scatter between series from a repeated reference where there is one, instead of repeat_per_s.",
        source="a measured scatter is better than a working value",
    )
    s0_gain_pct: float = _uncertainty(
        "s0_gain_pct",
        "Of a voxel's S0 as predicted from the reference through the gain field; used when S0 is blended.",
        unit="%",
        source=_OURS,
        gt=0,
        le=100,
    )
    monte_carlo_samples: int = _uncertainty(
        "monte_carlo_samples",
        "Samples from which uncertainties of derived quantities are taken.",
        source=_OURS,
        ge=100,
        le=100000,
    )
    d_x_maximum_u_pct: float = _uncertainty(
        "d_x_maximum_u_pct",
        "D90, D70, D50 and CV are withheld above this uncertainty.",
        unit="%",
        source=_OURS,
        gt=0,
        le=1000,
    )
