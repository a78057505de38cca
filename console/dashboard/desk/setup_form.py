"""The setup of a treatment as it is typed: what every key, row and button does to it. No Qt, no clock.

It holds texts (`console.dashboard.desk.setup_texts`), what they are held against (`Known`) and what came of that
(`Judged`). What is recorded is the plan; what stands in the form afterwards is what the next snapshot says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from config.plan import TreatmentPlan
from console.dashboard.desk.form import number
from console.dashboard.desk.setup_checks import needs_confirming, split_of
from console.dashboard.desk.setup_known import Known
from console.dashboard.desk.setup_merge import merged
from console.dashboard.desk.setup_texts import PlanTexts, plain_number, settled, texts_of
from console.dashboard.desk.setup_verdicts import Judged, judged

_COLUMNS = {
    "positions": ("name", "territory", "volumes", "prescribed_MBq", "split"),
    "injections": ("planned_MBq", "vials", "outside_mri"),
    "vials": ("name", "activity_MBq", "assay_time", "mass_mg"),
    "residuals": ("activity_MBq", "assay_time", "injections"),
    "limits": ("volume", "dose_Gy", "source"),
}


class RefusedError(ValueError):
    """What was asked of the form cannot be done; the text says why."""


@dataclass(frozen=True, kw_only=True)
class SetupForm:
    """What stands in the setup now. Made by `begun`."""

    plan: PlanTexts
    known: Known
    judged: Judged
    touched: frozenset[str] = frozenset()
    """Fields in which somebody typed since the form was filled from the treatment."""
    base: Mapping[str, Any] = field(default_factory=dict)
    """The recorded plan that the form was filled from."""
    recorded: Mapping[str, Any] | None = None
    """What was recorded from here and no snapshot has told yet."""
    waiting: bool = False
    """Whether nothing was typed since: then the next snapshot is shown."""
    revised: bool = False
    """Whether somebody else revised the plan while this was typed."""
    overtaken: bool = False
    """Whether he revised what was typed here as well: what is typed stands in the form."""

    @property
    def texts(self) -> Mapping[str, str]:
        """By key, as typed."""
        return self.plan.texts

    @property
    def confirming(self) -> bool:
        """Whether the two identifiers have to be typed."""
        return needs_confirming(self.plan, self.known)

    @property
    def changed(self) -> bool:
        """Whether recording would change the plan."""
        return self.judged.plan is not None and self.judged.mapping != self.known.plan

    @property
    def ready(self) -> bool:
        """Whether it can be recorded."""
        return self.judged.ready and self.changed and not self.waiting


def begun(known: Known) -> SetupForm:
    """A form that shows what is recorded; for a treatment without a plan what the images say, and the site's zone."""
    if known.plan:
        plan = texts_of(known.plan, site_time_zone=known.time_zone)
    else:
        plan = PlanTexts(texts={"time_zone": known.time_zone, **_first_rows()})
    return _judged(SetupForm(plan=_prefilled(plan, known, frozenset()), known=known, judged=Judged(), base=known.plan))


def informed(form: SetupForm, known: Known) -> SetupForm:
    """The form after a snapshot: what was typed stays, what nobody touched shows what is recorded."""
    if form.known == known:
        return form
    # A snapshot from before the recording says nothing of it.
    told = form.recorded is None or known.plan != form.base
    if told and (form.waiting or not form.touched):
        return begun(known)
    if form.recorded is not None and known.plan == form.recorded:
        form = replace(form, base=form.recorded, recorded=None)
    elif known.plan != form.base:
        form = _with_revision(form, known)
    return _judged(replace(form, known=known, plan=_prefilled(form.plan, known, form.touched)))


def typed(form: SetupForm, key: str, text: str) -> SetupForm:
    """The form with another text in a field."""
    if form.texts.get(key, "") == text:
        return form
    today = form.known.now.astimezone(form.plan.zone(form.known.time_zone)).date()
    plan = PlanTexts(texts={**form.texts, key: text}, kept=form.plan.kept)
    plan = settled(plan, typing=key, site_time_zone=form.known.time_zone, today=today)
    return _judged(replace(form, plan=plan, touched=form.touched | {key}, waiting=False))


def added(form: SetupForm, rows: str, position: int | None = None) -> SetupForm:
    """The form with one more row; a fraction goes behind the last one of its position, with the next number."""
    row = form.plan.count(rows)
    texts = {**form.texts, **{f"{rows}[{row}].{name}": "" for name in _COLUMNS[rows]}}
    if rows == "injections":
        of = form.plan.count("positions") - 1 if position is None else position
        if of < 0:
            raise RefusedError("Enter a position first: a fraction is injected at one.")
        own = form.plan.injections_of(of)
        texts[f"injections[{row}].of"] = str(of)
        texts[f"injections[{row}].fraction"] = str(1 + len(own))
        texts[f"injections[{row}].vials"] = form.plan.text(f"injections[{own[-1]}].vials") if own else ""
    return _touched(form, texts, f"{rows}[{row}]")


def removed(form: SetupForm, rows: str, row: int) -> SetupForm:
    """The form without a row.

    Raises
    ------
    RefusedError
        If a fraction that has happened would go or get another number.
    """
    texts = dict(form.texts)
    if rows == "positions":
        for injection in reversed(form.plan.injections_of(row)):
            texts = _without(texts, "injections", injection)
    texts = _without(texts, rows, row)
    if rows == "positions":
        # Injections name the row of their position: those below have moved up.
        for key, text in texts.items():
            if re.fullmatch(r"injections\[\d+\]\.of", key) and int(text) > row:
                texts[key] = str(int(text) - 1)
    if rows in ("positions", "injections"):
        texts = _renumbered(texts)
        _refuse_loss(form, texts)
    return _touched(form, texts, rows)


def divided(form: SetupForm, row: int) -> SetupForm:
    """The form with the fractions of a position as its MBq and split say; those that have happened keep their MBq.

    Raises
    ------
    RefusedError
        If MBq or split cannot be read, or a fraction that has happened would go.
    """
    where = f"positions[{row}]"
    try:
        whole = number(form.plan.text(f"{where}.prescribed_MBq"), unit="MBq", low=10, high=20000)
        shares = split_of(form.plan.text(f"{where}.split"))
    except ValueError as error:
        raise RefusedError(f"The prescribed activity cannot be divided: {error}.") from None
    own = form.plan.injections_of(row)
    for extra in reversed(own[len(shares) :]):
        form = removed(form, "injections", extra)
    for _ in range(len(shares) - len(own)):
        form = added(form, "injections", row)
    texts = dict(form.texts)
    for share, injection in zip(shares, form.plan.injections_of(row), strict=True):
        if form.plan.key_of(injection) not in form.known.given:
            texts[f"injections[{injection}].planned_MBq"] = plain_number(round(whole * share / 100.0, 1))
    return _touched(form, texts, where)


def filled(form: SetupForm, plan: TreatmentPlan) -> SetupForm:
    """The form with the texts of a plan file; nothing is recorded. The two identifiers are to be typed for it."""
    texts = texts_of(plan.to_mapping(), site_time_zone=form.known.time_zone)
    kept = {key: text for key, text in form.texts.items() if key.startswith("confirm.")}
    return _touched(replace(form, plan=texts), {**texts.texts, **kept}, "plan")


def restored(form: SetupForm, plan: PlanTexts) -> SetupForm:
    """The form with texts that stood in it before."""
    return _touched(replace(form, plan=plan), plan.texts, "plan")


def spoken(form: SetupForm) -> SetupForm:
    """The form after its plan was recorded: it waits for the snapshot that says so."""
    return replace(form, recorded=form.judged.mapping, waiting=True, revised=False, overtaken=False)


def is_fixed(form: SetupForm, injection: int) -> bool:
    """Whether a row of the fractions has happened: it cannot be removed."""
    return form.plan.key_of(injection) in form.known.given


def _with_revision(form: SetupForm, known: Known) -> SetupForm:
    """The form with what somebody else recorded, where nobody typed here."""
    before, theirs = (
        texts_of(plan, site_time_zone=known.time_zone) if plan else PlanTexts() for plan in (form.base, known.plan)
    )
    plan, both = merged(before, form.plan, theirs)
    return replace(form, plan=plan, base=known.plan, revised=True, overtaken=form.overtaken or both)


def _judged(form: SetupForm) -> SetupForm:
    return replace(form, judged=judged(form.plan, form.known))


def _touched(form: SetupForm, texts: Mapping[str, str], what: str) -> SetupForm:
    plan = PlanTexts(texts=texts, kept=form.plan.kept)
    return _judged(replace(form, plan=plan, touched=form.touched | {what}, waiting=False))


def _first_rows() -> dict[str, str]:
    """An empty treatment has room for one position."""
    return {f"positions[0].{name}": "" for name in _COLUMNS["positions"]}


def _prefilled(plan: PlanTexts, known: Known, typed_in: frozenset[str]) -> PlanTexts:
    """The texts with what the images say of the patient, where there is no plan and nobody typed."""
    if known.plan or "plan" in typed_in:
        return plan
    told = {"id": known.patient_id, "birth_date": known.patient_birth_date, "name": known.patient_name}
    texts = {f"patient.{key}": text for key, text in told.items() if text and f"patient.{key}" not in typed_in}
    return PlanTexts(texts={**plan.texts, **texts}, kept=plan.kept)


def _without(texts: Mapping[str, str], rows: str, row: int) -> dict[str, str]:
    left = {}
    for key, text in texts.items():
        found = re.fullmatch(rf"{rows}\[(\d+)\]\.(.+)", key)
        if found is None or int(found[1]) < row:
            left[key] = text
        elif int(found[1]) > row:
            left[f"{rows}[{int(found[1]) - 1}].{found[2]}"] = text
    return left


def _renumbered(texts: Mapping[str, str]) -> dict[str, str]:
    """With fractions 1, 2, 3 … at every position, in their order."""
    plan = PlanTexts(texts=texts)
    numbers = {
        f"injections[{injection}].fraction": str(count)
        for position in range(plan.count("positions"))
        for count, injection in enumerate(plan.injections_of(position), start=1)
    }
    return {**texts, **numbers}


def _refuse_loss(form: SetupForm, texts: Mapping[str, str]) -> None:
    """Refuse texts in which a fraction that has happened is gone, or another stands under its number."""
    after = PlanTexts(texts=texts)
    kept = {after.key_of(row): _content(after, row) for row in range(after.count("injections"))}
    for row in range(form.plan.count("injections")):
        key = form.plan.key_of(row)
        if key in form.known.given and kept.get(key) != _content(form.plan, row):
            raise RefusedError(
                f"{key[0]} F{key[1]} {form.known.fate(key)}: it can neither be removed nor get another number. "
                "What is still to come can be given up in Injections."
            )


def _content(plan: PlanTexts, row: int) -> list[str]:
    return [plan.text(f"injections[{row}].{name}") for name in ("planned_MBq", "vials", "activity_MBq", "time")]
