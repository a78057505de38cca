"""From one series to its maps on the reference grid: registration, fit, subtraction."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from config.settings import QuantificationSettings
from console.basis import Basis, Decay, ReferenceFit, dephasing, times
from console.structures import disjoint_occupancies
from console.treatment import Transform
from quantify.fat import fat_modulation
from quantify.findings import Registration, RegistrationStatus
from quantify.holmium import (
    AlignedSeries,
    FittedSeries,
    align,
    aligning,
    holmium_map,
    judged,
    refit_with_s0,
    registered_grid,
    sampled_signal,
)
from quantify.model import Array, EchoSeries, Grid, ParametricMap
from quantify.partial_volume import Shares
from quantify.r2star import fit_r2star
from quantify.registration import given_registration, register
from quantify.remembered import Remembered
from quantify.resampling import sampler

_NOT_REGISTERED = Registration(status=RegistrationStatus.FAILED)
_TOLD = {
    (False, False): "fitting R2* of {} and registering it to the reference",
    (True, False): "fitting R2* of {}",
    (False, True): "registering {} to the reference",
    (True, True): "",
}
"""What is computed of a series, in words, by whether its place and its decay are known."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SeriesMaps:
    """What one series gives on the reference grid; no maps where the registration failed or there is a ``fault``."""

    registration: Registration = _NOT_REGISTERED
    fault: str = ""
    r2star: ParametricMap | None = None
    holmium: ParametricMap | None = None
    shares: Shares = field(default_factory=dict)
    imaged_grid: Grid | None = None
    s0_weight: Array | None = None
    fitted: FittedSeries | None = None
    registered: Array | None = None
    """The signal at TE = 0 on the reference grid, also where the registration failed."""
    n_echoes: int | None = None
    first_echo_s: float | None = None
    has_phase: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class _Placed:
    """Where a series lies in the reference's space, and the volumes' occupancy of its voxels there."""

    registration: Registration
    grid: Grid
    occupancies: Mapping[str, Array] | None


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One series as it is to be quantified.

    Parameters
    ----------
    series
        With the same echoes as the reference that it is held against (`quantify.echoes.common_echoes`).
    named
        Tells it, with its revision and its echoes, from others.
    given
        The operator's transform and name, if the registration was made by hand.
    contrast
        Gadolinium was given before this series: S0 is no longer the reference's, and is not blended.
    announce
        Called before something is computed that takes long, in words.
    """

    series: EchoSeries
    named: tuple[object, ...]
    given: tuple[Transform, str] | None = None
    contrast: bool = False
    announce: Callable[[str], None] = lambda _: None


def series_maps(seen: Seen, basis: Basis, reference: ReferenceFit, memory: Remembered) -> SeriesMaps:
    """Register, fit and subtract, each as far as it is not remembered.

    `reference` is fitted in the same way (``basis.settings``).
    """
    settings, named = basis.settings, seen.named
    series = seen.series
    placed, decay = _placed_and_decay(seen, basis, reference, memory)
    fitted = memory.recall(
        ("fitted", named),
        (series, decay),
        settings,
        lambda s: judged(series, decay.fit, s, modulation=decay.modulation),
    )
    if placed.registration.status == RegistrationStatus.FAILED:
        return memory.recall(
            ("series maps", named), (fitted, placed), settings, lambda _: _unregistered(fitted, placed, basis.series)
        )
    if settings.s0 == "blended" and not seen.contrast:
        free = fitted
        fitted = memory.recall(
            ("fitted with S0", named),
            (free, reference.fitted, placed),
            settings,
            lambda s: refit_with_s0(free, reference=reference.fitted, registration=placed.registration, settings=s),
        )
    sample = memory.recall(
        ("aligning", named),
        (placed, _fitted_where(reference, memory, settings)),
        settings,
        lambda _: aligning(
            series.grid, basis.series.grid, placed.registration, np.isfinite(reference.fitted.fit.r2star_per_s)
        ),
    )
    signal = memory.recall(
        ("sampled signal", named), (series, sample), settings, lambda _: sampled_signal(series, sample)
    )
    aligned = memory.recall(
        ("aligned", named),
        (fitted, reference.fitted, placed),
        settings,
        lambda _: align(
            fitted,
            reference=reference.fitted,
            registration=placed.registration,
            occupancies=placed.occupancies,
            sample=sample,
            signal=signal,
        ),
    )
    relaxivity = basis.relaxivity
    r2star, holmium = memory.recall(
        ("holmium", named),
        (aligned, reference, relaxivity),
        settings,
        lambda s: holmium_map(
            aligned, reference=reference.fitted, matched=reference.matched, relaxivity=relaxivity, settings=s
        ),
    )
    return memory.recall(
        ("series maps", named),
        (fitted, placed, aligned, r2star, holmium),
        settings,
        lambda _: _together(fitted, placed, aligned, r2star, holmium),
    )


def _fitted_where(reference: ReferenceFit, memory: Remembered, settings: QuantificationSettings) -> bytes:
    """A digest of the voxels where the reference has a fit: most settings leave them the same."""
    fit = reference.fitted.fit

    def digest(_: QuantificationSettings) -> bytes:
        return hashlib.sha256(np.packbits(np.isfinite(fit.r2star_per_s)).tobytes()).digest()

    return memory.recall(("fitted where", reference.fitted.series.series_instance_uid), (fit,), settings, digest)


def _placed_and_decay(seen: Seen, basis: Basis, reference: ReferenceFit, memory: Remembered) -> tuple[_Placed, Decay]:
    """Where a series lies, and its decay: neither needs the other, unless fat is modelled."""
    settings, named, series = basis.settings, seen.named, seen.series
    placing = ("placed", named), (series, basis.series, basis.region_of, basis.drawn, seen.given)

    def place() -> _Placed:
        return memory.recall(*placing, settings, lambda s: _placed(seen, basis, s))

    fat = reference.fat_fraction
    if fat is None:
        fitting = ("decay", named), (series,)
        known = memory.knows(*placing, settings), memory.knows(*fitting, settings)
        seen.announce(_TOLD[known])

        def fit() -> Decay:
            return memory.recall(*fitting, settings, lambda s: _decay(series, s))

        if any(known):
            return place(), fit()
        # Both leave Python's lock for most of their time: the dose comes a third sooner.
        with ThreadPoolExecutor(max_workers=1) as other:
            other_place = other.submit(place)
            decay = fit()
            return other_place.result(), decay
    if not memory.knows(*placing, settings):
        seen.announce(_TOLD[False, False])
    placed = place()
    fitting_fat = ("decay", named), (series, basis.series, reference, placed)
    if not memory.knows(*fitting_fat, settings):
        seen.announce(_TOLD[True, False])

    def with_fat(settings: QuantificationSettings) -> Decay:
        return _decay(series, settings, _fat_of(series, fat, basis.series.grid, placed.registration))

    return placed, memory.recall(*fitting_fat, settings, with_fat)


def _decay(series: EchoSeries, settings: QuantificationSettings, fat: Array | None = None) -> Decay:
    modulation = times(dephasing(series, settings), fat)
    return Decay(fit=fit_r2star(series, method=settings.fit, modulation=modulation), modulation=modulation)


def _placed(seen: Seen, basis: Basis, settings: QuantificationSettings) -> _Placed:
    """Register a series, and find how its voxels divide between the volumes where they really lay."""
    series = seen.series
    if seen.given is None:
        registration = register(
            reference=basis.series, moving=series, region=basis.region, settings=settings.registration
        )
    else:
        matrix, by = seen.given
        registration = given_registration(
            np.array(matrix),
            reference=basis.series,
            moving=series,
            region=basis.region,
            settings=settings.registration,
            by=by or "an operator",
        )
    lies = registered_grid(series.grid, basis.series.grid, registration)
    drawn = basis.drawn
    wanted = drawn.volumes.all and registration.status != RegistrationStatus.FAILED
    # Voxels that were bent have no grid in the reference's space: the volumes are looked up where they came to lie.
    bent = registration.displacement_mm is not None
    where = basis.series.grid if bent else lies
    occupancies = disjoint_occupancies(drawn.structures, drawn.plan, where) if wanted else None
    return _Placed(registration=registration, grid=lies, occupancies=occupancies)


def _fat_of(series: EchoSeries, fat_fraction: Array, grid: Grid, registration: Registration) -> Array:
    """The beating of fat on the series' own grid: its share is the reference's, where all echoes could tell it."""
    to_reference = np.linalg.inv(np.array(registration.reference_to_series_lps_mm))
    sample = sampler(source=grid, target=series.grid, target_to_source_lps_mm=to_reference)
    share = sample.sample(np.nan_to_num(fat_fraction))
    return fat_modulation(np.nan_to_num(share), series.echo_times_s, series.field_strength_t)


def _unregistered(fitted: FittedSeries, placed: _Placed, reference: EchoSeries) -> SeriesMaps:
    """No maps; S0 on the reference grid by a transform that was refused: to look at, not to compute with."""
    sample = sampler(
        source=fitted.series.grid,
        target=reference.grid,
        target_to_source_lps_mm=np.array(placed.registration.reference_to_series_lps_mm),
    )
    return SeriesMaps(
        registration=placed.registration,
        fitted=fitted,
        registered=sample.sample(np.nan_to_num(fitted.fit.s0)),
    )


def _together(
    fitted: FittedSeries, placed: _Placed, aligned: AlignedSeries, r2star: ParametricMap, holmium: ParametricMap
) -> SeriesMaps:
    return SeriesMaps(
        registration=placed.registration,
        r2star=r2star,
        holmium=holmium,
        shares=aligned.shares,
        imaged_grid=None if placed.registration.displacement_mm is not None else placed.grid,
        s0_weight=aligned.s0_weight,
        fitted=fitted,
        registered=aligned.s0,
        n_echoes=len(fitted.series.echo_times_s),
        first_echo_s=fitted.series.echo_times_s[0],
        has_phase=fitted.series.phase_rad is not None,
    )
