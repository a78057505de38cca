"""How figures look: drawn by matplotlib without a window or its user's own settings, the same bytes each time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from console.outputs.report.letters import drawable
from console.outputs.report.words import Document

DPI = 200
TEXT_WIDTH_MM = 180.0
MM_PER_INCH = 25.4

ON_PAPER = ("#4d5a66", "#0072b2", "#c2528b", "#00805e", "#9a7500", "#6a51a3", "#c4501b", "#2a8c8c")
ON_BLACK = ("#d7dee6", "#56c7f5", "#f58ac8", "#8be28b", "#f0e442", "#b9a3ff", "#ff9e80", "#7fe0d0")
"""The screen's colours of volumes (after Okabe and Ito), and their darker like for paper: 0 is the healthy liver."""
SYMBOLS = ("s", "o", "^", "d", "p", "h", "*", "v")
_DASHES = ((3, 5), (3, 2.5), (5, 2.5), (6, 2, 1, 2), (9, 2.5), ())
"""Of isodose lines as on the screen: the lowest level first, the highest is solid."""
_ALPHA = (130, 205)


@dataclass(frozen=True, kw_only=True)
class DoseLook:
    """The screen's levels and colours of absorbed dose; nothing is washed below half of the lowest level."""

    levels_gy: tuple[float, ...]
    maximum_gy: float
    colour_map: str

    @property
    def threshold_gy(self) -> float:
        """Below this the anatomy shows alone."""
        return self.levels_gy[0] / 2.0 if self.levels_gy else self.maximum_gy / 20.0

    def wash(self, dose_gy: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """RGBA (0…1) of doses; transparent where there is none."""
        known = np.nan_to_num(dose_gy.astype(np.float64), nan=0.0)
        share = np.clip(known / self.maximum_gy, 0.0, 1.0)
        colours: NDArray[np.float64] = matplotlib.colormaps[self.colour_map](share)
        colours[..., 3] = np.interp(share, (0.0, 1.0), _ALPHA) / 255.0
        colours[known < self.threshold_gy, 3] = 0.0
        return colours

    def line(self, level_gy: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Colour and dash pattern of an isodose line."""
        rgb = matplotlib.colormaps[self.colour_map](min(1.0, level_gy / self.maximum_gy))[:3]
        from_top = len(self.levels_gy) - 1 - self.levels_gy.index(level_gy)
        dashes = _DASHES[max(0, len(_DASHES) - 1 - from_top)]
        return tuple(0.35 * float(c) + 0.65 for c in rgb), dashes


def dose_look(document: Document) -> DoseLook:
    """The look that the document's settings of the display ask for."""
    display = document["display"]
    return DoseLook(
        levels_gy=tuple(sorted(float(level) for level in display["isodose_levels_Gy"])),
        maximum_gy=float(display["dose_maximum_Gy"]),
        colour_map=str(display["colour_map"]),
    )


def look_of(index: int, colours: tuple[str, ...] = ON_PAPER) -> tuple[str, str]:
    """Colour and symbol of a volume's curve: many tumours repeat, none looks like the healthy liver."""
    place = 0 if index == 0 else 1 + (index - 1) % (len(colours) - 1)
    return colours[place], SYMBOLS[place]


@contextmanager
def drawing(height_mm: float) -> Iterator[tuple[Figure, BytesIO]]:
    """A figure of the text's width; on leaving, its PNG is in the buffer."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"font.family": "DejaVu Sans", "font.size": 7.5, "axes.linewidth": 0.6})
        matplotlib.rcParams.update({"hatch.linewidth": 0.5, "text.parse_math": False})
        figure = Figure(figsize=(TEXT_WIDTH_MM / MM_PER_INCH, height_mm / MM_PER_INCH), dpi=DPI)
        canvas = FigureCanvasAgg(figure)
        buffer = BytesIO()
        yield figure, buffer
        canvas.draw()  # type: ignore[no-untyped-call]
        pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        Image.fromarray(pixels[..., :3].copy()).save(buffer, format="PNG")


def plain_text(text: str) -> str:
    """Text that the figures' letters can draw: as in the report around them."""
    return drawable(text)
