"""The trend of every volume at every injection position, from the results of a treatment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from config.settings import QuantificationSettings
from quantify.findings import FractionResult, TrendPoint
from quantify.imaged import VolumeOfInterest
from quantify.model import Role, Volume
from quantify.trend import Uptake, trend


def with_trends(
    results: Sequence[FractionResult],
    volumes: Sequence[VolumeOfInterest],
    settings: QuantificationSettings,
    feeds: Mapping[str, Sequence[str]],
) -> list[FractionResult]:
    """Add the trend of every volume, position by position, each against the dose before its first fraction."""
    collected: dict[tuple[str, int], dict[str, TrendPoint]] = {result.key: {} for result in results}
    for position in dict.fromkeys(result.position for result in results):
        first = next(n for n, result in enumerate(results) if result.position == position)
        here = [result for result in results if result.position == position]
        for interest in volumes:
            name = interest.volume.name
            baseline, baseline_u = _baseline(results, first, name)
            points = trend(
                [_uptake(result, name) for result in here],
                baseline_gy=baseline,
                baseline_u_repeat_gy=baseline_u,
                volume=name,
                settings=settings.trend,
                fed=_is_fed(interest.volume, feeds.get(position)),
            )
            for result, point in zip(here, points, strict=True):
                collected[result.key][name] = point
    return [replace(result, trend=collected[result.key]) for result in results]


def _is_fed(volume: Volume, fed: Sequence[str] | None) -> bool:
    """Whether a position feeds a volume: the plan's list concerns tumours; the liver takes up from every position."""
    return fed is None or volume.role != Role.TUMOUR or volume.name in fed


def _baseline(results: Sequence[FractionResult], first: int, volume: str) -> tuple[float | None, float]:
    """Dose in a volume before a position's first fraction, and its independent uncertainty; (None, 0) if unknown."""
    if first == 0:
        return 0.0, 0.0
    before = results[first - 1].volumes.get(volume)
    if before is None or before.dose_mean_gy is None:
        return None, 0.0
    return before.dose_mean_gy, before.u_repeat_gy or 0.0


def _uptake(result: FractionResult, volume: str) -> Uptake:
    own = result.volumes.get(volume)
    x = result.position_injected_mbq
    why = result.error or (own.message if own is not None else "not measured")
    if x is None:
        why = "the activity injected at this position is not known"
    dose = None if own is None or x is None else own.dose_mean_gy
    return Uptake(
        fraction=result.fraction,
        injected_mbq=x or 0.0,
        dose_gy=dose,
        u_repeat_gy=(own.u_repeat_gy or 0.0) if own is not None else 0.0,
        u_gy=(own.dose_mean_u_gy or 0.0) if own is not None else 0.0,
        why_not=why,
    )
