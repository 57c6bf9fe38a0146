"""The front door of steady states: searches from several starts, compared."""

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from husimix._compilation import drop_compiled_if_many
from husimix._errors import HusimixWarning, argument_error, check_integer, check_number
from husimix.ansatz import AbstractAnsatz, Problem
from husimix.physics.lindbladian import Lindbladian, dissipation_rate
from husimix.physics.operators import Operator
from husimix.physics.symmetry.choice import Symmetry
from husimix.results.diagnostics import smallest_probabilities, warn_of_violations
from husimix.results.status import Status
from husimix.results.steady_state import SteadyState
from husimix.solve.checks import check_ladders, check_model, check_stepping, default_state, mixed_state, problem_of
from husimix.solve.ladder import Ladders, Rungs, climb
from husimix.solve.run import message_of
from husimix.solve.search import Found, search
from husimix.solve.stepping import Stepping
from husimix.state import AbstractState

__all__ = ["Search", "find", "steadystate"]

# What starts may differ by, in any expectation value, before several steady states are suspected.
_DISAGREEMENT = 0.02
# The longest evolution, in units of the inverse mean dissipation rate.
_LONGEST = 60.0


@dataclass(frozen=True)
class Search:
    """What all searches of one call of `steadystate` or `scan` have in common; see `steadystate` for each.

    Raises:
        ValueError: for values that do not fit.
    """

    ladders: Ladders
    symmetry: Symmetry
    observables: Mapping[str, Operator] | None
    method: Stepping
    seed: int
    starts: int
    max_drift: float
    max_time: float | None
    progress: bool

    def __post_init__(self) -> None:
        check_integer("starts", self.starts, 1)
        check_number("max_drift", self.max_drift, above=0)
        if self.max_time is not None:
            check_number("max_time", self.max_time, above=0)


def steadystate(
    model: Lindbladian,
    state: AbstractState | None = None,
    *,
    ansatz: AbstractAnsatz | str = "auto",
    tol: float | None = None,
    time_limit: float = 300.0,
    symmetry: Symmetry = "auto",
    observables: Mapping[str, Operator] | None = None,
    method: Stepping | None = None,
    seed: int = 0,
    starts: int = 2,
    max_drift: float = 3e-4,
    max_time: float | None = None,
    progress: bool = True,
) -> SteadyState:
    """The stationary state of an open spin system.

    From each start the state is evolved towards rest. Where the numbers of an ansatz are coordinates of the state, as
    those of clusters are, Newton's method takes over as soon as it leads to a stable stationary point near by
    (docs/theory.md). Elsewhere the state is evolved until expectation values stand still; where they come to rest
    slowly, implicit steps of pseudo-time lead on to the stationary point, and where there is none, because the ansatz
    keeps wandering, the search ends when means over windows of 5/rate stand still. Different ends of different starts
    are reported as possible multistability.

    Args:
        model: the Lindbladian of N sites; must have dissipation.
        state: the first start; all spins down by default. The second is the maximally mixed state, further ones are
            the first with other seeds.
        ansatz: see `mesolve`.
        tol: climb the ladder of the ansatz until the steady states of two rungs in a row differ by no more than this in
            any one-site, nearest-neighbour or other observable. None is 1e-2 for "auto", and else takes the ansatz as
            it is.
        time_limit: see `mesolve`.
        symmetry: see `mesolve`; a steady state that breaks the symmetry is found only without it.
        observables: operators by name, measured in the steady state.
        method: how time is stepped, `Stepping()` by default.
        seed: of whatever the ansatz takes at random.
        starts: how many starts to compare.
        max_drift: the drift at which a state counts as stationary, in units of the mean dissipation rate; Newton's
            method goes on to rounding.
        max_time: the longest evolution, in the unit of 1/rate; 60 over the mean dissipation rate by default.
        progress: show a progress meter.

    Returns:
        A `SteadyState`; of several starts the one with the smallest residual. After an interruption it holds where
        the search was; further starts are left out.

    Raises:
        ValueError: for arguments that do not fit, or a model without dissipation, before anything is computed.
    """
    ladders, stepping = check_ladders(ansatz, tol, time_limit), check_stepping(method)
    wanted = Search(ladders, symmetry, observables, stepping, seed, starts, max_drift, max_time, bool(progress))
    return find(check_model("model", model), state, wanted, stacklevel=3)


def find(model: Lindbladian, state: AbstractState | None, wanted: Search, stacklevel: int) -> SteadyState:
    """The steady state of one model; see `steadystate`.

    Args:
        model: the Lindbladian.
        state: the first start, or None for the default.
        wanted: what is looked for, and how.
        stacklevel: of warnings, counted from here.
    """
    began, rate, ladders = time.perf_counter(), dissipation_rate(model), wanted.ladders
    if rate == 0:
        fix = "Without dissipation every function of the Hamiltonian is stationary; add hx.Dissipator(...)."
        raise argument_error("model", "have dissipation for a steady state", "a model without", fix)
    longest = _LONGEST / rate if wanted.max_time is None else wanted.max_time
    start = default_state(model, ladders.ansatze[0]) if state is None else state
    problem = problem_of(model, start, longest, wanted.symmetry, wanted.observables, wanted.seed)
    problem = replace(problem, rate=rate)
    if ladders.tol is None:
        attempt = _attempt(ladders.ansatze[0], problem, wanted.method, wanted, longest)
        result = attempt.result
    else:

        def of_rung(ansatz: AbstractAnsatz, told: Problem, stepping: Stepping) -> _Attempt:
            return _attempt(ansatz, told, stepping, wanted, longest)

        rungs = Rungs(
            attempt=of_rung,
            status_of=lambda attempt: attempt.result.status,
            error_of=_difference,
            is_exact=lambda attempt: False,  # finer steps would not bring it nearer to rest
            stepping_seconds=lambda attempt: attempt.seconds,
        )
        end = climb(ladders, problem, wanted.method, rungs)
        attempt, message = end.attempt, message_of(end.status, end.ansatz)
        if end.status is Status.TOLERANCE_MISSED:
            message = f"{end.shortfall(ladders.tol)} {message}"
        settings = attempt.result.settings | {"tol": ladders.tol, "seed": wanted.seed, "rungs": list(end.labels)}
        result = replace(
            attempt.result, status=end.status, message=message, estimated_error=end.error, settings=settings
        )
    _warn(result, attempt, stacklevel + 1)
    return replace(result, wall_time=time.perf_counter() - began)


@dataclass(frozen=True)
class _Attempt:
    """The steady state of one rung, the searches that led to it, and what they took."""

    result: SteadyState
    best: Found
    ends: tuple[Found, ...]
    ansatz: AbstractAnsatz
    seconds: float


def _difference(attempt: _Attempt, before: _Attempt | None) -> float:
    """The estimated error of a rung from the one before; what the drift leaves where the ansatz is exact."""
    if attempt.best.prepared.is_exact:
        return attempt.result.drift / dissipation_rate(attempt.result.model)
    return float("nan") if before is None else attempt.best.distance_from(before.best)


def _attempt(ansatz: AbstractAnsatz, problem: Problem, stepping: Stepping, wanted: Search, longest: float) -> _Attempt:
    """Searches from all starts with one ansatz."""
    found: list[Found] = []
    began = time.perf_counter()
    for number in range(wanted.starts):
        begin = mixed_state(problem.model, ansatz) if number == 1 else problem.state
        told = replace(problem, state=begin, seed=problem.seed + max(0, number - 1))
        drop_compiled_if_many()
        prepared = ansatz.prepare(told)
        found.append(search(prepared, told, stepping, wanted.max_drift * problem.rate, longest, wanted.progress))
        if found[-1].status is Status.INTERRUPTED:
            break
    settled = [f for f in found if f.status is Status.COMPLETED]
    best = min(settled or found, key=lambda f: np.nan_to_num(f.certificate.flow, nan=f.drift))
    # An interrupted search tells nothing of where it would have ended.
    ends = [f for f in found if f.status is not Status.INTERRUPTED] or found
    is_interrupted = len(ends) < len(found) or ends[-1].status is Status.INTERRUPTED
    status = Status.INTERRUPTED if is_interrupted else best.status
    sites, pairs = np.asarray(best.local_values.sites), np.asarray(best.local_values.pairs)
    seen = smallest_probabilities(problem.model.basis, sites[None], pairs[None])
    diagnostics = {name: np.asarray(value).item() for name, value in best.numbers.items()}
    if best.certificate.sites.size:
        diagnostics["projection_error_site"] = np.asarray(best.certificate.sites)
    diagnostics |= {"smallest_probability_site": seen.site[0], "smallest_probability_pair": seen.pair[0]}
    result = SteadyState(
        state=best.state(),
        local_values=sites,
        expect={
            n: best.observables[n].real.item() if o.is_hermitian else best.observables[n].item()
            for n, o in problem.observables.items()
        },
        residual=float(best.certificate.flow),
        speed=float(best.certificate.speed),
        drift=best.drift,
        gap=best.gap,
        disagreement=max(f.distance_from(best) for f in ends),
        alternatives=[f.state() for f in found if f is not best],
        diagnostics=diagnostics,
        status=status,
        message=message_of(status, ansatz),
        model=problem.model,
        settings={
            "ansatz": best.prepared.settings,
            "symmetry": best.prepared.symmetry,
            "method": stepping.to_dict(),
            "seed": problem.seed,
            "starts": wanted.starts,
            "max_drift": wanted.max_drift,
            "max_time": longest,
        },
        wall_time=float("nan"),
        eigenvalues=np.zeros(0, dtype=complex) if best.root is None else best.root.eigenvalues,
    )
    return _Attempt(result, best, tuple(ends), ansatz, time.perf_counter() - began)


def _warn(result: SteadyState, attempt: _Attempt, stacklevel: int) -> None:
    if result.status is not Status.COMPLETED:
        text = f"{result.message} The drift is {result.drift:.2g}."
        warnings.warn(text, HusimixWarning, stacklevel)
    if result.disagreement > _DISAGREEMENT:
        text = (
            f"The {len(attempt.ends)} starts end in states that differ by up to {result.disagreement:.2g}: there may "
            "be several steady states (`alternatives` holds the others), or the ansatz is too small."
        )
        warnings.warn(text, HusimixWarning, stacklevel)
    best = attempt.best
    if best.root is not None and not best.root.is_stable:
        text = f"The steady state is unstable: a disturbance grows at the rate {-result.gap:.2g}. Start beside it."
        warnings.warn(text, HusimixWarning, stacklevel)
    elif best.root is not None and best.root.n_zero_modes:
        text = (
            f"{best.root.n_zero_modes} modes do not relax: something is conserved, and there is a steady state for "
            "each of its values; this one belongs to the start, `state`."
        )
        warnings.warn(text, HusimixWarning, stacklevel)
    sites, pairs = np.asarray(best.local_values.sites), np.asarray(best.local_values.pairs)
    seen = smallest_probabilities(result.model.basis, sites[None], pairs[None])
    purity = np.array([value for name, value in result.diagnostics.items() if name == "purity"])
    remedy = attempt.ansatz.remedies.get("UNPHYSICAL", "")
    warn_of_violations([np.inf], seen, best.motion.pairs, purity, remedy, stacklevel + 1)
