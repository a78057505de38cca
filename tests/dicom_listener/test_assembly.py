"""Images to acquisitions: what belongs together and what is complete, and why."""

import random
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from dicom_listener.assembly import Assembly
from dicom_listener.assembly_parts import Geometry
from dicom_listener.assembly_stacks import Stack, Stacks
from dicom_listener.decode import decode
from dicom_listener.images import ImageKind, MrImage, Sequence, SeriesStatus

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
START = datetime(2026, 3, 4, 10, 12, tzinfo=AMSTERDAM)
ECHOES = (0.0012, 0.0024, 0.0036, 0.0048)
NORMAL_TILT = np.deg2rad(20.0)
ROW = (1.0, 0.0, 0.0)
COLUMN = (0.0, float(np.cos(NORMAL_TILT)), float(np.sin(NORMAL_TILT)))
NORMAL = np.cross(ROW, COLUMN)


def signal(echo, slice_, seed=0, shape=(6, 8)):
    return np.random.default_rng([seed, echo, slice_]).random(shape, dtype=np.float32) + echo


def acquisition(
    *, n_slices=5, echoes=ECHOES, uid="1.2.3", per_echo=False, start=START, seed=0, spacing=4.0, shape=(6, 8), **changes
):
    """Every image of an oblique stack, slice by slice, as a scanner would send it."""
    made = []
    for slice_ in range(n_slices):
        for echo, echo_time_s in enumerate(echoes):
            series = f"{uid}.{echo}" if per_echo else uid
            made.append(
                MrImage(
                    signal=signal(echo, slice_, seed, shape),
                    kind=ImageKind.MAGNITUDE,
                    echo_time_s=echo_time_s,
                    position_mm=tuple(np.array([-100.0, -80.0, 30.0]) + slice_ * spacing * NORMAL),
                    row_direction=ROW,
                    column_direction=COLUMN,
                    pixel_spacing_mm=(3.0, 2.5),
                    frame_of_reference_uid="1.9",
                    study_instance_uid="1.8",
                    series_instance_uid=series,
                    sop_instance_uid=f"{series}.{slice_}.{echo}",
                    frame_number=None,
                    series_number=3,
                    acquisition_number=1,
                    acquired_at=start + timedelta(seconds=0.05 * slice_ + echo_time_s),
                    protocol="gre10",
                    description="holmium",
                    sequence=Sequence.GRADIENT_ECHO,
                    field_strength_t=3.0,
                )
            )
    return [replace(image, **changes) for image in made]


def fill(assembly, images, association="a", first_seq=1, close=True):
    for seq, image in enumerate(images, first_seq):
        assembly.add([image], seq=seq, association=association)
    if close:
        assembly.association_closed(association)
    return assembly


def only(assembly):
    (state,) = assembly.states()
    return state


def test_a_full_grid_is_complete_when_its_association_closes_and_says_so():
    assembly = fill(Assembly(), acquisition(), close=False)
    assert only(assembly).status is SeriesStatus.ARRIVING
    assembly.association_closed("a")
    state = only(assembly)
    assert state.status is SeriesStatus.COMPLETE
    assert state.reason == "complete: grid 4 × 5 full and its association closed"
    assert (state.received, state.expected, state.n_slices, state.revision, state.last_seq) == (20, 20, 5, 1, 20)
    assert state.holmium_refusal is None
    assert state.echo_times_s == ECHOES


@pytest.mark.parametrize("per_echo", [False, True], ids=["one series", "one series per echo"])
@pytest.mark.parametrize("seed", range(4))
def test_the_result_does_not_depend_on_the_order_of_images(seed, per_echo):
    images = acquisition(per_echo=per_echo)
    shuffled = images.copy()
    random.Random(seed).shuffle(shuffled)
    straight, mixed = fill(Assembly(), images), fill(Assembly(), shuffled)
    assert only(straight) == only(mixed)
    one, other = (a.assembled(only(a).key).series for a in (straight, mixed))
    assert np.array_equal(one.signal, other.signal)
    assert one.grid.same_as(other.grid, tolerance_mm=1e-9)
    assert one.series_instance_uid == other.series_instance_uid


def test_voxels_lie_where_the_headers_put_them():
    images = acquisition()
    assembly = fill(Assembly(), images[::-1])
    series = assembly.assembled(only(assembly).key).series
    assert series.signal.shape == (4, 5, 6, 8)
    assert series.signal.dtype == np.float32
    assert not series.signal.flags.writeable
    assert series.grid.spacing_mm == pytest.approx((4.0, 3.0, 2.5))
    assert series.acquired_at == START + timedelta(seconds=ECHOES[0])
    for image in images:
        slice_, echo = (int(part) for part in image.sop_instance_uid.split(".")[-2:])
        voxel = series.grid.affine_lps_mm @ (slice_, 2, 3, 1)
        expected = np.array(image.position_mm) + 2 * 3.0 * np.array(COLUMN) + 3 * 2.5 * np.array(ROW)
        assert voxel[:3] == pytest.approx(expected)
        assert np.array_equal(series.signal[echo, slice_], signal(echo, slice_))


def test_the_volume_is_stacked_once():
    assembly = fill(Assembly(), acquisition())
    key = only(assembly).key
    assert assembly.assembled(key).series is assembly.assembled(key).series


def test_holes_are_named_when_the_association_closes():
    images = [image for image in acquisition() if image.sop_instance_uid not in ("1.2.3.1.3", "1.2.3.2.3")]
    state = only(fill(Assembly(), images))
    assert state.status is SeriesStatus.INCOMPLETE
    assert state.reason == "incomplete: 2 of 20 images missing (echo 4: slice 2, 3)"
    assert (state.received, state.expected) == (18, 20)


def test_a_slice_that_never_came_is_seen_by_its_gap():
    images = [image for image in acquisition() if ".2." not in image.sop_instance_uid[5:]]
    assembly = fill(Assembly(), images)
    assert only(assembly).reason == "incomplete: 4 of 20 images missing (slice 3: all echoes)"
    assert assembly.assembled(only(assembly).key).series is None


def test_silence_closes_a_series_too():
    assembly = fill(Assembly(), acquisition(), close=False)
    assembly.series_quiet("1.2.3")
    assert only(assembly).reason == "complete: grid 4 × 5 full and no further image came within the quiet time"
    holes = fill(Assembly(), acquisition()[1:], close=False)
    holes.series_quiet("1.2.3")
    assert only(holes).status is SeriesStatus.INCOMPLETE


def test_a_restart_of_the_listener_closes_everything():
    assembly = fill(Assembly(), acquisition(), close=False)
    assembly.all_associations_closed()
    assert only(assembly).status is SeriesStatus.COMPLETE


def test_a_grid_like_the_references_is_complete_at_once():
    assembly = Assembly()
    assembly.expect(ECHOES, 5)
    images = acquisition()
    fill(assembly, images[:-1], close=False)
    assert only(assembly).status is SeriesStatus.ARRIVING
    assert only(assembly).reason == "arriving: 19 of 20 images"
    assembly.add(images[-1:], seq=20, association="a")
    assert only(assembly).reason == "complete: 4 echoes × 5 slices, same as the reference"
    before = only(assembly)
    assembly.association_closed("a")
    assert only(assembly) == before


@pytest.mark.parametrize(
    ("echoes", "n_slices"),
    [(ECHOES[:3], 5), ((*ECHOES[:3], 0.0049), 5), (ECHOES, 6)],
    ids=["echoes", "times", "slices"],
)
def test_a_grid_unlike_the_references_waits_for_its_end_and_says_the_difference(echoes, n_slices):
    assembly = Assembly()
    assembly.expect(echoes, n_slices)
    fill(assembly, acquisition(), close=False)
    assert only(assembly).status is SeriesStatus.ARRIVING
    assembly.association_closed("a")
    assert only(assembly).status is SeriesStatus.COMPLETE
    assert only(assembly).reason.endswith(f"(the reference has {len(echoes)} echoes × {n_slices} slices)")


def test_several_associations_fill_one_series():
    images = acquisition()
    assembly = fill(Assembly(), images[::2], association="a", close=False)
    fill(assembly, images[1::2], association="b", first_seq=11)
    assert only(assembly).status is SeriesStatus.ARRIVING
    assembly.association_closed("a")
    assert only(assembly).status is SeriesStatus.COMPLETE
    assert only(assembly).revision == 1


def test_a_late_instance_reopens_a_complete_series_and_its_revision_grows():
    images = acquisition()
    assembly = fill(Assembly(), images[:16])
    assert (only(assembly).status, only(assembly).n_slices) == (SeriesStatus.COMPLETE, 4)
    key = only(assembly).key
    first = assembly.assembled(key).series
    fill(assembly, images[16:], association="b", first_seq=17, close=False)
    assert (only(assembly).status, only(assembly).revision) == (SeriesStatus.ARRIVING, 2)
    assembly.association_closed("b")
    state = only(assembly)
    assert (state.status, state.revision, state.n_slices, state.key) == (SeriesStatus.COMPLETE, 2, 5, key)
    assert assembly.assembled(key).series.signal.shape[1] == 5
    assert first.signal.shape[1] == 4


def test_a_late_echo_in_a_series_of_its_own_counts_as_late():
    images = acquisition(per_echo=True)
    assembly = fill(Assembly(), [image for image in images if image.echo_time_s < 0.004])
    assert only(assembly).status is SeriesStatus.COMPLETE
    fill(assembly, [image for image in images if image.echo_time_s > 0.004], association="b", first_seq=16)
    assert (len(only(assembly).echo_times_s), only(assembly).revision) == (4, 2)


def test_filling_the_holes_of_an_incomplete_series_completes_its_first_revision():
    images = acquisition()
    assembly = fill(Assembly(), images[1:])
    fill(assembly, images[:1], association="b", first_seq=21)
    assert (only(assembly).status, only(assembly).revision) == (SeriesStatus.COMPLETE, 1)


def test_an_identical_image_is_harmless_even_late():
    images = acquisition()
    assembly = fill(Assembly(), images)
    before = only(assembly)
    fill(assembly, [replace(images[3], sop_instance_uid="7.7")], association="b", first_seq=21)
    assert only(assembly) == before


def test_one_series_per_echo_is_one_acquisition_named_by_its_first_echo():
    assembly = fill(Assembly(), acquisition(per_echo=True)[::-1])
    state = only(assembly)
    assert state.series_instance_uids == tuple(f"1.2.3.{echo}" for echo in range(4))
    assert state.reason == "complete: grid 4 × 5 full and its association closed"
    assert assembly.assembled(state.key).series.series_instance_uid == "1.2.3.0"


@pytest.mark.parametrize("per_echo", [False, True], ids=["one series", "one series per echo"])
def test_the_same_protocol_minutes_later_is_another_acquisition(per_echo):
    images = [
        image
        for k in range(4)
        for image in acquisition(uid=f"1.2.{k}", seed=k, start=START + timedelta(minutes=5 * k), per_echo=per_echo)
    ]
    random.Random(5).shuffle(images)
    states = fill(Assembly(), images).states()
    assert [state.acquired_at.minute for state in states] == [12, 17, 22, 27]
    assert all(state.status is SeriesStatus.COMPLETE and state.received == 20 for state in states)
    assert len({state.key for state in states}) == 4


def test_two_acquisitions_a_breath_hold_apart_stay_two_though_each_echo_is_a_series():
    images = acquisition(per_echo=True) + acquisition(
        uid="1.2.4", seed=1, per_echo=True, start=START + timedelta(seconds=10)
    )
    random.Random(2).shuffle(images)
    assert [state.received for state in fill(Assembly(), images).states()] == [20, 20]


def test_repetitions_in_one_series_are_acquisitions_of_their_own():
    images = acquisition() + acquisition(seed=1, start=START + timedelta(seconds=20), acquisition_number=2)
    states = fill(Assembly(), images).states()
    assert [state.status for state in states] == [SeriesStatus.COMPLETE] * 2
    assert len({state.key for state in states}) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"frame_of_reference_uid": "1.10"},
        {"study_instance_uid": "1.10"},
        {"protocol": "other"},
        {"pixel_spacing_mm": (3.0, 3.0)},
        {"row_direction": (0.0, 0.0, -1.0)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_differs_in_space_or_protocol_is_not_joined(change):
    images = acquisition(per_echo=True)
    images = [replace(image, **change) if image.echo_time_s > 0.003 else image for image in images]
    assert len(fill(Assembly(), images).states()) >= 2


@pytest.mark.parametrize("kind", [kind for kind in ImageKind if kind is not ImageKind.MAGNITUDE])
@pytest.mark.parametrize("own_series", [False, True], ids=["same series", "own series"])
def test_other_kinds_are_left_out_and_counted(kind, own_series):
    others = acquisition(kind=kind, seed=9, uid="1.2.4" if own_series else "1.2.3")
    state = only(fill(Assembly(), acquisition() + others))
    assert (state.status, state.received, state.left_out) == (SeriesStatus.COMPLETE, 20, 20)
    assert state.holmium_refusal is None


def test_a_field_map_without_echo_time_is_left_out():
    images = acquisition() + acquisition(echoes=(0.0,), seed=4)
    state = only(fill(Assembly(), images))
    assert (state.echo_times_s, state.left_out, state.status) == (ECHOES, 5, SeriesStatus.COMPLETE)


def test_declared_counts_must_be_reached():
    echoes = only(fill(Assembly(), acquisition(declared_echoes=6)))
    assert echoes.status is SeriesStatus.INCOMPLETE
    assert echoes.reason == "incomplete: the header declares 6 echoes, 4 have come"
    images = only(fill(Assembly(), acquisition(declared_images=24)))
    assert images.reason == "incomplete: the header declares 24 images, 20 have come"
    assert only(fill(Assembly(), acquisition(declared_images=20, declared_echoes=4))).status is SeriesStatus.COMPLETE


def test_changed_names_what_changed_since_the_last_call():
    assembly = fill(Assembly(), acquisition())
    (key,) = assembly.changed()
    assert assembly.changed() == frozenset()
    fill(assembly, acquisition(uid="1.2.4", start=START + timedelta(minutes=5)), association="b")
    assert key not in assembly.changed()


def test_a_key_given_while_arriving_still_finds_its_acquisition():
    assembly = Assembly()
    images = acquisition(per_echo=True)
    fill(assembly, [image for image in images if image.echo_time_s > 0.004], close=False)
    early = only(assembly).key
    fill(assembly, [image for image in images if image.echo_time_s < 0.004])
    assert early != only(assembly).key
    assert assembly.resolve(early) == only(assembly).key
    assert assembly.resolve("nothing") is None
    with pytest.raises(KeyError, match="no series"):
        assembly.assembled("nothing")


@pytest.mark.parametrize("per_echo", [False, True], ids=["one series", "one series per echo"])
def test_assembling_is_a_matter_of_milliseconds(per_echo):
    echoes = tuple(0.0012 * (n + 1) for n in range(10))
    assembly = Assembly()
    for k in range(8):
        fill(
            assembly,
            acquisition(
                n_slices=32, echoes=echoes, uid=f"1.3.{k}", start=START + timedelta(minutes=k), per_echo=per_echo
            ),
            association=f"early {k}",
        )
    assembly.expect(echoes, 32)
    images = acquisition(
        n_slices=32, echoes=echoes, uid="1.2.9", start=START + timedelta(hours=1), shape=(128, 128), per_echo=per_echo
    )
    fill(assembly, images, association="b")
    series = assembly.assembled(assembly.states()[-1].key).series
    assert series.signal.shape == (10, 32, 128, 128)


def real(folder, assembly):
    files = sorted(path for path in folder.iterdir() if path.name != "LICENSE")
    random.Random(3).shuffle(files)
    for seq, path in enumerate(files, 1):
        assembly.add(decode(path.read_bytes(), time_zone=AMSTERDAM).images, seq=seq, association="a")
    assembly.association_closed("a")
    return only(assembly)


def test_siemens_six_echoes_are_complete_and_their_phase_is_left_out(real_data):
    assembly = Assembly()
    state = real(real_data / "siemens_gre_6echo", assembly)
    assert state.reason == "complete: grid 6 × 10 full and its association closed"
    assert (state.holmium_refusal, state.left_out) == (None, 60)
    series = assembly.assembled(state.key).series
    assert series.signal.shape == (6, 10, 76, 128)
    assert series.grid.spacing_mm == pytest.approx((3.0, 2.1875, 2.1875))
    assert series.acquired_at.isoformat() == "2019-11-01T16:21:02.230000+01:00"
    assert np.all(np.diff([np.median(echo[echo > 100]) for echo in series.signal]) < 0)


def test_siemens_xa_joins_the_echoes_of_two_enhanced_objects(real_data):
    assembly = Assembly()
    state = real(real_data / "siemens_xa30_enhanced_2echo", assembly)
    assert state.reason == "complete: grid 2 × 33 full and its association closed"
    assert (state.echo_times_s, state.left_out) == ((0.01, 0.01246), 33)
    assert state.holmium_refusal == "2 echoes; a holmium series needs at least three."
    assert assembly.assembled(state.key).series.grid.spacing_mm == pytest.approx((3.4, 3.375, 3.375), abs=1e-4)


def test_philips_two_echoes_are_anatomy_but_no_holmium_series(real_data):
    state = real(real_data / "philips_enhanced_2echo", Assembly())
    assert state.reason == "complete: grid 2 × 13 full and its association closed"
    assert (state.received, state.left_out) == (26, 78)
    assert state.holmium_refusal == "2 echoes; a holmium series needs at least three."


def test_a_siemens_spin_echo_is_refused_and_its_holes_are_named(real_data):
    state = real(real_data / "siemens_spin_echo", Assembly())
    assert state.holmium_refusal.startswith("Spin echo: its decay is T2, not T2*")
    assert state.status is SeriesStatus.INCOMPLETE
    assert state.reason.startswith("incomplete: 5 of 12 images missing (slice 3: all echoes;")


def test_a_stack_is_found_by_any_geometry_within_rounding():
    """Stacks are kept in buckets; what matches must be found though it falls into the next bucket."""
    random_numbers = np.random.default_rng(5)
    known = Stacks()
    for _ in range(60):
        row, column = np.linalg.qr(random_numbers.normal(size=(3, 2)))[0].T
        position = random_numbers.uniform(-200, 200, 3)
        made = geometry_with(row, column, position)
        stack = Stack(made, "1.8", "1.9", "gre", 1)
        known.add(stack)
        for _ in range(20):
            near = geometry_with(
                row + random_numbers.uniform(-9e-4, 9e-4, 3), column + random_numbers.uniform(-9e-4, 9e-4, 3), position
            )
            moved = replace(near, in_plane_mm=tuple(made.in_plane_mm + random_numbers.uniform(-0.24, 0.24, 2)))
            assert moved.matches(made)
            assert known.find(moved) is stack
    assert known.find(geometry_with((1, 0, 0), (0, 1, 0), (900, 900, 0))) is None


def geometry_with(row, column, position):
    return Geometry(
        matrix=(6, 8),
        row_direction=tuple(map(float, row)),
        column_direction=tuple(map(float, column)),
        pixel_spacing_mm=(3.0, 2.5),
        in_plane_mm=(float(np.dot(position, row)), float(np.dot(position, column))),
    )
