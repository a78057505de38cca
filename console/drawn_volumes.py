"""What was drawn in the window as a volume of the treatment: a label map with its place, and the plan that names it."""

from __future__ import annotations

import copy
import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from console.operations import GiveVolumes
from console.snapshot import Snapshot
from dicom_listener.images import Structure
from quantify.drawing import Lattice, Patch
from quantify.drawing_canvas import Canvas
from quantify.drawing_regions import contours_on_lattice, mask_on_lattice
from quantify.model import Role, Volume
from quantify.volumes import Box

LABEL = 1
"""The one label of a drawn volume."""
_RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_SCANNER_SPACE = 1
_TOLERATED_OUTSIDE = 0.02
"""Share of a volume that rounding its contours may seem to leave outside, as `console.structures` has it."""


def given_volume(canvas: Canvas, *, name: str, role: Role, snapshot: Snapshot) -> GiveVolumes:
    """The operation that records a drawing as a version of a volume.

    The plan is changed only where it does not name the volume yet.

    Raises
    ------
    ValueError
        If nothing is drawn, or the role is neither the liver's nor a tumour's.
    """
    if canvas.count == 0:
        raise ValueError("Nothing is drawn; draw the volume before it is saved.")
    if role not in (Role.LIVER, Role.TUMOUR):
        raise ValueError(f"A drawn volume cannot be {role.value!r}; expected liver or tumour.")
    return GiveVolumes(
        name=f"drawing of {name}",
        labels={LABEL: name},
        nifti=nifti_bytes(canvas.mask, canvas.lattice, canvas.box),
        frame_of_reference_uid=canvas.lattice.reference.frame_of_reference_uid,
        drawn=canvas.words,
        plan=plan_with(snapshot.loaded.get("plan"), name, role),
    )


def plan_with(plan: Mapping[str, Any] | None, name: str, role: Role) -> dict[str, Any] | None:
    """The plan with a structure more, as a copy; None where it names it already, or there is no plan."""
    if plan is None:
        return None
    structures = dict(plan.get("structures") or {})
    if role is Role.LIVER:
        if structures.get("liver") == name:
            return None
        structures["liver"] = name
    else:
        tumours = [*(structures.get("tumours") or ())]
        if name in tumours:
            return None
        structures["tumours"] = [*tumours, name]
    return {**copy.deepcopy(dict(plan)), "structures": structures}


def nifti_bytes(mask: NDArray[np.bool_], lattice: Lattice, box: Box) -> bytes:
    """A part of a mask as a NIfTI label map (.nii.gz), uint8, label 1; equal drawings give equal bytes.

    Parameters
    ----------
    mask
        On the lattice, (slice, row, column).
    box
        The part of the lattice outside of which nothing is drawn.
    """
    from nibabel.nifti1 import Nifti1Image  # costs 0.3 s, which a window in which nothing is drawn need not spend

    # NIfTI's indices run the other way round, (column, row, slice), and its axes towards right and front.
    affine = (_RAS_FROM_LPS @ lattice.part(box).affine_lps_mm)[:, [2, 1, 0, 3]]
    values = np.ascontiguousarray(np.where(mask[box], np.uint8(LABEL), np.uint8(0)).transpose(2, 1, 0))
    image: Any = Nifti1Image(values, affine)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units(xyz="mm")
    image.set_sform(affine, code=_SCANNER_SPACE)
    image.set_qform(None, code=0)
    return gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)


def object_sha256(operation: GiveVolumes) -> str:
    """Under which the drawing is stored, hex: by it the version of the next snapshot is known as this one."""
    return hashlib.sha256(operation.nifti).hexdigest()


def known_names(snapshot: Snapshot) -> tuple[str, ...]:
    """Every name of a volume or structure that there is, once."""
    found = (structure.name.strip() for given in snapshot.structures for structure in given.structures.structures)
    return tuple(dict.fromkeys((*(volume.name for volume in drawn_volumes(snapshot)), *found)))


def drawn_volumes(snapshot: Snapshot) -> tuple[Volume, ...]:
    """The volumes that somebody drew, not those that follow from others."""
    return tuple(own for own in snapshot.volumes if own.role is not Role.HEALTHY_LIVER)


def volume_on_lattice(snapshot: Snapshot, name: str, lattice: Lattice) -> tuple[Patch, str]:
    """A volume that there is, on the lattice; and where it is from, in words.

    From its contours or mask as they came, where those lie in the lattice's frame of reference; else from the shares of
    the reference's voxels that the results are made with.

    Raises
    ------
    ValueError
        If there is no usable volume of that name; the text is the sentence shown.
    """
    source = snapshot.volume_sources.get(name)
    title = f"{name} of {source.title}, version {source.version}" if source is not None else f"{name} as it is"
    structure = _as_it_came(snapshot, name, lattice.reference.frame_of_reference_uid)
    if structure is not None and structure.mask is not None:
        return mask_on_lattice(structure.mask.values, structure.mask.affine_lps_mm, lattice), title
    if structure is not None:
        return contours_on_lattice([contour.points_mm for contour in structure.contours], lattice), title
    volume = next((own for own in drawn_volumes(snapshot) if own.name == name), None)
    if volume is None or not volume.occupancy.any():
        raise ValueError(f"{name} cannot be used here; choose another volume.")
    found = mask_on_lattice(volume.occupancy, volume.grid.affine_lps_mm, lattice)
    beyond = volume.fraction_outside_grid > _TOLERATED_OUTSIDE
    return replace(found, whole_ml=volume.contour_volume_ml if beyond else None), title


def _as_it_came(snapshot: Snapshot, name: str, frame_of_reference_uid: str) -> Structure | None:
    """The structure that the results use, in the coordinates of a frame; None where it does not lie there."""
    source = snapshot.volume_sources.get(name)
    for given in reversed(snapshot.structures):
        own = given.structures
        if source is not None and own.object_sha256 != source.sha256:
            continue
        found = [structure for structure in own.structures if structure.name.strip() == name]
        # One that states no frame may have been drawn on another series than the reference.
        if len(found) == 1 and own.frame_of_reference_uid == frame_of_reference_uid:
            return found[0]
    return None
