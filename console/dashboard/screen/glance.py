"""The numbers for three metres: chosen, worded and given their states."""

from __future__ import annotations

from dataclasses import replace

from console.dashboard.screen import formatting
from console.dashboard.screen.glance_tooltips import dose_tooltip, recovery_tooltip, registration_tooltip
from console.dashboard.screen.limits import (
    activity_left_words,
    given_since,
    gy_like,
    limit_of,
    limit_state,
    told_upper_95_gy,
)
from console.dashboard.screen.model import GlanceNumber, LimitBar, State, Tone
from console.dashboard.screen.remembered import by_identity
from console.dashboard.screen.trend import series_indices
from console.dashboard.screen.words import dose_words, recovery_words
from console.snapshot import Snapshot
from quantify.findings import (
    Alarm,
    FractionResult,
    FractionStatus,
    RegistrationStatus,
    VolumeStatistics,
    VolumeStatus,
)
from quantify.model import Role

# At three metres no more than six numbers are read: recovery, registration and these; the others are in the table.
_DOSES = 4
_LIMITED = 2


@by_identity()
def build_glance(
    snapshot: Snapshot, shown: FractionResult | None, *, last_good: FractionResult | None = None
) -> tuple[GlanceNumber, ...]:
    """The numbers for three metres: tumours, limited volumes, recovery, registration; six at most, always in order."""
    if shown is None:
        return ()
    if shown.status is FractionStatus.FAILED:
        # What was known before stays readable, under a title that calls it stale.
        earlier = last_good if last_good is not None and last_good.status is not FractionStatus.FAILED else None
        return (_failed(shown), *build_glance(snapshot, earlier))
    indices = series_indices(snapshot)
    limited = _limited_volumes(snapshot, shown)
    tumours = [s for s in shown.volumes.values() if s.role is Role.TUMOUR]
    over = sum(_limit_tone(snapshot, s) is Tone.ALERT for s in limited)
    places = min(len(limited), max(min(max(over, 1), _LIMITED), _DOSES - len(tumours)))
    kept = sorted(limited, key=lambda s: _limit_tone(snapshot, s) is not Tone.ALERT)[:places]
    chosen = sorted(tumours, key=lambda s: not _urgent(snapshot, shown, s))[: _DOSES - places]
    # The order on the screen is the plan's, whatever is chosen: a number keeps its place.
    numbers = [_tumour(snapshot, shown, s, indices.get(s.name)) for s in tumours if s in chosen]
    numbers = [replace(n, expendable=_expendable(n, k)) for k, n in enumerate(numbers, start=1)]
    numbers += [_limited(snapshot, shown, s, indices.get(s.name)) for s in limited if s in kept]
    out = tuple(s.name for s in (*tumours, *limited) if s not in chosen and s not in kept)
    if numbers and out:
        numbers[-1] = replace(numbers[-1], left_out=out)
    if not numbers:
        numbers = [_no_doses(shown)]
    return (*numbers, _recovery(snapshot, shown), _registration(snapshot, shown))


def _no_doses(result: FractionResult) -> GlanceNumber:
    state = State(sign="—", word="no doses", tone=Tone.CAUTION)
    note = "no tumour and no healthy liver among the volumes received" if result.volumes else "no volumes of interest"
    return GlanceNumber(label=f"— {result.label}", value="NO DOSES", detail="", note=note, state=state, sentence=True)


def _urgent(snapshot: Snapshot, result: FractionResult, statistics: VolumeStatistics) -> bool:
    """Flagged by the trend, or over a limit of its own."""
    point = result.trend.get(statistics.name)
    flagged = point is not None and bool(point.flagged)
    return flagged or _limit_tone(snapshot, statistics) is Tone.ALERT


def _limit_tone(snapshot: Snapshot, statistics: VolumeStatistics) -> Tone:
    limit = limit_of(snapshot, statistics.name)
    return Tone.NORMAL if limit is None else limit_state(statistics, limit.dose_gy).tone


def _expendable(number: GlanceNumber, place: int) -> int:
    """A tumour that nothing is wrong with may give way, the last one first; one without a number before all."""
    if number.value == formatting.NOT_KNOWN:
        return 100 + place
    return 0 if number.state.tone is not Tone.NORMAL else place


def _failed(result: FractionResult) -> GlanceNumber:
    state = State(sign="✕", word="failed", tone=Tone.ALERT)
    note = result.error or "cause unknown"
    return GlanceNumber(label=f"✕ {result.label}", value="FAILED", detail="", note=note, state=state, sentence=True)


def _big_and_small(statistics: VolumeStatistics) -> tuple[str, str]:
    """``78 ± 11 Gy`` as the big and the small part; what there is no number for in words."""
    words = dose_words(statistics)
    if words == formatting.NOT_KNOWN:
        evaluable = statistics.status is not VolumeStatus.NOT_EVALUABLE
        return words, "uncertainty not known" if evaluable else "not evaluable"
    # At this size a whole space would part the sign from its number too far.
    value, plus_minus, rest = words.replace("≥ ", f"≥{formatting.THIN}").partition(" ±")
    if plus_minus:
        return value, f"±{rest}"
    value, _, unit = value.rpartition(" ")
    return value, unit


def _tumour(
    snapshot: Snapshot, result: FractionResult, statistics: VolumeStatistics, index: int | None
) -> GlanceNumber:
    tooltip = dose_tooltip(snapshot, result, statistics)
    if statistics.status is VolumeStatus.NOT_EVALUABLE:
        state = State(sign="—", word="not evaluable", tone=Tone.CAUTION)
        return GlanceNumber(
            label=statistics.name,
            value=formatting.NOT_KNOWN,
            detail="not evaluable",
            note=statistics.message or "not evaluable",
            state=state,
            series=index,
            tooltip=tooltip,
        )
    value, detail = _big_and_small(statistics)
    state, note = _tumour_state(snapshot, result, statistics)
    return GlanceNumber(
        label=statistics.name,
        value=value,
        detail=detail,
        note=note,
        state=state,
        small=_small(statistics),
        tooltip=tooltip,
        series=index,
    )


def _tumour_state(snapshot: Snapshot, result: FractionResult, statistics: VolumeStatistics) -> tuple[State, str]:
    limit, point = limit_of(snapshot, statistics.name), result.trend.get(statistics.name)
    if limit is not None:
        state = limit_state(statistics, limit.dose_gy)
        if state.tone is Tone.ALERT:
            return state, f"{state.text.removesuffix(' the limit')} limit {limit.dose_gy:g} Gy"
    deviation = "" if point is None or point.deviation_pct is None else f"{formatting.signed(point.deviation_pct)} %"
    lower = statistics.status is VolumeStatus.LOWER_BOUND
    if point is not None and point.flagged and deviation:
        arrow = "▼" if point.direction == "below" else "▲"
        state = State(sign=arrow, word=f"{point.direction} the line", tone=Tone.CAUTION)
        return state, f"{arrow} {deviation} from the line{', ≥ lower bound' if lower else ''}"
    if lower:
        return State(sign="≥", word="lower bound", tone=Tone.CAUTION), "≥ lower bound"
    return State(sign="", word="", tone=Tone.NORMAL), f"{deviation} from the line" if deviation else ""


def _small(statistics: VolumeStatistics) -> str:
    """``D70 128 Gy · cov 83 %``, rounded like the mean; at the noise floor both are bounds from below."""
    u = statistics.dose_mean_u_gy
    if u is None or not formatting.known(u) or u <= 0:
        return ""
    sign = f"≥{formatting.THIN}" if statistics.status is VolumeStatus.LOWER_BOUND else ""
    parts = []
    if statistics.d70_gy is not None:
        parts.append(f"D70 {sign}{gy_like(statistics.d70_gy, u)}")
    if statistics.coverage is not None:
        parts.append(f"cov {sign}{100.0 * statistics.coverage:.0f} %")
    return " · ".join(parts)


def _limited_volumes(snapshot: Snapshot, shown: FractionResult) -> list[VolumeStatistics]:
    """The volumes but tumours that the plan limits; without limits, the healthy liver."""
    limited = [limit.volume for limit in snapshot.plan.limits] if snapshot.plan is not None else []
    found = [shown.volumes[name] for name in dict.fromkeys(limited) if name in shown.volumes]
    normal = [s for s in found if s.role is not Role.TUMOUR]
    return normal or [s for s in shown.volumes.values() if s.role is Role.HEALTHY_LIVER][:1]


def _limited(
    snapshot: Snapshot, result: FractionResult, statistics: VolumeStatistics, index: int | None
) -> GlanceNumber:
    value, detail = _big_and_small(statistics)
    limit = limit_of(snapshot, statistics.name)
    upper, u, bar = told_upper_95_gy(statistics), statistics.dose_mean_u_gy, None
    left = activity_left_words(snapshot, result, statistics.name)
    small = [f"95 % ≤ {gy_like(upper, u)}"] if upper is not None and value != formatting.NOT_KNOWN else []
    if limit is None:
        state = State(sign="○", word="no limit stated", tone=Tone.NORMAL)
        note = "no limit stated"
    else:
        state = limit_state(statistics, limit.dose_gy)
        words = state.word.removesuffix(" the limit") if state.tone is not Tone.GOOD else ""
        note = f"{state.sign} {words} limit {limit.dose_gy:g} Gy".replace("  ", " ")
        # Over the limit none is left; that it was counted before an injection has no room here.
        told = left and state.tone is not Tone.ALERT and not given_since(snapshot, result)
        small += [left] if told else []
        if statistics.dose_mean_gy is not None and u is not None:
            bar = LimitBar(
                value_gy=statistics.dose_mean_gy,
                uncertainty_gy=0.0 if statistics.status is VolumeStatus.LOWER_BOUND else u,
                limit_gy=limit.dose_gy,
                upper_95_gy=upper,
            )
    return GlanceNumber(
        label=statistics.name,
        value=value,
        detail=detail,
        note=note,
        state=state,
        small=" · ".join(small),
        tooltip=dose_tooltip(snapshot, result, statistics),
        bar=bar,
        series=index,
    )


def _recovery(snapshot: Snapshot, result: FractionResult) -> GlanceNumber:
    words = recovery_words(result)
    value, plus_minus, u = words.partition(" % ± ")
    if words.startswith("≥"):
        value, plus_minus, u = words.removesuffix(" %").replace("≥ ", f"≥{formatting.THIN}"), "", ""
    outside = any(
        raised.active and raised.alarm.kind.startswith("recovery") and _concerns(raised.alarm, result)
        for raised in snapshot.alarms
    )
    state = State(sign="", word="", tone=Tone.NORMAL)
    if outside:
        state = State(sign="▲", word="outside its band", tone=Tone.CAUTION)
    note = state.text if outside else "of injected"
    if words == formatting.NOT_KNOWN:
        note = "needs a liver contour" if result.measured_mbq is None else "activity injected not known"
    return GlanceNumber(
        label="Recovery",
        value=value,
        detail=f"± {u} %" if plus_minus else "%" if words.startswith("≥") else "",
        note=note,
        state=state,
        tooltip=recovery_tooltip(snapshot, result),
        dose=False,
    )


def _concerns(alarm: Alarm, result: FractionResult) -> bool:
    return alarm.fraction is None or (alarm.position, alarm.fraction) == result.key


def _registration(snapshot: Snapshot, result: FractionResult) -> GlanceNumber:
    registration = result.registration
    sign, tone = {
        None: ("○", Tone.MUTED),
        RegistrationStatus.NOT_NEEDED: ("○", Tone.MUTED),
        RegistrationStatus.OK: ("✓", Tone.GOOD),
        RegistrationStatus.WARNING: ("!", Tone.CAUTION),
        RegistrationStatus.FAILED: ("✕", Tone.ALERT),
    }[None if registration is None else registration.status]
    word = "not known" if registration is None else registration.status.value.replace("_", " ")
    number = GlanceNumber(
        label="Registration",
        value=formatting.NOT_KNOWN,
        detail="",
        note=f"{sign} {word}",
        state=State(sign=sign, word=word, tone=tone),
        tooltip=registration_tooltip(snapshot, registration),
        dose=False,
    )
    if registration is None or registration.status is RegistrationStatus.NOT_NEEDED:
        return number
    # What is large is how far the patient had moved, not the error that is left.
    corrected = "" if registration.status is RegistrationStatus.FAILED else " · shift corrected"
    return replace(
        number,
        value=f"{registration.shift_mm:.1f}",
        detail=f"mm {registration.turn_deg:.1f}°",
        note=f"{sign} {word}{corrected}",
    )
