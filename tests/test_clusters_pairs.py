"""Supports in two places far apart: which there are, the products that close their equations, and what they bring."""

import itertools

import networkx as nx
import numpy as np
import pytest

import husimix as hx
from cluster_truth import (
    DenseClusters,
    certificate,
    family,
    frame,
    prepared,
    random_point,
    state_after,
    velocity,
)
from husimix.state import History

QUIET = {"progress": False}
LATTICES = {
    "chain": hx.Lattice.chain(6),
    "ring": hx.Lattice.chain(7, periodic=True),
    "ladder": hx.Lattice.rectangle(2, 3),
}


def far_family(lattice, size, pairs):
    """All supports by brute force."""
    graph = lattice.to_graph()
    apart = dict(nx.all_pairs_shortest_path_length(graph))
    connected = [
        c
        for n in range(1, size)
        for c in itertools.combinations(range(lattice.n_sites), n)
        if nx.is_connected(graph.subgraph(c))
    ]
    unions = [
        (*a, *b)
        for a, b in itertools.product(connected, repeat=2)
        if len(a) + len(b) == size and 0 < min(apart[i][j] for i in a for j in b) <= pairs
    ]
    return family(hx.models.dissipative_ising(lattice), size, extra=unions)


def kept_supports(motion):
    return {tuple(row) for rows in motion.layout.family.by_size.values() for row in rows.tolist()}


def two_places(graph, sites):
    """The two parts of two sites and more that no bond joins, or None."""
    parts = [tuple(sorted(part)) for part in nx.connected_components(graph.subgraph(sites))]
    return parts if len(parts) == 2 and min(map(len, parts)) >= 2 else None


@pytest.mark.parametrize("pairs", [1, 2, "all"])
@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("name", LATTICES)
def test_supports_are_those_of_two_clusters_up_to_a_distance(name, size, pairs):
    lattice = LATTICES[name]
    model = hx.models.dissipative_ising(lattice)
    motion = prepared(model, hx.product_state(lattice.n_sites), hx.Clusters(size=size, pairs=pairs))[0]
    assert kept_supports(motion) == far_family(lattice, size, 99 if pairs == "all" else pairs)


@pytest.mark.parametrize("edges", [[(0, 1), (1, 2), (2, 3), (3, 4)], [(0, 1), (0, 2), (2, 4), (4, 3)]])
def test_rows_are_those_of_the_dense_generator_where_far_correlations_are_products(edges):
    lattice, rng = hx.Lattice.from_graph(nx.Graph(sorted(edges))), np.random.default_rng(3)
    model = hx.models.dissipative_ising(lattice, V=1.3, g=0.8)
    n, graph = lattice.n_sites, lattice.to_graph()
    motion, point = prepared(model, hx.product_state(n, "+x"), hx.Clusters(size=3, pairs="all"))[:2]
    supports = far_family(lattice, 3, 99)
    point = random_point(rng, point)
    dense = DenseClusters(model, supports)
    moments = dense.moments_of(motion.state(point, History()))
    cube = moments.reshape((4,) * n)
    products = {s: two_places(graph, s) for s in set(dense.supports) - supports - {()}}
    products = {s: parts for s, parts in products.items() if parts and set(parts) <= supports}
    assert products
    filled = np.array(cube)

    def on(sites):
        return tuple(slice(1, None) if i in sites else 0 for i in range(n))

    for s, (first, second) in products.items():
        outer = np.multiply.outer(cube[on(first)], cube[on(second)])
        filled[on(s)] = np.moveaxis(outer, range(len(s)), [s.index(i) for i in (*first, *second)])
    filled[(0,) * n] = 1.0
    background = dense.local(np.asarray(motion.state(point, History()).tensor(tuple(range(n)))).reshape(-1))
    drift, rows = dense.rates(np.linalg.solve(frame(background), filled.reshape(-1)))
    rates = velocity(motion, point)
    np.testing.assert_allclose(rates.background, drift, rtol=0, atol=1e-12)
    for kept, values in zip(motion.layout.family.by_size.values(), rates.moments.values(), strict=True):
        for support, value in zip(kept.tolist(), np.asarray(values), strict=True):
            found = rows.reshape((4,) * n)[on(support)].reshape(-1)
            np.testing.assert_allclose(value, found, rtol=0, atol=1e-11)
    graph_parts = np.array([two_places(graph, s) is not None for s in dense.supports])
    missed = np.where(dense.counted & ~dense.kept & ~graph_parts, rows, 0.0)
    found = certificate(motion, point).absolute
    np.testing.assert_allclose(found, np.sqrt(dense.weights @ missed**2), rtol=1e-10)


@pytest.mark.parametrize("name", ["ring", "ladder"])
def test_symmetry_changes_nothing(name):
    lattice = LATTICES[name]
    model, start = hx.models.dissipative_ising(lattice, V=2.0, g=1.5), hx.product_state(lattice.n_sites)
    ansatz = hx.Clusters(size=3, pairs="all", certificate=False)
    tensors = [
        state_after(model, start, ansatz, 0.7, symmetry=symmetry).correlation("z", "x") for symmetry in (None, "auto")
    ]
    np.testing.assert_allclose(*tensors, rtol=0, atol=1e-9)


def test_correlations_of_far_sites_follow_the_exact_ones():
    lattice = LATTICES["ring"]
    model, start, times = hx.models.dissipative_ising(lattice, V=2.0, g=2.0), hx.product_state(7), np.linspace(0, 2, 9)
    zz = {"zz": hx.pauli("zz", 0, 3)}
    exact = hx.exact.mesolve(model, start, times, observables=zz)
    found = hx.mesolve(model, start, times, ansatz=hx.Clusters(size=3, pairs="all"), observables=zz, **QUIET)

    def connected(result):
        return result.expect["zz"] - result.bloch[:, 0, 2] * result.bloch[:, 3, 2]

    truth = connected(exact)
    assert np.abs(truth).max() > 3e-3
    assert np.abs(connected(found) - truth).max() < 0.35 * np.abs(truth).max()


@pytest.mark.parametrize(
    ("pairs", "message"), [(-1, "`pairs` must be an integer"), ("some", "`pairs` must be one of all")]
)
def test_other_distances_are_refused(pairs, message):
    with pytest.raises(ValueError, match=message):
        hx.Clusters(pairs=pairs)
