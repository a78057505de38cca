"""Verifying in the window: one verdict in plain words, a row for every result, and nothing claimed before its end."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QMainWindow

from config.settings import Settings
from console.dashboard.desk.verification import COLUMNS, Verifying, file_state, rows, verdict
from console.dashboard.dialogs.tool_dialog import Services
from console.dashboard.dialogs.verification_dialog import VerificationDialog
from console.dashboard.screen.model import Tone
from console.snapshot import Mode
from console.tasks import Progress
from console.verify import Recomputed, Verdict, Verification


def own(verdict: Verdict, difference: float = 0.0, seq: int = 9, **said: str) -> Recomputed:
    return Recomputed(seq=seq, label="RHA F1", verdict=verdict, difference=difference, **said)


SAME = own(Verdict.IDENTICAL)
NEAR = own(Verdict.WITHIN_TOLERANCE, 2e-7, where="volumes.T1.dose_mean_Gy", detail="Shown on another machine.")
OFF = own(Verdict.DIFFERENT, math.inf, where="trend.T1", detail="Shown by version 0.1.0.")


def found(*results: Recomputed, damage: str | None = None) -> Verification:
    return Verification(results=results, head_seq=40, head_hash="ab" * 32, damage=damage)


@pytest.mark.parametrize(
    ("stands", "sign", "tone", "said"),
    [
        (Verifying(), "○", Tone.MUTED, "not verified yet"),
        (Verifying(running=True), "●", Tone.ACTIVE, "nothing is verified yet"),
        (Verifying(running=True, progress=Progress(done=3, of=12)), "●", Tone.ACTIVE, "25 % of the file read"),
        (Verifying(cancelled=True), "○", Tone.CAUTION, "NOT VERIFIED: broken off"),
        (Verifying(failure="signal 9"), "✕", Tone.ALERT, "NOT VERIFIED: signal 9"),
        (Verifying(found=found(SAME)), "✓", Tone.GOOD, "IDENTICAL: the only result shown, bit for bit"),
        (Verifying(found=found(SAME, SAME)), "✓", Tone.GOOD, "IDENTICAL: all 2 results"),
        (Verifying(found=found(SAME, NEAR)), "≈", Tone.CAUTION, "REPRODUCED WITHIN 1e-05: 1 of 2 results"),
        (Verifying(found=found(SAME, NEAR, OFF)), "✕", Tone.ALERT, "DIFFERENT: 1 of 3 results"),
        (Verifying(found=found()), "○", Tone.CAUTION, "nothing to compare"),
        (Verifying(found=found(SAME, damage="cut.")), "✕", Tone.ALERT, "only what is left"),
        (Verifying(found=found(damage="cut.")), "✕", Tone.ALERT, "sound part of a DAMAGED file"),
    ],
)
def test_the_verdict_is_a_shape_a_colour_and_a_sentence_no_better_than_the_worst(stands, sign, tone, said):
    state = verdict(stands)
    assert (state.sign, state.tone) == (sign, tone)
    assert said in state.word


def test_the_head_is_told_whole_and_damage_is_told_first():
    assert file_state(found(SAME)).word == f"the file is sound: 40 events, head {'ab' * 32}"
    damaged = file_state(found(SAME, damage="event 41 is missing."))
    assert damaged.tone is Tone.ALERT
    assert damaged.word.startswith("THE FILE IS DAMAGED: event 41 is missing.")


def test_every_result_has_its_row_with_the_largest_difference_and_where():
    told = [[cell.text for cell in row] for row in rows(found(SAME, NEAR, OFF))]
    assert [len(row) for row in told] == [len(COLUMNS)] * 3
    assert told[0] == ["#9", "RHA F1", "✓ identical", "0", "—", "numbers and maps are the same, bit for bit"]
    assert told[1][2:] == ["≈ within 1e-05", "2.0e-07", "volumes.T1.dose_mean_Gy", "Shown on another machine."]
    assert told[2][2:4] == ["✕ DIFFERENT", "no number"]
    assert rows(None) == ()


# -- the dialog ----------------------------------------------------------------------------------------------------


class Stand:
    """Stands for the engine's process."""

    made: list[Stand]

    def __init__(self, tell) -> None:
        self.tell, self.failure, self.started, self.stopped = tell, "", False, False

    def start(self):
        self.started = True

    def stop(self):
        self.stopped = True


@pytest.fixture
def opened(qtbot):
    """The dialog, open, and the engines that it made."""
    engines: list[Stand] = []

    def make(_path, tell):
        engines.append(Stand(tell))
        return engines[-1]

    window = QMainWindow()
    qtbot.addWidget(window)
    window.resize(1366, 768)
    services = Services(operate=lambda _: "no", settings=Settings(), record=Path("t.holmia"), mode=Mode.REPLAY)
    dialog = VerificationDialog(window, services, make_engine=make)
    dialog.show()
    yield dialog, engines
    dialog.close()
    if dialog.ending is not None:
        dialog.ending.join(5.0)


def told(engine: Stand, *what: object) -> None:
    for one in what:
        engine.tell(one)
    QCoreApplication.processEvents()


def test_it_begins_when_it_is_opened_tells_how_far_it_is_and_ends_its_process(opened):
    dialog, (engine,) = opened
    assert engine.started
    assert dialog.stands.running
    told(engine, Progress(done=1, of=2))
    assert dialog.progress.value() == 50
    assert dialog.table.rowCount() == 0
    told(engine, found(SAME, NEAR))
    assert dialog.verdict.text().startswith("≈ REPRODUCED")
    assert "ab" * 32 in dialog.file.text()
    assert dialog.table.rowCount() == 2
    dialog.ending.join(5.0)
    assert engine.stopped
    assert not dialog.operator.isVisible(), "nothing is recorded, by nobody"
    dialog.again.click()
    assert dialog.verdict.text().startswith("●")
    assert dialog.table.rowCount() == 0, "no older verdict under a newer run"


def test_what_is_broken_off_or_fails_is_not_verified_and_late_words_count_for_nothing(opened):
    dialog, (engine,) = opened
    dialog.cancel.click()
    assert dialog.verdict.text() == "○ NOT VERIFIED: broken off"
    told(engine, found(SAME))
    assert dialog.stands.found is None
    dialog.again.click()
    failing = opened[1][1]
    failing.failure = "The engine ended (signal 9)."
    dialog.receive(dialog.snapshot, None)
    assert "NOT VERIFIED: The engine ended" in dialog.verdict.text()
    dialog.again.click()
    dialog.close()
    assert dialog.stands.cancelled, "nothing is computed for a dialog that nobody looks at"
