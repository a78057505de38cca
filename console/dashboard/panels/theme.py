"""Colours, letters and strokes of the window: dark, every text at least 4.5:1 against what it lies on."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont, QPen
from PySide6.QtWidgets import QWidget

from console.dashboard.screen.model import DoseLegend, Tone

BACKGROUND = "#0b0e13"
PANEL = "#141921"
RAISED = "#222b37"
LINE = "#323d4b"
TEXT = "#eef3f8"
MUTED = "#a3b1c0"
NOT_LIVE = "#7e22ce"
IMAGE_BACKGROUND = "#000000"

TONES = {
    Tone.NORMAL: TEXT,
    Tone.MUTED: MUTED,
    Tone.GOOD: "#6ddb9a",
    Tone.ACTIVE: "#79bfff",
    Tone.CAUTION: "#ffb84d",
    Tone.ALERT: "#ff8078",
}

# Number 0 is the healthy liver; told apart by shape as well as by hue (after Okabe and Ito).
SERIES_COLOURS = ("#d7dee6", "#56c7f5", "#f58ac8", "#8be28b", "#f0e442", "#b9a3ff", "#ff9e80", "#7fe0d0")
SERIES_SYMBOLS = ("s", "o", "t1", "d", "p", "h", "star", "t")

# Dash patterns of the isodose lines, lowest level first; the highest is solid. In units of the line's width. No dots:
# those are lower bounds.
_DASHES: tuple[tuple[float, ...], ...] = ((3, 5), (3, 2.5), (5, 2.5), (6, 2, 1, 2), (9, 2.5), ())

FAMILY = "DejaVu Sans"
NARROW_FAMILY = "DejaVu Sans Condensed"
# The wash covers more where there is more dose: the anatomy stays legible under a low one.
_WASH_ALPHA = (130, 205)
# Of a map with a pale middle, which would hide the anatomy where there is next to no change.
_DIVERGING_ALPHA = (30, 225)


def colour(tone: Tone) -> QColor:
    """Return the colour of a tone."""
    return QColor(TONES[tone])


def _place(index: int, count: int) -> int:
    """Where a volume's look stands in a list: many tumours repeat, but none ever looks like the healthy liver."""
    return 0 if index == 0 else 1 + (index - 1) % (count - 1)


def series_colour(index: int) -> QColor:
    """Return the colour of a volume in the plot, the table and the images."""
    return QColor(SERIES_COLOURS[_place(index, len(SERIES_COLOURS))])


def series_symbol(index: int) -> str:
    """Return pyqtgraph's name of a volume's symbol."""
    return SERIES_SYMBOLS[_place(index, len(SERIES_SYMBOLS))]


def font(pixels: float, *, bold: bool = False, narrow: bool = False) -> QFont:
    """Return the window's letters at a height in pixels; the same object for the same letters, not to be changed."""
    return _font(max(8, round(pixels)), bold, narrow)


@lru_cache(maxsize=256)
def _font(pixels: int, bold: bool, narrow: bool) -> QFont:
    made = QFont(NARROW_FAMILY if narrow else FAMILY)
    made.setPixelSize(pixels)
    made.setBold(bold)
    return made


@lru_cache(maxsize=8)
def dose_table(legend: DoseLegend) -> NDArray[np.uint8]:
    """Return 256 × RGBA from the legend's lowest to its highest dose: transparent nearer to 0 than its threshold."""
    table: NDArray[np.uint8] = pg.colormap.get(legend.colour_map).getLookupTable(nPts=256, alpha=True).astype(np.uint8)
    table = table.copy()
    size_gy = np.abs(np.linspace(legend.minimum_gy, legend.maximum_gy, 256))
    alpha = _DIVERGING_ALPHA if legend.minimum_gy < 0 else _WASH_ALPHA
    table[:, 3] = np.round(np.interp(size_gy, (0.0, legend.maximum_gy), alpha))
    table[size_gy < legend.threshold_gy, 3] = 0
    return table


@lru_cache(maxsize=64)
def level_colour(legend: DoseLegend, level_gy: float) -> QColor:
    """Return the colour of an isodose line: the wash's at that dose, lightened so that it stands out of it."""
    share = (level_gy - legend.minimum_gy) / (legend.maximum_gy - legend.minimum_gy)
    row = pg.colormap.get(legend.colour_map).map(min(1.0, max(0.0, share)), mode="byte")
    red, green, blue = (round(0.35 * int(v) + 0.65 * 255) for v in np.ravel(row)[:3])
    return QColor(red, green, blue)


@lru_cache(maxsize=64)
def level_pen(legend: DoseLegend, number: int, width: float) -> QPen:
    """Return the stroke of the legend's n-th level, by colour and by dash pattern: −20 Gy is dashed like 20 Gy.

    The same object for the same stroke, not to be changed.
    """
    pen = QPen(level_colour(legend, legend.levels_gy[number]))
    pen.setWidthF(width)
    pen.setCosmetic(True)
    sizes = sorted({abs(level) for level in legend.levels_gy})
    from_top = len(sizes) - 1 - sizes.index(abs(legend.levels_gy[number]))
    dashes = _DASHES[max(0, len(_DASHES) - 1 - from_top)]
    if dashes:
        pen.setDashPattern(list(dashes))
        pen.setCapStyle(Qt.PenCapStyle.FlatCap)
    return pen


def restyle(widget: QWidget, sheet: str) -> None:
    """Set a widget's style only where it changes: Qt polishes and repaints at every call."""
    if widget.styleSheet() != sheet:
        widget.setStyleSheet(sheet)


def style_sheet(scale: float) -> str:
    """Return the style of all ordinary widgets for a window scaled from 1920 × 1080."""

    def px(size: float) -> str:
        return f"{max(9, round(size * scale))}px"

    return f"""
    QWidget {{ background: {BACKGROUND}; color: {TEXT}; font-family: "{FAMILY}"; font-size: {px(15)}; }}
    QFrame#panel {{ background: {PANEL}; border: 1px solid {LINE}; border-radius: {px(6)}; }}
    QFrame#panel QWidget {{ background: {PANEL}; }}
    QLabel#title {{ color: {MUTED}; font-size: {px(13)}; font-weight: bold; background: transparent; }}
    QLabel#patient {{ font-size: {px(24)}; font-weight: bold; background: transparent; }}
    QLabel#details {{ font-size: {px(17)}; color: {TEXT}; background: transparent; }}
    QLabel#research {{ font-size: {px(20)}; font-weight: bold; color: #000000; background: {TONES[Tone.CAUTION]};
        border-radius: {px(4)}; padding: {px(4)} {px(14)}; }}
    QLabel#mode {{ font-size: {px(20)}; font-weight: bold; border-radius: {px(4)}; padding: {px(4)} {px(14)}; }}
    QLabel#clock {{ font-size: {px(26)}; font-weight: bold; background: transparent; }}
    QLabel#sentence {{ font-size: {px(19)}; font-weight: bold; color: {TONES[Tone.ACTIVE]}; background: transparent; }}
    QLabel#badge {{ font-size: {px(21)}; font-weight: bold; padding: {px(3)} {px(10)}; border-radius: {px(4)}; }}
    QLabel#probe, QLabel#layers {{ font-size: {px(15)}; color: {TEXT}; }}
    QLabel#glance_title {{ font-size: {px(17)}; font-weight: bold; }}
    QLabel#message {{ font-size: {px(24)}; color: {MUTED}; }}
    QLabel#status {{ font-size: {px(13)}; color: {MUTED}; background: transparent; }}
    QLabel#finding {{ font-size: {px(16)}; font-weight: bold; }}
    QLabel#overlay {{ background: {RAISED}; border: 2px solid {TONES[Tone.ACTIVE]}; border-radius: {px(10)};
        padding: {px(24)}; font-size: {px(18)}; }}
    QProgressBar {{ background: {RAISED}; border: 1px solid {LINE}; border-radius: {px(4)}; color: {TEXT};
        text-align: center; font-size: {px(15)}; font-weight: bold; }}
    QProgressBar::chunk {{ background: #1f5f99; border-radius: {px(3)}; }}
    QToolTip {{ background: {RAISED}; color: {TEXT}; border: 1px solid {LINE}; font-size: {px(15)}; }}
    """
