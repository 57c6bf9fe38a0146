"""The Lindbladian as a sum of maps that conserve the trace each by itself, against dense superoperators."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import husimix as hx
from cluster_truth import joined_sites, random_model
from dense import dense_generator
from husimix.physics.local_maps import local_maps


def dense_sum(maps, n_sites, size):
    """Σ_t G_t as a D^N × D^N matrix, site 0 slowest."""
    total = np.zeros((size**n_sites,) * 2)
    for some in maps:
        q = some.sites.shape[1]
        for sites, matrix in zip(some.sites, some.matrices[some.kinds], strict=True):
            rest = [i for i in range(n_sites) if i not in sites]
            whole = np.kron(matrix, np.eye(size ** len(rest))).reshape((size,) * (2 * n_sites))
            axes = np.argsort([*sites, *rest])
            total += whole.transpose(*axes, *(n_sites + axes)).reshape(total.shape)
        assert q == some.sites.shape[1]
    return total


@settings(max_examples=8)
@given(st.integers(0, 10_000), st.sampled_from([(3, 2), (2, 3)]))
def test_maps_add_up_to_the_generator(seed, shape):
    model = random_model(seed, *shape)
    expected = dense_generator(model)
    found = dense_sum(local_maps(model), model.n_sites, model.basis.size)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from([(4, 2), (2, 3)]))
def test_each_map_conserves_the_trace_by_itself(seed, shape):
    model = random_model(seed, *shape)
    for some in local_maps(model):
        assert np.abs(some.matrices[:, 0]).max() < 1e-13 * np.abs(some.matrices).max()


def test_there_is_one_map_for_each_set_of_sites():
    model = random_model(3)
    rows = [tuple(row) for some in local_maps(model) for row in some.sites.tolist()]
    assert len(rows) == len(set(rows))
    assert all(list(row) == sorted(set(row)) for row in rows)
    assert set(rows) <= joined_sites(model)


def test_equal_terms_share_one_matrix():
    lattice = hx.Lattice.square(6, periodic=True)
    one, two = local_maps(hx.models.dissipative_ising(lattice))
    assert len(one.matrices) == len(two.matrices) == 1
    assert len(one.sites) == 36
    assert len(two.sites) == 72


def test_terms_without_effect_leave_no_map():
    h = hx.sigmax(0) - hx.sigmax(0) + 3.0
    assert local_maps(hx.Lindbladian(h, [hx.Dissipator(hx.sigmaz(0), 0.0)], 2)) == ()


@pytest.mark.parametrize("rate", [0.5, 2.0])
def test_strengths_are_spectral_norms(rate):
    (maps,) = local_maps(hx.Lindbladian(0.0, [hx.Dissipator(hx.sigmaz(1), rate)], 2))
    assert maps.sites.tolist() == [[1]]
    np.testing.assert_allclose(maps.strengths, [2 * rate])
