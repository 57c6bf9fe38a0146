"""The velocity against dense linear algebra, and the metric solvers against their formulas."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dense
from husimix import Bloch, Coherent, Lattice, SpectralCutoff, SymmetryGroup, Tikhonov, models
from husimix.mixture.equations import Equations, Point
from husimix.mixture.layout import Layout, tied
from husimix.mixture.metric import site_metric
from husimix.mixture.metric_solvers import AbstractMetricSolver
from husimix.physics.basis import site_basis
from husimix.physics.products import sum_of_products
from motions import equations_of, random_mixture, scene_of

BASIS = site_basis(2)


def velocity(model, mixture, solver, metric="husimi"):
    return eqx.filter_jit(equations_of(model, mixture, solver, metric).velocity)(
        Point(mixture.weights, mixture.coordinates)
    )


def dense_system(model, mixture, metric="husimi"):
    """Square root of the metric times tangents (columns) and times 𝓛R, from dense renderings only."""
    root = np.sqrt(dense.metric_diagonal(site_metric(metric, BASIS), mixture.n_sites))
    tangents = [dense.averaged_tensor(t, mixture.group, 4) for t in np.asarray(dense.tangent_tensors(mixture))]
    state = dense.mixture_tensor(mixture.weights, mixture.coordinates, mixture.manifold, mixture.group)
    target = dense.dense_generator(model) @ np.asarray(state)
    return (np.array(tangents) * root).T, target * root


def rate_of_tensor(mixture, rates):
    """dR/dt that given rates of the coordinates mean."""

    def rendered(point):
        return dense.mixture_tensor(point.weights, point.coordinates, mixture.manifold, mixture.group)

    return jax.jvp(rendered, (Point(mixture.weights, mixture.coordinates),), (rates,))[1]


@pytest.mark.parametrize("manifold", [Bloch, Coherent])
@pytest.mark.parametrize("symmetric", [True, False])
def test_velocity_is_the_dense_least_squares_projection(manifold, symmetric):
    lattice = Lattice.chain(3, periodic=True)
    model = models.dissipative_ising(lattice, V=3.0, g=2.0)
    group = SymmetryGroup.translations(lattice) if symmetric else SymmetryGroup.identity(3)
    mixture = random_mixture(1, manifold(BASIS), group, 2)
    rates, report = velocity(model, mixture, Tikhonov(1e-13))
    tangents, target = dense_system(model, mixture)
    # The trace row is a constraint, not a residual: eliminate it with the null space of Σ ċ_k.
    is_weight = np.zeros(tangents.shape[1])
    is_weight[:: tangents.shape[1] // 2] = 1
    null = np.linalg.svd(is_weight[None])[2][1:].T
    best = null @ np.linalg.lstsq(tangents @ null, target, rcond=1e-9)[0]
    root = np.sqrt(dense.metric_diagonal(site_metric("husimi", BASIS), 3))
    # Compare what the velocities do to R: parameters themselves are not unique.
    np.testing.assert_allclose(np.asarray(rate_of_tensor(mixture, rates)) * root, tangents @ best, atol=2e-6)
    assert np.abs(tangents @ best).max() > 0.1
    assert float(report.residual) < 1e-6
    assert abs(float(jnp.sum(rates.weights))) < 1e-14


@pytest.mark.parametrize(
    ("manifold", "symmetric", "metric"),
    [
        (Bloch, True, "husimi"),
        (Coherent, False, "hilbert-schmidt"),
        pytest.param(Coherent, True, "husimi", marks=pytest.mark.slow),
        pytest.param(Bloch, True, "hilbert-schmidt", marks=pytest.mark.slow),
    ],
)
def test_the_certificate_is_the_dense_distance_from_the_flow(manifold, symmetric, metric):
    lattice = Lattice.chain(4, periodic=True)
    model = models.dissipative_xyz(lattice)
    group = SymmetryGroup.translations(lattice) if symmetric else SymmetryGroup.identity(4)
    mixture = random_mixture(3, manifold(BASIS), group, 2)
    equations, point = equations_of(model, mixture, Tikhonov(1e-6), metric), Point(*mixture_numbers(mixture))
    rates, report = eqx.filter_jit(equations.velocity)(point)
    found = eqx.filter_jit(equations.certificate)(point, report)
    _, flow = dense_system(model, mixture, metric)
    root = np.sqrt(dense.metric_diagonal(site_metric(metric, BASIS), 4))
    moved = np.asarray(rate_of_tensor(mixture, rates)) * root
    state = np.asarray(dense.mixture_tensor(*point, mixture.manifold, group)) * root
    missed = np.linalg.norm(flow - moved)
    assert missed > 0.05 * np.linalg.norm(flow)
    assert float(found.absolute) == pytest.approx(missed, rel=1e-8)
    assert float(found.relative) == pytest.approx(missed / np.linalg.norm(state), rel=1e-8)
    assert float(found.share) == pytest.approx(missed / np.linalg.norm(flow), rel=1e-8)
    assert float(found.speed) == pytest.approx(np.linalg.norm(moved) / np.linalg.norm(state), rel=1e-6)
    assert float(found.flow) == pytest.approx(np.linalg.norm(flow) / np.linalg.norm(state), rel=1e-8)


def mixture_numbers(mixture):
    return mixture.weights, mixture.coordinates


def test_velocity_is_exact_where_the_tangent_space_holds_the_flow():
    """Sixteen components of two spins span all states, so the projection must reproduce 𝓛R itself."""
    lattice = Lattice.chain(2)
    model = models.dissipative_xyz(lattice)
    mixture = random_mixture(2, Bloch(BASIS), SymmetryGroup.identity(2), 16)
    rates, _ = velocity(model, mixture, Tikhonov(1e-12))
    state = np.asarray(dense.mixture_tensor(mixture.weights, mixture.coordinates, mixture.manifold))
    expected = dense.dense_generator(model) @ state
    np.testing.assert_allclose(rate_of_tensor(mixture, rates), expected, atol=1e-7 * np.abs(expected).max())


def random_gram(rank, size, seed=0):
    tangents = np.random.default_rng(seed).normal(size=(rank, size))
    return tangents.T @ tangents


def test_tikhonov_solves_the_damped_system():
    gram, columns = random_gram(5, 8), np.random.default_rng(1).normal(size=(8, 2))
    solved, report = Tikhonov(1e-4).solve(jnp.asarray(gram), jnp.asarray(columns))
    damping = 1e-4 * np.trace(gram) / 8
    np.testing.assert_allclose(solved, np.linalg.solve(gram + damping * np.eye(8), columns), rtol=1e-9)
    values = np.linalg.eigvalsh(gram + damping * np.eye(8)) * 8 / np.trace(gram)
    # Cholesky pivots lie within the spectrum.
    assert values[0] * (1 - 1e-6) <= report.smallest <= report.largest <= values[-1]
    assert report.damping == 1e-4


def test_spectral_cutoff_inverts_what_is_resolved_and_drops_the_rest():
    size, damping = 6, 1e-3
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(size, size)))[0]
    values = np.array([0.0, 1e-9, 1e-4, 0.5, 1.0, 2.0])
    gram = rotation @ np.diag(values) @ rotation.T
    solved, report = SpectralCutoff(damping).solve(jnp.asarray(gram), jnp.asarray(rotation))
    threshold = damping * values.sum() / size
    expected = np.array([0 if v == 0 else 1 / v / (1 + (threshold / v) ** 6) for v in values])
    np.testing.assert_allclose(rotation.T @ solved, np.diag(expected), atol=1e-6 * expected.max())
    np.testing.assert_allclose([report.smallest, report.largest], values[[0, -1]] * size / values.sum(), atol=1e-12)


@pytest.mark.parametrize("solver", [Tikhonov, SpectralCutoff])
@pytest.mark.parametrize("value", [0.0, -1e-6, float("nan"), float("inf"), "small"])
def test_metric_solvers_refuse_useless_damping(solver, value):
    with pytest.raises(ValueError, match=r"Argument `(damping|cutoff)` must be finite and positive"):
        solver(value)


class Absolute(AbstractMetricSolver):
    """(S + λ)⁻¹ with a λ that does not depend on S."""

    damping: float = 0.05

    def solve(self, gram, columns):
        _, report = Tikhonov().solve(gram, columns)
        return jnp.linalg.solve(gram + self.damping * jnp.eye(len(gram)), columns), report

    def relative_damping(self):
        return self.damping

    def to_dict(self):
        return {"name": "Absolute", "damping": self.damping}


@pytest.mark.parametrize("manifold", [Bloch, Coherent])
def test_damping_counts_every_site_alike_however_sites_are_joined(manifold):
    """Components that a reflection leaves in place move as they do with all sites free, for any damping."""
    model = models.dissipative_ising(Lattice.chain(5), V=3.0, g=2.0)
    plain = Layout.of_group(SymmetryGroup.identity(5))
    joined = tied(plain, np.array([[0, 1, 2, 3, 4], [4, 3, 2, 1, 0]]))
    assert joined.n_free == 3
    coordinates = manifold(BASIS).restored(0.5 * jax.random.normal(jax.random.key(4), (2, 3, 3)))
    rates = {}
    for layout, free in ((plain, coordinates[:, joined.free_sites]), (joined, coordinates)):
        scene = scene_of(sum_of_products(model), layout, site_metric("husimi", BASIS))
        motion = Equations(scene, manifold(BASIS), Absolute())
        point = Point(jnp.array([0.7, 0.3]), free)
        rates[layout.n_free] = eqx.filter_jit(motion.velocity)(point)[0]
    np.testing.assert_allclose(rates[3].weights, rates[5].weights, atol=1e-12)
    np.testing.assert_allclose(rates[3].coordinates[:, joined.free_sites], rates[5].coordinates, atol=1e-12)
