"""What the pixels of an MR image are, and what formed its echoes, as the vendors write it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pydicom.dataset import Dataset

from dicom_listener.images import ImageKind, Sequence
from dicom_listener.scaling import private_integer

_GE_CREATOR, _GE_TYPE_OFFSET = "GEMS_PARM_01", 0x2F
_GE_KINDS = {0: ImageKind.MAGNITUDE, 1: ImageKind.PHASE, 2: ImageKind.REAL, 3: ImageKind.IMAGINARY}
"""(0043,102F) Raw data type; GE writes all of them as ORIGINAL\\PRIMARY\\OTHER in one series."""

_WORDS = {
    "M": ImageKind.MAGNITUDE,
    "MAGNITUDE": ImageKind.MAGNITUDE,
    "P": ImageKind.PHASE,
    "PHASE": ImageKind.PHASE,
    "PHASE MAP": ImageKind.PHASE,
    "R": ImageKind.REAL,
    "REAL": ImageKind.REAL,
    "I": ImageKind.IMAGINARY,
    "IMAGINARY": ImageKind.IMAGINARY,
}
_PHILIPS_PREFIX = re.compile(r"([MPRI])_(?:FFE|SE|TSE|IR|B0|B1|PCA)$")
_MAP = re.compile(
    r"(?:[TR][12](?:[ _]?(?:STAR|\*))?(?:[ _]\w+)*[ _]?MAP|[TR]2[ _]?(?:STAR|\*)(?:[ _]\w+)?|R2|E?ADC|FA|TRACEW?"
    r"|TENSOR|B0(?:[ _]?MAP)?|B1(?:[ _]?MAP)?|FIELD[ _]?MAP|FF|FAT[ _]?FRACTION|W|F|WATER|FAT|IP|OP|IN_PHASE|OUT_PHASE"
    r"|OPP_PHASE|IN_OPP_PHASE|SUB|SUBTRACTION|MIP|MINIP|MPR|PROJECTION IMAGE|SWI|GOF|MEAN|STDDEV|STD_DEVIATION"
    r"|ADDITION|DIVISION|MULTIPLICATION|MAXIMUM|MINIMUM|QUANTITY|RCBV|RCBF|MTT|TTP)$"
)
"""Image type values of what is computed from the echoes: it is not an echo itself."""
_FILTERED = frozenset(
    [
        "M",
        "MAGNITUDE",
        "ND",
        "NORM",
        "DIS2D",
        "DIS3D",
        "FIL",
        "FM",
        "SH",
        "FS",
        "OTHER",
        "NONE",
        "FFE",
        "M_FFE",
        "RESAMPLED",
    ]
)
"""Values beside which DERIVED\\PRIMARY is a filtered, normalised or distortion-corrected echo, and stays in."""

_TWIN_MAKERS = frozenset({"ND", "NORM", "DIS2D", "DIS3D", "FIL"})
"""Siemens' words for no or a distortion correction, prescan normalisation and image filter: with "unfiltered images"
on, the scanner sends a second series of the same echoes without them."""


def classic_kind(dataset: Dataset) -> ImageKind:
    """Return the kind of a classic MR image from ImageType, ComplexImageComponent and GE's private code."""
    code = private_integer(dataset, 0x0043, _GE_CREATOR, _GE_TYPE_OFFSET)
    ge = None if code is None else _GE_KINDS.get(code)
    return kind_of(values_of(dataset, "ImageType"), _component(dataset) or ge, flavour_is_map=True)


def frame_kind(frame_type: Iterable[str], component: ImageKind | None) -> ImageKind:
    """Return the kind of one frame of an enhanced object.

    There, value 3 names the contrast (T2_STAR: T2*-weighted), which makes a map only of a DERIVED frame
    (PS3.3 C.8.16.1).
    """
    values = tuple(frame_type)
    return kind_of(values, component, flavour_is_map=values[:1] == ("DERIVED",))


def kind_of(image_type: tuple[str, ...], component: ImageKind | None, *, flavour_is_map: bool) -> ImageKind:
    """Judge (image type, stated complex component); an image that says nothing is a magnitude, as DICOM implies."""
    words = image_type[2:]
    if image_type[1:2] == ("SECONDARY",) and image_type[:1] == ("DERIVED",):
        return ImageKind.DERIVED
    if any(_MAP.match(word) for word in (words if flavour_is_map else words[1:])):
        return ImageKind.DERIVED
    named = component or next(filter(None, map(_named, words)), None)
    if named is not None and named is not ImageKind.MAGNITUDE:
        return named
    if image_type[:1] == ("DERIVED",) and not _FILTERED.issuperset(words[1:] if component else words):
        return ImageKind.DERIVED
    return ImageKind.MAGNITUDE


def component_of(text: str) -> ImageKind | None:
    """Return the kind that ComplexImageComponent (0008,9208) states; None for MIXED, empty or unknown."""
    return {kind.value.upper(): kind for kind in ImageKind if kind is not ImageKind.DERIVED}.get(text.upper())


def processing_of(image_type: Iterable[str]) -> str:
    """Return which of the filters that make a twin of a series the image type names, sorted."""
    return " ".join(sorted(_TWIN_MAKERS.intersection(image_type)))


def values_of(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """Return the values of a code string, in capitals."""
    value = dataset.get(keyword)
    if value is None:
        return ()
    return tuple(str(part).strip().upper() for part in ([value] if isinstance(value, str) else value))


def sequence_of(scanning: Iterable[str], pulse: str) -> Sequence:
    """Return what formed the echoes, from ScanningSequence (0018,0020) or else EchoPulseSequence (0018,9008).

    Both spin and gradient echo, echo planar without either, or nothing stated, is OTHER: the decay is not known
    to be T2*.
    """
    codes = set(scanning)
    spin, gradient = "SE" in codes, "GR" in codes
    if not spin and not gradient:
        spin, gradient = pulse.upper() in ("SPIN", "BOTH"), pulse.upper() in ("GRADIENT", "BOTH")
    if spin == gradient:
        return Sequence.OTHER
    return Sequence.SPIN_ECHO if spin else Sequence.GRADIENT_ECHO


def _named(word: str) -> ImageKind | None:
    prefix = _PHILIPS_PREFIX.match(word)
    return _WORDS.get(prefix.group(1) if prefix else word)


def _component(dataset: Dataset) -> ImageKind | None:
    return component_of(str(dataset.get("ComplexImageComponent") or ""))
