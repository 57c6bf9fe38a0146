"""The front door of time evolution: convert, check, then compute."""

import contextlib
import dataclasses
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg.cython_lapack  # noqa: F401  # JAX's LAPACK; loaded before the limit of threads is set on it
from threadpoolctl import threadpool_limits

from husimix._errors import HusimixWarning, argument_error, check_integer, check_number
from husimix.phasespace.kernels import parameter_count
from husimix.phasespace.manifolds import AbstractManifold
from husimix.phasespace.metric import site_metric
from husimix.phasespace.mixture import Mixture
from husimix.phasespace.observables import Measurement, check_operator
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.operators import Operator
from husimix.physics.products import sum_of_products
from husimix.physics.symmetry import SymmetryGroup
from husimix.solve.metric_solvers import AbstractMetricSolver, Tikhonov
from husimix.solve.preparation import choose_group, with_components
from husimix.solve.progress import ProgressMeter
from husimix.solve.result import Result
from husimix.solve.stepping import Status, StepControl, StepRecord, evolve
from husimix.solve.tdvp import Motion, Point

__all__ = ["TDVP", "check_times", "mesolve"]

_DEFAULT_COMPONENTS = 8


@dataclasses.dataclass(frozen=True)
class TDVP:
    """Settings of the time-dependent variational principle.

    Args:
        metric_solver: how the Gram matrix is inverted: `Tikhonov(1e-6)` or `SpectralCutoff(1e-6)`.
        rtol: relative tolerance of one time step.
        atol: absolute tolerance of one time step; equal to `rtol` if None.
        solver: an explicit adaptive diffrax solver, such as `diffrax.Bosh3()` or `diffrax.Tsit5()`.
        spread: how far the extra initial components lie from the state, in Bloch vector length.
        max_steps: attempted steps after which a run gives up.
        memory_limit: GiB that the Gram matrix and the pair kernels may take together.

    Raises:
        ValueError: for values out of range.
    """

    metric_solver: AbstractMetricSolver = dataclasses.field(default_factory=Tikhonov)
    rtol: float = 1e-4
    atol: float | None = None
    solver: diffrax.AbstractERK = dataclasses.field(default_factory=diffrax.Bosh3)
    spread: float = 0.5
    max_steps: int = 100_000
    memory_limit: float = 4.0

    def __post_init__(self) -> None:
        if not isinstance(self.metric_solver, AbstractMetricSolver):
            fix = "Try hx.Tikhonov(1e-6)."
            raise argument_error("metric_solver", "be a metric solver", repr(self.metric_solver), fix)
        if not isinstance(self.solver, diffrax.AbstractERK):
            fix = "Try diffrax.Bosh3() or diffrax.Tsit5()."
            raise argument_error("solver", "be an explicit Runge-Kutta solver of diffrax", repr(self.solver), fix)
        check_number("rtol", self.rtol, above=0)
        check_number("atol", self.rtol if self.atol is None else self.atol, above=0)
        check_number("spread", self.spread, above=0)
        check_integer("max_steps", self.max_steps, 1)
        check_number("memory_limit", self.memory_limit, above=0)

    def to_dict(self) -> dict[str, Any]:
        """The settings, JSON-ready."""
        solver = self.metric_solver
        return {
            "metric_solver": {"name": type(solver).__name__} | dataclasses.asdict(solver),
            "rtol": self.rtol,
            "atol": self.rtol if self.atol is None else self.atol,
            "solver": type(self.solver).__name__,
            "spread": self.spread,
            "max_steps": self.max_steps,
            "memory_limit": self.memory_limit,
        }


def mesolve(
    model: Lindbladian,
    state: Mixture,
    tsave: Sequence[float] | np.ndarray,
    *,
    components: int | None = None,
    manifold: str | AbstractManifold = "bloch",
    metric: str | float | Sequence[float] = "husimi",
    symmetry: str | SymmetryGroup | None = "auto",
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
        metric: "husimi", "hilbert-schmidt", or weights g_l of the ranks l >= 1.
        symmetry: "auto" uses the lattice's translations where model and state have them; "translations" insists;
            None uses none; or a `SymmetryGroup`.
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
    g = site_metric(metric if isinstance(metric, str) else np.asarray(metric), model.basis)
    group = choose_group(symmetry, model, state)
    on_manifold = state.on_manifold(manifold)
    if group.order == 1 and state.group.order > 1:
        on_manifold = on_manifold.expanded()
    count = max(_DEFAULT_COMPONENTS, on_manifold.n_components) if components is None else int(components)
    kernel_bytes = _check_memory(count, on_manifold, settled.memory_limit)
    start = with_components(
        Mixture(on_manifold.weights, on_manifold.coordinates, on_manifold.manifold, group),
        count,
        settled.spread,
        seed,
    )
    motion = Motion(sum_of_products(model), jnp.asarray(g), group, start.manifold, settled.metric_solver, kernel_bytes)
    settings = {
        "tsave": times.tolist(),
        "components": count,
        "manifold": type(start.manifold).__name__.lower(),
        "metric": metric if isinstance(metric, str) else np.asarray(metric).tolist(),
        "symmetry": _symmetry_name(group, model),
        "method": settled.to_dict(),
        "seed": seed,
    }
    recorder = _Recorder(start, {name: Measurement(o) for name, o in measured.items()}, save_states)
    return _run(model, motion, start, times, settled, recorder, settings, progress)


def _run(
    model: Lindbladian,
    motion: Motion,
    start: Mixture,
    times: np.ndarray,
    method: TDVP,
    recorder: "_Recorder",
    settings: dict[str, Any],
    progress: bool,
) -> Result:
    control = StepControl(method.solver, method.rtol, method.rtol if method.atol is None else method.atol)
    began = time.perf_counter()
    with _one_blas_thread(), ProgressMeter("mesolve", times[0], times[-1], progress) as meter:

        def show(t: float, step: StepRecord) -> None:
            meter.update(min(t, times[-1]), step.accepted)

        arrays = _as_arrays(motion)
        point = Point(start.weights, start.coordinates)
        status, reached, last = evolve(arrays, point, times, control, method.max_steps, recorder, show)
    if status is not Status.COMPLETED:
        warnings.warn(f"The run stopped at t = {reached:.6g}. {status.value}", HusimixWarning, stacklevel=3)
    return Result(
        times=np.array(recorder.times),
        bloch=np.array(recorder.bloch).reshape(-1, start.n_sites, 3),
        expect={name: np.array(values) for name, values in recorder.expect.items()},
        final_state=recorder.mixture(last),
        diagnostics={name: np.array(values) for name, values in recorder.diagnostics.items()},
        status=status,
        model=model,
        settings=settings,
        wall_time=time.perf_counter() - began,
        states=recorder.states,
    )


class _Recorder:
    """Collects what a result holds at each save time."""

    def __init__(self, start: Mixture, measurements: Mapping[str, Measurement], save_states: bool):
        self._start = start
        self._measurements = measurements
        self._save_states = save_states
        self.times: list[float] = []
        self.bloch: list[np.ndarray] = []
        self.expect: dict[str, list[float | complex]] = {name: [] for name in measurements}
        self.states: list[Mixture] = []
        self.diagnostics: dict[str, list[float]] = {}

    def mixture(self, point: Point) -> Mixture:
        return Mixture(point.weights, point.coordinates, self._start.manifold, self._start.group)

    def __call__(self, t: float, point: Point, step: StepRecord) -> None:
        state = self.mixture(point)
        row = {
            "trace": state.trace(),
            "purity": state.purity(),
            "steps": step.accepted,
            "rejected": step.rejected,
            "step_size": step.step_size,
            "damping": float(step.report.metric.damping),
            "largest_eigenvalue": float(step.report.metric.largest),
            "smallest_eigenvalue": float(step.report.metric.smallest),
            "residual": float(step.report.residual),
        }
        values = {name: measure(state) for name, measure in self._measurements.items()}
        # Append only when all is measured: an interruption in between must leave equal lengths.
        bloch = state.bloch()
        self.times.append(t)
        self.bloch.append(bloch)
        for name, value in values.items():
            self.expect[name].append(value)
        for name, value in row.items():
            self.diagnostics.setdefault(name, []).append(value)
        if self._save_states:
            self.states.append(state)


def _symmetry_name(group: SymmetryGroup, model: Lindbladian) -> str | None:
    """What to pass as `symmetry` to repeat a run; "custom" for a group that only its permutations tell."""
    if group.order == 1:
        return None
    if model.lattice is None:
        return "custom"
    translations = SymmetryGroup.translations(model.lattice)
    return "translations" if np.array_equal(group.permutations, translations.permutations) else "custom"


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


def _check_memory(count: int, state: Mixture, limit_gib: float) -> int:
    """The bytes left for chunks of pairs; refuses a Gram matrix that does not fit."""
    limit = int(limit_gib * 2**30)
    n_parameters = parameter_count(count, state.n_sites, state.manifold.n_parameters)
    # The Gram matrix, its blocks while they are assembled, the damped copy and its factor.
    needed = 4 * 8 * n_parameters**2
    if needed > 0.75 * limit:
        raise argument_error(
            "components",
            f"fit into memory_limit = {limit_gib:g} GiB",
            f"{count} components of {state.n_sites} sites: {n_parameters} parameters, {needed / 2**30:.1f} GiB for "
            "the Gram matrix",
            "Use fewer components, or raise TDVP(memory_limit=...) if the machine has more.",
        )
    return limit - needed


def _as_arrays(motion: Motion) -> Motion:
    """Numbers as arrays, so that other parameters of the same shapes reuse the compiled code."""
    return jax.tree.map(lambda x: jnp.asarray(x) if isinstance(x, float | np.ndarray) else x, motion)


@contextlib.contextmanager
def _one_blas_thread() -> Iterator[None]:
    """Keep LAPACK on one thread.

    OpenBLAS threads wait by spinning; beside any other load, Cholesky factorisations of a few hundred rows take
    hundreds of times longer with two threads than with one (benchmarks/results).
    """
    with threadpool_limits(1, user_api="blas"):
        yield
