"""How much the digits of a result are worth: a ladder of runs that differ in components and seed."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from husimix._errors import argument_error, check_integer
from husimix.phasespace.mixture import Mixture
from husimix.physics.lindbladian import Lindbladian
from husimix.solve.journey import Status
from husimix.solve.mesolve import mesolve
from husimix.solve.result import Result

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Convergence", "convergence"]

# Differences cross zero where errors do not: each is taken at its largest within this part of all save times.
_NEARBY = 0.1


@dataclass(frozen=True, eq=False)
class Convergence:
    """What `husimix.convergence` returns.

    Attributes:
        components: (R,) the numbers of components, ascending.
        seeds: (S,) the seeds.
        runs: R lists of S results; the last has fewer after an interruption.
        bloch_error: (T, N, 3) estimated errors of `best.bloch`.
        expect_error: the same for each observable, (T,).
    """

    components: tuple[int, ...]
    seeds: tuple[int, ...]
    runs: list[list[Result]]
    bloch_error: np.ndarray
    expect_error: dict[str, np.ndarray]

    @property
    def best(self) -> Result:
        """The run with the most components, of the first seed."""
        return self.runs[-1][0]

    def to_xarray(self) -> "xr.Dataset":
        """The dataset of `best` with variables `error_bloch` and `error_expect_NAME`, drawn as bands."""
        data = self.best.to_xarray()
        errors = {"bloch": self.bloch_error} | {f"expect_{name}": e for name, e in self.expect_error.items()}
        return data.assign({f"error_{name}": (data[name].dims, values) for name, values in errors.items()})

    def __repr__(self) -> str:
        largest = max(float(np.max(e, initial=0.0)) for e in (self.bloch_error, *self.expect_error.values()))
        return f"Convergence: K = {', '.join(map(str, self.components))}, largest estimated error {largest:.1e}"


def convergence(
    model: Lindbladian,
    state: Mixture,
    tsave: Sequence[float] | np.ndarray,
    *,
    components: Sequence[int] = (4, 8, 16),
    seeds: Sequence[int] = (0, 1),
    **arguments: Any,
) -> Convergence:
    """Runs with several numbers of components and seeds, and what they say about the error of the best one.

    The estimated error of an expectation value at a time is the largest difference between the best run and all others
    with its number of components or the next smaller one, at that time or nearby (within a twentieth of the save times
    to each side). It is an estimate, not a bound: errors that all runs share, it does not see.

    Args:
        model: see `mesolve`.
        state: see `mesolve`.
        tsave: see `mesolve`.
        components: at least two numbers, best in powers of two.
        seeds: of the extra components, for each number.
        **arguments: of `mesolve`, such as `observables`.

    Returns:
        A `Convergence`. Times that a run did not reach have errors nan. After an interruption it holds the runs before;
        without two numbers of components among them, all errors are nan.

    Raises:
        ValueError: for arguments that do not fit.
    """
    counts = tuple(sorted({check_integer("components", k, 1) for k in components}))
    if len(counts) < 2:
        raise argument_error("components", "hold at least two different numbers", components, "Try (4, 8, 16).")
    chosen = tuple(dict.fromkeys(check_integer("seeds", s, 0) for s in seeds))
    if not chosen:
        raise argument_error("seeds", "hold at least one seed", seeds, "Try (0, 1).")
    if unknown := {"components", "seed", "tol"} & arguments.keys():
        raise argument_error(unknown.pop(), "be left to the ladder", "a value", "Pass components=(4, 8), seeds=(0, 1).")
    runs: list[list[Result]] = []
    for count, seed in itertools.product(counts, chosen):
        run = mesolve(model, state, tsave, components=count, seed=seed, **arguments)
        is_interrupted = run.status is Status.INTERRUPTED
        if runs and is_interrupted:
            break
        if seed == chosen[0]:
            runs.append([])
        runs[-1].append(run)
        if is_interrupted:
            break
    best, *others = runs[-1] + (runs[-2] if len(runs) > 1 else [])
    errors = {name: _error(values, [r.expect[name] for r in others]) for name, values in best.expect.items()}
    bloch_error = _error(best.bloch, [r.bloch for r in others])
    return Convergence(counts[: len(runs)], chosen, runs, bloch_error, errors)


def _error(best: np.ndarray, others: list[np.ndarray]) -> np.ndarray:
    """The largest difference from others, at each time or nearby; nan where one of them ends."""
    error = np.full(best.shape, np.nan)
    count = min(len(values) for values in (best, *others)) if others else 0
    if count == 0:
        return error
    gaps = np.max([np.abs(values[:count] - best[:count]) for values in others], axis=0)
    reach = round(_NEARBY * len(best) / 2)
    padded = np.pad(gaps, [(reach, reach)] + [(0, 0)] * (gaps.ndim - 1), mode="edge")
    error[:count] = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0).max(axis=-1)
    return error
