"""``results.json`` and ``results.csv``: the one place where Python names become the names in files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from config.plan import LimitPlan
from console.outputs.circumstances import alarm_document, circumstances, moment_text, record_document
from console.outputs.volumes import outlook_document, trend_document, trend_row, volume_document, volume_row
from console.outputs.wording import RESEARCH_USE, software_version
from console.snapshot import Snapshot
from quantify.findings import (
    FractionResult,
    Registration,
    TrendPoint,
    TrendStatus,
    VolumeStatistics,
    VolumeStatus,
)
from quantify.model import Role
from quantify.thresholds import limit_provenance

__all__ = [
    "alarm_document",
    "csv_text",
    "fraction_document",
    "json_text",
    "results_csv",
    "results_document",
    "results_json",
    "volume_objects",
]


def results_document(snapshot: Snapshot) -> dict[str, Any]:
    """Everything known of a treatment as a JSON document (README.md). Unknown is None; there is no NaN."""
    zone = _zone(snapshot)
    reference = snapshot.reference
    return {
        "schema": 1,
        "research_use": RESEARCH_USE,
        "treatment": {"patient_id": snapshot.plan.patient.id if snapshot.plan is not None else snapshot.patient_id},
        "software": {
            "version": software_version(),
            "settings_sha256": snapshot.settings_sha256,
            "record_head": snapshot.head_hash,
            "record_damage": snapshot.damage,
        },
        "reference": {"series_instance_uid": reference.series_instance_uid if reference is not None else None},
        "methods": snapshot.methods,
        "structures": {"faults": list(snapshot.structure_faults), "remarks": list(snapshot.structure_remarks)},
        "limits": [] if snapshot.plan is None else [_limit(limit) for limit in snapshot.plan.limits],
        "fractions": [fraction_document(result, zone) for result in snapshot.results],
        "alarms": [alarm_document(raised.alarm, zone) for raised in snapshot.alarms if raised.active],
        **circumstances(snapshot, zone),
        "record": record_document(snapshot, zone),
    }


def _zone(snapshot: Snapshot) -> ZoneInfo:
    return ZoneInfo(snapshot.plan.time_zone if snapshot.plan is not None else "UTC")


def volume_objects(snapshot: Snapshot) -> dict[str, str]:
    """By name of a volume: the object (SHA-256) of the version that the results are of.

    For ``result_shown``, not for files of results: bytes differ by the way that an object came, results do not.
    """
    return {name: source.sha256 for name, source in snapshot.volume_sources.items()}


def fraction_document(result: FractionResult, zone: ZoneInfo) -> dict[str, Any]:
    """One fraction of the document."""
    interval, scintigraphic = result.recovery_interval, result.scintigraphic
    return {
        "position": result.position,
        "fraction": result.fraction,
        "status": str(result.status),
        "error": result.error,
        "provisional_reasons": list(result.provisional_reasons),
        "injected_MBq": result.injected_mbq,
        "injected_u_MBq": result.injected_u_mbq,
        "position_injected_MBq": result.position_injected_mbq,
        "cumulative_injected_MBq": result.cumulative_injected_mbq,
        "measured_MBq": result.measured_mbq,
        "measured_u_MBq": result.measured_u_mbq,
        "recovery_ratio": result.recovery_ratio,
        "recovery_ratio_u": result.recovery_u,
        "recovery_interval_95": None if interval is None else list(interval),
        "series_instance_uid": result.series_instance_uid,
        "acquired_at": moment_text(result.acquired_at, zone),
        "registration": None if result.registration is None else _registration(result.registration),
        "notes": list(result.notes),
        "scintigraphic": None
        if scintigraphic is None
        else {
            "threshold_pct": scintigraphic.threshold_pct,
            "volume_mL": scintigraphic.volume_ml,
            "dose_mean_Gy": scintigraphic.dose_mean_gy,
        },
        "volumes": {name: volume_document(statistics) for name, statistics in result.volumes.items()},
        "trend": {name: trend_document(point) for name, point in result.trend.items()},
        "outlook": outlook_document(result),
    }


def _registration(registration: Registration) -> dict[str, Any]:
    return {
        "status": str(registration.status),
        "translation_mm": list(registration.translation_mm),
        "rotation_deg": list(registration.rotation_deg),
        "similarity": registration.similarity,
        "edge_median_mm": registration.edge_median_mm,
        "edge_95_mm": registration.edge_95_mm,
        "given_by": registration.given_by,
        "deformable": registration.displacement_mm is not None,
        "message": registration.message,
    }


def _limit(limit: LimitPlan) -> dict[str, Any]:
    """A limit with where it comes from: a threshold of another isotope is never applied silently."""
    return {
        "volume": limit.volume,
        "dose_Gy": limit.dose_gy,
        "provenance": limit_provenance(
            isotope=limit.isotope,
            device=limit.device,
            population=limit.population,
            method=limit.method,
            source=limit.source,
        ),
    }


def results_json(snapshot: Snapshot) -> str:
    """``results.json`` of a treatment, as it is known here."""
    return json_text(results_document(snapshot))


def results_csv(snapshot: Snapshot) -> str:
    """``results.csv`` of a treatment, as it is known here."""
    return csv_text(results_document(snapshot))


def json_text(document: Mapping[str, Any]) -> str:
    """A results document as text; NaN is refused rather than written."""
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def csv_text(document: Mapping[str, Any]) -> str:
    """One row for every fraction and volume, for a spreadsheet; the first line says what this is not, and whence."""
    head = ["position", "fraction", "status", "error", "acquired_at", "injected_MBq", "cumulative_injected_MBq"]
    head += ["measured_MBq", "recovery_ratio"]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    volume_keys = list(
        volume_row(
            VolumeStatistics(name="", role=Role.LIVER, status=VolumeStatus.OK, volume_ml=0, evaluable_fraction=0)
        )
    )
    trend_keys = list(trend_row(TrendPoint(volume="", status=TrendStatus.FIT)))
    software = document["software"]
    origin = f"Holmia {software['version']}, settings {software['settings_sha256']}, record {software['record_head']}"
    damage = f"; TREATMENT FILE DAMAGED: {software['record_damage']}" if software["record_damage"] else ""
    laid = ", ".join(f"{key} = {value}" for key, value in document["state"]["what_if"].items())
    what_if = f"; A WHAT-IF, NOT THE TREATMENT AS RECORDED: {laid}" if laid else ""
    writer.writerow([f"# {document['research_use']}", f"{origin}{damage}{what_if}"])
    writer.writerow([*head, "volume", *volume_keys, *(f"trend_{key}" for key in trend_keys)])
    for fraction in document["fractions"]:
        own = [fraction[key] for key in head]
        for name, volume in fraction["volumes"].items():
            trend = fraction["trend"].get(name, {})
            writer.writerow(
                [*own, name, *(volume[key] for key in volume_keys), *(_cell(trend.get(key)) for key in trend_keys)]
            )
        if not fraction["volumes"]:
            writer.writerow(own)
    return stream.getvalue()


def _cell(value: object) -> object:
    return " ".join(f"{v:g}" for v in value) if isinstance(value, list) else value
