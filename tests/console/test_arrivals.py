"""What the arrival of images tells: silences add up to an alarm, and an image from the future proves a wrong clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from pydicom.uid import BasicTextSRStorage, MRImageStorage

from console.arrivals import Arrivals
from dicom_listener.events import Event, Kind
from dicom_listener.images import SeriesStatus

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def image(acquired_at=NOON, uid="1.2"):
    return SimpleNamespace(acquired_at=acquired_at, series_instance_uid=uid)


def instance(*images, reason="", sop_class_uid=str(MRImageStorage), uid="1.2", structure_set=None):
    return SimpleNamespace(
        images=images,
        reason=reason,
        sop_class_uid=sop_class_uid,
        series_instance_uid=uid,
        structure_set=structure_set,
    )


def state(*uids, status=SeriesStatus.INCOMPLETE):
    return SimpleNamespace(status=status, series_instance_uids=uids or ("1.2",))


def event(kind, **payload):
    return Event(seq=1, utc=NOON, actor="a", kind=kind, payload=payload, object_sha256=None, previous_hash="", hash="")


def quiet(arrivals, seconds, uid="1.2"):
    arrivals.said(event(Kind.SERIES_QUIET, series_instance_uid=uid, seconds=seconds))


def heard(*images):
    arrivals = Arrivals()
    arrivals.stored(instance(*(images or (image(),))), NOON)
    return arrivals


def test_an_incomplete_series_is_overdue_once_it_has_been_silent_for_longer():
    arrivals = heard()
    assert not arrivals.is_overdue(state(), 30.0), "nothing was said of a silence"
    quiet(arrivals, 10.0)
    assert not arrivals.is_overdue(state(), 30.0)
    assert arrivals.is_overdue(state(), 0.0)
    quiet(arrivals, 40.0)
    assert arrivals.is_overdue(state(), 30.0)
    assert not arrivals.is_overdue(state(status=SeriesStatus.COMPLETE), 30.0)
    assert not arrivals.is_overdue(state(status=SeriesStatus.ARRIVING), 30.0)


def test_an_image_ends_the_silence():
    arrivals = heard()
    quiet(arrivals, 10.0)
    quiet(arrivals, 40.0)
    arrivals.stored(instance(image()), NOON)
    assert not arrivals.is_overdue(state(), 30.0)


def test_all_series_of_an_acquisition_have_to_be_silent():
    arrivals = heard(image(), image(uid="1.3"))
    for seconds in (10.0, 40.0):
        quiet(arrivals, seconds)
    assert not arrivals.is_overdue(state("1.2", "1.3"), 30.0)
    for seconds in (10.0, 40.0):
        quiet(arrivals, seconds, uid="1.3")
    assert arrivals.is_overdue(state("1.2", "1.3"), 30.0)


@pytest.mark.parametrize(("how", "overdue"), [("import_finished", True), ("released", False)])
def test_after_an_import_nothing_more_comes(how, overdue):
    arrivals = heard()
    arrivals.said(event(Kind.ASSOCIATION_CLOSED, how=how))
    assert arrivals.is_overdue(state(), 30.0) == overdue
    arrivals.stored(instance(image()), NOON)
    assert not arrivals.is_overdue(state(), 30.0)


def test_the_clock_is_ahead_by_as_much_as_any_image_arrived_before_it_was_begun():
    late, early = image(NOON - timedelta(seconds=20)), image(NOON + timedelta(seconds=95))
    assert heard(late).clock.ahead_s == -20.0
    assert heard(late, early).clock.ahead_s == heard(early, late).clock.ahead_s == 95.0
    assert heard(image(None)).clock is None


def test_the_bound_is_dated_by_the_image_that_shows_it():
    arrivals = heard(image(NOON + timedelta(seconds=95)))
    arrivals.stored(instance(image(NOON)), NOON + timedelta(minutes=5))
    assert arrivals.clock.at == NOON
    assert replace(arrivals.clock, ahead_s=1.0).ahead_s == 1.0


def test_what_cannot_be_used_is_told_once_for_each_series_and_reason():
    arrivals = Arrivals()
    for uid in ("1.2", "1.2", "1.3"):
        arrivals.stored(instance(reason="A mosaic.", uid=uid), NOON)
    arrivals.stored(instance(image(), reason="The content time was used."), NOON + timedelta(seconds=1))
    told = [(o.series_instance_uid, o.reason, o.used, o.since) for o in arrivals.objections]
    assert told == [
        ("1.2", "A mosaic.", False, NOON),
        ("1.3", "A mosaic.", False, NOON),
        ("1.2", "The content time was used.", True, NOON + timedelta(seconds=1)),
    ]


@pytest.mark.parametrize(
    "silent",
    [
        instance(reason="Reports are recorded and not used.", sop_class_uid=str(BasicTextSRStorage)),
        instance(reason="A contour was left out.", structure_set=object()),
        instance(image()),
    ],
    ids=["a class that is not read", "told with the volumes", "nothing to say"],
)
def test_what_is_told_elsewhere_or_is_no_fault_is_not_told(silent):
    arrivals = Arrivals()
    arrivals.stored(silent, NOON)
    assert arrivals.objections == ()


def test_what_cannot_even_be_named_is_told():
    arrivals = Arrivals()
    arrivals.stored(instance(reason="It cannot be read.", sop_class_uid="", uid=""), NOON)
    assert len(arrivals.objections) == 1


@pytest.mark.parametrize(("quiet_s", "after_s"), [(10.0, 30.0), (0.7, 0.1), (10.1, 0.3)])
def test_the_listeners_second_word_is_enough_whatever_the_times_are(quiet_s, after_s):
    """Compared by the sum that the listener makes: a difference would lose its last digit, and the alarm."""
    arrivals = heard()
    quiet(arrivals, quiet_s)
    assert not arrivals.is_overdue(state(), after_s)
    quiet(arrivals, quiet_s + after_s)
    assert arrivals.is_overdue(state(), after_s)


def test_a_listener_started_again_with_a_shorter_silence_is_understood():
    arrivals = heard()
    for seconds in (20.0, 10.0, 40.0):
        quiet(arrivals, seconds)
    assert arrivals.is_overdue(state(), 30.0)


def test_a_series_whose_images_are_refused_for_numbers_of_their_own_is_told_once():
    arrivals = Arrivals()
    for height in (-1.5e6, 2.0e6):
        arrivals.stored(instance(reason=f"ImagePositionPatient is 1\\2\\{height:g} mm."), NOON)
    assert [own.reason for own in arrivals.objections] == ["ImagePositionPatient is 1\\2\\-1.5e+06 mm."]


def test_the_clocks_bound_follows_the_zone_that_the_plan_is_revised_to():
    """What the header states with an offset of its own stays."""
    unstated = heard(image(datetime(2026, 3, 4, 12, 0, 30, tzinfo=ZoneInfo("UTC")))).clock
    assert unstated.ahead_s == 30.0
    assert unstated.in_zone(ZoneInfo("Europe/Amsterdam")).ahead_s == 30.0 - 3600.0
    assert heard(image(NOON)).clock.in_zone(ZoneInfo("Europe/Amsterdam")).ahead_s == 0.0
