"""The pictures in docs/images, drawn from the phantom: no network, no display, the same every time.

The phantom treatment is imported into a treatment file in a temporary folder and fed to an engine, event by event, as
a console would follow it; the window is drawn off screen with a clock that the phantom's own times set.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before Qt is imported

import numpy as np
from PySide6.QtCore import QMessageLogContext, QtMsgType, qInstallMessageHandler
from PySide6.QtGui import QImage, QImageWriter

from config.plan import load_plan
from config.settings import load_settings
from console.dashboard.app import Dashboard, create_application, render_png
from console.demo.phantom_dicom import PhantomOptions, PhantomTreatment, write_phantom
from console.engine import Engine
from console.outputs.wording import software_version
from console.session import replayed
from console.snapshot import Mode, Snapshot
from dicom_listener.events import Kind
from dicom_listener.importing import import_folders
from dicom_listener.record import Record

IMAGES = Path(__file__).parent / "images"
FULL_HD, LAPTOP = (1920, 1080), (1366, 768)
_AFTER_THE_IMAGE = timedelta(minutes=3)
_STEP = 4


def main() -> None:
    """Write every picture, or those whose names are given."""
    wanted = set(sys.argv[1:])
    qInstallMessageHandler(_quiet)
    application = create_application(sys.argv[:1])
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="holmia-screens-") as folder:
        phantom = write_phantom(Path(folder) / "dicom", PhantomOptions(positions=("RHA",), saturating_tumour=0))
        everything = phantom.series_folders
        without_structures = (phantom.reference, *phantom.fractions)
        pictures = {
            "console": (everything, len(phantom.fractions), FULL_HD),
            "first_fraction": (everything, 1, FULL_HD),
            "before_the_first_injection": (everything, 0, FULL_HD),
            "laptop": (everything, len(phantom.fractions), LAPTOP),
            "no_structures": (without_structures, 2, FULL_HD),
        }
        for name, (folders, fractions, size) in pictures.items():
            if wanted and name not in wanted:
                continue
            snapshot = known_after(phantom, folders, fractions, Path(folder) / f"{name}.holmia")
            target = IMAGES / f"{name}.png"
            draw(snapshot, target, size)
            print(f"{target.name}: {size[0]} × {size[1]}, {target.stat().st_size // 1000} kB")
    application.quit()


def known_after(phantom: PhantomTreatment, folders: Sequence[Path], fractions: int, file: Path) -> Snapshot:
    """What a console knows after so many fractions, of the folders that the scanner has sent by then."""
    given = phantom.treatment.injections
    not_yet = phantom.fractions[fractions:]
    sent = [folder for folder in folders if folder not in not_yet]
    now = given[fractions - 1].time + timedelta(minutes=5) if fractions else given[0].time - timedelta(minutes=15)
    settings = load_settings(None)
    plan = load_plan(phantom.planned_only_path, site_time_zone=settings.site.time_zone)
    payload = {
        "plan": plan.to_mapping(),
        "sha256": plan.sha256,
        "settings": {
            "quantification": settings.quantification.to_mapping(),
            "alarms": settings.alarms.to_mapping(),
        },
        "time_zone": settings.site.time_zone,
    }
    with Record.create(file) as record:
        record.append(
            Kind.TREATMENT_CREATED, {"software_version": software_version()}, actor="holmia", utc=now.astimezone(UTC)
        )
        record.append(Kind.PLAN_LOADED, payload, actor="holmia", utc=now.astimezone(UTC))
        for injection in given[:fractions]:
            said = {
                "position": injection.position,
                "fraction": injection.fraction,
                "activity_MBq": injection.activity_mbq,
                "time": injection.time.isoformat(),
            }
            record.append(Kind.INJECTION_RECORDED, said, actor="demonstration", utc=injection.time.astimezone(UTC))
        import_folders(
            record,
            sent,
            plan.patient,
            lambda: now.astimezone(UTC),
            quarantine_factory=lambda: Record.create(file.with_name(f"{file.stem}.quarantine.holmia")),
            progress=lambda _done, _all: None,
        )
        engine = Engine()
        for _ in replayed(record, engine):
            pass
        for _ in engine.advance():
            pass
        return engine.snapshot()


def draw(snapshot: Snapshot, target: Path, size: tuple[int, int]) -> None:
    """Draw the window as it stands a few minutes after the latest image, and write it."""
    moment = (snapshot.latest_acquired_at or datetime.now(UTC)) + _AFTER_THE_IMAGE
    dashboard = Dashboard(
        mode=Mode.DEMO,
        clock=lambda: moment,
        on_operator_action=lambda _: None,
        machine_status=lambda: ("listener running", "120 GB free"),
    )
    dashboard.receive(replace(snapshot, computing=""))
    render_png(dashboard.window, target, size)
    dashboard.stop()
    dashboard.window.close()
    with_fewer_shades(target)


def with_fewer_shades(path: Path) -> None:
    """Rewrite a picture with 64 shades of each primary colour: smaller, and no difference that an eye sees."""
    image = QImage(str(path)).convertToFormat(QImage.Format.Format_RGB888)
    shape = image.height(), image.bytesPerLine()
    shades = np.frombuffer(image.constBits(), dtype=np.uint8).reshape(shape).astype(np.uint16)
    rounded = np.minimum((shades + _STEP // 2) // _STEP * _STEP, 255).astype(np.uint8)
    picture = QImage(rounded.data, image.width(), image.height(), image.bytesPerLine(), QImage.Format.Format_RGB888)
    writer = QImageWriter(str(path))
    writer.setQuality(0)  # slow and small
    if not writer.write(picture):
        raise OSError(f"{path} could not be written: {writer.errorString()}; check that the folder is writable.")


def _quiet(kind: QtMsgType, _context: QMessageLogContext, text: str) -> None:
    """Qt's offscreen platform remarks on every window that it cannot size."""
    if "propagateSizeHints" not in text:
        print(f"Qt: {text}", file=sys.stderr)


if __name__ == "__main__":
    main()
