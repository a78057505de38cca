"""How one number for three metres is painted, and the lines of the next fraction under them."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter

from console.dashboard.panels import theme
from console.dashboard.panels.glance_layout import BAR, BODY, GAP, HEAD, NO_NUMBER, NOTE, Place
from console.dashboard.panels.table_panel import paint_symbol
from console.dashboard.screen import formatting
from console.dashboard.screen.model import Cell, GlanceNumber, LimitBar, NextScreen, Tone

_LABEL_SHARE = 0.6
_SMALLEST_LINE = 0.72
# Of the lines of the next fraction, in letters.
_LINE = 1.17
# Recovery and registration beside each other have no room for the note in their head.
_NARROW = 18.0

Words = list[tuple[str, QColor, bool]]
"""Words of a line: text, ink, bold."""


def paint_number(painter: QPainter, place: Place, label: float, detail: float) -> None:
    """Paint label, value with its ±, note and bar. `label` is the size of the small letters in pixels."""
    item, box = place.number, place.box
    if box.top() > 1:
        painter.setPen(QColor(theme.LINE))
        painter.drawLine(box.topLeft(), box.topRight())
    head = QRectF(box.left(), box.top(), box.width(), HEAD * label)
    used = _paint_label(painter, item, head, label)
    ink = theme.colour(item.state.tone if item.state.tone is not Tone.NORMAL else Tone.MUTED)
    body = QRectF(box.left(), head.bottom(), box.width(), box.bottom() - head.bottom())
    if item.sentence:
        # A fraction that failed: the sentence that says why takes the place of a number.
        painter.setPen(ink)
        _write_sentence(painter, f"{item.value}: {item.note}", body, label)
        return
    note = QRectF(used, head.top(), box.right() - used, head.height())
    if not item.dose and box.width() < _NARROW * label:
        note = QRectF(box.left(), box.bottom() - NOTE * label, box.width(), NOTE * label)
        body.setBottom(note.top())
        _write_fitting(painter, item.note, note, label * 0.8, ink, right=False)
    else:
        _write_fitting(painter, item.note, note, label * 0.8, ink, right=True)
    _paint_value(painter, place, body, label, detail)


def elided_line(painter: QPainter, text: str, box: QRectF, pixels: float, ink: QColor) -> None:
    """Write one line in smaller letters where it would not fit, at last with an ellipsis."""
    factor = max(_SMALLEST_LINE, min(1.0, box.width() / max(_width(text, pixels) * 1.02, 1.0)))
    letters = theme.font(pixels * factor, bold=True)
    painter.setFont(letters)
    painter.setPen(ink)
    fitting = QFontMetricsF(letters).elidedText(text, Qt.TextElideMode.ElideRight, box.width())
    painter.drawText(box, int(Qt.AlignmentFlag.AlignVCenter), fitting)


def flow(following: NextScreen, width: float, pixels: float, most: int) -> list[Words]:
    """The next fraction in lines: its title, then its numbers in so many lines, whole or not at all.

    What has no room is counted, and the tooltip tells it; the first is told in any case.
    """
    title: Words = [(following.title, QColor(theme.TEXT), True)]
    cells = following.numbers
    for told in range(len(cells), 0, -1):
        left = len(cells) - told
        count = (Cell(text=f"+ {left} more", tone=Tone.MUTED),) if left else ()
        lines = _filled((*cells[:told], *count), width, pixels)
        if len(lines) <= most or told == 1:
            return [title, *lines]
    return [title]


def _filled(cells: tuple[Cell, ...], width: float, pixels: float) -> list[Words]:
    """Cells in lines, parted by dots; one that fits into a line is not broken."""
    lines: list[Words] = [[]]
    taken = 0.0
    for cell in cells:
        ink, parts = theme.colour(cell.tone), cell.text.split(" ")
        whole = _words_width(parts, pixels, bold=cell.bold)
        dot = _words_width(["·"], pixels, bold=False)
        if lines[-1] and taken + dot + whole > width >= whole:
            lines.append([])
            taken = 0.0
        elif lines[-1]:
            lines[-1].append(("·", theme.colour(Tone.MUTED), False))
            taken += dot
        for word in parts:
            own = _words_width([word], pixels, bold=cell.bold)
            if lines[-1] and taken + own > width:
                lines.append([])
                taken = 0.0
            lines[-1].append((word, ink, cell.bold))
            taken += own
    return [line[:-1] if line[-1][0] == "·" else line for line in lines if line]


def flow_height(lines: int, pixels: float) -> float:
    """Height of so many lines with what parts them from the numbers, px."""
    return (lines * _LINE + 0.3) * pixels


def paint_flow(painter: QPainter, lines: list[Words], box: QRectF, pixels: float) -> None:
    """Paint the lines of `flow` from the top of a box."""
    base = box.top() + 0.15 * pixels
    for number, line in enumerate(lines):
        base += _LINE * pixels
        left = box.left()
        for text, ink, bold in line:
            if number == 0:
                strip = QRectF(left, base - pixels, box.width(), _LINE * pixels)
                elided_line(painter, text, strip, pixels * 0.92, ink)
                continue
            painter.setFont(theme.font(pixels, bold=bold, narrow=True))
            painter.setPen(ink)
            painter.drawText(QPointF(left, base - 0.1 * pixels), text)
            left += _words_width([text], pixels, bold=bold)


def _paint_label(painter: QPainter, item: GlanceNumber, head: QRectF, label: float) -> float:
    """Paint symbol and label; return where they end."""
    left = head.left()
    if item.series is not None:
        paint_symbol(painter, item.series, QRectF(left, head.top(), label, head.height()).center(), label * 0.8)
        left += label * 1.25
    wide = QFontMetricsF(theme.font(label, bold=True)).horizontalAdvance(item.label)
    room = min(wide + 2, (_LABEL_SHARE if item.note and item.dose else 1.0) * head.width())
    elided_line(painter, item.label, QRectF(left, head.top(), room, head.height()), label, QColor(theme.TEXT))
    return left + room + label * 0.5


def _paint_value(painter: QPainter, place: Place, box: QRectF, label: float, detail: float) -> None:
    item, big = place.number, place.letters
    if item.value == formatting.NOT_KNOWN and item.dose:
        big *= NO_NUMBER
    letters = theme.font(big, bold=True)
    metrics = QFontMetricsF(letters)
    capital = metrics.capHeight()
    needed = (BODY + (BAR if item.bar is not None else 0.0)) * capital
    base = box.top() + (box.height() - needed) / 2 + (BODY - 0.12) * capital
    painter.setFont(letters)
    loud = item.state.tone in (Tone.CAUTION, Tone.ALERT)
    painter.setPen(theme.colour(item.state.tone) if loud else QColor(theme.TEXT))
    painter.drawText(QPointF(box.left(), base), item.value)
    left = box.left() + metrics.horizontalAdvance(item.value) + big * GAP
    room = box.right() - left
    size = big * detail
    wide = QFontMetricsF(theme.font(size, narrow=True)).horizontalAdvance(item.detail)
    size *= min(1.0, room / max(wide, 1.0))
    painter.setFont(theme.font(size, narrow=True))
    painter.setPen(QColor(theme.TEXT))
    if item.small:
        above = QFontMetricsF(painter.font()).capHeight()
        painter.drawText(QPointF(left, base - capital + above), item.detail)
        _paint_small(painter, item.small, QPointF(left, base), room, min(label * 0.85, 0.34 * capital / 0.73))
    else:
        painter.drawText(QPointF(left, base - 0.06 * capital), item.detail)
    if item.bar is not None:
        bar = QRectF(box.left(), base + 0.16 * capital, box.width(), max(6.0, 0.16 * capital))
        _paint_bar(painter, item.bar, bar, theme.colour(item.state.tone))


def _paint_small(painter: QPainter, text: str, at: QPointF, room: float, pixels: float) -> None:
    """Write as many of its parts as have room in legible letters; the tooltip tells all."""
    parts = text.split(" · ")
    while True:
        said = " · ".join(parts)
        wide = QFontMetricsF(theme.font(pixels, narrow=True)).horizontalAdvance(said)
        letters = theme.font(pixels * max(_SMALLEST_LINE, min(1.0, room / max(wide, 1.0))), narrow=True)
        fitted = QFontMetricsF(letters).elidedText(said, Qt.TextElideMode.ElideRight, room)
        if fitted == said or len(parts) == 1:
            break
        parts.pop()
    painter.setFont(letters)
    painter.setPen(theme.colour(Tone.MUTED))
    painter.drawText(at, fitted)


def _write_sentence(painter: QPainter, text: str, box: QRectF, pixels: float) -> None:
    """Write on several lines, in smaller letters where they would not fit."""
    wrap = int(Qt.TextFlag.TextWordWrap)
    for factor in (1.0, 0.9, 0.8, 0.7, 0.6, 0.5):
        letters = theme.font(pixels * factor, bold=True)
        if QFontMetricsF(letters).boundingRect(QRectF(0, 0, box.width(), 1e6), wrap, text).height() <= box.height():
            break
    painter.setFont(letters)
    painter.drawText(box, wrap, text)


def _write_fitting(painter: QPainter, text: str, box: QRectF, pixels: float, ink: QColor, *, right: bool) -> None:
    """Write one line, in smaller letters where it would not fit."""
    painter.setFont(theme.font(pixels * min(1.0, box.width() / max(_width(text, pixels) * 1.02, 1.0)), bold=True))
    painter.setPen(ink)
    side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
    painter.drawText(box, int(side | Qt.AlignmentFlag.AlignVCenter), text)


def _width(text: str, pixels: float) -> float:
    return QFontMetricsF(theme.font(pixels, bold=True)).horizontalAdvance(text)


def _words_width(words: list[str], pixels: float, *, bold: bool) -> float:
    """Of the words with a space after each."""
    metrics = QFontMetricsF(theme.font(pixels, bold=bold, narrow=True))
    return sum(metrics.horizontalAdvance(f"{word} ") for word in words)


def _paint_bar(painter: QPainter, bar: LimitBar, box: QRectF, ink: QColor) -> None:
    """The value as a bar, its ± as a lighter stretch, its upper 95 % bound as a line, the limit as a white mark."""
    upper = bar.value_gy + bar.uncertainty_gy if bar.upper_95_gy is None else bar.upper_95_gy
    per_gy = box.width() / max(1.2 * bar.limit_gy, upper, bar.value_gy + bar.uncertainty_gy)
    value, spread = max(0.0, bar.value_gy * per_gy), bar.uncertainty_gy * per_gy
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(theme.RAISED))
    painter.drawRect(box)
    painter.setBrush(ink)
    painter.drawRect(QRectF(box.left(), box.top(), value, box.height()))
    middle, thin = box.center().y(), box.height() / 6
    painter.drawRect(QRectF(box.left() + value, middle - thin / 2, max(0.0, upper * per_gy - value), thin))
    light = QColor(ink)
    light.setAlpha(120)
    painter.setBrush(light)
    painter.drawRect(QRectF(box.left() + value, box.top(), spread, box.height()))
    painter.setBrush(QColor(theme.TEXT))
    painter.drawRect(QRectF(box.left() + bar.limit_gy * per_gy - 2, box.top() - 4, 4, box.height() + 8))
