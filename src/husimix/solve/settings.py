"""Numerical settings of a run."""

import dataclasses
from typing import Any

import diffrax

from husimix._errors import argument_error, check_choice, check_integer, check_number
from husimix.phasespace.metric import size_factor
from husimix.solve.metric_solvers import AbstractMetricSolver, Tikhonov

__all__ = ["GRAM_FORMS", "TDVP"]

_DAMPING = 1e-6
# Up to so many components the damping does not depend on their number.
_FEW = 8
GRAM_FORMS = ("auto", "matrix", "factors")


@dataclasses.dataclass(frozen=True)
class TDVP:
    """Settings of the time-dependent variational principle.

    Args:
        metric_solver: how the Gram matrix is inverted: `Tikhonov(1e-6)` or `SpectralCutoff(1e-6)`. None is `Tikhonov`
            with a damping of 1e-6, times (24/N)² beyond 24 sites and (8/K)² beyond 8 components.
        rtol: relative tolerance of one time step.
        atol: absolute tolerance of one time step; equal to `rtol` if None.
        solver: an explicit adaptive diffrax solver, such as `diffrax.Bosh3()` or `diffrax.Tsit5()`.
        spread: how far the extra initial components lie from the state, in Bloch vector length.
        max_steps: attempted steps after which a run gives up.
        max_components: the most components that `components="auto"` takes.
        memory_limit: GiB that the Gram matrix and the pair kernels may take together.
        gram: how the Gram matrix is kept: as a "matrix", as the "factors" it is made of (for `Tikhonov` alone, which
            then uses conjugate gradients), or "auto", whichever is estimated to be faster.

    Raises:
        ValueError: for values out of range.
    """

    metric_solver: AbstractMetricSolver | None = None
    rtol: float = 1e-4
    atol: float | None = None
    solver: diffrax.AbstractERK = dataclasses.field(default_factory=diffrax.Bosh3)
    spread: float = 0.2
    max_steps: int = 100_000
    max_components: int = 128
    memory_limit: float = 4.0
    gram: str = "auto"

    def __post_init__(self) -> None:
        if not isinstance(self.metric_solver, AbstractMetricSolver | None):
            fix = "Try hx.Tikhonov(1e-6)."
            raise argument_error("metric_solver", "be a metric solver", repr(self.metric_solver), fix)
        if not isinstance(self.solver, diffrax.AbstractERK):
            fix = "Try diffrax.Bosh3() or diffrax.Tsit5()."
            raise argument_error("solver", "be an explicit Runge-Kutta solver of diffrax", repr(self.solver), fix)
        check_number("rtol", self.rtol, above=0)
        check_number("atol", self.rtol if self.atol is None else self.atol, above=0)
        check_number("spread", self.spread, above=0)
        check_integer("max_steps", self.max_steps, 1)
        check_integer("max_components", self.max_components, 1)
        check_number("memory_limit", self.memory_limit, above=0)
        check_choice("gram", self.gram, GRAM_FORMS)
        if self.gram == "factors" and self.metric_solver is not None and not self.metric_solver.takes_factors:
            got = f'"factors" with {type(self.metric_solver).__name__}'
            raise argument_error("gram", 'be "auto" or "matrix" unless the metric solver is Tikhonov', got)

    def metric_solver_of(self, n_sites: int, n_components: int) -> AbstractMetricSolver:
        """The metric solver of a run on N sites: the one that was given, or the default (docs/theory.md)."""
        default = Tikhonov(_DAMPING * size_factor(n_sites) ** 2 * min(1.0, _FEW / n_components) ** 2)
        return default if self.metric_solver is None else self.metric_solver

    def to_dict(self, n_sites: int, n_components: int) -> dict[str, Any]:
        """The settings of a run of K components on N sites, JSON-ready."""
        solver = self.metric_solver_of(n_sites, n_components)
        return {
            "metric_solver": {"name": type(solver).__name__} | dataclasses.asdict(solver),
            "rtol": self.rtol,
            "atol": self.rtol if self.atol is None else self.atol,
            "solver": type(self.solver).__name__,
            "spread": self.spread,
            "max_steps": self.max_steps,
            "max_components": self.max_components,
            "memory_limit": self.memory_limit,
            "gram": self.gram,
        }
