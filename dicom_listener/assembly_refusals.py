"""Why an assembled series cannot serve as a holmium reference or fraction: one sentence for each cause."""

from __future__ import annotations

from collections.abc import Collection

from dicom_listener.images import Sequence

MINIMUM_ECHOES = 3
"""Two unknowns (S0, R2*) and one echo to see that the decay is mono-exponential."""


def refusal(
    *,
    sequence: Sequence,
    n_echoes: int,
    n_slices: int,
    field_strength_t: float | None,
    fault: str | None,
) -> str | None:
    """Return the first cause against using a series for holmium; None where there is none.

    `fault` is what its own images have against it (equal echo times, contradicting images, irregular spacing,
    unequal display); it comes before the count of echoes, because it falsifies the count.
    """
    if sequence is Sequence.SPIN_ECHO:
        return "Spin echo: its decay is T2, not T2*; a holmium series must be a multi-echo gradient echo."
    if sequence is Sequence.OTHER:
        return "The header does not say that this is a gradient echo; a holmium series must be one."
    if fault is not None:
        return fault
    if n_echoes < MINIMUM_ECHOES:
        return f"{n_echoes} echo{'' if n_echoes == 1 else 'es'}; a holmium series needs at least three."
    if n_slices < 2:
        return "1 slice; the distance between slices is unknown, so no volume can be computed."
    if field_strength_t is None:
        return "The header does not state the field strength; the relaxivity of holmium depends on it."
    return None


def unequal_display(slopes: Collection[float | None]) -> str | None:
    """Say that images are known as displayed only, each with another factor; None where all have one, or the signal.

    `slopes` are the different RescaleSlopes of Philips images that lack the scale slope, None for all other images.
    """
    if len(slopes) < 2:
        return None
    return (
        "The Philips scale slope (2005,100E) is missing, and the images are displayed with different slopes; the decay "
        "cannot be recovered. Send the series with its private attributes."
    )


def no_magnitude(count: int) -> str:
    """Say that a series holds the parts of a complex signal and no magnitude image (GE, where it is not asked for)."""
    return (
        f"No magnitude images: {count} real or imaginary images have come, and Holmia does not combine them. Have the "
        "scanner reconstruct and send the magnitude."
    )


def equal_echo_times(echo_time_s: float, images_per_slice: int) -> str:
    """Say that the echoes cannot be told apart (GE research sequences repeat the first echo time)."""
    return (
        f"All echo times are equal ({echo_time_s * 1e3:g} ms) in {images_per_slice} images of each slice; the echoes "
        "cannot be told apart. Correct the echo times at the scanner or before sending."
    )


def too_many_echoes(count: int, most: int) -> str:
    """Say that there are more echo times than a multi-echo series has."""
    return f"{count} different echo times; a multi-echo series has fewer than {most}, so these are not its echoes."


def contradicting_images(echo: int, slice_: int, count: int) -> str:
    """Say that one place of the grid has several images that differ (`echo` and `slice_` count from 1)."""
    return (
        f"{count} places of the grid have two different images, the first at echo {echo}, slice {slice_}; they are "
        "not averaged. A repetition must have its own acquisition number."
        if count > 1
        else f"Two different images for echo {echo}, slice {slice_}; they are not averaged. A repetition must have "
        "its own acquisition number."
    )


def irregular_spacing(smallest_mm: float, largest_mm: float) -> str:
    """Say that the slices do not lie at one distance."""
    return (
        f"The slices are irregularly spaced ({smallest_mm:.2f} to {largest_mm:.2f} mm apart); a map needs one distance."
    )


NO_TIME = "The header states no time of acquisition; the series cannot be placed between the injections."
