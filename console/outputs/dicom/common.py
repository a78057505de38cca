"""What all DICOM outputs share: identifiers that follow from the content, numbers of series, the equipment."""

from __future__ import annotations

from uuid import NAMESPACE_OID, uuid5

from pydicom.uid import UID

from console.outputs.exported import Exported
from console.outputs.wording import software_version

MANUFACTURER = "Holmia"
MODEL = "Holmia (research use only)"
SERIES_NUMBERS = {"rtstruct": 9001, "rtplan": 9002, "rtdose": 9003, "seg": 9004, "parametric-map": 9005, "sr": 9006}
"""Far from those of a scanner."""


def output_uid(exported: Exported, *parts: object) -> UID:
    """A UID that is a function of the events, the settings, the version and `parts`: the same export has the same.

    Under 2.25, as for a UUID: Holmia has no registered root.
    """
    snapshot = exported.snapshot
    basis = [snapshot.head_hash, snapshot.settings_sha256, repr(sorted(snapshot.overrides.items())), software_version()]
    return UID(f"2.25.{uuid5(NAMESPACE_OID, repr([*basis, *(str(part) for part in parts)])).int}")
