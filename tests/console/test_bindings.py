"""What each series is to the treatment: reference, fraction, repeat, or refused with its sentence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from config.plan import plan_from_mapping
from config.settings import load_settings
from console.binding import bind
from console.treatment import Treatment, fold
from dicom_listener.events import Event, Kind
from dicom_listener.images import Sequence, SeriesState, SeriesStatus

ZONE = "Europe/Amsterdam"
SETTINGS = load_settings()
TIMES = (0.0012, 0.0024, 0.0036, 0.0048)


def event(kind: str, payload: dict) -> Event:
    return Event(
        seq=1,
        utc=datetime(2026, 3, 4, 9, 0, tzinfo=UTC),
        actor="test",
        kind=kind,
        payload=payload,
        object_sha256=None,
        previous_hash="",
        hash="1",
    )


def treatment(*events: Event) -> Treatment:
    """Three injections at 10:10, 10:30 and 10:50, then `events`."""
    mapping = {
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
            {"position": "RHA", "fraction": n, "activity_MBq": 400.0, "time": f"2026-03-04T10:{20 * n - 10}:00"}
            for n in (1, 2, 3)
        ],
    }
    plan = plan_from_mapping(mapping, site_time_zone=ZONE)
    settings = {"quantification": SETTINGS.quantification.to_mapping(), "alarms": SETTINGS.alarms.to_mapping()}
    payload = {"plan": plan.to_mapping(), "sha256": plan.sha256, "settings": settings, "time_zone": ZONE}
    folded = fold(Treatment(), event(Kind.PLAN_LOADED, payload))
    for one in events:
        folded = fold(folded, one)
    return folded


def series(clock: str, **changes: object) -> SeriesState:
    values: dict = {
        "key": f"key-{clock}",
        "series_instance_uids": (f"1.2.{clock.replace(':', '.')}",),
        "description": f"gre {clock}",
        "protocol": "gre",
        "status": SeriesStatus.COMPLETE,
        "reason": "complete: its association closed",
        "echo_times_s": TIMES,
        "n_slices": 20,
        "received": 80,
        "expected": 80,
        "left_out": 0,
        "acquired_at": datetime.fromisoformat(f"2026-03-04T{clock}:00+01:00"),
        "frame_of_reference_uid": "1.2.3",
        "field_strength_t": 3.0,
        "sequence": Sequence.GRADIENT_ECHO,
        "holmium_refusal": None,
        "revision": 1,
        "last_seq": 1,
    }
    return SeriesState(**{**values, **changes})


def roles(folded: Treatment, *states: SeriesState, drawn_on: frozenset[str] = frozenset()) -> dict[str, str]:
    bindings = bind(folded, states, drawn_on)
    assert [b.series_key for b in bindings] == [s.key for s in states]
    return {
        b.series_key.removeprefix("key-"): f"{b.role} {b.position} F{b.fraction}" if b.position else b.role
        for b in bindings
    }


def why(folded: Treatment, *states: SeriesState) -> str:
    return bind(folded, states, frozenset())[-1].why


def assigned(clock: str, role: str, **more: object) -> Event:
    return event(Kind.SERIES_ASSIGNED, {"series_key": f"key-{clock}", "role": role, **more})


def test_the_last_complete_series_before_the_first_injection_is_the_reference():
    found = roles(treatment(), series("09:50"), series("10:00"), series("10:15"), series("10:35"))
    assert found == {
        "09:50": "repeatability",
        "10:00": "reference",
        "10:15": "fraction RHA F1",
        "10:35": "fraction RHA F2",
    }


def test_only_a_complete_holmium_series_can_be_the_reference():
    holes = series("10:05", status=SeriesStatus.INCOMPLETE, reason="incomplete: 3 of 80 images missing")
    t1 = series("10:06", echo_times_s=(0.0012,), holmium_refusal="one echo: R2* needs at least three")
    found = roles(treatment(), series("10:00"), holes, t1)
    assert found == {"10:00": "reference", "10:05": "unbound", "10:06": "ignored"}
    assert bind(treatment(), (series("10:00"), t1), frozenset())[1].why == "one echo: R2* needs at least three"


def test_a_locked_reference_is_not_replaced():
    locked = replace(treatment(), reference_key="key-09:50")
    assert roles(locked, series("09:50"), series("10:05"), series("10:15")) == {
        "09:50": "reference",
        "10:05": "repeatability",
        "10:15": "fraction RHA F1",
    }


def test_the_operator_may_overrule_even_a_locked_reference():
    folded = replace(treatment(assigned("10:05", "reference")), reference_key="key-09:50")
    found = bind(folded, (series("09:50"), series("10:05")), frozenset())
    assert [b.role for b in found] == ["repeatability", "reference"]
    assert found[1].confirmed


@pytest.mark.parametrize(
    ("clock", "role"),
    [
        ("10:09", "reference"),
        ("10:10", "fraction RHA F1"),
        ("10:29", "fraction RHA F1"),
        ("10:30", "fraction RHA F2"),
        ("23:59", "fraction RHA F3"),
    ],
)
def test_a_fractions_window_runs_from_its_injection_to_the_next(clock, role):
    assert roles(treatment(), series(clock))[clock] == role


def test_of_two_series_in_one_window_the_last_is_used():
    found = roles(treatment(), series("10:00"), series("10:12"), series("10:20"))
    assert found["10:12"] == "superseded RHA F1"
    assert found["10:20"] == "fraction RHA F1"


def test_the_operators_assignment_wins_over_a_later_series_of_the_same_window():
    folded = treatment(assigned("10:12", "fraction", position="RHA", fraction=1))
    found = roles(folded, series("10:00"), series("10:12"), series("10:20"))
    assert found["10:12"] == "fraction RHA F1"
    assert found["10:20"].startswith("ignored")
    assert "operator" in why(folded, series("10:00"), series("10:12"), series("10:20"))


def test_an_ignored_series_leaves_its_window_to_the_other():
    folded = treatment(assigned("10:20", "ignore"))
    found = roles(folded, series("10:00"), series("10:12"), series("10:20"))
    assert found == {"10:00": "reference", "10:12": "fraction RHA F1", "10:20": "ignored"}


def test_the_last_assignment_of_a_series_counts():
    folded = treatment(assigned("10:12", "ignore"), assigned("10:12", "fraction", position="RHA", fraction=1))
    assert roles(folded, series("10:00"), series("10:12"))["10:12"] == "fraction RHA F1"


def test_the_clock_offset_counts_only_once_confirmed():
    """A scanner 15 minutes ahead puts the series of fraction 1 into the window of fraction 2."""
    late = series("10:33")
    assert roles(treatment(), series("10:00"), late)["10:33"] == "fraction RHA F2"
    confirmed = treatment(event(Kind.CLOCK_OFFSET_CONFIRMED, {"seconds": 900.0}))
    assert roles(confirmed, series("10:00"), late)["10:33"] == "fraction RHA F1"


def test_the_series_that_the_structures_were_drawn_on_is_anatomy_unless_it_is_the_reference():
    t1 = series("09:40", echo_times_s=(0.0012,), holmium_refusal="one echo")
    drawn_on_t1 = frozenset(t1.series_instance_uids)
    assert roles(treatment(), t1, series("10:00"), drawn_on=drawn_on_t1) == {"09:40": "anatomy", "10:00": "reference"}
    own = series("10:00")
    assert roles(treatment(), own, drawn_on=frozenset(own.series_instance_uids)) == {"10:00": "reference"}
    drawn_on_f1 = frozenset(series("10:15").series_instance_uids)
    found = roles(treatment(), series("10:00"), series("10:15"), drawn_on=drawn_on_f1)
    assert found == {"10:00": "reference", "10:15": "fraction RHA F1"}, "a tumour seen on the holmium itself"


def test_another_field_strength_is_refused():
    sentence = why(treatment(), series("10:00"), series("10:15", field_strength_t=1.5))
    assert sentence == (
        "acquired at 1.5 T but the relaxivity was calibrated at 3 T; give the calibration of this scanner"
    )
    assert roles(treatment(), series("10:00", field_strength_t=1.5)) == {"10:00": "refused"}
    assert roles(treatment(), series("10:00", field_strength_t=2.89)) == {"10:00": "reference"}, (
        "a 3 T scanner's 2.89 T"
    )


@pytest.mark.parametrize("times", [TIMES[:3], (*TIMES[:3], 0.0060), tuple(t * 1.1 for t in TIMES)])
def test_other_echo_times_are_refused(times):
    state = series("10:15", echo_times_s=times)
    assert roles(treatment(), series("10:00"), state)["10:15"] == "refused RHA F1"
    sentence = why(treatment(), series("10:00"), state)
    assert "differ from the reference's 1.2/2.4/3.6/4.8 ms" in sentence
    assert sentence.endswith("repeat the series with the reference's protocol")


def test_echo_times_within_the_tolerance_are_the_same():
    nearly = tuple(t + 0.00004 for t in TIMES)
    assert roles(treatment(), series("10:00"), series("10:15", echo_times_s=nearly))["10:15"] == "fraction RHA F1"


def test_a_refused_series_does_not_supersede_a_good_one():
    good, bad = series("10:12"), series("10:20", echo_times_s=TIMES[:3])
    found = roles(treatment(), series("10:00"), good, bad)
    assert found["10:12"] == "fraction RHA F1"
    assert found["10:20"] == "refused RHA F1"


def test_an_incomplete_series_names_the_fraction_that_it_lacks_for():
    holes = series("10:15", status=SeriesStatus.INCOMPLETE, reason="incomplete: 3 of 80 images missing")
    assert roles(treatment(), series("10:00"), holes)["10:15"] == "unbound RHA F1"
    assert why(treatment(), series("10:00"), holes) == "incomplete: 3 of 80 images missing"


def test_a_cancelled_injection_gives_its_series_to_the_one_before():
    cancelled = event(Kind.INJECTION_RECORDED, {"position": "RHA", "fraction": 2, "cancelled": True})
    assert roles(treatment(cancelled), series("10:00"), series("10:35"))["10:35"] == "fraction RHA F1"


def test_a_moved_injection_moves_its_window():
    moved = event(Kind.INJECTION_RECORDED, {"position": "RHA", "fraction": 2, "time": "2026-03-04T10:40:00+01:00"})
    assert roles(treatment(moved), series("10:00"), series("10:35"))["10:35"] == "fraction RHA F1"


def test_a_series_without_time_is_ignored_with_its_sentence():
    refusal = "The header states no time of acquisition; the series cannot be placed between the injections."
    undated = series("10:15", acquired_at=None, holmium_refusal=refusal, status=SeriesStatus.INCOMPLETE)
    assert roles(treatment(), series("10:00"), undated)["10:15"] == "ignored"
    assert why(treatment(), series("10:00"), undated) == refusal


def test_bindings_do_not_depend_on_anything_but_their_input():
    states = (series("10:00"), series("10:15"), series("10:35"))
    assert bind(treatment(), states, frozenset()) == bind(treatment(), states, frozenset())


def test_no_assignment_makes_another_field_strength_fit_the_calibration():
    folded = treatment(assigned("10:15", "fraction", position="RHA", fraction=1))
    states = (series("10:00"), series("10:15", field_strength_t=1.5))
    binding = bind(folded, states, frozenset())[-1]
    assert (binding.role, binding.confirmed) == ("refused", True)
    assert "1.5 T" in binding.why


def test_of_two_assigned_references_the_later_word_counts():
    folded = treatment(assigned("10:00", "reference"), assigned("09:50", "reference"))
    found = roles(folded, series("09:50"), series("10:00"), series("10:15"))
    assert (found["09:50"], found["10:00"]) == ("reference", "ignored")


def test_a_locked_reference_yields_to_a_clock_by_which_it_was_acquired_after_the_first_injection():
    """With the scanner's clock ten minutes slow the first fraction's series looks like a later reference."""
    states = (series("09:50"), series("10:05"), series("10:25"))
    slow = replace(treatment(), reference_key="key-10:05")
    assert list(roles(slow, *states).values()) == ["repeatability", "reference", "fraction RHA F1"]
    told = fold(slow, event(Kind.CLOCK_OFFSET_CONFIRMED, {"seconds": -600.0}))
    assert list(roles(told, *states).values()) == ["reference", "fraction RHA F1", "fraction RHA F2"]


def test_the_operator_may_ignore_a_locked_reference():
    ignored = replace(treatment(assigned("10:00", "ignore")), reference_key="key-10:00")
    assert roles(ignored, series("09:50"), series("10:00")) == {"09:50": "reference", "10:00": "ignored"}


def test_a_locked_reference_that_gains_an_image_is_not_replaced_meanwhile():
    locked = replace(treatment(), reference_key="key-10:00")
    late = series("10:00", status=SeriesStatus.ARRIVING, reason="arriving: 81 of 84 images")
    assert roles(locked, series("09:50"), late) == {"09:50": "repeatability", "10:00": "reference"}


def test_of_two_series_assigned_to_one_injection_the_later_word_counts():
    states = (series("10:00"), series("10:15"), series("10:20"))
    this, that = (assigned(clock, "fraction", position="RHA", fraction=1) for clock in ("10:15", "10:20"))
    assert list(roles(treatment(that, this), *states).values())[1:] == ["fraction RHA F1", "ignored RHA F1"]
    assert list(roles(treatment(this, that), *states).values())[1:] == ["ignored RHA F1", "fraction RHA F1"]


def test_a_series_of_which_one_echo_has_come_may_still_be_the_fraction():
    first_echo = series(
        "10:15", status=SeriesStatus.ARRIVING, echo_times_s=TIMES[:1], holmium_refusal="1 echo; at least three"
    )
    assert roles(treatment(), series("10:00"), first_echo)["10:15"] == "unbound RHA F1"


def recorded(fraction: int, **said: object) -> Event:
    return event(Kind.INJECTION_RECORDED, {"position": "RHA", "fraction": fraction, **said})


def at(clock: str) -> str:
    return f"2026-03-04T{clock}:00+01:00"


def test_a_series_that_was_begun_before_a_late_stop_is_neither_the_reference_nor_the_fraction_before():
    states = (series("10:00"), series("10:15"), series("10:35"))
    late = treatment(recorded(1, started=at("10:05"), time=at("10:20")))
    assert roles(late, *states) == {"10:00": "reference", "10:15": "refused RHA F1", "10:35": "fraction RHA F2"}
    assert "before RHA F1 had ended: correct that end" in bind(late, states, frozenset())[1].why
    second = treatment(recorded(2, started=at("10:25"), time=at("10:40")))
    assert roles(second, *states) == {"10:00": "reference", "10:15": "fraction RHA F1", "10:35": "refused RHA F2"}
    corrected = fold(late, recorded(1, time=at("10:14")))
    assert roles(corrected, *states)["10:15"] == "fraction RHA F1"


def test_a_series_that_is_begun_while_nobody_has_said_stop_is_asked_about():
    states = (series("10:00"), series("10:15"))
    running = treatment(*(recorded(n, time=None) for n in (1, 2, 3)))
    running = fold(running, recorded(1, started=at("10:05"), unsaid=["time"]))
    plan = running.plan
    assert plan is not None
    planned = tuple(i.model_copy(update={"time": None, "activity_mbq": None}) for i in plan.injections)
    running = replace(running, plan=plan.model_copy(update={"injections": planned}))
    assert roles(running, *states) == {"10:00": "reference", "10:15": "refused RHA F1"}
    assert "under way: say when that ended" in why(running, *states)
    said = fold(running, assigned("10:15", "anatomy"))
    assert roles(said, *states)["10:15"] == "anatomy"
