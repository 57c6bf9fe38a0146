"""The pair kernels against their dense renderings, entry by entry."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dense
from husimix import Dissipator, Lattice, Lindbladian, Operator, SymmetryGroup, models, operator_sum
from husimix.phasespace import kernels, pair
from husimix.phasespace.manifolds import Bloch, Coherent
from husimix.phasespace.metric import site_metric
from husimix.phasespace.mixture import Mixture
from husimix.physics.basis import site_basis
from husimix.physics.products import sum_of_products


def random_matrix(rng, d):
    return rng.normal(size=(d, d)) + 1j * rng.normal(size=(d, d))


def translation_invariant_model(lattice, d, seed):
    """Random one-, two- and three-site terms and jumps, repeated at every site of a periodic chain."""
    rng = np.random.default_rng(seed)
    n = lattice.n_sites
    fields, left, right, third, jump, partner = (random_matrix(rng, d) for _ in range(6))
    terms, channels = [], []
    for i in range(n):
        j, k = (i + 1) % n, (i + 2) % n
        chain = Operator.local(left, i) * Operator.local(right, j)
        if n > 2:
            chain = chain + Operator.local(left, i) * Operator.local(right, j) * Operator.local(third, k)
        a = Operator.local(fields, i) + chain
        terms.append(a + a.dag())
        channels.append(Dissipator(Operator.local(jump, i) + 0.3 * Operator.local(partner, j), 0.7))
    return Lindbladian(operator_sum(terms), channels, lattice=lattice)


def random_mixture(key, manifold, group, n_components):
    k1, k2 = jax.random.split(key)
    n_sites = group.n_sites
    coordinates = manifold.restored(jax.random.normal(k1, (n_components, n_sites, manifold.n_coordinates)))
    return Mixture(jax.random.normal(k2, (n_components,)), coordinates, manifold, group)


def frame(mixture):
    tangents = mixture.manifold.tangents(mixture.coordinates)
    return kernels.Frame(mixture.weights, mixture.vectors, tangents)


def assert_entries(actual, expected):
    """Agreement to 1e-10 of the largest entry, entry by entry."""
    expected = np.asarray(expected)
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


CASES = [
    pytest.param(d, manifold, symmetric, metric, id=f"D{d * d}-{manifold.__name__}-{symmetric}-{metric}")
    for d in (2, 3)
    for manifold in (Bloch, Coherent)
    for symmetric in ("group", "no-group")
    for metric in ("husimi", "hilbert-schmidt")
]


class Dense:
    """One case with its library objects and its dense truth, bra ≠ ket."""

    def __init__(self, d, manifold, symmetric, metric):
        lattice = Lattice.chain(3 if d == 2 else 2, periodic=True)
        n = lattice.n_sites
        basis = site_basis(d)
        self.group = SymmetryGroup.translations(lattice) if symmetric == "group" else SymmetryGroup.identity(n)
        keys = jax.random.split(jax.random.key(d))
        self.bra = random_mixture(keys[0], manifold(basis), self.group, 2)
        self.ket = random_mixture(keys[1], manifold(basis), self.group, 3)
        self.model = translation_invariant_model(lattice, d, seed=d)
        self.generator = sum_of_products(self.model)
        self.g = jnp.asarray(site_metric(metric, basis))
        self.log_scale = jnp.asarray(0.7)
        self.metric = dense.metric_diagonal(np.asarray(self.g), n) * np.exp(-0.7)
        self.bra_products = [dense.product_tensor(v) for v in np.asarray(self.bra.vectors)]
        self.ket_images = [self.averaged(dense.product_tensor(v)) for v in np.asarray(self.ket.vectors)]

    def averaged(self, tensor):
        return dense.averaged_tensor(tensor, self.group, self.g.shape[0])


@pytest.fixture(scope="module")
def cases():
    return {}


def get(cases, *key):
    if key not in cases:
        cases[key] = Dense(*key)
    return cases[key]


@functools.partial(jax.jit, static_argnums=6)
def all_kernels(bra, ket, g, group, generator, log_scale, limit=1 << 30):
    return {
        "overlaps": kernels.overlaps(bra.vectors, ket.vectors, g, group, log_scale, limit),
        "transfers": kernels.transfers(bra.vectors, ket.vectors, g, group, generator, log_scale, limit),
        "force": kernels.force(bra, ket, g, group, generator, log_scale, limit),
        "gram": kernels.gram_matrix(bra, ket, g, group, log_scale, limit),
        "together": kernels.gram_and_force(ket, g, group, generator, log_scale, limit),
    }


@pytest.mark.parametrize(("d", "manifold", "symmetric", "metric"), CASES)
def test_kernels_equal_their_dense_renderings(cases, d, manifold, symmetric, metric):
    c = get(cases, d, manifold, symmetric, metric)
    actual = all_kernels(frame(c.bra), frame(c.ket), c.g, c.group, c.generator, c.log_scale)
    generator = dense.dense_generator(c.model)
    bra_tangents = np.asarray(dense.tangent_tensors(c.bra))
    ket_tangents = np.asarray(dense.tangent_tensors(c.ket))
    averaged = np.stack([c.averaged(t) for t in ket_tangents])
    ket = np.asarray(c.ket.weights) @ np.array(c.ket_images)
    images = np.array(c.ket_images).T
    assert_entries(actual["overlaps"], np.array(c.bra_products) @ (c.metric[:, None] * images))
    assert_entries(actual["transfers"], np.array(c.bra_products) @ (c.metric[:, None] * (generator @ images)))
    assert_entries(actual["force"], bra_tangents @ (c.metric * (generator @ ket)))
    assert_entries(actual["gram"], bra_tangents @ (c.metric[:, None] * averaged.T))
    gram, force = actual["together"]
    assert_entries(gram, ket_tangents @ (c.metric[:, None] * averaged.T))
    assert_entries(force, ket_tangents @ (c.metric * (generator @ ket)))
    np.testing.assert_allclose(gram, gram.T, atol=1e-12 * np.abs(gram).max())


@pytest.mark.parametrize("limit", [1, 40_000])
def test_chunks_change_nothing(cases, limit):
    """A limit that allows one image at a time, and one that cuts the group of three into two uneven chunks."""
    c = get(cases, 2, Bloch, "group", "husimi")
    arguments = frame(c.bra), frame(c.ket), c.g, c.group, c.generator, c.log_scale
    whole, chunked = all_kernels(*arguments), all_kernels(*arguments, limit)
    jax.tree.map(assert_entries, chunked, whole)


def test_full_permutation_group_of_a_tensor_average():
    """A group whose elements fix some sites and move others, larger than the number of sites."""
    basis = site_basis(2)
    group = SymmetryGroup.generated(np.array([[1, 0, 2], [0, 2, 1]]))
    assert group.order == 6
    bra, ket = (random_mixture(jax.random.key(s), Bloch(basis), group, 2) for s in (1, 2))
    g = jnp.asarray(site_metric("husimi", basis))
    averaged = np.stack([dense.averaged_tensor(t, group, 4) for t in np.asarray(dense.tangent_tensors(ket))])
    metric = dense.metric_diagonal(np.asarray(g), 3)
    expected = np.asarray(dense.tangent_tensors(bra)) @ (metric[:, None] * averaged.T)
    actual = jax.jit(kernels.gram_matrix)(frame(bra), frame(ket), g, group, jnp.zeros(()))
    assert_entries(actual, expected)


def test_thousands_of_sites_neither_overflow_nor_underflow():
    """Overlap, transfer and force of 4096 sites against sums of logarithms in extended precision."""
    lattice = Lattice.square(64, 64)
    generator = sum_of_products(models.dissipative_ising(lattice, V=5.0, g=5.0))
    basis = site_basis(2)
    manifold = Bloch(basis)
    group = SymmetryGroup.identity(4096)
    directions = np.random.default_rng(3).normal(size=(2, 4096, 3))
    coordinates = jnp.asarray(0.9 * directions / np.linalg.norm(directions, axis=-1, keepdims=True))
    mixture = Mixture(jnp.array([0.6, 0.4]), coordinates, manifold, group)
    for metric in ("husimi", "hilbert-schmidt"):
        g = jnp.asarray(site_metric(metric, basis))
        scale = kernels.log_norm(mixture.vectors, g)
        assert scale > 400  # far beyond what exp could hold twice
        actual = kernels.overlaps(mixture.vectors, mixture.vectors, g, group, scale)
        v = np.asarray(mixture.vectors, dtype=np.longdouble)
        sites = np.einsum("kia,a,lia->kli", v, np.asarray(g, dtype=np.longdouble), v)
        exponent = np.log(np.abs(sites)).sum(axis=-1) - np.longdouble(float(scale))
        expected = np.prod(np.sign(sites), axis=-1) * np.exp(exponent)
        np.testing.assert_allclose(actual, expected.astype(float), rtol=1e-9)
        assert np.max(actual) == pytest.approx(1.0)
        force = kernels.force(frame(mixture), frame(mixture), g, group, generator, scale)
        assert np.isfinite(force).all()
        # One component alone moves by its mean field, whatever the size of the product.
        alone = Mixture(jnp.ones(1), coordinates[:1], manifold, group)
        one = kernels.force(frame(alone), frame(alone), g, group, generator, kernels.log_norm(alone.vectors, g))
        assert np.isfinite(one).all() and np.abs(one).max() > 1e-3


def test_antipodal_spins_in_the_hilbert_schmidt_metric():
    """Site overlaps that vanish exactly must give the same limit as the dense rendering, not nan."""
    basis = site_basis(2)
    g = jnp.asarray(site_metric("hilbert-schmidt", basis))
    manifold = Coherent(basis)
    lattice = Lattice.chain(2)
    model = translation_invariant_model(Lattice.chain(2, periodic=True), 2, seed=5)
    up, x = jnp.array([0.0, 0.0, 1.0]), jnp.array([1.0, 0.0, 0.0])
    bra = manifold.vectors(jnp.stack([up, x]))
    ket = manifold.vectors(jnp.stack([-up, x]))
    assert float(pair.overlap(pair.site_overlaps(bra, ket, g), jnp.zeros(()))) == pytest.approx(0.0, abs=1e-7)
    transfer = pair.transfer(bra, ket, g, sum_of_products(model), jnp.zeros(()))
    metric = dense.metric_diagonal(g, lattice.n_sites)
    expected = dense.product_tensor(bra) @ (metric * (dense.dense_generator(model) @ dense.product_tensor(ket)))
    assert abs(expected) > 1e-2
    np.testing.assert_allclose(transfer, expected, rtol=1e-6)
