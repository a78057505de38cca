"""Images of the phantom as Enhanced MR objects: one object per echo (Siemens XA), or one in all (Philips)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage

from console.demo.phantom_headers import (
    Flavour,
    SeriesHeader,
    add_equipment,
    add_pixels,
    decimal,
    decimals,
    new_dataset,
    orientation,
    part10,
    position_mm,
    uid,
)
from console.demo.phantom_series import Acquired, Scale, add_philips_scale, philips_scale, quantise

_DIMENSIONS = ((0x00209056, 0x00209111), (0x00209057, 0x00209111), (0x00189082, 0x00189114))
"""Stack, position in the stack, effective echo time: (index pointer, functional group pointer)."""


def enhanced_files(header: SeriesHeader, acquired: Acquired) -> Iterator[bytes]:
    """Yield the Part-10 files of one acquisition: one per echo for Siemens, a single one for Philips."""
    echoes = range(len(acquired.echo_times_s))
    groups = [tuple(echoes)] if header.flavour is Flavour.PHILIPS_ENHANCED else [(echo,) for echo in echoes]
    for number, group in enumerate(groups, start=1):
        yield part10(_object(header, acquired, group, number))


def _object(header: SeriesHeader, acquired: Acquired, echoes: tuple[int, ...], number: int) -> Dataset:
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
    frames, pixels = [], []
    for order, echo in enumerate(echoes, start=1):
        scale = philips_scale(acquired, echo) if philips else None
        for index in range(n_slices):
            magnitude = acquired.magnitude(echo, index)
            pixels.append((quantise(magnitude) if scale is None else scale.stored(magnitude)).tobytes())
            frames.append(_frame(header, acquired, echo, index, order, scale))
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    add_pixels(ds, rows, columns, b"".join(pixels))
    return ds


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


def _frame(header: SeriesHeader, acquired: Acquired, echo: int, index: int, order: int, scale: Scale | None) -> Dataset:
    frame = Dataset()
    frame.MREchoSequence = Sequence([_item(EffectiveEchoTime=round(1000.0 * acquired.echo_times_s[echo], 9))])
    kind = _item(FrameType=["ORIGINAL", "PRIMARY", "M", "NONE"])
    _add_component(kind)
    frame.MRImageFrameTypeSequence = Sequence([kind])
    started = header.acquired_at + timedelta(seconds=header.slice_time_s * index)
    content = _item(
        FrameAcquisitionDateTime=started.strftime("%Y%m%d%H%M%S.%f"),
        FrameReferenceDateTime=started.strftime("%Y%m%d%H%M%S.%f"),
        FrameAcquisitionDuration=1000.0 * header.slice_time_s,
        StackID="1",
        InStackPositionNumber=index + 1,
        TemporalPositionIndex=1,
        FrameAcquisitionNumber=1,
        DimensionIndexValues=[1, index + 1, order],
    )
    frame.FrameContentSequence = Sequence([content])
    frame.PlanePositionSequence = Sequence([_item(ImagePositionPatient=position_mm(acquired.grid, index))])
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
        private = Dataset()
        private.ImageType = ["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"]
        private.EchoTime = decimal(1000.0 * acquired.echo_times_s[echo])
        private.EchoNumbers = str(echo + 1)
        # Half a voxel off on purpose: the second position in this group is that of a corner, not of a centre.
        corner = acquired.grid.affine_lps_mm @ [index, -0.5, -0.5, 1.0]
        private.ImagePositionPatient = decimals(list(corner[:3]))
        add_philips_scale(private, scale)
        # Where Philips puts it: the fifth block of the group, so (2005,140F).
        frame.add_new(0x20050014, "LO", "Philips MR Imaging DD 005")
        frame.add_new(0x2005140F, "SQ", Sequence([private]))
    return frame


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item
