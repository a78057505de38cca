"""The guide: five steps with one current, a sentence for every state; the help page tells every key."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import pytest
import treatments
from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QMainWindow, QProgressBar

from console.dashboard import window
from console.dashboard.panels import theme
from console.dashboard.panels.header_panel import GuidePanel
from console.dashboard.panels.overlay import KEYS, SIGNS, HelpOverlay
from console.dashboard.screen.guide import build_guide
from console.dashboard.screen.model import DISCLAIMER, Guide, Tone
from console.snapshot import Binding, Snapshot
from dicom_listener.images import SeriesStatus
from quantify.findings import FractionStatus


@lru_cache
def words_of(results: int, given: int | None = None, arriving: int | None = None) -> Snapshot:
    return treatments.treatment(results, given=given, arriving=arriving, images=False)


def current(guide: Guide) -> str:
    (step,) = [step for step in guide.steps if step.current]
    return step.words


def with_series(snapshot: Snapshot, binding: Binding, **changes: object) -> Snapshot:
    """The treatment with one more series, the latest."""
    made = treatments.series_state(binding.series_key, 99, status=SeriesStatus.INCOMPLETE, received=397)
    made = replace(made, reason="incomplete: 3 of 400 images missing (echo 5: slices 3, 4, 9)")
    return replace(
        snapshot, series=(*snapshot.series, replace(made, **changes)), bindings=(*snapshot.bindings, binding)
    )


def refused_binding() -> Binding:
    return Binding(series_key="x", role="refused", position="RHA", fraction=3, why="acquired at 1.5 T")


BETWEEN = words_of(2, given=3)
INCOMPLETE = Binding(series_key="x", role="unbound", position="RHA", fraction=3)
STATES = [
    ("no plan", Snapshot(), "Setup", "waiting for a treatment plan"),
    ("no reference", replace(words_of(0), bindings=(), series=()), "Reference", "waiting for the reference series"),
    (
        "injected without a reference",
        replace(words_of(0, given=1), bindings=(), series=()),
        "Reference",
        "no reference series was acquired before injection RHA F1",
    ),
    (
        "reference arriving",
        replace(words_of(0, arriving=20), bindings=()),
        "Reference",
        "series reference arriving",
    ),
    (
        "to inject",
        words_of(2),
        "Inject RHA F3",
        "waiting for injection RHA F3 (position 1/2, 390 MBq planned)",
    ),
    (
        "injected",
        BETWEEN,
        "Acquire",
        "waiting for series RHA F3 (position 1/2, injected 10:35)",
    ),
    ("arriving", words_of(2, given=3, arriving=214), "Acquire", "series RHA F3 arriving (position 1/2)"),
    (
        "incomplete",
        with_series(BETWEEN, INCOMPLETE),
        "Acquire",
        "series RHA F3 incomplete: 3 of 400 images missing (echo 5: slices 3, 4, 9) · no dose · position 1/2",
    ),
    (
        "refused",
        with_series(BETWEEN, refused_binding(), status=SeriesStatus.COMPLETE),
        "Acquire",
        "series RHA F3 refused: acquired at 1.5 T · no dose · position 1/2",
    ),
    (
        "computing",
        replace(BETWEEN, computing="fitting R2* of RHA F3"),
        "Acquire",
        "computing: fitting R2* of RHA F3",
    ),
    (
        "restored",
        replace(words_of(2), restored="1 of 2 computed anew"),
        "Acquire",
        "results restored after a restart, 1 of 2 computed anew",
    ),
    (
        "next position",
        words_of(4),
        "Inject LHA F1",
        "waiting for injection LHA F1 (position 2/2, 93 MBq planned)",
    ),
    (
        "review",
        replace(words_of(4), complete=True),
        "Review",
        "every planned fraction has a result or an error",
    ),
    (
        "damage",
        replace(words_of(2), damage="event 17 does not hash to what follows it"),
        "Inject RHA F3",
        "treatment file damaged, only its sound part is shown · waiting for injection RHA F3",
    ),
]


@pytest.mark.parametrize(
    ("snapshot", "step", "sentence"), [state[1:] for state in STATES], ids=[state[0] for state in STATES]
)
def test_every_state_has_one_current_step_and_a_sentence(snapshot, step, sentence):
    guide = build_guide(snapshot)
    assert current(guide) == step
    assert sentence in guide.sentence
    assert len(guide.steps) == 5
    assert not {"inject", "stop", "please"} & set(guide.sentence.lower().split())


@pytest.mark.parametrize("name", ["incomplete", "refused", "restored", "damage", "injected without a reference"])
def test_what_is_no_ordinary_course_is_told_by_sign_word_and_colour(name):
    snapshot = next(state[1] for state in STATES if state[0] == name)
    (state,) = [step.state for step in build_guide(snapshot).steps if step.current]
    assert (state.sign, state.word, state.tone) == ("!", "attention", Tone.CAUTION)


def test_an_incomplete_repeat_speaks_of_no_missing_dose():
    """Another series of that fraction serves."""
    repeat = replace(INCOMPLETE, fraction=2)
    assert "incomplete" not in build_guide(with_series(words_of(2), repeat)).sentence


def test_the_next_injection_ends_what_is_said_of_the_series_before():
    given = with_series(words_of(2, given=4), INCOMPLETE)
    assert "incomplete" not in build_guide(given).sentence


def test_progress_counts_images_echoes_and_slices_against_the_reference():
    snapshot = words_of(2, given=3, arriving=214)
    last = replace(snapshot.series[-1], echo_times_s=tuple(0.0012 * (k + 1) for k in range(5)), n_slices=38)
    progress = build_guide(replace(snapshot, series=(*snapshot.series[:-1], last))).progress
    assert progress is not None
    assert progress.words == "RHA F3: 214 of 400 images · 5 of 10 echoes × 38 of 40 slices"
    assert (progress.received, progress.expected) == (214, 400)


def test_an_incomplete_series_keeps_its_grid_on_the_screen():
    progress = build_guide(with_series(BETWEEN, INCOMPLETE)).progress
    assert progress is not None
    assert progress.words.startswith("RHA F3: 397 of 400 images")


def test_of_several_series_that_arrive_the_one_that_may_hold_holmium_is_told():
    snapshot = words_of(2, given=3, arriving=214)
    localiser = treatments.series_state("loc", 95, status=SeriesStatus.ARRIVING, received=3)
    localiser = replace(localiser, holmium_refusal="spin echo", description="localiser")
    assert "RHA F3" in build_guide(replace(snapshot, series=(*snapshot.series, localiser))).sentence
    alone = replace(snapshot, series=(*snapshot.series[:-1], localiser))
    assert build_guide(alone).sentence == "series localiser arriving"


def test_the_review_counts_what_failed_and_what_is_provisional():
    snapshot = replace(words_of(4), complete=True)
    results = (
        replace(snapshot.results[0], status=FractionStatus.PROVISIONAL),
        replace(snapshot.results[1], status=FractionStatus.FAILED),
        *snapshot.results[2:],
    )
    assert build_guide(replace(snapshot, results=results)).sentence.endswith("(1 failed, 1 provisional)")


@pytest.fixture
def panel(qtbot):
    made = GuidePanel()
    qtbot.addWidget(made)
    made.setStyleSheet(theme.style_sheet(768 / 1080))
    made.set_scale(768 / 1080)
    made.resize(1350, 30)
    made.show()
    return made


def test_steps_and_progress_are_whole_on_a_laptop_and_the_sentence_is_never_cut_silently(panel):
    snapshot = with_series(BETWEEN, INCOMPLETE, reason="incomplete: " + "echo 5 slice 3, " * 20)
    panel.draw(build_guide(snapshot))
    QCoreApplication.processEvents()
    assert panel.progress.isVisible()
    letters = panel.progress.fontMetrics()
    assert panel.progress.width() >= letters.horizontalAdvance(panel.progress.text())
    assert panel.steps.width() >= panel.steps.sizeHint().width()
    assert panel.rect().contains(panel.progress.geometry())
    assert panel.sentence.elided
    assert "echo 5 slice 3, echo 5 slice 3" in panel.sentence.toolTip()


def test_where_room_is_short_the_other_steps_give_their_words_before_the_sentence_is_cut(panel):
    panel.draw(build_guide(BETWEEN))
    assert "Setup" in panel.steps.text()
    panel.draw(build_guide(with_series(BETWEEN, INCOMPLETE)))
    QCoreApplication.processEvents()
    assert "Acquire" in panel.steps.text()
    assert "Setup" not in panel.steps.text()
    assert "① Setup: done" in panel.steps.toolTip()
    assert not panel.sentence.elided


def test_a_series_of_unknown_size_moves_no_bar_by_itself(panel):
    snapshot = words_of(2, given=3, arriving=3)
    unknown = replace(snapshot.series[-1], expected=0, description="100 %p <b>x</b>", holmium_refusal="one echo")
    panel.draw(build_guide(replace(snapshot, series=(*snapshot.series[:-1], unknown))))
    bar: QProgressBar = panel.progress
    assert bar.maximum() > bar.minimum()
    assert "<b>x</b>: 3 of ? images" in bar.text()
    assert "%\u200bp" in bar.text()


def _named(key: Qt.Key, modifier: str = "") -> str:
    arrows = {Qt.Key.Key_Up: "↑", Qt.Key.Key_Down: "↓", Qt.Key.Key_Left: "←", Qt.Key.Key_Right: "→"}
    names = {Qt.Key.Key_PageUp: "PageUp", Qt.Key.Key_PageDown: "PageDown", Qt.Key.Key_Return: "Enter"}
    return modifier + (arrows.get(key) or names.get(key) or QKeySequence(key).toString())


def test_the_help_page_tells_every_key_of_the_window():
    told = {token.strip(",;:") for keys, words in KEYS for token in f"{keys} {words}".split()}
    every = {_named(key) for key in (*window._KEYS, *window._STEP_KEYS)}
    every |= {_named(key, "Ctrl+") for key in window._HISTORY_KEYS}
    every |= {_named(key, "Shift+") for key in window._CORONAL_KEYS}
    every |= {"0", "1", "9", "A", "?", "Esc", "F11", "Tab"}
    assert every <= told, every - told


def test_the_help_page_explains_every_sign_and_pattern_of_the_screen():
    heads = " ".join(head for head, _ in SIGNS)
    for sign in (*"✓●○!✕▨◂≥—▼★▶±", "▲▲▲", "▲▲", "▲", "hatched", "dotted", "dashed"):
        assert sign in heads.split(), sign


@pytest.mark.parametrize("size", [(1366, 768), (1920, 1080)], ids=["laptop", "full HD"])
def test_the_help_page_fits_the_window_whole(qtbot, size):
    frame = QMainWindow()
    qtbot.addWidget(frame)
    frame.setStyleSheet(theme.style_sheet(size[1] / 1080))
    frame.resize(*size)
    frame.show()
    page = HelpOverlay(frame)
    page.toggle()
    assert page.isVisible()
    assert frame.rect().contains(page.geometry())
    assert page.heightForWidth(page.width()) <= page.height()
    assert DISCLAIMER in page.text()
    page.toggle()
    assert not page.isVisible()
