"""Steady states along a line of models, each started from the one before."""

import functools
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from husimix._compilation import one_blas_thread
from husimix._errors import HusimixWarning, argument_error, kept_warnings
from husimix.ansatz import AbstractAnsatz, AbstractMotion
from husimix.physics.lindbladian import Lindbladian, dissipation_rate
from husimix.physics.operators import Operator
from husimix.physics.symmetry.choice import Symmetry
from husimix.physics.symmetry.invariance import Invariance
from husimix.results.branch import Branch
from husimix.results.diagnostics import N_EIGENVALUES
from husimix.results.scan import Scan
from husimix.results.status import Status
from husimix.results.steady_state import SteadyState
from husimix.solve.branch import Curve, follow
from husimix.solve.checks import check_ladders, check_model, check_stepping, default_state, problem_of
from husimix.solve.stationary import flat
from husimix.solve.steadystate import Search, find
from husimix.solve.stepping import Stepping
from husimix.state import AbstractState

__all__ = ["scan"]

# Stations of a curve through folds, for each value of the scan.
_MOST_STATIONS = 20
# Equations that are kept: those of two stations and of the values beside them.
_MOTIONS = 8


def scan(
    model_of: Callable[[float], Lindbladian],
    values: Iterable[float],
    state: AbstractState | None = None,
    *,
    name: str = "value",
    backward: bool = False,
    follow_folds: bool = False,
    ansatz: AbstractAnsatz | str = "auto",
    tol: float | None = None,
    time_limit: float = 300.0,
    symmetry: Symmetry = "auto",
    observables: Mapping[str, Operator] | None = None,
    method: Stepping | None = None,
    seed: int = 0,
    starts: int = 1,
    max_drift: float = 3e-4,
    max_time: float | None = None,
    progress: bool = True,
) -> Scan:
    """Steady states along a scan, each search started from the state before.

    Models of equal lattice and terms share compiled code, so that only the first point compiles. Where a value breaks
    a symmetry of the state before, the search starts afresh.

    Args:
        model_of: the Lindbladian for a value, such as `lambda g: hx.models.dissipative_ising(lattice, g=g)`; all of
            the same sites.
        values: (S,) in the order of the scan.
        state: where the first point starts, and each that starts afresh; all spins down by default.
        name: what the values are called in files and pictures.
        backward: go back as well, from the last to the first: where both ways differ there is hysteresis.
        follow_folds: also follow the curve of steady states from the first value, through folds and unstable states,
            until it passes the last (`Scan.branch`). For an ansatz whose numbers are coordinates of the state, such as
            `Clusters`, without `tol`.
        ansatz: see `steadystate`, as all that follow.
        tol: see `steadystate`.
        time_limit: see `mesolve`; of each point.
        symmetry: see `steadystate`.
        observables: see `steadystate`.
        method: see `steadystate`.
        seed: see `steadystate`.
        starts: see `steadystate`.
        max_drift: see `steadystate`.
        max_time: see `steadystate`.
        progress: see `steadystate`.

    Returns:
        A `Scan`. After an interruption it holds the points before; a way back that was not finished is left out. One
        `HusimixWarning` at the end counts the states that are not stationary.

    Raises:
        ValueError: for values that are no numbers, models of different sites, an ansatz that cannot follow folds, or
            arguments that `steadystate` refuses.
    """
    points = _check_values(values)
    if not callable(model_of):
        fix = "Try lambda g: hx.models.dissipative_ising(lattice, g=g)."
        raise argument_error("model_of", "be a function that makes a model of a value", repr(model_of), fix)
    models = _check_models([model_of(float(value)) for value in points])
    ladders, stepping = check_ladders(ansatz, tol, time_limit), check_stepping(method)
    wanted = Search(ladders, symmetry, observables, stepping, seed, starts, max_drift, max_time, bool(progress))
    if state is not None:
        problem_of(models[0], state, 1.0, symmetry, observables, seed)
    if follow_folds:
        _check_folds(points, models[0], state, wanted)
    line = list(zip(points.tolist(), models, strict=True))
    remarks: list[str] = []

    forward = _one_way(line, None, state, wanted, remarks)
    is_whole = len(forward) == len(points) and forward[-1].status is not Status.INTERRUPTED
    try:
        back = _one_way(line[::-1], forward[-1], state, wanted, remarks) if backward and is_whole else []
    except KeyboardInterrupt:
        back = []
    branch = _branch(model_of, points, forward[0], wanted) if follow_folds and is_whole else None
    result = Scan(points[: len(forward)], forward, back[::-1] if len(back) == len(points) else [], name, branch)
    for text in (*(f"At {name} = {remark}" for remark in remarks), *_shortfall(result)):
        warnings.warn(text, HusimixWarning, stacklevel=2)
    return result


def _one_way(
    line: Sequence[tuple[float, Lindbladian]],
    before: SteadyState | None,
    state: AbstractState | None,
    wanted: Search,
    remarks: list[str],
) -> list[SteadyState]:
    """The steady states along a line, up to an interruption, each search from the state before where that may be."""
    found: list[SteadyState] = []
    for value, model in line:
        before = found[-1] if found else before
        try:
            begin = before.state if before is not None and _keeps_symmetry(model, before.state) else state
            found.append(_searched(model, begin, wanted, remarks, value))
        except KeyboardInterrupt:  # where no search can return what it has, as during its set-up
            if not found:
                raise
            return found
        if found[-1].status is Status.INTERRUPTED:
            return found[:-1] if len(found) > 1 else found
    return found


def _check_folds(points: np.ndarray, model: Lindbladian, state: AbstractState | None, wanted: Search) -> None:
    """Refuse to follow folds where it has no sense."""
    if wanted.ladders.tol is not None:
        fix = "Choose the ansatz by hand, such as hx.Clusters(size=3)."
        raise argument_error("follow_folds", "be False with a tolerance", "True", fix)
    ansatz = wanted.ladders.ansatze[0]
    if len(np.unique(points)) < 2:
        raise argument_error("values", "hold at least two different numbers to follow folds", points)
    start = default_state(model, ansatz) if state is None else state
    problem = problem_of(model, start, 1.0, wanted.symmetry, wanted.observables, wanted.seed)
    if not ansatz.prepare(problem).motion.has_coordinates:
        fix = "Try ansatz=hx.Clusters(size=3)."
        raise argument_error("follow_folds", "be False for this ansatz", "True", fix)


def _branch(
    model_of: Callable[[float], Lindbladian], points: np.ndarray, first: SteadyState, wanted: Search
) -> Branch | None:
    """The curve of steady states from the first; None if that is not stationary, or other numbers move elsewhere."""
    if not first.completed or not len(first.eigenvalues):
        return None
    rate, ansatz = dissipation_rate(first.model), wanted.ladders.ansatze[0]

    @functools.lru_cache(maxsize=_MOTIONS)
    def motion_of(value: float) -> AbstractMotion:
        problem = problem_of(model_of(value), first.state, 1.0, wanted.symmetry, wanted.observables, wanted.seed)
        return ansatz.prepare(problem).motion

    problem = problem_of(first.model, first.state, 1.0, wanted.symmetry, wanted.observables, wanted.seed)
    point = ansatz.prepare(problem).point
    begin, end = float(points[0]), float(points[-1])
    curve, spacing = Curve(motion_of, point, abs(end - begin), rate), float(np.abs(np.diff(points)).max())
    completed = False
    try:
        with one_blas_thread():
            completed = follow(curve, (begin, flat(point)), end, spacing, _MOST_STATIONS * len(points))
    except KeyboardInterrupt:
        pass
    seen = curve.stations
    modes = np.full((len(seen), N_EIGENVALUES), np.nan, dtype=complex)
    for row, station in zip(modes, seen, strict=True):
        row[: len(station.eigenvalues)] = station.eigenvalues
    return Branch(
        values=np.array([station.value for station in seen]),
        local_values=np.array([station.local_values.sites for station in seen]),
        expect={n: np.array([s.observables[n] for s in seen]) for n in wanted.observables or {}},
        eigenvalues=modes,
        folds=np.array(curve.folds, dtype=float),
        rate=rate,
        completed=completed,
    )


def _check_values(values: Iterable[float]) -> np.ndarray:
    try:
        points = np.asarray(list(values), dtype=float)
    except (TypeError, ValueError):
        raise argument_error("values", "be a sequence of finite numbers", repr(values)) from None
    if points.ndim != 1 or not len(points) or not np.isfinite(points).all():
        raise argument_error("values", "be a sequence of finite numbers", points)
    return points


def _check_models(models: Sequence[object]) -> list[Lindbladian]:
    checked = [check_model("model_of(value)", model) for model in models]
    for model in checked[1:]:
        if (model.n_sites, model.basis) != (checked[0].n_sites, checked[0].basis):
            fix = "Scan one lattice at a time."
            must = f"have {checked[0].n_sites} sites for every value"
            raise argument_error("model_of(value)", must, f"{model.n_sites} sites", fix)
    return checked


def _searched(
    model: Lindbladian, state: AbstractState | None, wanted: Search, remarks: list[str], value: float
) -> SteadyState:
    """One steady state; what its search warns of, but for how it ended, joins the remarks."""
    with kept_warnings() as texts:
        found = find(model, state, wanted, stacklevel=2)
    remarks.extend(f"{value:g}: {text}" for text in texts if found.message not in text)
    return found


def _shortfall(result: Scan) -> list[str]:
    """What to say of a scan in which not all states are what was asked for; nothing if they are."""
    ways = (result.forward, result.backward)
    missed = [(v, s) for way in ways for v, s in zip(result.values, way, strict=False) if not s.completed]
    if not missed:
        return []
    where = ", ".join(dict.fromkeys(f"{value:g}" for value, _ in missed))
    drift, residual = (max(getattr(s, name) for _, s in missed) for name in ("drift", "residual"))
    counted = f"{len(missed)} of {sum(map(len, ways))} states are not stationary (at {result.name} = {where})"
    worst = f"the largest drift is {drift:.2g}, the largest residual {residual:.2g}"
    return [f"{counted}: {worst}. {result.message}"]


def _keeps_symmetry(model: Lindbladian, state: AbstractState) -> bool:
    """Whether a model has the symmetries that a state was made with: a search can then start from it."""
    test = Invariance(model)
    return all(test.broken_term(operation) is None for operation in state.symmetries())
