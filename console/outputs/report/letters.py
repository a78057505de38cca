"""Letters of the report: DejaVu, which comes with matplotlib and is embedded, so that it looks the same everywhere."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from xml.sax.saxutils import escape

import matplotlib
from reportlab import rl_config
from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Paragraph

from console.outputs.rounding import THIN

REGULAR, BOLD, MONO = "HolmiaSans", "HolmiaSans-Bold", "HolmiaMono"
_FILES = {REGULAR: "DejaVuSans.ttf", BOLD: "DejaVuSans-Bold.ttf", MONO: "DejaVuSansMono.ttf"}
NO_GLYPH = "□"
_BEFORE_UNIT = re.compile(r"(?<=[0-9]) (?=(?:%|Gy|MBq|mL|mm|mg|ms)(?![A-Za-z]))")

INK, MUTED, LINE = HexColor("#16202b"), HexColor("#55636f"), HexColor("#c3ccd4")
HEAD, BAND = HexColor("#e6ecf1"), HexColor("#f5f7f9")
CAUTION, ALERT = HexColor("#fff1d6"), HexColor("#fde0dd")


@lru_cache(maxsize=1)
def register_fonts() -> None:
    """Make the fonts known to reportlab, once in a process."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    rl_config.useA85 = 0  # binary streams: the text form of a picture takes seconds
    for name, file in _FILES.items():
        pdfmetrics.registerFont(TTFont(name, str(folder / file)))
    pdfmetrics.registerFontFamily(REGULAR, normal=REGULAR, bold=BOLD, italic=REGULAR, boldItalic=BOLD)


def drawable(text: str) -> str:
    """`text` with every letter that the fonts lack as □; line breaks and control characters are spaces."""
    register_fonts()
    known = pdfmetrics.getFont(REGULAR).face.charToGlyph
    kept = (c if ord(c) in known else " " if ord(c) < 32 else NO_GLYPH for c in text)
    return "".join(kept)


def style(size: float, *, bold: bool = False, mono: bool = False, muted: bool = False, right: bool = False) -> object:
    """The style of a paragraph: long words are broken, so that no name runs over its cell."""
    register_fonts()
    return _style(size, bold, mono, muted, right)


@lru_cache(maxsize=32)
def _style(size: float, bold: bool, mono: bool, muted: bool, right: bool) -> ParagraphStyle:
    return ParagraphStyle(
        name=f"{size}{bold}{mono}{muted}{right}",
        fontName=MONO if mono else BOLD if bold else REGULAR,
        fontSize=size,
        leading=size * 1.28,
        textColor=MUTED if muted else INK,
        alignment=TA_RIGHT if right else 0,
        splitLongWords=1,
    )


def paragraph(
    text: str,
    size: float = 8.0,
    *,
    bold: bool = False,
    mono: bool = False,
    muted: bool = False,
    right: bool = False,
) -> Paragraph:
    """A paragraph of plain text: nothing in a name is markup, and no number is parted, nor from its unit."""
    together = _BEFORE_UNIT.sub("\u00a0", text.replace(THIN, "\u00a0"))
    return Paragraph(escape(drawable(together)), style(size, bold=bold, mono=mono, muted=muted, right=right))
