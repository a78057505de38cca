"""The command line (README.md, "Commands") and what its commands share, but for the demonstration's commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from config.plan import TreatmentPlan, load_plan
from config.settings import Settings
from console.outputs.wording import software_version
from console.shell import now, open_record, say
from dicom_listener.events import Kind
from dicom_listener.record import Record, quarantine_path

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


def checked_plan(path: Path, settings: Settings) -> TreatmentPlan:
    """The plan, with its warnings told."""
    plan = load_plan(path, site_time_zone=settings.site.time_zone)
    for warning in plan.warnings():
        say(f"Note: {warning}")
    return plan


def prepared(file: Path, plan: TreatmentPlan, settings: Settings) -> Record:
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


def quarantine_of(file: Path) -> Record:
    """The quarantine file beside a treatment file, made if need be."""
    path = quarantine_path(file)
    return Record.open(path) if path.exists() else Record.create(path)


def progress_bar() -> Progress:
    """A progress bar on standard error, shown on a terminal only."""
    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)
