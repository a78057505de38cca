"""The head of the screen: who, which mode, what time, and how the scanner's clock stands against this one's."""

from __future__ import annotations

import math
from datetime import datetime

from config.settings import Settings
from console.dashboard.screen import formatting
from console.dashboard.screen.model import Cell, Header, Tone
from console.dashboard.screen.room_time import room_clock
from console.snapshot import Mode, Snapshot

_MODE_WORDS = {
    Mode.LIVE: "LIVE",
    Mode.REPLAY: "REPLAY — not live",
    Mode.DEMO: "DEMO — simulated, not live",
}
_WHAT_IF = "REPLAY · WHAT-IF — not live"
_SHIPPED_LIMIT_S = Settings().alarms.clock_offset_s
_WHAT = "Δ: the scanner's clock minus true time, in seconds; series are matched to injections with the confirmed value."
_WHENCE = (
    "An image that arrives before it was begun proves the scanner's clock ahead by at least so much. A clock that is "
    "slow cannot be told from images that are sent late: compare the clocks and confirm the offset."
)


def build_header(snapshot: Snapshot, now: datetime | None, mode: Mode) -> Header:
    """Identity, mode and clocks. `now` is in the treatment's own zone."""
    details = [f"ID {snapshot.patient_id}" if snapshot.patient_id else "ID not known"]
    details.append(f"born {snapshot.patient_birth_date}" if snapshot.patient_birth_date else "birth date not known")
    if snapshot.patient_sex:
        details.append(snapshot.patient_sex)
    return Header(
        patient=snapshot.patient_name.replace("^", " ").strip() or "NAME NOT KNOWN",
        patient_details=" · ".join(details),
        mode=mode,
        mode_words=(_WHAT_IF if snapshot.overrides else _MODE_WORDS[mode]) + _closed(snapshot),
        what_if=bool(snapshot.overrides),
        clock=now.strftime("%H:%M:%S") if now is not None else "--:--:--",
        clock_note="" if now is None else now.strftime("%Y-%m-%d UTC%z"),
        scanner=_scanner(snapshot),
    )


def _closed(snapshot: Snapshot) -> str:
    """Nothing more is given: that is said beside LIVE, which alone would promise more."""
    return f" · ✓ CLOSED {room_clock(snapshot, snapshot.closed[1])}" if snapshot.closed is not None else ""


def _scanner(snapshot: Snapshot) -> Cell:
    """The offset as confirmed; else what arrivals prove of it; else that nobody has confirmed one."""
    limit_s = snapshot.settings.alarms.clock_offset_s if snapshot.settings is not None else _SHIPPED_LIMIT_S
    confirmed_s, ahead_s = snapshot.clock_offset_s, snapshot.clock_ahead_at_least_s
    source = f"An alarm from {limit_s:g} s on (setting alarms.clock_offset_s)."
    if confirmed_s is not None:
        text = f"scanner Δ {formatting.signed(confirmed_s, 1)} s confirmed"
        # The same rule as the alarm's: what arrivals prove speaks against what was confirmed.
        doubted = ahead_s is not None and ahead_s - confirmed_s > limit_s
        if doubted and ahead_s is not None:
            text += f", but ≥ {_at_least(ahead_s)} s"
        tone = Tone.CAUTION if doubted or abs(confirmed_s) > limit_s else Tone.NORMAL
        return Cell(text=text, tone=tone, tooltip=f"{_WHAT}\nConfirmed by an operator. {source}\n{_WHENCE}")
    if ahead_s is not None and ahead_s > 0:
        tone = Tone.CAUTION if ahead_s > limit_s else Tone.NORMAL
        proven = f"Not confirmed; arrivals prove at least {_at_least(ahead_s)} s. {source}"
        return Cell(text=f"scanner Δ ≥ {_at_least(ahead_s)} s", tone=tone, tooltip=f"{_WHAT}\n{proven}\n{_WHENCE}")
    return Cell(text="scanner Δ not confirmed", tone=Tone.MUTED, tooltip=f"{_WHAT}\n{source}\n{_WHENCE}")


def _at_least(ahead_s: float) -> str:
    """A lower bound is never rounded up."""
    places = 0 if ahead_s >= 10 else 1
    return formatting.signed(math.floor(ahead_s * 10**places) / 10**places, places)
