"""Verifying a treatment file: what came of the recomputation, as a table, with its verdict in plain words on top."""

from __future__ import annotations

import math
from dataclasses import dataclass

from console.dashboard.screen.model import Cell, State, Tone
from console.tasks import Progress
from console.verify import TOLERANCE, Recomputed, Verdict, Verification

COLUMNS = ("event", "result", "recomputed", "largest difference", "where", "what that means")
_LOOKS = {
    Verdict.IDENTICAL: ("✓", "identical", Tone.GOOD),
    Verdict.WITHIN_TOLERANCE: ("≈", f"within {TOLERANCE:g}", Tone.CAUTION),
    Verdict.DIFFERENT: ("✕", "DIFFERENT", Tone.ALERT),
}
WHAT = (
    "Every result that was shown during the treatment is computed again from the images and words that it was computed "
    "from, and held against what was recorded as shown: numbers and maps. On the machine and by the code that showed "
    f"it, every bit has to be the same; elsewhere a relative difference of up to {TOLERANCE:g} is told as such."
)


@dataclass(frozen=True, kw_only=True)
class Verifying:
    """How a verification stands: not begun, running, broken off, failed or done."""

    running: bool = False
    progress: Progress | None = None
    found: Verification | None = None
    failure: str = ""
    cancelled: bool = False


def verdict(stands: Verifying) -> State:
    """What came of it in a sentence."""
    if stands.failure:
        return State(sign="✕", word=f"NOT VERIFIED: {stands.failure}", tone=Tone.ALERT)
    if stands.running:
        return State(
            sign="●", word=f"computing again{_share(stands.progress)}; nothing is verified yet", tone=Tone.ACTIVE
        )
    if stands.found is None:
        word = "NOT VERIFIED: broken off" if stands.cancelled else "not verified yet"
        return State(sign="○", word=word, tone=Tone.CAUTION if stands.cancelled else Tone.MUTED)
    return _verdict(stands.found)


def file_state(found: Verification) -> State:
    """Whether the file is sound, how many events it has, and the hash of its head."""
    head = f"{found.head_seq} events, head {found.head_hash}"
    if found.damage is not None:
        words = f"THE FILE IS DAMAGED: {found.damage} Only its sound part was compared: {head}"
        return State(sign="✕", word=words, tone=Tone.ALERT)
    return State(sign="✓", word=f"the file is sound: {head}", tone=Tone.GOOD)


def rows(found: Verification | None) -> tuple[tuple[Cell, ...], ...]:
    """One row for every result that was shown, in that order."""
    return tuple(_row(own) for own in found.results) if found is not None else ()


def percent(progress: Progress | None) -> int:
    """How far the file has been read, 0…100."""
    return round(100 * progress.done / max(progress.of, 1)) if progress is not None else 0


def _share(progress: Progress | None) -> str:
    if progress is None:
        return ", starting"
    return f", {percent(progress)} % of the file read"


def _verdict(found: Verification) -> State:
    damaged = found.damage is not None
    only = " in the sound part of a DAMAGED file" if damaged else ""
    if not found.results:
        words = f"nothing to compare: no result was ever shown{only or ' from this file'}"
        return State(sign="✕" if damaged else "○", word=words, tone=Tone.ALERT if damaged else Tone.CAUTION)
    count = {one: sum(own.verdict is one for own in found.results) for one in Verdict}
    total = len(found.results)
    different, near = count[Verdict.DIFFERENT], count[Verdict.WITHIN_TOLERANCE]
    if different:
        words = f"DIFFERENT: {different} of {_results(total)}{only} cannot be reproduced here"
        return State(sign="✕", word=words, tone=Tone.ALERT)
    if damaged:
        words = f"reproduced, but only what is left: {_results(total)}{only}"
        return State(sign="✕", word=words, tone=Tone.ALERT)
    if near:
        words = f"REPRODUCED WITHIN {TOLERANCE:g}: {near} of {_results(total)} not bit for bit, all others identical"
        return State(sign="≈", word=words, tone=Tone.CAUTION)
    whole = "the only result" if total == 1 else f"all {_results(total)}"
    return State(sign="✓", word=f"IDENTICAL: {whole} shown, bit for bit", tone=Tone.GOOD)


def _results(count: int) -> str:
    return f"{count} result{'' if count == 1 else 's'}"


def _row(own: Recomputed) -> tuple[Cell, ...]:
    sign, word, tone = _LOOKS[own.verdict]
    size = "—" if not own.difference else f"{own.difference:.1e}" if math.isfinite(own.difference) else "no number"
    return (
        Cell(text=f"#{own.seq}", tone=Tone.MUTED),
        Cell(text=own.label, bold=True),
        Cell(text=f"{sign} {word}", tone=tone, bold=True),
        Cell(text="0" if own.verdict is Verdict.IDENTICAL else size, tone=tone),
        Cell(text=own.where or "—", tooltip=own.where),
        Cell(text=own.detail or "numbers and maps are the same, bit for bit"),
    )
