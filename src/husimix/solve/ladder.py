"""A tolerance instead of a size: ever more accurate rungs of an ansatz until two in a row agree."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from husimix._errors import RefusalError
from husimix.ansatz import AbstractAnsatz, Problem
from husimix.results.status import Status
from husimix.solve.stepping import Stepping

__all__ = ["Climb", "Ladders", "Rungs", "climb"]

Attempt = TypeVar("Attempt")

# Each rung takes time steps finer by this factor than the one before, so that their difference holds the errors of
# steps as well as those of the ansatz.
_REFINEMENT = 2.0
# What a first rung is taken to cost, of which nothing has been measured yet.
_STEPS = 200
# The finest relative tolerance of time steps, not far above rounding.
_FINEST = 1e-13
_WOULD_NOT_FIT = "there is no larger one, or none that fits into memory"


@dataclass(frozen=True)
class Ladders:
    """Which ansätze to climb, how far, and for how long.

    Attributes:
        ansatze: in the order in which they are tried.
        tol: of expectation values; None to run the first as it is.
        time_limit: seconds; no rung is begun that is expected to end later.
    """

    ansatze: tuple[AbstractAnsatz, ...]
    tol: float | None
    time_limit: float


@dataclass(frozen=True)
class Rungs(Generic[Attempt]):
    """What a rung is, and how two of them are compared.

    Attributes:
        attempt: carries out one.
        status_of: how an attempt ended.
        error_of: the estimated error of an attempt from another one, nan where it cannot be known.
        is_exact: whether time steps are the only error of an attempt.
        stepping_seconds: what an attempt took, compilation apart.
    """

    attempt: Callable[[AbstractAnsatz, Problem, Stepping], Attempt]
    status_of: Callable[[Attempt], Status]
    error_of: Callable[[Attempt, Attempt | None], float]
    is_exact: Callable[[Attempt], bool]
    stepping_seconds: Callable[[Attempt], float]


@dataclass(frozen=True)
class Climb(Generic[Attempt]):
    """How a ladder ended.

    Attributes:
        attempt: the last rung that is whole, or the last one if none is.
        before: the whole rung before it, which tells its error; None if there is none.
        ansatz: of the attempt.
        labels: of all rungs that were tried.
        status: COMPLETED, TOLERANCE_MISSED, INTERRUPTED, or how the only rung ended.
        error: the largest difference between the two; nan without.
        reason: why there was no further rung, where the tolerance is missed.
    """

    attempt: Attempt
    before: Attempt | None
    ansatz: AbstractAnsatz
    labels: tuple[str, ...]
    status: Status
    error: float
    reason: str

    def shortfall(self, tolerance: float) -> str:
        """In words, by how much a tolerance is missed and why there was no further rung."""
        found = f"the last two rungs differ by {self.error:.2g}" if math.isfinite(self.error) else "no two rungs agree"
        return f"tol = {tolerance:g} is not met: {found}, and {self.reason}."

    @property
    def is_over(self) -> bool:
        """Whether nothing else is to be tried."""
        return self.status in (Status.COMPLETED, Status.INTERRUPTED)


def climb(ladders: Ladders, problem: Problem, stepping: Stepping, rungs: Rungs[Attempt]) -> Climb[Attempt]:
    """The ladders of some ansätze in turn, until one reaches the tolerance.

    Each rung has another seed and finer time steps than the one before. Where the ansatz converges, the difference is
    about the error of the lesser rung, and the greater one is better than that. If no ladder reaches the tolerance, the
    end with the smallest error is kept. Rungs of a poor ansatz may agree: the error of a later ladder is at least
    what its distance from an earlier one has beyond the error of that.

    Args:
        ladders: what to climb. An ansatz that refuses the problem is left out if there is another.
        problem: what to solve; its seed is that of the first rung.
        stepping: of the first rung.
        rungs: what a rung is.

    Returns:
        How the ladders ended.

    Raises:
        ValueError: for arguments that do not fit, before anything is computed.
    """
    clock = _Clock(ladders.time_limit)
    best: Climb[Attempt] | None = None
    refusal: RefusalError | None = None
    for ansatz in ladders.ansatze:
        try:
            least = ansatz.first_rung(problem).estimate(problem)
            if best is not None and not clock.allows(_STEPS * least.seconds_per_step):
                continue
            end = _climbed(ansatz, problem, stepping, ladders, rungs, clock)
        except RefusalError as error:
            refusal = refusal or error
            continue
        best = end if best is None else _better(best, end, ladders, rungs)
        if best.is_over:
            break
    if best is None:
        assert refusal is not None  # there is an ansatz
        raise refusal
    return best


@dataclass
class _Clock:
    """What time is left."""

    limit: float
    began: float = field(default_factory=time.perf_counter)

    def allows(self, seconds: float) -> bool:
        return time.perf_counter() - self.began + seconds <= self.limit


def _climbed(
    ansatz: AbstractAnsatz,
    problem: Problem,
    stepping: Stepping,
    ladders: Ladders,
    rungs: Rungs[Attempt],
    clock: _Clock,
) -> Climb[Attempt]:
    """One ladder, up to its last rung or to where the tolerance is reached."""
    assert ladders.tol is not None
    rung = ansatz.first_rung(problem)
    best, before, chosen, error = None, None, rung, math.nan
    labels: list[str] = []
    status, reason = Status.TOLERANCE_MISSED, _WOULD_NOT_FIT
    while True:
        began = time.perf_counter()
        told = replace(problem, seed=problem.seed + len(labels))
        labels.append(rung.label)
        made = rungs.attempt(rung, told, stepping)
        ending = rungs.status_of(made)
        if ending is Status.COMPLETED:
            best, before, chosen = made, best, rung
            error, status = rungs.error_of(best, before), Status.TOLERANCE_MISSED
            if error <= ladders.tol:
                status = Status.COMPLETED
        elif best is None:
            best, chosen, status = made, rung, ending
        if ending is Status.INTERRUPTED or status is Status.COMPLETED:
            status = ending
            break
        if ending is Status.COMPLETED and rungs.is_exact(made):
            # There is nothing to climb to: only finer steps bring more.
            following, stepping = rung, stepping.refined(_REFINEMENT * error / ladders.tol)
            if min(stepping.rtol, error) < _FINEST:
                reason = "time steps cannot be finer"
                break
        else:
            following, stepping = rung.next_rung(told), stepping.refined(_REFINEMENT)
            if following is None:
                break
        growth = following.estimate(told).seconds_per_step / rung.estimate(told).seconds_per_step
        spent, steps = time.perf_counter() - began, rungs.stepping_seconds(made)
        expected = spent + steps * max(0.0, growth - 1.0)
        if not clock.allows(expected):
            reason = f"{following.label} would take some {expected:.0f} s (time_limit is {clock.limit:g} s)"
            break
        rung = following
    return Climb(best, before, chosen, tuple(labels), status, error, reason)


def _better(first: Climb[Attempt], second: Climb[Attempt], ladders: Ladders, rungs: Rungs[Attempt]) -> Climb[Attempt]:
    """Of the ends of two ladders the one with the smaller error, with the labels of both."""
    assert ladders.tol is not None
    error, status = second.error, second.status
    if math.isfinite(first.error) and math.isfinite(error):
        apart = rungs.error_of(second.attempt, first.attempt) - first.error
        error = max(error, apart)
        status = Status.TOLERANCE_MISSED if error > ladders.tol and status is Status.COMPLETED else status
    labels = first.labels + second.labels
    is_better = error < first.error or (math.isfinite(error) and not math.isfinite(first.error))
    if status is Status.COMPLETED or (is_better and status is not Status.INTERRUPTED):
        return replace(second, labels=labels, error=error, status=status)
    interrupted = status is Status.INTERRUPTED
    return replace(first, labels=labels, status=status if interrupted else first.status)
