"""Scatter and bias of the R2* of one voxel against the Cramér–Rao bound, S₀ free and known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.validation.decays import ECHO_TIMES_S, S0, as_series, bound_per_s, rice_signal
from benchmarks.validation.section import Curve, Figures, Panel, Picture, Progress, Section, table, target
from quantify.r2star import S0Prior, fit_r2star

SNRS = (20.0, 30.0, 50.0, 80.0)
R2STAR_PER_S = (20.0, 50.0, 100.0, 150.0, 200.0, 300.0, 400.0, 600.0, 800.0, 1000.0, 1600.0)
TABLE_SNR = 50.0
_TICKS = tuple((rate, f"{rate:.0f}") for rate in (20.0, 50.0, 100.0, 200.0, 400.0, 800.0, 1600.0))
PUBLISHED = {
    False: {50.0: 2.6, 100.0: 3.6, 200.0: 7.1, 400.0: 21.0, 800.0: 90.0, 1600.0: 750.0},
    True: {50.0: 1.3, 100.0: 2.0, 200.0: 4.2, 400.0: 11.0, 800.0: 32.0, 1600.0: 109.0},
}
"""The Cramér–Rao table of the project's sources, s⁻¹: ten echoes 1.2–12 ms, SNR 50; key: S₀ known."""


def run(n: int, seed: int, progress: Progress) -> Figures:
    """Fit `n` voxels for every SNR, R2* and knowledge of S₀."""
    cells: list[dict[str, Any]] = []
    total = len(SNRS) * len(R2STAR_PER_S) * 2
    for snr in SNRS:
        for number, rate in enumerate(R2STAR_PER_S):
            signal = rice_signal(np.full(n, rate), snr, np.random.default_rng([seed, 3, int(snr), number]))
            for known in (False, True):
                cells.append({"snr": snr, "r2star_per_s": rate, "s0_known": known, **_fitted(signal, snr, rate, known)})
                progress(len(cells) / total)
    return {"n": n, "cells": cells, "targets": _targets(cells)}


def _fitted(signal: np.ndarray, snr: float, rate: float, known: bool) -> dict[str, Any]:
    """Bias, scatter and stated standard error of the fit of one cell, with their own standard errors."""
    series = as_series(signal)
    mean = np.full(series.grid.shape, S0, dtype=np.float32)
    # A thousandth of a percent: known, for the fit.
    prior = S0Prior(mean=mean, standard_error=np.float32(1e-5) * mean) if known else None
    fit = fit_r2star(series, sigma=S0 / snr, s0_prior=prior)
    values = fit.r2star_per_s.ravel().astype(np.float64)
    stated = fit.standard_error_per_s.ravel().astype(np.float64)
    found = np.isfinite(values)
    values, stated = values[found], stated[found]
    bound = bound_per_s(rate, snr, s0_known=known)
    if values.size < 2:
        return {"fitted_share": float(found.mean()), "bound_per_s": bound, "bias_per_s": None, "sd_per_s": None}
    deviation = float(values.std(ddof=1))
    return {
        "fitted_share": float(found.mean()),
        "bound_per_s": bound,
        "bias_per_s": float(values.mean() - rate),
        "bias_se_per_s": deviation / np.sqrt(values.size),
        "sd_per_s": deviation,
        "sd_se_per_s": deviation / np.sqrt(2.0 * values.size),
        "stated_se_per_s": float(np.sqrt(np.median(stated**2))),
    }


def _targets(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    at_50 = [c for c in cells if c["snr"] == TABLE_SNR and c["sd_per_s"] is not None]
    result = []
    for known, words in ((False, "free"), (True, "known")):
        own = [c for c in at_50 if c["s0_known"] == known]
        what = f"single-voxel SD over the Cramér–Rao bound, S₀ {words}, SNR 50, where SD/R2* < 10 %"
        own = [c for c in own if c["bound_per_s"] < 0.1 * c["r2star_per_s"] and c["r2star_per_s"] >= 50]
        worst = max(own, key=lambda c: abs(c["sd_per_s"] / c["bound_per_s"] - 1))
        change = 100 * (worst["sd_per_s"] / worst["bound_per_s"] - 1)
        error = 100 * worst["sd_se_per_s"] / worst["bound_per_s"]
        result.append(
            target(what, "within 15 %", f"at most {change:+.1f} ± {error:.1f} %, at {worst['r2star_per_s']:.0f} s⁻¹",
                   abs(change) <= 15.0)
        )  # fmt: skip
    for known, limit, bound in ((False, 400.0, 2.0), (True, 1000.0, 4.0)):
        own = [c for c in at_50 if c["s0_known"] == known and c["r2star_per_s"] <= limit]
        what = f"bias of R2* to {limit:.0f} s⁻¹, S₀ {'known' if known else 'free'}, SNR 50"
        worst = max(own, key=lambda c: abs(c["bias_per_s"]) / c["r2star_per_s"])
        share, error = (100 * worst[k] / worst["r2star_per_s"] for k in ("bias_per_s", "bias_se_per_s"))
        result.append(
            target(what, f"< {bound:.0f} %", f"at most {share:+.2f} ± {error:.2f} %, at {worst['r2star_per_s']:g} s⁻¹",
                   abs(share) < bound)
        )  # fmt: skip
    return result


def markdown(figures: Figures) -> str:
    """The section's text."""
    blocks = []
    for known in (False, True):
        rows = [_row(c, PUBLISHED[known]) for c in figures["cells"] if c["snr"] == TABLE_SNR and c["s0_known"] == known]
        head = ["R2* [s⁻¹]", "bound", "published", "SD", "SD/bound", "stated SE/SD", "bias", "bias [%]", "fitted"]
        blocks.append(f"S₀ {'known' if known else 'free'}, SNR 50 [s⁻¹]:\n\n{table(head, rows)}")
    times = f"{1000 * ECHO_TIMES_S[0]:g} to {1000 * ECHO_TIMES_S[-1]:g} ms"
    text = "\n\n".join(blocks)
    return f"""{figures["n"]} voxels of one R2* each, {len(ECHO_TIMES_S)} echoes from {times}, single-channel Rice noise of known σ,
fitted by `quantify.r2star.fit_r2star` as a treatment is. The bound is computed here from the Fisher information of
Gaussian noise, by code that the fit does not share; it gives the published table to its printed digits. Biases and SDs
are over the voxels that the fit takes (at least one of the first two echoes above 2σ); "fitted" is their share.

{text}

The SD of a biased estimate may lie below the bound, which holds for unbiased ones: where the SD/bound is under 1 at high
R2*, look at the bias beside it. The stated standard error is the median of the fit's own. The picture shows the other SNRs.

What this does not show: noise of several coils (not Rice distributed), correlated voxels, a decay that is not
mono-exponential, and σ estimated from the image, which the sections on treatments include.
"""  # noqa: E501


def _row(cell: dict[str, Any], published: dict[float, float]) -> list[str]:
    rate, bound = cell["r2star_per_s"], cell["bound_per_s"]
    printed = f"{published[rate]:g}" if rate in published else ""
    fitted = f"{100 * cell['fitted_share']:.1f} %"
    if cell["sd_per_s"] is None:
        return [f"{rate:.0f}", f"{bound:.3g}", printed, "–", "–", "–", "–", "–", fitted]
    return [
        f"{rate:.0f}",
        f"{bound:.3g}",
        printed,
        f"{cell['sd_per_s']:.3g}",
        f"{cell['sd_per_s'] / bound:.2f}",
        f"{cell['stated_se_per_s'] / cell['sd_per_s']:.2f}",
        f"{cell['bias_per_s']:+.2f} ± {cell['bias_se_per_s']:.2f}",
        f"{100 * cell['bias_per_s'] / rate:+.2f}",
        fitted,
    ]


def pictures(figures: Figures) -> list[Picture]:
    """SD over the bound, and bias, against R2*."""
    panels = []
    for known in (False, True):
        ratios, biases = [], []
        for snr in SNRS:
            own = [
                c
                for c in figures["cells"]
                if c["snr"] == snr and c["s0_known"] == known and c["sd_per_s"] is not None
                and c["bound_per_s"] < 0.25 * c["r2star_per_s"]
            ]  # fmt: skip
            x = [c["r2star_per_s"] for c in own]
            ratios.append(Curve(x=x, y=[c["sd_per_s"] / c["bound_per_s"] for c in own], label=f"SNR {snr:.0f}",
                                error=[c["sd_se_per_s"] / c["bound_per_s"] for c in own]))  # fmt: skip
            biases.append(Curve(x=x, y=[100 * c["bias_per_s"] / c["r2star_per_s"] for c in own], label=f"SNR {snr:.0f}",
                                error=[100 * c["bias_se_per_s"] / c["r2star_per_s"] for c in own]))  # fmt: skip
        word = "known" if known else "free"
        limit = 4.0 if known else 2.0
        panels.append(Panel(title=f"S₀ {word}: SD over bound", x_label="R2* [s⁻¹]", y_label="SD / bound",
                            curves=ratios, log_x=True, x_ticks=_TICKS, band=(0.85, 1.15),
                            y_limits=(0.6, 1.6)))  # fmt: skip
        panels.append(Panel(title=f"S₀ {word}: bias", x_label="R2* [s⁻¹]", y_label="bias [%]", curves=biases,
                            log_x=True, x_ticks=_TICKS, band=(-limit, limit), y_limits=(-10, 10)))  # fmt: skip
    return [
        Picture(name="cramer-rao", panels=panels[:2],
                caption="S₀ free: scatter and bias, where the bound is under 25 % of R2*. Green: the target."),
        Picture(name="cramer-rao-s0-known", panels=panels[2:], caption="The same, S₀ known."),
    ]  # fmt: skip


SECTION = Section(
    name="cramer_rao", title="Single-voxel fit against the Cramér–Rao bound", unit="voxels for each entry", full=20000,
    quick=2000, seed=20260305, run=run, markdown=markdown, pictures=pictures,
)  # fmt: skip
