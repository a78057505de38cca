"""The plan's structures as volumes on the reference grid, with everything that is wrong with them.

They may come from several objects (an RT Structure Set with the liver, a Segmentation with the tumours), in any order:
of every name the latest object that has it counts. One that cannot be used does not displace an earlier one that can.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from config.plan import TreatmentPlan
from console.snapshot import VolumeSource
from dicom_listener.images import RegionMask, SeriesState, Structure, StructureSet
from quantify.anatomy import move_contours
from quantify.model import Array, FloatArray, Grid, Role, Volume
from quantify.occupancy import occupancy
from quantify.occupancy_of_mask import mask_occupancy
from quantify.volumes import HEALTHY_LIVER, healthy_part, overlap_ml

_OUTSIDE_WARNING = 0.02
_OUTSIDE_LIVER = 0.5
"""Share of a tumour outside the liver beyond which the liver was drawn without it, or the tumour elsewhere."""


@dataclass(frozen=True, kw_only=True)
class TreatmentVolumes:
    """All volumes in the order of the results: tumours, liver, healthy liver, territories' healthy parts.

    ``faults`` are sentences for the screen. ``remarks`` are too, on what is no fault: which volume is from which
    object, and what was assumed.
    """

    all: tuple[Volume, ...] = ()
    faults: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    liver: Volume | None = field(default=None, repr=False)
    sources: Mapping[str, VolumeSource] = field(default_factory=dict)
    """By the plan's name of a structure."""


def brought_over(structures: StructureSet, matrix_lps_mm: FloatArray, frame_of_reference_uid: str) -> StructureSet:
    """The structure set in another frame of reference, contours and masks; `matrix_lps_mm` is 4×4, rigid."""
    moved = []
    for structure in structures.structures:
        points = move_contours([contour.points_mm for contour in structure.contours], matrix_lps_mm)
        contours = zip(structure.contours, points, strict=True)
        mask = structure.mask
        if mask is not None:
            mask = RegionMask(values=mask.values, affine_lps_mm=matrix_lps_mm @ mask.affine_lps_mm)
        moved.append(
            replace(structure, contours=tuple(replace(own, points_mm=there) for own, there in contours), mask=mask)
        )
    return replace(structures, structures=tuple(moved), frame_of_reference_uid=frame_of_reference_uid)


def in_the_frame_drawn_on(structures: StructureSet, states: Iterable[SeriesState]) -> StructureSet:
    """A structure set that states no frame of reference but its series, with the frame of that series.

    `states` are the complete series. Without one of its series it stays as it is: its coordinates are then taken as
    the reference's, which a remark says.
    """
    if structures.frame_of_reference_uid:
        return structures
    drawn_on = set(structures.referenced_series_uids)
    frames = (s.frame_of_reference_uid for s in states if drawn_on.intersection(s.series_instance_uids))
    return replace(structures, frame_of_reference_uid=next(frames, ""))


def with_chosen(structure_sets: Sequence[StructureSet], chosen: Mapping[str, str]) -> tuple[StructureSet, ...]:
    """The structure sets without what came after a version that an operator chose over it.

    `chosen` has the object (SHA-256) of a volume's name; an object that never came chooses nothing.
    """
    last = {own.object_sha256: number for number, own in enumerate(structure_sets)}
    until = {name: last[sha256] for name, sha256 in chosen.items() if sha256 in last}
    if not until:
        return tuple(structure_sets)
    return tuple(
        replace(
            own,
            structures=tuple(s for s in own.structures if number <= until.get(s.name.strip(), number)),
            unusable=tuple(u for u in own.unusable if number <= until.get(u[0].strip(), number)),
        )
        for number, own in enumerate(structure_sets)
    )


def treatment_volumes(structure_sets: Sequence[StructureSet], plan: TreatmentPlan, grid: Grid) -> TreatmentVolumes:
    """Rasterise the plan's structures on `grid`; one that is missing or faulty is left out with its sentence.

    `structure_sets` are in order of arrival. Where one that came later names a structure and cannot be used for it,
    the earlier one stands, and a fault says so.
    """
    if not structure_sets or plan.structures is None:
        return TreatmentVolumes()
    search = _Search(structure_sets, grid)
    tumours = [v for name in plan.structures.tumours or () if (v := search.volume(name, Role.TUMOUR)) is not None]
    overlaps = [
        f"{a.name} and {b.name} overlap by {overlap_ml(a, b):.1f} mL; voxels in both count in both."
        for n, a in enumerate(tumours)
        for b in tumours[n + 1 :]
        if overlap_ml(a, b) > 0.5
    ]
    search.faults += overlaps
    volumes: list[Volume] = [*tumours]
    liver = search.volume(plan.structures.liver, Role.LIVER) if plan.structures.liver else None
    if liver is not None:
        volumes += [liver, healthy_part(liver, tumours)]
        search.told += [
            f"{100 * outside:.0f} % of {tumour.name} lies outside {liver.name}: if {liver.name} was drawn without its "
            "tumours, as labels that exclude each other are, its dose is that of the healthy liver."
            for tumour in tumours
            if (outside := 1.0 - overlap_ml(tumour, liver) / max(tumour.volume_ml, 1e-6)) > _OUTSIDE_LIVER
        ]
    for position, table in plan.positions.items():
        if table.territory:
            territory = search.volume(table.territory, Role.TERRITORY)
            if territory is not None:
                volumes.append(healthy_part(territory, tumours, name=f"{HEALTHY_LIVER} {position}"))
    return TreatmentVolumes(
        all=tuple(volumes),
        faults=(*search.foreign_faults(), *dict.fromkeys(search.faults)),
        remarks=search.remarks(),
        liver=liver,
        sources=search.sources(),
    )


def disjoint_occupancies(structure_sets: Sequence[StructureSet], plan: TreatmentPlan, grid: Grid) -> dict[str, Array]:
    """Occupancy of every tumour and of the healthy liver on any grid, for the shares of a voxel's signal.

    The grid is in the reference's frame of reference. Empty without a liver: what surrounds a tumour then is not known.
    """
    if not structure_sets or plan.structures is None or not plan.structures.liver:
        return {}
    search = _Search(structure_sets, grid)
    liver = search.volume(plan.structures.liver, Role.LIVER)
    if liver is None:
        return {}
    found = {name: search.volume(name, Role.TUMOUR) for name in plan.structures.tumours or ()}
    tumours = {name: volume for name, volume in found.items() if volume is not None}
    healthy = healthy_part(liver, list(tumours.values()))
    return {**{name: volume.occupancy for name, volume in tumours.items()}, HEALTHY_LIVER: healthy.occupancy}


class _Search:
    """Looks up structures by name, the latest object first, and gathers what is to be told of them."""

    def __init__(self, structure_sets: Sequence[StructureSet], grid: Grid) -> None:
        self.faults: list[str] = []
        self.told: list[str] = []
        """What is no fault."""
        self._sets, self._grid = structure_sets, grid
        self._titles = _titles(structure_sets)
        self._used: dict[str, int] = {}
        self._superseded: dict[str, list[int]] = {}
        self._foreign: dict[int, list[str]] = {}

    def volume(self, name: str, role: Role) -> Volume | None:
        """The structure of that name on the grid; None, with a fault, where no object has a usable one."""
        told: list[str] = []
        volume: Volume | None = None
        tried = False
        for number in reversed(range(len(self._sets))):
            of_name, unusable = _of_name(self._sets[number], name)
            if not of_name and unusable is None:
                continue
            if volume is not None:
                self._superseded.setdefault(name, []).append(number)
                continue
            tried = True
            if self._is_foreign(self._sets[number]):
                self._foreign.setdefault(number, []).append(name)
            elif unusable is not None:
                told.append(f"Structure {name!r} of {self._titles[number]} cannot be used: {unusable}")
            elif len(of_name) > 1:
                told.append(
                    f"Structure {name!r} is {len(of_name)} times in {self._titles[number]}; which one is meant cannot "
                    "be told: rename all but one."
                )
            else:
                try:
                    volume = _rasterised(of_name[0], role, self._grid)
                except ValueError as error:
                    told.append(f"Structure {name!r} cannot be used: {error}")
                else:
                    self._used[name] = number
        if not tried:
            self.faults.append(self._missing(name))
        elif volume is not None and told:
            told[-1] += f" {name} of {self._titles[self._used[name]]} is used."
        self.faults += told
        if volume is not None and volume.fraction_outside_grid > _OUTSIDE_WARNING:
            self.faults.append(
                f"{100 * volume.fraction_outside_grid:.0f} % of {volume.name} lies outside the reference series; "
                "its mean speaks for the rest."
            )
        return volume

    def _is_foreign(self, structures: StructureSet) -> bool:
        frame = structures.frame_of_reference_uid
        return bool(frame) and frame != self._grid.frame_of_reference_uid

    def _missing(self, name: str) -> str:
        known = sorted({structure.name.strip() for own in self._sets for structure in own.structures})
        where = "the structure set, which has" if len(self._sets) == 1 else "any object, which have"
        near = _nearest(name, known)
        meant = f" Did you mean {near!r}?" if near is not None else ""
        return f"Structure {name!r} of the plan is not in {where}: {', '.join(known) or 'none'}.{meant}"

    def foreign_faults(self) -> list[str]:
        """What lies in another frame of reference, a sentence for each object."""
        return [
            f"{_capital(self._titles[number])} ({', '.join(dict.fromkeys(names))}) lies in another frame of reference "
            "than the reference series; draw it on a series of this examination."
            for number, names in sorted(self._foreign.items())
        ]

    def sources(self) -> dict[str, VolumeSource]:
        """By name: the object that it is taken from, and which of the objects that name it that is."""
        return {
            name: VolumeSource(
                title=self._titles[number],
                sha256=self._sets[number].object_sha256,
                version=1 + len(self._superseded.get(name, ())),
            )
            for name, number in self._used.items()
        }

    def remarks(self) -> tuple[str, ...]:
        """Which volume is from which object, if they are from several; and what those objects remark."""
        used = sorted(set(self._used.values()))
        told = [*self.told]
        if len(used) > 1:
            parts = (
                f"{', '.join(name for name, own in self._used.items() if own == number)} from {self._titles[number]}"
                for number in used
            )
            told.append(f"Volumes come from {len(used)} objects: {'; '.join(parts)}.")
        for name, numbers in self._superseded.items():
            earlier = ", ".join(self._titles[number] for number in sorted(numbers))
            told.append(f"{name} is the later one, of {self._titles[self._used[name]]}; also in {earlier}.")
        for number in used:
            if not self._sets[number].frame_of_reference_uid:
                told.append(
                    f"{_capital(self._titles[number])} states no frame of reference: its coordinates are taken "
                    "as the reference series' own."
                )
            if self._sets[number].remark:
                told.append(self._sets[number].remark)
        return tuple(told)


def _titles(structure_sets: Sequence[StructureSet]) -> list[str]:
    labels = [own.label for own in structure_sets]
    return [
        f"structure set {label!r}" + (f" (no. {labels[:number].count(label) + 1})" if labels.count(label) > 1 else "")
        for number, label in enumerate(labels)
    ]


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _of_name(structures: StructureSet, name: str) -> tuple[list[Structure], str | None]:
    """The structures of a name, and why one of it cannot be used, if so."""
    found = [structure for structure in structures.structures if structure.name.strip() == name]
    return found, next((why for own, why in structures.unusable if own.strip() == name), None)


def _nearest(name: str, known: Sequence[str]) -> str | None:
    plain = {re.sub(r"[\s_-]+", " ", other).strip().casefold(): other for other in known}
    wanted = re.sub(r"[\s_-]+", " ", name).strip().casefold()
    # Numbers tell tumours apart: 'Tumour 2' is not a slip of the pen for 'Tumour 1'.
    alike = [other for other in plain if re.findall(r"\d+", other) == re.findall(r"\d+", wanted)]
    near = get_close_matches(wanted, alike, n=1, cutoff=0.8)
    return plain[near[0]] if near else None


def _rasterised(structure: Structure, role: Role, grid: Grid) -> Volume:
    """The structure on the grid; raises ValueError where it cannot be."""
    if structure.mask is not None:
        values, volume_ml = mask_occupancy(structure.mask.values, structure.mask.affine_lps_mm, grid)
    else:
        values, volume_ml = occupancy([contour.points_mm for contour in structure.contours], grid)
    return Volume(name=structure.name.strip(), role=role, occupancy=values, grid=grid, contour_volume_ml=volume_ml)
