from __future__ import annotations

import copy
import json
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from config.base import canonical_sha256
from config.errors import ConfigurationError
from config.plan import TreatmentPlan, load_plan, plan_from_mapping
from config.settings import QuantificationSettings, load_settings

CET = timezone(timedelta(hours=1))


def read(content: dict[str, Any], site_time_zone: str = "Europe/Amsterdam") -> TreatmentPlan:
    return plan_from_mapping(content, site_time_zone=site_time_zone)


def faults(content: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        read(content)
    return caught.value.faults


def test_the_plan_of_the_design_is_read_whole(tmp_path: Path, plan_text: str) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(plan_text, encoding="utf-8")
    plan = load_plan(path, site_time_zone="America/Bogota")
    assert plan.patient.id == "EM1-004"
    assert plan.microspheres.specific_activity_mbq_per_mg == 12.0
    assert plan.microspheres.reference_time == datetime(2026, 3, 4, 10, tzinfo=CET)
    assert plan.microspheres.holmium_fraction == 0.195
    assert plan.calibration.relaxivity_per_s_per_mg_ml == 218.0
    assert (plan.calibration.field_t, plan.calibration.temperature_c) == (3.0, 37.0)
    assert plan.structures is not None
    assert (plan.structures.liver, plan.structures.tumours) == ("Liver", ("Tumour 1", "Tumour 2"))
    assert (plan.positions["RHA"].territory, plan.positions["RHA"].volumes) == ("Right liver", ("Tumour 1",))
    assert (plan.limits[0].volume, plan.limits[0].dose_gy) == ("Healthy liver", 55.0)
    assert [i.label for i in plan.injections] == ["RHA F1", "RHA F2", "RHA F3"]
    assert plan.injections[0].key == ("RHA", 1)
    assert plan.injections[0].time == datetime(2026, 3, 4, 10, 8, tzinfo=CET)
    assert (plan.injections[0].planned_mbq, plan.injections[0].activity_mbq) == (430.0, 420.0)
    assert plan.injections[1].vials == ("A",)
    assert plan.injections[2].time is None
    assert not plan.injections[2].outside_mri
    assert (plan.vials[0].name, plan.vials[0].activity_mbq, plan.vials[0].mass_mg) == ("A", 1250.0, 104.0)
    assert plan.residuals[0].injections == (("RHA", 2),)
    assert plan.warnings() == ()


def test_one_message_lists_all_faults_with_the_nearest_names(content: dict[str, Any]) -> None:
    content["calibration"]["relaxivty_per_s_per_mg_mL"] = 218.0  # an unknown key
    del content["microspheres"]["reference_time"]  # a missing field
    content["residuals"][0]["activity_MBq"] = 1300.0  # a residual above its vial
    content["injections"][1]["time"] = datetime(2026, 3, 4, 9, 50)  # an injection out of order
    content["quantification"]["trend"] = {"treshold_pct": 10}  # an unknown setting
    content["patient"]["id"] = 17  # a wrong type
    with pytest.raises(ConfigurationError) as caught:
        read(content)
    message = str(caught.value)
    assert len(caught.value.faults) == 6
    assert message.startswith("plan has 6 faults:\n")
    for sentence in (
        "calibration.relaxivty_per_s_per_mg_mL is not a known key. Did you mean relaxivity_per_s_per_mg_mL?",
        "microspheres.reference_time is missing; expected a date and time such as 2026-03-04T10:00:00.",
        "residuals[0].activity_MBq is 1300 MBq",
        "injections[1].time is 2026-03-04T09:50:00+01:00, not after injections[0].time",
        "quantification.trend.treshold_pct is not a known key. Did you mean threshold_pct?",
        "patient.id is 17; expected a text in quotes, 1 to 64 characters.",
    ):
        assert sentence in message


def paths(table: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every key below a mapping, as a sequence of keys and indices."""
    if isinstance(table, dict):
        return [p for key, value in table.items() for p in ((*prefix, key), *paths(value, (*prefix, key)))]
    if isinstance(table, list):
        return [p for index, value in enumerate(table) for p in paths(value, (*prefix, index))]
    return []


def test_every_key_is_checked_for_its_type_and_its_name(content: dict[str, Any]) -> None:
    for path in paths(content):
        if path[0] == "quantification" and len(path) > 1:
            expected = "quantification."
        else:
            expected = str(path[-1]) if path[:-1] != ("positions",) else "positions.RHA"
        for spoil in ("type", "name"):
            if spoil == "name" and path[:-1] == ("positions",):
                continue  # a position's name is free
            spoiled = copy.deepcopy(content)
            place: Any = spoiled
            for part in path[:-1]:
                place = place[part]
            if spoil == "type":
                place[path[-1]] = {"x": True}
            else:
                place[path[-1] + "_"] = place.pop(path[-1])
            said = "\n".join(faults(spoiled))
            assert expected in said, (path, spoil, said)
            if spoil == "name":
                assert f"{path[-1]}_ is not a known key. Did you mean {path[-1]}?" in said, (path, said)


@pytest.mark.parametrize(
    "path",
    [
        ("schema",),
        ("patient",),
        ("patient", "id"),
        ("microspheres",),
        ("microspheres", "holmium_fraction"),
        ("microspheres", "specific_activity_MBq_per_mg"),
        ("microspheres", "reference_time"),
        ("calibration",),
        ("calibration", "relaxivity_per_s_per_mg_mL"),
        ("calibration", "field_T"),
        ("calibration", "holmium_fraction"),
        ("limits", 0, "volume"),
        ("limits", 0, "dose_Gy"),
        ("injections",),
        ("injections", 0, "position"),
        ("injections", 0, "fraction"),
        ("vials", 0, "activity_MBq"),
        ("vials", 0, "assay_time"),
        ("residuals", 0, "activity_MBq"),
        ("residuals", 0, "assay_time"),
        ("residuals", 0, "injections"),
    ],
    ids=lambda path: ".".join(map(str, path)),
)
def test_a_missing_field_is_named(content: dict[str, Any], path: tuple[Any, ...]) -> None:
    place: Any = content
    for part in path[:-1]:
        place = place[part]
    del place[path[-1]]
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)[1:]
    assert any(fault.startswith(f"{where} is missing") for fault in faults(content))


@pytest.mark.parametrize(
    "key", ["structures", "quantification", "positions", "limits", "time_zone", "vials and residuals"]
)
def test_optional_tables_may_be_absent(content: dict[str, Any], key: str) -> None:
    if key == "vials and residuals":
        del content["vials"], content["residuals"], content["injections"][1]["vials"]
    else:
        del content[key]
    plan = read(content)
    assert plan.time_zone == "Europe/Amsterdam"
    assert (plan.structures is None) == (key == "structures")


def test_a_newer_plan_is_refused_by_name(content: dict[str, Any]) -> None:
    content["schema"] = 2
    content["futuristic"] = True
    (fault,) = faults(content)
    assert "schema is 2: newer than this version of Holmia, which reads schema 1" in fault


def test_a_plan_survives_json_and_another_site(content: dict[str, Any]) -> None:
    plan = read(content)
    again = plan_from_mapping(json.loads(json.dumps(plan.to_mapping())), site_time_zone="America/Bogota")
    assert again == plan
    assert again.to_mapping() == plan.to_mapping()
    assert again.sha256 == plan.sha256 == canonical_sha256(plan.to_mapping())


def test_equal_plans_have_equal_mappings_however_they_are_written(content: dict[str, Any]) -> None:
    plan = read(content)
    content["calibration"]["relaxivity_per_s_per_mg_mL"] = 218
    content["quantification"] = {"dose_model": "local", "tissue_density_g_per_mL": 1.06}
    content["injections"][0]["time"] = "2026-03-04T09:08:00Z"
    content["injections"][2]["outside_mri"] = False
    content["vials"][0]["assay_time"] = datetime(2026, 3, 4, 4, 5, tzinfo=timezone(timedelta(hours=-5)))
    other = plan_from_mapping(content, site_time_zone="UTC")
    assert other == plan
    assert other.sha256 == plan.sha256
    content["quantification"]["tissue_density_g_per_mL"] = 1.03
    assert read(content).sha256 != plan.sha256


def test_every_value_changes_the_hash(content: dict[str, Any]) -> None:
    content["patient"] |= {"issuer": "H", "birth_date": date(1961, 5, 23), "name": "X^Y"}
    batch = dict(content["microspheres"])
    content["injections"][2]["microspheres"] = batch
    base = read(content)
    changes: list[tuple[tuple[Any, ...], Any]] = [
        (("patient", "issuer"), "G"),
        (("patient", "birth_date"), "19610524"),
        (("patient", "name"), "Y^X"),
        (("microspheres", "holmium_fraction"), 0.19),
        (("calibration", "temperature_C"), 36.0),
        (("quantification", "trend"), {"threshold_pct": 5}),
        (("structures", "tumours"), ["Tumour 1"]),
        (("positions", "RHA", "volumes"), ["Tumour 2"]),
        (("limits", 0, "population"), "CRC"),
        (("injections", 2, "outside_mri"), True),
        (("injections", 2, "microspheres"), batch | {"specific_activity_MBq_per_mg": 11.0}),
        (("vials", 0, "mass_mg"), 105.0),
        (("residuals", 0, "activity_MBq"), 61.0),
    ]
    hashes = {base.sha256}
    for path, value in changes:
        changed = copy.deepcopy(content)
        place: Any = changed
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = value
        hashes.add(read(changed).sha256)
    assert len(hashes) == len(changes) + 1


def test_a_plan_cannot_be_changed(content: dict[str, Any]) -> None:
    plan = read(content)
    with pytest.raises(ValidationError, match="frozen"):
        plan.injections[0].activity_mbq = 1.0  # type: ignore[misc]


def test_overrides_lie_over_the_sites_settings(content: dict[str, Any]) -> None:
    site = load_settings(overrides={"trend.fit_points": 4, "tissue_density_g_per_mL": 1.0}).quantification
    content["quantification"]["trend"] = {"threshold_pct": 5}
    settings = read(content).quantification_settings(site)
    assert settings.tissue_density_g_per_ml == 1.06
    assert (settings.trend.fit_points, settings.trend.threshold_pct) == (4, 5.0)
    del content["quantification"]
    assert read(content).quantification_settings(site) == site


def test_an_override_that_contradicts_the_sites_settings_is_refused(content: dict[str, Any]) -> None:
    content["quantification"]["registration"] = {"minimum_similarity": 0.8}
    plan = read(content)
    with pytest.raises(ConfigurationError, match=r"minimum_similarity is 0\.8, above warning_similarity 0\.75"):
        plan.quantification_settings(QuantificationSettings())
    strict = load_settings(overrides={"registration.warning_similarity": 0.9}).quantification
    assert plan.quantification_settings(strict).registration.minimum_similarity == 0.8


def test_a_plans_quantification_has_the_checks_of_the_settings(content: dict[str, Any]) -> None:
    content["quantification"] = {"tissue_density_g_per_mL": 1060, "half_life": 26.8, "dose_model": "sphere"}
    said = "\n".join(faults(content))
    assert "quantification.tissue_density_g_per_mL is 1060; expected a number from 0.2 to 2.5 g/mL." in said
    assert "quantification.half_life is not a known key. Did you mean half_life_h?" in said
    assert 'quantification.dose_model is "sphere"; expected "local" or "kernel".' in said


def test_the_file_is_named_in_the_message(tmp_path: Path, plan_text: str) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(plan_text.replace("field_T", "field"), encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_plan(path, site_time_zone="UTC")
    assert str(caught.value).startswith(f"{path} has 2 faults:")
    path.write_text(plan_text.replace('"EM1-004"', "EM1-004"), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"plan\.toml: The file is not valid TOML: .*line 6"):
        load_plan(path, site_time_zone="UTC")


def test_a_site_without_a_real_zone_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="The site's time_zone"):
        read(content, site_time_zone="Mars/Olympus")
    content["time_zone"] = "Europe/Amsterdm"
    (fault,) = faults(content)
    assert "Europe/Amsterdm" in fault
