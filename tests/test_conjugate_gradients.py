"""Conjugate gradients on the factors of a Gram matrix against dense solutions of the same equations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from husimix import Bloch, Coherent, SymmetryGroup
from husimix.phasespace import kernels
from husimix.phasespace.contacts import contacts_of
from husimix.phasespace.gram import factored_gram, gram_matrix
from husimix.phasespace.layout import Layout
from husimix.phasespace.metric import site_metric
from husimix.physics.basis import site_basis
from husimix.solve import conjugate_gradients as module
from husimix.solve.conjugate_gradients import conjugate_gradients

BASIS = site_basis(2)
G = jnp.asarray(site_metric("husimi", BASIS))


def frame(manifold, n_sites, n_components, spread, seed=0):
    """Components that scatter about one product state, as those of a run do; the last has weight 0."""
    keys = jax.random.split(jax.random.key(seed), 3)
    centre = jax.random.normal(keys[0], (1, n_sites, 3))
    scatter = jax.random.normal(keys[1], (n_components, n_sites, 3))
    coordinates = manifold.restored(0.4 * centre + spread * scatter)
    weights = jax.random.normal(keys[2], (n_components,)).at[-1].set(0.0)
    return kernels.Frame(weights, manifold.vectors(coordinates), manifold.tangents(coordinates))


@jax.jit
def both_forms(mixture, contacts):
    scale = kernels.log_norm(mixture.vectors, G, contacts.sizes)
    return gram_matrix(mixture, mixture, G, contacts, scale), factored_gram(mixture, G, contacts, scale)


@functools.partial(jax.jit, static_argnums=3)
def solve(factors, damping, columns, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MOST_ITERATIONS", most)
        return conjugate_gradients(factors, damping, columns)


GROUPS = {
    "plain": SymmetryGroup.identity(24),
    "mirror": SymmetryGroup.generated(np.arange(24)[::-1][None]),
}


@pytest.mark.parametrize("damping", [1e-6, 1e-9])
@pytest.mark.parametrize(
    ("manifold", "group", "n_components", "spread"),
    [
        (Bloch, "plain", 4, 0.3),
        (Bloch, "plain", 6, 0.03),
        (Coherent, "plain", 4, 0.2),
        (Bloch, "mirror", 4, 0.1),
        (Bloch, "plain", 1, 0.0),
    ],
)
def test_solutions_equal_dense_ones(damping, manifold, group, n_components, spread):
    matrix, factors = both_forms(
        frame(manifold(BASIS), 24, n_components, spread), contacts_of(Layout.of_group(GROUPS[group]))
    )
    mean = float(np.trace(matrix)) / len(matrix)
    trace = np.zeros(len(matrix))
    trace[:: len(matrix) // n_components] = 1.0
    columns = np.stack([matrix @ np.random.default_rng(1).normal(size=len(matrix)), trace], axis=1)
    damped = np.asarray(matrix) + damping * mean * np.eye(len(matrix))
    expected = np.linalg.solve(damped, columns)
    found = solve(factors, damping * mean, columns, 1000)

    def norm(x):
        return np.sqrt(np.einsum("xn,xy,yn->n", x, damped, x))

    assert (norm(found.columns - expected) <= 5e-8 * norm(expected)).all()
    assert found.iterations < 150
    spectrum = np.linalg.eigvalsh(damped)
    assert 0.01 * spectrum[-1] < found.largest <= spectrum[-1] * (1 + 1e-9)
    assert spectrum[0] * (1 - 1e-6) <= found.smallest < 100 * mean


def test_a_column_that_is_solved_at_once_stays_while_others_go_on():
    matrix, factors = both_forms(frame(Bloch(BASIS), 24, 4, 0.3), contacts_of(Layout.of_group(GROUPS["plain"])))
    columns = np.stack([np.zeros(len(matrix)), np.random.default_rng(2).normal(size=len(matrix))], axis=1)
    found = solve(factors, 1e-6, columns, 1000)
    assert (found.columns[:, 0] == 0).all() and np.isfinite(found.columns).all()
    missed = matrix @ found.columns[:, 1] + 1e-6 * found.columns[:, 1] - columns[:, 1]
    assert np.linalg.norm(missed) < 1e-4 * np.linalg.norm(columns[:, 1])


def test_the_iteration_ends_where_it_must():
    _, factors = both_forms(frame(Bloch(BASIS), 24, 4, 0.3), contacts_of(Layout.of_group(GROUPS["plain"])))
    columns = np.random.default_rng(2).normal(size=(len(factors), 2))
    assert solve(factors, 1e-9, columns, 3).iterations == 3
