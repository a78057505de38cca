"""What holds of every vendor's files, from the bytes to the series; then each vendor's own traps."""

import math
import random
from dataclasses import replace
from datetime import timedelta
from functools import cache, lru_cache
from itertools import chain
from zoneinfo import ZoneInfo

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_listener.assembly import Assembly
from dicom_listener.decode import decode
from dicom_listener.images import ImageKind, SeriesStatus

from .vendors import (
    ECHO_TIMES_S,
    LEFT_OUT_PER_MAGNITUDE,
    STORED_MAXIMUM,
    VENDORS,
    I,
    M,
    P,
    R,
    Truth,
    ge,
    later,
    phantom,
    philips_classic,
    philips_enhanced,
    put_philips_counts,
    rewritten,
    siemens_v,
    siemens_xa_classic,
    siemens_xa_enhanced,
    uid,
)

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
COMPLETE, INCOMPLETE, ARRIVING = SeriesStatus.COMPLETE, SeriesStatus.INCOMPLETE, SeriesStatus.ARRIVING
EXTRA = (" moved block", " unknown representation", " all kinds", "Philips enhanced with map")
EVERY = pytest.mark.parametrize("vendor", VENDORS)
EACH = pytest.mark.parametrize(
    "vendor", [name for name in VENDORS if "phase" not in name and name.split(",")[-1] not in EXTRA]
)
"""Each vendor once: what costs most need not be shown with and without phase."""
CLASSIC = pytest.mark.parametrize(
    "write", [siemens_v, siemens_xa_classic, ge, philips_classic], ids=lambda write: write.__name__
)


@lru_cache(maxsize=4096)
def decoded(data):
    return decode(data, time_zone=AMSTERDAM)


def send(assembly, files, association="a", *, close=True):
    """One association; the events go on counting where the last one ended."""
    for data in files:
        seq = assembly.seq = getattr(assembly, "seq", 0) + 1
        found = decoded(data)
        assert found.images, found.reason
        assembly.add(found.images, seq=seq, association=association)
    if close:
        assembly.association_closed(association)
    return assembly


def received(*associations):
    assembly = Assembly()
    for number, files in enumerate(associations):
        send(assembly, files, str(number))
    return assembly


def only(assembly):
    (state,) = assembly.states()
    return state


def series_of(assembly, state=None):
    return assembly.assembled((state or only(assembly)).key).series


def quantum(vendor, truth):
    """Half a stored step, in the signal's unit: whole numbers, or Philips' 12 bits over each image's own range."""
    return 0.5001 if "Philips" not in vendor else 0.51 * float(truth.signal.max()) / STORED_MAXIMUM


def assert_shows(series, truth, tolerance):
    signal, affine = truth.ascending()
    assert series.echo_times_s == truth.echo_times_s
    np.testing.assert_allclose(series.grid.affine_lps_mm, affine, atol=1e-3)
    assert series.grid.frame_of_reference_uid == truth.grid.frame_of_reference_uid
    np.testing.assert_allclose(series.signal, signal, atol=tolerance, rtol=1e-5)


@cache
def written_by(vendor):
    """The files of one acquisition; written once for all laws."""
    return VENDORS[vendor](phantom())


def mixed(files, seed):
    files = list(files)
    random.Random(seed).shuffle(files)
    return files


# -- every vendor ----------------------------------------------------------------------------------------------------


@EVERY
def test_the_signal_the_echo_times_and_the_place_come_back(vendor):
    truth = phantom()
    assembly = received(written_by(vendor))
    state = only(assembly)
    assert (state.status, state.holmium_refusal, state.revision) == (COMPLETE, None, 1)
    assert state.reason == "complete: grid 3 × 4 full and its association closed"
    assert (state.received, state.expected) == (12, 12)
    assert state.left_out == round(12 * LEFT_OUT_PER_MAGNITUDE.get(vendor, 0))
    assert state.acquired_at.replace(tzinfo=None) - truth.started_at < timedelta(seconds=0.01)
    assert_shows(series_of(assembly), truth, quantum(vendor, truth))


@EVERY
def test_the_order_of_arrival_changes_nothing(vendor):
    files = written_by(vendor)
    straight = received(files)
    for seed in range(3):
        other = received(mixed(files, seed))
        assert replace(only(other), last_seq=0) == replace(only(straight), last_seq=0)
        assert np.array_equal(series_of(other).signal, series_of(straight).signal)


@EACH
def test_instance_numbers_change_nothing(vendor):
    files = written_by(vendor)
    numbers = mixed(range(1, len(files) + 1), 5)
    scrambled = [
        rewritten(data, lambda made, n=number: setattr(made, "InstanceNumber", n))
        for data, number in zip(files, numbers, strict=True)
    ]
    assert replace(only(received(scrambled)), last_seq=0) == replace(only(received(files)), last_seq=0)
    assert np.array_equal(series_of(received(scrambled)).signal, series_of(received(files)).signal)


@EVERY
def test_three_associations_at_once_give_one_series(vendor):
    files = written_by(vendor)
    assembly = Assembly()
    for number in range(3):
        send(assembly, files[number::3], str(number), close=False)
    assert only(assembly).status is ARRIVING
    for number in range(3):
        assembly.association_closed(str(number))
    assert only(assembly) == replace(only(received(files)), last_seq=only(assembly).last_seq)
    assert (only(assembly).status, only(assembly).revision) == (COMPLETE, 1)


@EVERY
def test_sending_twice_changes_nothing(vendor):
    files = written_by(vendor)
    once = received(files)
    assert only(received(files, files)) == only(once)
    assert only(received(files + files)) == only(once)


@EACH
def test_five_acquisitions_sent_late_in_one_association_are_five_by_time(vendor):
    truths = [later(phantom((2, 6, 5)), 7 * n, gain=1.0 - 0.1 * n) for n in range(5)]
    assembly = received(mixed([data for truth in truths for data in VENDORS[vendor](truth)], 8))
    states = assembly.states()
    assert [(s.status, s.received) for s in states] == [(COMPLETE, 6)] * 5
    assert [(s.acquired_at - states[0].acquired_at).total_seconds() for s in states] == [420.0 * n for n in range(5)]
    for state, truth in zip(states, truths, strict=True):
        assert_shows(series_of(assembly, state), truth, quantum(vendor, truth))


@EACH
def test_two_protocols_in_one_association_stay_two(vendor):
    truth = phantom()
    other = replace(truth, protocol="gre_other", name="other", number=9, signal=truth.signal * 0.5)
    assembly = received(mixed(written_by(vendor) + VENDORS[vendor](other), 4))
    by_protocol = {state.protocol: state for state in assembly.states()}
    assert set(by_protocol) == {"gre_holmium", "gre_other"}
    assert {state.status for state in by_protocol.values()} == {COMPLETE}
    assert_shows(series_of(assembly, by_protocol["gre_other"]), other, quantum(vendor, other))


@EACH
def test_a_spin_echo_is_refused_with_its_reason(vendor):
    state = only(received(VENDORS[vendor](replace(phantom(), scanning_sequence="SE"))))
    assert state.holmium_refusal == (
        "Spin echo: its decay is T2, not T2*; a holmium series must be a multi-echo gradient echo."
    )


# -- every vendor's classic images -----------------------------------------------------------------------------------


@CLASSIC
def test_a_transfer_that_stops_is_incomplete_and_a_later_association_completes_it(write):
    files = write(phantom())
    missing = [n for n, data in enumerate(files) if shows(data, echo=2, index=1)]
    rest = [data for n, data in enumerate(files) if n not in missing]
    assembly = send(Assembly(), rest)
    state = only(assembly)
    assert state.status is INCOMPLETE
    assert state.reason.startswith("incomplete: 1 of 12 images missing (echo 3: slice 2)")
    assert series_of(assembly) is None
    send(assembly, [files[n] for n in missing], "later")
    assert (only(assembly).status, only(assembly).revision) == (COMPLETE, 1)
    assert series_of(assembly).signal.shape == (3, 4, 12, 10)


def shows(data, *, echo, index):
    """Whether a file is of this echo and slice of the upright phantom; GE's real and imaginary images go with it."""
    (image,) = decoded(data).images
    place = phantom().position(index)
    return image.echo_time_s == ECHO_TIMES_S[echo] and np.allclose(image.position_mm, place, atol=1e-3)


@CLASSIC
def test_repetitions_are_acquisitions_of_their_own_and_never_averaged(write):
    first = phantom()
    second = replace(first, repetition=2, signal=first.signal * 0.8)
    options = {"dynamics": 2} if write is philips_classic else {}
    # One series: the second repetition has the first one's series UID, and other instance UIDs.
    files = write(first, **options)
    again = [rewritten(data, renamed) for data in write(second, **options)]
    assembly = received(mixed(files + again, 2))
    states = assembly.states()
    assert [state.status for state in states] == [COMPLETE, COMPLETE]
    assert len({state.key for state in states}) == 2
    found = sorted((series_of(assembly, state) for state in states), key=lambda series: -series.signal.max())
    for series, truth in zip(found, (first, second), strict=True):
        assert_shows(series, truth, 0.51)


def renamed(dataset):
    dataset.SOPInstanceUID += ".2"


@CLASSIC
def test_equal_echo_and_slice_with_other_pixels_is_refused_and_with_equal_pixels_harmless(write):
    files = write(phantom())
    (at,) = [n for n, data in enumerate(files) if shows(data, echo=1, index=2) and is_magnitude(data)]
    same = rewritten(files[at], renamed)
    assert only(received([*files, same])) == only(received(files))

    def changed(dataset):
        renamed(dataset)
        dataset.PixelData = bytes(len(dataset.PixelData))

    for order in ([*files, rewritten(files[at], changed)], [rewritten(files[at], changed), *files]):
        state = only(received(order))
        assert state.status is INCOMPLETE
        assert state.holmium_refusal == (
            "Two different images for echo 2, slice 3; they are not averaged. A repetition must have its own "
            "acquisition number."
        )


def is_magnitude(data):
    return decoded(data).images[0].kind is ImageKind.MAGNITUDE


@CLASSIC
def test_a_field_map_and_a_derived_map_in_the_series_are_left_out(write):
    files = write(phantom())
    maps = [data for data in files if is_magnitude(data) and decoded(data).images[0].echo_time_s == ECHO_TIMES_S[0]]

    def field_map(dataset):
        renamed(dataset)
        dataset.EchoTime = "0"
        dataset.PixelData = bytes(len(dataset.PixelData))

    def r2star_map(dataset):
        dataset.SOPInstanceUID += ".3"
        dataset.ImageType = ["DERIVED", "PRIMARY", "R2_STAR MAP", "ND"]
        dataset.PixelData = bytes(len(dataset.PixelData))

    plain = only(received(files))
    state = only(
        received([*files, *(rewritten(d, field_map) for d in maps), *(rewritten(d, r2star_map) for d in maps)])
    )
    assert state == replace(plain, left_out=plain.left_out + 8, last_seq=state.last_seq)
    assert state.holmium_refusal is None


# -- Siemens ---------------------------------------------------------------------------------------------------------


def test_echoes_in_series_of_their_own_are_one_acquisition_and_their_phase_is_found():
    truth = phantom()
    assembly = received(mixed(siemens_v(truth, series_per_echo=True, phase=True), 1))
    state = only(assembly)
    assert (len(state.series_instance_uids), state.left_out) == (3, 12)
    turned = np.exp(1j * (series_of(assembly).phase_rad - truth.phase()))
    assert np.abs(np.angle(turned)).max() <= math.pi / 4000


@pytest.mark.parametrize("series_per_echo", [False, True], ids=["one series", "a series per echo"])
def test_the_normalised_and_the_unfiltered_twin_of_an_acquisition_are_never_mixed(series_per_echo):
    """With "unfiltered images" on, two series of each echo come, of the same time and place."""
    plain, filtered = phantom(), replace(phantom(), signal=phantom().signal * 1.5)
    for seed in range(4):
        twins = [
            siemens_v(truth, series_per_echo=series_per_echo, words=words, series=f"{words[0]} {seed} ")
            for truth, words in ((plain, ("ND",)), (filtered, ("NORM", "DIS2D")))
        ]
        assembly = received(mixed(chain(*twins), seed))
        states = assembly.states()
        assert [(state.status, state.received) for state in states] == [(COMPLETE, 12)] * 2
        found = sorted((series_of(assembly, state) for state in states), key=lambda series: series.signal.max())
        for series, truth in zip(found, (plain, filtered), strict=True):
            assert_shows(series, truth, 0.51)


@pytest.mark.parametrize("words", [("ND",), ("ND", "NORM"), ("NORM", "DIS2D"), ("NORM", "DIS3D", "FIL")])
def test_the_filters_of_siemens_leave_a_magnitude_a_magnitude(words):
    assert only(received(siemens_v(phantom(), words=words))).holmium_refusal is None


def test_a_mosaic_is_refused_by_the_name_of_its_series():
    def mosaic(dataset):
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]

    found = decoded(rewritten(siemens_v(phantom())[0], mosaic))
    assert found.images == ()
    assert found.reason == (
        "Series 6 (gre_holmium) is a mosaic: one image holds all slices of a volume. Holmia does not read mosaics; "
        "send a multi-echo gradient echo."
    )


def test_an_echo_of_xa_that_never_came_is_said_against_the_reference():
    """An enhanced object per echo leaves a full grid of fewer echoes: no header tells, the reference does."""
    files = siemens_xa_enhanced(phantom())
    assembly = Assembly()
    assembly.expect(ECHO_TIMES_S, 4)
    send(assembly, files[:2], close=False)
    assert only(assembly).reason == "arriving: 8 of 12 images"
    assembly.association_closed("a")
    assert only(assembly).reason.endswith("(the reference has 3 echoes × 4 slices)")
    assert only(assembly).holmium_refusal == "2 echoes; a holmium series needs at least three."
    send(assembly, files[2:], "later")
    assert only(assembly).reason == "complete: 3 echoes × 4 slices, same as the reference"
    assert only(assembly).revision == 2


def test_enhanced_repetitions_in_objects_of_their_own_stay_apart():
    """TemporalPositionIndex does not vary within an object; NumberOfTemporalPositions says that it does between."""

    def second(dataset):
        dataset.SOPInstanceUID += ".2"

    def of_two(position):
        def change(dataset):
            dataset.NumberOfTemporalPositions = 2
            for frame in dataset.PerFrameFunctionalGroupsSequence:
                frame.FrameContentSequence[0].TemporalPositionIndex = position

        return change

    truth = phantom()
    first = [rewritten(data, of_two(1)) for data in siemens_xa_enhanced(truth)]
    dimmer = siemens_xa_enhanced(replace(truth, signal=truth.signal * 0.7))
    again = [rewritten(rewritten(data, second), of_two(2)) for data in dimmer]
    assert [state.status for state in received(mixed(first + again, 1)).states()] == [COMPLETE, COMPLETE]


# -- GE --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian], ids=["implicit", "explicit"])
@pytest.mark.parametrize(("block", "code_vr"), [(0x10, "SS"), (0x31, "SS"), (0x10, "UN"), (0x31, "UN")])
def test_ge_kinds_are_told_by_the_private_code_wherever_it_stands(syntax, block, code_vr):
    files = ge(phantom((1, 4, 5)), kinds=(M, P, R, I), block=block, code_vr=code_vr, syntax=syntax)
    kinds = [ImageKind.MAGNITUDE, ImageKind.PHASE, ImageKind.REAL, ImageKind.IMAGINARY]
    assert [decoded(data).images[0].kind for data in files] == kinds * 3


def test_ge_phase_in_the_same_series_is_kept():
    truth = phantom()
    noisy = replace(truth, phase_rad=np.random.default_rng(3).uniform(-np.pi, np.pi, truth.shape()))
    series = series_of(received(ge(noisy, kinds=(M, P))))
    np.testing.assert_allclose(series.phase_rad, noisy.phase(), atol=0.6e-3)


def test_a_research_sequence_that_repeats_the_first_echo_time_is_refused():
    state = only(received(ge(phantom(), kinds=(M,), research=True)))
    assert state.status is INCOMPLETE
    assert state.holmium_refusal == (
        "All echo times are equal (1.23 ms) in 3 images of each slice; the echoes cannot be told apart. Correct the "
        "echo times at the scanner or before sending."
    )


def test_a_ge_series_of_real_and_imaginary_images_only_says_so():
    files = ge(phantom(), kinds=(R, I))
    assembly = send(Assembly(), files, close=False)
    assert assembly.states() == ()
    assembly.association_closed("a")
    state = only(assembly)
    assert (state.status, state.received, state.expected, state.left_out) == (INCOMPLETE, 0, 12, 24)
    assert state.holmium_refusal == (
        "No magnitude images: 24 real or imaginary images have come, and Holmia does not combine them. Have the "
        "scanner reconstruct and send the magnitude."
    )
    assert (state.echo_times_s, state.n_slices, state.field_strength_t) == (ECHO_TIMES_S, 4, 3.0)
    assert series_of(assembly) is None
    assert assembly.resolve(state.key) == state.key
    assert assembly.changed() == {state.key}
    # The magnitude comes after all: the series is one as any other, under the same key.
    send(assembly, ge(phantom(), kinds=(M,)), "later")
    assert (only(assembly).key, only(assembly).status, only(assembly).left_out) == (state.key, COMPLETE, 24)


def test_phase_or_derived_images_alone_are_no_series():
    phase = [data for data in siemens_v(phantom(), phase=True) if not is_magnitude(data)]
    assert received(phase).states() == ()


def test_repetitions_by_temporal_position_are_told_apart_on_ge_too():
    def second(dataset):
        renamed(dataset)
        dataset.TemporalPositionIdentifier = 2

    def several(dataset):
        dataset.NumberOfTemporalPositions, dataset.TemporalPositionIdentifier = 2, 1
        dataset.ImagesInAcquisition = 24

    truth = phantom()
    first = [rewritten(data, several) for data in ge(truth, kinds=(M,))]
    dimmer = ge(replace(truth, signal=truth.signal * 0.7), kinds=(M,))
    again = [rewritten(rewritten(data, several), second) for data in dimmer]
    states = received(mixed(first + again, 3)).states()
    assert [(state.status, state.received) for state in states] == [(COMPLETE, 12)] * 2


# -- Philips ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [philips_classic, philips_enhanced], ids=["classic", "enhanced"])
def test_what_is_displayed_is_not_the_signal(write):
    """The displayed values of two echoes are not on one scale: without (2005,100E) the decay would be wrong."""
    truth = phantom()
    (first, last) = (truth.signal[0, 1].max(), truth.signal[2, 1].max())
    series = series_of(received(write(truth, kinds=(M,))))
    assert series.signal[2, 1].max() / series.signal[0, 1].max() == pytest.approx(last / first, rel=1e-3)


def test_philips_images_displayed_with_different_slopes_are_refused_without_their_scale_slope():
    files = philips_classic(phantom(), scale_slope=False)
    assert "scale slope (2005,100E) is missing" in decoded(files[0]).reason
    state = only(received(files))
    assert (state.status, state.received) == (COMPLETE, 12)
    assert state.holmium_refusal == (
        "The Philips scale slope (2005,100E) is missing, and the images are displayed with different slopes; the decay "
        "cannot be recovered. Send the series with its private attributes."
    )
    # One that lost it among others that have it is no better; one slope for all is one factor for all.
    assert only(received([*philips_classic(phantom())[:-1], files[-1]])).holmium_refusal == state.holmium_refusal
    alike = [rewritten(data, lambda made: setattr(made, "RescaleSlope", "1.5")) for data in files]
    assert only(received(alike)).holmium_refusal is None


def test_every_kind_of_a_philips_object_has_its_own_rescale_pair():
    truth = phantom((1, 6, 5))
    (data,) = philips_enhanced(truth, with_map=True)
    letters = {ImageKind.MAGNITUDE: M, ImageKind.REAL: R, ImageKind.IMAGINARY: I, ImageKind.PHASE: P}
    images = decoded(data).images
    assert [image.kind for image in images[-1:]] == [ImageKind.DERIVED]
    for image in images[:-1]:
        echo = ECHO_TIMES_S.index(image.echo_time_s)
        step = 0.6 * 2 * max(1.0, truth.signal[echo].max()) / STORED_MAXIMUM
        np.testing.assert_allclose(image.signal, truth.part(letters[image.kind], echo, 0), atol=step)


def test_the_half_voxel_position_of_the_private_group_is_not_used():
    truth = phantom()
    (data,) = philips_enhanced(truth, kinds=(M,))
    source = pydicom.dcmread(pydicom.filebase.DicomBytesIO(data))
    hidden = source.PerFrameFunctionalGroupsSequence[0][0x2005, 0x100F].value[0]
    assert not np.allclose(hidden.ImagePositionPatient, truth.position(0), atol=1.0)
    assert decoded(data).images[0].position_mm == pytest.approx(tuple(truth.position(0)), abs=1e-6)


def test_an_aborted_scan_names_its_holes():
    state = only(received(philips_enhanced(phantom(), kinds=(M,), drop={(2, 2), (1, 3), (2, 3)})))
    assert state.reason == "incomplete: 3 of 12 images missing (echo 2: slice 4; echo 3: slice 3, 4)"


@pytest.mark.parametrize("write", [philips_classic, philips_enhanced], ids=["classic", "enhanced"])
def test_a_scan_whose_last_slices_are_missing_on_all_echoes_is_not_complete(write):
    """Its grid is full, and there may be no reference yet: only (2001,1018) tells."""
    files = write(phantom(), kinds=(M,))
    if write is philips_classic:
        files = [data for data in files if not any(shows(data, echo=e, index=3) for e in range(3))]
    else:
        files = write(phantom(), kinds=(M,), drop={(echo, 3) for echo in range(3)})
    state = only(received(files))
    assert (state.status, state.received, state.expected) == (INCOMPLETE, 9, 12)
    assert state.reason == "incomplete: the header declares 4 slices, 3 have come"


def test_a_survey_of_three_stacks_is_not_held_to_the_slices_of_all():
    def three_stacks(dataset):
        put_philips_counts(dataset, phantom(), declared_slices=12)
        dataset.private_block(0x2001, "Philips Imaging DD 001").add_new(0x60, "SL", 3)

    files = [rewritten(data, three_stacks) for data in philips_classic(phantom())]
    assert only(received(files)).status is COMPLETE


def test_philips_dynamics_are_told_by_their_temporal_position():
    truths = [replace(phantom(), repetition=n, signal=phantom().signal / n) for n in (1, 2, 3)]
    files = [
        rewritten(data, lambda made, n=n: setattr(made, "SOPInstanceUID", f"{made.SOPInstanceUID}.{n}"))
        for n, truth in enumerate(truths)
        for data in philips_classic(truth, dynamics=3)
    ]
    assert [(s.status, s.received) for s in received(mixed(files, 1)).states()] == [(COMPLETE, 12)] * 3


# -- what headers declare --------------------------------------------------------------------------------------------


def test_a_count_of_the_acquisition_is_reached_though_phase_goes_to_another_series():
    files = siemens_v(phantom(), phase=True, declared=24)
    magnitude, phase = files[:12], files[12:]
    assembly = send(Assembly(), magnitude)
    assert only(assembly).reason == "incomplete: the header declares 24 images, 12 have come"
    send(assembly, phase, "later")
    assert (only(assembly).status, only(assembly).left_out) == (COMPLETE, 12)


@pytest.mark.parametrize("declared", [4, 12], ids=["of the series", "of the acquisition"])
def test_a_count_of_the_series_or_of_the_acquisition_is_reached_by_a_series_per_echo(declared):
    assert only(received(siemens_v(phantom(), series_per_echo=True, declared=declared))).status is COMPLETE


def test_six_short_series_do_not_make_up_for_what_each_declares():
    """Each echo's series declares 4 images and has 3: that 9 have come in all is no answer."""
    files = [d for d in siemens_v(phantom(), series_per_echo=True, declared=4) if not shows_slice(d, 3)]
    assert only(received(files)).reason == "incomplete: the header declares 4 images, 3 have come"


def shows_slice(data, index):
    return any(shows(data, echo=echo, index=index) for echo in range(3))


def test_a_count_of_the_series_covers_all_its_repetitions():
    first = phantom()
    both = siemens_v(first, declared=24)
    again = siemens_v(replace(first, repetition=2, signal=first.signal * 0.9), declared=24)
    both += [rewritten(data, renamed) for data in again]
    assert [state.status for state in received(both).states()] == [COMPLETE, COMPLETE]
    assert {s.reason for s in received(both[:20]).states()} >= {
        "incomplete: the header declares 24 images, 20 have come"
    }


# -- real files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "n_series"), [("siemens_gre_6echo", 1), ("siemens_xa30_enhanced_2echo", 1), ("siemens_spin_echo", 1)]
)
def test_real_files_are_read_the_same_however_they_come(real_data, folder, n_series):
    """In any order, over three associations, twice, under other instance numbers."""
    files = [path.read_bytes() for path in sorted((real_data / folder).iterdir()) if path.name != "LICENSE"]
    straight = received(files)
    assert len(straight.states()) == n_series
    parts = mixed(files, 7)
    for other in (received(parts), received(parts[::3], parts[1::3], parts[2::3]), received(parts, parts[:9])):
        for found, expected in zip(other.states(), straight.states(), strict=True):
            assert replace(found, last_seq=0, revision=1) == replace(expected, last_seq=0)
            one, two = series_of(other, found), series_of(straight, expected)
            assert (one is None) == (two is None)
            assert one is None or np.array_equal(one.signal, two.signal)


def test_a_real_philips_object_declares_its_slices_and_echoes(real_data):
    (path,) = (p for p in (real_data / "philips_enhanced_2echo").iterdir() if p.name != "LICENSE")
    images = decoded(path.read_bytes()).images
    assert {(image.declared_echoes, image.declared_slices) for image in images} == {(2, 13)}


# -- geometry --------------------------------------------------------------------------------------------------------

TRANSVERSE = np.array([[0.0, 0, 1], [0, 1, 0], [1, 0, 0]])
"""Columns: slices to the head, rows to the back, columns to the left."""
PLANES = {
    "transverse": TRANSVERSE,
    "transverse, from head to foot": TRANSVERSE * (-1, 1, 1),
    "coronal": np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]),
    "coronal, reversed": np.array([[0.0, 0, 1], [1, 0, 0], [0, -1, 0]]),
    "sagittal": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "sagittal, reversed": np.array([[-1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "feet first, as lying": TRANSVERSE * (1, 1, -1) * (-1, 1, 1),
    "prone": TRANSVERSE * (1, -1, -1),
}
"""Head or feet first, supine or prone: positions are in the patient's own axes, so only the directions differ."""


def turned(directions, angles_deg):
    """Turn by Rodrigues' formula about x, then y, then z."""
    for axis, angle in enumerate(np.deg2rad(angles_deg)):
        k = np.cross(np.eye(3), np.eye(3)[axis]).T
        directions = (np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k) @ directions
    return directions


def asymmetric(directions, spacing=(5.5, 2.1, 1.7), shape=(3, 7, 9), origin=(-31.25, 17.5, -402.75)):
    affine = np.eye(4)
    affine[:3, :3] = directions * np.asarray(spacing)
    affine[:3, 3] = origin
    signal = np.random.default_rng(11).integers(1, 900, (3, *shape)).astype(np.float32)
    grid = replace(phantom().grid, shape=shape, affine_lps_mm=affine)
    return Truth(signal=signal, grid=grid)


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("tilt", [(0, 0, 0), (18, 0, 0), (-23, 14, 9)], ids=["straight", "oblique", "doubly oblique"])
@pytest.mark.parametrize("write", [siemens_v, philips_enhanced], ids=["classic", "enhanced"])
def test_voxels_lie_where_the_patient_was(write, plane, tilt):
    truth = asymmetric(turned(PLANES[plane], tilt))
    assembly = received(mixed(write(truth), 6))
    assert only(assembly).holmium_refusal is None
    assert_shows(series_of(assembly), truth, 0.51)


def test_interleaved_acquisition_does_not_change_the_order_of_slices():
    """Odd slices first, then even: the time of a slice is not its place."""
    truth = asymmetric(TRANSVERSE, shape=(5, 7, 9))
    order = [0, 2, 4, 1, 3]

    def interleaved(dataset):
        index = round((float(dataset.ImagePositionPatient[2]) + 402.75) / 5.5)
        when = truth.started_at + timedelta(seconds=0.4 * order.index(index))
        dataset.AcquisitionTime, dataset.InstanceNumber = f"{when:%H%M%S.%f}", 1 + order.index(index)

    files = [rewritten(data, interleaved) for data in siemens_v(truth, series_per_echo=True)]
    assert_shows(series_of(received(files)), truth, 0.51)


@pytest.mark.parametrize("stated", ["-5.5", "0.1", "44", None])
def test_the_distance_of_slices_comes_from_positions_alone(stated):
    def said(dataset):
        dataset.SliceThickness, dataset.SpacingBetweenSlices = "3", stated

    files = [rewritten(data, said) for data in siemens_v(asymmetric(TRANSVERSE))]
    assert series_of(received(files)).grid.spacing_mm == pytest.approx((5.5, 2.1, 1.7))


def test_irregular_spacing_is_refused():
    def moved(dataset):
        if float(dataset.ImagePositionPatient[2]) > -395:
            dataset.ImagePositionPatient[2] = float(dataset.ImagePositionPatient[2]) + 1.5

    state = only(received([rewritten(data, moved) for data in siemens_v(asymmetric(TRANSVERSE))]))
    assert state.status is INCOMPLETE
    assert state.holmium_refusal == (
        "The slices are irregularly spaced (5.50 to 7.00 mm apart); a map needs one distance."
    )


def test_one_slice_is_refused():
    state = only(received(siemens_v(asymmetric(TRANSVERSE, shape=(1, 7, 9)))))
    assert state.holmium_refusal == ("1 slice; the distance between slices is unknown, so no volume can be computed.")


def test_another_frame_of_reference_is_another_series():
    def elsewhere(dataset):
        dataset.FrameOfReferenceUID = uid("after the patient was taken out")

    files = siemens_v(phantom(), series_per_echo=True)
    moved = [rewritten(data, elsewhere) if shows_echo(data, 2) else data for data in files]
    assert sorted(len(state.echo_times_s) for state in received(moved).states()) == [1, 2]


def shows_echo(data, echo):
    return decoded(data).images[0].echo_time_s == ECHO_TIMES_S[echo]
