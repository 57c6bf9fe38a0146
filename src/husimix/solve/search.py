"""One search for a stationary point: evolution, Newton steps where it slows down, means where it keeps wandering.

With few components the motion may have no stationary point at all: the state wanders in directions that few-body
expectation values hardly see. Their means over long windows are stationary nevertheless.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from husimix.phasespace.observables import Measurement
from husimix.physics.operators import Operator
from husimix.solve.journey import Glance, Journey, Status, StepRecord
from husimix.solve.newton import Pace, newton, pace
from husimix.solve.physicality import neighbours
from husimix.solve.progress import ProgressMeter
from husimix.solve.recording import Look, Recorder
from husimix.solve.setup import Setup, one_blas_thread
from husimix.solve.stepping import evolve
from husimix.solve.tdvp import Point

__all__ = ["Found", "search"]

# Newton steps begin where the drift, in units of the dissipation rate, is below the first and has not fallen to the
# second of what it was a window before. They cost P forces each; a state that relaxes quickly rests without them.
_NEAR = 1e-2
_SLOW = 0.5
# Drifts below this, in units of the dissipation rate and of rtol, are errors of the time steps.
_NOISE = 3.0
# Looks at the state per unit of the inverse dissipation rate, and in a window over which means are taken.
_LOOKS = 4
_WINDOW = 20


class Found(NamedTuple):
    """The end of one search.

    Attributes:
        setup: of the search.
        point, look: where it ended, and what is seen there.
        recorder: makes a mixture of a point.
        pace: how fast the point moves and should.
        drift: the largest rate of change of an expectation value, or of its mean over a window, in 1/time.
        gap: the rate at which the drift fell; nan if it did not fall exponentially.
        status: how it ended.
    """

    setup: Setup
    point: Point
    look: Look
    recorder: Recorder
    pace: Pace
    drift: float
    gap: float
    status: Status

    @property
    def values(self) -> np.ndarray:
        """Expectation values of sites and observables in a row."""
        return np.concatenate([self.look.bloch.ravel(), [*self.look.expect.values()]])


class _Trail:
    """What was seen on the way: times, expectation values, and the last points."""

    def __init__(self, rate: float):
        self._rate = rate
        self.times: list[float] = []
        self.drifts: list[float] = []
        self._values: list[np.ndarray] = []
        self._points: list[Point] = []

    def add(self, t: float, point: Point, look: Look) -> None:
        values = np.concatenate([look.bloch.ravel(), look.pairs.ravel(), [*look.expect.values()]])
        if self.times:
            self.drifts.append(float(np.abs(values - self._values[-1]).max()) / (t - self.times[-1]))
        self.times.append(t)
        self._values.append(values)
        self._points = [*self._points[1 - _WINDOW :], point]

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

    def typical(self) -> Point:
        """Of the last window, the point whose expectation values are nearest to their means."""
        values = np.array(self._values[-len(self._points) :])
        return self._points[int(np.argmin(np.abs(values - values.mean(axis=0)).max(axis=1)))]

    def gap(self, noise: float) -> float:
        """The rate at which the drift fell over the last third of the way, as long as it stood out of the noise."""
        clear = [(t, drift) for t, drift in zip(self.times[1:], self.drifts, strict=True) if drift > noise]
        if len(clear) < 4:
            return float("nan")
        t, v = np.array(clear[-max(4, len(clear) // 3) :]).T
        slope = -np.polyfit(t, np.log(v), 1)[0]
        # A fall by less than e is no exponential that one could tell from a flicker.
        return float(slope) if slope * (t[-1] - t[0]) > 1 else float("nan")


def _first(end: tuple[float, Point]) -> float:
    return end[0]


def search(
    setup: Setup,
    observables: Mapping[str, Operator],
    tolerance: float,
    rate: float,
    longest: float,
    progress: bool,
) -> Found:
    """Evolve until expectation values, or their means, are stationary, with Newton steps where the state slows down.

    Args:
        setup: from where.
        observables: by name.
        tolerance: the drift to reach, in 1/time.
        rate: the mean dissipation rate.
        longest: the longest evolution.
        progress: show a progress meter.

    Returns:
        Where it ended; NOT_STATIONARY if the drift is above the tolerance.
    """
    motion, group = setup.motion, setup.arrangement.group
    measurements = {name: Measurement(o, group) for name, o in observables.items()}
    pairs = neighbours(setup.model, group)
    recorder = Recorder(setup.arrangement, motion.manifold, motion.contacts, measurements, False, pairs)
    trail, tried = _Trail(rate), 0.0

    def look(t: float, point: Point, _: StepRecord) -> bool:
        if trail.times and t <= trail.times[-1]:
            return False  # each leg begins where the last one ended
        trail.add(t, point, recorder.look(point))
        is_at_rest = bool(trail.drifts) and trail.drifts[-1] <= tolerance
        return is_at_rest or trail.mean_drift <= tolerance or trail.is_slow(tried)

    def ended(point: Point, drift: float, status: Status) -> Found:
        noise = _NOISE * setup.method.rtol * rate
        seen, speed = recorder.look(point), pace(motion, point)
        return Found(setup, point, seen, recorder, speed, drift, trail.gap(noise), status)

    def drift(point: Point) -> float:
        return recorder.drift(point, pace(motion, point).rates)

    with one_blas_thread(), ProgressMeter("steadystate", 0.0, longest, progress) as meter:

        def show(glance: Glance) -> None:
            meter.update(min(glance.t, longest), glance.accepted)

        reached, point = 0.0, setup.start
        while True:
            times = np.linspace(reached, longest, max(2, round(_LOOKS * rate * (longest - reached)) + 1))
            most = setup.method.max_steps
            status, journey = evolve(motion, Journey.begin(reached, point), times, setup.control, most, look, show)
            reached, point = journey.t, journey.point
            if status is not Status.COMPLETED:
                return ended(point, drift(point), status)
            try:
                ends = [(drift(point), point), (trail.mean_drift, trail.typical())]
                if min(ends, key=_first)[0] > tolerance and not motion.factored:
                    solved = newton(motion, point, 1.0 / rate, tolerance).point
                    ends.append((drift(solved), solved))
            except KeyboardInterrupt:
                return ended(point, drift(point), Status.INTERRUPTED)
            least, best = min(ends, key=_first)
            if least <= tolerance:
                meter.finish()
                return ended(best, least, Status.COMPLETED)
            if reached >= longest * (1 - 1e-9):
                return ended(best, least, Status.NOT_STATIONARY)
            tried = reached
