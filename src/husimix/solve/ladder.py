"""A tolerance instead of a size: ever more accurate rungs of an ansatz until two in a row agree."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from husimix.ansatz import AbstractAnsatz, Problem
from husimix.results.status import Status
from husimix.solve.stepping import Stepping

__all__ = ["Climb", "climb"]

Attempt = TypeVar("Attempt")

# Each rung takes time steps finer by this factor than the one before, so that their difference holds the errors of
# steps as well as those of the ansatz.
_REFINEMENT = 2.0


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
    """

    attempt: Attempt
    before: Attempt | None
    ansatz: AbstractAnsatz
    labels: tuple[str, ...]
    status: Status
    error: float


def climb(
    ansatz: AbstractAnsatz,
    problem: Problem,
    stepping: Stepping,
    tolerance: float,
    attempt: Callable[[AbstractAnsatz, Problem, Stepping], Attempt],
    status_of: Callable[[Attempt], Status],
    error_of: Callable[[Attempt, Attempt | None], float],
) -> Climb[Attempt]:
    """Rungs of an ansatz until two in a row differ by no more than a tolerance.

    Each rung has another seed and finer time steps than the one before. Where the ansatz converges, the difference is
    about the error of the lesser rung, and the greater one is better than that.

    Args:
        ansatz: whose ladder it is.
        problem: what to solve; its seed is that of the first rung.
        stepping: of the first rung.
        tolerance: of expectation values.
        attempt: carries out one rung.
        status_of: how an attempt ended.
        error_of: the estimated error of an attempt from the whole one before, nan where it cannot be known.

    Returns:
        How the ladder ended.

    Raises:
        ValueError: for arguments that do not fit, before anything is computed.
    """
    rung: AbstractAnsatz | None = ansatz.first_rung(problem)
    best, before, chosen, error = None, None, rung, math.nan
    labels: list[str] = []
    status = Status.TOLERANCE_MISSED
    while rung is not None:
        number = len(labels)
        labels.append(rung.label)
        told = replace(problem, seed=problem.seed + number)
        made = attempt(rung, told, stepping.refined(_REFINEMENT**number))
        ending = status_of(made)
        if ending is Status.COMPLETED:
            best, before, chosen = made, best, rung
            error = error_of(best, before)
            if error <= tolerance:
                status = Status.COMPLETED
                break
        elif best is None:
            best, chosen, status = made, rung, ending
        if ending is Status.INTERRUPTED:
            status = ending
            break
        if ending is Status.COMPLETED and status is not Status.COMPLETED:
            status = Status.TOLERANCE_MISSED
        rung = rung.next_rung(told)
    assert best is not None and chosen is not None  # there is a first rung
    return Climb(best, before, chosen, tuple(labels), status, error)
