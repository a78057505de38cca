"""Where a cut lies in the window, and what it looks like there apart from what it shows."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QPointF


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where millimetres of a plane lie in pixels."""

    left_px: float
    top_px: float
    px_per_mm: float

    def at(self, x_mm: float, y_mm: float) -> QPointF:
        """The pixel of a place in the plane."""
        return QPointF(self.left_px + x_mm * self.px_per_mm, self.top_px + y_mm * self.px_per_mm)

    def place_mm(self, point: QPointF) -> tuple[float, float]:
        """The place in the plane under a pixel."""
        return (point.x() - self.left_px) / self.px_per_mm, (point.y() - self.top_px) / self.px_per_mm


def placed(focus_mm: tuple[float, float, float, float], width: float, height: float) -> Placement:
    """What is worth showing (left, top, width, height in mm), as large as it fits and in the middle."""
    left, top, wide, tall = focus_mm
    scale = max(min(width / max(wide, 1e-6), height / max(tall, 1e-6)), 1e-6)
    return Placement(
        left_px=width / 2 - (left + wide / 2) * scale, top_px=height / 2 - (top + tall / 2) * scale, px_per_mm=scale
    )


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a cut is painted, besides what it shows: size and scale in physical pixels, marks."""

    width: int
    height: int
    scale: float
    watermark: str = ""
    stale: bool = False
    covered: tuple[int, int, int, int] | None = None
    """left, top, right, bottom of what lies over a corner: nothing is written there."""

    @property
    def rim(self) -> int:
        """Width of the STALE rim; nothing is ever written there."""
        return round(9 * self.scale)
