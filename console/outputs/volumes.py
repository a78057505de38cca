"""One volume, its trend and its outlook as ``results.json`` writes them."""

from __future__ import annotations

from typing import Any

from config.base import file_key
from quantify.findings import FractionResult, TrendPoint, VolumeStatistics
from quantify.monte_carlo import Spread


def volume_row(statistics: VolumeStatistics) -> dict[str, Any]:
    """The numbers of one volume that fit into a row of a table."""
    return {
        "role": str(statistics.role),
        "volume_mL": statistics.volume_ml,
        "evaluable_fraction": statistics.evaluable_fraction,
        "status": str(statistics.status),
        "message": statistics.message,
        "warning": statistics.warning,
        "dose_mean_Gy": statistics.dose_mean_gy,
        "dose_mean_u_Gy": statistics.dose_mean_u_gy,
        "dose_sd_Gy": statistics.dose_sd_gy,
        "cv": statistics.cv,
        "d90_Gy": statistics.d90_gy,
        "d70_Gy": statistics.d70_gy,
        "d50_Gy": statistics.d50_gy,
        "tnr": statistics.tnr,
        "activity_MBq": statistics.activity_mbq,
        "activity_expanded_MBq": statistics.activity_expanded_mbq,
        "gain_Gy": statistics.gain_gy,
        "dose_normalised_Gy": statistics.dose_normalised_gy,
        "coverage": statistics.coverage,
        "bed_Gy": statistics.bed_gy,
        "partial_volume_Gy": statistics.partial_volume_gy,
    }


def volume_document(statistics: VolumeStatistics) -> dict[str, Any]:
    """The row, and what is a table or a curve of its own."""
    cold, dvh = statistics.cold, statistics.dvh
    return {
        **volume_row(statistics),
        "reasons": dict(statistics.reasons),
        "v_x": [{"dose_Gy": dose, "share": share} for dose, share in statistics.v_x],
        "cold": None
        if cold is None
        else {
            "volume_mL": cold.volume_ml,
            "share": cold.share,
            "centre_lps_mm": list(cold.centre_lps_mm),
            "touches_edge": cold.touches_edge,
        },
        "dvh": None
        if dvh is None
        else {
            "dose_Gy": [round(float(v), 3) for v in dvh.dose_gy],
            "volume_fraction": [round(float(v), 5) for v in dvh.volume_fraction],
            "volume_error": dvh.volume_error,
        },
        "intervals": {file_key(name): _spread(own) for name, own in statistics.intervals.items()},
        "budget": [
            {
                "term": term.name,
                "u_Gy": term.u_gy,
                "share_of_variance_pct": term.share_of_variance_pct,
                "correlated_with": term.correlated_with,
            }
            for term in statistics.budget
        ],
    }


def _spread(own: Spread) -> dict[str, float]:
    return {"u": own.u, "low_95": own.low_95, "high_95": own.high_95}


def trend_row(point: TrendPoint) -> dict[str, Any]:
    """The trend of one volume after one fraction, as a row."""
    interval = point.prediction_interval_gy
    return {
        "status": str(point.status),
        "message": point.message,
        "expected_Gy": point.expected_gy,
        "expected_gain_Gy": point.expected_gain_gy,
        "gain_Gy": point.gain_gy,
        "deviation_pct": point.deviation_pct,
        "deviation_Gy": point.deviation_gy,
        "flagged": point.flagged,
        "direction": point.direction,
        "prediction_interval_Gy": None if interval is None else list(interval),
        "significant": point.significant,
        "slope_Gy_per_MBq": point.slope_gy_per_mbq,
        "intercept_Gy": point.intercept_gy,
    }


def trend_document(point: TrendPoint) -> dict[str, Any]:
    """The row, and what speaks for saturation from six points on."""
    own = point.saturation
    return {
        **trend_row(point),
        "saturation": None
        if own is None
        else {
            "preferred": own.preferred,
            "delta_aicc": own.delta_aicc,
            "d_infinity_Gy": own.d_infinity_gy,
            "d_infinity_u_Gy": own.d_infinity_u_gy,
            "a_0_MBq": own.a_0_mbq,
            "a_0_u_MBq": own.a_0_u_mbq,
        },
    }


def outlook_document(result: FractionResult) -> dict[str, Any]:
    """The dose that the next planned fraction would give, and the activity left until a limit, by volume."""
    return {
        "next_fraction": {
            name: {
                "dose_Gy": own.dose_gy,
                "low_95_Gy": own.low_95_gy,
                "high_95_Gy": own.high_95_gy,
                "method": own.method,
                "message": own.message,
            }
            for name, own in result.projection.items()
        },
        "activity_left": {
            name: {"MBq": own.mbq, "method": own.method, "message": own.message}
            for name, own in result.activity_left.items()
        },
    }
