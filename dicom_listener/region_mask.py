"""Labelled voxels to the mask of each label, cropped to the voxels that it touches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dicom_listener.images import RegionMask
from dicom_listener.pixels import PixelError
from quantify.volumes import Box, bounding_box

MASK_LIMIT_BYTES = 1 << 30
"""Of the masks of one object together: 25 livers of 512 × 512 × 100, cropped, and far inside the memory limit."""
_TABLE_LIMIT = 1 << 16
"""Labels up to here are found in one pass over the array; a larger one would need a table of its own size."""


def cropped(shares: NDArray[np.floating], affine_lps_mm: NDArray[np.float64]) -> RegionMask | None:
    """Return shares 0…1, (slice, row, column), without the empty rim; None where all are zero."""
    box = bounding_box(shares > 0)
    if box[0].start == box[0].stop:
        return None
    return RegionMask(values=shares[box].astype(np.float32), affine_lps_mm=shifted(affine_lps_mm, box))


def masks_of_labels(
    labelled: NDArray[np.integer], labels: Sequence[int], affine_lps_mm: NDArray[np.float64]
) -> dict[int, RegionMask]:
    """Return the mask of every label that at least one voxel of (slice, row, column) has.

    Raises
    ------
    PixelError
        If the masks together need more memory than they may.
    """
    boxes = _boxes(labelled, labels)
    check_size(
        [(box[0].stop - box[0].start, box[1].stop - box[1].start, box[2].stop - box[2].start) for box in boxes.values()]
    )
    return {
        label: RegionMask(values=(labelled[box] == label).astype(np.float32), affine_lps_mm=shifted(affine_lps_mm, box))
        for label, box in boxes.items()
    }


def check_size(shapes: Sequence[tuple[int, int, int]]) -> None:
    """Refuse masks that would need more memory than they may, before any is made.

    Raises
    ------
    PixelError
        If they would; the text is the sentence shown.
    """
    needed = sum(4 * slices * rows * columns for slices, rows, columns in shapes)
    if needed > MASK_LIMIT_BYTES:
        raise PixelError(
            f"Its {len(shapes)} regions would need {needed >> 20} MiB of memory, more than {MASK_LIMIT_BYTES >> 20}; "
            "send only the regions of the plan, or on a coarser grid."
        )


def shifted(affine_lps_mm: NDArray[np.float64], box: Box) -> NDArray[np.float64]:
    """Return the affine of a part of an array: its origin is the centre of the part's first voxel."""
    moved = np.array(affine_lps_mm, dtype=np.float64)
    moved[:3, 3] += moved[:3, :3] @ np.array([part.start for part in box], dtype=np.float64)
    return moved


def _boxes(labelled: NDArray[np.integer], labels: Sequence[int]) -> dict[int, Box]:
    wanted = sorted({label for label in labels if label > 0})
    if not wanted:
        return {}
    if wanted[-1] < _TABLE_LIMIT:
        # Doubles the start-up of a decoding process, of which few ever meet a label map.
        from scipy import ndimage

        # Labels beyond the last one wanted are ignored by the search, whatever their size; so are negative ones.
        found = ndimage.find_objects(labelled, max_label=wanted[-1])
        return {label: box for label in wanted if (box := found[label - 1]) is not None}
    boxes = {label: bounding_box(labelled == label) for label in wanted}
    return {label: box for label, box in boxes.items() if box[0].stop > box[0].start}
