"""The empty start: a new treatment under a name that is free, or one that exists; nothing is made or opened by it."""

from __future__ import annotations

import builtins
import os
import signal
from datetime import UTC, datetime

import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel

from console.cli.window import _asked_for_a_file as asked_for_a_file
from console.dashboard.desk.setup_start import name_fault, new_name, treatments_in
from console.dashboard.dialogs.start_dialog import StartDialog, ask_for_a_file
from console.dashboard.screen.model import DISCLAIMER
from console.outputs.wording import software_version

NOW = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path):
    for age, name in enumerate(("new.holmia", "old.holmia", "holmia-20260304-1.holmia")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1_700_000_000 - age, 1_700_000_000 - age))
    (tmp_path / "new.quarantine.holmia").touch()
    (tmp_path / "notes.txt").touch()
    return tmp_path


@pytest.fixture
def dialog(qtbot, folder):
    made = StartDialog(folder, NOW)
    qtbot.addWidget(made)
    return made


def test_the_first_name_that_is_free_is_offered(folder):
    assert new_name(folder, NOW) == "holmia-20260304-2.holmia"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "needed"),
        (".holmia", "needed"),
        ("case", "ends in .holmia"),
        ("case.holmia.txt", "ends in .holmia"),
        ("new.holmia", "exists already"),
        ("nowhere/case.holmia", "does not exist"),
        ("case.quarantine.holmia", "set aside"),
        ("x" * 300 + ".holmia", "at most"),
        ("case\0.holmia", "zero byte"),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_what_is_expected(folder, name, words):
    assert words in name_fault(folder, name)


def test_a_folder_that_cannot_be_written_is_refused(folder, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "cannot be written" in name_fault(folder, "case.holmia")


def test_treatments_are_listed_the_latest_first_without_quarantine_and_none_is_opened(folder, monkeypatch):
    monkeypatch.setattr(builtins, "open", lambda *_, **__: pytest.fail("a file was opened"))
    names = [one.path.name for one in treatments_in(folder, NOW)]
    assert names == ["new.holmia", "old.holmia", "holmia-20260304-1.holmia"]


def test_what_was_appended_to_the_log_beside_a_file_counts(folder):
    (folder / "old.holmia-wal").touch()
    assert treatments_in(folder, NOW)[0].path.name == "old.holmia"


def test_enter_in_the_name_begins_a_new_treatment_and_makes_no_file(dialog, folder):
    QTest.keyClick(dialog.name, Qt.Key.Key_Return)
    assert dialog.chosen == folder / "holmia-20260304-2.holmia"
    assert not dialog.chosen.exists()


def test_a_bad_name_is_refused_while_typing_and_enter_does_nothing(dialog):
    dialog.name.clear()
    QTest.keyClicks(dialog.name, "new.holmia")
    assert "exists already" in dialog.refusal.text()
    assert not dialog.begin_button.isEnabled()
    QTest.keyClick(dialog.name, Qt.Key.Key_Return)
    assert dialog.chosen is None


def test_the_list_is_chosen_from_by_the_keyboard(dialog, folder):
    dialog.show()
    dialog.files.setFocus()
    QTest.keyClick(dialog.files, Qt.Key.Key_Down)
    QTest.keyClick(dialog.files, Qt.Key.Key_Return)
    assert dialog.chosen == folder / "old.holmia"


def test_a_file_from_elsewhere_is_taken_only_if_it_can_be_a_treatment(dialog, folder):
    dialog.take(folder / "notes.txt")
    dialog.take(folder / "new.quarantine.holmia")
    assert dialog.chosen is None
    assert "✕" in dialog.open_refusal.text()
    dialog.take(folder / "old.holmia")
    assert dialog.chosen == folder / "old.holmia"


def test_the_version_and_the_disclaimer_stand_on_it(dialog):
    texts = [label.text() for label in dialog.findChildren(QLabel)]
    assert DISCLAIMER in texts
    assert any(software_version() in text for text in texts)


def test_esc_leaves_without_an_answer(qtbot, folder):
    def press() -> None:
        QTest.keyClick(QApplication.activeModalWidget(), Qt.Key.Key_Escape)

    QTimer.singleShot(0, press)
    assert ask_for_a_file(folder, NOW) is None


def test_sigterm_ends_the_empty_start(qapp, folder, monkeypatch):
    monkeypatch.chdir(folder)
    QTimer.singleShot(20, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert asked_for_a_file() is None
    # An application that was told to exit outside its own loop lets no later loop of its thread run, until one has.
    QTimer.singleShot(0, qapp.quit)
    qapp.exec()
