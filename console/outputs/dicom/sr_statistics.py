"""Which numbers of ``results.json`` a structured report states: their coded names, units, and what a bound makes them.

Keys are those of the document, so that no number of the report has another source.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.sr.coding import Code

from console.outputs.dicom.codes import (
    ABSORBED_DOSE,
    COEFFICIENT_OF_VARIATION,
    GRAY,
    MEAN,
    MEGABECQUEREL,
    MILLILITRE,
    NO_UNITS,
    PERCENT,
    STANDARD_DEVIATION,
    VOLUME,
    own,
)


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """One number: where it stands in the document, what it is called, how it was derived.

    ``at_least``: where the volume's dose is a lower bound, so is this. ``of_dose``: it hangs on the dose at all.
    ``u_key`` is where its standard uncertainty stands, if not under ``intervals``.
    """

    key: str
    name: Code
    unit: Code
    derivation: Code | None = None
    at_least: bool = False
    of_dose: bool = True
    u_key: str = ""


STANDARD_UNCERTAINTY = own("U", "Standard uncertainty (k = 1)")
LOW_95 = own("LOW95", "Lower end of the 95 % interval")
HIGH_95 = own("HIGH95", "Upper end of the 95 % interval")
SHARE_AT_DOSE = own("VD", "Share of the volume that receives at least the stated dose")
STATED_DOSE = own("VD_DOSE", "Dose that the share is of")
STATUS = own("STATUS", "Whether the dose of this volume can be used")
FLAGGED = own("FLAGGED", "Off the line of the first fractions by the set share")
COVERAGE = own("COVERAGE", "Share of the tumour that receives at least the stated dose")
YES, NO = Code("373066001", "SCT", "Yes"), Code("373067005", "SCT", "No")

OF_VOLUME = (
    Statistic(key="volume_mL", name=VOLUME, unit=MILLILITRE, of_dose=False),
    Statistic(
        key="evaluable_fraction",
        name=own("EVALUABLE_SHARE", "Share of the volume in which the dose could be found"),
        unit=NO_UNITS,
        of_dose=False,
    ),
    Statistic(
        key="dose_mean_Gy", name=ABSORBED_DOSE, unit=GRAY, derivation=MEAN, at_least=True, u_key="dose_mean_u_Gy"
    ),
    Statistic(key="dose_sd_Gy", name=ABSORBED_DOSE, unit=GRAY, derivation=STANDARD_DEVIATION),
    Statistic(key="cv", name=ABSORBED_DOSE, unit=NO_UNITS, derivation=COEFFICIENT_OF_VARIATION),
    Statistic(key="d90_Gy", name=own("D90", "D90: least dose to the hottest 90 % of it"), unit=GRAY, at_least=True),
    Statistic(key="d70_Gy", name=own("D70", "D70: least dose to the hottest 70 % of it"), unit=GRAY, at_least=True),
    Statistic(key="d50_Gy", name=own("D50", "D50: least dose to the hottest 50 % of it"), unit=GRAY, at_least=True),
    Statistic(key="tnr", name=own("TNR", "Tumour-to-normal ratio of mean doses"), unit=NO_UNITS),
    Statistic(
        key="activity_MBq",
        name=own("ACTIVITY", "Holmium-166 activity in it, at the times of injection"),
        unit=MEGABECQUEREL,
        at_least=True,
    ),
    Statistic(
        key="activity_expanded_MBq",
        name=own("ACTIVITY_EXPANDED", "Holmium-166 activity in the expanded liver"),
        unit=MEGABECQUEREL,
        at_least=True,
    ),
    Statistic(key="gain_Gy", name=own("GAIN", "Mean dose gained since the image before"), unit=GRAY),
    Statistic(
        key="dose_normalised_Gy",
        name=own("DOSE_NORMALISED", "Mean dose scaled to the injected activity"),
        unit=GRAY,
    ),
    Statistic(
        key="bed_Gy",
        name=own("BED", "Mean biologically effective dose"),
        unit=GRAY,
        at_least=True,
    ),
    Statistic(
        key="partial_volume_Gy",
        name=own("PARTIAL_VOLUME", "Part of the mean dose that corrects for partial volume"),
        unit=GRAY,
    ),
)
"""Of one volume after one fraction; the shares at a dose, V_x and coverage, need that dose beside them (`sr`)."""

OF_FRACTION = (
    Statistic(
        key="injected_MBq",
        name=own("INJECTED", "Activity injected with this fraction"),
        unit=MEGABECQUEREL,
        of_dose=False,
        u_key="injected_u_MBq",
    ),
    Statistic(
        key="position_injected_MBq",
        name=own("INJECTED_POSITION", "Activity injected so far at this position"),
        unit=MEGABECQUEREL,
        of_dose=False,
    ),
    Statistic(
        key="cumulative_injected_MBq",
        name=own("INJECTED_CUMULATIVE", "Activity injected so far"),
        unit=MEGABECQUEREL,
        of_dose=False,
    ),
    Statistic(
        key="measured_MBq",
        name=own("MEASURED", "Activity measured so far in the liver"),
        unit=MEGABECQUEREL,
        at_least=True,
        u_key="measured_u_MBq",
    ),
    Statistic(
        key="recovery_ratio",
        name=own("RECOVERY", "Recovery ratio: measured over injected activity"),
        unit=NO_UNITS,
        at_least=True,
        u_key="recovery_ratio_u",
    ),
)
"""Of one fraction as a whole."""

OF_TREND = (
    Statistic(key="expected_Gy", name=own("EXPECTED", "Mean dose expected from the first fractions"), unit=GRAY),
    Statistic(key="deviation_Gy", name=own("DEVIATION", "Mean dose less what was expected"), unit=GRAY),
    Statistic(key="deviation_pct", name=own("DEVIATION_PCT", "Deviation over the expected gain"), unit=PERCENT),
)
"""Of one volume's trend, once it is tested."""
