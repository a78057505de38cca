"""Adding volumes from files: what each structure would be, which name and role it gets, and what is wrong with that."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from console.dashboard.desk.form import Entry, Field, Form, Verdict
from console.dashboard.desk.volume_list import planned_names
from console.given_files import FileKind, FilePreview, GivenFile
from console.operations import GiveVolumes, RevisePlan
from console.snapshot import Snapshot
from console.volume_preview import StructurePreview

AS_PLANNED, TUMOUR, LIVER, NOT_USED = "as in the plan", "tumour", "liver", "not used"
TICKED = "yes"
_LONGEST_NAME = 64


@dataclass(frozen=True, kw_only=True)
class Import:
    """What is to be recorded, in this order: a plan that names what is new, DICOM objects, NIfTI label maps."""

    revision: RevisePlan | None = None
    objects: tuple[GivenFile, ...] = ()
    given: tuple[GiveVolumes, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to record."""
        return not self.objects and not self.given


@dataclass(frozen=True, kw_only=True)
class Meant:
    """A structure that would be used, with the name and the role that it gets."""

    file: int
    structure: StructurePreview
    name: str
    role: str
    new: bool
    """Whether the plan does not name it yet, and will."""
    named_here: bool
    """Whether its name was typed: a label of NIfTI has none."""


def structure_words(file: FilePreview, structure: StructurePreview) -> str:
    """A structure as its file names it: a label of NIfTI has only a number."""
    return f"label {structure.name}" if file.file.kind is FileKind.NIFTI else structure.name


def fault_of(form: Form, meant: Meant) -> str:
    """What is refused of a structure; "" where nothing is."""
    keys = [_key(meant.file, meant.structure, what) for what in ("name", "role")]
    return next((form.verdicts[key].fault for key in keys if key in form.verdicts and form.verdicts[key].fault), "")


def _key(file: int, structure: StructurePreview | None, what: str) -> str:
    return f"{file}:{'' if structure is None else structure.number}:{what}"


# -- the form ------------------------------------------------------------------------------------------------------


def import_form(files: Sequence[FilePreview], snapshot: Snapshot, texts: Mapping[str, str] | None = None) -> Form:
    """The fields of what has to be told, with what was typed and what is wrong beside each.

    A DICOM structure has its name already: it is only asked what one is that the plan does not name.
    """
    named = planned_names(snapshot)
    fields: list[Field] = []
    suggested: dict[str, str] = {}
    several = sum(file.file.kind is FileKind.NIFTI for file in files) > 1
    for at, file in enumerate(files):
        if file.object is None:
            continue
        usable = [own for own in file.object.structures if not own.fault]
        nifti = file.file.kind is FileKind.NIFTI
        for own in usable:
            label = structure_words(file, own)
            if nifti and several:
                label = f"{file.file.path.name}: {label}"
            if nifti:
                fields.append(_name_field(_key(at, own, "name"), label, named))
                suggested[_key(at, own, "name")] = _suggested(file.file.path.name, len(usable), named)
            if nifti or own.name not in named:
                fields.append(_role_field(_key(at, own, "role"), f"{label} is", snapshot, nifti=nifti))
                suggested[_key(at, own, "role")] = AS_PLANNED if nifti else NOT_USED
        if nifti and usable:
            whose = f"patient of {file.file.path.name}" if several else "patient is right"
            fields.append(Field(key=_key(at, None, "patient"), label=whose, entry=Entry.TICK, required=True))
    form = Form(fields=tuple(fields), texts={**suggested, **(texts or {})})
    return replace(form, verdicts=_verdicts(form, files, snapshot))


def _name_field(key: str, label: str, named: Mapping[str, str]) -> Field:
    listed = ", ".join(named)
    return Field(
        key=key,
        label=label,
        hint="name, or empty: left out",
        tooltip=f"The volume that this label is: a name of the plan ({listed or 'none yet'}), or a new one.",
    )


def _role_field(key: str, label: str, snapshot: Snapshot, *, nifti: bool) -> Field:
    has_liver = LIVER in planned_names(snapshot).values()
    choices = [AS_PLANNED if nifti else NOT_USED]
    if snapshot.loaded:
        choices += [TUMOUR] if has_liver else [TUMOUR, LIVER]
    return Field(
        key=key,
        label=label,
        entry=Entry.CHOICE,
        choices=tuple(choices),
        tooltip="What it is to the treatment, where the plan does not name it; the plan is then revised.",
    )


def _suggested(file: str, labels: int, named: Mapping[str, str]) -> str:
    """A file of one label that is called as a volume of the plan is it, most likely."""
    if labels != 1:
        return ""
    stem = _plain(re.sub(r"\.nii(\.gz)?$", "", file, flags=re.IGNORECASE))
    return next((name for name in named if _plain(name) == stem), "")


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def _verdicts(form: Form, files: Sequence[FilePreview], snapshot: Snapshot) -> dict[str, Verdict]:
    found: dict[str, Verdict] = {}
    who = f"{snapshot.patient_name or 'this patient'}, ID {snapshot.patient_id or 'not known'}"
    for one in form.fields:
        if one.entry is Entry.TICK and form.text(one.key) != TICKED:
            found[one.key] = Verdict(fault=f"tick if it is of {who}: a NIfTI file names no patient")
    meant = meant_of(form, files, snapshot)
    livers = [own.name for own in meant if own.new and own.role == LIVER]
    for own in meant:
        if own.named_here:
            found[_key(own.file, own.structure, "name")] = _name_verdict(own, meant, snapshot)
        found[_key(own.file, own.structure, "role")] = _role_verdict(own, livers, snapshot)
    return found


def _name_verdict(own: Meant, meant: Sequence[Meant], snapshot: Snapshot) -> Verdict:
    named = planned_names(snapshot)
    near = _near(own.name, named)
    if len(own.name) > _LONGEST_NAME:
        return Verdict(fault=f"expected at most {_LONGEST_NAME} characters, not {len(own.name)}")
    if any(other.name == own.name for other in meant if other is not own):
        return Verdict(fault=f"{own.name} is given twice: name one of them otherwise, or leave it empty")
    if own.name in named:
        return Verdict()
    if snapshot.plan is None:
        return Verdict(warning="there is no plan yet: it is used once a plan names it")
    if own.role == AS_PLANNED:
        known = f"is {near} meant?" if near else f"it names {', '.join(named) or 'none'}."
        return Verdict(fault=f"not in the plan; {known} For a new one choose below what it is")
    return Verdict(warning=f"new in the plan; is {near} meant?" if near else "new in the plan")


def _role_verdict(own: Meant, livers: Sequence[str], snapshot: Snapshot) -> Verdict:
    of_plan = planned_names(snapshot).get(own.name, "")
    if of_plan and own.role not in (AS_PLANNED, of_plan):
        return Verdict(fault=f"{own.name} is the plan's {of_plan}: choose {AS_PLANNED!r}")
    if own.new and own.role == LIVER and own.name != livers[0]:
        return Verdict(fault=f"{livers[0]} is to be the liver already")
    fed = snapshot.plan is not None and any(table.volumes for table in snapshot.plan.positions.values())
    if own.new and own.role == TUMOUR and fed:
        return Verdict(warning="no position feeds it yet: see the positions in the setup")
    return Verdict()


def _near(name: str, named: Mapping[str, str]) -> str:
    plain = {_plain(other): other for other in named}
    alike = [other for other in plain if re.findall(r"\d+", other) == re.findall(r"\d+", _plain(name))]
    near = get_close_matches(_plain(name), alike, n=1, cutoff=0.75)
    return plain[near[0]] if near else ""


def meant_of(form: Form, files: Sequence[FilePreview], snapshot: Snapshot) -> list[Meant]:
    """Every structure that would be used, with its name and role."""
    named = planned_names(snapshot)
    found = []
    for at, file in enumerate(files):
        nifti = file.file.kind is FileKind.NIFTI
        for own in file.object.structures if file.object is not None else ():
            role = form.text(_key(at, own, "role")) or AS_PLANNED
            name = form.text(_key(at, own, "name")).strip() if nifti else own.name
            if own.fault or not name or role == NOT_USED:
                continue
            new = name not in named and role in (TUMOUR, LIVER)
            found.append(Meant(file=at, structure=own, name=name, role=role, new=new, named_here=nifti))
    return found


# -- what is recorded ----------------------------------------------------------------------------------------------


def planned_import(form: Form, files: Sequence[FilePreview], snapshot: Snapshot) -> Import:
    """What the form would record; nothing while something is refused."""
    if not form.ready:
        return Import()
    meant = meant_of(form, files, snapshot)
    objects: list[GivenFile] = []
    given: list[GiveVolumes] = []
    for at, file in enumerate(files):
        own = [one for one in meant if one.file == at]
        if own and file.file.kind is FileKind.NIFTI:
            labels = {int(one.structure.name): one.name for one in own}
            given.append(GiveVolumes(name=file.file.path.name, labels=labels, nifti=file.file.data))
        elif own:
            objects.append(file.file)
    new = [one for one in meant if one.new]
    revision = RevisePlan(plan=_with_structures(snapshot, new)) if new else None
    return Import(revision=revision, objects=tuple(objects), given=tuple(given))


def _with_structures(snapshot: Snapshot, new: Sequence[Meant]) -> Mapping[str, object]:
    plan = copy.deepcopy(dict(snapshot.loaded["plan"]))
    table = dict(plan.get("structures") or {})
    table["tumours"] = [*(table.get("tumours") or ()), *(one.name for one in new if one.role == TUMOUR)]
    liver = next((one.name for one in new if one.role == LIVER), None)
    if liver is not None:
        table["liver"] = liver
    return {**plan, "structures": table}


def why_not(form: Form, files: Sequence[FilePreview], snapshot: Snapshot) -> str:
    """Why nothing can be added, in a sentence; "" where something can."""
    if not any(file.object is not None for file in files):
        return "None of these files holds volumes that can be used; nothing is recorded."
    if not form.ready:
        return "Nothing can be added while something is refused (✕)."
    if planned_import(form, files, snapshot).empty:
        return "Nothing of this would be used: give a structure a name of the plan, or a role."
    return ""
