"""Amount: how far to step. Adaptive explicit steps of diffrax in a host-side loop over compiled chunks.

The host regains control after every few steps, which makes progress, interruption, saving and stopping one
mechanism. Save times do not shorten the steps: states there come from the solver's own interpolation.
"""

import enum
from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from optimistix import rms_norm

from husimix.solve.certificate import Certificate, certified
from husimix.solve.metric_solvers import MetricReport
from husimix.solve.tdvp import Motion, Point, VelocityReport

__all__ = ["Progress", "Status", "StepControl", "StepRecord", "evolve"]

# Attempted steps between two looks of the host.
_CHUNK = 8
# A step below this fraction of the whole time span counts as collapsed.
_COLLAPSE = 1e-9


class Status(enum.Enum):
    """How a run ended; the text of each member is the remedy."""

    COMPLETED = "The run reached its last save time."
    STEP_COLLAPSE = (
        "The step size collapsed: the motion became too violent for the tolerance. Raise the damping of the metric "
        "solver tenfold, or change the seed or the number of components."
    )
    NON_FINITE = (
        "The velocity became infinite or undefined. Raise the damping of the metric solver, or use SpectralCutoff."
    )
    MAX_STEPS = "The run used up `max_steps`. Raise max_steps, loosen rtol and atol, or raise the damping."
    INTERRUPTED = "The run was interrupted; everything up to the last save time is kept."


class StepControl(NamedTuple):
    """How far to step.

    Attributes:
        solver: an explicit diffrax solver with an error estimate.
        rtol, atol: tolerances on weights and coordinates per step, in the RMS norm.
    """

    solver: diffrax.AbstractSolver
    rtol: float | Float[Array, ""]
    atol: float | Float[Array, ""]


class StepRecord(NamedTuple):
    """What the loop tells about the time since the previous record.

    Attributes:
        accepted, rejected: steps so far.
        step_size: the last accepted step.
        report: time averages of the velocity report since the previous save time; nan at the first.
        certificate: time averages of the certificate, likewise.
        accrued: its integral since the first save time.
    """

    accepted: int
    rejected: int
    step_size: float
    report: VelocityReport
    certificate: Certificate
    accrued: Certificate


Record = Callable[[float, Point, StepRecord], bool | None]
Progress = Callable[[float, int], None]


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


class _Totals(NamedTuple):
    """Integrals from the first save time to some other."""

    report: VelocityReport
    certificate: Certificate


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
    start: Point,
    times: np.ndarray,
    control: StepControl,
    max_steps: int,
    record: Record,
    progress: Progress,
) -> tuple[Status, float, Point]:
    """Integrate the motion and record the point at each time.

    Args:
        motion: the equations.
        start: the point at times[0].
        times: (T,) increasing.
        control: how far to step.
        max_steps: attempted steps after which the run gives up.
        record: called with (time, point, step record) at each time that is reached; True ends the run there.
        progress: called with (current time, accepted steps) after each chunk.

    Returns:
        How the run ended, and the last time and point that it reached.
    """
    # Python floats would be compile-time constants of the jitted functions below.
    instants, rtol, atol = jax.device_put((list(times), np.asarray(control.rtol), np.asarray(control.atol)))
    control = control._replace(rtol=rtol, atol=atol)
    t_saved = float(times[0])
    now: tuple[float, Point] = t_saved, start
    try:
        carry = _start(motion, start, instants[0], instants[-1], control)
        totals = _Totals(carry.moving.integrals, carry.watch.accrued)
        record(t_saved, start, _step_record(carry, totals, totals, 0.0))
        place = _place(carry)
        for t, instant in zip(times[1:].tolist(), instants[1:], strict=True):
            while place.t < t:
                if place.accepted + place.rejected >= max_steps:
                    return Status.MAX_STEPS, *now
                carry = _advance(carry, motion, instant, instants[-1], control)
                place = _place(carry)
                now = place.t, carry.moving.point
                if place.collapsed:
                    return _why_collapsed(carry, motion), *now
                progress(place.t, place.accepted)
            point, reached = _interpolate(carry, instant, motion, control)
            ends = record(t, point, _step_record(carry, reached, totals, t - t_saved))
            totals, t_saved = reached, t
            if ends or instant is instants[-1]:
                return Status.COMPLETED, t, point
    except KeyboardInterrupt:
        return Status.INTERRUPTED, *now
    return Status.COMPLETED, *now


def _field(t: Any, moving: _Moving, motion: Motion) -> _Moving:
    return _Moving(*motion.velocity(moving.point))


_TERM = diffrax.ODETerm(_field)


def _controller(control: StepControl) -> Any:
    def norm(error: _Moving) -> Array:
        return rms_norm(error.point)

    return diffrax.PIDController(rtol=control.rtol, atol=control.atol, norm=norm)


@eqx.filter_jit
def _start(motion: Motion, start: Point, t0: Array, t_end: Array, control: StepControl) -> _Carry:
    zero = jnp.zeros(())
    moving = _Moving(start, VelocityReport(MetricReport(*(zero for _ in MetricReport._fields)), zero, zero, zero))
    nothing = Certificate(zero, zero, zero)
    # A first step of 1e-3 of the span costs a few steps while it grows, less than asking for two more
    # velocities (and their compilation) to choose it.
    first = t0 + 1e-3 * (t_end - t0)
    controller, solver = _controller(control), control.solver
    t_next, controller_state = controller.init(
        _TERM, t0, first, moving, first - t0, motion, solver.func, solver.error_order(_TERM)
    )
    # Shapes alone are wanted here. They are those of a number that stands still, which is traced faster by a second.
    still = diffrax.ODETerm(lambda t, y, args: y)
    solver_state = jax.tree.map(jnp.asarray, solver.init(still, t0, t_next, moving, motion))
    of_number = solver.init(still, t0, t_next, zero, None)
    taken = eqx.filter_eval_shape(solver.step, still, t0, t_next, zero, None, of_number, False)
    interpolation = jax.tree.map(
        lambda kept: jax.tree.map(lambda x: jnp.zeros((*kept.shape, *x.shape), x.dtype), moving), taken[2]
    )
    none = jnp.zeros((), dtype=int)
    return _Carry(
        t0,
        t_next,
        moving,
        solver_state,
        controller_state,
        interpolation,
        _Watch(nothing, nothing, nothing),
        none,
        none,
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
        finite = jnp.all(jnp.array([jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(y1.point)]))
        error = jax.tree.map(lambda e: jnp.where(finite, e, 1e30), error)
        keep, t, t_next, _, controller_state, _ = controller.adapt_step_size(
            c.t, t1, c.moving, y1, motion, error, solver.error_order(_TERM), c.controller_state
        )

        def choose(new: Any, old: Any) -> Any:
            return jax.tree.map(lambda a, b: jnp.where(keep, a, b), new, old)

        watch = jax.lax.cond(keep, lambda: _watched(c, t1, y1, solver_state, motion), lambda: c.watch)

        return _Carry(
            t=t,
            t_next=t_next,
            moving=choose(y1, c.moving),
            solver_state=choose(solver_state, c.solver_state),
            controller_state=controller_state,
            interpolation=choose(interpolation, c.interpolation),
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
    before = jax.tree.map(lambda old, new: jnp.where(c.accepted == 0, new, old), c.watch.after, after)
    return _Watch(before, after, c.watch.up_to(jnp.ones(()), c.step_size))


def _is_moving(x: Any) -> bool:
    return isinstance(x, _Moving)


@eqx.filter_jit
def _interpolate(carry: _Carry, t: Array, motion: Motion, control: StepControl) -> tuple[Point, _Totals]:
    """The state at a time inside the last accepted step."""
    path = control.solver.interpolation_cls(t0=carry.t - carry.step_size, t1=carry.t, **carry.interpolation)
    moving = path.evaluate(t)
    point = Point(moving.point.weights, motion.manifold.restored(moving.point.coordinates))
    fraction = (t - carry.t + carry.step_size) / carry.step_size
    return point, _Totals(moving.integrals, carry.watch.up_to(fraction, carry.step_size))


@eqx.filter_jit
def _is_finite_velocity(motion: Motion, point: Point) -> Bool[Array, ""]:
    rates, _ = motion.velocity(point)
    return jnp.all(jnp.isfinite(rates.weights)) & jnp.all(jnp.isfinite(rates.coordinates))


def _why_collapsed(carry: _Carry, motion: Motion) -> Status:
    return Status.STEP_COLLAPSE if _is_finite_velocity(motion, carry.moving.point) else Status.NON_FINITE


class _Place(NamedTuple):
    """What the host needs to know after a chunk, fetched at once."""

    t: float
    accepted: int
    rejected: int
    collapsed: bool


def _place(carry: _Carry) -> _Place:
    return _Place(*(x.item() for x in jax.device_get((carry.t, carry.accepted, carry.rejected, carry.collapsed))))


def _step_record(carry: _Carry, now: _Totals, before: _Totals, elapsed: float) -> StepRecord:
    fetched = jax.device_get((carry.accepted, carry.rejected, carry.step_size, now, before))
    accepted, rejected, step_size, later, earlier = fetched

    def mean(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a - b) / elapsed if elapsed > 0 else np.full_like(a, np.nan)

    means: _Totals = jax.tree.map(mean, later, earlier)
    return StepRecord(int(accepted), int(rejected), float(step_size), *means, later.certificate)
