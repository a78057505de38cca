"""The command line (README.md, "Commands"), but for the demonstration's commands, which live with it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import Progress

from config.overrides import parse_set
from config.plan import TreatmentPlan, load_plan
from config.settings import Settings, load_settings
from console.engine import AlarmFound, Engine, FractionComputed, SeriesComplete, Update
from console.outputs.folder import write_outputs
from console.outputs.results import alarm_document, fraction_document, software_version
from console.processes import ProcessError, listener_process
from console.session import Session, replayed
from console.shell import EXIT_DONE, EXIT_PARTLY, EXIT_USAGE, CommandError, now, open_record, say, stop_on_signals
from console.snapshot import Snapshot
from console.verify import verify_shown
from dicom_listener.events import Kind
from dicom_listener.importing import import_folders
from dicom_listener.listener import Listener, ListenerError
from dicom_listener.locks import FileLock, LockHeldError
from dicom_listener.record import Record, quarantine_path
from quantify.findings import FractionStatus

app = typer.Typer(
    name="holmia",
    help="Intraprocedural MRI dosimetry for holmium-166 radioembolization. "
    "For research use only; not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Plan = Annotated[Path, typer.Option("--plan", help="The plan of the treatment (TOML).", dir_okay=False)]
OptionalPlan = Annotated[Path | None, typer.Option("--plan", help="The plan of the treatment (TOML).", dir_okay=False)]
Site = Annotated[Path | None, typer.Option("--site", help="The site's settings (TOML).", dir_okay=False)]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Lay a value over the plan, by its TOML path; may be repeated."),
]


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=lambda asked: _show_version(asked))
    ] = False,
) -> None:
    """Holmia."""


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"holmia {software_version()}")
        raise typer.Exit


@app.command()
def listen(
    file: Annotated[Path, typer.Argument(help="The treatment file; made if it does not exist.")],
    plan: Plan,
    site: Site = None,
    port: Annotated[int | None, typer.Option(help="TCP port; 0 takes a free one.")] = None,
    aet: Annotated[str | None, typer.Option(help="AE title of this node.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to bind to.")] = None,
) -> int:
    """Receive DICOM into a treatment file until told to stop (SIGTERM or Ctrl-C)."""
    given = {"site.port": port, "site.ae_title": aet, "site.host": host}
    settings = load_settings(site, {key: value for key, value in given.items() if value is not None})
    treatment_plan = _checked_plan(plan, settings)
    stop = stop_on_signals()
    try:
        with FileLock.acquire(file, "listener"), _prepared(file, treatment_plan, settings) as record:
            listener = Listener(
                record,
                lambda: _quarantine(file),
                settings.site,
                treatment_plan.patient,
                now,
            )
            bound = listener.start()
            typer.echo(json.dumps({"event": "listening", "port": bound, "ae_title": settings.site.ae_title}))
            while not stop():
                time.sleep(0.05)
            listener.stop()
    except (LockHeldError, ListenerError) as error:
        raise CommandError(str(error)) from error
    return EXIT_DONE


@app.command()
def watch(
    file: Annotated[Path, typer.Argument(help="The treatment file; waited for if it does not exist yet.")],
    until_complete: Annotated[
        bool, typer.Option("--until-complete", help="End when every planned injection has a result or an error.")
    ] = False,
    timeout: Annotated[float | None, typer.Option(help="Give up after so many seconds.")] = None,
) -> int:
    """The console without a window, read-only: one JSON line for every event of interest."""
    stop = stop_on_signals()
    deadline = None if timeout is None else time.monotonic() + timeout

    def over() -> bool:
        return stop() or (deadline is not None and time.monotonic() > deadline)

    while not file.exists() and not over():
        time.sleep(0.02)
    latest = Snapshot()

    def keep(snapshot: Snapshot) -> None:
        nonlocal latest
        latest = snapshot

    engine = Engine()
    if file.exists():
        with open_record(file) as record:
            session = Session(
                record=record,
                engine=engine,
                clock=now,
                on_update=lambda update: _tell(update, engine.snapshot().plan),
                on_snapshot=keep,
            )
            session.run(lambda: over() or (until_complete and latest.complete))
    elif not stop():
        say(f"Timed out after {timeout:g} s: {file} did not appear. Check the name, and that the listener runs.")
        return EXIT_PARTLY
    if stop() and not latest.complete:
        return EXIT_DONE
    if until_complete and not latest.complete:
        done, planned = len(latest.results), len(latest.injections)
        say(f"Timed out after {timeout:g} s: {done} of {planned} injections have a result.")
        return EXIT_PARTLY
    return _status_of(latest) if until_complete else EXIT_DONE


def _tell(update: Update, plan: TreatmentPlan | None) -> None:
    """One JSON line for an update, at once; times as in ``results.json``, in the plan's time zone."""
    zone = ZoneInfo(plan.time_zone if plan is not None else "UTC")
    typer.echo(json.dumps(_line(update, zone), ensure_ascii=False, allow_nan=False))


def _line(update: Update, zone: ZoneInfo) -> dict[str, Any]:
    match update:
        case SeriesComplete(state=state):
            return {
                "event": "series_complete",
                "series_instance_uid": state.series_instance_uids[0],
                "description": state.description,
                "echoes": len(state.echo_times_s),
                "slices": state.n_slices,
                "reason": state.reason,
                "revision": state.revision,
                "holmium_refusal": state.holmium_refusal,
            }
        case FractionComputed(result=result, stored_at=stored_at):
            latency = None if stored_at is None else (now() - stored_at).total_seconds()
            return {"event": "fraction_result", "latency_s": latency, **fraction_document(result, zone)}
        case AlarmFound(alarm=alarm):
            return {"event": "alarm", **alarm_document(alarm, zone)}


@app.command("import")
def import_(
    folders: Annotated[list[Path], typer.Argument(help="Folders with DICOM files.", exists=True, file_okay=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="The treatment file to make.")],
    plan: Plan,
    site: Site = None,
) -> int:
    """Make a treatment file from DICOM that already lies on disk."""
    settings = load_settings(site)
    treatment_plan = _checked_plan(plan, settings)
    if output.exists():
        raise CommandError(f"{output} exists already; name a new file with -o.", status=EXIT_USAGE)
    return _import(folders, output, treatment_plan, settings)


def _import(folders: list[Path], output: Path, plan: TreatmentPlan, settings: Settings) -> int:
    with _prepared(output, plan, settings) as record, _progress() as progress:
        task = progress.add_task("importing", total=None)
        report = import_folders(
            record,
            folders,
            plan.patient,
            now,
            quarantine_factory=lambda: _quarantine(output),
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


@app.command()
def quantify(
    source: Annotated[Path, typer.Argument(help="A treatment file, or a folder with DICOM files.", exists=True)],
    out: Annotated[Path, typer.Option("--out", help="Folder for results.json, results.csv and maps/.")],
    plan: OptionalPlan = None,
    sets: Sets = None,
    site: Site = None,
) -> int:
    """Quantify everything, unattended: results.json, results.csv and maps as NIfTI."""
    overrides = parse_set(sets or [])
    settings = load_settings(site)
    if source.is_file():
        if plan is not None:
            raise CommandError(
                f"{source} carries its own plan; leave --plan out, or change single values with --set.",
                status=EXIT_USAGE,
            )
        return _quantify_file(source, out, overrides)
    if plan is None:
        raise CommandError(
            f"{source} is a folder of images: the plan says what was injected; give it with --plan.", status=EXIT_USAGE
        )
    treatment_plan = load_plan(plan, site_time_zone=settings.site.time_zone, overrides=overrides)
    with tempfile.TemporaryDirectory(prefix="holmia-") as folder:
        record = Path(folder) / "import.holmia"
        imported = _import([source], record, treatment_plan, settings)
        status = _quantify_file(record, out, {})
    return status or imported


def _quantify_file(file: Path, out: Path, overrides: dict[str, object]) -> int:
    snapshot = quantified(file, overrides)
    write_outputs(snapshot, out)
    _summarise(snapshot, out)
    if not snapshot.results:
        say("No fraction could be quantified: " + _why_nothing(snapshot))
        return EXIT_PARTLY
    return _status_of(snapshot)


def quantified(file: Path, overrides: dict[str, object]) -> Snapshot:
    """The treatment of a file, computed to its end, with progress on a terminal."""
    with open_record(file) as record, _progress() as progress:
        task = progress.add_task("reading", total=record.head().seq)
        engine = Engine(
            overrides=overrides, announce=lambda words: progress.update(task, description=words or "computing")
        )
        for event in replayed(record, engine):
            progress.update(task, completed=event.seq)
        engine.end()
        for _ in engine.advance():
            pass
        return engine.snapshot()


def _summarise(snapshot: Snapshot, out: Path) -> None:
    """The results as a person reads them, on standard error."""
    for result in snapshot.results:
        if result.error is not None:
            say(f"{result.label}: {result.error}")
            continue
        recovery = (
            "recovery unknown" if result.recovery_ratio is None else f"recovery {100 * result.recovery_ratio:.0f} %"
        )
        doses = "; ".join(
            f"{name} {s.dose_mean_gy:.1f} ± {s.dose_mean_u_gy or 0:.1f} Gy"
            for name, s in result.volumes.items()
            if s.dose_mean_gy is not None
        )
        say(f"{result.label}: {doses or 'maps only'}; {recovery}")
    for raised in snapshot.alarms:
        say(f"{raised.alarm.priority} alarm: {raised.alarm.text}")
    say(f"Results are in {out}. For research use only.")


def _why_nothing(snapshot: Snapshot) -> str:
    fault = next((raised.alarm.text for raised in snapshot.alarms if raised.alarm.kind == "not_quantified"), None)
    if fault is not None:
        return fault
    if snapshot.reference is None:
        reasons = "; ".join(f"{s.description or s.protocol}: {s.holmium_refusal or s.reason}" for s in snapshot.series)
        return f"there is no reference series ({reasons or 'no images'})."
    return "no injection of the plan has a time; record the injections."


def _status_of(snapshot: Snapshot) -> int:
    failed = any(result.status == FractionStatus.FAILED for result in snapshot.results)
    return EXIT_PARTLY if failed else EXIT_DONE


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="The treatment file.")],
    speed: Annotated[float, typer.Option(help="Times faster than it happened.", min=0.1)] = 60.0,
    verify: Annotated[bool, typer.Option("--verify", help="Recompute without a window and compare.")] = False,
) -> int:
    """The dashboard in replay; with --verify, recompute and compare with what was shown."""
    if not verify:
        _need_display()
        from console.dashboard.run import run_replay

        with open_record(file) as record:
            return run_replay(record, speed=speed)
    with open_record(file) as record, _progress() as progress:
        head = record.verify()
        task = progress.add_task("recomputing", total=head.seq)
        comparisons = verify_shown(record, progress=lambda event: progress.update(task, completed=event.seq))
    for comparison in comparisons:
        say(f"{comparison.label} (event {comparison.seq}): {comparison.verdict}. {comparison.detail}".rstrip())
    say(f"The file is sound: {head.seq} events, head {head.hash}.")
    if not comparisons:
        say("No result was ever shown from this file, so there is nothing to compare.")
    return EXIT_PARTLY if any(c.verdict == "different" for c in comparisons) else EXIT_DONE


@app.command()
def console(
    file: Annotated[Path | None, typer.Argument(help="The treatment file; made if it does not exist.")] = None,
    plan: OptionalPlan = None,
    site: Site = None,
    port: Annotated[int | None, typer.Option(help="TCP port of the listener; 0 takes a free one.")] = None,
) -> int:
    """The dashboard, live; starts the listener when a plan is given and none is running."""
    from console.dashboard.run import run_live

    if file is None:
        raise CommandError("Name the treatment file: holmia console FILE --plan PLAN.", status=EXIT_USAGE)
    if not file.exists() and plan is None:
        raise CommandError(f"{file} does not exist; give --plan to start a treatment.", status=EXIT_USAGE)
    _need_display()
    if plan is not None:
        settings = load_settings(site)
        treatment_plan = _checked_plan(plan, settings)  # faults are told here, not by a child that dies
        if file.exists():
            _prepared(file, treatment_plan, settings).close()  # also where a listener runs already: it reads no plan
    try:
        with (
            FileLock.acquire(file, "console"),
            listener_process(file, plan=plan, site=site, port=port),
            open_record(file, read_only=False) as record,
        ):
            return run_live(record)
    except (LockHeldError, ProcessError) as error:
        raise CommandError(str(error)) from error


def _need_display() -> None:
    """Say it in a sentence where there is no display: Qt would abort the process."""
    shown = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))
    if sys.platform.startswith("linux") and not shown:
        raise CommandError(
            "There is no display for the window (DISPLAY is not set). Use `holmia watch`, `holmia quantify` or "
            "`holmia replay --verify`, or run it on a desktop."
        )


def _checked_plan(path: Path, settings: Settings) -> TreatmentPlan:
    """The plan, with its warnings told."""
    plan = load_plan(path, site_time_zone=settings.site.time_zone)
    for warning in plan.warnings():
        say(f"Note: {warning}")
    return plan


def _prepared(file: Path, plan: TreatmentPlan, settings: Settings) -> Record:
    """The treatment file, made if need be, holding this plan: the same one changes nothing, another is a revision."""
    payload = {
        "plan": plan.to_mapping(),
        "sha256": plan.sha256,
        "settings": {
            "quantification": settings.quantification.to_mapping(),
            "alarms": settings.alarms.to_mapping(),
        },
        "time_zone": settings.site.time_zone,
    }
    if not file.exists():
        record = Record.create(file)
        record.append(Kind.TREATMENT_CREATED, {"software_version": software_version()}, actor="holmia", utc=now())
        record.append(Kind.PLAN_LOADED, payload, actor="holmia", utc=now())
        return record
    record = open_record(file, read_only=False)
    latest = _latest_plan(record)
    if latest is None:
        record.append(Kind.PLAN_LOADED, payload, actor="holmia", utc=now())
    elif latest != payload:
        record.append(Kind.PLAN_REVISED, payload, actor="holmia", utc=now())
    return record


def _latest_plan(record: Record) -> dict[str, Any] | None:
    latest, after = None, 0
    while batch := record.events(after):
        for event in batch:
            if event.kind in (Kind.PLAN_LOADED, Kind.PLAN_REVISED):
                latest = event.payload
        after = batch[-1].seq
    return latest


def _quarantine(file: Path) -> Record:
    path = quarantine_path(file)
    return Record.open(path) if path.exists() else Record.create(path)


def _progress() -> Progress:
    """A progress bar on standard error, shown on a terminal only."""
    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)
