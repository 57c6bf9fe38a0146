"""The compiled part of time evolution: the state of a run, steps, and what is computed at save times."""

from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Int, PyTree

from husimix._compilation import compiled
from husimix.ansatz import AbstractMotion, Adapted, Certificate, LocalValues, Point
from husimix.state import History

__all__ = [
    "Ended",
    "RunState",
    "Snapshot",
    "StepControl",
    "advance",
    "begin",
    "continued",
    "is_finite",
    "restored",
    "snapshots",
]

# Attempted steps between two times at which the host regains control.
_CHUNK = 8
# A step below this fraction of the whole time span counts as collapsed.
_COLLAPSE = 1e-9
# The first step, as a fraction of the span: a few steps while it grows cost less than two more velocities (and their
# compilation) to choose it.
_FIRST = 1e-3
# Steps per memory time 1/rate that may each err by the whole tolerance; more of them share it. No step has less than
# the smallest share: what is noise in a velocity falls no faster than the step.
_STEPS_OF_A_MEMORY, _SMALLEST_SHARE = 100.0, 0.01
# The error of a step that led to infinities.
_INFINITE = 1e30


class Ended:
    """Why no further step makes sense; numbers, since compiled code knows no enumerations."""

    NOT = 0
    COLLAPSED = 1
    RAN_AWAY = 2


class StepControl(NamedTuple):
    """What decides the length of steps.

    Attributes:
        solver: an explicit diffrax solver with an error estimate.
        rtol, atol: tolerances of a step, see `husimix.Stepping`.
        rate: at which the system forgets, in 1/time.
        end: of the run, counted from its origin.
    """

    solver: diffrax.AbstractERK
    rtol: Float[Array, ""]
    atol: Float[Array, ""]
    rate: Float[Array, ""]
    end: Float[Array, ""]


class _Moving(NamedTuple):
    """The integrated quantities: the point, and the time integrals of the velocity's report.

    Integrating the report costs nothing beside the velocity that the solver asks for anyway. The integrals take no
    part in the error control.
    """

    point: Point
    report: PyTree


class Totals(NamedTuple):
    """Integrals since the beginning, those of earlier runs included; of step errors, their sum."""

    report: PyTree
    certificate: Certificate
    step_error: Float[Array, ""]


class _Watch(NamedTuple):
    """The certificate along the last accepted step, taken to be linear in between, and what accrued before it.

    Attributes:
        before, after: the certificate at its two ends.
        accrued: the integral of the certificate up to its beginning.
        step_error_before, step_error: the sum of step errors up to its two ends.
    """

    before: Certificate
    after: Certificate
    accrued: Certificate
    step_error_before: Float[Array, ""]
    step_error: Float[Array, ""]

    def up_to(self, fraction: Float[Array, ""], step_size: Float[Array, ""]) -> tuple[Certificate, Array]:
        """What accrued up to some fraction of the step."""

        def integral(before: Array, after: Array, accrued: Array) -> Array:
            return accrued + step_size * fraction * (before + 0.5 * fraction * (after - before))

        errors = self.step_error_before + fraction * (self.step_error - self.step_error_before)
        return jax.tree.map(integral, self.before, self.after, self.accrued), errors


class RunState(NamedTuple):
    """Everything that a run needs to go on from where it is, as one pytree.

    Attributes:
        origin: the initial time in the user's unit; all other times count from it.
        t, t_next: the time reached, and where the next step would end.
        moving: the point and the integrals of the report.
        solver_state, controller_state, interpolation: diffrax's own.
        watch: what is known of the last accepted step.
        accepted, rejected: steps so far.
        step_size: the last accepted step; 0 before the first.
        ended: see `Ended`.
        saved_t: the last save time behind, -1 before the first.
        saved: the totals there.
    """

    origin: Float[Array, ""]
    t: Float[Array, ""]
    t_next: Float[Array, ""]
    moving: _Moving
    solver_state: PyTree
    controller_state: PyTree
    interpolation: PyTree
    watch: _Watch
    accepted: Int[Array, ""]
    rejected: Int[Array, ""]
    step_size: Float[Array, ""]
    ended: Int[Array, ""]
    saved_t: Float[Array, ""]
    saved: Totals


class Snapshot(NamedTuple):
    """What is computed at save times, stacked along a first axis.

    Attributes:
        point: the state.
        local_values, observables, numbers: see `AbstractMotion`.
        report, certificate: means since the save time before; nan at the first.
        totals: up to there.
    """

    point: Point
    local_values: LocalValues
    observables: dict[str, Complex[Array, " time"]]
    numbers: dict[str, Array]
    report: PyTree
    certificate: Certificate
    totals: Totals


def begin(motion: AbstractMotion, point: Point, origin: float, history: History, control: StepControl) -> RunState:
    """A run before its first step.

    Args:
        motion: the equations.
        point: the initial state.
        origin: the initial time.
        history: what earlier runs have accrued.
        control: how far to step.
    """
    report = eqx.filter_eval_shape(motion.velocity, jnp.zeros(()), point)[1]
    zero: Any = np.zeros(())
    past: Any = [np.asarray(error, dtype=float) for error in history[1:]]
    relative, absolute, step_error = past
    accrued = Certificate.zeros(motion.n_certified)._replace(relative=relative, absolute=absolute)
    totals = Totals(jax.tree.map(lambda x: np.zeros(x.shape), report), accrued, step_error)
    none: Any = np.zeros((), dtype=int)
    time, at, totals, steps, first = jax.device_put((np.asarray(origin, dtype=float), zero, totals, none, zero))
    return _start(motion, point, time, at, totals, steps, steps, first, control)


def continued(adapted: Adapted, run: RunState, control: StepControl) -> RunState:
    """A run that goes on with another motion from where it is."""
    totals = _totals(run, run.t)
    kept = totals.certificate
    relative, absolute = kept.relative + adapted.relative, kept.absolute + adapted.absolute
    totals = totals._replace(certificate=kept._replace(relative=relative, absolute=absolute))
    numbers = run.origin, run.t, totals, run.accepted, run.rejected, 0.5 * run.step_size
    fresh = _start(adapted.motion, adapted.point, *numbers, control)
    return fresh._replace(saved_t=run.saved_t, saved=run.saved)


@compiled
def _start(
    motion: AbstractMotion,
    point: Point,
    origin: Array,
    t: Array,
    totals: Totals,
    accepted: Array,
    rejected: Array,
    first_step: Array,
    control: StepControl,
) -> RunState:
    zero, solver, controller = jnp.zeros(()), control.solver, _controller()
    first = jnp.where(first_step == 0, _FIRST * (control.end - t), first_step)
    t_next, controller_state = controller.init(
        _TERM, t, control.end, zero, first, motion, solver.func, solver.error_order(_TERM)
    )
    moving = _Moving(point, totals.report)
    # Shapes alone are wanted here. They are those of a number that stands still, which is traced faster by a second.
    still = diffrax.ODETerm(lambda t, y, args: y)
    solver_state = jax.tree.map(jnp.asarray, solver.init(still, t, t_next, moving, motion))
    of_number = solver.init(still, t, t_next, zero, None)
    taken = eqx.filter_eval_shape(solver.step, still, t, t_next, zero, None, of_number, False)
    interpolation = jax.tree.map(
        lambda kept: jax.tree.map(lambda x: jnp.zeros((*kept.shape, *x.shape), x.dtype), moving), taken[2]
    )
    nothing = jax.tree.map(jnp.asarray, Certificate.zeros(motion.n_certified))
    return RunState(
        origin=origin,
        t=t,
        t_next=jnp.minimum(t_next, control.end),
        moving=moving,
        solver_state=solver_state,
        controller_state=controller_state,
        interpolation=interpolation,
        watch=_Watch(nothing, nothing, totals.certificate, totals.step_error, totals.step_error),
        accepted=accepted,
        rejected=rejected,
        step_size=zero,
        ended=jnp.asarray(Ended.NOT),
        saved_t=-jnp.ones(()),
        saved=totals,
    )


@compiled
def advance(run: RunState, motion: AbstractMotion, goal: Float[Array, ""], control: StepControl) -> RunState:
    """Up to `_CHUNK` attempted steps, or until the goal is passed, or until going on makes no sense."""
    controller, solver, end = _controller(), control.solver, control.end
    attempts_before = run.accepted + run.rejected
    smallest = _COLLAPSE * end

    def unfinished(r: RunState) -> Bool[Array, ""]:
        attempts = r.accepted + r.rejected - attempts_before
        return (r.t < goal) & (attempts < _CHUNK) & (r.ended == Ended.NOT)

    def step(r: RunState) -> RunState:
        # The end of the run is met exactly; a step that would leave a sliver before it is stretched to it.
        t1 = jnp.where(r.t_next > end - smallest, end, r.t_next)
        args = motion, r.origin
        y1, error, interpolation, solver_state, _ = solver.step(_TERM, r.t, t1, r.moving, args, r.solver_state, False)
        assert error is not None  # `Stepping` takes solvers with an error estimate only
        local, size = _step_error(motion, r.moving.point, y1.point, error.point, control)
        share = jnp.clip(_STEPS_OF_A_MEMORY * control.rate * (t1 - r.t), _SMALLEST_SHARE, 1.0)
        keep, t, t_next, _, controller_state, _ = controller.adapt_step_size(
            r.t, t1, jnp.zeros(()), jnp.zeros(()), args, size / share, solver.error_order(_TERM), r.controller_state
        )
        moving, solver_state, interpolation, watch, ran_away = jax.lax.cond(
            keep,
            lambda: (
                y1,
                solver_state,
                interpolation,
                _watched(r, t1, y1, solver_state, args, local),
                motion.is_running_away(y1.point),
            ),
            lambda: (r.moving, r.solver_state, r.interpolation, r.watch, jnp.zeros((), dtype=bool)),
        )
        collapsed = jnp.where(t_next - t < smallest, Ended.COLLAPSED, Ended.NOT)
        return r._replace(
            t=t,
            t_next=t_next,
            moving=moving,
            solver_state=solver_state,
            controller_state=controller_state,
            interpolation=interpolation,
            watch=watch,
            accepted=r.accepted + jnp.where(keep, 1, 0),
            rejected=r.rejected + jnp.where(keep, 0, 1),
            step_size=jnp.where(keep, t1 - r.t, r.step_size),
            ended=jnp.where(ran_away, Ended.RAN_AWAY, collapsed),
        )

    return jax.lax.while_loop(unfinished, step, run)


@compiled
def snapshots(
    run: RunState, instants: Float[Array, " time"], motion: AbstractMotion, solver: diffrax.AbstractERK
) -> tuple[RunState, Snapshot]:
    """What belongs to save times inside the last accepted step, and the run that has saved them.

    Args:
        run: before its first step, where the only instant is 0, or after one.
        instants: (n,) ascending, the last possibly repeated.
        motion: the equations.
        solver: that made the step.
    """
    path = solver.interpolation_cls(t0=run.t - run.step_size, t1=run.t, **run.interpolation)

    def at(t: Array) -> tuple[Any, ...]:
        moving = jax.tree.map(lambda x, y: jnp.where(t == run.t, x, y), run.moving, path.evaluate(t))
        point = motion.restored(moving.point)
        totals = _totals(run, t)._replace(report=moving.report)
        return point, motion.local_values(point), motion.observables(point), motion.numbers(point), totals

    point, local_values, observables, numbers, totals = jax.lax.map(at, instants)
    before = jax.tree.map(lambda first, x: jnp.concatenate([first[None], x[:-1]]), run.saved, totals)
    elapsed = instants - jnp.concatenate([run.saved_t[None], instants[:-1]])
    elapsed = jnp.where((elapsed > 0) & (run.saved_t >= 0), elapsed, jnp.nan)
    means: Totals = jax.tree.map(lambda x, y: (x - y) / elapsed.reshape(-1, *(1,) * (x.ndim - 1)), totals, before)
    found = Snapshot(point, local_values, observables, numbers, means.report, means.certificate, totals)
    return run._replace(saved_t=instants[-1], saved=jax.tree.map(lambda x: x[-1], totals)), found


@compiled
def restored(motion: AbstractMotion, point: Point) -> Point:
    """See `AbstractMotion.restored`: one program where operations one by one would be compiled each."""
    return motion.restored(point)


@compiled
def is_finite(motion: AbstractMotion, run: RunState) -> Bool[Array, ""]:
    """Whether the velocity where a run is has finite entries only."""
    rates, _ = motion.velocity(run.origin + run.t, run.moving.point)
    return _all_finite(rates)


def _controller() -> Any:
    # Errors come in units of the tolerance, see `_step_error`.
    return diffrax.PIDController(rtol=0.0, atol=1.0)


def _field(t: Any, moving: _Moving, args: tuple[AbstractMotion, Array]) -> _Moving:
    motion, origin = args
    return _Moving(*motion.velocity(origin + t, moving.point))


_TERM = diffrax.ODETerm(_field)


def _step_error(
    motion: AbstractMotion, before: Point, after: Point, error: Point, control: StepControl
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The error of a step in expectation values of one and two sites, and its size in units of the tolerance.

    The root mean square over all numbers that move would not do alone: numbers that rest dilute it.
    """
    finite = _all_finite(after)
    error = jax.tree.map(lambda e: jnp.where(finite, e, 0.0), error)
    ends = jax.tree.map(lambda y, e: jnp.stack([y, y - e]), after, error)
    values = jax.tree.leaves(jax.vmap(motion.local_values)(ends))
    gaps = [(jnp.abs(x[1] - x[0]), control.atol + control.rtol * jnp.abs(x[0])) for x in values if x.size]
    local = jnp.max(jnp.stack([jnp.max(gap) for gap, _ in gaps]))
    of_values = jnp.max(jnp.stack([jnp.max(gap / scale) for gap, scale in gaps]))

    def squares(e: Array, old: Array, new: Array) -> Array:
        return jnp.sum(jnp.square(e / (control.atol + control.rtol * jnp.maximum(jnp.abs(old), jnp.abs(new)))))

    total = sum(jax.tree.leaves(jax.tree.map(squares, error, before, after)))
    size = jnp.maximum(of_values, jnp.sqrt(total / sum(x.size for x in jax.tree.leaves(error))))
    return local, jnp.where(finite & jnp.isfinite(size), size, _INFINITE)


def _watched(r: RunState, t1: Array, y1: _Moving, solver_state: Any, args: Any, local_error: Array) -> _Watch:
    """The certificate at the end of an accepted step, and what accrued up to its beginning."""
    motion, origin = args
    kept = [x for x in jax.tree.leaves(solver_state, is_leaf=_is_moving) if _is_moving(x)]
    # Solvers whose last stage is the first of the next step keep the velocity at the end; others have none to spare.
    rates = kept[0] if kept else _field(t1, y1, args)
    after = motion.certificate(origin + t1, y1.point, rates.point, rates.report)
    before = jax.tree.map(lambda old, new: jnp.where(r.step_size == 0, new, old), r.watch.after, after)
    accrued, errors = r.watch.up_to(jnp.ones(()), r.step_size)
    return _Watch(before, after, accrued, errors, errors + local_error)


def _totals(run: RunState, t: Array) -> Totals:
    """What accrued up to a time within the last accepted step; the report up to its end."""
    fraction = jnp.where(run.step_size > 0, (t - run.t) / jnp.where(run.step_size > 0, run.step_size, 1.0) + 1.0, 0.0)
    return Totals(run.moving.report, *run.watch.up_to(fraction, run.step_size))


def _all_finite(tree: PyTree) -> Bool[Array, ""]:
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(tree)]))


def _is_moving(x: Any) -> bool:
    return isinstance(x, _Moving)
