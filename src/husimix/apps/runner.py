"""Carry out a run file: check what can be checked, compute, save, and compare with the exact twin if asked."""

import inspect
import os
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from rich.console import Console

from husimix._errors import HusimixWarning, argument_error
from husimix.apps import exact
from husimix.apps.config import RunFile, Setup, explained
from husimix.solve import dataset
from husimix.solve.estimate import Estimate, estimate
from husimix.solve.journey import Status
from husimix.solve.mesolve import mesolve
from husimix.solve.result import Result

__all__ = ["Deviation", "Outcome", "check_writable", "errors", "estimated", "run", "solve"]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What `run` leaves behind.

    Attributes:
        path: the file that was written.
        result: the variational result.
        data: what the file holds: the result, the run file's text as attribute `run_file`, and, if asked for,
            `exact_bloch` (time, site, axis), `exact_expect_NAME` like `expect_NAME`, and the attribute
            `exact_wall_time` in seconds.
        problem: why exact curves that were asked for are missing, in one line; else empty.
    """

    path: Path
    result: Result
    data: xr.Dataset
    problem: str = ""


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
            exact.check_evolvable(setup.model)
    result = solve(setup, progress)
    data = result.to_xarray().assign_attrs(run_file=setup.text)
    dataset.write(data, path)
    if not compare_exact:
        return Outcome(path, result, data)
    if result.status is Status.INTERRUPTED or len(result.times) < 2:
        return Outcome(path, result, data, "The exact twin was left out, because the run ended early.")
    try:
        data = _with_exact_curves(data, setup, progress)
        dataset.write(data, path)
    except KeyboardInterrupt:
        return Outcome(path, result, data, "The exact twin was interrupted.")
    except Exception as error:  # whatever it is must not keep the result from the caller
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return Outcome(path, result, data, f"The exact twin failed. {reason}")
    return Outcome(path, result, data)


def estimated(setup: Setup) -> Estimate:
    """What the variational part of a run will need, without running it.

    Args:
        setup: from `RunFile.build`.

    Returns:
        The estimate.

    Raises:
        RunFileError: for settings that `estimate` refuses.
    """
    names = inspect.signature(estimate).parameters.keys()
    with explained(setup.name):
        return estimate(setup.model, setup.state, **{k: v for k, v in setup.arguments.items() if k in names})


def solve(setup: Setup, progress: bool = True) -> Result:
    """The variational part of a run.

    Args:
        setup: from `RunFile.build`.
        progress: show a meter on standard error.

    Returns:
        The `Result`; how it ended is its `status`, without a warning.

    Raises:
        RunFileError: for settings that `mesolve` refuses.
    """
    with explained(setup.name), warnings.catch_warnings():
        warnings.simplefilter("ignore", HusimixWarning)
        return mesolve(
            setup.model,
            setup.state,
            setup.times,
            observables=setup.observables,
            progress=progress,
            **setup.arguments,
        )


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
            gap = np.abs(data[name].values - data[f"exact_{name}"].values)
            if "part" in data[name].dims:
                gap = np.hypot(gap[:, 0], gap[:, 1])
            found[name] = Deviation(float(gap.max()), float(np.sqrt(np.mean(gap**2))))
    return found


def check_writable(name: str, path: str | os.PathLike[str], suffixes: Sequence[str]) -> Path:
    """Refuse, before any work is done, a path that could not be written after it.

    Args:
        name: what to call the path in errors.
        path: the file to be written.
        suffixes: the endings that it may have.

    Returns:
        The path.

    Raises:
        ValueError: for another ending, a directory, or a directory above that is missing or cannot be written.
    """
    target = Path(path)
    if target.suffix not in suffixes:
        fix = f"Try {target.with_suffix(suffixes[0])}." if target.name else ""
        raise argument_error(name, f"end in {' or '.join(suffixes)}", target, fix)
    if os.path.isdir(target):  # `Path.is_dir` raises for names that are too long
        raise argument_error(name, "name a file", f"the directory {target}")
    if not target.parent.is_dir():
        raise argument_error(name, "lie in an existing directory", target, f"Try `mkdir -p {target.parent}`.")
    try:
        # Only writing tells for sure: permissions, read-only file systems and names that are too long.
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}."):
            pass
    except OSError as error:
        raise argument_error(name, "name a file that can be written", f"{target} ({error.strerror})") from None
    return target


def _with_exact_curves(data: xr.Dataset, setup: Setup, progress: bool) -> xr.Dataset:
    began = time.perf_counter()
    console = Console(stderr=True, quiet=not progress)
    with console.status("exact twin, by QuTiP"):
        twin = exact.mesolve(setup.model, setup.state, data["time"].values, observables=setup.observables)
    curves = {"exact_bloch": (data["bloch"].dims, twin.bloch)}
    for name, values in twin.expect.items():
        dims = data[f"expect_{name}"].dims
        real, imaginary = np.real(values), np.imag(values)
        parts = np.stack([real, imaginary], axis=-1) if "part" in dims else real
        curves[f"exact_expect_{name}"] = (dims, parts)
    return data.assign(curves).assign_attrs(exact_wall_time=time.perf_counter() - began)
