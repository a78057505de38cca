"""Images to acquisitions: which belong together, and whether the (echo × slice) grid is complete, and why.

The network has no end of a series. An acquisition is COMPLETE if its own grid is full, its spacing uniform, the
counts that its header declares agree, and it has the reference's echo times and slice count; or if its
associations are closed; or if its series have been silent. Closed or silent with holes is INCOMPLETE.
"""

from __future__ import annotations

import collections.abc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from dicom_listener.assembly_completeness import Declared, Expectation, Scope, verdict
from dicom_listener.assembly_grid import EchoSliceGrid, echo_slice_grid
from dicom_listener.assembly_parts import (
    ECHO_TIME_TOLERANCE_S,
    Part,
    Placed,
    geometry_of,
    place,
    place_phase,
)
from dicom_listener.assembly_phase import PhaseCells, phase_cells, phase_volume
from dicom_listener.assembly_refusals import refusal, unequal_display
from dicom_listener.assembly_stacks import Stack, Stacks, joins
from dicom_listener.assembly_without_magnitude import without_magnitude
from dicom_listener.images import AssembledSeries, MrImage, Sequence, SeriesState, SeriesStatus
from quantify.model import EchoSeries

Group = tuple[Part, ...]


@dataclass(eq=False)
class _Evaluation:
    """What was found of a group at given versions of its parts."""

    versions: tuple[object, ...]
    state: SeriesState
    grid: EchoSliceGrid
    series: EchoSeries | None = None
    phase: PhaseCells | None = None
    """The phase images that `series` was made with."""


class Assembly:
    """Assembles the images of a treatment, event by event.

    The result is a function of the events: it does not depend on the order of images within an association, nor
    on when it is asked for.
    """

    def __init__(self) -> None:
        self._stacks: dict[tuple[object, ...], Stacks] = {}
        self._by_header: dict[tuple[object, ...], Stack] = {}
        self._by_association: dict[str, set[Part]] = {}
        self._by_series: dict[str, list[tuple[Stack, Part]]] = {}
        self._by_key: dict[str, list[tuple[Stack, Part]]] = {}
        self._images_of_series: dict[str, int] = {}
        self._seen_complete: dict[Stack, dict[str, list[Group]]] = {}
        self._evaluations: dict[Group, _Evaluation] = {}
        self._groups: dict[Stack, tuple[object, list[Group]]] = {}
        self._expectation: Expectation | None = None
        self._reported: dict[str, SeriesState] = {}

    def add(self, images: collections.abc.Sequence[MrImage], *, seq: int, association: str) -> None:
        """Take in the images of one instance, stored by event `seq` of `association`.

        An image equal to one that is there (echo time, position, pixels) changes nothing. An image that enters a
        complete acquisition, from another association than the one that completed it or after its end, is late:
        the revision grows. A phase image never makes it grow: it is used where there is one for every echo and slice,
        whenever it came, and the magnitude series is the same with and without it.
        """
        for image in images:
            stack = self._stack_of(image)
            complete = self._complete_before(stack, association)
            part = self._part_of(stack, image)
            placed = place(image, seq, stack.geometry.normal)
            if placed is None:
                if not part.leave_out(image, seq, stack.geometry.normal):
                    continue
                if (phase := place_phase(image, stack.geometry.normal)) is not None:
                    part.keep_phase(phase)
            elif not part.insert(placed):
                continue
            self._images_of_series[part.series_instance_uid] += 1
            if association not in part.open_associations:
                part.open_associations.add(association)
                self._by_association.setdefault(association, set()).add(part)
            part.quiet = False
            if placed is not None:
                self._count_late(stack, part, placed, complete)

    def association_closed(self, association: str) -> None:
        """Note that an association has ended: what it sent is all that comes of it."""
        for part in self._by_association.pop(association, set()):
            part.open_associations.discard(association)
            part.version += 1
        self._seen_complete.clear()

    def all_associations_closed(self) -> None:
        """Note that the listener has restarted: whatever was open is over."""
        for association in sorted(self._by_association):
            self.association_closed(association)

    def series_quiet(self, series_instance_uid: str) -> None:
        """Note that a series has been silent for the quiet time."""
        for _, part in self._by_series.get(series_instance_uid, ()):
            part.quiet = True
            part.version += 1
        self._seen_complete.clear()

    def expect(
        self,
        echo_times_s: collections.abc.Sequence[float],
        n_slices: int,
        *,
        tolerance_s: float = ECHO_TIME_TOLERANCE_S,
    ) -> None:
        """Set the reference's protocol: a full grid of these echo times and slices is complete at once."""
        self._expectation = Expectation(echo_times_s=tuple(echo_times_s), n_slices=n_slices, tolerance_s=tolerance_s)

    def states(self) -> tuple[SeriesState, ...]:
        """Return the state of every acquisition, by acquisition time, then key."""
        found = [self._evaluate(stack, group).state for stack, group in self._all_groups()]
        found += self._all_without_magnitude()
        return tuple(sorted(found, key=lambda s: (s.acquired_at.timestamp() if s.acquired_at else np.inf, s.key)))

    def changed(self) -> frozenset[str]:
        """Return the keys whose state differs from what the last call saw, those that vanished included."""
        now = {state.key: state for state in self.states()}
        before, self._reported = self._reported, now
        return frozenset(key for key in now.keys() | before.keys() if now.get(key) != before.get(key))

    def assembled(self, key: str) -> AssembledSeries:
        """Return an acquisition with its voxels, stacked once; raises KeyError where there is no such key.

        `EchoSeries.phase_rad` is there if by now every echo and slice has a phase image; one that completes them later
        gives another `EchoSeries` of the same signal and revision.
        """
        for stack, part in self._by_key.get(key, ()):
            group = self._group_of(stack, part)
            if group is None or group[0] is not part:
                continue
            evaluation = self._evaluate(stack, group)
            if evaluation.state.status is SeriesStatus.COMPLETE:
                _stack_voxels(stack, group, evaluation)
            return AssembledSeries(state=evaluation.state, series=evaluation.series)
        for stack, part in self._by_key.get(key, ()):
            state = self._without_magnitude(stack, part)
            if state is not None:
                return AssembledSeries(state=state, series=None)
        raise KeyError(f"There is no series with the key {key!r}.")

    def resolve(self, key: str) -> str | None:
        """Return the present key of the acquisition that holds what `key` once named; None where there is none.

        The key is that of the first echo's series, so it changes when that series is the last to begin.
        """
        known = self._by_key.get(key, ())
        groups = ((stack, group) for stack, part in known if (group := self._group_of(stack, part)) is not None)
        for stack, group in groups:
            return _key(stack, group[0])
        return key if any(self._without_magnitude(stack, part) is not None for stack, part in known) else None

    def _group_of(self, stack: Stack, part: Part) -> Group | None:
        return next((group for group in self._of(stack) if part in group), None) if part.placed else None

    def _all_groups(self) -> list[tuple[Stack, Group]]:
        return [(stack, group) for stacks in self._stacks.values() for stack in stacks for group in self._of(stack)]

    def _of(self, stack: Stack) -> list[Group]:
        """Return the stack's acquisitions, found anew only after one of its parts has changed."""
        versions = tuple(part.version for part in stack.parts.values())
        cached = self._groups.get(stack)
        if cached is None or cached[0] != versions:
            cached = self._groups[stack] = versions, stack.groups()
        return cached[1]

    def _stack_of(self, image: MrImage) -> Stack:
        geometry = geometry_of(image)
        header = (
            image.study_instance_uid,
            image.frame_of_reference_uid,
            image.protocol,
            image.acquisition_number,
            geometry.matrix,
        )
        exact = (*header, geometry)
        stack = self._by_header.get(exact)
        if stack is None:
            stacks = self._stacks.setdefault(header, Stacks())
            stack = stacks.find(geometry)
            if stack is None:
                stack = Stack(geometry, *header[:4])
                stacks.add(stack)
            self._by_header[exact] = stack
        return stack

    def _part_of(self, stack: Stack, image: MrImage) -> Part:
        uid = image.series_instance_uid
        part = stack.parts.get(uid)
        if part is None:
            part = stack.parts[uid] = Part(uid, image.description)
            self._by_series.setdefault(uid, []).append((stack, part))
            self._by_key.setdefault(_key(stack, part), []).append((stack, part))
            self._images_of_series.setdefault(uid, 0)
        return part

    def _complete_before(self, stack: Stack, association: str) -> list[Group]:
        """Return what was complete in the stack when the association began to send into it."""
        known = self._seen_complete.setdefault(stack, {})
        if association not in known:
            known[association] = [
                group for group in self._of(stack) if self._evaluate(stack, group).state.status is SeriesStatus.COMPLETE
            ]
        return known[association]

    def _count_late(self, stack: Stack, part: Part, image: Placed, complete: list[Group]) -> None:
        for group in complete:
            if part not in group and not (
                image.acquired_at is not None
                and any(joins(part, member) for member in group)
                and any(part in now and not set(now).isdisjoint(group) for now in self._of(stack))
            ):
                continue
            late = 1 + max(member.late for member in group)
            for member in (*group, part):
                member.late = late
                member.version += 1
            for others in self._seen_complete[stack].values():
                if group in others:
                    others.remove(group)
            return

    def _evaluate(self, stack: Stack, group: Group) -> _Evaluation:
        versions = (
            tuple(part.version for part in stack.parts.values() if part in group or not part.placed),
            tuple(self._images_of_series[part.series_instance_uid] for part in group),
            self._expectation,
        )
        known = self._evaluations.get(group)
        if known is None or known.versions != versions:
            grid = echo_slice_grid([image for part in group for image in part.placed])
            state = self._state(stack, group, grid)
            if known is not None and known.grid.cells == grid.cells:
                known = _Evaluation(versions, state, grid, known.series, known.phase)
            else:
                known = _Evaluation(versions, state, grid)
            self._evaluations[group] = known
        return known

    def _state(self, stack: Stack, group: Group, grid: EchoSliceGrid) -> SeriesState:
        images = [image for part in group for image in part.placed]
        field = next((image.field_strength_t for image in images if image.field_strength_t is not None), None)
        kinds = {image.sequence for image in images}
        sequence = (
            kinds.pop() if len(kinds) == 1 else (Sequence.SPIN_ECHO if Sequence.SPIN_ECHO in kinds else Sequence.OTHER)
        )
        status, reason, expected = verdict(
            grid,
            images,
            declared=self._declared(stack, group),
            reference=self._expectation,
            closed=all(part.is_closed for part in group),
            silent=any(part.open_associations for part in group),
        )
        times = [image.acquired_at for image in images if image.acquired_at is not None]
        return SeriesState(
            key=_key(stack, group[0]),
            series_instance_uids=tuple(part.series_instance_uid for part in group),
            description=group[0].description,
            protocol=stack.protocol,
            status=status,
            reason=reason,
            echo_times_s=grid.echo_times_s,
            n_slices=grid.n_slices,
            received=grid.received,
            expected=expected,
            left_out=stack.left_out_beside(group) + grid.no_echo_time,
            acquired_at=min(times, default=None),
            frame_of_reference_uid=stack.frame_of_reference_uid,
            field_strength_t=field,
            sequence=sequence,
            holmium_refusal=refusal(
                sequence=sequence,
                n_echoes=grid.n_echoes,
                n_slices=grid.n_slices,
                field_strength_t=field,
                fault=grid.fault or unequal_display({image.display_slope for image in images}),
            ),
            revision=1 + max(part.late for part in group),
            last_seq=max(image.seq for image in images),
        )

    def _declared(self, stack: Stack, group: Group) -> list[Declared]:
        """Return what each series of an acquisition declares, and what has come by each reading of it."""
        beside = stack.beside(group)
        acquisition = _scope((*group, *beside))
        return [
            Declared(
                images=max(image.declared_images for image in part.placed),
                own=_scope((part,)),
                wider=(_scope([known for _, known in self._by_series[part.series_instance_uid]]), acquisition),
            )
            for part in group
        ]

    def _all_without_magnitude(self) -> Iterator[SeriesState]:
        known = (self._without_magnitude(*place) for places in self._by_key.values() for place in places)
        return (state for state in known if state is not None)

    def _without_magnitude(self, stack: Stack, part: Part) -> SeriesState | None:
        """Say of a series that ended without a magnitude image why it is not used (see `without_magnitude`)."""
        if part.placed or not part.is_closed or stack.accompanies(part):
            return None
        return without_magnitude(part, _key(stack, part), stack.protocol, stack.frame_of_reference_uid)


def _stack_voxels(stack: Stack, group: Group, evaluation: _Evaluation) -> None:
    """Make the voxels of a complete acquisition: the signal once, the phase anew when its images have changed."""
    phase = phase_cells(evaluation.grid, stack.phases_of(group))
    if evaluation.series is None:
        evaluation.series = _series(stack, evaluation)
    elif phase == evaluation.phase:
        return
    evaluation.phase = phase
    phase_rad = None if phase is None else phase_volume(phase)
    if phase_rad is not evaluation.series.phase_rad:
        evaluation.series = replace(evaluation.series, phase_rad=phase_rad)


def _series(stack: Stack, evaluation: _Evaluation) -> EchoSeries:
    state, grid = evaluation.state, evaluation.grid
    if state.acquired_at is None:
        raise ValueError("A complete series has a time of acquisition.")
    return EchoSeries(
        signal=grid.volume(),
        echo_times_s=grid.echo_times_s,
        grid=grid.grid(stack.geometry, stack.frame_of_reference_uid),
        acquired_at=state.acquired_at,
        series_instance_uid=state.series_instance_uids[0],
        field_strength_t=state.field_strength_t or 0.0,
        description=state.description,
    )


def _scope(parts: Iterable[Part]) -> Scope:
    magnitudes, left_out = 0, 0
    for part in parts:
        magnitudes += len(part.placed)
        left_out += len(part.left_out)
    return Scope(magnitudes=magnitudes, images=magnitudes + left_out)


def _key(stack: Stack, part: Part) -> str:
    """Series UID, acquisition number and geometry: the same in every run, whatever came first."""
    number = "-" if stack.acquisition_number is None else stack.acquisition_number
    return f"{part.series_instance_uid}:{number}:{stack.geometry.label}"
