"""`holmia send`: DICOM files to an archive or planning system, or, as a simulated scanner, to a listener."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from config.settings import load_settings
from console.cli.app import app, progress_bar
from console.sending import Answer, SendError, send_folder
from console.shell import EXIT_DONE, EXIT_PARTLY, EXIT_USAGE, CommandError, address, say
from dicom_listener.tls import TlsError, client_context

_TOLD = 10


@app.command()
def send(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A DICOM file, a folder of them, or of such folders.", exists=True)
    ],
    node: Annotated[str, typer.Argument(metavar="HOST:PORT", help="Where to send them.")],
    pace: Annotated[float, typer.Option(help="Pause after each instance, s.", min=0.0)] = 0.0,
    called: Annotated[str, typer.Option(help="AE title of the node.")] = "HOLMIA",
    calling: Annotated[str, typer.Option(help="AE title of the sender.")] = "SCANNER",
    shuffle: Annotated[bool, typer.Option("--shuffle", help="In an order drawn from the seed, not by name.")] = False,
    associations: Annotated[int, typer.Option(help="At the same time, per folder.", min=1, max=8)] = 1,
    seed: Annotated[int, typer.Option(help="Of the order.", min=0)] = 1,
    timeout: Annotated[float, typer.Option(help="How long to wait for an answer, s.", min=0.1)] = 30.0,
    site: Annotated[
        Path | None, typer.Option("--site", help="The site's settings (TOML): its TLS is used.", dir_okay=False)
    ] = None,
) -> int:
    """Send DICOM files to a node, such as a PACS: each sub-folder in an association of its own."""
    host, port = address(node)
    for option, title in (("--called", called), ("--calling", calling)):
        if not 1 <= len(title.strip()) <= 16 or not title.isascii() or "\\" in title or not title.isprintable():
            raise CommandError(
                f'{option} "{title}" is no AE title; expected 1 to 16 ASCII characters, no backslash.',
                status=EXIT_USAGE,
            )
    settings = load_settings(site).site
    try:
        with progress_bar() as bar:
            task = bar.add_task("sending", total=None)
            report = send_folder(
                folder,
                host,
                port,
                called_ae=called,
                calling_ae=calling,
                pace_s=pace,
                order="shuffled" if shuffle else "sorted",
                seed=seed,
                associations=associations,
                timeout_s=timeout,
                tls=client_context(settings) if settings.tls else None,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
    except (SendError, TlsError) as error:
        raise CommandError(str(error)) from None
    _tell("was stored with a warning", report.warned)
    _tell("was refused", report.refused)
    warned = f", {len(report.warned)} of them with a warning" if report.warned else ""
    say(f"{report.sent} instances sent{warned}, {len(report.refused)} refused.")
    return EXIT_PARTLY if report.refused else EXIT_DONE


def _tell(what: str, answers: tuple[Answer, ...]) -> None:
    for answer in answers[:_TOLD]:
        say(f"{answer.path} {what}: {answer.words.rstrip('.')}.")
    if len(answers) > _TOLD:
        say(f"{len(answers) - _TOLD} more {what.replace('was', 'were')}.")
