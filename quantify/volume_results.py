"""Statistics of the volumes after one fraction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import numpy as np

from config.settings import QuantificationSettings, UncertaintySettings
from quantify.bed import mean_bed_gy, radiosensitivity
from quantify.budget import budget
from quantify.cold import cold_search
from quantify.findings import Scintigraphic, VolumeStatistics, VolumeStatus
from quantify.fraction_maps import Content, Drawing, Progress
from quantify.imaged import ImagedFraction, Physics, VolumeOfInterest
from quantify.lineage import FRAME
from quantify.model import ParametricMap, Reason, Role, Volume
from quantify.monte_carlo import MeasuredDose
from quantify.partial_volume import Mixture, mixture
from quantify.remembered import Identity
from quantify.scintigraphy import ring_content, scintigraphic_contour
from quantify.statistics import Distribution, Doses, distribution, tumour_to_normal
from quantify.uncertainty import repeat_per_s, s0_per_s

_PERCENTS = (90, 70, 50)
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """One volume after one fraction: its statistics, and what their uncertainty hangs on (None: not evaluable).

    ``per_gy_mbq`` is the activity that a mean of 1 Gy by local deposition stands for; ``concentration_gy`` the mean
    that local deposition gives, whatever the dose model: a concentration in units of dose. ``held`` and
    ``doses`` are what `detailed` goes on from.
    """

    statistics: VolumeStatistics
    dose: MeasuredDose | None = None
    concentration_gy: float = 0.0
    per_gy_mbq: float = 0.0
    percentiles: Mapping[str, MeasuredDose] = field(default_factory=dict)
    """What each D_x hangs on: as the mean, but for its own contour and noise."""
    held: Held | None = None
    doses: Doses | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Held:
    """What one volume holds after one image, in units of activity concentration [MBq/mL], whatever dose that is.

    ``plain`` is as measured, ``own`` freed from partial volume by ``mixed`` where that was possible; None where nothing
    can be evaluated. ``holmium_mg_per_ml`` is the mean concentration; ``s0_weight`` the share of S0 that came from the
    reference.
    """

    plain: Distribution | None
    own: Distribution | None
    mixed: Mixture | None
    reasons: Mapping[str, float]
    holmium_mg_per_ml: float | None
    s0_weight: float


@dataclass(frozen=True, kw_only=True, eq=False)
class _Image:
    """One fraction as its volumes are measured in it."""

    drawing: Drawing
    roles: Mapping[str, Role] = field(default_factory=dict)

    @property
    def fraction(self) -> ImagedFraction:
        return self.drawing.fraction

    @property
    def content(self) -> Content:
        return self.drawing.content

    @property
    def physics(self) -> Physics:
        return self.drawing.physics

    @property
    def key(self) -> tuple[str, int]:
        return self.fraction.injection.key

    @property
    def is_local(self) -> bool:
        """Whether dose is activity times a factor."""
        return self.physics.settings.dose_model == "local"

    @property
    def seen(self) -> ParametricMap:
        """The map that dose is proportional to: of the activity, or the dose itself."""
        return self.content.activity if self.is_local else self.drawing.dose()

    @property
    def gy(self) -> float:
        """Dose for each unit of that map."""
        return self.physics.gy_per_mbq_per_ml if self.is_local else 1.0

    def recall(
        self, what: str, volume: Volume, made_of: tuple[object, ...], compute: Callable[[QuantificationSettings], T]
    ) -> T:
        """What `compute` finds of one volume in this image, if it is not known."""
        return self.drawing.memory.recall(
            (what, self.key, volume.name), (self.content, volume, *made_of), self.physics.settings, compute
        )


def measured_volumes(drawing: Drawing, volumes: Sequence[VolumeOfInterest], progress: Progress) -> dict[str, Measured]:
    """Every volume by name after one image; T/N of the tumours where both means are precise enough."""
    image, physics = _Image(drawing=drawing, roles={v.volume.name: v.volume.role for v in volumes}), drawing.physics
    if not all(drawing.memory.knows(*_held_of(image, interest.volume), physics.settings) for interest in volumes):
        drawing.memory.together([partial(_held, image, interest.volume) for interest in volumes])
    measured = {interest.volume.name: _measured(image, interest, progress) for interest in volumes}
    healthy = next((m for m in measured.values() if m.statistics.role == Role.HEALTHY_LIVER), None)
    if healthy is None or not precise(healthy.statistics, physics):
        return measured
    for name, own in measured.items():
        # A ratio of means of one treatment: density and energy are the same, so doses stand for concentrations.
        if own.statistics.role == Role.TUMOUR and precise(own.statistics, physics):
            ratio = tumour_to_normal(own.concentration_gy, healthy.concentration_gy)
            measured[name] = replace(own, statistics=replace(own.statistics, tnr=ratio))
    return measured


def detailed(
    drawing: Drawing, volumes: Sequence[VolumeOfInterest], measured: Mapping[str, Measured]
) -> dict[str, Measured]:
    """What `measured_volumes` found, with all else that is told of a mean that is known well.

    V_x, coverage and cold part, BED and the curve: no other number depends on them, so they can come later.
    """
    image = _Image(drawing=drawing)
    return {
        interest.volume.name: _detailed(image, interest.volume, measured[interest.volume.name]) for interest in volumes
    }


def _held(image: _Image, volume: Volume) -> Held:
    """What a volume holds, found once for all settings that do not matter to it."""
    fraction, content, physics = image.fraction, image.content, image.physics
    relaxivity = physics.relaxivity_per_s_per_mg_ml
    per_s = physics.specific_activity(fraction.injection) / relaxivity

    def found(settings: QuantificationSettings) -> Held:
        shares = fraction.shares if settings.partial_volume_correction else {}
        baseline = None
        if shares and volume.role == Role.TUMOUR and fraction.r2star is not None:
            # The original reference's, even where a new baseline is subtracted: that one holds holmium, with its edges.
            measured = content.holmium if fraction.holmium is None else fraction.holmium
            baseline = (fraction.r2star.values - measured.values * np.float32(relaxivity)) * np.float32(per_s)
        mixed = mixture(
            volume, content.activity, shares, image.roles, baseline=baseline, imaged_grid=fraction.imaged_grid
        )
        plain = distribution(content.activity, volume)
        holmium = distribution(content.holmium, volume)
        return Held(
            plain=plain,
            own=plain if mixed is None else distribution(content.activity, volume, mixed),
            mixed=mixed,
            reasons=_reasons(content.activity, volume),
            holmium_mg_per_ml=None if holmium is None else holmium.mean,
            s0_weight=_s0_weight(fraction, volume),
        )

    return image.drawing.memory.recall(*_held_of(image, volume), physics.settings, found)


def _held_of(image: _Image, volume: Volume) -> tuple[Identity, Identity]:
    """The stage of what a volume holds, and what that is made of."""
    fraction, physics = image.fraction, image.physics
    of_batch = (physics.relaxivity_per_s_per_mg_ml, physics.specific_activity(fraction.injection))
    made_of = (image.content, volume, fraction.r2star, fraction.holmium, *of_batch, *image.roles.items())
    return ("held", image.key, volume.name), made_of


def precise(own: VolumeStatistics, physics: Physics) -> bool:
    """Whether the mean is known well enough to derive ratios and percentiles from it."""
    if own.dose_mean_gy is None or own.dose_mean_u_gy is None or own.dose_mean_gy <= 0:
        return False
    return 100.0 * own.dose_mean_u_gy / own.dose_mean_gy <= physics.settings.uncertainty.d_x_maximum_u_pct


def scintigraphic(drawing: Drawing, volumes: Sequence[VolumeOfInterest]) -> Scintigraphic | None:
    """The scintigraphic contour of the activity in the liver, with its mean dose; None without liver or activity."""
    liver = next((v.volume for v in volumes if v.volume.role == Role.LIVER), None)
    if liver is None:
        return None
    image, physics, content = _Image(drawing=drawing), drawing.physics, drawing.content

    def contour(settings: QuantificationSettings) -> Volume:
        own = settings.statistics
        return scintigraphic_contour(
            content.activity,
            liver,
            threshold_pct=own.scintigraphic_threshold_pct,
            resolution_mm=own.scintigraphic_resolution_mm,
        )

    drawn = image.recall("scintigraphic contour", liver, (), contour)
    seen = image.seen
    found = image.recall("scintigraphic", liver, (drawn, seen), lambda _: _volume_and_values(seen, drawn))
    if found is None:
        return None
    volume_ml, values = found
    threshold = physics.settings.statistics.scintigraphic_threshold_pct
    return Scintigraphic(threshold_pct=threshold, volume_ml=volume_ml, dose_mean_gy=image.gy * values.mean)


def _volume_and_values(seen: ParametricMap, contour: Volume) -> tuple[float, Distribution] | None:
    values = distribution(seen, contour)
    return None if values is None else (contour.volume_ml, values)


def _measured(image: _Image, interest: VolumeOfInterest, progress: Progress) -> Measured:
    """One volume.

    Spread, D_x and V_x are withheld (None) while the mean's uncertainty exceeds ``d_x_maximum_u_pct``; everything is
    while less than ``minimum_evaluable_fraction`` of the volume is evaluable.
    """
    volume, physics = interest.volume, image.physics
    settings = physics.settings
    held = _held(image, volume)
    plain, concentration = held.plain, held.own
    doses = concentration if image.is_local else _of_map(image, "doses", image.seen, volume)
    evaluable = 0.0 if concentration is None else concentration.evaluable_fraction
    empty = VolumeStatistics(
        name=volume.name,
        role=volume.role,
        status=VolumeStatus.NOT_EVALUABLE,
        volume_ml=volume.contour_volume_ml,
        evaluable_fraction=evaluable,
        reasons=held.reasons,
        warning=interest.warning,
    )
    if plain is None or concentration is None or doses is None or evaluable < settings.minimum_evaluable_fraction:
        message = (
            f"{100 * evaluable:.0f} % of the volume is evaluable; "
            f"at least {100 * settings.minimum_evaluable_fraction:.0f} % is needed"
        )
        return Measured(statistics=replace(empty, message=message))
    scaled = Doses(of=doses, gy=image.gy)
    variants = [
        Doses(of=d, gy=image.gy)
        for number, variant in enumerate(interest.variants)
        if (d := _of_map(image, f"variant {number}", image.seen, variant)) is not None
    ]
    dose = _hangs_on(image, held, volume, scaled, variants, progress)
    terms = budget(dose, settings.uncertainty)
    at_floor = 100.0 * concentration.lower_bound_fraction
    bound = at_floor > 0 and at_floor >= settings.lower_bound_pct
    per_unit = physics.gy_per_mbq_per_ml
    inside_mbq = concentration.mean * volume.contour_volume_ml
    relaxivity = physics.relaxivity_per_s_per_mg_ml
    statistics = replace(
        empty,
        status=VolumeStatus.LOWER_BOUND if bound else VolumeStatus.OK,
        message=f"{at_floor:.1f} % of the voxels at the noise floor" if bound else "",
        dose_mean_gy=scaled.mean,
        dose_mean_u_gy=float(np.sqrt(sum(term.u_gy**2 for term in terms))),
        u_repeat_gy=dose.independent_gy,
        partial_volume_gy=None if held.mixed is None else per_unit * (concentration.mean - plain.mean),
        activity_mbq=inside_mbq,
        delta_r2star_mean_per_s=None if held.holmium_mg_per_ml is None else held.holmium_mg_per_ml * relaxivity,
        activity_expanded_mbq=_expanded_activity(image, interest, inside_mbq),
        budget=terms,
    )
    percentiles: dict[str, MeasuredDose] = {}
    if precise(statistics, physics):
        statistics = _with_spread(statistics, scaled)
        percentiles = _percentiles(dose, scaled, variants)
    return Measured(
        statistics=statistics,
        dose=dose,
        concentration_gy=per_unit * concentration.mean,
        per_gy_mbq=volume.contour_volume_ml / per_unit,
        percentiles=percentiles,
        held=held,
        doses=scaled,
    )


def _of_map(image: _Image, what: str, seen: ParametricMap, volume: Volume) -> Distribution | None:
    """The distribution of a map in a volume, as it stands."""
    return image.recall(what, volume, (seen,), lambda _: distribution(seen, volume))


def _percentiles(dose: MeasuredDose, doses: Doses, variants: Sequence[Doses]) -> dict[str, MeasuredDose]:
    """What D90, D70 and D50 hang on: a contour moves a percentile more than the mean, and so does noise."""
    noise = doses.percentile_noise(_PERCENTS)
    found = {}
    for percent, noise_gy in zip(_PERCENTS, noise, strict=True):
        at = [variant.dose_received_by(percent) for variant in variants]
        contour_gy = (at[1] - at[0]) / 2 if len(at) == 2 else 0.0
        found[f"d{percent}_gy"] = replace(dose, contour_gy=contour_gy, noise_gy=noise_gy)
    return found


def _with_spread(own: VolumeStatistics, doses: Doses) -> VolumeStatistics:
    """Spread and percentiles, which are told only of a mean that is known well."""
    return replace(
        own,
        dose_sd_gy=doses.standard_deviation,
        cv=doses.standard_deviation / doses.mean,
        d90_gy=doses.dose_received_by(90),
        d70_gy=doses.dose_received_by(70),
        d50_gy=doses.dose_received_by(50),
    )


def _detailed(image: _Image, volume: Volume, measured: Measured) -> Measured:
    own, doses, physics = measured.statistics, measured.doses, image.physics
    if measured.dose is None or measured.held is None or doses is None or not precise(own, physics):
        return measured
    settings = physics.settings.statistics
    tumour = own.role == Role.TUMOUR
    cold = None
    if tumour:
        seen, threshold = image.seen, settings.coverage_gy / image.gy
        # A dose by kernel is smooth by physics, not by mixture.
        of_edge = measured.held.mixed if image.is_local else None
        search = image.recall("cold", volume, (seen, of_edge), lambda _: cold_search(seen, volume, of_edge))
        cold = None if search is None else search.below(threshold)
    statistics = replace(
        own,
        v_x=tuple((dose, doses.coverage(dose)) for dose in settings.v_x_gy),
        coverage=doses.coverage(settings.coverage_gy) if tumour else None,
        cold=cold,
        bed_gy=mean_bed_gy(doses, radiosensitivity(own.role, settings), physics.isotope) if settings.bed else None,
        dvh=doses.thinned_dvh,
    )
    return replace(measured, statistics=statistics)


def _reasons(values: ParametricMap, volume: Volume) -> Mapping[str, float]:
    """Share of the volume on the grid that has each reason not to be evaluable as it stands."""
    inside = volume.inside
    occupancy = volume.occupancy.ravel()[inside]
    weights = np.bincount(values.reason.ravel()[inside], weights=occupancy, minlength=len(Reason))
    total = weights.sum()
    return {
        reason.name.lower(): float(weights[reason] / total)
        for reason in Reason
        if reason != Reason.EVALUABLE and weights[reason] > 0
    }


def _hangs_on(
    image: _Image, held: Held, volume: Volume, doses: Doses, variants: Sequence[Doses], progress: Progress
) -> MeasuredDose:
    """What the uncertainty of a mean hangs on: series and references with their weights, contour, noise, S0."""
    physics, name = image.physics, volume.name
    terms = physics.settings.uncertainty
    means = [variant.mean for variant in variants]
    concentration = held.holmium_mg_per_ml
    change = 0.0 if concentration is None else concentration * physics.relaxivity_per_s_per_mg_ml
    own = repeat_per_s(change, terms, absolute_per_s=physics.repeat_per_s)
    s0 = 0.0
    if held.s0_weight > 0:
        s0 = s0_per_s(s0_weight_mean=held.s0_weight, te1_s=image.fraction.first_echo_s, settings=terms)
    lineage, before = progress.lineage, progress.doses.get(name)
    earlier = lineage.n_series - 1
    usual = repeat_per_s(0.0, terms, absolute_per_s=physics.repeat_per_s)
    past_repeat = before.repeat_per_s if before is not None else ()
    past_s0 = before.s0_per_s if before is not None else ()
    # A series in which this volume could not be evaluated has the usual scatter.
    past_repeat += (usual,) * (earlier - len(past_repeat))
    past_s0 += (0.0,) * (earlier - len(past_s0))
    return MeasuredDose(
        volume=name,
        mean_gy=doses.mean,
        series_gy_per_s=lineage.series_gy_per_s,
        repeat_per_s=(*past_repeat, own),
        reference_per_s=tuple(_offset_per_s(reference, terms) for reference in lineage.references),
        reference_gy_per_s=lineage.reference_gy_per_s,
        contour_gy=(means[1] - means[0]) / 2 if len(means) == 2 else 0.0,
        noise_gy=doses.mean_standard_error,
        s0_per_s=(*past_s0, s0),
    )


def _offset_per_s(reference: str, terms: UncertaintySettings) -> float:
    """Offset of a reference [s⁻¹]; that of a frame without a baseline comes on top of the original reference's."""
    if not reference.startswith(FRAME):
        return terms.reference_per_s
    return float(np.sqrt(max(terms.repositioned_per_s**2 - terms.reference_per_s**2, 0.0)))


def _s0_weight(fraction: ImagedFraction, volume: Volume) -> float:
    """Share of a volume's S0 that came from the reference; 0 where S0 was free, or measured by an echo at TE = 0."""
    if fraction.s0_weight is None or not fraction.first_echo_s:
        return 0.0
    inside = (volume.occupancy > 0) & np.isfinite(fraction.s0_weight)
    if not inside.any():
        return 0.0
    weight = float(np.average(fraction.s0_weight[inside], weights=volume.occupancy[inside]))
    return min(1.0, max(0.0, weight))


def _expanded_activity(image: _Image, interest: VolumeOfInterest, inside_mbq: float) -> float | None:
    """Activity of the volume with the ring around it; None but for the liver."""
    grown, activity = interest.expanded, image.content.activity
    if grown is None:
        return None
    ring = image.recall("ring", interest.volume, (grown,), lambda _: ring_content(activity, interest.volume, grown))
    return inside_mbq + ring
