"""The front door of time evolution: convert, check, then compute."""

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from husimix._errors import HusimixWarning
from husimix.ansatz import AbstractAnsatz, Problem
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.operators import Operator
from husimix.physics.symmetry.choice import Symmetry
from husimix.results.result import Result
from husimix.results.status import Status
from husimix.solve.checks import check_ladders, check_model, check_stepping, check_times, problem_of
from husimix.solve.ladder import Ladders, Rungs, climb
from husimix.solve.run import Evolution, Run, carry_out, message_of
from husimix.solve.stepping import Stepping
from husimix.state import AbstractState

__all__ = ["mesolve"]

# What is left out of a start before a run warns of it, relative to its norm.
_LEFT_OUT = 1e-3


def mesolve(
    model: Lindbladian,
    state: AbstractState,
    tsave: Sequence[float] | np.ndarray,
    *,
    ansatz: AbstractAnsatz | str = "auto",
    tol: float | None = None,
    time_limit: float = 300.0,
    symmetry: Symmetry = "auto",
    observables: Mapping[str, Operator] | None = None,
    method: Stepping | None = None,
    seed: int = 0,
    save_states: bool = False,
    progress: bool = True,
) -> Result:
    """Evolve an open spin system by the Dirac-Frenkel principle.

    Projects dR/dt = 𝓛R on what the ansatz can hold (docs/theory.md).

    Args:
        model: the Lindbladian of N sites.
        state: the initial state, from `product_state` or an earlier run, whose history goes on.
        tsave: (T,) increasing times, in the unit of 1/rate; the first is the initial time.
        ansatz: "auto" climbs to a tolerance: clusters of 2, 3, … sites, and where these miss it a mixture;
            `hx.Clusters(...)` or `hx.Mixture(...)` runs once as it is, unless a tolerance is named.
        tol: climb the ladder of the ansatz until two rungs in a row, the later one with finer time steps and another
            seed, differ by no more than this in any one-site, nearest-neighbour or other observable at any time. The
            difference is `diagnostics["estimated_error"]` of the result. None is 1e-2 for "auto".
        time_limit: seconds; no rung is begun that is expected to end later. The first is always run.
        symmetry: "auto" uses all that model and state have of translations, point group and π rotations;
            "translations" those alone, and insists on them; None uses none; or a `SymmetryGroup`, or its generators
            as `Transformation` objects or site permutations.
        observables: operators by name, measured at each save time.
        method: how time is stepped, `Stepping()` by default.
        seed: of whatever the ansatz takes at random.
        save_states: keep the state at every save time, not only at the last.
        progress: show a progress meter.

    Returns:
        A `Result`. A run that cannot go on returns what it has, with a `HusimixWarning` that names the remedy.

    Raises:
        ValueError: for any argument that does not fit, before anything is computed.
    """
    check_model("model", model)
    times, ladders = check_times(tsave), check_ladders(ansatz, tol, time_limit)
    problem = problem_of(model, state, float(np.ptp(times)), symmetry, observables, seed)
    evolution = Evolution(times, check_stepping(method), bool(save_states), bool(progress))
    if ladders.tol is None:
        run = carry_out(ladders.ansatze[0], problem, evolution)
    else:
        run = _to_tolerance(ladders, problem, evolution, ladders.tol)
    result = run.result
    if result.status is not Status.COMPLETED:
        reached = "" if result.completed else f"The run stopped at t = {result.final_state.history.time:.6g}. "
        warnings.warn(reached + result.message, HusimixWarning, stacklevel=2)
    if run.left_out > _LEFT_OUT:
        text = f"The initial state has correlations that {run.label} cannot hold: {run.left_out:.2g} of its norm "
        warnings.warn(f"{text}is left out. Take a larger ansatz.", HusimixWarning, stacklevel=2)
    run.recorder.warn(stacklevel=3)
    return result


def _to_tolerance(ladders: Ladders, problem: Problem, evolution: Evolution, tolerance: float) -> Run:
    """The run that ladders end with, and its estimated errors."""
    began = time.perf_counter()

    def attempt(rung: AbstractAnsatz, told: Problem, stepping: Stepping) -> Run:
        return carry_out(rung, told, replace(evolution, stepping=stepping))

    def error_of(run: Run, before: Run | None) -> float:
        return max(float(np.max(_errors(run, before)[0])), run.left_out)

    rungs = Rungs(
        attempt=attempt,
        status_of=lambda run: run.result.status,
        error_of=error_of,
        is_exact=lambda run: run.is_exact,
        stepping_seconds=lambda run: run.stepping_seconds,
    )
    end = climb(ladders, problem, evolution.stepping, rungs)
    run, (largest, errors) = end.attempt, _errors(end.attempt, end.before)
    message = message_of(end.status, end.ansatz)
    if end.status is Status.TOLERANCE_MISSED:
        message = f"{end.shortfall(tolerance)} {message}{_of_steps(run, tolerance)}"
    return run.told(
        status=end.status,
        message=message,
        errors=errors,
        diagnostics=run.result.diagnostics | {"estimated_error": largest},
        settings=run.result.settings | {"tol": tolerance, "seed": problem.seed, "rungs": list(end.labels)},
        wall_time=time.perf_counter() - began,
    )


def _errors(run: Run, before: Run | None) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The largest estimated error at each time, and the errors of each kind of value."""
    if run.is_exact:
        largest = np.asarray(run.result.diagnostics["step_error"], dtype=float)
        shaped = {"bloch": run.recorder.sites[..., 1:]} | run.recorder.expect
        ones = {name: np.ones(values.shape) for name, values in shaped.items()}
        return largest, {name: (one.T * largest).T for name, one in ones.items()}
    if before is None:
        nothing = np.full(len(run.recorder.times), np.nan)
        return nothing, {}
    return run.recorder.errors_against(before.recorder)


def _of_steps(run: Run, tolerance: float) -> str:
    """What to say where time steps alone may have cost the tolerance."""
    total = float(run.result.diagnostics["step_error"][-1]) if len(run.recorder.times) else 0.0
    return f" Time steps may have erred by {total:.2g}: lower rtol of hx.Stepping." if total > tolerance else ""
