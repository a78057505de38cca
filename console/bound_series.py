"""The series of a treatment with what each is to it: which are complete, and in which order they were acquired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from console.snapshot import Binding
from dicom_listener.images import SeriesState, SeriesStatus, StructureSet


@dataclass(frozen=True, kw_only=True)
class Bound:
    """The series of a treatment with what each is to it."""

    bindings: Sequence[Binding]
    by_key: Mapping[str, SeriesState]

    def of(self, role: str) -> list[tuple[Binding, SeriesState]]:
        """The complete series of a role, in order of acquisition."""
        every = [(b, self.by_key[b.series_key]) for b in self.bindings if b.role == role]
        return [(binding, state) for binding, state in every if state.status == SeriesStatus.COMPLETE]

    def places(self) -> dict[str, str]:
        """Which of how many each series is that something is fitted to, as ``" (3 of 5)"``, by series key."""
        roles = ("reference", "repeatability", "baseline", "fraction")
        keys = [state.key for role in roles for _, state in self.of(role)]
        return {key: f" ({number} of {len(keys)})" for number, key in enumerate(keys, 1)}

    def drawn_on(self, structures: StructureSet) -> SeriesState | None:
        """The complete series that the structures were drawn on, if it was received."""
        referenced = set(structures.referenced_series_uids)
        return next((s for _, s in self.of("anatomy") if referenced.intersection(s.series_instance_uids)), None)


def is_before(first: SeriesState, second: SeriesState) -> bool:
    """Whether one series was acquired no later than another, as far as that is known."""
    return first.acquired_at is None or second.acquired_at is None or first.acquired_at <= second.acquired_at


def is_complete(state: SeriesState) -> bool:
    """Whether all of a series has come."""
    return state.status == SeriesStatus.COMPLETE
