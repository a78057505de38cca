"""From what is known to what is drawn: a pure function without Qt, clock or arithmetic on doses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from config.settings import DisplaySettings, Settings
from console.dashboard import formatting
from console.dashboard.event_words import events_table
from console.dashboard.screen_alarms import alarm_summary, alarms_table
from console.dashboard.screen_dvh import build_dvh
from console.dashboard.screen_glance import build_glance
from console.dashboard.screen_guide import build_guide
from console.dashboard.screen_images import build_planes, chosen_voxel
from console.dashboard.screen_legend import build_legend
from console.dashboard.screen_model import (
    Badge,
    Cell,
    Header,
    LayersOn,
    Screen,
    State,
    Tone,
)
from console.dashboard.screen_news import Announcement, build_news
from console.dashboard.screen_next import build_next
from console.dashboard.screen_probe import build_probe
from console.dashboard.screen_tables import (
    fractions_table,
    holmium_series_arriving,
    ledger_table,
    limits_table,
    series_table,
    volumes_table,
)
from console.dashboard.screen_trend import build_trend, series_indices
from console.dashboard.view import ViewState
from console.snapshot import Mode, Snapshot
from quantify.findings import FractionResult, FractionStatus

_MODE_WORDS = {
    Mode.LIVE: "LIVE",
    Mode.REPLAY: "REPLAY — not live",
    Mode.DEMO: "DEMO — simulated, not live",
}
_DISPLAY = Settings().display
"""As shipped."""
_VIEW = ViewState()


def build_screen(
    snapshot: Snapshot,
    view: ViewState,
    *,
    now: datetime | None,
    mode: Mode,
    news: Announcement | None = None,
    display: DisplaySettings = _DISPLAY,
    status: Sequence[str] = (),
) -> Screen:
    """Everything that the window shows of a treatment.

    Parameters
    ----------
    now
        The time on the wall, or in replay that of the recording; None: no age is shown.
    news
        What changed last, and when (`screen_news.announced`).
    display
        Dose levels and colours of this site.
    status
        What the shell knows of the machine (listener, disk), one short sentence each.
    """
    now = in_the_room(snapshot, now)
    shown = shown_result(snapshot, view)
    legend = build_legend(display, view)
    images = _images_result(snapshot, view, shown)
    planes = build_planes(snapshot, view, images, legend, series_indices(snapshot))
    voxel = chosen_voxel(snapshot, view)
    badge = build_badge(snapshot, images, view=view, display=display, now=now)
    return Screen(
        header=_header(snapshot, now, mode),
        guide=build_guide(snapshot),
        news=build_news(snapshot, news, now=now),
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
        layers=LayersOn(
            wash=view.wash,
            isodose=view.isodose,
            volumes=view.volumes,
            quantity=view.quantity,
            compare=view.compare,
            flicker=view.flicker is not None,
            probe=view.probe,
        ),
        probe=build_probe(snapshot, view, images),
        glance_title=_glance_title(images, badge),
        glance=build_glance(snapshot, shown, last_good=images),
        next=build_next(snapshot, shown),
        trend=build_trend(snapshot, shown),
        dvh=build_dvh(snapshot, shown),
        volumes=volumes_table(snapshot, shown),
        details=view.details,
        alarms=alarms_table(snapshot, now),
        unacknowledged=tuple(a.alarm.id for a in snapshot.alarms if a.acknowledged_by is None),
        alarm_summary=alarm_summary(snapshot),
        events=events_table(snapshot.events, now=now),
        status=_status(snapshot, status),
    )


def in_the_room(snapshot: Snapshot, now: datetime | None) -> datetime | None:
    """`now` on the treatment's own clock: the plan's time zone, so that no two clocks stand on one screen."""
    if now is None or now.tzinfo is None or snapshot.plan is None:
        return now
    return now.astimezone(ZoneInfo(snapshot.plan.time_zone))


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
    view: ViewState = _VIEW,
    display: DisplaySettings = _DISPLAY,
    now: datetime | None,
) -> Badge:
    """Which result the images show and why it may no longer stand for the patient.

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
    why = _stale_because(snapshot, result, now, display.stale_after_s)
    if why:
        state = State(sign="▨", word="STALE", tone=Tone.CAUTION)
        return Badge(text=f"▨ STALE: {why} · {text}", state=state, stale=True)
    if snapshot.results and result.key != snapshot.results[-1].key:
        state = State(sign="◂", word="EARLIER", tone=Tone.CAUTION)
        return Badge(text=f"◂ EARLIER: latest is {snapshot.results[-1].label} · {text}", state=state, stale=True)
    if result.status is FractionStatus.PROVISIONAL:
        return Badge(text=f"{text} · ! provisional", state=State(sign="!", word="provisional", tone=Tone.CAUTION))
    return Badge(text=f"✓ {text}", state=State(sign="✓", word="current", tone=Tone.GOOD))


def _stale_because(snapshot: Snapshot, result: FractionResult, now: datetime | None, limit_s: float) -> str:
    keys = [injection.key for injection in snapshot.injections]
    later = snapshot.injections[keys.index(result.key) + 1 :] if result.key in keys else ()
    newer = [injection for injection in later if injection.time is not None]
    if newer:
        return f"{newer[-1].label} injected since"
    if snapshot.results_settings_sha256 not in ("", snapshot.settings_sha256):
        return "settings changed since"
    if holmium_series_arriving(snapshot) is not None:
        return "newer series arriving"
    if now is not None and result.acquired_at is not None and now - result.acquired_at > timedelta(seconds=limit_s):
        return f"older than {limit_s / 60:.0f} min"
    return ""


def _glance_title(shown: FractionResult | None, badge: Badge) -> Cell:
    """Which fraction the big numbers belong to, and whether it is still the patient's state."""
    if shown is None:
        return Cell(text="AT A GLANCE")
    if badge.stale:
        return Cell(text=f"{badge.state.text} · after {shown.label} · ± k = 1", tone=Tone.CAUTION)
    return Cell(text=f"after {shown.label} · ± one standard uncertainty", tone=Tone.MUTED)


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
    cells += [Cell(text=remark, tone=Tone.MUTED) for remark in snapshot.structure_remarks]
    reference = snapshot.reference
    if reference is not None:
        elsewhere = [v.name for v in snapshot.volumes if v.grid.shape != reference.grid.shape]
        cells += [
            Cell(text=f"! {name} is not on the reference grid: not drawn", tone=Tone.CAUTION) for name in elsewhere
        ]
    return tuple(cells)
