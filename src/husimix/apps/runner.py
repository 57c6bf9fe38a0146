"""Carry out a run file: check what can be checked, compute, save, and compare with the exact twin if asked."""

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from rich.console import Console

from husimix._errors import argument_error, kept_warnings
from husimix.ansatz import Estimate
from husimix.apps import exact
from husimix.apps.config import RunFile, Setup, explained
from husimix.apps.tasks import AbstractTask
from husimix.results import files
from husimix.results.files import check_writable
from husimix.results.result import Result
from husimix.results.scan import Scan
from husimix.results.status import Status
from husimix.results.steady_state import SteadyState

__all__ = ["Deviation", "Outcome", "errors", "estimated", "run", "solve"]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What `run` leaves behind.

    Attributes:
        path: the file that was written.
        result: the variational result.
        data: what the file holds, states apart: the result, the run file's text as attribute `run_file`, and, if asked
            for, `exact_bloch` (time, site, axis), `exact_expect_NAME` like `expect_NAME`, and the attribute
            `exact_wall_time` in seconds.
        shortfall: why the result is not what was asked for, in one line; else empty.
        remarks: what the user should know of a result all the same, such as several steady states.
        exact_failure: why exact curves that were asked for are missing, in one line; else empty.
    """

    path: Path
    result: Result | SteadyState | Scan
    data: xr.Dataset
    shortfall: str
    remarks: list[str]
    exact_failure: str = ""


class Deviation(NamedTuple):
    """How far a variational curve is from the exact one, over all its entries.

    Attributes:
        worst: the largest absolute deviation.
        rms: the root of the mean squared deviation.
    """

    worst: float
    rms: float


def run(
    run_file: RunFile, output: str | os.PathLike[str], compare_exact: bool = False, progress: bool = True
) -> Outcome:
    """Carry out a run file and save what comes of it.

    Whatever can fail before the computation is tried before it. The variational result is saved before the exact
    twin starts, and again with the exact curves.

    Args:
        run_file: what to compute.
        output: the NetCDF file to write, ending in .nc; an existing file is replaced.
        compare_exact: solve the same model with QuTiP too.
        progress: show progress on standard error.

    Returns:
        An `Outcome`. A run that ended early, or was interrupted, is saved up to the time it reached.

    Raises:
        ValueError: for a run file or a path that cannot work, or too many sites for the exact twin.
        ImportError: if the exact twin is asked for and QuTiP is not installed.
        OSError: if the file cannot be written after all.
    """
    path = check_writable("output", output, (".nc",))
    setup = run_file.build()
    if compare_exact:
        exact.require_qutip()
        with explained(setup.name):
            setup.task.check_exact()
    result, remarks = solve(setup, progress)
    groups = result.to_groups()
    data = groups["/"] = groups["/"].assign_attrs(run_file=setup.text)
    files.write(groups, path)
    outcome = Outcome(path, result, data, setup.task.shortfall(result), remarks)
    if not compare_exact:
        return outcome
    if data.attrs["status"] == Status.INTERRUPTED.name or data.sizes.get("time", 2) < 2:
        return replace(outcome, exact_failure="The exact twin was left out, because the run ended early.")
    try:
        data = groups["/"] = _with_exact_curves(data, setup.task, progress)
        files.write(groups, path)
    except KeyboardInterrupt:
        return replace(outcome, exact_failure="The exact twin was interrupted.")
    except Exception as error:  # whatever it is must not keep the result from the caller
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return replace(outcome, exact_failure=f"The exact twin failed. {reason}")
    return replace(outcome, data=data)


def estimated(setup: Setup) -> Estimate:
    """What the variational part of a run will need, without running it.

    Args:
        setup: from `RunFile.build`.

    Returns:
        The estimate.

    Raises:
        RunFileError: for settings that `estimate` refuses.
    """
    with explained(setup.name):
        return setup.task.estimate()


def solve(setup: Setup, progress: bool = True) -> tuple[Result | SteadyState | Scan, list[str]]:
    """The variational part of a run.

    Args:
        setup: from `RunFile.build`.
        progress: show a meter on standard error.

    Returns:
        What it found, and the texts of its warnings, apart from those that its `status` tells.

    Raises:
        RunFileError: for settings that the library refuses.
    """
    with explained(setup.name), kept_warnings() as texts:
        result = setup.task.solve(progress)
    return result, [text for text in texts if result.message not in text]


def errors(data: xr.Dataset) -> dict[str, Deviation]:
    """How far the variational curves of a run are from the exact ones.

    Args:
        data: a dataset with exact curves, as `run` writes it.

    Returns:
        By name of the variable: "bloch" for ⟨σ⟩ of all sites, axes and times, then "expect_NAME" of each observable.

    Raises:
        ValueError: if there are no exact curves.
    """
    if "exact_bloch" not in data:
        raise argument_error("data", "hold exact curves", "none", "Run again with --compare-exact.")
    found = {}
    for name in map(str, data.data_vars):
        if f"exact_{name}" in data:
            gap: xr.DataArray = (data[name] - data[f"exact_{name}"]) ** 2
            squares = (gap.sum("part") if "part" in gap.dims else gap).values
            found[name] = Deviation(float(np.sqrt(squares.max())), float(np.sqrt(squares.mean())))
    return found


def _with_exact_curves(data: xr.Dataset, task: AbstractTask, progress: bool) -> xr.Dataset:
    began = time.perf_counter()
    console = Console(stderr=True, quiet=not progress)
    with console.status("exact twin, by QuTiP"):
        curves = task.exact_curves(data)
    return data.assign(curves).assign_attrs(exact_wall_time=time.perf_counter() - began)
