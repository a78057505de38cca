"""The fit against tedana's (log-linear and curve fit), which runs in an environment of its own, on the same data."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.validation.decays import ECHO_TIMES_S, S0, as_series, bound_per_s, rice_signal
from benchmarks.validation.section import Curve, Figures, Panel, Picture, Progress, Section, part, table, target
from quantify.r2star import fit_r2star

VERSION = "26.0.3"
ENVIRONMENT = Path("build/validation/tedana-env")
SNR = 50.0
FLOOR_SIGMA = 3.0
R2STAR_PER_S = (20.0, 40.0, 60.0, 80.0, 100.0, 125.0, 150.0, 175.0, 200.0, 250.0, 300.0, 350.0, 400.0)
WELL_ABOVE_PER_S = 150.0
"""Up to here every echo's true signal is at least 8σ (S₀ 50σ, last echo at 12 ms)."""
BELOW_PER_S = 235.0
"""From here on the last echo's true signal is under 3σ."""
METHODS = {
    "holmia": "Holmia, nonlinear",
    "loglin_all": "tedana log-linear, all echoes",
    "curvefit_all": "tedana curve fit, all echoes",
    "loglin_above_noise": "tedana log-linear, echoes above 3σ",
    "curvefit_above_noise": "tedana curve fit, echoes above 3σ",
}


def run(n: int, seed: int, progress: Progress, *, environment: Path = ENVIRONMENT) -> Figures:
    """Fit `n` voxels of every R2* by both programs; without tedana only Holmia's own figures are given."""
    truth = np.repeat(np.array(R2STAR_PER_S), n)
    signal = rice_signal(truth, SNR, np.random.default_rng([seed, 6]))
    fit = fit_r2star(as_series(signal), sigma=S0 / SNR)
    found = {"holmia": fit.r2star_per_s.ravel().astype(np.float64)}
    why_not, version = "", VERSION
    setting_up = part(progress, 0.0, 0.3)
    try:
        python = installed(environment)
        setting_up(1.0)
        found |= _fitted_by_tedana(python, signal)
        version = _version(python)
    except (OSError, subprocess.SubprocessError) as error:
        why_not = f"tedana {VERSION} could not be installed or run here: {_last_line(error)}"
    progress(1.0)
    cells = [
        {"method": name, "r2star_per_s": rate, **_summary(values[truth == rate], rate)}
        for name, values in found.items()
        for rate in R2STAR_PER_S
    ]
    overall = {name: _summary(values, truth) for name, values in found.items()}
    differences = {name: _paired(found["holmia"], values, truth) for name, values in found.items() if name != "holmia"}
    return {
        "n": n,
        "tedana": version,
        "why_not": why_not,
        "cells": cells,
        "overall": overall,
        "differences": differences,
        "targets": _targets(cells, differences, why_not),
    }


def installed(environment: Path) -> Path:
    """The Python of tedana's environment, which is made on the first call (needs the package index).

    Raises
    ------
    subprocess.SubprocessError, OSError
        If it cannot be made.
    """
    python = environment / "bin" / "python"
    mark = environment / f"tedana-{VERSION}.ready"
    if mark.exists():
        return python.absolute()
    base = str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")
    call = {"check": True, "capture_output": True, "text": True, "timeout": 900}
    subprocess.run([base, "-m", "venv", "--without-pip", str(environment)], **call)
    subprocess.run(
        [base, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "install", "-q",
         f"tedana=={VERSION}"],
        **call,
    )  # fmt: skip
    mark.touch()
    return python.absolute()


def _fitted_by_tedana(python: Path, signal: np.ndarray) -> dict[str, np.ndarray]:
    """T2* of both of tedana's fits, as R2* [s⁻¹] by method."""
    script = Path(__file__).with_name("tedana_script.py")
    # Echoes are good until the first that is under the noise floor; a fit needs two.
    above = np.cumprod(signal >= FLOOR_SIGMA * S0 / SNR, axis=0).sum(axis=0)
    # Isolated (-I): this folder holds a tedana.py too, and the environment must see nothing of this project's own.
    with tempfile.TemporaryDirectory(prefix="holmia-tedana-") as name:
        source, result = Path(name) / "in.npz", Path(name) / "out.npz"
        np.savez(source, signal=signal, echo_times_s=np.array(ECHO_TIMES_S), good_echoes=np.maximum(above, 2))
        subprocess.run(
            [str(python), "-I", str(script), str(source), str(result)], check=True, capture_output=True, text=True,
            timeout=3600, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        with np.load(result) as data:
            return {key: data[key] for key in data.files}


def _version(python: Path) -> str:
    asked = "from importlib.metadata import version; print(version('tedana'))"
    done = subprocess.run([str(python), "-I", "-c", asked], check=True, capture_output=True, text=True, timeout=120)
    return done.stdout.strip()


def _last_line(error: Exception) -> str:
    said = getattr(error, "stderr", None) or str(error)
    return str(said).strip().splitlines()[-1][:200]


def _summary(values: np.ndarray, truth: float | np.ndarray) -> dict[str, Any]:
    """Bias, RMSE with its standard error, and how many voxels have no usable value (not finite, or beyond 5,000)."""
    error = values - truth
    usable = np.isfinite(error) & (np.abs(values) <= 5000.0)
    kept = error[usable]
    squares = kept**2
    rmse = float(np.sqrt(squares.mean()))
    return {
        "bias_per_s": float(kept.mean()),
        "bias_se_per_s": float(kept.std(ddof=1) / np.sqrt(kept.size)),
        "rmse_per_s": rmse,
        "rmse_se_per_s": float(squares.std(ddof=1) / np.sqrt(kept.size) / (2 * rmse)),
        "unusable": int((~usable).sum()),
    }


def _paired(own: np.ndarray, other: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Squared errors of another method minus those of Holmia, voxel by voxel, in units of the Cramér–Rao variance.

    ``below``: mean and standard error over the R2* at the floor; ``mean_differences``: of the means, by R2* above it,
    over the Cramér–Rao SD.
    """
    bound = np.array([bound_per_s(rate, SNR, s0_known=False) for rate in R2STAR_PER_S])
    scale = np.repeat(bound, truth.size // bound.size)
    usable = np.isfinite(other) & (np.abs(other) <= 5000.0) & np.isfinite(own)
    gain = (((other - truth) ** 2 - (own - truth) ** 2) / scale**2)[usable & (truth >= BELOW_PER_S)]
    shifts = [
        float(((own - other) / scale)[usable & (truth == rate)].mean())
        for rate in R2STAR_PER_S
        if rate <= WELL_ABOVE_PER_S
    ]
    return {
        "below": float(gain.mean()),
        "below_se": float(gain.std(ddof=1) / np.sqrt(gain.size)),
        "mean_differences": shifts,
    }


def _targets(cells: list[dict[str, Any]], differences: dict[str, dict[str, Any]], why_not: str) -> list[dict[str, Any]]:
    equal = f"against tedana, to {WELL_ABOVE_PER_S:.0f} s⁻¹ (all echoes ≥ 8σ): RMSE within 2 %, means within 0.1 SD"
    better = "against tedana, from 250 s⁻¹ (last echo < 3σ): smaller mean squared error and smaller bias than all four"
    if why_not:
        return [target(equal, "equal within noise", why_not, None), target(better, "better", why_not, None)]
    by = {(c["method"], c["r2star_per_s"]): c for c in cells}
    above = [rate for rate in R2STAR_PER_S if rate <= WELL_ABOVE_PER_S]
    below = [rate for rate in R2STAR_PER_S if rate >= BELOW_PER_S]
    ratio = max(
        by["holmia", rate]["rmse_per_s"] / min(by[name, rate]["rmse_per_s"] for name in differences) for rate in above
    )
    shift = max(abs(value) for value in differences["curvefit_all"]["mean_differences"])
    biases = {
        name: sum(abs(by[name, rate]["bias_per_s"]) for rate in below) / len(below) for name in ("holmia", *differences)
    }
    worse = [
        METHODS[name]
        for name, row in differences.items()
        if row["below"] <= 2 * row["below_se"] or biases[name] <= biases["holmia"]
    ]
    rival = min((name for name in differences), key=lambda name: differences[name]["below"])
    row = differences[rival]
    return [
        target(
            equal,
            "equal within noise",
            f"RMSE at most {ratio:.3f} of the best of the four; means differ from the curve fit's by at most "
            f"{shift:.2f} SD of a voxel",
            ratio <= 1.02 and shift <= 0.1,
        ),
        target(
            better,
            "better",
            f"the nearest ({METHODS[rival]}) has {row['below']:.2f} ± {row['below_se']:.2f} Cramér–Rao variances more; "
            f"mean bias {biases['holmia']:.1f} s⁻¹ against {min(biases[n] for n in differences):.1f}"
            + ("" if not worse else "; not better than " + ", ".join(worse)),
            not worse,
        ),
    ]


def markdown(figures: Figures) -> str:
    """The section's text."""
    methods = [name for name in METHODS if name in figures["overall"]]
    overall = [
        [METHODS[m], f"{o['bias_per_s']:+.2f} ± {o['bias_se_per_s']:.2f}", f"{o['rmse_per_s']:.2f}", str(o["unusable"])]
        for m in methods
        for o in [figures["overall"][m]]
    ]
    by = {(c["method"], c["r2star_per_s"]): c for c in figures["cells"]}
    rows = [
        [f"{rate:.0f}", *(f"{by[m, rate]['bias_per_s']:+.1f} / {by[m, rate]['rmse_per_s']:.1f}" for m in methods)]
        for rate in R2STAR_PER_S
    ]
    intro = f"{figures['why_not']}. Only Holmia's own figures follow.\n\n" if figures["why_not"] else ""
    return f"""{intro}{figures["n"]} voxels of each R2* from 20 to 400 s⁻¹, {len(ECHO_TIMES_S)} echoes from 1.2 to 12 ms, Rice noise, SNR {SNR:.0f}:
the same numbers fitted by `quantify.r2star.fit_r2star` (σ known) and by tedana {figures["tedana"]} in an environment of its own
(`decay.fit_loglinear`, `decay.fit_monoexponential`). tedana is given all echoes, and once more only those before the
signal first falls under 3σ, as its adaptive mask would. It does not know σ and was made for functional imaging at
R2* of 20 to 50 s⁻¹: this compares numbers, not programs. Over all of them [s⁻¹]:

{table(["method", "bias ± SE", "RMSE", "no usable value"], overall)}

Bias / RMSE by R2* [s⁻¹]:

{table(["R2* [s⁻¹]", *(METHODS[m] for m in methods)], rows)}

Up to {WELL_ABOVE_PER_S:.0f} s⁻¹ every echo lies at 8σ or more; from 250 s⁻¹ the last echo lies under 3σ. There the Rice floor flattens the
measured decay, which the fit on √max(S²−σ²,0) takes off; leaving echoes out instead leaves their information out and
selects on the noise. A log-linear fit weighs all echoes alike and is noisy everywhere.

What this does not show: speed, data of several coils, or σ that has to be estimated.
"""  # noqa: E501


def pictures(figures: Figures) -> list[Picture]:
    """Bias and RMSE against R2*."""
    methods = [name for name in METHODS if name in figures["overall"]]
    panels = []
    for key, word in (("bias_per_s", "bias"), ("rmse_per_s", "RMSE")):
        curves = []
        for colour, method in enumerate(methods):
            own = [c for c in figures["cells"] if c["method"] == method]
            curves.append(
                Curve(x=[c["r2star_per_s"] for c in own], y=[c[key] for c in own], label=METHODS[method],
                      error=[c[f"{key[:4]}_se_per_s"] for c in own], colour=colour, dashed="above" in method)
            )  # fmt: skip
        if key == "rmse_per_s":
            bound = [bound_per_s(rate, SNR, s0_known=False) for rate in R2STAR_PER_S]
            curves.append(Curve(x=R2STAR_PER_S, y=bound, label="Cramér–Rao", dashed=True, colour=-1))
        limits = (-60.0, 20.0) if key == "bias_per_s" else (0.0, 90.0)
        panels.append(Panel(title=f"{word}, SNR {SNR:.0f}", x_label="R2* [s⁻¹]", y_label=f"{word} [s⁻¹]",
                            curves=curves, y_limits=limits))  # fmt: skip
    return [Picture(name="tedana", caption="Holmia's fit and tedana's two, on the same data.", panels=panels)]


SECTION = Section(
    name="tedana", title="The fit against tedana", unit="voxels for each R2*", full=2000, quick=200, seed=20260306,
    run=run, markdown=markdown, pictures=pictures,
)  # fmt: skip
