"""Components that come and go: many while the certificate is high, few when it has fallen (docs/theory.md, eq. 24).

A strong quench needs many components for a short while and few after. A run that breathes has two numbers of
components: it goes over to the greater one when the projection error rises, before the error is made, and is
compressed to the lesser one when it has fallen.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from husimix.solve.compression import compressed
from husimix.solve.journey import Glance, Journey, Status
from husimix.solve.preparation import with_components
from husimix.solve.setup import Setup
from husimix.solve.stepping import Record, evolve

__all__ = ["Breathing", "evolve_breathing"]

# Projection errors in units of the rate at which the system forgets, and how long many components stay, in its inverse:
# just after growth the certificate is low because the transient is still to come.
_INHALE, _EXHALE, _STAY = 0.15, 0.2, 0.5
# The largest distance at which a compression is accepted.
_SLACK = 0.01


class Breathing(NamedTuple):
    """Between which numbers of components a run may change, and when.

    Attributes:
        least, most: K.
        inhale: the projection error, in 1/time, above which it goes over to the greater number.
        exhale: below which it tries the lesser one; halved whenever the run grows or a compression fails.
        stay: how long it keeps the greater number at least.
        until: the time up to which it does.
    """

    least: int
    most: int
    inhale: float
    exhale: float
    stay: float
    until: float = -np.inf

    @classmethod
    def between(cls, least: int, most: int, rate: float) -> "Breathing":
        """With the default thresholds for a rate at which the system forgets."""
        return cls(least, most, _INHALE * rate, _EXHALE * rate, _STAY / rate)

    def wants_other(self, n_components: int, glance: Glance) -> bool:
        """Whether to go over to the other number of components."""
        if n_components < self.most:
            return glance.projection_error > self.inhale
        return n_components > self.least and glance.projection_error < self.exhale and glance.t > self.until


def evolve_breathing(
    setup: Setup, times: np.ndarray, breathing: Breathing, record: Record, look: Callable[[Glance], None]
) -> tuple[Status, Journey]:
    """Like `evolve`, with a number of components that follows the certificate.

    The distance ‖R - T‖/‖T‖ of each compression counts as accumulated error. One that is too large is not made; the
    next is tried when the projection error has halved. Where the Gram matrix of the lesser number is kept as its
    factors, since as a matrix it would be too large, there are none.

    Args:
        setup: of a problem with `breathing.least` components.
        times: (T,) save times.
        breathing: when to change.
        record: see `evolve`.
        look: called with a `Glance` after each chunk of steps.

    Returns:
        How the run ended, and how far it has come.
    """
    motion, journey = setup.motion, Journey.begin(float(times[0]), setup.start)
    while True:
        watch = _watching(breathing, len(journey.point.weights), look)
        status, journey = evolve(motion, journey, times, setup.control, setup.method.max_steps, record, watch)
        if status is not Status.PAUSED:
            return status, journey
        try:
            journey, breathing = _changed(setup, journey, breathing)
        except KeyboardInterrupt:
            return Status.INTERRUPTED, journey
        motion = setup.motion_of(len(journey.point.weights))


def _watching(breathing: Breathing, n_components: int, look: Callable[[Glance], None]) -> Callable[[Glance], bool]:
    def watch(glance: Glance) -> bool:
        look(glance)
        return breathing.wants_other(n_components, glance)

    return watch


def _changed(setup: Setup, journey: Journey, breathing: Breathing) -> tuple[Journey, Breathing]:
    """A journey that goes on with the other number of components, if it can."""
    point = journey.point
    later = breathing._replace(exhale=0.5 * breathing.exhale)
    if len(point.weights) < breathing.most:
        # Where it has to grow again it was compressed too soon.
        seed, kept = setup.settings["seed"] + journey.accepted, setup.arrangement.background
        coordinates, manifold, spread = np.asarray(point.coordinates), setup.motion.manifold, setup.method.spread
        grown = with_components(point.weights, coordinates, manifold, breathing.most, spread, seed, kept)
        return journey._replace(point=grown), later._replace(until=journey.t + breathing.stay)
    if setup.motion.factored:
        return journey, breathing._replace(exhale=0.0)
    fit = compressed(setup.motion, point, breathing.least)
    if fit.distance > _SLACK:
        return journey, later
    relative, absolute = journey.compressed
    return journey._replace(point=fit.point, compressed=(relative + fit.distance, absolute + fit.absolute)), breathing
