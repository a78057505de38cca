"""Whose treatment, which clock: never cut, never assumed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from PySide6.QtCore import QCoreApplication
from treatments import START

from console.dashboard.panels import theme
from console.dashboard.panels.header_panel import HeaderPanel
from console.dashboard.screen.header import build_header
from console.dashboard.screen.model import Tone
from console.snapshot import Mode, Snapshot

NOW = START + timedelta(minutes=58)
LONG = "VAN DER WESTHUIZEN-MONTGOMERY^ALEXANDRA CHRISTINA ELISABETH M"


@pytest.mark.parametrize(
    ("confirmed_s", "ahead_s", "text", "tone"),
    [
        (1.8, -3.0, "scanner Δ +1.8 s confirmed", Tone.NORMAL),
        (-75.0, None, "scanner Δ −75.0 s confirmed", Tone.CAUTION),
        (1.8, 74.9, "scanner Δ +1.8 s confirmed, but ≥ +74 s", Tone.CAUTION),
        (None, 74.9, "scanner Δ ≥ +74 s", Tone.CAUTION),
        (None, 4.29, "scanner Δ ≥ +4.2 s", Tone.NORMAL),
        (None, -12.0, "scanner Δ not confirmed", Tone.MUTED),
        (None, None, "scanner Δ not confirmed", Tone.MUTED),
    ],
)
def test_the_scanner_s_clock_is_told_as_far_as_it_is_known(words, confirmed_s, ahead_s, text, tone):
    snapshot = replace(words, clock_offset_s=confirmed_s, clock_ahead_at_least_s=ahead_s)
    cell = build_header(snapshot, NOW, Mode.LIVE).scanner
    assert (cell.text, cell.tone) == (text, tone)
    for part in ("arrives before it was begun", "slow cannot be told from", "alarms.clock_offset_s"):
        assert part in cell.tooltip


def test_before_there_are_settings_the_shipped_limit_holds():
    assert build_header(Snapshot(clock_ahead_at_least_s=61.0), None, Mode.LIVE).scanner.tone is Tone.CAUTION


@pytest.fixture
def panel(qtbot):
    made = HeaderPanel()
    qtbot.addWidget(made)
    made.setStyleSheet(theme.style_sheet(768 / 1080))
    made.resize(1350, 46)
    made.show()
    return made


@pytest.mark.parametrize("mode", list(Mode))
def test_on_a_laptop_only_the_name_gives_way_and_it_stands_whole_in_the_tooltip(panel, words, mode):
    snapshot = replace(words, patient_name=LONG, patient_id="12345678-ABCDEF", clock_ahead_at_least_s=74.0)
    panel.draw(build_header(snapshot, NOW, mode))
    QCoreApplication.processEvents()
    for label in (panel.details, panel.research, panel.mode, panel.clock, panel.clock_note, panel.scanner):
        assert label.width() >= label.sizeHint().width(), label.text()
        assert panel.rect().contains(label.geometry())
    right = [panel.patient, panel.details, panel.research, panel.mode, panel.clock, panel.clock_note]
    for one, next_one in pairwise(right):
        assert one.geometry().right() < next_one.geometry().left()
    assert "12345678-ABCDEF · born 1957-08-21 · F" in panel.details.text()
    assert LONG.replace("^", " ") in panel.patient.toolTip()
    assert panel.patient.text().startswith("VAN DER WESTHUIZEN")


def test_a_short_name_is_whole(panel, words):
    panel.draw(build_header(words, NOW, Mode.DEMO))
    QCoreApplication.processEvents()
    assert panel.patient.text() == "DE VRIES ANNA MARIA"


def test_the_clock_states_its_zone(words):
    header = build_header(words, NOW, Mode.LIVE)
    assert header.clock == "10:58:00"
    assert header.clock_note.endswith("UTC+0100")


def test_every_part_of_the_header_says_what_it_is(panel, words):
    panel.draw(build_header(words, NOW, Mode.LIVE))
    for label in (
        panel.patient,
        panel.details,
        panel.research,
        panel.mode,
        panel.clock,
        panel.clock_note,
        panel.scanner,
    ):
        assert label.toolTip()


def test_markup_in_a_name_is_neither_shown_as_markup_nor_in_a_tooltip(panel, words):
    panel.draw(build_header(replace(words, patient_name="<img src='x'>"), NOW, Mode.LIVE))
    assert panel.patient.whole == "<img src='x'>"
    assert "<img" not in panel.patient.toolTip()
