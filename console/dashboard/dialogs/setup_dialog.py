"""The setup of a treatment: its plan, typed or read from a file, checked at every key, recorded when it is whole."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QKeyEvent, QShowEvent
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QLineEdit, QPushButton, QTabWidget, QWidget

from config.errors import ConfigurationError
from config.plan import load_plan
from console.dashboard.desk.setup_form import (
    RefusedError,
    SetupForm,
    added,
    begun,
    divided,
    filled,
    informed,
    removed,
    restored,
    spoken,
    typed,
)
from console.dashboard.desk.setup_known import Known, known_of
from console.dashboard.desk.setup_pages import CHECK, DIVIDE, PAGES, page_form, tab_titles, table
from console.dashboard.desk.setup_summary import summary
from console.dashboard.desk.setup_texts import PlanTexts
from console.dashboard.desk.setup_toml import plan_toml
from console.dashboard.dialogs.form_view import FormView
from console.dashboard.dialogs.setup_files import dropped_plan, not_written_over, write_plan
from console.dashboard.dialogs.setup_page import SetupPage, aligned, in_order
from console.dashboard.dialogs.setup_table import SetupTable
from console.dashboard.dialogs.tool_dialog import Services, ToolDialog, plain, touch_button
from console.dashboard.panels import theme
from console.dashboard.screen.model import State, Tone
from console.operations import RevisePlan

_MOST_FAULTS = 6
"""Of a file that cannot be read: more than a person corrects at once."""


class SetupDialog(ToolDialog):
    """The pages of the setup. Nothing is recorded before somebody presses the button on the last one."""

    def __init__(self, parent: QWidget, services: Services) -> None:
        super().__init__(parent, services, "Setup")
        self._before: list[PlanTexts] = []
        self._overwriting: Path | None = None
        self._told_unrecorded = False
        self._files: QFileDialog | None = None
        self.form = begun(self._known())
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setDrawBase(False)
        self.forms = {name: FormView() for name in ("patient", "confirm", "batch", "calibration", "structures")}
        self.tables = {name: SetupTable() for name in ("vials", "residuals", "positions", "injections", "limits")}
        self.notice, self.verdict, self.heading_recorded = plain(""), plain(""), plain("")
        self.refused, self.odd, self.recorded = _lines(Tone.ALERT), _lines(Tone.CAUTION), _lines(Tone.NORMAL)
        self._order: list[int] = []
        self.load_button, self.save_button = touch_button("Load plan file…"), touch_button("Save as plan file…")
        self.undo_button, self.discard_button = touch_button("Undo"), touch_button("Discard changes")
        self.replace_button, self.main_button = touch_button("Replace it"), touch_button("Next")
        self.add_buttons = {
            "positions": touch_button("+ Position"),
            "vials": touch_button("+ Vial"),
            "residuals": touch_button("+ Residual"),
            "limits": touch_button("+ Limit"),
        }
        self._lay_out()
        self._connect()
        self.setAcceptDrops(True)
        self._show()  # what is made while the dialog opens cannot take the focus yet

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Open with the cursor in the first field that needs something."""
        super().showEvent(event)
        aligned(self.forms["patient"], self.forms["confirm"])
        aligned(self.forms["batch"], self.forms["calibration"])
        editors = self.forms["patient"].editors | self.forms["confirm"].editors
        needing = [editor for key, editor in editors.items() if key in self.form.judged.verdicts]
        if self.tabs.currentIndex() == 0 and needing:
            needing[0].setFocus()

    def may_close(self) -> bool:
        """Not at the first time while something typed is not recorded: that is said, and a second time closes."""
        told, self._told_unrecorded = self._told_unrecorded, bool(self.form.touched) and not self.form.waiting
        if told or not self._told_unrecorded:
            return True
        self.show()
        self.raise_()
        words = "What was typed here is not recorded. Record it on Check; closing the window once more leaves it."
        self.tell(State(sign="▲", word=words, tone=Tone.CAUTION))
        return False

    def draw(self) -> None:
        """Show the form as it stands with what is known now."""
        self.form = informed(self.form, self._known())
        self._show()

    def load(self, path: Path) -> None:
        """Fill the form from a plan file; nothing is recorded."""
        try:
            plan = load_plan(path, site_time_zone=self.services.settings.site.time_zone)
        except ConfigurationError as error:
            more = len(error.faults) - _MOST_FAULTS
            faults = [*error.faults[:_MOST_FAULTS], *([f"… and {more} more."] if more > 0 else [])]
            told = f"{path.name} was not read:\n" + "\n".join(faults)
            return self.tell(State(sign="✕", word=told, tone=Tone.ALERT))
        self._act(lambda: filled(self.form, plan))
        words = f"{path.name} stands in the form; nothing is recorded yet"
        return self.tell(State(sign="●", word=words, tone=Tone.ACTIVE))

    def save(self, path: Path, *, overwrite: bool = False) -> None:
        """Write what stands in the form as a plan file; one that exists only where that was asked for."""
        plan = self.form.judged.plan
        self._overwriting = None
        if plan is None:
            self.tell(State(sign="✕", word="Not written: correct what is refused first (Check)", tone=Tone.ALERT))
        elif why := not_written_over(path):
            self.tell(State(sign="✕", word=f"{path.name} was not written: {why}", tone=Tone.ALERT))
        elif path.exists() and not overwrite:
            self._overwriting = path
            self.tell(State(sign="▲", word=f"{path.name} exists, and was not written over", tone=Tone.CAUTION))
        else:
            try:
                write_plan(path, plan_toml(plan.to_mapping()), overwrite=overwrite)
            except OSError as error:
                told = f"{path} was not written: {error.strerror or error}"
                self.tell(State(sign="✕", word=told, tone=Tone.ALERT))
            else:
                self.tell(State(sign="✓", word=f"Written: {path}", tone=Tone.GOOD))
        self.replace_button.setVisible(self._overwriting is not None)

    def record(self) -> None:
        """Record the plan as it stands, if nothing is refused."""
        if self.form.ready and self.say(RevisePlan(plan=self.form.judged.mapping), "The plan is recorded"):
            self.form = spoken(self.form)
            self._before.clear()
        self._show()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Enter goes on to the next field, or presses the button that has the focus: it never records by itself."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            focused = self.focusWidget()
            if isinstance(focused, QPushButton):
                focused.click()
            elif isinstance(focused, QLineEdit):
                self.focusNextChild()
            return
        super().keyPressEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """Take a plan file."""
        if dropped_plan(event) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Read a plan file."""
        path = dropped_plan(event)
        if path is not None:
            event.acceptProposedAction()
            self.load(path)

    def _known(self) -> Known:
        return known_of(self.snapshot, self.now or datetime.now(UTC), self.services.settings)

    def _show(self) -> None:
        for name, view in self.forms.items():
            view.draw(page_form(self.form, name))
        for rows, own in self.tables.items():
            own.draw(table(self.form, rows))
        for page, title in enumerate(tab_titles(self.form)):
            if self.tabs.tabText(page) != title:
                self.tabs.setTabText(page, title)
        told = summary(self.form)
        self.notice.setText(told.notice)
        self.notice.setVisible(bool(told.notice))
        _tone(self.verdict, told.state)
        for label, tone in ((self.refused, Tone.ALERT), (self.odd, Tone.CAUTION)):
            label.setText("\n".join(cell.text for cell in told.said if cell.tone is tone))
            label.setVisible(bool(label.text()))
        self.heading_recorded.setText(told.heading)
        self.recorded.setText("\n".join(f"• {line}" for line in told.recorded))
        last = self.tabs.currentIndex() == CHECK
        self.main_button.setText(told.button if last else f"Next: {PAGES[self.tabs.currentIndex() + 1]} ›")
        self.main_button.setEnabled(self.form.ready or not last)
        self.undo_button.setEnabled(bool(self._before))
        self.discard_button.setEnabled(bool(self.form.touched) and not self.form.waiting)
        self.save_button.setEnabled(self.form.judged.plan is not None)
        self._keep_order()

    def _keep_order(self) -> None:
        """The tab key goes through what is read, from the top to the foot: rows are made later than what follows."""
        widgets = [*in_order(self.body), self.operator, self.close_button]
        if [id(one) for one in widgets] != self._order:
            self._order = [id(one) for one in widgets]
            for one, following in pairwise(widgets):
                self.setTabOrder(one, following)

    def _act(self, act: Callable[[], SetupForm]) -> None:
        """Do what can be undone; a refusal is told and changes nothing."""
        before = self.form.plan
        try:
            self.form = act()
        except RefusedError as error:
            self.tell(State(sign="✕", word=str(error), tone=Tone.ALERT))
            return
        self._before.append(before)
        self.tell(State(sign="", word=""))
        self._show()

    def _type(self, key: str, text: str) -> None:
        self._told_unrecorded = False
        self.form = typed(self.form, key, text)
        self._show()

    def _add(self, rows: str) -> None:
        self._act(lambda: added(self.form, rows))
        self._go_to_last(rows)

    def _go_to_last(self, rows: str) -> None:
        editors = [e for key, e in self.tables[rows].editors.items() if key.startswith(rows)]
        own = table(self.form, rows)
        if editors and own.rows:
            self.tables[rows].editors[own.rows[-1].fields[0].key].setFocus()

    def _of_position(self, words: str, row: int) -> None:
        self._act(lambda: divided(self.form, row) if words == DIVIDE else added(self.form, "injections", row))

    def _undo(self) -> None:
        self.form = restored(self.form, self._before.pop())
        self._show()

    def _main(self) -> None:
        if self.tabs.currentIndex() == CHECK:
            self.record()
        else:
            self.tabs.setCurrentIndex(self.tabs.currentIndex() + 1)

    def _ask_for_file(self, *, save: bool) -> None:
        """Ask without blocking the window."""
        if self._files is not None:
            self._files.deleteLater()
        folder = str(self.services.record.parent)
        files = QFileDialog(self, "Save as plan file" if save else "Load plan file", folder, "Plan (*.toml)")
        # The system's own dialog would ask by itself before it writes over a file, and block the window meanwhile.
        files.setOptions(QFileDialog.Option.DontUseNativeDialog | QFileDialog.Option.DontConfirmOverwrite)
        files.setFileMode(QFileDialog.FileMode.AnyFile if save else QFileDialog.FileMode.ExistingFile)
        if save:
            files.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
            files.setDefaultSuffix("toml")
            files.selectFile(f"{self.services.record.stem}.toml")
        files.fileSelected.connect(lambda name: self.save(Path(name)) if save else self.load(Path(name)))
        self._files = files
        files.open()

    def _replace(self) -> None:
        if self._overwriting is not None:
            self.save(self._overwriting, overwrite=True)

    def _connect(self) -> None:
        for form in self.forms.values():
            form.changed.connect(self._type)
        for own in self.tables.values():
            own.changed.connect(self._type)
            own.removed.connect(lambda rows, row: self._act(lambda: removed(self.form, rows, row)))
            own.acted.connect(self._of_position)
        for rows, button in self.add_buttons.items():
            button.clicked.connect(lambda _=False, rows=rows: self._add(rows))
        self.load_button.clicked.connect(lambda: self._ask_for_file(save=False))
        self.save_button.clicked.connect(lambda: self._ask_for_file(save=True))
        self.undo_button.clicked.connect(self._undo)
        self.discard_button.clicked.connect(lambda: self._act(lambda: begun(self._known())))
        self.replace_button.clicked.connect(self._replace)
        self.main_button.clicked.connect(self._main)
        self.tabs.currentChanged.connect(lambda _: self._show())

    def _lay_out(self) -> None:
        pages = [SetupPage() for _ in PAGES]
        patient, activity, positions, volumes, check = pages
        patient.add("Patient", self.forms["patient"], note="Images of anybody else are set aside, and alarmed.")
        patient.add(
            "Confirmed by two identifiers",
            self.forms["confirm"],
            note="Read both from the wristband or the request, not from this screen.",
        )
        activity.add("Batch of microspheres", self.forms["batch"])
        activity.add("Vials", self.tables["vials"], _left(self.add_buttons["vials"]))
        activity.add(
            "Residuals",
            self.tables["residuals"],
            _left(self.add_buttons["residuals"]),
            note="May be added after the injections; until then results are provisional.",
        )
        activity.add("Calibration (the site's phantom)", self.forms["calibration"])
        positions.add(
            "Injection positions",
            self.tables["positions"],
            _left(self.add_buttons["positions"]),
            note="“Divide” makes the fractions from MBq and split; “+ F” adds one.",
        )
        positions.add("Fractions", self.tables["injections"])
        volumes.add("Volumes", self.forms["structures"], note="Names as in the structure set, exactly.")
        volumes.add("Dose limits", self.tables["limits"], _left(self.add_buttons["limits"]))
        theme.restyle(self.notice, f"color: {theme.TONES[Tone.CAUTION]}; font-weight: bold;")
        self.notice.setWordWrap(True)
        check.add("Check", self.verdict, self.refused, self.odd)
        check.add("", self.heading_recorded, self.recorded)
        self.heading_recorded.setObjectName("glance_title")
        for page, name in zip(pages, PAGES, strict=True):
            self.tabs.addTab(page, name)
        buttons = QHBoxLayout()
        buttons.setSpacing(10)
        for button in (self.load_button, self.save_button, self.replace_button, self.undo_button, self.discard_button):
            button.setAutoDefault(False)
            buttons.addWidget(button)
        for button in (self.main_button, *self.add_buttons.values()):
            button.setAutoDefault(False)
        buttons.addStretch(1)
        buttons.addWidget(self.main_button)
        self.replace_button.hide()
        self.body.addWidget(self.notice)
        self.body.addWidget(self.tabs, 1)
        self.body.addLayout(buttons)


def _left(button: QPushButton) -> QHBoxLayout:
    row = QHBoxLayout()
    row.addWidget(button)
    row.addStretch(1)
    return row


def _lines(tone: Tone) -> QLabel:
    label = plain("")
    theme.restyle(label, f"color: {theme.TONES[tone]};")
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def _tone(label: QLabel, state: State) -> None:
    label.setText(state.text)
    theme.restyle(label, f"color: {theme.TONES[state.tone]}; font-weight: bold;")
