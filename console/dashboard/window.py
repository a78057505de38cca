"""The window: lays the panels out, draws a `Screen`, and turns keys and clicks into actions. It decides nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QCloseEvent, QKeyEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QMainWindow, QVBoxLayout, QWidget

from console.dashboard.dialogs.acknowledge_dialog import AcknowledgeDialog
from console.dashboard.panels import theme
from console.dashboard.panels.details_panel import DetailsPanel
from console.dashboard.panels.glance_panel import GlancePanel
from console.dashboard.panels.header_panel import GuidePanel, HeaderPanel
from console.dashboard.panels.image_panel import ImagePanel
from console.dashboard.panels.news_panel import NewsPanel
from console.dashboard.panels.operator_bar import OperatorBarPanel
from console.dashboard.panels.overlay import HelpOverlay
from console.dashboard.panels.replay_bar import ReplayBarPanel
from console.dashboard.panels.status_line import StatusLine
from console.dashboard.panels.table_panel import Panel, TableView
from console.dashboard.panels.trend_panel import TrendPanel
from console.dashboard.screen.model import DISCLAIMER, Screen, Tone
from console.dashboard.screen.operator_bar import TOOL_KEYS
from console.dashboard.screen.planes import PlaneGeometry
from console.dashboard.screen.replay_bar import REPLAY_KEYS
from console.dashboard.screen.view import (
    AcknowledgeAlarms,
    Action,
    DismissNews,
    Hover,
    JumpToPlace,
    Layer,
    OpenTool,
    PlaceCrosshair,
    Quantity,
    SelectFraction,
    ShowDetails,
    ShowQuantity,
    StepTick,
    StepView,
    TakeSnapshot,
    ToggleCompare,
    ToggleFlicker,
    ToggleLayer,
    TogglePause,
    ToggleProbe,
    Tool,
)
from console.snapshot import Mode

_FULL_HD = (1920, 1080)
_BOTTOM = 246
"""Height of trend, details and alarms; what the operator's bar takes is theirs, not the images' or the numbers'."""
_AXIAL, _SAGITTAL = 0, 2
_KEYS: dict[Qt.Key, Action] = {
    Qt.Key.Key_D: ToggleLayer(layer=Layer.WASH),
    Qt.Key.Key_I: ToggleLayer(layer=Layer.ISODOSE),
    Qt.Key.Key_V: ToggleLayer(layer=Layer.VOLUMES),
    Qt.Key.Key_U: ShowQuantity(quantity=Quantity.UNCERTAINTY),
    Qt.Key.Key_N: ShowQuantity(quantity=Quantity.INCREMENT),
    Qt.Key.Key_C: ToggleCompare(),
    Qt.Key.Key_R: ToggleFlicker(),
    Qt.Key.Key_P: ToggleProbe(),
    Qt.Key.Key_T: ShowDetails(),
    Qt.Key.Key_S: TakeSnapshot(),
    Qt.Key.Key_Space: TogglePause(),
    Qt.Key.Key_Return: DismissNews(),
    Qt.Key.Key_Enter: DismissNews(),
}
_TOOL_KEYS: dict[Qt.Key, Action] = {
    **{Qt.Key[f"Key_{name}"]: OpenTool(tool=tool) for tool, name in TOOL_KEYS.items()},
    Qt.Key.Key_F10: OpenTool(tool=Tool.COMPARISON),
}
_REPLAY_KEYS: dict[Qt.Key, Action] = {
    **{Qt.Key[f"Key_{name}"]: OpenTool(tool=tool) for tool, name in REPLAY_KEYS.items()},
    Qt.Key.Key_Comma: StepTick(by=-1),
    Qt.Key.Key_Period: StepTick(by=1),
    Qt.Key.Key_Home: JumpToPlace(place=0.0),
    Qt.Key.Key_End: JumpToPlace(place=1.0),
}
_TICK_KEYS = {Qt.Key.Key_Left: StepTick(by=-1), Qt.Key.Key_Right: StepTick(by=1)}
"""With Ctrl."""
_START_STOP_KEYS = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
"""With Ctrl: no single key starts or stops anything."""
_HISTORY_KEYS = {Qt.Key.Key_Z: StepView(by=-1), Qt.Key.Key_Y: StepView(by=1)}
_CORONAL = 1
_STEP_KEYS = {
    Qt.Key.Key_Up: (_AXIAL, 1),
    Qt.Key.Key_Down: (_AXIAL, -1),
    Qt.Key.Key_PageUp: (_AXIAL, 5),
    Qt.Key.Key_PageDown: (_AXIAL, -5),
    Qt.Key.Key_Right: (_SAGITTAL, 1),
    Qt.Key.Key_Left: (_SAGITTAL, -1),
}
_CORONAL_KEYS = {Qt.Key.Key_Up: (_CORONAL, 1), Qt.Key.Key_Down: (_CORONAL, -1)}
"""With Shift."""


class DashboardWindow(QMainWindow):
    """The dashboard.

    Parameters
    ----------
    on_action
        Called on the GUI thread with every `Action` of the reader.
    screen_height_mm
        Height of the screen, where it is known better than the screen itself tells; 0: as the screen tells.
    """

    closed = Signal()

    def __init__(self, on_action: Callable[[Action], None], *, screen_height_mm: float = 0.0) -> None:
        super().__init__()
        self.setWindowTitle("Holmia — research use only")
        self._on_action = on_action
        self._screen_height_mm = screen_height_mm
        self.may_close: Callable[[], bool] = lambda: True
        """Asked before the window closes."""
        self.screen_drawn: Screen | None = None
        self._scale = 0.0
        self._follows_screens = False
        self._make_panels()
        self._lay_out()
        self.overlay = HelpOverlay(self)
        self.acknowledging = AcknowledgeDialog(self)
        self.acknowledging.acknowledged.connect(
            lambda alarm_ids, name: self._on_action(AcknowledgeAlarms(alarm_ids=alarm_ids, name=name))
        )
        self.images.stepped.connect(self._step)
        self.images.pointed.connect(self._point)
        self.images.hovered.connect(self._hover)
        self.images.asked.connect(self._on_action)
        self.details.asked.connect(self._on_action)
        self.operator_bar.asked.connect(self._on_action)
        self.replay_bar.asked.connect(self._on_action)
        self.fractions.row_clicked.connect(self._select_row)
        self.alarms.row_clicked.connect(self._acknowledge_row)
        self.news.dismissed.connect(lambda: self._on_action(DismissNews()))
        self.news.alarms_pressed.connect(self.acknowledge)
        self.resize(*_FULL_HD)
        self._set_scale()
        self._measure()

    def draw(self, screen: Screen) -> None:
        """Show a screen whole."""
        self.screen_drawn = screen
        self.header.draw(screen.header)
        self.guide.draw(screen.guide)
        self.news.draw(screen.news, screen.alarm_summary)
        self.fractions.draw(screen.fractions)
        self.ledger.draw(screen.ledger)
        self.limits.draw(screen.limits)
        self.series.draw(screen.series)
        self.images.draw(screen)
        self.glance.draw(screen.glance, screen.next)
        self.trend.draw(screen.trend)
        self.glance_frame.title.setText(screen.glance_title.text)
        theme.restyle(self.glance_frame.title, f"color: {theme.TONES[screen.glance_title.tone]};")
        self.trend_frame.title.setText(screen.trend.title)
        self.details.draw(screen.dvh, screen.volumes, screen.details)
        self.alarms.draw(screen.alarms)
        self.alarms_frame.title.setText(f"ALARMS  {screen.alarm_summary.text}")
        theme.restyle(self.alarms_frame.title, f"color: {theme.TONES[screen.alarm_summary.tone]};")
        grave = screen.alarm_summary.tone is Tone.ALERT
        rim = f"QFrame#panel {{ border: 3px solid {theme.TONES[Tone.ALERT]}; }}" if grave else ""
        theme.restyle(self.alarms_frame, rim)
        self.events.draw(screen.events)
        self.operator_bar.draw(screen.operator)
        self.replay_bar.draw(screen.replay)
        self.status.draw(screen.status)
        self._draw_frame(screen.header.mode)

    def _make_panels(self) -> None:
        self.header, self.guide, self.news = HeaderPanel(), GuidePanel(), NewsPanel()
        self.fractions = TableView(wrapped=3, right=(2,), pixels=16, spread=2.2)
        self.ledger = TableView(wrapped=0, right=(1,), pixels=15)
        self.limits = TableView(wrapped=1, pixels=15)
        self.series = TableView(wrapped=1, right=(2,), pixels=14, log=True)
        self.images, self.glance, self.trend = ImagePanel(), GlancePanel(), TrendPanel()
        self.details = DetailsPanel()
        self.alarms = TableView(wrapped=2, pixels=15, spread=1.6)
        self.events = TableView(wrapped=1, pixels=14, log=True)
        self.operator_bar, self.replay_bar = OperatorBarPanel(), ReplayBarPanel()
        self.status, self.disclaimer = StatusLine(), QLabel(DISCLAIMER)
        self.disclaimer.setObjectName("status")
        self.disclaimer.setTextFormat(Qt.TextFormat.PlainText)

    def _lay_out(self) -> None:
        self.left, self.glance_frame = QWidget(), Panel("", self.glance)
        self.glance_frame.title.setObjectName("glance_title")
        left = QVBoxLayout(self.left)
        left.setContentsMargins(0, 0, 0, 0)
        left.setSpacing(5)
        left.addWidget(Panel("POSITIONS AND FRACTIONS", self.fractions), 42)
        left.addWidget(Panel("ACTIVITY", self.ledger), 22)
        left.addWidget(Panel("LIMITS", self.limits), 18)
        left.addWidget(Panel("SERIES", self.series), 21)
        middle = QHBoxLayout()
        middle.setSpacing(5)
        middle.addWidget(self.left)
        middle.addWidget(self.images, 1)
        middle.addWidget(self.glance_frame)
        self.bottom = QWidget()
        bottom = QHBoxLayout(self.bottom)
        bottom.setContentsMargins(0, 0, 0, 0)
        bottom.setSpacing(5)
        self.trend_frame = Panel("", self.trend)
        self.alarms_frame = Panel("ALARMS", self.alarms)
        log = QVBoxLayout()
        log.setSpacing(5)
        log.addWidget(self.alarms_frame, 62)
        log.addWidget(Panel("EVENTS", self.events), 38)
        bottom.addWidget(self.trend_frame, 34)
        bottom.addWidget(self.details, 42)
        bottom.addLayout(log, 24)
        foot = QHBoxLayout()
        foot.addWidget(self.status, 1)
        foot.addWidget(self.disclaimer)
        self.frame = QFrame()
        self.frame.setObjectName("mode_frame")
        # Without this the letters of a large window would keep it from being made small.
        self.frame.setMinimumSize(960, 540)
        rows = QVBoxLayout(self.frame)
        rows.setContentsMargins(6, 3, 6, 2)
        rows.setSpacing(3)
        rows.addWidget(self.header)
        rows.addWidget(self.guide)
        rows.addWidget(self.news)
        rows.addLayout(middle, 1)
        rows.addWidget(self.bottom)
        rows.addWidget(self.operator_bar)
        rows.addWidget(self.replay_bar)
        rows.addLayout(foot)
        self.setCentralWidget(self.frame)

    def _set_scale(self) -> None:
        scale = min(max(min(self.width() / _FULL_HD[0], self.height() / _FULL_HD[1]), 0.6), 3.0)
        if scale == self._scale:
            return
        self._scale = scale
        self.setStyleSheet(theme.style_sheet(scale))
        panels = (
            self.guide,
            self.news,
            self.operator_bar,
            self.status,
            self.images,
            self.glance,
            self.trend,
            self.details,
        )
        tables = (self.fractions, self.ledger, self.limits, self.series, self.alarms, self.events)
        for panel in (*panels, *tables, self.operator_bar, self.replay_bar):
            panel.set_scale(scale)
        self.left.setFixedWidth(round(360 * scale))
        if not self.glance.alone:
            self.glance_frame.setFixedWidth(round(464 * scale))
        self.bottom.setFixedHeight(round(_BOTTOM * scale))
        if self.screen_drawn is not None:
            self.guide.draw(self.screen_drawn.guide)

    def _draw_frame(self, mode: Mode) -> None:
        ink = theme.BACKGROUND if mode is Mode.LIVE else theme.NOT_LIVE
        theme.restyle(self.frame, f"QFrame#mode_frame {{ border: 6px solid {ink}; }}")

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Scale with the window."""
        super().resizeEvent(event)
        self._set_scale()
        if not self.overlay.isHidden():
            self.overlay.place()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Know how large the screen is that the window has come to, and follow it to others."""
        super().showEvent(event)
        self._measure()
        handle = self.windowHandle()
        if handle is not None and not self._follows_screens:
            self._follows_screens = True
            handle.screenChanged.connect(self._measure)

    def _measure(self) -> None:
        """Tell the numbers how many of their pixels are a millimetre."""
        screen = self.screen()
        height_mm = self._screen_height_mm or screen.physicalSize().height()
        per_mm = screen.geometry().height() / height_mm if height_mm > 0 else math.nan
        self.glance.set_pixels_per_mm(per_mm)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        """Say that the window has closed; it stays open while something that is not recorded would be lost."""
        if not self.may_close():
            event.ignore()
            return
        super().closeEvent(event)
        self.closed.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Turn a key into an action. No single key destroys anything."""
        key = Qt.Key(event.key())
        control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        if control and key in _HISTORY_KEYS:
            self._on_action(_HISTORY_KEYS[key])
        elif control and key in _START_STOP_KEYS:
            # A key that is held down would start and stop in turns.
            if not event.isAutoRepeat():
                self.operator_bar.start_or_stop()
        elif control and key in _TICK_KEYS and self.replay_bar.bar.shown:
            self._on_action(_TICK_KEYS[key])
        elif control:
            super().keyPressEvent(event)
        elif key in _REPLAY_KEYS and self.replay_bar.bar.shown:
            self._on_action(_REPLAY_KEYS[key])
        elif key in _KEYS:
            self._on_action(_KEYS[key])
        elif key in _TOOL_KEYS and self.operator_bar.bar.shown:
            self._on_action(_TOOL_KEYS[key])
        elif event.modifiers() & Qt.KeyboardModifier.ShiftModifier and key in _CORONAL_KEYS:
            self._step_along(*_CORONAL_KEYS[key])
        elif key in _STEP_KEYS:
            self._step_along(*_STEP_KEYS[key])
        elif Qt.Key.Key_0 <= key <= Qt.Key.Key_9:
            self._on_action(SelectFraction(number=key - Qt.Key.Key_0))
        elif key == Qt.Key.Key_A:
            self.acknowledge()
        elif key == Qt.Key.Key_Question or (key == Qt.Key.Key_Escape and not self.overlay.isHidden()):
            self.overlay.toggle()
        elif key == Qt.Key.Key_F11:
            self.toggle_glance()
        else:
            super().keyPressEvent(event)

    def toggle_glance(self) -> None:
        """Give the whole window to the numbers, or take it back."""
        alone = not self.left.isHidden()
        self.glance.alone = alone
        for widget in (self.left, self.images, self.bottom):
            widget.setVisible(not alone)
        if alone:
            self.glance_frame.setMinimumWidth(0)
            self.glance_frame.setMaximumWidth(16_777_215)
        else:
            self.glance_frame.setFixedWidth(round(464 * self._scale))

    def acknowledge(self) -> None:
        """Ask for the name of who has seen the alarms that wait; nothing is acknowledged without one."""
        if self.screen_drawn is not None and self.screen_drawn.unacknowledged:
            self._ask_name(self.screen_drawn.unacknowledged)

    def _acknowledge_row(self, row: int) -> None:
        screen = self.screen_drawn
        if screen is not None and screen.alarms.rows[row].key in screen.unacknowledged:
            self._ask_name((screen.alarms.rows[row].key,))

    def _ask_name(self, alarm_ids: tuple[str, ...]) -> None:
        if self.replay_bar.bar.shown:
            self._on_action(AcknowledgeAlarms(alarm_ids=alarm_ids, name=""))  # is refused: no name is asked for that
        elif self.screen_drawn is not None:
            rows = [row for row in self.screen_drawn.alarms.rows if row.key in alarm_ids]
            self.acknowledging.ask(
                [" ".join(cell.text for cell in row.cells) for row in rows], tuple(row.key for row in rows)
            )

    def _step(self, plane: int, steps: int) -> None:
        screen = self.screen_drawn
        if screen is None or plane >= len(screen.planes):
            return
        self._move(screen, screen.planes[plane].geometry, steps)

    def _step_along(self, plane: int, steps: int) -> None:
        """As `_step`, along the normal of a plane that may not be drawn now: a key means the same in every view."""
        screen = self.screen_drawn
        if screen is not None and plane < len(screen.geometries):
            self._move(screen, screen.geometries[plane], steps)

    def _move(self, screen: Screen, geometry: PlaneGeometry, steps: int) -> None:
        voxel = list(screen.voxel)
        voxel[geometry.normal_axis] += steps * geometry.towards
        self._on_action(PlaceCrosshair(voxel=(voxel[0], voxel[1], voxel[2])))

    def _point(self, plane: int, x_mm: float, y_mm: float) -> None:
        screen = self.screen_drawn
        if screen is not None and plane < len(screen.planes):
            voxel = screen.planes[plane].geometry.voxel_at(x_mm, y_mm, screen.voxel)
            self._on_action(PlaceCrosshair(voxel=voxel))

    def _hover(self, plane: int, x_mm: float, y_mm: float) -> None:
        screen = self.screen_drawn
        if screen is not None and plane < len(screen.planes):
            self._on_action(Hover(voxel=screen.planes[plane].geometry.voxel_at(x_mm, y_mm, screen.voxel)))
        else:
            self._on_action(Hover(voxel=None))

    def _select_row(self, row: int) -> None:
        if self.screen_drawn is not None and not self.screen_drawn.fractions.rows[row].heading:
            headings = sum(r.heading for r in self.screen_drawn.fractions.rows[:row])
            self._on_action(SelectFraction(number=row + 1 - headings))
