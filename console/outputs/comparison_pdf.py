"""``comparison.pdf``: what differs in what went in, the table of what came out, and the plots of both sides."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    Image,
    PageTemplate,
    Spacer,
    Table,
    TableStyle,
)

from console.comparison import Comparison, Side, Verdict
from console.comparison_words import HEADINGS, LEGEND, UNCERTAINTY, line, pair_words, summary
from console.outputs.comparison_figures import dvh_figure, trend_figure
from console.outputs.report.letters import CAUTION, HEAD, LINE, paragraph
from console.outputs.wording import RESEARCH_USE, software_version

_MARGIN_MM = 14
_WIDTH = A4[0] - 2 * _MARGIN_MM * mm
_COLUMNS = (0.17, 0.06, 0.14, 0.14, 0.085, 0.08, 0.1, 0.225)
_ROW_PT = 7.0
_HASH = 16


def write_comparison(comparison: Comparison, target: Path) -> None:
    """Write the pages: the same comparison gives the same bytes."""
    frame = Frame(_MARGIN_MM * mm, 17 * mm, _WIDTH, A4[1] - 35 * mm, 0, 0, 0, 0)
    document = BaseDocTemplate(
        str(target),
        pagesize=A4,
        invariant=1,
        title="Comparison",
        author="",
        creator=f"Holmia {software_version()}",
        pageTemplates=[PageTemplate(frames=[frame], onPage=lambda canvas, _: _frame_page(canvas, comparison))],
    )
    document.build(list(_story(comparison)))


def _story(comparison: Comparison) -> Iterator[Flowable]:
    yield paragraph("Comparison", 15, bold=True)
    yield Spacer(1, 3 * mm)
    yield _sides(comparison)
    yield Spacer(1, 3 * mm)
    yield paragraph(summary(comparison), 9.5, bold=True)
    yield Spacer(1, 2 * mm)
    for note in comparison.notes:
        yield paragraph(f"• {note}", 8)
    yield from _inputs(comparison)
    for words in (UNCERTAINTY, LEGEND):
        yield Spacer(1, 1 * mm)
        yield paragraph(words, 7, muted=True)
    order = list(reversed(range(len(comparison.pairs))))
    for number in order[:1]:
        yield from _table(comparison, number)
    yield from _figures(comparison)
    for number in order[1:]:
        yield from _table(comparison, number)


def _sides(comparison: Comparison) -> Table:
    told = [_told_of(side) for side in (comparison.a, comparison.b)]
    rows: list[list[object]] = [
        ["", *(paragraph(side.label, 8.5, bold=True) for side in (comparison.a, comparison.b))],
        *([paragraph(head, 7.5, muted=True), *(paragraph(own[head], 7.5) for own in told)] for head in told[0]),
    ]
    return _styled(rows, (0.14, 0.43, 0.43))


def _told_of(side: Side) -> dict[str, str]:
    software = side.document["software"]
    return {
        "patient": side.patient_id or "not known",
        "results": ", ".join(result.label for result in side.results) or "none",
        "record head": str(software["record_head"])[:_HASH],
        "settings": str(software["settings_sha256"])[:_HASH],
        "Holmia": str(software["version"]),
    }


def _inputs(comparison: Comparison) -> Iterator[Flowable]:
    if comparison.inputs:
        yield Spacer(1, 2.5 * mm)
        yield paragraph("What differs in what A and B were made from (A → B)", 9.5, bold=True)
        yield Spacer(1, 1 * mm)
        for words in comparison.inputs:
            yield paragraph(words, 7.5)


def _figures(comparison: Comparison) -> Iterator[Flowable]:
    for title, picture in (
        ("Mean dose against injected activity", trend_figure(comparison)),
        ("Cumulative dose–volume histograms", dvh_figure(comparison)),
    ):
        if picture is not None:
            image = Image(io.BytesIO(picture))
            image.drawWidth, image.drawHeight = _WIDTH, _WIDTH * image.imageHeight / image.imageWidth
            yield Spacer(1, 4 * mm)
            head = Table([[paragraph(title, 9.5, bold=True)], [image]], colWidths=[_WIDTH], splitByRow=0)
            head.setStyle(TableStyle([("LEFTPADDING", (0, 0), (-1, -1), 0)]))
            yield head


def _table(comparison: Comparison, number: int) -> Iterator[Flowable]:
    pair = comparison.pairs[number]
    yield CondPageBreak(45 * mm)  # a head does not stand alone at the foot of a page
    yield Spacer(1, 4 * mm)
    yield paragraph(f"{pair_words(pair)[:1].upper()}{pair_words(pair)[1:]}", 9.5, bold=True)
    yield Spacer(1, 1 * mm)
    rows = [[paragraph(head, _ROW_PT, bold=True) for head in HEADINGS]]
    styles: list[tuple[object, ...]] = []
    volume = ""
    for row in comparison.rows_of(number):
        if row.volume != volume:
            volume = row.volume
            styles += [("SPAN", (0, len(rows)), (-1, len(rows))), ("BACKGROUND", (0, len(rows)), (-1, len(rows)), HEAD)]
            rows.append([paragraph(volume, 7.5, bold=True), *("" for _ in HEADINGS[1:])])
        if row.verdict is Verdict.BEYOND or (row.quantity.worded and row.verdict is Verdict.CHANGED):
            styles.append(("BACKGROUND", (-1, len(rows)), (-1, len(rows)), CAUTION))
        rows.append([paragraph(cell, _ROW_PT) for cell in line(row).cells])
    yield _styled(rows, _COLUMNS, styles, repeated=1)


def _styled(
    rows: Sequence[Sequence[object]],
    shares: Sequence[float],
    styles: Sequence[tuple[object, ...]] = (),
    *,
    repeated: int = 0,
) -> Table:
    table = Table(rows, colWidths=[share * _WIDTH for share in shares], repeatRows=repeated)
    table.setStyle(
        TableStyle(
            [
                ("LINEBELOW", (0, 0), (-1, -1), 0.3, LINE),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("TOPPADDING", (0, 0), (-1, -1), 1.2),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 1.6),
                ("LEFTPADDING", (0, 0), (-1, -1), 2),
                ("RIGHTPADDING", (0, 0), (-1, -1), 2),
                *([("BACKGROUND", (0, 0), (-1, 0), HEAD)] if repeated else []),
                *styles,
            ]
        )
    )
    return table


def _frame_page(canvas: Canvas, comparison: Comparison) -> None:
    """Head and foot of every page: both sides, the wording, the page."""
    canvas.saveState()
    sides = f"{comparison.a.label}   against   {comparison.b.label}"
    for text, size, from_bottom_mm in (
        (sides, 7.5, 287),
        (RESEARCH_USE, 6.5, 8.5),
        (f"Holmia {software_version()} · page {canvas.getPageNumber()}", 7, 5),
    ):
        words = paragraph(text, size, muted=True)
        _, height = words.wrap(_WIDTH, 20 * mm)
        words.drawOn(canvas, _MARGIN_MM * mm, from_bottom_mm * mm - (height if from_bottom_mm > 100 else 0))
    canvas.restoreState()
