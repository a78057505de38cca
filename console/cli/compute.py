"""Commands that compute what a treatment file implies, without a window: following it, to its end, or once more."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from config.overrides import parse_set
from config.plan import TreatmentPlan, load_plan
from config.settings import load_settings
from console.cli.app import OptionalPlan, Sets, Site, app, progress_bar
from console.cli.receive import import_into
from console.computed import NoSuchVersionError, computed
from console.engine import AlarmFound, Engine, FractionComputed, SeriesComplete, Update
from console.outputs.folder import write_outputs
from console.outputs.results import alarm_document, fraction_document
from console.outputs.rounding import lower_bound
from console.session import Session
from console.shell import EXIT_DONE, EXIT_PARTLY, EXIT_USAGE, CommandError, now, open_record, say, stop_on_signals
from console.snapshot import Snapshot
from dicom_listener.decoding import DecodingProcess
from quantify.findings import FractionStatus, VolumeStatistics, VolumeStatus
from quantify.model import Role


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

    decoding = DecodingProcess()
    decoding.warm()
    while not file.exists() and not over():
        time.sleep(0.02)
    latest = Snapshot()

    def keep(snapshot: Snapshot) -> None:
        nonlocal latest
        latest = snapshot

    if file.exists():
        with open_record(file) as record, decoding:
            engine = Engine(reader=decoding, damage=record.damage)
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
    if latest.damage is not None:
        return EXIT_USAGE
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
        imported = import_into([source], record, treatment_plan, settings)
        status = _quantify_file(record, out, {})
    return status or imported


def _quantify_file(file: Path, out: Path, overrides: dict[str, object]) -> int:
    snapshot = quantified(file, overrides)
    write_outputs(snapshot, out)
    _summarise(snapshot, out)
    if snapshot.damage is not None:
        return EXIT_USAGE
    if not snapshot.results:
        say("No fraction could be quantified: " + _why_nothing(snapshot))
        return EXIT_PARTLY
    return _status_of(snapshot)


def quantified(file: Path, overrides: Mapping[str, object], volumes: Mapping[str, int] | None = None) -> Snapshot:
    """The treatment of a file, computed to its end, with progress on a terminal; versions of volumes by name."""
    with open_record(file) as record, progress_bar() as progress, DecodingProcess() as decoding:
        task = progress.add_task("reading", total=record.head().seq)
        try:
            return computed(
                record,
                overrides=overrides,
                volumes=volumes,
                reader=decoding,
                progress=lambda done, _: progress.update(task, completed=done),
                announce=lambda words: progress.update(task, description=words or "computing"),
            )
        except NoSuchVersionError as error:
            raise CommandError(str(error), status=EXIT_USAGE) from error


def _summarise(snapshot: Snapshot, out: Path) -> None:
    """The results as a person reads them, on standard error."""
    for result in snapshot.results:
        if result.error is not None:
            say(f"{result.label}: {result.error}")
            continue
        bound = any(v.role is Role.LIVER and v.status is VolumeStatus.LOWER_BOUND for v in result.volumes.values())
        recovery = (
            "recovery unknown"
            if result.recovery_ratio is None
            else f"recovery {'≥ ' if bound else ''}{100 * result.recovery_ratio:.0f} %"
        )
        doses = "; ".join(
            f"{name} {_mean_words(s)}" for name, s in result.volumes.items() if s.dose_mean_gy is not None
        )
        provisional = "PROVISIONAL: " if result.status is FractionStatus.PROVISIONAL else ""
        say(f"{result.label}: {provisional}{doses or 'maps only'}; {recovery}")
    for remark in snapshot.structure_remarks:
        say(f"Note: {remark}")
    for raised in snapshot.alarms:
        say(f"{raised.alarm.priority} alarm: {raised.alarm.text}")
    say(f"Results are in {out}. For research use only.")


def _mean_words(statistics: VolumeStatistics) -> str:
    """A mean dose with its uncertainty; one that is a bound is told as one, and none has ± 0 that is not known."""
    mean, u = statistics.dose_mean_gy, statistics.dose_mean_u_gy
    if statistics.status is VolumeStatus.LOWER_BOUND:
        return lower_bound(mean, u, "Gy")
    return f"≈ {mean:.1f} Gy (its uncertainty is not known)" if u is None else f"{mean:.1f} ± {u:.1f} Gy"


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
