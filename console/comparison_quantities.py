"""What is compared of a fraction and of a volume: each quantity with its name in files, its unit and its value."""

from __future__ import annotations

from dataclasses import dataclass

from config.base import file_key
from quantify.difference import Difference, difference
from quantify.findings import FractionResult, FractionStatus, TrendPoint, TrendStatus, VolumeStatistics, VolumeStatus
from quantify.model import Role

ABSENT, FAILED, BOUND, NOT_EVALUABLE, WITHHELD = "absent", "failed", "a lower bound", "not evaluable", "withheld"
UNKNOWN_ACTIVITY = "no known injected activity"


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """What is compared. ``key`` is its name in ``results.json``, whose unit times ``factor`` is ``unit``."""

    key: str
    name: str
    unit: str = ""
    factor: float = 1.0
    worded: bool = False
    """A status: compared as words, there is no number."""


@dataclass(frozen=True, kw_only=True)
class Value:
    """One side of a row, in the unit of the results."""

    number: float | None = None
    u: float | None = None
    """Standard uncertainty (k = 1); None where it is not known."""
    bound: bool = False
    """Whether the truth may be anything above."""
    words: str = ""
    """What is told beside the number, or in its place."""
    why: str = ""
    """Why no difference can be made of it; empty where one can."""


STATUS = Quantity(key="status", name="status", worded=True)
MEAN = Quantity(key="dose_mean_Gy", name="mean dose", unit="Gy")
MEASURED = Quantity(key="measured_MBq", name="measured activity", unit="MBq")
RECOVERY = Quantity(key="recovery_ratio", name="recovery", unit="%", factor=100.0)
COVERAGE = Quantity(key="coverage", name="coverage", unit="%", factor=100.0)
TNR = Quantity(key="tnr", name="T/N")
TREND = Quantity(key="trend_deviation_pct", name="trend deviation", unit="%")
PER_INJECTED = Quantity(key="dose_mean_per_injected_Gy_per_GBq", name="mean dose per injected", unit="Gy/GBq")

FRACTION_QUANTITIES = (
    STATUS,
    Quantity(key="cumulative_injected_MBq", name="injected, cumulative", unit="MBq"),
    MEASURED,
    RECOVERY,
)
VOLUME_QUANTITIES = (
    STATUS,
    MEAN,
    Quantity(key="d70_Gy", name="D70", unit="Gy"),
    Quantity(key="d90_Gy", name="D90", unit="Gy"),
    Quantity(key="d50_Gy", name="D50", unit="Gy"),
    COVERAGE,
    TNR,
    Quantity(key="activity_MBq", name="activity", unit="MBq"),
    Quantity(key="volume_mL", name="volume", unit="mL"),
    Quantity(key="evaluable_fraction", name="evaluable part", unit="%", factor=100.0),
    TREND,
)
_OF_TUMOURS = (COVERAGE, TNR)
_GEOMETRY = ("volume_mL", "evaluable_fraction")
"""Known of a volume whatever its dose is worth."""
_SINGULAR = {FAILED: FAILED, UNKNOWN_ACTIVITY: f"has {UNKNOWN_ACTIVITY}"}
_PLURAL = {FAILED: FAILED, UNKNOWN_ACTIVITY: f"have {UNKNOWN_ACTIVITY}", BOUND: "are lower bounds"}
_STATUS_WORDS = {
    VolumeStatus.OK: "evaluable",
    VolumeStatus.LOWER_BOUND: BOUND,
    VolumeStatus.NOT_EVALUABLE: NOT_EVALUABLE,
}
_TREND_WORDS = {
    TrendStatus.TOO_FEW_POINTS: "too few points",
    TrendStatus.FIT: "of the line itself",
    TrendStatus.NOT_TESTABLE: "not testable",
    TrendStatus.NOT_EVALUABLE: NOT_EVALUABLE,
}
_PYTHON_NAMES = {
    file_key(name): name
    for name in (
        *("dose_mean_gy", "d70_gy", "d90_gy", "d50_gy", "coverage", "tnr", "activity_mbq", "volume_ml"),
        *("evaluable_fraction", "cumulative_injected_mbq", "measured_mbq", "recovery_ratio"),
    )
}


def is_told_of(quantity: Quantity, role: Role) -> bool:
    """Whether a volume of that role has the quantity at all."""
    return role is Role.TUMOUR or quantity not in _OF_TUMOURS


def of_fraction(result: FractionResult | None, quantity: Quantity) -> Value:
    """The value of a fraction, or why it has none."""
    if result is None:
        return Value(words=ABSENT, why=ABSENT)
    if quantity.worded:
        return Value(words=_fraction_words(result))
    number: float | None = getattr(result, _PYTHON_NAMES[quantity.key])
    if quantity not in (MEASURED, RECOVERY):
        return Value(number=number)
    u = result.measured_u_mbq if quantity is MEASURED else result.recovery_u
    bound = any(v.role is Role.LIVER and v.status is VolumeStatus.LOWER_BOUND for v in result.volumes.values())
    return _value(number, u, bound=bound, failed=result.status is FractionStatus.FAILED)


def of_volume(result: FractionResult | None, name: str, quantity: Quantity) -> Value:
    """The value of a volume after a fraction, or why it has none."""
    if result is None:
        return Value(words=ABSENT, why=ABSENT)
    own = result.volumes.get(name)
    if own is None:
        word = FAILED if result.status is FractionStatus.FAILED else ABSENT
        return Value(words=word, why=word)
    if quantity.worded:
        return Value(words=_volume_words(own))
    if quantity is TREND:
        return _trend_value(result.trend.get(name), own)
    if quantity is PER_INJECTED:
        return _per_injected(result, own)
    number: float | None = getattr(own, _PYTHON_NAMES[quantity.key])
    if quantity.key in _GEOMETRY:
        return Value(number=number)
    if own.status is VolumeStatus.NOT_EVALUABLE:
        return Value(words=NOT_EVALUABLE, why=NOT_EVALUABLE)
    return _value(number, _u(own, _PYTHON_NAMES[quantity.key]), bound=own.status is VolumeStatus.LOWER_BOUND)


def value_difference(a: Value, b: Value) -> Difference:
    """B − A; none, with the reason, where one of them is a lower bound, absent or not known."""
    if a.why and a.why == b.why:
        return Difference(why="A and B " + _PLURAL.get(a.why, f"are {a.why}"))
    if a.why or b.why:
        whys = (("A", a.why), ("B", b.why))
        return Difference(why=" and ".join(f"{side} {_SINGULAR.get(why, f'is {why}')}" for side, why in whys if why))
    return difference(a.number, b.number, a.u, b.u)


def _value(number: float | None, u: float | None, *, bound: bool, failed: bool = False) -> Value:
    if number is None:
        word = FAILED if failed else WITHHELD
        return Value(words=word, why=word)
    return Value(number=number, u=u, bound=bound, why=BOUND if bound else "")


def _u(own: VolumeStatistics, name: str) -> float | None:
    if name == "dose_mean_gy":
        return own.dose_mean_u_gy
    interval = own.intervals.get(name)
    return None if interval is None else interval.u


def _per_injected(result: FractionResult, own: VolumeStatistics) -> Value:
    """Mean dose over all that was injected up to here [Gy/GBq]; its u is the dose's alone."""
    mean = of_volume(result, own.name, MEAN)
    injected = result.cumulative_injected_mbq
    if mean.number is None:
        return mean
    if injected is None or injected <= 0:
        return Value(words=UNKNOWN_ACTIVITY, why=UNKNOWN_ACTIVITY)
    per_gbq = 1000.0 / injected
    return Value(
        number=mean.number * per_gbq, u=None if mean.u is None else mean.u * per_gbq, bound=mean.bound, why=mean.why
    )


def _trend_value(point: TrendPoint | None, own: VolumeStatistics) -> Value:
    if point is None:
        return Value()
    if point.deviation_pct is None or point.flagged is None:
        word = _TREND_WORDS.get(point.status, "not tested")
        return Value(words=word, why=BOUND if own.status is VolumeStatus.LOWER_BOUND else word)
    return Value(number=point.deviation_pct, words="flagged" if point.flagged else "not flagged")


def _fraction_words(result: FractionResult) -> str:
    match result.status:
        case FractionStatus.FAILED:
            return f"{FAILED}: {result.error}" if result.error else FAILED
        case FractionStatus.PROVISIONAL:
            return f"provisional: {'; '.join(result.provisional_reasons) or 'see the ledger'}"
        case _:
            return "ok"


def _volume_words(own: VolumeStatistics) -> str:
    why = own.message if own.status is not VolumeStatus.OK else ""
    words = f"{_STATUS_WORDS[own.status]}: {why}" if why else _STATUS_WORDS[own.status]
    return f"{words}; {own.warning}" if own.warning else words
