"""The last page of the setup: everything that is refused or odd, and in words what would be recorded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from config.plan import StructuresPlan, TreatmentPlan
from console.dashboard.desk.form import FAULT_SIGN, WARNING_SIGN
from console.dashboard.desk.setup_form import SetupForm
from console.dashboard.desk.setup_pages import CHECK, label_of, name_of, page_of
from console.dashboard.screen import formatting
from console.dashboard.screen.model import Cell, State, Tone
from console.differences import plan_differences

_PATH = re.compile(r"\b(injections|vials|residuals|limits)\[(\d+)\]")


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The page Check: what is said, what would be recorded, and how the button stands."""

    state: State
    said: tuple[Cell, ...]
    """Refusals first; ``tooltip`` is empty."""
    heading: str
    recorded: tuple[str, ...]
    button: str
    notice: str = ""
    """Set where somebody else revised the plan while this was typed."""


def summary(form: SetupForm) -> Summary:
    """What the page says."""
    said = _said(form)
    refused = sum(cell.tone is Tone.ALERT for cell in said)
    first = not form.known.plan
    if form.waiting:
        state = State(sign="●", word="recorded; it is read by the engine", tone=Tone.GOOD)
    elif refused or form.judged.plan is None:
        state = State(sign=FAULT_SIGN, word=f"{refused} to correct before it can be recorded", tone=Tone.ALERT)
    elif not form.changed:
        state = State(sign="●", word="this is what is recorded", tone=Tone.GOOD)
    elif said:
        state = State(sign=WARNING_SIGN, word=f"can be recorded; {len(said)} worth a second look", tone=Tone.CAUTION)
    else:
        state = State(sign="✓", word="can be recorded", tone=Tone.GOOD)
    notice = ""
    if form.revised:
        notice = f"▲ The plan was revised {form.known.revised_by or 'by somebody else'} while this was typed. " + (
            "It concerns what was typed here too, and recording this would replace it; “Discard changes” shows it."
            if form.overtaken
            else "Its changes stand in the form."
        )
    return Summary(
        state=state,
        said=said,
        heading="What will be recorded as the plan" if first else "What recording changes",
        recorded=_recorded(form),
        button="Record plan" if first else "Record changes",
        notice=notice,
    )


def _said(form: SetupForm) -> tuple[Cell, ...]:
    verdicts = sorted(form.judged.verdicts.items(), key=lambda item: page_of(item[0]) % (CHECK + 1))
    faults = [f"{name_of(form.plan, key)}: {v.fault}" for key, v in verdicts if v.fault]
    odd = [f"{name_of(form.plan, key)}: {v.warning}" for key, v in verdicts if v.warning and not v.fault]
    faults += form.judged.faults
    odd += form.judged.warnings
    return (
        *(Cell(text=f"{FAULT_SIGN} {_named(form, text)}", tone=Tone.ALERT) for text in faults),
        *(Cell(text=f"{WARNING_SIGN} {_named(form, text)}", tone=Tone.CAUTION) for text in odd),
    )


def _named(form: SetupForm, text: str) -> str:
    """A sentence in which rows have the names that they have in the form."""

    def name(found: re.Match[str]) -> str:
        rows, row = found[1], int(found[2])
        return label_of(form.plan, rows, row) if row < form.plan.count(rows) else found[0]

    return _PATH.sub(name, text)


def _recorded(form: SetupForm) -> tuple[str, ...]:
    if form.judged.plan is None:
        return ("What is refused has to be corrected first.",)
    if not form.known.plan:
        return _first(form.judged.plan)
    told = plan_differences(form.known.plan, form.judged.mapping)
    return told or ("The order of the rows." if form.changed else "Nothing differs.",)


def _first(plan: TreatmentPlan) -> tuple[str, ...]:
    """A first plan in words."""
    batch, calibration = plan.microspheres, plan.calibration
    lines = [
        f"Patient {plan.patient.id}, born {plan.patient.birth_date or 'not stated'}",
        f"Batch: {batch.specific_activity_mbq_per_mg:g} MBq/mg at {_when(batch.reference_time)}, holmium fraction "
        f"{batch.holmium_fraction:g}",
        f"Calibration: {calibration.relaxivity_per_s_per_mg_ml:g} s⁻¹/(mg/mL) at {calibration.field_t:g} T, holmium "
        f"fraction {calibration.holmium_fraction:g}",
    ]
    lines += [
        f"Vial {vial.name}: {formatting.activity(vial.activity_mbq)} at {_when(vial.assay_time)}" for vial in plan.vials
    ]
    for position in dict.fromkeys(injection.position for injection in plan.injections):
        own = [i.planned_mbq for i in plan.injections if i.position == position]
        each = " + ".join(formatting.NOT_KNOWN if one is None else formatting.decimal(one, 0) for one in own)
        lines.append(f"{position}: {each} MBq in {len(own)} fraction{'s' if len(own) > 1 else ''}")
    structures = plan.structures or StructuresPlan()
    named = [name for name in (structures.liver, *structures.tumours) if name]
    lines.append(f"Volumes: {', '.join(named)}" if named else "Volumes: none; there will be maps only")
    lines += [f"Limit: {limit.volume}, mean dose at most {limit.dose_gy:g} Gy" for limit in plan.limits]
    return tuple(lines)


def _when(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}"
