"""A series of real and imaginary images only: it is shown, with the reason why it is not used."""

from __future__ import annotations

from dicom_listener.assembly_parts import ECHO_TIME_TOLERANCE_S, POSITION_TOLERANCE_MM, Part
from dicom_listener.assembly_refusals import no_magnitude
from dicom_listener.images import ImageKind, Sequence, SeriesState, SeriesStatus


def without_magnitude(part: Part, key: str, protocol: str, frame_of_reference_uid: str) -> SeriesState | None:
    """Return the state of a series that has no magnitude image; None where it is no part of a complex signal.

    A series of phase or derived images alone says nothing: scanners write those beside the series that is used.
    """
    left_out = part.left_out.values()
    parts = [image for image in left_out if image.kind in (ImageKind.REAL, ImageKind.IMAGINARY)]
    if not parts:
        return None
    echoes = {round(image.echo_time_s / ECHO_TIME_TOLERANCE_S): image.echo_time_s for image in parts}
    slices = {round(image.along_mm / POSITION_TOLERANCE_MM) for image in parts}
    sequences = {image.sequence for image in parts}
    why = no_magnitude(len(parts))
    return SeriesState(
        key=key,
        series_instance_uids=(part.series_instance_uid,),
        description=part.description,
        protocol=protocol,
        status=SeriesStatus.INCOMPLETE,
        reason=f"incomplete: {why}",
        echo_times_s=tuple(sorted(echoes.values())),
        n_slices=len(slices),
        received=0,
        expected=len(echoes) * len(slices),
        left_out=len(left_out),
        acquired_at=min((image.acquired_at for image in left_out if image.acquired_at is not None), default=None),
        frame_of_reference_uid=frame_of_reference_uid,
        field_strength_t=next((i.field_strength_t for i in parts if i.field_strength_t is not None), None),
        sequence=sequences.pop() if len(sequences) == 1 else Sequence.OTHER,
        holmium_refusal=why,
        revision=1,
        last_seq=max(image.seq for image in left_out),
    )
