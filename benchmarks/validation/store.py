"""Results of sections on disk: an interrupted validation goes on where it stopped, unless the code has changed."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.validation.section import Figures, Section

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "validation"
_MEASURED = ("config", "quantify", "dicom_listener", "console", "benchmarks/validation")
_PACKAGES = ("numpy", "scipy", "SimpleITK", "numba", "pydicom")


def code_sha256() -> str:
    """Hash of all code that a figure depends on: the dashboard, and how figures are shown, left out."""
    digest = hashlib.sha256()
    for folder in _MEASURED:
        for path in sorted((ROOT / folder).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            shown = name.startswith("console/dashboard/") or name.endswith(("plots.py", "report.py", "__main__.py"))
            if path.suffix in (".py", ".toml") and not shown:
                digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Of Python and the packages that compute."""
    found = {"Python": platform.python_version()}
    return found | {name: importlib.metadata.version(name) for name in _PACKAGES}


def kept(section: Section, n: int, seed: int, code: str, folder: Path = FOLDER) -> dict[str, Any] | None:
    """The stored result of the same section, number, seed and code; None if there is none."""
    stored = any_kept(section, folder)
    if stored is None or (stored["n"], stored["seed"], stored["code_sha256"]) != (n, seed, code):
        return None
    return stored


def any_kept(section: Section, folder: Path = FOLDER) -> dict[str, Any] | None:
    """The stored result of a section, whatever it was made with."""
    path = folder / f"{section.name}.json"
    if not path.exists():
        return None
    stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return stored


def keep(
    section: Section, figures: Figures, *, n: int, seed: int, code: str, seconds: float, folder: Path = FOLDER
) -> dict[str, Any]:
    """Store a result and return it with what it was made with."""
    result = {
        "section": section.name,
        "n": n,
        "seed": seed,
        "code_sha256": code,
        "versions": versions(),
        "seconds": round(seconds, 1),
        "figures": figures,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{section.name}.json"
    part = path.with_suffix(".part")
    part.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
    return result


def stale(results: Sequence[dict[str, Any]], code: str) -> list[str]:
    """Names of sections whose figures were made by other code than the present."""
    return [r["section"] for r in results if r["code_sha256"] != code]
