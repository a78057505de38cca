"""The application around the window: Qt itself, the bridge from the engine's thread, the view and its clock."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import QMessageLogContext, QObject, QSize, Qt, QTimer, QtMsgType, Signal, qInstallMessageHandler
from PySide6.QtWidgets import QApplication

from config.settings import DisplaySettings, Settings
from console.dashboard.panels import theme
from console.dashboard.screen.build import build_screen, in_the_room
from console.dashboard.screen.model import Badge, Cell, Screen, State, Tone
from console.dashboard.screen.news import Announcement, announced, joined
from console.dashboard.screen.operator_bar import halted
from console.dashboard.screen.replay_bar import Played
from console.dashboard.screen.said import SaidHere
from console.dashboard.screen.view import (
    Action,
    DismissNews,
    Flip,
    Hover,
    OfTheTreatment,
    OfTheView,
    StepView,
    ViewState,
    change_view,
)
from console.dashboard.window import DashboardWindow
from console.snapshot import Mode, Snapshot

_CLOCK_MS = 1000
_FLICKER_MS = 500
_VIEWS_KEPT = 100


def create_application(argv: Sequence[str]) -> QApplication:
    """Return the process's Qt application, made if there is none."""
    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        return existing
    qInstallMessageHandler(_relay)
    application = QApplication(list(argv))
    application.setApplicationName("Holmia")
    application.setFont(theme.font(15))
    return application


def _relay(_kind: QtMsgType, _where: QMessageLogContext, text: str) -> None:
    """Pass on what Qt has to say, but for what the offscreen platform says of every window."""
    if "propagateSizeHints" not in text:
        sys.stderr.write(f"Qt: {text}\n")


class SnapshotBridge(QObject):
    """Carries the latest snapshot from whichever thread has it to the GUI thread.

    `publish` may be called on any thread; the receiver is called on the thread that the bridge lives on. Of snapshots
    that follow each other faster than the window draws, the latest is delivered and the others are not: each holds all
    that was known.
    """

    _published = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._waiting: Snapshot | None = None
        self._stopped = False

    def publish(self, snapshot: Snapshot) -> None:
        """Hand a snapshot over; returns at once."""
        with self._lock:
            first, self._waiting = self._waiting is None, snapshot
        if first:
            self._published.emit()

    def deliver_to(self, receiver: Callable[[Snapshot], None]) -> None:
        """Call `receiver` from this thread's event loop, never with an older snapshot than before."""
        self._receiver = receiver
        self._published.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def _deliver(self) -> None:
        with self._lock:
            snapshot, self._waiting = self._waiting, None
        if snapshot is not None and not self._stopped:
            self._receiver(snapshot)

    def stop(self) -> None:
        """Deliver nothing any more, what waits included: the receiver may be gone."""
        self._stopped = True


class Dashboard(QObject):
    """Holds the window, the latest snapshot and the reader's view; redraws when one of them or the minute changes.

    Parameters
    ----------
    mode
        LIVE, REPLAY or DEMO.
    clock
        Tells the time to show, aware; None where there is none.
    on_operator_action
        Called with what concerns the treatment and not the view: `AcknowledgeAlarms`, `TakeSnapshot`, `TogglePause`.
    display
        Dose levels and colours of this site.
    machine_status
        Tells what the shell knows of the machine, one short sentence each.
    outdated
        Tells why a snapshot can no longer be current, as a sentence; "" while it may be.
    said
        Tells what was said in this window.
    played
        Tells how the replay stands, in one.
    """

    ticked = Signal()
    """A second has passed."""

    def __init__(
        self,
        *,
        mode: Mode,
        clock: Callable[[], datetime | None],
        on_operator_action: Callable[[OfTheTreatment], None],
        display: DisplaySettings | None = None,
        machine_status: Callable[[], Sequence[Cell]] = tuple,
        outdated: Callable[[Snapshot], str] = lambda _: "",
        said: Callable[[Snapshot], SaidHere] = lambda _: SaidHere(),
        played: Callable[[], Played | None] = lambda: None,
    ) -> None:
        super().__init__()
        self._mode, self._clock, self._on_operator_action = mode, clock, on_operator_action

        self._machine_status, self._outdated, self._said = machine_status, outdated, said
        self._played = played
        self.snapshot = Snapshot()
        self._display = display or Settings().display
        self.view = ViewState()
        self._before: list[ViewState] = []
        self._after: list[ViewState] = []
        self._news: Announcement | None = None
        self._drawn: Screen | None = None
        self.window = DashboardWindow(self.act, screen_height_mm=self._display.screen_height_mm)
        self.window.closed.connect(self.stop)
        self._timer = QTimer(self)
        self._timer.setInterval(_CLOCK_MS)
        self._timer.timeout.connect(self.redraw)
        self._timer.timeout.connect(self.ticked)
        self._flicker = QTimer(self)
        self._flicker.setInterval(_FLICKER_MS)
        self._flicker.timeout.connect(lambda: self.act(Flip()))
        self.redraw()

    def start(self) -> None:
        """Show the window and let its clock run."""
        self.window.show()
        self._timer.start()

    def stop(self) -> None:
        """Stop the clock; nothing runs afterwards."""
        self._timer.stop()
        self._flicker.stop()

    def room_time(self) -> datetime | None:
        """The time that the window shows, in the treatment's own zone."""
        return in_the_room(self.snapshot, self._clock())

    def announce(self, news: Announcement) -> None:
        """Say something that no snapshot tells, beside what is news already."""
        self._news = joined([news, *([] if self._news is None else [self._news])], self._clock())
        self.redraw()

    def receive(self, snapshot: Snapshot, *, elsewhere: bool = False) -> None:
        """Show what is known now; `elsewhere`: at another moment of a replay, so that what differs is no news."""
        before, self.snapshot = Snapshot() if elsewhere else self.snapshot, snapshot
        if elsewhere:
            self._news = None
        try:
            self._news = announced(before, snapshot, self._clock(), self._news) or self._news
        finally:
            self.redraw()  # whatever there is to say of it, what is known now is shown

    def act(self, action: Action) -> None:
        """Do what the reader asks: change the view here, hand on what concerns the treatment."""
        if isinstance(action, OfTheTreatment):
            self._on_operator_action(action)
            return
        if isinstance(action, DismissNews):
            self._news = None if self._news is None else replace(self._news, dismissed=True)
        elif isinstance(action, StepView):
            self._step_view(action.by)
        else:
            self._change_view(action)
        self.redraw()

    def _change_view(self, action: OfTheView) -> None:
        changed = change_view(self.view, action, self.snapshot)
        if changed != self.view and not isinstance(action, Hover | Flip):
            self._before = [*self._before[-_VIEWS_KEPT:], self.view]
            self._after = []
        self._show(changed)

    def _step_view(self, by: int) -> None:
        taken, given = (self._before, self._after) if by < 0 else (self._after, self._before)
        if taken:
            given.append(self.view)
            # Where the cursor is, is not a choice of the reader's.
            self._show(replace(taken.pop(), hovered=self.view.hovered))

    def _show(self, view: ViewState) -> None:
        self.view = view
        if view.flicker is None:
            self._flicker.stop()
        elif not self._flicker.isActive():
            self._flicker.start()

    def redraw(self) -> None:
        """Draw the present state. Where that fails, what stands there says that it is old, and the error is raised."""
        try:
            screen = build_screen(
                self.snapshot,
                self.view,
                now=self._clock(),
                mode=self._mode,
                news=self._news,
                display=self._display,
                status=tuple(self._machine_status()),
                said=self._said(self.snapshot),
                played=self._played(),
            )
            why = self._outdated(self.snapshot)
            self.window.draw(marked_old(screen, why) if why else screen)
        except Exception as error:
            if self._drawn is not None:
                why = f"The screen cannot be drawn anew ({type(error).__name__}: {error})."
                old = replace(self._drawn, operator=halted(self._drawn.operator))
                self.window.draw(marked_old(old, why))
            raise
        self._drawn = screen


def marked_old(screen: Screen, why: str) -> Screen:
    """A screen that must not be taken for the present: it says so over the images, over the numbers and at the foot."""
    state = State(sign="✕", word="NOT CURRENT", tone=Tone.ALERT)
    said = Cell(text=f"{state.text}: {why}", tone=Tone.ALERT)
    return replace(
        screen,
        badge=Badge(text=said.text, state=state, stale=True),
        glance_title=Cell(text=state.text, tooltip=said.text, tone=Tone.ALERT),
        status=(said, *screen.status),
    )


def render_png(window: DashboardWindow, path: Path, size: tuple[int, int] = (1920, 1080)) -> None:
    """Write the window as it looks at `size` (width, height) to a PNG file; works without a display.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    window.resize(QSize(*size))
    shown = window.isVisible()
    if not shown:
        # Without this Qt lays nothing out and the views have no size.
        window.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen, True)
        window.show()
    for _ in range(3):
        QApplication.processEvents()
    if window.screen_drawn is not None:
        window.draw(window.screen_drawn)
    QApplication.processEvents()
    picture = window.grab()
    if not shown:
        window.hide()
        window.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen, False)
    if not picture.save(str(path), "PNG"):
        raise OSError(
            f"The picture of the window could not be written to {path}: check that the folder exists and is writable."
        )
