"""The machine alone: steps, ladders, ends and continued runs, with an ansatz of which it knows nothing."""

import numpy as np
import pytest
import scipy.linalg

import husimix as hx
from dense import dense_generator
from dense_ansatz import Dense, DenseState

QUIET = {"progress": False}


def ising(n=3, V=2.0, g=1.0):
    return hx.models.dissipative_ising(hx.Lattice.chain(n), V=V, g=g)


def exact(model, start, times):
    r = np.asarray(hx.product_state(model.n_sites, start).tensor(tuple(range(model.n_sites)))).reshape(-1)
    generator = dense_generator(model)
    return [scipy.linalg.expm(generator * t) @ r for t in times]


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_runs_are_those_of_the_dense_generator_whenever_they_begin(offset):
    model, times = ising(), np.array([0.0, 0.3, 0.31, 2.0])
    found = hx.mesolve(
        model,
        hx.product_state(3),
        offset + times,
        ansatz=Dense(),
        method=hx.Stepping(rtol=1e-8),
        save_states=True,
        **QUIET,
    )
    for state, expected in zip(found.states, exact(model, "down", times), strict=True):
        np.testing.assert_allclose(state.values.reshape(-1), expected, rtol=0, atol=1e-6)
    assert found.times[-1] == offset + 2.0
    assert found.completed


def test_tighter_tolerances_bring_smaller_errors_and_step_errors_tell_of_them():
    model, times = ising(V=5.0, g=3.0), [0, 1.5]
    expected = exact(model, "down", times)[-1]
    errors, told = [], []
    for rtol in (1e-3, 1e-5, 1e-7):
        run = hx.mesolve(model, hx.product_state(3), times, ansatz=Dense(), method=hx.Stepping(rtol=rtol), **QUIET)
        errors.append(np.abs(run.final_state.values.reshape(-1) - expected).max())
        told.append(run.diagnostics["step_error"][-1])
    assert errors[0] > 10 * errors[1] > 100 * errors[2]
    assert all(true < 20 * estimate for true, estimate in zip(errors, told, strict=True))


@pytest.mark.parametrize("ansatz", [Dense(), hx.Mixture(1), hx.Mixture(8), hx.Mixture(64), hx.Clusters()])
def test_one_spin_that_turns_fifty_times_is_where_it_was(ansatz):
    model = hx.Lindbladian(0.5 * hx.sigmaz(0), [], 1)
    turns = 2 * np.pi * np.array([0.0, 50.0])
    found = hx.mesolve(model, hx.product_state(1, "+x"), turns, ansatz=ansatz, **QUIET)
    assert found.completed
    assert abs(found.bloch[-1, 0, 0] - 1) < 1e-2


def test_the_error_of_a_driven_spin_does_not_grow_with_components():
    model = hx.Lindbladian(2.0 * hx.sigmax(0), [hx.Dissipator(hx.sigmam(0), 0.1)], 1)
    times = np.linspace(0, 10, 11)
    expected = hx.exact.mesolve(model, hx.product_state(1), times).bloch
    runs = [hx.mesolve(model, hx.product_state(1), times, ansatz=hx.Mixture(k), **QUIET) for k in (1, 8, 64)]
    errors = [np.abs(run.bloch - expected).max() for run in runs]
    assert max(errors) < 1e-2
    assert max(errors[1:]) < 3 * max(errors[0], 1e-3)


def test_the_ladder_goes_on_until_two_rungs_agree_and_tells_their_difference():
    model, times = ising(), np.linspace(0, 1, 5)
    found = hx.mesolve(model, hx.product_state(3), times, ansatz=Dense(0.5), tol=2e-2, **QUIET)
    assert found.status == hx.Status.COMPLETED
    assert found.settings["ansatz"]["perturbation"] < 0.5
    truth = np.array([r.reshape(4, 4, 4)[1:, 0, 0] for r in exact(model, "down", times)])
    assert np.abs(found.bloch[:, 0] - truth).max() < 2e-2
    assert found.errors["bloch"].shape == found.bloch.shape
    assert found.diagnostics["estimated_error"].max() <= 2e-2


def test_a_ladder_that_ends_too_early_says_so():
    with pytest.warns(hx.HusimixWarning):
        found = hx.mesolve(ising(), hx.product_state(3), [0, 1.0], ansatz=Dense(0.5, rungs=2), tol=1e-4, **QUIET)
    assert found.status == hx.Status.TOLERANCE_MISSED
    assert found.completed


def test_a_run_that_leaves_all_states_ends_with_what_it_has():
    times = np.linspace(0, 5, 11)
    with pytest.warns(hx.HusimixWarning, match=r"Raise the limit\."):
        found = hx.mesolve(ising(), hx.product_state(3), times, ansatz=Dense(20.0, limit=1.5), **QUIET)
    assert found.status == hx.Status.RUN_AWAY
    assert len(found.times) < len(times)
    assert np.isfinite(found.bloch).all()


def test_adapted_motions_count_their_error():
    times = np.linspace(0, 1, 5)
    found = hx.mesolve(ising(), hx.product_state(3), times, ansatz=Dense(grows_at=0.5), **QUIET)
    plain = hx.mesolve(ising(), hx.product_state(3), times, ansatz=Dense(), **QUIET)
    np.testing.assert_allclose(found.bloch, plain.bloch, rtol=0, atol=1e-4)
    accrued = found.final_state.history.accumulated_error - plain.final_state.history.accumulated_error
    assert accrued == pytest.approx(0.25, abs=1e-6)


def test_history_goes_on_where_a_run_goes_on():
    model, method = ising(), hx.Stepping(rtol=1e-6)
    first = hx.mesolve(model, hx.product_state(3), [0, 0.5], ansatz=Dense(0.1), method=method, **QUIET)
    second = hx.mesolve(model, first.final_state, [0.5, 1.0], ansatz=Dense(0.1), method=method, **QUIET)
    whole = hx.mesolve(model, hx.product_state(3), [0, 0.5, 1.0], ansatz=Dense(0.1), method=method, **QUIET)
    np.testing.assert_allclose(second.bloch[-1], whole.bloch[-1], rtol=0, atol=1e-5)
    one, other = second.final_state.history, whole.final_state.history
    assert one.time == other.time == 1.0
    assert one.accumulated_error == pytest.approx(other.accumulated_error, rel=1e-3)


def test_its_diagnostics_are_named_with_their_meanings(tmp_path):
    found = hx.mesolve(ising(), hx.product_state(3), [0, 0.5], ansatz=Dense(), **QUIET)
    assert found.meanings["trace"] == "Tr ρ"
    assert found.diagnostics["trace"][-1] == pytest.approx(1.0)
    found.save(tmp_path / "run.h5")
    loaded = hx.load(tmp_path / "run.h5")
    assert isinstance(loaded.final_state, DenseState)
    np.testing.assert_array_equal(loaded.final_state.values, found.final_state.values)


def test_steady_states_of_it():
    found = hx.steadystate(ising(), ansatz=Dense(), max_drift=1e-8, **QUIET)
    values, vectors = np.linalg.eig(dense_generator(ising()))
    kernel = vectors[:, np.argmin(np.abs(values))]
    np.testing.assert_allclose(found.state.values.reshape(-1), (kernel / kernel[0]).real, rtol=0, atol=1e-6)
