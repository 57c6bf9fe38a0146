"""Profiles, structure factors and correlation lengths of matrices that are known."""

import numpy as np
import pytest

import husimix as hx
from husimix.physics.correlations import correlation_length, over_distance, structure_factor

LATTICES = [
    hx.Lattice.chain(7),
    hx.Lattice.chain(8, periodic=True),
    hx.Lattice.rectangle(4, 3, periodic=(True, False)),
    hx.Lattice.triangular(4, 4, periodic=True),
    hx.Lattice.honeycomb(3, 3, periodic=True),
]


@pytest.mark.parametrize("lattice", LATTICES, ids=repr)
def test_profiles_are_means_over_pairs_at_equal_distance(lattice):
    matrix = np.random.default_rng(0).normal(size=(lattice.n_sites,) * 2)
    matrix = matrix + matrix.T
    found = over_distance(lattice, matrix)
    assert found.counts.sum() == lattice.n_sites**2
    assert found.distances[0] == 0 and found.means[0] == pytest.approx(np.diag(matrix).mean())
    bonds = lattice.bonds()
    near = np.mean([matrix[i, j] for i, j in bonds])
    assert found.counts[1] == 2 * len(bonds)
    assert found.means[1] == pytest.approx(near)


@pytest.mark.parametrize("lattice", LATTICES, ids=repr)
def test_structure_factors_obey_parseval_and_translation(lattice):
    rng = np.random.default_rng(1)
    vector = rng.normal(size=lattice.n_sites)
    found = structure_factor(lattice, np.outer(vector, vector))
    waves = np.exp(1j * found.momenta @ lattice.positions.T)
    np.testing.assert_allclose(found.values, np.abs(waves @ vector) ** 2 / lattice.n_sites, atol=1e-12)
    assert found.values[0] == pytest.approx(vector.sum() ** 2 / lattice.n_sites)
    flat = structure_factor(lattice, np.eye(lattice.n_sites))
    np.testing.assert_allclose(flat.values, 1.0, atol=1e-12)


@pytest.mark.parametrize("xi", [0.7, 2.0])
def test_the_length_of_exponential_correlations_is_theirs(xi):
    lattice = hx.Lattice.chain(120, periodic=True)
    apart = np.abs(np.subtract.outer(np.arange(120), np.arange(120)))
    matrix = np.exp(-np.minimum(apart, 120 - apart) / xi)
    # Of a chain the second moment gives 1/(2 sinh(1/(2 ξ))).
    assert correlation_length(lattice, matrix) == pytest.approx(1 / (2 * np.sinh(1 / (2 * xi))), rel=1e-6)


def test_correlations_of_a_run_go_on_to_a_picture_of_them():
    lattice = hx.Lattice.square(6, 6, periodic=True)
    model = hx.models.dissipative_ising(lattice, V=2.0, g=2.0)
    run = hx.mesolve(model, hx.product_state(36), [0, 1.0], ansatz=hx.Clusters(3, pairs=4), progress=False)
    matrix = run.final_state.correlation("z", "z", connected=True)
    profile = hx.correlations.over_distance(lattice, matrix)
    assert np.abs(profile.means[1]) > np.abs(profile.means[4]) > 1e-6
    assert np.all(hx.correlations.structure_factor(lattice, matrix).values > 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: over_distance(LATTICES[0], np.eye(3)), r"`matrix` must have shape \(7, 7\)"),
        (lambda: structure_factor(LATTICES[0], np.eye(7), [[0.0, 1.0]]), "`momenta` must have shape"),
        (lambda: correlation_length(LATTICES[0], np.eye(7)), "`lattice` must be periodic"),
        (lambda: correlation_length(LATTICES[1], np.eye(8), direction=2), "`direction` must be one of"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
