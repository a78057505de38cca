"""The overlay that ``?`` shows: the keys, what the signs and patterns mean, and what this software is."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget

from console.dashboard.screen.model import DISCLAIMER
from console.outputs.wording import software_version

KEYS = (
    ("1 … 9  0", "show the result of that injection; 0: the latest"),
    ("D  I  V", "dose wash, isodose lines, volumes on and off"),
    ("U  N", "standard uncertainty; increment of that fraction; again: dose"),
    ("C  R", "compare with the fraction before; registration flicker"),
    ("P", "echoes and fit at the probe"),
    ("T", "histogram or table of the volumes"),
    ("↑ ↓, wheel", "next axial cut, up is towards the head; PageUp PageDown: five"),
    ("← →", "next sagittal cut"),
    ("Shift+↑ Shift+↓", "next coronal cut"),
    ("click, drag", "put the crosshair there"),
    ("A", "acknowledge alarms, with a name"),
    ("Enter", "mark the news as read"),
    ("S", "take a snapshot of this window"),
    ("Ctrl+Enter", "the large button: an injection begins, or has ended; undo beside it takes that back"),
    ("F2  F3  F4", "setup, injections, series"),
    ("F5  F6  F7", "registration, volumes, drawing"),
    ("F8  F9  F10", "connection to the scanner, tuning of the computation, comparison"),
    ("Tab", "go through the tables; arrows: through their cells, with what each means; Esc: back"),
    ("Space  ,  .", "in a replay: halt, or go on; to the tick before, to the next one; Home, End"),
    ("F9  F12", "in a replay: what-if, verification"),
    ("Ctrl+Z  Ctrl+Y", "back to the view before, forth again"),
    ("F11", "numbers only, for reading at three metres"),
    ("?  Esc", "this page on and off"),
)
SIGNS = (
    ("✓", "done, in order"),
    ("●", "in progress"),
    ("▶", "now"),
    ("○", "to come"),
    ("!", "attention: provisional, incomplete, unconfirmed"),
    ("✕", "failed, refused"),
    ("■", "injection under way: a press records its end; of a layer: on"),
    ("–", "cancelled"),
    ("▨", "STALE: newer injection, series, settings, or too old"),
    ("◂", "EARLIER: not the latest result"),
    ("★ ☆", "news, not read yet; read"),
    ("▲▲▲ ▲▲ ▲", "alarm of high, medium, low priority; ▲ at a value: above its line or limit"),
    ("▼", "below its line"),
    ("±", "one standard uncertainty (k = 1)"),
    ("≥", "lower bound: signal at the noise floor"),
    ("—", "not known, or not evaluable"),
    ("hatched", "not evaluable; over a whole cut: stale"),
    ("dotted", "lower bound"),
    ("dashed", "isodose lines by level; in the plot: the line beyond its points"),
    ("purple frame", "replay or demo: not live"),
)
_LARGEST, _SMALLEST = 18, 9


def help_words(pixels: int = _LARGEST) -> str:
    """Return the overlay's content as rich text, its letters `pixels` high."""
    keys, signs = _rows(KEYS), _rows(SIGNS)
    gap = round(pixels * 1.6)
    return (
        f"<div style='font-size:{pixels}px'><p style='font-size:{round(1.4 * pixels)}px'><b>Holmia "
        f"{software_version()}</b> · keys, signs and patterns</p>"
        f"<table width='100%' cellspacing='0'><tr><td width='52%' style='padding-right:{gap}px'>"
        f"<table cellspacing='3'>{keys}</table></td><td width='48%'><table cellspacing='3'>{signs}</table></td></tr>"
        f"</table><p>No single key changes or deletes anything of the treatment. Acknowledging is not clearing.</p>"
        f"<p><b>{DISCLAIMER}</b></p></div>"
    )


def _rows(told: tuple[tuple[str, str], ...]) -> str:
    return "".join(
        f"<tr><td style='padding-right:14px; white-space:nowrap'><b>{head}</b></td><td>{words}</td></tr>"
        for head, words in told
    )


class HelpOverlay(QLabel):
    """Lies over the window's middle until ``?`` or Esc."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("overlay")
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setWordWrap(True)
        self.setText(help_words())
        self.hide()

    def toggle(self) -> None:
        """Show or hide."""
        self.setVisible(self.isHidden())
        if not self.isHidden():
            self.place()
            self.raise_()

    def place(self) -> None:
        """Lie in the middle of the window, in the largest letters with which everything fits."""
        room = self.window().rect()
        width, most = int(room.width() * 0.86), int(room.height() * 0.97)
        largest = max(_SMALLEST, round(_LARGEST * min(room.width() / 1920, room.height() / 1080)))
        for pixels in range(largest, _SMALLEST - 1, -1):
            self.setText(help_words(pixels))
            if self.heightForWidth(width) <= most:
                break
        height = min(self.heightForWidth(width), most)
        self.setGeometry((room.width() - width) // 2, (room.height() - height) // 2, width, height)
