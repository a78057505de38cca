"""Every section of the validation, made tiny: it runs, its figures fit in JSON, text and pictures come out of them."""

from __future__ import annotations

import json
import math
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.validation import (
    accuracy,
    coverage,
    cramer_rao,
    flags,
    kernel,
    phantom_chain,
    report,
    store,
    synthetic_treatment,
    tedana,
)
from benchmarks.validation.decays import as_series, bound_per_s, rice_signal
from benchmarks.validation.intervals import mean_and_error, wilson
from benchmarks.validation.section import silent, target
from config.settings import load_settings

QUANTIFICATION = load_settings().quantification


def shown(section, figures):
    """The figures after a trip through JSON, with the section's text and pictures made of them."""
    again = json.loads(json.dumps(figures))
    text, pictures = section.markdown(again), section.pictures(again)
    assert "nan" not in text
    assert all(len(c.x) == len(c.y) for p in pictures for panel in p.panels for c in panel.curves)
    assert again["targets"]
    return text


class TestIntervals:
    @pytest.mark.parametrize(("hits", "n", "low", "high"), [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634)])
    def test_wilson_gives_published_values(self, hits, n, low, high):
        assert wilson(hits, n) == pytest.approx((low, high), abs=1e-4)

    def test_wilson_of_no_trials_says_nothing(self):
        assert wilson(0, 0) == (0.0, 1.0)

    def test_the_error_of_a_mean_falls_with_the_root_of_the_number(self):
        values = np.random.default_rng(1).normal(size=400)
        assert mean_and_error(values)[1] == pytest.approx(values.std(ddof=1) / 20)
        assert math.isnan(mean_and_error([1.0])[1])


class TestFlags:
    def test_rates_follow_the_formula(self):
        figures = flags.run(150, 1, silent)
        for cell in figures["cells"]:
            expected = flags.expected_bare(cell["sigma_pct"], cell["effect_pct"])
            low, high = wilson(cell["bare"], cell["tested"])
            assert low - 0.03 < expected < high + 0.03, cell
            assert cell["both"] <= cell["bare"]
        assert "σ = 3 %" in shown(flags.SECTION, figures)

    def test_three_percent_of_noise_flags_seven_percent(self):
        assert flags.expected_bare(3.0, 0.0) == pytest.approx(0.068, abs=0.001)


class TestCramerRao:
    @pytest.mark.parametrize("known", [False, True])
    def test_the_bound_is_the_published_table(self, known):
        for rate, printed in cramer_rao.PUBLISHED[known].items():
            assert bound_per_s(rate, 50.0, s0_known=known) == pytest.approx(printed, rel=0.035)

    def test_runs_small(self):
        figures = cramer_rao.run(60, 1, silent)
        text = shown(cramer_rao.SECTION, figures)
        assert "S₀ known, SNR 50" in text
        assert {c["s0_known"] for c in figures["cells"]} == {False, True}


class TestTedana:
    def test_without_tedana_the_section_says_so(self, monkeypatch):
        def refused(environment):
            raise subprocess.CalledProcessError(1, "pip", stderr="no index\nnot found")

        monkeypatch.setattr(tedana, "installed", refused)
        figures = tedana.run(20, 1, silent)
        assert "not found" in shown(tedana.SECTION, figures)
        assert {row["met"] for row in figures["targets"]} == {None}

    def test_figures_with_tedana(self, monkeypatch, tmp_path):
        """The other program's part is played by a log-linear fit; the real one needs its own environment."""

        def played(python, signal):
            slope = np.polyfit(np.array(tedana.ECHO_TIMES_S), np.log(signal), 1)[0]
            return {name: -slope for name in tedana.METHODS if name != "holmia"}

        monkeypatch.setattr(tedana, "installed", lambda environment: tmp_path)
        monkeypatch.setattr(tedana, "_fitted_by_tedana", played)
        monkeypatch.setattr(tedana, "_version", lambda python: "0")
        text = shown(tedana.SECTION, tedana.run(60, 1, silent))
        assert "tedana curve fit" in text


class TestKernel:
    def test_runs_small(self):
        figures = kernel.run(1, 1, silent)
        assert "89Sr" in shown(kernel.SECTION, figures)
        assert all(row["met"] for row in figures["targets"])


class TestCoverage:
    def test_runs_small_and_depends_on_the_seed_only(self):
        figures = coverage.run(3, 1, silent)
        assert figures == coverage.run(3, 1, silent)
        shown(coverage.SECTION, figures)

    def test_without_anything_uncertain_the_program_finds_the_truth(self):
        """Everything that is drawn set to 0: what is left is voxel noise."""
        terms = QUANTIFICATION.uncertainty
        zero = {name: 0.0 for name in type(terms).model_fields if name.endswith(("_pct", "_per_s"))}
        zero |= {name: getattr(terms, name) for name in ("s0_gain_pct", "d_x_maximum_u_pct", "repositioned_per_s")}
        certain = QUANTIFICATION.model_copy(update={"uncertainty": terms.model_copy(update=zero)})
        scene = synthetic_treatment.evaluated(3, certain)
        last = scene.results[-1]
        for name in ("Tumour 1", "Healthy liver"):
            assert last.volumes[name].dose_mean_gy == pytest.approx(scene.doses_gy[-1][name], rel=0.015)
        assert last.recovery_ratio == pytest.approx(scene.recovery[-1], rel=0.015)
        assert last.volumes["Tumour 1"].d70_gy == pytest.approx(scene.d70_gy[-1], rel=0.04)


class TestAccuracy:
    def test_a_scenario_keeps_what_was_promised(self):
        for seed in (1, 2):
            drawn = phantom_chain.scenario(seed)
            options = drawn.options
            assert 30.0 <= options.acquisition.snr <= 80.0
            assert all(1.0 <= uptake <= 6.0 for uptake in options.uptakes)
            assert drawn.peak_mg_per_ml <= 3.05
            assert (options.shift_mm, options.turn_deg) == (5.0, 3.0)

    def test_alone_changes_the_disturbance_only(self):
        plain, fat = (phantom_chain.scenario(4, only=only).options for only in ((), ("fat",)))
        assert fat.disturbances.fat_fraction == 0.10
        assert repr(plain) == repr(fat)
        assert plain.uptakes == fat.uptakes

    def test_one_coarse_phantom_runs_through_the_chain(self, monkeypatch):
        monkeypatch.setattr(phantom_chain, "SHAPE", (14, 30, 40))
        monkeypatch.setattr(phantom_chain, "SPACING_MM", (12.0, 9.0, 9.0))

        def shorter(seed, *, only=None):
            drawn = phantom_chain.scenario(seed, only=only)
            return replace(drawn, options=replace(drawn.options, fractions=2))

        monkeypatch.setattr(accuracy, "scenario", shorter)
        figures = accuracy.run(1, 1, silent)
        (phantom,) = figures["phantoms"]
        assert phantom["failed"] == []
        assert len(phantom["values"]) == 8
        assert "fat" in shown(accuracy.SECTION, figures)


class TestDocument:
    def test_says_what_is_met_and_what_is_not(self):
        rows = [target("a", "< 1", "0.5", True), target("b", "< 1", "2", False), target("c", "< 1", "", None)]
        stored = {
            "n": 1, "seed": 7, "code_sha256": "0" * 64, "versions": {"Python": "3"}, "seconds": 1.0,
            "figures": {**flags.run(30, 1, silent), "targets": rows},
        }  # fmt: skip
        text = report.document([flags.SECTION], {"flags": stored}, {"flags": flags.SECTION.pictures(stored["figures"])})
        assert "1 of 2 targets with a bound are met" in text
        assert "**not met**" in text
        assert "not measured" in text
        assert "A small run" in text
        assert "images/validation-flags.png" in text

    def test_a_result_is_kept_for_the_same_code_number_and_seed_only(self, tmp_path):
        store.keep(flags.SECTION, {"targets": []}, n=5, seed=1, code="a", seconds=1.0, folder=tmp_path)
        assert store.kept(flags.SECTION, 5, 1, "a", tmp_path) is not None
        for other in ((6, 1, "a"), (5, 2, "a"), (5, 1, "b")):
            assert store.kept(flags.SECTION, *other, tmp_path) is None
        assert store.any_kept(flags.SECTION, tmp_path)["n"] == 5


def test_decays_have_the_moments_of_rice_noise():
    signal = rice_signal(np.full(20000, 5000.0), 50.0, np.random.default_rng(1))
    # Nothing is left of the signal in the last echo: Rayleigh, mean σ·√(π/2).
    assert signal[-1].mean() == pytest.approx(20.0 * math.sqrt(math.pi / 2), rel=0.02)
    assert as_series(signal).grid.shape == (1, 1, 20000)
