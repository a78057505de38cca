"""How the vendors say what an image is and how it is scaled."""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from dicom_listener.decode_classic import classic_image
from dicom_listener.image_kind import classic_kind, component_of, frame_kind, sequence_of
from dicom_listener.images import ImageKind, Sequence
from dicom_listener.pixels import PixelError
from dicom_listener.scaling import Scaling, philips_scale_slope, rescale_of

M, P, R, I, D = ImageKind.MAGNITUDE, ImageKind.PHASE, ImageKind.REAL, ImageKind.IMAGINARY, ImageKind.DERIVED  # noqa: E741


@pytest.mark.parametrize(
    ("image_type", "kind"),
    [
        (r"ORIGINAL\PRIMARY\M\ND", M),
        (r"ORIGINAL\PRIMARY\P\ND", P),
        (r"ORIGINAL\PRIMARY\R\ND", R),
        (r"ORIGINAL\PRIMARY\I\ND", I),
        (r"ORIGINAL\PRIMARY\M_FFE\M\FFE", M),
        (r"ORIGINAL\PRIMARY\PHASE MAP\P\FFE", P),
        (r"ORIGINAL\PRIMARY\R_FFE\R\FFE", R),
        (r"ORIGINAL\PRIMARY\I_FFE\I\FFE", I),
        (r"ORIGINAL\PRIMARY\OTHER", M),
        (r"ORIGINAL\PRIMARY", M),
        (r"ORIGINAL\PRIMARY\M\ND\NORM\FM\FIL", M),
        (r"DERIVED\PRIMARY\M\ND\FIL", M),
        (r"DERIVED\PRIMARY\M\DIS2D", M),
        (r"DERIVED\PRIMARY\OTHER", M),
        (r"DERIVED\SECONDARY\M\ND", D),
        (r"DERIVED\PRIMARY\T2_STAR MAP\ND", D),
        (r"ORIGINAL\PRIMARY\T2_STAR MAP\ND", D),
        (r"DERIVED\PRIMARY\R2_STAR\R2_STAR\DERIVED", D),
        (r"DERIVED\PRIMARY\M\R2_STAR_MAP", D),
        (r"DERIVED\PRIMARY\DIFFUSION\ADC\ND", D),
        (r"DERIVED\PRIMARY\B0\B0\DERIVED", D),
        (r"DERIVED\PRIMARY\SOMETHING NEW", D),
    ],
)
def test_image_types_of_classic_images(image_type, kind):
    made = Dataset()
    made.ImageType = image_type.split("\\")
    assert classic_kind(made) is kind


@pytest.mark.parametrize(("code", "kind"), list(enumerate([M, P, R, I])))
@pytest.mark.parametrize("block", [0x10, 0x22])
@pytest.mark.parametrize("as_bytes", [False, True])
def test_ge_tells_its_images_apart_by_a_private_code_only(code, kind, block, as_bytes):
    made = Dataset()
    made.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    for other in range(0x10, block):
        made.private_block(0x0043, f"OTHER {other}", create=True)
    private = made.private_block(0x0043, "GEMS_PARM_01", create=True)
    private.add_new(0x2F, "UN" if as_bytes else "SS", code.to_bytes(2, "little") if as_bytes else code)
    assert classic_kind(made) is kind


def test_the_complex_component_wins_over_the_image_type():
    made = Dataset()
    made.ImageType, made.ComplexImageComponent = ["ORIGINAL", "PRIMARY", "OTHER"], "PHASE"
    assert classic_kind(made) is P
    assert component_of("MIXED") is None


@pytest.mark.parametrize(
    ("frame_type", "kind"),
    [
        (r"ORIGINAL\PRIMARY\T2_STAR\NONE", M),
        (r"ORIGINAL\PRIMARY\T1\M", M),
        (r"DERIVED\PRIMARY\T1\NONE", M),
        (r"DERIVED\PRIMARY\T2_STAR\QUANTITY", D),
        (r"ORIGINAL\PRIMARY\DIFFUSION\ADC", D),
        (r"DERIVED\SECONDARY\T1\NONE", D),
    ],
)
def test_value_three_of_an_enhanced_frame_is_the_contrast_not_a_map(frame_type, kind):
    assert frame_kind(frame_type.split("\\"), M) is kind


@pytest.mark.parametrize(
    ("scanning", "pulse", "sequence"),
    [
        (["GR"], "", Sequence.GRADIENT_ECHO),
        (["EP", "GR"], "", Sequence.GRADIENT_ECHO),
        (["SE"], "", Sequence.SPIN_ECHO),
        (["EP", "SE"], "", Sequence.SPIN_ECHO),
        (["SE", "GR"], "", Sequence.OTHER),
        (["EP"], "", Sequence.OTHER),
        (["RM"], "GRADIENT", Sequence.GRADIENT_ECHO),
        ([], "SPIN", Sequence.SPIN_ECHO),
        ([], "BOTH", Sequence.OTHER),
        ([], "", Sequence.OTHER),
    ],
)
def test_what_formed_the_echoes(scanning, pulse, sequence):
    assert sequence_of(scanning, pulse) is sequence


def philips(scale_slope=0.0121, creator_at=0x10, slope="1.5", intercept="-10", vr="FL"):
    made = Dataset()
    made.RescaleSlope, made.RescaleIntercept = slope, intercept
    for other in range(0x10, creator_at):
        made.private_block(0x2005, f"OTHER {other}", create=True)
    value = scale_slope if vr != "UN" else np.float32(scale_slope).tobytes()
    made.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0E, vr, value)
    return made


@pytest.mark.parametrize("creator_at", [0x10, 0x13])
@pytest.mark.parametrize("vr", ["FL", "UN", "DS"])
def test_the_scale_slope_is_found_by_its_creator_in_any_block_and_representation(creator_at, vr):
    assert philips_scale_slope(Dataset(), philips(creator_at=creator_at, vr=vr)) == pytest.approx(0.0121, rel=1e-6)


def test_philips_signal_undoes_the_display_scaling():
    stored = np.array([[0, 100, 4095]], dtype=np.uint16)
    made = philips()
    slope, intercept = rescale_of(None, made)
    signal = Scaling(slope=slope, intercept=intercept, scale_slope=philips_scale_slope(made)).signal(stored)
    assert signal == pytest.approx((stored * 1.5 - 10) / (1.5 * 0.0121), rel=1e-6)


def test_two_echoes_displayed_differently_come_back_to_one_scale():
    """The same signal, stored with another display factor for each echo, decodes to the same signal."""
    truth = np.array([[10.0, 200.0, 3000.0]])
    for slope, scale_slope in ((1.0, 0.5), (2.0, 0.25), (0.7, 1.3)):
        stored = np.rint(truth * scale_slope * 1000).astype(np.uint32)
        signal = Scaling(slope=slope, scale_slope=scale_slope * 1000).signal(stored)
        assert signal == pytest.approx(truth, rel=1e-3)


@pytest.mark.parametrize("factors", [{"slope": 0.0}, {"scale_slope": 0.0}, {"slope": np.inf}, {"intercept": np.nan}])
def test_an_impossible_scaling_is_refused(factors):
    with pytest.raises(PixelError, match="scaling"):
        Scaling(**factors).signal(np.zeros((1, 1), np.uint16))


def test_a_philips_image_without_scale_slope_says_so():
    made = philips()
    del made[0x2005, 0x100E]
    made.file_meta = Dataset()
    made.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    made.Manufacturer, made.ImageType = "Philips Medical Systems", ["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"]
    made.Rows = made.Columns = 1
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelData = 15, b"\x05\0"
    made.ImagePositionPatient, made.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    made.PixelSpacing, made.AcquisitionDateTime = [1, 1], "20260304101200"
    made.NumberOfTemporalPositions, made.TemporalPositionIdentifier, made.AcquisitionNumber = 3, 2, 9
    (image,), remark = classic_image(made, None)
    assert image.signal.tolist() == [[-2.5]]
    assert "scale slope (2005,100E) is missing" in remark
    assert image.acquisition_number == 2
