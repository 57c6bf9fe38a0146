"""The equations of clusters against dense linear algebra: rates, what is dropped, whole runs, what is conserved."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import husimix as hx
from cluster_truth import (
    DenseClusters,
    certificate,
    correlated_mixture,
    evolved,
    exactly_evolved,
    family,
    prepared,
    random_model,
    random_point,
    random_start,
    state_after,
    tensor,
    velocity,
)
from husimix import Clusters, Lattice, Lindbladian, models, operator_sum, pauli, sigmam, sigmax, sigmaz
from husimix.state import History
from systems import ising_mean_field

# Sites, local dimension, size of clusters.
SHAPES = [(3, 2, 3), (4, 2, 1), (4, 2, 2), (4, 2, 3), (2, 3, 2)]


def kept_supports(motion):
    return {tuple(row) for rows in motion.layout.family.by_size.values() for row in rows.tolist()}


def check_against_dense(model, ansatz, size, seed, edge_damping=0.0, **more):
    """Rates of kept moments and the norm of dropped ones at a random point, without symmetry."""
    motion, point = prepared(model, random_start(seed, model), ansatz)[:2]
    supports = family(model, size, **more)
    assert kept_supports(motion) == supports
    point = random_point(np.random.default_rng(seed), point)
    dense = DenseClusters(model, supports, edge_damping, max(1, size - 2))
    drift, kept, dropped = dense.split(dense.kept_tensor(motion.state(point, History())))
    rates = velocity(motion, point)
    scale = np.abs(kept).max() + np.abs(drift).max()
    np.testing.assert_allclose(rates.background, drift, rtol=0, atol=1e-13 * scale)
    cube = kept.reshape((dense.size,) * dense.n)
    for rows, values in zip(motion.layout.family.by_size.values(), rates.moments.values(), strict=True):
        for row, value in zip(rows, np.asarray(values), strict=True):
            at = tuple(slice(1, None) if i in row else 0 for i in range(dense.n))
            np.testing.assert_allclose(value, cube[at].reshape(-1), rtol=0, atol=1e-13 * scale)
    found = certificate(motion, point)
    weights = dense.weights
    moments = np.where(dense.kept, dense.moments_of(motion.state(point, History())), 0.0)
    norm = np.sqrt(1 + weights @ moments**2)
    missed = np.sqrt(weights @ dropped**2)
    speed = np.sqrt(weights @ kept**2 + dense.drift_square(drift))
    flow = np.sqrt(weights @ (kept + dropped) ** 2 + dense.drift_square(drift))
    np.testing.assert_allclose(found.absolute, missed, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(found.relative, missed / norm, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(found.share, missed / flow, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(found.speed, speed / norm, rtol=1e-10)
    np.testing.assert_allclose(found.flow, flow / norm, rtol=1e-10)


@pytest.mark.slow
@settings(max_examples=12)
@given(st.integers(0, 10_000), st.sampled_from(SHAPES))
def test_kept_rows_and_dropped_rows_are_those_of_the_dense_generator(seed, shape):
    n_sites, dimension, size = shape
    check_against_dense(random_model(seed, n_sites, dimension), Clusters(size=size), size, seed)


def test_rows_of_three_body_terms_and_collective_jumps():
    check_against_dense(random_model(1), Clusters(size=2), 2, 1)


@pytest.mark.slow
def test_rows_of_higher_spins():
    check_against_dense(random_model(5, 3, 3), Clusters(size=2), 2, 5)


def test_rows_of_extra_supports():
    model = models.dissipative_ising(Lattice.chain(5))
    check_against_dense(model, Clusters(size=2, extra=[(0, 2, 4)]), 2, 2, extra=[(0, 2, 4)])


def test_rows_of_another_graph_of_neighbours():
    model = models.dissipative_ising(Lattice.chain(5))
    graph = nx.Graph([(0, 1), (1, 4)])
    check_against_dense(model, Clusters(size=3, neighbours=graph), 3, 3, graph=graph)
    pairs = prepared(model, hx.product_state(5), Clusters(size=3, neighbours=[(0, 1), (1, 4)])).motion
    assert kept_supports(pairs) == family(model, 3, graph=graph)


@pytest.mark.parametrize("size", [2, 4])
def test_edge_damping_counts_as_error(size):
    model = models.dissipative_ising(Lattice.chain(5), V=3.0)
    check_against_dense(model, Clusters(size=size, edge_damping=0.7), size, 4, edge_damping=0.7)


def test_a_cutoff_keeps_strong_couplings_as_neighbours():
    h = operator_sum([pauli("zz", i, j) / (j - i) ** 3 for i in range(5) for j in range(i + 1, 5)])
    model = Lindbladian(h, [sigmam(i) for i in range(5)], 5)
    motion = prepared(model, hx.product_state(5), Clusters(size=2, neighbours=0.5)).motion
    # The map of w σzσz has the norm 2 w: 2, 1/4, …
    assert kept_supports(motion) == {(i, i + 1) for i in range(4)}
    check_against_dense(model, Clusters(size=2, neighbours=0.5), 2, 5, graph=nx.path_graph(5))


@pytest.mark.slow
@settings(max_examples=6)
@given(st.integers(0, 10_000), st.sampled_from([(3, 2), (4, 2), (2, 3)]))
def test_clusters_of_all_sites_are_exact(seed, shape):
    model = random_model(seed, *shape)
    start = random_start(seed, model)
    found = state_after(model, start, Clusters(size=model.n_sites), 0.4)
    expected = exactly_evolved(model, tensor(start), 0.4)
    np.testing.assert_allclose(tensor(found), expected, rtol=0, atol=1e-8)


def test_clusters_of_all_sites_are_exact_for_a_chain():
    model, start = (
        models.dissipative_ising(Lattice.chain(4), V=5, g=5),
        hx.product_state(4, ["down", "+x", "mixed", "up"]),
    )
    found = state_after(model, start, Clusters(size=4), 0.7)
    expected = exactly_evolved(model, tensor(start), 0.7)
    np.testing.assert_allclose(tensor(found), expected, rtol=0, atol=1e-8)


def test_a_mixture_of_products_is_a_start():
    model = models.dissipative_xyz(Lattice.chain(3))
    mixture = correlated_mixture(3)
    found = state_after(model, mixture, Clusters(size=3), 0.5)
    np.testing.assert_allclose(tensor(found), exactly_evolved(model, tensor(mixture), 0.5), rtol=0, atol=1e-8)


def test_one_site_is_mean_field():
    lattice = Lattice.square(3, 2)
    found = state_after(models.dissipative_ising(lattice, V=3, g=1.5), hx.product_state(6), Clusters(size=1), 2.0)
    times = np.linspace(0, 2, 3)
    np.testing.assert_allclose(found.bloch(), ising_mean_field(lattice, 3, 1.5, 1.0, times)[-1], rtol=0, atol=1e-8)
    assert found.as_products() is not None


@pytest.mark.parametrize(
    "model",
    [
        models.dissipative_ising(Lattice.square(2, 2), V=4, g=2),
        models.dissipative_xyz(Lattice.chain(5)),
        random_model(11, 4),
    ],
    ids=["plaquette", "chain", "random"],
)
def test_two_sites_are_cumulant_equations_of_second_order(model):
    start = random_start(1, model)
    found = state_after(model, start, Clusters(size=2), 0.6)
    dense = DenseClusters(model, family(model, 2))
    np.testing.assert_allclose(dense.kept_tensor(found), dense.after(tensor(start), 0.6), rtol=0, atol=1e-8)


def test_edge_damping_in_a_whole_run():
    model, start = models.dissipative_ising(Lattice.chain(4), V=4, g=2), hx.product_state(4)
    found = state_after(model, start, Clusters(size=3, edge_damping=1.5), 0.8)
    dense = DenseClusters(model, family(model, 3), edge_damping=1.5, edge=1)
    np.testing.assert_allclose(dense.kept_tensor(found), dense.after(tensor(start), 0.8), rtol=0, atol=1e-8)


@pytest.mark.parametrize("size", [2, 3])
def test_the_energy_of_a_closed_chain_is_conserved(size):
    n = 6
    h = operator_sum(
        [pauli("zz", i, i + 1) for i in range(n - 1)] + [0.7 * sigmax(i) + 0.2 * sigmaz(i) for i in range(n)]
    )
    start = hx.product_state(n, np.array([[0.6, 0.0, 0.8]]).repeat(n, axis=0))
    found = state_after(Lindbladian(h, [], n), start, Clusters(size=size), 1.0, rtol=1e-10)
    assert abs(found.expect(h) - start.expect(h)) < 1e-9
    assert found.trace() == 1.0


def test_the_magnetisation_of_an_xxz_chain_is_conserved():
    n = 6
    bonds = [pauli(a, i, i + 1) * w for i in range(n - 1) for a, w in (("xx", 1.0), ("yy", 1.0), ("zz", 0.5))]
    total = operator_sum([sigmaz(i) for i in range(n)])
    start = hx.product_state(n, ["+x", "up", "down", "+y", "up", "down"])
    found = state_after(Lindbladian(operator_sum(bonds), [], n), start, Clusters(size=3), 0.7, rtol=1e-10)
    assert abs(found.expect(total) - start.expect(total)) < 1e-9


def test_disconnected_halves_evolve_as_each_alone():
    one = models.dissipative_ising(Lattice.chain(3), V=3, g=2)
    other = models.dissipative_xyz(Lattice.chain(3))

    def moved(operator):
        return hx.Operator({tuple((i + 3, a) for i, a in p): f for p, f in operator.terms.items()})

    jumps = [*one.dissipators, *(hx.Dissipator(moved(d.operator), d.rate) for d in other.dissipators)]
    both = Lindbladian(one.hamiltonian + moved(other.hamiltonian), jumps, 6)
    spins = ["down", "+x", "up", "+y", "down", "mixed"]
    ansatz = Clusters(size=2)
    found = state_after(both, hx.product_state(6, spins), ansatz, 1.0)
    parts = [state_after(m, hx.product_state(3, s), ansatz, 1.0) for m, s in ((one, spins[:3]), (other, spins[3:]))]
    np.testing.assert_allclose(found.tensor((0, 1, 2)), parts[0].tensor((0, 1, 2)), rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.tensor((3, 4, 5)), parts[1].tensor((0, 1, 2)), rtol=0, atol=1e-9)


def test_models_that_differ_in_parameters_share_their_programs():
    lattice = Lattice.chain(4, periodic=True)
    starts = [prepared(models.dissipative_ising(lattice, V=v), hx.product_state(4), Clusters(size=3)) for v in (1, 2)]
    assert starts[0].motion.layout == starts[1].motion.layout
    assert hash(starts[0].motion.layout) == hash(starts[1].motion.layout)
    other = prepared(models.dissipative_ising(Lattice.chain(4)), hx.product_state(4), Clusters(size=3))
    assert starts[0].motion.layout != other.motion.layout


def test_long_runs_stay_what_a_state_allows():
    model = models.dissipative_ising(Lattice.chain(6), V=2, g=1)
    start = prepared(model, hx.product_state(6), Clusters(size=3))
    point = evolved(start.motion, start.point, 10.0, rtol=1e-6, atol=1e-8)
    assert not start.motion.is_running_away(point)
    beyond = type(point)(point.background, {n: 1e3 + m for n, m in point.moments.items()})
    assert start.motion.is_running_away(beyond)


@pytest.mark.parametrize("edge_damping", [0.0, 0.7])
def test_certificates_of_sites_share_what_each_dropped_support_misses(edge_damping):
    model = models.dissipative_ising(Lattice.chain(5), V=3.0, g=1.3)
    motion, point = prepared(model, random_start(4, model), Clusters(size=2, edge_damping=edge_damping))[:2]
    point = random_point(np.random.default_rng(4), point)
    dense = DenseClusters(model, family(model, 2), edge_damping, 1)
    _, _, dropped = dense.split(dense.kept_tensor(motion.state(point, History())))
    squares = np.zeros(5)
    for support, row, weight in zip(dense.supports, dropped, dense.weights, strict=True):
        for site in support:
            squares[site] += weight * row**2 / len(support)
    found = certificate(motion, point)
    np.testing.assert_allclose(found.sites, np.sqrt(squares), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(np.sum(found.sites**2), found.absolute**2, rtol=1e-12)
