"""How large the numbers for three metres can be, how many of them have room at that size, and where each stands."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PySide6.QtCore import QRectF
from PySide6.QtGui import QFontMetricsF

from console.dashboard.panels import theme
from console.dashboard.screen import formatting
from console.dashboard.screen.model import GlanceNumber

CAPITAL_MM = 17.5
"""20 arc minutes at `READ_FROM_M` (ISO 9241-303)."""
READ_FROM_M = 3.0

# The ± and the unit beside the value: their largest and smallest size, and their distance, in heights of the letters.
_DETAILS = (0.52, 0.46, 0.40, 0.36)
GAP = 0.16
# Heights in labels (head, note under recovery and registration) and in capitals (the value with its margins, the bar).
HEAD = 1.3
NOTE = 1.1
BODY = 1.17
BAR = 0.3
# What cannot be evaluated has words in the place of a large number.
NO_NUMBER = 0.45
# Recovery and registration, side by side under the doses: their capitals, in capitals of the doses.
TRUST = 0.56
_SENTENCE_LINES = 4.5


@dataclass(frozen=True, kw_only=True)
class Room:
    """What there is to paint on, in pixels. ``needed`` is the capital that is read at three metres; None: not known."""

    width: float
    height: float
    label: float
    needed: float | None
    alone: bool


@dataclass(frozen=True, kw_only=True)
class Place:
    """One number as placed: its box and the size of its letters (the font's, in pixels)."""

    number: GlanceNumber
    box: QRectF
    letters: float


@dataclass(frozen=True, kw_only=True)
class GlanceLayout:
    """All numbers as placed, the height of the doses' capitals and what had no room, in pixels."""

    places: tuple[Place, ...]
    capital: float
    detail: float
    """Size of ± and unit, in sizes of the value."""
    dropped: tuple[str, ...] = ()


def lay_out(numbers: tuple[GlanceNumber, ...], room: Room) -> GlanceLayout:
    """All numbers where their capitals are read at three metres; else without those that can best be spared.

    Where even that is not enough, all numbers, as large as they can be.
    """
    if room.alone:
        return max((_grid(numbers, room, columns) for columns in (1, 2)), key=lambda laid: laid.capital)
    whole = laid = _column(numbers, room)
    kept, dropped = list(numbers), []
    while laid.capital < (room.needed or 0.0):
        least = max(kept, key=lambda number: number.expendable, default=None)
        if least is None or least.expendable == 0:
            return whole
        kept.remove(least)
        dropped.append(least.label)
        laid = _column(tuple(kept), room)
    return GlanceLayout(places=laid.places, capital=laid.capital, detail=laid.detail, dropped=tuple(dropped))


def capital_of(letters: float) -> float:
    """Height of a capital or digit of the large letters, px."""
    return QFontMetricsF(theme.font(letters, bold=True)).capHeight()


def _column(numbers: tuple[GlanceNumber, ...], room: Room) -> GlanceLayout:
    """The doses, each in its own row; how far to trust them, smaller and side by side under them."""
    sentences = [n for n in numbers if n.sentence]
    doses = [n for n in numbers if n.dose and not n.sentence]
    trust = [n for n in numbers if not n.dose]
    said = _sentence_height(room, alone=not doses and not trust) if sentences else 0.0
    fixed = said * len(sentences) + HEAD * room.label * len(doses)
    share = sum(_body(n) for n in doses)
    if trust:
        fixed += (HEAD + NOTE) * room.label
        share += TRUST * BODY
    free = max(room.height - fixed, 1.0)
    letters, detail = _letters(doses or trust, free / max(share, 1.0), room.width, room.needed)
    small, _ = _letters(trust, TRUST * capital_of(letters), room.width / 2 - 8, None)
    capital = capital_of(letters)
    spare = max(0.0, free - share * capital) / max(1, len(doses) + bool(trust))
    places, top = [], 0.0
    for number in sentences:
        places.append(Place(number=number, box=QRectF(0, top, room.width, said), letters=room.label))
        top += said
    for number in doses:
        height = HEAD * room.label + _body(number) * capital + spare
        places.append(Place(number=number, box=QRectF(0, top, room.width, height), letters=letters))
        top += height
    # Where they stand alone, label, number and note stay together.
    tall = min(room.height - top, (HEAD + NOTE) * room.label + 1.4 * BODY * capital_of(min(small, letters)))
    for which, number in enumerate(trust):
        box = QRectF(which * room.width / 2 + 8 * which, top, room.width / 2 - 8, tall)
        places.append(Place(number=number, box=box, letters=min(small, letters)))
    return GlanceLayout(places=tuple(places), capital=capital if doses else 0.0, detail=detail)


def _grid(numbers: tuple[GlanceNumber, ...], room: Room, columns: int) -> GlanceLayout:
    """All numbers in equal cells, down the first column and then the next."""
    sentences = [n for n in numbers if n.sentence]
    cells = [n for n in numbers if not n.sentence]
    said = _sentence_height(room, alone=not cells) if sentences else 0.0
    top = said * len(sentences)
    places = [
        Place(number=n, box=QRectF(0, k * said, room.width, said), letters=room.label) for k, n in enumerate(sentences)
    ]
    rows = max(1, math.ceil(len(cells) / columns))
    gap = room.label * (columns - 1)
    width, height = (room.width - gap) / columns, (room.height - top) / rows
    body = max((_body(n) for n in cells), default=BODY)
    letters, detail = _letters(cells, (height - HEAD * room.label) / body, width, room.needed)
    for which, number in enumerate(cells):
        box = QRectF((which // rows) * (width + gap), top + (which % rows) * height, width, height)
        places.append(Place(number=number, box=box, letters=letters))
    return GlanceLayout(places=tuple(places), capital=capital_of(letters) if cells else 0.0, detail=detail)


def _body(number: GlanceNumber) -> float:
    """Height under the label, in capitals."""
    if number.value == formatting.NOT_KNOWN and number.dose:
        return NO_NUMBER * BODY
    return BODY + (BAR if number.bar is not None else 0.0)


def _sentence_height(room: Room, *, alone: bool) -> float:
    return room.height if alone else min(room.height / 3, _SENTENCE_LINES * room.label)


def _letters(numbers: list[GlanceNumber], capital: float, width: float, needed: float | None) -> tuple[float, float]:
    """The letters as large as height and width allow, and the ± beside them: smaller before the value is."""
    full = 100.0
    bold, narrow = QFontMetricsF(theme.font(full, bold=True)), QFontMetricsF(theme.font(full, narrow=True))
    high = max(capital, 1.0) * full / bold.capHeight()
    wanted = high if needed is None else min(high, needed * full / bold.capHeight() + 1.0)
    read = [n for n in numbers if n.value != formatting.NOT_KNOWN]
    size = high
    for detail in _DETAILS:
        widths = [
            full * width * 0.99
            / (bold.horizontalAdvance(n.value) + detail * narrow.horizontalAdvance(n.detail) + GAP * full)
            for n in read
        ]  # fmt: skip
        size = min([high, *widths])
        if size >= wanted:
            break
    # Whole pixels: half a pixel more would not fit.
    return max(12.0, math.floor(size)), detail
