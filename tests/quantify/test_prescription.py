"""Prescription: A₆₀, fractions, single compartment and partition model (physics §7, numbers of §8)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from quantify.activity import MeasuredActivity, net_activity
from quantify.isotope import Isotope, holmium_166
from quantify.prescription import (
    a60_mbq,
    activity_for_target_dose,
    lung_objections,
    mean_dose_gy,
    partition,
    split_by_target_volume,
    split_in_fractions,
    tumour_to_normal_ratio,
    whole_liver_dose_gy,
)

HOLMIUM = holmium_166()
SIX_GBQ = (8.97, 8.06, 7.54, 4.02, 7.88, 4.28)
LIVER = {
    "lung_shunt_fraction": 0.05,
    "tumour_mass_kg": 0.3,
    "normal_mass_kg": 1.2,
    "tumour_to_normal": 3.0,
    "isotope": HOLMIUM,
}


@pytest.mark.parametrize(("mass", "activity"), [(1.0, 3781.0), (2.0, 7562.0)])
def test_a60_is_3781_mbq_per_kg(mass, activity):
    """physics §8: liver of 1.0 / 2.0 kg → 3781 / 7562 MBq (EMERITUS-1, eq. 1)."""
    assert a60_mbq(liver_mass_kg=mass, isotope=HOLMIUM) == activity


def test_a60_gives_60_gy():
    activity = a60_mbq(liver_mass_kg=1.7, isotope=HOLMIUM)
    assert mean_dose_gy(activity_mbq=activity, mass_kg=1.7, isotope=HOLMIUM) == pytest.approx(60.0, abs=0.01)


def test_the_energy_is_the_isotopes_own():
    other = Isotope(name="90Y", half_life_h=64.1, absorbed_energy_mj_per_mbq=50.0)
    assert a60_mbq(liver_mass_kg=1.0, isotope=other) == 1200.0
    assert mean_dose_gy(activity_mbq=1000.0, mass_kg=1.03, isotope=other) == pytest.approx(48.54, abs=0.005)


def test_the_activities_of_emeritus_1_have_a_mean_of_6_79_gbq_however_they_are_divided():
    """physics §8: injected 8.97, 8.06, 7.54, 4.02, 7.88, 4.28 GBq, mean 6.79 GBq; fractions of each add to it again."""
    divided = [
        sum(sum(split_in_fractions(part)) for part in split_by_target_volume(a, {"RHA": 900.0, "LHA": 500.0}).values())
        for a in SIX_GBQ
    ]
    assert np.mean(divided) == pytest.approx(6.79, abs=0.005)


def test_fractions_are_10_30_30_30_percent():
    """physics §8: 8.06 GBq in fractions: 0.806 + 3 × 2.418; x = 10, 40, 70, 100 %."""
    fractions = split_in_fractions(8.06)
    assert fractions == pytest.approx((0.806, 2.418, 2.418, 2.418))
    assert np.cumsum(fractions) / 8.06 * 100 == pytest.approx([10, 40, 70, 100])


def test_positions_share_in_proportion_to_their_target_volume():
    shares = split_by_target_volume(6000.0, {"RHA": 1000.0, "LHA": 400.0, "S4": 100.0})
    assert shares == pytest.approx({"RHA": 4000.0, "LHA": 1600.0, "S4": 400.0})


def test_120_gy_over_70_percent_of_the_liver_is_84_gy():
    """physics §8."""
    assert whole_liver_dose_gy(targeted_dose_gy=120.0, targeted_share=0.7) == pytest.approx(84.0)


def test_3_7_mbq_in_15_3_ml_is_3_62_gy():
    """physics §8, at 1.06 g/mL."""
    dose = mean_dose_gy(activity_mbq=3.7, mass_kg=15.3e-3 * 1.06, isotope=HOLMIUM)
    assert dose == pytest.approx(3.62, abs=0.005)


def test_the_partition_model_reproduces_its_example():
    """physics §8: 5 GBq, LSF 5 %, m_t 0.3, m_n 1.2 kg, TNR 3 → 35.9, 107.7 and lung 4.0 Gy."""
    doses = partition(activity_mbq=5000.0, **LIVER)
    assert doses.normal_liver_gy == pytest.approx(35.9, abs=0.05)
    assert doses.tumour_gy == pytest.approx(107.7, abs=0.05)
    assert doses.lung_gy == pytest.approx(4.0, abs=0.05)


def test_the_partition_model_conserves_energy():
    doses = partition(activity_mbq=5000.0, **LIVER)
    energy = doses.normal_liver_gy * 1.2 + doses.tumour_gy * 0.3 + doses.lung_gy * 1.0
    assert energy == pytest.approx(5000.0 * 15.87e-3)


def test_without_tumour_and_shunt_it_is_the_single_compartment():
    alone = LIVER | {"tumour_mass_kg": 0.0, "lung_shunt_fraction": 0.0}
    doses = partition(activity_mbq=5000.0, **alone)
    assert doses.normal_liver_gy == pytest.approx(mean_dose_gy(activity_mbq=5000.0, mass_kg=1.2, isotope=HOLMIUM))
    assert doses.lung_gy == 0.0


@pytest.mark.parametrize(("compartment", "dose"), [("normal_liver", 40.0), ("tumour", 150.0), ("lung", 30.0)])
def test_the_activity_for_a_dose_gives_that_dose(compartment, dose):
    activity = activity_for_target_dose(target_dose_gy=dose, compartment=compartment, **LIVER)
    doses = partition(activity_mbq=activity, **LIVER)
    assert getattr(doses, f"{compartment}_gy") == pytest.approx(dose)


def test_tumour_to_normal_is_the_ratio_of_concentrations():
    """physics §8: 200 counts/100 mL over 300 counts/1500 mL = 10."""
    ratio = tumour_to_normal_ratio(tumour_counts=200, tumour_volume_ml=100, normal_counts=300, normal_volume_ml=1500)
    assert ratio == pytest.approx(10.0)


def test_a_shunt_over_20_percent_excludes_and_a_lung_dose_over_30_gy_is_told():
    assert lung_objections(lung_shunt_fraction=0.20, lung_dose_gy=30.0) == ()
    (shunt,) = lung_objections(lung_shunt_fraction=0.21, lung_dose_gy=10.0)
    assert "21.0 %" in shunt
    assert "20 %" in shunt
    (dose,) = lung_objections(lung_shunt_fraction=0.1, lung_dose_gy=30.1)
    assert "30.1 Gy" in dose
    assert len(lung_objections(lung_shunt_fraction=0.5, lung_dose_gy=50.0)) == 2


@pytest.mark.parametrize(("gbq", "days"), [(6.0, 3.40), (2.0, 1.63)])
def test_what_is_left_of_an_ordered_vial(gbq, days):
    """physics §8: 6 GBq after 3.40 d; 2 GBq after 1.63 d → 0.7275 GBq (0.05 % between half-lives in use)."""
    assay = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
    net = net_activity(
        drawn=[MeasuredActivity(activity_mbq=1000 * gbq, time=assay)],
        residual_share=[MeasuredActivity(activity_mbq=0.0, time=assay)],
        time=assay + timedelta(days=days),
        isotope=HOLMIUM,
        loss_pct=8.6,
        loss_u_pct=4.0,
    )
    assert net.activity_mbq == pytest.approx(727.5, rel=1e-3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: a60_mbq(liver_mass_kg=0.0, isotope=HOLMIUM), "liver_mass_kg is 0"),
        (lambda: mean_dose_gy(activity_mbq=float("nan"), mass_kg=1.0, isotope=HOLMIUM), "activity_mbq is nan"),
        (lambda: split_in_fractions(1000.0, (0.5, 0.4)), "add to 0.9; expected 1"),
        (lambda: split_in_fractions(1000.0, (1.5, -0.5)), "share 2 is -0.5"),
        (lambda: split_in_fractions(1000.0, ()), "add to 0"),
        (lambda: split_by_target_volume(1000.0, {}), "is empty"),
        (lambda: split_by_target_volume(1000.0, {"RHA": 0.0}), "RHA is 0"),
        (lambda: partition(activity_mbq=1.0, **(LIVER | {"lung_shunt_fraction": 5.0})), "lung_shunt_fraction is 5"),
        (
            lambda: partition(activity_mbq=1.0, **(LIVER | {"tumour_mass_kg": 0.0, "normal_mass_kg": 0.0})),
            "expected a liver",
        ),
        (
            lambda: activity_for_target_dose(
                target_dose_gy=150.0, compartment="tumour", **(LIVER | {"tumour_mass_kg": 0.0})
            ),
            "reaches the tumour",
        ),
        (lambda: activity_for_target_dose(target_dose_gy=150.0, compartment="spleen", **LIVER), "'spleen'"),
        (lambda: whole_liver_dose_gy(targeted_dose_gy=100.0, targeted_share=1.2), "targeted_share is 1.2"),
        (lambda: lung_objections(lung_shunt_fraction=float("nan"), lung_dose_gy=1.0), "lung_shunt_fraction is nan"),
    ],
)
def test_bad_input_is_refused_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()
