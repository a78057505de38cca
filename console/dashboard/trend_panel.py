"""Mean dose against injected activity: points ± u, the three-point line, what was expected, the flagged point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QFontMetricsF
from PySide6.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from console.dashboard import theme
from console.dashboard.screen_model import Tone, TrendScreen, TrendSeries

# With more volumes than this only the flagged and the healthy liver are named; the table names all by their symbols.
_MOST_NAMES = 6


@dataclass(frozen=True)
class _Items:
    """The items of one volume, made once."""

    solid: pg.PlotCurveItem
    dashed: pg.PlotCurveItem
    interval: pg.PlotCurveItem
    error: pg.ErrorBarItem
    points: pg.ScatterPlotItem
    expected: pg.ScatterPlotItem
    ring: pg.ScatterPlotItem
    name: pg.TextItem

    def all(self) -> tuple[pg.GraphicsObject, ...]:
        """Return every item."""
        return (
            self.solid, self.dashed, self.interval, self.error, self.points, self.expected, self.ring, self.name,
        )  # fmt: skip


class TrendPanel(QWidget):
    """The plot, and under it in words what it found."""

    def __init__(self) -> None:
        super().__init__()
        self.plot = pg.PlotWidget(background=theme.PANEL)
        self.plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.plot.setMouseEnabled(x=False, y=False)
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.getPlotItem().disableAutoRange()
        self.plot.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self.findings = QLabel()
        self.findings.setObjectName("finding")
        self.findings.setWordWrap(True)
        self.findings.setTextFormat(Qt.TextFormat.PlainText)
        self.findings.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.MinimumExpanding)
        # Only when the plot itself has its new size do pixels and values match.
        self.plot.getPlotItem().getViewBox().sigResized.connect(self._refit)
        self._items: list[_Items] = []
        self._planned: list[pg.InfiniteLine] = []
        self._scale = 1.0
        self._drawn: TrendScreen | None = None
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(2)
        rows.addWidget(self.plot, 1)
        rows.addWidget(self.findings)

    def set_scale(self, scale: float) -> None:
        """Scale the writing from 1920 × 1080."""
        self._scale = scale
        letters = theme.font(14 * scale)
        for name in ("bottom", "left"):
            axis = self.plot.getAxis(name)
            axis.setTickFont(letters)
            axis.setStyle(tickTextOffset=4, tickLength=-5)
            axis.setTextPen(theme.TEXT)
            axis.setPen(theme.MUTED)
            axis.label.setFont(letters)
        self.plot.getAxis("left").setWidth(round(62 * scale))
        self.plot.getAxis("bottom").setHeight(round(46 * scale))
        drawn, self._drawn = self._drawn, None
        if drawn is not None:
            self.draw(drawn)

    def draw(self, trend: TrendScreen) -> None:
        """Show the plot of a position."""
        if trend == self._drawn:
            return
        self._drawn = trend
        self._set_range(trend)
        size = f"{max(9, round(14 * self._scale))}px"
        self.plot.setLabel("bottom", trend.x_label, color=theme.TEXT, **{"font-size": size})
        self.plot.setLabel("left", trend.y_label, color=theme.TEXT, **{"font-size": size})
        self._draw_planned(trend)
        while len(self._items) < len(trend.series):
            self._items.append(self._make())
        for number, items in enumerate(self._items):
            if number < len(trend.series):
                self._set(items, trend.series[number])
            else:
                for item in items.all():
                    item.setVisible(False)
        self._place_names(trend)
        words = [cell.text for cell in trend.findings] or [trend.message]
        tone = trend.findings[0].tone if trend.findings else Tone.MUTED
        self.findings.setText("\n".join(words))
        theme.restyle(self.findings, f"QLabel#finding {{ color: {theme.TONES[tone]}; }}")

    def _refit(self, *_: object) -> None:
        """Place the names anew: their distance is one of pixels."""
        if self._drawn is not None:
            self._set_range(self._drawn)
            self._place_names(self._drawn)

    def _set_range(self, trend: TrendScreen) -> None:
        """Leave room on the right for the names and on top for the numbers of the fractions."""
        metrics = QFontMetricsF(theme.font(14 * self._scale, bold=True))
        longest = max((metrics.horizontalAdvance(f"! {s.label}") for s in trend.series), default=0.0)
        width = max(100.0, self.plot.width() - 62 * self._scale)
        share = min(0.6, (longest + 34 * self._scale) / width)
        self.plot.setRange(
            xRange=(0.0, trend.x_maximum_mbq / (1 - share)), yRange=(0.0, trend.y_maximum_gy * 1.18), padding=0.0
        )

    def _draw_planned(self, trend: TrendScreen) -> None:
        while len(self._planned) < len(trend.planned_x_mbq):
            line = pg.InfiniteLine(
                angle=90,
                pen=pg.mkPen(theme.LINE, width=1, style=Qt.PenStyle.DashLine),
                label="",
                labelOpts={"position": 0.96, "color": theme.MUTED, "anchors": [(0.5, 0), (0.5, 0)]},
            )
            line.setZValue(-10)
            self.plot.addItem(line, ignoreBounds=True)
            self._planned.append(line)
        for number, line in enumerate(self._planned):
            line.setVisible(number < len(trend.planned_x_mbq))
            if number < len(trend.planned_x_mbq):
                line.setPos(trend.planned_x_mbq[number])
                line.label.setFormat(f"F{number + 1}")
                line.label.setFont(theme.font(13 * self._scale))

    def _make(self) -> _Items:
        items = _Items(
            solid=pg.PlotCurveItem(antialias=True),
            dashed=pg.PlotCurveItem(antialias=True),
            interval=pg.PlotCurveItem(antialias=True),
            error=pg.ErrorBarItem(x=np.zeros(1), y=np.zeros(1), height=0.0),
            points=pg.ScatterPlotItem(pxMode=True),
            expected=pg.ScatterPlotItem(pxMode=True),
            ring=pg.ScatterPlotItem(pxMode=True),
            name=pg.TextItem(anchor=(0.0, 0.5)),
        )
        for item in items.all():
            self.plot.addItem(item, ignoreBounds=True)
        return items

    def _set(self, items: _Items, series: TrendSeries) -> None:
        s = self._scale
        ink = theme.series_colour(series.index)
        x, y, u = np.array(series.x_mbq), np.array(series.dose_gy), np.array(series.u_gy)
        for item in items.all():
            item.setVisible(True)
        for curve, line, style in (
            (items.solid, series.solid, Qt.PenStyle.SolidLine),
            (items.dashed, series.dashed, Qt.PenStyle.DashLine),
        ):
            curve.setVisible(line is not None)
            if line is not None:
                curve.setData(
                    x=np.array([p[0] for p in line]),
                    y=np.array([p[1] for p in line]),
                    pen=pg.mkPen(ink, width=2 * s, style=style),
                )
        # A lower bound has no ±: an arrow-less bar would claim one.
        known = np.isfinite(u)
        items.error.setVisible(bool(known.any()))
        items.error.setData(
            x=x[known], y=y[known], height=2 * u[known], beam=series.x_mbq[-1] * 0.02, pen=pg.mkPen(ink, width=1.6 * s)
        )
        symbols = ["t1" if bound else theme.series_symbol(series.index) for bound in series.lower_bound]
        items.points.setData(x=x, y=y, symbol=symbols, size=12 * s, brush=ink, pen=pg.mkPen("#000000", width=1))
        items.expected.setVisible(series.expected is not None)
        if series.expected is not None:
            at = series.expected
            items.expected.setData(
                x=[at[0]], y=[at[1]], symbol="x", size=9 * s, brush=None, pen=pg.mkPen(theme.TEXT, width=2 * s)
            )
        items.interval.setVisible(series.interval_gy is not None and series.expected is not None)
        if series.interval_gy is not None and series.expected is not None:
            # A broad pale band: it stays told apart from the thin bars of the measured points.
            pale = theme.series_colour(series.index)
            pale.setAlpha(125)
            band = pg.mkPen(pale, width=16 * s)
            band.setCapStyle(Qt.PenCapStyle.FlatCap)
            items.interval.setData(x=np.full(2, series.expected[0]), y=np.array(series.interval_gy), pen=band)
        items.ring.setVisible(series.flagged)
        if series.flagged:
            items.ring.setData(
                x=[x[-1]],
                y=[y[-1]],
                symbol="o",
                size=30 * s,
                brush=None,
                pen=pg.mkPen(theme.TONES[Tone.CAUTION], width=3 * s),
            )

    def _place_names(self, trend: TrendScreen) -> None:
        """Names at the right of the last points, pushed apart where they would cover one another."""
        box = self.plot.getPlotItem().getViewBox()
        step = 19 * self._scale
        crowded = len(trend.series) > _MOST_NAMES
        named = [n for n, s in enumerate(trend.series) if not crowded or s.flagged or s.index == 0]
        for number in range(len(trend.series)):
            self._items[number].name.setVisible(number in named)
        order = sorted(named, key=lambda n: _name_at(trend.series[n])[1])
        below: float | None = None
        for number in order:
            series, item = trend.series[number], self._items[number].name
            text = f"! {series.label}" if series.flagged else series.label
            item.setText(text, color=theme.series_colour(series.index))
            item.setFont(theme.font(14 * self._scale, bold=True))
            at = box.mapViewToDevice(QPointF(*_name_at(series)))
            if at is None:
                continue
            y = at.y() if below is None else min(at.y(), below - step)
            below = y
            place = box.mapDeviceToView(QPointF(at.x() + 20 * self._scale, y))
            item.setPos(place)


def _name_at(series: TrendSeries) -> tuple[float, float]:
    """Where a volume's name stands: at its last point, or at the end of its line where that reaches further."""
    point = (series.x_mbq[-1], series.dose_gy[-1])
    end = series.dashed[1] if series.dashed is not None else point
    return end if end[0] > point[0] else point
