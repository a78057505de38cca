"""The pictures of the window, drawn from phantoms: no network, no display, the same bytes every time.

Without arguments: what the pages show, into docs/images. ``--all``: also every state at three sizes, into
build/screens. Names of states draw only those.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before Qt is imported

from PySide6.QtCore import qInstallMessageHandler
from PySide6.QtWidgets import QApplication
from screens.course import whole_treatment
from screens.dialog_drawing import DialogPicture, draw_dialog, draw_start
from screens.dialogs import all_dialogs
from screens.drawing import Picture, Size, draw, quiet
from screens.report_page import ReportPage, draw_page
from screens.states import all_states

from console.dashboard.app import create_application
from console.demo.phantom_dicom import PhantomOptions, small_options

DOCS = Path(__file__).parent
IMAGES, EVERYTHING = DOCS / "images", DOCS.parent / "build" / "screens"
SIZES: dict[str, Size] = {"1366x768": (1366, 768), "1920x1080": (1920, 1080), "3840x2160": (3840, 2160)}
FULL_HD = SIZES["1920x1080"]
SHOWN: dict[str, tuple[str, Size]] = {
    **{
        name: (name, FULL_HD)
        for name in (
            "console",
            "first_fraction",
            "before_the_first_injection",
            "series_arriving",
            "stale_after_a_newer_injection",
            "incomplete_series",
            "failed_registration",
            "other_patient",
            "not_evaluable",
            "lower_bound",
            "glance_mode",
            "probe",
            "increment",
            "no_structures",
            "bar_start",
            "bar_stop",
            "bar_said",
            "two_series_of_one_injection",
            "start",
            "setup_patient",
            "setup_faults",
            "setup_check",
            "injections_fault",
            "series_question",
            "series_unlogged_injection",
            "registration_colours",
            "connection_refused",
            "connection_echo",
            "volumes_list",
            "volumes_from_a_file",
            "drawing_sphere",
            "drawing_threshold",
            "tuning",
            "tuning_promotion",
            "settings_changed",
            "replay",
            "replay_jumping",
            "verification",
            "comparison",
            "replay_what_if",
            "report_1",
            "report_2",
        )
    },
    "laptop": ("console", SIZES["1366x768"]),
    "wall_4k": ("console", SIZES["3840x2160"]),
}
"""What docs/images holds: name of the picture, state and size."""


def main() -> None:
    """Write the pictures that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="also every state at three sizes, into build/screens")
    parser.add_argument("states", nargs="*", help="only these")
    asked = parser.parse_args()
    qInstallMessageHandler(quiet)
    application = create_application(sys.argv[:1])
    QApplication.setCursorFlashTime(0)
    with tempfile.TemporaryDirectory(prefix="holmia-screens-") as folder:
        for picture in pictures(Path(folder)):
            if asked.states and picture.name not in asked.states:
                continue
            for target, size in _targets(picture.name, everything=asked.all):
                target.parent.mkdir(parents=True, exist_ok=True)
                _draw(picture, target, size, Path(folder))
                tell(f"{target.relative_to(DOCS.parent)}: {target.stat().st_size // 1000} kB")
    application.quit()


@dataclass(frozen=True, kw_only=True)
class Start:
    """The dialog before there is a window."""

    at: datetime
    name: str = "start"


Drawn = Picture | DialogPicture | Start | ReportPage


def _draw(picture: Drawn, target: Path, size: Size, folder: Path) -> None:
    small = target.parent == IMAGES
    match picture:
        case Picture():
            draw(picture, target, size, small=small)
        case DialogPicture():
            draw_dialog(picture, target, size, small=small)
        case Start(at=at):
            draw_start(folder, at, target, small=small)
        case ReportPage():
            draw_page(picture, target, small=small)


def pictures(folder: Path) -> Iterator[Drawn]:
    """Every state; the treatments are written, sent and computed once."""
    tell("three treatments: four fractions at one position; two positions; one without structures")
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as beside:
        of_two = small_options(positions=("RHA", "LHA"), fractions=2)
        second = beside.submit(whole_treatment, folder / "two", of_two)
        third = beside.submit(whole_treatment, folder / "without", small_options(fractions=2), structures=False)
        options = PhantomOptions(positions=("RHA",), saturating_tumour=0)
        whole = whole_treatment(folder / "whole", options, in_parts=True)
        two, without = second.result(), third.result()
    yield from all_states(whole, two, without)
    yield Start(at=whole["setup"].at)
    yield from all_dialogs(whole, two)
    yield from (ReportPage(name=f"report_{n}", snapshot=whole["confirmed"].snapshot, number=n) for n in (1, 2))


def _targets(picture: str, *, everything: bool) -> Iterator[tuple[Path, Size]]:
    yield from ((IMAGES / f"{name}.png", size) for name, (state, size) in SHOWN.items() if state == picture)
    if everything:
        yield from ((EVERYTHING / name / f"{picture}.png", size) for name, size in SIZES.items())


def tell(words: str) -> None:
    """Say how far it has come."""
    print(words, flush=True)


if __name__ == "__main__":
    main()
