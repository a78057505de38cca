"""Structures in the reference's frame of reference: as drawn there, or brought over from the anatomy's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from config.settings import RegistrationSettings
from console.structures import brought_over
from dicom_listener.images import SeriesState, StructureSet
from quantify.anatomy import register_anatomy
from quantify.findings import Registration, RegistrationStatus
from quantify.model import EchoSeries, Grid


def placed_structures(
    structures: Sequence[StructureSet],
    drawn_on: Sequence[SeriesState | None],
    reference: EchoSeries,
    settings: RegistrationSettings,
    *,
    voxels: Callable[[SeriesState], EchoSeries],
    announce: Callable[[str], None],
) -> tuple[tuple[StructureSet, ...], list[str]]:
    """The structures in the reference's frame of reference, and the sentences that say how they came there.

    Parameters
    ----------
    drawn_on
        For each of the structures the series that it was drawn on; None if that was not received.
    voxels
        Gives the voxels of a complete series.
    announce
        Called with what is about to be computed, in words.
    """
    placed, faults = [], []
    registrations: dict[str, Registration] = {}
    for own, state in zip(structures, drawn_on, strict=True):
        if state is None or not _elsewhere(own, state, reference.grid):
            placed.append(own)
            continue
        if state.key not in registrations:
            announce("registering the anatomy that the structures were drawn on")
            registrations[state.key] = register_anatomy(anatomy=voxels(state), reference=reference, settings=settings)
        moved, fault = _brought_over(own, state, registrations[state.key], reference.grid)
        placed.append(moved)
        faults.append(fault)
    if structures:
        announce("rasterising the structures")
    return tuple(placed), list(dict.fromkeys(faults))


def _elsewhere(structures: StructureSet, drawn_on: SeriesState, grid: Grid) -> bool:
    """Whether structures lie where their own anatomy does, and that is not the reference's frame of reference."""
    frame = structures.frame_of_reference_uid
    return frame == drawn_on.frame_of_reference_uid and frame != grid.frame_of_reference_uid


def _brought_over(
    structures: StructureSet, drawn_on: SeriesState, registration: Registration, grid: Grid
) -> tuple[StructureSet, str]:
    """The structures in the reference's frame of reference, and the sentence that says how they came there."""
    if registration.status == RegistrationStatus.FAILED:
        return structures, f"The anatomy could not be registered to the reference: {registration.message}"
    anatomy_to_reference = np.linalg.inv(np.array(registration.reference_to_series_lps_mm))
    told = (
        f"Structure set {structures.label!r} was drawn in another frame of reference and brought over by "
        f"registration of {drawn_on.description!r} (moved by {registration.shift_mm:.0f} mm); look at its contours on "
        "the reference before trusting a dose."
    )
    return brought_over(structures, anatomy_to_reference, grid.frame_of_reference_uid), told
