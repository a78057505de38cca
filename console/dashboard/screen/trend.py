"""The plot of mean dose against injected activity (EMERITUS-1, figure 2), in points, lines and words."""

from __future__ import annotations

import math
from collections.abc import Mapping

from console.dashboard.screen.limits import bounds_before, is_latest
from console.dashboard.screen.model import Cell, Tone, TrendScreen, TrendSeries
from console.dashboard.screen.remembered import by_identity
from console.dashboard.screen.trend_words import finding_of, flag_words, headline, trend_cell
from console.snapshot import Snapshot
from quantify.findings import FractionResult, FractionStatus, Injection, TrendStatus, VolumeStatistics, VolumeStatus
from quantify.model import Role

__all__ = ["HEALTHY_LIVER_SERIES", "build_trend", "flag_words", "series_indices", "trend_cell"]

HEALTHY_LIVER_SERIES = 0
_LAST_SERIES = 7
"""Of the colours and symbols in theme.py."""
# Where the dose axis ends while there is nothing on it.
_EMPTY_AXIS_GY = 100.0
_FARTHEST_LIMIT = 2.0
_TOOLTIP = (
    "Mean absorbed dose (Gy), cumulative, ± u (k = 1), against the activity injected at this position (MBq, net).\n"
    "Line: least squares through the position's first points, dashed beyond them (EMERITUS-1, figure 2).\n"
    "×: expected on the line. Outlined band: 95 % prediction interval of a measurement there (docs/physics.md §5).\n"
    "Triangle without ±: lower bound. Ring: flagged.\n"
    "Open symbol at “next”: projected for the planned activity, with the 95 % interval of the dose itself."
)
_PLOTTED = (Role.TUMOUR, Role.HEALTHY_LIVER)


def series_indices(snapshot: Snapshot) -> dict[str, int]:
    """Number of every plotted volume: 0 is the healthy liver, tumours count from 1. It never changes.

    Parts of the healthy liver count back from the last symbol: no two curves with names of their own look the same.
    """
    names: dict[str, int] = {}
    parts: list[str] = []
    roles = [(v.name, v.role) for v in snapshot.volumes]
    roles += [(s.name, s.role) for result in snapshot.results for s in result.volumes.values()]
    for name, role in roles:
        if name in names or role not in _PLOTTED:
            continue
        if role is Role.HEALTHY_LIVER:
            parts.append(name)
            names[name] = HEALTHY_LIVER_SERIES if len(parts) == 1 else max(1, _LAST_SERIES + 2 - len(parts))
        else:
            names[name] = 1 + len(names) - len(parts)
    return names


@by_identity()
def build_trend(snapshot: Snapshot, shown: FractionResult | None) -> TrendScreen:
    """The plot of the shown fraction's injection position, up to and with that fraction."""
    positions = list(dict.fromkeys(i.position for i in snapshot.injections))
    position = shown.position if shown is not None else next(iter(positions), None)
    results = _of_position(snapshot, shown)
    before = _result_before(snapshot, results)
    planned = _planned(snapshot, position)
    following = _following(snapshot, shown)
    indices = series_indices(snapshot)
    series = tuple(
        made
        for name, index in indices.items()
        if (made := _series(name, index, results, before, planned, _projected(snapshot, shown, name, following)))
        is not None
    )
    plotted = {s.volume for s in series}
    limits = _limits(snapshot, plotted)
    findings = _findings(results[-1], indices, plotted, snapshot) if results else ()
    projected = following.key if following is not None and any(s.next for s in series) else None
    x_all = [x for s in series for x in s.x_mbq] + [x for x, _ in planned] + [s.next[0] for s in series if s.next]
    top = max((v for s in series for v in _heights(s)), default=0.0)
    # A limit far above all doses would press them flat: then it is only named, at the upper end of the axis.
    top = max([top, *(dose for dose, _, _ in limits if dose <= _FARTHEST_LIMIT * top)])
    which = f" · {position} {positions.index(position) + 1}/{len(positions)}" if position in positions else ""
    upon = f", upon the dose after {before.label}" if before is not None else ""
    return TrendScreen(
        title=f"MEAN DOSE AGAINST INJECTED ACTIVITY{which}{upon}",
        x_label=f"activity injected{f' at {position}' if position else ''} (MBq)",
        y_label="mean absorbed dose (Gy)",
        x_maximum_mbq=max(x_all, default=0.0) or 1.0,
        y_maximum_gy=top or _EMPTY_AXIS_GY,
        planned_x_mbq=tuple(x for x, _ in planned),
        series=series,
        findings=tuple(cell for _, cell in findings),
        message="" if series else "no fraction has a result yet",
        finding_series=tuple(index for index, _ in findings),
        planned_labels=tuple(f"next F{i.fraction}" if i.key == projected else f"F{i.fraction}" for _, i in planned),
        limits=limits,
        tooltip=_TOOLTIP + "".join(f"\n{words}" for _, _, words in limits),
    )


def _result_before(snapshot: Snapshot, results: list[FractionResult]) -> FractionResult | None:
    """The last result before the position's first: the dose there is what the position starts from."""
    keys = [result.key for result in snapshot.results]
    first = keys.index(results[0].key) if results and results[0].key in keys else 0
    return snapshot.results[first - 1] if first > 0 else None


def _following(snapshot: Snapshot, shown: FractionResult | None) -> Injection | None:
    """The injection that the projections after the shown fraction are made for (`screen_next`); else None.

    Only of the latest result, and only what directly follows at its position: the dose sums over all positions.
    """
    if shown is None or not is_latest(snapshot, shown):
        return None
    keys = [i.key for i in snapshot.injections]
    after = snapshot.injections[keys.index(shown.key) + 1 :] if shown.key in keys else ()
    if after and after[0].time is None and snapshot.closed is not None:
        return None  # nothing is to come
    return after[0] if after and after[0].position == shown.position and not after[0].aborted else None


def _projected(
    snapshot: Snapshot, shown: FractionResult | None, name: str, following: Injection | None
) -> Injection | None:
    """The following injection, where a volume's projection has an interval: what rests on a lower bound has none."""
    return None if shown is None or any(bounds_before(snapshot, shown, name)) else following


def _of_position(snapshot: Snapshot, shown: FractionResult | None) -> list[FractionResult]:
    if shown is None:
        return []
    keys = [result.key for result in snapshot.results]
    until = keys.index(shown.key) + 1 if shown.key in keys else len(keys)
    return [r for r in snapshot.results[:until] if r.position == shown.position]


def _planned(snapshot: Snapshot, position: str | None) -> list[tuple[float, Injection]]:
    """Where on the x axis the position's injections lie, as given or, until then, as planned."""
    at, total = [], 0.0
    for injection in snapshot.injections:
        if injection.position == position:
            total += injection.activity_mbq if injection.activity_mbq is not None else injection.planned_mbq or 0.0
            at.append((total, injection))
    return at


def _series(
    name: str,
    index: int,
    results: list[FractionResult],
    before: FractionResult | None,
    planned: list[tuple[float, Injection]],
    following: Injection | None,
) -> TrendSeries | None:
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
        beyond = max((*x, *(at for at, _ in planned)))
        # The line as the trend gives it, in the plot's own coordinates.
        slope, intercept = lined.slope_gy_per_mbq, lined.intercept_gy
        solid = ((x[0], intercept + slope * x[0]), (until, intercept + slope * until))
        if beyond > until:
            dashed = (solid[1], (beyond, intercept + slope * beyond))
    # Where the shown fraction has no dose there is nothing that what was expected could stand beside.
    measured = results[-1].position_injected_mbq == x[-1]
    expected = last.expected_gy if last is not None and measured else None
    start = before.volumes.get(name) if before is not None else None
    return TrendSeries(
        volume=name,
        index=index,
        x_mbq=x,
        dose_gy=tuple(float(s.dose_mean_gy or 0.0) for _, s in points),
        u_gy=tuple(_u(s) for _, s in points),
        lower_bound=tuple(_bound(s) for _, s in points),
        solid=solid,
        dashed=dashed,
        expected=(x[-1], expected) if expected is not None else None,
        interval_gy=last.prediction_interval_gy if last is not None else None,
        flagged=bool(last is not None and last.flagged),
        label=name,
        band=tuple(
            (r.position_injected_mbq, *t.prediction_interval_gy)
            for r in results
            if (t := r.trend.get(name)) is not None
            and t.prediction_interval_gy is not None
            and r.position_injected_mbq is not None
        ),
        next=_next(name, results[-1], following),
        baseline=(float(start.dose_mean_gy or 0.0), _u(start)) if start is not None and _drawable(start) else None,
    )


def _next(name: str, shown: FractionResult, following: Injection | None) -> tuple[float, float, float, float] | None:
    """Where the projection of the next fraction stands: x, dose, low, high; None where there is none."""
    projected, x = shown.projection.get(name), shown.position_injected_mbq
    if following is None or projected is None or x is None:
        return None
    low, high = projected.low_95_gy, projected.high_95_gy
    planned = following.planned_mbq if following.planned_mbq is not None else following.activity_mbq
    if projected.dose_gy is None or low is None or high is None or planned is None:
        return None
    return x + planned, projected.dose_gy, low, high


def _limits(snapshot: Snapshot, plotted: set[str]) -> tuple[tuple[float, str, str], ...]:
    """The plan's limits of the volumes in the plot, each once: dose, volume, and in words with where it comes from."""
    found: dict[tuple[float, str], str] = {}
    for limit in snapshot.plan.limits if snapshot.plan is not None else ():
        if limit.volume in plotted:
            source = f"plan, {limit.source}" if limit.source else "the plan"
            found[limit.dose_gy, limit.volume] = f"Limit of {limit.volume}: {limit.dose_gy:g} Gy mean dose ({source})."
    return tuple((dose, volume, words) for (dose, volume), words in found.items())


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


def _u(statistics: VolumeStatistics) -> float:
    """Standard uncertainty (k = 1); a lower bound has none."""
    return math.nan if _bound(statistics) else float(statistics.dose_mean_u_gy or 0.0)


def _heights(series: TrendSeries) -> list[float]:
    tops = [d + (u if u == u else 0.0) for d, u in zip(series.dose_gy, series.u_gy, strict=True)]
    ends = [line[1][1] for line in (series.solid, series.dashed) if line is not None]
    bands = [high for _, _, high in series.band]
    return [*tops, *ends, *bands, *(series.next[1:] if series.next else ()), *(series.baseline or ())[:1]]


def _findings(
    result: FractionResult, indices: Mapping[str, int], plotted: set[str], snapshot: Snapshot
) -> list[tuple[int | None, Cell]]:
    """The verdict, then the volumes with their symbols: those that are flagged first."""
    points = [point for name in indices if (point := result.trend.get(name)) is not None]
    settings = snapshot.settings.quantification.trend if snapshot.settings is not None else None
    verdict = headline(result, points, settings)
    if result.status is FractionStatus.FAILED:
        # The plot still shows what was measured before: its symbols keep their names.
        names = [(index, name) for name, index in indices.items() if name in plotted]
        source = "a volume of the plan; its doses (Gy) up to here are computed from the series before"
        return [(None, verdict), *((i, Cell(text=n, tone=Tone.MUTED, tooltip=f"{n}: {source}")) for i, n in names)]
    ordered = sorted(points, key=lambda point: not point.flagged)
    return [(None, verdict), *((indices[point.volume], finding_of(point)) for point in ordered)]
