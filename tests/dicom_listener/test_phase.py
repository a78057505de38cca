"""Phase images beside the magnitude: their scale, whose grid they fill, and that they change nothing else."""

import math
import random
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_listener.assembly import Assembly
from dicom_listener.decode import decode
from dicom_listener.decode_classic import classic_image
from dicom_listener.images import ImageKind, SeriesStatus
from dicom_listener.phase import common_scale, radians
from dicom_listener.scaling import Scaling, rescale_of
from quantify.model import EchoSeries, Grid

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
ECHOES_MS = (1.2, 2.4, 3.6)
N_SLICES = 4
SHAPE = (12, 16)


def phase_rad(echo, slice_, seed=0):
    """A full turn of noise, as in air, around a body with a phase of its own."""
    phase = np.random.default_rng([seed, echo, slice_]).uniform(-np.pi, np.pi, SHAPE)
    phase[3:9, 4:12] = 0.3 + 0.4 * echo - 0.2 * slice_
    return phase


def stored_phase(vendor, phase):
    """How each vendor writes a phase: (stored values, elements beside them)."""
    if vendor in ("siemens", "siemens rescaled"):
        elements = {"RescaleSlope": "2", "RescaleIntercept": "-4096"} if vendor == "siemens rescaled" else {}
        return np.clip(np.rint((phase / np.pi + 1) * 2048), 0, 4095).astype(np.uint16), elements
    if vendor == "ge":
        return np.rint(phase * 1000).astype(np.int16), {}
    slope = 2 * 3142 / 4094
    stored = np.clip(np.rint((phase * 1000 + 3142) / slope), 0, 4094).astype(np.uint16)
    return stored, {"RescaleSlope": f"{slope:.12f}", "RescaleIntercept": "-3142"}


def image(vendor, kind, echo, slice_, *, seed=0, minute=12, series="1.2.3"):
    """One classic image of a vendor, through decoding."""
    made = Dataset()
    stored = np.random.default_rng([seed, echo, slice_, 7]).integers(100, 900, SHAPE).astype(np.uint16)
    elements = {"RescaleSlope": "1", "RescaleIntercept": "0"} if vendor.startswith("philips") else {}
    if kind is ImageKind.PHASE:
        stored, elements = stored_phase(vendor, phase_rad(echo, slice_, seed))
    is_phase = kind is ImageKind.PHASE
    made.Manufacturer = {"s": "SIEMENS", "g": "GE MEDICAL SYSTEMS", "p": "Philips Medical Systems"}[vendor[0]]
    made.ImageType = ["ORIGINAL", "PRIMARY", "P" if is_phase else "M", "ND"]
    if vendor == "ge":
        made.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
        made.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x2F, "SS", 1 if is_phase else 0)
    if vendor == "philips":
        scale_slope = 4095 / (2 * math.pi) if is_phase else 1.0
        made.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0E, "FL", scale_slope)
    own_series = vendor.startswith("siemens") and is_phase
    made.SeriesInstanceUID = f"{series}.9" if own_series else series
    made.SOPInstanceUID = f"{made.SeriesInstanceUID}.{int(is_phase)}.{echo}.{slice_}"
    made.StudyInstanceUID, made.FrameOfReferenceUID, made.ProtocolName = "1.2", "1.9", "gre"
    made.ScanningSequence, made.MagneticFieldStrength, made.EchoTime = "GR", "3", str(ECHOES_MS[echo])
    made.AcquisitionDate, made.AcquisitionTime = "20260304", f"10{minute}{30 + slice_ // 2}"
    made.AcquisitionNumber = 1
    made.ImagePositionPatient, made.ImageOrientationPatient = [0, 0, 4 * slice_], [1, 0, 0, 0, 1, 0]
    made.PixelSpacing = [3, 3]
    made.Rows, made.Columns = SHAPE
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelRepresentation, made.PixelData = 15, int(stored.dtype.kind == "i"), stored.tobytes()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    (found,), _ = classic_image(made, AMSTERDAM)
    assert found.kind is kind
    return found


def images(vendor, kind, **changes):
    return [image(vendor, kind, e, s, **changes) for s in range(N_SLICES) for e in range(len(ECHOES_MS))]


def fill(assembly, made, association="a", first_seq=1):
    for seq, one in enumerate(made, first_seq):
        assembly.add([one], seq=seq, association=association)
    assembly.association_closed(association)
    return assembly


def only(assembly):
    (state,) = assembly.states()
    return state, assembly.assembled(state.key).series


def expected(seed=0):
    return np.array([[phase_rad(e, s, seed) for s in range(N_SLICES)] for e in range(len(ECHOES_MS))])


def turned(found, truth):
    """Difference of two phases, on the circle."""
    return np.angle(np.exp(1j * (found.astype(np.float64) - truth)))


VENDORS = ["siemens", "siemens rescaled", "ge", "philips", "philips without scale slope"]
STEP_RAD = 2 * math.pi / 4094
M, P = ImageKind.MAGNITUDE, ImageKind.PHASE


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_phase_of_every_vendor_reaches_the_series_in_radians(vendor):
    made = images(vendor, M) + images(vendor, P)
    random.Random(1).shuffle(made)
    state, series = only(fill(Assembly(), made))
    assert (state.status, state.received, state.left_out, state.revision) == (SeriesStatus.COMPLETE, 12, 12, 1)
    assert series.phase_rad.dtype == np.float32
    assert not series.phase_rad.flags.writeable
    assert np.abs(turned(series.phase_rad, expected())).max() <= STEP_RAD + 5e-4  # one step; GE and Philips: 3142 for π


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_magnitude_series_is_the_same_with_and_without_phase(vendor):
    magnitude = images(vendor, M)
    plain_state, plain = only(fill(Assembly(), magnitude))
    state, series = only(fill(Assembly(), magnitude + images(vendor, P)))
    assert plain.phase_rad is None
    assert replace(state, left_out=0) == plain_state
    assert np.array_equal(series.signal, plain.signal)
    assert series.echo_times_s == plain.echo_times_s


@pytest.mark.parametrize("vendor", ["siemens", "ge", "philips"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("asked", [False, True], ids=["asked at the end", "asked after every image"])
def test_the_same_instances_in_any_order_give_the_same_series(vendor, seed, asked):
    made = images(vendor, M) + images(vendor, P)
    _, straight = only(fill(Assembly(), made))
    random.Random(seed).shuffle(made)
    assembly = Assembly()
    for seq, one in enumerate(made, 1):
        assembly.add([one], seq=seq, association="a")
        if asked:
            assembly.series_quiet("1.2.3")  # so that a full part of the grid is complete, and stacked, on the way
            for state in assembly.states():
                assembly.assembled(state.key)
    assembly.association_closed("a")
    _, mixed = only(assembly)
    assert np.array_equal(straight.signal, mixed.signal)
    assert np.array_equal(straight.phase_rad, mixed.phase_rad)


@pytest.mark.parametrize("vendor", ["siemens", "ge"])
def test_a_late_phase_completes_without_a_new_revision(vendor):
    phase = images(vendor, P)
    assembly = fill(Assembly(), images(vendor, M) + phase[1:])
    before, without = only(assembly)
    assert without.phase_rad is None
    fill(assembly, phase[:1], association="b", first_seq=50)
    after, series = only(assembly)
    assert after == replace(before, left_out=12)
    assert np.shares_memory(series.signal, without.signal)
    assert np.array_equal(series.phase_rad, only(fill(Assembly(), images(vendor, M) + phase))[1].phase_rad)
    assert only(assembly)[1] is series


def test_a_late_slice_keeps_the_phase_of_the_others():
    magnitude, phase = images("siemens", M), images("siemens", P)
    assembly = fill(Assembly(), magnitude[:9] + phase[:9])
    assert only(assembly)[1].phase_rad.shape == (3, 3, *SHAPE)
    fill(assembly, phase[9:] + magnitude[9:], association="b", first_seq=50)
    state, series = only(assembly)
    assert state.revision == 2
    assert np.array_equal(series.phase_rad, only(fill(Assembly(), magnitude + phase))[1].phase_rad)


@pytest.mark.parametrize("vendor", ["siemens", "ge", "philips"])
@pytest.mark.parametrize("kept", [slice(1, None), slice(None, None, 2), slice(0, 0)], ids=["but one", "half", "none"])
def test_phase_with_a_hole_is_no_phase(vendor, kept):
    state, series = only(fill(Assembly(), images(vendor, M) + images(vendor, P)[kept]))
    assert state.status is SeriesStatus.COMPLETE
    assert series.phase_rad is None


@pytest.mark.parametrize("vendor", ["siemens", "ge", "philips"])
def test_an_identical_phase_image_is_harmless_and_another_one_is_a_contradiction(vendor):
    assembly = fill(Assembly(), images(vendor, M) + images(vendor, P))
    _, before = only(assembly)
    again = replace(image(vendor, P, 1, 2), sop_instance_uid="7.7")
    fill(assembly, [again], association="b", first_seq=50)
    assert only(assembly)[1] is before
    fill(assembly, [replace(image(vendor, P, 1, 2, seed=3), sop_instance_uid="7.8")], association="c", first_seq=51)
    state, series = only(assembly)
    assert (state.status, state.revision, series.phase_rad) == (SeriesStatus.COMPLETE, 1, None)
    assert np.shares_memory(series.signal, before.signal)


def test_every_acquisition_gets_its_own_phase():
    made = [
        one
        for k in range(3)
        for kind in (M, P)
        for one in images("siemens", kind, seed=k, minute=12 + 5 * k, series=f"1.2.{k}")
    ]
    random.Random(4).shuffle(made)
    assembly = fill(Assembly(), made)
    for k, state in enumerate(assembly.states()):
        found = assembly.assembled(state.key).series.phase_rad
        assert np.abs(turned(found, expected(seed=k))).max() <= 2 * STEP_RAD


@pytest.mark.parametrize("change", [{"echo_time_s": 0.0013}, {"position_mm": (0.0, 0.0, 2.0)}, {"echo_time_s": None}])
def test_phase_of_another_echo_or_place_does_not_count(change):
    phase = images("siemens", P)
    series = only(fill(Assembly(), [*images("siemens", M), replace(phase[0], **change), *phase[1:]]))[1]
    assert series.phase_rad is None


def test_phase_of_an_unknown_scale_is_left_out():
    halved = [replace(one, signal=one.signal / 2) for one in images("siemens", P)]
    state, series = only(fill(Assembly(), images("siemens", M) + halved))
    assert (state.status, state.left_out, series.phase_rad) == (SeriesStatus.COMPLETE, 12, None)


def test_images_of_different_scales_are_not_mixed():
    phase = images("siemens", P)
    phase[3] = replace(phase[3], signal=phase[3].signal * 2 - 4096)
    assert only(fill(Assembly(), images("siemens", M) + phase))[1].phase_rad is None


def test_an_image_that_noise_does_not_fill_takes_the_scale_of_its_series():
    phase = images("siemens", P)
    phase[3] = replace(phase[3], signal=np.full(SHAPE, 2048.0, np.float32))
    series = only(fill(Assembly(), images("siemens", M) + phase))[1]
    assert np.array_equal(series.phase_rad[0, 1], np.zeros(SHAPE))


def test_phase_is_held_once():
    made = images("siemens", P)
    assembly = fill(Assembly(), images("siemens", M) + made)
    series = only(assembly)[1]
    (part,) = [p for stacks in assembly._stacks.values() for s in stacks for p in s.parts.values() if p.phases]
    assert len(part.phases) == 12
    assert all(np.shares_memory(one.values, series.phase_rad) for one in part.phases)


FILLED = np.random.default_rng(5).uniform(-np.pi, np.pi, (64, 64))


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (FILLED, FILLED),
        (np.rint(FILLED * 1000), FILLED),
        (np.rint(FILLED / np.pi * 2048) * 2, FILLED),
        (np.clip(np.rint((FILLED / np.pi + 1) * 2048), 0, 4095).astype(np.uint16), FILLED),
        (FILLED * 0.5, None),
        (FILLED * 1.1, None),
        (FILLED * 2000, None),
        (FILLED * 500, None),
        (np.abs(FILLED), None),
        (np.abs(FILLED) * 1000, None),
        (np.full((4, 4), 4095.0), None),
        (np.zeros((4, 4)), None),
        (np.array([[-np.pi, np.nan, np.pi]]), None),
        (np.zeros((0, 4)), None),
    ],
    ids=[
        "radian", "milliradian", "-4096…4094", "0…4095", "half a turn", "1.1 turns", "two-fold", "±500π", "0…π",
        "0…1000π", "no lower end", "nothing", "not a number", "empty",
    ],
)  # fmt: skip
def test_full_scale_names_the_unit_or_nothing_does(values, wanted):
    found = radians(values)
    if wanted is None:
        assert found is None
    else:
        assert found.dtype == np.float32
        assert np.abs(turned(found, wanted)).max() <= STEP_RAD


@pytest.mark.parametrize(("share", "known"), [(0.979, False), (0.981, True), (1.019, True), (1.021, False)])
@pytest.mark.parametrize("full", [math.pi, 1000 * math.pi, 4096.0])
def test_two_percent_is_the_limit(share, known, full):
    assert (radians(np.array([-share * full, 0.3 * full])) is not None) == known


@pytest.mark.parametrize(("rescale_type", "unit"), [("mrad", 1e-3), ("MILLIRADIAN ", 1e-3), ("rad", 1.0)])
def test_a_stated_unit_needs_no_full_scale(rescale_type, unit):
    values = FILLED * 0.3 / unit
    assert radians(values, rescale_type=rescale_type) == pytest.approx(FILLED * 0.3, abs=1e-6)
    assert radians(values, rescale_type="US") is None


def test_a_rescale_that_states_milliradians_is_read_as_radians():
    made = Dataset()
    made.RescaleSlope, made.RescaleIntercept, made.RescaleType = "2", "-3142", "mrad"
    slope, intercept = rescale_of(made)
    assert Scaling(slope=slope, intercept=intercept).signal(np.array([0, 3142])) == pytest.approx([-3.142, 3.142])
    made.RescaleType = "US"
    assert rescale_of(made) == (2.0, -3142.0)


def test_zero_of_the_unsigned_scale_is_minus_pi_and_its_middle_is_zero():
    found = radians(np.array([0, 2048, 4095], np.uint16))
    assert found == pytest.approx([-math.pi, 0.0, math.pi * (1 - 1 / 2048)], abs=1e-6)


def test_a_scale_that_a_part_has_stays_or_goes_but_never_changes():
    rng = np.random.default_rng(8)
    ends = [(-3.14, 3.1), (-3141.0, 3000.0), (-4090.0, 4010.0), (0.0, 4095.0), (10.0, 2000.0), (-900.0, 900.0)]
    for _ in range(300):
        found = [ends[k] for k in rng.integers(len(ends), size=5)]
        scales = [common_scale(found[: n + 1]) for n in range(5)]
        assert len({scale for scale in scales if scale is not None}) <= 1


def test_a_series_refuses_phase_of_another_shape():
    signal = np.ones((1, 2, 3, 4), np.float32)
    plain = EchoSeries(
        signal=signal,
        echo_times_s=(0.001,),
        grid=Grid(shape=(2, 3, 4), affine_lps_mm=np.eye(4)),
        acquired_at=datetime(2026, 3, 4, tzinfo=AMSTERDAM),
        series_instance_uid="1.2",
        field_strength_t=3.0,
    )
    assert plain.phase_rad is None
    assert not replace(plain, phase_rad=signal).phase_rad.flags.writeable
    with pytest.raises(ValueError, match=r"phase_rad has shape \(2, 3, 4\); expected that of signal, \(1, 2, 3, 4\)"):
        replace(plain, phase_rad=signal[0])


def real(folder):
    files = sorted(path for path in folder.iterdir() if path.name != "LICENSE")
    random.Random(3).shuffle(files)
    assembly = Assembly()
    decoded = [decode(path.read_bytes(), time_zone=AMSTERDAM).images for path in files]
    for seq, found in enumerate(decoded, 1):
        assembly.add(found, seq=seq, association="a")
    assembly.association_closed("a")
    return only(assembly)[1], [one for found in decoded for one in found]


def place_in(series, one):
    """(echo, slice) of an image."""
    echo = int(np.argmin(np.abs(np.array(series.echo_times_s) - one.echo_time_s)))
    index, row, column, _ = series.grid.index_from_lps @ (*one.position_mm, 1.0)
    assert (round(row, 2), round(column, 2)) == (0, 0)
    return echo, round(index)


def test_siemens_phase_in_a_series_of_its_own_is_used(real_data):
    series, decoded = real(real_data / "siemens_gre_6echo")
    assert series.phase_rad.shape == series.signal.shape == (6, 10, 76, 128)
    for one in decoded:
        if one.kind is P:
            echo, slice_ = place_in(series, one)
            assert np.abs(series.phase_rad[echo, slice_] - (one.signal * (math.pi / 2048) - math.pi)).max() < 1e-5
    assert series.phase_rad.min() >= -math.pi - 1e-6
    assert series.phase_rad.max() <= math.pi


def test_neighbouring_echoes_of_the_siemens_phantom_turn_alike(real_data):
    """In a sphere the phase grows by the same amount from echo to echo: wrongly scaled, it would not."""
    series, _ = real(real_data / "siemens_gre_6echo")
    inside = series.signal[-1] > 0.5 * series.signal[-1].max()
    turns = np.angle(np.exp(1j * np.diff(series.phase_rad, axis=0)))[:, inside]
    assert inside.sum() > 1000
    assert np.abs(np.angle(np.exp(1j * np.diff(turns, axis=0)))).mean() < 0.06  # 0.03 found; 10 % off scale gives 0.2


def test_philips_phase_beside_the_magnitude_agrees_with_its_real_and_imaginary_parts(real_data):
    series, decoded = real(real_data / "philips_enhanced_2echo")
    assert series.phase_rad.shape == (2, 13, 128, 128)
    kinds = {kind: [one for one in decoded if one.kind is kind] for kind in (ImageKind.REAL, ImageKind.IMAGINARY)}
    for one, other in zip(*kinds.values(), strict=True):
        assert one.position_mm == other.position_mm
        echo, index = place_in(series, one)
        strong = series.signal[echo, index] > 0.2 * series.signal[echo].max()
        if strong.any():
            of_parts = np.arctan2(other.signal, one.signal)
            assert np.abs(turned(series.phase_rad[echo, index], of_parts)[strong]).mean() < 0.05


def test_siemens_xa_with_the_phase_of_one_echo_only_has_none(real_data):
    series, decoded = real(real_data / "siemens_xa30_enhanced_2echo")
    assert series.phase_rad is None
    phase = np.stack([one.signal for one in decoded if one.kind is P])
    assert np.abs(radians(phase)).max() == pytest.approx(math.pi, rel=1e-3)
