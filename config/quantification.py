"""The settings that a dose depends on. Their hash goes into every result."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from config.base import Table, settings_in
from config.quantification_tables import RegistrationSettings, StatisticsSettings, TrendSettings, UncertaintySettings

_setting = settings_in("quantification")

_EMERITUS = "EMERITUS-1"
_OURS = "working value of this project"


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
    dose_model: Literal["local", "kernel"] = _setting(
        "dose_model",
        "Where the energy goes: into the voxel that emits it, or as far as electrons carry it (voxel kernel).",
        source=_EMERITUS + ": published thresholds are mostly local deposition",
    )
    fit: Literal["nonlinear", "log_linear", "arlo"] = _setting(
        "fit",
        "Least squares on the signal, on its logarithm (weighted), or ARLO (evenly spaced echoes only).",
        source="measured: all echoes, nonlinear",
    )
    s0: Literal["free", "blended"] = _setting(
        "s0",
        "S0 of a fraction: fitted freely, or blended by variance with the reference's through the gain field.",
        source="free: does not depend on the gain; never blended after gadolinium",
    )
    fat_model: Literal["off", "six_peak"] = _setting(
        "fat_model",
        "Model the beating of fat with the six peaks of liver fat, its share taken from the reference.",
        source="Hamilton 2011, NMR Biomed; off: the matched reference removes most of it",
    )
    field_gradient_correction: bool = _setting(
        "field_gradient_correction",
        "Take the dephasing by a macroscopic field gradient off the decay, where the series has phase images.",
        source="off: not every protocol stores phase; Fernández-Seara and Wehrli 2000, Magn Reson Med",
    )
    minimum_common_echoes: int = _setting(
        "minimum_common_echoes",
        "A series whose echo times differ is used by the echoes that it shares with the reference, if so many.",
        source=_OURS,
        ge=3,
        le=32,
    )
    reference_mode: Literal["voxelwise", "volume_mean", "liver_mean"] = _setting(
        "reference_mode",
        "What is subtracted as R2* before treatment: each voxel's, its volume's mean, or the liver's mean.",
        source="Roosen 2023, Med Phys: a uniform baseline is a systematic error",
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
    moved_s0_change_pct: float = _setting(
        "moved_s0_change_pct",
        "Voxels whose S0 differs from the reference's by a larger factor than this hold other tissue: moved.",
        unit="%",
        source=_OURS,
        gt=0,
        le=1000,
    )
    lower_bound_pct: float = _setting(
        "lower_bound_pct",
        "A mean is marked as a lower bound when this share of its volume is at the noise floor.",
        unit="%",
        source=_OURS + ": at 0.1 % and 540 Gy (3 mg/mL) a voxel more or less is 0.5 Gy",
        ge=0,
        le=100,
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
    statistics: StatisticsSettings = StatisticsSettings()
    trend: TrendSettings = TrendSettings()
    uncertainty: UncertaintySettings = UncertaintySettings()

    @model_validator(mode="after")
    def _no_prior_for_arlo(self) -> QuantificationSettings:
        # A plan overrides only some keys; the pair is judged where both are known (merged with the site's).
        if {"fit", "s0"} <= self.model_fields_set and self.fit == "arlo" and self.s0 == "blended":
            raise ValueError('s0 is "blended" but fit is "arlo", which has no S0 to blend; expected fit "nonlinear".')
        return self
