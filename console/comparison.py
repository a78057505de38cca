"""Two sides held against each other: two settings, two versions of volumes, or two treatments. Pure; nothing is drawn.

Each side is a results document (`console.outputs.results`) that was computed to its end: whatever a comparison tells is
in one of the two. B − A has no single uncertainty, but two ends between which it lies (`quantify.difference`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import zip_longest
from typing import Any

from console.comparison_quantities import (
    COVERAGE,
    FRACTION_QUANTITIES,
    MEAN,
    PER_INJECTED,
    VOLUME_QUANTITIES,
    Quantity,
    Value,
    is_told_of,
    of_fraction,
    of_volume,
    value_difference,
)
from console.differences import differences, plan_differences
from console.outputs.recorded import recorded_fraction
from quantify.difference import Difference
from quantify.findings import FractionResult
from quantify.model import Role

COVERAGE_FACTOR = 2.0
"""A difference is held against so many standard uncertainties: some 95 % of a normal distribution."""
_HASH = 8
_ROUNDING = 1e-5
"""Share of a number below which a difference is one of arithmetic (as in `console.verify`), not of what was changed."""
_PLAN = ("microspheres", "calibration", "structures", "positions", "vials", "residuals")


class Verdict(StrEnum):
    """What a difference is worth beside its own uncertainty."""

    SAME = "same"
    CHANGED = "differs"
    """It differs, and no uncertainty of the difference is known: geometry, a count, a word."""
    WITHIN = "within"
    """Within 2 u even if A and B share all their errors."""
    EITHER = "between"
    """Beyond 2 u if A and B share all their errors, within if they share none."""
    BEYOND = "beyond"
    """Beyond 2 u even if A and B share no error."""
    UNTOLD = "not told"
    """One of the two is a lower bound, not evaluable, not known or absent."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """One of the two: how it is called, and its results document, as known here or as it may leave."""

    label: str
    document: Mapping[str, Any] = field(repr=False)

    @cached_property
    def results(self) -> tuple[FractionResult, ...]:
        """The fractions of the document, in order of injection, without maps."""
        return tuple(recorded_fraction(fraction) for fraction in self.document["fractions"])

    @property
    def patient_id(self) -> str:
        """Whose treatment it is."""
        return str(self.document["treatment"]["patient_id"] or "")

    @property
    def coverage_gy(self) -> float | None:
        """The dose that coverage is told at."""
        statistics = self.document["settings"].get("quantification", {}).get("statistics", {})
        return None if statistics.get("coverage_Gy") is None else float(statistics["coverage_Gy"])


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two fractions that stand beside each other; None where a side has none."""

    label: str
    a: FractionResult | None = field(repr=False)
    b: FractionResult | None = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One quantity of a pair of fractions, or of a volume after them; ``volume`` is empty for the fractions' own.

    ``difference`` is B − A in the unit of the documents, which times ``quantity.factor`` is ``quantity.unit``.
    """

    pair: int
    volume: str
    quantity: Quantity
    a: Value
    b: Value
    difference: Difference

    @property
    def verdict(self) -> Verdict:
        """What the difference is worth."""
        own = self.difference
        if self.quantity.worded:
            return Verdict.SAME if self.a.words == self.b.words else Verdict.CHANGED
        if own.change is None:
            return Verdict.UNTOLD
        if self.a.words != self.b.words:
            return Verdict.CHANGED
        if abs(own.change) <= _ROUNDING * max(abs(self.a.number or 0.0), abs(self.b.number or 0.0)):
            return Verdict.SAME
        if own.u_shared is None or own.u_separate is None:
            return Verdict.CHANGED
        if abs(own.change) > COVERAGE_FACTOR * own.u_separate:
            return Verdict.BEYOND
        return Verdict.WITHIN if abs(own.change) <= COVERAGE_FACTOR * own.u_shared else Verdict.EITHER


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Everything that was held against each other. ``inputs`` is what differs in what the two were made from.

    ``same_treatment``: both are of the same images, so that B − A is a sensitivity, not a measurement. ``notes`` are
    sentences that the table cannot be read without.
    """

    a: Side
    b: Side
    same_treatment: bool
    same_patient: bool
    inputs: tuple[str, ...]
    pairs: tuple[Pair, ...]
    rows: tuple[Row, ...] = field(repr=False)
    notes: tuple[str, ...]

    @property
    def nothing_differs(self) -> bool:
        """Whether neither what went in differs, nor any number or word that came out."""
        calm = (Verdict.SAME, Verdict.UNTOLD)
        return not self.inputs and all(row.verdict in calm and row.a == row.b for row in self.rows)

    def rows_of(self, pair: int) -> tuple[Row, ...]:
        """The rows of a pair of fractions: the fractions' own first, then volume by volume."""
        return tuple(row for row in self.rows if row.pair == pair)


def compare(a: Side, b: Side) -> Comparison:
    """Hold B against A.

    Fractions of one treatment are matched by position and number, those of two by their order; volumes by name.
    """
    same_treatment = _is_same_treatment(a, b)
    pairs = _pairs(a, b, same_treatment=same_treatment)
    inputs = input_differences(a.document, b.document)
    if same_treatment:
        inputs += differences(_head(a), _head(b), "record_head")
    return Comparison(
        a=a,
        b=b,
        same_treatment=same_treatment,
        same_patient=same_treatment or (bool(a.patient_id) and a.patient_id == b.patient_id),
        inputs=inputs,
        pairs=pairs,
        rows=tuple(
            row
            for number, pair in enumerate(pairs)
            for row in _rows(number, pair, (a.coverage_gy, b.coverage_gy), per_injected=not same_treatment)
        ),
        notes=tuple(_notes(a, b, pairs, inputs, same_treatment=same_treatment)),
    )


def input_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[str, ...]:
    """What two documents were made from and that differs, as ``key: A → B``: plan, settings, volumes, version."""
    plan = plan_differences(_plan(a), _plan(b))
    patient = differences(a["treatment"]["patient_id"], b["treatment"]["patient_id"], "plan.patient.id")
    settings = differences(a["settings"], b["settings"])
    volumes = differences(_versions(a), _versions(b), "volumes")
    version = differences(a["software"]["version"], b["software"]["version"], "software.version")
    return (*patient, *(f"plan.{one}" for one in plan), *settings, *volumes, *version)


def _plan(document: Mapping[str, Any]) -> dict[str, Any]:
    """The plan as it was in force; injections as they were given, settings stand by themselves."""
    plan = document["plan"]
    return {
        **{key: plan[key] for key in _PLAN if key in plan},
        "limits": document["limits"],
        "injections": document["injections"],
    }


def _versions(document: Mapping[str, Any]) -> dict[str, str]:
    sources = document["record"]["volume_sources"]
    return {
        name: f"version {own['version']} of {own['title']}, {str(own['sha256'])[:_HASH]}"
        for name, own in sources.items()
    }


def _head(side: Side) -> str:
    return str(side.document["software"]["record_head"])[: 2 * _HASH]


def _is_same_treatment(a: Side, b: Side) -> bool:
    """Whether they have images in common."""
    of_a, of_b = (
        {uid for series in side.document["record"]["series"] for uid in series["series_instance_uids"]}
        for side in (a, b)
    )
    return bool(of_a & of_b) or (_head(a) == _head(b) != "")


def _pairs(a: Side, b: Side, *, same_treatment: bool) -> tuple[Pair, ...]:
    if not same_treatment:
        return tuple(
            Pair(label=_pair_label(number, own, its), a=own, b=its)
            for number, (own, its) in enumerate(zip_longest(a.results, b.results), start=1)
        )
    of_a, of_b = ({result.key: result for result in side.results} for side in (a, b))
    return tuple(
        Pair(label=(of_a.get(key) or of_b[key]).label, a=of_a.get(key), b=of_b.get(key))
        for key in dict.fromkeys([*of_a, *of_b])
    )


def _pair_label(number: int, a: FractionResult | None, b: FractionResult | None) -> str:
    of_a, of_b = (own.label if own is not None else "none" for own in (a, b))
    return f"no. {number}: {of_a}" + (f" | {of_b}" if of_b != of_a else "")


def _rows(
    number: int, pair: Pair, coverage_gy: tuple[float | None, float | None], *, per_injected: bool
) -> Iterator[Row]:
    for quantity in FRACTION_QUANTITIES:
        a, b = of_fraction(pair.a, quantity), of_fraction(pair.b, quantity)
        change = Difference() if quantity.worded else value_difference(a, b)
        yield Row(pair=number, volume="", quantity=quantity, a=a, b=b, difference=change)
    quantities = (*VOLUME_QUANTITIES, PER_INJECTED) if per_injected else VOLUME_QUANTITIES
    for name, role in _volumes(pair).items():
        for quantity in quantities:
            a, b = of_volume(pair.a, name, quantity), of_volume(pair.b, name, quantity)
            empty = a.number is None and b.number is None and not quantity.worded and quantity is not MEAN
            if empty or not is_told_of(quantity, role):
                continue
            change = Difference() if quantity.worded else value_difference(a, b)
            if quantity is COVERAGE and coverage_gy[0] != coverage_gy[1]:
                # Two quantities of one name.
                told = " and ".join(
                    f"{'not known' if own is None else f'{own:g} Gy'} in {side}"
                    for side, own in zip("AB", coverage_gy, strict=True)
                )
                change = Difference(why=f"told at {told}")
            yield Row(pair=number, volume=name, quantity=quantity, a=a, b=b, difference=change)


def _volumes(pair: Pair) -> dict[str, Role]:
    """Names and roles, those of A first."""
    found: dict[str, Role] = {}
    for side in (pair.a, pair.b):
        for name, own in side.volumes.items() if side is not None else ():
            found.setdefault(name, own.role)
    return found


def _notes(
    a: Side, b: Side, pairs: tuple[Pair, ...], inputs: tuple[str, ...], *, same_treatment: bool
) -> Iterator[str]:
    if not inputs:
        yield "Nothing differs in what A and B were made from."
    if same_treatment:
        yield (
            "A and B are computed from the same images: B − A is a sensitivity to what was changed, not a measurement."
        )
    else:
        yield (
            f"A and B are two treatments: fractions are matched by their order ({len(a.results)} in A, "
            f"{len(b.results)} in B), volumes by their names. The doses per injected activity are over all that was "
            "injected until then, at all positions; their ± is the dose's alone."
        )
    for name, side, other in (("A", a, b), ("B", b, a)):
        damage = side.document["software"]["record_damage"]
        if damage:
            yield f"{name} is of a damaged file: {damage}"
        absent = dict.fromkeys(
            v for r in other.results for v in r.volumes if not any(v in own.volumes for own in side.results)
        )
        if absent:
            yield f"{name} has no volume {', '.join(absent)}."
        missing = [pair.label for pair in pairs if (pair.a if name == "A" else pair.b) is None]
        if missing:
            yield f"{name} has no result for {', '.join(missing)}."
        yield from (f"{name}: {fault}" for fault in side.document["structures"]["faults"])
