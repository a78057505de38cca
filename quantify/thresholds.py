"""Published dose thresholds with what they were found with: isotope, device, population and method.

Particles per GBq, their spread and the dose method differ, so a threshold holds for what it was found with: one of 90Y
is never applied to 166Ho silently. Table of physics §6.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from quantify.isotope import HOLMIUM_166

YTTRIUM_90 = "90Y"
_UNITS = {"mean dose": "Gy", "T/N": ""}
_ELEMENTS = {"ho": "Ho", "holmium": "Ho", "y": "Y", "yttrium": "Y", "p": "P", "phosphorus": "P", "sr": "Sr"}

Tissue = Literal["tumour", "healthy_liver"]
Comparison = Literal["at most", "below", "at least", "above", "between", "about"]


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """One published threshold. ``value`` is in Gy for a ``mean dose`` and a ratio for ``T/N``.

    ``high`` is the upper end where ``comparison`` is ``between``. ``evidence`` says what was observed, ``source``
    where.
    """

    quantity: Literal["mean dose", "T/N"]
    comparison: Comparison
    value: float
    tissue: Tissue
    isotope: str
    device: str
    population: str
    method: str
    evidence: str
    source: str
    high: float | None = None

    @property
    def dose_gy(self) -> float | None:
        """The threshold as a dose [Gy]; None for a ratio."""
        return self.value if self.quantity == "mean dose" else None

    @property
    def sentence(self) -> str:
        """The threshold with all of its provenance, for a report."""
        unit = f" {_UNITS[self.quantity]}" if _UNITS[self.quantity] else ""
        amount = f"{self.value:g}" if self.high is None else f"{self.value:g} and {self.high:g}"
        return (
            f"{self.tissue.replace('_', ' ').capitalize()} {self.quantity} {self.comparison} {amount}{unit}: "
            f"{self.evidence}; {self.isotope} ({self.device}), {self.population}, {self.method} ({self.source})."
        )


@dataclass(frozen=True, kw_only=True)
class Applicability:
    """Whether a threshold may be held against a dose, and the sentence that must stand beside it if not."""

    applies: bool
    sentence: str = ""


_HOLMIUM = {"isotope": HOLMIUM_166, "device": "holmium poly-L-lactic acid microspheres"}
_RESIN = {"isotope": YTTRIUM_90, "device": "resin microspheres"}
_GLASS = {"isotope": YTTRIUM_90, "device": "glass microspheres"}
_CRLM_HOLMIUM = _HOLMIUM | {
    "population": "colorectal liver metastases",
    "method": "SPECT after treatment",
    "source": "van Roekel 2021, J Nucl Med 62:272",
}
_EANM = _HOLMIUM | {"method": "EANM procedure guideline", "source": "EANM 2022"}
_CRLM_GLASS = _GLASS | {
    "population": "colorectal liver metastases",
    "method": "local deposition on PET after treatment",
    "source": "CRLM glass cohort",
}
_VOXEL_PET = _RESIN | {
    "population": "hepatocellular carcinoma",
    "method": "voxel kernel on PET after treatment",
    "source": "HCC voxel S-value cohort",
}
_MRI_CONTOURS = {
    "population": "advanced hepatocellular carcinoma",
    "method": "MRI contours",
    "source": "HCC MRI-contour cohort",
}


def _row(
    tissue: Tissue,
    comparison: Comparison,
    value: float,
    evidence: str,
    *provenance: dict[str, str],
    quantity: Literal["mean dose", "T/N"] = "mean dose",
    high: float | None = None,
) -> Threshold:
    facts = {key: text for part in provenance for key, text in part.items()}
    return Threshold(
        quantity=quantity, comparison=comparison, value=value, high=high, tissue=tissue, evidence=evidence, **facts
    )


_HCC = {"population": "hepatocellular carcinoma"}
_LOBAR = {"population": "lobar treatment"}
_BILOBAR = {"population": "bilobar treatment"}

THRESHOLDS: tuple[Threshold, ...] = (
    _row("healthy_liver", "at most", 55, "highest observed without dose-limiting toxicity", _CRLM_HOLMIUM),
    _row("healthy_liver", "below", 60, "recommended", _EANM, _LOBAR),
    _row("healthy_liver", "below", 40, "recommended", _EANM, _BILOBAR),
    _row("tumour", "above", 150, "recommended", _EANM, {"population": "intrahepatic cholangiocarcinoma"}),
    _row("tumour", "above", 90, "recommended", _EANM, {"population": "colorectal liver metastases"}),
    _row(
        "tumour",
        "at least",
        155,
        "predictive value of 90 % for response",
        _HOLMIUM,
        _HCC,
        {"method": "SPECT after treatment", "source": "HEPAR Primary"},
    ),
    _row("tumour", "about", 173, "mean of the responders", _CRLM_HOLMIUM),
    _row("tumour", "at least", 100, "longer survival", _RESIN, _HCC, {"method": "99mTc-MAA SPECT", "source": "SARAH"}),
    _row(
        "tumour",
        "at least",
        205,
        "better response and longer survival when aimed at",
        _GLASS,
        _HCC,
        {"method": "99mTc-MAA SPECT, personalised", "source": "DOSISPHERE-01"},
    ),
    _row(
        "tumour",
        "at least",
        400,
        "complete pathological necrosis",
        _GLASS,
        {"population": "hepatocellular carcinoma, segmentectomy", "method": "single compartment", "source": "LEGACY"},
    ),
    _row("tumour", "above", 139, "predicts metabolic response: sensitivity 77 %, specificity 89 %", _CRLM_GLASS),
    _row("tumour", "above", 189, "predicts metabolic response: sensitivity 45 %, specificity 97 %", _CRLM_GLASS),
    _row("healthy_liver", "at most", 88, "tolerated", _CRLM_GLASS),
    _row("healthy_liver", "below", 113, "radioembolization-induced liver disease at this dose", _CRLM_GLASS),
    _row("tumour", "at least", 81, "longer progression-free survival", _VOXEL_PET),
    _row("tumour", "between", 80, "range of the cut-off in multivariate analysis", _VOXEL_PET, high=120),
    _row("tumour", "above", 98, "longer survival", _RESIN, _MRI_CONTOURS),
    _row("tumour", "above", 156, "longer survival", _GLASS, _MRI_CONTOURS),
    _row(
        "tumour",
        "above",
        7.7,
        "median before treatment; above it, tumour control",
        _RESIN,
        _MRI_CONTOURS,
        quantity="T/N",
    ),
    _row(
        "tumour",
        "above",
        6.9,
        "median after treatment; above it, tumour control",
        _RESIN,
        _MRI_CONTOURS,
        quantity="T/N",
    ),
    _row(
        "tumour",
        "above",
        5.0,
        "median before treatment; above it, tumour control",
        _GLASS,
        _MRI_CONTOURS,
        quantity="T/N",
    ),
    _row(
        "tumour",
        "above",
        4.4,
        "median after treatment; above it, tumour control",
        _GLASS,
        _MRI_CONTOURS,
        quantity="T/N",
    ),
)
"""Every row of physics §6, in its order."""


def thresholds_for(
    *, tissue: Tissue | None = None, isotope: str | None = None, population: str | None = None
) -> tuple[Threshold, ...]:
    """The thresholds of a tissue, an isotope and a population (part of its words, any case); None leaves it open."""
    wanted = None if isotope is None else canonical_isotope(isotope)
    words = (population or "").casefold()
    return tuple(
        row
        for row in THRESHOLDS
        if (tissue is None or row.tissue == tissue)
        and (wanted is None or row.isotope == wanted)
        and words in row.population.casefold()
    )


def canonical_isotope(name: str) -> str:
    """One spelling for ``166Ho``, ``Ho-166``, ``holmium-166``, ``Y90``, ``yttrium 90`` …: mass number, then symbol.

    Other names are returned as they stand, without white space around them.

    Raises
    ------
    ValueError
        If the name is empty.
    """
    if not name.strip():
        raise ValueError("isotope is empty; expected a name such as 166Ho.")
    plain = re.sub(r"[^0-9a-z]", "", name.casefold())
    found = re.fullmatch(r"([a-z]+)(\d+)|(\d+)([a-z]+)", plain)
    if found is None:
        return name.strip()
    element, number = (found[1] or found[4]), (found[2] or found[3])
    return f"{number}{_ELEMENTS[element]}" if element in _ELEMENTS else name.strip()


def applies_to(threshold: Threshold, *, isotope: str) -> Applicability:
    """Whether a threshold may be held against doses of `isotope`; else the sentence that must be shown with it."""
    own = canonical_isotope(isotope)
    if threshold.isotope == own:
        return Applicability(applies=True)
    unit = f" {_UNITS[threshold.quantity]}" if _UNITS[threshold.quantity] else ""
    return Applicability(
        applies=False,
        sentence=(
            f"The threshold of {threshold.value:g}{unit} ({threshold.source}) was found with {threshold.isotope} "
            f"({threshold.device}) and does not carry over to {own}."
        ),
    )


def is_of(isotope: str | None, *, treated_with: str = HOLMIUM_166) -> bool:
    """Whether a limit that states `isotope` (None: it states none) was found with what is treated with."""
    return not (isotope and isotope.strip()) or canonical_isotope(isotope) == canonical_isotope(treated_with)


def limit_provenance(
    *,
    isotope: str | None = None,
    device: str | None = None,
    population: str | None = None,
    method: str | None = None,
    source: str | None = None,
    treated_with: str = HOLMIUM_166,
) -> str:
    """The sentence on where a plan's limit comes from; what the plan leaves out is named, not guessed.

    A limit of another isotope than the one treated with says that it does not carry over.
    """
    given = {"isotope": isotope, "device": device, "population": population, "method": method, "source": source}
    stated = {name: text.strip() for name, text in given.items() if text and text.strip()}
    if not stated:
        return "The plan does not state where this limit comes from."
    if "isotope" in stated:
        stated["isotope"] = canonical_isotope(stated["isotope"])
    sentence = "Limit found with " + ", ".join(f"{name} {text}" for name, text in stated.items()) + "."
    missing = [name for name in given if name not in stated]
    if missing:
        sentence += f" Not stated: {', '.join(missing)}."
    own = canonical_isotope(treated_with)
    if stated.get("isotope", own) != own:
        sentence += f" It does not carry over to {own}."
    return sentence
