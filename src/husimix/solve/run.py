"""One run of an ansatz on a problem of time evolution."""

import time
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from husimix._compilation import drop_compiled_if_many, one_blas_thread
from husimix.ansatz import AbstractAnsatz, Problem
from husimix.results.diagnostics import DIAGNOSTICS
from husimix.results.result import Result
from husimix.results.status import Status
from husimix.solve.progress import ProgressMeter
from husimix.solve.recording import Recorder
from husimix.solve.stepping import Chunk, Stepping, evolve

__all__ = ["Evolution", "Run", "carry_out", "message_of"]


@dataclass(frozen=True)
class Evolution:
    """What all runs of one call of `mesolve` have in common beside the problem.

    Attributes:
        times: (T,) save times.
        stepping: how time is stepped.
        save_states, progress: see `mesolve`.
    """

    times: np.ndarray
    stepping: Stepping
    save_states: bool
    progress: bool


class Run(NamedTuple):
    """A run that has ended.

    Attributes:
        result: what the user gets.
        recorder: all that was recorded.
        is_exact: whether the ansatz holds every state of the problem.
        left_out: the relative distance of the start from the initial state.
        stepping_seconds: what steps took, compilation apart.
        label: of the ansatz.
    """

    result: Result
    recorder: Recorder
    is_exact: bool
    left_out: float
    stepping_seconds: float
    label: str

    def told(self, **changes: object) -> "Run":
        """The same run with other fields of its result."""
        return self._replace(result=replace(self.result, **changes))


def carry_out(ansatz: AbstractAnsatz, problem: Problem, evolution: Evolution) -> Run:
    """One run.

    Raises:
        ValueError: for arguments that do not fit the ansatz, before anything is computed.
    """
    began = time.perf_counter()
    drop_compiled_if_many()
    prepared = ansatz.prepare(problem)
    recorder, times = Recorder(ansatz, problem, evolution.save_states), evolution.times
    past, (relative, absolute) = problem.state.history, prepared.left_out
    past = past._replace(
        accumulated_error=past.accumulated_error + relative,
        accumulated_error_absolute=past.accumulated_error_absolute + absolute,
    )
    loop = evolve(prepared.motion, prepared.point, times, past, evolution.stepping, problem.rate)
    chunk: Chunk | None = None
    status, ticks = Status.INTERRUPTED, []
    label = f"mesolve, {ansatz.label}"
    with one_blas_thread(), ProgressMeter(label, times[0], times[-1], evolution.progress) as meter:
        try:
            for chunk in loop:
                for row in chunk.rows:
                    recorder.add(row)
                meter.update(min(chunk.time, times[-1]), chunk.seen.accepted)
                ticks.append((time.perf_counter(), chunk.seen.accepted))
            assert chunk is not None and chunk.status is not None  # the loop's last chunk has one
            status = chunk.status
        except KeyboardInterrupt:
            pass
    settings = {
        "tsave": times.tolist(),
        "ansatz": prepared.settings,
        "symmetry": prepared.symmetry,
        "method": evolution.stepping.to_dict(),
        "seed": problem.seed,
    }
    result = Result(
        times=recorder.times,
        local_values=recorder.sites,
        expect=recorder.expect,
        final_state=problem.state if chunk is None else chunk.state(),
        diagnostics=recorder.diagnostics(),
        status=status,
        message=message_of(status, ansatz),
        model=problem.model,
        settings=settings,
        wall_time=time.perf_counter() - began,
        meanings={**DIAGNOSTICS, **ansatz.diagnostics},
        states=recorder.states,
    )
    return Run(result, recorder, prepared.is_exact, relative, _stepping_seconds(began, ticks), ansatz.label)


def _stepping_seconds(began: float, ticks: list[tuple[float, int]]) -> float:
    """What the steps of a run took, without the compilation that comes before the end of the first chunk of them."""
    if not ticks:
        return 0.0
    (first, early), (last, steps) = ticks[0], ticks[-1]
    return (last - first) * steps / (steps - early) if steps > early else last - began


def message_of(status: Status, ansatz: AbstractAnsatz) -> str:
    """What a status means, and what to do about it with an ansatz."""
    return " ".join(filter(None, (status.value, ansatz.remedies.get(status.name, ""))))
