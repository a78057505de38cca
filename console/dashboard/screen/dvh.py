"""Cumulative dose–volume histograms after the shown fraction."""

from __future__ import annotations

from console.dashboard.screen import formatting
from console.dashboard.screen.model import DvhCurve, DvhScreen
from console.dashboard.screen.remembered import by_identity
from console.dashboard.screen.ticks import rounded_up
from console.dashboard.screen.trend import series_indices
from console.dashboard.screen.volumes import coverage_gy, fed_volumes, not_evaluable_words
from console.snapshot import Snapshot
from quantify.dvh import dose_received_by, thinned
from quantify.findings import FractionResult, FractionStatus, VolumeStatistics, VolumeStatus

_MOST_POINTS = 200
# Where the dose axis ends while there is nothing on it.
_EMPTY_AXIS_GY = 100.0
# The axis reaches to what this share of some volume receives: single hot voxels would press all curves to the left.
_HOTTEST_PCT = 1.0
_MEANING = (
    "Cumulative: the share of each volume's evaluable part (%) that receives at least a dose (Gy), freed from voxel "
    "noise. The whole curve is as uncertain as the volume's mean (column Mean dose, k = 1). "
    "Source: docs/physics.md §6."
)


@by_identity()
def build_dvh(snapshot: Snapshot, shown: FractionResult | None) -> DvhScreen:
    """The histograms of the plotted volumes, with limits and the dose that coverage is told at as marks.

    The dose axis is the same for all fractions of a treatment, so that they can be compared. Volumes that cannot be
    evaluated have no curve; the message says which, and why.
    """
    marks = _marks(snapshot)
    maximum = rounded_up(max([*(dose for dose, _ in marks), *_hottest_gy(snapshot)], default=_EMPTY_AXIS_GY))
    if shown is None:
        return DvhScreen(
            title="CUMULATIVE DOSE",
            x_maximum_gy=maximum,
            curves=(),
            marks_gy=marks,
            message="no fraction has a result yet",
            tooltip=_MEANING,
        )
    curves, missing = [], []
    for name, index in series_indices(snapshot).items():
        own = shown.volumes.get(name)
        if own is None:
            continue
        if own.dvh is None or own.status is VolumeStatus.NOT_EVALUABLE:
            missing.append(f"{name}: {_why_none(own)}")
            continue
        curves.append(_curve(own, index, highlighted=name in fed_volumes(snapshot, shown.position)))
    failed = f"{shown.label}: {shown.error or 'no volumes of interest'}" if not shown.volumes else ""
    return DvhScreen(
        title=_title(snapshot, shown),
        x_maximum_gy=maximum,
        curves=tuple(curves),
        marks_gy=marks,
        message=failed or " · ".join(missing),
        tooltip="\n".join([_MEANING, *(words for _, words in marks), *missing]),
    )


def _title(snapshot: Snapshot, shown: FractionResult) -> str:
    """Which fraction curves and table belong to, and that it is no longer, or not yet, the last word."""
    earlier = "◂ EARLIER · " if snapshot.results and shown.key != snapshot.results[-1].key else ""
    provisional = " · ! provisional" if shown.status is FractionStatus.PROVISIONAL else ""
    return f"{earlier}CUMULATIVE DOSE after {shown.label}{provisional} · ± k = 1"


def _curve(own: VolumeStatistics, index: int, *, highlighted: bool) -> DvhCurve:
    if own.dvh is None:
        raise ValueError(f"_curve: {own.name} has no histogram.")
    few = thinned(own.dvh, _MOST_POINTS)
    bound = own.status is VolumeStatus.LOWER_BOUND
    return DvhCurve(
        volume=own.name,
        index=index,
        dose_gy=tuple(few.dose_gy.tolist()),
        volume_pct=tuple((100.0 * few.volume_fraction).tolist()),
        lower_bound=bound,
        highlighted=highlighted,
        label=f"≥ {own.name}" if bound else own.name,
    )


def _why_none(own: VolumeStatistics) -> str:
    if own.status is VolumeStatus.NOT_EVALUABLE:
        return f"— not evaluable ({not_evaluable_words(own)})"
    if own.d70_gy is not None:
        return "no histogram was kept"
    return "withheld: its mean is not known well enough"


def _marks(snapshot: Snapshot) -> tuple[tuple[float, str], ...]:
    """Limits of the plan and the dose of coverage, lowest first."""
    limits = snapshot.plan.limits if snapshot.plan is not None else ()
    marks = [(limit.dose_gy, f"{limit.volume}: limit {limit.dose_gy:g} Gy") for limit in limits]
    at = coverage_gy(snapshot)
    if at is not None:
        marks.append((at, f"coverage: {at:g} Gy"))
    return tuple(sorted(marks))


def _hottest_gy(snapshot: Snapshot) -> list[float]:
    plotted = series_indices(snapshot)
    return [
        dose_received_by(own.dvh, _HOTTEST_PCT)
        for result in snapshot.results
        for name, own in result.volumes.items()
        if own.dvh is not None and name in plotted and formatting.known(own.dose_mean_gy)
    ]
