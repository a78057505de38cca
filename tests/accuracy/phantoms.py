"""Known dose in, measured dose out: eight phantom treatments through assembly, registration, fit and statistics.

The truth is the phantom's formula (`truth.json`), which shares no code with what it judges. Every fraction is checked.
The first two go through files of DICOM, the others' multi-echo series are handed over in memory (`in_memory.py`).
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from benchmarks.validation.phantom_chain import fed, said_of
from config.plan import load_plan
from console.demo.phantom_acquisition import AcquisitionOptions
from console.demo.phantom_dicom import PhantomOptions, acquired_series, write_phantom, write_surroundings
from console.demo.phantom_headers import Flavour
from console.snapshot import Snapshot
from quantify.findings import FractionStatus, RegistrationStatus
from quantify.model import Role

from .in_memory import Handed, instances

ZONE = "Europe/Amsterdam"
ONE, TWO = ("RHA",), ("RHA", "LHA")

# seed, vendor, positions, saturating tumour, shape, spacing mm, SNR, tilt °, files shuffled, a series per echo
CASES = [
    (1, Flavour.SIEMENS_CLASSIC, ONE, 0, (36, 80, 112), (4.5, 3.5, 3.5), 50.0, (0.0, 0.0, 0.0), False, False),
    (2, Flavour.SIEMENS_ENHANCED, ONE, 1, (40, 92, 124), (4.0, 3.0, 3.0), 40.0, (10.0, 0.0, 0.0), True, False),
    (3, Flavour.PHILIPS_CLASSIC, ONE, 2, (34, 92, 124), (5.0, 3.0, 3.0), 60.0, (0.0, 0.0, 20.0), False, False),
    (4, Flavour.PHILIPS_ENHANCED, TWO, 0, (34, 80, 112), (5.0, 3.5, 3.5), 80.0, (-20.0, 0.0, 0.0), True, False),
    (5, Flavour.SIEMENS_CLASSIC, ONE, 1, (40, 92, 124), (4.0, 3.0, 3.0), 40.0, (0.0, 15.0, 0.0), True, True),
    (6, Flavour.PHILIPS_ENHANCED, ONE, 0, (36, 92, 124), (4.5, 3.0, 3.0), 40.0, (12.0, -8.0, 5.0), False, False),
    (7, Flavour.SIEMENS_ENHANCED, ONE, 2, (34, 92, 124), (5.0, 3.0, 3.0), 45.0, (5.0, 5.0, -12.0), False, False),
    (8, Flavour.PHILIPS_CLASSIC, ONE, 1, (36, 80, 112), (4.5, 3.5, 3.5), 70.0, (-6.0, 10.0, 8.0), True, False),
]
"""Rigid shifts up to 3 mm and turns up to 0.5° between series, and ±5 % receiver gain, come from each seed."""

THROUGH_FILES = (1, 2)
"""Seeds of the phantoms that are written as files and read again: one classic, one enhanced."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A treatment as measured, and the truth of its phantom."""

    snapshot: Snapshot
    truth: dict[str, Any]

    def pairs(self) -> list[tuple[str, str, Any, dict[str, Any]]]:
        """(fraction, volume, measured statistics, true values), every fraction and volume that has a truth."""
        return [
            (result.label, name, own, fraction["volumes"][name])
            for result, fraction in zip(self.snapshot.results, self.truth["fractions"], strict=True)
            for name, own in result.volumes.items()
        ]


def measured_phantom(case: tuple[Any, ...], folder: Path) -> Measured:
    """Write the phantom of a case into `folder` and measure it."""
    seed, flavour, positions, saturating, shape, spacing, snr, tilt, shuffled, per_echo = case
    options = PhantomOptions(
        seed=seed,
        flavour=flavour,
        positions=positions,
        saturating_tumour=saturating,
        n_tumours=2 if seed == 6 else 3,
        series_per_echo=per_echo,
        anatomy_spacing_mm=(3.0, 3.0, 3.0),
        acquisition=AcquisitionOptions(shape=shape, spacing_mm=spacing, snr=snr, tilt_deg=tilt),
    )
    assert options.shift_mm == 3.0
    if seed in THROUGH_FILES:
        write_phantom(folder, options)
        snapshot = fed(folder, shuffled=shuffled)
    else:
        snapshot = fed_in_memory(folder, options, shuffled=shuffled)
    return Measured(snapshot=snapshot, truth=json.loads((folder / "truth.json").read_text(encoding="utf-8")))


def fed_in_memory(folder: Path, options: PhantomOptions, *, shuffled: bool) -> Snapshot:
    """As `fed`, without the files of the multi-echo series; what surrounds them is written and read."""
    reader, treatment, zone = Handed(), options.treatment(), ZoneInfo(ZONE)
    associations: dict[str, list[bytes]] = {}
    for part in write_surroundings(folder, options, treatment):
        associations[part.name] = [path.read_bytes() for path in sorted(part.glob("*.dcm"))]
    for n_injections in range(len(treatment.injections) + 1):
        header, acquired = acquired_series(options, treatment, n_injections)
        given = instances(header, acquired, zone, series_per_echo=options.series_per_echo)
        associations[f"series {n_injections}"] = [reader.token(instance) for instance in given]
    if shuffled:
        for objects in associations.values():
            random.Random(1).shuffle(objects)
    return said_of(load_plan(folder / "plan.toml", site_time_zone=ZONE), associations, reader=reader)


def case_id(case: tuple[Any, ...]) -> str:
    return f"seed{case[0]}-{case[1].value}"


def beyond(measured: Measured, roles: set[Role], key: str, attribute: str, share: float, gray: float) -> list[str]:
    """Every value that misses the truth by more than max(share·truth, gray), as a sentence."""
    found = []
    for label, name, own, true in measured.pairs():
        value = getattr(own, attribute)
        if own.role not in roles or value is None:
            continue
        bound = max(share * true[key], gray)
        if abs(value - true[key]) > bound:
            found.append(f"{label} {name}: {value:.2f} Gy, truth {true[key]:.2f} ± {bound:.2f} Gy")
    return found


class EveryFraction:
    """The laws that every phantom is held to; a test module gives them its phantoms as the fixture `measured`."""

    def test_is_computed(self, measured):
        assert [r.key for r in measured.snapshot.results] == [
            (f["position"], f["fraction"]) for f in measured.truth["fractions"]
        ]
        assert {r.status for r in measured.snapshot.results} == {FractionStatus.OK}
        moved = {r.registration.status for r in measured.snapshot.results}
        assert moved <= {RegistrationStatus.OK, RegistrationStatus.NOT_NEEDED}
        assert all(own.dose_mean_gy is not None for _, _, own, _ in measured.pairs())

    def test_tumour_means_are_within_3_percent_or_1_gray(self, measured):
        assert beyond(measured, {Role.TUMOUR}, "dose_mean_Gy", "dose_mean_gy", 0.03, 1.0) == []

    def test_healthy_liver_is_within_4_percent_or_1_5_gray(self, measured):
        assert beyond(measured, {Role.HEALTHY_LIVER}, "dose_mean_Gy", "dose_mean_gy", 0.04, 1.5) == []

    def test_d70_is_within_6_percent_or_2_gray(self, measured):
        assert beyond(measured, {Role.TUMOUR, Role.HEALTHY_LIVER}, "d70_Gy", "d70_gy", 0.06, 2.0) == []

    def test_d70_is_told_where_the_dose_is_known(self, measured):
        told = [own.d70_gy is not None for _, _, own, _ in measured.pairs() if own.role == Role.TUMOUR]
        assert sum(told) > len(told) / 2

    def test_recovery_is_within_5_percent_after_the_last_fraction(self, measured):
        assert 0.95 <= measured.snapshot.results[-1].recovery_ratio <= 1.05

    def test_only_the_saturating_tumour_is_flagged(self, measured):
        flagged = {
            name
            for result in measured.snapshot.results
            for name, point in result.trend.items()
            if point.flagged and result.volumes[name].role == Role.TUMOUR
        }
        assert flagged == {measured.truth["saturating_tumour"]}

    def test_the_stated_uncertainty_covers_the_error(self, measured):
        """k = 2; the phantom shares relaxivity, activity and contours with the plan, so most of u is unused."""
        for label, name, own, true in measured.pairs():
            assert abs(own.dose_mean_gy - true["dose_mean_Gy"]) <= 2 * own.dose_mean_u_gy, f"{label} {name}"
