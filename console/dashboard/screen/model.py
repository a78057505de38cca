"""What the window draws, whole and immutable: every word, digit and state is decided before Qt sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import tzinfo
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from console.dashboard.screen.planes import PlaneGeometry
from console.dashboard.screen.view import Action, Details, Quantity
from console.snapshot import Mode
from console.timeline import Timeline
from quantify.model import Array, FloatArray

RESEARCH_USE = "RESEARCH USE ONLY"
DISCLAIMER = (
    "For research use only. Not a medical device; not cleared, approved or CE-marked. Displayed dose is an estimate "
    "with stated uncertainty; confirm with an independent method."
)


class Tone(StrEnum):
    """How a thing is coloured; never the only sign of a state."""

    NORMAL = "normal"
    MUTED = "muted"
    GOOD = "good"
    ACTIVE = "active"
    CAUTION = "caution"
    ALERT = "alert"


@dataclass(frozen=True, kw_only=True)
class State:
    """A state as a shape, a word and a colour, so that any one of the three suffices."""

    sign: str
    word: str
    tone: Tone = Tone.NORMAL

    @property
    def text(self) -> str:
        """Shape and word."""
        return f"{self.sign} {self.word}".strip()


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One text of a table."""

    text: str
    tone: Tone = Tone.NORMAL
    bold: bool = False
    tooltip: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table; a heading spans all columns."""

    cells: tuple[Cell, ...]
    heading: bool = False
    highlighted: bool = False
    series: int | None = None
    """The symbol and colour that this row has in the plot."""
    key: str = ""
    """What a press on this row concerns: an alarm's identifier."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """Who, whose rules, which mode, what time."""

    patient: str
    patient_details: str
    mode: Mode
    mode_words: str
    clock: str
    clock_note: str
    scanner: Cell = Cell(text="")
    """How the scanner's clock stands against this one's."""
    what_if: bool = False
    """Whether what is shown was computed with other settings than the recorded ones."""


@dataclass(frozen=True, kw_only=True)
class News:
    """What changed last, in one line: bright while it is fresh, muted afterwards, never silently gone."""

    text: str
    state: State
    fresh: bool = False
    tooltip: str = ""


@dataclass(frozen=True, kw_only=True)
class GuideStep:
    """One step of the procedure; exactly one is current."""

    number: str
    words: str
    state: State
    current: bool


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The series that is arriving: images received of those expected (0: not known yet)."""

    words: str
    received: int
    expected: int


@dataclass(frozen=True, kw_only=True)
class Guide:
    """Where the procedure stands and what the console waits for."""

    steps: tuple[GuideStep, ...]
    sentence: str
    progress: Progress | None = None


@dataclass(frozen=True, kw_only=True)
class LimitBar:
    """A value against its limit, as drawn: all in Gy."""

    value_gy: float
    uncertainty_gy: float
    limit_gy: float
    upper_95_gy: float | None = None
    """What is held against the limit; None where it is not known."""


@dataclass(frozen=True, kw_only=True)
class GlanceNumber:
    """One number to be read at three metres."""

    label: str
    value: str
    detail: str
    note: str
    state: State
    small: str = ""
    """Under the ±: what the physicist asks next (D70, coverage)."""
    tooltip: str = ""
    """Unit, meaning and source, and what the uncertainty consists of."""
    bar: LimitBar | None = None
    series: int | None = None
    dose: bool = True
    """False for what says how far to trust the doses: recovery, registration."""
    sentence: bool = False
    """There is no number: the note says why, in its place."""
    expendable: int = 0
    """Where there is no room for all, the highest is left out first; 0 stays."""
    left_out: tuple[str, ...] = ()
    """Volumes that would stand here too, were more than six numbers read at a glance."""


@dataclass(frozen=True, kw_only=True)
class NextScreen:
    """What the next planned fraction would give; no number without its ±."""

    title: str
    numbers: tuple[Cell, ...]
    tooltip: str = ""


@dataclass(frozen=True, kw_only=True)
class Badge:
    """Which fraction the images show, when it was acquired, how old it is, and whether it is current."""

    text: str
    state: State
    stale: bool = False


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Polylines in plane millimetres: x and y concatenated, ``connect`` False where one ends."""

    x_mm: FloatArray
    y_mm: FloatArray
    connect: NDArray[np.bool_]
    label_places: tuple[tuple[float, float], ...]
    """Where its name may stand: right, left, top and bottom of the longest line; the first that is free."""


@dataclass(frozen=True, kw_only=True)
class Isodose:
    """The line of one dose level in one plane."""

    level_gy: float
    lines: Lines


@dataclass(frozen=True, kw_only=True)
class Outline:
    """Where a volume's border cuts a plane. ``series`` is its symbol in the plot (None: not a tumour)."""

    name: str
    lines: Lines
    series: int | None
    highlighted: bool = False
    """Fed from the injection position in question."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PlaneScreen:
    """One cut through the patient, display row 0 on top; arrays are (row, column).

    The same cut is the same object, so that the window draws it once.
    """

    geometry: PlaneGeometry
    title: str
    grey: Array | None
    grey_levels: tuple[float, float]
    dose: Array | None
    """What the wash shows, in the legend's unit."""
    unevaluable: NDArray[np.bool_] | None
    lower_bound: NDArray[np.bool_] | None
    """Voxels at the noise floor, whose dose may be anything above what is shown."""
    isodoses: tuple[Isodose, ...]
    outlines: tuple[Outline, ...]
    focus_mm: tuple[float, float, float, float]
    """left, top, width, height of what is worth showing."""
    caption: str = ""
    """What the cut shows where it is not the current dose: ``RHA F4 − F3``, ``REFERENCE``."""
    identity: str = ""
    """Whose images these are: the patient's ID, on axial cuts."""


@dataclass(frozen=True, kw_only=True)
class DoseLegend:
    """The one table of doses: fixed Gy levels for wash, lines and colour bar."""

    maximum_gy: float
    threshold_gy: float
    levels_gy: tuple[float, ...]
    colour_map: str
    minimum_gy: float = 0.0
    """Below 0 for what can be negative: the increment."""
    title: str = "Gy"
    words: str = "absorbed dose"
    tooltip: str = ""
    """What the quantity is, and where its levels are set."""


@dataclass(frozen=True, kw_only=True)
class DecayCurve:
    """Echoes of one voxel of one series with the fit: times in ms, signal in the series' own unit."""

    name: str
    echo_times_ms: tuple[float, ...]
    signal: tuple[float, ...]
    fit_times_ms: tuple[float, ...]
    fit_signal: tuple[float, ...]
    words: str
    """R2*, its standard error and the residual of the fit."""
    noise_sigma: float = 0.0
    """Noise of one channel, in the signal's unit: what lies near it tells little."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What lies under the cursor, or under the crosshair while there is no cursor over an image."""

    words: str = ""
    """Place, dose ± u or the reason, in one line."""
    rows: tuple[Row, ...] = ()
    """The same at length: place, dose, increment, R2*, residual, reason; (name, value)."""
    decays: tuple[DecayCurve, ...] = ()
    """Reference and shown fraction; empty unless the probe is open."""
    message: str = ""
    """Why there is no curve."""


@dataclass(frozen=True, kw_only=True)
class DvhCurve:
    """The cumulative histogram of one volume: at least this dose (Gy) in this share of the volume (%)."""

    volume: str
    index: int
    dose_gy: tuple[float, ...]
    volume_pct: tuple[float, ...]
    lower_bound: bool = False
    highlighted: bool = False
    label: str = ""
    """Its name at the curve; starts with ``≥`` for a lower bound."""


@dataclass(frozen=True, kw_only=True)
class DvhScreen:
    """Cumulative dose–volume histograms after the shown fraction."""

    title: str
    x_maximum_gy: float
    curves: tuple[DvhCurve, ...]
    marks_gy: tuple[tuple[float, str], ...]
    """Doses with their names: limits and the dose that coverage is told at."""
    message: str
    tooltip: str = ""
    """Units, meaning and source of the curves."""


@dataclass(frozen=True, kw_only=True)
class TrendSeries:
    """One volume in the plot. x: MBq injected at the position; y and u: mean dose, Gy (u NaN for a lower bound)."""

    volume: str
    index: int
    x_mbq: tuple[float, ...]
    dose_gy: tuple[float, ...]
    u_gy: tuple[float, ...]
    lower_bound: tuple[bool, ...]
    solid: tuple[tuple[float, float], tuple[float, float]] | None
    """The fitted line over its own points: two (x, y)."""
    dashed: tuple[tuple[float, float], tuple[float, float]] | None
    expected: tuple[float, float] | None
    interval_gy: tuple[float, float] | None
    flagged: bool
    label: str
    band: tuple[tuple[float, float, float], ...] = ()
    """The 95 % prediction interval at every point that was tested: (x, low, high)."""
    next: tuple[float, float, float, float] | None = None
    """What the next fraction would give: x, dose, and its 95 % interval."""
    baseline: tuple[float, float] | None = None
    """Dose from the positions before and its u, at 0 MBq of this one; None where it is 0 or not known."""


@dataclass(frozen=True, kw_only=True)
class TrendScreen:
    """Mean dose against injected activity (EMERITUS-1, figure 2)."""

    title: str
    x_label: str
    y_label: str
    x_maximum_mbq: float
    y_maximum_gy: float
    planned_x_mbq: tuple[float, ...]
    series: tuple[TrendSeries, ...]
    findings: tuple[Cell, ...]
    message: str
    finding_series: tuple[int | None, ...] = ()
    """The symbol of each finding, one by one; None for what concerns no single volume."""
    planned_labels: tuple[str, ...] = ()
    """What stands at each of ``planned_x_mbq``."""
    limits: tuple[tuple[float, str, str], ...] = ()
    """The plan's limits, as lines: dose (Gy), whose, and in words."""
    tooltip: str = ""
    """What is drawn, with unit and source."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A panel's table: headings of the columns and the rows."""

    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    empty: str = ""
    """What is said when there is no row."""


@dataclass(frozen=True, kw_only=True)
class LayersOn:
    """Which layers lie over the anatomy, and what the wash shows."""

    wash: bool
    isodose: bool
    volumes: bool
    quantity: Quantity = Quantity.DOSE
    compare: bool = False
    flicker: bool = False
    probe: bool = False


@dataclass(frozen=True, kw_only=True)
class BarButton:
    """A button of the operator's bar: what it says, what a press does (None: it cannot be pressed now, and why)."""

    words: str
    action: Action | None = None
    sign: str = ""
    detail: str = ""
    """What belongs to the word, beside it: planned activity, since when."""
    tone: Tone = Tone.NORMAL
    tooltip: str = ""

    @property
    def text(self) -> str:
        """Shape, word and detail."""
        return " · ".join(part for part in (f"{self.sign} {self.words}".strip(), self.detail) if part)


@dataclass(frozen=True, kw_only=True)
class OperatorBar:
    """What an operator says with one press. A replay has none: nothing is recorded there."""

    shown: bool = False
    main: BarButton = BarButton(words="")
    """Start or stop of an injection."""
    taps: tuple[BarButton, ...] = ()
    said: State = State(sign="", word="")
    """What was said last in this window, or why it could not be recorded."""
    undo: BarButton = BarButton(words="undo")
    tools: tuple[BarButton, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TickMark:
    """A tick on the timeline of a replay: where (0…1), its shape and colour, and what it says."""

    place: float
    sign: str
    tone: Tone
    lane: int
    """1: over the axis, 0: on it, −1: under it."""
    words: str


@dataclass(frozen=True, kw_only=True)
class BreakMark:
    """A wait that the timeline draws shorter than it was."""

    place: float
    words: str
    tooltip: str = ""


@dataclass(frozen=True, kw_only=True)
class ReplayBar:
    """What steers a replay, in place of the operator's bar."""

    shown: bool = False
    play: BarButton = BarButton(words="")
    speeds: tuple[BarButton, ...] = ()
    steps: tuple[BarButton, ...] = ()
    """The tick before, and the next one."""
    tools: tuple[BarButton, ...] = ()
    back: BarButton = BarButton(words="")
    """Out of a what-if; without words where there is none."""
    words: State = State(sign="", word="")
    message: str = ""
    """What stands in place of the timeline while there is none."""
    place: float = 0.0
    """Where the replay is, 0…1."""
    target: float | None = None
    """Where it is jumping to."""
    ticks: tuple[TickMark, ...] = ()
    breaks: tuple[BreakMark, ...] = ()
    ends: tuple[str, str] = ("", "")
    """Times of the first and the last event."""
    legend: tuple[tuple[str, Tone, str], ...] = ()
    """Shape, colour and word of every kind of tick that there is."""
    timeline: Timeline = field(default_factory=Timeline)
    zone: tzinfo | None = None
    """The room's."""

    def clock_at(self, place: float) -> str:
        """What time it was at a place."""
        moment = self.timeline.moment(place)
        return "" if moment is None else moment.astimezone(self.zone).strftime("%H:%M:%S")


@dataclass(frozen=True, kw_only=True, eq=False)
class Screen:
    """Everything on the window at one moment."""

    header: Header
    guide: Guide
    news: News
    fractions: Table
    ledger: Table
    limits: Table
    series: Table
    badge: Badge
    planes: tuple[PlaneScreen, ...]
    voxel: tuple[int, int, int]
    """Where the planes cross, (slice, row, column)."""
    crosshairs_mm: tuple[tuple[float, float], ...]
    """The same place on each plane: mm from the left, mm from the top."""
    images_message: str
    legend: DoseLegend
    layers: LayersOn
    probe: Probe
    glance_title: Cell
    glance: tuple[GlanceNumber, ...]
    next: NextScreen | None
    trend: TrendScreen
    dvh: DvhScreen
    volumes: Table
    details: Details
    alarms: Table
    unacknowledged: tuple[str, ...]
    """Identifiers of the alarms that nobody has acknowledged."""
    alarm_summary: State
    events: Table
    status: tuple[Cell, ...]
    geometries: tuple[PlaneGeometry, ...] = ()
    """Axial, coronal and sagittal, whichever of them are drawn."""
    operator: OperatorBar = OperatorBar()
    replay: ReplayBar = ReplayBar()
