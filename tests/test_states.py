"""States, their observables and density matrices, against dense matrices and QuTiP."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import qutip

import dense
import husimix as hx
from husimix.mixture.metric import site_metric
from husimix.mixture.observables import Measurement
from husimix.physics.basis import site_basis, spin_matrices
from husimix.physics.lindbladian import dense_operator

BASIS = site_basis(2)


def random_state(manifold=hx.Bloch, group=None, n_components=3, n_sites=3, dimension=2, seed=0):
    basis = site_basis(dimension)
    m = manifold(basis)
    k1, k2 = jax.random.split(jax.random.key(seed))
    coordinates = m.restored(0.6 * jax.random.normal(k1, (n_components, n_sites, m.n_coordinates)))
    weights = jax.random.normal(k2, (n_components,))
    group = hx.SymmetryGroup.identity(n_sites) if group is None else group
    return dense.mixture_state(weights / weights.sum(), coordinates, m, group)


def density(state):
    return dense.density_of(averaged_tensor(state), state.basis, state.n_sites)


def averaged_tensor(state):
    products = [
        c * dense.product_tensor(v) for c, v in zip(*map(np.asarray, (state.weights, state.vectors)), strict=True)
    ]
    return dense.averaged_tensor(sum(products), state.group, state.basis.size)


RING = hx.SymmetryGroup.translations(hx.Lattice.chain(3, periodic=True))
# Rotations by 2π/3 that permute the axes, so that the map of an element is not that of its inverse.
AXES = sum(np.array(spin_matrices(2))) / np.sqrt(3)
CYCLE = dense.local_map(qutip.Qobj(-2j * np.pi / 3 * AXES).expm().full(), BASIS)
QUARTER = dense.local_map(qutip.Qobj(-0.5j * np.pi * np.array(spin_matrices(3))[1]).expm().full(), site_basis(3))
LOCAL_GROUPS = {
    "global-flips": hx.SymmetryGroup.generated([hx.Transformation(rotation=x, n_sites=3) for x in "xz"]),
    "moved-flips": hx.SymmetryGroup.generated([hx.Transformation([1, 2, 0], "x1z")]),
    "turned-axes": hx.SymmetryGroup.generated(
        [hx.Transformation([1, 2, 0]), hx.Transformation([1, 0, 2], np.stack([CYCLE, np.eye(4), CYCLE.T]))]
    ),
    "spin-1-turns": hx.SymmetryGroup.generated([hx.Transformation([1, 0], np.stack([QUARTER, np.eye(9)]))]),
}
STATES = [
    pytest.param(random_state(), id="bloch"),
    pytest.param(random_state(hx.Coherent), id="coherent"),
    pytest.param(random_state(group=RING, seed=4), id="translations"),
    pytest.param(random_state(dimension=3, n_sites=2), id="spin-1"),
    pytest.param(random_state(group=LOCAL_GROUPS["global-flips"], seed=5), id="global-flips"),
    pytest.param(random_state(hx.Coherent, group=LOCAL_GROUPS["moved-flips"], seed=6), id="moved-flips"),
    pytest.param(random_state(group=LOCAL_GROUPS["turned-axes"], seed=7), id="turned-axes"),
    pytest.param(random_state(group=LOCAL_GROUPS["spin-1-turns"], dimension=3, n_sites=2, seed=8), id="spin-1-turns"),
]


@pytest.mark.parametrize("state", STATES)
class TestAgainstDense:
    def test_to_dense(self, state):
        np.testing.assert_allclose(state.to_dense(), density(state), atol=1e-13)
        assert np.trace(state.to_dense()).real == pytest.approx(state.trace()) == pytest.approx(1.0)

    def test_expect(self, state):
        rng = np.random.default_rng(5)
        d, n = state.basis.dimension, state.n_sites
        a, b = (rng.normal(size=(d, d)) + 1j * rng.normal(size=(d, d)) for _ in range(2))
        operator = hx.Operator.local(a, 0) * hx.Operator.local(b, n - 1) + 0.3 * hx.Operator.local(b, 1) + 2.0
        expected = np.trace(density(state) @ dense_operator(operator, n))
        assert state.expect(operator) == pytest.approx(expected, rel=1e-12)
        hermitian = operator + operator.dag()
        value = state.expect(hermitian)
        assert isinstance(value, float) and value == pytest.approx(2 * expected.real, rel=1e-12)

    def test_bloch(self, state):
        rho, bloch = density(state), state.bloch()
        for i, a in itertools.product(range(state.n_sites), (1, 2, 3)):
            one_site = hx.Operator({((i, a),): 1.0}, state.basis)
            expected = np.trace(rho @ dense_operator(one_site, state.n_sites)).real
            assert bloch[i, a - 1] == pytest.approx(expected, abs=1e-13)

    def test_correlation(self, state):
        n, rho = state.n_sites, density(state)
        for first, second in ("zz", "xy", "yx"):
            left, right = ("xyz".index(x) + 1 for x in (first, second))
            expected, means = np.zeros((n, n)), np.zeros((2, n))
            for i, j in itertools.product(range(n), repeat=2):
                a = dense_operator(hx.Operator({((i, left),): 1.0}, state.basis), n)
                b = dense_operator(hx.Operator({((j, right),): 1.0}, state.basis), n)
                expected[i, j] = np.trace(rho @ (a @ b + b @ a)).real / 2
                means[0, i], means[1, j] = (np.trace(rho @ o).real for o in (a, b))
            np.testing.assert_allclose(state.correlation(first, second), expected, atol=1e-13)
            np.testing.assert_allclose(
                state.correlation(first, second, connected=True), expected - np.outer(*means), atol=1e-13
            )

    def test_purity_and_renyi2(self, state):
        rho = density(state)
        assert state.purity() == pytest.approx(np.trace(rho @ rho).real, rel=1e-12)
        d, n = state.basis.dimension, state.n_sites
        for sites in ([0], [1, 0], list(range(n))):
            reduced = qutip.Qobj(rho, dims=[[d] * n] * 2).ptrace(sites).full()
            expected = -np.log(np.trace(reduced @ reduced).real)
            assert state.renyi2(sites) == pytest.approx(expected, rel=1e-10)

    def test_reduced(self, state):
        d, n = state.basis.dimension, state.n_sites
        rho = qutip.Qobj(density(state), dims=[[d] * n] * 2)
        np.testing.assert_allclose(state.reduced([0, 1]), rho.ptrace([0, 1]).full(), atol=1e-13)
        np.testing.assert_allclose(state.reduced(1), rho.ptrace(1).full(), atol=1e-13)
        swapped = rho.ptrace([0, 1]).permute([1, 0]).full()
        np.testing.assert_allclose(state.reduced([1, 0]), swapped, atol=1e-13)

    def test_expanded_writes_the_group_out(self, state):
        expanded = state.expanded()
        assert expanded.n_components == state.n_components * state.group.order
        assert expanded.group.order == 1
        np.testing.assert_allclose(expanded.to_dense(), density(state), atol=1e-13)

    def test_arrays_and_back(self, state):
        again = type(state).from_arrays(state.to_arrays(), state.to_dict())
        assert type(again.manifold) is type(state.manifold) and again.basis is state.basis
        np.testing.assert_allclose(density(again), density(state), atol=1e-15)
        for name in ("permutations", "sources", "labels", "maps", "generators"):
            np.testing.assert_array_equal(getattr(again.group, name), getattr(state.group, name))

    def test_images_are_the_average_written_out(self, state):
        weights, vectors = state.as_products()
        written = sum(c * dense.product_tensor(v) for c, v in zip(weights, vectors, strict=True))
        np.testing.assert_allclose(written, averaged_tensor(state), atol=1e-13)

    def test_every_operation_of_the_group_leaves_the_state_in_place(self, state):
        tensor = averaged_tensor(state)
        for g in range(state.group.order):
            operation = state.group.element(g)
            maps = operation.rotations
            maps = np.stack([np.eye(state.basis.size)] * state.n_sites) if maps is None else maps
            np.testing.assert_allclose(dense.operation_matrix(operation.permutation, maps) @ tensor, tensor, atol=1e-13)


GROUPS = [pytest.param(RING, id="translations")] + [
    pytest.param(group, id=name) for name, group in LOCAL_GROUPS.items() if group.n_sites == 3
]


@pytest.mark.parametrize("group", GROUPS)
def test_measurements_of_operators_with_and_without_the_symmetry_of_the_state(group):
    """A symmetric operator needs no average over the group; any other one does."""
    state = random_state(group=group, seed=9)
    rho = density(state)
    one_site = hx.sigmax(0) - 0.4 * hx.sigmay(1) + 0.7 * hx.pauli("zx", 0, 2) + hx.sigmap(2)
    symmetric = hx.operator_sum([one_site.transformed(group.element(g)) for g in range(group.order)])
    # Symmetric under permutations, but not under the local maps.
    uniform = hx.operator_sum([hx.sigmaz(i) + 2.0 * hx.sigmax(i) for i in range(3)])
    for operator in (one_site, symmetric, uniform, symmetric + 0.1 * one_site):
        expected = np.trace(rho @ dense_operator(operator, 3))
        assert complex(Measurement(operator, group).value(state.components)) == pytest.approx(
            expected, rel=1e-10, abs=1e-13
        )
        assert state.expect(operator) == pytest.approx(expected, rel=1e-10, abs=1e-13)
    other = hx.sigmax(0) + hx.sigmay(1)
    alone = dense.mixture_state(state.weights, state.coordinates, state.manifold, hx.SymmetryGroup.identity(3))
    assert alone.expect(symmetric) == pytest.approx(state.expect(symmetric), rel=1e-10, abs=1e-13)
    assert abs(alone.expect(other) - state.expect(other)) > 1e-3


def test_husimi_function_of_a_site_is_averaged_over_rotations():
    state = random_state(group=LOCAL_GROUPS["turned-axes"], seed=7)
    theta, phi = np.linspace(0, np.pi, 3), np.array([0.1, 1.0, 2.0])
    rho = qutip.Qobj(density(state), dims=[[2] * 3] * 2).ptrace(1)
    for t, p, q in zip(theta, phi, state.husimi(1, theta, phi), strict=True):
        ket = qutip.spin_coherent(0.5, t, p)
        assert q == pytest.approx((ket.dag() @ rho @ ket).real, abs=1e-12)


@pytest.mark.parametrize("dimension", [2, 3])
def test_husimi_function_of_a_site(dimension):
    state = random_state(dimension=dimension, n_sites=2)
    theta, phi = np.linspace(0, np.pi, 7)[:, None], np.linspace(0, 2 * np.pi, 9)[None]
    q = state.husimi(1, theta, phi)
    rho = qutip.Qobj(state.reduced(1))
    spin = (dimension - 1) / 2
    for i, t in enumerate(theta[:, 0]):
        for j, p in enumerate(phi[0]):
            ket = qutip.spin_coherent(spin, t, p)
            assert q[i, j] == pytest.approx((ket.dag() @ rho @ ket).real, abs=1e-12)


def test_husimi_agrees_with_qutips_normalisation_and_integrates_to_one():
    state = random_state()
    theta, phi = np.linspace(0, np.pi, 201), np.linspace(0, 2 * np.pi, 40, endpoint=False)
    q = state.husimi(0, theta[:, None], phi[None])
    theirs, _, _ = qutip.spin_q_function(qutip.Qobj(state.reduced(0)), theta, phi)
    np.testing.assert_allclose(q, np.asarray(theirs).T, atol=1e-10)
    integral = np.trapezoid(q.mean(axis=1) * np.sin(theta), theta) * 2 * np.pi * 2 / (4 * np.pi)
    assert integral == pytest.approx(1.0, abs=1e-4)


def test_husimi_metric_is_the_overlap_of_husimi_functions():
    """g from the formula against ∫ Q Q' dΩ by quadrature over the sphere, spins ½, 1 and 3/2."""
    nodes, weights = np.polynomial.legendre.leggauss(12)
    phi = np.arange(24) * 2 * np.pi / 24
    for dimension in (2, 3, 4):
        basis = site_basis(dimension)
        sines = np.sqrt(1 - nodes**2)[:, None]
        directions = np.stack(
            [sines * np.cos(phi), sines * np.sin(phi), np.broadcast_to(nodes[:, None], (12, 24))], axis=-1
        )
        q = np.asarray(hx.Coherent(basis).vectors(jnp.asarray(directions))) / dimension
        overlap = np.einsum("i,ija,ijb->ab", weights / 48, q, q)
        np.testing.assert_allclose(overlap / overlap[0, 0], np.diag(site_metric("husimi", basis)), atol=1e-13)


@pytest.mark.parametrize("dimension", [2, 3, 4])
def test_coherent_vectors_and_tangents_everywhere_on_the_sphere(dimension):
    basis = site_basis(dimension)
    manifold = hx.Coherent(basis)
    rng = np.random.default_rng(6)
    points = np.concatenate([rng.normal(size=(20, 3)), np.eye(3), -np.eye(3), [[1e-9, 0, -1.0], [0, 1e-9, 1.0]]])
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    vectors = np.asarray(manifold.vectors(jnp.asarray(points)))
    for n, v in zip(points, vectors, strict=True):
        ket = qutip.spin_coherent((dimension - 1) / 2, np.arccos(n[2]), np.arctan2(n[1], n[0])).full()
        expected = np.einsum("i,aij,j->a", ket[:, 0].conj(), basis.matrices, ket[:, 0]).real
        np.testing.assert_allclose(v, expected, atol=1e-7)
    step = 1e-6
    for n, tangents in zip(points, np.asarray(manifold.tangents(jnp.asarray(points))), strict=True):
        moves = np.stack([np.asarray(manifold.displacement(jnp.asarray(n), jnp.eye(2)[a])) for a in range(2)])
        np.testing.assert_allclose(moves @ moves.T, np.eye(2), atol=1e-12)
        np.testing.assert_allclose(moves @ n, 0, atol=1e-12)
        for a in range(2):
            ahead, behind = (np.asarray(manifold.vectors(jnp.asarray(n + s * step * moves[a]))) for s in (1, -1))
            np.testing.assert_allclose(tangents[:, a], (ahead - behind) / (2 * step), atol=1e-8)


def test_named_product_states():
    for name, vector in {"up": (0, 0, 1), "down": (0, 0, -1), "+x": (1, 0, 0), "-y": (0, -1, 0)}.items():
        np.testing.assert_allclose(hx.product_state(2, name).bloch(), [vector] * 2)
    up = hx.product_state(2, "up").to_dense()
    np.testing.assert_allclose(up, np.diag([1.0, 0, 0, 0]), atol=1e-15)
    assert hx.product_state(3, "mixed").purity() == pytest.approx(1 / 8)
    each = np.array([[0.1, 0.2, 0.3], [0, 0, 0.5]])
    np.testing.assert_allclose(hx.product_state(2, each).bloch(), each)


def test_manifolds_hold_the_states_that_they_can():
    pure = hx.product_state(3, "+y")
    np.testing.assert_allclose(pure.on_manifold("coherent").to_dense(), pure.to_dense(), atol=1e-14)
    with pytest.raises(ValueError, match=r"`manifold` must be able to hold the initial state.*Use manifold=\"bloch\""):
        hx.product_state(3, [0, 0, 0.5]).on_manifold("coherent")


@pytest.mark.parametrize(
    ("spins", "message"),
    [
        ("upp", r"`spins` must be one of .* got 'upp'. Did you mean `up`\?"),
        ([0, 1], r"`spins` must have shape \(3,\) or \(4, 3\), but got shape \(2,\)"),
        (np.zeros((3, 3)), r"shape \(3,\) or \(4, 3\), but got shape \(3, 3\)"),
        ([0, 0, 1.1], r"`spins` must have length at most 1, but got length 1.1 on site 0"),
        ([0, np.nan, 0], r"`spins` must be finite"),
        ([0, 1j, 0], r"`spins` must be a name, names by site, or real Bloch vectors"),
    ],
)
def test_product_state_refuses(spins, message):
    with pytest.raises(ValueError, match=message):
        hx.product_state(4, spins)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.expect(hx.sigmaz(3)), r"`operator` must act on sites 0 to 2, but got site 3"),
        (lambda s: s.expect("z"), r"`operator` must be an operator"),
        (lambda s: s.expect(hx.Operator.local(np.eye(3), 0)), r"must act on sites of dimension 2"),
        (lambda s: s.correlation("z", "w"), r"`second` must be one of x, y, z"),
        (lambda s: s.reduced([0, 0]), r"`sites` must be different sites from 0 to 2"),
        (lambda s: s.reduced([3]), r"`sites` must be different sites from 0 to 2"),
        (lambda s: s.reduced([]), r"`sites` must be different sites"),
        (lambda s: s.renyi2([-1]), r"`sites` must be an integer of at least 0"),
        (lambda s: s.husimi(0, np.zeros(2), np.zeros(3)), r"`theta` must broadcast against phi"),
        (lambda s: s.on_manifold("blob"), r"`manifold` must be one of bloch, coherent.*Did you mean `bloch`"),
    ],
)
def test_states_refuse(call, message):
    with pytest.raises(ValueError, match=message):
        call(random_state())


def test_dense_states_are_refused_beyond_twelve_sites():
    with pytest.raises(ValueError, match=r"`sites` must give a matrix of at most 4096 rows, but got 8192 rows"):
        hx.product_state(13, "up").to_dense()


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("husimii", r"Did you mean `husimi`"),
        (0.0, r"finite and positive"),
        ([0.3, 0.2], r"hold 1 weights, one for each rank"),
        (float("nan"), r"finite and positive"),
        (None, r"`metric` must be one of auto, husimi, hilbert-schmidt"),
    ],
)
def test_metric_refuses(metric, message):
    with pytest.raises(ValueError, match=message):
        site_metric(metric, BASIS)


def test_metric_weights_by_rank():
    np.testing.assert_allclose(site_metric(0.2, BASIS), [1, 0.2, 0.2, 0.2])
    np.testing.assert_allclose(site_metric([0.5, 0.1], site_basis(3)), [1] + [0.5] * 3 + [0.1] * 5)
    np.testing.assert_allclose(site_metric("hilbert-schmidt", BASIS), np.ones(4))
    np.testing.assert_array_equal(site_metric("auto", BASIS, 24), site_metric("husimi", BASIS))
    np.testing.assert_allclose(site_metric("auto", BASIS, 64), [1, 0.125, 0.125, 0.125])
    spin_one = site_metric("husimi", site_basis(3))
    np.testing.assert_allclose(site_metric("auto", site_basis(3), 48)[1:], spin_one[1:] / 2)


def test_large_states_are_measured_without_overflow():
    state = hx.product_state(4000, [0.0, 0.6, 0.0])
    assert state.renyi2(range(4000)) == pytest.approx(-4000 * np.log((1 + 0.36) / 2))
    assert hx.product_state(4000, "+y").purity() == pytest.approx(1.0)
    assert state.correlation("y", "y").shape == (4000, 4000)
