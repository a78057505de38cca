"""From stored values to signal.

Every vendor: displayed D = S · RS + RI (RescaleSlope, RescaleIntercept). Philips scales each image for display, so
that two echoes of one series may have different factors; its signal is P = D / (RS · SS) with the private scale
slope SS (2005,xx0E). Source: Chenevert et al., Errors in Quantitative Image Analysis due to Platform-Dependent
Image Scaling, Transl Oncol 2014;7:65-71.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom_listener.phase import radians_per
from dicom_listener.pixels import PixelError

PHILIPS_CREATOR = "Philips MR Imaging DD 001"
_SCALE_SLOPE_OFFSET = 0x0E

NO_SCALE_SLOPE = (
    "The Philips scale slope (2005,100E) is missing: values as displayed were used; echoes may be scaled unequally."
)


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """``slope`` and ``intercept`` of D = S · slope + intercept; ``scale_slope`` is Philips' SS, None elsewhere."""

    slope: float = 1.0
    intercept: float = 0.0
    scale_slope: float | None = None

    def signal(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        """Return the signal, float32 of the same shape, arbitrary unit.

        Raises
        ------
        PixelError
            If a factor is zero, or a factor or the signal is not finite.
        """
        divisor = 1.0 if self.scale_slope is None else self.slope * self.scale_slope
        factors = (self.slope, self.intercept, divisor)
        if not all(map(math.isfinite, factors)) or self.slope == 0 or divisor == 0:
            raise PixelError(
                f"The scaling of the image is unusable (slope {self.slope}, intercept {self.intercept}, Philips scale "
                f"slope {self.scale_slope}); the signal cannot be recovered."
            )
        signal: NDArray[np.float32] = stored.astype(np.float32)
        gain, offset = self.slope / divisor, self.intercept / divisor
        with np.errstate(over="ignore", invalid="ignore"):
            if gain != 1.0:
                signal *= np.float32(gain)
            if offset != 0.0:
                signal += np.float32(offset)
        if not np.isfinite(signal).all():
            raise PixelError(f"The scaled signal overflows (gain {gain:g}, offset {offset:g}); its header is wrong.")
        return signal


def rescale_of(*datasets: Dataset | None) -> tuple[float, float]:
    """Return (slope, intercept) of the first dataset that has a RescaleSlope; (1, 0) where none has.

    Where it states an angle as its unit (RescaleType "mrad"), they give radians. Philips' signal P does not depend on
    that: the slope cancels.
    """
    for dataset in datasets:
        if dataset is not None and dataset.get("RescaleSlope") is not None:
            unit = radians_per(str(dataset.get("RescaleType") or "")) or 1.0
            return float(dataset["RescaleSlope"].value) * unit, float(dataset.get("RescaleIntercept") or 0.0) * unit
    return 1.0, 0.0


def philips_scale_slope(*datasets: Dataset | None) -> float | None:
    """Return the private scale slope of the first dataset that has one, found by its creator (the block moves)."""
    for dataset in datasets:
        value = private_value(dataset, 0x2005, PHILIPS_CREATOR, _SCALE_SLOPE_OFFSET)
        if isinstance(value, bytes) and len(value) == 4:
            # An implicit transfer syntax, or an archive, lost the value representation: it is FL.
            return float(struct.unpack("<f", value)[0])
        if value is not None:
            try:
                return float(value)
            except (TypeError, ValueError):
                continue
    return None


def private_integer(dataset: Dataset | None, group: int, creator: str, offset: int) -> int | None:
    """Return the whole number of a private element found through its creator; None where it is missing or none.

    An archive may have left its two or four bytes without a representation.
    """
    value = private_value(dataset, group, creator, offset)
    if isinstance(value, bytes):
        return int.from_bytes(value[:4], "little", signed=True) if len(value) in (2, 4) else None
    try:
        return int(str(value))
    except ValueError:
        return None


def private_value(dataset: Dataset | None, group: int, creator: str, offset: int) -> Any:  # noqa: ANN401
    """Return the value of a private element found through its creator; None where it is missing."""
    if dataset is None or not any(tag >> 16 == group for tag in dataset.keys()):  # noqa: SIM118 - elements, not tags
        return None
    try:
        return dataset.private_block(group, creator)[offset].value
    except KeyError:
        return None
