"""A drawing in progress: the mask, what every stroke changed in it, and back and forth through them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from quantify.drawing import Lattice, Patch
from quantify.model import read_only
from quantify.volumes import Box

_STROKES_KEPT = 500


class Mode(StrEnum):
    """What becomes of the voxels of a patch, and of the others."""

    ADD = "add"
    REMOVE = "remove"
    KEEP = "keep"
    """What lies outside the patch is removed."""
    REPLACE = "replace"
    """The patch is what is drawn."""


@dataclass(kw_only=True)
class _Stroke:
    """What one stroke changed: boxes, and of each the voxels that became others, eight to a byte."""

    words: str
    number: int
    left_out_ml: float = 0.0
    replaces: bool = False
    """What was drawn before is no part of the drawing any more."""
    changes: list[tuple[Box, NDArray[np.uint8]]] = field(default_factory=list)


class Canvas:
    """What is drawn on a lattice, and every stroke of it; a stroke can be undone, and done again.

    Parameters
    ----------
    lattice
        Where it is drawn.
    """

    def __init__(self, lattice: Lattice) -> None:
        self.lattice = lattice
        self._mask = np.zeros(lattice.grid.shape, dtype=bool)
        self._counts = tuple(np.zeros(n, dtype=np.int64) for n in lattice.grid.shape)
        self._done: list[_Stroke] = []
        self._undone: list[_Stroke] = []
        self._open: _Stroke | None = None
        self._begun = 0
        self.revision = 0
        """Grows with every change of the mask."""

    # -- what is drawn -----------------------------------------------------------------------------------------------

    @property
    def mask(self) -> NDArray[np.bool_]:
        """What is drawn, (slice, row, column) of the lattice; read-only, and another at the next stroke."""
        return np.asarray(read_only(self._mask), dtype=bool)

    @property
    def count(self) -> int:
        """Voxels that are drawn."""
        return int(self._counts[0].sum())

    @property
    def volume_ml(self) -> float:
        """Volume of what is drawn, mL."""
        return self.count * self.lattice.grid.voxel_volume_ml

    @property
    def box(self) -> Box:
        """The part of the lattice in which something is drawn; empty sides where nothing is."""
        first, second, third = (
            slice(int(at[0]), int(at[-1]) + 1) if (at := np.flatnonzero(counts)).size else slice(0, 0)
            for counts in self._counts
        )
        return first, second, third

    def drawn_slices(self, axis: int) -> int:
        """How many slices of the reference along an axis have something drawn."""
        parts = self.lattice.subdivision[axis]
        return int(np.count_nonzero(self._counts[axis].reshape(-1, parts).any(axis=1)))

    @property
    def left_out_ml(self) -> float:
        """Volume of the shapes drawn that the reference does not cover, mL."""
        return sum(stroke.left_out_ml for stroke in self._lasting())

    @property
    def words(self) -> str:
        """How it was drawn: ``sphere r 20 mm at L 34 P 12 H 5 mm; brush r 6 mm ×3``."""
        told = [
            (words, len(list(same))) for words, same in groupby(stroke.words for stroke in self._lasting()) if words
        ]
        return "; ".join(words if n == 1 else f"{words} ×{n}" for words, n in told)

    def _lasting(self) -> list[_Stroke]:
        """The strokes since the drawing was last begun anew."""
        begun = max((n for n, stroke in enumerate(self._done) if stroke.replaces), default=0)
        return self._done[begun:]

    @property
    def mark(self) -> int:
        """Tells one state of the drawing from another: the number of its last stroke; 0 before the first."""
        return self._done[-1].number if self._done else 0

    # -- strokes -----------------------------------------------------------------------------------------------------

    def begin(self, words: str) -> None:
        """Begin a stroke of several patches, which are undone together."""
        self.end()
        self._open = self._stroke(words)

    def end(self) -> None:
        """End a stroke that was begun; one that changed nothing is none."""
        stroke, self._open = self._open, None
        if stroke is not None and stroke.changes:
            self._push(stroke)

    def apply(self, patch: Patch, mode: Mode, words: str = "", *, left_out_ml: float = 0.0) -> bool:
        """Draw a patch: as a stroke of its own, or as a part of the one that was begun. Returns whether it changed."""
        stroke = self._open or self._stroke(words, replaces=mode is Mode.REPLACE)
        stroke.left_out_ml += left_out_ml
        before = self.revision
        for box, changed in self._changes(patch, mode):
            if changed.any():
                self._flip(box, changed)
                stroke.changes.append((box, np.packbits(changed)))
        if self._open is None and stroke.changes:
            self._push(stroke)
        return self.revision != before

    def undo(self) -> bool:
        """Take the last stroke back. Returns whether there was one."""
        self.end()
        return self._step(self._done, self._undone)

    def redo(self) -> bool:
        """Do the stroke again that was taken back last. Returns whether there was one."""
        self.end()
        return self._step(self._undone, self._done)

    @property
    def can_undo(self) -> bool:
        """Whether there is a stroke to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is a stroke that was taken back."""
        return bool(self._undone)

    def _stroke(self, words: str, *, replaces: bool = False) -> _Stroke:
        self._begun += 1
        return _Stroke(words=words, number=self._begun, replaces=replaces)

    def _changes(self, patch: Patch, mode: Mode) -> list[tuple[Box, NDArray[np.bool_]]]:
        """The voxels that become others, by box."""
        here = self._mask[patch.box]
        match mode:
            case Mode.ADD:
                return [(patch.box, patch.inside & ~here)]
            case Mode.REMOVE:
                return [(patch.box, patch.inside & here)]
        own = self.box
        gone = self._mask[own].copy()
        common = _common(own, patch.box)
        if common is not None:
            gone[_within(common, own)] &= ~patch.inside[_within(common, patch.box)]
        changes = [(own, gone)]
        if mode is Mode.REPLACE:
            changes.append((patch.box, patch.inside & ~here))
        return changes

    def _push(self, stroke: _Stroke) -> None:
        self._done.append(stroke)
        self._undone.clear()
        if len(self._done) > _STROKES_KEPT:
            # What the drawing was before is forgotten, what it is made of is not.
            oldest = self._done.pop(0)
            kept = self._done[0]
            if not kept.replaces:
                kept.words = f"{oldest.words}; {kept.words}"
                kept.left_out_ml += oldest.left_out_ml
                kept.replaces = oldest.replaces

    def _step(self, taken: list[_Stroke], given: list[_Stroke]) -> bool:
        if not taken:
            return False
        stroke = taken.pop()
        for box, bits in stroke.changes:
            shape = [side.stop - side.start for side in box]
            self._flip(box, np.unpackbits(bits, count=int(np.prod(shape))).reshape(shape).astype(bool))
        given.append(stroke)
        return True

    def _flip(self, box: Box, changed: NDArray[np.bool_]) -> None:
        part = self._mask[box]
        gained = changed.astype(np.int8)
        gained[part & changed] = -1
        np.logical_xor(part, changed, out=part)
        for axis, counts in enumerate(self._counts):
            others = tuple(other for other in range(3) if other != axis)
            counts[box[axis]] += gained.sum(axis=others, dtype=np.int64)
        self.revision += 1


def _common(first: Box, second: Box) -> Box | None:
    sides = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(first, second, strict=True)]
    return None if any(side.start >= side.stop for side in sides) else (sides[0], sides[1], sides[2])


def _within(part: Box, whole: Box) -> Box:
    """A box in the indices of another that holds it."""
    first, second, third = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(part, whole, strict=True))
    return first, second, third
