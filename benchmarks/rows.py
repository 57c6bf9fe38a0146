"""Rows of tables that put solvers side by side: how they are timed, what their errors are, how they are written."""

import importlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType

import jax
import numpy as np

REPEATS = 3
PATIENCE = 3.0
"""Seconds; what takes longer is not repeated."""
STYLES = {
    "QuTiP": ("#0072B2", "s"),
    "dynamiqs": ("#009E73", "^"),
    "NetKet": ("#999999", "*"),
    "mean field": ("#000000", "X"),
    "cumulants": ("#56B4E9", "P"),
    "MPO": ("#CC79A7", "D"),
    "mixture": ("#D55E00", "o"),
    "clusters": ("#E69F00", "v"),
}
"""Colour and marker of each solver."""


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        problem, solver, settings: as the table names them.
        error: against the reference; None without one.
        seconds: wall time after compilation.
        first: wall time of the first run, with compilation; None where an earlier row had compiled the same.
        remark: in place of an error.
    """

    problem: str
    solver: str
    settings: str
    error: float | None = None
    seconds: float | None = None
    first: float | None = None
    remark: str = ""


def available(name: str) -> ModuleType | None:
    """The module, or None if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def missing(problem: str, solver: str) -> Row:
    """The row of a solver that is not installed."""
    return Row(problem, solver, "", remark="not installed")


def clock(run: Callable) -> tuple[float, object]:
    """Seconds, and what was computed."""
    began = time.perf_counter()
    value = jax.block_until_ready(run())
    return time.perf_counter() - began, value


def measure(run: Callable, compiles: bool = False) -> tuple[list, float, float]:
    """Values, median seconds without compilation, and seconds of the first run; `run` gets the number of its repeat.

    What takes longer than PATIENCE is not repeated.
    """
    first, value = clock(lambda: run(0))
    values, seconds = [value], [] if compiles else [first]
    while not seconds or (len(seconds) < REPEATS and sum(seconds) < PATIENCE):
        elapsed, value = clock(lambda: run(len(values)))
        values.append(value)
        seconds.append(elapsed)
    return values, float(np.median(seconds)), first


def deviation(values: np.ndarray, references: Iterable[np.ndarray]) -> float:
    """Largest error of any observable at any time; of the worse one where references differ."""
    return float(max(np.abs(values - known).max() for known in references))


def line_of(row: Row) -> str:
    """The row as Markdown."""
    error = row.remark if row.error is None else f"{row.error:.1e}" if np.isfinite(row.error) else "diverged"
    seconds, first = ("" if s is None else f"{s:.2f}" for s in (row.seconds, row.first))
    return f"| {row.problem} | {row.solver} | {row.settings} | {error} | {seconds} | {first} |"


TABLE_HEADER = "| problem | method | settings | worst error | seconds | first run |\n|---|---|---|---|---|---|\n"
