"""The files of a comparison, written whole or not at all: what the command and the window write."""

from __future__ import annotations

from pathlib import Path

from console.comparison import Comparison
from console.outputs.comparison_document import comparison_csv, comparison_json
from console.outputs.export_staging import refuse_existing, staged

NAMES = ("comparison.json", "comparison.csv", "comparison.pdf")


def refuse_existing_comparison(folder: Path) -> None:
    """Refuse a folder that holds a comparison; to be asked before anything is computed.

    Raises
    ------
    OutputError
        If one of its files exists there.
    """
    refuse_existing(folder, NAMES)


def write_comparison_files(comparison: Comparison, folder: Path) -> None:
    """Write ``comparison.json``, ``.csv`` and ``.pdf`` into `folder`, which is made if need be: all three or none.

    Raises
    ------
    OutputError
        If one of them exists, or the folder cannot be written.
    """
    # What draws pages takes most of a second to load: only who writes waits for it.
    from console.outputs.comparison_pdf import write_comparison

    with staged(folder) as hidden:
        (hidden / NAMES[0]).write_text(comparison_json(comparison), encoding="utf-8")
        (hidden / NAMES[1]).write_text(comparison_csv(comparison), encoding="utf-8")
        write_comparison(comparison, hidden / NAMES[2])
