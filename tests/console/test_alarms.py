"""Alarms: which finding raises which, with what priority, and always under the same id."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from config.plan import plan_from_mapping
from config.settings import load_settings
from console.alarms import find_alarms
from console.arrivals import ClockBound, Objection
from console.snapshot import Binding
from dicom_listener.events import Event, Kind
from dicom_listener.images import Sequence, SeriesState, SeriesStatus
from quantify.findings import (
    FractionResult,
    FractionStatus,
    Priority,
    Registration,
    RegistrationStatus,
    TrendPoint,
    TrendStatus,
    VolumeStatistics,
    VolumeStatus,
)
from quantify.model import Role
from quantify.monte_carlo import Spread

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
SETTINGS = load_settings().alarms
PLAN = plan_from_mapping(
    {
        "schema": 1,
        "time_zone": "Europe/Amsterdam",
        "patient": {"id": "EM1-004"},
        "microspheres": {
            "holmium_fraction": 0.195,
            "specific_activity_MBq_per_mg": 12.0,
            "reference_time": "2026-03-04T10:00:00",
        },
        "calibration": {"relaxivity_per_s_per_mg_mL": 218.0, "field_T": 3.0, "holmium_fraction": 0.195},
        "structures": {"liver": "Liver", "tumours": ["Tumour 1"]},
        "limits": [{"volume": "Healthy liver", "dose_Gy": 55.0}, {"volume": "Tumour 1", "dose_Gy": 300.0}],
        "injections": [{"position": "RHA", "fraction": 1, "planned_MBq": 400.0}],
    },
    site_time_zone="Europe/Amsterdam",
)


def volume(name: str, role: Role, mean: float | None, u: float = 3.0) -> VolumeStatistics:
    return VolumeStatistics(
        name=name,
        role=role,
        status=VolumeStatus.OK if mean is not None else VolumeStatus.NOT_EVALUABLE,
        volume_ml=100.0,
        evaluable_fraction=1.0,
        dose_mean_gy=mean,
        dose_mean_u_gy=u if mean is not None else None,
    )


def result(**changes: object) -> FractionResult:
    base = FractionResult(position="RHA", fraction=1, status=FractionStatus.OK, acquired_at=NOON)
    return replace(base, **changes)  # type: ignore[arg-type]


def healthy(mean: float | None, u: float = 3.0) -> FractionResult:
    return result(volumes={"Healthy liver": volume("Healthy liver", Role.HEALTHY_LIVER, mean, u)})


def alarms(*results: FractionResult, plan=PLAN, **given):
    defaults = {"series": (), "bindings": (), "quarantined": (), "structure_faults": ()}
    return find_alarms(plan=plan, settings=SETTINGS, results=results, since=NOON, **{**defaults, **given})


def only(*args, **kwargs):
    found = alarms(*args, **kwargs)
    assert len(found) == 1, [a.text for a in found]
    return found[0]


def test_a_good_fraction_raises_nothing():
    assert alarms(replace(healthy(40.0), recovery_ratio=1.02, recovery_u=0.05)) == ()


@pytest.mark.parametrize(
    ("mean", "u", "raised"), [(49.0, 3.0, False), (49.2, 3.0, True), (55.0, 0.0, False), (55.1, 0.0, True)]
)
def test_the_healthy_livers_upper_bound_is_held_against_the_limit(mean, u, raised):
    """1.96 · 3 Gy = 5.88 Gy: the bound is above 55 Gy from a mean of 49.12 Gy on."""
    assert bool(alarms(healthy(mean, u))) is raised


def test_a_limit_alarm_is_high_and_states_facts():
    found = only(healthy(52.0, 6.0))
    assert found.priority == Priority.HIGH
    assert found.kind == "limit"
    assert found.text == "Healthy liver 52 ± 6 Gy after RHA F1, upper bound 64 Gy, limit 55 Gy"
    assert not {"inject", "stop"} & set(found.text.lower().split())
    assert (found.position, found.fraction, found.volume, found.raised_at) == ("RHA", 1, "Healthy liver", NOON)


def test_a_limit_of_another_isotope_says_so():
    limits = [limit.model_copy(update={"isotope": "90Y"}) for limit in PLAN.limits]
    found = only(healthy(52.0, 6.0), plan=PLAN.model_copy(update={"limits": tuple(limits)}))
    assert found.text.endswith("limit 55 Gy (found with 90Y; it does not carry over to 166Ho)")


def test_the_bound_is_that_of_the_stated_interval_where_there_is_one():
    """Factors are log-normal: an upper bound lies further out than 1.96 u."""
    at = healthy(49.0, 3.0)
    interval = Spread(value=49.0, u=3.0, low_95=43.5, high_95=55.2)
    own = replace(at.volumes["Healthy liver"], intervals={"dose_mean_gy": interval})
    assert only(replace(at, volumes={"Healthy liver": own})).kind == "limit"


def test_a_tumours_limit_is_low_and_an_unknown_dose_raises_nothing():
    tumour = result(volumes={"Tumour 1": volume("Tumour 1", Role.TUMOUR, 320.0)})
    assert only(tumour).priority == Priority.LOW
    assert alarms(healthy(None)) == ()


def test_a_failed_registration_is_medium_with_its_reason():
    registration = Registration(status=RegistrationStatus.FAILED, message="similarity 0.31 is below 0.50.")
    found = only(result(status=FractionStatus.FAILED, error="registration failed", registration=registration))
    assert (found.priority, found.kind) == (Priority.MEDIUM, "registration_failed")
    assert "similarity 0.31" in found.text


def test_another_failure_is_medium():
    found = only(result(status=FractionStatus.FAILED, error="its series is not complete"))
    assert (found.priority, found.kind) == (Priority.MEDIUM, "fraction_failed")


@pytest.mark.parametrize(
    ("ratio", "u", "raised"),
    [
        (1.14, 0.01, False),
        (1.16, 0.01, True),
        (0.86, 0.01, False),
        (0.84, 0.01, True),
        (1.25, 0.13, False),
        (None, None, False),
    ],
)
def test_recovery_is_held_against_the_larger_of_15_percent_and_two_u(ratio, u, raised):
    found = alarms(result(recovery_ratio=ratio, recovery_u=u))
    assert [a.kind for a in found] == (["recovery"] if raised else [])
    assert all(a.priority == Priority.MEDIUM for a in found)


def point(deviation: float, **changes: object) -> TrendPoint:
    return TrendPoint(
        volume="x",
        status=changes.pop("status", TrendStatus.TESTED),  # type: ignore[arg-type]
        deviation_pct=deviation,
        deviation_gy=deviation / 2,
        flagged=abs(deviation) >= 10,
        direction="below" if deviation < 0 else "above",
        significant=True,
        **changes,  # type: ignore[arg-type]
    )


def of_trend(role: Role, deviation: float) -> FractionResult:
    name = "Tumour 1" if role == Role.TUMOUR else "Healthy liver"
    return result(volumes={name: volume(name, role, 20.0)}, trend={name: point(deviation)})


@pytest.mark.parametrize(
    ("role", "deviation", "priority"),
    [
        (Role.TUMOUR, -16.0, Priority.LOW),
        (Role.TUMOUR, 16.0, Priority.LOW),
        (Role.TUMOUR, -9.0, None),
        (Role.HEALTHY_LIVER, 16.0, Priority.MEDIUM),
        (Role.HEALTHY_LIVER, -16.0, None),
    ],
)
def test_trend_alarms(role, deviation, priority):
    found = alarms(of_trend(role, deviation))
    assert [a.priority for a in found] == ([] if priority is None else [priority])
    assert all(a.kind == "trend_deviation" for a in found)


def test_what_is_not_tested_raises_nothing():
    untested = result(
        volumes={"Tumour 1": volume("Tumour 1", Role.TUMOUR, 20.0)},
        trend={"Tumour 1": replace(point(-30.0), status=TrendStatus.NOT_TESTABLE)},
    )
    assert alarms(untested) == ()


def quarantined(seq: int, cause: str = "other_patient", association: str = "a-1") -> Event:
    return Event(
        seq=seq,
        utc=NOON,
        actor="listener",
        kind=Kind.INSTANCE_QUARANTINED,
        payload={"association": association, "sha256": str(seq), "cause": cause, "text": "…"},
        object_sha256=None,
        previous_hash="",
        hash="",
    )


def test_another_patients_images_are_one_high_alarm_a_sender():
    found = alarms(quarantined=[quarantined(n) for n in range(100)])
    assert [(a.priority, a.kind) for a in found] == [(Priority.HIGH, "patient_mismatch")]
    assert len(alarms(quarantined=[quarantined(1), quarantined(2, association="a-2")])) == 2
    assert only(quarantined=[quarantined(1, cause="uid_conflict")]).kind == "instance_conflict"


def series(**changes: object) -> SeriesState:
    values: dict = {
        "key": "k",
        "series_instance_uids": ("1.2",),
        "description": "gre",
        "protocol": "gre",
        "status": SeriesStatus.INCOMPLETE,
        "reason": "incomplete: 3 of 80 images missing",
        "echo_times_s": (0.001, 0.002, 0.003),
        "n_slices": 20,
        "received": 77,
        "expected": 80,
        "left_out": 0,
        "acquired_at": NOON,
        "frame_of_reference_uid": "1",
        "field_strength_t": 3.0,
        "sequence": Sequence.GRADIENT_ECHO,
        "holmium_refusal": None,
        "revision": 1,
        "last_seq": 1,
    }
    return SeriesState(**{**values, **changes})


@pytest.mark.parametrize(
    ("role", "status", "kind"),
    [
        ("unbound", SeriesStatus.INCOMPLETE, "series_incomplete"),
        ("superseded", SeriesStatus.COMPLETE, "ambiguous_series"),
        ("refused", SeriesStatus.COMPLETE, "series_refused"),
        ("fraction", SeriesStatus.COMPLETE, None),
        ("reference", SeriesStatus.COMPLETE, None),
    ],
)
def test_series_alarms_are_medium(role, status, kind):
    binding = Binding(series_key="k", role=role, position="RHA", fraction=1, why="because")
    overdue = {"k"} if status == SeriesStatus.INCOMPLETE else ()
    found = alarms(series=[series(status=status)], bindings=[binding], overdue=overdue)
    assert [a.kind for a in found] == ([] if kind is None else [kind])
    assert all(a.priority == Priority.MEDIUM for a in found)


def test_structure_faults_are_medium_and_dated_by_what_is_given():
    found = only(structure_faults=["Structure 'Liver' of the plan is not in the structure set."])
    assert (found.priority, found.kind, found.raised_at) == (Priority.MEDIUM, "structures", NOON)


def test_the_same_finding_has_the_same_id_though_its_numbers_change():
    assert only(healthy(52.0)).id == only(healthy(53.0)).id
    assert only(healthy(52.0)).id != only(replace(healthy(52.0), fraction=2)).id
    assert len(only(healthy(52.0)).id) == 16


def test_high_alarms_come_first():
    found = alarms(
        of_trend(Role.TUMOUR, -20.0), replace(healthy(60.0), fraction=2), structure_faults=["something is missing"]
    )
    assert [a.priority for a in found] == [Priority.HIGH, Priority.MEDIUM, Priority.LOW]


def test_a_fraction_that_fails_by_its_series_has_one_alarm():
    failed = result(status=FractionStatus.FAILED, error="its series cannot be used: because", registration=None)
    refused = Binding(series_key="k", role="refused", position="RHA", fraction=1, why="because")
    found = alarms(failed, series=[series(status=SeriesStatus.COMPLETE)], bindings=[refused])
    assert [a.kind for a in found] == ["series_refused"]
    waiting = Binding(series_key="k", role="unbound", position="RHA", fraction=1, why="holes")
    holes = [series(status=SeriesStatus.INCOMPLETE)]
    assert alarms(failed, series=holes, bindings=[waiting]) == (), "the rest may still come"
    assert [a.kind for a in alarms(failed, series=holes, bindings=[waiting], overdue={"k"})] == ["series_incomplete"]


def test_a_usable_series_that_fails_is_the_fractions_own_alarm():
    failed = result(status=FractionStatus.FAILED, error="its series cannot be quantified: because", registration=None)
    refused = Binding(series_key="k", role="refused", position="RHA", fraction=1, why="because")
    used = Binding(series_key="used", role="fraction", position="RHA", fraction=1)
    found = alarms(
        failed,
        series=[series(status=SeriesStatus.COMPLETE), series(key="used", status=SeriesStatus.COMPLETE)],
        bindings=[refused, used],
    )
    assert sorted(a.kind for a in found) == ["fraction_failed", "series_refused"]


@pytest.mark.parametrize(
    ("ahead_s", "confirmed_s", "said"),
    [
        (59.0, None, None),
        (-600.0, None, None),
        (61.0, None, "at least 61 s ahead: an image arrived before it was begun"),
        (95.0, 90.0, "is 90 s ahead, as confirmed"),
        (160.0, 90.0, "at least 160 s ahead, 70 s more than confirmed"),
        (30.0, 20.0, None),
        (-600.0, -120.0, "is 120 s behind, as confirmed"),
    ],
)
def test_a_clock_that_is_off_by_more_than_a_minute_is_medium(ahead_s, confirmed_s, said):
    found = alarms(clock=ClockBound(ahead_s=ahead_s, at=NOON, begun_at=NOON), clock_offset_s=confirmed_s)
    assert [(a.kind, a.priority) for a in found] == ([] if said is None else [("clock_offset", Priority.MEDIUM)])
    assert said is None or said in found[0].text


def test_images_that_could_not_be_stored_are_high_and_counted():
    payload = {
        "status": 0xA700,
        "comment": "The disk is full",
        "instances": 7,
        "first_utc": "2026-03-04T11:00:00+00:00",
        "last_utc": "2026-03-04T11:02:05+00:00",
    }
    event = Event(
        seq=9,
        utc=NOON,
        actor="listener",
        kind=Kind.STORAGE_FAILED,
        payload=payload,
        object_sha256=None,
        previous_hash="",
        hash="",
    )
    found = only(storage_failed=[event])
    assert (found.kind, found.priority) == ("storage_failed", Priority.HIGH)
    assert found.text.startswith("7 images could not be stored from 12:00:00 to 12:02:05 (The disk is full)")


@pytest.mark.parametrize(
    ("used", "kind", "priority"),
    [(False, "instance_unusable", Priority.MEDIUM), (True, "assumption", Priority.LOW)],
)
def test_what_cannot_be_used_is_medium_and_what_was_assumed_is_low(used, kind, priority):
    objection = Objection(series_instance_uid="1.2", reason="A mosaic.", used=used, since=NOON)
    found = only(objections=[objection], series=[series(status=SeriesStatus.COMPLETE)])
    assert (found.kind, found.priority, found.text) == (kind, priority, "gre: A mosaic.")
    assert only(objections=[objection]).text == "A mosaic."


def test_a_fraction_whose_series_still_arrives_has_not_failed():
    """Fractions sent late come interleaved: the second may be complete before the first."""
    failed = result(
        status=FractionStatus.FAILED, error="a series that may show it is still arriving", registration=None
    )
    arriving = Binding(series_key="k", role="unbound", position="RHA", fraction=1, why="arriving: 3 of 80 images")
    assert alarms(failed, series=[series(status=SeriesStatus.ARRIVING)], bindings=[arriving]) == ()


def test_a_series_without_any_time_is_told_once_and_with_its_sentence_once():
    untimed = series(acquired_at=None, reason="incomplete: no time is stated.", holmium_refusal="no time is stated.")
    found = only(series=[untimed], bindings=[Binding(series_key="k", role="ignored")], overdue={"k"})
    assert (found.kind, found.raised_at, found.text) == (
        "series_incomplete",
        NOON,
        "gre: incomplete: no time is stated.",
    )


def test_a_structures_fault_is_the_same_whatever_it_measures():
    one, other, tumour = (
        only(structure_faults=[text]).id
        for text in (
            "Tumour 1 and Liver overlap by 3.2 mL; 5 % lies outside.",
            "Tumour 1 and Liver overlap by 12.9 mL; 45 % lies outside.",
            "Tumour 2 and Liver overlap by 3.2 mL; 5 % lies outside.",
        )
    )
    assert one == other != tumour


@pytest.mark.parametrize("role", ["unbound", "refused"])
def test_a_series_own_alarm_stays_one_when_the_injection_is_recorded_after_it(role):
    before, after = (
        only(
            series=[series()],
            bindings=[Binding(series_key="k", role=role, position=position, fraction=fraction, why="because")],
            overdue={"k"} if role == "unbound" else (),
        )
        for position, fraction in ((None, None), ("RHA", 1))
    )
    assert before.id == after.id
    assert after.position == "RHA"


def test_a_recovery_that_is_a_lower_bound_is_told_only_above_its_band():
    liver = replace(volume("Liver", Role.LIVER, 20.0), status=VolumeStatus.LOWER_BOUND)
    for ratio, raised in ((0.6, False), (1.4, True)):
        found = alarms(result(recovery_ratio=ratio, recovery_u=0.05, volumes={"Liver": liver}))
        assert ("recovery" in [a.kind for a in found]) is raised


def test_an_image_that_comes_after_its_series_was_complete_is_low():
    bound = Binding(series_key="k", role="fraction", position="RHA", fraction=1)
    whole, late = series(revision=1), series(revision=3)
    assert "late_image" not in [a.kind for a in alarms(series=(whole,), bindings=(bound,))]
    (alarm,) = [a for a in alarms(series=(late,), bindings=(bound,)) if a.kind == "late_image"]
    assert alarm.priority == Priority.LOW
    assert "2 images came after it was complete" in alarm.text
