"""The pictures of a replay: its bar, a jump, a what-if, and the dialogs that compute again beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from console.dashboard.desk.what_if import what_if_words
from console.dashboard.dialogs.comparison_dialog import ComparisonDialog
from console.dashboard.dialogs.tuning_dialog import TuningDialog
from console.dashboard.replay import read_events
from console.dashboard.screen.model import Cell, Tone
from console.dashboard.screen.replay_bar import Jump, Played
from console.dashboard.screen.view import Tool
from console.snapshot import Mode, Snapshot
from console.tasks import Computing
from console.timeline import TickKind, Timeline, timeline_of
from console.verify import Recomputed, Verdict, Verification
from dicom_listener.record import Record
from screens.course import DRAFT, Moment
from screens.dialog_drawing import DialogPicture, Told
from screens.drawing import Picture

Moments = Mapping[str, Moment]
_LATER = timedelta(seconds=5)
_SPEED = 10.0
_MACHINE = (Cell(text="replaying treatment.holmia: nothing is recorded", tone=Tone.MUTED),)


def replays(m: Moments) -> Iterator[Picture]:
    """The window in a replay: as it goes, while it jumps, with other settings."""
    second, last = m["result_2"], m["confirmed"]
    yield _of("replay", second, _played(second, last))
    jump = Jump(seq=m["result_4"].snapshot.head_seq, at=m["result_4"].at, done=0.42, computing="RHA F3")
    yield _of("replay_jumping", second, replace(_played(second, last), jump=jump))
    words = what_if_words((last.snapshot.loaded,), DRAFT)
    yield _of("replay_what_if", m["drafted"], replace(_played(last, last), overrides=DRAFT, what_if=words, ended=True))


def dialogs_of_a_replay(m: Moments) -> Iterator[DialogPicture]:
    """Verify with each of its three verdicts, two settings side by side, and the panel of a what-if."""
    last = m["confirmed"]
    line = _timeline(last.file, last.snapshot.head_seq)
    for name, odd in (("verification", True), ("verification_identical", False)):
        told = _verified(last.snapshot, line, odd=odd)
        yield _dialog(name, Tool.VERIFICATION, last, engine=lambda _, tell, own=told: Told(lambda: tell(own)))
    yield _dialog("comparison", Tool.COMPARISON, last, engine=_sides(m), done=_compare, until=_compared)
    yield _dialog("what_if", Tool.TUNING, last, done=_try(m["drafted"].snapshot))


def _of(name: str, moment: Moment, played: Played) -> Picture:
    return Picture(
        name=name,
        snapshot=moment.snapshot,
        at=moment.at,
        before=moment.before,
        later=_LATER,
        mode=Mode.REPLAY,
        machine=_MACHINE,
        played=played,
    )


def _played(moment: Moment, last: Moment) -> Played:
    line = _timeline(last.file, last.snapshot.head_seq)
    return Played(name=last.file.name, timeline=line, seq=moment.snapshot.head_seq, at=moment.at + _LATER, speed=_SPEED)


@cache
def _timeline(file: Path, last_seq: int) -> Timeline:
    """Of the file as it was at that event; the treatment went on."""
    with Record.salvage(file) as record:
        return timeline_of(event for event in read_events(record) if event.seq <= last_seq)


def _dialog(
    name: str,
    tool: Tool,
    moment: Moment,
    *,
    engine: Callable[..., Told] | None = None,
    done: Callable[[Any], None] = lambda _: None,
    until: Callable[[Any], bool] = lambda _: True,
) -> DialogPicture:
    return DialogPicture(
        name=name, tool=tool, moment=moment, mode=Mode.REPLAY, make_engine=engine, done=done, until=until
    )


def _verified(snapshot: Snapshot, line: Timeline, *, odd: bool) -> Verification:
    """What a verification tells of every result that was shown; `odd`: two of them as another machine may find them."""
    seqs = [tick.seq for tick in line.ticks if tick.kind is TickKind.RESULT]
    labels = [f"{result.position} F{result.fraction}" for result in snapshot.results]
    results = [
        Recomputed(seq=seq, label=label, verdict=Verdict.IDENTICAL)
        for seq, label in zip(seqs[: len(labels)], labels, strict=True)
    ]
    if odd:
        mean = "volumes.Tumour 2.dose_mean_Gy"
        results[1] = replace(
            results[1],
            verdict=Verdict.WITHIN_TOLERANCE,
            difference=2.1e-7,
            where=mean,
            detail=f"Largest relative difference 2.1e-07 in {mean}; shown on another machine or with other libraries.",
        )
        results[3] = replace(
            results[3],
            verdict=Verdict.DIFFERENT,
            difference=3.4e-3,
            where=mean,
            detail=f"Largest relative difference 3.4e-03 in {mean}; shown by other code of version 0.2.0.",
        )
    head = hashlib.sha256(b"the last event of a phantom").hexdigest()
    return Verification(results=tuple(results), head_seq=line.last_seq, head_hash=head)


def _sides(m: Moments) -> Callable[..., Told]:
    active, draft = m["confirmed"].snapshot, m["drafted"].snapshot

    def make(task: Computing, on_snapshot: Callable[[Snapshot], None], _on_told: object) -> Told:
        return Told(lambda: on_snapshot(draft if task.overrides else active))

    return make


def _compare(dialog: ComparisonDialog) -> None:
    dialog.sides[1].settings.setPlainText("\n".join(f"{key}={value:g}" for key, value in DRAFT.items()))
    dialog.compute()


def _compared(dialog: ComparisonDialog) -> bool:
    return dialog.pages.currentWidget() is dialog.found


def _try(draft: Snapshot) -> Callable[[TuningDialog], None]:
    def done(dialog: TuningDialog) -> None:
        for path, value in DRAFT.items():
            dialog.type(path, f"{value:g}")
        dialog.search.setText("relax")
        dialog.take(draft)

    return done
