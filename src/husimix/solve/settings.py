"""Numerical settings of a run."""

import dataclasses
from typing import Any

import diffrax

from husimix._errors import argument_error, check_choice, check_integer, check_number
from husimix.solve.metric_solvers import AbstractMetricSolver, Tikhonov

__all__ = ["GRAM_FORMS", "TDVP"]

GRAM_FORMS = ("auto", "matrix", "factors")


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
        gram: how the Gram matrix is kept: as a "matrix", as the "factors" it is made of (for `Tikhonov` alone, which
            then uses conjugate gradients), or "auto", whichever is estimated to be faster.

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
    gram: str = "auto"

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
        check_choice("gram", self.gram, GRAM_FORMS)
        if self.gram == "factors" and not self.metric_solver.takes_factors:
            got = f'"factors" with {type(self.metric_solver).__name__}'
            raise argument_error("gram", 'be "auto" or "matrix" unless the metric solver is Tikhonov', got)

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
            "gram": self.gram,
        }
