"""The setup as it is typed: a plan is texts and back, and whatever is wrong is told beside its own field."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from setup_plans import NOW, SITE, ZONE, plan_of
from treatments import series_state

from config.plan import TreatmentPlan, load_plan, plan_from_mapping
from console.dashboard.desk.form import FAULT_SIGN
from console.dashboard.desk.setup_form import (
    RefusedError,
    SetupForm,
    added,
    begun,
    divided,
    filled,
    informed,
    removed,
    spoken,
    typed,
)
from console.dashboard.desk.setup_known import Known, known_of
from console.dashboard.desk.setup_pages import PAGES, page_of, tab_titles, table
from console.dashboard.desk.setup_summary import summary
from console.dashboard.desk.setup_texts import mapping_of, texts_of
from console.dashboard.desk.setup_toml import plan_toml
from console.snapshot import Snapshot
from dicom_listener.images import SeriesStatus
from quantify.findings import Injection


def known(**changes: object) -> Known:
    return replace(Known(site=SITE, now=NOW), **changes)


def shown(plan: TreatmentPlan | None = None, **changes: object) -> SetupForm:
    """A form that shows a plan that was recorded."""
    return begun(known(plan=(plan or plan_of()).to_mapping(), **changes))


def new_form(**changes: object) -> SetupForm:
    """A form with the plan of a file, its patient confirmed, nothing recorded."""
    form = filled(begun(known(**changes)), plan_of())
    return typed(typed(form, "confirm.id", "EM1-004"), "confirm.birth_date", "1957-05-12")


@pytest.fixture(scope="module")
def ready() -> SetupForm:
    return new_form()


def faults(form: SetupForm) -> dict[str, str]:
    return {key: v.fault for key, v in form.judged.verdicts.items() if v.fault}


def warnings(form: SetupForm) -> dict[str, str]:
    return {key: v.warning for key, v in form.judged.verdicts.items() if v.warning}


# -- texts and back ------------------------------------------------------------------------------------------------


def test_a_plan_stands_in_the_form_as_texts_and_is_recorded_as_the_same_plan():
    form = new_form()
    assert form.ready
    assert form.judged.mapping == plan_of().to_mapping()
    assert form.judged.plan == plan_of()


_NAMES = st.text(st.sampled_from('ab ,"é[]#/1'), min_size=1, max_size=8).map(str.strip).filter(bool)
_MBQ = st.floats(10, 20000, allow_nan=False)
_TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda t: t.replace(tzinfo=UTC).isoformat())


@settings(max_examples=20, deadline=None, derandomize=True)
@given(names=st.lists(_NAMES, min_size=1, max_size=3, unique=True), mbq=_MBQ, time=_TIMES, share=st.floats(0.01, 0.9))
def test_whatever_a_plan_holds_is_the_same_after_it_stood_in_the_form_and_in_a_file(
    tmp_path_factory, names, mbq, time, share
):
    mapping = plan_of().to_mapping()
    mapping["structures"]["tumours"] = ["Tumour 1", *(f"x{name}" for name in names)]
    mapping["microspheres"] |= {"holmium_fraction": share, "reference_time": time}
    mapping["vials"] = [{"name": name, "activity_MBq": mbq, "assay_time": time} for name in names]
    mapping["injections"][0] = {"position": "RHA", "fraction": 1, "vials": names}
    mapping["residuals"] = []
    plan = plan_from_mapping(mapping, site_time_zone="UTC")
    texts = texts_of(plan.to_mapping(), site_time_zone="UTC")
    again = plan_from_mapping(mapping_of(texts, site_time_zone="UTC", today=NOW.date()), site_time_zone="UTC")
    assert again == plan
    path = tmp_path_factory.mktemp("plan") / "plan.toml"
    path.write_text(plan_toml(plan.to_mapping()), encoding="utf-8")
    assert load_plan(path, site_time_zone="UTC") == plan


def test_the_plan_of_the_documentation_is_read_back_from_the_file_that_is_written(tmp_path):
    text = re.search(r"```toml\n(.*?)```", Path("docs/plan.md").read_text(encoding="utf-8"), re.DOTALL)
    assert text is not None
    plan = plan_of(text[1])
    (tmp_path / "plan.toml").write_text(plan_toml(plan.to_mapping()), encoding="utf-8")
    assert load_plan(tmp_path / "plan.toml", site_time_zone="UTC") == plan
    assert filled(begun(known()), plan).judged.plan == plan


def test_a_time_that_happens_twice_keeps_its_offset_in_the_form():
    mapping = plan_of().to_mapping()
    mapping["microspheres"]["reference_time"] = "2026-10-25T02:30:00+01:00"
    plan = plan_from_mapping(mapping, site_time_zone=ZONE)
    assert shown(plan).judged.plan == plan


# -- every bad text beside its own field ---------------------------------------------------------------------------

BAD = [
    ("patient.id", "", "needed"),
    ("patient.birth_date", "12-05-1957", "such as 1961-05-23"),
    ("patient.birth_date", "2057-05-12", "future"),
    ("time_zone", "Amsterdam", "time zone"),
    ("microspheres.holmium_fraction", "19.5", "expected a number above 0 and below 1"),
    ("microspheres.specific_activity_MBq_per_mg", "twelve", "expected a number"),
    ("microspheres.reference_time", "yesterday", "expected a time such as 10:08"),
    ("calibration.relaxivity_per_s_per_mg_mL", "", "needed: a number"),
    ("calibration.field_T", "30", "expected a number"),
    ("calibration.holmium_fraction", "0", "expected a number"),
    ("calibration.temperature_C", "310", "°C"),
    ("structures.tumours", "Liver", "named before"),
    ("positions[0].name", "", "needed"),
    ("positions[0].name", "right side", "1 to 16"),
    ("positions[0].name", "LHA", "one row"),
    ("positions[0].volumes", "Tumour 9", "not a structure"),
    ("positions[0].split", "10/30/30", "adds up to 70 %"),
    ("positions[0].split", "a/b", "per cent"),
    ("positions[0].prescribed_MBq", "4.3", "MBq"),
    ("injections[0].planned_MBq", "0.43", "10 to 20000 MBq"),
    ("injections[0].vials", "B", "not a vial"),
    ("injections[0].time", "2026-03-04 23:00", "future"),
    ("vials[0].name", "", "needed"),
    ("vials[0].activity_MBq", "4,6", "10 to 20000 MBq"),
    ("vials[0].assay_time", "18:00", "future"),
    ("vials[0].assay_time", "2026-03-04", "time of day"),
    ("vials[0].mass_mg", "0.038", "mg"),
    ("residuals[0].activity_MBq", "440", "cannot exceed its vials"),
    ("residuals[0].activity_MBq", "", "needed"),
    ("residuals[0].assay_time", "2027-03-04 13:00", "future"),
    ("residuals[0].injections", "first", "such as RHA F1"),
    ("residuals[0].injections", "RHA F7", "not an injection"),
    ("limits[0].volume", "Healty liver", "Did you mean Healthy liver"),
    ("limits[0].dose_Gy", "0.055", "Gy"),
    ("confirm.id", "EM1-0", "not the whole"),
    ("confirm.id", "EM1-040", "differs"),
    ("confirm.birth_date", "12051957", "differs"),
]


@pytest.mark.parametrize(("key", "text", "words"), BAD, ids=[f"{k}={t}" for k, t, _ in BAD])
def test_every_bad_text_is_refused_beside_its_own_field(ready, key, text, words):
    form = typed(ready, key, text)
    assert words in faults(form)[key]
    assert not form.ready
    assert FAULT_SIGN in tab_titles(form)[page_of(key)]
    # What is typed well again leaves nothing behind.
    assert typed(form, key, ready.texts.get(key, "")).ready


def test_what_is_refused_and_has_no_field_is_told_on_the_last_page():
    mapping = plan_of().to_mapping() | {"quantification": {"trend": {"threshold_pct": 12.5}}}
    form = shown(plan_from_mapping(mapping, site_time_zone=ZONE))
    bad = replace(form.plan, kept={"quantification": {"no_such": 1}})
    form = typed(replace(form, plan=bad), "patient.name", "X")
    assert any("no_such" in cell.text for cell in summary(form).said)
    assert FAULT_SIGN in tab_titles(form)[len(PAGES) - 1]


def test_an_empty_form_says_what_it_needs_and_states_no_number_by_itself():
    form = begun(known())
    assert not form.ready
    assert {"patient.id", "confirm.id", "microspheres.holmium_fraction", "calibration.field_T"} <= set(faults(form))
    assert {key: text for key, text in form.texts.items() if text} == {"time_zone": SITE.site.time_zone}


def test_vials_that_hold_another_activity_than_is_planned_are_odd_and_not_refused():
    form = typed(new_form(), "injections[0].planned_MBq", "600")
    assert form.ready
    assert "planned" in warnings(form)["injections[0].planned_MBq"]
    coming = typed(typed(new_form(), "injections[0].time", ""), "injections[0].planned_MBq", "600")
    assert "now" in warnings(coming)["injections[0].planned_MBq"]


# -- the patient ---------------------------------------------------------------------------------------------------


def of_images(**changes: object) -> Snapshot:
    series = series_state("reference", 1, status=SeriesStatus.COMPLETE, minute=1)
    return replace(
        Snapshot(series=(series,), patient_id="EM1-004", patient_birth_date="1957-05-12", patient_name="DE VRIES^ANNA"),
        **changes,
    )


def test_the_patient_is_prefilled_from_the_images_and_confirmed_by_typing_both_identifiers():
    form = begun(known_of(of_images(), NOW, SITE))
    assert form.texts["patient.id"] == "EM1-004"
    assert form.texts["patient.birth_date"] == "1957-05-12"
    assert {"confirm.id", "confirm.birth_date"} <= set(faults(form))
    form = typed(form, "confirm.id", "EM1-004")
    assert "confirm.birth_date" in faults(form)
    form = typed(form, "confirm.birth_date", "1957 05 12")
    assert not {"confirm.id", "confirm.birth_date"} & set(faults(form))


def test_another_patient_than_that_of_the_images_is_refused_beside_the_field():
    form = new_form(has_images=True, patient_id="EM1-005", patient_birth_date="1960-01-01")
    assert "EM1-005" in faults(form)["patient.id"]
    assert "1960-01-01" in faults(form)["patient.birth_date"]


def test_images_that_arrive_do_not_take_the_place_of_what_was_typed():
    form = typed(begun(known()), "patient.id", "EM1-00")
    form = informed(form, known_of(of_images(), NOW, SITE))
    assert form.texts["patient.id"] == "EM1-00"
    assert form.texts["patient.birth_date"] == "1957-05-12"


def test_a_plan_that_is_revised_is_confirmed_again_only_where_its_patient_changes():
    form = shown()
    assert not form.confirming
    assert typed(form, "limits[0].dose_Gy", "50").ready
    assert "confirm.id" in faults(typed(form, "patient.id", "EM1-005"))


# -- positions and fractions ---------------------------------------------------------------------------------------


def test_a_split_makes_the_fractions_of_a_position():
    form = begun(known())
    for key, text in (("name", "RHA"), ("prescribed_MBq", "1290"), ("split", "10/30/30/30")):
        form = typed(form, f"positions[0].{key}", text)
    form = divided(form, 0)
    rows = table(form, "injections").rows
    assert [(row.label, row.texts[0]) for row in rows] == [
        ("RHA F1", "129"), ("RHA F2", "387"), ("RHA F3", "387"), ("RHA F4", "387"),
    ]  # fmt: skip
    form = divided(typed(form, "positions[0].split", "50/50"), 0)
    assert [row.texts[0] for row in table(form, "injections").rows] == ["645", "645"]


GIVEN = Injection(position="RHA", fraction=1, activity_mbq=420.0, time=NOW - timedelta(hours=3))
TO_COME = Injection(position="RHA", fraction=2)


def with_one_given() -> SetupForm:
    plan = plan_of().to_mapping()
    return begun(known_of(Snapshot(injections=(GIVEN, TO_COME), loaded={"plan": plan}), NOW, SITE))


def test_a_fraction_that_has_happened_is_neither_removed_nor_renumbered():
    form = with_one_given()
    with pytest.raises(RefusedError, match=r"RHA F1 has happened \(given 11:00"):
        removed(form, "injections", 0)
    with pytest.raises(RefusedError, match="RHA F1 has happened"):
        removed(form, "positions", 0)
    fewer = divided(typed(form, "positions[0].split", "100"), 0)
    assert fewer.texts["injections[0].planned_MBq"] == "430"
    assert any("RHA F1 has happened" in one for one in typed(form, "positions[0].name", "RHB").judged.faults)


def test_no_fraction_gets_the_number_of_one_that_was_given_up():
    plan = plan_of().to_mapping()
    form = begun(known_of(Snapshot(injections=(TO_COME,), cancelled=(("RHA", 1),), loaded={"plan": plan}), NOW, SITE))
    with pytest.raises(RefusedError, match="RHA F1 is given up: it can neither"):
        removed(form, "injections", 0)


def test_another_zone_than_the_sites_is_odd():
    assert "not the site's" in typed(shown(), "time_zone", "Asia/Tokyo").judged.verdicts["time_zone"].warning


def test_a_residual_with_thousands_is_odd_beside_its_field():
    form = typed(shown(), "residuals[0].activity_MBq", "1.050")
    assert "if 1050 MBq is meant" in form.judged.verdicts["residuals[0].activity_MBq"].warning


def test_a_fraction_that_is_added_later_keeps_the_others():
    form = added(with_one_given(), "injections", 0)
    before = plan_of().to_mapping()["injections"]
    assert form.judged.mapping["injections"][:3] == before
    assert form.judged.mapping["injections"][3] == {"position": "RHA", "fraction": 3, "outside_mri": False}


def test_a_position_that_is_removed_takes_its_fractions_and_leaves_those_of_others():
    form = removed(typed(new_form(), "residuals[0].injections", "RHA F1"), "positions", 1)
    assert [row.label for row in table(form, "injections").rows] == ["RHA F1", "RHA F2"]
    form = removed(new_form(), "positions", 0)
    assert [row.label for row in table(form, "injections").rows] == ["LHA F1"]


def test_a_position_that_is_renamed_takes_its_fractions_along():
    form = typed(new_form(), "positions[1].name", "LHA2")
    assert [i["position"] for i in form.judged.mapping["injections"]] == ["RHA", "LHA2", "RHA"]


def test_a_time_of_day_keeps_the_day_on_which_it_was_typed():
    form = typed(new_form(), "vials[0].assay_time", "9:45")
    form = typed(form, "vials[0].mass_mg", "39")
    assert form.texts["vials[0].assay_time"] == "2026-03-04 09:45"


# -- what is recorded ----------------------------------------------------------------------------------------------


def test_what_would_be_recorded_is_told_with_its_row_and_both_values():
    form = typed(typed(shown(), "injections[2].planned_MBq", "1200"), "limits[0].dose_Gy", "50")
    assert set(summary(form).recorded) == {
        "injections.RHA F2.planned_MBq: 1300.0 → 1200.0", "limits.Healthy liver.dose_Gy: 55.0 → 50.0",
    }  # fmt: skip


def test_a_row_that_is_new_is_told_key_by_key():
    form = added(shown(), "residuals")
    texts = (("activity_MBq", "20"), ("assay_time", "13:30"), ("injections", "RHA F1"))
    for key, text in texts:
        form = typed(form, f"residuals[1].{key}", text)
    assert "residuals.RHA F1 (2).activity_MBq: not stated → 20.0" in summary(form).recorded


def test_what_is_recorded_already_cannot_be_recorded_again():
    assert not shown().ready
    assert not typed(typed(shown(), "patient.name", "X"), "patient.name", "DE VRIES^ANNA").ready


def test_a_snapshot_does_not_overwrite_what_is_typed_and_a_revision_by_another_is_told():
    form = typed(shown(), "limits[0].dose_Gy", "50")
    same = informed(form, known(plan=plan_of().to_mapping(), now=NOW + timedelta(seconds=1)))
    assert same.texts["limits[0].dose_Gy"] == "50"
    assert not same.overtaken
    theirs = plan_of().to_mapping() | {"limits": [{"volume": "Liver", "dose_Gy": 60.0}]}
    other = informed(same, known(plan=theirs, revised_by="by jansen at 10:02"))
    assert other.texts["limits[0].dose_Gy"] == "50"
    assert other.overtaken
    assert "by jansen at 10:02" in summary(other).notice


def test_what_another_revised_stands_in_the_form_where_nobody_typed():
    form = typed(shown(), "residuals[0].activity_MBq", "30")
    theirs = plan_of().to_mapping() | {"quantification": {"tissue_density_g_per_mL": 1.03}}
    theirs["structures"] = {"liver": "Liver", "tumours": ["Tumour 1", "drawn"]}
    form = informed(form, known(plan=theirs, revised_by="by jansen at 10:02"))
    assert form.texts["structures.tumours"] == "Tumour 1, drawn"
    assert not form.overtaken
    assert "by jansen at 10:02" in summary(form).notice
    assert summary(form).recorded == ("residuals.RHA F1 (1).activity_MBq: 35.0 → 30.0",)


def test_after_recording_the_form_shows_what_the_next_snapshot_says():
    form = typed(shown(), "limits[0].dose_Gy", "50")
    mapping = form.judged.mapping
    form = spoken(form)
    assert not form.ready
    assert informed(form, known(plan=plan_of().to_mapping(), has_images=True)).texts["limits[0].dose_Gy"] == "50"
    told = informed(form, known(plan=mapping))
    assert told.texts["limits[0].dose_Gy"] == "50"
    assert not told.touched
    assert informed(form, known(plan=plan_of().to_mapping() | {"limits": []})).texts.get("limits[0].dose_Gy") is None


def test_what_is_typed_before_the_next_snapshot_stays_and_is_no_revision_by_another():
    form = typed(shown(), "limits[0].dose_Gy", "50")
    mapping = form.judged.mapping
    form = informed(typed(spoken(form), "limits[0].dose_Gy", "45"), known(plan=mapping))
    assert form.texts["limits[0].dose_Gy"] == "45"
    assert not form.overtaken
    assert form.ready
