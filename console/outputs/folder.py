"""A folder of outputs, written whole: each file appears under its name only when it is finished."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from console.outputs.error import OutputError
from console.outputs.nifti import derived_arrays, map_arrays, write_nifti
from console.outputs.results import results_csv, results_json
from console.outputs.wording import RESEARCH_USE
from console.snapshot import Snapshot


def write_outputs(snapshot: Snapshot, folder: Path, *, progress: Callable[[str], None] | None = None) -> None:
    """Write ``results.json``, ``results.csv``, ``methods.txt`` and the maps of every fraction into `folder`.

    Maps are ``maps/{name}_{position}_f{n}.nii.gz``; those that follow from them lie in ``derived/``
    (`console.outputs.nifti`).

    Raises
    ------
    OutputError
        If the folder cannot be made or written.
    """
    try:
        (folder / "maps").mkdir(parents=True, exist_ok=True)
        written: set[Path] = set()
        for result in snapshot.results:
            for kind, arrays in (("maps", map_arrays(result)), ("derived", derived_arrays(result))):
                for name, (values, grid) in arrays.items():
                    target = folder / kind / f"{name}_{result.position}_f{result.fraction}.nii.gz"
                    target.parent.mkdir(parents=True, exist_ok=True)
                    if progress is not None:
                        progress(target.name)
                    unfinished = target.with_name(f".{target.name.removesuffix('.nii.gz')}.part.nii.gz")
                    write_nifti(unfinished, values, grid)
                    unfinished.replace(target)
                    written.add(target)
        _remove_others(folder, written)
        _write_text(folder / "methods.txt", f"{RESEARCH_USE}\n\n{snapshot.methods}\n")
        _write_text(folder / "results.csv", results_csv(snapshot))
        _write_text(folder / "results.json", results_json(snapshot))
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"The outputs cannot be written to {folder}: {reason}; choose another --out.") from error


def _remove_others(folder: Path, written: set[Path]) -> None:
    """Remove the maps of an earlier run: one of a fraction that has failed since would pass for a result."""
    for kind in ("maps", "derived"):
        for name in ("r2star", "holmium", "dose", "reason", "increment", "dose_standard_error"):
            for path in (folder / kind).glob(f"{name}_*_f*.nii.gz"):
                if path not in written:
                    path.unlink()


def _write_text(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.part")
    with unfinished.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    unfinished.replace(path)
