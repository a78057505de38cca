"""The empty start of the console: what a new treatment file may be called, and which ones there are. No Qt."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from config.errors import quote

SUFFIX = ".holmia"
_QUARANTINE = ".quarantine"
_LONGEST_NAME = 200
"""Bytes: what is written beside a file has a longer name, and file systems take 255."""


@dataclass(frozen=True, kw_only=True)
class FoundTreatment:
    """A treatment file in the folder, and when something was last appended to it."""

    path: Path
    changed: datetime

    @property
    def label(self) -> str:
        """As the list shows it."""
        return f"{self.path.name}     {self.changed:%Y-%m-%d %H:%M %Z}"


def new_name(folder: Path, now: datetime) -> str:
    """``holmia-20260304-1.holmia``, with the first number that is free."""
    number = 1
    while (folder / (name := f"holmia-{now:%Y%m%d}-{number}{SUFFIX}")).exists():
        number += 1
    return name


def name_fault(folder: Path, text: str) -> str:
    """Why a treatment cannot be begun under a name, in a sentence for beside the field; empty if it can."""
    name = text.strip()
    path = folder / name
    if not name or name == SUFFIX:
        return f"needed: a name that ends in {SUFFIX}"
    if not name.endswith(SUFFIX):
        return f"expected a name that ends in {SUFFIX}"
    if name.endswith(f"{_QUARANTINE}{SUFFIX}"):
        return "kept for what is set aside; choose another name"
    if "\0" in name or len(name.encode("utf-8", "replace")) > _LONGEST_NAME:
        return f"expected at most {_LONGEST_NAME} letters, none of them a zero byte"
    if not path.parent.is_dir():
        return f"the folder {quote(str(path.parent))} does not exist"
    if path.exists() or path.is_symlink():
        return "exists already: open it below, or choose another name"
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return f"the folder {quote(str(path.parent))} cannot be written"
    return ""


def open_fault(path: Path) -> str:
    """Why a file cannot be opened as a treatment, as far as its name and rights tell; empty if it can."""
    if not path.is_file():
        return f"{path.name} is not a file"
    if path.suffix != SUFFIX:
        return f"{path.name} does not end in {SUFFIX}"
    if path.stem.endswith(_QUARANTINE):
        return f"{path.name} holds what was set aside, and is no treatment"
    if not os.access(path, os.R_OK | os.W_OK):
        return f"{path.name} cannot be read and written"
    return ""


def treatments_in(folder: Path, like: datetime) -> Sequence[FoundTreatment]:
    """The treatment files of a folder, the one that changed last first; none is opened.

    Parameters
    ----------
    like
        A time of the zone in which the times are told.
    """
    found = []
    for path in folder.glob(f"*{SUFFIX}"):
        if path.stem.endswith(_QUARANTINE) or not path.is_file():
            continue
        # What was written last may still stand in the log beside the file.
        logs = [path, path.with_name(f"{path.name}-wal")]
        seconds = 0.0
        for one in logs:
            with suppress(OSError):  # there is no log, or the file has gone meanwhile
                seconds = max(seconds, one.stat().st_mtime)
        if seconds:
            found.append(FoundTreatment(path=path, changed=datetime.fromtimestamp(seconds, like.tzinfo)))
    return sorted(found, key=lambda one: (one.changed, one.path.name), reverse=True)
