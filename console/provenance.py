"""What computed a result, and on what: enough to know whether the same numbers, bit for bit, can be expected."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from console.outputs.wording import software_version

_PACKAGES = ("config", "quantify", "dicom_listener", "console")
_COMPUTE = ("numpy", "scipy", "SimpleITK", "numba", "llvmlite", "contourpy", "pydicom", "python-gdcm")
"""Libraries whose version can change a number."""
_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """The code and the machine of a computation. Empty texts: it was not recorded (files of before version 0.2)."""

    software_version: str
    code_sha256: str = ""
    """Of every source file of Holmia: a version under development has many."""
    machine: str = ""
    """Processor and versions of the libraries that compute, in words."""

    def to_mapping(self) -> dict[str, str]:
        """As ``result_shown`` has it."""
        return {
            "software_version": self.software_version,
            "code_sha256": self.code_sha256,
            "machine": self.machine,
        }

    def computes_as(self, other: Provenance) -> bool:
        """Whether both are the same code on the same kind of machine: then every bit has to be the same."""
        known = self.code_sha256 and self.machine
        return bool(known) and (self.code_sha256, self.machine) == (other.code_sha256, other.machine)


@cache
def provenance() -> Provenance:
    """Of this process. Read from the machine: for the shell to pass down."""
    return Provenance(software_version=software_version(), code_sha256=_code(), machine=_machine())


def _code() -> str:
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((_ROOT / package).rglob("*")):
            if path.suffix in (".py", ".toml"):
                digest.update(path.relative_to(_ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _machine() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in _COMPUTE)
    return f"{platform.system()} {platform.machine()}, {_processor()}; Python {platform.python_version()}, {libraries}"


def _processor() -> str:
    """Model of the processor: which instructions the libraries choose hangs on it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown processor"
    )
