"""How often the stated 95 % intervals hold the truth, when all that is uncertain is drawn as stated."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.validation.intervals import Z95, rate_text
from benchmarks.validation.parallel import mapped
from benchmarks.validation.section import Curve, Figures, Panel, Picture, Progress, Section, table, target
from benchmarks.validation.synthetic_treatment import SHAPE, SPACING_MM, Scene, evaluated
from config.settings import load_settings
from quantify.findings import FractionResult

BATCH = 25
QUANTITIES = {
    "tumour_mean": "tumour mean",
    "healthy_mean": "healthy liver mean",
    "tnr": "T/N",
    "d70": "tumour D70",
    "recovery": "recovery",
}
_FIELDS = {
    "tumour_mean": ("Tumour 1", "dose_mean_gy"),
    "healthy_mean": ("Healthy liver", "dose_mean_gy"),
    "tnr": ("Tumour 1", "tnr"),
    "d70": ("Tumour 1", "d70_gy"),
}
WANTED = (0.93, 0.97)


def run(n: int, seed: int, progress: Progress) -> Figures:
    """Evaluate `n` treatments and count, by fraction and quantity."""
    seeds = [seed + number for number in range(n)]
    batches = [seeds[start : start + BATCH] for start in range(0, n, BATCH)]
    rows = [row for batch in mapped(_batch, batches, progress) for row in batch]
    cells = []
    for name in QUANTITIES:
        for fraction in (1, 2, 3, 4):
            own = [r for r in rows if r["quantity"] == name and r["fraction"] == fraction]
            cells.append({"quantity": name, "fraction": fraction, **_counted(own, n)})
    last = [c for c in cells if c["fraction"] == 4]
    targets = []
    for cell in last:
        what = f"95 % interval of {QUANTITIES[cell['quantity']]} covers the truth, after the last fraction"
        told = f"{rate_text(cell['covered'], cell['stated'])} % of {cell['stated']}"
        rate = cell["covered"] / cell["stated"] if cell["stated"] else 0.0
        targets.append(
            target(what, "93–97 %", told, WANTED[0] <= rate <= WANTED[1])
            if cell["stated"]
            else target(what, "93–97 %", "no interval is stated", None)
        )
    pulls = {
        name: [round(r["pull"], 4) for r in rows if r["quantity"] == name and r["fraction"] == 4][:2000]
        for name in QUANTITIES
    }
    return {"n": n, "cells": cells, "pulls": pulls, "targets": targets}


def interval(result: FractionResult, name: str) -> tuple[float, float, float] | None:
    """(value, low, high) of the stated 95 % interval; None where none is stated."""
    if name == "recovery":
        if result.recovery_ratio is None or result.recovery_interval is None:
            return None
        return result.recovery_ratio, *result.recovery_interval
    volume, key = _FIELDS[name]
    own = result.volumes[volume].intervals.get(key)
    return None if own is None else (own.value, own.low_95, own.high_95)


def _batch(seeds: list[int]) -> list[dict[str, Any]]:
    """Rows of several treatments: is the truth inside, on which side not, and how far off in half widths."""
    settings = load_settings().quantification
    rows = []
    for seed in seeds:
        scene = evaluated(seed, settings)
        for number, result in enumerate(scene.results):
            for name in QUANTITIES:
                told = interval(result, name)
                if told is None:
                    continue
                value, low, high = told
                true = _truth(scene, number, name)
                rows.append(
                    {
                        "quantity": name,
                        "fraction": number + 1,
                        "covered": bool(low <= true <= high),
                        "above": bool(true > high),
                        "error": (value - true) / abs(true),
                        "width": (high - low) / 2 / abs(true),
                        # In standard uncertainties: a standard normal variable if the intervals are right.
                        "pull": 2 * Z95 * (value - true) / (high - low),
                    }
                )
    return rows


def _truth(scene: Scene, number: int, name: str) -> float:
    if name == "tumour_mean":
        return scene.doses_gy[number]["Tumour 1"]
    if name == "healthy_mean":
        return scene.doses_gy[number]["Healthy liver"]
    return {"tnr": scene.tnr, "d70": scene.d70_gy, "recovery": scene.recovery}[name][number]


def _counted(rows: list[dict[str, Any]], n: int) -> dict[str, Any]:
    if not rows:
        return {"n": n, "stated": 0, "covered": 0, "above": 0}
    return {
        "n": n,
        "stated": len(rows),
        "covered": sum(r["covered"] for r in rows),
        "above": sum(r["above"] for r in rows),
        "median_error_pct": 100 * float(np.median([r["error"] for r in rows])),
        "median_half_width_pct": 100 * float(np.median([r["width"] for r in rows])),
        "pull_sd": float(np.std([r["pull"] for r in rows])),
    }


def markdown(figures: Figures) -> str:
    """The section's text."""
    rows = [
        [
            QUANTITIES[c["quantity"]],
            str(c["fraction"]),
            str(c["stated"]),
            rate_text(c["covered"], c["stated"]),
            f"{c['above']} / {c['stated'] - c['covered'] - c['above']}" if c["stated"] else "–",
            f"{c['median_error_pct']:+.1f}" if c["stated"] else "–",
            f"{c['median_half_width_pct']:.1f}" if c["stated"] else "–",
            f"{c['pull_sd']:.2f}" if c["stated"] else "–",
        ]
        for c in figures["cells"]
    ]
    voxels = "×".join(str(v) for v in SHAPE)
    spacing = "×".join(f"{v:g}" for v in SPACING_MM)
    head = ["quantity", "fraction", "stated", "covered [%]", "truth above / below", "median error [%]",
            "median half width [%]", "SD of error/u"]  # fmt: skip
    return f"""{figures["n"]} treatments of four fractions on a grid of {voxels} voxels of {spacing} mm: a liver, a tumour of 9 to 45 mL
with 1.5 to 6 times its uptake, 40 to 70 Gy to the liver, 1.5 and 3 T, SNR 40 to 80. For each treatment the relaxivity,
specific activity, assayed activity, density, energy, the volume of both contours, the offset of the reference (one for
each tissue) and the offset of every series and tissue are drawn from Gaussians with the standard uncertainties of
`settings.uncertainty`; the program is told the drawn values, the truth has the others. The voxels carry the noise of a
fit at the Cramér–Rao bound. `quantify.pipeline.evaluate_treatment` then states means and intervals. Covered: the share of
the stated 95 % intervals that hold the truth, with its Wilson 95 % interval.

{table(head, rows)}

"stated" is less than {figures["n"]} where the program withholds a quantity (D70 and T/N while the mean is uncertain by more than
30 %). What is told then is a selection: an early T/N is told where the healthy liver happened to be measured too high, so that
it errs low. The last column is the SD of the error in standard uncertainties; 1 is right, less is an interval that is too wide.

What this does not show: whether the stated uncertainties themselves are right for a scanner and a site, errors that
are in no list (a wrong calibration, a contour on the wrong lesion, a registration that failed unseen), nor partial volume
and fit bias, which the section on accuracy includes. The draws are as the program believes; only its arithmetic is tested.
"""  # noqa: E501


def pictures(figures: Figures) -> list[Picture]:
    """Coverage by quantity and fraction, and the pulls against a normal distribution."""
    curves = []
    for colour, (name, words) in enumerate(QUANTITIES.items()):
        # Where most treatments are withheld, the few that are told are a selection.
        own = [c for c in figures["cells"] if c["quantity"] == name and c["stated"] > c["n"] / 2]
        if own:
            rate = [c["covered"] / c["stated"] for c in own]
            error = [100 * Z95 * np.sqrt(max(r * (1 - r), 1e-9) / c["stated"]) for r, c in zip(rate, own, strict=True)]
            x = [c["fraction"] + 0.08 * (colour - 2) for c in own]
            curves.append(Curve(x=x, y=[100 * r for r in rate], error=error, label=words, colour=colour))
    shown = Panel(title="95 % intervals that hold the truth", x_label="after fraction", y_label="covered [%]",
                  curves=curves, band=(93.0, 97.0), y_limits=(80.0, 100.5),
                  x_ticks=[(k, str(k)) for k in (1, 2, 3, 4)])  # fmt: skip
    edges = np.linspace(-4, 4, 33)
    centres = (edges[:-1] + edges[1:]) / 2
    lines = [Curve(x=list(centres), y=list(np.exp(-(centres**2) / 2) / np.sqrt(2 * np.pi)), dashed=True, colour=-1,
                   label="normal")]  # fmt: skip
    for colour, (name, words) in enumerate(QUANTITIES.items()):
        if figures["pulls"][name]:
            density = np.histogram(figures["pulls"][name], bins=edges, density=True)[0]
            lines.append(Curve(x=list(centres), y=list(density), label=words, colour=colour))
    pulls = Panel(title="error over u, last fraction", x_label="(stated − true) / u", y_label="density", curves=lines)
    return [Picture(name="coverage", caption="Coverage by fraction (green: 93–97 %), and errors in units of u.",
                    panels=[shown, pulls])]  # fmt: skip


SECTION = Section(
    name="coverage", title="Coverage of the stated intervals", unit="treatments", full=2000, quick=100, seed=20260307,
    run=run, markdown=markdown, pictures=pictures,
)  # fmt: skip
