"""What is known of a treatment while its plan is typed: whose images came, what was given, which volumes are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from config.settings import Settings
from console.dashboard.screen import formatting
from console.dashboard.screen.model import State, Tone
from console.dashboard.screen.room_time import room_clock
from console.snapshot import Snapshot
from quantify.findings import Injection

Key = tuple[str, int]
_GIVEN_UP = State(sign="⊘", word="given up", tone=Tone.MUTED)


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the texts of a plan are held against. ``site`` are the site's settings, ``now`` the time, aware."""

    site: Settings
    now: datetime
    plan: Mapping[str, Any] = field(default_factory=dict)
    """As recorded last, with the file's keys; empty before the first."""
    has_images: bool = False
    patient_id: str = ""
    patient_birth_date: str = ""
    patient_name: str = ""
    """Of the images received."""
    given: Mapping[Key, datetime | None] = field(default_factory=dict)
    """Injections that have begun or ended, or of which an operator said something; with the end, where it is known."""
    recorded: Mapping[Key, Mapping[str, Any]] = field(default_factory=dict)
    """What operators said of each injection over the plan."""
    states: Mapping[Key, State] = field(default_factory=dict)
    """How far each injection has come."""
    structures: tuple[str, ...] = ()
    """Names of all structures received."""
    revised_by: str = ""
    """Who revised the plan last, and when, in words."""

    def fate(self, key: Key) -> str:
        """Why an injection stays as it is: ``has happened (given 10:22 · 395 MBq)``, ``is given up``."""
        state = self.states.get(key, State(sign="", word="recorded"))
        return "is given up" if state == _GIVEN_UP else f"has happened ({state.word})"

    @property
    def time_zone(self) -> str:
        """The site's."""
        return self.site.site.time_zone


def known_of(snapshot: Snapshot, now: datetime, site: Settings) -> Known:
    """What a snapshot says of it."""
    came = bool(snapshot.series)
    by_key = {i.key: i for i in snapshot.injections}
    begun = {key: i.time for key, i in by_key.items() if i.time is not None or i.under_way or i.aborted}
    said = {key: None for key, own in snapshot.recorded.items() if any(v is not None for v in own.values())}
    # Another fraction under the number of one that was given up would be given up with it.
    planned = {(i["position"], i["fraction"]) for i in snapshot.loaded.get("plan", {}).get("injections", ())}
    said |= dict.fromkeys(key for key in snapshot.cancelled if key in planned)
    given_up = dict.fromkeys(snapshot.cancelled, _GIVEN_UP)
    names = [roi for given in snapshot.structures for roi in given.structures.names]
    last = snapshot.revisions[-1] if snapshot.revisions else None
    return Known(
        site=site,
        now=now,
        plan=snapshot.loaded.get("plan", {}),
        has_images=came,
        patient_id=snapshot.patient_id if came else "",
        patient_birth_date=snapshot.patient_birth_date if came else "",
        patient_name=snapshot.patient_name if came else "",
        given={**said, **begun},
        recorded=snapshot.recorded,
        states={**{key: _state(i, snapshot) for key, i in by_key.items()}, **given_up},
        structures=tuple(dict.fromkeys(names)),
        revised_by="" if last is None else f"by {last.by} at {room_clock(snapshot, last.at)}",
    )


def _state(injection: Injection, snapshot: Snapshot) -> State:
    if injection.aborted:
        return State(sign="⊘", word="aborted", tone=Tone.CAUTION)
    if injection.under_way:
        return State(sign="▶", word=f"under way since {room_clock(snapshot, injection.started_at)}", tone=Tone.ACTIVE)
    if injection.time is None:
        return State(sign="○", word="planned", tone=Tone.MUTED)
    net = formatting.activity(injection.activity_mbq)
    return State(sign="●", word=f"given {room_clock(snapshot, injection.time)} · {net}", tone=Tone.GOOD)
