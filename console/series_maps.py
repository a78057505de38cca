"""From one series to its maps on the reference grid: registration, fit, subtraction."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from console.basis import Basis, ReferenceFit, dephasing, times
from console.structures import disjoint_occupancies
from console.treatment import Transform
from quantify.fat import fat_modulation
from quantify.findings import Registration, RegistrationStatus
from quantify.holmium import FittedSeries, align, fit_series, holmium_map, refit_with_s0, registered_grid
from quantify.model import Array, EchoSeries, Grid, ParametricMap
from quantify.partial_volume import Shares
from quantify.registration import given_registration, register
from quantify.resampling import sampler

_NOT_REGISTERED = Registration(status=RegistrationStatus.FAILED)


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


def series_maps(
    series: EchoSeries,
    basis: Basis,
    reference: ReferenceFit,
    *,
    given: tuple[Transform, str] | None = None,
    contrast: bool = False,
) -> SeriesMaps:
    """Register, fit and subtract.

    Parameters
    ----------
    series, reference
        With the same echoes (`quantify.echoes.common_echoes`), to be fitted in the same way (``basis.settings``).
    given
        The operator's transform and name, if the registration was made by hand.
    contrast
        Gadolinium was given before this series: S0 is no longer the reference's, and is not blended.
    """
    settings = basis.settings
    if reference.fat_fraction is None:
        # Neither needs the other, and both leave Python's lock for most of their time: the dose comes a third sooner.
        with ThreadPoolExecutor(max_workers=1) as other:
            placing = other.submit(_placed, series, basis, given)
            fitted = fit_series(series, settings, modulation=dephasing(series, settings))
            placed = placing.result()
    else:
        placed = _placed(series, basis, given)
        fat = _fat_of(series, reference.fat_fraction, basis.series.grid, placed.registration)
        fitted = fit_series(series, settings, modulation=times(dephasing(series, settings), fat))
    if placed.registration.status == RegistrationStatus.FAILED:
        return SeriesMaps(
            registration=placed.registration,
            fitted=fitted,
            registered=_carried_over(fitted, placed.registration, basis.series.grid),
        )
    if settings.s0 == "blended" and not contrast:
        fitted = refit_with_s0(fitted, reference=reference.fitted, registration=placed.registration, settings=settings)
    return _on_reference(fitted, placed, basis, reference)


def _placed(series: EchoSeries, basis: Basis, given: tuple[Transform, str] | None) -> _Placed:
    """Register a series, and find how its voxels divide between the volumes where they really lay."""
    settings = basis.settings.registration
    if given is None:
        registration = register(reference=basis.series, moving=series, region=basis.region, settings=settings)
    else:
        matrix, by = given
        registration = given_registration(
            np.array(matrix),
            reference=basis.series,
            moving=series,
            region=basis.region,
            settings=settings,
            by=by or "an operator",
        )
    lies = registered_grid(series.grid, basis.series.grid, registration)
    wanted = basis.volumes.all and registration.status != RegistrationStatus.FAILED
    # Voxels that were bent have no grid in the reference's space: the volumes are looked up where they came to lie.
    bent = registration.displacement_mm is not None
    where = basis.series.grid if bent else lies
    occupancies = disjoint_occupancies(basis.structures, basis.plan, where) if wanted else None
    return _Placed(registration=registration, grid=lies, occupancies=occupancies)


def _fat_of(series: EchoSeries, fat_fraction: Array, grid: Grid, registration: Registration) -> Array:
    """The beating of fat on the series' own grid: its share is the reference's, where all echoes could tell it."""
    to_reference = np.linalg.inv(np.array(registration.reference_to_series_lps_mm))
    sample = sampler(source=grid, target=series.grid, target_to_source_lps_mm=to_reference)
    share = sample.sample(np.nan_to_num(fat_fraction))
    return fat_modulation(np.nan_to_num(share), series.echo_times_s, series.field_strength_t)


def _carried_over(fitted: FittedSeries, registration: Registration, grid: Grid) -> Array:
    """S0 on the reference grid by a transform that was refused: to look at, not to compute with."""
    sample = sampler(
        source=fitted.series.grid,
        target=grid,
        target_to_source_lps_mm=np.array(registration.reference_to_series_lps_mm),
    )
    return sample.sample(np.nan_to_num(fitted.fit.s0))


def _on_reference(fitted: FittedSeries, placed: _Placed, basis: Basis, reference: ReferenceFit) -> SeriesMaps:
    """Maps of a registered series on the reference grid."""
    aligned = align(
        fitted,
        reference=reference.fitted,
        registration=placed.registration,
        occupancies=placed.occupancies,
    )
    r2star, holmium = holmium_map(
        aligned,
        reference=reference.fitted,
        matched=reference.matched,
        relaxivity=basis.relaxivity,
        settings=basis.settings,
    )
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
