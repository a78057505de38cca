"""What is measured in a picture of the window: contrast of letters, difference of shapes, heights of digits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, QRect, QRectF, Qt
from PySide6.QtGui import QFontMetricsF, QImage
from PySide6.QtWidgets import QAbstractButton, QLabel, QProgressBar, QWidget

from console.dashboard.panels import theme
from console.dashboard.panels.table_panel import TableView
from console.dashboard.window import DashboardWindow

Grey = NDArray[np.float32]
"""The logarithm of the relative luminance + 0.05 (row, column): what WCAG's contrast is the difference of."""

_SHADES = 256
"""Told apart when the ground is looked for: the most frequent of them."""
_FAINTEST = 0.05
"""What differs by less from its ground is ground."""
_SMALLEST_WORD_PX = 14
"""Points and dashes between words are so small that their edges are all that there is of them."""
_INK_SHARE = 0.03
"""Of what is written, the inked pixels that are taken for its ink: the others are the smoothed edges of letters."""
_GAP_PX = 5


def picture(path: Path) -> Grey:
    """A PNG without its colours."""
    image = QImage(str(path)).convertToFormat(QImage.Format.Format_RGB32)
    pixels = np.frombuffer(image.constBits(), dtype=np.uint8).reshape(image.height(), image.width(), 4)
    share = np.arange(256) / 255.0
    # Relative luminance: WCAG 2.2.
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4).astype(np.float32)
    red, green, blue = (linear[pixels[:, :, channel]] for channel in (2, 1, 0))
    return np.log(0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def ground_of(part: Grey) -> float:
    """The most frequent shade."""
    low, high = float(part.min()), float(part.max())
    if high - low < _FAINTEST:
        return low
    shades = ((part - low) * ((_SHADES - 1) / (high - low))).astype(np.intp)
    most = np.bincount(shades.ravel(), minlength=_SHADES).argmax()
    return float(np.median(part[shades == most]))


def words_of(part: Grey) -> Iterator[Grey]:
    """The words of a line: what blank columns part."""
    if not part.size:
        return
    inked = (np.abs(part - ground_of(part)) > _FAINTEST).any(axis=0)
    columns = np.flatnonzero(inked)
    if not len(columns):
        return
    ends = np.flatnonzero(np.diff(columns) > _GAP_PX)
    starts = [columns[0], *columns[ends + 1]]
    stops = [*columns[ends], columns[-1]]
    for start, stop in zip(starts, stops, strict=True):
        yield part[:, start : stop + 1]


def contrast(part: Grey) -> float:
    """The contrast ratio (WCAG 2.2, 1.4.3) of what is written in one ink; infinite where nothing is."""
    away = np.abs(part - ground_of(part)) if part.size else part
    inked = np.sort(away[away > _FAINTEST])[::-1]
    return float(np.exp(inked[round(_INK_SHARE * len(inked))])) if len(inked) >= _SMALLEST_WORD_PX else np.inf


def shape(part: Grey) -> NDArray[np.bool_]:
    """Where there is ink: nearer to what is farthest from the ground than to the ground, whatever both are."""
    away = np.abs(part - ground_of(part))
    return away > max(0.5 * float(away.max()), _FAINTEST)


def difference(one: Grey, other: Grey) -> float:
    """The share of the inked pixels that only one of two crops has, both without colours and from their left edge."""
    a, b = shape(one), shape(other)
    rows, columns = max(a.shape[0], b.shape[0]), max(a.shape[1], b.shape[1])
    a, b = (np.pad(s, ((0, rows - s.shape[0]), (0, columns - s.shape[1]))) for s in (a, b))
    return float((a ^ b).sum() / max((a | b).sum(), 1))


def digit_height(part: Grey) -> int:
    """Rows of the tallest line of ink: what is written above or under it is parted from it by blank rows."""
    inked = np.concatenate([[0], shape(part).any(axis=1), [0]])
    edges = np.flatnonzero(np.diff(inked.astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def crop(pixels: Grey, box: QRect) -> Grey:
    """The part of a picture in a rectangle."""
    return pixels[max(box.top(), 0) : box.bottom() + 1, max(box.left(), 0) : box.right() + 1]


def on_window(window: QWidget, widget: QWidget, box: QRectF | QRect) -> QRect:
    """A rectangle of a widget, in the window's pixels."""
    rectangle = box.toAlignedRect() if isinstance(box, QRectF) else box
    return rectangle.translated(widget.mapTo(window, QPoint(0, 0)))


def cells(window: DashboardWindow, view: TableView) -> Iterator[tuple[int, int, str, QRect]]:
    """(row, column, text, place) of every cell that a table shows."""
    laid = view._fit()
    for placed in laid.rows:
        row = view.table.rows[placed.number]
        for number, ((left, width), cell) in enumerate(zip(laid.columns, row.cells, strict=False)):
            if cell.text.strip() and width > 2:
                wide = view.width() - left if row.heading else width + 2
                box = QRectF(left, placed.top + 2, wide, placed.height - 4)
                yield placed.number, number, cell.text, on_window(window, view, box)


def texts(window: DashboardWindow, pixels: Grey) -> Iterator[tuple[str, Grey]]:
    """Everything written on the window, by name: labels, buttons, bars, cells; word by word where inks are mixed."""
    for widget in window.findChildren(QWidget):
        if not widget.isVisible() or widget.window() is not window:
            continue
        if isinstance(widget, QLabel | QAbstractButton | QProgressBar) and widget.text().strip():
            part = crop(pixels, on_window(window, widget, widget.rect().adjusted(4, 4, -4, -4)))
            name = f"{type(widget).__name__} {widget.objectName()} {widget.text()[:60]!r}"
            mixed = isinstance(widget, QLabel) and widget.textFormat() == Qt.TextFormat.RichText
            yield from ((name, word) for word in (words_of(part) if mixed else (part,)))
        elif isinstance(widget, TableView):
            for row, column, text, box in cells(window, widget):
                yield f"table row {row} column {column} {text[:60]!r}", crop(pixels, box)
    for place in window.glance._layout_now().places:
        box = place.box.translated(0, _above(window)).adjusted(0, 3, 0, -3)
        part = crop(pixels, on_window(window, window.glance, box))
        yield from ((f"glance {place.number.label!r} {place.number.value!r}", word) for word in words_of(part))


def numbers(window: DashboardWindow) -> Iterator[tuple[str, QRect]]:
    """The doses among the numbers for three metres, and where: as wide as their large digits."""
    for place in window.glance._layout_now().places:
        number = place.number
        if number.dose and not number.sentence and any(sign.isdigit() for sign in number.value):
            wide = QFontMetricsF(theme.font(place.letters, bold=True)).horizontalAdvance(number.value)
            box = QRectF(place.box.left(), place.box.top() + _above(window), wide, place.box.height())
            yield number.label, on_window(window, window.glance, box.adjusted(0, 3, 0, -3))


def _above(window: DashboardWindow) -> float:
    """Height of the remark over the numbers."""
    return window.glance._remark_height() if window.glance.remark else 0.0
