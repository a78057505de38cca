"""Every state of the dialogs that is worth a picture, from the moments of the phantom's treatments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from console.dashboard.dialogs.connection_dialog import ConnectionDialog
from console.dashboard.dialogs.drawing_dialog import DrawingDialog
from console.dashboard.dialogs.injection_dialog import InjectionDialog
from console.dashboard.dialogs.registration_dialog import RegistrationDialog
from console.dashboard.dialogs.series_dialog import SeriesDialog
from console.dashboard.dialogs.setup_dialog import SetupDialog
from console.dashboard.dialogs.tuning_dialog import TuningDialog
from console.dashboard.dialogs.volumes_dialog import VolumesDialog
from console.dashboard.screen.view import Tool
from console.snapshot import Snapshot
from screens import changes
from screens.course import DRAFT, REASON, Moment, middle_lps_mm
from screens.dialog_drawing import DialogPicture, echo, settle, tune
from screens.replayed import dialogs_of_a_replay

Moments = Mapping[str, Moment]
Do = Callable[[Any], None]
Ready = Callable[[Any], bool]
_CHECK = 4


def all_dialogs(whole: Moments, two_positions: Moments) -> Iterator[DialogPicture]:
    """Every picture."""
    yield from _setup(whole)
    yield from _injections(whole)
    yield from _series(whole)
    yield from _registration(whole)
    yield from _connection(whole)
    yield from _volumes(whole, two_positions)
    yield from _drawing(whole)
    yield from _tuning(whole)
    yield from dialogs_of_a_replay(whole)


def _of(
    name: str,
    tool: Tool,
    moment: Moment,
    snapshot: Snapshot | None = None,
    *,
    done: Do = lambda _: None,
    until: Ready = lambda _: True,
    listening: bool = True,
) -> DialogPicture:
    own = moment if snapshot is None else replace(moment, snapshot=snapshot)
    return DialogPicture(name=name, tool=tool, moment=own, done=done, until=until, listening=listening)


# -- setup ---------------------------------------------------------------------------------------------------------


def _setup(m: Moments) -> Iterator[DialogPicture]:
    images = m["reference_awaited"]
    received = changes.without_plan(images.snapshot)
    born = str(images.snapshot.patient_birth_date)
    same = {"confirm.id": images.snapshot.patient_id, "confirm.birth_date": born}
    plan = images.file.parent / "dicom" / "plan_before.toml"

    def page(number: int, *steps: Do) -> Do:
        def done(dialog: SetupDialog) -> None:
            dialog.load(plan)
            _type(dialog, "confirm", same)
            dialog.tabs.setCurrentIndex(number)
            settle()
            for step in steps:
                step(dialog)
                settle()

        return done

    yield _of("setup_patient", Tool.SETUP, images, received)
    yield _of("setup_faults", Tool.SETUP, images, received, done=page(1, _vial_and_residual))
    yield _of("setup_positions", Tool.SETUP, images, received, done=page(2))
    yield _of("setup_volumes", Tool.SETUP, images, received, done=page(3))
    yield _of("setup_check", Tool.SETUP, images, received, done=page(_CHECK))
    yield _of("setup_changes", Tool.SETUP, m["result_2"], done=_less_planned)


def _type(dialog: SetupDialog, form: str, texts: Mapping[str, str]) -> None:
    for key, text in texts.items():
        dialog.forms[form].changed.emit(key, text)


def _vial_and_residual(dialog: SetupDialog) -> None:
    """A residual above its vial, and a fraction of holmium in per cent."""
    dialog.tables["injections"].changed.emit("injections[0].vials", "A")
    for rows in ("vials", "residuals"):
        dialog.add_buttons[rows].click()
        settle()
    day = "2026-03-04"
    vial = {"name": "A", "activity_MBq": "720", "assay_time": f"{day} 09:10"}
    residual = {"activity_MBq": "750", "assay_time": f"{day} 09:20", "injections": "RHA F1"}
    for rows, texts in (("vials", vial), ("residuals", residual)):
        for key, text in texts.items():
            dialog.tables[rows].changed.emit(f"{rows}[0].{key}", text)
    _type(dialog, "batch", {"microspheres.holmium_fraction": "19,5"})


def _less_planned(dialog: SetupDialog) -> None:
    """After the second fraction less is planned for the fourth."""
    dialog.tables["injections"].changed.emit("injections[3].planned_MBq", "300")
    dialog.tabs.setCurrentIndex(_CHECK)


# -- injections, series, registration ------------------------------------------------------------------------------


def _injections(m: Moments) -> Iterator[DialogPicture]:
    second = m["result_2"]

    def later(dialog: InjectionDialog) -> None:
        dialog.table.selectRow(1)
        dialog.form.changed.emit("time", f"{second.at + timedelta(hours=1):%H:%M:%S}")
        dialog.form.changed.emit("activity_MBq", "390000")

    def chosen(row: int) -> Do:
        return lambda dialog: dialog.table.selectRow(row)

    yield _of("injections", Tool.INJECTIONS, second, changes.provisional_injection(second.snapshot), done=chosen(1))
    yield _of("injections_fault", Tool.INJECTIONS, second, done=later)
    yield _of("injections_under_way", Tool.INJECTIONS, m["under_way_2"])
    yield _of("injections_aborted", Tool.INJECTIONS, second, changes.aborted(second.snapshot), done=chosen(1))


def _series(m: Moments) -> Iterator[DialogPicture]:
    second = m["result_2"]
    repeated = changes.repeated(second.snapshot)

    def answered(dialog: SeriesDialog) -> None:
        dialog.question.buttons[0].click()

    def unlogged(dialog: SeriesDialog) -> None:
        button = next(b for b in dialog.question.buttons if b.isEnabled() and "not logged" in b.text())
        button.click()
        settle()
        dialog.question.form.changed.emit("ended", f"{second.at - timedelta(minutes=2):%H:%M}")

    def clock(dialog: SeriesDialog) -> None:
        dialog.tabs.setCurrentIndex(1)
        dialog.clock_form.changed.emit("offset", "35")

    yield _of("series", Tool.SERIES, m["result_3"])
    yield _of("series_question", Tool.SERIES, second, repeated)
    yield _of("series_answer", Tool.SERIES, second, repeated, done=answered)
    yield _of("series_unlogged_injection", Tool.SERIES, second, repeated, done=unlogged)
    yield _of("series_clock", Tool.SERIES, second, done=clock)


def _registration(m: Moments) -> Iterator[DialogPicture]:
    third = m["result_3"]
    failed = changes.failed_registration(third.snapshot)

    def moved(laid: str) -> Do:
        def done(dialog: RegistrationDialog) -> None:
            for number, value in ((0, 2.5), (2, 6.0)):
                dialog.controls.typed.emit(number, value)
            next(button for mode, button in dialog.modes.items() if mode.name == laid).click()

        return done

    yield _of("registration", Tool.REGISTRATION, third, failed, done=moved("MIX"))
    yield _of("registration_colours", Tool.REGISTRATION, third, failed, done=moved("COLOURS"))


# -- connection ----------------------------------------------------------------------------------------------------


def _connection(m: Moments) -> Iterator[DialogPicture]:
    begun = m["setup"]
    called = {"calling_ae": "MR3T", "called_ae": "HOLMIA1", "address": "192.0.2.10"}
    refused = changes.refused_call(begun.snapshot, begun.at, called)
    yield _of("connection", Tool.CONNECTION, begun)
    yield _of("connection_refused", Tool.CONNECTION, begun, refused, until=_addresses_known)
    answered = m["reference_awaited"]
    yield _of("connection_echo", Tool.CONNECTION, answered, done=echo, until=_echoed)
    yield _of("connection_listener_down", Tool.CONNECTION, begun, listening=False, until=_addresses_known)


def _addresses_known(dialog: ConnectionDialog) -> bool:
    return not dialog._looking.busy


def _echoed(dialog: ConnectionDialog) -> bool:
    return _addresses_known(dialog) and bool(dialog.outcome.text())


# -- volumes and drawing -------------------------------------------------------------------------------------------


def _volumes(m: Moments, two: Moments) -> Iterator[DialogPicture]:
    drawn = two["redrawn"]
    tumour = "Tumour 1"
    row = [*drawn.snapshot.volume_sources].index(tumour) if tumour in drawn.snapshot.volume_sources else 0
    yield _of("volumes_list", Tool.VOLUMES, drawn, done=lambda dialog: dialog.volumes.selectRow(row), until=_read)
    given = m["before_the_first_injection"]
    folder = given.file.parent / "dicom"
    structures = next(path for path in sorted(folder.iterdir()) if path.is_dir() and "struct" in path.name)
    before = changes.without_volumes(given.snapshot)
    yield _of("volumes_from_a_file", Tool.VOLUMES, given, before, done=lambda d: d.look_at([structures]), until=_looked)


def _read(dialog: VolumesDialog) -> bool:
    return not dialog._reading.busy


def _looked(dialog: VolumesDialog) -> bool:
    return _read(dialog) and not dialog._looking.busy


def _drawing(m: Moments) -> Iterator[DialogPicture]:
    before, last = m["before_the_first_injection"], m["confirmed"]

    def at(snapshot: Snapshot, name: str, dialog: DrawingDialog) -> None:
        volume = next(volume for volume in snapshot.volumes if volume.name == name)
        dialog.board.state = replace(dialog.board.state, centre_mm=middle_lps_mm(volume))

    def ball(dialog: DrawingDialog) -> None:
        at(before.snapshot, "Tumour 1", dialog)
        dialog.panel.typed.emit("radius", "20")
        dialog.bar.place.click()
        dialog.panel.typed.emit("name", "Tumour 1")

    def level(dialog: DrawingDialog) -> None:
        at(last.snapshot, "Tumour 2", dialog)
        next(button for tool, button in dialog.bar.tools.items() if tool == "threshold").click()
        for key, text in (("radius", "35"), ("source", "holmium map"), ("level", "0.45")):
            dialog.panel.typed.emit(key, text)
        dialog.bar.place.click()
        dialog.panel.typed.emit("name", "Tumour 2")

    yield _of("drawing_sphere", Tool.DRAWING, before, done=ball)
    yield _of("drawing_threshold", Tool.DRAWING, last, done=level)


# -- the physicist's panel -----------------------------------------------------------------------------------------


def _tuning(m: Moments) -> Iterator[DialogPicture]:
    active, draft = m["confirmed"], m["drafted"].snapshot
    drafted = tune(draft, dict(DRAFT))

    def searched(dialog: TuningDialog) -> None:
        drafted(dialog)
        dialog.search.setText("relax")

    def trends(dialog: TuningDialog) -> None:
        searched(dialog)
        dialog.comparison.tabs.setCurrentIndex(1)

    def promoting(dialog: TuningDialog) -> None:
        searched(dialog)
        dialog.promote_button.click()
        dialog.page.reason.setText(REASON)

    def refused(dialog: TuningDialog) -> None:
        drafted(dialog)
        dialog.search.setText("relax")
        dialog.type(next(iter(DRAFT)), "2,18")

    yield _of("tuning_locked", Tool.TUNING, active)
    yield _of("tuning", Tool.TUNING, active, done=searched)
    yield _of("tuning_trends", Tool.TUNING, active, done=trends)
    yield _of("tuning_refused", Tool.TUNING, active, done=refused)
    yield _of("tuning_promotion", Tool.TUNING, active, done=promoting)
