"""The echoes of one voxel with their fit: what a dose at a point rests on, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quantify.holmium import FittedSeries
from quantify.model import FloatArray, freeze

_SAME_TIME_S = 1e-7
"""Echo times that differ by less are the same."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EchoDecay:
    """The echoes of one voxel of a series and the fit S(TE) = S₀·m(TE)·exp(−R2*·TE) through them.

    Attributes
    ----------
    voxel
        (slice, row, column) in the series' own grid.
    echo_times_s, signal
        As measured, float64 of equal length: seconds, and the series' own unit. The fit sees √max(S² − σ², 0): late
        echoes lie above its curve by what the noise floor adds.
    r2star_per_s, standard_error_per_s
        Of this voxel, s⁻¹ (k = 1); NaN where there was no signal to fit.
    s0, residual, sigma
        In the signal's unit: S₀, the root mean square of the residuals over N − 2, the noise of one channel.
    usable, poor
        Whether the dose uses this voxel, and whether its decay is not mono-exponential (`quantify.holmium`).
    modulation
        The known factor m of every echo that the fit was made with; None: 1 at all times.
    """

    voxel: tuple[int, int, int]
    echo_times_s: FloatArray
    signal: FloatArray
    r2star_per_s: float
    standard_error_per_s: float
    s0: float
    residual: float
    sigma: float
    usable: bool
    poor: bool
    modulation: FloatArray | None = None

    def __post_init__(self) -> None:
        freeze(self, "echo_times_s", "signal", "modulation")

    def curve(self, times_s: Sequence[float] | FloatArray) -> FloatArray:
        """The fitted signal S₀·m·exp(−R2*·TE) at `times_s`, in the signal's unit; NaN where nothing was fitted.

        Parameters
        ----------
        times_s
            Echo times, seconds. A fit with a `modulation` is known at its own echoes only.

        Raises
        ------
        ValueError
            For times other than the echoes' where the fit was made with a modulation.
        """
        times = np.asarray(times_s, dtype=np.float64)
        plain: FloatArray = self.s0 * np.exp(-self.r2star_per_s * times)
        if self.modulation is None:
            return plain
        if times.shape != self.echo_times_s.shape or np.abs(times - self.echo_times_s).max() > _SAME_TIME_S:
            raise ValueError(
                "EchoDecay.curve: the fit was made with a modulation, which is known at the echoes only; "
                "ask for echo_times_s."
            )
        return plain * self.modulation

    @property
    def residual_share(self) -> float:
        """Residual over S₀, 0…; NaN where nothing was fitted."""
        return self.residual / abs(self.s0) if np.isfinite(self.s0) and self.s0 != 0 else float("nan")


def decay_at(
    fitted: FittedSeries,
    point_lps_mm: Sequence[float] | FloatArray,
    reference_to_series_lps_mm: Sequence[Sequence[float]] | FloatArray,
) -> EchoDecay | None:
    """The echoes of the voxel that a point of the reference lies in, with their fit.

    The nearest voxel's own echoes, not interpolated ones: a mean of decays is no decay. R2* of the maps is interpolated
    between such voxels, and may differ from this one's.

    Parameters
    ----------
    fitted
        A series with its fit, on its own grid.
    point_lps_mm
        (3,) in the reference's space, LPS mm.
    reference_to_series_lps_mm
        4×4; takes a point of the reference to the series.

    Returns
    -------
    EchoDecay or None
        None where the point lies outside the series' grid.
    """
    at_reference = np.array([*point_lps_mm, 1.0], dtype=np.float64)
    grid = fitted.series.grid
    index = (grid.index_from_lps @ np.asarray(reference_to_series_lps_mm, dtype=np.float64) @ at_reference)[:3]
    s, r, c = (int(i) for i in np.floor(index + 0.5))
    if not all(0 <= i < n for i, n in zip((s, r, c), grid.shape, strict=True)):
        return None
    fit, echoes = fitted.fit, (slice(None), s, r, c)
    return EchoDecay(
        voxel=(s, r, c),
        echo_times_s=np.array(fitted.series.echo_times_s, dtype=np.float64),
        signal=fitted.series.signal[echoes].astype(np.float64),
        r2star_per_s=float(fit.r2star_per_s[s, r, c]),
        standard_error_per_s=float(fit.standard_error_per_s[s, r, c]),
        s0=float(fit.s0[s, r, c]),
        residual=float(fit.residual[s, r, c]),
        sigma=fit.sigma,
        usable=bool(fitted.usable[s, r, c]),
        poor=bool(fitted.poor[s, r, c]),
        modulation=None if fitted.modulation is None else fitted.modulation[echoes].astype(np.float64),
    )


def change_of_r2star(reference: EchoDecay, later: EchoDecay) -> tuple[float, float]:
    """ΔR2* = R2* of the later voxel − that of the reference, s⁻¹, with its standard error (both fits in quadrature).

    Of two single voxels as they were measured: the maps' ΔR2* is interpolated, and subtracts a reference that is
    matched to the change (`quantify.reference`). NaN where either was not fitted.
    """
    error = float(np.hypot(reference.standard_error_per_s, later.standard_error_per_s))
    return later.r2star_per_s - reference.r2star_per_s, error
