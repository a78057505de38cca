"""Results as they were shown and recorded, read back: what a restarted window paints before it has recomputed them.

The inverse of `console.outputs.results.fraction_document`, but for the maps, which are not recorded. Nothing that is
computed ever reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar

import numpy as np

from config.base import file_key
from quantify.budget import BudgetTerm
from quantify.cold import ColdSubVolume
from quantify.dvh import Dvh
from quantify.findings import (
    FractionResult,
    FractionStatus,
    Registration,
    RegistrationStatus,
    Scintigraphic,
    TrendPoint,
    TrendStatus,
    VolumeStatistics,
    VolumeStatus,
)
from quantify.model import Role
from quantify.monte_carlo import Spread
from quantify.projection import ActivityLeft, Projection
from quantify.saturation import Saturation

_Noun = TypeVar("_Noun")


def recorded_fraction(document: Mapping[str, Any]) -> FractionResult:
    """The result that `fraction_document` wrote, without maps.

    Raises
    ------
    ValueError
        If the document is not one of this version's, or of an earlier one's that this version can read.
    """
    try:
        return _fraction(document)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"A recorded result cannot be read back ({type(error).__name__}: {error}).") from error


def _fraction(document: Mapping[str, Any]) -> FractionResult:
    interval, scintigraphic = document.get("recovery_interval_95"), document.get("scintigraphic")
    outlook, acquired = document.get("outlook") or {}, document.get("acquired_at")
    return FractionResult(
        **_plain(FractionResult, document, "position", "fraction", "error", "series_instance_uid"),
        **_plain(FractionResult, document, "injected_mbq", "injected_u_mbq", "cumulative_injected_mbq"),
        **_plain(FractionResult, document, "measured_mbq", "measured_u_mbq", "recovery_ratio"),
        status=FractionStatus(document["status"]),
        provisional_reasons=tuple(document.get("provisional_reasons") or ()),
        position_injected_mbq=document.get("position_injected_MBq"),
        recovery_u=document.get("recovery_ratio_u"),
        recovery_interval=None if interval is None else (float(interval[0]), float(interval[1])),
        acquired_at=None if acquired is None else datetime.fromisoformat(acquired),
        registration=_registration(document.get("registration")),
        notes=tuple(document.get("notes") or ()),
        scintigraphic=None if scintigraphic is None else _noun(Scintigraphic, scintigraphic),
        volumes={name: _volume(name, own) for name, own in document["volumes"].items()},
        trend={name: _trend(name, own) for name, own in document["trend"].items()},
        projection={name: _noun(Projection, own) for name, own in (outlook.get("next_fraction") or {}).items()},
        activity_left={name: _noun(ActivityLeft, own) for name, own in (outlook.get("activity_left") or {}).items()},
    )


def _plain(noun: type, document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Values of the fields of those names, or of every field that the document has under its name in files."""
    wanted = names or tuple(field.name for field in fields(noun))
    return {name: document[file_key(name)] for name in wanted if file_key(name) in document}


def _noun(noun: type[_Noun], document: Mapping[str, Any], **others: object) -> _Noun:
    return noun(**{**_plain(noun, document), **others})


def _registration(document: Mapping[str, Any] | None) -> Registration | None:
    if document is None:
        return None
    x, y, z = document["translation_mm"]
    alpha, beta, gamma = document["rotation_deg"]
    return _noun(
        Registration,
        document,
        status=RegistrationStatus(document["status"]),
        translation_mm=(x, y, z),
        rotation_deg=(alpha, beta, gamma),
    )


def _volume(name: str, document: Mapping[str, Any]) -> VolumeStatistics:
    cold, dvh = document.get("cold"), document.get("dvh")
    shares = {f"v{own['dose_Gy']:g}": own["share"] for own in document.get("v_x") or ()}
    values = {**document, **shares}
    return _noun(
        VolumeStatistics,
        document,
        name=name,
        role=Role(document["role"]),
        status=VolumeStatus(document["status"]),
        v_x=tuple((own["dose_Gy"], own["share"]) for own in document.get("v_x") or ()),
        cold=None
        if cold is None
        else _noun(ColdSubVolume, cold, centre_lps_mm=tuple(float(v) for v in cold["centre_lps_mm"])),
        dvh=None if dvh is None else _dvh(dvh),
        intervals={
            _python_key(key): Spread(value=float(values[key]), **own)
            for key, own in (document.get("intervals") or {}).items()
            if values.get(key) is not None
        },
        budget=tuple(
            BudgetTerm(
                name=term["term"],
                u_gy=term["u_Gy"],
                share_of_variance_pct=term["share_of_variance_pct"],
                correlated_with=term["correlated_with"],
            )
            for term in document.get("budget") or ()
        ),
    )


def _dvh(document: Mapping[str, Any]) -> Dvh:
    # As written: rounded, which keeps both columns sorted.
    return Dvh(
        dose_gy=np.array(document["dose_Gy"], dtype=np.float64),
        volume_fraction=np.array(document["volume_fraction"], dtype=np.float64),
        volume_error=document["volume_error"],
    )


def _trend(name: str, document: Mapping[str, Any]) -> TrendPoint:
    interval, bent = document.get("prediction_interval_Gy"), document.get("saturation")
    return _noun(
        TrendPoint,
        document,
        volume=name,
        status=TrendStatus(document["status"]),
        prediction_interval_gy=None if interval is None else (float(interval[0]), float(interval[1])),
        saturation=None if bent is None else _noun(Saturation, bent),
    )


_PYTHON_NAMES = {file_key(field.name): field.name for field in fields(VolumeStatistics)}


def _python_key(key: str) -> str:
    return _PYTHON_NAMES.get(key, key)
