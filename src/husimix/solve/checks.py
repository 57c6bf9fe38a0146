"""What the doors check before anything is computed, and the typed problem that they hand on."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from husimix._errors import argument_error, check_integer, check_number
from husimix.ansatz import AbstractAnsatz, Problem, chosen_ansatze
from husimix.physics.basis import coherent_vectors
from husimix.physics.lindbladian import Lindbladian, dissipation_rate
from husimix.physics.operators import Operator
from husimix.physics.symmetry.choice import Symmetry
from husimix.solve.ladder import Ladders
from husimix.solve.stepping import Stepping
from husimix.state import AbstractState, check_operator

__all__ = [
    "check_kind",
    "check_ladders",
    "check_model",
    "check_stepping",
    "check_times",
    "default_state",
    "mixed_state",
    "problem_of",
]

# What "auto" climbs to where no tolerance is named.
_TOLERANCE = 1e-2
_START = 'Try hx.product_state(n_sites, "down").'


def check_kind(name: str, value: Any, kind: type, fix: str) -> Any:
    """`value`, refused unless it is an instance of `kind`."""
    if not isinstance(value, kind):
        raise argument_error(name, f"be a {kind.__name__.removeprefix('Abstract')}", repr(value), fix)
    return value


def check_model(name: str, model: object) -> Lindbladian:
    """`model`, refused unless it is a Lindbladian."""
    return check_kind(name, model, Lindbladian, "Try hx.models.dissipative_ising(lattice).")


def check_stepping(method: Stepping | None) -> Stepping:
    """`method`, or the default for None; refused if it is anything else."""
    return check_kind("method", Stepping() if method is None else method, Stepping, "Try hx.Stepping(rtol=1e-4).")


def check_ladders(ansatz: AbstractAnsatz | str, tol: float | None, time_limit: float) -> Ladders:
    """What to climb or to run. Raises ValueError for an ansatz that is none, and numbers out of range."""
    chosen = chosen_ansatze(ansatz)
    if tol is not None:
        check_number("tol", tol, above=0)
    check_number("time_limit", time_limit, above=0)
    return Ladders(chosen, _TOLERANCE if tol is None and len(chosen) > 1 else tol, time_limit)


def check_times(tsave: Sequence[float] | np.ndarray) -> np.ndarray:
    """Save times as a float array, refused unless at least two, finite and increasing."""
    must, fix = "be a sequence of at least two times", "Try np.linspace(0, 5, 51)."
    try:
        times = np.asarray(tsave)
    except ValueError:  # rows of different lengths
        raise argument_error("tsave", must, repr(tsave), fix) from None
    if times.dtype.kind not in "fiu" or times.ndim != 1 or len(times) < 2:
        raise argument_error("tsave", must, repr(tsave), fix)
    if not np.isfinite(times).all():
        raise argument_error("tsave", "be finite", "an entry that is not")
    steps = np.diff(times)
    if steps.min() <= 0:
        where = int(np.argmax(steps <= 0))
        raise argument_error("tsave", "be increasing", f"{times[where]:g} followed by {times[where + 1]:g}")
    return times.astype(float)


def default_state(model: Lindbladian, ansatz: AbstractAnsatz) -> AbstractState:
    """Every site in the state m = -S, "down" for spin ½, as an ansatz keeps it."""
    down = coherent_vectors(model.basis, np.array([0.0, 0.0, -1.0]))
    return ansatz.product_state(np.tile(down, (model.n_sites, 1)), model.basis)


def mixed_state(model: Lindbladian, ansatz: AbstractAnsatz) -> AbstractState:
    """The maximally mixed state, as an ansatz keeps it."""
    return ansatz.product_state(np.tile(np.eye(model.basis.size)[0], (model.n_sites, 1)), model.basis)


def problem_of(
    model: Lindbladian,
    state: AbstractState,
    span: float,
    symmetry: Symmetry,
    observables: Mapping[str, Operator] | None,
    seed: int,
) -> Problem:
    """The problem that an ansatz is to prepare a motion for.

    Args:
        model: the Lindbladian, checked.
        state: the initial state.
        span: of the run, in time.
        symmetry: as the user chose it; the ansatz checks it.
        observables: operators by name.
        seed: of whatever is random.

    Raises:
        ValueError: for a state of other sites, observables that are none, or a seed that is no integer from 0 to 2^63.
    """
    check_kind("state", state, AbstractState, _START)
    if state.basis is not model.basis:
        dimension = model.basis.dimension
        got = f"sites of dimension {state.basis.dimension}"
        raise argument_error("state", f"have sites of dimension {dimension}, as the model", got)
    if state.n_sites != model.n_sites:
        raise argument_error("state", f"have the model's {model.n_sites} sites", f"{state.n_sites} sites")
    if check_integer("seed", seed, 0) >= 2**63:
        raise argument_error("seed", "be below 2^63", seed)
    rate = max(dissipation_rate(model), 1.0 / span)
    return Problem(model, state, symmetry, _check_observables(observables, state), int(seed), rate)


def _check_observables(observables: Mapping[str, Operator] | None, state: AbstractState) -> dict[str, Operator]:
    """Operators by name, refused unless they act on the sites of a state and have names that files can hold."""
    given = {} if observables is None else observables
    if not isinstance(given, Mapping):
        raise argument_error("observables", "map names to operators", repr(given), 'Try {"zz": hx.pauli("zz", 0, 1)}.')
    for name in given:
        if not isinstance(name, str) or not name or not name.isprintable() or "/" in name:
            fix = "Files could not hold them."
            raise argument_error("observables", "have printable names without slashes", repr(name), fix)
    return {name: check_operator(f"observables[{name!r}]", operator, state) for name, operator in given.items()}
