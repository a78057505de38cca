"""A registration set by hand: which series, what is in force, what was changed, and what speaks against it.

The cuts that are laid over each other are in `console.dashboard.desk.registration_cuts`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from console.dashboard.screen.formatting import decimal, signed
from console.dashboard.screen.model import State, Tone
from console.dashboard.screen.room_time import room_clock
from console.operations import GiveRegistration
from console.snapshot import ImagedSeries, Snapshot
from dicom_listener.images import SeriesStatus
from quantify.findings import FractionResult, Registration, RegistrationStatus
from quantify.model import FloatArray
from quantify.rigid import Triple, nearest_rigid, rigid_matrix, six_degrees

AXES = (
    ("Left (+) / right (−)", "mm"),
    ("Back (+) / front (−)", "mm"),
    ("Head (+) / feet (−)", "mm"),
    ("About left–right axis", "°"),
    ("About front–back axis", "°"),
    ("About feet–head axis", "°"),
)
"""The six numbers in order, with their units; signs as in DICOM (LPS), turns right-handed."""
DIRECTIONS = ("L + / R −", "P + / A −", "H + / F −")
"""The patient's axes, with the sign of each direction."""
CONVENTION = (
    "Where the liver lies in the series against the reference: how far its middle has moved, and how it has turned "
    "about its middle. A cut that is dragged moves the series over the reference, which is the opposite."
)
_LEAST_COVERED, _WELL_COVERED = 0.1, 0.95
_SAME = 1e-6
_STATES = {
    RegistrationStatus.OK: State(sign="✓", word="OK", tone=Tone.GOOD),
    RegistrationStatus.NOT_NEEDED: State(sign="✓", word="not needed: it lies on the reference", tone=Tone.GOOD),
    RegistrationStatus.WARNING: State(sign="▲", word="LOOK AT IT", tone=Tone.CAUTION),
    RegistrationStatus.FAILED: State(sign="✕", word="FAILED: no dose", tone=Tone.ALERT),
}
_UNKNOWN = State(sign="–", word="not judged yet", tone=Tone.MUTED)
_COMPUTING = State(sign="…", word="being computed and judged", tone=Tone.ACTIVE)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A series that can be registered by hand."""

    series_key: str
    words: str
    imaged: ImagedSeries
    result: FractionResult | None

    @property
    def registration(self) -> Registration | None:
        """As it was judged last."""
        return None if self.result is None else self.result.registration


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Six degrees: millimetres and degrees as `quantify.rigid` counts them."""

    translation_mm: Triple
    rotation_deg: Triple

    @property
    def values(self) -> tuple[float, ...]:
        """All six, in the order of `AXES`."""
        return (*self.translation_mm, *self.rotation_deg)

    def changed(self, number: int, value: float) -> Pose:
        """The pose with one of its six numbers changed."""
        new = list(self.values)
        new[number] = value
        return Pose(translation_mm=(new[0], new[1], new[2]), rotation_deg=(new[3], new[4], new[5]))

    def matrix(self, centre_mm: FloatArray) -> FloatArray:
        """4×4 from the reference to the series, LPS mm."""
        return rigid_matrix(self.translation_mm, self.rotation_deg, centre_mm)


AS_ACQUIRED = Pose(translation_mm=(0.0, 0.0, 0.0), rotation_deg=(0.0, 0.0, 0.0))


def pose_of(matrix: FloatArray, centre_mm: FloatArray) -> Pose:
    """The six degrees of a matrix."""
    translation, rotation = six_degrees(matrix, centre_mm)
    return Pose(translation_mm=translation, rotation_deg=rotation)


def candidates(snapshot: Snapshot) -> tuple[Candidate, ...]:
    """The series of the fractions that were fitted, in order of injection, whether their registration held or not."""
    results = {result.key: result for result in snapshot.results}
    states = {state.key: state for state in snapshot.series if state.status is SeriesStatus.COMPLETE}
    used = (b for b in snapshot.bindings if b.role == "fraction" and b.series_key in states)
    keys = {(b.position, b.fraction): b.series_key for b in used}
    found = []
    for imaged in snapshot.imaged:
        if imaged.key is None or imaged.key not in keys:
            continue
        key, result = keys[imaged.key], results.get(imaged.key)
        state = judged(result.registration if result is not None else None)
        words = f"{imaged.label} {room_clock(snapshot, states[key].acquired_at)} {state.text}"
        found.append(Candidate(series_key=key, words=words, imaged=imaged, result=result))
    return tuple(found)


def worth_looking_at(of: tuple[Candidate, ...]) -> str:
    """The series to begin with: one that failed, else one that is marked, else the latest; "" where there is none."""
    for status in (RegistrationStatus.FAILED, RegistrationStatus.WARNING):
        found = [c for c in of if c.registration is not None and c.registration.status is status]
        if found:
            return found[-1].series_key
    return of[-1].series_key if of else ""


def judged(registration: Registration | None) -> State:
    """How a registration was judged: shape, word, colour."""
    return _UNKNOWN if registration is None else _STATES[registration.status]


# -- what is in force ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class InForce:
    """The transform that counts now: who gave it ("" where it was found), and whether its result is here."""

    matrix: FloatArray
    by: str
    computed: bool


def in_force(snapshot: Snapshot, candidate: Candidate) -> InForce:
    """The operator's transform if there is one, also before its result is here; else the one that was found."""
    applied = np.array(candidate.imaged.reference_to_series_lps_mm)
    if candidate.series_key not in snapshot.given_registrations:
        given_before = candidate.registration is not None and candidate.registration.given_by is not None
        return InForce(matrix=applied, by="", computed=not given_before)
    rows, by = snapshot.given_registrations[candidate.series_key]
    given = nearest_rigid(np.array(rows))
    same = bool(np.abs(given - applied).max() < _SAME)
    return InForce(matrix=applied if same else given, by=by or "an operator", computed=same)


def in_force_words(snapshot: Snapshot, candidate: Candidate) -> tuple[State, str]:
    """The state of the registration in force, and what the last judgement measured."""
    now = in_force(snapshot, candidate)
    registration = candidate.registration
    whose = f"given by {now.by}" if now.by else "found automatically"
    if not now.computed:
        return State(sign=_COMPUTING.sign, word=f"{whose}: {_COMPUTING.word}", tone=_COMPUTING.tone), ""
    state = judged(registration)
    return State(sign=state.sign, word=f"{whose}: {state.word}", tone=state.tone), _measured(registration)


def _measured(registration: Registration | None) -> str:
    if registration is None:
        return ""
    told = []
    if registration.similarity is not None:
        told.append(f"similarity {decimal(registration.similarity, 2)}")
    if not registration.message and registration.edge_median_mm is not None and registration.edge_95_mm is not None:
        median, far = decimal(registration.edge_median_mm, 1), decimal(registration.edge_95_mm, 1)
        told.append(f"liver's edge {median} mm off (median), {far} mm (95th percentile)")
    return ": ".join(filter(None, ("; ".join(told), registration.message)))


# -- what was changed ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class DraftScreen:
    """What is set and not recorded, whether it may be, and what will follow."""

    state: State
    fault: str
    warning: str
    operation: GiveRegistration | None
    follows: str


def draft_screen(
    snapshot: Snapshot, candidate: Candidate, matrix: FloatArray, centre_mm: FloatArray, covered: float, *, name: str
) -> DraftScreen:
    """Judge what is set.

    Parameters
    ----------
    matrix
        4×4 as it is set, from the reference to the series.
    covered
        Share of the liver that the series covers by that.
    name
        Who would give it.
    """
    now = in_force(snapshot, candidate)
    differs = bool(np.abs(matrix - now.matrix).max() > _SAME)
    fault = ""
    if covered < _LEAST_COVERED:
        fault = f"the series would cover {_percent(covered)} of the liver: expected at least {_percent(_LEAST_COVERED)}"
    new = differs or (not now.by and now.computed)
    operation = None
    if new and not fault:
        rows = tuple(tuple(float(v) for v in row) for row in matrix)
        operation = GiveRegistration(series_key=candidate.series_key, reference_to_series_lps_mm=rows)
    label = candidate.imaged.label
    follows = (
        f"{label} and what builds on it are computed again; the result says “registration given by {name or '?'}”."
    )
    if not differs:
        accepted = "" if operation is None else f" Recording it all the same accepts it in your name. {follows}"
        state = State(sign="=", word="nothing changed", tone=Tone.MUTED)
        return DraftScreen(state=state, fault=fault, warning="", operation=operation, follows=accepted.strip())
    return DraftScreen(
        state=State(sign="▲", word=f"NOT RECORDED: {_difference(now.matrix, matrix, centre_mm)}", tone=Tone.CAUTION),
        fault=fault,
        warning=_warning(snapshot, pose_of(matrix, centre_mm), covered),
        operation=operation,
        follows=follows,
    )


def taken_back(snapshot: Snapshot, candidate: Candidate) -> GiveRegistration | None:
    """The word that takes a given registration back; None where none was given."""
    if candidate.series_key not in snapshot.given_registrations:
        return None
    return GiveRegistration(series_key=candidate.series_key, reference_to_series_lps_mm=())


def _difference(before: FloatArray, after: FloatArray, centre_mm: FloatArray) -> str:
    moved = (after - before) @ np.append(centre_mm, 1.0)
    _, turn = six_degrees(after @ np.linalg.inv(before), np.zeros(3))
    return f"{decimal(float(np.linalg.norm(moved)), 1)} mm and {decimal(float(np.linalg.norm(turn)), 1)}° from it"


def _warning(snapshot: Snapshot, pose: Pose, covered: float) -> str:
    told = []
    if covered < _WELL_COVERED:
        told.append(f"the series covers {_percent(covered)} of the liver: the rest has no dose")
    if snapshot.settings is not None:
        limits = snapshot.settings.quantification.registration
        shift, turn = (float(np.linalg.norm(v)) for v in (pose.translation_mm, pose.rotation_deg))
        if shift > limits.maximum_translation_mm:
            told.append(f"{decimal(shift, 0)} mm is beyond the limit of {decimal(limits.maximum_translation_mm, 0)} mm")
        if turn > limits.maximum_rotation_deg:
            told.append(f"{decimal(turn, 0)}° is beyond the limit of {decimal(limits.maximum_rotation_deg, 0)}°")
    return "; ".join(told)


def _percent(share: float) -> str:
    return f"{decimal(100.0 * share, 0)} %"


def pose_words(pose: Pose) -> str:
    """All six for a screen reader and the accessible description of the cuts."""
    return ", ".join(f"{name} {signed(value, 2)} {unit}" for (name, unit), value in zip(AXES, pose.values, strict=True))
