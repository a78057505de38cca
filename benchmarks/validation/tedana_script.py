"""Runs inside tedana's own environment: decays in, T2* out. Imports nothing of this project."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from tedana import decay


def main(source: Path, result: Path) -> None:
    """Fit log-linear and curve-fit with all echoes, and with the echoes above the noise (``good_echoes``)."""
    data = np.load(source)
    # (voxel, echo, time): tedana's order. This version takes echo times in ms and gives T2* in their unit.
    signal = np.ascontiguousarray(data["signal"].T[:, :, None].astype(np.float64))
    times_ms = data["echo_times_s"] * 1000.0
    found = {}
    for name, good in (("all", np.full(signal.shape[0], times_ms.size)), ("above_noise", data["good_echoes"])):
        good = np.asarray(good, dtype=int)
        found[f"loglin_{name}"] = decay.fit_loglinear(signal, times_ms, good, report=False)[0]
        found[f"curvefit_{name}"] = decay.fit_monoexponential(signal, times_ms, good, report=False, n_threads=2)[0]
    with np.errstate(divide="ignore"):
        np.savez(result, **{name: 1000.0 / np.asarray(t2star_ms).ravel() for name, t2star_ms in found.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
