"""Which parts make one acquisition.

A *stack* is everything that shares patient-study, frame of reference, protocol, acquisition number, matrix, spacing,
orientation and the position in the plane. A *part* is what one series UID contributes to a stack. Several parts make
one acquisition where a scanner writes one series per echo (see `joins`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from dicom_listener.assembly_parts import SAME_START_S, Geometry, Part, PlacedPhase


def joins(part: Part, other: Part) -> bool:
    """Whether two series of one stack are echoes of one acquisition.

    They are if their echo times are disjoint, a slice that both have was acquired at the same time, within
    `SAME_START_S`, and both were filtered alike. So two acquisitions of one protocol, minutes apart, stay two whatever
    their UIDs are, and so do the normalised and the unfiltered images of one acquisition.
    """
    return part.shares_slice_and_start(other) and not part.shares_echo(other) and part.processed_as(other)


@dataclass(eq=False)
class Stack:
    """The parts that share one geometry, study, frame of reference, protocol and acquisition number."""

    geometry: Geometry
    study_instance_uid: str
    frame_of_reference_uid: str
    protocol: str
    acquisition_number: int | None
    parts: dict[str, Part] = field(default_factory=dict)

    def groups(self) -> list[tuple[Part, ...]]:
        """Return the acquisitions: parts with magnitude images, joined where `joins` says so.

        A pure function of the parts: they are taken in the order of their start, and each enters the first
        acquisition with all of whose parts it is compatible.
        """
        found: list[_Joined] = []
        growing: list[_Joined] = []
        for part in sorted((part for part in self.parts.values() if part.placed), key=lambda part: part.sort_key):
            # Parts come by start: what ended long before this one can take none of those that follow.
            growing = [group for group in growing if group.first_end + SAME_START_S >= part.start]
            group = next((group for group in growing if group.admits(part)), None)
            if group is None:
                group = _Joined()
                found.append(group)
                growing.append(group)
            group.add(part)
        return [tuple(sorted(group.parts, key=lambda part: part.echo_key)) for group in found]

    def left_out_beside(self, group: tuple[Part, ...]) -> int:
        """Return the images left out of an acquisition, those in series of their own (Siemens phase) included."""
        return sum(len(part.left_out) for part in (*group, *self.beside(group)))

    def phases_of(self, group: tuple[Part, ...]) -> list[PlacedPhase]:
        """Return the phase images of an acquisition, those in series of their own included."""
        return [image for part in (*group, *self.beside(group)) for image in part.phases]

    def accompanies(self, part: Part) -> bool:
        """Whether a series without magnitude images was acquired together with one that has some."""
        return any(part.shares_slice_and_start(other) for other in self.parts.values() if other.placed)

    def beside(self, group: tuple[Part, ...]) -> list[Part]:
        """Return the series without magnitude images that were acquired together with an acquisition."""
        alone = [part for part in self.parts.values() if part.left_out and not part.placed]
        return [part for part in alone if any(part.shares_slice_and_start(member) for member in group)]


class Stacks:
    """The stacks of one header, found by geometry: an object may have thousands (one frame each)."""

    def __init__(self) -> None:
        self._all: list[Stack] = []
        self._buckets: dict[tuple[int, int, int], list[int]] = {}

    def __iter__(self) -> Iterator[Stack]:
        return iter(self._all)

    def find(self, geometry: Geometry) -> Stack | None:
        """Return the first stack that matches; None where none does."""
        a, b, c = geometry.bucket
        near = itertools.product((a - 1, a, a + 1), (b - 1, b, b + 1), (c - 1, c, c + 1))
        known = sorted(number for bucket in near for number in self._buckets.get(bucket, ()))
        return next((self._all[number] for number in known if self._all[number].geometry.matches(geometry)), None)

    def add(self, stack: Stack) -> None:
        """Take a stack in."""
        self._buckets.setdefault(stack.geometry.bucket, []).append(len(self._all))
        self._all.append(stack)


@dataclass(eq=False)
class _Joined:
    """Parts that have been joined so far, with what tells quickly that another cannot be."""

    parts: list[Part] = field(default_factory=list)
    first_end: float = np.inf
    _echoes: set[int] = field(default_factory=set)

    def admits(self, part: Part) -> bool:
        return self._echoes.isdisjoint(part.echo_labels) and all(joins(part, member) for member in self.parts)

    def add(self, part: Part) -> None:
        self.parts.append(part)
        self.first_end = min(self.first_end, part.end)
        self._echoes |= part.echoes
