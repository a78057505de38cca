"""A phantom's treatment as it happens: event by event through the session that a live console runs, with its times.

What is known is kept at named moments; the pictures are drawn from those. Nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import center_of_mass

from config.plan import TreatmentPlan, load_plan
from config.settings import load_settings
from console.demo.phantom_dicom import PhantomOptions, PhantomTreatment, write_phantom
from console.demo.phantom_treatment import DeliveredInjection
from console.drawn_volumes import given_volume
from console.engine import Engine
from console.operation_words import words_of
from console.operations import Operation, RecordInjection, RevisePlan, next_injection, start_injection
from console.outputs.wording import software_version
from console.reader import InThisProcess
from console.resumption import as_shown
from console.session import Session
from console.snapshot import Snapshot
from dicom_listener.admission import Admission
from dicom_listener.events import Kind
from dicom_listener.images import SeriesState
from dicom_listener.record import Record
from quantify.drawing import drawing_lattice, sphere
from quantify.drawing_canvas import Canvas, Mode
from quantify.model import Role, Volume

_MISSING = (7, 48, 49)
"""Which images of the last series come late."""
_PHYSICIST, _RADIOLOGIST = "M. Visser", "J. Jansen"
_LASTING = timedelta(minutes=2, seconds=40)
"""Of an injection."""
RELAXIVITY = 229.0
DRAFT = {"calibration.relaxivity_per_s_per_mg_mL": RELAXIVITY}
"""What is tried in the physicist's panel, and promoted."""
PROMOTER, REASON = "P. Jansen", "relaxivity of batch 26-114 measured on 3 March"


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What was known, when, and the moments before at which something was news."""

    snapshot: Snapshot
    at: datetime
    before: tuple[Moment, ...] = ()
    file: Path = Path()
    """The treatment file; what is known at this moment is its beginning."""


@dataclass
class Course:
    """Takes a treatment through its steps and remembers the moments."""

    record: Record
    patient_file: Path
    plan: TreatmentPlan
    now: datetime
    moments: dict[str, Moment] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._latest, self._read, self._associations = Snapshot(), 0, 0
        self._meanwhile: list[Snapshot] = []
        self._session = Session(
            record=self.record,
            engine=Engine(),
            clock=lambda: self.now,
            on_snapshot=self._receive,
            operator=True,
        )
        self._admission = Admission(
            self.record,
            lambda: Record.create(self.patient_file.with_suffix(".quarantine.holmia")),
            self.plan.patient,
            lambda: self.now.astimezone(UTC),
            actor="listener",
        )

    def _receive(self, snapshot: Snapshot) -> None:
        self._latest = snapshot
        if snapshot.computing:
            self._meanwhile.append(snapshot)

    def say(self, kind: Kind, payload: dict[str, Any], *, actor: str = "listener") -> None:
        """Append an event as it happens now."""
        self.record.append(kind, payload, actor=actor, utc=self.now.astimezone(UTC))

    def operate(self, operation: Operation, *, name: str) -> None:
        """Record what somebody says in the window."""
        self.follow()
        site = load_settings(None)
        for word in words_of(operation, self._latest, name=name, at=self.now, site=site):
            self.record.append(word.kind, dict(word.payload), actor=name, utc=self.now.astimezone(UTC), data=word.data)

    def follow(self) -> None:
        """Let the session take everything that the file holds by now."""
        while batch := self.record.events(self._read):
            self._read = batch[-1].seq
            self._session.take(batch)

    def keep(self, name: str) -> None:
        """Remember what is known now."""
        self.follow()
        self._remember(name, self._latest)

    def _remember(self, name: str, snapshot: Snapshot) -> None:
        told = [moment for key, moment in self.moments.items() if key.startswith(("setup", "result"))]
        # News is what differs from the moment before; older ones would be told again.
        file = self.record.path
        self.moments[name] = Moment(snapshot=snapshot, at=self.now, before=tuple(told[-2:]), file=file)

    def send(self, files: Sequence[Path], *, halfway: str = "", leave_open: bool = False) -> str:
        """Store the files of one association; what is known after a bit more than half of them may be kept."""
        self._associations += 1
        association = f"a{self._associations}"
        calling = {"association": association, "calling_ae": "MR3T", "address": "192.0.2.10"}
        self.say(Kind.ASSOCIATION_OPENED, calling)
        for number, path in enumerate(files):
            self._admission.admit(path.read_bytes(), association=association)
            if halfway and number == round(0.57 * len(files)):
                self.keep(halfway)
        if not leave_open:
            ended = {"association": association, "how": "released", "instances": len(files)}
            self.say(Kind.ASSOCIATION_CLOSED, ended)
        return association

    def start(self) -> None:
        """The next injection begins."""
        self.follow()
        coming = next_injection(self._latest)
        if coming is not None:
            self.operate(start_injection(coming, self.now), name=_RADIOLOGIST)

    def redraw(self, name: str, by_mm: float) -> None:
        """Draw a tumour anew: as it is, with a sphere more at the border of it."""
        self.follow()
        volume = next(volume for volume in self._latest.volumes if volume.name == name)
        canvas = Canvas(drawing_lattice(volume.grid))
        middle = middle_lps_mm(volume)
        for at, radius_mm in ((0.0, _radius_mm(volume)), (by_mm, 0.6 * _radius_mm(volume))):
            ball = sphere(canvas.lattice, (middle[0], middle[1] + at, middle[2]), radius_mm)
            canvas.apply(ball, Mode.ADD, f"sphere {radius_mm:.0f} mm")
        given = given_volume(canvas, name=name, role=Role.TUMOUR, snapshot=self._latest)
        self.operate(given, name=_PHYSICIST)

    def confirm(self) -> None:
        """The physicist confirms what every series is."""
        self.follow()
        for binding in self._latest.bindings:
            if binding.role in ("reference", "fraction") and not binding.confirmed:
                said: dict[str, Any] = {"series_key": binding.series_key, "role": binding.role}
                if binding.role == "fraction":
                    said |= {"position": binding.position, "fraction": binding.fraction}
                self.say(Kind.SERIES_ASSIGNED, said, actor=_PHYSICIST)

    @property
    def arrived(self) -> SeriesState:
        """The series that came last."""
        return max(self._latest.series, key=lambda state: state.last_seq)

    def computed(self, name: str, *, computing: str = "") -> None:
        """Let the session compute; remember the result, and what was shown when that began."""
        self._meanwhile = []
        self.follow()
        if computing and self._meanwhile:
            self._remember(computing, self._meanwhile[0])
        self._remember(name, self._latest)


def middle_lps_mm(volume: Volume) -> tuple[float, float, float]:
    """The middle of a volume."""
    x, y, z = (volume.grid.affine_lps_mm[:3] @ [*center_of_mass(volume.occupancy), 1.0]).tolist()
    return x, y, z


def _radius_mm(volume: Volume) -> float:
    """Of the sphere that is as large."""
    ml = float(volume.occupancy.sum()) * volume.grid.voxel_volume_ml
    return float((3000.0 * ml / (4.0 * np.pi)) ** (1 / 3))


def files_of(folder: Path) -> list[Path]:
    """The files of one series, in the order in which a scanner sends them."""
    return sorted(folder.iterdir())


def planned(phantom: PhantomTreatment) -> tuple[TreatmentPlan, dict[str, Any]]:
    """The plan before the first injection, and the payload of the event that loads it."""
    settings = load_settings(None)
    zone = settings.site.time_zone
    plan = load_plan(phantom.planned_only_path, site_time_zone=zone)
    mapping = plan.to_mapping()
    for limit in mapping["limits"]:
        limit |= {"isotope": "166Ho", "population": "phantom", "source": "made up for the demonstration"}
    tables = {"quantification": settings.quantification.to_mapping(), "alarms": settings.alarms.to_mapping()}
    return plan, {"plan": mapping, "sha256": plan.sha256, "settings": tables, "time_zone": zone}


def given(injection: DeliveredInjection) -> RecordInjection:
    """What an operator records of an injection that has ended."""
    said = {"activity_MBq": injection.activity_mbq, "time": injection.time.isoformat()}
    return RecordInjection(position=injection.position, fraction=injection.fraction, said=said)


def whole_treatment(
    folder: Path, options: PhantomOptions, *, structures: bool = True, in_parts: bool = False
) -> dict[str, Moment]:
    """Write the phantom and take its treatment from the empty file to the last result.

    With `in_parts` the last series comes in two parts, and at the end another calibration is tried in a draft and
    promoted; without, the first tumour is drawn anew.
    """
    phantom = write_phantom(folder / "dicom", options)
    plan, loading = planned(phantom)
    injections = phantom.treatment.injections
    first = injections[0].time
    file = folder / "treatment.holmia"
    with Record.create(file) as record:
        course = Course(record=record, patient_file=file, plan=plan, now=first - timedelta(minutes=55))
        course.say(Kind.TREATMENT_CREATED, {"software_version": software_version()}, actor="holmia")
        course.say(Kind.LISTENER_STARTED, {"ae_title": "HOLMIA", "port": 11112})
        course.keep("setup")
        course.now += timedelta(minutes=2)
        course.say(Kind.PLAN_LOADED, loading, actor=_PHYSICIST)
        course.keep("plan_loaded")
        course.now = first - timedelta(minutes=20)
        course.send(files_of(phantom.anatomy))
        course.now = first - timedelta(minutes=12)
        if structures:
            course.send(files_of(phantom.structures))
        course.keep("reference_awaited")
        course.now = first - timedelta(minutes=6)
        course.send(files_of(phantom.reference), halfway="reference_arriving")
        course.keep("before_the_first_injection")
        for number, (series, injection) in enumerate(zip(phantom.fractions, injections, strict=True), start=1):
            course.now = injection.time - _LASTING
            course.confirm()
            course.start()
            course.now += timedelta(seconds=50)
            course.keep(f"under_way_{number}")
            course.now = injection.time + timedelta(seconds=20)
            course.operate(given(injection), name=_PHYSICIST)
            course.keep(f"injected_{number}")
            if number == 2:
                course.say(Kind.NOTE, {"label": "stasis", "text": "slow flow"}, actor=_RADIOLOGIST)
            course.now = injection.acquired_at + timedelta(minutes=1)
            files = files_of(series)
            if in_parts and number == len(injections):
                _in_two_parts(course, files)
            else:
                course.send(files, halfway=f"arriving_{number}")
            course.computed(f"result_{number}", computing=f"computing_{number}")
        course.now += timedelta(minutes=4)
        course.confirm()
        course.keep("confirmed")
        course.moments["restarted"] = Moment(snapshot=_restarted(record, course.now), at=course.now)
        if structures and not in_parts:
            course.redraw("Tumour 1", by_mm=16.0)
            course.computed("redrawn")
        if in_parts:
            course.now += timedelta(minutes=1)
            promoted = RevisePlan(plan=_recalibrated(loading["plan"]), reason=REASON, name=PROMOTER)
            course.operate(promoted, name=_PHYSICIST)
            course.computed("settings_changed", computing="settings_changed_computing")
            course.moments["drafted"] = _drafted(course.moments["confirmed"], course.moments["settings_changed"])
        return course.moments


def _in_two_parts(course: Course, files: Sequence[Path]) -> None:
    """Three images come only after the series has been missed."""
    course.send([path for number, path in enumerate(files) if number not in _MISSING])
    course.now += timedelta(seconds=5)
    course.follow()
    state = course.arrived
    alarms = load_settings(None).alarms
    for seconds in (10.0, 10.0 + alarms.incomplete_after_s):
        for uid in state.series_instance_uids:
            course.say(Kind.SERIES_QUIET, {"series_instance_uid": uid, "seconds": seconds, "instances": state.received})
    course.now += timedelta(seconds=10.0 + alarms.incomplete_after_s)
    course.keep("incomplete_series")
    course.now += timedelta(minutes=1)
    course.send([files[number] for number in _MISSING])


def _drafted(active: Moment, promoted: Moment) -> Moment:
    """What the draft's engine told before it was promoted: the results of its settings, of the same events."""
    own = promoted.snapshot
    snapshot = replace(
        active.snapshot,
        plan=own.plan,
        settings=own.settings,
        settings_sha256=own.settings_sha256,
        results=own.results,
        inputs=own.inputs,
        results_inputs=own.results_inputs,
        methods=own.methods,
        alarms=own.alarms,
        overrides=DRAFT,
    )
    return replace(active, snapshot=snapshot)


def _recalibrated(plan: dict[str, Any]) -> dict[str, Any]:
    """The plan with the relaxivity of the draft."""
    return {**plan, "calibration": {**plan["calibration"], "relaxivity_per_s_per_mg_mL": RELAXIVITY}}


def _restarted(record: Record, now: datetime) -> Snapshot:
    """What a console shows that was started anew, before it has read much of the file."""
    shown: list[Snapshot] = []
    session = Session(record=record, engine=Engine(), clock=lambda: now, on_snapshot=shown.append)
    session.resume(as_shown(record, InThisProcess()))
    session.take(record.events(0))
    return shown[-1]
