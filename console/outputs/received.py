"""The instances as they were received, in folders by series: byte for byte, or as they may leave."""

from __future__ import annotations

from console.outputs.deidentification import Deidentifier
from console.outputs.deidentified_treatment import part10_deidentified
from console.outputs.error import OutputError
from console.outputs.export_job import Job
from dicom_listener.events import Kind


def write_received(job: Job, target: str) -> None:
    """Write every stored instance to ``series_NNN/NNNNNN.dcm``.

    Series are numbered by their first arrival, instances by their arrival within the series: nothing that a peer sent
    is part of a path. De-identified, an instance that cannot be is left out, and it is said which and why.
    """
    series: dict[str, int] = {}
    counts: dict[str, int] = {}
    after = 0
    while batch := job.record.events(after):
        for event in batch:
            if event.kind != Kind.INSTANCE_STORED or event.object_sha256 is None:
                continue
            uid = str(event.payload.get("series_instance_uid", ""))
            number = series.setdefault(uid, len(series) + 1)
            counts[uid] = counts.get(uid, 0) + 1
            name = f"series_{number:03d}/{counts[uid]:06d}.dcm"
            data = job.record.object_bytes(event.object_sha256)
            if isinstance(job.identity, Deidentifier):
                try:
                    data = part10_deidentified(data, job.identity)
                except OutputError as error:
                    job.leave_out(target, str(error), what=name)
                    continue
            job.path(f"{target}/{name}").write_bytes(data)
        after = batch[-1].seq
    if not series:
        job.leave_out(target, "No instance has been received.")
