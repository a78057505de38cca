"""Laws of the R2* fit: exactness, modulation, blended S₀, equality of the engines; bad input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from quantify.r2star import ENGINES, S0Prior, fit_r2star, warm

METHODS = ["nonlinear", "log_linear", "arlo"]
PARTS = ["r2star_per_s", "s0", "standard_error_per_s", "s0_standard_error", "residual", "s0_weight"]


def tissue(series, **options):
    """Two thirds tissue of R2* 20–400 s⁻¹ at SNR 50, one third air."""
    shape = (4, 24, 40)
    s0 = np.full(shape, 100.0)
    s0[:, :8] = 0.0
    r2star = np.random.default_rng(5).uniform(20, 400, shape)
    return series(r2star, s0=s0, sigma=2.0, seed=7, **options), s0 > 0


def prior(shape, mean=100.0, u=4.0):
    return S0Prior(mean=np.full(shape, mean, np.float32), standard_error=np.full(shape, u, np.float32))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("r2star", [20, 50, 200, 400, 800, 1500])
def test_a_noiseless_decay_is_fitted_exactly(series, r2star, method):
    fit = fit_r2star(series(np.full((1, 4, 5), float(r2star))), method=method, sigma=0.0)
    assert fit.r2star_per_s == pytest.approx(r2star, rel=1e-4)
    assert fit.s0 == pytest.approx(100.0, rel=1e-4)


def test_freeing_the_signal_from_the_noise_floor_beats_leaving_it(series):
    noisy = series(np.full((10, 50, 50), 300.0), sigma=5.0, seed=3)  # SNR 20
    with_floor = np.nanmean(fit_r2star(noisy, sigma=0.0).r2star_per_s) - 300
    freed = np.nanmean(fit_r2star(noisy, sigma=5.0).r2star_per_s) - 300
    assert with_floor < -20
    assert abs(freed) < 9  # docs/decisions/0004: −6 at SNR 20


def test_r2star_does_not_depend_on_gain(series):
    r2star = np.linspace(10, 300, 60).reshape(3, 4, 5)
    one = fit_r2star(series(r2star), sigma=0.0).r2star_per_s
    other = fit_r2star(series(r2star, s0=7300.0), sigma=0.0).r2star_per_s
    assert other == pytest.approx(one, rel=1e-5)


def test_unevenly_spaced_echoes_are_fitted_exactly(series):
    uneven = series(np.full((1, 3, 3), 120.0), echo_times_s=(0.001, 0.0024, 0.0061, 0.009))
    assert fit_r2star(uneven, sigma=0.0).r2star_per_s == pytest.approx(120.0, rel=1e-4)


def test_a_voxel_without_signal_is_nan_not_zero(series):
    s0 = np.full((1, 2, 2), 100.0)
    s0[0, 0, 0] = 0.0
    fit = fit_r2star(series(np.full((1, 2, 2), 50.0), s0=s0), sigma=0.0)
    assert np.isnan(fit.r2star_per_s[0, 0, 0])
    assert np.isfinite(fit.r2star_per_s).sum() == 3


@pytest.mark.parametrize(
    ("echo_times_s", "words"),
    [((0.001, 0.002), "2 echoes"), ((0.001, 0.001, 0.002), "ascending"), ((-0.001, 0.001, 0.002), "not negative")],
    ids=["two", "equal", "negative"],
)
def test_unusable_echo_times_are_refused(series, echo_times_s, words):
    with pytest.raises(ValueError, match=words):
        fit_r2star(series(np.full((1, 2, 2), 50.0), echo_times_s=echo_times_s))


def test_a_signal_that_is_not_finite_is_refused(series):
    r2star = np.full((1, 2, 2), 50.0)
    r2star[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        fit_r2star(series(r2star))


def test_a_noise_that_is_not_a_number_is_refused(series):
    with pytest.raises(ValueError, match="sigma is nan"):
        fit_r2star(series(np.full((1, 2, 2), 50.0)), sigma=float("nan"))


@pytest.mark.parametrize("name", ["method", "engine"])
def test_an_unknown_way_of_fitting_is_refused(series, name):
    with pytest.raises(ValueError, match=f"{name} is 'magic'"):
        fit_r2star(series(np.full((1, 2, 2), 50.0)), **{name: "magic"})


UNEVEN_S = (0.001, 0.0024, 0.0037, 0.0061, 0.009)


@pytest.mark.parametrize("blended", [False, True], ids=["free", "blended"])
@pytest.mark.parametrize("modulated", [False, True], ids=["plain", "modulated"])
@pytest.mark.parametrize("times", [None, UNEVEN_S], ids=["even", "uneven"])
def test_the_compiled_fit_is_the_numpy_fit(series, blended, modulated, times):
    noisy, inside = tissue(series, **({} if times is None else {"echo_times_s": times}))
    factor = np.random.default_rng(2).uniform(0.5, 1.0, noisy.signal.shape).astype(np.float32) if modulated else None
    known = prior(noisy.grid.shape, mean=103.0) if blended else None
    one, other = (fit_r2star(noisy, sigma=2.0, modulation=factor, s0_prior=known, engine=name) for name in ENGINES)
    for part in PARTS if blended else PARTS[:-1]:
        first, second = getattr(one, part), getattr(other, part)
        assert np.array_equal(np.isnan(first), np.isnan(second))
        assert first[inside] == pytest.approx(second[inside], rel=1e-5, abs=1e-5, nan_ok=True), part


def test_the_number_of_threads_does_not_change_a_bit(series):
    noisy, _ = tissue(series)
    from quantify import r2star_numba
    from quantify.r2star_numpy import Voxels

    voxels = Voxels(
        signal=noisy.signal.reshape(10, -1),
        times_s=np.array(noisy.echo_times_s),
        sigma=2.0,
        chosen=np.arange(noisy.signal[0].size)[::3],
    )
    results = [r2star_numba.fit_voxels(voxels, threads=threads) for threads in (1, 2, 3, 7)]
    assert all(results[0].tobytes() == other.tobytes() for other in results[1:])


def test_a_voxel_does_not_depend_on_its_neighbours(series):
    noisy, inside = tissue(series)
    whole = fit_r2star(noisy, sigma=2.0)
    alone = fit_r2star(series_of_one(noisy, (2, 15, 11)), sigma=2.0)
    assert inside[2, 15, 11]
    for part in PARTS[:-1]:
        assert getattr(alone, part)[0, 0, 0] == getattr(whole, part)[2, 15, 11]


def series_of_one(noisy, at):
    return replace(
        noisy,
        signal=noisy.signal[(slice(None), *at)].reshape(-1, 1, 1, 1),
        grid=replace(noisy.grid, shape=(1, 1, 1)),
    )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("method", METHODS)
def test_a_known_modulation_is_divided_out_exactly(series, engine, method):
    plain = series(np.full((1, 4, 5), 180.0))
    factor = np.random.default_rng(3).uniform(0.2, 1.5, plain.signal.shape).astype(np.float32)
    fit = fit_r2star(
        replace(plain, signal=plain.signal * factor), sigma=0.0, method=method, engine=engine, modulation=factor
    )
    assert fit.r2star_per_s == pytest.approx(180.0, rel=1e-4)
    assert fit.s0 == pytest.approx(100.0, rel=1e-4)


def test_a_modulation_of_one_changes_nothing(series):
    noisy, inside = tissue(series)
    plain = fit_r2star(noisy, sigma=2.0).r2star_per_s
    modulated = fit_r2star(noisy, sigma=2.0, modulation=np.ones_like(noisy.signal)).r2star_per_s
    assert modulated[inside] == pytest.approx(plain[inside], rel=1e-6)


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (np.ones((3, 1, 2, 2)), "shape"),
        (np.zeros((10, 1, 2, 2)), "above 0"),
        (np.full((10, 1, 2, 2), np.nan), "finite"),
    ],
    ids=["shape", "zero", "nan"],
)
def test_an_unusable_modulation_is_refused(series, factor, words):
    with pytest.raises(ValueError, match=words):
        fit_r2star(series(np.full((1, 2, 2), 50.0)), modulation=factor.astype(np.float32))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("method", ["nonlinear", "log_linear"])
@pytest.mark.parametrize("r2star", [20, 200, 1000, 1500])
def test_a_noiseless_decay_with_known_s0_is_fitted_exactly(series, engine, method, r2star):
    clean = series(np.full((1, 4, 5), float(r2star)))
    fit = fit_r2star(clean, sigma=0.0, method=method, engine=engine, s0_prior=prior((1, 4, 5), u=0.0))
    assert fit.r2star_per_s == pytest.approx(r2star, rel=1e-4)
    assert fit.s0_weight == pytest.approx(1.0)


def test_the_prior_is_blended_by_its_variance(series):
    """The free S₀ and the prior's, weighted by what each knows, are the blended S₀."""
    noisy, _ = tissue(series)
    inside = noisy.signal[-1] > 10.0  # where least squares is linear enough in S₀ to be averaged
    free = fit_r2star(noisy, sigma=2.0)
    blended = fit_r2star(noisy, sigma=2.0, s0_prior=prior(noisy.grid.shape, mean=101.0, u=3.0))
    share = (1 / 3.0**2) / (1 / 3.0**2 + 1 / free.s0_standard_error[inside] ** 2)
    assert blended.s0_weight[inside] == pytest.approx(share, abs=0.03)
    expected = share * 101.0 + (1 - share) * free.s0[inside]
    assert blended.s0[inside] == pytest.approx(expected, abs=0.6)


@pytest.mark.parametrize(("u", "share"), [(1e9, 0.0), (np.inf, 0.0), (1e-6, 1.0), (0.0, 1.0)])
def test_a_vague_prior_is_a_free_fit_and_a_sure_one_is_known_s0(series, u, share):
    noisy, inside = tissue(series)
    blended = fit_r2star(noisy, sigma=2.0, s0_prior=prior(noisy.grid.shape, u=u))
    assert blended.s0_weight[inside] == pytest.approx(share, abs=1e-6)
    if share:
        assert blended.s0[inside] == pytest.approx(100.0, rel=1e-5)
    else:
        assert blended.r2star_per_s[inside] == pytest.approx(
            fit_r2star(noisy, sigma=2.0).r2star_per_s[inside], rel=1e-5
        )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_voxel_without_prior_is_fitted_freely(series, engine):
    noisy, inside = tissue(series)
    known = prior(noisy.grid.shape)
    mean, error = known.mean.copy(), known.standard_error.copy()
    mean[0], mean[1], error[2] = np.nan, -5.0, np.nan
    blended = fit_r2star(noisy, sigma=2.0, s0_prior=S0Prior(mean=mean, standard_error=error), engine=engine)
    free = fit_r2star(noisy, sigma=2.0, engine=engine)
    assert np.array_equal(blended.r2star_per_s[:3], free.r2star_per_s[:3], equal_nan=True)
    assert (blended.s0_weight[:3][inside[:3]] == 0).all()
    assert (blended.s0_weight[3][inside[3]] > 0).all()
    assert np.isnan(blended.s0_weight[np.isnan(blended.r2star_per_s)]).all()


def test_without_a_prior_no_share_is_stated(series):
    assert fit_r2star(series(np.full((1, 2, 2), 50.0))).s0_weight is None


def test_a_prior_that_does_not_fit_is_refused(series):
    with pytest.raises(ValueError, match="s0_prior has shape"):
        fit_r2star(series(np.full((1, 2, 2), 50.0)), s0_prior=prior((1, 2, 3)))
    with pytest.raises(ValueError, match="standard_error has shape"):
        S0Prior(mean=np.ones((1, 2, 2)), standard_error=np.ones((1, 2, 3)))
    with pytest.raises(ValueError, match="negative"):
        S0Prior(mean=np.ones((1, 2, 2)), standard_error=-np.ones((1, 2, 2)))


def test_arlo_refuses_what_it_cannot_do(series):
    with pytest.raises(ValueError, match="evenly spaced"):
        fit_r2star(series(np.full((1, 2, 2), 50.0), echo_times_s=UNEVEN_S), method="arlo")
    with pytest.raises(ValueError, match="no S0"):
        fit_r2star(series(np.full((1, 2, 2), 50.0)), method="arlo", s0_prior=prior((1, 2, 2)))


@pytest.mark.parametrize("r2star", [-20.0, 0.0])
@pytest.mark.parametrize("method", METHODS)
def test_a_signal_that_does_not_decay_is_fitted_too(series, method, r2star):
    fit = fit_r2star(series(np.full((1, 2, 2), r2star)), sigma=0.0, method=method)
    assert fit.r2star_per_s == pytest.approx(r2star, abs=0.01)


def test_a_series_without_signal_is_nan_everywhere(series):
    fit = fit_r2star(series(np.full((1, 3, 3), 50.0), s0=0.0))
    assert np.isnan(fit.r2star_per_s).all()
    assert np.isnan(fit.s0).all()


def test_warming_up_compiles_for_every_use(series):
    from quantify import r2star_numba

    warm()
    compiled = len(r2star_numba._fit.signatures)
    noisy, _ = tissue(series)
    factor = np.ones_like(noisy.signal)
    factor.flags.writeable = False
    fit_r2star(noisy, modulation=factor, s0_prior=prior(noisy.grid.shape))
    fit_r2star(noisy, sigma=0.0, modulation=np.ones_like(noisy.signal))
    assert len(r2star_numba._fit.signatures) == compiled == 1
