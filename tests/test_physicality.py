"""The watch on physicality against dense reduced density matrices, and what a run says when it sees a violation."""

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest

import husimix as hx
from dense import mixture_state
from husimix.mixture.observables import PairAverage
from husimix.physics.basis import site_basis
from husimix.physics.neighbours import neighbour_pairs, one_of_each_kind
from husimix.results.diagnostics import smallest_probabilities

SQUARE = hx.Lattice.square(3, 3, periodic=True)
FLIPPED = hx.SymmetryGroup.generated(
    [hx.Transformation([1, 2, 3, 0]), hx.Transformation(rotation="x", n_sites=4), hx.Transformation([1, 0, 3, 2], "z")]
)


def random_mixture(group, d=2, seed=0):
    k1, k2 = jax.random.split(jax.random.key(seed))
    coordinates = 0.5 * jax.random.normal(k1, (3, group.n_sites, d * d - 1))
    return mixture_state(jax.random.normal(k2, (3,)), coordinates, hx.Bloch(site_basis(d)), group)


@pytest.mark.parametrize(
    ("group", "d"),
    [
        (hx.SymmetryGroup.translations(SQUARE), 2),
        (FLIPPED, 2),
        (hx.SymmetryGroup.identity(4), 3),
    ],
)
def test_smallest_eigenvalues_are_those_of_dense_reduced_density_matrices(group, d):
    state = random_mixture(group, d)
    ends = np.array([(0, 1), (1, 3), (2, 0)])
    pairs = np.asarray(PairAverage.of(ends, group)(state.weights, state.vectors))
    sites = np.array(
        [[state.expect(hx.Operator.local(b, i)) for b in state.basis.matrices] for i in range(group.n_sites)]
    )
    found = smallest_probabilities(state.basis, sites[None], pairs[None])
    of_sites = [np.linalg.eigvalsh(state.reduced(i))[0] for i in range(group.n_sites)]
    of_pairs = [np.linalg.eigvalsh(state.reduced(pair))[0] for pair in ends]
    assert found.site[0] == pytest.approx(min(of_sites), abs=1e-12)
    assert of_sites[found.at_site[0]] == pytest.approx(min(of_sites), abs=1e-12)
    assert found.pair[0] == pytest.approx(min(of_pairs), abs=1e-12)
    assert found.at_pair[0] == np.argmin(of_pairs)


def test_neighbours_are_the_bonds_up_to_symmetry():
    model = hx.models.dissipative_ising(SQUARE)
    assert len(neighbour_pairs(model)) == len(SQUARE.bonds())
    found = one_of_each_kind(neighbour_pairs(model), hx.SymmetryGroup.translations(SQUARE))
    assert len(found) == 2
    directions = SQUARE.positions[found[:, 1]] - SQUARE.positions[found[:, 0]]
    assert np.abs(directions[0] @ directions[1]) < 1e-12


def test_neighbours_without_a_lattice_are_the_pairs_of_two_site_terms():
    h = hx.pauli("zz", 0, 2) + hx.pauli("xyz", 0, 1, 2) + hx.sigmaz(1)
    jumps = [hx.Dissipator(hx.sigmam(3) + 0.5 * hx.pauli("z+", 1, 2))]
    assert neighbour_pairs(hx.Lindbladian(h, jumps, n_sites=4)).tolist() == [[0, 2], [1, 2]]
    alone = hx.Lindbladian(hx.sigmax(0), [hx.Dissipator(hx.sigmam(0))], n_sites=1)
    assert neighbour_pairs(alone).shape == (0, 2)


def test_a_run_of_a_physical_state_is_silent_and_records_its_eigenvalues():
    """Two spins, four components: exact, so that nothing becomes negative."""
    model = hx.models.dissipative_ising(hx.Lattice.chain(2), V=3.0, g=2.0)
    run = hx.mesolve(
        model, hx.product_state(2, "down"), [0.0, 0.5, 1.0], ansatz=hx.Mixture(components=6), progress=False
    )
    assert (np.abs(run.diagnostics["smallest_probability_site"][0]) < 1e-12).all()
    exact = hx.exact.mesolve(model, hx.product_state(2, "down"), [0.0, 0.5, 1.0])
    expected = np.linalg.eigvalsh(exact.final_state.full())[0]
    assert run.diagnostics["smallest_probability_pair"][-1] == pytest.approx(expected, abs=2e-3)


def test_violations_are_told_with_time_place_and_remedy():
    """Weights 2 and -1 of two product states: site 1 has |⟨σ⟩| = 3, and the purity is above 1."""
    coordinates = jnp.array([[[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]], [[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]])
    identity = hx.SymmetryGroup.identity(2)
    state = mixture_state(jnp.array([2.0, -1.0]), coordinates, hx.Bloch(site_basis(2)), identity)
    model = hx.models.dissipative_ising(hx.Lattice.from_graph(nx.path_graph(2)), V=0.0, g=0.0)
    with pytest.warns(hx.HusimixWarning) as caught:
        run = hx.mesolve(model, state, [0.0, 0.1], progress=False)
    texts = [str(w.message) for w in caught]
    assert len(texts) == 3
    assert texts[0].startswith("Unphysical state at t = 0: site 1 has a probability of -1.")
    assert texts[1].startswith("Unphysical state at t = 0: sites 0 and 1 together have a probability of -1.")
    assert texts[2].startswith("Unphysical state at t = 0: the purity is 5, above 1.")
    assert all(
        text.endswith("Take more components or a smaller damping, and trust nothing before two seeds agree.")
        for text in texts
    )
    assert all(w.filename == __file__ for w in caught)
    assert run.diagnostics["smallest_probability_site"][0] == pytest.approx(-1.0)
