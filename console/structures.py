"""The plan's structures as volumes on the reference grid, with everything that is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from config.plan import TreatmentPlan
from dicom_listener.images import Structure, StructureSet
from quantify.anatomy import move_contours
from quantify.model import Array, FloatArray, Grid, Role, Volume
from quantify.occupancy import occupancy
from quantify.volumes import HEALTHY_LIVER, healthy_part, overlap_ml

_OUTSIDE_WARNING = 0.02


@dataclass(frozen=True, kw_only=True)
class TreatmentVolumes:
    """All volumes in the order of the results: tumours, liver, healthy liver, territories' healthy parts.

    ``faults`` are sentences for the screen.
    """

    all: tuple[Volume, ...] = ()
    faults: tuple[str, ...] = ()
    liver: Volume | None = field(default=None, repr=False)


def brought_over(structures: StructureSet, matrix_lps_mm: FloatArray, frame_of_reference_uid: str) -> StructureSet:
    """The structure set with its contours in another frame of reference; `matrix_lps_mm` is 4×4, rigid."""
    moved = []
    for structure in structures.structures:
        points = move_contours([contour.points_mm for contour in structure.contours], matrix_lps_mm)
        contours = zip(structure.contours, points, strict=True)
        moved.append(replace(structure, contours=tuple(replace(own, points_mm=there) for own, there in contours)))
    return replace(structures, structures=tuple(moved), frame_of_reference_uid=frame_of_reference_uid)


def treatment_volumes(structures: StructureSet | None, plan: TreatmentPlan, grid: Grid) -> TreatmentVolumes:
    """Rasterise the plan's structures on `grid`; one that is missing or faulty is left out with its sentence."""
    if structures is None or plan.structures is None:
        return TreatmentVolumes()
    if structures.frame_of_reference_uid and grid.frame_of_reference_uid != structures.frame_of_reference_uid:
        fault = (
            f"Structure set {structures.label!r} lies in another frame of reference than the reference series; "
            "draw it on a series of this examination."
        )
        return TreatmentVolumes(faults=(fault,))
    faults: list[str] = []
    available = {structure.name.strip(): structure for structure in structures.structures}

    def volume(name: str, role: Role) -> Volume | None:
        structure = available.get(name)
        if structure is None:
            known = ", ".join(sorted(available)) or "none"
            faults.append(f"Structure {name!r} of the plan is not in the structure set, which has: {known}.")
            return None
        return _rasterised(structure, role, grid, faults)

    tumours = [v for name in plan.structures.tumours or () if (v := volume(name, Role.TUMOUR)) is not None]
    faults += [
        f"{a.name} and {b.name} overlap by {overlap_ml(a, b):.1f} mL; voxels in both count in both."
        for n, a in enumerate(tumours)
        for b in tumours[n + 1 :]
        if overlap_ml(a, b) > 0.5
    ]
    volumes: list[Volume] = [*tumours]
    liver = volume(plan.structures.liver, Role.LIVER) if plan.structures.liver else None
    if liver is not None:
        volumes += [liver, healthy_part(liver, tumours)]
    for position, table in plan.positions.items():
        if table.territory:
            territory = volume(table.territory, Role.TERRITORY)
            if territory is not None:
                volumes.append(healthy_part(territory, tumours, name=f"{HEALTHY_LIVER} {position}"))
    return TreatmentVolumes(all=tuple(volumes), faults=tuple(faults), liver=liver)


def _rasterised(structure: Structure, role: Role, grid: Grid, faults: list[str]) -> Volume | None:
    try:
        values, contour_volume_ml = occupancy([c.points_mm for c in structure.contours], grid)
    except ValueError as error:
        faults.append(f"Structure {structure.name!r} cannot be used: {error}")
        return None
    volume = Volume(
        name=structure.name.strip(), role=role, occupancy=values, grid=grid, contour_volume_ml=contour_volume_ml
    )
    if volume.fraction_outside_grid > _OUTSIDE_WARNING:
        faults.append(
            f"{100 * volume.fraction_outside_grid:.0f} % of {volume.name} lies outside the reference series; "
            "its mean speaks for the rest."
        )
    return volume


def disjoint_occupancies(structures: StructureSet | None, plan: TreatmentPlan, grid: Grid) -> dict[str, Array]:
    """Occupancy of every tumour and of the healthy liver on any grid, for the shares of a voxel's signal.

    Empty without a liver: what surrounds a tumour then is not known.
    """
    if structures is None or plan.structures is None or not plan.structures.liver:
        return {}
    faults: list[str] = []
    available = {structure.name.strip(): structure for structure in structures.structures}
    wanted = [(name, Role.TUMOUR) for name in plan.structures.tumours or ()] + [(plan.structures.liver, Role.LIVER)]
    volumes = {
        name: volume
        for name, role in wanted
        if name in available and (volume := _rasterised(available[name], role, grid, faults)) is not None
    }
    liver = volumes.pop(plan.structures.liver, None)
    if liver is None:
        return {}
    healthy = healthy_part(liver, list(volumes.values()))
    return {**{name: volume.occupancy for name, volume in volumes.items()}, HEALTHY_LIVER: healthy.occupancy}
