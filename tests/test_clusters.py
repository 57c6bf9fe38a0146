"""Clusters as users meet them: runs, states, files, ladders, steady states and errors."""

import warnings

import networkx as nx
import numpy as np
import pytest

import husimix as hx
from cluster_truth import correlated_mixture, exactly_evolved, random_model, random_start, tensor
from dense import density_of
from husimix import Clusters, Lattice, models

QUIET = {"progress": False}
TIMES = np.linspace(0, 1.5, 4)


def ising(lattice=None, V=2.0, g=1.0):
    return models.dissipative_ising(Lattice.chain(4) if lattice is None else lattice, V=V, g=g)


def run(model=None, start=None, times=TIMES, size=4, **arguments):
    model = ising() if model is None else model
    start = hx.product_state(model.n_sites) if start is None else start
    return hx.mesolve(model, start, times, ansatz=Clusters(size=size), **QUIET, **arguments)


@pytest.fixture(scope="module")
def whole():
    """Clusters of all four sites, at the last time, with the exact R."""
    model, start = random_model(3), random_start(3, random_model(3))
    result = run(model, start, [0, 0.5], method=hx.Stepping(rtol=1e-9))
    return result.final_state, exactly_evolved(model, tensor(start), 0.5)


@pytest.fixture(scope="module")
def ring():
    """Clusters of two of six sites on a ring."""
    model = ising(Lattice.chain(6, periodic=True))
    return run(model, size=2, observables={"xx": hx.pauli("xx", 0, 1), "lower": hx.sigmam(2)})


def test_a_run_of_all_sites_is_the_exact_one():
    observables = {"xx": hx.pauli("xx", 0, 1), "zzz": hx.pauli("zzz", 0, 1, 3), "lower": hx.sigmam(2)}
    model, start = ising(V=5, g=5), hx.product_state(4, ["down", "+x", "up", "mixed"])
    found = run(model, start, observables=observables, method=hx.Stepping(rtol=1e-8))
    exact = hx.exact.mesolve(model, start, TIMES, observables=observables)
    assert found.completed
    np.testing.assert_allclose(found.bloch, exact.bloch, rtol=0, atol=1e-6)
    for name in observables:
        np.testing.assert_allclose(found.expect[name], exact.expect[name], rtol=0, atol=1e-6)
    assert found.diagnostics["step_error"][-1] < 1e-5


def test_default_settings_hold_the_error_they_tell():
    found = run(ising(V=3, g=2), size=4)
    exact = hx.exact.mesolve(ising(V=3, g=2), hx.product_state(4), TIMES)
    assert np.abs(found.bloch - exact.bloch).max() < 1e-3


def test_diagnostics_and_what_a_run_tells(ring):
    assert ring.completed
    assert ring.diagnostics["largest_edge_moment"][-1] > 1e-3
    assert np.all(ring.diagnostics["projection_error"][1:] > 0)
    by_site = ring.diagnostics["projection_error_site"]
    assert by_site.shape == (len(ring.times), 6)
    # Means over time of each: at one instant the squares add up.
    assert np.all(
        np.sqrt(np.sum(by_site[1:] ** 2, axis=1)) <= ring.diagnostics["projection_error_absolute"][1:] + 1e-12
    )
    np.testing.assert_allclose(by_site[1:], by_site[1:, :1] * np.ones(6), rtol=1e-12)
    data = ring.to_xarray()["diagnostic_projection_error_site"]
    assert data.dims == ("time", "site")
    assert ring.meanings["largest_edge_moment"].startswith("largest central moment")
    assert ring.settings["ansatz"]["size"] == 2


def test_leaving_out_the_certificate_changes_nothing_else(ring):
    model = ising(Lattice.chain(6, periodic=True))
    other = hx.mesolve(model, hx.product_state(6), TIMES, ansatz=Clusters(size=2, certificate=False), **QUIET)
    np.testing.assert_allclose(other.bloch, ring.bloch, rtol=0, atol=1e-12)
    assert np.isnan(other.diagnostics["projection_error"]).all()


def test_everything_that_a_state_tells_is_right_where_nothing_is_left_out(whole):
    state, values = whole
    cube = values.reshape(4, 4, 4, 4)
    np.testing.assert_allclose(tensor(state), values, rtol=0, atol=1e-7)
    np.testing.assert_allclose(state.bloch()[1], cube[0, 1:, 0, 0], rtol=0, atol=1e-7)
    np.testing.assert_allclose(state.tensor((2, 0)), cube[:, 0, :, 0].T, rtol=0, atol=1e-7)
    assert state.expect(hx.pauli("xyz", 3, 0, 1)) == pytest.approx(cube[2, 3, 0, 1], abs=1e-7)
    assert state.correlation("x", "z")[2, 1] == pytest.approx(cube[0, 3, 1, 0], abs=1e-7)
    product = np.outer(state.bloch()[:, 0], state.bloch()[:, 2])
    np.testing.assert_allclose(
        state.correlation("x", "z", connected=True) + product, state.correlation("x", "z"), rtol=0, atol=1e-12
    )
    assert state.purity() == pytest.approx(np.sum(values**2) / 16, abs=1e-7)
    assert state.renyi2([0, 3]) == pytest.approx(-np.log(np.sum(cube[:, 0, 0, :] ** 2) / 4), abs=1e-7)
    dense = state.to_dense()
    assert np.trace(dense) == pytest.approx(1.0, abs=1e-12)
    assert np.trace(dense @ dense).real == pytest.approx(state.purity(), abs=1e-12)
    reduced = state.reduced([3, 1])
    assert np.trace(reduced @ reduced).real == pytest.approx(np.exp(-state.renyi2([1, 3])), abs=1e-12)
    up = (1 + cube[0, 0, 3, 0]) / 2
    assert state.reduced(2)[0, 0].real == pytest.approx(up, abs=1e-7)
    theta, phi = np.array([0.3, 1.2]), np.array([0.4, 2.0])
    direction = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])
    np.testing.assert_allclose(state.husimi(1, theta, phi), (1 + state.bloch()[1] @ direction) / 2, rtol=0, atol=1e-12)
    np.testing.assert_allclose(dense, density_of(values, state.basis, 4), rtol=0, atol=1e-7)


def test_central_moments_outside_of_the_kept_supports_count_as_zero(ring):
    state = ring.final_state
    far, near = state.correlation("x", "x", connected=True)[0, [3, 1]]
    assert far == 0.0
    assert abs(near) > 1e-3
    one, other = state.bloch()[[0, 3], 0]
    assert state.expect(hx.pauli("xx", 0, 3)) == pytest.approx(one * other, abs=1e-15)


def test_extra_pairs_join_far_sites_over_the_pairs_between():
    model = ising(Lattice.chain(5))
    found = hx.mesolve(model, hx.product_state(5), TIMES, ansatz=Clusters(size=2, extra=[(0, 2), (0, 3)]), **QUIET)
    assert abs(found.final_state.correlation("x", "x", connected=True)[0, 3]) > 1e-6


def test_the_purity_of_a_whole_that_is_left_out_is_refused(ring):
    with pytest.raises(ValueError, match="must keep all moments for the purity of the whole"):
        ring.final_state.purity()
    assert hx.product_state(5, "mixed").purity() == pytest.approx(2.0**-5)


def test_a_state_survives_a_file(ring, tmp_path):
    path = tmp_path / "run.h5"
    ring.save(path)
    loaded = hx.load(path)
    state, expected = loaded.final_state, ring.final_state
    np.testing.assert_array_equal(state.bloch(), expected.bloch())
    np.testing.assert_array_equal(state.correlation("x", "y"), expected.correlation("x", "y"))
    assert repr(state) == repr(expected)
    assert state.history == expected.history


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_run_goes_on_with_clusters_of_another_size(ring, size):
    model = ising(Lattice.chain(6, periodic=True))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", hx.HusimixWarning)
        further = run(model, ring.final_state, TIMES, size=size)
    assert further.completed
    lost = further.diagnostics["accumulated_error"][0] - ring.final_state.history.accumulated_error
    assert (lost > 1e-2 and "is left out" in str(caught[0].message)) if size < 2 else (abs(lost) < 1e-12 and not caught)
    np.testing.assert_allclose(further.bloch[0], ring.bloch[-1], rtol=0, atol=1e-14)


def test_a_run_in_two_parts_is_one_run(ring):
    model = ising(Lattice.chain(6, periodic=True))
    method = hx.Stepping(rtol=1e-9)
    one = run(model, times=[0, 1.0], size=3, method=method)
    first = run(model, times=[0, 0.4], size=3, method=method)
    second = run(model, first.final_state, times=[0.4, 1.0], size=3, method=method, symmetry=None)
    np.testing.assert_allclose(second.bloch[-1], one.bloch[-1], rtol=0, atol=1e-8)


def test_a_mixture_starts_clusters_and_only_a_product_the_reverse(ring):
    mixture, model = correlated_mixture(3), models.dissipative_xyz(Lattice.chain(3))
    found = run(model, mixture, size=3, method=hx.Stepping(rtol=1e-7))
    exact = hx.exact.mesolve(model, mixture, TIMES)
    np.testing.assert_allclose(found.bloch, exact.bloch, rtol=0, atol=1e-4)
    product = run(ising(), size=1).final_state
    assert hx.mesolve(ising(), product, [0, 0.1], ansatz=hx.Mixture(2), **QUIET).completed
    with pytest.raises(ValueError, match="Argument `state` must"):
        hx.mesolve(ising(Lattice.chain(6, periodic=True)), ring.final_state, [0, 0.1], ansatz=hx.Mixture(2), **QUIET)


def test_the_ladder_climbs_to_a_tolerance():
    model = ising(Lattice.chain(5), V=2, g=1)
    found = hx.mesolve(model, hx.product_state(5), TIMES, ansatz=Clusters(), tol=2e-3, **QUIET)
    exact = hx.exact.mesolve(model, hx.product_state(5), TIMES)
    assert found.completed
    assert np.abs(found.bloch - exact.bloch).max() < 2e-3
    assert 3 <= found.final_state.size <= 5


def test_a_steady_state():
    model = ising(Lattice.chain(4), V=2, g=1)
    found = hx.steadystate(model, ansatz=Clusters(size=4), max_drift=1e-7, **QUIET)
    exact = hx.exact.steadystate(model)
    np.testing.assert_allclose(found.state.bloch(), np.squeeze(exact.bloch), rtol=0, atol=1e-6)


def test_a_closed_system_without_enough_sites_runs_away_with_a_remedy():
    model = models.dissipative_ising(Lattice.square(2, 2, periodic=False), V=8, g=8, gamma=0.0)
    with pytest.warns(hx.HusimixWarning) as caught:
        found = hx.mesolve(model, hx.product_state(4), np.linspace(0, 40, 41), ansatz=Clusters(size=3), **QUIET)
    assert any("left what any quantum state allows" in str(one.message) for one in caught)
    assert found.status == hx.Status.RUN_AWAY
    assert "edge_damping" in found.message
    assert np.isfinite(found.bloch).all()
    damped = Clusters(size=3, edge_damping=20.0)
    assert hx.mesolve(model, hx.product_state(4), np.linspace(0, 40, 41), ansatz=damped, **QUIET).completed


def test_an_estimate_counts_what_moves():
    model = models.dissipative_ising(Lattice.square(8, 8, periodic=True))
    for size, count in ((1, 3), (2, 21), (3, 219), (4, 2460)):
        found = hx.estimate(model, hx.product_state(64), ansatz=Clusters(size=size), symmetry="translations")
        assert found.fits
        assert found.n_parameters >= count or size == 1


REFUSED = {
    "no site": (lambda: Clusters(size=0), "Argument `size` must"),
    "half a site": (lambda: Clusters(size=2.5), "Argument `size` must"),
    "negative damping": (
        lambda: Clusters(edge_damping=-0.1),
        "Argument `edge_damping` must be finite and non-negative",
    ),
    "no memory": (lambda: Clusters(memory_limit=0), "Argument `memory_limit` must"),
    "one site as a support": (lambda: Clusters(extra=[(0,)]), "Argument `extra` must hold supports of two or more"),
    "a site twice": (lambda: Clusters(extra=[(0, 0)]), "Argument `extra` must hold supports of two or more"),
    "no supports": (lambda: Clusters(extra="ab"), "Argument `extra` must"),
    "neighbours of words": (lambda: Clusters(neighbours="near"), "Argument `neighbours` must"),
    "a site its own neighbour": (lambda: Clusters(neighbours=[(1, 1)]), "Argument `neighbours` must"),
    "negative cutoff": (lambda: Clusters(neighbours=-1.0), "Argument `neighbours` must"),
    "a support outside": (lambda: run_with(extra=[(0, 9)]), "Argument `extra` must hold sites 0 to 3"),
    "neighbours outside": (lambda: run_with(neighbours=[(0, 9)]), "Argument `neighbours` must join sites 0 to 3"),
    "a graph of words": (
        lambda: run_with(neighbours=nx.Graph([("a", "b")])),
        "Argument `neighbours` must be an integer",
    ),
    "a state of other sites": (lambda: run(start=hx.product_state(5)), "Argument `state` must"),
    "an unknown ansatz": (lambda: hx.mesolve(ising(), hx.product_state(4), TIMES, ansatz="cluster"), "must be one of"),
}


def run_with(**settings):
    return hx.mesolve(ising(), hx.product_state(4), TIMES, ansatz=Clusters(**settings), **QUIET)


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused_with_a_reason(name):
    call, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        call()


def test_supports_that_do_not_fit_are_refused_before_they_are_listed():
    lattice = Lattice.square(40)
    with pytest.raises(ValueError, match=r"Argument `size` must give a set of supports that fits into memory.*GiB"):
        hx.mesolve(ising(lattice), hx.product_state(1600), TIMES, ansatz=Clusters(size=9), **QUIET)


def test_higher_spins_run():
    model = random_model(2, 2, 3)
    start = random_start(2, model)
    found = run(model, start, [0, 0.3], size=2, method=hx.Stepping(rtol=1e-8))
    expected = exactly_evolved(model, tensor(start), 0.3)
    np.testing.assert_allclose(tensor(found.final_state), expected, rtol=0, atol=1e-6)
    assert found.final_state.basis.dimension == 3
