"""Linear equations whose solution keeps the trace."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["Constrained", "with_trace_kept"]


class Constrained(NamedTuple):
    """The solution of A x = F - μ e with e · x = 0.

    Attributes:
        solution: (P,) x.
        multiplier: μ.
    """

    solution: Float[Array, " parameter"]
    multiplier: Float[Array, ""]


def with_trace_kept(columns: Float[Array, "parameter two"], slope: Float[Array, " parameter"]) -> Constrained:
    """x = x_F - μ x_e with μ = e·x_F / e·x_e (docs/theory.md, eq. 19).

    Args:
        columns: x_F = A⁻¹ F and x_e = A⁻¹ e.
        slope: e, the derivative of the trace along the parameters.

    Returns:
        x and μ.
    """
    of_force, of_slope = columns.T
    multiplier = jnp.dot(slope, of_force) / jnp.dot(slope, of_slope)
    return Constrained(of_force - multiplier * of_slope, multiplier)
