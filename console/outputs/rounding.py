"""Numbers as they are told, on the screen and on paper: the digits of a value follow its uncertainty."""

from __future__ import annotations

import math

NOT_KNOWN = "—"
THIN = "\u202f"


def decimals_for(uncertainty: float) -> int:
    """Decimal places that an uncertainty justifies; negative for tens and hundreds.

    Two significant digits when its first three lie in 100…354, one when in 355…949, else (950…999) it is rounded up to
    1000 and keeps two: the rounding rule of the Particle Data Group (Review of Particle Physics, Introduction §5.3).

    Raises
    ------
    ValueError
        If the uncertainty is not finite and positive.
    """
    if not math.isfinite(uncertainty) or uncertainty <= 0:
        raise ValueError(f"The uncertainty is {uncertainty}; expected a finite number above 0.")
    exponent = math.floor(math.log10(uncertainty))
    leading = round(uncertainty / 10.0 ** (exponent - 2))
    if leading >= 950:
        return -exponent
    return 1 - exponent if leading < 355 else -exponent


def decimal(value: float, places: int) -> str:
    """`value` with `places` decimals (negative: rounded to tens), thousands apart, a true minus, no negative zero."""
    rounded = round(value, places)
    text = f"{abs(rounded):,.{max(places, 0)}f}".replace(",", THIN)
    return f"−{text}" if rounded < 0 else text


def known(value: float | None) -> bool:
    """Whether there is a finite number."""
    return value is not None and math.isfinite(value)


def pair(value: float, uncertainty: float) -> tuple[str, str]:
    """Value and uncertainty (k = 1) rounded to the same place, e.g. ``("78", "11")``."""
    places = decimals_for(uncertainty)
    return decimal(value, places), decimal(uncertainty, places)


def with_uncertainty(value: float | None, uncertainty: float | None, unit: str) -> str:
    """``78 ± 11 Gy``; a value whose uncertainty is unknown is not shown at all."""
    if value is None or uncertainty is None or not known(value) or not known(uncertainty) or uncertainty <= 0:
        return NOT_KNOWN
    value_text, uncertainty_text = pair(value, uncertainty)
    return f"{value_text} ± {uncertainty_text} {unit}"


def lower_bound(value: float | None, uncertainty: float | None, unit: str) -> str:
    """``≥ 120 Gy``: at the noise floor the truth may be anything above; never rounded up."""
    if value is None or not known(value):
        return NOT_KNOWN
    places = decimals_for(uncertainty) if uncertainty is not None and known(uncertainty) and uncertainty > 0 else 0
    step = 10.0 ** -min(places, 0)
    # What rounding in the arithmetic alone puts below a whole step is that step.
    return f"≥ {decimal(math.floor(value / step + 1e-6) * step, min(places, 0))} {unit}"


def signed(value: float, places: int = 0) -> str:
    """``+3`` or ``−18``; zero has no sign."""
    text = decimal(value, places)
    return text if text.startswith("−") or round(value, places) == 0 else f"+{text}"


def activity(value_mbq: float | None) -> str:
    """Activity in whole MBq, thousands apart: ``1 290 MBq``."""
    if value_mbq is None or not known(value_mbq):
        return f"{NOT_KNOWN} MBq"
    return f"{decimal(value_mbq, 0)} MBq"
