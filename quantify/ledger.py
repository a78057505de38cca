"""The ledger of activity: what every injection drew from the vials, what stayed behind, what reached the patient.

Vial and residual are each decayed to the time of injection and then subtracted (physics §1). Nothing is lost on the
way: Σ net + Σ residual = Σ vials, all decayed to one time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from quantify.activity import MeasuredActivity, net_activity
from quantify.isotope import Isotope
from quantify.ledger_division import Sharer, divided

Key = tuple[str, int]
"""(position, fraction) of an injection."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Microspheres of one production: MBq per mg of microspheres at a time, and holmium per microspheres by mass."""

    specific_activity_mbq_per_mg: float
    reference_time: datetime
    holmium_fraction: float | None = None


@dataclass(frozen=True, kw_only=True)
class Vial:
    """A vial as assayed: activity [MBq] at ``assay_time`` and mass of microspheres [mg]; None where not weighed."""

    name: str
    activity_mbq: float
    assay_time: datetime
    mass_mg: float | None = None
    holmium_fraction: float | None = None


@dataclass(frozen=True, kw_only=True)
class Residual:
    """Waste measured once [MBq at ``assay_time``] for the injections that it is left of."""

    activity_mbq: float
    assay_time: datetime
    injections: tuple[Key, ...]


@dataclass(frozen=True, kw_only=True)
class LedgerEntry:
    """One injection as it is written into the ledger; None is what is not known (yet).

    ``given_mbq`` is net and final at ``time``; else the activity is what was drawn from ``vials``. Whether it was
    given outside the MRI makes no difference here: it draws as any other.
    """

    key: Key
    batch: Batch
    time: datetime | None = None
    planned_mbq: float | None = None
    given_mbq: float | None = None
    vials: tuple[str, ...] = ()
    aborted: bool = False

    @property
    def label(self) -> str:
        """As the screen names it, e.g. ``RHA F2``."""
        return f"{self.key[0]} F{self.key[1]}"


@dataclass(frozen=True, kw_only=True)
class LedgerRow:
    """What came of one entry; activities [MBq] at its time of injection, None where not known.

    ``residual_mbq`` is what did not reach the patient: measured, or assumed when ``residual_measured`` is False.
    ``vial_shares`` are the shares 0…1 of each vial that the injection draws, also before it has happened.
    """

    key: Key
    vial_shares: Mapping[str, float] = field(default_factory=dict)
    drawn_mbq: float | None = None
    drawn_mg: float | None = None
    residual_mbq: float | None = None
    residual_measured: bool = False
    net_mbq: float | None = None
    u_mbq: float | None = None
    specific_activity_mbq_per_mg: float | None = None
    holmium_fraction: float | None = None
    provisional_reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """All rows in the order of the entries; ``unallocated`` residuals are left of no entry that is known."""

    rows: tuple[LedgerRow, ...]
    unallocated: tuple[Residual, ...] = ()

    def row(self, key: Key) -> LedgerRow:
        """The row of one injection; KeyError if it has no entry."""
        for row in self.rows:
            if row.key == key:
                return row
        raise KeyError(key)


def ledger(
    entries: Sequence[LedgerEntry],
    *,
    vials: Sequence[Vial],
    residuals: Sequence[Residual],
    isotope: Isotope,
    loss_pct: float,
    loss_u_pct: float,
) -> Ledger:
    """Divide vials and residuals over the injections.

    A vial that several injections name is divided by `quantify.ledger_division.divided`: in proportion to their
    planned activities (else equally), after those whose activity is known took theirs; such rows are provisional,
    since nobody measured the division. A residual is divided in proportion to what its injections drew and decayed to
    each one's time. Until a residual is measured, `loss_pct` ± `loss_u_pct` of what was drawn is assumed lost
    (EMERITUS-1: 8.6 %). The specific activity is ΣA/Σm of what was drawn, the batch's where no mass is known.

    An aborted injection has a net activity only where it was given, or where a residual of its own tells what stayed
    behind. Where residuals exceed what was drawn the net activity is None, with the reason.

    Raises
    ------
    ValueError
        For a vial that does not exist, two of one name, two entries of one key, an activity, mass or loss that is not
        a finite number in its range, or a time without zone.
    """
    _check(entries, vials, residuals, loss_pct, loss_u_pct)
    by_name = {vial.name: vial for vial in vials}
    at = max((vial.assay_time for vial in vials), default=None)
    contents = {} if at is None else {v.name: v.activity_mbq * isotope.decay_factor(v.assay_time, at) for v in vials}
    known = {entry.key for entry in entries if entry.vials}
    usable = [r for r in residuals if known.intersection(r.injections)]
    sharers = [
        Sharer(
            vials=entry.vials,
            planned_mbq=entry.planned_mbq,
            taken_mbq=_taken(entry, entries, contents, usable, at, isotope, loss_pct),
        )
        for entry in entries
    ]
    shares = {entry.key: of for entry, of in zip(entries, divided(sharers, contents), strict=True)}
    weights = {key: sum(share * contents[name] for name, share in of.items()) for key, of in shares.items()}
    rows = tuple(
        _row(e, entries, shares[e.key], by_name, usable, weights, isotope, loss_pct, loss_u_pct) for e in entries
    )
    return Ledger(rows=rows, unallocated=tuple(r for r in residuals if r not in usable))


def _row(
    entry: LedgerEntry,
    entries: Sequence[LedgerEntry],
    shares: Mapping[str, float],
    vials: Mapping[str, Vial],
    residuals: Sequence[Residual],
    weights: Mapping[Key, float],
    isotope: Isotope,
    loss_pct: float,
    loss_u_pct: float,
) -> LedgerRow:
    masses = [vials[name].mass_mg for name in shares]
    drawn_mg = sum(share * (m or 0.0) for share, m in zip(shares.values(), masses, strict=True))
    weighed = bool(shares) and all(mass is not None for mass in masses) and drawn_mg > 0
    row = LedgerRow(
        key=entry.key,
        vial_shares=dict(shares),
        drawn_mg=drawn_mg if weighed else None,
        net_mbq=entry.given_mbq,
        holmium_fraction=_holmium_fraction(entry, shares, vials),
        provisional_reason=_UNKNOWN if entry.aborted and entry.given_mbq is None else None,
    )
    if entry.time is None:
        return row
    batch = entry.batch
    specific = batch.specific_activity_mbq_per_mg * isotope.decay_factor(batch.reference_time, entry.time)
    if not shares:
        return replace(row, specific_activity_mbq_per_mg=specific)
    drawn = [
        MeasuredActivity(activity_mbq=share * vials[name].activity_mbq, time=vials[name].assay_time)
        for name, share in shares.items()
    ]
    left = _residual_shares(entry, residuals, weights)
    total = sum(one.at(entry.time, isotope) for one in drawn)
    residual = sum(one.at(entry.time, isotope) for one in left)
    row = replace(
        row,
        drawn_mbq=total,
        specific_activity_mbq_per_mg=total / drawn_mg if weighed else specific,
        residual_mbq=residual if left else None,
        residual_measured=bool(left),
    )
    if entry.given_mbq is not None:
        over = entry.given_mbq > total * (1 + 1e-9)
        reason = f"the {entry.given_mbq:.4g} MBq given exceed the {total:.4g} MBq that its vials held" if over else None
        return replace(row, residual_mbq=None if over else total - entry.given_mbq, provisional_reason=reason)
    reasons = _division_reasons(entry, entries)
    if total <= 0:
        return replace(row, provisional_reason="; ".join([*reasons, "nothing was left in its vials; check them"]))
    if residual > total:
        why = f"its residual ({residual:.4g} MBq) exceeds the {total:.4g} MBq drawn; check activities and times"
        return replace(row, provisional_reason="; ".join([*reasons, why]))
    own = [r for r in residuals if entry.key in r.injections]
    if entry.aborted and not (own and all(set(r.injections) == {entry.key} for r in own)):
        return row
    net = net_activity(
        drawn=drawn, residual_share=left, time=entry.time, isotope=isotope, loss_pct=loss_pct, loss_u_pct=loss_u_pct
    )
    if net.assumed_loss:
        reasons.append(f"residual not measured; a loss of {loss_pct:g} % is assumed")
    reasons += [
        f"its residual was measured together with that of the aborted {other.label}: their parts are not known"
        for other in entries
        if other.key != entry.key and other.aborted and any(other.key in r.injections for r in own)
    ]
    return replace(
        row,
        residual_mbq=total - net.activity_mbq,
        net_mbq=net.activity_mbq,
        u_mbq=net.u_mbq,
        provisional_reason="; ".join(reasons) or None,
    )


_UNKNOWN = "aborted; the delivered activity is not known"


def _division_reasons(entry: LedgerEntry, entries: Sequence[LedgerEntry]) -> list[str]:
    """A sentence for every vial whose division nobody measured."""
    reasons = []
    for name in entry.vials:
        sharing = [one for one in entries if name in one.vials]
        waiting = [one for one in sharing if one.given_mbq is None or one.time is None]
        if len(waiting) > 1:
            how = "by planned activities" if all((one.planned_mbq or 0) > 0 for one in waiting) else "equally"
            reasons.append(f"vial {name} is divided {how} over {', '.join(one.label for one in waiting)}")
        elif len(sharing) > 1:
            others = ", ".join(one.label for one in sharing if one is not entry)
            reasons.append(f"vial {name}: what {others} took is estimated from what was given")
    return reasons


def _residual_shares(
    entry: LedgerEntry, residuals: Sequence[Residual], weights: Mapping[Key, float]
) -> list[MeasuredActivity]:
    """This injection's part of every residual that names it, in proportion to what each drew (one time for all)."""
    parts = []
    for residual in residuals:
        if entry.key not in residual.injections:
            continue
        members = [key for key in dict.fromkeys(residual.injections) if weights.get(key, 0.0) > 0]
        total = sum(weights[key] for key in members)
        share = weights[entry.key] / total if entry.key in members else 0.0
        parts.append(MeasuredActivity(activity_mbq=residual.activity_mbq * share, time=residual.assay_time))
    return parts


def _taken(
    entry: LedgerEntry,
    entries: Sequence[LedgerEntry],
    contents: Mapping[str, float],
    residuals: Sequence[Residual],
    at: datetime | None,
    isotope: Isotope,
    loss_pct: float,
) -> float | None:
    """What an injection of known net activity drew [MBq at `at`]: the net and its share of what stayed behind."""
    if entry.given_mbq is None or entry.time is None or at is None or not entry.vials:
        return None
    lost = loss_pct / 100.0
    own = [r for r in residuals if entry.key in r.injections]
    if own:
        vials_of = {e.key: e.vials for e in entries}
        held = sum(contents[name] for name in {n for r in own for key in r.injections for n in vials_of.get(key, ())})
        left = sum(r.activity_mbq * isotope.decay_factor(r.assay_time, at) for r in own)
        lost = min(left / held, 1.0) if held > 0 else 0.0
    net = entry.given_mbq * isotope.decay_factor(entry.time, at)
    # If all of it stayed behind, no net activity tells how much was drawn: all that its vials held.
    return net / (1.0 - lost) if lost < 1.0 else sum(contents[name] for name in entry.vials)


def _holmium_fraction(entry: LedgerEntry, shares: Mapping[str, float], vials: Mapping[str, Vial]) -> float | None:
    """Holmium content of what was drawn: by mass over the vials that state their own; else the batch's."""
    parts = [
        (share * (vials[name].mass_mg or 0.0), vials[name].holmium_fraction or entry.batch.holmium_fraction)
        for name, share in shares.items()
    ]
    mass = sum(weight for weight, _ in parts)
    fractions = [fraction for _, fraction in parts if fraction is not None]
    if (
        mass <= 0
        or len(fractions) < len(parts)
        or all(fraction == entry.batch.holmium_fraction for fraction in fractions)
    ):
        return entry.batch.holmium_fraction
    return sum(weight * (fraction or 0.0) for weight, fraction in parts) / mass


def _check(
    entries: Sequence[LedgerEntry],
    vials: Sequence[Vial],
    residuals: Sequence[Residual],
    loss_pct: float,
    loss_u_pct: float,
) -> None:
    names = [vial.name for vial in vials]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"ledger: {names.count(name)} vials are named {name!r}; expected different names.")
    keys = [entry.key for entry in entries]
    for entry in entries:
        if keys.count(entry.key) > 1:
            raise ValueError(f"ledger: {entry.label} is entered {keys.count(entry.key)} times; expected once.")
        missing = [name for name in entry.vials if name not in names]
        if missing or len(set(entry.vials)) < len(entry.vials):
            raise ValueError(f"ledger: {entry.label} names vials {entry.vials}; expected each once, of {names}.")
    numbers: list[tuple[str, float | None]] = [
        *((f"vial {vial.name} activity_mbq", vial.activity_mbq) for vial in vials),
        *((f"vial {vial.name} mass_mg", vial.mass_mg) for vial in vials),
        *((f"residual {n} activity_mbq", residual.activity_mbq) for n, residual in enumerate(residuals)),
        *((f"{entry.label} given_mbq", entry.given_mbq) for entry in entries),
        *((f"{entry.label} planned_mbq", entry.planned_mbq) for entry in entries),
        ("loss_pct", loss_pct),
        ("loss_u_pct", loss_u_pct),
    ]
    for what, number in numbers:
        if number is not None and not (math.isfinite(number) and number >= 0):
            raise ValueError(f"ledger: {what} is {number}; expected a finite number that is not negative.")
    if loss_pct > 100:
        raise ValueError(f"ledger: loss_pct is {loss_pct}; expected at most 100.")
