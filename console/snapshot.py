"""What the console knows at one moment: an immutable picture of the treatment that every view and output draws from.

The engine makes it; the dashboard's screen model and the outputs read it. Nothing here computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from config.plan import TreatmentPlan
from config.settings import Settings
from dicom_listener.events import Event
from dicom_listener.images import SeriesState, StructureSet
from quantify.findings import Alarm, FractionResult, Injection
from quantify.holmium import FittedSeries
from quantify.model import Array, EchoSeries, Grid, Volume


class Mode(StrEnum):
    """Where the events come from; always on the screen."""

    LIVE = "LIVE"
    REPLAY = "REPLAY"
    DEMO = "DEMO"


@dataclass(frozen=True, kw_only=True)
class Binding:
    """What a series is to the treatment, and whether the operator has confirmed it."""

    series_key: str
    role: str
    """reference, repeatability, fraction, baseline, anatomy, superseded, ignored, refused or unbound"""
    position: str | None = None
    fraction: int | None = None
    confirmed: bool = False
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class RaisedAlarm:
    """An alarm as latched on the screen. `active` is False once its cause has gone; acknowledging is not clearing."""

    alarm: Alarm
    active: bool = True
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Anatomy:
    """Grey-scale anatomy resampled to the reference grid: float32 (slice, row, column), arbitrary unit."""

    values: NDArray[np.float32]
    grid: Grid
    description: str


@dataclass(frozen=True, kw_only=True)
class VolumeSource:
    """Where a volume comes from, so that it is seen when it was edited."""

    title: str
    """The object as the screen names it: ``structure set 'Contours'``."""
    sha256: str
    """Of the received object, hex."""
    version: int
    """1 for the first object that named this structure, 2 for the next …"""


@dataclass(frozen=True, kw_only=True, eq=False)
class GivenStructures:
    """One object with structures, as it came: by network, file or drawing. Every edit is another one."""

    structures: StructureSet
    at: datetime
    by: str
    """Who gave it: an operator's name, ``listener`` or ``import``."""
    drawn: str = ""
    """How it was drawn here, in words; empty for what came from elsewhere."""


@dataclass(frozen=True, kw_only=True)
class PlanRevision:
    """A change of plan or settings: who, when, and every key with its old and new value."""

    at: datetime
    by: str
    differences: tuple[str, ...]
    reason: str = ""
    """Why, where settings were promoted."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImagedSeries:
    """One series as fitted, for the probe and the registration flicker.

    ``registered`` is the signal at TE = 0 on the reference grid (slice, row, column), float32, in the series' own unit,
    NaN where the series does not reach. ``reference_to_series_lps_mm`` takes a point of the reference to the series
    (4×4); a bent registration is not in it.
    """

    key: tuple[str, int] | None
    """(position, fraction); None for the reference."""
    label: str
    fitted: FittedSeries
    reference_to_series_lps_mm: tuple[tuple[float, ...], ...]
    registered: Array


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The treatment as known after event `head_seq`."""

    head_seq: int = 0
    head_hash: str = ""
    plan: TreatmentPlan | None = None
    settings: Settings | None = None
    settings_sha256: str = ""
    patient_name: str = ""
    patient_id: str = ""
    patient_birth_date: str = ""
    patient_sex: str = ""
    series: tuple[SeriesState, ...] = ()
    bindings: tuple[Binding, ...] = ()
    injections: tuple[Injection, ...] = ()
    """As planned and revised by events, in order; those that have not happened lack time and activity."""
    reference: EchoSeries | None = field(default=None, repr=False)
    anatomy: Anatomy | None = field(default=None, repr=False)
    volumes: tuple[Volume, ...] = field(default=(), repr=False)
    structure_faults: tuple[str, ...] = ()
    structure_remarks: tuple[str, ...] = ()
    """Which object a volume is from, where there are several; what was assumed of one."""
    volume_sources: Mapping[str, VolumeSource] = field(default_factory=dict, repr=False)
    """By the plan's name of a structure: where it comes from."""
    results: tuple[FractionResult, ...] = field(default=(), repr=False)
    """In order of injection; only fractions that have a result or an error."""
    inputs: str = ""
    """Tells plan and settings in force apart from any others."""
    results_inputs: str = ""
    """Those that the results were made with: others than `inputs` while they are being computed anew."""
    imaged: tuple[ImagedSeries, ...] = field(default=(), repr=False)
    """The series behind the maps: the reference first, then the fractions in order of injection."""
    revisions: tuple[PlanRevision, ...] = ()
    """How plan or settings were changed after the treatment had begun, oldest first."""
    restored: str = ""
    """Set while the results are those that an earlier console showed and recorded: how far recomputing has come."""
    damage: str | None = None
    """What is wrong with the treatment file: everything here is from its sound part only. None if it is whole."""
    methods: str = ""
    """What ran, with which settings, as a paragraph."""
    awaited: tuple[str, int] | None = None
    """The (position, fraction) that the next series is expected to show."""
    not_imaged_mbq: float | None = 0.0
    """Injected after the last image; None as soon as one of those activities is not known."""
    alarms: tuple[RaisedAlarm, ...] = ()
    events: tuple[Event, ...] = field(default=(), repr=False)
    """The most recent events, oldest first (bounded)."""
    latest_acquired_at: datetime | None = None
    clock_offset_s: float | None = None
    """Scanner clock minus true time, s, as confirmed by an operator; None, and zero for matching, until then."""
    clock_ahead_at_least_s: float | None = None
    """What the arrival of images proves of that offset, s; its negative is the shortest delay between the beginning of
    an acquisition and its arrival."""
    computing: str = ""
    """What is being computed now, in words; empty when idle."""
    complete: bool = False
    """Every planned injection has a result or an error, or the treatment was closed."""
    closed: tuple[str, datetime] | None = None
    """Who closed the treatment, and when; None while it is open."""
    loaded: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """``plan`` and ``settings`` (the site's) as JSON, as the latest event has them; empty before a plan was loaded."""
    recorded: Mapping[tuple[str, int], Mapping[str, Any]] = field(default_factory=dict, repr=False)
    """What operators said of each injection over the plan, with the keys of ``injection_recorded``."""
    cancelled: tuple[tuple[str, int], ...] = ()
    """Injections of the plan that will not be given."""
    assigned: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    """What operators said of each series (by key), as ``series_assigned`` has it."""
    given_registrations: Mapping[str, tuple[tuple[tuple[float, ...], ...], str]] = field(
        default_factory=dict, repr=False
    )
    """By series: the operator's transform from the reference to it (4×4, LPS mm), and who gave it."""
    retracted: frozenset[int] = frozenset()
    """Numbers of the notes that were taken back."""
    structures: tuple[GivenStructures, ...] = field(default=(), repr=False)
    """Every object with structures, oldest first."""
    chosen_volumes: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By name of a volume: the object (SHA-256) that an operator chose over the latest."""
    overrides: Mapping[str, object] = field(default_factory=dict)
    """What is laid over plan and settings (``--set``): empty but in a what-if, such as the physicist's draft."""
