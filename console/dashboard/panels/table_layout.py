"""Where the columns and rows of a table stand at a size: letters shrink a little before anything is left out."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QFontMetricsF

from console.dashboard.panels import theme
from console.dashboard.screen.model import Cell, Table

WORDS = int(Qt.TextFlag.TextWordWrap)
STRIP = 1.3
"""Height, in letters, of the line that counts what was left out."""
_FACTORS = (1.0, 0.93, 0.86, 0.79, 0.72)
_LEGIBLE = 0.86
_SMALLEST_PIXELS = 9
_TIGHT = 0.8
_TOUCH_PIXELS = 32.0
_BETWEEN = re.compile(r"(?<=\d)…(?=[\d−])")
_BEFORE_UNIT = re.compile(r"(?<=[≥≤]) (?=\d)|(?<=\d) (?=(?:Gy|MBq|mL|mm|ms|%|min)\b|%)")


@dataclass(frozen=True, kw_only=True)
class Style:
    """How a table is laid out; see `TableView`."""

    wrapped: int
    pixels: float
    spread: float
    log: bool


@dataclass(frozen=True)
class Placed:
    """A row as laid out: its number, top and height."""

    number: int
    top: float
    height: float


@dataclass(frozen=True)
class Layout:
    """A table laid out for one size: letters, columns (left, width), rows, and how many did not fit."""

    pixels: float
    columns: tuple[tuple[float, float], ...]
    heads: float
    rows: tuple[Placed, ...]
    left_out: int


def lay_out(table: Table, style: Style, width: float, height: float, *, scale: float, pressed: bool) -> Layout:
    """The largest letters with which all fits: first rows close up, then letters shrink.

    Where not even the smallest letters suffice, rows are left out rather than all made small. Rows to be pressed are
    as tall as fingers if there is room.
    """
    full, tight = style.pixels * scale, replace(style, spread=min(style.spread, _TIGHT))
    legible = None
    for factor in _FACTORS:
        if legible is not None and round(full * factor) < _SMALLEST_PIXELS:
            break
        needed = _longest_word(table, style, full * factor)
        for spaced in dict.fromkeys((style, tight)):
            laid = _at(table, spaced, full * factor, width, height)
            wide_enough = laid.columns[style.wrapped][1] >= needed
            if wide_enough and (style.log or not laid.left_out):
                return _for_fingers(table, laid, height, _TOUCH_PIXELS * scale) if pressed else laid
            if wide_enough and factor >= _LEGIBLE:
                legible = laid
    return legible or laid


@lru_cache(maxsize=1024)
def with_units(text: str) -> str:
    """The text, with no break between a number and its unit, or within a range."""
    return _BEFORE_UNIT.sub("\u00a0", _BETWEEN.sub("…\u2060", text))


@lru_cache(maxsize=4096)
def advance(text: str, pixels: int, bold: bool) -> float:
    """Width of a text on one line."""
    return QFontMetricsF(theme.font(pixels, bold=bold)).horizontalAdvance(text)


@lru_cache(maxsize=256)
def middle_to_baseline(pixels: int, bold: bool) -> float:
    """How far the base line lies below the middle of a line."""
    metrics = QFontMetricsF(theme.font(pixels, bold=bold))
    return (metrics.ascent() - metrics.descent()) / 2


@lru_cache(maxsize=4096)
def elided(text: str, pixels: int, bold: bool, width: float) -> str:
    """The text as far as it fits a width, and … where it is cut."""
    if advance(text, pixels, bold) <= width:
        return text
    metrics = QFontMetricsF(theme.font(pixels, bold=bold))
    return metrics.elidedText(text, Qt.TextElideMode.ElideRight, width)


@lru_cache(maxsize=4096)
def _height(text: str, pixels: int, bold: bool, room: float) -> float:
    """Height of a text that wraps in a width."""
    metrics = QFontMetricsF(theme.font(pixels, bold=bold))
    if metrics.horizontalAdvance(text) < room:
        return metrics.height()
    return max(metrics.height(), metrics.boundingRect(QRectF(0, 0, room, 1e6), WORDS, with_units(text)).height())


def _longest_word(table: Table, style: Style, pixels: float) -> float:
    """The width of the longest word of the wrapping column: it must not be broken."""
    words = {
        word
        for row in table.rows
        if not row.heading and len(row.cells) > style.wrapped
        for word in with_units(row.cells[style.wrapped].text).split(" ")
    }
    return max((advance(word, round(pixels), True) for word in words), default=0.0)


def _at(table: Table, style: Style, pixels: float, width: float, height: float) -> Layout:
    """The layout with letters of one size."""
    columns = _columns(table, style, pixels, width)
    room = columns[style.wrapped][1]
    heads = pixels * 1.5 if any(table.columns) else 0.0
    placed: list[Placed] = []
    top = heads
    for number, row in enumerate(table.rows):
        short = row.heading or len(row.cells) <= style.wrapped
        cell = Cell(text="") if short else row.cells[style.wrapped]
        tall = _height(cell.text, round(pixels), cell.bold, room) + pixels * 0.3 * style.spread
        if top + tall > height and placed:
            break
        placed.append(Placed(number, top, tall))
        top += tall
    if len(placed) < len(table.rows) and not style.log:
        # The line that counts what is left out has its own place.
        while len(placed) > 1 and placed[-1].top + placed[-1].height > height - pixels * STRIP:
            placed.pop()
    return Layout(pixels, columns, heads, tuple(placed), len(table.rows) - len(placed))


def _columns(table: Table, style: Style, pixels: float, width: float) -> tuple[tuple[float, float], ...]:
    """Left and width of each column: by its content; the wrapping one takes what remains."""
    gap = pixels * 0.6
    widths = [advance(head, round(pixels * 0.86), True) for head in table.columns] or [0.0]
    for row in table.rows:
        if row.heading:
            continue
        for number, cell in enumerate(row.cells):
            if number != style.wrapped and cell.text:
                widths[number] = max(widths[number], advance(cell.text, round(pixels), cell.bold) + 1)
        if row.series is not None:
            widths[0] = max(widths[0], pixels)
    taken = sum(w + gap for number, w in enumerate(widths) if number != style.wrapped and w > 0)
    widths[style.wrapped] = max(width - taken - gap * 0.6, 1.0)
    columns, left = [], gap * 0.3
    for own in widths:
        columns.append((left, own))
        left += own + gap if own > 0 else 0
    return tuple(columns)


def _for_fingers(table: Table, laid: Layout, height: float, touch_pixels: float) -> Layout:
    """The same rows, as tall as a finger needs while there is room."""
    pressed = [placed for placed in laid.rows if not table.rows[placed.number].heading]
    if not pressed:
        return laid
    room = (height - laid.rows[-1].top - laid.rows[-1].height) / len(pressed)
    rows, top = [], laid.heads
    for placed in laid.rows:
        heading = table.rows[placed.number].heading
        tall = placed.height if heading else max(placed.height, min(touch_pixels, placed.height + room))
        rows.append(Placed(placed.number, top, tall))
        top += tall
    return replace(laid, rows=tuple(rows))
