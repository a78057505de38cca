"""A treatment watched in a real window: a listener process, a scanner that can be halted, a reader's keys and mouse.

What the reader sees is asked of `window.screen_drawn`, every wait is bounded, and keys go where the focus is, as on a
desk.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from holmia_processes import PATIENCE_S, events_of, send
from pydicom.dataset import Dataset
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QWidget

from console.dashboard.run import LiveDashboard
from console.dashboard.screen.model import Screen, Table
from console.dashboard.window import DashboardWindow
from console.demo.phantom_treatment import DeliveredInjection
from console.snapshot import Mode, Snapshot
from dicom_listener.events import Kind
from dicom_listener.record import Record
from quantify.findings import FractionResult

NAME = "J. Jansen"
UNREACHED = "Tumour 3"
"""A volume that the plan names and no structure set holds: it comes later, as a label map, and lies in air."""
_LOOK_MS = 20
_LOSS = 0.914
"""What is assumed to leave a vial whose residual nobody has measured."""


class Watched:
    """The control room: the window and its reader, the file, and the scanner at the other end of the network."""

    def __init__(self, record: Record, port: int, moment: datetime) -> None:
        self.record, self.port, self.moment = record, port, moment
        self._pool = ThreadPoolExecutor(1)
        self.live = LiveDashboard(record, mode=Mode.LIVE, minimum_free_mb=0.0, clock=lambda: self.moment)
        self.live.start()
        self.window.activateWindow()

    def close(self) -> None:
        """The window closes; nothing of the scanner stays."""
        self.window.close()
        self.live.stop()
        self._pool.shutdown()
        self.window.deleteLater()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)

    # -- what is seen ------------------------------------------------------------------------------------------------

    @property
    def window(self) -> DashboardWindow:
        return self.live.dashboard.window

    @property
    def screen(self) -> Screen:
        assert self.window.screen_drawn is not None
        return self.window.screen_drawn

    @property
    def snapshot(self) -> Snapshot:
        return self.live.dashboard.snapshot

    def until(self, seen: Callable[[Screen], object], what: str) -> None:
        """Wait until something is on the screen."""
        deadline = time.monotonic() + PATIENCE_S
        while not seen(self.screen):
            assert time.monotonic() < deadline, f"never seen: {what}\n{self.described()}"
            QTest.qWait(_LOOK_MS)

    def described(self) -> str:
        """What is seen instead, for the message of a failure."""
        screen = self.screen
        tables = (screen.fractions, screen.series, screen.alarms, screen.events)
        numbers = [f"{n.label}: {n.value} {n.detail} | {n.note}" for n in screen.glance]
        lines = [screen.guide.sentence, screen.badge.text, screen.news.text, screen.alarm_summary.text, *numbers]
        return "\n".join([*lines, *(words_of(table) for table in tables)])

    def result(self, fraction: int) -> FractionResult | None:
        return next((r for r in self.snapshot.results if r.fraction == fraction), None)

    def kinds(self) -> list[str]:
        """Every event of the file by kind: what others have written too."""
        return [event.kind for event in events_of(self.record.path)]

    # -- what the reader does ----------------------------------------------------------------------------------------

    def press(self, key: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        """A key, to whatever has the focus."""
        QTest.keyClick(QApplication.focusWidget() or self.window, key, modifier)
        QApplication.processEvents()

    def write(self, text: str) -> None:
        """Letters, to whatever has the focus."""
        QTest.keyClicks(QApplication.focusWidget() or self.window, text)

    def click(self, widget: QWidget, place: QPoint | None = None) -> None:
        """The left button; in the middle, if no place is given."""
        QTest.mouseClick(
            widget, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place or widget.rect().center()
        )
        QApplication.processEvents()

    def click_row(self, view: Any, number: int) -> None:
        """A row of a painted table."""
        row = next(placed for placed in view._fit().rows if placed.number == number)
        self.click(view, QPoint(view.width() // 3, int(row.top + row.height / 2)))

    def click_button(self, inside: QWidget, word: str) -> None:
        """The button that has this word on it."""
        buttons = [b for b in inside.findChildren(QAbstractButton) if word.lower() in b.text().lower()]
        assert len(buttons) == 1, f"{len(buttons)} buttons say {word!r}"
        self.click(buttons[0])

    def hover(self, view: QWidget, x: float, y: float) -> None:
        """The cursor over a view, at shares of its width and height; no button is down."""
        place = QPointF(view.width() * x, view.height() * y)
        moved = QMouseEvent(
            QEvent.Type.MouseMove, place, view.mapToGlobal(place), Qt.MouseButton.NoButton, Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
        )  # fmt: skip
        QApplication.sendEvent(view, moved)
        QTest.qWait(30)

    def wheel(self, view: QWidget) -> None:
        """One notch of the wheel away from the reader, over the middle of a view."""
        middle = QPointF(view.rect().center())
        notch = QWheelEvent(
            middle, view.mapToGlobal(middle), QPoint(0, 0), QPoint(0, 120), Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(view, notch)
        QApplication.processEvents()

    def leave(self, view: QWidget) -> None:
        """The cursor leaves a view."""
        QApplication.sendEvent(view, QEvent(QEvent.Type.Leave))
        QTest.qWait(30)

    # -- what happens to the patient ---------------------------------------------------------------------------------

    def give(self, injection: DeliveredInjection, **said: object) -> None:
        """An injection is recorded, as an operator's form would."""
        self.moment = injection.time + timedelta(minutes=2)
        payload = {
            "position": injection.position,
            "fraction": injection.fraction,
            "activity_MBq": injection.activity_mbq,
            "time": injection.time.isoformat(),
            **said,
        }
        payload = {key: value for key, value in payload.items() if value is not None}
        self.record.append(Kind.INJECTION_RECORDED, payload, actor=NAME, utc=datetime.now().astimezone())

    def send(self, folder: Path) -> None:
        """The scanner sends a series, and the window lives meanwhile."""
        with self.arriving(folder, halted_at=0):
            pass

    @contextlib.contextmanager
    def arriving(self, folder: Path, *, halted_at: int) -> Iterator[None]:
        """The scanner has sent so many images and waits for the end of the block before it goes on."""
        reached, go_on = threading.Event(), threading.Event()

        def count(done: int, _total: int) -> None:
            if done == halted_at:
                reached.set()
                go_on.wait(PATIENCE_S)

        sending = self._pool.submit(send, folder, self.port, progress=count)
        try:
            if halted_at:
                self.until(lambda _: reached.is_set() or sending.done(), f"image {halted_at} of {folder.name} is sent")
            yield
        finally:
            go_on.set()
            self.until(lambda _: sending.done(), f"{folder.name} is sent")
            sending.result()


def words_of(table: Table) -> str:
    """Everything that a table says, a line for each row."""
    return "\n".join(" | ".join(cell.text for cell in row.cells) for row in table.rows)


def row_saying(table: Table, *words: str) -> int:
    """The number of the first row that says all of these."""
    for number, row in enumerate(table.rows):
        text = " ".join(cell.text for cell in row.cells)
        if all(word in text for word in words):
            return number
    raise AssertionError(f"no row says {words}:\n{words_of(table)}")


def plan_with_a_vial(planned: Path, target: Path, injection: DeliveredInjection) -> Path:
    """The plan with one volume more than was drawn, and one fraction from a vial whose residual is not known yet."""
    text = planned.read_text(encoding="utf-8")
    text = text.replace('"Tumour 2"]', f'"Tumour 2", "{UNREACHED}"]')
    head = f'position = "{injection.position}"\nfraction = {injection.fraction}\n'
    assert head in text
    text = text.replace(head, head + 'vials = ["B"]\n')
    in_vial_mbq = injection.activity_mbq / _LOSS
    text += (
        f'\n[[vials]]\nname = "B"\nactivity_MBq = {in_vial_mbq:.1f}\n'
        f"mass_mg = {in_vial_mbq / injection.specific_activity_mbq_per_mg:.3f}\n"
        f"assay_time = {injection.time.replace(tzinfo=None).isoformat()}\n"
    )
    target.write_text(text, encoding="utf-8")
    return target


def label_map_in_air(snapshot: Snapshot, target: Path) -> Path:
    """A label map on the reference's grid whose volume lies where there is no signal: in its first corner."""
    assert snapshot.reference is not None
    grid = snapshot.reference.grid
    values = np.zeros(grid.shape[::-1], np.uint8)
    values[:6, :6, :4] = 1
    slices_last = grid.affine_lps_mm[:, [2, 1, 0, 3]]
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-1.0, -1.0, 1.0, 1.0]) @ slices_last), target)
    return target


def at_1_5_tesla(ds: Dataset) -> None:
    """Another scanner's: the relaxivity of the plan does not hold there."""
    ds.MagneticFieldStrength = 1.5


def out_of_place(ds: Dataset) -> None:
    """As if the patient had turned round between two series: no rigid shift brings this back."""
    pixels = ds.pixel_array
    ds.PixelData = np.ascontiguousarray(np.roll(pixels[::-1, ::-1], 17, axis=1)).tobytes()
