"""NIfTI label maps to masks: one file from a drawing program, and the names that an operator gives its labels.

NIfTI's coordinates grow towards right, anterior and superior (RAS+); it states no frame of reference and no names
(https://nifti.nimh.nih.gov/nifti-1/documentation/nifti1fields).
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicom_listener.images import RegionMask, Structure, StructureSet
from dicom_listener.pixels import PixelError
from dicom_listener.region_mask import cropped, masks_of_labels

_HEADER_BYTES = {b"n+1\0": 348, b"n+2\0\r\n\032\n": 540}
_GZIP_MAGIC = b"\x1f\x8b"
_DEFLATE_EXPANSION = 1032
"""No deflated byte gives more: a match of 258 bytes takes two bits at least."""
_MOST_EXTENSION_BYTES = 1 << 24
_MOST_VOXELS = 1 << 26
"""512 × 512 × 256: what is scaled is float64, and copies of it must stay inside the memory limit."""
_MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
"""By NIFTI_UNITS code; unknown is taken as mm, as every reader does."""
_PATIENT_SPACE = (1, 2)
"""Form codes of scanner coordinates and of another image's; 3 and up are atlases: no place in this patient."""
_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_INTEGERS_AND_FLOATS = "iuf"


def label_map(data: bytes, labels: Mapping[int, str], *, name: str = "label map") -> tuple[StructureSet, str]:
    """Read a NIfTI file (.nii or .nii.gz) as the regions that its labels mean.

    Parameters
    ----------
    data
        The file's bytes; nothing in them is trusted.
    labels
        Name of the region of each label, a whole number from 1. A file of shares 0…1 takes one name.
    name
        What the file is called in sentences.

    Returns
    -------
    tuple
        The regions as masks (LPS mm), with an empty frame of reference: NIfTI states none. And a sentence on what was
        left out or assumed, or why nothing can be used. Never raises for what is in the file.
    """
    digest = hashlib.sha256(data)
    digest.update(repr((name, sorted(labels.items()))).encode())
    found = StructureSet(
        label=name,
        sop_instance_uid=f"sha256:{digest.hexdigest()}",
        frame_of_reference_uid="",
        referenced_series_uids=(),
        structures=(),
    )
    try:
        masks, remark = _masks(data, labels)
    except PixelError as error:
        why = str(error)
    except MemoryError:
        why = "it needs more memory than decoding may use."
    # Hostile bytes can make a header's reader raise nearly anything.
    except Exception as error:  # noqa: BLE001
        why = f"it cannot be read as NIfTI ({type(error).__name__}: {error})."
    else:
        structures = tuple(Structure(name=labels[n], number=n, mask=masks[n]) for n in labels if n in masks)
        empty = tuple((labels[n], f"no voxel has its label, {n}") for n in labels if n not in masks)
        return replace(found, structures=structures, unusable=empty, remark=remark), remark
    unusable = tuple((own, f"the label map cannot be used: {why}") for own in labels.values())
    return replace(found, unusable=unusable), f"Label map {name!r} cannot be used: {why}"


def given_label_map(payload: Mapping[str, Any], data: bytes) -> StructureSet:
    """Read a label map as the event LABEL_MAP_GIVEN brings it: `payload` has its name, and its labels as text.

    What is no label among them becomes unusable by its name. Never raises.
    """
    told = payload.get("labels")
    labels, unusable = {}, []
    for label, region in told.items() if isinstance(told, Mapping) else ():
        try:
            labels[int(str(label))] = str(region)
        except ValueError:
            unusable.append((str(region), f"its label is {label!r}; labels are whole numbers from 1"))
    found, _ = label_map(data, labels, name=str(payload.get("name") or "label map"))
    frame = payload.get("frame_of_reference_uid")  # of what was drawn here
    return replace(
        found,
        frame_of_reference_uid=frame if isinstance(frame, str) else "",
        unusable=(*found.unusable, *unusable),
    )


def _masks(data: bytes, labels: Mapping[int, str]) -> tuple[dict[int, RegionMask], str]:
    if not labels:
        raise PixelError("no label was given a name; say which value means which structure.")
    if min(labels) < 1:
        raise PixelError(f"label {min(labels)} was given a name; labels are whole numbers from 1, and 0 is outside.")
    header, plain = _header(data)
    shape = _shape(header)
    affine, unit_unknown = _affine(header, shape)
    values = _scaled(header, _values(header, plain, data, shape))
    remarks = ["The label map states no unit of length: mm were assumed."] if unit_unknown else []
    if values.dtype.kind == "f":
        missing = np.isnan(values)
        if missing.any():
            values = np.where(missing, 0.0, values)
            remarks.append("Voxels that are no number were taken as outside.")
        if not np.isfinite(values).all():
            raise PixelError("it has infinite values.")
        if (values != np.rint(values)).any():
            return _share(values, labels, affine), " ".join(remarks)
        if np.abs(values).max() > np.iinfo(np.int32).max:
            raise PixelError(f"it has values up to {np.abs(values).max():g}; that is no label.")
        values = values.astype(np.int32)
    masks = masks_of_labels(values, tuple(labels), affine)
    others = [str(label) for label in _present(values) if label not in labels]
    if others:
        remarks.append(f"Labels without a name were left out: {', '.join(others[:10])}{', …' * (len(others) > 10)}.")
    return masks, " ".join(remarks)


def _share(
    values: NDArray[np.floating], labels: Mapping[int, str], affine: NDArray[np.float64]
) -> dict[int, RegionMask]:
    """Return the one region of a map of shares."""
    if values.min() < 0.0 or values.max() > 1.0:
        raise PixelError(f"it has values from {values.min():g} to {values.max():g} that are neither labels nor 0…1.")
    if len(labels) > 1:
        raise PixelError(f"it is a map of shares 0…1, of one structure, but {len(labels)} labels were given names.")
    mask = cropped(values, affine)
    return {} if mask is None else {next(iter(labels)): mask}


def _present(values: NDArray[np.integer]) -> list[int]:
    """Return the labels that voxels have, without 0."""
    low, high = int(values.min()), int(values.max())
    if low >= 0 and high < 1 << 16:
        return [int(label) for label in np.flatnonzero(np.bincount(values.ravel()[values.ravel() > 0]))]
    return [int(label) for label in np.unique(values) if label != 0]


# -- the file ----------------------------------------------------------------------------------------------------------


def _header(data: bytes) -> tuple[Any, BytesIO | gzip.GzipFile]:
    """Return the header, and the file open for reading from its beginning: what is deflated stays so."""
    # Costs 0.3 s, which a console without label maps need not spend at its start.
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    plain: BytesIO | gzip.GzipFile = BytesIO(data)
    if data.startswith(_GZIP_MAGIC):
        plain = gzip.GzipFile(fileobj=BytesIO(data))
    try:
        begin = plain.read(540)
    except (OSError, EOFError, zlib.error) as error:
        raise PixelError(f"its compressed bytes are damaged ({error}).") from None
    plain.seek(0)
    if begin[344:348] in _HEADER_BYTES and len(begin) >= 348:
        return Nifti1Header(begin[:348], check=False), plain  # type: ignore[no-untyped-call]
    if begin[4:12] in _HEADER_BYTES and len(begin) == 540:
        return Nifti2Header(begin, check=False), plain  # type: ignore[no-untyped-call]
    if begin[344:348] == b"ni1\0":
        raise PixelError("it is the header of a pair of files (.hdr, .img); save it as one .nii or .nii.gz.")
    raise PixelError("it is no NIfTI file (.nii or .nii.gz).")


def _shape(header: Any) -> tuple[int, int, int]:  # noqa: ANN401
    """Return (slices, rows, columns)."""
    sizes = [int(n) for n in header["dim"]]
    n_dimensions = sizes[0]
    if not 3 <= n_dimensions <= 7:
        raise PixelError(f"it has {n_dimensions} dimensions; expected three.")
    if max(sizes[4 : n_dimensions + 1], default=1) > 1:
        raise PixelError(f"it has {n_dimensions} dimensions ({sizes[1 : n_dimensions + 1]}); expected one 3-D volume.")
    columns, rows, slices = sizes[1:4]
    if min(slices, rows, columns) < 1:
        raise PixelError(f"it is declared as {columns} × {rows} × {slices} voxels; there is nothing in it.")
    return slices, rows, columns


def _values(
    header: Any,  # noqa: ANN401
    plain: BytesIO | gzip.GzipFile,
    data: bytes,
    shape: tuple[int, int, int],
) -> NDArray[Any]:
    """Return the stored values, (slice, row, column): x runs fastest in the file."""
    try:
        dtype = np.dtype(header.get_data_dtype())
    except Exception:  # noqa: BLE001 - an unknown code raises what nibabel's tables raise
        raise PixelError(f"its data type {int(header['datatype'])} is unknown.") from None
    if dtype.kind not in _INTEGERS_AND_FLOATS or dtype.itemsize > 8:
        raise PixelError(f"its values are {dtype}; expected whole or floating-point numbers.")
    n_voxels = shape[0] * shape[1] * shape[2]
    offset = float(header["vox_offset"])
    if not int(header["sizeof_hdr"]) <= offset <= _MOST_EXTENSION_BYTES:
        raise PixelError(f"its voxels are said to begin at byte {offset:g}; the header is wrong.")
    needed = int(offset) + n_voxels * dtype.itemsize
    if n_voxels > _MOST_VOXELS:
        raise PixelError(
            f"its {shape[2]} × {shape[1]} × {shape[0]} voxels are more than {_MOST_VOXELS:,}; crop it to the liver or "
            "make it coarser."
        )
    most = len(data) * (_DEFLATE_EXPANSION if isinstance(plain, gzip.GzipFile) else 1)
    if needed > most:
        raise PixelError(f"its voxels need {needed} bytes, which {len(data)} bytes of file cannot hold; it is cut off.")
    try:
        content = plain.read(needed)
    except (OSError, EOFError, zlib.error) as error:
        raise PixelError(f"its compressed bytes are damaged ({error}).") from None
    if len(content) < needed:
        raise PixelError(f"its voxels need {needed} bytes and there are {len(content)}; it is cut off.")
    stored: NDArray[Any] = np.frombuffer(content, dtype, count=n_voxels, offset=int(offset)).reshape(shape)
    return stored.astype(dtype.newbyteorder("="), copy=False)


def _scaled(header: Any, stored: NDArray[Any]) -> NDArray[Any]:  # noqa: ANN401
    """Return value = slope · stored + intercept, float64 where it is not the identity; a slope of 0 means none."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0.0 or np.isnan(slope) or (slope, intercept) == (1.0, 0.0):
        return stored
    if not (np.isfinite(slope) and np.isfinite(intercept)):
        raise PixelError(f"its scaling is {slope:g}, {intercept:g}; the header is wrong.")
    scaled: NDArray[Any] = stored * slope + intercept
    # 255 · float32(1/255) is 1.0000000591: what single precision rounds is the whole it was meant to be.
    whole = np.rint(scaled)
    return np.where(np.abs(scaled - whole) < 1e-6, whole, scaled)


# -- the place ---------------------------------------------------------------------------------------------------------


def _affine(header: Any, shape: tuple[int, int, int]) -> tuple[NDArray[np.float64], bool]:  # noqa: ANN401
    """Return the 4×4 from (slice, row, column, 1) to LPS mm, and whether the unit of length was assumed."""
    unit = int(header["xyzt_units"]) & 0x07
    if unit not in _MM_PER_UNIT:
        raise PixelError(f"its unit of length has the unknown code {unit}; expected m, mm or µm.")
    forms = []
    if int(header["sform_code"]) in _PATIENT_SPACE:
        forms.append(np.asarray(header.get_sform(), dtype=np.float64))
    if int(header["qform_code"]) in _PATIENT_SPACE:
        forms.append(np.asarray(header.get_qform(), dtype=np.float64))
    if not forms:
        codes = int(header["sform_code"]), int(header["qform_code"])
        raise PixelError(
            f"it states no place in the patient (sform_code {codes[0]}, qform_code {codes[1]}; expected 1 or 2); "
            "save it on the grid of the series that it was drawn on."
        )
    ras = forms[0]
    if not np.isfinite(ras).all() or abs(np.linalg.det(ras[:3, :3])) < 1e-9:
        raise PixelError("its sform or qform is not a finite, invertible matrix.")
    corners = np.array([(i, j, k, 1.0) for i in (0, shape[2]) for j in (0, shape[1]) for k in (0, shape[0])])
    apart = float(np.linalg.norm((corners @ (forms[-1] - ras).T)[:, :3], axis=1).max())
    smallest = float(np.linalg.norm(ras[:3, :3], axis=0).min())
    if not apart <= 0.5 * smallest:
        raise PixelError(
            f"its sform and qform place it {apart * _MM_PER_UNIT[unit]:.1f} mm apart; which of the two holds cannot "
            "be told."
        )
    lps = _LPS_FROM_RAS @ ras
    lps[:3] *= _MM_PER_UNIT[unit]
    return lps[:, [2, 1, 0, 3]], unit == 0
