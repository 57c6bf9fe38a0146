"""The front door of time evolution: convert, check, then compute."""

import time
import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from husimix._errors import HusimixWarning, argument_error
from husimix.phasespace.manifolds import AbstractManifold
from husimix.phasespace.mixture import Mixture
from husimix.phasespace.observables import Measurement
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.operators import Operator
from husimix.solve.physicality import neighbours
from husimix.solve.progress import ProgressMeter
from husimix.solve.recording import Recorder
from husimix.solve.result import Result
from husimix.solve.settings import TDVP
from husimix.solve.setup import Setup, check_kind, check_observables, one_blas_thread, set_up
from husimix.solve.stepping import Status, evolve
from husimix.solve.symmetries import Symmetry

__all__ = ["check_times", "mesolve"]


def mesolve(
    model: Lindbladian,
    state: Mixture,
    tsave: Sequence[float] | np.ndarray,
    *,
    components: int | None = None,
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
        components: K, the number of components; 8, or what `state` has if that is more.
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
    times = check_times(tsave)
    measured = check_observables(observables, state)
    setup = set_up(
        model,
        state,
        components=components,
        manifold=manifold,
        metric=metric,
        symmetry=symmetry,
        window=window,
        method=method,
        seed=seed,
    )
    measurements = {name: Measurement(o, setup.arrangement.group) for name, o in measured.items()}
    motion, pairs = setup.motion, neighbours(model, setup.arrangement.group)
    recorder = Recorder(setup.arrangement, motion.manifold, motion.contacts, measurements, save_states, pairs)
    return _run(setup, times, recorder, progress)


def _run(setup: Setup, times: np.ndarray, recorder: Recorder, progress: bool) -> Result:
    began = time.perf_counter()
    with one_blas_thread(), ProgressMeter("mesolve", times[0], times[-1], progress) as meter:

        def show(t: float, steps: int) -> None:
            meter.update(min(t, times[-1]), steps)

        most = setup.method.max_steps
        status, reached, last = evolve(setup.motion, setup.start, times, setup.control, most, recorder, show)
    if status is not Status.COMPLETED:
        warnings.warn(f"The run stopped at t = {reached:.6g}. {status.value}", HusimixWarning, stacklevel=3)
    recorder.warn(stacklevel=4)
    return Result(
        times=np.array(recorder.times),
        bloch=np.array(recorder.bloch).reshape(-1, setup.model.n_sites, 3),
        expect={name: np.array(values) for name, values in recorder.expect.items()},
        final_state=recorder.mixture(last),
        diagnostics={name: np.array(values) for name, values in recorder.diagnostics.items()},
        status=status,
        model=setup.model,
        settings={"tsave": times.tolist()} | setup.settings,
        wall_time=time.perf_counter() - began,
        states=recorder.states,
    )


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
