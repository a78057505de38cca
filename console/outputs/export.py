"""An export: every target asked for is written, everything that can be, or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from console.outputs.deidentification import Deidentifier, deidentifier_of
from console.outputs.deidentified_treatment import deidentified_copy
from console.outputs.error import OutputError
from console.outputs.export_job import Job, LeftOut
from console.outputs.export_objects import write_maps, write_parametric_map, write_rtdose, write_seg, write_sr
from console.outputs.export_staging import refuse_existing, staged
from console.outputs.export_targets import TARGETS, Target
from console.outputs.identity import Identified, Identity
from console.outputs.received import write_received
from console.outputs.results import csv_text, json_text, results_document
from console.snapshot import Snapshot
from dicom_listener.record import Record


def _write_treatment(job: Job, target: str) -> None:
    path = job.path(TARGETS[target].entry_of(job.identity))
    if isinstance(job.identity, Deidentifier):
        total = job.record.head().seq
        progress = lambda event: job.tell(f"{path.name}, event {event.seq} of {total}")  # noqa: E731
        for why in deidentified_copy(job.record, path, job.identity, progress):
            job.leave_out(target, why)
    else:
        job.record.copy_to(path)


def _write_csv(job: Job, target: str) -> None:
    job.text(TARGETS[target].entry, csv_text(job.identity.document(results_document(job.snapshot))))


def _write_json(job: Job, target: str) -> None:
    job.text(TARGETS[target].entry, json_text(job.identity.document(results_document(job.snapshot))))


def _write_pdf(job: Job, target: str) -> None:
    from console.outputs.report import write_report  # its figures take a second to load

    document = job.identity.document(results_document(job.snapshot))
    write_report(document, job.snapshot, job.path(TARGETS[target].entry))


_WRITERS: dict[str, Callable[[Job, str], None]] = {
    "treatment": _write_treatment,
    "rtdose": write_rtdose,
    "seg": write_seg,
    "parametric-map": write_parametric_map,
    "sr": write_sr,
    "dicom": write_received,
    "nifti": write_maps,
    "csv": _write_csv,
    "json": _write_json,
    "pdf": _write_pdf,
}


@dataclass(frozen=True, kw_only=True)
class Written:
    """What an export has left in its folder."""

    files: dict[str, int]
    """By target; those that it brought along included."""
    left_out: tuple[LeftOut, ...]
    head_hash: str
    """Of the last event that it holds."""


def identity_of(record: Record, *, identified: bool) -> Identity:
    """What everything goes through: the pseudonyms of this treatment, or nothing, by explicit choice."""
    return Identified(record.path.name.removesuffix(".holmia")) if identified else deidentifier_of(record)


def refuse_existing_targets(folder: Path, targets: Iterable[Target], identity: Identity) -> None:
    """Raise OutputError, in one sentence, if any target is in the folder already."""
    refuse_existing(folder, [target.entry_of(identity) for target in targets])


def write_export(
    record: Record,
    compute: Callable[[], Snapshot],
    targets: Iterable[Target],
    folder: Path,
    *,
    identity: Identity,
    fractions: Collection[tuple[str, int]] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Written:
    """Write a treatment in the forms asked for: everything that can be, or nothing.

    Parameters
    ----------
    record
        The treatment file.
    compute
        Computes it; called once, after it is known that the folder can be written, and only for targets that need it.
    targets
        What to write (`chosen_targets`).
    folder
        Where to; made if need be.
    identity
        What everything goes through (`identity_of`).
    fractions
        (position, fraction) of those to write, where a target is by fraction; None for all.
    progress
        Called with what is being written.

    Raises
    ------
    OutputError
        If a target exists, the folder cannot be written, or nothing of all could be: then nothing is left behind.
    """
    targets = tuple(targets)
    refuse_existing_targets(folder, targets, identity)
    with staged(folder) as hidden:
        snapshot = compute() if any(target.computed for target in targets) else None
        job = Job(
            record=record,
            snapshot=snapshot,
            identity=identity,
            folder=hidden,
            fractions=fractions,
            progress=progress,
        )
        for target in targets:
            try:
                _WRITERS[target.name](job, target.name)
            except OutputError as error:
                if isinstance(error.__cause__, OSError):  # the disk: that is not one target's affair
                    raise error.__cause__ from error
                _remove(hidden / target.entry_of(identity))  # what was begun of it is not whole
                job.leave_out(target.name, str(error))
        files = {target.name: _files(hidden / target.entry_of(identity)) for target in targets}
        if not any(files.values()):
            raise OutputError("Nothing could be exported. " + " ".join(dict.fromkeys(own.why for own in job.left_out)))
        head_hash = snapshot.head_hash if snapshot is not None else record.head().hash
    return Written(
        files={name: count for name, count in files.items() if count},
        left_out=tuple(job.left_out),
        head_hash=head_hash,
    )


def _files(entry: Path) -> int:
    if entry.is_dir():
        return sum(path.is_file() for path in entry.rglob("*"))
    return int(entry.exists())


def _remove(entry: Path) -> None:
    if entry.is_dir():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)
