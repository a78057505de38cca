"""`holmia check`: is this machine ready, can that node be reached."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from config.settings import load_settings
from console.cli.app import Site, app
from console.reaching import reach
from console.readiness import Finding, Level, ok, readiness
from console.shell import EXIT_DONE, EXIT_PARTLY, EXIT_USAGE, CommandError, address, now
from dicom_listener.access import is_ae_title


@app.command()
def check(
    node: Annotated[
        str | None, typer.Argument(metavar="[HOST:PORT]", help="A node to reach; without it, this machine.")
    ] = None,
    site: Site = None,
    folder: Annotated[
        Path, typer.Option(help="Where treatment files are to lie.", exists=True, file_okay=False)
    ] = Path(),
    called: Annotated[str, typer.Option(help="AE title of the node to reach.")] = "HOLMIA",
    calling: Annotated[str | None, typer.Option(help="AE title to call with (default: this node's own).")] = None,
    timeout: Annotated[float, typer.Option(help="Patience with the node, s.", min=0.1, max=600)] = 10.0,
) -> int:
    """Is this machine ready: libraries, port, disk, clock, settings. With HOST:PORT: does that node answer an echo."""
    settings = load_settings(site)
    if node is None:
        of = ok("settings", f"{site or 'the defaults'}: sound")
        return _tell((of, *readiness(settings.site, folder.absolute(), now())))
    host, port = address(node)
    calling = calling or settings.site.ae_title
    for option, title in (("--called", called), ("--calling", calling)):
        if not is_ae_title(title.strip()):
            raise CommandError(
                f'{option} "{title}" is no AE title; expected 1 to 16 ASCII characters, no backslash.',
                status=EXIT_USAGE,
            )
    return _tell(reach(host, port, settings.site, called=called, calling=calling, timeout_s=timeout))


def _tell(findings: Iterable[Finding]) -> int:
    """One line a finding, as it is found; 1 if any keeps a treatment from working."""
    failed = False
    for finding in findings:
        typer.echo(f"{finding.level:<4}  {finding.subject:<12}  {finding.text}")
        failed = failed or finding.level is Level.FAIL
    return EXIT_PARTLY if failed else EXIT_DONE
