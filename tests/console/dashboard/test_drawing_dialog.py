"""Drawing in the window: fields refused while typing, strokes by mouse and by key, versions; nothing gets lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QKeyEvent, QMouseEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMainWindow

from config.settings import Settings
from console.dashboard.desk.drawing import DrawTool, name_fault, near_miss, save_form, tool_form
from console.dashboard.desk.drawing_board import DrawingBoard
from console.dashboard.desk.drawing_images import (
    Source,
    drawing_legend,
    drawn_lines,
    from_plane,
    on_plane_mm,
    patch_lines,
    place_words,
    voxel_of,
)
from console.dashboard.desk.drawing_readouts import ml_words, readouts, save_fault, saved_state, unsaved
from console.dashboard.dialogs.drawing_dialog import DrawingDialog
from console.dashboard.dialogs.tool_dialog import Services
from console.dashboard.screen.planes import plane_geometries
from console.operations import GiveVolumes
from console.snapshot import Mode as ConsoleMode
from console.snapshot import Snapshot, VolumeSource
from quantify.drawing import drawing_lattice, sphere
from quantify.drawing_canvas import Canvas, Mode
from quantify.model import Grid

BALL_ML = 4 / 3 * np.pi * 20.0**3 / 1000
PLAN = {
    "structures": {"liver": "Liver", "tumours": ["Tumour 1", "Tumour 2", "Tumour 3"]},
    "positions": {"RHA": {"territory": "Right lobe"}},
}


@pytest.fixture(scope="module")
def known(finished: Snapshot) -> Snapshot:
    return replace(finished, loaded={"plan": PLAN})


@pytest.fixture
def board(known: Snapshot) -> DrawingBoard:
    made = DrawingBoard()
    made.know(known)
    return made


def typed(board: DrawingBoard, **texts: str) -> DrawingBoard:
    for key, text in texts.items():
        board.state = board.state.typed(key, text)
    return board


def chosen(board: DrawingBoard, tool: DrawTool) -> DrawingBoard:
    board.state = replace(board.state, tool=tool)
    return board


# -- fields ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["abc", "0", "-3", "151", "1e9", "nan", ""])
def test_a_radius_that_cannot_be_is_refused_beside_its_field_and_draws_nothing(board, known, text):
    typed(board, radius=text)
    assert tool_form(board.state, known).verdicts["radius"].fault
    assert board.place(board.planes[0])
    assert board.canvas.count == 0


@pytest.mark.parametrize(("text", "fault", "warning"), [("", True, False), ("x", True, False), ("90", False, False)])
def test_a_level_is_refused_only_where_it_is_needed(board, known, text, fault, warning):
    typed(board, source=Source.DOSE, level=text)
    assert not tool_form(board.state, known).verdicts["level"].fault
    form = tool_form(chosen(board, DrawTool.THRESHOLD).state, known)
    assert bool(form.verdicts["level"].fault) is fault
    assert bool(form.verdicts["level"].warning) is warning
    odd = tool_form(typed(board, level="5000").state, known)
    assert "outside what the image holds" in odd.verdicts["level"].warning
    assert odd.ready


@pytest.mark.parametrize(
    ("name", "role", "words"),
    [
        ("", "tumour", "needed"),
        ("x" * 65, "tumour", "1 to 64 characters"),
        ("a\tb", "tumour", "1 to 64 characters"),
        ("Healthy liver RHA", "tumour", "kept for the liver"),
        ("Right lobe", "tumour", "territory"),
        ("Liver", "tumour", "is the liver"),
        ("Tumour 1", "liver", "is a tumour"),
        ("Whole liver", "liver", "is called Liver"),
        ("Tumour 1", "tumour", ""),
        ("Liver", "liver", ""),
        ("Segment VI", "tumour", ""),
    ],
)
def test_a_name_that_another_role_has_is_refused_beside_its_field(board, known, name, role, words):
    fault = save_form(typed(board, name=name, role=role).state, known).verdicts["name"].fault
    assert words in fault if words else not fault


def test_a_slip_of_the_pen_is_asked_about_and_not_refused(board, known):
    form = save_form(typed(board, name="tumor 1").state, known)
    assert form.verdicts["name"].warning == "did you mean Tumour 1?"
    assert form.ready
    assert not near_miss("Tumour 4", ("Tumour 1", "Tumour 2"))
    assert not name_fault(board.state, known)


def test_another_image_forgets_the_level_of_the_one_before(board):
    typed(board, source=Source.HOLMIUM, level="2.0")
    assert typed(board, source=Source.DOSE).state.texts["level"] == ""


# -- the board ---------------------------------------------------------------------------------------------------------


def test_places_on_the_planes_and_in_the_patient_are_the_same_places(board):
    rng = np.random.default_rng(2)
    grid = board.grid
    for plane in board.planes:
        place = tuple(float(v) for v in grid.affine_lps_mm[:3] @ [*rng.integers(3, 37, 3), 1.0])
        x_mm, y_mm = on_plane_mm(grid, plane, place)
        back = from_plane(grid, plane, x_mm + 1.0, y_mm, voxel_of(grid, place))
        assert np.linalg.norm(np.subtract(back, place)) == pytest.approx(1.0)
        assert plane.place_mm(voxel_of(grid, place)) == pytest.approx((x_mm, y_mm))


def test_a_drawn_sphere_is_told_with_its_volume_and_outlined_where_it_is(board, known):
    assert board.place(board.planes[0]) == ""
    assert board.canvas.volume_ml == pytest.approx(BALL_ML, rel=0.02)
    assert readouts(board.canvas, board.state, known)[0].text.startswith(ml_words(board.canvas.volume_ml))
    for plane in board.planes:
        lines, _ = board.lines(plane)
        x, y = board.crosshair_mm(plane)
        radii = np.hypot(lines.x_mm - x, lines.y_mm - y)
        assert radii.min() > 17.0
        assert radii.max() < 22.0


def test_an_asymmetric_drawing_is_outlined_on_its_own_side(board, known):
    """A sphere to the patient's left and head of the crosshair lies right and above on the display."""
    x, y, z = board.state.centre_mm
    board.canvas.apply(sphere(board.canvas.lattice, (x + 30, y, z + 12), 14.0), Mode.ADD, "sphere")
    lattice, voxel = board.canvas.lattice, voxel_of(board.grid, (x, y, z))
    cross = board.crosshair_mm(board.planes[1])
    coronal = drawn_lines(board.canvas.mask, lattice, board.planes[1], voxel)
    assert coronal.x_mm.mean() > cross[0] + 25
    assert coronal.y_mm.mean() < cross[1] - 8
    axial = drawn_lines(board.canvas.mask, lattice, board.planes[0], voxel)
    assert axial.x_mm.mean() > cross[0] + 25


@pytest.mark.parametrize("turned", ["xyz", "zyx", "yxz"])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1)], ids=str)
def test_what_is_shown_before_it_is_drawn_is_what_is_drawn(turned, signs):
    """However the series was acquired: the dashed line of a patch and the line of the drawing are the same."""
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, ["zyx".index(axis) for axis in turned]] * np.array(signs) * (5.0, 3.0, 2.5)
    lattice = drawing_lattice(Grid(shape=(12, 20, 24), affine_lps_mm=affine, frame_of_reference_uid="1"))
    centre = tuple(float(v) for v in affine[:3] @ [5, 8, 13, 1.0])
    patch = sphere(lattice, np.add(centre, (2.0, -3.0, 4.0)), 14.0)
    canvas = Canvas(lattice)
    canvas.apply(patch, Mode.ADD, "sphere")
    for plane in plane_geometries(lattice.reference):
        voxel = voxel_of(lattice.reference, centre)
        shown, drawn = patch_lines(patch, lattice, plane, voxel), drawn_lines(canvas.mask, lattice, plane, voxel)
        np.testing.assert_allclose(shown.x_mm, drawn.x_mm)
        np.testing.assert_allclose(shown.y_mm, drawn.y_mm)
        place = on_plane_mm(lattice.reference, plane, tuple(np.add(centre, (2.0, -3.0, 4.0)).tolist()))
        assert (drawn.x_mm.min() + drawn.x_mm.max()) / 2 == pytest.approx(place[0], abs=1.5)
        assert (drawn.y_mm.min() + drawn.y_mm.max()) / 2 == pytest.approx(place[1], abs=1.5)


def test_overlap_and_part_outside_the_liver_are_told_by_word_and_shape(board, known):
    board.place(board.planes[0])
    typed(board, name="New")
    told = " / ".join(cell.text for cell in readouts(board.canvas, board.state, known))
    assert "▲ overlaps Tumour 1" in told
    assert "✓ inside Liver" in told
    typed(board, name="Tumour 1")
    assert "✓ no overlap" in " / ".join(cell.text for cell in readouts(board.canvas, board.state, known))
    board.state = replace(board.state, centre_mm=(120.0, 40.0, 30.0))
    board.place(board.planes[0])
    assert "outside Liver" in " / ".join(cell.text for cell in readouts(board.canvas, board.state, known))
    typed(board, name="Liver", role="liver")
    assert "▲ outside this liver: Tumour 1" in " / ".join(
        cell.text for cell in readouts(board.canvas, board.state, known)
    )


def test_part_of_a_sphere_outside_the_reference_is_told(board, known):
    low = board.grid.affine_lps_mm[:3] @ [-0.5, 56, 64, 1.0]
    board.state = replace(board.state, centre_mm=tuple(low.tolist()))
    board.place(board.planes[0])
    assert any("outside the reference series" in cell.text for cell in readouts(board.canvas, board.state, known))


def test_a_threshold_takes_the_tumour_out_of_its_surroundings(board, known):
    chosen(typed(board, source=Source.DOSE, radius="40", level="60"), DrawTool.THRESHOLD)
    assert board.place(board.planes[0]) == ""
    tumour = next(v for v in known.volumes if v.name == "Tumour 1")
    assert board.canvas.volume_ml == pytest.approx(tumour.volume_ml, rel=0.35)
    assert "threshold ≥ 60 Gy of dose map in sphere r 40 mm at " in board.canvas.words
    before = board.canvas.volume_ml
    assert board.place(board.planes[0]) == "It changes nothing of what is drawn."
    typed(board, level="5000")
    assert "The centre itself does not lie at that level" in board.place(board.planes[0])
    assert "No voxel" in typed(board, joined="").place(board.planes[0])
    assert board.canvas.volume_ml == before


def test_another_volume_is_drawn_on_from_and_combined_with(board, known):
    assert board.combine("Tumour 1", Mode.REPLACE) == ""
    tumour = next(v for v in known.volumes if v.name == "Tumour 1")
    assert board.canvas.volume_ml == pytest.approx(tumour.volume_ml, rel=0.03)
    assert (board.state.name, board.state.texts["role"]) == ("Tumour 1", "tumour")
    assert not board.unsaved
    assert save_fault(board.canvas, board.state, known, earlier=False) == "Nothing was changed since the last version."
    board.place(board.planes[0], remove=True)
    assert board.unsaved
    assert save_fault(board.canvas, board.state, known, earlier=False) == ""
    assert board.canvas.words.startswith("Tumour 1 of structure set 'Contours', version 2; less sphere r 20 mm at R ")
    assert "choose another volume" in board.combine("Nobody", Mode.ADD)


def test_a_snapshot_that_arrives_never_wipes_a_drawing(board, known):
    board.place(board.planes[0])
    drawn = board.canvas.mask.copy()
    board.know(replace(known, head_seq=99))
    assert board.base.head_seq == 99
    other = replace(known.reference, grid=_other_frame(known.reference.grid))
    moved = replace(known, head_seq=100, reference=other)
    board.know(moved)
    assert board.earlier
    assert board.base.head_seq == 99
    assert np.array_equal(board.canvas.mask, drawn)
    assert "earlier reference" in save_fault(board.canvas, board.state, board.base, earlier=board.earlier)
    board.know(Snapshot())
    assert np.array_equal(board.canvas.mask, drawn)
    board.know(known)
    assert not board.earlier
    board.know(moved)
    board.begin_anew(moved)
    assert board.grid.frame_of_reference_uid == "9.9.9"
    assert not board.unsaved


def _other_frame(grid: Grid) -> Grid:
    return Grid(shape=grid.shape, affine_lps_mm=grid.affine_lps_mm, frame_of_reference_uid="9.9.9")


def test_a_version_is_told_only_when_the_snapshot_has_it(board, known):
    board.place(board.planes[0])
    typed(board, name="Tumour 1")
    operation = board.operation()
    assert isinstance(operation, GiveVolumes)
    board.recorded(operation)
    assert not unsaved(board.canvas, board.state)
    assert saved_state(board.state, known).sign == "…"
    source = VolumeSource(title="drawing", sha256=board.state.saved.sha256, version=3)
    after = replace(known, volume_sources={**known.volume_sources, "Tumour 1": source})
    assert saved_state(board.state, after).text == (
        f"✓ Saved: Tumour 1 version 3, SHA-256 {board.state.saved.sha256[:8]}"
    )
    board.canvas.undo()
    board.canvas.redo()
    assert not board.unsaved
    board.canvas.undo()
    chosen(board, DrawTool.BRUSH).place(board.planes[0])
    assert board.unsaved


def test_the_holmium_map_has_its_own_unit_and_colours():
    legend = drawing_legend(Source.HOLMIUM, Settings().display)
    dose = drawing_legend(Source.DOSE, Settings().display)
    assert (legend.title, dose.title) == ("mg/mL", "Gy")
    assert legend.colour_map != dose.colour_map


def test_a_place_has_letters_and_no_signs():
    assert place_words((34.4, -12.0, -5.0)) == "L 34 A 12 F 5 mm"
    assert place_words((-0.2, 0.3, 0.0)) == "L 0 P 0 H 0 mm"


# -- the dialog --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shown(qapp, known) -> Iterator[DrawingDialog]:
    window = QMainWindow()
    window.resize(1366, 768)
    window.said = []
    services = Services(
        operate=lambda operation: window.said.append(operation) or "",
        settings=Settings(),
        record=Path("x.holmia"),
        operator=lambda: "J. Jansen",
    )
    window.show()
    dialog = DrawingDialog(window, services)
    dialog.said = window.said
    dialog.receive(known, None)
    dialog.show()
    qapp.processEvents()
    yield dialog
    dialog.board.begin_anew(known)
    dialog.close()
    window.close()
    window.deleteLater()


@pytest.fixture
def dialog(shown: DrawingDialog, known: Snapshot) -> DrawingDialog:
    """The one dialog of this module, with nothing drawn."""
    shown._stop_asking()
    shown.board.begin_anew(known)
    shown.board.state = replace(DrawingBoard().state, centre_mm=shown.board.state.centre_mm)
    shown.said.clear()
    shown.show()
    shown.receive(known, None)
    return shown


def press(dialog: DrawingDialog, key: Qt.Key, modifiers=Qt.KeyboardModifier.NoModifier) -> None:
    dialog.keyPressEvent(QKeyEvent(QEvent.Type.KeyPress, key, modifiers))


def mouse(view, kind: QEvent.Type, x: float, y: float, button=Qt.MouseButton.LeftButton) -> None:
    place = QPointF(x, y)
    down = Qt.MouseButton.NoButton if kind is QEvent.Type.MouseButtonRelease else button
    event = QMouseEvent(kind, place, view.mapToGlobal(place), button, down, Qt.KeyboardModifier.NoModifier)
    handler = {
        QEvent.Type.MouseButtonPress: view.mousePressEvent,
        QEvent.Type.MouseMove: view.mouseMoveEvent,
        QEvent.Type.MouseButtonRelease: view.mouseReleaseEvent,
    }[kind]
    handler(event)


def stroke(view, start: tuple[float, float], end: tuple[float, float], button=Qt.MouseButton.LeftButton) -> None:
    mouse(view, QEvent.Type.MouseButtonPress, *start, button)
    mouse(view, QEvent.Type.MouseMove, *end, button)
    mouse(view, QEvent.Type.MouseButtonRelease, *end, button)


def test_a_press_and_a_drag_give_the_sphere_its_centre_and_radius_and_enter_draws_it(dialog):
    view = dialog.cuts.views[0]
    middle = view.at(*dialog.board.crosshair_mm(view.plane.geometry))
    edge = view.at(*(v + d for v, d in zip(dialog.board.crosshair_mm(view.plane.geometry), (15.0, 0.0), strict=True)))
    stroke(view, (middle.x(), middle.y()), (edge.x(), edge.y()))
    assert dialog.panel.tool_view.editors["radius"].text() == "15"
    assert dialog.board.canvas.count == 0
    press(dialog, Qt.Key.Key_Return)
    assert dialog.board.canvas.volume_ml == pytest.approx(4 / 3 * np.pi * 15.0**3 / 1000, rel=0.03)
    assert dialog.panel.lines[0].text().startswith(ml_words(dialog.board.canvas.volume_ml))


def test_keys_do_what_the_mouse_does(dialog):
    before = voxel_of(dialog.board.grid, dialog.board.state.centre_mm)
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_PageUp):
        press(dialog, key)
    after = voxel_of(dialog.board.grid, dialog.board.state.centre_mm)
    assert tuple(np.subtract(after, before)) == (1, -1, 1)
    for key in (Qt.Key.Key_Plus, Qt.Key.Key_BracketRight, Qt.Key.Key_Minus):
        press(dialog, key)
    assert dialog.panel.tool_view.editors["radius"].text() == "21"
    press(dialog, Qt.Key.Key_Enter)
    assert dialog.board.canvas.count > 0
    press(dialog, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert dialog.board.canvas.count == 0
    press(dialog, Qt.Key.Key_Y, Qt.KeyboardModifier.ControlModifier)
    assert dialog.board.canvas.count > 0


def test_brush_and_eraser_by_mouse_are_one_stroke_each(dialog):
    dialog.bar.tools[DrawTool.BRUSH].click()
    dialog._type("radius", "6")
    view = dialog.cuts.views[0]
    at = dialog.board.crosshair_mm(view.plane.geometry)
    start, end = view.at(at[0] - 10, at[1]), view.at(at[0] + 10, at[1])
    stroke(view, (start.x(), start.y()), (end.x(), end.y()))
    drawn = dialog.board.canvas.volume_ml
    assert drawn == pytest.approx((np.pi * 36.0 + 12.0 * 20.0) * 4.0 / 1000, rel=0.06)
    dialog.bar.tools[DrawTool.ERASER].click()
    stroke(view, (start.x(), start.y()), (end.x(), end.y()))
    assert dialog.board.canvas.count == 0
    dialog.bar.undo.click()
    assert dialog.board.canvas.volume_ml == drawn
    dialog.bar.undo.click()
    assert not dialog.bar.undo.isEnabled()


def test_the_wheel_goes_through_the_slices_and_with_ctrl_changes_the_radius(dialog):
    view = dialog.cuts.views[0]
    before = voxel_of(dialog.board.grid, dialog.board.state.centre_mm)
    for modifier in (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier):
        place = QPointF(50, 50)
        turned = QWheelEvent(
            place, view.mapToGlobal(place), QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton, modifier,
            Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        view.wheelEvent(turned)
    assert voxel_of(dialog.board.grid, dialog.board.state.centre_mm)[0] == before[0] + 1
    assert dialog.board.state.radius_mm == 21.0


def test_a_right_drag_changes_the_grey_window_and_draws_nothing(dialog):
    view = dialog.cuts.views[0]
    before = view.plane.grey_levels
    stroke(view, (60, 60), (140, 60), Qt.MouseButton.RightButton)
    low, high = view.plane.grey_levels
    assert high - low > before[1] - before[0]
    assert dialog.board.canvas.count == 0


def test_interpolate_and_fill_say_why_where_there_is_nothing_to_do(dialog):
    dialog.bar.place.click()
    dialog.bar.interpolate.click()
    assert "No axial slice is empty" in dialog.outcome.text()
    dialog.bar.enclose.click()
    assert "encloses" in dialog.outcome.text()
    dialog.bar.clear.click()
    assert dialog.board.canvas.count == 0
    dialog.bar.undo.click()
    assert dialog.board.canvas.count > 0


def test_a_level_beyond_any_image_stands_at_the_end_of_its_slider(dialog):
    dialog._choose(DrawTool.THRESHOLD)
    for text in ("9" * 30, "-1"):
        dialog._type("level", text)
        assert dialog.panel.level.value() in (dialog.panel.level.minimum(), dialog.panel.level.maximum())


def test_dragging_the_level_shows_what_would_be_taken(dialog):
    dialog.bar.tools[DrawTool.THRESHOLD].click()
    dialog._type("source", Source.DOSE)
    dialog.panel.level.setValue(400)
    low = dialog.board.shape().count
    assert "≥" in dialog.bar.preview.text()
    assert dialog.cuts.views[0].overlay.preview is not None
    dialog.panel.level.setValue(700)
    assert dialog.board.shape().count < low
    assert dialog.board.canvas.count == 0
    assert not dialog.cuts.scale_bar.isHidden()


def test_a_refused_field_closes_the_way_to_drawing_and_saving(dialog):
    dialog._type("radius", "abc")
    assert "expected a number" in dialog.panel.tool_view.verdicts["radius"].text()
    assert not dialog.bar.place.isEnabled()
    dialog._type("radius", "12")
    dialog.bar.place.click()
    dialog._type("name", "Liver")
    assert "is the liver of the plan" in dialog.panel.save_view.verdicts["name"].text()
    assert not dialog.panel.save.isEnabled()
    dialog._save()
    assert not dialog.said


def test_saving_records_a_version_and_tells_its_number_and_hash(dialog, known):
    dialog.bar.place.click()
    dialog._type("name", "Segment VI")
    assert "new: the plan will name it as tumour" in dialog.panel.why_not.text()
    dialog.panel.save.click()
    (operation,) = dialog.said
    assert operation.plan["structures"]["tumours"][-1] == "Segment VI"
    assert operation.drawn.startswith("sphere r 20 mm at R ")
    assert "being read" in dialog.panel.version.text()
    sha256 = dialog.board.state.saved.sha256
    sources = {**known.volume_sources, "Segment VI": VolumeSource(title="drawing", sha256=sha256, version=1)}
    dialog.receive(replace(known, volume_sources=sources), None)
    assert f"version 1, SHA-256 {sha256[:8]}" in dialog.panel.version.text()
    dialog.reject()
    assert not dialog.isVisible()


def test_closing_asks_in_the_dialog_and_a_second_escape_goes_back_to_the_drawing(dialog):
    dialog.bar.place.click()
    drawn = dialog.board.canvas.count
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    assert dialog.isVisible()
    assert not dialog.asking.isHidden()
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    assert dialog.isVisible()
    assert dialog.asking.isHidden()
    assert dialog.board.canvas.count == drawn
    dialog.close()
    assert dialog.isVisible()
    dialog.discard.click()
    assert not dialog.isVisible()
    assert dialog.board.canvas.count == 0


def test_enter_in_the_name_records_nothing(dialog):
    dialog.bar.place.click()
    dialog._type("name", "Tumour 1")
    dialog.panel.save_view.editors["name"].setFocus()
    QTest.keyClick(dialog.panel.save_view.editors["name"], Qt.Key.Key_Return)
    assert not dialog.said
    assert dialog.isVisible()


def test_the_dialog_fits_a_small_screen_with_every_control_in_it(dialog, qapp):
    dialog._choose(DrawTool.THRESHOLD)
    dialog.board.place(dialog.board.planes[0])
    qapp.processEvents()
    assert dialog.width() <= 1366
    assert dialog.height() <= 768
    for widget in (dialog.panel.save, dialog.close_button, dialog.bar.clear, *dialog.others.modes.values()):
        assert dialog.rect().contains(widget.mapTo(dialog, widget.rect().bottomRight()))


def test_tab_reaches_everything_that_can_be_pressed(dialog):
    dialog._choose(DrawTool.THRESHOLD)
    dialog.bar.place.click()
    reached, widget = set(), dialog.cuts
    for _ in range(300):
        widget = widget.nextInFocusChain()
        reached.add(widget)
    wanted = [own for own in (*dialog._stops, dialog.cuts) if own.isVisible()]
    assert len(wanted) > 20
    assert reached.issuperset(wanted)
    dialog.panel.save_view.editors["name"].setFocus()
    dialog.focusNextChild()
    assert dialog.focusWidget() in (dialog.panel.save, dialog.operator)


def test_on_an_earlier_reference_beginning_anew_stands_where_saving_stood_and_asks(dialog, known):
    dialog.bar.place.click()
    drawn = dialog.board.canvas.count
    dialog.receive(replace(known, reference=replace(known.reference, grid=_other_frame(known.reference.grid))), None)
    assert "frame of an earlier reference" in dialog.panel.lines[0].text()
    assert "EARLIER REFERENCE" in dialog.cuts.views[0].plane.caption
    assert dialog.panel.save.isHidden()
    dialog.panel.anew.click()
    assert dialog.board.canvas.count == drawn
    dialog.discard.click()
    assert dialog.board.canvas.count == 0
    assert not dialog.panel.save.isHidden()


def test_a_demonstration_is_told_on_every_cut(dialog, known):
    shown = DrawingDialog(dialog.parentWidget(), replace(dialog.services, mode=ConsoleMode.DEMO))
    shown.receive(known, None)
    shown.show()
    assert [view.watermark for view in shown.cuts.views] == ["DEMO"] * 3
    shown.close()
    shown.deleteLater()


def test_before_an_image_the_dialog_says_what_it_waits_for(dialog, known):
    waiting = DrawingDialog(dialog.parentWidget(), dialog.services)
    waiting.receive(Snapshot(), None)
    waiting.show()
    assert not waiting.message.isHidden()
    assert not waiting.bar.place.isEnabled()
    assert not waiting.panel.save.isEnabled()
    waiting.receive(known, None)
    assert waiting.message.isHidden()
    assert waiting.bar.place.isEnabled()
    waiting.close()
    waiting.deleteLater()


def test_a_brush_stroke_costs_less_than_a_frame_on_a_whole_series(board):
    """A reference of 256 × 256 × 40: what a movement of the mouse changes and all three outlines, 30 ms at most."""
    affine = np.array([[0, 0, 1.5, -190], [0, 1.5, 0, -190], [4.0, 0, 0, -80], [0, 0, 0, 1]], dtype=float)
    grid = Grid(shape=(40, 256, 256), affine_lps_mm=affine, frame_of_reference_uid="1")
    large = replace(
        board.base,
        anatomy=replace(board.base.anatomy, values=np.zeros(grid.shape, np.float32), grid=grid),
        reference=None,
        volumes=(),
        results=(),
    )
    board.begin_anew(large)
    chosen(typed(board, radius="12"), DrawTool.BRUSH)
    board.canvas.apply(sphere(board.canvas.lattice, board.state.centre_mm, 70.0), Mode.ADD, "sphere")
    plane = plane_geometries(grid)[0]
    x, y = board.crosshair_mm(plane)
    board.press(plane, x + 60, y)
    took = []
    for step in range(12):
        begin = time.process_time()
        board.drag(plane, x + 60 + step, y + step)
        for each in board.planes:
            board.lines(each)
        took.append(time.process_time() - begin)
    board.release()
    assert float(np.median(took)) < 0.03
