"""The treatment file of a console or listener: made if need be, holding a plan or waiting for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from config.plan import TreatmentPlan
from config.settings import Settings
from console.outputs.wording import software_version
from console.plan_payload import plan_payload
from dicom_listener.events import Event, Kind
from dicom_listener.record import Record, quarantine_path

_ACTOR = "holmia"


def created(path: Path, clock: Callable[[], datetime]) -> Record:
    """A new treatment file without a plan: the first image says whose it is, and an operator the rest.

    Raises
    ------
    dicom_listener.record.RecordError
        If the name exists, or the folder cannot be written or lies on a network file system.
    """
    record = Record.create(path)
    record.append(Kind.TREATMENT_CREATED, {"software_version": software_version()}, actor=_ACTOR, utc=clock())
    return record


def with_plan(record: Record, plan: TreatmentPlan, settings: Settings, clock: Callable[[], datetime]) -> None:
    """Record the plan of a file: the same one as before changes nothing, another is a revision.

    The same command may be given again after a restart: what operators revised since then must stand.
    """
    payload = plan_payload(plan.to_mapping(), settings)
    given = [event.payload for event in _plans(record)]
    from_files = [one for one in given if "name" not in one]
    if not given:
        record.append(Kind.PLAN_LOADED, payload, actor=_ACTOR, utc=clock())
    elif not from_files or from_files[-1] != payload:
        record.append(Kind.PLAN_REVISED, payload, actor=_ACTOR, utc=clock())


def has_plan(record: Record) -> bool:
    """Whether the file holds a plan."""
    return next(_plans(record), None) is not None


def _plans(record: Record) -> Iterator[Event]:
    after = 0
    while batch := record.events(after):
        yield from (event for event in batch if event.kind in (Kind.PLAN_LOADED, Kind.PLAN_REVISED))
        after = batch[-1].seq


def quarantine_of(file: Path) -> Record:
    """The quarantine file beside a treatment file, made if need be."""
    path = quarantine_path(file)
    return Record.open(path) if path.exists() else Record.create(path)
