"""A treatment file from DICOM that already lies on disk, by the same decisions as from the network."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from config.plan import PatientPlan
from dicom_listener.admission import Admission, Fate
from dicom_listener.events import Kind
from dicom_listener.instance_header import InstanceHeader, UnreadableInstanceError, read_header
from dicom_listener.record import Record

ACTOR = "import"
_ASSOCIATION = re.compile(r"import-([0-9]+)")
_PREFIX_END = 132
"""Bytes of preamble and prefix of a DICOM file (PS3.10, 7.1)."""


class ImportFolderError(Exception):
    """A folder to import cannot be read; the text is a sentence for the user."""


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """What became of the files: counts, and name and reason of each DICOM file that could not be taken."""

    stored: int
    duplicates: int
    quarantined: int
    not_dicom: int
    unreadable: tuple[tuple[str, str], ...]


def import_folders(
    record: Record,
    folders: Sequence[Path],
    patient: PatientPlan | None,
    clock: Callable[[], datetime],
    *,
    quarantine_factory: Callable[[], Record],
    progress: Callable[[int, int], None],
) -> ImportReport:
    """Store every DICOM file below `folders`, byte for byte, and end with ``association_closed``.

    The order is that of acquisition (date and time, series, instance number, name), so neither the order in a folder
    nor that of the folders matters.

    Parameters
    ----------
    record
        The treatment file, open for writing.
    folders
        Folders, searched with all below them, or single files.
    patient
        Whom the instances must be of; None takes all.
    clock
        The time, aware, for the events.
    quarantine_factory
        Opens or creates the quarantine file, when first needed.
    progress
        Called with (files done, files in all) after each.

    Raises
    ------
    ImportFolderError
        If a folder does not exist.
    RecordError
        If the treatment file cannot be written.
    """
    ordered, not_dicom, unreadable = _in_order(folders)
    association = f"import-{_imports_before(record) + 1}"
    fates = dict.fromkeys(Fate, 0)
    admission = Admission(record, quarantine_factory, patient, clock, actor=ACTOR)
    try:
        for done, path in enumerate(ordered, 1):
            try:
                data = path.read_bytes()
            except OSError as error:
                unreadable.append((str(path), f"The file cannot be read: {error.strerror}."))
                progress(done, len(ordered))
                continue
            admitted = admission.admit(data, association=association)
            fates[admitted.fate] += 1
            if admitted.fate is Fate.REFUSED:
                unreadable.append((str(path), f"{admitted.status.comment}."))
            progress(done, len(ordered))
    finally:
        admission.close()
    record.append(
        Kind.ASSOCIATION_CLOSED,
        {"association": association, "how": "import_finished", "instances": fates[Fate.STORED]},
        actor=ACTOR,
        utc=clock(),
    )
    return ImportReport(
        stored=fates[Fate.STORED],
        duplicates=fates[Fate.DUPLICATE],
        quarantined=fates[Fate.QUARANTINED],
        not_dicom=not_dicom,
        unreadable=tuple(sorted(unreadable)),
    )


def _in_order(folders: Sequence[Path]) -> tuple[list[Path], int, list[tuple[str, str]]]:
    """Return the DICOM files by acquisition, the number of other files, and DICOM files that cannot be read."""
    keyed: dict[Path, tuple[str, str, int, str]] = {}
    unreadable: list[tuple[str, str]] = []
    not_dicom = 0
    for path in _files(folders):
        try:
            with path.open("rb") as file:
                is_dicom = file.read(_PREFIX_END)[128:] == b"DICM"
            if not is_dicom or path.name == "DICOMDIR":
                not_dicom += 1
                continue
            header = read_header(path.read_bytes())
        except OSError as error:
            unreadable.append((str(path), f"The file cannot be read: {error.strerror}."))
        except UnreadableInstanceError as error:
            unreadable.append((str(path), str(error)))
        else:
            keyed[path] = (
                _acquired(header),
                header.series_instance_uid,
                int(header.instance_number) if re.fullmatch(r"[+-]?[0-9]{1,12}", header.instance_number) else 0,
                path.as_posix(),
            )
    return sorted(keyed, key=keyed.__getitem__), not_dicom, unreadable


def _files(folders: Sequence[Path]) -> list[Path]:
    found: dict[Path, None] = {}
    for folder in folders:
        if not folder.exists():
            raise ImportFolderError(f"{folder} does not exist; check the name.")
        for path in [folder] if folder.is_file() else folder.rglob("*"):
            if path.is_file():
                found.setdefault(path.resolve())
    return list(found)


def _acquired(header: InstanceHeader) -> str:
    """Return the start of the acquisition as digits that sort in time; empty where unknown."""
    return header.acquisition_date_time or header.acquisition_date + header.acquisition_time


def _imports_before(record: Record) -> int:
    highest, seq = 0, 0
    while events := record.events(seq):
        for event in events:
            match = _ASSOCIATION.fullmatch(str(event.payload.get("association", "")))
            highest = max(highest, int(match[1]) if match else 0)
        seq = events[-1].seq
    return highest
