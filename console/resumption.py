"""What an earlier console showed, from the file alone: a restarted window paints it before anything is recomputed."""

from __future__ import annotations

from dataclasses import replace

from console.engine import Engine
from console.outputs.recorded import recorded_fraction
from console.reader import Reader
from console.session import all_active
from console.snapshot import Snapshot
from dicom_listener.events import Event, Kind
from dicom_listener.record import Record
from quantify.findings import FractionResult


def as_shown(record: Record, reader: Reader) -> Snapshot | None:
    """The treatment as recorded so far: plan, injections, alarms, and the results that were last shown, without maps.

    Of the images only the first is read, for the patient's name. None if nothing was shown or alarmed from this file.
    """
    engine, shown, first = Engine(), dict[tuple[str, int], FractionResult](), None
    after, raised = 0, False
    while batch := record.events(after):
        after = batch[-1].seq
        for event in batch:
            engine.take(event)  # without its object: images are read, and results computed, later
            if event.kind == Kind.RESULT_SHOWN and (result := _result(event)) is not None:
                shown[result.key] = result
            raised = raised or event.kind == Kind.ALARM_RAISED
            if event.kind == Kind.INSTANCE_STORED and first is None:
                first = event
    if not shown and not raised:
        return None
    snapshot = engine.snapshot()
    order = [injection.key for injection in snapshot.injections]
    results = [shown[key] for key in order if key in shown]
    told = engine.snapshot(shown=results)
    told = replace(told, alarms=all_active(told.alarms), restored="as shown before")
    if first is None or first.object_sha256 is None:
        return told
    identity = reader.decode(record.object_bytes(first.object_sha256), time_zone=engine.zone).patient
    return replace(
        told,
        patient_name=identity.name,
        patient_id=identity.id or told.patient_id,
        patient_birth_date=identity.birth_date.isoformat() if identity.birth_date is not None else "",
        patient_sex=identity.sex,
    )


def _result(event: Event) -> FractionResult | None:
    """None where another version recorded what this one cannot read: it will be computed anew all the same."""
    try:
        return recorded_fraction(event.payload["result"])
    except (KeyError, TypeError, AttributeError, ValueError):
        return None
