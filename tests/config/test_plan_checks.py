from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from config.errors import ConfigurationError
from config.plan import TreatmentPlan, plan_from_mapping
from config.plan_checks import decayed
from config.plan_warnings import relaxivity_band
from config.settings import AlarmSettings


def read(content: dict[str, Any]) -> TreatmentPlan:
    return plan_from_mapping(content, site_time_zone="UTC")


def fault(content: dict[str, Any]) -> str:
    """The one fault of a plan."""
    with pytest.raises(ConfigurationError) as caught:
        read(content)
    assert len(caught.value.faults) == 1, caught.value
    return caught.value.faults[0]


def at(hour: int, minute: int = 0, day: int = 4) -> datetime:
    return datetime(2026, 3, day, hour, minute)


def test_activity_halves_in_a_half_life() -> None:
    assert decayed(100.0, at(0), at(2, 48, day=5), 26.8) == pytest.approx(50.0)
    # 6 GBq after 3.40 d is 0.7275 GBq (EMERITUS-1's numbers).
    assert decayed(6000.0, at(0), at(9, 36, day=7), 26.8) == pytest.approx(727.5, abs=0.5)


# Residuals -----------------------------------------------------------------------------------------------------------


def test_a_residual_is_held_against_its_vials_at_its_own_time(content: dict[str, Any]) -> None:
    # 1250 MBq at 10:05 are 1189.5 MBq at 12:00.
    content["residuals"][0]["activity_MBq"] = 1189.0
    read(content)
    content["residuals"][0]["activity_MBq"] = 1190.0
    said = fault(content)
    assert said.startswith("residuals[0].activity_MBq is 1190 MBq at 2026-03-04T12:00:00+01:00, above the 1189.5 MBq")
    content["residuals"][0]["assay_time"] = at(11)
    read(content)


def test_a_residual_of_two_injections_is_held_against_both_vials(content: dict[str, Any]) -> None:
    content["injections"][2]["vials"] = ["B"]
    content["vials"].append({"name": "B", "activity_MBq": 1250.0, "mass_mg": 104.0, "assay_time": at(10, 5)})
    content["residuals"][0] |= {"injections": [["RHA", 2], ["RHA", 3]], "activity_MBq": 2378.0}
    read(content)
    content["residuals"][0]["activity_MBq"] = 2380.0
    assert "its vials (A, B) held then" in fault(content)


def test_two_residuals_of_one_vial_are_held_against_it_together(content: dict[str, Any]) -> None:
    content["residuals"] = [content["residuals"][0] | {"activity_MBq": 700.0} for _ in range(2)]
    assert "are together 1400 MBq" in fault(content)


def test_the_plans_half_life_counts(content: dict[str, Any]) -> None:
    content["residuals"][0]["activity_MBq"] = 1200.0
    content["quantification"]["half_life_h"] = 64.05
    read(content)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([["RHA", 4]], "names RHA F4, which is not an injection of this plan. Did you mean RHA F"),
        ([["LHA", 2]], "names LHA F2, which is not an injection of this plan."),
        ([["RHA", 1]], "names RHA F1, whose activity_MBq is net and final"),
        ([["RHA", 3]], "names RHA F3, which has no vials"),
        ([["RHA", 2], ["RHA", 2]], "names RHA F2 a second time"),
        ([], "residuals[0].injections is []; expected a list such as"),
    ],
)
def test_a_residual_is_left_of_injections_with_vials(content: dict[str, Any], members: list[Any], said: str) -> None:
    content["residuals"][0]["injections"] = members
    assert said in fault(content)


# Injections ----------------------------------------------------------------------------------------------------------


def test_injections_are_listed_in_order_of_time(content: dict[str, Any]) -> None:
    content["injections"][1]["time"] = content["injections"][0]["time"]
    assert fault(content).startswith("injections[1].time is 2026-03-04T10:08:00+01:00, not after injections[0].time")


@pytest.mark.parametrize(
    ("fractions", "said"),
    [
        ((1, 2, 4), ["injections[2].fraction is 4; expected 3"]),
        ((2, 3, 4), ["injections[0].fraction is 2; expected 1"]),
        ((1, 1, 2), ["injections[1]: RHA F1 is already injections[0]"]),
        ((2, 1, 3), ["injections[0].fraction is 2; expected 1", "injections[1].fraction is 1; expected 3"]),
    ],
)
def test_fractions_of_a_position_count_from_one(
    content: dict[str, Any], fractions: tuple[int, ...], said: list[str]
) -> None:
    del content["residuals"]
    for injection, fraction in zip(content["injections"], fractions, strict=True):
        injection["fraction"] = fraction
    with pytest.raises(ConfigurationError) as caught:
        read(content)
    for sentence in said:
        assert any(f.startswith(sentence) for f in caught.value.faults), caught.value


def test_positions_count_on_their_own_and_may_alternate(content: dict[str, Any]) -> None:
    content["injections"][1] |= {"position": "LHA", "fraction": 1}
    content["injections"][2] |= {"fraction": 2}
    content["residuals"][0]["injections"] = [["LHA", 1]]
    assert [i.label for i in read(content).injections] == ["RHA F1", "LHA F1", "RHA F2"]


@pytest.mark.parametrize("position", ["", "a b", "RHA/1", "../x", "Ä", "x" * 17, "RHA\n"])
def test_a_position_is_a_plain_word(content: dict[str, Any], position: str) -> None:
    content["injections"].append({"position": position, "fraction": 1})
    assert "is not a position's name" in fault(content)


def test_activity_is_given_net_or_by_vials_but_not_both(content: dict[str, Any]) -> None:
    content["injections"][1]["activity_MBq"] = 1200.0
    del content["residuals"]
    assert fault(content).startswith("injections[1] has both activity_MBq and vials")


def test_activity_needs_its_time(content: dict[str, Any]) -> None:
    content["injections"][2]["activity_MBq"] = 1200.0
    assert fault(content).startswith("injections[2].time is missing")


@pytest.mark.parametrize("activity", [0.42, 4.2, 420e3, -420.0, 0.0])
def test_an_activity_in_another_unit_is_out_of_range(content: dict[str, Any], activity: float) -> None:
    content["injections"][0]["activity_MBq"] = activity
    del content["injections"][0]["planned_MBq"]
    assert "expected a number from 10 to 20000 MBq" in fault(content)


@pytest.mark.parametrize(("activity", "faulty"), [(2149.0, False), (2151.0, True), (86.1, False), (85.9, True)])
def test_activity_beyond_five_times_the_planned_is_a_slip(
    content: dict[str, Any], activity: float, faulty: bool
) -> None:
    content["injections"][0]["activity_MBq"] = activity
    if faulty:
        assert "more than a factor 5 apart; check the unit" in fault(content)
    else:
        (warning,) = read(content).warnings()
        assert warning.startswith("injections[0] (RHA F1): activity_MBq is ")


@pytest.mark.parametrize(("activity", "warned"), [(344.1, False), (343.9, True), (515.9, False), (516.1, True)])
def test_activity_within_a_fifth_of_the_planned_is_unremarked(
    content: dict[str, Any], activity: float, warned: bool
) -> None:
    content["injections"][0]["activity_MBq"] = activity
    assert bool(read(content).warnings()) == warned


def test_what_vials_held_is_compared_with_the_planned(content: dict[str, Any]) -> None:
    content["injections"][1]["planned_MBq"] = 12000.0
    assert "what its vials held is 1231 MBq, but planned_MBq is 1.2e+04" in fault(content)


# Vials ---------------------------------------------------------------------------------------------------------------


def test_an_unknown_vial_is_refused_with_the_nearest(content: dict[str, Any]) -> None:
    content["vials"][0]["name"] = "Vial A"
    content["injections"][1]["vials"] = ["Vial B"]
    assert (
        fault(content) == 'injections[1].vials names "Vial B", which is not a vial of this plan. Did you mean Vial A?'
    )


def test_a_shared_vial_is_divided_and_a_warning_says_how(content: dict[str, Any]) -> None:
    content["injections"][2]["vials"] = ["A"]
    assert any(
        "vials[0] (A) is drawn by RHA F2, RHA F3: its content is divided in prop" in w for w in read(content).warnings()
    )
    del content["injections"][2]["planned_MBq"]
    assert any("divided equally, as planned_MBq is not given for each" in w for w in read(content).warnings())


def test_vials_have_different_names(content: dict[str, Any]) -> None:
    content["vials"].append(dict(content["vials"][0]))
    assert fault(content).startswith('vials[1].name is "A", as is vials[0].name')


def test_a_vial_is_drawn_once(content: dict[str, Any]) -> None:
    content["injections"][1]["vials"] = ["A", "A"]
    assert 'names "A" twice' in fault(content)


# Structures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "volume", ["Liver", "Healthy liver", "Healthy liver RHA", "Right liver", "Tumour 1", "Tumour 2"]
)
def test_limits_may_name_structures_and_healthy_parts(content: dict[str, Any], volume: str) -> None:
    content["limits"][0]["volume"] = volume
    content["positions"]["RHA"]["volumes"] = [volume]
    assert read(content).warnings() == ()


def test_the_liver_may_have_another_name(content: dict[str, Any]) -> None:
    content["structures"]["liver"] = "Hepar"
    for volume in ("Hepar", "Liver"):
        content["limits"][0]["volume"] = volume
        read(content)


@pytest.mark.parametrize(
    ("volume", "near"),
    [("Healthy livr", "Healthy liver"), ("Tumor 1", "Tumour 1"), ("Healthy liver LHA", "Healthy liver RHA")],
)
def test_an_unknown_volume_is_refused_with_the_nearest(content: dict[str, Any], volume: str, near: str) -> None:
    content["limits"][0]["volume"] = volume
    said = fault(content)
    assert said == f'limits[0].volume is "{volume}", which is not a structure of this plan. Did you mean {near}?'


def test_a_position_that_nobody_injects_is_refused(content: dict[str, Any]) -> None:
    content["positions"]["RHB"] = {}
    assert fault(content) == "positions.RHB is not the position of any injection. Did you mean RHA?"


@pytest.mark.parametrize("tumours", [["Liver"], ["T", "T"], ["Healthy liver RHA"]])
def test_structures_have_names_of_their_own(content: dict[str, Any], tumours: list[str]) -> None:
    content["structures"]["tumours"] = tumours
    del content["positions"]["RHA"]["volumes"]
    assert fault(content).startswith("structures.tumours[")


def test_one_wrong_type_is_one_fault(content: dict[str, Any]) -> None:
    content["structures"]["tumours"] = "Tumour 1"
    assert fault(content) == 'structures.tumours is "Tumour 1"; expected a list, each a text in quotes.'


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("limits", "dose_Gy", 5500.0),
        ("limits", "dose_Gy", 0.055),
        ("calibration", "field_T", 0.1),
        ("calibration", "field_T", 30000),
        ("calibration", "relaxivity_per_s_per_mg_mL", 0.218),
        ("calibration", "holmium_fraction", 19.5),
        ("calibration", "temperature_C", 310.0),
        ("microspheres", "holmium_fraction", 0),
        ("microspheres", "holmium_fraction", 1.0),
        ("microspheres", "specific_activity_MBq_per_mg", 0.012),
        ("microspheres", "specific_activity_MBq_per_mg", 12000),
        ("vials", "mass_mg", 0.104),
        ("vials", "activity_MBq", 1.25),
        ("residuals", "activity_MBq", -1),
        ("calibration", "field_T", float("nan")),
        ("calibration", "relaxivity_per_s_per_mg_mL", float("inf")),
        ("calibration", "field_T", True),
        ("calibration", "field_T", "3.0"),
    ],
)
def test_a_value_in_another_unit_is_out_of_range(content: dict[str, Any], table: str, key: str, value: Any) -> None:
    place = content[table]
    (place[0] if isinstance(place, list) else place)[key] = value
    with pytest.raises(ConfigurationError) as caught:
        read(content)
    # A wrong unit may contradict another table as well; the range is told first.
    assert f".{key} is " in caught.value.faults[0]


# Warnings ------------------------------------------------------------------------------------------------------------


def test_relaxivity_bands_scale_with_field_and_holmium() -> None:
    alarms = AlarmSettings()
    assert relaxivity_band(1.5, 0.195, alarms) == (104.0, 114.0)
    assert relaxivity_band(2.893, 0.195, alarms) == (209.0, 229.0)
    assert relaxivity_band(7.0, 0.39, alarms) == pytest.approx((209 * 14 / 3, 229 * 14 / 3))


@pytest.mark.parametrize(
    ("relaxivity", "field", "warned"),
    [(218, 3.0, False), (109, 1.5, False), (109, 3.0, True), (218, 1.5, True), (1118, 3.0, True)],
)
def test_relaxivity_outside_the_band_is_a_warning(
    content: dict[str, Any], relaxivity: float, field: float, warned: bool
) -> None:
    content["calibration"] |= {"relaxivity_per_s_per_mg_mL": relaxivity, "field_T": field}
    said = read(content).warnings()
    assert [w.startswith("calibration.relaxivity_per_s_per_mg_mL is ") for w in said] == [True] * warned


def test_the_sites_own_band_counts(content: dict[str, Any]) -> None:
    assert read(content).warnings(AlarmSettings(relaxivity_band_3t=(100.0, 120.0))) != ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["limits"][0].update(isotope="90Y"), "was found with 90Y, not holmium-166"),
        (lambda c: c.pop("structures"), "limits[0] (Healthy liver) cannot be watched: the plan has no [structures]."),
        (lambda c: c["structures"].pop("liver"), "the plan names no structures.liver"),
        (lambda c: c["vials"].append(c["vials"][0] | {"name": "B"}), "vials[1] (B) is drawn by no injection."),
        (lambda c: c["vials"][0].update(mass_mg=150.0), "activity_MBq per mass_mg is 8.35 MBq/mg"),
        (lambda c: c["injections"][0].pop("activity_MBq"), "has a time, but neither activity_MBq nor vials"),
        (
            lambda c: (c["injections"][0].pop("activity_MBq"), c["injections"][0].pop("time")),
            "injections[0] (RHA F1) has no time, but a later injection has one.",
        ),
        (lambda c: c["microspheres"].update(reference_time=at(10, day=20)), "more than 7 days from its microspheres'"),
        (lambda c: c["residuals"][0].update(assay_time=at(10, 30)), "before the injection that it is left of"),
    ],
)
def test_what_is_unlikely_is_a_warning(content: dict[str, Any], change: Any, said: str) -> None:
    change(content)
    assert any(said in warning for warning in read(content).warnings())


@pytest.mark.parametrize("isotope", ["166Ho", "Ho-166", "holmium-166", "166-Ho"])
def test_holmium_is_known_by_its_names(content: dict[str, Any], isotope: str) -> None:
    content["limits"][0]["isotope"] = isotope
    assert read(content).warnings() == ()
