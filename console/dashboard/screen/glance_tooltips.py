"""What stands behind each large number: unit, meaning, interval, what its uncertainty consists of, source."""

from __future__ import annotations

from console.dashboard.screen import formatting
from console.dashboard.screen.ledger import measured_is_a_bound
from console.dashboard.screen.limits import gy_like, limit_of, limit_tooltip
from console.dashboard.screen.words import dose_words
from console.snapshot import Snapshot
from quantify.findings import FractionResult, Registration, VolumeStatistics, VolumeStatus

_TERMS = 3


def dose_tooltip(snapshot: Snapshot, result: FractionResult, statistics: VolumeStatistics) -> str:
    """Of the mean dose of one volume."""
    lines = [f"{statistics.name}: mean absorbed dose, Gy, cumulative over all injections up to {result.label}"]
    if statistics.status is VolumeStatus.NOT_EVALUABLE:
        lines.append(f"not evaluable: {statistics.message or 'too few voxels can be evaluated'}")
        return "\n".join([*lines, _source(snapshot, "§2")])
    if statistics.status is VolumeStatus.LOWER_BOUND:
        why = statistics.message or "part of the volume is at the noise floor"
        lines.append(f"{dose_words(statistics)}, lower bound: {why}; the truth may be anything above")
    else:
        lines.append(f"{dose_words(statistics)}, ± is one standard uncertainty (k = 1){_interval(statistics)}")
    lines += [line for line in (_d70_line(statistics), _coverage_line(snapshot, statistics)) if line]
    point = result.trend.get(statistics.name)
    if point is not None and point.deviation_pct is not None:
        lines.append("deviation from the line: relative to the dose expected to be gained (docs/physics.md §5)")
    if statistics.warning:
        lines.append(statistics.warning)
    if statistics.budget:
        largest = sorted(statistics.budget, key=lambda term: -term.u_gy)[:_TERMS]
        told = ", ".join(
            f"{term.name} {_u(term.u_gy)} Gy ({term.share_of_variance_pct:.0f} %)" for term in largest if term.u_gy > 0
        )
        lines.append(f"largest terms of u (share of the variance): {told}")
    limit = limit_of(snapshot, statistics.name)
    if limit is not None:
        lines += ["", limit_tooltip(snapshot, result, limit), ""]
    return "\n".join([*lines, _source(snapshot, "§3 and §4")])


def recovery_tooltip(snapshot: Snapshot, result: FractionResult) -> str:
    """Of the recovery ratio."""
    lines = [
        f"Recovery: activity measured in the liver over activity injected, per cent, cumulative up to {result.label}",
        "± is one standard uncertainty (k = 1)",
    ]
    if measured_is_a_bound(result):
        lines[-1] = "voxels of the liver are at the noise floor: a lower bound, the truth may be anything above"
    elif result.recovery_interval is not None:
        low, high = (100.0 * value for value in result.recovery_interval)
        lines[-1] += f", 95 % interval {low:.0f} to {high:.0f} %"
    if result.measured_mbq is not None and result.cumulative_injected_mbq is not None:
        told = formatting.lower_bound if measured_is_a_bound(result) else formatting.with_uncertainty
        measured = told(result.measured_mbq, result.measured_u_mbq, "MBq")
        lines.append(f"measured {measured}, injected {formatting.activity(result.cumulative_injected_mbq)}")
    lines.append("band of the alarm: setting alarms.recovery_band_pct")
    return "\n".join([*lines, _source(snapshot, "§4")])


def registration_tooltip(snapshot: Snapshot, registration: Registration | None) -> str:
    """Of the registration."""
    lines = [
        "Registration to the reference: how far the patient had moved (region's centre, mm; rotation, degrees)",
        "The doses are corrected for it; it is not the error that is left",
    ]
    if registration is not None and registration.similarity is not None:
        lines.append(f"similarity {registration.similarity:.2f} (1: equal)")
    if registration is not None and registration.edge_median_mm is not None:
        edge = f"liver edge after registration: median {registration.edge_median_mm:.1f} mm"
        if registration.edge_95_mm is not None:
            edge += f", 95 % within {registration.edge_95_mm:.1f} mm"
        lines.append(edge)
    if registration is not None and registration.message:
        lines.append(registration.message)
    if registration is not None and registration.given_by:
        lines.append(f"given by {registration.given_by}")
    lines.append("gates: settings quantification.registration")
    return "\n".join([*lines, _source(snapshot, "§2")])


def _interval(statistics: VolumeStatistics) -> str:
    own = statistics.intervals.get("dose_mean_gy")
    if own is None:
        return ""
    return f"; 95 % interval {gy_like(own.low_95, own.u)} to {gy_like(own.high_95, own.u)}"


def _d70_line(statistics: VolumeStatistics) -> str:
    own = statistics.intervals.get("d70_gy")
    if statistics.d70_gy is None:
        return ""
    if statistics.status is VolumeStatus.LOWER_BOUND:
        bound = formatting.lower_bound(statistics.d70_gy, statistics.dose_mean_u_gy, "Gy")
        return f"D70 {bound}: 70 % of the volume receive at least this"
    u = own.u if own is not None else None
    words = formatting.with_uncertainty(statistics.d70_gy, u, "Gy")
    if words == formatting.NOT_KNOWN:
        words = f"{gy_like(statistics.d70_gy, statistics.dose_mean_u_gy)}, rounded like the mean"
    return f"D70 {words}: 70 % of the volume receive at least this"


def _coverage_line(snapshot: Snapshot, statistics: VolumeStatistics) -> str:
    if statistics.coverage is None or snapshot.settings is None:
        return ""
    at_gy = snapshot.settings.quantification.statistics.coverage_gy
    own = statistics.intervals.get("coverage")
    words = f"{100.0 * statistics.coverage:.0f} %"
    if statistics.status is VolumeStatus.LOWER_BOUND:
        words = f"≥ {words}"
    elif own is not None and own.u > 0:
        words = "{} ± {} %".format(*formatting.pair(100.0 * statistics.coverage, 100.0 * own.u))
    return f"cov {words}: share of the volume at {at_gy:g} Gy or more (setting quantification.statistics.coverage_Gy)"


def _u(u_gy: float) -> str:
    return formatting.decimal(u_gy, max(0, formatting.decimals_for(u_gy)))


def _source(snapshot: Snapshot, section: str) -> str:
    settings = snapshot.settings_sha256
    made_with = f"settings {settings[:8]}, " if settings else ""
    return f"source: {made_with}docs/physics.md {section}"
