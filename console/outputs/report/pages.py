"""The report as a PDF: pages with the patient, the wording and the record's head on each, the sections in order."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, KeepTogether, PageTemplate

from console.outputs.error import OutputError
from console.outputs.report.layout import WIDTH, heading, picture, remark, subheading, text
from console.outputs.report.letters import ALERT, BOLD, LINE, paragraph, register_fonts
from console.outputs.report.pictures import can_be_drawn, dose_picture
from console.outputs.report.plots import HEIGHT_MM as PLOT_MM
from console.outputs.report.plots import dvh_plot, fractions_of, has_histograms, positions_with_points, trend_plot
from console.outputs.report.provenance import alarms, methods, sources
from console.outputs.report.sections import fractions, ledger, uncertainties
from console.outputs.report.summary import summary
from console.outputs.report.words import Document, label, last_with_results, mean_dose, ordered, plotted, trend
from console.snapshot import Snapshot
from quantify.findings import FractionResult

_MARGIN = 15 * mm
_TOP, _BOTTOM = 19 * mm, 21 * mm
_DAMAGE = 11 * mm
"""More at the top of every page, where the file is damaged."""


@dataclass(frozen=True, kw_only=True)
class _Figures:
    """PNGs by what they show; drawn once, however often the pages are made."""

    doses: tuple[tuple[str, bytes | None, float], ...]
    trends: tuple[tuple[str, bytes | None], ...]
    histograms: bytes | None
    drawn: bool = True

    def rooms(self) -> _Figures:
        """The room that they take, with nothing in it: to count pages."""
        doses = tuple((name, None, height) for name, _, height in self.doses)
        return _Figures(
            doses=doses, trends=tuple((name, None) for name, _ in self.trends), histograms=self.histograms, drawn=False
        )


def write_report(document: Document, snapshot: Snapshot, target: Path) -> None:
    """Write the report of a treatment as a PDF.

    Parameters
    ----------
    document
        The results document (`console.outputs.results.results_document`), as it may leave: every text and every
        number of the report is in it.
    snapshot
        Where the pixels of the pictures come from; nothing else.
    target
        The file; it appears when it is whole.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    content = report_bytes(document, snapshot)
    unfinished = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.replace(target)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise OutputError(
            f"The report cannot be written to {target}: {error.strerror or error}; choose another --out."
        ) from error


def report_bytes(document: Document, snapshot: Snapshot) -> bytes:
    """The report; the same document and pictures give the same bytes."""
    register_fonts()
    figures = _figures(document, snapshot)
    _, pages = _built(document, figures.rooms(), total=0)
    content, _ = _built(document, figures, total=pages)
    return content


def _built(document: Document, figures: _Figures, *, total: int) -> tuple[bytes, int]:
    """The PDF and the number of its pages; `total` is what every page says."""
    buffer = BytesIO()
    template = BaseDocTemplate(
        buffer,
        pagesize=A4,
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        title=f"Dosimetry report {document['treatment']['patient_id']}",
        author=f"Holmia {document['software']['version']}",
        subject=document["research_use"],
        creator="Holmia",
        invariant=1,
    )
    top = _TOP + (_DAMAGE if _warning(document) else 0)
    frame = Frame(_MARGIN, _BOTTOM, WIDTH, A4[1] - top - _BOTTOM, 0, 0, 0, 0)
    template.addPageTemplates(PageTemplate(frames=[frame], onPage=_furniture(document, total)))
    template.build(_story(document, figures))
    return buffer.getvalue(), int(template.page)


def _warning(document: Document) -> str:
    """What every page has to say at its top, if anything."""
    damage, what_if = document["software"]["record_damage"], document["state"]["what_if"]
    told = ["A WHAT-IF, NOT THE TREATMENT AS RECORDED: the first page says with which settings."] if what_if else []
    return " ".join([*told, f"TREATMENT FILE DAMAGED: {damage}"] if damage else told)


def _furniture(document: Document, total: int) -> Callable[[Canvas, BaseDocTemplate], None]:
    """What stands on every page."""
    software = document["software"]
    patient = paragraph(
        f"Dosimetry report · Patient ID {document['treatment']['patient_id'] or 'not known'}", 9.5, bold=True
    )
    head = f"Holmia {software['version']} · record head {software['record_head'] or 'none'}"
    foot = [paragraph(document["research_use"], 6.8, bold=True), paragraph(head, 6.2, mono=True, muted=True)]
    told = _warning(document)
    warning = paragraph(told, 7.0, bold=True) if told else None

    def draw(canvas: Canvas, _: BaseDocTemplate) -> None:
        canvas.saveState()
        top = A4[1] - 9 * mm
        canvas.setFont(BOLD, 9.5)
        canvas.drawRightString(A4[0] - _MARGIN, top - 9, f"page {canvas.getPageNumber()} of {total}")
        _, height = patient.wrap(WIDTH - 30 * mm, 12 * mm)
        patient.drawOn(canvas, _MARGIN, top - height)
        if warning is not None:
            _, height = warning.wrap(WIDTH - 4, _DAMAGE)
            canvas.setFillColor(ALERT)
            canvas.rect(_MARGIN, A4[1] - _TOP - height - 5, WIDTH, height + 4, stroke=0, fill=1)
            warning.drawOn(canvas, _MARGIN + 2, A4[1] - _TOP - height - 3)
        canvas.setStrokeColor(LINE)
        canvas.setLineWidth(0.6)
        canvas.line(_MARGIN, A4[1] - _TOP + 1, A4[0] - _MARGIN, A4[1] - _TOP + 1)
        below = _BOTTOM - 3 * mm
        canvas.line(_MARGIN, below + 1.5, A4[0] - _MARGIN, below + 1.5)
        for part in foot:
            _, height = part.wrap(WIDTH, 20 * mm)
            below -= height
            part.drawOn(canvas, _MARGIN, below)
        canvas.restoreState()

    return draw


def _story(document: Document, figures: _Figures) -> list[Flowable]:
    return [
        *summary(document),
        *_pictures(document, figures),
        *_plots(document, figures),
        *fractions(document),
        *ledger(document),
        *uncertainties(document),
        *alarms(document),
        *methods(document),
        *sources(document),
    ]


def _pictures(document: Document, figures: _Figures) -> list[Flowable]:
    found = heading("2 Dose in the images", needs_mm=min(h for _, _, h in figures.doses) + 25 if figures.doses else 40)
    fraction = last_with_results(document)
    if not figures.doses or fraction is None:
        return [*found, *text("There is no dose map with an anatomy under it, so no picture.")]
    found += text(
        f"Absorbed dose after {label(fraction)} over {document['images']['anatomy'] or 'the first echo'}, through "
        "the middle of each tumour; colours and levels as on the screen. The patient's left is on the right. White "
        "marks at the edges: where the other two planes cut.",
        7.5,
        muted=True,
    )
    for name, png, height in figures.doses:
        own = fraction["volumes"].get(name)
        words = name if own is None else f"{name}: {mean_dose(own)}"
        found.append(KeepTogether([*subheading(words), picture(png, height)]))
    return found


def _plots(document: Document, figures: _Figures) -> list[Flowable]:
    found = heading("3 Trend and dose–volume histograms", needs_mm=PLOT_MM + 35)
    if not figures.trends:
        found += text("No fraction has a dose of a volume, so there is no trend.")
    for position, png in figures.trends:
        title = subheading(f"{position}: mean dose against injected activity")
        found.append(KeepTogether([*title, picture(png, PLOT_MM), *_trend_words(document, position)]))
    fraction = last_with_results(document)
    if figures.histograms is not None and fraction is not None:
        title = subheading(f"Cumulative dose–volume histograms after {label(fraction)}")
        found.append(KeepTogether([*title, picture(figures.histograms if figures.drawn else None, PLOT_MM)]))
    else:
        found += text("There is no dose–volume histogram.")
    return found


def _trend_words(document: Document, position: str) -> list[Flowable]:
    """The latest verdict on every volume; flagged ones in a box."""
    results = [f for f in fractions_of(document, position) if f["status"] != "failed"]
    if not results:
        return []
    last, found = results[-1], []
    for name in plotted(document):
        point = last["trend"].get(name)
        if point is not None:
            words = f"{name} after {label(last)}: {trend(point)}"
            found += remark(words) if point["flagged"] else text(words, 7.5)
    return found


def _figures(document: Document, snapshot: Snapshot) -> _Figures:
    fraction = last_with_results(document)
    result = None if fraction is None else _result_of(snapshot, fraction)
    doses = []
    if result is not None and fraction is not None and can_be_drawn(snapshot, result):
        doses = [
            (name, *dose_picture(snapshot, document, result, voxel)) for name, voxel in _middles(document, snapshot)
        ]
    return _Figures(
        doses=tuple(doses),
        trends=tuple((p, trend_plot(document, p)) for p in positions_with_points(document)),
        histograms=dvh_plot(document, fraction) if fraction is not None and has_histograms(fraction) else None,
    )


def _result_of(snapshot: Snapshot, fraction: Document) -> FractionResult | None:
    key = (fraction["position"], fraction["fraction"])
    return next((result for result in snapshot.results if result.key == key), None)


def _middles(document: Document, snapshot: Snapshot) -> list[tuple[str, tuple[int, int, int]]]:
    """The tumours with the voxel in their middle; without any the liver, without that the middle of the grid."""
    volumes = document["volumes"]
    placed = [name for name in ordered(document, volumes) if volumes[name]["centre_voxel"] is not None]
    names = [name for name in placed if volumes[name]["role"] == "tumour"] or placed[:1]
    found = []
    for name in names:
        s, r, c = (int(v) for v in volumes[name]["centre_voxel"])
        found.append((name, (s, r, c)))
    if found or snapshot.reference is None:
        return found
    s, r, c = (n // 2 for n in snapshot.reference.grid.shape)
    return [("Middle of the images", (s, r, c))]
