"""The certificate: how far the velocity of a mixture is from 𝓛R, known in closed form (docs/theory.md, eq. 21)."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from husimix.solve.tdvp import Motion, Point, VelocityReport

__all__ = ["Certificate", "certified"]


class Certificate(NamedTuple):
    """The projection error at a point. Also used for its integrals over time.

    Attributes:
        relative: ‖𝓛R - Ṙ‖ / ‖R‖, in 1/time.
        absolute: ‖𝓛R - Ṙ‖, in 1/time.
        share: ‖𝓛R - Ṙ‖ / ‖𝓛R‖, the part of the flow that the tangent space does not hold.
    """

    relative: Float[Array, ""]
    absolute: Float[Array, ""]
    share: Float[Array, ""]


def certified(motion: Motion, point: Point, report: VelocityReport) -> Certificate:
    """The projection error of a velocity, from what its report says it captured.

    ‖𝓛R - Ṙ‖² is the difference of two numbers of the size of ‖𝓛R‖², so that shares below some 1e-7 are rounding.

    Args:
        motion: the equations.
        point: where the velocity was taken.
        report: of that velocity.

    Returns:
        The certificate. Cost: one `squared_flow`.
    """
    flow = motion.squared_flow(point)
    missed = jnp.sqrt(jnp.maximum(flow - report.captured, 0.0))
    scale = jnp.exp(0.5 * motion.log_scale(motion.manifold.vectors(point.coordinates)))
    tiny = jnp.finfo(float).tiny
    return Certificate(
        relative=missed / jnp.sqrt(jnp.maximum(report.norm, tiny)),
        absolute=missed * scale,
        share=missed / jnp.sqrt(jnp.maximum(flow, tiny)),
    )
