"""The volumes of the plan, their versions, and what files bring: chosen by a word, looked at before it is recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import treatments
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

from config.settings import Settings
from console.dashboard.desk.volume_import import TICKED, import_form, planned_import, why_not
from console.dashboard.desk.volume_import_table import COLUMNS, import_rows
from console.dashboard.desk.volume_list import History, choosing, doses_of, untold, volume_list
from console.dashboard.desk.volume_outline import outline_picture
from console.dashboard.dialogs import volumes_dialog
from console.dashboard.dialogs.tool_dialog import Services
from console.dashboard.dialogs.volumes_dialog import VolumesDialog
from console.dashboard.screen.model import Tone
from console.given_files import FileKind, FilePreview, GivenFile, look_at
from console.operation_words import words_of
from console.operations import ChooseVolume, GiveVolumes, RevisePlan
from console.outputs.results import fraction_document
from console.snapshot import GivenStructures, Snapshot
from console.structures import treatment_volumes
from console.volume_preview import preview
from dicom_listener.events import Kind
from dicom_listener.images import StructureSet
from dicom_listener.record import Record

from ...dicom_listener.segmentations import affine_of, part10, segmentation
from ..test_structures_volumes import plan
from ..test_volume_preview import GRID, box, given, known, volume

OLD, NEW, DRAWN = "a" * 64, "b" * 64, "c" * 64
LIVER = box("Liver", (0, 5, 5), (20, 35, 35))
FIRST = box("Tumour 1", (5, 10, 10), (10, 20, 20), number=2)
MOVED = box("Tumour 1", (6, 10, 10), (11, 20, 20))
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def gave(
    structures: StructureSet, sha256: str, minute: float, *, by: str = "listener", drawn: str = ""
) -> GivenStructures:
    own = replace(structures, object_sha256=sha256)
    return GivenStructures(structures=own, at=treatments.START + timedelta(minutes=minute), by=by, drawn=drawn)


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    """A liver and a tumour by network, the tumour drawn anew, another drawing that cannot be used; two of them lack."""
    sets = (
        gave(given(LIVER, FIRST), OLD, 1),
        gave(given(MOVED), NEW, 20, by="dr. Jansen", drawn="sphere, brush"),
        gave(given(unusable=(("Tumour 1", "it has no voxel"),)), DRAWN, 30, by="dr. Jansen", drawn="brush"),
    )
    own = plan(("Tumour 1", "Tumour 10"))
    found = treatment_volumes([one.structures for one in sets], own, GRID)
    return replace(
        known(*found.all),
        plan=own,
        loaded={"plan": json.loads(json.dumps(own.to_mapping(), default=str)), "settings": {}},
        patient_id="EM1-004",
        patient_name="DE VRIES^ANNA MARIA",
        structures=sets,
        volume_sources=found.sources,
        structure_faults=found.faults,
    )


def row_of(snapshot: Snapshot, name: str, history: History | None = None):
    return next(row for row in volume_list(snapshot, history).rows if row.name == name)


def texts(row) -> list[str]:
    return [cell.text for cell in row.cells]


# -- the list ------------------------------------------------------------------------------------------------------


def test_a_volume_names_its_version_its_size_and_where_it_is_from(snapshot):
    cells = row_of(snapshot, "Tumour 1").cells
    assert [cell.text for cell in cells][2:4] == ["2 of 3", "18 mL"]
    assert "10:20 by dr. Jansen, sphere, brush" in cells[6].text
    assert f"SHA-256 {NEW[:8]}" in cells[5].tooltip


def test_versions_stand_newest_first_with_one_in_use_and_why_another_cannot_be(snapshot):
    versions = row_of(snapshot, "Tumour 1").versions
    assert [(v.number, v.used, v.usable) for v in versions] == [(3, False, False), (2, True, True), (1, False, True)]
    assert versions[0].cells[1].tooltip == "it has no voxel"
    assert {v.cells[1].text[0] for v in versions} == {"✕", "●", "○"}


def test_a_fault_is_on_the_volume_that_it_names_and_on_no_other(snapshot):
    assert row_of(snapshot, "Tumour 10").cells[1].tone is Tone.CAUTION
    assert "not given yet" in row_of(snapshot, "Tumour 10").cells[1].text
    assert row_of(snapshot, "Liver").cells[1].text == "✓ used"
    assert row_of(snapshot, "Tumour 1").cells[1].tone is Tone.CAUTION


def test_what_lies_outside_and_what_the_plan_does_not_name_are_told(snapshot):
    big = volume("Liver", snapshot.volumes[0].role, (0, 0, 0), (20, 40, 40))
    half = replace(big, contour_volume_ml=2 * big.contour_volume_ml)
    outside = replace(
        snapshot,
        volumes=(half,),
        structures=(*snapshot.structures, gave(given(box("Duct", (0, 0, 0), (2, 2, 2))), OLD, 2)),
    )
    assert row_of(outside, "Liver").cells[4].text == "▲ 50 %"
    assert any("Duct" in state.word for state in volume_list(outside).told)


def test_without_a_plan_the_list_says_why_it_is_empty():
    assert "no plan" in volume_list(Snapshot()).empty


def test_a_version_is_used_by_a_word_and_the_latest_by_taking_it_back(snapshot):
    row = row_of(snapshot, "Tumour 1")
    assert choosing(row, row.versions[2]) == ChooseVolume(volume="Tumour 1", object_sha256=OLD)
    assert choosing(row, row.versions[1]) is None
    assert choosing(row, row.versions[0]) is None
    assert choosing(row, None) is None
    chosen = row_of(replace(snapshot, chosen_volumes={"Tumour 1": OLD}), "Tumour 1")
    assert choosing(chosen, None) == ChooseVolume(volume="Tumour 1", object_sha256="")
    assert "(chosen)" in chosen.cells[2].text


def test_what_every_version_gave_stays_after_a_newer_one_gave_another_number(snapshot):
    def shown(number: int, sha256: str):
        document = fraction_document(treatments.result(number), ZoneInfo("UTC"))
        payload = {
            "position": "RHA",
            "fraction": number + 1,
            "result": document,
            "volume_objects": {"Tumour 1": sha256},
        }
        return treatments.event(number, number, Kind.RESULT_SHOWN, payload)

    doses = doses_of([shown(0, OLD), shown(1, OLD), shown(1, NEW)])
    assert doses["Tumour 1", OLD] == ("RHA F1: 14.0 ± 2.5 Gy", "RHA F2: 52 ± 5 Gy")
    versions = row_of(snapshot, "Tumour 1", History(doses=doses)).versions
    assert [version.cells[5].text for version in versions] == [
        "nothing shown of it yet",
        "after RHA F2: 52 ± 5 Gy",
        "after RHA F1: 14.0 ± 2.5 Gy; after RHA F2: 52 ± 5 Gy",
    ]
    unversioned = treatments.event(1, 1, Kind.RESULT_SHOWN, {"result": {}})
    assert untold([unversioned])
    assert not untold([shown(0, OLD)])
    oldest = row_of(snapshot, "Tumour 1", History(untold=True)).versions[2]
    assert oldest.cells[5].text == "not recorded which results are of it"
    assert doses_of([treatments.event(1, 1, Kind.RESULT_SHOWN, {"result": {}, "volume_objects": {"Liver": OLD}})]) == {}


# -- files ---------------------------------------------------------------------------------------------------------


def label_map(snapshot: Snapshot, *boxes, name: str = "drawn.nii.gz") -> FilePreview:
    labelled = tuple(replace(own, name=str(n), number=n) for n, own in enumerate(boxes, start=1))
    file = GivenFile(path=Path(name), kind=FileKind.NIFTI, data=b"nifti")
    return FilePreview(file=file, object=preview(given(*labelled, frame=""), snapshot))


def dicom(snapshot: Snapshot, *structures, frame: str = "1.2.3") -> FilePreview:
    file = GivenFile(path=Path("rs.dcm"), kind=FileKind.RTSTRUCT, data=b"dicom")
    return FilePreview(file=file, object=preview(given(*structures, frame=frame), snapshot))


def filled(files, snapshot: Snapshot, **typed: str):
    """Names and roles by label, as ``name1="Tumour 1"``; the patient is ticked."""
    keys = {f"0:{key[-1]}:{key[:-1]}": text for key, text in typed.items()}
    return import_form(files, snapshot, {"0::patient": TICKED, **keys})


@pytest.mark.parametrize(
    ("typed", "key", "fault"),
    [
        ({"name1": "Tumor 1"}, "0:1:name", "is Tumour 1 meant?"),
        ({"name1": "Pancreas"}, "0:1:name", "it names Tumour 1, Tumour 10, Liver"),
        ({"name1": "x" * 65, "role1": "tumour"}, "0:1:name", "at most 64 characters, not 65"),
        ({"name1": "Tumour 1", "name2": "Tumour 1"}, "0:1:name", "given twice"),
        ({"name1": "Liver", "role1": "tumour"}, "0:1:role", "is the plan's liver"),
    ],
    ids=["misspelt", "not in the plan", "too long", "twice", "another role"],
)
def test_a_name_that_cannot_be_is_refused_beside_its_field(snapshot, typed, key, fault):
    files = [label_map(snapshot, MOVED, LIVER)]
    form = filled(files, snapshot, **typed)
    assert fault in form.verdicts[key].fault
    assert planned_import(form, files, snapshot).empty
    assert why_not(form, files, snapshot)


def test_a_label_map_is_added_only_once_somebody_said_whose_it_is(snapshot):
    files = [label_map(snapshot, MOVED)]
    form = import_form(files, snapshot, {"0:1:name": "Tumour 1"})
    assert "DE VRIES^ANNA MARIA, ID EM1-004" in form.verdicts["0::patient"].fault
    assert planned_import(form, files, snapshot).empty


def test_named_labels_are_given_and_nameless_ones_left_out(snapshot):
    files = [label_map(snapshot, MOVED, LIVER)]
    planned = planned_import(filled(files, snapshot, name1=" Tumour 1 "), files, snapshot)
    assert planned.given == (GiveVolumes(name="drawn.nii.gz", labels={1: "Tumour 1"}, nifti=b"nifti"),)
    assert planned.revision is None


def test_a_file_named_as_a_volume_of_the_plan_is_suggested_to_be_it(snapshot):
    assert import_form([label_map(snapshot, MOVED, name="tumour_1.nii")], snapshot).text("0:1:name") == "Tumour 1"
    assert import_form([label_map(snapshot, MOVED, LIVER, name="tumour_1.nii")], snapshot).text("0:1:name") == ""


def test_a_new_name_with_a_role_revises_the_plan_into_one_that_can_be_recorded(snapshot):
    files = [dicom(snapshot, replace(MOVED, name="Tumour 3"))]
    form = import_form(files, snapshot)
    assert why_not(form, files, snapshot).startswith("Nothing of this would be used")
    form = filled(files, snapshot, role1="tumour")
    planned = planned_import(form, files, snapshot)
    assert planned.objects == (files[0].file,)
    assert isinstance(planned.revision, RevisePlan)
    words = words_of(planned.revision, snapshot, name="dr. Jansen", at=NOON, site=Settings())
    assert words[0].payload["plan"]["structures"]["tumours"] == ["Tumour 1", "Tumour 10", "Tumour 3"]


def test_the_table_tells_size_part_outside_and_overlap_as_the_names_are_typed(snapshot):
    outside = box("x", (5, 31, 10), (10, 39, 20))  # four of its eight rows lie outside the liver
    files = [label_map(snapshot, outside, FIRST)]
    form = filled(files, snapshot, name1="Tumour 10", name2="Tumour 1")
    first, second = import_rows(form, files, snapshot)
    assert len(first.cells) == len(COLUMNS)
    assert texts(first)[2:7] == ["✓ Tumour 10", "14 mL", "14 mL", "0 %", "50 % outside Liver"]
    assert texts(second)[2] == "✓ Tumour 1, new version"
    shared = [label_map(snapshot, FIRST)]
    (own,) = import_rows(filled(shared, snapshot, name1="Tumour 10"), shared, snapshot)
    assert texts(own)[6] == "▲ 14.4 mL with Tumour 1"
    (same,) = import_rows(filled(shared, snapshot, name1="Tumour 1"), shared, snapshot)
    assert texts(same)[6] == "none"


def test_what_is_of_another_examination_is_refused_and_files_refused_alike_share_a_line(snapshot):
    others = [FilePreview(file=GivenFile(path=Path(f"{n}.txt"), refusal="no volumes")) for n in range(3)]
    files = [dicom(snapshot, MOVED, frame="9.9"), *others]
    form = import_form(files, snapshot)
    rows = import_rows(form, files, snapshot)
    assert "refused" in texts(rows[0])[2]
    assert texts(rows[0])[7] == "✕ another"
    assert (rows[1].cells[0].text, len(rows)) == ("3 files", 2)
    assert planned_import(form, files, snapshot).empty


def test_the_outline_is_cut_where_the_structure_is_largest_with_the_version_in_use_beside(snapshot):
    tall = np.zeros(GRID.shape, dtype=np.float32)
    tall[4:12, 18:22, 18:22] = 1.0
    tall[9, 10:30, 10:30] = 1.0
    structure = replace(MOVED, mask=replace(MOVED.mask, values=tall, affine_lps_mm=GRID.affine_lps_mm))
    (own,) = preview(given(structure), snapshot).structures
    picture = outline_picture(own, snapshot, name="Tumour 1")
    assert picture.caption == "axial, slice 10 of 20"
    assert picture.letters == ("R", "L", "A", "P")
    assert (picture.outline[0].min(), picture.outline[0].max()) == pytest.approx((30.0, 90.0))
    assert picture.before is not None
    assert outline_picture(own, snapshot, name="Tumour 10").before is None


# -- the dialog ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("volumes") / "a.holmia"
    with Record.create(path) as made:
        document = fraction_document(treatments.result(1), ZoneInfo("UTC"))
        payload = {"position": "RHA", "fraction": 2, "result": document, "volume_objects": {"Tumour 1": OLD}}
        made.append(Kind.RESULT_SHOWN, payload, actor="console", utc=NOON)
    return path


@pytest.fixture
def said() -> list:
    return []


@pytest.fixture
def dialog(qtbot, snapshot, record, said):
    parent = QWidget()
    parent.resize(1600, 1000)
    qtbot.addWidget(parent)

    def operate(operation) -> str:
        said.append(operation)
        return ""

    services = Services(operate=operate, settings=Settings(), record=record, operator=lambda: "dr. Jansen")
    made = VolumesDialog(parent, services)
    made.receive(snapshot, None)
    made.show()
    qtbot.waitUntil(lambda: not made._reading.busy, timeout=10_000)
    yield made
    made.reject()
    made.close()
    for work in (made._reading, made._looking, made._adding):
        assert work.wait(10)


def test_an_older_version_is_used_by_choosing_its_row_and_pressing_one_button(dialog, said):
    assert not dialog.use.isEnabled()
    dialog.versions.setCurrentCell(2, 0)
    assert dialog.versions.item(2, 5).text() == "after RHA F2: 52 ± 5 Gy"
    QTest.mouseClick(dialog.use, Qt.MouseButton.LeftButton)
    assert said == [ChooseVolume(volume="Tumour 1", object_sha256=OLD)]
    assert "version 1 of Tumour 1" in dialog.outcome.text()


def test_a_new_snapshot_keeps_the_row_that_was_chosen(dialog, snapshot):
    dialog.volumes.setCurrentCell(2, 0)
    dialog.receive(replace(snapshot, chosen_volumes={"Liver": OLD}), None)
    assert dialog.volumes.currentRow() == 2
    assert dialog.versions_title.text().startswith("Versions of Liver")
    assert dialog.latest.isEnabled()


def dropped(dialog: VolumesDialog, *paths: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    event = QDropEvent(
        QPoint(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    dialog.dropEvent(event)


def seg(tmp_path: Path) -> Path:
    values = np.zeros(GRID.shape, dtype=np.uint8)
    values[5:10, 10:20, 10:20] = 1
    affine = affine_of(spacing=(4.0, 3.0, 3.0), origin=(-60.0, -60.0, -40.0))
    path = tmp_path / "seg.dcm"
    path.write_bytes(part10(segmentation({"Tumour 1": values}, affine, frame_of_reference="1.2.3")))
    return path


def test_dropped_files_are_looked_at_named_and_added_one_word_and_one_object(
    qtbot, dialog, snapshot, record, said, tmp_path, monkeypatch
):
    object_preview = replace(dicom(snapshot, MOVED), file=look_at(seg(tmp_path)))
    found = [label_map(snapshot, box("x", (5, 30, 10), (10, 35, 20))), object_preview]
    looked_at = []

    def looked(paths, *_, **__):
        looked_at.extend(paths)
        yield from found

    monkeypatch.setattr(volumes_dialog, "previews", looked)
    dropped(dialog, tmp_path / "seg.dcm", tmp_path / "drawn.nii.gz")
    qtbot.waitUntil(lambda: not dialog._looking.busy, timeout=10_000)
    assert [path.name for path in looked_at] == ["seg.dcm", "drawn.nii.gz"]
    page = dialog.importing
    assert not page.add.isEnabled()
    QTest.keyClicks(page.form.editors["0:1:name"], "Tumour 11")
    assert page.form.verdicts["0:1:name"].text().startswith("✕ not in the plan")
    QTest.keyClick(page.form.editors["0:1:name"], Qt.Key.Key_Backspace)
    QTest.keyClicks(page.form.editors["0:1:name"], "0")
    assert page.form.verdicts["0:1:name"].text() == ""
    QTest.mouseClick(page.form.editors["0::patient"], Qt.MouseButton.LeftButton)
    assert page.add.isEnabled()
    QTest.keyClick(page.form.editors["0:1:name"], Qt.Key.Key_Return)
    assert said == []
    page.add.setFocus()
    QTest.keyClick(page.add, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not dialog._adding.busy, timeout=10_000)
    assert said == [GiveVolumes(name="drawn.nii.gz", labels={1: "Tumour 10"}, nifti=b"nifti")]
    with Record.open(record, read_only=True) as opened:
        kinds = [event.kind for event in opened.events()]
    assert kinds == [Kind.RESULT_SHOWN, Kind.INSTANCE_STORED, Kind.ASSOCIATION_CLOSED]
    assert "seg.dcm recorded" in dialog.outcome.text()
    assert dialog.pages.currentIndex() == 0


def test_esc_leaves_the_page_of_files_before_the_dialog_and_records_nothing(qtbot, dialog, snapshot, said, monkeypatch):
    monkeypatch.setattr(volumes_dialog, "previews", lambda *_, **__: iter(()) and (yield))
    dialog.look_at([Path("a.nii")])
    assert dialog.pages.currentIndex() == 1
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    assert (dialog.pages.currentIndex(), dialog.isVisible(), said) == (0, True, [])
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()


def test_drawing_is_asked_for_by_name(qtbot, dialog):
    with qtbot.waitSignal(dialog.wanted) as asked:
        QTest.mouseClick(dialog.draw_button, Qt.MouseButton.LeftButton)
    assert asked.args == ["drawing"]


def test_the_window_waits_for_what_is_being_recorded(dialog, monkeypatch):
    monkeypatch.setattr(dialog._adding, "busy", True)
    assert not dialog.may_close()
    assert "being recorded" in dialog.outcome.text()
    monkeypatch.undo()
    assert dialog.may_close()
