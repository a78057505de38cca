"""What cannot serve as a holmium series, and the sentence for each cause."""

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from dicom_listener.assembly import Assembly
from dicom_listener.images import ImageKind, MrImage, Sequence, SeriesStatus

ECHOES = (0.0012, 0.0024, 0.0036)


def image(echo, slice_, **changes):
    made = MrImage(
        signal=np.full((4, 5), 100.0 - 10 * echo + slice_, dtype=np.float32),
        kind=ImageKind.MAGNITUDE,
        echo_time_s=ECHOES[echo],
        position_mm=(0.0, 0.0, 4.0 * slice_),
        row_direction=(1.0, 0.0, 0.0),
        column_direction=(0.0, 1.0, 0.0),
        pixel_spacing_mm=(3.0, 3.0),
        frame_of_reference_uid="1.9",
        study_instance_uid="1.8",
        series_instance_uid="1.2",
        sop_instance_uid=f"1.2.{echo}.{slice_}",
        frame_number=None,
        series_number=1,
        acquisition_number=1,
        acquired_at=datetime(2026, 3, 4, 10, tzinfo=ZoneInfo("Europe/Amsterdam")),
        protocol="gre",
        description="",
        sequence=Sequence.GRADIENT_ECHO,
        field_strength_t=3.0,
    )
    return replace(made, **changes)


def stack(n_echoes=3, n_slices=4, **changes):
    return [image(echo, slice_, **changes) for slice_ in range(n_slices) for echo in range(n_echoes)]


def state_of(images):
    assembly = Assembly()
    for seq, one in enumerate(images, 1):
        assembly.add([one], seq=seq, association="a")
    assembly.association_closed("a")
    (state,) = assembly.states()
    series = assembly.assembled(state.key).series
    assert (series is not None) == (state.status is SeriesStatus.COMPLETE)
    return state


def test_a_multi_echo_gradient_echo_is_accepted():
    assert state_of(stack()).holmium_refusal is None


@pytest.mark.parametrize(
    ("images", "status", "words"),
    [
        (stack(sequence=Sequence.SPIN_ECHO), SeriesStatus.COMPLETE, "Spin echo: its decay is T2, not T2*"),
        (stack(sequence=Sequence.OTHER), SeriesStatus.COMPLETE, "does not say that this is a gradient echo"),
        (stack(n_echoes=1), SeriesStatus.COMPLETE, "1 echo; a holmium series needs at least three."),
        (stack(n_echoes=2), SeriesStatus.COMPLETE, "2 echoes; a holmium series needs at least three."),
        (stack(echo_time_s=0.0012), SeriesStatus.INCOMPLETE, "All echo times are equal (1.2 ms) in 3 images"),
        (
            [replace(i, position_mm=(0, 0, i.position_mm[2] + (1.5 if i.position_mm[2] > 5 else 0))) for i in stack()],
            SeriesStatus.INCOMPLETE,
            "irregularly spaced (4.00 to 5.50 mm",
        ),
        (
            [*stack(), image(1, 2, signal=np.zeros((4, 5), np.float32), sop_instance_uid="1.2.9")],
            SeriesStatus.INCOMPLETE,
            "Two different images for echo 2, slice 3",
        ),
        (
            [
                replace(i, position_mm=(0.0, 0.0, 1e5 if i.position_mm[2] > 11 else 0.05 * i.position_mm[2]))
                for i in stack()
            ],
            SeriesStatus.INCOMPLETE,
            "irregularly spaced (0.20 to",
        ),
        (
            [image(0, s, echo_time_s=1e-4 * (e + 1), sop_instance_uid=f"{e}.{s}") for e in range(300) for s in (0, 1)],
            SeriesStatus.INCOMPLETE,
            "300 different echo times",
        ),
        (stack(n_slices=1), SeriesStatus.COMPLETE, "1 slice"),
        (stack(field_strength_t=None), SeriesStatus.COMPLETE, "does not state the field strength"),
        (stack(acquired_at=None), SeriesStatus.INCOMPLETE, "no time of acquisition"),
    ],
    ids=[
        "spin echo",
        "unknown",
        "1 echo",
        "2 echoes",
        "equal",
        "irregular",
        "contradiction",
        "far apart",
        "300 echoes",
        "1 slice",
        "field",
        "time",
    ],
)
def test_each_cause_has_its_own_sentence(images, status, words):
    for order in (images, images[::-1]):
        state = state_of(order)
        assert words in state.holmium_refusal
        assert state.holmium_refusal.endswith(".")
        assert state.status is status


def test_jitter_of_positions_within_rounding_is_no_irregularity():
    images = [
        replace(i, position_mm=(0.0, 0.0, i.position_mm[2] + 0.004 * (-1) ** n))
        for n, i in enumerate(stack(n_slices=8))
    ]
    assert state_of(images).holmium_refusal is None


def test_a_place_with_many_different_images_is_refused_like_one_with_two():
    images = [
        image(0, s, signal=np.full((4, 5), n, np.float32), sop_instance_uid=f"{n}") for n in range(60) for s in (0, 1)
    ]
    assert "in 60 images of each slice" in state_of(images).reason


def test_series_without_a_time_are_never_joined():
    images = [replace(i, series_instance_uid=str(i.echo_time_s), acquired_at=None) for i in stack()]
    assembly = Assembly()
    for seq, one in enumerate(images, 1):
        assembly.add([one], seq=seq, association="a")
    assert [state.echo_times_s for state in assembly.states()] == [(0.0012,), (0.0024,), (0.0036,)]


def test_a_contradiction_is_not_averaged_or_overwritten():
    images = [*stack(), image(0, 0, signal=np.ones((4, 5), np.float32), sop_instance_uid="0.1")]
    assert "different images" in state_of(images).reason
