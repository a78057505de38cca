"""A label that is never cut silently: what does not fit ends in an ellipsis and stands whole in the tooltip."""

from __future__ import annotations

import html
from collections.abc import Sequence

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QFontMetricsF, QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy

from console.dashboard.panels import theme

_FACTORS = (1.0, 0.93, 0.86, 0.79)


def plain(text: str) -> str:
    """A tooltip that shows the text as it is: Qt would take what looks like markup for markup, and names may."""
    return f"<qt>{html.escape(text).replace(chr(10), '<br>')}</qt>" if text else ""


def fitting(text: str, pixels: float, room: float, factors: Sequence[float] = _FACTORS) -> int:
    """The largest height of bold letters, in pixels, with which a text has room; else the smallest."""
    sizes = [max(9, round(pixels * factor)) for factor in factors]
    return next((size for size in sizes if has_room(text, size, room)), sizes[-1])


def has_room(text: str, pixels: float, room: float) -> bool:
    """Whether a text in bold letters of this height, in pixels, fits."""
    return QFontMetricsF(theme.font(pixels, bold=True)).horizontalAdvance(text) <= room


class ElidedLabel(QLabel):
    """Plain text on one line; takes the room of the whole text if there is, and gives it up before others do."""

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self.setObjectName(name)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self.whole = ""
        self._more = ""

    def show_text(self, whole: str, more: str = "") -> None:
        """Show a text; `more` is what the tooltip adds to it."""
        whole = " ".join(whole.splitlines())
        if (whole, more) == (self.whole, self._more):
            return
        self.whole, self._more = whole, more
        self.setAccessibleName(self.whole)
        self.updateGeometry()
        self._fit()

    @property
    def elided(self) -> bool:
        """Whether the end of the text has no room."""
        return self.text() != self.whole

    def sizeHint(self) -> QSize:  # noqa: N802
        """Room for the whole text."""
        metrics = self.fontMetrics()
        frame = super().sizeHint().width() - metrics.horizontalAdvance(self.text())
        return QSize(metrics.horizontalAdvance(self.whole) + max(0, frame) + 2, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """A few letters, so that the window can be made small."""
        metrics = self.fontMetrics()
        return QSize(min(self.sizeHint().width(), 8 * metrics.averageCharWidth()), super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Fit the text to the new width."""
        super().resizeEvent(event)
        self._fit()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        """Fit the text to new letters."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self.updateGeometry()
            self._fit()

    def _fit(self) -> None:
        room = self.contentsRect().width() - 2 * self.margin()
        shown = self.fontMetrics().elidedText(self.whole, Qt.TextElideMode.ElideRight, room)
        if shown != self.text():
            self.setText(shown)
        first = self.whole if self.elided or self._more else ""
        self.setToolTip(plain("\n".join(part for part in (first, self._more) if part)))
