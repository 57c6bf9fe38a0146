"""The front door of estimates: what a run will need, told before it starts."""

from collections.abc import Mapping

from husimix.ansatz import AbstractAnsatz, Estimate, chosen_ansatze
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.operators import Operator
from husimix.physics.symmetry.choice import Symmetry
from husimix.solve.checks import check_model, default_state, problem_of
from husimix.state import AbstractState

__all__ = ["estimate"]


def estimate(
    model: Lindbladian,
    state: AbstractState | None = None,
    *,
    ansatz: AbstractAnsatz | str = "auto",
    symmetry: Symmetry = "auto",
    observables: Mapping[str, Operator] | None = None,
) -> Estimate:
    """What `mesolve` will need with these of its arguments, without running it.

    Args:
        model: the Lindbladian.
        state: the initial state; all spins down if None.
        ansatz: see `mesolve`; of "auto" the first that it tries, and of what leaves its size open the default one.
        symmetry: see `mesolve`.
        observables: see `mesolve`.

    Returns:
        The estimate.

    Raises:
        ValueError: for arguments that `mesolve` would refuse as well, except for want of memory.
    """
    check_model("model", model)
    chosen = chosen_ansatze(ansatz)[0]
    start = default_state(model, chosen) if state is None else state
    return chosen.estimate(problem_of(model, start, 1.0, symmetry, observables, 0))
