"""Where clusters could mislead: products of far correlations, starts that do not fit, graphs and sizes at their limits."""

import json
import warnings

import networkx as nx
import numpy as np
import pytest

import husimix as hx
from cluster_truth import exactly_evolved, prepared, tensor
from husimix import Clusters, Dissipator, Lattice, Lindbladian, pauli, sigmam, sigmaz

QUIET = {"progress": False}


def ising(n, V=2.0, g=1.0, **lattice):
    return hx.models.dissipative_ising(Lattice.chain(n, **lattice), V=V, g=g)


def kept_supports(motion):
    return {tuple(row) for rows in motion.layout.family.by_size.values() for row in rows.tolist()}


def test_products_of_correlations_in_two_places_are_seen():
    model = Lindbladian(pauli("xx", 0, 1) + pauli("xx", 2, 3), [Dissipator(sigmam(i), 0.1) for i in range(4)], 4)
    times, zzzz = [0.0, 0.5, 1.0], {"zzzz": pauli("zzzz", 0, 1, 2, 3)}
    exact = hx.exact.mesolve(model, hx.product_state(4), times, observables=zzzz)
    fine = hx.Stepping(rtol=1e-7)
    found = hx.mesolve(model, hx.product_state(4), times, ansatz=Clusters(2), observables=zzzz, method=fine, **QUIET)
    np.testing.assert_allclose(found.expect["zzzz"], exact.expect["zzzz"], rtol=0, atol=1e-5)
    state = found.final_state
    assert state.expect(zzzz["zzzz"]) == pytest.approx(found.expect["zzzz"][-1], abs=1e-12)
    dimers = state.renyi2([0, 1]) + state.renyi2([2, 3])
    assert state.renyi2(range(4)) == pytest.approx(dimers, abs=1e-10)
    assert np.linalg.eigvalsh(state.to_dense()).min() > -1e-5


def test_products_of_too_many_sites_are_refused():
    wide = {"wide": pauli("z" * 13, *range(13))}
    with pytest.raises(ValueError, match="products of at most 12 sites, but got 13 sites"):
        hx.mesolve(ising(14), hx.product_state(14), [0, 1], ansatz=Clusters(2), observables=wide, **QUIET)


def test_correlations_of_the_start_go_on_where_the_model_has_no_couplings():
    xz, fine = {"xz": pauli("xz", 0, 1)}, hx.Stepping(rtol=1e-8)
    on, off = ising(3, V=5, g=3), ising(3, V=0, g=3)
    arguments = {"ansatz": Clusters(3), "observables": xz, "method": fine, **QUIET}
    first = hx.mesolve(on, hx.product_state(3, "+x"), [0.0, 0.6], **arguments)
    second = hx.mesolve(off, first.final_state, [0.6, 1.0], **arguments)
    expected = tensor(first.final_state)
    expected = exactly_evolved(off, expected, 0.4).reshape(4, 4, 4)[1, 3, 0]
    assert second.expect["xz"][0] == pytest.approx(first.expect["xz"][-1], abs=1e-10)
    assert second.expect["xz"][-1] == pytest.approx(expected, abs=1e-6)


def test_what_is_left_out_of_a_start_is_told_and_counted():
    model = Lindbladian(0 * sigmaz(0), [Dissipator(sigmaz(i), 0.1) for i in range(3)], 3)
    mixed = hx.mesolve(ising(3, V=5, g=3), hx.product_state(3), [0, 0.5], ansatz=hx.Mixture(8), **QUIET).final_state
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", hx.HusimixWarning)
        found = hx.mesolve(model, mixed, [0.5, 0.6], ansatz=Clusters(), tol=1e-3, **QUIET)
    assert "tol = 0.001 is not met" in str(caught[0].message) and "is left out" in str(caught[1].message)
    assert len(caught) == 2
    assert found.status is hx.Status.TOLERANCE_MISSED
    with pytest.warns(hx.HusimixWarning, match="is left out"):
        alone = hx.mesolve(model, mixed, [0.5, 0.6], ansatz=Clusters(2), **QUIET)
    assert alone.diagnostics["accumulated_error"][0] > mixed.history.accumulated_error + 1e-3


def test_a_ladder_begins_where_clusters_hold_the_largest_term():
    model = Lindbladian(pauli("xxxx", 0, 1, 2, 3), [Dissipator(sigmaz(i), 0.01) for i in range(4)], 4)
    found = hx.mesolve(model, hx.product_state(4, "up"), [0.0, 0.75, 1.5], **QUIET)
    exact = hx.exact.mesolve(model, hx.product_state(4, "up"), [0.0, 0.75, 1.5])
    np.testing.assert_allclose(found.bloch, exact.bloch, rtol=0, atol=1e-2)


def test_edge_damping_is_never_exact():
    state = hx.product_state(3)
    assert prepared(ising(3), state, Clusters(3)).is_exact
    assert not prepared(ising(3), state, Clusters(3, edge_damping=1.0)).is_exact
    assert not prepared(ising(3), state, Clusters(3, neighbours=[(0, 1)])).is_exact
    apart = Lindbladian(pauli("xx", 0, 1) + pauli("xx", 2, 3), [], 4)
    assert prepared(apart, hx.product_state(4), Clusters(2)).is_exact
    joined = hx.mesolve(ising(4), hx.product_state(4), [0, 0.5], ansatz=Clusters(2), symmetry=None, **QUIET).final_state
    assert not prepared(apart, joined, Clusters(2)).is_exact  # the start has correlations between the two dimers


def test_finer_steps_are_what_an_exact_ansatz_climbs():
    found = hx.mesolve(ising(3), hx.product_state(3), [0.0, 1.0, 2.0], tol=1e-6, **QUIET)
    exact = hx.exact.mesolve(ising(3), hx.product_state(3), [0.0, 1.0, 2.0])
    assert found.status is hx.Status.COMPLETED and found.settings["rungs"].count("clusters of 3") > 1
    assert np.abs(found.bloch - exact.bloch).max() < 5e-6


def test_a_graph_has_the_symmetry_that_is_used():
    model, chosen = ising(6, periodic=True), Clusters(3, neighbours=[(0, 1)])
    plain = prepared(model, hx.product_state(6), chosen, symmetry=None)[0]
    assert kept_supports(plain) == {(0, 1)}
    full = prepared(model, hx.product_state(6), chosen, symmetry="auto")[0]
    whole = prepared(model, hx.product_state(6), Clusters(3), symmetry="auto")[0]
    assert kept_supports(full) == kept_supports(whole)
    moved = prepared(model, hx.product_state(6), Clusters(3, neighbours=[(3, 4)]), symmetry="auto")[0]
    assert kept_supports(moved) == kept_supports(whole)


@pytest.mark.parametrize("graph", [nx.Graph, nx.MultiGraph, nx.DiGraph])
def test_graphs_of_all_kinds_and_numbers_are_taken(graph):
    edges = graph([(np.int64(0), np.int64(1)), (1, 2), (2, 3)])
    ansatz = Clusters(2, neighbours=edges)
    assert sorted(ansatz.neighbours) == [(0, 1), (1, 2), (2, 3)]
    assert json.loads(json.dumps(ansatz.to_dict()))["neighbours"]
    assert Clusters(2, neighbours=np.float32(0.5)).neighbours == 0.5


def test_sizes_beyond_the_lattice_are_those_of_the_lattice():
    plain, beyond = (prepared(ising(4), hx.product_state(4), Clusters(size))[0] for size in (4, 1000))
    assert kept_supports(plain) == kept_supports(beyond)


def test_a_run_goes_on_with_a_subgroup():
    ring = ising(6, periodic=True)
    state = hx.mesolve(ring, hx.product_state(6), [0, 0.5], ansatz=Clusters(3), **QUIET).final_state
    by_two = [np.roll(np.arange(6), 2)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        further = hx.mesolve(ring, state, [0.5, 0.7], ansatz=Clusters(3), symmetry=by_two, **QUIET)
        plain = hx.mesolve(ring, state, [0.5, 0.7], ansatz=Clusters(3), **QUIET)
    np.testing.assert_allclose(further.bloch, plain.bloch, rtol=0, atol=1e-4)
    assert not state.is_invariant(hx.Transformation(np.array([1, 0, 2, 3, 4, 5])))


def test_estimates_of_what_cannot_be_listed_come_at_once():
    model = hx.models.dissipative_ising(Lattice.square(8, 8, periodic=True))
    found = hx.estimate(model, ansatz=Clusters(size=14))
    assert not found.fits and found.n_parameters > 1e8


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.husimi([0, 1], 0.0, 0.0), "`site` must be an integer"),
        (lambda s: s.husimi(0, "a", 0.0), "`theta` must be real angles"),
        (lambda s: s.joint_husimi((0, 1), 0.0, (0, 0)), "`first` must be a pair of angles"),
        (lambda s: Clusters(certificate="no"), "`certificate` must be True or False"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(hx.product_state(3))
