"""The setup's dialog: it shows what the form says, records only by its button, and leaves nothing behind."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog, QWidget
from setup_plans import NOW, PLAN, SITE, plan_of

from config.plan import load_plan
from console.dashboard.desk.setup_form import begun
from console.dashboard.desk.setup_known import known_of
from console.dashboard.desk.setup_pages import CHECK
from console.dashboard.dialogs.setup_dialog import SetupDialog
from console.dashboard.dialogs.tool_dialog import Services
from console.dashboard.panels import theme
from console.operations import RevisePlan
from console.snapshot import Snapshot


class Window:
    """A window that notes what is said."""

    def __init__(self, folder: Path) -> None:
        self.said: list[RevisePlan] = []
        self.refusal = ""
        self.widget = QWidget()
        self.widget.setStyleSheet(theme.style_sheet(0.711))
        self.widget.resize(1366, 768)
        self.folder = folder

    def operate(self, operation) -> str:
        if not self.refusal:
            self.said.append(operation)
        return self.refusal


@pytest.fixture(scope="module")
def window(qapp, tmp_path_factory):
    made = Window(tmp_path_factory.mktemp("setup"))
    yield made
    made.widget.deleteLater()


@pytest.fixture(scope="module")
def made(window):
    """Made once: what makes a dialog is what takes time."""
    dialog = SetupDialog(
        window.widget, Services(operate=window.operate, settings=SITE, record=window.folder / "case.holmia")
    )
    yield dialog
    dialog.close()


@pytest.fixture
def dialog(made, window):
    window.said.clear()
    window.refusal = ""
    made.form = begun(known_of(Snapshot(), NOW, SITE))
    made.receive(Snapshot(), NOW)
    made.tabs.setCurrentIndex(0)
    made.show()
    yield made
    made.hide()


@pytest.fixture(scope="module")
def plan_file(window) -> Path:
    path = window.folder / "plan.toml"
    path.write_text(PLAN, encoding="utf-8")
    return path


def confirmed(dialog: SetupDialog) -> None:
    """Type the two identifiers, as with the keyboard."""
    for key, text in (("confirm.id", "EM1-004"), ("confirm.birth_date", "1957-05-12")):
        editor = dialog.forms["confirm"].editors[key]
        editor.setFocus()
        QTest.keyClicks(editor, text)


def test_what_is_typed_is_judged_beside_its_field_and_counted_in_the_name_of_its_page(dialog):
    editor = dialog.forms["batch"].editors["microspheres.holmium_fraction"]
    QTest.keyClicks(editor, "19,5")
    assert (
        "expected a number above 0 and below 1"
        in dialog.forms["batch"].verdicts["microspheres.holmium_fraction"].text()
    )
    assert "✕" in dialog.tabs.tabText(1)
    assert not dialog.form.ready


def test_a_plan_that_was_loaded_and_confirmed_is_recorded_by_the_last_button_only(dialog, plan_file, window):
    dialog.load(plan_file)
    assert window.said == []
    confirmed(dialog)
    for _ in range(CHECK):
        assert "Next" in dialog.main_button.text()
        dialog.main_button.click()
    assert window.said == []
    assert "RHA" in dialog.recorded.text()
    dialog.main_button.click()
    assert [one.plan for one in window.said] == [plan_of().to_mapping()]
    assert not dialog.main_button.isEnabled()


def test_what_could_not_be_recorded_is_told_and_stays_in_the_form(dialog, plan_file, window):
    window.refusal = "Not recorded: the disk is full"
    dialog.load(plan_file)
    confirmed(dialog)
    dialog.tabs.setCurrentIndex(CHECK)
    dialog.main_button.click()
    assert "the disk is full" in dialog.outcome.text()
    assert dialog.main_button.isEnabled()


def test_enter_goes_to_the_next_field_and_records_nothing(dialog, plan_file, window):
    dialog.load(plan_file)
    confirmed(dialog)
    editor = dialog.forms["confirm"].editors["confirm.id"]
    editor.setFocus()
    QTest.keyClick(editor, Qt.Key.Key_Return)
    assert dialog.focusWidget() is dialog.forms["confirm"].editors["confirm.birth_date"]
    dialog.tabs.setCurrentIndex(CHECK)
    QTest.keyClick(dialog, Qt.Key.Key_Return)
    assert window.said == []


def test_the_tab_key_reaches_every_field_of_a_page_in_reading_order(dialog, plan_file):
    dialog.load(plan_file)
    dialog.tabs.setCurrentIndex(2)
    dialog.tabs.tabBar().setFocus()
    reached = []
    for _ in range(40):
        dialog.focusNextChild()
        reached.append(dialog.focusWidget().accessibleName())
    names = [name for name in reached if name.endswith("Planned, MBq")]
    assert names[:3] == ["RHA F1, Planned, MBq", "RHA F2, Planned, MBq", "LHA F1, Planned, MBq"]
    assert reached.index("Position RHA, Position") < reached.index("RHA F1, Planned, MBq")


def test_a_row_is_added_and_removed_by_its_buttons_and_comes_back_by_undo(dialog, plan_file):
    dialog.load(plan_file)
    dialog.add_buttons["vials"].click()
    assert "vials[1].name" in dialog.tables["vials"].editors
    dialog.tables["vials"].buttons["✕", 0].click()
    assert dialog.form.plan.count("vials") == 1
    dialog.undo_button.click()
    assert dialog.form.texts["vials[0].name"] == "A"


def test_the_cursor_stays_in_its_field_while_a_snapshot_arrives(dialog):
    editor = dialog.forms["patient"].editors["patient.id"]
    editor.setFocus()
    QTest.keyClicks(editor, "EM1")
    dialog.receive(Snapshot(head_seq=7), NOW)
    assert dialog.forms["patient"].editors["patient.id"] is editor
    assert editor.text() == "EM1"
    assert editor.cursorPosition() == 3


def test_a_plan_file_that_is_dropped_fills_the_form_and_another_file_does_not(dialog, plan_file, window):
    for path, taken in ((window.folder / "x.txt", False), (plan_file, True)):
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(path))])
        event = QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton,
                           Qt.KeyboardModifier.NoModifier)  # fmt: skip
        dialog.dropEvent(event)
        assert (dialog.form.texts.get("patient.id") == "EM1-004") is taken
    assert window.said == []


def test_the_faults_of_a_plan_file_are_told_and_the_form_stays(dialog, window):
    bad = window.folder / "bad.toml"
    bad.write_text(PLAN.replace("field_T = 3.0", 'field_T = "three"'), encoding="utf-8")
    dialog.load(bad)
    assert "calibration.field_T" in dialog.outcome.text()
    assert not dialog.form.texts.get("patient.id")


def test_a_plan_is_saved_as_a_file_that_reads_back_equal_and_written_over_only_when_asked(dialog, plan_file, window):
    dialog.load(plan_file)
    path = window.folder / "saved.toml"
    path.write_text("# mine", encoding="utf-8")
    dialog.save(path)
    assert path.read_text(encoding="utf-8") == "# mine"
    assert not dialog.replace_button.isHidden()
    dialog.replace_button.click()
    assert load_plan(path, site_time_zone="UTC") == plan_of()
    assert dialog.replace_button.isHidden()
    assert tomllib.loads(path.read_text(encoding="utf-8"))["schema"] == 1
    assert not list(window.folder.glob(".saved*"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("case.holmia", b"SQLite format 3\0"),
        ("site.toml", b"[site]\nport = 11112\n"),
        ("x.toml", b"\xff"),
        ("new.txt", None),
    ],
    ids=["treatment", "settings", "binary", "another suffix"],
)
def test_what_is_no_plan_file_is_never_written_over(dialog, plan_file, window, name, content):
    dialog.load(plan_file)
    path = window.folder / name
    if content is not None:
        path.write_bytes(content)
    for overwrite in (False, True):
        dialog.save(path, overwrite=overwrite)
        assert "was not written" in dialog.outcome.text()
        assert dialog.replace_button.isHidden()
    assert (path.read_bytes() if path.exists() else None) == content


def test_what_is_typed_and_not_recorded_keeps_the_window_open_once(dialog, plan_file):
    assert dialog.may_close()
    dialog.load(plan_file)
    confirmed(dialog)
    dialog.hide()
    assert not dialog.may_close()
    assert dialog.isVisible()
    assert "not recorded" in dialog.outcome.text()
    assert dialog.may_close()
    dialog.record()
    assert dialog.may_close()


def test_the_file_is_asked_for_without_blocking(dialog):
    dialog.load_button.click()
    files = next(child for child in dialog.findChildren(QFileDialog) if child.isVisible())
    assert files.windowModality() == Qt.WindowModality.WindowModal
    files.reject()


def test_texts_from_elsewhere_are_shown_as_they_are(dialog, plan_file):
    dialog.load(plan_file)
    dialog.forms["patient"].changed.emit("patient.name", "<b>X</b>")
    dialog.forms["structures"].changed.emit("structures.tumours", "<img src=x>")
    dialog.tabs.setCurrentIndex(CHECK)
    QApplication.processEvents()
    assert dialog.refused.textFormat() == Qt.TextFormat.PlainText
    assert dialog.recorded.textFormat() == Qt.TextFormat.PlainText
