"""A treatment operated from an empty window to its end: no plan file, drawn volumes, a real listener process.

The tests are the steps of one treatment: each goes on where the one before ended.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from conftest import coarse_options
from holmia_processes import events_of, listening, map_arrays, quantified
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit, QWidget
from watched_treatment import Watched

from console.dashboard.app import create_application
from console.dashboard.desk.drawing_images import on_plane_mm
from console.dashboard.dialogs.drawing_dialog import DrawingDialog
from console.dashboard.dialogs.injection_dialog import InjectionDialog
from console.dashboard.dialogs.series_dialog import SeriesDialog
from console.dashboard.dialogs.setup_dialog import SetupDialog
from console.dashboard.dialogs.tuning_dialog import TuningDialog
from console.dashboard.dialogs.volumes_dialog import VolumesDialog
from console.dashboard.screen.view import Tool
from console.demo.phantom import Phantom
from console.demo.phantom_acquisition import AcquisitionOptions
from console.demo.phantom_dicom import PhantomTreatment, write_phantom
from console.outputs.results import fraction_document
from dicom_listener.record import Record
from quantify.findings import FractionStatus

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("operated"), pytest.mark.usefixtures("in_order")]

OPERATOR = "A. Operator"
ZONE = ZoneInfo("Europe/Amsterdam")
DENSITY = "quantification.tissue_density_g_per_mL"
PROTOCOL = AcquisitionOptions(
    shape=(12, 40, 60), spacing_mm=(13.3, 6.6, 6.6), echo_times_s=(0.0012, 0.004, 0.012), subsamples=1
)
RADIUS_MM = 20.0
SPHERE_ML = 4.0 / 3.0 * math.pi * (RADIUS_MM / 10.0) ** 3


@dataclass(kw_only=True)
class Course:
    """What the steps share, and how far they have come."""

    room: Watched
    phantom: PhantomTreatment
    ended_well: set[str]


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Course]:
    create_application(["holmia"])
    folder = tmp_path_factory.mktemp("operated")
    phantom = write_phantom(folder / "phantom", coarse_options(acquisition=PROTOCOL))
    file = folder / "operated.holmia"
    with contextlib.ExitStack() as ended_at_last:
        _, port = ended_at_last.enter_context(listening(file, None))
        record = ended_at_last.enter_context(Record.open(file))
        start = phantom.treatment.injections[0].time - timedelta(minutes=20)
        with contextlib.closing(Watched(record, port, start)) as room:
            yield Course(room=room, phantom=phantom, ended_well=set())


@pytest.fixture
def in_order(request: pytest.FixtureRequest, course: Course) -> Iterator[None]:
    """A step needs those before it: alone it would say nothing."""
    steps = [name for name in vars(request.module) if name.startswith("test_")]
    own = request.node.originalname
    if not course.ended_well.issuperset(steps[: steps.index(own)]):
        pytest.skip("a step before this one failed or was not run: run the whole file")
    failures = request.session.testsfailed
    yield
    if request.session.testsfailed == failures:
        course.ended_well.add(own)


@pytest.fixture
def room(course: Course) -> Watched:
    return course.room


def opened(room: Watched, key: Qt.Key, tool: Tool) -> QWidget:
    """A dialog, opened by its key."""
    room.window.activateWindow()
    room.window.setFocus()
    QTest.keyClick(room.window, key)
    dialog = room.live.tools[tool]
    assert dialog.isVisible()
    dialog.operator.setFocus()
    dialog.operator.selectAll()
    QTest.keyClicks(dialog.operator, OPERATOR)
    return dialog


def typed(editor: QLineEdit, text: str) -> None:
    """What somebody types into a field, in the place of what stood there."""
    editor.setFocus()
    editor.selectAll()
    QTest.keyClicks(editor, text)


def until(room: Watched, seen: object, what: str) -> None:
    room.until(lambda _: seen(), what)


def test_the_first_image_tells_the_patient_before_there_is_a_plan(room: Watched, course: Course) -> None:
    assert room.snapshot.plan is None
    room.send(course.phantom.reference)
    room.until(lambda s: "EM1-004" in s.header.patient_details, "the patient of the first image")
    assert room.snapshot.results == ()


def test_a_treatment_is_set_up_by_typing(room: Watched, course: Course) -> None:
    first, second = course.phantom.treatment.injections
    dialog = opened(room, Qt.Key.Key_F2, Tool.SETUP)
    assert isinstance(dialog, SetupDialog)
    patient = dialog.forms["patient"].editors
    assert patient["patient.id"].text() == "EM1-004"
    typed(dialog.forms["confirm"].editors["confirm.id"], "EM1-005")
    assert dialog.forms["confirm"].verdicts["confirm.id"].text().startswith("✕")
    typed(dialog.forms["confirm"].editors["confirm.id"], "EM1-004")
    typed(dialog.forms["confirm"].editors["confirm.birth_date"], "1957-05-12")
    batch, calibration = dialog.forms["batch"].editors, dialog.forms["calibration"].editors
    assayed_at = first.time - timedelta(hours=1)
    an_hour_before = first.specific_activity_mbq_per_mg * 2.0 ** (1.0 / 26.80)
    typed(batch["microspheres.specific_activity_MBq_per_mg"], f"{an_hour_before:.6f}")
    typed(batch["microspheres.reference_time"], f"{assayed_at:%Y-%m-%d %H:%M:%S}")
    typed(batch["microspheres.holmium_fraction"], "0.195")
    typed(batch["time_zone"], "Europe/Amsterdam")
    typed(calibration["calibration.relaxivity_per_s_per_mg_mL"], "218")
    typed(calibration["calibration.field_T"], "3.0")
    typed(calibration["calibration.holmium_fraction"], "0.195")
    positions = dialog.tables["positions"]
    planned = first.planned_mbq + second.planned_mbq
    share = 100.0 * first.planned_mbq / planned
    typed(positions.editors["positions[0].name"], "RHA")
    typed(positions.editors["positions[0].prescribed_MBq"], f"{planned:.1f}")
    typed(positions.editors["positions[0].split"], f"{share:.4f}/{100 - share:.4f}")
    next(button for (words, _), button in positions.buttons.items() if words == "Divide").click()
    assert dialog.form.ready, dialog.refused.text()
    dialog.tabs.setCurrentIndex(dialog.tabs.count() - 1)
    dialog.main_button.click()
    until(room, lambda: room.snapshot.plan is not None, "the plan is read")
    plan = room.snapshot.plan
    assert plan is not None
    assert [i.label for i in plan.injections] == ["RHA F1", "RHA F2"]
    assert plan.injections[0].planned_mbq == pytest.approx(first.planned_mbq, rel=1e-3)
    assert events_of(room.record.path)[-1].actor == OPERATOR
    dialog.close()


def drawn(room: Watched, name: str, role: str, centre_mm: tuple[float, float, float], radius_mm: float) -> None:
    """A sphere, drawn and saved as a version."""
    dialog = opened(room, Qt.Key.Key_F7, Tool.DRAWING)
    assert isinstance(dialog, DrawingDialog)
    radius = dialog.panel.tool_view.editors["radius"]
    typed(radius, "nonsense")
    assert dialog.panel.tool_view.verdicts["radius"].text().startswith("✕")
    typed(radius, f"{radius_mm:g}")
    for view in dialog.cuts.views[:2]:  # axial, then coronal: that is all three coordinates
        plane = view.plane.geometry
        x, y = on_plane_mm(dialog.board.grid, plane, centre_mm)
        view.pressed.emit(x, y)
        view.released.emit()
    dialog.bar.clear.click()
    dialog.cuts.setFocus()
    QTest.keyClick(dialog.cuts, Qt.Key.Key_Return)
    typed(dialog.panel.save_view.editors["name"], name)
    dialog.panel.save_view.editors["role"].setCurrentText(role)
    assert dialog.panel.save.isEnabled(), dialog.panel.why_not.text()
    dialog.panel.save.click()
    until(room, lambda: name in room.snapshot.volume_sources, f"{name} is a volume")
    dialog.close()


def test_volumes_are_drawn_on_the_reference(room: Watched) -> None:
    until(room, lambda: room.snapshot.reference is not None and not room.snapshot.computing, "the reference is fitted")
    tumour = Phantom().tumours[0]
    drawn(room, "Tumour 1", "tumour", tumour.centre_mm, RADIUS_MM)
    sphere = next(v for v in room.snapshot.volumes if v.name == "Tumour 1")
    assert sphere.contour_volume_ml == pytest.approx(SPHERE_ML, rel=0.02)
    voxel_ml = room.snapshot.reference.grid.voxel_volume_ml
    assert float(sphere.occupancy.sum()) * voxel_ml == pytest.approx(SPHERE_ML, rel=0.02)
    drawn(room, "Liver", "liver", tumour.centre_mm, 55.0)
    assert {"Tumour 1", "Liver"} == set(room.snapshot.volume_sources)
    assert room.snapshot.plan.structures.tumours == ("Tumour 1",)


def give(room: Watched, course: Course, number: int) -> None:
    """Start and stop by the big button, at the phantom's own time."""
    injection = course.phantom.treatment.injections[number]
    room.moment = injection.time - timedelta(minutes=3)
    room.live.dashboard.redraw()
    room.window.operator_bar.start_or_stop()
    until(room, lambda: any(i.under_way for i in room.snapshot.injections), "the injection is under way")
    room.moment = injection.time
    room.live.dashboard.redraw()
    QTest.qWait(50)
    room.window.operator_bar.start_or_stop()
    label = f"RHA F{number + 1}"
    until(room, lambda: any(i.label == label and i.time for i in room.snapshot.injections), f"{label} has ended")
    dialog = opened(room, Qt.Key.Key_F3, Tool.INJECTIONS)
    assert isinstance(dialog, InjectionDialog)
    dialog.table.selectRow(number)
    activity = dialog.form.editors["activity_MBq"]
    typed(activity, "420000")
    assert dialog.form.verdicts["activity_MBq"].text().startswith("✕")
    typed(activity, f"{injection.activity_mbq:.1f}")
    dialog.record.click()
    until(
        room,
        lambda: any(
            i.label == label and i.activity_mbq == pytest.approx(injection.activity_mbq, rel=1e-3)
            for i in room.snapshot.injections
        ),
        f"the activity of {label}",
    )
    dialog.close()
    room.moment = injection.acquired_at + timedelta(minutes=3)


def test_a_drawing_that_is_not_saved_keeps_the_window_open(room: Watched) -> None:
    dialog = opened(room, Qt.Key.Key_F7, Tool.DRAWING)
    assert isinstance(dialog, DrawingDialog)
    typed(dialog.panel.tool_view.editors["radius"], "70")
    dialog.bar.place.click()
    assert not room.window.close()
    assert dialog.asking.isVisible()
    room.click(dialog.discard)
    assert room.window.isVisible()
    assert room.live.dashboard.window.may_close()


def test_the_first_fraction_is_given_by_the_big_button_and_seen(room: Watched, course: Course) -> None:
    give(room, course, 0)
    room.send(course.phantom.fractions[0])
    until(room, lambda: room.result(1) is not None, "the result of the first fraction")
    result = room.result(1)
    assert result.status is FractionStatus.OK, result.error
    assert {"Tumour 1", "Liver", "Healthy liver"} <= set(result.volumes)


def test_a_tap_by_mistake_is_taken_back(room: Watched) -> None:
    bar = room.window.operator_bar
    reflux = next(key for key in bar.taps if "reflux" in key.shown.words.lower())
    room.click(reflux)
    until(room, lambda: any(e.payload.get("label") == "reflux" for e in room.snapshot.events), "reflux")
    room.click(bar.undo)
    until(room, lambda: len(room.snapshot.retracted) == 1, "reflux is taken back")


def test_roles_are_confirmed_in_one_press(room: Watched) -> None:
    dialog = opened(room, Qt.Key.Key_F4, Tool.SERIES)
    assert isinstance(dialog, SeriesDialog)
    dialog.all_button.click()
    until(
        room,
        lambda: all(b.confirmed for b in room.snapshot.bindings if b.role in ("reference", "fraction")),
        "every role is confirmed",
    )
    dialog.close()


def test_the_last_fraction_is_seen_and_the_file_alone_gives_the_same(
    room: Watched, course: Course, tmp_path: Path
) -> None:
    give(room, course, 1)
    room.send(course.phantom.fractions[1])
    until(room, lambda: room.result(2) is not None and not room.snapshot.computing, "the last result")
    assert room.snapshot.complete
    document = quantified(room.record.path, tmp_path / "out")
    shown = [fraction_document(result, ZONE) for result in room.snapshot.results]
    assert [f["volumes"] for f in document["fractions"]] == [f["volumes"] for f in shown]
    assert document["fractions"][-1]["volumes"]["Tumour 1"]["dose_mean_Gy"] > 5.0


def test_a_draft_is_what_the_command_line_gives_bit_for_bit_and_is_promoted(room: Watched, tmp_path: Path) -> None:
    active = room.result(2).volumes["Tumour 1"].dose_mean_gy
    dialog = opened(room, Qt.Key.Key_F9, Tool.TUNING)
    assert isinstance(dialog, TuningDialog)
    density = dialog.settings.rows[DENSITY].editor
    assert not density.isEnabled()
    typed(dialog.lock_row.field, "P. Jansen")
    QTest.keyClick(dialog.lock_row.field, Qt.Key.Key_Return)
    typed(density, "much")
    assert dialog.settings.rows[DENSITY].verdict.text()
    typed(density, "1.2")

    def mapped() -> bool:
        shown = dialog.drafted.shown
        return (
            shown is not None
            and shown.overrides == dialog.drafted.wanted != {}
            and len(shown.results) == 2
            and all(result.maps is not None for result in shown.results)
        )

    until(room, mapped, "the draft and its maps")
    told, draft = dialog.command.text(), dialog.drafted.shown
    assert told == f"--set {DENSITY}=1.2"
    document = quantified(room.record.path, tmp_path / "set", *told.split())
    shown = [fraction_document(result, ZONE) for result in draft.results]
    assert [f["volumes"] for f in document["fractions"]] == [f["volumes"] for f in shown]
    assert [f["trend"] for f in document["fractions"]] == [f["trend"] for f in shown]
    for result in draft.results:
        map_of = tmp_path / "set" / "maps" / f"dose_RHA_f{result.fraction}.nii.gz"
        np.testing.assert_array_equal(map_arrays(tmp_path / "set")[map_of.name], result.maps.dose.values)
    assert room.result(2).volumes["Tumour 1"].dose_mean_gy == active, "nothing of the active settings is touched"
    dialog.promote_button.click()
    typed(dialog.page.reason, "the density of this liver as measured by CT")
    dialog.page.record.click()
    until(room, lambda: room.result(2).volumes["Tumour 1"].dose_mean_gy != active, "what was promoted")
    revision = room.snapshot.revisions[-1]
    assert (revision.by, revision.reason) == ("P. Jansen", "the density of this liver as measured by CT")
    assert any("P. Jansen" in cell.text for cell in room.screen.status)
    drafted = [r.volumes for r in draft.results]
    until(room, lambda: [r.volumes for r in room.snapshot.results] == drafted, "the draft's own numbers")
    dialog.close()
    assert not dialog.unlocked


def test_an_edited_volume_is_a_new_version_and_the_old_one_gives_what_it_gave(room: Watched) -> None:
    before = room.result(2).volumes["Tumour 1"]
    drawn(room, "Tumour 1", "tumour", Phantom().tumours[0].centre_mm, 12.0)
    until(room, lambda: room.snapshot.volume_sources["Tumour 1"].version == 2, "the second version")
    until(room, lambda: room.result(2).volumes["Tumour 1"].volume_ml < before.volume_ml / 2, "its result")
    dialog = opened(room, Qt.Key.Key_F6, Tool.VOLUMES)
    assert isinstance(dialog, VolumesDialog)
    row = next(n for n in range(dialog.volumes.rowCount()) if dialog.volumes.item(n, 0).text() == "Tumour 1")
    dialog.volumes.selectRow(row)
    dialog.versions.selectRow(1)
    room.click(dialog.use)
    until(room, lambda: room.snapshot.volume_sources["Tumour 1"].version == 1, "the first version again")
    until(room, lambda: room.result(2).volumes["Tumour 1"] == before, "what the first version gave")
    dialog.close()
    shown = [e for e in events_of(room.record.path) if e.kind == "result_shown" and e.payload["fraction"] == 2]
    volumes_ml = [e.payload["result"]["volumes"]["Tumour 1"]["volume_mL"] for e in shown]
    assert len({round(ml, 1) for ml in volumes_ml}) == 2


def test_the_treatment_is_closed(room: Watched) -> None:
    dialog = opened(room, Qt.Key.Key_F3, Tool.INJECTIONS)
    assert isinstance(dialog, InjectionDialog)
    dialog.close_treatment.click()
    until(room, lambda: room.snapshot.closed is not None, "the treatment is closed")
    assert room.snapshot.closed[0] == OPERATOR
    dialog.close()
