"""The table of the volumes after the shown fraction: every dose with its ±, every volume with where it comes from."""

from __future__ import annotations

from console.dashboard.screen import formatting
from console.dashboard.screen.model import Cell, Row, Table, Tone
from console.dashboard.screen.remembered import by_identity
from console.dashboard.screen.trend import series_indices
from console.dashboard.screen.trend_words import trend_cell
from console.dashboard.screen.words import dose_words
from console.snapshot import Snapshot
from quantify.findings import FractionResult, VolumeStatistics, VolumeStatus
from quantify.model import Reason, Role, Volume
from quantify.monte_carlo import Spread

_ROLE_WORDS = {
    Role.LIVER: "liver",
    Role.HEALTHY_LIVER: "healthy liver",
    Role.TUMOUR: "tumour",
    Role.TERRITORY: "territory",
}
_ORDER = (Role.TUMOUR, Role.HEALTHY_LIVER, Role.TERRITORY, Role.LIVER)
# Less than this of a volume outside the images is what rasterising alone makes of it.
_OUTSIDE_SAID = 0.005
_OUTSIDE_WARNED = 0.02
_STATISTICS = "Source: docs/physics.md §6."
_UNCERTAINTY = "Source: docs/physics.md §4, settings [quantification.uncertainty]."


@by_identity()
def volumes_table(snapshot: Snapshot, shown: FractionResult | None) -> Table:
    """Every volume after the shown fraction; those fed from its injection position are highlighted.

    Uncertainties are k = 1. Without an uncertainty of its own D70 is rounded like the mean and marked ``≈``.
    """
    columns = (
        "", "Volume", "mL", "Mean dose", "D70", coverage_words(snapshot), "CV", "T/N", "Evaluable",
        "Position" if _any_fed(snapshot) else "", "Source", "Trend",
    )  # fmt: skip
    if shown is None:
        return Table(columns=columns, empty="no fraction has a result yet")
    if not shown.volumes:
        return Table(columns=columns, empty=f"{shown.label}: {shown.error or 'no volumes of interest'}")
    indices = series_indices(snapshot)
    drawn = {volume.name: volume for volume in snapshot.volumes}
    rows = []
    for own in sorted(shown.volumes.values(), key=lambda s: _ORDER.index(s.role)):
        cells = (
            Cell(text=""),
            Cell(
                text=own.name,
                bold=True,
                tooltip=f"{_ROLE_WORDS[own.role]}: name of the volume. Source: the plan, [structures].",
            ),
            _size(own),
            _mean(own),
            _d70(own),
            _coverage(snapshot, own),
            _cv(own),
            _tnr(own),
            _evaluable(snapshot, own),
            _position(snapshot, shown, own.name),
            _source(snapshot, own, drawn.get(own.name)),
            _trend(shown, own),
        )
        fed = own.name in fed_volumes(snapshot, shown.position)
        rows.append(Row(cells=cells, series=indices.get(own.name), highlighted=fed))
    return Table(columns=columns, rows=tuple(rows))


def fed_volumes(snapshot: Snapshot, position: str) -> tuple[str, ...]:
    """Volumes that the plan says are fed from a position; empty where it does not tell them apart."""
    plan = snapshot.plan.positions.get(position) if snapshot.plan is not None else None
    if plan is None:
        return ()
    return (*(plan.volumes or ()), *((plan.territory,) if plan.territory is not None else ()))


def coverage_gy(snapshot: Snapshot) -> float | None:
    """The dose that coverage is told at; None while there are no settings."""
    return None if snapshot.settings is None else snapshot.settings.quantification.statistics.coverage_gy


def coverage_words(snapshot: Snapshot) -> str:
    """The head of the column: ``≥ 90 Gy``."""
    dose_gy = coverage_gy(snapshot)
    return "Coverage" if dose_gy is None else f"≥ {dose_gy:g} Gy"


def not_evaluable_words(own: VolumeStatistics) -> str:
    """Why a volume has no dose."""
    return own.message or "too few voxels can be evaluated"


def _any_fed(snapshot: Snapshot) -> bool:
    return snapshot.plan is not None and any(fed_volumes(snapshot, name) for name in snapshot.plan.positions)


def _size(own: VolumeStatistics) -> Cell:
    text = f"{own.volume_ml:.0f}" if own.volume_ml >= 10 else f"{own.volume_ml:.1f}"
    meaning = "volume that the contours enclose, mL. Source: the object received (column Source), recorded."
    if not own.warning:
        return Cell(text=text, tooltip=meaning)
    return Cell(text=f"! {text}", tone=Tone.CAUTION, tooltip=f"{own.warning}\n{meaning}")


def _mean(own: VolumeStatistics) -> Cell:
    if own.status is VolumeStatus.NOT_EVALUABLE:
        return Cell(text="— not evaluable", tone=Tone.CAUTION, tooltip=not_evaluable_words(own))
    bound = own.status is VolumeStatus.LOWER_BOUND
    lines = ["mean absorbed dose over the whole volume, cumulative, Gy; ± one standard uncertainty (k = 1)"]
    if bound:
        lines.append(f"a lower bound: {own.message or 'voxels at the noise floor'}; the truth may be anything above")
    interval = own.intervals.get("dose_mean_gy")
    if interval is not None and not bound:
        lines.append(_interval_words(interval, "Gy"))
    if own.gain_gy is not None and "gain_gy" in own.intervals and not bound:
        gain = formatting.with_uncertainty(own.gain_gy, own.intervals["gain_gy"].u, "Gy")
        lines.append(f"gained since the last image: {gain}")
    if own.partial_volume_gy is not None:
        lines.append(f"of this by the correction for partial volume: {formatting.signed(own.partial_volume_gy, 1)} Gy")
    if own.budget:
        lines.append("uncertainty (k = 1) consists of:")
        terms = sorted(own.budget, key=lambda term: -term.u_gy)
        lines += [f"   {t.name} {t.u_gy:.1f} Gy ({t.share_of_variance_pct:.0f} % of the variance)" for t in terms]
    lines += [own.warning] if own.warning else []
    tone = Tone.CAUTION if bound else Tone.NORMAL
    return Cell(text=dose_words(own), tone=tone, bold=True, tooltip="\n".join([*lines, _UNCERTAINTY]))


def _d70(own: VolumeStatistics) -> Cell:
    meaning = "D70: the dose that the hottest 70 % of the volume receive at least, Gy; freed from voxel noise"
    interval = own.intervals.get("d70_gy")
    u = own.dose_mean_u_gy
    if own.d70_gy is None or u is None or u <= 0 or own.status is VolumeStatus.NOT_EVALUABLE:
        why = _withheld(own, "D70")
        return Cell(text=formatting.NOT_KNOWN, tone=Tone.MUTED, tooltip=f"{meaning}\n{why}\n{_STATISTICS}")
    if own.status is VolumeStatus.LOWER_BOUND:
        words = formatting.lower_bound(own.d70_gy, u, "Gy")
        return Cell(text=words, tone=Tone.CAUTION, tooltip=f"{meaning}\na lower bound\n{_STATISTICS}")
    if interval is not None and interval.u > 0:
        words = formatting.with_uncertainty(own.d70_gy, interval.u, "Gy")
        return Cell(text=words, tooltip=f"{meaning}\n{_interval_words(interval, 'Gy')}\n{_STATISTICS}")
    words = f"≈ {formatting.decimal(own.d70_gy, min(formatting.decimals_for(u), 0))} Gy"
    why = "its own uncertainty is not known: rounded like the mean"
    return Cell(text=words, tooltip=f"{meaning}\n{why}\n{_STATISTICS}")


def _coverage(snapshot: Snapshot, own: VolumeStatistics) -> Cell:
    dose_gy = coverage_gy(snapshot)
    if own.role is not Role.TUMOUR or dose_gy is None:
        return Cell(text="", tooltip="coverage is told of tumours")
    lines = [f"share of the evaluable tumour that receives at least {dose_gy:g} Gy, %"]
    source = f"Source: docs/physics.md §6, setting statistics.coverage_Gy = {dose_gy:g} Gy."
    if own.coverage is None or own.status is VolumeStatus.NOT_EVALUABLE:
        return Cell(
            text=formatting.NOT_KNOWN, tone=Tone.MUTED, tooltip="\n".join([*lines, _withheld(own, "coverage"), source])
        )
    if own.cold is not None:
        lines.append(f"largest connected part below that dose: {own.cold.volume_ml:.1f} mL")
    interval = own.intervals.get("coverage")
    bound = own.status is VolumeStatus.LOWER_BOUND
    text = f"{'≥ ' if bound else ''}{100 * own.coverage:.0f} %"
    if interval is not None:
        lines.append(_interval_words(interval, "%", factor=100.0))
        if interval.u > 0 and not bound:
            text = f"{' ± '.join(formatting.pair(100 * own.coverage, 100 * interval.u))} %"
    return Cell(text=text, tone=Tone.CAUTION if bound else Tone.NORMAL, tooltip="\n".join([*lines, source]))


def _cv(own: VolumeStatistics) -> Cell:
    meaning = "CV: spread of the dose inside the volume over its mean, a number without unit, freed from voxel noise"
    if own.cv is None:
        tooltip = f"{meaning}\n{_withheld(own, 'CV')}\n{_STATISTICS}"
        return Cell(text=formatting.NOT_KNOWN, tone=Tone.MUTED, tooltip=tooltip)
    return Cell(text=f"{own.cv:.2f}", tooltip=_with_interval(meaning, own.intervals.get("cv")))


def _tnr(own: VolumeStatistics) -> Cell:
    if own.role is not Role.TUMOUR:
        return Cell(text="", tooltip="T/N is told of tumours")
    meaning = "T/N: mean concentration in the tumour over that in the healthy liver, a number without unit"
    if own.tnr is None:
        tooltip = f"{meaning}\n{_withheld(own, 'T/N')}\n{_STATISTICS}"
        return Cell(text=formatting.NOT_KNOWN, tone=Tone.MUTED, tooltip=tooltip)
    interval = own.intervals.get("tnr")
    known = interval is not None and interval.u > 0
    places = max(0, min(1, formatting.decimals_for(interval.u))) if known and interval is not None else 1
    return Cell(text=formatting.decimal(own.tnr, places), tooltip=_with_interval(meaning, interval))


def _evaluable(snapshot: Snapshot, own: VolumeStatistics) -> Cell:
    lines = ["share of the volume whose dose can be evaluated, %"]
    lines += [f"   {Reason[name.upper()].sentence}: {100 * share:.0f} %" for name, share in own.reasons.items()]
    lines.append("Source: computed, the reason of every voxel; setting minimum_evaluable_fraction")
    if snapshot.settings is not None:
        lines[-1] += f" = {100 * snapshot.settings.quantification.minimum_evaluable_fraction:g} %"
    few = own.evaluable_fraction < 0.9
    text = f"{'! ' if few else ''}{100.0 * own.evaluable_fraction:.0f} %"
    return Cell(text=text, tone=Tone.CAUTION if few else Tone.NORMAL, tooltip="\n".join(lines))


def _position(snapshot: Snapshot, shown: FractionResult, name: str) -> Cell:
    """Which position feeds the volume, as the plan states it: the one in question is marked."""
    if snapshot.plan is None:
        return Cell(text="")
    feeding = [position for position in snapshot.plan.positions if name in fed_volumes(snapshot, position)]
    if not feeding:
        return Cell(text="")
    words = f"{name} is fed from {' and '.join(feeding)}. Source: the plan, [positions]."
    if shown.position in feeding:
        others = "".join(f" {position}" for position in feeding if position != shown.position)
        return Cell(text=f"▸ {shown.position}{others}", tone=Tone.ACTIVE, bold=True, tooltip=words)
    return Cell(text=" ".join(feeding), tone=Tone.MUTED, tooltip=words)


def _source(snapshot: Snapshot, own: VolumeStatistics, volume: Volume | None) -> Cell:
    """Version, hash and the part outside the images: an edited volume is seen."""
    source = snapshot.volume_sources.get(own.name)
    outside = volume.fraction_outside_grid if volume is not None else 0.0
    out = f"{100 * outside:.0f} % out" if outside >= _OUTSIDE_SAID else ""
    lines = [f"{100 * outside:.1f} % of the contoured volume lies outside the images"] if volume is not None else []
    if source is None:
        derived = own.role in (Role.HEALTHY_LIVER, Role.TERRITORY)
        text = " · ".join(part for part in ("derived" if derived else formatting.NOT_KNOWN, out) if part)
        first = "made from other volumes: a whole without its tumours" if derived else "its object is not known"
        return Cell(text=text, tone=Tone.MUTED, tooltip="\n".join([f"{first}. Source: docs/physics.md §6.", *lines]))
    text = " · ".join(part for part in (f"v{source.version} {source.sha256[:6]}", out) if part)
    first = (
        f"version {source.version} of {own.name}: number of the objects received that hold it. "
        f"Source, as recorded: {source.title}, SHA-256 {source.sha256}"
    )
    edited = ["it replaces an earlier version"] if source.version > 1 else []
    warned = source.version > 1 or outside >= _OUTSIDE_WARNED
    return Cell(text=text, tone=Tone.CAUTION if warned else Tone.MUTED, tooltip="\n".join([first, *edited, *lines]))


def _trend(shown: FractionResult, own: VolumeStatistics) -> Cell:
    """The trend; of a volume without a dose, why it has none."""
    if own.status is not VolumeStatus.NOT_EVALUABLE:
        return trend_cell(shown.trend.get(own.name))
    why = not_evaluable_words(own)
    return Cell(
        text=why,
        tone=Tone.CAUTION,
        tooltip=f"{why}. Source: computed, the reason of every voxel (column Evaluable, %).",
    )


def _withheld(own: VolumeStatistics, what: str) -> str:
    """Why a number is not told."""
    if own.status is VolumeStatus.NOT_EVALUABLE:
        return f"not evaluable: {not_evaluable_words(own)}"
    return f"{what} is withheld while the mean is not known well enough (setting uncertainty.d_x_maximum_u_pct)"


def _with_interval(meaning: str, interval: Spread | None) -> str:
    return "\n".join([meaning, *([] if interval is None else [_interval_words(interval, "")]), _STATISTICS])


def _interval_words(interval: Spread, unit: str, *, factor: float = 1.0) -> str:
    """``± 11 Gy (k = 1), 95 % interval 96…140 Gy``: digits by the uncertainty."""
    low, high = factor * interval.low_95, factor * interval.high_95
    if not interval.u > 0:
        return f"95 % interval {low:.3g}…{high:.3g} {unit}".rstrip()
    places = formatting.decimals_for(factor * interval.u)
    low_text, high_text, u_text = (formatting.decimal(v, places) for v in (low, high, factor * interval.u))
    return f"± {u_text}{f' {unit}' if unit else ''} (k = 1), 95 % interval {low_text}…{high_text} {unit}".rstrip()
