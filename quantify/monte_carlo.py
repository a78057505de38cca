"""Uncertainty of every derived quantity, by seeded sampling of the correlated terms of physics §4 (EANM 2018).

A dose of a volume is linear in the mean R2* of the series, so what the terms do to it is affine,

    D' = s·(D − Σ_r W_r·δ_r − Σ_k w_k·(ε_k + ς_k) + contour·z_c + noise·z_n),

with one scale s for all volumes and fractions (relaxivity, specific activity, energy, density), the offset δ of each
reference, of a volume but common to its fractions, and the offset ε of each series. From that every quantity follows
without touching voxels: a percentile shifts and scales like the mean, a spread scales, V_x is read at the shifted dose.

Same settings and numbers of volumes give the same samples, and those of a series do not change when more follow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from config.settings import UncertaintySettings
from quantify.model import FloatArray, freeze

SEED = 166
_LEAST_SAMPLES_PER_TERM = 4
"""With fewer samples the terms are not made exactly uncorrelated: too little chance would be left in them."""
_COMMON_TERMS = 6


@dataclass(frozen=True, kw_only=True, eq=False)
class Terms:
    """Samples of all terms; the last axis is the sample's.

    ``relaxivity``, ``specific_activity``, ``energy``, ``density`` (sample): factors on a dose. ``assay`` (sample):
    factor on injected activities; ``loss`` (sample): standard normal, of an assumed loss. ``contour`` (volume, sample);
    ``reference`` (volume, reference, sample); ``repeat``, ``noise``, ``s0`` (volume, series, sample): standard normal.
    """

    volumes: tuple[str, ...]
    relaxivity: FloatArray
    specific_activity: FloatArray
    energy: FloatArray
    density: FloatArray
    assay: FloatArray
    loss: FloatArray
    contour: FloatArray
    reference: FloatArray
    repeat: FloatArray
    noise: FloatArray
    s0: FloatArray
    scale: FloatArray = field(init=False)
    """(sample): the factor on all doses."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", self.relaxivity * self.specific_activity * self.energy * self.density)
        names = "relaxivity specific_activity energy density assay loss contour reference repeat noise s0 scale"
        freeze(self, *names.split())


@dataclass(frozen=True, kw_only=True)
class MeasuredDose:
    """What the cumulative dose in one volume after one image hangs on.

    Parameters
    ----------
    volume
        One of the terms' volumes.
    mean_gy
        Mean dose.
    series_gy_per_s
        Dose that 1 s⁻¹ in each series up to this image stands for, in their order (`quantify.lineage`).
    repeat_per_s
        Scatter of a mean R2* of each series [s⁻¹]: `quantify.uncertainty.repeat_per_s`.
    reference_per_s, reference_gy_per_s
        Offset of each reference [s⁻¹] and the dose that 1 s⁻¹ of it stands for; without the latter there is one
        reference for all series.
    contour_gy
        Half of the mean with the contour grown minus that with it shrunk; its sign counts for activities.
    noise_gy
        What this image's voxel noise leaves on the mean.
    s0_per_s
        What a blended S0 makes of each series [s⁻¹]: `quantify.uncertainty.s0_per_s`; empty for none.

    Raises
    ------
    ValueError
        For numbers that are not finite, a spread below 0, or tuples of different length.
    """

    volume: str
    mean_gy: float
    series_gy_per_s: tuple[float, ...]
    repeat_per_s: tuple[float, ...]
    reference_per_s: tuple[float, ...]
    reference_gy_per_s: tuple[float, ...] = ()
    contour_gy: float = 0.0
    noise_gy: float = 0.0
    s0_per_s: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.series_gy_per_s or len(self.repeat_per_s) != len(self.series_gy_per_s):
            raise ValueError(
                f"MeasuredDose.repeat_per_s has {len(self.repeat_per_s)} values for {len(self.series_gy_per_s)} "
                "series; expected as many, and at least one."
            )
        object.__setattr__(self, "s0_per_s", self.s0_per_s or (0.0,) * len(self.series_gy_per_s))
        object.__setattr__(self, "reference_gy_per_s", self.reference_gy_per_s or (sum(self.series_gy_per_s),))
        for name, wanted in (("s0_per_s", self.series_gy_per_s), ("reference_per_s", self.reference_gy_per_s)):
            if len(getattr(self, name)) != len(wanted):
                raise ValueError(f"MeasuredDose.{name} has {len(getattr(self, name))} values; expected {len(wanted)}.")
        spreads = (*self.repeat_per_s, *self.reference_per_s, *self.s0_per_s, self.noise_gy)
        others = (self.mean_gy, self.contour_gy, *self.series_gy_per_s, *self.reference_gy_per_s)
        if not all(map(math.isfinite, (*spreads, *others))) or min(spreads) < 0:
            raise ValueError(f"MeasuredDose of {self.volume!r} holds a number that is not finite or a spread below 0.")

    @property
    def independent_gy(self) -> float:
        """What scatters from series to series (k = 1): all that a trend may use."""
        own = [w * r for w, r in zip(self.series_gy_per_s, self.repeat_per_s, strict=True)]
        s0 = [w * r for w, r in zip(self.series_gy_per_s, self.s0_per_s, strict=True)]
        return math.hypot(*own, *s0, self.noise_gy)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A quantity with its standard uncertainty (k = 1) and 95 % interval, all in the quantity's unit."""

    value: float
    u: float
    low_95: float
    high_95: float


def sample_terms(
    settings: UncertaintySettings,
    *,
    n_series: int,
    volumes: Sequence[str],
    seed: int = SEED,
    n_references: int = 1,
) -> Terms:
    """Draw ``settings.monte_carlo_samples`` samples of all terms.

    Factors are log-normal with the settings' relative standard deviation and a median of 1: never negative, and for a
    few per cent normal. All terms have exactly unit variance and no correlation while there are four samples for each,
    so that the sampled uncertainty of a mean is the propagated one.

    Raises
    ------
    ValueError
        For no series, no reference, no volume, or a volume named twice.
    """
    if n_series < 1 or n_references < 1:
        raise ValueError(f"sample_terms: {n_series} series and {n_references} references; expected at least 1 of each.")
    if not volumes or len(set(volumes)) < len(volumes):
        raise ValueError(f"sample_terms: volumes are {list(volumes)}; expected different names, at least one.")
    n = settings.monte_carlo_samples
    base, extra, series = _standard_normals(n, n_series, n_references, len(volumes), seed)
    common, contour, reference = np.split(base, [_COMMON_TERMS, _COMMON_TERMS + len(volumes)])
    per_series = series.reshape(n_series, 3, len(volumes), n)
    references = np.concatenate((reference, extra)).reshape(n_references, len(volumes), n)
    percent = (settings.relaxivity_pct, settings.specific_activity_pct, settings.energy_pct, settings.density_pct)
    factors = [_factor(part, z) for part, z in zip((*percent, settings.assay_pct), common, strict=False)]
    return Terms(
        volumes=tuple(volumes),
        relaxivity=factors[0],
        specific_activity=factors[1],
        energy=factors[2],
        density=factors[3],
        assay=factors[4],
        loss=common[5],
        contour=contour,
        reference=references.swapaxes(0, 1),
        repeat=per_series[:, 0].swapaxes(0, 1),
        noise=per_series[:, 1].swapaxes(0, 1),
        s0=per_series[:, 2].swapaxes(0, 1),
    )


def _factor(percent: float, z: FloatArray) -> FloatArray:
    return np.asarray(np.exp(math.sqrt(math.log1p((percent / 100.0) ** 2)) * z))


@lru_cache(maxsize=12)
def _standard_normals(
    n: int, n_series: int, n_references: int, n_volumes: int, seed: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(term, sample) of the base terms, of further references and of the series, each from a stream of its own."""
    base = _uncorrelated(_draw(n, _COMMON_TERMS + 2 * n_volumes, seed, 0), np.empty((0, n)))
    further = [_uncorrelated(_draw(n, n_volumes, seed, 1, r), base) for r in range(1, n_references)]
    before = base
    for k in range(n_series):
        # Series are made uncorrelated with those before them only, so that they stay as they are when more follow.
        before = np.concatenate((before, _uncorrelated(_draw(n, 3 * n_volumes, seed, 2, k), before)))
    return base, np.concatenate((np.empty((0, n)), *further)), before[len(base) :]


def _draw(n: int, terms: int, *stream: int) -> FloatArray:
    z = np.random.default_rng(stream).standard_normal((terms, n))
    z -= z.mean(axis=1, keepdims=True)
    return np.asarray(z / z.std(axis=1, ddof=1, keepdims=True))


def _uncorrelated(block: FloatArray, earlier: FloatArray) -> FloatArray:
    """The block with unit covariance, and none with the earlier terms, if there are samples enough."""
    n = block.shape[1]
    if n < _LEAST_SAMPLES_PER_TERM * (len(block) + len(earlier)):
        return block
    # Not by BLAS: its threads cost more than such small products, and their number must not change a bit.
    shared = np.einsum("in,jn->ij", block, earlier) / (n - 1)
    free = block - np.einsum("ij,jn->in", shared, earlier)
    triangle = np.linalg.cholesky(np.einsum("in,jn->ij", free, free) / (n - 1))
    return np.asarray(np.einsum("ij,jn->in", np.linalg.inv(triangle), free))


def mean_gy(terms: Terms, dose: MeasuredDose) -> FloatArray:
    """Samples of the mean dose [Gy]."""
    return dose_gy(terms, dose, dose.mean_gy)


def dose_gy(terms: Terms, dose: MeasuredDose, value_gy: float) -> FloatArray:
    """Samples of any dose that moves with the mean, such as D90, D70, D50 [Gy]."""
    return np.asarray(terms.scale * (value_gy + shift_gy(terms, dose)))


def sd_gy(terms: Terms, value_gy: float) -> FloatArray:
    """Samples of the standard deviation within a volume [Gy]: offsets leave it, the scale does not."""
    return np.asarray(terms.scale * value_gy)


def cv(terms: Terms, dose: MeasuredDose, value_gy: float) -> FloatArray:
    """Samples of the coefficient of variation SD/mean; the common scale cancels."""
    return _ratio(np.full(terms.scale.shape, value_gy), dose.mean_gy + shift_gy(terms, dose))


def volume_receiving(
    terms: Terms, dose: MeasuredDose, threshold_gy: float, *, dvh_dose_gy: FloatArray, dvh_fraction: FloatArray
) -> FloatArray:
    """Samples of V_x, the share 0…1 that receives at least `threshold_gy`, from a DVH (`quantify.dvh`).

    `dvh_dose_gy` ascends, `dvh_fraction` falls from 1 to 0; a thinned one is precise enough and faster.
    """
    at = threshold_gy / terms.scale - shift_gy(terms, dose)
    return np.asarray(np.interp(at, dvh_dose_gy, dvh_fraction, left=1.0, right=0.0))


def tumour_to_normal(terms: Terms, tumour: MeasuredDose, normal: MeasuredDose) -> FloatArray:
    """Samples of T/N: the common scale cancels; infinite where the normal tissue's mean is not above 0."""
    return _ratio(tumour.mean_gy + shift_gy(terms, tumour), normal.mean_gy + shift_gy(terms, normal))


def activity_mbq(
    terms: Terms, dose: MeasuredDose, *, mbq_per_gy: float, contour_volume_relative: float = 0.0
) -> FloatArray:
    """Samples of the activity in a volume [MBq]: neither energy nor density enters it.

    `mbq_per_gy` is volume/(E/ρ); `contour_volume_relative` the contour's own uncertainty of volume (0.045 for a liver):
    a grown contour holds more volume at another mean.
    """
    scale = terms.relaxivity * terms.specific_activity
    volume = 1.0 + contour_volume_relative * terms.contour[_index(terms, dose)]
    return np.asarray(scale * volume * mbq_per_gy * (dose.mean_gy + shift_gy(terms, dose)))


def injected_mbq(terms: Terms, activity_mbq: float, u_mbq: float = 0.0) -> FloatArray:
    """Samples of a (cumulative) injected activity: one dose calibrator, and one assumed loss of `u_mbq` in all."""
    return np.asarray(terms.assay * activity_mbq + u_mbq * terms.loss)


def recovery(measured_mbq: FloatArray, injected: FloatArray) -> FloatArray:
    """Samples of measured over injected activity."""
    return _ratio(measured_mbq, injected)


def bed_gy(terms: Terms, dose: MeasuredDose, *, effect_per_gy: float, standard_deviation_gy: float = 0.0) -> FloatArray:
    """Samples of the mean BED [Gy], mean + (mean² + SD²)·G/(α/β); without SD that of the mean (`quantify.bed`)."""
    mean = mean_gy(terms, dose)
    return np.asarray(mean + effect_per_gy * (mean**2 + sd_gy(terms, standard_deviation_gy) ** 2))


def gain_gy(terms: Terms, later: MeasuredDose, earlier: MeasuredDose | None) -> FloatArray:
    """Samples of the dose gained since an earlier image (None: since nothing): shared offsets cancel."""
    return mean_gy(terms, later) - (0.0 if earlier is None else mean_gy(terms, earlier))


@lru_cache(maxsize=256)
def shift_gy(terms: Terms, dose: MeasuredDose) -> FloatArray:
    """Samples of all that is added to a volume's doses [Gy], before the scale; remembered, for many quantities ask.

    Raises
    ------
    ValueError
        For a volume, series or reference that the terms were not drawn for.
    """
    v, n = _index(terms, dose), len(dose.series_gy_per_s)
    if n > terms.repeat.shape[1] or len(dose.reference_per_s) > terms.reference.shape[1]:
        raise ValueError(
            f"shift_gy: {dose.volume!r} has {n} series and {len(dose.reference_per_s)} references; terms were drawn "
            f"for {terms.repeat.shape[1]} and {terms.reference.shape[1]}."
        )
    weights = np.array(dose.series_gy_per_s)
    references = np.array(dose.reference_gy_per_s) * dose.reference_per_s
    shift = (
        dose.contour_gy * terms.contour[v]
        + dose.noise_gy * terms.noise[v, n - 1]
        - _weighted(references, terms.reference[v])
        - _weighted(weights * dose.repeat_per_s, terms.repeat[v])
        - _weighted(weights * dose.s0_per_s, terms.s0[v])
    )
    shift.flags.writeable = False
    return np.asarray(shift)


def _weighted(weights: FloatArray, samples: FloatArray) -> FloatArray:
    """Σ w·z over the first terms; those of weight 0 cost nothing."""
    total = np.zeros(samples.shape[-1])
    for weight, z in zip(weights, samples, strict=False):
        if weight:
            total += weight * z
    return total


def spread(value: float | None, samples: FloatArray) -> Spread | None:
    """Summarise samples: standard deviation and the 2.5th and 97.5th percentile; None for an unknown value.

    Where a ratio's denominator reaches 0 its samples are infinite and have no standard deviation: u is then half of
    the central 68.3 %, and there is no spread (None) once the 95 % interval itself is not finite.
    """
    return None if value is None else spreads({"": (value, samples)}).get("")


def spreads(quantities: Mapping[str, tuple[float, FloatArray]]) -> dict[str, Spread]:
    """`spread` of several quantities of as many samples, by name; those without one are left out."""
    names = [name for name, (value, _) in quantities.items() if math.isfinite(value)]
    if not names:
        return {}
    samples = np.stack([quantities[name][1] for name in names])
    ordered = np.partition(samples, _ranks(samples.shape[1]), axis=1)
    finite = np.asarray(np.isfinite(samples).all(axis=1))
    with np.errstate(invalid="ignore"):
        off = samples - samples.mean(axis=1, keepdims=True)
        deviation = np.sqrt(np.einsum("ij,ij->i", off, off) / (samples.shape[1] - 1))
    found = {}
    for row, name in enumerate(names):
        low, high = _percentile(ordered[row], 2.5), _percentile(ordered[row], 97.5)
        if not (math.isfinite(low) and math.isfinite(high)):
            continue
        u = float(deviation[row])
        if not finite[row]:
            u = (_percentile(ordered[row], 84.135) - _percentile(ordered[row], 15.865)) / 2.0
        found[name] = Spread(value=quantities[name][0], u=u, low_95=low, high_95=high)
    return found


@lru_cache(maxsize=4)
def _ranks(size: int) -> tuple[int, ...]:
    """The places that `_percentile` reads of sorted samples: only those need be right."""
    below = [int(percent / 100.0 * (size - 1)) for percent in (2.5, 15.865, 84.135, 97.5)]
    return tuple(sorted({min(at, size - 1) for first in below for at in (first, first + 1)}))


def _percentile(ordered: FloatArray, percent: float) -> float:
    position = percent / 100.0 * (ordered.size - 1)
    below = int(position)
    lower, upper = float(ordered[below]), float(ordered[min(below + 1, ordered.size - 1)])
    return lower if position == below else lower + (position - below) * (upper - lower)


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    result = np.full(numerator.shape, np.inf)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


def _index(terms: Terms, dose: MeasuredDose) -> int:
    if dose.volume not in terms.volumes:
        raise ValueError(f"Terms were drawn for {list(terms.volumes)}, not for volume {dose.volume!r}.")
    return terms.volumes.index(dose.volume)
