"""What lies under the cursor: place, dose, R2*, the reason where there is none, and the echoes with their fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from console.dashboard.screen import formatting
from console.dashboard.screen.images import chosen_voxel, imaged_before
from console.dashboard.screen.model import Cell, DecayCurve, Probe, Row, Tone
from console.dashboard.screen.view import Quantity, ViewState, inside, reference_grid
from console.snapshot import ImagedSeries, Snapshot
from quantify.decay import EchoDecay, change_of_r2star, decay_at
from quantify.findings import FractionResult
from quantify.model import FloatArray, ParametricMap, Reason

_CURVE_POINTS = 41
_PER_S = "s⁻¹"
_FIT = "S(TE) = S₀·exp(−R2*·TE). Source: docs/physics.md §2, setting quantification.fit."


def build_probe(snapshot: Snapshot, view: ViewState, result: FractionResult | None) -> Probe:
    """The probe at the hovered voxel, else at the crosshair; with rows and echoes only while it is open.

    Parameters
    ----------
    result
        The fraction whose map the images show.
    """
    grid = reference_grid(snapshot)
    if grid is None:
        return Probe()
    if view.hovered is not None:
        view = replace(view, voxel=view.hovered)
    voxel = inside(chosen_voxel(snapshot, view), grid)
    point = grid.affine_lps_mm[:3] @ np.array([*voxel, 1.0])
    place = _place_words(point)
    maps = result.maps if result is not None else None
    words = f"{place}: {map_words(maps.dose, voxel) if maps is not None else 'no dose map'}"
    if view.compare:
        words = f"{place}: {_compared_words(snapshot, result, voxel)}"
    named = _quantity_words(snapshot, view, result, voxel)
    whole = f"{words} · {named}" if named else words
    if not view.probe:
        return Probe(words=whole)
    first = _series(snapshot, None)
    later = _series(snapshot, result.key) if result is not None else None
    at_first = None if first is None else decay_at(first.fitted, point, first.reference_to_series_lps_mm)
    there = point + _bend_mm(result, voxel)
    at_later = None if later is None else decay_at(later.fitted, there, later.reference_to_series_lps_mm)
    found = [
        (series.label, decay)
        for series, decay in ((first, at_first), (later, at_later))
        if series is not None and decay is not None
    ]
    rows = [
        _row("place", place, "centre of the voxel, LPS coordinates, mm. Source: the reference series' geometry."),
        _row("voxel", _voxel_words(voxel), "counted from 1 on the grid. Source: the reference series."),
        *_dose_rows(snapshot, result, voxel),
        *(_r2star_row(label, decay) for label, decay in found),
    ]
    if at_first is not None and at_later is not None:
        rows.append(_change_row(at_first, at_later))
    rows += [_residual_row(label, decay) for label, decay in found]
    return Probe(
        words=whole,
        rows=tuple(rows),
        decays=tuple(_curve(label, decay) for label, decay in found),
        message=_why_no_echoes(snapshot, result, (first, later), (at_first, at_later)),
    )


def _compared_words(snapshot: Snapshot, result: FractionResult | None, voxel: tuple[int, int, int]) -> str:
    """Both fractions that stand beside each other, by their names: the cursor may be over either."""
    both = [own for own in (result, imaged_before(snapshot, result)) if own is not None]
    told = [
        f"after {own.label} {map_words(own.maps.dose, voxel) if own.maps is not None else 'no dose map'}"
        for own in both
    ]
    return " · ".join(told) or "no dose map"


def map_words(values: ParametricMap, voxel: tuple[int, int, int]) -> str:
    """Value ± standard uncertainty of one voxel, its lower bound, or why there is none."""
    reason = Reason(int(values.reason[voxel]))
    value = float(values.values[voxel])
    error = float(values.standard_error[voxel]) if values.standard_error is not None else None
    if reason is Reason.LOWER_BOUND:
        return formatting.lower_bound(value, error, values.unit)
    if reason is not Reason.EVALUABLE:
        return f"not evaluable ({reason.sentence})"
    words = formatting.with_uncertainty(value, error, values.unit)
    return f"{words} (uncertainty unknown)" if words == formatting.NOT_KNOWN else words


def _row(name: str, value: str, tooltip: str, tone: Tone = Tone.NORMAL) -> Row:
    return Row(cells=(Cell(text=name, tone=Tone.MUTED), Cell(text=value, tone=tone, tooltip=tooltip)))


def _place_words(point_lps_mm: FloatArray) -> str:
    """``R 85 P 6 H 28 mm``: letters of the patient's sides, so that no sign has to be known."""
    letters = (("L", "R"), ("P", "A"), ("H", "F"))
    told = zip(letters, point_lps_mm.tolist(), strict=True)
    return " ".join(f"{pair[int(value < 0)]} {abs(value):.0f}" for pair, value in told) + " mm"


def _voxel_words(voxel: tuple[int, int, int]) -> str:
    s, r, c = (i + 1 for i in voxel)
    return f"slice {s}, row {r}, column {c}"


def _quantity_words(
    snapshot: Snapshot, view: ViewState, result: FractionResult | None, voxel: tuple[int, int, int]
) -> str:
    """The shown quantity by its name, where it is not the dose."""
    if view.quantity is Quantity.DOSE or result is None or result.maps is None:
        return ""
    if view.quantity is Quantity.INCREMENT:
        return f"increment {_increment_words(snapshot, result, voxel)}"
    reason, error = Reason(int(result.maps.dose.reason[voxel])), result.maps.dose.standard_error
    if reason is Reason.LOWER_BOUND:
        return "a lower bound has no standard uncertainty"
    if reason is not Reason.EVALUABLE:
        return ""
    value = float(error[voxel]) if error is not None else None
    if value is None or not formatting.known(value) or value <= 0:
        return "standard uncertainty of this voxel not known"
    return f"standard uncertainty of this voxel {_own_digits(value)} Gy (k = 1)"


def _own_digits(uncertainty: float) -> str:
    return formatting.decimal(uncertainty, formatting.decimals_for(uncertainty))


def _increment_words(snapshot: Snapshot, result: FractionResult, voxel: tuple[int, int, int]) -> str:
    """``since RHA F3: +21 ± 4 Gy``."""
    before = imaged_before(snapshot, result)
    if result.maps is None or result.maps.increment is None:
        return "not known" if before is not None else "first image: the dose itself"
    words = _signed(map_words(result.maps.increment, voxel))
    return f"since {before.label if before is not None else 'the last image'}: {words}"


def _signed(words: str) -> str:
    """``+21 ± 4 Gy``; what is 0 at its digits, a bound or no number stays as it is."""
    number = words.split(" ")[0]
    return f"+{words}" if number[:1].isdigit() and number.strip("0.") else words


def _dose_rows(snapshot: Snapshot, result: FractionResult | None, voxel: tuple[int, int, int]) -> list[Row]:
    if result is None or result.maps is None:
        why = "no fraction has a result yet" if result is None else result.error or "no dose map"
        return [_row("dose", why, why, Tone.MUTED)]
    reason = Reason(int(result.maps.dose.reason[voxel]))
    tone = Tone.NORMAL if reason is Reason.EVALUABLE else Tone.CAUTION
    increment = _increment_words(snapshot, result, voxel)
    return [
        _row(
            f"dose after {result.label}",
            map_words(result.maps.dose, voxel),
            "absorbed dose of this voxel, cumulative, Gy; ± voxel noise alone (k = 1), without the terms that all "
            "voxels share. Source: the dose map, docs/physics.md §2 and §3.",
            tone,
        ),
        _row("increment", increment, "dose gained since the last image, Gy (k = 1). Source: the two dose maps."),
        _row("reason", reason.sentence, "why the voxel has a dose or none. Source: the map of reasons.", tone),
    ]


def _series(snapshot: Snapshot, key: tuple[str, int] | None) -> ImagedSeries | None:
    return next((series for series in snapshot.imaged if series.key == key), None)


def _bend_mm(result: FractionResult | None, voxel: tuple[int, int, int]) -> FloatArray:
    """Where a bent registration moves the voxel's centre before the rigid transform, mm."""
    bend = result.registration.displacement_mm if result is not None and result.registration is not None else None
    if bend is None:
        return np.zeros(3)
    return bend[(slice(None), *voxel)].astype(np.float64)


def _r2star_row(label: str, decay: EchoDecay) -> Row:
    words = formatting.with_uncertainty(decay.r2star_per_s, decay.standard_error_per_s, _PER_S)
    return _row(
        f"R2* {label}",
        words if words != formatting.NOT_KNOWN else "no signal to fit",
        f"R2* of the nearest voxel of the series as acquired, s⁻¹ (k = 1), of the fit {_FIT} The maps interpolate "
        "between such voxels.",
        Tone.NORMAL if decay.usable else Tone.CAUTION,
    )


def _change_row(first: EchoDecay, later: EchoDecay) -> Row:
    words = formatting.with_uncertainty(*change_of_r2star(first, later), _PER_S)
    return _row(
        "ΔR2*",
        _signed(words),
        "difference of the two fits, s⁻¹ (k = 1): what holmium adds. Source: docs/physics.md §2; the dose map's is "
        "interpolated.",
    )


def _residual_row(label: str, decay: EchoDecay) -> Row:
    tooltip = f"root mean square of the residuals over S₀, % of S₀. Source: the fit {_FIT}"
    return _row(
        f"residual {label}",
        f"{_residual_words(decay)}{_use_words(decay)}",
        tooltip,
        Tone.CAUTION if decay.poor or not decay.usable else Tone.NORMAL,
    )


def _residual_words(decay: EchoDecay) -> str:
    share = decay.residual_share
    return f"{100 * share:.1f} % of S₀" if formatting.known(share) else formatting.NOT_KNOWN


def _use_words(decay: EchoDecay) -> str:
    if decay.poor:
        return ", ! poor fit: not used"
    return "" if decay.usable else ", ! not used"


def _curve(label: str, decay: EchoDecay) -> DecayCurve:
    times = decay.echo_times_s
    smooth = np.linspace(0.0, float(times[-1]), _CURVE_POINTS) if decay.modulation is None else times
    fitted = decay.curve(smooth)
    drawn = bool(np.isfinite(fitted).all())
    r2star = formatting.with_uncertainty(decay.r2star_per_s, decay.standard_error_per_s, _PER_S)
    return DecayCurve(
        name=label,
        echo_times_ms=tuple((1000.0 * times).tolist()),
        signal=tuple(decay.signal.tolist()),
        fit_times_ms=tuple((1000.0 * smooth).tolist()) if drawn else (),
        fit_signal=tuple(fitted.tolist()) if drawn else (),
        words=f"R2* {r2star}, residual {_residual_words(decay)}{_use_words(decay)}",
        noise_sigma=decay.sigma,
    )


def _why_no_echoes(
    snapshot: Snapshot,
    result: FractionResult | None,
    series: tuple[ImagedSeries | None, ImagedSeries | None],
    decays: tuple[EchoDecay | None, EchoDecay | None],
) -> str:
    """Which curve is missing, and why."""
    wanted = [("reference", series[0], decays[0])]
    if result is not None:
        wanted.append((result.label, series[1], decays[1]))
    later = f": {snapshot.restored}" if snapshot.restored else ""
    missing = [f"{name}: no echoes at hand{later}" for name, own, _ in wanted if own is None]
    outside = [f"{name}: outside its images" for name, own, decay in wanted if own is not None and decay is None]
    return " · ".join([*missing, *outside])
