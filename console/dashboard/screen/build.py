"""From what is known to what is drawn: a pure function without Qt, clock or arithmetic on doses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from config.settings import DisplaySettings, Settings
from console.dashboard.screen.alarms import alarm_summary, alarms_table
from console.dashboard.screen.badge import build_badge, is_unconfirmed
from console.dashboard.screen.dvh import build_dvh
from console.dashboard.screen.events import events_table
from console.dashboard.screen.fractions import fractions_table
from console.dashboard.screen.glance import build_glance
from console.dashboard.screen.guide import build_guide
from console.dashboard.screen.header import build_header
from console.dashboard.screen.images import build_planes, chosen_voxel
from console.dashboard.screen.ledger import ledger_table
from console.dashboard.screen.legend import build_legend
from console.dashboard.screen.limits import limits_table
from console.dashboard.screen.model import (
    Badge,
    Cell,
    LayersOn,
    News,
    Screen,
    State,
    Tone,
)
from console.dashboard.screen.news import Announcement, build_news, promoted_words
from console.dashboard.screen.next import build_next
from console.dashboard.screen.operator_bar import build_operator_bar
from console.dashboard.screen.planes import plane_geometries
from console.dashboard.screen.probe import build_probe
from console.dashboard.screen.replay_bar import Played, build_replay_bar
from console.dashboard.screen.said import SaidHere
from console.dashboard.screen.series import series_table
from console.dashboard.screen.trend import build_trend, series_indices
from console.dashboard.screen.view import ViewState, reference_grid
from console.dashboard.screen.volumes import volumes_table
from console.snapshot import Mode, Snapshot
from quantify.findings import FractionResult

_DISPLAY = Settings().display
"""As shipped."""
_SAID = SaidHere()


def build_screen(
    snapshot: Snapshot,
    view: ViewState,
    *,
    now: datetime | None,
    mode: Mode,
    news: Announcement | None = None,
    display: DisplaySettings = _DISPLAY,
    status: Sequence[Cell] = (),
    said: SaidHere = _SAID,
    played: Played | None = None,
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
    said
        What was said in this window.
    played
        How the replay stands, in one.
    """
    now = in_the_room(snapshot, now)
    shown = shown_result(snapshot, view)
    legend = build_legend(display, view)
    images = _images_result(snapshot, view, shown)
    planes = build_planes(snapshot, view, images, legend, series_indices(snapshot))
    voxel, grid = chosen_voxel(snapshot, view), reference_grid(snapshot)
    badge = build_badge(snapshot, images, stale_after_s=display.stale_after_s, now=now)
    return Screen(
        header=build_header(snapshot, now, mode),
        guide=build_guide(snapshot),
        news=_what_if_news(build_news(snapshot, news, now=now, view=view), snapshot, played),
        fractions=fractions_table(snapshot, shown),
        ledger=ledger_table(snapshot, shown),
        limits=limits_table(snapshot, shown),
        series=series_table(snapshot),
        badge=badge,
        planes=planes,
        voxel=voxel,
        crosshairs_mm=tuple(plane.geometry.place_mm(voxel) for plane in planes),
        images_message=_images_message(snapshot) if not planes else "",
        geometries=plane_geometries(grid) if grid is not None else (),
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
        glance_title=_marked_what_if(_glance_title(snapshot, images, badge), snapshot),
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
        operator=build_operator_bar(snapshot, now=now, mode=mode, said=said),
        replay=build_replay_bar(snapshot, played),
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


def _images_message(snapshot: Snapshot) -> str:
    if snapshot.restored:
        return "the images are being read again"
    return "waiting for the reference series: no image yet"


def _glance_title(snapshot: Snapshot, shown: FractionResult | None, badge: Badge) -> Cell:
    """Which fraction the big numbers belong to, and whether it is still the patient's state."""
    if shown is None:
        return Cell(text="AT A GLANCE")
    if badge.stale or badge.state.tone is Tone.CAUTION:
        return Cell(text=f"{badge.state.text} · after {shown.label} · ± k = 1", tone=Tone.CAUTION)
    if is_unconfirmed(snapshot, shown):
        return Cell(text=f"after {shown.label} · ± k = 1 · ? unconfirmed", tone=Tone.CAUTION)
    return Cell(text=f"after {shown.label} · ± one standard uncertainty", tone=Tone.MUTED)


def _what_if_news(news: News, snapshot: Snapshot, played: Played | None) -> News:
    """Which settings are not the recorded ones, before anything else; it cannot be dismissed."""
    if not snapshot.overrides:
        return news
    words = played.what_if if played is not None else ()
    what = "; ".join(words or (f"{path} = {value}" for path, value in snapshot.overrides.items()))
    text = f"WHAT-IF: {what} · not what was shown, nothing is recorded"
    state = State(sign="▲", word="what-if", tone=Tone.CAUTION)
    return News(text=text, state=state, fresh=True, tooltip="\n".join((text, news.text, news.tooltip)))


def _marked_what_if(title: Cell, snapshot: Snapshot) -> Cell:
    """The numbers under it are not those of the treatment."""
    if not snapshot.overrides:
        return title
    short = title.text.replace("± one standard uncertainty", "± k = 1")  # both do not fit
    return replace(title, text=f"WHAT-IF · {short}", tone=Tone.CAUTION)


def _status(snapshot: Snapshot, machine: Sequence[Cell]) -> tuple[Cell, ...]:
    cells = [*machine]
    if snapshot.head_seq:
        cells.append(
            Cell(
                text=f"record #{snapshot.head_seq} {snapshot.head_hash[:8]}",
                tone=Tone.MUTED,
                tooltip=snapshot.head_hash,
            )
        )
    promoted = [revision for revision in snapshot.revisions if revision.reason]
    if promoted:
        told = "\n".join((*promoted[-1].differences, "Promoted in this treatment: later results are made with it."))
        words = f"! {promoted_words(snapshot, promoted[-1])}"
        cells.append(Cell(text=words, tone=Tone.CAUTION, tooltip=f"{words}\n{told}"))
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
