"""Time evolution: closed forms, conservation, early ends and arguments."""

import logging
import re

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import husimix as hx
import systems
from husimix.mixture.metric_solvers import AbstractMetricSolver
from husimix.solve import run as runs
from husimix.solve import stepping

QUIET = {"progress": False}
TIMES = np.linspace(0.0, 2.0, 11)


def ising_ring(n=3, V=2.0, g=1.0):
    return hx.models.dissipative_ising(hx.Lattice.chain(n, periodic=True), V=V, g=g)


@pytest.mark.parametrize("components", [1, 3])
def test_independent_spins_are_exact_for_any_number_of_components(components):
    start = np.array([[0.6, 0.0, 0.8], [0.0, -1.0, 0.0], [0.1, 0.2, -0.3]])
    system = systems.Decay()
    result = hx.mesolve(
        system.model(3),
        hx.product_state(3, start),
        TIMES,
        ansatz=hx.Mixture(components=components),
        observables={"xy": hx.pauli("xy", 0, 1), "lower": hx.sigmam(0)},
        method=hx.Stepping(rtol=1e-08),
        **QUIET,
    )
    expected = system.bloch(start, TIMES)
    # The damping of the default metric solver, 1e-6, bounds what can be asked.
    np.testing.assert_allclose(result.bloch, expected, atol=3e-6)
    np.testing.assert_allclose(result.expect["xy"], expected[:, 0, 0] * expected[:, 1, 1], atol=3e-6)
    lower = (expected[:, 0, 0] - 1j * expected[:, 0, 1]) / 2
    np.testing.assert_allclose(result.expect["lower"], lower, atol=3e-6)
    assert result.completed and np.iscomplexobj(result.expect["lower"])


@pytest.mark.parametrize("lattice", [hx.Lattice.chain(4), hx.Lattice.square(3, 3, periodic=True)])
def test_one_bloch_component_is_mean_field_where_the_metric_weighs_the_trace(lattice):
    """Mean field drops correlations; the projection counts them with weight g, so it is the limit g → 0."""
    model = hx.models.dissipative_ising(lattice, V=3.0, g=1.5, gamma=0.8)
    state = hx.product_state(lattice.n_sites, "down")
    expected = systems.ising_mean_field(lattice, 3.0, 1.5, 0.8, TIMES)
    weights = np.array([1e-3, 1e-4])
    method, exactly = hx.Stepping(rtol=1e-9), hx.Tikhonov(1e-13)
    limits = [
        hx.mesolve(
            model,
            state,
            TIMES,
            ansatz=hx.Mixture(components=1, metric=g, metric_solver=exactly),
            symmetry=None,
            method=method,
            **QUIET,
        ).bloch
        for g in weights
    ]
    deviations = [np.abs(run - expected).max() for run in limits]
    assert np.log(deviations[0] / deviations[1]) / np.log(10) == pytest.approx(1.0, abs=0.03)
    limit = (10 * limits[1] - limits[0]) / 9
    np.testing.assert_allclose(limit, expected, atol=1e-6)


def test_one_coherent_component_is_mean_field_in_every_metric_for_unitary_motion():
    """Pure product states under a Hamiltonian: the local field is that of mean field whatever the weights.

    Without symmetry: averaged over mirror images, a component leaves its symmetry by rounding over the damping.
    """
    lattice = hx.Lattice.chain(3)
    model = hx.models.dissipative_ising(lattice, V=3.0, g=1.5, gamma=0.0)
    expected = systems.ising_mean_field(lattice, 3.0, 1.5, 0.0, TIMES)
    for metric in ("husimi", "hilbert-schmidt", 0.05):
        run = hx.mesolve(
            model,
            hx.product_state(3, "down"),
            TIMES,
            ansatz=hx.Mixture(components=1, manifold="coherent", metric=metric, metric_solver=hx.Tikhonov(1e-12)),
            symmetry=None,
            method=hx.Stepping(rtol=1e-09),
            **QUIET,
        )
        np.testing.assert_allclose(run.bloch, expected, atol=1e-6)


@pytest.mark.parametrize("manifold", ["bloch", "coherent"])
@pytest.mark.parametrize("solver", [hx.Tikhonov(1e-6), hx.SpectralCutoff(1e-6)])
def test_trace_is_conserved_to_rounding(manifold, solver):
    result = hx.mesolve(
        ising_ring(V=5.0, g=5.0),
        hx.product_state(3, "down"),
        TIMES,
        ansatz=hx.Mixture(components=4, manifold=manifold, metric_solver=solver),
        **QUIET,
    )
    assert np.abs(result.diagnostics["trace"] - 1).max() < 1e-10
    assert np.abs(result.bloch).max() < 1.05


def test_an_up_state_on_the_coherent_manifold_leaves_the_pole():
    """The commonest start sits where angles would be singular."""
    model = hx.Lindbladian(0.5 * hx.sigmax(0), [], n_sites=1)
    result = hx.mesolve(
        model,
        hx.product_state(1, "up"),
        TIMES,
        ansatz=hx.Mixture(components=1, manifold="coherent"),
        method=hx.Stepping(rtol=1e-09),
        **QUIET,
    )
    expected = np.stack([0 * TIMES, -np.sin(TIMES), np.cos(TIMES)], axis=-1)
    np.testing.assert_allclose(result.bloch[:, 0], expected, atol=1e-5)


def test_save_times_do_not_change_the_steps():
    model, state = ising_ring(), hx.product_state(3, "down")
    few, many = (
        hx.mesolve(model, state, np.linspace(0, 2, n), ansatz=hx.Mixture(components=2), **QUIET) for n in (3, 201)
    )
    assert few.diagnostics["steps"][-1] == many.diagnostics["steps"][-1] < 200
    np.testing.assert_allclose(few.bloch, many.bloch[::100], atol=1e-12)


@pytest.mark.parametrize(("solver", "order"), [(diffrax.Bosh3(), 3), (diffrax.Tsit5(), 5)])
def test_error_follows_the_tolerance(solver, order):
    """The local error of an order-p step scales with the tolerance; so must the global one."""
    system, start = systems.Decay(field=6.0), np.array([[0.8, 0.0, 0.6]])
    errors = []
    for rtol in (1e-3, 1e-5, 1e-7):
        method, ansatz = (
            hx.Stepping(rtol=rtol, solver=solver),
            hx.Mixture(components=1, metric_solver=hx.Tikhonov(1e-13)),
        )
        result = hx.mesolve(system.model(1), hx.product_state(1, start), TIMES, ansatz=ansatz, method=method, **QUIET)
        errors.append(np.abs(result.bloch - system.bloch(start, TIMES)).max())
    slope = np.polyfit(np.log([1e-3, 1e-5, 1e-7]), np.log(errors), 1)[0]
    assert order / (order + 1) - 0.15 < slope < 1.3
    assert errors[-1] < 1e-5


def test_symmetric_runs_are_symmetric_and_auto_finds_the_translations():
    result = hx.mesolve(ising_ring(4), hx.product_state(4, "down"), TIMES, ansatz=hx.Mixture(components=3), **QUIET)
    assert result.settings["symmetry"] == "full" and result.final_state.group.order == 4
    np.testing.assert_allclose(result.bloch, np.broadcast_to(result.bloch[:, :1], result.bloch.shape), atol=1e-14)


def test_auto_symmetry_gives_way_to_a_field_and_to_a_state():
    lattice = hx.Lattice.chain(3, periodic=True)
    uniform = ising_ring()
    pinned = hx.Lindbladian(uniform.hamiltonian + 0.1 * hx.sigmaz(0), uniform.dissipators, lattice=lattice)
    down, tilted = hx.product_state(3, "down"), hx.product_state(3, [[0, 0, -1], [0, 0, -1], [1, 0, 0]])
    # What is left of the pinned ring is the reflection about the pin.
    for model, state, order in ((pinned, down, 2), (uniform, tilted, 1)):
        run = hx.mesolve(model, state, [0, 0.1], ansatz=hx.Mixture(components=2), **QUIET)
        assert run.settings["symmetry"] == ("full" if order > 1 else None)
        assert run.final_state.group.order == order
    with pytest.raises(ValueError, match=r"must hold for the model and the initial state, but got the term 0.1 z0"):
        hx.mesolve(pinned, down, [0, 0.1], symmetry="translations", **QUIET)
    with pytest.raises(ValueError, match="an initial state that is not symmetric"):
        hx.mesolve(uniform, tilted, [0, 0.1], symmetry="translations", **QUIET)


def test_translations_of_an_open_lattice_are_refused():
    model = hx.models.dissipative_ising(hx.Lattice.square(2, 3))
    with pytest.raises(ValueError, match=r"`symmetry` must be one that the lattice has.*periodic=True"):
        hx.mesolve(model, hx.product_state(6), TIMES, symmetry="translations", **QUIET)


def test_a_run_goes_on_from_its_final_state():
    model, state = ising_ring(), hx.product_state(3, "down")
    # Without symmetry: averaged over translations, a uniform component is an unstable point, which rounding leaves.
    chosen = {"ansatz": hx.Mixture(components=1), "symmetry": None, "method": hx.Stepping(rtol=1e-7)}
    whole = hx.mesolve(model, state, TIMES, **chosen, **QUIET)
    first = hx.mesolve(model, state, TIMES[:6], **chosen, **QUIET)
    second = hx.mesolve(model, first.final_state, TIMES[5:], **chosen, **QUIET)
    np.testing.assert_allclose(second.bloch[-1], whole.bloch[-1], atol=1e-6)
    first = hx.mesolve(model, state, TIMES[:6], ansatz=hx.Mixture(components=3), **QUIET)
    second = hx.mesolve(model, first.final_state, TIMES[5:7], ansatz=hx.Mixture(), **QUIET)
    np.testing.assert_allclose(second.bloch[0], first.bloch[-1], atol=1e-12)
    assert second.final_state.group.order == 3
    without = hx.mesolve(model, first.final_state, TIMES[5:7], ansatz=hx.Mixture(), symmetry=None, **QUIET)
    assert without.final_state.n_components == 9 and without.final_state.group.order == 1


def test_states_at_all_times_are_kept_on_request():
    result = hx.mesolve(
        ising_ring(), hx.product_state(3, "down"), TIMES, ansatz=hx.Mixture(components=2), save_states=True, **QUIET
    )
    assert len(result.states) == len(TIMES)
    np.testing.assert_allclose([s.bloch() for s in result.states], result.bloch)


def test_the_same_seed_repeats_a_run_and_parameters_do_not_recompile(caplog):
    state = hx.product_state(3, "down")
    first = hx.mesolve(ising_ring(), state, TIMES, ansatz=hx.Mixture(components=2), seed=3, **QUIET)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        again = hx.mesolve(ising_ring(), state, TIMES, ansatz=hx.Mixture(components=2), seed=3, **QUIET)
        other = hx.mesolve(
            ising_ring(V=1.0),
            state,
            TIMES,
            ansatz=hx.Mixture(components=2),
            seed=3,
            method=hx.Stepping(rtol=0.0002),
            **QUIET,
        )
        assert not [record for record in caplog.records if "Finished XLA compilation" in record.getMessage()]
    np.testing.assert_array_equal(first.bloch, again.bloch)
    assert np.abs(first.bloch - other.bloch).max() > 1e-3


def test_running_out_of_steps_keeps_what_there_is():
    with pytest.warns(hx.HusimixWarning, match=r"stopped at t = .*used up `max_steps`. Raise max_steps"):
        result = hx.mesolve(ising_ring(), hx.product_state(3, 'down'), np.linspace(0, 2, 41), ansatz=hx.Mixture(components=2), method=hx.Stepping(max_steps=8), **QUIET)  # fmt: skip
    assert result.status is hx.Status.MAX_STEPS and not result.completed
    assert 1 < len(result.times) < 41 and len(result.times) == len(result.bloch) == len(result.diagnostics["purity"])


class Poisoned(AbstractMetricSolver):
    """A metric solver that fails beyond some weight of the second component, or everywhere."""

    finite: bool = True

    def relative_damping(self):
        return 1e-6

    def to_dict(self):
        return {"name": "Poisoned"}

    def solve(self, matrix, columns):
        solved, report = hx.Tikhonov(1e-6).solve(matrix, columns)
        # Either undefined, or so violent that no step is short enough.
        return (solved * jnp.nan if not self.finite else solved * 1e14), report


@pytest.mark.parametrize(
    ("finite", "status", "remedy"),
    [
        (False, hx.Status.NON_FINITE, "Raise the damping"),
        (True, hx.Status.STEP_COLLAPSE, "Raise the damping"),
    ],
)
def test_a_run_that_cannot_go_on_ends_with_its_remedy(finite, status, remedy):
    with pytest.warns(hx.HusimixWarning, match=remedy):
        result = hx.mesolve(ising_ring(), hx.product_state(3, 'down'), TIMES, ansatz=hx.Mixture(components=2, metric_solver=Poisoned(finite)), **QUIET)  # fmt: skip
    assert result.status is status
    np.testing.assert_allclose(result.times, [0.0])
    np.testing.assert_allclose(result.bloch[0], [[0, 0, -1]] * 3)
    assert np.isfinite(result.final_state.coordinates).all()


def test_an_interrupted_run_keeps_what_it_has(monkeypatch):
    advance, calls = stepping.advance, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return advance(*arguments)

    monkeypatch.setattr(stepping, "advance", interrupted)
    with pytest.warns(hx.HusimixWarning, match="was interrupted"):
        result = hx.mesolve(ising_ring(), hx.product_state(3, "down"), TIMES, ansatz=hx.Mixture(components=2), **QUIET)
    assert result.status is hx.Status.INTERRUPTED and 1 <= len(result.times) < len(TIMES)
    assert len(result.times) == len(result.bloch)


GOOD = {"model": ising_ring(), "state": hx.product_state(3, "down"), "tsave": [0.0, 1.0]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tsave": [0.0, 1.0, 1.0]}, "Argument `tsave` must be increasing, but got 1 followed by 1."),
        ({"tsave": [1.0, 0.0]}, "Argument `tsave` must be increasing, but got 1 followed by 0."),
        ({"tsave": [0.0]}, "Argument `tsave` must be a sequence of at least two times, but got [0.0]."),
        ({"tsave": "0:5"}, "Argument `tsave` must be a sequence of at least two times"),
        ({"tsave": [0.0, np.inf]}, "Argument `tsave` must be finite"),
        ({"tsave": [[0.0], [1.0, 2.0]]}, "Argument `tsave` must be a sequence of at least two times"),
        ({"ansatz": hx.Mixture(components=3000)}, "Argument `components` must fit into memory_limit = 4 GiB"),
        ({"ansatz": "mixtures"}, "Did you mean `mixture`?"),
        ({"ansatz": 8}, "Argument `ansatz` must be an ansatz or one of"),
        ({"tol": 0}, "Argument `tol` must be finite and positive"),
        ({"symmetry": "full-ish"}, "Argument `symmetry` must be"),
        ({"symmetry": hx.SymmetryGroup.identity(4)}, "Argument `symmetry` must permute 3 sites, but got 4."),
        ({"seed": -1}, "Argument `seed` must be an integer of at least 0"),
        ({"method": "tdvp"}, "Argument `method` must be a Stepping"),
        ({"model": hx.sigmaz(0)}, "Argument `model` must be a Lindbladian"),
        ({"state": np.eye(8)}, "Argument `state` must be a State"),
        ({"state": hx.product_state(4, "down")}, "Argument `state` must have the model's 3 sites"),
        ({"observables": {"z": hx.sigmaz(3)}}, "Argument `observables['z']` must act on sites 0 to 2"),
        ({"observables": {"a/b": hx.sigmaz(0)}}, "Argument `observables` must have printable names without slashes"),
        ({"observables": [hx.sigmaz(0)]}, "Argument `observables` must map names to operators"),
        ({"observables": {"a\0b": hx.sigmaz(0)}}, "Argument `observables` must have printable names"),
        ({"seed": 2**63}, "Argument `seed` must be below 2^63"),
        ({"observables": {"z": 1.0}}, "Argument `observables['z']` must be an operator"),
    ],
)
def test_bad_arguments_are_one_line_before_any_computation(change, message, monkeypatch):
    def computed(*_):
        raise AssertionError("computed before the arguments were checked")

    monkeypatch.setattr(runs, "evolve", computed)
    arguments = GOOD | change
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        hx.mesolve(arguments.pop("model"), arguments.pop("state"), arguments.pop("tsave"), **arguments, **QUIET)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rtol": 0.0}, "`rtol` must be finite and positive"),
        ({"atol": -1e-3}, "`atol` must be finite and positive"),
        ({"solver": diffrax.Euler()}, "`solver` must be an explicit Runge-Kutta solver of diffrax"),
        ({"solver": "Tsit5"}, "`solver` must be an explicit Runge-Kutta solver of diffrax"),
        ({"max_steps": 0}, "`max_steps` must be an integer of at least 1"),
    ],
)
def test_stepping_refuses(settings, message):
    with pytest.raises(ValueError, match=message):
        hx.Stepping(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"components": 0}, "`components` must be an integer of at least 1, but got 0."),
        ({"components": 2.5}, "`components` must be an integer of at least 1, but got 2.5."),
        ({"components": 10**9}, "`components` must be at most 100000, but got 1000000000."),
        ({"components": (8, 4)}, "`components` must be a pair that increases"),
        ({"components": "auto"}, "`components` must be None, a number or a pair of numbers"),
        ({"manifold": "coherant"}, "Did you mean `coherent`?"),
        ({"metric": "hilbert"}, "`metric` must be one of auto, husimi, hilbert-schmidt"),
        ({"metric": -1.0}, "`metric` must have finite and positive weights"),
        ({"metric_solver": 1e-6}, "`metric_solver` must be a metric solver"),
        ({"spread": 0}, "`spread` must be finite and positive"),
        ({"max_components": 0}, "`max_components` must be an integer of at least 1"),
        ({"memory_limit": float("nan")}, "`memory_limit` must be finite and positive"),
    ],
)
def test_mixtures_refuse(settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        hx.Mixture(**settings)


def test_damping_and_metric_of_large_lattices_follow_their_size():
    def settings(n, **options):
        model, state = hx.models.dissipative_ising(hx.Lattice.chain(n)), hx.product_state(n, "down")
        ansatz = hx.Mixture(components=1, **options)
        found = hx.mesolve(model, state, [0, 0.001], ansatz=ansatz, symmetry=None, **QUIET).settings["ansatz"]
        return found["metric_solver"]["damping"], found["metric"]

    assert settings(24) == (1e-6, "auto")
    assert settings(48)[0] == pytest.approx(2.5e-7)
    assert settings(48, metric_solver=hx.Tikhonov(1e-5))[0] == 1e-5
    assert settings(24, metric=0.1)[1] == 0.1


def test_components_of_a_state_cannot_be_taken_away():
    state = hx.mesolve(*GOOD.values(), ansatz=hx.Mixture(components=3), **QUIET).final_state
    with pytest.raises(ValueError, match="`components` must be at least 3, the number in the initial state, but got 2"):
        hx.mesolve(GOOD["model"], state, [0, 1], ansatz=hx.Mixture(components=2), **QUIET)
    continued = hx.mesolve(GOOD["model"], state, [0, 0.1], ansatz=hx.Mixture(), **QUIET)
    assert continued.final_state.n_components == 8


def test_progress_goes_to_standard_error(capsys):
    hx.mesolve(*GOOD.values(), ansatz=hx.Mixture(components=2), progress=True)
    captured = capsys.readouterr()
    assert captured.out == "" and "t = 1 of 1" in captured.err and "steps" in captured.err
