"""One search for a stationary point: evolution, then Newton's method; else implicit steps, or means of a wanderer.

Where the numbers of a point are coordinates, evolution only has to come so near that Newton's method leads on to a
stable point (`husimix.solve.stationary`). Elsewhere implicit steps take over where evolution slows down.

With few parameters the motion may have no stationary point at all: the state wanders in directions that few-body
expectation values hardly see. Their means over long windows are stationary nevertheless.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from husimix._compilation import compiled, one_blas_thread
from husimix.ansatz import AbstractMotion, Certificate, LocalValues, Point, Prepared, Problem
from husimix.results.status import Status
from husimix.solve.progress import ProgressMeter
from husimix.solve.stationary import Root, stationary
from husimix.solve.stepping import Chunk, Row, Stepping, evolve
from husimix.state import AbstractState, History

__all__ = ["Found", "search"]

# Implicit steps begin where the drift, in units of the dissipation rate, is below the first and has not fallen to the
# second of what it was a window before. They are dear; a state that relaxes quickly rests without them.
_NEAR = 1e-2
_SLOW = 0.5
# Newton's method is tried where the drift, in units of the dissipation rate, is below the first; and again once it has
# fallen to the second of what it was, or after so long in units of the inverse rate.
_TRY, _FALLEN, _AGAIN = 0.3, 0.5, 5.0
# Where something is conserved, how far Newton's method may move an expectation value: it keeps what is conserved only
# to second order.
_NO_FAR = 1e-4
# Drifts below this, in units of the dissipation rate and of rtol, are errors of the time steps.
_NOISE = 3.0
# Looks at the state per unit of the inverse dissipation rate, and in a window over which means are taken.
_LOOKS = 4
_WINDOW = 20
# Implicit steps: so many at most, their growth and shrinkage; so many must lower the speed by a fifth.
_MOST_STEPS, _GROWTH, _SHRINKAGE, _PATIENCE = 20, 4.0, 0.125, 6


class _Rest(NamedTuple):
    """How near to rest a point is.

    Attributes:
        certificate: of its velocity.
        drift: the largest rate of change, in 1/time, of any expectation value.
    """

    certificate: Certificate
    drift: float


class Found(NamedTuple):
    """The end of one search.

    Attributes:
        prepared: what it started from.
        point: where it ended, in terms of `motion`.
        motion: the equations at the end.
        local_values, observables, numbers: what is seen there.
        certificate: of the velocity there.
        drift: the largest rate of change of an expectation value, or of its mean over a window, in 1/time.
        gap: the slowest relaxation rate: minus the largest real part of the eigenvalues; without any the rate at which
            the drift fell, nan if it did not fall exponentially.
        root: the stationary point with its eigenvalues; None where Newton's method has no part in it.
        history: what has accrued.
        status: how it ended.
    """

    prepared: Prepared
    motion: AbstractMotion
    point: Point
    local_values: LocalValues
    observables: dict[str, Any]
    numbers: dict[str, Any]
    certificate: Certificate
    drift: float
    gap: float
    root: Root | None
    history: History
    status: Status

    def distance_from(self, other: "Found") -> float:
        """The largest difference of an expectation value of a site, an observable or a pair that both watch."""
        mine, theirs = self.local_values, other.local_values
        if not np.array_equal(self.motion.pairs, other.motion.pairs):
            mine, theirs = (values._replace(pairs=np.zeros(0)) for values in (mine, theirs))
        rows = _row_of(mine, self.observables), _row_of(theirs, other.observables)
        return float(np.abs(rows[0] - rows[1]).max())

    def state(self) -> AbstractState:
        """The state that was found."""
        return self.motion.state(self.point, self.history)


class _Trail:
    """What was seen on the way: times, expectation values, and the last points."""

    def __init__(self, rate: float):
        self._rate = rate
        self.times: list[float] = []
        self.drifts: list[float] = []
        self._values: list[np.ndarray] = []
        self._rows: list[Row] = []

    def add(self, row: Row) -> None:
        values = _row_of(row.local_values, row.observables)
        if self.times:
            self.drifts.append(float(np.abs(values - self._values[-1]).max()) / (row.t - self.times[-1]))
        self.times.append(row.t)
        self._values.append(values)
        self._rows = [*self._rows[1 - _WINDOW :], row]

    @property
    def mean_drift(self) -> float:
        """The largest rate of change of a mean, from the last window but one to the last; infinite before there are."""
        if len(self._values) < 2 * _WINDOW:
            return np.inf
        before, after = (np.mean(v, axis=0) for v in (self._values[-2 * _WINDOW : -_WINDOW], self._values[-_WINDOW:]))
        return float(np.abs(after - before).max()) / (self.times[-1] - self.times[-1 - _WINDOW])

    def is_slow(self, since: float) -> bool:
        """Whether the drift is small, but hardly smaller than a window before; never so in the window after a time."""
        if len(self.drifts) <= _WINDOW or self.times[-1 - _WINDOW] < since:
            return False
        return _SLOW * self.drifts[-1 - _WINDOW] < self.drifts[-1] < _NEAR * self._rate

    def typical(self) -> Row:
        """Of the last window, the row whose expectation values are nearest to their means."""
        values = np.array(self._values[-len(self._rows) :])
        return self._rows[int(np.argmin(np.abs(values - values.mean(axis=0)).max(axis=1)))]

    def typical_end(self) -> "_End":
        """The typical row with the drift of the means."""
        row = self.typical()
        return _End(self.mean_drift, row.motion, row.point)

    def gap(self, noise: float) -> float:
        """The rate at which the drift fell over the last third of the way, as long as it stood out of the noise."""
        clear = [(t, drift) for t, drift in zip(self.times[1:], self.drifts, strict=True) if drift > noise]
        if len(clear) < 4:
            return float("nan")
        t, v = np.array(clear[-max(4, len(clear) // 3) :]).T
        slope = -np.polyfit(t, np.log(v), 1)[0]
        # A fall by less than e is no exponential that one could tell from a flicker.
        return float(slope) if slope * (t[-1] - t[0]) > 1 else float("nan")


class _End(NamedTuple):
    """A point where a search could end, with the drift that speaks for it, and its eigenvalues if they are known."""

    drift: float
    motion: AbstractMotion
    point: Point
    root: Root | None = None


class _Judge:
    """Whether a search may end, and where: what it remembers of its trials of Newton's method and of implicit steps.

    Args:
        trail: what was seen on the way; it goes on growing.
        rate: the dissipation rate.
        tolerance: the drift to reach.
        start: the time at which the search began.
    """

    def __init__(self, trail: _Trail, rate: float, tolerance: float, start: float):
        self._trail, self._rate, self._tolerance = trail, rate, tolerance
        self._implicit_at = start
        self._newton_at, self._newton_drift = -np.inf, np.inf
        self._unstable: _End | None = None

    def end(self, here: Callable[[], _End], time: float, is_last: bool) -> tuple[_End, Status] | None:
        """Where the search ends and how; None to go on evolving.

        Args:
            here: makes the end of the evolution so far, at the cost of a velocity.
            time: of that end.
            is_last: whether there is no more time.
        """
        trail, tolerance = self._trail, self._tolerance
        now = here() if is_last or not trail.drifts else None
        drift = trail.drifts[-1] if now is None else now.drift
        is_slow = trail.is_slow(self._implicit_at)
        if self._may_try(time, drift) or is_last:
            now = here() if now is None else now
            found = self._stationary(now, time, drift)
            if found is not None:
                return found, Status.COMPLETED if found.drift <= tolerance else Status.NOT_STATIONARY
            if now.motion.has_coordinates and is_last and self._unstable is not None and now.drift <= tolerance:
                return self._unstable, Status.COMPLETED
        if not (is_last or is_slow or (trail.drifts and min(drift, trail.mean_drift) <= tolerance)):
            return None
        now = here() if now is None else now
        if now.motion.has_coordinates and not is_last:
            return None  # standing still for a while says little where Newton's method finds nothing
        ends = [now, trail.typical_end()]
        if min(end.drift for end in ends) > tolerance and not now.motion.has_coordinates:
            ends.append(_implicit(now, 1.0 / self._rate, tolerance))
        best = min(ends, key=lambda end: end.drift)
        if best.drift <= tolerance:
            return best, Status.COMPLETED
        self._implicit_at = time
        return (best, Status.NOT_STATIONARY) if is_last else None

    def _may_try(self, time: float, drift: float) -> bool:
        """Whether the drift is small, and smaller than at the last trial of Newton's method, or that one long ago."""
        is_new = drift < _FALLEN * self._newton_drift or time > self._newton_at + _AGAIN / self._rate
        return drift < _TRY * self._rate and is_new

    def _stationary(self, now: _End, time: float, drift: float) -> _End | None:
        """The stable stationary point near an end, if Newton's method may be used and leads to one."""
        if not now.motion.has_coordinates:
            return None
        self._newton_at, self._newton_drift = time, drift
        root = stationary(now.motion, now.point, self._rate)
        if root is None:
            return None
        moved, is_running_away = jax.device_get(_compared(now.motion, now.point, root.point))
        if is_running_away:
            return None
        found = _End(_rest(now.motion, root.point).drift, now.motion, root.point, root)
        if not root.is_stable:
            self._unstable = found
            return None
        return None if root.n_zero_modes and moved > _NO_FAR else found


def search(
    prepared: Prepared, problem: Problem, stepping: Stepping, tolerance: float, longest: float, progress: bool
) -> Found:
    """Evolve until expectation values, or their means, are stationary, with implicit steps where the state slows down.

    Args:
        prepared: from where.
        problem: that it solves; its rate is the mean dissipation rate.
        stepping: how time is stepped.
        tolerance: the drift to reach, in 1/time.
        longest: the longest evolution.
        progress: show a progress meter.

    Returns:
        Where it ended; NOT_STATIONARY if the drift is above the tolerance.
    """
    rate, history = problem.rate, problem.state.history
    trail = _Trail(rate)
    judge = _Judge(trail, rate, tolerance, history.time)
    times = history.time + np.linspace(0.0, longest, max(2, round(_LOOKS * rate * longest) + 1))
    loop = evolve(prepared.motion, prepared.point, times, history, stepping, rate)
    chunk: Chunk | None = None

    def ended(end: _End, status: Status) -> Found:
        gap = trail.gap(_NOISE * stepping.rtol * rate)
        reached = history if chunk is None else chunk.history()
        return _found(prepared, end, gap, reached, status)

    def here() -> _End:
        motion, point = (prepared.motion, prepared.point) if chunk is None else (chunk.motion, chunk.point())
        return _End(_rest(motion, point).drift, motion, point)

    with one_blas_thread(), ProgressMeter("steadystate", times[0], times[-1], progress) as meter:
        try:
            for chunk in loop:
                for row in chunk.rows:
                    trail.add(row)
                meter.update(min(chunk.time, times[-1]), chunk.seen.accepted)
                if chunk.status not in (None, Status.COMPLETED):
                    return ended(here(), chunk.status)
                if not chunk.rows or not (trail.drifts or chunk.motion.has_coordinates):
                    continue
                end = judge.end(here, chunk.time, chunk.status is Status.COMPLETED)
                if end is not None:
                    meter.finish()
                    return ended(*end)
        except KeyboardInterrupt:
            pass
    return ended(here(), Status.INTERRUPTED)


def _implicit(end: _End, first_step: float, tolerance: float) -> _End:
    """Implicit steps of pseudo-time until the speed falls below a tolerance, or no step helps any more.

    Short steps follow the motion, long ones are Newton's; the length grows while the speed falls.
    """
    motion, point = end.motion, end.point
    best, length = _rest(motion, point).certificate.speed, first_step
    steps, goal, given = 0, 0.8 * best, _PATIENCE
    unit = jax.device_put(np.asarray(first_step))
    while steps < min(_MOST_STEPS, given) and best > tolerance and length > 1e-3 * first_step:
        steps += 1
        tried = _implicit_step(motion, point, jax.device_put(np.asarray(length)), unit)
        reached = _rest(motion, tried).certificate.speed
        if reached < best:
            point, best, length = tried, reached, length * _GROWTH
        else:
            length *= _SHRINKAGE
        if best < goal:
            goal, given = 0.8 * best, steps + _PATIENCE
    return _End(_rest(motion, point).drift, motion, point)


@compiled
def _implicit_step(motion: AbstractMotion, point: Point, length: Array, unit: Array) -> Point:
    return motion.implicit_step(point, length, unit)


def _rest(motion: AbstractMotion, point: Point) -> _Rest:
    certificate, drift = jax.device_get(_at_rest(motion, point))
    return _Rest(certificate, drift.item())


@compiled
def _at_rest(motion: AbstractMotion, point: Point) -> tuple[Certificate, Float[Array, ""]]:
    time = jnp.zeros(())
    rates, report = motion.velocity(time, point)
    _, slopes = jax.jvp(lambda p: (motion.local_values(p), motion.observables(p)), (point,), (rates,))
    # Models without couplings have no neighbours.
    drift = jnp.max(jnp.stack([jnp.max(jnp.abs(slope), initial=0.0) for slope in jax.tree.leaves(slopes)]))
    return motion.certificate(time, point, rates, report), drift


@compiled
def _compared(motion: AbstractMotion, before: Point, after: Point) -> tuple[Float[Array, ""], Array]:
    """The largest change of an expectation value between two points, and whether the second is no state."""
    values = [(motion.local_values(point), motion.observables(point)) for point in (before, after)]
    changes = jax.tree.leaves(jax.tree.map(lambda a, b: jnp.max(jnp.abs(a - b), initial=0.0), *values))
    return jnp.max(jnp.stack(changes)), motion.is_running_away(after)


@compiled
def _look(motion: AbstractMotion, point: Point) -> tuple[LocalValues, dict[str, Array], dict[str, Array]]:
    return motion.local_values(point), motion.observables(point), motion.numbers(point)


def _found(prepared: Prepared, end: _End, gap: float, history: History, status: Status) -> Found:
    local_values, observables, numbers = jax.device_get(_look(end.motion, end.point))
    return Found(
        prepared=prepared,
        motion=end.motion,
        point=end.point,
        local_values=local_values,
        observables=observables,
        numbers=numbers,
        certificate=_rest(end.motion, end.point).certificate,
        drift=end.drift,
        gap=gap if end.root is None or not len(end.root.eigenvalues) else -float(end.root.eigenvalues[0].real),
        root=end.root,
        history=history,
        status=status,
    )


def _row_of(local_values: LocalValues, observables: dict[str, Any]) -> np.ndarray:
    values = np.array([*observables.values()], dtype=complex)
    sites, pairs = (np.ravel(np.asarray(x)) for x in local_values)
    return np.concatenate([sites, pairs, np.real(values), np.imag(values)])
