"""The physicist's panel: every setting that a dose depends on, and a draft B of other values beside the active A.

What is typed is read exactly as ``--set KEY=VALUE`` reads it, and judged by what the engine itself does with it: the
panel cannot differ from the command line.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from config.errors import ConfigurationError
from config.overrides import parse_set, with_overrides
from config.plan import TreatmentPlan
from console.dashboard.desk.form import Verdict
from console.dashboard.desk.tuning_settings import PLAN_TABLES, tunable, value_text
from console.dashboard.screen import formatting
from console.dashboard.screen.model import State, Tone
from console.operations import RevisePlan
from console.snapshot import Snapshot
from console.treatment import Treatment, laid_over

SHORTEST_NAME, SHORTEST_REASON = 3, 10


# -- what is in force ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class Active:
    """A: the values in force by path, as JSON has them; and what they are laid over."""

    values: Mapping[str, Any] = field(default_factory=dict)
    treatment: Treatment = field(default_factory=Treatment)
    warnings: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether there is a plan that a draft can be laid over."""
        return bool(self.treatment.loaded)

    def text(self, path: str) -> str:
        """A value as it would be typed."""
        return value_text(self.values.get(path))


def active_of(snapshot: Snapshot) -> Active:
    """The values that the treatment is computed with."""
    if not snapshot.loaded:
        return Active()
    treatment = laid_over(Treatment(loaded=snapshot.loaded), snapshot.overrides)
    return Active(values=_values(treatment), treatment=treatment, warnings=_warnings(treatment))


# -- the draft -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Draft:
    """B: what was typed, by path. What equals A is not part of it."""

    typed: Mapping[str, str] = field(default_factory=dict)

    def type(self, path: str, text: str) -> Draft:
        """The draft with another text for one value."""
        return replace(self, typed={**self.typed, path: text})

    def reset(self, path: str) -> Draft:
        """The draft with A's value again."""
        return replace(self, typed={key: text for key, text in self.typed.items() if key != path})


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a draft comes to: the overrides, and what is wrong with it. With a fault nothing of it is computed."""

    overrides: Mapping[str, object] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    """Paths whose value is another than A's, or cannot be read; in the order of the panel."""
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    """What is wrong with no single value."""
    warnings: tuple[str, ...] = ()
    """What is allowed but unlikely, and is not so in A."""
    revised: Mapping[str, Any] = field(default_factory=dict)
    """The plan that promoting it would record; empty with a fault or without a change."""
    lines: tuple[str, ...] = ()
    """Every changed key: ``key  old → new unit``."""
    command: str = ""
    """The same on the command line; empty while a value is refused, as the command line would refuse it."""

    @property
    def refused(self) -> bool:
        """Whether something is wrong with it."""
        return bool(self.faults) or any(verdict.fault for verdict in self.verdicts.values())

    @property
    def state(self) -> State:
        """The draft in a line."""
        if self.refused:
            count = len(self.faults) + sum(bool(v.fault) for v in self.verdicts.values())
            words = f"{count} of the values cannot be used: B is not computed"
            return State(sign="✕", word=self.faults[0] if self.faults else words, tone=Tone.ALERT)
        if self.warnings:
            return State(sign="▲", word=self.warnings[0], tone=Tone.CAUTION)
        if not self.changed:
            return State(sign="=", word="no change: B is A", tone=Tone.MUTED)
        values = "value" if len(self.changed) == 1 else "values"
        return State(sign="Δ", word=f"{len(self.changed)} {values} changed", tone=Tone.ACTIVE)


def judged(draft: Draft, active: Active) -> Judged:
    """Read and check what was typed, as ``--set`` would."""
    if not active.known:
        return Judged()
    order = [one.path for one in tunable() if one.path in draft.typed]
    values, verdicts = {}, {}
    for path in order:
        text = draft.typed[path].strip()
        if text == active.text(path):
            continue
        try:
            value = parse_set([f"{path}={text}"])[path]
        except ConfigurationError as error:
            verdicts[path] = Verdict(fault=" ".join(error.faults))
            continue
        if not _same(value, active.values.get(path)):
            values[path] = value
    changed = tuple(path for path in order if path in values or path in verdicts)
    lines = tuple(_line(path, draft.typed[path].strip(), active) for path in changed)
    try:
        treatment = laid_over(active.treatment, values)
    except ConfigurationError as error:
        own, faults = _assigned(error.faults, changed)
        return Judged(changed=changed, verdicts={**verdicts, **own}, faults=faults, lines=lines)
    if verdicts:
        return Judged(changed=changed, verdicts=verdicts, lines=lines)
    revised, _ = with_overrides(active.treatment.loaded["plan"], values, TreatmentPlan)
    return Judged(
        overrides=values,
        changed=changed,
        warnings=tuple(told for told in _warnings(treatment) if told not in active.warnings),
        revised=revised if values else {},
        lines=lines,
        command=command_line({path: draft.typed[path].strip() for path in changed}),
    )


def command_line(texts: Mapping[str, str]) -> str:
    """What makes the same draft on the command line: ``--set KEY=VALUE …``, as a shell takes it."""
    return " ".join(f"--set {shlex.quote(f'{path}={text}')}" for path, text in texts.items())


# -- the lock ------------------------------------------------------------------------------------------------------


def name_fault(name: str) -> str:
    """What is wrong with a name, while it is typed."""
    return "" if len(name.strip()) >= SHORTEST_NAME else f"expected a name of at least {SHORTEST_NAME} characters"


def reason_fault(reason: str) -> str:
    """What is wrong with a reason, while it is typed."""
    short = len(reason.strip()) < SHORTEST_REASON
    return f"expected why, in at least {SHORTEST_REASON} characters" if short else ""


def promotion_fault(draft: Judged, *, name: str, reason: str, shown: bool) -> str:
    """Why a draft cannot be promoted now; "" if it can.

    Parameters
    ----------
    shown
        Whether the results of this very draft are on the screen: nothing is promoted whose effect was not seen.
    """
    if draft.refused:
        return draft.state.word
    if not draft.overrides:
        return "nothing is changed"
    if not shown:
        return "B is not computed yet: its doses have to be seen first"
    return name_fault(name) or reason_fault(reason)


def promotion(draft: Judged, *, name: str, reason: str) -> RevisePlan:
    """The word that makes a draft the active settings."""
    return RevisePlan(plan=draft.revised, reason=reason.strip(), name=name.strip())


# -- details -------------------------------------------------------------------------------------------------------


def _values(treatment: Treatment) -> dict[str, Any]:
    if treatment.plan is None or treatment.quantification is None:
        return {}
    plan = treatment.plan.to_mapping()
    tables = {table: plan[table] for table in PLAN_TABLES} | {"quantification": treatment.quantification.to_mapping()}
    return dict(_flat(tables, ""))


def _flat(table: Mapping[str, Any], where: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{where}{key}.")
        else:
            yield f"{where}{key}", value


def _same(value: object, active: object) -> bool:
    """Whether a parsed value is A's: 5 is 5.0, true is no 1, and a moment is one in any zone."""
    if isinstance(value, bool) or isinstance(active, bool):
        return value is active
    if isinstance(value, list) and isinstance(active, list):
        return len(value) == len(active) and all(map(_same, value, active))
    if isinstance(value, datetime) and value.tzinfo is not None and isinstance(active, str):
        return value == datetime.fromisoformat(active)
    return value == active


def _assigned(faults: tuple[str, ...], changed: tuple[str, ...]) -> tuple[dict[str, Verdict], tuple[str, ...]]:
    """Each fault beside the value that it names; the others are told of the draft."""
    own: dict[str, Verdict] = {}
    rest = []
    for fault in faults:
        path = next((p for p in changed if fault.startswith((f"{p} ", f"{p}:", f"{p}["))), None)
        if path is None:
            rest.append(fault)
        else:
            _, _, expected = fault.partition("; expected ")
            own.setdefault(path, Verdict(fault=f"expected {expected.rstrip('.')}" if expected else fault))
    return own, tuple(rest)


def _line(path: str, text: str, active: Active) -> str:
    unit = next(one.about.unit for one in tunable() if one.path == path)
    return f"{path}: {active.text(path) or formatting.NOT_KNOWN} → {text or formatting.NOT_KNOWN} {unit}".rstrip()


def _warnings(treatment: Treatment) -> tuple[str, ...]:
    if treatment.plan is None:
        return ()
    return treatment.plan.warnings(treatment.alarms, treatment.quantification)
