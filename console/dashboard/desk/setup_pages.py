"""The pages of the setup: which field stands where, under which name, in which unit; and how many are refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from console.dashboard.desk.form import FAULT_SIGN, WARNING_SIGN, Entry, Field, Form, Verdict
from console.dashboard.desk.setup_form import SetupForm, is_fixed
from console.dashboard.desk.setup_texts import PlanTexts
from console.dashboard.screen.model import State

PAGES = ("Patient", "Activity", "Positions and fractions", "Volumes and limits", "Check")
CHECK = len(PAGES) - 1
_PAGE_OF = {
    "patient": 0,
    "confirm": 0,
    "time_zone": 1,
    "microspheres": 1,
    "calibration": 1,
    "vials": 1,
    "residuals": 1,
    "positions": 2,
    "injections": 2,
    "structures": 3,
    "limits": 3,
}
DIVIDE, ONE_MORE = "Divide", "+ F"
"""Buttons of a position: make its fractions from MBq and split; add one more."""
_TIME_HINT = "10:08, or 2026-03-04 10:08"

PATIENT = (
    Field(key="patient.id", label="Patient ID", hint="as in the images", required=True),
    Field(key="patient.birth_date", label="Birth date", unit="year-month-day", hint="1957-05-12"),
    Field(key="patient.name", label="Name", tooltip="For display; images are never matched by it."),
    Field(key="patient.issuer", label="Issuer of the ID", tooltip="Matched where it is given; usually empty."),
)  # fmt: skip
CONFIRMATION = (
    Field(key="confirm.id", label="Patient ID, read and typed again", hint="from the wristband or the request"),
    Field(
        key="confirm.birth_date",
        label="Birth date, read and typed again",
        unit="year-month-day",
        hint="from the wristband or the request",
    ),
)
BATCH = (
    Field(
        key="microspheres.specific_activity_MBq_per_mg",
        label="Specific activity",
        unit="MBq/mg",
        entry=Entry.NUMBER,
        hint="12.0",
        tooltip="Per mg of microspheres (not of holmium), at the reference time.",
    ),
    Field(
        key="microspheres.reference_time",
        label="at (reference time)",
        hint=_TIME_HINT,
        tooltip="When the specific activity holds, in the time zone of the treatment.",
    ),
    Field(
        key="microspheres.holmium_fraction",
        label="Holmium fraction",
        unit="g/g",
        entry=Entry.NUMBER,
        hint="0.195",
        tooltip="Mass of holmium per mass of microspheres; 0.195 is the middle of EMERITUS-1's 19.1 to 19.9 %.",
    ),
    Field(key="time_zone", label="Time zone of all times", hint="Europe/Amsterdam"),
)
CALIBRATION = (
    Field(
        key="calibration.relaxivity_per_s_per_mg_mL",
        label="Relaxivity r2*",
        unit="s⁻¹/(mg/mL)",
        entry=Entry.NUMBER,
        hint="218",
        tooltip="Per mg of microspheres per mL, from the site's phantom; about 110 at 1.5 T, 220 at 3 T.",
    ),
    Field(
        key="calibration.field_T",
        label="Field strength",
        unit="T",
        entry=Entry.NUMBER,
        hint="3.0",
        tooltip="Series of another field strength are refused.",
    ),
    Field(
        key="calibration.holmium_fraction",
        label="Holmium fraction then",
        unit="g/g",
        entry=Entry.NUMBER,
        hint="0.195",
        tooltip="Of the batch that was calibrated: r2* scales with it.",
    ),
    Field(
        key="calibration.temperature_C",
        label="Phantom temperature",
        unit="°C",
        entry=Entry.NUMBER,
        hint="may stay empty",
    ),
)
STRUCTURES = (
    Field(key="structures.liver", label="Whole liver", hint="Liver", tooltip="Name as in the structure set."),
    Field(
        key="structures.tumours",
        label="Tumours",
        hint="Tumour 1, Tumour 2",
        tooltip="Names as in the structure set, with commas between.",
    ),
)
FORMS = {"patient": PATIENT, "confirm": CONFIRMATION, "batch": BATCH, "calibration": CALIBRATION,
         "structures": STRUCTURES}  # fmt: skip

_COLUMNS = {
    "vials": (
        Field(key="name", label="Vial", hint="A"),
        Field(key="activity_MBq", label="Activity", unit="MBq", entry=Entry.NUMBER, hint="460"),
        Field(key="assay_time", label="Assayed at", hint=_TIME_HINT),
        Field(key="mass_mg", label="Mass", unit="mg", entry=Entry.NUMBER, hint="optional",
              tooltip="Of microspheres; without it, from the batch's specific activity."),
    ),
    "residuals": (
        Field(key="activity_MBq", label="Residual", unit="MBq", entry=Entry.NUMBER, hint="35"),
        Field(key="assay_time", label="Assayed at", hint=_TIME_HINT),
        Field(key="injections", label="Left of", hint="RHA F1, RHA F2",
              tooltip="The injections that it is left of."),
    ),
    "positions": (
        Field(key="name", label="Position", hint="RHA"),
        Field(key="territory", label="Territory", hint="structure",
              tooltip="The structure that is supplied from here: adds its healthy liver as a volume of its own."),
        Field(key="volumes", label="Tumours fed", hint="all", tooltip="Names with commas between; empty: all."),
        Field(key="prescribed_MBq", label="Prescribed", unit="MBq", entry=Entry.NUMBER, hint="1290"),
        Field(key="split", label="Split", unit="%", hint="10/30/30/30"),
    ),
    "injections": (
        Field(key="planned_MBq", label="Planned", unit="MBq", entry=Entry.NUMBER, hint="may stay empty"),
        Field(key="vials", label="Drawn from vials", hint="A, B", tooltip="Names of vials, with commas between."),
        Field(key="activity_MBq", label="Net activity", unit="MBq", entry=Entry.NUMBER, hint="—",
              tooltip="Net and final, from a plan file. During a treatment it is recorded in Injections."),
        Field(key="time", label="Ended at", hint="—",
              tooltip="End of the injection, from a plan file. During a treatment it is recorded in Injections."),
        Field(key="outside_mri", label="Outside MRI", entry=Entry.TICK, tooltip="No series follows it."),
    ),
    "limits": (
        Field(key="volume", label="Volume", hint="Healthy liver"),
        Field(key="dose_Gy", label="Mean dose at most", unit="Gy", entry=Entry.NUMBER, hint="55"),
        Field(key="source", label="Source", hint="where the limit comes from"),
    ),
}  # fmt: skip
_FROM_FILES = ("activity_MBq", "time")
"""Columns of the fractions that only a plan file fills."""


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """One row of a table of fields; ``verdict`` is the worst of them, with the name of its column."""

    number: int
    label: str
    fields: tuple[Field, ...]
    texts: tuple[str, ...]
    faults: tuple[bool, ...]
    verdict: Verdict
    state: State
    actions: tuple[str, ...] = ()
    """What the buttons at the row's end do, in words."""


@dataclass(frozen=True, kw_only=True)
class FieldTable:
    """Rows with the same columns."""

    rows_key: str
    columns: tuple[Field, ...]
    rows: tuple[TableRow, ...]


def page_form(form: SetupForm, name: str) -> Form:
    """One of `FORMS`, as it stands."""
    fields = FORMS[name]
    return Form(fields=fields, texts=form.texts, verdicts=form.judged.verdicts)


def table(form: SetupForm, rows: str) -> FieldTable:
    """The rows of a table, as they stand."""
    columns = _COLUMNS[rows]
    count = form.plan.count(rows)
    if rows == "injections":
        told = {c.key for c in columns for n in range(count) if form.plan.text(f"injections[{n}].{c.key}")}
        columns = tuple(c for c in columns if c.key not in _FROM_FILES or c.key in told)
    order = range(count)
    if rows == "injections":
        order = sorted(order, key=lambda n: int(form.plan.text(f"injections[{n}].of")))  # type: ignore[assignment]
    return FieldTable(rows_key=rows, columns=columns, rows=tuple(_row(form, rows, n, columns) for n in order))


def _row(form: SetupForm, rows: str, number: int, columns: Sequence[Field]) -> TableRow:
    where = f"{rows}[{number}]"
    verdicts = [form.judged.verdicts.get(f"{where}.{column.key}", Verdict()) for column in columns]
    fixed_name = rows == "positions" and any(is_fixed(form, n) for n in form.plan.injections_of(number))
    fields = tuple(
        replace(column, key=f"{where}.{column.key}", enabled=not (fixed_name and column.key == "name"))
        for column in columns
    )
    key = form.plan.key_of(number) if rows == "injections" else None
    state = form.known.states.get(key, State(sign="", word="")) if key is not None else State(sign="", word="")
    return TableRow(
        number=number,
        label=label_of(form.plan, rows, number),
        fields=fields,
        texts=tuple(form.texts.get(one.key, "") for one in fields),
        faults=tuple(bool(v.fault) for v in verdicts),
        verdict=Verdict(
            fault=_joined([(c.label, v.fault) for c, v in zip(columns, verdicts, strict=True) if v.fault]),
            warning=_joined([(c.label, v.warning) for c, v in zip(columns, verdicts, strict=True) if v.warning]),
        ),
        state=state,
        actions=(DIVIDE, ONE_MORE) if rows == "positions" else (),
    )


def _joined(said: Sequence[tuple[str, str]]) -> str:
    """What is said of the fields of one row, as one text: those that are only empty share a word."""
    empty = [name for name, text in said if text.startswith("needed")]
    if len(empty) < 2:
        return "; ".join(f"{name}: {text}" for name, text in said)
    return "; ".join([f"needed: {', '.join(empty)}", *(f"{n}: {t}" for n, t in said if n not in empty)])


def label_of(plan: PlanTexts, rows: str, number: int) -> str:
    """How a row is called: ``RHA F1``, ``Vial A``."""
    match rows:
        case "injections":
            position, fraction = plan.key_of(number)
            return f"{position or '—'} F{fraction}"
        case "vials":
            return f"Vial {plan.text(f'vials[{number}].name') or number + 1}"
        case "positions":
            return f"Position {plan.text(f'positions[{number}].name') or number + 1}"
        case _:
            return f"{rows.removesuffix('s').capitalize()} {number + 1}"


def tab_titles(form: SetupForm) -> tuple[str, ...]:
    """The pages with what is refused and odd on each: ``Patient  ✕ 2``."""
    faults, odd = [0] * len(PAGES), [0] * len(PAGES)
    for key, verdict in form.judged.verdicts.items():
        faults[page_of(key)] += bool(verdict.fault)
        odd[page_of(key)] += bool(verdict.warning) and not verdict.fault
    faults[CHECK] += len(form.judged.faults)
    odd[CHECK] += len(form.judged.warnings)
    titles = []
    for page, name in enumerate(PAGES):
        if faults[page]:
            titles.append(f"{name}  {FAULT_SIGN} {faults[page]}")
        else:
            titles.append(
                f"{name}  {WARNING_SIGN} {odd[page]}" if odd[page] else f"{name}  ✓" if page < CHECK else name
            )
    return tuple(titles)


def page_of(key: str) -> int:
    """The page on which a field stands."""
    return _PAGE_OF.get(re.split(r"[.\[]", key, maxsplit=1)[0], CHECK)


def name_of(plan: PlanTexts, key: str) -> str:
    """A field's name with what it is of: ``Activity › Vial A › Assayed at``."""
    found = re.fullmatch(r"(\w+)\[(\d+)\]\.(.+)", key)
    fields = {one.key: one.label for own in FORMS.values() for one in own}
    if found is None:
        return f"{PAGES[page_of(key)]} › {fields.get(key, key)}"
    columns = {one.key: one.label for one in _COLUMNS[found[1]]}
    return f"{PAGES[page_of(key)]} › {label_of(plan, found[1], int(found[2]))} › {columns.get(found[3], found[3])}"
