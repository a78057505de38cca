"""A registration by hand: what is seen is what would be recorded, in every plane and direction, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import decays
import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget
from scipy import ndimage
from treatments import START

from config.settings import Settings
from console.dashboard.desk.registration_cuts import (
    Laid,
    Stage,
    cut_pixels,
    dragged,
    plane_of,
    stage_of,
    turned,
)
from console.dashboard.desk.registration_view import (
    AS_ACQUIRED,
    Candidate,
    Pose,
    candidates,
    draft_screen,
    in_force,
    in_force_words,
    pose_of,
    worth_looking_at,
)
from console.dashboard.dialogs.registration_controls import Ask
from console.dashboard.dialogs.registration_dialog import RegistrationDialog
from console.dashboard.dialogs.tool_dialog import Services
from console.operations import GiveRegistration, Operation
from console.snapshot import Snapshot
from quantify.findings import Registration, RegistrationStatus
from quantify.holmium import FittedSeries

NOW = START + timedelta(minutes=40)
MOVED = Pose(translation_mm=(9.0, 0.0, 4.0), rotation_deg=(0.0, 0.0, 0.0))
"""Of the second fraction: three columns to the left, one slice to the head."""
FAILED = Registration(
    status=RegistrationStatus.FAILED, similarity=0.61, message="similarity 0.61 is below 0.75; the images do not match."
)


def _with_signal(made: FittedSeries, signal: np.ndarray) -> FittedSeries:
    echoes = np.stack([signal * factor for factor in (1.0, 0.8, 0.64)]).astype(np.float32)
    return replace(made, series=replace(made.series, signal=echoes, echo_times_s=(0.001, 0.002, 0.003)))


@pytest.fixture(scope="module")
def snapshot(between: Snapshot) -> Snapshot:
    """Two fractions; the second one lies elsewhere, and its registration failed."""
    made = decays.fitted(30.0)
    anatomy = between.anatomy.values
    moved = ndimage.shift(anatomy, (1, 0, 3), order=1)
    imaged = (
        decays.imaged(None, _with_signal(made, anatomy)),
        decays.imaged(("RHA", 1), _with_signal(made, anatomy)),
        decays.imaged(("RHA", 2), _with_signal(made, moved)),
    )
    first, second = between.results
    second = replace(second, registration=FAILED, maps=None, error=f"registration failed: {FAILED.message}")
    return replace(between, imaged=imaged, results=(first, second), inputs="a", results_inputs="a")


@pytest.fixture(scope="module")
def candidate(snapshot: Snapshot) -> Candidate:
    return candidates(snapshot)[-1]


@pytest.fixture(scope="module")
def stage(snapshot: Snapshot, candidate: Candidate) -> Stage:
    made = stage_of(snapshot, candidate.imaged)
    assert made is not None
    return made


def recorded(snapshot: Snapshot, pose: Pose, stage: Stage) -> Snapshot:
    """What the engine tells once a registration was given, before its result is here."""
    rows = tuple(tuple(float(v) for v in row) for row in pose.matrix(stage.centre_mm))
    given = {**snapshot.given_registrations, "f2": (rows, "J. Jansen")}
    return replace(snapshot, given_registrations=given, head_seq=snapshot.head_seq + 1)


def computed(snapshot: Snapshot) -> Snapshot:
    """And with its result."""
    rows, by = snapshot.given_registrations["f2"]
    imaged = (*snapshot.imaged[:2], replace(snapshot.imaged[2], reference_to_series_lps_mm=rows))
    judged = Registration(status=RegistrationStatus.OK, reference_to_series_lps_mm=rows, similarity=0.98, given_by=by)
    results = (snapshot.results[0], replace(snapshot.results[1], registration=judged, error=None))
    return replace(snapshot, imaged=imaged, results=results, head_seq=snapshot.head_seq + 1)


def disagreement(stage: Stage, pose: Pose) -> float:
    """Largest difference between the two images over the middle of the three cuts, of 255."""
    worst = 0.0
    for number, geometry in enumerate(stage.geometries):
        index = stage.middle[geometry.normal_axis]
        pixels = cut_pixels(stage, number, index, pose.matrix(stage.centre_mm), Laid.COLOURS, mix=0.5, series_now=True)
        inner = pixels[pixels.shape[0] // 4 : -pixels.shape[0] // 4, 30:-30].astype(float)
        worst = max(worst, float(np.abs(inner[..., 1] - inner[..., 0]).max()))
    return worst


# -- what is seen --------------------------------------------------------------------------------------------------


def test_the_right_transform_and_no_other_brings_both_images_together(stage):
    assert disagreement(stage, MOVED) <= 1.0
    for number in range(6):
        other = MOVED.changed(number, MOVED.values[number] + 3.0)
        assert disagreement(stage, other) > 20.0, number


def test_the_points_of_a_cut_are_those_of_its_voxels(stage):
    for geometry in stage.geometries:
        index = stage.middle[geometry.normal_axis]
        plane = plane_of(geometry, stage.grid, index)
        where = np.stack(np.indices(stage.grid.shape)).astype(float)
        rows = np.stack([geometry.cut(axis, index) for axis in where])
        for row, column in ((0, 0), (3, 7), (plane.size[1] - 1, plane.size[0] - 1)):
            expected = (stage.grid.affine_lps_mm @ [*rows[:, row, column], 1.0])[:3]
            assert plane.origin_mm + column * plane.across_mm + row * plane.down_mm == pytest.approx(expected)


@pytest.mark.parametrize(
    ("cut", "right", "down"),
    [(0, (-1, 0, 0), (0, -1, 0)), (1, (-1, 0, 0), (0, 0, 1)), (2, (0, -1, 0), (0, 0, 1))],
    ids=["axial", "coronal", "sagittal"],
)
def test_a_drag_to_the_left_back_or_head_takes_as_much_from_that_number(stage, cut, right, down):
    """Axial and coronal have the patient's left on the right, sagittal the back; down is the back, or the feet."""
    start = MOVED.matrix(stage.centre_mm)
    moved = pose_of(dragged(stage, cut, start, 5.0, 0.0), stage.centre_mm)
    assert np.array(moved.translation_mm) - MOVED.translation_mm == pytest.approx(5.0 * np.array(right))
    moved = pose_of(dragged(stage, cut, start, 0.0, 2.0), stage.centre_mm)
    assert np.array(moved.translation_mm) - MOVED.translation_mm == pytest.approx(2.0 * np.array(down))
    assert moved.rotation_deg == pytest.approx((0.0, 0.0, 0.0), abs=1e-9)


@pytest.mark.parametrize(
    ("cut", "axis", "sign"), [(0, 2, -1), (1, 1, -1), (2, 0, 1)], ids=["axial", "coronal", "sagittal"]
)
def test_a_turn_is_about_the_axis_of_its_cut_and_leaves_the_middle(stage, cut, axis, sign):
    found = pose_of(turned(stage, cut, np.eye(4), 4.0), stage.centre_mm)
    expected = np.zeros(3)
    expected[axis] = sign * 4.0
    assert found.rotation_deg == pytest.approx(tuple(expected))
    assert found.translation_mm == pytest.approx((0.0, 0.0, 0.0), abs=1e-9)


def test_every_way_of_laying_over_shows_both_and_black_where_there_is_no_series(stage):
    matrix, index = np.eye(4), stage.middle[stage.geometries[0].normal_axis]

    def shown(laid: Laid, **more: object) -> np.ndarray:
        given = {"mix": 0.5, "series_now": True, **more}
        return cut_pixels(stage, 0, index, matrix, laid, **given)[..., :3].astype(int)

    reference, series = shown(Laid.FLICKER, series_now=False), shown(Laid.FLICKER)
    assert (shown(Laid.MIX, mix=0.0) == reference).all()
    assert (shown(Laid.MIX, mix=1.0) == series).all()
    checkers = shown(Laid.CHECKERS)
    differ = (reference != series).any(axis=2)
    assert ((checkers == reference) | (checkers == series)).all()
    assert 0.3 < (checkers == reference).all(axis=2)[differ].mean() < 0.7
    away = Pose(translation_mm=(480.0, 0.0, 0.0), rotation_deg=(0.0, 0.0, 0.0)).matrix(stage.centre_mm)
    assert (cut_pixels(stage, 0, index, away, Laid.FLICKER, mix=0.5, series_now=True)[..., :3] == 0).all()


# -- what counts ---------------------------------------------------------------------------------------------------


def test_what_failed_is_looked_at_first_and_what_is_in_force_is_said(snapshot, candidate, stage):
    assert [c.series_key for c in candidates(snapshot)] == ["f1", "f2"]
    assert worth_looking_at(candidates(snapshot)) == "f2"
    assert in_force_words(snapshot, candidate)[0].text == "✕ found automatically: FAILED: no dose"
    given = recorded(snapshot, MOVED, stage)
    waiting = candidates(given)[-1]
    assert in_force(given, waiting).matrix == pytest.approx(MOVED.matrix(stage.centre_mm))
    assert in_force_words(given, waiting)[0].text == "… given by J. Jansen: being computed and judged"
    done = computed(given)
    state, measured = in_force_words(done, candidates(done)[-1])
    assert state.text == "✓ given by J. Jansen: OK"
    assert measured == "similarity 0.98"


def test_what_would_leave_the_liver_without_a_series_is_refused_and_a_long_way_is_warned_of(snapshot, candidate, stage):
    def judged(pose: Pose):
        matrix = pose.matrix(stage.centre_mm)
        return draft_screen(snapshot, candidate, matrix, stage.centre_mm, stage.covered(matrix), name="J. Jansen")

    assert (judged(MOVED).fault, judged(MOVED).warning) == ("", "")
    assert judged(MOVED).state.text == "▲ NOT RECORDED: 9.8 mm and 0.0° from it"
    away = judged(MOVED.changed(0, 450.0))
    assert "of the liver: expected at least 10 %" in away.fault
    assert away.operation is None
    assert "beyond the limit of" in judged(MOVED.changed(5, 60.0)).warning
    half = judged(MOVED.changed(2, 90.0))
    assert "of the liver: the rest has no dose" in half.warning
    assert half.operation is not None
    # What was refused may be accepted as it stands, in somebody's name; what was given need not be given again.
    assert "accepts it in your name" in judged(AS_ACQUIRED).follows
    given = computed(recorded(snapshot, MOVED, stage))
    matrix = MOVED.matrix(stage.centre_mm)
    assert draft_screen(given, candidates(given)[-1], matrix, stage.centre_mm, 1.0, name="x").operation is None


# -- the dialog ----------------------------------------------------------------------------------------------------


@pytest.fixture
def said() -> list[Operation]:
    return []


@pytest.fixture
def dialog(qtbot, snapshot, said):
    parent = QWidget()
    parent.resize(1366, 768)
    qtbot.addWidget(parent)
    services = Services(
        operate=lambda operation: (said.append(operation), "")[1],
        settings=Settings(),
        record=Path("x.holmia"),
        operator=lambda: "J. Jansen",
    )
    made = RegistrationDialog(parent, services)
    made.receive(snapshot, NOW)
    made.show()
    yield made
    made.close()


def shown(dialog: RegistrationDialog) -> list[float]:
    return [field.value() for field in dialog.controls.fields.fields]


def test_numbers_keys_and_mouse_set_the_same_and_it_counts_once_it_is_recorded(qtbot, dialog, snapshot, stage, said):
    controls, axial = dialog.controls, dialog.cuts[0]
    assert dialog.height() <= 700
    assert shown(dialog) == [0.0] * 6
    # Typed, with a decimal comma; stepped; by arrows; ten times with Shift; dragged; turned; and thrown away.
    field = controls.fields.fields[0]
    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, "2,5")
    assert shown(dialog)[0] == 2.5
    controls.fields.fields[2].stepBy(1)
    assert shown(dialog)[2] == 0.5
    QTest.keyClick(axial, Qt.Key.Key_Left)
    assert shown(dialog)[0] == 3.0  # the picture went to the patient's right: the liver lies further to the left
    QTest.keyClick(axial, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    assert shown(dialog)[1] == -5.0
    QTest.keyClick(axial, Qt.Key.Key_Right, Qt.KeyboardModifier.ControlModifier)
    assert shown(dialog)[5] == -0.25
    before = shown(dialog)
    middle = axial.rect().center()
    QTest.mousePress(axial, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, middle)
    QTest.mouseMove(axial, middle + QPoint(20, 0))
    QTest.mouseRelease(axial, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, middle + QPoint(20, 0))
    across = axial.at(10.0, 0.0).x() - axial.at(0.0, 0.0).x()
    assert shown(dialog)[0] - before[0] == pytest.approx(-200.0 / across, abs=0.02)
    assert "NOT RECORDED" in controls.draft.text()
    controls.buttons[Ask.FORCE].click()
    assert shown(dialog) == [0.0] * 6
    assert said == []
    # Recorded, it is shown until it is known to count; then it can be taken back.
    for number in (0, 2):
        controls.fields.fields[number].setValue(MOVED.values[number])
    controls.buttons[Ask.RECORD].click()
    assert not controls.buttons[Ask.RECORD].isEnabled()
    operation = said.pop()
    assert isinstance(operation, GiveRegistration)
    assert operation.series_key == "f2"
    assert np.array(operation.reference_to_series_lps_mm) == pytest.approx(MOVED.matrix(stage.centre_mm))
    given = recorded(snapshot, MOVED, stage)
    dialog.receive(given, NOW)
    assert "given by J. Jansen: being computed" in controls.in_force.text()
    dialog.receive(computed(given), NOW)
    assert shown(dialog) == pytest.approx(MOVED.values, abs=1e-9)
    assert controls.draft.text() == "= nothing changed"
    # What was found is known still: it can be looked at again before anything is taken back.
    controls.buttons[Ask.FOUND].click()
    assert shown(dialog) == [0.0] * 6
    controls.buttons[Ask.FORCE].click()
    controls.buttons[Ask.TAKE_BACK].click()
    assert said == [GiveRegistration(series_key="f2", reference_to_series_lps_mm=())]


def test_what_is_set_survives_a_snapshot_and_the_flicker_stops_with_the_dialog(dialog, snapshot):
    dialog.controls.fields.fields[1].setValue(-4.5)
    dialog.receive(replace(snapshot, head_seq=snapshot.head_seq + 5), NOW)
    assert shown(dialog)[1] == -4.5
    dialog._toggle_flicker()
    assert dialog._flicker.isActive()
    dialog.close()
    assert not dialog._flicker.isActive()


def test_without_a_fitted_fraction_it_says_so(dialog, snapshot):
    dialog.receive(replace(snapshot, imaged=snapshot.imaged[:1]), NOW)
    assert dialog.nothing.isVisible()
    assert not dialog.work.isVisible()
