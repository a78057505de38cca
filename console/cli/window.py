"""Commands that open the window: a live treatment, or one that is over."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from config.overrides import parse_set
from config.settings import load_settings
from console.cli.app import OptionalPlan, Site, app, checked_plan, prepared, progress_bar
from console.processes import ProcessError, listener_process
from console.provenance import provenance
from console.shell import EXIT_DONE, EXIT_PARTLY, EXIT_USAGE, CommandError, now, open_record, say
from console.verify import Verdict, verification
from dicom_listener.decoding import DecodingProcess
from dicom_listener.locks import FileLock, LockHeldError

WhatIf = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A what-if: another setting, by its TOML path; may be repeated."),
]


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="The treatment file.")],
    speed: Annotated[float, typer.Option(help="Times faster than it happened.", min=0.1, max=10_000.0)] = 60.0,
    sets: WhatIf = None,
    site: Site = None,
    verify: Annotated[bool, typer.Option("--verify", help="Recompute without a window and compare.")] = False,
) -> int:
    """The dashboard in replay; with --verify, recompute and compare with what was shown. It records nothing."""
    overrides = parse_set(sets or [])
    if verify:
        if overrides:
            raise CommandError(
                "--verify holds the recorded settings against what was shown, so it takes no --set; leave one of them "
                "out.",
                status=EXIT_USAGE,
            )
        return _verified(file)
    _need_display()
    from console.dashboard.desk.what_if import plans_of, what_if_faults
    from console.dashboard.replay import read_events, run_replay

    settings = load_settings(site)
    with open_record(file) as record:  # says why it cannot be read, if so
        faults = what_if_faults(plans_of(read_events(record)), overrides) if overrides else ()
    if faults:
        raise CommandError(" ".join(faults), status=EXIT_USAGE)
    return run_replay(file, speed=speed, settings=settings, overrides=overrides)


def _verified(file: Path) -> int:
    """Recompute without a window, and say of every result that was shown what came of it."""
    with open_record(file) as record, progress_bar() as progress, DecodingProcess() as decoding:
        task = progress.add_task("recomputing", total=record.head().seq)
        found = verification(
            record,
            here=provenance(),
            progress=lambda done, _: progress.update(task, completed=done),
            reader=decoding,
        )
    for own in found.results:
        say(f"{own.label} (event {own.seq}): {own.verdict}. {own.detail}".rstrip())
    if found.damage is None:
        say(f"The file is sound: {found.head_seq} events, head {found.head_hash}.")
    else:
        say(f"Only the sound part was compared: {found.head_seq} events, head {found.head_hash}.")
    if not found.results:
        say("No result was ever shown from this file, so there is nothing to compare.")
    if found.damage is not None:
        return EXIT_USAGE
    return EXIT_PARTLY if found.verdict is Verdict.DIFFERENT else EXIT_DONE


@app.command()
def console(
    file: Annotated[Path | None, typer.Argument(help="The treatment file; made if it does not exist.")] = None,
    plan: OptionalPlan = None,
    site: Site = None,
    port: Annotated[int | None, typer.Option(help="TCP port of the listener; 0 takes a free one.")] = None,
    new: Annotated[
        bool, typer.Option("--new", help="Begin a treatment in FILE without a plan; the window asks.")
    ] = False,
) -> int:
    """The dashboard, live; starts the listener where none is running. Without a plan the window asks for one."""
    from console.dashboard.run import run_live

    settings = load_settings(site)
    if file is None:
        _need_display()
        file = _asked_for_a_file()
        if file is None:
            return EXIT_DONE
    elif not file.exists() and plan is None and not new:
        raise CommandError(
            f"{file} does not exist; check the name, give --plan, or begin a treatment without a plan by --new.",
            status=EXIT_USAGE,
        )
    if file.exists():
        open_record(file, read_only=False).close()  # says why it cannot be added to, before a listener is started
    _need_display()
    if plan is not None:
        treatment_plan = checked_plan(plan, settings)  # faults are told here, not by a child that dies
        if file.exists():
            prepared(file, treatment_plan, settings).close()  # also where a listener runs already: it reads no plan
    known = file.exists() and plan is None
    with contextlib.ExitStack() as until_closed:
        try:
            until_closed.enter_context(FileLock.acquire(file, "console"))
            bound = until_closed.enter_context(listener_process(file, plan=plan, site=site, port=port))
        except LockHeldError as error:
            raise CommandError(str(error)) from error
        except ProcessError as error:
            if not known:
                raise CommandError(str(error)) from error
            # A treatment that is there can be read and worked on all the same; the window raises its own alarm.
            say(f"{error} The window opens without it.")
            bound = None
        record = until_closed.enter_context(open_record(file, read_only=False))
        return run_live(record, settings=settings, port=bound)


def _asked_for_a_file() -> Path | None:
    """Which treatment to open or to begin, as a dialog asks it; None where it was left without an answer."""
    from console.dashboard.app import create_application
    from console.dashboard.dialogs.start_dialog import ask_for_a_file
    from console.dashboard.run import quit_on_signals

    with quit_on_signals(create_application(sys.argv)):
        return ask_for_a_file(Path.cwd(), now())


def _need_display() -> None:
    """Say it in a sentence where there is no display: Qt would abort the process."""
    shown = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))
    if sys.platform.startswith("linux") and not shown:
        raise CommandError(
            "There is no display for the window (DISPLAY is not set). Use `holmia watch`, `holmia quantify` or "
            "`holmia replay --verify`, or run it on a desktop."
        )
