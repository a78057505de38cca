"""One stored instance to what it holds: the only door through which DICOM enters. Never raises for bad input."""

from __future__ import annotations

import warnings
from dataclasses import replace
from io import BytesIO
from zoneinfo import ZoneInfo

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
    RTStructureSetStorage,
    SegmentationStorage,
)

from dicom_listener.decode_classic import classic_image
from dicom_listener.decode_enhanced import enhanced_images
from dicom_listener.identity import patient_identity, text_of
from dicom_listener.images import DecodedInstance
from dicom_listener.pixels import PixelError
from dicom_listener.segmentation import LABEL_MAP_SEGMENTATION_STORAGE, segmentation
from dicom_listener.structures import structure_set

__all__ = ["decode", "patient_identity"]

_DECODERS = {
    MRImageStorage: classic_image,
    EnhancedMRImageStorage: enhanced_images,
    LegacyConvertedEnhancedMRImageStorage: enhanced_images,
}
_STRUCTURES = {
    RTStructureSetStorage: structure_set,
    SegmentationStorage: segmentation,
    LABEL_MAP_SEGMENTATION_STORAGE: segmentation,
}
READ_CLASSES = frozenset(map(str, (*_DECODERS, *_STRUCTURES)))
"""SOP classes that are used; objects of all others are stored and ignored."""
_META_BYTES = 1 << 16
"""Where to look for the transfer syntax before anything is inflated; a meta header is a few hundred bytes."""


def decode(data: bytes, *, time_zone: ZoneInfo) -> DecodedInstance:
    """Decode a Part-10 file.

    Parameters
    ----------
    data
        The file's bytes, as a peer sent them: nothing in them is trusted.
    time_zone
        Zone of times without an offset.

    Returns
    -------
    DecodedInstance
        Its images (signal rescaled, times in s, positions LPS mm) or structures. `reason` says in a sentence what
        could not be used or was substituted; an instance that cannot be used at all has nothing but its reason.
    """
    # pydicom warns of every irregular value that a scanner writes; what matters is in the result.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if DeflatedExplicitVRLittleEndian.encode() in data[:_META_BYTES]:
                return DecodedInstance(reason="Deflated objects are not read; send the series uncompressed.")
            return _decode(pydicom.dcmread(BytesIO(data)), time_zone)
        except MemoryError:
            return DecodedInstance(reason="The instance needs more memory than decoding may use; it was not used.")
        # Hostile bytes make pydicom raise nearly anything, RecursionError included; none of it may end the session.
        except Exception as error:  # noqa: BLE001
            return DecodedInstance(reason=f"The instance cannot be read as DICOM ({type(error).__name__}: {error}).")


def _decode(dataset: Dataset, time_zone: ZoneInfo) -> DecodedInstance:
    sop_class = UID(text_of(dataset, "SOPClassUID"))
    header = DecodedInstance(
        sop_class_uid=str(sop_class),
        sop_instance_uid=text_of(dataset, "SOPInstanceUID"),
        series_instance_uid=text_of(dataset, "SeriesInstanceUID"),
        patient=patient_identity(dataset),
    )
    try:
        if sop_class in _STRUCTURES:
            structures, reason = _STRUCTURES[sop_class](dataset)
            return replace(header, structure_set=structures, reason=reason)
        decoder = _DECODERS.get(sop_class)
        if decoder is None:
            what = f"{sop_class.name} objects are" if sop_class else "An object without a SOP class is"
            return replace(header, reason=f"{what} recorded and not used.")
        images, reason = decoder(dataset, time_zone)
        return replace(header, images=images, reason=reason)
    except PixelError as error:
        return replace(header, reason=str(error))
    except MemoryError:
        return replace(header, reason="The instance needs more memory than decoding may use; it was not used.")
    # The header is known by now: keep it, so that the screen can say which series is damaged.
    except Exception as error:  # noqa: BLE001
        return replace(header, reason=f"The instance cannot be decoded ({type(error).__name__}: {error}).")
