"""What is written on a cut: directions, names and doses of the lines, caption, watermark."""

from __future__ import annotations

from functools import lru_cache
from math import ceil

from PySide6.QtCore import QPointF, QRect, QRectF, QSizeF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QPainter, QPainterPath, QPen

from console.dashboard.panels import theme
from console.dashboard.panels.cut_look import Look, Placement
from console.dashboard.screen.legend import level_words
from console.dashboard.screen.model import DoseLegend, Lines, PlaneScreen, Tone

_SCALE_BAR_MM = 50.0
_LETTERS = "#ffe27a"
# How much of the image is kept from under small letters: white fat is as bright as they are.
_GROUND = 190


def write_names(
    painter: QPainter,
    plane: PlaneScreen,
    legend: DoseLegend,
    where: Placement,
    look: Look,
    taken: list[QRectF],
) -> list[QRectF]:
    """Doses of the lines and names of the volumes beside them; one that would cover what is `taken` is left out."""
    letters = theme.font(14 * look.scale, bold=True)
    metrics = QFontMetricsF(letters)
    painter.setFont(letters)
    names = [(o.name, o.lines, theme.series_colour(o.series)) for o in plane.outlines if o.series is not None]
    names += [
        (level_words(legend, i.level_gy), i.lines, theme.level_colour(legend, i.level_gy)) for i in plane.isodoses
    ]
    rim, written = look.rim, list[QRectF]()
    room = QRectF(rim, rim, look.width - 2 * rim, look.height - 2 * rim)
    for text, lines, ink in names:
        if not lines.label_places:
            continue
        size = QSizeF(metrics.horizontalAdvance(text) + 6, metrics.height())
        box = _free(lines, size, [*taken, *written], where, room)
        if box is None:
            continue
        written.append(box)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(0, 0, 0, _GROUND))
        painter.drawRoundedRect(box, 3, 3)
        painter.setPen(ink)
        painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), text)
    return written


def _free(lines: Lines, size: QSizeF, taken: list[QRectF], where: Placement, room: QRectF) -> QRectF | None:
    """Return the first place beside the line that covers no other name; None if there is none."""
    wide, tall, gap = size.width(), size.height(), 3.0
    offsets = ((gap, -tall / 2), (-gap - wide, -tall / 2), (-wide / 2, -gap - tall), (-wide / 2, gap))
    for place_mm, (across, down) in zip(lines.label_places, offsets, strict=False):
        place = where.at(*place_mm)
        box = QRectF(QPointF(place.x() + across, place.y() + down), size)
        if room.contains(box) and not any(box.intersects(other) for other in taken):
            return box
    return None


def write_letters(painter: QPainter, plane: PlaneScreen, where: Placement, look: Look) -> list[QRectF]:
    """Directions in the patient, which cut it is, whose images they are, and a length; returns where they stand."""
    scale, pad = look.scale, look.rim + 2
    written = [
        _put(painter, _stamp(text, 26 * scale, False, _LETTERS), side, look, pad)
        for text, side in zip(plane.geometry.letters, ("left", "right", "top", "bottom"), strict=True)
    ]
    title = plane.title.replace(" → ", "\n→ ") if _is_small(look) else plane.title
    small = (14 * scale, True, theme.TEXT, True)
    stamp = _stamp(title, *small)
    written.append(_draw(painter, look.width - pad - stamp.width(), look.height - pad - stamp.height(), stamp))
    if plane.identity:
        stamp = _stamp(plane.identity, *small)
        covered = look.covered is not None and look.covered[2] >= look.width - stamp.width()
        written.append(_draw(painter, pad if covered else look.width - pad - stamp.width(), pad, stamp))
    return [*written, _draw_length(painter, where, look, pad)]


def _is_small(look: Look) -> bool:
    """The coronal or sagittal cut beside the axial one."""
    return look.width < 480 * look.scale


def _draw(painter: QPainter, left: int, top: int, stamp: QImage) -> QRectF:
    painter.drawImage(left, top, stamp)
    return QRectF(left, top, stamp.width(), stamp.height())


def _put(painter: QPainter, stamp: QImage, side: str, look: Look, pad: int) -> QRectF:
    """A letter in the middle of its edge; where something lies over the edge, of what is left of it."""
    wide, tall = stamp.width(), stamp.height()
    left, top, right, bottom = look.covered or (0, 0, 0, 0)
    if side in ("left", "right"):
        x = pad if side == "left" else look.width - pad - wide
        hidden = (top, bottom) if left < x + wide and right > x else (0, 0)
        y = _middle(look.height, *hidden) - tall // 2
    else:
        y = pad if side == "top" else look.height - pad - tall
        hidden = (left, right) if top < y + tall and bottom > y else (0, 0)
        x = _middle(look.width, *hidden) - wide // 2
    return _draw(painter, x, y, stamp)


def _middle(length: int, hidden_from: int, hidden_to: int) -> int:
    if hidden_to <= hidden_from:
        return length // 2
    return hidden_from // 2 if hidden_from > length - hidden_to else (hidden_to + length) // 2


def _draw_length(painter: QPainter, where: Placement, look: Look, pad: int) -> QRectF:
    """A bar of known length on a ground of its own: it lies on fat as often as on air."""
    long, tall = round(_SCALE_BAR_MM * where.px_per_mm), max(2, round(2 * look.scale))
    words = _stamp(f"{_SCALE_BAR_MM / 10:.0f} cm", 13 * look.scale, False, theme.TEXT)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    ground = QRect(pad, look.height - pad - words.height() - tall - 6, long + 6, words.height() + tall + 6)
    painter.fillRect(ground, QColor(0, 0, 0, _GROUND))
    painter.drawImage(pad + 3, ground.top() + 1, words)
    painter.fillRect(QRect(pad + 3, ground.bottom() - tall - 1, long, tall), QColor(theme.TEXT))
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    return QRectF(ground)


@lru_cache(maxsize=512)
def _stamp(text: str, pixels: float, narrow: bool, ink: str, ground: bool = False) -> QImage:
    """Light letters with a dark rim, legible over any image; made once, since the rim takes four writings."""
    letters = theme.font(pixels, bold=True, narrow=narrow)
    size = QFontMetricsF(letters).size(0, text)
    made = QImage(ceil(size.width()) + 4, ceil(size.height()) + 2, QImage.Format.Format_ARGB32_Premultiplied)
    made.fill(QColor(0, 0, 0, _GROUND if ground else 0))
    painter = QPainter(made)
    painter.setFont(letters)
    box, right = QRectF(2, 1, size.width(), size.height()), int(Qt.AlignmentFlag.AlignRight)
    painter.setPen(QColor(0, 0, 0, 220))
    for dx, dy in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        painter.drawText(box.translated(dx, dy), right, text)
    painter.setPen(QColor(ink))
    painter.drawText(box, right, text)
    painter.end()
    return made


def write_caption(painter: QPainter, text: str, look: Look) -> list[QRectF]:
    """In a box of its own over the lower part of the picture, on one line or two; large in the axial cut."""
    if not text:
        return []
    scale = look.scale
    room, align = look.width - 2 * look.rim - 28 * scale, int(Qt.AlignmentFlag.AlignCenter)
    pixels = (16 if _is_small(look) else 25) * scale
    if _size(text, pixels).width() > 1.25 * room:
        for separator in (" · ", ": "):
            if separator in text:
                text = text.replace(separator, separator.rstrip().rstrip("·") + "\n", 1)
                break
    pixels *= min(1.0, room / max(1.02 * _size(text, pixels).width(), 1.0))
    size = _size(text, pixels) + QSizeF(16 * scale, 6 * scale)
    box = QRectF(QPointF((look.width - size.width()) / 2, look.height - size.height() - look.rim - 38 * scale), size)
    painter.setBrush(QColor(0, 0, 0, 225))
    painter.setPen(QPen(theme.colour(Tone.ACTIVE), 1.5 * scale))
    painter.drawRoundedRect(box, 5 * scale, 5 * scale)
    painter.setFont(theme.font(pixels, bold=True))
    painter.setPen(QColor(theme.TEXT))
    painter.drawText(box, align, text)
    return [box]


def _size(text: str, pixels: float) -> QSizeF:
    return QFontMetricsF(theme.font(pixels, bold=True)).size(0, text)


def write_watermark(painter: QPainter, look: Look) -> None:
    """Light letters with a dark rim: seen on black as on white, and through it the image."""
    letters = theme.font(min(look.height / 5, look.width / 5), bold=True)
    wide = QFontMetricsF(letters).horizontalAdvance(look.watermark)
    path = QPainterPath()
    path.addText(QPointF((look.width - wide) / 2, look.height * 0.36), letters, look.watermark)
    painter.setBrush(QColor(216, 180, 254, 60))
    painter.setPen(QPen(QColor(60, 10, 110, 130), max(1.5, 2.5 * look.scale)))
    painter.drawPath(path)
