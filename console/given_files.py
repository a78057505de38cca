"""Files with volumes that somebody gives by hand: what each is, what it would be, and how DICOM objects are taken.

Nothing is recorded before it was looked at. DICOM objects are then taken by the same decisions as from the network.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from zoneinfo import ZoneInfo

from config.plan import PatientPlan
from console.prepared import quarantine_of
from console.snapshot import Snapshot
from console.volume_preview import ObjectPreview, preview
from dicom_listener.admission import Admission, Fate, other_patient
from dicom_listener.decoding import DecodingProcess, DecodingProcessError
from dicom_listener.events import Kind
from dicom_listener.expected_patient import ExpectedPatient
from dicom_listener.images import StructureSet
from dicom_listener.instance_header import InstanceHeader, UnreadableInstanceError, read_header
from dicom_listener.record import Record

_MOST_FILES = 5000
"""Of the folders that are given at once."""
_LARGEST_BYTES = 256_000_000
"""As the listener takes from the network."""
_MOST_LABELS = 255
"""Labels of a NIfTI file that are looked for; larger ones are named as left out."""
_TREATMENT = ".holmia"
_PREFIX = slice(128, 132)
"""Where DICM stands in a DICOM file (PS3.10, 7.1)."""
_OTHERS = {
    ".nrrd": "NRRD is not read; export it as NIfTI (.nii.gz) or as DICOM Segmentation.",
    ".mha": "MetaImage is not read; export it as NIfTI (.nii.gz).",
    ".hdr": "It is half of a pair of files (.hdr, .img); save it as one .nii or .nii.gz.",
    ".img": "It is half of a pair of files (.hdr, .img); save it as one .nii or .nii.gz.",
    ".zip": "It is an archive; unpack it first.",
}
_ELSE = "It is neither DICOM nor NIfTI; expected an RT Structure Set, a DICOM Segmentation, or .nii, .nii.gz."


class FileKind(StrEnum):
    """What a file is, as the screen names it."""

    RTSTRUCT = "RT Structure Set"
    SEG = "DICOM Segmentation"
    NIFTI = "NIfTI label map"
    OTHER = "not used"


_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.481.3": FileKind.RTSTRUCT,
    "1.2.840.10008.5.1.4.1.1.66.4": FileKind.SEG,
    "1.2.840.10008.5.1.4.1.1.66.7": FileKind.SEG,  # label map segmentation
}


@dataclass(frozen=True, kw_only=True)
class GivenFile:
    """One file as read: what is looked at is what is recorded. ``refusal`` says why it holds no volumes."""

    path: Path
    kind: FileKind = FileKind.OTHER
    data: bytes = field(default=b"", repr=False)
    header: InstanceHeader | None = field(default=None, repr=False)
    refusal: str = ""


@dataclass(frozen=True, kw_only=True)
class FilePreview:
    """A file with what its volumes would be; ``object`` is None where it has none."""

    file: GivenFile
    object: ObjectPreview | None = None


@dataclass(frozen=True, kw_only=True)
class Looking:
    """How far the looking has come: which file now, how many of how many are done."""

    name: str
    done: int
    of: int


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What became of one DICOM object, in a sentence."""

    path: Path
    fate: Fate
    sentence: str


# -- what each file is ---------------------------------------------------------------------------------------------


def paths_of(given: Sequence[Path]) -> list[Path]:
    """The files that are meant: those given, and all that lie below folders; links to folders are not followed."""
    found: dict[Path, None] = {}
    for path in given:
        if not path.is_dir():
            found.setdefault(path)
            continue
        for folder, _, names in os.walk(path):
            for name in sorted(names):
                found.setdefault(Path(folder) / name)
                if len(found) >= _MOST_FILES:
                    return list(found)
    return list(found)


def look_at(path: Path, record: Path | None = None) -> GivenFile:
    """Read one file and tell what it is; never raises for what it holds. The treatment file, `record`, stays closed."""
    nifti = path.name.lower().endswith((".nii", ".nii.gz"))
    if _is_treatment(path, record):
        # To open and close what SQLite holds open in this process would drop its locks (record_schema).
        return GivenFile(path=path, refusal="It is a treatment file or belongs to one; open it as a treatment.")
    try:
        if not path.is_file():
            return GivenFile(path=path, refusal="It is no file, or does not exist; check the name.")
        if path.stat().st_size > _LARGEST_BYTES:
            return GivenFile(path=path, refusal=f"It has more than {_LARGEST_BYTES // 1_000_000} MB.")
        with path.open("rb") as file:
            dicom = file.read(_PREFIX.stop)[_PREFIX] == b"DICM"
        if not dicom and not nifti:
            return GivenFile(path=path, refusal=_OTHERS.get(path.suffix.lower(), _ELSE))
        data = path.read_bytes()
    except OSError as error:
        return GivenFile(path=path, refusal=f"It cannot be read: {error.strerror or error}.")
    if nifti and not dicom:
        return GivenFile(path=path, kind=FileKind.NIFTI, data=data)
    try:
        header = read_header(data)
    except UnreadableInstanceError as error:
        return GivenFile(path=path, refusal=str(error))
    kind = _CLASSES.get(header.sop_class_uid)
    if kind is None:
        what = "a DICOMDIR" if path.name == "DICOMDIR" else f"DICOM {header.modality or 'of another kind'}"
        return GivenFile(path=path, refusal=f"It is {what}, not volumes; images come over the network.")
    return GivenFile(path=path, kind=kind, data=data, header=header)


def _is_treatment(path: Path, record: Path | None) -> bool:
    """Whether it is a treatment file, its log or index."""
    there = Path(os.path.realpath(path))  # `Path.resolve` raises where links lead to each other
    if _TREATMENT in there.name or record is None:
        return _TREATMENT in there.name
    own = Path(os.path.realpath(record))
    return there.parent == own.parent and there.name in {own.name + more for more in ("", "-wal", "-shm", "-journal")}


def patient_fault(file: GivenFile, snapshot: Snapshot) -> str:
    """Why a DICOM object is not of the treatment's patient; "" where it is, or nobody is known yet."""
    patient = _patient(snapshot)
    if file.header is None or patient is None:
        return ""
    return other_patient(file.header, patient) or ""


def _patient(snapshot: Snapshot) -> PatientPlan | None:
    if snapshot.plan is not None:
        return snapshot.plan.patient
    if not snapshot.patient_id:
        return None
    born = snapshot.patient_birth_date
    return PatientPlan(id=snapshot.patient_id[:64], birth_date=date.fromisoformat(born) if born else None)


# -- what they would be --------------------------------------------------------------------------------------------


def previews(
    given: Sequence[Path],
    snapshot: Snapshot,
    *,
    time_zone: str,
    stopped: Callable[[], bool],
    record: Path | None = None,
) -> Iterator[Looking | FilePreview]:
    """Look at files one after the other, decoding them in a process of its own; records nothing.

    Parameters
    ----------
    given
        Files and folders.
    time_zone
        IANA zone of times without an offset.
    stopped
        Asked between steps; the rest is then left out.
    record
        The treatment file, which this process holds open and must not open as a file.
    """
    paths = paths_of(given)
    with DecodingProcess() as decoding:
        for done, path in enumerate(paths):
            if stopped():
                return
            yield Looking(name=path.name, done=done, of=len(paths))
            file = look_at(path, record)
            if not file.refusal and (fault := patient_fault(file, snapshot)):
                file = replace(file, data=b"", refusal=f"It is of another patient: {fault} Nothing of it is recorded.")
            if file.refusal:
                yield FilePreview(file=file)
                continue
            try:
                yield _previewed(file, decoding, snapshot, time_zone, stopped)
            except DecodingProcessError as error:
                yield FilePreview(file=replace(file, refusal=str(error)))
    if len(paths) >= _MOST_FILES:
        told = f"There are more than {_MOST_FILES} files: those after this one were not looked at; give fewer."
        yield FilePreview(file=GivenFile(path=paths[-1], refusal=told))


def _previewed(
    file: GivenFile, decoding: DecodingProcess, snapshot: Snapshot, time_zone: str, stopped: Callable[[], bool]
) -> FilePreview:
    found, why = _structures(file, decoding, time_zone)
    if found is None or not (found.structures or found.unusable):
        return FilePreview(file=replace(file, refusal=why or "It names no structure."))
    return FilePreview(file=file, object=preview(found, snapshot, stopped=stopped))


def _structures(file: GivenFile, decoding: DecodingProcess, time_zone: str) -> tuple[StructureSet | None, str]:
    if file.kind is not FileKind.NIFTI:
        instance = decoding.decode(file.data, time_zone=ZoneInfo(time_zone))
        return instance.structure_set, instance.reason
    labels = {label: str(label) for label in range(1, _MOST_LABELS + 1)}
    found, why = decoding.label_map(file.data, labels, name=file.path.name)
    if not found.structures:  # a map of shares 0…1 is of one structure
        found, why = decoding.label_map(file.data, {1: "1"}, name=file.path.name)
    # What no voxel has was only asked for.
    return replace(found, unusable=()), why


# -- taking DICOM objects ------------------------------------------------------------------------------------------


def take_objects(
    record: Path,
    files: Sequence[GivenFile],
    *,
    actor: str,
    clock: Callable[[], datetime],
    minimum_free_mb: float = 0.0,
) -> Iterator[Taken]:
    """Append DICOM objects to a treatment file, as if they had come over the network; one after the other.

    Parameters
    ----------
    record
        The treatment file; opened here, so that it may be called on any thread.
    actor
        Who gives them.
    clock
        The time, aware.
    minimum_free_mb
        Below this free space (MB) nothing is taken.

    Raises
    ------
    dicom_listener.record.RecordError
        If the file cannot be opened or written.
    """
    with Record.open(record) as opened:
        # Unique in the file: no two begin with the same event.
        association = f"file-{opened.head().seq + 1}"
        admission = Admission(
            opened,
            lambda: quarantine_of(record),
            ExpectedPatient(opened),
            clock,
            actor=actor,
            minimum_free_mb=minimum_free_mb,
        )
        stored = 0
        try:
            for file in files:
                admitted = admission.admit(file.data, association=association)
                stored += admitted.fate is Fate.STORED
                told = _fate_words(admitted.fate, admitted.status.comment)
                yield Taken(path=file.path, fate=admitted.fate, sentence=told)
        finally:
            admission.close()
            payload = {"association": association, "how": "import_finished", "instances": stored}
            opened.append(Kind.ASSOCIATION_CLOSED, payload, actor=actor, utc=clock())


def _fate_words(fate: Fate, comment: str) -> str:
    if fate is Fate.STORED:
        return "recorded"
    if fate is Fate.DUPLICATE:
        return "is in this treatment already; nothing was added"
    if fate is Fate.QUARANTINED:
        return "set aside in the quarantine file and not used: another patient's, or another content of a known object"
    return f"refused: {comment}; nothing was recorded of it"
