"""One page of the setup: groups of fields and tables under titles, in a list that scrolls."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QLayout, QScrollArea, QTabWidget, QVBoxLayout, QWidget

from console.dashboard.dialogs.tool_dialog import plain
from console.dashboard.panels import theme

_BARS = f"""
    QScrollBar:vertical {{ background: {theme.BACKGROUND}; width: 16px; }}
    QScrollBar::handle:vertical {{ background: {theme.MUTED}; border-radius: 6px; min-height: 40px; margin: 2px; }}
    QScrollBar::add-line, QScrollBar::sub-line, QScrollBar::add-page, QScrollBar::sub-page {{ background: none; }}
    """


class SetupPage(QScrollArea):
    """A page that scrolls where it is taller than the dialog; Qt brings a field that gets the focus into view."""

    def __init__(self) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setStyleSheet(_BARS)
        self._inside = QWidget()
        self._rows = QVBoxLayout(self._inside)
        self._rows.setContentsMargins(14, 12, 14, 12)
        self._rows.setSpacing(8)
        self._rows.addStretch(1)
        self.setWidget(self._inside)

    def add(self, title: str, *parts: QWidget | QLayout, note: str = "") -> QFrame:
        """Add a titled group."""
        made = group(title, *parts, note=note)
        self._rows.insertWidget(self._rows.count() - 1, made)
        return made


def group(title: str, *parts: QWidget | QLayout, note: str = "") -> QFrame:
    """A frame with a title, a note under it, and its parts from top to bottom."""
    made = QFrame()
    made.setObjectName("panel")
    inside = QVBoxLayout(made)
    inside.setContentsMargins(14, 8, 14, 10)
    inside.setSpacing(6)
    if title:
        head = plain(title)
        head.setObjectName("glance_title")
        inside.addWidget(head)
    if note:
        said = plain(note)
        said.setObjectName("title")
        said.setWordWrap(True)
        inside.addWidget(said)
    for part in parts:
        if isinstance(part, QWidget):
            inside.addWidget(part)
        else:
            inside.addLayout(part)
    return made


def in_order(layout: QLayout) -> Iterator[QWidget]:
    """What takes the focus by the tab key, in the order in which it is read."""
    for place in range(layout.count()):
        item = layout.itemAt(place)
        inner, widget = (None, None) if item is None else (item.layout(), item.widget())
        if isinstance(widget, QTabWidget):
            yield widget.tabBar()
            widget = widget.currentWidget()
        if isinstance(widget, QScrollArea):
            widget = widget.widget()
        if inner is not None:
            yield from in_order(inner)
        elif widget is not None:
            if widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
                yield widget
            elif (below := widget.layout()) is not None:
                yield from in_order(below)


def aligned(*views: QWidget) -> None:
    """Let the labels and units of several forms take the same width, so that fields and verdicts stand in line."""
    grids = [grid for view in views if isinstance(grid := view.layout(), QGridLayout)]
    for column in (0, 2):
        items = [item for grid in grids for row in range(grid.rowCount()) if (item := grid.itemAtPosition(row, column))]
        # The widget's own width: an item that is not shown yet has none.
        width = max((widget.sizeHint().width() for item in items if (widget := item.widget())), default=0)
        for grid in grids:
            grid.setColumnMinimumWidth(column, width)
