"""Draws one state of the window to a picture, off screen, the same bytes every time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from PySide6.QtCore import QMessageLogContext, QPoint, QRect, QtMsgType
from PySide6.QtGui import QImage, QImageWriter, QPainter, QPixmap, qRgb
from PySide6.QtWidgets import QApplication, QWidget
from scipy.spatial import cKDTree

from console.dashboard.app import Dashboard, render_png
from console.dashboard.screen.model import Cell, Tone
from console.dashboard.screen.replay_bar import Played, outdated_words
from console.dashboard.screen.said import SaidHere
from console.dashboard.screen.view import Action
from console.dashboard.window import DashboardWindow
from console.snapshot import Mode, Snapshot
from screens.course import Moment

Size = tuple[int, int]
_STEP, _COLOURS, _ROUNDS = 6, 256, 4
HEALTHY = (Cell(text="listener running", tone=Tone.MUTED), Cell(text="120 GB free", tone=Tone.MUTED))


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One state: what is known, since when, what the reader has done, and what stands over the window."""

    name: str
    snapshot: Snapshot
    at: datetime
    """When the snapshot became known."""
    before: tuple[Moment, ...] = ()
    """What was known until then: news is what differs."""
    later: timedelta = timedelta(seconds=5)
    """How long after that it is looked at."""
    mode: Mode = Mode.LIVE
    machine: tuple[Cell, ...] = HEALTHY
    actions: tuple[Action, ...] = ()
    said: SaidHere = field(default_factory=SaidHere)
    """What was said in this window."""
    played: Played | None = None
    """How the replay stands, where it is one."""
    part: Callable[[DashboardWindow], QWidget] | None = None
    """Of the window, where it is not all of it."""
    opened: Callable[[DashboardWindow], None] | None = None
    """Does to the window what no action does: a dialog, the overlay, the glance mode."""


def draw(picture: Picture, target: Path, size: Size, *, small: bool) -> None:
    """Draw the window in that state and write it, `small` with fewer colours.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    moment = [picture.at]
    dashboard = Dashboard(
        mode=picture.mode,
        clock=lambda: moment[0],
        on_operator_action=lambda _: None,
        machine_status=lambda: picture.machine,
        said=lambda _: picture.said,
        outdated=lambda snapshot: "" if picture.played is None else outdated_words(picture.played, snapshot),
        played=lambda: picture.played,
    )
    window = dashboard.window
    for earlier in picture.before:
        moment[0] = earlier.at
        dashboard.receive(earlier.snapshot)
    moment[0] = picture.at
    dashboard.receive(picture.snapshot)
    moment[0] = picture.at + picture.later
    for action in picture.actions:
        dashboard.act(action)
    dashboard.stop()  # nothing turns over while it is drawn
    dashboard.redraw()
    if picture.opened is not None:
        window.resize(*size)
        picture.opened(window)
    render_png(window, target, size)
    if picture.part is not None:
        _cut_out(picture.part(window), window, target)
    _with_dialog(window, target)
    dashboard.stop()
    window.acknowledging.reject()
    window.close()
    window.deleteLater()
    QApplication.processEvents()
    if small:
        with_fewer_colours(target)


def _cut_out(part: QWidget, window: DashboardWindow, target: Path) -> None:
    place = QRect(part.mapTo(window, QPoint(0, 0)), part.size())
    QPixmap(str(target)).copy(place).save(str(target), "PNG")


def _with_dialog(window: DashboardWindow, target: Path) -> None:
    """A dialog is a window of its own: it is drawn where it stands over the middle."""
    dialog = window.acknowledging
    if not dialog.isVisible():
        return
    whole = QPixmap(str(target))
    painter = QPainter(whole)
    middle = QPoint((whole.width() - dialog.width()) // 2, (whole.height() - dialog.height()) // 2)
    painter.drawPixmap(middle, dialog.grab())
    painter.end()
    whole.save(str(target), "PNG")


def with_fewer_colours(path: Path) -> None:
    """Rewrite a picture with the 256 colours that serve it best: half the size, and hardly a difference to the eye."""
    image = QImage(str(path)).convertToFormat(QImage.Format.Format_RGB888)
    height, width = image.height(), image.width()
    rows = np.frombuffer(image.constBits(), dtype=np.uint8).reshape(height, image.bytesPerLine())
    colours = (rows[:, : 3 * width].astype(np.uint32) + _STEP // 2) // _STEP * _STEP
    codes = colours.reshape(-1, 3) @ np.array([1 << 18, 1 << 9, 1], dtype=np.uint32)  # 9 bits each: up to 258
    own, where, counts = np.unique(codes, return_inverse=True, return_counts=True)
    points = np.stack([own >> 18, own >> 9 & 511, own & 511], axis=1).astype(float)
    weights = np.cbrt(counts)  # not the count: what is rare, such as a thin line or a colour bar, counts too
    share = np.cumsum(weights) / np.sum(weights)
    table = points[np.searchsorted(share, (np.arange(_COLOURS) + 0.5) / _COLOURS)]
    for _ in range(_ROUNDS):
        nearest = cKDTree(table).query(points)[1]
        total = np.bincount(nearest, weights, minlength=len(table))
        sums = np.stack([np.bincount(nearest, weights * points[:, k], minlength=len(table)) for k in range(3)], axis=1)
        table = np.where(total[:, None] > 0, sums / np.maximum(total, 1e-9)[:, None], table)
    index = cKDTree(table).query(points)[1][where.reshape(-1)].astype(np.uint8)
    # Rows of an image in 8 bits are padded to four bytes.
    padded = np.pad(index.reshape(height, width), ((0, 0), (0, -width % 4)))
    picture = QImage(padded.tobytes(), width, height, padded.shape[1], QImage.Format.Format_Indexed8)
    picture.setColorTable([qRgb(*(min(round(value), 255) for value in colour)) for colour in table.tolist()])
    writer = QImageWriter(str(path))
    writer.setQuality(0)  # slow and small
    if not writer.write(picture):
        raise OSError(f"{path} could not be written: {writer.errorString()}; check that the folder is writable.")


def quiet(kind: QtMsgType, _context: QMessageLogContext, text: str) -> None:
    """Qt's offscreen platform remarks on every window that it cannot size."""
    if "propagateSizeHints" not in text:
        sys.stderr.write(f"Qt: {text}\n")
