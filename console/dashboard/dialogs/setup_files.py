"""Plan files of the setup: what is dropped, and how one is written."""

from __future__ import annotations

import tomllib
from pathlib import Path
from tempfile import NamedTemporaryFile

from PySide6.QtGui import QDropEvent

PLAN_SUFFIX = ".toml"


def dropped_plan(event: QDropEvent) -> Path | None:
    """The plan file that is dropped; None for anything else."""
    paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
    return paths[0] if len(paths) == 1 and paths[0].suffix.lower() == PLAN_SUFFIX else None


def not_written_over(path: Path) -> str:
    """Why a name cannot be a plan file's, or what stands under it must stay; "" where it may be written."""
    if path.suffix.lower() != PLAN_SUFFIX:
        return f"expected a name that ends in {PLAN_SUFFIX}"
    if not path.exists():
        return ""
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except (OSError, ValueError):
        return "exists, and is no plan file; choose another name"
    return "" if not content or "patient" in content else "exists, and is no plan file; choose another name"


def write_plan(path: Path, text: str, *, overwrite: bool) -> None:
    """Write a file whole or not at all; one that exists only where that is said.

    Raises
    ------
    OSError
        If it exists, or cannot be written.
    """
    with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False) as beside:
        own = Path(beside.name)
    try:
        own.write_text(text, encoding="utf-8")
        if not overwrite:
            path.open("x").close()  # takes the name, or fails where it is taken
        own.replace(path)
    finally:
        own.unlink(missing_ok=True)
