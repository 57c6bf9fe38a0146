"""The front door of time evolution: convert, check, then compute."""

import contextlib
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import scipy.linalg.cython_lapack  # noqa: F401  # JAX's LAPACK; loaded before the limit of threads is set on it
from threadpoolctl import threadpool_limits

from husimix._errors import HusimixWarning, argument_error, check_integer
from husimix.phasespace.clusters import contact_clusters
from husimix.phasespace.contacts import contact_generator, contacts_of
from husimix.phasespace.manifolds import AbstractManifold
from husimix.phasespace.metric import site_metric
from husimix.phasespace.mixture import Mixture
from husimix.phasespace.observables import Measurement, check_operator
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.operators import Operator
from husimix.solve.arrangement import arrange
from husimix.solve.estimate import estimated
from husimix.solve.preparation import with_components
from husimix.solve.progress import ProgressMeter
from husimix.solve.recording import Recorder
from husimix.solve.result import Result
from husimix.solve.settings import TDVP
from husimix.solve.stepping import Status, StepControl, evolve
from husimix.solve.symmetries import Symmetry, same_elements
from husimix.solve.tdvp import Motion, Point

__all__ = ["check_times", "mesolve"]

_DEFAULT_COMPONENTS = 8


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
    settled: TDVP = _check_kind("method", TDVP() if method is None else method, TDVP, "Try hx.TDVP(rtol=1e-4).")
    _check_kind("model", model, Lindbladian, "Try hx.models.dissipative_ising(lattice).")
    _check_kind("state", state, Mixture, 'Try hx.product_state(n_sites, "down").')
    if state.n_sites != model.n_sites or state.basis is not model.basis:
        raise argument_error("state", f"have the model's {model.n_sites} sites", state)
    times = check_times(tsave)
    measured = _check_observables(observables, state)
    if components is not None:
        check_integer("components", components, 1)
    if check_integer("seed", seed, 0) >= 2**63:
        raise argument_error("seed", "be below 2^63", seed)
    g = site_metric(metric if isinstance(metric, str) else np.asarray(metric), model.basis, model.n_sites)
    on_manifold = state.on_manifold(manifold)
    arrangement = arrange(model, on_manifold, symmetry, window)
    if not same_elements(arrangement.group, state.group):
        on_manifold = on_manifold.expanded()
    count = max(_DEFAULT_COMPONENTS, on_manifold.n_components) if components is None else int(components)
    free, space = arrangement.free_coordinates(on_manifold), on_manifold.manifold
    start = with_components(on_manifold.weights, free, space, count, settled.spread, seed, arrangement.background)
    needs = estimated(arrangement, count, space, settled)
    kernel_bytes, factored = needs.kernel_bytes(), needs.gram == "factors"
    contacts = contacts_of(arrangement.layout)
    generator = contact_generator(arrangement.generator, arrangement.layout)
    metric_solver = settled.metric_solver_of(model.n_sites)
    clusters = contact_clusters(arrangement.clusters(), len(generator.matrices) + 1, arrangement.layout)
    motion = Motion(generator, contacts, jax.device_put(g), space, metric_solver, clusters, kernel_bytes, factored)
    settings = {
        "tsave": times.tolist(),
        "components": count,
        "manifold": type(space).__name__.lower(),
        "metric": metric if isinstance(metric, str) else np.asarray(metric).tolist(),
        "symmetry": arrangement.symmetry,
        "window": window,
        "method": settled.to_dict(model.n_sites),
        "seed": seed,
    }
    measurements = {name: Measurement(o, arrangement.group) for name, o in measured.items()}
    recorder = Recorder(arrangement, space, contacts, measurements, save_states)
    return _run(model, motion, start, times, settled, recorder, settings, progress)


def _run(
    model: Lindbladian,
    motion: Motion,
    start: Point,
    times: np.ndarray,
    method: TDVP,
    recorder: Recorder,
    settings: dict[str, Any],
    progress: bool,
) -> Result:
    control = StepControl(method.solver, method.rtol, method.rtol if method.atol is None else method.atol)
    began = time.perf_counter()
    with _one_blas_thread(), ProgressMeter("mesolve", times[0], times[-1], progress) as meter:

        def show(t: float, steps: int) -> None:
            meter.update(min(t, times[-1]), steps)

        arrays = _as_arrays(motion)
        status, reached, last = evolve(arrays, start, times, control, method.max_steps, recorder, show)
    if status is not Status.COMPLETED:
        warnings.warn(f"The run stopped at t = {reached:.6g}. {status.value}", HusimixWarning, stacklevel=3)
    return Result(
        times=np.array(recorder.times),
        bloch=np.array(recorder.bloch).reshape(-1, model.n_sites, 3),
        expect={name: np.array(values) for name, values in recorder.expect.items()},
        final_state=recorder.mixture(last),
        diagnostics={name: np.array(values) for name, values in recorder.diagnostics.items()},
        status=status,
        model=model,
        settings=settings,
        wall_time=time.perf_counter() - began,
        states=recorder.states,
    )


def _check_observables(observables: Mapping[str, Operator] | None, state: Mixture) -> dict[str, Operator]:
    given = observables or {}
    if not isinstance(given, Mapping):
        raise argument_error("observables", "map names to operators", repr(given), 'Try {"zz": hx.pauli("zz", 0, 1)}.')
    for name in given:
        if not isinstance(name, str) or not name or "/" in name:
            raise argument_error("observables", "have names without slashes", repr(name), "Files could not hold them.")
    return {name: check_operator(f"observables[{name!r}]", operator, state) for name, operator in given.items()}


def _check_kind(name: str, value: Any, kind: type, fix: str) -> Any:
    if not isinstance(value, kind):
        raise argument_error(name, f"be a {kind.__name__}", repr(value), fix)
    return value


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


def _as_arrays(motion: Motion) -> Motion:
    """Numbers as arrays, so that other parameters of the same shapes reuse the compiled code."""
    return jax.tree.map(lambda x: jax.device_put(np.asarray(x)) if isinstance(x, float | np.ndarray) else x, motion)


@contextlib.contextmanager
def _one_blas_thread() -> Iterator[None]:
    """Keep LAPACK on one thread.

    OpenBLAS threads wait by spinning; beside any other load, Cholesky factorisations of a few hundred rows take
    hundreds of times longer with two threads than with one (benchmarks/results).
    """
    with threadpool_limits(1, user_api="blas"):
        yield
