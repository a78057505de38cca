"""How often the 10 % rule flags tumours that are linear, and finds those that saturate.

A tumour's mean dose after 10, 40, 70 and 100 % of the activity is drawn with Gaussian noise, independent between
series, and given to `quantify.trend.trend`: the code that the console runs. Two rules are counted: the bare one
(deviation of 10 % or more) and rule + interval (the dose also lies outside the line's 95 % prediction interval).
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks.validation.intervals import Z95, rate_text, wilson
from benchmarks.validation.section import REPORTED, Curve, Figures, Panel, Picture, Progress, Section, table, target
from config.settings import load_settings
from quantify.trend import Uptake, trend

SHARES = (0.1, 0.4, 0.7, 1.0)
SIGMAS_PCT = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0)
EFFECTS_PCT = (0.0, -10.0, -15.0, -30.0)
"""What the last point lacks of the dose that the line expects: 0 is a linear tumour."""
DOSES_GY = (10.0, 20.0, 40.0, 80.0, 120.0, 160.0)
GY_PER_S = 0.82
"""Dose of 1 s⁻¹ at 12 MBq/mg, 218 s⁻¹ per mg/mL, 1.06 g/mL."""
_INJECTED_MBQ = 8060.0
_FINAL_GY = 100.0
_LEVER = math.sqrt(1.0 + (4.0**2 + 1.0**2 + 2.0**2) / 9.0)
"""SD of (D₄ − D̂₄) over the noise of one point, D̂₄ = (4D₃ + D₂ − 2D₁)/3."""


def run(n: int, seed: int, progress: Progress) -> Figures:
    """Rates over `n` tumours for every noise and effect, and over final doses with the stated scatter of a series."""
    rng = np.random.default_rng([seed, 5])
    cells, steps = [], len(SIGMAS_PCT) * len(EFFECTS_PCT) + len(DOSES_GY) * 2
    for sigma in SIGMAS_PCT:
        for effect in EFFECTS_PCT:
            scatter = np.full(4, sigma / 100.0 * _FINAL_GY)
            cells.append({"sigma_pct": sigma, "effect_pct": effect, **_counted(rng, n, _FINAL_GY, effect, scatter)})
            progress(len(cells) / steps)
    terms = load_settings().quantification.uncertainty
    by_dose = []
    for dose in DOSES_GY:
        for effect in (0.0, -30.0):
            gained = dose * np.array(SHARES)
            scatter = np.maximum(terms.repeat_per_s * GY_PER_S, terms.repeat_pct / 100.0 * gained)
            by_dose.append({"dose_gy": dose, "effect_pct": effect, **_counted(rng, n, dose, effect, scatter)})
            progress((len(cells) + len(by_dose)) / steps)
    three = next(c for c in cells if c["sigma_pct"] == 3.0 and c["effect_pct"] == 0.0)
    low, high = wilson(three["bare"], three["tested"])
    return {
        "n": n,
        "cells": cells,
        "by_dose": by_dose,
        "repeat_per_s": terms.repeat_per_s,
        "repeat_pct": terms.repeat_pct,
        "targets": [
            target(
                "false flags of the bare rule on linear tumours, noise 3 % of the final dose",
                "about 7 %",
                f"{rate_text(three['bare'], three['tested'])} %",
                low <= 0.08 and high >= 0.06,
            ),
            target(
                "false flags of rule + interval, same noise",
                REPORTED,
                f"{rate_text(three['both'], three['tested'])} %",
                None,
            ),
            *(
                target(
                    f"hits on a tumour that lacks {-effect:.0f} %, noise 3 %: bare rule; rule + interval",
                    REPORTED,
                    f"{rate_text(c['bare'], c['tested'])} %; {rate_text(c['both'], c['tested'])} %",
                    None,
                )
                for effect in EFFECTS_PCT[1:]
                for c in cells
                if c["sigma_pct"] == 3.0 and c["effect_pct"] == effect
            ),
        ],
    }


def _counted(
    rng: np.random.Generator, n: int, final_gy: float, effect_pct: float, scatter_gy: np.ndarray
) -> dict[str, int]:
    """Tumours tested, flagged by the bare rule, flagged and outside the interval, and outside it at all."""
    settings = load_settings().quantification.trend
    true = final_gy * np.array(SHARES)
    true[-1] *= 1.0 + effect_pct / 100.0
    doses = true + scatter_gy * rng.standard_normal((n, 4))
    counts = {"tested": 0, "bare": 0, "both": 0, "outside": 0}
    for own in doses:
        points = [
            Uptake(fraction=k + 1, injected_mbq=_INJECTED_MBQ * SHARES[k], dose_gy=float(own[k]),
                   u_repeat_gy=float(scatter_gy[k]))
            for k in range(4)
        ]  # fmt: skip
        point = trend(points, baseline_gy=0.0, volume="Tumour 1", settings=settings)[-1]
        if point.flagged is None:
            continue
        # What saturates lies below the line; a linear tumour is flagged falsely on either side.
        flagged = point.flagged and (effect_pct == 0.0 or point.direction == "below")
        counts["tested"] += 1
        counts["bare"] += flagged
        counts["both"] += bool(flagged and point.significant)
        counts["outside"] += bool(point.significant)
    return counts


def expected_bare(sigma_pct: float, effect_pct: float) -> float:
    """Rate by formula: D₄ − D̂₄ is Gaussian of SD 1.83σ; the denominator D̂₄'s own noise is neglected."""
    spread = _LEVER * sigma_pct
    below = _normal((-10.0 - effect_pct) / spread)
    return below + (1.0 - _normal((10.0 - effect_pct) / spread) if effect_pct == 0.0 else 0.0)


def expected_both(sigma_pct: float, effect_pct: float) -> float:
    """The same, for a deviation that also exceeds 1.96 times its SD."""
    spread = _LEVER * sigma_pct
    limit = max(10.0, Z95 * spread)
    below = _normal((-limit - effect_pct) / spread)
    return below + (1.0 - _normal((limit - effect_pct) / spread) if effect_pct == 0.0 else 0.0)


def _signed(effect_pct: float) -> str:
    return f"−{abs(effect_pct):.0f} %"


def _normal(z: float) -> float:
    return 0.5 * (1.0 + math.erf(z / math.sqrt(2.0)))


def markdown(figures: Figures) -> str:
    """The section's text."""
    cells = figures["cells"]
    shown = [s for s in SIGMAS_PCT if s == int(s)]
    rows = []
    for effect in EFFECTS_PCT:
        for rule, key in (("bare", "bare"), ("rule + interval", "both")):
            by_sigma = {c["sigma_pct"]: c for c in cells if c["effect_pct"] == effect}
            name = "linear (false flags)" if effect == 0 else f"{_signed(effect)} (hits)"
            rows.append([name, rule, *(rate_text(by_sigma[s][key], by_sigma[s]["tested"]) for s in shown)])
    doses = [
        [f"{c['dose_gy']:.0f}", str(c["tested"]), rate_text(c["bare"], c["tested"]), rate_text(c["both"], c["tested"]),
         rate_text(s["bare"], s["tested"]), rate_text(s["both"], s["tested"])]
        for c, s in zip(figures["by_dose"][::2], figures["by_dose"][1::2], strict=True)
    ]  # fmt: skip
    return f"""The mean dose of a tumour after 10, 40, 70 and 100 % of the activity, {figures["n"]} tumours for each entry,
with Gaussian noise that is independent between series and whose SD is given as a share of the final dose. The doses go
through `quantify.trend.trend`. The *bare rule* flags a deviation of 10 % or more from the line through the first
three points; *rule + interval* asks besides that the dose lie outside the line's 95 % prediction interval. A tumour that
saturates lacks 10, 15 or 30 % of the dose expected at the fourth point. Rates in percent, with Wilson 95 % intervals,
by σ:

{table(["tumour", "rule", *(f"σ = {s:.0f} %" for s in shown)], rows)}

The prediction weighs the three points by (4, 1, −2)/3, so the deviation scatters by 1.83 σ: at σ = 3 % by 5.5 %, and a
10 % threshold lies at 1.83 SD. The dashed lines of the picture are that formula. The interval removes false flags only
where the noise is so large (σ above 2.8 %) that the interval is wider than 10 %; what it removes in hits there is the price.
A deviation of exactly −10 % is flagged half of the time at any noise: the rule has its threshold there.

With the scatter that the program itself states between series (the larger of {figures["repeat_per_s"]:g} s⁻¹ and
{figures["repeat_pct"]:g} % of ΔR2*, at 0.82 Gy per s⁻¹), by the final dose:

{table(["final dose [Gy]", "tested", "false, bare", "false, rule + interval", "hits at −30 %, bare", "hits, rule + interval"], doses)}

Below 40 Gy the scatter of a series is a large share of the dose and the bare rule is mostly noise; the interval says so.

What this does not show: noise that is not Gaussian, noise that is common to series (it cancels in a trend), and a true
scatter that differs from the stated one. The interval holds only as far as the stated scatter does.
"""  # noqa: E501


def pictures(figures: Figures) -> list[Picture]:
    """Rates against the noise."""
    panels = []
    for title, key, expected in (
        ("bare rule: deviation ≥ 10 %", "bare", expected_bare),
        ("rule + interval", "both", expected_both),
    ):
        curves = []
        for colour, effect in enumerate(EFFECTS_PCT):
            own = [c for c in figures["cells"] if c["effect_pct"] == effect]
            rates = [100.0 * c[key] / max(c["tested"], 1) for c in own]
            half = [50.0 * (wilson(c[key], c["tested"])[1] - wilson(c[key], c["tested"])[0]) for c in own]
            x = [c["sigma_pct"] for c in own]
            curves.append(
                Curve(x=x, y=rates, error=half, label="linear" if effect == 0 else _signed(effect), colour=colour)
            )
            curves.append(Curve(x=x, y=[100 * expected(s, effect) for s in x], dashed=True, colour=-1))
        panels.append(
            Panel(title=title, x_label="noise σ, % of the final dose", y_label="flagged [%]", curves=curves,
                  y_limits=(-2, 102))
        )  # fmt: skip
    return [Picture(name="flags", caption="Flagged tumours against the noise; dashed: by formula.", panels=panels)]


SECTION = Section(
    name="flags", title="False flags and hits of the trend rule", unit="tumours for each entry", full=4000, quick=200,
    seed=20260304, run=run, markdown=markdown, pictures=pictures,
)  # fmt: skip
