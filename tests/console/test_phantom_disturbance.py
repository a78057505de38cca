"""Fat, drift, gain field and breath-hold change the images as physics says, and the truth not at all."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from console.demo.phantom import Phantom, Region
from console.demo.phantom_acquisition import AcquisitionOptions, noiseless_signal, region_of_voxels, slab
from console.demo.phantom_dicom import PhantomOptions, small_options, write_phantom
from console.demo.phantom_disturbance import FAT_SPECTRUM, Disturbances, SeriesState, mobility
from console.demo.phantom_treatment import Treatment, truth_document

COARSE = AcquisitionOptions(shape=(10, 24, 34), spacing_mm=(15.0, 11.0, 11.0), echo_times_s=(0.0012, 0.0036, 0.006))
GRID = slab(COARSE.shape, COARSE.spacing_mm)


@pytest.fixture(scope="module")
def treatment() -> Treatment:
    return Treatment(phantom=Phantom(seed=1), positions=("RHA",), integration_step_mm=4.0)


def signal(treatment, state=None):
    return noiseless_signal(treatment, 1, GRID, COARSE, state=state)


class TestTheUndisturbedPhantom:
    def test_is_the_same_to_the_bit(self, treatment):
        np.testing.assert_array_equal(signal(treatment), signal(treatment, SeriesState()))
        assert Disturbances().state(1, 3) == SeriesState()

    def test_keeps_its_uids(self):
        options = PhantomOptions()
        assert options.identity == repr(options)
        assert "disturbances" not in repr(options)
        disturbed = replace(options, disturbances=Disturbances(drift_per_s=1.0))
        assert disturbed.identity != options.identity
        assert replace(options, uptakes=(1.0, 2.0, 3.0)).identity != options.identity

    def test_the_reference_has_fat_and_none_of_the_changes(self):
        all_of_them = Disturbances(fat_fraction=0.1, drift_per_s=1.0, gain_field=0.2, breath_hold_mm=8.0)
        assert all_of_them.state(1, 0) == SeriesState(fat_fraction=0.1)
        drawn = [all_of_them.state(1, k) for k in (1, 2, 3)]
        assert len({state.drift_per_s for state in drawn}) == 3
        assert drawn == [all_of_them.state(1, k) for k in (1, 2, 3)]
        assert all(abs(state.breath_hold_mm) <= 8.0 for state in drawn)


class TestDrift:
    def test_adds_to_r2star_everywhere(self, treatment):
        plain, drifted = signal(treatment), signal(treatment, SeriesState(drift_per_s=5.0))
        seen = plain[0] > 0
        for echo, time_s in enumerate(COARSE.echo_times_s):
            np.testing.assert_allclose(drifted[echo][seen], plain[echo][seen] * math.exp(-5.0 * time_s), rtol=2e-4)


class TestGainField:
    def test_scales_all_echoes_of_a_voxel_alike(self, treatment):
        plain, changed = signal(treatment), signal(treatment, SeriesState(gain_field=(0.1, -0.1, 0.05, 0.1)))
        seen = plain[-1] > 1.0
        ratio = changed[:, seen] / plain[:, seen]
        np.testing.assert_allclose(ratio, np.broadcast_to(ratio[0], ratio.shape), rtol=2e-4)
        assert float(np.ptp(ratio[0])) > 0.05

    def test_is_one_at_the_centre(self):
        state = SeriesState(gain_field=(0.3, 0.3, 0.3, 0.3))
        assert float(state.sensitivity(np.zeros((3, 1)))[0]) == 1.0


class TestBreathHold:
    def test_compresses_no_tissue(self):
        """u = (0, 0, d·w(x, y)): w does not depend on z, so that the divergence is 0 and no concentration changes."""
        points = np.random.default_rng(1).uniform(-100.0, 100.0, (3, 200))
        raised = points + np.array([[0.0], [0.0], [37.0]])
        np.testing.assert_array_equal(mobility(points), mobility(raised))

    def test_the_spine_stays_and_the_liver_moves(self):
        assert float(mobility(np.array([[0.0], [74.0], [10.0]]))[0]) == 0.0
        assert float(mobility(np.array([[-88.0], [20.0], [14.0]]))[0]) > 0.97

    def test_tissue_is_found_where_it_was_moved_to(self, treatment):
        state = SeriesState(breath_hold_mm=9.0)
        there = np.array([[-88.0], [20.0], [14.0]])
        moved = there + np.array([[0.0], [0.0], [9.0 * float(mobility(there)[0])]])
        np.testing.assert_allclose(state.before_breath_hold(moved), there, atol=1e-9)
        assert not np.array_equal(signal(treatment), signal(treatment, state))


class TestFat:
    def test_spectrum_is_complete(self):
        assert sum(share for _, share in FAT_SPECTRUM) == pytest.approx(1.0)

    @pytest.mark.parametrize("field_t", [1.5, 3.0])
    def test_the_main_peak_is_out_of_phase_after_half_its_period(self, field_t):
        state = SeriesState(fat_fraction=0.2)
        assert state.fat_modulation(0.0, field_t) == pytest.approx(1.0)
        half_period_s = 1.0 / (2.0 * 3.4 * 42.577 * field_t)
        opposed, in_phase = (abs(state.fat_modulation(k * half_period_s, field_t)) for k in (1, 2))
        assert opposed == pytest.approx(1.0 - 2.0 * 0.2, abs=0.05)
        assert in_phase > opposed + 0.25

    def test_is_in_healthy_liver_only(self, treatment):
        regions = region_of_voxels(treatment, GRID)
        plain, fat = signal(treatment), signal(treatment, SeriesState(fat_fraction=0.2))
        inside = (regions == Region.HEALTHY) & (plain[0] > 0)
        changed = np.abs(fat / np.maximum(plain, 1e-6) - 1.0).max(axis=0)
        assert float(np.median(changed[inside])) > 0.05
        far = regions == Region.OUTSIDE
        assert float(np.median(changed[far])) == 0.0


class TestTruth:
    def test_is_what_it_is_without_disturbance(self, tmp_path):
        coarse = replace(COARSE, shape=(8, 18, 26), spacing_mm=(20.0, 15.0, 15.0))
        options = small_options(acquisition=coarse, anatomy_spacing_mm=(10.0, 6.0, 6.0), fractions=1)
        disturbed = replace(options, disturbances=Disturbances(fat_fraction=0.1, breath_hold_mm=5.0))
        assert truth_document(options.treatment()) == truth_document(disturbed.treatment())
        written = write_phantom(tmp_path / "phantom", disturbed)
        assert '"breath_hold_mm"' in written.truth_path.read_text(encoding="utf-8")

    def test_uptakes_are_taken_as_given(self):
        phantom = Phantom(seed=1, n_tumours=2, uptakes=(1.0, 6.0))
        assert [t.uptake for t in phantom.tumours] == [1.0, 6.0]
        assert [t.centre_mm for t in phantom.tumours] == [t.centre_mm for t in Phantom(seed=1, n_tumours=2).tumours]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Disturbances(fat_fraction=1.0), "fat_fraction"),
        (lambda: Disturbances(drift_per_s=-1.0), "drift_per_s"),
        (lambda: Disturbances(breath_hold_mm=float("nan")), "breath_hold_mm"),
        (lambda: Phantom(uptakes=(1.0,)), "uptakes"),
    ],
)
def test_what_cannot_be_is_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()
