"""The numbers for three metres: chosen, worded and given their states."""

from __future__ import annotations

from console.dashboard import formatting
from console.dashboard.screen_model import GlanceNumber, LimitBar, State, Tone
from console.dashboard.screen_tables import dose_words, limit_state, recovery_words, registration_words
from console.dashboard.screen_trend import series_indices
from console.snapshot import Snapshot
from quantify.findings import FractionResult, FractionStatus, RegistrationStatus, VolumeStatistics, VolumeStatus
from quantify.model import Role

# At three metres no more numbers than these are read; the others are in the table.
_GLANCE_TUMOURS = 3


def build_glance(
    snapshot: Snapshot, shown: FractionResult | None, *, last_good: FractionResult | None = None
) -> tuple[GlanceNumber, ...]:
    """The numbers for three metres: tumours, healthy liver against its limit, recovery, registration."""
    if shown is None:
        return ()
    if shown.status is FractionStatus.FAILED:
        # What was known before stays readable, under a title that calls it stale.
        earlier = last_good if last_good is not None and last_good.status is not FractionStatus.FAILED else None
        return (_failed(shown), *build_glance(snapshot, earlier))
    indices = series_indices(snapshot)
    tumours = [s for s in shown.volumes.values() if s.role is Role.TUMOUR]
    # More than fit: the flagged ones first. The order on the screen never changes: a number keeps its place.
    chosen = sorted(tumours, key=lambda s: not _flagged(shown, s.name))[:_GLANCE_TUMOURS]
    numbers = [_tumour(shown, s, indices.get(s.name)) for s in tumours if s in chosen]
    numbers += [_limited(snapshot, s, indices.get(s.name)) for s in _limited_volumes(snapshot, shown)]
    numbers.append(_recovery(snapshot, shown))
    numbers.append(_registration(shown))
    return tuple(numbers)


def _failed(result: FractionResult) -> GlanceNumber:
    state = State(sign="✕", word="failed", tone=Tone.ALERT)
    note = result.error or "cause unknown"
    return GlanceNumber(label=f"✕ {result.label}", value="FAILED", detail="", note=note, state=state, sentence=True)


def _flagged(result: FractionResult, name: str) -> bool:
    point = result.trend.get(name)
    return bool(point is not None and point.flagged)


def _split(words: str) -> tuple[str, str]:
    """``78 ± 11 Gy`` as the big and the small part."""
    value, plus_minus, rest = words.partition(" ±")
    if plus_minus:
        return value, f"±{rest}"
    value, gap, unit = words.rpartition(" ")
    return (value, unit) if gap else (words, "")


def _tumour(result: FractionResult, statistics: VolumeStatistics, index: int | None) -> GlanceNumber:
    if statistics.status is VolumeStatus.NOT_EVALUABLE:
        state = State(sign="—", word="not evaluable", tone=Tone.CAUTION)
        note = statistics.message or "not evaluable"
        return GlanceNumber(
            label=statistics.name, value="—", detail="not evaluable", note=note, state=state, series=index
        )
    value, detail = _split(dose_words(statistics))
    point = result.trend.get(statistics.name)
    state = State(sign="", word="", tone=Tone.NORMAL)
    note = ""
    if statistics.status is VolumeStatus.LOWER_BOUND:
        state, note = State(sign="≥", word="lower bound", tone=Tone.CAUTION), "lower bound"
    if point is not None and point.flagged and point.deviation_pct is not None:
        arrow = "▼" if point.direction == "below" else "▲"
        state = State(sign=arrow, word=f"{point.direction} the line", tone=Tone.CAUTION)
        note = f"{arrow} {formatting.signed(point.deviation_pct)} % from the line"
    elif point is not None and point.deviation_pct is not None and not note:
        note = f"{formatting.signed(point.deviation_pct)} % from the line"
    return GlanceNumber(label=statistics.name, value=value, detail=detail, note=note, state=state, series=index)


def _limited_volumes(snapshot: Snapshot, shown: FractionResult) -> list[VolumeStatistics]:
    """The volumes that the plan limits; without limits, the healthy liver."""
    limited = [limit.volume for limit in snapshot.plan.limits] if snapshot.plan is not None else []
    found = [shown.volumes[name] for name in dict.fromkeys(limited) if name in shown.volumes]
    return found[:2] or [s for s in shown.volumes.values() if s.role is Role.HEALTHY_LIVER][:1]


def _limited(snapshot: Snapshot, statistics: VolumeStatistics, index: int | None) -> GlanceNumber:
    value, detail = _split(dose_words(statistics))
    limits = snapshot.plan.limits if snapshot.plan is not None else ()
    limit = next((item.dose_gy for item in limits if item.volume == statistics.name), None)
    if limit is None:
        state = State(sign="○", word="no limit stated", tone=Tone.NORMAL)
        note, bar = "no limit stated", None
    else:
        state = limit_state(snapshot, statistics, statistics.name, limit)
        words = state.word.removesuffix(" the limit") if state.tone is Tone.ALERT else ""
        note, bar = f"{state.sign} {words} limit {limit:g} Gy".replace("  ", " "), None
        if statistics.dose_mean_gy is not None and statistics.dose_mean_u_gy is not None:
            bar = LimitBar(value_gy=statistics.dose_mean_gy, uncertainty_gy=statistics.dose_mean_u_gy, limit_gy=limit)
    return GlanceNumber(
        label=statistics.name, value=value, detail=detail, note=note, state=state, bar=bar, series=index
    )


def _recovery(snapshot: Snapshot, result: FractionResult) -> GlanceNumber:
    words = recovery_words(result)
    value, plus_minus, u = words.partition(" % ± ")
    outside = any(a.active and a.alarm.kind.startswith("recovery") for a in snapshot.alarms)
    state = State(sign="", word="", tone=Tone.NORMAL)
    if outside:
        state = State(sign="▲", word="outside its band", tone=Tone.CAUTION)
    detail = f"± {u} %" if plus_minus else ""
    note = state.text if outside else "of injected"
    if words == formatting.NOT_KNOWN:
        note = "needs a liver contour"
    return GlanceNumber(label="Recovery", value=value, detail=detail, note=note, state=state, dose=False)


def _registration(result: FractionResult) -> GlanceNumber:
    registration = result.registration
    words = registration_words(registration)
    if registration is None or registration.status is RegistrationStatus.NOT_NEEDED:
        return GlanceNumber(
            label="Registration",
            value="—",
            detail="",
            note=words,
            state=State(sign="○", word=words, tone=Tone.MUTED),
            dose=False,
        )
    sign, tone = {
        RegistrationStatus.OK: ("✓", Tone.GOOD),
        RegistrationStatus.WARNING: ("!", Tone.CAUTION),
        RegistrationStatus.FAILED: ("✕", Tone.ALERT),
    }[registration.status]
    shift, _, rest = words.partition(" mm, ")
    turn, _, judged = rest.partition(", ")
    state = State(sign=sign, word=registration.status.value, tone=tone)
    note = f"{sign} {judged}" if judged else f"{sign} {registration.status.value}"
    return GlanceNumber(
        label="Registration", value=shift, detail=f"mm {turn.split(' ·')[0]}", note=note, state=state, dose=False
    )
