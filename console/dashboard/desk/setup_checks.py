"""What a plan file's own checks do not know: the images received, the time, what was given, the wristband."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from config.plan_checks import decayed
from config.plan_warnings import PLANNED_BAND
from console.dashboard.desk.form import moment, number, thousands_warning
from console.dashboard.desk.setup_known import Known
from console.dashboard.desk.setup_texts import (
    TICKED,
    PlanTexts,
    injections_in,
    moment_of,
    names_in,
    plain_number,
)
from console.dashboard.screen import formatting

Said = Iterator[tuple[str, str]]
"""(key of a field, sentence)"""

NO_DATE = "none"
"""Typed where the wristband or request states no birth date."""
_LISTS = ("tumours", "volumes")
_POSITION = re.compile(r"[A-Za-z0-9_-]{1,16}")
_PAST = (("vials", "assay_time"), ("residuals", "assay_time"), ("injections", "time"))
_TIMES = (*_PAST, ("", "microspheres.reference_time"))
_MOST_FRACTIONS = 20
_LARGEST_MBQ = 20000.0
_OLDEST_ASSAY = timedelta(days=7)
"""Six half-lives: an assay that long ago points to a wrong date."""


def own_faults(plan: PlanTexts, known: Known) -> Said:
    """What is refused."""
    yield from _patient_faults(plan, known)
    if needs_confirming(plan, known):
        yield from _confirmation_faults(plan)
    yield from _time_faults(plan, known)
    yield from _position_faults(plan)
    for row in range(plan.count("residuals")):
        if text := plan.text(f"residuals[{row}].injections"):
            try:
                injections_in(text)
            except ValueError as error:
                yield f"residuals[{row}].injections", str(error)


def own_warnings(plan: PlanTexts, known: Known) -> Said:
    """What is allowed, but odd."""
    if plan.text("patient.id") and not plan.text("patient.birth_date"):
        yield "patient.birth_date", "without it images are matched by the patient ID alone"
    if plan.text("time_zone") not in ("", known.time_zone):
        yield "time_zone", f"is not the site's, {known.time_zone}: every time of the plan is read in it"
    yield from _thousands(plan)
    yield from _activity_warnings(plan, known)
    yield from _old_assays(plan, known)
    yield from _overruled(plan, known)
    if known.structures:
        listed = ", ".join(known.structures)
        for key in _structure_keys(plan):
            text = plan.text(key)
            named = names_in(text) if key.endswith(_LISTS) else [text] if text else []
            missing = [name for name in named if name not in known.structures]
            if missing:
                yield key, f"{', '.join(missing)}: not among the structures received ({listed})"
    for row in range(plan.count("residuals")):
        key = f"residuals[{row}].injections"
        try:
            named_keys = [(position, fraction) for position, fraction in injections_in(plan.text(key))]
        except ValueError:
            continue
        if net := [
            f"{p} F{n}" for p, n in named_keys if known.recorded.get((p, n), {}).get("activity_MBq") is not None
        ]:
            yield key, f"the net activity of {', '.join(net)} was recorded: nothing is subtracted from it"


def needs_confirming(plan: PlanTexts, known: Known) -> bool:
    """Whether the two identifiers are to be typed: for a first plan, and where the patient is changed."""
    before: Mapping[str, str] = known.plan.get("patient", {})
    return not known.plan or any(
        plan.text(f"patient.{key}") != str(before.get(key) or "") for key in ("id", "birth_date")
    )


def split_of(text: str) -> list[float]:
    """``10/30/30/30`` as per cent.

    Raises
    ------
    ValueError
        With a sentence for beside the field.
    """
    parts = [part for part in re.split(r"[/;\s]+", text.replace("%", "").strip()) if part]
    try:
        shares = [number(part, low=1, high=100) for part in parts]
    except ValueError:
        raise ValueError("expected per cent such as 10/30/30/30, each from 1 to 100") from None
    if len(shares) > _MOST_FRACTIONS:
        raise ValueError(f"expected at most {_MOST_FRACTIONS} fractions")
    total = sum(shares)
    # What is left of a third is not a slip.
    if abs(total - 100.0) > 0.1 * max(len(shares), 1):
        raise ValueError(f"adds up to {total:.4g} %; expected 100 %")
    return shares


def _patient_faults(plan: PlanTexts, known: Known) -> Said:
    typed, born = plan.text("patient.id"), plan.text("patient.birth_date")
    if known.patient_id and typed and typed != known.patient_id:
        yield "patient.id", f"the images received are of patient {known.patient_id}; start another file for another one"
    day = _day(born)
    if day is None:
        return
    if known.patient_birth_date and day.isoformat() != known.patient_birth_date:
        yield "patient.birth_date", f"the images received state {known.patient_birth_date}"
    elif known.has_images and known.patient_id and not known.patient_birth_date:
        yield "patient.birth_date", "the images received state no birth date, and would be set aside; leave it empty"
    elif day > known.now.date():
        yield "patient.birth_date", "lies in the future"


def _confirmation_faults(plan: PlanTexts) -> Said:
    typed, told = plan.text("confirm.id"), plan.text("patient.id")
    if not typed:
        yield "confirm.id", "needed: read it from the wristband or the request, and type it"
    elif typed != told:
        part = told.startswith(typed)
        yield "confirm.id", "not the whole patient ID yet" if part else "differs from the patient ID above"
    typed, born = plan.text("confirm.birth_date"), plan.text("patient.birth_date")
    if not typed:
        yield "confirm.birth_date", f"needed: read it from the wristband or the request; type {NO_DATE} if it has none"
    elif not born:
        if typed != NO_DATE:
            yield "confirm.birth_date", f"no birth date stands above; enter it there, or type {NO_DATE}"
    elif (digits := re.sub(r"\D", "", typed)) != re.sub(r"\D", "", born):
        part = bool(digits) and re.sub(r"\D", "", born).startswith(digits)
        yield "confirm.birth_date", "not the whole date yet" if part else "differs from the birth date above"


def _time_faults(plan: PlanTexts, known: Known) -> Said:
    zone = plan.zone(known.time_zone)
    today = known.now.astimezone(zone).date()
    for rows, name in _TIMES:
        keys = [f"{rows}[{row}].{name}" for row in range(plan.count(rows))] if rows else [name]
        for key in keys:
            text = plan.text(key)
            try:
                if text:
                    moment(text, zone=zone, today=today)
            except ValueError as error:
                yield key, str(error)
                continue
            told = moment_of(plan, key, site_time_zone=known.time_zone, today=today)
            if rows and told is not None and told > known.now:
                yield key, f"lies in the future: it is {known.now.astimezone(zone):%Y-%m-%d %H:%M}"


def _position_faults(plan: PlanTexts) -> Said:
    names = [plan.text(f"positions[{row}].name") for row in range(plan.count("positions"))]
    for row, name in enumerate(names):
        where = f"positions[{row}]"
        if not name:
            yield f"{where}.name", "needed: a name such as RHA"
        elif not _POSITION.fullmatch(name):
            yield f"{where}.name", "expected 1 to 16 of A–Z, a–z, 0–9, _ and -"
        elif names.count(name) > 1:
            yield f"{where}.name", f"{name} stands here twice; each position has one row"
        if name and not plan.injections_of(row):
            yield f"{where}.split", "no fraction is planned here: enter MBq and a split and divide, or remove the row"
        if text := plan.text(f"{where}.split"):
            try:
                split_of(text)
            except ValueError as error:
                yield f"{where}.split", str(error)
        if text := plan.text(f"{where}.prescribed_MBq"):
            try:
                number(text, unit="MBq", low=10, high=_LARGEST_MBQ)
            except ValueError as error:
                yield f"{where}.prescribed_MBq", str(error)


def _activity_warnings(plan: PlanTexts, known: Known) -> Said:
    """What is planned against what the vials hold, at the injection, or now where that is to come.

    Injections that draw the same vials are held against them together: what each will draw is not known.
    """
    today = known.now.astimezone(plan.zone(known.time_zone)).date()
    vials = {plan.text(f"vials[{row}].name"): row for row in range(plan.count("vials"))}
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for row in range(plan.count("injections")):
        if drawn := names_in(plan.text(f"injections[{row}].vials")):
            groups[tuple(sorted(set(drawn)))].append(row)
    for names, rows in groups.items():
        shared = any(set(names) & set(other) for other in groups if other != names)
        first = rows[0]
        if shared or not set(names) <= set(vials) or plan.text(f"injections[{first}].activity_MBq"):
            continue
        own = moment_of(plan, f"injections[{first}].time", site_time_zone=known.time_zone, today=today)
        at = known.given.get(plan.key_of(first)) or own or known.now
        half_life_h = known.site.quantification.half_life_h
        held = 0.0
        try:
            planned = sum(number(plan.text(f"injections[{row}].planned_MBq")) for row in rows)
            for name in names:
                where = f"vials[{vials[name]}]"
                assayed = moment_of(plan, f"{where}.assay_time", site_time_zone=known.time_zone, today=today)
                if assayed is None:
                    raise ValueError(where)
                held += decayed(number(plan.text(f"{where}.activity_MBq")), assayed, at, half_life_h)
        except ValueError:
            continue  # told beside the field that cannot be read
        if planned > 0 and abs(held - planned) > PLANNED_BAND * planned:
            when = "now" if at == known.now else "then"
            of = "this" if len(rows) == 1 else "these fractions together"
            off = formatting.signed(100 * (held / planned - 1))
            yield (
                f"injections[{first}].planned_MBq",
                f"{', '.join(names)} {'hold' if when == 'now' else 'held'} {formatting.activity(held)} {when}, "
                f"{off} % from the {formatting.activity(planned)} planned for {of}",
            )


def _thousands(plan: PlanTexts) -> Said:
    """Activities of which a separator may have been meant for thousands; a smaller residual is never noticed."""
    for key, text in plan.texts.items():
        if key.endswith("MBq") and (said := thousands_warning(text, unit="MBq", high=_LARGEST_MBQ)):
            yield key, said


def _structure_keys(plan: PlanTexts) -> Iterator[str]:
    yield from ("structures.liver", "structures.tumours")
    for row in range(plan.count("positions")):
        yield f"positions[{row}].territory"


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _old_assays(plan: PlanTexts, known: Known) -> Said:
    today = known.now.astimezone(plan.zone(known.time_zone)).date()
    for row in range(plan.count("vials")):
        key = f"vials[{row}].assay_time"
        told = moment_of(plan, key, site_time_zone=known.time_zone, today=today)
        if told is not None and not known.given and known.now - told > _OLDEST_ASSAY:
            yield key, f"is {(known.now - told).days} days ago; check the date"


def _overruled(plan: PlanTexts, known: Known) -> Said:
    """What the plan says of an injection, but an operator recorded otherwise: his word counts."""
    for row in range(plan.count("injections")):
        said = known.recorded.get(plan.key_of(row), {})
        key = f"injections[{row}].planned_MBq"
        if said.get("planned_MBq") is not None and plan.text(key) != plain_number(said["planned_MBq"]):
            yield key, f"{formatting.activity(said['planned_MBq'])} was recorded for this fraction, and counts"
        key = f"injections[{row}].outside_mri"
        if said.get("outside_mri") is not None and bool(said["outside_mri"]) != (plan.text(key) == TICKED):
            where = "outside the MRI" if said["outside_mri"] else "in the MRI"
            yield key, f"{where} was recorded for this fraction, and counts"
