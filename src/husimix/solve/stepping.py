"""Time evolution: a host-side loop over compiled chunks of adaptive steps, blind to the ansatz.

The loop hands over control after every few steps, with the rows of the save times that were passed, so that progress,
interruption, saving and stopping are one mechanism. Save times do not shorten the steps: states there come from the
solver's own interpolation.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import diffrax
import jax
import numpy as np
from jaxtyping import PyTree

from husimix._errors import argument_error, check_integer, check_number
from husimix.ansatz import AbstractMotion, Certificate, LocalValues, Point
from husimix.results.status import Status
from husimix.solve.steps import (
    Ended,
    RunState,
    Snapshot,
    StepControl,
    advance,
    begin,
    continued,
    is_finite,
    restored,
    snapshots,
)
from husimix.state import AbstractState, History

__all__ = ["Chunk", "Row", "Seen", "Stepping", "evolve"]

# From so many save times on they are evaluated by so many at once.
_MANY_SAVES, _BATCH = 200, 16


@dataclass(frozen=True)
class Stepping:
    """How time is stepped.

    The error of a step is the larger of two: the largest error of any expectation value of one site or of two watched
    neighbours, and the root mean square over all numbers that move, both in units of atol + rtol |value|. A step may
    err by 1 in these units if the memory time of the system, the inverse of its mean dissipation rate, takes up to 100
    steps; if it takes more, they share what 100 may. So a run that forgets nothing keeps its accuracy, however long.

    Args:
        rtol: relative tolerance of a time step.
        atol: absolute tolerance of a time step; equal to `rtol` if None.
        solver: an explicit adaptive diffrax solver, such as `diffrax.Tsit5()` or `diffrax.Bosh3()`.
        max_steps: attempted steps after which a run gives up.

    Raises:
        ValueError: for values out of range.
    """

    rtol: float = 1e-4
    atol: float | None = None
    solver: diffrax.AbstractERK = field(default_factory=diffrax.Tsit5)
    max_steps: int = 100_000

    def __post_init__(self) -> None:
        if not isinstance(self.solver, diffrax.AbstractERK):
            fix = "Try diffrax.Tsit5() or diffrax.Bosh3()."
            raise argument_error("solver", "be an explicit Runge-Kutta solver of diffrax", repr(self.solver), fix)
        check_number("rtol", self.rtol, above=0)
        check_number("atol", self.rtol if self.atol is None else self.atol, above=0)
        check_integer("max_steps", self.max_steps, 1)

    def refined(self, factor: float) -> "Stepping":
        """The same with both tolerances divided by a factor."""
        atol = None if self.atol is None else self.atol / factor
        return Stepping(self.rtol / factor, atol, self.solver, self.max_steps)

    def control(self, rate: float, span: float) -> StepControl:
        """The same for compiled code, with numbers as arrays: Python's would be constants that it is compiled for.

        Args:
            rate: at which the system forgets, in 1/time.
            span: of the run.
        """
        atol = self.rtol if self.atol is None else self.atol
        numbers = {"rtol": self.rtol, "atol": atol, "rate": rate, "end": span}
        placed = jax.device_put({name: np.asarray(x, dtype=float) for name, x in numbers.items()})
        return StepControl(self.solver, **placed)

    def to_dict(self) -> dict[str, Any]:
        """The settings, JSON-ready."""
        atol = self.rtol if self.atol is None else self.atol
        solver = type(self.solver).__name__
        return {"rtol": self.rtol, "atol": atol, "solver": solver, "max_steps": self.max_steps}


class Seen(NamedTuple):
    """What the host sees of a run after a chunk of steps, fetched at once.

    Attributes:
        t: the time reached, counted from the first save time.
        accepted, rejected: steps so far.
        ended: see `Ended`.
        step_size: the last accepted step.
        certificate: at the time reached.
    """

    t: float
    accepted: int
    rejected: int
    ended: int
    step_size: float
    certificate: Certificate


class Row(NamedTuple):
    """What a run tells at a save time.

    Attributes:
        t: the save time, in the user's unit.
        motion: the equations that give the point its meaning.
        point: the state, as NumPy arrays.
        local_values, observables, numbers: see `AbstractMotion`.
        report, certificate: means since the save time before; nan at the first.
        history: what has accrued.
        seen: the steps so far.
    """

    t: float
    motion: AbstractMotion
    point: Point
    local_values: LocalValues
    observables: dict[str, Any]
    numbers: dict[str, Any]
    report: PyTree
    certificate: Certificate
    history: History
    seen: Seen


class Chunk(NamedTuple):
    """What the loop hands over.

    Attributes:
        run: where the run is.
        motion: the equations that it goes on with.
        seen: the numbers of `run` on the host.
        rows: of the save times that were passed.
        status: how the run ended; None as long as it goes on.
    """

    run: RunState
    motion: AbstractMotion
    seen: Seen
    rows: list[Row]
    status: Status | None

    @property
    def time(self) -> float:
        """The time reached, in the user's unit."""
        return float(self.run.origin) + self.seen.t

    def point(self) -> Point:
        """Where the run is, in terms of `motion`."""
        if self.rows and self.rows[-1].t == self.time and self.rows[-1].motion is self.motion:
            return self.rows[-1].point
        return restored(self.motion, self.run.moving.point)

    def history(self) -> History:
        """What has accrued up to where the run is."""
        watch, step = jax.device_get((self.run.watch, self.run.step_size))
        certificate, errors = watch.up_to(1.0, step)
        return History(self.time, float(certificate.relative), float(certificate.absolute), float(errors))

    def state(self) -> AbstractState:
        """The state where the run is."""
        return self.motion.state(self.point(), self.history())


def evolve(
    motion: AbstractMotion,
    point: Point,
    times: np.ndarray,
    history: History,
    stepping: Stepping,
    rate: float,
) -> Iterator[Chunk]:
    """Integrate a motion through save times.

    Args:
        motion: the equations.
        point: the initial state.
        times: (T,) increasing, in the user's unit; the first is the initial time.
        history: what earlier runs have accrued.
        stepping: how far to step.
        rate: at which the system forgets, in 1/time.

    Yields:
        A `Chunk` with the first row at once, then one after every few steps; the last one has a status.
    """
    origin = float(times[0])
    waiting = np.asarray(times, dtype=float) - origin
    control = stepping.control(rate, float(waiting[-1]))
    batch = _BATCH if len(times) > _MANY_SAVES else 1
    run = begin(motion, point, origin, history, control)
    seen = _see(run)
    while True:
        due, rows = waiting[waiting <= seen.t], []
        for first in range(0, len(due), batch):
            run, some = _rows(run, motion, due[first : first + batch], batch, control.solver, seen)
            rows += some
        waiting = waiting[len(due) :]
        status = _status(run, motion, seen, len(waiting), stepping.max_steps)
        yield Chunk(run, motion, seen, rows, status)
        if status is not None:
            return
        adapted = motion.adapted(origin + seen.t, run.moving.point, seen.certificate) if seen.accepted else None
        if adapted is not None:
            motion, run = adapted.motion, continued(adapted, run, control)
        run = advance(run, motion, jax.device_put(waiting[0]), control)
        seen = _see(run)


def _see(run: RunState) -> Seen:
    watched = run.t, run.accepted, run.rejected, run.ended, run.step_size, run.watch.after
    t, accepted, rejected, ended, step_size, certificate = jax.tree.map(_plain, jax.device_get(watched))
    return Seen(t, accepted, rejected, ended, step_size, certificate)


def _plain(value: np.ndarray) -> Any:
    return value if value.ndim else value.item()


def _status(run: RunState, motion: AbstractMotion, seen: Seen, n_waiting: int, max_steps: int) -> Status | None:
    """How a run ended, if it did."""
    if n_waiting == 0:
        return Status.COMPLETED
    if seen.ended == Ended.RAN_AWAY:
        return Status.RUN_AWAY
    if seen.ended == Ended.COLLAPSED:
        return Status.STEP_COLLAPSE if is_finite(motion, run) else Status.NON_FINITE
    return Status.MAX_STEPS if seen.accepted + seen.rejected >= max_steps else None


def _rows(
    run: RunState, motion: AbstractMotion, due: np.ndarray, batch: int, solver: diffrax.AbstractERK, seen: Seen
) -> tuple[RunState, list[Row]]:
    """The rows of up to `batch` save times, none later than the time reached, and the run that has saved them."""
    instants = np.append(due, np.repeat(due[-1:], batch - len(due)))
    run, found = snapshots(run, jax.device_put(instants), motion, solver)
    origin, fetched = float(run.origin), jax.device_get(found)
    rows = []
    for n, t in enumerate(due.tolist()):
        one: Snapshot = jax.tree.map(lambda x, n=n: x[n], fetched)
        certificate = one.totals.certificate
        accrued = float(certificate.relative), float(certificate.absolute), float(one.totals.step_error)
        rows.append(
            Row(
                t=origin + t,
                motion=motion,
                point=one.point,
                local_values=one.local_values,
                observables=one.observables,
                numbers=one.numbers,
                report=one.report,
                certificate=one.certificate,
                history=History(origin + t, *accrued),
                seen=seen,
            )
        )
    return run, rows
