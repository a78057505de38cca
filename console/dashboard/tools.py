"""The dialogs of the window, by name: each is made when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QWidget

from console.dashboard.dialogs.tool_dialog import Services, ToolDialog
from console.dashboard.screen.view import Tool

Make = Callable[[QWidget, Services], ToolDialog]


def _makers() -> dict[Tool, Make]:
    """Imported when the first dialog is opened: the window's first picture does not wait for them."""
    from console.dashboard.dialogs.comparison_dialog import ComparisonDialog
    from console.dashboard.dialogs.connection_dialog import ConnectionDialog
    from console.dashboard.dialogs.drawing_dialog import DrawingDialog
    from console.dashboard.dialogs.injection_dialog import InjectionDialog
    from console.dashboard.dialogs.registration_dialog import RegistrationDialog
    from console.dashboard.dialogs.series_dialog import SeriesDialog
    from console.dashboard.dialogs.setup_dialog import SetupDialog
    from console.dashboard.dialogs.tuning_dialog import TuningDialog
    from console.dashboard.dialogs.verification_dialog import VerificationDialog
    from console.dashboard.dialogs.volumes_dialog import VolumesDialog

    return {
        Tool.DRAWING: DrawingDialog,
        Tool.SETUP: SetupDialog,
        Tool.INJECTIONS: InjectionDialog,
        Tool.TUNING: TuningDialog,
        Tool.COMPARISON: ComparisonDialog,
        Tool.VERIFICATION: VerificationDialog,
        Tool.CONNECTION: ConnectionDialog,
        Tool.VOLUMES: VolumesDialog,
        Tool.SERIES: SeriesDialog,
        Tool.REGISTRATION: RegistrationDialog,
    }


def load_tools() -> None:
    """Read the code of all dialogs, which takes a second; on any thread."""
    _makers()


def make_tool(tool: Tool, parent: QWidget, services: Services) -> ToolDialog:
    """Make a dialog."""
    return _makers()[tool](parent, services)
