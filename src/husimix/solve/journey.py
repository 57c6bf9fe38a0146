"""How far a run has come and what it tells on the way."""

import enum
from typing import Any, NamedTuple

import numpy as np

from husimix.solve.certificate import Certificate
from husimix.solve.metric_solvers import MetricReport
from husimix.solve.tdvp import Point, VelocityReport

__all__ = ["Glance", "Journey", "Status", "StepRecord", "Totals"]


class Status(enum.Enum):
    """How a run ended; the text of each member is the remedy."""

    COMPLETED = "All that was asked for was found."
    TOLERANCE_MISSED = (
        "The run is whole, but max_components came before the tolerance: trust no more than its estimated error, the "
        "diagnostic estimated_error, allows. Raise max_components of the method, or loosen tol."
    )
    STEP_COLLAPSE = (
        "The step size collapsed: the motion became too violent for the tolerance. Raise the damping of the metric "
        "solver tenfold, or change the seed or the number of components."
    )
    NON_FINITE = (
        "The velocity became infinite or undefined. Raise the damping of the metric solver, or use SpectralCutoff."
    )
    MAX_STEPS = "The run used up `max_steps`. Raise max_steps, loosen rtol and atol, or raise the damping."
    NOT_STATIONARY = (
        "Not stationary: expectation values still change faster than the tolerance. Take more components where the "
        "residual is high, a larger max_time where it is low; a looser tolerance accepts the state as it is."
    )
    PAUSED = "The run was paused and can go on from where it is."
    INTERRUPTED = "The run was interrupted; everything up to the last save time is kept."


class StepRecord(NamedTuple):
    """What the loop tells about the time since the previous record.

    Attributes:
        accepted, rejected: steps so far.
        step_size: the last accepted step.
        report: time averages of the velocity report since the previous save time; nan at the first.
        certificate: time averages of the certificate, likewise.
        accrued: its integral since the first save time, and the distances of compressions.
    """

    accepted: int
    rejected: int
    step_size: float
    report: VelocityReport
    certificate: Certificate
    accrued: Certificate


class Totals(NamedTuple):
    """Integrals of report and certificate from the beginning to some time."""

    report: VelocityReport
    certificate: Certificate

    @classmethod
    def none(cls) -> "Totals":
        """Those of no time at all."""
        zero: Any = np.zeros(())
        metric = MetricReport(*(zero for _ in MetricReport._fields))
        return cls(VelocityReport(metric, zero, zero, zero), Certificate(zero, zero, zero))


class Journey(NamedTuple):
    """How far a run has come: enough to go on from, also with other components.

    Attributes:
        t: the time reached.
        point: the state there.
        totals: the integrals up to there.
        saved: the last save time behind, -inf before the first.
        totals_saved: the integrals up to that one.
        step_size: the last accepted step; 0 before the first.
        accepted, rejected: steps so far.
        compressed: the distances of compressions so far, ‖R - T‖/‖T‖ and ‖R - T‖, summed.
    """

    t: float
    point: Point
    totals: Totals
    saved: float
    totals_saved: Totals
    step_size: float
    accepted: int
    rejected: int
    compressed: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def begin(cls, t: float, point: Point) -> "Journey":
        """Before the first step."""
        return cls(t, point, Totals.none(), -np.inf, Totals.none(), 0.0, 0, 0)


class Glance(NamedTuple):
    """What the host sees after a chunk of steps, fetched at once.

    Attributes:
        t: the time reached.
        accepted, rejected: steps so far.
        collapsed: whether the step size has.
        projection_error: ‖𝓛R - Ṙ‖/‖R‖ at the time reached.
    """

    t: float
    accepted: int
    rejected: int
    collapsed: bool
    projection_error: float
