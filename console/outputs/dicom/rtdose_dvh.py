"""The reported dose–volume histograms as items of an RT Dose (PS3.3 C.8.8.4)."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from console.outputs.dicom.header import decimal
from console.outputs.dicom.rtstruct import roi_number
from console.snapshot import Snapshot
from quantify.findings import FractionResult, VolumeStatistics, VolumeStatus

_BINS = 250


def dvh_items(snapshot: Snapshot, result: FractionResult) -> list[Dataset]:
    """The cumulative histogram of every volume of the structure set whose dose could be evaluated.

    In percent of the part that could be evaluated. A volume with lower bounds has none here: nothing in an item can say
    "at least".
    """
    items = []
    for name, statistics in result.volumes.items():
        number = roi_number(snapshot, name)
        if number is not None and statistics.dvh is not None and statistics.status is VolumeStatus.OK:
            items.append(_item(number, statistics))
    return items


def _item(number: int, statistics: VolumeStatistics) -> Dataset:
    curve = statistics.dvh
    if curve is None:
        raise ValueError(f"{statistics.name} has no histogram.")
    width_gy = float(decimal(round(max(float(curve.dose_gy[-1]), 0.01) / _BINS, 6)))
    doses_gy = width_gy * np.arange(_BINS + 1)
    percent = np.interp(doses_gy, curve.dose_gy, 100.0 * curve.volume_fraction, left=100.0, right=0.0)
    data = [text for share in percent for text in (decimal(width_gy), decimal(round(float(share), 6)))]
    region = Dataset()
    region.DVHROIContributionType = "INCLUDED"
    region.ReferencedROINumber = number
    item = Dataset()
    item.DVHType = "CUMULATIVE"
    item.DoseUnits, item.DoseType = "GY", "PHYSICAL"
    item.DVHDoseScaling = "1"
    item.DVHVolumeUnits = "PERCENT"
    item.DVHNumberOfBins = _BINS + 1
    item.DVHData = data
    item.DVHReferencedROISequence = [region]
    if statistics.dose_mean_gy is not None:
        item.DVHMeanDose = decimal(statistics.dose_mean_gy)
    return item
