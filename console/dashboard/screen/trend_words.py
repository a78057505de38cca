"""The trend in words: what a point's residual from its line is, and what flags it."""

from __future__ import annotations

from collections.abc import Sequence

from config.settings import TrendSettings
from console.dashboard.screen import formatting
from console.dashboard.screen.model import Cell, Tone
from quantify.findings import FractionResult, FractionStatus, TrendPoint, TrendStatus
from quantify.trend import K95

_UNTESTED = (TrendStatus.NOT_EVALUABLE, TrendStatus.NOT_TESTABLE)
_SHIPPED = TrendSettings()
_EXPLAINED = (
    "Residual of the mean absorbed dose (Gy) from the least-squares line through the position's first points; per cent "
    "of the dose (Gy) expected to be gained at this position (docs/physics.md §5, docs/decisions/0006). The interval "
    "is 95 %, from the scatter between series and each activity's own uncertainty."
)


def flag_words(point: TrendPoint) -> str:
    """A deviation in words: ``Tumour 2: −24 % from the line (−18 Gy), outside the prediction interval 66…84 Gy``."""
    if point.status is not TrendStatus.TESTED or point.deviation_pct is None:
        state = point.status.value.replace("_", " ")
        told = f"{state}: {point.message}" if point.status in _UNTESTED and point.message else point.message or state
        return f"{point.volume}: {told}"
    return f"{point.volume}: {formatting.signed(point.deviation_pct)} % from the line{_in_gray(point)}"


def _in_gray(point: TrendPoint, interval_name: str = "prediction interval") -> str:
    """`` (−18 Gy), outside the prediction interval 66…84 Gy``: the digits follow the interval's width."""
    words, interval = "", point.prediction_interval_gy
    places = 0
    if interval is not None and interval[1] > interval[0]:
        places = formatting.decimals_for((interval[1] - interval[0]) / 2 / K95)
    if point.deviation_gy is not None:
        words += f" ({formatting.signed(point.deviation_gy, places)} Gy)"
    if interval is not None and point.significant is not None:
        low, high = (formatting.decimal(v, places) for v in interval)
        words += f", {'outside' if point.significant else 'inside'} the {interval_name} {low}…{high} Gy"
    return words


def trend_cell(point: TrendPoint | None) -> Cell:
    """The trend of one volume in the width of a table's column."""
    if point is None:
        return Cell(text=formatting.NOT_KNOWN, tone=Tone.MUTED)
    words = flag_words(point)
    if point.status is TrendStatus.TESTED and point.deviation_pct is not None:
        words = f"{words}\n{_EXPLAINED}"
        change = f"{formatting.signed(point.deviation_pct)} %"
        if point.flagged:
            arrow = "▼" if point.direction == "below" else "▲"
            return Cell(text=f"! {arrow} {change} {point.direction or ''}", tone=Tone.CAUTION, bold=True, tooltip=words)
        return Cell(text=f"✓ {change} on the line", tone=Tone.GOOD, tooltip=words)
    short = {
        TrendStatus.TOO_FEW_POINTS: "… too few points",
        TrendStatus.FIT: "line fitted",
        TrendStatus.NOT_TESTABLE: "— not testable",
        TrendStatus.NOT_EVALUABLE: "— not evaluable",
    }[point.status if point.status is not TrendStatus.TESTED else TrendStatus.NOT_TESTABLE]
    return Cell(text=short, tone=Tone.MUTED, tooltip=words)


def threshold_words(settings: TrendSettings | None) -> str:
    """``≥ 10 % from the line (EMERITUS-1)``: from where a point is flagged, and who says so."""
    if settings is None:
        return "threshold not known"
    shipped = settings.threshold_pct == _SHIPPED.threshold_pct
    return f"≥ {settings.threshold_pct:g} % from the line ({'EMERITUS-1' if shipped else 'set for this treatment'})"


def headline(result: FractionResult, points: Sequence[TrendPoint], settings: TrendSettings | None) -> Cell:
    """The verdict on all volumes in the plot, with the threshold and its source."""
    if result.status is FractionStatus.FAILED:
        return Cell(
            text=f"✕ {result.label} failed: nothing to hold against the line",
            tone=Tone.ALERT,
            bold=True,
            tooltip=result.error or "cause unknown",
        )
    tested = [point for point in points if point.status is TrendStatus.TESTED]
    flagged = sum(bool(point.flagged) for point in tested)
    threshold = threshold_words(settings)
    source = f"A point is flagged from this deviation on (%), setting quantification.trend.threshold_pct. {_EXPLAINED}"
    if flagged:
        words = f"! {flagged} of {len(tested)} tested flagged: {threshold}"
        return Cell(text=words, tone=Tone.CAUTION, bold=True, tooltip=source)
    if tested:
        words = f"✓ {len(tested)} of {len(points)} tested, none {threshold}"
        return Cell(text=words, tone=Tone.GOOD, tooltip=source)
    if any(point.status is TrendStatus.FIT for point in points):
        words = f"○ line fitted; flagged from the next point on: {threshold}"
        return Cell(text=words, tone=Tone.MUTED, tooltip=source)
    needed = "its first" if settings is None else f"its first {settings.fit_points}"
    return Cell(text=f"○ not tested yet: the line needs {needed} points", tone=Tone.MUTED, tooltip=source)


def finding_of(point: TrendPoint) -> Cell:
    """One volume's residual in per cent and Gy, and whether it leaves the prediction interval; sign, words, colour."""
    words = flag_words(point)
    tooltip = f"{words}\n{_EXPLAINED}"
    if point.status is not TrendStatus.TESTED or point.deviation_pct is None:
        sign = "—" if point.status in _UNTESTED else "…"
        return Cell(text=f"{sign} {words}", tone=Tone.MUTED, tooltip=tooltip)
    residual = f"{point.volume}: {formatting.signed(point.deviation_pct)} %"
    if point.flagged:
        arrow = "▼" if point.direction == "below" else "▲"
        return Cell(text=f"{arrow} {residual}{_in_gray(point)}", tone=Tone.CAUTION, bold=True, tooltip=tooltip)
    short = f"{residual}{_in_gray(point, 'interval')}"
    if point.significant:
        return Cell(text=f"! {short}", tone=Tone.CAUTION, tooltip=tooltip)
    return Cell(text=f"✓ {short}", tone=Tone.GOOD, tooltip=tooltip)
