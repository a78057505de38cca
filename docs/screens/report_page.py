"""Draws a page of the report of a treatment, as it is printed."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from console.outputs.report import report_bytes
from console.outputs.results import results_document
from console.snapshot import Snapshot
from screens.drawing import with_fewer_colours

_DPI = 75


@dataclass(frozen=True, kw_only=True)
class ReportPage:
    """Which page of whose report."""

    name: str
    snapshot: Snapshot
    number: int


def draw_page(page: ReportPage, target: Path, *, small: bool) -> None:
    """Write the report, draw one page of it and write that, `small` with fewer colours.

    Raises
    ------
    subprocess.CalledProcessError
        If the page cannot be drawn; `pdftoppm` is of poppler-utils (`scripts/setup.sh`).
    """
    with tempfile.TemporaryDirectory(prefix="holmia-report-") as folder:
        report = Path(folder) / "report.pdf"
        report.write_bytes(report_bytes(results_document(page.snapshot), page.snapshot))
        which = ("-f", str(page.number), "-l", str(page.number), "-singlefile")
        command = ("pdftoppm", "-png", "-r", str(_DPI), *which, str(report), str(target.with_suffix("")))
        subprocess.run(command, check=True, timeout=60)
    if small:
        with_fewer_colours(target)
