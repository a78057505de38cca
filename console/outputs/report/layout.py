"""Pieces of a page: headings, tables with heads that repeat, boxed remarks, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from reportlab.lib.colors import Color
from reportlab.lib.units import mm
from reportlab.platypus import CondPageBreak, Flowable, Image, Spacer, Table, TableStyle

from console.outputs.report.letters import ALERT, BAND, CAUTION, HEAD, LINE, paragraph

WIDTH = 180 * mm
_PADDING: list[tuple[object, ...]] = [("LEFTPADDING", (0, 0), (-1, -1), 3), ("RIGHTPADDING", (0, 0), (-1, -1), 3)]
_PADDING += [("TOPPADDING", (0, 0), (-1, -1), 2), ("BOTTOMPADDING", (0, 0), (-1, -1), 2.4)]


def heading(text: str, *, needs_mm: float = 45.0) -> list[Flowable]:
    """A section's heading, on a new page if what belongs to it has no room."""
    return [CondPageBreak(needs_mm * mm), Spacer(0, 4 * mm), paragraph(text, 12.5, bold=True), Spacer(0, 1.6 * mm)]


def subheading(text: str, *, needs_mm: float = 25.0) -> list[Flowable]:
    """The heading of a part."""
    return [CondPageBreak(needs_mm * mm), Spacer(0, 2.4 * mm), paragraph(text, 9.0, bold=True), Spacer(0, 1 * mm)]


def text(words: str, size: float = 8.0, *, muted: bool = False) -> list[Flowable]:
    """A paragraph with a little room under it."""
    return [paragraph(words, size, muted=muted), Spacer(0, 1.2 * mm)]


def remark(words: str, *, alert: bool = False) -> list[Flowable]:
    """A sentence that must not be overlooked, in a box."""
    box = Table([[paragraph(words, 8.5, bold=True)]], colWidths=[WIDTH])
    box.setStyle(TableStyle([("BACKGROUND", (0, 0), (-1, -1), ALERT if alert else CAUTION), *_PADDING]))
    return [box, Spacer(0, 1.4 * mm)]


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    shares: Sequence[float],
    *,
    size: float = 7.2,
    bold_first: bool = True,
    mono: Sequence[int] = (),
    notes: Sequence[str] = (),
    marked: Sequence[Color | None] = (),
) -> list[Flowable]:
    """A table over the text's width; the head repeats on every page, every cell wraps.

    Parameters
    ----------
    shares
        Widths of the columns, in any unit.
    mono
        Columns of hashes and identifiers.
    notes
        For every row what is told under it, over the whole width; empty: nothing.
    marked
        For every row its ground where somebody has to look; None: as the others.
    """
    total = sum(shares)
    lines: list[list[object]] = [[paragraph(words, size, bold=True) for words in head]] if any(head) else []
    look: list[tuple[object, ...]] = [
        *([("BACKGROUND", (0, 0), (-1, 0), HEAD)] if lines else []),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LINEBELOW", (0, -1), (-1, -1), 0.5, LINE),
        *_PADDING,
    ]
    for number, row in enumerate(rows):
        at, under = len(lines), bool(notes and notes[number])
        ground = marked[number] if marked and marked[number] is not None else BAND if number % 2 else None
        look.append(("LINEABOVE", (0, at), (-1, at), 0.4, LINE))
        if ground is not None:
            look.append(("BACKGROUND", (0, at), (-1, at + under), ground))
        lines.append(
            [
                paragraph(words, size - 0.8 if k in mono else size, bold=bold_first and k == 0, mono=k in mono)
                for k, words in enumerate(row)
            ]
        )
        if under:
            look += [("SPAN", (0, at + 1), (-1, at + 1)), ("NOSPLIT", (0, at), (-1, at + 1))]
            look += [("FONTSIZE", (0, at + 1), (-1, at + 1), 1), ("LEADING", (0, at + 1), (-1, at + 1), 1)]
            lines.append([paragraph(notes[number], size - 0.7, muted=True), *([""] * (len(head) - 1))])
    made = Table(
        lines, colWidths=[WIDTH * share / total for share in shares], repeatRows=1 if any(head) else 0, splitInRow=0
    )
    made.setStyle(TableStyle(look))
    return [made, Spacer(0, 1.6 * mm)]


def picture(png: bytes | None, height_mm: float) -> Flowable:
    """A figure of the text's width; None: its room."""
    if png is None:
        return Spacer(0, height_mm * mm)
    return Image(BytesIO(png), width=WIDTH, height=height_mm * mm)
