"""A tolerance instead of a number of components: runs with ever more of them until two in a row agree."""

import dataclasses
import time
from collections.abc import Iterable

import numpy as np

from husimix.solve.journey import Status
from husimix.solve.problem import Problem, Run
from husimix.solve.recording import Recorder

__all__ = ["difference", "run_to_tolerance"]

# The first run has so many components, and each may grow to so many times as many.
_FIRST, _BREATH = 4, 4


def run_to_tolerance(problem: Problem, tolerance: float, most: int, seed: int) -> Run:
    """Runs until two in a row differ by no more than a tolerance.

    Each begins with twice as many components as the one before, and with another seed. Errors fall at least as fast
    as 1/K where the ansatz can follow, so that the difference is about the error of the later run.

    Args:
        problem: what to run.
        tolerance: of expectation values.
        most: components that no run may exceed; fewer if they do not fit into the memory limit.
        seed: of the first run.

    Returns:
        The last run. Its status is TOLERANCE_MISSED if the tolerance was not met, its diagnostics hold the difference
        from the run before as "estimated_error"; an interrupted run gives way to the whole one before it.

    Raises:
        ValueError: for arguments that do not fit, before anything is computed.
    """
    began, before, tried = time.perf_counter(), None, []
    least, most = problem.bounds(_FIRST, most)
    while True:
        run = problem.run(least, min(_BREATH * least, most), seed + len(tried))
        if run.result.status is Status.INTERRUPTED and before is not None:
            run = before._replace(result=dataclasses.replace(before.result, status=Status.INTERRUPTED))
            break
        tried.append(run.result.settings["components"])
        error = np.full(len(run.result.times), np.nan)
        if before is not None:
            known = difference(run.recorder, before.recorder)
            error[: len(known)] = known
        diagnostics = run.result.diagnostics | {"estimated_error": error}
        run = run._replace(result=dataclasses.replace(run.result, diagnostics=diagnostics))
        is_settled = run.result.completed and bool(np.all(error <= tolerance))
        if is_settled or run.result.status is Status.INTERRUPTED:
            break
        if 2 * least > most:
            if run.result.completed:
                run = run._replace(result=dataclasses.replace(run.result, status=Status.TOLERANCE_MISSED))
            break
        before, least = run, 2 * least
    settings = run.result.settings | {"components": "auto", "tol": tolerance, "seed": seed, "tried": tried}
    result = dataclasses.replace(run.result, settings=settings, wall_time=time.perf_counter() - began)
    return run._replace(result=result)


def difference(first: Recorder, second: Recorder) -> np.ndarray:
    """(T,) the largest difference of one-site, neighbours' and other expectation values at each time of both runs."""
    count = min(len(first.times), len(second.times))

    def gap(a: Iterable, b: Iterable) -> np.ndarray:
        x, y = (np.asarray(list(values)[:count]) for values in (a, b))
        return np.abs(x - y).reshape(count, -1).max(axis=1, initial=0.0)

    gaps = [gap(first.bloch, second.bloch), gap(first.pairs, second.pairs)]
    gaps += [gap(first.expect[name], second.expect[name]) for name in first.expect]
    return np.max(gaps, axis=0)
