"""Directly to a stationary point: Newton steps on S θ̇ = F(θ) = 0, made safe by a pseudo-time step.

One implicit step of length Δt solves (S + λ (1 + Δt/τ) - Δt ∂F/∂θ) δ = Δt (F - μ e), e·δ = 0, with τ the first step
(docs/theory.md, eq. 23). Short steps follow the motion, long ones are Newton's; the length grows while the speed falls.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from husimix.phasespace import kernels
from husimix.phasespace.factored import FactoredGram
from husimix.solve.metric_solvers import Tikhonov
from husimix.solve.tdvp import Motion, Point

__all__ = ["Pace", "Stationary", "newton", "pace"]

# Relative to S's mean eigenvalue, where the metric solver has no damping of its own.
_DAMPING = 1e-6
_DIFFERENCE = 1e-6
_MOST_STEPS = 20
# So many steps must lower the speed by a fifth, or there is nothing near to be found.
_PATIENCE = 6
_GROWTH, _SHRINKAGE = 4.0, 0.125


class Stationary(NamedTuple):
    """Where Newton steps ended.

    Attributes:
        point: the last point.
        speed: ‖Ṙ‖/‖R‖ there.
        steps: how many were tried.
    """

    point: Point
    speed: float
    steps: int


def newton(motion: Motion, point: Point, first_step: float, tolerance: float) -> Stationary:
    """Newton steps until the speed falls below a tolerance, or no step helps any more.

    Args:
        motion: the equations; S must be kept as a matrix.
        point: near a stationary point.
        first_step: the first pseudo-time step.
        tolerance: ‖Ṙ‖/‖R‖ to reach, in 1/time.

    Returns:
        The best point found. Cost of a step: P forces and a factorisation of P rows.
    """
    best, length = pace(motion, point).speed, first_step
    steps, goal, given = 0, 0.8 * best, _PATIENCE
    while steps < min(_MOST_STEPS, given) and best > tolerance and length > 1e-3 * first_step:
        steps += 1
        tried = _implicit_step(motion, point, jnp.asarray(length), jnp.asarray(first_step))
        reached = pace(motion, tried).speed
        if reached < best:
            point, best, length = tried, reached, length * _GROWTH
        else:
            length *= _SHRINKAGE
        if best < goal:
            goal, given = 0.8 * best, steps + _PATIENCE
    return Stationary(point, best, steps)


class Pace(NamedTuple):
    """How fast a point moves and how fast it should, in 1/time.

    Attributes:
        speed: ‖Ṙ‖/‖R‖.
        flow: ‖𝓛R‖/‖R‖.
        rates: the velocity of weights and coordinates.
    """

    speed: float
    flow: float
    rates: Point


def pace(motion: Motion, point: Point) -> Pace:
    """The speed of a point, and the flow that it would have to follow."""
    (speed, flow), rates = _pace(motion, point)
    return Pace(float(speed), float(flow), rates)


@eqx.filter_jit
def _pace(motion: Motion, point: Point) -> tuple[Float[Array, " two"], Point]:
    rates, report = motion.velocity(point)
    squares = jnp.stack([report.captured, motion.squared_flow(point)])
    return jnp.sqrt(jnp.maximum(squares, 0.0) / report.norm), rates


@eqx.filter_jit
def _implicit_step(motion: Motion, point: Point, length: Float[Array, ""], unit: Float[Array, ""]) -> Point:
    frame = motion.frame(point)
    gram, slope = motion.gram_and_force(frame)
    if isinstance(gram, FactoredGram):
        raise TypeError("Newton steps take the Gram matrix as a matrix.")
    scale = motion.log_scale(frame.vectors)

    def force_after(change: Float[Array, " parameter"]) -> Float[Array, " parameter"]:
        there = motion.frame(motion.moved(point, change))
        tables = motion.g, motion.contacts, motion.generator, scale, motion.memory_limit
        return kernels.force(there, there, *tables)

    n_parameters = len(slope)
    # Differences, since the kernels' derivatives are written for bras alone. One column at a time.
    jacobian = jax.lax.map(
        lambda direction: (force_after(_DIFFERENCE * direction) - slope) / _DIFFERENCE, jnp.eye(n_parameters)
    ).T
    # Damped as the motion is: a short step is then one along the motion, also where S is nearly singular. Directions
    # that change nothing have neither S nor a Jacobian: a long step must not go further along them than a short one.
    damping = (motion.solver.damping if isinstance(motion.solver, Tikhonov) else _DAMPING) * (1 + length / unit)
    implicit = gram + damping * jnp.trace(gram) / n_parameters * jnp.eye(n_parameters) - length * jacobian
    bordered = jnp.block([[implicit, frame.trace_slope[:, None]], [frame.trace_slope[None], jnp.zeros((1, 1))]])
    change = jnp.linalg.solve(bordered, jnp.append(length * slope, 0.0))[:-1]
    return motion.moved(point, change)
