"""Compression against dense renderings of both mixtures."""

import jax.numpy as jnp
import numpy as np
import pytest

import dense
import husimix as hx
from husimix import Bloch, Coherent, Lattice, SymmetryGroup, Tikhonov, models
from husimix.ansatz import Problem
from husimix.mixture import arrangement
from husimix.mixture.compression import compressed
from husimix.mixture.equations import Point
from husimix.mixture.metric import site_metric
from husimix.physics.basis import site_basis
from motions import equations_of, random_mixture

BASIS = site_basis(2)
CHAIN = Lattice.chain(4, periodic=True)
MODEL = models.dissipative_ising(CHAIN)


def tensor(point, mixture):
    return np.asarray(dense.mixture_tensor(point.weights, point.coordinates, mixture.manifold, mixture.group))


# All with as many components, so that each kind is compiled once.
@pytest.mark.parametrize(
    ("manifold", "metric", "symmetric"),
    [
        (Bloch, "husimi", True),
        (Bloch, "hilbert-schmidt", False),
        (Coherent, "husimi", False),
        (Coherent, "hilbert-schmidt", True),
    ],
)
def test_the_distance_is_the_dense_one_and_the_trace_is_kept(manifold, metric, symmetric):
    group = SymmetryGroup.translations(CHAIN) if symmetric else SymmetryGroup.identity(4)
    mixture = random_mixture(3, manifold(BASIS), group, 5)
    target = Point(mixture.weights, mixture.coordinates)
    fit = compressed(equations_of(MODEL, mixture, Tikhonov(1e-6), metric), target, 2)
    root = np.sqrt(dense.metric_diagonal(site_metric(metric, BASIS), 4))
    missed, norm = (
        np.linalg.norm(root * x)
        for x in (tensor(fit.point, mixture) - tensor(target, mixture), tensor(target, mixture))
    )
    assert fit.point.weights.shape == (2,)
    np.testing.assert_allclose(fit.absolute, missed, rtol=1e-7)
    np.testing.assert_allclose(fit.distance, missed / norm, rtol=1e-7)
    np.testing.assert_allclose(np.sum(fit.point.weights), np.sum(target.weights), atol=1e-10)


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_fit_is_stationary_under_moves_that_keep_the_trace(symmetric):
    group = SymmetryGroup.translations(CHAIN) if symmetric else SymmetryGroup.identity(4)
    mixture = random_mixture(1, Bloch(BASIS), group, 5)
    target = Point(mixture.weights, mixture.coordinates)
    fit = compressed(equations_of(MODEL, mixture, Tikhonov(1e-6)), target, 2)
    root = np.sqrt(dense.metric_diagonal(site_metric("husimi", BASIS), 4))
    fitted = dense.mixture_state(*fit.point, mixture.manifold, group)
    tangents = np.array([dense.averaged_tensor(t, group, 4) for t in np.asarray(dense.tangent_tensors(fitted))]) * root
    slopes = tangents @ (root * (tensor(target, mixture) - tensor(fit.point, mixture)))
    # Along the weights the slopes are equal, the multiplier of the trace; along the vectors they vanish.
    by_weight, by_site = slopes[:: len(slopes) // 2], slopes.reshape(2, -1)[:, 1:]
    assert fit.distance > 1e-3
    scale = np.linalg.norm(tangents, axis=1).max() * fit.absolute
    # The fit ends where steps shorten the distance² by less than 1e-3 of itself, the square of these slopes.
    assert np.ptp(by_weight) < 3e-2 * scale
    assert np.abs(by_site).max() < 3e-2 * scale


def test_what_fewer_components_can_hold_is_kept():
    mixture = random_mixture(5, Bloch(BASIS), SymmetryGroup.identity(4), 2)
    # Five components, of which two differ.
    repeated = np.asarray(mixture.coordinates)[[0, 1, 0, 1, 0]]
    weights = np.asarray(mixture.weights)[[0, 1, 0, 1, 0]] * [0.3, 0.6, 0.5, 0.4, 0.2]
    target = Point(jnp.asarray(weights), jnp.asarray(repeated))
    fit = compressed(equations_of(MODEL, mixture, Tikhonov(1e-6)), target, 2)
    assert fit.distance < 1e-6


@pytest.mark.parametrize("manifold", ["bloch", "coherent"])
def test_layouts_of_runs_are_fitted_as_their_states_written_out(manifold, monkeypatch):
    """Joined sites: the distance is that of the states themselves."""
    monkeypatch.setattr(arrangement, "_TYING_PAYS", 6)
    lattice = Lattice.chain(6, periodic=True)
    model, mixture = models.dissipative_ising(lattice, V=3.0, g=2.0), hx.Mixture(components=6, manifold=manifold)
    run = hx.mesolve(model, hx.product_state(6), [0.0, 0.7], ansatz=mixture, progress=False)
    prepared = mixture.prepare(Problem(model, run.final_state, "auto", {}, 0, 1.0))
    motion, start = prepared.motion, prepared.point
    assert start.coordinates.shape[1] == 4
    fit = compressed(motion.equations, start, 3)
    root = np.sqrt(dense.metric_diagonal(site_metric("husimi", BASIS), 6))

    def rendered(point):
        state = motion.state(point, run.final_state.history)
        tensor = dense.mixture_tensor(state.weights, state.coordinates, state.manifold, state.group)
        return root * np.asarray(tensor)

    target = rendered(start)
    expected = np.linalg.norm(rendered(fit.point) - target) / np.linalg.norm(target)
    np.testing.assert_allclose(fit.distance, expected, rtol=1e-4)
    assert expected < 0.2
