"""What every command shares: the clock, the exit status, sentences instead of tracebacks, a way to stop."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import typer

from config.errors import ConfigurationError
from console.outputs.error import OutputError
from dicom_listener.record import Record, RecordCorruptError, RecordError, RecordNewerError

EXIT_DONE = 0
EXIT_PARTLY = 1
EXIT_USAGE = 2

_CommandLineError: type[Exception] = typer.BadParameter.__mro__[2]
"""click's ClickException, the base of all errors about a command line, in whichever package typer keeps its click."""


class CommandError(Exception):
    """A command cannot go on; the text says why and what to do, `status` is the exit status."""

    def __init__(self, text: str, *, status: int = EXIT_PARTLY) -> None:
        super().__init__(text)
        self.status = status


def now() -> datetime:
    """The clock; nothing below the commands reads one."""
    return datetime.now(UTC)


def say(text: str) -> None:
    """A line for the person, on standard error: standard output belongs to programs."""
    typer.echo(text, err=True)


def stop_on_signals() -> Callable[[], bool]:
    """Turn SIGTERM and SIGINT into a flag; returns what asks whether it is set."""
    asked = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    return asked.is_set


def refuse_another_patient(paths: Iterable[str]) -> None:
    """Refuse ``--set patient...``: it changes no result, and what it names is in no treatment file to be kept back."""
    for path in paths:
        if path.replace('"', "").replace("'", "").split(".")[0].strip() == "patient":
            raise CommandError(
                f"--set {path} would change whose treatment it is, not what is computed; leave it out.",
                status=EXIT_USAGE,
            )


def open_record(path: Path, *, read_only: bool = True) -> Record:
    """Open a treatment file, or end the command with the sentence that says why not.

    A damaged one is opened to read, up to its last sound event, and it is said; not to write.
    """
    if not path.exists():
        raise CommandError(f"{path} does not exist; check the name.", status=EXIT_USAGE)
    if not read_only:
        return _opened_to_write(path)
    record = Record.salvage(path)
    if record.damage is not None:
        if not record.head().seq:
            record.close()
            raise RecordCorruptError(record.damage)  # there is nothing to read
        say(f"DAMAGED: {record.damage}")
    return record


def _opened_to_write(path: Path) -> Record:
    try:
        return Record.open(path)
    except RecordCorruptError as error:
        if error.last_sound_seq:
            raise
        # SQLite gave up before the events could be looked at: say how much of it is left.
        with Record.salvage(path) as record:
            sound, damage = record.head().seq, record.damage
        raise RecordCorruptError(
            f"{damage or error} Nothing can be added to it; what is sound of it can be read, and exported "
            f"(holmia export {path.name} --to treatment --identified).",
            sound,
        ) from error


def address(text: str) -> tuple[str, int]:
    """Split HOST:PORT (an IPv6 host in brackets).

    Raises
    ------
    CommandError
        If there is no host or no port from 1 to 65535.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise CommandError(f'"{text}" is no address; expected HOST:PORT, such as 127.0.0.1:11112.', status=EXIT_USAGE)
    return host, int(port)


def run_app(app: typer.Typer) -> None:
    """Run the command line; never lets a traceback reach the user."""
    try:
        status = app(standalone_mode=False)
    except typer.Abort:
        say("Stopped.")
        status = EXIT_PARTLY
    except _CommandLineError as error:
        error.show()  # type: ignore[attr-defined]
        status = EXIT_USAGE
    except ConfigurationError as error:
        say(str(error))
        status = EXIT_USAGE
    except (RecordCorruptError, RecordNewerError) as error:
        say(str(error))
        status = EXIT_USAGE
    except CommandError as error:
        say(str(error))
        status = error.status
    except (RecordError, OutputError) as error:
        say(str(error))
        status = EXIT_PARTLY
    except OSError as error:
        name = f" ({error.filename})" if error.filename else ""
        say(f"The operating system refused: {error.strerror or error}{name}.")
        status = EXIT_PARTLY
    except Exception as error:
        say(f"An internal error stopped the command: {type(error).__name__}: {error}. Set HOLMIA_DEBUG=1 to see where.")
        import os

        if os.environ.get("HOLMIA_DEBUG"):
            raise
        status = EXIT_PARTLY
    sys.exit(status if isinstance(status, int) else EXIT_DONE)
