"""Steady states against exact ones, and what is said of models that have several or none."""

from types import SimpleNamespace

import numpy as np
import pytest

import husimix as hx
from husimix.ansatz import LocalValues, Problem
from husimix.solve import search
from husimix.solve.progress import ProgressMeter

RING = hx.Lattice.chain(4, periodic=True)


def ising(g):
    return hx.models.dissipative_ising(RING, V=2.0, g=g)


def test_steady_states_are_the_exact_ones():
    bond = hx.operator_sum([hx.pauli("zz", i, j) for i, j in RING.bonds()]) / 4
    for g in (0.5, 2.0):
        found = hx.steadystate(ising(g), ansatz=hx.Mixture(components=8), observables={"zz": bond}, progress=False)
        exact = hx.exact.steadystate(ising(g), observables={"zz": bond})
        assert found.completed and found.drift < 3e-4
        np.testing.assert_allclose(found.bloch, exact.bloch[0], atol=2e-3)
        assert found.expect["zz"] == pytest.approx(exact.expect["zz"][0], abs=2e-3)
        assert found.disagreement < 2e-3
        assert len(found.alternatives) == 1
        assert 0 < found.residual < 0.05


def test_the_gap_of_independent_spins_is_known():
    """Decay of σz at rate γ, of σx, σy at γ/2: from spins along +x the slowest rate in sight is γ/2."""
    n, gamma = 3, 0.8
    model = hx.Lindbladian(
        hx.operator_sum([0.0 * hx.sigmax(i) for i in range(n)]),
        [hx.Dissipator(hx.sigmam(i), gamma) for i in range(n)],
        n_sites=n,
    )
    found = hx.steadystate(
        model, hx.product_state(n, "+x"), ansatz=hx.Mixture(components=1), starts=1, max_drift=0.0001, progress=False
    )
    # What is left to change is the drift over the rate of relaxation, here γ/2.
    np.testing.assert_allclose(found.bloch, np.tile([0.0, 0.0, -1.0], (n, 1)), atol=1e-4 * gamma / (gamma / 2))
    assert found.gap == pytest.approx(gamma / 2, rel=0.1)


def test_several_steady_states_are_reported():
    """A spin whose σz is conserved keeps what it starts with."""
    model = hx.Lindbladian(
        hx.sigmaz(2) + hx.pauli("zz", 0, 1), [hx.Dissipator(hx.sigmam(i), 1.0) for i in (0, 1)], n_sites=3
    )
    with pytest.warns(hx.HusimixWarning, match="there may be several steady states"):
        found = hx.steadystate(model, ansatz=hx.Mixture(components=2), progress=False)
    assert found.disagreement == pytest.approx(1.0, abs=1e-3)
    ends = sorted(s.bloch()[2, 2] for s in (found.state, *found.alternatives))
    np.testing.assert_allclose(ends, [-1.0, 0.0], atol=1e-3)


def test_a_model_without_dissipation_is_refused():
    model = hx.Lindbladian(hx.sigmax(0), [], n_sites=1)
    with pytest.raises(ValueError, match="Argument `model` must have dissipation for a steady state"):
        hx.steadystate(model, progress=False)


def test_a_search_that_is_too_short_says_so():
    with pytest.warns(hx.HusimixWarning, match="Not stationary: expectation values"):
        found = hx.steadystate(
            ising(1.0), ansatz=hx.Mixture(components=2), starts=1, max_time=0.5, max_drift=1e-14, progress=False
        )
    assert not found.completed


def test_steady_states_save_and_load(tmp_path):
    observables = {"zz": hx.pauli("zz", 0, 1), "lower": hx.sigmam(0)}
    found = hx.steadystate(ising(1.0), ansatz=hx.Mixture(components=4), observables=observables, progress=False)
    loaded = hx.load(found.save(tmp_path / "steady.nc"))
    assert isinstance(loaded, hx.SteadyState)
    assert_same(loaded, found)
    data = found.to_xarray()
    np.testing.assert_array_equal(data["bloch"].sel(axis="z"), found.bloch[:, 2])
    assert complex(*data["expect_lower"].values) == found.expect["lower"]
    assert float(data["residual"]) == found.residual


def assert_same(loaded, found):
    np.testing.assert_array_equal(loaded.bloch, found.bloch)
    assert loaded.expect == found.expect
    for name in ("residual", "speed", "drift", "gap", "disagreement"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(found, name))
    assert set(loaded.diagnostics) == set(found.diagnostics)
    for name, value in found.diagnostics.items():
        np.testing.assert_array_equal(loaded.diagnostics[name], value)
    assert loaded.status is found.status and loaded.settings == found.settings
    assert loaded.model.to_dict() == found.model.to_dict()
    assert len(loaded.alternatives) == len(found.alternatives)
    for ours, theirs in zip((loaded.state, *loaded.alternatives), (found.state, *found.alternatives), strict=True):
        np.testing.assert_array_equal(ours.to_dense(), theirs.to_dense())


@pytest.mark.parametrize("fastest", ["observable", "pair", "site"])
def test_the_drift_is_the_rate_of_change_of_expectation_values(fastest):
    """Before it settles, the drift is that of a run between two close times, whatever changes fastest."""
    g, end = {"observable": (2.0, 1.0), "pair": (2.0, 1.1), "site": (2.0, 0.9)}[fastest]
    model, state = ising(g), hx.product_state(4, "down")
    observables = {"y": 3.0 * hx.sigmay(0)} if fastest == "observable" else {}
    with pytest.warns(hx.HusimixWarning, match="Not stationary: expectation values"):
        found = hx.steadystate(
            model,
            state,
            ansatz=hx.Mixture(components=4),
            observables=observables,
            starts=1,
            max_time=end,
            progress=False,
        )
    run = hx.mesolve(
        model, found.state, [0.0, 0.0001], ansatz=hx.Mixture(components=4), observables=observables, progress=False
    )
    pairs = [hx.pauli(a + b, 0, 1) for a in "xyz" for b in "xyz"]
    changes = {
        "site": np.abs(run.bloch[1] - run.bloch[0]).max() / 1e-4,
        "pair": max(abs(run.final_state.expect(o) - found.state.expect(o)) for o in pairs) / 1e-4,
        "observable": np.ptp(run.expect["y"]) / 1e-4 if observables else 0.0,
    }
    assert max(changes, key=lambda name: changes[name]) == fastest
    assert found.drift == pytest.approx(changes[fastest], rel=2e-3)


def test_newton_steps_reach_what_evolution_cannot():
    """Far below what errors of the time steps let evolution come to."""
    found = hx.steadystate(ising(0.5), ansatz=hx.Mixture(components=1), starts=1, max_drift=1e-09, progress=False)
    assert found.completed and found.drift < 1e-9


def test_an_interrupted_search_ends_and_keeps_what_it_has(monkeypatch):
    update = ProgressMeter.update

    def interrupt(self, time, steps):
        update(self, time, steps)
        if time > 1.0:
            raise KeyboardInterrupt

    monkeypatch.setattr(ProgressMeter, "update", interrupt)
    with pytest.warns(hx.HusimixWarning, match="interrupted"):
        found = hx.steadystate(ising(1.0), ansatz=hx.Mixture(components=2), starts=3, progress=False)
    assert found.status is hx.Status.INTERRUPTED and not found.completed
    assert found.alternatives == []


def test_implicit_steps_go_where_evolution_goes():
    """From the same point, long evolution and implicit steps end in the same stationary state."""
    model, state = ising(1.0), hx.product_state(4, "down")
    mixture = hx.Mixture(components=8)
    near, far = (hx.mesolve(model, state, [0.0, t], ansatz=mixture, progress=False) for t in (10.0, 40.0))
    prepared = mixture.prepare(Problem(model, near.final_state, "auto", {}, 0, 1.0))
    start = search._End(np.inf, prepared.motion, prepared.point)
    before = search._rest(prepared.motion, prepared.point).certificate.speed
    found = search._implicit(start, 1.0, 1e-9)
    assert search._rest(found.motion, found.point).certificate.speed < 0.05 * before
    ended = found.motion.state(found.point, near.final_state.history)
    np.testing.assert_allclose(ended.bloch().mean(axis=0), far.bloch[-1].mean(axis=0), atol=2e-4)


def test_means_over_windows_are_stationary_where_the_state_is_not():
    """A state that turns in a circle: means stand still, and the typical row is the one nearest to them."""
    trail = search._Trail(rate=2.0)
    for number in range(40):
        phase = 2 * np.pi * number / 20
        values = LocalValues(np.array([[np.cos(phase), 0.01 * phase]]), np.zeros((0, 4, 4)))
        assert trail.mean_drift == np.inf
        trail.add(SimpleNamespace(t=number / 8, local_values=values, observables={}, number=number))
    # The second value grows by 0.02π in a window of 20 looks, 8 in a unit of time; the mean of the first is 0.
    assert trail.mean_drift == pytest.approx(0.02 * np.pi * 8 / 20)
    assert trail.typical().number == 25
    assert max(trail.drifts) == pytest.approx(8 * np.cos(0.4 * np.pi))


@pytest.mark.parametrize("name", ["_rest", "_implicit"])
def test_an_interruption_after_the_evolution_keeps_its_end(monkeypatch, name):
    called, function = [], getattr(search, name)

    def interrupted_once(*arguments):
        called.append(1)
        if len(called) == 1:
            raise KeyboardInterrupt
        return function(*arguments)

    monkeypatch.setattr(search, name, interrupted_once)
    with pytest.warns(hx.HusimixWarning, match="interrupted"):
        found = hx.steadystate(ising(1.0), ansatz=hx.Mixture(components=2), max_drift=1e-09, progress=False)
    assert called and found.status is hx.Status.INTERRUPTED
    assert found.bloch[:, 2].mean() > -0.99


def test_a_tolerance_climbs_the_ladder_of_steady_states():
    found = hx.steadystate(ising(2.0), ansatz=hx.Mixture(), tol=1e-2, starts=1, progress=False)
    assert found.status is hx.Status.COMPLETED and found.estimated_error <= 1e-2
    assert found.settings["rungs"][:2] == ["4 to 16 components", "8 to 32 components"]
    np.testing.assert_allclose(found.bloch, hx.exact.steadystate(ising(2.0)).bloch[0], atol=1e-2)
