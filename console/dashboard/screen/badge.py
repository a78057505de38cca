"""Which fraction the images show, from when it is, and why it may no longer stand for the patient."""

from __future__ import annotations

from datetime import datetime, timedelta

from console.dashboard.screen import formatting
from console.dashboard.screen.model import Badge, State, Tone
from console.dashboard.screen.room_time import room_clock
from console.dashboard.screen.series import holmium_series_arriving
from console.snapshot import Snapshot
from quantify.findings import FractionResult, FractionStatus


def build_badge(
    snapshot: Snapshot,
    result: FractionResult | None,
    *,
    stale_after_s: float = 1800.0,
    now: datetime | None,
) -> Badge:
    """Which result the images show and why it may no longer stand for the patient.

    It starts with ``EARLIER`` where a later fraction has a result; with ``STALE`` from the start of a newer injection
    on, while a newer series arrives, after a change of plan or settings, and past the age limit; with ``RESTORED``
    after a restart.
    """
    if result is None:
        return Badge(text="no dose yet", state=State(sign="○", word="no dose yet", tone=Tone.MUTED))
    text = f"after {result.label}"
    if result.acquired_at is not None:
        text += f" · {room_clock(snapshot, result.acquired_at)}"
        if now is not None:
            text += f" · age {formatting.age(_age(snapshot, result.acquired_at, now))}"
    if snapshot.restored:
        state = State(sign="↺", word="RESTORED", tone=Tone.CAUTION)
        return Badge(text=f"↺ RESTORED, computing again · {text}", state=state, stale=True)
    if result.maps is None:
        why = result.error or "no dose map"
        state = State(sign="✕", word=f"no dose map: {why}", tone=Tone.ALERT)
        last = snapshot.results[-1] if snapshot.results else result
        earlier = f"◂ EARLIER: latest is {last.label} · " if result.key != last.key else ""
        return Badge(text=f"{earlier}{text} · {state.text}", state=state)
    latest = next((r for r in reversed(snapshot.results) if r.maps is not None), result)
    if result.key != latest.key:
        state = State(sign="◂", word="EARLIER", tone=Tone.CAUTION)
        return Badge(text=f"◂ EARLIER: latest is {latest.label} · {text}", state=state, stale=True)
    why = _stale_because(snapshot, result, now, stale_after_s)
    if why:
        state = State(sign="▨", word="STALE", tone=Tone.CAUTION)
        return Badge(text=f"▨ STALE: {why} · {text}", state=state, stale=True)
    if result.status is FractionStatus.PROVISIONAL:
        return Badge(text=f"{text} · ! provisional", state=State(sign="!", word="provisional", tone=Tone.CAUTION))
    return Badge(text=f"✓ {text}", state=State(sign="✓", word="current", tone=Tone.GOOD))


def is_unconfirmed(snapshot: Snapshot, result: FractionResult) -> bool:
    """Whether nobody has confirmed yet that the series of this result shows this injection."""
    bound = [b for b in snapshot.bindings if b.role == "fraction" and (b.position, b.fraction) == result.key]
    return any(not binding.confirmed for binding in bound)


def _age(snapshot: Snapshot, acquired_at: datetime, now: datetime) -> timedelta:
    """How long ago: the scanner's clock less its confirmed offset; an hour ahead, and nothing would ever be too old."""
    return now - (acquired_at - timedelta(seconds=snapshot.clock_offset_s or 0.0))


def _stale_because(snapshot: Snapshot, result: FractionResult, now: datetime | None, limit_s: float) -> str:
    keys = [injection.key for injection in snapshot.injections]
    later = snapshot.injections[keys.index(result.key) + 1 :] if result.key in keys else ()
    newer = [injection for injection in later if injection.time is not None]
    if newer:
        return f"{newer[-1].label} injected since"
    under_way = next((injection for injection in later if injection.under_way), None)
    if under_way is not None:
        return f"{under_way.label} under way"
    if snapshot.results_inputs not in ("", snapshot.inputs):
        return "settings changed since"
    if holmium_series_arriving(snapshot) is not None:
        return "newer series arriving"
    limit = timedelta(seconds=limit_s)
    if now is not None and result.acquired_at is not None and _age(snapshot, result.acquired_at, now) > limit:
        return f"older than {limit_s / 60:.0f} min"
    return ""
