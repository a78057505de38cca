from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from config.errors import ConfigurationError
from config.overrides import parse_set
from config.plan import plan_from_mapping
from config.settings import QuantificationSettings


def test_values_are_toml_else_text() -> None:
    assert parse_set(
        [
            "trend.threshold_pct=5",
            "calibration.relaxivity_per_s_per_mg_mL = 110.5",
            "trend.through_origin=true",
            "quantification.fit=log_linear",
            'patient.id="007"',
            "structures.tumours=['T1', 'T2']",
            "injections[0].time=2026-03-04T10:08:00",
            "patient.name=a=b",
        ]
    ) == {
        "trend.threshold_pct": 5,
        "calibration.relaxivity_per_s_per_mg_mL": 110.5,
        "trend.through_origin": True,
        "quantification.fit": "log_linear",
        "patient.id": "007",
        "structures.tumours": ["T1", "T2"],
        "injections[0].time": datetime(2026, 3, 4, 10, 8),
        "patient.name": "a=b",
    }


def test_a_line_break_sets_no_second_key() -> None:
    assert parse_set(["patient.name=1\nother = 2"]) == {"patient.name": "1\nother = 2"}


def test_all_faults_of_assignments_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_set(["threshold", "=3", "a=1", "a=2", "patient.name=\udcff"])
    assert len(caught.value.faults) == 4


@pytest.mark.parametrize(
    ("path", "value", "read"),
    [
        ("quantification.tissue_density_g_per_mL", 1.03, lambda p: p.quantification["tissue_density_g_per_mL"]),
        ("tissue_density_g_per_mL", 1.03, lambda p: p.quantification["tissue_density_g_per_mL"]),
        ("trend.threshold_pct", 5, lambda p: p.quantification["trend"]["threshold_pct"]),
        ("calibration.relaxivity_per_s_per_mg_mL", 220, lambda p: p.calibration.relaxivity_per_s_per_mg_ml),
        ("injections[0].activity_MBq", 400, lambda p: p.injections[0].activity_mbq),
        ("positions.RHA.territory", "Lobe", lambda p: p.positions["RHA"].territory),
        ("patient.birth_date", "1961-05-23", lambda p: p.patient.birth_date.isoformat()),
        ("residuals[0].activity_MBq", 0, lambda p: p.residuals[0].activity_mbq),
        ("injections[2].vials", ["B"], lambda p: list(p.injections[2].vials)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_override_sets_what_its_path_names(content: dict[str, Any], path: str, value: Any, read: Any) -> None:
    content["vials"].append(
        {"name": "B", "activity_MBq": 1200, "mass_mg": 100, "assay_time": datetime(2026, 3, 4, 10, 5)}
    )
    plan = plan_from_mapping(content, site_time_zone="UTC", overrides={path: value})
    assert read(plan) == value
    assert plan.quantification_settings(QuantificationSettings()).half_life_h == 26.80


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("trend.treshold_pct", r"Did you mean trend\.threshold_pct\?"),
        ("tissue_density", r"Did you mean tissue_density_g_per_mL\?"),
        ("calibration.relaxivity", r"Did you mean calibration\.relaxivity_per_s_per_mg_mL\?"),
        ("relaxivity_per_s_per_mg_mL", r"Did you mean calibration\.relaxivity_per_s_per_mg_mL\?"),
        ("injections[0].activity", r"Did you mean injections\[\]\.activity_MBq\?"),
        ("injections.activity_MBq", r"Did you mean injections\[\]\.activity_MBq\?"),
        ("..", "is not a known setting"),
        ("a[b]", "is not a known setting"),
        ("", "is not a known setting"),
    ],
)
def test_an_unknown_path_is_refused_with_the_nearest_name(content: dict[str, Any], path: str, near: str) -> None:
    with pytest.raises(ConfigurationError, match=near):
        plan_from_mapping(content, site_time_zone="UTC", overrides={path: 1})


def test_an_index_beyond_the_list_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"injections\[3\] cannot be set: the file has 3 of them"):
        plan_from_mapping(content, site_time_zone="UTC", overrides={"injections[3].activity_MBq": 400})


def test_an_override_is_checked_as_the_file_is(content: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"quantification\.trend\.threshold_pct is \"5 %\"; expected a number"):
        plan_from_mapping(content, site_time_zone="UTC", overrides=parse_set(["trend.threshold_pct=5 %"]))


def test_the_mapping_that_was_given_stays_as_it_was(content: dict[str, Any]) -> None:
    before = repr(content)
    plan_from_mapping(content, site_time_zone="UTC", overrides={"injections[0].activity_MBq": 400})
    assert repr(content) == before
