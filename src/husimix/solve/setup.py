"""From a model, a state and settings to equations of motion: what dynamics and steady states have in common."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import scipy.linalg.cython_lapack  # noqa: F401  # JAX's LAPACK; loaded before the limit of threads is set on it
from threadpoolctl import threadpool_limits

from husimix._compilation import drop_compiled_if_many
from husimix._errors import argument_error, check_integer
from husimix.phasespace.clusters import contact_clusters
from husimix.phasespace.contacts import contact_generator, contacts_of
from husimix.phasespace.manifolds import AbstractManifold
from husimix.phasespace.metric import site_metric
from husimix.phasespace.mixture import Mixture
from husimix.phasespace.observables import check_operator
from husimix.physics.lindbladian import Lindbladian
from husimix.physics.operators import Operator
from husimix.solve.arrangement import Arrangement, arrange
from husimix.solve.estimate import estimated
from husimix.solve.preparation import with_components
from husimix.solve.settings import TDVP
from husimix.solve.stepping import StepControl
from husimix.solve.symmetries import Symmetry, same_elements
from husimix.solve.tdvp import Motion, Point

__all__ = ["Setup", "check_kind", "check_observables", "one_blas_thread", "set_up"]

_DEFAULT_COMPONENTS = 8


class Setup(NamedTuple):
    """A problem that is ready to be moved.

    Attributes:
        model: the Lindbladian.
        arrangement: how components are laid out.
        motion: the equations.
        start: the point to start from.
        method: numerical settings.
        settings: what the user chose, JSON-ready.
    """

    model: Lindbladian
    arrangement: Arrangement
    motion: Motion
    start: Point
    method: TDVP
    settings: dict[str, Any]

    @property
    def control(self) -> StepControl:
        """How far to step."""
        method = self.method
        return StepControl(method.solver, method.rtol, method.rtol if method.atol is None else method.atol)

    def fits(self, n_components: int) -> bool:
        """Whether so many components fit into the memory limit."""
        needs = estimated(self.arrangement, n_components, self.motion.manifold, self.method)
        return needs.memory <= needs.memory_limit

    def motion_of(self, n_components: int) -> Motion:
        """The equations for another number of components.

        Raises:
            ValueError: if it does not fit into the memory limit.
        """
        needs = estimated(self.arrangement, n_components, self.motion.manifold, self.method)
        motion = dataclasses.replace(
            self.motion,
            solver=self.method.metric_solver_of(self.model.n_sites, n_components),
            memory_limit=needs.kernel_bytes(),
            factored=needs.gram == "factors",
        )
        return _as_arrays(motion)


def set_up(
    model: Lindbladian,
    state: Mixture,
    *,
    components: int | None,
    manifold: str | AbstractManifold,
    metric: str | float | Sequence[float],
    symmetry: Symmetry,
    window: int | None,
    method: TDVP | None,
    seed: int,
) -> Setup:
    """Everything that a run needs, from arguments as `mesolve` takes them.

    Raises:
        ValueError: for any argument that does not fit, before anything is computed.
    """
    settled: TDVP = check_kind("method", TDVP() if method is None else method, TDVP, "Try hx.TDVP(rtol=1e-4).")
    check_kind("model", model, Lindbladian, "Try hx.models.dissipative_ising(lattice).")
    check_kind("state", state, Mixture, 'Try hx.product_state(n_sites, "down").')
    if state.n_sites != model.n_sites or state.basis is not model.basis:
        raise argument_error("state", f"have the model's {model.n_sites} sites", state)
    if components is not None:
        check_integer("components", components, 1)
    if check_integer("seed", seed, 0) >= 2**63:
        raise argument_error("seed", "be below 2^63", seed)
    drop_compiled_if_many()
    g = site_metric(metric if isinstance(metric, str) else np.asarray(metric), model.basis, model.n_sites)
    on_manifold = state.on_manifold(manifold)
    arrangement = arrange(model, on_manifold, symmetry, window)
    if not same_elements(arrangement.group, state.group):
        on_manifold = on_manifold.expanded()
    count = max(_DEFAULT_COMPONENTS, on_manifold.n_components) if components is None else int(components)
    free, space = arrangement.free_coordinates(on_manifold), on_manifold.manifold
    start = with_components(on_manifold.weights, free, space, count, settled.spread, seed, arrangement.background)
    needs = estimated(arrangement, count, space, settled)
    layout = arrangement.layout
    motion = Motion(
        generator=contact_generator(arrangement.generator, layout),
        contacts=contacts_of(layout),
        g=jax.device_put(g),
        manifold=space,
        solver=settled.metric_solver_of(model.n_sites, count),
        clusters=contact_clusters(arrangement.clusters(), len(arrangement.generator.matrices) + 1, layout),
        memory_limit=needs.kernel_bytes(),
        factored=needs.gram == "factors",
    )
    settings = {
        "components": count,
        "manifold": type(space).__name__.lower(),
        "metric": metric if isinstance(metric, str) else np.asarray(metric).tolist(),
        "symmetry": arrangement.symmetry,
        "window": window,
        "method": settled.to_dict(model.n_sites, count),
        "seed": seed,
    }
    return Setup(model, arrangement, _as_arrays(motion), start, settled, settings)


def check_observables(observables: Mapping[str, Operator] | None, state: Mixture) -> dict[str, Operator]:
    """Operators by name, refused unless they act on the sites of a state and have names that files can hold."""
    given = observables or {}
    if not isinstance(given, Mapping):
        raise argument_error("observables", "map names to operators", repr(given), 'Try {"zz": hx.pauli("zz", 0, 1)}.')
    for name in given:
        if not isinstance(name, str) or not name or "/" in name:
            raise argument_error("observables", "have names without slashes", repr(name), "Files could not hold them.")
    return {name: check_operator(f"observables[{name!r}]", operator, state) for name, operator in given.items()}


def check_kind(name: str, value: Any, kind: type, fix: str) -> Any:
    """`value`, refused unless it is an instance of `kind`."""
    if not isinstance(value, kind):
        raise argument_error(name, f"be a {kind.__name__}", repr(value), fix)
    return value


def _as_arrays(motion: Motion) -> Motion:
    """Numbers as arrays, so that other parameters of the same shapes reuse the compiled code."""
    return jax.tree.map(lambda x: jax.device_put(np.asarray(x)) if isinstance(x, float | np.ndarray) else x, motion)


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep LAPACK on one thread.

    OpenBLAS threads wait by spinning; beside any other load, Cholesky factorisations of a few hundred rows take
    hundreds of times longer with two threads than with one (benchmarks/results).
    """
    with threadpool_limits(1, user_api="blas"):
        yield
