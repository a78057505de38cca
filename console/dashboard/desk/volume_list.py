"""The volumes of the plan and all their versions: which one is used, what it is from, and what each of them gave."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from console.dashboard.screen import formatting
from console.dashboard.screen.model import Cell, State, Tone
from console.dashboard.screen.room_time import room_time
from console.dashboard.screen.words import dose_words
from console.operations import ChooseVolume
from console.outputs.recorded import recorded_fraction
from console.snapshot import GivenStructures, Snapshot
from dicom_listener.events import Event, Kind
from quantify.model import Role, Volume

_OUTSIDE_SAID, _OUTSIDE_WARNED = 0.005, 0.02
"""Less of a volume outside the images is what rasterising alone makes of it; more is warned of."""
_OBJECT_KEYS = "volume_objects"

Doses = Mapping[tuple[str, str], Sequence[str]]
"""By name of the volume and object (SHA-256): what was shown of it, oldest first, such as ``RHA F2: 78 ± 11 Gy``."""


@dataclass(frozen=True, kw_only=True)
class VersionRow:
    """One version of a volume. ``sha256`` is its object's."""

    sha256: str
    cells: tuple[Cell, ...]
    used: bool
    usable: bool
    number: int


@dataclass(frozen=True, kw_only=True)
class VolumeRow:
    """One volume of the plan, with its versions, newest first."""

    name: str
    cells: tuple[Cell, ...]
    versions: tuple[VersionRow, ...] = ()
    chosen: bool = False
    """Whether an operator chose its version over the latest."""


@dataclass(frozen=True, kw_only=True)
class VolumeList:
    """What the dialog lists."""

    rows: tuple[VolumeRow, ...] = ()
    told: tuple[State, ...] = ()
    """Faults and remarks, and what is not of the plan, a sentence each."""
    empty: str = ""
    """Why there is nothing, if so."""


VOLUME_COLUMNS = ("Volume", "State", "Version", "mL", "Outside", "From", "Given")
VERSION_COLUMNS = ("Version", "State", "mL", "Given", "From", "What it gave")


_TERRITORY = "territory"


@dataclass(frozen=True, kw_only=True)
class History:
    """What reading the file gave: doses by version, and the size of every structure."""

    doses: Doses = field(default_factory=dict)
    volumes_ml: Mapping[tuple[int, str], float] = field(default_factory=dict)
    """By place among the snapshot's structures and name: what it encloses, mL."""
    untold: bool = False
    """Whether results were shown of which it was not recorded what versions they are of."""


def volume_list(snapshot: Snapshot, history: History | None = None) -> VolumeList:
    """List the volumes that the plan names, and what else was given."""
    history = history or History()
    named = planned_names(snapshot)
    if not named:
        why = "The plan names no volumes yet." if snapshot.plan is not None else "There is no plan yet."
        return VolumeList(told=_told(snapshot, named), empty=f"{why} Draw one, or add one from a file.")
    drawn = {volume.name: volume for volume in snapshot.volumes if volume.role is not Role.HEALTHY_LIVER}
    rows = tuple(_row(snapshot, name, role, drawn.get(name), history) for name, role in named.items())
    return VolumeList(rows=rows, told=_told(snapshot, named))


def planned_names(snapshot: Snapshot) -> dict[str, str]:
    """Names of the volumes that somebody has to give, with what they are, in the plan's order."""
    if snapshot.plan is None:
        return {}
    found: dict[str, str] = {}
    structures = snapshot.plan.structures
    if structures is not None:
        found |= dict.fromkeys(structures.tumours, "tumour")
        if structures.liver:
            found[structures.liver] = "liver"
    for position, table in snapshot.plan.positions.items():
        if table.territory:
            found.setdefault(table.territory, f"{_TERRITORY} of {position}")
    return found


def given_of(snapshot: Snapshot, name: str) -> list[tuple[int, GivenStructures]]:
    """Every object that names a volume, oldest first, with its place among all."""
    return [
        (place, given)
        for place, given in enumerate(snapshot.structures)
        if name in {structure.name.strip() for structure in given.structures.structures}
        or name in {own.strip() for own, _ in given.structures.unusable}
    ]


def doses_of(events: Iterable[Event]) -> Doses:
    """What was shown of every version of every volume: of each fraction the latest."""
    found: dict[tuple[str, str], dict[tuple[str, int], str]] = {}
    for event in events:
        objects = event.payload.get(_OBJECT_KEYS)
        if event.kind != Kind.RESULT_SHOWN or not isinstance(objects, Mapping):
            continue
        try:
            result = recorded_fraction(event.payload["result"])
        except (KeyError, ValueError):
            continue  # another version's, which this one cannot read
        for name, sha256 in objects.items():
            own = result.volumes.get(str(name))
            words = dose_words(own) if own is not None else result.error or "no result"
            shown = found.setdefault((str(name), str(sha256)), {})
            shown[result.key] = f"{result.label}: {words}"
    return {key: tuple(shown.values()) for key, shown in found.items()}


def untold(events: Iterable[Event]) -> bool:
    """Whether a result was recorded without the versions that it is of, as earlier versions of Holmia did."""
    return any(event.kind == Kind.RESULT_SHOWN and _OBJECT_KEYS not in event.payload for event in events)


def choosing(row: VolumeRow, version: VersionRow | None) -> ChooseVolume | None:
    """The word by which a version (None: the latest, as it changes) is used from now on; None where none is needed."""
    if version is None:
        return ChooseVolume(volume=row.name, object_sha256="") if row.chosen else None
    if version.used or not version.usable:
        return None
    if version is row.versions[0]:
        return choosing(row, None)
    return ChooseVolume(volume=row.name, object_sha256=version.sha256)


# -- rows ----------------------------------------------------------------------------------------------------------


def _row(snapshot: Snapshot, name: str, role: str, volume: Volume | None, history: History) -> VolumeRow:
    source = snapshot.volume_sources.get(name)
    given = given_of(snapshot, name)
    used = source.version if source is not None else 0
    versions = tuple(
        _version(snapshot, name, number, place, own, used=number == used, history=history)
        for number, (place, own) in reversed(list(enumerate(given, start=1)))
    )
    chosen = name in snapshot.chosen_volumes
    of = given[(used or len(given)) - 1][1] if given and used <= len(given) else None
    territory = role.startswith(_TERRITORY)
    state = _state(snapshot, name, volume, given=bool(given), territory=territory and source is not None)
    version = "—" if source is None else f"{used} of {max(len(given), used)}"
    details = _hashes(source.sha256 if source is not None else "", of)
    place = given[(used or len(given)) - 1][0] if of is not None else -1
    of_history = history.volumes_ml.get((place, name))
    cells = (
        Cell(text=name, bold=True, tooltip=f"{name}: {role}. Name and role: the plan, [structures]."),
        Cell(text=state.text, tone=state.tone, tooltip="\n".join(_faults_of(snapshot, name)) or state.word),
        Cell(text=f"{version}{' (chosen)' if chosen else ''}", tone=Tone.CAUTION if chosen else Tone.NORMAL,
             tooltip=f"Version in use, of so many that were given.\n{details}"),
        Cell(text=millilitres(volume.contour_volume_ml if volume is not None else of_history),
             tooltip="What the contours or the mask enclose, mL, within the reference series or not."),
        outside_cell(None if volume is None else volume.fraction_outside_grid),
        Cell(text=source.title if source is not None else "—", tooltip=details),
        Cell(text=_given_words(snapshot, of) if of is not None else "—", tooltip=details),
    )  # fmt: skip
    return VolumeRow(name=name, cells=cells, versions=versions, chosen=chosen)


def _version(
    snapshot: Snapshot, name: str, number: int, place: int, given: GivenStructures, *, used: bool, history: History
) -> VersionRow:
    why = next((why for own, why in given.structures.unusable if own.strip() == name), "")
    sha256 = given.structures.object_sha256
    if used:
        chosen = name in snapshot.chosen_volumes
        state = State(sign="●", word="in use, chosen" if chosen else "in use", tone=Tone.GOOD)
    elif why:
        state = State(sign="✕", word="cannot be used", tone=Tone.ALERT)
    else:
        state = State(sign="○", word="not in use", tone=Tone.MUTED)
    doses = history.doses.get((name, sha256), ())
    nothing = "not recorded which results are of it" if history.untold else "nothing shown of it yet"
    gave = "; ".join(f"after {words}" for words in doses) or nothing
    details = _hashes(sha256, given)
    cells = (
        Cell(text=str(number), bold=used, tooltip=f"The {number}. object that names {name}."),
        Cell(text=state.text, tone=state.tone, tooltip=why or state.word),
        Cell(text=millilitres(history.volumes_ml.get((place, name))), tooltip="What it encloses, mL."),
        Cell(text=_given_words(snapshot, given), tooltip=details),
        Cell(text=given.structures.label, tooltip=details),
        Cell(
            text=gave,
            tone=Tone.NORMAL if doses else Tone.MUTED,
            tooltip="Mean absorbed dose ± standard uncertainty (k = 1), Gy, as it was shown with this version; from "
            f"the treatment file.\n{gave}",
        ),
    )
    return VersionRow(sha256=sha256, cells=cells, used=used, usable=not why and bool(sha256), number=number)


def _state(snapshot: Snapshot, name: str, volume: Volume | None, *, given: bool, territory: bool) -> State:
    """`territory`: it is read, and no volume of its own: only its healthy part has a dose."""
    if territory:
        faults = _faults_of(snapshot, name)
        return (
            State(sign="▲", word="used, look", tone=Tone.CAUTION)
            if faults
            else State(sign="✓", word="used (territory)", tone=Tone.GOOD)
        )
    if volume is None:
        if not given:
            return State(sign="–", word="not given yet", tone=Tone.CAUTION)
        if not _faults_of(snapshot, name):
            return State(sign="●", word="being read", tone=Tone.ACTIVE)
        return State(sign="✕", word="cannot be used", tone=Tone.ALERT)
    if _faults_of(snapshot, name) or volume.fraction_outside_grid > _OUTSIDE_WARNED:
        return State(sign="▲", word="used, look", tone=Tone.CAUTION)
    return State(sign="✓", word="used", tone=Tone.GOOD)


def _faults_of(snapshot: Snapshot, name: str) -> list[str]:
    """The sentences on a volume. Of Tumour 10 none is on Tumour 1; and where one is missing, others are only listed."""
    alone = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    return [
        fault
        for fault in snapshot.structure_faults
        if (fault.startswith(f"Structure {name!r}") if fault.startswith("Structure '") else alone.search(fault))
    ]


def outside_cell(outside: float | None) -> Cell:
    """Share 0…1 of a volume outside the reference series, in per cent."""
    tooltip = "Share of the volume that lies outside the reference series, %: its dose speaks for the rest."
    if outside is None:
        return Cell(text="—", tooltip=tooltip)
    if outside < _OUTSIDE_SAID:
        return Cell(text="0 %", tooltip=tooltip)
    tone = Tone.CAUTION if outside > _OUTSIDE_WARNED else Tone.NORMAL
    return Cell(text=f"{'▲ ' * (tone is Tone.CAUTION)}{100 * outside:.0f} %", tone=tone, tooltip=tooltip)


def millilitres(volume_ml: float | None) -> str:
    """``1 480 mL``, ``4.2 mL``; a dash where it is not known."""
    if volume_ml is None:
        return formatting.NOT_KNOWN
    return f"{formatting.decimal(volume_ml, 0 if volume_ml >= 10 else 1)} mL"


def _given_words(snapshot: Snapshot, given: GivenStructures) -> str:
    how = given.drawn or ("received" if given.by == "listener" else "from a file")
    by = "" if given.by in ("listener", "import") else f" by {given.by}"
    return f"{room_time(snapshot, given.at):%H:%M}{by}, {how}"


def _hashes(sha256: str, given: GivenStructures | None) -> str:
    told = [f"SHA-256 {sha256[:8]}…" if sha256 else "no object"]
    if given is not None:
        told.append(f"recorded {given.at:%Y-%m-%d %H:%M:%S} UTC by {given.by}")
        told.append(f"drawn here: {given.drawn}" if given.drawn else "from elsewhere")
    return "\n".join(told)


def _told(snapshot: Snapshot, named: Mapping[str, str]) -> tuple[State, ...]:
    faults = [State(sign="▲", word=fault, tone=Tone.CAUTION) for fault in snapshot.structure_faults]
    remarks = [State(sign="·", word=remark, tone=Tone.MUTED) for remark in snapshot.structure_remarks]
    others = {s.name.strip() for given in snapshot.structures for s in given.structures.structures} - set(named)
    if others:
        listed = ", ".join(sorted(others)[:8]) + ", …" * (len(others) > 8)
        remarks.append(State(sign="·", word=f"Given, but not in the plan and not used: {listed}.", tone=Tone.MUTED))
    return tuple(dict.fromkeys([*faults, *remarks]))
