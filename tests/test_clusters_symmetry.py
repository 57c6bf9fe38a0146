"""Symmetry in clusters: one support of each orbit gives what all supports give, and nothing grows with the lattice."""

import itertools

import jax
import numpy as np
import pytest

import husimix as hx
from cluster_truth import certificate, evolved, prepared, state_after
from husimix import Clusters, Lattice, models, pauli
from husimix.clusters.orbits import Orbits
from husimix.physics.symmetry.point_group import point_group
from husimix.state import History

RIGHT = np.array([[0.6, 0.0, 0.8]])


def by_sublattice():
    """A Néel state of an isotropic chain: translations by one site hold with a rotation of each site only."""
    lattice = Lattice.chain(6, periodic=True)
    model = models.dissipative_xyz(lattice, 0.9, 1.1, 1.0, gamma=0.0)
    group = [
        hx.Transformation(np.roll(np.arange(6), 1), "x"),
        hx.Transformation(np.arange(6)[::-1], "x"),
    ]
    return model, ["up", "down"] * 3, group


CASES = {
    "ring": (models.dissipative_ising(Lattice.chain(6, periodic=True), V=2, g=1), "down", "translations"),
    "square": (models.dissipative_ising(Lattice.square(3, 3, periodic=True), V=2, g=1), "down", "auto"),
    "open square": (models.dissipative_ising(Lattice.square(3, 2), V=2, g=1), "down", "auto"),
    "honeycomb": (models.dissipative_xyz(Lattice.honeycomb(2, 2, periodic=True)), RIGHT[0], "auto"),
    "kagome": (models.dissipative_ising(Lattice.kagome(2, 2, periodic=True), V=1, g=1), "down", "auto"),
    "rotations": (models.dissipative_xyz(Lattice.square(3, 3, periodic=True), 0.7, 1.2, 1.0), "down", "auto"),
}


@pytest.mark.parametrize("name", [*CASES, "sublattice"])
def test_one_support_of_each_orbit_moves_like_all(name):
    model, spins, symmetry = by_sublattice() if name == "sublattice" else CASES[name]
    start = hx.product_state(model.n_sites, spins)
    size = 3 if model.n_sites < 10 else 2
    found, plain = (state_after(model, start, Clusters(size=size), 0.5, s) for s in (symmetry, None))
    assert len(found.background) < len(plain.background)
    assert found.layout.orbits.order > 1
    np.testing.assert_allclose(found.bloch(), plain.bloch(), rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.correlation("x", "z"), plain.correlation("x", "z"), rtol=0, atol=1e-9)
    for sites in ([0, 1, 2], [2, 0, 1], [1, 3, 4], [5, 2, 4]):
        np.testing.assert_allclose(found.tensor(tuple(sites)), plain.tensor(tuple(sites)), rtol=0, atol=1e-9)
    operator = pauli("xyz", 0, 1, 2) + 0.3 * pauli("xx", 2, 1) + 2.0
    assert found.expect(operator) == pytest.approx(plain.expect(operator), abs=1e-9)


@pytest.mark.parametrize("name", [*CASES, "sublattice"])
def test_certificates_do_not_depend_on_symmetry(name):
    model, spins, symmetry = by_sublattice() if name == "sublattice" else CASES[name]
    start = hx.product_state(model.n_sites, spins)
    found = []
    for chosen in (symmetry, None):
        problem = prepared(model, start, Clusters(size=2), chosen)
        point = evolved(problem.motion, problem.point, 0.3, rtol=1e-9)
        found.append(np.concatenate([np.ravel(x) for x in certificate(problem.motion, point)]))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


def operations_of(lattice, steps):
    """Translations by so many cells along each direction, and the point group."""
    cells = np.arange(lattice.n_sites).reshape(*lattice.shape, -1)
    turns = point_group(lattice)[1:3]
    return [
        *(hx.Transformation(np.roll(cells, steps, axis).ravel()) for axis in (0, 1)),
        *map(hx.Transformation, turns),
    ]


@pytest.mark.parametrize(
    ("lattice", "steps"),
    [
        (Lattice.square(4, 3, periodic=True), 1),
        (Lattice.honeycomb(2, 3, periodic=True), 1),
        (Lattice.square(4, 4, periodic=True), 2),
    ],
)
def test_orbits_are_those_of_the_written_out_group(lattice, steps):
    generators = operations_of(lattice, steps)
    group = hx.SymmetryGroup.generated(generators)
    orbits = Orbits(generators, lattice, lattice.n_sites, 4)
    assert orbits.order == group.order
    for n in (1, 2, 3):
        rows = np.array(list(itertools.combinations(range(lattice.n_sites), n)))
        found = orbits.canonical(rows)
        expected = np.sort(np.asarray(group.permutations)[:, rows], axis=2)
        keys = {tuple(row): min(map(tuple, expected[:, k])) for k, row in enumerate(rows.tolist())}
        same = {}
        for row, representative in zip(rows.tolist(), found.sites.tolist(), strict=True):
            assert same.setdefault(tuple(representative), keys[tuple(row)]) == keys[tuple(row)]
        assert len(same) == len(set(keys.values()))
        representatives = np.array(sorted(same))
        sizes = orbits.multiplicities(representatives)
        counted = [sum(1 for v in keys.values() if v == same[tuple(r)]) for r in representatives.tolist()]
        assert sizes.tolist() == counted


def test_the_lattice_does_not_matter_beyond_the_clusters():
    results = []
    for length in (8, 12, 64):
        lattice = Lattice.square(length, length, periodic=True)
        model = models.dissipative_ising(lattice, V=2, g=1)
        start = prepared(model, hx.product_state(lattice.n_sites), Clusters(size=3, certificate=False), "auto")
        point = evolved(start.motion, start.point, 1.0, rtol=1e-8)
        results.append(point)
        assert start.motion.state(point, History()).bloch().shape == (lattice.n_sites, 3)
    for other in results[1:]:
        assert jax.tree.structure(other) == jax.tree.structure(results[0])
        np.testing.assert_allclose(other.background, results[0].background, rtol=0, atol=1e-9)
        for n, values in other.moments.items():
            assert sorted(values.shape) == sorted(results[0].moments[n].shape)
            found, expected = (np.sort(np.linalg.norm(v, axis=1)) for v in (values, results[0].moments[n]))
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
