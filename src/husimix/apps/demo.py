"""The demonstration: both ansätze beside the exact solution of nine spins, then more spins than exact methods hold."""

import dataclasses
import os
import time
from pathlib import Path
from typing import NamedTuple

import xarray as xr

from husimix.ansatz import AbstractAnsatz
from husimix.apps import exact, runner
from husimix.apps.config import RunFile
from husimix.apps.tasks import AbstractTask
from husimix.clusters.ansatz import Clusters
from husimix.mixture.ansatz import Mixture
from husimix.results import files
from husimix.results.files import check_writable
from husimix.results.status import Status
from husimix.solve.estimate import estimate

__all__ = ["Beside", "Demonstration", "demonstrate"]

_BESIDE: tuple[AbstractAnsatz, ...] = (Clusters(size=3), Mixture(components=8))


class Beside(NamedTuple):
    """One ansatz on the lattice that is solved exactly as well.

    Attributes:
        label: of the ansatz.
        data: its result, exact curves included.
        n_numbers: that move.
        first, again: seconds of a run with compilation, and of a second one.
    """

    label: str
    data: xr.Dataset
    n_numbers: int
    first: float
    again: float


class Demonstration(NamedTuple):
    """What the demonstration leaves behind.

    Attributes:
        beside: the ansätze that have the exact solution beside them.
        exact_seconds: that the exact solution took.
        outcome: the run of the whole run file.
    """

    beside: tuple[Beside, ...]
    exact_seconds: float
    outcome: runner.Outcome


def demonstrate(
    run_file: RunFile,
    directory: str | os.PathLike[str],
    shape: tuple[int, ...] = (3, 3),
    progress: bool = True,
) -> Demonstration:
    """Carry out a run file, and before it the same on few sites beside the exact solution.

    Args:
        run_file: of a time evolution.
        directory: gets run.nc, and one file exact_beside_NAME.nc for each ansatz on few sites.
        shape: of the small lattice, which is of the kind that the run file names.
        progress: show progress on standard error.

    Returns:
        All results.

    Raises:
        ValueError: for a run file or a directory that cannot work.
        ImportError: without QuTiP.
        OSError: if a file cannot be written after all.
        KeyboardInterrupt: if one of the small runs is interrupted; files written before it stay.
    """
    exact.require_qutip()
    folder = Path(directory)
    check_writable("directory", folder / "run.nc", (".nc",))
    lattice = run_file.lattice.model_copy(update={"shape": shape})
    small = run_file.model_copy(update={"lattice": lattice}).build()
    curves, exact_seconds, beside = None, 0.0, []
    for ansatz in _BESIDE:
        choices = dataclasses.replace(small.task.choices, ansatz=ansatz, tol=None)
        setup = dataclasses.replace(small, task=dataclasses.replace(small.task, choices=choices))
        began = time.perf_counter()
        result, _ = runner.solve(setup, progress)
        first = time.perf_counter() - began
        groups = result.to_groups()
        if groups["/"].attrs["status"] == Status.INTERRUPTED.name:
            raise KeyboardInterrupt
        runner.solve(setup, progress)
        again = time.perf_counter() - began - first
        if curves is None:
            began = time.perf_counter()
            curves = setup.task.exact_curves(groups["/"])
            exact_seconds = time.perf_counter() - began
        data = groups["/"] = groups["/"].assign(curves).assign_attrs(exact_wall_time=exact_seconds)
        files.write(groups, folder / f"exact_beside_{ansatz.name}.nc")
        beside.append(Beside(ansatz.label, data, _n_numbers(setup.task, ansatz), first, again))
    return Demonstration(tuple(beside), exact_seconds, runner.run(run_file, folder / "run.nc", progress=progress))


def _n_numbers(task: AbstractTask, ansatz: AbstractAnsatz) -> int:
    return estimate(task.model, task.state, ansatz=ansatz, observables=task.observables).n_parameters
