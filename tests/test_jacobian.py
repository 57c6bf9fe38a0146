"""The derivative of the velocity of clusters, as a sparse matrix, against derivatives by JAX."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import husimix as hx
from cluster_truth import prepared, random_model, random_point, random_start
from husimix.clusters import jacobian

CHAIN, TORUS = hx.Lattice.chain(5), hx.Lattice.square(3, 3, periodic=True)
ISING, XYZ = hx.models.dissipative_ising, hx.models.dissipative_xyz
LONG_RANGE = hx.Lindbladian(
    hx.operator_sum([hx.pauli("zz", i, j) / (j - i) ** 3 for i in range(5) for j in range(i + 1, 5)])
    + 0.7 * hx.operator_sum([hx.sigmax(i) for i in range(5)]),
    [hx.sigmam(i) for i in range(5)],
    5,
)
# Translations by one site hold with a rotation of each site only.
TURNED = [hx.Transformation(np.roll(np.arange(6), 1), "x"), hx.Transformation(np.arange(6)[::-1], "x")]
ANGLES = np.arange(6) * np.pi / 3
SPIRAL = np.stack([np.cos(ANGLES), np.sin(ANGLES), 0 * ANGLES], axis=1)
TURN = np.eye(4)
TURN[1:3, 1:3] = [[0.5, -np.sqrt(0.75)], [np.sqrt(0.75), 0.5]]
ALONG_SPIRAL = [hx.Transformation(np.roll(np.arange(6), -1), TURN)]
CASES = {
    "single sites": (ISING(CHAIN, V=1.0, g=0.5), hx.Clusters(size=1), None),
    "one spin": (ISING(hx.Lattice.chain(1), g=0.5), hx.Clusters(size=1), None),
    "chain": (ISING(CHAIN, V=2.0, g=1.5), hx.Clusters(size=3), None),
    "edge damping": (ISING(CHAIN, V=2.0, g=1.5), hx.Clusters(size=4, edge_damping=0.7), None),
    "extra supports": (ISING(CHAIN, V=2.0, g=1.5), hx.Clusters(size=2, extra=[(0, 2, 4)]), None),
    "products of far pairs": (ISING(CHAIN, V=1.3, g=0.8), hx.Clusters(size=3, pairs="all"), None),
    "long range": (LONG_RANGE, hx.Clusters(size=3, neighbours=0.5), None),
    "three bodies, collective jumps": (random_model(1), hx.Clusters(size=3), None),
    "spins 1": (random_model(5, 3, 3), hx.Clusters(size=2), None),
    "torus": (ISING(TORUS, V=2.0, g=1.5), hx.Clusters(size=4), "auto"),
    "rotations of spins": (XYZ(TORUS, 0.7, 1.2, 1.0), hx.Clusters(size=3), "auto"),
    "far pairs of a ring": (XYZ(hx.Lattice.chain(8, periodic=True)), hx.Clusters(size=3, pairs="all"), "auto"),
    "translations with rotations": (XYZ(hx.Lattice.chain(6, periodic=True), gamma=0.0), hx.Clusters(size=3), TURNED),
    "rotations by 60 degrees along a spiral": (
        XYZ(hx.Lattice.chain(6, periodic=True), 1.0, 1.0, 0.6),
        hx.Clusters(size=3),
        ALONG_SPIRAL,
    ),
}
STARTS = {"translations with rotations": ["up", "down"] * 3, "rotations by 60 degrees along a spiral": SPIRAL}


@eqx.filter_jit
def by_jax(motion, point):
    """∂v/∂x and the derivative of the projection, each row of a transposed one along one direction."""
    numbers, rebuilt = ravel_pytree(point)

    def both(x):
        there = rebuilt(x)
        return ravel_pytree(motion.velocity(jnp.zeros(()), there)[0])[0], ravel_pytree(motion.restored(there))[0]

    return jax.lax.map(lambda change: jax.jvp(both, (numbers,), (change,))[1], jnp.eye(len(numbers)))


@pytest.mark.parametrize("name", CASES)
def test_the_jacobian_is_that_of_automatic_differentiation(name):
    model, ansatz, symmetry = CASES[name]
    start = random_start(2, model)
    if symmetry is not None:
        start = hx.product_state(model.n_sites, STARTS.get(name, "down"))
    motion, point = prepared(model, start, ansatz, symmetry)[:2]
    # A random point breaks ties of the symmetry: the velocity looks at its symmetric part only.
    point = random_point(np.random.default_rng(3), point)
    found, expected = motion.jacobian(point), [np.asarray(x).T for x in by_jax(motion, point)]
    scale = np.abs(expected[0]).max()
    np.testing.assert_allclose(found[0].toarray(), expected[0], rtol=0, atol=1e-13 * scale)
    np.testing.assert_allclose(found[1].toarray(), expected[1], rtol=0, atol=1e-14)
    assert found[0].nnz < 0.6 * found[0].shape[0] ** 2 or found[0].shape[0] < 100


def test_without_a_matrix_steady_states_are_the_same(monkeypatch):
    model = ISING(hx.Lattice.chain(6, periodic=True), V=2.0, g=1.5)
    ends = []
    for limit in (jacobian._MOST_PRODUCTS, 0):
        monkeypatch.setattr(jacobian, "_MOST_PRODUCTS", limit)
        ends.append(hx.steadystate(model, ansatz=hx.Clusters(size=3), starts=1, progress=False))
    np.testing.assert_allclose(ends[1].bloch, ends[0].bloch, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ends[1].spectrum(8), ends[0].spectrum(8), rtol=0, atol=1e-4)
