"""Curves of stationary points through folds: pseudo-arclength continuation in a parameter of the model.

A curve z(s) = (x, λ) of solutions of v(x, λ) = 0 is followed along its tangent. A corrector brings each prediction back
to the curve in the plane orthogonal to the tangent, so that it does not matter where λ turns back.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from husimix._compilation import compiled
from husimix.ansatz import AbstractMotion, LocalValues, Point
from husimix.solve.stationary import Linearised, flat, newton, rates_of, unflat

__all__ = ["Curve", "Station", "follow"]

# Corrections end below this length, and must shrink by the factor each time; steps grow after fewer corrections.
_TOLERANCE, _ROUNDING, _CONTRACTION, _MOST_CORRECTIONS, _QUICK = 1e-9, 1e3, 0.4, 20, 9
# Steps: growth, shrinkage, the smallest in units of the first, and the smallest cosine between tangents in a row.
_GROWTH, _SHRINKAGE, _SMALLEST, _STRAIGHT = 1.5, 0.4, 1e-4, 0.9
# Of the central difference of the velocity, in units of the length of the scan.
_DIFFERENCE = 1e-4
# Trials of a fold's place, and the slope of λ that is level enough: its value is then right to the square of that.
_FOLD_TRIALS, _LEVEL = 4, 1e-3

MotionOf = Callable[[float], AbstractMotion]


class Station(NamedTuple):
    """A stationary point on a curve.

    Attributes:
        value: λ.
        numbers: (P,) float, the point.
        direction: (P,) float and `slope` the unit tangent of the curve there: of the numbers, and of λ in units of the
            length of the scan.
        slope: see there.
        by_value: (P,) ∂v/∂λ there, in units of the length of the scan.
        eigenvalues: (k,) complex, those of the largest real parts.
        local_values, observables: what is seen there.
    """

    value: float
    numbers: np.ndarray
    direction: np.ndarray
    slope: float
    by_value: np.ndarray
    eigenvalues: np.ndarray
    local_values: LocalValues
    observables: dict[str, Any]


class Curve:
    """A curve of stationary points, as far as it was followed.

    Args:
        motion_of: the equations for a value of the parameter.
        like: any point, for its shape.
        length: of the scan, the unit of λ along the curve.
        rate: the rate of the system, in 1/time.

    Attributes:
        stations: in order along the curve.
        folds: values of λ at which the curve turns back.
    """

    def __init__(self, motion_of: MotionOf, like: Point, length: float, rate: float):
        self._motion_of, self._like, self._length, self._rate = motion_of, like, length, rate
        self.stations: list[Station] = []
        self.folds: list[float] = []

    def station(self, value: float, numbers: np.ndarray, before: tuple[np.ndarray, float]) -> Station:
        """The station at a point of the curve, its tangent within 90° of another one."""
        motion, point = self._motion_of(value), unflat(numbers, self._like)
        linearised = Linearised(motion, point, self._rate)
        by_value = self._by_value(value, point)
        direction = linearised.solver()(by_value)
        norm = float(np.copysign(np.sqrt(1.0 + direction @ direction), before[0] @ direction + before[1]))
        seen = jax.device_get(_seen(motion, point))
        return Station(value, numbers, direction / norm, 1.0 / norm, by_value, linearised.rightmost(), *seen)

    def corrected(self, begin: Station, step: float) -> tuple[float, np.ndarray, int] | None:
        """The point of the curve a step from a station along its tangent, and how many corrections it took, or None.

        Most velocities are affine in λ, and equations for a new value are dear to prepare. So corrections first take
        the velocity as affine around the station, then as it is: where it is affine, that only confirms the point.
        """
        numbers = begin.numbers + step * begin.direction
        value, before = begin.value + step * begin.slope * self._length, np.inf
        solve = Linearised(self._motion_of(begin.value), unflat(numbers, self._like), self._rate).solver()
        aside, is_affine = solve(begin.by_value), True
        for count in range(1, _MOST_CORRECTIONS + 1):
            straight = solve(self._velocity(value, unflat(numbers, self._like), begin.value if is_affine else value))
            reached = begin.direction @ (numbers - begin.numbers) + begin.slope * (value - begin.value) / self._length
            off = reached - step
            turn = -(off + begin.direction @ straight) / (begin.direction @ aside + begin.slope)
            change = straight + aside * turn
            length = float(max(np.abs(change).max(), abs(turn)))
            if not length <= _CONTRACTION * before:
                return (value, numbers, count) if before < _ROUNDING * _TOLERANCE else None
            numbers, value, before = numbers + change, float(value + turn * self._length), length
            if length <= _TOLERANCE and not is_affine:
                return value, numbers, count
            if length <= _TOLERANCE:
                is_affine, before = False, np.inf
        return None

    def closed(self, before: Station, after: Station, end: float) -> bool:
        """Whether there is a last station at a value between two stations; it joins them."""
        share = (end - before.value) / (after.value - before.value)
        numbers = before.numbers + share * (after.numbers - before.numbers)
        found = newton(self._motion_of(end), unflat(numbers, self._like), self._rate, _TOLERANCE)
        if found is not None:
            self.stations.append(self.station(end, flat(found), (before.direction, before.slope)))
        return found is not None

    def add_fold(self, first: Station, last: Station) -> None:
        """A station at the turn of λ between two stations, and its value there."""
        value = first.value
        for _ in range(_FOLD_TRIALS):
            along = first.direction @ (last.numbers - first.numbers)
            distance = float(along + first.slope * (last.value - first.value) / self._length)
            place, value = _turn(first, last, distance, self._length)
            found = self.corrected(first, place * distance)
            if found is None:
                break
            middle = self.station(found[0], found[1], (first.direction, first.slope))
            value = middle.value
            if abs(middle.slope) < _LEVEL:
                self.stations.append(middle)
                break
            first, last = (middle, last) if middle.slope * first.slope > 0 else (first, middle)
        self.folds.append(value)

    def _velocity(self, value: float, point: Point, around: float) -> np.ndarray:
        """The velocity for a value of λ, to first order around another value."""
        velocity = rates_of(self._motion_of(around), point)
        if value == around:
            return velocity
        return velocity + self._by_value(around, point) * ((value - around) / self._length)

    def _by_value(self, value: float, point: Point) -> np.ndarray:
        """∂v/∂λ in units of the length of the scan, by a central difference."""
        step = _DIFFERENCE * self._length
        high, low = (rates_of(self._motion_of(value + sign * step), point) for sign in (1, -1))
        return (high - low) / (2 * _DIFFERENCE)


def follow(curve: Curve, start: tuple[float, np.ndarray], end: float, spacing: float, most: int) -> bool:
    """Follow a curve from a stationary point until λ passes its last value, or comes back to the first.

    Args:
        curve: grows by each station as soon as it is known.
        start: λ and the numbers of the first stationary point.
        end: the last value of λ.
        spacing: the largest step of λ.
        most: stations after which to give up.

    Returns:
        Whether the last value was reached.
    """
    begin, sign = start[0], float(np.sign(end - start[0]))
    length = abs(end - begin)
    station = curve.station(*start, (np.zeros_like(start[1]), sign))
    curve.stations.append(station)
    first_step = step = 0.5 * spacing / length / max(abs(station.slope), 0.1)
    while len(curve.stations) < most and step > _SMALLEST * first_step:
        longest = spacing / length / max(abs(station.slope), 0.1)
        step = min(step, longest)
        found = curve.corrected(station, step)
        if found is None:
            step *= _SHRINKAGE
            continue
        value, numbers, count = found
        after = curve.station(value, numbers, (station.direction, station.slope))
        if after.direction @ station.direction + after.slope * station.slope < _STRAIGHT:
            step *= _SHRINKAGE
            continue
        if sign * (value - end) >= 0:
            return curve.closed(station, after, end)
        if after.slope * station.slope < 0:
            curve.add_fold(station, after)
        curve.stations.append(after)
        if sign * (value - begin) < 0:
            return False
        station, step = after, step * (_GROWTH if count <= _QUICK else 1.0)
    return False


def _turn(first: Station, last: Station, distance: float, length: float) -> tuple[float, float]:
    """Where λ turns between two stations, as a share of their distance, and its value, from a cubic through both."""
    rise, left, right = (last.value - first.value) / length, first.slope * distance, last.slope * distance
    cubic = np.polynomial.Polynomial([0.0, left, 3 * rise - 2 * left - right, left + right - 2 * rise])
    places = [x.real for x in cubic.deriv().roots() if abs(x.imag) < 1e-9 and 0 < x.real < 1]
    place = places[0] if places else left / (left - right)
    return place, first.value + length * float(cubic(place))


@compiled
def _seen(motion: AbstractMotion, point: Point) -> tuple[LocalValues, dict[str, Array]]:
    return motion.local_values(point), motion.observables(point)
