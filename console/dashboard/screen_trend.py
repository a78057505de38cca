"""The plot of mean dose against injected activity (EMERITUS-1, figure 2), in points, lines and words."""

from __future__ import annotations

from console.dashboard import formatting
from console.dashboard.screen_model import Cell, Tone, TrendScreen, TrendSeries
from console.snapshot import Snapshot
from quantify.findings import FractionResult, FractionStatus, TrendPoint, TrendStatus, VolumeStatistics, VolumeStatus
from quantify.model import Role

HEALTHY_LIVER_SERIES = 0
# Where the dose axis ends while there is nothing on it.
_EMPTY_AXIS_GY = 100.0
_PLOTTED = (Role.TUMOUR, Role.HEALTHY_LIVER)


def series_indices(snapshot: Snapshot) -> dict[str, int]:
    """Number of every plotted volume: 0 is the healthy liver, tumours count from 1. It never changes."""
    names: dict[str, int] = {}
    roles = [(v.name, v.role) for v in snapshot.volumes]
    roles += [(s.name, s.role) for result in snapshot.results for s in result.volumes.values()]
    for name, role in roles:
        if name not in names and role in _PLOTTED:
            names[name] = HEALTHY_LIVER_SERIES if role is Role.HEALTHY_LIVER else 1 + sum(n > 0 for n in names.values())
    return names


def flag_words(point: TrendPoint) -> str:
    """A deviation in words: ``Tumour 2: −24 % from the line (−18 Gy), outside the prediction interval 66…84 Gy``."""
    if point.status is not TrendStatus.TESTED or point.deviation_pct is None:
        return f"{point.volume}: {point.message or point.status.value.replace('_', ' ')}"
    words = f"{point.volume}: {formatting.signed(point.deviation_pct)} % from the line"
    if point.deviation_gy is not None:
        words += f" ({formatting.signed(point.deviation_gy, _gy_places(point.deviation_gy))} Gy)"
    if point.prediction_interval_gy is not None and point.significant is not None:
        low, high = (formatting.decimal(v, _gy_places(v)) for v in point.prediction_interval_gy)
        words += f", {'outside' if point.significant else 'inside'} the prediction interval {low}…{high} Gy"
    return words


def trend_cell(point: TrendPoint | None) -> Cell:
    """The trend of one volume in the width of a table's column."""
    if point is None:
        return Cell(text=formatting.NOT_KNOWN, tone=Tone.MUTED)
    words = flag_words(point)
    if point.status is TrendStatus.TESTED and point.deviation_pct is not None:
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


def build_trend(snapshot: Snapshot, shown: FractionResult | None) -> TrendScreen:
    """The plot of the shown fraction's injection position, up to and with that fraction."""
    first = next(iter(snapshot.injections), None)
    position = shown.position if shown is not None else first.position if first is not None else None
    results = _of_position(snapshot, shown)
    planned = _planned_x(snapshot, position)
    series = tuple(
        made
        for name, index in series_indices(snapshot).items()
        if (made := _series(name, index, results, planned)) is not None
    )
    findings = _findings(results[-1]) if results else ()
    x_all = [x for s in series for x in s.x_mbq] + list(planned)
    y_all = [v for s in series for v in _heights(s)]
    where = f" at {position}" if position else ""
    return TrendScreen(
        title=f"MEAN DOSE AGAINST INJECTED ACTIVITY{f' · {position}' if position else ''}",
        x_label=f"activity injected{where} (MBq)",
        y_label="mean absorbed dose (Gy)",
        x_maximum_mbq=max(x_all, default=0.0) or 1.0,
        y_maximum_gy=max(y_all, default=0.0) or _EMPTY_AXIS_GY,
        planned_x_mbq=planned,
        series=series,
        findings=findings,
        message="" if series else "no fraction has a result yet",
    )


def _gy_places(value: float) -> int:
    return 1 if abs(value) < 10 else 0


def _of_position(snapshot: Snapshot, shown: FractionResult | None) -> list[FractionResult]:
    if shown is None:
        return []
    keys = [result.key for result in snapshot.results]
    until = keys.index(shown.key) + 1 if shown.key in keys else len(keys)
    return [r for r in snapshot.results[:until] if r.position == shown.position]


def _planned_x(snapshot: Snapshot, position: str | None) -> tuple[float, ...]:
    """Where on the x axis the position's injections lie, as given or, until then, as planned."""
    at, total = [], 0.0
    for injection in snapshot.injections:
        if injection.position == position:
            total += injection.activity_mbq if injection.activity_mbq is not None else injection.planned_mbq or 0.0
            at.append(total)
    return tuple(at)


def _series(name: str, index: int, results: list[FractionResult], planned: tuple[float, ...]) -> TrendSeries | None:
    points = [
        (r.position_injected_mbq, s)
        for r in results
        if (s := r.volumes.get(name)) is not None and r.position_injected_mbq is not None and _drawable(s)
    ]
    if not points:
        return None
    x = tuple(float(at) for at, _ in points if at is not None)
    last = results[-1].trend.get(name)
    lined = next(
        (t for r in reversed(results) if (t := r.trend.get(name)) is not None and t.slope_gy_per_mbq is not None), None
    )
    solid = dashed = None
    if lined is not None and lined.slope_gy_per_mbq is not None and lined.intercept_gy is not None:
        until = _fitted_until(name, results)
        beyond = max((*x, *planned))
        # The line as the trend gives it, in the plot's own coordinates.
        slope, intercept = lined.slope_gy_per_mbq, lined.intercept_gy
        solid = ((x[0], intercept + slope * x[0]), (until, intercept + slope * until))
        if beyond > until:
            dashed = (solid[1], (beyond, intercept + slope * beyond))
    tested = last is not None and last.expected_gy is not None
    return TrendSeries(
        volume=name,
        index=index,
        x_mbq=x,
        dose_gy=tuple(float(s.dose_mean_gy or 0.0) for _, s in points),
        u_gy=tuple(float("nan") if _bound(s) else float(s.dose_mean_u_gy or 0.0) for _, s in points),
        lower_bound=tuple(_bound(s) for _, s in points),
        solid=solid,
        dashed=dashed,
        expected=(x[-1], last.expected_gy) if tested and last is not None and last.expected_gy is not None else None,
        interval_gy=last.prediction_interval_gy if last is not None else None,
        flagged=bool(last is not None and last.flagged),
        label=name,
    )


def _fitted_until(name: str, results: list[FractionResult]) -> float:
    """Activity at the last point that the line was fitted to."""
    fitted = [
        r.position_injected_mbq
        for r in results
        if (t := r.trend.get(name)) is not None
        and t.status in (TrendStatus.TOO_FEW_POINTS, TrendStatus.FIT)
        and r.position_injected_mbq is not None
    ]
    return max(fitted, default=0.0)


def _drawable(statistics: VolumeStatistics) -> bool:
    return statistics.dose_mean_gy is not None and (statistics.dose_mean_u_gy is not None or _bound(statistics))


def _bound(statistics: VolumeStatistics) -> bool:
    return statistics.status is VolumeStatus.LOWER_BOUND


def _heights(series: TrendSeries) -> list[float]:
    tops = [d + (u if u == u else 0.0) for d, u in zip(series.dose_gy, series.u_gy, strict=True)]
    ends = [line[1][1] for line in (series.solid, series.dashed) if line is not None]
    return [*tops, *ends, *(series.interval_gy or ())]


def _findings(result: FractionResult) -> tuple[Cell, ...]:
    if result.status is FractionStatus.FAILED:
        return (Cell(text=f"✕ {result.label} failed: nothing to hold against the line", tone=Tone.ALERT, bold=True),)
    flagged = [point for point in result.trend.values() if point.flagged]
    if flagged:
        return tuple(
            Cell(text=f"{'▼' if p.direction == 'below' else '▲'} {flag_words(p)}", tone=Tone.CAUTION, bold=True)
            for p in flagged
        )
    tested = [point for point in result.trend.values() if point.status is TrendStatus.TESTED]
    if tested:
        return (Cell(text=f"✓ {len(tested)} of {len(result.trend)} volumes tested, all on their line", tone=Tone.GOOD),)
    return (Cell(text="○ not tested yet: the line needs its first points", tone=Tone.MUTED),)
