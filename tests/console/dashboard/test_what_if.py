"""What-if in a replay: the same events with other settings, said everywhere, compared at the end, recorded nowhere."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QMainWindow
from test_tuning import DENSITY, LOADED, THRESHOLD, as_active, as_draft

from config.overrides import parse_set
from config.settings import Settings
from console.dashboard.desk.what_if import what_if_command, what_if_faults, what_if_words
from console.dashboard.dialogs.tool_dialog import Replayed, Services
from console.dashboard.dialogs.tuning_dialog import TuningDialog
from console.snapshot import Mode

ZONE = "Europe/Amsterdam"
NINE = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
PATIENCE_S = 60.0


# -- words ---------------------------------------------------------------------------------------------------------


def test_what_differs_is_told_with_the_recorded_value_and_its_unit():
    words = what_if_words([LOADED], {"trend.threshold_pct": 30, DENSITY: 1.1, "no.such": 1})
    assert words == ("trend.threshold_pct 10 → 30 %", "tissue_density_g_per_mL 1.06 → 1.1 g/mL", "no.such — → 1")
    assert what_if_words((), {"trend.threshold_pct": 30}) == ("trend.threshold_pct — → 30 %",)


def test_the_command_makes_the_same_what_if():
    overrides = {THRESHOLD: 30, "quantification.fit": "log-linear", "microspheres.reference_time": NINE}
    texts = shlex.split(what_if_command(overrides))
    assert texts[::2] == ["--set"] * 3
    assert parse_set(texts[1::2]) == overrides
    assert what_if_command({}) == ""


def test_settings_that_do_not_go_with_one_of_the_plans_are_refused_before_anything_is_computed():
    assert what_if_faults([LOADED, LOADED], {THRESHOLD: 30}) == ()
    assert len(what_if_faults([LOADED, LOADED], {THRESHOLD: -3})) == 1
    assert "known setting" in what_if_faults([LOADED], {"trend.treshold": 3})[0]
    assert what_if_faults([{"of": "another version"}], {THRESHOLD: 30}) == ()


# -- the panel over a replay ---------------------------------------------------------------------------------------


class Stand:
    """Stands for the draft's engine, and for the replay."""

    def __init__(self) -> None:
        self.failure, self.laid_over = "", []
        self.at_end, self.asked = True, []

    def start(self):
        pass

    def stop(self):
        pass

    def lay_over(self, overrides):
        self.laid_over.append(dict(overrides))

    def compute_with(self, overrides):
        self.asked.append(dict(overrides))
        return ""


@pytest.fixture(scope="module")
def made(qapp, words):
    """The dialog over a replay at its end; the stand-in; A. Nothing may have been said when it is over."""
    stand, recorded = Stand(), []
    window = QMainWindow()
    window.resize(1920, 1080)
    replayed = Replayed(
        at_end=lambda: stand.at_end,
        go_to_end=lambda: stand.asked.append("end"),
        compute_with=stand.compute_with,
        overrides=dict,
    )
    services = Services(
        operate=lambda operation: recorded.append(operation) or "nothing is recorded",
        settings=Settings(),
        record=Path("t.holmia"),
        mode=Mode.REPLAY,
        replayed=replayed,
    )
    dialog = TuningDialog(window, services, make_engine=lambda *_: stand)
    yield dialog, stand, as_active(words)
    dialog.close()
    dialog.ended.wait(5.0)
    window.close()
    window.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert recorded == []


@pytest.fixture
def panel(made):
    dialog, stand, a = made
    stand.at_end = True
    stand.asked.clear()
    dialog.receive(a, None)
    dialog.show()
    yield made
    dialog.reset()
    dialog.close()


def test_it_says_that_nothing_is_recorded_asks_for_no_name_and_offers_no_promotion(panel):
    dialog, stand, _ = panel
    assert dialog.what_if.words.text() == "WHAT-IF · nothing is recorded in t.holmia"
    assert dialog.unlocked
    assert not dialog.lock_row.isVisible()
    dialog.type(THRESHOLD, "30")
    dialog.type(DENSITY, "1.1")
    dialog._lay_over()
    assert stand.laid_over[-1] == {THRESHOLD: 30, DENSITY: 1.1}
    assert not dialog.promote_button.isVisible()
    assert not dialog.promote_button.isEnabled()
    assert parse_set(shlex.split(dialog.command.text())[1::2]) == {THRESHOLD: 30, DENSITY: 1.1}


def test_b_is_compared_at_the_end_alone(panel):
    dialog, stand, a = panel
    dialog.type(DENSITY, "1.1")
    dialog._lay_over()
    dialog.take(as_draft(a, 1.1, {DENSITY: 1.1}))
    assert any(row.cells[3].text for row in dialog.comparison.table.table.rows if not row.heading)
    assert "end of the file" in dialog.what_if.where.text()
    stand.at_end = False
    dialog.receive(replace(a, results=a.results[:2]), None)
    rows = dialog.comparison.table.table.rows
    assert not any(row.cells[3].text for row in rows if not row.heading), "no B beside an earlier A"
    assert "not at its end" in dialog.comparison.draft.whole
    dialog.what_if.end.click()
    assert stand.asked == ["end"]


def test_the_draft_is_replayed_on_top_of_the_what_if_that_is_replayed_already(panel):
    dialog, stand, a = panel
    assert not dialog.what_if.replay.isEnabled(), "nothing is changed"
    dialog.receive(replace(a, overrides={THRESHOLD: 30}), None)
    assert dialog.active.text(THRESHOLD) == "30"
    assert stand.laid_over[-1] == {THRESHOLD: 30}, "B without a change is A"
    dialog.type(DENSITY, "1.1")
    dialog.what_if.replay.click()
    assert stand.asked == [{THRESHOLD: 30, DENSITY: 1.1}]
    assert not dialog.isVisible()
