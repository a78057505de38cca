"""The ledger of activity that a physicist signs: planned, injected, lost, seen by the images, not seen yet."""

from __future__ import annotations

from collections.abc import Sequence

from config.settings import QuantificationSettings
from console.dashboard.screen import formatting
from console.dashboard.screen.model import Cell, Row, Table, Tone
from console.dashboard.screen.remembered import by_identity
from console.snapshot import Snapshot
from quantify.findings import FractionResult, FractionStatus, Injection, VolumeStatus
from quantify.model import Role
from quantify.uncertainty import injected_u_mbq

_NET = (
    "Net activity at the end of each injection (MBq): vials less residual, decayed (docs/physics.md §1), or as "
    "recorded; ± k = 1"
)


@by_identity()
def ledger_table(snapshot: Snapshot, shown: FractionResult | None) -> Table:
    """Where the activity is, the gravest line first; what a small panel leaves out stands in the tooltips too."""
    settings = snapshot.settings.quantification if snapshot.settings is not None else None
    positions = list(dict.fromkeys(i.position for i in snapshot.injections))
    each = [_rx_row(p, [i for i in snapshot.injections if i.position == p], settings) for p in positions]
    rows = [_rx_row("all", snapshot.injections, settings, [row.cells[1].tooltip for row in each])]
    open_items = [row for row in (_not_imaged(snapshot), _loss(snapshot, settings)) if row is not None]
    rows += open_items
    rows.append(_measured(shown))
    if len(positions) > 1:
        rows += each
    return Table(columns=("", ""), rows=tuple(rows))


def _row(name: str, value: str, tone: Tone, tooltip: str) -> Row:
    return Row(
        cells=(
            Cell(text=name, tone=tone if tone in (Tone.CAUTION, Tone.ALERT) else Tone.MUTED, tooltip=tooltip),
            Cell(text=value, tone=tone, tooltip=tooltip),
        )
    )


def _rx_row(
    which: str,
    injections: Sequence[Injection],
    settings: QuantificationSettings | None,
    parts: Sequence[str] = (),
) -> Row:
    """``1 290 ± 70 / 1 302 MBq · 99 %``: injected of planned."""
    # Of nothing that is known of, nothing is planned: that is no 0.
    planned_mbq = _total([i.planned_mbq for i in injections]) if injections else None
    given = [i for i in injections if i.time is not None or i.activity_mbq is not None]
    net_mbq = _total([i.activity_mbq for i in given])
    planned = "not stated" if planned_mbq is None else formatting.activity(planned_mbq)
    if net_mbq is None:
        unknown = ", ".join(i.label for i in given if i.activity_mbq is None)
        told = f"The activity that {unknown} delivered is not known (MBq): recorded without; planned {planned}."
        return _row(f"RX {which}", f"{formatting.NOT_KNOWN} / {planned}", Tone.CAUTION, told)
    injected = _with_u(net_mbq, injected_u_mbq(given, settings.uncertainty) if settings is not None else None)
    share = "" if not planned_mbq else f" · {100.0 * net_mbq / planned_mbq:.0f} %"
    assay = "" if settings is None else f", assay {settings.uncertainty.assay_pct:g} % (setting uncertainty.assay_pct)"
    told = (
        f"{'All positions' if which == 'all' else f'Position {which}'}: injected {injected} MBq of {planned} planned"
        f"{share}, in {len(given)} of {len(injections)} fractions of the plan.\n{_NET}{assay}."
    )
    return _row(f"RX {which}", f"{injected} / {planned}{share}", Tone.NORMAL, "\n".join([told, *parts]))


def _with_u(value: float, u: float | None) -> str:
    if u is None or u <= 0:
        return formatting.decimal(value, 0)
    places = min(formatting.decimals_for(u), 0)
    return f"{formatting.decimal(value, places)} ± {formatting.decimal(u, places)}"


def _total(activities: Sequence[float | None]) -> float | None:
    """The sum; None as soon as one is not known."""
    return None if any(a is None for a in activities) else sum(a for a in activities if a is not None)


def _not_imaged(snapshot: Snapshot) -> Row | None:
    keys = [result.key for result in snapshot.results if result.status is not FractionStatus.FAILED]
    order = [i.key for i in snapshot.injections]
    after = snapshot.injections[order.index(keys[-1]) + 1 :] if keys and keys[-1] in order else snapshot.injections
    unknown = [i.label for i in after if i.time is not None and i.activity_mbq is None]
    if unknown:
        names = ", ".join(unknown)
        told = f"What {names} delivered (MBq) is not known, as recorded; it was after the last image: no dose holds it."
        return _row("! not imaged", f"{formatting.NOT_KNOWN} not imaged: {names} not known", Tone.CAUTION, told)
    if not (snapshot.not_imaged_mbq or 0.0) > 0:
        return None
    told = "Injected after the last image (MBq, net, as recorded): no dose shown holds it."
    return _row("! not imaged", f"{formatting.activity(snapshot.not_imaged_mbq)} not imaged", Tone.CAUTION, told)


def _loss(snapshot: Snapshot, settings: QuantificationSettings | None) -> Row | None:
    """What stayed behind: assumed until it is measured, and then the injected activity is provisional."""
    unsure = [i for i in snapshot.injections if i.provisional_reason]
    assumed = [i for i in unsure if "loss" in (i.provisional_reason or "")]
    reasons = "\n".join(f"{i.label}: {i.provisional_reason}." for i in unsure)
    if assumed and settings is not None:
        loss = f"{settings.vial_loss_pct:g} ± {settings.vial_loss_u_pct:g} %"
        told = (
            f"No residual was recorded: a loss of {loss} of the vials is assumed (settings vial_loss_pct, "
            f"vial_loss_u_pct; EMERITUS-1); provisional until the residual is entered.\n{reasons}"
        )
        return _row("! residual", f"loss of {loss} assumed: provisional", Tone.CAUTION, told)
    if unsure:
        told = f"Why an injected activity (MBq) is provisional, as recorded:\n{reasons}"
        return _row("! activity", f"{', '.join(i.label for i in unsure)} provisional", Tone.CAUTION, told)
    residuals = getattr(snapshot.plan, "residuals", ())
    if residuals:
        told = "Residuals measured (MBq at their assay times, plan), decayed and subtracted (docs/physics.md §1)."
        return _row("✓ residual", f"{len(residuals)} measured, subtracted", Tone.NORMAL, told)
    return None


def measured_is_a_bound(result: FractionResult) -> bool:
    """Whether the liver's activity, and with it the recovery, is a lower bound: then it has no ±."""
    return any(v.role is Role.LIVER and v.status is VolumeStatus.LOWER_BOUND for v in result.volumes.values())


def _measured(shown: FractionResult | None) -> Row:
    """``1 340 ± 100 MBq · 104 ± 8 %``: seen by the images, and how much that is of what was injected."""
    told = (
        "Activity in the liver (MBq), cumulative, computed from the MRI series (docs/physics.md §2); recovery: "
        "measured of injected (%). ± k = 1 (docs/physics.md §4)."
    )
    if shown is None:
        return _row("MRI", formatting.NOT_KNOWN, Tone.MUTED, told)
    words = formatting.with_uncertainty(shown.measured_mbq, shown.measured_u_mbq, "MBq")
    bound = measured_is_a_bound(shown)
    if bound:
        words = formatting.lower_bound(shown.measured_mbq, shown.measured_u_mbq, "MBq")
        told += " Voxels of the liver are at the noise floor: what is measured is a lower bound (≥)."
    if shown.recovery_ratio is not None and shown.recovery_u and shown.recovery_u > 0:
        value, u = formatting.pair(100.0 * shown.recovery_ratio, 100.0 * shown.recovery_u)
        least = formatting.lower_bound(100.0 * shown.recovery_ratio, 100.0 * shown.recovery_u, "%")
        words = f"{words} · {least if bound else f'{value} ± {u} %'}"
    if shown.recovery_interval is not None and not bound:
        told += f" Recovery, 95 %: {100 * shown.recovery_interval[0]:.0f}…{100 * shown.recovery_interval[1]:.0f} %."
    if shown.status is FractionStatus.FAILED:
        told += f" {shown.label} failed: {shown.error}."
    tone = Tone.MUTED if words == formatting.NOT_KNOWN else Tone.NORMAL
    return _row(f"MRI {shown.label}", words, tone, f"Measured after {shown.label}. {told}")
