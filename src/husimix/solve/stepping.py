"""Amount: how far to step. Adaptive explicit steps of diffrax in a host-side loop over compiled chunks.

The host regains control after every few steps, which makes progress, interruption, saving and stopping one
mechanism. Save times do not shorten the steps: states there come from the solver's own interpolation.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from husimix.solve.certificate import Certificate, certified
from husimix.solve.journey import Glance, Journey, Status, StepRecord, Totals
from husimix.solve.tdvp import Motion, Point, VelocityReport

__all__ = ["StepControl", "evolve"]

# Attempted steps between two looks of the host.
_CHUNK = 8
# A step below this fraction of the whole time span counts as collapsed.
_COLLAPSE = 1e-9


class StepControl(NamedTuple):
    """How far to step.

    Attributes:
        solver: an explicit diffrax solver with an error estimate.
        rtol, atol: tolerances on weights and coordinates per step, in the RMS norm.
    """

    solver: diffrax.AbstractSolver
    rtol: float | Float[Array, ""]
    atol: float | Float[Array, ""]


Record = Callable[[float, Point, StepRecord], bool | None]


class _Moving(NamedTuple):
    """The integrated quantities: the point, and the time integrals of the velocity report.

    Integrating the report costs nothing beside the velocity that the solver asks for anyway. The integrals take
    no part in the error control.
    """

    point: Point
    integrals: VelocityReport


class _Watch(NamedTuple):
    """The certificate along the last accepted step, taken to be linear in between.

    Attributes:
        before, after: at its two ends.
        accrued: the integral up to its beginning.
    """

    before: Certificate
    after: Certificate
    accrued: Certificate

    def up_to(self, fraction: Float[Array, ""], step_size: Float[Array, ""]) -> Certificate:
        """The integral up to some fraction of the step."""

        def integral(before: Array, after: Array, accrued: Array) -> Array:
            return accrued + step_size * fraction * (before + 0.5 * fraction * (after - before))

        return jax.tree.map(integral, self.before, self.after, self.accrued)


class _Carry(NamedTuple):
    """The state of the loop between two steps."""

    t: Float[Array, ""]
    t_next: Float[Array, ""]
    moving: _Moving
    solver_state: Any
    controller_state: Any
    interpolation: Any
    watch: _Watch
    accepted: Int[Array, ""]
    rejected: Int[Array, ""]
    step_size: Float[Array, ""]
    collapsed: Bool[Array, ""]


def evolve(
    motion: Motion,
    journey: Journey,
    times: np.ndarray,
    control: StepControl,
    max_steps: int,
    record: Record,
    look: Callable[[Glance], bool | None],
) -> tuple[Status, Journey]:
    """Integrate the motion and record the point at each save time ahead.

    Args:
        motion: the equations.
        journey: where to go on from.
        times: (T,) increasing; those up to `journey.saved` are passed over.
        control: how far to step.
        max_steps: attempted steps after which the run gives up.
        record: called with (time, point, step record) at each time that is reached; True ends the run there.
        look: called with a `Glance` after each chunk; True pauses the run there, before the next.

    Returns:
        How the run ended, and how far it has come. Unless it was paused, the totals are those of the last save time.
    """
    ahead = times[times > journey.saved]
    try:
        if journey.saved == -np.inf:
            ends = record(journey.t, journey.point, _step_record(journey, journey.totals, journey.totals, 0.0))
            journey, ahead = journey._replace(saved=journey.t), ahead[1:]
            if ends or not len(ahead):
                return Status.COMPLETED, journey
        pauses: bool | None = False
        instants, control = _on_device(ahead, control)
        carry = _start(motion, *_numbers_of(journey, ahead[-1]), instants[-1], control)
        for t, instant in zip(ahead.tolist(), instants, strict=True):
            while journey.t < t:
                # Not sooner, since save times inside the last step need its interpolation.
                if pauses:
                    point, totals = _interpolate(carry, carry.t, motion, control)
                    return Status.PAUSED, journey._replace(point=point, totals=totals)
                if journey.accepted + journey.rejected >= max_steps:
                    return Status.MAX_STEPS, journey
                carry = _advance(carry, motion, instant, instants[-1], control)
                glance = _glance(carry)
                journey = _gone_on(journey, carry, glance)
                if glance.collapsed:
                    return _why_collapsed(carry, motion), journey
                pauses = look(glance)
            point, reached = _interpolate(carry, instant, motion, control)
            ends = record(t, point, _step_record(journey, reached, journey.totals_saved, t - journey.saved))
            journey = journey._replace(saved=t, totals=reached, totals_saved=reached)
            if ends or instant is instants[-1]:
                return Status.COMPLETED, journey._replace(t=t, point=point)
    except KeyboardInterrupt:
        return Status.INTERRUPTED, journey
    return Status.COMPLETED, journey


def _on_device(times: np.ndarray, control: StepControl) -> tuple[list[Array], StepControl]:
    """Times and tolerances as arrays; Python floats would be compile-time constants of the jitted functions."""
    instants, rtol, atol = jax.device_put((list(times), np.asarray(control.rtol), np.asarray(control.atol)))
    return instants, control._replace(rtol=rtol, atol=atol)


def _numbers_of(journey: Journey, t_end: float) -> tuple[Point, Totals, Array, Array, Array, Array]:
    """What a leg starts from, on the device: point, totals, time, end of the first step, steps."""
    # A first step of 1e-3 of the span costs a few steps while it grows, less than asking for two more
    # velocities (and their compilation) to choose it.
    first = 1e-3 * (t_end - journey.t) if journey.step_size == 0 else 0.5 * journey.step_size
    numbers = journey.t, min(journey.t + first, t_end), journey.accepted, journey.rejected
    return journey.point, *jax.device_put((journey.totals, *(np.asarray(x) for x in numbers)))


def _field(t: Any, moving: _Moving, motion: Motion) -> _Moving:
    return _Moving(*motion.velocity(moving.point))


_TERM = diffrax.ODETerm(_field)


def _controller(control: StepControl) -> Any:
    return diffrax.PIDController(rtol=control.rtol, atol=control.atol)


@eqx.filter_jit
def _start(
    motion: Motion,
    start: Point,
    totals: Totals,
    t0: Array,
    first: Array,
    accepted: Array,
    rejected: Array,
    t_end: Array,
    control: StepControl,
) -> _Carry:
    zero = jnp.zeros(())
    moving = _Moving(start, totals.report)
    nothing = Certificate(zero, zero, zero)
    controller, solver = _controller(control), control.solver
    t_next, controller_state = controller.init(
        _TERM, t0, t_end, start, first - t0, motion, solver.func, solver.error_order(_TERM)
    )
    # Shapes alone are wanted here. They are those of a number that stands still, which is traced faster by a second.
    still = diffrax.ODETerm(lambda t, y, args: y)
    solver_state = jax.tree.map(jnp.asarray, solver.init(still, t0, t_next, moving, motion))
    of_number = solver.init(still, t0, t_next, zero, None)
    taken = eqx.filter_eval_shape(solver.step, still, t0, t_next, zero, None, of_number, False)
    interpolation = jax.tree.map(
        lambda kept: jax.tree.map(lambda x: jnp.zeros((*kept.shape, *x.shape), x.dtype), moving), taken[2]
    )
    return _Carry(
        t0,
        t_next,
        moving,
        solver_state,
        controller_state,
        interpolation,
        _Watch(nothing, nothing, totals.certificate),
        accepted,
        rejected,
        zero,
        jnp.zeros((), dtype=bool),
    )


@eqx.filter_jit
def _advance(carry: _Carry, motion: Motion, t_goal: Array, t_end: Array, control: StepControl) -> _Carry:
    """Up to `_CHUNK` attempted steps, or until the goal is passed, or until the step collapses."""
    controller, solver = _controller(control), control.solver
    attempts_before = carry.accepted + carry.rejected
    smallest = _COLLAPSE * t_end

    def unfinished(c: _Carry) -> Bool[Array, ""]:
        attempts = c.accepted + c.rejected - attempts_before
        return (c.t < t_goal) & (attempts < _CHUNK) & ~c.collapsed

    def step(c: _Carry) -> _Carry:
        # The end of the run is met exactly; a step that would leave a sliver before it is stretched to it.
        t1 = jnp.where(c.t_next > t_end - smallest, t_end, c.t_next)
        y1, error, interpolation, solver_state, _ = solver.step(
            _TERM, c.t, t1, c.moving, motion, c.solver_state, made_jump=False
        )
        assert error is not None, "TDVP takes solvers with an error estimate only"
        finite = jnp.all(jnp.array([jnp.all(jnp.isfinite(x)) for x in y1.point]))
        missed = jax.tree.map(lambda e: jnp.where(finite, e, 1e30), error.point)
        keep, t, t_next, _, controller_state, _ = controller.adapt_step_size(
            c.t, t1, c.moving.point, y1.point, motion, missed, solver.error_order(_TERM), c.controller_state
        )
        moving, solver_state, interpolation, watch = jax.lax.cond(
            keep,
            lambda: (y1, solver_state, interpolation, _watched(c, t1, y1, solver_state, motion)),
            lambda: (c.moving, c.solver_state, c.interpolation, c.watch),
        )
        return _Carry(
            t=t,
            t_next=t_next,
            moving=moving,
            solver_state=solver_state,
            controller_state=controller_state,
            interpolation=interpolation,
            watch=watch,
            accepted=c.accepted + jnp.where(keep, 1, 0),
            rejected=c.rejected + jnp.where(keep, 0, 1),
            step_size=jnp.where(keep, t1 - c.t, c.step_size),
            collapsed=t_next - t < smallest,
        )

    return jax.lax.while_loop(unfinished, step, carry)


def _watched(c: _Carry, t1: Array, y1: _Moving, solver_state: Any, motion: Motion) -> _Watch:
    """The certificate at the end of an accepted step, and its integral up to the beginning."""
    is_moving = [x for x in jax.tree.leaves(solver_state, is_leaf=_is_moving) if _is_moving(x)]
    # Solvers whose last stage is the first of the next step keep the velocity at the end; others have none to spare.
    rates = is_moving[0] if is_moving else _field(t1, y1, motion)
    after = certified(motion, y1.point, rates.integrals)
    before = jax.tree.map(lambda old, new: jnp.where(c.step_size == 0, new, old), c.watch.after, after)
    return _Watch(before, after, c.watch.up_to(jnp.ones(()), c.step_size))


def _is_moving(x: Any) -> bool:
    return isinstance(x, _Moving)


@eqx.filter_jit
def _interpolate(carry: _Carry, t: Array, motion: Motion, control: StepControl) -> tuple[Point, Totals]:
    """The state at a time inside the last accepted step."""
    path = control.solver.interpolation_cls(t0=carry.t - carry.step_size, t1=carry.t, **carry.interpolation)
    moving = path.evaluate(t)
    point = Point(moving.point.weights, motion.manifold.restored(moving.point.coordinates))
    fraction = (t - carry.t + carry.step_size) / carry.step_size
    return point, Totals(moving.integrals, carry.watch.up_to(fraction, carry.step_size))


@eqx.filter_jit
def _is_finite_velocity(motion: Motion, point: Point) -> Bool[Array, ""]:
    rates, _ = motion.velocity(point)
    return jnp.all(jnp.isfinite(rates.weights)) & jnp.all(jnp.isfinite(rates.coordinates))


def _why_collapsed(carry: _Carry, motion: Motion) -> Status:
    return Status.STEP_COLLAPSE if _is_finite_velocity(motion, carry.moving.point) else Status.NON_FINITE


def _glance(carry: _Carry) -> Glance:
    seen = carry.t, carry.accepted, carry.rejected, carry.collapsed, carry.watch.after.relative
    return Glance(*(x.item() for x in jax.device_get(seen)))


def _gone_on(journey: Journey, carry: _Carry, glance: Glance) -> Journey:
    moved = {"t": glance.t, "point": carry.moving.point, "step_size": float(carry.step_size)}
    return journey._replace(**moved, accepted=glance.accepted, rejected=glance.rejected)


def _step_record(journey: Journey, now: Totals, before: Totals, elapsed: float) -> StepRecord:
    later, earlier = jax.device_get((now, before))

    def mean(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a - b) / elapsed if elapsed > 0 else np.full_like(a, np.nan)

    means: Totals = jax.tree.map(mean, later, earlier)
    relative, absolute = journey.compressed
    accrued = later.certificate
    accrued = accrued._replace(relative=accrued.relative + relative, absolute=accrued.absolute + absolute)
    return StepRecord(journey.accepted, journey.rejected, journey.step_size, *means, accrued)
