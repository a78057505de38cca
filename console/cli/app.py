"""The command line (README.md, "Commands") and what its commands share, but for the demonstration's commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from config.plan import TreatmentPlan, load_plan
from config.settings import Settings
from console.outputs.wording import software_version
from console.prepared import created, with_plan
from console.shell import now, open_record, say
from dicom_listener.record import Record

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
    for warning in plan.warnings(settings.alarms, settings.quantification):
        say(f"Note: {warning}")
    return plan


def prepared(file: Path, plan: TreatmentPlan, settings: Settings) -> Record:
    """The treatment file, made if need be, holding this plan: the same one changes nothing, another is a revision."""
    record = open_record(file, read_only=False) if file.exists() else created(file, now)
    with_plan(record, plan, settings, now)
    return record


def progress_bar() -> Progress:
    """A progress bar on standard error, shown on a terminal only."""
    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)
