"""Images of the phantom as Enhanced MR objects: one object per echo (Siemens XA), or one in all (Philips)."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from datetime import timedelta

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage

from console.demo.phantom_headers import (
    FileTemplate,
    Flavour,
    SeriesHeader,
    Template,
    add_equipment,
    add_pixels,
    decimal,
    decimals,
    element,
    new_dataset,
    orientation,
    position_mm,
    sequence,
    uid,
)
from console.demo.phantom_series import Acquired, Scale, add_philips_scale, philips_scale, quantise

_DIMENSIONS = ((0x00209056, 0x00209111), (0x00209057, 0x00209111), (0x00189082, 0x00189114))
"""Stack, position in the stack, effective echo time: (index pointer, functional group pointer)."""

_PER_FRAME = 0x52009230
_PHILIPS_GROUP = 0x2005140F
"""Where Philips puts it: the fifth block of the group."""


def enhanced_files(header: SeriesHeader, acquired: Acquired) -> Iterator[bytes]:
    """Yield the Part-10 files of one acquisition: one per echo for Siemens, a single one for Philips."""
    echoes = range(len(acquired.echo_times_s))
    groups = [tuple(echoes)] if header.flavour is Flavour.PHILIPS_ENHANCED else [(echo,) for echo in echoes]
    for number, group in enumerate(groups, start=1):
        yield _object(header, acquired, group, number)


def _object(header: SeriesHeader, acquired: Acquired, echoes: tuple[int, ...], number: int) -> bytes:
    n_slices, rows, columns = acquired.grid.shape
    ds = new_dataset(EnhancedMRImageStorage, uid(header.identity, "enhanced", *echoes), header)
    add_equipment(ds, header)
    philips = header.flavour.is_philips
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "NONE"]
    ds.InstanceNumber = str(number)
    ds.AcquisitionNumber = "1"
    ds.AcquisitionDateTime = header.acquired_at.strftime("%Y%m%d%H%M%S.%f")
    ds.AcquisitionDuration = float(header.slice_time_s * n_slices)
    ds.SpacingBetweenSlices = decimal(acquired.grid.spacing_mm[0])
    _add_pulse_sequence(ds)
    _add_component(ds)
    ds.NumberOfFrames = str(n_slices * len(echoes))
    ds.AcquisitionContextSequence = Sequence()
    ds.PresentationLUTShape = "IDENTITY"
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"
    organisation = uid(header.identity, "dimensions", *echoes)
    ds.DimensionOrganizationSequence = Sequence([_item(DimensionOrganizationUID=organisation)])
    ds.DimensionIndexSequence = Sequence(
        [
            _item(DimensionOrganizationUID=organisation, DimensionIndexPointer=pointer, FunctionalGroupPointer=group)
            for pointer, group in _DIMENSIONS
        ]
    )
    ds.SharedFunctionalGroupsSequence = Sequence([_shared(header, acquired)])
    add_pixels(ds, rows, columns, b"")
    frames: list[bytes] = []
    pixels: list[bytes] = []
    for order, echo in enumerate(echoes, start=1):
        scale = philips_scale(acquired, echo) if philips else None
        frames += _frames(header, acquired, echo, order, scale)
        for index in range(n_slices):
            magnitude = acquired.magnitude(echo, index)
            pixels.append((quantise(magnitude) if scale is None else scale.stored(magnitude)).tobytes())
    changes = {
        _PER_FRAME: sequence(_PER_FRAME, frames),
        0x7FE00010: element(0x7FE00010, "OW", b"".join(pixels)),
    }
    return FileTemplate(ds).file(ds.SOPInstanceUID, changes)


def _add_pulse_sequence(ds: Dataset) -> None:
    ds.ContentQualification = "RESEARCH"
    ds.PulseSequenceName = "*fl2d"
    ds.MRAcquisitionType = "2D"
    ds.EchoPulseSequence = "GRADIENT"
    ds.MultipleSpinEcho = "NO"
    ds.MultiPlanarExcitation = "NO"
    ds.PhaseContrast = "NO"
    ds.TimeOfFlightContrast = "NO"
    ds.SteadyStatePulseSequence = "NONE"
    ds.EchoPlanarPulseSequence = "NO"
    ds.SaturationRecovery = "NO"
    ds.SpectrallySelectedSuppression = "NONE"
    ds.OversamplingPhase = "NONE"
    ds.GeometryOfKSpaceTraversal = "RECTILINEAR"
    ds.SegmentedKSpaceTraversal = "SINGLE"
    ds.RectilinearPhaseEncodeReordering = "LINEAR"
    ds.KSpaceFiltering = "NONE"
    ds.NumberOfKSpaceTrajectories = 1
    ds.ResonantNucleus = "1H"
    ds.ApplicableSafetyStandardAgency = "IEC"


def _add_component(ds: Dataset) -> None:
    ds.PixelPresentation = "MONOCHROME"
    ds.VolumetricProperties = "VOLUME"
    ds.VolumeBasedCalculationTechnique = "NONE"
    ds.ComplexImageComponent = "MAGNITUDE"
    ds.AcquisitionContrast = "T2_STAR"


def _shared(header: SeriesHeader, acquired: Acquired) -> Dataset:
    group = Dataset()
    timing = _item(
        RepetitionTime=decimal(header.repetition_time_ms),
        EchoTrainLength=str(len(acquired.echo_times_s)),
        FlipAngle=decimal(header.flip_angle_deg),
        RFEchoTrainLength=0,
        GradientEchoTrainLength=len(acquired.echo_times_s),
        GradientOutputType="PER_NERVE_STIM",
        GradientOutput=0.5,
    )
    timing.OperatingModeSequence = Sequence(
        [_item(OperatingModeType=kind, OperatingMode="IEC_NORMAL") for kind in ("STATIC FIELD", "RF", "GRADIENT")]
    )
    timing.SpecificAbsorptionRateSequence = Sequence(
        [_item(SpecificAbsorptionRateDefinition="IEC_WHOLE_BODY", SpecificAbsorptionRateValue=0.2)]
    )
    group.MRTimingAndRelatedParametersSequence = Sequence([timing])
    group.MRFOVGeometrySequence = Sequence(
        [
            _item(
                PercentSampling="100",
                PercentPhaseFieldOfView="100",
                InPlanePhaseEncodingDirection="COLUMN",
                MRAcquisitionFrequencyEncodingSteps=acquired.grid.shape[2],
                MRAcquisitionPhaseEncodingStepsInPlane=acquired.grid.shape[1],
            )
        ]
    )
    group.MRModifierSequence = Sequence(
        [
            _item(
                InversionRecovery="NO",
                FlowCompensation="NONE",
                Spoiling="RF",
                T2Preparation="NO",
                SpectrallySelectedExcitation="NONE",
                SpatialPresaturation="NONE",
                PartialFourier="NO",
                ParallelAcquisition="NO",
            )
        ]
    )
    group.MRImagingModifierSequence = Sequence(
        [
            _item(
                PixelBandwidth="1000",
                MagnetizationTransfer="NONE",
                BloodSignalNulling="NO",
                Tagging="NONE",
                TransmitterFrequency=42.577 * header.field_strength_t,
            )
        ]
    )
    region = _item(CodeValue="818983003", CodingSchemeDesignator="SCT", CodeMeaning="Abdomen")
    anatomy = _item(FrameLaterality="U")
    anatomy.AnatomicRegionSequence = Sequence([region])
    group.FrameAnatomySequence = Sequence([anatomy])
    group.MRAveragesSequence = Sequence([_item(NumberOfAverages="1")])
    return group


def _frames(header: SeriesHeader, acquired: Acquired, echo: int, order: int, scale: Scale | None) -> Iterator[bytes]:
    """Yield the functional groups of every slice of an echo: they differ in time and place."""
    groups = Template(_groups(header, acquired, echo, scale))
    content = Template(_content(header))
    private = Template(_private_group(acquired, echo, scale)) if scale is not None else None
    for index in range(acquired.grid.shape[0]):
        started = (header.acquired_at + timedelta(seconds=header.slice_time_s * index)).strftime("%Y%m%d%H%M%S.%f")
        own = {
            0x00189074: element(0x00189074, "DT", started),
            0x00189151: element(0x00189151, "DT", started),
            0x00209057: element(0x00209057, "UL", struct.pack("<I", index + 1)),
            0x00209157: element(0x00209157, "UL", struct.pack("<3I", 1, index + 1, order)),
        }
        place = element(0x00200032, "DS", position_mm(acquired.grid, index))
        changes = {
            0x00209111: sequence(0x00209111, [content.encoded(own)]),
            0x00209113: sequence(0x00209113, [place]),
        }
        if private is not None:
            # Half a voxel off on purpose: the second position in this group is that of a corner, not of a centre.
            corner = acquired.grid.affine_lps_mm @ [index, -0.5, -0.5, 1.0]
            at = element(0x00200032, "DS", decimals(list(corner[:3])))
            changes[_PHILIPS_GROUP] = sequence(_PHILIPS_GROUP, [private.encoded({0x00200032: at})])
        yield groups.encoded(changes)


def _content(header: SeriesHeader) -> Dataset:
    return _item(
        FrameAcquisitionDuration=1000.0 * header.slice_time_s,
        StackID="1",
        TemporalPositionIndex=1,
        FrameAcquisitionNumber=1,
    )


def _private_group(acquired: Acquired, echo: int, scale: Scale) -> Dataset:
    private = _item(
        ImageType=["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"],
        EchoTime=decimal(1000.0 * acquired.echo_times_s[echo]),
        EchoNumbers=str(echo + 1),
    )
    add_philips_scale(private, scale)
    return private


def _groups(header: SeriesHeader, acquired: Acquired, echo: int, scale: Scale | None) -> Dataset:
    """Return what the functional groups of all slices of an echo have in common."""
    frame = Dataset()
    frame.MREchoSequence = Sequence([_item(EffectiveEchoTime=round(1000.0 * acquired.echo_times_s[echo], 9))])
    kind = _item(FrameType=["ORIGINAL", "PRIMARY", "M", "NONE"])
    _add_component(kind)
    frame.MRImageFrameTypeSequence = Sequence([kind])
    frame.PlaneOrientationSequence = Sequence([_item(ImageOrientationPatient=orientation(acquired.grid))])
    frame.PixelMeasuresSequence = Sequence(
        [
            _item(
                SliceThickness=decimal(acquired.grid.spacing_mm[0]),
                SpacingBetweenSlices=decimal(acquired.grid.spacing_mm[0]),
                PixelSpacing=decimals(list(acquired.grid.spacing_mm[1:])),
            )
        ]
    )
    peak = 4095.0 if scale is not None else max(2.0, math.ceil(float(acquired.signal[echo].max()) * acquired.gain))
    frame.FrameVOILUTSequence = Sequence([_item(WindowCenter=decimal(peak / 2), WindowWidth=decimal(peak))])
    slope = 1.0 if scale is None else scale.rescale_slope
    frame.PixelValueTransformationSequence = Sequence(
        [_item(RescaleIntercept="0", RescaleSlope=decimal(slope), RescaleType="US")]
    )
    if scale is not None:
        # Where Philips puts it: the fifth block of the group, so (2005,140F).
        frame.add_new(0x20050014, "LO", "Philips MR Imaging DD 005")
    return frame


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item
