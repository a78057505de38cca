"""Whole or nothing: outputs are written to a hidden folder beside their targets, and moved at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from console.outputs.error import OutputError
from dicom_listener.record import RecordCorruptError, RecordError, RecordNewerError

_PREFIX = ".holmia-export-"
"""What a power cut leaves behind begins with this; it can be deleted."""


def refuse_existing(folder: Path, names: Sequence[str]) -> None:
    """Refuse to write where something stands already.

    Raises
    ------
    OutputError
        If any of `names` exists in `folder`; the sentence names all that do.
    """
    there = [str(folder / name) for name in names if os.path.lexists(folder / name)]
    if there:
        verb = "exists already and is" if len(there) == 1 else "exist already and are"
        raise OutputError(f"{', '.join(there)} {verb} never overwritten; choose another --out.")


@contextlib.contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Give a hidden folder to write to; what it then holds is moved into `folder`, all of it or nothing.

    `folder` is made if need be. When the block raises, the hidden folder and every folder that was made are removed.

    Raises
    ------
    OutputError
        If the folder cannot be made or written, or a name has come into being in it meanwhile.
    """
    with contextlib.ExitStack() as undo:
        with _said_of(folder):
            for missing in _missing(folder):
                missing.mkdir(exist_ok=True)
                undo.callback(_remove_if_empty, missing)
            hidden = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
            undo.callback(shutil.rmtree, hidden, ignore_errors=True)
        with _said_of(folder):
            yield hidden
            _make_durable(hidden)
            _move(hidden, folder)
        # The rest of the cleaning up is harmless: an emptied folder, and folders that are no longer empty.


def _missing(folder: Path) -> list[Path]:
    """The folders that have to be made, outermost first."""
    return [path for path in reversed([folder, *folder.parents]) if not os.path.lexists(path)]


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


@contextlib.contextmanager
def _said_of(folder: Path) -> Iterator[None]:
    """What the operating system or SQLite refuses, as a sentence."""
    try:
        yield
    except (RecordCorruptError, RecordNewerError):  # of the file that is read: they say it themselves
        raise
    except RecordError as error:
        raise OutputError(f"Nothing was written to {folder}: {error}") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"Nothing was written to {folder}: {reason}; free space or choose another --out.") from error


def _make_durable(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _move(hidden: Path, folder: Path) -> None:
    """Give everything its name; what was moved goes back when a later move fails."""
    entries = sorted(hidden.iterdir())
    refuse_existing(folder, [entry.name for entry in entries])  # a rename would replace a file without a word
    try:
        for entry in entries:
            entry.rename(folder / entry.name)
        _make_durable_name(folder)
    except BaseException:
        for entry in entries:
            if not os.path.lexists(entry):
                (folder / entry.name).rename(entry)
        raise


def _make_durable_name(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
