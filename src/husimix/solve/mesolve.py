"""The front door of time evolution: convert, check, then compute."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from husimix._errors import HusimixWarning, argument_error, check_integer, check_number
from husimix.phasespace.manifolds import AbstractManifold
from husimix.phasespace.mixture import Mixture
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.operators import Operator
from husimix.solve.journey import Status
from husimix.solve.problem import Problem
from husimix.solve.result import Result
from husimix.solve.settings import TDVP
from husimix.solve.setup import check_kind, check_observables
from husimix.solve.symmetries import Symmetry
from husimix.solve.tolerance import run_to_tolerance

__all__ = ["check_times", "mesolve"]

_TOLERANCE = 1e-2
_KINDS = 'be a number, a pair of numbers or "auto"'


def mesolve(
    model: Lindbladian,
    state: Mixture,
    tsave: Sequence[float] | np.ndarray,
    *,
    components: int | tuple[int, int] | Literal["auto"] | None = None,
    tol: float | None = None,
    manifold: str | AbstractManifold = "bloch",
    metric: str | float | Sequence[float] = "auto",
    symmetry: Symmetry = "auto",
    window: int | None = None,
    observables: Mapping[str, Operator] | None = None,
    method: TDVP | None = None,
    seed: int = 0,
    save_states: bool = False,
    progress: bool = True,
) -> Result:
    """Evolve an open spin system with the variational phase-space method.

    Solves dρ/dt = 𝓛ρ by S θ̇ = F on mixtures of K product states (docs/theory.md, eq. 12).

    Args:
        model: the Lindbladian of N sites.
        state: the initial state, from `product_state` or an earlier run.
        tsave: (T,) increasing times, in the unit of 1/rate; the first is the initial time.
        components: K, the number of components; 8, or what `state` has if that is more. A pair lets K change: the
            greater number while the projection error is high, the lesser one when it has fallen. "auto" repeats the
            run with pairs (4, 16), (8, 32), ... until `tol` is met, up to `TDVP(max_components=...)`.
        tol: with `components="auto"`, what two runs in a row, the later one with twice as many components and another
            seed, may differ by in any one-site, nearest-neighbour or other observable at any time; 1e-2 by default.
            This difference is `diagnostics["estimated_error"]` of the result.
        manifold: "bloch" (any Bloch vector, 3 parameters a site) or "coherent" (unit vectors, 2 a site).
        metric: "auto" is "husimi" up to 24 sites and weighs correlations less on larger lattices; "hilbert-schmidt";
            or weights g_l of the ranks l >= 1.
        symmetry: "auto" uses all that model and state have of translations, point group and π rotations;
            "translations" those alone, and insists on them; None uses none; or a `SymmetryGroup`, or its generators
            as `Transformation` objects or site permutations.
        window: how many cells around a centre the components may differ from a uniform background, for
            translation-invariant lattices; the cost then does not grow with the lattice. None for all cells.
        observables: operators by name, measured at each save time.
        method: numerical settings, `TDVP()` by default.
        seed: of the extra initial components.
        save_states: keep the state at every save time, not only at the last.
        progress: show a progress meter.

    Returns:
        A `Result`. A run that cannot go on returns what it has, with a `HusimixWarning` that names the remedy.

    Raises:
        ValueError: for any argument that does not fit, before anything is computed.
    """
    check_kind("state", state, Mixture, 'Try hx.product_state(n_sites, "down").')
    arguments = {"manifold": manifold, "metric": metric, "symmetry": symmetry, "window": window, "method": method}
    times, measured = check_times(tsave), check_observables(observables, state)
    problem = Problem(model, state, times, measured, save_states, progress, arguments)
    if components == "auto":
        settled: TDVP = check_kind("method", TDVP() if method is None else method, TDVP, "Try hx.TDVP(rtol=1e-4).")
        check_integer("seed", seed, 0)
        tolerance = check_number("tol", _TOLERANCE if tol is None else tol, above=0)
        run = run_to_tolerance(problem, tolerance, settled.max_components, seed)
    elif tol is not None:
        fix = 'A tolerance chooses the number of components: components="auto".'
        raise argument_error("tol", 'be None unless components is "auto"', tol, fix)
    else:
        run = problem.run(*_range_of(components), seed)
    status = run.result.status
    if status is Status.TOLERANCE_MISSED:
        found = np.max(run.result.diagnostics["estimated_error"])
        text = f"tol = {tol or _TOLERANCE:g} is not met: the last two runs differ by {found:.2g}. {status.value}"
        warnings.warn(text, HusimixWarning, stacklevel=2)
    elif status is not Status.COMPLETED:
        warnings.warn(f"The run stopped at t = {run.reached:.6g}. {status.value}", HusimixWarning, stacklevel=2)
    run.recorder.warn(stacklevel=3)
    return run.result


def _range_of(components: int | tuple[int, int] | str | None) -> tuple[int | None, int | None]:
    """The least number of components and, if it may change, the greatest."""
    if isinstance(components, str):
        raise argument_error("components", _KINDS, repr(components))
    if not isinstance(components, tuple | list):
        return components, None
    if len(components) != 2:
        raise argument_error("components", _KINDS, components)
    least, most = (check_integer("components", k, 1) for k in components)
    if most < least:
        raise argument_error("components", "be a pair that increases", components, f"Try ({most}, {least}).")
    return least, most


def check_times(tsave: Sequence[float] | np.ndarray) -> np.ndarray:
    """Save times as a float array, refused unless at least two, finite and increasing."""
    times = np.asarray(tsave)
    if times.dtype.kind not in "fiu" or times.ndim != 1 or len(times) < 2:
        raise argument_error("tsave", "be a sequence of at least two times", repr(tsave), "Try np.linspace(0, 5, 51).")
    if not np.isfinite(times).all():
        raise argument_error("tsave", "be finite", "an entry that is not")
    steps = np.diff(times)
    if steps.min() <= 0:
        where = int(np.argmax(steps <= 0))
        raise argument_error("tsave", "be increasing", f"{times[where]:g} followed by {times[where + 1]:g}")
    return times.astype(float)
