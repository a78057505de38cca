"""Commands that bring images into a treatment file: from the network, from folders."""

from __future__ import annotations

import json
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from config.plan import TreatmentPlan
from config.settings import Settings, load_settings
from console.cli.app import OptionalPlan, Plan, Site, app, checked_plan, prepared, progress_bar
from console.prepared import created, quarantine_of
from console.shell import EXIT_DONE, EXIT_PARTLY, EXIT_USAGE, CommandError, now, open_record, say, stop_on_signals
from dicom_listener.association_log import configure_log
from dicom_listener.decoding import DecodingProcess
from dicom_listener.expected_patient import ExpectedPatient
from dicom_listener.importing import import_folders
from dicom_listener.listener import Listener, ListenerError, check_address
from dicom_listener.locks import FileLock, LockHeldError
from dicom_listener.record import Record

_COMPARING_S = 5.0
"""Two compressed forms of one image are told apart or not within this; a sender waits for it."""


class LogLevel(StrEnum):
    """What the listener's log holds: an association a line, without anything of a patient; at DEBUG each instance."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


@app.command()
def listen(
    file: Annotated[Path, typer.Argument(help="The treatment file; made if it does not exist.")],
    plan: OptionalPlan = None,
    site: Site = None,
    port: Annotated[int | None, typer.Option(help="TCP port; 0 takes a free one.")] = None,
    aet: Annotated[str | None, typer.Option(help="AE title of this node.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to bind to.")] = None,
    log: Annotated[
        LogLevel, typer.Option(help="How much is said on standard error, as JSON lines; DEBUG names every instance.")
    ] = LogLevel.INFO,
) -> int:
    """Receive DICOM into a treatment file until told to stop (SIGTERM or Ctrl-C).

    Without a plan the patient of the first image is the treatment's, until a console records a plan.
    """
    given = {"site.port": port, "site.ae_title": aet, "site.host": host}
    settings = load_settings(site, {key: value for key, value in given.items() if value is not None})
    treatment_plan = checked_plan(plan, settings) if plan is not None else None
    stop = stop_on_signals()
    try:
        if not file.exists():
            check_address(settings.site)  # before a file is made that nothing would be received into
        with (
            FileLock.acquire(file, "listener"),
            _opened(file, treatment_plan, settings) as record,
            DecodingProcess(timeout_s=_COMPARING_S) as decoding,
        ):
            configure_log(log)
            listener = Listener(
                record,
                lambda: quarantine_of(file),
                settings.site,
                ExpectedPatient(record),
                now,
                incomplete_after_s=settings.alarms.incomplete_after_s,
                same_pixels=decoding.same_pixels,
            )
            bound = listener.start()
            typer.echo(json.dumps({"event": "listening", "port": bound, "ae_title": settings.site.ae_title}))
            while not stop():
                time.sleep(0.05)
            listener.stop()
    except (LockHeldError, ListenerError) as error:
        raise CommandError(str(error)) from error
    return EXIT_DONE


def _opened(file: Path, plan: TreatmentPlan | None, settings: Settings) -> Record:
    if plan is not None:
        return prepared(file, plan, settings)
    return open_record(file, read_only=False) if file.exists() else created(file, now)


@app.command("import")
def import_(
    folders: Annotated[list[Path], typer.Argument(help="Folders with DICOM files.", exists=True, file_okay=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="The treatment file to make.")],
    plan: Plan,
    site: Site = None,
) -> int:
    """Make a treatment file from DICOM that already lies on disk."""
    settings = load_settings(site)
    treatment_plan = checked_plan(plan, settings)
    if output.exists():
        raise CommandError(f"{output} exists already; name a new file with -o.", status=EXIT_USAGE)
    return import_into(folders, output, treatment_plan, settings)


def import_into(folders: list[Path], output: Path, plan: TreatmentPlan, settings: Settings) -> int:
    """Store what lies below `folders` in a new treatment file and tell what became of it; returns the exit status."""
    with prepared(output, plan, settings) as record, progress_bar() as progress:
        task = progress.add_task("importing", total=None)
        report = import_folders(
            record,
            folders,
            plan.patient,
            now,
            quarantine_factory=lambda: quarantine_of(output),
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    say(
        f"{output}: {report.stored} instances stored, {report.duplicates} duplicates, "
        f"{report.quarantined} of another patient or in conflict set aside, {report.not_dicom} files are not DICOM."
    )
    for name, reason in report.unreadable:
        say(f"  not stored: {name}: {reason}")
    if report.stored == 0:
        say("Nothing was stored: check the folders and the patient's id in the plan.")
    return EXIT_PARTLY if report.unreadable or report.stored == 0 else EXIT_DONE
