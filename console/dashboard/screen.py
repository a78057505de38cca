"""From what is known to what is drawn: a pure function without Qt, clock or arithmetic on doses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from console.dashboard import formatting
from console.dashboard.event_words import events_table
from console.dashboard.screen_guide import build_guide
from console.dashboard.screen_images import build_planes, chosen_voxel, probe_words
from console.dashboard.screen_model import (
    Badge,
    Cell,
    DoseLegend,
    GlanceNumber,
    Header,
    LayersOn,
    LimitBar,
    Screen,
    State,
    Tone,
)
from console.dashboard.screen_tables import (
    alarm_summary,
    alarms_table,
    dose_words,
    fractions_table,
    holmium_series_arriving,
    ledger_table,
    limit_state,
    limits_table,
    recovery_words,
    registration_words,
    series_table,
    volumes_table,
)
from console.dashboard.screen_trend import build_trend, series_indices
from console.dashboard.view import ViewState
from console.snapshot import Mode, Snapshot
from quantify.model import (
    FractionResult,
    FractionStatus,
    RegistrationStatus,
    Role,
    VolumeStatistics,
    VolumeStatus,
)

_MODE_WORDS = {
    Mode.LIVE: "LIVE",
    Mode.REPLAY: "REPLAY — not live",
    Mode.DEMO: "DEMO — simulated, not live",
}
# At three metres no more numbers than these are read; the others are in the table.
_GLANCE_TUMOURS = 3
# As in the shipped settings; used only until the treatment's own are known.
_LEGEND = DoseLegend(
    maximum_gy=150.0, threshold_gy=10.0, levels_gy=(20.0, 50.0, 80.0, 100.0, 120.0, 150.0), colour_map="inferno"
)
_STALE_AFTER_S = 1800.0


def build_screen(
    snapshot: Snapshot,
    view: ViewState,
    *,
    now: datetime | None,
    mode: Mode,
    maps_settings_sha256: str = "",
    status: Sequence[str] = (),
) -> Screen:
    """Everything that the window shows of a treatment.

    Parameters
    ----------
    now
        The time on the wall, or in replay that of the recording; None: no age is shown.
    maps_settings_sha256
        Hash of the settings that made the maps on the screen, where known; another than the snapshot's: stale.
    status
        What the shell knows of the machine (listener, disk), one short sentence each.
    """
    shown = shown_result(snapshot, view)
    legend = _legend(snapshot)
    images = _images_result(snapshot, view, shown)
    planes = build_planes(snapshot, view, images, legend, series_indices(snapshot))
    voxel = chosen_voxel(snapshot, view)
    badge = build_badge(snapshot, images, now=now, maps_settings_sha256=maps_settings_sha256)
    return Screen(
        header=_header(snapshot, now, mode),
        guide=build_guide(snapshot),
        fractions=fractions_table(snapshot, shown),
        ledger=ledger_table(snapshot, shown),
        limits=limits_table(snapshot, shown),
        series=series_table(snapshot),
        badge=badge,
        planes=planes,
        voxel=voxel,
        crosshairs_mm=tuple(plane.geometry.place_mm(voxel) for plane in planes),
        images_message="" if planes else "waiting for the reference series: no image yet",
        legend=legend,
        layers=LayersOn(wash=view.wash, isodose=view.isodose, volumes=view.volumes),
        probe=probe_words(snapshot, view, images),
        glance_title=_glance_title(images, badge),
        glance=build_glance(snapshot, shown, last_good=images),
        trend=build_trend(snapshot, shown),
        volumes=volumes_table(snapshot, shown),
        alarms=alarms_table(snapshot, now),
        unacknowledged=tuple(a.alarm.id for a in snapshot.alarms if a.acknowledged_by is None),
        alarm_summary=alarm_summary(snapshot),
        events=events_table(snapshot.events, now=now),
        status=_status(snapshot, status),
    )


def shown_result(snapshot: Snapshot, view: ViewState) -> FractionResult | None:
    """The result of the chosen fraction; without a choice, the latest."""
    chosen = next((r for r in snapshot.results if r.key == view.selected), None)
    return chosen or (snapshot.results[-1] if snapshot.results else None)


def _images_result(snapshot: Snapshot, view: ViewState, shown: FractionResult | None) -> FractionResult | None:
    """Whose dose map is drawn: the chosen fraction's; when the latest has none, the last one that has (then stale)."""
    if shown is None or shown.maps is not None or view.selected is not None:
        return shown
    return next((r for r in reversed(snapshot.results) if r.maps is not None), shown)


def build_badge(
    snapshot: Snapshot,
    result: FractionResult | None,
    *,
    now: datetime | None,
    maps_settings_sha256: str = "",
) -> Badge:
    """Which result the images show and why it may no longer stand for the patient (hazard 4).

    It starts with ``STALE`` after a newer injection, while a newer series arrives, after a change of settings and
    past the age limit.
    """
    if result is None:
        return Badge(text="no dose yet", state=State(sign="○", word="no dose yet", tone=Tone.MUTED))
    text = f"after {result.label}"
    if result.acquired_at is not None:
        text += f" · {formatting.clock(result.acquired_at)}"
        if now is not None:
            text += f" · age {formatting.age(now - result.acquired_at)}"
    if result.maps is None:
        why = result.error or "no dose map"
        state = State(sign="✕", word=f"no dose map: {why}", tone=Tone.ALERT)
        return Badge(text=f"{text} · {state.text}", state=state)
    why = _stale_because(snapshot, result, now, maps_settings_sha256)
    if why:
        state = State(sign="▨", word="STALE", tone=Tone.CAUTION)
        return Badge(text=f"▨ STALE: {why} · {text}", state=state, stale=True)
    if snapshot.results and result.key != snapshot.results[-1].key:
        state = State(sign="◂", word="EARLIER", tone=Tone.CAUTION)
        return Badge(text=f"◂ EARLIER: latest is {snapshot.results[-1].label} · {text}", state=state, stale=True)
    if result.status is FractionStatus.PROVISIONAL:
        return Badge(text=f"{text} · ! provisional", state=State(sign="!", word="provisional", tone=Tone.CAUTION))
    return Badge(text=f"✓ {text}", state=State(sign="✓", word="current", tone=Tone.GOOD))


def _stale_because(snapshot: Snapshot, result: FractionResult, now: datetime | None, maps_settings_sha256: str) -> str:
    keys = [injection.key for injection in snapshot.injections]
    later = snapshot.injections[keys.index(result.key) + 1 :] if result.key in keys else ()
    newer = [injection for injection in later if injection.time is not None]
    if newer:
        return f"{newer[-1].label} injected since"
    if maps_settings_sha256 and maps_settings_sha256 != snapshot.settings_sha256:
        return "settings changed since"
    if holmium_series_arriving(snapshot) is not None:
        return "newer series arriving"
    limit = snapshot.settings.display.stale_after_s if snapshot.settings is not None else _STALE_AFTER_S
    if now is not None and result.acquired_at is not None and now - result.acquired_at > timedelta(seconds=limit):
        return f"older than {limit / 60:.0f} min"
    return ""


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


def _glance_title(shown: FractionResult | None, badge: Badge) -> Cell:
    """Which fraction the big numbers belong to, and whether it is still the patient's state."""
    if shown is None:
        return Cell(text="AT A GLANCE")
    if badge.stale:
        return Cell(text=f"{badge.state.text} · after {shown.label} · ± k = 1", tone=Tone.CAUTION)
    return Cell(text=f"after {shown.label} · ± one standard uncertainty", tone=Tone.MUTED)


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
        note, bar = f"{state.sign} limit {limit:g} Gy", None
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


def _header(snapshot: Snapshot, now: datetime | None, mode: Mode) -> Header:
    details = [f"ID {snapshot.patient_id}" if snapshot.patient_id else "ID not known"]
    details.append(f"born {snapshot.patient_birth_date}" if snapshot.patient_birth_date else "birth date not known")
    if snapshot.patient_sex:
        details.append(snapshot.patient_sex)
    return Header(
        patient=snapshot.patient_name.replace("^", " ").strip() or "NAME NOT KNOWN",
        patient_details=" · ".join(details),
        mode=mode,
        mode_words=_MODE_WORDS[mode],
        clock=now.strftime("%H:%M:%S") if now is not None else "--:--:--",
        clock_note="" if now is None else now.strftime("%Y-%m-%d UTC%z"),
    )


def _legend(snapshot: Snapshot) -> DoseLegend:
    if snapshot.settings is None:
        return _LEGEND
    display = snapshot.settings.display
    levels = tuple(sorted(float(level) for level in display.isodose_levels_gy))
    return DoseLegend(
        maximum_gy=float(display.dose_maximum_gy),
        threshold_gy=levels[0] / 2.0 if levels else float(display.dose_maximum_gy) / 20.0,
        levels_gy=levels,
        colour_map=str(display.colour_map),
    )


def _status(snapshot: Snapshot, machine: Sequence[str]) -> tuple[Cell, ...]:
    cells = [Cell(text=words) for words in machine]
    if snapshot.head_seq:
        cells.append(
            Cell(
                text=f"record #{snapshot.head_seq} {snapshot.head_hash[:8]}",
                tone=Tone.MUTED,
                tooltip=snapshot.head_hash,
            )
        )
    if snapshot.settings_sha256:
        settings = snapshot.settings_sha256
        cells.append(Cell(text=f"settings {settings[:8]}", tone=Tone.MUTED, tooltip=settings))
    if snapshot.computing:
        cells.append(Cell(text=f"● computing: {snapshot.computing}", tone=Tone.ACTIVE))
    cells += [Cell(text=f"! {fault}", tone=Tone.CAUTION) for fault in snapshot.structure_faults]
    reference = snapshot.reference
    if reference is not None:
        elsewhere = [v.name for v in snapshot.volumes if v.grid.shape != reference.grid.shape]
        cells += [
            Cell(text=f"! {name} is not on the reference grid: not drawn", tone=Tone.CAUTION) for name in elsewhere
        ]
    return tuple(cells)
