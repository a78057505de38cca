"""The physicist's panel: locked until somebody gives a name; then a draft B beside the active A, until it is promoted.

Nothing of A is touched by a draft: it has an engine in a process of its own, which ends when the panel is locked or
closed. What was typed stays, marked, until it is reset or promoted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtGui import QGuiApplication, QHideEvent, QKeyEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QAbstractButton, QHBoxLayout, QLineEdit, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from console.dashboard.desk.difference import Drafted, changes_in_words, draft_state, is_computed, largest_in_words
from console.dashboard.desk.difference_images import result_of
from console.dashboard.desk.tuning import Active, Draft, Judged, active_of, judged, name_fault, promotion
from console.dashboard.desk.tuning_settings import found
from console.dashboard.desk.what_if import what_if_command
from console.dashboard.dialogs.tool_dialog import Services, ToolDialog, plain, touch_button
from console.dashboard.dialogs.tuning_comparison import TuningComparison
from console.dashboard.dialogs.tuning_engine import DraftEngine, MakeEngine, engine_process
from console.dashboard.dialogs.tuning_lock import LockRow
from console.dashboard.dialogs.tuning_promotion import PromotionPage
from console.dashboard.dialogs.tuning_settings_view import SettingsView
from console.dashboard.dialogs.what_if_row import NOT_AT_END, WhatIfRow
from console.dashboard.panels import theme
from console.dashboard.screen.model import State, Tone
from console.draft import DraftRefused
from console.snapshot import Snapshot

_TYPING_MS = 150
"""A value is computed when nothing more is typed for so long: of 12.5, nobody asked for 1."""
_OF_WINDOW = (0.95, 0.93)
_FULL_HD = (1920, 1080)


class TuningDialog(ToolDialog):
    """Settings on the left, what they change on the right, the lock above and promotion below.

    Parameters
    ----------
    make_engine
        Makes what computes a draft.
    """

    def __init__(self, parent: QWidget, services: Services, make_engine: MakeEngine = engine_process) -> None:
        super().__init__(parent, services, "Physicist's panel" if services.replayed is None else "What-if")
        self._make_engine = make_engine
        self.engine: DraftEngine | None = None
        self.ended: DraftEngine | None = None
        """The engine before, which may still be ending."""
        self.draft, self.judged, self.active = Draft(), Judged(), Active()
        self.drafted = Drafted()
        self._mapped: Snapshot | None = None
        self._loaded: tuple[object, Mapping[str, object]] = (None, {})
        self._told: Mapping[str, object] | None = None
        """What the engine was given last."""
        self._make_parts()
        self._lay_out()
        self._waiting = QTimer(self)
        self._waiting.setSingleShot(True)
        self._waiting.setInterval(_TYPING_MS)
        self._waiting.timeout.connect(self._lay_over)
        self._connect()

    # -- what is known -----------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Show A, what was typed, and B."""
        known = (self.snapshot.loaded, self.snapshot.overrides)
        if known != self._loaded:
            self._loaded, self._told = known, None  # what the engine did not take may go with this plan
            self.active = active_of(self.snapshot)
            self._judge()
            self._lay_over()  # what was typed may be A's value by now
        if self._replayed is not None and self.isVisible():
            self.unlock()  # nothing can be recorded, so nobody has to say who he is
        if self.engine is not None and self.drafted.failure != self.engine.failure:
            self.drafted = replace(self.drafted, failure=self.engine.failure)
        self._draw_comparison()

    @property
    def unlocked(self) -> bool:
        """Whether values can be changed."""
        return self.engine is not None

    def take(self, snapshot: Snapshot) -> None:
        """Know what the draft's engine tells; on the GUI thread."""
        drafted = replace(self.drafted, latest=snapshot)
        if is_computed(snapshot):
            # Maps that follow their numbers are not newer than these.
            same = drafted.shown is not None and drafted.shown.overrides == snapshot.overrides
            same = same and drafted.shown is not None and drafted.shown.results == snapshot.results
            drafted = replace(drafted, shown=snapshot, shown_at=drafted.shown_at if same else self.now)
        self.drafted = drafted
        self._draw_comparison()

    def _refuse(self, refusal: object) -> None:
        if isinstance(refusal, DraftRefused) and refusal.overrides == self.drafted.wanted:
            self.drafted = replace(self.drafted, refused=refusal.text)
            self._draw_comparison()

    # -- the lock ----------------------------------------------------------------------------------------------

    def unlock(self) -> None:
        """Let values be changed, by whoever gave a name, or by anybody in a replay; starts the draft's engine."""
        nameless = self._replayed is None and bool(name_fault(self.lock_row.name))
        if self.unlocked or nameless or not self.active.known:
            return
        self.engine = DraftEngine(self.services.record, self.take, self._make_engine)
        self.engine.refused.connect(self._refuse)
        self.drafted, self._mapped = Drafted(), None
        try:
            self.engine.start()
        except OSError as error:
            self._end()
            self.tell(State(sign="✕", word=f"The draft's engine cannot be started: {error}", tone=Tone.ALERT))
            return
        self.page.name.setText(self.lock_row.name)
        self._judge()
        self._lay_over()
        self.search.setFocus()

    def lock(self) -> None:
        """Let nothing be changed any more, and end the draft's engine; what was typed stays."""
        self._end()
        self.pages.setCurrentWidget(self.comparison)
        self._judge()
        self._draw_comparison()
        self.lock_row.field.setFocus()

    def _end(self) -> None:
        self._waiting.stop()
        if self.engine is not None:
            self.engine.end()
            self.ended, self.engine = self.engine, None
        self._told = None
        self.drafted, self._mapped = Drafted(), None

    # -- the draft ---------------------------------------------------------------------------------------------

    def type(self, path: str, text: str) -> None:
        """Another value in the draft; it is computed when it can be used."""
        if self.unlocked:
            self.draft = self.draft.type(path, text)
            self._judge()
            if isinstance(self.settings.rows[path].editor, QLineEdit):
                self._waiting.start()
                self._draw_comparison()
            else:
                self._lay_over()

    def reset(self, path: str | None = None) -> None:
        """A's value again, of one setting or of all."""
        self.draft = Draft() if path is None else self.draft.reset(path)
        self._judge()
        self._lay_over()

    def _lay_over(self) -> None:
        """Compute what was typed, unless something of it cannot be used."""
        self._waiting.stop()
        wanted = self.drafted.wanted
        if self.engine is not None and self.active.known and not self.judged.refused and wanted != self._told:
            self._told = wanted
            self.drafted = replace(self.drafted, refused="")
            self.engine.lay_over(wanted)
        self._draw_comparison()

    def promote(self, name: str, reason: str) -> None:
        """Record the draft as the active settings; refused, as in a replay, it stays as it is."""
        if not self.say(promotion(self.judged, name=name, reason=reason), "B is recorded: A is being computed anew"):
            return
        self.page.reason.clear()
        self.pages.setCurrentWidget(self.comparison)
        self.draft = Draft()
        self._judge()
        self._lay_over()

    def _replay_with_it(self) -> None:
        """Let the whole window show the draft: a what-if, which records nothing."""
        if self._replayed is None or self.judged.refused or not self.judged.overrides:
            return
        fault = self._replayed.compute_with(self.drafted.wanted)
        if fault:
            self.tell(State(sign="✕", word=fault, tone=Tone.ALERT))
            return
        self.draft = Draft()
        self.reject()  # it lies over what is to be looked at

    # -- drawing -----------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        self.judged = judged(self.draft, self.active)
        if self.unlocked and not self.judged.refused:
            # Over a what-if that is being replayed, the draft stands on top of it.
            self.drafted = replace(self.drafted, wanted={**self.snapshot.overrides, **self.judged.overrides})
        self.settings.draw(self.active, self.draft, self.judged, editable=self.unlocked)
        state = self.judged.state if self.active.known else State(sign="○", word="no plan yet: nothing to tune")
        warned = [f"▲ {told}" for told in self.judged.warnings]
        faults = [f"✕ {told}" for told in self.judged.faults]
        self.summary.setText("\n".join([*faults, *warned]) or state.text)
        theme.restyle(self.summary, f"color: {theme.TONES[state.tone]}; font-weight: bold;")
        if self._replayed is None or self.judged.refused:
            self.command.setText(self.judged.command)
        else:
            self.command.setText(what_if_command({**self.snapshot.overrides, **self.judged.overrides}))
        self.command.setCursorPosition(0)
        self.copy.setEnabled(bool(self.command.text()))
        self.reset_all.setEnabled(self.unlocked and bool(self.draft.typed))
        self.promote_button.setEnabled(self.unlocked and bool(self.judged.overrides) and self._replayed is None)
        self.lock_row.draw(unlocked=self.unlocked, possible=self.active.known)

    def _draw_comparison(self) -> None:
        if not self.isVisible():
            return
        a, drafted = self.snapshot, self.drafted
        at_end = self._replayed is None or self._replayed.at_end()
        if not at_end:  # B is of the file's end: beside an earlier A its differences would not be the settings'
            drafted, self._mapped = replace(drafted, shown=None), None
        b = drafted.shown
        self.what_if.draw(at_end=at_end, possible=bool(self.judged.overrides) and not self.judged.refused)
        state = (
            NOT_AT_END
            if not at_end
            else draft_state(a, drafted, unlocked=self.unlocked, faulty=self.judged.refused, now=self.now)
        )
        current = drafted.is_current(a) and not self.judged.refused
        if b is not None:
            result = result_of(b, self.comparison.key)
            if self._mapped is None or (result is not None and result.maps is not None):
                self._mapped = b
        if self.pages.currentWidget() is self.comparison:
            old = b is not None and not current
            self.comparison.draw(a, drafted, self._mapped, state, self.now, old=old)
        else:
            changes = (*largest_in_words(a, b), *changes_in_words(a, b)) if b is not None else ()
            self.page.draw(self.judged, changes, shown=current)

    def _open_promotion(self) -> None:
        self.pages.setCurrentWidget(self.page)
        self._draw_comparison()
        (self.page.reason if self.page.name.text() else self.page.name).setFocus()

    def _close_promotion(self) -> None:
        self.pages.setCurrentWidget(self.comparison)
        self._draw_comparison()

    # -- Qt ----------------------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Open nearly as large as the window: what is compared stands side by side."""
        super().showEvent(event)
        parent = self.parentWidget()
        if parent is not None:
            window = parent.window()
            self.resize(QSize(round(_OF_WINDOW[0] * window.width()), round(_OF_WINDOW[1] * window.height())))
        self._judge()
        self.settings.fit()
        if self._replayed is not None:
            self.unlock()
        elif not self.unlocked:
            self.lock_row.field.setFocus()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802
        """Lock: nothing is computed for a panel that nobody looks at."""
        super().hideEvent(event)
        if not event.spontaneous():
            if self.unlocked:
                self.lock()
            self.comparison.rest()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Scale with the window."""
        super().resizeEvent(event)
        parent = self.parentWidget()
        room = parent.window().size() if parent is not None else self.size()
        scale = min(max(min(room.width() / _FULL_HD[0], room.height() / _FULL_HD[1]), 0.6), 3.0)
        self.comparison.set_scale(scale)
        self.page.set_scale(scale)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Esc leaves the promotion, then closes; Page Up and Down step through the axial cuts; Ctrl+F searches."""
        key = Qt.Key(event.key())
        if key == Qt.Key.Key_Escape and self.pages.currentWidget() is self.page:
            self._close_promotion()
        elif key in (Qt.Key.Key_PageUp, Qt.Key.Key_PageDown):
            self.comparison.step_axial(1 if key == Qt.Key.Key_PageUp else -1)
        elif key == Qt.Key.Key_F and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.search.setFocus()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._lay_over()
            focused = self.focusWidget()
            if isinstance(focused, QAbstractButton):
                focused.click()
        else:
            super().keyPressEvent(event)

    def _make_parts(self) -> None:
        self.lock_row = LockRow()
        self.search, self.command = QLineEdit(), QLineEdit()
        self.search.setPlaceholderText("search, such as: thresh")
        self.search.setAccessibleName("Search the settings")
        self.search.setClearButtonEnabled(True)
        self.command.setReadOnly(True)
        self.command.setPlaceholderText("--set KEY=VALUE of what is changed")
        self.command.setAccessibleName("The same on the command line")
        self.copy, self.reset_all = touch_button("Copy"), touch_button("Reset all to A")
        self.promote_button = touch_button("Promote B …")
        for button in (self.copy, self.reset_all, self.promote_button):
            button.setAutoDefault(False)
        self.settings, self.page = SettingsView(), PromotionPage()
        self.comparison = TuningComparison(self.services.mode)
        self._replayed = self.services.replayed
        self.what_if = WhatIfRow(self.services.record.name)
        self.what_if.setVisible(self._replayed is not None)
        for of_a_live_window in (self.lock_row, self.promote_button):
            of_a_live_window.setVisible(self._replayed is None)
        for line in (self.search, self.command):
            line.setMinimumHeight(self.copy.minimumHeight())
        # One name is enough: that of who unlocked is recorded.
        self.operator.hide()
        self.operator_label.hide()
        self.summary = plain("")
        self.summary.setWordWrap(True)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.comparison)
        self.pages.addWidget(self.page)

    def _connect(self) -> None:
        self.lock_row.unlock_pressed.connect(self.unlock)
        self.lock_row.lock_pressed.connect(self.lock)
        self.search.textChanged.connect(lambda text: self.settings.show_only(found(text)))
        self.settings.typed.connect(self.type)
        self.settings.reset.connect(self.reset)
        self.reset_all.clicked.connect(lambda: self.reset())
        self.copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.command.text()))
        self.promote_button.clicked.connect(self._open_promotion)
        self.page.left.connect(self._close_promotion)
        self.page.promoted.connect(self.promote)
        self.what_if.replay_pressed.connect(self._replay_with_it)
        if self._replayed is not None:
            self.what_if.end_pressed.connect(self._replayed.go_to_end)
        self.comparison.looked_elsewhere.connect(self._draw_comparison)

    def _lay_out(self) -> None:
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 8, 0)
        column.addWidget(self.search)
        column.addWidget(self.settings, 1)
        column.addWidget(self.summary)
        sides = QSplitter(Qt.Orientation.Horizontal)
        sides.setChildrenCollapsible(False)
        sides.addWidget(left)
        sides.addWidget(self.pages)
        sides.setStretchFactor(0, 42)
        sides.setStretchFactor(1, 58)
        sides.setSizes([420, 580])
        foot = QHBoxLayout()
        foot.addWidget(self.command, 1)
        for button in (self.copy, self.reset_all, self.promote_button, self.close_button):
            foot.addWidget(button)
        self.head.insertWidget(1, self.lock_row, 5)
        self.head.setStretch(0, 4)
        self.body.addWidget(self.what_if)
        self.body.addWidget(sides, 1)
        self.body.addLayout(foot)
