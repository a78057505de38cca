"""What volumes would be, before anything is recorded: size, place, part outside, and what they share with others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from console.snapshot import Snapshot
from console.structures import in_the_frame_drawn_on
from dicom_listener.images import SeriesState, SeriesStatus, Structure, StructureSet
from dicom_listener.region_mask import shifted
from quantify.model import Array, Grid, Role, Volume, freeze
from quantify.occupancy import occupancy
from quantify.occupancy_of_mask import mask_occupancy
from quantify.volumes import Box, bounding_box, overlap_ml

_ANYWHERE = Grid(shape=(1, 1, 1), affine_lps_mm=np.diag([1.5, 1.5, 1.5, 1.0]))
"""For the volume alone, where there is no grid to lay a structure on."""


class Place(StrEnum):
    """How the coordinates of an object stand to those of the reference series."""

    REFERENCE = "reference"
    """The same frame of reference."""
    REGISTERED = "registered"
    """That of an anatomy of this examination, which will be registered."""
    ASSUMED = "assumed"
    """It states none: taken as the reference's."""
    UNKNOWN = "unknown"
    """There is no reference series yet."""
    FOREIGN = "foreign"
    """Another one: it cannot be used."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StructurePreview:
    """One structure as it would be.

    ``volume_ml`` is what its contours or mask enclose; ``on_reference_ml`` and ``outside`` (share 0…1 of it beyond the
    reference series) are None where it cannot be laid on the reference yet. ``overlaps_ml`` has, by name, what it
    shares with the treatment's volumes as they are, ``within_ml`` with the other structures of its object. ``cover`` is
    its occupancy inside ``box`` of the reference grid. ``fault`` says why it cannot be used.
    """

    name: str
    number: int
    fault: str = ""
    volume_ml: float | None = None
    on_reference_ml: float | None = None
    outside: float | None = None
    overlaps_ml: Mapping[str, float] = field(default_factory=dict)
    within_ml: Mapping[int, float] = field(default_factory=dict)
    """By number of the other structure."""
    cover: Array | None = field(default=None, repr=False)
    box: Box | None = None

    def __post_init__(self) -> None:
        freeze(self, "cover")

    def on(self, grid: Grid) -> Array:
        """The occupancy on the whole reference grid."""
        whole = np.zeros(grid.shape, dtype=np.float32)
        if self.cover is not None and self.box is not None:
            whole[self.box] = self.cover
        return whole


@dataclass(frozen=True, kw_only=True, eq=False)
class ObjectPreview:
    """One object: where it lies, in a sentence, and its structures."""

    label: str
    place: Place
    place_words: str
    structures: tuple[StructurePreview, ...] = ()
    remark: str = ""


def preview(
    structures: StructureSet, snapshot: Snapshot, *, stopped: Callable[[], bool] = lambda: False
) -> ObjectPreview:
    """Hold an object's structures against the treatment as it is; nothing is recorded.

    Parameters
    ----------
    structures
        As decoded; nothing in it is trusted.
    snapshot
        The treatment.
    stopped
        Asked between structures: what is left is then left out.
    """
    complete = [state for state in snapshot.series if state.status is SeriesStatus.COMPLETE]
    stated = in_the_frame_drawn_on(structures, complete)
    grid = snapshot.reference.grid if snapshot.reference is not None else None
    if grid is None and snapshot.anatomy is not None:
        grid = snapshot.anatomy.grid
    place, words = _place(stated, grid, snapshot, complete)
    laid_on = grid if place in (Place.REFERENCE, Place.ASSUMED) else None
    counts = [structure.name.strip() for structure in stated.structures]
    found = []
    for structure in stated.structures:
        if stopped():
            break
        own = _measured(structure, laid_on)
        if place is Place.FOREIGN:
            own = replace(own, fault="it lies in another frame of reference than the reference series")
        elif counts.count(own.name) > 1:
            own = replace(own, fault=f"it is {counts.count(own.name)} times in the object: rename all but one")
        found.append(own)
    if laid_on is not None:
        found = _with_overlaps(found, laid_on, snapshot.volumes)
    unusable = [
        StructurePreview(name=name.strip(), number=-1 - at, fault=why) for at, (name, why) in enumerate(stated.unusable)
    ]
    return ObjectPreview(
        label=structures.label, place=place, place_words=words, structures=(*found, *unusable), remark=structures.remark
    )


def volume_ml(structure: Structure) -> float | None:
    """What a structure's contours or mask enclose, mL, wherever it lies; None where it cannot be told."""
    return _measured(structure, None).volume_ml


def _place(
    structures: StructureSet, grid: Grid | None, snapshot: Snapshot, complete: Sequence[SeriesState]
) -> tuple[Place, str]:
    frame = structures.frame_of_reference_uid
    if grid is None:
        return Place.UNKNOWN, "no reference series yet: whether it lies in its frame of reference is not known"
    if not frame:
        return Place.ASSUMED, "states no frame of reference: taken as the reference series'"
    if frame == grid.frame_of_reference_uid:
        return Place.REFERENCE, "the frame of reference of the reference series"
    anatomies = {binding.series_key for binding in snapshot.bindings if binding.role == "anatomy"}
    drawn_on = set(structures.referenced_series_uids)
    of_frame = [state for state in complete if state.frame_of_reference_uid == frame]
    for state in of_frame:
        if state.key in anatomies and drawn_on.intersection(state.series_instance_uids):
            name = state.description or "another series"
            return Place.REGISTERED, f"that of {name}, of this examination, which will be registered to the reference"
    if of_frame:
        name = of_frame[0].description or "another series"
        return Place.FOREIGN, f"that of {name}, which is no anatomy of this treatment: give that series this role first"
    return Place.FOREIGN, "another examination's: draw it on a series of this examination"


def _measured(structure: Structure, grid: Grid | None) -> StructurePreview:
    name = structure.name.strip()
    try:
        if structure.mask is not None:
            values, enclosed_ml = mask_occupancy(structure.mask.values, structure.mask.affine_lps_mm, grid or _ANYWHERE)
        else:
            values, enclosed_ml = occupancy([contour.points_mm for contour in structure.contours], grid or _ANYWHERE)
    except ValueError as error:
        return StructurePreview(name=name, number=structure.number, fault=str(error))
    if grid is None:
        return StructurePreview(name=name, number=structure.number, volume_ml=enclosed_ml)
    whole = Volume(name=name, role=Role.TUMOUR, occupancy=values, grid=grid, contour_volume_ml=enclosed_ml)
    box = bounding_box(values > 0)
    outside = whole.fraction_outside_grid
    return StructurePreview(
        name=name,
        number=structure.number,
        fault="" if values[box].size else "it lies wholly outside the reference series",
        volume_ml=enclosed_ml,
        on_reference_ml=whole.volume_ml,
        outside=outside,
        cover=values[box].copy(),
        box=box,
    )


def _with_overlaps(found: list[StructurePreview], grid: Grid, volumes: Sequence[Volume]) -> list[StructurePreview]:
    # A derived volume, such as the healthy liver, is no volume that anybody drew.
    drawn = [v for v in volumes if v.role is not Role.HEALTHY_LIVER and v.grid.shape == grid.shape]
    there = {volume.name: (volume.occupancy, bounding_box(volume.occupancy > 0)) for volume in drawn}
    made = []
    for own in found:
        if own.cover is None or own.box is None:
            made.append(own)
            continue
        within = {}
        for other in found:
            if other is not own and other.cover is not None and other.box is not None:
                within[other.number] = _shared_ml(own.cover, own.box, other.cover, other.box, grid)
        with_others = {
            name: _shared_ml(own.cover, own.box, values[box], box, grid) for name, (values, box) in there.items()
        }
        made.append(replace(own, overlaps_ml=with_others, within_ml=within))
    return made


def _shared_ml(first: Array, first_box: Box, second: Array, second_box: Box, grid: Grid) -> float:
    """`overlap_ml` of two occupancies, each inside a box of the grid: only what both boxes hold is looked at."""
    starts = [max(a.start, b.start) for a, b in zip(first_box, second_box, strict=True)]
    stops = [min(a.stop, b.stop) for a, b in zip(first_box, second_box, strict=True)]
    if any(start >= stop for start, stop in zip(starts, stops, strict=True)):
        return 0.0
    common = tuple(slice(a, b) for a, b in zip(starts, stops, strict=True))
    box: Box = (common[0], common[1], common[2])
    part = Grid(
        shape=(stops[0] - starts[0], stops[1] - starts[1], stops[2] - starts[2]),
        affine_lps_mm=shifted(grid.affine_lps_mm, box),
    )
    one, other = (
        Volume(
            name=name,
            role=Role.TUMOUR,
            occupancy=values[tuple(slice(c.start - b.start, c.stop - b.start) for c, b in zip(box, own, strict=True))],
            grid=part,
            contour_volume_ml=0.0,
        )
        for name, values, own in (("one", first, first_box), ("other", second, second_box))
    )
    return overlap_ml(one, other)
