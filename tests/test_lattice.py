"""Lattices against hand-counted coordination numbers, brute force over images, and networkx."""

import itertools
import json
import math
import tracemalloc

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from husimix.physics.lattice import Lattice

H = math.sqrt(3) / 2

# Written out once more, independently of the library: primitive vectors, sites of a cell, and the first four
# distances of the infinite lattice.
GEOMETRY = {
    "chain": ([[1]], [[0]], [1, 2, 3, 4]),
    "rectangle": ([[1, 0], [0, 1]], [[0, 0]], [1, math.sqrt(2), 2, math.sqrt(5)]),
    "square": ([[1, 0], [0, 1]], [[0, 0]], [1, math.sqrt(2), 2, math.sqrt(5)]),
    "triangular": ([[1, 0], [0.5, H]], [[0, 0]], [1, math.sqrt(3), 2, math.sqrt(7)]),
    "honeycomb": (
        [[2 * H, 0], [H, 1.5]],
        [[0, 0], [H, 0.5]],
        [1, math.sqrt(3), 2, math.sqrt(7)],
    ),
    "kagome": ([[2, 0], [1, 2 * H]], [[0, 0], [1, 0], [0.5, H]], [1, math.sqrt(3), 2, math.sqrt(7)]),
    "cubic": ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[0, 0, 0]], [1, math.sqrt(2), math.sqrt(3), 2]),
}
SHELLS = (1, 2, 3, 4)


def build(kind, shape, periodic):
    return getattr(Lattice, kind)(*shape, periodic=periodic)


def brute_force_bonds(kind, shape, periodic):
    """All four shells from the definition: the shortest of every pair's images, pair by pair."""
    primitive, basis, distances = (np.array(x, dtype=float) for x in GEOMETRY[kind])
    cells = np.array(list(itertools.product(*map(range, shape))))
    positions = np.array([cell @ primitive + site for cell in cells for site in basis])
    # Wide enough to undo the skew of a torus that is long one way and short the other.
    reach = max(shape) + 2
    windings = [range(-reach, reach + 1) if closed else (0,) for closed in periodic]
    images = (np.array(list(itertools.product(*windings))) * np.array(shape)) @ primitive
    apart = positions[None, :] - positions[:, None]
    nearest = np.full(apart.shape[:2], np.inf)
    for image in images:
        nearest = np.minimum(nearest, np.linalg.norm(apart + image, axis=-1))
    return [
        [pair for pair in itertools.combinations(range(len(positions)), 2) if abs(nearest[pair] - d) < 1e-9]
        for d in distances
    ]


def as_pairs(bonds):
    return [tuple(row) for row in bonds.tolist()]


def some_shapes():
    planar = [((1, 1), True), ((1, 4), True), ((2, 2), True), ((2, 5), True), ((3, 3), True), ((4, 3), True)]
    planar += [((3, 2), False), ((2, 3), (True, False)), ((1, 3), (False, True)), ((5, 2), (False, True))]
    spatial = [((1, 1, 1), True), ((2, 1, 3), True), ((3, 3, 2), (True, False, True)), ((2, 3, 2), False)]
    for kind in GEOMETRY:
        if kind == "chain":
            yield from ((kind, (n,), closed) for n in (1, 2, 3, 4, 5, 8, 9) for closed in (True, False))
        else:
            yield from ((kind, *rest) for rest in (spatial if kind == "cubic" else planar))


@pytest.mark.parametrize(
    ("lattice", "coordination"),
    [
        (Lattice.chain(8, periodic=True), (2, 2)),
        (Lattice.rectangle(6, 5, periodic=True), (4, 4)),
        (Lattice.square(6, periodic=True), (4, 4)),
        (Lattice.triangular(6, 6, periodic=True), (6, 6)),
        (Lattice.honeycomb(5, 5, periodic=True), (3, 6)),
        (Lattice.kagome(4, 4, periodic=True), (4, 4)),
        (Lattice.cubic(5, 5, 5, periodic=True), (6, 12)),
    ],
    ids=lambda value: value.name if isinstance(value, Lattice) else "",
)
def test_coordination_numbers(lattice, coordination):
    for shell, expected in zip((1, 2), coordination, strict=True):
        degree = np.bincount(lattice.bonds(shell).ravel(), minlength=lattice.n_sites)
        assert degree.tolist() == [expected] * lattice.n_sites


@pytest.mark.parametrize(("kind", "shape", "periodic"), list(some_shapes()))
def test_bonds_are_the_minimum_images(kind, shape, periodic):
    lattice = build(kind, shape, periodic)
    assert [as_pairs(lattice.bonds(s)) for s in SHELLS] == brute_force_bonds(kind, shape, lattice.periodic)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.data())
def test_bonds_and_translations_of_random_shapes(data):
    kind = data.draw(st.sampled_from(sorted(GEOMETRY)))
    directions = len(GEOMETRY[kind][0])
    shape = data.draw(st.tuples(*[st.integers(1, 3 if kind == "cubic" else 6)] * directions))
    periodic = data.draw(st.tuples(*[st.booleans()] * directions))
    lattice = build(kind, shape, periodic)
    shells = [as_pairs(lattice.bonds(s)) for s in SHELLS]
    assert shells == brute_force_bonds(kind, shape, periodic)
    for permutation in lattice.translations():
        for bonds in shells:
            moved = np.sort(permutation[np.array(bonds, dtype=int).reshape(-1, 2)], axis=1)
            assert sorted(as_pairs(moved)) == bonds


@pytest.mark.parametrize(("kind", "shape", "periodic"), list(some_shapes()))
def test_no_self_bonds_no_doubled_bonds_one_shell_each(kind, shape, periodic):
    lattice = build(kind, shape, periodic)
    everything = []
    for shell in range(1, 12):
        bonds = lattice.bonds(shell)
        assert bonds.dtype == np.int64
        assert bonds.ndim == 2 and bonds.shape[1] == 2
        assert np.all(bonds[:, 0] < bonds[:, 1])
        assert as_pairs(bonds) == sorted(as_pairs(bonds))
        everything += as_pairs(bonds)
    assert len(everything) == len(set(everything))


@pytest.mark.parametrize(
    ("lattice", "squared"),
    [
        (Lattice.chain(30), [m**2 for m in range(30)]),
        (Lattice.square(14), [m**2 + n**2 for m in range(14) for n in range(14)]),
        (Lattice.triangular(16, 16), [m**2 + m * n + n**2 for m in range(16) for n in range(16)]),
        (Lattice.honeycomb(9, 9), [m**2 + m * n + n**2 for m in range(16) for n in range(16)]),
        (Lattice.kagome(8, 8), [m**2 + m * n + n**2 for m in range(16) for n in range(16)]),
        (Lattice.cubic(7, 7, 7), [sum(n * n for n in r) for r in itertools.product(range(7), repeat=3)]),
    ],
    ids=lambda value: value.name if isinstance(value, Lattice) else "",
)
def test_far_shells_are_the_numbers_that_the_quadratic_form_represents(lattice, squared):
    # Every distance of the underlying lattice of unit spacing also occurs on honeycomb and kagome.
    distances = sorted(set(squared) - {0})[:25]
    for shell, expected in enumerate(distances, start=1):
        i, j = lattice.bonds(shell).T
        apart = np.sum((lattice.positions[i] - lattice.positions[j]) ** 2, axis=1)
        assert len(apart) > 0
        np.testing.assert_allclose(apart, expected, rtol=1e-12)


def test_shells_reach_every_pair_and_then_stay_empty():
    lattice = Lattice.triangular(4, 5, periodic=True)
    pairs = sum(len(lattice.bonds(shell)) for shell in range(1, 30))
    assert pairs == math.comb(20, 2)
    assert lattice.bonds(30).shape == (0, 2)
    assert lattice.bonds(10**9).shape == (0, 2)
    assert Lattice.chain(1, periodic=True).bonds().shape == (0, 2)


@pytest.mark.parametrize(
    ("lattice", "counts"),
    [
        (Lattice.chain(7), (6, 5)),
        (Lattice.square(4), (24, 18)),
        (Lattice.rectangle(4, 3), (17, 12)),
        (Lattice.rectangle(4, 3, periodic=(True, False)), (20, 16)),
        (Lattice.rectangle(4, 3, periodic=(False, True)), (21, 18)),
        (Lattice.triangular(3, 3), (16, 8)),
        (Lattice.honeycomb(1, 1), (1, 0)),
        (Lattice.honeycomb(2, 2), (8, 10)),
        (Lattice.kagome(1, 1), (3, 0)),
        (Lattice.cubic(2, 2, 2), (12, 12)),
    ],
    ids=repr,
)
def test_counts_of_open_and_half_open_lattices(lattice, counts):
    assert (len(lattice.bonds(1)), len(lattice.bonds(2))) == counts


def test_a_period_of_two_gives_single_bonds():
    assert as_pairs(Lattice.chain(2, periodic=True).bonds()) == [(0, 1)]
    assert as_pairs(Lattice.square(2, periodic=True).bonds()) == [(0, 1), (0, 2), (1, 3), (2, 3)]
    # Around a 3 x 3 torus two steps one way are one step the other: the third shell (distance 2) is empty.
    assert Lattice.square(3, periodic=True).bonds(3).shape == (0, 2)


@pytest.mark.parametrize("kind", list(GEOMETRY))
def test_sites_are_row_major_over_cells_with_the_basis_fastest(kind):
    primitive, basis, _ = (np.array(x, dtype=float) for x in GEOMETRY[kind])
    shape = (3, 2, 4)[: len(primitive)]
    lattice = build(kind, shape, False)
    expected = [np.array(cell) @ primitive + site for cell in itertools.product(*map(range, shape)) for site in basis]
    np.testing.assert_allclose(lattice.positions, expected, atol=1e-14)
    np.testing.assert_allclose(lattice.primitive, primitive, atol=1e-14)
    np.testing.assert_allclose(lattice.basis, basis, atol=1e-14)
    assert lattice.n_sites == math.prod(shape) * len(basis)
    assert (lattice.name, lattice.shape, lattice.periodic) == (kind, shape, (False,) * len(shape))


def test_bonds_of_a_large_lattice_need_no_table_of_all_pairs():
    lattice = Lattice.square(64, periodic=True)
    tracemalloc.start()
    try:
        bonds = lattice.bonds()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(bonds) == 2 * 64**2
    assert peak < lattice.n_sites**2 / 4  # bytes; one bool per pair would be four times as much


@pytest.mark.parametrize(("kind", "shape", "periodic"), list(some_shapes()))
def test_translations_are_a_group_that_keeps_every_shell(kind, shape, periodic):
    lattice = build(kind, shape, periodic)
    group = lattice.translations()
    order = math.prod(n for n, closed in zip(shape, lattice.periodic, strict=True) if closed)
    assert group.shape == (order, lattice.n_sites)
    assert group[0].tolist() == list(range(lattice.n_sites))
    elements = {tuple(row) for row in group.tolist()}
    assert len(elements) == order
    assert all(sorted(element) == list(range(lattice.n_sites)) for element in elements)
    assert {tuple(p[q]) for p in group for q in group} == elements
    for shell in SHELLS:
        bonds = lattice.bonds(shell)
        for permutation in group:
            assert sorted(as_pairs(np.sort(permutation[bonds], axis=1))) == as_pairs(bonds)


@pytest.mark.parametrize("kind", list(GEOMETRY))
def test_row_g_says_where_each_site_moves_to(kind):
    primitive, _, _ = (np.array(x, dtype=float) for x in GEOMETRY[kind])
    shape = (3, 4, 2)[: len(primitive)]
    lattice = build(kind, shape, True)
    shifts = list(itertools.product(*map(range, shape)))
    for shift, permutation in zip(shifts, lattice.translations(), strict=True):
        # What is left when the shift is taken off is a whole number of periods.
        displaced = lattice.positions[permutation] - lattice.positions - np.array(shift) @ primitive
        windings = displaced @ np.linalg.inv(np.array(shape)[:, None] * primitive)
        np.testing.assert_allclose(windings, np.rint(windings), atol=1e-12)


def test_translations_leave_open_directions_alone():
    lattice = Lattice.rectangle(2, 3, periodic=(False, True))
    expected = [[0, 1, 2, 3, 4, 5], [1, 2, 0, 4, 5, 3], [2, 0, 1, 5, 3, 4]]
    assert lattice.translations().tolist() == expected


def random_graphs():
    yield nx.petersen_graph()
    yield nx.path_graph(6)
    yield nx.disjoint_union(nx.cycle_graph(5), nx.star_graph(3))
    yield nx.empty_graph(3)
    yield from (nx.gnp_random_graph(12, 0.2, seed=seed) for seed in range(6))


@pytest.mark.parametrize("graph", list(random_graphs()), ids=str)
def test_shells_of_a_graph_are_its_shortest_paths(graph):
    lattice = Lattice.from_graph(graph)
    distances = nx.floyd_warshall_numpy(graph)
    for shell in range(1, 7):
        expected = [p for p in itertools.combinations(range(len(graph)), 2) if distances[p] == shell]
        assert as_pairs(lattice.bonds(shell)) == expected
        assert lattice.bonds(shell).shape == (len(expected), 2)
    assert lattice.translations().tolist() == [list(range(len(graph)))]
    assert (lattice.n_sites, lattice.shape, lattice.periodic) == (len(graph), (len(graph),), (False,))


def test_graph_nodes_become_sites_in_the_graphs_own_order():
    graph = nx.Graph()
    graph.add_node("z", pos=(0.0, 5.0))
    graph.add_node("a", pos=(1.0, 0.0))
    graph.add_node("m", pos=(2.0, -1.0))
    graph.add_edges_from([("m", "z"), ("a", "m")])
    lattice = Lattice.from_graph(graph)
    assert lattice.name == "graph"
    assert lattice.positions.tolist() == [[0.0, 5.0], [1.0, 0.0], [2.0, -1.0]]
    assert as_pairs(lattice.bonds()) == [(0, 2), (1, 2)]
    assert as_pairs(lattice.bonds(2)) == [(0, 1)]


def test_bonds_of_a_graph_are_sorted_whatever_the_order_of_its_edges():
    graph = nx.empty_graph(4)
    graph.add_edges_from([(0, 3), (0, 2), (2, 1), (3, 1), (1, 0)])
    assert as_pairs(Lattice.from_graph(graph).bonds()) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3)]


def test_a_graph_without_all_positions_is_drawn_on_a_circle():
    graph = nx.cycle_graph(5)
    graph.nodes[0]["pos"] = (7.0, 7.0)
    first, second = Lattice.from_graph(graph), Lattice.from_graph(graph)
    np.testing.assert_allclose(np.linalg.norm(first.positions, axis=1), 1.0, atol=1e-6)
    assert len(np.unique(first.positions.round(3), axis=0)) == 5
    assert first.positions.tolist() == second.positions.tolist()


@pytest.mark.parametrize("shell", [1, 2])
def test_to_graph_has_the_bonds_of_its_shell_and_the_positions(shell):
    lattice = Lattice.honeycomb(2, 3, periodic=True)
    graph = lattice.to_graph(shell)
    assert list(graph) == list(range(12))
    assert sorted(tuple(sorted(edge)) for edge in graph.edges) == as_pairs(lattice.bonds(shell))
    assert [graph.nodes[i]["pos"] for i in graph] == lattice.positions.tolist()
    again = Lattice.from_graph(graph)
    assert as_pairs(again.bonds()) == as_pairs(lattice.bonds(shell))
    assert again.positions.tolist() == lattice.positions.tolist()


@pytest.mark.parametrize(
    "lattice",
    [
        Lattice.chain(5, periodic=True),
        Lattice.square(3),
        Lattice.rectangle(2, 3, periodic=(True, False)),
        Lattice.triangular(2, 2, periodic=True),
        Lattice.honeycomb(2, 3),
        Lattice.kagome(1, 2, periodic=(False, True)),
        Lattice.cubic(2, 1, 3, periodic=(True, False, True)),
        Lattice.from_graph(nx.petersen_graph()),
        Lattice.from_graph(nx.empty_graph(1)),
        Lattice.from_graph(Lattice.cubic(2, 2, 1).to_graph()),
    ],
    ids=repr,
)
def test_a_lattice_survives_json(lattice):
    again = Lattice.from_dict(json.loads(json.dumps(lattice.to_dict())))
    assert again.to_dict() == lattice.to_dict()
    assert repr(again) == repr(lattice)
    for name in ("name", "shape", "periodic"):
        assert getattr(again, name) == getattr(lattice, name)
    for name in ("positions", "primitive", "basis"):
        np.testing.assert_array_equal(getattr(again, name), getattr(lattice, name), strict=True)
    for shell in (1, 2):
        np.testing.assert_array_equal(again.bonds(shell), lattice.bonds(shell), strict=True)


def test_arrays_are_read_only_and_bonds_are_the_callers_own():
    for lattice in (Lattice.kagome(2, 2), Lattice.from_graph(nx.path_graph(3))):
        for array in (lattice.positions, lattice.primitive, lattice.basis):
            assert not array.flags.writeable
        bonds = lattice.bonds()
        bonds[:] = -1
        assert lattice.bonds().min() == 0
    with pytest.raises(AttributeError):
        lattice.name = "other"
    assert Lattice.chain(3) != Lattice.chain(3)


def test_repr_is_the_call_that_builds_it():
    assert repr(Lattice.square(8, 8, periodic=True)) == "Lattice.square(8, 8, periodic=True): 64 sites"
    assert repr(Lattice.square(8)) == "Lattice.square(8, 8, periodic=False): 64 sites"
    assert repr(Lattice.chain(1)) == "Lattice.chain(1, periodic=False): 1 site"
    mixed = Lattice.kagome(2, 3, periodic=[True, False])
    assert repr(mixed) == "Lattice.kagome(2, 3, periodic=(True, False)): 18 sites"
    assert repr(Lattice.from_graph(nx.path_graph(3))) == "Lattice.from_graph(2 edges): 3 sites"


GOOD = {"kind": "square", "shape": [2, 2], "periodic": [True, True]}
GRAPH = {"kind": "graph", "edges": [[0, 1]], "positions": [[0.0], [1.0]]}


def graph_at(*positions):
    graph = nx.path_graph(len(positions))
    nx.set_node_attributes(graph, dict(enumerate(positions)), "pos")
    return graph


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Lattice.chain(0), "`n` must be an integer of at least 1, but got 0"),
        (lambda: Lattice.square(2.0), "`lx` must be an integer"),
        (lambda: Lattice.square(3, True), "`ly` must be an integer"),
        (lambda: Lattice.cubic(2, 2, -1), "`lz` must be .* but got -1"),
        (lambda: Lattice.chain(3, periodic=1), "`periodic` must be a bool or a sequence of 1 bool, .* got 1"),
        (lambda: Lattice.square(3, periodic=[True]), "`periodic` must be .* of 2 bools"),
        (lambda: Lattice.square(3, periodic=[1, 0]), "`periodic` must be .* of 2 bools"),
        (lambda: Lattice.square(3, periodic="no"), "`periodic` must be .* but got 'no'"),
        (lambda: Lattice.square(3).bonds(0), "`shell` must be an integer of at least 1, but got 0"),
        (lambda: Lattice.square(3).bonds(True), "`shell` must be an integer"),
        (lambda: Lattice.from_graph(nx.path_graph(3)).bonds(1.0), "`shell` must be an integer"),
        (lambda: Lattice.square(3).to_graph(-1), "`shell` must be .* but got -1"),
        (lambda: Lattice.from_graph([(0, 1)]), r"`graph` must be .*networkx.Graph\(edges\)"),
        (lambda: Lattice.from_graph(nx.DiGraph([(0, 1)])), r"directed graph.*to_undirected\(\)"),
        (lambda: Lattice.from_graph(nx.MultiGraph([(0, 1)])), r"multigraph.*networkx.Graph\(graph\)"),
        (lambda: Lattice.from_graph(nx.Graph()), "`graph` must have at least one node"),
        (lambda: Lattice.from_graph(nx.Graph([(0, 1), (1, 1)])), r"loop \(1, 1\).*selfloop_edges"),
        (lambda: Lattice.from_graph(graph_at((0, 0), (1,))), "equally many finite coordinates"),
        (lambda: Lattice.from_graph(graph_at(0.0, 1.0)), "equally many finite coordinates"),
        (lambda: Lattice.from_graph(graph_at((0.0,), (math.nan,))), "equally many finite coordinates"),
        (lambda: Lattice.from_graph(graph_at((), ())), "equally many finite coordinates"),
        (lambda: Lattice.from_dict("square"), "`description` must be a mapping"),
        (lambda: Lattice.from_dict(GOOD | {"kind": "sqare"}), "Did you mean `square`?"),
        (lambda: Lattice.from_dict({}), "`kind` must be one of chain, .*graph, but got None"),
        (lambda: Lattice.from_dict({"kind": "square"}), "exactly the keys kind, shape, periodic"),
        (lambda: Lattice.from_dict(GOOD | {"size": 2}), "exactly the keys kind, shape, periodic"),
        (lambda: Lattice.from_dict(GRAPH | {"shape": [2]}), "exactly the keys kind, edges, positions"),
        (lambda: Lattice.from_dict(GOOD | {"shape": [2]}), "`shape` must have 2 lengths for `square`"),
        (lambda: Lattice.from_dict(GOOD | {"shape": 2}), "`shape` must have 2 lengths"),
        (lambda: Lattice.from_dict(GOOD | {"shape": "22"}), "`shape` must have 2 lengths"),
        (lambda: Lattice.from_dict(GOOD | {"shape": [2, 0]}), r"`shape\[1\]` must be an integer of at least"),
        (lambda: Lattice.from_dict(GOOD | {"periodic": [True]}), "`periodic` must be"),
        (lambda: Lattice.from_dict(GRAPH | {"edges": [[0, 2]]}), r"join sites 0 to 1 in pairs.*\[0, 2\]"),
        (lambda: Lattice.from_dict(GRAPH | {"edges": [[-1, 0]]}), "join sites 0 to 1 in pairs"),
        (lambda: Lattice.from_dict(GRAPH | {"edges": [[0]]}), "join sites 0 to 1 in pairs"),
        (lambda: Lattice.from_dict(GRAPH | {"edges": ["01"]}), "join sites 0 to 1 in pairs"),
        (lambda: Lattice.from_dict(GRAPH | {"edges": [[0, True]]}), "join sites 0 to 1 in pairs"),
        (lambda: Lattice.from_dict(GRAPH | {"edges": [[1, 1]]}), r"loop \(1, 1\)"),
        (lambda: Lattice.from_dict(GRAPH | {"edges": 3}), "`edges` must be a list of pairs"),
        (lambda: Lattice.from_dict(GRAPH | {"edges": ""}), "`edges` must be a list of pairs"),
        (lambda: Lattice.from_dict(GRAPH | {"positions": []}), "`positions` must be a list"),
        (lambda: Lattice.from_dict(GRAPH | {"positions": 3}), "`positions` must be a list"),
        (lambda: Lattice.from_dict(GRAPH | {"positions": "ab"}), "`positions` must be a list"),
        (lambda: Lattice.from_dict(GRAPH | {"positions": [[0.0], [0.0, 1.0]]}), "equally many finite"),
    ],
)
def test_bad_input_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_numpy_integers_and_bools_are_welcome():
    lattice = Lattice.square(np.int64(3), np.int32(2), periodic=(np.True_, np.False_))
    assert json.loads(json.dumps(lattice.to_dict()))["periodic"] == [True, False]
    assert lattice.bonds(np.int64(1)).shape == (9, 2)
    assert json.loads(json.dumps(Lattice.chain(3, periodic=np.True_).to_dict()))["periodic"] == [True]
