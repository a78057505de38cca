"""The commands `demo` and `phantom`: a treatment with known truth, live on this machine, and as DICOM."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress as ProgressBar

from console.demo.imprint import ImprintOptions, imprint
from console.demo.phantom_acquisition import SMALL, AcquisitionOptions
from console.demo.phantom_dicom import PhantomError, PhantomOptions, Progress, write_phantom
from console.demo.phantom_headers import Flavour
from console.shell import EXIT_DONE, EXIT_USAGE, CommandError, say

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

_POSITIONS = {1: ("RHA",), 2: ("RHA", "LHA")}


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for what it leaves.", file_okay=False)] = Path("demo-output"),
    speed: Annotated[float, typer.Option(help="How much faster the scanner sends.", min=0.1)] = 1.0,
    headless: Annotated[bool, typer.Option("--headless", help="Draw the window off screen.")] = False,
) -> int:
    """Listener, simulated scanner and console on this machine, on a phantom treatment with known truth."""
    hidden = headless or not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    if hidden:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    from console.demo.demonstration import run_demo

    return run_demo(out=out, speed=speed, headless=hidden)


@app.command()
def phantom(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New folder to write to.", file_okay=False)],
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Imprint known holmium on the multi-echo series in this folder instead."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed is another patient.", min=0)] = 1,
    flavour: Annotated[Flavour, typer.Option(help="Whose files to write.")] = Flavour.SIEMENS_CLASSIC,
    positions: Annotated[int, typer.Option(help="Injection positions.", min=1, max=2)] = 2,
    fractions: Annotated[int, typer.Option(help="Fractions per position.", min=1, max=4)] = 4,
    tumours: Annotated[int, typer.Option(help="Tumours.", min=2, max=3)] = 3,
    snr: Annotated[float, typer.Option(help="Signal of the liver at TE 0 over the noise.", min=1.0)] = 50.0,
    shift: Annotated[float, typer.Option(help="Largest shift between series, mm.", min=0.0, max=30.0)] = 3.0,
    tilt: Annotated[float, typer.Option(help="Tilt of the slab about x, degrees.", min=-20.0, max=20.0)] = 0.0,
    small: Annotated[bool, typer.Option("--small", help="A coarser grid: four times faster.")] = False,
    series_per_echo: Annotated[bool, typer.Option("--series-per-echo", help="Each echo a series of its own.")] = False,
    phase: Annotated[bool, typer.Option("--phase", help="Phase images as well (siemens-classic).")] = False,
    radius: Annotated[float, typer.Option(help="--from: radius of the sphere, mm.", min=1.0)] = 12.5,
    peak: Annotated[float, typer.Option(help="--from: mg/mL at its centre; 0 at its edge.", min=0.01)] = 1.0,
    centre: Annotated[
        tuple[float, float, float] | None, typer.Option(help="--from: centre, LPS mm (default: of the intensity).")
    ] = None,
    sigma: Annotated[float | None, typer.Option(help="--from: noise of the images (default: measured).")] = None,
) -> int:
    """Write a treatment with known truth as DICOM, with its plan (plan.toml) and its truth (truth.json)."""
    try:
        with _progress("Writing") as tell:
            if source is not None:
                options = ImprintOptions(
                    radius_mm=radius, peak_mg_per_ml=peak, centre_mm=centre, noise_sigma=sigma, seed=seed
                )
                written = imprint(source, folder, options, tell)
                plan = written.plan_path
            else:
                base = SMALL if small else AcquisitionOptions()
                protocol = AcquisitionOptions(
                    shape=base.shape, spacing_mm=base.spacing_mm, snr=snr, tilt_deg=(tilt, 0.0, 0.0)
                )
                plan = write_phantom(
                    folder,
                    PhantomOptions(
                        seed=seed,
                        flavour=flavour,
                        positions=_POSITIONS[positions],
                        fractions=fractions,
                        n_tumours=tumours,
                        acquisition=protocol,
                        shift_mm=shift,
                        series_per_echo=series_per_echo,
                        phase=phase,
                    ),
                    tell,
                ).plan_path
    except PhantomError as error:
        raise CommandError(str(error), status=EXIT_USAGE) from None
    say(f"Written to {folder}; the plan is {plan}.")
    return EXIT_DONE


@contextmanager
def _progress(title: str) -> Iterator[Progress]:
    console = Console(stderr=True)
    with ProgressBar(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=1.0)
        yield lambda text, share: bar.update(task, completed=share, description=f"{title} {text}".rstrip())
