"""What an export is made from: the treatment as computed, and the headers of the images that its objects refer to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from zoneinfo import ZoneInfo

from pydicom import dcmread
from pydicom.dataset import Dataset

from console.outputs.error import OutputError
from console.snapshot import Snapshot
from dicom_listener.events import Kind
from dicom_listener.record import Record


@dataclass(frozen=True, kw_only=True, eq=False)
class Exported:
    """A treatment that is written out.

    ``reference_images`` are the headers, without pixels, of every instance of the reference series, in the order in
    which they were stored: classic images, or enhanced ones with their functional groups. ``made_at`` is the time of
    the file's last event in the treatment's zone: an export of the same events has the same bytes.
    """

    snapshot: Snapshot
    reference_images: tuple[Dataset, ...] = field(repr=False)
    made_at: datetime


def exported(record: Record, snapshot: Snapshot) -> Exported:
    """Gather what the outputs of a computed treatment need from its file.

    Raises
    ------
    OutputError
        If there is no reference series: nothing has a place in the patient then.
    """
    reference = snapshot.reference
    if reference is None:
        raise OutputError(
            "There is no complete reference series in this treatment, so no result has a place in the patient; "
            "only --to treatment, dicom, csv and pdf can be written."
        )
    uids = next(
        (s.series_instance_uids for s in snapshot.series if reference.series_instance_uid in s.series_instance_uids),
        (reference.series_instance_uid,),
    )
    images: list[Dataset] = []
    after, moment = 0, None
    while batch := [event for event in record.events(after) if event.seq <= snapshot.head_seq]:
        for event in batch:
            moment = event.utc
            if event.kind == Kind.INSTANCE_STORED and event.payload.get("series_instance_uid") in uids:
                data = record.object_bytes(event.object_sha256 or "")
                images.append(dcmread(BytesIO(data), stop_before_pixels=True))
        after = batch[-1].seq
    zone = ZoneInfo(snapshot.plan.time_zone if snapshot.plan is not None else "UTC")
    if moment is None or not images:
        raise OutputError("The images of the reference series are not in the treatment file; export from a whole copy.")
    return Exported(snapshot=snapshot, reference_images=tuple(images), made_at=moment.astimezone(zone))
