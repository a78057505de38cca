"""Echoes that two series share are found by time, and only those are used."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from quantify.echoes import common_echoes, with_echoes
from quantify.r2star import fit_r2star

REFERENCE_S = tuple(0.0012 * n for n in range(1, 11))


def test_equal_echo_times_are_all_common():
    assert common_echoes(REFERENCE_S, REFERENCE_S, tolerance_s=0.0) == (tuple(range(10)), tuple(range(10)))


def test_every_second_echo_is_found():
    of_reference, of_series = common_echoes(REFERENCE_S, REFERENCE_S[1::2], tolerance_s=5e-5)
    assert of_reference == (1, 3, 5, 7, 9)
    assert of_series == (0, 1, 2, 3, 4)


def test_tolerance_decides():
    shifted = tuple(t + 4e-5 for t in REFERENCE_S)
    assert len(common_echoes(REFERENCE_S, shifted, tolerance_s=5e-5)[0]) == 10
    with pytest.raises(ValueError, match="share 0 echoes within"):
        common_echoes(REFERENCE_S, shifted, tolerance_s=3e-5)


def test_an_echo_is_paired_once_with_its_nearest():
    of_reference, of_series = common_echoes((0.001, 0.002, 0.003), (0.00096, 0.00101, 0.002, 0.003), tolerance_s=5e-5)
    assert of_reference == (0, 1, 2)
    assert of_series == (1, 2, 3)


@pytest.mark.parametrize(
    ("times", "tolerance", "words"),
    [
        ((0.0012, 0.0024), 5e-5, "share 2 echoes"),
        ((), 5e-5, "share 0 echoes"),
        ((0.002, 0.001, 0.003), 5e-5, "ascending"),
        ((0.001, 0.001, 0.003), 5e-5, "ascending"),
        ((-0.001, 0.001, 0.003), 5e-5, "0 or more"),
        ((float("nan"), 0.001, 0.003), 5e-5, "ascending"),
        (REFERENCE_S, -1.0, "tolerance_s is -1"),
    ],
    ids=["two", "none", "unsorted", "equal", "negative", "nan", "tolerance"],
)
def test_too_few_common_echoes_or_bad_times_are_a_sentence(times, tolerance, words):
    with pytest.raises(ValueError, match=words):
        common_echoes(REFERENCE_S, times, tolerance_s=tolerance)


def test_a_series_of_fewer_echoes_keeps_its_decay(series):
    whole = series(np.full((1, 3, 4), 130.0))
    part = with_echoes(whole, (0, 3, 4, 9))
    assert part.echo_times_s == tuple(whole.echo_times_s[i] for i in (0, 3, 4, 9))
    assert np.array_equal(part.signal, whole.signal[[0, 3, 4, 9]])
    assert fit_r2star(part, sigma=0.0).r2star_per_s == pytest.approx(130.0, rel=1e-4)
    assert with_echoes(whole, range(10)) is whole


def test_phases_stay_with_their_echoes(series):
    plain = series(np.full((1, 3, 4), 130.0))
    phase = np.random.default_rng(1).uniform(-np.pi, np.pi, plain.signal.shape).astype(np.float32)
    part = with_echoes(replace(plain, phase_rad=phase), (1, 2, 7))
    assert np.array_equal(part.phase_rad, phase[[1, 2, 7]])
    assert with_echoes(plain, (1, 2, 7)).phase_rad is None


@pytest.mark.parametrize(
    ("indices", "words"),
    [((0, 1), "at least 3"), ((0, 2, 1), "ascending"), ((0, 1, 10), "0 to 9"), ((-1, 0, 1), "0 to")],
)
def test_indices_that_are_not_of_the_series_are_refused(series, indices, words):
    with pytest.raises(ValueError, match=words):
        with_echoes(series(np.full((1, 2, 2), 50.0)), indices)
