"""Coded terms of the DICOM outputs: standard ones where the standard has them, Holmia's own (99HOLMIA) where not."""

from __future__ import annotations

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.sr.coding import Code

from quantify.model import Role

_SCHEME = "99HOLMIA"


def own(value: str, meaning: str) -> Code:
    """A term that no standard has; its meaning says all that there is to know of it, in ASCII for old readers."""
    return Code(value, _SCHEME, meaning)


def coding_schemes() -> list[CodingSchemeIdentificationItem]:
    """What an object says of Holmia's own terms."""
    return [CodingSchemeIdentificationItem(_SCHEME, name="Terms of Holmia", responsible_organization="Holmia")]


# -- units (UCUM) ------------------------------------------------------------------------------------------------------

GRAY = Code("Gy", "UCUM", "gray")
PER_SECOND = Code("/s", "UCUM", "per second")
MILLIGRAM_PER_MILLILITRE = Code("mg/mL", "UCUM", "milligram per millilitre")
MEGABECQUEREL = Code("MBq", "UCUM", "megabecquerel")
MILLILITRE = Code("mL", "UCUM", "millilitre")
PERCENT = Code("%", "UCUM", "percent")
NO_UNITS = Code("1", "UCUM", "no units")

# -- quantities --------------------------------------------------------------------------------------------------------

R2STAR = Code("126395", "DCM", "R2*")
ABSORBED_DOSE = Code("128513", "DCM", "Absorbed Dose")
MICROSPHERES = own("MICROSPHERES", "Mass concentration of holmium microspheres")
DOSE_STANDARD_ERROR = own("DOSE_U", "Standard error of the voxel's absorbed dose (noise only)")
VOLUME = Code("118565006", "SCT", "Volume")
MEAN = Code("373098007", "SCT", "Mean")
STANDARD_DEVIATION = Code("386136009", "SCT", "Standard Deviation")
COEFFICIENT_OF_VARIATION = Code("C0681921", "UMLS", "Coefficient of Variance")

# -- volumes -----------------------------------------------------------------------------------------------------------

ANATOMY = Code("91723000", "SCT", "Anatomical Structure")
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
SPATIAL = Code("309825002", "SCT", "Spatial and Relational Concept")
LIVER = Code("10200004", "SCT", "Liver")
NEOPLASM = Code("108369006", "SCT", "Neoplasm")
NORMAL = Code("17621005", "SCT", "Normal")
TERRITORY = own("TERRITORY", "Territory of one injection position")
NOT_EVALUABLE = own("NOT_EVALUABLE", "Not evaluable: no value could be found")
LOWER_BOUND = own("LOWER_BOUND", "Lower bound: the true value is this or more")
OF_LOWER_BOUND = own("OF_LOWER_BOUND", "Computed with a lower bound; itself no bound")
EVALUABLE = own("EVALUABLE", "Evaluable")

CATEGORY_TYPE_MODIFIER: dict[Role, tuple[Code, Code, Code | None]] = {
    Role.LIVER: (ANATOMY, LIVER, None),
    Role.HEALTHY_LIVER: (ANATOMY, LIVER, NORMAL),
    Role.TUMOUR: (ABNORMAL, NEOPLASM, None),
    Role.TERRITORY: (ANATOMY, LIVER, TERRITORY),
}
"""What a volume of that role is: property category, property type, and what tells two livers apart."""

# -- procedures --------------------------------------------------------------------------------------------------------

QUANTIFICATION = own("QUANTIFICATION", "Quantification of holmium-166 microspheres by MRI")
RASTERISATION = own("RASTERISATION", "Share of each voxel within the contours")
SEGMENTATION = Code("113076", "DCM", "Segmentation")
SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")
MRI = Code("25056-3", "LN", "MRI unspecified body region")
