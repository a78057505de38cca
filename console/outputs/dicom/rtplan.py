"""The companion RT Plan (PS3.3 A.20): what the doses refer to, for readers that list a dose under its plan."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.uid import UID, RTPlanStorage, RTStructureSetStorage

from config.plan import LimitPlan
from console.outputs.dicom.common import output_uid
from console.outputs.dicom.header import add_frame_of_reference, provenance, reference_to, rt_dataset
from console.outputs.dicom.rtstruct import roi_number, structure_set_uid
from console.outputs.exported import Exported


def plan_uid(exported: Exported) -> UID:
    """SOP Instance UID of the plan of this export."""
    return output_uid(exported, "rtplan")


def rtplan(exported: Exported) -> Dataset:
    """A plan without beams or sources: the injections as text, the limits of the treatment plan as dose references.

    A limit here is one of a volume's mean dose, and no attribute of a dose reference means that: it is in its
    description only, lest a reader take it for a maximum.
    """
    snapshot = exported.snapshot
    ds = rt_dataset(
        exported,
        RTPlanStorage,
        plan_uid(exported),
        kind="rtplan",
        series=("rtplan",),
        about="Holmia companion plan (research use only)",
    )
    add_frame_of_reference(exported, ds)
    ds.InstanceNumber = 1
    ds.RTPlanLabel = "Holmia 166Ho"
    ds.RTPlanName = "Holmium-166 radioembolization as given"
    given = [own for own in snapshot.injections if own.time is not None and own.activity_mbq is not None]
    injections = "; ".join(f"{own.label} {own.activity_mbq:.1f} MBq" for own in given) or "none"
    ds.RTPlanDescription = _within(f"Injected: {injections}.", provenance(exported))
    ds.RTPlanDate, ds.RTPlanTime = ds.InstanceCreationDate, ds.InstanceCreationTime
    ds.PlanIntent = "RESEARCH"
    ds.RTPlanGeometry = "PATIENT" if snapshot.volumes else "TREATMENT_DEVICE"
    if snapshot.volumes:
        ds.ReferencedStructureSetSequence = [reference_to(RTStructureSetStorage, structure_set_uid(exported))]
    limits = snapshot.plan.limits if snapshot.plan is not None else ()
    if limits:
        ds.DoseReferenceSequence = [
            _limit(number, limit, roi_number(snapshot, limit.volume)) for number, limit in enumerate(limits, start=1)
        ]
    ds.ApprovalStatus = "UNAPPROVED"
    return ds


def _limit(number: int, limit: LimitPlan, roi: int | None) -> Dataset:
    item = Dataset()
    item.DoseReferenceNumber = number
    item.DoseReferenceStructureType = "SITE" if roi is None else "VOLUME"
    if roi is not None:
        item.ReferencedROINumber = roi
    item.DoseReferenceDescription = f"Mean dose at most {limit.dose_gy:g} Gy: {limit.volume}"[:64]
    item.DoseReferenceType = "ORGAN_AT_RISK"
    return item


def _within(first: str, rest: str, length: int = 1024) -> str:
    """Both texts in the length of a short text; of many injections some give way to what must be said."""
    room = length - len(rest) - 1
    return f"{first if len(first) <= room else first[: room - 2] + ' …'} {rest}"
