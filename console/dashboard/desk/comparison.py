"""Two sides of a comparison as they are chosen: what is typed is checked, and what each is called. No Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from config.errors import ConfigurationError
from config.overrides import parse_set
from console.dashboard.desk.volume_list import planned_names
from console.dashboard.screen.model import State, Tone
from console.shell import CommandError, refuse_another_patient
from console.snapshot import GivenStructures, Snapshot
from console.tasks import Computing
from console.treatment import Treatment, laid_over

THIS, OTHER = "this treatment", "another treatment file"
AS_RECORDED = "as recorded"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen and typed for one side."""

    other: bool = False
    """Another treatment file than the one of the window."""
    path: str = ""
    """Of the other file."""
    settings: str = ""
    """``KEY=VALUE``, one on a line."""
    versions: Mapping[str, int] = field(default_factory=dict)
    """Of volumes of this treatment, by name; those that are not here are as recorded."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a choice comes to: a task, or what is wrong with it."""

    task: Computing | None = None
    details: str = ""
    """What is laid over the treatment, in words."""
    fault: str = ""

    @property
    def label(self) -> str:
        """How the side is called: its file, and what is laid over it."""
        if self.task is None:
            return ""
        return " · ".join(filter(None, (self.task.path.stem, self.details or AS_RECORDED)))


@dataclass(frozen=True, kw_only=True)
class Working:
    """How far the computation of a side has come."""

    done: int = 0
    of: int = 0
    finished: bool = False
    failure: str = ""

    @property
    def percent(self) -> int:
        """Of the file's events; the images are computed after the last."""
        return 100 if self.finished else 100 * self.done // max(self.of, 1)


def judged(choice: Choice, snapshot: Snapshot, record: Path) -> Judged:
    """Check a choice, as ``--set`` would.

    Parameters
    ----------
    snapshot
        What the window knows of its own treatment.
    record
        The window's treatment file.
    """
    lines = [line.strip() for line in choice.settings.splitlines() if line.strip()]
    try:
        values = parse_set(lines)
        refuse_another_patient(values)
        if not choice.other and values:
            if not snapshot.loaded:
                return Judged(fault="There is no plan yet that settings could be laid over.")
            laid_over(Treatment(loaded=snapshot.loaded), values)
    except ConfigurationError as error:
        return Judged(fault=" ".join(error.faults))
    except CommandError as error:
        return Judged(fault=str(error))
    path = Path(choice.path.strip()).expanduser() if choice.other else record
    if choice.other and (fault := file_fault(choice.path.strip(), path)):
        return Judged(fault=fault)
    versions = {} if choice.other else dict(choice.versions)
    details = " · ".join([*lines, *(f"{name} version {number}" for name, number in versions.items())])
    return Judged(task=Computing(path=path, overrides=values, volumes=versions), details=details)


def file_fault(typed: str, path: Path) -> str:
    """What is wrong with the name of a treatment file; whether it holds a treatment is seen when it is read."""
    if not typed:
        return "Name a treatment file."
    if path.is_dir():
        return f"{path} is a folder; name a treatment file."
    return "" if path.is_file() else f"{path} does not exist; check the name."


def fault_of_both(a: Judged, b: Judged) -> str:
    """Why the two cannot be compared; "" where they can."""
    if a.task is None or b.task is None:
        return " ".join(f"{side}: {own.fault}" for side, own in (("A", a), ("B", b)) if own.fault)
    if a.task.path.absolute() == b.task.path.absolute() and _laid_over(a.task) == _laid_over(b.task):
        return (
            "A and B are the same: change a setting or a version of a volume, or choose another file for one of them."
        )
    return ""


def versions_of(snapshot: Snapshot) -> dict[str, tuple[str, ...]]:
    """By name of a volume that was given more than once: what each version is from, oldest first."""
    found = {}
    for name in planned_names(snapshot):
        titles = tuple(
            f"version {number} · {given.structures.label or 'no label'} · {given.by}"
            for number, given in enumerate(_given(snapshot, name), start=1)
        )
        if len(titles) > 1:
            found[name] = titles
    return found


def side_state(letter: str, own: Judged, working: Working | None) -> State:
    """A side in a line: what is wrong with it, what it will be, or how far it has come."""
    if working is None:
        if own.fault:
            return State(sign="✕", word=f"{letter}: {own.fault}", tone=Tone.ALERT)
        return State(sign="○", word=f"{letter}: {own.label}", tone=Tone.MUTED)
    if working.failure:
        return State(sign="✕", word=f"{letter}: {working.failure}", tone=Tone.ALERT)
    if working.finished:
        return State(sign="✓", word=f"{letter}: {own.label}", tone=Tone.GOOD)
    how_far = f"reading {working.percent} %" if working.done < working.of or not working.of else "computing the results"
    return State(sign="●", word=f"{letter}: {how_far} · {own.label}", tone=Tone.ACTIVE)


def _laid_over(task: Computing) -> tuple[dict[str, object], dict[str, int]]:
    return dict(task.overrides), dict(task.volumes)


def _given(snapshot: Snapshot, name: str) -> list[GivenStructures]:
    """The objects that hold a volume, as `console.computed` counts them."""
    return [
        given
        for given in snapshot.structures
        if name in {structure.name.strip() for structure in given.structures.structures}
    ]
