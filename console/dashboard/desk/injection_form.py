"""What is typed of one injection, checked while it is typed, and what of it is said: only what has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from config.plan import InjectionPlan
from config.plan_checks import UNIT_SLIP_FACTOR
from config.plan_warnings import PLANNED_BAND
from config.settings import QuantificationSettings
from console.dashboard.desk.form import Entry, Field, Form, Verdict, number, past_moment, thousands_warning
from console.dashboard.screen import formatting
from console.dashboard.screen.room_time import room_clock, room_time
from console.operations import RecordInjection, under_way
from console.snapshot import Snapshot
from console.treatment import isotope_of
from quantify.activity import MeasuredActivity
from quantify.findings import Injection

STARTED, ENDED, ACTIVITY, OUTSIDE, ABORTED = "started", "time", "activity_MBq", "outside_mri", "aborted"
"""Keys of the fields: those of ``injection_recorded``."""
KEYS = (STARTED, ENDED, ACTIVITY, OUTSIDE, ABORTED)
TICKED = "yes"
LOWEST_MBQ, HIGHEST_MBQ = 10.0, 20_000.0
"""What a fraction may be, as in a plan; an aborted one may have delivered less."""
T = TypeVar("T")
_LONG = timedelta(hours=1)
_ROUNDING = 1e-6
"""Relative: what was typed of all that the vials held is not more than that."""


@dataclass(frozen=True, kw_only=True)
class Typed:
    """The form as it stands, and what Record would say of the injection; None: nothing, or not yet."""

    form: Form
    operation: RecordInjection | None = None


@dataclass(frozen=True, kw_only=True)
class _Case:
    """The injection, and what it is held against."""

    snapshot: Snapshot
    injection: Injection
    now: datetime
    aborted: bool = False
    """As ticked now."""

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.snapshot.plan.time_zone if self.snapshot.plan is not None else "UTC")

    @property
    def recorded(self) -> Mapping[str, Any]:
        return self.snapshot.recorded.get(self.injection.key, {})

    @property
    def planned(self) -> InjectionPlan | None:
        return planned_injection(self.snapshot, self.injection.key)


@dataclass(frozen=True, kw_only=True)
class _Values:
    """What the texts mean: aware times, MBq, ticks; None where a text is empty or means nothing (then a fault)."""

    started: datetime | None
    ended: datetime | None
    mbq: float | None
    outside: bool
    aborted: bool
    faults: Mapping[str, str]

    def of(self, key: str) -> datetime | float | bool | None:
        """The value of a field."""
        return {
            STARTED: self.started, ENDED: self.ended, ACTIVITY: self.mbq, OUTSIDE: self.outside, ABORTED: self.aborted
        }[key]  # fmt: skip


def injection_form(snapshot: Snapshot, injection: Injection, typed: Mapping[str, str], now: datetime) -> Typed:
    """The form of an injection: what is known, and over it what was typed.

    Parameters
    ----------
    typed
        The fields that were touched, as they stand.
    now
        The time on the wall.
    """
    case = _Case(snapshot=snapshot, injection=injection, now=now)
    aborted = typed.get(ABORTED, TICKED if injection.aborted else "") == TICKED
    case = replace(case, aborted=aborted)
    before = _stated(case)
    known = _texts(case, before)
    texts = {key: typed.get(key, known[key]).strip() for key in KEYS}
    values = _read(case, texts, {key for key in KEYS if texts[key] != known[key]}, before)
    changed = {key for key in KEYS if values.of(key) != before.of(key)}
    checks = {STARTED: _start, ENDED: _end, ABORTED: _abortion}
    verdicts = {key: check(case, values, changed) for key, check in checks.items()}
    verdicts[ACTIVITY] = _activity(case, values, changed, texts[ACTIVITY])
    verdicts |= {key: Verdict(fault=fault) for key, fault in values.faults.items()}
    form = Form(fields=_fields(case), texts={**texts, **typed}, verdicts=verdicts)
    if any(verdict.fault for verdict in verdicts.values()):
        return Typed(form=form)
    return Typed(form=form, operation=_said(case, values, changed))


def _said(case: _Case, values: _Values, changed: set[str]) -> RecordInjection | None:
    """What Record says: what was changed, and nothing else."""
    told = {key: values.of(key) for key in KEYS if key in changed}
    said = {k: v.isoformat() if isinstance(v, datetime) else v for k, v in told.items() if v is not None}
    unsaid = tuple(key for key, value in told.items() if value is None and key in case.recorded)
    if not said and not unsaid:
        return None
    own = case.injection
    return RecordInjection(position=own.position, fraction=own.fraction, said=said, unsaid=unsaid)


# -- what is known -------------------------------------------------------------------------------------------------


def planned_injection(snapshot: Snapshot, key: tuple[str, int]) -> InjectionPlan | None:
    """The injection as the plan has it; None for one that was added later."""
    return next((i for i in getattr(snapshot.plan, "injections", ()) if i.key == key), None)


def _stated(case: _Case) -> _Values:
    """What is known of the injection, times to the second: nobody types more."""
    own = case.injection
    mbq = case.recorded.get(ACTIVITY)
    if ACTIVITY not in case.recorded and case.planned is not None and not case.aborted:
        # What was planned is not what an aborted injection delivered.
        mbq = case.planned.activity_mbq
    return _Values(
        started=None if own.started_at is None else own.started_at.replace(microsecond=0),
        ended=None if own.time is None else own.time.replace(microsecond=0),
        mbq=None if mbq is None else float(mbq),
        outside=own.outside_mri,
        aborted=own.aborted,
        faults={},
    )


def _texts(case: _Case, values: _Values) -> dict[str, str]:
    """The texts of the fields while nothing is typed."""
    return {
        STARTED: _time_text(case, values.started),
        ENDED: _time_text(case, values.ended),
        ACTIVITY: "" if values.mbq is None else f"{values.mbq:.10g}",
        OUTSIDE: TICKED if values.outside else "",
        ABORTED: TICKED if values.aborted else "",
    }


def _time_text(case: _Case, time: datetime | None) -> str:
    if time is None:
        return ""
    told = room_time(case.snapshot, time)
    same_day = told.date() == case.now.astimezone(told.tzinfo).date()
    return told.strftime("%H:%M:%S" if same_day else "%Y-%m-%d %H:%M:%S")


def _fields(case: _Case) -> tuple[Field, ...]:
    vials = ", ".join(case.planned.vials or ()) if case.planned is not None else ""
    kept = f"In the zone {case.zone.key}. Empty: as it was before anything was said of it."
    return (
        Field(key=STARTED, label="Start", unit="h:min:s", hint="10:08", tooltip=f"When the injection began. {kept}"),
        Field(key=ENDED, label="End", unit="h:min:s", hint="10:31", tooltip=f"When it had ended. {kept}"),
        Field(
            key=ACTIVITY,
            label="Net activity at the end",
            unit="MBq",
            entry=Entry.NUMBER,
            hint=f"empty: from {vials}" if vials else "empty: not known",
            tooltip="What reached the patient, at the end of the injection. Empty: what its vials held less what "
            "stayed behind, decayed to the end.",
        ),
        Field(
            key=OUTSIDE,
            label="Outside the MRI",
            entry=Entry.TICK,
            tooltip="No series follows it; its activity counts for the next one.",
        ),
        Field(
            key=ABORTED,
            label="Aborted",
            entry=Entry.TICK,
            tooltip="It was broken off. What it delivered is typed above; empty: not known, unless its residual was "
            "measured alone.",
        ),
    )


# -- checks --------------------------------------------------------------------------------------------------------


def _read(case: _Case, texts: Mapping[str, str], touched: set[str], before: _Values) -> _Values:
    """What the fields mean; one that was not touched means what is known, however long ago that was."""
    faults: dict[str, str] = {}

    def read(key: str, known: T | None, meaning: Callable[[str], T]) -> T | None:
        if key not in touched:
            return known
        try:
            return meaning(texts[key]) if texts[key] else None
        except ValueError as error:
            faults[key] = str(error)
            return None

    def time(text: str) -> datetime:
        return past_moment(text, zone=case.zone, now=case.now)

    lowest = 0.0 if case.aborted else LOWEST_MBQ
    return _Values(
        started=read(STARTED, before.started, time),
        ended=read(ENDED, before.ended, time),
        mbq=read(ACTIVITY, before.mbq, lambda text: number(text, unit="MBq", low=lowest, high=HIGHEST_MBQ)),
        outside=texts[OUTSIDE] == TICKED,
        aborted=texts[ABORTED] == TICKED,
        faults=faults,
    )


def _start(case: _Case, values: _Values, changed: set[str]) -> Verdict:
    begun = values.started
    if STARTED not in changed or begun is None:
        return Verdict()
    running = under_way(case.snapshot)
    if case.snapshot.closed is not None:
        return Verdict(fault="the treatment is closed: open it again first")
    if running is not None and running.key != case.injection.key:
        return Verdict(fault=f"{running.label} is under way: say first that it has ended")
    return Verdict(warning=_before_the_last(case, begun) or _left_out(case))


def _end(case: _Case, values: _Values, changed: set[str]) -> Verdict:
    begun, ended = values.started, values.ended
    if ended is None:
        if ENDED in changed and ENDED not in case.recorded:
            return Verdict(fault="stands in the plan: change it, or cancel the fraction")
        return Verdict()
    if case.snapshot.closed is not None and case.injection.time is None:
        return Verdict(fault="the treatment is closed: open it again first")
    if begun is not None and ended < begun:
        return Verdict(fault=f"lies before the start ({room_clock(case.snapshot, begun)})")
    if not changed & {STARTED, ENDED}:
        return Verdict()
    if begun is not None and ended - begun > _LONG:
        return Verdict(warning=f"{formatting.age(ended - begun)} after the start: check both")
    return Verdict(warning="" if begun is not None else _before_the_last(case, ended) or _left_out(case))


def _before_the_last(case: _Case, time: datetime) -> str:
    """Whether it would begin before an injection ended that comes before it in the order of the treatment."""
    order = [i.key for i in case.snapshot.injections]
    before = case.snapshot.injections[: order.index(case.injection.key)] if case.injection.key in order else ()
    ends = [(i.time, i.label) for i in before if i.time is not None]
    last, label = max(ends, default=(None, ""))
    if last is None or time >= last:
        return ""
    return f"before the end of {label} ({room_clock(case.snapshot, last)}): check the time"


def _left_out(case: _Case) -> str:
    """Whether a fraction before it, at its position, has not been given."""
    own = case.injection
    if own.time is not None or own.started_at is not None:
        return ""
    waiting = [
        i.label
        for i in case.snapshot.injections
        if i.position == own.position and i.fraction < own.fraction and i.time is None and not i.aborted
    ]
    return f"{waiting[0]}, planned before it, has not been given" if waiting else ""


def _abortion(case: _Case, values: _Values, changed: set[str]) -> Verdict:
    if not case.aborted or not changed:
        return Verdict()
    if values.ended is None and ENDED not in values.faults:
        if values.started is not None:
            return Verdict(fault="needs the end, at least about: until then it counts as under way")
        return Verdict(warning="without an end it counts as given up before it began: nothing delivered")
    return Verdict()


def _activity(case: _Case, values: _Values, changed: set[str], text: str) -> Verdict:
    """Of what is typed or now holds anew: possible at all, and likely."""
    if not changed & {ACTIVITY, ENDED, ABORTED}:
        return Verdict()
    read = thousands_warning(text, unit="MBq", high=HIGHEST_MBQ) if ACTIVITY in changed else ""
    mbq, ended, planned = values.mbq, values.ended, case.injection.planned_mbq
    if mbq is None:
        return _without_activity(case, ended, changed)
    if ended is None:
        return Verdict(fault="" if ENDED in values.faults else "needs the end of the injection: it holds then")
    held = _held_mbq(case, ended)
    if held is not None and mbq > held * (1.0 + _ROUNDING):
        at = room_clock(case.snapshot, ended)
        return Verdict(fault=f"more than the {formatting.activity(held)} that its vials held at {at}")
    if planned is None or planned <= 0:
        return Verdict(warning=read)
    if mbq > UNIT_SLIP_FACTOR * planned or (not case.aborted and mbq < planned / UNIT_SLIP_FACTOR):
        told = f"more than a factor {UNIT_SLIP_FACTOR:g} from the {formatting.activity(planned)} planned"
        return Verdict(fault=f"{told}: check the unit (MBq) and the digits")
    if read:
        return Verdict(warning=read)
    if ABORTED in changed and case.aborted and ACTIVITY not in changed:
        return Verdict(warning="was said before it was aborted: check it")
    if mbq > (1.0 + PLANNED_BAND) * planned or (not case.aborted and mbq < (1.0 - PLANNED_BAND) * planned):
        share = formatting.signed(100.0 * (mbq / planned - 1.0))
        return Verdict(warning=f"{share} % from the {formatting.activity(planned)} planned")
    return Verdict()


def _without_activity(case: _Case, ended: datetime | None, changed: set[str]) -> Verdict:
    if case.aborted:
        return Verdict(warning="delivered activity not known, unless its residual was measured alone")
    if ACTIVITY in changed and ACTIVITY not in case.recorded:
        return Verdict(fault="stands in the plan: change it")
    if ended is not None and not (case.planned is not None and case.planned.vials):
        return Verdict(warning="not known: it has no vials that tell it")
    return Verdict()


def _held_mbq(case: _Case, at: datetime) -> float | None:
    """What all its vials held at a time [MBq]; None where it has none, or one that is not known."""
    names = (case.planned.vials or ()) if case.planned is not None else ()
    vials = {vial.name: vial for vial in getattr(case.snapshot.plan, "vials", ())}
    if not names or any(name not in vials for name in names):
        return None
    settings = case.snapshot.settings
    isotope = isotope_of(settings.quantification if settings is not None else QuantificationSettings())
    assays = [MeasuredActivity(activity_mbq=vials[n].activity_mbq, time=vials[n].assay_time) for n in names]
    return sum(assay.at(at, isotope) for assay in assays)
