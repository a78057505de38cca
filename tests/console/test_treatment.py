"""The laws of the fold: what the events of a treatment amount to, injection by injection."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from config.errors import ConfigurationError
from config.plan import plan_from_mapping
from config.settings import load_settings
from console.engine import Engine
from console.treatment import Treatment, fold, injections
from dicom_listener.events import Event, Kind

ZONE = "Europe/Amsterdam"
SETTINGS = load_settings()
PLAN = {
    "schema": 1,
    "time_zone": ZONE,
    "patient": {"id": "EM1-004"},
    "microspheres": {
        "holmium_fraction": 0.195,
        "specific_activity_MBq_per_mg": 12.0,
        "reference_time": "2026-03-04T10:00:00",
    },
    "calibration": {"relaxivity_per_s_per_mg_mL": 218.0, "field_T": 3.0, "holmium_fraction": 0.195},
    "injections": [
        {
            "position": "RHA",
            "fraction": 1,
            "planned_MBq": 430.0,
            "activity_MBq": 420.0,
            "time": "2026-03-04T10:08:00",
        },
        {"position": "RHA", "fraction": 2, "planned_MBq": 1200.0},
        {"position": "RHA", "fraction": 3, "planned_MBq": 1200.0},
    ],
}
HALF_LIFE_H = 26.80


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-04T{clock}:00+01:00")


def event(kind: str, payload: dict, seq: int = 1) -> Event:
    return Event(
        seq=seq,
        utc=datetime(2026, 3, 4, 9, 0, tzinfo=UTC) + timedelta(seconds=seq),
        actor="test",
        kind=kind,
        payload=payload,
        object_sha256=None,
        previous_hash="",
        hash=str(seq),
    )


def loaded(mapping: dict, kind: str = Kind.PLAN_LOADED) -> Event:
    plan = plan_from_mapping(mapping, site_time_zone=ZONE)
    settings = {"quantification": SETTINGS.quantification.to_mapping(), "alarms": SETTINGS.alarms.to_mapping()}
    return event(kind, {"plan": plan.to_mapping(), "sha256": plan.sha256, "settings": settings, "time_zone": ZONE})


def said(fraction: int, position: str = "RHA", **values: object) -> Event:
    return event(Kind.INJECTION_RECORDED, {"position": position, "fraction": fraction, **values})


def folded(*events: Event, overrides: dict | None = None) -> Treatment:
    treatment = Treatment()
    for one in events:
        treatment = fold(treatment, one, overrides)
    return treatment


def with_plan(**changes: object) -> dict:
    return {**copy.deepcopy(PLAN), **changes}


def by_key(*events: Event):
    return {i.key: i for i in injections(folded(*events))}


def test_nothing_is_known_before_a_plan():
    assert injections(folded(said(1, activity_MBq=400.0, time="2026-03-04T10:08:00+01:00"))) == ()


def test_an_injection_recorded_before_the_plan_counts_once_the_plan_is_there():
    early = said(2, activity_MBq=900.0, time="2026-03-04T10:30:00+01:00")
    assert by_key(early, loaded(PLAN))["RHA", 2].activity_mbq == 900.0


def test_planned_injections_follow_those_that_happened():
    listed = injections(folded(loaded(PLAN)))
    assert [(i.label, i.activity_mbq, i.time) for i in listed] == [
        ("RHA F1", 420.0, at("10:08")),
        ("RHA F2", None, None),
        ("RHA F3", None, None),
    ]


def test_what_is_recorded_replaces_the_plan_and_what_was_recorded_before():
    first = said(1, activity_MBq=400.0, time="2026-03-04T10:09:00+01:00")
    correction = said(1, activity_MBq=410.0)
    own = by_key(loaded(PLAN), first, correction)["RHA", 1]
    assert own.activity_mbq == 410.0
    assert own.time == at("10:09"), "what the correction does not mention stays"
    assert own.planned_mbq == 430.0


def test_the_same_event_twice_is_the_same_treatment():
    events = [loaded(PLAN), said(2, activity_MBq=900.0, time="2026-03-04T10:30:00+01:00")]
    once, twice = folded(*events), folded(*(one for one in events for _ in range(2)))
    assert injections(once) == injections(twice)
    assert once == twice


def test_order_is_that_of_time_not_of_the_plan():
    swapped = [
        said(2, activity_MBq=900.0, time="2026-03-04T10:40:00+01:00"),
        said(3, activity_MBq=800.0, time="2026-03-04T10:20:00+01:00"),
    ]
    assert [i.label for i in injections(folded(loaded(PLAN), *swapped))] == ["RHA F1", "RHA F3", "RHA F2"]


def test_an_injection_that_no_plan_knew_can_be_recorded():
    extra = said(1, position="LHA", activity_MBq=300.0, time="2026-03-04T11:00:00+01:00")
    own = by_key(loaded(PLAN), extra)["LHA", 1]
    assert own.activity_mbq == 300.0
    assert own.planned_mbq is None
    assert own.specific_activity_mbq_per_mg == pytest.approx(12.0 * 2 ** (-1 / HALF_LIFE_H))


def test_a_cancelled_injection_is_gone_and_can_come_back():
    assert ("RHA", 2) not in by_key(loaded(PLAN), said(2, cancelled=True))
    assert ("RHA", 2) in by_key(loaded(PLAN), said(2, cancelled=True), said(2, cancelled=False))


def test_an_aborted_injection_of_unknown_activity_is_provisional_and_null():
    own = by_key(loaded(PLAN), said(1, aborted=True, activity_MBq=None))["RHA", 1]
    assert own.activity_mbq is None
    assert own.aborted
    assert own.provisional_reason == "aborted; the delivered activity is not known"
    assert own.specific_activity_mbq_per_mg is not None, "the microspheres are known, so a dose can still be told"


def test_an_aborted_injection_of_known_activity_is_final():
    own = by_key(loaded(PLAN), said(1, aborted=True, activity_MBq=120.0))["RHA", 1]
    assert (own.activity_mbq, own.provisional_reason, own.aborted) == (120.0, None, True)


def test_outside_mri_is_from_the_plan_or_said():
    assert by_key(loaded(PLAN), said(2, outside_mri=True))["RHA", 2].outside_mri
    planned = with_plan()
    planned["injections"][1]["outside_mri"] = True
    assert by_key(loaded(planned))["RHA", 2].outside_mri
    assert not by_key(loaded(planned), said(2, outside_mri=False))["RHA", 2].outside_mri


def test_a_revised_plan_replaces_the_plan_and_keeps_what_was_recorded():
    revised = with_plan()
    revised["microspheres"]["specific_activity_MBq_per_mg"] = 6.0
    revised["injections"][1]["planned_MBq"] = 1000.0
    recorded = said(2, activity_MBq=900.0, time="2026-03-04T10:30:00+01:00")
    own = by_key(loaded(PLAN), recorded, loaded(revised, Kind.PLAN_REVISED))
    assert own["RHA", 2].activity_mbq == 900.0
    assert own["RHA", 2].planned_mbq == 1000.0
    assert own["RHA", 1].specific_activity_mbq_per_mg == pytest.approx(6.0 * 2 ** (-(8 / 60) / HALF_LIFE_H))


def test_specific_activity_decays_to_the_time_of_each_injection():
    own = by_key(loaded(PLAN), said(2, activity_MBq=900.0, time="2026-03-05T12:48:00+01:00"))
    assert own["RHA", 2].specific_activity_mbq_per_mg == pytest.approx(6.0), "one half-life later"


def vials(*, residuals: list | None = None, per_injection: tuple = (("A",), ("B",)), mass_mg: float = 100.0) -> dict:
    return with_plan(
        injections=[
            {"position": "RHA", "fraction": n, "vials": list(names), "time": f"2026-03-04T10:{8 + 22 * (n - 1):02d}:00"}
            for n, names in enumerate(per_injection, 1)
        ],
        vials=[
            {"name": "A", "activity_MBq": 1000.0, "mass_mg": mass_mg, "assay_time": "2026-03-04T10:08:00"},
            {"name": "B", "activity_MBq": 500.0, "mass_mg": mass_mg, "assay_time": "2026-03-04T10:30:00"},
        ],
        residuals=residuals or [],
    )


def test_without_a_residual_a_loss_is_assumed_and_the_activity_is_provisional():
    own = by_key(loaded(vials()))["RHA", 1]
    assert own.activity_mbq == pytest.approx(1000.0 * (1 - 0.086))
    assert own.activity_u_mbq == pytest.approx(40.0)
    assert own.provisional_reason == "residual not measured; a loss of 8.6 % is assumed"


def test_a_residual_is_decayed_to_the_injection_and_subtracted():
    residual = {"activity_MBq": 50.0, "assay_time": "2026-03-04T12:08:00", "injections": [["RHA", 1]]}
    own = by_key(loaded(vials(residuals=[residual])))["RHA", 1]
    assert own.activity_mbq == pytest.approx(1000.0 - 50.0 * 2 ** (2 / HALF_LIFE_H))
    assert own.provisional_reason is None


def test_waste_measured_once_is_shared_by_what_the_vials_held():
    residual = {"activity_MBq": 150.0, "assay_time": "2026-03-04T10:30:00", "injections": [["RHA", 1], ["RHA", 2]]}
    own = by_key(loaded(vials(residuals=[residual])))
    drawn_1, drawn_2 = 1000.0 * 2 ** (-(22 / 60) / HALF_LIFE_H), 500.0
    left_1, left_2 = (150.0 * drawn / (drawn_1 + drawn_2) for drawn in (drawn_1, drawn_2))
    assert own["RHA", 2].activity_mbq == pytest.approx(500.0 - left_2)
    assert own["RHA", 1].activity_mbq == pytest.approx(1000.0 - left_1 * 2 ** ((22 / 60) / HALF_LIFE_H))
    assert own["RHA", 1].provisional_reason is own["RHA", 2].provisional_reason is None


def test_mixed_vials_have_total_activity_over_total_mass():
    own = by_key(loaded(vials(per_injection=(("A", "B"),), mass_mg=50.0)))["RHA", 1]
    total = 1000.0 + 500.0 * 2 ** ((22 / 60) / HALF_LIFE_H)
    assert own.specific_activity_mbq_per_mg == pytest.approx(total / 100.0)


def test_a_recorded_activity_is_final_even_where_vials_are_planned():
    own = by_key(loaded(vials()), said(1, activity_MBq=905.0))["RHA", 1]
    assert (own.activity_mbq, own.activity_u_mbq, own.provisional_reason) == (905.0, None, None)


def shared(**changes: object) -> dict:
    """Two injections, the second an hour later, both drawn from vial A."""
    mapping = vials(per_injection=(("A",), ("A",)), **changes)
    for injection, planned, time in zip(mapping["injections"], (250.0, 750.0), ("10:08", "11:08"), strict=True):
        injection |= {"planned_MBq": planned, "time": f"2026-03-04T{time}:00"}
    return mapping


def test_a_vial_drawn_by_two_injections_is_divided_by_what_is_planned():
    waste = {"activity_MBq": 100.0, "assay_time": "2026-03-04T10:08:00", "injections": [["RHA", 1], ["RHA", 2]]}
    own = by_key(loaded(shared(residuals=[waste])))
    assert own["RHA", 1].activity_mbq == pytest.approx(225.0)
    assert own["RHA", 2].activity_mbq == pytest.approx(675.0 * 2 ** (-1 / HALF_LIFE_H))
    assert own["RHA", 1].provisional_reason == "vial A is divided by planned activities over RHA F1, RHA F2"


def test_a_recorded_activity_leaves_the_rest_of_a_shared_vial_to_the_others():
    waste = {"activity_MBq": 100.0, "assay_time": "2026-03-04T10:08:00", "injections": [["RHA", 1], ["RHA", 2]]}
    own = by_key(loaded(shared(residuals=[waste])), said(1, activity_MBq=180.0))
    assert (own["RHA", 1].activity_mbq, own["RHA", 1].provisional_reason) == (180.0, None)
    assert own["RHA", 2].activity_mbq == pytest.approx(720.0 * 2 ** (-1 / HALF_LIFE_H))


def test_a_cancelled_injection_draws_nothing_from_a_shared_vial():
    own = by_key(loaded(shared()), said(2, cancelled=True))
    assert own["RHA", 1].activity_mbq == pytest.approx(1000.0 * (1 - 0.086))


def test_an_injection_outside_the_mri_draws_as_any_other():
    inside, outside = by_key(loaded(shared())), by_key(loaded(shared()), said(1, outside_mri=True))
    assert outside["RHA", 1].outside_mri
    assert outside["RHA", 1].activity_mbq == inside["RHA", 1].activity_mbq


def test_an_aborted_injections_own_residual_tells_what_was_delivered():
    residual = {"activity_MBq": 700.0, "assay_time": "2026-03-04T10:08:00", "injections": [["RHA", 1]]}
    own = by_key(loaded(vials(residuals=[residual])), said(1, aborted=True))["RHA", 1]
    assert (own.activity_mbq, own.provisional_reason, own.aborted) == (pytest.approx(300.0), None, True)
    assert by_key(loaded(vials()), said(1, aborted=True))["RHA", 1].activity_mbq is None


def test_the_holmium_content_is_that_of_the_vials_drawn():
    mapping = vials(per_injection=(("A", "B"),))
    mapping["vials"][1]["microspheres"] = {**PLAN["microspheres"], "holmium_fraction": 0.191}
    assert by_key(loaded(mapping))["RHA", 1].holmium_fraction == pytest.approx(0.193)


def test_overrides_lie_over_every_plan_and_leave_the_event_alone():
    one = loaded(PLAN)
    before = copy.deepcopy(one.payload)
    what_if = folded(one, loaded(PLAN, Kind.PLAN_REVISED), overrides={"calibration.relaxivity_per_s_per_mg_mL": 200.0})
    assert what_if.plan.calibration.relaxivity_per_s_per_mg_ml == 200.0
    assert one.payload == before
    assert folded(one).plan.calibration.relaxivity_per_s_per_mg_ml == 218.0


def test_the_plans_own_quantification_lies_over_the_sites():
    treatment = folded(loaded(with_plan(quantification={"tissue_density_g_per_mL": 1.03})))
    assert treatment.quantification.tissue_density_g_per_ml == 1.03
    assert treatment.quantification.half_life_h == SETTINGS.quantification.half_life_h


@pytest.mark.parametrize(
    "kind", [Kind.NOTE, Kind.SNAPSHOT_TAKEN, Kind.RESULT_SHOWN, Kind.ASSOCIATION_OPENED, "of_a_later_version"]
)
def test_what_does_not_concern_the_treatment_changes_nothing(kind):
    before = folded(loaded(PLAN))
    assert fold(before, event(kind, {"text": "stasis"})) is before


def test_acknowledging_keeps_name_and_time():
    treatment = folded(event(Kind.ALARM_ACKNOWLEDGED, {"alarm": "abc", "name": "Dr. A"}, seq=7))
    assert treatment.acknowledged["abc"] == ("Dr. A", datetime(2026, 3, 4, 9, 0, 7, tzinfo=UTC))


def test_a_fold_never_changes_the_treatment_that_it_starts_from():
    before = folded(loaded(PLAN))
    copied = replace(before)
    fold(before, said(2, activity_MBq=900.0, time="2026-03-04T10:30:00+01:00"))
    assert before == copied


def test_an_aborted_injection_does_not_keep_the_planned_activity():
    own = by_key(loaded(PLAN), said(1, aborted=True))["RHA", 1]
    assert own.activity_mbq is None
    assert own.provisional_reason == "aborted; the delivered activity is not known"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"time": "2026-03-04T10:30:00"}, "no time zone"),
        ({"time": "half past ten"}, "cannot be used"),
        ({"time": "2026-03-04T10:30:00+01:00", "activity_MBq": -5.0}, "is not an activity"),
        ({"time": "2026-03-04T10:30:00+01:00", "activity_MBq": "much"}, "is not an activity"),
    ],
)
def test_what_cannot_be_of_an_injection_is_told_and_changes_nothing(values, words):
    plain, faulty = by_key(loaded(PLAN)), by_key(loaded(PLAN), said(1, **values))
    assert words in faulty["RHA", 1].provisional_reason
    assert faulty["RHA", 1].activity_mbq == plain["RHA", 1].activity_mbq
    corrected = by_key(loaded(PLAN), said(1, **values), said(1, activity_MBq=400.0, time="2026-03-04T10:09:00+01:00"))
    assert corrected["RHA", 1].provisional_reason is None


def test_a_series_assigned_anew_has_the_latest_word():
    def assigned(key: str) -> Event:
        return event(Kind.SERIES_ASSIGNED, {"series_key": key, "role": "reference"})

    assert list(folded(assigned("a"), assigned("b"), assigned("a")).assignments) == ["b", "a"]


NO_WORDS = (None, "", -1, 1e300, True, [], {}, [[1, 2], [3]], "rubbish", ["x"], {"a": 1}, "9999-12-31T23:59:59-23:59")
MIRRORED = [[-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


@pytest.mark.parametrize(
    ("kind", "good"),
    [
        (Kind.INJECTION_RECORDED, {"position": "RHA", "fraction": 1, "unsaid": [], "cancelled": False}),
        (Kind.NOTE, {"label": "contrast", "time": "2026-03-04T10:08:00+01:00", "retracts": 3}),
        (Kind.VOLUME_CHOSEN, {"volume": "Tumour 1", "object_sha256": "a1"}),
        (Kind.TREATMENT_CLOSED, {"closed": True, "name": "P. Jansen"}),
        (Kind.REGISTRATION_GIVEN, {"series_key": "k", "reference_to_series_lps_mm": [], "name": "P. Jansen"}),
        (Kind.SERIES_ASSIGNED, {"series_key": "k", "role": "fraction", "position": "RHA", "fraction": 1}),
        (Kind.CLOCK_OFFSET_CONFIRMED, {"seconds": 3.0}),
        (Kind.ALARM_RAISED, {"alarm": {"id": "a"}}),
        (Kind.ALARM_ACKNOWLEDGED, {"alarm": "a"}),
        (Kind.PLAN_REVISED, {"plan": PLAN, "settings": {}, "time_zone": ZONE}),
    ],
    ids=str,
)
def test_a_word_of_another_version_never_raises_and_what_cannot_be_read_counts_for_nothing(kind, good):
    known = folded(loaded(PLAN), said(1, activity_MBq=400.0, time="2026-03-04T10:08:00+01:00"))
    odd = [{}, *({**good, key: value} for key in good for value in NO_WORDS)]
    for payload in odd:
        after = fold(known, event(kind, payload, seq=9))
        injections(after)
        if after.unread:
            assert after == replace(known, unread=after.unread)


@pytest.mark.parametrize("matrix", [MIRRORED, [[1.0]], [[1, 2], [3]]], ids=["mirrored", "1x1", "ragged"])
def test_a_registration_that_is_not_rigid_is_not_taken(matrix):
    payload = {"series_key": "k", "reference_to_series_lps_mm": matrix}
    treatment = folded(loaded(PLAN), event(Kind.REGISTRATION_GIVEN, payload, seq=7))
    assert not treatment.registrations
    assert [own.seq for own in treatment.unread] == [7]


def test_overrides_that_do_not_go_together_with_a_plan_are_still_refused():
    with pytest.raises(ConfigurationError):
        folded(loaded(PLAN), overrides={"calibration.field_T": 99.0})


def test_what_cannot_be_read_is_told_as_missing_from_what_is_shown():
    engine = Engine()
    for one in (loaded(PLAN), event(Kind.CLOCK_OFFSET_CONFIRMED, {"seconds": "soon"}, seq=7)):
        engine.take(one)
    list(engine.advance())
    told = engine.snapshot()
    assert "Event 7 (clock offset confirmed) cannot be read" in told.damage
    assert [own.alarm.kind for own in told.alarms if "Event 7" in own.alarm.text] == ["file_damaged"]
