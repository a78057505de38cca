"""Words that several parts of the screen share: mean dose, recovery."""

from __future__ import annotations

from console.dashboard.screen import formatting
from console.dashboard.screen.ledger import measured_is_a_bound
from quantify.findings import (
    FractionResult,
    VolumeStatistics,
    VolumeStatus,
)


def dose_words(statistics: VolumeStatistics | None) -> str:
    """Mean dose of a volume: ``78 ± 11 Gy``, ``≥ 120 Gy``, or ``—`` where it cannot be said."""
    if statistics is None or statistics.status is VolumeStatus.NOT_EVALUABLE:
        return formatting.NOT_KNOWN
    if statistics.status is VolumeStatus.LOWER_BOUND:
        return formatting.lower_bound(statistics.dose_mean_gy, statistics.dose_mean_u_gy, "Gy")
    return formatting.with_uncertainty(statistics.dose_mean_gy, statistics.dose_mean_u_gy, "Gy")


def recovery_words(result: FractionResult) -> str:
    """``104 % ± 8``: activity measured in the liver over injected, cumulative; ``≥ 104 %`` of a lower bound."""
    if result.recovery_ratio is None or result.recovery_u is None or result.recovery_u <= 0:
        return formatting.NOT_KNOWN
    if measured_is_a_bound(result):
        return formatting.lower_bound(100.0 * result.recovery_ratio, 100.0 * result.recovery_u, "%")
    value, u = formatting.pair(100.0 * result.recovery_ratio, 100.0 * result.recovery_u)
    return f"{value} % ± {u}"
